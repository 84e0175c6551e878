"""IDs that a person reads as one and a program as two: `0011` and `11`, `p3` and `P3`, `P 3` and `P3`."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable

__all__ = ["alike_groups", "apart", "difference", "look_alike", "shown_id"]

_LEADING_ZEROS = re.compile(r"(?<![\d.])0+(?=\d)")
_WHOLE_FLOAT = re.compile(r"(?<=\d)\.0+$")


def _without_blanks(text: str) -> str:
    """`text` without white space and characters that nobody sees (soft hyphens, zero-width ones)."""
    return "".join(c for c in text if not c.isspace() and unicodedata.category(c) != "Cf")


# What two IDs may differ in and still look alike, in the order in which it is taken away.
_STEPS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("Unicode forms of the same letters", lambda text: unicodedata.normalize("NFKC", text)),
    ("blanks or invisible characters", _without_blanks),
    ("upper and lower case", str.casefold),
    ("a decimal .0", lambda text: _WHOLE_FLOAT.sub("", text)),
    ("leading zeros", lambda text: _LEADING_ZEROS.sub("", text)),
)


def look_alike(name: str, *, but: str = "") -> str:
    """What IDs that look alike have in common; with `but`, the step of that name is left out."""
    for word, step in _STEPS:
        if word != but:
            name = step(name)
    return name


def difference(a: str, b: str) -> str:
    """In what two IDs that look alike differ, in words; "" where they are equal or do not look alike."""
    if a == b or look_alike(a) != look_alike(b):
        return ""
    words = [word for word, _ in _STEPS if look_alike(a, but=word) != look_alike(b, but=word)]
    if not words:  # each of several steps would do, as for a no-break space
        words = [word for word, step in _STEPS if step(a) == step(b)][:1]
    return ", ".join(words) or "their characters"


def apart(name: str, here: str, other: str, there: str) -> str:
    """`'0011' in clinical.csv, '11' in trainset: they differ in leading zeros`."""
    one, two = shown_id(name, other), shown_id(other, name)
    return f"{one} in {here}, {two} in {there}: they differ in {difference(name, other)}"


def alike_groups(names: Iterable[str]) -> list[list[str]]:
    """Different IDs that look alike, in the order of their first appearance."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in dict.fromkeys(names):
        groups[look_alike(name)].append(name)
    return [group for group in groups.values() if len(group) > 1]


def shown_id(name: str, other: str = "") -> str:
    """An ID in quotes; in ASCII where it would otherwise be printed as `other` is."""
    same = unicodedata.normalize("NFKC", name) == unicodedata.normalize("NFKC", other)
    return ascii(name) if same or not name.isprintable() else repr(name)
