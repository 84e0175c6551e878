"""Near-duplicates: every kind of copy is found, within a patient and between two, and other cells are no copies."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from lymphofeat.cohort.check import check_cohort
from lymphofeat.cohort.images import SIDE, inspect
from lymphofeat.cohort.perceptual import Copy, find_copies
from lymphofeat.cohort.problems import Problem
from lymphofeat.synthetic.cohort import SimulationSettings, simulate_cohort

from ..helpers.tiny import tiny_cohort

Turn, Filter = Image.Transpose, Image.Resampling.BICUBIC


def _scaled(image: Image.Image, factor: float) -> Image.Image:
    return image.resize((round(image.width * factor), round(image.height * factor)), Filter)


def _binarised(image: Image.Image, *, inverted: bool = False) -> Image.Image:
    """At the mean grey."""
    grey = np.asarray(image.convert("L"))
    return Image.fromarray(np.where((grey > grey.mean()) != inverted, 255, 0).astype(np.uint8))


# Kind → the copy, and whether it is mirrored, turned, binarised.
KINDS: dict[str, tuple[Callable[[Image.Image], Image.Image], tuple[bool, bool, bool]]] = {
    "as it is": (lambda image: image, (False, False, False)),
    "half": (lambda image: _scaled(image, 0.5), (False, False, False)),
    "enlarged": (lambda image: _scaled(image, 1.3), (False, False, False)),
    "grey": (lambda image: image.convert("L"), (False, False, False)),
    "brighter": (lambda image: ImageEnhance.Brightness(image).enhance(1.15), (False, False, False)),
    "less contrast": (lambda image: ImageEnhance.Contrast(image).enhance(0.7), (False, False, False)),
    "blurred": (lambda image: image.filter(ImageFilter.GaussianBlur(1.5)), (False, False, False)),
    "left and right": (lambda image: image.transpose(Turn.FLIP_LEFT_RIGHT), (True, False, False)),
    "up and down": (lambda image: image.transpose(Turn.FLIP_TOP_BOTTOM), (True, False, False)),
    "90": (lambda image: image.transpose(Turn.ROTATE_90), (False, True, False)),
    "180": (lambda image: image.transpose(Turn.ROTATE_180), (False, True, False)),
    "270": (lambda image: image.transpose(Turn.ROTATE_270), (False, True, False)),
    "transposed": (lambda image: image.transpose(Turn.TRANSPOSE), (True, True, False)),
    "transverse": (lambda image: image.transpose(Turn.TRANSVERSE), (True, True, False)),
    "binarised": (_binarised, (False, False, True)),
    "white on black": (lambda image: _binarised(image, inverted=True), (False, False, True)),
    "binarised and turned": (lambda image: _binarised(image).transpose(Turn.ROTATE_90), (False, True, True)),
}


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated cohort of about 600 cells that look much alike."""
    settings = SimulationSettings(patients=16, seed=5, images_range=(30, 45))
    return simulate_cohort(tmp_path_factory.mktemp("simulated") / "cohort", settings)


@pytest.fixture(scope="module")
def known(cells: Path) -> tuple[list[Path], np.ndarray, np.ndarray]:
    """Images, their thumbnails, whether they have two levels."""
    paths = sorted(p for p in cells.glob("*set/*/*") if p.suffix in (".jpg", ".png", ".tif", ".bmp"))
    return (paths, *looks(paths))


def looks(paths: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    facts = [inspect(path) for path in paths]
    thumbnails = np.frombuffer(b"".join(fact.thumbnail for fact in facts), dtype=np.uint8)
    return thumbnails.reshape(-1, SIDE, SIDE), np.array([fact.two_levels for fact in facts])


def test_cells_that_look_alike_are_no_copies(known: tuple[list[Path], np.ndarray, np.ndarray]) -> None:
    paths, thumbnails, two_levels = known
    assert len(paths) > 500
    assert not two_levels.any()
    assert find_copies(thumbnails, two_levels) == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_copy_is_found(
    kind: str, known: tuple[list[Path], np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    paths, thumbnails, two_levels = known
    change, expected = KINDS[kind]
    originals = list(range(0, len(paths), 40))
    files = [tmp_path / f"{i}{'.png' if k % 2 else '.jpg'}" for k, i in enumerate(originals)]
    for i, file in zip(originals, files, strict=True):
        with Image.open(paths[i]) as image:
            change(image.convert("RGB")).save(file, quality=40)
    more, more_levels = looks(files)
    found = find_copies(np.concatenate([thumbnails, more]), np.concatenate([two_levels, more_levels]))
    assert found == [Copy(i, len(paths) + k, *expected) for k, i in enumerate(originals)]


def test_images_that_show_nothing_are_no_copies() -> None:
    rng = np.random.default_rng(0)
    blank = np.clip(rng.normal(200, 1, (20, SIDE, SIDE)), 0, 255).astype(np.uint8)
    assert find_copies(blank, np.zeros(20, dtype=bool)) == []
    assert find_copies(blank[:0], np.zeros(0, dtype=bool)) == []
    white = np.full((20, SIDE, SIDE), 255, dtype=np.uint8)
    white[:, :2, :2] = 0  # a few dark pixels
    assert find_copies(white[:1], np.ones(1, dtype=bool)) == []


def copies_of(root: Path) -> list[Problem]:
    return [p for p in check_cohort(root, workers=1).problems if p.code.startswith("copies")]


def test_check_groups_copies_by_patients(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path / "cohort", n=8)
    assert copies_of(root) == []
    first, second = (sorted((root / "trainset" / name).iterdir()) for name in ("P1", "P4"))
    for k, path in enumerate(first):
        with Image.open(path) as image:
            turned = image.transpose(Turn.ROTATE_90) if k == 2 else image.transpose(Turn.FLIP_LEFT_RIGHT)
            turned.save(second[0].parent / f"aug_{k}.png")
            image.save(first[0].parent / f"zz_{k}.png")
    between, within = sorted(copies_of(root), key=lambda problem: problem.code)
    assert {within.severity, between.severity} == {"warning"}
    assert within.message == (
        "3 images of P1 are copies of others of the same patient (saved anew: zz_0.png of 000000.jpg, zz_1.png of "
        "000001.jpg, zz_2.png of 000002.jpg)"
    )
    assert between.message == (
        "3 images of P4 are copies of images of P1 (2 mirrored, 1 turned: aug_0.png of 000000.jpg, aug_1.png of "
        "000001.jpg, aug_2.png of 000002.jpg)"
    )


def test_the_same_bytes_are_told_once(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path / "cohort", n=8)
    image = root / "trainset/P1/000000.jpg"
    (root / "trainset/P4/x.jpg").write_bytes(image.read_bytes())
    problems = check_cohort(root, workers=1).problems
    assert {p.code for p in problems} == {"duplicate-image"}


@pytest.mark.slow
def test_hardly_any_false_alarm_among_thousands(tmp_path: Path) -> None:
    settings = SimulationSettings(patients=120, seed=11, images_range=(30, 60))
    assert copies_of(simulate_cohort(tmp_path / "cohort", settings)) == []
