"""Reading a cache: tables in memory, features mapped."""

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import CacheError, LeakageError
from .bags import Bags
from .layout import CohortTables, EncodingSpec, blind_to_all, map_dataset, open_checked, read_tables


@dataclass(frozen=True)
class Encoding:
    """The features of every image of the cohort under one frozen encoder.

    Attributes:
        spec: name, family, width, and the folds that the encoder is blind to.
        digest: hex digest of the features.
        features: (n_images, D) float32, mapped read-only.
        end_to_end: (n_patients,) float64, the fine-tuned network's own probabilities of malignant; None where
            the encoder has no head of its own.
        made: what became known when it was made: `seconds` it took, `history` of the training, …; may be empty.
    """

    spec: EncodingSpec
    digest: str
    features: NDArray[np.float32]
    end_to_end: NDArray[np.float64] | None = None
    made: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def family(self) -> str:
        return self.spec.family

    @property
    def dim(self) -> int:
        return self.spec.dim

    @property
    def blind_to(self) -> frozenset[int] | None:
        """The folds whose labels the encoder never saw; None: it saw no labels at all."""
        return self.spec.blind_to

    @property
    def attrs(self) -> dict[str, Any]:
        """Backbone, weights and their digest, preprocessing, recipe, dtype, torch version, device."""
        return self.spec.about


@dataclass(frozen=True)
class Cache:
    """A complete cache file. Holds no open handle; features are mapped, so it costs next to no memory.

    Attributes:
        path: the file.
        tables: patients, folds, and what the image files were.
        created: when, ISO 8601, UTC.
        version: the lymphofeat version that wrote it.
        encodings: by name.
        default_family: the family written last.
    """

    path: Path
    tables: CohortTables
    created: str
    version: str
    encodings: dict[str, Encoding]
    default_family: str

    @cached_property
    def patients(self) -> pd.DataFrame:
        """One row per patient: the columns of `Cohort.table`, and `fold`."""
        return self.tables.patients.assign(fold=self.folds[:, 0])

    @property
    def folds(self) -> NDArray[np.int8]:
        """(n_patients, n_repeats) int8; column 0 is the encoders'; −1 where there is no label."""
        return self.tables.folds

    @property
    def fold_seed(self) -> int:
        """What the folds were drawn with."""
        return self.tables.fold_seed

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of images, labels, clinical values and folds: what a score depends on beside features."""
        return self.tables.digest()

    @property
    def labels(self) -> NDArray[np.int8]:
        """(n_patients,) int8: 0, 1, or −1 where not known."""
        return np.asarray(self.tables.patients["label"], dtype=np.int8)

    @property
    def families(self) -> list[str]:
        """Names of the encoding families, sorted."""
        return sorted({e.family for e in self.encodings.values()})

    def members(self, family: str) -> list[Encoding]:
        """The encodings of a family, by name.

        Raises:
            CacheError: the cache holds no such family.
        """
        found = [e for _, e in sorted(self.encodings.items()) if e.family == family]
        if not found:
            raise CacheError(
                f"{self.path} holds no encoding {family!r}; it holds {', '.join(self.families)}."
            )
        return found

    def bags(self, name: str) -> Bags:
        """All patients' bags under one encoding, in the cache's order, whatever its encoder saw.

        For describing and for predicting; to score a fold, ask `blind_bags`.
        """
        lengths = np.asarray(self.tables.patients["n_images"], dtype=np.int64)
        return Bags(self.encodings[name].features, np.cumsum(lengths) - lengths, lengths)

    def blind_encoding(self, family: str, held_out: Collection[int], *, repeat: int = 0) -> Encoding:
        """The family's encoding whose encoder saw none of the labels of the folds `held_out`.

        Args:
            family: an encoding family.
            held_out: folds of the repeat.
            repeat: the column of `folds`; encoders are trained on column 0, so for any other one only
                encodings without labels qualify.

        Raises:
            LeakageError: every encoding of the family saw one of the folds.
        """
        members = self.members(family)
        blind = [
            e for e in members if e.blind_to is None or (repeat == 0 and blind_to_all(e.blind_to, held_out))
        ]
        if blind:  # the one that had most to learn from
            return min(blind, key=lambda e: len(e.blind_to or ()))
        folds = ", ".join(str(k) for k in sorted(held_out))
        where = f"fold {folds}" if len(held_out) == 1 else f"folds {folds}"
        raise LeakageError(
            f"encoding {family} ({', '.join(e.name for e in members)}) has seen labels of {where} "
            f"of repeat {repeat}: scoring there would measure memory; {_way_to_blindness(len(held_out), repeat)}."
        )

    def blind_bags(self, family: str, held_out: Collection[int], *, repeat: int = 0) -> Bags:
        """All patients' bags under `blind_encoding(family, held_out, repeat=repeat)`, with its raises."""
        return self.bags(self.blind_encoding(family, held_out, repeat=repeat).name)


def _way_to_blindness(n_folds: int, repeat: int) -> str:
    if repeat > 0:
        return "encoders are trained on repeat 0 only, so use that, or `lymphofeat extract --frozen`"
    if n_folds > 1:
        return "make encodings that are blind to both with `lymphofeat extract --finetune --nested`"
    return (
        "use an encoding that is blind to it (`lymphofeat extract --frozen`, or `--finetune` on these folds)"
    )


def open_cache(path: Path) -> Cache:
    """Open a cache for reading.

    Raises:
        CacheError: no file, not a cache, another format, truncated, or an encoding that is not complete.
    """
    with open_checked(path) as file:
        tables = read_tables(file)
        encodings = {name: _read_encoding(path, group) for name, group in file["encodings"].items()}
        if not encodings:
            raise CacheError(f"{path} holds no encoding; run `lymphofeat extract`.")
        for encoding in encodings.values():
            if encoding.features.shape != (tables.n_images, encoding.dim):
                raise CacheError(f"{path}: encoding {encoding.name} does not fit the images; extract again.")
            if encoding.end_to_end is not None and encoding.end_to_end.shape != (len(tables.patients),):
                raise CacheError(
                    f"{path}: encoding {encoding.name} does not fit the patients; extract again."
                )
        return Cache(
            path=path,
            tables=tables,
            created=str(file.attrs["created"]),
            version=str(file.attrs["lymphofeat"]),
            encodings=encodings,
            default_family=str(file.attrs["latest"]),
        )


def _read_encoding(path: Path, group: Any) -> Encoding:
    if not group.attrs["complete"] or not group["done"][:].all():
        raise CacheError(
            f"{path}: encoding {group.name.rsplit('/', 1)[-1]} is not complete; "
            "run the `lymphofeat extract` command that began it again."
        )
    try:
        spec = EncodingSpec.from_json(str(group.attrs["spec"]))
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise CacheError(f"{path}: {group.name} has a damaged description; extract again.") from error
    features = np.asarray(map_dataset(path, group["features"], "r"))  # a plain array over the mapped pages
    own = group["end_to_end"][:] if "end_to_end" in group else None
    made = json.loads(group.attrs.get("made", "{}"))
    return Encoding(spec, str(group.attrs["digest"]), features, own, made)
