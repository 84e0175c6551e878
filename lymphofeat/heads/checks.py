"""Arguments and labels that a head cannot work with, in sentences."""

from abc import abstractmethod
from collections.abc import Mapping
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError

__all__ = ["Constrained", "Legal", "check_both_classes", "check_params", "is_above", "is_whole"]

Legal = dict[str, tuple[bool, str]]


class Constrained:
    """A part of a head that knows which arguments it can work with."""

    @abstractmethod
    def _parameter_constraints(self) -> Legal:
        """Per argument, whether its value is legal, and in words which are."""


def check_params(head: Any, legal: Mapping[str, tuple[bool, str]]) -> None:
    """Refuse a head with bad arguments, all of them at once.

    Args:
        head: has an attribute for each key of `legal`; a part's argument is named "<part>__<argument>".
        legal: per argument, whether its value is legal, and in words which are.

    Raises:
        InputError: one is not.
    """
    wrong = [
        f"{name} must be {wanted}, not {reduce(getattr, name.split('__'), head)!r}"
        for name, (holds, wanted) in legal.items()
        if not holds
    ]
    if wrong:
        raise InputError(f"{type(head).__name__}: {'; '.join(wrong)}.")


def check_both_classes(y: ArrayLike) -> None:
    """Refuse training labels of one class.

    Raises:
        InputError: they are.
    """
    if len(np.unique(y)) < 2:
        raise InputError("The training patients are all of one class; a head needs both to learn from.")


def is_whole(value: object, least: int = 1) -> bool:
    """Whether it is an integer of at least `least`."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= least


def is_above(value: object, bound: float = 0.0) -> bool:
    """Whether it is a finite number above `bound`."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    return bool(np.isfinite(value)) and float(value) > bound
