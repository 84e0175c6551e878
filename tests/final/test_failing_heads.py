"""A selected head that cannot be fitted on all patients: a rule takes the next one, a named trial gets a sentence."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lymphofeat.errors import StudyError
from lymphofeat.final import refit, submit
from lymphofeat.heads.discriminant import ShrunkenLDA
from lymphofeat.studies import load_study, tune

from ..helpers.caches import frozen_cache
from ..helpers.progress import Heard


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return frozen_cache(tmp_path_factory.mktemp("cache") / "c.h5")


def test_a_selected_head_that_fails_on_all_patients_gets_a_sentence(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tune(cache, tmp_path / "s.db", n_trials=2, heads=["lda"])

    def breaks(*_: Any) -> None:
        raise np.linalg.LinAlgError("singular matrix")

    monkeypatch.setattr(ShrunkenLDA, "fit", breaks)
    with pytest.raises(StudyError, match=r"selected head \(lda\) failed on these patients.*singular matrix"):
        submit(cache, tmp_path / "s.db", tmp_path / "out.csv")
    assert not list(tmp_path.glob("*.csv"))


def test_a_selected_head_that_fails_on_all_patients_gives_way_to_the_next(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = tmp_path / "s.db"
    tune(cache, study, n_trials=6, heads=["lda", "logistic"])
    members = load_study(study).selected.members
    (dropped, *left) = [one.number for one, _ in members]
    refuses = next(one.params for one, _ in members if one.number == dropped)
    build = refit.build_head

    def built(params: Mapping[str, Any]) -> Any:
        if dict(params) == dict(refuses):
            raise np.linalg.LinAlgError("singular matrix")
        return build(params)

    monkeypatch.setattr(refit, "build_head", built)
    heard = Heard()
    found = submit(cache, study, tmp_path / "out.csv", progress=heard)
    assert [one.number for one, _ in found.model.members] == left
    assert {weight for _, weight in found.model.members} == {1 / len(left)}
    passed_over = (
        f"Trial {dropped} is passed over, since its head cannot be fitted: LinAlgError: singular matrix"
    )
    assert passed_over in heard.notes
    with pytest.raises(StudyError, match=r"failed on these patients.*singular matrix"):
        submit(cache, study, tmp_path / "other.csv", trial=dropped)
