"""What decides an encoder's numbers, compared with what is asked for now, and the difference in words."""

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

__all__ = ["difference", "identity_key"]

# Digests say nothing to a reader.
_WORDS = {
    "clinical": "the clinical values that it is trained on were corrected",
    "cohort": "images or labels changed",
    "features": "other features are measured",
    "folds": "the patients are divided into other folds",
    "learnt_images": "the images that the encoder learnt from changed",
    "weights_digest": "the start weights differ",
}


def identity_key(identity: Mapping[str, Any]) -> str:
    """Hex digest of JSON values."""
    return blake2b(json.dumps(identity, sort_keys=True).encode(), digest_size=16).hexdigest()


def difference(found: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Which settings differ between two mappings of JSON values, as `key: found, now asked`; "" if none does."""
    old, new = _flat(found), _flat(now)
    differing = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    return "; ".join(_WORDS.get(key, f"{key}: {old.get(key)}, now {new.get(key)}") for key in differing)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings of sections by `section.key`; those of `about` by their key alone."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, "" if key == "about" else f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
