"""What the cohort of a number is like: every choice is drawn from the seed and the number alone."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lymphofeat.heads.registry import head_types
from lymphofeat.metric import METRICS

__all__ = ["ENCODERS", "FEATURES", "KINDS", "CohortPlan"]

# Kind of cohort → its share. "images" holds real (simulated) image files and goes through `extract` and `predict`.
KINDS = {"small": 0.46, "wide": 0.18, "many": 0.12, "long": 0.14, "images": 0.10}
FEATURES = (
    "normal", "rectified", "constant columns", "identical images", "one image for all", "mixed scales", "offset",
    "heavy tails", "whole numbers", "outlier", "separable",
)  # fmt: skip
ENCODERS = ("frozen", "two frozen", "per fold", "per two folds")
_TEST = (0, 1, 3, 8)
_MOST_VALUES = 4_000_000  # images × features of an encoding: 16 MB


@dataclass(frozen=True)
class CohortPlan:
    """One cohort and what is done with it.

    Attributes:
        seed, number: of the soak, and of the cohort in it; they decide everything else.
        kind: of `KINDS`.
        reactive, malignant, test: patients.
        lengths: (patients,) images of each.
        dim: features of an image.
        features: of `FEATURES`.
        scale: the features are multiplied by it.
        encoders: of `ENCODERS`.
        folds, repeats: of the cache.
        repeated: share of the records that belong to a person with another record.
        mixed: whether the records of one person may have different labels.
        copies: share of the patients who are copies of another one, images and values alike.
        missing: share of the records without age, count, sex, date of birth.
        constant: clinical columns that are the same for all.
        heads: head types that are searched; all if empty.
        options: of the searches and of what is made from them.
    """

    seed: int
    number: int
    kind: str
    reactive: int
    malignant: int
    test: int
    lengths: tuple[int, ...]
    dim: int
    features: str
    scale: float
    encoders: str
    folds: int
    repeats: int
    repeated: float
    mixed: bool
    copies: float
    missing: dict[str, float]
    constant: tuple[str, ...]
    heads: tuple[str, ...]
    options: dict[str, Any]

    @classmethod
    def of(cls, seed: int, number: int) -> "CohortPlan":
        """The cohort of that number."""
        rng = np.random.default_rng([seed, number])
        kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
        n = _n_labelled(rng, kind)
        fewer = min(max(1, round(n * rng.uniform(0.03, 0.5))), n // 2)
        fewer = max(fewer, int(rng.choice([1, 2, 3], p=[0.05, 0.15, 0.8])))
        reactive, malignant = (fewer, n - fewer) if rng.random() < 0.5 else (n - fewer, fewer)
        test = int(rng.choice(_TEST, p=[0.1, 0.2, 0.4, 0.3])) if kind != "images" else max(1, n // 4)
        lengths, dim = _sizes(rng, kind, n + test)
        most = min(5, fewer) if rng.random() < 0.95 else 5  # more folds than persons of a class: refused
        folds = int(rng.integers(min(3, most), most, endpoint=True)) if rng.random() < 0.9 else 2
        exponent = rng.uniform(-12, 12) if rng.random() < 0.4 else 0.0
        heads = tuple(str(h) for h in rng.choice(list(head_types()), int(rng.integers(1, 4)), replace=False))
        return cls(
            seed, number, kind, reactive, malignant, test, lengths, dim,
            features=str(rng.choice(FEATURES)),
            scale=float(10**exponent),
            encoders=str(rng.choice(ENCODERS, p=[0.45, 0.1, 0.2, 0.25])),
            folds=max(folds, 2),
            repeats=int(rng.integers(1, 3)),
            repeated=float(rng.choice([0, 0.1, 0.5])),
            mixed=bool(rng.random() < 0.3),
            copies=float(rng.choice([0, 0, 0.1, 0.5])),
            missing={
                c: float(rng.choice([0, 0.1, 0.5, 1], p=[0.5, 0.25, 0.15, 0.1]))
                for c in ("age", "lymphocyte_count", "sex", "birth")
            },
            constant=tuple(c for c in ("age", "lymphocyte_count", "sex") if rng.random() < 0.1),
            heads=() if rng.random() < 0.15 else heads,
            options=_options(rng),
        )  # fmt: skip

    @property
    def trained(self) -> bool:
        """Whether there is an encoder for each fold."""
        return self.encoders.startswith("per")

    @property
    def n_images(self) -> int:
        """Of all patients."""
        return sum(self.lengths)

    def rng(self, purpose: int) -> np.random.Generator:
        """A stream of its own."""
        return np.random.default_rng([self.seed, self.number, purpose])

    def __str__(self) -> str:
        longest = max(self.lengths)
        if self.kind == "images":
            return (
                f"images, {self.reactive + self.malignant} patients, {self.test} test, {self.n_images} images"
            )
        return (
            f"{self.kind}, {self.reactive}+{self.malignant} patients, {self.test} test, {self.n_images} images "
            f"(at most {longest}), {self.dim} features ({self.features} × {self.scale:.0e}), {self.encoders}, "
            f"{self.folds} folds"
        )


def _n_labelled(rng: np.random.Generator, kind: str) -> int:
    low, high = {
        "small": (14, 60),
        "wide": (14, 80),
        "many": (100, 400),
        "long": (14, 40),
        "images": (14, 26),
    }[kind]
    return int(np.exp(rng.uniform(np.log(low), np.log(high + 1))))


def _sizes(rng: np.random.Generator, kind: str, n: int) -> tuple[tuple[int, ...], int]:
    """Images of each patient, and features of an image."""
    most = {"small": 30, "wide": 8, "many": 8, "long": 12, "images": 8}[kind]
    top = int(rng.integers(1, most, endpoint=True))
    lengths = rng.integers(1, top, n, endpoint=True)
    if kind == "long":
        some = rng.choice(n, int(rng.integers(1, 3)), replace=False)
        lengths[some] = np.exp(rng.uniform(np.log(500), np.log(5000), len(some))).astype(int)
    low, high = {"small": (1, 64), "wide": (200, 1500), "many": (1, 100), "long": (1, 32), "images": (1, 1)}[
        kind
    ]
    dim = int(np.exp(rng.uniform(np.log(low), np.log(high + 1))))
    return tuple(int(n) for n in lengths), max(1, min(dim, _MOST_VALUES // int(lengths.sum())))


def _options(rng: np.random.Generator) -> dict[str, Any]:
    """Of `tune`, `evaluate`, `submit` and `export`."""
    weights = rng.random() < 0.2
    return {
        "metric": str(rng.choice(list(METRICS))),
        "class_weights": (1.0, float(np.exp(rng.uniform(-2, 2)).round(2))) if weights else None,
        "sampler": str(rng.choice(["tpe", "random", "grid"], p=[0.3, 0.6, 0.1])),
        "seed": int(rng.integers(1000)),
        "prune": bool(rng.random() < 0.7),
        "repeats": int(rng.integers(1, 3)),
        "trials": int(rng.integers(4, 9)),
        "inputs": str(rng.choice(["", "", "both", "image", "clinical"])),
        "clinical": bool(rng.random() < 0.4),
        "evaluate": bool(rng.random() < 0.5),
        "nested_trials": int(rng.integers(1, 4)),
        "permute": int(rng.random() < 0.1),
        "learning_curve": bool(rng.random() < 0.1),
        "ensemble": int(rng.choice([0, 0, 3, 10])),
        "calibrate": str(rng.choice(["", "platt", "beta", "isotonic"])),
        "refer_error": float(rng.choice([0, 0.1, 0.3])),
        "finetune": bool(rng.random() < 0.4),
    }
