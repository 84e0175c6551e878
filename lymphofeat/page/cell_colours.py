"""What the cells of a map can be coloured by, each as a byte per cell and the words of its scale."""

from base64 import b64encode
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ..cache.encoding import Encoding
from ..encoder.morphology.features import feature_named
from ..figures.cell_map import symmetric_limit

__all__ = ["MISSING", "Colouring", "colourings", "packed"]

MISSING = 255  # the byte of a value that is not known
_STEPS = 254
_MOST_FEATURES = 64
_TAIL = 0.01  # of the cells at either side lie beyond the ends of a scale


@dataclass(frozen=True)
class Colouring:
    """A way to colour the cells.

    Attributes:
        key: unique among them.
        title: in the list.
        group: the heading that it stands under; "" where it stands alone.
        kind: "class", "patient", "diverging" (0 in the middle) or "sequential".
        values: base64 of (n_cells,) uint8 steps from 0 at `low` to 254 at `high`, `MISSING` where not known; "" where
            the colour follows from the patient.
        low, high: ends of the scale; cells beyond have the colour of the end.
        unit: of the values.
        ends: words at either end.
        meaning: one line.
    """

    key: str
    title: str
    group: str
    kind: Literal["class", "patient", "diverging", "sequential"]
    values: str = ""
    low: float = 0.0
    high: float = 0.0
    unit: str = ""
    ends: tuple[str, str] = ("", "")
    meaning: str = ""

    def for_script(self) -> dict[str, Any]:
        """As JSON values."""
        names = ("key", "title", "kind", "values", "low", "high", "unit", "ends", "meaning")
        return {name: getattr(self, name) for name in names}


def colourings(
    points: pd.DataFrame, rows: NDArray[np.int64], named: Encoding | None, of: str
) -> list[Colouring]:
    """Class, patient, contribution where it is known, and the features of `named`.

    Args:
        points: the table of `figures.cell_map.draw_cell_map`.
        rows: (n_cells,) of the cells in `named`.
        named: an encoding whose features have names; None: none.
        of: said behind the heading of its features.
    """
    found = [
        Colouring("class", "class", "", "class"),
        Colouring("patient", "patient", "", "patient", meaning="A colour for each patient."),
    ]
    if "contribution" in points and points["contribution"].notna().any():
        limit = symmetric_limit(points["contribution"].to_numpy())
        values = _steps(points["contribution"].to_numpy(), -limit, limit)
        ends = ("towards reactive", "towards malignant")
        meaning = "What the image adds to the log-odds of malignant."
        found.append(
            Colouring(
                "contribution", "contribution", "", "diverging", values, -limit, limit, "", ends, meaning
            )
        )
    return found + (_of_features(named, rows, of) if named is not None else [])


def _of_features(named: Encoding, rows: NDArray[np.int64], of: str) -> list[Colouring]:
    names = (named.names or [])[:_MOST_FEATURES]
    values = np.asarray(named.features[rows][:, : len(names)], dtype=np.float64)
    found = []
    for k, name in enumerate(names):
        known = values[np.isfinite(values[:, k]), k]
        low, high = np.quantile(known, (_TAIL, 1 - _TAIL)) if len(known) else (0.0, 0.0)
        if low == high:
            low, high = known.min(initial=np.inf), known.max(initial=-np.inf)
        if not low < high:  # all alike, or none known
            continue
        feature = feature_named(name)
        group, unit, meaning = ("Features", "", "") if feature is None else (
            feature.group.capitalize(), feature.unit, f"{feature.meaning[0].upper()}{feature.meaning[1:]}."
        )  # fmt: skip
        found.append(
            Colouring(
                f"feature-{k}", name.replace("_", " "), f"{group} {of}".strip(), "sequential",
                _steps(values[:, k], float(low), float(high)), float(low), float(high), unit, ("", ""), meaning,
            )
        )  # fmt: skip
    return found


def _steps(values: NDArray[np.float64], low: float, high: float) -> str:
    """(n,) values in steps between the ends, in base64."""
    share = np.clip((values - low) / (high - low), 0, 1)
    return packed(np.where(np.isfinite(values), np.round(_STEPS * share), MISSING), np.uint8)


def packed(values: ArrayLike, kind: type[np.generic]) -> str:
    """Base64 of an array's bytes, little-endian; integers are rounded."""
    array = np.asarray(values)
    if np.issubdtype(kind, np.integer):
        array = np.round(array)
    return b64encode(array.astype(np.dtype(kind).newbyteorder("<")).tobytes()).decode()
