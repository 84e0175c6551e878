"""Each bad input gets its sentence: the file, the row, what is wrong, what to do."""

from pathlib import Path

import pytest

from lymphofeat.cohort.check import check_cohort
from lymphofeat.cohort.read import read_cohort
from lymphofeat.errors import InputError

from ..helpers.tiny import tiny_cohort
from .bad_inputs.bad_input import BadInput
from .bad_inputs.every import BAD_INPUTS


@pytest.mark.parametrize("bad", BAD_INPUTS, ids=lambda bad: bad.name)
def test_bad_input_gets_its_sentence(bad: BadInput, tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path / "cohort", n=12)
    bad.mutate(root)
    report = check_cohort(root, workers=1)
    sentences = {str(p).replace(f"{root}/", ""): p for p in report.problems}
    matching = [p for s, p in sentences.items() if bad.expected in s and bad.remedy in s]
    assert matching, "\n".join(sentences)
    assert {p.severity for p in matching} == {bad.severity}
    if bad.severity == "warning":
        assert not report.errors, "\n".join(map(str, report.errors))


def test_a_tiny_cohort_has_no_problem(tmp_path: Path) -> None:
    assert check_cohort(tiny_cohort(tmp_path / "cohort", n=12)).problems == ()


def test_all_problems_are_listed_at_once(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path / "cohort", n=12)
    kinds = ("impossible date", "duplicate ID", "empty image", "label outside the vocabulary")
    chosen = [bad for bad in BAD_INPUTS if bad.name in kinds]
    for bad in chosen:
        bad.mutate(root)
    text = "\n".join(str(p) for p in check_cohort(root).errors).replace(f"{root}/", "")
    for bad in chosen:
        assert bad.expected in text
    with pytest.raises(InputError) as raised:
        read_cohort(root)
    lines = str(raised.value).replace(f"{root}/", "").splitlines()
    assert len(lines) == 5  # date and label in two tables each, one repeated ID; images are not opened
    assert sum("there is no day '2/30/1950'" in line for line in lines) == 2


def test_each_error_is_told_once(tmp_path: Path) -> None:
    """A wrong cell is told for its rows, and not again for what follows from it."""
    for name in ("row without folder", "empty folder", "label outside the vocabulary", "missing part"):
        (bad,) = [bad for bad in BAD_INPUTS if bad.name == name]
        root = tiny_cohort(tmp_path / name.replace(" ", "-"), n=12)
        bad.mutate(root)
        errors = check_cohort(root).errors
        assert len({p.where for p in errors}) == len(errors) == (2 if "label" in name else 1), name
