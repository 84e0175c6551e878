"""Words of a table that its vocabulary lacks: each word once, with its rows, not each row."""

from collections import defaultdict
from typing import NamedTuple

from .layout import LAYOUT_FILE, Values
from .problems import Problems, counted, listing
from .tables import Row, Table

__all__ = ["UnknownWords"]


class _Key(NamedTuple):
    what: str
    taken: str  # "" for an error, else what is made of the words


class UnknownWords:
    """What was found in one table, reported when it has been read."""

    def __init__(self, table: Table, values: Values, problems: Problems) -> None:
        self.table, self.values, self.problems = table, values, problems
        self._rows: dict[_Key, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))

    def add(self, what: str, word: str, row: Row, *, taken: str = "") -> None:
        """Note a word for a value (`what`); `taken`: "missing" and the like, where the layout says so."""
        self._rows[_Key(what, taken)][word].append(row.number)

    def report(self) -> None:
        """One problem for each value: an error, or a warning where the words are taken as something."""
        for (what, taken), words in self._rows.items():
            first = min(min(rows) for rows in words.values())
            by_number = sorted(words, key=lambda word: -len(words[word]))
            found = [f"{word!r} ({counted(len(words[word]), 'row')})" for word in by_number]
            code, many = what.replace(" ", "-"), len(words) > 1
            one = f"{what} {by_number[0]!r} is not known"
            if len(words[by_number[0]]) > 1:
                one += f", in {len(words[by_number[0]])} rows"
            listed = f"{what}: {len(words)} unknown words: {listing(found)}" if many else one
            if taken:
                n = sum(map(len, words.values()))
                message = f"{what} of {counted(n, 'row')} is taken as {taken}: {listing(found)}"
                self.problems.warning(
                    f"{code}-taken", self.table.path, first, message, "check that this is meant"
                )
            else:
                self.problems.error(f"bad-{code}", self.table.path, first, listed, self._remedy(what))

    def _remedy(self, what: str) -> str:
        word = self.values.word
        if what == "label":
            ways = f"write {word('reactive')}, {word('malignant')} or {word('unknown')}"
            lists = "`reactive`, `malignant` or `unknown`"
        else:
            ways = f"write {word('male')} or {word('female')}, leave it empty"
            lists = "`male`, `female` or `missing`"
        return f"{ways}, or put each word under {lists} in {LAYOUT_FILE}, section [values]"
