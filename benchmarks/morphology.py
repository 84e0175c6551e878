"""Cells measured: CPU time an image on one core, beside the same measurements as scikit-image has them.

    python benchmarks/morphology.py [COHORT] [--images 100] [--rounds 5]

The plain version is what most people would write: Gaussian and multi-Otsu on the whole image, `binary_opening`,
`regionprops` for nucleus and cell, `graycomatrix` and `graycoprops` at three distances and four angles,
`local_binary_pattern`, `gaussian_laplace` at three scales. It finds nuclei like the fast one, and cells by a single
threshold, without parting what touches. Both run in turn in one thread of one process; CPU time of all threads is
counted, and the best round is printed. Without COHORT, one is simulated.
"""

import argparse
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import ndimage
from skimage.color import rgb2lab
from skimage.feature import graycomatrix, graycoprops, local_binary_pattern
from skimage.filters import gaussian, threshold_multiotsu
from skimage.measure import label, regionprops
from skimage.morphology import disk, opening

from lymphofeat.cohort.read import read_cohort
from lymphofeat.encoder.morphology.encoder import MorphologyEncoder, read_framed
from lymphofeat.encoder.morphology.features import DEFAULT_GROUPS, GROUPS, SIDE
from lymphofeat.synthetic.cohort import SimulationSettings, simulate_cohort


def plain(image: np.ndarray) -> list[float]:
    """Shape and chromatin of one cell by scikit-image's own functions; [] without a nucleus."""
    green = gaussian(image[..., 1], 1, preserve_range=True)
    bound = threshold_multiotsu(green, classes=3)[0]
    parts = label(ndimage.binary_fill_holes(opening(green < bound, disk(2))))
    regions = [region for region in regionprops(parts) if region.area > 150]
    if not regions:
        return []
    middle = np.array(parts.shape) / 2
    region = min(regions, key=lambda r: float(np.hypot(*(np.array(r.centroid) - middle))))
    nucleus = parts == region.label
    lab = rgb2lab(image)
    around = label(opening((lab[..., 2] < np.median(lab[..., 2]) - 5) | nucleus, disk(2)))
    cell = ndimage.binary_fill_holes(around == np.bincount(around[nucleus]).argmax())
    values = [
        value
        for one in (region, regionprops(cell.astype(int))[0])
        for value in (
            one.area,
            one.perimeter,
            one.eccentricity,
            one.solidity,
            one.extent,
            one.axis_major_length,
        )
    ]
    low, high = np.percentile(green[nucleus], [2, 98])
    stretched = np.clip((green - low) / max(high - low, 1), 0, 1)
    levels = np.where(nucleus, np.minimum((stretched * 16).astype(np.uint8), 15) + 1, 0).astype(np.uint8)
    box = region.slice
    angles = [0, math.pi / 4, math.pi / 2, 3 * math.pi / 4]
    pairs = graycomatrix(levels[box], [1, 3, 5], angles, levels=17, symmetric=True)[1:, 1:].astype(float)
    for name in ("contrast", "homogeneity", "energy", "correlation"):
        values += graycoprops(pairs, name).mean(axis=1).tolist()
    patterns = local_binary_pattern((stretched[box] * 255).astype(np.uint8), 8, 1, "uniform")
    values += np.bincount(patterns[nucleus[box]].astype(int), minlength=10).tolist()
    values += [float((ndimage.gaussian_laplace(stretched, s)[nucleus] ** 2).mean()) for s in (1, 2, 4)]
    return values


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds of this process."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("cohort", nargs="?", type=Path)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = given.cohort or simulate_cohort(
            Path(folder) / "data", SimulationSettings(patients=20, images_range=(10, 10))
        )
        every = read_cohort(root).images
        paths = every[:: max(len(every) // given.images, 1)][: given.images]
        images = read_framed(paths, SIDE).numpy()
        encoders = {", ".join(groups): MorphologyEncoder(groups, SIDE) for groups in (DEFAULT_GROUPS, GROUPS)}
        works: dict[str, Callable[[], object]] = {"decoding": lambda: read_framed(paths, SIDE)}
        works |= {name: lambda e=e: e.measure(images) for name, e in encoders.items()}  # type: ignore[misc]
        works["plain, shape and chromatin"] = lambda: [plain(image) for image in images]
        best = dict.fromkeys(works, math.inf)
        for _ in range(given.rounds):
            for name, work in works.items():
                best[name] = min(best[name], cpu(work) / len(paths) * 1000)
    for name, took in best.items():
        print(f"{name:45s} {took:6.2f} ms an image")
    fast = best[", ".join(DEFAULT_GROUPS)]
    print(f"{'shape, chromatin, decoding included':45s} {fast + best['decoding']:6.2f} ms an image")
    print(f"plain / fast: {best['plain, shape and chromatin'] / fast:.1f} ×")


if __name__ == "__main__":
    main()
