"""The scores of a nested evaluation, from the `evaluate.json` that `lymphofeat evaluate` writes."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..estimates.scores import Interval
from ..studies.summary import StudySummary
from ..wording import interval_text, metric_label

__all__ = ["Reported", "read_evaluation"]


@dataclass(frozen=True)
class Reported:
    """What an evaluation reports.

    Attributes:
        path: its file.
        pipeline, encoding, metric: what was evaluated.
        n, n_malignant: patients.
        n_folds, n_runs: outer folds of a run, and runs.
        scores: (metric, interval) each; NaN where it is not known.
    """

    path: Path
    pipeline: str
    encoding: str
    metric: str
    n: int
    n_malignant: int
    n_folds: int
    n_runs: int
    scores: tuple[tuple[str, Interval], ...]

    def check(self, study: StudySummary) -> None:
        """Compare with the study that is exported.

        Raises:
            InputError: it is of other encodings, another metric, or other patients.
        """
        malignant = int(study.best.y.sum())
        for what, own, other in (
            ("encodings", self.encoding, study.encoding),
            ("metric", self.metric, study.metric),
            ("number of patients", self.n, study.n_patients),
            ("number of malignant patients", self.n_malignant, malignant),
        ):
            if own != other:
                raise InputError(
                    f"{self.path} evaluates another pipeline than {study.path}: its {what}: "
                    f"{own}, the study's: {other}; give the evaluation of this study's encodings and metric."
                )

    def lines(self) -> list[str]:
        """What was evaluated and the scores, a line each."""
        what = (
            f"{self.pipeline}, encodings {self.encoding}; {self.n} patients ({self.n_malignant} malignant), "
            f"{self.n_folds} folds, searched by {metric_label(self.metric)}"
        )
        return [what, *(f"{metric_label(name)} {interval_text(interval)}" for name, interval in self.scores)]

    def markdown(self) -> str:
        """A table and what it was measured on."""
        lines = ["| score | value [95 % interval] |", "|---|---|"]
        lines += [
            f"| {metric_label(metric)} | {interval_text(interval)} |" for metric, interval in self.scores
        ]
        runs = "" if self.n_runs == 1 else f" × {self.n_runs} runs"
        return "\n".join(lines) + (
            f"\n\nNested cross-validation of the pipeline ({self.pipeline}, encodings {self.encoding}) on {self.n} "
            f"patients ({self.n_malignant} malignant), {self.n_folds} folds{runs}: the whole search was repeated "
            "without the patients that it is scored on. These scores describe the procedure that "
            "selected the heads, not these heads themselves."
        )


def read_evaluation(path: Path) -> Reported:
    """Read an `evaluate.json`.

    Raises:
        InputError: no such file, or not one.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        rows = raw["tables"]["metrics"]
        scores = tuple(
            (str(row["metric"]), Interval(*(_number(row[k]) for k in Interval._fields))) for row in rows
        )
        n, malignant, folds, runs = (int(raw[key]) for key in ("patients", "malignant", "folds", "runs"))
        pipeline, encoding, metric = (str(raw[key]) for key in ("pipeline", "encoding", "metric"))
        return Reported(path, pipeline, encoding, metric, n, malignant, folds, runs, scores)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); give the evaluate.json that `lymphofeat evaluate` wrote."
        ) from error
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} is not an evaluation ({error!r}); give the evaluate.json that `lymphofeat evaluate` wrote."
        ) from error


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)
