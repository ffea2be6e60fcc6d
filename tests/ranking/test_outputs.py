"""One decode of each picture, one forward pass of each encoder, and neither where an earlier ranking did it."""

import os
import threading
import weakref

import numpy as np
import pytest
import torch
from PIL import Image

from tepones import ranking
from tepones.backbones.base import Backbone
from tepones.backbones.encoder import Encoder, Preparation
from tepones.pruning import budget, masks
from tepones.pruning.shrink import shrink
from tepones.ranking import cache, networks, outputs, pictures
from tepones.ranking.outputs import AHEAD, BATCH

SIDES = (40, 36)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for number in range(50):
        grey = np.random.default_rng(number).integers(0, 255, (50, 60 + number, 3)).astype(np.uint8)
        file = folder / f"class-{number % 2}" / f"{number:02d}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(grey).save(file)
    return folder


def encoder(name="one", seed=0, preparation=None):
    model = networks.build("small-resnet", 4)
    with torch.no_grad():
        next(model.parameters()).mul_(1 + seed)
    return Encoder(name, "small-resnet", model, preparation or Preparation(*SIDES, resampling="bicubic"))


def made(target, encoders, keys=None, with_probabilities=False):
    with outputs.outputs(target, encoders, keys or [None] * len(encoders), with_probabilities) as found:
        arrays = [{name: np.array(array) for name, array in of_one.items()} for of_one in found.arrays]
        return outputs.Outputs(arrays, found.rows, found.damaged)


def test_each_picture_is_decoded_once_for_all_encoders_and_given_to_each_in_the_order_of_the_labels(
    photos, monkeypatch
):
    decoded = []
    read = pictures.read
    monkeypatch.setattr(pictures, "read", lambda file: decoded.append(file) or read(file))
    encoders = [encoder(), encoder("small", preparation=Preparation())]
    target = ranking.open_target(photos)
    found = made(target, encoders, with_probabilities=True)
    assert sorted(decoded) == sorted(target.pictures.files) and len(decoded) == 50
    everything = [read(file) for file in target.pictures.files]
    for one, arrays in zip(encoders, found.arrays, strict=True):
        features, probabilities = one(one.preparation(everything))
        np.testing.assert_allclose(arrays["features"], features, atol=1e-5)
        np.testing.assert_allclose(arrays["probabilities"], probabilities, atol=1e-6)


def test_squares_of_threads_are_what_the_preparation_makes_of_the_pictures_bit_for_bit(photos):
    preparation = Preparation(*SIDES, resampling="bicubic")
    target = ranking.open_target(photos)
    squares, *_ = outputs._batches(target, [preparation], {})
    batch = preparation([pictures.read(file) for file in target.pictures.files[:BATCH]])
    prepared = preparation.normalise(squares[preparation])
    assert torch.equal(prepared, batch) and prepared.stride() == batch.stride()


def test_each_thread_holds_one_decoded_picture_and_no_more_than_asked_for_are_read_ahead():
    class Grey:
        """Pictures that tell how many of them are alive."""

        lock, alive, decoded = threading.Lock(), [], 0

        def __getitem__(self, number):
            picture = np.full((50, 60 + number, 3), number, np.uint8)
            with self.lock:
                self.decoded += 1
                self.alive.append(weakref.ref(picture))
                assert sum(picture() is not None for picture in self.alive) <= os.cpu_count()
            return picture

    grey = Grey()
    target = ranking.Target("grey", np.arange(200) % 2, grey)
    batches = outputs._batches(target, [Preparation()], {})
    next(batches)
    assert grey.decoded <= BATCH + AHEAD
    assert sum(len(batch[Preparation()]) for batch in batches) == 200 - BATCH and grey.decoded == 200


def test_what_pillow_remarks_on_pictures_that_it_can_read_is_not_shown(photos, monkeypatch, recwarn):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5000)
    assert made(ranking.open_target(photos), [encoder()]).damaged == ()
    assert not recwarn.list


def test_an_interruption_reads_no_more_pictures(photos, monkeypatch):
    decoded = []
    read = pictures.read
    monkeypatch.setattr(pictures, "read", lambda file: decoded.append(file) or read(file))
    stopped = encoder()
    stopped.model.register_forward_hook(lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        made(ranking.open_target(photos), [stopped])
    assert len(decoded) <= BATCH + AHEAD


def pruned(name, sparsity=0.99):
    backbone = networks.build(name, 4)
    view = outputs.from_torchvision.split(backbone) if name.startswith("torchvision:") else backbone
    saliency = {key: weight.detach().abs() for key, weight in masks.prunable(view).items()}
    masks.apply(view, masks.select(saliency, sparsity, masks.dense(view)))
    return view


def test_a_sparse_encoder_runs_without_its_dead_channels_where_that_saves_a_tenth(photos, monkeypatch):
    one = Encoder("sparse", "small-resnet", pruned("small-resnet"), Preparation(*SIDES))
    small = outputs._without_dead_channels(one)
    assert budget.flops(small) < 0.9 * budget.flops(one) and small.n_features == one.n_features
    assert budget.flops(small) == budget.flops(Encoder("", "small-resnet", shrink(one.model), one.preparation))
    target = ranking.open_target(photos)
    fast = made(target, [one], with_probabilities=True).arrays[0]
    monkeypatch.setattr(outputs, "SPARSE", 1.0)
    slow = made(target, [one], with_probabilities=True).arrays[0]
    for name in fast:
        np.testing.assert_allclose(fast[name], slow[name], atol=1e-5)


def test_the_last_layer_of_a_torchvision_network_stays_where_it_was():
    state = pruned("torchvision:resnet18", 0.995)
    network = networks.build("torchvision:resnet18", 4)
    network.load_state_dict(
        {name.removeprefix("encoder."): value for name, value in state.state_dict().items() if "encoder" in name}
        | {f"fc.{part}": value for part, value in state.classifier.state_dict().items()}
    )
    one = Encoder("sparse", "torchvision:resnet18", network, Preparation(*SIDES))
    small = outputs._without_dead_channels(one)
    assert budget.flops(small) < 0.9 * budget.flops(one)
    inputs = torch.randn(2, 3, 36, 36)
    for there, here in zip(one(inputs), small(inputs), strict=True):
        torch.testing.assert_close(there, here, rtol=0, atol=1e-5)
    assert network.fc.out_features == 4  # the user's network keeps its own


def test_dense_encoders_and_those_that_cannot_be_traced_run_as_they_are():
    dense = encoder()
    assert outputs._without_dead_channels(dense) is dense

    class Branches(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(27, 5)
            self.layer.weight.data.zero_()

        def forward(self, images):
            return self.layer(images.flatten(1)) if images.sum() > 0 else torch.zeros(len(images), 5)

    branches = Encoder("", "", Backbone(Branches(), 5, 2), Preparation(3, 3))
    assert outputs._without_dead_channels(branches) is branches


# kept


def passes(encoders):
    """Counts forward passes."""
    count = []
    for one in encoders:
        one.model.register_forward_hook(lambda *_: count.append(1))
    return count


def test_what_was_made_once_is_not_made_again(photos):
    target, encoders = ranking.open_target(photos), [encoder(), encoder("two", 1)]
    keys = [cache.key_of_encoder(one) for one in encoders]
    count = passes(encoders)
    first = made(target, encoders, keys)
    assert count
    count.clear()
    second = made(target, encoders[::-1], keys[::-1])
    assert not count
    for before, after in zip(first.arrays, second.arrays[::-1], strict=True):
        assert np.array_equal(before["features"], after["features"])
    # Probabilities were not asked for before, so now they are made; then they are there for both.
    made(target, encoders, keys, True)
    assert count
    count.clear()
    assert made(target, encoders, keys, True).arrays[0]["probabilities"].shape == (50, 4)
    made(target, encoders, keys)
    assert not count


def test_a_new_encoder_is_the_only_one_that_runs(photos):
    target, known, new = ranking.open_target(photos), encoder(), encoder("two", 1)
    made(target, [known], [cache.key_of_encoder(known)])
    count, other = passes([known]), passes([new])
    found = made(target, [known, new], [cache.key_of_encoder(one) for one in (known, new)])
    assert not count and other and len(found.arrays) == 2


def test_without_a_key_or_a_target_with_content_nothing_is_kept(photos):
    target, one = ranking.open_target(photos), encoder()
    made(target, [one])
    made(ranking.Target("grey", np.arange(4) % 2, np.zeros((4, 9, 9, 3), np.uint8)), [one], [cache.key_of_encoder(one)])
    assert cache.find(f"{target.content()}-{cache.key_of_encoder(one)}", ["features"]) is None


def test_damaged_pictures_are_told_again(photos, tmp_path):
    for folder in ("class-0", "class-1"):
        (tmp_path / "p" / folder).mkdir(parents=True)
        for file in (photos / folder).iterdir():
            (tmp_path / "p" / folder / file.name).write_bytes(file.read_bytes())
    (tmp_path / "p" / "class-1" / "01.png").write_bytes(b"")
    target, one = ranking.open_target(tmp_path / "p"), encoder()
    key = [cache.key_of_encoder(one)]
    first = made(target, [one], key)
    count = passes([one])
    second = made(target, [one], key)
    assert not count and second.damaged == first.damaged and len(first.damaged) == 1
    assert np.array_equal(second.rows, first.rows) and 25 not in first.rows and len(first.rows) == 49
