"""Could the pipeline find this in labels that mean nothing? The whole nested cross-validation on shuffled labels.

Labels are dealt out anew before everything, folds are made for them, and every search is made again. The score is
that of the first run, of the true labels as of the shuffled ones. p = (1 + number of shuffled scores as good) / (1 +
number of shuffles): test 1 of Ojala & Garriga, JMLR 11, 2010; Phipson & Smyth, Statistical Applications in Genetics
and Molecular Biology 9, 2010.
"""

import shutil
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..cache.reader import open_cache
from ..errors import InputError
from ..estimates import permutation_p
from ..estimates.scores import ClassWeights, score
from ..metric import METRICS
from ..progress import Progress, Silent
from ..storage.journal import open_ledger
from ..studies.space import Space
from ..studies.study import check_arguments, encoding_in
from ..studies.who_scores import workers
from .control_experiments import SHUFFLED
from .engine import LEDGER, Engine
from .pipeline import Pipeline, Run, check_label_free, runs_of
from .result import Nested

__all__ = ["Permutation", "permutation_test", "permute", "shuffled"]


@dataclass(frozen=True)
class Permutation:
    """A permutation test.

    Attributes:
        metric: what was tested, the one that searches maximise.
        value: the nested score of the first run with the labels as they are.
        permuted: (n,) float64, the same with shuffled labels.
        p_value: one-sided: how often shuffled labels score as well.
    """

    metric: str
    value: float
    permuted: NDArray[np.float64]
    p_value: float


def permutation_test(
    cache_path: Path,
    folder: Path,
    *,
    n: int,
    encoding: str | None = None,
    inputs: Sequence[str] = (),
    heads: Sequence[str] = (),
    trials: int = 50,
    seed: int = 0,
    metric: str = "balanced_accuracy",
    class_weights: ClassWeights = None,
    missing_indicators: bool = False,
    jobs: int = 1,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Permutation:
    """Nested cross-validation with the true labels and with `n` shuffles of them.

    Goes on where it was stopped, at the single trial. The searches of a finished shuffle are removed; its predictions
    are kept.

    Args:
        cache_path, folder, encoding, inputs, heads, trials, seed, metric, class_weights, missing_indicators, jobs,
            executor, progress: as of `nested`.
        n: ≥ 1; the p-value is at least 1 / (n + 1).

    Raises:
        InputError, CacheError, LeakageError, StudyError: as `nested`.
    """
    check_arguments(trials, metric, class_weights, seed, "tpe", jobs)
    space = Space.of(heads, inputs, missing_indicators=missing_indicators)
    cache = open_cache(cache_path)
    chosen = encoding_in(cache, encoding)
    pipeline = Pipeline("permutation test", cache_path, chosen, space, trials, metric, class_weights)
    runs, _ = runs_of(cache, chosen, 1, 1, seed)
    _check(n)
    check_label_free(cache, chosen)
    pipeline.check(cache, runs)
    with workers(jobs, executor=executor) as pool, open_ledger(folder / LEDGER) as ledger:
        engine = Engine(cache, folder, pool, ledger, progress or Silent())
        return permute(engine, pipeline, engine.run(pipeline, runs), runs[0], n)


def permute(engine: Engine, pipeline: Pipeline, found: Nested, run: Run, n: int) -> Permutation:
    """The test of a pipeline whose nested score is known.

    Args:
        engine: what it was scored with.
        pipeline: on encodings that saw no labels.
        found: its nested predictions; those of run 0 count.
        run: that run.
        n: shuffles, ≥ 1.

    Raises:
        InputError, CacheError, StudyError: as `nested`.
    """
    _check(n)
    check_label_free(engine.cache, pipeline.encoder_family)
    scores = []
    for shuffle in range(n):
        permuted = shuffled(pipeline, shuffle, n)
        scores.append(_score(engine.run(permuted, [run]), pipeline.class_weights))
        shutil.rmtree(permuted.folder(engine.folder), ignore_errors=True)  # what it found is in the ledger
    value = _score(found, pipeline.class_weights)
    sign = METRICS[pipeline.metric].sign
    values = np.array(scores)
    return Permutation(pipeline.metric, value, values, permutation_p(sign * value, sign * values))


def shuffled(pipeline: Pipeline, shuffle: int, n: int) -> Pipeline:
    """The pipeline on one of `n` shuffles of the labels."""
    return replace(pipeline, name=f"{SHUFFLED} {shuffle + 1} of {n}", shuffle=shuffle)


def _score(nested: Nested, class_weights: ClassWeights) -> float:
    """The score of the first run."""
    of_run = METRICS[nested.metric].judged(nested.probabilities, nested.decisions)
    return score(nested.metric, nested.y, of_run[:, 0], class_weights)


def _check(n: int) -> None:
    if n < 1:
        raise InputError(f"A permutation test needs at least 1 shuffle of the labels, not {n}.")
