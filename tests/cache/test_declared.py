"""Declared clinical columns in a cache: kept with their declarations, part of what a score depends on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lymphofeat import extract
from lymphofeat.cache import Cache, open_cache, save_cache
from lymphofeat.cohort.clinical import CLINICAL_COLUMNS, clinical_frame
from lymphofeat.cohort.declared import ClinicalColumn
from lymphofeat.cohort.layout import Layout, layout_text
from lymphofeat.errors import CacheError

from ..helpers.caches import DECLARED, features, patients, with_declared
from ..helpers.simulated import noise_cohort

NAMES = tuple(DECLARED)


def saved(path: Path, table: pd.DataFrame, declared: dict[str, ClinicalColumn] = DECLARED) -> Cache:
    save_cache(path, table, {"frozen": features(table)}, n_repeats=1, clinical=declared)
    return open_cache(path)


def test_columns_and_declarations_come_back(tmp_path: Path) -> None:
    table = with_declared(patients())
    cache = saved(tmp_path / "c.h5", table)
    assert cache.tables.declared == DECLARED
    pd.testing.assert_frame_equal(cache.patients[list(NAMES)], table[list(NAMES)], check_dtype=False)
    assert cache.clinical_values == ("haemoglobin", "log ldh", "cd5", "lineage")
    assert [cache.patients[name].dtype.kind for name in NAMES] == ["f", "f", "f", "O"]


def test_heads_are_handed_the_declared_columns_and_nothing_else(tmp_path: Path) -> None:
    cache = saved(tmp_path / "c.h5", with_declared(patients()).assign(secret=1.0))
    assert tuple(cache.clinical.columns) == (*CLINICAL_COLUMNS, *NAMES)
    assert clinical_frame(cache.clinical.iloc[3:]).columns.equals(cache.clinical.columns)
    assert tuple(clinical_frame(cache.patients).columns) == CLINICAL_COLUMNS
    # Persons in the index do not make a table of labels one of clinical values.
    assert tuple(clinical_frame(cache.patients.rename_axis("person")).columns) == CLINICAL_COLUMNS


def test_a_score_depends_on_values_and_kinds_but_not_on_what_is_plausible(tmp_path: Path) -> None:
    table = with_declared(patients())
    cache = saved(tmp_path / "c.h5", table)

    def digest(**changed: ClinicalColumn) -> str:
        return replace(cache.tables, layout=layout_text(Layout(clinical={**DECLARED, **changed}))).digest()

    assert digest() == cache.fingerprint
    assert digest(ldh=ClinicalColumn()) != cache.fingerprint
    assert digest(haemoglobin=ClinicalColumn(range=(1, 2), unit="mmol/l")) == cache.fingerprint
    assert replace(cache.tables, layout="").digest() != cache.fingerprint
    corrected = cache.tables.patients.assign(cd5=1.0)
    assert replace(cache.tables, patients=corrected).digest() != cache.fingerprint


def test_without_declared_columns_the_fingerprint_is_as_it_was() -> None:
    old = open_cache(Path(__file__).parents[1] / "data" / "before_rooms" / "features.h5")
    assert old.tables.declared == {}
    assert old.clinical_values == ()
    assert old.fingerprint == "ffddba0fd15d15763b93f9108f34aff1"


def test_corrected_values_and_declarations_reach_a_cache_without_encoding_again(tmp_path: Path) -> None:
    cohort = noise_cohort(tmp_path / "images", images=1)
    path = tmp_path / "c.h5"

    def extracted(values: float, **declared: ClinicalColumn) -> Cache:
        people = tuple(replace(p, values=dict.fromkeys(declared, values)) for p in cohort.patients)
        extract(
            replace(cohort, patients=people, layout=Layout(clinical=declared)),
            path,
            frozen=True,
            weights="none",
            seed=0,
            crop=32,
            n_folds=2,
        )
        return open_cache(path)

    first = extracted(1.0)
    second = extracted(2.0, hb=ClinicalColumn(unit="g/dl"))
    assert second.clinical["hb"].eq(2.0).all()
    assert second.fingerprint != first.fingerprint
    third = extracted(2.0, hb=ClinicalColumn(unit="mmol/l"))
    assert third.tables.declared["hb"].unit == "mmol/l"
    assert third.fingerprint == second.fingerprint
    assert len({cache.encodings[cache.encoder_families[0]].digest for cache in (first, second, third)}) == 1
    assert extracted(3.0).clinical_values == ()


@pytest.mark.parametrize(
    ("declared", "changed", "message"),
    [
        ({"age": ClinicalColumn()}, {}, "cannot declare 'age'"),
        ({"x": ClinicalColumn(column="label")}, {}, "reads the column 'label'"),
        ({"x": ClinicalColumn(column="fold")}, {}, "reads the column 'fold'"),
        ({"hb": ClinicalColumn()}, {}, "declares 'hb', and the table has its column 'hb' not"),
        ({"haemoglobin": ClinicalColumn()}, {"haemoglobin": "high"}, "haemoglobin is 'high'; give a number"),
        ({"ldh": ClinicalColumn(log=True)}, {"ldh": 0.0}, "ldh is 0.0; give a number above 0"),
        ({"cd5": ClinicalColumn(kind="yes/no")}, {"cd5": 2.0}, "cd5 is 2.0; give True or False"),
        (
            {"lineage": ClinicalColumn(kind="category", categories=("B",))},
            {"lineage": "X"},
            r"give text \(B\)",
        ),
    ],
)
def test_what_cannot_be_kept_is_refused(
    tmp_path: Path, declared: dict[str, ClinicalColumn], changed: dict[str, object], message: str
) -> None:
    table = with_declared(patients()).assign(**changed)
    with pytest.raises(CacheError, match=message):
        saved(tmp_path / "c.h5", table, declared)
    assert not list(tmp_path.iterdir())


def test_answers_may_be_booleans(tmp_path: Path) -> None:
    table = patients().assign(cd5=[True, False, None] + [True] * 43)
    cache = saved(tmp_path / "c.h5", table, {"cd5": ClinicalColumn(kind="yes/no")})
    np.testing.assert_array_equal(cache.clinical["cd5"].iloc[:4], [1, 0, np.nan, 1])
