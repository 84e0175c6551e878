"""What was submitted: the log beside the studies, the range a test set would show, and the table's last check.

Every look at a leaderboard is a look at the test labels, and the best of many looks is best partly by luck. So a
submission is written only together with its line in the log; see `journal`.
"""

import csv
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..cohort.problems import Problems, listing
from ..cohort.tables import read_table
from ..errors import InputError, StudyError
from ..estimates.scores import ClassWeights, Interval, weighted_score
from ..metric import find_metric

__all__ = [
    "Submission",
    "check_table",
    "expected_range",
    "log_path",
    "notes_on_sample",
    "read_log",
]

SAMPLE = "sample_submission.csv"


@dataclass(frozen=True)
class Submission:
    """A line of the log, as text.

    Attributes:
        date: ISO 8601, UTC.
        study: the study's file name.
        cohort: digest of the cohort's images, labels, clinical values and folds.
        model: digest of what the predictions depend on: heads, weights, features, threshold.
        file: name of the table.
        sha256: of its bytes.
        n_test: patients in it.
        metric, expected, low, high: what a test set of that size would show; see `expected_range`.
    """

    date: str
    study: str
    cohort: str
    model: str
    file: str
    sha256: str
    n_test: str
    metric: str
    expected: str
    low: str
    high: str


_COLUMNS = tuple(f.name for f in fields(Submission))


def log_path(study: Path) -> Path:
    """The log of all studies of a folder: counting per study would not count the looks at one test set."""
    return study.with_name("submissions.csv")


def read_log(path: Path) -> list[Submission]:
    """The submissions so far, oldest first; none without a log.

    Raises:
        StudyError: the file is not such a log.
    """
    if not path.exists():
        return []
    try:
        text = path.read_bytes().decode("utf-8")
        header, *rows = list(csv.reader(io.StringIO(text, newline=""))) or [[]]
    except (UnicodeDecodeError, csv.Error):
        header, rows = [], []
    wrong = next((n for n, row in enumerate(rows, 2) if len(row) != len(_COLUMNS)), None)
    if tuple(header) != _COLUMNS or wrong is not None:
        where = "row 1" if tuple(header) != _COLUMNS else f"row {wrong}"
        raise StudyError(
            f"{path}, {where}, is not a line of a submissions log; correct it or move the file away (the count "
            "of submissions then starts again)."
        )
    return [Submission(*row) for row in rows]


def expected_range(
    metric: str,
    y: ArrayLike,
    p: NDArray[np.float64],
    decisions: NDArray[np.bool_],
    n_test: int,
    class_weights: ClassWeights = None,
    *,
    n_samples: int = 4000,
    seed: int = 0,
) -> Interval:
    """What a test set of `n_test` patients would show if it were like the labelled patients out of fold.

    Samples of that size are drawn with replacement, the share of malignant patients kept; 2.5 and 97.5 % of their
    scores are the bounds. Only the sampling of the test patients is in it: that the out-of-fold score was selected, and
    that its own patients are a sample, come on top.

    Args:
        metric: of `metric.METRICS`.
        y: (n,) labels.
        p, decisions: (n, repeats) out-of-fold probabilities and decisions.
        n_test: patients of the test set.
        class_weights: as of `scores.balanced_accuracy_score`.
    """
    labels = np.asarray(y) == 1
    judged = find_metric(metric).judged(p, decisions)
    malignant = int(np.clip(round(n_test * float(labels.mean())), 1, max(n_test - 1, 1)))
    rng = np.random.default_rng(seed)
    weights = np.zeros((n_samples, len(labels)))
    for mask, size in ((labels, malignant), (~labels, max(n_test - malignant, 1))):
        weights[:, mask] = rng.multinomial(size, np.full(mask.sum(), 1 / mask.sum()), n_samples)
    scores = [weighted_score(metric, labels, column, class_weights) for column in judged.T]
    value = float(np.mean([score(np.ones((1, len(labels)))) for score in scores]))
    low, high = np.quantile(np.mean([score(weights) for score in scores], axis=0), [0.025, 0.975])
    return Interval(value, float(low), float(high))


def check_table(path: Path, ids: Sequence[str], column: str) -> None:
    """Read a written table back and compare it with what it has to hold.

    Raises:
        InputError: other columns, patients or order, or a value that is not one.
    """
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    if header != ["Id", column]:
        raise InputError(f"The table's columns are {','.join(header)}, not Id,{column}; nothing was written.")
    if len(set(ids)) != len(ids):
        raise InputError("Two test patients share an ID; `lymphofeat check` names them; nothing was written.")
    for number, (row, wanted) in enumerate(zip(rows, ids, strict=False), 2):
        if len(row) != 2 or row[0] != wanted:
            raise InputError(f"Row {number} of the table is not patient {wanted}; nothing was written.")
        if not 0 <= float(row[1]) <= 1 or (column == "Predicted" and row[1] not in ("0", "1")):
            raise InputError(f"Row {number} of the table holds {row[1]!r}; nothing was written.")
    if len(rows) != len(ids):
        raise InputError(f"The table has {len(rows)} rows for {len(ids)} test patients; nothing was written.")


def notes_on_sample(
    cohort: Path, ids: Sequence[str], id_column: str = "ID", *, excluded: Collection[str] = ()
) -> list[str]:
    """In what the cohort's own sample differs from the table, in sentences; none without a sample.

    The challenge's sample lists a part of the test patients and calls its columns differently, so that differences of
    columns, number and order are worth a note only, and so are patients whom the cohort's own `exclude.csv` leaves out.

    Args:
        cohort: the folder.
        ids: of the test patients, in the table's order.
        id_column: the cohort's name for it.
        excluded: patients who are left out of the cohort.

    Raises:
        InputError: it names a patient who is not among the test patients, or cannot be read.
    """
    path = cohort / SAMPLE
    if not path.is_file():
        return []
    problems = Problems()
    table = read_table(path, problems)
    if table is None:
        return [f"{problems.found[0].sentence()} It was not compared."]
    name = next((c.lower() for c in table.columns if c.lower() in (id_column.lower(), "id")), None)
    if name is None or name in table.repeated:
        return [f"{path} has no single column Id; it was not compared."]
    places = {patient: place for place, patient in enumerate(ids)}
    out = [row.cells[name] for row in table.rows if row.cells[name] in excluded]
    rows = [row for row in table.rows if row.cells[name] not in excluded]
    listed = [row.cells[name] for row in rows]
    strangers = [(row.number, row.cells[name]) for row in rows if row.cells[name] not in places]
    if strangers:
        row, who = strangers[0]
        raise InputError(
            f"{path}, row {row}: {who} is not among the test patients of the cache; the cache or the sample belongs to "
            "another cohort: extract this cohort, or move the sample away."
        )
    notes = []
    if [c for c in table.columns if c] != ["Id", "Predicted"]:
        notes.append(
            f"{SAMPLE} has the columns {','.join(table.columns)}; the challenge accepts Id,Predicted."
        )
    if out:
        verb = "is" if len(out) == 1 else "are"
        notes.append(
            f"{SAMPLE} lists {listing(out)}, who {verb} excluded from the cohort: no row of the table."
        )
    if len(listed) < len(ids):
        notes.append(f"{SAMPLE} lists {len(listed)} of the {len(ids)} test patients; the table holds all.")
    order = [places[patient] for patient in listed]
    if order != sorted(order):
        notes.append(f"{SAMPLE} lists the patients in another order; the table keeps that of the test table.")
    return notes
