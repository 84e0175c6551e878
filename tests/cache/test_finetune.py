import contextlib
import random
import re
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest
import torch

from lymphofeat.cache import open_cache
from lymphofeat.cache.encoder_family import encoders_folder, trainings_under_way
from lymphofeat.cache.extract import ExtractSettings, extract_frozen
from lymphofeat.cache.finetune import FinetuneSettings, extract_finetuned, settings_from
from lymphofeat.cohort.model import Cohort
from lymphofeat.encoder.backbones import backbone_named, untrained
from lymphofeat.encoder.pixels import read_block
from lymphofeat.errors import InputError, LeakageError, StaleCacheError
from lymphofeat.progress import Silent
from lymphofeat.training.recipe import Recipe
from lymphofeat.training.recipe_file import change_recipe, find_recipe
from lymphofeat.training.trained import load_trained, save_trained

from ..helpers.simulated import noise_cohort


def tiny(name: str = "pooled-small-cnn", **training: object) -> Recipe:
    """A recipe small enough for a test: 32 pixels, a small network, two epochs."""
    changes = {
        "training": {"crop": 32, "epochs": 2, "inner_folds": 2, **training},
        "network": {"backbone": "small-cnn"},
        "batches": {"images": 8},
        "clinical": {"epochs": 3},
    }
    return change_recipe(find_recipe(name), changes, "test")


BASE = ExtractSettings(weights="none", seed=0, batch_size=5, n_folds=3, n_repeats=2, device="cpu")
SETTINGS = FinetuneSettings(tiny(), BASE)
ENCODER_FAMILY = "pooled-small-cnn-random0-crop32-epochs2"
SEEING = "pooled+clinical-random0-small-cnn-crop32-epochs2"


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    return noise_cohort(tmp_path / "cohort")


def contents(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    found = {n: (np.array(e.features), e.end_to_end) for n, e in open_cache(path).encodings.items()}
    assert all(own is not None for _, own in found.values())
    return found  # type: ignore[return-value]


def assert_same(one: Path, other: Path) -> None:
    first, second = contents(one), contents(other)
    assert first.keys() == second.keys()
    for name in first:
        for a, b in zip(first[name], second[name], strict=True):
            np.testing.assert_array_equal(a, b)


def leftovers(folder: Path) -> list[str]:
    """Files that are not whole: partial, temporary, checkpoints."""
    return [p.name for p in folder.rglob("*") if p.suffix in (".tmp", ".partial", ".checkpoint")]


def test_a_family_is_one_encoding_per_fold_and_says_what_made_it(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "out" / "c.h5"
    summary = extract_finetuned(cohort, path, SETTINGS)
    cache = open_cache(path)
    assert summary.encoding == ENCODER_FAMILY == cache.default_encoder_family
    assert sorted(summary.best) == sorted(cache.encodings) == [f"{ENCODER_FAMILY}-fold{k}" for k in range(3)]
    for k in range(3):
        encoding = cache.encodings[f"{ENCODER_FAMILY}-fold{k}"]
        assert encoding.blind_to == {k}
        assert cache.blind_encoding(ENCODER_FAMILY, {k}).name == encoding.name
        assert encoding.attrs["recipe"] == tiny().to_dict()
        assert encoding.attrs["preprocessing"]["crop"] == 32
        made = encoding.made
        assert made["learnt_from"] + made["validated_on"] == 8
        assert len(made["history"]) == 2
        assert summary.best[encoding.name] == made["history"][made["epoch"] - 1]
        assert made["seconds"] > 0
        assert encoding.end_to_end is not None
        assert ((encoding.end_to_end > 0) & (encoding.end_to_end < 1)).all()
    assert len({e.digest for e in cache.encodings.values()}) == 3
    assert leftovers(tmp_path) == []


def test_features_and_probabilities_are_those_of_the_kept_network(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    recipe = tiny("pooled+clinical")
    extract_finetuned(cohort, path, replace(SETTINGS, recipe=recipe))
    cache = open_cache(path)
    for name, encoding in cache.encodings.items():
        trained = load_trained(encoders_folder(path) / encoding.made["encoder"])
        assert trained.about["name"] == name
        assert trained.about["blind_to"] == sorted(encoding.blind_to)
        network = trained.network
        with torch.no_grad():
            for p, patient in enumerate(cohort.patients):
                pixels = read_block(patient.images, 32)
                features = network.backbone(trained.preprocessing.normalise(pixels, torch.float32))
                np.testing.assert_allclose(cache.bags(name)[p], features, rtol=1e-3, atol=1e-4)
                row = [patient.birth.month, patient.birth.year, patient.age, patient.count]
                own = network.head.predict(features.mean(0)[None], torch.tensor([row], dtype=torch.float32))
                assert encoding.end_to_end[p] == pytest.approx(float(own), abs=1e-4)


def test_the_nested_family_is_blind_at_depth_two(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    extract_finetuned(cohort, path, replace(SETTINGS, nested=True))
    cache = open_cache(path)
    assert len(cache.encodings) == 6
    assert cache.blind_encoding(ENCODER_FAMILY, {0, 2}).name == f"{ENCODER_FAMILY}-folds0+2"
    assert cache.blind_encoding(ENCODER_FAMILY, {1}).name == f"{ENCODER_FAMILY}-fold1"
    with pytest.raises(LeakageError, match="folds 0, 1, 2 of repeat 0"):
        cache.blind_encoding(ENCODER_FAMILY, {0, 1, 2})
    with pytest.raises(LeakageError, match="fold 0 of repeat 1"):
        cache.blind_encoding(ENCODER_FAMILY, {0}, repeat=1)


def test_nested_encoders_join_those_already_there(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    extract_finetuned(cohort, path, SETTINGS)
    before = contents(path)
    summary = extract_finetuned(cohort, path, replace(SETTINGS, nested=True))
    assert summary.n_before == 3
    after = contents(path)
    assert len(after) == 6
    for name, (features, _) in before.items():
        np.testing.assert_array_equal(after[name][0], features)


@pytest.mark.parametrize("name", ["scratch", "moe", "default"])
def test_other_recipes_join_the_cache(cohort: Cohort, tmp_path: Path, name: str) -> None:
    path = tmp_path / "c.h5"
    extract_frozen(cohort, path, replace(BASE, backbone="small-cnn", crop=32))
    extract_finetuned(cohort, path, replace(SETTINGS, recipe=tiny(name)))
    cache = open_cache(path)
    assert len(cache.encoder_families) == 2
    assert cache.default_encoder_family.startswith(name)


@pytest.mark.parametrize("train_from", ["layer4", "fc"])
def test_upper_layers_alone_train_on_stored_activations(
    cohort: Cohort, tmp_path: Path, train_from: str
) -> None:
    path = tmp_path / "c.h5"
    recipe = change_recipe(
        find_recipe("pooled"),
        {"training": {"crop": 32, "epochs": 1, "inner_folds": 2, "train_from": train_from, "variants": 2}},
        "test",
    )
    base = replace(BASE, n_folds=2)
    start = extract_frozen(cohort, path, replace(base, crop=32)).encoding
    summary = extract_finetuned(cohort, path, replace(SETTINGS, recipe=recipe, extract=base))
    assert summary.encoding == f"pooled-random0-crop32-{train_from}-epochs1"
    cache = open_cache(path)
    for k in range(2):
        name = f"{summary.encoding}-fold{k}"
        state = load_trained(encoders_folder(path) / f"{name}.safetensors").network.backbone.state_dict()
        before = untrained(backbone_named("resnet18"), 0).state_dict()
        moved = {key.split(".")[0] for key in before if not torch.equal(before[key], state[key])}
        assert moved == ({"layer4"} if train_from == "layer4" else set())
        same = np.allclose(cache.encodings[name].features, cache.encodings[start].features, atol=1e-5)
        assert same == (train_from == "fc")


def test_again_is_nothing_to_do(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    extract_finetuned(cohort, path, SETTINGS)
    before = path.read_bytes()
    assert extract_finetuned(cohort, path, SETTINGS).n_before == 3
    assert path.read_bytes() == before


def test_the_run_says_how_long_and_how_it_goes(cohort: Cohort, tmp_path: Path) -> None:
    class Heard(Silent):
        def __init__(self) -> None:
            self.notes: list[str] = []

        def note(self, text: str) -> None:
            self.notes.append(text)

    heard = Heard()
    extract_finetuned(cohort, tmp_path / "c.h5", SETTINGS, progress=heard)
    assert "Training 3 encoders for 2 epochs each takes about" in heard.notes[0]
    assert "--frozen" in heard.notes[0]
    epochs = sorted(heard.notes[1:])
    assert len(epochs) == 6
    for part in (f"{ENCODER_FAMILY}-fold0, epoch 2: loss ", "validation balanced accuracy ", "AUC ", " left"):
        assert part in epochs[1]


def change(cohort: Cohort, i: int, **changes: object) -> Cohort:
    patients = list(cohort.patients)
    patients[i] = replace(patients[i], **changes)  # type: ignore[arg-type]
    return replace(cohort, patients=tuple(patients))


def test_a_changed_label_or_setting_is_refused_and_force_trains_anew(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    extract_finetuned(cohort, path, SETTINGS)
    before = path.read_bytes()
    with pytest.raises(StaleCacheError, match="label of patient P4 was 0 and is 1 now"):
        extract_finetuned(change(cohort, 4, label=1), path, SETTINGS)
    slower = change_recipe(tiny(), {"optimiser": {"lr": 1e-4}}, "test")
    with pytest.raises(StaleCacheError, match="made with other settings"):
        extract_finetuned(cohort, path, replace(SETTINGS, recipe=slower))
    assert path.read_bytes() == before
    extract_finetuned(cohort, path, replace(SETTINGS, recipe=slower, name="slower"))
    assert open_cache(path).encoder_families == sorted(["slower", ENCODER_FAMILY])
    changed = change(cohort, 4, label=1)
    extract_finetuned(changed, path, SETTINGS, force=True)
    extract_finetuned(changed, tmp_path / "fresh" / "c.h5", SETTINGS)
    assert_same(path, tmp_path / "fresh" / "c.h5")


def test_corrected_clinical_values_count_where_the_network_sees_them(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    seeing = replace(SETTINGS, recipe=tiny("pooled+clinical"))
    extract_finetuned(cohort, path, SETTINGS)
    extract_finetuned(cohort, path, seeing)
    corrected = change(cohort, 1, count=99.5)
    assert extract_finetuned(corrected, path, SETTINGS).n_before == 3
    cache = open_cache(path)
    assert cache.encoder_families == [ENCODER_FAMILY]
    stale = cache.stale[f"{SEEING}-fold0"].encoder_family
    assert stale == SEEING
    with pytest.raises(
        StaleCacheError, match=rf"{re.escape(SEEING)}-fold0.*corrected since.*recipe pooled.clinical.*--force"
    ):
        cache.members(SEEING)
    with pytest.raises(
        StaleCacheError,
        match=rf"{re.escape(SEEING)}-fold0 .*clinical values that it is trained on were corrected",
    ):
        extract_finetuned(corrected, path, seeing)
    assert extract_finetuned(cohort, path, seeing).n_before == 3  # the correction taken back
    assert not open_cache(path).stale
    extract_finetuned(corrected, path, seeing, force=True)
    assert open_cache(path).encoder_families == sorted([ENCODER_FAMILY, SEEING])
    extract_finetuned(corrected, tmp_path / "fresh" / "c.h5", seeing)
    for name, (features, own) in contents(tmp_path / "fresh" / "c.h5").items():
        np.testing.assert_array_equal(contents(path)[name][0], features)
        np.testing.assert_array_equal(contents(path)[name][1], own)


def test_values_that_no_network_sees_make_no_encoder_stale(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    seeing = replace(SETTINGS, recipe=tiny("scratch"))  # age and count
    summary = extract_finetuned(cohort, path, seeing)
    other_sex = change(cohort, 1, sex="")
    assert extract_finetuned(other_sex, path, seeing).n_before == 3
    cache = open_cache(path)
    assert cache.patients["sex"].iloc[1] == ""
    assert cache.encoder_families == [summary.encoding]


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


@pytest.mark.parametrize(("torch_version", "known"), [(str(torch.__version__), True), ("1.0.0", False)])
def test_what_version_0_1_trained_is_known_again(
    cohort: Cohort, tmp_path: Path, torch_version: str, *, known: bool
) -> None:
    """Its key was a digest that covered torch and device as well, and told nothing of what it was of."""
    path = tmp_path / "c.h5"
    extract_finetuned(cohort, path, SETTINGS)
    cache = open_cache(path)
    for name, encoding in cache.encodings.items():
        spec = replace(encoding.spec, block=0, about=encoding.spec.about | {"torch": torch_version})
        state = blake2b(f"{spec.to_json()}{cache.tables.fingerprint}".encode(), digest_size=16)
        state.update(np.ascontiguousarray(cache.folds[:, 0]).data)
        trained = load_trained(encoders_folder(path) / f"{name}.safetensors")
        about = {k: v for k, v in trained.about.items() if k != "identity"} | {"key": state.hexdigest()}
        save_trained(encoders_folder(path) / f"{name}.safetensors", trained.network, trained.recipe, about)
    before = contents(path)
    path.unlink()
    if not known:
        with pytest.raises(StaleCacheError, match=r"trained otherwise .*library versions"):
            extract_finetuned(cohort, path, SETTINGS)
        return
    extract_finetuned(cohort, path, SETTINGS)
    for name, (features, _) in contents(path).items():
        np.testing.assert_array_equal(features, before[name][0])


class Heard(Silent):
    """Keeps what a run says of its epochs, and breaks it off at the first one after a checkpoint in `until`."""

    def __init__(self, until: Path | None = None) -> None:
        self.epochs: list[str] = []
        self.until = until

    def note(self, text: str) -> None:
        if ", epoch " in text:
            self.epochs.append(text)
            if self.until is not None and any(self.until.glob("*.checkpoint")):
                raise KeyboardInterrupt


def test_a_trained_encoder_of_other_settings_is_refused(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    extract_finetuned(cohort, path, SETTINGS)
    path.unlink()
    with pytest.raises(StaleCacheError, match=r"was trained otherwise \(.*seed: 0, now 1;"):
        extract_finetuned(cohort, path, replace(SETTINGS, extract=replace(BASE, seed=1), name=ENCODER_FAMILY))
    extract_finetuned(cohort, path, SETTINGS)  # the networks are there: only encoded again


def test_a_fine_tuned_encoder_is_no_start(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    extract_finetuned(cohort, path, SETTINGS)
    weights = str(encoders_folder(path) / f"{ENCODER_FAMILY}-fold0.safetensors")
    for run in (extract_frozen, extract_finetuned):
        base = replace(BASE, weights=weights, backbone="small-cnn", crop=32)
        pooled = change_recipe(tiny("pooled"), {}, "test")
        with pytest.raises(LeakageError, match="fine-tuned on a cohort's labels"):
            run(cohort, path, base if run is extract_frozen else FinetuneSettings(pooled, base))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recipe": "poled"}, "did you mean pooled"),
        ({"recipe": "scratch", "train_from": "layer4"}, "recipe scratch with these options cannot be used"),
        ({"backbone": "resnet19"}, r"\[network\] backbone.*'resnet19'"),
        ({"epochs": 0}, "epochs is 0; it must be at least 1"),
    ],
)
def test_options_that_cannot_be_used_get_a_sentence(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        settings_from(**options)  # type: ignore[arg-type]


def test_options_reach_the_recipe_and_its_control() -> None:
    settings = settings_from(recipe="half", epochs=3, crop=64, weights="none", seed=4, nested=False)
    assert isinstance(settings.recipe, Recipe)
    assert settings.recipe.training.epochs == 3
    assert settings.extract.n_folds == 2
    assert (settings.extract.crop, settings.extract.backbone) == (64, "resnet18")
    scratch = settings_from(recipe="scratch")
    assert (scratch.extract.weights, scratch.extract.seed) == ("none", 0)
    assert settings_from(recipe="half", n_folds=4).extract.n_folds == 4


def test_too_few_patients_get_a_sentence(tmp_path: Path) -> None:
    few = noise_cohort(tmp_path / "few", n_train=4)
    with pytest.raises(InputError, match=r"fewer than 2 persons left.*--folds"):
        extract_finetuned(few, tmp_path / "c.h5", replace(SETTINGS, extract=replace(BASE, n_folds=2)))
    assert not (tmp_path / "c.h5").exists()


def test_an_unreadable_image_midway_loses_nothing(cohort: Cohort, tmp_path: Path) -> None:
    path = cohort.patients[6].images[0]
    good = path.read_bytes()
    path.write_bytes(good[: len(good) // 2])
    with pytest.raises(InputError, match=f"{path.name} cannot be decoded"):
        extract_finetuned(cohort, tmp_path / "c.h5", SETTINGS)
    assert not (tmp_path / "c.h5").exists()
    assert not list(encoders_folder(tmp_path / "c.h5").glob("*"))


RUN = """
import sys
from pathlib import Path
from lymphofeat.cache.finetune import extract_finetuned
from tests.cache.test_finetune import SETTINGS, noise_cohort
extract_finetuned(noise_cohort(Path(sys.argv[1])), Path(sys.argv[2]), SETTINGS)
"""


def run(cohort: Path, cache: Path, **options: object) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", RUN, str(cohort), str(cache)]
    return subprocess.Popen(command, cwd=Path(__file__).parents[2], stderr=subprocess.PIPE, **options)  # type: ignore[call-overload]


def killed_runs(cohort: Cohort, tmp_path: Path, kills: int) -> None:
    """Kill a fine-tuning at random moments, again and again, until it finishes: the same bits as an unbroken one."""
    rng = random.Random(0)
    began = time.monotonic()
    process = run(cohort.root, tmp_path / "whole" / "c.h5")
    _, error = process.communicate()
    assert process.returncode == 0, error.decode()
    whole = time.monotonic() - began
    killed, attempt = 0, 0
    while killed < kills:
        path = tmp_path / f"broken{attempt}" / "c.h5"
        finished = False
        while not finished:
            process = run(cohort.root, path)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=whole * (0.4 + 0.7 * rng.random()))
            process.send_signal(signal.SIGKILL)  # of no effect on one that has ended
            _, error = process.communicate()
            finished = process.returncode == 0
            assert finished or process.returncode == -signal.SIGKILL, error.decode()
            killed += not finished
        assert_same(path, tmp_path / "whole" / "c.h5")
        assert leftovers(path.parent) == []
        attempt += 1


@pytest.mark.slow
def test_ten_kills(cohort: Cohort, tmp_path: Path) -> None:
    killed_runs(cohort, tmp_path, kills=10)


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
    process = run(cohort.root, path, preexec_fn=small_disk)
    _, error = process.communicate()
    assert process.returncode != 0
    assert any(words in error.decode() for words in ("File too large", "disk is full", "No space left"))
    assert not path.exists()
    assert [name for name in leftovers(path.parent) if name.endswith(".tmp")] == []
    extract_finetuned(cohort, path, SETTINGS)  # when there is room again
    assert open_cache(path).default_encoder_family == ENCODER_FAMILY
