"""Figures of a search, from tables: what they show is what the tables say."""

import numpy as np
import pandas as pd
import pytest

from lymphofeat.figures.importance import importance_figure
from lymphofeat.figures.parallel import best_tenth, parallel_figure
from lymphofeat.figures.saving import page_svg
from lymphofeat.figures.search import head_types_figure, history_figure, history_table

STATES = ["COMPLETE", "PRUNED", "COMPLETE", "FAIL", "COMPLETE"]
TRIALS = pd.DataFrame(
    {"value": [0.7, 0.9, 0.6, np.nan, 0.8], "state": STATES, "head_type": ["svm"] * 5}, index=range(5)
)


def test_the_best_so_far_is_of_complete_trials_only() -> None:
    table = history_table(TRIALS, "balanced_accuracy")
    assert table["best"].tolist() == [0.7, 0.7, 0.7, 0.7, 0.8], "the stopped 0.9 was measured on less"
    assert table["state"].tolist() == ["complete", "stopped", "complete", "failed", "complete"]
    assert history_table(TRIALS, "log_loss")["best"].tolist() == [0.7, 0.7, 0.6, 0.6, 0.6]
    assert "reached by trial 4" in history_figure(TRIALS, "auc").alt
    assert "is lower than it would be" in history_figure(TRIALS, "log_loss").caption


@pytest.mark.parametrize("n", [1, 60, 2000])
def test_histories_of_any_length_are_drawn(n: int) -> None:
    values = np.random.default_rng(0).uniform(0.5, 1, n)
    trials = pd.DataFrame({"value": values, "state": "COMPLETE", "head_type": "svm"})
    drawn = history_figure(trials, "auc")
    assert f"{values.max():.3f}" in drawn.alt
    assert len(page_svg(drawn)) < 400_000


def test_the_best_tenth() -> None:
    values = pd.Series([0.5, 0.9, 0.9, 0.1] + [0.2] * 8)
    assert best_tenth(values, "auc").to_numpy().nonzero()[0].tolist() == [1, 2]
    assert best_tenth(values, "log_loss").to_numpy().nonzero()[0].tolist() == [3, 4]
    assert best_tenth(values[:1], "auc").tolist() == [True]


def test_lines_run_through_numbers_logarithms_words_and_what_is_lacking() -> None:
    points = pd.DataFrame(
        {"value": [0.5, 0.7, 0.9], "head type": ["svm", "lda", "svm"], "C": [0.01, np.nan, 100.0],
         "pca": [4.0, 8.0, 6.0]},
        index=[0, 3, 7],
    )  # fmt: skip
    drawn = parallel_figure(points, "auc", {"C"})
    words = [text.get_text() for text in drawn.figure.axes[0].texts]
    assert {"svm", "lda", "0.01", "1", "100", "4", "6", "8"} <= set(words), (
        "the middle of C is 1 on its logarithm"
    )
    assert drawn.table["best_tenth"].tolist() == [False, False, True]
    assert drawn.table["trial"].tolist() == [0, 3, 7]
    assert "without that parameter" in drawn.caption
    assert "head type svm in 1 of 1" in drawn.alt


def test_of_many_trials_some_are_drawn_and_all_are_in_the_table() -> None:
    values = np.linspace(0.5, 1, 2000)
    drawn = parallel_figure(pd.DataFrame({"value": values, "x": values}), "auc")
    others, best = drawn.figure.axes[0].collections
    assert len(best.get_segments()) == 200
    assert 200 <= len(others.get_segments()) <= 300
    assert len(drawn.table) == 2000
    assert f"{len(others.get_segments())} are drawn" in drawn.caption


def test_one_head_type_and_small_shares() -> None:
    row = {"head_type": "svm", "trial": 3, "value": 0.9, "low": 0.8, "high": 0.95, "trials": 1, "stopped": 0}
    drawn = head_types_figure(pd.DataFrame([row]), "auc")
    assert "svm (trial 3) 0.900 (0.80–0.95)" in drawn.alt
    shares = pd.DataFrame({"parameter": [f"p{k}" for k in range(20)], "share": [0.43] + [0.03] * 19})
    bars = importance_figure(shares, "")
    assert "5 more parameters share 0.15" in bars.caption
    assert len(bars.figure.axes[0].patches) == 15
