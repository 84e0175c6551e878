from pathlib import Path

import pytest

from lymphofeat.cohort.model import Cohort

from ..helpers.simulated import noise_cohort


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    return noise_cohort(tmp_path / "cohort")
