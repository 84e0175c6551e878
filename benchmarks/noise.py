"""Does the nested interval have the stated coverage? Simulated cohorts whose labels mean nothing, and such with a known
signal.

Usage: python benchmarks/noise.py [noise] [signal] [--cohorts 100] [--jobs 2] [--trials 30] [--heads lda,logistic]
           [--strength 2.0] [--record FILE]

    noise   80 patients × 10 images × 64 features; labels have nothing to do with images or clinical values, so that
            the true AUC and balanced accuracy are 0.5
    signal  163 patients × 30 images × 2 features; the label shows in the mean of the features. Two truths: what the
            five fitted heads reach on 4000 more patients of the same truth, on average, which is what nested
            cross-validation estimates; and the AUC that the true probabilities of these patients reach, the best
            possible one

For each cohort: nested cross-validation, and the plain search on all folds with as many trials. Counted is how often
the 95 % intervals hold the truth: of the nested AUC (DeLong; the probabilities unchanged, and those of all folds on
one scale, see `Nested.scores`), of the nested balanced accuracy (BCa), and the same of what was selected. The optimism
of the AUC is the difference of two mean scores of the same kind. Finished cohorts are kept in --record, so that a
stopped run goes on.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np

SHAPES = {"noise": (80, 10, 64), "signal": (163, 30, 2)}  # patients, images of each, features
N_NEW = 4000  # patients that the heads' true scores are measured on


@dataclass(frozen=True)
class TrialTask:
    """One cohort."""

    kind: str
    seed: int
    patients: int
    images: int
    dim: int
    trials: int
    head_types: tuple[str, ...]
    strength: float

    @property
    def key(self) -> str:
        return f"3 {astuple(self)}"  # the number changes with what is measured


def measure(task: TrialTask) -> dict[str, Any]:
    """Nested and selected intervals of one cohort, and the truths about it."""
    from lymphofeat.cache import open_cache, save_cache
    from lymphofeat.estimates import delong_interval, describe
    from lymphofeat.nested.engine import LEDGER, Engine
    from lymphofeat.nested.pipeline import Pipeline, Run
    from lymphofeat.progress import Silent
    from lymphofeat.storage.journal import open_ledger
    from lymphofeat.studies.space import Space
    from lymphofeat.studies.workers import workers
    from lymphofeat.synthetic.features import simulate_features

    signal = "mean" if task.kind == "signal" else "none"
    n_new = N_NEW if task.kind == "signal" else 0
    simulated = simulate_features(
        task.patients + n_new, task.images, task.dim, signal=signal, strength=task.strength, seed=task.seed
    )
    new = np.arange(len(simulated.y)) >= task.patients
    table = simulated.table.assign(
        split=np.where(new, "test", "train"), label=np.where(new, -1, simulated.y).astype(np.int8)
    )
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "c.h5"
        save_cache(cache, table, {"drawn": np.concatenate(simulated.bags)}, n_repeats=1)
        start = time.perf_counter()
        pipeline = Pipeline("main", cache, "drawn", Space.of(task.head_types), task.trials, "auc")
        with workers(1) as layout, open_ledger(Path(folder) / LEDGER) as ledger:
            engine = Engine(open_cache(cache), Path(folder), layout, ledger, Silent())
            found = engine.run(pipeline, [Run(0, 0, 0)])
            seconds = time.perf_counter() - start
            study = engine.selected(pipeline, 0)
            best, of_best = study.selected, engine.on_one_scale(pipeline, study, 0)
        truth = {"procedure": 0.5, "best": 0.5, "decisions": 0.5}
        if n_new:
            truth = _truths(open_cache(cache), found, simulated.y[new], simulated.probability[new])
    metrics = ("auc", "balanced_accuracy")
    intervals = dict(describe(found.y, found.probabilities[:, 0], found.decisions[:, 0], names=metrics))
    # The tables of docs/coverage.md are of DeLong's interval of the AUC.
    intervals["auc"] = delong_interval(found.y, found.probabilities[:, 0])
    one_scale = delong_interval(found.y, found.scores[:, 0])
    best_on_one_scale = delong_interval(of_best.y, of_best.scores[:, 0])
    selected = dict(describe(of_best.y, best.probabilities[:, 0], best.decisions[:, 0], names=metrics))
    selected["auc"] = delong_interval(of_best.y, best.probabilities[:, 0])
    return {
        "kind": task.kind,
        "truth": truth,
        "nested": {name: list(interval) for name, interval in intervals.items()},
        "on one scale": {"auc": list(one_scale)},
        "tuned": {name: list(interval) for name, interval in selected.items()},
        "tuned on one scale": {"auc": list(best_on_one_scale)},
        "seconds": seconds,
    }


def _truths(cache: Any, found: Any, y: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    """What the outer folds' heads reach on the new patients, on average, and what the best prediction reaches."""
    from lymphofeat.estimates.scores import balanced_accuracy_score, roc_auc_score
    from lymphofeat.heads.base import FitCache, fit_predict
    from lymphofeat.studies.space import build_head

    new, fit_cache = np.flatnonzero(cache.labels < 0), FitCache()
    areas, accuracies = [], []
    for fold in found.folds_of_runs:
        split = cache.predicting(cache.split("drawn", {fold.fold}, repeat=fold.repeat), new)
        p = sum(
            weight * fit_predict(build_head(params), [split], cache.clinical, cache.labels, fit_cache)[0]
            for params, weight in fold.members
        )
        areas.append(roc_auc_score(y, p))
        accuracies.append(balanced_accuracy_score(y, p >= fold.threshold))
    return {
        "procedure": float(np.mean(areas)),
        "best": roc_auc_score(y, probability),
        "decisions": float(np.mean(accuracies)),
    }


def report(kind: str, found: Sequence[dict[str, Any]]) -> None:
    """A row per interval and truth."""
    seconds = np.mean([f["seconds"] for f in found])
    print(f"\n{kind}: {len(found)} cohorts, {seconds:.1f} s of nested cross-validation each")
    print("| 95 % interval of | true value | covers | below | above | mean score | mean true value |")
    print("|---|---|---|---|---|---|---|")
    truths = {"auc": {"procedure": "the heads' true AUC", "best": "the best possible AUC"},
              "balanced_accuracy": {"decisions": "the heads' true balanced accuracy"}}  # fmt: skip
    if kind == "noise":
        truths = {"auc": {"best": "0.5"}, "balanced_accuracy": {"decisions": "0.5"}}
    for metric, by_truth in truths.items():
        for truth, name in by_truth.items():
            for score in ("nested", "on one scale", "tuned", "tuned on one scale"):
                if metric not in found[0][score]:
                    continue
                intervals = np.array([f[score][metric] for f in found])
                true = np.array([f["truth"][truth] for f in found])
                below, above = true < intervals[:, 1], true > intervals[:, 2]
                print(
                    f"| {score} {metric.replace('_', ' ')} | {name} | {1 - (below | above).mean():.0%} | "
                    f"{below.mean():.0%} | {above.mean():.0%} | {intervals[:, 0].mean():.3f} | {true.mean():.3f} |"
                )


def main() -> None:
    from lymphofeat.storage.journal import open_ledger

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", help=f"of {', '.join(SHAPES)}; both by default")
    parser.add_argument("--cohorts", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--heads", default="lda,logistic")
    parser.add_argument("--strength", type=float, default=2.0)
    parser.add_argument("--record", type=Path, default=Path(tempfile.gettempdir()) / "lymphofeat-noise.jsonl")
    options = parser.parse_args()
    kinds = options.kinds or list(SHAPES)
    if not set(kinds) <= set(SHAPES):
        parser.error(f"kinds are {', '.join(SHAPES)}")
    head_types = tuple(options.heads.split(","))
    tasks = [
        TrialTask(kind, seed, *SHAPES[kind], options.trials, head_types, options.strength)
        for kind in kinds
        for seed in range(options.cohorts)
    ]
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the processes: the matrices are small
    context = multiprocessing.get_context("spawn")
    with open_ledger(options.record) as ledger, ProcessPoolExecutor(options.jobs, context) as pool:
        waiting = {pool.submit(measure, t): t.key for t in tasks if ledger.get(t.key) is None}
        for done in as_completed(waiting):
            ledger.add(waiting[done], done.result())
            print(f"{sum(w.done() for w in waiting)} of {len(waiting)}", end="\r", flush=True)
        for kind in kinds:
            report(kind, [ledger.get(t.key) or {} for t in tasks if t.kind == kind])


if __name__ == "__main__":
    main()
