"""Colour arithmetic on batches: jitter as one matrix per image, stain jitter in optical density, normalisation.

Everywhere here a batch is planar: x is (B, 3, P) float32, RGB scaled to [0, 1], P pixels.

Sources: luma weights of ITU-R BT.601, as in torchvision; hue as a rotation in YIQ, the linear form of HSV's hue that
preserves luma; stains after Ruifrok and Johnston, *Anal Quant Cytol Histol* 23 (2001), jittered after Tellez et al.,
*IEEE TMI* 37 (2018) and *Med Image Anal* 58 (2019); normalisation after Reinhard et al., *IEEE CG&A* 21 (2001), in
optical density instead of their colour space.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .pixels import Preprocessing

__all__ = [
    "ColourPreprocessing",
    "colour_matrices",
    "grey",
    "jitter_colour",
    "jitter_stain",
    "normalise_stain",
]

LUMA = (0.299, 0.587, 0.114)
DARKEST = 1 / 255  # stands for 0 in logarithms
YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))  # from RGB
HED = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78))  # haematoxylin, eosin, DAB; before scaling
# Where `normalise_stain` puts mean and deviation of the optical density (log₁₀) of R, G and B. Any fixed point would
# do, what matters is that all images share it; this one looks like a Giemsa-stained smear in ordinary light.
TARGET_MEAN = (0.20, 0.30, 0.15)
TARGET_STD = (0.15, 0.20, 0.10)
FLATTEST = 0.01  # deviation below which an image counts as uniform and is not stretched further


def colour_matrices(
    brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor
) -> tuple[Tensor, Tensor]:
    """Brightness, then contrast, saturation and hue, as affine maps of the pixels and of the image's mean.

    The four steps are linear, so that they are done in one multiplication, without clipping in between.

    Args:
        brightness, contrast, saturation: (B,) factors, 1 for no change.
        hue: (B,) turns of the colour circle, 0 for no change.

    Returns:
        (B, 3, 3) M and (B, 3, 3) N such that the new pixels are M x + N mean(x).
    """
    device, n = brightness.device, len(brightness)
    unit = torch.eye(3, device=device)
    luma = torch.tensor(LUMA, device=device).expand(3, 3)  # x ↦ its luma in all three channels
    to_yiq = torch.tensor(YIQ, device=device)
    angle = -2 * math.pi * hue  # from red over yellow to green is clockwise in (I, Q)
    turn = unit.repeat(n, 1, 1)
    turn[:, 1, 1] = turn[:, 2, 2] = torch.cos(angle)
    turn[:, 1, 2], turn[:, 2, 1] = -torch.sin(angle), torch.sin(angle)
    rotated = torch.linalg.inv(to_yiq) @ turn @ to_yiq
    s, c, b = (factor.view(-1, 1, 1) for factor in (saturation, contrast, brightness))
    after = rotated @ (s * unit + (1 - s) * luma)
    return after * (b * c), after @ luma * (b * (1 - c))


def jitter_colour(x: Tensor, pixels: Tensor, mean: Tensor) -> Tensor:
    """Apply what `colour_matrices` returned, clipped to [0, 1]: (B, 3, P)."""
    return torch.baddbmm(mean @ x.mean(dim=2, keepdim=True), pixels, x).clamp_(0, 1)


def jitter_stain(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Scale and shift the three stains that an image is made of.

    Optical density −log₁₀ x is a mixture of stains; each amount h becomes α h + β, and the image is put together
    again. The stains are Ruifrok and Johnston's, used as a fixed basis in which colours of smears vary plausibly, not
    as a claim about which dyes are in them.

    Args:
        x: (B, 3, P).
        alpha, beta: (B, 3), per stain; 1 and 0 for no change. `beta` is in units of optical density.

    Returns:
        (B, 3, P), clipped to [0, 1].
    """
    stains = torch.tensor(HED, device=x.device)
    stains = stains / stains.norm(dim=1, keepdim=True)
    mixing = stains.T @ (alpha.unsqueeze(2) * torch.linalg.inv(stains.T))
    shift = -math.log(10) * (beta @ stains).unsqueeze(2)
    return torch.baddbmm(shift, mixing, x.clamp(min=DARKEST).log_()).exp_().clamp_(max=1)


def normalise_stain(x: Tensor) -> Tensor:
    """Give every image the same mean and deviation of optical density per channel: (B, 3, P) in [0, 1].

    What differs between slides in stain and light goes, and with it what differs between cells in overall darkness.
    """
    density = x.clamp(min=DARKEST).log_().mul_(-1 / math.log(10))
    centred = density.sub_(density.mean(dim=2, keepdim=True))
    std = (centred * centred).mean(dim=2, keepdim=True).sqrt_().clamp_(min=FLATTEST)
    target_mean, target_std = (torch.tensor(v, device=x.device).view(3, 1) for v in (TARGET_MEAN, TARGET_STD))
    density = centred.mul_(target_std / std).add_(target_mean)
    return density.mul_(-math.log(10)).exp_().clamp_(max=1)


def grey(x: Tensor) -> Tensor:
    """Luma in all three channels: (B, 3, P)."""
    weights = torch.tensor(LUMA, device=x.device).view(3, 1)
    return (x * weights).sum(dim=1, keepdim=True).expand_as(x)


_TOGETHER = 16  # images that stay in a core's cache from step to step


@dataclass(frozen=True)
class ColourPreprocessing(Preprocessing):
    """`Preprocessing` for an encoder that was trained on images without colour, or with normalised colour."""

    grey: bool = False
    normalise_stain: bool = False

    def normalise(self, pixels: Tensor, dtype: torch.dtype) -> Tensor:
        """(B, crop, crop, 3) uint8 → (B, 3, side, side) `dtype` in channels-last memory, on the same device."""
        if not (self.grey or self.normalise_stain):
            return super().normalise(pixels, dtype)
        exact = torch.float32 if self.side != self.crop else dtype
        out = _empty(len(pixels), self.crop, pixels.device, exact)
        for part in _parts(pixels):
            out[part] = self.finish(self.fixed(_planar(pixels[part])))
        return self.resized(out).to(dtype)

    def fixed(self, x: Tensor) -> Tensor:
        """What is done before jitter: (B, 3, P) → (B, 3, P), in [0, 1]."""
        return normalise_stain(x) if self.normalise_stain else x

    def finish(self, x: Tensor) -> Tensor:
        """What is done last: (B, 3, P) in [0, 1] → (B, 3, crop, crop), planar memory."""
        x = grey(x) if self.grey else x
        mean, std = (torch.tensor(v, device=x.device).view(3, 1) for v in (self.mean, self.std))
        return ((x - mean) / std).view(-1, 3, self.crop, self.crop)


def _planar(pixels: Tensor) -> Tensor:
    """(B, H, W, 3) uint8 → (B, 3, H·W) float32 in [0, 1]."""
    channels = pixels.reshape(len(pixels), -1, 3).transpose(1, 2)
    return channels.to(torch.float32, memory_format=torch.contiguous_format).mul_(1 / 255)


def _empty(n: int, crop: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    return torch.empty((n, 3, crop, crop), device=device, dtype=dtype, memory_format=torch.channels_last)


def _parts(pixels: Tensor) -> Iterator[slice]:
    """On a CPU a few images at a time, elsewhere all at once."""
    together = _TOGETHER if pixels.device.type == "cpu" else max(len(pixels), 1)
    return (slice(start, start + together) for start in range(0, len(pixels), together))
