"""IDs that look alike: found, and the difference named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lymphofeat.cohort.alike import alike_groups, apart, difference, look_alike


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ("0011", "11", "leading zeros"),
        ("P003", "P3", "leading zeros"),
        ("p3", "P3", "upper and lower case"),
        ("P 3", "P3", "blanks or invisible characters"),
        ("P3\u200b", "P3", "blanks or invisible characters"),
        ("Zo\u00e9", "Zoe\u0301", "Unicode forms of the same letters"),
        ("P\u00a03", "P 3", "Unicode forms of the same letters"),
        ("\u00b5", "\u03bc", "Unicode forms of the same letters"),
        ("7.0", "7", "a decimal .0"),
        ("p 03", "P3", "blanks or invisible characters, upper and lower case, leading zeros"),
        ("P3", "P3", ""),
        ("P3", "P30", ""),
        ("1.05", "1.5", ""),
        ("0", "10", ""),
    ],
)
def test_the_difference_is_named(a: str, b: str, words: str) -> None:
    assert difference(a, b) == difference(b, a) == words
    assert (look_alike(a) == look_alike(b)) == (bool(words) or a == b)


def test_words_that_print_the_same_are_shown_by_their_code_points() -> None:
    text = apart("Zo\u00e9", "t.csv", "Zoe\u0301", "trainset")
    assert text.startswith("'Zo\\xe9' in t.csv, 'Zoe\\u0301' in trainset: they differ in Unicode forms")
    assert apart("11", "a", "0011", "b").startswith("'11' in a, '0011' in b")


@given(st.text(max_size=6), st.text(max_size=6))
def test_whatever_looks_alike_has_a_named_difference(a: str, b: str) -> None:
    assert bool(difference(a, b)) == (a != b and look_alike(a) == look_alike(b))


def test_groups() -> None:
    assert alike_groups(["1", "a", "01", "A", "x", "1"]) == [["1", "01"], ["a", "A"]]
