"""Checkpoints: read without executing anything, recognised by what they hold, refused in one line."""

import io
import json
import pickle
import re

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch.nn.utils import prune

from tepones.backbones import BACKBONES
from tepones.backbones.encoder import Encoder, Preparation
from tepones.backbones.features import extract
from tepones.common.errors import TeponesError, UsageError
from tepones.ranking import checkpoints, networks


@pytest.fixture(scope="module")
def small():
    return networks.build("small-resnet", 7)


@pytest.fixture(scope="module")
def squeezenet():
    return networks.build("torchvision:squeezenet1_1", 5)


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
    assert encoder.architecture == {"small": "small-resnet", "squeezenet": "torchvision:squeezenet1_1"}[name]
    for key, tensor in encoder.model.state_dict().items():
        assert torch.equal(tensor, state[key].to(tensor.dtype))


@pytest.mark.parametrize("name", [*BACKBONES, "torchvision:resnet18"])
def test_every_backbone_of_the_study_comes_back(tmp_path, images, name):
    written = BACKBONES.load(name)(3).eval()
    checkpoints.write(tmp_path / "x.safetensors", written, name)
    encoder = checkpoints.load(tmp_path / "x.safetensors")
    assert encoder.architecture == name
    features, probabilities = encoder(encoder.preparation(list(images[0][:2])))
    with torch.inference_mode():
        torch.testing.assert_close(features, written.encoder(encoder.preparation(list(images[0][:2]))))
    assert probabilities.shape == (2, 3)


def test_the_same_weights_get_the_same_input_under_every_name(tmp_path):
    """Written as the study names it, as torchvision names it, and as a file without metadata."""
    ours = BACKBONES.load("torchvision:squeezenet1_1")(3)
    plain = networks.build("torchvision:squeezenet1_1", 3)
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


@pytest.mark.parametrize("architecture", [None, "small-resnet"])
@pytest.mark.parametrize(
    "wrapped",
    [
        lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
        lambda state: {"state_dict": {"metric": torch.ones(3), **{f"model.{name}": state[name] for name in state}}},
        lambda state: {"model_state_dict": {f"_orig_mod.module.{name}": state[name] for name in state}, "epoch": 1},
        lambda state: {"ema": state},
    ],
)
def test_wrapped_weights_are_those_inside(tmp_path, small, wrapped, architecture):
    torch.save(wrapped(small.state_dict()), tmp_path / "x.ckpt")
    encoder = checkpoints.load(tmp_path / "x.ckpt", architecture)
    assert encoder.architecture == "small-resnet"
    for name, tensor in small.state_dict().items():
        assert torch.equal(encoder.model.state_dict()[name], tensor)


def test_a_network_pruned_by_torch_has_its_masked_weights(tmp_path):
    pruned = networks.build("small-resnet", 3)
    weights = [(module, "weight") for module in pruned.modules() if isinstance(module, torch.nn.Conv2d)]
    prune.global_unstructured(weights, prune.L1Unstructured, amount=0.8)
    torch.save(pruned.state_dict(), tmp_path / "x.pt")
    encoder = checkpoints.load(tmp_path / "x.pt")
    convolutions = [module for module in encoder.model.modules() if isinstance(module, torch.nn.Conv2d)]
    for found, (module, _) in zip(convolutions, weights, strict=True):
        assert torch.equal(found.weight, module.weight)
    zeros = sum(int((module.weight == 0).sum()) for module in convolutions)
    assert abs(zeros / sum(module.weight.numel() for module in convolutions) - 0.8) < 1e-4


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


def test_another_architecture_is_refused_with_the_first_tensor_that_differs(tmp_path, small, squeezenet):
    path = tmp_path / "x.safetensors"
    checkpoints.write(path, small, "small-resnet")
    _refused(path, "no torchvision:squeezenet1_1", "features.0.weight is missing", architecture="squeezenet1_1")
    checkpoints.write(path, squeezenet, "squeezenet1_1")
    shapes = ("(64, 3, 3, 3)", "(96, 3, 7, 7)")
    _refused(path, "no torchvision:squeezenet1_0", "features.0.weight", *shapes, architecture="squeezenet1_0")
    save_file({"weight": torch.zeros(3)}, path)
    _refused(path, "its 1 tensors (weight) are of no architecture known here", "ARCHITECTURE=FILE")
    save_file({**small.state_dict(), "encoder.more": torch.zeros(3)}, path)
    _refused(path, "encoder.more is not expected", architecture="small-resnet")
    _refused(path, "no architecture known here")


HEADS = {
    "none": (lambda state: {}, False),
    "of other classes": (lambda state: {"fc.weight": torch.randn(9, 512), "fc.bias": torch.randn(9)}, True),
    "of another name": (lambda state: {"my_head.weight": torch.randn(9, 512), "my_head.bias": torch.randn(9)}, True),
    "deeper": (lambda state: {"fc.0.weight": torch.randn(64, 512), "fc.2.weight": torch.randn(9, 64)}, False),
    "and a criterion": (lambda state: state | {"criterion.weight": torch.ones(5)}, True),
}


@pytest.fixture(scope="module")
def resnet():
    return networks.build("torchvision:resnet18", 5).eval()


@pytest.mark.parametrize("named", [None, "resnet18"])
@pytest.mark.parametrize("prefix", ["", "module.", "model.backbone."])
@pytest.mark.parametrize("head", HEADS)
def test_features_need_no_head_and_any_will_do(tmp_path, resnet, head, prefix, named):
    own = {name: tensor for name, tensor in resnet.state_dict().items() if name.startswith("fc.")}
    encoder = {name: tensor for name, tensor in resnet.state_dict().items() if name not in own}
    make, classifies = HEADS[head]
    written = make(own)
    torch.save({f"{prefix}{name}": tensor for name, tensor in (encoder | written).items()}, tmp_path / "x.pt")
    loaded = checkpoints.load(tmp_path / "x.pt", named)
    assert (loaded.architecture, loaded.head, loaded.classifies) == ("torchvision:resnet18", "fc", classifies)
    picture = torch.rand(1, 3, 64, 64)
    features, probabilities = loaded(picture)
    expected, _ = Encoder("", "", resnet, Preparation())(picture)
    torch.testing.assert_close(features, expected)
    if classifies:
        weight, bias = (
            next(value for name, value in written.items() if name.endswith(part)) for part in ("weight", "bias")
        )
        torch.testing.assert_close(probabilities, (expected @ weight.T + bias).softmax(1))


def test_a_head_that_is_called_as_a_part_of_the_encoder_takes_nothing_from_it(tmp_path):
    network = networks.build("torchvision:vgg11", 3)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.25)  # no initial weight is so
    state = {key: value for key, value in network.state_dict().items() if not key.startswith("classifier.6.")}
    torch.save(state | {"classifier.weight": torch.ones(3, 4096), "classifier.bias": torch.ones(3)}, tmp_path / "x.pt")
    loaded = checkpoints.load(tmp_path / "x.pt", "vgg11").model.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state.items())


@pytest.mark.parametrize(
    "name", ["timm:resnet26", "timm:repvit_m0_9", "timm:vit_tiny_patch16_224", "timm:mobilenetv3_small_050"]
)
def test_networks_of_timm_are_known_by_their_tensors_or_named(tmp_path, name):
    network = networks.build(name, 3).eval()
    path = tmp_path / "x.safetensors"
    save_file(network.state_dict(), path)
    if "vit_tiny" in name:
        _refused(path, "timm:deit_tiny_patch16_224", name, "ARCHITECTURE=FILE")
    encoder = checkpoints.load(path, name if "vit_tiny" in name else None)
    assert (encoder.architecture, encoder.n_classes, encoder.classifies) == (name, 3, True)
    picture = torch.rand(2, 3, 224, 224)
    features, probabilities = encoder(picture)
    with torch.inference_mode():
        maps = network.forward_features(picture)
        torch.testing.assert_close(probabilities, network(picture).softmax(1))
        if "repvit" not in name:  # which normalises once more before its last layer
            torch.testing.assert_close(features, network.forward_head(maps, pre_logits=True))
    assert encoder.preparation.crop == 224 and encoder.preparation.resampling == "bicubic"


def _of_swin(name):
    name = re.sub(r"layers\.(\d)\.downsample", lambda found: f"layers.{int(found[1]) - 1}.downsample", name)
    return name.replace("head.fc.", "head.")


def _of_convnext(name):
    for ours, theirs in {
        r"^stem\.": "downsample_layers.0.",
        r"^stages\.(\d)\.downsample": r"downsample_layers.\1",
        r"blocks\.": "",
        "conv_dw": "dwconv",
        r"mlp\.fc": "pwconv",
        r"head\.norm": "norm",
        r"head\.fc": "head",
    }.items():
        name = re.sub(ours, theirs, name)
    return name


def _of_clip(name):
    for ours, theirs in {
        r"norm_pre": "ln_pre",
        r"^norm\.": "ln_post.",
        r"norm(\d)": r"ln_\1",
        r"attn\.qkv\.": "attn.in_proj_",
        r"attn\.proj": "attn.out_proj",
        r"mlp\.fc1": "mlp.c_fc",
        r"mlp\.fc2": "mlp.c_proj",
        r"^blocks\.": "transformer.resblocks.",
        r"^patch_embed\.proj": "conv1",
        "^pos_embed": "positional_embedding",
        "^cls_token": "class_embedding",
    }.items():
        name = re.sub(ours, theirs, name)
    return f"visual.{name}"


def _clip(state):
    """As OpenAI writes it: no bias of the projection, no leading dimensions of ones, a second tower."""
    projection = state.pop("head.weight").T.clone()
    del state["head.bias"]
    renamed = {_of_clip(name): tensor for name, tensor in state.items()}
    renamed["visual.class_embedding"] = renamed["visual.class_embedding"][0, 0]
    renamed["visual.positional_embedding"] = renamed["visual.positional_embedding"][0]
    text = {"transformer.resblocks.0.ln_1.weight": torch.ones(3), "logit_scale": torch.tensor(1.0)}
    return {**renamed, "visual.proj": projection, **text}


def _renamed(rename, state):
    return {rename(name): tensor for name, tensor in state.items()}


#: Files in the names of their authors' code: a network of timm, how they write it, whether it has a classifier.
THEIRS = {
    "Swin": (
        "timm:swin_tiny_patch4_window7_224",
        lambda state: {"model": _renamed(_of_swin, state) | {"layers.0.blocks.1.attn_mask": torch.zeros(64, 49, 49)}},
        True,
    ),
    "ConvNeXt": ("timm:convnext_atto", lambda state: {"model": _renamed(_of_convnext, state)}, True),
    "CLIP": ("timm:vit_xsmall_patch16_clip_224", _clip, False),
    "DINOv2": (
        "timm:vit_small_patch14_reg4_dinov2",
        lambda state: {
            "mask_token": torch.zeros(1, 384),
            "register_tokens": state.pop("reg_token"),
            "pos_embed": torch.cat([torch.zeros(1, 1, 384), state.pop("pos_embed")], 1),
            **state,
        },
        False,
    ),
}


@pytest.mark.parametrize("name", THEIRS)
def test_names_of_the_authors_code_are_converted_as_timm_does_it(tmp_path, name):
    architecture, write, classifies = THEIRS[name]
    network = networks.build(architecture, 5 if classifies else 0).eval()
    if name == "CLIP":
        network.reset_classifier(9)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn_like(weight), alpha=0.01)  # no initial weight is so
    written = write(dict(network.state_dict()))
    torch.save(written, tmp_path / "x.pt")
    loaded = checkpoints.load(tmp_path / "x.pt", architecture)
    assert "converted by timm" in " ".join(loaded.notes) and loaded.classifies == classifies
    expected = network.state_dict()
    for key, tensor in loaded.model.state_dict().items():
        if classifies or not key.startswith("head."):
            torch.testing.assert_close(tensor, expected[key])
    _refused(tmp_path / "x.pt", "of no architecture known here", "name it: ARCHITECTURE=FILE")


def test_weights_for_larger_pictures_are_resized_by_timm_and_that_is_told(tmp_path):
    state = networks.build("timm:vit_tiny_patch16_384", 3).state_dict()
    torch.save({"model": {f"module.{name}": tensor for name, tensor in state.items()}}, tmp_path / "x.pth")
    loaded = checkpoints.load(tmp_path / "x.pth", "timm:vit_tiny_patch16_224")
    assert loaded.notes == ("weights from model", "without module., converted by timm, which resized pos_embed")
    assert loaded.classifies and loaded.model.pos_embed.shape == (1, 197, 192)


@pytest.mark.parametrize(
    "names",
    [
        ["vit.embeddings.patch_embeddings.projection.weight", "vit.encoder.layer.0.attention.attention.query.weight"],
        ["vision_model.embeddings.patch_embedding.weight", "vision_model.encoder.layers.0.self_attn.k_proj.weight"],
        ["resnet.embedder.embedder.convolution.weight", "resnet.embedder.embedder.normalization.weight"],
    ],
)
@pytest.mark.parametrize("architecture", [None, "timm:vit_tiny_patch16_224"])
def test_names_of_transformers_are_told_as_such(tmp_path, names, architecture):
    save_file({name: torch.ones(4, 4) for name in names}, tmp_path / "model.safetensors", {"format": "pt"})
    _refused(
        tmp_path / "model.safetensors",
        "transformers",
        names[0],
        "tepones.ranking.encoder_of",
        architecture=architecture,
    )


def test_a_network_with_two_heads_takes_both_or_none(tmp_path):
    network = networks.build("timm:deit_tiny_distilled_patch16_224", 3).eval()
    torch.save(network.state_dict(), tmp_path / "x.pt")
    loaded = checkpoints.load(tmp_path / "x.pt", "timm:deit_tiny_distilled_patch16_224")
    picture = torch.rand(1, 3, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(loaded(picture)[1], network(picture).softmax(1))
    assert loaded.classifies and loaded.notes == ()
    one = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("head_dist")}
    torch.save(one, tmp_path / "y.pt")
    loaded = checkpoints.load(tmp_path / "y.pt", "timm:deit_tiny_distilled_patch16_224")
    assert not loaded.classifies and loaded.notes == ("left out: head.weight, head.bias",)


@pytest.mark.parametrize(
    ("written", "notes"),
    [
        (lambda state: state, ()),
        (
            lambda state: {"model": {f"module.{name}": state[name] for name in state}, "ema": state},
            ("weights from model; passed over: ema", "without module."),
        ),
        (
            lambda state: {"mean": torch.ones(3)} | {f"model.{name}": state[name] for name in state},
            ("without model.", "left out: mean"),
        ),
        (lambda state: {name: state[name] for name in state if "classifier" not in name}, ("without its last layer",)),
        (
            lambda state: state | {"classifier.weight": torch.ones(3, 128, 2)},
            ("left out: classifier.weight, classifier.bias",),
        ),
        (
            lambda state: {
                **{name: state[name] for name in state if name != "encoder.0.weight"},
                "encoder.0.weight_orig": state["encoder.0.weight"],
                "encoder.0.weight_mask": torch.ones_like(state["encoder.0.weight"]),
            },
            ("1 tensors multiplied by their masks of torch.nn.utils.prune",),
        ),
    ],
)
def test_what_was_chosen_and_left_out_is_noted(tmp_path, small, written, notes):
    torch.save(written(dict(small.state_dict())), tmp_path / "x.pt")
    assert checkpoints.load(tmp_path / "x.pt", "small-resnet").notes == notes


def test_wrong_use_names_what_was_expected(tmp_path, small):
    _refused(tmp_path / "none.pt", "no such file", error=UsageError)
    (tmp_path / "weights.pkl").write_bytes(b"")
    _refused(tmp_path / "weights.pkl", ".safetensors", error=UsageError)
    checkpoints.write(tmp_path / "x.safetensors", small, "small-resnet")
    with pytest.raises(UsageError, match=r"unknown architecture 'resnet1000'.*small-resnet"):
        checkpoints.load(tmp_path / "x.safetensors", "resnet1000")
