"""A network made lean for inference: batch norm in the convolutions, padding by the convolutions.

One pass of an example shows which convolution feeds which batch norm, so that networks whose Python depends on shapes
are folded as well, and nothing has to trace them. What was changed is compared with what was there before.
"""

import copy
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .gpu import gpu_work

__all__ = ["folded"]

_CLOSE = 1e-4  # relative error, in float32, that folding may bring


class _SamePadding(nn.Module):
    """A convolution whose padding follows the image, as TensorFlow's "same": symmetric padding costs no copy."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, images: Tensor) -> Tensor:
        own = self.convolution
        geometry = zip(images.shape[-2:], own.kernel_size, own.stride, own.dilation, strict=True)
        rows, columns = (
            max((-(-side // step) - 1) * step + (kernel - 1) * dilation + 1 - side, 0)
            for side, kernel, step, dilation in geometry
        )
        padding = (rows // 2, columns // 2)
        if rows % 2 or columns % 2:
            edges = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
            images, padding = functional.pad(images, edges), (0, 0)
        return functional.conv2d(images, own.weight, own.bias, own.stride, padding, own.dilation, own.groups)


class _Calls:
    """Which modules were called on what, in one pass; it holds the tensors, so that each keeps an identity."""

    def __init__(self) -> None:
        self.inputs: dict[nn.Module, Tensor] = {}
        self.outputs: dict[nn.Module, Tensor] = {}
        self.count: Counter[nn.Module] = Counter()
        self.pads_same: list[nn.Conv2d] = []
        self.readers: Counter[int] = Counter()  # id of a tensor → modules that took it

    def __call__(self, module: nn.Module, given: Sequence[Any], output: Any) -> None:
        self.count[module] += 1
        for tensor in given:
            self.readers[id(tensor)] += 1
        if given and isinstance(given[0], Tensor) and isinstance(output, Tensor):
            self.inputs[module], self.outputs[module] = given[0], output
            if _pads_by_hand(module) and _is_same_padding(
                module, given[0], output
            ):  # before others change them
                self.pads_same.append(module)


def folded(network: nn.Module, example: Tensor) -> nn.Module:
    """A copy in evaluation mode that gives the same features up to rounding, faster.

    Args:
        network: any; it is left as it is.
        example: (1, 3, H, W) float32, an image for it, on its device.
    """
    lean = copy.deepcopy(network).eval()
    if not any(isinstance(module, nn.BatchNorm2d) or _pads_by_hand(module) for module in lean.modules()):
        return lean
    with gpu_work(example.device), torch.no_grad():  # TensorFloat-32 would be farther off than `_CLOSE`
        with _watched(lean) as calls:
            before = lean(example)
        names = {module: name for name, module in lean.named_modules()}
        for module in calls.pads_same:
            _replace(lean, names[module], _SamePadding(module))
        for convolution, norm in _pairs(lean, names, calls):
            parent, _, leaf = convolution.rpartition(".")
            holder = lean.get_submodule(parent)
            setattr(holder, leaf, fuse_conv_bn_eval(getattr(holder, leaf), norm))
            _replace(lean, names[norm], _rest(norm))
        close = torch.linalg.vector_norm(lean(example) - before) <= _CLOSE * torch.linalg.vector_norm(before)
    return lean if close else copy.deepcopy(network).eval()


def _pairs(
    lean: nn.Module, names: dict[nn.Module, str], calls: _Calls
) -> Iterator[tuple[str, nn.BatchNorm2d]]:
    """The names of convolutions, and the batch norm that alone takes their output."""
    made_by = {
        id(output): module for module, output in calls.outputs.items() if isinstance(module, nn.Conv2d)
    }
    for norm, given in calls.inputs.items():
        convolution = made_by.get(id(given))
        if not isinstance(norm, nn.BatchNorm2d) or convolution is None or calls.readers[id(given)] > 1:
            continue
        if calls.count[norm] > 1 or calls.count[convolution] > 1:
            continue
        name = names[convolution]
        if type(convolution) is nn.Conv2d:
            yield name, norm
        elif isinstance(lean.get_submodule(name), _SamePadding):
            yield f"{name}.convolution", norm


def _rest(norm: nn.Module) -> nn.Module:
    """What a batch norm does besides: timm's `BatchNormAct2d` is followed by its activation."""
    return nn.Sequential(*(part for name, part in norm.named_children() if name in ("drop", "act")))


def _pads_by_hand(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Whether it may be a convolution that pads its input itself."""
    return isinstance(module, nn.Conv2d) and type(module) is not nn.Conv2d and module.padding == (0, 0)


def _is_same_padding(convolution: nn.Conv2d, images: Tensor, output: Tensor) -> bool:
    found: Tensor = _SamePadding(convolution)(images)
    return found.shape == output.shape and torch.allclose(found, output, rtol=_CLOSE, atol=_CLOSE)


def _replace(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(network.get_submodule(parent), leaf, module)


@contextmanager
def _watched(network: nn.Module) -> Iterator[_Calls]:
    calls = _Calls()
    watched = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d) or not any(m.children())]
    hooks = [module.register_forward_hook(calls) for module in watched]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()
