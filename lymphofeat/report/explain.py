"""The explanation of one patient in the terminal and as a CSV file."""

from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from ..explanation import Explanation
from ..storage.atomic import atomic_write
from ..studies.describe import describe_head
from ..wording import number
from .printing import PlainTable, show

__all__ = ["render_explanation", "write_explanation"]

_CLASSES = {0: "reactive", 1: "malignant"}
_METHODS = {
    "exact": "Each image's share of the image part is exact: the head is a sum over images.",
    "attention": "Each image's share is its attention times what it says; attention depends on all images together.",
    "leave-one-out": "Each image's share is what the log-odds lose without it; shares need not add up.",
    "none": "The head sees no image.",
}


def render_explanation(explanation: Explanation, console: Console, *, top: int = 9) -> None:
    """Print who decided, the parts of the log-odds, and the `top` images of either side; 80 columns suffice."""
    e = explanation
    said = _CLASSES[int(e.probability >= e.threshold)]
    truth = f", labelled {_CLASSES[e.label]}" if e.label in _CLASSES else ""
    show(
        console,
        (f"Patient {e.id}", "bold"),
        f": probability of malignant {e.probability:.3f}, threshold {e.threshold:.3f}: {said}{truth}",
    )
    show(console, f"Head (trial {e.trial.number}): {describe_head(e.trial)}; {_blind(e)}")
    show(
        console,
        f"Log-odds {number(e.parts.logit, 2, signed=True)} = typical {number(e.parts.base, 2, signed=True)}, images "
        f"{number(e.parts.image, 2, signed=True)}, clinical values {number(e.parts.clinical, 2, signed=True)}",
    )
    show(console, _METHODS[e.method])
    if e.method != "none":
        show(console, _table(e.images, top))


def write_explanation(explanation: Explanation, path: Path, *, force: bool = False) -> None:
    """Write the images as a CSV file: image, contribution, attention; towards malignant first.

    Raises:
        InputError: the file exists and `force` is false.
    """
    with atomic_write(path, overwrite=force) as temporary:
        explanation.images.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")


def _blind(e: Explanation) -> str:
    if e.fold is not None:
        return f"fitted on {e.n_trained_on} patients, without fold {e.fold}, which this one is in"
    if e.n_models > 1:
        return f"mean of {e.n_models} models, each fitted on its encoder's training patients"
    return f"fitted on all {e.n_trained_on} labelled patients"


def _table(images: pd.DataFrame, top: int) -> PlainTable:
    """The images that pull hardest to either side, beside each other; an image pulls to one side only."""
    known = images[images["contribution"].notna()]
    sides = (
        known[known["contribution"] > 0].head(top),
        known[known["contribution"] < 0].iloc[::-1].head(top),
    )
    weighed = bool(images["attention"].notna().any())
    table = PlainTable()
    for title in ("towards malignant", "towards reactive"):
        table.add_column(title, style="cyan", overflow="fold")
        table.add_column("", justify="right", no_wrap=True)
    for k in range(max(map(len, sides))):
        cells: list[str] = []
        for side in sides:
            if k < len(side):
                row = side.iloc[k]
                attention = f" ({100 * row['attention']:.0f} %)" if weighed else ""
                cells += [
                    str(row["image"]),
                    number(row["contribution"], _digits(images), signed=True) + attention,
                ]
            else:
                cells += ["", ""]
        table.add_row(*cells)
    return table


def _digits(images: pd.DataFrame) -> int:
    """Digits that tell the largest contribution to two places."""
    largest = float(np.nanmax(images["contribution"].abs(), initial=0.0))
    return 3 if largest >= 0.01 or largest == 0 else 2 - int(np.floor(np.log10(largest)))
