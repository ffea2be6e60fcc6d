"""One kernel runs several notebooks, each as if it were the first."""

import os
import signal

import nbformat
import pytest

from tepones.common.errors import TeponesError
from tepones.companion import kernel as kernels
from tepones.companion import notebooks
from tepones.companion.kernel import Kernel


def stdout(path):
    cells = nbformat.read(path, as_version=4).cells
    return "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))


def test_nothing_of_a_notebook_is_left_for_the_next_and_a_kernel_ends_with_its_block(write_notebook, small, tmp_path):
    mess = "import os\nleft = 1\nos.environ['LEFT'] = '1'\nos.chdir('/')\nprint(os.getpid())"
    first = write_notebook("first", mess, "1")
    second = write_notebook(
        "second",
        "import os\nprint(os.getpid(), 'left' in globals(), 'LEFT' in os.environ, os.getcwd())",
        "print(get_ipython().execution_count, len(Out))",
    )
    with Kernel() as kernel:
        one, two = (notebooks.execute(name, {}, tmp_path / f"{name}.ipynb", kernel) for name in (first, second))
        process, *found = stdout(two).splitlines()[0].split()
        assert process == stdout(one).split()[0], "one kernel ran both"
        os.kill(int(process), 0)
    with pytest.raises(ProcessLookupError):
        os.kill(int(process), 0)
    assert found == ["False", "False", str(small)]
    alone = notebooks.execute(second, {}, tmp_path / "alone.ipynb")
    assert stdout(alone).splitlines()[0].split()[1:] == found
    assert stdout(alone).splitlines()[1:] == stdout(two).splitlines()[1:]


def test_a_dead_kernel_is_replaced(write_notebook, tmp_path):
    dies, lives = write_notebook("dies", "import os\nos._exit(1)"), write_notebook("lives", "print('alive')")
    with Kernel() as kernel:
        with pytest.raises(TeponesError, match="notebook dies"):
            notebooks.execute(dies, {}, tmp_path / "dies.ipynb", kernel)
        assert stdout(notebooks.execute(lives, {}, tmp_path / "lives.ipynb", kernel)) == "alive\n"


def test_a_kernel_that_does_not_answer_is_replaced(write_notebook, tmp_path, monkeypatch):
    monkeypatch.setattr(kernels, "PATIENCE", 4)
    tells = write_notebook("tells", "import os\nprint(os.getpid())")
    with Kernel() as kernel:
        first = stdout(notebooks.execute(tells, {}, tmp_path / "tells.ipynb", kernel))
        os.kill(int(first), signal.SIGSTOP)
        second = stdout(notebooks.execute(tells, {}, tmp_path / "tells.ipynb", kernel))
        assert second != first
        with pytest.raises(ProcessLookupError):
            os.kill(int(first), 0)


def test_where_no_kernel_answers_it_is_told_in_one_line(write_notebook, tmp_path, monkeypatch):
    monkeypatch.setattr(kernels, "PATIENCE", 0.01)
    tells = write_notebook("tells", "1")
    with Kernel() as kernel, pytest.raises(TeponesError, match=r"notebook tells: .*(answer|respond)"):
        notebooks.execute(tells, {}, tmp_path / "tells.ipynb", kernel)


def test_a_guard_stops_a_chapter_as_it_is_committed_and_only_remarks_with_parameters(write_notebook, tmp_path, kernel):
    guard = "from tepones.companion import charts\ncharts.holds(n > 1, 'more')"
    name = write_notebook("guarded", ":tags: [parameters]\nn = 1", guard)
    with pytest.raises(TeponesError, match="guarded by 'more' is false"):
        notebooks.execute(name, {}, tmp_path / "strict.ipynb", kernel)
    for n, remark in ((1, True), (2, False)):
        notebooks.execute(name, {"n": n}, tmp_path / "out.ipynb", kernel)
        assert ("it is otherwise" in (tmp_path / "out.ipynb").read_text()) == remark
