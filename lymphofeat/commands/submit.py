"""The command `submit`."""

from pathlib import Path

import click

from .common import SUBMISSION, Output, cache_option, command, handed_over_options, study_option, study_path
from .paths import NewFile


@command(example="lymphofeat submit --out submission.csv --probabilities")
@cache_option
@study_option
@click.option("--out", type=NewFile("submission.csv"), default=SUBMISSION, show_default=True, help="The CSV.")
@click.option("--probabilities", is_flag=True, help="Write Id,Probability beside it.")
@handed_over_options
@click.option("--force", is_flag=True, help="Replace files that exist.")
def submit(
    output: Output,
    cache: Path,
    study: str,
    out: Path,
    *,
    probabilities: bool,
    rule: str | None,
    trial: int | None,
    ensemble: int | None,
    force: bool,
) -> None:
    """Refit the heads that the study hands over on all labelled patients and predict the test patients.

    Says first what a test set of that size would show, and counts the submissions of a cohort in submissions.csv
    beside the study.
    """
    from .. import final
    from ..report.study import render_submission

    summary = final.submit(
        cache, study_path(study), out, probabilities=probabilities, rule=rule, trial=trial, ensemble=ensemble,
        force=force, progress=output.progress(),
    )  # fmt: skip
    render_submission(summary, output.console)
