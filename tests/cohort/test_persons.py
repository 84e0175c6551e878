"""Who may be one person: joined where it may be so, never by a placeholder, and as before where nothing is missing."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lymphofeat.cache.tables import make_folds
from lymphofeat.cohort.persons import persons, placeholder_dates


def table(births: Sequence[str], sexes: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame({"birth": list(births), "sex": list(sexes)}, dtype=object)


def before(records: pd.DataFrame) -> list[int]:
    """Persons as they were counted before sex could be missing: by equal date and sex, both known."""
    numbers: dict[object, int] = {}
    keys = [
        (b, s) if b and s else i for i, (b, s) in enumerate(records[["birth", "sex"]].itertuples(index=False))
    ]
    return [numbers.setdefault(key, len(numbers)) for key in keys]


def test_equal_dates_and_sexes_are_one_person() -> None:
    found = persons(table(["1950-02-01", "", "1950-02-01", "1950-02-01", ""], ["F", "F", "M", "F", "F"]))
    assert found.tolist() == [0, 1, 2, 0, 3]
    assert found.dtype == np.int64


def test_a_record_without_sex_is_joined_to_all_that_it_may_be() -> None:
    """The one without sex may be the man or the woman; in one fold, none of the three can leak."""
    births = ["1950-02-01", "1950-02-01", "1950-02-01", "1960-02-01", "1960-02-01", "1970-02-02"]
    assert persons(table(births, ["M", "F", "", "F", "", ""])).tolist() == [0, 0, 0, 1, 1, 2]
    assert persons(table(births[:2], ["", ""])).tolist() == [0, 0]


@given(
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["M", "F", ""])), max_size=60),
    st.randoms(use_true_random=False),
)
def test_whoever_may_be_one_person_shares_a_number(simulated: list[tuple[int, str]], random: object) -> None:
    """In any order; and with every sex known, as ever."""
    records = table([f"19{b + 10}-03-04" for b, _ in simulated], [s for _, s in simulated])
    found = persons(records)
    for i, (birth, sex) in enumerate(simulated):
        for j, (other, another) in enumerate(simulated):
            if birth == other and (sex == another or not sex or not another):
                assert found[i] == found[j]
            if birth != other:
                assert found[i] != found[j]
    known = records[records["sex"] != ""]
    if not placeholder_dates(known):
        assert persons(known).tolist() == before(known)


@pytest.mark.parametrize(
    ("birth", "n", "sexes", "is_one"),
    [
        ("1900-01-01", 33, "MF", True),
        ("1900-01-01", 2, "F", True),
        ("1899-12-30", 2, "F", True),
        ("1970-01-01", 6, "F", True),
        ("1970-01-01", 3, "F", False),  # three visits of a woman born that day
        ("1911-11-11", 33, "MF", True),
        ("1911-11-11", 33, "F", False),  # no sign that they are several
        ("1955-06-15", 6, "MF", False),
    ],
)
def test_placeholders_are_told_from_visits(birth: str, n: int, sexes: str, *, is_one: bool) -> None:
    rest = [f"19{i % 60 + 20}-{i % 12 + 1:02d}-{i % 27 + 2:02d}" for i in range(130)]
    records = table([birth] * n + rest, [sexes[i % len(sexes)] for i in range(n)] + ["M"] * 130)
    assert placeholder_dates(records) == ({birth: n} if is_one else {})
    assert len(set(persons(records)[:n])) == (n if is_one else len(sexes))


def test_chance_fills_a_day_of_a_large_cohort() -> None:
    rng = np.random.default_rng(0)
    days = pd.Timestamp("1930-01-01") + pd.to_timedelta(rng.integers(0, 365 * 60, 100_000), unit="D")
    records = table(days.strftime("%Y-%m-%d"), rng.choice(["M", "F"], 100_000))
    assert placeholder_dates(records) == {}


def test_folds_of_a_cohort_in_which_nothing_is_in_doubt_are_the_same() -> None:
    """Bit for bit those of the first release, drawn with seed 0 for 40 records, two of them one person."""
    births = [f"{1930 + i // 12}-{i % 12 + 1:02d}-03" for i in range(40)]
    births[39] = births[0]
    records = table(births, ["MF"[i // 3 % 2] for i in range(40)]).assign(label=np.arange(40) % 2)
    records.loc[39, "sex"] = records.loc[0, "sex"]
    records.loc[[5, 6], "birth"] = ""
    folds = make_folds(records, 5, 2, 0)
    assert "".join(map(str, folds[:, 0])) == "1123000430122421030143423043314014221231"
    assert "".join(map(str, folds[:, 1])) == "2301321031301023140440034241021122344322"
    assert before(records) == persons(records).tolist()


def test_visits_of_which_one_lacks_sex_share_every_fold() -> None:
    births = [f"{1930 + i // 12}-{i % 12 + 1:02d}-03" for i in range(40)]
    records = table(births, ["MF"[i % 2] for i in range(40)]).assign(label=np.arange(40) // 2 % 2)
    records.loc[5, ["birth", "sex"]] = [births[4], ""]
    folds = make_folds(records, 5, 20, 0)
    assert (folds[4] == folds[5]).all()


def test_a_column_names_the_persons() -> None:
    """Equal names are one person, different ones are two, and a record without one joins whom it may be."""
    table = pd.DataFrame(
        [
            ("1950-01-02", "M", "anna"),
            ("1960-01-02", "F", "anna"),  # one person, whatever the dates say
            ("1971-03-04", "F", "b"),
            ("1971-03-04", "F", "c"),  # two persons, whatever the dates say
            ("1982-05-06", "M", "d"),
            ("1982-05-06", "M", ""),  # may be d
            ("", "", ""),
        ],
        columns=["birth", "sex", "person"],
    )
    assert persons(table).tolist() == [0, 0, 1, 2, 3, 3, 4]


def test_a_nameless_record_joins_both_persons_that_it_may_be() -> None:
    table = pd.DataFrame(
        {"birth": ["1971-03-04"] * 3, "sex": ["F", "F", ""], "person": ["b", "c", ""]},
    )
    assert persons(table).tolist() == [0, 0, 0]


def test_columns_of_missing_values_only_join_nobody() -> None:
    table = pd.DataFrame({"birth": [np.nan, np.nan], "sex": [np.nan, np.nan]})
    assert persons(table).tolist() == [0, 1]
