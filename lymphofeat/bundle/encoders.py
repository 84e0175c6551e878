"""The encoders in a bundle: found again for the export, kept as safetensors, put to work again."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from ..cache.encoding import Encoding
from ..cache.reader import Cache
from ..cache.roles import is_colour, is_imported, is_morphology
from ..cache.trainings import encoders_folder
from ..encoder.backbones import backbone_named
from ..encoder.channel_statistics import ColourStatistics
from ..encoder.colour import ColourPreprocessing
from ..encoder.frozen import DTYPES, BlockEncoder, FrozenEncoder
from ..encoder.morphology.features import MORPHOLOGY, VERSION
from ..encoder.state_dict import state_digest
from ..encoder.weights import load_weights
from ..errors import BundleError, WeightsError
from ..training.trained import load_trained

__all__ = ["ELSEWHERE", "UNKNOWN", "EncoderRecord", "WhereWeights", "find_network", "rebuild", "record_of"]

ELSEWHERE = "elsewhere"  # a kind of encoder
UNKNOWN = "not known"  # the name of an encoder of another toolkit, where its files do not say it
_UNTRAINED = re.compile(r"untrained, random from seed (\d+)")


@dataclass(frozen=True)
class WhereWeights:
    """Where the encoders of a cache may lie.

    Attributes:
        weights: the file of frozen weights; None: where `extract` found them.
        encoders: the folder of the trained ones; None: beside the cache.
    """

    weights: Path | None = None
    encoders: Path | None = None


@dataclass(frozen=True)
class EncoderRecord:
    """What a bundle says of an encoder.

    Attributes:
        kind: "network", "colour" (the statistics of channels, no network), "morphology" (cells measured), or
            "elsewhere" (another toolkit's, which the bundle does not hold).
        backbone: its name; "colour" or "morphology" for those; of another toolkit's encoder its name there.
        crop, mean, std, grey, normalise_stain: the preprocessing.
        dtype: of the arithmetic, as when the training features were computed.
        block: images a pass.
        origin: of its weights, for people.
        digest: of its tensors; "" for colour.
        bits: how many bits the training images of 16 used; None where they had 8, or used all 16.
        groups, features_version: of measured cells, what is measured and by which definitions.
        input_size: the side that the crop is scaled to; None where it is not.
    """

    kind: str
    backbone: str
    crop: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    grey: bool
    normalise_stain: bool
    dtype: str
    block: int
    origin: str
    digest: str
    bits: int | None = None
    groups: tuple[str, ...] = ()
    features_version: int | None = None
    input_size: int | None = None

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "EncoderRecord":
        """The opposite of `dataclasses.asdict`.

        Raises:
            KeyError, TypeError: not such a record.
        """
        tuples = {name: tuple(raw.get(name, ())) for name in ("mean", "std", "groups")}
        return cls(**{**raw, **tuples})


def record_of(cache: Cache, encoding: Encoding, network: nn.Module | None) -> EncoderRecord:
    """Describe an encoding's encoder.

    Raises:
        BundleError: the cache does not say how its images were prepared.
    """
    about = encoding.attrs
    if is_imported(encoding):
        return _elsewhere(encoding)
    seen = about.get("preprocessing")
    if not isinstance(seen, Mapping) or "backbone" not in about:
        raise BundleError(_foreign(cache, encoding))
    origin = str(about["weights"])
    if encoding.blind_to is not None:
        origin += ", fine-tuned on the training patients"
    elif encoding.spec.trained:
        origin += f", adapted without labels to the images of the {about['learnt_parts']}"
    return EncoderRecord(
        kind=_kind_of(encoding),
        backbone=str(about["backbone"]),
        crop=int(seen["crop"]),
        mean=_three(seen.get("mean", (0.0, 0.0, 0.0))),
        std=_three(seen.get("std", (1.0, 1.0, 1.0))),
        grey=bool(seen.get("grey", False)),
        normalise_stain=bool(seen.get("normalise_stain", False)),
        dtype=str(about.get("dtype", "float32")),
        block=encoding.spec.block,
        origin=origin,
        digest="" if network is None else state_digest(network.state_dict()),
        bits=None if seen.get("bits") is None else int(seen["bits"]),
        groups=tuple(about.get("groups", ())),
        features_version=about.get("features_version"),
        input_size=None if seen.get("input_size") is None else int(seen["input_size"]),
    )


def _elsewhere(encoding: Encoding) -> EncoderRecord:
    unit = encoding.attrs.get("unit") or "row"
    return EncoderRecord(
        kind=ELSEWHERE,
        backbone=str(encoding.attrs.get("weights", UNKNOWN)),
        crop=0,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        grey=False,
        normalise_stain=False,
        dtype="float32",
        block=encoding.spec.block,
        origin=f"computed by another toolkit, {encoding.dim:,} numbers a {unit}; not in the bundle",
        digest="",
    )


def _kind_of(encoding: Encoding) -> str:
    if is_morphology(encoding):
        return MORPHOLOGY
    return "colour" if is_colour(encoding) else "network"


def find_network(
    cache: Cache, encoding: Encoding, where: WhereWeights, *, only: bool = True
) -> nn.Module | None:
    """The encoder behind an encoding, with the very weights; None for colour statistics, measured cells and features of
    another toolkit.

    Args:
        cache: the encoding's.
        encoding: its features.
        where: the files may lie.
        only: whether `where.weights` is meant for this encoding; else it serves if its own are not where they were.

    Raises:
        BundleError: the features came from elsewhere.
        WeightsError: the weights are not found, or are others.
    """
    if is_colour(encoding) or is_morphology(encoding) or is_imported(encoding):
        return None
    if "preprocessing" not in encoding.attrs:
        raise BundleError(_foreign(cache, encoding))
    if encoding.spec.trained:
        return _trained(cache, encoding, where)
    if not only and where.weights is not None:
        try:
            return _frozen(encoding, replace(where, weights=None))
        except WeightsError:  # not where they were
            pass
    return _frozen(encoding, where)


def _trained(cache: Cache, encoding: Encoding, where: WhereWeights) -> nn.Module:
    folder = where.encoders or encoders_folder(cache.path)
    path = folder / str(encoding.made.get("encoder", f"{encoding.name}.safetensors"))
    if not path.is_file():
        raise WeightsError(
            f"{path}: the trained encoder of {encoding.name} is not there; put the folder that `extract` made "
            "beside the cache, or name it with --encoders DIR."
        )
    network: nn.Module = load_trained(path).network.backbone
    if state_digest(network.state_dict()) != encoding.made.get("trained_digest"):
        raise WeightsError(
            f"{path} is not the encoder behind {encoding.name} in {cache.path}; give the folder of this cache "
            "with --encoders DIR, or extract again."
        )
    return network


def _frozen(encoding: Encoding, where: WhereWeights) -> nn.Module:
    about = encoding.attrs
    backbone = backbone_named(str(about["backbone"]))
    untrained = _UNTRAINED.fullmatch(str(about["weights"]))
    kept = encoding.made.get("weights_file")
    if where.weights is not None:
        given, seed = str(where.weights), None
    elif untrained:
        given, seed = "none", int(untrained[1])
    elif kept:
        given, seed = str(kept), None
    elif str(about["weights"]).startswith("file "):
        raise WeightsError(
            f"{encoding.name} was made with {about['weights']}, and the cache does not say where that lies; name it "
            "with --weights FILE."
        )
    else:
        given, seed = "imagenet", None
    if given == str(kept) and not Path(given).is_file():
        raise WeightsError(
            f"{given}: the weights of {encoding.name} are not there any more; name their file with --weights FILE."
        )
    loaded = load_weights(backbone, given, seed)
    if loaded.digest != about.get("weights_digest"):
        raise WeightsError(
            f"{loaded.origin} holds other weights than {encoding.name} was made with ({about['weights']}, digest "
            f"{str(about.get('weights_digest'))[:12]}…, here {loaded.digest[:12]}…); name the right file with "
            "--weights FILE."
        )
    return loaded.network


def rebuild(record: EncoderRecord, content: bytes | None, path: Path, device: torch.device) -> BlockEncoder:
    """The encoder at work again.

    Args:
        record: what it is.
        content: its safetensors file; None for colour statistics and measured cells.
        path: of that file, for messages.
        device: where to compute.

    Raises:
        BundleError: the file is not of this backbone.
        InputError: no such backbone here; the sentence says which package brings it.
    """
    if record.kind == ELSEWHERE:
        raise BundleError(
            f"{path.parents[1]} does not hold the encoder {record.backbone}, which is another toolkit's; give features "
            "by it instead of images (docs/import.md)."
        )
    if record.kind == "colour":
        return ColourStatistics(record.crop)
    if record.kind == MORPHOLOGY:
        return _measuring(record, path)
    backbone = backbone_named(record.backbone)
    network = backbone.build()
    try:
        network.load_state_dict(safetensors.torch.load(content or b""))
    except (SafetensorError, RuntimeError, ValueError) as error:
        raise BundleError(
            f"{path} does not hold the weights of a {record.backbone} ({str(error).splitlines()[0]}); export the "
            "bundle again."
        ) from error
    if state_digest(network.state_dict()) != record.digest:
        raise BundleError(f"{path} holds other weights than the bundle was made with; export it again.")
    preprocessing = ColourPreprocessing(
        record.crop,
        record.mean,
        record.std,
        record.grey,
        record.normalise_stain,
        input_size=record.input_size,
    )
    return FrozenEncoder(network, preprocessing, device, DTYPES[record.dtype])


def _measuring(record: EncoderRecord, path: Path) -> BlockEncoder:
    if record.features_version != VERSION:
        raise BundleError(
            f"{path.parents[1]} was made with version {record.features_version} of the measurements, and this "
            f"lymphofeat measures by version {VERSION}; export it again, or install the version that made it."
        )
    from ..encoder.morphology.encoder import FlaggedMorphology

    return FlaggedMorphology(record.groups, record.crop)


def _foreign(cache: Cache, encoding: Encoding) -> str:
    return (
        f"{cache.path}: the features of {encoding.name} came from elsewhere, so their encoder cannot be exported; "
        "export a study on an encoding that `lymphofeat extract` made, or one with clinical values only."
    )


def _three(values: Any) -> tuple[float, float, float]:
    first, second, third = (float(value) for value in values)
    return first, second, third
