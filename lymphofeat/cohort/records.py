"""From table rows to clinical values: every cell checked, several tables' rows of a patient made one."""

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from ..errors import InputError
from ..wording import CLASSES
from .alike import alike_groups, difference, shown_id
from .dates import YEAR_ONLY, parse_date
from .declared import declared_columns
from .layout import LAYOUT_FILE, Layout
from .problems import Problems, Where
from .tables import Row, Table, needed_once, read_table
from .unknown_words import UnknownWords
from .values import Values, is_missing, known_value

__all__ = [
    "LIMIT",
    "Record",
    "as_number",
    "is_word",
    "merge_records",
    "patient_table",
    "report_alike",
    "report_missing_columns",
    "table_records",
]

_NAN = float("nan")
_FEWEST, _MOST = (
    0.5,
    1000.0,
)  # lymphocytes, 10⁹/l: outside, the unit is more likely wrong than the patient ill
OLDEST = 130.0  # years
LIMIT = re.compile(r"[<>≤≥]\s*(.+)")  # how laboratories write what lies beyond their range


@dataclass(frozen=True)
class Record:
    """What one row, or several rows together, say of a patient. Missing: None, "" or NaN."""

    id: str
    where: Where
    label: int | None = None  # 0, 1, -1; None: no label column, an empty cell, or a bad label
    bad_label: bool = False  # the label was reported already
    birth: date | None = None
    date_order: str = ""
    sex: str = ""
    age: float = _NAN  # counted by `cohort.ages`, once all tables are read
    count: float = _NAN
    person: str = ""
    birth_day: date | None = (
        None  # the day that ages are counted from: the date of birth, or 1 July of its year
    )
    given_age: float = _NAN  # years, as a table has it
    examined: date | None = None
    values: Values = field(default_factory=dict)  # see `declared_values`


def patient_table(path: Path, layout: Layout, problems: Problems, *more: str) -> Table | None:
    """Read a table of patients; None, with the reason in `problems`, where it cannot be used.

    A column that is there more than once is an error if the layout or `more` names it, and of no interest else.
    """
    table = read_table(path, problems)
    needed = [name for _, name in layout.columns if name]
    needed += declared_columns(layout.clinical).values()
    return table if table is not None and needed_once(table, (*needed, *more), problems) else None


def table_records(table: Table, layout: Layout, problems: Problems) -> list[Record]:
    """One record per row, in order. Rows without an ID and repeated IDs are reported and left out."""
    if not table.has(layout.columns.id):
        problems.error(
            "missing-column",
            table.path,
            1,
            f"has no column {layout.columns.id!r} (its columns: {', '.join(filter(None, table.columns))})",
            f"rename the column, or name it in {LAYOUT_FILE} as `id` under [columns]",
        )
        return []
    records: dict[str, Record] = {}
    unknown = UnknownWords(table, layout.values, problems)
    for row in table.rows:
        name = row.cells[layout.columns.id.lower()]
        if not name:
            problems.error("missing-id", table.path, row.number, "has no ID", "give the ID or remove the row")
        elif name in records:
            problems.error(
                "duplicate-id",
                table.path,
                row.number,
                f"ID {name!r} is already in row {records[name].where.row}",
                "keep one of the two rows",
            )
        else:
            records[name] = _Cells(table, row, layout, problems, unknown).record(name)
    unknown.report()
    return list(records.values())


class _Cells:
    """The cells of one row, and where to report what is wrong with them."""

    def __init__(
        self, table: Table, row: Row, layout: Layout, problems: Problems, unknown: UnknownWords
    ) -> None:
        self.table, self.row, self.layout, self.problems, self.unknown = table, row, layout, problems, unknown

    def record(self, name: str) -> Record:
        columns = self.layout.columns
        label, bad = self._label()
        born, order = self._date(columns.birth, "date of birth")
        return Record(
            id=name,
            where=Where(self.table.path, self.row.number),
            label=label,
            bad_label=bad,
            birth=None if order == YEAR_ONLY else born,
            date_order=order,
            sex=self._sex(),
            count=self._count(),
            person=self._text(columns.person),
            birth_day=born,
            given_age=self._age(),
            examined=self._date(columns.examined, "date of examination")[0],
        )

    def _text(self, column: str) -> str:
        """The cell, or "" where it says that the value is missing or the table has no such column."""
        text = self.row.cells.get(column.lower(), "") if column else ""
        return "" if is_word(text, self.layout.values.missing, self.table) else text

    def _error(self, code: str, message: str, remedy: str) -> None:
        self.problems.error(code, self.table.path, self.row.number, message, remedy)

    def _warning(self, code: str, message: str, remedy: str) -> None:
        self.problems.warning(code, self.table.path, self.row.number, message, remedy)

    def _label(self) -> tuple[int | None, bool]:
        """The label, and whether the cell holds something that is none."""
        raw = self.row.cells.get(self.layout.columns.label.lower(), "") if self.layout.columns.label else ""
        vocabulary = (self.layout.values.reactive, self.layout.values.malignant, self.layout.values.unknown)
        for label, words in zip((0, 1, -1), vocabulary, strict=True):
            if is_word(raw, words, self.table):
                return label, False
        if not self._text(self.layout.columns.label):
            return None, False
        self.unknown.add("label", raw, self.row)
        return None, True

    def _sex(self) -> str:
        text = self._text(self.layout.columns.sex)
        if is_word(text, self.layout.values.male, self.table):
            return "M"
        if is_word(text, self.layout.values.female, self.table):
            return "F"
        if text:
            self.unknown.add("sex", text, self.row, taken=self.layout.rows.unknown_sex.replace("error", ""))
        return ""

    def _date(self, column: str, what: str) -> tuple[date | None, str]:
        text = self._text(column)
        if not text:
            return None, ""
        try:
            return parse_date(text, self.layout.values.date_orders)
        except InputError as error:
            remedy = (
                "correct it, or leave it empty if it is not known, or name its form as `date_format` under [values] in "
                f"{LAYOUT_FILE}"
            )
            self._error("bad-date", f"{what}: {error}", remedy)
            return None, ""

    def _age(self) -> float:
        text = self._text(self.layout.columns.age)
        if not text:
            return _NAN
        age = as_number(text, self.table)
        if not 0 <= age <= OLDEST:
            self._error("bad-age", f"age {text!r} is not one in years", "correct it or leave it empty")
            return _NAN
        return age

    def _count(self) -> float:
        text = self._text(self.layout.columns.count)
        if not text:
            return _NAN
        count = as_number(text, self.table)
        limit = LIMIT.fullmatch(text)
        if limit and self.layout.rows.below_limit != "error":
            as_limit = self.layout.rows.below_limit == "limit"
            count = as_number(limit[1], self.table) if as_limit else _NAN
            taken = "missing" if math.isnan(count) else "the limit itself"
            self.unknown.add("lymphocyte count", text, self.row, taken=taken)
            return count
        if limit:
            self._error(
                "beyond-limit",
                f"lymphocyte count {text!r} says only that the value lies beyond the laboratory's range",
                f'take such values as missing, or as the limit, by below_limit = "missing" or "limit" in {LAYOUT_FILE} '
                "under [rows]",
            )
            return _NAN
        if not math.isfinite(count):
            self._error(
                "bad-count", f"lymphocyte count {text!r} is not a number", "correct it or leave it empty"
            )
            return _NAN
        if count < 0:
            self._error(
                "negative-count", f"lymphocyte count {text} is negative", "correct it or leave it empty"
            )
            return _NAN
        if not _FEWEST <= count <= _MOST:
            remedy = "check the value and its unit (10⁹ cells per litre)"
            self._warning("implausible-count", f"lymphocyte count {text} is implausible", remedy)
        return count


def as_number(text: str, table: Table) -> float:
    """The number that a cell of `table` holds; NaN if it holds none."""
    try:  # Python also reads 1_000, which no table means
        return float(text.replace(",", ".") if table.decimal_comma else text) if "_" not in text else _NAN
    except ValueError:
        return _NAN


def is_word(text: str, words: Collection[str], table: Table) -> bool:
    """Whether a cell holds one of these words: in any case, and a whole number however it is written.

    Spreadsheets and pandas write the code 1 as `1.0` (`1,0`) once a value of the column is missing.
    """
    if text.lower() in words:
        return True
    number = as_number(text, table)
    return math.isfinite(number) and number.is_integer() and number in {as_number(w, table) for w in words}


def merge_records(tables: Sequence[Sequence[Record]], problems: Problems, root: Path) -> dict[str, Record]:
    """One record per ID, in order of first appearance; a value that one table lacks comes from the next.

    Two tables that contradict one another are an error that names both rows.
    """
    merged: dict[str, Record] = {}
    for records in tables:
        for record in records:
            earlier = merged.get(record.id)
            merged[record.id] = _joined(earlier, record, problems, root) if earlier else record
    return merged


def _joined(a: Record, b: Record, problems: Problems, root: Path) -> Record:
    for name, first, second in (
        ("label", _class(a.label), _class(b.label)),
        ("date of birth", a.birth, b.birth),
        ("sex", a.sex or None, b.sex or None),
        ("lymphocyte count", _known(a.count), _known(b.count)),
        ("age", _known(a.given_age), _known(b.given_age)),
        ("date of examination", a.examined, b.examined),
        ("person", a.person or None, b.person or None),
        *((name, known_value(a.values, name), known_value(b.values, name)) for name in b.values),
    ):
        if first is not None and second is not None and first != second:
            problems.error(
                "contradiction",
                b.where.path,
                b.where.row,
                f"{name} of {b.id} is {second}, but {a.where.text(root)} says {first}",
                "make the tables agree",
            )
    born = a if a.birth or not b.birth else b
    return Record(
        id=a.id,
        where=a.where,
        label=a.label if a.label is not None else b.label,
        bad_label=a.bad_label or b.bad_label,
        birth=born.birth,
        date_order=born.date_order,
        sex=a.sex or b.sex,
        count=b.count if math.isnan(a.count) else a.count,
        person=a.person or b.person,
        birth_day=born.birth_day or b.birth_day,
        given_age=b.given_age if math.isnan(a.given_age) else a.given_age,
        examined=a.examined or b.examined,
        values={**b.values, **{name: value for name, value in a.values.items() if not is_missing(value)}},
    )


def _class(label: int | None) -> str | None:
    return None if label is None else CLASSES.get(label, "not known")


def _known(count: float) -> float | None:
    return None if math.isnan(count) else count


def report_missing_columns(
    tables: Sequence[Table], layout: Layout, problems: Problems, *, labelled: bool = True
) -> None:
    """Report columns that no table has: without labels, if it is `labelled`, the work stops; others are missing."""
    columns = {
        "label": layout.columns.label,
        "sex": layout.columns.sex,
        "birth": layout.columns.birth,
        "count": layout.columns.count,
        "examined": layout.columns.examined,
        "person": layout.columns.person,
    }
    for key, column in columns.items():
        if any(table.has(column) for table in tables) or (not column and not (key == "label" and labelled)):
            continue
        if key == "birth" and any(table.has(layout.columns.age) for table in tables):
            continue  # ages are there; that persons cannot be recognised is said by `cohort.repeats`
        report = problems.error if key == "label" else problems.warning
        report(
            "missing-column",
            tables[0].path,
            1,
            f"no table has a column {column!r}, so the {key} of every patient is missing",
            f"name the column in {LAYOUT_FILE} as `{key}` under [columns]",
        )


def report_alike(records: Collection[Record], problems: Problems, root: Path) -> None:
    """Warn of different IDs that look alike, as `11` and `0011`: they count as different patients."""
    by_id = {record.id: record for record in records}
    for group in alike_groups(by_id):
        first, *others = group
        for other in others:
            problems.warning(
                "alike-ids",
                by_id[other].where.path,
                by_id[other].where.row,
                f"ID {shown_id(other, first)} looks like {shown_id(first, other)} of "
                f"{by_id[first].where.text(root)} ({difference(first, other)}), and counts as another patient",
                "give a patient one ID in all tables and folders, or two patients IDs that differ more",
            )
