"""The submissions log, the range of a test set, and the last look at a table before it takes its place."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lymphofeat.errors import InputError, StudyError
from lymphofeat.estimates.scores import balanced_accuracy_score
from lymphofeat.final import submission_log as submissions
from lymphofeat.final import submit
from lymphofeat.final.submission_log import check_table, expected_range, log_path, notes_on_sample, read_log
from lymphofeat.studies import tune

from ..helpers.caches import frozen_cache


class Told:
    """Progress that keeps its notes."""

    def __init__(self, out: Path) -> None:
        self.out, self.notes = out, list[tuple[str, bool]]()

    def start(self, what: str, total: int, unit: str, done: int = 0) -> None: ...

    def advance(self, n: int = 1) -> None: ...

    def stop(self) -> None: ...

    def note(self, text: str) -> None:
        self.notes.append((text, self.out.exists()))


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, Path]:
    cache = frozen_cache(tmp_path / "c.h5")
    tune(cache, tmp_path / "s.db", n_trials=3, heads=["logistic"])
    return cache, tmp_path / "s.db"


def test_every_submission_has_its_line_and_is_counted(made: tuple[Path, Path], tmp_path: Path) -> None:
    told = Told(tmp_path / "a.csv")
    first = submit(*made, tmp_path / "a.csv", progress=told)
    assert [exists for _, exists in told.notes] == [False]
    assert told.notes[0][0].startswith("If the out-of-fold balanced accuracy of ")
    assert "95 of 100 test sets of 6 such patients would show" in told.notes[0][0]
    second = submit(*made, tmp_path / "b.csv")
    third = submit(*made, tmp_path / "c.csv", ensemble=2)
    lines = read_log(log_path(made[1]))
    assert [line.file for line in lines] == ["a.csv", "b.csv", "c.csv"]
    assert (first.n_submissions, second.n_submissions, third.n_submissions) == (1, 2, 3)
    assert (second.n_files, third.n_of_study) == (1, 3)
    assert lines[0].sha256 == lines[1].sha256
    assert lines[0].model == lines[1].model
    assert float(lines[0].low) <= float(lines[0].expected) <= float(lines[0].high)
    assert {line.study for line in lines} == {"s.db"}


def test_another_cohort_is_counted_apart(made: tuple[Path, Path], tmp_path: Path) -> None:
    submit(*made, tmp_path / "a.csv")
    other = frozen_cache(tmp_path / "other.h5", seed=4)
    tune(other, tmp_path / "t.db", n_trials=2, heads=["logistic"])
    assert submit(other, tmp_path / "t.db", tmp_path / "b.csv").n_submissions == 1
    assert len(read_log(tmp_path / "submissions.csv")) == 2


def test_without_its_line_nothing_is_written(made: tuple[Path, Path], tmp_path: Path) -> None:
    log_path(made[1]).mkdir()
    with pytest.raises(StudyError, match="no submission is written without its line"):
        submit(*made, tmp_path / "a.csv", probabilities=True)
    assert not list(tmp_path.glob("*a*.csv"))
    log_path(made[1]).rmdir()
    log_path(made[1]).write_text("date,what\n2020,x\n")
    with pytest.raises(StudyError, match="row 1, is not a line of a submissions log"):
        submit(*made, tmp_path / "a.csv")
    assert not list(tmp_path.glob("*a.csv"))


def test_a_log_that_cannot_be_renamed_takes_the_tables_with_it(
    made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Path.replace

    def full(self: Path, target: Path) -> Path:
        if Path(target).name == "submissions.csv":
            raise OSError(28, "No space left on device")
        return replace(self, target)

    before = {p.name for p in tmp_path.iterdir() if not p.name.startswith(".")}
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StudyError, match=r"submissions\.csv cannot be written \(No space left on device\)"):
        submit(*made, tmp_path / "a.csv", probabilities=True)
    assert {p.name for p in tmp_path.iterdir() if not p.name.startswith(".")} == before


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "submissions.csv"
    path.write_text(",".join(submissions._COLUMNS) + "\n" + ",".join("x" * 11) + "\nhalf,a,line\n")
    with pytest.raises(StudyError, match="row 3"):
        read_log(path)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b'"open', b"\x00", b"a,b\n"])
def test_foreign_logs_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "submissions.csv").write_bytes(content)
    with pytest.raises(StudyError, match="row 1, is not a line of a submissions log"):
        read_log(tmp_path / "submissions.csv")


def test_the_range_is_that_of_samples_of_the_test_sets_size() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(160) % 4 != 0  # three quarters malignant
    decisions = np.where(rng.random(160) < 0.85, y, ~y)
    p = decisions * 0.8 + 0.1
    found = expected_range("balanced_accuracy", y, p[:, None], decisions[:, None], 42)
    assert found.value == pytest.approx(balanced_accuracy_score(y, decisions))
    sensitivity, specificity = decisions[y].mean(), (~decisions[~y]).mean()
    n1 = round(42 * 0.75)
    error = np.sqrt(sensitivity * (1 - sensitivity) / n1 + specificity * (1 - specificity) / (42 - n1)) / 2
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.12)
    wider = expected_range("balanced_accuracy", y, p[:, None], decisions[:, None], 12)
    assert wider.high - wider.low > found.high - found.low
    one = expected_range("auc", y, p[:, None], decisions[:, None], 1)
    assert np.isfinite(one).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ID,Predicted\na,0\nb,1\n", "columns are ID,Predicted"),
        ("Id,Predicted\nb,1\na,0\n", "Row 2 of the table is not patient a"),
        ("Id,Predicted\na,0\n", "has 1 rows for 2"),
        ("Id,Predicted\na,0\nb,2\n", "Row 3 of the table holds '2'"),
        ("Id,Predicted\na,0\nb,0.5\n", "Row 3 of the table holds '0.5'"),
    ],
)
def test_a_wrong_table_does_not_take_its_place(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        check_table(tmp_path / "t.csv", ("a", "b"), "Predicted")


def test_the_cohorts_sample_is_compared(tmp_path: Path) -> None:
    sample = tmp_path / "sample_submission.csv"
    assert notes_on_sample(tmp_path, ("a", "b", "c")) == []
    pd.DataFrame({"ID": ["c", "a"], "LABEL": 0}).to_csv(sample, index=False)
    notes = notes_on_sample(tmp_path, ("a", "b", "c"))
    assert len(notes) == 3
    assert "lists 2 of the 3" in notes[1]
    pd.DataFrame({"Id": ["a", "b"], "Predicted": 0}).to_csv(sample, index=False)
    assert notes_on_sample(tmp_path, ("a", "b")) == []
    pd.DataFrame({"Id": ["a", "x"], "Predicted": 0}).to_csv(sample, index=False)
    with pytest.raises(InputError, match=r"sample_submission\.csv, row 3: x is not among the test patients"):
        notes_on_sample(tmp_path, ("a", "b"))
    (note,) = notes_on_sample(tmp_path, ("a",), excluded={"x"})
    assert note == "sample_submission.csv lists x, who is excluded from the cohort: no row of the table."
