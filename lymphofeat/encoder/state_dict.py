"""The numbers of an encoder in a file: reading them, naming them, and what they are of."""

import json
import pickle
import re
import warnings
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import LeakageError, WeightsError
from ..storage.unpacked import unpacked_size
from ..wording import size_text

__all__ = ["ABOUT", "OWN_PREFIXES", "WRAPPERS", "is_trained", "load_plain", "read_state", "state_digest"]

ABOUT = "lymphofeat"  # the metadata key of these files
# What torch and pickle raise on bytes that are no plain weights; `MemoryError` where these declare too many.
_UNREADABLE = (
    pickle.UnpicklingError, SafetensorError, RuntimeError, EOFError, OSError, MemoryError, ValueError, LookupError,
    TypeError, AttributeError, ArithmeticError, AssertionError,
)  # fmt: skip
_DIRECTORY = 1_000_000  # bytes of names and padding, generously
_EVERY_FOLD = "all"  # what one says that it is blind to if it learnt from no label
WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model",
)  # keys under which a training script keeps the state dict
OWN_PREFIXES = ("module.", "_orig_mod.")  # what torch itself puts before names: DataParallel, torch.compile


def is_trained(path: Path) -> bool:
    """Whether the safetensors file at `path` holds a fine-tuned or adapted encoder of this program."""
    return _about(path) is not None


def _about(path: Path) -> dict[str, Any] | None:
    """What such a file says of its encoder; None of any other file."""
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(ABOUT)
        return None if text is None else dict(json.loads(text))
    except (SafetensorError, OSError):
        return None
    except (ValueError, TypeError, RecursionError):  # one whose description is damaged
        return {}


def state_digest(state: Mapping[str, Tensor]) -> str:
    """Hex digest of the tensors of a state dict, names and shapes included."""
    digest = blake2b(digest_size=16)
    for key in sorted(state):
        if not key.endswith("num_batches_tracked"):  # bookkeeping of training, not a weight
            value = state[key].detach().cpu().contiguous()  # whose strides may still lie where a side is 1
            digest.update(f"{key}:{tuple(value.shape)}:{value.dtype}".encode())
            digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict in a weights file, whatever wraps it.

    Raises:
        WeightsError: no such file, or no plain weights in it.
        LeakageError: the file is an encoder that `extract` fine-tuned.
    """
    return _without_own_prefixes(_unwrapped(path, _read(path)))


def _read(path: Path) -> Any:
    if not path.is_file():
        raise WeightsError(
            f"{path}: no such weights file; --weights takes imagenet, none, or an existing file."
        )
    _refuse_trained(path)
    packed, unpacked = path.stat().st_size, unpacked_size(path)
    if unpacked > 2 * packed + _DIRECTORY:
        raise WeightsError(
            f"{path} has {size_text(packed)} and unpacks to {size_text(unpacked)}, as no file of torch.save does; do "
            "not use it, or get it anew from where it comes from."
        )
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        return load_plain(path)
    except _UNREADABLE as error:
        cause = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if isinstance(error, pickle.UnpicklingError):  # whose text advises to run the code in the file
            cause = "something else than tensors and names, or damaged"
        raise WeightsError(
            f"{path} holds no plain weights ({cause[:200]}); save the network's state_dict() with torch.save or "
            "safetensors and give that."
        ) from error


def load_plain(path: Path) -> Any:
    """What torch saved, without code: whatever `torch.load(weights_only=True)` raises, but no warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Detected pickle protocol")
        return torch.load(path, map_location="cpu", weights_only=True)


def _refuse_trained(path: Path) -> None:
    about = _about(path)
    if about is None:
        return
    if about.get("blind_to") == _EVERY_FOLD:
        raise WeightsError(
            f"{path} was adapted to the images of a cohort, and features from it as start weights would not say so; "
            "start from the weights that it was adapted from."
        )
    raise LeakageError(
        f"{path} was fine-tuned on a cohort's labels, and as start weights it would pass for an encoder that saw "
        "none; start from the weights that it was trained from."
    )


def _unwrapped(path: Path, raw: Any, wrappers: Sequence[str] = WRAPPERS) -> dict[str, Tensor]:
    while isinstance(raw, Mapping):
        wrapper = next((w for w in wrappers if isinstance(raw.get(w), Mapping)), None)
        if wrapper is None:
            break
        raw = raw[wrapper]
    if not isinstance(raw, Mapping) or not raw or not all(isinstance(v, Tensor) for v in raw.values()):
        raise WeightsError(f"{path} holds no state dict (names → tensors); save the network's state_dict().")
    for name, value in raw.items():
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise WeightsError(
                f"{path}: {name} repeats few numbers to {tuple(value.shape)}, as no trained network does; do not "
                "use the file, or save the state_dict() with its numbers."
            )
    return {str(key): value for key, value in raw.items()}


def _without_own_prefixes(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The names without what torch put before them, however often, in the same order."""
    own = re.compile(f"(?:{'|'.join(map(re.escape, OWN_PREFIXES))})+")
    short = {key[found.end() :] if (found := own.match(key)) else key: value for key, value in state.items()}
    return short if len(short) == len(state) else dict(state)  # two networks of which one is wrapped
