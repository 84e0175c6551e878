"""Checkpoints are whole or refused, bit by bit."""

import random
from pathlib import Path

import pytest
import torch

from lymphofeat.encoder.identity import identity_key
from lymphofeat.errors import StaleCacheError
from lymphofeat.training.checkpoint import (
    TrainingState,
    inspect_checkpoint,
    read_checkpoint,
    write_checkpoint,
)

IDENTITY = {"recipe": "test"}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    state = TrainingState(
        identity_key(IDENTITY), 2, {"weight": torch.rand(40, 30)}, {"lr": 0.1, "state": {0: torch.rand(1200)}},
        {"weight": torch.rand(40, 30)}, 1, [{"loss": 0.5}], 3.0, IDENTITY,
    )  # fmt: skip
    write_checkpoint(tmp_path / "x.checkpoint", state)
    return tmp_path / "x.checkpoint"


def test_a_flipped_bit_is_found_or_changes_nothing(written: Path) -> None:
    """torch.load itself takes other weights without a word."""
    content, rng = written.read_bytes(), random.Random(0)
    expected = read_checkpoint(written, IDENTITY)
    found = 0
    for _ in range(150):
        damaged = bytearray(content)
        damaged[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        written.write_bytes(damaged)
        try:
            state = read_checkpoint(written, IDENTITY)
        except StaleCacheError:
            found += 1
            continue
        assert torch.equal(state.network["weight"], expected.network["weight"])
        assert torch.equal(state.best["weight"], expected.best["weight"])
        assert torch.equal(state.optimiser["state"][0], expected.optimiser["state"][0])
        assert (state.epoch, state.history, state.best_epoch) == (2, expected.history, 1)
    assert found > 100


def test_what_is_only_looked_at_is_checked_but_for_its_tensors(written: Path) -> None:
    content = written.read_bytes()
    assert inspect_checkpoint(written).epoch == 2
    at = content.index(b"loss")
    written.write_bytes(content[:at] + b"lost" + content[at + 4 :])
    with pytest.raises(StaleCacheError, match="is damaged"):
        inspect_checkpoint(written)
