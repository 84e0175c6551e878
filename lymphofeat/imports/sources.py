"""What a user names as the source of features: a folder of files, one file, or a dict of arrays."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ..cohort.problems import counted, listing
from ..errors import InputError
from ..storage.kinds import path_kind
from ..storage.paths import AnyPath
from .anndata import read_anndata
from .arrays import load_npy, load_tensor, parts_of_arrays, parts_of_tensors, read_npz
from .causes import UnusableError
from .columns import PATIENT, SLIDE, ColumnNames
from .hdf5 import is_anndata, is_cache, is_of_coordinates, load_hdf5, parts_of_file
from .parts import Loaded, Part, Source, slide_name
from .tables import features_of_frame, read_frame, source_of_rows

__all__ = ["open_source"]

_HDF5, _TABLES = (".h5", ".hdf5"), (".csv", ".tsv", ".txt", ".parquet")
_LOADERS = {
    **dict.fromkeys(_HDF5, load_hdf5),
    ".pt": load_tensor,
    ".npy": load_npy,
}  # a slide or patient a file
_BEST = tuple(_LOADERS)  # of one slide in several formats the first of these is read
_FEATURES = ("features", "feats", "x", "embeddings")  # of an archive of NumPy, lower case
_TAKEN = (
    "it takes a folder of .h5, .pt or .npy files, one a slide or patient, or one file: .h5, .h5ad, .pt, .npz, .csv or "
    ".parquet"
)


def open_source(
    source: AnyPath | Mapping[Any, Any] | pd.DataFrame, names: ColumnNames, matrix: str = "X"
) -> Source:
    """What a source holds; features of a folder are not read yet.

    Args:
        source: a folder, a file, a table, or a dict of arrays by slide or patient.
        names: of the columns of tables.
        matrix: of an AnnData object: "X", "obsm/NAME" or "layers/NAME".

    Raises:
        InputError: it holds no features, or a table whose columns are not certain.
    """
    if isinstance(source, pd.DataFrame):
        return features_of_frame(source, names, "the table of features")
    if isinstance(source, Mapping):
        if not source:
            raise InputError("the dict of features is empty; give an array for each patient or slide.")
        return Source(tuple(parts_of_arrays(source, "")))
    path = Path(source)
    if path.is_dir():
        return _of_folder(path)
    if not path.is_file():
        raise InputError(
            f"{path}: {path_kind(path) if path.exists() else 'no such file or folder'}; name the features: {_TAKEN}."
        )
    try:
        return _of_file(path, names, matrix)
    except UnusableError as error:
        raise InputError(f"{path}: {error.cause}; {error.remedy}.") from error


def _of_file(path: Path, names: ColumnNames, matrix: str) -> Source:
    suffix = path.suffix.lower()
    if suffix in _TABLES:
        return features_of_frame(read_frame(path, names), names, path.name)
    if suffix == ".npz":
        return _of_archive(path, names)
    if suffix == ".pt":
        return Source(tuple(parts_of_tensors(path)))
    if suffix == ".npy":
        return Source((Part(slide_name(path.name), path.name, lambda: load_npy(path)),))
    if suffix not in (*_HDF5, ".h5ad"):
        raise InputError(f"{path} is none of the files that import reads; {_TAKEN}.")
    if is_cache(path):
        raise InputError(f"{path} is a cache of lymphofeat already; give it to tune by --cache {path}.")
    if is_anndata(path):
        features, values = read_anndata(path, matrix)
        width = features.shape[1] if features.ndim == 2 else 1
        return source_of_rows(
            features, values, names, path.name, f"{counted(width, 'number')} a row: {matrix}"
        )
    return Source(tuple(parts_of_file(path)))


def _of_archive(path: Path, names: ColumnNames) -> Source:
    """Arrays by slide or patient; or one array of features beside one of the rows' patients or slides."""
    arrays = read_npz(path)
    features = next((name for name in arrays if name.lower() in _FEATURES), "")
    if not features or not (names.find(PATIENT, arrays) or names.find(SLIDE, arrays)):
        return Source(tuple(parts_of_arrays(arrays, f"{path.name}, ")))
    n = len(arrays[features])
    columns = {k: v for k, v in arrays.items() if k != features and v.shape == (n,)}
    if wrong := [k for k in arrays if k != features and k not in columns and names.is_known(k)]:
        raise InputError(
            f"{path}: {wrong[0]} is of shape {arrays[wrong[0]].shape} beside {n:,} rows of {features}; give a value a "
            "row."
        )
    return source_of_rows(arrays[features], pd.DataFrame(columns), names, path.name)


def _of_folder(path: Path) -> Source:
    files: dict[str, dict[str, Path]] = {}
    tables: list[str] = []
    coordinates = 0
    for file in sorted(path.rglob("*")):
        suffix = file.suffix.lower()
        if file.name.startswith(".") or not file.is_file():
            continue
        if suffix in _HDF5 and file.parent.name == "patches" and is_of_coordinates(file):
            coordinates += 1
        elif suffix in _LOADERS:
            files.setdefault(_key(file, path), {})[suffix] = file
        elif suffix in (*_TABLES, ".npz", ".h5ad"):
            tables.append(file.name)
    if not files:
        which = f"; it holds {listing(tables)}: name one of these" if tables else ""
        which += f"; its {counted(coordinates, 'file')} say only where patches are" if coordinates else ""
        raise InputError(f"{path} holds no file of features{which}; {_TAKEN}.")
    twice = sum(len(each) > 1 for each in files.values())
    notes = [f"{counted(twice, 'slide')} in two formats, read from {_BEST[0]}"] if twice else []
    notes += [f"{counted(coordinates, 'file')} of coordinates passed over"] if coordinates else []
    parts = []
    for each in files.values():
        file = each[next(suffix for suffix in _BEST if suffix in each)]
        inside = file.relative_to(path)
        parts.append(Part(slide_name(inside.as_posix()), str(inside), _loader(file)))
    return Source(tuple(parts), notes=tuple(notes))


def _loader(file: Path) -> Any:
    def load() -> Loaded:
        return _LOADERS[file.suffix.lower()](file)

    return load


def _key(file: Path, root: Path) -> str:
    """What the same slide in CLAM's h5_files and pt_files has in common."""
    inside = file.relative_to(root)
    folders = [part for part in inside.parts[:-1] if part not in ("h5_files", "pt_files")]
    return "/".join([*folders, file.name[: -len(file.suffix)]])
