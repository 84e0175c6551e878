"""Answers of the checklists on patients, images and clinical values."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..cache.roles import is_adapted
from ..cohort.ages import ages_words
from ..cohort.exclusions import exclusions_summary
from ..cohort.problems import listing
from ..encoder.morphology.quality import counts_of
from ..encoder.preparation import preparation_text
from ..estimates.persons import n_persons, repeating
from ..report.cache import quality_text
from ..wording import interval_text, listed, number, sample_text
from .known import Answer, Known, many

__all__ = ["ANSWERS"]

_CLASSES = ("reactive", "malignant")
_HALVED = {"patients_to_halve_balanced_accuracy": "balanced accuracy", "patients_to_halve_auc": "AUC"}


def _sample(known: Known, kind: str = "labelled") -> str:
    persons = n_persons(repeating(known.cache.groups[known.cache.labelled]))
    return sample_text(len(known.labels), int(known.labels.sum()), persons, kind)


def _data(known: Known) -> str:
    images = known.cache.tables.n_images
    others = (
        f" {many(known.n_test, 'patient')} of a test part took no part in either."
        if known.n_test
        else " There is no separate test part."
    )
    return (
        f"{_sample(known)}; {images:,} images of all patients. The same labelled patients serve development and "
        f"evaluation, by cross-validation.{others}"
    )


def _exclusions(known: Known) -> str:
    if not known.exclusions:
        return "The cohort names no patient and no image that was left out."
    return f"Left out before anything was computed: {exclusions_summary(known.exclusions, labels=True)}."


def _preparation(known: Known) -> str:
    parts = []
    for one in known.encodings:
        recorded, said = one.attrs.get("preprocessing"), []
        if isinstance(recorded, Mapping) and "crop" in recorded:
            said.append(preparation_text(recorded))
        if one.quality is not None:
            said.append(quality_text(counts_of(one.quality)))
        parts += [f"{one.name}: {'; '.join(said)}"] * bool(said)
    prepared = (
        f"Images, for each encoding: {'; '.join(parts)}." if parts else "The preparation is not recorded."
    )
    return f"{prepared} All patients' images went through the same steps. {_exclusions(known)}"


def _outcome(known: Known) -> str:
    n, malignant = len(known.labels), int(known.labels.sum())
    return f"One label for each patient: {malignant} malignant, {n - malignant} reactive."


def _predictors(known: Known) -> str:
    values = [
        f"age in years ({ages_words(known.cache.tables.reference)})",
        "sex",
        "lymphocyte count in 10⁹/l",
    ]
    values += list(known.cache.tables.declared)
    seen = [
        f"{one.name} ({many(one.dim, 'feature')} of an image"
        + (", each with a name and a definition" if one.names is not None else "")
        + (", adapted to the images without labels" if is_adapted(one) else "")
        + f"; {str(one.attrs.get('weights', 'weights not recorded')).removeprefix('none: ')})"
        for one in known.encodings
    ]
    return f"Clinical values: {listing(values, 20)}. Image features: {'; '.join(seen)}."


def _readers(known: Known) -> str:
    return (
        f"Nobody judged an image: the features of {listed([one.name for one in known.encodings])} are computed. Age "
        "and lymphocyte count are numbers."
    )


def _sample_size(known: Known) -> str:
    text = f"{_sample(known)}."
    if known.sources.evaluation is None:
        return f"{text} How precise the scores are is known after `lymphofeat evaluate`."
    scores = known.scores()
    shown = [
        f"{label} {interval_text(scores[name])}"
        for name, label in (("balanced_accuracy", "balanced accuracy"), ("auc", "AUC"))
        if name in scores
    ]
    halved = [
        f"{number(row['value'], 0)} {known.noun}s would halve the interval of the {_HALVED[row['what']]}"
        for row in known.rows("stability")
        if row["what"] in _HALVED and np.isfinite(row["value"])
    ]
    more = f" {'; '.join(halved)}." if halved else ""
    reached = f" Precision reached: {', '.join(shown)}." if shown else ""
    return f"{text}{reached}{more}"


def _missing(known: Known) -> str:
    n = len(known.labels)
    absent = ", ".join(f"{name} {count} ({100 * count / n:.0f} %)" for name, count in known.missing().items())
    used = known.study.provenance.get("missing_indicators") != "--no-missing-indicators"
    without = int((known.cache.tables.patients["split"] == "train").sum()) - n
    unlabelled = f" {many(without, known.noun)} without a diagnosis took no part." if without else ""
    return (
        f"Missing of {n}: {absent}. A missing number is replaced by the median of the training patients of the fold, "
        "a missing category by their commonest; that a value is missing is "
        f"{'a predictor as well' if used else 'not used'}.{unlabelled} {_exclusions(known)}"
    )


def _flow(known: Known) -> str:
    n, malignant = len(known.labels), int(known.labels.sum())
    whole = [one for one in known.exclusions if not one.image]
    single = len(known.exclusions) - len(whole)
    everybody = len(known.cache.tables.patients)
    without = everybody - n - known.n_test
    out = (
        f"{many(len(whole), known.noun)} and {many(single, 'single image')} left out, each with a reason; "
        if known.exclusions
        else "none left out; "
    )
    return (
        f"{many(everybody + len(whole), known.noun)} in the cohort; {out}{everybody} with "
        f"{known.cache.tables.n_images:,} images remain: {n} labelled ({malignant} malignant, {n - malignant} "
        f"reactive), {known.n_test} of the test part, {without} without a diagnosis."
    )


def _characteristics(known: Known) -> str:
    table = known.patients
    parts = []
    for label, word in reversed(list(enumerate(_CLASSES))):
        rows = table[table["label"] == label]
        women = int((rows["sex"] == "F").sum())
        parts.append(
            f"{word} ({len(rows)}): age {_quartiles(rows['age'], 0)} years, {women} women, lymphocyte count "
            f"{_quartiles(rows['lymphocyte_count'], 1)} × 10⁹/l, {_quartiles(rows['n_images'], 0)} images"
        )
    absent = ", ".join(f"{name} {count}" for name, count in known.missing().items())
    return f"Median (quartiles): {'; '.join(parts)}. Missing: {absent}."


def _quartiles(column: "pd.Series[Any]", digits: int) -> str:
    values = column.to_numpy(np.float64)
    finite = values[np.isfinite(values)]
    if not len(finite):
        return "not known"
    low, middle, high = np.quantile(finite, [0.25, 0.5, 0.75])
    return f"{number(middle, digits)} ({number(low, digits)}–{number(high, digits)})"


def _prevalence(known: Known) -> str:
    n, malignant = len(known.labels), int(known.labels.sum())
    share = f" ({100 * malignant / n:.0f} %)" if n else ""
    return f"{malignant} of {n} labelled {known.noun}s{share} are malignant."


def _differences(known: Known) -> str:
    sizes = known.fold_sizes
    shares = [100 * malignant / n for n, malignant in sizes if n]
    return (
        "None in setting, criteria, outcome and predictors: every labelled patient is in both, in different folds. The "
        f"folds are stratified by diagnosis; their shares of malignant patients go from {min(shares):.0f} to "
        f"{max(shares):.0f} %."
    )


ANSWERS = {
    "data": Answer(_data),
    "exclusions": Answer(_exclusions),
    "preparation": Answer(_preparation),
    "outcome": Answer(_outcome),
    "predictors": Answer(_predictors),
    "readers": Answer(_readers),
    "sample_size": Answer(_sample_size),
    "missing": Answer(_missing, ("tune",)),
    "flow": Answer(_flow),
    "characteristics": Answer(_characteristics),
    "prevalence": Answer(_prevalence),
    "differences": Answer(_differences, ("evaluate",)),
}
