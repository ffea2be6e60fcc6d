"""The explorer: what its controls compute, files that readers bring, and all of it in a real JupyterLab."""

import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import altair
import numpy as np
import pytest
import vl_convert
from playwright.sync_api import expect

import tepones
from tepones import agreement
from tepones.common.errors import TeponesError
from tepones.companion import explorer
from tepones.companion.chapters.explorer import FIRST
from tepones.companion.study import rung_features

ROOT = Path(__file__).resolve().parents[2]


def stored(**arrays):
    """Bytes of a `.npz` file."""
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def uploaded(**files):
    """The value of a `FileUpload` of ipywidgets 8, by the names of the files without their endings."""
    about = {"type": "", "last_modified": datetime(2026, 1, 1, tzinfo=UTC)}
    return tuple(
        {"name": f"{name}.npz", "size": len(content), "content": memoryview(content), **about}
        for name, content in files.items()
    )


@pytest.fixture
def shown():
    return explorer.Explorer()


@pytest.fixture(scope="module")
def truth():
    return rung_features.truth()


@pytest.fixture(scope="module")
def digits():
    """Labels of the stored images, and the features of one rung."""
    labels, rungs = rung_features.load("digits", FIRST["method"])
    return labels, rungs[1]


@pytest.mark.parametrize("name", rung_features.SCORES)
def test_values_are_those_of_tepones_on_the_chosen_images(name, truth):
    for per_class in (rung_features.LEAST, 5):
        choice = {"target": "arrows", "method": "magnitude structured", "score": name, "per_class": per_class}
        frame, lines = explorer.compute(choice, None, truth, {})
        labels, rungs = rung_features.load("arrows", "magnitude structured")
        rows = rung_features.chosen(labels, per_class)
        expected = [tepones.score(rung[rows], labels[rows], [name]).iloc[0] for rung in rungs]
        assert frame["value"].tolist() == [row["value"] for row in expected]
        assert frame["null"].tolist() == [row["null"] for row in expected]
        assert frame["accuracy"].notna().all() and lines == []


def test_every_control_changes_what_is_told(shown):
    told = {shown.ranking.value}
    for control, value in (
        ("target", "symbols"),
        ("method", "magnitude one-shot"),
        ("score", "logme"),
        ("per_class", 5),
    ):
        getattr(shown, control).value = value
        told.add(shown.ranking.value)
    shown.score.value = "gaussian"
    told.add(shown.ranking.value)
    shown.shrinkage.value = "0.5"
    told.add(shown.ranking.value)
    assert len(told) == 7
    choice = {"target": "symbols", "method": "magnitude one-shot", "score": "gaussian", "per_class": 5}
    frame, _ = explorer.compute(choice, 0.5, rung_features.truth(), {})
    tau, regret = (
        agreement.weighted_tau(frame["value"], frame["accuracy"]),
        agreement.regret(*frame[["value", "accuracy"]].T.values),
    )
    assert f"weighted τ {tau:.2f}, regret {regret:.1f} points; computed in 0." in shown.told.value


def test_shrinkage_can_be_chosen_where_the_score_has_one_and_is_kept(shown):
    shown.shrinkage.value = "0.1"
    shrunk = shown.ranking.value
    shown.score.value = "knn"
    assert shown.shrinkage.disabled
    shown.score.value = "gaussian"
    assert not shown.shrinkage.disabled and shown.ranking.value == shrunk


def test_a_chart_takes_the_place_of_the_one_before(shown):
    (first,) = shown._chart.outputs
    shown.target.value = "arrows"
    (second,) = shown._chart.outputs
    assert "78.4 %" in first["data"]["text/html"] and first != second


def test_own_features_of_the_same_images_are_ranked_without_a_remark(shown, digits):
    labels, features = digits
    shown.files.value = uploaded(mine=stored(features=features.astype(np.float16), labels=labels))
    assert "mine.npz" in shown.ranking.value and "alert" not in shown.told.value
    (chart,) = shown._chart.outputs
    assert '"mine.npz"]' in chart["data"]["text/html"] and "NaN" not in chart["data"]["text/html"]
    cells = [row.replace("</td>", "").split("<td>")[1:] for row in shown.ranking.value.split("<tr>")[2:]]
    values = {row[1].strip(): row[2].strip() for row in cells}
    assert values["mine.npz"] == values["78.4 %"], "they are the features of this rung"


def test_own_features_of_other_images_are_ranked_with_a_remark(shown):
    rng = np.random.default_rng(0)
    shown.files.value = uploaded(mine=stored(features=rng.normal(size=(40, 3)), labels=np.array(["cat", "dog"] * 20)))
    assert "mine.npz" in shown.ranking.value
    assert "mine.npz: its labels are not those of the images of digits" in shown.told.value


def test_labels_may_be_names(shown, digits):
    labels, features = digits
    names = np.array(["zero", *"abcdefghi"])[[9, *range(9)]][labels]
    shown.files.value = uploaded(mine=stored(features=features, labels=np.char.add("class ", labels.astype(str))))
    assert "alert" not in shown.told.value, "the same classes in the same order"
    shown.files.value = uploaded(mine=stored(features=features, labels=names))
    assert "its labels are not those" in shown.told.value


BAD = {
    "no npz": (b"none", "cannot be read"),
    "empty": (b"", "cannot be read"),
    "pickled": (pickle.dumps(print), "cannot be read"),
    "objects": (stored(features=np.array([print]), labels=np.arange(1)), "cannot be read"),
    "no labels": (stored(features=np.zeros((2, 2))), "array labels is missing"),
    "one class": (stored(features=np.eye(4), labels=np.zeros(4)), "labels hold 1 class; expected at least two"),
    "NaN": (stored(features=np.full((4, 2), np.nan), labels=np.arange(4)), "row 0, column 0 is nan"),
    "other lengths": (stored(features=np.eye(4), labels=np.arange(3)), "labels have shape (3,)"),
    "no table": (stored(features=np.zeros(4), labels=np.arange(4)), "features have shape (4,)"),
    "too wide": (stored(features=np.zeros((4, 40_000)), labels=np.arange(4) % 2), "would take"),
}


@pytest.mark.parametrize("content, line", BAD.values(), ids=BAD)
def test_a_bad_file_gives_one_line_and_the_explorer_goes_on(content, line, shown, digits):
    before = shown.ranking.value
    good = stored(features=digits[1], labels=digits[0])
    shown.files.value = uploaded(**{"<b>bad": content, "good": good})
    (told,) = (line for line in shown.told.value.splitlines() if "alert" in line)
    assert told.startswith('<p role="alert">&lt;b&gt;bad.npz: ') and line in told
    assert "good.npz" in shown.ranking.value and "bad.npz" not in shown.ranking.value
    shown.target.value = "arrows"
    assert "good.npz" in shown.ranking.value
    shown.target.value, shown.files.value = "digits", ()
    assert shown.ranking.value == before and "alert" not in shown.told.value


def test_what_is_wrong_with_a_file_is_told_without_the_place_where_it_was_read():
    with pytest.raises(TeponesError, match=r"^array labels is missing; expected a \.npz file"):
        explorer.read(stored(features=np.eye(2)))


def test_files_as_ipywidgets_7_gives_them():
    value = {"mine.npz": {"metadata": {"name": "mine.npz", "size": 2}, "content": b"ab"}}
    assert list(explorer._uploaded(value)) == [("mine.npz", b"ab")]
    assert list(explorer._uploaded(uploaded(mine=b"ab"))) == [("mine.npz", b"ab")]


@pytest.fixture
def lab(tmp_path):
    """The address of a JupyterLab of this interpreter, with the committed chapter and no settings of the user."""
    (tmp_path / "notebooks").mkdir()
    shutil.copy(ROOT / "book" / "chapters" / "explorer.ipynb", tmp_path / "notebooks")
    folders = ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")
    own = {name: str(tmp_path / name) for name in folders}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0"]
    command += ["--IdentityProvider.token=", f"--ServerApp.root_dir={tmp_path / 'notebooks'}"]
    command += ["--LabApp.expose_app_in_browser=True", "--LabApp.news_url=None"]
    with open(tmp_path / "log", "w") as log:
        environment = {**os.environ, **own, "TEPONES_ROOT": str(ROOT)}
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        while not (told := list((tmp_path / "JUPYTER_RUNTIME_DIR").glob("jpserver-*.json"))):
            assert server.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.2)
        yield json.loads(told[0].read_text())["url"]
    finally:
        server.terminate()
        server.wait()


#: Milliseconds: on a busy machine a kernel takes half a minute until it has imported everything.
PATIENCE = 120_000
#: Where notebooks get Vega from, and where the explorer's chart is.
CDN, CHART = "https://cdn.jsdelivr.net/npm/", ".widget-vbox svg.marks"


@pytest.mark.browser
def test_the_explorer_in_jupyterlab(lab, browser, tmp_path, digits):
    page = browser.new_page(viewport={"width": 1440, "height": 1400})
    page.set_default_timeout(PATIENCE)
    vega = vl_convert.javascript_bundle(vl_version=".".join(altair.VEGALITE_VERSION.split(".")[:2]))
    script = {True: f"(function () {{\n{vega}\n}})();", False: ""}
    page.route(
        f"{CDN}**",
        lambda route: route.fulfill(content_type="text/javascript", body=script["vega-embed" in route.request.url]),
    )
    page.goto(f"{lab}doc/tree/explorer.ipynb")
    kernel = "window.jupyterapp?.shell.currentWidget?.context?.sessionContext?.session?.kernel"
    page.wait_for_function(f"{kernel}?.status == 'idle'")
    page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")

    app = page.locator(".widget-vbox")
    told, ranking = app.locator("[role=status]"), app.locator("table")
    names = ("target", "ladder", "score", "shrinkage")
    target, method, score, shrinkage = (app.get_by_label(name, exact=True) for name in names)
    chart = page.locator(CHART)

    def changed(change):
        """The table after a change, once it and the chart are others."""
        before, drawn = ranking.inner_text(), chart.inner_html()
        change()
        expect(ranking).not_to_have_text(before, use_inner_text=True, timeout=PATIENCE)
        script = "([at, drawn]) => (document.querySelector(at)?.innerHTML ?? drawn) != drawn"
        page.wait_for_function(script, arg=[CHART, drawn])
        return ranking.inner_text()

    chart.wait_for()
    assert "weighted τ" in told.inner_text() and "dense" in chart.text_content()
    changed(lambda: target.select_option("arrows"))
    changed(lambda: method.select_option("magnitude lottery"))
    changed(lambda: score.select_option("posterior"))
    assert shrinkage.is_disabled()
    changed(lambda: score.select_option("gaussian"))
    changed(lambda: shrinkage.select_option("0.5"))
    changed(lambda: app.get_by_role("slider").press("ArrowLeft"))
    assert app.locator(".widget-readout").inner_text() == "15"

    labels, features = digits
    good, bad = tmp_path / "good.npz", tmp_path / "bad.npz"
    good.write_bytes(stored(features=features, labels=labels))
    bad.write_text("none")

    def bring(*files):
        with page.expect_file_chooser() as chooser:
            app.get_by_role("button", name="your .npz").click()
        chooser.value.set_files(files)

    assert "good.npz" in changed(lambda: bring(good, bad))
    lines = app.locator("[role=alert]").all_inner_texts()
    assert lines[0].startswith("bad.npz: cannot be read") and lines[1].startswith("good.npz: its labels")
    assert "good.npz" in chart.text_content()
    assert "good.npz" in changed(lambda: target.select_option("digits"))
    assert app.locator("[role=alert]").count() == 1, "of the bad file alone"
    page.close()
