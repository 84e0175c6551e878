"""`extract --backbone morphology` as users type it."""

from pathlib import Path

import pytest

from lymphofeat.cache import open_cache
from lymphofeat.synthetic.cohort import SimulationSettings, simulate_cohort

from ..helpers.commands import Run, runner


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = SimulationSettings(patients=12, seed=5, size=96, images_range=(2, 2))
    return simulate_cohort(tmp_path_factory.mktemp("cohort") / "data", spec)


def test_cells_are_measured_and_counted(cohort: Path, tmp_path: Path, run: Run) -> None:
    cache = tmp_path / "c.h5"
    command = ("extract", cohort, "--cache", cache, "--backbone", "morphology", "--folds", 3)
    ran = run(*command, "--features", "chromatin,shape")
    assert ran.code == 0, ran.err
    assert "encoding morphology, 24 images × 46 features" in ran.out
    assert "of 24 cells whole" in ran.out
    assert "weights: none: measurements of the cell (shape, chromatin)" in ran.out
    assert "morphology: " in run("info", cache).out
    again = run(*command)
    assert "already complete" in again.out
    assert "of 24 cells whole" in again.out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--weights", "imagenet"],
            "--weights cannot be used",
        ),  # what is given by hand, even if it is the default
        (["--seed", "0", "--epochs", "3"], "--seed, --epochs cannot be used"),
        (["--finetune"], "cannot be fine-tuned"),
        (["--features", "shape,texture"], "no group of features 'texture'"),
    ],
)
def test_what_means_nothing_without_a_network_is_refused(
    cohort: Path, tmp_path: Path, run: Run, options: list[str], said: str
) -> None:
    ran = run("extract", cohort, "--cache", tmp_path / "c.h5", "--backbone", "morphology", *options)
    assert ran.code == 2
    assert said in ran.err
    assert not list(tmp_path.iterdir())


def test_groups_belong_to_morphology(cohort: Path, tmp_path: Path, run: Run) -> None:
    ran = run("extract", cohort, "--cache", tmp_path / "c.h5", "--frozen", "--features", "shape")
    assert ran.code == 2
    assert "--features are groups of measurements of the cells" in ran.err


def test_unless_told_otherwise_cells_are_measured(cohort: Path, tmp_path: Path, run: Run) -> None:
    """And what is meant for a network is not passed over in silence."""
    cache = tmp_path / "c.h5"
    ran = run("extract", cohort, "--cache", cache, "--folds", 3)
    assert ran.code == 0, ran.err
    assert set(open_cache(cache).encodings) == {"morphology"}
    network = ("--backbone", "small-cnn", "--weights", "none", "--seed", "0")
    ran = run("extract", cohort, "--cache", cache, "--folds", 3, *network)
    assert ran.code == 2
    assert "so --weights, --seed, --backbone cannot be used with them" in ran.err
    ran = run("extract", cohort, "--cache", cache, "--folds", 3, *network, "--frozen", "--epochs", "3")
    assert ran.code == 2
    assert "--epochs would change nothing, since no encoder is trained" in ran.err
