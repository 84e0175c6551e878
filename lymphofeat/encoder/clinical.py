"""The clinical values that a network sees, and their digest. Without torch, which readers of a cache do not need."""

from hashlib import blake2b

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["clinical_digest", "clinical_values"]

_LEAST_COUNT = 0.1  # 10⁹/l; a counter's zero has no logarithm


def clinical_values(table: pd.DataFrame, names: tuple[str, ...]) -> NDArray[np.float32]:
    """(n, C) float32 of the clinical columns of `Cohort.table`, NaN where missing.

    Args:
        table: columns `birth` (ISO text), `sex`, `age` (years), `count` (10⁹/l).
        names: of `lymphofeat.training.recipe.CLINICAL_VALUES`.
    """
    birth = table["birth"].fillna("").astype(str)
    count = table["lymphocyte_count"].to_numpy(np.float64)
    columns = {
        "age": table["age"].to_numpy(np.float64),
        "count": count,
        "log_count": np.log(np.maximum(count, _LEAST_COUNT)),
        "male": table["sex"].map({"M": 1.0, "F": 0.0}).to_numpy(np.float64),
        "birth_year": np.array([float(b[:4]) if b else np.nan for b in birth]),
        "birth_month": np.array([float(b[5:7]) if b else np.nan for b in birth]),
    }
    return np.column_stack([columns[name] for name in names]).astype(np.float32)


def clinical_digest(values: NDArray[np.float32]) -> str:
    """Hex digest of `clinical_values`, by which an encoder remembers what it was trained on."""
    return blake2b(values.tobytes(), digest_size=8).hexdigest()
