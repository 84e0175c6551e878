"""The model card of a bundle: purpose, training patients, scores with intervals, and limits.

After Mitchell et al., *Model cards for model reporting*, FAT* 2019. Numbers of many patients together, nobody's own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import __version__
from ..cohort.ages import ages_words
from ..cohort.exclusions import Exclusion, exclusions_summary
from ..cohort.pixel_size import pixel_size_text
from ..cohort.problems import listing
from ..encoder.preparation import preparation_text
from ..estimates.persons import Groups, n_persons
from ..estimates.scores import ClassWeights, Interval, bootstrap
from ..estimates.subgroups import FEWEST, describe_subgroups
from ..final.selected_model import FinalModel
from ..metric import METRICS
from ..studies.describe import describe_head
from ..wording import by_whom, interval_text, metric_label, sample_text
from .classes import Keeps, most_of
from .encoders import ELSEWHERE
from .evaluation import Reported
from .out_of_distribution import TrainingRanges

__all__ = ["Evidence", "model_card"]

_OLD = 65.0  # years


@dataclass(frozen=True)
class Evidence:
    """Predictions of labelled patients by models that did not see them.

    Attributes:
        y: (n,) labels.
        probabilities, decisions: (n, runs).
        patients: (n,) rows of the cache's table.
        nested: the name of the nested cross-validation they come from; None: selected out-of-fold predictions.
        caveat: what has to be said with them.
        reported: scores of a nested evaluation, if its report was given.
        groups: (n,) int64, equal where two records may be of one person; None where no two are.
    """

    y: NDArray[np.int8]
    probabilities: NDArray[np.float64]
    decisions: NDArray[np.bool_]
    patients: pd.DataFrame
    nested: str | None
    caveat: str
    reported: Reported | None = None
    groups: Groups = None

    def scores(self, class_weights: ClassWeights) -> dict[str, Interval]:
        """Per metric, averaged over the runs, with the bootstrap interval by patient."""
        return {
            metric: bootstrap(
                metric,
                self.y,
                self.probabilities,
                decision=self.decisions,
                class_weights=class_weights,
                groups=self.groups,
            ).interval()
            for metric in METRICS
        }


def model_card(
    model: FinalModel,
    evidence: Evidence,
    about: Mapping[str, Any],
    table: TrainingRanges,
    kept: Mapping[str, Keeps],
    *,
    microns_per_pixel: float | None = None,
    exclusions: Sequence[Exclusion] = (),
) -> str:
    """The card as Markdown.

    Args:
        model: what was exported.
        evidence: what its scores rest on.
        about: `model.json`.
        table: ranges of the training patients.
        kept: what each class in the bundle keeps of the training patients.
        microns_per_pixel: of their images, where it is known.
        exclusions: patients and images that were left out of the cohort, by reasons without IDs.
    """
    parts = [
        "# Model card: reactive or malignant lymphocytosis",
        _purpose(about, table),
        "## Model",
        _heads(model, about),
        "## Training patients",
        _training(about, table, evidence, microns_per_pixel),
        *(
            [f"Excluded before training: {exclusions_summary(exclusions, labels=True)}."]
            if exclusions
            else []
        ),
        "## Scores",
        _scores(model, evidence),
        "## Subgroups",
        _subgroups(evidence),
        "## Decisions",
        _decision(about, evidence),
        "## Limits",
        _limits(about, table, evidence),
        "## Patient data in the bundle",
        _inside(kept, reasons=bool(exclusions)),
        "## Versions",
        ", ".join([f"lymphofeat {__version__}", *(f"{name} {v}" for name, v in about["versions"].items())])
        + ".",
    ]
    return "\n\n".join(parts) + "\n"


def _purpose(about: Mapping[str, Any], table: TrainingRanges) -> str:
    elsewhere = [record["backbone"] for record in about["encoders"] if record["kind"] == ELSEWHERE]
    seen = "photographed lymphocytes of a blood smear" if about["encoders"] else ""
    seen = f"features that another toolkit computed (encoder: {', '.join(elsewhere)})" if elsewhere else seen
    values = (
        listing(["age", "sex", "lymphocyte count", *table.declared], 20) if about["sees_clinical"] else ""
    )
    return (
        f"Predicts the probability that the lymphocytosis of one patient is malignant, from "
        f"{' and '.join(part for part in (seen, values) if part)}. For research on patients like those below, "
        "photographed and counted in the same way. It is not a medical device, and no diagnosis should rest on it."
    )


def _heads(model: FinalModel, about: Mapping[str, Any]) -> str:
    lines = [f"- {weight:.2f} × {describe_head(trial)}" for trial, weight in model.members]
    fits = about["n_fits"]
    often = (
        "fitted once on all training patients"
        if fits == 1
        else f"fitted {fits} times, each without one fold; averaged"
    )
    lines.append(f"- each {often}")
    alike = not about.get("seen")  # one encoder per fit
    for record in about["encoders"][:1] if alike else about["encoders"]:
        several = f", {len(about['encoders'])} of them" if alike and len(about["encoders"]) > 1 else ""
        lines.append(f"- encoder: {record['backbone']} ({record['origin']}), {_preparation(record)}{several}")
    if not about["encoders"]:
        lines.append("- no images are used")
    return "\n".join(lines)


def _preparation(record: Mapping[str, Any]) -> str:
    if record["kind"] == ELSEWHERE:
        return "which new patients' features have to come from as well"
    known = record if record["kind"] == "network" else {**record, "mean": None}  # others are not normalised
    return preparation_text(known)


def _training(
    about: Mapping[str, Any], table: TrainingRanges, evidence: Evidence, microns_per_pixel: float | None
) -> str:
    low, q05, half, q95, high = table.images
    reference = (
        ""
        if about["reference_date_verified"]
        else " (not verified: dates of birth and ages of the cohort do not determine it)"
    )
    size = "" if microns_per_pixel is None else f", {pixel_size_text(microns_per_pixel)}"
    return (
        f"{sample_text(table.n, None, n_persons(evidence.groups), 'labelled')}, {table.n_malignant} of "
        f"{'them' if evidence.groups is None else 'the records'} malignant; {low} to {high} images each "
        f"(median {half}, 90 % between {q05} and {q95}{size}); {table.age[0]:g} to {table.age[1]:g} years of age, "
        f"{ages_words(about['reference_date'])}{reference}; "
        f"lymphocyte counts of {table.count[0]:g} to {table.count[1]:g} × 10⁹/l"
        + "".join(f"; {name}: {known.text}" for name, known in table.declared.items() if known.text)
        + "."
    )


def _scores(model: FinalModel, evidence: Evidence) -> str:
    n, malignant, persons = len(evidence.y), int(evidence.y.sum()), n_persons(evidence.groups)
    if evidence.reported is not None:
        return evidence.reported.markdown()
    scores = evidence.scores(model.study.best.class_weights)
    lines = ["| score | value [95 % interval] |", "|---|---|"]
    lines += [
        f"| {metric_label(metric)} | {interval_text(interval)} |" for metric, interval in scores.items()
    ]
    source = (
        "Nested cross-validation: the whole search was repeated without the patients that it is scored on."
        if evidence.nested is not None
        else f"**Selected, therefore optimistic:** {evidence.caveat}"
    )
    return (
        "\n".join(lines)
        + f"\n\nOn {sample_text(n, malignant, persons)}, each predicted by a model that did not see them; bootstrap "
        f"{by_whom(persons)}. {source}"
    )


def _subgroups(evidence: Evidence) -> str:
    groups = describe_subgroups(
        evidence.y,
        evidence.probabilities.mean(axis=1),
        evidence.decisions.mean(axis=1) >= 0.5,
        _masks(evidence.patients),
        names=("balanced_accuracy", "auc"),
        groups=evidence.groups,
    )
    lines = ["| patients | n | malignant | balanced accuracy | AUC |", "|---|---|---|---|---|"]
    for group in groups:
        shown = [interval_text(interval, 2) for _, interval in group.scores] or ["too few", "too few"]
        lines.append(f"| {group.name} | {group.n} | {group.n_malignant} | {' | '.join(shown)} |")
    return (
        "\n".join(lines)
        + f"\n\n{evidence.caveat}".rstrip()
        + f"\n\nFewer than {FEWEST} patients of a class are too few to score. With so many intervals, some "
        "miss by chance."
    )


def _masks(patients: pd.DataFrame) -> dict[str, NDArray[np.bool_]]:
    age, count = (patients[name].to_numpy(np.float64) for name in ("age", "lymphocyte_count"))
    sex, size = patients["sex"].to_numpy(), patients["n_images"].to_numpy()
    middle, half = float(np.nanmedian(count)) if np.isfinite(count).any() else 0.0, float(np.median(size))
    masks = {
        "women": sex == "F",
        "men": sex == "M",
        f"under {_OLD:g} years": age < _OLD,
        f"{_OLD:g} years and older": age >= _OLD,
        "count in the lower half": count <= middle,
        "count in the upper half": count > middle,
        "fewer images": size <= half,
        "more images": size > half,
    }
    return {name: np.asarray(mask, dtype=bool) for name, mask in masks.items()}


def _decision(about: Mapping[str, Any], evidence: Evidence) -> str:
    text = f"Malignant at a probability of {about['cut']:.3f} or above, the threshold that `submit` uses."
    rests = "nested predictions" if evidence.nested is not None else "the selected out-of-fold predictions"
    if about["conformal"] is not None:
        text += (
            f" Here a patient is decided only if the prediction set at a target error of {about['conformal']:.0%} "
            f"holds one class, and referred if it holds both. The sets rest on {rests} (split conformal prediction); "
            "the target error holds on average, for patients like the training patients."
        )
        text += (
            "" if evidence.nested is not None else " Since these were selected, the true error may be higher."
        )
    if about["calibrator"] is not None:
        text += f" The calibrated probability ({about['calibrator']}) rests on {rests} as well."
    return text


def _limits(about: Mapping[str, Any], table: TrainingRanges, evidence: Evidence) -> str:
    lines = [
        f"- {sample_text(table.n, None, n_persons(evidence.groups))}: differences of a few hundredths are noise.",
        "- Other laboratories, stains, cameras and crops were not tested. `predict` warns of patients whose images are "
        "farther from the training patients than 19 of 20 of these are from the others. No warning is no proof.",
        "- The lymphocyte count alone separates many patients; those near the border are hard.",
        "- Missing clinical values are replaced by the training median, or by the commonest category, with a warning."
        + (" A patient without any of them is referred." if about["needs_values"] else ""),
    ]
    if about["sees_clinical"] and not about["needs_values"]:
        lines.append(
            "- Heads were told which clinical values are missing: one that is missing for another reason than "
            "in training may decide."
        )
    if about["conformal"] is None:
        lines.append(
            "- Every patient with a clinical value is decided."
            if about["needs_values"]
            else "- Every patient is decided; nobody is referred."
        )
    if evidence.nested is None and evidence.reported is None:
        lines.append("- All scores here are optimistic: the heads were selected on the same patients.")
    return "\n".join(lines)


def _inside(kept: Mapping[str, Keeps], *, reasons: bool) -> str:
    text = (
        "No ID, no date of birth, no image, no file name. Weights, means and directions were computed from the "
        "training patients together. Ranges, medians, knots, thresholds of trees and steps of a calibration may each "
        "be the value of one patient."
    )
    if reasons:
        text += (
            " Reasons of exclusions are quoted as written, without the IDs and names of image files in them."
        )
    if most_of(kept.values()) == "rows":
        names = ", ".join(sorted(name.rpartition(".")[2] for name, keeps in kept.items() if keeps == "rows"))
        text += (
            f" **Kernel heads ({names}) keep rows of the training table: pooled features and clinical values of single "
            "patients, including the age to the day where clinical values are used. Treat the bundle like the "
            "patients' data.**"
        )
    return text
