"""The first section: the score to quote, and what it stands against."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..metric import METRICS
from ..progress import Progress
from ..wording import number
from .blocks import Block, Section, Text, exact_text
from .recorded import recorded_table
from .records import EvaluationRecord
from .sources import Sources

__all__ = ["Headline", "Score", "answer_section"]

_NAME = "pipelines"
_TO_QUOTE = "the scores to quote"  # in the sentence of `evaluate` that has them


class Score(NamedTuple):
    """One number of the headline: words and exact value, its interval in words, and what it is."""

    words: str
    value: str
    interval: str
    label: str


@dataclass(frozen=True)
class Headline(Block):
    """The nested scores in large type, and below each what it is beside the control experiments.

    Attributes:
        lead: the sentence to quote.
        scores: of the pipeline.
        beside: of the other pipelines, by the same metric as the first score.
    """

    template = "headline.html.j2"
    lead: str
    scores: list[Score]
    beside: list[Score]


def answer_section(sources: Sources, progress: Progress) -> Section:
    """The sentences of `evaluate`, as it prints them, and the nested score of every pipeline."""
    found = sources.evaluation
    if found is None:
        why = sources.missing["evaluate"]
        blocks: list[Block] = [sources.gap("evaluate", what=f"{why}, so there is no score to quote")]
        if sources.study is not None:
            blocks.append(Text([sources.study.caveat]))
        return Section("answer", "The answer", blocks)
    lead = next((sentence for sentence in found.answer if _TO_QUOTE in sentence), "")
    blocks = [
        Headline(lead, list(_scores(found)), list(_beside(found))),
        Text([sentence for sentence in found.answer if sentence != lead], listed=True),
        recorded_table(found, _NAME, folded=True),
    ]
    if found.notes:
        blocks.append(Text(found.notes))
    return Section("answer", "The answer", blocks)


def _scores(found: EvaluationRecord) -> Iterator[Score]:
    """Of the pipeline: the metric that was searched for, and the AUC."""
    row = found.tables["metrics"].set_index("metric")
    for metric in dict.fromkeys((found.metric, "balanced_accuracy", "auc")):
        if metric in row.index:
            value, low, high = (row.loc[metric, name] for name in ("value", "low", "high"))
            yield _score(value, low, high, METRICS[metric].label)


def _beside(found: EvaluationRecord) -> Iterator[Score]:
    """Of the control experiments."""
    table = found.tables[_NAME]
    metric = found.metric if found.metric in table.columns else "balanced_accuracy"
    for row in table.iloc[1:].to_dict("records"):
        low, high = row.get(f"{metric}_low", np.nan), row.get(f"{metric}_high", np.nan)
        yield _score(row[metric], low, high, str(row["pipeline"]))


def _score(value: Any, low: Any, high: Any, label: str) -> Score:
    between = f"{number(low, 2)} to {number(high, 2)}" if low == low and high == high else "interval unknown"
    return Score(number(value), exact_text(value), between, label)
