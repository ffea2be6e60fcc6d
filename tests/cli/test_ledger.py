"""`tepones ledger` as a user meets it."""

import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner

from tepones import cli
from tepones.cli.ledger import ledger
from tepones.common import paths


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
    assert "contradicted" in line and "accuracy points, 9 ladders × 12 targets" in line
    assert next(line for line in lines if line.startswith("tickets transfer, full")).endswith("how they vary")
    assert len({line.index("published") for line in lines[:-2]}) == 1
    assert lines[-1].startswith("10 rows: ") and lines[-2] == ""


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
            "unknown profile 'huge'; choose from: embedded, imagenet, methods, natural, photographs, published, "
            "second-order, tiny",
        ),
        (["--profile", "photographs"], 1, "no published records of profile photographs"),
        (["--profile", "second-order"], 1, "no published records of the study second-order; tepones run --profile"),
        (["--profile", "imagenet"], 1, "no published records of profile imagenet: it is planned, not built"),
        (["--profile", "tiny", "--records", "live"], 1, "no live records of profile tiny"),
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
