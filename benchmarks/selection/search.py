"""One search: its heads, fitted on the development part, predict the patients kept apart; as JSON values and back."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lymphofeat.cache import open_cache, save_cache
from lymphofeat.cache.reader import Cache
from lymphofeat.cache.split import Split
from lymphofeat.estimates.scores import score
from lymphofeat.final.ensemble import select_ensemble
from lymphofeat.heads.base import FitCache, fit_predict
from lymphofeat.metric import METRICS
from lymphofeat.parallel import one_thread
from lymphofeat.scoring.plan import labels_of
from lymphofeat.scoring.score import TrialScores, weighs_equally
from lymphofeat.scoring.threshold import prevalence_threshold
from lymphofeat.storage.json_arrays import pack, unpack
from lymphofeat.studies import tune
from lymphofeat.studies.average import Average
from lymphofeat.studies.load import load_trials
from lymphofeat.studies.record import scores_from_attrs, scores_to_attrs
from lymphofeat.studies.sampling import point_key
from lymphofeat.studies.selection import AVERAGED, Candidate, ranked
from lymphofeat.studies.space import build_head
from lymphofeat.studies.trial import TrialSummary

from .cohorts import Unit

Floats = NDArray[np.float64]
SHORTLIST, MORE_REPEATS = 10, 4
SCORES = ("balanced_accuracy", "auc", "log_loss", "brier")


def record_of(unit: Unit, trials: int, head_types: Sequence[str]) -> dict[str, Any]:
    """Search, fit every finished head on the development part, predict the patients kept apart; as JSON values."""
    start, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        path, study = Path(folder) / "c.h5", Path(folder) / "s.db"
        save_cache(path, unit.table, {"given": unit.features}, n_repeats=1 + MORE_REPEATS)
        tune(path, study, n_trials=trials, heads=head_types)
        found, cache = load_trials(study), open_cache(path)
        searched = time.perf_counter() - start
        rows = np.flatnonzero((cache.patients["split"] == "test").to_numpy())
        distinct = list({point_key(trial.params): trial for trial in reversed(found)}.values())[::-1]
        fit_cache, splits, labels = FitCache(), cache.final_splits("given", rows), labels_of(cache)
        apart = [_predicted(cache, t, splits, labels, fit_cache)[rows] for t in distinct]
        more = {t.number: _more_repeats(cache, t, fit_cache) for t in _shortlist(distinct)}
    return {
        "group": unit.group,
        "at": unit.at,
        "trials": [
            {
                "number": t.number,
                "params": t.params,
                "inputs": t.inputs,
                "scores": scores_to_attrs(t.scores),
                "apart": pack(p),
                "repeated": more.get(t.number),
            }
            for t, p in zip(distinct, apart, strict=True)
        ],
        "y": found[0].y.tolist(),
        "folds": found[0].folds.tolist(),
        "truth": unit.truth.tolist(),
        "n_trials": trials,
        "seconds": [searched, time.perf_counter() - start - searched],
        "cpu": time.process_time() - cpu,
    }


def _shortlist(trials: Sequence[TrialSummary]) -> list[TrialSummary]:
    """The heads that a second look is worth: the best by each of the scores that may be averaged over repeats."""
    metrics = ("balanced_accuracy", "auc", "log_loss")
    found = {t.number: t for metric in metrics for t in best_ones(trials, metric, SHORTLIST)}
    return list(found.values())


def best_ones(trials: Sequence[TrialSummary], metric: str, size: int) -> list[TrialSummary]:
    return [c.read() for c in ranked([Candidate.of(t) for t in trials], metric)[:size]]


def _predicted(
    cache: Cache, trial: TrialSummary, splits: Sequence[Split], labels: NDArray[np.int8], fit_cache: FitCache
) -> Floats:
    """(n_patients,) probabilities of malignant, NaN outside the splits' test parts."""
    p = np.full(len(labels), np.nan)
    with one_thread():
        predicted = fit_predict(build_head(trial.params), splits, cache.clinical, labels, fit_cache)
    for split, values in zip(splits, predicted, strict=True):
        p[split.test] = values
    return p


def _more_repeats(cache: Cache, trial: TrialSummary, fit_cache: FitCache) -> dict[str, float]:
    """Scores averaged over other repeats of the folds, at the thresholds that need no inner folds."""
    labels = labels_of(cache)
    rows = np.flatnonzero(labels >= 0)
    threshold = prevalence_threshold(labels[rows], balanced=weighs_equally(build_head(trial.params)))
    found: list[dict[str, float]] = []
    for repeat in range(1, 1 + MORE_REPEATS):
        splits = list(cache.splits("given", repeat=repeat).values())
        p = _predicted(cache, trial, splits, labels, fit_cache)
        found.append(_scored(labels[rows], p[rows], threshold))
    return {metric: float(np.mean([one[metric] for one in found])) for metric in SCORES}


@dataclass(frozen=True)
class Searched:
    """A record: the trials, and what each says of the patients kept apart.

    Attributes:
        group, at: as of `Unit`.
        trials: complete ones, each head once.
        apart: trial number → (m,) probabilities of the patients kept apart.
        truth: (m,) their labels.
        repeated: trial number → scores on other repeats of the folds, of the shortlist.
    """

    group: str
    at: tuple[int, int]
    trials: list[TrialSummary]
    apart: dict[int, Floats]
    truth: NDArray[np.int8]
    repeated: dict[int, dict[str, float]]

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> "Searched":
        """The opposite of `record_of`."""
        y, folds = np.array(record["y"], np.int8), np.array(record["folds"], np.int8)
        trials = [_trial(one, y, folds) for one in record["trials"]]
        return cls(
            str(record["group"]), (int(record["at"][0]), int(record["at"][1])), trials,
            {one["number"]: unpack(one["apart"]) for one in record["trials"]},
            np.array(record["truth"], np.int8),
            {one["number"]: one["repeated"] for one in record["trials"] if one["repeated"]},
        )  # fmt: skip

    def ensembles(self, metric: str) -> dict[str, dict[int, float]]:
        """Per rule of `final.ensemble`, trial number → share; chosen once for all rules, since it takes seconds."""
        if metric not in self._ensembles:
            choices = select_ensemble(self.trials, metric, AVERAGED).choices
            self._ensembles[metric] = {choice.rule: choice.weights for choice in choices}
        return self._ensembles[metric]

    @cached_property
    def _ensembles(self) -> dict[str, dict[str, dict[int, float]]]:
        return {}

    def scores(self, chosen: Average) -> dict[str, float]:
        """Of what was chosen, on the patients kept apart."""
        p = np.asarray(sum(w * self.apart[t.number] for t, w in chosen.members))
        return _scored(self.truth, np.clip(p, 0, 1), chosen.threshold)


def _trial(record: Mapping[str, Any], y: NDArray[np.int8], folds: NDArray[np.int8]) -> TrialSummary:
    scores: TrialScores = scores_from_attrs(record["scores"])
    return TrialSummary(record["number"], record["params"], record["inputs"], scores, y, folds)


def _scored(y: NDArray[np.int8], p: Floats, threshold: float) -> dict[str, float]:
    return {m: score(m, y, METRICS[m].judged(p, p >= threshold)) for m in SCORES}
