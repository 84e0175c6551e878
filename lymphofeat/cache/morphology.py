"""`extract --backbone morphology`: an encoding of named measurements, without network, weights or seed."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from functools import partial as partial_of
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..cohort.model import Cohort
from ..cohort.problems import listing
from ..encoder.morphology.features import (
    BACKGROUND,
    DEFAULT_GROUPS,
    GROUPS,
    MORPHOLOGY,
    SIDE,
    VERSION,
    features_of,
)
from ..encoder.morphology.quality import NO_NUCLEUS, counts_of, impute
from ..errors import InputError
from ..progress import Progress, Silent
from ..storage.paths import AnyPath
from .elsewhere import Elsewhere
from .encoder_plans import MeasuringPlan
from .extract import ExtractSettings, ExtractSummary, writer_for
from .filling import bits_of, fill, whole_seconds
from .partial import PartialEncoding
from .spec import EncodingSpec
from .tables import CohortTables
from .writer import CacheWriter

__all__ = ["check_morphology", "encode_morphology", "encoding_name", "extract_morphology", "impute_failed"]


def encoding_name(groups: Sequence[str], side: int = SIDE) -> str:
    """What an encoding of these groups is called: "morphology" for the default ones, else with the groups' names."""
    suffix = "" if tuple(groups) == DEFAULT_GROUPS else "".join(f"-{group}" for group in groups)
    return f"{MORPHOLOGY}{suffix}{'' if side == SIDE else f'-crop{side}'}"


def check_morphology(*, finetune: bool, given: Mapping[str, bool]) -> None:
    """Refuse options that mean nothing without a network.

    Args:
        finetune: it was asked for.
        given: option → whether a user gave it.

    Raises:
        InputError: one of them was.
    """
    if finetune:
        raise InputError(
            f"backbone {MORPHOLOGY!r} measures cells and learns nothing, so it cannot be fine-tuned; leave "
            "--finetune out."
        )
    if found := [f"--{name.replace('_', '-')}" for name, there in given.items() if there]:
        raise InputError(
            f"Measured cells have no network, so {', '.join(found)} cannot be used with them; leave it out, or give "
            "--frozen, --finetune or --adapt."
        )


def extract_morphology(
    cohort: Cohort,
    cache: AnyPath,
    groups: Sequence[str] = DEFAULT_GROUPS,
    settings: ExtractSettings | None = None,
    *,
    force: bool = False,
    default: bool = True,
    workers: int | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> ExtractSummary:
    """Measure the cell of every image and put the named features into the cache file `cache`.

    What is there already is left as it is, and what was interrupted goes on, with the same bits as an unbroken run.

    Args:
        cohort: patients and image files.
        cache: the HDF5 file, made if need be; its other encodings stay.
        groups: of features, in the order of `lymphofeat.encoder.morphology.features.GROUPS`.
        settings: batch size and folds; `crop` is the side of the square that is looked at, by default 224 pixels.
            Nothing else of it is looked at.
        force: replace what is there and does not fit.
        default: whether `tune` uses it unless told otherwise; see `CacheWriter.finish`.
        workers: threads, by default one per core.
        executor: its workers encode instead, reading images by their paths; see docs/cluster.md.
        progress: told of images.

    Raises:
        InputError: an image cannot be decoded, or no nucleus was found in any image of a
            patient.
        StaleCacheError: the cache, or the partial file, was made from other images, labels or settings.
        CacheError: another process is writing.
    """
    settings, progress = settings or ExtractSettings(crop=SIDE), progress or Silent()
    with writer_for(cohort, Path(cache), settings, force=force, progress=progress) as writer:
        return encode_morphology(
            writer, cohort, groups, settings, default=default, workers=workers, executor=executor,
            progress=progress,
        )  # fmt: skip


def encode_morphology(
    writer: CacheWriter,
    cohort: Cohort,
    groups: Sequence[str],
    settings: ExtractSettings,
    *,
    default: bool = True,
    workers: int | None = None,
    executor: Executor | None = None,
    progress: Progress,
) -> ExtractSummary:
    """As `extract_morphology`, into the cache of a writer that was entered."""
    from ..encoder.morphology.encoder import read_framed, split_flag

    writer.tell(progress)
    spec = _spec(writer.depth(cohort), groups, settings)
    n_images = writer.tables.n_images
    if writer.holds(spec):
        writer.correct_values()
        assert writer.found is not None, "it holds the encoding"
        there = writer.found.everything[spec.name].quality
        return _summary(writer, spec, there, n_images, 0.0)
    partial = writer.begin(spec)
    n_before = partial.n_done

    def write(block: int, rows: NDArray[np.float32]) -> None:
        partial.write(block, *split_flag(rows))

    read = partial_of(read_framed, bits=bits_of(partial.spec))
    plan = MeasuringPlan(tuple(groups), settings.crop)
    encoder = plan.open() if executor is None else Elsewhere(executor, plan)
    seconds = fill(partial, cohort, encoder, workers, progress, read=read, write=write)
    impute_failed(partial, writer.tables)
    quality = partial.quality.copy()
    made = {"seconds": whole_seconds(seconds, n_before, n_images)}
    writer.finish(partial, made=made, default=default and tuple(groups) != BACKGROUND)  # a control experiment
    return _summary(writer, spec, quality, n_before, seconds)


def _spec(depth: Mapping[str, int], groups: Sequence[str], settings: ExtractSettings) -> EncodingSpec:
    features = [feature.name for feature in features_of(groups)]
    if not features:
        raise InputError(f"No group of features is named; choose from {', '.join(GROUPS)}.")
    name = encoding_name(groups, settings.crop)
    about = {
        "recipe": "frozen",
        "backbone": MORPHOLOGY,
        "weights": f"none: measurements of the cell ({', '.join(groups)})",
        "groups": list(groups),
        "features": features,
        "features_version": VERSION,
        "preprocessing": {"crop": settings.crop, **depth},
        "dtype": "float32",
        "libraries": {package: version(package) for package in ("numpy", "scipy", "scikit-image")},
    }
    return EncodingSpec(name, name, len(features), settings.batch_size, None, about)


def impute_failed(partial: PartialEncoding, tables: CohortTables) -> None:
    """Give images without a nucleus values that their patient's mean does not feel.

    Raises:
        InputError: no nucleus was found in any image of a patient.
    """
    failed = np.flatnonzero(partial.quality == NO_NUCLEUS)
    if not len(failed):
        return
    features = partial.features.copy()
    lengths = tables.patients["n_images"].to_numpy(np.int64)
    nobody = impute(features, partial.quality, lengths)
    if len(nobody):
        ids = listing(tables.patients["id"].iloc[nobody].tolist())
        raise InputError(
            f"No nucleus was found in any image of {ids}; look at the images, and replace or remove them, or give "
            f"--frozen, which does without measured cells. The measurements of the others are kept in {partial.path}."
        )
    partial.replace_rows(failed, features[failed])


def _summary(
    writer: CacheWriter, spec: EncodingSpec, quality: NDArray[np.uint8] | None, n_before: int, seconds: float
) -> ExtractSummary:
    counts = None if quality is None else counts_of(quality)
    return ExtractSummary(
        writer.path, spec.name, writer.tables.n_images, n_before, spec.dim, seconds, spec.about["weights"],
        untrained=False, quality=counts,
    )  # fmt: skip
