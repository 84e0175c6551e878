"""What each fit of a bundle is given: images under one encoder, or under several side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cache.bags import Bags, JoinedBags
from ..cache.split import Split

__all__ = ["Seen", "SeenEncoding", "bags_of_fits", "needed_of", "seen_from_json", "seen_to_json"]


@dataclass(frozen=True)
class SeenEncoding:
    """One of several encodings that a fit is given.

    Attributes:
        encoding: the encoder family, by which the heads ask for it.
        encoder: the position of its encoder among those of the bundle.
        dim: features of an image.
    """

    encoding: str
    encoder: int
    dim: int


Seen = tuple[
    tuple[SeenEncoding, ...], ...
]  # per fit; empty where every fit is given one encoding, of its own encoder


def seen_to_json(seen: Seen) -> list[list[dict[str, Any]]]:
    """Per fit, as JSON values."""
    return [[asdict(one) for one in fit] for fit in seen]


def seen_from_json(raw: Sequence[Sequence[Mapping[str, Any]]]) -> Seen:
    """The opposite of `seen_to_json`.

    Raises:
        KeyError, TypeError: not such values.
    """
    return tuple(tuple(SeenEncoding(**one) for one in fit) for fit in raw)


def bags_of_fits(
    features: Sequence[NDArray[np.float32]], lengths: NDArray[np.int64], seen: Seen
) -> list[Bags]:
    """Per fit, the patients' bags.

    Args:
        features: per fit, (n_images, D) with the encodings' columns side by side.
        lengths: (n_patients,) int64 images.
        seen: what the fits are given.
    """
    starts = np.cumsum(lengths) - lengths
    if not seen:
        return [Bags(one, starts, lengths) for one in features]
    found: list[Bags] = []
    for fit, one in zip(seen, features, strict=True):
        blocks = np.split(one, np.cumsum([part.dim for part in fit])[:-1], axis=1)
        found.append(
            JoinedBags(
                {
                    part.encoding: Bags(np.ascontiguousarray(block), starts, lengths)
                    for part, block in zip(fit, blocks, strict=True)
                }
            )
        )
    return found


def needed_of(split: Split, names: Sequence[str]) -> Split:
    """The split under the encodings that the heads ask for, joined even if that is one."""
    found = split.only(names)
    if isinstance(found.bags, JoinedBags):
        return found
    return replace(found, bags=JoinedBags({names[0]: found.bags}))
