"""Patient-level networks: features of images, averaged per patient; outputs from the mean and the clinical row.

The mean is over images in any order, so that a patient's images may come in several batches; see
`lymphofeat.training.step`.
"""

import torch
from torch import Tensor, nn

from ..errors import InputError
from .losses import Outputs, probability
from .recipe import ClinicalRecipe, Recipe
from .vicreg import ViewNetwork

__all__ = ["ClinicalScaler", "PatientHead", "PatientNetwork", "bag_means", "mlp", "network_for"]


class ClinicalScaler(nn.Module):
    """Clinical values in the training patients' standard deviations from their mean; missing ones at their median."""

    median: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, n_values: int) -> None:
        super().__init__()
        self.register_buffer("median", torch.zeros(n_values))
        self.register_buffer("mean", torch.zeros(n_values))
        self.register_buffer("deviation", torch.ones(n_values))

    def fit(self, values: Tensor) -> "ClinicalScaler":
        """Learn from (n, C) values of the training patients, NaN where missing."""
        # On the CPU, since CUDA's is not repeatable.
        median = torch.nanmedian(values.cpu(), 0).values.nan_to_num(0.0).to(values.device)
        filled = torch.where(torch.isnan(values), median, values)
        deviation = filled.std(0, correction=0)
        self.median.copy_(median)
        self.mean.copy_(filled.mean(0))
        self.deviation.copy_(torch.where(deviation > 0, deviation, torch.ones_like(deviation)))
        return self

    def forward(self, values: Tensor) -> Tensor:
        filled = torch.where(torch.isnan(values), self.median, values)
        scaled: Tensor = (filled - self.mean) / self.deviation
        return scaled


class SeededDropout(nn.Module):
    """Dropout whose mask comes from a seed of its own, so that encoders can be trained side by side and resumed."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share, self.seed = share, 0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.share:
            return x
        kept = torch.rand(x.shape, generator=torch.Generator().manual_seed(self.seed)) >= self.share
        return x * kept.to(x.device) / (1 - self.share)


def mlp(n_in: int, hidden: tuple[int, ...], n_out: int = 1, dropout: float = 0.0) -> nn.Sequential:
    """Linear layers with ReLU between them, dropout before each: n_in → hidden … → n_out."""
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [SeededDropout(dropout), nn.Linear(n_in, width), nn.ReLU()]
        n_in = width
    return nn.Sequential(*layers, SeededDropout(dropout), nn.Linear(n_in, n_out))


class PatientHead(nn.Module):
    """(P, D) mean features and (P, C) clinical values → `Outputs`."""

    def __init__(self, dim: int, hidden: tuple[int, ...], dropout: float, clinical: ClinicalRecipe) -> None:
        super().__init__()
        self.use = clinical.use
        self.image = mlp(dim, hidden, dropout=dropout)
        n_values = len(clinical.values)
        if clinical.use != "none":
            self.scaler = ClinicalScaler(n_values)
            self.clinical = mlp(n_values, clinical.hidden)
        if clinical.use == "gate":
            self.gate = nn.Linear(dim + n_values, 2)

    def forward(self, features: Tensor, values: Tensor) -> Outputs:
        """The outputs that are trained together; of a clinical network apart, see `predict`."""
        image = self.image(features)
        if self.use in ("none", "apart"):
            return Outputs(image)
        scaled = self.scaler(values)
        logits = torch.cat([image, self.clinical(scaled)], 1)
        if self.use == "branch":
            return Outputs(logits)
        return Outputs(logits, torch.log_softmax(self.gate(torch.cat([features, scaled], 1)), 1))

    def reseed(self, seed: int) -> None:
        """Draw the masks of dropout from `seed`, a different one for each layer."""
        layers = [m for m in self.modules() if isinstance(m, SeededDropout)]
        for number, layer in enumerate(layers):
            layer.seed = seed + number

    def predict(self, features: Tensor, values: Tensor) -> Tensor:
        """(P,) float32 probabilities of malignant; a clinical network apart has half of the say."""
        outputs = self(features, values)
        if self.use == "apart":
            outputs = Outputs(torch.cat([outputs.logits, self.clinical(self.scaler(values))], 1))
        return probability(outputs)


class PatientNetwork(nn.Module):
    """A backbone and the head on the mean of its features over a patient's images.

    Attributes:
        backbone: (B, 3, crop, crop) → (B, D).
        head: see `PatientHead`.
        dim: D.
    """

    def __init__(self, backbone: nn.Module, dim: int, recipe: Recipe, seed: int) -> None:
        super().__init__()
        self.backbone, self.dim = backbone, dim
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.head = PatientHead(dim, recipe.network.hidden, recipe.network.dropout, recipe.clinical)


def network_for(recipe: Recipe, backbone: nn.Module, dim: int, seed: int) -> PatientNetwork | ViewNetwork:
    """What a recipe trains: the backbone, and beside it what its loss needs, drawn from `seed`."""
    if recipe.label_free:
        return ViewNetwork(backbone, dim, recipe.network.hidden, seed)
    return PatientNetwork(backbone, dim, recipe, seed)


def bag_means(features: Tensor, patient: Tensor, n_patients: int) -> Tensor:
    """(n_patients, D) mean of (B, D) float32 features over each patient's rows; `patient` is (B,) int64.

    Raises:
        InputError: a patient without images.
    """
    sizes = torch.bincount(patient, minlength=n_patients)
    if not sizes.all():
        raise InputError(f"{int((sizes == 0).sum())} patients have no image; remove them from the cohort.")
    total = features.new_zeros((n_patients, features.shape[1])).index_add_(0, patient, features)
    return total / sizes[:, None]
