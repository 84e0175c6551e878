"""Progress where there is no terminal: lines by a clock that the tests turn."""

import sys
import time

import pytest

from lymphofeat.commands.common import Output
from lymphofeat.report.progress import Bar, Lines


class Clock:
    """Seconds, turned by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def lines_of(clock: Clock) -> tuple[Lines, list[str]]:
    said: list[str] = []
    return Lines(said.append, clock=clock, watch=False), said


def test_short_work_is_not_told_of(clock: Clock) -> None:
    progress, said = lines_of(clock)
    progress.start("encoding", 100, "images")
    for _ in range(100):
        clock.now += 0.09
        progress.advance()
    progress.stop()
    assert said == []


def test_a_line_after_ten_seconds_then_each_minute(clock: Clock) -> None:
    progress, said = lines_of(clock)
    progress.start("encoding", 100_000, "images", done=1000)
    times = []
    for _ in range(200):
        clock.now += 1
        before = len(said)
        progress.advance(10)
        if len(said) > before:
            times.append(clock.now - 100)
    assert times == [10, 70, 130, 190]
    assert said[0] == "encoding: 1,100 of 100,000 images (1 %), 10 s, about 2 h 45 min left"
    progress.stop()
    assert said[-1] == "encoding: 3,000 of 100,000 images (3 %), stopped after 3 min"


def test_each_tenth_is_told_of_but_not_more_often_than_each_ten_seconds(clock: Clock) -> None:
    progress, said = lines_of(clock)
    progress.start("tune", 100, "trial")
    for _ in range(100):
        clock.now += 0.5
        progress.advance()
    progress.stop()
    assert [line.split(",")[0] for line in said] == [
        f"tune: {n} of 100 trials ({n} %)" for n in (20, 40, 60, 80, 100, 100)
    ]
    assert said[-1].endswith("done after 50 s")


def test_long_work_is_told_of_less_often(clock: Clock) -> None:
    progress, said = lines_of(clock)
    progress.start("training", 10**6, "images")
    for _ in range(24 * 360):
        clock.now += 10
        progress.advance()
    assert 140 < len(said) < 200  # a day


def test_a_line_comes_also_while_a_single_unit_takes_long(clock: Clock) -> None:
    said: list[str] = []
    progress = Lines(said.append, clock=clock)
    progress.start("comparing", 3, "pipelines")
    clock.now += 11
    patience = time.monotonic() + 20
    while not said and time.monotonic() < patience:
        time.sleep(0.05)
    progress.stop()
    assert said[0] == "comparing: 0 of 3 pipelines (0 %), 11 s"


def test_a_new_stretch_ends_the_one_before(clock: Clock) -> None:
    progress, said = lines_of(clock)
    progress.start("one", 10, "fits")
    clock.now += 20
    progress.advance(10)
    progress.start("two", 0, "fits")
    clock.now += 20
    progress.tell()
    assert said[1:] == ["one: 10 of 10 fits (100 %), done after 20 s", "two: 0 of 0 fits, 20 s"]


def test_standard_error_decides_and_quiet_silences(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert isinstance(Output(verbose=False, quiet=False).progress(), Lines)
    Output(verbose=False, quiet=False).progress().note("a note")
    Output(verbose=False, quiet=True).progress().note("silence")
    assert capsys.readouterr().err == "a note\n"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert isinstance(Output(verbose=False, quiet=False).progress(), Bar)
