"""A bundle in memory, and what it answers: new patients in, a table of probabilities, decisions and warnings out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ..cache.bags import Bags, JoinedBags
from ..cohort.clinical import clinical_frame
from ..encoder.frozen import BlockEncoder, choose_device
from ..errors import InputError
from ..estimates.conformal import REFER, Conformal
from ..final.refit import Member
from ..parallel import one_thread
from ..progress import Progress, Silent
from ..storage.paths import AnyPath
from .declared_range import DeclaredRange
from .elsewhere import NewFeatures, read_new_features
from .encoded import encoded_bags
from .encoders import ELSEWHERE, EncoderRecord, rebuild
from .manifest import BundleFiles
from .out_of_distribution import (
    ImageDistribution,
    TrainingRanges,
    out_of_distribution,
    patient_means,
)
from .patients import NewPatients, Reading, read_patients, reading_of
from .seen import Seen

__all__ = ["COLUMNS", "Bundle", "encoder_file", "mixed"]

Floats = NDArray[np.float64]

COLUMNS = ("id", "probability", "calibrated", "decision", "set", "warnings")
_WORDS = ("reactive", "malignant")
_REFERRED = "referred: no clinical value is known"
_NOT_COMPARED = "not compared with the training images"


@dataclass(frozen=True)
class Bundle:
    """An exported model.

    Attributes:
        files: its files.
        about: `model.json`.
        encoders: one per fit, or those that `seen` names; none where the model looks at no image.
        members: fitted heads, one per fit, with their shares.
        threshold: malignant at this probability or above.
        conformal: prediction sets, if asked for at the export.
        calibrator: of the probability, likewise.
        reference: the day that ages are counted to; None: the age is that at the examination.
        table: ranges of the training patients.
        images: per encoder, what their images were like; None where that was stored in a way that cannot be read.
        notes: what has to be known of this bundle, in sentences.
        seen: per fit, the encodings that it is given side by side; empty where each fit has one encoder.
    """

    files: BundleFiles
    about: Mapping[str, Any]
    encoders: tuple[EncoderRecord, ...]
    members: tuple[Member, ...]
    threshold: float
    conformal: Conformal | None
    calibrator: Any
    reference: date | None
    table: TrainingRanges
    images: tuple[ImageDistribution, ...] | None
    notes: tuple[str, ...] = ()
    seen: Seen = ()

    @property
    def digest(self) -> str:
        """Of the manifest, and so of every file."""
        return self.files.digest

    @property
    def reading(self) -> Reading:
        """How tables of new patients are read: as those of the training patients were."""
        return reading_of(self.reference, self.about.get("layout", ""), tuple(self.table.declared))

    @property
    def microns_per_pixel(self) -> float | None:
        """The size of a pixel of the training images; None where it is not known."""
        found = self.files.manifest.get("microns_per_pixel")
        return None if found is None else float(found)

    @property
    def sees_images(self) -> bool:
        return bool(self.encoders)

    @property
    def sees_clinical(self) -> bool:
        return bool(self.about["sees_clinical"])

    @property
    def needs_values(self) -> bool:
        """Whether a patient without any clinical value is referred: heads look at the values, and were not made to do
        without. Models of earlier versions were: they were told what is missing.
        """
        return bool(self.about.get("needs_values", False))

    @property
    def n_fits(self) -> int:
        return len(self.members[0].heads)

    def encoder(self, number: int, device: torch.device) -> BlockEncoder:
        """One of `encoders`, at work.

        Raises:
            BundleError: its file is not of its backbone.
        """
        record, name = self.encoders[number], encoder_file(number)
        content = self.files.read(name) if record.kind == "network" else None
        return rebuild(record, content, self.files.root / name, device)

    def probabilities(self, bags: Sequence[Bags], clinical: pd.DataFrame) -> Floats:
        """(n,) float64 of malignant.

        Args:
            bags: per fit, the patients under its encoder, or `JoinedBags` under those that `seen` names; without
                images, bags of no features.
            clinical: (n,) rows: age (years), sex ("M", "F", ""), lymphocyte_count (10⁹/l), declared columns.
        """
        return mixed(self.members, bags, clinical, tuple(self.table.declared))

    def __repr__(self) -> str:
        seen = [
            name
            for name, sees in (("images", self.sees_images), ("clinical values", self.sees_clinical))
            if sees
        ]
        return (
            f"<Bundle {self.files.root.name}: {len(self.members)} head{'s' if len(self.members) > 1 else ''} × "
            f"{self.n_fits} fits on {' and '.join(seen)}, threshold {self.threshold:.3f}>"
        )

    def predict(
        self,
        patients: AnyPath | Bags | Sequence[Bags] | None = None,
        clinical: AnyPath | pd.DataFrame | None = None,
        *,
        device: str = "auto",
        workers: int | None = None,
        progress: Progress | None = None,
    ) -> pd.DataFrame:
        """Predict new patients, from their images or from features.

        Args:
            patients: a folder with one folder of images per patient, or a cohort (for a model on features of another
                toolkit: files of features, as `import_features` takes them); or bags of features under the bundle's
                encoder, one `Bags` per fit where it has several (`JoinedBags` where its heads are given
                several encodings); None for a model of clinical values.
            clinical: with a folder, the table, with the columns of the training cohort; with files of features one with
                patient, slide, age, sex, lymphocyte_count. With bags, a table with a row per patient and the columns
                age (years), sex ("M", "F", ""), lymphocyte_count (10⁹/l), and declared ones by their names, NaN or ""
                where a value is missing; its column `id`, else its index, names the patients. None: no clinical values.
            device, workers: of encoding images; "auto", "cpu", "cuda" or "mps"; threads, by default one per core.
            progress: told of images.

        Returns:
            One row per patient: id, probability (of malignant), calibrated and set (where the bundle has them),
            decision ("reactive", "malignant" or "refer"), warnings (joined by "; "). A model of clinical values refers
            who has none of them.

        Raises:
            InputError: patients, tables or images that cannot be used (all are listed), or bags that are not of the
                bundle's encoders.
        """
        if isinstance(patients, str | PathLike):
            if isinstance(clinical, pd.DataFrame):
                raise InputError("With a folder of images, clinical values come from a CSV; give its path.")
            csv = None if clinical is None else Path(clinical)
            if self.takes_features:
                return self.predict_features(self.new_features(Path(patients), csv, progress or Silent()))
            new = read_patients(Path(patients), csv, self.reading, images=self.sees_images)
            told = progress or Silent()
            for note in (*self.notes, *new.notes):
                told.note(note)
            return self.predict_patients(new, device=device, workers=workers, progress=progress)
        bags = self._given(patients, len(clinical) if isinstance(clinical, pd.DataFrame) else 0)
        return self.answer(bags, _clinical_table(bags[0].lengths, clinical, self.table.declared))

    def predict_patients(
        self,
        new: NewPatients,
        *,
        device: str = "auto",
        workers: int | None = None,
        progress: Progress | None = None,
    ) -> pd.DataFrame:
        """As `predict`, for patients that were read already."""
        return self.answer(*self.asked(new, device=device, workers=workers, progress=progress))

    def asked(
        self,
        new: NewPatients | NewFeatures,
        *,
        device: str = "auto",
        workers: int | None = None,
        progress: Progress | None = None,
    ) -> tuple[list[Bags], pd.DataFrame]:
        """What the heads are given of patients that were read: per fit their bags, and a row of values for each.

        Args:
            new: of images, which are encoded now, or of features.
            device, workers, progress: as of `predict`.

        Raises:
            InputError: an image that cannot be encoded, or features of another width.
        """
        if isinstance(new, NewFeatures):
            bags = self._given(new.bags, len(new.table))
            return bags, _clinical_table(new.bags.lengths, new.table, self.table.declared)
        if not self.sees_images:
            lengths = np.array([len(one.images) for one in new.patients], dtype=np.int64)
            nothing = np.empty((int(lengths.sum()), 0), dtype=np.float32)
            return [Bags(nothing, np.cumsum(lengths) - lengths, lengths)] * self.n_fits, new.table
        target = choose_device(device)
        each = encoded_bags(
            new.patients,
            self.encoders,
            lambda number: self.encoder(number, target),
            workers,
            progress or Silent(),
        )
        if not self.seen:
            return each, new.table
        return [JoinedBags({one.encoding: each[one.encoder] for one in fit}) for fit in self.seen], new.table

    @property
    def takes_features(self) -> bool:
        """Whether features of another toolkit are among its own, so that new patients come as features, not images."""
        return any(record.kind == ELSEWHERE for record in self.encoders)

    def new_features(self, source: Path, clinical: Path | None, progress: Progress) -> NewFeatures:
        """New patients by files of features; see `read_new_features`.

        Raises:
            InputError: as there; or the bundle takes several encodings, which one source does not hold.
        """
        if self.seen or self.n_fits > 1:
            names = ", ".join(dict.fromkeys(record.backbone for record in self.encoders))
            raise InputError(
                f"{self.files.root} takes several encodings ({names}), some by another toolkit, and files of features "
                "hold one; give them as bags from Python: load_bundle(…).predict(bags, table)."
            )
        return read_new_features(source, clinical, self.encoders[0], progress, self.microns_per_pixel)

    def predict_features(self, new: NewFeatures) -> pd.DataFrame:
        """As `predict`, for features that were read already."""
        return self.answer(*self.asked(new))

    def _given(self, patients: Bags | Sequence[Bags] | None, n: int) -> list[Bags]:
        """Per fit, the bags that a caller hands over; for a model of clinical values, n bags of nothing.

        Raises:
            InputError: they are not of the bundle's encoders.
        """
        if not self.sees_images:
            one = np.ones(n, dtype=np.int64)
            nothing = Bags(np.empty((n, 0), dtype=np.float32), np.arange(n), one)
            return [patients if isinstance(patients, Bags) else nothing] * self.n_fits
        bags = [patients] if isinstance(patients, Bags) else list(patients or ())
        if self.seen:
            return self._given_joined(bags)
        widths = [self.encoder_width(number) for number in range(self.n_fits)]
        if [bag.dim if width else None for bag, width in zip(bags, widths, strict=False)] != widths:
            raise InputError(
                f"{self.files.root} takes the bags of {self.n_fits} encoder{'s' if self.n_fits > 1 else ''} with "
                f"{widths[0]} features of an image, not {bags}."
            )
        return bags

    def _given_joined(self, bags: Sequence[Bags]) -> list[Bags]:
        """Per fit, the encodings that it is given, of bags that may hold more.

        Raises:
            InputError: one is missing, or has another number of features.
        """
        found: list[Bags] = []
        for fit, bag in zip(self.seen, bags, strict=False):
            parts = bag.parts if isinstance(bag, JoinedBags) else {}
            if all(one.encoding in parts and parts[one.encoding].dim == one.dim for one in fit):
                found.append(JoinedBags({one.encoding: parts[one.encoding] for one in fit}))
        if len(found) < self.n_fits or len(bags) != self.n_fits:
            wanted = ", ".join(f"{one.encoding} ({one.dim} features)" for one in self.seen[0])
            raise InputError(
                f"{self.files.root} takes {self.n_fits} JoinedBags under the encodings {wanted}, not {list(bags)}."
            )
        return found

    def encoder_width(self, fit: int) -> int | None:
        """Features of an image that a fit is given; None where it is not known or no image is looked at."""
        return len(self.images[fit].mean) if self.images else None

    def answer(self, bags: Sequence[Bags], clinical: pd.DataFrame) -> pd.DataFrame:
        """The table of `predict`, for what `asked` gives."""
        p = self.probabilities(bags, clinical)
        columns: dict[str, object] = {"id": clinical["id"], "probability": p}
        if self.calibrator is not None:
            columns["calibrated"] = self.calibrator.transform(np.clip(p, 0, 1))
        decided = (p >= self.threshold).astype(np.int8)
        if self.conformal is not None:
            inside = self.conformal.sets(np.clip(p, 0, 1))
            decided = self.conformal.decide(np.clip(p, 0, 1))
            columns["set"] = [" ".join(np.array(_WORDS)[row]) for row in inside]
        unknown = self.needs_values & _without_values(clinical, self.table.declared)
        decided = np.where(unknown, REFER, decided)
        columns["decision"] = ["refer" if d == REFER else _WORDS[d] for d in decided]
        columns["warnings"] = [
            "; ".join([*([_REFERRED] if referred else []), *([text] if text else [])])
            for referred, text in zip(unknown, _warnings(self, bags, clinical), strict=True)
        ]
        return pd.DataFrame({name: columns[name] for name in COLUMNS if name in columns})


def _without_values(clinical: pd.DataFrame, declared: Iterable[str]) -> NDArray[np.bool_]:
    """(n,) whether a patient has none of the clinical values."""
    known = clinical["sex"].isin(("M", "F")).to_numpy()
    for name in ("age", "lymphocyte_count", *declared):
        known = known | (clinical[name].notna() & (clinical[name] != "")).to_numpy()
    return np.asarray(~known)


def _clinical_table(
    n_images: NDArray[np.int64], given: AnyPath | pd.DataFrame | None, declared: Mapping[str, DeclaredRange]
) -> pd.DataFrame:
    """The table of patients that came as bags: id, n_images, sex, age, lymphocyte_count, declared columns.

    Raises:
        InputError: not a DataFrame with a row for each of them.
    """
    table = pd.DataFrame(index=range(len(n_images))) if given is None else given
    if not isinstance(table, pd.DataFrame) or len(table) != len(n_images):
        raise InputError(
            f"With bags of {len(n_images)} patients, clinical values are a DataFrame of as many rows."
        )
    missing: dict[str, Any] = {"sex": "", "age": np.nan, "lymphocyte_count": np.nan}
    missing |= {name: "" if known.kind == "category" else np.nan for name, known in declared.items()}
    values = {name: table[name].to_numpy() if name in table else value for name, value in missing.items()}
    return pd.DataFrame({"id": list(table.get("id", table.index)), "n_images": n_images, **values})


def mixed(
    members: Sequence[Member], bags: Sequence[Bags], clinical: pd.DataFrame, declared: Sequence[str] = ()
) -> Floats:
    """(n,) float64: averaged over the fits, weighted over the members."""
    clinical = clinical_frame(clinical, declared)
    total = np.zeros(len(clinical))
    with one_thread():
        for member in members:
            for head, seen in zip(member.heads, bags, strict=True):
                p = head.predict_proba(seen, clinical)[:, 1]
                total += member.weight * np.asarray(p, dtype=np.float64) / len(member.heads)
    return total


def encoder_file(number: int) -> str:
    """Of a fit's encoder, in the bundle."""
    return f"encoders/encoder-{number}.safetensors"


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
