"""Ages of patients: counted in one way for all of a cohort, and told in which.

Two ways do not mix. An age at the examination, given or counted from a date of birth and a date of examination, is the
age that a haematologist knows. Where a cohort has neither, all ages are counted to one reference day, and differ from
the true ones by the years between. A model that learnt one kind is wrong by those years on the other.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from .dates import YEAR_ONLY, age_at, years_between
from .layout import LAYOUT_FILE, Layout
from .problems import Problems, counted, listing
from .records import Record

__all__ = [
    "AT_EXAMINATION",
    "AgeRule",
    "age_reference",
    "ages_words",
    "reference_of",
    "reference_text",
    "with_ages",
]

AT_EXAMINATION = "examination"  # in files, in the place of a reference day
_OLDEST = 115.0  # years
_TOLERANCE = 1.01  # years: a given age is in completed ones


@dataclass(frozen=True)
class AgeRule:
    """How ages are counted: to a day, or (None) at each patient's examination."""

    reference: date | None


def age_reference(records: Mapping[str, Record], layout: Layout) -> date | None:
    """The day that a cohort's ages are counted to; None where they are those at each patient's examination."""
    examined = any(r.examined is not None or not math.isnan(r.given_age) for r in records.values())
    return None if examined else layout.ages.reference


def reference_text(reference: date | None) -> str:
    """The reference as files keep it: ISO text, or `AT_EXAMINATION`."""
    return AT_EXAMINATION if reference is None else reference.isoformat()


def reference_of(text: str) -> date | None:
    """What `reference_text` wrote.

    Raises:
        ValueError: another text.
    """
    return None if text == AT_EXAMINATION else date.fromisoformat(text)


def ages_words(reference: str) -> str:
    """A reference text in words: "counted to 2020-01-01"."""
    if reference == AT_EXAMINATION:
        return "at the examination"
    return f"counted to {reference or 'a date that was not recorded'}"


def with_ages(
    records: Mapping[str, Record], reference: date | None, layout: Layout, problems: Problems
) -> dict[str, Record]:
    """The records with their ages, all counted in one way; what cannot be is missing, or an error where it is wrong.

    Args:
        records: ID → record, without an age.
        reference: the day to count to; None: age at the examination.
        layout: a `reference` that it names is the day of examination of those who have none.
        problems: get one sentence per cause for the patients whose age is missing.
    """
    aged = {name: replace(r, age=_age(r, reference, layout, problems)) for name, r in records.items()}
    unknown = [name for name, r in aged.items() if math.isnan(r.age)]
    if reference is None:
        _report_not_examined([aged[name] for name in unknown if records[name].birth_day], problems)
    else:
        _report_only_given([aged[name] for name in unknown if _given(records[name])], reference, problems)
    _report_years_only([r for r in aged.values() if r.date_order == YEAR_ONLY], problems)
    return aged


def _given(record: Record) -> bool:
    return not math.isnan(record.given_age)


def _age(record: Record, reference: date | None, layout: Layout, problems: Problems) -> float:
    """The age counted to `reference`, or at the examination; NaN where it is not known."""
    examined = record.examined
    if reference is None and examined is None and "reference" in layout.ages.model_fields_set:
        examined = layout.ages.reference
    day = examined if reference is None else reference
    counted_age = math.nan
    if record.birth_day is not None and day is not None:
        if record.birth_day > day:
            _report_born_later(record, day, reference, problems)
            return math.nan
        counted_age = age_at(record.birth_day, day)
        if counted_age > _OLDEST:
            _report_old(record, counted_age, problems)
    if not _given(record):
        return counted_age
    if reference is not None:
        if not math.isnan(counted_age) or record.examined is None:
            return counted_age
        return record.given_age + years_between(record.examined, reference)
    if abs(record.given_age - counted_age) > _TOLERANCE and record.examined is not None:
        problems.error(
            "age-contradiction",
            record.where.path,
            record.where.row,
            f"the age of {record.id} is given as {record.given_age:g}, but born on {record.birth_day} and examined on "
            f"{record.examined} is {counted_age:.0f}",
            "correct the one that is wrong",
        )
    return record.given_age


def _report_born_later(record: Record, day: date, reference: date | None, problems: Problems) -> None:
    if reference is None:
        what, remedy = f"the date of examination {day}", "correct the one that is wrong"
    else:
        what = f"the reference date {day}"
        remedy = f"correct it, or set a later `reference` in {LAYOUT_FILE} under [ages]"
    message = f"the date of birth {record.birth_day} is after {what}"
    problems.error("bad-date", record.where.path, record.where.row, message, remedy)


def _report_old(record: Record, age: float, problems: Problems) -> None:
    message = f"born {record.birth_day}, that is {age:.0f} years of age"
    problems.warning("implausible-age", record.where.path, record.where.row, message, "check the year")


def _report_not_examined(records: Sequence[Record], problems: Problems) -> None:
    if not records:
        return
    first = records[0].where
    problems.warning(
        "no-examination",
        first.path,
        first.row,
        f"{_they_have(records)} a date of birth but neither an age nor a date of examination; ages in this cohort are "
        "those at the examination, so this one is missing",
        f"add the dates, or name the day of all these examinations in {LAYOUT_FILE} as `reference` under [ages]",
    )


def _report_only_given(records: Sequence[Record], reference: date, problems: Problems) -> None:
    if not records:
        return
    first = records[0].where
    problems.error(
        "age-of-another-kind",
        first.path,
        first.row,
        f"{_they_have(records)} an age only, and the model's ages are counted from dates of birth to {reference}, "
        "years away from an age of today",
        "give the date of birth, or the date of the examination beside the age",
    )


def _they_have(records: Sequence[Record]) -> str:
    """`1 patient (P3) has`, `2 patients (P3 and P4) have`."""
    verb = "has" if len(records) == 1 else "have"
    return f"{counted(len(records), 'patient')} ({listing([r.id for r in records])}) {verb}"


def _report_years_only(records: Sequence[Record], problems: Problems) -> None:
    if not records:
        return
    first = records[0].where
    problems.warning(
        "year-of-birth-only",
        first.path,
        first.row,
        f"{_they_have(records)} a year of birth only; the age is counted from 1 July of it, right to half a year",
        "give full dates, also to recognise several records of one person",
    )
