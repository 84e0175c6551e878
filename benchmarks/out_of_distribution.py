"""How many patients of the same kind `predict` calls unlike the training images, on simulated cohorts.

    python benchmarks/out_of_distribution.py --cohorts 200

A patient is the mean of their images' features: classes apart along a few directions, a spectrum that falls as
features of networks' do, some with heavier tails. Cohorts differ in their number of patients and of features. A frozen
encoder is one summary of all patients; encoders trained per fold are one each, and the patients that an encoder was
trained on lie farther apart under it than others do, which is what training on few patients makes of features. The last
column moves the patients by three standard deviations in a tenth of the features.
"""

import argparse
from collections.abc import Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray

from lymphofeat.bundle.out_of_distribution import ImageDistribution, out_of_distribution

Array = NDArray[np.float64]
NEW = 100  # patients of the same kind for each cohort


class World:
    """A kind of patients: where the classes lie, how far patients differ along which direction, how heavy the tails."""

    def __init__(self, rng: np.random.Generator, dim: int, tails: str) -> None:
        self.spread = np.linspace(1, 0.05, dim) ** 2
        self.turn = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
        self.apart = np.where(np.arange(dim) < max(1, dim // 16), 2.0, 0.0)
        self.tails = tails

    def draw(self, rng: np.random.Generator, n: int, overfitted: float = 0.0) -> Array:
        """(n, dim) mean features; `overfitted` moves the classes so much farther apart."""
        y = rng.random(n) < 0.6
        noise = rng.normal(size=(n, len(self.spread)))
        if self.tails == "heavy":
            noise *= np.sqrt(3 / rng.chisquare(5, size=(n, 1)))
        return ((y[:, None] - 0.5) * self.apart * (1 + overfitted) + noise * self.spread) @ self.turn.T


def frozen(rng: np.random.Generator, n: int, dim: int, tails: str) -> tuple[float, float]:
    """Shares called unlike: of patients of the same kind, of moved ones."""
    world = World(rng, dim, tails)
    found = ImageDistribution.fit_all([(world.draw(rng, n), np.empty((0, dim)))])
    same = world.draw(rng, NEW)
    far = moved(rng, same)
    return tuple(float(out_of_distribution([found[0].distances(x)], found).mean()) for x in (same, far))


def per_fold(rng: np.random.Generator, n: int, dim: int, tails: str, k: int = 5) -> tuple[float, float]:
    """The same for k encoders, each a turn of the features of its own, each trained without one fold."""
    world = World(rng, dim, tails)
    seed = int(rng.integers(2**32))
    turns = [np.linalg.qr(rng.normal(size=(dim, dim)))[0] for _ in range(k)]
    fold = np.arange(n) % k

    def patients(overfitted: float) -> Array:
        return world.draw(np.random.default_rng(seed), n, overfitted)

    parts = [
        (patients(0.5)[fold != j] @ turn, patients(0.0)[fold == j] @ turn) for j, turn in enumerate(turns)
    ]
    found = ImageDistribution.fit_all(parts)
    same = world.draw(rng, NEW)
    far = moved(rng, same)
    return tuple(
        float(
            out_of_distribution(
                [one.distances(x @ turn) for one, turn in zip(found, turns, strict=True)], found
            ).mean()
        )
        for x in (same, far)
    )


def moved(rng: np.random.Generator, same: Array) -> Array:
    dim = same.shape[1]
    which = rng.permutation(dim)[: max(1, dim // 10)]
    far = same.copy()
    far[:, which] += 3 * same[:, which].std(axis=0)
    return far


def measured(args: argparse.Namespace) -> Iterator[str]:
    kinds = {"frozen": frozen, "one encoder per fold": per_fold}
    for (kind, made), n, dim, tails in product(
        kinds.items(), args.patients, args.features, ("normal", "heavy")
    ):
        rows = [made(np.random.default_rng([args.seed, c]), n, dim, tails) for c in range(args.cohorts)]
        same, far = np.mean(rows, axis=0)
        error = np.std([row[0] for row in rows]) / np.sqrt(len(rows))
        yield f"| {kind} | {n} | {dim} | {tails} | {100 * same:.1f} ± {100 * error:.1f} % | {100 * far:.0f} % |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cohorts", type=int, default=200)
    parser.add_argument("--patients", type=int, nargs="+", default=[14, 40, 163])
    parser.add_argument("--features", type=int, nargs="+", default=[8, 64, 512])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print(
        "| encoder | patients | features | tails | same kind, called unlike | moved |\n|---|---|---|---|---|---|"
    )
    for line in measured(args):
        print(line, flush=True)


if __name__ == "__main__":
    main()
