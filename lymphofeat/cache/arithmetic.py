"""Which number format an encoder computes in: what was asked for, what was begun, or what is faster here."""

from collections.abc import Callable, Iterable, Mapping

import torch

from ..encoder.frozen import DTYPES, has_fast_bfloat16
from ..progress import Progress

__all__ = ["AUTO", "KNOWN", "TIMED", "chosen_dtype", "float32_instead", "lacks_bfloat16"]

AUTO = "auto"
KNOWN = (AUTO, *DTYPES)
TIMED = 8  # images on which the formats are timed


def lacks_bfloat16(dtype: str, device: torch.device, *, emulate: bool) -> bool:
    """Whether bfloat16 is asked for where the device lacks it, and float32 will do."""
    return dtype == "bfloat16" and not (emulate or has_fast_bfloat16(device))


def float32_instead(name: str) -> str:
    """What to tell a user of whom `lacks_bfloat16` is true."""
    return (
        f"{name}: this machine has no bfloat16 instructions and would be many times slower with it, so float32 is "
        "used; --emulate-bfloat16 insists on bfloat16."
    )


def chosen_dtype(
    finished: Iterable[str],
    begun: Iterable[str],
    device: torch.device,
    measure: Callable[[], Mapping[str, float]],
    progress: Progress,
    *,
    emulate: bool = False,
) -> str:
    """What "auto" means here.

    Args:
        finished, begun: the formats in which this encoding is there, or was begun: nothing is computed twice.
        device: that computes.
        measure: times an image in each format, in seconds; called only where bfloat16 is possible.
        progress: told what was measured.
        emulate: count bfloat16 as possible where the device lacks it.
    """
    for dtype in finished:
        return dtype
    possible = emulate or has_fast_bfloat16(device)
    for dtype in begun:
        if possible or dtype == "float32":
            return dtype
    if not possible:
        return "float32"
    seconds = measure()
    fastest = min(seconds, key=lambda dtype: seconds[dtype])
    each = " and ".join(f"{1000 * value:.1f} ms in {dtype}" for dtype, value in seconds.items())
    progress.note(f"An image takes {each} here, so {fastest} is used; --dtype decides otherwise.")
    return fastest
