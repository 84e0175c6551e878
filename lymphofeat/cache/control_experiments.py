"""Encodings that have learnt nothing: what a comparison holds every encoder against."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..cohort.model import Cohort
from ..encoder.backbones import can_be_built
from ..encoder.channel_statistics import ColourStatistics
from ..encoder.morphology.features import BACKGROUND, SIDE
from ..encoder.pixels import recorded_depth
from ..progress import Progress, Silent
from .encoding import Encoding
from .extract import ExtractSettings, encode_frozen, start_of, writer_for
from .filling import fill, whole_seconds
from .morphology import encode_morphology, encoding_name
from .reader import Cache, open_cache
from .roles import COLOUR, is_colour, is_imported, is_morphology, is_slide_only, is_untrained
from .spec import EncodingSpec
from .writer import CacheWriter

__all__ = [
    "MORPHOLOGY_BACKGROUND",
    "add_controls",
    "extract_colour",
    "missing_controls",
    "with_folds_of",
]

MORPHOLOGY_BACKGROUND = encoding_name(BACKGROUND)  # the slide around the cell, measured
RANDOM_SEED = 0


def missing_controls(cache: Cache | None, settings: ExtractSettings) -> list[ExtractSettings | str]:
    """The control experiments that the cache lacks: settings of an untrained encoder, or the name of an encoding.

    Every backbone, crop and input size that some encoder of the cache has wants its untrained double, if what builds
    the backbone is installed; a cache without any, and no cache, that of `settings`. Every cache wants `COLOUR`, and
    one with measured cells `MORPHOLOGY_BACKGROUND`.
    """
    encodings: Sequence[Encoding] = [] if cache is None else list(cache.encodings.values())
    networks = [e for e in encodings if not (is_colour(e) or is_imported(e) or is_morphology(e))]
    wanted = {_shape(e, settings) for e in networks if can_be_built(str(e.attrs.get("backbone")))}
    there = {_shape(e, settings) for e in encodings if is_untrained(e)}
    usual = (settings.backbone, settings.crop, settings.input_size or 0)
    missing: list[ExtractSettings | str] = [
        replace(
            settings, backbone=backbone, crop=crop, input_size=size or None, weights="none", seed=RANDOM_SEED
        )
        for backbone, crop, size in sorted((wanted or {usual}) - there)
    ]
    if any(map(is_morphology, encodings)) and not any(map(is_slide_only, encodings)):
        missing.append(MORPHOLOGY_BACKGROUND)
    return missing if any(map(is_colour, encodings)) else [*missing, COLOUR]


def add_controls(
    cohort: Cohort, cache: Path, settings: ExtractSettings | None = None, *, progress: Progress | None = None
) -> None:
    """Put the control experiments that a cache lacks into it: colours, and an untrained encoder of each backbone.

    Beside measured cells, also the slide around them.

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
            if control == COLOUR:
                encode_colour(writer, cohort, settings, progress=progress)
            elif control == MORPHOLOGY_BACKGROUND:
                side = replace(settings, crop=_measured_side(writer.found))
                encode_morphology(writer, cohort, BACKGROUND, side, default=False, progress=progress)
            elif isinstance(control, ExtractSettings):
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


def _measured_side(cache: Cache | None) -> int:
    encodings = [] if cache is None else [e for e in cache.encodings.values() if is_morphology(e)]
    return int(encodings[0].attrs["preprocessing"]["crop"]) if encodings else SIDE


def _shape(encoding: Encoding, settings: ExtractSettings) -> tuple[str, int, int]:
    """Backbone, crop, and the size that the crop is scaled to, or 0."""
    preprocessing = encoding.attrs.get("preprocessing") or {}
    crop, size = preprocessing.get("crop", settings.crop), preprocessing.get("input_size", 0)
    return str(encoding.attrs["backbone"]), int(crop), int(size)


def with_folds_of(cache: Path, settings: ExtractSettings) -> ExtractSettings:
    """`settings` with the folds of the cache, if there is one: what joins it has to share them."""
    if not cache.exists():
        return settings
    found = open_cache(cache)
    n_folds, n_repeats = int(found.folds[:, 0].max()) + 1, found.folds.shape[1]
    return replace(settings, n_folds=n_folds, n_repeats=n_repeats, fold_seed=found.fold_seed)
