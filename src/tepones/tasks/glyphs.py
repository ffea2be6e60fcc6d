"""Tasks rendered on the spot: characters in the fonts that matplotlib ships, 32×32 pixels, nothing downloaded.

Every image draws its font, size, position, rotation, shear, blur, colours, background and noise from a
generator seeded by (alphabet, task seed, split, class, index), so an image depends on nothing but these and
the versions of Pillow and matplotlib.
"""

from functools import cache
from pathlib import Path
from zlib import crc32

import numpy as np
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from tepones.common.errors import UsageError
from tepones.tasks.base import Task, check_classes

SIDE = 32
SIZES = tuple(range(18, 29, 2))
FONTS = (
    *(f"DejaVuSans{style}.ttf" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSansMono{style}.ttf" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSerif{style}.ttf" for style in ("", "-Bold", "-Italic", "-BoldItalic")),
    *(f"STIXGeneral{style}.ttf" for style in ("", "Bol", "Italic", "BolIta")),
    *("cmr10.ttf", "cmb10.ttf", "cmss10.ttf", "cmtt10.ttf"),
)

ALPHABETS = {
    "latin": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
    # Letters that look like a Latin one are left out of the two related scripts.
    "greek": "ΓΔΘΛΞΠΣΦΨΩαβγδεζηθκλμξπσφχψω",
    "cyrillic": "БГДЖЗИЛПФЦЧШЩЪЫЭЮЯбвгджзилмнптфцчшщъыэюя",
    "operators": "+−×÷±∓=≠≡≈∼<>≤≥∂∇∈∉⊂⊃⊆∪∩∧∨∀∃∫∑∏√∞",
    "arrows": "←↑→↓↔↕↖↗↘↙⇐⇑⇒⇓⇔⇕↦↩↪↺↻",
    "symbols": "♠♣♥♦♩♪♫♭♮♯★☆☎☀☁☂☃☺☹☼♀♂✓✗",
}


def _font_file(name: str) -> Path:
    import matplotlib  # takes a moment, which other tasks do not need

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name


@cache
def _fonts_with(character: str) -> tuple[str, ...]:
    """Font files that hold a glyph for the character."""
    return tuple(name for name in FONTS if ord(character) in _code_points(name))


@cache
def _code_points(font: str) -> frozenset[int]:
    with TTFont(_font_file(font), lazy=True) as file:
        return frozenset(file.getBestCmap() or {})


@cache
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(_font_file(name)), size, layout_engine=ImageFont.Layout.BASIC)


def _colours(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Ink and paper, apart by at least 70 of 255 grey levels."""
    while True:
        ink, paper = generator.uniform(0, 255, (2, 3)).astype(np.float32)
        if abs(float(ink.mean() - paper.mean())) >= 70:
            return ink, paper


def render(character: str, generator: np.random.Generator) -> np.ndarray:
    """One random picture of a character, uint8 of shape (32, 32, 3)."""
    fonts = _fonts_with(character)
    font = _font(fonts[generator.integers(len(fonts))], SIZES[generator.integers(len(SIZES))])
    left, top, right, bottom = font.getbbox(character)
    page = Image.new("L", (SIDE, SIDE))
    corner = ((SIDE - right - left) / 2, (SIDE - bottom - top) / 2)
    ImageDraw.Draw(page).text(corner, character, fill=255, font=font)

    angle, shear = np.deg2rad(generator.normal(0, 10)), generator.normal(0, 0.15)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.array([[1, shear], [0, 1]])
    centre = np.full(2, (SIDE - 1) / 2)
    offset = centre - matrix @ centre + generator.uniform(-3.5, 3.5, 2)
    coefficients = (*matrix[0], offset[0], *matrix[1], offset[1])
    page = page.transform(page.size, Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)
    if generator.random() < 0.5:
        page = page.filter(ImageFilter.GaussianBlur(generator.uniform(0.3, 1.1)))

    ink, paper = _colours(generator)
    slope = generator.normal(0, 25, (2, 3)).astype(np.float32)
    across = np.linspace(-1, 1, SIDE, dtype=np.float32)[:, None]
    background = paper + across[:, None] * slope[0] + across[None] * slope[1]
    coverage = np.asarray(page, np.float32)[..., None] / 255
    picture = background * (1 - coverage) + ink * coverage
    picture += generator.normal(0, generator.uniform(2, 22), picture.shape)
    return picture.clip(0, 255).astype(np.uint8)


def _split(name: str, per_class: int, seed: int, split: int) -> tuple[np.ndarray, np.ndarray]:
    alphabet, stream = ALPHABETS[name], crc32(name.encode())
    images = np.empty((len(alphabet) * per_class, SIDE, SIDE, 3), np.uint8)
    for label, character in enumerate(alphabet):
        for index in range(per_class):
            generator = np.random.default_rng([stream, seed, split, label, index])
            images[label * per_class + index] = render(character, generator)
    return images, np.repeat(np.arange(len(alphabet)), per_class)


def check_made(name: str, n_classes: int, pixels: int, classes: int | None) -> None:
    """Raise UsageError unless a task made here is asked for what it has: 32×32 pixels and its own number of classes."""
    if pixels != SIDE:
        raise UsageError(f"{name}: pixels {pixels} is not possible; this task has images of {SIDE} pixels only")
    check_classes(name, "the task", n_classes, n_classes if classes is None else classes)


def glyphs(
    name: str,
    train_per_class: int,
    test_per_class: int | None,
    pixels: int = SIDE,
    classes: int | None = None,
    seed: int = 0,
) -> Task:
    """Render a glyph task: same seed, same images, bit by bit.

    Parameters are those of `tepones.tasks.load`; the name is an alphabet of `ALPHABETS`. Cost: about 0.3 ms for each
    image on one core.

    Raises
    ------
    UsageError
        If `pixels` is not 32, `classes` is given and not the number of characters, or `test_per_class` is not given:
        images are rendered without end.
    """
    if test_per_class is None:
        raise UsageError(f"{name}: its images are rendered without end; give the number of test images")
    check_made(name, len(ALPHABETS[name]), pixels, classes)
    train = _split(name, train_per_class, seed, 0)
    test = _split(name, test_per_class, seed, 1)
    return Task(name, tuple(ALPHABETS[name]), *train, *test, np.arange(len(test[1])))
