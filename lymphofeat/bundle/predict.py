"""`predict`: a bundle and new patients in, a table of probabilities, decisions and warnings out."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..cache.bags import Bags
from ..cohort.decoding import bit_depth
from ..cohort.model import Patient
from ..cohort.reading import reading_notes
from ..encoder.frozen import Block, BlockEncoder, choose_device, encode_blocks
from ..encoder.pixels import read_block
from ..errors import InputError
from ..estimates.conformal import REFER
from ..progress import Progress, Silent
from ..storage.atomic import atomic_write, refuse_existing
from .encoders import EncoderRecord
from .load import Bundle, load_bundle
from .out_of_distribution import out_of_distribution, patient_means
from .patients import NewPatients, check_images, read_patients

__all__ = ["COLUMNS", "PredictSummary", "predict_folder", "predict_patients"]

Floats = NDArray[np.float64]

COLUMNS = ("id", "probability", "calibrated", "decision", "set", "warnings")
_WORDS = ("reactive", "malignant")
_NOT_COMPARED = "not compared with the training images"


@dataclass(frozen=True)
class PredictSummary:
    """What was predicted.

    Attributes:
        path: the table.
        bundle: the model.
        table: the columns `COLUMNS`, one row per patient; `calibrated` and `set` are left out where the bundle has
            none. `decision` is "reactive", "malignant" or "refer"; `warnings` are joined by "; ".
        notes: what was passed over, in sentences.
    """

    path: Path
    bundle: Bundle
    table: pd.DataFrame
    notes: tuple[str, ...]


def predict_folder(
    bundle: Path,
    folder: Path,
    out: Path,
    *,
    clinical: Path | None = None,
    device: str = "auto",
    workers: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> PredictSummary:
    """Predict every patient of a folder and write the table.

    Args:
        bundle: the folder that `export` made.
        folder: one folder of images per patient, or a cohort; see `patients.read_patients`.
        out: the CSV to write.
        clinical: the table of clinical values.
        device: "auto", "cpu", "cuda" or "mps".
        workers: threads that decode and encode, by default one per core.
        force: replace `out`.
        progress: told of images.

    Raises:
        InputError: `out` exists, or patients, tables or images that cannot be used (all are listed).
        BundleError: no bundle, or one that was changed, see `load_bundle`.
    """
    refuse_existing(out, overwrite=force)
    loaded = load_bundle(bundle)
    new = read_patients(folder, clinical, loaded.reference, images=loaded.sees_images)
    table = predict_patients(loaded, new, device=device, workers=workers, progress=progress)
    with atomic_write(out, overwrite=force) as file:
        table.to_csv(file, index=False, lineterminator="\n")
    notes = (*loaded.notes, *new.notes, *_reading_notes(loaded, new.patients))
    return PredictSummary(out, loaded, table, notes)


def predict_patients(
    bundle: Bundle,
    new: NewPatients,
    *,
    device: str = "auto",
    workers: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """The table of `PredictSummary`; arguments as of `predict_folder`."""
    clinical = new.table
    bags = _bags(bundle, new.patients, device, workers, progress or Silent())
    p = bundle.probabilities(bags, clinical)
    columns: dict[str, object] = {"id": clinical["id"], "probability": p}
    if bundle.calibrator is not None:
        columns["calibrated"] = bundle.calibrator.transform(np.clip(p, 0, 1))
    decided = (p >= bundle.threshold).astype(np.int8)
    if bundle.conformal is not None:
        inside = bundle.conformal.sets(np.clip(p, 0, 1))
        decided = bundle.conformal.decide(np.clip(p, 0, 1))
        columns["set"] = [" ".join(np.array(_WORDS)[row]) for row in inside]
    columns["decision"] = ["refer" if d == REFER else _WORDS[d] for d in decided]
    columns["warnings"] = _warnings(bundle, bags, clinical)
    return pd.DataFrame({name: columns[name] for name in COLUMNS if name in columns})


def _bags(
    bundle: Bundle, patients: Sequence[Patient], device: str, workers: int | None, progress: Progress
) -> list[Bags]:
    """Per fit, the patients' bags under its encoder."""
    lengths = np.array([len(p.images) for p in patients], dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    images = [image for patient in patients for image in patient.images]
    if not bundle.sees_images:
        nothing = Bags(np.empty((len(images), 0), dtype=np.float32), starts, lengths)
        return [nothing] * bundle.n_fits
    target, found = choose_device(device), bit_depth(images)
    progress.start("encoding", len(images) * len(bundle.encoders), "images")
    try:
        encoded = (
            _encoded(bundle.encoder(number, target), images, record, record.bits or found, workers, progress)
            for number, record in enumerate(bundle.encoders)
        )
        return [Bags(features, starts, lengths) for features in encoded]
    except InputError:
        check_images(patients, max(record.crop for record in bundle.encoders))  # all of them at once
        raise
    finally:
        progress.stop()


def _reading_notes(bundle: Bundle, patients: Sequence[Patient]) -> tuple[str, ...]:
    if not bundle.sees_images:
        return ()
    images = [image for patient in patients for image in patient.images]
    return reading_notes(images, min(record.crop for record in bundle.encoders), bundle.encoders[0].bits)


def _encoded(
    encoder: BlockEncoder,
    images: Sequence[Path],
    record: EncoderRecord,
    bits: int,
    workers: int | None,
    progress: Progress,
) -> NDArray[np.float32]:
    """(n_images, D) features."""
    size = record.block
    blocks: list[Block] = [(first, images[first : first + size]) for first in range(0, len(images), size)]
    parts: dict[int, NDArray[np.float32]] = {}
    lock = Lock()

    def sink(first: int, features: NDArray[np.float32]) -> None:
        with lock:
            parts[first] = features
            progress.advance(len(features))

    encode_blocks(encoder, blocks, sink, workers=workers, read=partial(read_block, bits=bits))
    return np.concatenate([parts[first] for first, _ in blocks])


def _warnings(bundle: Bundle, bags: Sequence[Bags], clinical: pd.DataFrame) -> list[str]:
    strange = np.zeros(len(clinical), dtype=bool)
    said = [] if bundle.images is not None else [_NOT_COMPARED]
    if bundle.images:
        distances = [one.distances(patient_means(bag)) for one, bag in zip(bundle.images, bags, strict=True)]
        strange = out_of_distribution(distances, bundle.images)
    texts = []
    for row, far in zip(clinical.to_dict("records"), strange, strict=True):
        values = {str(key): value for key, value in row.items()}
        found = bundle.table.warnings(values, images=bundle.sees_images, clinical=bundle.sees_clinical)
        texts.append("; ".join([*said, *["unlike the training images"] * int(far), *found]))
    return texts
