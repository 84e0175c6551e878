"""Why the selected heads of a study predict one patient as they do.

Of several heads whose probabilities are averaged, the log-odds, their parts and the images' contributions are the means
of the heads' own, weighted as the probabilities are: sums stay sums, so that the parts still add up. The log-odds of
the mean probability are another number, which differs the more, the more the heads disagree.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..cache.reader import Cache, open_cache
from ..cohort.values import column_of
from ..errors import InputError
from ..final.refit import FinalFit, Member, predict_final
from ..final.selected_model import FinalModel, fit_model
from ..parallel import one_thread
from ..scoring.plan import labels_of
from ..storage.paths import AnyPath
from ..studies.summary import TrialSummary, load_study
from .images import ImageContributions, Method, image_contributions
from .measurements import measurement_contributions, measurement_table
from .parts import PatientParts, patient_parts
from .values import seen_columns, value_contributions, value_table

__all__ = ["Explanation", "explain"]


@dataclass(frozen=True)
class Explanation:
    """One patient under the selected heads of a study.

    Attributes:
        id: the patient's.
        label: 0, 1, or −1 where not known.
        fold: the fold that the heads were fitted without; None for a patient without a label.
        members: (trial, weight) of each head; the weights add up to 1.
        reason: one sentence: which heads, and by which rule.
        n_models: fits of each head that were averaged: one, or one per fold for a test patient under encoders trained
            per fold.
        n_trained_on: patients behind each fit, the smallest number.
        probability: of malignant, the weighted mean of the heads'.
        threshold: malignant at this probability or above.
        parts: log-odds as base + image + clinical, weighted means of the heads'; `parts.logit` is the mean of their
            log-odds, not the log-odds of `probability`.
        methods: how the images' contributions were found: method → fitted heads.
        n_attending: fitted heads that have a weight of attention for each image.
        images: one row per image, towards malignant first: image (file name), contribution (log-odds, weighted mean of
            the heads'; heads that see no image add 0, NaN where a head can say nothing of an only image), and attention
            (weighted mean over the heads that have it; NaN without).
        measurements: where the features have names, what the patient's cells measure, the columns of
            `measurements.measurement_table`, contributions as weighted means of the heads'; else None.
        values: the patient's clinical values, the columns of `values.value_table`, contributions as weighted means of
            the heads'; None where no head looks at any.
    """

    id: str
    label: int
    fold: int | None
    members: tuple[tuple[TrialSummary, float], ...]
    reason: str
    n_models: int
    n_trained_on: int
    probability: float
    threshold: float
    parts: PatientParts
    methods: Mapping[Method, int]
    n_attending: int
    images: pd.DataFrame
    measurements: pd.DataFrame | None = None
    values: pd.DataFrame | None = None

    def __repr__(self) -> str:
        return (
            f"<Explanation of {self.id}: probability {self.probability:.3f} of malignant (threshold "
            f"{self.threshold:.3f}), {len(self.images)} images, {len(self.members)} heads>"
        )


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
        study: the study's file.
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
    row = _row_of(opened, patient)
    fold = int(opened.folds[row, 0]) if labels_of(opened)[row] >= 0 else None
    fits = _fits(opened, found.encoding, row, fold)
    model, members = fit_model(opened, found, fits, rule=select, trial=trial, ensemble=ensemble)
    return _explained(opened, model, fits, members, patient, fold)


def _explained(
    cache: Cache,
    model: FinalModel,
    fits: list[FinalFit],
    members: list[Member],
    patient: str,
    fold: int | None,
) -> Explanation:
    row = _row_of(cache, patient)
    probability = float(predict_final(cache, fits, members, np.array([row]))[0])
    with one_thread():
        parts = _parts(cache, fits, members, row)
        found = _contributions(cache, fits, members, row)
        measured = _measurements(cache, fits, members, row)
        values = _values(cache, model, fits, members, row)
    return Explanation(
        patient, int(cache.labels[row]) if fold is not None else -1, fold, model.members, model.reason, len(fits),
        min(len(fit.train) for fit in fits), probability, _threshold(model, fold), parts,
        Counter(one.method for one, _ in found), sum(one.weights is not None for one, _ in found),
        _table(_names(cache, row), found), measured, values,
    )  # fmt: skip


def _row_of(cache: Cache, patient: str) -> int:
    ids = cache.patients["id"].astype(str).to_numpy()
    rows = np.flatnonzero(ids == patient)
    if not len(rows):
        some = ", ".join(ids[:3])
        raise InputError(f"{cache.path} holds no patient {patient!r}; IDs are such as {some}.")
    return int(rows[0])


def _fits(cache: Cache, encoder_family: str, row: int, fold: int | None) -> list[FinalFit]:
    """What the heads are fitted on; none of it knows the patient."""
    splits = (
        cache.final_splits(encoder_family, np.array([row]))
        if fold is None
        else [cache.split(encoder_family, {fold})]
    )
    return [FinalFit(cache.behind(split), split) for split in splits]


def _parts(cache: Cache, fits: list[FinalFit], members: list[Member], row: int) -> PatientParts:
    total = np.zeros(4)
    for member in members:
        for fit, head in zip(fits, member.heads, strict=True):
            one = patient_parts(head, fit.split.bags, cache.clinical, row, fit.train)
            total += member.weight / len(fits) * np.array([one.logit, one.base, one.image, one.clinical])
    return PatientParts(*total.tolist())


def _contributions(
    cache: Cache, fits: list[FinalFit], members: list[Member], row: int
) -> list[tuple[ImageContributions, float]]:
    """Of each fitted head, and its share of the whole."""
    rows = np.array([row])
    return [
        (
            image_contributions(head, fit.split.bags.select(rows), cache.clinical.iloc[rows])[0],
            member.weight / len(fits),
        )
        for member in members
        for fit, head in zip(fits, member.heads, strict=True)
    ]


def _measurements(cache: Cache, fits: list[FinalFit], members: list[Member], row: int) -> pd.DataFrame | None:
    """See `Explanation.measurements`."""
    total: Counter[str] = Counter()
    for member in members:
        for fit, head in zip(fits, member.heads, strict=True):
            one = measurement_contributions(head, fit.split, fit.encodings, cache.clinical, row, fit.train)
            for name, value in one.items():
                total[name] += member.weight / len(fits) * value  # type: ignore[assignment]
    if not total:
        return None
    train = np.unique(np.concatenate([fit.train for fit in fits]))
    return measurement_table(total, fits[0].split.bags, fits[0].encodings, row, train, cache.labels)


def _values(
    cache: Cache, model: FinalModel, fits: list[FinalFit], members: list[Member], row: int
) -> pd.DataFrame | None:
    """See `Explanation.values`."""
    seen = {column_of(value)[0] for trial, _ in model.members for value in trial.clinical_values}
    columns = seen_columns(cache.tables.declared, tuple(seen))
    total: Counter[str] = Counter()
    for member in members:
        for fit, head in zip(fits, member.heads, strict=True):
            one = value_contributions(head, fit.split.bags, cache.clinical, row, fit.train, columns)
            for name, value in one.items():
                total[name] += member.weight / len(fits) * value  # type: ignore[assignment]
    if not total:
        return None
    train = np.unique(np.concatenate([fit.train for fit in fits]))
    return value_table(total, cache.clinical, cache.tables.declared, row, train, cache.labels)


def _table(names: list[str], found: list[tuple[ImageContributions, float]]) -> pd.DataFrame:
    """The images, see `Explanation.images`."""
    attention = [(one.weights, share) for one, share in found if one.weights is not None]
    attended = sum(share for _, share in attention)
    table = {
        "image": names,
        "contribution": np.sum([share * one.values for one, share in found], axis=0),
        "attention": np.sum([share / attended * weights for weights, share in attention], axis=0)
        if attention
        else np.nan,
    }
    return pd.DataFrame(table).sort_values("contribution", ascending=False, kind="stable", ignore_index=True)


def _names(cache: Cache, row: int) -> list[str]:
    lengths = cache.patients["n_images"].to_numpy(np.int64)
    first = int(lengths[:row].sum())
    return list(cache.tables.names[first : first + int(lengths[row])])


def _threshold(model: FinalModel, fold: int | None) -> float:
    """For a labelled patient that of the fold's heads, as out-of-fold decisions take it; else that of a submission."""
    if fold is None:
        return model.threshold
    folds = np.unique(model.study.best.folds[:, 0])
    return float(model.chosen.fold_thresholds[0, int(np.searchsorted(folds, fold))])
