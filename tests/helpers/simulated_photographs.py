"""Tables of a study as it might have come out: the shape of the records, none of their numbers."""

import numpy as np
import pandas as pd

from tepones.companion import study
from tepones.companion.study import profiles
from tepones.companion.study.tables import LAYER_ENTROPY
from tepones.pruning import UNPRUNED

#: Scores with parts, and these; the score itself where it has a value too.
PARTS = {"ncti": ("seli", "ncc", "vc"), LAYER_ENTROPY: (np.nan, "first", "last")}
N_SCORES_AT_CHANCE = ("random", "feature_norm")
#: Class of each test image of every target, wherever a study keeps which are right.
LABELS = np.repeat(np.arange(4), 6)


def simulate(names=None, targets=None, fine_tuning=(), scores=None, name="natural"):
    """Tables as `study.load` returns them, of some ladders and targets of a profile; deterministic.

    `natural` is the first study, which did not keep which test images are right.
    """
    profile = profiles.load(name)
    rungs, transfer, scored, dense = [], [], [], {}
    sizes = [size for size in profile.targets if targets is None or size.task in targets]
    for j, ladder in enumerate(profile.ladders):
        if names is not None and ladder.name not in names:
            continue
        rng = np.random.default_rng(j)
        released = ladder.weights is not None
        about = {"ladder": ladder.name, "method": ladder.method, "seed": ladder.seed, "backbone": ladder.backbone}
        made = (ladder.backbone, ladder.weights, ladder.source, ladder.pretraining, ladder.objective, ladder.seed)
        about_dense = dense.setdefault(repr(made), f"dense {len(dense)}")
        for rung, sparsity in enumerate((0.0, *ladder.sparsities)):
            kept = 1 if ladder.schedule in UNPRUNED else 1 - sparsity
            place = {"ladder": ladder.name, "rung": rung}
            rungs.append(
                about
                | place
                | {"sparsity": 1.0 - kept, "nonzero_weights": round(1.1e6 * kept), "collapsed": np.nan}
                | {"source_accuracy": np.nan if released else round(0.5 * kept**0.2, 4), "seconds": 20.0 + rung}
                | {"machine": "Linux x86_64", "cell": f"r{j}-{rung}" if rung else about_dense, "current": j != 2}
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
                if ladder.name in fine_tuning and sparsity <= profile.full_fine_tuning.most:
                    transfer += [
                        row
                        | {"protocol": "fine-tuning", "repeat": repeat, "seconds": 30.0 + t}
                        | {"accuracy": accuracy + 0.1 + rng.normal(0, 0.01), "regularisation": np.nan}
                        for repeat in range(profile.full_fine_tuning.repeats)
                        if size.task in profile.full_fine_tuning.targets
                    ]
                for s, score in enumerate(scores or profile.scores):
                    signal = 0 if score in N_SCORES_AT_CHANCE else accuracy
                    value, null = 5 * signal + rng.normal(0, 0.05 + 0.02 * s), 0.3
                    if score in ("nce", "leep"):
                        value, null = -2 + 0.1 * t + 0.1 * signal, -2.1
                    scored += [
                        place
                        | {"target": size.task, "score": score, "part": part, "value": value, "null": null}
                        | {"n": 900 + t, "n_features": 128, "active_features": 128, "effective_rank": 9.0}
                        | {"n_le_d": False, "saturated": False, "seconds": 0.001 * (s + 1), "cell": f"s{j}-{rung}-{t}"}
                        for part in PARTS.get(score, (np.nan,))
                    ]
    tables = {"rungs": pd.DataFrame(rungs), "transfer": pd.DataFrame(transfer), "scores": pd.DataFrame(scored)}
    return tables if name == "natural" else tables | _test_images(tables["transfer"])


def _test_images(transfer):
    """About so many test images are right as the accuracies say."""
    generator = np.random.default_rng(0)
    rows = transfer[["ladder", "rung", "target", "protocol", "repeat", "cell"]]
    right = generator.random((len(rows), len(LABELS))) < transfer["accuracy"].to_numpy()[:, None]
    images = {"label": LABELS, "group": np.arange(len(LABELS))}
    known = [pd.DataFrame({"target": target, **images}) for target in transfer["target"].unique()]
    return {
        study.CORRECT: rows.assign(correct=[packed.tobytes() for packed in np.packbits(right, axis=1)]),
        study.TEST_IMAGES: pd.concat(known, ignore_index=True),
    }
