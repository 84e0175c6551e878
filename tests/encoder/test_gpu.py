"""The settings that work on a GPU needs: they hold as long as any thread works, and are then as they were."""

import threading
from contextlib import ExitStack, suppress

import pytest
import torch

from lymphofeat.encoder.gpu import gpu_work
from lymphofeat.errors import InputError

GPU = torch.device("cuda")  # a name; there need not be one


def settings() -> tuple[bool, bool, bool]:
    cudnn = torch.backends.cudnn
    return cudnn.deterministic, cudnn.allow_tf32, torch.are_deterministic_algorithms_enabled()


@pytest.fixture(autouse=True)
def before() -> tuple[bool, bool, bool]:
    return settings()


def test_a_cpu_is_left_alone(before: tuple[bool, bool, bool]) -> None:
    with gpu_work(torch.device("cpu"), learns=True):
        assert settings() == before


def test_a_gpu_is_exact_and_repeatable_inside_and_as_it_was_afterwards(
    before: tuple[bool, bool, bool],
) -> None:
    with gpu_work(GPU):
        assert settings() == (True, False, before[2])
        with suppress(KeyError), gpu_work(GPU, learns=True):
            assert settings() == (True, False, True)
            raise KeyError
        assert settings() == (True, False, before[2])
    assert settings() == before


def test_who_ends_first_takes_nothing_from_the_others(before: tuple[bool, bool, bool]) -> None:
    first, second = ExitStack(), ExitStack()
    first.enter_context(gpu_work(GPU, learns=True))
    second.enter_context(gpu_work(GPU, learns=True))
    first.close()
    assert settings() == (True, False, True)
    second.close()
    assert settings() == before


def test_threads(before: tuple[bool, bool, bool]) -> None:
    wrong, together = [], threading.Barrier(4)

    def work() -> None:
        together.wait()
        for _ in range(200):
            with gpu_work(GPU, learns=True):
                if settings() != (True, False, True):
                    wrong.append(settings())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert settings() == before


def test_too_little_memory_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, before: tuple[bool, bool, bool]
) -> None:
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda _: (3 << 20, 8192 << 20))
    monkeypatch.setattr("torch.cuda.get_device_name", lambda _: "Some GPU")
    with (
        pytest.raises(
            InputError, match=r"Some GPU has too little memory left \(3 of 8,192 MiB are free\)"
        ) as told,
        gpu_work(GPU, "a smaller --batch-size"),
    ):
        raise torch.OutOfMemoryError
    assert str(told.value).endswith(
        "; end what else uses it, or give a smaller --batch-size, or --device cpu."
    )
    assert settings() == before
