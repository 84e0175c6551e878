"""The scores of a nested evaluation, from the `evaluate.json` that `lymphofeat evaluate` writes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..estimates.scores import Interval
from ..studies.summary import StudySummary
from ..wording import interval_text, metric_label, sample_text

__all__ = ["Reported", "read_evaluation"]


@dataclass(frozen=True)
class Reported:
    """What an evaluation reports.

    Attributes:
        path: its file.
        pipeline, encoding, metric: what was evaluated.
        n, n_malignant: patients; records, where persons have several.
        n_folds, n_runs: outer folds of a run, and runs.
        scores: (metric, interval) each; NaN where it is not known.
        search: what was repeated inside the folds; see `assess.Assessment.search`.
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
    search: Mapping[str, Any]
    n_persons: int | None = None

    def check(self, study: StudySummary, rule: str) -> None:
        """Compare with the study that is exported, and with the rule that selected its heads.

        The number of trials may differ, since a search is repeated in every fold; `markdown` says it.

        Raises:
            InputError: it is of other encodings, heads or inputs, another metric, rule or cohort, or does not say so.
        """
        if not self.search:
            raise InputError(
                f"{self.path} does not say which search it evaluates, since an earlier version wrote it; give the same "
                "`lymphofeat evaluate` command again: finished folds are kept, and it takes a moment."
            )
        malignant = int(study.best.y.sum())
        for what, own, other in (
            ("encodings", self.encoding, study.encoding),
            (
                "heads",
                *(", ".join(sorted(names)) for names in (self.search["heads"], study.provenance["heads"])),
            ),
            ("inputs", *(", ".join(names) for names in (self.search["inputs"], study.provenance["inputs"]))),
            ("patients, labels, values and folds", *_short(*self._cohorts(study))),
            ("rule of selection", str(self.search["select"]), rule),
            ("metric", self.metric, study.metric),
            ("number of patients", self.n, study.n_patients),
            ("number of malignant patients", self.n_malignant, malignant),
        ):
            if own != other:
                raise InputError(
                    f"{self.path} evaluates another pipeline than {study.path}: its {what}: "
                    f"{own}, the model's: {other}; give the evaluation of this model, or leave it out."
                )

    def _cohorts(self, study: StudySummary) -> tuple[str, str]:
        """Digests of what the evaluation and the study were measured on; without test patients where both know it."""
        own, other = self.search.get("patients"), study.provenance.get("patients")
        if own and other:
            return str(own), str(other)
        return str(self.search["cohort"]), str(study.provenance["fingerprint"])

    def lines(self) -> list[str]:
        """What was evaluated and the scores, a line each."""
        what = (
            f"{self.pipeline}, encodings {self.encoding}; "
            f"{sample_text(self.n, self.n_malignant, self.n_persons)}, {self.n_folds} folds, searched by "
            f"{metric_label(self.metric)}"
        )
        return [what, *(f"{metric_label(name)} {interval_text(interval)}" for name, interval in self.scores)]

    @property
    def source(self) -> str:
        """How the scores came about."""
        runs = "" if self.n_runs == 1 else f" × {self.n_runs} runs"
        return (
            f"Nested cross-validation of the pipeline ({self.pipeline}, encodings {self.encoding}) on "
            f"{sample_text(self.n, self.n_malignant, self.n_persons)}, {self.n_folds} folds{runs}: the whole search of "
            f"{self.search['trials']} trials was repeated without the patients that it is scored on. These scores "
            "describe the procedure that selected the heads, not these heads themselves."
        )

    def markdown(self) -> str:
        """A table and what it was measured on."""
        lines = ["| score | value [95 % interval] |", "|---|---|"]
        lines += [
            f"| {metric_label(metric)} | {interval_text(interval)} |" for metric, interval in self.scores
        ]
        return "\n".join(lines) + f"\n\n{self.source}"


_SEARCH = ("trials", "heads", "inputs", "select", "cohort")


def _short(*digests: str) -> tuple[str, ...]:
    """Digests as people compare them."""
    return tuple(digest[:8] for digest in digests)


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
        search = {key: raw["search"][key] for key in _SEARCH} if raw.get("search") else {}
        search |= {key: value for key, value in (raw.get("search") or {}).items() if key == "patients"}
        persons = int(raw.get("persons", n))
        return Reported(
            path, pipeline, encoding, metric, n, malignant, folds, runs, scores, search,
            n_persons=None if persons == n else persons,
        )  # fmt: skip
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); give the evaluate.json that `lymphofeat evaluate` wrote."
        ) from error
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(
            f"{path} is not an evaluation ({error!r}); give the evaluate.json that `lymphofeat evaluate` wrote."
        ) from error


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)
