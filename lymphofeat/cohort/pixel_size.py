"""How large a pixel is: micrometres per pixel, where a cohort or a file of features says it."""

import json
from collections.abc import Iterable

__all__ = ["LARGEST", "SMALLEST", "common_pixel_size", "differ", "pixel_size_in", "pixel_size_text"]

SMALLEST, LARGEST = 0.01, 5.0  # µm; outside, the unit is more likely wrong than the microscope
_TOLERANCE = 0.05


def pixel_size_in(layout: str) -> float | None:
    """The size that the text of `cohort.layout.layout_text` declares; None where it does not."""
    found = (json.loads(layout) if layout else {}).get("images", {}).get("microns_per_pixel")
    return None if found is None else float(found)


def pixel_size_text(size: float) -> str:
    """As `0.25 µm per pixel`."""
    return f"{size:.3g} µm per pixel"


def differ(one: float | None, other: float | None) -> bool:
    """Whether two sizes are known and differ by more than 5 % of the larger one."""
    return one is not None and other is not None and abs(one - other) > _TOLERANCE * max(one, other)


def common_pixel_size(sizes: Iterable[float | None]) -> float | None:
    """The size that all agree on (the largest; see `differ`); None where one is not known or two differ."""
    known = list(sizes)
    found = [size for size in known if size is not None]
    if not found or len(found) < len(known) or differ(min(found), max(found)):
        return None
    return max(found)
