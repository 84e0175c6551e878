"""Image files that cannot be used, or that are not what most are."""

import shutil
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from .bad_input import BadInput, image_of


def _truncate(root: Path) -> None:
    path = image_of(root)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _resize(side: int) -> Callable[[Path], None]:
    def mutate(root: Path) -> None:
        with Image.open(image_of(root)) as image:
            image.resize((side, side)).save(image_of(root))

    return mutate


def _mode(mode: str) -> Callable[[Path], None]:
    def mutate(root: Path) -> None:
        with Image.open(image_of(root)) as image:
            image.convert(mode).save(image_of(root).with_suffix(".tif" if mode in ("F", "I;16") else ".png"))
        image_of(root).unlink()

    return mutate


def _pages(root: Path) -> None:
    with Image.open(image_of(root)) as image:
        first = image.copy()
    first.save(
        image_of(root).with_suffix(".tif"), save_all=True, append_images=[first.rotate(90), first.rotate(180)]
    )
    image_of(root).unlink()


def _copy(source: str, target: str) -> Callable[[Path], object]:
    return lambda root: shutil.copy(image_of(root, source), image_of(root, target, 2))


def _copy_within(root: Path) -> None:
    shutil.copy(image_of(root), image_of(root, k=2))


IMAGES = [
    BadInput(
        "empty image",
        lambda root: image_of(root).write_bytes(b""),
        "trainset/P3/000001.jpg: is empty (0 bytes)",
        "replace or remove the file",
        "error",
    ),
    BadInput(
        "truncated image",
        _truncate,
        "trainset/P3/000001.jpg: is truncated or damaged",
        "replace or remove the file",
        "error",
    ),
    BadInput(
        "text named as an image",
        lambda root: image_of(root).write_text("not a cell"),
        "trainset/P3/000001.jpg: is not an image",
        "replace or remove the file",
        "error",
    ),
    BadInput(
        "dangling link",
        lambda root: (image_of(root).unlink(), image_of(root).symlink_to("nowhere.jpg")),
        "trainset/P3/000001.jpg: cannot be read",
        "replace or remove the file",
        "error",
    ),
    BadInput(
        "too small an image",
        _resize(100),
        "trainset/P3/000001.jpg: is 100 × 100 pixels, smaller than 112 × 112",
        "replace or remove it",
        "error",
    ),
    BadInput(
        "another size than most",
        _resize(200),
        "trainset/P3/000001.jpg: is 200 × 200 pixels, most images are 128 × 128",
        "check that the scale is the same",
        "warning",
    ),
    BadInput(
        "grey image",
        _mode("L"),
        "trainset/P3/000001.png: is not RGB but L (grey)",
        "it is converted",
        "warning",
    ),
    BadInput(
        "transparent image",
        _mode("RGBA"),
        "trainset/P3/000001.png: is not RGB but RGBA (with transparency)",
        "it is converted",
        "warning",
    ),
    BadInput(
        "several pages",
        _pages,
        "trainset/P3/000001.tif: holds 3 pages, of which only the first is read; 2 of 3 pages are left out (66.7 %)",
        "save pages that show cells",
        "warning",
    ),
    BadInput(
        "a field instead of a cell",
        _resize(2592),
        "is 2592 × 2592 pixels, of which the centre crop of 112 × 112 leaves out 99.8 %",
        "check that the cell lies in the middle",
        "warning",
    ),
    BadInput(
        "16 bits",
        _mode("I;16"),
        "trainset/P3/000001.tif: has 16 bits a channel; the largest value of all is",
        "save the images with 8 bits a channel",
        "warning",
    ),
    BadInput(
        "image of floats",
        _mode("F"),
        "trainset/P3/000001.tif: is not RGB but F",
        "save as 8-bit RGB",
        "error",
    ),
    BadInput(
        "identical images of two patients",
        _copy("P3", "P5"),
        "trainset/P5/000002.jpg: is byte for byte the same file as trainset/P3/000001.jpg",
        "find out whose image it is",
        "error",
    ),
    BadInput(
        "identical images in both parts",
        _copy("P3", "P9"),
        "testset/P9/000002.jpg: is byte for byte the same file as trainset/P3/000001.jpg",
        "find out whose image it is",
        "error",
    ),
    BadInput(
        "identical images of one patient",
        _copy_within,
        "trainset/P3/000002.jpg: is byte for byte the same file as 000001.jpg of the same patient",
        "it counts twice",
        "warning",
    ),
]
