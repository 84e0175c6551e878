import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lymphofeat.training.losses import Outputs, class_weights, patient_loss, probability
from lymphofeat.training.recipe import LossRecipe

EVEN = torch.ones(2)
logits = st.floats(-20, 20)
patients = st.lists(st.tuples(logits, logits, logits, logits, st.booleans()), min_size=1, max_size=8)


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def columns(
    rows: list[tuple[float, float, float, float, bool]],
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(P, 2) logits, (P, 2) gate scores, (P,) labels."""
    table = torch.tensor([row[:4] for row in rows], dtype=torch.float64)
    return table[:, :2], table[:, 2:], torch.tensor([float(row[4]) for row in rows])


@given(patients, st.sampled_from([0.0, 0.2]))
def test_cross_entropy_is_the_formula_summed_over_outputs(rows, smoothing: float) -> None:
    z, _, y = columns(rows)
    loss = patient_loss(Outputs(z), y, LossRecipe(label_smoothing=smoothing), torch.tensor([0.5, 2.0]))
    expected = 0.0
    for z1, z2, _, _, label in rows:
        target = label * (1 - smoothing) + smoothing / 2
        for logit in (z1, z2):
            weight = 2.0 if label else 0.5
            p = sigmoid(logit)
            expected -= weight * (target * math.log(p) + (1 - target) * math.log(1 - p + 1e-300)) / len(rows)
    assert float(loss) == pytest.approx(expected, rel=1e-4, abs=1e-6)


@given(patients)
def test_dice_is_one_minus_the_soft_overlap(rows) -> None:
    z, _, y = columns(rows)
    loss = patient_loss(Outputs(z[:, :1]), y, LossRecipe(kind="dice"), EVEN)
    p = [sigmoid(row[0]) for row in rows]
    overlap = sum(a * row[4] for a, row in zip(p, rows, strict=True))
    assert float(loss) == pytest.approx(
        1 - (2 * overlap + 1) / (sum(p) + sum(row[4] for row in rows) + 1), rel=1e-5
    )


@given(patients)
def test_the_mixture_loss_is_the_likelihood_of_the_mixture(rows) -> None:
    z, scores, y = columns(rows)
    outputs = Outputs(z, torch.log_softmax(scores, 1))
    loss = patient_loss(outputs, y, LossRecipe(), EVEN)
    expected = 0.0
    for z1, z2, g1, g2, label in rows:
        share = sigmoid(g1 - g2)
        p = share * sigmoid(z1) + (1 - share) * sigmoid(z2)
        q = share * sigmoid(-z1) + (1 - share) * sigmoid(-z2)
        expected -= math.log(p if label else q) / len(rows)
    assert float(loss) == pytest.approx(expected, rel=1e-5, abs=1e-9)
    mixed = [sigmoid(a - b) * sigmoid(z1) + sigmoid(b - a) * sigmoid(z2) for z1, z2, a, b, _ in rows]
    assert probability(outputs).tolist() == pytest.approx(mixed, rel=1e-5, abs=1e-9)


def test_probability_without_a_gate_is_the_mean_of_the_outputs() -> None:
    outputs = Outputs(torch.tensor([[0.0, 2.0], [-1.0, -1.0]]))
    assert probability(outputs).tolist() == pytest.approx([(0.5 + sigmoid(2)) / 2, sigmoid(-1)])


def test_class_weights_give_both_classes_the_same_say() -> None:
    labels = torch.tensor([0.0, 0.0, 0.0, 1.0])
    weights = class_weights(labels, balanced=True)
    assert weights.tolist() == pytest.approx([4 / 6, 2.0])
    assert float(weights[labels.long()].mean()) == pytest.approx(1)
    assert class_weights(labels, balanced=False).tolist() == [1, 1]


@pytest.mark.parametrize("recipe", [LossRecipe(), LossRecipe(kind="dice"), LossRecipe(label_smoothing=0.1)])
@pytest.mark.parametrize("gated", [False, True])
def test_extreme_outputs_keep_a_finite_gradient(recipe: LossRecipe, *, gated: bool) -> None:
    z = torch.tensor([[500.0, -500.0], [-500.0, 500.0]], requires_grad=True)
    gate = torch.log_softmax(torch.tensor([[100.0, -100.0], [-100.0, 100.0]]), 1) if gated else None
    loss = patient_loss(Outputs(z, gate), torch.tensor([0.0, 1.0]), recipe, EVEN)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(z.grad).all()
