"""The section on performance: curves, forests, calibration, decisions, and how far each may be believed."""

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from ..estimates.intervals import Interval
from ..figures import (
    Drawn,
    calibration_figure,
    comparison_figure,
    decision_figure,
    differences_figure,
    learning_figure,
    optimism_figure,
    permutation_figure,
    pipelines_figure,
    precision_recall_figure,
    risk_coverage_figure,
    roc_figure,
    stability_figure,
    subgroups_figure,
    triage_figure,
)
from ..figures.predicted import runs_of
from ..figures.rows import row_of
from ..progress import Progress
from .blocks import Block, FigureBlock, Gap, Section, Text
from .recorded import recorded_table
from .records import EvaluationRecord
from .sources import Sources

__all__ = ["performance_section"]

_DEFAULTS = {"trials": 50, "repeats": 1, "seeds": 1, "seed": 0}
_METRIC = "balanced_accuracy"
_AVERAGE_PRECISION = "average_precision"
_PERMUTE, _REPEATS = 100, 5


def performance_section(sources: Sources, progress: Progress) -> Section:
    """Every figure of the evaluation and the comparison with its numbers; what was not run is a gap.

    Args:
        sources: what was found.
        progress: told of every figure.
    """
    found = sources.evaluation
    if found is None:
        return Section("performance", "Performance", [sources.gap("evaluate"), *_comparison(sources)])
    progress.start("figures of performance", len(_PARTS), "part")
    blocks: list[Block] = []
    try:
        for part in _PARTS:
            blocks.extend(part(sources, found))
            progress.advance()
    finally:
        progress.stop()
    return Section("performance", "Performance", blocks)


def _curves(sources: Sources, found: EvaluationRecord) -> Iterator[Block]:
    predictions = _predictions(sources, found)
    if predictions is None:
        yield _gap(
            sources, found, "This evaluation was made by an earlier version and has no predictions to draw curves of"
        )  # fmt: skip
        return
    yield FigureBlock(roc_figure(predictions, found.tables["pipelines"]))
    yield FigureBlock(precision_recall_figure(predictions, _average_precision(predictions, found)))


def _scores(sources: Sources, found: EvaluationRecord) -> Iterator[Block]:
    if len(found.table("confusion")):
        yield recorded_table(found, "confusion")
    yield recorded_table(found, "metrics", folded=True)
    pipelines = found.tables["pipelines"]
    yield FigureBlock(pipelines_figure(pipelines))
    if len(differences := found.table("differences")):
        yield FigureBlock(differences_figure(differences, pipelines))
    yield from _comparison(sources)


def _comparison(sources: Sources) -> Iterator[Block]:
    compared = sources.comparison
    if compared is None:
        yield sources.gap("compare")
        return
    yield FigureBlock(comparison_figure(compared.table, compared.metric))
    yield Text(compared.sentences, listed=True)


def _calibration(sources: Sources, found: EvaluationRecord) -> Iterator[Block]:
    predictions = _predictions(sources, found)
    if predictions is not None and len(table := found.table("calibration")):
        yield FigureBlock(calibration_figure(predictions, table))
    yield from _if_there(decision_figure, found.table("decision_curves"))
    if len(found.table("calibration")):
        yield recorded_table(found, "calibration", file="calibration-scores", folded=True)


def _deciding(sources: Sources, found: EvaluationRecord) -> Iterator[Block]:
    yield from _if_there(risk_coverage_figure, found.table("risk_coverage"))
    yield from _if_there(triage_figure, found.table("triage"))
    if len(found.table("thresholds")):
        yield recorded_table(found, "thresholds")


def _subgroups(sources: Sources, found: EvaluationRecord) -> Iterator[Block]:
    yield from _if_there(subgroups_figure, found.table("subgroups"))
    if len(found.table("gains")):  # evaluations of earlier versions have none
        yield recorded_table(found, "gains")


def _learning(sources: Sources, found: EvaluationRecord) -> Iterator[Block]:
    if len(table := found.table("learning_curve")):
        yield FigureBlock(learning_figure(table))
    else:
        yield _gap(sources, found, "The learning curve was not measured", learning=True)


def _stability(sources: Sources, found: EvaluationRecord) -> Iterator[Block]:
    predictions = _predictions(sources, found)
    if predictions is not None:
        called = {one: sources.names.patient(one) for one in predictions["id"].unique()}
        yield FigureBlock(stability_figure(predictions.assign(id=predictions["id"].map(called))))
    if found.n_runs > 1 and len(found.table("stability")):
        yield recorded_table(found, "stability", file="stability-scores")
    if found.n_runs == 1:
        yield _gap(sources, found, "One run says nothing about how the next would decide", repeats=_REPEATS)


def _optimism(sources: Sources, found: EvaluationRecord) -> Iterator[Block]:
    table = found.table("optimism")
    if len(table) and table["tuned"].notna().any():
        yield FigureBlock(optimism_figure(table))


def _permutation(sources: Sources, found: EvaluationRecord) -> Iterator[Block]:
    if len(table := found.table("permutation")):
        yield FigureBlock(permutation_figure(table))
    else:
        yield _gap(sources, found, "No permutation test was made", permute=_PERMUTE)


_PARTS: tuple[Callable[[Sources, EvaluationRecord], Iterator[Block]], ...] = (
    _curves, _scores, _calibration, _deciding, _subgroups, _learning, _stability, _optimism, _permutation,
)  # fmt: skip


def _if_there(draw: Callable[[pd.DataFrame], Drawn], table: pd.DataFrame) -> Iterator[Block]:
    if len(table):
        yield FigureBlock(draw(table))


def _predictions(sources: Sources, found: EvaluationRecord) -> pd.DataFrame | None:
    """With the persons behind the records, where persons have several."""
    table = found.table("predictions")
    if not len(table):
        return None
    if found.n_persons is None:
        return table
    persons = dict(zip(sources.cache.ids.astype(str).tolist(), sources.cache.groups.tolist(), strict=True))
    return table.assign(person=table["id"].astype(str).map(persons))


def _average_precision(predictions: pd.DataFrame, found: EvaluationRecord) -> dict[str, Interval]:
    """Of the pipeline as the evaluation has it; of clinical values alone by the same resamples."""
    row = row_of(found.tables["metrics"], "metric", _AVERAGE_PRECISION)
    values = {"main": Interval(row["value"], row["low"], row["high"])}
    if (predictions["role"] == "clinical").any():
        values["clinical"] = runs_of(predictions, "clinical").describe([_AVERAGE_PRECISION])[
            _AVERAGE_PRECISION
        ]
    return values


def _gap(sources: Sources, found: EvaluationRecord, what: str, **more: Any) -> Gap:
    return sources.gap("evaluate", *_same_search(found, **more), what=what)


def _same_search(
    found: EvaluationRecord, *, learning: bool = False, permute: int = 0, repeats: int = 0
) -> list[str]:
    """The options of `evaluate` that repeat this evaluation, so that its finished searches are used, and what is new.

    Args:
        found: the evaluation.
        learning, permute, repeats: what the new one has beside what this one has.
    """
    from ..heads.registry import head_types

    search = {**_DEFAULTS, **found.search}
    options = ["--encoding", found.encoding]
    changed = {**search, "repeats": repeats or search["repeats"]}
    for name, default in _DEFAULTS.items():
        if changed[name] != default:
            options += [f"--{name}", str(changed[name])]
    heads = list(search.get("heads", ()))
    if heads and set(heads) != set(head_types()):
        options += ["--heads", ",".join(heads)]
    if found.metric != _METRIC:
        options += ["--metric", found.metric]
    if search.get("missing_indicators"):
        options.append("--missing-indicators")
    permuted = found.table("permutation")
    shuffles = permute or (int(permuted["shuffles"].iloc[0]) if len(permuted) else 0)
    if shuffles:
        options += ["--permute", str(shuffles)]
    if learning or len(found.table("learning_curve")):
        options.append("--learning-curve")
    return options
