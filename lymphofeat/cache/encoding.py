"""An encoding: the features of every image of the cohort under one frozen encoder, and how it is read from a cache."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import CacheError
from ..storage.hdf5 import open_to_read
from ..training.label_free import takes_no_labels
from .data_file import slots_of
from .layout import map_dataset, rows_of
from .refusal import damaged, incomplete, no_data_file, whole
from .spec import EncodingSpec, blindness_text

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
        images_key: which images the rows are of, see `CohortTables.images_key`; "" for those of the cache.
        network: digest of the trained network that computed them; "" of one that was not trained on the cohort.
        place: the file in which the rows lie: a data file, or the cache itself.
        stale: why the encoder may not be used on the cohort as it is now; "" if it may.
        lost: what to do about the data file, which is not there; "" if it is. Such an encoding has no rows.
        by: the command that wrote it last, versions and time; empty in files of format 1.
        frame: digest of all of the data file but the rows, see `DataFile.frame`; "" where it is not known.
    """

    spec: EncodingSpec
    digest: str
    features: NDArray[np.float32]
    end_to_end: NDArray[np.float64] | None = None
    made: dict[str, Any] = field(default_factory=dict)
    quality: NDArray[np.uint8] | None = None
    images_key: str = ""
    network: str = ""
    place: Path = Path()
    stale: str = ""
    lost: str = ""
    by: dict[str, str] = field(default_factory=dict)
    frame: str = ""

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

    def origins(self) -> list[tuple[dict[str, Any], int]]:
        """Devices and versions that computed rows, each with their number; one where the file does not tell more."""
        with open_to_read(self.place) as file:
            group = rows_of(file, self.name)
            if "origin" not in group:
                return [(self.spec.provenance, len(self.features))]
            about, counts = slots_of(group["origins"][:]), np.bincount(group["origin"][:])
        return [(about[k] if k < len(about) else {}, int(counts[k])) for k in np.flatnonzero(counts).tolist()]


def read_encoding(path: Path, group: Any) -> Encoding:
    """The encoding of an HDF5 group of a cache.

    Raises:
        CacheError: it is not complete, or its description cannot be read or contradicts itself.
    """
    name = group.name.rsplit("/", 1)[-1]
    if not group.attrs["complete"] or ("done" in group and not group["done"][:].all()):
        raise CacheError(incomplete(path, name))
    try:
        spec = EncodingSpec.from_json(str(group.attrs["spec"]))
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise CacheError(damaged(path, f"{group.name} has no description that can be read")) from error
    _check_blindness(path, spec, group.attrs.get("blind_to"))
    link = group.get("features", getlink=True)
    data = path.parent / link.filename if isinstance(link, h5py.ExternalLink) else path
    lost = "" if data.is_file() else no_data_file(data, name)
    mapped, quality, place = np.empty((0, spec.dim), np.float32), None, data
    with whole(data):
        if not lost:
            features = group["features"]
            mapped = np.asarray(map_dataset(features))  # a plain array over the mapped pages
            quality = group["quality"][:] if "quality" in group else None
            place = Path(os.fsdecode(features.file.filename))
    return Encoding(
        spec=spec,
        digest=str(group.attrs["digest"]),
        features=mapped,
        end_to_end=group["end_to_end"][:] if "end_to_end" in group else None,
        made=json.loads(group.attrs.get("made", "{}")),
        quality=quality,
        images_key=str(group.attrs.get("images_key", "")),
        network=str(group.attrs.get("network", "")),
        place=place,
        lost=lost,
        stale=str(group.attrs.get("stale", "")),
        by=json.loads(group.attrs.get("by", "{}")),
        frame=str(group.attrs.get("frame", "")),
    )


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
