"""JSON values with a digest of themselves, so that a damage is found which leaves them readable: another digit, say."""

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

__all__ = ["SEAL", "json_digest", "sealed", "unsealed"]

SEAL = "check"  # the key of the digest


def json_digest(value: Any) -> str:
    """Hex digest of JSON values, the same before and after they were written and read.

    Keys are text. Numbers count by their value, also NumPy's.
    """
    text = json.dumps(value, sort_keys=True, default=lambda number: number.item())
    return blake2b(text.encode(), digest_size=16).hexdigest()


def sealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values, and their digest as `SEAL`."""
    plain = {key: value for key, value in values.items() if key != SEAL}
    return {**plain, SEAL: json_digest(plain)}


def unsealed(values: Mapping[str, Any], *, required: bool = False) -> dict[str, Any]:
    """The values of `sealed`.

    Args:
        values: sealed, or as earlier versions wrote them.
        required: the latter is excluded.

    Raises:
        ValueError: they are not those that were sealed.
    """
    plain = {key: value for key, value in values.items() if key != SEAL}
    if (SEAL in values or required) and values.get(SEAL) != json_digest(plain):
        raise ValueError("a record is not as it was written")
    return plain
