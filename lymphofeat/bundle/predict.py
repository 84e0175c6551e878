"""`predict`: a bundle and new patients in, a table of probabilities, decisions and warnings out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ..cohort.model import Patient
from ..cohort.reading import reading_notes
from ..progress import Progress, Silent
from ..storage.atomic import refuse_existing
from ..storage.csv_tables import check_csv_for, write_csv
from ..storage.provenance import write_with_record
from .elsewhere import NewFeatures
from .explained import ExplainedPatient, explain_patients
from .load import load_bundle
from .model import Bundle
from .patients import NewPatients, read_patients

__all__ = ["PredictSummary", "predict_folder"]


@dataclass(frozen=True)
class PredictSummary:
    """What was predicted.

    Attributes:
        path: the table.
        bundle: the model.
        table: the columns `model.COLUMNS`, one row per patient; `calibrated` and `set` are left out where the
            bundle has none. `decision` is "reactive", "malignant" or "refer"; `warnings` are joined by "; ".
        notes: what was passed over, in sentences.
        patients: whose images were read; none where features were given.
        explained: one per patient, if asked for.
    """

    path: Path
    bundle: Bundle
    table: pd.DataFrame
    notes: tuple[str, ...]
    patients: tuple[Patient, ...] = ()
    explained: tuple[ExplainedPatient, ...] = ()

    def __repr__(self) -> str:
        return f"<PredictSummary {self.path.name}: {len(self.table)} patients by {self.bundle!r}>"


def predict_folder(
    bundle: Path,
    folder: Path,
    out: Path,
    *,
    clinical: Path | None = None,
    device: str = "auto",
    workers: int | None = None,
    force: bool = False,
    csv_for: str = "programs",
    explain: bool = False,
    progress: Progress | None = None,
) -> PredictSummary:
    """Predict every patient of a folder and write the table, and beside it how it was made (`NAME.made.json`).

    Args:
        bundle: the folder that `export` made.
        folder: one folder of images per patient, or a cohort; see `patients.read_patients`. For a model on features of
            another toolkit: files of features; see `elsewhere.read_new_features`.
        out: the CSV to write.
        clinical: the table of clinical values.
        device: "auto", "cpu", "cuda" or "mps".
        workers: threads that decode and encode, by default one per core.
        force: replace `out`.
        csv_for: "programs" or "excel" (semicolons, decimal commas, UTF-8 with its mark).
        explain: also find what each image adds to the prediction, see `explained.explain_patients`.
        progress: told of images.

    Raises:
        InputError: `out` exists, no such `csv_for`, or patients, tables or images that cannot be used (all are listed).
        BundleError: no bundle, or one that was changed, see `load_bundle`.
    """
    check_csv_for(csv_for)
    refuse_existing(out, overwrite=force)
    loaded = load_bundle(bundle)
    new: NewPatients | NewFeatures
    patients: tuple[Patient, ...] = ()
    if loaded.takes_features:
        new = loaded.new_features(folder, clinical, progress or Silent())
        notes = new.notes
    else:
        new = read_patients(folder, clinical, loaded.reading, images=loaded.sees_images)
        patients, notes = new.patients, (*new.notes, *_reading_notes(loaded, new.patients))
    bags, values = loaded.asked(new, device=device, workers=workers, progress=progress)
    table = loaded.answer(bags, values)
    explained = explain_patients(loaded, bags, values, patients) if explain else []
    about = {"model": loaded.digest, "patients": len(table)}
    with write_with_record(out, about, overwrite=force) as file:
        write_csv(table, file, csv_for=csv_for)
    return PredictSummary(out, loaded, table, (*loaded.notes, *notes), patients, tuple(explained))


def _reading_notes(bundle: Bundle, patients: Sequence[Patient]) -> tuple[str, ...]:
    if not bundle.sees_images:
        return ()
    images = [image for patient in patients for image in patient.images]
    return reading_notes(images, min(record.crop for record in bundle.encoders), bundle.encoders[0].bits)
