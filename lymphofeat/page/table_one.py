"""Table 1: the patients by class, with missing values, and how far the classes are apart.

The difference is standardised (Austin, Statistics in Medicine 28, 2009): that of means by the root of the mean variance
of the two classes, that of a share by its variances p(1 − p), and over several categories Mahalanobis' distance of the
shares (Yang & Dalton, SAS Global Forum 2012, paper 335).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..cohort.clinical_values import clinical_numbers
from ..cohort.persons import persons
from ..cohort.values import Declared, head_values
from ..wording import number
from .blocks import Table

__all__ = [
    "CLASSES",
    "TEST",
    "UNLABELLED",
    "difference_of_means",
    "distance_of_shares",
    "groups_of",
    "table_one",
]

CLASSES = ("reactive", "malignant")
UNLABELLED, TEST = "without label", "test part"
_MOST_CATEGORIES = 10
_SEXES = {"F": "female", "M": "male"}
_OTHERS = "other categories"
_NEGLIGIBLE = 0.1

Floats = NDArray[np.float64]
Groups = Mapping[str, NDArray[np.bool_]]  # name → whose


def groups_of(patients: pd.DataFrame) -> "pd.Series[str]":
    """(n,) what a report calls each patient's group: "reactive", "malignant", "without label", "test part".

    Args:
        patients: columns split and label.
    """
    labels = patients["label"].map(dict(enumerate(CLASSES))).fillna(UNLABELLED)
    return labels.mask((patients["split"] == "test").to_numpy(), TEST)


@dataclass(frozen=True)
class _Row:
    """A row of the table.

    Attributes:
        value: a clinical value, or what is counted.
        level: a category of it; "" of a number.
        words: group → its cell.
        exact: group → what stands behind it, by the end of a column's name.
        missing: in words; "" in rows that follow the first of a value.
        difference: between the classes; None where there is none.
    """

    value: str
    level: str
    words: Mapping[str, str]
    exact: Mapping[str, Mapping[str, float]]
    missing: str = ""
    difference: float | None = None


def table_one(patients: pd.DataFrame, declared: Declared) -> Table:
    """The table; a group that is empty has no column.

    Args:
        patients: columns of `Cohort.table`, and those of `declared`.
        declared: clinical columns beside age, sex and count.
    """
    group = groups_of(patients)
    names = [*CLASSES, *(name for name in (UNLABELLED, TEST) if (group == name).any())]
    groups = {name: (group == name).to_numpy() for name in names}
    rows = list(_rows(patients, declared, groups))
    frame = pd.DataFrame(
        [
            {
                "value": row.value, "level": row.level,
                **{f"{name}_{end}".replace(" ", "_"): x for name in names for end, x in row.exact[name].items()},
                "smd": np.nan if row.difference is None else row.difference,
            }
            for row in rows
        ]
    )  # fmt: skip
    shown: dict[str, Sequence[str]] = {
        "": [f"{row.value}: {row.level}" if row.level else row.value for row in rows],
        **{name: [row.words[name] for row in rows] for name in names},
        "missing": [row.missing for row in rows],
        "SMD": ["" if row.difference is None else number(row.difference, 2) for row in rows],
    }
    return Table("table-1", _caption(declared), frame, shown, values={"SMD": "smd"})


def _caption(declared: Declared) -> str:
    logs = ["the lymphocyte count", *(name for name, column in declared.items() if column.log)]
    of_logs = f"{', '.join(logs[:-1])} and {logs[-1]}" if len(logs) > 1 else logs[0]
    return (
        "Table 1. Patients by class: median (quartiles) of numbers, n (% of the known ones) of categories. SMD: "
        f"standardised mean difference, malignant minus reactive, of logarithms for {of_logs}; of categories the "
        f"distance, without a sign; below {_NEGLIGIBLE} it is negligible. There are no p values: they would tell how "
        "many patients there are rather than how large a difference is."
    )


def _rows(patients: pd.DataFrame, declared: Declared, groups: Groups) -> Iterator[_Row]:
    who = persons(patients)
    several = len(set(who.tolist())) < len(who)
    yield _counted(
        "records" if several else "patients", {name: int(own.sum()) for name, own in groups.items()}
    )
    if several:
        yield _counted("persons", {name: len(set(who[own].tolist())) for name, own in groups.items()})
    yield _number("age (years)", clinical_numbers(patients, ("age",))[:, 0], groups)
    yield from _categories("sex", patients["sex"].map(_SEXES).to_numpy(object), groups)
    counts = clinical_numbers(patients, ("count", "log_count")).T
    yield _number("lymphocyte count (10⁹/l)", counts[0], groups, compared=counts[1])
    for (name, column), value in zip(declared.items(), head_values(declared), strict=True):
        if column.is_text:
            yield from _categories(name, patients[name].replace("", None).to_numpy(object), groups)
        elif column.kind == "yes/no":
            yield _yes(name, clinical_numbers(patients, (name,))[:, 0], groups)
        else:
            title = f"{name} ({column.unit})" if column.unit else name
            values = clinical_numbers(patients, (name, value)).T
            yield _number(title, values[0], groups, compared=values[1])
    n_images = patients["n_images"].to_numpy(np.float64)
    yield _number("images per record" if several else "images per patient", n_images, groups)


def _counted(name: str, counts: Mapping[str, int]) -> _Row:
    return _Row(
        name, "", {of: f"{n:,}" for of, n in counts.items()}, {of: {"n": n} for of, n in counts.items()}
    )


def _number(name: str, values: Floats, groups: Groups, *, compared: Floats | None = None) -> _Row:
    words, exact = {}, {}
    for of, own in groups.items():
        known = values[own & ~np.isnan(values)]
        low, median, high = np.quantile(known, (0.25, 0.5, 0.75)).tolist() if len(known) else [np.nan] * 3
        words[of] = f"{_figure(median)} ({_figure(low)}–{_figure(high)})" if len(known) else "—"
        exact[of] = {"n": len(known), "median": median, "quartile_1": low, "quartile_3": high}
    compared = values if compared is None else compared
    reactive, malignant = (compared[groups[of]] for of in CLASSES)
    difference = difference_of_means(reactive, malignant)
    return _Row(name, "", words, _with_missing(exact, groups), _missing(np.isnan(values), groups), difference)


def _yes(name: str, values: Floats, groups: Groups) -> _Row:
    known = ~np.isnan(values)
    words, exact = _shares(values == 1, known, groups)
    reactive, malignant = (values[groups[of]] for of in CLASSES)
    difference = difference_of_means(reactive, malignant, of_share=True)
    return _Row(name, "yes", words, _with_missing(exact, groups), _missing(~known, groups), difference)


def _categories(name: str, values: NDArray[np.object_], groups: Groups) -> Iterator[_Row]:
    """A row per category, the commonest first; of many, the rest together."""
    known = np.asarray(pd.notna(values))
    common = [str(level) for level in pd.Series(values[known], dtype=object).value_counts().index]
    if len(common) > _MOST_CATEGORIES:
        rest = set(common[_MOST_CATEGORIES - 1 :])
        values = np.array([_OTHERS if value in rest else value for value in values], dtype=object)
        common = [*common[: _MOST_CATEGORIES - 1], _OTHERS]
    counts = [[int((values[groups[of]] == level).sum()) for level in common] for of in CLASSES]
    for k, level in enumerate(common or [""]):
        words, exact = _shares(values == level, known, groups)
        first = k == 0
        yield _Row(
            name, level, words, _with_missing(exact, groups), _missing(~known, groups) if first else "",
            distance_of_shares(*counts) if first else None,
        )  # fmt: skip


def _shares(
    of_level: NDArray[np.bool_], known: NDArray[np.bool_], groups: Groups
) -> tuple[dict[str, str], dict[str, dict[str, float]]]:
    words, exact = {}, {}
    for of, own in groups.items():
        n, count = int((own & known).sum()), int((own & of_level).sum())
        share = count / n if n else np.nan
        words[of] = f"{count:,} ({100 * share:.0f} %)" if n else "—"
        exact[of] = {"n": n, "count": count, "share": share}
    return words, exact


def _with_missing(exact: Mapping[str, Mapping[str, float]], groups: Groups) -> dict[str, dict[str, float]]:
    return {of: {**each, "missing": int(groups[of].sum()) - each["n"]} for of, each in exact.items()}


def _missing(gone: NDArray[np.bool_], groups: Groups) -> str:
    counts = {of: int((own & gone).sum()) for of, own in groups.items()}
    return ", ".join(f"{n} {of}" for of, n in counts.items() if n) or "none"


def _figure(x: float) -> str:
    return f"{x:,.0f}" if abs(x) >= 100 else f"{x:.3g}".replace("-", "−")


def difference_of_means(reactive: Floats, malignant: Floats, *, of_share: bool = False) -> float:
    """Standardised difference of means, malignant minus reactive; NaN values count as missing.

    Args:
        reactive, malignant: values of each class; of a share, 0 and 1.
        of_share: the variance is p(1 − p).

    Returns:
        NaN where a class has fewer than two known values (of a share: none); ±∞ where nothing varies but the means
        differ.

    Example:
        >>> round(difference_of_means(np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0])), 3)
        1.0
    """
    known = [values[~np.isnan(values)] for values in (reactive, malignant)]
    if min(map(len, known)) < (1 if of_share else 2):
        return float("nan")
    variance = np.mean([values.var(ddof=0 if of_share else 1) for values in known])
    difference = known[1].mean() - known[0].mean()
    if variance == 0:
        return 0.0 if difference == 0 else float(np.copysign(np.inf, difference))
    return float(difference / np.sqrt(variance))


def distance_of_shares(reactive: Sequence[int], malignant: Sequence[int]) -> float:
    """Standardised distance of the shares of several categories, at least 0.

    Args:
        reactive, malignant: patients of each class per category.

    Returns:
        NaN where nobody of a class is known; ∞ where no category has patients of both.

    Example:
        >>> round(distance_of_shares([5, 5], [8, 2]), 3)
        0.663
    """
    if not sum(reactive) or not sum(malignant):
        return float("nan")
    shares = [np.array(counts[1:], dtype=np.float64) / sum(counts) for counts in (reactive, malignant)]
    difference = shares[1] - shares[0]
    covariance = np.mean([np.diag(p) - np.outer(p, p) for p in shares], axis=0)
    solved = np.linalg.pinv(covariance, hermitian=True) @ difference
    if not np.allclose(
        covariance @ solved, difference
    ):  # a direction in which nothing varies within the classes
        return float("inf")
    return float(np.sqrt(difference @ solved))
