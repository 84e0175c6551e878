"""Extraction on executors: the same bits as alone, ended workers, and what a worker lacks in a sentence."""

import os
import pickle
import re
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lymphofeat.cache import open_cache
from lymphofeat.cache.adapt import extract_adapted
from lymphofeat.cache.data_file import DataFile
from lymphofeat.cache.elsewhere import encode_units
from lymphofeat.cache.extract import extract_frozen
from lymphofeat.cache.finetune import FinetuneSettings, extract_finetuned
from lymphofeat.cache.gpus import check_gpus
from lymphofeat.cache.layout import DATA_GROUP
from lymphofeat.cache.morphology import extract_morphology
from lymphofeat.cache.trainings import encoders_folder
from lymphofeat.cohort.model import Cohort
from lymphofeat.cohort.read import read_cohort
from lymphofeat.devices import device_processes
from lymphofeat.encoder.backbones import backbone_named, untrained
from lymphofeat.errors import CacheError, InputError, WeightsError
from lymphofeat.executor import answered
from lymphofeat.synthetic.cohort import SimulationSettings, simulate_cohort
from lymphofeat.training.recipe_file import change_recipe, find_recipe

from ..helpers import adapted, finetuned
from ..helpers.executors import Here
from ..helpers.extracted import NAME, SETTINGS
from ..helpers.finetuned import assert_same, leftovers, tiny
from ..helpers.progress import Heard
from ..helpers.simulated import noise_cohort

TUNED = FinetuneSettings(tiny(epochs=1), replace(finetuned.BASE, n_folds=2))
CELLS = replace(SETTINGS, crop=96)


def frozen(cohort: Cohort, path: Path, **options: Any) -> object:
    return extract_frozen(cohort, path, SETTINGS, **options)


def measured(cohort: Cohort, path: Path, **options: Any) -> object:
    return extract_morphology(cohort, path, ("shape",), CELLS, **options)


def tuned(cohort: Cohort, path: Path, **options: Any) -> object:
    return extract_finetuned(cohort, path, TUNED, **options)


def adapts(cohort: Cohort, path: Path, **options: Any) -> object:
    return extract_adapted(cohort, path, adapted.SETTINGS, **options)


def upper(cohort: Cohort, path: Path, **options: Any) -> object:
    """Fine-tuning on stored activations."""
    changes = {"training": {"crop": 32, "epochs": 1, "inner_folds": 2, "train_from": "layer4", "variants": 2}}
    recipe = change_recipe(find_recipe("pooled"), changes, "test")
    return extract_finetuned(cohort, path, replace(TUNED, recipe=recipe), **options)


Extract = Callable[..., object]
KINDS: list[Extract] = [frozen, measured, tuned, adapts]


@pytest.fixture(scope="module", autouse=True)
def one_core() -> Iterator[None]:
    """Threads that wait for each other take long beside other tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOKY_MAX_CPU_COUNT", "1")
        yield


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    spec = SimulationSettings(patients=12, seed=5, size=96, images_range=(3, 4))
    return read_cohort(simulate_cohort(tmp_path_factory.mktemp("images") / "data", spec))


@pytest.fixture(scope="module")
def alone(images: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Extract], Path]:
    """A cache by one process and one thread."""
    made: dict[Extract, Path] = {}

    def cache(kind: Extract) -> Path:
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp("alone") / "c.h5"
            kind(images, made[kind], workers=1)
        return made[kind]

    return cache


def origins(path: Path, name: str = NAME) -> list[dict[str, Any]]:
    """What computed the rows of an encoding."""
    import h5py

    place = open_cache(path).encodings[name].place
    with h5py.File(place) as file:
        data = DataFile.read(place, file[DATA_GROUP])
    used = np.unique(data.origin).tolist()
    return [data.origins()[slot] for slot in used]


@pytest.mark.parametrize("kind", KINDS)
def test_threads_give_the_same_bits_and_the_executor_stays_open(
    images: Cohort,
    alone: Callable[[Extract], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: Extract,
) -> None:
    monkeypatch.chdir(tmp_path)
    heard = Heard()
    with ThreadPoolExecutor(2) as pool:
        kind(images, Path("c.h5"), executor=pool, progress=heard)
        assert pool.submit(len, "abc").result() == 3
    assert_same(tmp_path / "c.h5", alone(kind))
    assert leftovers(tmp_path) == []
    assert not list(encoders_folder(tmp_path / "c.h5").glob(".*"))
    epochs = [note for note in heard.notes if ", epoch 1: loss" in note]
    assert len(epochs) == {tuned: 2, adapts: 1}.get(kind, 0)


def test_a_worker_that_ends_costs_its_task_only_and_one_that_ends_twice_the_run_which_goes_on(
    images: Cohort, alone: Callable[[Extract], Path], tmp_path: Path
) -> None:
    def ended(number: int) -> None:
        if number in dies:
            raise TimeoutError

    dies = {2, 5}
    executor = Here(ended)
    frozen(images, tmp_path / "once.h5", executor=executor)
    assert_same(tmp_path / "once.h5", alone(frozen))
    units = executor.submitted - len(dies)

    dies = set(range(4, 100))
    with pytest.raises(
        CacheError, match=r"Two workers ended while they encoded 5 images.*same command goes on"
    ):
        frozen(images, tmp_path / "twice.h5", executor=Here(ended))
    dies, again = set(), Here(ended)
    frozen(images, tmp_path / "twice.h5", executor=again)
    assert_same(tmp_path / "twice.h5", alone(frozen))
    assert 0 < again.submitted < units


def test_a_training_that_ends_with_its_worker_goes_on_from_its_last_epoch(
    images: Cohort, alone: Callable[[Extract], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lymphofeat.training import epochs

    plain, written = epochs.write_checkpoint, []

    def write(path: Path, state: Any) -> None:
        plain(path, state)
        written.append(state.epoch)
        if len(written) == 1:
            raise SystemExit  # which no function that travels keeps

    class Ends(Here):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            def run(*given: Any) -> Any:
                try:
                    return fn(*given)
                except SystemExit as end:
                    raise TimeoutError from end

            return super().submit(run, *args, **kwargs)

    monkeypatch.setattr(epochs, "write_checkpoint", write)
    adapts(images, tmp_path / "c.h5", executor=Ends())
    assert written == [1, 2]
    assert_same(tmp_path / "c.h5", alone(adapts))


def test_an_encoder_that_another_worker_trained_meanwhile_is_not_trained_again(
    images: Cohort, tmp_path: Path
) -> None:
    """As when a worker was lost that went on all the same."""

    class Twice(Here):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            super().submit(fn, *args, **kwargs)
            return super().submit(fn, *args, **kwargs)

    heard = Heard()
    adapts(images, tmp_path / "c.h5", executor=Twice(), progress=heard)
    assert not [note for note in heard.notes if "epoch" in note]


def test_rows_say_what_computed_them(images: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "lymphofeat.cache.elsewhere.computed_with",
        lambda device: {"device": "cpu", "processor": "another", "torch": "2"},
    )
    frozen(images, tmp_path / "c.h5", executor=Here())
    assert [origin["processor"] for origin in origins(tmp_path / "c.h5")] == ["another"]


def test_a_path_that_a_worker_does_not_have_is_named_with_the_machine(tmp_path: Path) -> None:
    cohort, away = noise_cohort(tmp_path / "cohort"), tmp_path / "away"

    @contextmanager
    def hidden() -> Iterator[None]:
        folder.rename(away)
        yield
        away.rename(folder)

    folder, first = tmp_path / "cohort", cohort.images[0]
    with pytest.raises(
        InputError, match=rf"on \S+ \(process \d+\) cannot read {re.escape(str(first))} .*share"
    ):
        frozen(cohort, tmp_path / "out" / "c.h5", executor=Here(around=hidden))
    folder = tmp_path / "out"
    with pytest.raises(CacheError, match=r"on \S+ \(process \d+\) cannot read .*pixels-62-.*share"):
        adapts(cohort, folder / "c.h5", executor=Here(around=hidden))
    assert not (folder / "c.h5").exists()


def test_another_image_at_the_path_is_refused(tmp_path: Path) -> None:
    cohort = noise_cohort(tmp_path / "cohort")
    first, other = cohort.images[:2]

    @contextmanager
    def swapped() -> Iterator[None]:
        before = first.read_bytes()
        first.write_bytes(other.read_bytes())
        yield
        first.write_bytes(before)

    with pytest.raises(InputError, match="finds another image at"):
        frozen(cohort, tmp_path / "c.h5", executor=Here(around=swapped))


def test_weights_that_a_worker_lacks_or_finds_changed_are_refused(images: Cohort, tmp_path: Path) -> None:
    path, away = tmp_path / "start.pth", tmp_path / "away.pth"
    states = [untrained(backbone_named("small-cnn"), seed).state_dict() for seed in (0, 1)]
    torch.save(states[0], path)

    @contextmanager
    def hidden() -> Iterator[None]:
        path.rename(away)
        yield
        away.rename(path)

    @contextmanager
    def changed() -> Iterator[None]:
        torch.save(states[1], path)
        yield
        torch.save(states[0], path)

    start = replace(SETTINGS, weights=str(path), seed=None)
    recipe = change_recipe(tiny(epochs=1), {"network": {"start": "weights"}}, "test")
    training = replace(TUNED, recipe=recipe, extract=replace(TUNED.extract, weights=str(path)))
    for around, why in ((hidden, "no such weights file"), (changed, "weights .* those")):
        with pytest.raises(WeightsError, match=rf"on \S+ \(process \d+\) cannot make the encoder: .*{why}"):
            extract_frozen(images, tmp_path / "c.h5", start, executor=Here(around=around))
        with pytest.raises(
            WeightsError, match=rf"on \S+ \(process \d+\) cannot train pooled.*-fold0: .*{why}"
        ):
            extract_finetuned(images, tmp_path / "c.h5", training, executor=Here(around=around))


def test_other_versions_on_a_worker_are_named_both() -> None:
    with pytest.raises(CacheError, match=r"The worker on .* has torch .*, and this process has torch 0\.1"):
        answered(encode_units({"torch": "0.1"}, b"", pickle.dumps([]), ""))


def test_an_image_that_does_not_decode_and_no_executor_are_sentences(tmp_path: Path) -> None:
    cohort = noise_cohort(tmp_path / "cohort")
    with pytest.raises(InputError, match="no method submit"):
        frozen(cohort, tmp_path / "c.h5", executor=3)
    cohort.images[7].write_bytes(cohort.images[7].read_bytes()[:200])
    with pytest.raises(InputError, match=f"{cohort.images[7].name} cannot be decoded"):
        frozen(cohort, tmp_path / "c.h5", executor=Here())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "cpu"}, "--gpus 0, 1 and --device cpu exclude each other"),
        ({"executor": Here()}, "exclude each other; the executor"),
        ({"measured": True}, "cells are measured on the CPU"),
        ({"gpus": (0, 0)}, "names a GPU twice"),
        ({}, "no GPU 0; torch finds no GPU with CUDA at all: leave --gpus out"),
        ({"gpus": (1, 4), "there": 2}, "no GPU 4; there are 0, 1: name some of these"),
        ({"there": 2}, None),
    ],
)
def test_gpus_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], message: str | None
) -> None:
    there = options.pop("there", 0)
    monkeypatch.setattr("torch.cuda.is_available", lambda: there > 0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: there)
    given = {"gpus": (0, 1), "device": "auto", "executor": None, "measured": False, **options}
    if message is None:
        check_gpus(given.pop("gpus"), **given)
        return
    with pytest.raises(InputError, match=message):
        check_gpus(given.pop("gpus"), **given)


def processes() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(2, mp_context=get_context("spawn"))


@pytest.mark.slow
def test_processes_give_the_same_bits(
    images: Cohort, alone: Callable[[Extract], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with processes() as executor:
        for kind in (*KINDS, upper):
            path = tmp_path / kind.__name__ / "c.h5"
            kind(images, path, executor=executor)
            assert_same(path, alone(kind))
            assert leftovers(path.parent) == []
        monkeypatch.setenv(
            "LOKY_MAX_CPU_COUNT", "2"
        )  # which gives a training alone two threads, here and there
        for name, given in (("alone", None), ("there", executor)):
            adapts(images, tmp_path / name / "c.h5", executor=given)
        assert_same(tmp_path / "there" / "c.h5", tmp_path / "alone" / "c.h5")


@contextmanager
def killing(executor: Executor, path: Path) -> Iterator[None]:
    """Kill a process of the executor once features or a training are under way."""
    process, done, left = executor.submit(os.getpid).result(), threading.Event(), threading.Event()

    def kill() -> None:
        while not left.wait(0.05):
            if any(path.parent.glob("*.partial")) or any(encoders_folder(path).glob(".*.safetensors.lock")):
                os.kill(process, signal.SIGKILL)
                done.set()
                return

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        left.set()
        thread.join()
    assert done.is_set()


@pytest.mark.slow
@pytest.mark.parametrize("kind", [frozen, tuned])
def test_a_killed_process_of_a_device_costs_its_task(
    images: Cohort, alone: Callable[[Extract], Path], tmp_path: Path, kind: Extract
) -> None:
    with device_processes(["cpu", "cpu"]) as executor, killing(executor, tmp_path / "c.h5"):
        kind(images, tmp_path / "c.h5", executor=executor)
    assert_same(tmp_path / "c.h5", alone(kind))


@pytest.mark.slow
def test_a_killed_process_of_a_pool_ends_in_a_sentence_and_the_same_call_goes_on(
    images: Cohort, alone: Callable[[Extract], Path], tmp_path: Path
) -> None:
    with (
        processes() as executor,
        killing(executor, tmp_path / "c.h5"),
        pytest.raises(CacheError, match=r"takes no more tasks.*make a new executor"),
    ):
        tuned(images, tmp_path / "c.h5", executor=executor)
    with processes() as executor:
        tuned(images, tmp_path / "c.h5", executor=executor)
    assert_same(tmp_path / "c.h5", alone(tuned))
