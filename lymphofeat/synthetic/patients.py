"""The generative model of the simulated cohort: who the patients are, and how probable their label truly is.

Given the label y (0 reactive, 1 malignant), the following are independent:

    age        ~ truncated normal(μ_y, σ_y) on [18, 100] years
    log count  ~ truncated normal(μ_y, σ_y) on [log 4, log 400], counts in 10⁹/l
    z          ~ normal(±d/2, 1), the bag's homogeneity; a cell belongs to the clone with probability
                 expit(CLONE_SLOPE · z)
    rare cells ~ binomial(bag size, ρ_y), where `rare_fraction` asks for them

The bag size depends on the count and on noise only; sex, writing of dates and stain on nothing. So Bayes' rule gives
P(y = 1 | age, count, z, rare cells) in closed form. `overlap` is the overlapping coefficient of the two
densities of z, 2Φ(−d/2) (Inman and Bradley 1989), and moves the clinical densities along with them.
"""

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit
from scipy.stats import binom, norm, truncnorm

from ..cohort.dates import REFERENCE_DATE
from ..errors import InputError

Signal = Literal["image", "clinical", "both", "none"]
ImageFormat = Literal["jpg", "png", "tif", "bmp"]
Floats = npt.NDArray[np.float64]

DEFAULT_OVERLAP = 0.25
MAX_DISTANCE = 10.0  # of the two densities of z, in standard deviations: overlap 0 would ask for infinity
CLONE_SLOPE = 1.2
DASH_SHARE = 0.15  # of the dates are written dd-mm-yyyy
LOWER_CASE_SHARE = 0.03
BAG_NOISE = 0.85  # in log count; sets the AUC of the bag size alone near 0.8, as in the challenge's data
PAIR_SHARE = 0.04  # of the labelled records belong to a person with two of them


@dataclass(frozen=True)
class SimulationSettings:
    """What cohort to draw; equal specs draw equal cohorts.

    Attributes:
        patients: records in both parts, at least 6.
        seed: not negative.
        test_fraction: share of the records in the test part, in [0, 0.5].
        malignant_fraction: P(y = 1); met exactly (to a record) in the labelled part.
        size: of the square images, in pixels, 32 to 1024.
        images_range: smallest and largest bag.
        overlap: 0 draws the classes apart, 1 makes them the same; see the module's docstring.
        signal: what carries the label; the rest is independent of it. Bag size follows the count always, so
            that it carries the label with "clinical" and "both".
        rare_fraction: with a value ρ in (0, 1], the images carry the label only by cells of the type "flower", which
            make up ρ of a malignant and `overlap`·ρ of a reactive bag; homogeneity is then independent of the label.
        formats: image formats; each patient's is drawn from them.

    Raises:
        InputError: values outside the ranges above, all of them named at once.
    """

    patients: int = 40
    seed: int = 0
    test_fraction: float = 0.25
    malignant_fraction: float = 0.6
    size: int = 224
    images_range: tuple[int, int] = (20, 60)
    overlap: float = DEFAULT_OVERLAP
    signal: Signal = "both"
    rare_fraction: float | None = None
    formats: tuple[ImageFormat, ...] = ("jpg",)

    def __post_init__(self) -> None:
        low, high = self.images_range
        rules = {
            f"patients must be at least 6, not {self.patients}": self.patients >= 6,
            f"seed must not be negative ({self.seed})": self.seed >= 0,
            f"test_fraction must lie in [0, 0.5], not {self.test_fraction}": 0 <= self.test_fraction <= 0.5,
            f"malignant_fraction must lie in [0.1, 0.9], not {self.malignant_fraction}": 0.1
            <= self.malignant_fraction
            <= 0.9,
            f"size must lie in [32, 1024], not {self.size}": 32 <= self.size <= 1024,
            f"images_range must rise from at least 1, not {self.images_range}": 1 <= low <= high,
            f"overlap must lie in [0, 1], not {self.overlap}": 0 <= self.overlap <= 1,
            f"signal must be one of {', '.join(get_args(Signal))}, not {self.signal!r}": self.signal
            in get_args(Signal),
            f"rare_fraction must lie in (0, 1], not {self.rare_fraction}": self.rare_fraction is None
            or 0 < self.rare_fraction <= 1,
            f"formats must be some of {', '.join(get_args(ImageFormat))}, not {self.formats!r}": bool(
                self.formats
            )
            and set(self.formats) <= set(get_args(ImageFormat)),
        }
        if broken := [text for text, holds in rules.items() if not holds]:
            raise InputError(f"No cohort can be simulated: {'; '.join(broken)}.")

    @property
    def n_test(self) -> int:
        """Records of the test part."""
        return round(self.patients * self.test_fraction)

    @property
    def n_malignant(self) -> int:
        """Malignant records of the labelled part; at least one record of each class is there."""
        n = self.patients - self.n_test
        return min(max(round(n * self.malignant_fraction), 1), n - 1)


@dataclass(frozen=True)
class _Pair:
    """One clinical value's two truncated normals at the default overlap; index 0 reactive, 1 malignant."""

    mean: tuple[float, float]
    sd: tuple[float, float]
    bounds: tuple[float, float]

    def at(self, distance: float) -> tuple[Any, Any]:
        """The two frozen distributions when the classes lie `distance` apart (see `separation`).

        Nearer than the default, the means close up and the widths become equal; farther, the widths shrink, so that
        the values stay possible ones.
        """
        k = distance / separation(DEFAULT_OVERLAP)
        middle, common = sum(self.mean) / 2, math.sqrt(self.sd[0] * self.sd[1])
        near, far = min(k, 1.0), max(k, 1.0)
        dists = []
        for mean, sd in zip(self.mean, self.sd, strict=True):
            loc = middle + (mean - middle) * near
            scale = common * (sd / common) ** near / far
            a, b = ((x - loc) / scale for x in self.bounds)
            dists.append(truncnorm(a, b, loc=loc, scale=scale))
        return dists[0], dists[1]


AGE = _Pair(mean=(58.0, 72.0), sd=(17.0, 12.0), bounds=(18.0, 100.0))
LOG_COUNT = _Pair(mean=(1.62, 2.8), sd=(0.25, 1.0), bounds=(math.log(4.0), math.log(400.0)))


def separation(overlap: float) -> float:
    """d of two normals N(±d/2, 1) whose overlapping coefficient 2Φ(−d/2) is `overlap`; at most 10."""
    return MAX_DISTANCE if overlap == 0 else min(float(-2 * norm.ppf(overlap / 2)), MAX_DISTANCE)


def simulate_patients(spec: SimulationSettings, rng: np.random.Generator) -> pd.DataFrame:
    """All records without their images; fast enough for 10⁵ of them.

    Returns:
        One row per record, the labelled part first, with the columns id, part ("train", "test"), label, probability
        (the true P(y = 1)), person, sex, birth (date), date_order ("m/d/y", "d-m-y"), sex_written, age (years at the
        reference date), count (10⁹/l, unrounded), homogeneity (z), clone_fraction, n_images, n_rare, format. Two
        records with the same `person` share birth, sex and label; each one's probability is that of the record
        alone. The probability uses unrounded ages and counts; the tables round them to a day and two digits, which
        is negligible.
    """
    n, n_train = spec.patients, spec.patients - spec.n_test
    clinical = separation(spec.overlap) if spec.signal in ("clinical", "both") else 0.0
    imaged = spec.overlap if spec.signal in ("image", "both") else 1.0
    shift = separation(imaged) if spec.rare_fraction is None else 0.0

    label = _labels(spec, rng)
    person, second = _persons(label[:n_train], n, rng)
    ages, counts = AGE.at(clinical), LOG_COUNT.at(clinical)
    age = _by_label(ages, label, rng)[person]
    log_count = _by_label(counts, label, rng)
    z = rng.normal((label - 0.5) * shift, 1.0)
    n_images = _bag_sizes(log_count, spec.images_range, rng)

    log_odds = np.log(np.where(np.arange(n) < n_train, *_prior_odds(spec)))
    log_odds += ages[1].logpdf(age) - ages[0].logpdf(age)
    log_odds += counts[1].logpdf(log_count) - counts[0].logpdf(log_count)
    log_odds += shift * z  # log N(z; d/2, 1) − log N(z; −d/2, 1)
    n_rare = np.zeros(n, dtype=np.int64)
    if spec.rare_fraction is not None:
        share = (imaged * spec.rare_fraction, spec.rare_fraction)
        n_rare = rng.binomial(n_images, np.where(label == 1, share[1], share[0]))
        log_odds += binom.logpmf(n_rare, n_images, share[1]) - binom.logpmf(n_rare, n_images, share[0])

    sex = rng.permutation(np.arange(n) % 2)[person]
    dashed = rng.random(n) < DASH_SHARE
    dashed[second], dashed[person[second]] = True, False
    lower = (sex == 0) & (rng.random(n) < LOWER_CASE_SHARE)
    lower[rng.choice(np.flatnonzero(sex == 0))] = True
    birth = [REFERENCE_DATE - timedelta(days=round(a * 365.25)) for a in age]
    return pd.DataFrame(
        {
            "id": [f"P{k}" for k in rng.permutation(n)],
            "part": np.where(np.arange(n) < n_train, "train", "test"),
            "label": label,
            "probability": expit(log_odds),
            "person": person,
            "sex": np.where(sex == 0, "F", "M"),
            "birth": birth,
            "date_order": np.where(dashed, "d-m-y", "m/d/y"),
            "sex_written": np.where(lower, "f", np.where(sex == 0, "F", "M")),
            "age": age,
            "lymphocyte_count": np.exp(log_count),
            "homogeneity": z,
            "clone_fraction": expit(CLONE_SLOPE * z),
            "n_images": n_images,
            "n_rare": n_rare,
            "format": rng.choice(list(spec.formats), size=n),
        }
    )


def _labels(spec: SimulationSettings, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Exactly `n_malignant` in the labelled part, so that small cohorts have both classes; free in the test part."""
    n_train = spec.patients - spec.n_test
    train = rng.permutation((np.arange(n_train) < spec.n_malignant).astype(np.int64))
    test = (rng.random(spec.n_test) < spec.malignant_fraction).astype(np.int64)
    return np.concatenate([train, test])


def _prior_odds(spec: SimulationSettings) -> tuple[float, float]:
    """Odds of y = 1 in the labelled part (its share of malignant records) and in the test part."""
    train = spec.n_malignant / (spec.patients - spec.n_test)
    return train / (1 - train), spec.malignant_fraction / (1 - spec.malignant_fraction)


def _persons(
    train_label: npt.NDArray[np.int64], n: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Person of each record (the index of that person's first record), and the records that are second ones.

    Pairs are of one label, because the person is one, and lie in the labelled part, where folds must mind them.
    """
    person = np.arange(n)
    wanted = max(1, round(len(train_label) * PAIR_SHARE / 2))
    order = rng.permutation(len(train_label))
    second = []
    waiting: dict[int, int] = {}
    for i in order:
        partner = waiting.pop(int(train_label[i]), None)
        if partner is None:
            waiting[int(train_label[i])] = int(i)
            continue
        person[i] = partner
        second.append(int(i))
        if len(second) == wanted:
            break
    return person, np.array(second, dtype=np.int64)


def _by_label(dists: tuple[Any, Any], label: npt.NDArray[np.int64], rng: np.random.Generator) -> Floats:
    """One value per record from its label's distribution, by inversion."""
    u = rng.random(len(label))
    values: Floats = np.where(label == 1, dists[1].ppf(u), dists[0].ppf(u))
    return values


def _bag_sizes(log_count: Floats, limits: tuple[int, int], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Cells photographed: more where the count is high, over the whole range, with noise of its own."""
    low, high = limits
    u = norm.cdf((log_count + rng.normal(0, BAG_NOISE, len(log_count)) - 2.4) / 1.6)
    sizes: npt.NDArray[np.int64] = np.minimum(low + np.floor(u * (high - low + 1)), high).astype(np.int64)
    return sizes
