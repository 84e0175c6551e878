"""An outer fold: what its search selected, fitted again on all other patients; kept in the ledger, and read from it."""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cache.reader import Cache
from ..errors import StudyError
from ..heads.base import FitCache, Split, fit_predict
from ..parallel import one_thread
from ..scoring.failures import raise_if_all
from ..scoring.plan import labels_of
from ..storage.addresses import StudyPlace
from ..storage.journal import Ledger
from ..storage.json_arrays import pack, unpack
from ..studies.average import Average
from ..studies.load import load_selected, load_study
from ..studies.space import build_head
from ..studies.summary import StudySummary
from .pipeline import Pipeline, Run
from .result import NestedFold

__all__ = ["damaged", "read_fold", "refitted"]


def refitted(
    view: Cache, pipeline: Pipeline, run: Run, fold: int, study: StudyPlace, fit_cache: FitCache
) -> dict[str, Any]:
    """What the ledger keeps of an outer fold: what `submit` would take, fitted on all other patients, on the fold's.

    A head that cannot be fitted on them, although it could on fewer, counts as failed: the rule takes another one.

    Raises:
        StudyError: none can.
    """
    start = time.perf_counter()
    summary = load_study(study, pipeline.trials)
    labels = labels_of(view)
    labelled = np.flatnonzero(labels >= 0)
    split = view.split(pipeline.encoder_family, {fold}, repeat=run.repeat)
    labels[split.test] = -1
    chosen, probabilities = _selected_that_fits(summary, pipeline.trials, split, view, labels, fit_cache)
    inner = np.full(len(labelled), np.nan)
    inner[np.isin(labelled, split.train)] = chosen.probabilities[:, 0]
    return {
        "probabilities": pack(probabilities),
        "cut": chosen.threshold,
        "inner": pack(inner),
        "members": [[trial.params, weight] for trial, weight in chosen.members],
        "tuned": chosen.scores,
        "n_trials": summary.n_trials,
        "seconds": summary.seconds + time.perf_counter() - start,
    }


def _selected_that_fits(
    summary: StudySummary,
    trials: int,
    split: Split,
    view: Cache,
    labels: NDArray[np.int8],
    fit_cache: FitCache,
) -> tuple[Average, NDArray[np.float64]]:
    """The selected model, and its (n_test,) probabilities."""
    failed: set[int] = set()
    predicted: dict[int, NDArray[np.float64]] = {}  # by heads of averages of which another one failed
    while len(failed) < summary.n_complete:
        chosen = load_selected(summary.path, n_trials=trials, without=failed) if failed else summary.selected
        for trial, _ in chosen.members:
            if trial.number in predicted:
                continue
            try:
                with one_thread():
                    (p,) = fit_predict(build_head(trial.params), [split], view.clinical, labels, fit_cache)
            except Exception as error:  # noqa: BLE001 - whatever a head fails with, the next one may not
                raise_if_all(error)
                failed.add(trial.number)
            else:
                predicted[trial.number] = p
        if failed.isdisjoint(trial.number for trial, _ in chosen.members):
            return chosen, np.asarray(
                sum(weight * predicted[trial.number] for trial, weight in chosen.members)
            )
    raise StudyError(
        f"None of the heads of {summary.path} can be fitted on all patients outside the outer fold."
    )


def read_fold(ledger: Ledger, key: str, view: Cache, run: Run, fold: int) -> NestedFold:
    """An outer fold from what the ledger keeps of it.

    Raises:
        StudyError: that is damaged.
    """
    entry = ledger.get(key) or {}
    labelled = labels_of(view) >= 0
    try:
        return NestedFold(
            run=run.number,
            repeat=run.repeat,
            seed=run.seed,
            fold=fold,
            rows=np.flatnonzero(view.folds[labelled, run.repeat] == fold),
            probabilities=unpack(entry["probabilities"]),
            threshold=float(entry["cut"]),
            inner=unpack(entry["inner"]),
            members=tuple((dict(params), float(weight)) for params, weight in entry["members"]),
            tuned=dict(entry["tuned"]),
            n_trials=int(entry["n_trials"]),
            seconds=float(entry["seconds"]),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise damaged(ledger, f"of fold {fold}", error) from error


def damaged(ledger: Ledger, what: str, error: Exception) -> StudyError:
    """The error of an entry of the ledger that cannot be read."""
    return StudyError(
        f"{ledger.path} holds a damaged entry {what} ({error!r}); move the file away, and the same command makes it "
        "again from the searches, which are kept."
    )
