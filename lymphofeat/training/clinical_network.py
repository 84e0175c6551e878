"""The clinical network that is trained by itself and has half of the say (clinical use "apart")."""

import torch
from torch import Tensor

from ..estimates.scores import balanced_accuracy_score
from .losses import Outputs, patient_loss, probability
from .networks import PatientHead
from .recipe import Recipe

__all__ = ["train_clinical"]


def train_clinical(
    head: PatientHead, values: Tensor, labels: Tensor, learns: Tensor, recipe: Recipe, weights: Tensor
) -> None:
    """Train `head.clinical` in full-batch Adam steps and leave the best step's weights in it.

    The best step has the highest balanced accuracy (at probability 0.5) on the patients that do not learn, and among
    equals the lowest loss there.

    Args:
        head: its `scaler` fitted.
        values: (n, C) clinical values, NaN where missing.
        labels: (n,) float32.
        learns: (n,) bool; the others validate.
        recipe: its clinical and loss sections.
        weights: (2,) of the classes.
    """
    network = head.clinical
    scaled = head.scaler(values)
    optimiser = torch.optim.Adam(network.parameters(), lr=recipe.clinical.lr)
    best, best_merit = network.state_dict(), (-1.0, 0.0)
    for _ in range(recipe.clinical.epochs):
        optimiser.zero_grad()
        loss = patient_loss(Outputs(network(scaled[learns])), labels[learns], recipe.loss, weights)
        torch.autograd.backward(loss)
        optimiser.step()
        with torch.no_grad():
            outputs = Outputs(network(scaled[~learns]))
            loss = patient_loss(outputs, labels[~learns], recipe.loss, weights)
            decided = (probability(outputs) >= 0.5).cpu().numpy().astype(int)
        merit = (balanced_accuracy_score(labels[~learns].cpu().numpy(), decided), -float(loss))
        if merit > best_merit:
            best_merit = merit
            best = {key: value.clone() for key, value in network.state_dict().items()}
    network.load_state_dict(best)
