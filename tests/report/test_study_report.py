"""What the terminal shows of a study: every number with its interval and what it was measured on."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from lymphofeat.final import submit
from lymphofeat.final.selected_model import selection_sentence
from lymphofeat.report.study import render_study, render_submission
from lymphofeat.studies import load_study, tune
from lymphofeat.studies.describe import describe_head, describe_heads
from lymphofeat.studies.space import Space

from ..helpers.caches import frozen_cache


def text(width: int = 80) -> tuple[Console, io.StringIO]:
    buffer = io.StringIO()
    return Console(file=buffer, width=width, highlight=False), buffer


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("made")
    cache = frozen_cache(folder / "c.h5")
    tune(cache, folder / "s.db", n_trials=8, heads=["lda", "logistic"])
    return cache, folder / "s.db"


def test_study(made: tuple[Path, Path]) -> None:
    console, buffer = text(80)
    summary = load_study(made[1])
    render_study(summary, console)
    shown = buffer.getvalue()
    rows = {"balanced_accuracy": "balanced accuracy", "auc": "AUC", "average_precision": "average precision"}
    for metric, row in (rows | {"log_loss": "log loss ↓", "brier": "Brier score ↓"}).items():
        line = next(part for part in shown.splitlines() if part.startswith(f"{row} "))
        places: list[int] = []
        for trial in (summary.best, summary.best_clinical, summary.best_image):
            assert trial is not None
            interval = trial.intervals[metric]
            said = f"{interval.value:.3f} ({interval.low:.2f}–{interval.high:.2f})"
            places.append(
                line.index(said, places[-1] + 1 if places else 0)
            )  # the best may be the best on images
    flat = " ".join(shown.split())
    assert "Measured on 40 labelled patients" in flat
    assert " ".join(summary.caveat.split()) in flat
    assert f"AUC {summary.best.fold_sd['auc']:.3f}" in flat
    assert selection_sentence(summary, summary.selected) in flat
    chosen = [trial for trial, _ in summary.selected.members]
    assert len(chosen) > 1
    assert describe_heads(chosen) in flat
    assert max(map(len, shown.splitlines())) <= 80


def test_controls_not_tried_are_said_to_be_so(made: tuple[Path, Path], tmp_path: Path) -> None:
    console, buffer = text(400)
    render_study(tune(made[0], tmp_path / "one.db", n_trials=1, heads=["logistic"]), console)
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
    assert summary.model.caveat in shown
    assert summary.model.reason in shown


def test_the_best_of_each_head_type_is_shown_with_its_difference(made: tuple[Path, Path]) -> None:
    console, buffer = text(80)
    summary = load_study(made[1])
    render_study(summary, console)
    lines = buffer.getvalue().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("best of each head type"))
    board = lines[start + 1 : start + 3]
    assert [line.split()[0] for line in board] == [entry.head_type for entry in summary.leaderboard]
    assert {entry.head_type for entry in summary.leaderboard} == {"lda", "logistic"}
    assert board[0].split()[1:3] == [str(summary.leaderboard[0].n_trials), str(summary.best.number)]
    difference = summary.difference(summary.leaderboard[1].trial)
    shown = f"{difference.value:+.3f} ({difference.low:+.2f} to {difference.high:+.2f})".replace("-", "−")
    assert shown in board[1]
    assert difference.value <= 0
    assert any(line.startswith("Next: 8 trials are too few") for line in lines)
    assert any(line.startswith("Parameter importance needs 50 complete trials; with 8 ") for line in lines)


def test_heads_in_words(made: tuple[Path, Path]) -> None:
    first = Space.of(["logistic"]).default_params()
    best = load_study(made[1]).best
    clinical = describe_head(replace(best, params=first[0], inputs="clinical"))
    assert clinical.startswith("logistic on age, sex, count: ")
    assert "C 1" in clinical
    params = first[2] | {"logistic.C": 0.012345, "logistic.class_weight": "balanced", "logistic.scale": False}
    both = replace(best, params=params, inputs="both")
    words = describe_head(both)
    assert words.startswith("logistic on images, age, sex, count: ")
    assert all(part in words for part in ("C 0.0123", "class weight balanced", "scale no"))
    assert "shortcut" not in words
    bag_size = describe_head(replace(best, params=params | {"logistic.bag_size": True}, inputs="both"))
    assert bag_size.endswith("; it uses the number of images, a shortcut")
    image = replace(best, params={"family": "lda"}, inputs="image")
    several = "logistic × 2, lda × 1; 2 on images, age, sex, count, 1 on images"
    assert describe_heads([both, image, both]) == several
    sized = replace(both, params=params | {"logistic.bag_size": True})
    assert (
        describe_heads([both, image, sized]) == f"{several}; 1 of them with the number of images, a shortcut"
    )
