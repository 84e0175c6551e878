"""Commands that fill the cache: `extract`, and `backbones` and `recipes` that it may take."""

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from .common import (
    Output,
    cache_option,
    cohort_argument,
    cohort_folder,
    command,
    dask_option,
    executor_of,
    task_option,
)
from .paths import GivenText, NewFile
from .several import Numbers


@command(
    example="lymphofeat extract data --frozen --weights resnet18.pth",
    resumes=lambda given: not (given["force"] or given["retrain"]),
)
@cohort_argument
@cache_option
@click.option("--frozen", is_flag=True, help="A network as it is, instead of measured cells.")
@click.option(
    "--finetune", is_flag=True, help="Fine-tuned encoders, one per fold, trained without that fold."
)
@click.option("--adapt", is_flag=True,
              help="One encoder, adapted to the images without labels: blind to every fold.")  # fmt: skip
@click.option("--with-test", is_flag=True,
              help="With --adapt: learn from the images of the test part as well.")  # fmt: skip
@click.option("--recipe", type=GivenText(), metavar="NAME|FILE.toml",
              help="Recipe of training; see `lymphofeat recipes` (default: default, with --adapt adapt).")  # fmt: skip
@click.option("--epochs", type=click.IntRange(1), help="Epochs per encoder (default: from the recipe).")
@click.option("--train-from", type=click.Choice(["all", "layer3", "layer4", "fc"]),
              help="First layer to train, on stored activations (default: from the recipe).")  # fmt: skip
@click.option(
    "--nested", is_flag=True, help="Encoders blind to two folds as well, for nested cross-validation."
)
@click.option(
    "--name",
    type=GivenText(),
    metavar="NAME",
    help="Name of the fine-tuned encoder family or adapted encoding (default: from recipe and weights).",
)
@click.option("--weights", type=GivenText(), default="imagenet", show_default=True, metavar="imagenet|none|FILE",
              help="Weights to start from: imagenet (torchvision's), none (untrained, a control experiment; "
              "needs --seed), or a file.")  # fmt: skip
@click.option("--backbone", type=GivenText(),
              help="morphology (cells measured, no weights), efficientnet-lite0, resnet18, resnet34, resnet50, "
              "small-cnn, or a name of timm's; see `lymphofeat backbones` (default: from the recipe, else "
              "resnet18).")  # fmt: skip
@click.option("--features", type=GivenText(), metavar="GROUPS",
              help="Groups that morphology measures: shape, chromatin, colour, background (default: "
              "shape,chromatin).")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), help="Seed of random weights and of training (default: 0).")
@click.option(
    "--crop",
    type=click.IntRange(32),
    help="Side of the centre crop in pixels (default: from the recipe, else 112).",
)
@click.option("--input-size", type=click.IntRange(32),
              help="Side in pixels that the crop is scaled to, with --frozen (default: what the network needs, else "
              "no scaling).")  # fmt: skip
@click.option("--batch-size", default=64, show_default=True, type=click.IntRange(1),
              help="Images per batch when features are computed.")  # fmt: skip
@click.option("--device", default="auto", show_default=True,
              type=click.Choice(["auto", "cpu", "cuda", "mps"]), help="Device to compute on.")  # fmt: skip
@click.option("--gpus", type=Numbers(), metavar="N ...",
              help="GPUs of this machine, by their numbers: a process for each encodes and trains.")  # fmt: skip
@dask_option
@task_option
@click.option("--dtype", default="auto", show_default=True, type=click.Choice(["auto", "float32", "bfloat16"]),
              help="Number format; auto takes the faster where the processor has bfloat16.")  # fmt: skip
@click.option("--emulate-bfloat16", is_flag=True,
              help="Allow bfloat16 where the processor lacks it, many times slower than float32.")  # fmt: skip
@click.option(
    "--folds", "n_folds", type=click.IntRange(2), help="Number of folds (default: from the recipe, else 5)."
)
@click.option("--fold-seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of the folds.")
@click.option("--pseudonyms", type=NewFile("key.csv"), metavar="KEY.csv",
              help="Key of pseudonyms, which the cache then holds instead of IDs, dates of birth and file names; "
              "written once, read again.")  # fmt: skip
@click.option("--retrain", is_flag=True,
              help="Train the encoders anew on the cohort as it is now; else they stay as they are, and encode the "
              "images of new patients.")  # fmt: skip
@click.option(
    "--force", is_flag=True, help="Replace features that do not fit the cohort any more, and train again."
)
def extract(
    output: Output,
    cohort: Path | None,
    cache: Path,
    dask: str | None,
    **options: Any,
) -> None:
    """Compute the features of every image and keep them in the cache.

    The cells are measured, without a network or labels. --frozen encodes them by a pretrained network instead;
    --finetune trains one encoder per fold, without that fold; --adapt one encoder without labels. An interrupted run
    continues where it stopped. COHORT: a folder (default: $LYMPHOFEAT_COHORT, else data/).
    """
    from ..cache.morphology import check_morphology
    from ..cache.passes import extract as extract_passes
    from ..encoder.morphology.features import MORPHOLOGY
    from ..report.cache import render_extract, render_share
    from ..report.finetune import render_adapt, render_finetune

    trained = options["frozen"] or options["finetune"] or options["adapt"]
    if options["backbone"] == MORPHOLOGY or not trained:  # of the command line, also a default that was typed
        context = click.get_current_context()
        typed = {
            name: context.get_parameter_source(name) is not ParameterSource.DEFAULT for name in _FOR_NETWORKS
        }
        typed["backbone"] = options["backbone"] not in (None, MORPHOLOGY)
        check_morphology(finetune=options["finetune"], given=typed)
    progress = output.progress()
    with executor_of(dask, progress.note) as executor:
        done = extract_passes(cohort_folder(cohort), cache, executor=executor, progress=progress, **options)
    if done.share is not None:
        render_share(done.share, output.console)
    if done.adapted is not None:
        render_adapt(done.adapted, output.console)
    if done.finetuned is not None:
        render_finetune(done.finetuned, output.console)
    if (encoded := done.measured or done.frozen) is not None:
        render_extract(encoded, output.console)


_FOR_NETWORKS = (
    "adapt", "weights", "seed", "recipe", "epochs", "train_from", "nested", "name", "dtype", "emulate_bfloat16",
    "input_size", "retrain",
)  # fmt: skip


@command(example="lymphofeat backbones")
def backbones(output: Output) -> None:
    """List the networks of `extract --backbone`: width, source, licence, and what works here without a connection."""
    from ..encoder.catalogue import listed_backbones
    from ..report.backbones import render_backbones

    render_backbones(listed_backbones(), output.console)


@command(example="lymphofeat recipes pooled")
@click.argument("name", type=GivenText(), metavar="[NAME|FILE.toml]", required=False)
def recipes(output: Output, name: str | None) -> None:
    """List the recipes of `extract --finetune` and `extract --adapt`, or show all settings of one."""
    from ..report.finetune import render_recipe, render_recipes
    from ..training.recipe_file import find_recipe, list_recipes

    if name is None:
        render_recipes(list_recipes(), output.console)
    else:
        render_recipe(find_recipe(name), output.console)
