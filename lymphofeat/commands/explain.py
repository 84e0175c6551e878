"""The command `explain`."""

from pathlib import Path

import click

from .common import Output, cache_option, command, csv_option, selection_options, study_option, study_path
from .paths import GivenStudy, GivenText, NewFile


@command(example="lymphofeat explain P12 --top 9")
@click.argument("patient", type=GivenText(), metavar="PATIENT-ID")
@cache_option
@study_option
@selection_options
@click.option(
    "--top", default=9, show_default=True, type=click.IntRange(1), help="Images shown on each side."
)
@click.option("--out", type=NewFile("images.csv"), metavar="FILE",
              help="File for all images: .csv, a table; .html, the patient's page with the cells.")  # fmt: skip
@click.option("--outlines", type=NewFile("outlines.png"), metavar="FILE.png",
              help="PNG file of the patient's cells with their outlines, by contribution.")  # fmt: skip
@csv_option
@click.option("--force", is_flag=True, help="Replace existing files.")
def explain(
    output: Output,
    patient: str,
    cache: Path,
    study: GivenStudy,
    *,
    select: str | None,
    trial: int | None,
    ensemble: int | None,
    top: int,
    out: Path | None,
    outlines: Path | None,
    csv_for: str,
    force: bool,
) -> None:
    """Explain a patient's prediction: the contribution of every image and of the clinical values.

    The heads are those of `submit`. For a labelled patient, their fits and encoders are those that did not see the
    patient.
    """
    from ..cache import open_cache
    from ..explanation import explain as explain_patient
    from ..page.alone import write_patient_page
    from ..report.explain import render_explanation, write_explanation
    from ..report.outlines import tiles_of, write_outlines
    from ..storage.atomic import refuse_existing

    page = _is_page(out)
    for file in (out, outlines):
        if file is not None:
            refuse_existing(file, overwrite=force)
    explanation = explain_patient(
        cache, study_path(study), patient, select=select, trial=trial, ensemble=ensemble
    )
    render_explanation(explanation, output.console, top=top)
    if out is not None and page:
        write_patient_page(
            explanation, cache, study_path(study), out, force=force, progress=output.progress()
        )
    elif out is not None:
        write_explanation(explanation, out, force=force, csv_for=csv_for)
    if out is not None:
        output.line(f"Wrote {out}")
    if outlines is not None:
        tiles = tiles_of(explanation, open_cache(cache))
        write_outlines(tiles, outlines, force=force, progress=output.progress())
        output.line(
            f"Wrote {outlines}: {len(tiles)} cells, towards malignant first; nuclei yellow, cells green"
        )


def _is_page(out: Path | None) -> bool:
    """Whether a page is to be written; no file, or a table, if not.

    Raises:
        BadParameter: a file of another kind.
    """
    if out is None or out.suffix.lower() == ".csv":
        return False
    if out.suffix.lower() == ".html":
        return True
    raise click.BadParameter(
        f"{out} is neither a table nor a page; name FILE.csv for a table, or FILE.html for the patient's page.",
        param_hint="--out",
    )
