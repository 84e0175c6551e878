"""Arrays without a table: tensors (.pt), NumPy files (.npy, .npz) and a dict in memory. No pickle is ever unpacked."""

import pickle
import zipfile
import zlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..storage.unpacked import unpacked_size
from .causes import UnusableError, refuse_beyond_memory
from .parts import Loaded, Part, slide_name

__all__ = ["load_npy", "load_tensor", "parts_of_arrays", "parts_of_tensors", "read_npz"]

_NOT_PLAIN = "objects instead of plain numbers, which only pickle can read"
_FEATURES = ("features", "feats")
_SAVE_AGAIN = "save them again as plain arrays, or leave them out"
_DAMAGED = (OSError, EOFError, MemoryError, SyntaxError, LookupError, zipfile.BadZipFile, zlib.error)


def load_npy(path: Path) -> Loaded:
    """An array that NumPy saved.

    Raises:
        UnusableError: it cannot be read without pickle.
    """
    return Loaded(np.asarray(_numpy(path)))


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an archive that NumPy saved.

    Raises:
        UnusableError: it cannot be read without pickle.
    """
    refuse_beyond_memory(unpacked_size(path))
    with _numpy(path) as archive:
        try:
            return {name: np.asarray(archive[name]) for name in archive.files}
        except ValueError as error:
            raise UnusableError(_NOT_PLAIN, "save text as arrays of text (dtype=str)") from error
        except _DAMAGED as error:
            raise UnusableError("files that NumPy cannot read", _SAVE_AGAIN) from error


def _numpy(path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, *_DAMAGED) as error:
        cause = _NOT_PLAIN if "pickle" in str(error).lower() else "files that NumPy cannot read"
        raise UnusableError(cause, _SAVE_AGAIN) from error


def load_tensor(path: Path) -> Loaded:
    """A tensor that torch saved, alone or as `features` of a dict.

    Raises:
        UnusableError: it cannot be read without pickle, or is none.
    """
    found = _torch(path)
    if isinstance(found, Mapping):
        found = next((found[k] for k in _FEATURES if k in found), None)
    return _loaded(found)


def parts_of_tensors(path: Path) -> list[Part]:
    """The slides or patients of one file of torch: a tensor, or a dict of them.

    Raises:
        UnusableError: it cannot be read without pickle.
    """
    found = _torch(path)
    if isinstance(found, Mapping) and not set(_FEATURES) & set(found):
        return [
            Part(slide_name(str(name)), f"{path.name}, {name}", partial(_loaded, tensor))
            for name, tensor in found.items()
        ]
    return [Part(slide_name(path.name), path.name, partial(load_tensor, path))]


def _torch(path: Path) -> Any:
    from ..encoder.state_dict import load_plain  # torch takes seconds, and only these files need it

    refuse_beyond_memory(unpacked_size(path))
    try:
        return load_plain(path)
    except pickle.UnpicklingError as error:
        raise UnusableError(_NOT_PLAIN, "save the tensors alone: torch.save(features, FILE)") from error
    except (
        OSError, RuntimeError, EOFError, MemoryError, ValueError, LookupError, TypeError, AttributeError,
    ) as error:  # fmt: skip
        raise UnusableError("files that torch cannot read", "copy them again, or leave them out") from error


def _loaded(found: Any) -> Loaded:
    import torch

    if not isinstance(found, torch.Tensor):
        raise UnusableError(f"no tensor but {type(found).__name__}", "save the features as one tensor")
    refuse_beyond_memory(4 * found.numel())  # a tensor may repeat one number as often as it likes
    dtype = torch.float32 if found.is_floating_point() else found.dtype  # NumPy has no bfloat16
    return Loaded(found.detach().to(dtype).numpy())


def parts_of_arrays(arrays: Mapping[Any, Any], where: str) -> list[Part]:
    """Slides or patients of a dict of arrays."""
    return [
        Part(slide_name(str(name)), f"{where}{name}", partial(_given, array))
        for name, array in arrays.items()
    ]


def _given(array: Any) -> Loaded:
    try:
        return Loaded(np.asarray(array))
    except (TypeError, ValueError) as error:
        raise UnusableError("no arrays of numbers", "give (rows, numbers) arrays") from error
