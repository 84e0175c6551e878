"""One bar over all searches, and the time that they will take, by a clock that the tests turn."""

import pytest

from lymphofeat.assess.evaluate import carry_out
from lymphofeat.assess.plan import plan_evaluation
from lymphofeat.assess.whole import WholeProgress
from lymphofeat.progress import Silent

from ..helpers.compared import compared_cache


class Board(Silent):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.bars: list[list[int]] = []  # total, done
        self.notes: list[str] = []

    def start(self, what: str, total: int, unit: str, done: int = 0) -> None:
        self.bars.append([total, done])

    def advance(self, n: int = 1) -> None:
        self.bars[-1][1] += n

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_the_time_is_said_once_at_the_pace_of_the_first_trials() -> None:
    now, board = [0.0], Board()
    whole = WholeProgress(board, 1000, 0, 2, clock=lambda: now[0])
    whole.start("one", 500, "trial")
    for number in range(200):
        now[0] += 0.5
        whole.advance()
        assert bool(board.notes) == (number >= 49)
    assert board.notes == [
        "The evaluation will take about 8 min more: 950 of 1,000 trials are left, at the pace of the first 50 "
        "(2 processes)."
    ]


def test_what_was_done_before_does_not_count_for_the_pace() -> None:
    now, board = [0.0], Board()
    whole = WholeProgress(board, 1000, 500, 1, clock=lambda: now[0])
    whole.start("one", 250, "trial", 200)
    for _ in range(50):
        now[0] += 2.0
        whole.advance()
    assert board.bars == [[1000, 750]]
    assert "about 8 min more: 250 of 1,000 trials are left" in board.notes[0]


def test_searches_that_end_early_leave_the_bar_whole() -> None:
    board = Board()
    whole = WholeProgress(board, 100, 0, 1, clock=lambda: 0.0)
    whole.start("a grid", 50, "trial")
    whole.advance(9)
    whole.stop()
    whole.start("another", 50, "trial", 20)
    whole.advance(30)
    whole.stop()
    assert board.bars == [[100, 100]]


def test_the_bar_covers_all_searches_also_of_an_evaluation_that_goes_on(tmp_path) -> None:
    compared_cache(tmp_path / "c.h5", n_folds=3)
    plan = plan_evaluation(tmp_path / "c.h5", encoding="good", heads=["logistic"], n_trials=1)
    for _ in range(2):
        board = Board()
        carry_out(plan, tmp_path / "nested", progress=board)
        assert board.bars[0] == [plan.n_trials, plan.n_trials] == [16, 16]
        assert len(board.bars) == 2


def test_few_trials_need_no_processes_and_memory_limits_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from lymphofeat import parallel

    monkeypatch.setattr(parallel, "usable_cores", lambda: 8)
    for memory, tasks, jobs in [
        (None, 1000, 8),
        (16 << 30, 1000, 8),
        (3 << 30, 1000, 3),
        (1 << 20, 1000, 1),
        (None, 10, 1),
    ]:
        monkeypatch.setattr(parallel, "available_memory", lambda memory=memory: memory)
        assert parallel.best_jobs(tasks, 1 << 30) == jobs


def test_available_memory_heeds_a_containers_limit(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lymphofeat import parallel

    (tmp_path / "meminfo").write_text("MemTotal: 100 kB\nMemAvailable: 50 kB\n")
    monkeypatch.setattr(parallel, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(parallel, "_CGROUP", tmp_path)
    assert parallel.available_memory() == 51200
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("10000\n")
    assert parallel.available_memory() == 51200
    (tmp_path / "memory.max").write_text("30000\n")
    assert parallel.available_memory() == 20000
    monkeypatch.setattr(parallel, "_MEMINFO", tmp_path / "none")
    (tmp_path / "memory.max").unlink()
    assert parallel.available_memory() is None
