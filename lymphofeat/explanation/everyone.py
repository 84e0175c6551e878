"""Every patient of a study explained: the selected heads are fitted once per fold, not once per patient."""

from collections.abc import Iterator, Sequence

import numpy as np

from ..cache.reader import Cache, open_cache
from ..final.selected_model import fit_model
from ..progress import Progress, Silent
from ..scoring.plan import labels_of
from ..storage.paths import AnyPath
from ..studies.load import load_study
from ..studies.summary import StudySummary
from .group import Indices, explained_rows, fits_without, rows_of
from .result import Explanation

__all__ = ["explain_everyone"]


def explain_everyone(
    cache: AnyPath | Cache,
    study: AnyPath | StudySummary,
    ids: Sequence[str] | None = None,
    *,
    select: str | None = None,
    trial: int | None = None,
    ensemble: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Explanation]:
    """As `explain`, of many patients, with the same numbers.

    Args:
        cache: the cache that the study was made from, or its file.
        study: the study, or its file.
        ids: of the patients; None: all of the cache.
        select, trial, ensemble: which heads; as of `submit`.
        progress: told of each patient.

    Yields:
        Fold by fold of the first repeat, then the patients without a label; within a fold in the cache's order.

    Raises:
        InputError, CacheError, StudyError, LeakageError: as `explain`; of an unknown patient before anything is fitted.
    """
    opened = cache if isinstance(cache, Cache) else open_cache(cache)
    found = study if isinstance(study, StudySummary) else load_study(study)
    rows = np.arange(len(opened.ids)) if ids is None else np.unique(rows_of(opened, ids))
    groups = _by_fold(opened, rows)
    progress = progress or Silent()

    def everyone() -> Iterator[Explanation]:
        progress.start("explaining", len(rows), "patients")
        try:
            for fold, some in groups:
                fits = fits_without(opened, found.encoding, some, fold)
                model, members = fit_model(opened, found, fits, rule=select, trial=trial, ensemble=ensemble)
                for one in explained_rows(opened, model, fits, members, some, fold):
                    progress.advance()
                    yield one
        finally:
            progress.stop()

    return everyone()


def _by_fold(cache: Cache, rows: Indices) -> list[tuple[int | None, Indices]]:
    """The rows of each fold, ascending; last those without a label, whose fold is None."""
    labelled = labels_of(cache)[rows] >= 0
    folds = cache.folds[rows, 0]
    found: list[tuple[int | None, Indices]] = [
        (int(fold), rows[labelled & (folds == fold)]) for fold in np.unique(folds[labelled])
    ]
    return found if labelled.all() else [*found, (None, rows[~labelled])]
