"""Caches and studies on tmpfs, on an overlay and on a read-only mount, in a namespace of mounts of their own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lymphofeat.studies import tune

from ..helpers.caches import frozen_cache

# $1: a folder with whole files in `made`, and room for the mounts.
MOUNTS = """
set -e
cd "$1"
mkdir tmpfs overlay lower readonly disk
mount -t tmpfs none tmpfs
mount -t tmpfs none disk && mkdir disk/upper disk/work
cp -r made/. lower
mount -t overlay none -o "lowerdir=$1/lower,upperdir=$1/disk/upper,workdir=$1/disk/work" overlay
mount --bind made readonly
mount -o remount,bind,ro readonly
cp -r made/. tmpfs
exec "$2" -c "$3"
"""
HERE = """
from multiprocessing import get_context
from pathlib import Path
from lymphofeat.cache import open_cache
from lymphofeat.errors import LymphofeatError
from lymphofeat.studies import load_study, tune
from lymphofeat.studies.store import owned
from lymphofeat.verification.verify import verify

for place in map(Path, ("tmpfs", "overlay", "readonly")):
    cache = open_cache(place / "c.h5")
    print(place, float(cache.encodings["frozen"].features.sum()), load_study(place / "s.db").n_trials)
    print(place, verify(place / "c.h5").faults, verify(place / "s.db").faults)
    try:
        with owned(place / "s.db"):
            try:
                with owned(place / "s.db"):
                    print(place, "held twice")
            except LymphofeatError as error:
                print(place, "refused:", error)
        print(place, tune(place / "c.h5", place / "s.db", n_trials=2, heads=["logistic"]).n_trials)
    except LymphofeatError as error:
        print(place, "error:", error)
"""


def _may_mount() -> bool:
    return shutil.which("unshare") is not None and os.path.exists("/proc/self/ns/mnt") and os.geteuid() == 0


@pytest.mark.slow
@pytest.mark.skipif(not _may_mount(), reason="only root may mount")
def test_tmpfs_overlay_and_read_only_mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tmp_path / "made"
    frozen_cache(made / "c.h5", n=12, n_test=2)
    tune(made / "c.h5", made / "s.db", n_trials=1, heads=["logistic"])
    (made / ".s.db.lock").unlink(missing_ok=True)
    before = {path.name: path.read_bytes() for path in made.glob("*.*") if path.is_file()}
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    command = ["unshare", "--mount", "sh", "-c", MOUNTS, "sh", str(tmp_path), sys.executable, HERE]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    if "mount" in done.stderr and done.returncode == 32:
        pytest.skip(f"no mounts here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    said: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        place, _, rest = line.partition(" ")
        said.setdefault(place, []).append(rest)
    assert said["tmpfs"][0] == said["overlay"][0] == said["readonly"][0]
    for place in ("tmpfs", "overlay"):
        _, faults, refused, trials = said[place]
        assert faults == "() ()"
        assert refused.startswith(f"refused: {place}/s.db is being tuned by another process")
        assert trials == "2"
    _, faults, error = said["readonly"]
    assert faults == "() ()"
    assert error == "error: readonly/s.db cannot be written (Read-only file system); choose another place."
    assert {path.name: path.read_bytes() for path in made.glob("*.*") if path.is_file()} == before
