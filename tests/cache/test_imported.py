"""`save_cache`: what others hand over works, or is one sentence that names the row; nothing is written then."""

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lymphofeat.cache import open_cache, save_cache
from lymphofeat.cohort.model import TABLE_COLUMNS
from lymphofeat.errors import CacheError, LymphofeatError, StaleCacheError

from ..helpers.caches import features, patients

TABLE = patients(20, 4).assign(sex="F")


def saved(path: Path, table: pd.DataFrame, **options: Any) -> pd.DataFrame:
    save_cache(path / "c.h5", table, {"a": features(TABLE)}, n_folds=3, **options)
    return open_cache(path / "c.h5").patients


def with_values(column: str, values: dict[int, Any]) -> pd.DataFrame:
    changed = TABLE[column].astype(object).tolist()
    for row, value in values.items():
        changed[row] = value
    return TABLE.assign(**{column: pd.Series(changed, dtype=object)})


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("n_images", {3: 0}, "n_images is 0; give a whole number of at least 1, or leave the patient out"),
        ("n_images", {3: -2}, "n_images is -2"),
        ("n_images", {3: 2.5}, "n_images is 2.5"),
        ("n_images", {3: np.nan}, "n_images is nan"),
        ("n_images", {3: True}, "n_images is True"),
        ("n_images", {3: 10**400}, "n_images is 1000"),
        ("id", {3: ""}, "id is ''"),
        ("id", {3: " P3"}, "id is ' P3'"),
        ("id", {3: None}, "id is None"),
        ("id", {3: np.nan}, "id is nan"),
        ("id", {3: 7.0}, "id is 7.0; give text without blanks around it, or a whole number"),
        ("split", {3: "val"}, "split is 'val'; give 'train' or 'test'"),
        ("split", {3: None}, "split is None"),
        ("label", {3: 2}, "label is 2"),
        ("label", {3: "1"}, "label is '1'"),
        ("label", {3: np.nan}, "label is nan; give 0 (reactive), 1 (malignant) or -1 (not known)"),
        ("birth", {3: "2/11/1950"}, "birth is '2/11/1950'; give a date, or text such as 1950-02-11"),
        ("birth", {3: 1950}, "birth is 1950"),
        ("sex", {3: "male"}, "sex is 'male'; give 'M' or 'F'"),
        ("date_order", {3: 4}, "date_order is 4"),
        ("age", {3: "old"}, "age is 'old'"),
        ("age", {3: np.inf}, "age is inf"),
        ("lymphocyte_count", {3: -1.0}, "count is -1.0; give a number of at least 0"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_used_is_named_with_its_row(
    tmp_path: Path, column: str, values: dict[int, Any], said: str
) -> None:
    with pytest.raises(CacheError) as raised:
        saved(tmp_path, with_values(column, values))
    assert str(raised.value).startswith("row 3 of the table (counted from 0), patient ")
    assert said in str(raised.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (TABLE.assign(id="P1"), "rows 0 and 1 of the table (counted from 0) have the same id 'P1'"),
        (with_values("id", {4: 7, 9: "7"}), "rows 4 and 9 of the table (counted from 0) have the same id '7'"),
        (with_values("label", {21: 1}), "row 21 of the table (counted from 0), patient "),
        (TABLE.drop(columns="label"), "lacks the column 'label'; it needs id and label, and takes split"),
        (pd.concat([TABLE, TABLE[["age"]]], axis=1), "has the column 'age' more than once"),
        (TABLE.iloc[:0], "the table of patients is empty"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_used_gets_a_sentence(tmp_path: Path, table: pd.DataFrame, said: str) -> None:
    with pytest.raises(CacheError) as raised:
        saved(tmp_path, table)
    assert said in str(raised.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (features(TABLE)[1:], "rows, and n_images of the table adds up to"),
        (features(TABLE)[:, 0], "give (n_images, D) floats"),
        (features(TABLE)[:, :0], "give (n_images, D) floats"),
        (features(TABLE).astype(complex), "give (n_images, D) floats"),
        ([["a"]], "features of a are not an array of numbers"),
        (features(TABLE).astype(float) * 1e300, "NaN, infinite or all-zero features"),
    ],
)  # fmt: skip
def test_features_that_do_not_fit_get_a_sentence(tmp_path: Path, array: Any, said: str) -> None:
    with pytest.raises(CacheError) as raised:
        save_cache(tmp_path / "c.h5", TABLE, {"good": features(TABLE), "a": array}, n_folds=3)
    assert said in str(raised.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("argument", ["encoder_families", "blind_to", "end_to_end"])
def test_a_misspelt_encoding_is_refused(tmp_path: Path, argument: str) -> None:
    """A `blind_to` that reaches no encoding would let it be scored on what it saw."""
    with pytest.raises(
        CacheError, match=f"{argument} names the encoding 'b', which features does not hold .a."
    ):
        saved(tmp_path, TABLE, **{argument: {"b": "x" if argument == "encoder_families" else [0]}})
    with pytest.raises(CacheError, match="blind_to of a names fold 3; there are 0 to 2"):
        saved(tmp_path, TABLE, blind_to={"a": [0, 3]})
    with pytest.raises(CacheError, match="features is empty"):
        save_cache(tmp_path / "c.h5", TABLE, {}, n_folds=3)


def dates(kind: Callable[[str], Any]) -> pd.Series:
    return pd.Series([kind(b) for b in TABLE["birth"]], dtype=object)


@pytest.mark.parametrize(
    ("changed", "column", "expected"),
    [
        (TABLE.assign(id=range(100, 124)), "id", [str(i) for i in range(100, 124)]),
        (TABLE.assign(id=np.arange(24, dtype=np.uint8)), "id", [str(i) for i in range(24)]),
        (TABLE.assign(id=TABLE["id"].astype("category")), "id", list(TABLE["id"])),
        (TABLE.assign(sex=[np.nan, None, pd.NA, *["F"] * 21]), "sex", ["", "", "", *["F"] * 21]),
        (TABLE.assign(date_order=np.nan), "date_order", [""] * 24),
        (TABLE.assign(birth=dates(date.fromisoformat)), "birth", list(TABLE["birth"])),
        (TABLE.assign(birth=dates(datetime.fromisoformat)), "birth", list(TABLE["birth"])),
        (TABLE.assign(birth=pd.to_datetime(TABLE["birth"])), "birth", list(TABLE["birth"])),
        (TABLE.assign(n_images=TABLE["n_images"].astype(float)), "n_images", list(TABLE["n_images"])),
        (TABLE.assign(label=TABLE["label"].astype("Int64")), "label", list(TABLE["label"])),
        (TABLE.assign(lymphocyte_count=[None, pd.NA, *[1] * 22]), "lymphocyte_count", [np.nan, np.nan, *[1.0] * 22]),
        (TABLE.assign(hospital="X", note=np.nan), "id", list(TABLE["id"])),
        (TABLE[TABLE.columns[::-1]], "id", list(TABLE["id"])),
        (TABLE.set_index(np.arange(24) // 2), "id", list(TABLE["id"])),
    ],
)  # fmt: skip
def test_what_pandas_makes_of_tables_works(
    tmp_path: Path, changed: pd.DataFrame, column: str, expected: list[Any]
) -> None:
    kept = saved(tmp_path, changed)
    assert list(kept.columns) == [*TABLE_COLUMNS, "fold"]
    np.testing.assert_array_equal(
        kept[column].to_numpy(), np.array(expected, dtype=kept[column].to_numpy().dtype)
    )


def test_missing_dates_of_birth_stay_missing(tmp_path: Path) -> None:
    births = pd.to_datetime(TABLE["birth"]).mask(np.arange(24) % 2 == 0)  # NaT
    assert list(saved(tmp_path, TABLE.assign(birth=births))["birth"])[:2] == ["", TABLE["birth"][1]]


def test_a_cache_of_others_is_not_replaced_without_a_word(tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    save_cache(path, TABLE, {"a": features(TABLE)}, n_folds=3)
    other = patients(22, 4, seed=1)
    with pytest.raises(StaleCacheError, match="was made from another state of the cohort: patients gone"):
        save_cache(path, other, {"b": features(other)}, n_folds=3)
    with pytest.raises(StaleCacheError, match="folds were made with another seed"):
        save_cache(path, TABLE, {"b": features(TABLE)}, n_folds=3, fold_seed=1)
    assert open_cache(path).encoder_families == ["a"]
    save_cache(path, other, {"b": features(other)}, n_folds=3, force=True)
    assert open_cache(path).encoder_families == ["b"]


def test_corrected_clinical_values_keep_the_other_encodings(tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    save_cache(path, TABLE, {"a": features(TABLE)}, n_folds=3)
    before = open_cache(path)
    save_cache(path, TABLE.assign(lymphocyte_count=3.0), {"b": features(TABLE)}, n_folds=3)
    after = open_cache(path)
    assert after.encoder_families == ["a", "b"]
    assert set(after.patients["lymphocyte_count"]) == {3.0}
    assert after.fingerprint != before.fingerprint


def test_the_reference_date_is_kept(tmp_path: Path) -> None:
    saved(tmp_path, TABLE, reference=date(2022, 5, 1))
    with h5py.File(tmp_path / "c.h5") as file:
        assert file.attrs["age_reference"] == "2022-05-01"


@pytest.mark.parametrize("counts", [{3: 1e13}, {3: 2**62, 4: 2**62}])
def test_a_count_that_memory_could_not_hold_is_compared_first(tmp_path: Path, counts: dict[int, Any]) -> None:
    with pytest.raises(
        CacheError, match=r"features of a have .* rows, and n_images of the table adds up to "
    ):
        saved(tmp_path, with_values("n_images", counts))
    assert not list(tmp_path.iterdir())


odd = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.floats(), st.text(max_size=3), st.dates(),
    st.sampled_from([np.nan, pd.NA, pd.NaT, np.int64(1), np.float32(2), b"x", [1], "1950-02-11", "M", 10**400]),
)  # fmt: skip


@given(column=st.sampled_from(TABLE_COLUMNS), values=st.dictionaries(st.integers(0, 23), odd, min_size=1))
@settings(max_examples=60, deadline=None)
def test_any_value_works_or_gets_a_sentence(tmp_path_factory, column: str, values: dict[int, Any]) -> None:
    folder = tmp_path_factory.mktemp("odd")
    try:
        kept = saved(folder, with_values(column, values))
    except LymphofeatError:
        assert not list(folder.iterdir())
    else:
        assert not kept[column].isna().any() or column in ("age", "lymphocyte_count")
