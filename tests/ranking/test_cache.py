"""What is kept between rankings: by the content of what decides it, whole or not at all, in bounded space."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from tepones.backbones.encoder import Encoder, Preparation
from tepones.common import paths
from tepones.ranking import cache, networks, pictures


@pytest.fixture
def encoder():
    return Encoder("one", "small-resnet", networks.build("small-resnet", 4), Preparation())


def test_the_key_follows_weights_architecture_preparation_and_code(encoder, monkeypatch):
    keys = [cache.key_of_encoder(encoder)]
    assert cache.key_of_encoder(replace(encoder, name="another")) == keys[0]
    keys.append(cache.key_of_encoder(replace(encoder, preparation=Preparation(40, 36))))
    keys.append(cache.key_of_encoder(replace(encoder, architecture="small-mobilenet")))
    keys.append(cache.key_of_encoder(replace(encoder, classifies=False)))
    with torch.no_grad():
        next(encoder.model.parameters())[0, 0, 0, 0] += 1e-3
    keys.append(cache.key_of_encoder(encoder))
    monkeypatch.setattr(pictures, "__file__", cache.__file__)
    keys.append(cache.key_of_encoder(encoder))
    assert len(set(keys)) == len(keys)


def test_numbers_are_computed_once():
    computed = []
    for _ in range(2):
        assert cache.remembered("costs", "key", lambda: computed.append(1) or {"bytes": 3}) == {"bytes": 3}
    assert len(computed) == 1
    assert cache.remembered("costs", "other", lambda: {"bytes": 4}) == {"bytes": 4}
    (paths.cache() / "costs" / "key.json").write_bytes(b"\xff{")
    assert cache.remembered("costs", "key", lambda: {"bytes": 5}) == {"bytes": 5}


def test_arrays_come_back_as_they_were():
    features = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    cache.keep("key", {"features": features}, {"damaged": [2]})
    found = cache.find("key", ["features"])
    assert np.array_equal(found.arrays["features"], features) and found.about["damaged"] == [2]
    assert cache.find("key", ["features", "probabilities"]) is None and cache.find("other", ["features"]) is None
    cache.keep("key", {"features": features + 1}, {"damaged": []})
    assert np.array_equal(cache.find("key", ["features"]).arrays["features"], features + 1)


def _cut(file):
    file.write_bytes(file.read_bytes()[:-1])


def _flip(file):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [_cut, _flip, os.unlink])
@pytest.mark.parametrize("name", ["features.npy", "about.json"])
def test_what_is_damaged_is_as_if_it_were_not_there(name, damage):
    cache.keep("key", {"features": np.ones((4, 2), np.float32)}, {})
    damage(paths.cache() / "features" / "key" / name)
    assert cache.find("key", ["features"]) is None


def test_what_was_not_used_for_longest_goes(monkeypatch):
    array = np.ones((100, 10), np.float32)
    monkeypatch.setattr(cache, "LARGEST", 3 * 4500)
    for number, name in enumerate("abc"):
        cache.keep(name, {"features": array}, {})
        os.utime(paths.cache() / "features" / name / "about.json", (number, number))
    assert cache.find("a", ["features"])  # used now
    cache.keep("d", {"features": array}, {})
    assert [name for name in "abcd" if cache.find(name, ["features"])] == ["a", "c", "d"]


def test_a_disk_that_cannot_be_written_keeps_nothing_and_stops_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("TEPONES_CACHE", str(tmp_path / "file"))
    cache.keep("key", {"features": np.ones((2, 2), np.float32)}, {})
    assert cache.find("key", ["features"]) is None
    assert cache.remembered("costs", "key", lambda: {"bytes": 1}) == {"bytes": 1}
