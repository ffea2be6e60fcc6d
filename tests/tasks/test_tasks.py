"""Tasks: what is rendered, that it is the same each time, and that splits do not overlap."""

import numpy as np
import pytest

from tepones import tasks
from tepones.common.errors import UsageError
from tepones.tasks.base import balanced_split
from tepones.tasks.digits import digits
from tepones.tasks.glyphs import ALPHABETS, _fonts_with, glyphs


@pytest.mark.parametrize("name", ["digits", *ALPHABETS])
def test_every_task_is_balanced_and_well_formed(name):
    task = tasks.load(name, 3, 2)
    n = len(task.classes)
    assert task.train_images.shape == (3 * n, 32, 32, 3)
    assert task.test_images.shape == (2 * n, 32, 32, 3)
    assert task.train_images.dtype == task.test_images.dtype == np.uint8
    assert (np.bincount(task.train_labels) == 3).all()
    assert (np.bincount(task.test_labels) == 2).all()
    assert len(set(task.test_groups)) == 2 * n
    # An image that is one flat colour would mean a glyph that is not drawn.
    assert task.train_images.std(axis=(1, 2, 3)).min() > 2


def test_the_source_has_at_least_52_classes_and_there_are_six_targets():
    assert len(ALPHABETS["latin"]) >= 52
    assert len({"digits", *ALPHABETS} - {"latin"}) >= 6


def test_alphabets_share_no_character():
    characters = [c for alphabet in ALPHABETS.values() for c in alphabet]
    assert len(characters) == len(set(characters))


def test_every_character_is_in_more_than_one_font():
    assert min(len(_fonts_with(c)) for alphabet in ALPHABETS.values() for c in alphabet) >= 4


def test_same_seed_same_images_other_seed_others():
    first, again, other = (glyphs("arrows", 2, 2, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first.train_images, again.train_images)
    assert np.array_equal(first.test_images, again.test_images)
    assert not np.array_equal(first.train_images, other.train_images)


def test_an_image_does_not_depend_on_how_many_there_are():
    few, many = glyphs("arrows", 2, 1), glyphs("arrows", 3, 1)
    assert np.array_equal(few.train_images[:2], many.train_images[:2])


def test_training_and_test_images_differ():
    task = glyphs("symbols", 4, 4)
    both = np.concatenate([task.train_images, task.test_images]).reshape(2 * 4 * len(task.classes), -1)
    assert len(np.unique(both, axis=0)) == len(both)


def test_digits_are_split_without_overlap():
    labels = np.repeat(np.arange(10), 20)
    train, test = balanced_split(labels, 12, 5, seed=3)
    assert not set(train) & set(test)
    assert len(train) == 120 and len(test) == 50
    assert digits("digits", 90, 80).train_images.shape[0] == 900


def test_without_a_number_every_digit_that_is_not_for_training_tests():
    task = tasks.load("digits", 90)
    assert list(np.bincount(task.train_labels)) == [90] * 10
    # The sizes of the classes are those of scikit-learn's description of the set.
    assert list(np.bincount(task.test_labels)) == [n - 90 for n in (178, 182, 177, 183, 181, 182, 181, 179, 174, 180)]
    train, test = balanced_split(np.repeat(np.arange(3), (5, 9, 3)), 4, None, seed=3)
    assert sorted([*train, *test]) == list(range(17))
    assert len(train) == 4 + 4 + 3


def test_rendered_tasks_want_a_number_of_test_images():
    with pytest.raises(UsageError, match=r"^greek: .* rendered without end; give the number of test images"):
        tasks.load("greek", 3)


def test_unknown_task_lists_the_known():
    with pytest.raises(UsageError, match=r"unknown task 'klingon'; choose from: .*greek"):
        tasks.load("klingon", 1, 1)
