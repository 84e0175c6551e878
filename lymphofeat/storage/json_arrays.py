"""Arrays as JSON values that come back bit by bit."""

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import storable

__all__ = ["pack", "unpack"]


def pack(array: NDArray[Any]) -> dict[str, Any]:
    """An array as JSON: shape, little-endian dtype, base64 of its bytes in C order."""
    values = storable(array)
    data = base64.b64encode(values.tobytes()).decode("ascii")
    return {"shape": list(array.shape), "dtype": values.dtype.str, "base64": data}


def unpack(packed: Mapping[str, Any]) -> NDArray[Any]:
    """The array of `pack`.

    Raises:
        KeyError, ValueError, TypeError: not what `pack` writes.
    """
    data = base64.b64decode(packed["base64"], validate=True)
    return np.frombuffer(data, dtype=np.dtype(packed["dtype"])).reshape(packed["shape"])
