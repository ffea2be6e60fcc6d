"""Networks by name: their last layers, their pictures, and where their published weights are looked for."""

import urllib.error

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from tepones.backbones.encoder import Encoder
from tepones.common._torchvision import torchvision
from tepones.common.errors import TeponesError
from tepones.ranking import checkpoints, networks


@pytest.fixture(scope="module")
def squeezenet():
    return networks.build("torchvision:squeezenet1_1", 5)


def test_the_feature_is_the_input_of_the_last_layer():
    model = networks.build("torchvision:resnet18", 4)
    encoder = Encoder("", "resnet18", model, networks.preparation("torchvision:resnet18"))
    picture = torch.rand(2, 3, 64, 64)
    features, probabilities = encoder(picture)
    with torch.inference_mode():
        torch.testing.assert_close(probabilities, model(picture).softmax(1))
        model.fc = torch.nn.Identity()
        torch.testing.assert_close(features, model(picture))


def test_where_the_last_layer_is_a_convolution_the_feature_is_averaged(squeezenet):
    encoder = Encoder("", "squeezenet1_1", squeezenet, networks.preparation("torchvision:squeezenet1_1"))
    picture = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        expected = squeezenet.features(picture).mean((2, 3))
    torch.testing.assert_close(encoder(picture)[0], expected)
    assert encoder.n_features == 512


@pytest.mark.parametrize("name", networks.torchvision_names())
def test_the_last_layer_of_every_torchvision_classifier_gives_the_classes(name):
    with networks.OnMeta():
        network = networks.build(f"torchvision:{name}", 9973)
    [head] = networks.heads(network)
    # Auxiliary classifiers of old networks aside, no other layer does.
    wide = {
        key for key, value in network.state_dict().items() if value.shape[:1] == (9973,) and "aux" not in key.lower()
    }
    assert wide - {f"{head}.bias"} == {f"{head}.weight"}


@settings(max_examples=30, deadline=None)
@given(
    height=st.integers(30, 300), width=st.integers(30, 300), name=st.sampled_from(["resnet18", "swin_t", "vit_b_16"])
)
@example(height=49, width=147, name="resnet18")
def test_pictures_are_prepared_as_torchvision_does(height, width, name):
    rng = np.random.default_rng(height * 1000 + width)
    picture = rng.integers(0, 256, (height, width, 3), np.uint8)
    ours = networks.preparation(f"torchvision:{name}")([picture])[0]
    theirs = torchvision.models.get_model_weights(name).DEFAULT.transforms()(Image.fromarray(picture))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """Torch's cache, without weights."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    return tmp_path / "checkpoints"


def test_a_torchvision_name_takes_cached_weights(empty_cache):
    published = torchvision.models.get_model_weights("squeezenet1_1").DEFAULT.url.rpartition("/")[2]
    model = networks.build("torchvision:squeezenet1_1", 1000)
    state = {name: tensor + 1 for name, tensor in model.state_dict().items()}
    empty_cache.mkdir()
    torch.save(state, empty_cache / published)
    cached = checkpoints.of_library("squeezenet1_1")
    assert cached.trained and cached.name == "squeezenet1_1"
    assert torch.equal(cached.model.features[0].weight, model.features[0].weight + 1)
    control = checkpoints.of_library("squeezenet1_1", untrained=True)
    assert not control.trained and torch.equal(control.model.features[0].weight, model.features[0].weight)


def test_initial_weights_are_the_same_each_time_and_disturb_no_random_numbers():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, second = (checkpoints.of_library("squeezenet1_1", untrained=True) for _ in range(2))
    assert torch.equal(before, torch.random.get_rng_state())
    assert not first.trained and first.n_classes == 1000
    assert torch.equal(*(encoder.model.features[0].weight for encoder in (first, second)))


def test_weights_that_are_not_there_are_an_error_that_says_what_to_do(empty_cache, monkeypatch):
    def fail(*args, **kwargs):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(TeponesError, match=r"squeezenet1_1: .*not in torch's cache.*--download.*squeezenet1_1=FILE"):
        checkpoints.of_library("squeezenet1_1")
    with pytest.raises(TeponesError, match=r"squeezenet1_1.*cannot be fetched.*no network"):
        checkpoints.of_library("squeezenet1_1", download=True)
