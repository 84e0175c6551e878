"""`extract --adapt`: an encoder goes on learning on the cohort's images, labels unseen, then is frozen like any other.

One encoder serves every fold, since it is blind to all of them; see `lymphofeat.training.adapt` for what it learns.
"""

import time
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..cohort.model import Cohort
from ..errors import InputError
from ..progress import Progress, Silent
from ..storage.paths import AnyPath
from ..training.recipe import Recipe
from .encoder_family import encoder_family_of
from .encoder_trainer import encode_encoder_family
from .extract import ExtractSettings, writer_for
from .finetune import check_trainable, recipe_of, settings_from
from .writer import CacheWriter

__all__ = ["AdaptSettings", "AdaptSummary", "adapt_settings_from", "encode_adapted", "extract_adapted"]


@dataclass(frozen=True)
class AdaptSettings:
    """How an encoder is adapted.

    Attributes:
        recipe: a recipe that takes no labels, or the name or file of one.
        extract: weights to start from, seed (0 if None), device, dtype, batch size of the frozen pass, and the folds.
            Its backbone and crop are not looked at: the recipe has them.
        with_test: learn from the images of the test part as well.
        name: of the encoding, by default `encoder_family_name`, and "-with-test" behind it.
    """

    recipe: Recipe | str = "adapt"
    extract: ExtractSettings = field(default_factory=ExtractSettings)
    with_test: bool = False
    name: str | None = None


@dataclass(frozen=True)
class AdaptSummary:
    """What an adaptation did.

    Attributes:
        cache, encoding: where the features are.
        recipe: that was followed.
        origin: of the start weights.
        n_images: of the cohort.
        learnt_from: patients whose images were learnt from.
        with_test: whether those of the test part are among them.
        history: one record per epoch: `epoch`, `loss`, `invariance`, `variance`, `covariance`, `seconds`.
        was_there: the cache held the encoding before.
        seconds: of this run, once the image files are known by their digests.
    """

    cache: Path
    encoding: str
    recipe: Recipe
    origin: str
    n_images: int
    learnt_from: int
    with_test: bool
    history: list[dict[str, float]]
    was_there: bool
    seconds: float

    def __repr__(self) -> str:
        return f"<AdaptSummary {self.encoding}: {len(self.history)} epochs, in {self.cache.name}>"


def adapt_settings_from(*, with_test: bool = False, nested: bool = False, **options: Any) -> AdaptSettings:
    """Settings from what a user names: None leaves it to the recipe.

    Args:
        with_test: see `AdaptSettings`.
        nested: must be left out.
        options: as of `settings_from`.

    Raises:
        InputError: no such recipe, one that cannot be changed so or that takes labels; or `nested`.
    """
    if nested:
        raise InputError(
            "--nested is for encoders that learn from labels; an adapted one is blind to every fold, so leave it out."
        )
    found = settings_from(label_free=True, **options)
    return AdaptSettings(found.recipe, found.extract, with_test, found.name)


def extract_adapted(
    cohort: Cohort,
    cache: AnyPath,
    settings: AdaptSettings | None = None,
    *,
    force: bool = False,
    retrain: bool = False,
    default: bool = False,
    workers: int | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> AdaptSummary:
    """Adapt an encoder to a cohort's images, labels unseen, freeze it, and put its encoding into the cache.

    What is there already is left as it is; what was interrupted goes on from its last whole epoch, with the same
    result as an unbroken run on the same machine (the same bits, on a CPU in float32). The result depends on the
    images and their division into patients, not on labels, clinical values or folds.

    Args:
        cohort: patients and image files.
        cache: the HDF5 file, made if need be; its other encodings stay.
        settings: how.
        force: train anew what is there, and replace a cache of another cohort.
        retrain: train anew what is there, on the images of the cohort as it is now.
        default: whether `tune` uses it unless told otherwise; see `CacheWriter.finish`. Not so by itself: nothing
            shows yet that it helps (docs/recipes.md).
        workers: threads that decode and encode, by default one per core.
        executor: its workers train and encode instead, reading files by their paths; see docs/cluster.md.
        progress: is told of images, and in words of each epoch.

    Raises:
        InputError: a recipe, an image or a setting that cannot be used, or no patient to learn from.
        WeightsError: the start weights cannot be had.
        LeakageError: the start weights were fine-tuned on a cohort's labels.
        StaleCacheError: cache, checkpoint or trained encoder were made from other images or settings.
        CacheError: another process is writing, the disk is full, or features are NaN, infinite or all zero.
        OSError: the disk is full.
    """
    settings, progress = settings or AdaptSettings(), progress or Silent()
    check_trainable(recipe_of(settings.recipe, label_free=True), settings.extract)  # before any file is read
    with writer_for(
        cohort, Path(cache), settings.extract, force=force, retrain=retrain, progress=progress
    ) as writer:
        return encode_adapted(
            writer, cohort, settings, default=default, workers=workers, executor=executor, progress=progress
        )


def encode_adapted(
    writer: CacheWriter,
    cohort: Cohort,
    settings: AdaptSettings,
    *,
    default: bool = False,
    workers: int | None = None,
    executor: Executor | None = None,
    progress: Progress,
) -> AdaptSummary:
    """As `extract_adapted`, into the cache of a writer that was entered."""
    recipe, began = recipe_of(settings.recipe, label_free=True), time.perf_counter()
    encoders, (member,), n_before = encode_encoder_family(
        writer,
        cohort,
        lambda extract: encoder_family_of(
            cohort, extract, recipe, writer.tables, settings.name, with_test=settings.with_test
        ),
        settings.extract,
        default=default,
        workers=workers,
        executor=executor,
        progress=progress,
    )
    assert writer.found is not None, "the encoding is in the cache"
    made = writer.found.encodings[member.name].made
    return AdaptSummary(
        cache=writer.path,
        encoding=member.name,
        recipe=recipe,
        origin=encoders.weights_origin,
        n_images=writer.tables.n_images,
        learnt_from=int(made["learnt_from"]),
        with_test=settings.with_test,
        history=list(made["history"]),
        was_there=bool(n_before),
        seconds=time.perf_counter() - began,
    )
