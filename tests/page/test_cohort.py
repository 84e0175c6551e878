"""Table 1 against a cohort made by hand, the flow of patients, and cohorts that lack things."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lymphofeat.cache.reader import Cache, open_cache
from lymphofeat.cohort.exclusions import Exclusion, exclusions_text
from lymphofeat.figures.flow import flow_figure
from lymphofeat.figures.shortcuts import shortcuts_figure
from lymphofeat.page.cohort import cohort_section, flow_of
from lymphofeat.page.names import Names
from lymphofeat.page.render import render_page
from lymphofeat.page.sources import Places, find_sources
from lymphofeat.page.table_one import difference_of_means, distance_of_shares, table_one
from lymphofeat.progress import Silent

from ..helpers.caches import DECLARED, frozen_cache, patients, with_declared

BIRTHS = ["1940-01-02", "1950-03-04", "1960-05-06", "1945-07-08", "1955-09-10", "1965-11-12"]


def by_hand() -> pd.DataFrame:
    """Two reactive, three malignant, one test patient."""
    return pd.DataFrame(
        {
            "id": list("ABCDEF"), "split": ["train"] * 5 + ["test"], "label": [0, 0, 1, 1, 1, -1],
            "n_images": [10, 20, 30, 40, 50, 60], "birth": BIRTHS, "date_order": "m/d/y",
            "sex": ["M", "F", "M", "M", "", "F"], "age": [60.0, 70.0, 70.0, np.nan, 90.0, 80.0],
            "lymphocyte_count": [np.e, np.e**3, np.e**4, np.e**4, np.e**7, 5.0],
            "haemoglobin": [12.0, 14.0, 9.0, 10.0, 11.0, 13.0], "ldh": [200.0] * 6,
            "cd5": [0.0, 1.0, 1.0, 1.0, np.nan, 0.0], "lineage": ["B", "T", "B", "B", "", "NK"],
        }
    )  # fmt: skip


def test_table_1_of_a_cohort_made_by_hand() -> None:
    table = table_one(by_hand(), DECLARED)
    rows = {
        row: dict(zip(list(table.shown)[1:], cells, strict=True))
        for row, *cells in zip(*table.shown.values(), strict=True)
    }
    assert rows["patients"] == {"reactive": "2", "malignant": "3", "test part": "1", "missing": "", "SMD": ""}
    age = rows["age (years)"]
    assert (age["reactive"], age["malignant"], age["missing"]) == (
        "65 (62.5–67.5)",
        "80 (75–85)",
        "1 malignant",
    )
    assert rows["sex: male"]["reactive"] == "1 (50 %)"
    assert rows["sex: male"]["malignant"] == "2 (100 %)", "of the known ones"
    assert rows["sex: male"]["missing"] == "1 malignant"
    assert rows["sex: female"]["missing"] == ""
    assert rows["cd5: yes"]["malignant"] == "2 (100 %)"
    assert rows["lineage: NK"]["test part"] == "1 (100 %)"
    assert rows["haemoglobin (g/dl)"]["malignant"] == "10 (9.5–10.5)"
    # Logarithms of the count: 1 and 3, then 4, 4 and 7; their variances are 2 and 3.
    assert rows["lymphocyte count (10⁹/l)"]["SMD"] == f"{3 / np.sqrt(2.5):.2f}"
    assert rows["ldh (U/l)"]["SMD"] == "0.00"
    frame = table.frame.set_index(["value", "level"])
    assert frame.loc[("age (years)", ""), "malignant_missing"] == 1
    assert frame.loc[("sex", "male"), "reactive_share"] == 0.5
    assert not {"1940", "1955", "birth"} & set(" ".join([table.caption, table.frame.to_csv()]).split())


def test_differences_are_standardised() -> None:
    assert difference_of_means(np.array([1.0, 3.0]), np.array([3.0, 5.0, np.nan])) == pytest.approx(
        np.sqrt(2)
    )
    assert np.isnan(difference_of_means(np.array([1.0]), np.array([2.0, 3.0])))
    assert difference_of_means(np.ones(3), np.ones(2)) == 0
    assert difference_of_means(np.ones(3), np.zeros(2)) == -np.inf
    share = difference_of_means(np.array([0.0, 1.0]), np.array([1.0, 1.0, 1.0, 0.0]), of_share=True)
    assert share == pytest.approx(0.25 / np.sqrt((0.25 + 0.1875) / 2))
    assert distance_of_shares([1, 1], [3, 1]) == pytest.approx(share), "two categories are a share"
    assert distance_of_shares([3, 0], [0, 2]) == np.inf
    assert distance_of_shares([2, 1, 1], [4, 2, 2]) == pytest.approx(0)
    assert np.isnan(distance_of_shares([0, 0], [1, 2]))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return open_cache(frozen_cache(tmp_path_factory.mktemp("cohort") / "c.h5"))


def excluded(cache: Cache, *exclusions: Exclusion) -> Cache:
    return replace(cache, tables=replace(cache.tables, exclusions=exclusions_text(exclusions)))


def test_the_flow_counts_everybody_once(cache: Cache) -> None:
    known = str(cache.ids[0])
    other = excluded(
        cache, Exclusion("X1", "", "wrong stain", 7), Exclusion("X2", "", "Wrong stain", 5),
        Exclusion(known, "a.png", f"same cell as {known}, a.png", 1),
    )  # fmt: skip
    flow = flow_of(other, Names(tuple(cache.ids))).set_index("step")
    n, images = len(cache.ids), cache.tables.n_images
    assert flow.loc["found", ["patients", "images"]].tolist() == [n + 2, images + 13]
    assert flow.loc["included", ["patients", "images"]].tolist() == [n, images]
    assert flow.loc[["reactive", "malignant", "test part"], ["patients", "images"]].sum().tolist() == [
        n,
        images,
    ]
    reasons = flow.loc["excluded for a reason"]
    assert reasons["patients"].tolist() == [2, 0]
    assert reasons["images"].tolist() == [12, 1]
    assert reasons["reason"].iloc[1] == "same cell as another patient, another image"
    shown = flow_of(other, Names(tuple(cache.ids), shown=True))
    assert f"same cell as {known}, a.png" in shown["reason"].tolist()


def test_twenty_exclusions_of_ten_reasons_have_their_place(cache: Cache) -> None:
    many = excluded(
        cache, *(Exclusion(f"X{k}", "", f"a rather long reason number {k % 10}", 3) for k in range(20))
    )
    flow = flow_of(many, Names(tuple(cache.ids)))
    drawn = flow_figure(flow)
    words = [text.get_text() for text in drawn.figure.axes[0].texts]
    assert any("2 other reasons" in " ".join(words[k : k + 1]) for k in range(len(words)))
    bottom = drawn.figure.axes[0].get_ylim()[0]
    assert all(text.get_position()[1] > bottom for text in drawn.figure.axes[0].texts if text.get_text())
    assert len(drawn.table) == len(flow)


def test_the_audit_is_drawn_from_its_table() -> None:
    rows = [
        {"quantity": f"quantity {k}", "value": 0.5 + k / 100, "low": 0.45 + k / 100, "high": 0.6 + k / 100,
         "higher_in": "reactive" if k % 2 else "malignant", "separates": k > 5, "sentence": "", "by_person": False}
        for k in range(40)
    ]  # fmt: skip
    drawn = shortcuts_figure(pd.DataFrame(rows))
    assert drawn.table["quantity"].iloc[0] == "quantity 39", "the largest first"
    assert "34 of 40 separate" in drawn.caption
    assert len(drawn.figure.axes[0].texts) == 40


@pytest.mark.parametrize("ids", [False, True])
def test_the_section_of_imported_features(tmp_path: Path, *, ids: bool) -> None:
    path = frozen_cache(tmp_path / "c.h5", n_test=0)
    sources = find_sources(Places(path, tmp_path / "none.db", kept=tmp_path), ids=ids)
    text = render_page("Report", [cohort_section(sources, Silent())])
    assert "features were imported" in text
    assert "Table 1" in text
    assert ">test part<" not in text
    for birth in sources.cache.tables.patients["birth"]:
        assert str(birth) not in text
    assert "P00" not in text, "nothing here names a patient"


def test_many_patients_many_categories_and_values_that_are_all_missing() -> None:
    table = with_declared(patients(n=2000, n_test=50))
    table["lineage"] = [f"lineage {k % 14}" for k in range(len(table))]
    table["haemoglobin"], table["age"] = np.nan, np.nan
    found = table_one(table, DECLARED)
    names = list(found.shown[""])
    assert sum(name.startswith("lineage:") for name in names) == 10
    assert "lineage: other categories" in names
    place = names.index("age (years)")
    assert found.shown["reactive"][place] == "—"
    assert found.shown["SMD"][place] == "—"
    assert json.dumps(found.cells), "every cell is words"
