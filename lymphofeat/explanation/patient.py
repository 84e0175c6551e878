"""Why the selected heads of a study predict one patient as they do."""

from ..cache.reader import open_cache
from ..final.selected_model import fit_model
from ..scoring.plan import labels_of
from ..storage.paths import AnyPath
from ..studies.load import load_study
from .group import explained_rows, fits_without, rows_of
from .result import Explanation

__all__ = ["explain"]


def explain(
    cache: AnyPath,
    study: AnyPath,
    patient: str,
    *,
    select: str | None = None,
    trial: int | None = None,
    ensemble: int | None = None,
) -> Explanation:
    """Explain the selected heads of a study on one patient, by models that did not see the patient.

    A labelled patient is explained by the heads fitted without the patient's fold (of the first repeat), under an
    encoding that is blind to it, and under the average of the heads' thresholds of that fold; a test patient by what
    `submit` predicts with.

    Args:
        cache: the cache that the study was made from.
        study: the study's file, or its address as of `tune`.
        patient: the ID.
        select, trial, ensemble: which heads; as of `submit`.

    Raises:
        InputError: no such patient, or heads that cannot be chosen.
        CacheError, StudyError, LeakageError: no usable cache or study, they do not belong together, or a head cannot be
            fitted.

    Example:
        >>> why = explain("cache/features.h5", "studies/study.db", "P3")
        >>> why.label, list(why.images)
        (1, ['image', 'contribution', 'attention'])
    """
    found, opened = load_study(study), open_cache(cache)
    rows = rows_of(opened, [patient])
    fold = int(opened.folds[rows[0], 0]) if labels_of(opened)[rows[0]] >= 0 else None
    fits = fits_without(opened, found.encoding, rows, fold)
    model, members = fit_model(opened, found, fits, rule=select, trial=trial, ensemble=ensemble)
    return explained_rows(opened, model, fits, members, rows, fold)[0]
