"""Ages are counted in one way for all of a cohort; dates are read in one order; rows that are not ready are told of."""

import math
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lymphofeat.cohort.ages import AgeRule, ages_words, reference_of, reference_text
from lymphofeat.cohort.check import check_cohort
from lymphofeat.cohort.dates import parse_date, parse_order
from lymphofeat.cohort.layout import LAYOUT_FILE, layout_from_text, layout_of, layout_text
from lymphofeat.cohort.model import Cohort
from lymphofeat.cohort.read import read_cohort, scan_cohort
from lymphofeat.errors import InputError

from ..helpers.commands import runner
from ..helpers.tiny import edit_row, tiny_cohort, write_table

HEADER = "ID,LABEL,GENDER,DOB,LYMPH_COUNT"


def cohort_of(root: Path, header: str, *rows: str, toml: tuple[str, ...] = ()) -> Path:
    """Four labelled patients with this clinical table only."""
    tiny_cohort(root, n=6)
    for name in ("trainset/trainset_true.csv", "testset/testset_data.csv"):
        (root / name).unlink()
    shutil.rmtree(root / "trainset" / "P4")
    write_table(root / "clinical_annotation.csv", [header, *rows])
    write_table(root / LAYOUT_FILE, ["[folders]", 'test = ""', *toml])
    return root


def born(root: Path, *births: str, toml: tuple[str, ...] = ()) -> Path:
    rows = [f"P{i},{i % 2},F,{birth},9" for i, birth in enumerate(births)]
    return cohort_of(root, HEADER, *rows, toml=toml)


FOUR = ("03/07/1950", "05/09/1941", "07/11/1962", "02/12/1933")


def days(cohort: Cohort) -> list[str]:
    return [str(p.birth) for p in cohort.patients]


def test_dates_that_can_be_read_in_two_ways_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'03/07/1950' can be read month first or day first.* date_format"):
        read_cohort(born(tmp_path, *FOUR))
    write_table(tmp_path / LAYOUT_FILE, ["[folders]", 'test = ""', "[values]", 'date_format = "dd/mm/yyyy"'])
    assert days(read_cohort(tmp_path)) == ["1950-07-03", "1941-09-05", "1962-11-07", "1933-12-02"]
    write_table(tmp_path / LAYOUT_FILE, ["[folders]", 'test = ""', "[values]", 'date_format = "%m/%d/%Y"'])
    assert days(read_cohort(tmp_path)) == ["1950-03-07", "1941-05-09", "1962-07-11", "1933-02-12"]


@pytest.mark.parametrize(("telling", "first"), [("25/12/1950", "1941-09-05"), ("12/25/1950", "1941-05-09")])
def test_one_date_tells_the_order_of_all(telling: str, first: str, tmp_path: Path) -> None:
    cohort = read_cohort(born(tmp_path, telling, *FOUR[1:]))
    assert days(cohort)[:2] == ["1950-12-25", first]
    assert cohort.layout.values.date_orders[0] == ("d/m/y" if telling.startswith("25") else "m/d/y")


def test_a_date_in_the_other_order_is_an_error_of_its_row(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"row 5: date of birth: there is no day '25/12/1933' \(read as m/d/y\)"
    ):
        read_cohort(born(tmp_path, "12/25/1950", "12/26/1950", FOUR[0], "25/12/1933"))


def test_equal_day_and_month_need_no_order(tmp_path: Path) -> None:
    assert days(read_cohort(born(tmp_path, "03/03/1950", "04/04/1950", "", ""))) == [
        "1950-03-03", "1950-04-04", "None", "None",
    ]  # fmt: skip


def test_dots_are_day_first_and_a_year_alone_is_its_middle(tmp_path: Path) -> None:
    cohort = read_cohort(born(tmp_path, "03.07.1950", "1941", "", ""))
    assert days(cohort)[:2] == ["1950-07-03", "None"]
    assert cohort.patients[1].age == pytest.approx(78.5, abs=0.01)
    assert cohort.patients[1].date_order == "y"


@given(st.dates(), st.permutations("dmy"), st.sampled_from("./-"), st.sampled_from([1, 2]))
def test_every_format_reads_what_it_writes(day: object, parts: list[str], separator: str, width: int) -> None:
    day = parse_date(str(day), ["y-m-d"])[0]
    texts = {"d": f"{day.day:0{width}}", "m": f"{day.month:0{width}}", "y": f"{day.year:04}"}
    names = {"d": "d" * width, "m": "m" * width, "y": "yyyy"}
    order = parse_order(separator.join(names[p] for p in parts))
    assert parse_date(separator.join(texts[p] for p in parts), [order]) == (day, order)


@pytest.mark.parametrize(
    "text", ["", "dd.mm.yy", "dd.mm", "dd.dd.yyyy", "dd/mm-yyyy", "yyyymmdd", "date", "%d.%m.%y"]
)
def test_other_formats_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="is no format of dates"):
        parse_order(text)


def test_ages_of_a_column_are_those_at_the_examination(tmp_path: Path) -> None:
    root = cohort_of(
        tmp_path, "ID,LABEL,GENDER,AGE,LYMPH_COUNT", "P0,0,F,61,9", "P1,1,M,72.5,9", "P2,0,F,,9", "P3,1,M,8,9"
    )
    cohort = read_cohort(root)
    assert cohort.reference is None
    assert [p.age for p in cohort.patients][:2] == [61.0, 72.5]
    assert math.isnan(cohort.patients[2].age)
    assert check_cohort(root).errors == ()


def test_ages_are_counted_to_the_examination(tmp_path: Path) -> None:
    root = cohort_of(
        tmp_path, "ID,LABEL,GENDER,DOB,SEEN,LYMPH_COUNT",
        "P0,0,F,01.03.1950,01.03.2023,9", "P1,1,M,01.03.1950,01.09.2024,9", "P2,0,F,01.03.1940,,9", "P3,1,M,,,9",
        toml=("[columns]", 'examined = "SEEN"'),
    )  # fmt: skip
    cohort, problems = scan_cohort(root)
    assert cohort is not None
    assert [p.age for p in cohort.patients][:2] == [73.0, pytest.approx(74.5, abs=0.01)]
    assert math.isnan(cohort.patients[2].age)  # not counted to another day beside them
    (told,) = [p for p in problems if p.code == "no-examination"]
    assert "1 patient (P2) has a date of birth but neither" in told.message


def test_a_day_that_the_layout_names_is_that_of_all_examinations(tmp_path: Path) -> None:
    root = cohort_of(
        tmp_path, "ID,LABEL,GENDER,DOB,AGE,LYMPH_COUNT",
        "P0,0,F,01.03.1950,,9", "P1,1,M,,60,9", "P2,0,F,01.03.1940,,9", "P3,1,M,,70,9",
        toml=("[ages]", "reference = 2024-03-01"),
    )  # fmt: skip
    assert [p.age for p in read_cohort(root).patients] == [74.0, 60.0, 84.0, 70.0]


def test_an_age_that_contradicts_the_dates_is_an_error(tmp_path: Path) -> None:
    root = cohort_of(
        tmp_path, "ID,LABEL,GENDER,DOB,AGE,SEEN,LYMPH_COUNT",
        "P0,0,F,01.03.1950,73,01.12.2023,9", "P1,1,M,01.03.1950,63,01.12.2023,9", "P2,0,F,,50,,9", "P3,1,M,,50,,9",
        toml=("[columns]", 'examined = "SEEN"'),
    )  # fmt: skip
    with pytest.raises(InputError) as raised:
        read_cohort(root)
    assert (
        "row 3: the age of P1 is given as 63, but born on 1950-03-01 and examined on 2023-12-01 is 74"
        in str(raised.value)
    )
    assert len(str(raised.value).splitlines()) == 1


def test_one_way_of_counting_is_kept_by_a_rule(tmp_path: Path) -> None:
    """A model's way goes before what the tables would allow."""
    root = cohort_of(
        tmp_path, "ID,LABEL,GENDER,DOB,AGE,LYMPH_COUNT",
        "P0,0,F,01.03.1950,,9", "P1,1,M,,60,9", "P2,0,F,01.03.1940,,9", "P3,1,M,01.01.1950,70,9",
    )  # fmt: skip
    whole = read_cohort(root)
    assert whole.reference is None
    rule = AgeRule(parse_date("2020-01-01")[0])
    cohort, problems = scan_cohort(root, ages=rule)
    assert cohort is not None
    assert cohort.patients[3].age == 70.0
    assert [p.code for p in problems if p.severity == "error"] == ["age-of-another-kind"]


def test_a_reference_goes_into_a_file_and_back() -> None:
    for reference in (None, parse_date("2024-02-29")[0]):
        assert reference_of(reference_text(reference)) == reference
    assert ages_words("examination") == "at the examination"
    assert ages_words("2020-01-01") == "counted to 2020-01-01"


def test_a_layout_goes_into_a_file_and_back(tmp_path: Path) -> None:
    text = '[columns]\nid = "Nr"\n[values]\ndate_format = "dd.mm.yyyy"\nmale = ["H"]\n[ages]\nreference = 2022-01-01\n'
    (tmp_path / LAYOUT_FILE).write_text(text)
    layout = layout_of(tmp_path)
    again = layout_from_text(layout_text(layout))
    assert again == layout
    assert again.values.date_orders == ("d.m.y",)
    (tmp_path / LAYOUT_FILE).write_text('[columns]\nsex = "G"\n')
    over = layout_of(tmp_path, again)
    assert (over.columns.id, over.columns.sex, over.values.male) == ("Nr", "G", ("h",))


ROWS = (
    "P0,0,F,1950-01-02,9",
    "P1,1,weiblich,1951-01-02,9",
    "P2,offen,M,1952-01-02,<0.5",
    "P3,1,M,1953-01-02,9",
)


def test_rows_that_are_not_ready_are_errors_by_default(tmp_path: Path) -> None:
    root = cohort_of(tmp_path, HEADER, *ROWS, toml=("[values]", 'unknown = ["offen"]'))
    codes = [p.code for p in check_cohort(root).errors]
    assert sorted(codes) == ["bad-sex", "beyond-limit", "no-label"]


def test_rows_that_are_not_ready_are_left_out_or_missing_by_choice(tmp_path: Path) -> None:
    choices = ("unlabelled", "without_images", "without_row")
    toml = ("[values]", 'unknown = ["offen"]', "[rows]", *(f'{key} = "leave out"' for key in choices))
    toml = (*toml, 'unknown_sex = "missing"', 'below_limit = "limit"')
    root = cohort_of(tmp_path, HEADER, *ROWS, "P9,1,M,1954-01-02,9", toml=toml)
    (root / "trainset" / "X1").mkdir()
    (root / "trainset" / "X1" / "0.jpg").write_bytes((root / "trainset/P0/000000.jpg").read_bytes()[:-1])
    cohort, problems = scan_cohort(root)
    assert cohort is not None
    assert [p.id for p in cohort.patients] == ["P0", "P1", "P3"]
    assert [p.severity for p in problems] == ["warning"] * len(problems)
    told = "\n".join(map(str, problems))
    for part in (
        "1 patient is left out, without a label: P2",
        "1 patient is left out, for want of images: P9",
        "1 patient is left out, without a row in the tables: X1",
        "sex of 1 row is taken as missing: 'weiblich' (1 row)",
        "lymphocyte count of 1 row is taken as the limit itself: '<0.5' (1 row)",
    ):
        assert part in told
    assert cohort.patients[1].sex == ""


def test_unknown_words_are_told_once_each_with_their_rows(tmp_path: Path) -> None:
    rows = [f"P{i},{label},F,1950-01-0{1 + i},9" for i, label in enumerate(["CLL", "reaktiv", "CLL", "PLL"])]
    with pytest.raises(InputError) as raised:
        read_cohort(cohort_of(tmp_path, HEADER, *rows))
    (line,) = str(raised.value).splitlines()
    assert "label: 3 unknown words: 'CLL' (2 rows), 'reaktiv' (1 row) and 'PLL' (1 row); write 0 (rea" in line
    assert "put each word under `reactive`, `malignant` or `unknown`" in line


def test_ways_out_are_in_the_table_s_own_words(tmp_path: Path) -> None:
    root = cohort_of(
        tmp_path, HEADER, "P0,reaktiv,w,,9", "P1,malignant,w,,9", "P2,,m,,9", "P3,CLL,x,,9",
        toml=("[values]", 'reactive = ["reaktiv"]', 'malignant = ["malignant"]', 'female = ["w"]'),
    )  # fmt: skip
    remedies = {p.code: p.remedy for p in check_cohort(root).problems}
    assert remedies["no-label"].startswith("write reaktiv (reactive) or malignant, move the patient")
    assert remedies["bad-label"].startswith(
        "write reaktiv (reactive), malignant or -1 (not known), or put each"
    )
    assert remedies["bad-sex"].startswith("write m (male) or w (female), leave it empty, or put each")


def test_named_persons_share_a_fold_whatever_their_dates(tmp_path: Path) -> None:
    root = cohort_of(
        tmp_path, HEADER + ",WHO", "P0,0,F,,9,anna", "P1,1,F,,9,b", "P2,0,F,,9,anna", "P3,1,M,,9,c",
        toml=("[columns]", 'person = "WHO"'),
    )  # fmt: skip
    report = check_cohort(root)
    assert report.summary is not None
    assert report.summary.shared_persons == [["P0", "P2"]]
    assert "no-birth" not in {p.code for p in report.problems}


def test_a_person_who_contradicts_the_dates_is_no_reason_to_part(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=6)
    edit_row(root, "P1", "DOB", "")
    report = check_cohort(root)
    (told,) = [p for p in report.problems if p.code == "no-birth"]
    assert "name them in a column" in told.remedy


def test_many_problems_of_one_cause_are_told_in_few_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first five of each cause, and how many more there are; `check --all` lists all."""
    root = tiny_cohort(tmp_path / "cohort", n=30)
    for i in range(9):
        edit_row(root, f"P{i}", "DOB", "soon")
    edit_row(root, "P9", "LYMPH_COUNT", "-1")
    (root / "clinical_annotation.csv").unlink()
    with pytest.raises(InputError) as raised:
        read_cohort(root)
    lines = str(raised.value).splitlines()
    assert len(lines) == 7
    assert lines[5] == "… and 4 more of this kind; lymphofeat check --all lists them."
    assert "lymphocyte count -1 is negative" in lines[6]
    run = runner(monkeypatch, capsys)
    for options, told in ((["--quiet"], 5), (["--quiet", "--all"], 9)):
        ran = run("check", root, *options)
        assert ran.code == 2
        assert ran.err.count("'soon' is not a date") == told
        assert ("and 4 more of this kind; --all lists them" in ran.err) == (told == 5)
