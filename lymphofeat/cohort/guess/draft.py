"""The text of a first `lymphofeat.toml`: guesses as keys, what is not known as commented questions."""

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import InputError
from ...storage.atomic import atomic_write
from ..date_orders import DAY_FIRST, MONTH_FIRST, slash_order
from ..layout import LAYOUT_FILE, Columns, Tables, Values
from ..problems import counted, listing
from .columns import Column, ColumnGuess, choose_table, guess_columns, sorted_words
from .contents import Contents, FoundTable, contents_of
from .pictures import PictureGuess, guess_pictures
from .vocabulary import LABELS, SEXES, YES

__all__ = ["Draft", "draft_layout", "write_draft"]

_SLASHES = re.compile(r"\d{1,2}/\d{1,2}/\d{4}.*", re.ASCII)
_DOTS = re.compile(r"\d{1,2}\.\d{1,2}\.\d{4}.*", re.ASCII)
_DASHES = re.compile(r"\d{1,2}-\d{1,2}-\d{4}.*", re.ASCII)
_ISO = re.compile(r"\d{4}-\d{1,2}-\d{1,2}.*", re.ASCII)
_WITH_SLASHES = {DAY_FIRST: "dd/mm/yyyy", MONTH_FIRST: "mm/dd/yyyy"}
_YEAR = re.compile(r"\d{4}", re.ASCII)
_MOST_SHOWN = 8


@dataclass
class Draft:
    """A first layout file.

    Attributes:
        root: the folder that it describes.
        text: of the file.
        found: what lies in the folder, a line each.
        questions: what only its owner knows, a line each.
    """

    root: Path
    text: str = ""
    found: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)


def draft_layout(root: Path) -> Draft:
    """Look at what lies in a folder, and describe it.

    Raises:
        InputError: no such folder, or neither images nor a table in it.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; name the one with the images and the table of patients.")
    contents = contents_of(root)
    if not contents.images and not contents.tables:
        raise InputError(f"{root} holds neither images nor tables; name the folder with the cohort's export.")
    return _Writer(contents).draft()


def write_draft(root: Path) -> Draft:
    """Describe a folder in its `lymphofeat.toml`, which must not be there yet.

    Raises:
        InputError: as `draft_layout`, or there is such a file.
    """
    path = root / LAYOUT_FILE
    if path.exists():
        raise InputError(f"{path} exists and is not replaced; move it away for a new first one.")
    draft = draft_layout(root)
    with atomic_write(path, overwrite=False) as file:
        file.write_text(draft.text, encoding="utf-8")
    return draft


class _Writer:
    """The sections one after another; findings and questions beside them."""

    def __init__(self, contents: Contents) -> None:
        self.contents = contents
        self.result = Draft(contents.root)
        self.lines = [
            f"# {LAYOUT_FILE}: written by `lymphofeat init` from what lies in this folder. Read it, answer the lines",
            "# marked QUESTION, and run `lymphofeat check`. All keys: docs/cohort.md.",
        ]

    def draft(self) -> Draft:
        pictures = guess_pictures(self.contents)
        ids = pictures.ids if pictures else frozenset()
        table = choose_table(self.contents.tables, ids, pictures.table if pictures else "")
        self._found(pictures)
        self._folders(pictures)
        self._tables(table)
        if table is not None:
            guess = guess_columns(table, ids)
            if pictures and pictures.table == table.name and "id" not in guess.roles:
                self._ask("which column of the table of images holds the patient?")
            self._columns(guess)
            pending = self._values(table, guess)
            self._rows(table, guess, ids, 0 if pictures and pictures.test else pending)
            self._clinical([c for c in guess.others if not pictures or c.name != pictures.file])
        else:
            self._ask("which table holds the diagnoses? None was found; name it under [tables] as `clinical`")
        self.result.text = "\n".join(self.lines) + "\n"
        return self.result

    def _section(self, name: str, *lines: str) -> None:
        self.lines += ["", f"[{name}]", *lines]

    def _ask(self, question: str) -> str:
        self.result.questions.append(question)
        return f"# QUESTION: {question}"

    def _found(self, pictures: PictureGuess | None) -> None:
        tell = self.result.found.append
        tell(
            f"{counted(self.contents.n_images, 'image')} in {counted(len(self.contents.images), 'folder')}"
            + (f": {pictures.words}" if pictures else "")
        )
        for found in self.contents.tables:
            mark = {",": "commas", ";": "semicolons", "\t": "tabs"}.get(found.table.separator, "")
            how = ", ".join(filter(None, [mark and f"separated by {mark}", found.encoding])) or "workbook"
            tell(
                f"{found.name}: {counted(len(found.table.rows), 'row')}, {how}; columns {', '.join(found.columns)}"
            )
        for fault in self.contents.unread:
            tell(f"not read: {fault}")

    def _folders(self, pictures: PictureGuess | None) -> None:
        if pictures is None:
            self.lines.append(self._ask("where are the images? There are none in this folder"))
            return
        self._section("folders", f"train = {_text(pictures.train)}", f"test = {_text(pictures.test)}")
        if pictures.pattern:
            self._section("images", f"pattern = {_text(pictures.pattern)}  # {pictures.words}")
            if not pictures.ids:
                self.lines.append(
                    self._ask("which part of an image's name is the patient? Put {patient} there")
                )
        if pictures.table:
            self._section("images", f"table = {_text(pictures.table)}", f"file = {_text(pictures.file)}")
        self.lines.append(
            "# The size of a pixel in µm, if it is known, under [images]: microns_per_pixel = 0.1"
        )

    def _tables(self, table: FoundTable | None) -> None:
        name, usual = "" if table is None else table.name, Tables()
        there = {found.name for found in self.contents.tables} - {name}
        parts = {
            key: own if own in there else "" for key, own in (("train", usual.train), ("test", usual.test))
        }
        self._section(
            "tables", f"clinical = {_text(name)}", *(f"{key} = {_text(own)}" for key, own in parts.items())
        )
        others = [one for one in sorted(there) if one not in parts.values()]
        if others:
            self.lines.append(f"# not used: {', '.join(others)}")

    def _columns(self, guess: ColumnGuess) -> None:
        lines = []
        for role in Columns.model_fields:
            if role in guess.roles:
                lines.append(f"{role} = {_text(guess.roles[role])}")
            elif role in ("id", "label"):
                lines.append(self._ask(f"which column is the {_ROLE[role]}?"))
                lines.append(f'# {role} = ""')
            else:
                lines.append(f'{role} = ""' + _NONE.get(role, ""))
        self._section("columns", *lines)

    def _values(self, table: FoundTable, guess: ColumnGuess) -> int:
        """The vocabulary; returns how many rows have no label, or one that says that there is none yet."""
        lines, pending = [], 0
        if "label" in guess.roles:
            texts = table.texts(guess.roles["label"])
            words = sorted_words(texts, LABELS)
            lines += [
                f"{m} = {_list(words[m])}  # {_counts(words[m])}"
                for m in ("reactive", "malignant")
                if words[m]
            ]
            lines += [f"unknown = {_list(words['unknown'], Values().unknown)}  # no diagnosis yet"]
            pending = words["unknown"].total() + len(table.table.rows) - len(texts)
            for meaning in ("reactive", "malignant"):
                if not words[meaning]:
                    lines.append(self._ask(f"which words of {guess.roles['label']!r} mean {meaning}?"))
            if words[""]:
                asked = (
                    f"is it reactive, malignant or unknown: {_counts(words[''])}? Put each word in its list"
                )
                lines.append(self._ask(asked))
        if "sex" in guess.roles:
            sexes = sorted_words(table.texts(guess.roles["sex"]), SEXES)
            lines += [
                f"{m} = {_list(sexes[m])}  # {_counts(sexes[m])}" for m in ("male", "female") if sexes[m]
            ]
            guess.missing += [
                word.lower() for word in sexes["missing"] if word.lower() not in Values().missing
            ]
            if sexes[""]:
                lines.append(self._ask(f"what sex is {_counts(sexes[''])}?"))
        if guess.missing:
            lines.append(f"missing = {_list(dict.fromkeys([*Values().missing, *guess.missing]))}")
        lines += self._dates(table, guess)
        for column, texts in guess.strange.items():
            lines.append(self._ask(f"what is meant by {listing([repr(t) for t in texts])} in {column!r}?"))
        self._section("values", *lines)
        return pending

    def _dates(self, table: FoundTable, guess: ColumnGuess) -> list[str]:
        columns = [guess.roles[role] for role in ("birth", "examined") if role in guess.roles]
        texts = [text for column in columns for text in table.texts(column)]
        if not texts:
            return []
        found = []
        for form, text in (
            (_DOTS, "dd.mm.yyyy"),
            (_DASHES, "dd-mm-yyyy"),
            (_ISO, "yyyy-mm-dd"),
            (_YEAR, "yyyy"),
        ):
            if any(form.fullmatch(t) for t in texts):
                found.append(text)
        slashes = [t for t in texts if _SLASHES.fullmatch(t)]
        order = slash_order(slashes)
        if order is not None:
            found.append(_WITH_SLASHES[order])
        if order is not None or not slashes:
            return [f"date_format = {_list(found)}"]
        asked = f"is {slashes[0]} written day first or month first? All dates can be read in both ways"
        ways = " or ".join(_list([*found, form]) for form in _WITH_SLASHES.values())
        return [self._ask(asked), f"# date_format = {ways}"]

    def _rows(self, table: FoundTable, guess: ColumnGuess, ids: frozenset[str], pending: int) -> None:
        lines = []
        if pending:
            lines.append(f'unlabelled = "leave out"  # {counted(pending, "row")} without a diagnosis yet')
        rows = set(table.texts(guess.roles["id"])) if "id" in guess.roles else set()
        if ids and (without := rows - ids):
            lines.append(f'without_images = "leave out"  # {_some(without)}')
        if ids and (orphans := ids - rows):
            lines.append(f'without_row = "leave out"  # {_some(orphans)}')
        if guess.beyond:
            lines.append(
                f'below_limit = "missing"  # {counted(guess.beyond, "count")} such as <0,5; "limit" takes the number'
            )
        if lines:
            self._section("rows", *lines)

    def _clinical(self, others: Sequence[Column]) -> None:
        usable = [column for column in others if column.kind]
        if usable:
            columns = listing([repr(c.name) for c in usable], _MOST_SHOWN)
            asked = (
                f"which of {columns} may a model use? Uncomment those sections; leave out what follows from the "
                "diagnosis"
                if len(usable) > 1
                else f"may a model use {columns}? Uncomment the section, unless the value follows from the diagnosis"
            )
            self.lines += ["", self._ask(asked)]
        for column in usable:
            self.lines += ["#", *_declared(column)]
        if rest := [column.name for column in others if not column.kind]:
            self.lines += ["", f"# not used, since neither numbers nor few words: {', '.join(rest)}"]


_ROLE = {"id": "patient's ID", "label": "diagnosis"}
_NONE = {
    "birth": "  # no date of birth: several records of one person cannot be recognised by it",
    "count": "  # no lymphocyte count (10⁹/l)",
    "person": "  # name one if a person has several records",
    "examined": "  # no date of examination",
}


def _declared(column: Column) -> Iterator[str]:
    yield f"# [clinical.{column.key}]"
    yield f"# column = {_text(column.name)}"
    yield f"# kind = {_text(column.kind)}" + (
        "" if column.kind == "number" else f"  # {_counts(column.words)}"
    )
    if column.kind == "number":
        yield f"# unit = {_text(column.unit)}"
        yield f"# range = [{column.extent}]  # in the table; write what is plausible: others are warned of"
    elif column.kind == "yes/no":
        yes = [w for w in column.words if w.lower() in YES]
        yield f"# yes = {_list(yes)}"
        yield f"# no = {_list([w for w in column.words if w not in yes])}"
    else:
        yield f"# categories = {_list(column.words)}"


def _some(names: Collection[str]) -> str:
    return f"{counted(len(names), 'patient')}: {listing(sorted(names))}"


def _counts(words: Mapping[str, int] | Counter[str]) -> str:
    most = sorted(words.items(), key=lambda item: -item[1])
    text = ", ".join(f"{word} ({n})" for word, n in most[:_MOST_SHOWN])
    return text + (f" and {len(most) - _MOST_SHOWN} more" if len(most) > _MOST_SHOWN else "")


def _text(text: str) -> str:
    """A basic string of TOML, which JSON's is as well."""
    return json.dumps(text, ensure_ascii=False)


def _list(words: Iterable[str], also: Iterable[str] = ()) -> str:
    return "[" + ", ".join(_text(word) for word in dict.fromkeys([*also, *words])) + "]"
