"""Trained encoders as files: the network, and what it is and was trained on, in one safetensors file.

They are not start weights: features from a fine-tuned encoder may be scored only where it is blind, which only the
cache that it was trained for can tell. `lymphofeat.encoder.weights.load_weights` therefore refuses them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..encoder.backbones import backbone_named
from ..encoder.colour import ColourPreprocessing
from ..encoder.state_dict import ABOUT, state_digest
from ..errors import WeightsError
from ..storage.arrays import save_tensors
from ..storage.atomic import atomic_write
from .augment import AugmentSpec
from .networks import PatientNetwork, network_for
from .recipe import Recipe
from .recipe_file import recipe_from_dict
from .vicreg import ViewNetwork

__all__ = ["TrainedEncoder", "load_trained", "save_trained", "trained_about"]


_CONTENT = "content"  # the metadata key of the digest of description and tensors


@dataclass(frozen=True)
class TrainedEncoder:
    """A fine-tuned or adapted network as it was kept.

    Attributes:
        network: backbone, and head or expander, in evaluation mode, on the CPU.
        recipe: that it was trained by.
        preprocessing: how it must see images.
        about: `name`, `blind_to`, `key`, `history`, `epoch`, `seconds`, digests.
    """

    network: PatientNetwork | ViewNetwork
    recipe: Recipe
    preprocessing: ColourPreprocessing
    about: dict[str, Any]


def save_trained(
    path: Path, network: PatientNetwork | ViewNetwork, recipe: Recipe, about: Mapping[str, Any]
) -> None:
    """Keep a trained network; `network.backbone` must be the whole backbone.

    Raises:
        OSError: the disk is full; nothing is left of the file.
    """
    state = network.state_dict()
    text = json.dumps({**about, "recipe": recipe.to_dict()}, sort_keys=True)
    metadata = {ABOUT: text, _CONTENT: _content(text, state)}
    with atomic_write(path) as temporary:
        temporary.write_bytes(save_tensors(state, metadata))


def trained_about(path: Path) -> dict[str, Any]:
    """What a file says of its encoder, without loading the network.

    Raises:
        WeightsError: not such a file, or damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            about: dict[str, Any] = json.loads((file.metadata() or {})[ABOUT])
            return about
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise WeightsError(
            f"{path} is not a trained encoder of this program, or damaged ({error}); name a file that `lymphofeat "
            "extract` keeps beside the cache, or move it away to have it trained again."
        ) from error


def load_trained(path: Path) -> TrainedEncoder:
    """Read a trained encoder back.

    Raises:
        WeightsError: not such a file, or damaged: by the digest of its contents, which files of earlier versions lack.
    """
    about = trained_about(path)
    try:
        with safe_open(path, "pt") as file:
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            metadata = file.metadata()
        if _CONTENT in metadata and metadata[_CONTENT] != _content(metadata[ABOUT], state):
            raise RuntimeError("its contents are not those that were written")
        recipe = recipe_from_dict(about["recipe"], str(path))
        backbone = backbone_named(recipe.network.backbone)
        network = network_for(recipe, backbone.build(), backbone.dim, seed=0)
        network.load_state_dict(state)
    except (SafetensorError, RuntimeError) as error:
        raise WeightsError(f"{path} is damaged ({error}); move it away to have it trained again.") from error
    spec: AugmentSpec = recipe.augment
    preprocessing = ColourPreprocessing(
        recipe.training.crop, backbone.mean, backbone.std, spec.grey, spec.normalise_stain
    )
    return TrainedEncoder(network.eval(), recipe, preprocessing, about)


def _content(about: str, state: Mapping[str, Tensor]) -> str:
    """Hex digest of a description and of all tensors."""
    return blake2b(f"{about}\n{state_digest(state)}".encode(), digest_size=16).hexdigest()
