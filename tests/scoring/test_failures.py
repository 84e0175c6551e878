"""What is no probability is never scored, and failures are told by cause."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from lymphofeat.cache.bags import Bags
from lymphofeat.heads.base import FitCache, Split, fit_predict
from lymphofeat.scoring.failures import FailedTrial, in_words

from ..helpers.caches import patients


class Fixed:
    """A head that gives fixed probabilities."""

    def __init__(self, *p: float) -> None:
        self.p = np.array(p)

    def get_params(self, *, deep: bool = True) -> dict[str, Any]:
        return {}

    def fit_predict_splits(
        self, splits: list[Split], clinical: pd.DataFrame, y: np.ndarray, fit_cache: FitCache
    ) -> list[np.ndarray]:
        return [self.p for _ in splits]


@pytest.mark.parametrize("p", [np.nan, np.inf, -np.inf, 1.001, -0.001])
def test_what_is_no_probability_is_never_scored(p: float) -> None:
    bags, table, y = Bags.from_list([np.ones((1, 2), np.float32)] * 4), patients(4, 0), np.zeros(4, np.int8)
    one = [Split(bags, "k", np.arange(2), np.arange(2, 4))]
    with pytest.raises(FloatingPointError, match="1 of 2 patients a probability that is NaN or outside"):
        fit_predict(Fixed(0.5, p), one, table, y, FitCache())  # type: ignore[arg-type]
    assert len(fit_predict(Fixed(0.0, 1.0), one, table, y, FitCache())) == 1  # type: ignore[arg-type]


def test_failures_are_grouped_by_cause() -> None:
    some = [
        FailedTrial(number, head_type, reason, "")
        for number, (head_type, reason) in enumerate(
            [("lda", "needs 2."), ("svm", "Boom 7"), ("lda", "needs 3."), ("gp", "needs 2.")]
        )
    ]
    assert in_words([], 9) == []
    assert in_words(some[:1], 9) == ["1 of 9 trials failed: lda: needs 2."]
    assert in_words(some, 9) == ["4 of 9 trials failed:", "  3 × lda, gp: needs 2.", "  1 × svm: Boom 7"]
