"""From records to the site, on the tiny profile; and the committed chapters against today's text and records."""

import os
import shutil
import subprocess
import sys

import pytest
import yaml

from tepones.common import paths
from tepones.common.files import SUMS
from tepones.companion import notebooks, render, study
from tepones.companion.book import CHAPTERS, _digest, _inputs, execute_chapters, live_book, publish
from tepones.companion.study import plan, profiles


def book(root):
    environment = {**os.environ, "TEPONES_ROOT": str(root)}
    command = [sys.executable, "-m", "tepones", "book", "--profile", "tiny"]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def take_for_executed(names):
    """Chapters that show no live records are the committed ones, as the tests below make sure: that saves minutes."""
    live = paths.build() / "book" / CHAPTERS
    for name in names:
        copy, stamp = live / f"{name}.ipynb", paths.build() / "stamps" / "book" / name
        for folder in (copy.parent, stamp.parent):
            folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(paths.book() / CHAPTERS / copy.name, copy)
        inputs = _digest([paths.notebooks() / f"{name}.md", *_inputs(None)]) + repr({})
        stamp.write_text(inputs + _digest([copy]), encoding="utf-8")


@pytest.fixture(scope="module")
def built(tiny_checkout, tmp_path_factory):
    """A checkout whose live book was built from the records of the tiny profile, and what the command said."""
    root = tmp_path_factory.mktemp("book") / "checkout"
    shutil.copytree(tiny_checkout, root, symlinks=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEPONES_ROOT", str(root))
        take_for_executed([name for name in notebooks.names() if "profile" not in notebooks.defaults(name)])
    run = book(root)
    assert run.returncode == 0, run.stderr
    return root, run


@pytest.mark.whole
def test_the_site_exists_and_its_chapters_are_live(built):
    root, run = built
    site = root / "book" / "_build" / "html"
    assert run.stdout.strip().endswith(str(site / "index.html")) and (site / "index.html").is_file()
    for name in notebooks.names():
        assert (site / "chapters" / f"{name}.html").is_file()
    assert ">live<" in (site / "chapters" / "sweet-phase.html").read_text()


def test_published_tables_come_with_their_checksums(tiny_checkout, checkout, monkeypatch):
    shutil.copytree(tiny_checkout / "build", checkout / "build")
    monkeypatch.setattr("tepones.companion.book.execute_chapters", lambda: [])
    monkeypatch.setattr("tepones.companion.chapters.sweet_phase.write_readme_picture", lambda: checkout)
    folder = paths.published_records("tiny")
    (folder / "old.csv").write_text("a\n1\n")
    written = publish("tiny")
    assert folder / SUMS in written and not (folder / "old.csv").exists()
    named = [line.split("  ")[1] for line in (folder / SUMS).read_text().splitlines()]
    assert named == [path.name for path in study.files(folder)] and "transfer.csv" in named
    assert study.load("tiny")["transfer"].equals(study.load("tiny", "live")["transfer"])


@pytest.mark.whole
def test_the_committed_chapters_are_left_alone(built):
    root, _ = built
    for path in (paths.book() / "chapters").glob("*.ipynb"):
        assert (root / "book" / "chapters" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.whole
def test_a_second_call_does_nothing(built, monkeypatch, capsys):
    root, _ = built
    index = root / "book" / "_build" / "html" / "index.html"
    before = index.stat().st_mtime_ns
    monkeypatch.setenv("TEPONES_ROOT", str(root))
    assert live_book("tiny") == index
    assert "building the site" not in capsys.readouterr().err
    assert index.stat().st_mtime_ns == before


def test_a_changed_page_is_built(small, monkeypatch):
    """On a book of one chapter that shows no study, by a builder that takes the front page as it is."""

    def build(staged, book):
        index.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(staged / "index.md", index)

    index = small / "book" / "_build" / "html" / "index.html"
    monkeypatch.setattr(render, "build_site", build)
    monkeypatch.setattr(profiles, "load", lambda name: name)
    monkeypatch.setattr(plan, "compute", lambda *_: None)
    assert live_book("none") == index
    page = small / "book" / "index.md"
    page.write_text(page.read_text() + "\nOne sentence more.\n")
    assert "One sentence more." not in index.read_text()
    live_book("none")
    assert "One sentence more." in index.read_text()


#: Chapters that train a network as they run: the same bytes on one kind of processor only.
TRAINS = {"rank-your-own"}


@pytest.mark.whole
@pytest.mark.pinned
@pytest.mark.parametrize("name", sorted(set(notebooks.names()) - TRAINS))
def test_a_committed_chapter_is_what_its_text_gives_today(name, kernel, tmp_path):
    """The same bytes on every machine: chapters render published records and compute nothing that could differ."""
    executed = notebooks.execute(name, {}, tmp_path / f"{name}.ipynb", kernel)
    assert executed.read_bytes() == (paths.book() / CHAPTERS / f"{name}.ipynb").read_bytes()


def test_in_a_fork_the_changed_address_is_all_that_changes_the_chapters(small_root, executed, tmp_path, monkeypatch):
    root = tmp_path / "fork"
    shutil.copytree(small_root, root)
    monkeypatch.setenv("TEPONES_ROOT", str(root))
    configuration, address = root / "_config.yml", "https://github.com/some/fork"
    text = configuration.read_text(encoding="utf-8")
    ours = yaml.safe_load(text)["repository"]["url"]
    configuration.write_text(text.replace(ours, address), encoding="utf-8")
    (chapter,) = execute_chapters()
    before, after = executed.read_text(encoding="utf-8"), chapter.read_text(encoding="utf-8")
    assert after == before.replace(ours, address) != before


def test_every_chapter_is_in_the_table_of_contents():
    listed = (paths.root() / "_toc.yml").read_text()
    for name in notebooks.names():
        assert f"file: chapters/{name}\n" in listed
