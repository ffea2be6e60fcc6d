"""The chapter *Claims ledger*: the tables of verdicts that readers see, here and in other chapters."""

import html
import re

import pandas as pd

from tepones.companion.claims.ledger import COMPANION, VERDICTS, measured

FRONT = (
    ("sweet phase by pruning", "sweet phase, photographs", "sweet phase"),
    ("ranks where one would choose", "ranks without fine-tuning"),
    ("selects a good backbone, photographs", "selects a good backbone"),
    ("P1, transfer, magnitude", "P1, source, magnitude"),
    ("as good as dense, frozen",),
)
"""The questions of the papers, each as the claims that answer it, the most telling one first."""


def tested(verdicts: pd.DataFrame) -> pd.DataFrame:
    """What the ledger (`tepones.companion.claims.ledger`) could test, as readers see it.

    One row for each claim and profile, in Markdown: claim, claimed, measured, verdict.
    """
    verdicts = verdicts[verdicts["verdict"] != "not tested"]
    rows = [row for _, row in verdicts.iterrows()]
    claimed = [_claimed(row).replace("-", "−") for row in rows]
    return pd.DataFrame(
        {
            "claim": _in_our_words(verdicts),
            "claimed": claimed,
            "measured": [
                f"{_unbroken(measured(row))} {row['unit']}; {row['profile']}, {_unbroken(row['basis'])}; "
                f"detects\N{NO-BREAK SPACE}{row['detects']:.2f}"
                for row in rows
            ],
            "verdict": "**" + verdicts["verdict"] + "**",
        }
    )


def untested(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Claims without a verdict on any profile, as readers see them: one row each, with the reasons."""
    decided = set(verdicts.loc[verdicts["verdict"] != "not tested", "claim"])
    rows = []
    for _, group in verdicts[~verdicts["claim"].isin(decided)].groupby("claim", sort=False):
        reasons = [f"{row['profile']}: {row['reason']}".removeprefix(": ") for _, row in group.iterrows()]
        rows.append(group.iloc[0].to_dict() | {"reason": "; ".join(reasons)})
    found = pd.DataFrame(rows, columns=verdicts.columns)
    return pd.DataFrame({"claim": _in_our_words(found), "why it is not tested": found["reason"]})


def findings(verdicts: pd.DataFrame) -> pd.DataFrame:
    """What the front of the book shows: of each question of `FRONT` the first claim that was tested.

    One row for each question that has one: claim, its words, verdict, measured (mean, interval, unit, profile).
    """
    tested = verdicts[verdicts["verdict"] != "not tested"]
    rows = []
    for claims in FRONT:
        of_question = tested[tested["claim"].isin(claims)]
        # The order of the claims decides, and among the profiles of a claim that of its own list.
        rows += [row for claim in claims for _, row in of_question[of_question["claim"] == claim].iterrows()][:1]
    found = pd.DataFrame(rows, columns=verdicts.columns)
    measure = [f"{_unbroken(measured(row))} {row['unit']} ({row['profile']})" for row in rows]
    return found[["claim", "words", "verdict"]].assign(measured=measure)


def by_paper(verdicts: pd.DataFrame) -> pd.DataFrame:
    """How many verdicts of each kind there are on the claims of each paper, and how many claims have none."""
    decided = verdicts[verdicts["verdict"] != "not tested"]
    without = verdicts[~verdicts["claim"].isin(decided["claim"])].drop_duplicates("claim")
    counted = pd.concat([decided, without])
    counts = pd.crosstab(counted["source"], counted["verdict"]).reindex(columns=VERDICTS, fill_value=0)
    papers = sorted(dict.fromkeys(verdicts["source"]), key=lambda source: source == COMPANION)
    table = counts.loc[papers].reset_index(names="paper").rename_axis(columns=None)
    return table.assign(paper=table["paper"].map(_author_and_year))


def as_html(frame: pd.DataFrame, name: str) -> str:
    """A table for the front page, in HTML with the name as a class, as has each verdict in it."""
    escaped = frame.map(lambda cell: html.escape(str(cell)))
    chips = {"verdict": '<span class="verdict {0}">{0}</span>'.format} if "verdict" in frame else {}
    table = escaped.to_html(
        index=False, border=0, classes=f"table {name}", justify="left", escape=False, formatters=chips
    )
    return f'<div class="pst-scrollable-table-container">{table}</div>'


def _claimed(row: pd.Series) -> str:
    """The side of the threshold, made worse by the margin where the claim says so: ``above 0``, ``at least -1``."""
    allowed = {"at least": -row["margin"], "at most": row["margin"]}.get(row["side"], 0.0)
    return f"{row['side']} {row['threshold'] + allowed:g}"


def _in_our_words(verdicts: pd.DataFrame) -> pd.Series:
    sources = verdicts["source"].map(lambda key: f"({key})" if key == COMPANION else f"{{cite:p}}`{key}`")
    return "*" + verdicts["claim"] + "* " + sources + ": " + verdicts["words"]


def _unbroken(words: str) -> str:
    """Words that no line of a narrow column parts."""
    return words.replace(" ", "\N{NO-BREAK SPACE}")


def _author_and_year(key: str) -> str:
    """``chen2021lottery`` → ``Chen 2021``."""
    parts = re.match(r"([a-z]+)(\d{4})", key)
    return f"{parts[1].title()} {parts[2]}" if parts else key
