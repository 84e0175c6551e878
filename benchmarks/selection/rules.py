"""The rules of selection that are compared, by the names in the table."""

from collections.abc import Callable, Mapping

from lymphofeat.metric import METRICS
from lymphofeat.studies.average import Average
from lymphofeat.studies.selection import AVERAGED, Candidate, select
from lymphofeat.studies.space import Space
from lymphofeat.studies.trial import TrialSummary

from .search import MORE_REPEATS, SHORTLIST, Searched, best_ones

BASELINE = "best balanced accuracy"


def _one(trial: TrialSummary) -> Average:
    return Average(((trial, 1.0),))


def _plain_average(metric: str) -> Callable[[Searched], Average]:
    return lambda one: Average(tuple((t, 1 / AVERAGED) for t in best_ones(one.trials, metric, AVERAGED)))


def _named(rule: str) -> Callable[[Searched], Average]:
    return lambda one: select([Candidate.of(t) for t in one.trials], rule)


def _greedy(metric: str, rule: str) -> Callable[[Searched], Average]:
    def choose(one: Searched) -> Average:
        by_number = {t.number: t for t in one.trials}
        return Average(tuple((by_number[n], w) for n, w in one.ensembles(metric)[rule].items()))

    return choose


def _repeated(metric: str) -> Callable[[Searched], Average]:
    """The best of the shortlist, averaged over the search's folds and the other repeats."""

    def choose(one: Searched) -> Average:
        sign = -METRICS[metric].sign

        def value(trial: TrialSummary) -> float:
            others = MORE_REPEATS * one.repeated[trial.number][metric]
            return sign * (trial.scores.values[metric] + others) / (1 + MORE_REPEATS)

        return _one(min(best_ones(one.trials, metric, SHORTLIST), key=value))

    return choose


def _fixed(number: int) -> Callable[[Searched], Average]:
    """A head that no search chose: one of the points that every search begins with."""
    point = Space.of().default_params()[number]
    return lambda one: _one(next(t for t in one.trials if t.params == point))


def _fixed_average(one: Searched) -> Average:
    """The plain average of the fixed heads on clinical values and on images."""
    return Average(tuple((_fixed(number)(one).members[0][0], 0.5) for number in (0, 1)))


CHOICES: Mapping[str, Callable[[Searched], Average]] = {
    BASELINE: _named("balanced_accuracy"),
    "best AUC": _named("auc"),
    "best log loss": _named("log_loss"),
    "best Brier score": _named("brier"),
    "one standard error (log loss)": _named("one_standard_error"),
    "average of the 10 best by balanced accuracy": _named("average_balanced_accuracy"),
    "average of the 10 best by AUC": _plain_average("auc"),
    "average of the 10 best by log loss": _named("average_log_loss"),
    "greedy 10 by balanced accuracy": _greedy("balanced_accuracy", "greedy"),
    "greedy 10 by log loss": _greedy("log_loss", "greedy"),
    "best of each head type by balanced accuracy": _greedy("balanced_accuracy", "head types"),
    "best of each head type by log loss": _greedy("log_loss", "head types"),
    "best mean balanced accuracy of 5 repeats": _repeated("balanced_accuracy"),
    "best mean log loss of 5 repeats": _repeated("log_loss"),
    "fixed: logistic, clinical values": _fixed(0),
    "fixed: logistic, images": _fixed(1),
    "fixed: logistic, both": _fixed(2),
    "fixed: average of the first two": _fixed_average,
}
