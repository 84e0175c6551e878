"""Checkpoints of a training under way: whole or absent, and of this very training or refused."""

import io
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..encoder.identity import difference, identity_key
from ..errors import StaleCacheError
from ..storage.atomic import atomic_write

__all__ = ["TrainingState", "inspect_checkpoint", "read_checkpoint", "write_checkpoint"]


@dataclass
class TrainingState:
    """A training between two epochs. No state of a random generator: an epoch's randomness comes from its number.

    Attributes:
        key: digest of `identity`.
        epoch: epochs done.
        network, optimiser: their state dicts; None before the first epoch.
        best: the network's state after the best epoch so far.
        best_epoch: its number, from 1; 0 before the first.
        history: one record per epoch: loss, validation_loss, balanced_accuracy, auc, seconds, …
        seconds: spent training and validating, in all runs together.
        identity: all that decides the result, as JSON values; empty in files of earlier versions.
    """

    key: str
    epoch: int = 0
    network: dict[str, Tensor] | None = None
    optimiser: dict[str, Any] | None = None
    best: dict[str, Tensor] | None = None
    best_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    identity: dict[str, Any] = field(default_factory=dict)


def write_checkpoint(path: Path, state: TrainingState) -> None:
    """Put the state at `path`, in the place of the one before.

    Raises:
        OSError: the disk is full; the one before stays.
    """
    buffer = io.BytesIO()  # torch.save into a file words a full disk as a fault of its own format
    torch.save(vars(state), buffer)
    with atomic_write(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def read_checkpoint(
    path: Path, identity: Mapping[str, Any], former_keys: Collection[str] = ()
) -> TrainingState:
    """The state at `path`, or a new one where there is none.

    Args:
        path: of the checkpoint.
        identity: all that decides the result, as JSON values.
        former_keys: what earlier versions of lymphofeat called this very training.

    Raises:
        StaleCacheError: it is of a training with other settings, or cannot be read.
    """
    key = identity_key(identity)
    if not path.exists():
        return TrainingState(key, identity=dict(identity))
    state = inspect_checkpoint(path, whole=True)
    if state.key != key and state.key not in former_keys:
        differing = (
            difference(state.identity, identity) if state.identity else "settings, data or library versions"
        )
        raise StaleCacheError(
            f"{path} differs from this run ({differing}); give the options of the first run to continue "
            "it, another --name to keep both, or --force to start again."
        )
    state.key, state.identity = key, dict(identity)
    return state


def inspect_checkpoint(path: Path, *, whole: bool = False) -> TrainingState:
    """The state at `path`, whatever training it is of.

    Args:
        whole: read and check all of it; else its tensors are mapped, and read when they are used.

    Raises:
        StaleCacheError: it cannot be read, or is not as it was written.
    """
    try:
        _check(path, whole=whole)
        return TrainingState(**torch.load(path, map_location="cpu", weights_only=True, mmap=not whole))
    except Exception as error:  # torch.load and pickle raise many kinds on a damaged file
        raise StaleCacheError(
            f"{path} is damaged ({type(error).__name__}); move it away, or give --force, to train this encoder again."
        ) from error


def _check(path: Path, *, whole: bool) -> None:
    """Compare the parts of a file of torch.save with their checksums, which torch.load does not look at.

    Raises:
        zipfile.BadZipFile: one differs.
    """
    with zipfile.ZipFile(path) as parts:
        for name in parts.namelist():
            if whole or name.endswith("data.pkl"):  # all but the tensors
                with parts.open(name) as part:
                    while part.read(1 << 20):
                        pass
