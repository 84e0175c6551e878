"""The model card by the fields of the CHAI Applied Model Card, for registries that read it.

The fields and their order are those of the schema v0.2 of the Coalition for Health AI
(https://github.com/coalition-for-health-ai/mc-schema, `v0.2/schema.xsd`), whose documents are XML: an element is a key
here, and elements that repeat are a list. What the program cannot know is null, and stands in `ToBeFilled` with what to
write there.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..estimates.persons import n_persons
from ..estimates.scores import Interval
from ..wording import by_whom, metric_label
from .card import UNTESTED, CardFacts
from .card_head import NAME, TAGS
from .encoders import ELSEWHERE

__all__ = ["SCHEMA", "chai_card"]

SCHEMA = "https://mc.chai.org/v0.2/schema.xsd"
_DISCRIMINATION = ("balanced_accuracy", "auc", "average_precision", "sensitivity", "specificity")
_RELIABILITY = ("log_loss", "brier", "calibration_slope", "calibration_intercept")

# What the author writes where the program knows nothing, by the path of the field.
_TO_BE_FILLED = {
    "BasicInfo.ModelDeveloper": "Person or organisation that developed the model.",
    "BasicInfo.DeveloperContact": "Address for questions and reports of faults.",
    "ReleaseInfo.ReleaseDate": "Day on which the model is released.",
    "ReleaseInfo.GlobalAvailability": "Countries or institutions in which the model may be used.",
    "ReleaseInfo.EHRCompatibility": "Health records that the model works with, or none.",
    "ReleaseInfo.RegulatoryApproval": "Approvals by authorities; the software itself has none.",
    "UsesAndDirections.PrimaryIntendedUsers": "Who is meant to use the model, and with which training.",
    "Warnings.KnownBiasesOrEthicalConsiderations": (
        "Groups that the cohort lacks or that are known to be treated unequally, and ethical considerations."
    ),
    "Warnings.ClinicalRiskLevel": "Risk to patients if a prediction is wrong, by the rules of your authority.",
    "TrustIngredients.AISystemFacts.InputDataSource": (
        "Hospital or registry, microscope, stain and counter that the training data come from, and when."
    ),
    "TrustIngredients.AISystemFacts.OngoingMaintenance": "Who watches and renews the model, and how often.",
    "TrustIngredients.TransparencyInformation.FundingSource": "Who paid for the development.",
    "TrustIngredients.TransparencyInformation.StakeholdersConsulted": (
        "Whether patients, clinicians and others were asked during the development."
    ),
    "Resources.EvaluationReferences": "Where the evaluation is described.",
    "Resources.ClinicalTrial": "Registration of a clinical trial of the model, or none.",
    "Resources.PeerReviewedPublications": "Publications on the model, or none.",
    "Resources.ReimbursementStatus": "Whether its use is reimbursed.",
    "Resources.PatientConsentOrDisclosure": "How patients consented, or who waived their consent.",
    "Bibliography": "References as BibTeX.",
}


def chai_card(facts: CardFacts) -> dict[str, Any]:
    """The card as JSON values: schema, AppliedModelCard and ToBeFilled, a list of fields with what to write there."""
    card: dict[str, Any] = {
        "BasicInfo": {"ModelName": NAME, "ModelDeveloper": None, "DeveloperContact": None},
        "ReleaseInfo": {
            "ReleaseStage": "Research; not a medical device",
            "ReleaseDate": None,
            "ReleaseVersion": f"model {str(facts.about['model_digest'])[:12]}",
            "GlobalAvailability": None,
            "EHRCompatibility": None,
            "RegulatoryApproval": None,
        },
        "ModelSummary": {"Summary": facts.purpose, "Keywords": {"Keyword": list(TAGS)}},
        "UsesAndDirections": {
            "IntendedUseAndWorkflow": facts.purpose,
            "PrimaryIntendedUsers": None,
            "HowToUse": "`lymphofeat predict MODEL FOLDER --clinical TABLE` writes predictions.csv, with warnings.",
            "TargetedPatientPopulation": f"Patients like the training patients: {facts.training}",
            "CautionedOutOfScopeSettings": UNTESTED,
        },
        "Warnings": {
            "KnownRisksAndLimitations": "\n".join(f"- {one}" for one in facts.limits),
            "KnownBiasesOrEthicalConsiderations": None,
            "ClinicalRiskLevel": None,
        },
        "TrustIngredients": {
            "AISystemFacts": _system(facts),
            "TransparencyInformation": {
                "FundingSource": None,
                "ThirdPartyInformation": f"Software: {facts.versions}",
                "StakeholdersConsulted": None,
            },
        },
        "KeyMetrics": _metrics(facts),
        "Resources": {
            "EvaluationReferences": None,
            "ClinicalTrial": None,
            "PeerReviewedPublications": None,
            "ReimbursementStatus": None,
            "PatientConsentOrDisclosure": None,
        },
        "Bibliography": None,
    }
    empty = [{"Field": path, "Write": _TO_BE_FILLED[path]} for path in _empty(card)]
    return {"Schema": SCHEMA, "AppliedModelCard": card, "ToBeFilled": empty}


def _system(facts: CardFacts) -> dict[str, Any]:
    given = "clinical values" if facts.about["sees_clinical"] else ""
    seen = "features of the images of blood cells" if _elsewhere(facts) else "images of single blood cells"
    inputs = " and ".join(part for part in (seen if facts.about["encoders"] else "", given) if part)
    return {
        "OutcomesAndOutputs": f"A probability from 0 to 1 that the lymphocytosis is malignant. {facts.decision}",
        "ModelType": facts.heads,
        "FoundationModels": _networks(facts),
        "InputDataSource": None,
        "OutputAndInputDataTypes": f"Input: {inputs} of one patient. Output: a table with one row per patient.",
        "DevelopmentDataCharacterization": facts.training,
        "BiasMitigationApproaches": (
            "No correction by subgroup. Records that may be of one person were never divided between training and "
            "evaluation."
        ),
        "OngoingMaintenance": None,
        "Security": (
            "No file holds code. manifest.json lists every file with its SHA-256, and `predict` compares them before "
            f"it reads one. {facts.inside}"
        ),
        "Transparency": "README.md in the same folder describes the model in full; `explain` shows what drives it.",
    }


def _elsewhere(facts: CardFacts) -> bool:
    return any(record["kind"] == ELSEWHERE for record in facts.about["encoders"])


def _networks(facts: CardFacts) -> str:
    found = {f"{one['backbone']} ({one['origin']})": None for one in facts.about["encoders"]}
    return "; ".join(found) or "None: no images are used."


def _metrics(facts: CardFacts) -> dict[str, Any]:
    kind = "Nested cross-validation" if facts.evidence.is_nested else "Cross-validation after selection"
    of_groups = "Cross-validation after selection" if facts.evidence.nested is None else kind
    groups = [
        _result(f"{group.name} ({group.n} patients): {metric_label(name)}", one)
        for group in facts.evidence.subgroups
        for name, one in group.scores
    ]
    return {
        "UsefulnessUsabilityEfficacy": _metric(
            facts, "Malignant told from reactive lymphocytosis", _results(facts.scores, _DISCRIMINATION), kind
        ),
        "FairnessEquity": _metric(
            facts, "The same in women and men, by age, by lymphocyte count and by number of images", groups, of_groups,
        ),
        "SafetyReliability": _metric(
            facts, "Probabilities that mean what they say", _results(facts.scores, _RELIABILITY), kind
        ),
    }  # fmt: skip


def _metric(facts: CardFacts, goal: str, results: list[dict[str, str]], kind: str) -> dict[str, Any]:
    nested = kind.startswith("Nested")
    why = facts.source if nested == facts.evidence.is_nested else facts.evidence.caveat
    return {
        "MetricGoal": goal,
        "Results": {"MetricResult": results},
        "Interpretation": why,
        "TestType": f"{kind}, one cohort",
        "TestingDataDescription": facts.training,
        "ValidationProcessAndJustification": (
            "Each patient is predicted by models that saw neither them nor a record that may be the same person. "
            f"The interval is the 95 % bootstrap interval {by_whom(n_persons(facts.evidence.groups))}."
        ),
    }


def _results(scores: Mapping[str, Interval], names: Iterable[str]) -> list[dict[str, str]]:
    return [_result(metric_label(name), scores[name]) for name in names if name in scores]


def _result(label: str, one: Interval) -> dict[str, str]:
    """A result as the published examples have it; null where a bound is not known."""
    estimate, lower, upper = (value if math.isfinite(value) else None for value in one)
    text = json.dumps(
        {"kind": "estimate_ci", "estimate": estimate, "lower": lower, "upper": upper, "level": 95}
    )
    return {"Label": label, "ValueJson": text}


def _empty(card: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """The paths of the fields that are null, in their order."""
    for key, value in card.items():
        path = f"{above}.{key}" if above else key
        if value is None:
            yield path
        elif isinstance(value, Mapping):
            yield from _empty(value, path)
