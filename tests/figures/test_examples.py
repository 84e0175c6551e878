"""The examples of the figures are true."""

import doctest

import pandas as pd
import pytest

from lymphofeat import figures
from lymphofeat.estimates.intervals import Interval

from ..helpers.assessed import assessed, tables_of

COMPARED = {"pipeline": "a/average", "balanced_accuracy": 0.9, "ba_low": 0.8, "ba_high": 0.95, "tied": True}
COMPARED |= dict.fromkeys(("ba_difference", "ba_difference_low", "ba_difference_high"), 0.0)


@pytest.mark.parametrize("name", [name for name in figures.__all__ if name.endswith("_figure")])
def test_the_example_of_a_figure_is_true(name: str) -> None:
    one = getattr(figures, name)
    tables, comparison = tables_of(assessed(whole=True)), pd.DataFrame([COMPARED])
    known = {name: one, "tables": tables, "comparison": comparison, "Interval": Interval}
    (example,) = doctest.DocTestFinder(exclude_empty=True).find(one, name, globs=known)
    assert example.examples
    said: list[str] = []
    assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=said.append).failed == 0, said
