"""The model card of a bundle: purpose, training patients, scores with intervals, and limits.

After Mitchell et al., *Model cards for model reporting*, FAT* 2019. Numbers of many patients together, nobody's own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .. import __version__
from ..cohort.ages import ages_words
from ..cohort.exclusions import Exclusion, exclusions_summary
from ..cohort.pixel_size import pixel_size_text
from ..cohort.problems import listing
from ..encoder.preparation import preparation_text
from ..estimates.persons import n_persons
from ..estimates.scores import Interval
from ..estimates.subgroups import FEWEST
from ..final.selected_model import FinalModel
from ..studies.describe import describe_head
from ..wording import by_whom, interval_text, metric_label, sample_text
from .card_head import card_head
from .classes import Keeps, most_of
from .encoders import ELSEWHERE
from .evidence import Evidence
from .out_of_distribution import TrainingRanges

__all__ = ["UNTESTED", "CardFacts", "model_card"]

UNTESTED = (
    "Other laboratories, stains, cameras and crops were not tested. `predict` warns of patients whose images are "
    "farther from the training patients than 19 of 20 of these are from the others. No warning is no proof."
)


@dataclass(frozen=True)
class CardFacts:
    """What a model card is written from.

    Attributes:
        model: what was exported.
        evidence: what its scores rest on.
        about: `model.json`.
        table: ranges of the training patients.
        kept: what each class in the bundle keeps of the training patients.
        microns_per_pixel: of their images, where it is known.
        exclusions: patients and images that were left out of the cohort, by reasons without IDs.
        licence: of the model; None: not known.
    """

    model: FinalModel
    evidence: Evidence
    about: Mapping[str, Any]
    table: TrainingRanges
    kept: Mapping[str, Keeps]
    microns_per_pixel: float | None = None
    exclusions: Sequence[Exclusion] = ()
    licence: str | None = None

    @cached_property
    def scores(self) -> dict[str, Interval]:
        """Per metric the score on the card."""
        return self.evidence.scores(self.model.study.best.class_weights)

    @property
    def purpose(self) -> str:
        """What the model predicts from what, and for whom."""
        return _purpose(self.about, self.table)

    @property
    def heads(self) -> str:
        """Heads and encoders, as a list."""
        return _heads(self.model, self.about)

    @property
    def training(self) -> str:
        """The training patients in numbers of all together, and who was excluded."""
        found = _training(self.about, self.table, self.evidence, self.microns_per_pixel)
        if self.exclusions:
            found += f"\n\nExcluded before training: {exclusions_summary(self.exclusions, labels=True)}."
        return found

    @property
    def source(self) -> str:
        """How the scores came about."""
        return _source(self.evidence)

    @property
    def decision(self) -> str:
        """Threshold, and who is referred."""
        return _decision(self.about, self.evidence)

    @property
    def limits(self) -> list[str]:
        """A sentence or two each."""
        return _limits(self.about, self.table, self.evidence)

    @property
    def inside(self) -> str:
        """What of the patients is in the bundle."""
        return _inside(self.kept, reasons=bool(self.exclusions))

    @property
    def versions(self) -> str:
        """Of the packages that made it."""
        found = (f"{name} {v}" for name, v in self.about["versions"].items())
        return f"{', '.join([f'lymphofeat {__version__}', *found])}."


def model_card(facts: CardFacts) -> str:
    """The card as Markdown, with the YAML head that model hubs read."""
    parts = [
        "# Model card: reactive or malignant lymphocytosis",
        facts.purpose,
        "## Model",
        facts.heads,
        "## Training patients",
        facts.training,
        "## Scores",
        _scores(facts),
        "## Subgroups",
        _subgroups(facts.evidence),
        "## Decisions",
        facts.decision,
        "## Limits",
        "\n".join(f"- {one}" for one in facts.limits),
        "## Patient data in the bundle",
        facts.inside,
        "## Versions",
        facts.versions,
    ]
    return (
        card_head(facts.evidence, facts.scores, facts.about, facts.licence) + "\n" + "\n\n".join(parts) + "\n"
    )


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


def _scores(facts: CardFacts) -> str:
    evidence = facts.evidence
    if evidence.reported is not None:
        return evidence.reported.markdown()
    n, malignant, persons = len(evidence.y), int(evidence.y.sum()), n_persons(evidence.groups)
    lines = ["| score | value [95 % interval] |", "|---|---|"]
    lines += [
        f"| {metric_label(metric)} | {interval_text(interval)} |" for metric, interval in facts.scores.items()
    ]
    return (
        "\n".join(lines)
        + f"\n\nOn {sample_text(n, malignant, persons)}, each predicted by a model that did not see them; bootstrap "
        f"{by_whom(persons)}. {facts.source}"
    )


def _source(evidence: Evidence) -> str:
    if evidence.reported is not None:
        return evidence.reported.source
    if evidence.nested is not None:
        return "Nested cross-validation: the whole search was repeated without the patients that it is scored on."
    return f"**Selected, therefore optimistic:** {evidence.caveat}"


def _subgroups(evidence: Evidence) -> str:
    lines = ["| patients | n | malignant | balanced accuracy | AUC |", "|---|---|---|---|---|"]
    for group in evidence.subgroups:
        shown = [interval_text(interval, 2) for _, interval in group.scores] or ["too few", "too few"]
        lines.append(f"| {group.name} | {group.n} | {group.n_malignant} | {' | '.join(shown)} |")
    return (
        "\n".join(lines)
        + f"\n\n{evidence.caveat}".rstrip()
        + f"\n\nFewer than {FEWEST} patients of a class are too few to score. With so many intervals, some "
        "miss by chance."
    )


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


def _limits(about: Mapping[str, Any], table: TrainingRanges, evidence: Evidence) -> list[str]:
    lines = [
        f"{sample_text(table.n, None, n_persons(evidence.groups))}: differences of a few hundredths are noise.",
        UNTESTED,
        "The lymphocyte count alone separates many patients; those near the border are hard.",
        "Missing clinical values are replaced by the training median, or by the commonest category, with a warning."
        + (" A patient without any of them is referred." if about["needs_values"] else ""),
    ]
    if about["sees_clinical"] and not about["needs_values"]:
        lines.append(
            "Heads were told which clinical values are missing: one that is missing for another reason than "
            "in training may decide."
        )
    if about["conformal"] is None:
        lines.append(
            "Every patient with a clinical value is decided."
            if about["needs_values"]
            else "Every patient is decided; nobody is referred."
        )
    if evidence.nested is None and evidence.reported is None:
        lines.append("All scores here are optimistic: the heads were selected on the same patients.")
    return lines


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
