"""A submission's table and its line: killed at any step, the next run finds both or neither."""

from dataclasses import replace
from pathlib import Path

import pytest

from lymphofeat.errors import StudyError
from lymphofeat.final.submission_journal import end_interrupted, open_log, pending_path
from lymphofeat.final.submission_log import Submission, read_log
from lymphofeat.storage.atomic import sync, temporary_for

LINE = Submission(
    date="2026-01-01T00:00:00+00:00", study="s.db", cohort="c", model="m", file="out.csv", sha256="0", n_test="1",
    metric="auc", expected="0.5", low="0.4", high="0.6",
)  # fmt: skip


class Killed(BaseException):
    """The process is gone."""


def add(log: Path, out: Path, line: Submission = LINE, *, force: bool = False) -> None:
    """A submission of two tables."""
    tables = []
    for path in (out, out.with_name("out-probabilities.csv")):
        file = temporary_for(path)
        file.write_text(f"{line.date} {path.name}")
        sync(file)
        tables.append((file, path))
    with open_log(log) as opened:
        opened.add(line, tables, force=force)


def kill_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From its `step`-th change of a file's name on, the process changes nothing any more."""
    done = 0
    for name in ("replace", "unlink"):
        change = getattr(Path, name)

        def changed(self: Path, *args: object, change=change, **options: object) -> object:
            nonlocal done
            done += 1
            if done > step:
                raise Killed
            return change(self, *args, **options)

        monkeypatch.setattr(Path, name, changed)


@pytest.mark.parametrize("force", [False, True])
def test_killed_at_any_step_the_next_run_finds_both_or_neither(tmp_path: Path, *, force: bool) -> None:
    outcomes = []
    for step in range(100):
        folder = tmp_path / f"{step}[1]"
        log, out = folder / "studies" / "submissions.csv", folder / "out" / "out.csv"
        out.parent.mkdir(parents=True)
        earlier = replace(LINE, date="2025", file="earlier.csv")
        add(log, out.with_name("earlier.csv"), earlier)
        out.with_name("out-probabilities.csv").unlink()
        if force:
            out.write_text("old")
        with pytest.MonkeyPatch.context() as patch:
            kill_at(step, patch)
            try:
                add(log, out, force=force)
            except Killed:
                killed = True
            else:
                killed = False
        told: list[str] = []
        noted = pending_path(log).exists()
        end_interrupted(log, told.append)
        assert len(told) == noted
        lines = read_log(log)
        there = LINE in lines
        assert lines == [earlier, *[LINE] * there]
        table = out.read_text() if out.exists() else ""
        assert table == (f"{LINE.date} out.csv" if there else "old" if force else "")
        assert out.with_name("out-probabilities.csv").exists() == there
        assert not pending_path(log).exists()
        if noted:
            assert not [p for p in out.parent.iterdir() if p.name.startswith(".")]
            assert str(out) in told[0]
        outcomes.append((killed, there))
        if not killed:
            break
    assert outcomes[-1] == (False, True)
    assert (True, False) in outcomes
    assert (True, True) in outcomes
    assert len(outcomes) > 5


def test_a_table_that_somebody_wrote_meanwhile_is_kept(tmp_path: Path) -> None:
    log, out = tmp_path / "submissions.csv", tmp_path / "out.csv"
    with pytest.MonkeyPatch.context() as patch:
        kill_at(4, patch)  # after the note and the log, each renamed and its temporary name gone
        with pytest.raises(Killed):
            add(log, out)
    assert LINE in read_log(log)
    out.write_text("mine")
    told: list[str] = []
    end_interrupted(log, told.append)
    assert out.read_text() == "mine"
    assert read_log(log) == []
    assert "another file has taken its place since" in told[0]


def test_a_place_that_is_lost_takes_the_line_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, out = tmp_path / "submissions.csv", tmp_path / "out" / "out.csv"
    out.parent.mkdir()
    move = Path.replace

    def full(self: Path, target: Path) -> Path:
        if Path(target).name == "out.csv":
            raise OSError(28, "No space left on device")
        return move(self, target)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(
        StudyError, match=r"out\.csv cannot be written \(No space left on device\), and no submission"
    ):
        add(log, out)
    assert read_log(log) == []
    assert list(out.parent.iterdir()) == []
    assert not pending_path(log).exists()


def test_a_foreign_note_is_named(tmp_path: Path) -> None:
    log = tmp_path / "submissions.csv"
    pending_path(log).write_text("[]")
    with pytest.raises(StudyError, match="is not the note that an interrupted `lymphofeat submit` leaves"):
        end_interrupted(log)
