"""Tables of the study on photographs as it might have come out: the shape of the records, none of their numbers."""

import numpy as np
import pandas as pd

from tepones.companion.study import profiles

N_SCORES_AT_CHANCE = ("random", "feature_norm")


def simulate(names=None, targets=None, fine_tuning=(), scores=None):
    """Tables as `study.load("natural")` returns them, of some ladders and targets; deterministic."""
    profile = profiles.load("natural")
    rungs, transfer, scored = [], [], []
    sizes = [size for size in profile.targets if targets is None or size.task in targets]
    for j, ladder in enumerate(profile.ladders):
        if names is not None and ladder.name not in names:
            continue
        rng = np.random.default_rng(j)
        released = ladder.weights is not None
        about = {"ladder": ladder.name, "method": ladder.method, "seed": ladder.seed, "backbone": ladder.backbone}
        for rung, sparsity in enumerate((0.0, *ladder.sparsities)):
            kept = 1 - sparsity
            place = {"ladder": ladder.name, "rung": rung}
            rungs.append(
                about
                | place
                | {"sparsity": sparsity, "nonzero_weights": round(1.1e6 * kept), "collapsed": np.nan}
                | {"source_accuracy": np.nan if released else round(0.5 * kept**0.2, 4), "seconds": 20.0 + rung}
                | {"machine": "Linux x86_64", "cell": f"r{j}-{rung}", "current": j != 2}
            )
            for t, size in enumerate(sizes):
                depth = -np.log(kept)
                accuracy = 0.4 + 0.03 * t + 0.01 * depth * (t % 4) - 0.002 * np.exp(depth) + rng.normal(0, 0.004)
                accuracy = float(np.clip(accuracy, 0.05, 1))
                cell = {"machine": "Linux x86_64", "cell": f"t{j}-{rung}-{t}", "regularisation": 0.1}
                row = place | {"target": size.task} | cell
                transfer.append(
                    row | {"protocol": "probe", "repeat": 0, "accuracy": accuracy, "seconds": 1.5 + 0.1 * t}
                )
                if ladder.name in fine_tuning:
                    transfer += [
                        row
                        | {"protocol": "fine-tuning", "repeat": repeat, "seconds": 30.0 + t}
                        | {"accuracy": accuracy + 0.1 + rng.normal(0, 0.01), "regularisation": np.nan}
                        for repeat in range(2)
                        if size.task in profile.full_fine_tuning.targets
                    ]
                for s, name in enumerate(scores or profile.scores):
                    signal = 0 if name in N_SCORES_AT_CHANCE else accuracy
                    value, null = 5 * signal + rng.normal(0, 0.05 + 0.02 * s), 0.3
                    if name in ("nce", "leep"):
                        value, null = -2 + 0.1 * t + 0.1 * signal, -2.1
                    scored += [
                        place
                        | {"target": size.task, "score": name, "part": part, "value": value, "null": null}
                        | {"n": 900 + t, "n_features": 128, "active_features": 128, "effective_rank": 9.0}
                        | {"n_le_d": False, "saturated": False, "seconds": 0.001 * (s + 1), "cell": f"s{j}-{rung}-{t}"}
                        for part in (("seli", "ncc", "vc") if name == "ncti" else (np.nan,))
                    ]
    return {name: pd.DataFrame(rows) for name, rows in (("rungs", rungs), ("transfer", transfer), ("scores", scored))}
