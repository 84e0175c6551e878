"""A trained encoder family: the facts that its encoders share, and what each of them is by these facts."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..cohort.clinical_values import check_values, clinical_digest, clinical_values
from ..cohort.model import Cohort
from ..encoder.backbone import Backbone
from ..encoder.backbones import BACKBONES, backbone_named
from ..encoder.frozen import DTYPES, choose_device, computed_with
from ..encoder.pixels import Preprocessing, recorded_depth
from ..encoder.weights import LoadedWeights, load_weights
from ..training.augment import Augmenter
from ..training.epochs import LearningBags, seed_of
from ..training.recipe import Recipe
from ..training.recipe_file import find_recipe, recipe_names
from .extract import ExtractSettings
from .members import Member, learning_bags, learning_patients, members_of
from .pseudonyms import refuse_births
from .spec import EncodingSpec
from .tables import CohortTables

__all__ = ["AdaptedFamily", "EncoderFamily", "encoder_family_name", "encoder_family_of", "start_weights"]


def encoder_family_name(recipe: Recipe, label: str, dtype: str = "float32") -> str:
    """The encoder family that a recipe makes from the weights `label` (`LoadedWeights.label`).

    What was changed in a recipe that comes with the package is part of the name.
    """
    usual = find_recipe(recipe.name) if recipe.name in recipe_names() else recipe
    now, before = recipe.training, usual.training
    own = (
        f"{recipe.name}-trained" if recipe.name in BACKBONES else recipe.name
    )  # not that of a frozen encoding
    backbone, start = recipe.network.backbone, label.removeprefix(f"{recipe.network.backbone}-")
    if recipe.label_free:  # stands beside the frozen encoding that it began as
        parts = [own, backbone, start]
    else:
        parts = [own, start] + ([backbone] if backbone != usual.network.backbone else [])
    parts += [f"crop{now.crop}"] if now.crop != before.crop else []
    parts += [now.train_from] if now.train_from != before.train_from else []
    parts += [f"epochs{now.epochs}"] if now.epochs != before.epochs else []
    return "-".join(parts + ([] if dtype == "float32" else [dtype]))


@dataclass(frozen=True)
class EncoderFamily:
    """What the encoders of a family share: facts, from which follows what each of them is. It owns nothing.

    Attributes:
        name: in the cache.
        recipe: that the encoders are trained by.
        settings: start weights, seed, dtype and batch size; its backbone and crop are not looked at.
        device: where training and encoding are computed.
        tables: of the cohort.
        depth: of the images, as `recorded_depth` has it.
        weights_origin, weights_digest: of the start weights.
    """

    name: str
    recipe: Recipe
    settings: ExtractSettings
    device: torch.device
    tables: CohortTables
    depth: Mapping[str, int]
    weights_origin: str
    weights_digest: str

    @property
    def seed(self) -> int:
        """Of weights, training and validation patients."""
        return self.settings.seed or 0

    @property
    def dtype(self) -> torch.dtype:
        """Of the arithmetic."""
        return DTYPES[self.settings.dtype]

    @property
    def n_alike(self) -> int:
        """How many encoders may be trained side by side: as many as there are folds."""
        return int(self.tables.folds[:, 0].max()) + 1

    @property
    def backbone(self) -> Backbone:
        """The network's kind."""
        return backbone_named(self.recipe.network.backbone)

    @cached_property
    def augmenter(self) -> Augmenter:
        """From pixels to the network's input, in training and after it."""
        preprocessing = Preprocessing(self.recipe.training.crop, self.backbone.mean, self.backbone.std)
        return Augmenter(self.recipe.augment, preprocessing)

    @cached_property
    def values(self) -> NDArray[np.float32]:
        """(n_patients, n_values) clinical values that the networks see."""
        return clinical_values(self.tables.patients, self.recipe.clinical.values)

    def start(self) -> LoadedWeights:
        """The start weights, as fresh modules."""
        return start_weights(self.recipe, self.settings)

    def members(self, *, nested: bool) -> list[Member]:
        """Its encoders; see `members_of`.

        Raises:
            InputError: as there.
        """
        folds = self.tables.folds[:, 0]
        return members_of(self.name, folds[folds >= 0], nested=nested)

    def spec(self, member: Member) -> EncodingSpec:
        """What the member's encoding is: all that decides its features."""
        inference = self.augmenter.inference
        about = {
            "recipe": self.recipe.to_dict(),
            "backbone": self.backbone.name,
            "weights": self.weights_origin,
            "weights_digest": self.weights_digest,
            "seed": self.seed,
            "preprocessing": {
                "crop": inference.crop,
                "mean": list(inference.mean),
                "std": list(inference.std),
                "grey": inference.grey,
                "normalise_stain": inference.normalise_stain,
                **self.depth,
            },
            "dtype": self.settings.dtype,
            **computed_with(self.device),
        }
        if self.recipe.clinical.use != "none":
            about["clinical"] = clinical_digest(self.values)
        dim, block = self.backbone.dim, self.settings.batch_size
        return EncodingSpec(member.name, self.name, dim, block, member.held_out, about)

    def identity(self, member: Member) -> dict[str, Any]:
        """All that decides the member's training, as JSON values; not where it is computed, nor by which torch."""
        folds = np.ascontiguousarray(self.tables.folds[:, 0])
        return self.spec(member).identity | {
            "cohort": self.tables.fingerprint,
            "folds": blake2b(folds.data, digest_size=8).hexdigest(),
        }

    def former_keys(self, member: Member) -> frozenset[str]:
        """What versions up to 0.1 called the same training, whose digest covered device and torch as well."""
        spec, keys = replace(self.spec(member), block=0), []
        for device in ("cpu", "cuda", "mps"):
            about = {k: v for k, v in spec.about.items() if k != "processor"} | {"device": device}
            state = blake2b(
                f"{replace(spec, about=about).to_json()}{self.tables.fingerprint}".encode(), digest_size=16
            )
            state.update(np.ascontiguousarray(self.tables.folds[:, 0]).data)
            keys.append(state.hexdigest())
        return frozenset(keys)

    def learners(self, member: Member) -> LearningBags:
        """Whom the member learns from.

        Raises:
            InputError: too few persons of a class are left.
        """
        training = self.recipe.training
        assert member.held_out is not None, "labels are learnt"
        return learning_patients(
            self.tables, member.held_out, self.recipe.clinical.values, training.inner_folds,
            seed_of(self.seed, member.name, "validating") % (1 << 32),
        )  # fmt: skip


@dataclass(frozen=True)
class AdaptedFamily(EncoderFamily):
    """An encoder family whose one encoder learns from images only, so that it is blind to every fold.

    Which images it learnt from is part of what it is; labels, clinical values and folds are not.

    Attributes:
        with_test: the images of the test part are learnt from as well.
    """

    with_test: bool = False

    @cached_property
    def bags(self) -> LearningBags:
        """Whose images are learnt from."""
        return learning_bags(self.tables, with_test=self.with_test)

    @property
    def n_alike(self) -> int:
        return 1

    def members(self, *, nested: bool) -> list[Member]:
        return [Member(self.name, None)]

    def spec(self, member: Member) -> EncodingSpec:
        spec, digests = super().spec(member), self.tables.digests
        learnt = [
            digests[first : first + size]
            for first, size in zip(self.bags.first.tolist(), self.bags.sizes.tolist(), strict=True)
        ]
        adapted = {
            "learnt_parts": "labelled part and test part" if self.with_test else "labelled part",
            "learnt_images": blake2b(json.dumps(learnt).encode(), digest_size=16).hexdigest(),
        }
        return replace(spec, about=spec.about | adapted)

    def identity(self, member: Member) -> dict[str, Any]:
        return self.spec(member).identity

    def former_keys(self, member: Member) -> frozenset[str]:
        return frozenset()

    def learners(self, member: Member) -> LearningBags:
        return self.bags


def encoder_family_of(
    cohort: Cohort,
    settings: ExtractSettings,
    recipe: Recipe,
    tables: CohortTables,
    name: str | None = None,
    *,
    with_test: bool = False,
) -> EncoderFamily:
    """The encoder family of a recipe and settings on a cohort.

    Args:
        name: its name in the cache, by default `encoder_family_name`.
        with_test: see `AdaptedFamily`.

    Raises:
        InputError: the device or the images' depth cannot be used, or the recipe asks for a clinical value that the
            cohort does not have, such as one of dates of birth under pseudonyms.
        WeightsError: the start weights cannot be had.
        LeakageError: they were fine-tuned on a cohort's labels.
    """
    if recipe.clinical.use != "none":
        check_values(recipe.clinical.values, tables.declared, f"The recipe {recipe.name}")
    if cohort.pseudonyms:
        refuse_births(recipe)
    weights = start_weights(recipe, settings)
    usual = encoder_family_name(recipe, weights.label, settings.dtype)
    kind: Callable[..., EncoderFamily] = EncoderFamily
    if recipe.label_free:
        kind, usual = partial(AdaptedFamily, with_test=with_test), usual + "-with-test" * with_test
    return kind(
        name=name or usual,
        recipe=recipe,
        settings=settings,
        device=choose_device(settings.device),
        tables=tables,
        depth=recorded_depth(cohort.images),
        weights_origin=weights.origin,
        weights_digest=weights.digest,
    )


def start_weights(recipe: Recipe, settings: ExtractSettings) -> LoadedWeights:
    """The weights that a recipe's encoders start from, as fresh modules.

    Raises:
        WeightsError: they cannot be had.
        LeakageError: they were fine-tuned on a cohort's labels.
    """
    weights = "none" if recipe.network.start == "random" else settings.weights
    return load_weights(backbone_named(recipe.network.backbone), weights, settings.seed or 0)
