"""Pickles: what state dictionaries consist of passes; what would end the process or take for ever is refused unread."""

import io
import pickle
import time
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from tepones.common.errors import TeponesError
from tepones.ranking import formats, pickles

#: A tuple in a tuple in a tuple; pairs of the pair before; a number of a hundred bytes.
NESTED = b")" + b"\x85" * 300_000
PAIRS = b")" + b"".join(b"q%ch%c\x86" % (level, level) for level in range(60))
LONG = b"\x8a\x64" + b"\x01" * 100


def held(content) -> bytes:
    """The pickle that torch writes of something."""
    file = io.BytesIO()
    torch.save(content, file)
    file.seek(0)
    return torch._C.PyTorchFileReader(file).get_record("data.pkl")


def program(body: bytes) -> bytes:
    return b"\x80\x02" + body + b"."


def archive(folder: Path, body: bytes) -> Path:
    """A torch file that holds such a pickle."""
    file = torch._C.PyTorchFileWriter(str(folder / "x.pt"))
    content = program(body)
    file.write_record("data.pkl", content, len(content))
    file.write_end_of_file()
    return folder / "x.pt"


def test_what_training_programs_write_passes():
    net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    optimizer = torch.optim.AdamW(net.parameters())
    net(torch.ones(4, 3)).sum().backward()
    optimizer.step()
    content = {
        "model": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "half": torch.ones(2, dtype=torch.bfloat16),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "seen": {1, 2},
        "ordered": OrderedDict(a=(1, (2.5, None))),
        "dtype": torch.float16,
        "best": 2**60,
    }
    assert pickles.check(held(content)) is None


def test_beside_tensors_only_what_is_known_passes():
    content = held({"weight": torch.ones(1), "best": np.float64(0.5), "where": Path("x")})
    names = {"numpy.dtype", "numpy._core.multiarray.scalar", f"pathlib.{type(Path()).__name__}"}
    assert pickles.check(content, frozenset(names)) is None
    for name in names:
        with pytest.raises(pickle.UnpicklingError, match=f"GLOBAL {name} is not of tensors"):
            pickles.check(content, frozenset(names - {name}))


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        (NESTED, "nests tuples more than 50 levels deep"),
        (b"}" + NESTED + b"Ns", "nests tuples more than 50 levels deep"),
        (b"}" + PAIRS + b"Ns", "a tuple of more than 1,000 elements"),
        (b"(" + b"N" * 2_000 + b"t", "a tuple of more than 1,000 elements"),
        (LONG, "a whole number of more than 8 bytes"),
        (b"](" + b"N" * 1_000_000 + b"e", "more than 1,000,000 instructions"),
        (b"X" + (2**31).to_bytes(4, "little") + b"x" * (pickles.LARGEST + 1), "more than 67,108,864 bytes"),
    ],
)
def test_a_limit_is_named_and_met_in_no_time(tmp_path, body, limit):
    with pytest.raises(pickles.Excessive, match=limit):
        pickles.check(program(body))
    path = archive(tmp_path, body)
    started = time.process_time()
    with pytest.raises(TeponesError, match=f"x.pt: its pickle .*{limit}, and is not read; write its state dictionary"):
        formats.read(path)
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        # Eight gigabytes of zeros.
        (b"cbuiltins\nbytearray\n\x8a\x05\x00\x00\x00\x00\x02\x85R", "builtins.bytearray"),
        (b"cos\nsystem\nX\x02\x00\x00\x00ls\x85R", "os.system"),
        # Encodings whose time grows with the square of the text.
        (b"c_codecs\nencode\nX\x01\x00\x00\x00xX\x08\x00\x00\x00punycode\x86R", "_codecs.encode"),
        (b"ctorch._tensor\n_rebuild_from_type_v2\n(c_codecs\nencode\nN)NtR", "_codecs.encode"),
    ],
)
def test_calls_that_no_tensor_needs_are_refused(tmp_path, body, asked):
    with pytest.raises(pickle.UnpicklingError, match=f"GLOBAL {asked} "):
        pickles.check(program(body))
    with pytest.raises(TeponesError, match=rf"more than tensors \(it asks for {asked}\), which is never executed"):
        formats.read(archive(tmp_path, body))


@pytest.mark.parametrize("body", [b"", b"R", b"h\x01", b"t", b"(R", b"\x86", b"\xff", b"cos\n", b"X\xff\xff\xff\x7f"])
def test_a_damaged_pickle_is_no_complete_one(body):
    with pytest.raises((ValueError, pickle.UnpicklingError)):
        pickles.check(program(body))


def test_of_several_pickles_each_is_looked_at(tmp_path):
    torch.save({"w": torch.ones(1)}, tmp_path / "x.pt", _use_new_zipfile_serialization=False)
    content = (tmp_path / "x.pt").read_bytes()
    assert pickles.check(content, pickles=5) is None
    last = content.index(b".", content.index(b"_rebuild_tensor_v2")) + 1
    with pytest.raises(pickles.Excessive, match="nests tuples"):
        pickles.check(content[:last] + program(NESTED), pickles=5)
