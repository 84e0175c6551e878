"""What `tune` tries: the search space, where it begins, and the head that a point of it stands for."""

from collections.abc import Mapping
from typing import Any

import optuna

from ..heads.base import Head
from ..heads.linear import INPUTS, PooledLogistic
from ..heads.pooling import POOLINGS

__all__ = ["FIRST_TRIALS", "SPACE", "build_head", "suggest"]

# Changes whenever the space does: trials of two spaces do not belong into one study.
SPACE = "linear-1"

_IMAGE = {"pooling": "mean", "scale": True, "reduce": "none"}

# Sensible before anything is known, and the controls that every study shows beside its best.
FIRST_TRIALS: tuple[dict[str, Any], ...] = (
    {"inputs": "clinical", "C": 1.0, "class_weight": "none"},
    {"inputs": "image", "C": 1.0, "class_weight": "none", **_IMAGE},
    {"inputs": "both", "C": 1.0, "class_weight": "none", **_IMAGE},
    {"inputs": "both", "C": 1.0, "class_weight": "balanced", **_IMAGE, "pooling": "mean+std"},
    {"inputs": "both", "C": 1.0, "class_weight": "none", **_IMAGE, "reduce": "pca", "components": 32},
    {"inputs": "image", "C": 1.0, "class_weight": "balanced", **_IMAGE, "pooling": "mean+std"},
)


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    """Draw a point of the space; what a choice makes meaningless is not drawn.

    Returns:
        inputs, C, class_weight; with images also pooling, scale, reduce; with PCA also components.
    """
    params: dict[str, Any] = {
        "inputs": trial.suggest_categorical("inputs", list(INPUTS)),
        "C": trial.suggest_float("C", 1e-3, 1e3, log=True),
        "class_weight": trial.suggest_categorical("class_weight", ["none", "balanced"]),
    }
    if params["inputs"] == "clinical":
        return params
    params["pooling"] = trial.suggest_categorical("pooling", sorted(POOLINGS))
    params["scale"] = trial.suggest_categorical("scale", [True, False])
    params["reduce"] = trial.suggest_categorical("reduce", ["none", "pca"])
    if params["reduce"] == "pca":
        params["components"] = trial.suggest_int("components", 2, 64, log=True)
    return params


def build_head(params: Mapping[str, Any]) -> Head:
    """The unfitted head of a point of the space (as `suggest` returns it, or as a trial's `params`)."""
    weight = params["class_weight"]
    return PooledLogistic(
        inputs=params["inputs"],
        C=params["C"],
        class_weight=None if weight == "none" else weight,
        pooling=params.get("pooling", "mean"),
        scale=params.get("scale", True),
        pca=params.get("components"),
    )
