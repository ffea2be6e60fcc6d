"""The door to pruning: any network in, a ladder on disk out, or one line that says why not, and nothing on disk."""

import copy
import json
import re
from importlib.metadata import version

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import tepones
from tepones.backbones.encoder import Encoder, Preparation
from tepones.backbones.small_resnet import small_resnet
from tepones.backbones.training import Training
from tepones.common import paths
from tepones.common.errors import TeponesError, UsageError
from tepones.pruning import CRITERIA, SCHEDULES, STARTS, UNPRUNED, WHILE_TRAINING
from tepones.pruning.masks import dense, prunable, select
from tepones.ranking import checkpoints, networks, zoo

PREPARED = Preparation(32, 32)
TRAINING = Training(1, 0.05, 32)


class Small(nn.Module):
    """Flattens its map by `view`, and registers its last layer first."""

    def __init__(self, n_classes=4):
        super().__init__()
        self.fc = nn.Linear(10 * 16, n_classes)
        self.first, self.norm, self.second = nn.Conv2d(3, 12, 3, 2, 1), nn.BatchNorm2d(12), nn.Conv2d(12, 10, 3, 4, 1)

    def forward(self, images):
        hidden = torch.relu(self.second(torch.relu(self.norm(self.first(images)))))
        return self.fc(hidden.view(len(images), -1))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Small()


@pytest.fixture(scope="session")
def inputs(images):
    """The images as a user's loader prepares them."""
    return PREPARED(list(images[0])).contiguous(), torch.as_tensor(images[1])


@pytest.fixture
def mine(network, inputs, tmp_path):
    """Prune the small network, and load what was written."""

    def prune(method, sparsities=(0.5, 0.9), data=inputs, **options):
        how = {"prepared": PREPARED, "head": "fc"} | options
        rungs = tepones.prune(network, method, sparsities, data, tmp_path / "ladder", **how)
        return rungs, [tepones.load(file, network) for file in rungs["file"]]

    return prune


def own_loop(inputs):
    def loop(given):
        assert isinstance(given, Small)
        optimiser = torch.optim.Adam(given.parameters(), 0.01)
        for _ in range(2):
            optimiser.zero_grad()
            nn.functional.cross_entropy(given(inputs[0]), inputs[1]).backward()
            optimiser.step()

    return loop


def zeros(encoder):
    return 1 - sum(int(weight.count_nonzero()) for weight in prunable(encoder.model).values()) / 1404


METHODS = [f"magnitude {schedule}" for schedule in SCHEDULES if schedule not in UNPRUNED]
METHODS += [f"{criterion} iterative" for criterion in CRITERIA if criterion != "magnitude"] + sorted(UNPRUNED)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("how", ["ours", "own", "none"])
def test_every_criterion_and_schedule_makes_a_ladder_of_ones_own_network(mine, network, inputs, method, how):
    before = copy.deepcopy(network.state_dict())
    training = {"ours": TRAINING, "own": own_loop(inputs), "none": None}[how]
    schedule = method.split()[-1]
    if how != "ours" and schedule in WHILE_TRAINING:
        with pytest.raises(UsageError, match=rf"the schedule {schedule} prunes while it trains: it needs training=Tr"):
            mine(method, training=training)
        return
    if how != "none" and STARTS.get(schedule) == "dense":
        with pytest.raises(UsageError, match=f"the schedule {schedule} never trains: leave the training out"):
            mine(method, training=training)
        return
    rungs, encoders = mine(method, training=training, early=copy.deepcopy(network))
    targets = [0, 0, 0] if schedule in UNPRUNED else [0, 0.5, 0.9]
    # Whole channels are pieces; what rigl has grown in its last steps may still be zero.
    beyond = {"structured": 0.1, "rigl": 0.02}.get(schedule, 1e-3)
    assert list(rungs["rung"]) == [0, 1, 2] and rungs["training_accuracy"].between(0, 1).all()
    for target, sparsity, encoder in zip(targets, rungs["sparsity"], encoders, strict=True):
        assert target - 1e-3 < sparsity < target + beyond
        assert zeros(encoder) == pytest.approx(sparsity) or schedule == "structured"
        assert encoder(inputs[0])[1].shape == (64, 4)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_without_training_the_largest_weights_remain_as_they_were(mine, network):
    _, encoders = mine("magnitude one-shot", [0.0, 0.7])
    given = {name: network.get_parameter(name.removeprefix("encoder.")) for name in prunable(encoders[0].model)}
    kept = select({name: weight.detach().abs() for name, weight in given.items()}, 0.7, dense(encoders[0].model))
    for name, weight in prunable(encoders[1].model).items():
        torch.testing.assert_close(weight, given[name] * kept[name], rtol=1e-3, atol=1e-6)


def test_training_helps_and_the_accuracy_told_is_that_of_what_was_stored(mine, inputs):
    rungs, encoders = mine("magnitude iterative", [0.5], training=Training(8, 0.05, 16))
    assert rungs["training_accuracy"][1] > rungs["training_accuracy"][0] + 0.2
    for told, encoder in zip(rungs["training_accuracy"], encoders, strict=True):
        assert told == pytest.approx(float((encoder(inputs[0])[1].argmax(1) == inputs[1]).float().mean()))


def test_the_same_seed_makes_the_same_ladder_of_a_loader_arrays_or_pictures(mine, images, inputs, tmp_path):
    made = []
    for data in (inputs, DataLoader(TensorDataset(*inputs), batch_size=7), images):
        _, encoders = mine("random iterative", data=data, training=TRAINING)
        made.append(encoders[2].model.state_dict())
        (tmp_path / "ladder").rename(tmp_path / f"ladder {len(made)}")
    for other in made[1:]:
        assert all(torch.equal(tensor, other[name]) for name, tensor in made[0].items())
    _, encoders = mine("random iterative", training=TRAINING, seed=1)
    assert not torch.equal(encoders[2].model.encoder.first.weight, made[0]["encoder.first.weight"])


def test_the_manifest_says_what_was_done_and_the_folder_holds_nothing_else(mine, tmp_path):
    _, encoders = mine("snip iterative", training=TRAINING, prepared=Preparation(40, 32, (1, 2, 3), (4, 5, 6)))
    about = zoo.manifest(tmp_path / "ladder")
    assert (about.architecture, about.head, about.method, about.side) == ("own:Small", "fc", "snip iterative", 32)
    assert about.task == {"task": "data of your own", "images": 64, "classes": 4}
    assert about.config["training"]["epochs"] == 1 and about.versions["torch"] == version("torch")
    assert encoders[0].preparation == Preparation(40, 32, (1, 2, 3), (4, 5, 6))
    assert {rung.source_accuracy for rung in about.rungs} == {None}
    assert {path.name for path in tmp_path.iterdir()} == {"ladder"}
    assert {path.name for path in (tmp_path / "ladder").iterdir()} == {"manifest.json", *(r.file for r in about.rungs)}


def test_weights_that_are_zero_stay_pruned(mine, network):
    with torch.no_grad():
        network.first.weight[:, 0] = 0
    _, encoders = mine("random iterative", [0.5], training=TRAINING)
    assert not encoders[1].model.encoder.first.weight[:, 0].any()


@pytest.mark.parametrize("method", ["magnitude lottery", "magnitude iterative"])
def test_lottery_rewinds_to_the_early_weights(mine, network, method):
    early = copy.deepcopy(network)
    early.first.weight.data.neg_()
    _, encoders = mine(method, [0.5], early=early)
    weight = encoders[1].model.encoder.first.weight
    sign = -1 if "lottery" in method else 1
    torch.testing.assert_close(weight, sign * network.first.weight * (weight != 0), rtol=1e-3, atol=1e-6)


def test_a_new_head_is_trained_with_the_dense_network_first(mine, network, inputs):
    data = (inputs[0], inputs[1] + 3)
    with pytest.raises(UsageError, match=r"7 classes, the network's last layer 4; new_head=True \(--new-head\)"):
        mine("magnitude lottery", [0.5], data=data, training=TRAINING)
    rungs, encoders = mine("magnitude lottery", [0.5], data=data, training=Training(6, 0.05, 16), new_head=True)
    assert [encoder.n_classes for encoder in encoders] == [7, 7] and rungs["training_accuracy"][0] > 0.5
    assert rungs["sparsity"][0] == 0


def test_labels_that_do_not_fit_harm_only_what_looks_at_them(mine, inputs):
    data = (inputs[0], inputs[1] + 3)
    rungs, _ = mine("magnitude one-shot", [0.5], data=data)
    assert rungs["training_accuracy"].isna().all()


@pytest.mark.parametrize("method", ["snip one-shot", "diagonal iterative", "magnitude surgeon"])
def test_criteria_that_look_at_labels_need_those_of_the_network(mine, inputs, method):
    with pytest.raises(UsageError, match=r"needs training images and labels, .* 7 classes, the network's last layer 4"):
        mine(method, [0.5], data=(inputs[0], inputs[1] + 3))


@pytest.fixture
def named(tmp_path, images):
    """A ladder of a checkpoint of this name, ranked by its folder."""

    def prune(name, file, data=images, method="magnitude one-shot", pixels=32, **options):
        encoder = tepones.load(f"{name}={file}")
        rungs = tepones.prune(
            encoder, method, [0.3], data, tmp_path / "ladder", prepared=encoder.preparation.at(pixels), **options
        )
        assert zoo.manifest(tmp_path / "ladder").architecture == networks.canonical(name)
        return encoder, rungs, [tepones.load(file) for file in rungs["file"]]

    return prune


@pytest.mark.parametrize("name", ["small-vit", "squeezenet1_1", "shufflenet_v2_x0_5", "timm:test_resnet"])
def test_a_ladder_of_a_network_with_a_name_is_read_by_name(named, name, tmp_path, images):
    torch.manual_seed(0)
    full = networks.canonical(name)
    checkpoints.write(tmp_path / "file.safetensors", networks.build(full, 4), full)
    encoder, rungs, (first, second) = named(name, tmp_path / "file.safetensors")
    assert first.architecture == second.architecture == full
    assert first.preparation == second.preparation == encoder.preparation.at(32)
    inputs = first.preparation(list(images[0][:8]))
    for part, expected in zip(first(inputs), encoder(inputs), strict=True):
        torch.testing.assert_close(part, expected, rtol=0.02, atol=0.02)
    assert rungs["sparsity"][1] == pytest.approx(0.3, abs=1e-3)


def test_an_encoder_a_path_and_a_rung_can_be_pruned_on(tmp_path, images):
    checkpoints.write(tmp_path / "file.safetensors", small_resnet(4), "small-resnet")
    first = tepones.prune(tmp_path / "file.safetensors", "magnitude one-shot", [0.5], images, tmp_path / "first")
    again = tepones.prune(first["file"][1], "magnitude iterative", [0.8], images, tmp_path / "again", training=TRAINING)
    assert list(again["sparsity"].round(3)) == [0.5, 0.8]
    ranked = tepones.rank("digits", [tmp_path / "first", tmp_path / "again"])
    assert len(ranked.table) == 4 and ranked.left_out.empty


def test_a_rung_that_lost_channels_is_refused(mine, inputs, tmp_path):
    _, encoders = mine("magnitude structured", [0.5])
    with pytest.raises(UsageError, match=r"ladder/rung-01: has lost channels, .* prune that one"):
        tepones.prune(encoders[1], "magnitude one-shot", [0.9], inputs, tmp_path / "again")


def test_an_architecture_that_the_library_builds_otherwise_is_refused(inputs, tmp_path):
    changed = networks.build("torchvision:squeezenet1_1", 4)
    changed.features[1] = nn.GELU()
    encoder = Encoder("changed", "torchvision:squeezenet1_1", changed, PREPARED)
    expected = r"changed: computes something else than torchvision:squeezenet1_1 .*; from Python it can be pruned"
    with pytest.raises(UsageError, match=expected):
        tepones.prune(encoder, "magnitude one-shot", [0.5], inputs, tmp_path / "ladder")


def _raises(given):
    raise KeyError("of the user")


def _interrupted(given):
    raise KeyboardInterrupt


@pytest.mark.parametrize(("loop", "error"), [(_raises, KeyError), (_interrupted, KeyboardInterrupt)])
def test_what_a_loop_of_ones_own_raises_comes_out_and_nothing_is_left(mine, tmp_path, loop, error):
    with pytest.raises(error):
        mine("magnitude iterative", training=loop)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("method", "options", "reason"),
    [
        ("magnitude", {}, "'magnitude': expected a criterion and a schedule, as 'magnitude iterative'"),
        ("magnitude control", {}, "expected a criterion and a schedule, .* or control alone"),
        ("size iterative", {}, "unknown criterion 'size'; choose from: block"),
        ("magnitude slowly", {}, "unknown schedule 'slowly'; choose from: acdc"),
        (
            "magnitude one-shot",
            {"sparsities": [0.9, 0.5]},
            r"0.9, 0.5: expected numbers in \[0, 1\), rising",
        ),
        ("magnitude one-shot", {"sparsities": [0.5, 0.5]}, "0.5, 0.5: expected"),
        ("magnitude one-shot", {"sparsities": [0.5, 1]}, "0.5, 1: expected"),
        ("magnitude one-shot", {"sparsities": [float("nan")]}, "nan: expected"),
        ("magnitude one-shot", {"sparsities": ["half"]}, r"\['half'\]: expected"),
        ("magnitude one-shot", {"sparsities": [0]}, "nothing to prune to"),
        ("magnitude one-shot", {"training": 3}, "training is int; expected a Training"),
        ("magnitude one-shot", {"training": Training(0, 0.1)}, "expected epochs, a learning rate and a batch size"),
        ("magnitude one-shot", {"training": Training(float("inf"), 0.1)}, "expected epochs, a learning rate"),
        ("magnitude one-shot", {"prepared": None}, r"of your own is not known: give prepared=Preparation\("),
        ("magnitude one-shot", {"head": ""}, r"expected logits \(2, 10\)"),
        ("magnitude one-shot", {"data": 3}, "data are int"),
        ("magnitude one-shot", {"new_head": True}, r"new_head \(--new-head\) needs a training \(--epochs\)"),
        ("magnitude lottery", {}, r"lottery rewinds to weights from early .* give them as early \(--early\)"),
        ("magnitude reinitialised", {}, "reinitialised rewinds to weights from early"),
        ("magnitude lottery", {"early": Small(5)}, "early is another network"),
        ("snip str", {"training": TRAINING}, "it needs criterion magnitude"),
        ("random structured", {}, "it needs criterion magnitude"),
        ("magnitude structured", {"sparsities": [0.9999]}, "sparsity 0.9999 is out of reach"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_nothing(mine, tmp_path, method, options, reason):
    with pytest.raises(UsageError, match=reason) as raised:
        mine(method, **options)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_it_is_told_before_anything_is_trained(mine):
    """The second rung cannot be had; the loop of the first is never called."""
    with pytest.raises(UsageError, match="out of reach"):
        mine("magnitude structured", [0.5, 0.9999], training=lambda given: pytest.fail("trained"))


def test_a_network_that_training_cannot_reach_is_told(mine, network, tmp_path):
    network.spare = nn.Parameter(torch.zeros(3))
    with pytest.raises(TeponesError, match="magnitude iterative fails on this network: ") as raised:
        mine("magnitude iterative", training=TRAINING)
    assert "\n" not in str(raised.value) and not list(tmp_path.iterdir())


def test_a_training_that_diverges_is_told(mine, tmp_path):
    with pytest.raises(TeponesError, match="training stopped at step"):
        mine("magnitude iterative", training=Training(50, 1e6, 8))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("there", ["a file", "a ladder", "an empty folder"])
def test_nothing_is_overwritten(mine, tmp_path, there):
    target = tmp_path / "ladder"
    if there == "a file":
        target.write_text("mine")
    else:
        target.mkdir()
    if there == "an empty folder":
        assert len(mine("magnitude one-shot")[0]) == 3
        return
    if there == "a ladder":
        (target / "manifest.json").write_text(json.dumps({"format": 3}))
    before = [(path.name, path.read_bytes()) for path in tmp_path.rglob("*") if path.is_file()]
    with pytest.raises(UsageError, match="ladder: is there already, and nothing is overwritten"):
        mine("magnitude one-shot")
    assert [(path.name, path.read_bytes()) for path in tmp_path.rglob("*") if path.is_file()] == before


def test_the_lines_of_the_readme_prune_and_rank(tmp_path, monkeypatch, capsys):
    text = (paths.root() / "README.md").read_text(encoding="utf-8")
    (block,) = [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "tepones.prune(" in block]
    assert len([line for line in block.splitlines() if line]) == 10
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(block, names)
    assert isinstance(names["rungs"], pd.DataFrame)
    np.testing.assert_allclose(names["rungs"]["sparsity"], [0, 0.5, 0.9], atol=2e-3)
    told = capsys.readouterr().out
    assert all(f"ladder/rung-0{level}" in told for level in range(3)) and "first" in told
