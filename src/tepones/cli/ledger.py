"""The command for the claims ledger."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import pandas as pd


@click.command()
@click.option("--profile", help="One profile, or `published` for the tables of others; all claims by default.")
@click.option(
    "--records",
    type=click.Choice(["published", "live"]),
    default="published",
    show_default=True,
    help="The committed records, or those that this machine computed.",
)
def ledger(profile: str | None, records: str) -> None:
    """Print what the papers claim and what the measurements say."""
    from tepones.companion.claims import ledger as verdicts

    if profile is None:
        found = verdicts.everywhere(dict.fromkeys(verdicts.known_profiles(), records))
    else:
        found = verdicts.ledger(verdicts.measurements(profile, records), profile)
    for line in _lines(found):
        click.echo(line)


def _lines(found: "pd.DataFrame") -> list[str]:
    """One line for each verdict, columns aligned, and a last line that counts them."""
    from tepones.companion.claims.ledger import VERDICTS

    rows = [(row["claim"], row["profile"], row["verdict"], _why(row)) for _, row in found.iterrows()]
    table = [
        (
            "claim",
            "profile",
            "verdict",
            "measured: mean [95 % interval], basis, how far from another verdict, what was detectable; or why not",
        ),
        *rows,
    ]
    widths = [max(len(row[column]) for row in table) for column in range(3)]
    lines = ["  ".join([*map(str.ljust, row[:3], widths), row[3]]) for row in table]
    counts = [f"{int((found['verdict'] == verdict).sum())} {verdict}" for verdict in VERDICTS]
    return [*lines, "", f"{len(found)} rows: {', '.join(counts)}"]


def _why(row: "pd.Series") -> str:
    from tepones.companion.claims.ledger import measured

    if row["verdict"] == "not tested":
        return row["reason"]
    power = f"another verdict {row['slack']:.2f} away, detects {row['detects']:.2f}"
    return f"{measured(row)} {row['unit']}, {row['basis']}; {power}"
