"""The browser is found, installed, or missed with a sentence; tests are then skipped, or fail where it is needed."""

import os
import shutil
import time
from pathlib import Path

import pytest

from ..helpers import debian
from . import chromium
from .conftest import NEEDED, give_up

PROGRAMS = ("chromium", "chromedriver")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH of its own folder, with no browser in it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "env", "timeout", "sleep", "chmod"):
        (folder / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(folder))
    for variable in ("CHROMIUM", "CHROMEDRIVER"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return folder


def program(path: Path, text: str = "") -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def apt_get(folder: Path, then: str) -> Path:
    """An apt-get that writes its last word into calls.txt; gives the file."""
    calls = folder.parent / "calls.txt"
    program(folder / "apt-get", f'for last; do :; done; echo "$last" >> {calls}\n{then}')
    return calls


def test_both_are_found_on_the_path(path: Path) -> None:
    assert chromium.find_browser() is None
    browser = program(path / "chromium")
    assert chromium.find_browser() is None  # no driver
    driver = program(path / "chromedriver")
    assert chromium.find_browser() == (str(browser), str(driver))


def test_variables_name_programs_elsewhere(path: Path, tmp_path: Path, monkeypatch) -> None:
    program(path / "chromium")
    program(path / "chromedriver")
    mine = program(tmp_path / "my-chrome")
    monkeypatch.setenv("CHROMIUM", str(mine))
    found = chromium.find_browser()
    assert found is not None
    assert found.chromium == str(mine)
    monkeypatch.setenv("CHROMIUM", str(tmp_path / "none"))
    assert chromium.find_browser() is None


def test_what_is_there_is_not_installed(path: Path, capfd) -> None:
    calls = apt_get(path, "exit 1")
    program(path / "chromium")
    program(path / "chromedriver")
    assert chromium.main() == 0
    assert not calls.exists()
    assert str(path / "chromium") in capfd.readouterr().out


def test_debian_installs_them(path: Path, capfd) -> None:
    made = "; ".join(f"echo > {path / name}; chmod +x {path / name}" for name in PROGRAMS)
    calls = apt_get(path, f"case $last in fonts-dejavu-core) {made};; esac")
    assert chromium.main() == 0
    assert calls.read_text().split() == ["update", "--download-only", "fonts-dejavu-core"]
    assert str(path / "chromedriver") in capfd.readouterr().out


def test_a_mirror_that_fails_is_asked_twice(path: Path, capfd) -> None:
    calls = apt_get(path, "exit 100")
    assert chromium.main() == 1
    assert calls.read_text().split() == ["update", "update", "--download-only", "--download-only"]
    said = capfd.readouterr().err
    assert "apt-get could not download chromium, chromium-driver, fonts-dejavu-core" in said
    assert "apt-get install chromium chromium-driver" in said


def test_a_mirror_that_hangs_is_given_up(path: Path, capfd, monkeypatch) -> None:
    monkeypatch.setattr(debian, "SECONDS", {"update": 0.2, "download": 0.2, "install": 0.2})
    apt_get(path, "sleep 60")
    began = time.monotonic()
    assert chromium.main() == 1
    assert time.monotonic() - began < 20
    assert "could not download" in capfd.readouterr().err


@pytest.mark.parametrize("sudo", [None, "exit 1"])
def test_without_root_nothing_is_touched(path: Path, capfd, monkeypatch, sudo: str | None) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    calls = apt_get(path, "")
    if sudo:
        program(path / "sudo", sudo)
    assert chromium.main() == 1
    assert not calls.exists()
    assert "apt-get needs root, and sudo is missing or asks for a password" in capfd.readouterr().err


def test_sudo_that_asks_nothing_is_used(path: Path, monkeypatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    calls = apt_get(path, "")
    program(path / "sudo", 'shift; [ "$1" = true ] || exec "$@"')
    assert debian.install_packages(["some-package"]) is None
    assert calls.read_text().split() == ["update", "--download-only", "some-package"]


def test_another_system_gets_a_sentence(path: Path, capfd) -> None:
    assert chromium.main() == 1
    assert "(this system has no apt-get): install them" in capfd.readouterr().err


def test_tests_without_a_browser_are_skipped_or_fail(monkeypatch) -> None:
    monkeypatch.delenv(NEEDED, raising=False)
    with pytest.raises(pytest.skip.Exception, match="no Chromium with its driver: `make browser`"):
        give_up()
    monkeypatch.setenv(NEEDED, "1")
    with pytest.raises(pytest.fail.Exception, match=f"{NEEDED} is set, but there is no Chromium"):
        give_up()
