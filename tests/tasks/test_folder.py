"""Folders of pictures: classes, splits, one decode, and what is refused."""

import numpy as np
import pytest
from PIL import Image

from tepones.common.errors import TeponesError, UsageError
from tepones.tasks.folder import decode, open_folder


def _picture(path, side=8, value=100, mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (side, side + 2), value if mode == "L" else None).save(path)
    return path


@pytest.fixture
def folder(tmp_path):
    for name in ("dog/b.png", "dog/a.JPG", "cat/deep/er/c.bmp", "cat/d.webp"):
        _picture(tmp_path / name)
    return tmp_path


def test_classes_and_pictures_in_order(folder):
    (folder / "cat" / "notes.txt").write_text("not a picture")
    (folder / ".hidden").mkdir()
    found = open_folder(folder)
    assert found.classes == ("cat", "dog") and found.name == folder.name
    assert [file.name for file in found.files] == ["d.webp", "c.bmp", "a.JPG", "b.png"]
    assert found.labels.tolist() == [0, 0, 1, 1]
    pictures = [decode(file) for file in found.files]
    assert all(picture.shape == (10, 8, 3) and picture.dtype == np.uint8 for picture in pictures)


@pytest.mark.parametrize("names", [("train", "test"), ("Train", "val"), ("training",)])
def test_of_a_split_the_training_pictures_are_taken(tmp_path, names):
    for index, split in enumerate(names):
        for label in ("cat", "dog"):
            _picture(tmp_path / split / label / f"{index}.png")
    found = open_folder(tmp_path)
    assert found.classes == ("cat", "dog")
    assert [file.name for file in found.files] == ["0.png", "0.png"]


def test_a_class_that_is_called_train_is_a_class(tmp_path):
    for label in ("train", "bus"):
        _picture(tmp_path / label / "a.png")
    assert open_folder(tmp_path).classes == ("bus", "train")


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "I;16"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    suffix = "jpg" if mode == "CMYK" else "png"
    assert decode(_picture(tmp_path / f"x.{suffix}", mode=mode)).shape == (10, 8, 3)


def _refused(path, *parts):
    with pytest.raises(UsageError) as raised:
        open_folder(path)
    assert "\n" not in str(raised.value)
    assert all(part in str(raised.value) for part in parts)


def test_an_empty_class_is_refused_by_name(folder):
    (folder / "bird" / "empty").mkdir(parents=True)
    (folder / "bird" / "readme.txt").write_text("")
    _refused(folder, "'bird'", "holds no picture", str(folder / "bird"))


def test_no_folder_one_class_or_none_is_refused(folder, tmp_path):
    _refused(tmp_path / "nowhere", "nowhere", "no such folder")
    _refused(folder / "cat" / "deep", "1 class folders", "at least two")
    _refused(folder / "dog", "0 class folders")
    _refused(folder / "dog" / "b.png", "no such folder")


@pytest.mark.parametrize("damage", ["text", "empty", "truncated", "bomb"])
def test_an_undecodable_picture_is_refused_by_name(folder, damage, monkeypatch):
    file = folder / "dog" / "a.JPG"
    if damage == "bomb":
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    else:
        whole = file.read_bytes()
        file.write_bytes({"text": b"no picture", "empty": b"", "truncated": whole[: len(whole) // 2]}[damage])
    with pytest.raises(TeponesError) as raised:
        [decode(file) for file in open_folder(folder).files]
    assert "\n" not in str(raised.value) and "cannot be decoded" in str(raised.value)
    assert damage == "bomb" or str(file) in str(raised.value)
