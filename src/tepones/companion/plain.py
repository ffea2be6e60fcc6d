"""Chapters that can be read where there is no Sphinx: JupyterLab, Binder, Colab, and whatever shows notebooks.

There a Markdown cell is plain Markdown. So an executed chapter holds its text twice: the MyST that the book is made
from in the cell's metadata, and as the cell's source the same with its values, citations and numbers put in. `restore`
puts the MyST back, for Sphinx.
"""

import re
from collections.abc import Callable
from functools import partial

import nbformat
from myst_nb.core.variables import format_plain_text
from pybtex.database import BibliographyData, Entry, parse_file

from tepones.common import paths
from tepones.common.errors import TeponesError

#: Where a cell or an output keeps its MyST.
KEPT = "myst"

#: What stands above the parameters in a notebook session: its text is not made anew.
NOTE = (
    "*Run again with other parameters, the cells show what they find then; the sentences keep the numbers of the run "
    "that wrote this notebook.*"
)

_RECORD = "application/papermill.record/"
_DIRECTIVE = re.compile(
    r"^(?P<fence>`{3,}|:{3,})\{(?P<name>[\w:-]+)\} *(?P<argument>.*)\n(?P<options>(?::[\w-]+:.*\n)*)"
    r"(?P<body>(?:.*\n)*?)(?P=fence) *$",
    re.MULTILINE,
)
_ROLE = re.compile(r"(?P<space> ?)\{(?P<name>[\w:-]+)\}`(?P<text>[^`]+)`")
_LABEL = re.compile(r"^\((?P<label>[\w-]+)\)=\n(?=#+ +(?P<title>.*)$)", re.MULTILINE)
_LINK = re.compile(r"\[(?P<words>[^\]]*)\]\((?P<target>[^)\s]*)\)")
_ADMONITIONS = ("admonition", "dropdown", "note", "tip", "hint", "important", "warning", "caution", "seealso")


def write(notebook: nbformat.NotebookNode) -> None:
    """Make the text of an executed notebook plain, and keep its MyST.

    Raises
    ------
    TeponesError
        If the text glues, cites or refers to what is not there, or uses a role or directive without a plain form.
    """
    cells = notebook.cells
    chapter = _Chapter([cell.source for cell in cells if cell.cell_type == "markdown"], _glued(cells))
    for cell, following in zip(cells, [*cells[1:], None], strict=True):
        if cell.cell_type == "markdown":
            plain = chapter.plain(cell.source)
            if following is not None and "parameters" in following.metadata.get("tags", []):
                plain += f"\n\n{NOTE}"
            if plain != cell.source:
                cell.metadata[KEPT], cell["source"] = cell.source, plain
        for output in cell.get("outputs", []):
            source = output.get("data", {}).get("text/markdown", "")
            plain = chapter.plain(source)
            if plain != source:
                output.metadata[KEPT], output.data["text/markdown"] = source, plain


def restore(notebook: nbformat.NotebookNode) -> None:
    """Put the MyST of a notebook that was made plain back into its place."""
    for cell in notebook.cells:
        if KEPT in cell.metadata:
            cell["source"] = cell.metadata.pop(KEPT)
        for output in cell.get("outputs", []):
            if KEPT in output.get("metadata", {}):
                output.data["text/markdown"] = output.metadata.pop(KEPT)


class _Chapter:
    """What the text of one chapter refers to: glued values, numbers of figures and tables, headings, references."""

    def __init__(self, sources: list[str], glued: dict[str, dict[str, str]]):
        self._glued = glued
        self._numbers, self._titles = {}, {}
        self._references: BibliographyData | None = None
        kinds = {"glue:figure": "Figure", "table": "Table"}
        for source in sources:
            self._titles |= {found["label"]: found["title"] for found in _LABEL.finditer(source)}
            for found in _DIRECTIVE.finditer(source):
                name = re.search(r"^:name: *(\S+)", found["options"], re.MULTILINE)
                if found["name"] in kinds and name:
                    kind = kinds[found["name"]]
                    number = 1 + sum(other.startswith(kind) for other in self._numbers.values())
                    self._numbers[name[1]] = f"{kind} {number}"

    def plain(self, source: str) -> str:
        """Plain Markdown of some MyST."""
        pieces, start = [], 0
        for found in _DIRECTIVE.finditer(source):
            pieces += [self._inline(source[start : found.start()]), self._directive(found)]
            start = found.end()
        return "".join([*pieces, self._inline(source[start:])])

    def _directive(self, found: re.Match) -> str:
        name, argument, body = found["name"], found["argument"], found["body"].strip("\n")
        options = dict(re.findall(r"^:([\w-]+): *(.*)$", found["options"], re.MULTILINE))
        if name == "glue:figure":
            return self._caption(options, body)
        if name == "table":
            # The cell above shows the table itself.
            return self._caption(options, argument)
        if name == "glue:md":
            return self.plain(self._value(argument, "text/markdown"))
        if name == "math":
            return f"$$\n{body}\n$$"
        if name in _ADMONITIONS:
            title = self._inline(argument) or name.capitalize()
            return "\n".join(f"> {line}".rstrip() for line in [f"**{title}**", "", *self.plain(body).split("\n")])
        raise TeponesError(f"the directive {name!r} has no form for readers without Sphinx: see `plain.py`")

    def _caption(self, options: dict[str, str], words: str) -> str:
        return f"**{self._number(options.get('name', ''))}.** {self._inline(words)}"

    def _inline(self, source: str) -> str:
        source = _LABEL.sub("", source)
        source = _LINK.sub(self._link, source)
        return _ROLE.sub(self._role, source)

    def _role(self, found: re.Match) -> str:
        name, text = found["name"], found["text"]
        forms: dict[str, Callable[[str], str]] = {
            "glue:text": self._text,
            "glue:md": partial(self._value, kind="text/markdown"),
            "cite": self._in_brackets,
            "cite:p": self._in_brackets,
            "cite:t": self._in_a_sentence,
            "numref": self._number,
            "term": lambda text: re.sub(r" *<.*>$", "", text),
            "math": lambda text: f"${text}$",
        }
        if name not in forms:
            raise TeponesError(f"the role {name!r} has no form for readers without Sphinx: see `plain.py`")
        written = forms[name](text)
        # A guard behind which nothing stands leaves no gap.
        return written and found["space"] + written

    def _link(self, found: re.Match) -> str:
        words, target = found["words"], found["target"]
        if target.startswith("#") and target[1:] in self._titles:
            title = self._titles[target[1:]]
            return f"[{words or title}](#{title.replace(' ', '-')})"
        folder = paths.book() / "chapters"
        if (paths.notebooks() / f"{target}.md").is_file():
            target += ".ipynb"
        elif target and (folder / f"{target}.md").is_file():
            target += ".md"
        return f"[{words}]({target})"

    def _text(self, text: str) -> str:
        key, _, form = text.partition(":")
        return format_plain_text(self._value(key, "text/plain"), form or "s")

    def _value(self, key: str, kind: str) -> str:
        if kind not in self._glued.get(key, {}):
            raise TeponesError(f"the text places {key!r}, which no cell has glued")
        return self._glued[key][kind]

    def _number(self, name: str) -> str:
        if name not in self._numbers:
            raise TeponesError(f"the text refers to {name!r}, but no figure or table of the chapter has this name")
        return self._numbers[name]

    def _in_brackets(self, text: str) -> str:
        cited = [(*_author_and_year(entry), _address(entry)) for entry in map(self._entry, text.split(","))]
        return f"({'; '.join(_linked(f'{author}, {year}', address) for author, year, address in cited)})"

    def _in_a_sentence(self, text: str) -> str:
        cited = [(*_author_and_year(entry), _address(entry)) for entry in map(self._entry, text.split(","))]
        return ", ".join(f"{author} ({_linked(year, address)})" for author, year, address in cited)

    def _entry(self, key: str) -> Entry:
        self._references = self._references or parse_file(str(paths.book() / "references.bib"))
        if key.strip() not in self._references.entries:
            raise TeponesError(f"the text cites {key.strip()!r}, which is not in book/references.bib")
        return self._references.entries[key.strip()]


def _glued(cells: list[nbformat.NotebookNode]) -> dict[str, dict[str, str]]:
    """What the cells have glued, by key and mime type."""
    return {
        output.metadata["scrapbook"]["name"]: {kind.removeprefix(_RECORD): data for kind, data in output.data.items()}
        for cell in cells
        for output in cell.get("outputs", [])
        if "scrapbook" in output.get("metadata", {})
    }


def _author_and_year(entry: Entry) -> tuple[str, str]:
    names = [" ".join(map(str, person.rich_last_names)) for person in entry.persons["author"]]
    author = f"{names[0]} et al." if len(names) > 2 else " and ".join(names)
    return author, entry.fields["year"]


def _address(entry: Entry) -> str:
    """Where the entry can be read: its DOI, else arXiv; nothing where it names neither."""
    if "doi" in entry.fields:
        return f"https://doi.org/{entry.fields['doi']}"
    preprint = entry.fields.get("eprint")
    return f"https://arxiv.org/abs/{preprint}" if preprint else entry.fields.get("url", "")


def _linked(words: str, address: str) -> str:
    return f"[{words}]({address})" if address else words
