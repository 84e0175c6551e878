"""`make soak`: many simulated cohorts, one after the other, each determined by the seed and its number.

    make soak                              # cohorts 0 to 299; goes on where it was stopped
    make soak SOAK="--cohorts 1000"        # as many in all
    make soak SOAK="--cohort 137"          # that one alone, with tracebacks; nothing is recorded
    make soak SOAK="--show"                # the table of the record

Exit code 1 if any cohort failed.
"""

import argparse
import os
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

from .run import Result, soak
from .table import read_record, table


def main() -> int:
    """Run the soak; the exit code."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__.splitlines()[0])
    parser.add_argument("--cohorts", type=int, default=300, help="cohorts in all (default: 300)")
    parser.add_argument("--cohort", type=int, help="this one alone")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--record", type=Path, default=Path("build/soak.jsonl"), help="(default: build/soak.jsonl)"
    )
    parser.add_argument("--again", action="store_true", help="also the cohorts that failed before")
    parser.add_argument("--show", action="store_true", help="only the table of the record")
    given = parser.parse_args()
    os.environ["COLUMNS"] = "500"
    warnings.simplefilter("error")
    if given.cohort is not None:
        result = _one(given.seed, given.cohort)
        for failure in result.failures:
            print(f"\n{failure['step']}: {failure['cause']}\n{failure['text']}")
        print(table([result]))
        return int(bool(result.failures))
    if not given.show:
        _many(given)
    results = [r for r in read_record(given.record) if r.seed == given.seed]
    print(table(results))
    return int(any(r.failures for r in results))


def _many(given: argparse.Namespace) -> None:
    given.record.parent.mkdir(parents=True, exist_ok=True)
    done = {r.number for r in read_record(given.record)
            if r.seed == given.seed and not (given.again and r.failures)}  # fmt: skip
    for number in range(given.cohorts):
        if number in done:
            continue
        result = _one(given.seed, number)
        with given.record.open("a", encoding="utf-8") as file:
            file.write(result.json() + "\n")
        for failure in result.failures:
            print(f"  cohort {number}, {failure['step']}: {failure['cause']}", flush=True)


def _one(seed: int, number: int) -> Result:
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    try:
        result = soak(seed, number, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    verdict = "FAILED" if result.failures else "good"
    print(f"{number:4} {verdict:6} {sum(result.seconds.values()):6.1f} s  {result.about}", flush=True)
    return result


if __name__ == "__main__":
    sys.exit(main())
