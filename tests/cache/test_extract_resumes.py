"""`extract` goes on where it was stopped: partial files, kills, power cuts, full disks."""

import errno
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from lymphofeat.cache import open_cache
from lymphofeat.cache.extract import extract_frozen
from lymphofeat.cohort.model import Cohort
from lymphofeat.errors import CacheError, InputError, StaleCacheError

from ..helpers.extracted import (
    NAME,
    SETTINGS,
    SLOW,
    change_image,
    change_label,
    features,
    interrupted,
    partial_of,
    remove_image,
    remove_patient,
)
from ..helpers.progress import Heard
from ..helpers.simulated import noise_cohort


@pytest.mark.parametrize(
    ("change", "kept"), [(change_label, 15), (change_image, 10), (remove_image, 14), (remove_patient, 10)]
)
def test_a_partial_file_goes_on_with_the_images_that_did_not_change(
    cohort, tmp_path, change, kept, monkeypatch
) -> None:
    """As after "replace or remove it": three blocks of five images, patient 2 has 9 to 12, patient 3 13 to 17."""
    path = tmp_path / "c.h5"
    interrupted(cohort, path, monkeypatch)
    changed = change(cohort)
    heard = Heard()
    summary = extract_frozen(changed, path, SETTINGS, progress=heard)
    assert (
        kept <= summary.n_before <= kept + 4
    )  # single images of a block that is computed again count as well
    if change in (change_image, remove_patient):
        assert any("images changed: 1" in n and "finished images of" in n for n in heard.notes)
    extract_frozen(changed, tmp_path / "fresh.h5", SETTINGS)
    np.testing.assert_array_equal(features(path), features(tmp_path / "fresh.h5"))
    assert open_cache(path).fingerprint == open_cache(tmp_path / "fresh.h5").fingerprint


def test_the_partial_file_of_another_cohort_is_refused(cohort, tmp_path, monkeypatch) -> None:
    path = tmp_path / "c.h5"
    interrupted(cohort, path, monkeypatch)
    before = partial_of(path).read_bytes()
    other = noise_cohort(tmp_path / "other", side=52)
    with pytest.raises(StaleCacheError, match="was begun with another cohort: 0 of the"):
        extract_frozen(other, path, SETTINGS)
    assert partial_of(path).read_bytes() == before


def test_an_undecodable_image_is_replaced_and_the_same_command_goes_on(cohort, tmp_path) -> None:
    path = cohort.patients[3].images[4]
    good = path.read_bytes()
    path.write_bytes(good[: len(good) // 2])
    with pytest.raises(InputError, match="replace or remove it"):
        extract_frozen(cohort, tmp_path / "c.h5", SETTINGS, workers=1)
    path.write_bytes(good)
    summary = extract_frozen(cohort, tmp_path / "c.h5", SETTINGS)
    # The fourth block of five holds the image; how many behind it are done by then, the machine decides.
    assert 15 <= summary.n_before < summary.n_images
    assert summary.n_before % 5 == 0
    extract_frozen(cohort, tmp_path / "whole.h5", SETTINGS)
    np.testing.assert_array_equal(features(tmp_path / "c.h5"), features(tmp_path / "whole.h5"))


def test_blocks_that_a_power_cut_tore_are_computed_again(cohort, tmp_path, monkeypatch) -> None:
    """Flags and rows reach the disk in any order: a flagged block may hold other bytes, or none."""
    path = tmp_path / "c.h5"
    interrupted(cohort, path, monkeypatch, after=4)
    with h5py.File(partial_of(path), "r+") as file:
        group = file["encoding"]
        group["features"][0:5] = 0
        group["features"][7, 3] += 1
        group["checks"][3] = 0
    heard = Heard()
    summary = extract_frozen(cohort, path, SETTINGS, progress=heard)
    assert summary.n_before == 5
    assert "2 blocks of" in heard.notes[0]
    assert "did not read back as written and are computed again" in heard.notes[0]
    extract_frozen(cohort, tmp_path / "whole.h5", SETTINGS)
    np.testing.assert_array_equal(features(path), features(tmp_path / "whole.h5"))


def test_a_partial_file_of_other_settings_is_refused(cohort, tmp_path, monkeypatch) -> None:
    path = tmp_path / "c.h5"
    interrupted(cohort, path, monkeypatch)
    with h5py.File(partial_of(path), "r+") as file:
        attrs = file["encoding"].attrs
        attrs["spec"] = attrs["spec"].replace('"crop": 40', '"crop": 42')
    with pytest.raises(
        StaleCacheError, match=r"begun with other settings \(preprocessing.crop: 42, now 40\)"
    ):
        extract_frozen(cohort, path, SETTINGS)


def test_an_interrupted_run_goes_on_with_the_same_bits(cohort, tmp_path, monkeypatch) -> None:
    interrupted(cohort, tmp_path / "c.h5", monkeypatch)
    assert not (tmp_path / "c.h5").exists()
    summary = extract_frozen(cohort, tmp_path / "c.h5", replace(SETTINGS, batch_size=8))
    assert summary.n_before == 15
    extract_frozen(cohort, tmp_path / "whole.h5", SETTINGS)
    np.testing.assert_array_equal(features(tmp_path / "c.h5"), features(tmp_path / "whole.h5"))


def test_an_unreadable_image_midway_loses_nothing(cohort: Cohort, tmp_path: Path) -> None:
    path = cohort.patients[6].images[0]
    good = path.read_bytes()
    path.write_bytes(good[: len(good) // 2])
    with pytest.raises(InputError, match=f"{path.name} cannot be decoded"):
        extract_frozen(cohort, tmp_path / "c.h5", SETTINGS, workers=1)
    assert not (tmp_path / "c.h5").exists()
    assert partial_of(tmp_path / "c.h5").exists()


RUN = """
import sys
from pathlib import Path
from lymphofeat.cache.extract import extract_frozen
from tests.helpers.extracted import SLOW
from tests.helpers.simulated import noise_cohort
extract_frozen(noise_cohort(Path(sys.argv[1]), images=int(sys.argv[3])), Path(sys.argv[2]), SLOW)
"""


def run(cohort: Path, cache: Path, images: int = 4, **options: object) -> "subprocess.Popen[bytes]":
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(cohort), str(cache), str(images)],
        cwd=root,
        stderr=subprocess.PIPE,
        **options,  # type: ignore[call-overload]
    )


def killed_runs(cohort: Cohort, tmp_path: Path, kills: int) -> None:
    """Kill `extract` at random moments after its partial file appears, then let it finish: the same bits.

    A run that was quicker than its kill is none: only those count that a signal ended with the work unfinished.
    """
    rng, name = random.Random(0), NAME.replace("small-cnn", "resnet18")
    extract_frozen(cohort, tmp_path / "whole.h5", SLOW)
    expected = features(tmp_path / "whole.h5", name)
    killed = attempts = 0
    while killed < kills:
        attempts += 1
        assert attempts <= 5 * kills, f"{killed} of {attempts - 1} runs were caught before they ended"
        path = tmp_path / f"c{attempts}" / "c.h5"
        process = run(cohort.root, path, len(cohort.patients[0].images))
        while process.poll() is None and not partial_of(path, name).exists():
            time.sleep(0.002)
        time.sleep(rng.random() * 0.25)
        process.send_signal(signal.SIGKILL)
        _, error = process.communicate()
        if process.returncode == 0 or path.exists():  # it was quicker than the kill
            np.testing.assert_array_equal(features(path, name), expected)
            continue
        assert process.returncode == -signal.SIGKILL, error.decode()
        assert partial_of(path, name).exists()
        killed += 1
        process = run(cohort.root, path, len(cohort.patients[0].images))
        _, error = process.communicate()
        assert process.returncode == 0, error.decode()
        np.testing.assert_array_equal(features(path, name), expected)
        shutil.rmtree(path.parent)


@pytest.mark.slow
def test_killed_and_resumed_is_bit_identical(cohort: Cohort, tmp_path: Path) -> None:
    killed_runs(cohort, tmp_path, kills=2)


@pytest.mark.slow
def test_ten_kills(tmp_path: Path) -> None:
    killed_runs(noise_cohort(tmp_path / "cohort", images=20), tmp_path, kills=10)


def test_a_full_disk_leaves_nothing_half_written(cohort: Cohort, tmp_path: Path) -> None:
    limit = 30_000  # bytes a file may have: less than the features need

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    process = run(cohort.root, tmp_path / "out" / "c.h5", preexec_fn=small_disk)
    _, error = process.communicate()
    assert process.returncode != 0
    assert "File too large" in error.decode()
    assert [p.name for p in (tmp_path / "out").iterdir() if not p.name.endswith(".lock")] == []


FILL_UP = """
import resource, sys
from dataclasses import replace
from pathlib import Path
from lymphofeat.cache.extract import extract_frozen
from lymphofeat.errors import CacheError
from tests.helpers.extracted import SETTINGS
from tests.helpers.simulated import noise_cohort
cohort, path = noise_cohort(Path(sys.argv[1]), images=20), Path(sys.argv[2])
extract_frozen(cohort, path, SETTINGS)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    extract_frozen(cohort, path, replace(SETTINGS, seed=1))
except CacheError as error:
    print(error)
print(sorted(p.name for p in path.parent.iterdir() if not p.name.endswith(".lock")))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(extract_frozen(cohort, path, replace(SETTINGS, seed=1)).n_before)
"""


def test_a_disk_that_fills_up_gets_a_sentence_and_loses_nothing(tmp_path: Path) -> None:
    """By the size that a file may have: too small for the data file of a new encoding."""
    whole, path = tmp_path / "whole.h5", tmp_path / "out" / "c.h5"
    cohort = noise_cohort(tmp_path / "cohort", images=20)
    extract_frozen(cohort, whole, SETTINGS)
    process = subprocess.run(
        [sys.executable, "-c", FILL_UP, str(cohort.root), str(path), str(features(whole).nbytes // 2)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    said, files, n_before = process.stdout.splitlines()
    assert re.fullmatch(r".* cannot be written \(File too large\): .*run the same command again\.", said)
    assert files == str(["c-encodings", "c.h5"])
    assert int(n_before) == 0
    np.testing.assert_array_equal(features(path), features(whole))
    assert len(open_cache(path).encodings) == 2


def test_a_disk_that_fills_up_at_the_index_keeps_the_features(cohort, tmp_path, monkeypatch) -> None:
    path = tmp_path / "c.h5"
    extract_frozen(cohort, path, SETTINGS)
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("lymphofeat.cache.writer.write_index", full)
        with pytest.raises(
            CacheError, match=r"No space left on device\): all features are kept in .*\.partial"
        ):
            extract_frozen(cohort, path, replace(SETTINGS, seed=1))
    assert path.read_bytes() == before
    summary = extract_frozen(cohort, path, replace(SETTINGS, seed=1))
    assert summary.n_before == summary.n_images
    assert len(open_cache(path).encodings) == 2
    assert len(list((tmp_path / "c-encodings").iterdir())) == 2
