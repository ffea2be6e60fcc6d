"""Ranking people's own backbones on their own pictures, and scoring their own features, from Python and the shell."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import tepones
from tepones import cli, ranking
from tepones.backbones.encoder import Encoder, Preparation
from tepones.backbones.features import extract
from tepones.backbones.training import Training, train
from tepones.common.errors import TeponesError, UsageError
from tepones.pruning import budget, masks
from tepones.ranking import certainty, checkpoints, networks, zoo
from tepones.tasks import folder as folders

#: What standard error says of `photos`.
FOUND = "4 classes, 200 pictures: class-0 50, class-1 50, class-2 50, class-3 50"


def _pictures(n, seed):
    """Pictures of 4 classes that a network can learn: the class is the brightest quarter."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 4
    pictures = rng.integers(0, 90, (n, 32, 32, 3))
    for picture, label in zip(pictures, labels, strict=True):
        top, left = 16 * (label // 2), 16 * (label % 2)
        picture[top : top + 16, left : left + 16] += 60
    return pictures.astype(np.uint8), labels


@pytest.fixture(scope="module")
def models():
    """A trained backbone, the same with 99.5 % of its weights gone, and an untrained one."""
    trained = networks.build("small-resnet", 4)
    train(trained, *_pictures(256, 0), Training(2, 0.1, batch_size=32), 0)
    pruned = networks.build("small-resnet", 4)
    pruned.load_state_dict(trained.state_dict())
    saliency = {name: weight.detach().abs() for name, weight in masks.prunable(pruned).items()}
    masks.apply(pruned, masks.select(saliency, 0.995, masks.dense(pruned)))
    return {"trained": trained, "pruned": pruned, "untrained": networks.build("small-resnet", 4)}


@pytest.fixture
def mine(models, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, model in models.items():
        checkpoints.write(folder / f"{name}.safetensors", model, "small-resnet")
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    pictures, labels = _pictures(200, 1)
    for index, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        path = folder / f"class-{label}" / f"{index:03d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(picture).save(path)
    return folder


@pytest.fixture
def tepones_command(monkeypatch, capsys):
    """Run the command line in this process: exit status, standard output, what standard error says besides.

    Progress is left out, and what was found in `photos`.
    """

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["tepones", *map(str, arguments)])
        try:
            cli.main()
            status = 0
        except SystemExit as exit:
            status = exit.code or 0
        out, err = capsys.readouterr()
        told = [line for line in err.splitlines() if line and "images, " not in line and line != FOUND]
        return status, out, told

    return run


def test_the_command_line_lists_the_commands_without_torch():
    code = "import sys; from tepones import cli; assert 'torch' not in sys.modules; print(*cli.commands.commands)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"score", "rank", "bench"} <= set(done.stdout.split())


# Python


def test_the_table_has_what_tepones_score_says_of_the_same_features(models, mine, photos):
    names = ["gaussian", "leep", "knn", "sparsity"]
    ranked = ranking.rank(photos, [mine], names)
    assert ranked.left_out.empty
    assert ranked.table["rank"].tolist() == [1, 2, 3]
    assert ranked.table["gaussian"].is_monotonic_decreasing
    opened = folders.open_folder(photos)
    pictures = np.stack([folders.decode(file) for file in opened.files])
    for name, row in ranked.table.set_index("backbone").iterrows():
        features = extract(models[name], pictures)
        with torch.inference_mode():
            probabilities = models[name].classifier(torch.as_tensor(features)).softmax(1)
        facts = {"sparsity": row["sparsity"]}
        alone = tepones.score(features, opened.labels, names, probabilities=probabilities, facts=facts)
        np.testing.assert_allclose([row[score] for score in names], alone["value"], rtol=1e-4)
        assert row["null"] == pytest.approx(alone["null"][0], rel=1e-4)
        assert row["active"] == alone["active_features"][0]


def test_the_trained_backbone_wins(mine, photos):
    table = ranking.rank(photos, [mine]).table.set_index("backbone")
    assert table.loc["trained", "rank"] == 1
    assert table.loc["pruned", "sparsity"] == pytest.approx(0.995, abs=1e-5)
    assert table.loc["pruned", "bytes"] < 0.1 * table.loc["trained", "bytes"]


def test_backbones_of_other_input_sizes_are_ranked_in_one_go(models, photos):
    encoders = [
        Encoder("plain", "small-resnet", models["trained"], Preparation()),
        Encoder("large", "small-resnet", models["trained"], Preparation(40, 36, resampling="bicubic")),
    ]
    table = ranking.rank(photos, encoders).table.set_index("backbone")
    assert table["input"].to_dict() == {"plain": "32", "large": "36 (40)"}


def test_the_input_of_every_backbone_can_be_overridden(models, photos):
    encoders = [
        Encoder("plain", "small-resnet", models["trained"], Preparation()),
        Encoder("large", "small-resnet", models["trained"], Preparation(64, 48, resampling="bicubic")),
    ]
    table = ranking.rank(photos, encoders, ["gaussian"], pixels=24).table.set_index("backbone")
    assert table["input"].to_dict() == {"plain": "24", "large": "24 (32)"}
    alone = [Encoder("", "small-resnet", models["trained"], Preparation(24, 24))]
    assert table.loc["plain", "gaussian"] == ranking.rank(photos, alone, ["gaussian"]).table.loc[0, "gaussian"]
    assert encoders[1].preparation.crop == 48
    with pytest.raises(UsageError, match="pixels must be at least 1"):
        ranking.rank(photos, encoders, pixels=0)


def test_a_backbone_that_cannot_take_the_input_is_left_out(mine, models, photos):
    fixed = Encoder("fixed", "small-vit", networks.build("small-vit", 4), Preparation())
    ranked = ranking.rank(photos, [mine / "trained.safetensors", fixed], ["gaussian"], pixels=40)
    assert ranked.table["backbone"].tolist() == ["trained"]
    assert ranked.left_out["backbone"].tolist() == ["fixed"] and ranked.left_out["failed"].all()
    assert ranked.left_out["reason"][0].startswith("takes no picture of 40 pixels")


def test_a_named_task_is_ranked_on_its_training_images(mine):
    table = ranking.rank("digits", [mine / "trained.safetensors"]).table
    assert table["backbone"].tolist() == ["trained"]


def test_equal_scores_share_a_rank_and_files_of_one_name_stay_apart(mine, photos, tmp_path):
    (tmp_path / "copy").mkdir()
    copy = tmp_path / "copy" / "trained.safetensors"
    copy.write_bytes((mine / "trained.safetensors").read_bytes())
    table = ranking.rank(photos, [mine / "trained.safetensors", copy]).table
    assert table["rank"].tolist() == [1, 1]
    assert table["backbone"].tolist() == ["trained", str(copy)]


def test_among_equals_the_next_score_decides_and_the_rank_is_shared(mine, photos):
    """Both tell these pictures apart without a mistake."""
    files = [mine / f"{name}.safetensors" for name in ("untrained", "trained")]
    table = ranking.rank(photos, files, ["lda_accuracy", "logme"]).table
    assert table["lda_accuracy"].tolist() == [1, 1] and table["rank"].tolist() == [1, 1]
    assert table["logme"].is_monotonic_decreasing and table["backbone"].tolist() == ["trained", "untrained"]


def test_certainty_runs_no_network_again(models, photos, monkeypatch):
    """Each backbone sees each picture once; every redraw is made of the features."""
    seen = []
    monkeypatch.setattr(
        Encoder, "__call__", lambda self, batch, call=Encoder.__call__: seen.append(len(batch)) or call(self, batch)
    )
    encoders = [Encoder(name, "small-resnet", model, Preparation()) for name, model in models.items()]
    for scores in (["lda_accuracy"], ["gaussian"]):
        seen.clear()
        ranked = ranking.rank(photos, encoders, scores)
        assert sum(seen) == 3 * 200
        assert ranked.table["first"].sum() == pytest.approx(1) and len(ranked.advice) == 1


def test_certainty_is_that_of_the_features_whatever_the_order_of_the_table(models, photos):
    encoders = [
        Encoder(name, "small-resnet", models[name], Preparation()) for name in ("untrained", "pruned", "trained")
    ]
    ranked = ranking.rank(photos, encoders, ["gaussian"], seed=3)
    opened = folders.open_folder(photos)
    pictures = np.stack([folders.decode(file) for file in opened.files])
    features = {name: extract(models[name], pictures) for name in models}
    spreads = [certainty.deviations(features[e.name], opened.labels, "gaussian", seed=3) for e in encoders]
    by_name = ranked.table.set_index("backbone").loc[[encoder.name for encoder in encoders]]
    sure = certainty.certainty(by_name["gaussian"].to_numpy(), np.column_stack(spreads), 3)
    np.testing.assert_allclose(by_name[["first", "rank_low", "rank_high"]], sure, atol=0.02)
    assert ranked.advice == (certainty.advice(ranked.table, 200),)
    pd.testing.assert_frame_equal(ranked.table, ranking.rank(photos, encoders, ["gaussian"], seed=3).table)


def test_one_backbone_alone_is_first_and_nothing_is_advised(mine, photos):
    ranked = ranking.rank(photos, [mine / "trained.safetensors"])
    assert ranked.table.loc[0, ["rank", "first", "rank_low", "rank_high"]].tolist() == [1, 1, 1, 1]
    assert ranked.advice == ()


@pytest.fixture(scope="module")
def few(photos, tmp_path_factory):
    """Ten pictures of each class: fewer than features."""
    folder = tmp_path_factory.mktemp("few")
    for file in sorted(photos.glob("*/*.png")):
        place = folder / file.parent.name
        place.mkdir(exist_ok=True)
        if len(list(place.iterdir())) < 10:
            shutil.copy(file, place)
    return folder


@pytest.mark.parametrize(
    ("scores", "deciding"),
    [
        (["h_score"], "lda_accuracy"),
        (["wilks", "h_score", "knn", "logme"], "knn"),
        (["h_score", "lda_accuracy"], "lda_accuracy"),
    ],
)
def test_a_score_that_is_blind_with_few_images_does_not_decide(models, few, scores, deciding):
    encoders = [Encoder(name, "small-resnet", model, Preparation()) for name, model in models.items()]
    ranked = ranking.rank(few, encoders, scores)
    table = ranked.table
    assert ranked.deciding == deciding and table[deciding].is_monotonic_decreasing
    assert list(table.columns[5:-8]) == [deciding, *(name for name in scores if name != deciding), "null"]
    pd.testing.assert_series_equal(table["null"], ranking.rank(few, encoders, [deciding]).table["null"])
    assert len(ranked.advice) == 2 and f"{scores[0]} says nothing with 40 images" in ranked.advice[0]
    assert ranked.advice[0].endswith(f": {deciding} decides")


def test_with_images_enough_the_first_score_decides_whichever_it_is(models, photos):
    names = ("trained", "pruned")
    encoders = [Encoder(name, "small-resnet", models[name], Preparation()) for name in names]
    # 200 images are more than all features, but half of them are not; of the pruned one, few features are active.
    assert ranking.rank(photos, encoders[:1], ["h_score"]).deciding == "lda_accuracy"
    assert ranking.rank(photos, encoders[1:], ["h_score"]).deciding == "h_score"
    rows = np.repeat(np.arange(200), 2)
    opened = folders.open_folder(photos)
    target = ranking.Target("twice", opened.labels[rows], [folders.decode(opened.files[row]) for row in rows])
    ranked = ranking.rank(target, encoders, ["h_score", "logme"])
    assert ranked.deciding == "h_score" and len(ranked.advice) == 1


def test_a_score_whose_input_is_missing_leaves_the_backbone_out(mine, photos):
    ranked = ranking.rank(photos, [mine / "trained.safetensors"], ["source_accuracy"])
    assert ranked.table.empty
    assert "source_accuracy" in ranked.left_out["reason"][0]


def test_a_ladder_of_the_zoo_by_its_name(models, photos, tmp_path, monkeypatch):
    ladder = tmp_path / "steps"
    ladder.mkdir()
    content = budget.compress(budget.serialise(models["trained"].state_dict()))
    (ladder / "rung-00.safetensors.gz").write_bytes(content)
    rung = {"file": "rung-00.safetensors.gz", "sha256": zoo.hashlib.sha256(content).hexdigest()}
    about = {"format": 3, "architecture": "small-resnet", "task": {}, "side": 32, "method": "", "config": {}, "seed": 0}
    about |= {"values": "float16", "versions": {}}
    about["rungs"] = [rung | {"sparsity": 0, "source_accuracy": 0.75, "budget": {}, "shrunk": {}}]
    (ladder / zoo.MANIFEST).write_text(json.dumps(about))
    monkeypatch.setattr(zoo, "folder", lambda: tmp_path)
    for name in ("steps", "steps/rung-00", ladder, ladder / "rung-00.safetensors.gz"):
        table = ranking.rank(photos, [name], ["gaussian", "source_accuracy"]).table
        assert table["backbone"].tolist() == ["steps/rung-00"]
        assert table["source_accuracy"].tolist() == [0.75]


def test_a_classifier_without_weights_is_left_out_unless_initial_ones_are_wanted(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    ranked = ranking.rank(photos, ["squeezenet1_1"])
    assert ranked.table.empty and ranked.left_out["failed"].all()
    assert "--download" in ranked.left_out["reason"][0] and "squeezenet1_1=FILE" in ranked.left_out["reason"][0]
    table = ranking.rank(photos, ["squeezenet1_1"], untrained=True, pixels=32).table
    assert table["flags"].str.contains("untrained").all() and table["input"].tolist() == ["32 (37)"]


# The shell


def test_rank_prints_a_table_and_exits_0(tepones_command, mine, photos):
    files = [mine / f"{name}.safetensors" for name in ("untrained", "trained", "pruned")]
    status, out, told = tepones_command("rank", "--task", photos, "--backbones", *files)
    assert (status, told) == (0, [])
    lines = out.splitlines()
    assert lines[0].split()[:6] == ["rank", "backbone", "first", "ranks", "lda_accuracy", "null"]
    assert len(lines) == 5 and lines[1].split()[1] == "trained"
    assert lines[4] == ranking.rank(photos, files).advice[0]


def test_rank_as_csv_and_json_say_the_same(tepones_command, mine, photos):
    command = ("rank", "--task", photos, "--backbones", mine, "--scores", "logme, gaussian")
    _, out, told = tepones_command(*command, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    found = json.loads(tepones_command(*command, "--format", "json")[1])
    assert found["left_out"] == [] and found["deciding"] == "logme" and found["advice"] == told
    assert [row["backbone"] for row in rows] == [row["backbone"] for row in found["ranking"]]
    for column in ("logme", "first", "rank_low", "rank_high"):
        assert [float(row[column]) for row in rows] == [row[column] for row in found["ranking"]]
    assert list(rows[0])[:6] == ["rank", "backbone", "first", "rank_low", "rank_high", "logme"]


def test_rank_writes_a_chart_that_loads_nothing(tepones_command, mine, photos, tmp_path):
    status, _, _ = tepones_command("rank", "--task", photos, "--backbones", mine, "--chart", tmp_path / "c.html")
    page = (tmp_path / "c.html").read_text(encoding="utf-8")
    assert status == 0 and "trained" in page
    assert "<script src=" not in page and "import(" not in page.partition("vegaEmbed(")[2]


def test_rank_takes_initial_weights_and_another_input_only_when_asked(tepones_command, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    command = ("rank", "--task", photos, "--backbones", "squeezenet1_1", "--format", "csv")
    status, out, told = tepones_command(*command)
    assert (status, out, len(told)) == (1, "", 1) and "--download" in told[0] and "=FILE" in told[0]
    status, out, told = tepones_command(*command, "--untrained", "--pixels", 40)
    row = next(csv.DictReader(io.StringIO(out)))
    assert (status, told, row["input"]) == (0, [], "40 (46)") and "untrained" in row["flags"]


@pytest.mark.parametrize(("option", "unit"), [("--max-bytes", "bytes"), ("--max-flops", "flops")])
def test_a_budget_leaves_out_what_is_above_it(tepones_command, mine, photos, option, unit):
    costs = ranking.rank(photos, [mine]).table.set_index("backbone")[unit]
    limit = costs["pruned"]
    spelled = f"{limit / 1000}k"  # as people write it, 1.5MB or 1500000
    status, out, told = tepones_command(
        "rank", "--task", photos, "--backbones", mine, option, spelled, "--format", "csv"
    )
    kept = [row["backbone"] for row in csv.DictReader(io.StringIO(out))]
    assert status == 0
    assert sorted(kept) == sorted(costs[costs <= limit].index)
    told = [line for line in told if line.startswith("left out")]
    assert len(told) == 3 - len(kept) and all(f"the limit is {limit:,}" in line for line in told)


def test_nothing_within_the_budget_is_a_failure(tepones_command, mine, photos):
    status, out, told = tepones_command("rank", "--task", photos, "--backbones", mine, "--max-bytes", 1)
    assert (status, out, len(told)) == (1, "", 3)


def test_rank_goes_on_without_what_cannot_be_loaded(tepones_command, mine, photos, tmp_path):
    whole = (mine / "trained.safetensors").read_bytes()
    (mine / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    torch.save({"a": print}, mine / "pickle.pt")
    (tmp_path / "empty").mkdir()
    wrong = f"squeezenet1_1={mine / 'trained.safetensors'}"
    status, out, told = tepones_command(
        "rank", "--task", photos, "--backbones", mine, "nobody", tmp_path / "empty", wrong, "--format", "json"
    )
    found = json.loads(out)
    assert status == 1
    assert {row["backbone"] for row in found["ranking"]} == {"trained", "pruned", "untrained"}
    assert len(found["left_out"]) == len(told) == 5
    for name, reason in {
        "cut.safetensors": "no complete safetensors file",
        "pickle.pt": "never executed",
        "nobody": "no file, folder, classifier of torchvision or timm, or ladder",
        "empty": "holds no checkpoint",
        "squeezenet1_1=": "no torchvision:squeezenet1_1",
    }.items():
        assert [line for line in told if name in line and reason in line]


def test_scores_that_ask_the_source_classifier_leave_out_a_file_without_one(tepones_command, mine, photos):
    state = load_file(mine / "trained.safetensors")
    save_file({name: value for name, value in state.items() if "classifier" not in name}, mine / "headless.safetensors")
    status, out, told = tepones_command(
        "rank", "--task", photos, "--backbones", mine, "--scores", "nce", "--format", "csv"
    )
    assert status == 1 and "trained" in out and "headless" not in out
    [line] = [line for line in told if "headless" in line]
    assert "score nce needs the classifier of the source task, which is not there" in line
    status, out, _ = tepones_command(
        "rank", "--task", photos, "--backbones", mine, "--scores", "gaussian", "--format", "csv"
    )
    assert status == 0
    rows = {row["backbone"]: row["gaussian"] for row in csv.DictReader(io.StringIO(out))}
    assert rows["headless"] == rows["trained"]


@pytest.mark.parametrize(
    ("value", "reason"), [(torch.nan, "tensor encoder.0.weight holds inf or nan"), (3e38, "features")]
)
def test_a_backbone_with_broken_weights_is_left_out(tepones_command, mine, photos, models, value, reason):
    broken = networks.build("small-resnet", 4)
    broken.load_state_dict(models["trained"].state_dict())
    broken.encoder[0].weight.data[0] = value
    checkpoints.write(mine / "broken.safetensors", broken, "small-resnet")
    status, out, told = tepones_command("rank", "--task", photos, "--backbones", mine)
    assert status == 1 and len(out.splitlines()) == 5
    assert len(told) == 1 and "broken" in told[0] and "nan" in told[0] and reason in told[0]


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_names_that_are_no_text_are_escaped_in_every_form(tepones_command, models, photos, tmp_path, form):
    whole, cut = (os.fsdecode(os.fsencode(tmp_path) + name) for name in (b"/caf\xe9.pt", b"/cut\xff.pt"))
    torch.save(models["trained"].state_dict(), tmp_path / "x.pt")
    os.rename(tmp_path / "x.pt", whole)
    open(cut, "wb").close()
    status, out, told = tepones_command(
        "rank", "--task", photos, "--backbones", f"small-resnet={whole}", cut, "--format", form
    )
    assert status == 1 and "caf\\udce9" in out.replace("\\\\", "\\")
    assert len(told) == 1 and "cut\\udcff.pt" in told[0]


def test_what_was_chosen_of_a_file_is_told_in_one_line_each(tepones_command, mine, photos, models):
    state = {f"module.{name}": value for name, value in models["trained"].state_dict().items()}
    torch.save({"state_dict": state, "ema": {"w\x1b[2J": torch.ones(1)}}, mine / "wrapped\n.pt")
    command = ("rank", "--task", photos, "--backbones", mine, "--scores", "logme")
    status, out, told = tepones_command(*command, "--format", "csv")
    assert status == 0 and len(out.splitlines()) >= 5
    assert told == ["wrapped\\n: weights from state_dict; passed over: ema; without module."]
    assert json.loads(tepones_command(*command, "--format", "json")[1])["notes"] == [
        {"backbone": "wrapped\n", "note": note}
        for note in ("weights from state_dict; passed over: ema", "without module.")
    ]


def test_wrong_use_exits_2_with_one_line(tepones_command, mine, photos, tmp_path):
    (tmp_path / "bad" / "empty").mkdir(parents=True)
    (tmp_path / "bad" / "full").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "bad" / "full" / "x.png")
    for arguments, part in {
        ("--task", "nothing", "--backbones", mine): "nothing: no task and no folder; tasks are: aircraft",
        ("--task", tmp_path / "bad", "--backbones", mine): "class 'empty' holds no picture",
        ("--task", photos, "--backbones", mine, "--scores", "best"): "unknown score 'best'",
        ("--task", photos, "--backbones", mine, "--scores", ","): "names no score",
        ("--task", photos, "--backbones", mine, "--max-bytes", "0"): "expected a number of at least 1, such as",
        ("--task", photos, "--backbones", mine, "--max-flops", "many"): "--max-flops",
        ("--task", photos, "--backbones", mine, "--format", "xml"): "--format",
        ("--task", photos): "--backbones",
        ("--backbones", mine): "--task",
    }.items():
        status, out, told = tepones_command("rank", *arguments)
        assert (status, out, len(told)) == (2, "", 1), arguments
        assert part in told[0]


@pytest.fixture
def damaged(photos, tmp_path):
    """The pictures of `photos` and, among them, damaged ones; names are sorted, so some come first and some last."""
    folder = tmp_path / "p"
    shutil.copytree(photos, folder)
    whole = (folder / "class-1" / "001.png").read_bytes()
    (folder / "class-0" / "!first.png").write_bytes(b"no picture")
    (folder / "class-1" / "001-cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "class-3" / "zz\x1b[31m\nlast.png").write_bytes(b"")
    (folder / "class-3" / "._000.png").write_bytes(b"\x00\x05\x16\x07")
    return folder


def test_a_ranking_with_damaged_pictures_is_the_ranking_without_them(mine, photos, damaged):
    """Labels and rows stay together, with source-class probabilities too."""
    file = mine / "trained.safetensors"
    with_damage, without = (ranking.rank(folder, [file], ["logme", "leep"]) for folder in (damaged, photos))
    assert without.damaged == () and with_damage.left_out.empty
    pd.testing.assert_frame_equal(with_damage.table, without.table, rtol=1e-4)
    assert [(one.file.name, one.reason) for one in with_damage.damaged] == [
        ("!first.png", "it is no picture"),
        ("001-cut.jpg", with_damage.damaged[1].reason),
        ("zz\x1b[31m\nlast.png", "it is empty"),
    ]


def test_the_shell_tells_classes_skipped_and_damaged_files_and_goes_on(tepones_command, mine, damaged):
    status, out, told = tepones_command(
        "rank", "--task", damaged, "--backbones", mine / "trained.safetensors", "--scores", "logme"
    )
    assert status == 0 and len(out.splitlines()) == 2
    assert told[0] == "4 classes, 203 pictures: class-0 51, class-1 51, class-2 50, class-3 51"
    assert told[1] == "1 file skipped: class-3/._000.png"
    assert told[2].startswith(f"3 damaged left out: {damaged}/class-0/!first.png (it is no picture), ")
    assert told[2].endswith(f"{damaged}/class-3/zz\\x1b[31m\\nlast.png (it is empty)") and len(told) == 3


def test_a_class_without_a_whole_picture_ends_the_ranking(tepones_command, mine, damaged):
    for file in (damaged / "class-2").iterdir():
        file.write_bytes(b"")
    status, out, told = tepones_command("rank", "--task", damaged, "--backbones", mine)
    assert (status, out, len(told)) == (1, "", 3)
    assert told[-1].startswith("tepones: p: no picture of class 'class-2' can be decoded: ") and "45 more" in told[-1]
    assert "class-0" not in told[-1] and str(damaged / "class-2" / "002.png") in told[-1]


def test_more_damaged_pictures_than_whole_ones_end_the_ranking(mine, tmp_path):
    files = [tmp_path / "p" / label / f"{number}.png" for label in "ab" for number in range(4)]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40)).save(file)
    for file in (files[0], files[1], files[4], files[5]):
        file.write_bytes(b"")
    assert len(ranking.rank(tmp_path / "p", [mine], ["logme"]).damaged) == 4  # half: one more is too many
    files[6].write_bytes(b"")
    with pytest.raises(TeponesError, match=r"more than half of 8 pictures cannot be decoded: .*0\.png") as raised:
        ranking.rank(tmp_path / "p", [mine])
    assert not isinstance(raised.value, UsageError) and "\n" not in str(raised.value)


# score


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    probabilities = rng.dirichlet(np.ones(5), 90).astype(np.float32)
    return {"features": rng.normal(size=(90, 6)) + labels[:, None], "labels": labels, "probabilities": probabilities}


def test_score_prints_what_the_function_returns(tepones_command, arrays, tmp_path):
    np.savez(tmp_path / "f.npz", **arrays)
    status, out, told = tepones_command("score", tmp_path / "f.npz", "--scores", "gaussian,leep", "--format", "csv")
    assert (status, told) == (0, [])
    found = pd.read_csv(io.StringIO(out))
    expected = tepones.score(**arrays, scores=["gaussian", "leep"])
    assert found["score"].tolist() == ["gaussian", "leep"]
    np.testing.assert_allclose(found["value"], expected["value"], rtol=1e-5)


@pytest.mark.parametrize("labels", [["cat", "dog", "eel"] * 30, [-5, 7, 10**6] * 30])
def test_score_takes_any_classes_and_all_scores_that_the_file_allows(tepones_command, arrays, tmp_path, labels):
    del arrays["probabilities"]
    np.savez_compressed(tmp_path / "f.npz", **arrays | {"labels": np.array(labels)})
    status, out, _ = tepones_command("score", tmp_path / "f.npz", "--format", "json")
    names = {row["score"] for row in json.loads(out)}
    assert status == 0 and {"gaussian", "logme"} <= names and "leep" not in names


@pytest.mark.parametrize(
    ("change", "part", "status"),
    [
        ({"features": None}, "array features is missing", 2),
        ({"labels": None}, "array labels is missing", 2),
        ({"labels": np.array([{"a": 1}] * 90, object)}, "cannot be read", 1),
        ({"labels": np.zeros(90)}, "at least two", 2),
        ({"labels": np.arange(89)}, "labels have shape (89,)", 2),
        ({"features": np.full((90, 6), np.nan)}, "row 0, column 0", 2),
        ({"features": np.zeros((0, 6)), "labels": np.zeros(0)}, "zero rows", 2),
        ({"features": np.zeros(90)}, "expected (rows, features)", 2),
        ({"probabilities": np.full((90, 5), 0.5)}, "row 0", 2),
        ({"probabilities": np.full((80, 5), 0.2)}, "80 rows", 2),
    ],
)
def test_score_refuses_bad_arrays_in_one_line(tepones_command, arrays, tmp_path, change, part, status):
    arrays = {name: array for name, array in (arrays | change).items() if array is not None}
    np.savez(tmp_path / "f.npz", **arrays)
    found, out, told = tepones_command("score", tmp_path / "f.npz")
    assert (found, out, len(told)) == (status, "", 1)
    assert part in told[0]


def test_score_refuses_bad_files_in_one_line(tepones_command, arrays, tmp_path):
    np.savez(tmp_path / "whole.npz", **arrays)
    whole = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.npz").write_text("features")
    (tmp_path / "empty.npz").write_bytes(b"")
    np.save(tmp_path / "single.npy", arrays["features"])
    for name, status in {"cut.npz": 1, "text.npz": 1, "empty.npz": 1, "single.npy": 2, "none.npz": 2}.items():
        found, out, told = tepones_command("score", tmp_path / name)
        assert (found, out, len(told)) == (status, "", 1), name
        assert name in told[0] and "expected a .npz file with the arrays features, labels" in told[0]


def test_a_small_file_that_would_fill_the_memory_is_not_unpacked(tepones_command, tmp_path):
    with (
        zipfile.ZipFile(tmp_path / "f.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("features.npy", "w", force_zip64=True) as file,
    ):
        for _ in range(300):
            file.write(bytes(2**20))
    found, out, told = tepones_command("score", tmp_path / "f.npz")
    assert (found, out, len(told)) == (1, "", 1)
    assert "its arrays have 314,572,800 bytes, more than 100 times those of the file" in told[0]


def test_an_unknown_task_is_told_before_anything_is_loaded(mine):
    with pytest.raises(UsageError, match="no task and no folder"):
        ranking.rank("nothing", ["nobody"])
