"""Arrays as bytes: the values in C order, little-endian, wherever and however they lie in memory.

Writers of raw memory (`safetensors.numpy.save` is one) store whatever lies behind an array's first element: of an array
in Fortran order, a slice or a transpose that is another array. Whatever stores arrays comes through here.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

if TYPE_CHECKING:  # torch takes seconds to import, and most of what stores arrays needs none
    from torch import Tensor

__all__ = ["STORED", "array_bytes", "load_arrays", "save_arrays", "save_tensors", "storable"]

# Names of the dtypes that have a form in every file of this program.
STORED = frozenset(
    {"float64", "float32", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8", "bool"}
)


def storable(array: NDArray[Any]) -> NDArray[Any]:
    """The same values and shape, one behind the other in C order, little-endian; a copy only where it must be one.

    Raises:
        TypeError: a dtype outside `STORED`, or a masked array, whose mask has no form.
    """
    if isinstance(array, np.ma.MaskedArray) or array.dtype.name not in STORED:
        raise TypeError(f"a {type(array).__name__} of {array.dtype}")
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")


def array_bytes(array: NDArray[Any]) -> bytes:
    """The bytes of `storable`; `np.frombuffer` with its dtype, reshaped, gives the array back.

    Raises:
        TypeError: as `storable`.
    """
    return storable(array).tobytes()


def save_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """A safetensors file.

    Raises:
        TypeError: as `storable`.
    """
    return bytes(safetensors.numpy.save({name: storable(array) for name, array in arrays.items()}))


def load_arrays(content: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of `save_arrays`.

    Raises:
        safetensors.SafetensorError, KeyError, ValueError: not a safetensors file.
    """
    return dict(safetensors.numpy.load(content))


def save_tensors(state: Mapping[str, "Tensor"], metadata: dict[str, str] | None = None) -> bytes:
    """A safetensors file of a state dict; each tensor in C order, in memory of its own, whatever they share here."""
    import torch
    from safetensors.torch import save

    stored = {
        name: tensor.detach().cpu().resolve_conj().resolve_neg().clone(memory_format=torch.contiguous_format)
        for name, tensor in state.items()
    }
    return bytes(save(stored, metadata))
