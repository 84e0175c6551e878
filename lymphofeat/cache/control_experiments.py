"""Encodings that have learnt nothing: what a comparison holds every encoder against."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..cohort.model import Cohort
from ..encoder.backbones import BACKBONES
from ..encoder.channel_statistics import ColourStatistics
from ..encoder.pixels import recorded_depth
from ..progress import Progress, Silent
from .encoding import Encoding
from .extract import ExtractSettings, encode_frozen, fill, start_of, whole_seconds, writer_for
from .layout import EncodingSpec
from .reader import Cache, open_cache
from .writer import CacheWriter

__all__ = [
    "COLOUR",
    "add_controls",
    "extract_colour",
    "is_colour",
    "is_untrained",
    "missing_controls",
    "with_folds_of",
]

COLOUR = "colour"  # stands in the place of a backbone
RANDOM_SEED = 0


def is_colour(encoding: Encoding) -> bool:
    """Whether the encoding holds colour statistics only."""
    return encoding.attrs.get("backbone") == COLOUR


def is_untrained(encoding: Encoding) -> bool:
    """Whether the encoding's network was never trained: `extract --weights none`."""
    return encoding.attrs.get("recipe") == "frozen" and str(encoding.attrs.get("weights")).startswith(
        "untrained"
    )


def missing_controls(cache: Cache | None, settings: ExtractSettings) -> list[ExtractSettings | None]:
    """The control experiments that the cache lacks: None for the colours, settings for an untrained encoder.

    Every backbone and crop that some encoder of the cache has wants its untrained double; a cache without any, and
    no cache, that of `settings`.
    """
    encodings: Sequence[Encoding] = [] if cache is None else list(cache.encodings.values())
    wanted = {_shape(e, settings) for e in encodings if e.attrs.get("backbone") in BACKBONES}
    there = {_shape(e, settings) for e in encodings if is_untrained(e)}
    missing: list[ExtractSettings | None] = [
        replace(settings, backbone=backbone, crop=crop, weights="none", seed=RANDOM_SEED)
        for backbone, crop in sorted((wanted or {(settings.backbone, settings.crop)}) - there)
    ]
    return missing if any(map(is_colour, encodings)) else [*missing, None]


def add_controls(
    cohort: Cohort, cache: Path, settings: ExtractSettings | None = None, *, progress: Progress | None = None
) -> None:
    """Put the control experiments that a cache lacks into it: colours, and an untrained encoder of each backbone.

    They go on where an earlier run was stopped, and none becomes the cache's default.

    Args:
        cohort: the cohort that the cache was made from.
        cache: made if need be.
        settings: device, dtype, crop, folds; backbone, weights and seed only for a cache without encoders.
        progress: told of the images.

    Raises:
        InputError, StaleCacheError, CacheError: as `extract_frozen`.
    """
    settings, progress = with_folds_of(cache, settings or ExtractSettings()), progress or Silent()
    with writer_for(cohort, cache, settings, progress=progress) as writer:
        writer.correct_values()
        for control in missing_controls(writer.found, settings):
            if control is None:
                encode_colour(writer, cohort, settings, progress=progress)
            else:
                encode_frozen(writer, cohort, start_of(control, progress), default=False, progress=progress)


def extract_colour(
    cohort: Cohort, cache: Path, settings: ExtractSettings, *, progress: Progress | None = None
) -> None:
    """Put the colour statistics of every image into the cache, as the encoding `colour`.

    Raises:
        InputError, StaleCacheError, CacheError: as `extract_frozen`.
    """
    progress = progress or Silent()
    with writer_for(cohort, cache, settings, progress=progress) as writer:
        encode_colour(writer, cohort, settings, progress=progress)


def encode_colour(
    writer: CacheWriter, cohort: Cohort, settings: ExtractSettings, *, progress: Progress
) -> None:
    """As `extract_colour`, into the cache of a writer that was entered."""
    encoder = ColourStatistics(settings.crop)
    about = {
        "recipe": "frozen",
        "backbone": COLOUR,
        "weights": "none: mean and deviation of each channel",
        "preprocessing": {"crop": settings.crop, **recorded_depth(cohort.images)},
        "dtype": "float32",
    }
    spec = EncodingSpec(COLOUR, COLOUR, encoder.dim, settings.batch_size, None, about)
    if writer.holds(spec):
        return
    partial = writer.begin(spec)
    n_before = partial.n_done
    seconds = fill(partial, cohort, encoder, None, progress)
    made = {"seconds": whole_seconds(seconds, n_before, writer.tables.n_images)}
    writer.finish(partial, made=made, default=False)


def _shape(encoding: Encoding, settings: ExtractSettings) -> tuple[str, int]:
    preprocessing = encoding.attrs.get("preprocessing") or {}
    return str(encoding.attrs["backbone"]), int(preprocessing.get("crop", settings.crop))


def with_folds_of(cache: Path, settings: ExtractSettings) -> ExtractSettings:
    """`settings` with the folds of the cache, if there is one: what joins it has to share them."""
    if not cache.exists():
        return settings
    found = open_cache(cache)
    n_folds, n_repeats = int(found.folds[:, 0].max()) + 1, found.folds.shape[1]
    return replace(settings, n_folds=n_folds, n_repeats=n_repeats, fold_seed=found.fold_seed)
