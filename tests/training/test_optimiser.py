import pytest
import torch

from lymphofeat.encoder.backbones import backbone_named, untrained
from lymphofeat.training.optimiser import make_optimiser, rate_factor, set_rate
from lymphofeat.training.recipe import OptimiserRecipe, ScheduleRecipe

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (ScheduleRecipe(), {0.0: 1, 7.5: 1, 19.9: 1}),
        (
            ScheduleRecipe(kind="step", every=10, factor=0.1),
            {0.0: 1, 9.9: 1, 10.0: 0.1, 19.9: 0.1, 20.0: 0.01},
        ),
        (ScheduleRecipe(kind="exponential", factor=0.9), {0.0: 1, 0.9: 1, 1.0: 0.9, 3.5: 0.9**3}),
        (ScheduleRecipe(kind="cosine"), {0.0: 1, 10.0: 0.5, 20.0: 0.0}),
        (ScheduleRecipe(kind="cosine", warm_up=4), {0.0: 0.001 / 4, 1.0: 0.25, 4.0: 1, 12.0: 0.5, 20.0: 0.0}),
        (ScheduleRecipe(warm_up=0.5), {0.25: 0.5, 0.5: 1, 3.0: 1}),
    ],
)
def test_the_rate_follows_its_schedule(schedule: ScheduleRecipe, expected: dict[float, float]) -> None:
    for at, factor in expected.items():
        assert rate_factor(schedule, at, 20) == pytest.approx(factor, abs=1e-9)


@pytest.mark.parametrize("schedule", ["step", "exponential"])
def test_torchs_own_scheduler_agrees(schedule: str) -> None:
    recipe = ScheduleRecipe(kind=schedule, every=3, factor=0.5)
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = (
        torch.optim.lr_scheduler.StepLR(optimiser, 3, 0.5)
        if schedule == "step"
        else torch.optim.lr_scheduler.ExponentialLR(optimiser, 0.5)
    )
    for epoch in range(8):
        assert rate_factor(recipe, float(epoch), 8) == pytest.approx(theirs.get_last_lr()[0])
        optimiser.step()
        theirs.step()


def rates(optimiser: torch.optim.Optimizer) -> dict[int, tuple[float, float]]:
    """Parameter's identity → its rate and decay."""
    return {id(p): (g["lr"], g["weight_decay"]) for g in optimiser.param_groups for p in g["params"]}


def test_lower_stages_learn_more_slowly_and_only_weights_decay() -> None:
    network = untrained(backbone_named("resnet18"), 0)
    head = torch.nn.Linear(512, 1)
    recipe = OptimiserRecipe(kind="adamw", lr=1e-2, head_factor=10, layer_decay=0.5, weight_decay=0.1)
    optimiser = make_optimiser(network, head, recipe, CPU)
    found = rates(optimiser)
    assert len(found) == sum(1 for _ in network.parameters()) + 2
    expected = {"conv1": 1e-2 / 16, "bn1": 1e-2 / 16, "layer1": 1e-2 / 8, "layer3": 1e-2 / 2, "layer4": 1e-2}
    for name, rate in expected.items():
        for parameter in getattr(network, name).parameters():
            assert found[id(parameter)] == pytest.approx((rate, 0.1 if parameter.ndim > 1 else 0))
    assert found[id(head.weight)] == pytest.approx((0.1, 0.1))
    set_rate(optimiser, 0.5)
    assert rates(optimiser)[id(network.layer4[0].conv1.weight)][0] == pytest.approx(5e-3)
    set_rate(optimiser, 1.0)
    assert rates(optimiser) == found


@pytest.mark.parametrize("kind", ["adam", "adamw", "sgd"])
def test_what_needs_no_gradient_is_left_out(kind: str) -> None:
    network = untrained(backbone_named("small-cnn"), 0)
    network.block1.requires_grad_(requires_grad=False)
    optimiser = make_optimiser(network, torch.nn.Linear(128, 1), OptimiserRecipe(kind=kind), CPU)
    there = rates(optimiser)
    assert not any(id(p) in there for p in network.block1.parameters())
    assert all(id(p) in there for p in network.block2.parameters())
