"""The step in two passes against the plain one that keeps everything in memory."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lymphofeat.encoder.backbones import backbone_named, untrained
from lymphofeat.training.losses import patient_loss
from lymphofeat.training.networks import PatientNetwork, bag_means
from lymphofeat.training.recipe import LossRecipe
from lymphofeat.training.recipe_file import change_recipe, find_recipe
from lymphofeat.training.step import Group, TrainingStep, bag_features, draw_groups

CPU = torch.device("cpu")
SIZES = np.array([3, 5, 2, 7])
FIRST = np.cumsum(SIZES) - SIZES
LABELS = torch.tensor([0.0, 1.0, 1.0, 0.0])
VALUES = torch.tensor([[60.0, 5.0], [70.0, 30.0], [80.0, torch.nan], [50.0, 4.0]])


class FakeSource:
    """Images of noise, moved a little by a given generator, as augmentation would."""

    def __init__(self) -> None:
        self.images = torch.randn(int(SIZES.sum()), 3, 16, 16, generator=torch.Generator().manual_seed(3))

    def training(self, rows: np.ndarray, generator: torch.Generator) -> torch.Tensor:
        return self.images[rows] + 0.1 * torch.randn(len(rows), 3, 16, 16, generator=generator)

    def plain(self, rows: np.ndarray) -> torch.Tensor:
        return self.images[rows]


def network_of(name: str = "pooled+clinical") -> PatientNetwork:
    recipe = change_recipe(find_recipe(name), {"clinical": {"values": ["age", "count"]}}, name)
    network = PatientNetwork(untrained(backbone_named("small-cnn"), 0), 128, recipe, 0)
    if recipe.clinical.use != "none":
        network.head.scaler.fit(VALUES)
    return network.train()


def step_of(network: PatientNetwork, images: int, loss: LossRecipe | None = None) -> TrainingStep:
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    return TrainingStep(
        network, FakeSource(), optimiser, LABELS, VALUES, loss or LossRecipe(), torch.tensor([0.8, 1.2]),
        images=images, device=CPU,
    )  # fmt: skip


def group_of(seed: int = 0) -> Group:
    return draw_groups(FIRST, SIZES, 4, 0, np.random.default_rng(seed))[0]


def plain_gradients(
    network: PatientNetwork, group: Group, images: int, seed: int
) -> tuple[float, dict[str, torch.Tensor]]:
    """All batches in one graph: what memory would not hold with real images."""
    source = FakeSource()
    batches = np.array_split(group.rows, -(-len(group.rows) // images))
    features = torch.cat(
        [
            network.backbone(source.training(rows, torch.Generator().manual_seed(seed + b)))
            for b, rows in enumerate(batches)
        ]
    )
    means = bag_means(features, torch.from_numpy(group.owner), len(group.patients))
    chosen = torch.from_numpy(group.patients)
    loss = patient_loss(
        network.head(means, VALUES[chosen]), LABELS[chosen], LossRecipe(), torch.tensor([0.8, 1.2])
    )
    loss.backward()
    return loss.item(), {name: p.grad for name, p in network.named_parameters()}


@pytest.mark.parametrize("recipe", ["pooled", "pooled+clinical", "moe"])
@pytest.mark.parametrize("images", [4, 6, 17, 100])
@pytest.mark.parametrize("frozen_norm", [False, True])
def test_two_passes_give_the_plain_gradient(recipe: str, images: int, *, frozen_norm: bool) -> None:
    ours, plain = network_of(recipe), network_of(recipe)
    if frozen_norm:
        ours.backbone.eval()
        plain.backbone.eval()
    group = group_of()
    loss, predicted = step_of(ours, images).gradients(group, seed=5)
    expected_loss, expected = plain_gradients(plain, group, images, seed=5)
    assert loss == pytest.approx(expected_loss, rel=1e-6)
    assert predicted.shape == (4,)
    for name, p in ours.named_parameters():
        torch.testing.assert_close(p.grad, expected[name], rtol=1e-4, atol=1e-6, msg=name)
    for (name, a), b in zip(ours.named_buffers(), plain.buffers(), strict=True):  # counted once, not twice
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7, msg=name)


def test_a_step_follows_the_gradient() -> None:
    network = network_of()
    before = copy.deepcopy(network.state_dict())
    step_of(network, 4)(group_of(), seed=1)
    for name, p in network.named_parameters():
        torch.testing.assert_close(p.data, before[name] - 0.1 * p.grad, rtol=1e-5, atol=1e-7)


def test_steps_lower_the_loss() -> None:
    step = step_of(network_of("pooled"), 6)
    losses = [step(group_of(s), seed=s)[0] for s in range(12)]
    assert np.mean(losses[-3:]) < 0.7 * np.mean(losses[:3])


def test_a_long_gradient_is_clipped() -> None:
    network = network_of()
    step = step_of(network, 100)
    step.clip = 1e-3
    before = copy.deepcopy(network.state_dict())
    step(group_of(), seed=1)
    moved = sum(float((p.data - before[n]).square().sum()) for n, p in network.named_parameters()) ** 0.5
    assert moved == pytest.approx(0.1 * 1e-3, rel=1e-3)


def test_inference_averages_the_plain_images_of_each_bag() -> None:
    network, source = network_of("pooled"), FakeSource()
    bags = [np.arange(f, f + n) for f, n in zip(FIRST, SIZES, strict=True)]
    means = bag_features(network, source, bags, 4, CPU, torch.float32)
    assert not network.training
    with torch.no_grad():
        for bag, mean in zip(bags, means, strict=True):
            torch.testing.assert_close(
                mean, network.backbone(source.images[bag]).mean(0), rtol=1e-4, atol=1e-6
            )


def test_mixed_precision_is_near() -> None:
    exact, rounded = network_of("pooled"), network_of("pooled")
    group = group_of()
    loss, _ = step_of(exact, 6).gradients(group, seed=5)
    step = step_of(rounded, 6)
    step.dtype = torch.bfloat16
    near, _ = step.gradients(group, seed=5)
    assert near != loss
    assert near == pytest.approx(loss, rel=0.02)
    assert all(p.grad.dtype == torch.float32 for p in rounded.parameters())


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=12),
    st.integers(1, 6),
    st.integers(0, 5),
    st.integers(0, 99),
)
def test_an_epoch_sees_every_patient_once(sizes: list[int], patients: int, most: int, seed: int) -> None:
    lengths = np.array(sizes)
    first = np.cumsum(lengths) - lengths
    groups = draw_groups(first, lengths, patients, most, np.random.default_rng(seed))
    assert sorted(np.concatenate([g.patients for g in groups])) == list(range(len(sizes)))
    counts = [len(g.patients) for g in groups]
    assert max(counts) <= patients
    assert max(counts) - min(counts) <= 1
    for group in groups:
        for position, patient in enumerate(group.patients):
            rows = group.rows[group.owner == position]
            wanted = min(lengths[patient], most) if most else lengths[patient]
            assert len(np.unique(rows)) == wanted
            assert ((rows >= first[patient]) & (rows < first[patient] + lengths[patient])).all()
        assert len(group.rows) >= 2
