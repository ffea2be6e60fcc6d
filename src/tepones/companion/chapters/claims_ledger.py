"""The chapter *Claims ledger*: the tables of verdicts that readers see, here and in other chapters."""

import re

import pandas as pd

from tepones.companion.claims.ledger import COMPANION, measured


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


def at_a_glance(verdicts: pd.DataFrame) -> pd.DataFrame:
    """What the ledger could test, in short and without citations: the table at the front of the book."""
    verdicts = verdicts[verdicts["verdict"] != "not tested"]
    return pd.DataFrame(
        {
            "claim": verdicts["claim"] + " (" + verdicts["source"].map(_author_and_year) + ")",
            "profile": verdicts["profile"],
            "mean [95 % interval]": [f"{_unbroken(measured(row))} {row['unit']}" for _, row in verdicts.iterrows()],
            "verdict": verdicts["verdict"].map(_unbroken),
        }
    )


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
