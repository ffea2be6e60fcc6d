"""The explorer: controls that score stored features, or a reader's own, again at every change; it needs a kernel.

Only core widgets of ipywidgets 7 and 8 are used, which Jupyter, Binder and Colab have.
"""

import tempfile
import time
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np
import pandas as pd

from tepones.common.errors import TeponesError, shown
from tepones.companion import figures
from tepones.companion.chapters import explorer as chapter
from tepones.companion.study import ablations, rung_features
from tepones.ranking import read_features
from tepones.scores.inputs import sound

Arrays = Mapping[str, np.ndarray]

#: The shrinkage that a score chooses itself.
FROM_DATA = "from the data"

_NAMED = {"style": {"description_width": "initial"}}


class Explorer(widgets.VBox):
    """The controls, and below them what they choose: the ranking of a ladder's rungs, and its chart.

    What becomes of a file that cannot be read or scored is told in a line; the rest goes on.

    Attributes
    ----------
    target, method, score, per_class, shrinkage, files : Widget
        The controls.
    told, ranking : HTML
        How well the ranking agrees with the truth, and a line for each file with which something is wrong; the table of
        `tepones.companion.chapters.explorer.ranked`.
    """

    def __init__(self):
        first = chapter.FIRST
        self.target = _menu("target", rung_features.TARGETS, first["target"])
        self.method = _menu("method", rung_features.METHODS, first["method"])
        self.score = _menu("score", rung_features.SCORES, first["score"])
        self.per_class = widgets.IntSlider(
            first["per_class"],
            rung_features.LEAST,
            rung_features.MOST,
            description=chapter.LABELS["per_class"],
            **_NAMED,
        )
        intensities = (FROM_DATA, *(f"{level:g}" for level in ablations.INTENSITIES))
        self.shrinkage = widgets.Dropdown(options=intensities, description="shrinkage", **_NAMED)
        self.files = widgets.FileUpload(accept=".npz", multiple=True, description="your .npz")
        self.told, self.ranking = widgets.HTML(), widgets.HTML()
        self._chart = widgets.Output(layout=widgets.Layout(flex="1 1 640px"))
        self._truth = rung_features.truth()
        self._own: dict[str, Arrays] = {}
        self._unread: list[str] = []
        controls = [self.target, self.method, self.score, self.per_class, self.shrinkage, self.files]
        wrapped = widgets.Layout(display="flex", flex_flow="row wrap", grid_gap="0 24px")
        above, below = (widgets.Box(row, layout=wrapped) for row in (controls, [self.ranking, self._chart]))
        super().__init__([above, self.told, below])
        for control in controls[:-1]:
            control.observe(self._update, "value")
        self.files.observe(self._read, "value")
        self._update()

    def _read(self, change: object) -> None:
        self._own, self._unread = {}, []
        for name, content in _uploaded(self.files.value):
            try:
                self._own[name] = read(content)
            except TeponesError as error:
                self._unread.append(f"{name}: {error}")
        self._update()

    def _update(self, change: object = None) -> None:
        started = time.perf_counter()
        self.shrinkage.disabled = self.score.value not in rung_features.SHRUNK
        chosen = FROM_DATA if self.shrinkage.disabled else self.shrinkage.value
        intensity = None if chosen == FROM_DATA else float(chosen)
        choice = {name: getattr(self, name).value for name in rung_features.CHOICE}
        frame, lines = compute(choice, intensity, self._truth, self._own)
        (agreement,) = rung_features.agreement(frame, rung_features.CHOICE).to_dict("records")
        drawn = {"text/html": figures.html(chapter.live_chart(frame), "explorer-live")}
        tau = "–" if np.isnan(agreement["tau"]) else f"{agreement['tau']:.2f}"
        told = f"weighted τ {tau}, regret {agreement['regret']:.1f} points"
        seconds = time.perf_counter() - started
        self.told.value = "\n".join(
            [
                f'<p role="status">{told}; computed in {seconds:.2f} s</p>',
                *(f'<p role="alert">{escape(shown(line))}</p>' for line in [*self._unread, *lines]),
            ]
        )
        self.ranking.value = _table(chapter.ranked(frame))
        # Set, not captured: in place of the old chart without a flicker, and also where no front end listens.
        self._chart.outputs = ({"output_type": "display_data", "data": drawn, "metadata": {}},)


def compute(
    choice: Mapping[str, Any], intensity: float | None, truth: pd.DataFrame, own: Mapping[str, Arrays]
) -> tuple[pd.DataFrame, list[str]]:
    """Score the rungs of a ladder on some images of a target, and what a reader has brought on as many of each class.

    Parameters
    ----------
    choice : mapping
        The keys of `tepones.companion.study.rung_features.CHOICE`.
    intensity : float or None
        See `tepones.companion.study.rung_features.scored`.
    truth : DataFrame
        As `tepones.companion.study.rung_features.truth` returns it.
    own : mapping of str to mapping
        Names and ``features`` and ``labels``, as `read` returns them.

    Returns
    -------
    frame : DataFrame
        The columns of `chapters.explorer.stored`, a row for each rung and then for each own.
    lines : list of str
        Which of the own could not be scored and why, and which are of other images, so that their place says nothing.
    """
    name, per_class = choice["score"], choice["per_class"]

    def scored(features: np.ndarray, codes: np.ndarray) -> dict[str, float]:
        rows = rung_features.chosen(codes, per_class)
        return rung_features.scored(features[rows], codes[rows], name, intensity)

    codes, rungs = rung_features.load(choice["target"], choice["method"])
    known = truth[(truth["target"] == choice["target"]) & (truth["method"] == choice["method"])]
    rows = [
        {"name": chapter.rung_name(sparsity), **scored(features, codes), "accuracy": accuracy}
        for features, sparsity, accuracy in zip(rungs, known["sparsity"], known["accuracy"], strict=True)
    ]
    lines = []
    for file, arrays in own.items():
        try:
            given = sound(**arrays)
            rows.append({"name": shown(file), **scored(given.features, given.codes), "accuracy": np.nan})
        except TeponesError as error:
            lines.append(f"{file}: left out: {error}")
            continue
        if not np.array_equal(given.codes, codes):
            lines.append(
                f"{file}: its labels are not those of the images of {choice['target']}; a score compares backbones on "
                "the same images only"
            )
    return pd.DataFrame(rows).assign(**choice), lines


def read(content: bytes) -> Arrays:
    """The ``features`` and ``labels`` of a ``.npz`` file, given by its bytes; nothing pickled in it is read.

    Raises
    ------
    TeponesError
        What `tepones.ranking.read_features` raises, without the name of a file.
    """
    with tempfile.TemporaryDirectory(prefix="tepones-") as folder:
        path = Path(folder, "uploaded.npz")
        path.write_bytes(content)
        try:
            arrays = read_features(path)
        except TeponesError as error:
            raise TeponesError(str(error).removeprefix(f"{path}: ")) from None
    return {name: arrays[name] for name in ("features", "labels")}


def _menu(name: str, options: tuple[str, ...], first: str) -> widgets.Dropdown:
    return widgets.Dropdown(options=options, value=first, description=chapter.LABELS[name], **_NAMED)


def _uploaded(value: Any) -> Iterator[tuple[str, bytes]]:
    """Names and contents of files: a tuple in ipywidgets 8, a dictionary by name in 7, which Colab has."""
    files = value if isinstance(value, tuple) else [{"name": name, **file} for name, file in value.items()]
    for file in files:
        yield file["name"], bytes(file["content"])


def _table(ranked: pd.DataFrame) -> str:
    formats = dict.fromkeys(("score", chapter.ON_SHUFFLED), "{:#.4g}") | {"accuracy": "{:.1%}"}
    cells = ranked.astype(object).apply(
        lambda column: column.map(formats.get(column.name, "{}").format, na_action="ignore").fillna("–")
    )
    # The classes by which JupyterLab and the classic notebook know tables.
    return f'<div class="jp-RenderedHTMLCommon rendered_html">{cells.to_html(index=False, border=0)}</div>'
