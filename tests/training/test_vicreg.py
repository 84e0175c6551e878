"""VICReg's loss against its formula, its step against one graph, and what a training on it leaves."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lymphofeat.encoder.backbones import backbone_named, untrained
from lymphofeat.errors import InputError
from lymphofeat.progress import Silent
from lymphofeat.training.adapt import _Run, adapt_encoder
from lymphofeat.training.checkpoint import read_checkpoint
from lymphofeat.training.epochs import LearningBags, Training, prepare_network
from lymphofeat.training.recipe import Recipe
from lymphofeat.training.recipe_file import change_recipe, find_recipe
from lymphofeat.training.step import draw_groups
from lymphofeat.training.vicreg import ViewNetwork, vicreg_terms

CPU = torch.device("cpu")
KEY = {"name": "seen"}
SIZES = 2 + np.arange(9) % 3
BAGS = LearningBags(np.cumsum(SIZES) - SIZES, SIZES)
RECIPE = change_recipe(
    find_recipe("adapt"),
    {
        "network": {"backbone": "small-cnn", "hidden": [24, 24]},
        "batches": {"patients": 3, "images": 6, "images_per_patient": 2},
        "training": {"epochs": 4},
    },
    "test",
)


class NoisySource:
    """Images of noise, each view of an image with noise of its own."""

    def __init__(self, noise: float = 0.5) -> None:
        self.noise = noise
        self.images = torch.randn(int(SIZES.sum()), 3, 16, 16, generator=torch.Generator().manual_seed(1))

    def training(self, rows: np.ndarray, generator: torch.Generator) -> torch.Tensor:
        return self.images[rows] + self.noise * torch.randn(len(rows), 3, 16, 16, generator=generator)

    def plain(self, rows: np.ndarray) -> torch.Tensor:
        return self.images[rows]


def network_of(recipe: Recipe = RECIPE) -> ViewNetwork:
    return prepare_network(
        ViewNetwork(untrained(backbone_named("small-cnn"), 0), 128, recipe.network.hidden, 0), CPU
    )


def training_of(path: Path, recipe: Recipe = RECIPE) -> Training:
    return Training("seen", recipe, 0, path / "seen.checkpoint", KEY, CPU)


def same(first: ViewNetwork, second: ViewNetwork) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_the_loss_is_the_papers() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 10, 4)) * [0.2, 0.5, 1.0, 2.0]
    loss, parts = vicreg_terms(torch.from_numpy(a), torch.from_numpy(b))
    invariance = np.mean((a - b) ** 2)
    variance = np.mean([np.maximum(0, 1 - np.sqrt(z.var(0, ddof=1) + 1e-4)).mean() for z in (a, b)])
    covariance = sum((np.cov(z, rowvar=False) ** 2 * (1 - np.eye(4))).sum() / 4 for z in (a, b))
    assert parts == pytest.approx({"invariance": invariance, "variance": variance, "covariance": covariance})
    assert loss.item() == pytest.approx(25 * invariance + 25 * variance + covariance)


def test_one_embedding_for_all_images_costs_the_whole_variance() -> None:
    _, parts = vicreg_terms(torch.ones(6, 5), torch.ones(6, 5))
    assert parts["invariance"] == parts["covariance"] == 0
    assert parts["variance"] == pytest.approx(0.99)


@pytest.mark.parametrize("images", [2, 3, 6, 100])
@pytest.mark.parametrize("frozen_norm", [False, True])
def test_passes_give_the_gradient_of_one_graph(tmp_path: Path, images: int, *, frozen_norm: bool) -> None:
    recipe = change_recipe(RECIPE, {"batches": {"images": images}, "optimiser": {"kind": "sgd"}}, "test")
    ours, plain = network_of(recipe).train(), network_of(recipe).train()
    if frozen_norm:
        ours.backbone.eval()
        plain.backbone.eval()
    group = draw_groups(BAGS.first, BAGS.sizes, 3, 0, np.random.default_rng(0))[0]
    terms = _Run(ours, NoisySource(), BAGS, training_of(tmp_path, recipe)).step(group, seed=5)
    views = []
    parts = np.array_split(group.rows, -(-len(group.rows) // max(images // 2, 1)))
    for n, rows in enumerate(parts):
        pair = [NoisySource().training(rows, torch.Generator().manual_seed(5 + 2 * n + v)) for v in (0, 1)]
        views.append(plain.backbone(torch.cat(pair)).chunk(2))
    one, other = (torch.cat([pair[v] for pair in views]) for v in (0, 1))
    loss, _ = vicreg_terms(*plain.expander(torch.cat([one, other])).chunk(2))
    loss.backward()
    assert terms["loss"] == pytest.approx(loss.item(), rel=1e-5)
    for (name, p), q in zip(ours.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-3, atol=1e-4, msg=name)
    for (name, a), b in zip(ours.named_buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6, msg=name)


def test_views_draw_together_and_images_stay_apart(tmp_path: Path) -> None:
    changes = {
        "training": {"epochs": 30},
        "batches": {"patients": 9, "images": 64},
        "optimiser": {"lr": 1e-3},
    }
    recipe = change_recipe(RECIPE, changes, "test")
    state = adapt_encoder(network_of(recipe), NoisySource(), BAGS, training_of(tmp_path, recipe))
    first, last = state.history[0], state.history[-1]
    assert last["loss"] < 0.8 * first["loss"]
    assert last["variance"] < first["variance"] < 1
    assert state.best_epoch == 30


@pytest.mark.parametrize("after", [1, 3])
def test_a_resumed_training_ends_with_the_same_bits(tmp_path: Path, after: int) -> None:
    whole = network_of()
    adapt_encoder(whole, NoisySource(), BAGS, training_of(tmp_path / "whole"))

    class Stop(Silent):
        notes = 0

        def note(self, text: str) -> None:
            self.notes += 1
            if self.notes > after:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        adapt_encoder(network_of(), NoisySource(), BAGS, training_of(tmp_path), progress=Stop())
    assert read_checkpoint(tmp_path / "seen.checkpoint", KEY).epoch == after
    resumed = network_of()
    torch.rand(3)  # whatever else the process draws
    state = adapt_encoder(resumed, NoisySource(), BAGS, training_of(tmp_path))
    assert state.epoch == 4
    assert same(resumed, whole)
    assert not same(resumed, network_of())


def test_a_diverging_loss_gets_a_sentence(tmp_path: Path) -> None:
    recipe = change_recipe(RECIPE, {"optimiser": {"kind": "sgd", "lr": 1e30}}, "test")
    with pytest.raises(InputError, match=r"seen.*no longer finite; lower"):
        adapt_encoder(network_of(recipe), NoisySource(), BAGS, training_of(tmp_path, recipe))
