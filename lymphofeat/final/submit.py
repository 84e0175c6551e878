"""From a study's selected head to the challenge's table."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..cache.reader import Cache, open_cache
from ..cohort.exclusions import excluded_patients
from ..errors import InputError
from ..estimates.scores import Interval
from ..progress import Progress, Silent
from ..storage.addresses import local_place, study_place
from ..storage.atomic import make_folder, naming, refuse_existing, sync, temporary_for
from ..storage.paths import AnyPath
from ..studies.load import load_study
from ..studies.summary import StudySummary
from ..wording import metric_label
from .ensemble import Ensemble
from .refit import FinalFit, final_fits, predict_final
from .selected_model import FinalModel, fit_model
from .submission_journal import end_interrupted, open_log, pending_path
from .submission_log import Submission, check_table, log_path, notes_on_sample

__all__ = ["SubmissionSummary", "probabilities_path", "submit"]


@dataclass(frozen=True)
class SubmissionSummary:
    """What was written.

    Attributes:
        path: the table of `Id,Predicted`.
        probabilities_path: the table of `Id,Probability`, if asked for.
        model: what predicts, with its out-of-fold scores.
        ids: (n_test,) the test patients, in the test table's order.
        probabilities: (n_test,) float64 of malignant.
        n_models: fits of each head that were averaged: one, or one per fold for encoders trained per fold.
        expected: what a test set of this size would show by the study's metric, with the bounds of 95 %.
        log: where submissions are counted.
        n_submissions, n_files: of this cohort so far, this one included: lines of the log, different tables.
        n_of_study: lines of this study.
        notes: in what the cohort's own sample of a submission differs.
    """

    path: Path
    probabilities_path: Path | None
    model: FinalModel
    ids: tuple[str, ...]
    probabilities: NDArray[np.float64]
    n_models: int
    expected: Interval
    log: Path
    n_submissions: int
    n_files: int
    n_of_study: int
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        return (
            f"<SubmissionSummary {self.path.name}: {len(self.ids)} test patients, {int(self.predicted.sum())} called "
            f"malignant (probability ≥ {self.threshold:.3f})>"
        )

    @property
    def study(self) -> StudySummary:
        """The study that the model comes from."""
        return self.model.study

    @property
    def ensemble(self) -> Ensemble | None:
        """How the heads were chosen, if an ensemble was asked for."""
        return self.model.ensemble

    @property
    def threshold(self) -> float:
        """Malignant at this probability or above."""
        return self.model.threshold

    @property
    def predicted(self) -> NDArray[np.int8]:
        """(n_test,) int8 0 reactive, 1 malignant."""
        return (self.probabilities >= self.threshold).astype(np.int8)


def submit(
    cache: AnyPath,
    study: AnyPath,
    out: AnyPath,
    *,
    probabilities: bool = False,
    select: str | None = None,
    trial: int | None = None,
    ensemble: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> SubmissionSummary:
    """Refit the selected heads of a study, and predict the test patients.

    Under encoders that saw no labels, each head is fitted once on all labelled patients. Under encoders trained per
    fold, each encoder has its own fit, on the encoder's training folds as in cross-validation, and the probabilities
    are averaged. The threshold comes from the out-of-fold predictions. A line is added to the log of submissions.

    Args:
        cache: the cache that the study was made from.
        study: the study's file.
        out: the CSV to write, `Id,Predicted`, one row per test patient in the test table's order.
        probabilities: also write `Id,Probability` beside it, as `<stem>-probabilities.csv`.
        select: the rule that chooses the heads, one of `lymphofeat tune`'s metrics among them; see docs/bundle.md.
        trial: the head of this trial instead.
        ensemble: the average of so many heads instead.
        force: replace files that exist.
        progress: told, before anything is written, what a test set of this size would show.

    Raises:
        InputError: a file exists (nothing was done), the cache holds no test patient, or the cohort's sample names
            other patients.
        CacheError, StudyError: no usable cache or study, they do not belong together, or the log cannot be written
            (nothing was).

    Example:
        >>> submit("cache/features.h5", "studies/study.db", "submission.csv")
        <SubmissionSummary submission.csv: 6 test patients, ...>
    """
    progress, cache, study, out = progress or Silent(), Path(cache), study_place(study), Path(out)
    log = log_path(local_place(study))
    end_interrupted(log, progress.note)
    temporary = probabilities_path(out) if probabilities else None
    targets = [path for path in (out, temporary) if path is not None]
    for path in targets:
        refuse_existing(path, overwrite=force)
    found, opened = load_study(study), open_cache(cache)
    test = np.flatnonzero((opened.patients["split"] == "test").to_numpy())
    if not len(test):
        raise InputError(f"{opened.path} holds no test patient, so there is nothing to submit.")
    ids = tuple(str(i) for i in opened.patients["id"].iloc[test])
    excluded = set(excluded_patients(opened.tables.exclusions))
    source = opened.tables.source
    notes = notes_on_sample(Path(source), ids, excluded=excluded) if source else []
    fits = final_fits(opened, found.encoding)
    model, members = fit_model(
        opened, found, fits, rule=select, trial=trial, ensemble=ensemble, tell=progress.note
    )
    p = predict_final(opened, fits, members, test)
    tables = {"Predicted": (p >= model.threshold).astype(np.int8), "Probability": p}
    written = _Written(opened, model, fits, ids, out, log)
    progress.note(_expected_range(written.expected, model, len(ids)))
    lines = written.write(dict(zip(targets, tables.items(), strict=False)), force=force, tell=progress.note)
    same = [line for line in lines if line.cohort == opened.fingerprint]
    return SubmissionSummary(
        out, temporary, model, ids, p, len(fits), written.expected, written.log,
        n_submissions=len(same), n_files=len({line.sha256 for line in same}),
        n_of_study=sum(line.study == study.name for line in same), notes=tuple(notes),
    )  # fmt: skip


def _expected_range(expected: Interval, model: FinalModel, n_test: int) -> str:
    return (
        f"If the out-of-fold {metric_label(model.study.metric)} of {expected.value:.3f} were the true one, 95 of 100 "
        f"test sets of {n_test} such patients would show {expected.low:.2f} to {expected.high:.2f}. It was selected, "
        "so the true one is probably worse."
    )


def probabilities_path(out: Path) -> Path:
    """Where the probabilities of a submission go."""
    return out.with_name(f"{out.stem}-probabilities.csv")


def _is_noted(temporary: Path, pending: Path) -> bool:
    """Whether an interrupted submission's note names the file, which whoever ends the submission then needs."""
    return pending.exists() and temporary.name in pending.read_text(encoding="utf-8")


class _Written:
    """The files of one submission, which take their places together with the log's line or not at all."""

    def __init__(
        self,
        cache: Cache,
        model: FinalModel,
        fits: list[FinalFit],
        ids: tuple[str, ...],
        out: Path,
        log: Path,
    ) -> None:
        self.cache, self.model, self.fits, self.ids, self.out, self.log = cache, model, fits, ids, out, log
        self.expected = model.expected(len(ids))

    def write(
        self, tables: dict[Path, tuple[str, Any]], *, force: bool, tell: Callable[[str], None]
    ) -> list[Submission]:
        """The log's lines, the new one last."""
        temporaries = {path: temporary_for(path) for path in tables}
        try:
            for path, (column, values) in tables.items():
                with naming(path):
                    self._write_table(temporaries[path], column, values)
            digest = hashlib.sha256(temporaries[self.out].read_bytes()).hexdigest()
            with open_log(self.log, tell) as log:
                for path in tables:
                    refuse_existing(path, overwrite=force)
                log.add(self._line(digest), [(temporaries[path], path) for path in tables], force=force)
                return log.lines
        finally:
            if not _is_noted(temporaries[self.out], pending_path(self.log)):
                for temporary in temporaries.values():
                    temporary.unlink(missing_ok=True)

    def _write_table(self, file: Path, column: str, values: Any) -> None:
        make_folder(file.parent)
        pd.DataFrame({"Id": self.ids, column: values}).to_csv(file, index=False, lineterminator="\n")
        check_table(file, self.ids, column)
        sync(file)

    def _line(self, sha256: str) -> Submission:
        return Submission(
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            study=self.model.study.path.name,
            cohort=self.cache.fingerprint,
            model=self.model.digest(self.cache, self.fits),
            file=self.out.name,
            sha256=sha256,
            n_test=str(len(self.ids)),
            metric=self.model.study.metric,
            expected=f"{self.expected.value:.4f}",
            low=f"{self.expected.low:.4f}",
            high=f"{self.expected.high:.4f}",
        )
