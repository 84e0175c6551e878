"""JSON values that know when one of them was changed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lymphofeat.storage.seals import SEAL, json_digest, sealed, unsealed

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.text().filter(lambda name: name != SEAL)


@given(values=st.dictionaries(NAMES, VALUES, max_size=4))
def test_a_seal_survives_being_written_and_read(values: dict[str, Any]) -> None:
    read = json.loads(json.dumps(sealed(values)))
    assert json_digest(unsealed(read, required=True)) == json_digest(values)
    assert sealed(sealed(values)) == sealed(values) or "nan" in repr(values)


def test_a_changed_value_name_or_seal_is_found() -> None:
    whole = sealed({"score": 0.875, "folds": [1, 2]})
    name = {("scord" if key == "score" else key): value for key, value in whole.items()}
    for damaged in (whole | {"score": 0.876}, whole | {SEAL: "0" * 16}, whole | {"more": 1}, name):
        with pytest.raises(ValueError, match="not as it was written"):
            unsealed(damaged)
    unnamed = {("chedk" if key == SEAL else key): value for key, value in whole.items()}
    with pytest.raises(ValueError, match="not as it was written"):
        unsealed(unnamed, required=True)


def test_values_of_earlier_versions_were_never_sealed() -> None:
    assert unsealed({"score": 1}) == {"score": 1}
