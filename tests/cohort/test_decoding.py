"""The one place where images are opened: what is read, what is refused, how many bits count, and no traceback."""

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from lymphofeat.cohort.decoding import bit_depth, read_picture
from lymphofeat.cohort.images import inspect
from lymphofeat.cohort.reading import look_ahead, reading_notes
from lymphofeat.encoder.pixels import read_crop
from lymphofeat.errors import InputError

from .fuzz import KINDS, SIDE, mutants, whole


def read_alike(path: Path) -> str:
    """What `check` says, "" if the file decodes; `extract` must agree, and neither may raise anything else."""
    facts = inspect(path)
    look_ahead([path])
    refused = ""
    try:
        read_crop(path, 1, bit_depth([path]))
    except InputError as error:
        refused = str(error)
    assert bool(refused) == bool(
        facts.failure or facts.mode in ("I", "F")
    )  # `check` refuses those by their mode
    assert not refused or refused.startswith(f"{path} ")
    return facts.failure


def fuzz(kind: str, n: int, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's doubts about metadata
        for content in whole(kind):
            path.write_bytes(content)
            assert read_alike(path) == ""
            assert read_picture(path).image.size == (SIDE, SIDE)
        outcomes = set()
        for content in mutants(kind, n):
            path.write_bytes(content)
            outcomes.add(read_alike(path) == "")
        assert outcomes == {True, False}


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_get_a_sentence(kind: str, tmp_path: Path) -> None:
    fuzz(kind, 100, tmp_path / "a.img")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_five_thousand_damaged_files_get_a_sentence(kind: str, tmp_path: Path) -> None:
    fuzz(kind, 5000, tmp_path / "a.img")


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def noise(side: int = 40, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def test_a_good_picture_with_a_large_profile_is_read(tmp_path: Path) -> None:
    """A profile of 2 MiB, a few KB in the file: Pillow inflates one at most."""
    buffer = io.BytesIO()
    Image.fromarray(noise()).save(buffer, "PNG")
    content = buffer.getvalue()
    profile = chunk(b"iCCP", b"scanner\0\0" + zlib.compress(bytes(2 << 20)))
    (tmp_path / "a.png").write_bytes(content[:33] + profile + content[33:])
    with pytest.raises(ValueError, match="too large"), Image.open(tmp_path / "a.png"):
        pass
    assert read_alike(tmp_path / "a.png") == ""
    np.testing.assert_array_equal(read_crop(tmp_path / "a.png", 40), noise())


def test_a_palette_image_without_its_palette_is_a_sentence(tmp_path: Path) -> None:
    """Pillow decodes it and fails to convert it; whether it does must not depend on the crop."""
    rows = b"".join(b"\0" + bytes(range(40)) for _ in range(40))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 40, 40, 8, 3, 0, 0, 0))
    body = chunk(b"tRNS", b"\xff\xff\0") + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + body)
    assert read_alike(tmp_path / "a.png") == "is truncated or damaged (AssertionError)"


@pytest.mark.parametrize("offset", [3, 10_000, 2**31, 2**32 - 1])
def test_a_tiff_with_a_wrong_offset_is_a_sentence(offset: int, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(noise()).save(buffer, "TIFF", compression="tiff_lzw")
    content = bytearray(buffer.getvalue())
    content[4:8] = struct.pack("<I", offset)  # of the first directory
    (tmp_path / "a.tif").write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert read_alike(tmp_path / "a.tif") != ""


def test_a_slide_is_refused_everywhere(tmp_path: Path) -> None:
    Image.new("1", (10_000, 6_000)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"10000 × 6000 pixels, too large for a cell"):
        read_crop(tmp_path / "a.png", 112)


def deep_colours(most: int, seed: int = 0) -> np.ndarray:
    """(40, 40, 3) uint16 up to `most`, which is there."""
    values = np.random.default_rng(seed).integers(0, most + 1, (40, 40, 3)).astype(np.uint16)
    values[0, 0, 0] = most
    return values


def save_deep_tiff(path: Path, values: np.ndarray, order: str = "<", **tags: int) -> Path:
    """An uncompressed TIFF with 16 bits a channel, which Pillow cannot write for colours."""
    height, width = values.shape[:2]
    channels = 1 if values.ndim == 2 else 3
    data = values.astype(f"{order}u2").tobytes()
    extra = {281: tags["declared"]} if "declared" in tags else {}
    entries = {256: width, 257: height, 258: 16, 259: 1, 262: 1 if channels == 1 else 2, 273: 8, 277: channels,
               278: height, 279: len(data), **extra}  # fmt: skip
    if channels == 3:  # three values do not fit into the entry: they lie behind the pixels
        bits_at = 8 + len(data)
        data += struct.pack(f"{order}3H", 16, 16, 16)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(data))
    ifd = struct.pack(f"{order}H", len(entries))
    for tag, value in sorted(entries.items()):
        if tag == 258 and channels == 3:
            ifd += struct.pack(f"{order}HHII", tag, 3, 3, bits_at)
        elif tag in (258, 259, 262, 277, 281):
            ifd += struct.pack(f"{order}HHIHH", tag, 3, 1, value, 0)
        else:
            ifd += struct.pack(f"{order}HHII", tag, 4, 1, value)
    path.write_bytes(head + data + ifd + b"\0\0\0\0")
    return path


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("most", "bits"), [(255, 8), (1023, 10), (4095, 12), (3000, 12), (16383, 14), (65535, 16)]
)
@pytest.mark.parametrize("grey", [False, True])
def test_deep_images_are_scaled_by_their_depth(
    most: int, bits: int, order: str, *, grey: bool, tmp_path: Path
) -> None:
    """Values of 12 bits in 16 were read as black: their upper byte is below 16."""
    values = deep_colours(most)[..., 0] if grey else deep_colours(most)
    path = save_deep_tiff(tmp_path / "a.tif", values, order)
    assert bit_depth([path]) == bits
    expected = np.broadcast_to((values >> (bits - 8)).reshape(40, 40, -1), (40, 40, 3))
    np.testing.assert_array_equal(read_crop(path, 40, bits), expected)
    np.testing.assert_array_equal(read_crop(path, 20, bits), expected[10:30, 10:30])
    np.testing.assert_array_equal(
        read_crop(path, 40), values.reshape(40, 40, -1) >> 8 | np.zeros((40, 40, 3), int)
    )
    assert inspect(path).largest == most


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate"])
def test_compressed_grey_tiffs_are_scaled_alike(compression: str, tmp_path: Path) -> None:
    values = deep_colours(4000)[..., 0]
    Image.fromarray(values).save(tmp_path / "a.tif", compression=compression)
    assert bit_depth([tmp_path / "a.tif"]) == 12
    np.testing.assert_array_equal(read_crop(tmp_path / "a.tif", 40, 12)[..., 2], values >> 4)


def test_deep_colours_of_a_png(tmp_path: Path) -> None:
    values = deep_colours(4095)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 40, 40, 16, 2, 0, 0, 0))
    content = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(content)
    assert inspect(tmp_path / "a.png").deep
    np.testing.assert_array_equal(read_crop(tmp_path / "a.png", 40, 12), values >> 4)


def test_the_depth_is_that_of_all_images_together(tmp_path: Path) -> None:
    """A dark image is not made brighter than its neighbours, and a file may declare more than it holds."""
    dark = save_deep_tiff(tmp_path / "dark.tif", deep_colours(900))
    light = save_deep_tiff(tmp_path / "light.tif", deep_colours(4000))
    declared = save_deep_tiff(tmp_path / "declared.tif", deep_colours(900)[..., 0], declared=16383)
    default = save_deep_tiff(tmp_path / "default.tif", deep_colours(900)[..., 0], declared=65535)
    Image.fromarray(noise()).save(tmp_path / "a.jpg")
    (tmp_path / "bad.tif").write_bytes(b"II, and nothing that a TIFF has")
    others = [tmp_path / "a.jpg", tmp_path / "bad.tif", tmp_path / "none.tif"]
    assert bit_depth([dark]) == bit_depth([default, *others]) == 10
    assert bit_depth([dark, light, *others]) == 12
    assert bit_depth([declared]) == 14
    assert bit_depth(others) == 16
    bright = read_crop(light, 40, 10)  # more than a model was trained with is white, not wrapped
    np.testing.assert_array_equal(bright, np.minimum(deep_colours(4000) >> 2, 255))


def test_images_of_eight_bits_are_read_as_pillow_reads_them(tmp_path: Path) -> None:
    for kind in ("JPEG", "PNG", "BMP", "WEBP", "TIFF"):
        path = tmp_path / f"a.{kind}"
        Image.fromarray(noise()).save(path, kind)
        with Image.open(path) as image:
            expected = np.asarray(image.convert("RGB"))
        for bits in (8, 12, 16):
            np.testing.assert_array_equal(read_crop(path, 40, bits), expected)


def test_what_reading_leaves_out_is_told(tmp_path: Path) -> None:
    usual = [tmp_path / f"{k}.png" for k in range(3)]
    for path in usual:
        Image.new("RGB", (224, 224)).save(path)
    assert reading_notes(usual, 112) == ()
    Image.new("RGB", (256, 256)).save(tmp_path / "256.png")
    assert reading_notes([tmp_path / "256.png"], 112) == ()
    fields = [tmp_path / f"field{k}.png" for k in (257, 2592)]
    for path, side in zip(fields, (257, 2592), strict=True):
        Image.new("1", (side, side)).save(path)
    (note,) = reading_notes([*usual, *fields], 112)
    assert note.startswith(
        f"{fields[0]}: is 257 × 257 pixels, of which the centre crop of 112 × 112 leaves out 81 %"
    )
    assert "(of 2 of 5 images it leaves out 81 % to 99.8 %)" in note
    assert reading_notes([fields[0]], 224) == ()
    pages = [Image.fromarray(noise(seed=k)) for k in range(5)]
    pages[0].save(tmp_path / "p.tif", save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / "p.gif", save_all=True, append_images=pages[1:2])
    (note,) = reading_notes([tmp_path / "p.tif", tmp_path / "p.gif", *usual], 112)
    assert (
        "p.tif: holds 5 pages, of which only the first is read; 5 of 7 pages of 2 such files are left out (71.4 %)"
        in note
    )
    deep = save_deep_tiff(tmp_path / "d.tif", deep_colours(4011))
    (note,) = reading_notes([deep, *usual], 112)
    assert (
        "d.tif: has 16 bits a channel; the largest value of all is 4,011, and they are read as values of 12 bits"
        in note
    )
    assert "read as values of 10 bits, 1,023 and above as white" in reading_notes([deep], 112, 10)[0]


def test_a_second_page_that_is_damaged_does_not_spoil_the_first(tmp_path: Path) -> None:
    pages = [Image.fromarray(noise(seed=k)) for k in range(2)]
    pages[0].save(tmp_path / "p.tif", save_all=True, append_images=pages[1:])
    content = bytearray((tmp_path / "p.tif").read_bytes())
    with Image.open(tmp_path / "p.tif") as image:
        assert isinstance(image, TiffImagePlugin.TiffImageFile)
        second = image.tag_v2.next
    content[second : second + 2] = b"\xff\xff"  # so many entries
    (tmp_path / "p.tif").write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert read_alike(tmp_path / "p.tif") == ""
        assert inspect(tmp_path / "p.tif").pages == 2
        np.testing.assert_array_equal(read_crop(tmp_path / "p.tif", 40), noise())
