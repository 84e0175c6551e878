"""What a recipe says: network, clinical part, loss, batches, optimiser, schedule, augmentation, training.

A recipe is data. Its fields carry their own rules (`setting`), so that one checker words every mistake; files are
read by `lymphofeat.training.recipe_file`. What the named recipes stand for: `docs/recipes.md`.
"""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from typing import Any

from ..encoder.backbones import backbone_named
from ..errors import InputError
from .augment import AugmentSpec
from .label_free import LABEL_FREE

__all__ = [
    "BatchRecipe",
    "ClinicalRecipe",
    "LossRecipe",
    "NetworkRecipe",
    "OptimiserRecipe",
    "Recipe",
    "ScheduleRecipe",
    "TrainingRecipe",
    "mistakes_of",
]

TRAIN_FROM = ("all", "layer3", "layer4", "fc")


def setting(
    default: Any,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A field with its range: `low` ≤ value ≤ `high`, value > `above`, or one of `choices` (elements, for lists)."""
    return field(default=default, metadata={"low": low, "high": high, "above": above, "choices": choices})


@dataclass(frozen=True)
class NetworkRecipe:
    """The image network.

    Attributes:
        backbone: a name that `backbone_named` knows.
        start: "weights" (those that the command names) or "random".
        hidden: widths of linear layers with ReLU between the patient's mean feature and the output.
        dropout: before each linear layer.
        batch_norm: "train" (statistics of the batch, running averages updated) or "frozen" (as in the start weights).
    """

    backbone: str = setting("resnet18")
    start: str = setting("weights", choices=("weights", "random"))
    hidden: tuple[int, ...] = setting((), low=1)
    dropout: float = setting(0.0, low=0, high=0.95)
    batch_norm: str = setting("train", choices=("train", "frozen"))


@dataclass(frozen=True)
class ClinicalRecipe:
    """What is done with the clinical row.

    Attributes:
        use: "none"; "branch" (an output of its own beside the image's, trained in the same steps on the sum of both
            losses, probabilities averaged); "gate" (two experts mixed by a softmax gate that sees the mean feature and
            the clinical values, trained on the mixture's likelihood); "apart" (trained by itself, averaged).
        values: what the network sees, each standardised on the training patients: age, count, log_count, male,
            birth_month, birth_year, and declared columns of the cohort that are no texts (`cohort.clinical_values`).
        hidden: widths of its layers, with ReLU.
        epochs, lr: of "apart": full-batch Adam steps, and their rate.
    """

    use: str = setting("none", choices=("none", "branch", "gate", "apart"))
    values: tuple[str, ...] = setting(("age", "count"))
    hidden: tuple[int, ...] = setting((2,), low=1)
    epochs: int = setting(300, low=1)
    lr: float = setting(1e-3, above=0)


@dataclass(frozen=True)
class LossRecipe:
    """The loss over the patients of a step.

    Attributes:
        kind: "bce", binary cross-entropy, or "dice", 1 − soft Dice. With clinical use "gate" the loss is the
            negative log-likelihood of the mixture, and `kind` must be "bce". "vicreg" takes no labels: two views of
            each image are compared (`lymphofeat.training.vicreg`), and [network] hidden has the expander's widths.
        label_smoothing: s: the targets are s/2 and 1 − s/2.
        class_weights: weigh patients so that both classes weigh the same over the training patients.
    """

    kind: str = setting("bce", choices=("bce", "dice", LABEL_FREE))
    label_smoothing: float = setting(0.0, low=0, high=0.5)
    class_weights: bool = setting(default=False)


@dataclass(frozen=True)
class BatchRecipe:
    """What makes a step of the optimiser.

    Attributes:
        patients: whose images are seen in a step.
        images: that pass through the network together; a step with more takes several passes.
        images_per_patient: drawn anew each epoch; 0: all.
    """

    patients: int = setting(16, low=1)
    images: int = setting(64, low=2)
    images_per_patient: int = setting(0, low=0)


@dataclass(frozen=True)
class OptimiserRecipe:
    """The optimiser.

    Attributes:
        kind: "adam", "adamw" or "sgd" (momentum 0.9).
        lr: learning rate of the last stage of the backbone.
        head_factor: the outputs' learning rate as a multiple of `lr`.
        layer_decay: each stage further from the output has the rate of the next one times this.
        weight_decay: for weight matrices and kernels only; not for biases and batch norm.
        clip: largest norm of the gradient; 0: not clipped.
    """

    kind: str = setting("adam", choices=("adam", "adamw", "sgd"))
    lr: float = setting(1e-4, above=0)
    head_factor: float = setting(1.0, above=0)
    layer_decay: float = setting(1.0, above=0, high=1)
    weight_decay: float = setting(0.0, low=0)
    clip: float = setting(0.0, low=0)


@dataclass(frozen=True)
class ScheduleRecipe:
    """The learning rate over the epochs.

    Attributes:
        kind: "constant", "step" (× `factor` every `every` epochs), "exponential" (× `factor` each epoch), or "cosine"
            (to zero at the last epoch).
        every, factor: see `kind`.
        warm_up: epochs of linear rise at the beginning, parts of an epoch included.
    """

    kind: str = setting("constant", choices=("constant", "step", "exponential", "cosine"))
    every: int = setting(10, low=1)
    factor: float = setting(0.1, above=0, high=1)
    warm_up: float = setting(0.0, low=0)


@dataclass(frozen=True)
class TrainingRecipe:
    """How long, on what.

    Attributes:
        epochs: passes over the training patients; the best one by the inner validation patients is kept.
        inner_folds: the training patients are divided into so many folds by person, and one validates.
        train_from: "all", or the first part that is trained: "layer3", "layer4", "fc" (the outputs only).
        variants: stored flips and rotations per image where the lower layers run once.
        crop: side of the centre crop, in pixels.
        folds: folds of the cohort that the recipe asks for; 0: as the command says.
    """

    epochs: int = setting(20, low=1)
    inner_folds: int = setting(5, low=2)
    train_from: str = setting("all", choices=TRAIN_FROM)
    variants: int = setting(4, low=1, high=8)
    crop: int = setting(112, low=32)
    folds: int = setting(0, low=0, high=127)


@dataclass(frozen=True)
class Recipe:
    """One way to train an encoder; see the sections.

    Attributes:
        name: names the encodings made by it.
        title: one line for `lymphofeat recipes`.
    """

    name: str
    title: str = ""
    network: NetworkRecipe = NetworkRecipe()
    clinical: ClinicalRecipe = ClinicalRecipe()
    loss: LossRecipe = LossRecipe()
    batches: BatchRecipe = BatchRecipe()
    optimiser: OptimiserRecipe = OptimiserRecipe()
    schedule: ScheduleRecipe = ScheduleRecipe()
    augment: AugmentSpec = field(default_factory=AugmentSpec)
    training: TrainingRecipe = TrainingRecipe()

    @property
    def label_free(self) -> bool:
        """Whether it takes no labels, so that an encoder trained by it is blind to every fold."""
        return self.loss.kind == LABEL_FREE

    @classmethod
    def sections(cls) -> dict[str, type[Any]]:
        """The sections of a recipe file: name → class of its settings."""
        return {
            f.name: f.type for f in dataclasses.fields(cls) if isinstance(f.type, type) and f.type is not str
        }

    def to_dict(self) -> dict[str, Any]:
        """Name and settings, as JSON values; not the title, which decides nothing."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        del plain["title"]
        return plain

    def digest(self) -> str:
        """Hex digest of `to_dict`."""
        return blake2b(json.dumps(self.to_dict(), sort_keys=True).encode(), digest_size=8).hexdigest()


def mistakes_of(recipe: Recipe) -> list[str]:
    """What is wrong with a recipe's values, one clause each; empty where all is well."""
    found = [
        f"[{section}] {clause}"
        for section, kind in Recipe.sections().items()
        if kind is not AugmentSpec
        for clause in _out_of_range(getattr(recipe, section))
    ]
    return found + list(_contradictions(recipe))


def _out_of_range(section: Any) -> Iterator[str]:
    for f in dataclasses.fields(section):
        value = getattr(section, f.name)
        for element in value if isinstance(value, tuple) else (value,):
            if clause := _fault(element, **f.metadata):
                yield f"{f.name} is {element!r}; {clause}"


def _fault(
    value: Any, low: float | None, high: float | None, above: float | None, choices: tuple[str, ...]
) -> str:
    if choices and value not in choices:
        return f"choose from {', '.join(choices)}"
    if above is not None and not value > above:
        return f"it must be above {above:g}"
    if low is not None and not value >= low:
        return f"it must be at least {low:g}"
    if high is not None and not value <= high:
        return f"it must be at most {high:g}"
    return ""


def _contradictions(recipe: Recipe) -> Iterator[str]:
    try:
        backbone_named(recipe.network.backbone)
    except InputError as error:
        yield f"[network] {str(error).rstrip('.')}"
    if recipe.label_free:
        yield from _label_free_contradictions(recipe)
    if recipe.clinical.use == "gate" and recipe.loss.kind != "bce":
        yield "[loss] kind must be bce where [clinical] use is gate: the mixture has its own likelihood"
    if recipe.clinical.use == "gate" and recipe.network.hidden:
        yield "[network] hidden must be empty where [clinical] use is gate: its image expert is one linear layer"
    if recipe.clinical.use != "none" and not recipe.clinical.values:
        yield "[clinical] values is empty; name at least one, or set use to none"
    if recipe.training.folds == 1:
        yield "[training] folds is 1; it must be 0 (the command decides) or at least 2"
    if recipe.training.train_from != "all" and recipe.network.start == "random":
        yield "[training] train_from must be all where [network] start is random: frozen random layers learn nothing"
    if recipe.training.train_from != "all" and not recipe.network.backbone.startswith("resnet"):
        yield f"[training] train_from {recipe.training.train_from} needs a resnet backbone"
    if recipe.schedule.warm_up >= recipe.training.epochs:
        epochs = recipe.training.epochs
        yield f"[schedule] warm_up is {recipe.schedule.warm_up:g}; it must end before the {epochs} epochs do"


def _label_free_contradictions(recipe: Recipe) -> Iterator[str]:
    where = f"where [loss] kind is {LABEL_FREE}"
    if recipe.clinical.use != "none" or recipe.loss.class_weights or recipe.loss.label_smoothing:
        yield f"[clinical] use, [loss] class_weights and label_smoothing must be left out {where}: it takes no labels"
    if not recipe.network.hidden:
        yield f"[network] hidden must name the widths of the expander {where}, as [512, 512]"
    if recipe.augment == AugmentSpec(
        grey=recipe.augment.grey, normalise_stain=recipe.augment.normalise_stain
    ):
        yield f"[augment] must change images {where}: it compares two views of each"
    if recipe.training.train_from == "fc":
        yield f"[training] train_from fc leaves nothing of the encoder to train {where}"
