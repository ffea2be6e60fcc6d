"""Sentences of the chapters on photographs, composed from what the tables hold: they must be true of any part of it."""

from collections.abc import Mapping

import pandas as pd
from IPython.display import Markdown
from myst_nb import glue

from tepones import agreement
from tepones.companion.chapters import photographs_budget as budget
from tepones.companion.chapters import photographs_ranking as ranking
from tepones.companion.photographs import (
    HINDSIGHT,
    OTHER_LADDERS,
    OTHER_TARGETS,
    RULES,
    TRAINED,
    Correlation,
    absent,
    listed,
    outdated,
    spearman,
)
from tepones.companion.study.profiles import Profile


def say(words: str, key: str) -> None:
    """Glue sentences with emphasis and code under `key` for a `{glue:md}` in the text."""
    glue(key, Markdown(words), display=False)


def plain(words: str) -> str:
    """Sentences without the signs of emphasis and code, for an alt text."""
    return words.replace("*", "").replace("`", "")


def count(n: float, what: str) -> str:
    """*1 ladder*, *2 ladders*."""
    return f"{n:.0f} {what if n == 1 else what + 's'}"


def number(value: float, form: str = "+.2f") -> str:
    """A number with a true minus sign, or *unknown*."""
    return "unknown" if pd.isna(value) else format(value, form).replace("-", "−")


def interval(low: float, high: float, form: str = "+.2f") -> str:
    """``[low, high]``, or that there is none."""
    return "no interval" if pd.isna(low) else f"[{number(low, form)}, {number(high, form)}]"


def coverage(tables: Mapping[str, pd.DataFrame], profile: Profile) -> str:
    """Which ladders of the profile the tables hold, and whether the code of this version computed them."""
    missing, planned = absent(tables, profile), len(profile.ladders)
    if not missing:
        return f"All {planned} ladders of the profile *{profile.name}* are there. {outdated(tables)}"
    return (
        f"Of the {planned} ladders of the profile *{profile.name}* {planned - len(missing)} are there. "
        f"{outdated(tables)} Not computed yet, and not in any number below: {listed(missing)}."
    )


def varied_words(gains: pd.DataFrame, source: pd.DataFrame, plain: str, varied: str) -> str:
    """Whether the gain of a method remains where backbones were trained on varied images.

    Parameters
    ----------
    gains : DataFrame
        `photographs.chosen_gains` by the rule that other ladders choose.
    source : DataFrame
        Mean source accuracy in %, a row for each method and a column for each rung.
    plain, varied : str
        The two methods.
    """
    found = {}
    for method in (plain, varied):
        table = gains[gains["method"] == method].pivot(index="ladder", columns="target", values="value")
        if len(table) < 2:
            return f"The records do not hold several ladders of *{plain}* and *{varied}* yet."
        found[method] = agreement.two_level_interval(table.to_numpy())
    one, other = found[plain], found[varied]
    verdict = "above zero" if other.low > 0 else "below zero" if other.high < 0 else "not to be told from zero"
    return (
        f"Dense, backbones trained on varied images reach {source.loc[varied, 0]:.1f} % on the source, those trained "
        f"on the images as they are {source.loc[plain, 0]:.1f} %; one rung later they have "
        f"{source.loc[varied, 1]:.1f} and {source.loc[plain, 1]:.1f} %. At the rung that other seeds choose, "
        f"*{plain}* gains {number(one.mean)} points {interval(one.low, one.high)} over dense, "
        f"*{varied}* {number(other.mean)} {interval(other.low, other.high)}: on varied images the gain is {verdict}."
    )


def transformer_words(tables: Mapping[str, pd.DataFrame]) -> str:
    """What remains of the transformer at its last rung."""
    rungs = tables["rungs"]
    own = rungs[rungs["backbone"] == "small-vit"].sort_values("rung")
    if own.empty:
        return "The records hold no transformer yet."
    dense, last = own.iloc[0], own.iloc[-1]
    gone = 0 if pd.isna(last["collapsed"]) else len(last["collapsed"].split())
    return (
        "The transformer makes its tokens by convolutions, which are not pruned. At its last rung "
        f"{count(gone, 'layer')} of attention and MLP {_has(gone)} no weight left, and its source accuracy is still "
        f"{100 * last['source_accuracy']:.1f} % (dense {100 * dense['source_accuracy']:.1f} %): so flat a ladder says "
        "little about pruning attention."
    )


def rise(curves: pd.DataFrame, method: str) -> pd.DataFrame:
    """How high a method rises over dense on each target: columns target, highest (points), clear.

    `highest` is the largest mean gain of a pruned rung; `clear` says whether the whole interval of some rung lies
    above zero.
    """
    pruned = curves[(curves["method"] == method) & (curves["rung"] > 0)]
    grouped = pruned.groupby("target", sort=False)
    return pd.DataFrame({"highest": grouped["mean"].max(), "clear": grouped["low"].max() > 0}).reset_index()


def gain_overview(gains: pd.DataFrame) -> pd.DataFrame:
    """Mean gain with its two-level interval, for each group of ladders and rule.

    Returns
    -------
    DataFrame
        Columns ladders (the group), rung chosen by, basis, mean, low, high. *In hindsight* has no interval.
    """
    rows = []
    for (group, rule), part in gains.groupby(["group", "rule"], sort=False):
        table = part.pivot(index="ladder", columns="target", values="value").dropna()
        found = agreement.two_level_interval(table.to_numpy())
        bounds = (float("nan"), float("nan")) if rule == HINDSIGHT else (float(found.low), float(found.high))
        basis = f"{count(len(table), 'ladder')} × {count(table.shape[1], 'target')}"
        rows.append((group, rule, basis, float(found.mean), *bounds))
    table = pd.DataFrame(rows, columns=["ladders", "rung chosen by", "basis", "mean", "low", "high"])
    order = {rule: i for i, rule in enumerate(RULES)}
    key = table["rung chosen by"].map(order) + 10 * (table["ladders"] != TRAINED)
    return table.iloc[key.argsort(kind="stable")].reset_index(drop=True)


def gain_words(gains: pd.DataFrame, overview: pd.DataFrame) -> str:
    """What the heat map and the table of gains say."""
    rows = overview.set_index(["ladders", "rung chosen by"])
    words = []
    for group in dict.fromkeys(overview["ladders"]):
        own = gains[gains["group"] == group]
        fair, seen = rows.loc[group, OTHER_TARGETS], rows.loc[group, HINDSIGHT]
        cells = own[own["rule"] == OTHER_TARGETS].groupby(["method", "target"])["value"].mean()
        means = cells.groupby("target").mean().sort_values(kind="stable")
        methods = cells.groupby("method").mean().sort_values(kind="stable")
        words.append(
            f"For backbones {group} the mean gain at the rung that the other targets choose is "
            f"{number(fair['mean'])} points {interval(fair['low'], fair['high'])} ({fair['basis']}); in hindsight it "
            f"would have been {number(seen['mean'])}. It is positive in {int((cells > 0).sum())} of {len(cells)} cells "
            f"of methods and targets, largest on *{means.index[-1]}* ({number(means.iloc[-1])} in the mean over "
            f"methods) and smallest on *{means.index[0]}* ({number(means.iloc[0])}). The method that gains most is "
            f"*{methods.index[-1]}* ({number(methods.iloc[-1])}), and least *{methods.index[0]}* "
            f"({number(methods.iloc[0])})."
        )
    others = overview[overview["rung chosen by"] == OTHER_LADDERS]
    for row in others.itertuples(index=False):
        words.append(
            f"Where other seeds of the method choose, the mean is {number(row.mean)} points "
            f"{interval(row.low, row.high)} ({row.basis})."
        )
    return " ".join(words)


def distance_words(points: pd.DataFrame, method: str, far: pd.Series) -> str:
    """Whether gain goes with distance, and how the domains of PACS lie."""
    if points.empty:
        return "The records hold no `nce` of a backbone trained here, so no distance can be given."
    own = points[points["method"] == method]
    words = [
        f"The nearest target is *{far.index[0]}* ({far.iloc[0]:.2f}), "
        f"the farthest *{far.index[-1]}* ({far.iloc[-1]:.2f})."
    ]
    found = spearman(own["distance"], own["value"])
    words.append(f"For *{method}* {_verdict(found)}.")
    every = [spearman(part["distance"], part["value"]) for _, part in points.groupby("method", sort=False)]
    clear = [one for one in every if one.low > 0 or one.high < 0]
    words.append(f"Of {count(len(every), 'method')}, {len(clear)} {_has(len(clear))} an interval without zero.")
    pacs = own[own["target"].str.startswith("pacs-")].sort_values("distance", kind="stable")
    if len(pacs) > 1:
        each = ", ".join(
            f"{row.target.removeprefix('pacs-').replace('_', ' ')} {row.distance:.2f} ({number(row.value)} points)"
            for row in pacs.itertuples()
        )
        words.append(f"The domains of PACS, which have the same classes, by distance: {each}.")
    return " ".join(words)


def _has(n: int) -> str:
    return "has" if n == 1 else "have"


def _verdict(found: Correlation) -> str:
    if pd.isna(found.low):
        return f"{count(found.n, 'target')} are too few, or too much alike, for an interval"
    what = (
        "grows with"
        if found.low > 0
        else "shrinks with"
        if found.high < 0
        else "neither clearly grows nor shrinks with"
    )
    return (
        f"the gain {what} distance: ρ is {number(found.rho)} {interval(found.low, found.high)} "
        f"over {count(found.n, 'target')}"
    )


def tops_words(tops: pd.DataFrame, estimator: str) -> str:
    """Where the information is highest, and where the accuracy is."""
    if tops.empty:
        return f"The records hold no `{estimator}`."
    words = []
    for group, part in tops.groupby("group", sort=False):
        pairs = len(part)
        words.append(
            f"For backbones {group} `{estimator}` is highest at a pruned rung in "
            f"{int((part['information_top'] > 0).sum())} of {pairs} pairs of ladder and target, accuracy in "
            f"{int((part['accuracy_top'] > 0).sum())}, both in "
            f"{int(((part['information_top'] > 0) & (part['accuracy_top'] > 0)).sum())}. The two rungs are the same in "
            f"{int((part['apart'] == 0).sum())} pairs and at most one apart in {int((part['apart'] <= 1).sum())}. At "
            f"every rung it exceeds its value on shuffled labels in {int(part['above_null'].sum())} pairs."
        )
    return " ".join(words)


def ranking_words(table: pd.DataFrame, score: str) -> str:
    """Where a score stands among all others, by `photographs_ranking.compared`."""
    own = table.set_index("score").loc[score]
    words = [
        f"`{score}` reaches a mean weighted τ of {number(own['weighted_tau'])} "
        f"{interval(own['weighted_tau_low'], own['weighted_tau_high'])} over {count(own['ladders'], 'ladder')} and "
        f"{count(own['targets'], 'target')}, rank {ranking.rank_of(table, score)} of {len(table)}; its first choice "
        f"loses {own['regret_1']:.1f} points, the best of its first three {own['regret_3']:.1f}."
    ]
    best = table.iloc[0]
    if best["score"] != score:
        words.append(f"The highest mean is that of `{best['score']}` ({number(best['weighted_tau'])}).")
    others = table[table["score"] != score]
    resolved = others[others["p_difference"] < 0.05]
    if others["p_difference"].isna().all():
        words.append("One ladder gives no interval and no test.")
        return " ".join(words)
    words.append(f"After Holm's correction {len(resolved)} of {len(others)} differences are resolved at the 5 % level:")
    behind, ahead = resolved[resolved["difference"] > 0], resolved[resolved["difference"] < 0]
    words.append(f"it ranks better than {codes(behind['score'])}, and worse than {codes(ahead['score'])}.")
    rivals = others[others["kind"] == ranking.RIVAL]
    open_ = rivals[~rivals["score"].isin(resolved["score"])]
    words.append(f"Of {count(len(rivals), 'rival')}, {len(open_)} cannot be told from it by these ladders.")
    return " ".join(words)


def released_words(table: pd.DataFrame | None, score: str) -> str:
    """`ranking_words` for released backbones, and what sparsity alone reaches there; or that there are none."""
    if table is None:
        return "No ladder of released weights is in the records yet."
    free = table.set_index("score").loc["sparsity"]
    return (
        f"{ranking_words(table, score)} One-shot pruning without training mostly takes away, so read the row "
        "`sparsity` before any other: *the denser, the better* alone reaches a mean weighted τ of "
        f"{number(free['weighted_tau'])} {interval(free['weighted_tau_low'], free['weighted_tau_high'])}, with a "
        f"regret of {free['regret_1']:.1f} points."
    )


def codes(names: pd.Series) -> str:
    """Names of scores in a sentence, or *none*."""
    return ", ".join(f"`{name}`" for name in names) or "none"


def between_words(frame: pd.DataFrame, score: str) -> str:
    """Agreement between ladders at equal sparsity, of a score, the best one, and the control.

    Parameters
    ----------
    frame : DataFrame
        `photographs_ranking.of_one_network`.
    score : str
    """
    own = ranking.matched(frame)
    if own.empty:
        return "Fewer than three ladders share their sparsities, so ladders cannot be compared at equal sparsity yet."
    table = agreement.between_summary(own).set_index("score")
    row, best = table.loc[score], table.iloc[0]
    clear = int(((table["p_holm"] < 0.05) & (table["weighted_tau"] > 0)).sum())
    return (
        f"Between {count(row['ladders'], 'ladder')} at {count(row['levels'], 'level')} of sparsity that all share, "
        f"`{score}` has a mean weighted τ of {number(row['weighted_tau'])} {interval(row['low'], row['high'])}; "
        "the highest mean is that of "
        f"`{table.index[0]}` ({number(best['weighted_tau'])} {interval(best['low'], best['high'])}), and source "
        f"accuracy has {_of(table, 'source_accuracy')}. Of {len(table)} scores, {clear} rank better than chance by a "
        "permutation of ladders, Holm-corrected."
    )


def _of(table: pd.DataFrame, score: str) -> str:
    if score not in table.index:
        return "none"
    row = table.loc[score]
    return f"{number(row['weighted_tau'])} {interval(row['low'], row['high'])}"


def full_words(tables: dict[str, pd.DataFrame], repeats: pd.DataFrame, score: str) -> str:
    """What full fine-tuning says, as far as it was computed.

    Parameters
    ----------
    tables : dict of str to DataFrame
        `photographs_ranking.compared`, by what was judged.
    repeats : DataFrame
        `photographs_ranking.noise`.
    score : str
    """
    found = [name for name in tables if name.startswith("fine-tuning")]
    if not found:
        return (
            "No full fine-tuning is in the records yet: nothing says how scores rank fully fine-tuned backbones here."
        )
    words = [ranking_words(tables[name], score) for name in found]
    if len(repeats):
        words.append(
            f"Two fine-tunings of the same rungs agree with each other at a mean weighted τ of "
            f"{number(repeats['tau'].mean())} (a single run has a standard deviation of "
            f"{repeats['sd_points'].mean():.1f} points): what one more run would reach as a predictor of another. "
            "It is no upper limit: scores are compared with the mean of the repeats, which is steadier than one run."
        )
    words.append(
        "These ladders are few and may share a dense backbone: intervals and tests say how targets differ more than "
        "how ladders do. The menus of the figures above have an entry for fine-tuning too."
    )
    return " ".join(words)


def spread_words(cells: pd.DataFrame, score: str, what: str) -> str:
    """Where a score ranks best and worst, and how often it leads; for backbones trained here, by a linear probe."""
    own = cells[cells["judged"] == f"probe, {TRAINED}"]
    if own.empty:
        return ""
    wide = own.pivot(index="score", columns="item", values="tau")
    row = wide.loc[score].sort_values(kind="stable")
    leads = int((wide.loc[score] >= wide.max() - 1e-12).sum())
    return (
        f"For backbones trained here and a linear probe, `{score}` ranks best on *{row.index[-1]}* "
        f"({number(row.iloc[-1])}) and worst on *{row.index[0]}* ({number(row.iloc[0])}); it has the highest τ of all "
        f"scores for {leads} of {count(len(row), what)}."
    )


def budget_words(found: pd.DataFrame, score: str) -> str:
    """Regret of a score against that of the controls over the budgets of one pool, and which scores lose least.

    Parameters
    ----------
    found : DataFrame
        `photographs_budget.regrets` of one pool.
    score : str
    """
    wide = found.pivot(index="budget", columns="score", values="regret")
    order = wide.mean().sort_values(kind="stable")
    words = [f"over {count(len(wide), 'budget')}, `{score}` loses {order[score]:.1f} points in the mean."]
    for control in (budget.LARGEST, budget.USUAL):
        if control in wide:
            less, more = (int((sign * (wide[control] - wide[score]) > 0).sum()) for sign in (1, -1))
            words.append(
                f"*{control.capitalize()}* loses {order[control]:.1f}: more than `{score}` at {count(less, 'budget')}, "
                f"less at {more}."
            )
    words.append(
        f"Where everything fits, `{score}` loses {wide[score].iloc[-1]:.1f}. By the mean over budgets it is "
        f"{ordinal(list(order.index).index(score) + 1)} of {len(order)} ways to choose; least is lost by "
        f"`{order.index[0]}` ({order.iloc[0]:.1f})."
    )
    return " ".join(words)


def ordinal(n: int) -> str:
    """*1st*, *2nd*, *11th*."""
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"


def seconds(value: float) -> str:
    """Two digits, without an exponent: *0.0012*, *17*, *120*."""
    return f"{float(f'{value:.2g}'):,g}"


def cost_words(costs: pd.DataFrame, score: str, group: str) -> str:
    """What a score, a probe, full fine-tuning and making a rung cost; for one group."""
    own = costs[costs["group"] == group].set_index("what")["median"]
    name = f"score {score}"
    if name not in own.index:
        return f"No times of `{score}` are recorded for backbones {group}."
    words = [
        f"For backbones {group}, `{score}` takes {seconds(1000 * own[name])} ms in the median, once the features are "
        "there."
    ]
    if "linear probe, with features" in own.index:
        probe = own["linear probe, with features"]
        words.append(
            f"A linear probe takes {seconds(probe)} s, most of which may be the extraction of features, which the "
            "score needs too."
        )
    if "full fine-tuning" in own.index:
        full = own["full fine-tuning"]
        words.append(f"Full fine-tuning takes {seconds(full)} s for one target, without any search for its settings.")
    else:
        words.append("No full fine-tuning of these is in the records, so the comparison that matters most is missing.")
    if "making a rung" in own.index:
        words.append(f"Making the rung itself takes {seconds(own['making a rung'])} s, once for all targets.")
    return " ".join(words)
