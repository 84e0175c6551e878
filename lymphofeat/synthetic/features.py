"""Simulated bags of features with a known truth, without images: statistical tests of heads in milliseconds.

A patient's label rides on one latent score, z | y ~ N(±strength/2, 1), so that P(y = 1 | z) = expit(strength · z + log
prior odds) and the best possible AUC is Φ(strength/√2). What differs is where z shows:

    mean         the patient's offset along one hidden direction u is z
    spread       the within-bag standard deviation of the `informative` features is exp(SPREAD_SLOPE · z)
    rare         a share RARE_MOST · Φ(z) of the instances is moved by RARE_SHIFT along u, 2 % on average
    clinical     age and log count carry z together, each alone with strength/√2
    interaction  instead of z: with a the offset along u and b the standardised age, both N(0, 1),
                 P(y = 1) = expit(strength · a · b); neither a nor b alone says anything
    none         nothing carries the label

In every signal a bag is: an offset N(0, I) of the patient's own (the slide), and instances N(offset, I). The
probability is that of someone who knows z; a bag of n instances tells z only up to its sampling error.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit
from scipy.stats import norm

from ..cohort.dates import REFERENCE_DATE
from ..cohort.model import TABLE_COLUMNS
from ..errors import InputError

FeatureSignal = Literal["mean", "spread", "rare", "clinical", "interaction", "none"]
Floats = npt.NDArray[np.float64]

SPREAD_SLOPE = 0.3
# On average over the patients, 2 % of the instances are of the rare type.
RARE_MOST, RARE_SHIFT = 0.04, 9.0
AGE_MEAN, AGE_SD = 65.0, 9.0
LOG_COUNT_MEAN, LOG_COUNT_SD = 2.2, 0.5


@dataclass(frozen=True)
class FeatureCohort:
    """Bags simulated as features, and the truth about them.

    Attributes:
        bags: one (n_i, dim) float32 array per patient.
        table: the columns of `model.TABLE_COLUMNS`, all patients labelled.
        y: (n_patients,) int8.
        probability: (n_patients,) float64, the true P(y = 1).
        direction: (dim,) float64, the hidden unit vector u.
        informative: (dim,) bool, the features whose spread carries the label with "spread".
    """

    bags: list[npt.NDArray[np.float32]]
    table: pd.DataFrame
    y: npt.NDArray[np.int8]
    probability: Floats
    direction: Floats
    informative: npt.NDArray[np.bool_]


def simulate_features(
    n_patients: int,
    n_images: int | tuple[int, int],
    dim: int,
    *,
    signal: FeatureSignal,
    strength: float = 2.0,
    seed: int = 0,
) -> FeatureCohort:
    """Draw bags, clinical table, labels and true probabilities; equal arguments, equal cohort.

    Args:
        n_patients: at least 4; half of them malignant (with "interaction" half on average).
        n_images: size of each bag, or the range from which each is drawn without regard to the label.
        dim: features of an instance, at least 1.
        signal: where the label shows; see the module's docstring.
        strength: distance of the classes in standard deviations of z, not negative.

    Raises:
        InputError: an argument outside its range.
    """
    low, high = (n_images, n_images) if isinstance(n_images, int) else n_images
    if n_patients < 4 or dim < 1 or strength < 0 or not 1 <= low <= high:
        raise InputError(
            "Features are simulated for n_patients ≥ 4, n_images ≥ 1, dim ≥ 1 and strength ≥ 0, not for "
            f"n_patients={n_patients}, n_images={n_images}, dim={dim}, strength={strength}."
        )
    if signal not in get_args(FeatureSignal):
        raise InputError(f"signal must be one of {', '.join(get_args(FeatureSignal))}, not {signal!r}.")
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=dim)
    direction /= np.linalg.norm(direction)
    informative = rng.permutation(dim) < max(dim // 4, 1)

    offsets = rng.normal(size=(n_patients, dim))
    clinical = rng.normal(size=(n_patients, 2))  # standardised age and log count
    y, probability, z = _labels(n_patients, signal, strength, offsets @ direction, clinical[:, 0], rng)
    if signal == "mean":
        offsets += np.outer(z - offsets @ direction, direction)
    if signal == "clinical":
        other = (clinical[:, 0] - clinical[:, 1]) / np.sqrt(2)
        clinical = np.stack([z + other, z - other], axis=1) / np.sqrt(2)

    sizes = rng.integers(low, high + 1, size=n_patients)
    bags = []
    for k in range(n_patients):
        bag = rng.normal(size=(sizes[k], dim))
        if signal == "spread":
            bag[:, informative] *= np.exp(SPREAD_SLOPE * z[k])
        if signal == "rare":
            rare = rng.random(sizes[k]) < RARE_MOST * norm.cdf(z[k])
            bag[rare] += RARE_SHIFT * direction
        bags.append((bag + offsets[k]).astype(np.float32))
    table = _table(y, sizes, clinical, rng)
    return FeatureCohort(bags, table, y, probability, direction, informative)


def _labels(
    n: int, signal: FeatureSignal, strength: float, image: Floats, age: Floats, rng: np.random.Generator
) -> tuple[npt.NDArray[np.int8], Floats, Floats]:
    """Labels, true probabilities, and the latent score z that carries them."""
    if signal == "interaction":
        probability: Floats = expit(strength * image * age)
        return (rng.random(n) < probability).astype(np.int8), probability, np.zeros(n)
    y = rng.permutation((np.arange(n) < n // 2).astype(np.int8))
    distance = 0.0 if signal == "none" else strength
    z = rng.normal((y - 0.5) * distance)
    share = (n // 2) / n
    return y, expit(distance * z + np.log(share / (1 - share))), z


def _table(
    y: npt.NDArray[np.int8], sizes: npt.NDArray[np.int64], clinical: Floats, rng: np.random.Generator
) -> pd.DataFrame:
    """The cohort's table for simulated patients; ages stay between 18 and 100 by clipping, which is rare."""
    age = np.clip(AGE_MEAN + AGE_SD * clinical[:, 0], 18, 100)
    birth = [(REFERENCE_DATE - timedelta(days=round(a * 365.25))).isoformat() for a in age]
    columns = {
        "id": [f"P{k}" for k in range(len(y))],
        "split": "train",
        "label": y,
        "n_images": sizes,
        "birth": birth,
        "date_order": "m/d/y",
        "sex": rng.choice(["F", "M"], size=len(y)),
        "age": age,
        "lymphocyte_count": np.exp(LOG_COUNT_MEAN + LOG_COUNT_SD * clinical[:, 1]),
    }
    return pd.DataFrame(columns)[list(TABLE_COLUMNS)]
