"""The target of a ranking: pictures of a folder stand upright, whatever way the camera was held."""

import numpy as np
import pytest
from PIL import ExifTags, Image

from tepones import ranking
from tepones.tasks.folder import decode

#: EXIF orientation: from the picture as it stands to the picture as it is stored (TIFF 6.0, tag 274).
STORED = {
    1: lambda picture: picture,
    2: np.fliplr,
    3: lambda picture: np.rot90(picture, 2),
    4: np.flipud,
    5: lambda picture: picture.swapaxes(0, 1),
    6: lambda picture: np.rot90(picture, 1),
    7: lambda picture: np.rot90(picture, 2).swapaxes(0, 1),
    8: lambda picture: np.rot90(picture, -1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_every_orientation_is_applied(tmp_path, orientation, suffix):
    upright = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        stored = np.ascontiguousarray(STORED[orientation](upright))
        Image.fromarray(stored).save(tmp_path / label / f"x.{suffix}", exif=exif, lossless=True)
    target = ranking.open_target(tmp_path)
    assert target.labels.tolist() == [0, 1]
    for picture in target.pictures:
        np.testing.assert_array_equal(picture, upright)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_changes_nothing(tmp_path, orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        Image.fromarray(np.arange(72, dtype=np.uint8).reshape(4, 6, 3)).save(tmp_path / label / "x.png", exif=exif)
    for picture in ranking.open_target(tmp_path).pictures:
        np.testing.assert_array_equal(picture, decode(tmp_path / "a" / "x.png"))
