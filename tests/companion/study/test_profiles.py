"""Profiles: what a ladder takes from them, and what they may get wrong."""

import pytest

from tepones.common.errors import UsageError
from tepones.companion.study import profiles


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("epochs: 2", "epochs: many", "tiny.yaml: pretraining.epochs: .* number.*'many'"),
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


def test_a_ladder_takes_from_the_profile_what_it_does_not_say(checkout):
    path = checkout / "data" / "profiles" / "tiny.yaml"
    text = path.read_text().replace("seed: 1}", "seed: 1, label: wide, sparsities: [0.25], pixels: 64}")
    path.write_text(text)
    first, second, _ = profiles.load("tiny").ladders
    assert (second.name, second.sparsities, second.pixels) == ("wide magnitude iterative 1", (0.25,), 64)
    assert (first.sparsities, first.pixels) == ((0.5, 0.9, 0.99), 32)
    assert first.source == second.source and first.fine_tuning == second.fine_tuning
