"""Heads that cannot be fitted inside an outer fold, or on it, do not end nested cross-validation."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lymphofeat.nested import nested, outer_fold

from ..helpers.brittle import brittle_heads
from ..helpers.caches import frozen_cache
from ..helpers.progress import Heard


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return frozen_cache(tmp_path_factory.mktemp("cache") / "c.h5", n_folds=3)


@pytest.fixture
def brittle(tmp_path: Path) -> Iterator[None]:
    """Heads that fail in six ways, in this process."""
    with brittle_heads(tmp_path / "heads"):
        yield


@pytest.mark.usefixtures("brittle")
def test_a_nested_search_goes_on_and_says_how_many_failed(cache: Path, tmp_path: Path) -> None:
    heard = Heard()
    found = nested(cache, tmp_path, heads=("brittle", "lda"), trials=7, progress=heard)
    assert np.isfinite(found.probabilities).all()
    taken = [params for fold in found.folds_of_runs for params, _ in fold.members]
    assert all(params.get("brittle.way", "none") == "none" for params in taken)
    searches = len(found.folds_of_runs)
    assert f"image + clinical: {5 * searches} of {7 * searches} trials failed:" in heard.notes


def test_a_selected_head_that_cannot_be_fitted_on_the_outer_fold_gives_way_to_the_next(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits, turns = outer_fold.fit_predict, []

    def fails_first(*arguments: Any) -> Any:
        turns.append(1)
        if len(turns) == 1:
            raise np.linalg.LinAlgError("singular matrix")
        return fits(*arguments)

    expected = nested(cache, tmp_path / "whole", heads=["logistic"], trials=4)
    monkeypatch.setattr(outer_fold, "fit_predict", fails_first)
    found = nested(cache, tmp_path / "broken", heads=["logistic"], trials=4)
    (_, *left), _ = zip(*expected.folds_of_runs[0].members, strict=True)
    assert left
    assert found.folds_of_runs[0].members == tuple((params, 1 / len(left)) for params in left)
    assert len(turns) == sum(len(fold.members) for fold in expected.folds_of_runs)  # none was fitted twice
    for one, other in zip(found.folds_of_runs[1:], expected.folds_of_runs[1:], strict=True):
        np.testing.assert_array_equal(one.probabilities, other.probabilities)
