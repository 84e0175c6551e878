"""Commands on studies: `tune`, `heads` that it searches, and `info` on what was kept."""

import os
from pathlib import Path
from typing import Any

import click

from ..metric import METRICS
from ..storage.addresses import StudyAddress, StudyPlace, local_place
from .common import (
    Output,
    always,
    cache_option,
    command,
    csv_option,
    dask_option,
    executor_of,
    names,
    path_or_study,
    study_option,
    study_path,
)
from .next_step import report_line
from .paths import GivenStudy, GivenText, NewFile, PathOrStudy
from .places import CACHE, STUDIES


@command(example="lymphofeat heads")
def heads(output: Output) -> None:
    """List the head types that `tune` searches, each with its source, and the poolings."""
    from ..heads.registry import head_types
    from ..report.heads import render_heads

    render_heads(head_types(), output.console)


@command(example="lymphofeat info cache/features.h5")
@click.argument("file", type=PathOrStudy(), default=CACHE)
def info(output: Output, file: StudyPlace) -> None:
    """Say what a file or folder is, and what can be done with it; default: cache/features.h5.

    A cache or a study is shown with its contents; a study may be given by its name or its address. Exported models,
    evaluations, cohorts, tables, weights and features of other toolkits are recognised.
    """
    from ..storage.kinds import inspect_path

    file = path_or_study(file)
    if isinstance(file, StudyAddress):
        _show_study(output, file)
        return
    kind = inspect_path(file)
    from ..report.other_paths import OTHER, render_other

    if kind.name in OTHER and file.suffix != ".db":
        render_other(file, kind, output.console)
        return
    if file.suffix == ".db" or kind.name == "study":
        _show_study(output, file)
        return
    from ..cache import open_cache
    from ..cache.disk import disk_use
    from ..cache.leftovers import partials
    from ..cache.trainings import trainings_under_way
    from ..report.cache import render_cache, render_partials, render_trainings
    from ..report.disk import render_disk_use

    waiting = list(partials(file))
    if file.exists() or not waiting:
        render_cache(open_cache(file), output.console)
    render_partials(waiting, output.console)
    render_trainings(trainings_under_way(file), output.console)
    render_disk_use(disk_use(file, [STUDIES]), file, output.console)


def _show_study(output: Output, study: StudyPlace) -> None:
    from ..report.study import render_study
    from ..studies import load_study
    from ..studies.continuing import changed_since

    render_study(load_study(study), output.console)
    if changed := changed_since(study):
        output.line(changed)


@command(example="lymphofeat tune --trials 200 --jobs 2", resumes=always)
@cache_option
@study_option
@click.option("--trials", "n_trials", default=200, show_default=True, type=click.IntRange(1),
              help="Finished trials in the study, earlier runs included.")  # fmt: skip
@click.option("--metric", default="balanced_accuracy", show_default=True,
              type=click.Choice(METRICS), help="Metric to optimise.")  # fmt: skip
@click.option("--class-weights", metavar="REACTIVE,MALIGNANT",
              help="Weights of a patient in balanced accuracy, as some leaderboards fix them (default: both classes "
              "weigh the same).")  # fmt: skip
@click.option(
    "--encoding",
    type=GivenText(),
    metavar="NAME,…",
    help="Encoder family in the cache, or several to choose among and join (default: all that saw no labels, or the "
    "fine-tuned one computed last).",
)
@click.option(
    "--heads",
    default="",
    metavar="NAME,…",
    help="Head types to search (default: all; see `lymphofeat heads`).",
)
@click.option(
    "--inputs",
    default="",
    metavar="NAME,…",
    help="Inputs of the heads: clinical, image, both (default: all).",
)
@click.option("--no-clinical", is_flag=True, help="Short for --inputs image.")
@click.option("--sampler", default="tpe", show_default=True, type=click.Choice(["tpe", "random", "grid"]),
              help="Sampler, after the default parameters of each head type.")  # fmt: skip
@click.option("--prune/--no-prune", default=True, show_default=True,
              help="Stop a trial whose first folds are clearly worse than the best trial's.")  # fmt: skip
@click.option("--missing-indicators/--no-missing-indicators", default=False, show_default=True,
              help="Let heads use that a clinical value is missing, a possible shortcut.")  # fmt: skip
@click.option("--repeats", default=1, show_default=True, type=click.IntRange(1), help="Repeats of the folds.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of the search.")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1),
              help="Processes; the trials do not depend on them.")  # fmt: skip
@dask_option
@click.option("--show", is_flag=True, help="Show the study without searching; needs no cache.")
@click.option("--trials-csv", type=NewFile("trials.csv"), metavar="FILE",
              help="CSV file of all trials with their parameters; with --show of a study that is there.")  # fmt: skip
@csv_option
@click.option("--force", is_flag=True, help="Replace an existing file of --trials-csv.")
def tune(
    output: Output,
    cache: Path,
    study: GivenStudy,
    *,
    encoding: str | None,
    heads: str,
    inputs: str,
    no_clinical: bool,
    class_weights: str | None,
    dask: str | None,
    show: bool,
    trials_csv: Path | None,
    csv_for: str,
    force: bool,
    **options: Any,
) -> None:
    """Try patient-level heads on the cached features, cross-validated by patient.

    An interrupted search continues where it stopped.
    """
    from .. import studies
    from ..report.study import render_study

    if no_clinical and inputs:
        raise click.UsageError("--no-clinical is --inputs image; give one of them.")
    if trials_csv is not None:
        from ..storage.atomic import refuse_existing

        refuse_existing(trials_csv, overwrite=force)
    if show:
        summary = studies.load_study(study_path(study))
    else:
        weights = _class_weights(class_weights)
        progress = output.progress()
        with executor_of(dask, progress.note) as executor:
            summary = studies.tune(
                cache, study_path(study), encoding=encoding, heads=names(heads),
                inputs=["image"] if no_clinical else names(inputs), class_weights=weights,
                executor=executor, progress=progress, **options,
            )  # fmt: skip
    render_study(summary, output.console)
    if show:
        scored = os.path.relpath(local_place(summary.path).parent / summary.provenance["cache"])
        if Path(scored).exists():
            output.line(("See: ", "dim"), (report_line(Path(scored), study), "dim"))
    if trials_csv is not None:
        from ..storage.atomic import atomic_write
        from ..storage.csv_tables import write_csv

        with atomic_write(trials_csv, overwrite=force) as file:
            write_csv(summary.trials.reset_index(), file, csv_for=csv_for)
        output.line(f"Wrote {trials_csv}")


def _class_weights(given: str | None) -> tuple[float, float] | None:
    if given is None or given == "none":
        return None
    try:
        reactive, malignant = (float(part) for part in given.split(","))
    except ValueError:
        raise click.UsageError(
            f"--class-weights takes two numbers such as 1,2, or none; not {given!r}."
        ) from None
    return reactive, malignant
