"""The chapter *Claims ledger*: its tables hold every verdict, and no number of the text is typed."""

import pandas as pd
import pytest
from chapter_cells import run_cells

from tepones.common import paths
from tepones.companion.chapters import claims_ledger
from tepones.companion.claims import ledger

NBSP = "\N{NO-BREAK SPACE}"


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    """The ledger of the published tables and of no study, which takes a second."""
    nothing = tmp_path_factory.mktemp("build")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "build", lambda: nothing)
        return ledger.everywhere(dict.fromkeys(("embedded", "methods", "photographs", "second-order"), "live"))


def test_the_text_counts_the_verdicts_of_the_ledger(verdicts, monkeypatch):
    monkeypatch.setattr(ledger, "everywhere", lambda records: verdicts.assign(profile=str(records)))
    glued = run_cells("claims-ledger", monkeypatch, parameters={"profile": "tiny", "records": "live"})
    counts = verdicts["verdict"].value_counts()
    for verdict in ("supported", "equivalent", "undecided", "contradicted"):
        assert glued[f"n-{verdict}"] == counts.get(verdict, 0)
    assert glued["n-tested"] == len(verdicts) - counts["not tested"] == counts.drop("not tested").sum()
    assert "{'tiny': 'live'}" in glued["tab-ledger"]
    assert glued["findings"].count('class="verdict') == len(claims_ledger.findings(verdicts))
    assert glued["by-paper"].count("<tr>") == verdicts["source"].nunique()


def test_tables_for_readers_hold_every_claim_once(verdicts):
    tested, untested = claims_ledger.tested(verdicts), claims_ledger.untested(verdicts)
    assert len(tested) == (verdicts["verdict"] != "not tested").sum() > 0
    assert len(tested) + len(untested) == verdicts["claim"].nunique()
    assert "{cite:p}`iofinova2022sparse`" in tested["claim"].iloc[1]
    assert (
        untested["why it is not tested"].str.contains("photographs: no live records of profile photographs yet").any()
    )


def test_a_verdict_is_shown_with_its_numbers(verdicts):
    about = {"claim": "c", "source": ledger.COMPANION, "words": "w.", "profile": "p", "verdict": "undecided"}
    numbers = {"estimate": -0.5, "low": -1.25, "high": 0.333, "threshold": -1.0, "margin": 0.5, "detects": 1.206}
    row = verdicts.iloc[:1].assign(
        **about, **numbers, side="below", unit="points", basis="3 dense backbones × 2 targets"
    )
    shown = claims_ledger.tested(row).iloc[0]
    assert shown["claim"] == "*c* (companion): w." and shown["claimed"] == "below −1"
    measured = shown["measured"].replace(NBSP, " ")
    assert measured == "−0.50 [−1.25, +0.33] points; p, 3 dense backbones × 2 targets; detects 1.21"
    assert NBSP in shown["measured"] and shown["verdict"] == "**undecided**"


@pytest.mark.parametrize(
    ("side", "claimed"),
    [("above", "above −1"), ("below", "below −1"), ("at least", "at least −1.5"), ("at most", "at most −0.5")],
)
def test_what_is_claimed_is_where_the_claimed_side_begins(verdicts, side, claimed):
    """As the ledger judges: an interval beyond it, however little, is supported."""
    row = verdicts.iloc[:1].assign(verdict="undecided", threshold=-1.0, margin=0.5, side=side)
    assert claims_ledger.tested(row)["claimed"].tolist() == [claimed]
    fields = {"statistic": "agreement", "profiles": ("tiny",), "threshold": -1, "margin": 0.5, "side": side}
    claim = ledger.Claim(claim="c", source="s", words="w", unit="u", **fields)
    begins = float(claimed.rpartition(" ")[2].replace("−", "-"))
    judged = [ledger.verdict(claim, begins + step - 0.01, begins + step + 0.01) for step in (-0.011, 0.011)]
    assert judged == (["contradicted", "supported"] if side in ("above", "at least") else ["supported", "contradicted"])


def test_a_claim_tested_somewhere_is_not_among_the_untested(verdicts):
    rows = verdicts[verdicts["verdict"] == "not tested"].iloc[:2].assign(claim="c", profile=["a", "b"], reason="why")
    assert claims_ledger.untested(rows)["why it is not tested"].tolist() == ["a: why; b: why"]
    assert claims_ledger.untested(rows.assign(verdict=["supported", "not tested"])).empty


def test_the_front_shows_of_each_question_the_most_telling_claim_that_was_tested(verdicts):
    first, second = claims_ledger.FRONT[0][:2]
    rows = pd.concat([verdicts.iloc[:1]] * 4).assign(
        claim=[second, first, first, claims_ledger.FRONT[1][0]],
        verdict=["supported", "not tested", "contradicted", "not tested"],
        profile=["a", "b", "c", "d"],
        unit="points",
        **{"estimate": -0.5, "low": -1.25, "high": 0.333},
    )
    found = claims_ledger.findings(rows)
    assert found[["claim", "verdict"]].values.tolist() == [[first, "contradicted"]]
    assert found["measured"].str.replace(NBSP, " ").tolist() == ["−0.50 [−1.25, +0.33] points (c)"]
    assert claims_ledger.findings(rows.iloc[:2])["claim"].tolist() == [second]
    assert claims_ledger.findings(rows.iloc[3:]).empty


def test_every_question_of_the_front_is_one_of_claims_of_the_ledger(verdicts):
    assert {claim for claims in claims_ledger.FRONT for claim in claims} <= set(verdicts["claim"])


def test_the_summary_counts_every_verdict_and_every_claim_without_one(verdicts):
    counts = claims_ledger.by_paper(verdicts).set_index("paper")
    decided = verdicts["verdict"] != "not tested"
    assert counts.drop(columns="not tested").to_numpy().sum() == decided.sum()
    assert counts["not tested"].sum() == len(claims_ledger.untested(verdicts))
    assert counts.index[0] == "Spadaro 2026" and counts.index[-1] == "companion"
    of_paper = verdicts[verdicts["source"] == "iofinova2022sparse"]
    assert counts.loc["Iofinova 2022", "supported"] == (of_paper["verdict"] == "supported").sum() > 0


def test_html_is_escaped(verdicts):
    table = claims_ledger.as_html(pd.DataFrame({"claim": ["<b>a & b</b>"], "verdict": ["undecided"]}), "findings")
    assert "&lt;b&gt;a &amp; b&lt;/b&gt;" in table and '<span class="verdict undecided">undecided</span>' in table
