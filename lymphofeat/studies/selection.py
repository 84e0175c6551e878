"""Which of a study's heads is selected for new patients: one head or a plain average, by a rule with a name.

The best trial by a score is the best partly by luck, and the more so the noisier the score: balanced accuracy counts
whole patients on either side of a threshold, log loss weighs every probability. `benchmarks/selection` compares the
rules on patients kept apart.

The one-standard-error rule is that of Breiman et al., *Classification and Regression Trees*, 1984, section 3.4.3: of
all heads whose log loss is at most one standard error of the best one's from it, the simplest.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..heads.registry import COSTS
from ..metric import METRICS
from ..wording import metric_label
from .average import Average
from .sampling import point_key
from .space import INPUTS, cost_of
from .trial import TrialSummary

__all__ = ["AVERAGED", "DEFAULT", "RULES", "Candidate", "Rule", "ranked", "rule_named", "select"]

DEFAULT = "average_log_loss"  # a key of `RULES`; docs/bundle.md says why
AVERAGED = 10  # heads of a plain average


@dataclass(frozen=True)
class Candidate:
    """A complete trial, as far as most rules need to know it.

    Attributes:
        number, params, inputs: as of `TrialSummary`.
        scores: per metric, the out-of-fold score.
        read: gives the whole trial, with what it was scored on.
    """

    number: int
    params: Mapping[str, Any]
    inputs: str
    scores: Mapping[str, float]
    read: Callable[[], TrialSummary]

    @classmethod
    def of(cls, trial: TrialSummary) -> "Candidate":
        """A trial that was read already."""
        return cls(trial.number, trial.params, trial.inputs, trial.scores.values, lambda: trial)


@dataclass(frozen=True)
class Rule:
    """A rule of selection.

    Attributes:
        words: what it takes, in the middle of a sentence.
        choose: complete trials of one study → those that are averaged, each with the same share.
        size: heads that it takes at most; a study with fewer gives all that it has.
    """

    words: str
    choose: Callable[[Sequence[Candidate]], list[Candidate]]
    size: int = 1

    def words_for(self, n_chosen: int) -> str:
        """`words` where it took `n_chosen` heads, since there were no more."""
        if n_chosen >= self.size:
            return self.words
        return "the only complete head" if n_chosen == 1 else f"the average of all {n_chosen} complete heads"


def select(candidates: Sequence[Candidate], rule: str = DEFAULT) -> Average:
    """Select a model on the out-of-fold predictions of the trials; no head is fitted.

    Args:
        candidates: the complete trials of one study, at least one.
        rule: a key of `RULES`.

    Raises:
        InputError: an unknown rule.
    """
    chosen = rule_named(rule).choose(candidates)
    return Average(tuple((candidate.read(), 1 / len(chosen)) for candidate in chosen))


def rule_named(name: str) -> Rule:
    """The rule of that name.

    Raises:
        InputError: there is none.
    """
    if name not in RULES:
        raise InputError(f"There is no rule of selection {name!r}; choose one of {', '.join(RULES)}.")
    return RULES[name]


def ranked(candidates: Sequence[Candidate], metric: str) -> list[Candidate]:
    """Trials by their out-of-fold score, the best first, of equals the first; each head once.

    Args:
        candidates: complete trials of one study.
        metric: one of `metric.METRICS`.
    """
    sign = METRICS[metric].sign
    found: dict[str, Candidate] = {}
    for one in sorted(candidates, key=lambda one: (-sign * one.scores[metric], one.number)):
        found.setdefault(point_key(one.params), one)
    return list(found.values())


def _best(metric: str, size: int) -> Callable[[Sequence[Candidate]], list[Candidate]]:
    return lambda candidates: ranked(candidates, metric)[:size]


def _one_standard_error(candidates: Sequence[Candidate]) -> list[Candidate]:
    order = ranked(candidates, "log_loss")
    losses = _log_losses(order[0].read())
    reach = order[0].scores["log_loss"] + losses.std(ddof=1) / np.sqrt(len(losses))
    near = [candidate for candidate in order if candidate.scores["log_loss"] <= reach]
    return [min(near, key=_simplicity)]  # of equally simple ones the first, which is the better one


def _log_losses(trial: TrialSummary) -> NDArray[np.float64]:
    """(n,) log loss of each patient's out-of-fold probability, in nats, averaged over the repeats."""
    eps = np.finfo(np.float64).eps
    p = np.clip(trial.scores.probabilities, eps, 1 - eps)
    return np.asarray(-np.log(np.where(trial.y[:, None] == 1, p, 1 - p)).mean(axis=1))


def _simplicity(candidate: Candidate) -> tuple[int, int]:
    """Smaller is simpler: first what has to be known of a patient, then what the head costs."""
    return INPUTS.index(candidate.inputs), COSTS.index(cost_of(candidate.params))


# An average is offered of the two scores that are furthest from one another: whole patients, and probabilities.
RULES: Mapping[str, Rule] = {
    **{metric: Rule(f"the best by {metric_label(metric)}", _best(metric, 1)) for metric in METRICS},
    "one_standard_error": Rule(
        "the simplest within one standard error of the best log loss", _one_standard_error
    ),
    **{
        f"average_{metric}": Rule(
            f"the average of the {AVERAGED} best by {metric_label(metric)}", _best(metric, AVERAGED), AVERAGED
        )
        for metric in ("balanced_accuracy", "log_loss")
    },
}
