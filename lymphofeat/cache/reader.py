"""Opening a cache: tables in memory, features mapped."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..cohort.clinical_values import clinical_digest, clinical_values
from ..errors import CacheError, InputError
from ..storage.paths import AnyPath
from .contents import Indices
from .encoding import Encoding, read_encoding
from .layout import CohortTables, open_checked, read_tables
from .pooling import pool, pooled_names
from .refusal import damaged
from .splitting import SplittableCache

__all__ = ["Cache", "open_cache"]


class Cache(SplittableCache):
    """A complete cache file. Holds no open handle; features are mapped, so it costs next to no memory.

    Attributes:
        path: the file.
        tables: patients, folds, and what the image files were.
        created: when, ISO 8601, UTC.
        version: the lymphofeat version that wrote it.
        encodings: by name.
        default_encoder_family: the encoder family written last.
        stale: by name, the encodings of encoder families in which an encoder was trained on clinical values other than
            the table's. They are not among `encodings`: nothing can be scored or predicted with them.
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
    with open_checked(path) as file:
        tables = read_tables(file)
        encodings = {name: read_encoding(path, group) for name, group in file["encodings"].items()}
        stale = _stale(tables, encodings)
        if not encodings:
            raise CacheError(f"{path} holds no encoding; run `lymphofeat extract`.")
        for encoding in encodings.values():
            if encoding.features.shape != (tables.n_images, encoding.dim):
                raise CacheError(damaged(path, f"encoding {encoding.name} does not fit the images"))
            if encoding.end_to_end is not None and encoding.end_to_end.shape != (len(tables.patients),):
                raise CacheError(damaged(path, f"encoding {encoding.name} does not fit the patients"))
        return Cache(
            path=path,
            tables=tables,
            created=str(file.attrs["created"]),
            version=str(file.attrs["lymphofeat"]),
            encodings={name: e for name, e in encodings.items() if e.encoder_family not in stale},
            default_encoder_family=str(file.attrs["latest"]),
            stale={name: e for name, e in encodings.items() if e.encoder_family in stale},
        )


def _stale(tables: CohortTables, encodings: Mapping[str, Encoding]) -> set[str]:
    """The encoder families that saw clinical values other than those of the table."""
    now: dict[tuple[str, ...], str] = {}
    stale = set()
    for encoding in encodings.values():
        seen, recipe = encoding.attrs.get("clinical"), encoding.attrs.get("recipe")
        if seen is None or not isinstance(recipe, Mapping):
            continue
        names = tuple(recipe["clinical"]["values"])
        if names not in now:
            try:
                now[names] = clinical_digest(clinical_values(tables.patients, names))
            except (KeyError, ValueError):  # a column that is no longer declared, or is a category now
                now[names] = ""
        if seen != now[names]:
            stale.add(encoding.encoder_family)
    return stale
