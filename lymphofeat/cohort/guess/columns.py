"""What the columns of a table hold, by their names and by their cells."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from ..declared import bad_name
from ..layout import Values
from ..records import as_number, is_word
from .contents import FoundTable
from .vocabulary import LABELS, NO, ROLES, SEXES, YES, has_name, simple

__all__ = ["Column", "ColumnGuess", "choose_table", "guess_columns", "sorted_words"]

_DATE = re.compile(r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}([ T].*)?|(18|19|20)\d{2}", re.ASCII)
_BEYOND = re.compile(r"[<>≤≥]\s*\d.*")
_MOST_WORDS = 8  # of a category
_NOT_MEASURED = frozenset(
    {"k.a.", "ka", "keine angabe", "n.d.", "nd", "nc", "non fait", "nicht bestimmt", "--", "---", "n.b.", "nb",
     "unbekannt", "inconnu", "unknown", "fehlt", "manquant", "missing", "#n/a", "#nv", "."}
)  # fmt: skip


@dataclass(frozen=True)
class Column:
    """A column that has no role of its own.

    Attributes:
        name: as the table writes it.
        kind: "number", "yes/no", "category", or "" for texts that are none of them.
        key: a name for [clinical.NAME].
        words: its words with their counts, for a category.
        unit: what stands in brackets in its name.
        extent: smallest and largest number, as text.
    """

    name: str
    kind: str
    key: str
    words: Mapping[str, int]
    unit: str
    extent: str = ""


@dataclass
class ColumnGuess:
    """What a table's columns hold.

    Attributes:
        roles: role, as [columns] calls it → column.
        others: columns without a role.
        missing: words that stand for a missing value, beside those that are known by default.
        strange: column → texts that do not fit it.
        beyond: number of cells such as `<0,5` in the column of the count.
    """

    roles: dict[str, str] = field(default_factory=dict)
    others: list[Column] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    strange: dict[str, list[str]] = field(default_factory=dict)
    beyond: int = 0


def choose_table(tables: Sequence[FoundTable], ids: Collection[str], but: str = "") -> FoundTable | None:
    """The table of patients: the one with most IDs of the images and most columns of known roles."""

    def rank(found: FoundTable) -> tuple[float, int]:
        known = max((len(set(found.texts(c)) & set(ids)) for c in found.columns), default=0) / max(
            len(ids), 1
        )
        roles = sum(any(has_name(c, ROLES[role]) for c in found.columns) for role in ROLES)
        return known, roles

    ranked = sorted((t for t in tables if t.name != but), key=rank, reverse=True)
    if ranked and (rank(ranked[0])[0] > 0 or rank(ranked[0])[1] >= 2):
        return ranked[0]
    return next((t for t in tables if t.name == but), None)


def guess_columns(found: FoundTable, ids: Collection[str]) -> ColumnGuess:
    """Roles by names, each checked against the cells; the ID by the images where there are any."""
    guess = ColumnGuess()
    fits = {
        "label": lambda texts: 2 <= len({t.lower() for t in texts}) <= 40,
        "sex": lambda texts: (
            _share(texts, lambda t: any(simple(t) in words for words in SEXES.values())) > 0.5
        ),
        "birth": lambda texts: _share(texts, lambda t: bool(_DATE.fullmatch(t))) > 0.5,
        "examined": lambda texts: _share(texts, lambda t: bool(_DATE.fullmatch(t))) > 0.5,
        "count": lambda texts: _share(texts, lambda t: _numeric(t, found)) > 0.5,
        "age": lambda texts: _share(texts, lambda t: 0 <= as_number(t, found.table) <= 120) > 0.5,
    }
    by_images = _by_images(found, ids)
    free = [c for c in found.columns if found.texts(c) and c != by_images]
    if by_images:
        guess.roles["id"] = by_images
    for role in ("label", "sex", "birth", "age", "count", "examined"):
        called = [c for c in free if has_name(c, ROLES[role]) and fits[role](found.texts(c))]
        if not called and role == "label":
            called = [c for c in free if _share(found.texts(c), lambda t: bool(label_of(t))) > 0.6]
        if called:
            best = min(called, key=lambda c: (simple(c) not in ROLES[role], free.index(c)))
            guess.roles[role] = best
            free.remove(best)
    _guess_ids(found, free, guess)
    _guess_missing(found, guess)
    guess.others = [_other(found, c, guess) for c in free]
    return guess


def _by_images(found: FoundTable, ids: Collection[str]) -> str:
    shared = {c: len(set(found.texts(c)) & set(ids)) for c in found.columns}
    best = max(shared, key=lambda c: shared[c], default="")
    return best if best and shared[best] > 0 else ""


def _guess_ids(found: FoundTable, free: list[str], guess: ColumnGuess) -> None:
    """The ID, if images did not tell it: unique in every row; the person: another such name whose texts repeat."""

    def unique(column: str) -> bool:
        texts = found.texts(column)
        return len(texts) == len(set(texts)) == len(found.table.rows)

    called = [c for c in free if has_name(c, (*ROLES["id"], *ROLES["person"]))]
    if "id" not in guess.roles:
        whole = sorted((c for c in called if unique(c)), key=lambda c: simple(c) not in ROLES["id"])
        if whole:
            guess.roles["id"] = whole[0]
            free.remove(whole[0])
    repeated = [c for c in called if c in free and has_name(c, ROLES["person"]) and not unique(c)]
    if repeated:
        guess.roles["person"] = repeated[0]
        free.remove(repeated[0])


def _guess_missing(found: FoundTable, guess: ColumnGuess) -> None:
    default = Values().missing
    numbers = [guess.roles[role] for role in ("count", "age") if role in guess.roles]
    dates = [guess.roles[role] for role in ("birth", "examined") if role in guess.roles]
    for column in numbers + dates:
        wrong = []
        for text in dict.fromkeys(found.texts(column)):
            fine = _DATE.fullmatch(text) if column in dates else _numeric(text, found)
            if fine or is_word(text, default, found.table):
                continue
            if text.lower() in _NOT_MEASURED:
                guess.missing.append(text.lower())
            else:
                wrong.append(text)
        if wrong:
            guess.strange[column] = wrong
    guess.missing = list(dict.fromkeys(guess.missing))
    if "count" in guess.roles:
        guess.beyond = sum(bool(_BEYOND.fullmatch(text)) for text in found.texts(guess.roles["count"]))


def _other(found: FoundTable, name: str, guess: ColumnGuess) -> Column:
    missing = {*Values().missing, *guess.missing, *_NOT_MEASURED}
    texts = [t for t in found.texts(name) if t.lower() not in missing or t in ("-", "+")]
    words = Counter(texts)
    kind = ""
    if texts and len(words) == 2 and {w.lower() for w in words} <= YES | NO:
        kind = "yes/no"
    elif texts and _share(texts, lambda t: _numeric(t, found)) > 0.8 and len(words) > 2:
        kind = "number"
    elif 2 <= len(words) <= _MOST_WORDS and len(words) < len(texts) / 2:
        kind = "category"
    unit = re.search(r"[(\[](.*?)[)\]]", name)
    numbers = [n for t in texts if (n := as_number(t, found.table)) == n]
    extent = f"{min(numbers):g}, {max(numbers):g}" if kind == "number" else ""
    return Column(
        name, kind, _key(name, guess), dict(words.most_common()), unit[1].strip() if unit else "", extent
    )


def _key(name: str, guess: ColumnGuess) -> str:
    taken = {column.key for column in guess.others}
    key = simple(name) or "value"
    key = key if not bad_name(key) else f"v{key}"[:40]
    while key in taken or bad_name(key):
        key += "x"
    return key


def sorted_words(texts: Sequence[str], known: Mapping[str, Sequence[str]]) -> dict[str, Counter[str]]:
    """Words by meaning, with counts; those that nobody knows under ""."""
    found: dict[str, Counter[str]] = {meaning: Counter() for meaning in ("", *known)}
    for text in texts:
        meaning = label_of(text) if known is LABELS else _sex_of(text)
        found[meaning][text] += 1
    return found


def label_of(text: str) -> str:
    """What a diagnosis means: "malignant", "reactive", "unknown"; "" where that is not known or doubtful."""
    bare, short = text.strip(), simple(text)
    if bare in ("0", "1", "-1"):
        return {"0": "reactive", "1": "malignant", "-1": "unknown"}[bare]
    if bare in ("?", "??"):
        return "unknown"
    tokens = [*map(simple, re.split(r"[^\w]+", bare)), short]
    meanings = {
        meaning
        for meaning, words in LABELS.items()
        for word in words
        if any(token == word or (len(word) > 4 and word in token) for token in tokens)
    }
    return meanings.pop() if len(meanings) == 1 else ""


def _sex_of(text: str) -> str:
    return next((meaning for meaning, words in SEXES.items() if simple(text) in words), "")


def _share(texts: Sequence[str], fits: object) -> float:
    assert callable(fits)
    return sum(bool(fits(text)) for text in texts) / len(texts) if texts else 0.0


def _numeric(text: str, found: FoundTable) -> bool:
    number = as_number(text, found.table)
    return number == number or bool(_BEYOND.fullmatch(text))
