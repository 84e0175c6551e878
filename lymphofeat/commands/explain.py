"""The command `explain`."""

from pathlib import Path

import click

from .common import Output, cache_option, command, study_option, study_path
from .paths import GivenText, NewFile


@command(example="lymphofeat explain P12 --top 9")
@click.argument("patient", type=GivenText(), metavar="PATIENT-ID")
@cache_option
@study_option
@click.option(
    "--top", default=9, show_default=True, type=click.IntRange(1), help="Images shown of either side."
)
@click.option("--out", type=NewFile("images.csv"), metavar="FILE.csv", help="Write all images there.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
def explain(
    output: Output, patient: str, cache: Path, study: str, top: int, out: Path | None, *, force: bool
) -> None:
    """Say which images of a patient pull the study's selected head to either side, and what clinical values do.

    A labelled patient is explained by a head, and an encoder, that did not see the patient.
    """
    from ..explain import explain_patient
    from ..report.explain import render_explanation, write_explanation
    from ..storage.atomic import refuse_existing

    if out is not None:
        refuse_existing(out, overwrite=force)
    explanation = explain_patient(cache, study_path(study), patient)
    render_explanation(explanation, output.console, top=top)
    if out is not None:
        write_explanation(explanation, out, force=force)
        output.line(f"Wrote {out}")
