"""Adapting goes on where it was stopped: interruptions, kills, a network that waits to be encoded."""

import io
from dataclasses import replace
from pathlib import Path

import pytest

from lymphofeat.cache.adapt import extract_adapted
from lymphofeat.cache.pack import pack
from lymphofeat.cache.trainings import encoders_folder, trainings_under_way
from lymphofeat.cohort.model import Cohort
from lymphofeat.errors import StaleCacheError
from lymphofeat.report.cache import render_trainings
from lymphofeat.report.printing import terminal

from ..helpers.adapted import NAME, SETTINGS, with_labels
from ..helpers.finetuned import BASE, Heard, assert_same, leftovers
from ..helpers.killed import killed_runs


def test_an_interrupted_run_goes_on_from_its_last_epoch_whatever_the_labels_are_by_then(
    cohort: Cohort, tmp_path: Path
) -> None:
    path = tmp_path / "broken" / "c.h5"
    with pytest.raises(KeyboardInterrupt):
        extract_adapted(cohort, path, SETTINGS, progress=Heard(encoders_folder(path)))
    waiting = list(trainings_under_way(path))
    assert [(file.stem, state.epoch) for file, state in waiting] == [(NAME, 1)]
    said = io.StringIO()
    render_trainings(waiting, terminal(said))
    assert f"{NAME}: in training, 1 epoch done, the last with loss " in " ".join(said.getvalue().split())
    with pytest.raises(StaleCacheError, match="seed: 0, now 3"):
        extract_adapted(cohort, path, replace(SETTINGS, name=NAME, extract=replace(BASE, seed=3)))
    heard = Heard()
    corrected = with_labels(cohort, [1, 1] + [0, 1] * 5)
    extract_adapted(corrected, path, SETTINGS, progress=heard)
    assert len(heard.epochs) == 1
    extract_adapted(cohort, tmp_path / "whole" / "c.h5", SETTINGS)
    assert_same(path, tmp_path / "whole" / "c.h5")
    assert leftovers(tmp_path) == []


def test_a_network_that_was_trained_only_has_to_encode(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    extract_adapted(cohort, path, SETTINGS)
    pack(path, tmp_path / "before.h5")
    path.unlink()
    heard = Heard()
    extract_adapted(cohort, path, SETTINGS, progress=heard)
    assert heard.epochs == []
    assert_same(path, tmp_path / "before.h5")


@pytest.mark.slow
def test_four_kills(cohort: Cohort, tmp_path: Path) -> None:
    killed_runs("adapted", cohort, tmp_path, kills=4)
