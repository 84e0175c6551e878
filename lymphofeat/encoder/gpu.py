"""What a GPU is held to: float32 that is float32, the same bits each time, and a sentence where its memory is short."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import torch

from ..errors import InputError

__all__ = ["gpu_work"]


@contextmanager
def gpu_work(device: torch.device, less: str = "", *, learns: bool = False) -> Iterator[None]:
    """Arithmetic of a network; on another device than one of CUDA, nothing is changed.

    By default, cuDNN rounds float32 to TensorFloat-32 (10 bits of mantissa) in convolutions, and takes kernels that add
    in any order, as some of PyTorch's gradients do. Whoever wants speed has bfloat16.

    Args:
        device: that computes.
        less: what to give so that less is on the device at once, as "a smaller --batch-size"; "" if nothing helps.
        learns: whether gradients are computed.

    Raises:
        InputError: the device's memory does not suffice.
    """
    if device.type != "cuda":
        yield
        return
    with ExitStack() as kept:
        kept.enter_context(_EXACT.held())
        if learns:
            kept.enter_context(_REPEATABLE.held())
        try:
            yield
        except torch.OutOfMemoryError as error:
            free, total = torch.cuda.mem_get_info(device)
            raise InputError(
                f"{torch.cuda.get_device_name(device)} has too little memory left ({free >> 20:,} of "
                f"{total >> 20:,} MiB are free); end what else uses it, or give {less and f'{less}, or '}--device cpu."
            ) from error


class _Setting:
    """A setting of the whole process, changed as long as any thread needs it: they come and go in any order."""

    def __init__(self, changed: Callable[[], AbstractContextManager[None]]) -> None:
        self._changed, self._lock = changed, threading.Lock()
        self._users, self._kept = 0, ExitStack()

    @contextmanager
    def held(self) -> Iterator[None]:
        with self._lock:
            if not self._users:
                self._kept.enter_context(self._changed())
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self._kept.close()


def _exact() -> AbstractContextManager[None]:
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)


@contextmanager
def _repeatable() -> Iterator[None]:
    """PyTorch's deterministic algorithms (docs.pytorch.org, "Reproducibility"); it warns of one that has none."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS first works in a stream
    before = torch.are_deterministic_algorithms_enabled()
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(mode=before, warn_only=warned)


_EXACT, _REPEATABLE = _Setting(_exact), _Setting(_repeatable)
