"""Reading a cache: tables in memory, features mapped."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..cohort.clinical import clinical_frame, person_numbers
from ..cohort.clinical_values import clinical_digest, clinical_values
from ..errors import CacheError, InputError, LeakageError, StaleCacheError
from ..storage.paths import AnyPath
from .bags import Bags, JoinedBags
from .encoding import Encoding, read_encoding
from .layout import CohortTables, blind_to_all, open_checked, read_tables
from .pooling import pool, pooled_names
from .refusal import damaged
from .split import JOINT, Split

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Cache:
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

    path: Path
    tables: CohortTables
    created: str
    version: str
    encodings: dict[str, Encoding]
    default_encoder_family: str
    stale: dict[str, Encoding] = field(default_factory=dict)

    def __repr__(self) -> str:
        labelled = self.labels[self.labelled]
        names = self.encoder_families
        more = "" if len(names) <= 3 else f" and {len(names) - 3} more"
        return (
            f"<Cache {self.path.name}: {len(self.labels)} patients ({len(labelled)} labelled, {int(labelled.sum())} "
            f"malignant), {self.tables.n_images:,} images; encodings {', '.join(names[:3])}{more}>"
        )

    @cached_property
    def patients(self) -> pd.DataFrame:
        """One row per patient: the columns of `Cohort.table`, and `fold`. Not for heads, see `clinical`."""
        return self.tables.patients.assign(fold=self.folds[:, 0])

    @cached_property
    def clinical(self) -> pd.DataFrame:
        """(n_patients,) rows of what heads may know beside the images; see `cohort.clinical.clinical_frame`."""
        return clinical_frame(self.tables.patients)

    @property
    def folds(self) -> NDArray[np.int8]:
        """(n_patients, n_repeats) int8; column 0 is the encoders'; −1 where there is no label."""
        return self.tables.folds

    @property
    def fold_seed(self) -> int:
        """What the folds were made with."""
        return self.tables.fold_seed

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of images, labels, clinical values and folds: what a score depends on beside features."""
        return self.tables.digest()

    @property
    def labels(self) -> NDArray[np.int8]:
        """(n_patients,) int8: 0, 1, or −1 where not known."""
        return np.asarray(self.tables.patients["label"], dtype=np.int8)

    @cached_property
    def labelled(self) -> Indices:
        """Rows of the patients of the labelled part whose label is known."""
        train = (self.tables.patients["split"] == "train").to_numpy()
        return np.flatnonzero(train & (self.labels >= 0))

    @cached_property
    def ids(self) -> pd.Index:
        """(n_patients,) the patients' IDs."""
        return pd.Index(self.tables.patients["id"].astype(str), name="id")

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """(n_patients,) int64, equal where two records may be of one person: scikit-learn's `groups`."""
        return person_numbers(self.clinical)

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

    def label_free(self, encoding: str | None = None) -> Encoding:
        """The encoding of an encoder family that saw no labels.

        Args:
            encoding: an encoder family; the cache's default one if None.

        Raises:
            CacheError: no such encoder family.
            LeakageError: its encoders were trained on labels.
        """
        name = self.default_encoder_family if encoding is None else encoding
        found = next((e for e in self.members(name) if e.blind_to is None), None)
        if found is None:
            raise LeakageError(
                f"the encoders of {name} learnt from labels of {self.path}, so no single table of features is blind to "
                "every fold; name a frozen encoding, or use `lymphofeat.HeadClassifier`, which takes each fold's own."
            )
        return found

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

    @property
    def encoder_families(self) -> list[str]:
        """Names of the encoder families, sorted."""
        return sorted({e.encoder_family for e in self.encodings.values()})

    def members(self, encoder_family: str) -> list[Encoding]:
        """The encodings of an encoder family, by name; of several families with `JOINT` between, one after another.

        Raises:
            StaleCacheError: it was trained on clinical values that were corrected since.
            CacheError: the cache holds no such encoder family.
        """
        if JOINT in encoder_family:
            return [member for name in encoder_family.split(JOINT) for member in self.members(name)]
        self.check_not_stale(encoder_family)
        found = [e for _, e in sorted(self.encodings.items()) if e.encoder_family == encoder_family]
        if not found:
            raise CacheError(
                f"{self.path} holds no encoding {encoder_family!r}; it holds {', '.join(self.encoder_families)}."
            )
        return found

    def behind(self, split: Split) -> tuple[Encoding, ...]:
        """The encodings behind a split of this cache; none where no image is looked at."""
        return tuple(self.encodings[name] for name in split.encodings)

    def check_not_stale(self, encoder_family: str) -> None:
        """Refuse an encoder family whose encoders were trained on clinical values that were corrected since.

        Raises:
            StaleCacheError: it is one; with the way out.
        """
        if reason := self.why_stale(encoder_family):
            raise StaleCacheError(f"{self.path}: {reason}")

    def why_stale(self, encoder_family: str) -> str:
        """What is wrong with a stale encoder family and what to do; "" of any other."""
        stale = sorted(
            name for name, encoding in self.stale.items() if encoding.encoder_family == encoder_family
        )
        if not stale:
            return ""
        recipe = self.stale[stale[0]].attrs["recipe"]["name"]
        return (
            f"the encoders of {encoder_family} ({', '.join(stale)}) were trained on clinical values that were "
            "corrected since; train them again with the `lymphofeat extract --finetune` command that made them (recipe "
            f"{recipe}) and --force, or name another encoding ({', '.join(self.encoder_families) or 'there is none'})."
        )

    def bags(self, name: str) -> Bags:
        """All patients' bags under one encoding, in the cache's order, whatever its encoder saw: to describe them.

        What is fitted or scored comes from `split`.
        """
        return self._bags(self.encodings[name].features)

    def split(
        self,
        encoder_family: str | None,
        held_out: Collection[int],
        *,
        repeat: int = 0,
        without: Collection[int] = (),
    ) -> Split:
        """Learn from the labelled patients outside some folds and predict those inside.

        Every model that is fitted or scored on a cache gets its patients and its encoding here, or from `splits`,
        `final_splits` and `predicting`, which rest on this.

        Args:
            encoder_family: an encoder family; its encoding that is blind to all folds named is chosen. Several with
                `JOINT` between their names: their encodings side by side, each blind to all folds named. None: no
                images, all bags are of features of width 0.
            held_out: the folds that are predicted.
            repeat: the column of `folds` that they are of. Encoders are trained on column 0, so for any other one
                only encodings without labels qualify.
            without: folds that are neither learnt from nor predicted, and that the encoder must not have seen either
                (the outer fold of nested cross-validation).

        Returns:
            A split whose `train` and `test` are rows of labelled patients, ascending.

        Raises:
            InputError: no labelled patient is in a fold of `held_out`.
            CacheError: no such encoder family.
            LeakageError: every encoding of the encoder family saw a label of one of the folds.
        """
        unseen = {*held_out, *without}
        names = [] if encoder_family is None else encoder_family.split(JOINT)
        blind = {name: self.blind_encoding(name, unseen, repeat=repeat) for name in names}
        fold_of = self.folds[self.labelled, repeat]
        absent = set(held_out) - {int(k) for k in fold_of}
        if absent or not held_out:
            raise InputError(
                f"{self.path} has no fold {min(absent, default='')} of repeat {repeat} to hold out."
            )
        train = self.labelled[~np.isin(fold_of, list(unseen))]
        test = self.labelled[np.isin(fold_of, list(held_out))]
        if not blind:
            return Split(self._bags(np.empty((self.tables.n_images, 0), dtype=np.float32)), "", train, test)
        each = {name: self._bags(encoding.features) for name, encoding in blind.items()}
        split = Split(
            JoinedBags(each) if len(each) > 1 else each[names[0]],
            JOINT.join(encoding.digest for encoding in blind.values()),
            train,
            train[:0],
            JOINT.join(encoding.name for encoding in blind.values()),
        )
        return self.predicting(split, test)

    def splits(self, encoder_family: str | None, *, repeat: int = 0) -> dict[int, Split]:
        """Cross-validation: per fold of the labelled patients, ascending, `split` of this fold, with its raises."""
        folds = np.unique(self.folds[self.labelled, repeat])
        if not len(folds):
            raise InputError(f"{self.path} holds no labelled patient to train on.")
        return {int(k): self.split(encoder_family, {int(k)}, repeat=repeat) for k in folds}

    def final_splits(self, encoder_family: str, new: Indices | None = None) -> list[Split]:
        """The fits of a selected model; their probabilities are averaged.

        Under encoders that saw no labels, one fit on all labelled patients. Under encoders trained per fold, one fit
        for each encoder, on the encoder's training folds as in cross-validation.

        Args:
            encoder_family: an encoder family.
            new: (n,) rows of the patients to predict, who must be new to all of it: the test part, or patients without
                a label. None: nobody; `predicting` names them later.

        Raises:
            CacheError: no such encoder family.
            LeakageError: a fold has no encoding that is blind to it, or `new` names a patient that an encoder or a fit
                learns from.
        """
        each = list(self.splits(encoder_family).values())
        if all(encoding.blind_to is None for split in each for encoding in self.behind(split)):
            each = [replace(each[0], train=self.labelled)]
        nobody = np.empty(0, dtype=np.int64)
        return [
            self.predicting(replace(split, test=nobody), nobody if new is None else new) for split in each
        ]

    def predicting(self, split: Split, rows: Indices) -> Split:
        """The split with the patients at `rows` to predict in place of its `test`.

        Args:
            split: of this cache.
            rows: (n,) rows of patients, labelled or not.

        Raises:
            LeakageError: the encoder saw the label of one of them, or the fit learns from it.
        """
        known = np.isin(rows, split.train)
        for encoding in self.behind(split):
            if encoding.blind_to is not None:
                held_out = np.isin(self.folds[rows, 0], list(encoding.blind_to))
                known |= np.isin(rows, self.labelled) & ~held_out
        if known.any():
            patient = self.tables.patients["id"].iloc[rows[int(np.argmax(known))]]
            encoder = f" or its encoder {split.encoding}" if split.encoding else ""
            raise LeakageError(
                f"the model{encoder} learns from patient {patient} of {self.path}: a prediction there would measure "
                "memorisation; predict patients of a held-out fold or of the test part."
            )
        return replace(split, test=rows)

    def blind_encoding(self, encoder_family: str, held_out: Collection[int], *, repeat: int = 0) -> Encoding:
        """The family's encoding whose encoder saw none of the labels of the folds `held_out`.

        Args:
            encoder_family: an encoder family.
            held_out: folds of the repeat.
            repeat: the column of `folds`; encoders are trained on column 0, so for any other one only
                encodings without labels qualify.

        Raises:
            LeakageError: every encoding of the encoder family saw one of the folds.
        """
        members = self.members(encoder_family)
        blind = [
            e for e in members if e.blind_to is None or (repeat == 0 and blind_to_all(e.blind_to, held_out))
        ]
        if blind:  # the one that had most to learn from
            return min(blind, key=lambda e: len(e.blind_to or ()))
        folds = ", ".join(str(k) for k in sorted(held_out))
        where = f"fold {folds}" if len(held_out) == 1 else f"folds {folds}"
        raise LeakageError(
            f"encoding {encoder_family} ({', '.join(e.name for e in members)}) has seen labels of {where} "
            f"of repeat {repeat}: scoring there would measure memorisation; {_way_to_blindness(len(held_out), repeat)}."
        )

    def _bags(self, features: NDArray[np.float32]) -> Bags:
        lengths = np.asarray(self.tables.patients["n_images"], dtype=np.int64)
        return Bags(features, np.cumsum(lengths) - lengths, lengths)


def _way_to_blindness(n_folds: int, repeat: int) -> str:
    if repeat > 0:
        return "encoders are trained on repeat 0 only, so use that, or `lymphofeat extract --frozen`"
    if n_folds > 1:
        return "make encodings that are blind to both with `lymphofeat extract --finetune --nested`"
    return (
        "use an encoding that is blind to it (`lymphofeat extract --frozen`, or `--finetune` on these folds)"
    )


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
            now[names] = clinical_digest(clinical_values(tables.patients, names))
        if seen != now[names]:
            stale.add(encoding.encoder_family)
    return stale
