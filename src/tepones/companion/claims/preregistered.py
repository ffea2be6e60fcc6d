"""Claims as they stood before the first record of a study: those that change later prove less.

The first run of a study keeps its claims beside the records. Every later one compares, a shard on this machine too.
"""

import json

from tepones.common import paths
from tepones.common.errors import TeponesError
from tepones.common.files import read_whole, write_atomically
from tepones.companion.claims import ledger

LARGEST = 10**7


def changes(profile: str) -> list[str]:
    """What is no longer claimed of a study as it was when its first record was made here.

    Parameters
    ----------
    profile : str
        A profile, or the study without ladders; before its first record, the claims of today are kept.

    Returns
    -------
    list of str
        One sentence for each claim that is new, gone or another, which names the fields that differ; sorted by name.

    Raises
    ------
    UsageError
        If `data/claims.yaml` is wrong.
    TeponesError
        If the file that keeps the claims is damaged.
    """
    path = paths.records(profile) / "claims.json"
    now = {
        claim.claim: claim.model_dump(mode="json")
        for claim in ledger.claims()
        if isinstance(claim, ledger.Claim) and profile in claim.profiles
    }
    if not path.exists():
        write_atomically(path, json.dumps(now, indent=1).encode())
        return []
    try:
        before = json.loads(read_whole(path, LARGEST))
        return [
            f"claim {name!r} {_difference(before.get(name), now.get(name))} since the first record of {profile}"
            for name in sorted(before | now)
            if before.get(name) != now.get(name)
        ]
    except (ValueError, TypeError, AttributeError, OSError, RecursionError) as error:
        raise TeponesError(
            f"{path}: expected the claims as they were; remove it to begin with today's: {error}"
        ) from None


def _difference(before: dict | None, now: dict | None) -> str:
    if before is None:
        return "is new"
    if now is None:
        return "is gone"
    return "has another " + ", ".join(field for field in now if before.get(field) != now[field])
