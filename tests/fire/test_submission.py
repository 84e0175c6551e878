"""A submission and its line in the log are both there or neither: killed, or refused by the disk, at every change."""

import errno
import hashlib
import itertools
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from lymphofeat.errors import StudyError
from lymphofeat.final.submission_journal import end_interrupted, open_log, pending_path
from lymphofeat.final.submission_log import Submission, read_log
from lymphofeat.storage.atomic import sync, temporary_for

from .points import killed_at, refused_at

TABLE = "Id,Predicted\nP1,1\n"
LINE = Submission(
    date="2026-01-01T00:00:00+00:00", study="s.db", cohort="c", model="m", file="out.csv",
    sha256=hashlib.sha256(TABLE.encode()).hexdigest(), n_test="1", metric="auc", expected="0.5", low="0.4", high="0.6",
)  # fmt: skip
EARLIER = replace(LINE, date="2025", file="earlier.csv")


class Places:
    """The files of a submission in a folder with an earlier one, of which the table may be replaced."""

    def __init__(self, folder: Path, *, force: bool, earlier: Submission = EARLIER) -> None:
        self.log, self.out = folder / "studies" / "submissions.csv", folder / "out" / "out.csv"
        self.force, self.earlier = force, earlier
        self.out.parent.mkdir(parents=True)
        with open_log(self.log) as log:
            self.old = "old" if force else ""
            place = self.out if earlier.file == "out.csv" else self.out.with_name("earlier.csv")
            log.add(earlier, [self._made(place, "old")], force=False)
        if force:
            self.out.write_text(self.old)

    @staticmethod
    def _made(place: Path, text: str) -> tuple[Path, Path]:
        temporary = temporary_for(place)
        temporary.write_text(text)
        sync(temporary)
        return temporary, place

    def submit(self) -> None:
        """As `final.submit` does it."""
        tables = [self._made(self.out, TABLE), self._made(self.out.with_name("p.csv"), "probabilities")]
        try:
            with open_log(self.log) as log:
                log.add(LINE, tables, force=self.force)
        finally:
            if not pending_path(self.log).exists():
                for temporary, _ in tables:
                    temporary.unlink(missing_ok=True)

    def end(self) -> list[str]:
        """What the next `submit` does first."""
        told: list[str] = []
        end_interrupted(self.log, told.append)
        return told

    @property
    def probabilities(self) -> bool:
        """Whether the second table is there, which goes with the first."""
        return self.out.with_name("p.csv").exists()

    def both(self, *, whole: bool = True) -> bool:
        """Whether table and line are there; fails if only one of them is, or, with `whole`, one table of two."""
        lines = read_log(self.log)
        there = lines == [self.earlier, LINE]
        assert there or lines == [self.earlier]
        assert (self.out.read_text() if self.out.exists() else "") == (TABLE if there else self.old)
        assert self.probabilities or not there or not whole
        assert not self.probabilities or there
        assert not pending_path(self.log).exists()
        return there


@pytest.mark.parametrize("force", [False, True])
def test_killed_before_any_change(tmp_path: Path, *, force: bool) -> None:
    outcomes = []
    for point in itertools.count():
        places = Places(tmp_path / f"{point}", force=force)
        killed = killed_at(point, places.submit)
        noted = pending_path(places.log).exists()
        assert len(places.end()) == noted
        outcomes.append(places.both())
        if not killed:
            break
    assert outcomes[-1]
    assert outcomes == sorted(outcomes)  # from some change on it is there
    assert len(outcomes) > 20
    print(f"{len(outcomes) - 1} kills, {sum(outcomes) - 1} of them with the submission there")


@pytest.mark.slow
@pytest.mark.parametrize("force", [False, True])
def test_killed_again_while_it_is_ended(tmp_path: Path, *, force: bool) -> None:
    """The next run is killed as well, at each of its changes, after a kill at each of the first one's."""
    kills = 0
    for point in itertools.count(6 if force else 5):
        for second in itertools.count():
            places = Places(tmp_path / f"{point}-{second}", force=force)
            first_killed = killed_at(point, places.submit)
            if not first_killed:
                break
            again = killed_at(second, places.end)
            kills += 1 + again
            places.end()
            places.both()
            if not again:
                break
        if not first_killed:
            break
    assert kills > 40
    print(f"{kills} kills")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=["full", "faulty"])
@pytest.mark.parametrize("for_good", [False, True], ids=["once", "from then on"])
def test_refused_at_any_change(tmp_path: Path, number: int, *, for_good: bool) -> None:
    """Whatever the disk refuses: no line without its table once it works again, and no error without its reason."""
    outcomes = []
    for point in itertools.count():
        places = Places(tmp_path / f"{point}", force=False)
        raised = ""
        with refused_at(point, number, for_good=for_good) as seen:
            try:
                places.submit()
            except (StudyError, OSError) as error:
                raised = str(error)
        if len(seen) <= point:
            break
        with suppress(StudyError):  # the disk works again
            places.end()
        said = (
            "out.csv and its line" in raised and "are written" in raised
        )  # and that the second table is not
        outcomes.append((places.both(whole=not said), bool(raised)))
        if outcomes[-1] == (False, False):
            raise AssertionError(f"at {seen[point]}, nothing was said and nothing is there")
        if "no submission was" in raised:
            assert outcomes[-1] == (False, True)
    assert outcomes[0] == (False, True)
    assert len(outcomes) > 15


def test_a_clock_that_stands_still_makes_no_two_lines_one(tmp_path: Path) -> None:
    """The same table, submitted twice in the same second: two lines, and a kill leaves one or two."""
    found = set()
    for point in itertools.count():
        places = Places(tmp_path / f"{point}", force=True, earlier=LINE)
        killed = killed_at(point, places.submit)
        places.end()
        lines = read_log(places.log)
        assert lines in ([LINE], [LINE, LINE])
        assert places.out.read_text() == (TABLE if len(lines) == 2 else "old")
        found.add(len(lines))
        if not killed:
            break
    assert found == {1, 2}
    assert lines == [LINE, LINE]


def test_a_table_that_was_moved_since_is_told_of(tmp_path: Path) -> None:
    for point in itertools.count():
        places = Places(tmp_path / f"{point}", force=False)
        assert killed_at(point, places.submit)
        if places.out.exists():
            break
    places.out.rename(places.out.with_name("mine.csv"))
    (told,) = places.end()
    assert "its line in" in told
    assert "the table was moved, changed or removed since" in told
    assert read_log(places.log) == [EARLIER, LINE]
