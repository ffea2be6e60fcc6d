"""A checkout with one small chapter, executed and built once for all tests of this folder."""

import shutil
from pathlib import Path

import pytest

from tepones.common import paths
from tepones.common.files import write_sums
from tepones.companion import notebooks, render, study
from tepones.companion.kernel import Kernel

ROOT = Path(__file__).resolve().parents[2]

HEADER = """\
---
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

"""

SMALL = (
    HEADER.replace("python3\n---", "python3\nrecords: [tiny]\n---")
    + """\
# Small

```{code-cell} python3
:tags: [parameters, remove-cell]
interpreter = ""
rungs = 4
rate = 0.5
flag = False
label = "a # b"
seeds = [0, 1]
nothing = None
```

```{code-cell} python3
:tags: [hide-input]
import sys

import ipywidgets
import pandas as pd
from tqdm.auto import tqdm

from tepones.companion import charts
from tepones.companion.chapters import sweet_phase

if interpreter:
    assert sys.executable == interpreter
print("before")
for _ in tqdm(range(3)):
    print(set("abcdefgh"))
display(ipywidgets.IntSlider())
frame = pd.DataFrame(
    [(f"m-{s}", "m", k, 1 - 0.5**k, "digits", 0.9 + 0.01 * k) for s in seeds for k in range(rungs)],
    columns=["ladder", "method", "rung", "sparsity", "target", "accuracy"],
)
```

```{code-cell} python3
:tags: [hide-input]
charts.show(sweet_phase.accuracy_chart(frame), "fig-small", alt="Accuracy rises with sparsity on the digits.")
charts.table(frame.head(2), "tab-small", formats={"sparsity": ".1%"})
charts.inline(frame["accuracy"].max(), "best")
```

The best is {glue:text}`best:.2f`; see {numref}`fig-small` and {numref}`tab-small`, {cite:p}`ledoit2004well`,
and

$$I(Z; Z') \\le \\log C.$$

```{glue:figure} fig-small
:name: fig-small

Accuracy against sparsity.
```

:::{table} The first rungs.
:name: tab-small

```{glue:md} tab-small
:format: myst
```
:::
"""
)

TOC = """\
format: jb-book
root: index
parts:
  - caption: One
    numbered: true
    chapters:
      - file: chapters/small
  - caption: Reference
    chapters:
      - file: reference/transfer
      - file: bibliography
"""


@pytest.fixture(scope="session")
def small_root(tmp_path_factory):
    """A checkout whose only notebook is *Small*, with this project's own configuration and extension."""
    root = tmp_path_factory.mktemp("checkout")
    (root / "notebooks").mkdir()
    (root / "notebooks" / "small.md").write_text(SMALL, encoding="utf-8")
    (root / "_toc.yml").write_text(TOC, encoding="utf-8")
    shutil.copy(ROOT / "_config.yml", root)
    ignore = shutil.ignore_patterns("_build", "chapters", "_toc.yml", "index.md")
    shutil.copytree(ROOT / "book", root / "book", ignore=ignore)
    long = "| row |\n| --- |\n" + "".join(f"| {row} |\n" for row in range(20))
    (root / "book" / "index.md").write_text(f"# A book of one chapter\n\n{long}", encoding="utf-8")
    shutil.copytree(ROOT / "data" / "records" / "tiny", root / "data" / "records" / "tiny")
    (root / "book" / "_toc.yml").write_text(TOC, encoding="utf-8")
    return root


@pytest.fixture
def small(small_root, monkeypatch):
    """Work in the checkout of `small_root`."""
    monkeypatch.setenv("TEPONES_ROOT", str(small_root))
    return small_root


@pytest.fixture
def write_notebook(small):
    """Write one more notebook, gone after the test."""
    written = []

    def write(name, *cells):
        path = small / "notebooks" / f"{name}.md"
        body = "\n".join(f"```{{code-cell}} python3\n{cell}\n```\n" for cell in cells)
        path.write_text(f"{HEADER}# {name}\n\n{body}", encoding="utf-8")
        written.append(path)
        return name

    yield write
    for path in written:
        path.unlink()


@pytest.fixture(scope="session")
def kernel():
    """One kernel for all notebooks of a process that are not about kernels."""
    with Kernel() as one:
        yield one


@pytest.fixture(scope="session")
def executed(small_root, kernel):
    """The executed copy of *Small*."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEPONES_ROOT", str(small_root))
        return notebooks.execute("small", {}, small_root / "book" / "chapters" / "small.ipynb", kernel)


@pytest.fixture(scope="session")
def pages(small_root, executed):
    """The built site of *Small*, rendered from a source folder elsewhere than its output: page -> HTML."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEPONES_ROOT", str(small_root))
        index = render.build_site(small_root / "book", small_root / "elsewhere")
    assert index == small_root / "elsewhere" / "_build" / "html" / "index.html"
    found = [p for p in index.parent.rglob("*.html") if "_static" not in p.parts]
    return {p: p.read_text(encoding="utf-8") for p in found}


@pytest.fixture
def published_tiny(tiny_checkout, checkout):
    """A checkout whose published records of the tiny profile are those of `tiny_checkout`: their folder."""
    folder = paths.published_records("tiny")
    for old in study.files(folder):
        old.unlink()
    for table in study.files(tiny_checkout / "build" / "records" / "tiny"):
        shutil.copy(table, folder)
    write_sums(study.files(folder))
    return folder
