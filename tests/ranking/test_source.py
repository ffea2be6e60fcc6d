"""Labelled images as people have them come out as the same arrays; what is no such thing is told in one line."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, TensorDataset

from tepones.backbones.encoder import Preparation
from tepones.common.errors import TeponesError, UsageError
from tepones.ranking.source import open_source

PREPARED = Preparation(32, 32)


@pytest.fixture
def folder(images, tmp_path):
    for number, (picture, label) in enumerate(zip(*images, strict=True)):
        file = tmp_path / "pictures" / f"class {label}" / f"{number:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(file)
    return tmp_path / "pictures"


def tensors(images):
    return PREPARED(list(images[0])), torch.as_tensor(images[1])


def test_prepared_tensors_come_as_they_are_however_they_are_given(images):
    inputs, labels = tensors(images)
    pairs = TensorDataset(inputs, labels)
    batches = [(inputs[:20], labels[:20]), [inputs[20:].numpy(), labels[20:].tolist()]]
    for data in ((inputs, labels), pairs, DataLoader(pairs, batch_size=10), batches, (inputs.double(), labels.int())):
        found = open_source(data, PREPARED)
        assert found.images.dtype == np.float32 and found.labels.dtype == np.int64
        np.testing.assert_array_equal(found.images, inputs.permute(0, 2, 3, 1))
        np.testing.assert_array_equal(found.labels, labels)
        assert found.n_classes == 4 and found.classes == ()


def test_pictures_are_cut_by_the_preparation_and_keep_their_grey_levels(images, folder):
    pictures, labels = images
    found = open_source((pictures, labels), PREPARED)
    assert found.images.dtype == np.uint8
    np.testing.assert_array_equal(found.images, pictures)
    cut = open_source((pictures, labels), Preparation(32, 24)).images
    np.testing.assert_array_equal(cut, pictures[:, 4:28, 4:28])
    of_folder = open_source(folder, PREPARED)
    order = np.argsort(labels, kind="stable")
    np.testing.assert_array_equal(of_folder.images, pictures[order])
    np.testing.assert_array_equal(of_folder.labels, labels[order])
    assert of_folder.classes == ("class 0", "class 1", "class 2", "class 3")


def test_no_more_batches_are_read_than_are_enough(images):
    inputs, labels = tensors(images)

    def endless():
        while True:
            yield inputs, labels

    assert len(open_source(endless(), PREPARED, enough=100).labels) == 128


def test_labels_of_a_folder_have_to_be_all_classes_and_others_may_lack_some(images, folder):
    source, of_folder = open_source(tensors(images), PREPARED), open_source(folder, PREPARED)
    assert source.misfit(4) is None and source.misfit(1000) is None and of_folder.misfit(4) is None
    assert source.misfit(3) == "the data have 4 classes, the network's last layer 3"
    assert of_folder.misfit(1000) == "the data have 4 classes, the network's last layer 1,000"


def test_a_damaged_picture_is_left_out_with_a_warning_and_a_whole_class_of_them_refused(folder):
    first, *others = sorted((folder / "class 2").iterdir())
    first.write_bytes(b"no picture")
    with pytest.warns(UserWarning, match="1 damaged left out: .*class 2"):
        assert len(open_source(folder, PREPARED).labels) == 63
    for file in others:
        file.write_bytes(b"")
    with pytest.raises(TeponesError, match="no picture of class 'class 2' can be decoded"):
        open_source(folder, PREPARED)


class Undecoded(Dataset):
    """As torchvision's folders are without a transform."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return Image.new("RGB", (32, 32)), index


FLOATS = torch.zeros(4, 3, 32, 32)
NUMBERS = torch.arange(4)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, "data are NoneType; expected a folder"),
        (3, "data are int; expected a folder"),
        ("nowhere", "nowhere: no folder"),
        ([], "data hold no image"),
        ((FLOATS[:0], NUMBERS[:0]), "data hold no image"),
        ([FLOATS], r"data yield Tensor; expected pairs \(images, labels\)"),
        ([{"image": FLOATS}], "data yield dict"),
        ((FLOATS,), "data yield tuple"),
        ((FLOATS, NUMBERS, NUMBERS), "data yield tuple"),
        (Undecoded(), "data make no batches .*PIL.* give a transform"),
        ((FLOATS[:, :1], NUMBERS), r"float32 of shape \(4, 1, 32, 32\); expected pictures, uint8"),
        ((FLOATS[..., :16], NUMBERS), r"float32 of shape \(4, 3, 32, 16\)"),
        ((FLOATS.byte(), NUMBERS), r"uint8 of shape \(4, 3, 32, 32\)"),
        ((FLOATS[0], NUMBERS), "float32 of shape"),
        (("pictures", NUMBERS), "images are no array"),
        ((FLOATS, NUMBERS[:3]), r"labels are int64 of shape \(3,\); expected 4 numbers of classes"),
        ((FLOATS, NUMBERS.float()), "labels are float32"),
        ((FLOATS, torch.eye(4).long()), r"labels are int64 of shape \(4, 4\)"),
        ((FLOATS, NUMBERS - 1), "a label is -1; expected numbers of classes, from 0"),
        ((FLOATS, ["a", "b", "c", "d"]), "labels are no array"),
        ([(FLOATS, NUMBERS), (np.zeros((4, 32, 32, 3), np.uint8), NUMBERS)], "uint8 and prepared tensors"),
    ],
)
def test_what_is_no_source_is_told_in_one_line(data, reason):
    with pytest.raises(UsageError, match=reason) as raised:
        open_source(data, PREPARED)
    assert "\n" not in str(raised.value)
