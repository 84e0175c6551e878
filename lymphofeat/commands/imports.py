"""The command on features of other toolkits: `import`."""

from pathlib import Path
from typing import Any

import click

from .common import Output, cache_option, command
from .paths import GivenPath, GivenText


@command(name="import", example="lymphofeat import features_uni_v1 --patients patients.csv")
@click.argument("source", type=GivenPath())
@cache_option
@click.option("--patients", type=GivenPath(), metavar="TABLE",
              help="Table of patients: columns patient and label, and any of slide, age, sex, lymphocyte_count, birth, "
              "person (default: the table SOURCE itself).")  # fmt: skip
@click.option("--slides", type=GivenPath(), metavar="TABLE",
              help="Table of slides: columns patient and slide, if the table of patients has no slides.")  # fmt: skip
@click.option("--name", type=GivenText(), help="Name of the encoding (default: the encoder's).")
@click.option("--patient-column", type=GivenText(), metavar="COLUMN",
              help="Column of patients (default: patient, patient_id, case_id, id).")  # fmt: skip
@click.option("--slide-column", type=GivenText(), metavar="COLUMN",
              help="Column of slides (default: slide, slide_id, filename).")  # fmt: skip
@click.option("--label-column", type=GivenText(), metavar="COLUMN", help="Column of labels (default: label).")
@click.option("--reactive", type=GivenText(), multiple=True, metavar="WORD",
              help="Word for reactive; may be repeated (default: 0).")  # fmt: skip
@click.option("--malignant", type=GivenText(), multiple=True, metavar="WORD",
              help="Word for malignant; may be repeated (default: 1).")  # fmt: skip
@click.option("--features", type=GivenText(), multiple=True, metavar="COLUMNS",
              help="Columns that are features, of a table: names or patterns such as 'area,texture_*' (default: those "
              "that count on, such as f0 to f511).")  # fmt: skip
@click.option("--matrix", type=GivenText(), default="X", show_default=True,
              help="Matrix of features, of an .h5ad: X, obsm/NAME or layers/NAME.")  # fmt: skip
@click.option("--unit", type=click.Choice(["patch", "cell", "slide", "patient"]),
              help="What a row of features is, if the files do not say it.")  # fmt: skip
@click.option("--saw-labels", type=click.Choice(["no", "yes"]), default="no", show_default=True,
              help="Whether the encoder saw labels of these patients: your word. With yes nothing is imported, since "
              "such an encoder is scored on what it was trained on.")  # fmt: skip
@click.option("--leave-out", is_flag=True,
              help="Leave out patients without features, and features of nobody.")  # fmt: skip
@click.option(
    "--folds", "n_folds", default=5, show_default=True, type=click.IntRange(2), help="Number of folds."
)
@click.option("--fold-seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of the folds.")
@click.option("--force", is_flag=True, help="Replace a cache of other patients, labels or rows.")
def import_(output: Output, source: Path, cache: Path, **options: Any) -> None:
    """Import features that another toolkit computed, as of a frozen encoder.

    SOURCE is a folder of files by TRIDENT, CLAM or STAMP (.h5, .pt; one a slide or patient), or one file: a table
    (.csv, .parquet, .h5ad, .npz) with a row per patch, cell or patient. Everything is checked before anything is
    written.
    """
    from ..imports.importing import import_features
    from ..report.imports import render_import

    render_import(import_features(source, cache, progress=output.progress(), **options), output.console)
