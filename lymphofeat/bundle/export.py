"""`export`: the selected heads of a study, refitted, with their encoders, as a folder that stands alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..cache.reader import Cache, open_cache
from ..errors import InputError
from ..estimates.calibrators import CALIBRATORS
from ..estimates.persons import repeating
from ..final.refit import FinalFit, final_fits
from ..final.selected_model import FinalModel, fit_model
from ..nested.result import Nested
from ..progress import Progress, Silent
from ..scoring.plan import labels_of
from ..storage.addresses import StudyPlace, study_place
from ..storage.paths import AnyPath
from ..studies.load import load_study
from ..studies.selection import DEFAULT
from .encoders import EncoderRecord, WhereWeights
from .evaluation import read_evaluation
from .evidence import Evidence
from .manifest import new_bundle
from .seen import needed_of
from .writer import BundleWriter, ExportOptions

__all__ = ["ExportSummary", "export", "export_bundle"]


@dataclass(frozen=True)
class ExportSummary:
    """What was exported.

    Attributes:
        path: the bundle's folder.
        digest: of its manifest, which `predict` prints again.
        n_bytes: of all files.
        model: what was chosen.
        n_fits: fits of each head.
        encoders: one per fit, or one per encoding where heads were given several; none where no image is looked at.
        nested: whether the card has nested scores.
    """

    path: Path
    digest: str
    n_bytes: int
    model: FinalModel
    n_fits: int
    encoders: tuple[EncoderRecord, ...]
    nested: bool

    def __repr__(self) -> str:
        return f"<ExportSummary {self.path.name}: {self.model!r} × {self.n_fits} fits, {self.n_bytes / 1e6:.1f} MB>"


def export(
    cache: AnyPath,
    study: AnyPath,
    out: AnyPath,
    *,
    select: str | None = None,
    trial: int | None = None,
    ensemble: int | None = None,
    weights: AnyPath | None = None,
    encoders: AnyPath | None = None,
    refer_error: float | None = None,
    calibrate: str | None = None,
    evaluation: AnyPath | None = None,
    nested: Nested | None = None,
    licence: str | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> ExportSummary:
    """Write the selected heads of the study and their encoders to a folder that stands alone.

    It holds no ID, date of birth or image, and no file that could run code. `load_bundle` opens it.

    Args:
        cache: the cache that the study was made from.
        study: the study's file, or its address as of `tune`.
        out: the folder to make.
        select, trial, ensemble: which heads; as of `submit`.
        weights: of the frozen encoder, if it is no longer where `extract` found it.
        encoders: the folder of the fine-tuned encoders, if they are no longer beside the cache.
        refer_error: target error in (0, 1): patients who cannot be decided at it are referred; None: all are decided.
        calibrate: "platt", "beta" or "isotonic", for a calibrated probability beside the raw one; None: without.
        evaluation: `evaluate.json` of the same pipeline, whose nested scores go on the model card.
        nested: nested cross-validation of the pipeline (`evaluate(…).main`): prediction sets and calibration are
            fitted on its predictions, and its scores go on the card.
        licence: of the model, such as "cc-by-nc-4.0", for the card's head; None: "unknown".
        force: replace a bundle that exists.
        progress: told of the steps.

    Raises:
        InputError: `out` exists, a bad option, or `nested` or `evaluation` of something else.
        CacheError, StudyError: no usable cache or study, or they do not belong together.
        WeightsError: an encoder is not found, or has other weights.
        BundleError: something that bundles have no form for.

    Example:
        >>> done = export("cache/features.h5", "studies/study.db", "another-model", trial=0)
        >>> done.n_fits
        1
    """
    where = WhereWeights(*(None if given is None else Path(given) for given in (weights, encoders)))
    options = ExportOptions(
        ensemble, where, refer_error, calibrate, select=select, trial=trial, licence=licence
    )
    return export_bundle(
        Path(cache), study_place(study), Path(out), options, nested=nested,
        evaluation=None if evaluation is None else Path(evaluation), force=force, progress=progress,
    )  # fmt: skip


def export_bundle(
    cache_path: Path,
    study_path: StudyPlace,
    out: Path,
    options: ExportOptions | None = None,
    *,
    nested: Nested | None = None,
    evaluation: Path | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> ExportSummary:
    """Write a bundle: the same heads, encoders and threshold as `submit` uses.

    Args:
        cache_path: the cache that the study was made from.
        study_path: the study.
        out: the folder to make.
        options: what goes into it.
        nested: nested cross-validation of the pipeline: its scores go on the card, and prediction sets and calibration
            are fitted on its predictions. Without, the out-of-fold predictions of the chosen heads stand in, which were
            selected, and the card says so.
        evaluation: `evaluate.json` of the same pipeline, whose nested scores go on the card.
        force: replace a bundle that exists.
        progress: told of the steps.

    Raises:
        InputError: `out` exists, a bad option, or `nested` or `evaluation` of something else.
        CacheError, StudyError: no usable cache or study, or they do not belong together.
        WeightsError: an encoder is not found, or has other weights.
        BundleError: something that bundles have no form for.
    """
    options, progress = options or ExportOptions(), progress or Silent()
    _check(options)
    with new_bundle(out, force=force) as folder:
        study = load_study(study_path)
        cache = open_cache(cache_path)
        fits = final_fits(cache, study.encoding)
        progress.note(
            f"Fitting the selected heads, each {len(fits)} times"
            if len(fits) > 1
            else "Fitting the selected heads"
        )
        model, members = fit_model(
            cache,
            study,
            fits,
            rule=options.select,
            trial=options.trial,
            ensemble=options.ensemble,
            tell=progress.note,
        )
        evidence = _evidence(cache, model, nested, evaluation, _rule_of(options))
        writer = BundleWriter(cache, model, _needed(fits, model), options, evidence, folder)
        encoders, seen = writer.encoders()
        writer.write(members, encoders, seen)
        digest = folder.close()
    n_bytes = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    return ExportSummary(
        out, digest, n_bytes, model, len(fits), encoders, nested is not None or evaluation is not None
    )


def _needed(fits: Sequence[FinalFit], model: FinalModel) -> list[FinalFit]:
    """The fits with those of their encodings that some head asks for."""
    names = sorted({name for trial, _ in model.members for name in trial.encodings})
    if not names:
        return list(fits)
    return [
        FinalFit(tuple(e for e in fit.encodings if e.encoder_family in names), needed_of(fit.split, names))
        for fit in fits
    ]


def _check(options: ExportOptions) -> None:
    if options.refer_error is not None and not 0 < options.refer_error < 1:
        raise InputError(f"The target error lies between 0 and 1, not at {options.refer_error}.")
    if options.calibrate is not None and options.calibrate not in CALIBRATORS:
        raise InputError(
            f"There is no calibration {options.calibrate!r}; choose one of {', '.join(CALIBRATORS)}."
        )


def _rule_of(options: ExportOptions) -> str:
    """How the heads are selected, in a word."""
    if options.trial is not None:
        return f"trial {options.trial}"
    if options.ensemble is not None:
        return f"an ensemble of {options.ensemble}"
    return options.select or DEFAULT


def _evidence(
    cache: Cache, model: FinalModel, nested: Nested | None, evaluation: Path | None, rule: str
) -> Evidence:
    """Predictions of patients by models that did not see them: what scores, sets and calibration rest on.

    Raises:
        InputError: the nested predictions or the evaluation are of other patients.
    """
    ids, y = (model.study.ids, model.study.best.y) if nested is None else (nested.ids, nested.y)
    rows = cache.ids.get_indexer(pd.Index(ids))  # a table may have been sorted anew since
    known = set(ids) == set(cache.ids[labels_of(cache) >= 0])
    if not known or not np.array_equal(labels_of(cache)[rows], y):
        name = model.study.path if nested is None else repr(nested.name)
        raise InputError(
            f"The evaluation {name} is of other patients than {cache.path}; give the one of this cohort."
        )
    labelled, groups = cache.patients.iloc[rows], repeating(cache.groups[rows])
    reported = None if evaluation is None else read_evaluation(evaluation)
    if reported is not None:
        reported.check(model.study, rule)
    if nested is None:
        study = model.study
        return Evidence(
            study.best.y, model.probabilities, model.decisions, labelled, None, model.caveat, reported, groups
        )
    return Evidence(
        nested.y, nested.probabilities, nested.decisions, labelled, nested.name, "", reported, groups
    )
