"""What can be compared: the pipelines that a cache gives rise to, by name, and the choice among them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from ..cache.encoding import Encoding
from ..cache.reader import Cache
from ..cache.roles import is_colour, is_slide_only, is_untrained
from ..cache.split import JOINT
from ..errors import InputError
from ..heads import Head, Logistic, pooled
from ..wording import did_you_mean
from .control_experiments import BagSize, MajorityClass

__all__ = ["END_TO_END", "HEADS", "Pipeline", "heads_of", "pipelines_of", "recipe_of", "select"]

END_TO_END = "end-to-end"
# What is built on every encoder family, by its word in a pipeline's name, and what that sees of a patient.
HEADS = {"image": "image", "both": "image+clinical", "average": "image+clinical"}
_CONTROLS = {"majority": "nothing", "bag-size": "bag size", "clinical": "clinical"}
_TRAINED = ("frozen", "fine-tuned", "pair")
_COMPONENTS = 32


@dataclass(frozen=True)
class Pipeline:
    """One way from a patient to a probability.

    Attributes:
        name: "majority", "bag-size", "clinical", or "<encoder family>/<head>".
        head: the part of the name that says what is done with the features.
        encoder_family: the encodings; None where none are used; of a pair, two with `JOINT` between.
        recipe: the recipe that the encoders were trained by; "" where they were not trained here.
        encoder: "" (none), "colour", "background" (the slide around the cell, measured), "random", "frozen" (features
            as trained weights give them, or measured), "fine-tuned", or "pair" (two of the last ones side by side).
        inputs: "nothing", "bag size", "clinical", "image" or "image+clinical".
        backbone: the network's name; "" without one.
    """

    name: str
    head: str
    encoder_family: str | None
    recipe: str
    encoder: str
    inputs: str
    backbone: str = ""

    @property
    def is_control(self) -> bool:
        """Whether it rests on no trained encoder: every comparison shows it."""
        return self.encoder not in _TRAINED


def pipelines_of(cache: Cache) -> list[Pipeline]:
    """Every pipeline that can be compared on a cache, control experiments first."""
    pipelines = [Pipeline(name, name, None, "", "", inputs) for name, inputs in _CONTROLS.items()]
    for encoder_family in cache.encoder_families:
        pipelines += _of_encoder_family(encoder_family, cache.members(encoder_family))
    trained = sorted({p.encoder_family for p in pipelines if p.encoder_family and not p.is_control})
    for pair in combinations(trained, 2):
        pipelines += [
            Pipeline(f"{'+'.join(pair)}/{head}", head, JOINT.join(pair), "", "pair", seen)
            for head, seen in HEADS.items()
        ]
    return sorted(pipelines, key=lambda s: _TRAINED.index(s.encoder) if s.encoder in _TRAINED else -1)


def _of_encoder_family(encoder_family: str, members: Sequence[Encoding]) -> list[Pipeline]:
    recipe, uses_clinical = recipe_of(members[0])
    inputs = dict(HEADS)
    if any(member.end_to_end is not None for member in members):
        inputs = {END_TO_END: "image+clinical" if uses_clinical else "image", **inputs}
    encoder, backbone = _kind_of(members[0]), str(members[0].attrs.get("backbone", ""))
    return [
        Pipeline(f"{encoder_family}/{head}", head, encoder_family, recipe, encoder, seen, backbone)
        for head, seen in inputs.items()
    ]


def _kind_of(encoding: Encoding) -> str:
    if is_colour(encoding):
        return "colour"
    if is_slide_only(encoding):
        return "background"
    if is_untrained(encoding):
        return "random"
    return "frozen" if encoding.blind_to is None else "fine-tuned"


def recipe_of(encoding: Encoding) -> tuple[str, bool]:
    """The recipe that an encoder was trained by, "" if none, and whether its network sees clinical values."""
    recipe: Any = encoding.attrs.get("recipe", "")
    if isinstance(recipe, str) and recipe.startswith("{"):
        recipe = json.loads(recipe)
    if isinstance(recipe, dict):
        return str(recipe.get("name", "")), recipe.get("clinical", {}).get("use", "none") != "none"
    return ("" if recipe == "frozen" else str(recipe)), False


def select(
    pipelines: Sequence[Pipeline], wanted: Sequence[str], recipes: Sequence[str] = ()
) -> list[Pipeline]:
    """The pipelines that `wanted` names, and the control experiments, which nothing leaves out.

    Args:
        pipelines: all there are.
        wanted: names of pipelines, encoder families, recipes, heads ("image", "both", "average", "end-to-end") or
            encoders ("frozen", "fine-tuned", "pair"); empty: everything.
        recipes: more names that are legal although no pipeline may have them yet.

    Raises:
        InputError: a name that nothing has; the nearest one is suggested.
    """
    if not wanted:
        return list(pipelines)
    known = {word for pipeline in pipelines for word in _words(pipeline)}
    known |= {*recipes, *HEADS, *_CONTROLS, *_TRAINED, END_TO_END}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        there = sorted(known)
        raise InputError(
            "\n".join(
                f"No pipeline, encoding, recipe or head is called {name!r}{did_you_mean(name, there)}."
                for name in unknown
            )
        )
    return [s for s in pipelines if s.is_control or _words(s) & set(wanted)]


def _words(pipeline: Pipeline) -> set[str]:
    """What the pipeline may be called by."""
    words = {pipeline.name, pipeline.encoder_family or "", pipeline.recipe, pipeline.head, pipeline.encoder}
    return words - {""}


def heads_of(pipeline: Pipeline, declared: Sequence[str] = ()) -> list[Head]:
    """The unfitted heads whose probabilities are averaged; none for a network that stands for itself.

    Heads are fixed, not tuned: mean pooling (for the few colour values mean and deviation), the first 32 principal
    axes, logistic regression with C = 1. Those that are given clinical values see all of them.

    Args:
        pipeline: whose.
        declared: declared clinical columns, as `Cache.clinical_values`.
    """
    pooling = "mean+std" if pipeline.encoder == "colour" else "mean"
    image = pooled(Logistic, inputs="image", pooling=pooling, pca=_COMPONENTS)
    both = pooled(Logistic, inputs="both", pooling=pooling, pca=_COMPONENTS, clinical_values=tuple(declared))
    clinical = pooled(Logistic, inputs="clinical", clinical_values=tuple(declared))
    heads: dict[str, list[Head]] = {
        "majority": [MajorityClass()],
        "bag-size": [BagSize()],
        "clinical": [clinical],
        "image": [image],
        "both": [both],
        "average": [image, clinical],
    }
    return heads.get(pipeline.head, [])
