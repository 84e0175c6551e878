"""Disk use of a cache, and `clean`: what can be made again goes, everything else stays."""

import io
import sys
from pathlib import Path

import pytest

from lymphofeat.cache.disk import clean, disk_use
from lymphofeat.errors import CacheError, InputError
from lymphofeat.storage.locks import locked
from lymphofeat.wording import size_text

from ..helpers.caches import frozen_cache
from ..helpers.commands import runner
from ..storage.test_locks import held

DERIVED = {
    f"pixels-160-{'ab' * 8}.u8": "pixels",
    f"pixels-160-{'ab' * 8}-12bit.u8": "pixels",
    f"activations-{'0123' * 8}.bf16": "activations",
    f".c.h5.{'e' * 32}.tmp": "leftovers",
}
BEGUN = {
    f"pixels-192-{'cd' * 8}.u8.partial": "unfinished",
    "c.h5.resnet18-imagenet.partial": "unfinished",
    "c-encoders/finetuned-0.checkpoint": "unfinished",
}
KEPT = {
    "c-encoders/finetuned-0.safetensors": "encoders",
    "study.db": "studies",
    "other.h5": None,
    "other.h5.resnet18-imagenet.partial": None,
    "pixels-of-mine.u8": None,
    "activations.bf16": None,
    ".hidden": None,
}


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache in a folder with all that may lie beside it, 10 bytes each."""
    folder = tmp_path / "cache"
    folder.mkdir()
    path = frozen_cache(folder / "c.h5")
    (folder / "c-encoders").mkdir()
    for name in (*DERIVED, *BEGUN, *KEPT):
        (folder / name).write_bytes(b"0123456789")
    (folder / ".c.h5.lock").unlink(missing_ok=True)
    return path


def data_of(cache: Path) -> str:
    """The name of the one data file."""
    (path,) = (cache.parent / "c-encodings").iterdir()
    return str(path.relative_to(cache.parent))


def names(cache: Path) -> set[str]:
    return {str(path.relative_to(cache.parent)) for path in cache.parent.rglob("*") if path.is_file()}


def test_every_file_has_its_kind_and_size(cache: Path, tmp_path: Path) -> None:
    studies = tmp_path / "studies"
    (studies / "s-nested").mkdir(parents=True)
    (studies / "s-nested" / "folds.jsonl").write_bytes(b"12345")
    found = {
        str(item.path.relative_to(tmp_path)): (item.kind, item.size) for item in disk_use(cache, [studies])
    }
    wanted = {
        f"cache/{name}": (kind, 10) for name, kind in {**DERIVED, **BEGUN, **KEPT}.items() if kind is not None
    }
    assert found == wanted | {
        "cache/c.h5": ("cache", cache.stat().st_size),
        f"cache/{data_of(cache)}": ("cache", (cache.parent / data_of(cache)).stat().st_size),
        "studies/s-nested": ("studies", 5),
    }


def test_clean_removes_what_can_be_made_again_and_nothing_else(cache: Path) -> None:
    with locked(cache, CacheError):
        pass
    there = names(cache)
    assert {item.path.name for item in clean(cache, dry_run=True)} - {".c.h5.lock"} == set(DERIVED)
    assert names(cache) >= there - {".c.h5.lock"}  # filelock may remove its own
    removed = clean(cache)
    assert sum(item.size for item in removed) == 40
    assert names(cache) == {"c.h5", data_of(cache), *BEGUN, *KEPT}
    assert {item.path.name for item in clean(cache, unfinished=True)} == {Path(name).name for name in BEGUN}
    assert names(cache) == {"c.h5", data_of(cache), *KEPT}


@pytest.mark.parametrize("of", ["c.h5", "other.h5", f"pixels-160-{'ab' * 8}.u8", "study.db"])
def test_nothing_is_removed_while_a_lock_is_held(cache: Path, of: str, monkeypatch, capsys) -> None:
    run = runner(monkeypatch, capsys)
    there = names(cache)
    with held(cache.with_name(f".{of}.lock")):
        ran = run("clean", "--cache", cache, "--yes", "--unfinished")
        assert ran.code == 2
        assert f"{of} is in use by another process" in ran.err
        assert names(cache) >= there
    assert run("clean", "--cache", cache, "--yes").code == 0


def test_the_command_says_what_and_how_much_before_it_asks(cache: Path, monkeypatch, capsys) -> None:
    run = runner(monkeypatch, capsys)
    there = names(cache)
    told = run("clean", "--cache", cache, "--dry-run")
    assert told.code == 0
    for name in DERIVED:
        assert name in told.out
    assert "4 files, 40 B in all" in told.out
    unasked = run("clean", "--cache", cache)  # no terminal
    assert unasked.code == 2
    assert "Nothing was removed; give --yes" in unasked.err

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    refused = run("clean", "--cache", cache)
    assert refused.code == 1
    assert refused.out.index("in all") < refused.out.index("Nothing was removed.")
    assert names(cache) == there
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    assert run("clean", "--cache", cache).code == 0
    assert names(cache) == there - set(DERIVED)
    assert "nothing to remove" in run("clean", "--cache", cache).out


def test_info_tells_of_disk_use(cache: Path, monkeypatch, capsys, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (cache.parent / "c.h5.resnet18-imagenet.partial").unlink()  # which is no HDF5 file here
    (cache.parent / "c-encoders" / "finetuned-0.checkpoint").unlink()
    shown = runner(monkeypatch, capsys)("info", cache)
    assert shown.code == 0, shown.err
    data = sum(path.stat().st_size for path in (cache.parent / "c-encodings").iterdir())
    assert f"cache {size_text(cache.stat().st_size + data)}, stored pixels 20 B" in shown.out
    assert f"40 B of it can be made again; `lymphofeat clean --cache {cache}`" in shown.out


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        clean(tmp_path / "nowhere" / "c.h5")


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_960, "1.0 MB"), (2.5e12, "2.5 TB")]
)
def test_sizes_are_in_the_units_of_disks(size: float, text: str) -> None:
    assert size_text(int(size)) == text
