"""`extract`, `finetune`, `adapt`: the passes over a cohort's images as one call each, with the command's options."""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

from ..array_tasks import ArrayTask, check_array_task
from ..cohort.model import Cohort
from ..cohort.read import read_cohort
from ..cohort.reading import reading_notes
from ..encoder.morphology.features import DEFAULT_GROUPS, MORPHOLOGY, SIDE, parse_groups
from ..errors import InputError
from ..executor import check_executor
from ..progress import Progress, Silent
from ..storage.paths import AnyPath
from .adapt import AdaptSettings, AdaptSummary, adapt_settings_from, encode_adapted
from .encoder_family import encoder_family_of
from .encoder_trainer import encode_encoder_family
from .extract import ExtractSummary, encode_frozen, start_of, writer_for
from .finetune import (
    FinetuneSettings,
    FinetuneSummary,
    check_trainable,
    encode_finetuned,
    recipe_of,
    settings_from,
)
from .gpus import check_gpus, gpu_executor
from .morphology import check_morphology, encode_morphology
from .pseudonyms import refuse_births, under_pseudonyms
from .share_writer import ExtractionShare, ShareWriter, share_writer
from .writer import CacheWriter

__all__ = ["ExtractOptions", "Extraction", "adapt", "extract", "finetune"]


class ExtractOptions(TypedDict, total=False):
    """What the passes take; see `extract`."""

    with_test: bool
    recipe: str | None
    epochs: int | None
    train_from: str | None
    nested: bool
    name: str | None
    weights: str
    backbone: str | None
    features: str | Sequence[str] | None
    seed: int | None
    crop: int | None
    input_size: int | None
    batch_size: int
    device: str
    dtype: str
    emulate_bfloat16: bool
    n_folds: int | None
    fold_seed: int
    pseudonyms: AnyPath | None
    force: bool
    retrain: bool
    workers: int | None
    executor: Executor | None
    gpus: Sequence[int] | None
    task: ArrayTask | None
    progress: Progress | None


@dataclass(frozen=True)
class Extraction:
    """What `extract` did: one of these.

    Attributes:
        measured: the cells; None without.
        frozen: the pass of the encoder as it is; None without.
        finetuned: the encoders that were fine-tuned; None without.
        adapted: the encoder that was adapted without labels; None without.
        share: of a task of an array, what it did; None without `task`.
    """

    measured: ExtractSummary | None = None
    frozen: ExtractSummary | None = None
    finetuned: FinetuneSummary | None = None
    adapted: AdaptSummary | None = None
    share: ExtractionShare | None = None


def extract(
    cohort: Cohort | AnyPath,
    cache: AnyPath,
    *,
    frozen: bool = False,
    finetune: bool = False,
    adapt: bool = False,
    with_test: bool = False,
    recipe: str | None = None,
    epochs: int | None = None,
    train_from: str | None = None,
    nested: bool = False,
    name: str | None = None,
    weights: str = "imagenet",
    backbone: str | None = None,
    features: str | Sequence[str] | None = None,
    seed: int | None = None,
    crop: int | None = None,
    input_size: int | None = None,
    batch_size: int = 64,
    device: str = "auto",
    dtype: str = "auto",
    emulate_bfloat16: bool = False,
    n_folds: int | None = None,
    fold_seed: int = 0,
    pseudonyms: AnyPath | None = None,
    force: bool = False,
    retrain: bool = False,
    workers: int | None = None,
    executor: Executor | None = None,
    gpus: Sequence[int] | None = None,
    task: ArrayTask | None = None,
    progress: Progress | None = None,
) -> Extraction:
    """Compute the features of every image and keep them in the cache; goes on where an earlier run was stopped.

    Without `frozen`, `finetune` and `adapt`, the cells are measured: no network, no labels. `frozen` encodes them by a
    network as it is; `finetune` trains encoders on the cohort, one per fold and without that fold, so that heads can be
    scored on it.

    Args:
        cohort: of `read_cohort`, or its folder.
        cache: the HDF5 file, made if need be; its other encodings stay.
        frozen: a network as it is.
        finetune: fine-tuned encoders.
        adapt: an encoder that goes on learning on the cohort's images, labels unseen, so that it is blind to every
            fold.
        with_test: with `adapt`, learn from the images of the test part as well; the encoding is then transductive.
        recipe: how to train: a name that `lymphofeat recipes` lists, or a file; "default", or with `adapt` "adapt", if
            None.
        epochs, train_from, backbone, crop, n_folds: instead of the recipe's; see `lymphofeat extract --help`.
        input_size: side in pixels that the crop is scaled to for the frozen encoder; None: what the network needs, else
            no scaling.
        nested: also encoders that are blind to two folds, for nested cross-validation.
        name: of the fine-tuned encoder family, or of the adapted encoding.
        weights: "imagenet", "none" (untrained: a control experiment, needs `seed`), or a file.
        features: of measured cells, the groups: some of "shape", "chromatin", "colour", "background"; "shape,chromatin"
            if None.
        seed: of random weights and of training; 0 if None.
        batch_size: images that go through the network together.
        device: "auto", "cpu", "cuda" or "mps".
        dtype, emulate_bfloat16: of the arithmetic, "auto", "float32" or "bfloat16"; see `ExtractSettings`.
        fold_seed: of the folds.
        pseudonyms: a CSV file, the key of pseudonyms: the cache then holds no ID, no date of birth, no name of a file
            or folder, and ages in whole years. The key is written once and read by later runs.
        force: replace what is there and does not fit; train anew.
        retrain: with `finetune` or `adapt`, train anew on the cohort as it is now. Else encoders that were trained
            before patients came stay as they are, blind to the new ones, and encode their images.
        workers: threads that decode and encode, by default one per core.
        executor: any of concurrent.futures: its workers encode images and train encoders, which they read by their
            paths; this process writes the cache. The bits are those of one process. See docs/cluster.md.
        gpus: numbers of GPUs of this machine: a process for each encodes and trains.
        task: (I, N), I from 1 to N: compute this share only, into files of its own beside the cache. A last call
            without `task` collects them, and computes what is missing. See docs/cluster.md.
        progress: told of images and epochs.

    Raises:
        InputError: more than one of `frozen`, `finetune` and `adapt`, or a cohort, an image, a recipe or a setting that
            cannot be used, or a GPU that is not there.
        WeightsError: the weights cannot be had.
        LeakageError: the start weights were fine-tuned on a cohort's labels.
        StaleCacheError: the cache was made from other images, labels or settings.
        CacheError: another process is writing, the disk is full, or features are NaN, infinite or all zero; the
            executor is gone, or its workers end, have other versions, or do not see the files.

    Example:
        >>> done = extract("data", "cache/small.h5", frozen=True, weights="none", seed=0, crop=32, n_folds=3)
        >>> done.frozen
        <ExtractSummary resnet18-random0-crop32: 32 images × 512 features in small.h5>
    """
    if task is not None:
        check_array_task(task)
        _check_task(Path(cache), pseudonyms, trains=finetune or adapt, force=force, retrain=retrain)
    trains = finetune or adapt
    measured = backbone == MORPHOLOGY or not (frozen or trains)
    training = {"epochs": epochs, "train_from": train_from, "nested": nested or None, "name": name}
    training |= {"retrain": retrain or None}
    asked = [option for option, value in training.items() if value is not None]
    unused = [] if measured or trains else asked
    _check_passes(frozen=frozen, finetune=finetune, adapt=adapt, with_test=with_test, unused=unused)
    if measured:
        others = {"weights": None if weights == "imagenet" else weights, "seed": seed, "adapt": adapt or None}
        others |= {"backbone": None if backbone == MORPHOLOGY else backbone, "recipe": recipe}
        others |= {"input_size": input_size, **training}
        check_morphology(
            finetune=finetune, given={option: value is not None for option, value in others.items()}
        )
    elif features is not None:
        raise InputError(
            "--features are groups of measurements of the cells; leave --frozen, --finetune and --adapt out."
        )
    if executor is not None:
        check_executor(executor)
    if gpus:
        check_gpus(gpus, device=device, executor=executor, measured=measured)
        device = f"cuda:{gpus[0]}"  # of this process
    groups = DEFAULT_GROUPS if features is None else parse_groups(features)
    options: dict[str, Any] = {
        "recipe": recipe, "epochs": epochs, "train_from": train_from, "nested": nested, "name": name,
        "weights": weights, "backbone": None if measured else backbone, "seed": seed, "crop": crop,
        "batch_size": batch_size, "device": device, "dtype": dtype, "emulate_bfloat16": emulate_bfloat16,
        "n_folds": n_folds, "fold_seed": fold_seed, "input_size": input_size,
    }  # fmt: skip
    settings = adapt_settings_from(with_test=with_test, **options) if adapt else settings_from(**options)
    if trains:
        checked = recipe_of(settings.recipe, label_free=adapt)
        check_trainable(checked, settings.extract)
        if pseudonyms is not None:
            refuse_births(checked)
    told = progress or Silent()
    side = replace(settings.extract, crop=crop or SIDE)
    found = cohort if isinstance(cohort, Cohort) else read_cohort(cohort)
    for note in reading_notes(found.images, side.crop if measured else settings.extract.crop):
        told.note(note)
    start = start_of(settings.extract, told) if not (measured or trains) else None
    if task is None or trains:  # else the share holds no ID
        found = under_pseudonyms(found, Path(cache), pseudonyms)
    opened: CacheWriter
    if task is None:
        opened = writer_for(found, Path(cache), settings.extract, force=force, retrain=retrain, progress=told)
    else:
        opened, found = share_writer(found, Path(cache), settings.extract, task, trains=trains, progress=told)
        if not found.patients:
            return Extraction(share=opened.share)
    with (
        opened as writer,
        gpu_executor(gpus, executor) as elsewhere,
    ):
        how: dict[str, Any] = {"workers": workers, "executor": elsewhere, "progress": told}
        if task is not None and trains:
            _train_share(writer, found, settings, how)
            done = Extraction()
        elif start is not None:
            done = Extraction(frozen=encode_frozen(writer, found, start, **how))
        elif isinstance(settings, AdaptSettings):
            done = Extraction(adapted=encode_adapted(writer, found, settings, **how))
        elif finetune:
            done = Extraction(finetuned=encode_finetuned(writer, found, settings, **how))
        else:
            done = Extraction(measured=encode_morphology(writer, found, groups, side, **how))
        for sentence in writer.waiting():
            told.note(sentence)
    return Extraction(share=writer.share) if isinstance(writer, ShareWriter) else done


def _train_share(
    writer: CacheWriter, cohort: Cohort, settings: AdaptSettings | FinetuneSettings, how: dict[str, Any]
) -> None:
    """Train and encode a task's encoders."""
    recipe = recipe_of(settings.recipe, label_free=isinstance(settings, AdaptSettings))
    with_test = isinstance(settings, AdaptSettings) and settings.with_test
    nested = isinstance(settings, FinetuneSettings) and settings.nested
    encode_encoder_family(
        writer, cohort,
        lambda extract: encoder_family_of(
            cohort, extract, recipe, writer.tables, settings.name, with_test=with_test
        ),
        settings.extract, nested=nested, **how,
    )  # fmt: skip


def _check_task(cache: Path, key: AnyPath | None, *, trains: bool, **given: bool) -> None:
    """Refuse what a task, which only reads the cache and the key of pseudonyms, cannot follow.

    Args:
        cache: the cache.
        key: of pseudonyms.
        trains: whether the task trains encoders, which depends on the order of the patients.
        given: options that replace something, and whether they were given.

    Raises:
        InputError: one of them was given, or the key is not there.
    """
    if trains and key is not None and not Path(key).exists():
        raise InputError(
            f"{key} is not there, and tasks that train do not write it; run `lymphofeat extract --pseudonyms {key} "
            f"--cache {cache}` first, which measures the cells and writes it."
        )
    if found := [f"--{name}" for name, there in given.items() if there]:
        raise InputError(
            f"A task of an array replaces nothing, so {' and '.join(found)} cannot be used with --task; leave it out, "
            "or run the command without --task."
        )


def _check_passes(
    *, frozen: bool, finetune: bool, adapt: bool, with_test: bool, unused: Sequence[str]
) -> None:
    """Refuse passes that exclude each other, and options that none of them looks at.

    Args:
        frozen, finetune, adapt, with_test: as of `extract`.
        unused: options of training that were given where nothing is trained.

    Raises:
        InputError: there are such.
    """
    if frozen + finetune + adapt > 1:
        raise InputError("--frozen, --finetune and --adapt exclude each other; give one of them, or none.")
    if with_test and not adapt:
        raise InputError("--with-test belongs to --adapt; leave it out, or give --adapt with it.")
    if unused:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in unused)
        raise InputError(
            f"{options} would change nothing, since no encoder is trained; give --finetune or --adapt with it."
        )


def finetune(cohort: Cohort | AnyPath, cache: AnyPath, **options: Unpack[ExtractOptions]) -> FinetuneSummary:
    """Fine-tune one encoder per fold without that fold, and put their features into the cache.

    `extract(cohort, cache, finetune=True, …)`: what is there already is left as it is, and what was interrupted goes on
    from its last whole epoch.

    Args:
        cohort: of `read_cohort`, or its folder.
        cache: the HDF5 file, made if need be; its other encodings stay.
        options: as of `extract`.

    Raises:
        LymphofeatError: as `extract`.

    Example:
        >>> done = finetune(
        ...     "data", "cache/tuned.h5", recipe="pooled", epochs=1, weights="none", seed=0, crop=32, n_folds=2
        ... )
        >>> len(done.best)
        2
    """
    found = extract(cohort, cache, finetune=True, **options).finetuned
    assert found is not None, "fine-tuning was asked for"
    return found


def adapt(cohort: Cohort | AnyPath, cache: AnyPath, **options: Unpack[ExtractOptions]) -> AdaptSummary:
    """Let an encoder go on learning on the cohort's images, labels unseen, and put its features into the cache.

    `extract(cohort, cache, adapt=True, …)`: the encoding is blind to every fold, since no label decides anything. What
    is there already is left as it is, and what was interrupted goes on from its last whole epoch.

    Args:
        cohort: of `read_cohort`, or its folder.
        cache: the HDF5 file, made if need be; its other encodings stay.
        options: as of `extract`.

    Raises:
        LymphofeatError: as `extract`.

    Example:
        >>> adapt("data", "cache/adapted.h5", epochs=2, backbone="small-cnn", weights="none", seed=0, crop=32)
        <AdaptSummary adapt-small-cnn-random0-crop32-epochs2: 2 epochs, in adapted.h5>
    """
    found = extract(cohort, cache, adapt=True, **options).adapted
    assert found is not None, "adapting was asked for"
    return found
