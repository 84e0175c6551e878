"""Head types that need more patients than the folds have are left out of a search."""

from pathlib import Path

import pytest

from lymphofeat.errors import InputError
from lymphofeat.studies import tune
from lymphofeat.studies.space import Space

from ..helpers.caches import single_class_cache
from ..helpers.progress import Heard
from ..helpers.studies import trials_of

QUICK = ("lda", "logistic")


def test_heads_that_cannot_be_fitted_on_these_folds_are_left_out(tmp_path: Path) -> None:
    """Three malignant patients in three folds: two are left to train on, one in the folds of thresholds."""
    cache, heard = single_class_cache(tmp_path / "c.h5"), Heard()
    heads = ("instances", "lda", "logistic", "stacked", "svm", "xgboost")
    summary = tune(cache, tmp_path / "s.db", n_trials=12, heads=heads, progress=heard)
    assert (
        set(summary.left_out)
        == {"instances", "lda", "stacked", "svm"}
        == {n.split("'")[1] for n in heard.notes}
    )
    assert "lda needs two of each for a covariance" in summary.left_out["lda"]
    assert {params["family"] for _, _, params, _ in trials_of(tmp_path / "s.db")} == {"logistic", "xgboost"}
    assert not summary.failed
    assert tune(cache, tmp_path / "s.db", n_trials=20, heads=heads).n_trials == 20
    with pytest.raises(InputError, match=r"No heads are left to search\.\nThe heads 'lda' are left out"):
        tune(cache, tmp_path / "none.db", n_trials=2, heads=["lda"])
    assert not (tmp_path / "none.db").exists()


def test_a_study_that_was_begun_with_such_heads_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Earlier versions left none out, and ended at the first of their trials."""
    cache = single_class_cache(tmp_path / "c.h5")
    monkeypatch.setattr(Space, "unfit", lambda *_: {})
    tune(cache, tmp_path / "s.db", n_trials=3, heads=QUICK)
    monkeypatch.undo()
    summary = tune(cache, tmp_path / "s.db", n_trials=16, heads=QUICK)
    assert summary.n_trials == 16
    assert summary.failed
    assert {one.head_type for one in summary.failed} == {"lda"}
    assert summary.failures[0].startswith(f"{len(summary.failed)} of 16 trials failed: lda: One class has")


@pytest.mark.slow
def test_two_processes_keep_the_same_failures_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = single_class_cache(tmp_path / "c.h5")
    monkeypatch.setattr(Space, "unfit", lambda *_: {})
    one, two = (tune(cache, tmp_path / f"{jobs}.db", n_trials=12, heads=QUICK, jobs=jobs) for jobs in (1, 2))
    assert one.failed
    assert one.failed == two.failed
    assert trials_of(tmp_path / "1.db") == trials_of(tmp_path / "2.db")
