"""How sure rankings of few images are, and how right: what `tepones.ranking.certainty` says, held against more images.

The records are in `data/records/redraws`; `compute` makes them again::

    from pathlib import Path
    from tepones.companion.study import redraws, tables
    Path("networks.csv").write_text(tables.to_csv(redraws.compute(Path("build/redraws"))))

It needs the photographs and released weights of the folder of data sets, and timm for one network of ten.

A *cell* is a target, a number of images of each class and a draw: the images of the ranking, as many others of the same
classes (*fresh*), and all that are left, the fresh ones among them (*rest*). Of a class with fewer than twice as many
images as wanted, half are drawn. No image of the ranking is in the rest, so that the two agree by no image in common.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from tepones.agreement.correlations import kendall
from tepones.common import paths
from tepones.common.errors import TeponesError
from tepones.common.files import check_sums
from tepones.companion.study import widths
from tepones.ranking import DEFAULT_SCORES, certainty
from tepones.scores import score
from tepones.scores.rows import by_class

#: Targets, and the number of their classes where the copy is not the official data set.
TARGETS = {
    "caltech101": None,
    "flowers102": None,
    "eurosat": None,
    "pacs-photo": None,
    "pacs-sketch": None,
    "pacs-art_painting": None,
    "pacs-cartoon": None,
    "dtd": 10,
    "gtsrb": None,
    "cifar10": None,
}
#: Images of each class at most, of the ten classes with the most.
POOL = 300
PER_CLASS = (5, 10, 20, 50, 100)
DRAWS = 3
#: The score that decides a ranking.
SCORE = DEFAULT_SCORES[0]
#: Pairs of networks are told by how far apart the rest has them: the lower ends of the groups.
APART = (0.0, 0.02, 0.05, 0.1)

CELL = ["target", "per_class", "draw"]


def draw(labels: np.ndarray, per_class: int, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of a cell: of the ranking, fresh ones, and the rest."""
    generator = np.random.default_rng(number)
    parts: tuple[list[np.ndarray], ...] = ([], [], [])
    for rows in by_class(labels):
        own = generator.permutation(rows)
        n = min(per_class, len(own) // 2)
        for part, chosen in zip(parts, (own[:n], own[n : 2 * n], own[n:]), strict=True):
            part.append(chosen)
    ranking, fresh, rest = (np.sort(np.concatenate(part)) for part in parts)
    return ranking, fresh, rest


def compute(folder: Path) -> pd.DataFrame:
    """The records: one row for each cell and network.

    Parameters
    ----------
    folder : Path
        Where features are kept, about 600 MB; those that are there are not computed again.

    Returns
    -------
    DataFrame
        `CELL`, ``network``, the score ``value`` on the images of the ranking, on ``fresh`` ones and on the ``rest``,
        and ``first``, ``rank_low`` and ``rank_high`` of `tepones.ranking.certainty.certainty`. Cost: about an hour of
        one core.
    """
    known = [network for network in widths.networks() if network.trained]
    rows, spreads = [], {}
    for target, network, features, labels in widths.features(folder, known, TARGETS, POOL):
        for per_class in PER_CLASS:
            for number in range(DRAWS):
                parts = draw(labels, per_class, number)
                values = [_value(features[part], labels[part]) for part in parts]
                cell = (target, per_class, number)
                spread = certainty.deviations(features[parts[0]], labels[parts[0]], SCORE)
                spreads.setdefault(cell, []).append(spread)
                rows.append(dict(zip(CELL, cell, strict=True)) | {"network": network.name})
                rows[-1] |= dict(zip(("value", "fresh", "rest"), values, strict=True))
    table = pd.DataFrame(rows)
    sure = [
        certainty.certainty(own["value"].to_numpy(), np.column_stack(spreads[cell])).set_index(own.index)
        for cell, own in table.groupby(CELL, sort=False)
    ]
    return table.join(pd.concat(sure)).sort_values(CELL, kind="stable", ignore_index=True)


def _value(features: np.ndarray, labels: np.ndarray) -> float:
    return float(score(features, labels, [SCORE], null=False)["value"][0])


def load() -> pd.DataFrame:
    """The committed records, as `compute` makes them; `TeponesError` if they are not there."""
    path = paths.published_records("redraws") / "networks.csv"
    if not path.is_file():
        raise TeponesError(f"{path} is missing; tepones.companion.study.redraws.compute makes it again")
    check_sums(path.parent)
    return pd.read_csv(path)


def ordered(records: pd.DataFrame) -> pd.DataFrame:
    """How often two networks are put into the right order, by the number of images and by how far apart they are.

    Columns ``per_class``, ``apart`` (the lower end of a group of `APART`, the accuracy by which the rest tells the two
    apart), ``right`` (the share of the pairs that the ranking has in the order of the rest; of a tie half), ``pairs``.
    Pairs that the rest has level are left out.
    """
    pairs = records.merge(records, on=CELL, suffixes=("", " other"))
    pairs["apart"] = pairs["rest"] - pairs["rest other"]
    pairs = pairs[pairs["apart"] > 0]
    pairs["right"] = (np.sign(pairs["value"] - pairs["value other"]) + 1) / 2
    pairs["apart"] = np.array(APART)[np.searchsorted(APART, pairs["apart"], side="right") - 1]
    groups = pairs.groupby(["per_class", "apart"])["right"]
    return groups.agg(right="mean", pairs="size").reset_index()


def calibration(records: pd.DataFrame) -> pd.DataFrame:
    """What certainty promises and what came of it, by the number of images: one row for each.

    Columns ``per_class``; ``tau`` (Kendall's τ between ranking and rest, mean over cells); ``rest`` and ``fresh``, the
    shares of the intervals that hold the rank of the network there; ``width`` (ranks in an interval); ``claimed``, the
    mean probability of the network that is the most probable first, and ``came_first``, how often it is first in the
    rest; ``alike``, how many networks cannot be told apart from the first, and ``hold_first``, how often the first of
    the rest is one of them; ``cells``.
    """
    rows = []
    for (_, per_class, _), own in records.groupby(CELL, sort=False):
        ranks = own[["rest", "fresh"]].rank(ascending=False, method="min")
        inside = ranks.ge(own["rank_low"], axis=0) & ranks.le(own["rank_high"], axis=0)
        likely, alike = own["first"].idxmax(), own["rank_low"] == 1
        rows.append(
            {
                "per_class": per_class,
                "tau": kendall(own["value"], own["rest"]),
                **inside.mean(),
                "width": (own["rank_high"] - own["rank_low"] + 1).mean(),
                "claimed": own["first"].max(),
                "came_first": ranks.loc[likely, "rest"] == 1,
                "alike": alike.sum(),
                "hold_first": (alike & (ranks["rest"] == 1)).any(),
            }
        )
    table = pd.DataFrame(rows).astype(float)
    found = table.groupby("per_class").mean()
    return found.assign(cells=table.groupby("per_class").size()).reset_index().astype({"per_class": int})
