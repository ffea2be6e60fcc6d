"""What the chapter *Ladders* shows of every pruning method: accuracies from tables, layers and costs from the zoo.

Methods are grouped by the question that they answer when they are compared; `REFERENCE` is in every group.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from tepones import agreement
from tepones.common.errors import UsageError, choose
from tepones.companion import study
from tepones.companion.claims import statistic

REFERENCE = "magnitude iterative"

#: What is compared with what.
QUESTIONS = {
    "Which weights go": (
        REFERENCE,
        "per layer magnitude iterative",
        "snip iterative",
        "diagonal iterative",
        "block iterative",
        "random iterative",
    ),
    "How they go, and how the rest is trained": (
        REFERENCE,
        "magnitude gradual",
        "magnitude acdc",
        "magnitude rigl",
        "magnitude str",
        "magnitude structured",
        "magnitude one-shot",
    ),
    "What the rest starts from": (
        REFERENCE,
        "magnitude lottery",
        "magnitude reinitialised",
        "magnitude one-shot",
        "simclr magnitude one-shot",
    ),
}

#: Every method once, in the order of the questions.
METHODS = tuple(dict.fromkeys(method for group in QUESTIONS.values() for method in group))

SOURCE = statistic.SOURCE
ALL_TARGETS = "mean of all targets"

#: Budget fields of the zoo's manifests in words, with the unit and what one unit is.
COSTS = {
    "nonzero_weights": ("non-zero weights", "weights", 1),
    "bytes_dense": ("plain file", "kB", 1000),
    "bytes_sparse": ("compressed file", "kB", 1000),
    "flops": ("operations", "MFLOP", 1e6),
    "latency_ms": ("latency", "ms", 1),
    "peak_activation_bytes": ("peak activations", "kB", 1000),
}


def curves(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Accuracy of every method at every rung, mean over the seeds of its ladders.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        As `tepones.companion.study.load` returns it; of the methods in `METHODS`.

    Returns
    -------
    DataFrame
        Columns method, rung, sparsity, seeds (how many), target, accuracy. Besides the targets there are `SOURCE`, by
        the network's own classifier, and `ALL_TARGETS`.
    """
    judged = study.tidy(dict(tables)).drop_duplicates(["ladder", "rung", "target"])
    for method in judged["method"].unique():
        choose("method", method, METHODS)
    source = judged.drop_duplicates(["ladder", "rung"])
    source = source.assign(target=SOURCE, accuracy=source["source_accuracy"])
    mean = judged.assign(target=ALL_TARGETS)
    found = pd.concat([source, mean, judged], ignore_index=True)
    grouped = found.groupby(["method", "rung", "target"], sort=False)
    return grouped.agg(
        sparsity=("sparsity", "mean"), seeds=("seed", "nunique"), accuracy=("accuracy", "mean")
    ).reset_index()


def pair(tables: Mapping[str, pd.DataFrame], method: str, over: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two methods seed by seed, on the source task and on the mean of the targets.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        As `tepones.companion.study.load` returns it.
    method, over : str
        Methods with ladders of the same seeds.

    Returns
    -------
    accuracies : DataFrame
        Columns measured (`SOURCE` or `ALL_TARGETS`), seed, method, rung, sparsity, accuracy.
    differences : DataFrame
        Columns measured, rung, sparsity, seed, difference (accuracy points, `method` minus `over`), and for each rung
        its mean, low, high: the 95 % interval that the claims ledger computes, NaN with one seed. Without rung 0.
    """
    frame = study.tidy(dict(tables)).drop_duplicates(["ladder", "rung", "target"])
    source = statistic.on_source(frame)
    accuracies, differences = [], []
    for measured, part in ((SOURCE, source), (ALL_TARGETS, frame)):
        means = part[part["method"].isin([method, over])]
        means = means.groupby(["seed", "method", "rung", "sparsity"], sort=False)["accuracy"].mean().reset_index()
        accuracies.append(means.assign(measured=measured))
        paired = statistic.paired(part, method, over)
        for (rung, sparsity), cells in paired.groupby(["rung", "sparsity"]):
            table = cells.pivot(index="seed", columns="target", values="value")
            interval = agreement.two_level_interval(table.to_numpy())
            about = {"measured": measured, "rung": rung, "sparsity": sparsity}
            about |= {"mean": float(interval.mean), "low": float(interval.low), "high": float(interval.high)}
            differences += [about | {"seed": seed, "difference": row.mean()} for seed, row in table.iterrows()]
    return pd.concat(accuracies, ignore_index=True), pd.DataFrame(differences)


def densities(zoo_folder: Path) -> pd.DataFrame:
    """Fraction of the weights that remain in each layer of each rung of the zoo's ladders.

    Parameters
    ----------
    zoo_folder : Path
        Its folders are ladders.

    Returns
    -------
    DataFrame
        Columns method, rung, sparsity, layer, name, position, size (weights of the dense layer), density (fraction of
        them that is not zero), relative (density over that of the whole network), collapsed (nothing remains).
        A channel that is gone counts as zeros.
    """
    from tepones.pruning.masks import prunable
    from tepones.ranking import zoo

    rows = []
    for folder, about in _ladders(zoo_folder):
        sizes: dict[str, int] = {}
        for level, rung in enumerate(about.rungs):
            weights = prunable(zoo.load(folder, rung.file).model)
            sizes = sizes or {name: weight.numel() for name, weight in weights.items()}
            labels = layer_labels(list(sizes))
            for position, (name, size) in enumerate(sizes.items()):
                density = int(weights[name].count_nonzero()) / size
                row = {"method": about.method, "rung": level, "sparsity": rung.sparsity, "layer": labels[name]}
                row |= {"name": name, "position": position, "size": size, "density": density}
                rows.append(row | {"relative": density / (1 - rung.sparsity), "collapsed": density == 0})
    return pd.DataFrame(rows)


def costs(zoo_folder: Path) -> pd.DataFrame:
    """What each rung of the zoo's ladders costs, as it is stored and after its dead channels were removed.

    Parameters
    ----------
    zoo_folder : Path
        Its folders are ladders.

    Returns
    -------
    DataFrame
        Columns method, rung, sparsity, field (of `COSTS`), quantity, unit, stored, shrunk; the last two in that unit.
    """
    rows = []
    for _, about in _ladders(zoo_folder):
        for level, rung in enumerate(about.rungs):
            for field, (quantity, unit, one) in COSTS.items():
                row = {"method": about.method, "rung": level, "sparsity": rung.sparsity, "field": field}
                row |= {"quantity": quantity, "unit": unit}
                rows.append(row | {"stored": rung.budget[field] / one, "shrunk": rung.shrunk[field] / one})
    return pd.DataFrame(rows)


def cost_table(frame: pd.DataFrame, rung: int) -> pd.DataFrame:
    """Costs of all methods at one rung, as readers see them: stored → shrunk, once where both are written alike.

    Parameters
    ----------
    frame : DataFrame
        As `costs` returns it.
    rung : int

    Raises
    ------
    UsageError
        If no method has such a rung.
    """
    frame = frame[frame["rung"] == rung]
    if frame.empty:
        raise UsageError(f"no ladder has a rung {rung}")
    words = [_before_after(row) for row in frame.itertuples()]
    units = frame["unit"].where(frame["unit"] != "weights", "")
    columns = (frame["quantity"] + units.map(lambda unit: f", {unit}" if unit else "")).rename("column")
    wide = frame.assign(words=words, column=columns).pivot(index="method", columns="column", values="words")
    wide = wide.reindex(index=[m for m in METHODS if m in wide.index], columns=list(dict.fromkeys(columns)))
    return wide.rename_axis(columns=None).reset_index()


def _before_after(row) -> str:
    form = ".2f" if row.field == "latency_ms" else ".0f" if row.unit in ("weights", "kB") else ".2f"
    stored, shrunk = format(row.stored, form), format(row.shrunk, form)
    # A narrow column may break before the arrow only.
    return stored if stored == shrunk else f"{stored} →\N{NO-BREAK SPACE}{shrunk}"


def layer_labels(names: list[str]) -> dict[str, str]:
    """Short words for the layers of a small residual network; other names keep their path."""
    blocks = list(dict.fromkeys(found[1] for name in names if (found := _BLOCK.match(name))))
    labels = {}
    for name in names:
        found = _BLOCK.match(name)
        if found:
            part = f"conv {found[3]}" if found[3] else "shortcut"
            labels[name] = f"block {1 + blocks.index(found[1])}, {part}"
        else:
            labels[name] = "first conv" if name == names[0] else name.removeprefix("encoder.").removesuffix(".weight")
    return labels


_BLOCK = re.compile(r"encoder\.(\d+)\.(conv(\d)|shortcut\.0)\.weight$")


def extremes(frame: pd.DataFrame, rung: int) -> pd.DataFrame:
    """The layers that each method spares most and least at one rung, and how many have collapsed.

    Parameters
    ----------
    frame : DataFrame
        As `densities` returns it.
    rung : int

    Returns
    -------
    DataFrame
        Columns method, most spared, least spared (layer and how many times the network's density), spread (the ratio
        of the two; infinite where a layer has collapsed), collapsed.
    """
    rows = []
    for method, part in frame[frame["rung"] == rung].groupby("method", sort=False):
        most, least = part.loc[part["relative"].idxmax()], part.loc[part["relative"].idxmin()]
        spread = most["relative"] / least["relative"] if least["relative"] else np.inf
        row = {"method": method, "most spared": most["layer"], "times": most["relative"]}
        row |= {"least spared": least["layer"], "times, least": least["relative"]}
        rows.append(row | {"spread": spread, "collapsed": int(part["collapsed"].sum())})
    return pd.DataFrame(rows)


def collapsed_words(frame: pd.DataFrame) -> str:
    """Which methods have layers without a weight, at which sparsity and how many, as part of a sentence.

    Parameters
    ----------
    frame : DataFrame
        As `densities` returns it.
    """
    gone = frame[frame["collapsed"]].groupby(["method", "rung"], sort=False)
    found = [f"{len(part)} of {method} at {100 * part['sparsity'].iloc[0]:.1f} %" for (method, _), part in gone]
    return ", ".join(found) or "none"


def _ladders(zoo_folder: Path):
    """Folder and manifest of the zoo's ladders of `METHODS`, in their order; the first seed of each."""
    from tepones.ranking import zoo

    found = {}
    for path in sorted(zoo_folder.glob(f"*/{zoo.MANIFEST}")):
        about = zoo.manifest(path.parent)
        choose("method of the zoo", about.method, METHODS)
        if about.method not in found or about.seed < found[about.method][1].seed:
            found[about.method] = path.parent, about
    return [found[method] for method in METHODS if method in found]
