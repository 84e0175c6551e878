"""Reading a study: all of it with its bests, or what a rule selects of it."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable

from ..errors import StudyError
from ..metric import METRICS, Metric
from ..scoring.failures import in_words
from ..storage.addresses import StudyPlace, study_place
from ..storage.paths import AnyPath
from .average import Average
from .rows import Row
from .selection import DEFAULT, rule_named, select
from .space import HEAD_TYPE
from .store import Store, open_store
from .summary import HeadTypeBest, StudySummary
from .trial import TrialSummary
from .trial_reader import TrialReader, readable

__all__ = ["load_selected", "load_study", "load_trials"]


def load_study(path: AnyPath, n_trials: int | None = None) -> StudySummary:
    """Read a study.

    Args:
        path: its file, or its address in PostgreSQL.
        n_trials: read the first so many only, as if the search had ended there.

    Raises:
        StudyError: no study, not one of `tune`, without a trial that was scored to its end, or damaged.

    Example:
        >>> summary = load_study("studies/study.db")
        >>> list(summary.predictions(summary.best.number))
        ['id', 'label', 'fold', 'repeat', 'probability', 'decision']
    """
    place = study_place(path)
    with open_store(place) as store:
        rows = [row for row in store.rows() if n_trials is None or row.number < n_trials]
        if not any(row.complete for row in rows):
            raise StudyError(_without_result(store, rows))
        with readable(place):
            return _summary(store, rows)


def load_selected(
    path: StudyPlace, rule: str = DEFAULT, *, n_trials: int | None = None, without: Collection[int] = ()
) -> Average:
    """What a rule of `selection.RULES` takes of a study.

    Args:
        path: the study's file, or its address.
        rule: its key.
        n_trials: as of `load_study`.
        without: numbers of trials that it passes over; some complete trial is not among them.

    Raises:
        StudyError: as `load_study`.
        InputError: an unknown rule.
    """
    rule_named(rule)
    with open_store(path) as store, readable(path):
        read = TrialReader(store)
        rows = (row for row in store.rows() if row.complete and row.number not in without)
        return select(
            [read.candidate(row) for row in rows if n_trials is None or row.number < n_trials], rule
        )


def load_trials(path: StudyPlace) -> list[TrialSummary]:
    """Every complete trial of a study, by number, with what it was scored on; pruned and failed ones are left out.

    Raises:
        StudyError: as `load_study`.
    """
    with open_store(path) as store, readable(path):
        read = TrialReader(store)
        return [read.trial(row) for row in store.rows() if row.complete]


def _summary(store: Store, rows: list[Row]) -> StudySummary:
    metric = METRICS[store.provenance["metric"]]
    complete = [row for row in rows if row.complete]
    read = TrialReader(store)

    def best(wanted: Callable[[Row], bool] = lambda _: True) -> Row | None:
        among = (row for row in complete if wanted(row))
        return max(among, key=lambda row: (metric.sign * row.value, -row.number), default=None)

    overall = best()
    if overall is None:
        raise ValueError("no complete trial")
    clinical = best(lambda row: read.inputs(row) == "clinical")
    image = best(lambda row: read.inputs(row) == "image")
    return StudySummary(
        path=store.path,
        provenance=store.provenance,
        best=read.trial(overall),
        best_clinical=None if clinical is None else read.trial(clinical),
        best_image=None if image is None else read.trial(image),
        selected=select([read.candidate(row) for row in complete]),
        leaderboard=_leaderboard(rows, metric, read),
        ids=tuple(store.patients["ids"]),
        rows=tuple(rows),
        seconds=store.seconds(1 + max(row.number for row in rows)),
        failed=store.failed(rows),
        by=store.by,
    )


def _without_result(store: Store, rows: list[Row]) -> str:
    failures = in_words(store.failed(rows), len(rows))
    if not failures:
        return f"{store.path} holds no finished trial yet; run `lymphofeat tune` on it."
    return "\n".join(
        [
            f"{store.path} holds no trial that was scored to its end; add patients or name other --heads.",
            *failures,
        ]
    )


def _leaderboard(rows: Iterable[Row], metric: Metric, read: TrialReader) -> tuple[HeadTypeBest, ...]:
    n_trials: Counter[str] = Counter()
    n_pruned: Counter[str] = Counter()
    best: dict[str, Row] = {}
    for row in rows:
        head_type = str(row.params[HEAD_TYPE])
        n_trials[head_type] += 1
        n_pruned[head_type] += row.pruned
        if row.complete and (head_type not in best or metric.better(row.value, best[head_type].value)):
            best[head_type] = row
    ranked = sorted(best.items(), key=lambda item: (-metric.sign * item[1].value, item[1].number))
    return tuple(
        HeadTypeBest(head_type, read.trial(row), n_trials[head_type], n_pruned[head_type])
        for head_type, row in ranked
    )
