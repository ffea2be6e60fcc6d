"""From the book's source folder to the site."""

import os
import subprocess
import sys
from pathlib import Path

from tepones.common import paths
from tepones.common.errors import TeponesError


def build_site(source: Path, output: Path) -> Path:
    """Render a book; every warning is an error, and all are collected before it fails.

    Parameters
    ----------
    source : Path
        Folder with `_config.yml`, `_toc.yml` and the pages: `book/`, or a copy of it with other chapters.
    output : Path
        Folder that gets `_build/html`.

    Returns
    -------
    Path
        The site's `index.html`.

    Raises
    ------
    TeponesError
        If the build fails; the message has the first warnings, the whole log is in `build/logs/site.log`.
    """
    # A child process, because Sphinx changes global state and may build only one book well in one.
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", str(source)]
    # All pages, because a page kept from an earlier build keeps the labels that the bibliography had then.
    command += ["--path-output", str(output), "-W", "-n", "--keep-going", "--all"]
    run = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, "NO_COLOR": "1", "PYTHONUTF8": "1"},
    )
    index = Path(output) / "_build" / "html" / "index.html"
    if run.returncode or not index.is_file():
        log = paths.build() / "logs" / "site.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(run.stdout, encoding="utf-8")
        raise TeponesError(f"the site does not build: {_reasons(run.stdout)} (whole log: {log})")
    return index


def _reasons(log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    telling = [line for line in lines if "WARNING" in line or "ERROR" in line or "rror:" in line]
    return "; ".join(dict.fromkeys((telling or lines[-5:])[:5]))
