"""How long nested cross-validation takes: a whole search inside each of five outer folds.

Usage: python benchmarks/nested.py [--trials 50] [--jobs 2] [--patients 163] [--images 100] [--dim 512] [--heads …]

On a simulated cohort (a signal in the mean of the features), in a process of its own. Prints the wall time, what part
of it is scoring, the CPU time of this process and its children, the largest memory of either, the scores, and the same
again from the finished folds (what a command that is given once more takes).
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from tune import make_cache


def run(cache: Path, folder: Path, trials: int, heads: Sequence[str], jobs: int) -> dict[str, Any]:
    """Nested cross-validation twice: anew, and from what the first left."""
    from lymphofeat.estimates.scores import score
    from lymphofeat.heads.registry import head_types
    from lymphofeat.nested import nested

    head_types()  # imports are paid once, whatever the number of trials
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        found = nested(cache, folder, trials=trials, heads=heads, jobs=jobs)
        seconds.append(time.perf_counter() - start)
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    inside = [fold.tuned["balanced_accuracy"] for fold in found.folds_of_runs]
    return {
        "seconds": seconds,
        "scoring": sum(fold.seconds for fold in found.folds_of_runs),
        "cpu": sum(u.ru_utime + u.ru_stime for u in usage),
        "mib": [u.ru_maxrss / 1024 for u in usage],
        "folds": [
            f"{', '.join(str(params['family']) for params, _ in fold.members)} {fold.seconds:.0f} s"
            for fold in found.folds_of_runs
        ],
        "nested": score("balanced_accuracy", found.y, found.decisions[:, 0]),
        "inside": float(np.mean(inside)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--patients", type=int, default=163)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--heads", default="", help="of heads; all by default")
    options = parser.parse_args()
    heads = [name for name in options.heads.split(",") if name]
    context = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as fresh,
    ):
        cache = Path(folder) / "c.h5"
        size = (options.patients, options.images, options.dim)
        fresh.submit(make_cache, cache, *size).result()
        arguments = (cache, Path(folder) / "nested", options.trials, heads, options.jobs)
        found = fresh.submit(run, *arguments).result()
    first, again = found["seconds"]
    print(
        f"{options.patients} × {options.images} × {options.dim}, 5 outer folds × {options.trials} trials, "
        f"{options.jobs} processes: {first:.1f} s, {found['scoring']:.1f} s of scoring; again {again:.1f} s"
    )
    print(
        f"CPU time {found['cpu']:.1f} s; largest memory {found['mib'][0]:.0f} and {found['mib'][1]:.0f} MiB"
    )
    print(f"Balanced accuracy nested {found['nested']:.3f}, inside {found['inside']:.3f}: {found['folds']}")


if __name__ == "__main__":
    main()
