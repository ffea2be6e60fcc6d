"""Every place on disk that the project reads or writes, in one module."""

import os
from pathlib import Path

import platformdirs

from tepones.common.errors import UsageError

INSTALLED_DATA = Path(__file__).resolve().parents[1] / "data"
"""Where a wheel puts the committed data; not there in a checkout."""


def root() -> Path:
    """Folder of the checkout: the first of `TEPONES_ROOT`, the working folder's parents, this file's parents.

    Raises
    ------
    UsageError
        If none of them holds the companion's `_toc.yml` and `notebooks/`.
    """
    named = os.environ.get("TEPONES_ROOT")
    here = Path.cwd().resolve()
    candidates = [Path(named)] if named else [here, *here.parents, *Path(__file__).resolve().parents]
    for folder in candidates:
        if (folder / "_toc.yml").is_file() and (folder / "notebooks").is_dir():
            return folder
    raise UsageError(f"no tepones checkout at or above {candidates[0]}: run inside one, or set TEPONES_ROOT")


def notebooks() -> Path:
    """Text sources of the chapters."""
    return root() / "notebooks"


def book() -> Path:
    """Source folder of the site; `book/chapters` holds the committed executed chapters."""
    return root() / "book"


def data() -> Path:
    """Committed data: profiles, published numbers, our published records, the zoo.

    In a checkout its folder `data`, elsewhere the copy of it that a wheel carries.

    Raises
    ------
    UsageError
        If there is neither.
    """
    try:
        return root() / "data"
    except UsageError as error:
        if not INSTALLED_DATA.is_dir():
            raise UsageError(f"{error}; nor does the installed package carry its data: install it anew") from None
    return INSTALLED_DATA


def build() -> Path:
    """Everything that can be made again: live records, the staged live book, logs. Ignored by git."""
    return root() / "build"


def records(profile: str) -> Path:
    """Store of the live records of a profile."""
    return build() / "records" / profile


def published_records(profile: str) -> Path:
    """Committed tidy tables of a profile."""
    return data() / "records" / profile


def datasets() -> Path:
    """Root folder of downloaded data sets: `TEPONES_DATA`, else the user's cache folder."""
    named = os.environ.get("TEPONES_DATA")
    return Path(named) if named else Path(platformdirs.user_cache_dir("tepones")) / "datasets"


def cache() -> Path:
    """What can be made again on this machine, kept between rankings: `TEPONES_CACHE`, else the user's cache folder."""
    named = os.environ.get("TEPONES_CACHE")
    return Path(named) if named else Path(platformdirs.user_cache_dir("tepones")) / "rankings"
