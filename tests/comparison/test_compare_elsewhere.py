"""Pipelines on executors: what is measured does not depend on them, and what ends there costs its pipeline."""

from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lymphofeat.cache import Cache
from lymphofeat.comparison import elsewhere
from lymphofeat.comparison.compare import compare
from lymphofeat.comparison.out_of_fold import OutOfFold
from lymphofeat.comparison.pipelines import Pipeline
from lymphofeat.comparison.result import Comparison
from lymphofeat.errors import InputError, StudyError

from ..helpers.compared import compared_cache

PIPELINES = ["good/average"]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compared_cache(tmp_path_factory.mktemp("compared") / "c.h5", pairs=False)


@pytest.fixture(scope="module")
def alone(path: Path) -> Comparison:
    return compare(path, path.with_name("alone.jsonl"), pipelines=PIPELINES)


class Ends(Executor):
    """Its workers end."""

    def submit(self, *_: Any, **__: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        future.set_exception(TimeoutError("60 s"))
        return future


def check_same(found: Comparison, alone: Comparison) -> None:
    assert [one.pipeline for one in found.measured] == [one.pipeline for one in alone.measured]
    for one, other in zip(found.measured, alone.measured, strict=True):
        assert one.found.probabilities.tobytes() == other.found.probabilities.tobytes(), one.pipeline.name
        assert one.found.thresholds.tobytes() == other.found.thresholds.tobytes()
    without = [column for column in alone.table if "seconds" not in column]
    assert found.table[without].equals(alone.table[without])
    assert found.left_out == alone.left_out


def test_a_comparison_is_the_same_and_kept_pipelines_need_no_worker(
    path: Path, alone: Comparison, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(2) as pool:
        check_same(compare(path, tmp_path / "c.jsonl", pipelines=PIPELINES, executor=pool), alone)
    check_same(compare(path, tmp_path / "c.jsonl", pipelines=PIPELINES, executor=Ends()), alone)


def test_a_pipeline_that_fails_on_a_worker_is_left_out_there_as_here(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = elsewhere.predict

    def breaks(cache: Cache, pipeline: Pipeline) -> OutOfFold:
        if pipeline.name == "clinical":
            raise np.linalg.LinAlgError("singular matrix")
        return plain(cache, pipeline)

    monkeypatch.setattr(elsewhere, "predict", breaks)
    with ThreadPoolExecutor(1) as pool:
        found = compare(path, tmp_path / "c.jsonl", pipelines=PIPELINES, executor=pool)
    assert "good/average" in [one.pipeline.name for one in found.measured]
    assert "clinical" not in [one.pipeline.name for one in found.measured]
    assert "Left out: clinical could not be fitted. LinAlgError: singular matrix" in found.left_out


def test_workers_that_end_and_what_is_no_executor(path: Path, tmp_path: Path) -> None:
    with pytest.raises(
        StudyError, match=r"Two workers ended while they measured majority .* The finished pipelines are kept"
    ):
        compare(path, tmp_path / "c.jsonl", executor=Ends())
    with pytest.raises(InputError, match="has no method submit"):
        compare(path, tmp_path / "c.jsonl", executor=3)  # type: ignore[arg-type]


def test_a_worker_of_another_version(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elsewhere, "versions", lambda names: {"numpy": "1.0"})
    with (
        ThreadPoolExecutor(1) as pool,
        pytest.raises(StudyError, match=r"has numpy 2.*, and this process has numpy 1\.0"),
    ):
        compare(path, tmp_path / "c.jsonl", executor=pool)
