"""Exports from a cache that changed since the study was made: the card is about the same patients."""

import json
from pathlib import Path

import pytest

from lymphofeat.bundle import export_bundle
from lymphofeat.bundle.evaluation import read_evaluation
from lymphofeat.cache import open_cache
from lymphofeat.errors import InputError
from lymphofeat.scoring.scored import ScoredPatients
from lymphofeat.studies import load_study, tune

from ..helpers.growing import bags_of, saved, table_of_visits, with_folds_of, with_test_patients


def test_a_table_that_was_sorted_anew_gives_the_same_card(tmp_path: Path) -> None:
    table = table_of_visits()
    bags = bags_of(table)
    cache = saved(tmp_path / "c.h5", table, bags)
    tune(cache, tmp_path / "s.db", n_trials=4, heads=["logistic"])
    sorted_anew = with_folds_of(saved(tmp_path / "o.h5", table.iloc[::-1], bags), cache)
    cards = []
    for one in (cache, sorted_anew):
        out = tmp_path / f"model-{one.stem}"
        export_bundle(one, tmp_path / "s.db", out)
        lines = (out / "README.md").read_text(encoding="utf-8").splitlines()
        cards.append([line for line in lines if "|" in line])
    assert cards[0] == cards[1]
    assert len(cards[0]) > 10  # scores, and those of parts of the patients


def test_an_evaluation_fits_a_study_that_was_made_before_test_patients_came(tmp_path: Path) -> None:
    table = table_of_visits()
    bags = bags_of(table)
    cache = saved(tmp_path / "c.h5", table, bags)
    tune(cache, tmp_path / "s.db", n_trials=1, heads=["logistic"])
    grown = open_cache(with_folds_of(saved(tmp_path / "o.h5", *with_test_patients(table, bags)), cache))
    report = {
        "pipeline": "image + clinical", "encoding": "frozen", "metric": "balanced_accuracy",
        "patients": 40, "malignant": int((table["label"] == 1).sum()), "folds": 3, "runs": 1, "tables": {"metrics": []},
        "search": {
            "trials": 1, "heads": ["logistic"], "inputs": ["clinical", "image", "both"], "select": "average_log_loss",
            "cohort": grown.fingerprint,
        },
    }  # fmt: skip
    file, study = tmp_path / "evaluate.json", load_study(tmp_path / "s.db")
    patients = ScoredPatients.of(grown).digest(ordered=False)
    for known, fits in ((patients, True), ("0" * 32, False), (None, False)):  # None: of an earlier version
        search = report["search"] | ({} if known is None else {"patients": known})
        file.write_text(json.dumps(report | {"search": search}))
        if fits:
            read_evaluation(file).check(study, "average_log_loss")
            continue
        with pytest.raises(InputError, match="its patients, labels, values and folds"):
            read_evaluation(file).check(study, "average_log_loss")
