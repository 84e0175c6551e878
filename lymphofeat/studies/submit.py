"""From a study's best head to the challenge's table."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..cache.reader import Cache, open_cache
from ..errors import InputError
from ..files import written_beside
from ..heads.base import Memo, Split, fit_predict
from .objective import one_thread
from .plan import labels_of
from .space import build_head
from .store import open_store
from .study import check_made_from, made_from_cache
from .summary import StudySummary, load_study

__all__ = ["SubmissionSummary", "probabilities_path", "submit"]


@dataclass(frozen=True)
class SubmissionSummary:
    """What was written.

    Attributes:
        path: the table of `Id,Predicted`.
        probabilities_path: the table of `Id,Probability`, if asked for.
        study: the study whose best trial predicts, with its out-of-fold scores.
        ids: (n_test,) the test patients, in the test table's order.
        probabilities: (n_test,) float64 of malignant.
        cut: malignant at this probability or above.
        n_models: fitted heads that were averaged: one, or one per fold for encoders trained per fold.
    """

    path: Path
    probabilities_path: Path | None
    study: StudySummary
    ids: tuple[str, ...]
    probabilities: NDArray[np.float64]
    cut: float
    n_models: int

    @property
    def predicted(self) -> NDArray[np.int8]:
        """(n_test,) int8 0 reactive, 1 malignant."""
        return (self.probabilities >= self.cut).astype(np.int8)


def submit(
    cache_path: Path, study_path: Path, out: Path, *, probabilities: bool = False, force: bool = False
) -> SubmissionSummary:
    """Refit a study's best head and predict the test patients.

    Under encoders that saw no labels, one head is fitted on all labelled patients. Under encoders trained per
    fold, each encoder has its own head, fitted on the encoder's training folds as in cross-validation, and
    the probabilities are averaged. The threshold comes from the trial's out-of-fold predictions.

    Args:
        cache_path: the cache that the study was made from.
        study_path: the study.
        out: the CSV to write, `Id,Predicted`, one row per test patient in the test table's order.
        probabilities: also write `Id,Probability` beside it, as `<stem>-probabilities.csv`.
        force: replace files that exist.

    Raises:
        InputError: a file exists (nothing was done), or the cache holds no test patient.
        CacheError, StudyError: no usable cache or study, or they do not belong together.
    """
    beside = probabilities_path(out) if probabilities else None
    targets = [path for path in (out, beside) if path is not None]
    for path in targets:
        if path.exists() and not force:
            raise InputError(f"{path} exists already; give --force to replace it, or another --out.")
    study = load_study(study_path)
    cache = open_cache(cache_path)
    with open_store(study_path) as store:
        check_made_from(store, made_from_cache(cache, study.family, study.repeats))
    test = np.flatnonzero((cache.patients["split"] == "test").to_numpy())
    if not len(test):
        raise InputError(f"{cache.path} holds no test patient, so there is nothing to submit.")
    predicted = _predict(cache, study, test)
    ids = tuple(str(i) for i in cache.patients["id"].iloc[test])
    summary = SubmissionSummary(
        out, beside, study, ids, np.mean(predicted, axis=0), study.best.cut, len(predicted)
    )
    tables: list[tuple[str, Any]] = [("Predicted", summary.predicted), ("Probability", summary.probabilities)]
    with ExitStack() as stack:  # both are whole before either takes its place
        for path, (column, values) in zip(targets, tables, strict=False):
            file = stack.enter_context(written_beside(path, overwrite=force))
            pd.DataFrame({"Id": ids, column: values}).to_csv(file, index=False, lineterminator="\n")
    return summary


def probabilities_path(out: Path) -> Path:
    """Where the probabilities of a submission go."""
    return out.with_name(f"{out.stem}-probabilities.csv")


def _predict(cache: Cache, study: StudySummary, test: NDArray[np.int64]) -> list[NDArray[np.float64]]:
    """Per fitted head, (n_test,) probabilities."""
    labels = labels_of(cache)
    labelled = np.flatnonzero(labels >= 0)
    fold_of = cache.folds[labelled, 0]
    blind = {int(k): cache.blind_encoding(study.family, {int(k)}) for k in np.unique(fold_of)}
    if all(encoding.blind_to is None for encoding in blind.values()):
        fits = [(encoding, labelled) for encoding in {e.digest: e for e in blind.values()}.values()]
    else:
        fits = [(encoding, labelled[fold_of != k]) for k, encoding in blind.items()]
    splits = [Split(cache.bags(encoding.name), encoding.digest, train, test) for encoding, train in fits]
    with one_thread():
        return fit_predict(build_head(study.best.params), splits, cache.patients, labels, Memo())
