"""AnnData objects (.h5ad): a matrix of features and a table of the rows' patients.

Read by h5py alone, as https://anndata.readthedocs.io/en/stable/fileformat-prose.html describes the format: arrays,
sparse matrices by row or by column, and columns of text, numbers, truth values and categories.
"""

import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .causes import UnusableError, refuse_beyond_memory
from .hdf5 import opened

__all__ = ["read_anndata"]

_SPARSE = {"csr_matrix": "csr", "csc_matrix": "csc"}


def read_anndata(path: Path, matrix: str = "X") -> tuple[NDArray[Any], pd.DataFrame]:
    """The features and the values of the rows.

    Args:
        path: the file.
        matrix: where the features are: "X", "obsm/NAME" or "layers/NAME".

    Returns:
        (n, D) of the matrix, and (n,) rows of `obs`. Columns of other kinds than those above are left out.

    Raises:
        UnusableError: the file cannot be read, has no such matrix, or holds one of another kind.
    """
    with opened(path) as file:
        if matrix not in file or "obs" not in file:
            there = [
                "X",
                *(f"{group}/{name}" for group in ("obsm", "layers") for name in file.get(group, ())),
            ]
            raise UnusableError(f"no matrix {matrix} (there are {', '.join(there)})", "name one by --matrix")
        features = _matrix(file[matrix])
        obs = file["obs"]
        if not isinstance(obs, h5py.Group):
            raise UnusableError("a table of rows (obs) of an early version of AnnData", "write it again")
        columns = {name: _column(obs[name], obs) for name in obs if not name.startswith("__")}
    table = {
        name: values
        for name, values in columns.items()
        if values is not None and len(values) == len(features)
    }
    return features, pd.DataFrame(table)


def _matrix(found: Any) -> NDArray[Any]:
    if isinstance(found, h5py.Dataset):
        refuse_beyond_memory(found.nbytes)
        return np.asarray(found[()])
    kind = _SPARSE.get(str(found.attrs.get("encoding-type", found.attrs.get("h5sparse_format", ""))), "")
    if not kind:
        raise UnusableError("a matrix that is neither an array nor sparse", "write it as an array")
    from scipy import sparse

    shape = tuple(int(n) for n in found.attrs.get("shape", found.attrs.get("h5sparse_shape")))
    made = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix}[kind]
    refuse_beyond_memory(math.prod(shape) * found["data"].dtype.itemsize)
    return np.asarray(
        made((found["data"][:], found["indices"][:], found["indptr"][:]), shape=shape).toarray()
    )


def _column(found: Any, obs: h5py.Group) -> NDArray[Any] | None:
    """(n,) values, None and NaN where they are missing; None of a column of a kind that is not known."""
    if isinstance(found, h5py.Dataset):
        values = _values(found)
        old = obs.get("__categories")
        if "categories" in found.attrs and old is not None:  # before AnnData 0.8
            return _of_categories(values, _values(old[found.name.rsplit("/", 1)[-1]]))
        return values
    kind = str(found.attrs.get("encoding-type", ""))
    if kind == "categorical":
        return _of_categories(found["codes"][:], _values(found["categories"]))
    if kind.startswith("nullable-"):
        values = _values(found["values"]).astype(object)
        values[found["mask"][:].astype(bool)] = None
        return values
    return None


def _values(found: Any) -> NDArray[Any]:
    if not isinstance(found, h5py.Dataset):  # categories that may be missing
        return np.asarray(_column(found, found.parent))
    return np.asarray(found.asstr()[:] if h5py.check_string_dtype(found.dtype) else found[:])


def _of_categories(codes: NDArray[Any], categories: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.append(categories.astype(object), [None])[codes])  # the code −1 is "missing"
