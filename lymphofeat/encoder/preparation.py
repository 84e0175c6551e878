"""How images are prepared for an encoder, as it is recorded and in words; nothing here needs torch."""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "preparation_text"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)


IMAGENET_STD = (0.229, 0.224, 0.225)


def preparation_text(recorded: Mapping[str, Any]) -> str:
    """What an encoding or a bundle records of it, as a phrase: "centre crop of 112 px, scaled to 224 px, …"."""
    parts = [f"centre crop of {recorded['crop']} px"]
    if recorded.get("input_size"):
        parts.append(f"scaled to {recorded['input_size']} px")
    if recorded.get("normalise_stain"):
        parts.append("stain normalised")
    if recorded.get("grey"):
        parts.append("without colour")
    if recorded.get("bits"):
        parts.append(f"{recorded['bits']} of 16 bits used")
    if recorded.get("mean"):
        mean, std = tuple(recorded["mean"]), tuple(recorded["std"])
        imagenet = (mean, std) == (IMAGENET_MEAN, IMAGENET_STD)
        parts.append(
            "ImageNet mean and deviation" if imagenet else f"mean {_three(mean)} and deviation {_three(std)}"
        )
    return ", ".join(parts)


def _three(values: Sequence[float]) -> str:
    """One number where red, green and blue share it."""
    return " ".join(f"{value:.3g}" for value in (values[:1] if len(set(values)) == 1 else values))
