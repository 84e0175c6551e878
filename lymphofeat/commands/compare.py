"""The command `compare`."""

from pathlib import Path
from typing import Any

import click

from .common import METRICS, STUDIES, Output, always, cache_option, cohort_folder, command, names
from .paths import GivenPath, GivenText, OutFolder


@command(example="lymphofeat compare data --pipelines default,frozen --out comparison", resumes=always)
@click.argument("source", metavar="[COHORT|CACHE]", type=GivenPath(), required=False)
@cache_option
@click.option("--pipelines", default="", metavar="NAME,…",
              help="Pipelines, encodings, recipes, heads, or frozen, fine-tuned; by default all.")  # fmt: skip
@click.option("--metric", default="balanced_accuracy", show_default=True,
              type=click.Choice(METRICS), help="What decides the best.")  # fmt: skip
@click.option("--out", type=OutFolder(), metavar="DIR", help="Write compare.csv and compare.md there.")
@click.option("--weights", type=GivenText(), metavar="imagenet|FILE",
              help="Also their frozen encoding; recipes start from them (by default from imagenet).")  # fmt: skip
@click.option("--device", default="auto", show_default=True,
              type=click.Choice(["auto", "cpu", "cuda", "mps"]), help="Where to compute.")  # fmt: skip
@click.option("--dtype", default="float32", show_default=True, type=click.Choice(["float32", "bfloat16"]),
              help="Of the arithmetic.")  # fmt: skip
@click.option("--emulate-bfloat16", is_flag=True,
              help="Use bfloat16 even where the processor lacks it and float32 is many times faster.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), help="Of training; 0 by default.")
def compare(
    output: Output,
    source: Path | None,
    cache: Path,
    pipelines: str,
    metric: str,
    out: Path | None,
    weights: str | None,
    **settings: Any,
) -> None:
    """Measure every pipeline of a cache on the same folds, beside control experiments that know nothing of cells.

    Given a cohort, first adds to --cache what it lacks: the control experiments, the --weights, the recipes in
    --pipelines. Given a cache (by default --cache, if it is there), measures what it holds. Goes on where an earlier
    run was stopped.
    """
    from ..comparison.compare import compare as compare_cache
    from ..comparison.compare import compare_cohort
    from ..report.compare import render_comparison, write_comparison

    chosen = names(pipelines)
    record, progress = STUDIES / "compare.jsonl", output.progress()
    if source is None and cache.exists():
        source = cache
    if source is not None and (source.is_file() or source.suffix == ".h5"):
        comparison = compare_cache(source, record, pipelines=chosen, metric=metric, progress=progress)
    else:
        from ..cache.extract import ExtractSettings
        from ..cohort.read import read_cohort

        comparison = compare_cohort(
            read_cohort(cohort_folder(source)), cache, record, settings=ExtractSettings(**settings),
            weights=weights, pipelines=chosen, metric=metric, progress=progress,
        )  # fmt: skip
    render_comparison(comparison, output.console)
    if out is not None:
        output.line("Wrote " + " and ".join(map(str, write_comparison(comparison, out))))
