"""The nested predictions themselves, a row per pipeline, run and patient: what curves are drawn from."""

from collections.abc import Sequence

import pandas as pd
from scipy.special import expit

from ..nested.result import Nested
from .answer import role_of

__all__ = ["MAIN", "predictions_table"]

MAIN = "main"


def predictions_table(main: Nested, others: Sequence[Nested]) -> pd.DataFrame:
    """The predictions of a pipeline and of those beside it.

    Columns: pipeline, role ("main", "clinical", "image", "untrained", "slide", "shuffled" or "whole"), id, label (the
    shuffled one of shuffled labels), run, fold, probability (of malignant), score (in [0, 1], all folds on one scale,
    for ranking only; see `Nested.scores`), decision (0 or 1, under the threshold of the fold).
    """
    frames = []
    for nested in (main, *others):
        frame = nested.predictions()
        frame.insert(0, "pipeline", nested.name)
        frame.insert(1, "role", MAIN if nested is main else role_of(nested, main))
        frame.insert(list(frame).index("decision"), "score", expit(nested.scores).T.reshape(-1))
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)
