"""A bundle in memory: checked file by file, put together, and asked for answers that are known."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..cohort.ages import reference_of
from ..errors import BundleError, LymphofeatError
from ..final.refit import Member
from ..heads.registry import foreign_heads
from ..storage.paths import AnyPath
from .codec import unpack_object
from .encoders import EncoderRecord
from .manifest import BundleFiles
from .model import Bundle
from .out_of_distribution import ImageDistribution, TrainingRanges, patient_means
from .seen import bags_of_fits, seen_from_json

__all__ = [
    "DECLARED",
    "DISTANCES",
    "MODEL",
    "PROBE",
    "TRAINING",
    "head_stem",
    "load_bundle",
]

MODEL, TRAINING, PROBE = "model.json", "training.safetensors", "probe.safetensors"
DISTANCES = (
    "distances."  # in the probe, of the made-up patients from the training ones; bundles of before lack it
)
DECLARED = "clinical."  # in the probe, the made-up patients' values of declared columns
_AGREED = 1e-6  # between the probabilities here and those at the export


def load_bundle(path: AnyPath) -> Bundle:
    """Load a bundle.

    Every file is compared with the manifest before anything is parsed. Then the heads must give, on made-up patients
    that the bundle holds, the probabilities that they gave when it was exported.

    Raises:
        BundleError: no bundle, a newer format, damaged or changed, or the installed libraries compute otherwise.

    Example:
        >>> bundle = load_bundle("model")
        >>> cache = open_cache("cache/features.h5")
        >>> new = cache.patients["split"] == "test"
        >>> bags = cache.bags(cache.label_free().name).select(new.to_numpy())
        >>> list(bundle.predict(bags, cache.patients[new]))
        ['id', 'probability', 'decision', 'warnings']
    """
    path = Path(path)
    files = BundleFiles.open(path)
    about = files.read_json(MODEL)
    try:
        for name, module in about.get("head_modules", {}).items():
            if name not in foreign_heads():
                raise BundleError(
                    f"{path} holds heads {name!r} of the package {module.partition('.')[0]}; install it, or import "
                    f"{module}, which registers them, before the bundle is loaded."
                )
        bundle = _bundle(files, about)
        _check_answers(bundle)
    except LymphofeatError:
        raise
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise BundleError(
            f"{path} cannot be rebuilt here ({error!r}); it was made by {_makers(about)}: install these versions, "
            "or export again."
        ) from error
    return bundle


def head_stem(member: int, fit: int) -> str:
    """Of a fitted head's files, in the bundle."""
    return f"heads/member-{member}-fit-{fit}"


def _bundle(files: BundleFiles, about: Mapping[str, Any]) -> Bundle:
    def packed(stem: str) -> Any:
        try:
            return unpack_object(files.read_packed(stem))
        except BundleError as error:
            raise BundleError(
                f"{files.root / stem}.json cannot be used: {str(error).rstrip('.')}."
            ) from error

    members = tuple(
        Member(
            dict(one["params"]),
            float(one["weight"]),
            tuple(packed(head_stem(m, f)) for f in range(about["n_fits"])),
        )
        for m, one in enumerate(about["members"])
    )
    encoders = tuple(EncoderRecord.from_json(raw) for raw in about["encoders"])
    arrays = files.read_arrays(TRAINING)
    return Bundle(
        files,
        about,
        encoders,
        members,
        float(about["cut"]),
        packed("conformal") if about["conformal"] else None,
        packed("calibrator") if about["calibrator"] else None,
        reference_of(about["reference_date"]),
        TrainingRanges.from_json(about["training"]),
        *_images(files, arrays, about["n_fits"] if encoders else 0),
        seen=seen_from_json(about.get("seen", ())),
    )


def _images(
    files: BundleFiles, arrays: Mapping[str, Any], n: int
) -> tuple[tuple[ImageDistribution, ...] | None, tuple[str, ...]]:
    """What the training images were like, and a note where an earlier version stored it wrongly.

    It wrote principal axes as they lay in memory, and took nearly everyone for unlike when it read them.
    """
    images = tuple(ImageDistribution.from_arrays(arrays, str(k)) for k in range(n))
    if not n or f"{DISTANCES}0" in files.read_arrays(PROBE):  # which `_check_answers` compares
        return images, ()
    right = tuple(one for one in (image.put_right() for image in images) if one is not None)
    if len(right) < n:
        return None, (
            f"{files.root} was written by an earlier version that stored the training images' summary wrongly, so no "
            "patient can be compared with them; export the bundle again.",
        )
    if all(a.axes is b.axes for a, b in zip(images, right, strict=True)):
        return images, ()
    return right, (
        f"{files.root} was written by an earlier version that stored the training images' summary in another order; it "
        'was put right while reading. Earlier predictions wrongly marked nearly everyone "unlike the training images".',
    )


def _check_answers(bundle: Bundle) -> None:
    probe = bundle.files.read_arrays(PROBE)
    lengths = probe["lengths"]
    bags = bags_of_fits([probe[f"features.{n}"] for n in range(bundle.n_fits)], lengths, bundle.seen)
    sexes = ["" if np.isnan(v) else "FM"[int(v)] for v in probe["male"]]
    declared = {
        name: known.of_probe(probe[f"{DECLARED}{name}"]) for name, known in bundle.table.declared.items()
    }
    clinical = pd.DataFrame(
        {"age": probe["age"], "sex": sexes, "lymphocyte_count": probe["count"], **declared}
    )
    worst = float(np.abs(bundle.probabilities(bags, clinical) - probe["probabilities"]).max())
    if not worst <= _AGREED:
        raise BundleError(
            f"{bundle.files.root}: on the made-up patients in it the model's probabilities differ by {worst:.1g} from "
            f"those at the export, so the installed libraries compute otherwise; install {_makers(bundle.about)}."
        )
    for n, image in enumerate(bundle.images or ()):
        expected = probe.get(f"{DISTANCES}{n}")
        if expected is not None and not np.allclose(
            image.distances(patient_means(bags[n])), expected, rtol=_AGREED
        ):
            raise BundleError(
                f"{bundle.files.root}: the made-up patients in it are not as far from the training patients as at the "
                f"export, so warnings cannot be trusted; install {_makers(bundle.about)}, or export again."
            )


def _makers(about: Any) -> str:
    versions = about.get("versions") if isinstance(about, Mapping) else None
    if not isinstance(versions, Mapping):
        return "unknown versions"
    return ", ".join(f"{name} {version}" for name, version in versions.items())
