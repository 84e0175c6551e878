"""Opening a cache: tables in memory, features mapped."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import CacheError, InputError
from ..storage.paths import AnyPath
from ..storage.trailing_digest import has_right_digest
from .contents import Indices
from .encoding import Encoding, read_encoding
from .layout import DATA_GROUP, open_checked
from .learnt import learnt_before, why_stale
from .pooling import pool, pooled_names
from .refusal import damaged, incomplete, whole
from .spec import EncodingSpec
from .splitting import SplittableCache
from .tables import CohortTables, read_tables

__all__ = ["Cache", "open_cache"]

_COMPARED = (
    1 << 24
)  # bytes of an index that is compared with its digest at each opening, not by `verify` only
_ATTEMPTS = 3


class Cache(SplittableCache):
    """A complete cache file. Holds no open handle; features are mapped, so it costs next to no memory.

    Attributes:
        path: the file.
        tables: patients, folds, and what the image files were.
        created: when, ISO 8601, UTC.
        version: the lymphofeat version that wrote it.
        encodings: by name.
        default_encoder_family: the encoder family written last.
        stale: by name, the encodings of encoder families in which an encoder learnt from what has changed since
            (labels, clinical values, who lies in which fold), or lacks images of the cohort. They are not among
            `encodings`: nothing can be scored or predicted with them.
        format: of the file.
    """

    def __repr__(self) -> str:
        labelled = self.labels[self.labelled]
        names = self.encoder_families
        more = "" if len(names) <= 3 else f" and {len(names) - 3} more"
        return (
            f"<Cache {self.path.name}: {len(self.labels)} patients ({len(labelled)} labelled, {int(labelled.sum())} "
            f"malignant), {self.tables.n_images:,} images; encodings {', '.join(names[:3])}{more}>"
        )

    def X_y(self) -> tuple[pd.DataFrame, NDArray[np.int8]]:
        """The labelled patients as scikit-learn takes them: their clinical values with the IDs as index, their labels.

        `HeadClassifier` finds the bags by the index; `to_frame().loc[X.index]` has the same patients' pooled features.
        """
        X = self.clinical.set_axis(self.ids, axis=0).iloc[self.labelled]
        return X, self.labels[self.labelled]

    def to_frame(self, pooling: str = "mean", encoding: str | None = None) -> pd.DataFrame:
        """Patients × features: every patient's bag as one row.

        Args:
            pooling: a key of `lymphofeat.cache.pooling.POOLINGS`: "mean", "max", "std", "mean+std", "quantiles",
                "top-mean".
            encoding: an encoder family whose encoder saw no labels; the cache's default one if None.

        Returns:
            (n_patients, widths × D) float64 with the IDs as index, labelled patients and others in the cache's order.
            Columns are called after the features where these have names ("nucleus_area_mean").

        Raises:
            InputError: no such pooling.
            CacheError: no such encoder family.
            LeakageError: encoders were trained on labels, so that no single table of features is blind to every fold.
        """
        found = self.label_free(encoding)
        columns = pool(self.bags(found.name), pooling)
        names = (
            [f"{found.name}-{pooling}-{k}" for k in range(columns.shape[1])]
            if found.names is None
            else pooled_names(found.names, pooling)
        )
        return pd.DataFrame(columns, index=self.ids, columns=names)

    def cv(self, n_repeats: int = 1, *, repeat: int = 0) -> list[tuple[Indices, Indices]]:
        """The folds as scikit-learn's `cv`: pairs of train and test positions among the labelled patients.

        Args:
            n_repeats: how many repeats, one behind the other.
            repeat: the first of them; encoders are trained on repeat 0.

        Raises:
            InputError: the cache has fewer repeats.
        """
        there = self.folds.shape[1]
        if not (repeat >= 0 and 1 <= n_repeats <= there - repeat):
            raise InputError(f"{self.path} holds {there} repeats of the folds, from 0 to {there - 1}.")
        return [pair for column in range(repeat, repeat + n_repeats) for pair in self._folds(column)]

    def _folds(self, column: int) -> Iterator[tuple[Indices, Indices]]:
        fold_of = self.folds[self.labelled, column]
        for fold in np.unique(fold_of):
            yield np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)


def open_cache(path: AnyPath) -> Cache:
    """Open a cache for reading.

    Raises:
        CacheError: no file, not a cache, another format, truncated, or an encoding that is not complete.

    Example:
        >>> cache = open_cache("cache/features.h5")
        >>> cache
        <Cache features.h5: 46 patients (40 labelled, 20 malignant), 115 images; encodings resnet18-random0-crop32>
        >>> cache.to_frame(pooling="mean").shape
        (46, 512)
    """
    path = Path(path)
    for attempt in range(_ATTEMPTS):
        before = _inode(path)
        try:
            return _opened(path)
        except CacheError:  # its data files may have been replaced between two looks
            if attempt == _ATTEMPTS - 1 or _inode(path) == before:
                raise
    raise AssertionError("the last attempt returns or raises")


def _inode(path: Path) -> int:
    return path.stat().st_ino if path.exists() else 0


def _opened(path: Path) -> Cache:
    if path.is_file() and path.stat().st_size <= _COMPARED and has_right_digest(path) is False:
        raise CacheError(damaged(path, "it is not as it was written"))
    with whole(path), open_checked(path) as file:
        if "encodings" not in file:
            name = EncodingSpec.from_json(str(file[DATA_GROUP].attrs["spec"])).name
            if path.suffix == ".partial":
                raise CacheError(incomplete(path, name))
            raise CacheError(
                f"{path} holds the features of {name} only, one encoding of a cache; name the cache, as features.h5."
            )
        tables = read_tables(file)
        encodings = {name: _encoding(path, file["encodings"], name) for name in file["encodings"]}
        if not encodings:
            raise CacheError(f"{path} holds no encoding; run `lymphofeat extract`.")
        encodings = _with_corrected(tables, encodings)
        behind = {name for name, e in encodings.items() if e.images_key not in ("", tables.images_key)}
        aside = {e.encoder_family for name, e in encodings.items() if name in behind or e.stale or e.lost}
        for encoding in encodings.values():
            if not encoding.lost:
                _check_shape(path, tables, encoding, behind=encoding.name in behind)
        return Cache(
            path=path,
            tables=tables,
            created=str(file.attrs["created"]),
            version=str(file.attrs["lymphofeat"]),
            encodings={name: e for name, e in encodings.items() if e.encoder_family not in aside},
            default_encoder_family=str(file.attrs["latest"]),
            stale={name: e for name, e in encodings.items() if e.encoder_family in aside},
            format=int(file.attrs["format"]),
        )


def _encoding(path: Path, encodings: h5py.Group, name: str) -> Encoding:
    """An encoding of an open cache; what h5py says of a damaged file becomes a sentence."""
    try:
        return read_encoding(path, encodings[name])
    except CacheError:  # which is a ValueError
        raise
    except (KeyError, OSError, RuntimeError, ValueError, TypeError) as error:
        place = path
        with suppress(KeyError, OSError, RuntimeError, ValueError, TypeError):
            link = encodings[name].get("features", getlink=True)
            place = path.parent / link.filename if isinstance(link, h5py.ExternalLink) else path
        raise CacheError(damaged(place, f"encoding {name}: {error}")) from error


def _check_shape(path: Path, tables: CohortTables, encoding: Encoding, *, behind: bool) -> None:
    rows, width = encoding.features.shape
    if width != encoding.dim or (rows != tables.n_images and not behind):
        raise CacheError(damaged(path, f"encoding {encoding.name} does not fit the images"))
    if encoding.end_to_end is not None and len(encoding.end_to_end) != len(tables.patients) and not behind:
        raise CacheError(damaged(path, f"encoding {encoding.name} does not fit the patients"))


def _with_corrected(tables: CohortTables, encodings: Mapping[str, Encoding]) -> dict[str, Encoding]:
    """The encodings; those of format 1, which keeps no more than a digest of all values, are told apart by that."""
    found = dict(encodings)
    for name, encoding in encodings.items():
        if not encoding.images_key and "clinical" in encoding.attrs:
            reason = why_stale(tables, encoding.spec, learnt_before(tables, encoding.spec))
            found[name] = replace(encoding, stale=reason)
    return found
