"""The size of a pixel: what a layout may say of it, and when two sizes are the same."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lymphofeat.cohort.check import check_cohort
from lymphofeat.cohort.guess.draft import draft_layout
from lymphofeat.cohort.layout import LAYOUT_FILE, Layout, layout_of, layout_text
from lymphofeat.cohort.pixel_size import common_pixel_size, differ, pixel_size_in
from lymphofeat.errors import InputError

from ..helpers.tiny import tiny_cohort

sizes = st.floats(0.01, 5)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("0", "must be at least 0.01"),
        ("-0.1", "must be at least 0.01"),
        ("100", "must be at most 5"),
        ("nan", "must be a finite number"),
        ("inf", "must be a finite number"),
        ('"0.1"', "must be a number"),
    ],
)
def test_an_implausible_size_is_refused(tmp_path: Path, value: str, words: str) -> None:
    (tmp_path / LAYOUT_FILE).write_text(f"[images]\nmicrons_per_pixel = {value}\n")
    with pytest.raises(InputError, match=words) as raised:
        layout_of(tmp_path)
    assert str(raised.value).startswith(f"{tmp_path / LAYOUT_FILE}: [images] microns_per_pixel = ")


def test_it_is_found_in_the_text_that_a_cache_keeps_and_shown_by_check(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=8)
    assert pixel_size_in(layout_text(layout_of(root))) is None
    (root / LAYOUT_FILE).write_text("[images]\nmicrons_per_pixel = 0.1\n")
    assert pixel_size_in(layout_text(layout_of(root))) == 0.1
    summary = check_cohort(root).summary
    assert summary is not None
    assert summary.microns_per_pixel == 0.1


@pytest.mark.parametrize("text", ["", "{}", layout_text(Layout())])
def test_no_size_is_none(text: str) -> None:
    assert pixel_size_in(text) is None


def test_a_first_layout_proposes_it_in_a_comment(tmp_path: Path) -> None:
    text = draft_layout(tiny_cohort(tmp_path, n=8)).text
    assert [line[0] for line in text.splitlines() if "microns_per_pixel" in line] == ["#"]


@given(sizes, st.floats(0, 0.2))
def test_sizes_differ_from_five_per_cent_on_whichever_comes_first(size: float, share: float) -> None:
    other = size * (1 - share)
    assert differ(size, other) == differ(other, size)
    if abs(share - 0.05) > 1e-9:
        assert differ(size, other) == (share > 0.05)
    assert not differ(size, None)
    assert not differ(None, size)


@given(st.lists(st.none() | sizes, max_size=6))
def test_a_common_size_is_one_that_all_say(found: list[float | None]) -> None:
    common = common_pixel_size(found)
    agree = bool(found) and None not in found and not any(differ(a, b) for a in found for b in found)
    assert (common is not None) == agree
    assert common is None or common in found
