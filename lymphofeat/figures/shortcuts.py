"""The shortcut audit as a forest plot."""

import pandas as pd

from ..estimates.intervals import Interval
from .drawn import Drawn
from .forest import ForestRow, draw_forest, forest_height, name_rows
from .looks import Look
from .style import MALIGNANT, REACTIVE, legend_above, new_figure, paper_style

__all__ = ["shortcuts_figure"]

_LOOKS = {"malignant": Look(MALIGNANT, "-", "o"), "reactive": Look(REACTIVE, "-", "s")}
_CHANCE = 0.5
_LETTERS = 26
_MOST_TOLD = 6


@paper_style()
def shortcuts_figure(audit: pd.DataFrame) -> Drawn:
    """How far each quantity that must not decide separates the classes alone, the largest AUC first.

    Args:
        audit: columns quantity, value (AUC, at least 0.5), low, high, higher_in ("malignant", "reactive"), separates,
            sentence, by_person; not empty.

    Example:
        >>> row = {"quantity": "bag size", "value": 0.76, "low": 0.59, "high": 0.88, "higher_in": "malignant"}
        >>> shortcuts_figure(pd.DataFrame([row | {"separates": True, "sentence": "", "by_person": False}]))
        <Drawn shortcuts: Shortcut audit, 1 rows>
    """
    table = audit.sort_values("value", ascending=False, kind="stable")
    names = [str(name) for name in table["quantity"]]
    there = [name for name in _LOOKS if name in set(table["higher_in"])]
    figure, axes = new_figure(1, forest_height(names, _LETTERS) + 3.2 * len(there))
    rows = [
        ForestRow(*found, _figures(found), _LOOKS[str(row["higher_in"])], bool(row["separates"]))
        for row in table.to_dict("records")
        for found in [Interval(row["value"], row["low"], row["high"])]
    ]
    draw_forest(axes, rows, title="", label="AUC of the quantity alone", reference=_CHANCE)
    name_rows(axes, names, _LETTERS)
    for name in there:
        axes.plot([], [], color=_LOOKS[name].colour, marker=_LOOKS[name].marker, label=f"larger in {name}")
    legend_above(axes)
    separating = [(name, row.text) for name, row in zip(names, rows, strict=True) if row.filled]
    whom = "person" if bool(table["by_person"].iloc[0]) else "patient"
    return Drawn(
        "shortcuts", "Shortcut audit",
        f"AUC of each quantity alone on the labelled patients, turned so that it is at least 0.5, with its 95 % "
        f"interval by {whom}; the dashed line is chance. {_marked(len(separating), len(rows))}",
        f"Forest plot of {len(rows)} quantities. {_told(separating)}",
        figure, table.drop(columns=["sentence"]).reset_index(drop=True),
    )  # fmt: skip


def _figures(found: Interval) -> str:
    return f"{found.value:.2f} ({found.low:.2f}–{found.high:.2f})"


def _marked(n: int, of: int) -> str:
    verb = "separates" if n == 1 else "separate"
    return (
        f"Filled symbols: the interval excludes 0.5. {n} of {of} {verb} the classes; about one in twenty would by "
        "chance."
    )


def _told(separating: list[tuple[str, str]]) -> str:
    if not separating:
        return "None separates the classes."
    told = ", ".join(f"{name} {figures}" for name, figures in separating[:_MOST_TOLD])
    more = len(separating) - _MOST_TOLD
    return f"{len(separating)} separate the classes: {told}{f' and {more} more' if more > 0 else ''}."
