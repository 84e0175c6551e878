"""What a cohort holds, in figures."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from .declared import ClinicalColumn
from .images import ImageFacts
from .model import Cohort
from .persons import persons
from .values import known_value, value_text

__all__ = ["Summary", "summarise"]

Quantiles = tuple[float, float, float, float, float]


@dataclass(frozen=True)
class Summary:
    """Counts and quantiles (minimum, quarter, median, three quarters, maximum; NaN where all are missing).

    `sizes` and `formats` run from the commonest on; a format is a file suffix and Pillow's mode.
    """

    n_reactive: int
    n_malignant: int
    n_train: int  # labelled part, labels 0, 1 and (in a faulty cohort) not known
    n_test: int
    n_persons: int  # of all records
    shared_persons: Sequence[Sequence[str]]  # IDs of records that may be one person and share a fold
    n_images: int
    n_bytes: int
    images_per_patient: Quantiles
    age: Quantiles
    count: Quantiles
    missing: Mapping[str, int]  # "birth", "sex", "count", declared clinical columns → patients without it
    date_orders: Mapping[str, int]
    sexes: Mapping[str, int]
    sizes: Sequence[tuple[tuple[int, int], int]]  # ((width, height), images)
    formats: Sequence[tuple[str, int]]
    numbers: Mapping[str, Quantiles] = field(default_factory=dict)  # declared numbers, with their units
    words: Mapping[str, Mapping[str, int]] = field(
        default_factory=dict
    )  # other declared columns: value → patients
    unused: Sequence[str] = ()  # columns of the tables that nothing reads
    microns_per_pixel: float | None = None  # where the layout says it


def summarise(cohort: Cohort, facts: Sequence[ImageFacts]) -> Summary:
    """Summarise a cohort of at least one patient and the facts of its images (undecodable ones count too)."""
    table = cohort.table()
    who = persons(table)
    decoded = [fact for fact in facts if not fact.failure]
    return Summary(
        n_reactive=int((table["label"] == 0).sum()),
        n_malignant=int((table["label"] == 1).sum()),
        n_train=int((table["split"] == "train").sum()),
        n_test=int((table["split"] == "test").sum()),
        n_persons=len(set(who.tolist())),
        shared_persons=[list(ids) for _, ids in table["id"].groupby(who) if len(ids) > 1],
        n_images=len(facts),
        n_bytes=sum(fact.size for fact in facts),
        images_per_patient=_quantiles(table["n_images"].to_numpy()),
        age=_quantiles(table["age"].to_numpy()),
        count=_quantiles(table["lymphocyte_count"].to_numpy()),
        missing={
            "birth": int((table["birth"] == "").sum()),
            "sex": int((table["sex"] == "").sum()),
            "count": int(table["lymphocyte_count"].isna().sum()),
            **{
                name: sum(known_value(p.values, name) is None for p in cohort.patients)
                for name in cohort.declared
            },
        },
        date_orders=dict(Counter(p.date_order for p in cohort.patients if p.date_order).most_common()),
        sexes=dict(Counter(p.sex for p in cohort.patients if p.sex).most_common()),
        sizes=Counter((fact.width, fact.height) for fact in decoded).most_common(),
        formats=Counter(f"{fact.path.suffix.lower()[1:]} {fact.mode}" for fact in decoded).most_common(),
        numbers={
            f"{name} ({column.unit})" if column.unit else name: _quantiles(table[name].to_numpy(np.float64))
            for name, column in cohort.declared.items()
            if column.kind == "number"
        },
        words={
            name: _counts(name, column, cohort)
            for name, column in cohort.declared.items()
            if column.kind != "number"
        },
        unused=cohort.unused,
        microns_per_pixel=cohort.layout.images.microns_per_pixel,
    )


def _counts(name: str, column: ClinicalColumn, cohort: Cohort) -> dict[str, int]:
    known = (known_value(p.values, name) for p in cohort.patients)
    return dict(Counter(value_text(column, value) for value in known if value is not None).most_common())


def _quantiles(values: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> Quantiles:
    known = values[~np.isnan(values)]
    if not len(known):
        return (float("nan"),) * 5
    low, quarter, median, three_quarters, high = np.quantile(known, (0, 0.25, 0.5, 0.75, 1)).tolist()
    return low, quarter, median, three_quarters, high
