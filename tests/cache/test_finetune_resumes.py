"""Fine-tuning goes on where it was stopped: kills, interruptions, full disks, another version of torch."""

import resource
import signal
from pathlib import Path

import pytest

from lymphofeat.cache import open_cache
from lymphofeat.cache.finetune import extract_finetuned
from lymphofeat.cache.trainings import encoders_folder, trainings_under_way
from lymphofeat.cohort.model import Cohort
from lymphofeat.errors import InputError
from lymphofeat.progress import Silent

from ..helpers.finetuned import ENCODER_FAMILY, SETTINGS, Heard, assert_same, leftovers
from ..helpers.killed import killed_runs, run


@pytest.mark.parametrize("broken", [True, False])
def test_another_torch_or_device_goes_on_with_what_is_there(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, broken: bool
) -> None:
    """Trained and waiting to be encoded, or begun, under one version; finished under another."""
    path = tmp_path / "c.h5"
    if broken:
        with pytest.raises(KeyboardInterrupt):
            extract_finetuned(cohort, path, SETTINGS, progress=Heard(encoders_folder(path)))
        assert list(trainings_under_way(path))
    else:
        extract_finetuned(cohort, path, SETTINGS)
        path.unlink()
    monkeypatch.setattr("torch.__version__", "9.9.9")
    heard = Heard()
    extract_finetuned(cohort, path, SETTINGS, progress=heard)
    assert bool(heard.epochs) == broken
    extract_finetuned(cohort, tmp_path / "whole" / "c.h5", SETTINGS)
    assert_same(path, tmp_path / "whole" / "c.h5")
    assert extract_finetuned(cohort, path, SETTINGS).n_before == 3


def test_an_unreadable_image_midway_loses_nothing(cohort: Cohort, tmp_path: Path) -> None:
    path = cohort.patients[6].images[0]
    good = path.read_bytes()
    path.write_bytes(good[: len(good) // 2])
    with pytest.raises(InputError, match=f"{path.name} cannot be decoded"):
        extract_finetuned(cohort, tmp_path / "c.h5", SETTINGS)
    assert not (tmp_path / "c.h5").exists()
    assert not list(encoders_folder(tmp_path / "c.h5").glob("*"))


@pytest.mark.slow
def test_ten_kills(cohort: Cohort, tmp_path: Path) -> None:
    killed_runs("finetuned", cohort, tmp_path, kills=10)


def test_what_a_killed_run_was_writing_is_removed(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    encoders_folder(path).mkdir()
    half_written = [
        tmp_path / ".c.h5.123.tmp",
        encoders_folder(path) / f".{ENCODER_FAMILY}-fold0.checkpoint.123.tmp",
    ]
    for file in half_written:
        file.write_bytes(b"half")
    extract_finetuned(cohort, path, SETTINGS)
    assert leftovers(tmp_path) == []


def test_an_interrupted_family_goes_on_with_the_same_bits(cohort: Cohort, tmp_path: Path) -> None:
    """Broken off again and again: each run gets an epoch further."""

    class Stop(Silent):
        def note(self, text: str) -> None:
            if "epoch" in text and "Training" not in text:
                self.seen = getattr(self, "seen", 0) + 1
                if self.seen == 2:  # the first epoch's checkpoint is written by now
                    raise KeyboardInterrupt

    path, runs, seen = tmp_path / "broken" / "c.h5", 0, 0
    while True:
        runs += 1
        try:
            extract_finetuned(cohort, path, SETTINGS, progress=Stop())
            break
        except KeyboardInterrupt:
            epochs = [state.epoch for _, state in trainings_under_way(path)]
            assert max(epochs, default=1) >= 1
            seen += len(epochs)
    assert runs > 2
    assert seen > 0
    assert not list(trainings_under_way(path))
    extract_finetuned(cohort, tmp_path / "whole" / "c.h5", SETTINGS)
    assert_same(path, tmp_path / "whole" / "c.h5")
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("limit", [100_000, 600_000])
def test_a_full_disk_leaves_nothing_half_written(cohort: Cohort, tmp_path: Path, limit: int) -> None:
    """At the pixels, at a checkpoint: by the size that a file may have."""

    def small_disk() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    path = tmp_path / "out" / "c.h5"
    process = run("finetuned", cohort.root, path, preexec_fn=small_disk)
    _, error = process.communicate()
    assert process.returncode != 0
    assert any(words in error.decode() for words in ("File too large", "disk is full", "No space left"))
    assert not path.exists()
    assert [name for name in leftovers(path.parent) if name.endswith(".tmp")] == []
    extract_finetuned(cohort, path, SETTINGS)  # when there is room again
    assert open_cache(path).default_encoder_family == ENCODER_FAMILY
