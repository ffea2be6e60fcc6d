"""How pictures become the input of a backbone: ordinary ones as ever, bit for bit; extreme ones in bounded memory."""

import tracemalloc

import numpy as np
import pytest
from PIL import Image

from tepones.backbones.encoder import EXTREME, Preparation


def whole_then_cut(preparation, picture):
    """The square of a picture that is resized as a whole: how records of rankings were made."""
    height, width = picture.shape[:2]
    if min(height, width) != preparation.resize:
        shorter = min(height, width)
        width, height = (int(preparation.resize * side / shorter) for side in (width, height))
        resampling = Image.Resampling[preparation.resampling.upper()]
        picture = np.asarray(Image.fromarray(picture).resize((width, height), resampling))
    top, left = (round((side - preparation.crop) / 2) for side in (height, width))
    return picture[top : top + preparation.crop, left : left + preparation.crop]


def drawn(rng, height, width):
    return rng.integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("resampling", ["bilinear", "bicubic", "nearest", "lanczos"])
@pytest.mark.parametrize(("resize", "crop"), [(32, 32), (37, 32), (73, 64), (30, 25)])
def test_no_bit_of_an_ordinary_picture_depends_on_what_is_done_for_extreme_ones(resize, crop, resampling):
    rng = np.random.default_rng([resize, crop])
    preparation = Preparation(resize, crop, (0.0,) * 3, (1.0,) * 3, resampling)
    sizes = [(side, int(side * rng.uniform(1, 9))) for side in rng.integers(1, 90, 20)]
    sizes += [(resize, resize), (resize, 3 * resize), (1, EXTREME), (200, 2000)]
    pictures = [drawn(rng, *size) for a, b in sizes for size in ((a, b), (b, a))]
    expected = np.stack([whole_then_cut(preparation, picture) for picture in pictures])
    found = preparation(pictures).permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("resampling", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize(("height", "width"), [(3, 200), (500, 41), (1, 300), (30, 301), (2000, 45)])
def test_the_square_of_an_extreme_picture_is_that_of_the_resized_one_but_for_rounding(height, width, resampling):
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    waves = [np.sin(across / (3 + n) + n) + np.cos(down / (4 + n)) for n in range(3)]
    picture = np.round(127.5 + 50 * np.stack(waves, axis=2)).astype(np.uint8)
    preparation = Preparation(40, 32, (0.0,) * 3, (1.0,) * 3, resampling)
    found = preparation([picture])[0].permute(1, 2, 0).numpy()
    expected = whole_then_cut(preparation, picture)
    assert found.shape == (32, 32, 3) and np.ptp(expected) > 30
    assert np.abs(found - expected).max() <= 2


@pytest.mark.parametrize("shape", [(1, 1_000_000, 3), (1_000_000, 1, 3), (3, 1_000_000, 3)])
def test_a_long_picture_takes_little_memory(shape, monkeypatch):
    """Resized as a whole, the first one would have 50 billion pixels."""
    made = []
    resize = Image.Image.resize
    monkeypatch.setattr(Image.Image, "resize", lambda page, size, *more: made.append(size) or resize(page, size, *more))
    picture = np.full(shape, 90, np.uint8)
    tracemalloc.start()
    found = Preparation(256, 224, (0.0,) * 3, (1.0,) * 3)([picture])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.shape == (1, 3, 224, 224) and (found == 90).all()
    assert len(made) == 1 and sorted(made[0]) == [224, 256]
    assert peak < 12e6
