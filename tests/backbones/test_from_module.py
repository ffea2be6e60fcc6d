"""A network that is given becomes a backbone that computes the same; what cannot be one is told in one line."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize, prune

from tepones.backbones.from_module import Whole, from_module, redrawn, with_classes
from tepones.backbones.small_resnet import small_resnet
from tepones.common.errors import UsageError
from tepones.pruning.masks import prunable


class HeadFirst(nn.Module):
    """Registers its last layer first, and flattens its map by `view`."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8 * 64, 5)
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.deep = nn.Conv2d(8, 8, 3, 2, 1)

    def forward(self, images):
        return self.fc(self.deep(self.stem(images)).view(len(images), -1))


class ConvolutionThenMore(nn.Module):
    """Its last layer is a convolution, and much comes after it."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.last = nn.Conv2d(6, 5, 1)

    def forward(self, images):
        return torch.relu(self.last(torch.relu(self.stem(images)))).mean((2, 3)).log_softmax(1)


@pytest.fixture
def pictures():
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("network", "head"), [(HeadFirst(), "fc"), (ConvolutionThenMore(), "")])
def test_the_backbone_computes_what_the_network_does(network, head, pictures):
    before = copy.deepcopy(network.state_dict())
    backbone = from_module(network, head).to(memory_format=torch.channels_last)
    layout = pictures.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(backbone.eval()(layout), network.eval()(pictures))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    names = {f"encoder.{name}.weight" for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d)}
    assert set(prunable(backbone)) == names - {"encoder.last.weight"}


def test_gradients_reach_every_weight_through_the_last_layer(pictures):
    backbone = from_module(HeadFirst().requires_grad_(False), "fc").train()
    backbone(pictures).sum().backward()
    assert all(weight.grad is not None for weight in backbone.parameters())


def test_joined_is_the_network_and_what_is_done_to_it_stays(pictures):
    network = HeadFirst()
    backbone = from_module(network, "fc")
    with backbone.joined() as joined:
        assert isinstance(joined, HeadFirst)
        assert [name for name, _ in joined.named_parameters()] == [name for name, _ in network.named_parameters()]
        joined.fc.bias.data.fill_(7.0)
    assert backbone.classifier.bias.tolist() == [7.0] * 5 and isinstance(backbone.encoder.fc, nn.Identity)
    with pytest.raises(RuntimeError), backbone.joined():
        raise RuntimeError
    assert isinstance(backbone.encoder.fc, nn.Identity)


def test_prepared_tensors_are_left_as_they_are(pictures):
    prepared = from_module(HeadFirst(), "fc").prepare(pictures.permute(0, 2, 3, 1).numpy())
    assert torch.equal(prepared, pictures)


def test_a_backbone_is_copied_as_it_is():
    backbone = small_resnet(4)
    copied = from_module(backbone)
    assert type(copied) is type(backbone) and copied is not backbone
    assert all(map(torch.equal, copied.state_dict().values(), backbone.state_dict().values()))


def masked():
    network = HeadFirst()
    prune.l1_unstructured(network.deep, "weight", 0.5)
    return network


def parametrized():
    network = HeadFirst()
    parametrize.register_parametrization(network.stem[0], "weight", nn.Identity())
    return network


class ByFunction(HeadFirst):
    def forward(self, images):
        return nn.functional.linear(self.deep(self.stem(images)).flatten(1), self.fc.weight)


class WithSpare(HeadFirst):
    def __init__(self):
        super().__init__()
        self.spare = nn.Linear(512, 5)


@pytest.mark.parametrize(
    ("network", "head", "reason"),
    [
        (nn.Linear(3, 4), "", "no linear layer or convolution '' inside"),
        (nn.ReLU(), "", "no linear layer or convolution '' inside"),
        (HeadFirst(), "classifier", "no linear layer or convolution 'classifier' inside"),
        (HeadFirst(), "", r"the network makes \(2, 5\); expected logits \(2, 8\), as many as deep has outputs"),
        (nn.Sequential(nn.Conv2d(3, 4, 1)), "", r"makes \(2, 4, 32, 32\); expected logits \(2, 4\)"),
        (nn.Sequential(nn.Conv2d(1, 4, 1)), "", r"does not take images of shape \(2, 3, 32, 32\)"),
        (ByFunction(), "fc", "does not call its layer fc"),
        (WithSpare(), "", "does not call its layer spare; name the last layer that it calls: head"),
        (masked(), "fc", "deep.weight is no parameter of its own; after torch.nn.utils.prune"),
        (parametrized(), "fc", "stem.0.weight is no parameter of its own"),
    ],
)
def test_what_cannot_be_a_backbone_is_told_in_one_line(network, head, reason):
    with pytest.raises(UsageError, match=reason) as raised:
        from_module(network, head)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("network", "head"), [(HeadFirst(), "fc"), (ConvolutionThenMore(), "last")])
def test_a_new_head_has_as_many_outputs_as_asked_for(network, head, pictures):
    backbone = from_module(network, head)
    old = backbone.classifier
    with_classes(backbone, 9)
    assert backbone(pictures).shape == (3, 9) and type(backbone.classifier) is type(old)
    assert len(old.weight) == 5
    kept = {name: tensor for name, tensor in backbone.state_dict().items() if name.startswith("encoder.")}
    state = network.state_dict()
    assert all(
        torch.equal(tensor, state[name.removeprefix("encoder.")]) for name, tensor in kept.items() if "n" in name
    )


def test_weights_are_drawn_anew_as_their_layers_draw_them():
    network = HeadFirst()
    with torch.no_grad():
        network.stem[1].running_mean.fill_(3.0)
    backbone = from_module(network, "fc")
    torch.manual_seed(0)
    fresh = redrawn(backbone)
    assert backbone.state_dict().keys() == fresh.keys()
    assert not torch.equal(fresh["encoder.deep.weight"], backbone.encoder.deep.weight)
    assert not fresh["encoder.stem.1.running_mean"].any() and backbone.encoder.stem[1].running_mean.all()
    torch.manual_seed(0)
    assert all(map(torch.equal, fresh.values(), redrawn(backbone).values()))


def test_a_module_that_cannot_draw_its_weights_is_told():
    network = HeadFirst()
    network.stem.scale = nn.Parameter(torch.ones(1))
    with pytest.raises(UsageError, match=r"how encoder.stem draws its weights is not known: .* reset_parameters\(\)"):
        redrawn(Whole(network, "fc"))
