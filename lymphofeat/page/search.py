"""The search: what it found, how it came there, and what told good trials from the others."""

from collections.abc import Iterator, Sequence

import pandas as pd

from ..figures.importance import importance_figure
from ..figures.parallel import parallel_figure
from ..figures.search import head_types_figure, history_figure
from ..final.selected_model import final_model
from ..metric import METRICS
from ..progress import Progress
from ..report.assess_cells import SHOWN, cells
from ..studies.describe import describe_head
from ..studies.summary import StudySummary, TrialSummary
from ..wording import compact_interval
from .blocks import Block, FigureBlock, Section, Table, Text
from .search_points import parameter_shares, points_of
from .sources import Sources

__all__ = ["best_of_head_types", "best_trials", "search_section"]

_TEN = 10
_LEAST_LINES = 5  # complete trials, below which their parameters are not drawn
_STABILITY = {  # tables of `evaluate` → title → column
    "choices": {"most often": "most_frequent", "agreement": "alike"},
    "head_types": {"head type": "name"},
}


def search_section(sources: Sources, progress: Progress) -> Section:
    """The study's trials as figures and tables, the selected heads in words, and how stable the choices are."""
    return Section("search", "The search", list(_blocks(sources)))


def _blocks(sources: Sources) -> Iterator[Block]:
    study = sources.study
    if study is None:
        yield sources.gap("tune")
        return
    yield Text([f"{_begin(study)} {study.caveat}", *study.failures, *study.left_out.values()])
    yield FigureBlock(head_types_figure(best_of_head_types(study), study.metric))
    yield from _selected(sources, study)
    yield FigureBlock(history_figure(study.trials, study.metric))
    shares = parameter_shares(study)
    if len(shares):
        yield FigureBlock(importance_figure(shares, study.importance.note))
    else:
        yield Text([study.importance.note])
    if study.n_complete >= _LEAST_LINES:
        points, logs = points_of(study)
        yield FigureBlock(parallel_figure(points, study.metric, logs))
    yield _best_table(study)
    yield from _stability(sources)


def _begin(study: StudySummary) -> str:
    trials = f"{study.n_trials} {'trial' if study.n_trials == 1 else 'trials'}"
    stopped = f", {study.n_pruned} of them stopped early" if study.n_pruned else ""
    return f"The search tried {trials}{stopped}, on {study.measured_on}."


def best_of_head_types(study: StudySummary) -> pd.DataFrame:
    """The best trial of each head type, best first: head_type, trial, value, low, high, trials, stopped."""
    return pd.DataFrame(
        [
            {
                "head_type": one.head_type, "trial": one.trial.number, **one.trial.interval(study.metric)._asdict(),
                "trials": one.n_trials, "stopped": one.n_pruned,
            }
            for one in study.leaderboard
        ]
    )  # fmt: skip


def _selected(sources: Sources, study: StudySummary) -> Iterator[Block]:
    rule, trial, ensemble = sources.selection
    model = final_model(sources.cache, study, rule=rule, trial=trial, ensemble=ensemble)
    yield Text([model.reason])
    weights = len(model.members) > 1
    yield Text(
        [
            f"{f'{weight:.2f} × ' if weights else ''}trial {one.number}: {describe_head(one)}"
            for one, weight in model.members
        ],
        listed=True,
    )


def best_trials(study: StudySummary, most: int = _TEN) -> list[TrialSummary]:
    """The best complete trials by the study's metric, of equals the first, with what they were scored on."""
    sign = METRICS[study.metric].sign
    complete = sorted((row for row in study.rows if row.complete), key=lambda r: (-sign * r.value, r.number))
    return [study.trial(row.number) for row in complete[:most]]


def _best_table(study: StudySummary) -> Table:
    trials = best_trials(study)
    metrics = list(dict.fromkeys((study.metric, "balanced_accuracy", "auc")))
    frame = pd.DataFrame(
        [
            {
                "trial": one.number, "head_type": one.head_type, "given": one.inputs,
                **{
                    f"{metric}{end}": bound
                    for metric in metrics
                    for end, bound in zip(("", "_low", "_high"), one.interval(metric), strict=True)
                },
                "head": describe_head(one),
            }
            for one in trials
        ]
    )  # fmt: skip
    titles = {METRICS[metric].header: metric for metric in metrics}
    shown: dict[str, Sequence[str]] = {
        "trial": [str(one.number) for one in trials],
        **{
            title: [compact_interval(one.interval(metric)) for one in trials]
            for title, metric in titles.items()
        },
        "head": [describe_head(one) for one in trials],
    }
    which = "The best trial" if len(trials) == 1 else f"The {len(trials)} best trials"
    caption = f"{which} by {METRICS[study.metric].label}; selected, hence optimistic. {study.caption}"
    return Table("best-trials", caption, frame, shown, values=titles)


def _stability(sources: Sources) -> Iterator[Block]:
    """What `evaluate` says of the searches inside the outer folds."""
    found = sources.evaluation
    if found is None:
        why = sources.missing.get("evaluate", "")
        yield sources.gap("evaluate", what=f"{why}, so it is not known how often searches agree")
        return
    for name, values in _STABILITY.items():
        table = found.table(name)
        if len(table):
            rows, shown = cells(SHOWN[name], table), SHOWN[name]
            words = {title: [row[k] for row in rows] for k, title in enumerate(shown.columns)}
            caption = shown.caption_for(found.n_persons)
            yield Table(name, caption, table, words, values=values, folded=name == "choices")
