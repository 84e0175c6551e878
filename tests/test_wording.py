"""Names that nothing has."""

import pytest

from lymphofeat.wording import did_you_mean


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("poled", " (did you mean 'pooled'?)"),
        ("POOLD", " (did you mean 'pooled'?)"),
        ("dobb", " (did you mean 'DOB'?)"),
        ("xyz", " (there are pooled, moe, DOB)"),
        ("", " (there are pooled, moe, DOB)"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest_else_with_all(name: str, answer: str) -> None:
    assert did_you_mean(name, ["pooled", "moe", "DOB"]) == answer
