"""Names that nothing has, and durations."""

import pytest

from lymphofeat.wording import did_you_mean, duration


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


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (89, "89 s"), (90, "2 min"), (4000, "67 min"), (12000, "3 h 20 min")]
)
def test_durations_are_worded(seconds: float, text: str) -> None:
    assert duration(seconds) == text
