"""docs/Snakefile, by Snakemake itself, where it is installed; it must not share an environment with lymphofeat."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lymphofeat.cache import open_cache
from lymphofeat.synthetic.cohort import SimulationSettings, simulate_cohort

ROOT = Path(__file__).parents[2]
OWN = ROOT / ".venv-snakemake" / "bin" / "snakemake"  # of `make snakemake`
SNAKEMAKE = str(OWN) if OWN.exists() else shutil.which("snakemake")
NEEDED = "LYMPHOFEAT_NEEDS_SNAKEMAKE" in os.environ  # as in .ci/run


@pytest.mark.slow
@pytest.mark.skipif(
    SNAKEMAKE is None and not NEEDED, reason="there is no Snakemake; `make snakemake` installs it"
)
def test_extract_and_evaluate_in_tasks_by_snakemake(tmp_path: Path) -> None:
    assert SNAKEMAKE is not None
    spec = SimulationSettings(patients=16, seed=5, size=64, images_range=(2, 3), test_fraction=0.0)
    simulate_cohort(tmp_path / "data", spec)
    config = {
        "cohort": "data", "tasks": "3", "lymphofeat": f"{sys.executable} -m lymphofeat", "extract": "--folds 3",
        "evaluate": "--trials 1 --heads logistic --jobs 1",
    }  # fmt: skip
    ran = subprocess.run(
        [
            SNAKEMAKE, "-s", str(ROOT / "docs" / "Snakefile"), "--cores", "1",
            "--config", *(f"{key}={value}" for key, value in config.items()),
        ],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert list(open_cache(tmp_path / "cache" / "features.h5").encodings) == ["morphology"]
    kept = tmp_path / "studies" / "study-nested"
    assert json.loads((kept / "evaluate.json").read_text())["search"]["trials"] == 1
    commands = [f"{command}{end}" for command in ("extract", "evaluate") for end in ("", "-1", "-2", "-3")]
    assert sorted(path.name for path in (tmp_path / "done").iterdir()) == sorted(commands)
    assert not [
        path.name for path in tmp_path.rglob("*") if "task" in path.name and ".snakemake" not in path.parts
    ]
