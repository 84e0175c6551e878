"""What an encoding is, apart from its numbers."""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from ..errors import CacheError

__all__ = ["EVERY_FOLD", "GROWS", "PROVENANCE", "EncodingSpec", "blind_to_all", "blindness_text"]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
# How the features came about, kept and shown but never compared: another device, another torch or another path to the
# same weights (whose digest is compared) gives the same features up to rounding.
PROVENANCE = ("device", "processor", "libraries", "torch", "weights")
# What an encoder learnt from, over the cohort as a whole. A cohort that grew leaves the encoder what it is;
# `lymphofeat.cache.learnt` tells whether it is one still.
GROWS = ("clinical", "learnt_images")
EVERY_FOLD = "all"  # `blind_to` of an encoding whose encoder saw no labels at all


@dataclass(frozen=True)
class EncodingSpec:
    """What an encoding is, apart from its numbers; two runs with equal `identity` may share a partial file.

    Attributes:
        name: the encoding's name in the cache.
        encoder_family: encodings that differ only in the folds they are blind to share it.
        dim: D, features per image.
        block: images per written block.
        blind_to: folds whose labels the encoder never saw; None: it saw none at all.
        about: backbone, weights digest, preprocessing, recipe, seed, dtype, …, and the keys of `PROVENANCE`.
    """

    name: str
    encoder_family: str
    dim: int
    block: int
    blind_to: frozenset[int] | None = None
    about: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in (self.name, self.encoder_family):
            if not NAME.fullmatch(name):
                raise CacheError(f"{name!r} cannot name an encoding; use letters, digits and . _ + - only.")

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the meaning of the features, as JSON values; two encodings that agree here are one."""
        raw: dict[str, Any] = json.loads(self.to_json())
        del raw["block"]
        return raw | {"about": {k: v for k, v in raw["about"].items() if k not in self.provenance}}

    @property
    def lasting(self) -> dict[str, Any]:
        """`identity` without what a growing cohort changes, see `GROWS`."""
        identity = self.identity
        return identity | {"about": {k: v for k, v in identity["about"].items() if k not in GROWS}}

    @property
    def names(self) -> list[str] | None:
        """(D,) names of the features, where each has one; None of a network's."""
        names: list[str] | None = self.about.get("features")
        return names

    @property
    def trained(self) -> bool:
        """Whether a recipe trained the encoder's network on the cohort; `extract` keeps it beside the cache then."""
        return isinstance(self.about.get("recipe"), dict)

    @property
    def learns(self) -> bool:
        """Whether the encoder learnt from the cohort, labels or images."""
        return self.trained or self.blind_to is not None

    @property
    def provenance(self) -> dict[str, Any]:
        """Where and with what the features were computed."""
        known = PROVENANCE if "weights_digest" in self.about else PROVENANCE[:-1]
        return {k: v for k, v in self.about.items() if k in known}

    def to_json(self) -> str:
        blind = EVERY_FOLD if self.blind_to is None else sorted(self.blind_to)
        return json.dumps(
            {
                "name": self.name,
                "family": self.encoder_family,
                "dim": self.dim,
                "block": self.block,
                "blind_to": blind,
                "about": self.about,
            },
            sort_keys=True,
        )

    @classmethod
    def from_json(cls, text: str) -> "EncodingSpec":
        raw = json.loads(text)
        blind = raw["blind_to"]
        known = None if blind == EVERY_FOLD else frozenset(blind)
        return cls(raw["name"], raw["family"], raw["dim"], raw["block"], known, raw["about"])


def blindness_text(blind_to: frozenset[int] | None) -> str:
    """`blind_to` as the attribute of an encoding's group has it, for those who read the file with other tools."""
    return EVERY_FOLD if blind_to is None else json.dumps(sorted(blind_to))


def blind_to_all(blind_to: frozenset[int] | None, held_out: Collection[int]) -> bool:
    """Whether an encoder with this `blind_to` saw none of the labels of the folds `held_out`."""
    return blind_to is None or set(held_out) <= blind_to
