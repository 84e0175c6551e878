"""Arguments and labels that a head cannot work with, in sentences."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError

__all__ = ["check_both_classes", "check_params", "is_above", "is_whole"]


def check_params(head: Any, legal: Mapping[str, tuple[bool, str]]) -> None:
    """Refuse a head with bad arguments, all of them at once.

    Args:
        head: has an attribute for each key of `legal`.
        legal: per argument, whether its value is legal, and in words which are.

    Raises:
        InputError: one is not.
    """
    wrong = [
        f"{name} must be {wanted}, not {getattr(head, name)!r}"
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
