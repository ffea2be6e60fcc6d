"""From records to the site: the live book of this machine, and the published chapters of the repository."""

import hashlib
import os
import shutil
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from pathlib import Path

from tqdm import tqdm

from tepones.common import paths
from tepones.common.errors import TeponesError
from tepones.common.files import write_atomically, write_sums
from tepones.common.progress import progress_bar
from tepones.companion import notebooks, render, study
from tepones.companion.kernel import Kernel
from tepones.companion.study import plan, profiles, second_order

CHAPTERS = "chapters"


def live_book(profile: str, workers: int | None = None) -> Path:
    """Compute a profile, execute every chapter on its records, and build the site into `book/_build`.

    The committed chapters stay as they are: the live ones go into a copy of the book's sources in `build/book`.
    What has not changed since the last call is neither executed nor built again.

    Parameters
    ----------
    profile : str
        Name of the profile.
    workers : int, optional
        Processes for the study.

    Returns
    -------
    Path
        The site's `index.html`.

    Raises
    ------
    TeponesError
        If this clone has no symbolic links, or a cell of the study, a notebook or the site fails.
    """
    _require_links()
    plan.compute(profiles.load(profile), workers)
    staged = paths.build() / "book"
    _copy_sources(paths.book(), staged)
    _execute_all(staged / CHAPTERS, {"profile": profile, "records": "live"})
    index = paths.book() / "_build" / "html" / "index.html"
    sources = (path for path in sorted(staged.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    state = _digest(sources)
    stamp = paths.build() / "site.stamp"
    if not index.is_file() or not _holds(stamp, state):
        stamp.unlink(missing_ok=True)
        print("building the site", file=sys.stderr, flush=True)
        render.build_site(staged, paths.book())
        write_atomically(stamp, state.encode())
    return index


def publish(profile: str) -> list[Path]:
    """Copy the live tables of a profile to `data/records`, execute the committed chapters: the files written.

    Raises `TeponesError` if the profile has not been computed here, or a notebook fails.
    """
    from tepones.companion.chapters.sweet_phase import write_readme_picture

    if profile == second_order.NAME:
        second_order.write_tables()
    else:
        computed = profiles.load(profile)
        plan.write_tables(computed)
        study.write(paths.records(profile), study.COSTS, plan.costs(computed))
    written = []
    for table in study.files(paths.records(profile)):
        written.append(paths.published_records(profile) / table.name)
        write_atomically(written[-1], table.read_bytes())
    for old in set(study.files(paths.published_records(profile))) - set(written):
        old.unlink()
    written.append(write_sums(written))
    return [*written, *execute_chapters(), write_readme_picture()]


def execute_chapters() -> list[Path]:
    """Execute the committed chapters anew from the published records: those whose result would differ.

    Returns
    -------
    list of Path
        All of them.

    Raises
    ------
    TeponesError
        If a notebook fails.
    """
    return _execute_all(paths.book() / CHAPTERS, {})


def _require_links() -> None:
    """Refuse a clone in which git wrote the two links of `book/` as files that hold where they point to."""
    links = [paths.book() / name for name in ("_config.yml", "_toc.yml")]
    if any(link.read_text(encoding="utf-8").strip() == f"../{link.name}" for link in links):
        raise TeponesError(
            "book/_config.yml and book/_toc.yml must be symbolic links: "
            "`git config core.symlinks true`, then `git checkout book/_config.yml book/_toc.yml`"
        )


def _execute_all(folder: Path, parameters: dict[str, object]) -> list[Path]:
    """Execute every notebook whose result would differ from the one in the folder, several at a time."""
    stamps = paths.build() / "stamps" / folder.parent.name
    outputs, waiting = [], deque()
    for name in notebooks.names():
        # A chapter about one profile, which it names itself, shows the published records always.
        given = parameters if "profile" in notebooks.defaults(name) else {}
        inputs = _digest([paths.notebooks() / f"{name}.md", *_inputs(given.get("profile"))]) + repr(given)
        output, stamp = folder / f"{name}.ipynb", stamps / name
        outputs.append(output)
        if not output.is_file() or not _holds(stamp, inputs + _digest([output])):
            waiting.append((name, given, output, stamp, inputs))
    n_kernels = min(os.cpu_count() or 1, len(waiting))
    with ExitStack() as stack:
        bar = stack.enter_context(progress_bar(len(waiting), "chapters", "notebooks"))
        # A kernel for each core, which runs several chapters; the threads only wait for them. After a failure nothing
        # more is begun, the kernels end, and then the threads.
        pool = stack.enter_context(ThreadPoolExecutor(n_kernels or 1))
        kernels = [stack.enter_context(Kernel()) for _ in range(n_kernels)]
        stack.callback(waiting.clear)
        for finished in as_completed([pool.submit(_execute, waiting, kernel, bar) for kernel in kernels]):
            finished.result()
    return outputs


def _execute(waiting: deque[tuple[str, dict[str, object], Path, Path, str]], kernel: Kernel, bar: tqdm) -> None:
    """Execute one chapter after the other in a kernel, until none is waiting."""
    while True:
        try:
            name, given, output, stamp, inputs = waiting.popleft()
        except IndexError:
            return
        notebooks.execute(name, given, output, kernel)
        write_atomically(stamp, (inputs + _digest([output])).encode())
        bar.update()


def _inputs(live_profile: str | None) -> Iterator[Path]:
    """What a chapter may read: code, repository's address, references, committed data, its profile's live tables."""
    yield paths.root() / "_config.yml"
    yield paths.book() / "references.bib"
    yield from sorted((paths.root() / "src").rglob("*.py"))
    yield from (path for path in sorted(paths.data().rglob("*")) if path.is_file())
    if live_profile:
        yield from study.files(paths.records(live_profile))


def _copy_sources(source: Path, target: Path) -> None:
    """Copy the book's sources, links followed; a file that has not changed keeps its time, so Sphinx skips it."""
    made = {"_build", "conf.py", CHAPTERS}
    for path in sorted(source.rglob("*")):
        inside = path.relative_to(source)
        if inside.parts[0] in made or "__pycache__" in inside.parts or not path.is_file():
            continue
        copy = target / inside
        if not copy.is_file() or copy.read_bytes() != path.read_bytes():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


def _digest(files) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _holds(stamp: Path, text: str) -> bool:
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == text
