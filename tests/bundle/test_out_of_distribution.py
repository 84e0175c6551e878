"""Whom a bundle calls unlike its training images: about one in twenty of the same kind, and those of another."""

import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binom

from lymphofeat.bundle import ExportOptions, export_bundle, load_bundle, predict_folder
from lymphofeat.bundle.load import DISTANCES, PROBE, TRAINING
from lymphofeat.bundle.out_of_distribution import WARNED, ImageDistribution, out_of_distribution
from lymphofeat.cache.extract import extract_frozen
from lymphofeat.cohort.read import read_cohort
from lymphofeat.errors import BundleError
from lymphofeat.storage.arrays import load_arrays, save_arrays
from lymphofeat.studies import tune

from ..helpers.tiny import tiny_cohort
from .conftest import SETTINGS, Made
from .test_refused import replaced

UNLIKE = "unlike the training images"
N_NEW = 48


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Patients whose images are nearly of one colour."""
    folder = tmp_path_factory.mktemp("strangers")
    for i in range(6):
        (folder / f"S{i}").mkdir()
        for k in range(3):
            pixels = np.full((80, 80, 3), 40 * i + k, dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"S{i}" / f"{k}.jpg", quality=90)
    return folder


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Patients of the kind that the bundles' cohorts are of."""
    cohort = tiny_cohort(tmp_path_factory.mktemp("others") / "data", N_NEW, images=3, side=80, seed=7)
    for patient in (cohort / "testset").iterdir():
        if patient.is_dir():
            shutil.move(patient, cohort / "trainset" / patient.name)
    for table in (cohort / "trainset").glob("*.csv"):
        table.unlink()
    return cohort / "trainset"


def flagged(model: Path, folder: Path, out: Path) -> int:
    found = predict_folder(model, folder, out, force=True).table["warnings"]
    return int(found.str.contains(UNLIKE).sum())


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a frozen encoder on 45 training patients."""
    folder = tmp_path_factory.mktemp("larger")
    cohort = tiny_cohort(folder / "data", 60, images=3, side=80, seed=1)
    extract_frozen(read_cohort(cohort), folder / "c.h5", SETTINGS)
    tune(folder / "c.h5", folder / "s.db", n_trials=1, heads=["logistic"], inputs=["image"])
    export_bundle(folder / "c.h5", folder / "s.db", folder / "model")
    return folder / "model"


def test_patients_of_the_same_kind_are_left_alone(
    larger: Path, others: Path, strangers: Path, tmp_path: Path
) -> None:
    found = flagged(larger, others, tmp_path / "p.csv")
    # 44th of 45 distances: exceeded by 2 of 46. That the limit itself is drawn doubles the spread.
    assert binom.sf(found - 1, N_NEW, 2 * WARNED) > 1e-3, f"{found} of {N_NEW}"
    assert flagged(larger, strangers, tmp_path / "p.csv") == 6


@pytest.mark.parametrize("kind", ["frozen", "tuned", "colour"])
def test_so_with_every_kind_of_encoder(
    cache: Path, studies: Made, others: Path, strangers: Path, tmp_path: Path, kind: str
) -> None:
    """18 training patients: beyond the farthest of them lies one in 19, and that limit varies much."""
    tune_free = ExportOptions(ensemble=2)
    export_bundle(cache, studies[kind], tmp_path / "m", tune_free)
    if not load_bundle(tmp_path / "m").sees_images:
        pytest.skip("the best heads look at clinical values only")
    found = flagged(tmp_path / "m", others, tmp_path / "p.csv")
    assert binom.sf(found - 1, N_NEW, 4 * WARNED) > 1e-3, f"{found} of {N_NEW}"
    assert flagged(tmp_path / "m", strangers, tmp_path / "p.csv") >= 5


@pytest.mark.parametrize(("n", "dim"), [(14, 200), (60, 200), (60, 6)])
def test_at_most_one_in_twenty_over_many_cohorts(n: int, dim: int) -> None:
    """Features that are more than the patients, and fewer; those held out count, of whichever kind the encoder is."""
    rng = np.random.default_rng(n + dim)
    mixing = rng.normal(size=(dim, dim)) * np.linspace(1, 0.05, dim)
    shares, moved, per_fold = [], [], []
    for _ in range(20):
        train, same = (rng.normal(size=(m, dim)) @ mixing.T for m in (n, 60))
        one = ImageDistribution.fit(train, np.empty((0, dim)))
        shares.append(out_of_distribution([one.distances(same)], [one]).mean())
        far = same + 6 * train.std(axis=0) * rng.choice([-1, 1], dim)
        moved.append(out_of_distribution([one.distances(far)], [one]).mean())
        fold = np.arange(n) % 3  # an encoder per fold spreads the patients that it was trained on
        several = ImageDistribution.fit_all([(1.3 * train[fold != k], train[fold == k]) for k in range(3)])
        per_fold.append(out_of_distribution([each.distances(same) for each in several], several).mean())
    allowed = max(WARNED, 1 / (n + 1)) + 0.03
    assert 0.005 < np.mean(shares) < allowed
    assert np.mean(per_fold) < allowed
    assert np.mean(moved) > 0.95


def test_of_nobody_known_nobody_is_out_of_distribution() -> None:
    found = ImageDistribution.fit(np.eye(2), np.empty((0, 2)))
    assert not out_of_distribution([found.distances(100 * np.ones((3, 2)))], [found]).any()


def as_before(model: Path, *, scramble: bool = True) -> None:
    """The bundle as the version wrote it that stored axes as they lay in memory, its manifest right."""
    arrays = load_arrays((model / TRAINING).read_bytes())
    if scramble:
        arrays |= {k: v.T.reshape(v.shape) for k, v in arrays.items() if k.endswith(".axes")}
    replaced(model, TRAINING, save_arrays(arrays))
    probe = load_arrays((model / PROBE).read_bytes())
    replaced(model, PROBE, save_arrays({k: v for k, v in probe.items() if not k.startswith(DISTANCES)}))


def test_axes_that_were_stored_scrambled_are_put_right_and_said(
    larger: Path, others: Path, tmp_path: Path
) -> None:
    old = Path(shutil.copytree(larger, tmp_path / "old"))
    as_before(old)
    found = load_bundle(old)
    assert found.images is not None
    for one, other in zip(found.images, load_bundle(larger).images or (), strict=True):
        np.testing.assert_array_equal(one.axes, other.axes)
    summary = predict_folder(old, others, tmp_path / "p.csv")
    assert any("wrongly marked nearly everyone" in note for note in summary.notes)
    assert int(summary.table["warnings"].str.contains(UNLIKE).sum()) == flagged(
        larger, others, tmp_path / "q.csv"
    )
    whole = Path(shutil.copytree(larger, tmp_path / "whole"))
    as_before(whole, scramble=False)
    assert load_bundle(whole).notes == ()


def test_what_cannot_be_put_right_is_not_used(larger: Path, others: Path, tmp_path: Path) -> None:
    old = Path(shutil.copytree(larger, tmp_path / "old"))
    as_before(old)
    arrays = load_arrays((old / TRAINING).read_bytes())
    replaced(old, TRAINING, save_arrays(arrays | {"0.axes": arrays["0.axes"][:, ::-1] + 0.1}))
    summary = predict_folder(old, others, tmp_path / "p.csv")
    assert "export the bundle again" in summary.notes[0]
    assert summary.table["warnings"].str.startswith("not compared with the training images").all()


def test_a_new_bundle_whose_distances_differ_is_refused(larger: Path, tmp_path: Path) -> None:
    """The made-up patients' distances are checked as their probabilities are."""
    copy = Path(shutil.copytree(larger, tmp_path / "copy"))
    arrays = load_arrays((copy / TRAINING).read_bytes())
    axes = arrays["0.axes"]
    replaced(copy, TRAINING, save_arrays(arrays | {"0.axes": axes.T.reshape(axes.shape)}))
    with pytest.raises(BundleError, match="warnings cannot be trusted"):
        load_bundle(copy)


@pytest.mark.parametrize("shape", [(3, 20), (6, 6), (1, 5), (2, 2)])
def test_both_readings_of_axes_are_told_apart(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    told = 0
    for _ in range(20):
        x = rng.normal(size=(60, shape[1])) @ rng.normal(size=(shape[1], shape[1]))
        right = replace(ImageDistribution.fit(x, np.empty((0, shape[1]))), axes=_axes(x, shape[0]))
        scrambled = replace(right, axes=right.axes.T.reshape(shape))
        for one in (right, scrambled):
            found = one.put_right()
            assert found is None or np.array_equal(found.axes, right.axes)
            told += found is not None
    assert told >= (40 if shape[0] in (1, 3) else 10)


def _axes(x: np.ndarray, kept: int) -> Any:
    from sklearn.decomposition import PCA

    return PCA(kept, svd_solver="full").fit(x).components_


def test_patients_who_are_all_alike_are_no_warning() -> None:
    """Identical images have no variance to take shares of."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = ImageDistribution._of(np.ones((12, 5)), 3)
    assert np.isfinite(found.distances(np.ones((2, 5)))).all()
