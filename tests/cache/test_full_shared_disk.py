"""The disk that all machines share is full while workers are at work: a sentence, and with room the same is made."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lymphofeat.cohort.model import Cohort
from lymphofeat.cohort.read import read_cohort
from lymphofeat.errors import CacheError
from lymphofeat.synthetic.cohort import SimulationSettings, simulate_cohort

from ..fire.full_disk import SmallDisk, small_disk
from ..helpers.executors import Here
from ..helpers.finetuned import assert_same
from .test_elsewhere import Extract, frozen, tuned

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the small disk is a tmpfs")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", 150_000_000) as made:
        yield made


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    spec = SimulationSettings(patients=12, seed=5, size=96, images_range=(3, 4))
    return read_cohort(simulate_cohort(tmp_path_factory.mktemp("images") / "data", spec))


@pytest.mark.parametrize("kind", [frozen, tuned])
def test_a_full_shared_disk_is_said_and_the_same_call_goes_on(
    kind: Extract, images: Cohort, disk: SmallDisk, tmp_path: Path
) -> None:
    kind(images, tmp_path / "alone.h5", workers=1)
    full = Here(lambda number: disk.leave(0))
    # An error of the system gets its sentence from the command; its file is named already.
    with pytest.raises((CacheError, OSError)) as raised:
        kind(images, disk.root / "c.h5", executor=full)
    assert "No space left on device" in str(raised.value)
    assert str(disk.root / "c") in str(raised.value)
    disk.make_room()
    kind(images, disk.root / "c.h5", executor=Here())
    assert_same(disk.root / "c.h5", tmp_path / "alone.h5")
