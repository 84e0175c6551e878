"""An encoding: the features of every image of the cohort under one frozen encoder, and how it is read from a cache."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CacheError
from ..training.label_free import takes_no_labels
from .layout import EncodingSpec, blindness_text, map_dataset
from .refusal import damaged, incomplete

__all__ = ["Encoding", "read_encoding"]


@dataclass(frozen=True)
class Encoding:
    """The features of every image of the cohort under one frozen encoder.

    Attributes:
        spec: name, encoder family, width, and the folds that the encoder is blind to.
        digest: hex digest of the features.
        features: (n_images, D) float32, mapped read-only.
        end_to_end: (n_patients,) float64, the fine-tuned network's own probabilities of malignant; None where
            the encoder has no head of its own.
        made: what became known when it was made: `seconds` it took, `history` of the training, …; may be empty.
        quality: (n_images,) uint8, how far each cell could be measured, keys of
            `lymphofeat.encoder.morphology.quality.QUALITIES`; None of a network's features.
    """

    spec: EncodingSpec
    digest: str
    features: NDArray[np.float32]
    end_to_end: NDArray[np.float64] | None = None
    made: dict[str, Any] = field(default_factory=dict)
    quality: NDArray[np.uint8] | None = None

    def __repr__(self) -> str:
        n, width = self.features.shape
        return f"<Encoding {self.name}: {n:,} images × {width}, blind to {blindness_text(self.blind_to)}>"

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def encoder_family(self) -> str:
        return self.spec.encoder_family

    @property
    def dim(self) -> int:
        return self.spec.dim

    @property
    def names(self) -> list[str] | None:
        """(D,) names of the features, where each has one; None of a network's."""
        return self.spec.names

    @property
    def blind_to(self) -> frozenset[int] | None:
        """The folds whose labels the encoder never saw; None: it saw no labels at all."""
        return self.spec.blind_to

    @property
    def attrs(self) -> dict[str, Any]:
        """Backbone, weights and their digest, preprocessing, recipe, dtype, torch version, device."""
        return self.spec.about


def read_encoding(path: Path, group: Any) -> Encoding:
    """The encoding of an HDF5 group of a cache.

    Raises:
        CacheError: it is not complete, or its description cannot be read or contradicts itself.
    """
    if not group.attrs["complete"] or not group["done"][:].all():
        raise CacheError(incomplete(path, group.name.rsplit("/", 1)[-1]))
    try:
        spec = EncodingSpec.from_json(str(group.attrs["spec"]))
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise CacheError(damaged(path, f"{group.name} has no description that can be read")) from error
    _check_blindness(path, spec, group.attrs.get("blind_to"))
    features = np.asarray(map_dataset(path, group["features"], "r"))  # a plain array over the mapped pages
    own = group["end_to_end"][:] if "end_to_end" in group else None
    made = json.loads(group.attrs.get("made", "{}"))
    quality = group["quality"][:] if "quality" in group else None
    return Encoding(spec, str(group.attrs["digest"]), features, own, made, quality)


def _check_blindness(path: Path, spec: EncodingSpec, stated: str | None) -> None:
    """Refuse an encoding of which the file says two different things about the labels that its encoder saw.

    Args:
        stated: the group's attribute `blind_to`; None in a file without it.
    """
    if stated is not None and stated != blindness_text(spec.blind_to):
        problem = (
            f"the attribute blind_to of its group says {stated}, its spec {blindness_text(spec.blind_to)}"
        )
    elif spec.blind_to is None and spec.trained and not takes_no_labels(spec.about["recipe"]):
        problem = "it was fine-tuned by a recipe that takes labels, and says that it saw none"
    else:
        return
    raise CacheError(
        f"{path}: what labels the encoder of {spec.name} saw is not certain: {problem}; the file was changed after it "
        "was written, so use an unchanged copy, or run `lymphofeat extract` with another --cache."
    )
