"""`lymphofeat pack`: one file of a cache, told in one line, and never over another file."""

from pathlib import Path

from lymphofeat.cache import open_cache

from ..helpers.caches import frozen_cache
from ..helpers.commands import runner


def test_pack(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    run, cache = runner(monkeypatch, capsys), frozen_cache(tmp_path / "c.h5")
    done = run("pack", "--cache", cache, "--out", "one.h5")
    assert done.code == 0
    assert "one.h5: 1 encoding of 220 images" in done.out
    before = (tmp_path / "one.h5").read_bytes()
    again = run("pack", "--cache", cache, "--out", "one.h5")
    assert again.code == 2
    assert "exists already" in again.err
    assert (tmp_path / "one.h5").read_bytes() == before
    assert run("pack", "--cache", cache, "--out", "one.h5", "--force").code == 0
    assert (
        open_cache(tmp_path / "one.h5").encodings["frozen"].digest
        == open_cache(cache).encodings["frozen"].digest
    )
    assert run("pack", "--cache", "nowhere.h5", "--out", "two.h5").code == 2
    assert not (tmp_path / "two.h5").exists()
