"""The answer before the tables, in sentences that carry their intervals."""

from collections.abc import Iterator

import pandas as pd

from ..estimates.scores import Interval
from ..wording import difference_text, interval_text, metric_label, number, p_value, sample_text, share
from .answer import Difference, OneStandardError
from .assessment import Assessment
from .subgroups import LOW_COUNTS

__all__ = ["answer"]

_METRICS = ("balanced_accuracy", "auc")


def answer(assessment: Assessment) -> list[str]:
    """What the parts add, how good the pipeline is, how optimistic the selected score, what is the simplest as good."""
    return [
        *_differences(assessment),
        _score(assessment),
        *_optimism(assessment),
        _simplest(assessment.simplest_pipeline, "pipeline", "nested scores"),
        *_head_type(assessment),
        *_shuffled(assessment),
        *_triage(assessment),
    ]


def _differences(assessment: Assessment) -> Iterator[str]:
    by_other: dict[str, list[Difference]] = {}
    for d in assessment.differences:
        by_other.setdefault(d.other, []).append(d)
    for found in by_other.values():
        yield _difference(assessment, found)
        if found[0].role == "clinical":
            yield from _low_counts(assessment)


def _difference(assessment: Assessment, found: list[Difference]) -> str:
    """One sentence on main less one other pipeline."""
    first = found[0]
    amounts = " and ".join(f"{difference_text(d.difference)} {metric_label(d.metric)}" for d in found)
    sentence = {
        "clinical": f"Images add {amounts} to the clinical values",
        "untrained": f"The encodings add {amounts} to those of an untrained encoder",
        "slide": f"Looking at the cells adds {amounts} to looking at the slide around them",
        "image": f"Clinical values add {amounts} to the images",
    }.get(first.role, f"{assessment.name} minus {first.other}: {amounts}")
    told = ", ".join(
        f"{d.alone} by {metric_label(d.metric)} (p {_p(d.p_value)}, Holm-adjusted {p_value(d.p_holm)})"
        for d in found
        if d.verdict
    )
    if told:
        rest = [metric_label(d.metric) for d in found if not d.verdict]
        end = f"; by {' and '.join(rest)} they cannot be told apart." if rest else "."
        return f"{sentence}: {told}{end}"
    chance = [
        f"by {metric_label(d.metric)} p {_p(d.p_value)}, but {p_value(d.p_holm)} when Holm-adjusted for "
        f"{len(assessment.differences)} comparisons"
        for d in found
        if d.alone
    ]
    alone = f" ({'; '.join(chance)})" if chance else ""
    pair = f"{assessment.name} and {first.other}"
    patients = sample_text(assessment.n, None, assessment.n_persons)
    return f"{sentence}: on {patients}, {pair} cannot be told apart{alone}."


def _low_counts(assessment: Assessment) -> Iterator[str]:
    """What images add where the count alone does not decide."""
    for row in assessment.tables.get("gains", pd.DataFrame()).to_dict("records"):
        if str(row["subgroup"]).startswith(LOW_COUNTS) and pd.notna(row["auc"]):
            gains = {m: Interval(row[m], row[f"{m}_low"], row[f"{m}_high"]) for m in _METRICS}
            amounts = " and ".join(f"{difference_text(gain)} {metric_label(m)}" for m, gain in gains.items())
            yield (
                f"Where the count decides least ({row['subgroup']} · 10⁹/l: {row['n']}, {row['malignant']} malignant), "
                f"images add {amounts}; one of several subgroups, not adjusted for their number."
            )


def _score(assessment: Assessment) -> str:
    row = assessment.tables["pipelines"].iloc[0]
    scores = ", ".join(
        f"{metric_label(m)} {interval_text(Interval(row[m], row[f'{m}_low'], row[f'{m}_high']))}"
        for m in _METRICS
    )
    runs = "" if assessment.n_runs == 1 else f" × {assessment.n_runs} runs"
    patients = sample_text(assessment.n, assessment.n_malignant, assessment.n_persons)
    by = "" if assessment.n_persons is None else "; intervals by person"
    return (
        f"{assessment.name} on {assessment.encoding}: {scores}, by nested cross-validation on {patients}, "
        f"{assessment.n_folds} folds{runs}: the scores to quote{by}."
    )


def _optimism(assessment: Assessment) -> Iterator[str]:
    table = assessment.tables["optimism"].set_index("metric")
    row = table.loc[[assessment.metric]].to_dict("records")[0]
    if pd.notna(row["tuned"]):
        optimism = Interval(row["optimism"], row["optimism_low"], row["optimism_high"])
        yield (
            f"The search on all folds selects a model that scores {number(row['tuned'])} by "
            f"{metric_label(assessment.metric)}; its optimism is {difference_text(optimism)}."
        )


def _simplest(rule: OneStandardError, what: str, of: str) -> str:
    near = f"within one standard error ({number(rule.error)}) of the best by {metric_label(rule.metric)}"
    if rule.simplest == rule.best:
        return f"No {what} simpler than the best, {rule.best}, is {near} ({of})."
    return f"The simplest {what} {near} is {rule.simplest}; the best is {rule.best} ({of})."


def _head_type(assessment: Assessment) -> Iterator[str]:
    if assessment.simplest_head_type is not None:
        yield _simplest(assessment.simplest_head_type, "head type", "selected scores")


def _shuffled(assessment: Assessment) -> Iterator[str]:
    for row in assessment.tables["pipelines"].to_dict("records"):
        if str(row["pipeline"]).startswith("shuffled"):
            found = Interval(row["auc"], row["auc_low"], row["auc_high"])
            covers = found.low <= 0.5 <= found.high
            end = (
                "which covers 0.5, as it should"
                if covers
                else "which excludes 0.5: one shuffle in twenty does so by chance; otherwise labels leak"
            )
            yield f"With {row['pipeline']} the AUC is {interval_text(found)}, {end}."


def _triage(assessment: Assessment) -> Iterator[str]:
    table = assessment.tables["triage"]
    rows = table[(table["rule"] == "triage") & (table["confidence"] == table["confidence"].max())]
    parts = [
        f"{share(row['decided'])} at a target error of {share(row['target_error'])}"
        for row in rows.to_dict("records")
    ]
    if parts:
        yield (
            f"Patients whom triage decides with {share(rows['confidence'].iloc[0])} confidence: "
            f"{'; '.join(parts)}."
        )


def _p(value: float) -> str:
    text = p_value(value)
    return text if text.startswith("<") else f"= {text}"
