"""What a page says of persons: IDs and names of files only with `--ids`, a date of birth never, however spelt."""

import re
from datetime import date, datetime
from pathlib import Path

import pytest

from lymphofeat import write_report

from ..helpers.pages import everything_in
from ..helpers.reported import Made, inside, made_once

IDS, FILES = re.compile(r"zqx.\d\d.kvw", re.I), re.compile(r"smear_?jqz", re.I)

_DAYS = r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}", r"\d{8}"
_WORDS = r"\d{1,2} [A-Z][a-z]{2,8} \d{4}", r"[A-Z][a-z]{2,8} \d{1,2},? \d{4}"
DATES = re.compile(rf"(?<![\d.])(?:{'|'.join((*_DAYS, *_WORDS))})(?!\d)")  # alone, not in a longer number


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made_once(tmp_path_factory)


def written(made: Made, out: Path, *, ids: bool) -> str:
    """All text of a report and of its figures' files, embedded files included."""
    figures = None if ids else out / "figures"
    with inside(made.folder):
        found = write_report(made.cache, made.study, out / "r.html", ids=ids, figures=figures)
    text = everything_in(found.path.read_text(encoding="utf-8"))
    files = [path.read_bytes().decode("latin-1") for path in found.figures]
    return "\n".join([text, *files, *(path.name for path in found.figures)])


@pytest.fixture(scope="module")
def page(made: Made, tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(made, tmp_path_factory.mktemp("private"), ids=False)


@pytest.fixture(scope="module")
def page_with_ids(made: Made, tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(made, tmp_path_factory.mktemp("named"), ids=True)


def test_the_names_looked_for_are_the_cohorts(made: Made) -> None:
    assert len(made.ids) == 44
    assert all(IDS.search(one) for one in made.ids)
    assert all(FILES.search(one) for one in made.files)
    assert len(made.births) > 30


def test_no_id_and_no_name_of_a_file(page: str) -> None:
    assert IDS.findall(page) == []
    assert FILES.findall(page) == []


def test_ids_are_shown_where_they_are_asked_for(made: Made, page_with_ids: str) -> None:
    assert [one for one in made.ids if one not in page_with_ids] == []


def test_no_date_of_birth_in_any_spelling(made: Made, page: str, page_with_ids: str) -> None:
    born = {one for birth in made.births for one in spellings(birth)}
    assert all(set(DATES.findall(f"<td>{one}</td>")) & born for one in born)
    for text in (page, page_with_ids):
        assert set(DATES.findall(text)) & born == set()


def spellings(birth: str) -> set[str]:
    """A date as the simulated cohort writes it (m/d/y or d-m-y), as others might."""
    day = datetime.strptime(birth, "%m/%d/%Y" if "/" in birth else "%d-%m-%Y").date()
    return _numbers(day) | _words(day)


def _numbers(day: date) -> set[str]:
    found = {day.strftime("%Y%m%d"), day.strftime("%d%m%Y")}
    for month, number in ((f"{day.month:02d}", f"{day.day:02d}"), (str(day.month), str(day.day))):
        for mark in "-/.":
            parts = (
                (str(day.year), month, number),
                (number, month, str(day.year)),
                (month, number, str(day.year)),
            )
            found |= {mark.join(part) for part in parts}
    return found


def _words(day: date) -> set[str]:
    found = set()
    for month in (day.strftime("%B"), day.strftime("%b")):
        for number in (f"{day.day:02d}", str(day.day)):
            found |= {
                f"{number} {month} {day.year}",
                f"{month} {number}, {day.year}",
                f"{month} {number} {day.year}",
            }
    return found


def test_the_spellings_are_those_that_are_meant() -> None:
    found = spellings("3/7/1950")
    assert {"1950-03-07", "07.03.1950", "7/3/1950", "March 7, 1950", "7 Mar 1950", "19500307"} <= found
    assert spellings("07-03-1950") == found
