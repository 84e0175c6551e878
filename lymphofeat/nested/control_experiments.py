"""The pipelines that stand beside the one that is evaluated, so that its score can be read."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..cache.encoding import Encoding
from ..cache.reader import Cache
from ..cache.roles import is_cell_measured, is_colour, is_morphology, is_slide_only, is_untrained
from ..cache.split import JOINT
from ..studies.space import Space
from .pipeline import Pipeline, sees_labels

__all__ = [
    "CLINICAL",
    "IMAGES",
    "SHUFFLED",
    "SLIDE",
    "UNTRAINED",
    "WHOLE",
    "controls_of",
    "frozen_twin",
    "untrained_twin",
]

WHOLE = "image + clinical"
CLINICAL = "clinical only"
IMAGES = "images only"
UNTRAINED = "untrained encoder"
SLIDE = "slide only"
SHUFFLED = "shuffled labels"

_BASELINE = "logistic"  # takes whatever there is


def controls_of(main: Pipeline, cache: Cache, heads: Sequence[str] = ()) -> tuple[list[Pipeline], list[str]]:
    """The control experiments of a pipeline: clinical values only, images only, an untrained encoder, shuffled labels.

    Of measured cells, the slide around them as well, with the clinical values.

    Each is searched as the pipeline is. Where the heads that were asked for cannot take one of the inputs, that control
    is searched among logistic regressions.

    Args:
        main: takes all inputs.
        cache: its cache.
        heads: the head types that were asked for; all if empty.

    Returns:
        The control experiments that the cache allows, and a sentence for each that it does not.
    """
    controls, notes = [], []
    for name, inputs in ((CLINICAL, "clinical"), (IMAGES, "image")):
        space, note = _narrowed(heads, inputs, name)
        space = replace(space, missing_indicators=main.space.missing_indicators)
        controls.append(replace(main, name=name, space=space))
        notes += note
    encoder_family = main.encoder_family
    twin = untrained_twin(cache, encoder_family)
    if twin is not None:
        controls.append(replace(main, name=UNTRAINED, encoder_family=twin))
    else:
        notes += _without_twin(cache, encoder_family)
    if any(is_cell_measured(e) for e in _firsts(cache, encoder_family)):
        slide = next((e.encoder_family for e in cache.encodings.values() if is_slide_only(e)), None)
        if slide is not None:
            controls.append(replace(main, name=SLIDE, encoder_family=slide))
        else:
            notes.append(
                f"{cache.path} holds no measurements of the slide around the cells to compare {encoder_family} with; "
                f"`lymphofeat compare {cache.tables.source or 'COHORT'} --cache {cache.path}` makes them."
            )
    blind = frozen_twin(cache, encoder_family)
    if blind is None:
        notes.append(
            f"No control experiment with shuffled labels: the encoders of {encoder_family} were trained on the true "
            f"ones, and {cache.path} holds no frozen encoding; `lymphofeat extract --frozen` makes one."
        )
    else:
        controls.append(replace(main, name=SHUFFLED, encoder_family=blind, shuffle=0))
        if blind != encoder_family:
            notes.append(
                f"Shuffled labels run on {blind}: the encoders of {encoder_family} were trained on the true ones."
            )
    return controls, notes


def untrained_twin(cache: Cache, encoder_family: str) -> str | None:
    """The encoder family of the same network with random weights; None if there is none, or it is that itself.

    Of several encoder families, those of their networks. Measured cells have no network: beside them alone stands any
    untrained one that the cache has.
    """
    firsts = _firsts(cache, encoder_family)
    networks = [e.encoder_family for e in firsts if _is_trained(e)]
    if not networks and any(is_cell_measured(e) for e in firsts):
        return min((e.encoder_family for e in cache.encodings.values() if is_untrained(e)), default=None)
    if JOINT in encoder_family:
        return _joined(untrained_twin(cache, name) for name in networks)
    first = cache.members(encoder_family)[0]
    if not _is_trained(first):
        return None
    untrained = [e for e in cache.encodings.values() if is_untrained(e) and _network(e) == _network(first)]
    alike = [e for e in untrained if _scale(e) == _scale(first)]
    return min((e.encoder_family for e in alike or untrained), default=None)


def frozen_twin(cache: Cache, encoder_family: str) -> str | None:
    """The encoder family itself if its encoders saw no labels, else the nearest one whose did not; None if none."""
    if not sees_labels(cache, encoder_family):
        return encoder_family
    if JOINT in encoder_family:
        return _joined(frozen_twin(cache, name) for name in encoder_family.split(JOINT))
    first = cache.members(encoder_family)[0]
    free = [e for e in cache.encodings.values() if e.blind_to is None]

    def distance(encoding: Encoding) -> tuple[bool, bool, bool, str]:
        alike = encoding.attrs.get("weights") == first.attrs.get("weights")
        return (
            _network(encoding) != _network(first),
            not alike,
            not _is_trained(encoding),
            encoding.encoder_family,
        )

    return min(free, key=distance).encoder_family if free else None


def _without_twin(cache: Cache, encoder_family: str) -> list[str]:
    """A sentence where networks have no untrained double in the cache; none where there is no network."""
    from ..encoder.backbones import can_be_built  # torch, which not every search needs

    alone = [
        str(e.attrs.get("backbone", "its network"))
        for e in _firsts(cache, encoder_family)
        if _is_trained(e) and untrained_twin(cache, e.encoder_family) is None
    ]
    if not alone:
        return []
    way = f"`lymphofeat compare {cache.tables.source or 'COHORT'} --cache {cache.path}` makes it"
    if lacking := [name for name in alone if not can_be_built(name)]:
        way += f" where the packages that build {', '.join(lacking)} are installed"
    return [
        f"{cache.path} holds no untrained encoder ({', '.join(alone)}) to compare {encoder_family} with; {way}."
    ]


def _narrowed(heads: Sequence[str], inputs: str, name: str) -> tuple[Space, list[str]]:
    every = Space.of((), [inputs]).head_types
    fitting = [head for head in heads if head in every]
    if heads and not fitting:
        none = f"none of the heads {', '.join(heads)} takes these inputs alone"
        return Space.of([_BASELINE], [inputs]), [f"For {name}, {_BASELINE} is searched: {none}."]
    return Space.of(fitting, [inputs]), []


def _firsts(cache: Cache, encoder_family: str) -> list[Encoding]:
    """An encoding of each of the encoder families."""
    return [cache.members(name)[0] for name in encoder_family.split(JOINT)]


def _joined(twins: Iterable[str | None]) -> str | None:
    """The twins together, each once; None if there are none, or one is missing."""
    found = set(twins)
    return None if not found or None in found else JOINT.join(sorted(name for name in found if name))


def _is_trained(encoding: Encoding) -> bool:
    return not (is_untrained(encoding) or is_colour(encoding) or is_morphology(encoding))


def _network(encoding: Encoding) -> str:
    return str(encoding.attrs.get("backbone"))


def _scale(encoding: Encoding) -> object:
    """The crop, and the size that it is scaled to."""
    recorded = encoding.attrs.get("preprocessing") or {}
    return recorded.get("crop"), recorded.get("input_size")
