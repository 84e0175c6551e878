import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lymphofeat.cache import open_cache
from lymphofeat.cache.extract import ExtractSettings, extract_frozen
from lymphofeat.cache.writer import partial_path
from lymphofeat.cohort.model import Cohort
from lymphofeat.errors import InputError, StaleCacheError

from ..helpers.drawn import noise_cohort

SETTINGS = ExtractSettings(
    weights="none", seed=0, crop=40, batch_size=5, n_folds=3, n_repeats=2, device="cpu"
)
NAME = "resnet18-random0-crop40"


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    return noise_cohort(tmp_path / "cohort")


def features(path: Path, name: str = NAME) -> np.ndarray:
    return np.array(open_cache(path).encodings[name].features)


def with_patient(cohort: Cohort, i: int, **changes: object) -> Cohort:
    patients = list(cohort.patients)
    patients[i] = replace(patients[i], **changes)  # type: ignore[arg-type]
    return replace(cohort, patients=tuple(patients))


def test_the_summary_and_the_file_agree(cohort: Cohort, tmp_path: Path) -> None:
    summary = extract_frozen(cohort, tmp_path / "c.h5", SETTINGS)
    cache = open_cache(tmp_path / "c.h5")
    assert (summary.n_images, summary.n_before, summary.dim) == (len(cohort.images), 0, 512)
    assert summary.untrained
    assert summary.rate > 0
    assert summary.encoding == NAME
    attrs = cache.encodings[NAME].attrs
    assert attrs["preprocessing"]["crop"] == 40
    assert attrs["weights"] == "untrained, random from seed 0"
    assert cache.tables.names == [p.name for p in cohort.images]
    assert cache.encodings[NAME].blind_to is None


def test_again_is_nothing_to_do(cohort: Cohort, tmp_path: Path) -> None:
    extract_frozen(cohort, tmp_path / "c.h5", SETTINGS)
    before = (tmp_path / "c.h5").read_bytes()
    summary = extract_frozen(cohort, tmp_path / "c.h5", SETTINGS)
    assert summary.n_before == summary.n_images
    assert (tmp_path / "c.h5").read_bytes() == before


def test_a_second_encoding_joins_the_first(cohort: Cohort, tmp_path: Path) -> None:
    extract_frozen(cohort, tmp_path / "c.h5", SETTINGS)
    first = features(tmp_path / "c.h5")
    summary = extract_frozen(cohort, tmp_path / "c.h5", replace(SETTINGS, seed=1, dtype="bfloat16"))
    assert 0 < summary.bfloat16_error < 0.02
    cache = open_cache(tmp_path / "c.h5")
    assert cache.default_family == "resnet18-random1-crop40-bfloat16"
    np.testing.assert_array_equal(features(tmp_path / "c.h5"), first)


def test_bfloat16_features_are_near_the_float32_ones(cohort: Cohort, tmp_path: Path) -> None:
    extract_frozen(cohort, tmp_path / "c.h5", SETTINGS)
    extract_frozen(cohort, tmp_path / "c.h5", replace(SETTINGS, dtype="bfloat16"))
    exact, rounded = features(tmp_path / "c.h5"), features(tmp_path / "c.h5", f"{NAME}-bfloat16")
    assert 0 < np.linalg.norm(exact - rounded) < 0.02 * np.linalg.norm(exact)


def change_label(cohort: Cohort) -> Cohort:
    return with_patient(cohort, 4, label=1)


def change_image(cohort: Cohort) -> Cohort:
    path = cohort.patients[2].images[1]
    Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    return cohort


def remove_image(cohort: Cohort) -> Cohort:
    return with_patient(cohort, 3, images=cohort.patients[3].images[1:])


def remove_patient(cohort: Cohort) -> Cohort:
    return replace(cohort, patients=cohort.patients[1:])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (change_label, "label of patient P4 was 0 and is 1 now"),
        (change_image, "image 000001.png is not the one it was"),
        (remove_image, "n_images of patient P3 was 5 and is 4 now"),
        (remove_patient, r"patients gone: \['P0'\]"),
    ],
)
@pytest.mark.parametrize("state", ["complete", "partial"])
def test_a_changed_cohort_is_refused(cohort, tmp_path, change, reason, state, monkeypatch) -> None:
    path = tmp_path / "c.h5"
    if state == "complete":
        extract_frozen(cohort, path, SETTINGS)
    else:
        interrupted(cohort, path, monkeypatch)
    kept = path if state == "complete" else partial_path(path, NAME)
    before = kept.read_bytes()
    changed = change(cohort)
    with pytest.raises(StaleCacheError, match=reason + ".*--cache to keep both, or --force"):
        extract_frozen(changed, path, SETTINGS)
    assert kept.read_bytes() == before
    extract_frozen(changed, path, SETTINGS, force=True)
    fresh = tmp_path / "fresh.h5"
    extract_frozen(changed, fresh, SETTINGS)
    np.testing.assert_array_equal(features(path), features(fresh))


def test_other_folds_are_refused(cohort: Cohort, tmp_path: Path) -> None:
    extract_frozen(cohort, tmp_path / "c.h5", SETTINGS)
    with pytest.raises(StaleCacheError, match="folds were drawn with another seed"):
        extract_frozen(cohort, tmp_path / "c.h5", replace(SETTINGS, fold_seed=1, seed=5))


def test_corrected_clinical_values_reach_the_cache_without_encoding_again(cohort, tmp_path) -> None:
    path = tmp_path / "c.h5"
    extract_frozen(cohort, path, SETTINGS)
    old = open_cache(path)
    summary = extract_frozen(with_patient(cohort, 1, count=99.5), path, SETTINGS)
    new = open_cache(path)
    assert summary.n_before == summary.n_images
    assert new.patients["count"].iloc[1] == 99.5
    assert new.fingerprint != old.fingerprint  # a study of the old values will notice
    assert new.encodings[NAME].digest == old.encodings[NAME].digest


def interrupted(cohort: Cohort, path: Path, monkeypatch: pytest.MonkeyPatch, after: int = 3) -> None:
    """Run `extract_frozen` until `after` blocks are written, and break it off there."""
    from lymphofeat.cache import extract

    written: list[int] = []
    plain = extract.PartialEncoding.write

    def write(self, block, features) -> None:  # type: ignore[no-untyped-def]
        if len(written) >= after:
            raise KeyboardInterrupt
        plain(self, block, features)
        written.append(block)

    with monkeypatch.context() as patch:
        patch.setattr(extract.PartialEncoding, "write", write)
        with pytest.raises(KeyboardInterrupt):
            extract_frozen(cohort, path, SETTINGS, workers=1)


def test_a_partial_file_of_other_settings_is_refused(cohort, tmp_path, monkeypatch) -> None:
    interrupted(cohort, tmp_path / "c.h5", monkeypatch)
    monkeypatch.setattr("torch.__version__", "9.9.9")
    with pytest.raises(StaleCacheError, match=r"begun with other settings \(torch: .*, now 9\.9\.9\)"):
        extract_frozen(cohort, tmp_path / "c.h5", SETTINGS)


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
    assert partial_path(tmp_path / "c.h5", NAME).exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"dtype": "float16"}, "use float32 or bfloat16"), ({"crop": 8}, "crop is 8; it must be at least 32"),
     ({"batch_size": 0}, "batch_size is 0"), ({"crop": 64}, "smaller than --crop 64"),
     ({"n_folds": 9}, "9 folds need at least 9 reactive persons")],
)  # fmt: skip
def test_impossible_settings_get_a_sentence(cohort, tmp_path, changes, message) -> None:
    with pytest.raises(InputError, match=message):
        extract_frozen(cohort, tmp_path / "c.h5", replace(SETTINGS, **changes))


RUN = """
import sys
from pathlib import Path
from lymphofeat.cache.extract import extract_frozen
from {module} import SETTINGS, noise_cohort
extract_frozen(noise_cohort(Path(sys.argv[1]), images=int(sys.argv[3])), Path(sys.argv[2]), SETTINGS)
"""


def run(cohort: Path, cache: Path, images: int = 4, **options: object) -> "subprocess.Popen[bytes]":
    code = RUN.format(module="tests.cache.test_extract")
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", code, str(cohort), str(cache), str(images)],
        cwd=root,
        stderr=subprocess.PIPE,
        **options,  # type: ignore[call-overload]
    )


def killed_runs(cohort: Cohort, tmp_path: Path, kills: int) -> None:
    """Kill `extract` at random moments after its partial file appears, then let it finish: the same bits."""
    rng = random.Random(0)
    extract_frozen(cohort, tmp_path / "whole.h5", SETTINGS)
    expected = features(tmp_path / "whole.h5")
    killed = 0
    while killed < kills:
        path = tmp_path / f"c{killed}" / "c.h5"
        process = run(cohort.root, path, len(cohort.patients[0].images))
        while process.poll() is None and not partial_path(path, NAME).exists():
            time.sleep(0.002)
        time.sleep(rng.random() * 0.25)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += 1
        if path.exists():
            np.testing.assert_array_equal(features(path), expected)  # it was quicker than the kill
        process = run(cohort.root, path, len(cohort.patients[0].images))
        _, error = process.communicate()
        assert process.returncode == 0, error.decode()
        np.testing.assert_array_equal(features(path), expected)
        shutil.rmtree(path.parent)


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
