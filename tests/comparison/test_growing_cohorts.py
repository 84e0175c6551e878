"""A comparison on a cache that changed: what was measured stays where nothing of the labelled patients changed."""

from pathlib import Path

import pandas as pd
import pytest

from lymphofeat.comparison.compare import compare

from ..helpers.growing import bags_of, saved, table_of_visits, with_folds_of, with_test_patients


@pytest.mark.parametrize("changed", [False, True])
def test_what_was_measured_is_kept_unless_a_labelled_patient_changed(
    *, changed: bool, tmp_path: Path
) -> None:
    table, record = table_of_visits(), tmp_path / "compare.jsonl"
    bags = bags_of(table)
    cache = saved(tmp_path / "c.h5", table, bags)
    now, other_bags = with_test_patients(table, bags)
    if changed:
        other_bags |= {table["id"].iloc[0]: bags[table["id"].iloc[0]] + 1}
    grown = with_folds_of(saved(tmp_path / "grown.h5", now, other_bags), cache)
    first = compare(cache, record, pipelines=["both"])
    before = record.read_bytes()
    again = compare(grown, record, pipelines=["both"])
    assert (record.read_bytes() == before) is not changed
    if not changed:
        pd.testing.assert_frame_equal(first.table, again.table)
