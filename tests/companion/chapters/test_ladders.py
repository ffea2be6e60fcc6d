"""What the chapter *Ladders* is made of: by hand on small tables and on a network with known zeros."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from tepones.common import paths
from tepones.common.errors import UsageError
from tepones.companion.chapters import ladders
from tepones.companion.study import profiles
from tepones.ranking import zoo

BUDGET = {"nonzero_weights": 100, "bytes_dense": 4000, "bytes_sparse": 700, "flops": 2e6}
BUDGET |= {"latency_ms": 0.5, "peak_activation_bytes": 3000}


def tables(*rows):
    """Rungs, transfer and scores of ladders: (method, seed, source accuracies, {target: accuracies})."""
    rungs, transfer = [], []
    for method, seed, source, targets in rows:
        for rung, accuracy in enumerate(source):
            place = {"ladder": f"{method} {seed}", "rung": rung}
            about = {"method": method, "seed": seed, "sparsity": (0.0, 0.8, 0.9)[rung], "source_accuracy": accuracy}
            rungs.append(place | about)
            for target, accuracies in targets.items():
                row = {"target": target, "protocol": "probe", "repeat": 0, "accuracy": accuracies[rung]}
                transfer.append(place | row)
    transfer = pd.DataFrame(transfer)
    scores = transfer[["ladder", "rung", "target"]].assign(score="gaussian", value=1.0)
    return {"rungs": pd.DataFrame(rungs), "transfer": transfer, "scores": scores}


LOTTERY, CONTROL = "magnitude lottery", "magnitude reinitialised"
TWO_SEEDS = tables(
    (LOTTERY, 0, [0.9, 0.8, 0.6], {"a": [0.7, 0.7, 0.6], "b": [0.5, 0.5, 0.4]}),
    (LOTTERY, 1, [0.9, 0.9, 0.8], {"a": [0.7, 0.9, 0.8], "b": [0.5, 0.5, 0.4]}),
    (CONTROL, 0, [0.9, 0.7, 0.3], {"a": [0.7, 0.6, 0.2], "b": [0.5, 0.4, 0.2]}),
    (CONTROL, 1, [0.9, 0.6, 0.4], {"a": [0.7, 0.6, 0.4], "b": [0.5, 0.4, 0.2]}),
)


def test_curves_are_means_over_seeds_and_targets():
    found = ladders.curves(TWO_SEEDS).set_index(["method", "rung", "target"])
    assert found["accuracy"][LOTTERY, 1, ladders.SOURCE] == pytest.approx(0.85)
    assert found["accuracy"][LOTTERY, 1, ladders.ALL_TARGETS] == pytest.approx(0.65)
    assert found["accuracy"][CONTROL, 2, "a"] == pytest.approx(0.3)
    assert set(found["seeds"]) == {2}
    assert set(found.reset_index()["target"]) == {ladders.SOURCE, ladders.ALL_TARGETS, "a", "b"}


def test_a_method_of_which_the_chapter_does_not_know_is_refused():
    with pytest.raises(UsageError, match="unknown method 'astrology'; choose from"):
        ladders.curves(tables(("astrology", 0, [0.9], {"a": [0.7]})))


def test_every_method_of_the_profile_belongs_to_a_question():
    assert {ladder.method for ladder in profiles.load("methods").ladders} == set(ladders.METHODS)
    for group in ladders.QUESTIONS.values():
        assert group[0] == ladders.REFERENCE


def test_pairs_are_differences_of_the_same_seed():
    accuracies, differences = ladders.pair(TWO_SEEDS, LOTTERY, CONTROL)
    assert len(accuracies) == 2 * 4 * 3 and set(differences["rung"]) == {1, 2}
    found = differences.set_index(["measured", "rung", "seed"])
    assert found["difference"][ladders.SOURCE, 1, 0] == pytest.approx(10)
    assert found["difference"][ladders.SOURCE, 1, 1] == pytest.approx(30)
    assert found["difference"][ladders.ALL_TARGETS, 2, 0] == pytest.approx(30)
    row = found.loc[(ladders.SOURCE, 1, 0)]
    assert row["mean"] == pytest.approx(20) and row["low"] < 10 and row["high"] > 30


def test_one_seed_has_no_interval():
    _, differences = ladders.pair(tables_of_seed(0), LOTTERY, CONTROL)
    assert differences["low"].isna().all() and differences["difference"].notna().all()


def tables_of_seed(seed):
    rungs = TWO_SEEDS["rungs"]
    keep = set(rungs.loc[rungs["seed"] == seed, "ladder"])
    return {name: table[table["ladder"].isin(keep)] for name, table in TWO_SEEDS.items()}


def test_layers_have_short_names():
    names = ["encoder.0.weight", "encoder.3.conv1.weight", "encoder.4.conv2.weight", "encoder.4.shortcut.0.weight"]
    names += ["encoder.layers.2.mlp.weight"]
    words = ["first conv", "block 1, conv 1", "block 2, conv 2", "block 2, shortcut", "layers.2.mlp"]
    assert list(ladders.layer_labels(names).values()) == words


@pytest.fixture(scope="module")
def small_zoo(tmp_path_factory):
    """Two rungs of a ladder: the second lacks every second weight of one layer and all of another."""
    import hashlib

    import safetensors.torch

    from tepones import backbones
    from tepones.companion.study.records import versions
    from tepones.pruning.budget import compress
    from tepones.pruning.masks import prunable

    folder = tmp_path_factory.mktemp("zoo") / "magnitude-one-shot-0"
    folder.mkdir()
    torch.manual_seed(0)
    backbone = backbones.BACKBONES.load("small-resnet")(3)
    rungs, total = [], sum(weight.numel() for weight in prunable(backbone).values())
    for level in range(2):
        weights = prunable(backbone)
        if level:
            with torch.no_grad():
                weights["encoder.3.conv1.weight"].view(-1)[::2] = 0
                weights["encoder.3.conv2.weight"].zero_()
        left = sum(int(weight.count_nonzero()) for weight in weights.values())
        state = {name: tensor.contiguous() for name, tensor in backbone.state_dict().items()}
        content = compress(safetensors.torch.save(state))
        file = f"rung-{level:02d}{zoo.SUFFIX}"
        (folder / file).write_bytes(content)
        rung = {"file": file, "sha256": hashlib.sha256(content).hexdigest(), "sparsity": 1 - left / total}
        shrunk = {name: value / (1 + level) for name, value in BUDGET.items()}
        rungs.append(rung | {"source_accuracy": 0.5, "budget": BUDGET, "shrunk": shrunk})
    committed = json.loads(next(paths.data().glob(f"zoo/*/{zoo.MANIFEST}")).read_text())
    about = committed | {"method": "magnitude one-shot", "seed": 0, "versions": versions(), "rungs": rungs}
    (folder / zoo.MANIFEST).write_text(json.dumps(about))
    return folder.parent


def test_densities_count_what_is_left(small_zoo):
    found = ladders.densities(small_zoo)
    assert (found.loc[found["rung"] == 0, ["density", "relative"]] == 1).all(axis=None)
    layers = found[found["rung"] == 1].set_index("layer")
    assert layers["density"]["block 1, conv 1"] == pytest.approx(0.5)
    assert layers["density"]["block 1, conv 2"] == 0
    assert list(layers.index[layers["collapsed"]]) == ["block 1, conv 2"]
    total = layers["size"].sum()
    assert layers["relative"]["first conv"] == pytest.approx(total / (total - 1.5 * 2304), rel=1e-5)
    assert (layers["density"] * layers["size"]).sum() / total == pytest.approx(1 - layers["sparsity"].iloc[0])


def test_extremes_and_collapsed_layers_in_words(small_zoo):
    found = ladders.densities(small_zoo)
    (row,) = ladders.extremes(found, 1).to_dict("records")
    assert row["least spared"] == "block 1, conv 2" and row["spread"] == np.inf and row["collapsed"] == 1
    (row,) = ladders.extremes(found, 0).to_dict("records")
    assert row["spread"] == 1 and row["collapsed"] == 0
    assert ladders.collapsed_words(found) == "1 of magnitude one-shot at 1.1 %"
    assert ladders.collapsed_words(found[found["rung"] == 0]) == "none"


def test_costs_come_in_units_and_are_told_once_where_nothing_changed(small_zoo):
    found = ladders.costs(small_zoo)
    assert len(found) == 2 * len(ladders.COSTS)
    assert found.loc[found["field"] == "flops", "stored"].eq(2).all()
    table = ladders.cost_table(found, 1)
    words = {name: str(table.loc[0, name]).replace("\N{NO-BREAK SPACE}", " ") for name in table}
    assert words == {
        "method": "magnitude one-shot",
        "non-zero weights": "100 → 50",
        "plain file, kB": "4 → 2",
        "compressed file, kB": "1 → 0",
        "operations, MFLOP": "2.00 → 1.00",
        "latency, ms": "0.50 → 0.25",
        "peak activations, kB": "3 → 2",
    }
    assert "→" not in ladders.cost_table(found, 0).to_string()
    with pytest.raises(UsageError, match="no ladder has a rung 7"):
        ladders.cost_table(found, 7)
