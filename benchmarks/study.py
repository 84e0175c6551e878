"""Opening a large study and printing what it found: ours against reading every trial through Optuna.

Usage: python benchmarks/study.py [--trials 10000] [--patients 163]

Makes a study of that many trials with drawn predictions (no head is fitted; making it takes minutes and is not
timed), then opens it in fresh processes: `lymphofeat tune --show`, the same without the time of the imports, and, for
comparison, Optuna's own `load_study(…).trials` with nothing done to them.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SHOW = """
import io, json, sys, time
start = time.perf_counter()
import lymphofeat.cli
from pathlib import Path
from rich.console import Console
from lymphofeat.report.study import render_study
from lymphofeat.studies import load_study
imported = time.perf_counter()
text = io.StringIO()
render_study(load_study(Path(sys.argv[1])), Console(file=text, width=80))
print(json.dumps({"imports": imported - start, "work": time.perf_counter() - imported, "cpu": time.process_time()}))
"""
OPTUNA = """
import json, sys, time
start = time.perf_counter()
import optuna
optuna.logging.set_verbosity(optuna.logging.WARNING)
imported = time.perf_counter()
study = optuna.load_study(study_name="lymphofeat", storage=f"sqlite:///{sys.argv[1]}")
n = len(study.trials)
print(json.dumps({"imports": imported - start, "work": time.perf_counter() - imported, "cpu": time.process_time()}))
"""


def make_study(path: Path, n_trials: int, n_patients: int) -> None:
    """A study with random points of the whole space, and predictions drawn around the labels."""
    import optuna
    from optuna.trial import TrialState, create_trial

    from lymphofeat.metric import METRICS
    from lymphofeat.scoring.score import TrialScores
    from lymphofeat.studies.database import quiet_optuna
    from lymphofeat.studies.record import scores_to_attrs
    from lymphofeat.studies.space import Space
    from lymphofeat.studies.store import create_store, open_store

    rng = np.random.default_rng(0)
    y, folds = rng.integers(0, 2, n_patients), rng.permutation(np.arange(n_patients) % 5)
    space = Space.of()
    provenance = {"metric": "auc", "family": "drawn", "repeats": 1, "takes": space.takes}
    patients = {
        "ids": [f"P{i}" for i in range(n_patients)],
        "labels": y.tolist(),
        "folds": folds[:, None].tolist(),
    }
    create_store(path, provenance, patients, METRICS["auc"].direction)
    with quiet_optuna(), open_store(path) as store:
        sampled = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        for number in range(n_trials):
            trial = sampled.ask()
            space.suggest(trial)
            value = float(rng.uniform(0.5, 0.9))
            scores = TrialScores(
                rng.random((n_patients, 1)), rng.random((1, 5)), np.ones((1, 5), dtype=bool),
                {m: rng.random((1, 5)) for m in METRICS}, dict.fromkeys(METRICS, value),
            )  # fmt: skip
            pruned = rng.random() < 0.1
            state = TrialState.PRUNED if pruned else TrialState.COMPLETE
            store.add(
                create_trial(
                    state=state, value=value, params=trial.params, distributions=trial.distributions,
                    intermediate_values={2: value} if pruned else {},
                    user_attrs={"number": number} | ({} if pruned else scores_to_attrs(scores)),
                )
            )  # fmt: skip


def one(code: str, path: Path) -> dict[str, float]:
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True)
    return {"all": time.perf_counter() - start, **json.loads(done.stdout)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--patients", type=int, default=163)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--study", type=Path, help="keep the study here, or use the one that is there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.study or Path(folder) / "study.db"
        if not path.exists():
            make_study(path, options.trials, options.patients)
        print(
            f"{options.trials:,} trials of {options.patients} patients, {path.stat().st_size / 2**20:.0f} MiB"
        )
        for _ in range(options.rounds):
            for name, code in (("lymphofeat tune --show", SHOW), ("optuna.load_study(…).trials", OPTUNA)):
                took = one(code, path)
                print(
                    f"{name:28s} {took['work']:5.1f} s and imports {took['imports']:.1f} s; "
                    f"process {took['all']:.1f} s, its CPU time {took['cpu']:.1f} s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
