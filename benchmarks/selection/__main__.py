"""Which of a study's heads is best for patients never seen: the table of docs/bundle.md.

    python -m benchmarks.selection run RECORDS.jsonl --cache cache/features.h5 --repeats 3
    python -m benchmarks.selection run RECORDS.jsonl --simulated 42
    python -m benchmarks.selection table RECORDS.jsonl

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
import time
from itertools import zip_longest
from pathlib import Path

import numpy as np

from lymphofeat.cache import open_cache
from lymphofeat.storage.journal import open_ledger

from .cohorts import simulated_units, units_of_cache
from .search import record_of
from .table import tables


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
            key = " ".join([unit.key, str(arguments.trials), *arguments.heads])
            if ledger.get(key) is not None:
                continue
            if time.monotonic() - started > 60 * arguments.minutes:
                return
            record = record_of(unit, arguments.trials, arguments.heads)
            ledger.add(key, record)
            seconds = " + ".join(f"{s:.0f}" for s in record["seconds"])
            print(f"{unit.key}: {seconds} s, {record['cpu']:.0f} s of processor", flush=True)


if __name__ == "__main__":
    main()
