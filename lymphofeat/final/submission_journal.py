"""A submission's tables and its line in the log: both are there, or neither, whatever interrupts the program.

The tables are written beside their places first, then a note of what is about to happen (`.submissions.csv.pending`),
then the log with the new line, then the tables take their places, then the note goes. Whoever opens the log next and
finds the note ends what was begun: with the line in the log the tables are put into their places, without it they are
removed.
"""

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields
from pathlib import Path

from ..errors import InputError, StudyError
from ..storage.atomic import atomic_write, move_into_place, sync
from ..storage.locks import locked
from .submission_log import Submission, read_log

__all__ = ["SubmissionLog", "end_interrupted", "open_log", "pending_path"]

Tell = Callable[[str], None]
_PATIENCE = 30.0  # seconds; the log is held for the blink of an eye


def pending_path(log: Path) -> Path:
    """The note of a submission under way."""
    return log.with_name(f".{log.name}.pending")


class SubmissionLog:
    """The log of submissions, held by this process.

    Attributes:
        path: the file.
        lines: oldest first.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _told(path):
            self.lines = read_log(path)

    def add(self, line: Submission, tables: Sequence[tuple[Path, Path]], *, force: bool) -> None:
        """Add a line and put its tables into their places.

        Args:
            line: what is added.
            tables: per table where it is, whole and flushed to the disk, and its place beside that; the table of
                decisions first. From here on they belong to the log.
            force: replace what is in the places.

        Raises:
            StudyError: log or table cannot be written; neither the line nor the first table is there.
        """
        before = len(self.lines)
        note = {
            "line": asdict(line),
            "lines_before": before,
            "tables": [[str(path.absolute()) for path in pair] for pair in tables],
            "force": force,
        }
        pending = pending_path(self.path)
        try:
            with _told(self.path):
                with atomic_write(pending) as file:
                    file.write_text(json.dumps(note), encoding="utf-8")
                self._write([*self.lines, line])
        except StudyError:
            self._take_back(before)
            raise
        said = self.end_interrupted()
        if len(self.lines) == before:
            raise StudyError(said)

    def end_interrupted(self) -> str:
        """End a submission that has its note; a sentence on what was done, or "" if there was none.

        Raises:
            StudyError: the note is damaged, or a table cannot be put into its place.
        """
        pending = pending_path(self.path)
        if not pending.exists():
            return ""
        line, before, tables, force = _read_note(pending)
        place = tables[0][1]
        if line not in self.lines[before:]:  # an equal one may be older: clocks are set back
            self._drop(tables)
            return (
                f"The submission {place} of {line.date} was interrupted before it was written; submit again."
            )
        taken = not force and tables[0][0].exists() and place.exists()
        if taken:  # by somebody else since
            self._write(self.lines[:before])
            self._drop(tables)
            return f"The submission {place} of {line.date} was interrupted; another file has taken its place since."
        for temporary, final in tables:
            self._place(line, before, tables, temporary, final)
        there = _digest(place) == line.sha256
        self._drop(tables)
        return f"The submission {place} of {line.date} was interrupted; " + (
            f"it and its line in {self.path} are there."
            if there
            else f"its line in {self.path} is there and counts, but the table was moved, changed or removed since."
        )

    def _take_back(self, before: int) -> None:
        """Take the line out of the log that got there before the disk failed; if it cannot be, the note stays."""
        with suppress(OSError, StudyError):
            if len(written := read_log(self.path)) > before:
                self._write(written[:before])
            pending_path(self.path).unlink(missing_ok=True)

    def _place(
        self,
        line: Submission,
        before: int,
        tables: Sequence[tuple[Path, Path]],
        temporary: Path,
        final: Path,
    ) -> None:
        if not temporary.exists():  # it is in its place since before the interruption
            return
        try:
            move_into_place(temporary, final)
        except OSError as error:
            if not temporary.exists():  # it is in its place, though not surely on the disk: the note stays
                raise StudyError(
                    f"{final} is written, but the disk reports an error ({error.strerror or error}), and a power cut "
                    "may undo it; check the disk. The next `lymphofeat submit` looks whether table and log agree."
                ) from error
            there = final.name != line.file  # the table itself is, and the probabilities beside it are not
            if not there:
                self._write(self.lines[:before])
            self._drop(tables)
            what = (
                f"; {line.file} and its line in {self.path} are written"
                if there
                else ", and no submission was"
            )
            raise StudyError(
                f"{final} cannot be written ({error.strerror or error}){what}; free space or make the folder writable."
            ) from error

    def _drop(self, tables: Sequence[tuple[Path, Path]]) -> None:
        """Remove what is left of an ended submission; where the disk refuses, the next run finds it ended."""
        pending = pending_path(self.path)
        for file in (*(temporary for temporary, _ in tables), pending):
            with suppress(OSError):
                file.unlink(missing_ok=True)
        with suppress(OSError):
            sync(self.path.parent)

    def _write(self, lines: list[Submission]) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, [f.name for f in fields(Submission)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(line) for line in lines)
        with _told(self.path), atomic_write(self.path) as file:
            file.write_text(text.getvalue(), encoding="utf-8", newline="")
        self.lines = lines


@contextmanager
def open_log(path: Path, tell: Tell | None = None) -> Iterator[SubmissionLog]:
    """Hold the log; a submission that was interrupted is ended first.

    Args:
        path: the log; made when a line is added.
        tell: is told of a submission that was ended, and when another process holds the log for long.

    Raises:
        StudyError: another process holds the log for half a minute, or it cannot be read or written.
    """
    with locked(path, StudyError, patience=_PATIENCE, tell=tell):
        log = SubmissionLog(path)
        sentence = log.end_interrupted()
        if sentence and tell is not None:
            tell(sentence)
        yield log


def end_interrupted(path: Path, tell: Tell | None = None) -> None:
    """End a submission of this log that was interrupted, if there is one.

    Raises:
        StudyError: as `open_log`.
    """
    if pending_path(path).exists():
        with open_log(path, tell):
            pass


def _digest(path: Path) -> str:
    """Of a file's bytes; "" if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _read_note(path: Path) -> tuple[Submission, int, list[tuple[Path, Path]], bool]:
    """The line, the number of lines before it, the tables, and whether they replace what is there."""
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
        tables = [(Path(temporary), Path(final)) for temporary, final in note["tables"]]
        before = int(note.get("lines_before", 0))  # which earlier versions did not write
        return Submission(**note["line"]), before, tables, bool(note["force"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StudyError(
            f"{path} is not the note that an interrupted `lymphofeat submit` leaves ({error!r}); move it away."
        ) from error


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, InputError) as error:
        why = getattr(error, "strerror", None) or error
        raise StudyError(
            f"{path} cannot be written ({why}), and no submission is written without its line in the log; free disk "
            "space or make the folder writable."
        ) from error
