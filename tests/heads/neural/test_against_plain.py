"""Models trained together equal the plain loop over bags with autograd, model by model."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from lymphofeat.heads.neural.additive import AdditiveNetwork
from lymphofeat.heads.neural.attention import AttentionNetwork
from lymphofeat.heads.neural.batched import Model, Schedule, predict, train_models
from lymphofeat.heads.neural.deepsets import DeepSetsNetwork
from lymphofeat.heads.neural.network import Layout, Network
from lymphofeat.heads.neural.packing import BagTensors
from lymphofeat.heads.neural.transformer import TransformerNetwork

from .plain import PlainAdditive, PlainAttention, PlainDeepSets, PlainTransformer, bag_of, train_plainly

DIM, CLINICAL, HIDDEN, N = 10, 3, 8, 30
PAIRS: dict[str, tuple[Callable[[], Network], Callable[[int], nn.Module]]] = {
    "attention": (
        lambda: AttentionNetwork(HIDDEN, gated=False),
        lambda c: PlainAttention(DIM, c, HIDDEN, gated=False),
    ),
    "gated": (
        lambda: AttentionNetwork(HIDDEN, gated=True),
        lambda c: PlainAttention(DIM, c, HIDDEN, gated=True),
    ),
    "deepsets": (lambda: DeepSetsNetwork(HIDDEN), lambda c: PlainDeepSets(DIM, c, HIDDEN)),
    "additive": (lambda: AdditiveNetwork(HIDDEN), lambda c: PlainAdditive(DIM, c, HIDDEN)),
    "transformer": (lambda: TransformerNetwork(HIDDEN), lambda c: PlainTransformer(DIM, c, HIDDEN)),
}
SCHEDULE = Schedule(epochs=4, batch_size=5, learning_rate=5e-3, weight_decay=0.1)


def models(clinical: int = CLINICAL, seed: int = 0) -> list[Model]:
    """Four models on shared bags of 1 to 12 instances: other patients, other numbers of steps, other seeds."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 13, N)
    y = rng.permutation(np.arange(N) % 2).astype(np.int8)
    rows = rng.normal(size=(lengths.sum(), DIM)) + np.repeat(y, lengths)[:, None] * 0.3
    data = BagTensors(
        torch.from_numpy(rows).float(), lengths, torch.from_numpy(rng.normal(size=(N, clinical))).float()
    )
    parts = (np.arange(0, 24), np.arange(6, 30), np.arange(3, 20), np.r_[0:6, 12:30])
    return [Model(data, part, y[part], persons=part, seed=100 + k) for k, part in enumerate(parts)]


def plain_logits(
    make: Callable[[int], nn.Module], network: Network, model: Model, schedule: Schedule
) -> np.ndarray:
    clinical = model.data.clinical.shape[1]
    layout = Layout(network.weights(DIM, clinical))
    module = make(clinical)
    module.load({name: view[0] for name, view in layout.views(layout.draw(model.seed)[None]).items()})
    train_plainly(module, model, schedule)
    module.eval()
    with torch.no_grad():
        return np.array([float(module(*bag_of(model, b))) for b in range(N)])


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize(
    ("schedule", "clinical"),
    [
        (SCHEDULE, CLINICAL),
        (SCHEDULE, 0),
        (Schedule(4, 5, 5e-3, 0.1, dropout=0.5, balanced=True), CLINICAL),
        (Schedule(1, 1, 5e-3, 0.1), CLINICAL),
    ],
    ids=["both", "image", "dropout-balanced", "one-bag-steps"],
)
@pytest.mark.filterwarnings("ignore:enable_nested_tensor", "ignore:Initializing zero-element")
def test_equals_the_plain_loop(name: str, schedule: Schedule, clinical: int) -> None:
    make_network, make_module = PAIRS[name]
    expected = [plain_logits(make_module, make_network(), m, schedule) for m in models(clinical)]
    assert np.abs(expected).max() > 0.05
    for times, group, workers in ((1, 1, 2), (4, 4, 1), (3, 3, 3)):
        network = make_network()
        network.group = group
        trained = models(clinical) * times  # a group is at most a quarter of all models
        layout = Layout(network.weights(DIM, clinical))
        parameters = train_models(network, trained, schedule, layout, workers)
        for k, model in enumerate(trained):
            logits = predict(network, parameters[k : k + 1], layout, model.data, np.arange(N))[0]
            np.testing.assert_allclose(logits, expected[k % 4], rtol=0, atol=1e-4)


@pytest.mark.parametrize("gated", [False, True])
def test_closed_form_is_the_derivative(gated: bool) -> None:  # noqa: FBT001
    """In float64, against central differences of the loss."""
    model = models()[0]
    data = BagTensors(model.data.rows.double(), model.data.lengths, model.data.clinical.double())
    pack = data.take(np.arange(7))
    network = AttentionNetwork(4, gated=gated)
    layout = Layout(network.weights(DIM, CLINICAL))
    y = torch.tensor([0.0, 1, 1, 0, 1, 0, 0], dtype=torch.float64)
    flat = layout.draw(3).double()[None]

    def loss(values: torch.Tensor) -> float:
        logits = network.logits(layout.views(values), pack)
        return float(nn.functional.binary_cross_entropy_with_logits(logits, y, reduction="sum"))

    gradient = torch.zeros_like(flat)
    network.gradient(layout.views(flat), layout.views(gradient), pack, lambda z: z.sigmoid() - y)
    numeric = torch.empty(layout.size, dtype=torch.float64)
    for i in range(layout.size):
        step = torch.zeros_like(flat)
        step[0, i] = 1e-4
        numeric[i] = (loss(flat + step) - loss(flat - step)) / 2e-4
    np.testing.assert_allclose(gradient[0].numpy(), numeric.numpy(), rtol=0, atol=1e-7)


def test_threads_and_neighbours_change_no_bit() -> None:
    network = AttentionNetwork(HIDDEN, gated=True)
    trained = models()
    layout = Layout(network.weights(DIM, CLINICAL))
    together = train_models(network, trained, SCHEDULE, layout, workers=3)
    for k, model in enumerate(trained):
        alone = train_models(network, [model], SCHEDULE, layout, workers=1)
        torch.testing.assert_close(alone[0], together[k], rtol=0, atol=0)


def test_bfloat16_products_stay_close_to_float32() -> None:
    trained = models()
    for make_network, _ in PAIRS.values():
        network = make_network()
        layout = Layout(network.weights(DIM, CLINICAL))
        exact = train_models(network, trained[:1], SCHEDULE, layout, 1)
        data = trained[0].data
        rough = BagTensors(data.rows.bfloat16(), data.lengths, data.clinical)
        model = Model(rough, trained[0].train, trained[0].y, trained[0].persons, trained[0].seed)
        coarse = train_models(network, [model], SCHEDULE, layout, 1)
        assert coarse.dtype == torch.float32
        logits = [
            predict(network, exact, layout, data, np.arange(N))[0],
            predict(network, coarse, layout, rough, np.arange(N))[0],
        ]
        assert np.corrcoef(logits)[0, 1] > 0.99
