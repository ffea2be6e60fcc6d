"""Text of an executed chapter for readers without Sphinx, and the way back to its MyST."""

import copy

import nbformat
import pytest

from tepones.common.errors import TeponesError
from tepones.companion import plain

RECORD = "application/papermill.record/"


def glued(name, kind, data, display=False):
    shown = {kind if display else RECORD + kind: data}
    return nbformat.v4.new_output("display_data", data=shown, metadata={"scrapbook": {"name": name}})


def notebook(*texts, outputs=()):
    cells = [nbformat.v4.new_code_cell("", outputs=list(outputs))]
    return nbformat.v4.new_notebook(cells=[*cells, *(nbformat.v4.new_markdown_cell(text) for text in texts)])


def plain_of(*texts, outputs=()):
    """The plain form of texts, the last one's if there are several; that MyST comes back is checked by the way."""
    made = notebook(*texts, outputs=outputs)
    before = copy.deepcopy(made)
    plain.write(made)
    source = made.cells[-1].source
    plain.restore(made)
    assert made == before
    return source


VALUES = [
    glued("share", "text/plain", "0.123456"),
    glued("word", "text/plain", "'h_score'"),
    glued("count", "text/plain", "7"),
    glued("holds", "text/markdown", ""),
    glued("fails", "text/markdown", "*(On these records it is otherwise.)*"),
    glued("tab", "text/markdown", "| a |\n| - |\n| b |", display=True),
]

FIGURE = "```{glue:figure} fig\n:name: fig-one\n\nIt *rises* to {glue:text}`share:.1%`.\n```\n"
TABLE = ":::{table} All {glue:text}`count`.\n:name: tab-one\n\n```{glue:md} tab\n:format: myst\n```\n:::\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It is {glue:text}`share:.2f`, {glue:text}`word` of {glue:text}`count`.", "It is 0.12, h_score of 7."),
        ("So it is. {glue:md}`holds`", "So it is."),
        ("So, {glue:md}`holds` it is. {glue:md}`fails`", "So, it is. *(On these records it is otherwise.)*"),
        ("See {cite:p}`iofinova2022sparse`.", "See ([Iofinova et al., 2022](https://arxiv.org/abs/2111.13445))."),
        (
            "{cite}`spadaro2023entropi,iofinova2022sparse`",
            "([Spadaro et al., 2023](https://doi.org/10.1109/ICCVW60793.2023.00165); "
            "[Iofinova et al., 2022](https://arxiv.org/abs/2111.13445))",
        ),
        ("{cite:t}`iofinova2022sparse` show", "Iofinova et al. ([2022](https://arxiv.org/abs/2111.13445)) show"),
        ("a {term}`rung`, {term}`rungs <rung>`, {math}`x^2`", "a rung, rungs, $x^2$"),
        ("[ranks](ranking) and [more](../unknown)", "[ranks](ranking.ipynb) and [more](../unknown.md)"),
        *[(text, text) for text in ("[site](https://example.org) `x` $y$", "```python\nz\n```", "> **Note**")],
        (f"{FIGURE}\nText.", "**Figure 1.** It *rises* to 12.3%.\n\nText."),
        (f"{TABLE}\nText.", "**Table 1.** All 7.\n\nText."),
        ("```{glue:md} tab\n:format: myst\n```", "| a |\n| - |\n| b |"),
        (
            ":::{admonition} What {glue:text}`word` is\n:class: important\n\nOne.\n\nTwo.\n:::",
            "> **What h_score is**\n>\n> One.\n>\n> Two.",
        ),
        ("```{note}\nMind {glue:text}`count`.\n```", "> **Note**\n>\n> Mind 7."),
        ("```{math}\n:label: e\nx = y\n```", "$$\nx = y\n$$"),
    ],
)
def test_each_role_and_directive_has_a_plain_form(text, expected):
    assert plain_of(text, outputs=VALUES) == expected


def test_figures_and_tables_are_numbered_through_the_chapter_wherever_the_text_speaks_of_them():
    other = FIGURE.replace("fig-one", "fig-two")
    before = "As {numref}`fig-two` and {numref}`tab-one` show."
    assert plain_of(FIGURE + TABLE, other, before, outputs=VALUES) == "As Figure 2 and Table 1 show."


def test_labels_are_gone_and_links_lead_to_the_headings_behind_them():
    text = "(how-many)=\n## How many\n\nAs [](#how-many) and [below](#how-many) say."
    assert plain_of(text) == "## How many\n\nAs [How many](#How-many) and [below](#How-many) say."


def test_outputs_become_plain_too():
    made = notebook(outputs=[glued("tab", "text/markdown", "| {cite:p}`iofinova2022sparse` |", display=True)])
    plain.write(made)
    assert (
        made.cells[0].outputs[0].data["text/markdown"]
        == "| ([Iofinova et al., 2022](https://arxiv.org/abs/2111.13445)) |"
    )
    plain.restore(made)
    assert made.cells[0].outputs[0].data["text/markdown"] == "| {cite:p}`iofinova2022sparse` |"


def test_above_the_parameters_it_is_said_that_the_text_stays():
    made = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell("# Title"),
            nbformat.v4.new_code_cell("n = 1", metadata={"tags": ["parameters"]}),
            nbformat.v4.new_markdown_cell("Text."),
        ]
    )
    plain.write(made)
    assert [cell.source for cell in made.cells] == [f"# Title\n\n{plain.NOTE}", "n = 1", "Text."]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{glue:text}`nothing`", "the text places 'nothing', which no cell has glued"),
        ("{glue:text}`tab`", "the text places 'tab', which no cell has glued"),
        ("{cite:p}`nobody1900`", "the text cites 'nobody1900', which is not in book/references.bib"),
        ("{numref}`fig-none`", "the text refers to 'fig-none', but no figure or table of the chapter has this name"),
        ("{kbd}`x`", "the role 'kbd' has no form for readers without Sphinx"),
        ("```{mermaid}\nx\n```", "the directive 'mermaid' has no form for readers without Sphinx"),
    ],
)
def test_what_cannot_be_made_plain_is_told_in_one_line(text, line):
    with pytest.raises(TeponesError) as error:
        plain.write(notebook(text, outputs=VALUES))
    assert str(error.value).startswith(line) and "\n" not in str(error.value)
