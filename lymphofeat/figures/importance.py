"""Which parameters told a search's good trials from the others, as bars."""

import pandas as pd

from .drawn import Drawn
from .forest import beside, name_rows, rows_from_the_top
from .style import MAIN, OTHER, new_figure, paper_style

__all__ = ["importance_figure"]

_MOST = 15
_NOISE = 0.05  # as `studies.importance.Importance.note` says
_LETTERS = 26


@paper_style()
def importance_figure(importance: pd.DataFrame, note: str) -> Drawn:
    """The parameters with the largest shares.

    Args:
        importance: columns parameter, share; the largest first, summing to 1; not empty.
        note: on how much it rests.

    Example:
        >>> shares = pd.DataFrame({"parameter": ["head type", "svm C"], "share": [0.8, 0.2]})
        >>> importance_figure(shares, "From 60 complete trials.")
        <Drawn importance: Importance of the parameters, 2 rows>
    """
    shown = importance.iloc[:_MOST]
    names = [str(name) for name in shown["parameter"]]
    figure, axes = new_figure(1, 14 + 4.6 * len(names))
    shares = shown["share"].to_numpy(float)
    axes.barh(range(len(names)), shares, height=0.6, color=[OTHER if s < _NOISE else MAIN for s in shares])
    rows_from_the_top(axes, len(names))
    name_rows(axes, names, _LETTERS)
    for y, share in enumerate(shares):
        beside(axes, y, f"{share:.2f}", muted=bool(share < _NOISE))
    axes.set(xlim=(0, 1.05 * shares.max()), xlabel="share of the importance")
    more = len(importance) - len(names)
    rest = f" {more} more parameters share {importance['share'].iloc[_MOST:].sum():.2f}." if more > 0 else ""
    told = ", ".join(f"{name} {share:.2f}" for name, share in zip(names[:5], shares, strict=False))
    return Drawn(
        "importance", "Importance of the parameters",
        f"How unlike all trials the best tenth of them is, parameter by parameter. {note} It says what this search "
        f"found to matter, not that a parameter has an effect.{rest}",
        f"Bars of {len(names)} parameters: {told}.",
        figure, importance,
    )  # fmt: skip
