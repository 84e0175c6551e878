import pytest
import torch

from lymphofeat.encoder.backbones import backbone_named, untrained
from lymphofeat.encoder.state_dict import state_digest
from lymphofeat.training.pace import measure_pace, pace_from


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_timing_changes_nothing_and_training_costs_more_than_looking(dtype: torch.dtype) -> None:
    network = untrained(backbone_named("resnet18"), 0).eval()
    batch = torch.zeros(4, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    before, generator = state_digest(network.state_dict()), torch.get_rng_state()
    whole = measure_pace(network, batch, dtype)
    upper, below = pace_from(network, "layer4", batch, dtype)
    assert state_digest(network.state_dict()) == before
    assert torch.equal(torch.get_rng_state(), generator)
    assert not network.training
    assert all(p.requires_grad and p.grad is None for p in network.parameters())
    assert min(whole.inference, upper.inference, below) > 0
    assert whole.training > 0
    assert upper.training > 0


def test_layers_without_weights_cost_no_training() -> None:
    network = untrained(backbone_named("resnet18"), 0)
    batch = torch.zeros(2, 3, 64, 64)
    pace, below = pace_from(network, "fc", batch, torch.float32)
    assert pace.training < below
