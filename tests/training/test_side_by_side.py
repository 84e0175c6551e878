import threading

import pytest
import torch

from lymphofeat.progress import Progress, Silent
from lymphofeat.training.side_by_side import Job, WorkerLayout, train_all, worker_layout


class Heard(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.images = 0
        self.total = 0
        self.stopped = 0

    def start(self, what: str, total: int, unit: str, done: int = 0) -> None:
        self.total = total

    def advance(self, n: int = 1) -> None:
        self.images += n

    def note(self, text: str) -> None:
        self.notes.append(text)

    def stop(self) -> None:
        self.stopped += 1


def job(name: str, work, epochs: int = 2) -> Job:
    return Job(name, 10 * epochs, epochs, work)


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_all_jobs_are_done_under_one_bar(at_once: int) -> None:
    heard, threads = Heard(), torch.get_num_threads()
    seen: dict[str, int] = {}

    def working(name: str):
        def work(progress: Progress) -> None:
            seen[name] = torch.get_num_threads()
            progress.start(name, 20, "images", done=10 if name == "b" else 0)
            for epoch in range(1 if name == "b" else 2):
                progress.advance(10)
                progress.note(f"epoch {epoch + 1}")
            progress.stop()

        return work

    train_all([job(n, working(n)) for n in "abc"], WorkerLayout(at_once, 1), heard)
    assert seen == dict.fromkeys("abc", 1)
    assert (heard.images, heard.total, heard.stopped) == (60, 60, 1)
    assert len(heard.notes) == 5
    assert all(" left" in note for note in heard.notes)
    assert any(note.startswith("c, epoch 2; ") for note in heard.notes)
    assert heard.notes[-1].endswith("; 0 s left")
    assert torch.get_num_threads() == threads


def test_one_failure_ends_the_others_at_their_next_step() -> None:
    begun, ended = threading.Event(), threading.Event()

    def endless(progress: Progress) -> None:
        begun.set()
        try:
            while True:
                progress.advance()
        finally:
            ended.set()

    def failing(progress: Progress) -> None:
        assert begun.wait(10)
        raise ValueError("broken")

    heard = Heard()
    waiting = job("never", lambda _: pytest.fail("began after a failure"))
    with pytest.raises(ValueError, match="broken"):
        train_all([job("endless", endless), job("failing", failing), waiting], WorkerLayout(2, 1), heard)
    assert ended.is_set()
    assert heard.stopped == 1


def test_threads_depend_on_the_machine_and_the_folds_only(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    for cores, folds, expected in [(1, 5, (1, 1)), (2, 5, (2, 1)), (16, 5, (5, 3)), (4, 2, (2, 2))]:
        monkeypatch.setattr("lymphofeat.training.side_by_side.usable_cores", lambda cores=cores: cores)
        layout = worker_layout(cpu, folds)
        assert (layout.at_once, layout.threads) == expected
    assert worker_layout(torch.device("cuda"), 5).at_once == 1
