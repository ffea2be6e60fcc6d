"""The order of a ranking: networks of very different widths, few images, and trained ones above untrained ones.

Whatever the default, these must hold: the rule by which it was chosen is in `data/ranking/README.md`, the records on
photographs are in `data/records/widths`.
"""

from contextlib import nullcontext

import numpy as np
import pytest

from tepones import ranking, tasks
from tepones.backbones.encoder import Encoder, Preparation
from tepones.ranking import networks, ranker, zoo
from tepones.ranking.outputs import Outputs, outputs
from tepones.scores.probe import probe

#: Trained on printed letters, 128 features; the twin of each is the untrained small-resnet.
TRAINED = {
    "dense": ("magnitude-iterative-0", 0),
    "sparse": ("magnitude-iterative-0", 2),
    "narrow": ("magnitude-structured-0", 1),
}
#: With initial weights: 128, 512, 1,280 and 2,048 features.
UNTRAINED = ("small-resnet", "squeezenet1_1", "mobilenet_v2", "shufflenet_v2_x2_0")
POOL = 30


@pytest.fixture(scope="module")
def encoders():
    rungs = {name: (zoo.folder() / ladder, f"rung-{rung:02d}{zoo.SUFFIX}") for name, (ladder, rung) in TRAINED.items()}
    trained = {name: zoo.load(*place) for name, place in rungs.items()}
    untrained = {
        name: Encoder("", name, networks.build(networks.canonical(name), 10), Preparation(), trained=False)
        for name in UNTRAINED
    }
    for name, encoder in (trained | untrained).items():
        encoder.name = name
    return trained, untrained


@pytest.fixture(scope="module", params=["greek", "cyrillic"])
def target(request):
    task = tasks.load(request.param, POOL, 1)
    few = task.train_labels < 10
    return request.param, task.train_images[few], task.train_labels[few]


@pytest.fixture(scope="module")
def features(encoders, target):
    """Of all images, from each encoder."""
    opened = ranking.Target(target[0], target[2], target[1])
    every = encoders[0] | encoders[1]
    with outputs(opened, list(every.values()), [None] * len(every)) as found:
        return {name: np.array(made["features"]) for name, made in zip(every, found.arrays, strict=True)}


@pytest.fixture(scope="module")
def truth(features, target):
    """Accuracy of a probe on all images."""
    return {name: probe(of_one, target[2]) for name, of_one in features.items()}


@pytest.mark.parametrize("draw", range(3))
@pytest.mark.parametrize("per_class", [5, 10, 20])
def test_no_untrained_network_is_above_its_trained_twin_or_a_trained_peer(
    encoders, target, features, truth, per_class, draw, monkeypatch
):
    trained, untrained = encoders
    name, images, labels = target
    assert min(truth[name] for name in trained) > max(truth[name] for name in untrained) + 0.05
    order = np.random.default_rng(draw).permutation(len(labels))
    rows = np.concatenate([order[labels[order] == label][:per_class] for label in np.unique(labels)])
    opened = ranking.Target(name, labels[rows], images[rows])
    monkeypatch.setattr(ranker, "open_target", lambda _: opened)
    # Each image is seen once by each encoder, whichever draws it is in.
    seen = [{"features": features[encoder.name][rows]} for encoder in [*untrained.values(), *trained.values()]]
    found = Outputs(seen, np.arange(len(rows)), ())
    monkeypatch.setattr(ranker, "outputs", lambda *_: nullcontext(found))
    monkeypatch.setattr(ranker.budget, "stored_bytes", lambda _: (0, 0))  # seconds for what plays no part here
    monkeypatch.setattr(ranker.budget, "flops", lambda _: 0)
    # By the deciding score alone, the untrained first: a tie, which the next score would break, fails here.
    backbones = [*untrained.values(), *trained.values()]
    table = ranking.rank(name, backbones, ranking.DEFAULT_SCORES[:1]).table.set_index("backbone")
    assert table["features"].max() == 2048 and table.loc["narrow", "features"] < 128
    assert set(table.index[: len(trained)]) == set(trained), table
