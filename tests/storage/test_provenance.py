"""How an output was made: what of it may leave the building, and what is known of the machine."""

import sys

import pytest

from lymphofeat.storage.provenance import MACHINE, bare_command, bare_words, made_by


def test_words_keep_the_last_part_of_every_path_only() -> None:
    given = [
        "tune",
        "--cache",
        "/clinic/ward 3/c.h5",
        r"--study=C:\Users\me\s.db",
        "--seed=0",
        "a/b/",
        "--heads",
        "lda",
    ]
    assert bare_words(given) == ["tune", "--cache", "c.h5", "--study=s.db", "--seed=0", "b", "--heads", "lda"]


def test_the_command_has_its_paths_or_only_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/lymphofeat", "tune", "--cache", "/clinic/c.h5"])
    assert made_by()["command"] == "lymphofeat tune --cache /clinic/c.h5"
    assert made_by(bare=True)["command"] == bare_command() == "lymphofeat tune --cache c.h5"
    monkeypatch.setattr(sys, "argv", ["/site-packages/lymphofeat/__main__.py", "tune"])
    assert bare_command() == "lymphofeat tune"
    for other in ("notebook.py", "/site-packages/pytest/__main__.py"):
        monkeypatch.setattr(sys, "argv", [other, "secret"])
        assert made_by()["command"] == bare_command() == ""


def test_the_machine_is_known_as_text() -> None:
    made = made_by()
    known = {key: made[key] for key in MACHINE if key in made}
    assert {"processor", "cores", "platform"} <= set(known)
    assert int(known["cores"]) >= 1
    assert all(isinstance(value, str) and value for value in made.values() if value != made["command"])
