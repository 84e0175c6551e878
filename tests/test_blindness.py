"""A cache whose encoders have seen a fold gives no score and no prediction there, whichever door is tried."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lymphofeat.assess.learning import learning_curve
from lymphofeat.assess.plan import plan_evaluation
from lymphofeat.bundle import export_bundle
from lymphofeat.cache import open_cache, save_cache
from lymphofeat.comparison.compare import compare
from lymphofeat.errors import LeakageError
from lymphofeat.explanation import explain
from lymphofeat.final import submit
from lymphofeat.final.refit import final_fits, predict_final
from lymphofeat.nested import nested
from lymphofeat.scoring.score import score_head
from lymphofeat.studies import tune
from lymphofeat.studies.load import load_study
from lymphofeat.studies.space import build_head

from .helpers.caches import features, patients, tuned_cache

HEADS = ["logistic"]
SEEN = 2  # the fold


def seen_cache(path: Path, honest: Path) -> Path:
    """The same patients, folds and features, but no encoder is blind to one of the folds."""
    cache, table = open_cache(honest), patients()
    save_cache(
        path,
        table,
        {name: np.array(e.features) for name, e in cache.encodings.items()},
        n_folds=4,
        encoder_families=dict.fromkeys(cache.encodings, "tuned"),
        blind_to={name: (e.blind_to or set()) - {SEEN} for name, e in cache.encodings.items()},
    )
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A cache, a study made from it, and the cache whose encoders have seen a fold."""
    folder = tmp_path_factory.mktemp("blindness")
    cache = tuned_cache(folder / "c.h5", pairs=True)
    tune(cache, folder / "study.db", n_trials=2, heads=HEADS)
    return cache, folder / "study.db", seen_cache(folder / "seen.h5", cache)


def _patient(cache: Path, fold: int) -> str:
    found = open_cache(cache)
    return str(found.patients["id"].iloc[int(np.flatnonzero(found.folds[:, 0] == fold)[0])])


def _learning(cache: Path, study: Path, _: Path) -> object:
    params = load_study(study).best.params
    return learning_curve(open_cache(cache), "tuned", params, n_sizes=3, n_draws=1, n_resamples=20)


DOORS: dict[str, Callable[[Path, Path, Path], object]] = {
    "tune": lambda cache, _, out: tune(cache, out / "new.db", n_trials=1, heads=HEADS),
    "nested": lambda cache, _, out: nested(cache, out / "searches", trials=1, heads=HEADS),
    "evaluate": lambda cache, _, __: plan_evaluation(cache, n_trials=1, heads=HEADS),
    "compare": lambda cache, _, out: compare(cache, out / "record.jsonl", pipelines=["tuned"]),
    "submit": lambda cache, study, out: submit(cache, study, out / "s.csv"),
    "export": lambda cache, study, out: export_bundle(cache, study, out / "model"),
    "explain": lambda cache, study, _: explain(cache, study, _patient(cache, SEEN)),
    "explain a test patient": lambda cache, study, _: explain(cache, study, _patient(cache, -1)),
    "learning curve": _learning,
    "score_head": lambda cache, study, _: score_head(
        open_cache(cache), "tuned", build_head(load_study(study).best.params)
    ),
    "Cache.split": lambda cache, _, __: open_cache(cache).split("tuned", {SEEN}),
    "Cache.splits": lambda cache, _, __: open_cache(cache).splits("tuned"),
    "Cache.final_splits": lambda cache, _, __: open_cache(cache).final_splits("tuned"),
}


@pytest.mark.parametrize("door", DOORS)
def test_every_door_is_shut(made: tuple[Path, Path, Path], tmp_path: Path, door: str) -> None:
    _, study, seen = made
    with pytest.raises(LeakageError, match=rf"encoding tuned .* has seen labels of folds? .*\b{SEEN}\b"):
        DOORS[door](seen, study, tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".db", ".csv", ".json", ".h5")]


@pytest.mark.parametrize("door", sorted(DOORS.keys() - {"export"}))  # its encoders' files are not there
def test_the_same_doors_are_open_to_blind_encoders(
    made: tuple[Path, Path, Path], tmp_path: Path, door: str
) -> None:
    """The test above is not empty."""
    cache, study, _ = made
    if door in ("nested", "evaluate"):
        pytest.skip("takes long, and tests/nested does it")
    DOORS[door](cache, study, tmp_path)


def test_other_folds_stay_in_use(made: tuple[Path, Path, Path]) -> None:
    cache, study, seen = made
    other = _patient(seen, 0)
    assert explain(seen, study, other).probability == explain(cache, study, other).probability
    split = open_cache(seen).split("tuned", {0})
    np.testing.assert_array_equal(split.test, open_cache(cache).split("tuned", {0}).test)


def test_a_final_model_predicts_nobody_whom_it_knows(made: tuple[Path, Path, Path]) -> None:
    cache = open_cache(made[0])
    fits = final_fits(cache, "tuned")
    assert predict_final(cache, fits, [], np.flatnonzero(cache.patients["split"] == "test")).shape == (6,)
    with pytest.raises(LeakageError, match="learns from patient P"):
        predict_final(cache, fits, [], cache.labelled[:1])


def test_frozen_encodings_know_no_folds(tmp_path: Path) -> None:
    table = patients()
    save_cache(tmp_path / "c.h5", table, {"frozen": features(table)}, n_folds=4)
    (whole,) = open_cache(tmp_path / "c.h5").final_splits("frozen")
    np.testing.assert_array_equal(whole.train, np.flatnonzero(table["label"] >= 0))
    assert len(whole.test) == 0
