"""Where data sets lie and how they come, through `tepones download`; nothing here touches the network."""

from urllib.error import URLError

import pytest
from click.testing import CliRunner

from tepones.cli import data
from tepones.common._torchvision import torchvision
from tepones.common.errors import TeponesError, UsageError
from tepones.tasks.sources import SOURCES, download


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("TEPONES_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def run(*arguments):
    result = CliRunner().invoke(data.download, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_each_data_set_is_listed_with_its_folder_and_state(root):
    (root / "pacs" / "photo").mkdir(parents=True)
    (root / "dtd10").mkdir()
    lines = {line.split()[0]: line for line in run().splitlines()}
    assert set(SOURCES) < set(lines) and str(root) in lines["root"]
    assert "present" in lines["pacs-photo"] and "present" in lines["dtd"] and "dtd10" in lines["dtd"]
    assert "by hand" in lines["pacs-sketch"]
    assert "to download" in lines["cifar10"] and "cifar-10-batches-py" in lines["cifar10"]


@pytest.mark.parametrize(("name", "dataset", "calls"), [
    ("cifar10", "CIFAR10", [{"train": True}, {"train": False}]),
    ("flowers102", "Flowers102", [{"split": "train"}, {"split": "val"}, {"split": "test"}]),
    ("imagenette", "Imagenette", [{"split": "train", "size": "160px"}, {"split": "val", "size": "160px"}]),
    ("caltech101", "Caltech101", [{}]),
])  # fmt: skip
def test_torchvision_downloads_every_split(root, monkeypatch, name, dataset, calls):
    made = []
    monkeypatch.setattr(torchvision.datasets, dataset, lambda folder, **options: made.append((folder, options)))
    assert str(root / SOURCES[name].folder) in run(name)
    assert made == [(str(root), {"download": True, **options}) for options in calls]


def test_every_torchvision_class_exists():
    for source in SOURCES.values():
        assert not source.dataset or hasattr(torchvision.datasets, source.dataset)


def test_tiny_imagenet_is_checked_by_its_checksum(root, monkeypatch):
    asked = []
    monkeypatch.setattr(
        torchvision.datasets.utils,
        "download_and_extract_archive",
        lambda *args, **options: asked.append((args, options)),
    )
    run("tiny-imagenet")
    [((address, folder), options)] = asked
    assert address.endswith("tiny-imagenet-200.zip") and folder == str(root) and len(options["md5"]) == 32


def test_what_is_there_is_not_downloaded_again(root):
    (root / "cifar10").mkdir(parents=True)
    assert "already" in run("cifar10")


@pytest.mark.parametrize(
    "error", [URLError("Name or service\nnot known"), RuntimeError("File not found or corrupted.")]
)
def test_a_failed_download_is_one_line(root, monkeypatch, error):
    def fail(*args, **options):
        raise error

    monkeypatch.setattr(torchvision.datasets, "EuroSAT", fail)
    with pytest.raises(TeponesError) as caught:
        download("eurosat")
    message = str(caught.value)
    assert "\n" not in message and message.startswith("eurosat") and str(root) in message
    assert not isinstance(caught.value, UsageError)


def test_a_root_that_cannot_be_made_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TEPONES_DATA", str(tmp_path / "file"))
    with pytest.raises(TeponesError, match="eurosat"):
        download("eurosat")


@pytest.mark.parametrize("name", [name for name, source in SOURCES.items() if source.by_hand])
def test_what_must_be_had_by_hand_is_told(root, name):
    with pytest.raises(UsageError, match=r"cannot be downloaded; .*https://") as caught:
        run(name)
    assert str(root / SOURCES[name].folder) in str(caught.value)


def test_an_unknown_name_is_refused_before_anything_is_downloaded(root):
    with pytest.raises(UsageError, match=r"unknown data set 'mnist'; choose from: aircraft, .*tiny-imagenet"):
        run("cifar10", "mnist")
    assert not root.exists()
