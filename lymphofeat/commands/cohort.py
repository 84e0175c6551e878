"""Commands on a cohort's folder: `init`, `check` and `simulate`."""

import sys
from pathlib import Path

import click

from .common import Output, cohort_argument, cohort_folder, command
from .paths import NewFile, NewFolder, Share
from .places import CHECK, STUDIES


@command(example="lymphofeat init export")
@click.argument("folder", type=click.Path(path_type=Path))
def init(output: Output, folder: Path) -> None:
    """Write a first lymphofeat.toml for FOLDER: what lies there, guesses, and open questions.

    It looks at folders, names of images, tables, columns, words and dates. No image is opened, and an existing
    lymphofeat.toml is never replaced.
    """
    from ..cohort.guess.draft import write_draft
    from ..report.draft import render_draft

    render_draft(write_draft(folder), output.console)


@command(example="lymphofeat check data")
@cohort_argument
@click.option("--outlines", type=NewFile("outlines.png"), metavar="FILE.png",
              help="PNG file of 48 random cells with the outlines found by morphology.")  # fmt: skip
@click.option(
    "--all", "every", is_flag=True, help="List every problem, not only the first five of each cause."
)
@click.option("--force", is_flag=True, help="Replace an existing file.")
def check(output: Output, cohort: Path | None, *, outlines: Path | None, every: bool, force: bool) -> None:
    """List all problems of a cohort, summarise it, and audit it for shortcuts.

    COHORT is a folder in the challenge's layout, or in another that its lymphofeat.toml describes (default:
    $LYMPHOFEAT_COHORT, else data/). Exit code 2 if there is an error, 0 if there are warnings only.
    """
    from ..cohort.check import check_cohort
    from ..cohort.folds import DEFAULT_FOLDS
    from ..cohort.problems import FEW
    from ..report.check import render_check, render_errors
    from ..report.check_record import kept_check

    if outlines is not None:
        from ..storage.atomic import refuse_existing

        refuse_existing(outlines, overwrite=force)
    report = check_cohort(cohort_folder(cohort), progress=output.progress())
    most = None if every else FEW
    render_check(report, output.console, most=most)
    if output.quiet:
        render_errors(report, output.errors, most=most)
    if report.errors:
        sys.exit(2)
    if report.folds < DEFAULT_FOLDS:
        output.for_next["folds"] = report.folds
    lacking = kept_check(report, STUDIES / CHECK)
    output.line(
        lacking or "`lymphofeat report` shows this on one page, once `lymphofeat extract` has made a cache."
    )
    if outlines is not None:
        _draw(output, cohort_folder(cohort), outlines, force=force)


def _draw(output: Output, cohort: Path, outlines: Path, *, force: bool) -> None:
    from ..cohort.read import read_cohort
    from ..report.cache import quality_text
    from ..report.outlines import sample_of, write_outlines

    tiles = sample_of(read_cohort(cohort))
    counts = write_outlines(tiles, outlines, force=force, progress=output.progress())
    output.line(f"Wrote {outlines}: nuclei yellow, cells green; {quality_text(counts, imputed=False)}")


@command(example="lymphofeat simulate data --patients 40 --seed 1")
@click.argument("out", type=NewFolder("data"))
@click.option("--patients", default=40, show_default=True, type=click.IntRange(6), help="Number of records.")
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(0),
    help="Seed; the same seed gives the same bytes.",
)
@click.option("--overlap", default=0.25, show_default=True, type=Share(0, 1),
              help="Overlap of the classes: 0 none, 1 complete.")  # fmt: skip
@click.option("--signal", default="both", show_default=True,
              type=click.Choice(["both", "image", "clinical", "none"]), help="Where the classes differ.")  # fmt: skip
@click.option("--images", nargs=2, type=click.IntRange(1), default=(20, 60), show_default=True,
              metavar="LEAST MOST", help="Range of images per patient.")  # fmt: skip
def simulate(
    output: Output, out: Path, patients: int, seed: int, overlap: float, signal: str, images: tuple[int, int]
) -> None:
    """Simulate a cohort with a known truth: images of cells, clinical values, and the true probabilities."""
    from ..synthetic.cohort import SimulationSettings, simulate_cohort

    spec = SimulationSettings(
        patients=patients, seed=seed, overlap=overlap, signal=signal, images_range=images  # type: ignore[arg-type]
    )  # fmt: skip
    folder = simulate_cohort(out, spec, progress=output.progress())
    output.line(f"Simulated {patients} patients in {folder}; the truth is in its truth_*.csv.")
