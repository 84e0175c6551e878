"""Damaged images of every format that is read, made in one known order.

`mutants(kind)` goes through a few pictures of a format, in the kinds of pixels and compressions that it has, and harms
a copy of one each time: bytes changed (mostly in the header), lengths and offsets set to odd numbers, parts cut out,
doubled or cut off.
"""

import io
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

KINDS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF", "PPM", "JPEG2000")
SIDE = 16
_ODD = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


class Variant(NamedTuple):
    mode: str
    options: dict[str, Any]


_VARIANTS: dict[str, list[Variant]] = {
    "JPEG": [Variant("RGB", {}), Variant("L", {}), Variant("CMYK", {}), Variant("RGB", {"progressive": True}),
             Variant("RGB", {"icc_profile": bytes(200), "comment": b"a smear"})],
    "PNG": [Variant("RGB", {}), Variant("RGBA", {}), Variant("P", {"transparency": 3}), Variant("I;16", {}),
            Variant("1", {}), Variant("RGB", {"icc_profile": bytes(200)}),
            Variant("RGB", {"save_all": True, "pages": 3})],
    "TIFF": [Variant("RGB", {}), Variant("L", {"compression": "tiff_lzw"}), Variant("I;16", {}),
             Variant("CMYK", {"compression": "tiff_adobe_deflate"}), Variant("P", {"compression": "packbits"}),
             Variant("RGB", {"compression": "jpeg"}), Variant("1", {"compression": "group4"}),
             Variant("RGB", {"save_all": True, "pages": 3}), Variant("F", {})],
    "BMP": [Variant("RGB", {}), Variant("L", {}), Variant("P", {}), Variant("1", {}), Variant("RGBA", {})],
    "WEBP": [Variant("RGB", {}), Variant("RGBA", {"lossless": True}), Variant("RGB", {"save_all": True, "pages": 3})],
    "GIF": [Variant("P", {}), Variant("L", {"transparency": 0}), Variant("P", {"save_all": True, "pages": 3})],
    "PPM": [Variant("RGB", {}), Variant("L", {}), Variant("1", {}), Variant("I;16", {})],
    "JPEG2000": [Variant("RGB", {}), Variant("L", {}), Variant("RGBA", {})],
}  # fmt: skip


def picture(mode: str, seed: int = 0) -> Image.Image:
    """A small picture with a little structure."""
    rng = np.random.default_rng(seed)
    if mode == "I;16":
        return Image.fromarray(rng.integers(0, 4096, (SIDE, SIDE), dtype=np.uint16))
    pixels = np.kron(
        rng.integers(0, 256, (SIDE // 4, SIDE // 4, 3), dtype=np.uint8), np.ones((4, 4, 1), np.uint8)
    )
    return Image.fromarray(pixels).convert(mode)


def whole(kind: str) -> list[bytes]:
    """Undamaged files of a format."""
    files = []
    for mode, options in _VARIANTS[kind]:
        pages = options.get("pages", 1)
        more = {"append_images": [picture(mode, page) for page in range(1, pages)]} if pages > 1 else {}
        buffer = io.BytesIO()
        picture(mode).save(buffer, kind, **{k: v for k, v in options.items() if k != "pages"}, **more)
        files.append(buffer.getvalue())
    return files


def mutants(kind: str, n: int, seed: int = 0) -> Iterator[bytes]:
    """`n` damaged files of a format, the same ones for the same seed."""
    rng, files = np.random.default_rng([seed, KINDS.index(kind)]), whole(kind)
    for number in range(n):
        content = _harmed(bytearray(files[number % len(files)]), rng)
        yield _with_checksums(content) if kind == "PNG" and rng.random() < 0.7 else content


def _harmed(content: bytearray, rng: np.random.Generator) -> bytes:
    for _ in range(int(rng.integers(1, 5))):
        at = _place(len(content), rng)
        match int(rng.integers(6)):
            case 0 | 1:
                content[at] = int(rng.integers(256))
            case 2:
                content[at] ^= 1 << int(rng.integers(8))
            case 3:  # a length, an offset, a size
                width = int(rng.choice([2, 4]))
                order: Any = rng.choice(["big", "little"])
                value = int(rng.choice(_ODD)) % 256**width
                content[at : at + width] = value.to_bytes(width, order)
            case 4:
                other, length = _place(len(content), rng), int(rng.integers(1, 32))
                content[at : at + length] = content[other : other + int(rng.integers(0, 32))] or b"\0"
            case _:
                if rng.random() < 0.3:
                    del content[max(at, 4) :]
    return bytes(content)


def _with_checksums(content: bytes) -> bytes:
    """A PNG whose chunks have the checksums of what is in them, so that harm reaches the decoder."""
    result, at = bytearray(content), 8
    while at + 12 <= len(content):
        end = at + 8 + int.from_bytes(content[at : at + 4], "big")
        if end + 4 > len(content):
            break
        result[end : end + 4] = zlib.crc32(content[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(result)


def _place(length: int, rng: np.random.Generator) -> int:
    """Three of four times within the first 128 bytes, where headers are."""
    return int(rng.integers(min(128, length) if rng.random() < 0.75 else length))
