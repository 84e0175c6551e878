"""Image files to pixels in memory: the one place where they are opened, for `check`, `extract` and `predict` alike.

It knows what decoders raise, which formats are read, and how many bits a channel has. Values of more than 8 bits come
from cameras of 10, 12 or 14 bits, in files of 16; how they are scaled is decided over all images (`bit_depth`), since
a single dark image does not tell.
"""

import io
import struct
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ..errors import InputError

__all__ = [
    "DEPTHS",
    "MOST_PIXELS",
    "BadImageError",
    "Picture",
    "bit_depth",
    "decode",
    "depth_of",
    "header",
    "largest_value",
    "read_picture",
]

# Only these are tried (MPO, a JPEG with several pictures, counts as JPEG):
FORMATS = ("BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
MOST_PIXELS = 50_000_000  # a cell's crop has 50 thousand; beyond this a file is a slide, or an attack
DEPTHS = (8, 10, 12, 14, 16)  # of cameras, bits

# What Pillow's decoders raise on bytes that are no image, or not all of one; `tests/cohort/fuzz.py` looks for more.
_DECODE_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_TEXTS = (b"iCCP", b"tEXt", b"zTXt", b"iTXt", b"eXIf")  # chunks that no pixel depends on
_DEEP_MAGIC = (
    _PNG,
    b"II",
    b"MM",
    b"P5",
    b"P6",
    b"\x00\x00\x00\x0cjP",
    b"\xffO\xffQ",
)  # formats that can hold 16 bits
_DEEP_COLOURS = ("RGB", "RGBX", "RGBA")
_HIGH_TO_LOW = {"16L": "16B", "16B": "16L", "16N": "16B" if sys.byteorder == "little" else "16L"}
_MAX_SAMPLE_VALUE, _BITS_PER_SAMPLE = 281, 258  # TIFF tags


class BadImageError(InputError):
    """A file that does not decode.

    Attributes:
        path: the file.
        reason: the end of a sentence that begins with it: "is not an image".
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path} cannot be decoded (it {reason}); replace or remove it, and see `lymphofeat check` for all of them."
        )
        self.path, self.reason = path, reason

    def __reduce__(self) -> tuple[type["BadImageError"], tuple[Path, str]]:
        """Another process makes it from the same."""
        return BadImageError, (self.path, self.reason)


@dataclass(frozen=True)
class Picture:
    """A decoded image.

    Attributes:
        path: the file, for messages.
        image: Pillow's, loaded.
        deep: (height, width) or (height, width, 3) uint16 where a channel has 16 bits in the file; else None.
        declared: the largest value that the file says it may hold; 0 where it does not say.
        pages: 1, or how many pictures the file holds; the first is read.
    """

    path: Path
    image: Image.Image
    deep: NDArray[np.uint16] | None = None
    declared: int = 0
    pages: int = 1

    @property
    def largest(self) -> int:
        """The largest value of a 16-bit image, found or declared; 0 for other images."""
        return 0 if self.deep is None else max(int(self.deep.max(initial=0)), self.declared)

    def as_rgb(self, box: tuple[int, int, int, int] | None = None) -> Image.Image:
        """The part inside `box` (left, top, right, bottom; by default all) as an RGB image of 8 bits.

        Raises:
            BadImageError: it has a palette or a transparency that cannot be converted.
        """
        with _words_for(self.path):
            # All of it before the crop: whether a file can be converted must not depend on the crop.
            rgb = self.image if self.image.mode == "RGB" else self.image.convert("RGB")
            return rgb if box is None else rgb.crop(box)

    def pixels(self, box: tuple[int, int, int, int], bits: int = 16) -> NDArray[np.uint8]:
        """(height, width, 3) uint8: the part inside `box`.

        Args:
            box: as of `as_rgb`.
            bits: of a deep image, how many are used: value 2^bits − 1 becomes 255, and so do larger ones.

        Raises:
            BadImageError: as `as_rgb`.
        """
        if self.deep is None:
            return np.asarray(self.as_rgb(box))
        left, top, right, bottom = box
        scaled = np.minimum(self.deep[top:bottom, left:right] >> (bits - 8), 255).astype(np.uint8)
        return scaled if scaled.ndim == 3 else np.repeat(scaled[:, :, None], 3, axis=2)


def read_picture(path: Path) -> Picture:
    """Read and decode a file.

    Raises:
        BadImageError: it cannot be read or decoded, or has more than 50 megapixels.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadImageError(path, f"cannot be read: {error.strerror}") from error
    return decode(content, path)


def decode(content: bytes, path: Path) -> Picture:
    """Decode the bytes of the file `path`.

    Raises:
        BadImageError: as `read_picture`.
    """
    if not content:
        raise BadImageError(path, "is empty (0 bytes)")
    with _words_for(path):
        try:
            return _decoded(content, path)
        except ValueError as error:
            if isinstance(error, BadImageError) or not content.startswith(_PNG):
                raise
            return _decoded(_without_texts(content), path)  # Pillow refuses profiles of more than 1 MiB


@contextmanager
def _words_for(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises into a `BadImageError`."""
    try:
        yield
    except BadImageError:
        raise
    except UnidentifiedImageError as error:
        raise BadImageError(path, "is not an image") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadImageError(path, "has too many pixels for a cell") from error
    except _DECODE_ERRORS as error:
        raise BadImageError(
            path, f"is truncated or damaged ({str(error) or type(error).__name__})"
        ) from error


def _decoded(content: bytes, path: Path) -> Picture:
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        width, height = image.size
        if width * height > MOST_PIXELS:
            raise BadImageError(path, f"is {width} × {height} pixels, too large for a cell")
        raw, pages = _raw_mode(image), _pages(image, lambda: io.BytesIO(content))
        declared = _declared(image) if _is_deep(image, raw) else 0
        image.load()
        return Picture(path, image, _deep(image, raw, content), declared, pages)


def _is_deep(image: Image.Image, raw: str) -> bool:
    """Whether `_deep` reads 16 bits a channel."""
    colours, _, order = raw.partition(";")
    return image.mode.startswith("I;16") or (colours in _DEEP_COLOURS and order in _HIGH_TO_LOW)


def _pages(image: Image.Image, source: Callable[[], Path | io.BytesIO]) -> int:
    """How many pictures there are; 2 where there is another but they cannot be counted."""
    if not getattr(image, "is_animated", False):
        return 1
    try:  # in an image of its own, since counting moves through the file
        with Image.open(source(), formats=FORMATS) as other:
            return int(getattr(other, "n_frames", 1))
    except _DECODE_ERRORS:
        return 2


def _raw_mode(image: Image.Image) -> str:
    """How the file stores a pixel, in Pillow's words: "RGB", "RGB;16B", …; "" where it does not say."""
    tiles: Any = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _declared(image: Image.Image) -> int:
    """The largest value that a TIFF declares, by its MaxSampleValue or by fewer than 16 bits a sample; 0: nothing.

    65,535 declares nothing: it is what the tag means where a program does not set it.
    """
    tags: Any = getattr(image, "tag_v2", {})
    most = tags.get(_MAX_SAMPLE_VALUE, 0)
    bits = tags.get(_BITS_PER_SAMPLE, 16)
    values = [int(v) for v in (most if isinstance(most, tuple) else (most,)) if isinstance(v, int)]
    widths = [int(b) for b in (bits if isinstance(bits, tuple) else (bits,)) if isinstance(b, int)]
    values += [2**b - 1 for b in widths if 8 < b < 16]
    return max((v for v in values if 0 < v < 65_535), default=0)


def _deep(image: Image.Image, raw: str, content: bytes) -> NDArray[np.uint16] | None:
    """All 16 bits of each channel. Pillow keeps the upper 8 of colours; the lower 8 are read as if they were those."""
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)
    colours, _, order = raw.partition(";")
    if not _is_deep(image, raw):
        return None
    with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
        low: Any = opened
        low.tile = [_lower(tile, f"{colours};{_HIGH_TO_LOW[order]}") for tile in low.tile]
        low.load()
        upper, lower = (np.asarray(part.convert("RGB")).astype(np.uint16) for part in (image, low))
    return np.asarray((upper << 8) | lower, dtype=np.uint16)


def _lower(tile: Any, raw: str) -> Any:
    arguments = (raw, *tile[3][1:]) if isinstance(tile[3], tuple) else raw
    return type(tile)(*tile[:3], arguments)


def _without_texts(content: bytes) -> bytes:
    """A PNG without its colour profile, texts and EXIF."""
    kept, at = [content[:8]], 8
    while at + 8 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        chunk = content[at : at + 12 + length]
        if chunk[4:8] not in _PNG_TEXTS:
            kept.append(chunk)
        at += len(chunk)
    return b"".join(kept)


def bit_depth(images: Iterable[Path]) -> int:
    """How many bits the values of these images use, of those with 16 bits a channel in the file; 16 without such.

    The smallest of 8, 10, 12, 14 and 16 that holds the largest value found in any of them, or declared by one. All
    images of a cohort, or all new patients', are decided together, so that none is made brighter than another. Files
    that cannot be decoded do not count. Only 16-bit files are decoded.
    """
    return depth_of(largest_value(images))


def largest_value(images: Iterable[Path]) -> int:
    """The largest value, found or declared, of those images that have 16 bits a channel; 0 without such."""
    return max((_largest(path) for path in images), default=0)


def depth_of(largest: int) -> int:
    """The depth of a camera whose largest value is `largest`; 16 for 0."""
    return next(bits for bits in DEPTHS if largest < 2**bits) if largest else 16


def _largest(path: Path) -> int:
    try:
        with path.open("rb") as file:
            if not file.read(8).startswith(_DEEP_MAGIC):
                return 0
        found = header(path)
        return read_picture(path).largest if found is not None and found[4] else 0
    except (OSError, BadImageError):
        return 0


def header(path: Path) -> tuple[Path, int, int, int, bool] | None:
    """Path, width, height, pages, and whether a channel has 16 bits; None if the file cannot be opened as an image."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            deep = _is_deep(image, _raw_mode(image))
            return path, image.width, image.height, _pages(image, lambda: path), deep
    except _DECODE_ERRORS:
        return None
