"""From a text notebook to an executed chapter, and what can go wrong on the way."""

import json
import re
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest

from tepones.common import paths
from tepones.common.errors import TeponesError, UsageError
from tepones.companion import figures, notebooks, plain
from tepones.companion.kernel import Kernel

ROOT = Path(__file__).resolve().parents[2]

CHAPTERS = sorted((ROOT / "book" / "chapters").glob("*.ipynb"))


def test_a_second_run_gives_the_same_bytes_with_the_current_interpreter(small, executed, tmp_path, monkeypatch):
    """Whatever kernel named python3 the user has registered."""
    spec = tmp_path / "jupyter" / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps({"argv": ["/nowhere/python"], "display_name": "trap", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    with Kernel() as own:
        again = notebooks.execute("small", {}, tmp_path / "again.ipynb", own)
        assert again.read_bytes() == executed.read_bytes()
        notebooks.execute("small", {"interpreter": sys.executable}, again, own)
    assert again.read_bytes() != executed.read_bytes()
    notebooks.check("small", again)


def test_what_differs_between_machines_is_gone(executed):
    text = executed.read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)
    streams = [o for c in notebook.cells for o in c.get("outputs", []) if o.output_type == "stream"]
    assert [o.name for o in streams] == ["stdout"]
    assert streams[0].text.startswith("before\n{")
    for trace in ("widget-view", "duration", "jupytext", sys.executable):
        assert trace not in text
    assert "version" not in notebook.metadata.language_info
    assert [c.id for c in notebook.cells][:2] == ["small-000", "small-001"]


def test_glued_output_is_shown_once_and_folded_code_is_folded_in_jupyter_too(executed):
    cells = nbformat.read(executed, as_version=4).cells
    assert "remove-output" in cells[4].metadata.tags
    assert cells[3].metadata.tags == ["hide-input"] and cells[3].metadata.jupyter.source_hidden
    assert "jupyter" not in cells[2].metadata


def test_where_there_is_no_sphinx_the_text_has_its_values_numbers_and_captions(executed):
    cells = nbformat.read(executed, as_version=4).cells
    assert cells[1].source == f"# Small\n\n{plain.NOTE}"
    first, *others = cells[5].source.split("\n\n")
    assert first.startswith("The best is 0.93; see Figure 1 and Table 1, (")
    assert "Ledoit and Wolf, 2004" in first and first.endswith(",\nand")
    assert others == [
        "$$I(Z; Z') \\le \\log C.$$",
        "**Figure 1.** Accuracy against sparsity.",
        "**Table 1.** The first rungs.",
    ]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_no_chapter_shows_a_role_or_a_directive_where_there_is_no_sphinx(path):
    cells = nbformat.read(path, as_version=4).cells
    texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
    texts += [
        o.data["text/markdown"] for c in cells for o in c.get("outputs", []) if "text/markdown" in o.get("data", {})
    ]
    for text in texts:
        assert not re.search(r"\{[\w:-]+\}`|^(```+|:::+)\s*\{|^:::|^\([\w-]+\)=", text, re.MULTILINE), text
    parameters = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    assert any(plain.NOTE in text for text in texts) == bool(parameters)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_notebook_session_shows_every_figure_and_table_below_its_cell(path):
    """There the text places nothing: what the book shows by key, the cell that makes it must show."""
    cells = nbformat.read(path, as_version=4).cells
    text = "\n".join(cell.metadata.get(plain.KEPT, "") for cell in cells if cell.cell_type == "markdown")
    placed = set(re.findall(r"```\{glue:(?:figure|md)\} ([\w-]+)", text))
    shown = {
        output.metadata["scrapbook"]["name"]
        for cell in cells
        for output in cell.get("outputs", [])
        if output.get("metadata", {}).get("scrapbook") and {"text/html", "text/markdown"} & set(output.data)
    }
    assert placed and placed <= shown


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_chart_has_a_key_a_picture_and_alt_text(path):
    outputs = [o for c in nbformat.read(path, as_version=4).cells for o in c.get("outputs", [])]
    shown = [o for o in outputs if "vegaEmbed" in o.get("data", {}).get("text/html", "")]
    for output in shown:
        _, [figure] = figures.split(output.data["text/html"])
        assert figure.key == output.metadata["scrapbook"]["name"]
        assert figure.picture.startswith("<svg") and len(figure.attributes["alt"].split()) > 3


def test_unchanged_chapters_are_not_rewritten(small, executed, kernel):
    before = executed.stat()
    notebooks.execute("small", {}, executed, kernel)
    assert (executed.stat().st_mtime_ns, executed.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_parameters_are_read_with_their_types(small):
    assert notebooks.names() == ["small"]
    assert notebooks.defaults("small") == {
        "interpreter": "",
        "rungs": 4,
        "rate": 0.5,
        "flag": False,
        "label": "a # b",
        "seeds": [0, 1],
        "nothing": None,
    }
    given = ["rungs=3", "rate=1e-3", "flag=true", "label=3", "seeds=[2, 3]", "nothing=x=y"]
    assert notebooks.parse_parameters("small", given) == {
        "rungs": 3,
        "rate": 0.001,
        "flag": True,
        "label": "3",
        "seeds": [2, 3],
        "nothing": "x=y",
    }
    assert notebooks.parse_parameters("small", ["rate=2"])["rate"] == 2.0


@pytest.mark.parametrize(
    ("assignment", "line"),
    [
        ("rungs=many", "parameter 'rungs' of notebook small: expected int, got 'many'"),
        ("rungs=true", "parameter 'rungs' of notebook small: expected int, got True"),
        ("rungs=2.5", "parameter 'rungs' of notebook small: expected int, got 2.5"),
        ("rungs={", "parameter 'rungs' of notebook small: expected int, got '{'"),
        ("rate=fast", "parameter 'rate' of notebook small: expected float, got 'fast'"),
        ("flag=1", "parameter 'flag' of notebook small: expected bool, got 1"),
        ("seeds=3", "parameter 'seeds' of notebook small: expected a list of int, got 3"),
        ("seeds=[a]", "parameter 'seeds' of notebook small: expected a list of int, got ['a']"),
        ("rungs", "parameter 'rungs': expected parameter=value"),
        (
            "rung=3",
            "unknown parameter of notebook small 'rung'; "
            "choose from: flag, interpreter, label, nothing, rate, rungs, seeds",
        ),
    ],
)
def test_wrong_parameters_are_told_in_one_line(small, assignment, line):
    with pytest.raises(UsageError) as error:
        notebooks.parse_parameters("small", [assignment])
    assert str(error.value) == line


def test_wrong_use_runs_nothing(small, tmp_path):
    output = tmp_path / "out.ipynb"
    with pytest.raises(UsageError, match="unknown notebook 'smal'; choose from: small"):
        notebooks.execute("smal", {}, output)
    with pytest.raises(UsageError, match="expected str, got 3"):
        notebooks.execute("small", {"label": 3}, output)
    assert not output.exists()


def test_parameters_must_be_literals(write_notebook):
    name = write_notebook("sum", ":tags: [parameters]\nn = 1 + 1")
    with pytest.raises(TeponesError, match="notebook sum: the parameters cell may hold only lines"):
        notebooks.defaults(name)


def test_a_failing_cell_is_one_line_and_leaves_only_a_log(write_notebook, tmp_path, kernel):
    name = write_notebook("fails", "print('so far')", "raise KeyError('no such\\nrung')")
    output = tmp_path / "fails.ipynb"
    with pytest.raises(TeponesError) as error:
        notebooks.execute(name, {}, output, kernel)
    log = paths.build() / "logs" / "fails.ipynb"
    assert not isinstance(error.value, UsageError)
    assert str(error.value).startswith("notebook fails: cell 3 raised KeyError: 'no such\\nrung'")
    assert "\n" not in str(error.value)
    assert str(log) in str(error.value)
    assert "so far" in log.read_text(encoding="utf-8")
    assert not output.exists()


def test_wrong_use_within_a_cell_is_wrong_use(write_notebook, tmp_path, kernel):
    name = write_notebook("asks", "from tepones.common.errors import choose\nchoose('profile', 'huge', ['tiny'])")
    with pytest.raises(UsageError, match="notebook asks: unknown profile 'huge'; choose from: tiny"):
        notebooks.execute(name, {}, tmp_path / "asks.ipynb", kernel)


def test_what_a_kernel_logs_when_it_is_stopped_is_not_shown(write_notebook, tmp_path, kernel):
    name = write_notebook("quiet", "import logging\nassert not logging.getLogger('tornado.general').isEnabledFor(40)")
    notebooks.execute(name, {}, tmp_path / "quiet.ipynb", kernel)


def test_a_dead_kernel_is_told(write_notebook, tmp_path):
    name = write_notebook("dies", "import os\nos._exit(1)")
    with pytest.raises(TeponesError, match=r"notebook dies: .*[Kk]ernel died"):
        notebooks.execute(name, {}, tmp_path / "dies.ipynb")
    assert not (tmp_path / "dies.ipynb").exists()


def test_an_unwritable_output_is_told(write_notebook, tmp_path, kernel):
    name = write_notebook("plain", "1")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TeponesError, match=r"notebook plain: cannot write .*file"):
        notebooks.execute(name, {}, tmp_path / "file" / "plain.ipynb", kernel)


def test_a_stale_chapter_is_found(small, executed, tmp_path):
    notebooks.check("small", executed)
    stale = tmp_path / "small.ipynb"
    for change, message in [
        (lambda c: c[0].update(source="1"), "not the run of today's text \\(cell 1\\)"),
        (lambda c: c[3].update(source="1"), "not the run of today's text \\(cell 4\\)"),
        (lambda c: c.pop(), "not the run of today's text \\(cell 6\\)"),
        (lambda c: c[5].update(source="The best is 0.99."), "the plain text of .* is not that of its MyST"),
        (lambda c: c[2]["outputs"].append(nbformat.v4.new_output("error")), "cell 3 of .* holds an error"),
    ]:
        notebook = nbformat.read(executed, as_version=4)
        change(notebook.cells)
        nbformat.write(notebook, stale)
        with pytest.raises(TeponesError, match=message):
            notebooks.check("small", stale)
    stale.write_text("{")
    with pytest.raises(TeponesError, match="cannot read"):
        notebooks.check("small", stale)
    with pytest.raises(TeponesError, match="cannot read"):
        notebooks.check("small", tmp_path / "none.ipynb")


def test_committed_chapters_are_the_run_of_todays_text(monkeypatch):
    monkeypatch.setenv("TEPONES_ROOT", str(Path(__file__).resolve().parents[2]))
    for name in notebooks.names():
        notebooks.check(name, paths.book() / "chapters" / f"{name}.ipynb")


def test_a_chapter_names_the_profiles_whose_records_it_draws_from():
    """What stands below its page is told by them."""
    for path in (ROOT / "notebooks").glob("*.md"):
        notebook = jupytext.read(path)
        code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
        named = notebook.metadata.get("records", [])
        assert all((ROOT / "data" / "records" / profile / "provenance.csv").is_file() for profile in named), path
        if "study.load(" in code:
            assert named, path
        found = re.findall(r'^profile = "(\w+)"', code, re.MULTILINE)
        assert set(found) <= set(named), path
