"""What to expect of a fine-tuning on a CPU before it begins: how long, and what would be quicker."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from ..cohort.problems import counted
from ..encoder.frozen import has_fast_bfloat16
from ..parallel import torch_threads
from ..training.epochs import LearningBags
from ..training.pace import Pace, measure_pace, pace_from
from ..training.recipe import Recipe
from ..training.side_by_side import WorkerLayout
from ..wording import duration

__all__ = ["training_estimate"]

_SAMPLE = 16  # images timed together


def training_estimate(
    backbone: nn.Module,
    recipe: Recipe,
    dtype: torch.dtype,
    encoders: Sequence[LearningBags],
    layout: WorkerLayout,
) -> str:
    """A sentence or two for the user.

    Args:
        backbone: the whole image network; it is left as it is.
        recipe: that the encoders are trained by.
        dtype: of the arithmetic.
        encoders: whom each encoder learns from and is validated on.
        layout: how many are trained at once, and with how many threads each.
    """
    with torch_threads(layout.threads):
        crop = recipe.training.crop
        batch = torch.zeros(_SAMPLE, 3, crop, crop).contiguous(memory_format=torch.channels_last)
        if recipe.training.train_from == "all":
            pace, below = measure_pace(backbone, batch, dtype), 0.0
        else:
            pace, below = pace_from(backbone, recipe.training.train_from, batch, dtype)
        seconds = _total(recipe, pace, below, encoders, layout)
        epochs = counted(recipe.training.epochs, "epoch")
        what = f"{counted(len(encoders), 'encoder')} for {epochs}{' each' * (len(encoders) > 1)}"
        text = f"Training {what} takes about {duration(seconds)} on this processor."
        return f"{text} {_quicker(backbone, recipe, dtype, encoders, layout, batch, seconds)}"


def _quicker(
    backbone: nn.Module,
    recipe: Recipe,
    dtype: torch.dtype,
    encoders: Sequence[LearningBags],
    layout: WorkerLayout,
    batch: torch.Tensor,
    seconds: float,
) -> str:
    ways = []
    resnet = recipe.network.backbone.startswith("resnet") and recipe.network.start == "weights"
    if recipe.training.train_from == "all" and resnet:
        upper = _total(recipe, *pace_from(backbone, "layer4", batch, dtype), encoders, layout)
        if upper < 0.8 * seconds:
            ways.append(f"--train-from layer4 (about {duration(upper)})")
    if dtype == torch.float32 and has_fast_bfloat16(torch.device("cpu")):
        ways.append("--dtype bfloat16")
    ways.append("--frozen (no training)")
    return f"Quicker: {', '.join(ways)}, or a GPU."


def _total(
    recipe: Recipe, pace: Pace, below: float, encoders: Sequence[LearningBags], layout: WorkerLayout
) -> float:
    """Seconds for all encoders; the layers below, if any, run once for every stored version of every image."""
    seconds = sum(_one(recipe, pace, patients) for patients in encoders) / len(encoders)
    rounds = -(-len(encoders) // layout.at_once)
    n_images = max(int(p.sizes.sum()) for p in encoders)
    return rounds * seconds + below * recipe.training.variants * n_images / layout.at_once


def _one(recipe: Recipe, pace: Pace, patients: LearningBags) -> float:
    """Seconds for one encoder: images learnt from, those that go through twice, and those that validate."""
    most, views = recipe.batches.images_per_patient, 2 if recipe.label_free else 1
    sizes = np.minimum(patients.sizes, most) if most else patients.sizes
    learning, validating = views * sizes[patients.learns], patients.sizes[~patients.learns]
    groups = np.array_split(learning, -(-len(learning) // recipe.batches.patients))
    twice = sum(int(g.sum()) for g in groups if g.sum() > recipe.batches.images)
    looked_at = int(validating.sum()) + twice
    return recipe.training.epochs * (int(learning.sum()) * pace.training + looked_at * pace.inference)
