"""What an executor costs beside one process, and what moves between processes: the slopes behind docs/scale.md.

Usage: python benchmarks/scale.py [reading] [engine] [extraction] [nested] [pooled]
           [--workers 1 2 4] [--engines standard dask] [--patients 20 60] [--trials 5 25] [--rounds 2] [--folder F]

On simulated cohorts. Each part alone; quiet machines only.

    reading     what a cohort's files cost the command that was started, before anything is encoded: seconds and bytes
                of memory per image, of folders with small files
    engine      seconds per task that does nothing, of 200 bytes and of the features of 64 images
    extraction  `extract --frozen` on an executor's workers against one process with as many threads: two sizes, whose
                difference is what an image costs; start-up is what is left
    nested      nested cross-validation of linear heads likewise: two numbers of trials
    pooled      memory and time of `tune` on 100,000 patients of pooled features, 100 images each

Bytes are those of pickled arguments and results, counted where they are handed over and come back.
"""

import argparse
import contextlib
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

PARTS = ("reading", "engine", "extraction", "nested", "pooled")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class Counted(Executor):
    """Another executor, and the bytes that went there and came back.

    Args:
        inner: does the work.
    """

    def __init__(self, inner: Executor) -> None:
        self.inner, self.out, self.back, self.tasks = inner, 0, 0, 0
        for name in ("_max_workers", "_client"):  # what is asked of executors besides `submit`
            if hasattr(inner, name):
                setattr(self, name, getattr(inner, name))

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        self.tasks += 1
        self.out += len(pickle.dumps((fn, args, kwargs)))
        future = self.inner.submit(fn, *args, **kwargs)
        future.add_done_callback(self._came)
        return future

    def _came(self, future: "Future[Any]") -> None:
        if not future.cancelled() and future.exception() is None:
            self.back += len(pickle.dumps(future.result()))


@contextlib.contextmanager
def standard(workers: int) -> Iterator[Executor]:
    """Processes of the standard library."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield pool


@contextlib.contextmanager
def dask(workers: int) -> Iterator[Executor]:
    """A Dask scheduler and its workers, each a process of its own on the loopback."""
    from distributed import Client

    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        file = Path(folder) / "scheduler.json"
        common = ["--scheduler-file", str(file), "--no-dashboard"]
        commands = [["scheduler", *common, "--host", "127.0.0.1", "--port", "0"]]
        commands += [["worker", *common, "--nthreads", "1", "--no-nanny"]] * workers
        for command in commands:
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *command], cwd=folder, stderr=subprocess.DEVNULL,
                env=os.environ | ONE_THREAD | {"PYTHONPATH": os.pathsep.join(sys.path)},
            )  # fmt: skip
            stack.callback(process.wait)
            stack.callback(process.terminate)
        client = stack.enter_context(Client(scheduler_file=str(file), timeout=60))
        client.wait_for_workers(workers, timeout=60)
        yield client.get_executor()


ENGINES: dict[str, Callable[[int], contextlib.AbstractContextManager[Executor]]] = {
    "standard": standard,
    "dask": dask,
}


def nothing(size: int, token: str) -> bytes:
    """A task that does nothing."""
    return b"\0" * size


def handed(size: int, number: int) -> tuple[Callable[..., bytes], tuple[Any, ...]]:
    """The function of a task and its arguments."""
    from scale import nothing  # by this module's name: workers have another `__main__`

    return nothing, (size,)


def engine(asked: argparse.Namespace) -> None:
    from lymphofeat.errors import StudyError
    from lymphofeat.executor import Kind, hand_out

    print("engine: milliseconds a task, that does nothing")
    for name in asked.engines:
        for workers in asked.workers:
            with ENGINES[name](workers) as executor:
                row = []
                for size in (200, 64 * 512 * 4):
                    call = partial(handed, size)
                    kind = Kind[int](call, str, str, StudyError, "Nothing is lost")
                    list(hand_out(executor, range(100), kind))  # processes start
                    start = time.perf_counter()
                    list(hand_out(executor, range(1000), kind))
                    row.append(time.perf_counter() - start)
            small, large = row
            print(f"  {name:9s} {workers} workers  200 B {small:6.2f}  131 kB {large:6.2f}", flush=True)


def extracted(cohort: str, cache: str, workers: int, executor: Executor | None) -> None:
    from lymphofeat import extract

    how: dict[str, Any] = {"workers": workers} if executor is None else {"executor": executor}
    extract(cohort, cache, frozen=True, weights="none", seed=0, n_folds=3, dtype="float32", **how)


def nested_(cache: str, folder: str, trials: int, executor: Executor | None) -> None:
    from lymphofeat.nested.engine import nested

    how: dict[str, Any] = {} if executor is None else {"executor": executor}
    nested(Path(cache), Path(folder), trials=trials, heads=["logistic", "lda"], **how)


def slopes(
    asked: argparse.Namespace, sizes: list[int], units: list[int], work: Callable[..., Any], unit: str
) -> None:
    """Print seconds per unit and at the start: alone, and on executors.

    Args:
        asked: the options.
        sizes: two, handed to `work`.
        units: how many units of work each has.
        work: called with a size, the number of workers, an executor or None, and a fresh folder.
        unit: its name.
    """
    per = {}
    for workers in [w for w in asked.workers if w <= 2]:
        per[workers] = best(asked, sizes, units, lambda size, f, w=workers: work(size, w, None, f))
        told(f"one process, {workers} threads", per[workers], 1.0, unit)
        if unit == "trial":
            per.setdefault(2, per[workers])
            break
    for name in asked.engines:
        for workers in asked.workers:
            with ENGINES[name](workers) as inner:
                executor = Counted(inner)
                work(sizes[0], workers, executor, fresh(asked))  # imports
                executor.out = executor.back = executor.tasks = 0
                found = best(asked, sizes, units, lambda size, f, w=workers, e=executor: work(size, w, e, f))
            fair = per[min(workers, 2)][0] * (1 if unit == "image" else 1 / min(workers, 2))
            told(f"{name}, {workers} workers", found, found[0] / fair, unit)
            n = asked.rounds * sum(units)
            moved = f"{executor.out / n:.0f} bytes out and {executor.back / n:.0f} back per {unit}"
            print(f"      {executor.tasks} tasks; {moved}")


def best(
    asked: argparse.Namespace, sizes: list[int], units: list[int], work: Callable[..., Any]
) -> tuple[float, float]:
    """Seconds per unit, and what is left at the start, from the best round of each size."""
    took = []
    for size in sizes:
        seconds = []
        for _ in range(asked.rounds):
            folder = fresh(asked)
            start = time.perf_counter()
            work(size, folder)
            seconds.append(time.perf_counter() - start)
        took.append(min(seconds))
    slope = (took[1] - took[0]) / (units[1] - units[0])
    return slope, took[0] - slope * units[0]


def fresh(asked: argparse.Namespace) -> str:
    return str(tempfile.mkdtemp(dir=asked.folder))


def told(what: str, found: tuple[float, float], ratio: float, unit: str) -> None:
    print(
        f"  {what:26s} {1e3 * found[0]:7.2f} ms a {unit}, {found[1]:5.1f} s besides; × {ratio:.3f}",
        flush=True,
    )


def extraction(asked: argparse.Namespace) -> None:
    from lymphofeat.cohort import read_cohort
    from lymphofeat.synthetic.cohort import SimulationSettings, simulate_cohort

    print("extraction: ResNet18, untrained, crop 112, float32")
    cohorts, units = {}, []
    for n in asked.patients:
        cohorts[n] = simulate_cohort(Path(fresh(asked)) / "cohort", SimulationSettings(patients=n, seed=0))
        units.append(len(read_cohort(cohorts[n]).images))

    def work(size: int, workers: int, executor: Executor | None, folder: str) -> None:
        extracted(str(cohorts[size]), f"{folder}/c.h5", workers, executor)

    slopes(asked, asked.patients, units, work, "image")


def nested_part(asked: argparse.Namespace) -> None:
    from tune import make_cache

    print(
        "nested cross-validation: 163 patients, 512 features, logistic regression and discriminant analysis"
    )
    cache = str(make_cache(Path(fresh(asked)) / "c.h5", 163, 100, 512))

    def work(size: int, workers: int, executor: Executor | None, folder: str) -> None:
        nested_(cache, folder, size, executor)

    slopes(asked, asked.trials, [5 * n for n in asked.trials], work, "trial")


READING = """
import sys, time
from lymphofeat.cache.extract import ExtractSettings, cohort_tables
from lymphofeat.cohort import read_cohort
from lymphofeat.progress import Silent
def memory():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024
before, start = memory(), time.perf_counter()
cohort = read_cohort(sys.argv[1])
listed = time.perf_counter()
tables = cohort_tables(cohort, ExtractSettings(n_folds=3), Silent())
print(listed - start, time.perf_counter() - listed, memory() - before)
"""


def reading(asked: argparse.Namespace) -> None:
    print("reading: folders of 100 files of 200 bytes, in the system's memory")
    for n in asked.folders:
        folder = Path(fresh(asked))
        rows = ["ID,LABEL,GENDER,DOB,LYMPH_COUNT"]
        for number in range(n):
            patient = folder / "trainset" / f"P{number}"
            patient.mkdir(parents=True)
            rows.append(
                f"P{number},{number % 2},{'MF'[number % 2]},{1 + number % 12}/{1 + number % 28}/19{number % 60 + 10},5"
            )
            for image in range(100):
                (patient / f"{image:06d}.jpg").write_bytes(b"%100d%100d" % (number, image))
        (folder / "clinical_annotation.csv").write_text("\n".join(rows) + "\n")
        out = subprocess.run(
            [sys.executable, "-c", READING, str(folder)], capture_output=True, text=True, check=True
        ).stdout
        listed, digests, memory = (float(value) / (100 * n) for value in out.split())
        print(
            f"  {100 * n:,} images: {1e6 * listed:.0f} µs each to list, {1e6 * digests:.0f} µs to open, read and "
            f"digest; {memory:.0f} bytes of memory each",
            flush=True,
        )


POOLED = """
import sys, threading, time
from lymphofeat import tune
most = {"RssAnon": 0, "VmRSS": 0}
def watch():
    while True:
        for line in open("/proc/self/status"):
            name, _, value = line.partition(":")
            if name in most:
                most[name] = max(most[name], int(value.split()[0]))
        time.sleep(0.05)
threading.Thread(target=watch, daemon=True).start()
for trials in (1, 3):
    start = time.perf_counter()
    tune(sys.argv[1], sys.argv[2], n_trials=trials, heads=["logistic"], inputs=["both"], repeats=1)
    print(time.perf_counter() - start, most["RssAnon"] / 2**20, most["VmRSS"] / 2**20)
"""


def pooled(asked: argparse.Namespace) -> None:
    from cache import tables_of, write

    folder = Path(fresh(asked))
    n = 100 * asked.large
    tables = tables_of(n)
    write(folder / "c.h5", "drawn", tables, 512)
    print(
        f"pooled features of {n // 100:,} patients, {n:,} images × 512, three trials of logistic regression"
    )
    out = subprocess.run(
        [sys.executable, "-c", POOLED, str(folder / "c.h5"), str(folder / "s.db")],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for trials, line in zip((1, 2), out.splitlines(), strict=True):
        seconds, own, mapped = map(float, line.split())
        print(
            f"  {trials} more: {seconds:.0f} s; at most {own:.1f} GiB of memory, and with pages of the file, which the "
            f"system takes back, {mapped:.1f} GiB"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=list(PARTS[:4]))
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--engines", nargs="+", choices=list(ENGINES), default=list(ENGINES))
    parser.add_argument("--patients", type=int, nargs=2, default=[20, 60])
    parser.add_argument("--trials", type=int, nargs=2, default=[5, 25])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--folders", type=int, nargs="+", default=[200, 2000], help="patients of `reading`")
    parser.add_argument("--large", type=int, default=100_000, help="patients of `pooled`")
    parser.add_argument("--folder", type=Path, default=None)
    asked = parser.parse_args()
    os.environ |= ONE_THREAD
    with tempfile.TemporaryDirectory(dir=asked.folder) as asked.folder:
        for part in asked.parts:
            {
                "reading": reading,
                "engine": engine,
                "extraction": extraction,
                "nested": nested_part,
                "pooled": pooled,
            }[part](asked)


if __name__ == "__main__":
    main()
