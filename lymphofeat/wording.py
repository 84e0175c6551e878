"""Numbers and metrics as text; a score never without its interval."""

import math
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from .metric import NAMED

__all__ = [
    "CLASSES",
    "by_whom",
    "compact_difference",
    "compact_interval",
    "did_you_mean",
    "difference_text",
    "duration",
    "interval_text",
    "listed",
    "metric_label",
    "number",
    "p_value",
    "sample_text",
    "share",
    "size_text",
]

CLASSES = {0: "reactive", 1: "malignant"}  # by label

Interval = tuple[float, float, float]  # value, low, high, as `estimates.Interval` has them


def interval_text(interval: Interval, digits: int = 3) -> str:
    """As 0.867 [0.801, 0.921]; — where it is not known."""
    value, low, high = (number(x, digits) for x in interval)
    return f"{value} [{low}, {high}]"


def difference_text(interval: Interval) -> str:
    """As −0.050 [−0.101, +0.003]."""
    value, low, high = (number(x, signed=True) for x in interval)
    return f"{value} [{low}, {high}]"


def compact_interval(interval: Interval) -> str:
    """As 0.867 (0.80–0.92), for tables of 80 columns."""
    value, low, high = interval
    return f"{number(value)} ({number(low, 2)}–{number(high, 2)})"


def compact_difference(interval: Interval) -> str:
    """As −0.050 (−0.10 to +0.00), for tables of 80 columns."""
    value, low, high = interval
    return f"{number(value, signed=True)} ({number(low, 2, signed=True)} to {number(high, 2, signed=True)})"


def sample_text(n: int, n_malignant: int | None = None, n_persons: int | None = None, kind: str = "") -> str:
    """As "100 labelled patients (69 malignant)", or "100 labelled records of 94 persons (69 malignant records)".

    Args:
        n: records.
        n_malignant: of them; None: it is not said.
        n_persons: None where every record is a patient of their own.
        kind: an adjective, such as "labelled".
    """
    records = "patients" if n_persons is None else "records"
    text = f"{n} {kind} {records}" if kind else f"{n} {records}"
    if n_persons is not None:
        text += f" of {n_persons} persons"
    if n_malignant is None:
        return text
    return f"{text} ({n_malignant} malignant{'' if n_persons is None else ' records'})"


def by_whom(n_persons: int | None) -> str:
    """What an interval is by: "by patient", or "by person" where persons have several records."""
    return "by patient" if n_persons is None else "by person"


def listed(names: Sequence[object], most: int = 3) -> str:
    """The first of several names, and how many more there are: "P1, P2, P3 and 9 more"."""
    more = "" if len(names) <= most else f" and {len(names) - most} more"
    return f"{', '.join(str(name) for name in names[:most])}{more}"


def metric_label(metric: str) -> str:
    """A metric's name in a sentence."""
    return NAMED[metric].label if metric in NAMED else metric.replace("_", " ")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """What to put behind a name that nothing has: " (did you mean 'pooled'?)", else all that there is."""
    by_case = {one.lower(): one for one in known}
    near = get_close_matches(name.lower(), by_case, n=1, cutoff=0.5)
    return f" (did you mean {by_case[near[0]]!r}?)" if near else f" (there are {', '.join(by_case.values())})"


_INFINITE = "∞"


def duration(seconds: float) -> str:
    """Seconds in words: "40 s", "12 min", "3 h 20 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def number(value: float, digits: int = 3, *, signed: bool = False) -> str:
    """As 0.867 or −0.050; — where it is not known, ∞ where nothing bounds it."""
    if value is None or math.isnan(value):
        return "—"
    if math.isinf(value):
        return _INFINITE if value > 0 else f"−{_INFINITE}"
    return f"{value:{'+' if signed else ''}.{digits}f}".replace("-", "−")


def size_text(size: int) -> str:
    """Bytes as 12.3 MB; decimal units, as disks have them."""
    value, units = float(size), ("kB", "MB", "GB", "TB")
    if size < 1000:
        return f"{size} B"
    for unit in units:
        value /= 1000
        if value < 999.95 or unit == units[-1]:
            return f"{value:.1f} {unit}"
    raise AssertionError("the last unit takes everything")


def share(value: float) -> str:
    """As 36 %."""
    return "—" if value is None or math.isnan(value) else f"{100 * value:.0f} %"


def p_value(value: float) -> str:
    """As 0.034 or <0.001."""
    return "<0.001" if value < 0.001 else number(value)
