"""Training on simulated images that tell the classes apart: what is kept, resumed, refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lymphofeat.encoder.backbones import backbone_named, untrained
from lymphofeat.errors import InputError, StaleCacheError
from lymphofeat.progress import Silent
from lymphofeat.training import train
from lymphofeat.training.checkpoint import read_checkpoint
from lymphofeat.training.epochs import Training, prepare_network, seed_of
from lymphofeat.training.networks import PatientNetwork
from lymphofeat.training.recipe import Recipe
from lymphofeat.training.recipe_file import change_recipe, find_recipe
from lymphofeat.training.train import LearningPatients, train_encoder

CPU = torch.device("cpu")
KEY = {"name": "drawn", "recipe": {"lr": 0.1}}
N = 16
SIZES = 2 + np.arange(N) % 3
LABELS = (np.arange(N) % 2).astype(np.int8)
RECIPE = change_recipe(
    find_recipe("pooled-small-cnn"),
    {"training": {"epochs": 4}, "batches": {"patients": 4, "images": 6}, "network": {"dropout": 0.2}},
    "test",
)


class TintedSource:
    """Noise, brighter in the malignant patients' images."""

    def __init__(self, contrast: float = 1.0) -> None:
        owner = np.repeat(LABELS, SIZES).astype(np.float32)
        noise = torch.randn(len(owner), 3, 16, 16, generator=torch.Generator().manual_seed(1))
        self.images = noise + contrast * torch.from_numpy(owner).view(-1, 1, 1, 1)

    def training(self, rows: np.ndarray, generator: torch.Generator) -> torch.Tensor:
        return self.images[rows] * (1 + 0.1 * torch.rand(len(rows), 1, 1, 1, generator=generator))

    def plain(self, rows: np.ndarray) -> torch.Tensor:
        return self.images[rows]


def patients(labels: np.ndarray = LABELS) -> LearningPatients:
    rng = np.random.default_rng(0)
    values = np.column_stack([70 - 10 * LABELS, 5 + 9 * LABELS + rng.normal(size=N)]).astype(np.float32)
    return LearningPatients(np.cumsum(SIZES) - SIZES, SIZES, labels, values, np.arange(N) >= N - 6)


def network_of(recipe: Recipe = RECIPE) -> PatientNetwork:
    return prepare_network(PatientNetwork(untrained(backbone_named("small-cnn"), 0), 128, recipe, 0), CPU)


def training_of(path: Path, recipe: Recipe = RECIPE, **changes: object) -> Training:
    return replace(Training("drawn", recipe, 0, path / "drawn.checkpoint", KEY, CPU), **changes)


def same(first: PatientNetwork, second: PatientNetwork) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_a_plain_signal_is_learnt(tmp_path: Path) -> None:
    recipe = change_recipe(RECIPE, {"training": {"epochs": 8}}, "test")
    state = train_encoder(network_of(recipe), TintedSource(3.0), patients(), training_of(tmp_path, recipe))
    best = state.history[state.best_epoch - 1]
    assert best["balanced_accuracy"] == best["auc"] == 1
    assert state.history[-1]["loss"] < 0.5 * state.history[0]["loss"]


@pytest.mark.parametrize("name", ["pooled-small-cnn", "pooled+clinical", "moe", "scratch", "default"])
@pytest.mark.parametrize("after", [1, 3])
def test_a_resumed_training_ends_with_the_same_bits(tmp_path, monkeypatch, name: str, after: int) -> None:
    changes = {
        "network": {"backbone": "small-cnn", "dropout": 0.1 if name != "moe" else 0.0},
        "training": {"epochs": 4}, "clinical": {"values": ["age", "count"], "epochs": 5}, "batches": {"images": 6},
    }  # fmt: skip
    recipe = change_recipe(find_recipe(name), changes, "test")
    whole = network_of(recipe)
    train_encoder(whole, TintedSource(), patients(), training_of(tmp_path / "whole", recipe))

    class Stop(Silent):
        notes = 0

        def note(self, text: str) -> None:
            self.notes += 1
            if self.notes > after:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_encoder(
            network_of(recipe), TintedSource(), patients(), training_of(tmp_path, recipe), progress=Stop()
        )
    assert read_checkpoint(tmp_path / "drawn.checkpoint", KEY).epoch == after
    resumed = network_of(recipe)
    torch.rand(3)  # whatever else the process draws
    state = train_encoder(resumed, TintedSource(), patients(), training_of(tmp_path, recipe))
    assert state.epoch == 4
    assert same(resumed, whole)


def test_a_finished_training_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, again = network_of(), network_of()
    train_encoder(first, TintedSource(), patients(), training_of(tmp_path))
    monkeypatch.setattr(train._Run, "epoch", lambda *_: pytest.fail("trained again"))
    train_encoder(again, TintedSource(), patients(), training_of(tmp_path))
    assert same(first, again)


def test_name_and_seed_decide_the_result(tmp_path: Path) -> None:
    networks = []
    for k, changes in enumerate([{}, {}, {"seed": 1}, {"name": "other"}]):
        networks.append(network_of())
        train_encoder(networks[-1], TintedSource(), patients(), training_of(tmp_path / f"{k}", **changes))
    first, again, seed, name = networks
    assert same(first, again)
    assert not same(first, seed)
    assert not same(first, name)


def test_the_kept_epoch_is_the_best_on_the_validating_patients(tmp_path: Path) -> None:
    network = network_of()
    state = train_encoder(network, TintedSource(0.3), patients(), training_of(tmp_path))
    merits = [(h["balanced_accuracy"], -h["validation_loss"]) for h in state.history]
    assert state.best_epoch == 1 + merits.index(max(merits))
    assert not network.training
    kept = state.best
    assert kept is not None
    assert all(torch.equal(kept[key], value) for key, value in network.state_dict().items())


def test_labels_of_validating_patients_choose_the_epoch_and_teach_nothing(tmp_path: Path) -> None:
    flipped = np.where(patients().validates, 1 - LABELS, LABELS).astype(np.int8)
    states = []
    for k, labels in enumerate([LABELS, flipped]):
        states.append(
            train_encoder(network_of(), TintedSource(), patients(labels), training_of(tmp_path / f"{k}"))
        )
    one, other = states
    assert [h["loss"] for h in one.history] == [h["loss"] for h in other.history]
    assert one.network is not None
    assert other.network is not None
    assert all(torch.equal(one.network[key], other.network[key]) for key in one.network)
    for a, b in zip(one.history, other.history, strict=True):
        assert a["auc"] == pytest.approx(1 - b["auc"])


def test_a_frozen_batch_norm_keeps_its_statistics(tmp_path: Path) -> None:
    recipe = change_recipe(RECIPE, {"network": {"batch_norm": "frozen"}}, "test")
    network = network_of(recipe)
    before = {k: v.clone() for k, v in network.state_dict().items() if "running" in k}
    train_encoder(network, TintedSource(), patients(), training_of(tmp_path, recipe))
    after = network.state_dict()
    assert all(torch.equal(after[k], v) for k, v in before.items())


def test_a_clinical_network_apart_learns_by_itself(tmp_path: Path) -> None:
    changes = {
        "network": {"backbone": "small-cnn"},
        "clinical": {"epochs": 100, "lr": 1e-2},
        "training": {"epochs": 1},
    }
    recipe = change_recipe(find_recipe("scratch"), changes, "test")
    network = network_of(recipe)
    train_encoder(network, TintedSource(0.0), patients(), training_of(tmp_path, recipe))
    with torch.no_grad():
        logits = network.head.clinical(network.head.scaler(torch.from_numpy(patients().values)))[:, 0]
    assert ((logits > 0).numpy() == LABELS.astype(bool)).mean() > 0.9


def test_a_diverging_loss_gets_a_sentence(tmp_path: Path) -> None:
    recipe = change_recipe(RECIPE, {"optimiser": {"kind": "sgd", "lr": 1e30}}, "test")
    with pytest.raises(InputError, match=r"drawn.*no longer finite; lower"):
        train_encoder(network_of(recipe), TintedSource(), patients(), training_of(tmp_path, recipe))


def test_a_checkpoint_of_other_settings_or_damaged_is_refused(tmp_path: Path) -> None:
    train_encoder(network_of(), TintedSource(), patients(), training_of(tmp_path))
    path = tmp_path / "drawn.checkpoint"
    before = path.read_bytes()
    with pytest.raises(
        StaleCacheError, match=r"differs from this run \(recipe.lr: 0.1, now 0.2\).*--name.*--force"
    ):
        train_encoder(
            network_of(),
            TintedSource(),
            patients(),
            training_of(tmp_path, identity={"name": "drawn", "recipe": {"lr": 0.2}}),
        )
    assert path.read_bytes() == before
    for damaged in (before[: len(before) // 2], b"", b"nonsense"):
        path.write_bytes(damaged)
        with pytest.raises(StaleCacheError, match="is damaged"):
            train_encoder(network_of(), TintedSource(), patients(), training_of(tmp_path))


def test_a_full_disk_keeps_the_epoch_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, calls = Path.write_bytes, []

    def full(path: Path, data: bytes) -> int:
        calls.append(path)
        if len(calls) == 3:
            plain(path, data[: len(data) // 2])
            raise OSError(28, "No space left on device")
        return plain(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        train_encoder(network_of(), TintedSource(), patients(), training_of(tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["drawn.checkpoint"]
    assert read_checkpoint(tmp_path / "drawn.checkpoint", KEY).epoch == 2


def test_seeds_differ_by_name_and_number() -> None:
    seeds = [seed_of(*parts) for parts in [(0, "a", 0), (0, "a", 1), (1, "a", 0), (0, "b", 0), (0, "a", "0")]]
    assert len(set(seeds)) == 5
    assert seed_of(0, "a", 0) == seeds[0]
    assert all(0 <= seed < 1 << 62 for seed in seeds)
