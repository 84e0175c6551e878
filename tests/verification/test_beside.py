"""What lies beside a cache: stores, checkpoints and trained encoders; and paths that are nothing of this kind."""

import random
from pathlib import Path

import numpy as np
import pytest

from lymphofeat.errors import InputError
from lymphofeat.progress import Silent
from lymphofeat.storage.blocks import RowPlan, open_rows
from lymphofeat.verification.findings import Findings
from lymphofeat.verification.stores import verify_store
from lymphofeat.verification.verify import verify

from ..helpers.caches import frozen_cache
from ..helpers.tiny import tiny_cohort

STORE = "pixels-8-0123456789abcdef.u8"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return frozen_cache(tmp_path / "c.h5", n=12, n_test=2)


def store_beside(cache: Path) -> tuple[RowPlan, np.ndarray]:
    plan = RowPlan(cache.with_name(STORE), 30, (8, 8, 3), "uint8", 4)
    content = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)
    open_rows(plan, lambda rows: content[rows.start : rows.stop], what="", unit="")
    return plan, content


def test_any_byte_of_a_store(cache: Path) -> None:
    plan, _ = store_beside(cache)
    whole, rng = plan.path.read_bytes(), random.Random(0)
    for at in [0, len(whole) - 1, *rng.sample(range(len(whole)), 80)]:
        plan.path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 :])
        findings = Findings(Silent())
        verify_store(plan.path, findings)
        assert [fault.path for fault in findings.faults] == [plan.path], at
    for size in (0, 5, len(whole) - 1):
        plan.path.write_bytes(whole[:size])
        findings = Findings(Silent())
        verify_store(plan.path, findings)
        assert len(findings.faults) == 1


def test_a_store_is_repaired_by_the_blocks_that_are_bad(cache: Path) -> None:
    plan, content = store_beside(cache)
    whole = plan.path.read_bytes()
    for at in (3, 5 * 4 * 192 + 7):
        harmed = bytearray(plan.path.read_bytes())
        harmed[at] ^= 1
        plan.path.write_bytes(harmed)
    [fault] = verify(cache).faults
    assert fault.path == plan.path
    assert fault.what == "2 of 8 blocks are not as they were written"
    assert "lymphofeat verify --repair" in fault.way_out
    found = verify(cache, repair=True)
    assert found.sound
    assert "2 of 8 blocks" in found.repaired[0]
    growing = verify(cache)
    assert growing.sound
    assert any("6 of 8 blocks are there, as written; 2 more" in line for line in growing.checked)
    asked = []

    def compute(rows: range) -> np.ndarray:
        asked.append(rows.start // plan.block)
        return content[rows.start : rows.stop]

    open_rows(plan, compute, what="", unit="", workers=1)
    assert asked == [0, 5]
    assert plan.path.read_bytes() == whole
    assert any(f"{STORE}: 8 blocks of 30 rows" in line for line in verify(cache).checked)


def test_a_cohort_s_errors_are_faults(tmp_path: Path) -> None:
    tiny_cohort(tmp_path / "cohort", n=6)
    found = verify(tmp_path / "cohort")
    assert found.kind == "a cohort's folder"
    assert found.sound
    images = sorted((tmp_path / "cohort").rglob("*.jpg"))
    assert f"{len(images)} images decoded" in found.checked[0]
    image = images[0]
    image.write_bytes(image.read_bytes()[:40])
    [fault] = verify(tmp_path / "cohort").faults
    assert fault.path == image
    assert "replace or remove the file" in fault.sentence


def test_what_cannot_be_verified_is_said(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"t\.csv is a CSV table, which cannot be verified; name a cache"):
        verify(tmp_path / "t.csv")
    with pytest.raises(InputError, match="is not there; name a cache"):
        verify(tmp_path / "none.h5")
    tiny_cohort(tmp_path / "cohort", n=6)
    with pytest.raises(InputError, match="are for a cache, whose features can be computed again"):
        verify(tmp_path / "cohort", sample=3)
    with pytest.raises(InputError, match="0 images or more"):
        verify(tmp_path / "cohort", sample=-1)
    (tmp_path / "cut.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(50))
    [fault] = verify(tmp_path / "cut.h5").faults
    assert "is a damaged HDF5 file" in fault.sentence
