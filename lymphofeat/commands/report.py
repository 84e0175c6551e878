"""The command `report`."""

from pathlib import Path

import click

from .common import Output, cache_option, command, csv_option, selection_options, study_option, study_path
from .paths import GivenPath, GivenStudy, NewFile, OutFolder
from .places import REPORT, STUDIES


@command(example="lymphofeat report --out report.html")
@cache_option
@study_option
@click.option("--evaluation", type=GivenPath(), metavar="DIR",
              help="Folder of `evaluate --out` (default: what `evaluate` keeps beside the study).")  # fmt: skip
@click.option("--comparison", type=GivenPath(), metavar="DIR",
              help="Folder of `compare --out` (default: what `compare` keeps in studies/).")  # fmt: skip
@selection_options
@click.option("--out", type=NewFile("report.html"), default=REPORT, show_default=True, metavar="FILE.html",
              help="HTML file to write.")  # fmt: skip
@click.option("--figures", type=OutFolder(), metavar="DIR",
              help="Folder for every figure as PDF, SVG and PNG, with its numbers as CSV.")  # fmt: skip
@click.option("--ids", is_flag=True,
              help="Show patients' IDs and names of files; otherwise they are numbered.")  # fmt: skip
@csv_option
@click.option("--force", is_flag=True, help="Replace existing files.")
def report(
    output: Output,
    cache: Path,
    study: GivenStudy,
    *,
    evaluation: Path | None,
    comparison: Path | None,
    select: str | None,
    trial: int | None,
    ensemble: int | None,
    out: Path,
    figures: Path | None,
    ids: bool,
    csv_for: str,
    force: bool,
) -> None:
    """Make one HTML page of what the other commands have kept: scores, curves, cells, checklists, provenance.

    The file needs no network and nothing beside it. What has not been run is a line with the command that makes it.
    """
    from ..page.report import write_report

    found = write_report(
        cache, study_path(study), out, evaluation=evaluation, comparison=comparison, kept=STUDIES, select=select,
        trial=trial, ensemble=ensemble, ids=ids, figures=figures, csv_for=csv_for, force=force,
        progress=output.progress(),
    )  # fmt: skip
    output.line(f"Wrote {found.path}: {', '.join(found.sections)}; {found.n_bytes / 1e6:.1f} MB")
    for gap in found.gaps:
        way = f": {gap.command}" if gap.command else ""
        output.line(f"Not in it: {gap.what}{way}", wrap=False)
    if found.figures:
        output.line(f"Wrote {len(found.figures)} files of figures into {figures}")
