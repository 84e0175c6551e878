from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from lymphofeat.encoder.backbones import backbone_named, untrained
from lymphofeat.encoder.state_dict import is_trained, state_digest
from lymphofeat.encoder.weights import load_weights
from lymphofeat.errors import LeakageError, WeightsError
from lymphofeat.training.networks import PatientNetwork
from lymphofeat.training.recipe_file import change_recipe, find_recipe
from lymphofeat.training.trained import load_trained, save_trained, trained_about

RECIPE = change_recipe(
    find_recipe("pooled+clinical"), {"network": {"backbone": "small-cnn"}, "augment": {"grey": True}}, "test"
)


def network_of(seed: int = 1) -> PatientNetwork:
    return PatientNetwork(untrained(backbone_named("small-cnn"), seed), 128, RECIPE, seed).eval()


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    path = tmp_path / "x-fold0.safetensors"
    save_trained(path, network_of(), RECIPE, {"name": "x-fold0", "blind_to": [0]})
    return path


def test_a_kept_encoder_comes_back_as_it_was(kept: Path) -> None:
    trained = load_trained(kept)
    assert trained.recipe == replace(RECIPE, title="")
    assert trained.about["blind_to"] == [0]
    assert trained.preprocessing.grey
    assert trained.preprocessing.crop == 112
    assert state_digest(trained.network.state_dict()) == state_digest(network_of().state_dict())
    images, values = torch.rand(3, 3, 32, 32), torch.rand(3, 4)
    outputs = [n.head.predict(n.backbone(images), values) for n in (trained.network, network_of())]
    assert torch.equal(*outputs)


def test_channels_last_weights_are_kept_in_order(tmp_path: Path) -> None:
    path = tmp_path / "y.safetensors"
    save_trained(path, network_of().to(memory_format=torch.channels_last), RECIPE, {"name": "y"})
    assert state_digest(load_trained(path).network.state_dict()) == state_digest(network_of().state_dict())


def test_a_fine_tuned_encoder_cannot_pass_for_one_that_saw_no_labels(kept: Path) -> None:
    with pytest.raises(LeakageError, match="fine-tuned on a cohort's labels"):
        load_weights(backbone_named("small-cnn"), str(kept))
    plain = kept.with_name("plain.safetensors")
    safetensors.torch.save_file(untrained(backbone_named("small-cnn"), 3).state_dict(), plain)
    assert is_trained(kept)
    assert not is_trained(plain)
    load_weights(backbone_named("small-cnn"), str(plain))


def test_a_damaged_or_foreign_file_gets_a_sentence(kept: Path) -> None:
    content = kept.read_bytes()
    kept.write_bytes(content[: len(content) // 2])
    with pytest.raises(WeightsError, match=r"x-fold0\.safetensors is"):
        load_trained(kept)
    assert not is_trained(kept)
    safetensors.torch.save_file({"a": torch.zeros(2)}, kept)
    with pytest.raises(WeightsError, match="not a trained encoder"):
        trained_about(kept)
    with pytest.raises(WeightsError, match="not a trained encoder"):
        trained_about(kept.with_name("absent.safetensors"))


def test_any_byte_of_the_file(kept: Path) -> None:
    """A flipped bit in description, names, shapes or weights is found when the file is read."""
    whole, rng = kept.read_bytes(), np.random.default_rng(0)
    header = 8 + int.from_bytes(whole[:8], "little")
    expected = state_digest(network_of().state_dict())
    for at in [*rng.integers(0, header, 60).tolist(), *rng.integers(header, len(whole), 40).tolist()]:
        kept.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << int(rng.integers(8))]) + whole[at + 1 :])
        try:
            trained = load_trained(kept)
        except WeightsError:
            continue
        assert trained.recipe == replace(RECIPE, title=""), at  # batches counted in training are no weights
        assert state_digest(trained.network.state_dict()) == expected, at


def test_digests_do_not_depend_on_memory_layout() -> None:
    network = untrained(backbone_named("resnet18"), 0)
    before = state_digest(network.state_dict())
    assert state_digest(network.to(memory_format=torch.channels_last).state_dict()) == before
    with torch.no_grad():
        network.layer4[0].downsample[0].weight[3, 4, 0, 0] += np.float32(1e-3)
    assert state_digest(network.state_dict()) != before
