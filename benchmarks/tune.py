"""How long a search takes, and what part of it is not fitting: Optuna, SQLite, bookkeeping.

Usage: python benchmarks/tune.py [whole] [linear] [patients] [chosen] [memory] [jobs]
           [--trials 200] [--linear-trials 1000] [--patients 163] [--images 100] [--dim 512] [--memory-images 200000]

On simulated cohorts (a signal in the mean of the features). Each part runs in a process of its own:

    whole     trials of the whole space
    linear    trials of the linear head types (logistic regression and discriminant analysis)
    patients  the same points of the whole space, each scored to its end, on ten times the patients against on as many
              as given
    chosen    a search's first trials on either: points and early stops follow from what it finds, and where more heads
              are worth finishing, it takes longer
    memory    the largest memory of a process that searches on so many images
    jobs      trials of the whole space with two processes

Prints the wall time, the share that is not spent in scoring, the CPU time, the time by head type, and the largest
memory.
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

Found = dict[str, Any]
PARTS = ("whole", "linear", "patients", "chosen", "memory", "jobs")


def make_cache(path: Path, n_patients: int, n_images: int, dim: int) -> Path:
    """A cache with one label-free encoding of simulated features; about `n_images` images a patient."""
    from lymphofeat.cache import save_cache
    from lymphofeat.synthetic.features import simulate_features

    simulated = simulate_features(
        n_patients, (max(1, n_images // 2), n_images * 3 // 2), dim, signal="mean", strength=3.5, seed=1
    )
    features = np.concatenate(simulated.bags)
    save_cache(path, simulated.table, {"drawn": features}, n_repeats=1)
    return path


def search(cache: Path, study: Path, trials: int, heads: Sequence[str], jobs: int) -> Found:
    """Search in this process; seconds in all, in scoring and by head type."""
    from lymphofeat.heads.registry import head_types
    from lymphofeat.studies import evaluate, tune

    head_types()  # imports are paid once, whatever the number of trials
    by_head_type: dict[str, list[float]] = defaultdict(list)
    evaluator_call = evaluate.Evaluator.__call__

    def timed(self: evaluate.Evaluator, task: evaluate.TrialTask) -> evaluate.TrialResult:
        start = time.perf_counter()
        result = evaluator_call(self, task)
        by_head_type[task.params["family"]].append(time.perf_counter() - start)
        return result

    evaluate.Evaluator.__call__ = timed  # type: ignore[method-assign]
    start, cpu = time.perf_counter(), time.process_time()
    summary = tune(cache, study, n_trials=trials, heads=heads, jobs=jobs)
    wall = time.perf_counter() - start
    return {
        "trials": summary.n_trials,
        "pruned": summary.n_pruned,
        "wall": wall,
        "cpu": time.process_time() - cpu,
        "scoring": sum(map(sum, by_head_type.values())),
        "by_head_type": {name: [len(each), sum(each)] for name, each in sorted(by_head_type.items())},
        "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "best": summary.best.scores.values["balanced_accuracy"],
    }


def points(caches: Sequence[Path], study: Path, trials: int) -> list[dict[str, list[float]]]:
    """For each cache, the seconds by head type of the points that a search on the first one finds."""
    from lymphofeat.studies import evaluate, tune

    tasks: list[evaluate.TrialTask] = []
    evaluator_call = evaluate.Evaluator.__call__

    def noted(self: evaluate.Evaluator, task: evaluate.TrialTask) -> evaluate.TrialResult:
        tasks.append(replace(task, incumbent=None))
        return evaluator_call(self, task)

    evaluate.Evaluator.__call__ = noted  # type: ignore[method-assign]
    tune(caches[0], study, n_trials=trials)
    found = []
    for cache in caches:
        evaluator, by_head_type = evaluate.Evaluator(), defaultdict(list)
        for task in tasks:
            start = time.perf_counter()
            evaluator_call(evaluator, replace(task, spec=replace(task.spec, cache=cache)))
            by_head_type[task.params["family"]].append(time.perf_counter() - start)
        found.append(dict(by_head_type))
    return found


def same_points(few: tuple[int, int, int], trials: int) -> None:
    """Print how much longer each head type takes on ten times the patients."""
    many = (10 * few[0], *few[1:])
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(1, mp_context=context) as fresh:
        caches = [Path(folder) / name for name in ("few.h5", "many.h5")]
        for cache, size in zip(caches, (few, many), strict=True):
            fresh.submit(make_cache, cache, *size).result()
        short, long = fresh.submit(points, caches, Path(folder) / "s.db", trials).result()
    for name in sorted(short):
        a, b = sum(short[name]), sum(long[name])
        print(f"  {name} {len(short[name])} × : {a:.2f} s, {b:.1f} s, {b / a:.1f} ×")
    a, b = (sum(map(sum, found.values())) for found in (short, long))
    print(
        f"the same {trials} points, 10 × the patients: {a:.1f} s, {b:.1f} s, {b / a:.1f} × the time",
        flush=True,
    )


def apart(
    part: str, size: tuple[int, int, int], trials: int, heads: Sequence[str] = (), jobs: int = 1
) -> Found:
    """`search` in a process of its own, on a cohort that another one has simulated."""
    context = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as fresh,
    ):
        cache = fresh.submit(make_cache, Path(folder) / "c.h5", *size).result()
        found = fresh.submit(search, cache, Path(folder) / "s.db", trials, heads, jobs).result()
    show(part, found)
    return found


def show(part: str, f: Found) -> None:
    print(
        f"{part}: {f['trials']} trials ({f['pruned']} stopped early) in {f['wall']:.1f} s, CPU time {f['cpu']:.1f} s, "
        f"largest memory {f['mib']:.0f} MiB, best balanced accuracy {f['best']:.3f}"
    )
    if f["scoring"]:
        rest = f["wall"] - f["scoring"]
        print(
            f"  not scoring: {rest:.1f} s, {rest / f['wall']:.0%}, {1000 * rest / f['trials']:.0f} ms a trial"
        )
        each = ", ".join(
            f"{name} {n} × {seconds / n:.2f} s" for name, (n, seconds) in f["by_head_type"].items()
        )
        print(f"  {each}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--linear-trials", type=int, default=1000)
    parser.add_argument("--patients", type=int, default=163)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--ratio-trials", type=int, default=40)
    parser.add_argument("--memory-images", type=int, default=200_000)
    parser.add_argument("--memory-trials", type=int, default=40)
    options = parser.parse_args()
    parts = options.parts or PARTS
    if not set(parts) <= set(PARTS):
        parser.error(f"parts are {', '.join(PARTS)}")
    size = (options.patients, options.images, options.dim)
    if "whole" in parts:
        apart("whole space", size, options.trials)
    if "linear" in parts:
        apart("linear head types", size, options.linear_trials, ["lda", "logistic"])
    if "patients" in parts:
        same_points(size, options.ratio_trials)
    if "chosen" in parts:
        few, many = (
            apart(f"{n} patients", (n, *size[1:]), options.ratio_trials)
            for n in (options.patients, 10 * options.patients)
        )
        print(
            f"10 × the patients: {many['wall'] / few['wall']:.1f} × the time, {many['cpu'] / few['cpu']:.1f} × CPU"
        )
    if "memory" in parts:
        images = options.memory_images
        apart(f"{images:,} images", (images // 100, 100, options.dim), options.memory_trials)
    if "jobs" in parts:
        apart("whole space, two processes", size, options.trials, jobs=2)


if __name__ == "__main__":
    main()
