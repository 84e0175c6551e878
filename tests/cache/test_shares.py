"""`extract` as an array of tasks: the same bits, in whatever order and however often tasks are given."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from lymphofeat import extract, open_cache
from lymphofeat.cache import partial
from lymphofeat.cache.data_file import DataFile
from lymphofeat.cache.disk import clean, disk_use
from lymphofeat.cache.layout import DATA_GROUP
from lymphofeat.cache.shares import share_files, task_place
from lymphofeat.cohort.model import Cohort
from lymphofeat.errors import CacheError, InputError, StaleCacheError
from lymphofeat.storage.locks import locked
from lymphofeat.synthetic.cohort import SimulationSettings, simulate_cohort

from ..helpers.commands import Run, runner
from ..helpers.extracted import has_bfloat16, some
from ..helpers.finetuned import assert_same
from ..helpers.simulated import noise_cohort
from ..helpers.tasks import finish_with_kills

ANY: dict[str, Any] = {
    "weights": "none", "seed": 0, "batch_size": 5, "n_folds": 3, "device": "cpu", "dtype": "float32", "workers": 1,
}  # fmt: skip
FROZEN = ANY | {"frozen": True, "backbone": "small-cnn", "crop": 40}
NAME = "small-cnn-random0-crop40"
TUNED = ANY | {"finetune": True, "recipe": "pooled-small-cnn", "epochs": 1, "crop": 32}
ADAPTED = ANY | {"adapt": True, "backbone": "small-cnn", "epochs": 2, "crop": 32}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return noise_cohort(tmp_path_factory.mktemp("cohort"))


@pytest.fixture(scope="module")
def alone(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("alone") / "c.h5"
    extract(cohort, path, **FROZEN)
    return path


def rows_of(path: Path, name: str = NAME) -> list[bytes]:
    """The features of an encoding, and the digest that the cache keeps of them."""
    encoding = open_cache(path).encodings[name]
    return [np.asarray(encoding.features).tobytes(), encoding.digest.encode()]


def test_tasks_in_any_order_and_a_last_call_give_the_same_bits(
    cohort: Cohort, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c.h5"
    shares = {i: extract(cohort, path, task=(i, 4), **FROZEN).share for i in (3, 1, 4, 2)}
    assert not path.exists()
    assert [share.n_patients for share in shares.values() if share] == [4, 4, 3, 4]
    assert sum(share.n_images for share in shares.values() if share) == len(cohort.images)
    assert repr(shares[3]) == f"<ExtractionShare 3 of 4: {NAME}, {shares[3] and shares[3].n_images} images>"
    files = share_files(path, NAME)
    assert len(files) == 4
    assert {item.kind for item in disk_use(path) if item.path in files} == {"unfinished"}
    assert not [item for item in clean(path) if item.path in files]  # without `unfinished`
    with monkeypatch.context() as patch:
        patch.setattr(partial.PartialEncoding, "write", None)  # nothing is computed again
        again = extract(cohort, path, task=(3, 4), **FROZEN).share
        assert again is not None
        assert again.n_before == again.n_images
        other = extract(
            cohort, path, task=(1, 2), **FROZEN
        ).share  # of another number: it knows what is there
        assert other is not None
        assert other.n_before == other.n_images > again.n_images
        found = extract(cohort, path, **FROZEN)
    assert found.frozen is not None
    assert found.frozen.n_before == len(cohort.images)
    assert_same(path, alone)
    assert rows_of(path) == rows_of(alone)
    assert not [p.name for p in tmp_path.iterdir() if "task" in p.name]


def test_what_is_missing_damaged_or_of_patients_that_came_is_computed(
    cohort: Cohort, alone: Path, tmp_path: Path
) -> None:
    path, fewer = tmp_path / "c.h5", some(cohort, list(range(12)))
    extract(fewer, path, task=(2, 3), **FROZEN)
    extract(fewer, path, **FROZEN)
    new = extract(cohort, path, task=(1, 2), **FROZEN).share  # the cache knows all but three patients' images
    assert new is not None
    assert 0 < new.n_images - new.n_before < 12
    (file,) = share_files(path, NAME)
    with h5py.File(file) as opened:
        place = DataFile.read(file, opened[DATA_GROUP]).places["features"]
    content = bytearray(file.read_bytes())
    content[place] ^= 1  # the first block fails its checksum, and is computed again
    file.write_bytes(content)
    left = extract(cohort, path, **FROZEN).frozen
    assert left is not None
    assert left.n_before < len(cohort.images)
    assert_same(path, alone)


def test_measured_cells_are_the_same_and_a_task_reads_its_own_files_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = SimulationSettings(patients=8, seed=5, size=64, images_range=(2, 3))
    folder = simulate_cohort(tmp_path / "cohort", spec)
    options: dict[str, Any] = {"n_folds": 2, "workers": 1}
    read: list[Path] = []
    plain = Path.read_bytes

    def counting(path: Path) -> bytes:
        if path.suffix == ".jpg":
            read.append(path)
        return plain(path)

    path, whole = tmp_path / "c.h5", tmp_path / "whole.h5"
    extract(folder, whole, **options)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", counting)
        for task in ((2, 2), (1, 2)):
            extract(folder, path, task=task, **options)
    assert set(Counter(read).values()) == {2}  # by one task only: for the digest, and to decode
    assert len(set(read)) == open_cache(whole).tables.n_images
    extract(folder, path, **options)
    assert rows_of(path, "morphology") == rows_of(whole, "morphology")


def test_a_task_is_held_by_one_process_and_the_last_call_waits_for_none(
    cohort: Cohort, tmp_path: Path
) -> None:
    path = tmp_path / "c.h5"
    with locked(task_place(path, NAME, (1, 3)), CacheError):
        for how in ({"task": (1, 3)}, {}):
            with pytest.raises(CacheError, match=rf"{NAME}\.task-1-of-3 is being written by another process"):
                extract(cohort, path, **how, **FROZEN)
        assert extract(cohort, path, task=(2, 3), **FROZEN).share
    empty = extract(cohort, path, task=(20, 20), **FROZEN).share
    assert empty is not None
    assert empty.encodings == ()
    extract(cohort, path, **FROZEN)
    assert not list(tmp_path.glob(".*task*"))


def test_what_tasks_cannot_agree_on_is_refused(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c.h5"
    with pytest.raises(InputError, match="no task 4 of 3: tasks are counted from 1"):
        extract(cohort, path, task=(4, 3), **FROZEN)
    for option in ("force", "retrain"):
        with pytest.raises(InputError, match=f"--{option} cannot be used with --task"):
            extract(cohort, path, finetune=True, task=(1, 3), **{option: True})
    with monkeypatch.context() as patch:
        has_bfloat16(patch, possible=True)
        with pytest.raises(InputError, match="give --dtype float32 or --dtype bfloat16 with --task"):
            extract(cohort, path, task=(1, 3), **FROZEN | {"dtype": "auto"})
    extract(cohort, path, task=(1, 3), **FROZEN)
    (share,) = share_files(path, NAME)
    other = NAME.replace("random0", "random1")
    share.rename(path.with_name(share.name.replace(NAME, other)))
    with pytest.raises(
        StaleCacheError, match=r"was made by a task with other settings \(.*or remove the file"
    ):
        extract(cohort, path, **FROZEN | {"seed": 1})


def test_the_whole_cohort_decides_how_bright_an_image_is_and_tasks_may_hand_theirs_out(
    cohort: Cohort, tmp_path: Path
) -> None:
    patients = []
    for number, patient in enumerate(cohort.patients):
        folder = tmp_path / "deep" / patient.id
        folder.mkdir(parents=True)
        most = 4095 if number == 0 else 900  # of the first one alone it shows that twelve bits were used
        for path in patient.images:
            values = np.random.default_rng([number, len(path.name)]).integers(0, most + 1, (48, 48))
            Image.fromarray(values.astype(np.uint16)).save(folder / path.name)
        patients.append(replace(patient, images=tuple(folder / path.name for path in patient.images)))
    deep = Cohort(tmp_path / "deep", tuple(patients))
    path, whole = tmp_path / "c.h5", tmp_path / "whole.h5"
    with ThreadPoolExecutor(2) as pool:
        for task in ((2, 3), (3, 3), (1, 3)):
            extract(deep, path, task=task, executor=pool, **FROZEN)
    extract(deep, path, **FROZEN)
    extract(deep, whole, **FROZEN)
    assert_same(path, whole)
    assert rows_of(path) == rows_of(whole)


def test_tasks_do_not_need_the_key_of_pseudonyms(cohort: Cohort, tmp_path: Path) -> None:
    path, key, whole = tmp_path / "c.h5", tmp_path / "key.csv", tmp_path / "whole.h5"
    for task in ((2, 2), (1, 2)):
        extract(cohort, path, task=task, pseudonyms=key, **FROZEN)
    assert not key.exists()
    for share in share_files(path, NAME):
        assert b"000000" not in share.read_bytes()  # as the first image of each patient is called
    done = extract(cohort, path, pseudonyms=key, **FROZEN).frozen
    assert done is not None
    assert done.n_before == len(cohort.images)
    extract(cohort, whole, pseudonyms=key, **FROZEN)
    assert rows_of(path) == rows_of(whole)
    assert not set(open_cache(path).patients["id"]) & {patient.id for patient in cohort.patients}


def test_the_one_encoder_of_adapting_is_one_task_s(cohort: Cohort, tmp_path: Path) -> None:
    path, whole = tmp_path / "c.h5", tmp_path / "whole.h5"
    shares = [extract(cohort, path, task=(i, 2), **ADAPTED).share for i in (1, 2)]
    assert sorted(len(share.encodings) for share in shares if share) == [0, 1]
    found = extract(cohort, path, **ADAPTED).adapted
    assert found is not None
    extract(cohort, whole, **ADAPTED)
    assert_same(path, whole)
    assert not [p.name for p in tmp_path.iterdir() if "task" in p.name]


@pytest.mark.slow
def test_encoders_are_shared_and_the_bits_are_those_of_one_call(cohort: Cohort, tmp_path: Path) -> None:
    extract(cohort, tmp_path / "alone" / "c.h5", **TUNED)
    path = tmp_path / "c.h5"
    shares = [extract(cohort, path, task=(i, 2), **TUNED).share for i in (2, 1)]
    assert [len(share.encodings) for share in shares if share] == [1, 2]
    found = extract(cohort, path, **TUNED).finetuned
    assert found is not None
    assert found.n_before == 0
    assert_same(path, tmp_path / "alone" / "c.h5")
    assert not [p.name for p in tmp_path.iterdir() if "task" in p.name]


TASK = """
import sys
from pathlib import Path
import lymphofeat
from tests.cache.test_shares import FROZEN, TUNED
from tests.helpers.simulated import noise_cohort
from tests.helpers.tasks import Aloud
number, count, images, cache, kind = sys.argv[1:]
options = FROZEN if kind == "frozen" else TUNED
lymphofeat.extract(
    noise_cohort(Path(images)), cache, task=(int(number), int(count)), progress=Aloud(), **options
)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["frozen", "tuned"])
def test_tasks_killed_at_random_and_given_again_in_any_order_give_the_same_bits(
    cohort: Cohort, tmp_path: Path, kind: str
) -> None:
    path, options = tmp_path / "c.h5", FROZEN if kind == "frozen" else TUNED
    finish_with_kills(TASK, [cohort.root, path, kind], 2, 3)
    extract(cohort, path, **options)
    extract(cohort, tmp_path / "alone" / "c.h5", **options)
    assert_same(path, tmp_path / "alone" / "c.h5")
    assert not [p.name for p in tmp_path.iterdir() if "task" in p.name]


def test_the_command_says_what_it_did_and_what_collects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run: Run = runner(monkeypatch, capsys)
    simulate_cohort(Path("cohort"), SimulationSettings(patients=8, seed=5, size=64, images_range=(1, 1)))
    ran = run("extract", "cohort", "--folds", "2", "--task", "1/2")
    assert ran.code == 0, ran.err
    did, then = ran.out.splitlines()
    assert (
        did == "Task 1 of 2: morphology: 4 images encoded; kept beside the cache for the call that collects."
    )
    assert then == (
        "Next: lymphofeat extract cohort --folds 2: collects what the tasks made, when all of them are done"
    )
    ran = run("extract", "cohort", "--folds", "2", "--task", "1/2")
    assert "Task 1 of 2: morphology: 0 images encoded; 4 were known" in ran.out
    ran = run("extract", "cohort", "--folds", "2", "--task", "9/9")
    assert "Task 9 of 9: there is no work for it; fewer tasks do." in ran.out
    ran = run("extract", "cohort", "--folds", "2", "--task", "1/2", "--force")
    assert (ran.code, ran.out) == (2, "")
    assert "--force cannot be used with --task" in ran.err
