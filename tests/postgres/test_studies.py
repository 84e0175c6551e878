"""Studies in PostgreSQL: the same trials as in a file, one writer, sentences, and other programs that read them."""

import contextlib
import json
import threading
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import optuna
import psycopg
import pytest

from lymphofeat.errors import InputError, StudyError
from lymphofeat.storage.addresses import StudyAddress, study_place
from lymphofeat.studies import load_study, tune
from lymphofeat.studies.database import quiet_optuna
from lymphofeat.studies.store import create_store, open_store, owned, study_exists
from lymphofeat.verification.verify import verify

from ..helpers.studies import trials_of
from .server import DATABASE, PASSWORD, USER, Server, make_database

OPTIONS: dict[str, Any] = {"heads": ("lda", "logistic"), "seed": 4}
TRIALS = 6


@pytest.fixture(scope="module")
def whole(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same search in a file."""
    study = tmp_path_factory.mktemp("whole") / "s.db"
    tune(cache, study, n_trials=TRIALS, **OPTIONS)
    return study


@pytest.fixture
def tuned(server: Server, cache: Path) -> str:
    """The address of a study with all trials, made once."""
    address = server.address("tuned")
    if not study_exists(study_place(address)):
        tune(cache, address, n_trials=TRIALS, **OPTIONS)
    return address


def connection(server: Server, database: str = DATABASE) -> "psycopg.Connection[Any]":
    return psycopg.connect(
        host="127.0.0.1", port=server.port, user=USER, password=PASSWORD, dbname=database, autocommit=True
    )


@contextlib.contextmanager
def plain_optuna(server: Server) -> Iterator[optuna.storages.RDBStorage]:
    """The database as Optuna itself opens it."""
    with quiet_optuna():
        storage = optuna.storages.RDBStorage(
            f"postgresql+psycopg://{USER}@127.0.0.1:{server.port}/{DATABASE}"
        )
        yield storage
        storage.remove_session()
        storage.engine.dispose()


def wsgi_answer(app: Any, path: str) -> Any:
    """What a program answers that is served on a free port."""

    class Quiet(WSGIRequestHandler):
        def log_message(self, *args: object) -> None:
            """Nothing."""

    with make_server("127.0.0.1", 0, app, handler_class=Quiet) as served:
        thread = threading.Thread(target=served.handle_request)
        thread.start()
        with urllib.request.urlopen(f"http://127.0.0.1:{served.server_port}{path}", timeout=30) as answer:
            found = json.load(answer)
        thread.join()
    return found


def test_the_same_trials_as_in_a_file(server: Server, cache: Path, whole: Path) -> None:
    address = server.address("first")
    summary = tune(cache, address, n_trials=2, **OPTIONS)
    assert summary.n_trials == 2
    summary = tune(cache, address, n_trials=TRIALS, **OPTIONS)
    assert trials_of(study_place(address)) == trials_of(whole)
    other = load_study(whole)
    assert summary.selected.threshold == other.selected.threshold
    assert {**summary.provenance, "cache": ""} == {**other.provenance, "cache": ""}
    assert not (Path("studies") / "first.db").exists()


def test_no_trial_is_ever_running(server: Server, tuned: str) -> None:
    with connection(server) as database:
        states = database.execute("SELECT DISTINCT state::text FROM trials").fetchall()
    assert {state for (state,) in states} <= {"COMPLETE", "PRUNED"}


def test_optuna_and_its_dashboard_open_it(server: Server, tuned: str, whole: Path) -> None:
    dashboard = pytest.importorskip("optuna_dashboard")
    with plain_optuna(server) as storage, warnings.catch_warnings(action="ignore"):
        study = optuna.load_study(study_name="tuned", storage=storage)
        trials, best = study.trials, study.best_value
        shown = wsgi_answer(dashboard.wsgi(storage), f"/api/studies/{study._study_id}?after=0")["trials"]
    assert best == load_study(whole).best.scores.values["balanced_accuracy"]
    assert [trial["state"] for trial in shown] == [trial.state.name.title() for trial in trials]
    values = [trial["values"] for trial in shown if trial["state"] == "Complete"]
    assert values == [trial.values for trial in trials if trial.state.name == "COMPLETE"]


def test_the_second_client_is_refused(server: Server, cache: Path, tuned: str) -> None:
    with owned(study_place(tuned)), pytest.raises(StudyError) as refused:
        tune(cache, tuned, n_trials=TRIALS + 1, **OPTIONS)
    said = str(refused.value)
    assert "tuned is being tuned by another process (lymphofeat, process " in said
    assert said.endswith("; wait for it, or name another --study.")
    with owned(study_place(tuned)):  # others in the same database go on
        tune(cache, server.address("beside"), n_trials=1, **OPTIONS)
    assert load_study(tuned).n_trials == TRIALS


def test_who_does_not_hold_it_cannot_write(tuned: str) -> None:
    with open_store(study_place(tuned)) as store, pytest.raises(StudyError, match="read-only transaction"):
        store.keep_patients({})
    assert verify(tuned).faults == ()


def test_a_writer_without_its_connection_is_none(server: Server, cache: Path, tuned: str) -> None:
    """As after a restart of the server: the lock went with the connection, and somebody else may hold it."""
    with owned(study_place(tuned)) as database, open_store(database) as store:
        with connection(server) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'lymphofeat%'"
            )
        with owned(study_place(tuned)):
            for _ in range(2):
                with pytest.raises(
                    StudyError, match="run the same command again: the finished trials are kept"
                ):
                    store.keep_patients(store.patients)
    assert verify(tuned).faults == ()


def test_a_study_appears_whole_or_not_at_all(server: Server, cache: Path) -> None:
    place = study_place(server.address("half"))
    with owned(place) as database:
        with contextlib.suppress(KeyboardInterrupt), database.making() as tables:
            with quiet_optuna():
                optuna.create_study(storage=tables.storage, study_name=tables.name)
            raise KeyboardInterrupt
        assert not database.exists()
    with pytest.raises(StudyError, match=r"There is no study .*half; run `lymphofeat tune` first"):
        load_study(server.address("half"))
    assert tune(cache, server.address("half"), n_trials=1, **OPTIONS).n_trials == 1
    with connection(server) as database:
        assert database.execute("SELECT 1 FROM studies WHERE study_name LIKE '.half%'").fetchone() is None


def test_a_study_of_optuna_alone_is_none(server: Server, tuned: str) -> None:
    with plain_optuna(server) as storage:
        optuna.create_study(study_name="foreign", storage=storage)
    with pytest.raises(StudyError, match="foreign is not a study that `lymphofeat tune` made"):
        load_study(server.address("foreign"))


def test_predictions_go_with_the_study(server: Server, cache: Path) -> None:
    place = study_place(server.address("gone"))
    with owned(place) as database:
        create_store(database, {"format": 3}, {}, "maximize")
    with connection(server) as database, plain_optuna(server) as storage:
        count = "SELECT count(*) FROM lymphofeat_predictions"
        before = database.execute(count).fetchone()
        optuna.delete_study(study_name="gone", storage=storage)
        assert before is not None
        assert database.execute(count).fetchone() == (before[0] - 1,)
    assert not study_exists(place)


def test_verify_sees_a_trial_that_was_changed(server: Server, cache: Path) -> None:
    address = server.address("changed")
    tune(cache, address, n_trials=1, **OPTIONS)
    assert verify(address).kind == "an Optuna study in PostgreSQL"
    with connection(server) as database:
        database.execute(
            "UPDATE lymphofeat_predictions p SET content = replace(content, '\"oof\"', '\"off\"') FROM studies s "
            "WHERE s.study_id = p.study_id AND s.study_name = 'changed'"
        )
    [fault] = verify(address).faults
    assert fault.sentence.startswith(f"{study_place(address)}: trial 0 is not as it was written; ")
    with pytest.raises(InputError, match="--repair and --cohort are for a cache"):
        verify(address, repair=True)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"database": "nothing"}, 'database "nothing" does not exist); make it with `createdb nothing`'),
        ({"password": "wr0ng"}, "password authentication failed"),
        ({"user": "nobody", "password": "wr0ng"}, "give the user's password in PGPASSWORD or ~/.pgpass"),
    ],
)
def test_a_server_that_refuses(server: Server, cache: Path, given: dict[str, str], said: str) -> None:
    with pytest.raises(StudyError) as refused:
        tune(cache, server.address("s", **given), n_trials=1)
    assert said in str(refused.value)
    assert "wr0ng" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_no_server(cache: Path) -> None:
    with pytest.raises(
        StudyError, match=r"Connection refused\); start the server, or correct the address\.$"
    ):
        tune(cache, StudyAddress("d", "s", host="127.0.0.1", port=1), n_trials=1)


def test_a_database_of_another_program(server: Server, cache: Path) -> None:
    make_database(server, "clinic")
    address = server.address("s", database="clinic")
    with connection(server, "clinic") as database:
        database.execute("CREATE TABLE studies (id INTEGER)")
    with pytest.raises(StudyError, match=r"cannot be read .*; name a database for studies"):
        tune(cache, address, n_trials=1)


def test_a_user_who_may_not_make_tables(server: Server, cache: Path) -> None:
    make_database(server, "closed")
    with connection(server, "closed") as database:
        database.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'")
        database.execute("REVOKE CREATE ON SCHEMA public FROM public")
    address = server.address("s", user="guest", password="guest", database="closed")
    with pytest.raises(StudyError, match=r"cannot be made .permission denied.*; let the user create tables"):
        tune(cache, address, n_trials=1, **OPTIONS)
