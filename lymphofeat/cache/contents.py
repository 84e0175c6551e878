"""What a cache holds: patients, folds, and the encodings by encoder family."""

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..cohort.clinical import clinical_frame, person_numbers
from ..cohort.values import head_values
from ..errors import CacheError, LeakageError, StaleCacheError
from .bags import Bags
from .encoding import Encoding
from .spec import blind_to_all
from .split import JOINT, Split
from .tables import CohortTables

__all__ = ["CacheContents"]

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class CacheContents:
    """The data of a complete cache file, and the encodings of its encoder families.

    Attributes:
        path: the file.
        tables: patients, folds, and what the image files were.
        created: when, ISO 8601, UTC.
        version: the lymphofeat version that wrote it.
        encodings: by name.
        default_encoder_family: the encoder family written last.
        stale: by name, the encodings of encoder families in which an encoder learnt from what has changed since
            (labels, clinical values, who lies in which fold), or lacks images of the cohort, or whose data file is
            not there. They are not among `encodings`: nothing can be scored or predicted with them.
        format: of the file.
    """

    path: Path
    tables: CohortTables
    created: str
    version: str
    encodings: dict[str, Encoding]
    default_encoder_family: str
    stale: dict[str, Encoding] = field(default_factory=dict)
    format: int = 2

    @cached_property
    def patients(self) -> pd.DataFrame:
        """One row per patient: the columns of `Cohort.table`, and `fold`. Not for heads, see `clinical`."""
        return self.tables.patients.assign(fold=self.folds[:, 0])

    @cached_property
    def clinical(self) -> pd.DataFrame:
        """(n_patients,) rows of what heads may know beside the images; see `cohort.clinical.clinical_frame`."""
        return clinical_frame(self.tables.patients, self.tables.declared)

    @property
    def clinical_values(self) -> tuple[str, ...]:
        """The declared clinical columns as heads take them: "haemoglobin", "log ldh"."""
        return head_values(self.tables.declared)

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

    @property
    def everything(self) -> dict[str, Encoding]:
        """All encodings by name, sorted, those of `stale` among them."""
        return dict(sorted({**self.encodings, **self.stale}.items()))

    @property
    def encoder_families(self) -> list[str]:
        """Names of the encoder families, sorted."""
        return sorted({e.encoder_family for e in self.encodings.values()})

    def members(self, encoder_family: str) -> list[Encoding]:
        """The encodings of an encoder family, by name; of several families with `JOINT` between, one after another.

        Raises:
            StaleCacheError: it is set aside, see `stale`.
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

    def check_not_stale(self, encoder_family: str) -> None:
        """Refuse an encoder family that is set aside, see `stale`.

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
        others = f"or name another encoding ({', '.join(self.encoder_families) or 'there is none'})"
        if lost := [self.stale[name].lost for name in stale if self.stale[name].lost]:
            return f"{lost[0]}{self._recipe(stale[0])}, {others}."
        wrong = [name for name in stale if self.stale[name].stale]
        if wrong:
            return (
                f"the encoder of {wrong[0]} {self.stale[wrong[0]].stale}; train the encoders of {encoder_family} anew "
                f"with the `lymphofeat extract` command that made them{self._recipe(stale[0])} and --retrain, {others}."
            )
        lacking = [name for name in stale if self.stale[name].images_key not in ("", self.tables.images_key)]
        return (
            f"{encoder_family} lacks images of the cohort as it is now ({', '.join(lacking)}); give the `lymphofeat "
            f"extract` command that made it again{self._recipe(stale[0])}, which computes these only, {others}."
        )

    def _recipe(self, name: str) -> str:
        recipe = self.stale[name].attrs.get("recipe")
        return f" (recipe {recipe['name']})" if isinstance(recipe, dict) else ""

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

    def behind(self, split: Split) -> tuple[Encoding, ...]:
        """The encodings behind a split of this cache; none where no image is looked at."""
        return tuple(self.encodings[name] for name in split.encodings)

    def bags(self, name: str) -> Bags:
        """All patients' bags under one encoding, in the cache's order, whatever its encoder saw: to describe them.

        What is fitted or scored comes from `split`.
        """
        return self._bags(self.encodings[name].features)

    def _bags(self, features: NDArray[np.float32]) -> Bags:
        lengths = np.asarray(self.tables.patients["n_images"], dtype=np.int64)
        return Bags(features, self.tables.offsets, lengths)


def _way_to_blindness(n_folds: int, repeat: int) -> str:
    if repeat > 0:
        return "encoders are trained on repeat 0 only, so use that, or `lymphofeat extract --frozen`"
    if n_folds > 1:
        return "make encodings that are blind to both with `lymphofeat extract --finetune --nested`"
    return (
        "use an encoding that is blind to it (`lymphofeat extract --frozen`, or `--finetune` on these folds)"
    )
