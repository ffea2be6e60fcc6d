"""What names stand for, and what `tepones.load` makes of one: what is there goes before what a name might mean."""

import pytest
import torch
import written_files
from torch import nn

import tepones
from tepones.backbones.encoder import Encoder, Preparation
from tepones.backbones.small_resnet import small_resnet
from tepones.common.errors import TeponesError, UsageError
from tepones.ranking import backbones, checkpoints, networks, onnx_files


@pytest.fixture
def loaded(monkeypatch):
    """Files are not read: the loaders say what they were asked for."""
    asked = []

    def note(kind):
        def load(*arguments):
            asked.append((kind, *map(str, arguments)))
            raise TeponesError("noted")

        return load

    monkeypatch.setattr(checkpoints, "load", note("checkpoint"))
    monkeypatch.setattr(onnx_files, "load", note("onnx"))
    monkeypatch.setattr(checkpoints, "of_library", note("library"))

    def of(*names):
        asked.clear()
        found, failures = backbones.load_backbones(names)
        assert not found and [row["reason"] for row in failures] == ["noted"] * len(asked)
        return asked[:]

    return of


def test_files_architectures_and_tensors(loaded, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert loaded("gone.pt", "resnet18=a.pt", "resnet18") == [
        ("checkpoint", "gone.pt"),
        ("checkpoint", "a.pt", "resnet18"),
        ("library", "resnet18", "False", "False"),
    ]
    assert loaded("gone.onnx", "net.onnx:fc/BiasAdd:0") == [("onnx", "gone.onnx"), ("onnx", "net.onnx", "fc/BiasAdd:0")]
    assert loaded(r"C:\nets\net.onnx:features") == [("onnx", r"C:\nets\net.onnx", "features")]


def test_what_is_there_as_a_file_or_folder_is_one(loaded, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("lr=0.1/net.pt", "net.onnx:1/a.onnx", "net.onnx:1/b.ckpt", "net.onnx:1/notes.txt", "net.onnx:x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert loaded("lr=0.1/net.pt", "lr=0.1", "net.onnx:x") == [
        ("checkpoint", "lr=0.1/net.pt"),
        ("checkpoint", "lr=0.1/net.pt"),
        ("checkpoint", "net.onnx:x"),
    ]
    assert loaded("net.onnx:1") == [("onnx", "net.onnx:1/a.onnx"), ("checkpoint", "net.onnx:1/b.ckpt")]
    assert loaded("resnet18=lr=0.1/net.pt") == [("checkpoint", "lr=0.1/net.pt", "resnet18")]


def test_two_of_one_name_stay_apart(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        torch.save(networks.build("small-resnet", 2).state_dict(), tmp_path / folder / "net.pt")
    found, failures = backbones.load_backbones([tmp_path / "a", tmp_path / "b"])
    assert [one.name for one in found] == ["net", str(tmp_path / "b" / "net.pt")] and not failures


@pytest.mark.parametrize("one", written_files.FORMATS, ids=lambda one: one.name)
def test_what_people_write_is_loaded_or_refused_in_a_line_that_says_what_to_do(one):
    ((_, line, _),) = written_files.tried(written_files.NETWORK, [one])
    assert len(line.splitlines()) <= 1
    assert one.line in line if one.line else line == ""


# One name, one encoder


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4))


@pytest.fixture(scope="module")
def ladder(network, images, tmp_path_factory):
    """A ladder of a network of one's own; its file and the folder."""
    folder = tmp_path_factory.mktemp("ladders") / "mine"
    return tepones.prune(network, "magnitude one-shot", [0.5], images, folder, prepared=Preparation(36, 32)), folder


@pytest.fixture
def checkpoint(tmp_path):
    checkpoints.write(tmp_path / "only.safetensors", small_resnet(4), "small-resnet")
    return tmp_path / "only.safetensors"


def test_a_checkpoint_a_folder_that_holds_one_and_a_rung_are_loaded(checkpoint):
    names = {checkpoint: "only", checkpoint.parent: "only"}
    names["magnitude-iterative-0/rung-02"] = "magnitude-iterative-0/rung-02"
    for given, name in names.items():
        encoder = tepones.load(given)
        assert isinstance(encoder, Encoder) and (encoder.name, encoder.architecture) == (name, "small-resnet")
        features, probabilities = encoder(torch.zeros(2, 3, 32, 32))
        assert features.shape == (2, 128) and torch.allclose(probabilities.sum(1), torch.ones(2))
    untrained = tepones.load("resnet18", untrained=True)
    assert not untrained.trained and untrained.n_features == 512


def test_a_rung_of_ones_own_network_is_loaded_into_a_copy_of_it(network, ladder):
    rungs, _ = ladder
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    encoders = [tepones.load(file, network) for file in rungs["file"]]
    pictures = torch.randn(2, 3, 32, 32)
    expected = network.eval()(pictures).softmax(1)
    torch.testing.assert_close(encoders[0](pictures)[1], expected, rtol=1e-3, atol=1e-3)
    assert [encoder.facts for encoder in encoders] == [{"sparsity": 0.0}, {"sparsity": 0.5}]
    assert encoders[1].name == "mine/rung-01" and encoders[1].preparation == Preparation(36, 32)
    assert int(encoders[1].model.encoder[0].weight.count_nonzero()) == 3 * 27
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_a_rung_of_ones_own_network_cannot_be_ranked_by_name_and_the_line_says_what_to_do(ladder, network):
    rungs, folder = ladder
    ranked = tepones.rank("digits", [folder, tepones.load(rungs["file"][1], network)])
    assert list(ranked.table["backbone"]) == ["mine/rung-01"]
    assert len(ranked.left_out) == 2 and ranked.left_out["failed"].all()
    assert "network of your own (Sequential)" in ranked.left_out["reason"][0]
    assert "tepones.load(FILE, model)" in ranked.left_out["reason"][0]


def test_another_network_than_the_ladders_is_refused(ladder):
    wider = nn.Sequential(nn.Conv2d(3, 6, 5), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4))
    with pytest.raises(TeponesError, match=r"rung-01.*tensor encoder.0.weight has shape \(6, 3, 3, 3\)"):
        tepones.load(ladder[0]["file"][1], wider)
    headless = nn.Sequential(nn.Conv2d(3, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(UsageError, match=r"rung-01.*your own .*no linear layer or convolution '4' inside"):
        tepones.load(ladder[0]["file"][1], headless)


def test_what_is_not_one_backbone_is_refused_in_one_line(checkpoint, ladder, network):
    cases = {
        ("magnitude-iterative-0",): r"stands for \d+ backbones; name one: magnitude-iterative-0/rung-00",
        (ladder[1], network): "stands for 2 backbones",
        (ladder[0]["file"][0],): "network of your own",
        (checkpoint, network): "no rung of a network of your own: leave the model out",
        ("magnitude-iterative-0/rung-00", network): "built by name: leave the model out",
        ("nothing",): "nothing: no file, folder",
    }
    for given, reason in cases.items():
        with pytest.raises(UsageError, match=reason) as raised:
            tepones.load(*given)
        assert "\n" not in str(raised.value)
