"""`make fire`: commands killed at every stage, and files damaged anywhere; docs/reliability.md has the figures.

    make fire                                     # 60 kills a command, 300 damages a file: most of an hour
    make fire FIRE="--kills 10 --flips 30"        # fewer
    make fire FIRE="--only tune --only study"     # these commands and files alone
    make fire FIRE="--seed 1"                     # other places

Exit code 1 if work was lost, a result was another one, or a damage went unnoticed.
"""

import argparse
import os
import sys
import warnings

from .flips_targets import TARGETS
from .kills_scenarios import SCENARIOS
from .run import flip, good, kill, report, scratch


def main() -> int:
    """Run both parts; the exit code."""
    parser = argparse.ArgumentParser(prog="make fire", description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=60, help="kills a command (default: 60)")
    parser.add_argument("--flips", type=int, default=300, help="damages a file (default: 300)")
    parser.add_argument("--only", action="append", default=[], choices=[*(s.name for s in SCENARIOS), *TARGETS],
                        help="this command or kind of file; repeatable")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    os.environ["COLUMNS"] = "500"
    warnings.simplefilter("ignore")

    def tell(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    with scratch() as folder:
        killed = kill(folder, given.kills, given.only, given.seed, tell) if given.kills else []
        flipped = flip(folder, given.flips, given.only, given.seed, tell) if given.flips else []
    print("\n".join(report(killed, flipped)))
    return 0 if good(killed, flipped) else 1


if __name__ == "__main__":
    sys.exit(main())
