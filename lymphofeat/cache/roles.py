"""What the encodings of a cache are to one another: control experiments, and what is searched unless told otherwise."""

from ..encoder.morphology.features import BACKGROUND, MORPHOLOGY
from .encoding import Encoding
from .reader import Cache
from .split import JOINT

__all__ = [
    "COLOUR",
    "IMPORTED",
    "default_encoding",
    "is_adapted",
    "is_cell_measured",
    "is_colour",
    "is_imported",
    "is_morphology",
    "is_slide_only",
    "is_untrained",
]

COLOUR = "colour"  # stands in the place of a backbone
IMPORTED = "imported"  # likewise


def is_colour(encoding: Encoding) -> bool:
    """Whether the encoding holds colour statistics only."""
    return encoding.attrs.get("backbone") == COLOUR


def is_imported(encoding: Encoding) -> bool:
    """Whether the features came from elsewhere: `import`, or `save_cache`."""
    return encoding.attrs.get("backbone") == IMPORTED


def is_morphology(encoding: Encoding) -> bool:
    """Whether the encoding holds measurements of cells, or of the slide around them."""
    return encoding.attrs.get("backbone") == MORPHOLOGY


def is_slide_only(encoding: Encoding) -> bool:
    """Whether the encoding measures the slide around the cell and nothing of the cell."""
    return is_morphology(encoding) and tuple(encoding.attrs["groups"]) == BACKGROUND


def is_cell_measured(encoding: Encoding) -> bool:
    """Whether the encoding measures something of the cell."""
    return is_morphology(encoding) and not is_slide_only(encoding)


def is_untrained(encoding: Encoding) -> bool:
    """Whether the encoding's network was never trained: `extract --weights none`."""
    return encoding.attrs.get("recipe") == "frozen" and str(encoding.attrs.get("weights")).startswith(
        "untrained"
    )


def is_adapted(encoding: Encoding) -> bool:
    """Whether the encoding's network went on learning on the cohort's images without labels: `extract --adapt`."""
    return encoding.blind_to is None and encoding.spec.trained


def default_encoding(cache: Cache) -> str:
    """What `tune` searches unless told otherwise.

    If the encoder family computed last saw no label and is no control experiment, all such families of the cache
    together, with `JOINT` between their names; otherwise that family alone. One that was adapted to the cohort's images
    (`extract --adapt`) joins them only if it is named: it is an experiment.
    """
    last = cache.default_encoder_family
    free = sorted({e.encoder_family for e in cache.encodings.values() if _is_free(e)})
    return JOINT.join(free) if last in free else last


def _is_free(encoding: Encoding) -> bool:
    left_out = (is_colour, is_slide_only, is_untrained, is_adapted)
    return encoding.blind_to is None and not any(is_one(encoding) for is_one in left_out)
