"""A cohort in memory: patients, their images, their clinical values. Parsed once, then frozen."""

import os
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from ..wording import CLASSES
from .dates import REFERENCE_DATE
from .exclusions import Exclusion
from .layout import Layout
from .persons import PERSON
from .values import Declared, Values, value_columns

# The columns of `Cohort.table`, in this order; the cache stores the same ones.
TABLE_COLUMNS = ("id", "split", "label", "n_images", "birth", "date_order", "sex", "age", "lymphocyte_count")


@dataclass(frozen=True)
class Patient:
    """One bag with its clinical row."""

    id: str
    split: str  # "train" (labelled) or "test"
    label: int  # 0 reactive, 1 malignant, -1 not known (every test patient)
    images: tuple[Path, ...]  # in a stable order
    birth: date | None = None
    date_order: str = (
        ""  # how the table wrote the date: "m/d/y", "d-m-y", …, "y" (a year only), or "" (missing)
    )
    sex: str = ""  # "M", "F", or "" (missing)
    age: float = float("nan")  # years, see `Cohort.reference`
    count: float = float("nan")  # lymphocytes, 10⁹/l
    person: str = ""  # who this is, where the table says it
    values: Values = field(default_factory=dict)  # of declared clinical columns, by name
    folder: Path | None = None  # that holds the images; the deepest that holds them all, unless given
    given_names: tuple[str, ...] = ()  # of the images, in the place of the files' own

    def __repr__(self) -> str:
        label = CLASSES.get(self.label, "no label")
        known = [
            f"{self.age:.1f} years" if self.age == self.age else "",
            self.sex,
            f"count {self.count:g}" if self.count == self.count else "",
        ]
        return f"<Patient {', '.join([self.id, label, f'{len(self.images)} images', *filter(None, known)])}>"

    @property
    def image_names(self) -> tuple[str, ...]:
        """The paths of the images relative to `folder`, with `/`: "003.png", or "slide1/003.png" in a subfolder."""
        if self.given_names:
            return self.given_names
        parents = {image.parent for image in self.images}
        if len(parents) < 2 and self.folder in {None, *parents}:
            return tuple(image.name for image in self.images)
        folder = self.folder or os.path.commonpath([os.path.abspath(parent) for parent in parents])
        return tuple(Path(os.path.relpath(image, folder)).as_posix() for image in self.images)


@dataclass(frozen=True)
class Cohort:
    """Patients in the order of their tables: the labelled part first, then the test part."""

    root: Path
    patients: tuple[Patient, ...]
    reference: date | None = REFERENCE_DATE  # the day that ages are counted to; None: each at the examination
    layout: Layout = field(
        default_factory=Layout
    )  # names and words that it was read with, orders of dates among them
    unused: tuple[str, ...] = ()  # columns of the tables that nothing reads
    pseudonyms: bool = False  # IDs are pseudonyms, see `cohort.pseudonyms`
    exclusions: tuple[
        Exclusion, ...
    ] = ()  # patients and images that are left out; none of `patients` has them

    def __repr__(self) -> str:
        known = self.labels[[p.split == "train" for p in self.patients]]
        n, malignant = int((known >= 0).sum()), int((known == 1).sum())
        return (
            f"<Cohort {self.root.name}: {n} labelled patients ({malignant} malignant), "
            f"{len(self.patients) - len(known)} of the test part, {len(self.images):,} images>"
        )

    @property
    def declared(self) -> Declared:
        """Clinical columns beside age, sex and count."""
        return self.layout.clinical

    @property
    def labels(self) -> "np.ndarray[tuple[int], np.dtype[np.int8]]":
        """(n_patients,) int8: 0, 1, or -1 where not known."""
        return np.array([p.label for p in self.patients], dtype=np.int8)

    @property
    def images(self) -> list[Path]:
        """Every image, patients in order, so that one patient's images are contiguous."""
        return [image for p in self.patients for image in p.images]

    @property
    def image_names(self) -> list[str]:
        """The name of each of `images` in its patient's folder, see `Patient.image_names`."""
        return [name for p in self.patients for name in p.image_names]

    def table(self) -> pd.DataFrame:
        """One row per patient with the columns `TABLE_COLUMNS`; `birth` as ISO text, "" where missing.

        The column `person` follows where a table names persons, then the declared clinical columns by their names.
        """
        rows = [
            (
                p.id,
                p.split,
                p.label,
                len(p.images),
                p.birth.isoformat() if p.birth else "",
                p.date_order,
                p.sex,
                p.age,
                p.count,
            )
            for p in self.patients
        ]
        table = pd.DataFrame(rows, columns=list(TABLE_COLUMNS))
        named = [p.person for p in self.patients]
        persons = {PERSON: named} if any(named) else {}
        return table.assign(**persons, **value_columns(self.declared, [p.values for p in self.patients]))
