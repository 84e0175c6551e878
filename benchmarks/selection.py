"""Which of a study's heads is best for patients never seen: the table of docs/bundle.md.

    python benchmarks/selection.py run RECORDS.jsonl --cache cache/features.h5 --repeats 3
    python benchmarks/selection.py run RECORDS.jsonl --simulated 42
    python benchmarks/selection.py table RECORDS.jsonl

A cohort's labelled patients are divided again and again into a development part and patients kept apart, persons
together and classes spread evenly. `tune` searches on the development part, as a user would; every head that it
finished is fitted once more on the whole development part and predicts the patients kept apart. All rules of selection
then choose from this one search, so that they are compared in pairs. Simulated cohorts are drawn from
lymphofeat/synthetic/features.py, each with a thousand patients kept apart.

`run` may be stopped and goes on; a record is one line of JSON with the predictions of one search. It holds
out-of-fold probabilities of single patients, so records of a real cohort stay out of the repository. `table` prints
mean scores only.
"""

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lymphofeat.cache import open_cache, save_cache
from lymphofeat.cache.reader import Cache
from lymphofeat.cache.split import Split
from lymphofeat.cohort.folds import assign_repeats, persons
from lymphofeat.estimates.repeated import corrected_t
from lymphofeat.estimates.scores import Interval, score
from lymphofeat.final.ensemble import select_ensemble
from lymphofeat.heads.base import FitCache, fit_predict
from lymphofeat.metric import METRICS
from lymphofeat.parallel import one_thread
from lymphofeat.scoring.plan import labels_of
from lymphofeat.scoring.score import TrialScores, weighs_equally
from lymphofeat.scoring.threshold import prevalence_threshold
from lymphofeat.storage.journal import open_ledger
from lymphofeat.storage.json_arrays import pack, unpack
from lymphofeat.studies import tune
from lymphofeat.studies.average import Average
from lymphofeat.studies.record import scores_from_attrs, scores_to_attrs
from lymphofeat.studies.sampling import point_key
from lymphofeat.studies.selection import AVERAGED, Candidate, ranked, select
from lymphofeat.studies.space import Space, build_head
from lymphofeat.studies.summary import load_trials
from lymphofeat.studies.trial import TrialSummary
from lymphofeat.synthetic.features import LOG_COUNT_MEAN, LOG_COUNT_SD, FeatureSignal, simulate_features

Floats = NDArray[np.float64]

SIMULATED = "simulated"  # how the group of a simulated cohort begins
SIGNALS = (*get_args(FeatureSignal), "both")
THIRDS = 3  # one of them is kept apart
DEVELOPMENT, APART, IMAGES, DIM = 100, 1000, (20, 50), 16
SHARE = 0.69  # of malignant patients, as in the challenge's cohort
SHORTLIST, MORE_REPEATS = 10, 4
SCORES = ("balanced_accuracy", "auc", "log_loss", "brier")
BASELINE = "best balanced accuracy"


# ---------------------------------------------------------------- cohorts


@dataclass(frozen=True)
class Unit:
    """One search and the patients kept apart from it.

    Attributes:
        key: of its record.
        group: what its scores are averaged with: the cohort's encoding, or "simulated".
        at: repeat and part of a real cohort; number of a simulated one and 0.
        table: all patients, those kept apart with split "test" and without labels.
        features: (n_images, D) float32.
        truth: (m,) labels of the patients kept apart.
    """

    key: str
    group: str
    at: tuple[int, int]
    table: pd.DataFrame
    features: NDArray[np.float32]
    truth: NDArray[np.int8]


def units_of_cache(cache: Cache, repeats: int) -> Iterator[Unit]:
    """Repeats × thirds × encodings of the labelled patients of a cache."""
    labelled = np.flatnonzero(cache.labels >= 0)
    table = cache.tables.patients.iloc[labelled].reset_index(drop=True)
    labels = table["label"].to_numpy(np.int8)
    parts = assign_repeats(labels, persons(table), THIRDS, repeats, seed=35)
    for repeat in range(repeats):
        for part in range(THIRDS):
            for name in sorted(cache.encodings):
                bags = cache.bags(name).select(labelled)
                features = np.concatenate(list(bags))
                held = parts[:, repeat] == part
                yield _unit(
                    f"{cache.fingerprint} {name} {repeat} {part}", name, (repeat, part), table, features, held
                )


def simulated_units(number: int) -> Iterator[Unit]:
    """So many simulated cohorts, the signals in turn."""
    for seed in range(number):
        signal = SIGNALS[seed % len(SIGNALS)]
        rng = np.random.default_rng([seed, 35])
        kept_of_reactive = (1 - SHARE) / SHARE
        n = 2 * int(np.ceil((DEVELOPMENT + APART) * SHARE * 1.1))
        simulated = simulate_features(
            n, IMAGES, DIM, signal="mean" if signal == "both" else signal, strength=2.0, seed=seed
        )
        rows = np.flatnonzero((simulated.y == 1) | (rng.random(n) < kept_of_reactive))[: DEVELOPMENT + APART]
        table = simulated.table.iloc[rows].reset_index(drop=True)
        # Of a thousand simulated persons some share a day of birth; none of them is another record of the same person.
        table["birth"] = [
            f"{1930 + k // 336}-{k // 28 % 12 + 1:02d}-{k % 28 + 1:02d}" for k in range(len(table))
        ]
        y = table["label"].to_numpy(np.int8)
        if signal == "both":
            table["lymphocyte_count"] = np.exp(LOG_COUNT_MEAN + LOG_COUNT_SD * rng.normal(2.0 * (y - 0.5)))
        features = np.concatenate([simulated.bags[k] for k in rows])
        held = np.arange(len(table)) >= DEVELOPMENT
        yield _unit(f"{SIMULATED} {signal} {seed}", f"{SIMULATED} {signal}", (seed, 0), table, features, held)


def _unit(
    key: str,
    group: str,
    at: tuple[int, int],
    table: pd.DataFrame,
    features: NDArray[np.float32],
    held: NDArray[np.bool_],
) -> Unit:
    truth = table["label"].to_numpy(np.int8)[held]
    split = np.where(held, "test", "train")
    table = table.assign(split=split, label=np.where(held, -1, table["label"]).astype(np.int8))
    return Unit(key, group, at, table, features, truth)


# ---------------------------------------------------------------- one search


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
    found = {t.number: t for metric in metrics for t in _best_ones(trials, metric, SHORTLIST)}
    return list(found.values())


def _best_ones(trials: Sequence[TrialSummary], metric: str, size: int) -> list[TrialSummary]:
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


# ---------------------------------------------------------------- rules


def _one(trial: TrialSummary) -> Average:
    return Average(((trial, 1.0),))


def _plain_average(metric: str) -> Callable[["Searched"], Average]:
    return lambda one: Average(tuple((t, 1 / AVERAGED) for t in _best_ones(one.trials, metric, AVERAGED)))


def _named(rule: str) -> Callable[["Searched"], Average]:
    return lambda one: select([Candidate.of(t) for t in one.trials], rule)


def _greedy(metric: str, rule: str) -> Callable[["Searched"], Average]:
    def choose(one: "Searched") -> Average:
        by_number = {t.number: t for t in one.trials}
        return Average(tuple((by_number[n], w) for n, w in one.ensembles(metric)[rule].items()))

    return choose


def _repeated(metric: str) -> Callable[["Searched"], Average]:
    """The best of the shortlist, averaged over the search's folds and the other repeats."""

    def choose(one: "Searched") -> Average:
        sign = -METRICS[metric].sign

        def value(trial: TrialSummary) -> float:
            others = MORE_REPEATS * one.repeated[trial.number][metric]
            return sign * (trial.scores.values[metric] + others) / (1 + MORE_REPEATS)

        return _one(min(_best_ones(one.trials, metric, SHORTLIST), key=value))

    return choose


def _fixed(number: int) -> Callable[["Searched"], Average]:
    """A head that no search chose: one of the points that every search begins with."""
    point = Space.of().default_params()[number]
    return lambda one: _one(next(t for t in one.trials if t.params == point))


def _fixed_average(one: "Searched") -> Average:
    """The plain average of the fixed heads on clinical values and on images."""
    return Average(tuple((_fixed(number)(one).members[0][0], 0.5) for number in (0, 1)))


CHOICES: Mapping[str, Callable[["Searched"], Average]] = {
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
        """Per rule of `studies.ensemble`, trial number → share; chosen once for all rules, since it takes seconds."""
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


# ---------------------------------------------------------------- table


def table(records: Sequence[Mapping[str, Any]], *, simulated: bool) -> str:
    """In Markdown: mean scores on the patients kept apart, and the paired differences to `BASELINE`."""
    found = [Searched.read(r) for r in records]
    if not simulated:  # repeats that are whole, in every encoding
        most = Counter(one.at[0] for one in found)
        found = [one for one in found if most[one.at[0]] == max(most.values())]
    values: dict[tuple[str, str], list[float]] = {(rule, m): [] for rule in CHOICES for m in SCORES}
    for one in found:
        for rule, choose in CHOICES.items():
            for metric, value in one.scores(choose(one)).items():
                values[rule, metric].append(value)
    lines = [
        "| rule | balanced accuracy | AUC | log loss ↓ | Δ balanced accuracy | Δ AUC | Δ log loss |",
        "|---|" + "---|" * 6,
    ]
    for rule in CHOICES:
        shown = [f"{np.mean(values[rule, m]):.3f}" for m in SCORES[:3]]
        for metric in SCORES[:3]:
            difference = np.array(values[rule, metric]) - np.array(values[BASELINE, metric])
            shown.append("" if rule == BASELINE else _text(_interval(found, difference, simulated=simulated)))
        lines.append(f"| {rule} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def _interval(found: Sequence[Searched], difference: Floats, *, simulated: bool) -> Interval:
    """The mean difference with its 95 % interval.

    Of a real cohort the corrected t interval over repeats × thirds (Nadeau & Bengio 2003), each averaged over the
    encodings; of simulated cohorts, which share nothing, the plain bootstrap of the cohorts within the signals.
    """
    if not simulated:
        ats = sorted({one.at for one in found})
        each = [np.mean([d for one, d in zip(found, difference, strict=True) if one.at == at]) for at in ats]
        return corrected_t(np.array(each).reshape(-1, THIRDS), unit=False)
    rng = np.random.default_rng(0)
    groups = np.array([one.group for one in found])
    means = np.zeros(4000)
    for group in np.unique(groups):
        own = difference[groups == group]
        simulated = rng.integers(len(own), size=(len(means), len(own)))
        means += own[simulated].sum(axis=1) / len(difference)
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(difference.mean()), float(low), float(high))


def _text(interval: Interval) -> str:
    return f"{interval.value:+.3f} ({interval.low:+.3f} to {interval.high:+.3f})"


def tables(path: Path) -> Iterator[str]:
    """Of the real cohorts together, and of the simulated ones."""
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for simulated in (False, True):
        own = [r for r in records if r["group"].startswith(SIMULATED) == simulated]
        if own:
            groups = Counter(r["group"] for r in own)
            listed = ", ".join(f"{n} × {group}" for group, n in sorted(groups.items()))
            yield f"{len(own)} searches of {own[0]['n_trials']} trials: {listed}\n\n{table(own, simulated=simulated)}"


def main() -> None:
    """Parse, compute, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("records", type=Path, help="one line of JSON per search")
    parser.add_argument("--cache", type=Path, help="of a cohort with labels, frozen encodings only")
    parser.add_argument("--repeats", type=int, default=3, help="divisions into thirds (default: 3)")
    parser.add_argument("--simulated", type=int, default=0, metavar="N", help="so many simulated cohorts")
    parser.add_argument("--trials", type=int, default=100, help="of each search (default: 100)")
    parser.add_argument(
        "--heads",
        nargs="*",
        default=[],
        metavar="NAME",
        help="of heads (default: all); neural ones cost most",
    )
    parser.add_argument("--minutes", type=float, default=np.inf, help="begin no search after this time")
    arguments = parser.parse_args()
    if arguments.what == "table":
        print("\n\n".join(tables(arguments.records)))
        return
    started = time.monotonic()
    kinds = [simulated_units(arguments.simulated)]
    if arguments.cache is not None:
        kinds.insert(0, units_of_cache(open_cache(arguments.cache), arguments.repeats))
    with open_ledger(arguments.records) as ledger:
        for unit in (unit for turn in zip_longest(*kinds) for unit in turn if unit is not None):
            key = " ".join([unit.key, str(arguments.trials), *arguments.head_types])
            if ledger.get(key) is not None:
                continue
            if time.monotonic() - started > 60 * arguments.minutes:
                return
            record = record_of(unit, arguments.trials, arguments.head_types)
            ledger.add(key, record)
            seconds = " + ".join(f"{s:.0f}" for s in record["seconds"])
            print(f"{unit.key}: {seconds} s, {record['cpu']:.0f} s of processor", flush=True)


if __name__ == "__main__":
    main()
