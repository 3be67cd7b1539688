"""How much memory a model may take."""

from __future__ import annotations

import multiprocessing
import resource
from pathlib import Path

import numpy as np
import pytest

from modelstore import memory


def _take(pipe, mib: int) -> None:
    memory.limit(64 << 20)
    try:
        pipe.send(int(np.ones(mib << 20, dtype=np.uint8).sum()))
    except MemoryError:
        pipe.send("MemoryError")


@pytest.mark.parametrize(("mib", "answer"), [(32, 32 << 20), (128, "MemoryError")])
def test_no_more_than_was_granted(mib, answer):
    """What fits is given, what does not is a MemoryError, which can be told: the process lives."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_take, args=(there, mib))
    process.start()
    assert here.poll(60)
    assert here.recv() == answer
    process.join(30)
    assert process.exitcode == 0


def test_for_a_while_is_not_for_good():
    """Whoever does other things afterwards, or starts processes, is as free as before; after an error, too."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with memory.limited(64 << 20):
        assert resource.getrlimit(resource.RLIMIT_DATA) != before
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    with pytest.raises(ZeroDivisionError), memory.limited(64 << 20):
        _ = 1 / 0
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_large_models_may_take_more(tmp_path: Path):
    """2 GiB at least; eight times a package's files where that is more."""
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "model.onnx").write_bytes(b"x")
    assert memory.allowance(tmp_path / "small") == 2 << 30
    with (tmp_path / "large.skops").open("wb") as file:
        file.truncate(1 << 30)
    assert memory.allowance(tmp_path / "large.skops") == 8 << 30
