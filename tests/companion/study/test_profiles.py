"""Profiles: what a ladder takes from them, and what they may get wrong."""

import pytest

from tepones.common.errors import UsageError
from tepones.companion.study import profiles

FULL = """\
full_fine_tuning: {{targets: [digits], ladders: [random iterative 0], most: {most}, training: {{epochs: 1,
  learning_rate: 0.1}}, repeats: 1}}
backbone:"""


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("epochs: 2", "epochs: many", "tiny.yaml: pretraining.epochs: .* number.*'many'"),
        ("epochs: 2", "epochs: inf", "tiny.yaml: pretraining.epochs: .*finite number.*'inf'"),
        ("epochs: 2", "epochs: .nan", "tiny.yaml: not valid YAML: '.nan' is no finite number"),
        ("epochs: 2", "epochs: -1", "tiny.yaml: pretraining.epochs: .*greater than 0"),
        ("task: arrows", "task: klingon", "unknown task 'klingon'; choose from: .*arrows"),
        ("backbone: small-resnet", "backbone: huge", "unknown backbone 'huge'; choose from: .*small-resnet"),
        ("criterion: magnitude", "criterion: taste", "unknown criterion 'taste'; choose from: .*magnitude"),
        ("[0.5, 0.9, 0.99]", "[0.5, 0.9, 1.0]", "tiny.yaml: sparsities.2: .*less than 1"),
        ("[0.5, 0.9, 0.99]", "[0.9, 0.5]", "tiny.yaml: sparsities: .*must rise"),
        ("gaussian", "horoscope", "unknown score 'horoscope'; choose from: .*gaussian"),
        ("backbone:", "colour: red\nbackbone:", "tiny.yaml: colour: Extra inputs"),
        ("backbone: small-resnet", "", "tiny.yaml: backbone: Field required"),
        ("seed: 0}", "seed: 0, scope: wide}", "tiny.yaml: ladders.0.scope: .*'global' or 'layer'"),
        ("seed: 0}", "seed: 0, weights: some}", "tiny.yaml: ladders.0: .*give one of the two"),
        ("{criterion: magnitude, ", "{", "tiny.yaml: ladders.0: .*schedule iterative needs a criterion"),
        ("schedule: iterative", "schedule: control", "tiny.yaml: ladders.0: .*control removes nothing"),
        ("backbone:", FULL.format(most=1.5), "tiny.yaml: full_fine_tuning.most: .*less than or equal to 1"),
        ("backbone:", FULL.format(most=0), "tiny.yaml: full_fine_tuning.most: .*greater than 0"),
        ("test_per_class: 10", "test_per_class: 0", "targets.0.test_per_class: .*greater than or equal to 1"),
        ("seed: 1}", "seed: 0}", "two ladders are called 'magnitude iterative 0'"),
        ("{task: digits,", "{task: digits, classes: none,", "tiny.yaml: targets.0.classes"),
        ("backbone:", "- backbone: [", "tiny.yaml: not valid YAML"),
        ("backbone:", "backbone: medium-resnet\nbackbone:", "tiny.yaml: not valid YAML: 'backbone' is given twice"),
    ],
)
def test_a_bad_profile_is_refused_in_one_line(checkout, old, new, complaint):
    path = checkout / "data" / "profiles" / "tiny.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(UsageError, match=complaint) as caught:
        profiles.load("tiny")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"- one\n", b"one", "name: \xe9".encode("latin-1"), b"{1: 2}", b"ladders: 1"])
def test_a_file_that_is_no_profile_is_refused_in_one_line(checkout, content):
    (checkout / "data" / "profiles" / "tiny.yaml").write_bytes(content)
    with pytest.raises(UsageError, match=r"^tiny\.yaml: ") as caught:
        profiles.load("tiny")
    assert "\n" not in str(caught.value)


def test_a_ladder_takes_from_the_profile_what_it_does_not_say(checkout):
    path = checkout / "data" / "profiles" / "tiny.yaml"
    text = path.read_text().replace("seed: 1}", "seed: 1, label: wide, sparsities: [0.25], pixels: 64}")
    path.write_text(text)
    first, second, _ = profiles.load("tiny").ladders
    assert (second.name, second.sparsities, second.pixels) == ("wide magnitude iterative 1", (0.25,), 64)
    assert (first.sparsities, first.pixels) == ((0.5, 0.9, 0.99), 32)
    assert first.source == second.source and first.fine_tuning == second.fine_tuning


def test_a_ladder_of_a_control_has_no_criterion_and_is_called_by_its_schedule(checkout):
    path = checkout / "data" / "profiles" / "tiny.yaml"
    old, new = "criterion: magnitude, schedule: iterative, seed: 1", "label: wide, schedule: control"
    text = path.read_text().replace(old, new)
    path.write_text(text.replace("criterion: random, schedule: iterative", "schedule: control"))
    found = [(ladder.criterion, ladder.method, ladder.name) for ladder in profiles.load("tiny").ladders]
    assert found[1:] == [(None, "wide control", "wide control 0"), (None, "control", "control 0")]


def test_what_is_not_said_of_tests_and_full_fine_tuning_is_everything(checkout):
    path = checkout / "data" / "profiles" / "tiny.yaml"
    text = path.read_text().replace(", test_per_class: 10", "")
    path.write_text(text.replace("backbone:", FULL.replace("most: {most}, ", "").format(), 1))
    tiny = profiles.load("tiny")
    assert [size.test_per_class for size in tiny.targets] == [None, 5]
    assert tiny.full_fine_tuning.most == 1


def test_of_the_photographs_pruned_and_control_ladders_start_from_the_same_backbones():
    """Six dense backbones of each residual network, three of the transformer."""
    ladders = profiles.load("photographs").ladders
    start = {
        ladder.name: (ladder.backbone, ladder.seed, ladder.pretraining, ladder.fine_tuning, ladder.sparsities)
        for ladder in ladders
    }
    seeds = {"": 6, "augmented ": 6, "transformer ": 3}
    for label, n in seeds.items():
        pairs = [(f"{label}magnitude iterative {seed}", f"{label}control {seed}") for seed in range(n)]
        assert all(start[pruned] == start[control] for pruned, control in pairs)
        assert f"{label}control {n}" not in start
