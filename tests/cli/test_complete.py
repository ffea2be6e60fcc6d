"""What a shell offers to complete, as click asks for it."""

import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete

from tepones.cli import commands


def offered(*words):
    *before, incomplete = words
    return [item.value for item in ShellComplete(commands, {}, "tepones", "X").get_completions(before, incomplete)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("ra",), {"rank"}),
        (("rank", "--scores", "log"), {"logme"}),
        (("rank", "--scores", "knn,h_"), {"knn,h_score"}),
        (("score", "--scores", "knn,h_"), {"knn,h_score"}),
        (("rank", "--task", "imagenett"), {"imagenette", "imagenett"}),
        (("rank", "--backbones", "magnitude-it"), {"magnitude-iterative-0", "magnitude-it"}),
        (("rank", "--backbones", "x.pt", "snip"), {"snip-iterative-0", "snip"}),
        (("prune", "snip"), {"snip-iterative-0", "snip"}),
        (("prune", "--criterion", "sn"), {"snip"}),
        (("prune", "x.pt", "--schedule", "one"), {"one-shot"}),
        (("run", "--profile", "em"), {"embedded"}),
        (("run", "--profile", "sec"), {"second-order"}),
        (("explain", "satur"), {"saturated"}),
        (("explain", "log"), {"logme"}),
    ],
)
def test_the_shell_is_offered_what_begins_so(words, expected):
    assert set(offered(*words)) == expected


def test_completing_imports_no_torch():
    code = (
        "import sys; from click.shell_completion import ShellComplete; from tepones.cli import commands\n"
        "ShellComplete(commands, {}, 'tepones', 'X').get_completions(['rank', '--task'], 'i')\n"
        "assert 'torch' not in sys.modules, 'torch'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_bash_is_told_how(command, monkeypatch):
    monkeypatch.setenv("_TEPONES_COMPLETE", "bash_source")
    run = command()
    assert run.returncode == 0 and "complete -o nosort" in run.stdout
