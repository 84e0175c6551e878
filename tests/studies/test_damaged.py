"""A study in which a digit, a letter or a page was changed: a sentence, and never another number."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from lymphofeat.errors import StudyError
from lymphofeat.studies import load_study, tune
from lymphofeat.studies.load import load_trials

from ..helpers.caches import frozen_cache


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    cache = frozen_cache(folder / "c.h5", n=20, n_folds=3)
    tune(cache, folder / "study.db", n_trials=3, heads=("logistic",), seed=0)
    return folder / "study.db"


def _read(path: Path) -> str:
    """All that a study holds."""
    load_study(path)
    return repr(load_trials(path))


_TRIAL = "trial_id = (SELECT MIN(trial_id) FROM trials)"


@pytest.mark.parametrize(
    "change",
    [
        f"UPDATE trial_values SET value = value + 1e-9 WHERE {_TRIAL}",
        f"UPDATE trial_params SET param_value = param_value + 1e-9 WHERE {_TRIAL} AND param_name LIKE '%.C'",
        f"UPDATE trial_params SET distribution_json = REPLACE(distribution_json, 'true', 'false') WHERE {_TRIAL}",
        f"UPDATE trials SET state = 'PRUNED' WHERE {_TRIAL}",
        f"UPDATE trials SET state = 'PRUNXD' WHERE {_TRIAL}",
        f"UPDATE trial_user_attributes SET value_json = '1' WHERE {_TRIAL} AND key = 'number'",
        f"UPDATE trial_user_attributes SET key = 'chedk' WHERE {_TRIAL} AND key = 'check'",
        f"UPDATE trial_user_attributes SET value_json = REPLACE(value_json, '0.', '1.') WHERE {_TRIAL}",
        "UPDATE lymphofeat_predictions SET content = REPLACE(content, 'oof', 'oog') WHERE number = 0",
        "UPDATE lymphofeat_predictions SET content = CAST(X'F5F5' AS TEXT) WHERE number = 0",
        "DELETE FROM lymphofeat_predictions WHERE number = 0",
        "UPDATE study_user_attributes SET value_json = REPLACE(value_json, '\"P0', '\"Q0') WHERE key = 'patients'",
        "UPDATE study_user_attributes SET value_json = REPLACE(value_json, 'balanced', 'balanzed') "
        "WHERE key = 'made_from'",
        "UPDATE study_user_attributes SET value_json = '{' WHERE key = 'made_from'",
    ],
)
def test_a_change_is_found(made: Path, tmp_path: Path, change: str) -> None:
    path = Path(shutil.copy(made, tmp_path / "study.db"))
    with closing(sqlite3.connect(path)) as database, database:
        assert database.execute(change).rowcount >= 1
    with pytest.raises(StudyError, match=r"study\.db(:| is| holds) .*(restore a good copy|name another)"):
        _read(path)


def test_pages_of_zeros_are_found_or_change_nothing(made: Path, tmp_path: Path) -> None:
    content, path = made.read_bytes(), tmp_path / "study.db"
    expected, found = _read(made), 0
    for page in range(0, len(content), 4096):
        path.write_bytes(content[:page] + bytes(4096) + content[page + 4096 :])
        try:
            assert _read(path) == expected
        except StudyError:
            found += 1
    assert found > 3


def test_a_better_value_is_found_before_its_trial_is_chosen(made: Path, tmp_path: Path) -> None:
    """Which predictions would not tell: they are read of the chosen trials only."""
    path = Path(shutil.copy(made, tmp_path / "study.db"))
    worst = min(load_study(path).rows, key=lambda row: row.value).number
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "UPDATE trial_values SET value = value - 0.01 WHERE trial_id = "
            "(SELECT trial_id FROM trial_user_attributes WHERE key = 'number' AND value_json = ?)",
            (str(worst),),
        )
    with pytest.raises(StudyError, match=f"trial {worst} is not as it was written"):
        load_study(path)
