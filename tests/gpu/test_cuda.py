"""What a GPU computes, against the CPU and against itself; `make gpu` runs these, all others hide the GPU."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lymphofeat import export, extract, load_bundle, tune
from lymphofeat.cache import open_cache
from lymphofeat.cache.trainings import encoders_folder
from lymphofeat.cohort.model import Cohort
from lymphofeat.progress import Silent

from ..fire.processes import begin, children_of, end
from ..helpers.finetuned import Heard, leftovers
from ..helpers.simulated import noise_cohort
from ..helpers.tiny import tiny_cohort

FROZEN = {"frozen": True, "weights": "none", "seed": 0, "crop": 64, "n_folds": 3}
FINETUNE = {
    "finetune": True, "recipe": "pooled+clinical", "weights": "none", "seed": 0, "crop": 64, "epochs": 2, "n_folds": 3,
}  # fmt: skip
ADAPT = {"adapt": True, "weights": "none", "seed": 0, "crop": 64, "epochs": 2, "n_folds": 3}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return noise_cohort(tmp_path_factory.mktemp("cohort"), images=9, side=96)


def features(path: Path) -> dict[str, np.ndarray]:
    return {name: np.array(one.features) for name, one in open_cache(path).encodings.items()}


def one(path: Path) -> np.ndarray:
    (found,) = features(path).values()
    return found


def same(left: Path, right: Path) -> None:
    first, second = features(left), features(right)
    assert first.keys() == second.keys() != set()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def off(found: np.ndarray, expected: np.ndarray) -> float:
    """The relative error of all of it, ‖found − expected‖ / ‖expected‖."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50", "small-cnn", "efficientnet-lite0"])
def test_frozen_features_are_those_of_the_cpu(cohort: Cohort, tmp_path: Path, backbone: str) -> None:
    for device, dtype in (("cpu", "float32"), ("cuda", "float32"), ("cuda", "bfloat16")):
        extract(
            cohort, tmp_path / f"{device}-{dtype}.h5", **FROZEN, backbone=backbone, device=device, dtype=dtype
        )
    expected = one(tmp_path / "cpu-float32.h5")
    assert off(one(tmp_path / "cuda-float32.h5"), expected) < 1e-4
    assert 0 < off(one(tmp_path / "cuda-bfloat16.h5"), expected) < 3e-2


def test_auto_takes_the_gpu_and_says_so(cohort: Cohort, tmp_path: Path) -> None:
    done = extract(cohort, tmp_path / "c.h5", **FROZEN)
    attrs = open_cache(done.frozen.cache).encodings[done.frozen.encoding].attrs
    assert attrs["device"] == "cuda"


def test_frozen_features_are_the_same_again_in_any_batch_and_process(cohort: Cohort, tmp_path: Path) -> None:
    """Batches are filled up to one size, so that the GPU takes the same kernels for all of them."""
    smaller = replace(cohort, patients=cohort.patients[:7] + cohort.patients[12:])
    extract(cohort, tmp_path / "once.h5", **FROZEN, dtype="float32")
    extract(cohort, tmp_path / "again.h5", **FROZEN, dtype="float32")
    extract(cohort, tmp_path / "gpus.h5", **FROZEN, dtype="float32", gpus=[0])
    same(tmp_path / "once.h5", tmp_path / "again.h5")
    same(tmp_path / "once.h5", tmp_path / "gpus.h5")
    extract(smaller, tmp_path / "grown.h5", **FROZEN, dtype="float32")
    extract(cohort, tmp_path / "grown.h5", **FROZEN, dtype="float32")
    rows = {}
    for name in ("once", "grown"):
        cache = open_cache(tmp_path / f"{name}.h5")
        (encoding,) = cache.encodings.values()
        bags = cache.bags(encoding.name)
        rows[name] = {patient: np.array(bag) for patient, bag in zip(cache.ids, bags, strict=True)}
    assert rows["once"].keys() == rows["grown"].keys()
    for patient, bag in rows["once"].items():
        np.testing.assert_array_equal(bag, rows["grown"][patient], err_msg=patient)


@pytest.mark.parametrize(
    "how", [FINETUNE, ADAPT, FINETUNE | {"train_from": "layer4"}], ids=["all", "adapt", "layer4"]
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_trainings_end_with_the_same_bits_alone_resumed_and_in_the_process_of_a_gpu(
    cohort: Cohort, tmp_path: Path, how: dict[str, object], dtype: str
) -> None:
    for name in ("once", "again"):
        extract(cohort, tmp_path / name / "c.h5", **how, dtype=dtype)
    same(tmp_path / "once/c.h5", tmp_path / "again/c.h5")
    extract(cohort, tmp_path / "gpus/c.h5", **how, dtype=dtype, gpus=[0])
    same(tmp_path / "once/c.h5", tmp_path / "gpus/c.h5")
    broken = tmp_path / "broken/c.h5"
    with pytest.raises(KeyboardInterrupt):
        extract(cohort, broken, **how, dtype=dtype, progress=Heard(encoders_folder(broken)))
    extract(cohort, broken, **how, dtype=dtype, progress=Silent())
    same(tmp_path / "once/c.h5", broken)
    assert leftovers(tmp_path / "broken") == []


def test_a_model_predicts_on_the_gpu_what_it_predicts_on_the_cpu(tmp_path: Path) -> None:
    data = tiny_cohort(tmp_path / "data", n=16, images=6)
    extract(data, tmp_path / "c.h5", **FROZEN, dtype="float32")
    tune(tmp_path / "c.h5", tmp_path / "s.db", n_trials=4, heads=["logistic"], inputs=["image"])
    export(tmp_path / "c.h5", tmp_path / "s.db", tmp_path / "model")
    model = load_bundle(tmp_path / "model")
    cpu, gpu = (model.predict(data / "testset", device=device) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(gpu["probability"], cpu["probability"], atol=1e-3)


def test_a_batch_that_does_not_fit_is_a_sentence(tmp_path: Path) -> None:
    """The command is given a thousandth of the GPU's memory."""
    code = "import torch; torch.cuda.set_per_process_memory_fraction(0.001)"
    data = tiny_cohort(tmp_path / "data", n=8, images=40)
    for how in (
        ("--frozen", "--batch-size", 512),
        ("--finetune", "--recipe", "pooled", "--epochs", 1),
        ("--adapt", "--epochs", 1),
    ):
        process = begin(
            tmp_path, "extract", data, *how, "--folds", 3, "--weights", "none", "--seed", 0, code=code
        )
        _, err = process.communicate(timeout=250)
        assert (process.returncode, "Traceback" in err) == (2, False), err
        assert "memory" in err, err


def test_a_signal_ends_the_processes_of_gpus(tmp_path: Path) -> None:
    data = tiny_cohort(tmp_path / "data", n=16, images=12)
    how = (
        "--finetune",
        "--recipe",
        "pooled",
        "--folds",
        3,
        "--epochs",
        400,
        "--weights",
        "none",
        "--seed",
        0,
    )
    process = begin(tmp_path, "extract", data, *how, "--gpus", 0)
    while process.poll() is None and not list(tmp_path.rglob("*.checkpoint")):
        time.sleep(0.05)
    done = end(process)
    assert (done.code, "Traceback" in done.err) == (143, False), done
    assert done.seconds < 10
    assert children_of(process.pid) == []


def test_a_gpu_that_is_not_there_is_named(tmp_path: Path) -> None:
    data = tiny_cohort(tmp_path / "data")
    process = begin(tmp_path, "extract", data, "--frozen", "--gpus", torch.cuda.device_count())
    _, err = process.communicate(timeout=250)
    assert (process.returncode, "this machine has no GPU" in err) == (2, True), err
