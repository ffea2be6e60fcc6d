"""Photographs as tasks: made copies in every layout, and the real data where they are at hand."""

import json
import pickle
from collections import Counter
from hashlib import md5, sha1
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from tepones import tasks
from tepones.common.errors import TeponesError, UsageError
from tepones.tasks.sources import SOURCES, locate
from tepones.tasks.vision import vision


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("TEPONES_DATA", str(tmp_path))
    return tmp_path


def paint(file, number, size=(24, 20)):
    """A picture of noise far from black and white, where resizing would clip; each number gives another."""
    file.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(number).integers(90, 170, (size[1], size[0], 3), np.uint8)
    Image.fromarray(noise).save(file)


def paint_classes(path, form="{index:03d}.png", per_class=10, classes=("ant", "bee"), start=0):
    """Class folders of pictures, no two alike."""
    for label, name in enumerate(classes):
        for index in range(per_class):
            paint(path / name / form.format(index=index, label=label), start + label * per_class + index)


def contents(images):
    return Counter(sha1(image.tobytes()).hexdigest() for image in images)


def one_line(error, *words):
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert str(word) in message


# --- choice of pictures ---------------------------------------------------------------------------------------------


def test_without_an_official_split_a_fifth_of_each_class_is_for_testing(root):
    paint_classes(root / "eurosat" / "2750", per_class=11)
    task = vision("eurosat", 100, 100, classes=2)
    assert task.classes == ("ant", "bee")
    assert list(np.bincount(task.train_labels)) == [8, 8]
    assert list(np.bincount(task.test_labels)) == [3, 3]
    assert task.train_images.shape == (16, 32, 32, 3) and task.train_images.dtype == np.uint8
    assert task.train_labels.dtype == np.int64
    assert len(contents(task.train_images) + contents(task.test_images)) == 22


def test_at_most_so_many_of_each_class_and_fewer_are_a_subset_of_more(root):
    paint_classes(root / "pacs" / "photo")
    few, more = vision("pacs-photo", 2, 1, classes=2), vision("pacs-photo", 5, 2, classes=2)
    assert list(np.bincount(few.train_labels)) == [2, 2] and list(np.bincount(few.test_labels)) == [1, 1]
    assert contents(few.train_images) < contents(more.train_images)
    assert contents(few.test_images) < contents(more.test_images)
    assert not contents(more.train_images) & contents(more.test_images)


@pytest.mark.parametrize("official", [False, True])
def test_without_a_number_every_picture_that_is_not_for_training_tests(root, official):
    if official:
        paint_classes(root / "cifar10" / "train", per_class=9)
        paint_classes(root / "cifar10" / "test", per_class=3, start=50)
    else:
        paint_classes(root / "eurosat" / "2750", per_class=12)
    name = "cifar10" if official else "eurosat"
    few, more = vision(name, 2, classes=2), vision(name, 5, classes=2)
    for task, n in ((few, 2), (more, 5)):
        assert list(np.bincount(task.train_labels)) == [n, n]
        assert list(np.bincount(task.test_labels)) == [12 - n, 12 - n]
        assert len(contents(task.train_images) | contents(task.test_images)) == 24
    assert contents(few.train_images) < contents(more.train_images)
    # Training is the same whatever tests.
    assert np.array_equal(few.train_images, vision(name, 2, 1, classes=2).train_images)


def test_labels_stay_with_their_pictures_where_unused_ones_test(root):
    paint_classes(root / "cifar10" / "train", per_class=6)
    paint_classes(root / "cifar10" / "test", per_class=3, start=50)
    task = vision("cifar10", 2, pixels=20, classes=2)
    label = {}
    for file in (root / "cifar10").rglob("*.png"):
        square = np.asarray(Image.open(file).crop((2, 0, 22, 20)))
        label[sha1(square.tobytes()).hexdigest()] = ("ant", "bee").index(file.parent.name)
    for images, labels in ((task.train_images, task.train_labels), (task.test_images, task.test_labels)):
        assert [label[sha1(image.tobytes()).hexdigest()] for image in images] == list(labels)


def test_same_seed_same_images_other_seed_others(root):
    paint_classes(root / "pacs" / "photo", per_class=20)
    for per_class in (4, None):
        first, again, other = (vision("pacs-photo", 5, per_class, classes=2, seed=seed) for seed in (0, 0, 1))
        assert np.array_equal(first.train_images, again.train_images)
        assert np.array_equal(first.test_images, again.test_images)
        assert contents(first.test_images) != contents(other.test_images)


def test_only_chosen_pictures_are_decoded(root, monkeypatch):
    paint_classes(root / "pacs" / "photo")
    decoded = []
    monkeypatch.setattr(
        "tepones.tasks.vision.decode", lambda file: decoded.append(file) or np.zeros((4, 4, 3), np.uint8)
    )
    vision("pacs-photo", 2, 1, classes=2)
    assert len(decoded) == 6


def paint_signs(root, tracks=6, frames=3):
    """Two kinds of signs in a folder of pictures: by checksum of each picture the class and track that it is of."""
    shown = {}
    for label in range(2):
        for track in range(tracks):
            for frame in range(frames):
                file = root / "gtsrb" / f"{label:05d}" / f"{track:05d}_{frame:05d}.png"
                paint(file, 1000 * label + 10 * track + frame, (32, 32))
                shown[sha1(np.asarray(Image.open(file)).tobytes()).hexdigest()] = (label, track)
    return shown


def signs(shown, images):
    """How many frames of each track there are among images."""
    return Counter(shown[sha1(image.tobytes()).hexdigest()] for image in images)


def test_frames_of_a_track_stay_on_one_side(root):
    shown = paint_signs(root)
    task = vision("gtsrb", 99, 99, classes=2)
    assert list(np.bincount(task.test_labels)) == [6, 6]
    train, test = (signs(shown, images) for images in (task.train_images, task.test_images))
    assert len(train) == 8 and len(test) == 4 and not train.keys() & test.keys()


def test_training_takes_whole_tracks_and_all_others_test(root):
    """Seven frames of each class are two tracks of three and one of a third, whose other frames serve nothing."""
    shown = paint_signs(root)
    task = vision("gtsrb", 7, classes=2)
    train, test = (signs(shown, images) for images in (task.train_images, task.test_images))
    for label in range(2):
        assert sorted(n for (own, _), n in train.items() if own == label) == [1, 3, 3]
        assert [n for (own, _), n in test.items() if own == label] == [3, 3, 3]
    assert not train.keys() & test.keys()


def test_so_many_test_frames_are_whole_tracks_too(root):
    shown = paint_signs(root, tracks=10)
    test = signs(shown, vision("gtsrb", 1, 4, classes=2).test_images)
    assert sorted(test.values()) == [1, 1, 3, 3]


@pytest.mark.parametrize("per_class", [None, 5])
def test_test_groups_are_tracks_and_elsewhere_single_pictures(root, per_class):
    shown = paint_signs(root)
    paint_classes(root / "pacs" / "photo", per_class=30)
    task = vision("gtsrb", 4, per_class, classes=2)
    named = {}
    for image, group in zip(task.test_images, task.test_groups, strict=True):
        named.setdefault(shown[sha1(image.tobytes()).hexdigest()], set()).add(group)
    assert all(len(groups) == 1 for groups in named.values())
    assert len(set.union(*named.values())) == len(named) < len(task.test_groups)
    alone = vision("pacs-photo", 4, per_class, classes=2)
    assert len(set(alone.test_groups)) == len(alone.test_groups) == len(alone.test_labels)


def test_official_test_pictures_of_signs_are_no_frames_of_the_training_tracks_of_their_names(root):
    """Test pictures are numbered, and so are tracks."""
    make_gtsrb(root)
    for label in range(2):
        for track in range(1, 4):
            paint(root / "gtsrb/GTSRB/Training" / f"{label:05d}" / f"{track:05d}_00000.ppm", 50 + 10 * label + track)
    task = vision("gtsrb", 1, classes=2)
    assert list(np.bincount(task.test_labels)) == [4, 4]
    assert len(set(task.test_groups)) == 8


@pytest.mark.parametrize("pixels", [8, 20, 48])
@pytest.mark.parametrize("size", [(60, 20), (20, 60)])
def test_the_shorter_side_is_resized_and_the_centre_cut_out(root, size, pixels):
    for number, file in enumerate(("a/0", "a/1", "b/0", "b/1")):
        paint(root / "pacs" / "photo" / f"{file}.png", number, size)
    task = vision("pacs-photo", 9, 9, pixels=pixels, classes=2)
    assert task.train_images.shape == task.test_images.shape == (2, pixels, pixels, 3)
    scaled = (size[0] * pixels // 20, size[1] * pixels // 20)
    left, top = (scaled[0] - pixels) // 2, (scaled[1] - pixels) // 2
    for image in (*task.train_images, *task.test_images):
        differences = []
        for file in (root / "pacs" / "photo").rglob("*.png"):
            whole = np.asarray(Image.open(file).resize(scaled, Image.Resampling.BICUBIC), int)
            differences.append(abs(whole[top : top + pixels, left : left + pixels] - image).max())
        assert min(differences) <= 2  # rounded between the two directions, whose order is Pillow's choice


def test_reduction_is_antialiased(root):
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    for name in ("a", "b"):
        for index in range(2):
            (root / "pacs" / "photo" / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(stripes).save(root / "pacs" / "photo" / name / f"{index}.png")
    image = vision("pacs-photo", 1, 1, pixels=16, classes=2).train_images[0]
    assert abs(image[:, 2:-2].astype(int) - 100).max() <= 2


# --- layouts --------------------------------------------------------------------------------------------------------


def make_tiny_imagenet(root):
    path = root / "tiny-imagenet-200"
    for label, name in enumerate(("n01", "n02")):
        for index in range(3):
            paint(path / "train" / name / "images" / f"{name}_{index}.JPEG", 10 * label + index, (32, 32))
    for index in range(4):
        paint(path / "val" / "images" / f"val_{index}.JPEG", 100 + index, (32, 32))
    lines = [f"val_{index}.JPEG\tn0{2 - index % 2}\t0\t0\t9\t9\n" for index in range(4)]
    (path / "val" / "val_annotations.txt").write_text("".join(lines))


def make_caltech101(root):
    paint_classes(root / "caltech101" / "101_ObjectCategories", "image_{index:04d}.jpg", 6)
    for name in ("ant", "bee"):  # the numbers begin at 1
        (root / "caltech101/101_ObjectCategories" / name / "image_0000.jpg").unlink()
    paint(root / "caltech101" / "101_ObjectCategories" / "BACKGROUND_Google" / "image_0001.jpg", 999)


def make_caltech256(root):
    for label, name in enumerate(("001.ant", "002.bee")):
        for index in range(1, 6):
            paint(
                root / "caltech256/256_ObjectCategories" / name / f"{label + 1:03d}_{index:04d}.jpg", 10 * label + index
            )
    (root / "caltech256/256_ObjectCategories/002.bee/RENAME2").write_text("no picture")


def make_dtd(root):
    for number, split in enumerate(("train", "val", "test")):
        lines = []
        for label, name in enumerate(("ant", "bee")):
            file = f"{name}/{name}_{split}.jpg"
            paint(root / "dtd" / "dtd" / "images" / file, 10 * number + label)
            lines.append(file + "\n")
        (root / "dtd" / "dtd" / "labels").mkdir(exist_ok=True)
        (root / "dtd" / "dtd" / "labels" / f"{split}1.txt").write_text("".join(lines))


def make_gtsrb(root):
    path = root / "gtsrb"
    for label in range(2):
        paint(path / "GTSRB" / "Training" / f"{label:05d}" / "00000_00000.ppm", label)
        paint(path / "GTSRB" / "Final_Test" / "Images" / f"0000{label}.ppm", 10 + label)
    (path / "GT-final_test.csv").write_text("Filename;Width;ClassId\n00000.ppm;24;1\n00001.ppm;24;0\n")


def make_imagenette(root):
    for number, split in enumerate(("train", "val")):
        paint_classes(
            root / "imagenette2-160" / split, "{index}.JPEG", 2, ("n01440764", "n03888257"), start=10 * number
        )


def make_aircraft(root):
    data = root / "fgvc-aircraft-2013b" / "data"
    for number, split in enumerate(("trainval", "test")):
        for label in range(2):
            paint(data / "images" / f"{number}{label}.jpg", 10 * number + label)
        (data / f"images_variant_{split}.txt").write_text(f"{number}0 Boeing 707\n{number}1 A 300\n")
    (data / "variants.txt").write_text("Boeing 707\nA 300\n")


def make_food101(root):
    meta = root / "food-101" / "meta"
    meta.mkdir(parents=True)
    for number, split in enumerate(("train", "test")):
        for label, name in enumerate(("ant", "bee")):
            paint(root / "food-101" / "images" / name / f"{split}.jpg", 10 * number + label)
        (meta / f"{split}.json").write_text(json.dumps({name: [f"{name}/{split}"] for name in ("ant", "bee")}))


def make_pets(root):
    path = root / "oxford-iiit-pet"
    (path / "annotations").mkdir(parents=True)
    for number, split in enumerate(("trainval", "test")):
        for label, name in enumerate(("grey_ant", "bee")):
            paint(path / "images" / f"{name}_{number}.jpg", 10 * number + label)
        (path / "annotations" / f"{split}.txt").write_text(f"grey_ant_{number} 1 1 1\nbee_{number} 2 2 1\n")


def make_sun397(root):
    for label, name in enumerate(("a/ant", "b/bee/inside")):
        for index in range(4):
            paint(root / "SUN397" / name / f"sun_{label}{index}.jpg", 10 * label + index)
    (root / "SUN397" / "ClassName.txt").write_text("/a/ant\n/b/bee/inside\n")


def make_cars(root):
    path = root / "stanford_cars"
    (path / "devkit").mkdir(parents=True)
    for number, split in enumerate(("train", "test")):
        rows = np.zeros(2, [("class", object), ("fname", object)])
        for label in range(2):
            paint(path / f"cars_{split}" / f"{label}.jpg", 10 * number + label)
            rows[label] = (label + 1, f"{label}.jpg")
        file = "devkit/cars_train_annos.mat" if split == "train" else "cars_test_annos_withlabels.mat"
        savemat(path / file, {"annotations": rows})
    savemat(path / "devkit" / "cars_meta.mat", {"class_names": np.array(["ant", "bee"], object)})


LAYOUTS = {
    "tiny-imagenet": (make_tiny_imagenet, (3, 2)),
    "caltech101": (make_caltech101, (4, 1)),
    "caltech256": (make_caltech256, (4, 1)),
    "dtd": (make_dtd, (2, 1)),
    "gtsrb": (make_gtsrb, (1, 1)),
    "imagenette": (make_imagenette, (2, 2)),
    "aircraft": (make_aircraft, (1, 1)),
    "food101": (make_food101, (1, 1)),
    "pets": (make_pets, (1, 1)),
    "sun397": (make_sun397, (3, 1)),
    "cars": (make_cars, (1, 1)),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_published_layout_and_its_split_are_read(root, name):
    make, (n_train, n_test) = LAYOUTS[name]
    make(root)
    task = vision(name, 9, 9, classes=2)
    assert len(task.classes) == 2
    assert list(np.bincount(task.train_labels)) == [n_train] * 2
    assert list(np.bincount(task.test_labels)) == [n_test] * 2
    assert len(contents(task.train_images) + contents(task.test_images)) == 2 * (n_train + n_test)


@pytest.mark.parametrize(("name", "file", "labels"), [
    ("tiny-imagenet", "tiny-imagenet-200/val/images/val_0.JPEG", [1]),
    ("gtsrb", "gtsrb/GTSRB/Final_Test/Images/00000.ppm", [1]),
    ("pets", "oxford-iiit-pet/images/bee_1.jpg", [1]),
    ("cars", "stanford_cars/cars_test/0.jpg", [0]),
    ("dtd", "dtd/dtd/images/bee/bee_test.jpg", [1]),
])  # fmt: skip
def test_a_test_picture_has_the_label_of_its_annotation(root, name, file, labels):
    LAYOUTS[name][0](root)
    Image.new("RGB", (24, 24), (9, 99, 199)).save(root / file, quality=100)
    task = vision(name, 9, 9, classes=2)
    flat = [image.std(axis=(0, 1)).max() < 3 for image in task.test_images]
    assert list(task.test_labels[flat]) == labels


@pytest.mark.parametrize(("name", "file"), [
    ("tiny-imagenet", "tiny-imagenet-200/val/images/val_0.JPEG"),
    ("caltech101", "caltech101/101_ObjectCategories/ant/image_0002.jpg"),
    ("caltech256", "caltech256/256_ObjectCategories/001.ant/001_0002.jpg"),
    ("dtd", "dtd/dtd/images/bee/bee_test.jpg"),
    ("gtsrb", "gtsrb/GTSRB/Final_Test/Images/00001.ppm"),
    ("aircraft", "fgvc-aircraft-2013b/data/images/00.jpg"),
    ("food101", "food-101/images/ant/test.jpg"),
    ("pets", "oxford-iiit-pet/images/bee_0.jpg"),
    ("cars", "stanford_cars/cars_train/1.jpg"),
])  # fmt: skip
def test_a_listed_picture_that_is_not_there_is_named(root, name, file):
    LAYOUTS[name][0](root)
    (root / file).unlink()
    with pytest.raises(TeponesError) as error:
        vision(name, 9, 9, classes=2)
    one_line(error, name, root / file, "missing")


@pytest.mark.parametrize(("name", "file"), [
    ("tiny-imagenet", "tiny-imagenet-200/val/val_annotations.txt"),
    ("dtd", "dtd/dtd/labels/val1.txt"),
    ("gtsrb", "gtsrb/GT-final_test.csv"),
    ("aircraft", "fgvc-aircraft-2013b/data/images_variant_test.txt"),
    ("food101", "food-101/meta/test.json"),
    ("pets", "oxford-iiit-pet/annotations/test.txt"),
    ("sun397", "SUN397/ClassName.txt"),
])  # fmt: skip
def test_a_missing_list_of_pictures_is_named(root, name, file):
    LAYOUTS[name][0](root)
    (root / file).unlink()
    with pytest.raises(TeponesError) as error:
        vision(name, 9, 9, classes=2)
    one_line(error, Path(file).name)


@pytest.mark.parametrize("text", ["val_0.JPEG n01\n", "val_0.JPEG\tn09\n"])
def test_damaged_annotations_are_named(root, text):
    make_tiny_imagenet(root)
    notes = root / "tiny-imagenet-200" / "val" / "val_annotations.txt"
    notes.write_text(text)
    with pytest.raises(TeponesError) as error:
        vision("tiny-imagenet", 9, 9, classes=2)
    one_line(error, notes)


@pytest.fixture
def batches(root, monkeypatch):
    """CIFAR-10 as its authors pickled it, two classes only; torchvision is told the checksums."""
    from tepones.common._torchvision import torchvision

    folder = root / "cifar-10-batches-py"
    folder.mkdir()

    def put(name, content):
        data = pickle.dumps(content)
        (folder / name).write_bytes(data)
        return md5(data).hexdigest()

    def batch(seed):
        pixels = np.random.default_rng(seed).integers(0, 256, (8, 3072), np.uint8)
        return {"data": pixels, "labels": [0, 1] * 4}

    cifar = torchvision.datasets.CIFAR10
    monkeypatch.setattr(cifar, "train_list", [["data_batch_1", put("data_batch_1", batch(1))]])
    monkeypatch.setattr(cifar, "test_list", [["test_batch", put("test_batch", batch(2))]])
    names = put("batches.meta", {"label_names": ["ant", "bee"]})
    monkeypatch.setattr(cifar, "meta", {"filename": "batches.meta", "key": "label_names", "md5": names})
    return folder


def test_cifar10_is_read_from_its_batches(batches):
    task = vision("cifar10", 3, 2, classes=2)
    assert task.classes == ("ant", "bee")
    assert list(np.bincount(task.train_labels)) == [3, 3] and list(np.bincount(task.test_labels)) == [2, 2]
    first = np.random.default_rng(1).integers(0, 256, (8, 3072), np.uint8).reshape(8, 3, 32, 32).transpose(0, 2, 3, 1)
    assert contents(task.train_images) <= contents(first)


def test_a_batch_of_another_checksum_is_never_unpickled(batches, tmp_path):
    class Payload:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    (batches / "test_batch").write_bytes(pickle.dumps(Payload()))
    with pytest.raises(TeponesError) as error:
        vision("cifar10", 3, 2, classes=2)
    one_line(error, "cifar10", batches)
    assert not (tmp_path / "ran").exists()


def test_cifar10_is_read_from_a_folder_with_a_split(root):
    paint_classes(root / "cifar10" / "train", per_class=4)
    paint_classes(root / "cifar10" / "test", per_class=2, start=50)
    task = vision("cifar10", 9, 9, classes=2)
    assert len(task.train_labels) == 8 and len(task.test_labels) == 4


def test_the_full_set_goes_before_a_folder_of_pictures(batches, root):
    paint_classes(root / "cifar10", classes=("cat", "dog"))
    assert vision("cifar10", 1, 1, classes=2).classes == ("ant", "bee")


def test_a_class_that_one_split_lacks_is_named(root):
    paint_classes(root / "cifar10" / "train")
    paint_classes(root / "cifar10" / "test", classes=("ant", "cow"))
    with pytest.raises(UsageError) as error:
        vision("cifar10", 1, 1, classes=2)
    one_line(error, "cifar10", "'bee'")


def test_calibration_pictures_have_no_test_split(root):
    for number in range(3):
        paint(root / "imagenet-samples" / f"n0{number}_thing.JPEG", number)
    for per_class in (5, None):
        task = vision("imagenet-samples", 5, per_class, pixels=16, classes=3)
        assert task.train_images.shape == (3, 16, 16, 3)
        assert task.test_images.shape == (0, 16, 16, 3) and task.test_images.dtype == np.uint8
        assert task.test_labels.shape == task.test_groups.shape == (0,) and task.test_labels.dtype == np.int64


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SOURCES)
def test_missing_data_names_the_folder_and_how_to_get_them(root, name):
    with pytest.raises(UsageError) as error:
        tasks.load(name, 1, 1)
    one_line(error, name, root / SOURCES[name].folder)
    assert f"tepones download {name}" in str(error.value) or SOURCES[name].by_hand
    assert not list(root.iterdir())


@pytest.mark.parametrize("name", ["pacs-photo", "cars", "imagenet-samples"])
def test_what_nobody_can_download_is_told_with_its_layout(root, name):
    with pytest.raises(UsageError) as error:
        vision(name, 1, 1)
    one_line(error, "https://", root / SOURCES[name].folder)
    assert "tepones download" not in str(error.value)


def test_another_number_of_classes_is_refused(root):
    paint_classes(root / "pacs" / "photo")
    for classes, expected in ((None, 7), (3, 3)):
        with pytest.raises(UsageError) as error:
            vision("pacs-photo", 1, 1, classes=classes)
        one_line(error, "pacs-photo", root / "pacs" / "photo", "2 classes", f"{expected} expected")


@pytest.mark.parametrize("made", ["latin", "digits"])
def test_made_tasks_refuse_other_pixels_and_classes(made):
    with pytest.raises(UsageError) as error:
        tasks.load(made, 1, 1, pixels=64)
    one_line(error, made, "64", "32")
    with pytest.raises(UsageError) as error:
        tasks.load(made, 1, 1, classes=3)
    one_line(error, made, "3 expected")
    n_classes = len(tasks.load(made, 1, 1).classes)
    assert len(tasks.load(made, 1, 1, classes=n_classes).train_labels) == n_classes


@pytest.mark.parametrize("wrong", [{"train_per_class": 0}, {"test_per_class": -1}, {"pixels": 0}, {"pixels": 1.5}])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(UsageError) as error:
        tasks.load("digits", **{"train_per_class": 1, "test_per_class": 1, **wrong})
    one_line(error, *wrong, "at least 1")


def test_an_empty_class_is_named(root):
    paint_classes(root / "pacs" / "photo")
    (root / "pacs" / "photo" / "cow").mkdir()
    with pytest.raises(UsageError) as error:
        vision("pacs-photo", 1, 1, classes=3)
    one_line(error, root / "pacs" / "photo" / "cow")


def test_a_class_of_one_picture_cannot_be_split(root):
    paint_classes(root / "pacs" / "photo", per_class=1)
    with pytest.raises(UsageError) as error:
        vision("pacs-photo", 1, 1, classes=2)
    one_line(error, "pacs-photo", "'ant'", "training")


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_truncated_picture_is_named(root, suffix):
    paint_classes(root / "pacs" / "photo", f"{{index}}.{suffix}", 2)
    file = root / "pacs" / "photo" / "bee" / f"1.{suffix}"
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(TeponesError) as error:
        vision("pacs-photo", 1, 1, classes=2)
    one_line(error, file)
    assert not isinstance(error.value, UsageError)


# --- the real data, where they are at hand --------------------------------------------------------------------------

REAL = (
    "tiny-imagenet", "cifar10", "caltech101", "flowers102", "eurosat", "pacs-art_painting", "pacs-cartoon",
    "pacs-photo", "pacs-sketch", "gtsrb", "dtd", "imagenette", "imagenet-samples",
)  # fmt: skip
REDUCED = {"tiny-imagenet": 100, "dtd": 10}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.skipif(not locate(name), reason="no data")) for name in REAL]
)
def test_real_photographs(name):
    classes = SOURCES[name].n_classes
    try:
        task = tasks.load(name, 5, 5)
    except UsageError:  # a reduced copy for development
        classes = REDUCED[name]
        task = tasks.load(name, 5, 5, classes=classes)
    assert len(task.classes) == len(set(task.classes)) == classes
    per_class = (1, 0) if name == "imagenet-samples" else (5, 5)
    for images, labels, count in zip(
        (task.train_images, task.test_images), (task.train_labels, task.test_labels), per_class, strict=True
    ):
        assert images.shape == (count * classes, 32, 32, 3) and images.dtype == np.uint8
        assert labels.dtype == np.int64 and (np.bincount(labels, minlength=classes) == count).all()
    # Tiny-ImageNet and Flowers-102 hold a few pictures twice, some once in each split; none of them is chosen here.
    assert not contents(task.train_images) & contents(task.test_images)
    assert task.train_images.std(axis=(1, 2, 3)).min() > 1
