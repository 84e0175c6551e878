"""New patients: what their images and tables may look like, what is refused, and what is warned of."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lymphofeat.bundle import Bundle, export_bundle, load_bundle, predict_folder
from lymphofeat.bundle.out_of_distribution import ImageDistribution, TrainingRanges, out_of_distribution
from lymphofeat.bundle.patients import Reading, read_patients
from lymphofeat.cache.extract import ExtractSettings, extract_frozen
from lymphofeat.cohort.dates import DATE_ORDERS, REFERENCE_DATE, age_at
from lymphofeat.cohort.layout import Layout, with_date_format
from lymphofeat.cohort.read import read_cohort
from lymphofeat.errors import InputError
from lymphofeat.studies import tune

from ..helpers.tiny import tiny_cohort, write_table

CROP = 64
TABLE = "ID,GENDER,DOB,LYMPH_COUNT"
MONTH_FIRST = with_date_format(Layout(), DATE_ORDERS)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sees images and clinical values; trained on 18 patients of 3 images each."""
    folder = tmp_path_factory.mktemp("made")
    cohort = tiny_cohort(folder / "data", 24, images=3, side=80)
    extraction = ExtractSettings(
        backbone="small-cnn", weights="none", seed=0, crop=CROP, n_folds=3, n_repeats=1, device="cpu"
    )
    extract_frozen(read_cohort(cohort), folder / "c.h5", extraction)
    tune(folder / "c.h5", folder / "s.db", n_trials=1, heads=["late"])
    export_bundle(folder / "c.h5", folder / "s.db", folder / "model")
    return folder / "model"


@pytest.fixture
def clinical_model(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    made, out = model.parent, tmp_path_factory.mktemp("clinical") / "model"
    tune(made / "c.h5", out.parent / "s.db", n_trials=1, heads=["logistic"], inputs=["clinical"])
    export_bundle(made / "c.h5", out.parent / "s.db", out)
    return out


def pixels(seed: int = 0, side: int = 80) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.kron(
        rng.integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8)
    )


def patient(folder: Path, name: str, images: int = 3, seed: int = 0) -> Path:
    (folder / name).mkdir(parents=True)
    for k in range(images):
        Image.fromarray(pixels(10 * seed + k)).save(
            folder / name / f"{k}.jpg", quality=90
        )  # as those of training
    return folder / name


def predicted(model: Path, folder: Path, *rows: str, header: str = TABLE) -> pd.DataFrame:
    """The table, by ID."""
    write_table(folder.parent / "clinical.csv", [header, *rows])
    out = folder.parent / "p.csv"
    found = predict_folder(model, folder, out, clinical=folder.parent / "clinical.csv", force=True)
    return found.table.set_index("id")


def test_nothing_to_warn_of(model: Path, tmp_path: Path) -> None:
    patient(tmp_path / "new", "A")
    found = predicted(model, tmp_path / "new", "A,F,3/4/1940,12.5")
    assert list(found["warnings"]) == [""]
    assert found.loc["A", "decision"] in ("reactive", "malignant")
    assert 0 <= found.loc["A", "probability"] <= 1


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "I;16", "P", "1"])
def test_other_modes_are_read_as_colours(model: Path, tmp_path: Path, mode: str) -> None:
    """Grey images in whatever mode say what they say as RGB."""
    grey = pixels(1)[:, :, 0] // 128 * 255  # black and white, which every mode can hold
    plain = Image.fromarray(np.repeat(grey[:, :, None], 3, axis=2))
    changed = Image.fromarray(grey.astype(np.uint16) * 257) if mode == "I;16" else plain.convert(mode)
    assert changed.mode == mode
    for name, image in (("A", plain), ("B", changed)):
        (tmp_path / "new" / name).mkdir(parents=True)
        for k in range(3):
            image.save(tmp_path / "new" / name / f"{k}.tif")
    found = predicted(model, tmp_path / "new", "A,F,3/4/1940,12.5", "B,F,3/4/1940,12.5")
    assert found.loc["A", "probability"] == pytest.approx(found.loc["B", "probability"], abs=1e-9)


def test_larger_images_are_cut_not_resized(model: Path, tmp_path: Path) -> None:
    for name, border in (("A", 0), ("B", 16)):
        (tmp_path / "new" / name).mkdir(parents=True)
        for k in range(3):
            image = np.pad(pixels(k), ((border, border), (border, border), (0, 0)))
            Image.fromarray(image).save(tmp_path / "new" / name / f"{k}.png")
    found = predicted(model, tmp_path / "new", "A,F,3/4/1940,12.5", "B,F,3/4/1940,12.5")
    assert found.loc["A", "probability"] == found.loc["B", "probability"]


def test_all_bad_images_are_listed_at_once(model: Path, tmp_path: Path) -> None:
    folder = patient(tmp_path / "new", "A")
    Image.fromarray(pixels(0, 40)).save(folder / "small.png")
    (folder / "text.png").write_text("no image")
    (folder / "empty.png").write_bytes(b"")
    (folder / "cut.jpg").write_bytes((folder / "0.jpg").read_bytes()[:200])
    Image.fromarray(pixels(0)[:, :, 0].astype(np.int32)).save(folder / "deep.tif")
    with pytest.raises(InputError) as error:
        predict_folder(model, tmp_path / "new", tmp_path / "p.csv")
    lines = {Path(line.split(": ")[0]).name: line for line in str(error.value).splitlines()}
    assert set(lines) == {"small.png", "text.png", "empty.png", "cut.jpg", "deep.tif"}
    assert "is 40 × 40 pixels, and the model looks at 64 × 64" in lines["small.png"]
    assert "is not an image" in lines["text.png"]
    assert "0 bytes" in lines["empty.png"]
    assert "truncated or damaged" in lines["cut.jpg"]
    assert "32-bit" in lines["deep.tif"]
    assert not (tmp_path / "p.csv").exists()


def test_folders_without_patients(model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        predict_folder(model, tmp_path / "nowhere", tmp_path / "p.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no patient"):
        predict_folder(model, tmp_path / "empty", tmp_path / "p.csv")
    (tmp_path / "some" / "A").mkdir(parents=True)
    patient(tmp_path / "some", "B")
    with pytest.raises(InputError, match=r"A: holds no image"):
        predict_folder(model, tmp_path / "some", tmp_path / "p.csv")
    Image.fromarray(pixels()).save(tmp_path / "empty" / "0.png")
    with pytest.raises(InputError, match="holds no patient"):
        predict_folder(model, tmp_path / "empty", tmp_path / "p.csv")
    assert not (tmp_path / "p.csv").exists()


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        (TABLE, "A,F,31/31/1960,3", "row 2: date of birth"),
        (TABLE, "A,X,3/4/1940,3", "row 2: sex 'X' is not known"),
        (TABLE, "A,F,3/4/1940,many", "row 2: lymphocyte count 'many'"),
        ("ID,GENDER,AGE,LYMPH_COUNT", "A,F,-3,3", "row 2: age '-3' is not one in years"),
        ("ID,GENDER,AGE,LYMPH_COUNT", "A,F,old,3", "row 2: age 'old' is not one in years"),
        ("NAME,GENDER", "A,F", "has no column 'ID'"),
        ("ID,COLOUR", "A,red", "has none of the columns GENDER, DOB, AGE, LYMPH_COUNT"),
    ],
)
def test_bad_tables_are_refused(model: Path, tmp_path: Path, header: str, row: str, message: str) -> None:
    patient(tmp_path / "new", "A")
    with pytest.raises(InputError, match=message):
        predicted(model, tmp_path / "new", row, header=header)
    assert not (tmp_path / "p.csv").exists()
    with pytest.raises(InputError, match="no such table"):
        predict_folder(model, tmp_path / "new", tmp_path / "p.csv", clinical=tmp_path / "none.csv")


_CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=8)


@given(
    st.lists(_CELLS, max_size=5), st.lists(st.lists(_CELLS, max_size=5), max_size=3), st.binary(max_size=20)
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_table_is_read_or_refused(
    tmp_path: Path, header: list[str], rows: list[list[str]], tail: bytes
) -> None:
    (tmp_path / "new" / "A").mkdir(parents=True, exist_ok=True)
    text = "\n".join(",".join(row) for row in (["ID", "AGE", *header], *(["A", *row] for row in rows)))
    (tmp_path / "t.csv").write_bytes(text.encode() + tail)
    try:
        new = read_patients(tmp_path / "new", tmp_path / "t.csv", Reading(layout=MONTH_FIRST), images=False)
    except InputError:
        return
    assert "A" in {patient.id for patient in new.patients}
    assert all(np.isnan(p.age) or 0 <= p.age <= 130 for p in new.patients)


def test_an_age_is_counted_as_in_training(model: Path, tmp_path: Path) -> None:
    """To the reference day: by the date of birth, or by an age and the date of the examination."""
    for name in "ABC":
        patient(tmp_path / "new", name)
    write_table(tmp_path / "new" / "lymphofeat.toml", ["[columns]", 'examined = "SEEN"'])
    age = age_at(date(1940, 3, 4), REFERENCE_DATE)
    rows = (
        "A,F,3/4/1940,,,12.5",
        f"B,F,,{age + 5!r},2025-01-01,12.5",
        "C,F,04-03-1940,99,,12.5",
    )  # the date goes before the age
    header = "ID,GENDER,DOB,AGE,SEEN,LYMPH_COUNT"
    found = predicted(model, tmp_path / "new", *rows, header=header)
    np.testing.assert_allclose(found["probability"], found.loc["A", "probability"], atol=1e-9)


def test_an_age_of_today_is_refused_by_a_model_that_counts_to_a_day(model: Path, tmp_path: Path) -> None:
    for name in "AB":
        patient(tmp_path / "new", name)
    with pytest.raises(
        InputError,
        match=r"2 patients \(A and B\) have an age only.* counted from dates of birth to 2020-01-01",
    ):
        predicted(model, tmp_path / "new", "A,F,70,12.5", "B,F,71,12.5", header="ID,GENDER,AGE,LYMPH_COUNT")


def test_a_model_of_ages_at_the_examination_takes_no_other(tmp_path: Path) -> None:
    (tmp_path / "new" / "A").mkdir(parents=True)
    (tmp_path / "new" / "B").mkdir()
    write_table(tmp_path / "t.csv", ["ID,GENDER,DOB,AGE,LYMPH_COUNT", "A,F,,70,3", "B,F,1940-03-04,,3"])
    new = read_patients(tmp_path / "new", tmp_path / "t.csv", Reading(None), images=False)
    assert new.table["age"].tolist()[0] == 70.0
    assert np.isnan(new.table["age"].tolist()[1])
    assert "neither an age nor a date of examination" in new.notes[0]


def test_another_day_to_count_ages_on(model: Path, tmp_path: Path) -> None:
    """The bundle's, unless the folder's layout names one."""
    patient(tmp_path / "new", "A")
    write_table(tmp_path / "t.csv", [TABLE, "A,F,3/4/1940,12.5"])
    reading = Reading(date(2025, 3, 4), MONTH_FIRST)
    new = read_patients(tmp_path / "new", tmp_path / "t.csv", reading, images=True)
    assert new.patients[0].age == 85.0
    write_table(tmp_path / "new" / "lymphofeat.toml", ["[ages]", "reference = 2030-03-04"])
    new = read_patients(tmp_path / "new", tmp_path / "t.csv", reading, images=True)
    assert new.patients[0].age == 90.0


def test_what_is_missing_or_out_of_range_is_warned_of(model: Path, tmp_path: Path) -> None:
    for name, images in (("A", 3), ("B", 3), ("C", 1), ("D", 3)):
        patient(tmp_path / "new", name, images)
    found = predicted(model, tmp_path / "new", "A,,,", "B,M,3/4/1850,900", "C,F,3/4/1940,12.5")["warnings"]
    nothing = "age missing; count missing; sex missing"
    assert found["A"] == f"referred: no clinical value is known; {nothing}"
    assert "age 169.8 outside the training range" in found["B"]
    assert "count 900 outside the training range" in found["B"]
    assert found["C"].endswith("too few images (1, training 3 or more)")
    assert found["D"] == found["A"]  # not in the table


def test_images_of_another_kind_are_noticed(model: Path, tmp_path: Path) -> None:
    patient(tmp_path / "new", "same", seed=3)
    (tmp_path / "new" / "other").mkdir()
    for k in range(3):
        Image.fromarray(np.full((80, 80, 3), 250 + k, dtype=np.uint8)).save(
            tmp_path / "new" / "other" / f"{k}.png"
        )
    found = predicted(model, tmp_path / "new", "same,F,3/4/1940,12.5", "other,F,3/4/1940,12.5")["warnings"]
    assert found["same"] == ""
    assert found["other"] == "unlike the training images"


def test_rows_without_a_folder_are_told_of(model: Path, tmp_path: Path) -> None:
    patient(tmp_path / "new", "A")
    write_table(tmp_path / "t.csv", [TABLE, "A,F,3/4/1940,12.5", "B,F,3/4/1940,12.5"])
    found = predict_folder(model, tmp_path / "new", tmp_path / "p.csv", clinical=tmp_path / "t.csv")
    assert list(found.table["id"]) == ["A"]
    assert "has 1 row of patients without a folder" in found.notes[-1]


@pytest.mark.parametrize(
    ("folder", "row", "message"),
    [
        ("11", "0011", r"t\.csv, row 2: '0011' in t\.csv, '11' in .*new: they differ in leading zeros"),
        ("p3", "P3", "they differ in upper and lower case"),
        ("P 3", "P3", "they differ in blanks"),
        ("7", "7.0", r"they differ in a decimal \.0"),
        ("Zo\u00e9", "Zoe\u0301", r"'Zoe\\u0301' in t\.csv, 'Zo\\xe9' in .*they differ in Unicode forms"),
        ("A", "Q", r"no row is of a patient in .*new \(it has 'Q', the folder 'A'\)"),
    ],
)
def test_a_table_of_other_ids_is_refused(
    clinical_model: Path, model: Path, tmp_path: Path, folder: str, row: str, message: str
) -> None:
    patient(tmp_path / "new", folder)
    write_table(tmp_path / "t.csv", [TABLE, f"{row},F,3/4/1940,12.5"])
    for bundle in (model, clinical_model):
        with pytest.raises(InputError, match=message):
            predict_folder(bundle, tmp_path / "new", tmp_path / "p.csv", clinical=tmp_path / "t.csv")
    assert not (tmp_path / "p.csv").exists()


def test_one_row_under_another_form_of_the_id_is_refused_among_good_ones(tmp_path: Path) -> None:
    for name in ("A", "11"):
        patient(tmp_path / "new", name)
    write_table(tmp_path / "t.csv", [TABLE, "A,F,3/4/1940,12.5", "0011,F,3/4/1940,12.5"])
    with pytest.raises(InputError, match=r"row 3: '0011' in t\.csv, '11' in "):
        read_patients(tmp_path / "new", tmp_path / "t.csv", Reading(layout=MONTH_FIRST), images=True)


def test_folders_without_a_row_are_told_of(tmp_path: Path) -> None:
    for name in "ABC":
        patient(tmp_path / "new", name)
    write_table(tmp_path / "t.csv", [TABLE, "A,F,3/4/1940,12.5"])
    found = read_patients(tmp_path / "new", tmp_path / "t.csv", Reading(layout=MONTH_FIRST), images=True)
    assert found.notes == (f"{tmp_path}/t.csv has no row of B and C, whose clinical values are missing.",)


def test_only_the_columns_that_are_read_must_be_there_once(tmp_path: Path) -> None:
    patient(tmp_path / "new", "A")
    write_table(tmp_path / "t.csv", ["ID,X,x,AGE", "A,1,2,50.0"])
    found = read_patients(tmp_path / "new", tmp_path / "t.csv", Reading(None), images=True)
    assert found.patients[0].age == 50
    write_table(tmp_path / "t.csv", ["ID,AGE,age,GENDER", "A,50,51,F"])
    with pytest.raises(InputError, match="row 1: has the column 'age' more than once"):
        read_patients(tmp_path / "new", tmp_path / "t.csv", Reading(layout=MONTH_FIRST), images=True)


def test_without_images_the_table_is_enough(clinical_model: Path, tmp_path: Path) -> None:
    patient(tmp_path / "new", "A", images=1)
    found = predicted(clinical_model, tmp_path / "new", "A,F,3/4/1940,12.5", "B,F,3/4/1940,12.5")
    assert list(found.index) == ["A", "B"]
    assert found.loc["A", "probability"] == found.loc["B", "probability"]
    assert list(found["warnings"]) == ["", ""]


def test_one_patient_does_not_change_another(model: Path, tmp_path: Path) -> None:
    for number, name in enumerate("ABC"):
        patient(tmp_path / "new", name, 3 + number, seed=number)
    patient(tmp_path / "alone", "B", 4, seed=1)
    rows = [f"{name},F,3/4/1940,{12.5 + i}" for i, name in enumerate("ABC")]
    together, alone = predicted(model, tmp_path / "new", *rows), predicted(model, tmp_path / "alone", rows[1])
    assert alone.loc["B", "probability"] == pytest.approx(together.loc["B", "probability"], abs=1e-6)


def test_an_existing_table_stays(model: Path, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        predict_folder(model, tmp_path / "nowhere", tmp_path / "p.csv")
    assert (tmp_path / "p.csv").read_text() == "mine"


@pytest.fixture(scope="module")
def loaded(model: Path) -> Bundle:
    return load_bundle(model)


def test_ranges_are_rounded_outwards(loaded: Bundle) -> None:
    table = pd.DataFrame(
        {"age": [40.3, np.nan, 70.7], "lymphocyte_count": [4.123, 39.91, np.nan], "n_images": [3, 9, 5]}
    )
    found = TrainingRanges.fit(table, np.array([0, 1, 1], dtype=np.int8))
    assert (found.n, found.n_malignant) == (3, 2)
    assert found.age == (40, 71)
    assert found.count == pytest.approx((4.1, 40))
    assert (found.images[0], found.images[2], found.images[4]) == (3, 5, 9)
    empty = table.assign(age=np.nan, count=np.nan)
    assert TrainingRanges.fit(empty, np.array([0, 1, 1], dtype=np.int8)).age == (0, 0)


def test_distance_is_mahalanobis_where_all_axes_are_kept() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3)) @ rng.normal(size=(3, 3))
    found = ImageDistribution.fit(x, np.empty((0, 3)))
    inverse = np.linalg.inv(np.cov(x.T))
    centred = x[:20] - x.mean(axis=0)
    expected = np.sqrt(np.einsum("ij,jk,ik->i", centred, inverse, centred))
    np.testing.assert_allclose(found.distances(x[:20]), expected, rtol=1e-9)
    again = ImageDistribution.from_arrays(found.arrays("0"), "0")
    np.testing.assert_array_equal(again.distances(x), found.distances(x))


def test_of_several_encoders_the_median_decides() -> None:
    rng = np.random.default_rng(2)
    one = ImageDistribution.fit(rng.normal(size=(50, 4)), np.empty((0, 4)))
    near, far = np.zeros(1), np.array([2 * one.limit])
    assert not out_of_distribution([near, near, far], [one] * 3)[0]
    assert out_of_distribution([near, far, far], [one] * 3)[0]
    held = ImageDistribution.fit(rng.normal(size=(50, 4)), np.full((1, 4), 9.0))
    assert held.limit == pytest.approx(replace(held, limit=0).distances(np.full((1, 4), 9.0))[0])
