"""How pipelines look: the same colour, line and symbol in every figure, told apart in grey too."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pandas as pd

from .style import FOURTH, INK, MAIN, MUTED, OTHER, THIRD

__all__ = ["LOOKS", "Look", "looks_of", "roles_of"]


@dataclass(frozen=True)
class Look:
    """Of one pipeline.

    Attributes:
        colour: of its lines and symbols.
        dashes: of its lines, as of matplotlib's `linestyle`.
        marker: its symbol.
    """

    colour: str
    dashes: Any
    marker: str


LOOKS: Mapping[str, Look] = MappingProxyType(
    {
        "main": Look(MAIN, "-", "o"),
        "clinical": Look(FOURTH, (0, (5, 1.6)), "s"),
        "image": Look(THIRD, (0, (1.2, 1.2)), "^"),
        "slide": Look(OTHER, (0, (5, 1.5, 1, 1.5)), "v"),
        "untrained": Look(OTHER, (0, (3, 1, 1, 1, 1, 1)), "D"),
        "shuffled": Look(MUTED, (0, (1, 2)), "P"),
        "whole": Look(INK, (0, (8, 2)), "h"),
    }
)
_BY_NAME = ("untrained", "slide", "shuffled")  # as of `assess.answer.role_of`
_BY_INPUTS = ("clinical", "image")


def roles_of(pipelines: pd.DataFrame) -> dict[str, str]:
    """Name → what a pipeline is to the first one, by its name and its inputs: a key of `LOOKS`.

    Args:
        pipelines: the table `pipelines` of an evaluation.
    """
    found: dict[str, str] = {}
    for name, inputs in zip(pipelines["pipeline"], pipelines["inputs"], strict=True):
        by_name = next((role for role in _BY_NAME if str(name).startswith(role)), "")
        found[str(name)] = "main" if not found else by_name or (inputs if inputs in _BY_INPUTS else "whole")
    return found


def looks_of(pipelines: pd.DataFrame) -> dict[str, Look]:
    """Name → look, likewise."""
    return {name: LOOKS[role] for name, role in roles_of(pipelines).items()}
