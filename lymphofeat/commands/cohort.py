"""Commands on a cohort's folder: `check` and `simulate`."""

import sys
from pathlib import Path

import click

from .common import Output, cohort_argument, cohort_folder, command
from .paths import NewFolder


@command(example="lymphofeat check data")
@cohort_argument
def check(output: Output, cohort: Path | None) -> None:
    """List all problems of a cohort at once, summarise it, and audit it for shortcuts.

    COHORT is a folder in the challenge's layout, or in another that its lymphofeat.toml describes; by default
    $LYMPHOFEAT_COHORT, else data/. Exit code 2 if something stops the work, 0 with warnings only.
    """
    from ..cohort.check import check_cohort
    from ..report.check import render_check, render_errors

    report = check_cohort(cohort_folder(cohort), progress=output.progress())
    render_check(report, output.console)
    if output.quiet:
        render_errors(report, output.errors)
    if report.errors:
        sys.exit(2)


@command(example="lymphofeat simulate data --patients 40 --seed 1")
@click.argument("out", type=NewFolder("data"))
@click.option("--patients", default=40, show_default=True, type=click.IntRange(6), help="Records to draw.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Same seed, same bytes.")
@click.option("--overlap", default=0.25, show_default=True, type=click.FloatRange(0, 1),
              help="Of the classes: 0 apart, 1 the same.")  # fmt: skip
@click.option("--signal", default="both", show_default=True,
              type=click.Choice(["both", "image", "clinical", "none"]), help="What tells them apart.")  # fmt: skip
@click.option("--images", nargs=2, type=click.IntRange(1), default=(20, 60), show_default=True,
              metavar="LEAST MOST", help="Images of a patient.")  # fmt: skip
def simulate(
    output: Output, out: Path, patients: int, seed: int, overlap: float, signal: str, images: tuple[int, int]
) -> None:
    """Draw a cohort with a known truth: painted cells, clinical values, and the true probabilities beside them."""
    from ..synthetic.cohort import SimulationSettings, simulate_cohort

    spec = SimulationSettings(
        patients=patients, seed=seed, overlap=overlap, signal=signal, images_range=images  # type: ignore[arg-type]
    )  # fmt: skip
    folder = simulate_cohort(out, spec, progress=output.progress())
    output.line(f"Simulated {patients} patients in {folder}; the truth is in its truth_*.csv.")
