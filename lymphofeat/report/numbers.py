"""Scores as text, never without their intervals."""

from ..statistics import Interval

__all__ = ["compact_difference", "compact_interval", "difference_text", "interval_text"]


def interval_text(interval: Interval, digits: int = 3) -> str:
    """As 0.867 [0.801, 0.921]; — where it is not known."""
    value, low, high = (_text(x, f".{digits}f") for x in interval)
    return f"{value} [{low}, {high}]"


def difference_text(interval: Interval) -> str:
    """As −0.050 [−0.101, +0.003]."""
    value, low, high = (_text(x, "+.3f") for x in interval)
    return f"{value} [{low}, {high}]"


def compact_interval(interval: Interval) -> str:
    """As 0.867 (0.80–0.92), for tables of 80 columns."""
    return f"{_text(interval.value, '.3f')} ({_text(interval.low, '.2f')}–{_text(interval.high, '.2f')})"


def compact_difference(interval: Interval) -> str:
    """As −0.050 (−0.10 to +0.00), for tables of 80 columns."""
    return (
        f"{_text(interval.value, '+.3f')} ({_text(interval.low, '+.2f')} to {_text(interval.high, '+.2f')})"
    )


def _text(x: float, form: str) -> str:
    return "—" if x != x else f"{x:{form}}".replace("-", "−")
