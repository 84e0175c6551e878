"""Announcing what is read of a mapped array changes nothing of it, wherever the part lies."""

from pathlib import Path

import numpy as np
import pytest

from lymphofeat.cache.bags import Bags
from lymphofeat.storage.mapped import announce


@pytest.mark.parametrize("offset", [0, 8, 4096, 12_344])
def test_any_part_of_a_mapped_file(tmp_path: Path, offset: int) -> None:
    values = np.random.default_rng(0).normal(size=(5000, 32)).astype(np.float32)
    (tmp_path / "f").write_bytes(bytes(offset) + values.tobytes())
    mapped = np.asarray(np.memmap(tmp_path / "f", np.float32, "r", offset, values.shape))
    for start, stop in ((0, 5000), (1, 700), (4000, 5000), (4999, 5000), (10, 10)):
        part = mapped[start:stop]
        assert announce(part) is part
        np.testing.assert_array_equal(part, values[start:stop])
    lengths = np.array([1000, 3000, 1000])
    bags = Bags(mapped, np.cumsum(lengths) - lengths, lengths)
    np.testing.assert_array_equal(np.concatenate(list(bags)), values)


def test_arrays_in_memory_are_left_alone() -> None:
    values = np.ones((1000, 100), np.float32)
    for part in (values, values[10:900], values.T[:50], np.ones(0), np.frombuffer(bytes(1 << 17), np.uint8)):
        assert announce(part) is part
