"""Where a trainable network's batches come from: stored pixels or stored activations."""

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .activations import ActivationStore
from .augment import Augmenter
from .pixel_store import PixelStore

__all__ = ["ActivationSource", "PixelSource", "Source"]

Rows = NDArray[np.int64]


class Source(Protocol):
    """Batches for a network, by the numbers of the images. Equal generators give equal batches."""

    def training(self, rows: Rows, generator: torch.Generator) -> Tensor:
        """A random version of each image, on the device that trains."""

    def plain(self, rows: Rows) -> Tensor:
        """Each image as at inference."""


class PixelSource:
    """For networks of which every layer may be trained: (B, 3, crop, crop) float32, augmented anew each time."""

    def __init__(self, store: PixelStore, augmenter: Augmenter, device: torch.device) -> None:
        self._store, self._augmenter, self._device = store, augmenter, device

    def training(self, rows: Rows, generator: torch.Generator) -> Tensor:
        return self._augmenter.augment(self._read(rows), generator)

    def plain(self, rows: Rows) -> Tensor:
        return self._augmenter.plain(self._read(rows))

    def _read(self, rows: Rows) -> Tensor:
        return self._store.read(rows).to(self._device)


class ActivationSource:
    """For the upper part of a network: what the frozen lower part gave for one of each image's stored versions."""

    def __init__(self, store: ActivationStore, device: torch.device, dtype: torch.dtype) -> None:
        self._store, self._device, self._dtype = store, device, dtype

    def training(self, rows: Rows, generator: torch.Generator) -> Tensor:
        versions = torch.randint(self._store.variants, (len(rows),), generator=generator)
        return self._store.batch(rows, versions, self._dtype).to(self._device)

    def plain(self, rows: Rows) -> Tensor:
        return self._store.batch(rows, np.zeros(len(rows), np.int64), self._dtype).to(self._device)
