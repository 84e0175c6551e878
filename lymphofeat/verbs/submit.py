"""The verb `submit`."""

from pathlib import Path

import click

from .common import SUBMISSION, Say, cache_option, study_option, study_path, verb


@verb(example="lymphofeat submit --out submission.csv --probabilities")
@cache_option
@study_option
@click.option(
    "--out", type=click.Path(path_type=Path), default=SUBMISSION, show_default=True, help="The CSV."
)
@click.option("--probabilities", is_flag=True, help="Write Id,Probability beside it.")
@click.option("--force", is_flag=True, help="Replace files that exist.")
def submit(say: Say, cache: Path, study: str, out: Path, *, probabilities: bool, force: bool) -> None:
    """Refit the study's best head on all labelled patients and predict the test patients."""
    from .. import studies
    from ..report.study import render_submission

    summary = studies.submit(cache, study_path(study), out, probabilities=probabilities, force=force)
    render_submission(summary, say.console)
