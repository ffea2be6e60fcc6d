"""Folders of pictures as people have them: what is a class, what is a picture, and what is damaged."""

import os
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from tepones import ranking
from tepones.common.errors import TeponesError, UsageError
from tepones.ranking import pictures
from tepones.tasks import folder as folders

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"


def make(root, *names):
    """Small pictures, each of a grey of its own, by their paths."""
    for number, name in enumerate(names):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 10), (number, 100, 50)).save(file, Image.registered_extensions()[file.suffix.lower()])
    return root


@pytest.fixture
def folder(tmp_path):
    return make(tmp_path / "clothes", "coat/1.png", "coat/2.JPG", "dress/deep/er/3.bmp", "dress/4.webp", "hat/5.tif")


def names(found):
    return [file.name for file in found.files]


def refused(path, *parts, kind=UsageError):
    with pytest.raises(kind) as raised:
        ranking.open_target(path)
    assert str(raised.value).isprintable()
    assert all(part in str(raised.value) for part in parts), str(raised.value)


# Classes


def test_a_tidy_folder_is_listed_as_the_study_lists_it(folder):
    found, study = pictures.list_pictures(folder), folders.open_folder(folder)
    assert (found.classes, found.files) == (study.classes, study.files)
    assert found.labels.tolist() == study.labels.tolist() == [0, 0, 1, 1, 2]
    assert found.skipped_files == found.skipped_folders == ()
    for picture, file in zip(found, study.files, strict=True):
        np.testing.assert_array_equal(picture, folders.decode(file))


@pytest.mark.parametrize(
    "name",
    ["__MACOSX", ".ipynb_checkpoints", "@eaDir", "unlabeled", "Unlabelled", "un_labeled", "unsup", ".git", "@EADIR"],
)
@pytest.mark.parametrize("inside", ["", "coat"])
def test_what_computers_leave_behind_is_no_class(folder, name, inside):
    make(folder / inside / name, "9.png", "coat/8.png")
    target = ranking.open_target(folder)
    assert target.classes == ("coat", "dress", "hat") and target.labels.tolist() == [0, 0, 1, 1, 2]
    assert target.about[1] == f"1 folder skipped: {os.path.join(inside, name)}"


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "test"),
        ("Train_set", "Test_set"),
        ("training", "validation"),
        ("TRAIN", "val"),
        ("train_images", "valid-images"),
        ("Training Set", "Test Set"),
        ("trainset", "testset"),
        ("train-data", None),
        ("train", "unlabeled"),
    ],
)
def test_of_a_split_the_training_pictures_are_taken(tmp_path, train, test):
    make(tmp_path, f"{train}/cat/1.png", f"{train}/dog/2.png", f"{train}/dog/3.png", "readme.png")
    if test:
        make(tmp_path, f"{test}/cat/4.png", f"{test}/dog/5.png")
    found = pictures.list_pictures(tmp_path)
    assert found.folder == tmp_path / train
    assert found.classes == ("cat", "dog") and names(found) == ["1.png", "2.png", "3.png"]
    assert ranking.open_target(tmp_path).about[0] == "2 classes, 3 pictures: cat 1, dog 2"


@pytest.mark.parametrize(
    "parts", [("Train_set", "Test_set"), ("Train_set",), ("test",), ("train", "val"), ("testset",)]
)
def test_parts_of_a_split_beside_classes_are_refused(folder, parts):
    make(folder, *(f"{part}/coat/1.png" for part in parts))
    refused(folder, str(folder), *(f"'{part}'" for part in parts), "'coat', 'dress', 'hat'", "beside other folders")


def test_a_split_without_one_folder_of_training_pictures_is_refused(tmp_path):
    make(tmp_path, "test/cat/1.png", "val/dog/1.png")
    refused(tmp_path, "no folder of training pictures", "'test', 'val'")
    make(tmp_path, "train/cat/1.png", "Train_set/dog/1.png")
    refused(tmp_path, "2 folders of training pictures", "'Train_set'", "'train'")


@pytest.mark.parametrize("name", ["train", "trainer", "restraint", "testament", "valley", "Training2"])
def test_classes_may_be_called_almost_like_a_part(tmp_path, name):
    make(tmp_path, f"{name}/1.png", "bus/2.png")
    assert sorted(pictures.list_pictures(tmp_path).classes) == sorted([name, "bus"])


def test_no_class_one_class_and_a_class_without_a_picture_are_refused(folder):
    refused(folder / "coat", "0 class folders", "at least two")
    refused(folder / "dress", "1 class folder (deep)")
    (folder / "bag").mkdir()
    refused(folder, "'bag' holds no picture;")
    (folder / "bag" / "1.heic").write_bytes(b"")
    refused(folder, "'bag' holds no picture (1.heic)", "JPEG, PNG")
    refused(folder / "nowhere", "no task and no folder")


def test_a_folder_that_may_not_be_listed_is_refused(folder, monkeypatch):
    scandir, closed = os.scandir, folder / "dress" / "deep"

    def refuse(path):
        if path == str(closed):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    refused(folder, f"{closed}: cannot be listed (Permission denied)", kind=TeponesError)


def test_classes_and_counts_are_told_and_many_are_shortened(tmp_path, folder):
    assert ranking.open_target(folder).about == ("3 classes, 5 pictures: coat 2, dress 2, hat 1",)
    make(tmp_path / "many", *(f"{label:02d}/1.png" for label in range(20)))
    (line,) = ranking.open_target(tmp_path / "many").about
    assert line == f"20 classes, 20 pictures: {', '.join(f'{label:02d} 1' for label in range(12))}, … (8 more)"


# Files


def test_what_is_no_picture_is_skipped_and_counted(folder):
    for name in ("coat/notes.pdf", "coat/._1.png", "dress/deep/Thumbs.db", "labels.csv", "hat/a.eps", "hat/b.ps"):
        (folder / name).write_bytes(EPS)
    (folder / "coat" / "nowhere.png").symlink_to(folder / "nothing")
    target = ranking.open_target(folder)
    assert target.labels.tolist() == [0, 0, 1, 1, 2]
    assert target.about[1] == (
        "7 files skipped: coat/._1.png, coat/notes.pdf, coat/nowhere.png, dress/deep/Thumbs.db, hat/a.eps, … (2 more)"
    )


def test_files_and_folders_that_are_skipped_are_told_together(folder):
    make(folder, "__MACOSX/1.png", "hat/@eaDir/1.png")
    (folder / "notes.txt").write_text("")
    assert ranking.open_target(folder).about[1] == "1 file and 2 folders skipped: notes.txt, __MACOSX, hat/@eaDir"


def test_the_suffix_decides_what_is_listed_and_the_content_how_it_is_read(folder):
    (folder / "coat" / "1.png").write_bytes((folder / "coat" / "2.JPG").read_bytes())
    first, second = list(pictures.list_pictures(folder))[:2]
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1", "I;16"])
def test_every_mode_is_read_as_the_study_reads_it(tmp_path, mode):
    file = tmp_path / ("x.jpg" if mode == "CMYK" else "x.png")
    Image.new(mode, (9, 5), 1 if mode in ("1", "L", "P", "I;16") else None).save(file)
    assert pictures.read(file).shape == (5, 9, 3)
    np.testing.assert_array_equal(pictures.read(file), folders.decode(file))


# Damage


def test_a_postscript_file_that_is_called_a_picture_never_reaches_its_plugin(tmp_path, monkeypatch):
    def run(*_, **__):
        raise AssertionError("Ghostscript")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", run)
    (tmp_path / "x.jpg").write_bytes(EPS)
    (tmp_path / "y.eps").write_bytes(EPS)
    with Image.open(tmp_path / "x.jpg") as opened:
        assert opened.format == "EPS"  # without a choice of formats it does
    for name in ("x.jpg", "y.eps"):
        assert pictures.read(tmp_path / name).reason == "it is no picture"


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif", "webp", "gif", "ppm"])
def test_a_truncated_picture_is_damaged(tmp_path, suffix):
    file = tmp_path / f"x.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)).save(file)
    assert pictures.read(file).shape == (40, 40, 3)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    found = pictures.read(file)
    assert found.file == file and found.reason and found.reason.isprintable()


def test_every_damage_has_a_reason(tmp_path):
    for name, content in {"empty": b"", "text": b"no picture", "double": b"\0\5\x16\7\0\2\0\0Mac OS X        "}.items():
        (tmp_path / f"{name}.jpg").write_bytes(content)
    (tmp_path / "folder.jpg").mkdir()
    reasons = {name: pictures.read(tmp_path / f"{name}.jpg").reason for name in ("empty", "text", "double", "gone")}
    assert reasons["empty"] == "it is empty" and reasons["text"] == reasons["double"] == "it is no picture"
    assert reasons["gone"] == "No such file or directory"
    assert pictures.read(tmp_path / "folder.jpg").reason == "Is a directory"


def long_png(file, width, height):
    """A picture of grey pixels, of which nothing but a few kilobytes of file exists."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packer = zlib.compressobj(9)
    row = bytes(1 + width)
    rows = b"".join([*(packer.compress(row) for _ in range(height)), packer.flush()])
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    return file


def test_a_picture_of_one_by_a_million_pixels_is_read_in_a_few_megabytes(tmp_path):
    file = long_png(tmp_path / "long.png", 1_000_000, 1)
    assert file.stat().st_size < 2000
    tracemalloc.start()
    shape = pictures.read(file).shape
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert shape == (1, 1_000_000, 3) and peak < 20e6


@pytest.mark.filterwarnings("ignore:::PIL")
def test_a_decompression_bomb_is_damaged_and_what_is_just_large_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert pictures.read(long_png(tmp_path / "large.png", 199, 1)).shape == (1, 199, 3)
    found = pictures.read(long_png(tmp_path / "bomb.png", 201, 1))
    assert str(found) == f"{tmp_path}/bomb.png (it has more than 200 pixels)"


@pytest.mark.filterwarnings("ignore:::PIL")
def test_damaged_exif_data_do_not_damage_the_picture(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "x.png", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x09broken")
    Image.fromarray(picture).save(tmp_path / "y.png", exif=b"no EXIF data at all")
    for name in ("x.png", "y.png"):
        np.testing.assert_array_equal(pictures.read(tmp_path / name), picture)


# Names


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("two\nlines", r"two\nlines"),
        ("red\x1b[31m", r"red\x1b[31m"),
        ("\u202eleft", r"\u202eleft"),
        (os.fsdecode(b"latin-\xe9"), r"latin-\udce9"),
        ("Mäntel & Hüte", "Mäntel & Hüte"),
    ],
)
def test_any_name_is_shown_in_one_line(tmp_path, folder, name, escaped):
    make(folder, f"{name}/1.png")
    (folder / name / f"{name}.pdf").write_bytes(b"")
    target = ranking.open_target(folder)
    assert name in target.classes and len(list(target.pictures)) == 6
    assert f"{escaped} 1" in target.about[0] and target.about[1] == f"1 file skipped: {escaped}/{escaped}.pdf"
    assert all(line.isprintable() for line in target.about)
    (folder / name / "1.png").unlink()
    refused(folder, f"class '{escaped}' holds no picture ({escaped}.pdf)")
    refused(folder / name, f"/{escaped}: 0 class folders")
    refused(tmp_path / name, f"/{escaped}: no task and no folder")
