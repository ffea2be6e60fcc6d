"""A folder of pictures as people have it: which folders are classes, which files are pictures, and what is in them.

`tepones.tasks.folder` lists and decodes the folders of the study, whose records are kept under keys that change with
that code. So what is done here for folders that nobody has tidied, and for photographs stored on their side, is not
done there.
"""

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from tepones.common.errors import TeponesError, UsageError, one_line, shown
from tepones.common.files import content_hash

#: Formats that are read, whatever the suffix says. Others are not tried: Pillow hands EPS to Ghostscript, which runs
#: programs, and some formats have no mark by which a file that is no picture could be told.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF")

#: Folders that are no classes, in lower case: what computers leave behind, and pictures without a label.
NO_CLASSES = {"__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found"}
UNLABELLED = {"unlabeled", "unlabelled", "unlabeleddata", "unlabelleddata", "unsup", "unsupervised"}

#: Names of the parts of a split, without regard to case and to what separates words.
_PART = re.compile(
    r"(?:(?P<train>train|training)|test|testing|val|valid|validation)(?P<more>set|data|images?|imgs?|pictures?|photos?)?"
)

#: Names of files, folders or classes that a line lists before it counts the others.
FEW = 5
#: The same for the classes of a target.
FEW_CLASSES = 12

#: From the picture as it is stored to the picture as it stands, by EXIF orientation (TIFF 6.0, tag 274).
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Damaged:
    """In the place of a picture that cannot be decoded.

    Attributes
    ----------
    file : Path
    reason : str
        In one line.
    """

    file: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.file} ({self.reason})"


@dataclass(frozen=True)
class Pictures:
    """The labelled pictures of a folder; to take one by its number reads it, as `read` does.

    Attributes
    ----------
    folder : Path
        The folder with the class folders: of a split, that of the training pictures.
    classes : tuple of str
        Names of the C class folders, sorted; a label is an index into it.
    files : tuple of Path
        Class by class, sorted within a class.
    labels : ndarray of int64, shape (N,)
    skipped_files, skipped_folders : tuple of str
        What is no picture and no class, by its path in `folder`, sorted.
    """

    folder: Path
    classes: tuple[str, ...]
    files: tuple[Path, ...]
    labels: np.ndarray
    skipped_files: tuple[str, ...]
    skipped_folders: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, number: int) -> np.ndarray | Damaged:
        return read(self.files[number])

    def content(self) -> str:
        """Hash of the content of all files, in their order. Cost: reads every file."""
        hashed = hashlib.sha256()
        for file in self.files:
            try:
                hashed.update(bytes.fromhex(content_hash(file)))
            except (OSError, ValueError) as error:  # it is damaged, as long as it stays so
                hashed.update(type(error).__name__.encode())
        return hashed.hexdigest()


def list_pictures(path: str | Path) -> Pictures:
    """List the pictures of a folder; none is opened.

    Hidden files and folders, `NO_CLASSES`, `UNLABELLED`, files that are none of `FORMATS` by their suffix and files
    beside the class folders are skipped.

    Parameters
    ----------
    path : str or Path
        Holds a sub-folder for each class, or the parts of a split (``train``, ``Test_set``, ``val images``) that
        do; of a split, the training pictures are taken.

    Raises
    ------
    UsageError
        If there are fewer than two classes, a class holds no picture, or it is unclear which folders are classes; says
        what was found.
    TeponesError
        If a folder cannot be listed.
    """
    folder = _of_split(Path(path))
    classes, skipped_folders, skipped_files = _divide(folder)
    if len(classes) < 2:
        found = f" ({listed([one.name for one in classes])})" if classes else ""
        raise UsageError(
            f"{shown(folder)}: {_count(classes, 'class folder')}{found}; expected at least two, each with its pictures"
        )
    suffixes = {suffix for suffix, form in Image.registered_extensions().items() if form in FORMATS}
    files: list[Path] = []
    labels: list[int] = []
    for label, one in enumerate(classes):
        pictures, others, folders = _walk(one, suffixes)
        if not pictures:
            instead = f" ({listed([file.name for file in others])})" if others else ""
            raise UsageError(
                f"{shown(one)}: class '{shown(one.name)}' holds no picture{instead}; expected at least one, of "
                f"{', '.join(FORMATS)}"
            )
        files += pictures
        labels += [label] * len(pictures)
        skipped_files += others
        skipped_folders += folders
    inside = [tuple(str(one.relative_to(folder)) for one in sorted(some)) for some in (skipped_files, skipped_folders)]
    return Pictures(folder, tuple(one.name for one in classes), tuple(files), np.array(labels), *inside)


def describe(found: Pictures) -> tuple[str, ...]:
    """One line on the classes and their counts and, where something was skipped, one line on that."""
    counts = np.bincount(found.labels)
    each = [f"{name} {count:,}" for name, count in zip(found.classes, counts, strict=True)]
    lines = [f"{_count(each, 'class', 'classes')}, {_count(found.files, 'picture')}: {listed(each, FEW_CLASSES)}"]
    kinds = {"file": found.skipped_files, "folder": found.skipped_folders}
    told = [_count(names, kind) for kind, names in kinds.items() if names]
    if told:
        lines.append(f"{' and '.join(told)} skipped: {listed([*found.skipped_files, *found.skipped_folders])}")
    return tuple(lines)


def read(file: Path) -> np.ndarray | Damaged:
    """One picture as a uint8 RGB array (H, W, 3), turned as its EXIF orientation says, or why it cannot be decoded.

    Transparency is dropped, of an animation the first frame is taken. A picture above Pillow's limit of pixels, which
    would fill the memory from a small file, is not decoded. Cost: one decode; 3·H·W bytes, and
    some four times as many while it runs.
    """
    try:
        with Image.open(file, formats=FORMATS) as picture:
            pixels = picture.convert("RGB")
            turn = _turn(picture)
            return np.array(pixels if turn is None else pixels.transpose(turn))
    except Exception as error:  # Pillow's plug-ins raise of every kind
        return Damaged(file, _reason(file, error))


def listed(names: Sequence[object], few: int = FEW) -> str:
    """Names in one line, escaped: the first few, and how many others there are."""
    others = [f"… ({len(names) - few:,} more)"] if len(names) > few else []
    return ", ".join([*map(shown, names[:few]), *others])


def _of_split(path: Path) -> Path:
    """The folder that holds the class folders: of a split, the part for training, else the folder itself."""
    inside, _, _ = _divide(path)
    parts = {folder: part for folder in inside if (part := _part(folder.name))}
    training = [folder for folder, part in parts.items() if part["train"]]
    if not parts:
        return path
    if len(parts) == len(inside):
        if len(training) == 1:
            return training[0]
        count = f"{len(training)} folders of training pictures" if training else "no folder of training pictures"
        raise UsageError(
            f"{shown(path)}: {count} among the parts of a split ({_quoted(parts)}); name the folder that holds the "
            "classes"
        )
    # A class may be called train, as in Pascal VOC; of no other name of a part is it believed.
    if len(parts) == len(training) == 1 and not parts[training[0]]["more"]:
        return path
    classes = [folder for folder in inside if folder not in parts]
    raise UsageError(
        f"{shown(path)}: parts of a split ({_quoted(parts)}) beside other folders ({_quoted(classes)}); expected "
        "either: name the folder that holds the classes, or rename a class that is called like a part"
    )


def _divide(path: Path) -> tuple[list[Path], list[Path], list[Path]]:
    """What may be classes, the other folders, and the files that lie in a folder, each sorted."""
    try:
        entries = sorted(path.iterdir())
    except OSError as error:
        raise _unlisted(error) from None
    folders = [entry for entry in entries if entry.is_dir()]
    classes = [folder for folder in folders if _may_be_class(folder.name)]
    others = [folder for folder in folders if not _may_be_class(folder.name)]
    return classes, others, [entry for entry in entries if not entry.is_dir()]


def _walk(folder: Path, suffixes: set[str]) -> tuple[list[Path], list[Path], list[Path]]:
    """Pictures of a class, however deep, the other files, and the folders not entered; pictures are sorted."""
    pictures: list[Path] = []
    others: list[Path] = []
    not_entered: list[Path] = []

    def refuse(error: OSError) -> None:
        raise _unlisted(error)

    for place, inside, names in os.walk(folder, onerror=refuse):
        not_entered += [Path(place, name) for name in inside if not _may_be_class(name)]
        inside[:] = [name for name in inside if _may_be_class(name)]
        for file in (Path(place, name) for name in names):
            # Of a photograph copied by a Mac, ._photo.jpg holds what other file systems have no room for.
            is_picture = not file.name.startswith(".") and file.suffix.lower() in suffixes and file.is_file()
            (pictures if is_picture else others).append(file)
    return sorted(pictures), others, not_entered


def _may_be_class(name: str) -> bool:
    return not (name.startswith(".") or name.lower() in NO_CLASSES or _words(name) in UNLABELLED)


def _part(name: str) -> re.Match[str] | None:
    """A match with the groups `train` and `more` if a folder of this name is a part of a split."""
    return _PART.fullmatch(_words(name))


def _words(name: str) -> str:
    return re.sub(r"[\s_\-.]+", "", name.lower())


def _quoted(folders: Sequence[Path] | dict[Path, re.Match[str]]) -> str:
    return listed([f"'{folder.name}'" for folder in folders])


def _unlisted(error: OSError) -> TeponesError:
    return TeponesError(f"{shown(error.filename)}: cannot be listed ({error.strerror}); expected a folder of pictures")


def _count(things: Sequence[object], one: str, several: str = "") -> str:
    return f"{len(things):,} {one if len(things) == 1 else several or one + 's'}"


def _turn(picture: Image.Image) -> Image.Transpose | None:
    """What sets a decoded picture upright."""
    if picture.format == "TIFF":
        return None  # Pillow has turned it
    try:
        return _TURNS.get(picture.getexif().get(ExifTags.Base.Orientation))
    except Exception:  # of damaged EXIF data Pillow raises of every kind; the pixels are whole
        return None


def _reason(file: Path, error: Exception) -> str:
    """Why a picture cannot be decoded, in one line."""
    if isinstance(error, Image.DecompressionBombError):
        return f"it has more than {2 * Image.MAX_IMAGE_PIXELS:,} pixels"
    if isinstance(error, Image.UnidentifiedImageError):
        return "it is no picture" if file.stat().st_size else "it is empty"
    # The text of an error of the system repeats the path.
    text = error.strerror if isinstance(error, OSError) and error.strerror else one_line(error)
    return shown(text) or type(error).__name__
