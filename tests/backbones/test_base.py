"""What a backbone makes of images before its encoder sees them."""

import numpy as np

from tepones.backbones import BACKBONES


def test_input_keeps_the_picture(images):
    pixels = BACKBONES.load("small-resnet")(4, width=8).prepare(images[0])
    assert pixels.shape == (64, 3, 32, 32)
    np.testing.assert_allclose(pixels[3, 1].numpy() * 64 + 127.5, images[0][3, :, :, 1], atol=1e-3)
