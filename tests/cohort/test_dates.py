"""Dates of birth: the separator decides, impossible days are refused, ages are exact."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lymphofeat.cohort.dates import REFERENCE_DATE, age_at, parse_date
from lymphofeat.errors import InputError

births = st.dates(date(1900, 1, 1), REFERENCE_DATE)


@given(births)
def test_every_day_reads_back_from_every_form(day: date) -> None:
    d, m, y = day.day, day.month, day.year
    for text, order in (
        (f"{m}/{d}/{y}", "m/d/y"),
        (f" {m:02d}/{d:02d}/{y} ", "m/d/y"),
        (f"{d}-{m}-{y}", "d-m-y"),
        (f"{d:02d}-{m:02d}-{y}", "d-m-y"),
        (day.isoformat(), "y-m-d"),
        (f"{day.isoformat()} 00:00:00", "y-m-d"),
    ):
        assert parse_date(text) == (day, order)


def test_the_separator_decides_where_the_numbers_do_not() -> None:
    assert parse_date("2/11/1950")[0] == date(1950, 2, 11)
    assert parse_date("02-11-1950")[0] == date(1950, 11, 2)


@pytest.mark.parametrize(
    "text", ["2/30/1950", "25/12/1950", "12-25-1950", "29-02-1951", "0/1/1950", "1950-13-01", "1/1/0000"]
)
def test_days_that_do_not_exist_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=f"there is no day '{text}' \\(read as "):
        parse_date(text)


@pytest.mark.parametrize(
    "text",
    ["", "195", "1/1/50", "01,02,1950", "3.4.50", "May 3 1950", "1/2-1950", "1950-01-01 08:30", "١/٢/١٩٥٠"],
)
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="not a date of a known form"):
        parse_date(text)


def test_ages_are_completed_years_and_the_share_of_the_running_one() -> None:
    assert age_at(date(1950, 1, 1), date(2020, 1, 1)) == 70
    assert age_at(date(1950, 1, 2), date(2020, 1, 1)) == 69 + 364 / 365
    assert age_at(date(1949, 7, 2), date(2020, 1, 1)) == 70 + 183 / 366
    assert age_at(date(2020, 1, 1), date(2020, 1, 1)) == 0
    assert age_at(date(1952, 2, 29), date(2019, 2, 28)) == 66 + 364 / 365  # birthday on 1 March
    assert age_at(date(1952, 2, 29), date(2020, 2, 29)) == 68


@given(births)
def test_a_day_later_is_a_little_younger(birth: date) -> None:
    if birth > date(1900, 1, 1):
        step = age_at(birth - timedelta(days=1)) - age_at(birth)
        assert 0 <= step < 2.01 / 365  # 28 and 29 February and 1 March may share a day
    assert int(age_at(birth)) == REFERENCE_DATE.year - birth.year - ((birth.month, birth.day) > (1, 1))


def test_a_birth_after_the_reference_is_refused() -> None:
    with pytest.raises(InputError, match="2020-01-02 is after the reference date 2020-01-01"):
        age_at(date(2020, 1, 2))
