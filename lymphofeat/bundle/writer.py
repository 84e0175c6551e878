"""The files of a bundle: encoders, heads, what is kept of the training patients, a probe, and the model card."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from platform import python_version
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..cache.bags import JoinedBags
from ..cache.reader import Cache
from ..cohort.ages import AT_EXAMINATION, reference_text
from ..cohort.dates import REFERENCE_DATE, age_at
from ..cohort.exclusions import Exclusion, exclusions_from_text, without_names
from ..cohort.layout import layout_of
from ..cohort.pixel_size import common_pixel_size, pixel_size_in
from ..cohort.values import Declared, column_of
from ..estimates.calibrators import CALIBRATORS
from ..estimates.conformal import split_conformal
from ..estimates.persons import one_row_each
from ..final.refit import FinalFit, Member
from ..final.selected_model import FinalModel
from ..heads.registry import foreign_heads
from ..scoring.plan import labels_of
from ..storage.arrays import save_tensors
from ..storage.provenance import package_version
from ..studies.space import HEAD_TYPE
from .card import CardFacts, model_card
from .chai import chai_card
from .classes import Keeps
from .codec import pack_object
from .encoders import EncoderRecord, WhereWeights, find_network, record_of
from .evidence import Evidence
from .load import DECLARED, DISTANCES, MODEL, PROBE, TRAINING, head_stem
from .manifest import CARD, CHAI_CARD, BundleFolder
from .model import encoder_file, mixed
from .out_of_distribution import ImageDistribution, TrainingRanges, patient_means
from .seen import Seen, SeenEncoding, bags_of_fits, seen_to_json

__all__ = ["BundleWriter", "ExportOptions"]

_PROBES, _PROBE_IMAGES = 8, 5
_PACKAGES = ("numpy", "pandas", "scikit-learn", "scipy", "torch", "torchvision", "xgboost")


@dataclass(frozen=True)
class ExportOptions:
    """What goes into a bundle beside the heads.

    Attributes:
        ensemble: average so many of the study's heads; see `final_model`.
        where: the encoders behind the cache.
        refer_error: ε of prediction sets, in (0, 1): patients whose set holds both classes are referred; None: every
            patient is decided by the threshold.
        calibrate: a key of `estimates.CALIBRATORS`, for a calibrated probability beside the raw one; None: without.
        select, trial: which heads instead; see `final_model`.
        licence: of the model, for the head of its card; None: not known.
    """

    ensemble: int | None = None
    where: WhereWeights = field(default_factory=WhereWeights)
    refer_error: float | None = None
    calibrate: str | None = None
    select: str | None = None
    trial: int | None = None
    licence: str | None = None


@dataclass(frozen=True)
class BundleWriter:
    """The files of one bundle: `encoders` writes those of the encoders, then `write` all others.

    Attributes:
        cache: the cache of the study.
        model: the selected model.
        fits: the fits of each head, with the encodings that some head asks for.
        options: what goes into the bundle.
        evidence: what scores, prediction sets and calibration rest on.
        folder: where the files are written.
    """

    cache: Cache
    model: FinalModel
    fits: Sequence[FinalFit]
    options: ExportOptions
    evidence: Evidence
    folder: BundleFolder

    def encoders(self) -> tuple[tuple[EncoderRecord, ...], Seen]:
        """Write the encoders' files.

        Returns:
            The encoders, none where no head looks at images. And what each fit is given of them; empty where that is
            one encoding, of the fit's own encoder.
        """
        if all(trial.inputs == "clinical" for trial, _ in self.model.members):
            return (), ()
        several = any(isinstance(fit.split.bags, JoinedBags) for fit in self.fits)
        used = {encoding.name: encoding for fit in self.fits for encoding in fit.encodings}
        each = list(used.values()) if several else [fit.encodings[0] for fit in self.fits]
        records = []
        for number, encoding in enumerate(each):
            network = find_network(self.cache, encoding, self.options.where, only=not several)
            records.append(record_of(self.cache, encoding, network))
            if network is not None:
                self.folder.write(encoder_file(number), save_tensors(network.state_dict()))
        if not several:
            return tuple(records), ()
        self.folder.format = 2
        places = {name: place for place, name in enumerate(used)}
        return tuple(records), tuple(
            tuple(SeenEncoding(e.encoder_family, places[e.name], e.dim) for e in fit.encodings)
            for fit in self.fits
        )

    def write(self, members: Sequence[Member], encoders: Sequence[EncoderRecord], seen: Seen) -> None:
        """Write the rest."""
        kept: dict[str, Keeps] = {}
        for m, member in enumerate(members):
            for f, head in enumerate(member.heads):
                packed = pack_object(head)
                kept |= self.folder.write_packed(head_stem(m, f), packed)
        oof = self.evidence.probabilities.mean(axis=1)
        if self.options.refer_error is not None:
            independent = one_row_each(self.evidence.y, self.evidence.groups)
            sets = split_conformal(self.evidence.y[independent], oof[independent], self.options.refer_error)
            kept |= self.folder.write_packed("conformal", pack_object(sets))
        if self.options.calibrate is not None:
            fitted = CALIBRATORS[self.options.calibrate]().fit(oof, self.evidence.y)
            kept |= self.folder.write_packed("calibrator", pack_object(fitted))
        labels = labels_of(self.cache)
        labelled = np.flatnonzero(labels >= 0)
        table = TrainingRanges.fit(self.cache.patients.iloc[labelled], labels[labelled], self._declared)
        if self._needs_values or self._declared:
            self.folder.format = 3
        distributions = self._distributions(labelled) if encoders else ()
        arrays = {
            k: v for number, one in enumerate(distributions) for k, v in one.arrays(str(number)).items()
        }
        self.folder.write_arrays(TRAINING, arrays)
        self._write_probe(members, distributions, table, seen)
        about = self._about(members, encoders, table) | {"keeps": dict(sorted(kept.items()))}
        about |= {"seen": seen_to_json(seen)} if seen else {}
        self.folder.write_json(MODEL, about)
        self.folder.microns_per_pixel = self._microns_per_pixel if encoders else None
        facts = CardFacts(
            self.model,
            self.evidence,
            about,
            table,
            kept,
            microns_per_pixel=self.folder.microns_per_pixel,
            exclusions=self._exclusions,
            licence=self.options.licence,
        )
        self.folder.write(CARD, model_card(facts).encode())
        self.folder.write_json(CHAI_CARD, chai_card(facts), sort_keys=False)  # in the schema's order

    @property
    def _needs_values(self) -> bool:
        """Whether some head looks at clinical values and is not told which are missing."""
        return any(trial.inputs != "image" and not trial.missing_indicator for trial, _ in self.model.members)

    @property
    def _declared(self) -> Declared:
        """The declared clinical columns that some head looks at."""
        seen = {column_of(value)[0] for trial, _ in self.model.members for value in trial.clinical_values}
        return {name: column for name, column in self.cache.tables.declared.items() if name in seen}

    @property
    def _exclusions(self) -> list[Exclusion]:
        """What was left out of the cohort, without IDs and names of files."""
        return without_names(exclusions_from_text(self.cache.tables.exclusions), self.cache.ids)

    @property
    def _microns_per_pixel(self) -> float | None:
        """The size of a pixel of the images, by the cohort, else by the files of features."""
        if (declared := pixel_size_in(self.cache.tables.layout)) is not None:
            return declared
        each = [encoding.attrs.get("microns_per_pixel") for fit in self.fits for encoding in fit.encodings]
        return common_pixel_size(each)

    def _distributions(self, labelled: NDArray[np.int64]) -> tuple[ImageDistribution, ...]:
        parts = []
        for fit in self.fits:
            means = patient_means(fit.split.bags.select(labelled))  # to describe them: nobody is scored here
            inside = np.isin(labelled, fit.train)
            parts.append((means[inside], means[~inside]))
        return ImageDistribution.fit_all(parts)

    def _write_probe(
        self,
        members: Sequence[Member],
        distributions: Sequence[ImageDistribution],
        table: TrainingRanges,
        seen: Seen,
    ) -> None:
        """Made-up patients and what the model says of them."""
        rng = np.random.default_rng(0)
        lengths = np.full(_PROBES, _PROBE_IMAGES, dtype=np.int64)
        rows = _PROBES * _PROBE_IMAGES
        features = [
            (one.mean + one.scale * rng.normal(size=(rows, len(one.mean)))).astype(np.float32)
            for one in distributions
        ] or [np.empty((rows, 0), dtype=np.float32) for _ in self.fits]
        male = np.where(np.arange(_PROBES) == 0, np.nan, np.arange(_PROBES) % 2)
        clinical = pd.DataFrame(
            {
                "age": np.where(np.arange(_PROBES) == 1, np.nan, rng.uniform(*table.age, _PROBES)),
                "sex": ["" if np.isnan(v) else "FM"[int(v)] for v in male],
                "lymphocyte_count": np.where(
                    np.arange(_PROBES) == 2, np.nan, rng.uniform(*table.count, _PROBES)
                ),
            }
        )
        declared = {name: known.probe(_PROBES, rng) for name, known in table.declared.items()}
        clinical = clinical.assign(**{name: table.declared[name].of_probe(v) for name, v in declared.items()})
        bags = bags_of_fits(features, lengths, seen)
        numbers = {
            "lengths": lengths,
            "male": male,
            "age": clinical["age"].to_numpy(np.float64),
            "count": clinical["lymphocyte_count"].to_numpy(np.float64),
            "probabilities": mixed(members, bags, clinical, tuple(table.declared)),
            **{f"{DECLARED}{name}": one for name, one in declared.items()},
        }
        numbers |= {f"features.{n}": one for n, one in enumerate(features)}
        numbers |= {
            f"{DISTANCES}{n}": one.distances(patient_means(bags[n])) for n, one in enumerate(distributions)
        }
        self.folder.write_arrays(PROBE, numbers)

    def _about(
        self, members: Sequence[Member], encoders: Sequence[EncoderRecord], table: TrainingRanges
    ) -> dict[str, Any]:
        reference, certain = _reference_date(self.cache)
        return {
            "encoders": [asdict(record) for record in encoders],
            "n_fits": len(self.fits),
            "members": [{"params": m.params, "weight": m.weight} for m in members],
            "sees_clinical": any(trial.inputs != "image" for trial, _ in self.model.members),
            "needs_values": self._needs_values,
            "cut": self.model.threshold,
            "conformal": self.options.refer_error,
            "calibrator": self.options.calibrate,
            "reference_date": reference_text(reference),
            "reference_date_verified": certain,
            "layout": self.cache.tables.layout,
            "training": asdict(table),
            "head_modules": _modules_of([member.params for member in members]),
            "metric": self.model.study.metric,
            "encoding": self.model.study.encoding,
            "model_digest": self.model.digest(self.cache, list(self.fits)),
            "versions": {
                "python": python_version(),
                **{name: package_version(name) or "of unknown version" for name in _PACKAGES},
            },
        }


def _modules_of(points: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Per head type of another package, the module that it comes with."""
    foreign = foreign_heads()
    names = {str(params[HEAD_TYPE]) for params in points}
    return {name: foreign[name][1] for name in sorted(names & foreign.keys())}


def _reference_date(cache: Cache) -> tuple[date | None, bool]:
    """The day that the cache's ages were counted to (None: each at the examination), and whether that is certain.

    A cache of an earlier version, or of features from elsewhere, does not keep it: then the default one or that of the
    cohort's own layout, if dates of birth and ages agree on it. Otherwise ages are what somebody gave: those at the
    examination, as far as can be known.
    """
    if cache.tables.reference == AT_EXAMINATION:
        return None, True
    if cache.tables.reference:
        return date.fromisoformat(cache.tables.reference), True
    candidates = [REFERENCE_DATE]
    if cache.tables.source and Path(cache.tables.source).is_dir():
        candidates.append(layout_of(Path(cache.tables.source)).ages.reference)
    dated = [(date.fromisoformat(b), a) for b, a in zip(cache.patients["birth"], cache.patients["age"], strict=True)
             if b and np.isfinite(a)]  # fmt: skip
    for candidate in candidates if dated else ():
        if all(birth <= candidate and abs(age_at(birth, candidate) - age) < 1e-6 for birth, age in dated):
            return candidate, True
    return None, False
