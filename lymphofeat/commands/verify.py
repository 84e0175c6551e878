"""The command `verify`."""

import sys
from pathlib import Path

import click

from ..storage.addresses import StudyPlace
from .common import Output, command, path_or_study
from .paths import GivenPath, PathOrStudy
from .places import CACHE


@command(example="lymphofeat verify cache/features.h5 --sample 20")
@click.argument("path", type=PathOrStudy(), default=CACHE, metavar="[CACHE|STUDY|BUNDLE|COHORT]")
@click.option("--sample", default=0, show_default=True, type=click.IntRange(0), metavar="N",
              help="Images of each encoding of a cache that are computed again from their files.")  # fmt: skip
@click.option("--repair", is_flag=True, help="Compute bad blocks of a cache again.")
@click.option("--cohort", type=GivenPath(), metavar="FOLDER",
              help="Folder of the cohort of a cache (default: where it was at `extract`).")  # fmt: skip
def verify(output: Output, path: StudyPlace, *, sample: int, repair: bool, cohort: Path | None) -> None:
    """Check everything that can be checked of a cache, a study, an exported model or a cohort.

    Default: cache/features.h5; a study may be given by its name. Checksums, digests and tables are compared, and
    nothing is written without --repair. Exit code 1 if something is wrong, each fault a line.
    """
    from ..report.verify import render_faults, render_verification
    from ..verification.verify import verify as run

    path = path_or_study(path)
    found = run(path, sample=sample, repair=repair, cohort=cohort, progress=output.progress())
    render_verification(found, output.console)
    if output.quiet:
        render_faults(found, output.errors)
    if not found.sound:
        sys.exit(1)
