"""The two halves with a store between them against the whole network on the same pixels."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import ResNet

from lymphofeat.cohort.fingerprint import image_digests
from lymphofeat.encoder.backbones import BACKBONES, untrained
from lymphofeat.encoder.pixels import Preprocessing
from lymphofeat.encoder.preparation import IMAGENET_MEAN, IMAGENET_STD
from lymphofeat.encoder.state_dict import state_digest
from lymphofeat.errors import InputError
from lymphofeat.training import activations
from lymphofeat.training.activations import TRAIN_FROM, open_activations, split_network, variant_draws
from lymphofeat.training.augment import Augmenter, AugmentSpec
from lymphofeat.training.pixel_store import PixelStore, open_pixels

from ..helpers.simulated import noise_cohort

CROP, V = 40, 4
AUGMENTER = Augmenter(
    AugmentSpec(flip=True, rotate="right"), Preprocessing(CROP, IMAGENET_MEAN, IMAGENET_STD)
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PixelStore:
    folder = tmp_path_factory.mktemp("store")
    cohort = noise_cohort(folder / "cohort", n_train=9, n_test=0)
    return open_pixels(cohort.images, image_digests(cohort.images), folder, CROP)


@pytest.fixture
def network() -> ResNet:
    """Random weights, and batch norm statistics that are not the trivial 0 and 1."""
    network = untrained(BACKBONES["resnet18"], 0)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(1)
        network.train()
        network(torch.randn(8, 3, CROP, CROP))
    return network.eval()


def opened(network, store, folder: Path, train_from="layer4", **changes):
    lower, _ = split_network(network, train_from)
    options = {"augmenter": AUGMENTER, "variants": V, "dtype": torch.float32, "digest": "w"} | changes
    return open_activations(
        lower,
        options.pop("digest"),
        store,
        options.pop("augmenter"),
        options.pop("variants"),
        folder,
        **options,
    )


def error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("train_from", TRAIN_FROM)
def test_upper_on_the_store_is_the_whole_network(network, store, tmp_path, train_from) -> None:
    activations_ = opened(network, store, tmp_path, train_from)
    _, upper = split_network(network, train_from)
    n = len(store)
    assert len(activations_) == n
    draws = variant_draws(n, V, AUGMENTER, 0)
    with torch.no_grad():
        for version in range(V):
            pixels = store.read(range(n))
            images = AUGMENTER.plain(pixels) if version == 0 else AUGMENTER.apply(pixels, draws[:, version])
            values = activations_.batch(range(n), [version] * n, torch.float32)
            assert error(upper(values), network(images)) < 0.005  # the store keeps 8 bits of mantissa
    rows, versions = [30, 2, 2], [1, 0, 3]
    mixed = activations_.batch(rows, versions)
    assert mixed.dtype == torch.bfloat16
    assert mixed.shape[1:] == activations_.shape
    assert mixed.ndim == 2 or mixed.is_contiguous(memory_format=torch.channels_last)
    for i, (row, version) in enumerate(zip(rows, versions, strict=True)):
        torch.testing.assert_close(mixed[i], activations_.batch([row], [version])[0])


@pytest.mark.parametrize("train_from", TRAIN_FROM)
@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_the_halves_are_the_networks_own_modules(name, train_from) -> None:
    network = untrained(BACKBONES[name], 0).eval()
    lower, upper = split_network(network, train_from)
    both = {**lower.state_dict(), **upper.state_dict()}
    assert both.keys() == network.state_dict().keys()
    assert state_digest(both) == state_digest(network.state_dict())
    assert not any(p.requires_grad for p in lower.parameters())
    assert all(p.requires_grad for p in upper.parameters())
    assert next(iter(dict(upper.named_children()))) == train_from
    images = torch.randn(2, 3, CROP, CROP, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(upper(lower(images)), network(images))


def test_a_step_of_upper_is_the_step_of_the_network(network, store, tmp_path) -> None:
    """Gradients of layer4 from stored activations are those of the whole network, and only layer4 has any."""
    stored = opened(network, store, tmp_path)
    lower, upper = split_network(network, "layer4")
    rows = [1, 5, 9]
    upper(stored.batch(rows, [0, 0, 0], torch.float32)).square().mean().backward()
    found = {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
    assert set(found) == {f"layer4.{name}" for name, _ in network.layer4.named_parameters()}
    network.zero_grad()
    network(AUGMENTER.plain(store.read(rows))).square().mean().backward()
    for name, gradient in found.items():
        assert error(gradient, network.get_parameter(name).grad) < 0.06, name  # of 8 bits of mantissa
    assert all(p.grad is None for p in lower.parameters())


def test_lower_is_left_unfused(network, store, tmp_path) -> None:
    before = state_digest(network.state_dict())
    opened(network, store, tmp_path)
    assert state_digest(network.state_dict()) == before
    assert any(isinstance(m, nn.BatchNorm2d) for m in split_network(network, "layer4")[0].modules())


def test_versions_are_different_placements_and_none_is_the_plain_one() -> None:
    draws = variant_draws(50, 8, AUGMENTER, 0)
    elements = (draws[:, 1:, 0] * 8).long()
    for row in elements.tolist():
        assert sorted(row) == [1, 2, 3, 4, 5, 6, 7]
    assert len({tuple(row) for row in elements.tolist()}) > 20
    assert torch.equal(draws, variant_draws(50, 8, AUGMENTER, 0))
    assert not torch.equal(draws, variant_draws(50, 8, AUGMENTER, 1))
    more = (variant_draws(3, 12, AUGMENTER, 0)[:, 1:, 0] * 8).long()
    assert (more > 0).all()
    coloured = Augmenter(AugmentSpec(brightness=0.1), AUGMENTER.inference)
    assert variant_draws(3, 2, coloured, 0).shape == draws[:3, :2].shape


def test_the_number_of_workers_does_not_change_a_bit(network, store, tmp_path) -> None:
    one, three = (opened(network, store, tmp_path / str(n), workers=n).rows.array for n in (1, 3))
    assert (one == three).all()


def test_the_store_is_reused_and_every_change_makes_another(network, store, tmp_path, monkeypatch) -> None:
    opened(network, store, tmp_path)
    assert len(list(tmp_path.glob("*.bf16"))) == 1
    others = [
        {"digest": "x"}, {"variants": 3}, {"seed": 1}, {"train_from": "layer3"}, {"dtype": torch.bfloat16},
        {"augmenter": Augmenter(AugmentSpec(flip=True), AUGMENTER.inference)},
        {"augmenter": Augmenter(AUGMENTER.spec, Preprocessing(CROP, (0.5, 0.5, 0.5), IMAGENET_STD))},
        {"augmenter": Augmenter(replace(AUGMENTER.spec, grey=True), AUGMENTER.inference)},
    ]  # fmt: skip
    for changes in others:
        opened(network, store, tmp_path, **changes)
    assert len(list(tmp_path.glob("*.bf16"))) == 1 + len(others)
    monkeypatch.setattr(activations._Lower, "__call__", None)  # nothing is left to compute
    again = opened(network, store, tmp_path)
    assert again.batch([0], [0]).isfinite().all()


def test_bfloat16_arithmetic_is_near_float32(network, store, tmp_path) -> None:
    exact, fast = (opened(network, store, tmp_path, dtype=d) for d in (torch.float32, torch.bfloat16))
    rows, versions = range(len(store)), [0] * len(store)
    assert error(fast.batch(rows, versions).float(), exact.batch(rows, versions).float()) < 0.02


def test_versions_and_images_that_are_not_there_raise(network, store, tmp_path) -> None:
    stored = opened(network, store, tmp_path)
    for rows, versions in (([0], [V]), ([0], [-1]), ([len(store)], [0]), ([-1], [0])):
        with pytest.raises(IndexError):
            stored.batch(rows, versions)


def test_what_cannot_be_split_gets_a_sentence(network, store, tmp_path) -> None:
    with pytest.raises(InputError, match="'layer9' is not known; use one of layer3, layer4, fc"):
        split_network(network, "layer9")
    with pytest.raises(InputError, match="needs a ResNet, whose layers it knows, and this is a Sequential"):
        split_network(nn.Sequential(), "layer4")
    with pytest.raises(InputError, match="variants is 0"):
        opened(network, store, tmp_path, variants=0)
