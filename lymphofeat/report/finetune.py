"""What `extract` prints about fine-tuned and adapted encoders, and `recipes` about recipes."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console

from ..cache.trainings import encoders_folder
from ..cohort.problems import counted
from ..training.recipe import Recipe
from ..wording import duration
from .printing import PlainTable, show

if TYPE_CHECKING:
    from ..cache.adapt import AdaptSummary
    from ..cache.finetune import FinetuneSummary


def render_finetune(summary: "FinetuneSummary", console: Console) -> None:
    """Which encoders there are now, and their scores on inner validation patients."""
    s = summary
    show(
        console,
        f"{s.cache}: encoder family ",
        (s.encoder_family, "bold"),
        f", {len(s.best)} fine-tuned encoders, {s.n_images:,} images each",
    )
    show(console, f"  recipe {s.recipe.name}, started from: {s.origin}")
    if s.n_before == len(s.best):
        show(console, "  already complete; nothing to do")
        return
    table = PlainTable(padding=(0, 2))
    table.add_column("encoder", no_wrap=True)
    for column in ("epoch kept", "inner balanced accuracy", "inner AUC"):
        table.add_column(column, justify="right")
    for name, record in s.best.items():
        table.add_row(
            name.removeprefix(f"{s.encoder_family}-"),
            f"{record['epoch']:.0f}",
            f"{record['balanced_accuracy']:.3f}",
            f"{record['auc']:.3f}",
        )
    show(console, table)
    before = f"; {s.n_before} encoders from an earlier run" if s.n_before else ""
    show(console, f"  {duration(s.seconds)}{before}; the networks are in {encoders_folder(s.cache)}/")
    show(
        console,
        "  The inner scores chose the epoch, so they are optimistic; `lymphofeat tune` and `compare` score on folds "
        "that the encoders never saw.",
    )


def render_adapt(summary: "AdaptSummary", console: Console) -> None:
    """What the encoder learnt from, and how its loss went."""
    s = summary
    show(
        console,
        f"{s.cache}: encoding ",
        (s.encoding, "bold"),
        f", adapted without labels, {s.n_images:,} images",
    )
    show(console, f"  recipe {s.recipe.name}, started from: {s.origin}")
    parts = "the labelled part and of the test part" if s.with_test else "the labelled part"
    show(console, f"  learnt from the images of {s.learnt_from} patients of {parts}, no label seen")
    if s.was_there:
        show(console, "  already complete; nothing to do")
        return
    first, last = s.history[0], s.history[-1]
    show(
        console,
        f"  {counted(len(s.history), 'epoch')}: loss {first['loss']:.3f} → {last['loss']:.3f}, variance "
        f"{last['variance']:.3f} (near 1, all images would look alike)",
    )
    show(console, f"  {duration(s.seconds)}; the network is in {encoders_folder(s.cache)}/")
    show(
        console,
        f"  The encoding is blind to every fold; `lymphofeat tune --encoding {s.encoding}` searches on it. Only labels "
        "tell whether it helps: `lymphofeat compare` sets it beside its start and the untrained network.",
    )


def render_recipes(recipes: Sequence[Recipe], console: Console) -> None:
    """One line per recipe."""
    table = PlainTable(padding=(0, 2))
    table.add_column("recipe", no_wrap=True)
    table.add_column("labels")
    table.add_column("epochs", justify="right")
    table.add_column("description")
    for recipe in recipes:
        labels = "label-free" if recipe.label_free else "taken"
        table.add_row(recipe.name, labels, str(recipe.training.epochs), recipe.title)
    show(console, table)
    show(
        console,
        "Label-free recipes are for `lymphofeat extract --adapt`. `lymphofeat recipes NAME` shows all settings of a "
        "recipe in the form of a recipe file; docs/recipes.md explains them.",
    )


def render_recipe(recipe: Recipe, console: Console) -> None:
    """All settings as a recipe file, which `--recipe FILE.toml` takes."""
    lines = [f"title = {json.dumps(recipe.title, ensure_ascii=False)}"]
    for section in Recipe.sections():
        lines += ["", f"[{section}]"]
        lines += [
            f"{key} = {json.dumps(value, ensure_ascii=False)}"
            for key, value in asdict(getattr(recipe, section)).items()
        ]
    show(console, "\n".join(lines), wrap=False)
