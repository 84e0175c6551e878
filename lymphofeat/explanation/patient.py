"""Why the head that a study hands over says what it says of one patient."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..cache.reader import Cache, open_cache
from ..cache.split import Split
from ..errors import InputError
from ..parallel import one_thread
from ..scoring.plan import labels_of
from ..studies.space import build_head
from ..studies.store import open_store
from ..studies.study import check_provenance, provenance_of_cache
from ..studies.summary import TrialSummary, load_study
from .images import Method, image_contributions
from .parts import PatientParts, patient_parts

__all__ = ["Explanation", "explain"]


@dataclass(frozen=True)
class Explanation:
    """One patient under the head that a study hands over.

    Attributes:
        id: the patient's.
        label: 0, 1, or −1 where not known.
        fold: the fold that the head was fitted without; None for a patient without a label.
        trial: the study's selected one.
        n_models: heads that were averaged: one, or one per fold for a test patient under encoders trained per fold.
        n_trained_on: patients behind each, the smallest number.
        probability: of malignant, the mean over the models.
        threshold: malignant at this probability or above.
        parts: the log-odds as base + image + clinical, means over the models.
        method: how the images' contributions were found.
        images: one row per image, towards malignant first: image (file name), contribution (log-odds, mean over the
            models), and attention (NaN without).
    """

    id: str
    label: int
    fold: int | None
    trial: TrialSummary
    n_models: int
    n_trained_on: int
    probability: float
    threshold: float
    parts: PatientParts
    method: Method
    images: pd.DataFrame


def explain(cache_path: Path, study_path: Path, patient: str) -> Explanation:
    """Explain the head that the study hands over on one patient, by a model that did not see the patient.

    A labelled patient is explained by the head fitted without the patient's fold (of the first repeat), under an
    encoding that is blind to it; a test patient by what `submit` predicts with.

    Args:
        cache_path: the cache that the study was made from.
        study_path: the study.
        patient: the ID.

    Raises:
        InputError: no such patient.
        CacheError, StudyError, LeakageError: no usable cache or study, or they do not belong together.
    """
    study, cache = load_study(study_path), open_cache(cache_path)
    with open_store(study_path) as store:
        check_provenance(store, provenance_of_cache(cache, study.encoding, study.repeats))
    row = _row_of(cache, patient)
    labels, trial = labels_of(cache), study.selected.members[0][0]
    fold = int(cache.folds[row, 0]) if labels[row] >= 0 else None
    splits = _splits(cache, study.encoding, row, fold)
    found, probabilities, parts = [], [], []
    with one_thread():
        for split in splits:
            bags, training = split.bags, split.train
            head: Any = build_head(trial.params)
            head.fit(bags.select(training), cache.clinical.iloc[training], labels[training])
            mine = bags.select(np.array([row])), cache.clinical.iloc[[row]]
            found.append(image_contributions(head, *mine)[0])
            probabilities.append(float(head.predict_proba(*mine)[0, 1]))
            parts.append(patient_parts(head, bags, cache.clinical, row, training))
    weights = [one.weights for one in found if one.weights is not None]
    table = pd.DataFrame(
        {
            "image": _names(cache, row),
            "contribution": np.mean([one.values for one in found], axis=0),
            "attention": np.mean(weights, axis=0) if weights else np.nan,
        }
    ).sort_values("contribution", ascending=False, kind="stable", ignore_index=True)
    return Explanation(
        patient, int(cache.labels[row]) if fold is not None else -1, fold, trial, len(splits),
        min(len(split.train) for split in splits), float(np.mean(probabilities)), _threshold(trial, fold),
        _mean(parts), found[0].method, table,
    )  # fmt: skip


def _row_of(cache: Cache, patient: str) -> int:
    ids = cache.patients["id"].astype(str).to_numpy()
    rows = np.flatnonzero(ids == patient)
    if not len(rows):
        some = ", ".join(ids[:3])
        raise InputError(f"{cache.path} holds no patient {patient!r}; IDs are such as {some}.")
    return int(rows[0])


def _splits(cache: Cache, encoder_family: str, row: int, fold: int | None) -> list[Split]:
    """One per model, none of which knows the patient."""
    if fold is None:
        return cache.final_splits(encoder_family, np.array([row]))
    return [cache.split(encoder_family, {fold})]


def _names(cache: Cache, row: int) -> list[str]:
    lengths = cache.patients["n_images"].to_numpy(np.int64)
    first = int(lengths[:row].sum())
    return cache.tables.names[first : first + int(lengths[row])]


def _threshold(trial: TrialSummary, fold: int | None) -> float:
    if fold is None:
        return trial.threshold
    folds = np.unique(trial.folds[:, 0])
    return float(trial.scores.thresholds[0, int(np.searchsorted(folds, fold))])


def _mean(parts: list[PatientParts]) -> PatientParts:
    return PatientParts(*np.mean([(p.logit, p.base, p.image, p.clinical) for p in parts], axis=0).tolist())
