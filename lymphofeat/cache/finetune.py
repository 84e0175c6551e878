"""`extract --finetune`: encoders trained on the cohort, each blind to some folds, then frozen like any other."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..cohort.model import Cohort
from ..encoder.backbones import backbone_named
from ..errors import InputError
from ..progress import Progress, Silent
from ..storage.paths import AnyPath
from ..training.recipe import Recipe
from ..training.recipe_file import change_recipe, find_recipe
from .encoder_family import encoder_family_of
from .encoder_trainer import encode_encoder_family
from .extract import ExtractSettings, writer_for
from .members import Member
from .writer import CacheWriter

__all__ = [
    "FinetuneSettings",
    "FinetuneSummary",
    "check_trainable",
    "extract_finetuned",
    "settings_from",
]


@dataclass(frozen=True)
class FinetuneSettings:
    """How encoders are fine-tuned.

    Attributes:
        recipe: a recipe, or the name or file of one.
        extract: weights to start from, seed (0 if None), device, dtype, batch size of the frozen pass, and the folds.
            Its backbone and crop are not looked at: the recipe has them.
        nested: also the encoders that are blind to two folds.
        name: the family's name in the cache, by default `encoder_family_name`.
    """

    recipe: Recipe | str = "default"
    extract: ExtractSettings = field(default_factory=ExtractSettings)
    nested: bool = False
    name: str | None = None


@dataclass(frozen=True)
class FinetuneSummary:
    """What a fine-tuning did.

    Attributes:
        cache, encoder_family: where the encodings are.
        recipe: that made them.
        origin: of the start weights.
        n_images: of the cohort.
        best: encoding → the record of the epoch that was kept (`epoch`, `balanced_accuracy`, `auc`, `loss`, …, on the
            inner validation patients).
        n_before: encodings that an earlier run had finished.
        seconds: of this run, once the image files are known by their digests.
    """

    cache: Path
    encoder_family: str
    recipe: Recipe
    origin: str
    n_images: int
    best: dict[str, dict[str, float]]
    n_before: int
    seconds: float

    def __repr__(self) -> str:
        return f"<FinetuneSummary {self.encoder_family}: {len(self.best)} encoders in {self.cache.name}>"


def settings_from(
    *,
    label_free: bool = False,
    recipe: str | None = None,
    epochs: int | None = None,
    train_from: str | None = None,
    backbone: str | None = None,
    crop: int | None = None,
    n_folds: int | None = None,
    nested: bool = False,
    name: str | None = None,
    weights: str = "imagenet",
    seed: int | None = None,
    **frozen: Any,
) -> FinetuneSettings:
    """Settings of both passes from what a user names: None leaves it to the recipe.

    The frozen pass is the fine-tuning's control experiment, so it has the recipe's backbone, crop and start.

    Args:
        label_free: whether the recipe must be one that takes no labels, or one that does.
        recipe: name or file; if None "adapt" or "default".
        epochs, train_from, backbone, crop, n_folds: instead of the recipe's.
        nested, name: see `FinetuneSettings`.
        weights, seed: see `ExtractSettings`.
        frozen: its other fields.

    Raises:
        InputError: no such recipe, one that cannot be changed so, or one of the other kind.
    """
    changes: dict[str, dict[str, Any]] = {
        "network": {"backbone": backbone},
        "training": {"epochs": epochs, "train_from": train_from, "crop": crop},
    }
    given = {
        section: {key: value for key, value in values.items() if value is not None}
        for section, values in changes.items()
    }
    recipe = recipe or ("adapt" if label_free else "default")
    changed = change_recipe(find_recipe(recipe), given, f"recipe {recipe} with these options")
    check_kind(changed, label_free=label_free)
    if changed.network.start == "random":
        weights, seed = "none", seed or 0
    extract = ExtractSettings(
        backbone=changed.network.backbone,
        weights=weights,
        seed=seed,
        crop=changed.training.crop,
        n_folds=n_folds or changed.training.folds or ExtractSettings.n_folds,
        **frozen,
    )
    return FinetuneSettings(changed, extract, nested, name)


def extract_finetuned(
    cohort: Cohort,
    cache: AnyPath,
    settings: FinetuneSettings | None = None,
    *,
    force: bool = False,
    retrain: bool = False,
    workers: int | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> FinetuneSummary:
    """Fine-tune one encoder per fold without that fold, freeze them, and put their encodings into the cache.

    What is there already is left as it is; what was interrupted goes on from its last whole epoch, with the same
    result as an unbroken run on the same machine (the same bits, on a CPU in float32).

    Args:
        cohort: patients and image files.
        cache: the HDF5 file, made if need be; its other encodings stay.
        settings: how.
        force: train anew what is there, and replace a cache of another cohort.
        retrain: train anew what is there, on the cohort as it is now; else encoders that learnt from a part of it
            encode the images of the others.
        workers: threads that decode and encode, by default one per core.
        executor: its workers train and encode instead, reading files by their paths; see docs/cluster.md.
        progress: is told of images, and in words of each epoch.

    Raises:
        InputError: a recipe, an image or a setting that cannot be used, or too few patients.
        WeightsError: the start weights cannot be had.
        LeakageError: the start weights were fine-tuned on a cohort's labels.
        StaleCacheError: cache, checkpoint or trained encoder were made from other images, labels or settings.
        CacheError: another process is writing, the disk is full, or features are NaN, infinite or all zero.
        OSError: the disk is full.
    """
    settings, progress = settings or FinetuneSettings(), progress or Silent()
    check_trainable(recipe_of(settings.recipe, label_free=False), settings.extract)  # before any file is read
    with writer_for(
        cohort, Path(cache), settings.extract, force=force, retrain=retrain, progress=progress
    ) as writer:
        return encode_finetuned(
            writer, cohort, settings, workers=workers, executor=executor, progress=progress
        )


def check_trainable(recipe: Recipe, settings: ExtractSettings) -> None:
    """Look at the settings before any work is done: images are trained on at the size of their crop.

    Raises:
        InputError: images would have to be scaled.
    """
    crop, backbone = recipe.training.crop, backbone_named(recipe.network.backbone)
    if backbone.input_size not in (None, crop):
        raise InputError(
            f"{backbone.name} takes images of {backbone.input_size} px, and training takes the centre crop of "
            f"{crop} px as it is; give --frozen, or --crop {backbone.input_size}."
        )
    if settings.input_size not in (None, crop):
        raise InputError(
            "--input-size scales images for the frozen encoder, and training takes the crop as it is; give --frozen, "
            "or leave --input-size out."
        )


def recipe_of(named: Recipe | str, *, label_free: bool) -> Recipe:
    """A recipe, checked.

    Args:
        named: it, or its name or file.
        label_free: whether it must be one that takes no labels, or one that does.

    Raises:
        InputError: it cannot be used.
    """
    recipe = find_recipe(named) if isinstance(named, str) else named
    check_kind(recipe, label_free=label_free)
    return change_recipe(recipe, {}, f"recipe {recipe.name}")


def check_kind(recipe: Recipe, *, label_free: bool) -> None:
    """Refuse a recipe that takes labels where none may be taken, and one that takes none where an encoder is tuned.

    Raises:
        InputError: it is of the other kind.
    """
    if recipe.label_free and not label_free:
        raise InputError(
            f"The recipe {recipe.name} takes no labels, so it adapts an encoder and does not fine-tune one; "
            "give --adapt with it, or another --recipe."
        )
    if label_free and not recipe.label_free:
        raise InputError(
            f"The recipe {recipe.name} takes labels ([loss] kind is {recipe.loss.kind}), so it cannot adapt an encoder "
            "without them; leave out --adapt, or give a --recipe that `lymphofeat recipes` marks as label-free."
        )


def encode_finetuned(
    writer: CacheWriter,
    cohort: Cohort,
    settings: FinetuneSettings,
    *,
    workers: int | None = None,
    executor: Executor | None = None,
    progress: Progress,
) -> FinetuneSummary:
    """As `extract_finetuned`, into the cache of a writer that was entered."""
    recipe, began = recipe_of(settings.recipe, label_free=False), time.perf_counter()
    encoders, members, n_before = encode_encoder_family(
        writer,
        cohort,
        lambda extract: encoder_family_of(cohort, extract, recipe, writer.tables, settings.name),
        settings.extract,
        nested=settings.nested,
        workers=workers,
        executor=executor,
        progress=progress,
    )
    return FinetuneSummary(
        cache=writer.path,
        encoder_family=encoders.name,
        recipe=recipe,
        origin=encoders.weights_origin,
        n_images=writer.tables.n_images,
        best=_best_epochs(writer, members),
        n_before=n_before,
        seconds=time.perf_counter() - began,
    )


def _best_epochs(writer: CacheWriter, members: Sequence[Member]) -> dict[str, dict[str, float]]:
    encodings = {} if writer.found is None else writer.found.encodings
    return {m.name: _kept(encodings[m.name].made) for m in members}


def _kept(made: Mapping[str, Any]) -> dict[str, float]:
    """The record of the epoch that was kept."""
    record: dict[str, float] = made["history"][int(made["epoch"]) - 1]
    return record
