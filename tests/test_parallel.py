"""How much of the machine is used: cores, threads, and what is given up when something goes wrong."""

import ast
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import lymphofeat
from lymphofeat.cohort.fingerprint import image_digests
from lymphofeat.parallel import cores_each, thread_pool, torch_threads, usable_cores


def test_cores_are_those_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a container's quota, or the user, has it; joblib reads both."""
    assert usable_cores() >= 1
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert usable_cores() == 1
    assert cores_each(3) == 1


def test_a_cohort_is_read_by_as_many_threads_as_there_are_usable_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "image"
    path.write_bytes(b"bytes")
    by: set[int] = set()
    plain = Path.read_bytes

    def seen(self: Path) -> bytes:
        by.add(threading.get_ident())
        time.sleep(0.001)
        return plain(self)

    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    monkeypatch.setattr(Path, "read_bytes", seen)
    image_digests([path] * 640)
    assert len(by) == 1


@pytest.mark.parametrize("torch_each", [None, 1])
def test_what_has_not_begun_is_cancelled_by_an_error(torch_each: int | None) -> None:
    begun, leave = threading.Event(), threading.Event()
    done: list[int] = []

    def task(number: int) -> None:
        begun.set()
        leave.wait(10)
        done.append(number)

    def fail() -> None:
        with thread_pool(1, torch_each=torch_each) as pool:
            for number in range(50):
                pool.submit(task, number)
            begun.wait(10)
            threading.Timer(0.1, leave.set).start()  # by then the pool is being shut down
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert done == [0]


def test_what_has_not_begun_is_cancelled_when_nobody_asks_for_more() -> None:
    done: list[int] = []

    def task(number: int) -> int:
        done.append(number)
        time.sleep(0.02)
        return number

    def results() -> Iterator[int]:
        with thread_pool(1) as pool:
            yield from pool.map(task, range(500))

    some = results()
    assert next(some) == 0
    some.close()
    assert len(done) < 10


def test_all_is_done_when_the_block_ends_well() -> None:
    done: list[int] = []
    with thread_pool(2) as pool:
        for number in range(20):
            pool.submit(done.append, number)
    assert sorted(done) == list(range(20))


def test_torch_has_its_threads_back() -> None:
    before = torch.get_num_threads()
    with thread_pool(2, torch_each=1) as pool:
        assert set(pool.map(lambda _: torch.get_num_threads(), range(4))) == {1}
    assert torch.get_num_threads() == before
    with torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    "name",
    [
        "ThreadPoolExecutor",
        "cpu_count",
        "sched_getaffinity",
        "set_num_threads",
        "threadpool_limits",
        "mallopt",
    ],
)
def test_threads_are_decided_in_one_file(name: str) -> None:
    root = Path(lymphofeat.__file__).parent
    calls = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == name
    }
    assert calls <= {"parallel.py"}
