"""The clinical values of patients as a table: what a head is given beside the images, and nothing else."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .model import TABLE_COLUMNS
from .persons import PERSON, persons

__all__ = ["CLINICAL_COLUMNS", "PERSON", "clinical_frame", "person_numbers"]

CLINICAL_COLUMNS = ("age", "sex", "lymphocyte_count")


def clinical_frame(table: pd.DataFrame, declared: Iterable[str] = ()) -> pd.DataFrame:
    """The clinical values in `table`, without labels, folds, IDs, dates and numbers of images.

    Every table that reaches a head comes from here.

    Args:
        table: (n,) rows with columns of `Cohort.table`; a table that holds clinical values only stays as it is, and so
            does one that comes from here.
        declared: names of declared clinical columns.

    Returns:
        (n,) rows: age (years), sex ("M", "F", ""), lymphocyte_count (10⁹/l), then the declared columns (numbers, NaN
        where missing; texts, "" where missing), those of them that `table` has. Two rows have the
        same index, `person`, where they may be of one person (`cohort.persons`; without dates of birth every row is a
        person of its own). The numbers are shuffled, so that they say nothing else, such as the order of the rows.
    """
    own = [*CLINICAL_COLUMNS, *declared]
    if set(table.columns) <= set(own) or _comes_from_here(table):
        return table
    who = persons(table) if {"birth", "sex"} <= set(table.columns) else np.arange(len(table))
    names = np.random.default_rng(0).permutation(len(table))
    values = table[[name for name in own if name in table.columns]]
    return values.set_axis(pd.Index(names[who], name=PERSON), axis=0)


def _comes_from_here(table: pd.DataFrame) -> bool:
    """Whether persons are in the index, and nothing stands in the columns that a cohort's table has beside values."""
    hidden = {*TABLE_COLUMNS, PERSON, "fold"} - set(CLINICAL_COLUMNS)
    return table.index.name == PERSON and not hidden & set(table.columns)


def person_numbers(clinical: pd.DataFrame) -> NDArray[np.int64]:
    """(n,) int64, equal where two rows may be of one person, numbered from 0 by first appearance.

    Args:
        clinical: rows as `clinical_frame` gives them, or of `Cohort.table`.
    """
    return np.asarray(pd.factorize(clinical_frame(clinical).index)[0], dtype=np.int64)
