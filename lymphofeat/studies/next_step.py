"""What a study's numbers suggest to do next, in one sentence."""

from ..metric import METRICS
from ..wording import metric_label, sample_text
from .summary import StudySummary

__all__ = ["next_step"]

_FEW_TRIALS = 50
_LATE = 0.75  # a best trial found after this share of the trials


def next_step(summary: StudySummary) -> str:
    """The advice that matters most; the rules are tried in this order.

    Few trials; a best trial found late; clinical values alone not clearly worse than the best; head types that cannot
    be told apart; else to measure the best one where it was not selected.
    """
    best, n = summary.best, summary.n_trials
    if n < _FEW_TRIALS:
        return f"{n} trials are too few for this search space; continue with `--trials {max(200, 2 * n)}`."
    if best.number >= _LATE * n and _leads(summary, int(_LATE * n)):
        return (
            f"The best trial came late ({best.number + 1} of {n}) and is clearly better than those before; continue "
            f"with `--trials {2 * n}`."
        )
    clinical = summary.best_clinical
    if clinical is not None and clinical is not best and not summary.is_worse(clinical):
        return (
            f"On {sample_text(summary.n_patients, None, summary.n_persons)} the images add nothing beyond chance by "
            f"{metric_label(summary.metric)}; more patients or another encoding would help more than more trials."
        )
    tied = [entry.head_type for entry in summary.leaderboard[1:] if not summary.is_worse(entry.trial)]
    if tied:
        head_types = "head type" if len(tied) == 1 else "head types"
        return (
            f"{len(tied)} more {head_types} ({_listed(tied)}) cannot be told apart from the best; more trials will "
            "not decide between them: take the simplest with `--select one_standard_error`, or the default average."
        )
    return (
        f"The head type {summary.leaderboard[0].head_type!r} is clearly better than the others; score it on more "
        "repeats of the folds with --repeats and a new --study."
    )


def _leads(summary: StudySummary, before: int) -> bool:
    """Whether the best trial beats all complete ones with numbers below `before` by about half a standard error."""
    sign = METRICS[summary.metric].sign
    earlier = sorted(sign * row.value for row in summary.rows if row.complete and row.number < before)
    if not earlier:
        return True
    interval = summary.best.interval(summary.metric)
    value = summary.best.scores.values[summary.metric]
    return sign * value - earlier[-1] > (interval.high - interval.low) / 8


def _listed(names: list[str], most: int = 4) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
