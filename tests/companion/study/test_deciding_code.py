"""The keys of the real cells under edits of the real code: what decides a value changes them, all else does not."""

import ast
import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

import tepones
from tepones.backbones.training import Training
from tepones.common.errors import TeponesError
from tepones.companion.study import cells, records
from tepones.companion.study.cells import (
    Ablation,
    Distilled,
    Entropies,
    FineTuning,
    Images,
    Pretraining,
    Released,
    Rung,
    Scoring,
    Transfer,
)
from tepones.companion.study.deciding_code import LEFT_OUT, REGISTRIES, Source, source
from tepones.pruning import CRITERIA, SCHEDULES, UNPRUNED
from tepones.scores import SCORES

SOURCE_FOLDER = Path(tepones.__file__).parent

SHORT = Training(epochs=2, learning_rate=0.05, batch_size=16)
LATIN, DIGITS, CIFAR = Images("latin", 2, 2), Images("digits", 20, 5), Images("cifar10", 4, 2, classes=2)
DENSE = Pretraining("small-resnet", LATIN, SHORT, 0)
RELEASED = Released("torchvision:squeezenet1_1", "some", CIFAR)


def rung(criterion="magnitude", schedule="iterative", dense=DENSE):
    return Rung(dense, None if schedule in UNPRUNED else criterion, schedule, (0.5,), SHORT)


#: One cell of each kind, and more where an entry of a registry decides what is computed.
CELLS = {
    "rendered images": LATIN,
    "scanned images": DIGITS,
    "photographs": CIFAR,
    "pre-training": DENSE,
    "pre-training without labels": dataclasses.replace(DENSE, objective="simclr"),
    "released": RELEASED,
    "transfer": Transfer(DENSE, DIGITS, (0.1, 1.0)),
    "fine-tuning": FineTuning(DENSE, DIGITS, SHORT, 0),
    "scoring": Scoring(DENSE, DIGITS, ("gaussian", "nce")),
    "entropies": Entropies(DENSE, DIGITS),
    "ablation": Ablation(DENSE, DIGITS),
    **{f"rung by {criterion}": rung(criterion) for criterion in CRITERIA},
    **{f"rung, {schedule}": rung(schedule=schedule) for schedule in SCHEDULES if schedule != "iterative"},
    "rung of released": rung(dense=RELEASED),
    "rung, distilled": Distilled(RELEASED, "magnitude", "iterative", (0.5,), SHORT, images=DIGITS),
}
IMAGES = ("rendered images", "scanned images", "photographs")
OF_RELEASED = {"released", "rung of released", "rung, distilled"}
TRAINED = set(CELLS) - set(IMAGES) - OF_RELEASED
RUNGS = {name for name in CELLS if name.startswith("rung")}
UNMASKED = {f"rung, {schedule}" for schedule in UNPRUNED}
#: Rungs of which single weights are chosen, by magnitude where no other criterion is named.
MASKED = RUNGS - {"rung, structured", *UNMASKED}
BY_MAGNITUDE = RUNGS - {f"rung by {criterion}" for criterion in CRITERIA if criterion != "magnitude"} - UNMASKED
JUDGED = {"transfer", "fine-tuning", "scoring", "entropies", "ablation"}
EVERY_NETWORK = set(CELLS) - set(IMAGES)
OF_LATIN = TRAINED | {"rendered images"}
OF_DIGITS = {"scanned images", "rung, distilled", *JUDGED}
OF_CIFAR = {"photographs", *OF_RELEASED}

#: Edits of what decides a value: module, old text, new text, and the cells whose identity must change, no other.
DECIDING = [
    ("companion.study.cells", "EARLY = 0.07", "EARLY = 0.08", TRAINED),
    ("companion.study.cells", "np.packbits(correct)", "np.packbits(~correct)", {"transfer", "fine-tuning"}),
    ("companion.study.cells", "fmean(layers.values())", "max(layers.values())", {"entropies"}),
    ("companion.study.tables", 'LAYER_ENTROPY = "layer', 'LAYER_ENTROPY = "mean', {"entropies"}),
    ("companion.study.cells", "DISTILLED = 8000", "DISTILLED = 4000", {"rung, distilled"}),
    ("companion.study.cells", "max(1, round(EARLY * n_steps))", "max(2, round(EARLY * n_steps))", TRAINED),
    ("companion.study.cells", "1 - n_alive / n_dense if", "n_alive / n_dense if", EVERY_NETWORK),
    ("companion.study.cells", "seed = 1000 * self", "seed = 100 * self", RUNGS),
    ("companion.study.cells", '"train_images", "train_labels", ', '"train_labels", "train_images", ', set(CELLS)),
    ("companion.study.cells", '"test_labels", "test_groups"', '"test_groups", "test_labels"', set(CELLS)),
    ("pruning.resize", "layer.groups = shape[0]", "layer.groups = 1", RUNGS | JUDGED),
    ("pruning.masks", "above, equal = candidates > least", "above, equal = candidates >= least", MASKED),
    ("pruning.masks", "kernel_size == layer.stride != (1, 1)", "kernel_size == layer.stride", EVERY_NETWORK),
    ("pruning.base", "order[:n]", "order[-n:]", {"rung by snip", "rung by diagonal", "rung by block", "rung, surgeon"}),
    ("pruning.criteria.magnitude", ".abs()", ".square()", BY_MAGNITUDE),
    ("pruning.schedules.control", "setting.seed, masks", "setting.seed + 1, masks", {"rung, control"}),
    ("pruning.schedules.surgeon", "gone = torch.where(kept, 0.0", "gone = torch.where(kept, 1.0", {"rung, surgeon"}),
    ("pruning.schedules.rigl", "ALPHA = 0.3", "ALPHA = 0.4", {"rung, rigl"}),
    ("backbones.training", "WARM_UP = 0.2", "WARM_UP = 0.3", EVERY_NETWORK - {"released"}),
    ("backbones.training", "momentum: float = 0.9", "momentum: float = 0.8", EVERY_NETWORK - {"released"}),
    ("backbones.self_supervised", "TEMPERATURE = 0.2", "TEMPERATURE = 0.3", {"pre-training without labels"}),
    ("backbones.base", "MEAN, STD = 127.5, 64.0", "MEAN, STD = 127.5, 63.0", EVERY_NETWORK),
    ("backbones.features", "BATCH = 512", "BATCH = 256", EVERY_NETWORK),
    ("backbones.features", "softmax(1)", "softmax(0)", {"scoring", "fine-tuning", "rung, distilled"}),
    ("backbones.activations", "(on >= 0)", "(on > 0)", {"entropies"}),
    ("backbones.activations", "nn.ReLU6, ", "", {"entropies"}),
    ("backbones.small_resnet", "n_in != n_out:", "n_in < n_out:", TRAINED),
    ("backbones.released", "weights=None", "weights='DEFAULT'", OF_RELEASED),
    ("backbones.onednn", "BLOCK = 8", "BLOCK = 4", EVERY_NETWORK),
    ("transfer", "FOLDS = 3", "FOLDS = 5", {"transfer"}),
    ("transfer", 'average="macro"', 'average="micro"', {"transfer", "fine-tuning"}),
    ("transfer", "StandardScaler()", "StandardScaler(with_std=False)", {"transfer"}),
    ("scores.summary", "NOISE = 1e-8", "NOISE = 1e-7", {"scoring", "ablation"}),
    ("scores.policy", "DEAD = 2 *", "DEAD = 3 *", {"scoring", "ablation"}),
    ("scores.leep", "SUM_TOLERANCE = ", "SUM_TOLERANCE = 2 * ", {"scoring"}),
    ("scores.table", "if null:", "if not null:", {"scoring"}),
    ("companion.study.ablations", "SHUFFLES = 20", "SHUFFLES = 10", {"ablation"}),
    ("tasks.glyphs", "SIDE = 32", "SIDE = 64", OF_LATIN | OF_DIGITS),
    ("tasks.glyphs", "ABCDEFGHIJ", "ABCDEFGHIj", OF_LATIN),
    ("tasks.digits", "255 / 16", "255 / 17", OF_DIGITS),
    ("tasks.glyphs", "np.arange(len(test[1]))", "np.zeros(len(test[1]))", OF_LATIN),
    ("tasks.base", "rows[:n_test]", "rows[-n_test:]", OF_DIGITS),
    ("tasks.base", "if test_per_class is None else", "if test_per_class else", OF_DIGITS),
    ("tasks.vision", "[:per_class]", "[-per_class:]", OF_CIFAR),
    ("tasks.vision", "~np.isin(groups, groups[chosen])", "~np.isin(groups, chosen)", OF_CIFAR),
    ("tasks.vision", "partition('_')[0]", "partition('_')[2]", OF_CIFAR),
    ("tasks.vision", "Resampling.BICUBIC", "Resampling.BILINEAR", OF_CIFAR),
    ("tasks.folder", 'TRAIN = ("train", "training")', 'TRAIN = ("train",)', OF_CIFAR),
    ("tasks.sources", '"CIFAR10", ("train",), "test"', '"CIFAR10", ("test",), "train"', OF_CIFAR),
]

#: Edits of what decides nothing: registries, messages, places, descriptions, comments, types.
INDIFFERENT = [
    ("scores.__init__", '"gaussian": "tep', '"new": "tepones.scores.new:NEW",\n        "gaussian": "tep'),
    ("scores.__init__", "isfinite", "isnan"),
    ("scores.inputs", "np.float32", "np.float64"),
    ("scores.limits", "MOST_BYTES = 2", "MOST_BYTES = 3"),
    ("pruning.__init__", '"magnitude": "tep', '"new": "tepones.pruning.criteria.new:new",\n        "magnitude": "tep'),
    ("pruning.__init__", 'UNPRUNED = {"control"', 'UNPRUNED = {"new", "control"'),
    ("pruning.__init__", 'STARTS = {"one-shot"', 'STARTS = {"new": "dense", "one-shot"'),
    ("tasks.__init__", '"digits": "tep', '"new": "tepones.tasks.new:new",\n        "digits": "tep'),
    ("tasks.sources", "SOURCES = {\n", 'SOURCES = {\n    "new": Source(3, "new"),\n'),
    ("tasks.glyphs", "ALPHABETS = {\n", 'ALPHABETS = {\n    "runes": "ᚠᚢ",\n'),
    ("backbones.__init__", '"small-resnet": "tep', '"new": "tepones.backbones.new:new",\n        "small-resnet": "tep'),
    ("backbones.training", "training stopped at step {step}", "the training stopped after {step} steps"),
    ("backbones.training", 'choose("layer", name, named)', 'choose("weight", name, named)'),
    ("pruning.masks", "is outside [0, 1)", "does not lie in [0, 1)"),
    ("pruning.resize", "is not expected", "was not expected"),
    ("tasks.vision", "is missing; the copy is partial", "is missing: half a copy"),
    ("common.errors", "choose from: ", "valid are: "),
    ("common.paths", '/ "datasets"', '/ "data"'),
    ("common.registry", "choose from: ", "valid are: "),
    ("common.progress", "mininterval=0.2", "mininterval=0.5"),
    ("common.files", "STRAY = 3600", "STRAY = 7200"),
    ("companion.study.records", "LARGEST = 64", "LARGEST = 32"),
    ("companion.study.runner", "a worker process died", "a worker died"),
    ("scores.intra_class", "TEP-ones", "TEP-ones,"),
    ("scores.base", 'empty: str = "0"', 'empty: str = "0"  # a comment'),
    ("transfer", "FOLDS = 3", "FOLDS: int = 3"),
    ("transfer", '"""Test accuracy of', '"""The test accuracy of'),
    ("transfer", "grid: Sequence[float],", "grid: list[float],"),
]


@pytest.fixture(scope="module")
def before():
    return {name: records.identity(cell) for name, cell in CELLS.items()}


def edited(*edits):
    """The code after edits, each a module, an old text and a new one."""
    texts = {}
    for module, old, new in edits:
        name = f"tepones.{module}".removesuffix(".__init__")
        file = SOURCE_FOLDER.joinpath(*module.split(".")).with_suffix(".py")
        text = texts.get(name) or file.read_text(encoding="utf-8")
        assert old in text, f"{module} has no {old!r}"
        texts[name] = text.replace(old, new)
        ast.parse(texts[name])
    return Source(texts)


def changed_by(before, source):
    return {name for name, cell in CELLS.items() if records.identity(cell, source) != before[name]}


def named(part):
    """Part of the name of a test: a set of cells has no order, and processes must agree on names."""
    return part[:40] if isinstance(part, str) else "cells"


def test_every_kind_of_cell_is_here():
    kinds = {value for value in vars(cells).values() if isinstance(value, type) and issubclass(value, records.Cell)}
    assert {type(cell) for cell in CELLS.values()} == kinds - {records.Cell}


@pytest.mark.parametrize(("module", "old", "new", "kinds"), DECIDING, ids=named)
def test_an_edit_of_what_decides_a_value_changes_the_keys_of_what_it_decides(before, module, old, new, kinds):
    assert changed_by(before, edited((module, old, new))) == kinds


def test_edits_of_what_decides_nothing_change_no_key(before):
    """All at once; only if they do, one after the other, to tell which."""
    if changed_by(before, edited(*INDIFFERENT)):
        assert [edit for edit in INDIFFERENT if changed_by(before, edited(edit))] == []
        pytest.fail("the edits change a key together and none does alone")


def test_moving_code_to_another_file_changes_no_key(before):
    """`linear_probe` and what it needs go to a new module, and its user imports it from there."""
    text = (SOURCE_FOLDER / "transfer.py").read_text(encoding="utf-8")
    using = (SOURCE_FOLDER / "companion" / "study" / "cells.py").read_text(encoding="utf-8")
    names = ("linear_probe", "mean_class_accuracy")
    moved = using.replace(f"from tepones.transfer import {', '.join(names)}", "from tepones.agreement import truth")
    for name in names:
        moved = moved.replace(f"{name}(", f"truth.{name}(")
    assert "tepones.transfer" not in moved and moved.count("truth.") == len(names)
    edits = {"tepones.agreement.truth": text, "tepones.companion.study.cells": moved}
    assert changed_by(before, Source(edits)) == set()


def test_another_function_of_the_same_name_is_another_function(before):
    """Both fit something, and both are mentioned before and after: only which is called changes."""
    text = (SOURCE_FOLDER / "transfer.py").read_text(encoding="utf-8")
    one = "def fit(x):\n    return x + 1\n"
    other = "def fit(x):\n    return x + 2\n"
    found = []
    for chosen in ("one", "other"):
        using = f"{text}\n\nfrom tepones.agreement import one, other\n\n\ndef both(x):\n"
        using += f"    return {chosen}.fit(x), one, other\n"
        using = using.replace("    predicted = model", "    both(1)\n    predicted = model")
        assert "    both(1)\n" in using
        edits = {"tepones.transfer": using, "tepones.agreement.one": one, "tepones.agreement.other": other}
        found.append(records.identity(CELLS["transfer"], Source(edits)))
    assert found[0] != found[1] and before["transfer"] not in found


#: A module whose `f` reaches `target` in a way of the language that an edit of `target` must be seen through.
WAYS = {
    "a call": "def f(x):\n    return target(x)\n",
    "an import inside of a function": "def f(x):\n    from tepones.agreement.b import target\n    return target(x)\n",
    "a module imported inside": "def f(x):\n    from tepones.agreement import b\n    return b.target(x)\n",
    "another name": "from tepones.agreement.b import target as t\n\n\ndef f(x):\n    return t(x)\n",
    "a path of modules": "import tepones.agreement.b\n\n\ndef f(x):\n    return tepones.agreement.b.target(x)\n",
    "a module handed on": "from tepones.agreement import b\n\n\ndef f(x):\n    return getattr(b, x)\n",
    "a default": "def f(x, g=target):\n    return g(x)\n",
    "a decorator": "@target\ndef f(x):\n    return x\n",
    "a base class": "class f(target):\n    pass\n",
    "a constant": "TABLE = {1: target}\n\n\ndef f(x):\n    return TABLE[x]\n",
    "one of several constants": "ONE, TWO = 1, target\n\n\ndef f(x):\n    return TWO(x)\n",
    "a constant with a type": "G: object = target\n\n\ndef f(x):\n    return G(x)\n",
    "a constant under a condition": "if True:\n    G = target\nelse:\n    G = None\n\n\ndef f(x):\n    return G(x)\n",
    "a call while importing": "target(1)\n\n\ndef f(x):\n    return x\n",
    "a lambda": "def f(x):\n    return map(lambda y: target(y), x)\n",
    "the first iterable of a comprehension": "def f(x):\n    return [target for target in target(x)]\n",
    "beside a comprehension that binds the name": "def f(x):\n    return [target for target in x], target(x)\n",
    "beside a lambda that binds the name": "def f(x):\n    return map(lambda target: target, x), target(x)\n",
    "beside a function that binds the name": "def f(x):\n    def g(target): return target\n    return g, target\n",
    "a method of a local class": "def f(x):\n    class C:\n        def m(s): return target\n    return C\n",
    "the type of an argument": "def f(x: target):\n    return x.go()\n",
    "such a type as text": "def f(x: 'target | None'):\n    return x.go()\n",
    "the type of what is returned": "def f(x) -> target:\n    return x\n",
    "a function of its own": "def g(x):\n    return target(x)\n\n\ndef f(x):\n    return g(x)\n",
    "two functions that call each other": (
        "def g(x):\n    return f(x) or target(x)\n\n\ndef f(x):\n    return g(x) if x else 0\n"
    ),
    "a global of the module": "G = None\n\n\ndef f(x):\n    global target\n    return target\n",
}
HEAD = "from tepones.agreement.b import target\n\n"


def hash_of(text, target="def target(x):\n    return x\n", name="f"):
    return Source({"tepones.agreement.a": text, "tepones.agreement.b": target}).hash([f"tepones.agreement.a:{name}"])


@pytest.mark.parametrize("way", WAYS)
def test_a_definition_is_followed_through_every_way_of_the_language(way):
    text = HEAD + WAYS[way]
    assert hash_of(text) != hash_of(text, "def target(x):\n    return x + 1\n")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("def f(x):\n    raise ValueError('few')\n", "def f(x):\n    raise ValueError(f'too few: {x}') from None\n"),
        ("def f(x):\n    return x\n", 'def f(x):\n    """Say what it does."""\n    return x\n'),
        ("def f(x):\n    return x\n", "def f(x: int) -> int:\n    # a comment\n    return (x)\n"),
        ("G = 1\n\n\ndef f(x):\n    return G\n", "G: int = 1\nH = 2\n\n\ndef f(x):\n    return G\n"),
        (
            "def f(x):\n    return target(x)\n",
            "def f(x):\n    from tepones.agreement import b\n    return b.target(x)\n",
        ),
        (
            "import numpy as np\n\n\ndef f(x):\n    return np.sum(x)\n",
            "from numpy import sum\n\n\ndef f(x):\n    return sum(x)\n",
        ),
        ("def f(target):\n    return target\n", "target = 1\n\n\ndef f(target):\n    return target\n"),
    ],
)
def test_what_is_written_otherwise_and_does_the_same_has_the_same_hash(one, other):
    assert hash_of(HEAD + one) == hash_of(HEAD + other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("def f(x):\n    raise ValueError('few')\n", "def f(x):\n    raise TypeError('few')\n"),
        (
            "import numpy as np\n\n\ndef f(x):\n    return np.sum(x)\n",
            "import torch as np\n\n\ndef f(x):\n    return np.sum(x)\n",
        ),
        ("def f(x):\n    return 'a'\n", "def f(x):\n    return 'b'\n"),
        ("def f(x, y=1):\n    return y\n", "def f(x, y=2):\n    return y\n"),
        ("class f:\n    y = 1\n", "class f:\n    y = 2\n"),
        ("def f(x):\n    return x == 1\n", "def f(x):\n    return x == True\n"),
        ("def f(x):\n    return 1\n", "def f(x):\n    return 1.0\n"),
    ],
)
def test_what_does_something_else_has_another_hash(one, other):
    assert hash_of(HEAD + one) != hash_of(HEAD + other)


def test_a_definition_that_is_not_there_is_told():
    with pytest.raises(TeponesError, match=r"no definition tepones\.scores\.gaussian:NOTHING"):
        Source().hash(["tepones.scores.gaussian:NOTHING"])
    with pytest.raises(TeponesError, match=r"no entry 'nowhere' in tepones\.tasks\.sources:SOURCES"):
        Source().hash(["tepones.tasks.sources:SOURCES[nowhere]"])


def test_what_is_left_out_by_name_exists():
    for name in LEFT_OUT:
        assert Source().module(name) is not None
    for reference in REGISTRIES:
        module, _, name = reference.partition(":")
        assert name in Source().module(module).definitions


@pytest.fixture
def small_data(tmp_path, monkeypatch):
    """A few photographs and weights, where the cells of this module look for them."""
    rng = np.random.default_rng(0)
    for split, n in (("train", 4), ("test", 2)):
        for label in ("cat", "dog"):
            folder = tmp_path / "cifar10" / split / label
            folder.mkdir(parents=True)
            for number in range(n):
                Image.fromarray(rng.integers(256, size=(32, 32, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    from tepones.common._torchvision import torchvision

    (tmp_path / "weights").mkdir()
    save_file(torchvision.models.squeezenet1_1().state_dict(), tmp_path / "weights" / "some.safetensors")
    monkeypatch.setenv("TEPONES_DATA", str(tmp_path))
    return tmp_path


def definitions_of(file):
    """Module of a file, and the name of the definition at each of its lines; decorators belong to what they adorn."""
    inside = Path(file).relative_to(SOURCE_FOLDER.parent).with_suffix("")
    lines = {}
    for statement in ast.parse(Path(file).read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            first = min(part.lineno for part in (statement, *statement.decorator_list))
            lines |= dict.fromkeys(range(first, statement.end_lineno + 1), statement.name)
    return ".".join(inside.parts).removesuffix(".__init__"), lines


def executed_by(compute):
    """Definitions of this package whose code runs while something is computed, by `module:name`."""
    places = set()

    def watch(frame, event, argument):
        if event == "call" and frame.f_code.co_filename.startswith(str(SOURCE_FOLDER)):
            places.add((frame.f_code.co_filename, frame.f_code.co_firstlineno))

    sys.setprofile(watch)
    try:
        compute()
    finally:
        sys.setprofile(None)
    found = {file: definitions_of(file) for file in {file for file, _ in places}}
    return {f"{found[file][0]}:{found[file][1][line]}" for file, line in places if line in found[file][1]}


@pytest.mark.parametrize("name", CELLS)
def test_whatever_runs_while_a_cell_is_computed_is_in_its_key(name, small_data, tmp_path, monkeypatch):
    """Reached by names is what was executed: this sees what a reader of the source may overlook."""
    monkeypatch.setattr(cells, "DISTILLED", 40)
    cell = CELLS[name]
    if isinstance(cell, Scoring):
        known = [name for name in SCORES if name not in ("sparsity", "nonzero_weights", "source_accuracy")]
        cell = dataclasses.replace(cell, scores=tuple(known))
    store = records.Store(tmp_path / "records")

    def needed(one):
        for other in one.requires():
            needed(other)
            store.compute(other)

    needed(cell)
    for cached in (cells._images, cells._n_classes, cells._features, cells._last_rung):
        cached.cache_clear()
    ran = executed_by(lambda: cell.compute(store))

    def reached(one):
        own = f"{type(one).__module__}:{type(one).__qualname__}"
        found = set(source().reached([own, *one.code()]))
        return found.union(*(reached(other) for other in one.requires()))

    ran = {place for place in ran if place.partition(":")[0] not in LEFT_OUT}
    kinds = {f"{kind.__module__}:{kind.__qualname__}" for kind in map(type, CELLS.values())}
    assert len(ran) > 2
    assert ran - kinds <= reached(cell)


def test_the_key_of_an_edited_checkout_is_that_of_the_edited_text(tmp_path):
    """The same edit in a copy of the package on disk, in another process."""
    import shutil

    package = tmp_path / "tepones"
    shutil.copytree(SOURCE_FOLDER, package, ignore=shutil.ignore_patterns("__pycache__"))
    file = package / "transfer.py"
    file.write_text(re.sub("FOLDS = 3", "FOLDS = 5", file.read_text(encoding="utf-8")), encoding="utf-8")
    program = (
        "import sys; sys.path[:0] = sys.argv[1:]; import tepones; assert tepones.__file__.startswith(sys.argv[1])\n"
        "from tepones.backbones.training import Training\n"
        "from tepones.companion.study import cells, records\n"
        "dense = cells.Pretraining('small-resnet', cells.Images('latin', 2, 2), Training(2, 0.05, 16), 0)\n"
        "print(records.identity(cells.Transfer(dense, cells.Images('digits', 20, 5), (0.1, 1.0))))\n"
    )
    run = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    source = edited(("transfer", "FOLDS = 3", "FOLDS = 5"))
    assert run.stdout.strip() == records.identity(CELLS["transfer"], source) != records.identity(CELLS["transfer"])
