"""The command `submit`."""

from pathlib import Path

import click

from .common import Output, cache_option, command, selection_options, study_option, study_path
from .paths import GivenStudy, NewFile
from .places import SUBMISSION


@command(example="lymphofeat submit --out submission.csv --probabilities")
@cache_option
@study_option
@click.option(
    "--out", type=NewFile("submission.csv"), default=SUBMISSION, show_default=True, help="CSV file to write."
)
@click.option("--probabilities", is_flag=True, help="Write a second CSV with Id,Probability.")
@selection_options
@click.option("--force", is_flag=True, help="Replace existing files.")
def submit(
    output: Output,
    cache: Path,
    study: GivenStudy,
    out: Path,
    *,
    probabilities: bool,
    select: str | None,
    trial: int | None,
    ensemble: int | None,
    force: bool,
) -> None:
    """Refit the selected heads on all labelled patients and predict the test patients.

    First prints the score to expect on a test set of that size. Every submission of a cohort is a line of
    submissions.csv beside the study.
    """
    from .. import final
    from ..report.study import render_submission

    summary = final.submit(
        cache, study_path(study), out, probabilities=probabilities, select=select, trial=trial, ensemble=ensemble,
        force=force, progress=output.progress(),
    )  # fmt: skip
    render_submission(summary, output.console)
