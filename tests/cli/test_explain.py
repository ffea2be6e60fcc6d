"""`tepones explain`: every word that a ranking prints is explained."""

import numpy as np
import pytest

from tepones import ranking
from tepones.backbones.encoder import Encoder, Preparation
from tepones.cli import explain
from tepones.ranking import networks
from tepones.scores import SCORES


def test_every_flag_and_column_that_a_ranking_can_show_is_explained():
    pictures = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3)).astype(np.uint8)
    one = Encoder("one", "small-resnet", networks.build("small-resnet", 2), Preparation(), trained=False)
    ranked = ranking.rank(ranking.Target("grey", np.arange(8) % 2, pictures), [one], ["gaussian"])
    flags = {flag for cell in ranked.table["flags"] for flag in cell.split(", ") if flag}
    columns = set(ranked.table.columns) - {"backbone", "gaussian", "rank_low", "rank_high"}
    assert flags | columns <= explain.WORDS.keys() and "untrained" in flags


@pytest.mark.parametrize("spelled", ["N ≤ D", "n<=d", "N<=D", "nonzero-weights", "NULL"])
def test_words_may_be_spelled_as_they_are_typed(command, spelled):
    run = command("explain", spelled)
    assert (run.returncode, run.stderr) == (0, "") and run.stdout.count("\n") == 1


def test_a_score_is_explained_by_its_own_words(command):
    out = command("explain", "lda_accuracy").stdout
    assert "[0, 1] (accuracy)" in out and "Leave-one-out accuracy" in out and "Returns" not in out


def test_without_a_word_all_are_listed(command):
    assert [line.partition(":")[0] for line in command("explain").stdout.splitlines()] == [*explain.WORDS, *SCORES]


def test_an_unknown_word_is_one_line(command):
    run = command("explain", "sparsty")
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("tepones: unknown word 'sparsty'; choose from: N ≤ D, active")
