import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from lymphofeat.cache import changes, extract, layout, open_cache
from lymphofeat.cache.extract import ExtractSettings, extract_frozen
from lymphofeat.cache.layout import make_folds
from lymphofeat.cache.writer import partial_path
from lymphofeat.cohort.model import Cohort
from lymphofeat.errors import InputError, StaleCacheError
from lymphofeat.progress import Silent

from ..helpers.simulated import noise_cohort

SETTINGS = ExtractSettings(
    backbone="small-cnn", weights="none", seed=0, crop=40, batch_size=5, n_folds=3, n_repeats=2, device="cpu"
)
SLOW = replace(SETTINGS, backbone="resnet18")  # enough so to be caught by a signal
EMULATED = replace(SETTINGS, dtype="bfloat16", emulate_bfloat16=True)
NAME = "small-cnn-random0-crop40"


class Heard(Silent):
    """Keeps what a run says."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


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
    assert (summary.n_images, summary.n_before, summary.dim) == (len(cohort.images), 0, 128)
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
    summary = extract_frozen(cohort, tmp_path / "c.h5", replace(EMULATED, seed=1))
    assert 0 < summary.bfloat16_error < 0.02
    cache = open_cache(tmp_path / "c.h5")
    assert cache.default_encoder_family == "small-cnn-random1-crop40-bfloat16"
    np.testing.assert_array_equal(features(tmp_path / "c.h5"), first)


def test_bfloat16_features_are_near_the_float32_ones(cohort: Cohort, tmp_path: Path) -> None:
    extract_frozen(cohort, tmp_path / "c.h5", SETTINGS)
    extract_frozen(cohort, tmp_path / "c.h5", EMULATED)
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
def test_a_changed_cohort_is_refused(cohort, tmp_path, change, reason) -> None:
    path = tmp_path / "c.h5"
    extract_frozen(cohort, path, SETTINGS)
    before = path.read_bytes()
    changed = change(cohort)
    with pytest.raises(StaleCacheError, match=reason + ".*--cache to keep both, or --force"):
        extract_frozen(changed, path, SETTINGS)
    assert path.read_bytes() == before
    extract_frozen(changed, path, SETTINGS, force=True)
    fresh = tmp_path / "fresh.h5"
    extract_frozen(changed, fresh, SETTINGS)
    np.testing.assert_array_equal(features(path), features(fresh))


@pytest.mark.parametrize(
    ("change", "kept"), [(change_label, 3), (change_image, 2), (remove_image, 2), (remove_patient, 0)]
)
def test_a_partial_file_goes_on_with_the_blocks_that_did_not_change(
    cohort, tmp_path, change, kept, monkeypatch
) -> None:
    """As after "replace or remove it": of three blocks of five images, patient 2 has 9 to 12, patient 3 13 to 17."""
    path = tmp_path / "c.h5"
    interrupted(cohort, path, monkeypatch)
    changed = change(cohort)
    heard = Heard()
    summary = extract_frozen(changed, path, SETTINGS, progress=heard)
    assert summary.n_before == kept * SETTINGS.batch_size
    assert len([n for n in heard.notes if f"images changed: {3 - kept} of 3 finished blocks" in n]) == (
        kept < 3
    )
    extract_frozen(changed, tmp_path / "fresh.h5", SETTINGS)
    np.testing.assert_array_equal(features(path), features(tmp_path / "fresh.h5"))
    assert open_cache(path).fingerprint == open_cache(tmp_path / "fresh.h5").fingerprint


def test_the_partial_file_of_another_cohort_is_refused(cohort, tmp_path, monkeypatch) -> None:
    path = tmp_path / "c.h5"
    interrupted(cohort, path, monkeypatch)
    before = partial_path(path, NAME).read_bytes()
    other = noise_cohort(tmp_path / "other", side=52)
    with pytest.raises(StaleCacheError, match=r"another state of the cohort: image 000000\.png is not"):
        extract_frozen(other, path, SETTINGS)
    assert partial_path(path, NAME).read_bytes() == before


def test_an_undecodable_image_is_replaced_and_the_same_command_goes_on(cohort, tmp_path) -> None:
    path = cohort.patients[3].images[4]
    good = path.read_bytes()
    path.write_bytes(good[: len(good) // 2])
    with pytest.raises(InputError, match="replace or remove it"):
        extract_frozen(cohort, tmp_path / "c.h5", SETTINGS, workers=1)
    path.write_bytes(good)
    summary = extract_frozen(cohort, tmp_path / "c.h5", SETTINGS)
    assert summary.n_before in (15, 20)  # the fourth block holds the image, the fifth may have been under way
    extract_frozen(cohort, tmp_path / "whole.h5", SETTINGS)
    np.testing.assert_array_equal(features(tmp_path / "c.h5"), features(tmp_path / "whole.h5"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"fold_seed": 1, "seed": 5}, r"folds were made with another seed \(0, now 1\)"),
     ({"n_folds": 4}, r"folds were made with another number of folds \(3, now 4\)"),
     ({"n_repeats": 4}, r"folds were made with another number of repeats \(2, now 4\)")],
)  # fmt: skip
def test_other_folds_are_refused(cohort: Cohort, tmp_path: Path, changes: dict, reason: str) -> None:
    extract_frozen(cohort, tmp_path / "c.h5", SETTINGS)
    with pytest.raises(StaleCacheError, match=reason):
        extract_frozen(cohort, tmp_path / "c.h5", replace(SETTINGS, **changes))


def test_a_corrected_date_of_birth_that_joins_two_records_is_named(cohort: Cohort, tmp_path: Path) -> None:
    extract_frozen(cohort, tmp_path / "c.h5", SETTINGS)
    twin = with_patient(cohort, 5, birth=cohort.patients[3].birth)
    with pytest.raises(
        StaleCacheError, match="date of birth of patient P5 was 1955-01-02 and is 1953-01-02 now, which"
    ):
        extract_frozen(twin, tmp_path / "c.h5", SETTINGS)
    alone = with_patient(cohort, 5, birth=date(1931, 4, 5))
    summary = extract_frozen(alone, tmp_path / "c.h5", SETTINGS)  # nobody's folds change
    assert summary.n_before == summary.n_images
    assert open_cache(tmp_path / "c.h5").patients["birth"].iloc[5] == "1931-04-05"


def test_folds_drawn_by_another_version_stay_in_use(cohort, tmp_path, monkeypatch) -> None:
    """As when scikit-learn, or the rule for who may be one person, changes."""
    path = tmp_path / "c.h5"
    extract_frozen(cohort, path, SETTINGS)
    before = open_cache(path)
    monkeypatch.setattr(
        extract, "draw_folds", lambda *args: make_folds(*args[:3], seed=99)[:, ::-1].astype(np.int8)
    )
    assert not np.array_equal(extract.make_folds(before.tables.patients, 3, 2, 0), before.folds)
    extract_frozen(with_patient(cohort, 1, count=99.5), path, SETTINGS)
    extract_frozen(cohort, path, replace(SETTINGS, seed=1))
    cache = open_cache(path)
    assert len(cache.encodings) == 2
    np.testing.assert_array_equal(cache.folds, before.folds)


def test_folds_that_part_one_person_do_not_stay(cohort, tmp_path, monkeypatch) -> None:
    path = tmp_path / "c.h5"
    extract_frozen(cohort, path, SETTINGS)
    folds = open_cache(path).folds[:, 0]
    other = next(i for i in range(1, 12) if folds[i] != folds[0])

    def persons(table: pd.DataFrame) -> np.ndarray:
        number = np.arange(len(table))
        number[other] = 0
        return number

    monkeypatch.setattr(changes, "persons", persons)
    monkeypatch.setattr(layout, "persons", persons)
    with pytest.raises(StaleCacheError, match=f"patients P0 and P{other} may be one person"):
        extract_frozen(cohort, path, SETTINGS)


def test_another_reference_date_of_ages_is_not_mixed_in(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    extract_frozen(cohort, path, SETTINGS)
    assert open_cache(path).tables.reference == "2020-01-01"
    later = replace(cohort, reference=date(2024, 6, 1))
    with pytest.raises(
        StaleCacheError, match="ages counted to 2020-01-01, and here they are counted to 2024-06-01"
    ):
        extract_frozen(later, path, replace(SETTINGS, seed=1))
    extract_frozen(later, path, replace(SETTINGS, seed=1), force=True)
    cache = open_cache(path)
    assert cache.tables.reference == "2024-06-01"
    assert len(cache.encodings) == 2


def test_a_cache_without_a_reference_date_opens_and_is_given_one(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    extract_frozen(cohort, path, SETTINGS)
    with h5py.File(path, "r+") as file:
        del file.attrs["age_reference"]
    assert open_cache(path).tables.reference == ""
    summary = extract_frozen(cohort, path, SETTINGS)
    assert summary.n_before == summary.n_images
    assert open_cache(path).tables.reference == "2020-01-01"


def test_force_over_corrected_labels_keeps_what_saw_none(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    extract_frozen(cohort, path, SETTINGS)
    before = open_cache(path)
    extract_frozen(change_label(cohort), path, replace(SETTINGS, seed=1), force=True)
    cache = open_cache(path)
    assert cache.encodings[NAME].digest == before.encodings[NAME].digest
    assert cache.default_encoder_family == "small-cnn-random1-crop40"
    extract_frozen(remove_patient(cohort), path, replace(SETTINGS, seed=1), force=True)
    assert list(open_cache(path).encodings) == ["small-cnn-random1-crop40"]


def test_another_torch_or_device_makes_nothing_stale(cohort, tmp_path, monkeypatch) -> None:
    path = tmp_path / "c.h5"
    interrupted(cohort, path, monkeypatch)
    before = str(torch.__version__)
    monkeypatch.setattr("torch.__version__", "9.9.9")
    summary = extract_frozen(cohort, path, SETTINGS)
    assert summary.n_before == 15
    encoding = open_cache(path).encodings[NAME]
    assert encoding.attrs["torch"] == before
    assert encoding.made["finished_with"]["torch"] == "9.9.9"
    with h5py.File(path, "r+") as file:  # as an accelerator would have made it
        attrs = file[f"encodings/{NAME}"].attrs
        attrs["spec"] = attrs["spec"].replace('"device": "cpu"', '"device": "cuda"')
    assert open_cache(path).encodings[NAME].attrs["device"] == "cuda"
    summary = extract_frozen(cohort, path, SETTINGS)
    assert summary.n_before == summary.n_images


def test_blocks_that_a_power_cut_tore_are_computed_again(cohort, tmp_path, monkeypatch) -> None:
    """Flags and rows reach the disk in any order: a flagged block may hold other bytes, or none."""
    path = tmp_path / "c.h5"
    interrupted(cohort, path, monkeypatch, after=4)
    with h5py.File(partial_path(path, NAME), "r+") as file:
        group = file[f"encodings/{NAME}"]
        group["features"][0:5] = 0
        group["features"][7, 3] += 1
        group["checks"][3] = 0
    heard = Heard()
    summary = extract_frozen(cohort, path, SETTINGS, progress=heard)
    assert summary.n_before == 5
    assert "3 blocks of" in heard.notes[0]
    assert "did not read back as written and are computed again" in heard.notes[0]
    extract_frozen(cohort, tmp_path / "whole.h5", SETTINGS)
    np.testing.assert_array_equal(features(path), features(tmp_path / "whole.h5"))
    with h5py.File(path) as file:
        assert sorted(file[f"encodings/{NAME}"]) == ["done", "features"]


def test_a_partial_file_without_checksums_goes_on_and_its_empty_blocks_are_computed(
    cohort, tmp_path, monkeypatch
) -> None:
    """As version 0.1 left it."""
    path = tmp_path / "c.h5"
    interrupted(cohort, path, monkeypatch, after=4)
    with h5py.File(partial_path(path, NAME), "r+") as file:
        group = file[f"encodings/{NAME}"]
        del group["checks"]
        group["features"][8] = 0
        group["features"][12, 5] = np.nan
    summary = extract_frozen(cohort, path, SETTINGS)
    assert summary.n_before == 10
    extract_frozen(cohort, tmp_path / "whole.h5", SETTINGS)
    np.testing.assert_array_equal(features(path), features(tmp_path / "whole.h5"))


def test_bfloat16_is_float32_where_the_machine_has_none(cohort, tmp_path, monkeypatch) -> None:
    path = tmp_path / "c.h5"
    monkeypatch.setattr(extract, "has_fast_bfloat16", lambda device: False)
    heard = Heard()
    assert extract_frozen(cohort, path, replace(SETTINGS, dtype="bfloat16"), progress=heard).encoding == NAME
    assert "no bfloat16 instructions" in heard.notes[0]
    assert "--emulate-bfloat16 insists" in heard.notes[0]
    assert open_cache(path).encodings[NAME].attrs["dtype"] == "float32"
    again = extract_frozen(cohort, path, replace(SETTINGS, dtype="bfloat16"))
    assert again.n_before == again.n_images
    insisted = extract_frozen(cohort, path, EMULATED)
    assert insisted.encoding == f"{NAME}-bfloat16"
    assert insisted.slow_bfloat16
    assert open_cache(path).encodings[insisted.encoding].attrs["dtype"] == "bfloat16"
    there = extract_frozen(cohort, path, replace(SETTINGS, dtype="bfloat16"))  # as of a machine that has it
    assert (there.encoding, there.n_before) == (insisted.encoding, there.n_images)


def test_bfloat16_is_bfloat16_where_the_machine_has_it(cohort, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(extract, "has_fast_bfloat16", lambda device: True)
    summary = extract_frozen(cohort, tmp_path / "c.h5", replace(SETTINGS, dtype="bfloat16"))
    assert summary.encoding == f"{NAME}-bfloat16"
    assert not summary.slow_bfloat16


def test_corrected_clinical_values_reach_the_cache_without_encoding_again(cohort, tmp_path) -> None:
    path = tmp_path / "c.h5"
    extract_frozen(cohort, path, SETTINGS)
    old = open_cache(path)
    summary = extract_frozen(with_patient(cohort, 1, count=99.5), path, SETTINGS)
    new = open_cache(path)
    assert summary.n_before == summary.n_images
    assert new.patients["lymphocyte_count"].iloc[1] == 99.5
    assert new.fingerprint != old.fingerprint  # a study of the old values will notice
    assert new.encodings[NAME].digest == old.encodings[NAME].digest


def interrupted(cohort: Cohort, path: Path, monkeypatch: pytest.MonkeyPatch, after: int = 3) -> None:
    """Run `extract_frozen` until `after` blocks are written, and break it off there."""
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
    path = tmp_path / "c.h5"
    interrupted(cohort, path, monkeypatch)
    with h5py.File(partial_path(path, NAME), "r+") as file:
        attrs = file[f"encodings/{NAME}"].attrs
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
from {module} import SLOW, noise_cohort
extract_frozen(noise_cohort(Path(sys.argv[1]), images=int(sys.argv[3])), Path(sys.argv[2]), SLOW)
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
        while process.poll() is None and not partial_path(path, name).exists():
            time.sleep(0.002)
        time.sleep(rng.random() * 0.25)
        process.send_signal(signal.SIGKILL)
        _, error = process.communicate()
        if process.returncode == 0 or path.exists():  # it was quicker than the kill
            np.testing.assert_array_equal(features(path, name), expected)
            continue
        assert process.returncode == -signal.SIGKILL, error.decode()
        assert partial_path(path, name).exists()
        killed += 1
        process = run(cohort.root, path, len(cohort.patients[0].images))
        _, error = process.communicate()
        assert process.returncode == 0, error.decode()
        np.testing.assert_array_equal(features(path, name), expected)
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


FILL_UP = """
import resource, sys
from dataclasses import replace
from pathlib import Path
from lymphofeat.cache.extract import extract_frozen
from lymphofeat.errors import CacheError
from tests.cache.test_extract import SETTINGS, noise_cohort
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


@pytest.mark.parametrize("fits", ["nothing", "the features"])
def test_a_disk_that_fills_up_gets_a_sentence_and_loses_nothing(tmp_path: Path, fits: str) -> None:
    """By the size that a file may have: too small for a new encoding, or only for the cache with both."""
    whole, path = tmp_path / "whole.h5", tmp_path / "out" / "c.h5"
    cohort = noise_cohort(tmp_path / "cohort", images=20)
    extract_frozen(cohort, whole, SETTINGS)
    one, features_alone = whole.stat().st_size, features(whole).nbytes
    limit = one + features_alone // 2 if fits == "the features" else one - features_alone // 2
    process = subprocess.run(
        [sys.executable, "-c", FILL_UP, str(cohort.root), str(path), str(limit)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    said, files, n_before = process.stdout.splitlines()
    assert re.fullmatch(r".* cannot be written \(File too large\): .*run the same command again\.", said)
    begun = ["c.h5.small-cnn-random1-crop40.partial"] if fits == "the features" else []
    assert files == str(["c.h5", *begun])
    assert int(n_before) == (len(cohort.images) if begun else 0)
    np.testing.assert_array_equal(features(path), features(whole))
    assert len(open_cache(path).encodings) == 2
