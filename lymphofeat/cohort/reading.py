"""What reading an image leaves out or changes: further pages, the margin around the crop, bits beyond eight.

`check` knows this from decoding every image; `extract` and `predict` look into the headers (`look_ahead`), since they
decode only what is missing.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import printable
from .decoding import depth_of, header, largest_value
from .problems import counted

__all__ = [
    "Notice",
    "Seen",
    "crop_notice",
    "crop_shares",
    "depth_notice",
    "look_ahead",
    "pages_notice",
    "reading_notes",
]

# A crop of 112 from an image of 224 is the usual one, and 256 the largest image of one cell in common use. Beyond that
# the crop may show a part of a cell, or one cell of a field of many.
_LARGEST_USUAL = (112 / 256) ** 2


class Seen(NamedTuple):
    """An image file as its header tells it."""

    path: Path
    width: int
    height: int
    pages: int  # 1, or how many pictures it holds
    deep: bool  # 16 bits a channel


class Notice(NamedTuple):
    """Something to know about the images, told at the first of them."""

    path: Path
    message: str
    remedy: str

    def sentence(self) -> str:
        return printable(f"{self.path}: {self.message}; {self.remedy}.")


def look_ahead(images: Iterable[Path]) -> list[Seen]:
    """The headers of these files; those that cannot be read are passed over, decoding them will tell."""
    found = (header(path) for path in images)
    return [Seen(*one) for one in found if one is not None]


def crop_shares(seen: Sequence[Seen], crop: int) -> NDArray[np.float64]:
    """(n,) share of each image's pixels that a centre crop of `crop` × `crop` reads."""
    sizes = np.array([(one.width, one.height) for one in seen], dtype=np.float64).reshape(-1, 2)
    return np.asarray((np.minimum(sizes, crop) / sizes).prod(axis=1))


def crop_notice(seen: Sequence[Seen], crop: int) -> Notice | None:
    """Images of which the centre crop leaves out more than of the largest usual one."""
    shares = crop_shares(seen, crop)
    few = [(one, share) for one, share in zip(seen, shares, strict=True) if share < _LARGEST_USUAL]
    if not few:
        return None
    first, own = few[0]
    least, most = (_percent(1 - share) for share in (max(s for _, s in few), min(s for _, s in few)))
    extent = least if least == most else f"{least} to {most}"
    others = (
        f" (of {len(few):,} of {counted(len(seen), 'image')} it leaves out {extent})" if len(few) > 1 else ""
    )
    return Notice(
        first.path,
        f"is {first.width} × {first.height} pixels, of which the centre crop of {crop} × {crop} leaves out "
        f"{_percent(1 - own)}{others}",
        "check that the cell lies in the middle and fits, else crop the images around it or give a larger --crop",
    )


def _percent(share: float) -> str:
    """With so many digits that nearly all is not rounded to all."""
    return f"{100 * share:.3g} %" if share < 0.999 else f"{100 * share:.4g} %"


def pages_notice(seen: Sequence[Seen]) -> Notice | None:
    """Files with several pages, of which the first is read."""
    several = [one for one in seen if one.pages > 1]
    if not several:
        return None
    total = sum(one.pages for one in several)
    lost = total - len(several)
    what = f"{lost:,} of {total:,} pages" + (f" of {len(several):,} such files" if len(several) > 1 else "")
    return Notice(
        several[0].path,
        f"holds {several[0].pages} pages, of which only the first is read; {what} are left out "
        f"({_percent(lost / total)})",
        "save pages that show cells as files of their own",
    )


def depth_notice(seen: Sequence[Seen], bits: int, largest: int) -> Notice | None:
    """Files of 16 bits a channel, and how their values are scaled to 8.

    Args:
        seen: the images.
        bits: how many are used.
        largest: the largest value in them, found or declared.
    """
    deep = [one for one in seen if one.deep]
    if not deep:
        return None
    more = f", and {counted(len(deep) - 1, 'more image')} too" if len(deep) > 1 else ""
    return Notice(
        deep[0].path,
        f"has 16 bits a channel{more}; the largest value of all is {largest:,}, and they are read as values of {bits} "
        f"bits, {2**bits - 1:,} and above as white",
        "if the camera has another depth, save the images with 8 bits a channel",
    )


def reading_notes(images: Sequence[Path], crop: int, bits: int | None = None) -> tuple[str, ...]:
    """What to know about reading these images, in sentences; () for usual ones.

    Args:
        images: the files; only headers are read, except of images with 16 bits a channel.
        crop: pixels.
        bits: how many bits of 16 are used, by default what `bit_depth` finds.
    """
    seen = look_ahead(images)
    largest = largest_value(one.path for one in seen if one.deep)
    depth = depth_of(largest) if bits is None else bits
    notices = (crop_notice(seen, crop), pages_notice(seen), depth_notice(seen, depth, largest))
    return tuple(notice.sentence() for notice in notices if notice is not None)
