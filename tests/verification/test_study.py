"""A study against itself: whatever byte is flipped, it is found, or nothing that is read has changed."""

import json
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lymphofeat.cache.pack import pack
from lymphofeat.errors import LymphofeatError, StudyError
from lymphofeat.studies import load_study, tune
from lymphofeat.studies.store import open_store
from lymphofeat.verification.findings import Verification
from lymphofeat.verification.verify import verify

from ..helpers.caches import frozen_cache
from ..helpers.growing import bags_of, saved, table_of_visits, with_folds_of, with_test_patients
from ..helpers.studies import trials_of


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of 5 trials, one of them stopped or failed perhaps, in the folder of its cache."""
    folder = tmp_path_factory.mktemp("study")
    frozen_cache(folder / "c.h5", n=24, n_test=2)
    tune(folder / "c.h5", folder / "s.db", n_trials=5, heads=["logistic", "lda"])
    return folder / "s.db"


@pytest.fixture
def study(made: Path, tmp_path: Path) -> Path:
    """A copy of it without its cache."""
    return Path(shutil.copy(made, tmp_path / "s.db"))


def change(path: Path, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(path)) as file, file:
        assert file.execute(statement, values).rowcount == 1


def content(path: Path) -> Any:
    """All that readers see of a study."""
    with open_store(path) as store:
        return [trials_of(path), store.provenance, store.patients]


def faults(found: Verification) -> str:
    return "\n".join(fault.sentence for fault in found.faults)


def test_a_whole_study_has_no_fault(made: Path) -> None:
    before = made.read_bytes()
    found = verify(made)
    assert found.sound, faults(found)
    assert found.kind == "an Optuna study"
    assert found.unchecked == ()
    text = "\n".join(found.checked)
    assert "SQLite finds no damage" in text
    assert "5 trials of 24 patients" in text
    assert f"features of {made.with_name('c.h5')}" in text
    assert made.read_bytes() == before
    assert "no faults" in repr(found)


def test_whatever_byte_is_flipped_is_found_or_changes_nothing(made: Path, study: Path) -> None:
    whole, expected, rng, found = made.read_bytes(), content(made), random.Random(0), 0
    for at in rng.sample(range(len(whole)), 40):
        study.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 :])
        if verify(study).faults:
            found += 1
        else:
            assert content(study) == expected, at
    text = whole.find(b'"oof"')  # in the predictions every byte counts
    for at in range(text + 60, text + 120, 7):
        study.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert not verify(study).sound, at
    assert found


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE trial_values SET value = value + 1e-15 WHERE trial_id = 1", "trial 0 is not as it was written"),
        ("UPDATE trial_params SET param_value = param_value * 1.0001 WHERE param_id = (SELECT max(param_id) FROM "
         "trial_params WHERE param_name = 'logistic.C')", "is not as it was written"),
        ("DELETE FROM trials WHERE trial_id = 2", "trials are missing"),
        ("UPDATE lymphofeat_predictions SET content = '{\"oof\": 3' WHERE number = 1", "trial 1 is not as it was"),
        ("UPDATE study_user_attributes SET value_json = replace(value_json, 'P0', 'Q0') WHERE key = 'patients'",
         "its patients or settings are not as they were written"),
    ],
)  # fmt: skip
def test_a_change_is_named_with_its_trial(study: Path, statement: str, what: str) -> None:
    change(study, statement)
    found = verify(study)
    assert what in faults(found)
    assert "restore a good copy" in faults(found) or "run the same" in faults(found)


def test_a_changed_trial_is_not_read_either(study: Path) -> None:
    best = load_study(study).best.number
    change(study, "UPDATE lymphofeat_predictions SET content = replace(content, '\"at\": [[0.', '\"at\": [[0.1') "
           "WHERE number = ?", best)  # fmt: skip
    with pytest.raises(StudyError, match=f"trial {best} is not as it was written; restore a good copy"):
        load_study(study)


def test_without_digests_the_predictions_still_tell(study: Path) -> None:
    """As earlier versions wrote studies."""
    with closing(sqlite3.connect(study)) as file, file:
        for number, text in file.execute("SELECT number, content FROM lymphofeat_predictions").fetchall():
            own = {key: value for key, value in json.loads(text).items() if key != "seal"}
            file.execute(
                "UPDATE lymphofeat_predictions SET content = ? WHERE number = ?", (json.dumps(own), number)
            )
        file.execute("DELETE FROM trial_user_attributes WHERE key = 'check'")
    found = verify(study)
    assert found.sound, faults(found)
    assert "5 trials of 5 have no digest" in "\n".join(found.unchecked)
    number = next(n for n, value, *_ in trials_of(study) if value is not None and load_study(study).trial(n))
    change(study, "UPDATE trial_user_attributes SET value_json = replace(value_json, '\"auc\": 0.', '\"auc\": 0.1') "
           "WHERE key = 'values' AND trial_id = ?", number + 1)  # fmt: skip
    assert f"trial {number} has another auc than its predictions give" in faults(verify(study))


def test_other_features_beside_it_are_told(study: Path, made: Path) -> None:
    assert "No cache that the study was made from" in verify(study).unchecked[0]
    frozen_cache(study.with_name("c.h5"), n=24, n_test=2, seed=5)
    assert "of another cohort or other folds" in verify(study).unchecked[0]
    (study.parent / "cache").mkdir()
    inside = study.parent / "studies"
    inside.mkdir()
    pack(made.with_name("c.h5"), study.parent / "cache" / "c.h5")
    moved = Path(shutil.move(study, inside / "s.db"))
    assert "features of" in "\n".join(verify(moved).checked)


def test_a_cache_that_grew_since_serves_the_study(tmp_path: Path) -> None:
    table = table_of_visits()
    bags = bags_of(table)
    cache = saved(tmp_path / "c.h5", table, bags)
    tune(cache, tmp_path / "s.db", n_trials=1, heads=["logistic"])
    grown = saved(tmp_path / "o.h5", *with_test_patients(table, bags))
    with_folds_of(grown, cache)
    cache.unlink()
    assert f"goes on with {grown}, which changed since" in "\n".join(verify(tmp_path / "s.db").checked)


@pytest.mark.parametrize("harm", [b"", b"SQLite format 3\x00 and nothing else"])
def test_what_is_no_database_any_more(study: Path, harm: bytes) -> None:
    study.write_bytes(harm)
    try:
        assert not verify(study).sound
    except LymphofeatError as error:
        pytest.fail(str(error))
