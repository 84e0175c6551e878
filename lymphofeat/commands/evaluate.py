"""The command `evaluate`."""

from pathlib import Path
from typing import Any

import click

from ..array_tasks import ArrayTask
from ..errors import InputError
from ..metric import METRICS
from .common import (
    Output,
    always,
    cache_option,
    command,
    csv_option,
    dask_option,
    executor_of,
    names,
    study_option,
    study_path,
    task_option,
)
from .paths import GivenStudy, GivenText, NewFile, OutFolder


@command(example="lymphofeat evaluate --trials 50 --out evaluation", resumes=always)
@cache_option
@study_option
@click.option(
    "--encoding",
    type=GivenText(),
    metavar="NAME,…",
    help="Encoder family in the cache, or several to choose among and join (default: all that saw no labels, or the "
    "fine-tuned one computed last).",
)
@click.option(
    "--trials", "n_trials", default=50, show_default=True, type=click.IntRange(1), help="Trials per search."
)
@click.option("--repeats", default=1, show_default=True, type=click.IntRange(1),
              help="Repeats of the folds; 5 show how stable the choices are, at 5 times the cost.")  # fmt: skip
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(1),
              help="Searches per repeat, each with its own seed.")  # fmt: skip
@click.option(
    "--heads",
    default="",
    metavar="NAME,…",
    help="Head types to search (default: all; see `lymphofeat heads`).",
)
@click.option("--metric", default="balanced_accuracy", show_default=True,
              type=click.Choice(METRICS), help="Metric that each search optimises.")  # fmt: skip
@click.option("--permute", default=0, show_default=True, metavar="N", type=click.IntRange(0),
              help="Permutation test with N shuffles of the labels, each a nested cross-validation.")  # fmt: skip
@click.option("--missing-indicators/--no-missing-indicators", default=False, show_default=True,
              help="Let heads use that a clinical value is missing, a possible shortcut.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of the searches.")
@click.option("--jobs", type=click.IntRange(1),
              help="Processes; the results do not depend on them (default: one per core as far as the memory goes, 1 "
              "for less than 200 trials).")  # fmt: skip
@dask_option
@task_option
@click.option("--out", type=OutFolder(), metavar="DIR",
              help="Folder for evaluate.md, evaluate.json and one CSV per table.")  # fmt: skip
@click.option(
    "--json", "record", type=NewFile("evaluate.json"), metavar="FILE", help="File for all tables as JSON."
)
@click.option("--learning-curve", is_flag=True,
              help="Add a learning curve: the selected heads trained on fewer patients.")  # fmt: skip
@click.option("--tables", is_flag=True, help="Print all tables, not only the scores.")
@csv_option
@click.option("--force", is_flag=True, help="Replace existing files.")
def evaluate(
    output: Output,
    cache: Path,
    study: GivenStudy,
    *,
    encoding: str | None,
    heads: str,
    jobs: int | None,
    dask: str | None,
    task: ArrayTask | None,
    out: Path | None,
    record: Path | None,
    learning_curve: bool,
    tables: bool,
    csv_for: str,
    force: bool,
    **options: Any,
) -> None:
    """Score the whole search by nested cross-validation, with control experiments: the scores to quote.

    The search is repeated inside every outer fold; the model that `submit` would select predicts the fold. The control
    experiments use clinical values only, images only, an untrained encoder and shuffled labels: the first lines say
    what images and the encoder add. How long it will take is said after the first trials. An interrupted run
    continues where it stopped; the searches are kept in studies/NAME-nested, so that the same command with --tables
    prints all tables in a moment.
    """
    from ..assess.evaluate import carry_out
    from ..assess.plan import plan_evaluation
    from ..assess.record import KEPT
    from ..assess.share import carry_out_share
    from ..report.assess import render_assessment, render_share, write_assessment, write_json
    from ..storage.atomic import refuse_existing
    from ..studies.continuing import searches_folder

    if task is not None:
        _check_task_alone(
            out=out is not None, json=record is not None, learning_curve=learning_curve, tables=tables
        )
    inside = [] if out is None else [out / "evaluate.md", out / "evaluate.json"]
    for path in filter(None, [record, *inside]):
        refuse_existing(path, overwrite=force)
    plan = plan_evaluation(cache, encoding=encoding, heads=names(heads), jobs=jobs or 1, **options)
    output.line(plan.sentence, wrap=False)
    kept = searches_folder(study_path(study))
    progress = output.progress()
    with executor_of(dask, progress.note) as executor:
        how: dict[str, Any] = {"jobs": jobs, "executor": executor, "progress": progress}
        if task is not None:
            render_share(carry_out_share(plan, kept, task, **how), output.console)
            return
        evaluation = carry_out(plan, kept, **how)
    found = evaluation.assessment
    if learning_curve:
        from ..report.assess_learning import measured_learning_curve

        folds = sorted((f for f in evaluation.main.folds_of_runs if f.run == 0), key=lambda f: f.fold)
        members, encoder_family = [fold.members for fold in folds], evaluation.main.encoding
        found = measured_learning_curve(found, plan.cache, encoder_family, members, progress=progress)
        write_json(found, kept / KEPT, force=True)
    render_assessment(found, output.console, every=tables)
    if not tables:
        output.line()
        output.line("--tables prints all tables, --out DIR writes them; finished searches are kept.")
    if record is not None:
        write_json(found, record, force=force)
        output.line(f"Wrote {record}")
    if out is not None:
        files = write_assessment(found, out, force=force, csv_for=csv_for)
        output.line("Wrote " + ", ".join(map(str, files)))


def _check_task_alone(**given: bool) -> None:
    """Refuse options of what only the collecting call makes.

    Raises:
        InputError: one of them was given.
    """
    if found := ", ".join(f"--{name.replace('_', '-')}" for name, there in given.items() if there):
        raise InputError(
            f"A task has no result of its own, so {found} cannot be used with --task; give it to the call without "
            "--task, which collects."
        )
