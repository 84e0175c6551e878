"""`save_cache` with an id, a label and an array per patient: all else has a default, and persons may be named."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lymphofeat import open_cache, save_cache
from lymphofeat.errors import CacheError

N = 14
LABELS = [0, 1] * 6 + [-1, -1]
IDS = [f"P{i}" for i in range(N)]
BAGS = {name: np.random.default_rng(i).normal(size=(1 + i % 3, 4)) for i, name in enumerate(IDS)}
PLAIN = {"id": IDS, "label": LABELS}


def test_an_id_a_label_and_an_array_per_patient_are_enough(tmp_path: Path) -> None:
    shuffled = {name: BAGS[name] for name in reversed(IDS)}
    save_cache(
        str(tmp_path / "c.h5"), PLAIN, {"a": shuffled, "b": {k: 2 * v for k, v in BAGS.items()}}, n_folds=3
    )
    cache = open_cache(str(tmp_path / "c.h5"))
    table = cache.patients
    assert list(table["split"]) == ["train"] * 12 + ["test"] * 2
    assert list(table["n_images"]) == [len(BAGS[name]) for name in IDS]
    assert set(table["sex"]) == set(table["birth"]) == set(table["date_order"]) == {""}
    assert table[["age", "lymphocyte_count"]].isna().all(axis=None)
    assert "person" not in table
    for row, name in enumerate(IDS):
        np.testing.assert_array_equal(cache.bags("a")[row], BAGS[name].astype(np.float32))
        np.testing.assert_array_equal(cache.bags("b")[row], (2 * BAGS[name]).astype(np.float32))


def test_whole_numbers_name_patients_in_the_table_and_in_the_features(tmp_path: Path) -> None:
    bags = {i: BAGS[name] for i, name in enumerate(IDS)}
    save_cache(tmp_path / "c.h5", pd.DataFrame(PLAIN).assign(id=range(N)), {"a": bags}, n_folds=3)
    assert list(open_cache(tmp_path / "c.h5").ids) == [str(i) for i in range(N)]


@pytest.mark.parametrize(
    ("column", "groups"),
    [
        (None, np.arange(N) // 4),
        (None, [*"AAAABBBBCCCCDD"]),
        (["A", "A", "A", "A", "B", "B", "B", "B", None, np.nan, "", pd.NA, "D", "D"], None),
        ([0.0, 0.0, 0.0, 0.0, 1, 1, 1, 1, np.nan, np.nan, np.nan, np.nan, 3, 3], None),
    ],
)
def test_one_person_is_in_one_fold(tmp_path: Path, column: Any, groups: Any) -> None:
    patients = PLAIN if column is None else {**PLAIN, "person": column}
    save_cache(tmp_path / "c.h5", patients, {"a": BAGS}, groups=groups, n_folds=2, n_repeats=4)
    cache = open_cache(tmp_path / "c.h5")
    assert "person" in cache.patients
    for visits in (slice(0, 4), slice(4, 8)):
        assert len(set(cache.groups[visits])) == 1
        assert (cache.folds[visits] == cache.folds[visits][0]).all()
    assert cache.groups[0] != cache.groups[4]
    assert len(set(cache.groups[8:12])) == (1 if column is None else 4)
    assert "person" not in cache.clinical


def test_named_persons_count_for_whether_a_cache_still_fits(tmp_path: Path) -> None:
    save_cache(tmp_path / "c.h5", PLAIN, {"a": BAGS}, groups=np.arange(N) // 2, n_folds=3)
    before = open_cache(tmp_path / "c.h5").fingerprint
    save_cache(tmp_path / "c.h5", PLAIN, {"b": BAGS}, groups=np.arange(N) // 2, n_folds=3)
    assert open_cache(tmp_path / "c.h5").encoder_families == ["a", "b"]
    assert open_cache(tmp_path / "c.h5").fingerprint == before
    with pytest.raises(CacheError, match="person of patient P1 was 0 and is 1 now, which changes who may be"):
        save_cache(tmp_path / "c.h5", PLAIN, {"b": BAGS}, groups=np.arange(1, N + 1) // 2, n_folds=3)
    save_cache(tmp_path / "d.h5", PLAIN, {"a": BAGS}, n_folds=3)
    assert open_cache(tmp_path / "d.h5").fingerprint != before


@pytest.mark.parametrize(
    ("patients", "features", "options", "said"),
    [
        ({"id": IDS}, BAGS, {}, "lacks the column 'label'"),
        ({"id": IDS[:3], "label": LABELS}, BAGS, {}, "patients are no table"),
        (PLAIN, np.ones((5, 4)), {}, "lacks the column 'n_images', and one array holds all patients' features"),
        (PLAIN, {**BAGS, "P99": np.ones((1, 4))}, {}, "have patient P99, whom the table lacks (1 of 15 arrays)"),
        (PLAIN, {k: v for k, v in BAGS.items() if k != "P3"}, {}, "lack patient P3 (1 of 14 patients)"),
        (PLAIN, {**BAGS, "P3": np.ones((2, 5))}, {}, "have 5 columns for patient P3 and 4 for patient P0"),
        (PLAIN, {**BAGS, "P3": np.ones(4)}, {}, "features of a, patient P3, are float64 of shape (4,)"),
        (PLAIN, {**BAGS, "P3": np.full((1, 4), np.nan)}, {}, "patient P3, image P3/0"),
        ({**PLAIN, "n_images": 2}, BAGS, {}, "have 1 rows for patient P0, who has 2 images"),
        ({**PLAIN, "person": "A"}, BAGS, {"groups": IDS}, "so groups has no place"),
        (PLAIN, BAGS, {"groups": IDS[:3]}, "groups has 3 values for 14 patients"),
        (PLAIN, BAGS, {"groups": [1.5] * N}, "groups is 1.5; give text without blanks around it"),
        ({**PLAIN, "person": [" A"] * N}, BAGS, {}, "person is ' A'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_gets_a_sentence(
    tmp_path: Path, patients: Any, features: Any, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(CacheError) as raised:
        save_cache(tmp_path / "c.h5", patients, {"a": features}, n_folds=3, **options)
    assert said in str(raised.value)
    assert not list(tmp_path.iterdir())
