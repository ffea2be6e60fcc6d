"""The zoo: a ladder goes in and comes out; files and manifests that do not fit each other are refused."""

import gzip
import hashlib
import json
import shutil
import tracemalloc
from dataclasses import asdict

import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from tepones.backbones.encoder import Encoder, Preparation
from tepones.backbones.from_module import from_module
from tepones.common.errors import TeponesError, UsageError
from tepones.companion.study import export, plan, profiles
from tepones.companion.study.cells import load_rung
from tepones.companion.study.profiles import TaskSize
from tepones.companion.study.records import Store
from tepones.pruning.budget import Budget, budget, compress, nonzero_weights
from tepones.pruning.shrink import shrink
from tepones.ranking import zoo


@pytest.fixture(scope="module")
def plans():
    """A masked and a structured ladder of the same dense backbone."""
    source = TaskSize(task="operators", train_per_class=4, test_per_class=2)
    first = profiles.load("tiny").ladders[0].model_copy(update={"source": source, "sparsities": (0.5, 0.99)})
    return {"masked": first, "structured": first.model_copy(update={"schedule": "structured"})}


@pytest.fixture(scope="module")
def records(plans, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("records"))
    for planned in plans.values():
        for cell in (plan.images(planned.source, planned.pixels), *plan.rungs(planned)):
            store.compute(cell)
    return store


@pytest.fixture(scope="module")
def zoo_folders(plans, records, tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo")
    return {kind: export.export(planned, records, folder) for kind, planned in plans.items()}


@pytest.fixture(scope="module")
def exported(zoo_folders):
    return zoo_folders["masked"]


@pytest.fixture
def ladder(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / exported.name)


def _change(ladder, change):
    path = ladder / zoo.MANIFEST
    about = json.loads(path.read_text())
    change(about)
    path.write_text(json.dumps(about))


def _refused(ladder, *parts, file="rung-01.safetensors.gz", error=TeponesError):
    with pytest.raises(error) as raised:
        zoo.load(ladder, file)
    message = str(raised.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_the_manifest_says_what_the_ladder_is(plans, exported):
    about, planned = zoo.manifest(exported), plans["masked"]
    assert about.architecture == planned.backbone
    assert about.task == {"task": "operators", "train_per_class": 4, "test_per_class": 2, "classes": None}
    assert about.side == 32
    assert (about.method, about.seed) == (planned.method, planned.seed)
    assert "torch" in about.versions and about.config["fine_tuning"]["learning_rate"] == 0.05
    assert (about.config["criterion"], about.config["schedule"]) == ("magnitude", "iterative")
    assert [rung.sparsity for rung in about.rungs] == pytest.approx([0, 0.5, 0.99], abs=1e-4)
    assert about.rungs[1].budget["flops"] > about.rungs[1].budget["nonzero_weights"] > 0


def test_the_manifest_has_the_budget_of_each_rung_as_stored_and_shrunk(exported):
    for rung in zoo.manifest(exported).rungs:
        assert set(rung.budget) == set(rung.shrunk) == set(Budget.__dataclass_fields__)
        encoder = zoo.load(exported, rung.file)
        small = Encoder("", encoder.architecture, shrink(encoder.model), encoder.preparation)
        for told, found in ((rung.budget, budget(encoder)), (rung.shrunk, budget(small))):
            # The latency is measured, so it differs from run to run.
            assert told | {"latency_ms": 0} == asdict(found) | {"latency_ms": 0}
    dense, *_, sparsest = zoo.manifest(exported).rungs
    assert dense.shrunk["flops"] == dense.budget["flops"]
    assert sparsest.shrunk["flops"] < 0.5 * sparsest.budget["flops"] == 0.5 * dense.budget["flops"]


def test_a_structured_rung_comes_back_with_its_shapes_and_its_sparsity_counts_from_the_dense_one(zoo_folders, images):
    about = zoo.manifest(zoo_folders["structured"])
    encoders = [zoo.load(zoo_folders["structured"], rung.file) for rung in about.rungs]
    n_dense = nonzero_weights(encoders[0])
    features = [encoder.n_features for encoder in encoders]
    assert features[0] == 128 and features == sorted(features, reverse=True) and features[2] < 64
    for target, rung, encoder in zip((0, 0.5, 0.99), about.rungs, encoders, strict=True):
        assert target <= rung.sparsity + 1e-6 and rung.sparsity < target + 0.03
        assert rung.sparsity == pytest.approx(1 - nonzero_weights(encoder) / n_dense)
        assert encoder(encoder.preparation(list(images[0])))[0].shape == (64, encoder.n_features)
        assert rung.budget["bytes_dense"] > rung.budget["nonzero_weights"]
    assert about.rungs[2].budget["flops"] < 0.2 * about.rungs[0].budget["flops"]


@pytest.mark.parametrize("kind", ["masked", "structured"])
def test_a_rung_comes_back_as_it_was_recorded_up_to_half_precision(plans, records, zoo_folders, kind):
    folder = zoo_folders[kind]
    for rung, cell in zip(zoo.manifest(folder).rungs, plan.rungs(plans[kind]), strict=True):
        recorded, masks = load_rung(records, cell)
        encoder = zoo.load(folder, rung.file)
        assert encoder.name == f"{folder.name}/{rung.file.removesuffix('.safetensors.gz')}"
        assert encoder.facts == {"source_accuracy": rung.source_accuracy, "sparsity": rung.sparsity}
        state = encoder.model.state_dict()
        for name, tensor in recorded.state_dict().items():
            expected = tensor.half().float() if name in masks or name == "classifier.weight" else tensor
            assert torch.equal(state[name], expected), name


def test_an_unknown_source_accuracy_is_no_fact(ladder):
    _change(ladder, lambda about: about["rungs"][1].update(source_accuracy=None))
    assert "source_accuracy" not in zoo.load(ladder, "rung-01.safetensors.gz").facts


def test_a_sparse_rung_is_a_small_fraction_of_the_dense_one(exported):
    sizes = [(exported / rung.file).stat().st_size for rung in zoo.manifest(exported).rungs]
    dense = zoo.manifest(exported).rungs[0].budget["bytes_dense"]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 0.05 * dense


@pytest.mark.parametrize("position", [0, 20, 1000, -1])
def test_a_changed_byte_is_refused(ladder, position):
    path = ladder / "rung-01.safetensors.gz"
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    _refused(ladder, str(path), "SHA-256", "manifest.json")


def test_a_missing_file_is_refused(ladder):
    (ladder / "rung-01.safetensors.gz").unlink()
    _refused(ladder, "rung-01.safetensors.gz", "manifest expects it")


def test_a_rung_that_the_manifest_lacks_is_refused(ladder):
    _refused(
        ladder, "rung-09.safetensors.gz", "rung-01.safetensors.gz", file="rung-09.safetensors.gz", error=UsageError
    )


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda about: about.pop("method"), "method"),
        (lambda about: about.update(extra=1), "extra"),
        (lambda about: about.update(format=2), "format: Input should be 3"),
        (lambda about: about.update(rungs=[]), "rungs"),
        (lambda about: about["rungs"][0].update(sparsity=2), "rungs.0.sparsity"),
        (lambda about: about["rungs"][0].pop("shrunk"), "rungs.0.shrunk"),
        (lambda about: about["rungs"][0].update(sha256="no"), "rungs.0.sha256"),
        (lambda about: about.update(side=10**9), "side: Input should be less than or equal to 4096"),
        (
            lambda about: about.update(architecture="a" * 5000),
            "architecture: String should have at most 100 characters",
        ),
        (lambda about: about.update(task={"a": "b" * 10**6}), "it has 1,0"),
        (lambda about: about["rungs"][0].update(file="a" * 5000 + ".safetensors.gz"), "rungs.0.file: String should"),
        (lambda about: about["rungs"][0].update(sparsity=float("nan")), "rungs.0.sparsity"),
        (lambda about: about["rungs"][0].update(file="../../elsewhere.safetensors.gz"), "rungs.0.file"),
    ],
)
def test_a_manifest_with_a_wrong_field_is_refused(ladder, change, part):
    _change(ladder, change)
    _refused(ladder, "manifest.json", part, "expected the manifest of a ladder")


@pytest.mark.parametrize(
    ("wrong", "part"),
    [({"crop": 10**9}, "preparation.crop"), ({"std": [0, 1, 1]}, "preparation.std.0"), ({"resize": 8}, "larger than")],
)
def test_a_manifest_may_say_how_pictures_are_prepared(ladder, wrong, part):
    said = {"resize": 40, "crop": 32, "mean": [1, 2, 3], "std": [4, 5, 6], "resampling": "bicubic"}
    _change(ladder, lambda about: about.update(preparation=said))
    assert zoo.load(ladder, "rung-01.safetensors.gz").preparation == Preparation(
        40, 32, (1, 2, 3), (4, 5, 6), "bicubic"
    )
    _change(ladder, lambda about: about.update(preparation=said | wrong))
    _refused(ladder, "manifest.json", part, "expected the manifest of a ladder")


class Halved(nn.Module):
    """Runs a layer twice, of which `shrink` knows nothing, or decides by its input, which cannot be traced."""

    def __init__(self, decides):
        super().__init__()
        self.twice, self.decides = nn.Conv2d(3, 3, 3, padding=1), decides
        self.fc = nn.Linear(3, 2)

    def forward(self, images):
        if self.decides and images.sum() > 1e9:
            return images
        return self.fc(self.twice(torch.relu(self.twice(images))).mean((2, 3)))


@pytest.mark.parametrize("decides", [False, True])
def test_what_cannot_be_shrunk_has_an_empty_shrunk_budget(decides, tmp_path):
    backbone = from_module(Halved(decides))
    with torch.no_grad():
        backbone.encoder.twice.weight[:, 1] = 0  # the second run does not read what the first one needs
    about = {"architecture": "own:Halved", "side": 32, "method": "", "seed": 0}
    zoo.write(tmp_path, [backbone], about | {"task": {}, "config": {}, "versions": {}}, lambda rung: None)
    (rung,) = zoo.manifest(tmp_path).rungs
    assert rung.shrunk == {} and rung.budget["flops"] > 0


def _written(ladder, weight):
    backbone = from_module(Halved(False))
    backbone.encoder.twice.weight.data[0] = weight
    about = {"architecture": "own:Halved", "side": 32, "method": "", "seed": 0}
    zoo.write(ladder, [backbone], about | {"task": {}, "config": {}, "versions": {}}, lambda rung: None)
    return zoo.load(ladder, "rung-00.safetensors.gz", Halved(False)).model.encoder.twice.weight


def test_weights_beyond_half_precision_come_back_exactly(tmp_path):
    assert (_written(tmp_path / "within", 1 / 3)[0] == torch.tensor(1 / 3).half().float()).all()
    assert (_written(tmp_path / "beyond", 1e5 + 1 / 3)[0] == 1e5 + 1 / 3).all()


@pytest.mark.parametrize("weight", [float("inf"), float("nan")])
def test_a_weight_that_is_no_number_is_refused(tmp_path, weight):
    with pytest.raises(TeponesError, match=r"rung 0: encoder\.twice\.weight has values that are infinite"):
        _written(tmp_path, weight)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["", "{", "[]", "\x00", "[" * 100_000, '{"rungs":' * 50_000])
def test_a_damaged_manifest_is_refused(ladder, content):
    (ladder / zoo.MANIFEST).write_text(content)
    _refused(ladder, "manifest.json", "expected the manifest of a ladder")


def test_a_manifest_that_is_a_folder_is_refused(ladder):
    (ladder / zoo.MANIFEST).unlink()
    (ladder / zoo.MANIFEST).mkdir()
    _refused(ladder, "manifest.json", "expected the manifest of a ladder")


def test_a_manifest_that_does_not_fit_its_files_is_refused(ladder):
    _change(ladder, lambda about: about.update(architecture="squeezenet1_1"))
    _refused(ladder, "rung-01.safetensors.gz", "a ladder is of a backbone; unknown backbone 'squeezenet1_1'")
    _change(ladder, lambda about: about.update(architecture="small-vit"))
    _refused(ladder, "rung-01.safetensors.gz", "no small-vit: tensor encoder.")
    _change(ladder, lambda about: about.update(architecture="resnet1000"))
    _refused(ladder, "unknown backbone 'resnet1000'")
    _change(ladder, lambda about: about.update(architecture="small-resnet"))
    _change(ladder, lambda about: about["rungs"][1].update(sparsity=0.6))
    _refused(ladder, "rung-01.safetensors.gz", "sparsity is 0.50", "says 0.6")


def _cut(content):
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no rung"),
        (b"junk", "no rung (Not a gzipped file"),
        (save({"w": torch.ones(3)}), "no rung (Not a gzipped file"),
        (compress(b"junk"), "no rung"),
        (_cut(compress(save({"w": torch.rand(999)}))), "no rung (Compressed file ended"),
        (compress(save({"w": torch.ones(3)})), "no small-resnet: tensor encoder."),
        (b"\x00" * 10**7, "no rung of small-resnet (it has 10,000,000 bytes, more than"),
        # A few hundred kilobytes that would take a gigabyte of memory.
        (compress(bytes(2**30)), "no rung (unpacks to more than 2,"),
    ],
)
def test_a_file_that_is_no_rung_is_refused_even_if_its_checksum_fits(ladder, content, reason):
    (ladder / "rung-01.safetensors.gz").write_bytes(content)
    _change(ladder, lambda about: about["rungs"][1].update(sha256=hashlib.sha256(content).hexdigest()))
    tracemalloc.start()
    _refused(ladder, "rung-01.safetensors.gz", reason)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 50e6


def _with(ladder, **changes):
    """Write the second rung with other tensors, and a manifest that expects them; None leaves a tensor out."""
    path = ladder / "rung-01.safetensors.gz"
    state = load(gzip.decompress(path.read_bytes()))
    state = {name: tensor for name, tensor in (state | changes).items() if tensor is not None}
    path.write_bytes(compress(save(state)))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    _change(ladder, lambda about: about["rungs"][1].update(sha256=digest))
    return state


WEIGHT = "encoder.0.weight"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({WEIGHT: torch.full((16, 3, 3, 3), torch.inf)}, "encoder.0.weight has values that are infinite"),
        # No values, so no bytes; but the bias of such a layer would take four terabytes.
        (
            {WEIGHT: torch.zeros(10**12, 0, 3, 3)},
            "has no values, as its shape is (1000000000000, 0, 3, 3)",
        ),
        ({WEIGHT: torch.zeros(0, 3, 3, 3)}, "has no values"),
        ({WEIGHT: torch.zeros(16, 27)}, "has shape (16, 27); its layer, of shape (16, 3, 3, 3) here, cannot"),
        ({WEIGHT: torch.zeros(16, 3, 5, 5)}, "has shape (16, 3, 5, 5); its layer, of shape (16, 3, 3, 3) here, cannot"),
        ({WEIGHT: torch.zeros(16, 3, 3, 3, dtype=torch.int8)}, "is int8; expected float16"),
        ({WEIGHT: torch.zeros(16, 3, 3, 3, dtype=torch.bool)}, "is bool; expected float16"),
        ({WEIGHT: torch.zeros(16, 3, 3, 3, dtype=torch.complex64)}, "is complex64; expected float16"),
        ({"n" * 5000: torch.zeros(1)}, "has 5,000 characters"),
        ({"x\x1b[2J": torch.zeros(1)}, "tensor x\\x1b[2J is not expected"),
        ({"elsewhere.bias": torch.zeros(1)}, "tensor elsewhere.bias is not expected"),
        ({"encoder.0.bias": torch.zeros(17)}, "has shape (17,); its layer, of shape (16,) here, cannot"),
        ({WEIGHT: None}, f"tensor {WEIGHT} is missing"),
    ],
)
def test_tensors_that_cannot_be_those_of_the_architecture_are_refused(ladder, changes, reason):
    _with(ladder, **changes)
    _refused(ladder, "rung-01.safetensors.gz", reason)


def test_a_layer_may_have_gained_a_bias(ladder):
    _with(ladder, **{"encoder.0.bias": torch.ones(16)})
    assert zoo.load(ladder, "rung-01.safetensors.gz").model.encoder[0].bias.sum() == 16


def test_the_committed_ladders_load_and_take_less_than_15_mb():
    for name in zoo.names():
        for rung in zoo.manifest(zoo.folder() / name).rungs:
            assert zoo.load(zoo.folder() / name, rung.file).facts["source_accuracy"] == rung.source_accuracy
    assert sum(path.stat().st_size for path in zoo.folder().rglob("*") if path.is_file()) < 15e6
