"""The benchmark of pruning: what it compares with what, and what it prints."""

import copy
import json

import pytest
import torch
from click.testing import CliRunner
from torch import nn

from tepones.backbones.base import Backbone
from tepones.cli import rank
from tepones.common.errors import UsageError
from tepones.companion.bench import pruning as bench
from tepones.companion.bench.pruning import Measurement
from tepones.pruning.criteria.block import block
from tepones.pruning.masks import dense, prunable, sparsity


@pytest.fixture
def clock(monkeypatch):
    """A clock of CPU time that only the tasks move on."""

    class Clock:
        now = 0.0

        def takes(self, *durations):
            """A task whose runs take so many seconds, one after the other."""
            waiting = iter(durations)

            def task(network):
                self.now += next(waiting)

            return task

    clock = Clock()
    monkeypatch.setattr(bench.time, "process_time", lambda: clock.now)
    return clock


@pytest.fixture
def network():
    return Backbone(nn.Sequential(nn.Flatten(), nn.Linear(3, 2)), 2, 2)


@pytest.fixture
def measured(monkeypatch):
    """Replace what is measured."""
    fakes = (
        Measurement("quick", "s", 2, lambda: 1.9),
        Measurement("just", "s", 2, lambda: 2.0),
        Measurement("slow", "times", 1.1, lambda: 1.1001),
    )
    monkeypatch.setattr(bench, "MEASUREMENTS", fakes)


def test_a_goal_holds_up_to_its_value(measured):
    table = bench.bench()
    assert table.columns.tolist() == ["what", "measured", "goal", "unit", "holds"]
    assert table["what"].tolist() == ["quick", "just", "slow"]
    assert table["holds"].tolist() == ["yes", "yes", "no"]
    assert table["unit"].tolist() == ["s", "s", "times"]


def test_everything_is_measured_on_one_thread_and_the_threads_come_back(monkeypatch):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        one = Measurement("threads", "", 1, lambda: float(torch.get_num_threads()))
        monkeypatch.setattr(bench, "MEASUREMENTS", (one,))
        assert bench.bench()["measured"].tolist() == [1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_seconds_are_the_median_without_the_first_run(clock, network):
    assert bench.seconds(network, clock.takes(100, 3, 1, 2), repeats=3) == 2


def test_the_ratio_is_the_median_over_pairs_that_change_places(clock, network, monkeypatch):
    monkeypatch.setattr(bench, "PAIRS", 3)
    order = []

    def noted(name, task):
        def run(network):
            order.append(name)
            task(network)

        return run

    masked, plain = noted("masked", clock.takes(900, 3, 8, 2)), noted("plain", clock.takes(1, 2, 4, 2))
    assert bench.ratio(network, masked, plain) == 1.5
    assert order == ["plain", "masked", "masked", "plain"] * 2


def test_every_run_has_a_network_of_its_own(network):
    seen = []

    def spoil(mine):
        seen.append(mine.classifier.weight.abs().sum().item())
        with torch.no_grad():
            mine.classifier.weight.zero_()

    bench.seconds(network, spoil, repeats=2)
    assert len(set(seen)) == 1 and seen[0] > 0


@pytest.fixture
def made(monkeypatch):
    """What the timed tasks return: each runs once, on eight images."""
    results = []

    def run(backbone, task, repeats=1):
        results.append((backbone, task(copy.deepcopy(backbone))))
        return 0.0

    monkeypatch.setattr(bench, "seconds", run)
    monkeypatch.setattr(bench, "N_IMAGES", 8)
    return results


def test_the_one_shot_that_is_timed_prunes_a_resnet_50_by_magnitude_in_the_whole_network(made):
    bench._one_shot()
    [(backbone, masks)] = made
    assert sum(mask.numel() for mask in masks.values()) == 23_454_912  # of torchvision's ResNet-50, without classifier
    assert sparsity(masks) == pytest.approx(0.95, abs=1e-6)
    weights = prunable(backbone)
    kept = min(weights[name][mask].abs().min() for name, mask in masks.items())
    assert kept >= max(weights[name][~mask].abs().max() for name, mask in masks.items() if not mask.all())


def test_the_saliency_that_is_timed_is_that_of_blocks(made):
    bench._block()
    [(backbone, saliency)] = made
    expected = block(backbone, bench._setting("block"))
    assert saliency.keys() == prunable(backbone).keys()
    assert all(torch.equal(saliency[name], expected[name]) for name in expected)


def test_the_network_that_is_shrunk_in_time_has_channels_to_lose(made):
    bench._shrink("small-resnet")
    [(backbone, shrunk)] = made
    sizes = [sum(weight.numel() for weight in network.parameters()) for network in (shrunk, backbone)]
    assert sizes[0] < 0.8 * sizes[1]


def test_the_training_with_masks_is_held_sparse_and_the_other_is_dense(monkeypatch):
    """What is compared differs in the masks and in nothing else."""
    given = []

    def both(backbone, task, other):
        for run in (task, other):
            run(backbone)
        return 1.0

    monkeypatch.setattr(bench, "ratio", both)
    monkeypatch.setattr(bench, "train", lambda *arguments: given.append(arguments))
    bench._with_masks()
    (masked, plain) = given
    assert masked[:-1] == plain[:-1]
    assert sparsity(masked[-1]) == pytest.approx(0.95, abs=1e-4) and plain[-1] is None
    assert masked[-1].keys() == dense(masked[0]).keys()


def test_the_command_prints_the_table(measured):
    done = CliRunner().invoke(rank.bench, ["pruning", "--format", "json"])
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)
    assert rows[2] == {"what": "slow", "measured": 1.1001, "goal": 1.1, "unit": "times", "holds": "no"}


@pytest.mark.parametrize("option", [["--size", "small"], ["--scores", "lda"], ["--scores", ""]])
def test_options_of_the_scores_are_refused(measured, option):
    with pytest.raises(UsageError, match="`bench pruning` has neither"):
        CliRunner().invoke(rank.bench, ["pruning", *option], catch_exceptions=False)
