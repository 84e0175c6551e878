"""What a command imports: libraries that take seconds are loaded by the commands that need them, and by no other.

By the names of the modules, not by time, in a process of its own.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from lymphofeat.studies import tune

from .helpers.caches import frozen_cache

_RUN = """
import sys
from lymphofeat import cli
sys.argv = ["lymphofeat", *sys.argv[1:]]
try:
    cli.main()
except SystemExit as ended:
    assert not ended.code, ended.code
print("LOADED", *sorted(sys.modules))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache, and a study of clinical heads on it."""
    folder = tmp_path_factory.mktemp("imports")
    cache = frozen_cache(folder / "c.h5")
    tune(cache, folder / "s.db", n_trials=4, heads=["lda", "logistic"], inputs=["clinical"])
    return folder


def loaded(folder: Path, *arguments: str) -> set[str]:
    """The modules that a command leaves in its process."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize(
    ("command", "without"),
    [
        ("--help", "numpy pandas torch"),
        ("extract --help", "numpy pandas torch"),
        ("info c.h5", "torch scipy sklearn optuna"),
        ("info s.db", "torch sklearn scipy.stats"),
        ("tune --show --study s.db", "torch sklearn scipy.stats"),
        ("submit --cache c.h5 --study s.db --out s.csv", "torch xgboost"),
        ("recipes", "torchvision torch._dynamo sklearn"),
    ],
)
def test_a_command_loads_what_it_needs(folder: Path, command: str, without: str) -> None:
    found = loaded(folder, *command.split())
    assert "click" in found
    assert found & set(without.split()) == set()


@pytest.mark.parametrize("module", ["cache.extract", "cache.finetune", "bundle.export", "encoder.frozen"])
def test_torchvision_waits_until_a_network_of_its_is_built(module: str) -> None:
    code = f"import sys, lymphofeat.{module}; print('torch' in sys.modules, 'torchvision' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]
