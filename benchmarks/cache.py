"""A cache of millions of images: writing, opening, one bag, a pass over everything, and the memory that each takes.

    python benchmarks/cache.py --images 5000000 --dim 512 --folder /somewhere/with/30/GB

Features are drawn numbers. The disk's own speed is that of reading the same data file from end to end without a map, in
the same run; before either, the system is asked to forget the file's pages.
"""

import argparse
import gc
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from lymphofeat.cache.columns import Digests, Names, Sizes
from lymphofeat.cache.spec import EncodingSpec
from lymphofeat.cache.tables import CohortTables
from lymphofeat.cache.writer import CacheWriter

BAG = 100


def tables_of(n_images: int) -> CohortTables:
    """Drawn patients of 100 images each, five folds in ten repeats."""
    n = n_images // BAG
    rng = np.random.default_rng(0)
    label = np.arange(n, dtype=np.int8) % 2
    patients = pd.DataFrame(
        {
            "id": [f"P{i:06d}" for i in range(n)],
            "split": "train",
            "label": label,
            "n_images": BAG,
            "birth": "",
            "date_order": "",
            "sex": np.where(rng.random(n) < 0.5, "M", "F"),
            "age": rng.uniform(20, 95, n),
            "lymphocyte_count": rng.uniform(4, 80, n),
        }
    )
    folds = np.stack([rng.permutation(n) % 5 for _ in range(10)], axis=1).astype(np.int8)
    names = np.char.add(np.tile(np.arange(BAG).astype("S3"), n), b".jpg")
    digests = rng.integers(1, 256, (n * BAG, 16), dtype=np.uint8)
    return CohortTables(
        patients, folds, 0, "0" * 64, Names(names), Sizes(np.full(n * BAG, 9000)), Digests(digests)
    )


def write(path: Path, name: str, tables: CohortTables, dim: int) -> None:
    """Put an encoding of drawn features into the cache."""
    pool = np.random.default_rng(1).normal(size=(4096 + 1024, dim)).astype(np.float32)
    spec = EncodingSpec(name, name, dim, 1024, None, {"backbone": "drawn", "weights_digest": name})
    with CacheWriter(path, tables) as writer:
        partial = writer.begin(spec)
        for unit in partial.pending:
            start = unit % 4096
            partial.write(unit, pool[start : start + len(partial.rows(unit))])
        writer.finish(partial)


def forget(path: Path) -> None:
    """Ask the system to drop a file's pages from its memory."""
    gc.collect()  # mapped pages stay
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def seconds_of(work: Callable[[], object]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def read_plainly(path: Path) -> None:
    """From end to end, 8 MB at a time."""
    with path.open("rb", buffering=0) as file:
        while file.read(1 << 23):
            pass


MEASURE = """
import sys, time
from lymphofeat.cache import open_cache
def memory():
    lines = open("/proc/self/status").read().splitlines()
    return {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.startswith("Rss")}
before = memory()
opening = time.perf_counter()
cache = open_cache(sys.argv[1])
opened = time.perf_counter()
bags = cache.bags(sys.argv[2])
n = len(bags.lengths)
start, times = time.perf_counter(), []
for k in range(n) if len(sys.argv) > 3 else range(0, n, max(n // 200, 1)):
    began = time.perf_counter(); bags[k].max(); times.append(time.perf_counter() - began)
whole, after = time.perf_counter() - start, memory()
grown = [after[k] - before[k] for k in ("RssAnon", "RssFile")]
print(whole, opened - opening, sorted(times)[len(times) // 2], max(times), *grown)
"""


def measured(path: Path, *more: str) -> list[float]:
    """Run `MEASURE` in a process of its own: no page of the file is mapped by anybody else."""
    out = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path), "first", *more], capture_output=True, text=True, check=True
    )
    return [float(value) for value in out.stdout.split()]


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=5_000_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--folder", type=Path, default=None)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        path = Path(folder) / "c.h5"
        tables = tables_of(asked.images)
        size = 4 * asked.dim * tables.n_images
        first = seconds_of(lambda: write(path, "first", tables, asked.dim))
        data = next((Path(folder) / "c-encodings").iterdir())
        print(f"{tables.n_images:,} images × {asked.dim}, {size / 1e9:.1f} GB")
        print(f"writing an encoding          {first:.1f} s, {size / first / 1e6:.0f} MB/s, digest included")
        print(f"index                        {path.stat().st_size / 1e6:.0f} MB")
        second = seconds_of(lambda: write(path, "second", tables, 8))
        print(f"another encoding of 8        {second:.1f} s")
        for file in (path, data):
            forget(file)
        _, opening, bag, worst, own, _ = measured(path)
        print(f"opening                      {opening:.2f} s")
        print(f"a bag, pages not in memory   median {1e3 * bag:.2f} ms, worst {1e3 * worst:.2f} ms of 200")
        print(f"memory of both               {own:.0f} MB")
        plain, bags = 0.0, 0.0
        for _ in range(2):  # in turn: the machine may keep the file where we cannot see
            forget(data)
            plain += seconds_of(lambda: read_plainly(data)) / 2
            forget(data)
            seconds, _, _, _, own, pages = measured(path, "all")
            bags += seconds / 2
        print(f"the disk's own speed         {size / plain / 1e6:.0f} MB/s")
        print(f"a pass over every bag        {size / bags / 1e6:.0f} MB/s, {plain / bags:.2f} of it")
        print(
            f"memory of the pass           {own:.0f} MB, and {pages:.0f} MB of the file's pages, which are free"
        )
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"peak memory of writing       {peak:.0f} MB")


if __name__ == "__main__":
    main()
