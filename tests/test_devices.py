"""Processes of devices: each is told its device, one that is killed costs its task, and all end with their owner."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lymphofeat.devices import DeviceProcesses, ProcessEndedError, device_processes


@pytest.fixture(scope="module")
def two() -> Iterator[DeviceProcesses]:
    with device_processes(["cuda:1", "cuda:0"]) as found:
        yield found


def wait_until_gone(process: int) -> None:
    for _ in range(200):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return
        state = Path(f"/proc/{process}/stat")
        if state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.1)
    raise AssertionError(f"process {process} is still there")


def test_each_process_sees_the_gpu_that_it_was_given(two: DeviceProcesses) -> None:
    seen = {}
    while len(seen) < 2:  # both take tasks, in no order
        for one in [two.submit(os.getenv, "CUDA_VISIBLE_DEVICES") for _ in range(4)]:
            seen[one.result(60)] = True
    assert sorted(seen) == ["0", "1"]


def test_an_error_is_the_tasks_and_the_process_goes_on(two: DeviceProcesses) -> None:
    with pytest.raises(ZeroDivisionError):
        two.submit(divmod, 1, 0).result(60)
    with pytest.raises(TypeError, match="pickle"):  # what cannot travel back
        two.submit(memoryview, b"").result(60)
    assert two.submit(divmod, 7, 2).result(60) == (3, 1)


def test_a_killed_process_costs_its_task_and_an_error_in_the_block_ends_the_next_at_once() -> None:
    began, process = time.monotonic(), 0

    def fail() -> None:
        nonlocal process
        with device_processes(["cpu"]) as found:
            first = found.submit(os.getpid).result(60)
            lost = found.submit(time.sleep, 600)
            while not lost.running():
                time.sleep(0.05)
            os.kill(first, signal.SIGKILL)
            with pytest.raises(ProcessEndedError, match="exit code -9"):
                lost.result(60)
            process = found.submit(os.getpid).result(60)
            assert process != first
            under_way, waiting = (found.submit(time.sleep, 600) for _ in range(2))
            while not under_way.running():
                time.sleep(0.05)
            assert not waiting.running()
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    wait_until_gone(process)
    assert time.monotonic() - began < 120


def test_they_end_with_the_process_that_started_them() -> None:
    code = (
        "import os, time\n"
        "from lymphofeat.devices import device_processes\n"
        "if __name__ == '__main__':\n"
        "    with device_processes(['cpu']) as found:\n"
        "        print(found.submit(os.getpid).result(), flush=True)\n"
        "        found.submit(time.sleep, 600)\n"
        "        time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        process = int(owner.stdout.readline())
        owner.kill()
    wait_until_gone(process)
