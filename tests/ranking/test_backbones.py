"""What names stand for: what is there goes before what a name might mean."""

import pytest
import torch
import written_files

from tepones.common.errors import TeponesError
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
