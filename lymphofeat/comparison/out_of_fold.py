"""One pipeline's out-of-fold predictions on a cache's first repeat of folds, each fold by what is blind to it."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..cache.encoding import Encoding
from ..cache.partial import features_digest
from ..cache.reader import Cache
from ..errors import CacheError
from ..heads.base import FitCache, Head, Split, fit_predict
from ..parallel import one_thread
from ..scoring.plan import labels_of
from ..scoring.scored import ScoredPatients, bag_digests
from ..scoring.threshold import prevalence_threshold
from ..storage.json_arrays import pack, unpack
from .pipelines import END_TO_END, Pipeline, heads_of

__all__ = ["OutOfFold", "encoder_seconds", "identity", "predict"]

Floats = NDArray[np.float64]

RULES = "1"  # changes whenever `predict` gives other numbers for the same pipeline within a version
_OWN_CUT = 0.5  # where a fine-tuned network decides, and the majority class


@dataclass(frozen=True)
class OutOfFold:
    """What a pipeline says of the labelled patients, by models that did not see them.

    Attributes:
        probabilities: (n,) float64 of malignant, labelled patients in the cache's order.
        thresholds: (n,) float64; a patient is called malignant at this probability or above.
        seconds: of fitting and predicting, the encoder's time not counted.
    """

    probabilities: Floats
    thresholds: Floats
    seconds: float

    @property
    def decisions(self) -> NDArray[np.bool_]:
        """(n,) whether each patient is called malignant."""
        return self.probabilities >= self.thresholds

    def to_json(self) -> dict[str, Any]:
        """As JSON values that come back bit by bit."""
        return {
            "probabilities": pack(self.probabilities),
            "cuts": pack(self.thresholds),
            "seconds": self.seconds,
        }

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> "OutOfFold":
        """The opposite of `to_json`.

        Raises:
            KeyError, ValueError, TypeError: not what `to_json` gives.
        """
        return cls(unpack(entry["probabilities"]), unpack(entry["cuts"]), float(entry["seconds"]))


def predict(cache: Cache, pipeline: Pipeline) -> OutOfFold:
    """Predict every labelled patient.

    Heads and control experiments have their threshold at the share of malignant among the fold's training patients, the
    decision that is best for balanced accuracy if the probabilities are right; it needs no second level of folds, which
    not every encoder family has. A fine-tuned network decides as it was published, at 0.5, and so does the majority
    class.

    Raises:
        LeakageError: no encoding of the encoder family is blind to a fold.
        CacheError: one of them lacks the network's own probabilities.
        InputError: the labelled part lacks a class.
    """
    labels = labels_of(cache)
    splits = list(cache.splits(pipeline.encoder_family).values())
    probabilities, thresholds = np.full(len(labels), np.nan), np.full(len(labels), np.nan)
    start = time.perf_counter()
    end_to_end = pipeline.head == END_TO_END
    predicted = _own(cache, pipeline, splits) if end_to_end else _by_heads(cache, pipeline, splits, labels)
    for split, p in zip(splits, predicted, strict=True):
        probabilities[split.test] = p
        thresholds[split.test] = (
            _OWN_CUT
            if end_to_end or pipeline.head == "majority"
            else prevalence_threshold(labels[split.train])
        )
    labelled = labels >= 0
    return OutOfFold(probabilities[labelled], thresholds[labelled], time.perf_counter() - start)


def identity(cache: Cache, pipeline: Pipeline) -> str:
    """Hex digest of everything that `predict` depends on: of the cohort, the labelled patients in their order.

    Raises:
        LeakageError, CacheError, InputError: as `predict`.
    """
    heads = [{"head": type(h).__name__, **_values(h)} for h in heads_of(pipeline, cache.clinical_values)]
    patients = ScoredPatients.of(cache, repeats=1)
    used = [
        (bag_digests(cache, [encoding.name], patients.ids), _own_digest(encoding, cache))
        for encoding in _encodings(cache, pipeline)
    ]
    state = json.dumps([__version__, RULES, pipeline.head, heads, patients.digest(), used], sort_keys=True)
    return blake2b(state.encode(), digest_size=16).hexdigest()


def _values(head: Head) -> dict[str, Any]:
    """The arguments of a head and of its parts; a part itself by its class."""
    return {
        name: type(value).__name__ if hasattr(value, "get_params") else value
        for name, value in head.get_params(deep=True).items()
    }


def encoder_seconds(cache: Cache, pipeline: Pipeline) -> float:
    """Seconds that making the encodings behind a pipeline took; 0 without any, NaN where they were not recorded."""
    made = {encoding.name: encoding.made for encoding in _encodings(cache, pipeline)}
    return float(sum(float(m.get("seconds", np.nan)) for m in made.values()))


def _encodings(cache: Cache, pipeline: Pipeline) -> list[Encoding]:
    """Of each fold, ascending; none where no image is looked at."""
    splits = cache.splits(pipeline.encoder_family).values()
    return [encoding for split in splits for encoding in cache.behind(split)]


def _own(cache: Cache, pipeline: Pipeline, splits: Sequence[Split]) -> list[Floats]:
    predicted = []
    for split in splits:
        encoding = cache.encodings.get(split.encoding)
        if encoding is None or encoding.end_to_end is None:
            name = pipeline.encoder_family if encoding is None else encoding.name
            raise CacheError(
                f"{name} holds no probabilities of its own network; train it again with `lymphofeat extract "
                f"--finetune`, or leave {pipeline.name} out."
            )
        predicted.append(encoding.end_to_end[split.test])
    return predicted


def _own_digest(encoding: Encoding, cache: Cache) -> str:
    return "" if encoding.end_to_end is None else features_digest(encoding.end_to_end[cache.labelled])


def _by_heads(
    cache: Cache, pipeline: Pipeline, splits: Sequence[Split], labels: NDArray[np.int8]
) -> list[Floats]:
    fit_cache = FitCache()
    with one_thread():
        each = [
            fit_predict(head, splits, cache.clinical, labels, fit_cache)
            for head in heads_of(pipeline, cache.clinical_values)
        ]
    return [np.asarray(np.mean(of_fold, axis=0)) for of_fold in zip(*each, strict=True)]
