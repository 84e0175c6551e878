"""Addresses of studies: what they mean, what is none, and that no password is ever shown."""

import pickle
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lymphofeat.errors import InputError, StudyError, without_passwords
from lymphofeat.storage import provenance
from lymphofeat.storage.addresses import StudyAddress, local_place, study_place

SECRET = "s3cret"
WORDS = st.text(string.ascii_letters + string.digits + "_.-", min_size=1).map(lambda text: f"a{text}")


@pytest.mark.parametrize(
    "text",
    [
        "postgresql+psycopg://ada:s3cret@db.lab:5433/trials/main",
        "postgresql://ada:s3cret@db.lab:5433/trials/main",
        "postgres://ada:s3cret@db.lab:5433/trials/main",
        "postgresql:/ada:s3cret@db.lab:5433/trials/main",  # as Path() leaves it
    ],
)
def test_what_an_address_means(text: str) -> None:
    place = study_place(text)
    assert isinstance(place, StudyAddress)
    assert str(place) == "postgresql+psycopg://ada@db.lab:5433/trials/main"
    assert (place.password, place.name, place.database) == (SECRET, "main", "trials")
    assert local_place(place) == Path("studies/main.db")
    assert SECRET not in repr(place)


def test_what_libpq_knows_may_be_left_out() -> None:
    place = study_place("postgresql+psycopg:///trials/main?host=/run/postgresql&sslmode=disable")
    assert isinstance(place, StudyAddress)
    assert (place.host, place.port, place.user, place.password) == ("", None, "", "")
    assert place.options == (("host", "/run/postgresql"), ("sslmode", "disable"))
    assert study_place(str(place)) == place


@given(WORDS, WORDS, WORDS, st.text(min_size=1), st.none() | st.integers(1, 65535))
def test_an_address_is_read_as_it_was_written(
    user: str, host: str, name: str, database: str, port: int | None
) -> None:
    address = StudyAddress(database, name, host.lower(), port, user)
    assert study_place(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://ada:s3cret@h/trials",
        "postgresql://ada:s3cret@h/trials/a/b",
        "postgresql://ada:s3cret@h/trials/.hidden",
        "postgresql://ada:s3cret@h:port/trials/a",
        "postgresql://ada:s3cret/#@h/trials/a",
        "postgresql://ada:s3cret@here@h:x/trials/a",
        "postgresql://ada@h/trials/a?password=s3cret",
        "postgresql://ada:a s3cret@h/trials/a",
        "postgresql://ada:s3cret b@h/trials/a",
        "postgresql+psycopg2://ada:s3cret@h/trials/a",
        "sqlite:///studies/study.db",
        "mysql://h/trials/a",
    ],
)
def test_what_is_no_address_gets_a_sentence(text: str) -> None:
    with pytest.raises(InputError) as refused:
        study_place(text)
    assert SECRET not in str(refused.value)
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith(text.partition(":")[0])


@pytest.mark.parametrize("text", ["study.db", "studies/postgresql/a.db", "C:/x.db", "postgres.db", "a:b"])
def test_a_file_stays_a_file(text: str) -> None:
    assert study_place(text) == Path(text)


def test_no_error_and_no_record_has_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"postgresql+psycopg://ada:{SECRET}@h/trials/main"
    assert str(StudyError(f"{address} is gone")) == "postgresql+psycopg://ada@h/trials/main is gone"
    assert SECRET not in str(InputError(str(Path(address))))
    assert without_passwords("a@b: c:d@e") == "a@b: c:d@e"
    monkeypatch.setattr("sys.argv", ["lymphofeat", "tune", "--study", address, f"--study={address}"])
    for made in (provenance.made_by(), provenance.made_by(bare=True)):
        assert SECRET not in str(made)
        assert "main" in made["command"]


def test_workers_may_be_given_one() -> None:
    place = study_place(f"postgresql://ada:{SECRET}@h/trials/main")
    assert pickle.loads(pickle.dumps(place)) == place
