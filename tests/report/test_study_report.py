"""What the terminal shows of a study: every number with its interval and what it was measured on."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from lymphofeat.report.study import describe_head, render_study, render_submission
from lymphofeat.studies import load_study, submit, tune

from ..helpers.caches import frozen_cache


def text(width: int = 80) -> tuple[Console, io.StringIO]:
    buffer = io.StringIO()
    return Console(file=buffer, width=width, highlight=False), buffer


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("made")
    cache = frozen_cache(folder / "c.h5")
    tune(cache, folder / "s.db", trials=7)
    return cache, folder / "s.db"


def test_study(made: tuple[Path, Path]) -> None:
    console, buffer = text(80)
    summary = load_study(made[1])
    render_study(summary, console)
    shown = buffer.getvalue()
    for metric, row in (
        ("balanced_accuracy", "balanced accuracy"),
        ("auc", "AUC"),
        ("log_loss", "log loss ↓"),
    ):
        line = next(part for part in shown.splitlines() if part.startswith(f"{row} "))
        places = []
        for trial in (summary.best, summary.best_clinical, summary.best_image):
            assert trial is not None
            interval = trial.intervals[metric]
            places.append(line.index(f"{interval.value:.3f} ({interval.low:.2f}–{interval.high:.2f})"))
        assert places == sorted(places)
    flat = " ".join(shown.split())
    assert "Measured on 40 labelled patients" in flat
    assert " ".join(summary.caveat.split()) in flat
    assert f"AUC {summary.best.fold_sd['auc']:.3f}" in flat
    assert max(map(len, shown.splitlines())) <= 80


def test_controls_not_tried_are_said_to_be_so(made: tuple[Path, Path], tmp_path: Path) -> None:
    console, buffer = text(400)
    render_study(tune(made[0], tmp_path / "one.db", trials=1), console)
    assert "1 finished trial\n" in buffer.getvalue()
    assert "not tried" in buffer.getvalue()


def test_submission(made: tuple[Path, Path], tmp_path: Path) -> None:
    console, buffer = text(400)
    summary = submit(*made, tmp_path / "[sub].csv", probabilities=True)
    render_submission(summary, console)
    shown = buffer.getvalue()
    assert f"[sub].csv: 6 test patients, {int(summary.predicted.sum())} called malignant" in shown
    assert "[sub]-probabilities.csv" in shown
    assert "fitted once on all 40 labelled patients" in shown
    assert summary.study.caveat in shown


def test_heads_in_words() -> None:
    params = {"inputs": "both", "C": 0.01234, "class_weight": "balanced", "pooling": "max", "scale": True}
    assert describe_head(params | {"reduce": "pca", "components": 7}) == (
        "max pooling → unit variance → PCA 7 → with age, sex, log count → "
        "logistic regression (C 0.0123, balanced classes)"
    )
    assert describe_head({"inputs": "clinical", "C": 1.0, "class_weight": "none"}) == (
        "age, sex, log count → logistic regression (C 1)"
    )
