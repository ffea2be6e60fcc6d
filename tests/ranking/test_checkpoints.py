"""Checkpoints: read without executing anything, recognised by what they hold, refused in one line."""

import io
import json
import pickle
import urllib.error

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file

from tepones.backbones import BACKBONES
from tepones.backbones.encoder import Encoder, Preparation
from tepones.backbones.features import extract
from tepones.common._torchvision import torchvision
from tepones.common.errors import TeponesError, UsageError
from tepones.ranking import checkpoints


@pytest.fixture(scope="module")
def small():
    return checkpoints.build("small-resnet", 7)


@pytest.fixture(scope="module")
def squeezenet():
    return checkpoints.build("squeezenet1_1", 5)


def _refused(path, *parts, architecture=None, error=TeponesError):
    with pytest.raises(error) as raised:
        checkpoints.load(path, architecture)
    message = str(raised.value)
    assert "\n" not in message
    for part in (path.name, *parts):
        assert part in message
    return message


def test_our_own_file_comes_back_with_the_same_features(tmp_path, small, images):
    checkpoints.write(tmp_path / "mine.safetensors", small, "small-resnet")
    encoder = checkpoints.load(tmp_path / "mine.safetensors")
    assert (encoder.name, encoder.architecture, encoder.n_features, encoder.n_classes) == (
        "mine",
        "small-resnet",
        128,
        7,
    )
    features, probabilities = encoder(encoder.preparation(list(images[0])))
    np.testing.assert_allclose(features.numpy(), extract(small, images[0]), atol=1e-6)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)


@pytest.mark.parametrize("name", ["small", "squeezenet"])
@pytest.mark.parametrize("half", [False, True])
def test_recognised_by_its_tensors_whatever_its_name(tmp_path, request, name, half):
    model = request.getfixturevalue(name)
    state = {
        key: tensor.half() if half and tensor.is_floating_point() else tensor
        for key, tensor in model.state_dict().items()
    }
    save_file({key: tensor.contiguous() for key, tensor in state.items()}, tmp_path / "x.safetensors")
    encoder = checkpoints.load(tmp_path / "x.safetensors")
    assert encoder.architecture == {"small": "small-resnet", "squeezenet": "squeezenet1_1"}[name]
    for key, tensor in encoder.model.state_dict().items():
        assert torch.equal(tensor, state[key].to(tensor.dtype))


@pytest.mark.parametrize("name", [*BACKBONES, "torchvision:resnet18"])
def test_every_backbone_of_the_study_comes_back(tmp_path, images, name):
    checkpoints.write(tmp_path / "x.safetensors", checkpoints.build(name, 3), name)
    encoder = checkpoints.load(tmp_path / "x.safetensors")
    assert encoder.architecture == name
    features, probabilities = encoder(encoder.preparation(list(images[0][:2])))
    with torch.inference_mode():
        torch.testing.assert_close(features, encoder.model.encoder(encoder.preparation(list(images[0][:2]))))
    assert probabilities.shape == (2, 3)


def test_the_same_weights_get_the_same_input_under_every_name(tmp_path):
    """Written as the study names it, as torchvision names it, and as a file without metadata."""
    ours = checkpoints.build("torchvision:squeezenet1_1", 3)
    plain = checkpoints.build("squeezenet1_1", 3)
    renamed = zip(plain.state_dict(), ours.state_dict().values(), strict=True)
    plain.load_state_dict(dict(renamed))
    checkpoints.write(tmp_path / "study.safetensors", ours, "torchvision:squeezenet1_1")
    checkpoints.write(tmp_path / "torchvision.safetensors", plain, "squeezenet1_1")
    torch.save(plain.state_dict(), tmp_path / "plain.pt")
    pictures = [np.random.default_rng(0).integers(0, 256, (90, 70, 3), np.uint8)]
    found = [checkpoints.load(file) for file in sorted(tmp_path.iterdir())]
    assert len(found) == 3
    for encoder in found:
        assert (encoder.preparation.resize, encoder.preparation.crop) == (256, 224)
        torch.testing.assert_close(*(one(one.preparation(pictures))[0] for one in (encoder, found[0])))


def test_the_preparation_travels_with_the_file_and_can_be_overridden(tmp_path, small):
    trained_on = Preparation(60, 48, (1.5, 2.0, 3.0), (50.0, 60.0, 70.0), "bicubic")
    path = tmp_path / "x.safetensors"
    checkpoints.write(path, small, "small-resnet", trained_on)
    assert checkpoints.load(path).preparation == trained_on
    assert checkpoints.load(path, "small-resnet").preparation == trained_on
    other = Preparation(64, 64)
    assert checkpoints.load(path, prepared=other).preparation == other


_GOOD = {"resize": 40, "crop": 32, "mean": [1, 2, 3], "std": [1, 2, 3], "resampling": "bicubic"}


@pytest.mark.parametrize(
    ("metadata", "part"),
    [
        ({"preparation": "no JSON"}, "Invalid JSON"),
        ({"preparation": "[]"}, "preparation"),
        ({"preparation": json.dumps(_GOOD | {"crop": 0})}, "crop"),
        ({"preparation": json.dumps(_GOOD | {"crop": 41})}, "crop 41 is larger than resize 40"),
        ({"preparation": json.dumps(_GOOD | {"resize": 10**9})}, "resize"),
        ({"preparation": json.dumps(_GOOD | {"std": [1, 0, 1]})}, "std.1"),
        ({"preparation": json.dumps(_GOOD | {"mean": [1, 2, float("nan")]})}, "mean.2"),
        ({"preparation": json.dumps(_GOOD | {"mean": [1, 2]})}, "mean"),
        ({"preparation": json.dumps(_GOOD | {"resampling": "sharp"})}, "resampling"),
        ({"preparation": json.dumps(_GOOD | {"more": 1})}, "more"),
        ({"architecture": "x\ny" * 2000}, "not known here"),
        ({"architecture": "timm:x"}, "not known here"),
    ],
)
def test_bad_metadata_is_one_line(tmp_path, small, metadata, part):
    path = tmp_path / "x.safetensors"
    save_file(small.state_dict(), path, metadata)
    assert len(_refused(path, "metadata", part)) < 400 + len(str(path))


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"preparation": json.dumps(_GOOD)}])
def test_metadata_of_others_are_passed_over(tmp_path, small, metadata):
    save_file(small.state_dict(), tmp_path / "x.safetensors", metadata)
    encoder = checkpoints.load(tmp_path / "x.safetensors")
    assert encoder.architecture == "small-resnet"
    assert encoder.preparation.crop == 32 and encoder.preparation.resize == (40 if "prep" in str(metadata) else 32)


@pytest.mark.parametrize("key", [None, "state_dict", "model"])
def test_a_torch_file_of_tensors_is_read(tmp_path, small, key):
    state = small.state_dict()
    torch.save({key: state, "epoch": 3} if key else state, tmp_path / "x.pt")
    assert checkpoints.load(tmp_path / "x.pt").architecture == "small-resnet"


@pytest.mark.parametrize("protocol", ["zip", "legacy", "plain"])
def test_a_pickle_is_refused_and_nothing_of_it_is_executed(tmp_path, protocol):
    witness = tmp_path / "executed"

    class Evil:
        def __reduce__(self):
            return open, (str(witness), "w")

    path = tmp_path / "evil.pt"
    if protocol == "plain":
        path.write_bytes(pickle.dumps(Evil()))
    else:
        torch.save({"weights": Evil()}, path, _use_new_zipfile_serialization=protocol == "zip")
    _refused(path, "pickle", "never executed")
    assert not witness.exists()


def test_a_whole_pickled_model_is_refused(tmp_path, small):
    torch.save(small, tmp_path / "model.pth")
    _refused(tmp_path / "model.pth", "pickle", "state dictionary")


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}, {"epoch": 3}])
def test_a_torch_file_that_is_no_state_dictionary_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "x.pt")
    _refused(tmp_path / "x.pt", "expected a state dictionary")


@settings(max_examples=25, deadline=None)
@given(fraction=st.floats(0, 1, exclude_max=True), suffix=st.sampled_from([".safetensors", ".pt"]))
@example(fraction=0.0003, suffix=".pt")  # of two bytes torch cannot say that they began an archive
def test_a_truncated_file_is_refused(tmp_path_factory, fraction, suffix):
    folder = tmp_path_factory.mktemp("truncated")
    buffer = io.BytesIO()
    state = {"weight": torch.arange(2000.0)}
    if suffix == ".pt":
        torch.save(state, buffer)
    else:
        save_file(state, folder / "whole")
        buffer.write((folder / "whole").read_bytes())
    whole = buffer.getvalue()
    path = folder / f"cut{suffix}"
    path.write_bytes(whole[: int(fraction * len(whole))])
    _refused(path, "complete")


def test_another_architecture_is_refused_with_the_first_tensor_that_differs(tmp_path, small, squeezenet, monkeypatch):
    path = tmp_path / "x.safetensors"
    checkpoints.write(path, small, "small-resnet")
    _refused(path, "no squeezenet1_1", "classifier.1.weight is missing", architecture="squeezenet1_1")
    checkpoints.write(path, squeezenet, "squeezenet1_1")
    _refused(
        path, "no squeezenet1_0", "features.0.weight", "(64, 3, 3, 3)", "(96, 3, 7, 7)", architecture="squeezenet1_0"
    )
    save_file({"weight": torch.zeros(3)}, path)
    # Some of the classifiers stand for all: each is compared in the same way, and building all takes seconds.
    monkeypatch.setattr(checkpoints, "torchvision_names", lambda: ("resnet18", "squeezenet1_0", "squeezenet1_1"))
    _refused(path, "no architecture known here", "small-resnet")
    save_file({**small.state_dict(), "more": torch.zeros(3)}, path)
    _refused(path, "more is not expected", architecture="small-resnet")


def test_wrong_use_names_what_was_expected(tmp_path, small):
    _refused(tmp_path / "none.pt", "no such file", error=UsageError)
    (tmp_path / "weights.pkl").write_bytes(b"")
    _refused(tmp_path / "weights.pkl", ".safetensors", error=UsageError)
    checkpoints.write(tmp_path / "x.safetensors", small, "small-resnet")
    with pytest.raises(UsageError, match=r"unknown architecture 'resnet1000'.*small-resnet"):
        checkpoints.load(tmp_path / "x.safetensors", "resnet1000")


def test_the_feature_is_the_input_of_the_last_layer():
    model = checkpoints.build("resnet18", 4)
    encoder = Encoder("", "resnet18", model, checkpoints.preparation("resnet18"))
    picture = torch.rand(2, 3, 64, 64)
    features, probabilities = encoder(picture)
    with torch.inference_mode():
        torch.testing.assert_close(probabilities, model(picture).softmax(1))
        model.fc = torch.nn.Identity()
        torch.testing.assert_close(features, model(picture))


def test_where_the_last_layer_is_a_convolution_the_feature_is_averaged(squeezenet):
    encoder = Encoder("", "squeezenet1_1", squeezenet, checkpoints.preparation("squeezenet1_1"))
    picture = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        expected = squeezenet.features(picture).mean((2, 3))
    torch.testing.assert_close(encoder(picture)[0], expected)
    assert encoder.n_features == 512


@pytest.mark.parametrize("name", checkpoints.torchvision_names())
def test_the_last_layer_of_every_torchvision_classifier_gives_the_classes(name):
    head, shapes = checkpoints._skeleton(name)
    # Auxiliary classifiers of old networks aside, no other layer does.
    wide = {key for key, shape in shapes.items() if shape[:1] == (checkpoints._CLASSES,) and "aux" not in key.lower()}
    assert wide - {head.replace("weight", "bias")} == {head}


@settings(max_examples=30, deadline=None)
@given(height=st.integers(8, 300), width=st.integers(8, 300), name=st.sampled_from(["resnet18", "swin_t", "vit_b_16"]))
@example(height=49, width=147, name="resnet18")
def test_pictures_are_prepared_as_torchvision_does(height, width, name):
    rng = np.random.default_rng(height * 1000 + width)
    picture = rng.integers(0, 256, (height, width, 3), np.uint8)
    ours = checkpoints.preparation(name)([picture])[0]
    theirs = torchvision.models.get_model_weights(name).DEFAULT.transforms()(Image.fromarray(picture))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """Torch's cache, without weights."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    return tmp_path / "checkpoints"


def test_a_torchvision_name_takes_cached_weights(empty_cache):
    published = torchvision.models.get_model_weights("squeezenet1_1").DEFAULT.url.rpartition("/")[2]
    model = checkpoints.build("squeezenet1_1", 1000)
    state = {name: tensor + 1 for name, tensor in model.state_dict().items()}
    empty_cache.mkdir()
    torch.save(state, empty_cache / published)
    cached = checkpoints.from_torchvision("squeezenet1_1")
    assert cached.trained and cached.name == "squeezenet1_1"
    assert torch.equal(cached.model.features[0].weight, model.features[0].weight + 1)
    control = checkpoints.from_torchvision("squeezenet1_1", untrained=True)
    assert not control.trained and torch.equal(control.model.features[0].weight, model.features[0].weight)


def test_initial_weights_are_the_same_each_time_and_disturb_no_random_numbers():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, second = (checkpoints.from_torchvision("squeezenet1_1", untrained=True) for _ in range(2))
    assert torch.equal(before, torch.random.get_rng_state())
    assert not first.trained and first.n_classes == 1000
    assert torch.equal(*(encoder.model.features[0].weight for encoder in (first, second)))


def test_weights_that_are_not_there_are_an_error_that_says_what_to_do(empty_cache, monkeypatch):
    def fail(*args, **kwargs):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(TeponesError, match=r"squeezenet1_1: .*not in torch's cache.*--download.*squeezenet1_1=FILE"):
        checkpoints.from_torchvision("squeezenet1_1")
    with pytest.raises(TeponesError, match=r"squeezenet1_1.*cannot be fetched.*no network"):
        checkpoints.from_torchvision("squeezenet1_1", download=True)
