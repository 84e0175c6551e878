"""HDF5 files of features as TRIDENT, CLAM and STAMP write them, one slide or patient a file.

* TRIDENT (github.com/mahmoodlab/TRIDENT, trident/wsi_objects/WSI.py): a dataset `features`, (n, D) of patches or (D,)
  of a slide, with the attributes `encoder` (later versions) and `name`; `coords` (n, 2). The folder is called
  `features_ENCODER` or `slide_features_ENCODER`. Files `NAME_patches.h5` hold coordinates only.
* CLAM (github.com/mahmoodlab/CLAM, extract_features_fp.py): datasets `features` (n, D) and `coords`, no attributes, in
  `h5_files`; the same features as a tensor in `pt_files`. Older forks have (1, n, D).
* STAMP (github.com/KatherLab/STAMP, src/stamp/preprocessing and encoding): a dataset `feats`, (n, D) of tiles or (D,)
  or (1, D) of a slide or patient; attributes of the file: `extractor` or `encoder`, `feat_type` ("tile", "slide",
  "patient"), `unit` ("um"), `tile_size_um`, `tile_size_px`. Its first versions put all slides' vectors into
  one file, a dataset each.

Of these, STAMP says how large a pixel is. TRIDENT's magnifications (`target_magnification`) are nominal: 20 × of one
scanner is 0.5 µm per pixel, of another 0.46. Its classes of patches and other programs have `mpp`, that of level 0.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..cohort.pixel_size import LARGEST, SMALLEST
from ..storage.hdf5 import open_to_read
from .causes import UnusableError, refuse_beyond_memory
from .parts import Loaded, Part, slide_name

__all__ = ["is_anndata", "is_cache", "is_of_coordinates", "load_hdf5", "opened", "parts_of_file"]

_FEATURES = ("features", "feats")
_ENCODER = ("encoder", "extractor")
_STAMP_UNITS = {"tile": "patch", "slide": "slide", "patient": "patient"}
_TRIDENT_FOLDER = re.compile(r"(slide_)?features_(.+)")
AGAIN = "compute the features again, or leave the files out"


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """An HDF5 file, for reading.

    Raises:
        UnusableError: it cannot be read, now or later.
    """
    try:
        with open_to_read(path) as file:
            yield file
    except (OSError, RuntimeError, KeyError, MemoryError, TypeError, ValueError) as error:
        text = "no such file" if isinstance(error, FileNotFoundError) else "files that HDF5 cannot read"
        raise UnusableError(text, "copy them again, or leave them out") from error


def is_anndata(path: Path) -> bool:
    """Whether the HDF5 file is an AnnData object."""
    with opened(path) as file:
        return path.suffix.lower() == ".h5ad" or _text(file.attrs.get("encoding-type")) == "anndata"


def is_cache(path: Path) -> bool:
    """Whether the HDF5 file is a cache of this program."""
    with opened(path) as file:
        return "lymphofeat" in file.attrs and "encodings" in file


def is_of_coordinates(path: Path) -> bool:
    """Whether the HDF5 file says where the patches of a slide are, and holds no features; False if it is damaged."""
    try:
        with opened(path) as file:
            return "coords" in file and _dataset(file) is None
    except UnusableError:
        return False


def parts_of_file(path: Path) -> list[Part]:
    """The slides or patients of one HDF5 file: one, or a dataset each.

    Raises:
        UnusableError: it cannot be read, or holds no features.
    """
    with opened(path) as file:
        if _dataset(file) is not None or "coords" in file:
            return [Part(slide_name(path.name), path.name, partial(load_hdf5, path))]
        names = [name for name, one in file.items() if isinstance(one, h5py.Dataset)]
        if not names:
            raise UnusableError(
                f"no dataset {' or '.join(_FEATURES)}", "give the files that hold the features"
            )
    return [Part(slide_name(n), f"{path.name}, dataset {n}", partial(load_hdf5, path, n)) for n in names]


def load_hdf5(path: Path, name: str | None = None) -> Loaded:
    """The features of a file, or of one of its datasets.

    Raises:
        UnusableError: it cannot be read, or holds no features.
    """
    with opened(path) as file:
        dataset = _dataset(file) if name is None else file[name]
        if dataset is None:
            raise UnusableError(
                f"no dataset {' or '.join(_FEATURES)}", "give the files that hold the features"
            )
        for one in (dataset, file.get("coords")):
            refuse_beyond_memory(one.nbytes if isinstance(one, h5py.Dataset) else 0)
        places = file["coords"][:] if name is None and isinstance(file.get("coords"), h5py.Dataset) else None
        features = dataset[()]
        encoder = next((_text(a[k]) for a in (dataset.attrs, file.attrs) for k in _ENCODER if k in a), "")
        size = _pixel_size(file)
        stated = _STAMP_UNITS.get(_text(file.attrs.get("feat_type")), "")
    of_slides, of_folder = _by_folder(path)
    unit = stated or ("slide" if of_slides or np.ndim(features) == 1 or name is not None else "")
    return Loaded(
        np.asarray(features),
        encoder or of_folder,
        unit or ("" if places is None else "patch"),
        None if unit in ("slide", "patient") or places is None else places.reshape(-1, 2),
        size,
    )


def _pixel_size(file: h5py.File) -> float | None:
    """Micrometres per pixel of the patches, where the file says it as such and not only as a magnification."""
    kept = [file.attrs, *(file[name].attrs for name in ("coords", *_FEATURES) if name in file)]
    if _text(file.attrs.get("unit")) == "um":
        um, px = (_number(kept, name) for name in ("tile_size_um", "tile_size_px"))
        size = um / px if um and px else None
    else:
        mpp, wide, patch = (_number(kept, name) for name in ("mpp", "patch_size_level0", "patch_size"))
        size = mpp * wide / patch if mpp and wide and patch else None
    return size if size is not None and SMALLEST <= size <= LARGEST else None


def _number(kept: Iterable[Any], name: str) -> float | None:
    """The first attribute of that name, if it is a positive number."""
    found = next((attrs[name] for attrs in kept if name in attrs), None)
    try:
        value = float(found) if found is not None else 0.0
    except (TypeError, ValueError):
        return None
    return value if 0 < value < float("inf") else None


def _dataset(file: h5py.File) -> Any:
    found = next((file[name] for name in _FEATURES if name in file), None)
    return found if isinstance(found, h5py.Dataset) else None


def _by_folder(path: Path) -> tuple[bool, str]:
    """Whether TRIDENT's name of a folder says vectors of slides, and the encoder by it."""
    for folder in path.resolve().parents[:2]:
        if found := _TRIDENT_FOLDER.fullmatch(folder.name):
            return found[1] is not None, found[2]
    return False, ""


def _text(value: Any) -> str:
    return (
        value.decode("utf-8", "replace") if isinstance(value, bytes) else "" if value is None else str(value)
    )
