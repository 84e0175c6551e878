"""Files that take their places whole: names that nobody else chooses, the disk, and what killed runs left."""

import ast
import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

import lymphofeat
from lymphofeat.cache.leftovers import partials, remove_leftovers
from lymphofeat.errors import InputError
from lymphofeat.storage.atomic import atomic_write, atomic_writes, leftovers, make_folder, refuse_existing

from ..fire.points import refused_at


def test_two_writers_of_one_process_do_not_share_a_temporary_file(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a") as first, atomic_write(tmp_path / "a") as second:
        first.write_text("first")
        second.write_text("second")
    assert (tmp_path / "a").read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_file_and_folder_reach_the_disk_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[object] = []
    fsync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        done.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def renamed(self: Path, target: Path) -> Path:
        done.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    with atomic_write(tmp_path / "new" / "a") as file:
        file.write_text("x")
    inodes = [(p.stat().st_ino) for p in (tmp_path, tmp_path / "new" / "a", tmp_path / "new")]
    assert done == [inodes[0], inodes[1], "rename", inodes[2]]  # the folder made, the file, its name


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")

    def write() -> None:
        with atomic_write(tmp_path / "a") as file:
            file.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a", "old")]


def test_a_file_that_somebody_wrote_meanwhile_is_kept(tmp_path: Path) -> None:
    def write() -> None:
        with atomic_write(tmp_path / "a", overwrite=False) as file:
            file.write_text("mine")
            (tmp_path / "a").write_text("theirs")

    with pytest.raises(InputError, match="exists already"):
        write()
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a", "theirs")]


@pytest.mark.parametrize("name", ["", ".", "..", "folder", "folder/"])
def test_a_folder_is_no_place_for_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    make_folder(Path("folder"))
    with pytest.raises(InputError, match="is a folder, and a file is to be written there"):
        refuse_existing(Path(name), overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("name", ["c.h5", "data[1].h5", "a*b?.h5", "[ab].h5"])
def test_leftovers_of_this_name_only_are_removed(tmp_path: Path, name: str) -> None:
    own = [
        f".{name}.{uuid4().hex}.tmp",
        f".{name}.4711.tmp",
        f".{name}.frozen.partial.{uuid4().hex}.tmp",
        f".{name}.{uuid4().hex}.tmp-journal",
    ]
    others = [
        f".{name}x.{uuid4().hex}.tmp",
        f".x{name}.{uuid4().hex}.tmp",
        f".{name}.mine.tmp",
        "data1.h5",
        f".a.h5.{uuid4().hex}.tmp",
    ]
    for file in own + others:
        (tmp_path / file).write_text("x")
    remove_leftovers(tmp_path, name)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(others)


def test_a_partial_file_of_a_cache_with_brackets_is_found(tmp_path: Path) -> None:
    (tmp_path / "data[1].h5.frozen.partial").write_bytes(b"no HDF5")
    (tmp_path / "data1.h5.frozen.partial").write_bytes(b"no HDF5")
    with pytest.raises(ValueError, match=r"data\[1\]\.h5\.frozen\.partial"):
        list(partials(tmp_path / "data[1].h5"))


def test_leftovers_of_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert list(leftovers(tmp_path / "none")) == []


def test_nobody_else_renames_locks_or_names_by_process(tmp_path: Path) -> None:
    """One way to write a file and one to lock it: whoever needs another says so here."""
    allowed = {
        "storage/atomic.py": {"replace"},
        "storage/locks.py": {"FileLock"},
        "bundle/manifest.py": {"rename"},
        "executor.py": {"getpid"},  # in a message
        "studies/postgres.py": {"getpid"},  # in a message to who finds the study's lock
    }
    root = Path(lymphofeat.__file__).parent
    found = []
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = node.func
                word = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
                single = word == "replace" and len(node.args) == 1 and not node.keywords  # not that of texts
                if word == "rename" and any(keyword.arg == "columns" for keyword in node.keywords):
                    continue  # of a table's columns
                if (single or word in ("rename", "getpid", "FileLock", "fsync")) and word not in allowed.get(
                    name, ()
                ):
                    found.append((name, word))
    appended = [
        ("bundle/manifest.py", "fsync"),
        ("storage/journal.py", "fsync"),
    ]
    assert sorted(set(found)) == sorted([*appended, ("storage/atomic.py", "fsync")])


def test_of_several_files_none_is_there_before_all_are_on_the_disk(tmp_path: Path) -> None:
    """Refused at any write or flush, as by a full disk: no file, and so the same command is not refused afterwards."""
    paths = [tmp_path / "a" / name for name in ("t.csv", "t.md", "t.json")]
    for point in range(100):
        refused = False
        with refused_at(point, for_good=True) as seen, suppress(OSError):
            refused = True
            with atomic_writes(paths, overwrite=False) as temporaries:
                for path in paths:
                    temporaries[path].write_text("x")
            refused = False
        if len(seen) <= point:
            break
        if refused and not any(path.exists() for path in paths):
            continue
        assert "replace" in seen[: point + 1]  # the places are being taken
        for path in paths:
            path.unlink(missing_ok=True)
    assert all(path.read_text() == "x" for path in paths)
    assert sorted(tmp_path.rglob("*")) == sorted([tmp_path / "a", *paths])


def test_an_error_names_the_file_that_was_to_be_written(tmp_path: Path) -> None:
    with (
        pytest.raises(OSError, match=r"No space left on device: '.*/a\.csv'$"),
        atomic_write(tmp_path / "a.csv"),
    ):
        raise OSError(28, "No space left on device")
    with pytest.raises(OSError, match=r"'other'$"), atomic_write(tmp_path / "a.csv"):
        raise OSError(28, "No space left on device", "other")
