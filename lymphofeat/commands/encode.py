"""Commands that fill the cache: `extract`, and `recipes` that it may follow."""

from pathlib import Path
from typing import Any

import click

from .common import Output, cache_option, cohort_argument, cohort_folder, command
from .paths import GivenText


@command(
    example="lymphofeat extract data --weights resnet18.pth --train-from layer4",
    resumes=lambda given: not given["force"],
)
@cohort_argument
@cache_option
@click.option("--frozen", is_flag=True, help="Only the encoder as it is: no labels used, minutes.")
@click.option("--finetune", is_flag=True, help="Only the fine-tuned encoders, one per fold.")
@click.option("--recipe", type=GivenText(), default="default", show_default=True, metavar="NAME|FILE.toml",
              help="How to fine-tune; see `lymphofeat recipes`.")  # fmt: skip
@click.option("--epochs", type=click.IntRange(1), help="Of each encoder; by default the recipe's.")
@click.option("--train-from", type=click.Choice(["all", "layer3", "layer4", "fc"]),
              help="Train only from here on, on stored activations; by default the recipe's.")  # fmt: skip
@click.option("--nested", is_flag=True, help="Also encoders blind to two folds, for nested cross-validation.")
@click.option(
    "--name",
    type=GivenText(),
    metavar="NAME",
    help="Name of the fine-tuned encoder family (default: from recipe and weights).",
)
@click.option("--weights", type=GivenText(), default="imagenet", show_default=True, metavar="imagenet|none|FILE",
              help="torchvision's own, none (untrained: a control experiment, needs --seed), or a file.")  # fmt: skip
@click.option("--backbone", type=GivenText(), help="The network; by default the recipe's, else resnet18.")
@click.option("--seed", type=click.IntRange(0), help="Of random weights and of training (0 by default).")
@click.option(
    "--crop", type=click.IntRange(32), help="Centre crop, pixels; by default the recipe's, else 112."
)
@click.option("--batch-size", default=64, show_default=True, type=click.IntRange(1),
              help="Images a pass, where features are computed.")  # fmt: skip
@click.option("--device", default="auto", show_default=True,
              type=click.Choice(["auto", "cpu", "cuda", "mps"]), help="Where to compute.")  # fmt: skip
@click.option("--dtype", default="float32", show_default=True, type=click.Choice(["float32", "bfloat16"]),
              help="Of the arithmetic; bfloat16 is twice as fast where the processor has it.")  # fmt: skip
@click.option("--emulate-bfloat16", is_flag=True,
              help="Use bfloat16 even where the processor lacks it and float32 is many times faster.")  # fmt: skip
@click.option("--folds", "n_folds", type=click.IntRange(2), help="Folds; by default the recipe's, else 5.")
@click.option("--fold-seed", default=0, show_default=True, type=click.IntRange(0), help="Of the folds.")
@click.option("--force", is_flag=True, help="Replace what is there and does not fit; train anew.")
def extract(
    output: Output,
    cohort: Path | None,
    cache: Path,
    *,
    frozen: bool,
    finetune: bool,
    force: bool,
    **options: Any,
) -> None:
    """Compute the features of every image and keep them in the cache.

    First by the encoder as it is (frozen), then by encoders that are fine-tuned on the cohort, one per fold and
    without that fold, so that heads can be scored on it. Goes on where an earlier run was stopped. COHORT is by default
    $LYMPHOFEAT_COHORT, else data/.
    """
    from ..cache.extract import extract_frozen
    from ..cache.finetune import extract_finetuned, settings_from
    from ..cohort.read import read_cohort
    from ..cohort.reading import reading_notes
    from ..report.cache import render_extract
    from ..report.finetune import render_finetune

    if frozen and finetune:
        raise click.UsageError(
            "--frozen and --finetune exclude each other; leave both out for both encodings."
        )
    settings = settings_from(**options)
    found, progress = read_cohort(cohort_folder(cohort)), output.progress()
    for note in reading_notes(found.images, settings.extract.crop):
        progress.note(note)
    if not finetune:
        summary = extract_frozen(found, cache, settings.extract, force=force, progress=progress)
        render_extract(summary, output.console)
    if not frozen:
        tuned = extract_finetuned(found, cache, settings, force=force, progress=progress)
        render_finetune(tuned, output.console)


@command(example="lymphofeat recipes pooled")
@click.argument("name", type=GivenText(), metavar="[NAME|FILE.toml]", required=False)
def recipes(output: Output, name: str | None) -> None:
    """List the recipes of `extract --finetune`, or show all settings of one."""
    from ..report.finetune import render_recipe, render_recipes
    from ..training.recipe_file import find_recipe, list_recipes

    if name is None:
        render_recipes(list_recipes(), output.console)
    else:
        render_recipe(find_recipe(name), output.console)
