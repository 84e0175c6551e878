"""Which recipes take no labels: what a cache asks of an encoding before torch is loaded."""

from collections.abc import Mapping
from typing import Any

__all__ = ["LABEL_FREE", "takes_no_labels"]

LABEL_FREE = "vicreg"  # the loss that takes no labels


def takes_no_labels(recipe: Mapping[str, Any]) -> bool:
    """Whether a recipe, as `Recipe.to_dict` wrote it down, is one whose loss takes no labels."""
    loss = recipe.get("loss")
    return isinstance(loss, Mapping) and loss.get("kind") == LABEL_FREE
