"""A file system that refuses locks: caches are read without them, studies and writers get a sentence."""

import subprocess
import sys
from pathlib import Path

import pytest

from lymphofeat.studies import tune

from ..helpers import without_locks
from ..helpers.caches import frozen_cache

HERE = """
from pathlib import Path
from lymphofeat.cache import open_cache
from lymphofeat.errors import LymphofeatError
from lymphofeat.storage.kinds import path_kind
from lymphofeat.studies import load_study, tune
from lymphofeat.verification.verify import verify
from tests.helpers.without_locks import refuse_locks

refuse_locks()
cache = open_cache("c.h5")
print(cache.encodings["frozen"].features.sum(), path_kind(Path("c.h5")), verify("c.h5").faults)
for call in (lambda: load_study("s.db"), lambda: tune("c.h5", "new.db", n_trials=1)):
    try:
        call()
    except LymphofeatError as error:
        print(error)
"""


@pytest.mark.slow
@pytest.mark.skipif(not without_locks.available, reason="no filter of system calls here")
def test_caches_are_read_and_studies_get_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frozen_cache(tmp_path / "c.h5", n=12, n_test=2)
    tune(tmp_path / "c.h5", tmp_path / "s.db", n_trials=1, heads=["logistic"])
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    done = subprocess.run(
        [sys.executable, "-c", HERE], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr
    read, study, writer = done.stdout.splitlines()
    assert read.endswith(" a feature cache ()")
    assert study.startswith(
        "s.db cannot be locked (No locks available): its file system has no locks, which SQLite"
    )
    assert writer.startswith(
        "new.db cannot be locked (No locks available): its file system has no locks, without"
    )
    assert not (tmp_path / "new.db").exists()
