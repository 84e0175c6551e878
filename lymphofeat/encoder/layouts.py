"""How published encoders name their weights, and what becomes of each name here.

Sources: DinoBloom (Koch et al., MICCAI 2024; zenodo 10908163 and huggingface.co/MarrLab/DinoBloom) and RedDino (Zedda
et al., MICCAI 2025; huggingface.co/Snarcy) are DINOv2 networks (Oquab et al., TMLR 2024) for images of 224 px. The
layouts are those that the authors' loading code reads: a training checkpoint holds the network as `backbone.*` under
`teacher`, beside the heads of the training; on Hugging Face DinoBloom has DINOv2's names, RedDino timm's.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import WeightsError
from .backbone import Backbone, Layout
from .catalogue import DINOV2

__all__ = ["DINOV2_INPUT", "DINOV2_LAYOUTS", "TEACHER", "refuse_other_network", "translated"]

TEACHER = "teacher"  # the network to use of a DINOv2 training, beside the student
DINOV2_INPUT = 224  # px; timm's default for these networks is 518
_SWIGLU = ((r"(blocks\.\d+\.mlp\.)w12\.", r"\1fc1."), (r"(blocks\.\d+\.mlp\.)w3\.", r"\1fc2."))  # the giant's
DINOV2_LAYOUTS = (
    Layout(
        "a DINOv2 training checkpoint",
        "backbone.",
        ("dino_head.", "ibot_head.", "backbone.mask_token"),
        _SWIGLU,
    ),
    Layout("a DINOv2 network", "", ("mask_token",), _SWIGLU),  # timm's layout too: nothing to drop or rename
)
# SHA-256 of files as distributed → what they are. Of the large and giant ones none is known here.
_PUBLISHED = {
    "c2f7990b003e89bcece80e379fb8fe0ba2ec392ce19b286e8a294abd99568e44": "DinoBloom-S",
    "b1ea16884d1ac1331f9e2d80f730b1b72cab58c9d65cc8cc2ac7ec785a8213c7": "DinoBloom-B",
}
_WITH_KNOWN_FILES = ("vit_small_patch14_dinov2", "vit_base_patch14_dinov2")
_NAMELESS = ("model", "pytorch_model")  # stems of files that their folder names


@dataclass(frozen=True)
class Translated:
    """A file's weights under the network's own names.

    Attributes:
        state: names → tensors.
        label: a name for the file, for encodings.
        published: what it is as published, by its digest; "" where that is not known.
        notes: what was done to the names, and what differs from the file's own description, in sentences.
    """

    state: dict[str, Tensor]
    label: str
    published: str = ""
    notes: tuple[str, ...] = ()


def translated(path: Path, state: Mapping[str, Tensor], backbone: Backbone) -> Translated:
    """Put the names of a published file into those of the network.

    Nothing is dropped but what the layout names, so that a file that lacks a weight, or has one more, is refused when
    the network is filled.

    Args:
        path: of the file; its neighbour `config.json`, if there is one, is compared.
        state: its weights, out of their wrappers.
        backbone: the network.

    Raises:
        WeightsError: the file, or `config.json` beside it, is of another network, or the file is of two.
    """
    refuse_other_network(path, state, backbone)
    notes = _compared_with_config(path, backbone)
    if not backbone.layouts:
        return Translated(dict(state), path.stem, notes=notes)
    layout = next((one for one in backbone.layouts if f"{one.prefix}cls_token" in state), None)
    if layout is None:
        return Translated(dict(state), _label(path), notes=notes)
    dropped = [key for key in state if _is_dropped(key, layout)]
    names = {key: _renamed(key, layout) for key in state if key not in dropped}
    if len(set(names.values())) < len(names):
        raise WeightsError(
            f"{path} holds two networks, one with {layout.prefix!r} before its names and one without; save one of "
            "them alone and give that file."
        )
    if layout.prefix or dropped:
        notes = (f"{path}: read as {layout.name}{_changes(layout, dropped)}.", *notes)
    kept = {name: state[key] for key, name in names.items()}
    return Translated(kept, _label(path), _published(path, backbone), notes)


def _is_dropped(key: str, layout: Layout) -> bool:
    return any(key.startswith(part) if part.endswith(".") else key == part for part in layout.dropped)


def _renamed(key: str, layout: Layout) -> str:
    name = key.removeprefix(layout.prefix)
    for pattern, replacement in layout.renamed:
        name = re.sub(f"^{pattern}", replacement, name)
    return name


def _changes(layout: Layout, dropped: list[str]) -> str:
    behind = f" (names behind {layout.prefix!r})" if layout.prefix else ""
    parts = dict.fromkeys(
        f"{part}*" if part.endswith(".") else part.removeprefix(layout.prefix)
        for part in layout.dropped
        if any(key.startswith(part) for key in dropped)
    )
    return f"{behind}; left out, since only its training uses them: {', '.join(parts)}" if parts else behind


def _label(path: Path) -> str:
    """The file's stem, or the name of its folder where the stem says nothing, as on Hugging Face."""
    if path.stem not in _NAMELESS:
        return path.stem
    folder = path.absolute().parent
    if folder.parent.name == "snapshots":  # Hugging Face's cache: models--OWNER--NAME/snapshots/COMMIT/
        return folder.parent.parent.name.rpartition("--")[2]
    return folder.name or path.stem


def _published(path: Path, backbone: Backbone) -> str:
    if _base(backbone) not in _WITH_KNOWN_FILES:
        return ""
    digest = sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 22):
            digest.update(part)
    return _PUBLISHED.get(digest.hexdigest(), "")


def refuse_other_network(path: Path, state: Mapping[str, Tensor], backbone: Backbone) -> None:
    """Name the DINOv2 network that a file holds, if it is another than the one asked for.

    Raises:
        WeightsError: it is.
    """
    if not any(key.endswith(".ls1.gamma") for key in state):
        return
    for prefix in (layout.prefix for layout in DINOV2_LAYOUTS):
        patches = state.get(f"{prefix}patch_embed.proj.weight")
        if patches is None or tuple(patches.shape[1:]) != (3, 14, 14) or f"{prefix}reg_token" in state:
            continue
        name = next((name for name, dim in DINOV2.items() if dim == patches.shape[0]), None)
        if name is not None and name != _base(backbone):
            raise WeightsError(
                f"{path} holds a {name} ({patches.shape[0]} features), not a {backbone.name}; give "
                f"--backbone {name}."
            )


def _compared_with_config(path: Path, backbone: Backbone) -> tuple[str, ...]:
    """What the `config.json` that timm writes beside weights says otherwise, in sentences.

    Raises:
        WeightsError: it is of another network.
    """
    beside = path.with_name("config.json")
    if backbone.named_by != "timm" or path.stem not in _NAMELESS or not beside.is_file():
        return ()
    try:
        config = json.loads(beside.read_text(encoding="utf-8"))
        architecture, described = config["architecture"], config.get("pretrained_cfg", {})
        own = _preparation(described)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return (f"{beside}: not read, since it is no description of a timm network.",)
    if architecture != _base(backbone):
        raise WeightsError(
            f"{beside} says that {path.name} is a {architecture}, not a {backbone.name}; give "
            f"--backbone {architecture}."
        )
    here = _preparation({"input_size": [3, backbone.input_size], "mean": backbone.mean, "std": backbone.std})
    differing = [f"{key} {own[key]} (here {here[key]})" for key in own if own[key] != here.get(key, own[key])]
    return (f"{beside} asks for {', '.join(differing)}.",) if differing else ()


def _preparation(described: Mapping[str, Any]) -> dict[str, Any]:
    """Side, mean and deviation of a description in timm's manner, those that it has."""
    found: dict[str, Any] = {}
    if described.get("input_size") and described["input_size"][-1]:
        found["input size"] = int(described["input_size"][-1])
    return found | {
        key: [round(float(value), 4) for value in described[key]]
        for key in ("mean", "std")
        if described.get(key)
    }


def _base(backbone: Backbone) -> str:
    """The architecture, without timm's tag of pretrained weights."""
    return backbone.name.partition(".")[0]
