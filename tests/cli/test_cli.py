"""The command line as a user meets it: one line, the right exit status, no traceback."""

import os
import subprocess
import sys

import numpy as np
import pytest


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["run", "--profile", "gigantic"], "unknown profile 'gigantic'; choose from: embedded"),
        (["book", "--profile", "gigantic"], "unknown profile 'gigantic'; choose from: embedded"),
        (["run", "--workers", "0"], "--workers"),
        (["run", "--speed", "9"], "--speed"),
        (["fly"], "unknown command 'fly'; choose from: bench, book"),
        (["notebook", "poetry"], "unknown notebook 'poetry'; choose from: claims-ledger"),
        (
            ["notebook", "sweet-phase", "-p", "colour=red"],
            "unknown parameter of notebook sweet-phase 'colour'",
        ),
        (["notebook", "sweet-phase", "-p", "profile"], "expected parameter=value"),
        (
            ["notebook", "the-score", "-p", "samples_per_class=many"],
            "'samples_per_class' of notebook the-score: expected int",
        ),
        (["notebook", "sweet-phase", "-p", "records=imagined"], "choose from: live, published"),
        (
            ["notebook", "sweet-phase", "-p", "profile=gigantic"],
            "unknown profile 'gigantic'; choose from: embedded",
        ),
    ],
)
def test_wrong_use_is_one_line_and_exit_status_2(checkout, command, arguments, complaint):
    run = command(*arguments)
    assert run.returncode == 2
    assert complaint in run.stderr
    assert "Traceback" not in run.stderr
    told = [line for line in run.stderr.splitlines() if line.startswith("tepones: ")]
    assert len(told) == 1


def test_outside_a_checkout_is_told(tmp_path):
    """By a process of its own, as users have it."""
    environment = {**os.environ, "TEPONES_ROOT": str(tmp_path)}
    run = subprocess.run([sys.executable, "-m", "tepones", "run"], env=environment, capture_output=True, text=True)
    assert run.returncode == 2 and "no tepones checkout" in run.stderr and "Traceback" not in run.stderr


def test_an_environment_without_what_the_book_needs_is_told(checkout):
    program = "import sys; sys.modules['jupytext'] = None; sys.argv = ['tepones', 'book']\n"
    program += "from tepones.cli import main; main()"
    variables = {**os.environ, "TEPONES_ROOT": str(checkout)}
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=variables)
    assert run.returncode == 1
    assert run.stderr.startswith("tepones: jupytext is not installed here: `pip install ")
    assert "[book]" in run.stderr and run.stderr.count("\n") == 1


def test_a_clone_without_symbolic_links_is_told_before_anything_is_computed(checkout, command):
    link = checkout / "book" / "_toc.yml"
    link.unlink()
    link.write_text("../_toc.yml")
    run = command("book")
    assert run.returncode == 1
    assert "must be symbolic links: `git config core.symlinks true`" in run.stderr and run.stderr.count("\n") == 1
    assert not (checkout / "build").exists()


def test_a_cell_that_raises_names_notebook_cell_and_error(checkout, command):
    text = (checkout / "notebooks" / "sweet-phase.md").read_text()
    broken = text.replace('rungs = tables["rungs"]', 'rungs = tables["tables"]')
    assert broken != text
    (checkout / "notebooks" / "sweet-phase.md").write_text(broken)
    run = command("notebook", "sweet-phase")
    assert run.returncode == 1
    assert "notebook sweet-phase: cell" in run.stderr and "KeyError" in run.stderr
    assert "Traceback" not in run.stderr


def test_no_permission_to_write_is_told_and_keeps_the_records(checkout, command):
    """The folder of the records is a file: even root cannot write there."""
    (checkout / "build").mkdir()
    (checkout / "build" / "records").write_text("in the way")
    run = command("run", "--profile", "tiny")
    assert run.returncode == 1
    assert str(checkout / "build" / "records") in run.stderr
    assert "Traceback" not in run.stderr
    assert (checkout / "build" / "records").read_text() == "in the way"


def test_records_of_another_profile_cannot_be_mistaken(checkout, command):
    run = command("notebook", "sweet-phase", "-p", "records=live", "-p", "profile=tiny")
    assert run.returncode == 1 and "no live records of profile tiny" in run.stderr


@pytest.fixture
def features(tmp_path):
    labels = np.arange(30) % 3
    np.savez(
        tmp_path / "x.npz", features=np.random.default_rng(0).normal(size=(30, 4)) + labels[:, None], labels=labels
    )
    return tmp_path / "x.npz"


def shell(command, *arguments):
    """Status, standard output and standard error of a command of the shell, in which $0 is the command line."""
    program = f"{sys.executable} -m tepones"
    run = subprocess.run(["sh", "-c", command.replace("$0", program), "sh", *arguments], capture_output=True, text=True)
    return run.returncode, run.stdout, run.stderr


def test_closed_or_full_standard_output_is_told_and_fails(features):
    assert shell('$0 score "$1" >&-', str(features)) == (
        1,
        "",
        "tepones: standard output is closed; open it, or send it to a file: > FILE\n",
    )
    assert shell("$0 --version >/dev/full") == (1, "", "tepones: [Errno 28] No space left on device\n")


def test_nobody_who_reads_on_is_no_error_to_talk_about():
    """The status of a pipe is that of its last command, so that of the first goes to standard error."""
    status, _, told = shell("{ sleep 1; $0 --help; echo $? >&2; } | true")
    assert (status, told) == (0, "1\n")


def test_closed_standard_error_takes_nothing_from_the_answer(features):
    status, answer, told = shell('$0 score "$1" --scores gaussian --format csv 2>&-', str(features))
    assert (status, told) == (0, "") and answer.startswith("score,") and "\ngaussian,," in answer
    status, answer, told = shell("$0 fly 2>&-")
    assert (status, answer, told) == (2, "", "")


@pytest.mark.parametrize(
    ("arguments", "interrupted", "told"),
    [
        (["rank", "--task", "digits", "--backbones", "x.pt"], "tepones.ranking.open_target", "interrupted"),
        (["ledger"], "tepones.companion.claims.ledger.everywhere", "interrupted"),
        (
            ["run", "--profile", "tiny"],
            "tepones.companion.study.plan.compute",
            "interrupted; finished records are kept, run the command again to go on",
        ),
    ],
)
def test_an_interruption_is_one_line_that_speaks_of_records_where_there_are_some(
    checkout, command, monkeypatch, arguments, interrupted, told
):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(interrupted, interrupt)
    run = command(*arguments)
    assert (run.returncode, run.stdout, run.stderr) == (130, "", f"tepones: {told}\n")


def test_a_score_that_fails_is_told_and_the_others_are_there(command, tmp_path):
    labels = np.arange(60) % 3
    np.savez(tmp_path / "x.npz", features=1e6 * np.random.default_rng(0).normal(size=(60, 90)), labels=labels)
    run = command("score", tmp_path / "x.npz", "--format", "csv")
    assert run.returncode == 1
    assert run.stderr.startswith("score transrate: a covariance of 90 features") and run.stderr.count("\n") == 1
    assert "\ngaussian,," in run.stdout and "\ntransrate,,," in run.stdout and "error" not in run.stdout
    run = command("score", tmp_path / "x.npz", "--scores", "gaussian,transrate")
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith("tepones: score 'transrate': a covariance of 90") and run.stderr.count("\n") == 1
    run = command("score", tmp_path / "x.npz", "--scores", "gaussian,logme")
    assert (run.returncode, run.stderr) == (0, "")
