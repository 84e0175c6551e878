"""The frozen lower layers run once: what they give is kept on disk, and only the upper layers train on it.

Lower layers that do not train see no labels, so that one store serves every fold. It holds, for each image, the plain
version and others whose flips, turns and colours were chosen in advance.
"""

import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..encoder.folding import folded
from ..encoder.frozen import has_fast_bfloat16
from ..encoder.gpu import gpu_work
from ..errors import InputError
from ..parallel import disable_malloc_trim
from ..progress import Progress
from ..storage.blocks import RowPlan, StoredRows, open_rows
from .augment import N_DRAWS, Augmenter
from .pixel_store import PixelStore

__all__ = ["TRAIN_FROM", "ActivationStore", "open_activations", "split_network", "variant_draws"]

TRAIN_FROM = ("layer3", "layer4", "fc")
_ORDER = (
    "conv1",
    "bn1",
    "relu",
    "maxpool",
    "layer1",
    "layer2",
    "layer3",
    "layer4",
    "avgpool",
    "flatten",
    "fc",
)
_TOGETHER = 32  # images whose variants are computed and written together


def split_network(network: nn.Module, train_from: str) -> tuple[nn.Sequential, nn.Sequential]:
    """Cut a torchvision ResNet in two: `upper(lower(x))` is `network(x)`.

    Both halves hold the network's own modules under their own names, so that training `upper` trains `network`, and
    the two state dicts together are the network's. `lower` is frozen: in evaluation mode, without gradients.

    Args:
        network: a `torchvision.models.ResNet`; its `fc` may have been replaced.
        train_from: "layer3", "layer4" or "fc", the first part of `upper`. With "fc", what lies below is the whole
            backbone and its average pooling.

    Raises:
        InputError: no such part, or another kind of network.
    """
    if train_from not in TRAIN_FROM:
        raise InputError(
            f"--train-from {train_from!r} is not known; use one of {', '.join(TRAIN_FROM)}, or all."
        )
    from torchvision.models import ResNet  # seconds, through torch._dynamo

    if not isinstance(network, ResNet):
        raise InputError(
            f"--train-from {train_from} needs a ResNet, whose layers it knows, and this is a "
            f"{type(network).__name__}; use --train-from all, or a recipe with a ResNet."
        )
    parts = [(name, nn.Flatten(1) if name == "flatten" else getattr(network, name)) for name in _ORDER]
    first = _ORDER.index(train_from)
    lower, upper = (nn.Sequential(OrderedDict(half)) for half in (parts[:first], parts[first:]))
    return lower.eval().requires_grad_(requires_grad=False), upper


@dataclass(frozen=True)
class ActivationStore:
    """What the lower layers give for every version of every image.

    Attributes:
        shape: (C, H, W) of one activation, or (D,) below "fc".
        variants: V, versions of each image; 0 is the plain one.
        rows: the file, image by image: (N · V, …) uint16, the bits of bfloat16, channels last.
    """

    shape: tuple[int, ...]
    variants: int
    rows: StoredRows

    def __len__(self) -> int:
        return len(self.rows.array) // self.variants

    def batch(
        self,
        rows: NDArray[np.int64] | Tensor | Sequence[int],
        variant_of_row: NDArray[np.int64] | Tensor | Sequence[int],
        dtype: torch.dtype = torch.bfloat16,
    ) -> Tensor:
        """Activations of some images, (B, *shape) `dtype` on the CPU, channels-last.

        Args:
            rows: (B,) images.
            variant_of_row: (B,) which version of each, 0 to V − 1.
            dtype: of the result.

        Raises:
            IndexError: an image or a version that is not there.
        """
        images, versions = np.asarray(rows, np.int64), np.asarray(variant_of_row, np.int64)
        if len(versions) and not (versions.min() >= 0 and versions.max() < self.variants):
            raise IndexError(f"versions {versions.min()} to {versions.max()} of {self.variants}")
        stored = torch.from_numpy(self.rows.take(images * self.variants + versions))
        values = stored.view(torch.bfloat16).to(dtype)
        return values.permute(0, 3, 1, 2) if len(self.shape) == 3 else values


def open_activations(
    lower: nn.Sequential,
    weights_digest: str,
    store: PixelStore,
    augmenter: Augmenter,
    variants: int,
    folder: Path,
    *,
    seed: int = 0,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> ActivationStore:
    """The activation store in `folder`, computing first what is missing of it.

    The file is `activations-<digest>.bf16`; the digest is of everything that its values depend on, the kind of
    machine excepted. See `lymphofeat.storage.blocks` for how it survives a kill.

    Args:
        lower: from `split_network`; it is copied, with batch norm folded into the convolutions.
        weights_digest: hex digest of the network's weights, `LoadedWeights.digest`.
        store: the pixels.
        augmenter: how versions 1 to V − 1 are made, and how all are normalised.
        variants: V ≥ 1.
        folder: where the cache lies.
        seed: of the versions.
        device: that computes; the CPU by default.
        dtype: of the arithmetic; by default bfloat16 where the device is fast at it, else float32.
        workers: threads, by default one per core, or two that feed an accelerator.
        progress: is told of activations as they come.

    Raises:
        InputError: fewer than one version.
        CacheError: the disk is full, or the file does not read back as written.
    """
    if variants < 1:
        raise InputError(f"variants is {variants}; it must be at least 1 (the plain image).")
    device = device or torch.device("cpu")
    dtype = dtype or (torch.bfloat16 if has_fast_bfloat16(device) else torch.float32)
    disable_malloc_trim()
    network = _Lower(
        lower, store, augmenter, variant_draws(len(store), variants, augmenter, seed), device, dtype
    )
    shape = network.shape
    key = _key(lower, weights_digest, store, augmenter, variants, seed, dtype)
    stored = (*shape[1:], shape[0]) if len(shape) == 3 else shape
    path = folder / f"activations-{key}.bf16"
    plan = RowPlan(path, len(store) * variants, stored, "uint16", _TOGETHER * variants)
    rows = open_rows(
        plan,
        network,
        what=f"layers below {_above(lower)}",
        unit="images",
        per_unit=variants,
        workers=workers or (None if device.type == "cpu" else 2),
        progress=progress,
    )
    return ActivationStore(shape, variants, rows)


def variant_draws(n: int, variants: int, augmenter: Augmenter, seed: int) -> Tensor:
    """What makes each version of each image: (N, V, N_DRAWS) float32 for `Augmenter.apply`.

    Versions 1, 2, … of an image are different flips and turns in random order, none of them the plain one, as long as
    there are enough; the other draws are independent. Version 0 is not drawn.
    """
    generator = torch.Generator().manual_seed(seed)
    draws = torch.rand(n, variants, N_DRAWS, generator=generator)
    others = len(augmenter.elements) - 1
    if others:
        order = torch.rand(n, others, generator=generator).argsort(dim=1) + 1
        chosen = order[:, torch.arange(variants - 1) % others]
        draws[:, 1:, 0] = (chosen + 0.5) / len(augmenter.elements)
    return draws


class _Lower:
    """Computes a block of the store: a range of rows → (rows, …) uint16."""

    def __init__(
        self,
        lower: nn.Sequential,
        store: PixelStore,
        augmenter: Augmenter,
        draws: Tensor,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        one = augmenter.plain(store.read([0]))
        lean = folded(lower, one)
        self._store, self._augmenter, self._draws = store, augmenter, draws
        self._device, self._dtype = device, dtype
        with gpu_work(device):
            self._network = lean.to(device=device, dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
            self.shape = tuple(self._through(one.to(device)).shape[1:])

    def __call__(self, rows: range) -> NDArray[np.uint16]:
        with gpu_work(self._device):
            return self._values(rows)

    def _values(self, rows: range) -> NDArray[np.uint16]:
        variants = self._draws.shape[1]
        images = range(rows.start // variants, rows.stop // variants)
        pixels = self._store.read(images).to(self._device)
        draws = self._draws[images.start : images.stop]
        versions = [self._through(self._augmenter.plain(pixels))]
        versions += [
            self._through(self._augmenter.apply(pixels, draws[:, version])) for version in range(1, variants)
        ]
        values = torch.stack(versions, dim=1).flatten(0, 1)
        values = values.movedim(1, -1).to(torch.bfloat16).cpu().contiguous()
        return values.view(torch.uint16).numpy()

    @torch.inference_mode()
    def _through(self, images: Tensor) -> Tensor:
        values: Tensor = self._network(images.to(self._dtype))
        return values


def _key(
    lower: nn.Sequential,
    weights_digest: str,
    store: PixelStore,
    augmenter: Augmenter,
    variants: int,
    seed: int,
    dtype: torch.dtype,
) -> str:
    """Hex digest that names the file."""
    parts = {
        "layers": [name for name, _ in lower.named_children()],
        "weights": weights_digest,
        "pixels": [store.digest, store.side],
        "preprocessing": {k: v for k, v in asdict(augmenter.inference).items() if v is not None},
        "augmentation": asdict(augmenter.spec),
        "variants": variants,
        "seed": seed if variants > 1 else None,
        "dtype": str(dtype),
    }
    return blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=8).hexdigest()


def _above(lower: nn.Sequential) -> str:
    """The part of the network that comes after `lower`."""
    return _ORDER[len(list(lower.children()))]
