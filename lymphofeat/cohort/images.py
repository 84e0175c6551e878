"""One look into an image file: whether it decodes, and what its bytes and pixels show from afar."""

import io
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from .fingerprint import digest

__all__ = ["ImageFacts", "look_at"]

_MOST_PIXELS = 50_000_000  # a cell's crop has 50 thousand; beyond this a file is a slide, or an attack

# What Pillow's decoders raise on bytes that are no image, or not all of one.
_DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    EOFError,
    OverflowError,
    MemoryError,
    struct.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
_VALUES = np.arange(256, dtype=np.float64)


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
        mean, deviation: (3,) of the red, green and blue values 0 … 255 over the pixels.
    """

    path: Path
    size: int = 0
    digest: str = ""
    failure: str = ""
    width: int = 0
    height: int = 0
    mode: str = ""
    mean: tuple[float, ...] = (float("nan"),) * 3
    deviation: tuple[float, ...] = (float("nan"),) * 3


def look_at(path: Path) -> ImageFacts:
    """Read and fully decode one image file. Never raises for a bad file: `failure` says what is wrong."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return ImageFacts(path, failure=f"cannot be read ({error.strerror})")
    size, code = len(content), digest(content)
    if not content:
        return ImageFacts(path, size, code, "is empty (0 bytes)")
    try:
        with Image.open(io.BytesIO(content)) as image:
            width, height, mode = image.width, image.height, image.mode
            if width * height > _MOST_PIXELS:
                return ImageFacts(path, size, code, f"is {width} × {height} pixels, too large for a cell")
            image.load()
            mean, deviation = _colour(image)
    except UnidentifiedImageError:
        return ImageFacts(path, size, code, "is not an image")
    except _DECODE_ERRORS as error:
        return ImageFacts(path, size, code, f"is truncated or damaged ({error})")
    return ImageFacts(path, size, code, "", width, height, mode, mean, deviation)


def _colour(image: Image.Image) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each RGB channel, from the exact counts of its 256 values."""
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))  # as the encoder scales it
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    counts: NDArray[np.float64] = np.array(rgb.histogram(), dtype=np.float64).reshape(3, 256)
    n_pixels = rgb.width * rgb.height
    mean = counts @ _VALUES / n_pixels
    variance = counts @ _VALUES**2 / n_pixels - mean**2
    return tuple(mean.tolist()), tuple(np.sqrt(np.maximum(variance, 0)).tolist())
