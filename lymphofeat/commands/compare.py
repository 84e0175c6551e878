"""The command `compare`."""

from pathlib import Path
from typing import Any

import click

from ..metric import METRICS
from .common import (
    Output,
    always,
    cache_option,
    cohort_folder,
    command,
    csv_option,
    dask_option,
    executor_of,
    names,
)
from .paths import GivenPath, GivenText, NewFile, OutFolder
from .places import STUDIES


@command(example="lymphofeat compare data --pipelines default,frozen --out comparison", resumes=always)
@click.argument("source", metavar="[COHORT|CACHE]", type=GivenPath(), required=False)
@cache_option
@click.option("--pipelines", default="", metavar="NAME,…",
              help="Pipelines by name, encoding, recipe or head, or frozen, fine-tuned, pair "
              "(default: all).")  # fmt: skip
@click.option("--metric", default="balanced_accuracy", show_default=True,
              type=click.Choice(METRICS), help="Metric that decides which is best.")  # fmt: skip
@click.option(
    "--out", type=OutFolder(), metavar="DIR", help="Folder for compare.csv, compare.md and compare.json."
)
@click.option("--weights", type=GivenText(), metavar="imagenet|FILE",
              help="Weights whose frozen encoding is added and from which recipes start "
              "(default: imagenet).")  # fmt: skip
@click.option("--device", default="auto", show_default=True,
              type=click.Choice(["auto", "cpu", "cuda", "mps"]), help="Device to compute on.")  # fmt: skip
@click.option("--dtype", default="float32", show_default=True, type=click.Choice(["float32", "bfloat16"]),
              help="Number format.")  # fmt: skip
@click.option("--emulate-bfloat16", is_flag=True,
              help="Allow bfloat16 where the processor lacks it, many times slower than float32.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), help="Seed of training (default: 0).")
@click.option("--pseudonyms", type=NewFile("key.csv"), metavar="KEY.csv",
              help="Key of the pseudonyms of --cache, with a cohort; see `lymphofeat extract --help`.")  # fmt: skip
@dask_option
@csv_option
@click.option("--force", is_flag=True, help="Replace existing files of --out.")
def compare(
    output: Output,
    source: Path | None,
    cache: Path,
    pipelines: str,
    metric: str,
    out: Path | None,
    weights: str | None,
    *,
    dask: str | None,
    csv_for: str,
    force: bool,
    **settings: Any,
) -> None:
    """Score every pipeline of a cache and the control experiments on the same folds.

    Given a cohort, first adds to --cache what it lacks: control experiments, --weights, recipes in --pipelines. Given a
    cache (default: --cache, if it exists), scores what it holds. An interrupted run continues where it stopped.
    """
    from ..comparison.compare import compare as compare_pipelines
    from ..report.compare import comparison_files, render_comparison, write_comparison
    from ..storage.atomic import refuse_existing

    for file in () if out is None else comparison_files(out):
        refuse_existing(file, overwrite=force)
    if source is None and cache.exists():
        source = cache
    given = source is not None and (source.is_file() or source.suffix == ".h5")
    cohort = None if given else cohort_folder(source)
    progress = output.progress()
    with executor_of(dask, progress.note) as executor:
        comparison = compare_pipelines(
            source if source is not None and given else cache, STUDIES / "compare.jsonl", cohort=cohort,
            pipelines=names(pipelines), metric=metric, weights=weights, executor=executor,
            progress=progress, **settings,
        )  # fmt: skip
    render_comparison(comparison, output.console)
    if out is not None:
        files = write_comparison(comparison, out, force=force, csv_for=csv_for)
        output.line("Wrote " + ", ".join(map(str, files)))
