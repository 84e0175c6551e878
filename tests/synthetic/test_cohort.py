"""The simulated cohort's folder: layout, truth, determinism, all or nothing."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lymphofeat.cohort import read_cohort
from lymphofeat.errors import InputError
from lymphofeat.progress import Silent
from lymphofeat.synthetic.cohort import SimulationSettings, simulate_cohort

SPEC = SimulationSettings(patients=12, seed=4, size=48, images_range=(2, 4))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate_cohort(tmp_path_factory.mktemp("synth") / "new" / "cohort", SPEC)


@pytest.fixture(scope="module")
def truth(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "truth_patients.csv", keep_default_na=False)


def digest(root: Path) -> str:
    """Of every name and every byte below `root`."""
    found = hashlib.sha256()
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        found.update(str(path.relative_to(root)).encode())
        found.update(path.read_bytes())
    return found.hexdigest()


def test_the_same_spec_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    again = simulate_cohort(
        tmp_path / "again", SimulationSettings(patients=12, seed=4, size=48, images_range=(2, 4))
    )
    other = simulate_cohort(
        tmp_path / "other", SimulationSettings(patients=12, seed=5, size=48, images_range=(2, 4))
    )
    assert digest(again) == digest(folder)
    assert digest(other) != digest(folder)


def test_the_tables_are_the_challenges(folder: Path, truth: pd.DataFrame) -> None:
    columns = ["ID", "LABEL", "GENDER", "DOB", "LYMPH_COUNT"]
    header = (folder / "clinical_annotation.csv").read_text().splitlines()[0]
    assert header == "," + ",".join(columns)
    everyone = pd.read_csv(folder / "clinical_annotation.csv", index_col=0)
    train = pd.read_csv(folder / "trainset" / "trainset_true.csv")
    test = pd.read_csv(folder / "testset" / "testset_data.csv")
    assert list(train.columns) == list(test.columns) == columns
    assert list(everyone.index) == list(range(12))
    assert (test["LABEL"] == -1).all()
    assert (len(train), len(test)) == (9, 3)
    both = pd.concat([train, test]).set_index("ID")
    pd.testing.assert_frame_equal(everyone.set_index("ID").loc[both.index], both)
    labels = truth.set_index("id")["label"]
    assert (train.set_index("ID")["LABEL"] == labels[train["ID"]]).all()


def test_the_sample_submission_names_only_some_test_patients(folder: Path) -> None:
    test = pd.read_csv(folder / "testset" / "testset_data.csv")
    sample = pd.read_csv(folder / "sample_submission.csv")
    assert list(sample.columns) == ["ID", "LABEL"]
    assert 0 < len(sample) < len(test)
    assert set(sample["ID"]) < set(test["ID"])


def test_dates_are_written_both_ways_and_mean_the_same_day(folder: Path, truth: pd.DataFrame) -> None:
    table = pd.read_csv(folder / "clinical_annotation.csv", index_col=0).set_index("ID")
    for row in truth.itertuples():
        written = table.loc[row.id, "DOB"]
        year, month, day = row.birth.split("-")
        slashed = f"{int(month)}/{int(day)}/{year}"
        assert written == (slashed if row.date_order == "m/d/y" else f"{day}-{month}-{year}")


def test_every_image_is_in_the_truth_and_opens(folder: Path, truth: pd.DataFrame) -> None:
    cells = pd.read_csv(folder / "truth_cells.csv")
    part = truth.set_index("id")["part"]
    listed = {folder / f"{part[c.patient]}set" / c.patient / c.file for c in cells.itertuples()}
    assert listed == set(folder.rglob("*.jpg"))
    assert len(listed) == len(cells) == truth["n_images"].sum()
    for path in listed:
        with Image.open(path) as image:
            assert (image.size, image.mode, image.format) == ((48, 48), "RGB", "JPEG")
            assert np.asarray(image).std() > 5


def test_the_programs_own_reader_sees_the_truth(folder: Path, truth: pd.DataFrame) -> None:
    table = read_cohort(folder).table().set_index("id").sort_index()
    expected = truth.set_index("id").sort_index()
    assert (table["birth"] == expected["birth"]).all()
    assert (table["sex"] == expected["sex"]).all()
    assert (table["date_order"] == expected["date_order"]).all()
    assert (table["n_images"] == expected["n_images"]).all()
    assert (table["label"] == expected["label"].where(expected["part"] == "train", -1)).all()
    np.testing.assert_allclose(table["age"], expected["age"], atol=0.02)
    np.testing.assert_allclose(table["lymphocyte_count"], expected["lymphocyte_count"], atol=0.0051)
    assert table.duplicated(["birth", "sex"]).sum() >= 1


def test_a_patient_is_painted_alike_alone_or_among_others(folder: Path, tmp_path: Path) -> None:
    """Each patient's stream is its own: a cohort with larger bags elsewhere or another order changes nothing."""
    from lymphofeat.synthetic.cohort import _paint_patient
    from lymphofeat.synthetic.patients import simulate_patients

    patients = simulate_patients(SPEC, np.random.default_rng([SPEC.seed, 0]))
    row = list(patients.itertuples())[7]
    _paint_patient(tmp_path, SPEC, 7, row, Silent())
    painted = sorted(tmp_path.rglob("*.jpg"))
    assert len(painted) == row.n_images
    for path in painted:
        assert path.read_bytes() == (folder / path.relative_to(tmp_path)).read_bytes()


@pytest.mark.parametrize(("ending", "kind"), [("png", "PNG"), ("tif", "TIFF"), ("bmp", "BMP")])
def test_other_image_formats(tmp_path: Path, ending: str, kind: str) -> None:
    spec = SimulationSettings(patients=6, size=32, images_range=(1, 2), formats=(ending,), test_fraction=0.2)  # type: ignore[arg-type]
    root = simulate_cohort(tmp_path / "cohort", spec)
    images = list(root.glob(f"*/*/*.{ending}"))
    assert len(images) >= 6
    with Image.open(images[0]) as image:
        assert image.format == kind


def test_no_test_part(tmp_path: Path) -> None:
    spec = SimulationSettings(patients=6, size=32, images_range=(1, 2), test_fraction=0)
    root = simulate_cohort(tmp_path / "cohort", spec)
    assert len(list((root / "trainset").glob("P*"))) == 6
    assert len(pd.read_csv(root / "sample_submission.csv")) == 0


def test_an_occupied_place_is_refused_and_left_alone(tmp_path: Path) -> None:
    occupied = tmp_path / "cohort"
    occupied.mkdir()
    (occupied / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"cohort exists already and is not an empty folder; give another"):
        simulate_cohort(occupied, SPEC)
    assert [p.name for p in tmp_path.rglob("*")] == ["cohort", "mine.txt"]
    with pytest.raises(InputError, match="exists already"):
        simulate_cohort(occupied / "mine.txt", SPEC)
    assert (occupied / "mine.txt").read_text() == "mine"


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "cohort").mkdir()
    simulate_cohort(tmp_path / "cohort", SimulationSettings(patients=6, size=32, images_range=(1, 1)))
    assert (tmp_path / "cohort" / "truth_cells.csv").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["cohort"]


class Counting(Silent):
    """Counts, and fails when told to."""

    def __init__(self, fail_at: int = -1) -> None:
        self.total, self.done, self.stopped, self.fail_at = 0, 0, 0, fail_at

    def start(self, what: str, total: int, unit: str, done: int = 0) -> None:
        self.total = total

    def advance(self, n: int = 1) -> None:
        self.done += n
        if self.done == self.fail_at:
            raise KeyboardInterrupt

    def stop(self) -> None:
        self.stopped += 1


def test_progress_counts_every_image(tmp_path: Path) -> None:
    progress = Counting()
    simulate_cohort(
        tmp_path / "cohort", SimulationSettings(patients=6, size=32, images_range=(1, 3)), progress=progress
    )
    assert progress.done == progress.total == len(list((tmp_path / "cohort").rglob("*.jpg")))
    assert progress.stopped == 1


def test_an_interrupted_simulation_leaves_nothing(tmp_path: Path) -> None:
    progress = Counting(fail_at=5)
    with pytest.raises(KeyboardInterrupt):
        simulate_cohort(tmp_path / "cohort", SPEC, progress=progress)
    assert list(tmp_path.iterdir()) == []
    assert progress.stopped == 1
