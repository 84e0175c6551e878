"""Where an encoder's numbers come from. There is no fallback: what is asked for is loaded, or an error says why not."""

import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor, nn

from ..errors import WeightsError
from .backbone import Backbone
from .backbones import untrained
from .layouts import TEACHER, refuse_other_network, translated
from .misfit import misfit
from .state_dict import OWN_PREFIXES, WRAPPERS, _read, _unwrapped, _without_own_prefixes, state_digest

DOWNLOAD_PATIENCE = 30.0  # seconds without a byte


@dataclass(frozen=True)
class LoadedWeights:
    """An encoder ready to run, and where its numbers came from.

    Attributes:
        network: the backbone without classifier, in evaluation mode.
        label: "imagenet", "random<seed>", or the file's stem; names the encoding.
        origin: one phrase for people.
        digest: hex digest of all tensors, independent of the file that carried them.
        note: what was done to the names in the file, as sentences; "" if nothing was.
    """

    network: nn.Module
    label: str
    origin: str
    digest: str
    note: str = ""


def load_weights(backbone: Backbone, weights: str, seed: int | None = None) -> LoadedWeights:
    """Build a backbone with the weights asked for.

    Args:
        backbone: which network.
        weights: "imagenet" (torchvision's own, downloaded and verified by torchvision), "none" (random numbers
            from `seed`: features are then random projections, a control experiment), or the path of a file:
            safetensors, or a torch file that `torch.load(weights_only=True)` accepts.
        seed: required with "none".

    Raises:
        WeightsError: cannot be fetched, read, or do not fit; with what to do.
        LeakageError: the file is an encoder that `extract` fine-tuned.
    """
    if weights == "none":
        if seed is None:
            raise WeightsError("--weights none makes random weights and needs a --seed to be reproducible.")
        return _loaded(untrained(backbone, seed), f"random{seed}", f"untrained, random from seed {seed}")
    if weights == "imagenet":
        network = backbone.build()
        state = backbone.imagenet_state() if backbone.imagenet_state else _download(backbone)
        network.load_state_dict(_without_classifier(state, backbone))
        origin = backbone.imagenet if backbone.imagenet_state else f"torchvision {backbone.imagenet}"
        return _loaded(network, "imagenet", origin)
    return _of_file(backbone, Path(weights))


def _of_file(backbone: Backbone, path: Path) -> LoadedWeights:
    raw = _read(path)
    if isinstance(raw, Mapping) and isinstance(raw.get(TEACHER), Mapping):
        refuse_other_network(path, raw[TEACHER], backbone)
    named = _unwrapped(path, raw, (*WRAPPERS, TEACHER) if backbone.layouts else WRAPPERS)
    found = translated(path, _without_own_prefixes(named), backbone)
    with torch.device("meta") if backbone.layouts else nullcontext():
        network = backbone.build()  # without numbers where it may hold a billion, which take minutes to draw
    _fit(network, _without_classifier(found.state, backbone), path, backbone)
    published = f", {found.published} as published" if found.published else ""
    label = re.sub(r"[^A-Za-z0-9._+-]", "_", found.label)
    loaded = _loaded(network, label, f"file {path.name}{published}")
    removed = [prefix for prefix in OWN_PREFIXES if any(key.startswith(prefix) for key in named)]
    own = (
        [f"{path}: the names of its weights are read without {removed[0]}, which torch added."]
        if removed
        else []
    )
    return replace(loaded, note=" ".join([*own, *found.notes]))


def _loaded(network: nn.Module, label: str, origin: str) -> LoadedWeights:
    return LoadedWeights(network.eval(), label, origin, state_digest(network.state_dict()))


def _download(backbone: Backbone) -> Mapping[str, Tensor]:
    if not backbone.imagenet:
        raise WeightsError(
            f"There are no ImageNet weights for {backbone.name}; give its own with --weights FILE, or train it from "
            "random ones (--weights none)."
        )
    import torchvision  # seconds, through torch._dynamo

    entry = torchvision.models.get_weight(backbone.imagenet)
    try:
        with socket_timeout():
            state: Mapping[str, Tensor] = entry.get_state_dict(progress=False, check_hash=True)
    except (URLError, OSError, RuntimeError) as error:
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        raise WeightsError(
            f"torchvision could not fetch {entry.url} ({error}); download it on a machine with access and give "
            f"it with --weights FILE or put it into {folder}. `lymphofeat backbones` lists what works without a "
            "connection; --weights none --seed 0 is an untrained control experiment."
        ) from error
    return state


@contextmanager
def socket_timeout() -> Iterator[None]:
    """torch.hub sets no time limit; without one, a network that drops packets hangs the program."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _without_classifier(state: Mapping[str, Tensor], backbone: Backbone) -> dict[str, Tensor]:
    prefix = backbone.classifier
    return {key: value for key, value in state.items() if not (prefix and key.startswith(prefix))}


def _fit(network: nn.Module, state: dict[str, Tensor], path: Path, backbone: Backbone) -> None:
    """Load `state` strictly, naming the prefix that all names share, or else what does not fit."""
    wanted = network.state_dict()
    _refuse_prefix(state, wanted, path, backbone)
    if wrong := misfit(state, wanted, backbone):
        raise WeightsError(f"{path} {wrong}")
    if backbone.layouts:
        network.load_state_dict({key: value.to(torch.float32) for key, value in state.items()}, assign=True)
    else:
        network.load_state_dict(state, strict=False)


def _refuse_prefix(
    state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path, backbone: Backbone
) -> None:
    """Tell of a network that lies in the file under a prefix, as a part of a larger one.

    A prefix that is not torch's own is not taken off: of a file with several networks, which one is meant is for the
    user to say.
    """
    first = next(iter(wanted))
    if first in state:
        return
    prefixes = {key.removesuffix(first) for key in state if key.endswith(f".{first}")}
    needed = [key for key in wanted if not key.endswith("num_batches_tracked")]
    found = [
        prefix
        for prefix in sorted(prefixes)
        if all(prefix + key in state and state[prefix + key].shape == wanted[key].shape for key in needed)
    ]
    if found:
        prefix = found[0]
        others = f" (others begin with {' and '.join(found[1:])})" if found[1:] else ""
        raise WeightsError(
            f"{path} holds the weights of a {backbone.name} under names that begin with {prefix!r}{others}; save them "
            f"without it and give that file: torch.save({{name.removeprefix({prefix!r}): w for name, w in "
            f"state_dict.items() if name.startswith({prefix!r})}}, FILE)."
        )
