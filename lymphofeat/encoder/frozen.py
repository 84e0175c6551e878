"""The frozen pass: every image once through an encoder that no longer changes, as fast as the machine goes.

On a CPU, each core decodes and encodes whole blocks by itself, with one thread for the arithmetic: no barrier
ever waits for the slower core, decoding overlaps with the network by itself, and since a block is always
computed alone by one thread, its features are the same bits whatever the number of cores and wherever an
earlier run was interrupted. On an accelerator, threads decode ahead and one stream computes.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import InputError
from ..parallel import disable_malloc_trim, thread_pool, torch_threads, usable_cores
from .folding import folded
from .gpu import gpu_work
from .pixels import Preprocessing, read_block

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
# Images that pass together through a network of depthwise convolutions on a CPU: these wait for memory, and the
# activations of so many stay in a core's cache from layer to layer.
_FEW = 8
# What oneDNN may be held to by a user, so that machines compute alike, and has no products in bfloat16.
_WITHOUT_BFLOAT16 = {
    "SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI",
}  # fmt: skip
_LESS = "extract a smaller --batch-size"
_TIMED = 3  # passes of `seconds_per_image`, of which the fastest counts
Block = tuple[int, Any]  # its number, and what its images are read from: by default, their files
Read = Callable[[Any, int], Tensor]  # that, and the crop → (B, crop, crop, 3) uint8
Sink = Callable[[int, NDArray[np.float32]], None]


def choose_device(name: str) -> torch.device:
    """The device for "auto" | "cpu" | "cuda" | "cuda:<number>" | "mps".

    Raises:
        InputError: it is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(name.partition(":")[0], False):
        raise InputError(f"device {name!r} is not available on this machine; use --device auto or cpu.")
    return torch.device(name)


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware; where it does not, float32 is several times faster."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return True
    if os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in _WITHOUT_BFLOAT16:
        return False
    able = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(able.get(feature, False) for feature in ("avx512_bf16", "amx_bf16", "bf16"))


def computed_with(device: torch.device) -> dict[str, str]:
    """What may give features other bits: the kind of device, its model or instructions, and torch's version."""
    if device.type == "cuda":
        processor = torch.cuda.get_device_name(device)
    else:
        processor = torch.backends.cpu.get_cpu_capability() if device.type == "cpu" else ""
    return {"device": device.type, "processor": processor, "torch": str(torch.__version__)}


class BlockEncoder(Protocol):
    """What `encode_blocks` runs: pixels (B, crop, crop, 3) uint8 to (B, D) float32; on a CPU, from several threads."""

    @property
    def preprocessing(self) -> Preprocessing:
        """Whose crop the images are cut to."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    def __call__(self, pixels: Tensor) -> NDArray[np.float32]: ...


class FrozenEncoder:
    """An encoder for inference only: batch norm folded into the convolutions, channels-last, one dtype.

    Calling it maps pixels (B, crop, crop, 3) uint8 to features (B, D) float32.

    Args:
        network: the encoder's.
        preprocessing: its own.
        device: that computes.
        dtype: of the arithmetic.
        batch: fewer images than these are filled up with black ones, whose features are dropped. Libraries choose their
            kernels by the size of a batch (a batch of one often gets another than a larger one, and other bits), so
            that only batches of one size give an image the same features whatever is encoded with it. None: as they
            come.
    """

    def __init__(
        self,
        network: nn.Module,
        preprocessing: Preprocessing,
        device: torch.device,
        dtype: torch.dtype,
        *,
        batch: int | None = None,
    ) -> None:
        lean = folded(network, _example(network, preprocessing))
        with gpu_work(device, _LESS):
            self._network = lean.to(device=device, dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.preprocessing, self.device, self.dtype, self._batch = preprocessing, device, dtype, batch
        self._together = _FEW if device.type == "cpu" and _is_depthwise(lean) else None

    def __call__(self, pixels: Tensor) -> NDArray[np.float32]:
        n = len(pixels)
        with gpu_work(self.device, _LESS), torch.inference_mode():
            if self._batch is not None and 0 < n < self._batch:
                pixels = torch.cat([pixels, pixels.new_zeros((self._batch - n, *pixels.shape[1:]))])
            images = self.preprocessing.normalise(pixels.to(self.device, non_blocking=True), self.dtype)
            parts = torch.split(images, self._together or max(len(images), 1))
            features = torch.cat([self._network(part) for part in parts])[:n]
            return features.to(torch.float32).cpu().numpy()


def _example(network: nn.Module, preprocessing: Preprocessing) -> Tensor:
    """An image of noise, as the network gets images, on its device."""
    shape = (1, preprocessing.crop, preprocessing.crop, 3)
    noise = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    some = next(network.parameters(), noise)
    return preprocessing.normalise(noise.to(some.device), torch.float32)


def _is_depthwise(network: nn.Module) -> bool:
    return any(isinstance(m, nn.Conv2d) and m.groups == m.in_channels > 1 for m in network.modules())


def seconds_per_image(
    network: nn.Module, preprocessing: Preprocessing, device: torch.device, pixels: Tensor, batch: int
) -> dict[str, float]:
    """How long an image takes in each number format, by name; on a CPU with one thread, as each core works.

    A GPU that gets a few images waits for the next kernel more than it computes, and the formats could not be told
    apart; it gets a whole batch, the images repeated.

    Args:
        network: the encoder's.
        preprocessing: its own.
        device: that computes.
        pixels: (B, crop, crop, 3) uint8, images to time it on, a few.
        batch: images that will go through the network together.
    """
    found = {}
    if device.type != "cpu":
        pixels = pixels.repeat(-(-batch // len(pixels)), 1, 1, 1)[:batch]
    with torch_threads(1) if device.type == "cpu" else nullcontext():
        for name, dtype in DTYPES.items():
            encoder = FrozenEncoder(network, preprocessing, device, dtype)
            encoder(pixels)  # the first pass also chooses kernels
            times = []
            for _ in range(_TIMED):
                start = time.perf_counter()
                encoder(pixels)
                times.append(time.perf_counter() - start)
            found[name] = min(times) / len(pixels)
    return found


def encode_blocks(
    encoder: BlockEncoder,
    blocks: Sequence[Block],
    sink: Sink,
    *,
    workers: int | None = None,
    read: Read = read_block,
) -> None:
    """Decode and encode blocks of images, handing each block's features to `sink` as they come.

    Args:
        encoder: the network.
        blocks: (number, files, or what `read` takes instead) in any order; each is one batch for the network.
        sink: called with (number, (B, D) float32); on a CPU from several threads at once.
        workers: threads; by default one for each core that this process may use.
        read: gives a block's pixels; by default its files are decoded.

    Raises:
        InputError: an image cannot be decoded. The blocks finished until then have reached the sink.
    """
    disable_malloc_trim()
    run = _core_by_core if encoder.device.type == "cpu" else _stream
    run(encoder, blocks, sink, workers or usable_cores(), read)


def _core_by_core(
    encoder: BlockEncoder, blocks: Sequence[Block], sink: Sink, workers: int, read: Read
) -> None:
    def work(block: Block) -> None:
        number, images = block
        sink(number, encoder(read(images, encoder.preprocessing.crop)))

    with thread_pool(workers, torch_each=1) as pool:
        for finished in [pool.submit(work, block) for block in blocks]:
            finished.result()


def _stream(encoder: BlockEncoder, blocks: Sequence[Block], sink: Sink, workers: int, read: Read) -> None:
    with thread_pool(workers) as pool:
        for number, pixels in _decoded_ahead(
            pool, blocks, read, encoder.preprocessing.crop, ahead=2 * workers
        ):
            sink(number, encoder(pixels.pin_memory() if encoder.device.type == "cuda" else pixels))


def _decoded_ahead(
    pool: ThreadPoolExecutor, blocks: Iterable[Block], read: Read, crop: int, ahead: int
) -> Iterator[tuple[int, Tensor]]:
    """Blocks in order, `ahead` of them decoded or being decoded before they are asked for."""
    waiting: deque[tuple[int, Future[Tensor]]] = deque()
    for number, images in blocks:
        waiting.append((number, pool.submit(read, images, crop)))
        if len(waiting) > ahead:
            first, pixels = waiting.popleft()
            yield first, pixels.result()
    for number, pixels in waiting:
        yield number, pixels.result()
