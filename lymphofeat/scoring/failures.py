"""Trials that failed: which errors are those of one head and which end a search, and how failures are reported.

A head that cannot be fitted costs its trial, not the search. The trial keeps the error's text. It counts among the
trials that were asked for, and its point is not proposed again.
"""

import contextlib
import re
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CacheError, InputError, LeakageError, StudyError

__all__ = [
    "ERROR",
    "REASON",
    "FailedTrial",
    "attrs_of",
    "cause_of",
    "concerns_all",
    "head_errors",
    "in_words",
    "is_unexpected",
    "raise_if_all",
]

# User attributes of a failed trial: what happened in a sentence, and the error's type and text.
REASON, ERROR = "reason", "error"

# torch and XGBoost raise errors of other types where memory ends.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "bad_alloc", "bad allocation", "out of memory")
_PACKAGE = Path(__file__).parents[1]
_NUMBER = re.compile(r"\d+(\.\d+)?")


@dataclass(frozen=True)
class FailedTrial:
    """A trial whose head could not be fitted, or gave no probabilities.

    Attributes:
        number: the trial's.
        head type: of its head.
        reason: why, in a sentence.
        error: type and text of the error.
    """

    number: int
    head_type: str
    reason: str
    error: str


def concerns_all(error: Exception) -> Exception | None:
    """What ends the search, where an error is none of the head that met it; else None.

    Every trial would meet a leak, a cache that is gone, a disk or a memory that is used up.
    """
    if isinstance(error, MemoryError) or any(text in str(error).lower() for text in _NO_MEMORY):
        sentence = f"The memory is used up ({_text(error)}); give fewer --jobs, or free some."
        return StudyError(f"{sentence} The finished trials are kept.")
    return error if isinstance(error, LeakageError | CacheError | StudyError | OSError) else None


def raise_if_all(error: Exception) -> None:
    """Raise what ends the search; nothing where the error is that of one head.

    Raises:
        LeakageError, CacheError, StudyError, OSError: see `concerns_all`.
    """
    ends = concerns_all(error)
    if ends is error:
        raise error
    if ends is not None:
        raise ends from error


@contextlib.contextmanager
def head_errors(head_type: str) -> Iterator[None]:
    """Turn what a selected head fails with into a sentence.

    Raises:
        StudyError: the head cannot be fitted or gives no probabilities.
        LeakageError, CacheError, OSError: what every head would meet.
    """
    try:
        yield
    except Exception as error:
        raise_if_all(error)
        raise StudyError(
            f"The selected head ({head_type}) failed on these patients, although it did not in cross-validation: "
            f"{attrs_of(error)[REASON]} Search again without it: name other --heads and a new --study."
        ) from error


def reason_of(error: StudyError) -> str:
    """The reason of an error that `head_errors` raised, in one sentence."""
    cause = error.__cause__
    return attrs_of(cause)[REASON] if isinstance(cause, Exception) else str(error)


def attrs_of(error: Exception) -> dict[str, str]:
    """What a failed trial keeps of its error, the same in whichever process it was."""
    text = _text(error)
    if isinstance(error, InputError):
        return {REASON: text, ERROR: f"{type(error).__name__}: {text}"}
    reason = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return {REASON: reason, ERROR: f"{reason}{_place(error)}"}


def cause_of(attrs: Mapping[str, Any]) -> str:
    """Equal for failures of one cause: numbers in their reasons do not count."""
    return _NUMBER.sub("…", str(attrs.get(REASON, "")))


def is_unexpected(attrs: Mapping[str, Any]) -> bool:
    """Whether a failure is not one that a head foresees and says a sentence of."""
    return not str(attrs.get(ERROR, "")).startswith(f"{InputError.__name__}:")


def in_words(failed: Sequence[FailedTrial], n_trials: int) -> list[str]:
    """How many of the trials failed, and by cause why; nothing where none did."""
    if not failed:
        return []
    causes: dict[str, list[FailedTrial]] = {}
    for one in failed:
        causes.setdefault(cause_of({REASON: one.reason}), []).append(one)
    ordered = sorted(causes.values(), key=lambda some: -len(some))
    noun = "trial" if n_trials == 1 else "trials"
    head = f"{len(failed)} of {n_trials} {noun} failed"
    if len(ordered) == 1:
        return [f"{head}: {_one_cause(ordered[0])}"]
    return [f"{head}:", *(f"  {len(some)} × {_one_cause(some)}" for some in ordered)]


def _one_cause(failed: Sequence[FailedTrial]) -> str:
    return f"{', '.join(_unique(one.head_type for one in failed))}: {failed[0].reason}"


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _text(error: Exception) -> str:
    return " ".join(str(error).split())


def _place(error: Exception) -> str:
    """The innermost line of this package that the error came through."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).is_relative_to(_PACKAGE):
            return f" ({Path(frame.filename).relative_to(_PACKAGE)}, line {frame.lineno})"
    return ""
