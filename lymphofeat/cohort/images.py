"""One look into an image file: whether it decodes, and what its bytes and pixels show from afar."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .decoding import BadImageError, Picture, decode
from .fingerprint import digest

__all__ = ["SIDE", "ImageFacts", "inspect", "scaled"]

SIDE = 32  # pixels of a thumbnail
_VALUES = np.arange(256, dtype=np.float64)
_NEAR = 32  # greys from black or white that a binarised image has after it was saved as JPEG
_MOSTLY = 0.95  # of the values


@dataclass(frozen=True)
class ImageFacts:
    """What a single pass over a file tells.

    Attributes:
        path: the file.
        size: bytes.
        digest: of the bytes, as `lymphofeat.cohort.fingerprint.digest`; "" when the file cannot be read.
        failure: why it does not decode, as the end of a sentence; "" when it does. The rest is empty then.
        width, height: pixels.
        mode: Pillow's mode of the file: "RGB", "L", …
        pages: 1, or how many pictures the file holds; the first is meant.
        deep: a channel has 16 bits.
        largest: the largest value of a deep image, found or declared; 0 for others.
        mean, deviation: (3,) of the red, green and blue values 0 … 255 over the pixels; of a deep image, of the values
            divided by 256.
        thumbnail: the whole picture as 32 × 32 grey values of 8 bits, row by row, from some of its pixels.
        two_levels: nearly all values are close to the least or to the largest: the picture was binarised.
    """

    path: Path
    size: int = 0
    digest: str = ""
    failure: str = ""
    width: int = 0
    height: int = 0
    mode: str = ""
    pages: int = 1
    deep: bool = False
    largest: int = 0
    mean: tuple[float, ...] = (float("nan"),) * 3
    deviation: tuple[float, ...] = (float("nan"),) * 3
    thumbnail: bytes = field(default=b"", repr=False)
    two_levels: bool = False


def inspect(path: Path) -> ImageFacts:
    """Read and fully decode one image file. Never raises for a bad file: `failure` says what is wrong."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return ImageFacts(path, failure=f"cannot be read ({error.strerror})")
    size, code = len(content), digest(content)
    try:
        picture = decode(content, path)
        look = _look(picture)
    except BadImageError as error:
        return ImageFacts(path, size, code, error.reason)
    image, deep = picture.image, picture.deep is not None
    return ImageFacts(
        path,
        size,
        code,
        "",
        image.width,
        image.height,
        image.mode,
        picture.pages,
        deep,
        picture.largest,
        *look,
    )


def scaled(facts: ImageFacts, bits: int) -> ImageFacts:
    """The facts of a deep image whose values use `bits` bits, its colours from 0 to 255; others as they are."""
    if not facts.deep or bits == 16:
        return facts
    factor = 2.0 ** (16 - bits)
    mean, deviation = (tuple(v * factor for v in values) for values in (facts.mean, facts.deviation))
    return replace(facts, mean=mean, deviation=deviation)


def _look(picture: Picture) -> tuple[tuple[float, ...], tuple[float, ...], bytes, bool]:
    """Mean and standard deviation of each RGB channel, the thumbnail, and whether there are two levels only."""
    if picture.deep is not None:
        values = np.broadcast_to(np.atleast_3d(picture.deep / 256), (*picture.deep.shape[:2], 3))
        grey = Image.fromarray(values.mean(axis=2).astype(np.float32))
        small = np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BOX))
        small = (small - small.min()) * (255 / max(float(np.ptp(small)), 1.0))
        thumbnail = small.astype(np.uint8).tobytes()
        return (
            tuple(values.mean(axis=(0, 1)).tolist()),
            tuple(values.std(axis=(0, 1)).tolist()),
            thumbnail,
            False,
        )
    rgb = picture.as_rgb()
    counts: NDArray[np.float64] = np.array(rgb.histogram(), dtype=np.float64).reshape(3, 256)
    n_pixels = rgb.width * rgb.height
    mean = counts @ _VALUES / n_pixels  # from the exact counts of the 256 values
    variance = counts @ _VALUES**2 / n_pixels - mean**2
    deviation = np.sqrt(np.maximum(variance, 0))
    # Of every few pixels one: the means of all of them would cost a third of the decoding.
    few = rgb.resize((2 * SIDE, 2 * SIDE), Image.Resampling.NEAREST)
    thumbnail = few.convert("L").reduce(2).tobytes()
    ends = counts[:, : _NEAR + 1].sum() + counts[:, -_NEAR - 1 :].sum()
    return tuple(mean.tolist()), tuple(deviation.tolist()), thumbnail, bool(ends >= _MOSTLY * counts.sum())
