"""`tepones ledger` as a user meets it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tepones import cli
from tepones.cli.ledger import ledger
from tepones.common import paths
from tepones.common.files import write_sums
from tepones.companion import study


def test_help_imports_neither_torch_nor_pandas():
    code = "import sys, tepones.cli; sys.exit(bool({'torch', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert ledger.name in cli.commands.commands


def test_the_published_claims_are_printed_one_a_line():
    run = CliRunner().invoke(ledger, ["--profile", "published"])
    assert run.exit_code == 0
    header, *lines = run.output.splitlines()
    assert header.split()[:3] == ["claim", "profile", "verdict"]
    line = next(line for line in lines if line.startswith("better than dense, full"))
    assert "contradicted" in line and "accuracy points, 9 ladders × 12 targets; another verdict 0." in line
    assert re.search(r"another verdict \d\.\d\d away, detects \d\.\d\d$", line)
    assert next(line for line in lines if line.startswith("tickets transfer, full")).endswith("how they vary")
    assert len({line.index("published") for line in lines[:-2]}) == 1
    assert lines[-1].startswith("10 rows: ") and lines[-2] == ""


def test_part_of_a_study_is_told_in_one_line(checkout, monkeypatch, capsys):
    rungs = paths.published_records("tiny") / "rungs.csv"
    table = study.read(rungs)
    table[table["ladder"] != "random iterative 0"].to_csv(rungs, index=False)
    write_sums(study.files(rungs.parent))
    monkeypatch.setattr(sys, "argv", ["tepones", "ledger", "--profile", "tiny"])
    with pytest.raises(SystemExit) as left:
        cli.main()
    told = capsys.readouterr().err
    assert left.value.code == 1
    assert told == "tepones: 2 of the 3 ladders of profile tiny are computed; all are judged at once\n"


def test_without_a_profile_every_claim_is_there(checkout):
    shutil.rmtree(checkout / "data" / "records", ignore_errors=True)
    run = CliRunner().invoke(ledger, [])
    assert run.exit_code == 0
    assert "no published records of profile embedded yet" in run.output
    assert "\nP2, source " in run.output and "better than dense, full" in run.output


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (
            ["--profile", "huge"],
            2,
            "unknown profile 'huge'; choose from: "
            "embedded, imagenet, methods, natural, photographs, published, second-order, tiny",
        ),
        (["--profile", "imagenet"], 1, "no published records of profile imagenet: it is planned, not built"),
        (["--profile", "tiny", "--records", "live"], 1, "no live records of profile tiny"),
        (["--profile", "photographs", "--records", "live"], 1, "no live records of profile photographs"),
        (
            ["--profile", "second-order", "--records", "live"],
            1,
            "no live records of the study second-order; tepones",
        ),
        (["--profile", "natural"], 1, "records of the first study, which did not keep which test images"),
        (["--records", "imagined"], 2, "'imagined' is not one of 'published', 'live'"),
    ],
)
def test_what_cannot_be_judged_is_told_in_one_line(checkout, monkeypatch, capsys, arguments, status, complaint):
    monkeypatch.setattr(sys, "argv", ["tepones", "ledger", *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main()
    told = capsys.readouterr().err.splitlines()
    assert left.value.code == status
    assert len(told) == 1 and told[0].startswith("tepones: ") and complaint in told[0]


def test_a_bad_claim_is_told_in_one_line(checkout, monkeypatch, capsys):
    path = paths.data() / "claims.yaml"
    path.write_text(path.read_text().replace("statistic: cross-fitted regret", "statistic: remorse", 1))
    monkeypatch.setattr(sys, "argv", ["tepones", "ledger", "--profile", "published"])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    assert "claim selects a good backbone: unknown statistic 'remorse'" in capsys.readouterr().err


@pytest.mark.parametrize("folder", ["published", "records/embedded"])
@pytest.mark.parametrize("arguments", [[], ["--profile"]])
def test_a_published_table_that_is_cut_is_told_and_nothing_is_judged(checkout, command, folder, arguments):
    """In the middle of a line, after which fewer rows would be a smaller study."""
    name = "sparse-imagenet-transfer" if folder == "published" else "transfer"
    path = checkout / "data" / folder / f"{name}.csv"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    run = command("ledger", *(arguments and [*arguments, Path(folder).name]))
    assert (run.returncode, run.stdout, run.stderr.count("\n")) == (1, "", 1)
    assert f"{path} is damaged" in run.stderr and f"`git checkout {path.parent}`" in run.stderr
