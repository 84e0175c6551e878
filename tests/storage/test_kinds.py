"""What lies at a path, and what `extract`, `tune` and the rest say when it is not what it should be."""

import ast
import fcntl
import io
import json
import re
import shutil
import sqlite3
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import h5py
import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

import lymphofeat
from lymphofeat.cache import open_cache
from lymphofeat.cache.writer import CacheWriter
from lymphofeat.errors import CacheError, InputError, StudyError
from lymphofeat.storage.kinds import inspect_path, path_kind
from lymphofeat.studies import load_study
from lymphofeat.studies.store import create_store

from ..helpers.caches import frozen_cache


def picture(form: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, form)
    return buffer.getvalue()


def zipped(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, "x")
    return buffer.getvalue()


CONTENTS: dict[str, tuple[bytes, str]] = {
    "table": (b"ID,LABEL\nP1,0\nP2,1\n", "a CSV table"),
    "semicolons": ("\ufeffID;Größe\nä;1\n".encode(), "a CSV table"),
    "latin": ("ID;Größe\nä;1\n".encode("cp1252"), "a CSV table"),
    "utf-16": ("ID\tLABEL\n1\t0\n".encode("utf-16"), "a CSV table"),
    "json": (json.dumps({"a": [1] * 9000}).encode(), "a JSON file"),
    "text": (("It is a note.\n" + "ä" * 9000).encode(), "a text file"),
    "empty": (b"", "an empty file"),
    "zeros": (b"\x00" * 5000, "a file of zeros, as a power cut or a full disk leaves it"),
    "noise": (bytes(range(7, 256)) * 9, "a file of an unknown kind"),
    "jpeg": (picture("JPEG"), "a JPEG image"),
    "png": (picture("PNG"), "a PNG image"),
    "tiff": (picture("TIFF"), "a TIFF image"),
    "bmp": (picture("BMP"), "a BMP image"),
    "workbook": (zipped("[Content_Types].xml"), "a workbook or another office document"),
    "zip": (zipped("a.txt"), "a ZIP archive"),
    "torch": (zipped("archive/data.pkl"), "a file that torch.save wrote"),
    "safetensors": (safetensors.numpy.save({"a": np.zeros(3)}), "a safetensors file of weights"),
    "database": (b"SQLite format 3\x00" + b"\xff" * 2000, "a damaged SQLite database"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + b"\x00" * 100, "a damaged HDF5 file"),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_what_is_no_cache_is_named_and_nobody_is_told_to_delete_it(tmp_path: Path, name: str) -> None:
    content, phrase = CONTENTS[name]
    path = tmp_path / "[file].h5"
    path.write_bytes(content)
    assert path_kind(path) == phrase
    for read, error in ((open_cache, CacheError), (load_study, StudyError)):
        with pytest.raises(error) as refused:
            read(path)
        said = str(refused.value)
        assert said.startswith(f"{path} is ")
        assert "delete" not in said.lower()
        assert "Traceback" not in said
        damaged = phrase.removeprefix("a damaged ")
        if damaged == phrase:
            assert f"it is {phrase}; name another --" in said
            assert "extract` again" not in said
        elif (damaged == "HDF5 file") == (read is open_cache):
            assert "restore a good copy" in said
    assert path.read_bytes() == content


def make_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE mine (x)")


def test_nobody_is_told_to_delete_anything() -> None:
    """What the program takes for damaged may be somebody's only copy of something else: move it away."""
    for path in Path(lymphofeat.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise):
                assert not re.search(r"\bdelete (it|the file)\b", ast.unparse(node)), (path, node.lineno)


KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda p: None, "not there"),
    "link": (lambda p: p.symlink_to("nowhere"), "a link to nowhere, which is not there"),
    "folder": (lambda p: p.mkdir(), "a folder"),
    "foreign database": (make_database, "an SQLite database without a study"),
    "study": (lambda p: create_store(p, {}, {}, "maximize"), "an Optuna study"),
    "foreign HDF5": (lambda p: h5py.File(p, "w").close(), "an HDF5 file of another program"),
    "cache": (frozen_cache, "a feature cache"),
}


@pytest.mark.parametrize("name", KINDS)
def test_what_programs_make_is_known(tmp_path: Path, name: str) -> None:
    make, phrase = KINDS[name]
    make(tmp_path / "x")
    assert path_kind(tmp_path / "x") == phrase


def test_bytes_cut_anywhere_are_some_kind(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for content, _ in CONTENTS.values():
        for size in {0, 1, 8, *rng.integers(0, len(content) + 1, 6).tolist()}:
            (tmp_path / "x").write_bytes(content[:size])
            assert path_kind(tmp_path / "x").startswith(("a ", "an "))
    for _ in range(100):
        (tmp_path / "x").write_bytes(rng.bytes(int(rng.integers(1, 60))))
        assert path_kind(tmp_path / "x").startswith(("a ", "an "))
    (tmp_path / "x").write_bytes(struct.pack("<Q", 1 << 60) + b"{}")
    assert path_kind(tmp_path / "x").startswith("a")


def test_a_folder_says_where_the_cache_would_be(tmp_path: Path) -> None:
    for sentence in (f"a cache in it would be features.h5: name the file, as --cache {tmp_path}/features.h5.",
                     f"it holds mine.h5: name the file, as --cache {tmp_path}/mine.h5."):  # fmt: skip
        with pytest.raises(CacheError) as refused:
            open_cache(tmp_path)
        assert str(refused.value) == f"{tmp_path} is a folder, not a cache; {sentence}"
        (tmp_path / "mine.h5").write_bytes(b"")
    tables = open_cache(frozen_cache(tmp_path / "c" / "c.h5")).tables
    with pytest.raises(InputError, match="is a folder"), CacheWriter(tmp_path, tables):
        pass
    with pytest.raises(StudyError, match="it is a folder"):
        load_study(tmp_path)


def test_a_locked_cache_is_not_called_damaged(tmp_path: Path) -> None:
    path = frozen_cache(tmp_path / "c.h5")
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(CacheError) as refused:
            open_cache(path)
    said = str(refused.value)
    assert said.startswith(f"{path} is locked by another program")
    assert said.endswith("The file itself is intact.")
    assert "extract" not in said
    open_cache(path)


def test_a_file_system_without_locks_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = frozen_cache(tmp_path / "c.h5")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(
            "Unable to open file (unable to lock file, errno = 37, error message = 'No locks available')"
        )

    monkeypatch.setattr(h5py, "File", refuse)
    with pytest.raises(CacheError, match=r"without locks, .*set the variable HDF5_USE_FILE_LOCKING=FALSE"):
        open_cache(path)


@pytest.mark.parametrize("part", ["patients/id", "images/name", "patients/folds", "encodings"])
def test_a_cache_that_lacks_a_part_is_damaged(tmp_path: Path, part: str) -> None:
    path = frozen_cache(tmp_path / "c.h5")
    with h5py.File(path, "r+") as file:
        del file[part]
    with pytest.raises(CacheError, match=r"damaged HDF5 file \(.*move it away|of another program"):
        open_cache(path)


HOLD = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
database.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_locked_study_is_said_to_be_locked_and_soon(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    create_store(path, {}, {}, "maximize")
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(StudyError) as refused:  # 60 seconds before
            load_study(path)
        process.stdin.close()
    said = str(refused.value)
    assert said.startswith(f"{path} is locked by another program")
    if Path("/proc/locks").exists():
        assert f"(process {process.pid}, " in said
    assert "not a study" not in said
    assert inspect_path(path).name == "study"


def test_a_bundle_is_known(tmp_path: Path) -> None:
    for name in ("manifest.json", "model.json"):
        (tmp_path / name).write_text("{}")
    assert path_kind(tmp_path) == "a folder with an exported model"
    shutil.rmtree(tmp_path)
