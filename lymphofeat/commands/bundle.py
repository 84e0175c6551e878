"""Commands for a model that leaves the building: `export` and `predict`."""

from pathlib import Path
from typing import Any

import click

from ..errors import InputError
from .common import Output, cache_option, command, csv_option, selection_options, study_option, study_path
from .paths import GivenPath, GivenStudy, GivenText, NewFile, NewFolder, Share

PREDICTIONS = Path("predictions.csv")


@command(example="lymphofeat export model --ensemble 10 --refer-error 0.1")
@click.argument("out", type=NewFolder("model"))
@cache_option
@study_option
@selection_options
@click.option("--weights", type=GivenPath(), metavar="FILE",
              help="Weights of the frozen encoder, if `extract` found them elsewhere.")  # fmt: skip
@click.option("--encoders", type=GivenPath(), metavar="DIR",
              help="Folder of the fine-tuned encoders, if they are no longer beside the cache.")  # fmt: skip
@click.option("--refer-error", type=Share(0, 1, min_open=True, max_open=True), metavar="SHARE",
              help="Target error; patients who cannot be decided at it are referred "
              "(default: everyone is decided).")  # fmt: skip
@click.option("--evaluation", type=GivenPath(), metavar="FILE",
              help="evaluate.json of the same pipeline, whose nested scores go on the model card.")  # fmt: skip
@click.option("--calibrate", type=click.Choice(["platt", "beta", "isotonic"]),
              help="Calibrator for an additional, calibrated probability.")  # fmt: skip
@click.option("--license", "licence", type=GivenText(), metavar="NAME",
              help="Licence of the model on its card, such as cc-by-nc-4.0 (default: unknown).")  # fmt: skip
@click.option("--force", is_flag=True, help="Replace an existing bundle.")
def export(
    output: Output,
    out: Path,
    cache: Path,
    study: GivenStudy,
    **options: Any,
) -> None:
    """Export the selected heads and their encoders as the folder OUT, which stands alone.

    The folder holds no ID, no date of birth, no image, and no file that could run code.
    """
    from ..bundle.export import export as write_bundle
    from ..report.bundle import render_export

    summary = write_bundle(cache, study_path(study), out, progress=output.progress(), **options)
    render_export(summary, output.console)


@command(example="lymphofeat predict model patients --clinical patients.csv")
@click.argument("bundle", type=GivenPath())
@click.argument("folder", type=GivenPath())
@click.option("--clinical", type=GivenPath(), metavar="CSV",
              help="Table of clinical values, with the columns of the training cohort.")  # fmt: skip
@click.option(
    "--out",
    type=NewFile("predictions.csv"),
    default=PREDICTIONS,
    show_default=True,
    help="CSV file to write.",
)
@click.option("--report", type=NewFile("predictions.html"), metavar="FILE.html",
              help="HTML page of the predictions, with every patient's cells in order of contribution.")  # fmt: skip
@click.option("--ids", is_flag=True,
              help="Show patients' IDs and names of files on that page; otherwise they are numbered.")  # fmt: skip
@click.option("--device", default="auto", show_default=True,
              type=click.Choice(["auto", "cpu", "cuda", "mps"]), help="Device to compute on.")  # fmt: skip
@csv_option
@click.option("--force", is_flag=True, help="Replace existing files.")
def predict(
    output: Output,
    bundle: Path,
    folder: Path,
    clinical: Path | None,
    out: Path,
    device: str,
    *,
    report: Path | None,
    ids: bool,
    csv_for: str,
    force: bool,
) -> None:
    """Predict new patients with an exported BUNDLE.

    FOLDER holds one folder of images per patient, named by the ID, or another layout of images, or is a cohort.
    For a model on imported features it is what `import` takes, and --clinical is a table of patients without labels.
    """
    from ..bundle import predict_folder
    from ..report.bundle import render_predictions
    from ..storage.atomic import refuse_existing

    if report is None and ids:
        raise InputError("--ids is for the page; name it with --report FILE.html, or leave --ids out.")
    if report is not None:
        refuse_existing(report, overwrite=force)
    summary = predict_folder(
        bundle,
        folder,
        out,
        clinical=clinical,
        device=device,
        force=force,
        csv_for=csv_for,
        explain=report is not None,
        progress=output.progress(),
    )
    render_predictions(summary, output.console)
    if report is not None:
        from ..page.predicted import write_predicted_page

        write_predicted_page(summary, report, ids=ids, force=force, progress=output.progress())
        output.line(f"Wrote {report}")
