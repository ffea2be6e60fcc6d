"""Modules from Python: the features that they hold, and that nobody's module is changed."""

import copy
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

from tepones.backbones.encoder import Preparation
from tepones.common.errors import TeponesError, UsageError
from tepones.pruning import budget
from tepones.ranking import Target, encoder_of, networks, rank

SMALL = Preparation(16, 16)


class Net(nn.Module):
    """A stem, a body and a classifier, and parts that only training uses."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.body = nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.fc = nn.Linear(8, 5)
        self.auxiliary = nn.Sequential(nn.Linear(8, 70), nn.Linear(70, 3))

    def forward(self, images):
        return self.fc(self.body(self.stem(images)).mean((2, 3)))


class Tokens(nn.Module):
    """As a transformer: maps become tokens, channels last."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(3, 6, 4, stride=4)
        self.norm = nn.LayerNorm(6)
        self.head = nn.Linear(6, 5)

    def tokens(self, images):
        return self.norm(self.embed(images).flatten(2).transpose(1, 2))

    def forward(self, images):
        return self.head(self.tokens(images)[:, 0])


class Returning(nn.Module):
    """A network, and what it makes of its logits."""

    def __init__(self, network, returned):
        super().__init__()
        self.network, self.returned = network, returned

    def forward(self, images):
        return self.returned(self.network(images))


class Output(OrderedDict):
    """As transformers return it: a dictionary whose entries are attributes too."""

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net().eval()


@pytest.fixture
def pictures():
    return torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def _refused(*parts, error=TeponesError, **given):
    with pytest.raises(error) as raised:
        encoder_of(name="mine", preparation=SMALL, **given)
    message = str(raised.value)
    assert message.startswith("mine: ") and len(message.splitlines()) == 1
    for part in parts:
        assert part in message


def test_the_feature_is_what_the_classifier_takes(net, pictures):
    encoder = encoder_of(net, "mine", SMALL)
    features, probabilities = encoder(pictures)
    with torch.no_grad():
        torch.testing.assert_close(features, net.body(net.stem(pictures)).mean((2, 3)))
        torch.testing.assert_close(probabilities, net(pictures).softmax(1))
    assert (encoder.name, encoder.n_features, encoder.n_classes, encoder.classifies) == ("mine", 8, 5, True)
    assert encoder.notes == ()


@pytest.mark.parametrize(
    "returned",
    [
        lambda logits: (logits, logits[:, :2]),
        lambda logits: [[logits]],
        lambda logits: {"aux": logits[:, :2], "logits": logits},
        lambda logits: Output(loss=logits.sum(), logits=logits),
        lambda logits: logits.softmax(1),
        lambda logits: logits.log_softmax(1),
        lambda logits: logits[:, :, None, None],
        lambda logits: logits.double(),
    ],
)
def test_whatever_stands_around_the_logits(net, pictures, returned):
    features, probabilities = encoder_of(Returning(net, returned), "mine", SMALL)(pictures)
    expected = encoder_of(net, "mine", SMALL)(pictures)
    torch.testing.assert_close(features, expected[0])
    torch.testing.assert_close(probabilities.float(), expected[1])


def test_where_the_classifier_is_a_convolution_the_feature_is_averaged(pictures):
    torch.manual_seed(0)
    body, last = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 5, 1)
    network = nn.Sequential(body, last, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    features, probabilities = encoder_of(network, "mine", SMALL)(pictures)
    with torch.no_grad():
        torch.testing.assert_close(features, body(pictures).mean((2, 3)))
        torch.testing.assert_close(probabilities, network(pictures).softmax(1))


def test_a_named_layer_gives_its_output_averaged_over_places(net, pictures):
    tokens = Tokens().eval()
    with torch.no_grad():
        expected = {
            (net, "stem"): net.stem(pictures).mean((2, 3)),
            (net, "stem.0"): net.stem[0](pictures).mean((2, 3)),
            (net, "fc"): net(pictures),
            (net, ""): net(pictures),
            (tokens, "norm"): tokens.tokens(pictures).mean(1),
            (Returning(tokens, lambda x: x[:, None, None].expand(-1, 7, 7, -1)), ""): tokens(pictures),
        }
    for (network, layer), features in expected.items():
        encoder = encoder_of(network, "mine", SMALL, features=layer)
        torch.testing.assert_close(encoder(pictures)[0], features)
        assert not encoder.classifies and encoder.n_features == features.shape[1]


def test_layers_that_no_picture_goes_through_are_no_part_of_the_encoder(net):
    whole = encoder_of(net, "mine", SMALL)
    kept = {"stem.0.weight", "stem.0.bias", *(f"stem.1.{part}" for part in net.stem[1].state_dict())}
    assert set(whole.weights()) == {f"module.{name}" for name in kept | {"body.weight", "body.bias"}}
    assert set(encoder_of(net, "mine", SMALL, "stem").weights()) == {f"module.{name}" for name in kept}
    assert budget.flops(whole) == 2 * 16 * 16 * 6 * 27 + 2 * 8 * 8 * 8 * 54
    assert budget.flops(encoder_of(net, "mine", SMALL, "stem")) == 2 * 16 * 16 * 6 * 27
    assert budget.nonzero_weights(encoder_of(net, "mine", SMALL, "stem")) == 6 * 27


def test_the_layer_that_runs_last_counts_not_the_one_that_was_registered_last(net):
    assert next(reversed(dict(net.named_children()))) == "auxiliary"
    assert encoder_of(net, "mine", SMALL).head == "module.fc"


@pytest.mark.parametrize("features", [None, "stem"])
def test_the_module_stays_as_it_was(net, features):
    net.train()
    net.fc.eval()
    net.double()
    seen = []
    net.body.register_forward_hook(lambda *_: seen.append(1))
    prune.l1_unstructured(net.body, "weight", 0.5)
    net(torch.randn(2, 3, 16, 16).double()).sum().backward()
    before = copy.deepcopy({name: tensor.detach() for name, tensor in net.state_dict(keep_vars=True).items()})
    modes = {name: part.training for name, part in net.named_modules()}
    hooks = {name: (list(part._forward_hooks), list(part._forward_pre_hooks)) for name, part in net.named_modules()}
    addresses = {name: tensor.data_ptr() for name, tensor in net.state_dict().items()}
    encoder = encoder_of(net, "mine", SMALL, features)
    rank(Target("noise", np.arange(20) % 2, _noise(20)), [encoder], ["gaussian"])
    assert modes == {name: part.training for name, part in net.named_modules()}
    assert hooks == {
        name: (list(part._forward_hooks), list(part._forward_pre_hooks)) for name, part in net.named_modules()
    }
    assert addresses == {name: tensor.data_ptr() for name, tensor in net.state_dict().items()}
    for name, tensor in net.state_dict(keep_vars=True).items():
        assert torch.equal(tensor, before[name]) and tensor.stride() == before[name].stride()
    assert net.fc.weight.grad is not None and net.stem[0].weight.requires_grad
    assert not any(part.training for part in encoder.model.modules())


def _noise(n):
    return np.random.default_rng(0).integers(0, 256, (n, 16, 16, 3), np.uint8)


def test_pruned_weights_are_taken_as_the_masks_leave_them(net, pictures):
    prune.random_unstructured(net.body, "weight", 0.75)
    prune.l1_unstructured(net.body, "weight", 0.5)  # upon the other
    parametrizations.weight_norm(net.stem[0])
    net(pictures)
    encoder = encoder_of(net, "mine", SMALL)
    assert not [name for name in encoder.weights() if "_orig" in name or "_mask" in name]
    assert budget.nonzero_weights(encoder) == 6 * 27 + int((net.body.weight != 0).sum())
    with torch.no_grad():
        torch.testing.assert_close(encoder(pictures)[1], net(pictures).softmax(1))
    assert prune.is_pruned(net.body) and parametrize.is_parametrized(net.stem[0])


@pytest.mark.parametrize("wrapped", [nn.DataParallel, torch.compile, lambda net: copy.deepcopy(net).half()])
def test_wrapped_modules_and_those_in_half_precision(net, pictures, wrapped):
    features, _ = encoder_of(wrapped(net), "mine", SMALL)(pictures)
    torch.testing.assert_close(features, encoder_of(net, "mine", SMALL)(pictures)[0], atol=2e-3, rtol=0)


def test_without_a_preparation_the_usual_one_is_taken_and_told(net):
    encoder = encoder_of(net, "mine")
    assert encoder.preparation == networks.USUAL and encoder.notes == (networks.USUAL_NOTE,)
    table = rank(Target("noise", np.arange(20) % 2, _noise(20)), [encoder], ["gaussian"]).table
    assert table["input"].tolist() == ["224 (256)"]


class Headless(Net):
    """As residual networks without their last layer: something is added to the output of the last one."""

    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(6, 6, 1)

    def forward(self, images):
        found = self.stem(images)
        return (found + self.body(found)).mean((2, 3))


@pytest.mark.parametrize("network", [Headless(), Net().stem])
def test_a_network_without_a_classifier_is_to_say_where_its_features_are(network):
    _refused("no classifier", "features='LAYER'", "features=''", module=network)


def test_bad_modules_are_told_in_one_line(net):
    _refused("no linear layer or convolution", "features=''", module=nn.Flatten())
    _refused("takes no picture of 16 pixels", module=nn.Linear(7, 2))
    _refused("takes no picture of 16 pixels", module=nn.Conv2d(4, 2, 1))
    _refused("takes no picture of 16 pixels", "my own", module=Returning(net, _raises))
    _refused("returns a str without a tensor", module=Returning(net, str))
    _refused("no picture goes through its layer auxiliary.1", module=net, features="auxiliary.1")
    _refused("shape ()", module=Returning(net, torch.sum), features="")
    _refused("shape (2,) (int64)", module=Returning(net, lambda logits: logits.argmax(1)), features="")
    _refused("shape (5, 2)", module=Returning(net, torch.t), features="")
    _refused("cannot be copied", module=copy.deepcopy(net).to("meta"))
    locked = copy.deepcopy(net)
    locked.lock = (part for part in ())
    _refused("cannot be copied", module=locked)
    _refused("no layer 'layer4'", "stem, stem.0", error=UsageError, module=net, features="layer4")
    _refused("expected a torch.nn.Module, not a str", error=UsageError, module="resnet18")


@pytest.mark.filterwarnings("ignore")
def test_a_torchscript_program_has_no_layers(net, pictures):
    _refused("TorchScript", error=UsageError, module=torch.jit.trace(net, pictures))


def _raises(logits):
    raise KeyError("my own\nerror")


def test_a_module_itself_is_no_encoder(net):
    with pytest.raises(UsageError, match="encoder_of"):
        rank(Target("noise", np.arange(20) % 2, _noise(20)), [net])


def test_scores_of_source_classes_need_a_classifier(net):
    encoders = [encoder_of(net, "whole", SMALL), encoder_of(net, "stem", SMALL, "stem")]
    ranked = rank(Target("noise", np.arange(20) % 2, _noise(20)), encoders, ["leep"])
    assert ranked.table["backbone"].tolist() == ["whole"] and ranked.left_out["backbone"].tolist() == ["stem"]
    assert "needs the classifier of the source task" in ranked.left_out["reason"][0]


def test_encoders_of_one_name_keep_their_own_costs(net):
    encoders = [encoder_of(net, "mine", SMALL), encoder_of(net, "mine", SMALL, "stem")]
    table = rank(Target("noise", np.arange(20) % 2, _noise(20)), encoders, ["gaussian"]).table
    assert sorted(table["flops"]) == sorted(budget.flops(encoder) for encoder in encoders)
