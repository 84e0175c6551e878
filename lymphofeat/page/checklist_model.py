"""Answers of the checklists on the model: its search, its evaluation, its use."""

import numpy as np

from .. import __version__
from ..cohort.ages import ages_words
from ..estimates.persons import n_persons, repeating
from ..scoring.score import weighs_equally
from ..storage.provenance import package_version
from ..studies.describe import describe_head, describe_heads
from ..studies.summary import TrialSummary
from ..wording import by_whom, difference_text, interval_text, listed, metric_label, number, sample_text
from .known import Answer, Known, interval_of, many

__all__ = ["ANSWERS"]

_INPUTS = {"clinical": "clinical values", "image": "images", "both": "images and clinical values"}
_PACKAGES = ("numpy", "scikit-learn", "optuna", "torch", "xgboost")


def _evaluated(known: Known) -> str:
    found = known.evaluation
    runs = "" if found.n_runs == 1 else f" × {found.n_runs} runs"
    return (
        f"nested cross-validation of the whole search ({found.n_folds} outer folds{runs}, "
        f"{many(int(found.search.get('trials', 0)), 'trial')} in each) on "
        f"{sample_text(found.n, found.n_malignant, found.n_persons, 'labelled')}"
    )


def _study_type(known: Known) -> str:
    how = (
        "cross-validation only, whose scores are selected"
        if known.sources.evaluation is None
        else _evaluated(known)
    )
    return (
        "Development of a diagnostic prediction model (malignant against reactive lymphocytosis of a patient) and its "
        f"internal evaluation by {how}. Nobody of another cohort was used."
    )


def _candidates(known: Known) -> str:
    study, cache = known.study, known.cache
    values = listed(["age", "sex", "lymphocyte count", *cache.tables.declared], 20)
    given = ", ".join(_INPUTS[str(one)] for one in study.provenance["inputs"])
    features = ", ".join(f"{many(one.dim, 'feature')} of {one.name}" for one in known.encodings)
    return (
        f"All clinical values ({values}) and all image features ({features}) were candidates; none was dropped by its "
        f"relation to the outcome. The search chose what a head is given ({given}). The selected model: "
        f"{describe_heads(_chosen(known))}."
    )


def _chosen(known: Known) -> list[TrialSummary]:
    return [trial for trial, _ in known.model.members]


def _handling(known: Known) -> str:
    return (
        f"Age in years ({ages_words(known.cache.tables.reference)}), logarithm of the lymphocyte count, sex as 0 and "
        "1; products and cubic splines of these where the search chose them. The images of a patient are pooled by "
        "statistics or attention. Scaling, principal axes, medians and knots are learnt from the training patients of "
        f"each fold only. The selected heads: {describe_heads(_chosen(known))}."
    )


def _construction(known: Known) -> str:
    study = known.study
    made = study.provenance
    pruned = f", {study.n_pruned} of them stopped early," if study.n_pruned else ""
    checked = (
        "The nested evaluation has not been run."
        if known.sources.evaluation is None
        else f"Internal validation: {_evaluated(known)}."
    )
    return (
        f"Search of {many(study.n_trials, 'trial')}{pruned} over {many(len(made['heads']), 'head type')} "
        f"({', '.join(made['heads'])}) and their parameters by Optuna's sampler {made['sampler']!r} (seed "
        f"{made['seed']}), each scored by {metric_label(study.metric)} on {study.measured_on}. Selected: {known.rule} "
        f"({many(len(known.model.members), 'head')}). {checked}"
    )


def _clusters(known: Known) -> str:
    return "Differences between centres were not examined: the program is not told who comes from where."


def _measures(known: Known) -> str:
    found = known.evaluation
    if not known.scores():
        return ""
    names = ", ".join(metric_label(name) for name in known.scores())
    plots = {
        "predictions": "ROC and precision–recall curves",
        "calibration": "calibration",
        "decision_curves": "decision curves",
        "risk_coverage": "risk and coverage",
        "subgroups": "subgroups",
        "learning_curve": "learning curve",
    }
    drawn = ", ".join(words for name, words in plots.items() if len(found.table(name)))
    return (
        f"{names[0].upper()}{names[1:]}; {drawn}. Intervals are 95 % bootstrap intervals {by_whom(found.n_persons)}. "
        f"{many(len(list(known.rows('differences'))), 'paired difference')} to other pipelines on the same patients, p "
        "values adjusted by Holm."
    )


def _updating(known: Known) -> str:
    rows = {str(row["calibrator"]): interval_of(row, "log_loss") for row in known.rows("calibration")}
    text = "No model was updated after its evaluation."
    fitted = [f"{name} {interval_text(one)}" for name, one in rows.items() if name != "none"]
    if "none" not in rows or not fitted:
        return text
    return (
        f"{text} Calibrators that were fitted inside the training folds are shown beside it: log loss "
        f"{interval_text(rows['none'])} without, {', '.join(fitted)}."
    )


def _predicting(known: Known) -> str:
    found = known.evaluation
    each = "once" if found.n_runs == 1 else f"{found.n_runs} times"
    return (
        f"Every patient was predicted {each}, by the model that the same search selected without the patient's fold "
        f"({found.pipeline}, encodings {found.encoding}), and decided by a threshold that was found in the training "
        f"part of that fold.{'' if found.n_runs == 1 else ' Scores of the runs are averaged.'}"
    )


def _imbalance(known: Known) -> str:
    n, malignant = known.study.n_patients, int(known.study.best.y.sum())
    members = _chosen(known)
    equal = sum(weighs_equally(trial.head()) for trial in members)
    weights = known.study.best.class_weights
    metric = "" if weights is None else f" Balanced accuracy weighs {weights[0]:g} : {weights[1]:g}."
    return (
        f"{malignant} of {n} {known.noun}s ({100 * malignant / n:.0f} %) are malignant. None was resampled. Whether a "
        f"head weighs the classes equally was searched with it: {equal} of {many(len(members), 'selected head')} "
        f"{'does' if equal == 1 else 'do'}; the threshold accounts for it.{metric}"
    )


def _fairness(known: Known) -> str:
    names = [str(row["subgroup"]) for row in known.rows("subgroups") if row["subgroup"] != "all"]
    if not names:
        return ""
    wrong = len(list(known.rows("wrong")))
    return (
        f"Scores in {many(len(names), 'subgroup')}: {', '.join(names)}. Nothing was corrected by subgroup. "
        f"{wrong} of {many(known.evaluation.n, known.noun)} decided wrongly in at least one run."
    )


def _output(known: Known) -> str:
    return (
        "A probability from 0 to 1 that the lymphocytosis is malignant, and a decision: malignant at "
        f"{known.model.threshold:.3f} or above. Of all thresholds within one standard error of the best balanced "
        "accuracy on out-of-fold predictions, it is the one nearest to the share of malignant patients (to 0.5 for "
        f"heads that weigh the classes equally). It was fixed by this rule, not by hand. {known.study.threshold_note}"
    )


def _partition(known: Known) -> str:
    sizes, cache = known.fold_sizes, known.cache
    persons = n_persons(repeating(cache.groups[cache.labelled]))
    together = "; records that may be of one person share a fold" if persons is not None else ""
    each = ", ".join(f"{many(n, known.noun)} ({malignant} malignant)" for n, malignant in sizes)
    return (
        f"{len(sizes)} folds{_first(known)}, stratified by diagnosis, dealt once with seed {cache.fold_seed}"
        f"{together}: {each}. Evaluation: "
        f"{_evaluated(known)}; the search never sees the outer fold."
    )


def _first(known: Known) -> str:
    """Which folds are told of, where the evaluation used others as well."""
    repeats = int(known.evaluation.search.get("repeats", 1))
    return "" if repeats == 1 else f" in the first of {repeats} repeats"


def _numbers(known: Known) -> str:
    n, malignant = len(known.labels), int(known.labels.sum())
    parts = [
        f"fold {k}: {n - out} ({malignant - bad} malignant) to search and fit, {out} ({bad}) to evaluate"
        for k, (out, bad) in enumerate(known.fold_sizes)
    ]
    which = f"Folds{_first(known)}: " if _first(known) else ""
    return f"{which}{'; '.join(parts)}. The selected model of all patients: {n} ({malignant} malignant)."


def _specification(known: Known) -> str:
    heads = "; ".join(f"{weight:.2f} × {describe_head(trial)}" for trial, weight in known.model.members)
    seen = ", ".join(f"{one.name} ({one.attrs.get('backbone', 'imported')})" for one in known.encodings)
    return (
        f"{heads}. Encodings: {seen}. `lymphofeat export` writes the fitted heads and encoders as a folder, with a "
        "model card; `lymphofeat predict` applies it."
    )


def _development(known: Known) -> str:
    return f"{_construction(known)} {_numbers(known)}"


def _performance(known: Known) -> str:
    shown = [f"{metric_label(name)} {interval_text(one)}" for name, one in known.scores().items()]
    if not shown:
        return ""
    groups, few = [], 0
    for row in known.rows("subgroups"):
        one = interval_of(row, "balanced_accuracy")
        if row["subgroup"] == "all":
            continue
        few += not np.isfinite(one.value)
        if np.isfinite(one.value):
            groups.append(f"{row['subgroup']} (n = {row['n']}) {interval_text(one, 2)}")
    too_few = f"; {many(few, 'subgroup')} too small to score" if few else ""
    inside = f" Balanced accuracy in subgroups: {', '.join(groups)}{too_few}." if groups else ""
    compared = [
        f"{metric_label(row['metric'])} minus that of {row['other']} {difference_text(interval_of(row, 'difference'))}"
        for row in known.rows("differences")
        if row["metric"] == known.evaluation.metric
    ]
    beside = f" {'; '.join(compared)}." if compared else ""
    return f"Nested: {', '.join(shown)}.{inside}{beside[:2].upper()}{beside[2:]}"


def _limitations(known: Known) -> str:
    found = known.evaluation
    scores = known.scores()
    names = dict.fromkeys((found.metric, "auc"))
    width = [f"{metric_label(name)} {interval_text(scores[name])}" for name in names if name in scores]
    optimism = [
        f"The {metric_label(row['metric'])} of the selected model on the patients of its selection differs from the "
        f"nested one by {number(float(row['optimism']), signed=True)}."
        for row in known.rows("optimism")
        if row["metric"] == found.metric and np.isfinite(row["optimism"])
    ]
    return " ".join(
        [
            f"One cohort of {sample_text(found.n, found.n_malignant, found.n_persons)}, no other laboratory.",
            *([f"Precision: {', '.join(width)}."] if width else []),
            *optimism,
            *found.notes,
        ]
    )


def _poor_input(known: Known) -> str:
    members = _chosen(known)
    clinical = [trial for trial in members if trial.inputs != "image"]
    parts = []
    if clinical:
        parts.append(
            "a missing clinical value is replaced by the training median, and one outside the range of the training "
            "patients stands, both with a warning"
        )
    if any(not trial.missing_indicator for trial in clinical):
        parts.append("a patient without any clinical value is referred to a person")
    if any(trial.inputs != "clinical" for trial in members):
        parts.append(
            "a patient whose images are farther from the training images than 19 of 20 of these are from the others "
            "is predicted with a warning"
        )
    return f"By `lymphofeat predict`: {'; '.join(parts)}."


def _using(known: Known) -> str:
    return (
        "Prediction is one command on a folder of images and a table of clinical values; it asks nothing in between. "
        "Its table has probability, decision and warnings of every patient."
    )


def _code(known: Known) -> str:
    return (
        f"lymphofeat {__version__}, Apache-2.0. The commands that lead to this report are in the section “Provenance”, "
        "in order."
    )


def _software(known: Known) -> str:
    study = known.sources.study
    made = {} if study is None else study.by
    versions = [f"{name} {found}" for name in _PACKAGES if (found := made.get(name) or package_version(name))]
    return f"lymphofeat {__version__}, {', '.join(versions)}."


def _blinding(known: Known) -> str:
    seen = sorted({trial.inputs for trial in _chosen(known)})
    return (
        f"The selected heads are given {'; or '.join(_INPUTS[one] for one in seen)}. No head that predicts a "
        f"patient in the {_evaluated(known)}, and no encoder that was trained by lymphofeat, was fitted, "
        "tuned or selected with that patient's diagnosis."
    )


def _indeterminate(known: Known) -> str:
    found = known.evaluation
    without = int((known.cache.tables.patients["split"] == "train").sum()) - len(known.labels)
    return (
        f"Every one of the {found.n} evaluated {known.noun}s got a probability and a decision; none is indeterminate. "
        f"{many(without, known.noun)} without a diagnosis took no part. What referral of uncertain patients would do "
        "is shown as triage."
    )


def _variability(known: Known) -> str:
    found, values = (
        known.evaluation,
        {str(row["what"]): float(row["value"]) for row in known.rows("stability")},
    )
    groups = sum(row["subgroup"] != "all" for row in known.rows("subgroups"))
    flips = values.get("mean_flip_rate", float("nan"))
    runs = (
        f"{found.n_runs} runs, of which pairs decide differently on {100 * flips:.1f} % of the patients"
        if np.isfinite(flips)
        else many(found.n_runs, "run")
    )
    return f"Over {runs}; over {many(groups, 'subgroup')}."


def _external(known: Known) -> str:
    return "No independent data set was used; all scores are of cross-validation."


def _confusion(known: Known) -> str:
    words = ("reactive", "malignant")
    parts = [
        f"{row['n']} {words[int(row['label'])]}: {_count(row['called_malignant'])} called malignant, "
        f"{_count(row['called_reactive'])} reactive"
        for row in known.rows("confusion")
    ]
    mean = " (mean of the runs)" if known.evaluation.n_runs > 1 else ""
    return f"{'; '.join(parts)}{mean}." if parts else ""


def _count(value: float) -> str:
    """Patients; not a whole number where it is the mean of several runs."""
    return number(float(value), 0 if float(value).is_integer() else 1)


def _audit(known: Known) -> str:
    found = known.evaluation
    n = len(found.table("predictions")) or len(found.table("patients"))
    return (
        f"{many(n, 'prediction')} of the evaluation are kept in {found.path.name}, "
        f"{many(known.study.n_trials, 'trial')} with their predictions in {known.study.path.name}, the features in "
        f"{known.cache.path.name}; `lymphofeat verify` compares study and cache with their digests."
    )


_BOTH = ("tune", "evaluate")
ANSWERS = {
    "study_type": Answer(_study_type, ("tune",)),
    "candidates": Answer(_candidates, ("tune",)),
    "handling": Answer(_handling, ("tune",)),
    "construction": Answer(_construction, ("tune",)),
    "clusters": Answer(_clusters),
    "measures": Answer(_measures, ("evaluate",)),
    "updating": Answer(_updating, ("evaluate",)),
    "predicting": Answer(_predicting, ("evaluate",)),
    "imbalance": Answer(_imbalance, ("tune",)),
    "fairness": Answer(_fairness, ("evaluate",)),
    "output": Answer(_output, ("tune",)),
    "partition": Answer(_partition, ("evaluate",)),
    "numbers": Answer(_numbers, ("evaluate",)),
    "specification": Answer(_specification, ("tune",)),
    "development": Answer(_development, _BOTH),
    "performance": Answer(_performance, ("evaluate",)),
    "limitations": Answer(_limitations, ("evaluate",)),
    "poor_input": Answer(_poor_input, ("tune",)),
    "using": Answer(_using),
    "code": Answer(_code),
    "software": Answer(_software),
    "blinding": Answer(_blinding, _BOTH),
    "indeterminate": Answer(_indeterminate, ("evaluate",)),
    "variability": Answer(_variability, ("evaluate",)),
    "external": Answer(_external, ("evaluate",)),
    "confusion": Answer(_confusion, ("evaluate",)),
    "audit": Answer(_audit, _BOTH),
}
