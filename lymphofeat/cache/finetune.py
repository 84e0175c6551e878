"""`extract --finetune`: encoders trained on the cohort, each blind to some folds, then frozen like any other.

Per encoder: train (a checkpoint after every epoch), keep the trained network beside the cache, encode all images, put
the encoding into the cache. Each stage ends in a file that is whole or absent, so that the same command goes on from
the last one, and ends with the same features as an unbroken run.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..cohort.model import Cohort
from ..parallel import disable_malloc_trim
from ..progress import Progress, Silent
from ..storage.paths import AnyPath
from ..training.recipe import Recipe
from ..training.recipe_file import change_recipe, find_recipe
from .encoder_family import EncoderFamily, encoder_family_of
from .encoder_trainer import EncoderTrainer
from .extract import ExtractSettings, float32_instead, lacks_bfloat16, writer_for
from .members import Member
from .writer import CacheWriter

__all__ = [
    "FinetuneSettings",
    "FinetuneSummary",
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
    recipe: str = "default",
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
        recipe: name or file.
        epochs, train_from, backbone, crop, n_folds: instead of the recipe's.
        nested, name: see `FinetuneSettings`.
        weights, seed: see `ExtractSettings`.
        frozen: its other fields.

    Raises:
        InputError: no such recipe, or one that cannot be changed so.
    """
    changes: dict[str, dict[str, Any]] = {
        "network": {"backbone": backbone},
        "training": {"epochs": epochs, "train_from": train_from, "crop": crop},
    }
    given = {
        section: {key: value for key, value in values.items() if value is not None}
        for section, values in changes.items()
    }
    changed = change_recipe(find_recipe(recipe), given, f"recipe {recipe} with these options")
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
    workers: int | None = None,
    progress: Progress | None = None,
) -> FinetuneSummary:
    """Fine-tune one encoder per fold without that fold, freeze them, and put their encodings into the cache.

    What is there already is left as it is; what was interrupted goes on from its last whole epoch, with the same
    result as an unbroken run on the same machine (the same bits, on a CPU in float32).

    Args:
        cohort: patients and image files.
        cache: the HDF5 file, made if need be; its other encodings stay.
        settings: how.
        force: train anew what is there, and replace a cache of another state of the cohort.
        workers: threads that decode and encode, by default one per core.
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
    recipe_of(settings)  # before any file is read
    with writer_for(cohort, Path(cache), settings.extract, force=force, progress=progress) as writer:
        return encode_finetuned(writer, cohort, settings, workers=workers, progress=progress)


def recipe_of(settings: FinetuneSettings) -> Recipe:
    """The recipe, checked.

    Raises:
        InputError: it cannot be used.
    """
    recipe = find_recipe(settings.recipe) if isinstance(settings.recipe, str) else settings.recipe
    return change_recipe(recipe, {}, f"recipe {recipe.name}")


def encode_finetuned(
    writer: CacheWriter,
    cohort: Cohort,
    settings: FinetuneSettings,
    *,
    workers: int | None = None,
    progress: Progress,
) -> FinetuneSummary:
    """As `extract_finetuned`, into the cache of a writer that was entered."""
    recipe, extract, began = recipe_of(settings), settings.extract, time.perf_counter()
    disable_malloc_trim()
    encoders = encoder_family_of(cohort, extract, recipe, writer.tables, settings.name)
    waiting = _waiting(encoders, writer, nested=settings.nested)
    if waiting and lacks_bfloat16(extract, encoders.device):
        progress.note(float32_instead(encoders.name))
        extract = replace(extract, dtype="float32")
        encoders = encoder_family_of(cohort, extract, recipe, writer.tables, settings.name)
        waiting = _waiting(encoders, writer, nested=settings.nested)
    if not waiting:
        writer.correct_values()
    trainer = EncoderTrainer(encoders, writer, cohort, workers, progress)
    if writer.force:
        trainer.forget(waiting)
    trainer.train(waiting)
    for member in waiting:
        trainer.encode(member)
    members = encoders.members(nested=settings.nested)
    return FinetuneSummary(
        cache=writer.path,
        encoder_family=encoders.name,
        recipe=recipe,
        origin=encoders.weights_origin,
        n_images=writer.tables.n_images,
        best=_best_epochs(writer, members),
        n_before=len(members) - len(waiting),
        seconds=time.perf_counter() - began,
    )


def _waiting(encoders: EncoderFamily, writer: CacheWriter, *, nested: bool) -> list[Member]:
    """Those that the cache does not hold."""
    return [m for m in encoders.members(nested=nested) if not writer.holds(encoders.spec(m))]


def _best_epochs(writer: CacheWriter, members: Sequence[Member]) -> dict[str, dict[str, float]]:
    encodings = {} if writer.found is None else writer.found.encodings
    return {m.name: _kept(encodings[m.name].made) for m in members}


def _kept(made: Mapping[str, Any]) -> dict[str, float]:
    """The record of the epoch that was kept."""
    record: dict[str, float] = made["history"][int(made["epoch"]) - 1]
    return record
