"""The persons behind the rows of a sample: where one person has several rows (visits), the person is what was sampled.

Rows of one person are alike, so that n rows of m persons say little more than m patients do. Whole persons are
therefore resampled and left out, and exact bounds count persons (Davison & Hinkley, *Bootstrap Methods and their
Application*, 1997, section 3.8; Field & Welsh, *Bootstrapping clustered data*, Journal of the Royal Statistical Society
B 69, 2007). Scores still count rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ._checks import Floats, Labels

__all__ = ["Groups", "Persons", "PersonsOfClass", "n_persons", "one_row_each", "repeating", "taken"]

Numbers = NDArray[np.int64]
# (n,) equal where rows are of one person; None: every row is a person of its own.
Groups = NDArray[np.int64] | None

_REACTIVE, _MALIGNANT, _BOTH = 0, 1, 2


class PersonsOfClass(NamedTuple):
    """Persons of either class, each counted once: whoever has rows of both counts in the class with fewer persons."""

    reactive: int
    malignant: int


@dataclass(frozen=True)
class Persons:
    """The persons of n labelled rows.

    Attributes:
        of_rows: (n,) int64, the rows' persons, numbered from 0 by first appearance.
        strata: (m,) int64: 0 for persons with reactive rows only, 1 with malignant ones only, 2 with both.
    """

    of_rows: Numbers
    strata: Numbers

    @classmethod
    def behind(cls, y: ArrayLike, groups: ArrayLike | None) -> "Persons":
        """The persons of rows with these labels.

        Args:
            y: (n,) labels 0 and 1.
            groups: (n,) numbers or texts, equal where two rows are of one person, as scikit-learn's `groups`; None:
                every row is a person.

        Raises:
            InputError: lengths that differ.
        """
        malignant = np.asarray(y) == 1
        of_rows = _numbered(groups, len(malignant))
        has = np.zeros((2, int(of_rows.max(initial=-1)) + 1), dtype=bool)
        has[malignant.astype(np.intp), of_rows] = True
        return cls(of_rows, np.where(has.all(axis=0), _BOTH, np.where(has[1], _MALIGNANT, _REACTIVE)))

    def __len__(self) -> int:
        return len(self.strata)

    @property
    def repeat(self) -> bool:
        """Whether some person has several rows."""
        return len(self.strata) < len(self.of_rows)

    @property
    def of_class(self) -> PersonsOfClass:
        """How many independent persons each class has at least."""
        malignant = int(self.as_malignant.sum())
        return PersonsOfClass(len(self) - malignant, malignant)

    @property
    def as_malignant(self) -> Labels:
        """(m,) the class in which each person counts; whoever has rows of both, in the one with fewer persons."""
        reactive, malignant, both = np.bincount(self.strata, minlength=3).tolist()
        to_malignant = min(both, max(0, (reactive + both - malignant + 1) // 2))
        found: Labels = np.asarray(self.strata == _MALIGNANT)
        found[np.flatnonzero(self.strata == _BOTH)[:to_malignant]] = True
        return found

    def by_stratum(self) -> Iterator[Numbers]:
        """The persons of each stratum that there is: reactive, malignant, both."""
        for stratum in (_REACTIVE, _MALIGNANT, _BOTH):
            members = np.flatnonzero(self.strata == stratum)
            if len(members):
                yield members

    def rows_of(self, weights: Floats) -> Floats:
        """(B, m) weights of persons → (B, n) weights of their rows."""
        return np.asarray(weights[:, self.of_rows] if self.repeat else weights)

    def without(self, persons: Numbers) -> Floats:
        """(len(persons), n) weights, 0 for the rows of that person and 1 for all others."""
        return np.asarray(self.of_rows[None, :] != persons[:, None], dtype=np.float64)

    def totals(self, rows: Floats) -> Floats:
        """(n,) values of the rows → (m,) their sums by person."""
        return np.asarray(np.bincount(self.of_rows, weights=rows, minlength=len(self)), dtype=np.float64)


def one_row_each(y: ArrayLike, groups: ArrayLike | None) -> Labels:
    """(n,) bool, one row of each person, the first of the class in which the person counts.

    What holds for independent patients, such as the limits of `triage` and `conformal`, holds for these (Dunn,
    Wasserman & Ramdas, *Distribution-free prediction sets for two-layer hierarchical models*, Journal of the American
    Statistical Association 118, 2023).
    """
    persons = Persons.behind(y, groups)
    fitting = np.flatnonzero((np.asarray(y) == 1) == persons.as_malignant[persons.of_rows])
    chosen = np.zeros(len(persons.of_rows), dtype=bool)
    chosen[fitting[np.unique(persons.of_rows[fitting], return_index=True)[1]]] = True
    return chosen


def n_persons(groups: Groups) -> int | None:
    """How many persons there are; None where every row is a person of its own."""
    return None if groups is None else len(np.unique(groups))


def repeating(groups: ArrayLike | None) -> Groups:
    """The groups as (n,) int64 from 0 by first appearance; None where no two rows are of one person."""
    if groups is None:
        return None
    numbers = _numbered(groups, len(np.asarray(groups)))
    return numbers if len(np.unique(numbers)) < len(numbers) else None


def taken(groups: Groups, who: Labels | Numbers) -> Groups:
    """The groups of some of the rows, by a mask or by positions."""
    return None if groups is None else groups[who]


def _numbered(groups: ArrayLike | None, n: int) -> Numbers:
    if groups is None:
        return np.arange(n)
    given = np.asarray(groups)
    if given.shape != (n,):
        raise InputError(f"Labels ({n},) and groups {given.shape} must be one row per patient each.")
    _, first, inverse = np.unique(given, return_index=True, return_inverse=True)
    order = np.empty(len(first), dtype=np.int64)
    order[np.argsort(first, kind="stable")] = np.arange(len(first))
    return order[inverse]
