"""Every head on every simulated signal: the table of docs/heads.md.

    python benchmarks/heads_by_signal.py --out docs/heads.md

Cohorts of features are simulated with a known truth (lymphofeat/synthetic/features.py); each head is cross-validated in
5 folds, one person in one fold, and its AUC averaged over the cohorts. Heads are as in the list below, not tuned.
"""

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import get_args

import numpy as np

from lymphofeat.cache.bags import Bags
from lymphofeat.cohort.folds import assign_folds, persons
from lymphofeat.estimates.scores import roc_auc_score
from lymphofeat.heads import FitCache, Head, Split, fit_predict, pooled
from lymphofeat.heads.boosting import BoostedTrees
from lymphofeat.heads.design import ALL_POOLINGS
from lymphofeat.heads.discriminant import ShrunkenLDA
from lymphofeat.heads.fusion import GatedExperts, LateFusion, StackedFusion
from lymphofeat.heads.gaussian_process import GaussianProcess
from lymphofeat.heads.instance_level import InstanceLevel
from lymphofeat.heads.linear import Logistic
from lymphofeat.heads.neural import (
    AdditiveAttention,
    AttentionPooling,
    DeepSets,
    GatedAttention,
    InstanceTransformer,
)
from lymphofeat.heads.svm import SupportVectorMachine
from lymphofeat.synthetic.features import FeatureSignal, simulate_features

SIGNALS = get_args(FeatureSignal)
BEGIN, END = "<!-- table -->", "<!-- end of table -->"
N_PATIENTS, DIM, STRENGTH, N_FOLDS = 163, 16, 2.0, 5
# Of a type that is 2 % of all cells, a small bag holds none.
N_IMAGES = dict.fromkeys(SIGNALS, (20, 60)) | {"rare": (60, 140)}


def heads() -> dict[str, Head]:
    """By the table's label; image alone, then image and clinical values."""
    pooled = {
        f"logistic, {pooling}": pooled(Logistic, pooling=pooling, inputs="image") for pooling in ALL_POOLINGS
    }
    image: dict[str, Head] = {
        "logistic, clinical values only": pooled(Logistic, inputs="clinical"),
        **pooled,
        "logistic L1, mean": pooled(Logistic, inputs="image", l1_ratio=1.0, C=0.3),
        "svm linear, mean": pooled(SupportVectorMachine, inputs="image", kernel="linear", C=0.1),
        "svm rbf, mean+std": pooled(SupportVectorMachine, inputs="image", pooling="mean+std"),
        "lda, mean+std": pooled(ShrunkenLDA, inputs="image", pooling="mean+std"),
        "gp, mean+std": pooled(GaussianProcess, inputs="image", pooling="mean+std"),
        "xgboost, mean+std": pooled(BoostedTrees, rotate=False, inputs="image", pooling="mean+std"),
        "instances, mean": InstanceLevel(inputs="image"),
        "instances, top-mean": InstanceLevel(inputs="image", aggregate="top-mean"),
        "attention": AttentionPooling(inputs="image", pca=16),
        "gated attention": GatedAttention(inputs="image", pca=16),
        "additive attention": AdditiveAttention(inputs="image", pca=16),
        "deepsets": DeepSets(inputs="image", pca=16),
        "transformer": InstanceTransformer(inputs="image", pca=16, hidden=16, epochs=15),
    }
    both: dict[str, Head] = {
        "logistic, early": pooled(Logistic),
        "logistic, early with products": pooled(Logistic, cross=True),
        "svm rbf, early": pooled(SupportVectorMachine),
        "lda, early": pooled(ShrunkenLDA),
        "gp, early": pooled(GaussianProcess),
        "xgboost, early": pooled(BoostedTrees, rotate=False, monotone=True),
        "instances, early": InstanceLevel(),
        "gated attention, early": GatedAttention(pca=16),
        "late, probabilities": LateFusion(),
        "late, log odds": LateFusion(average="logits"),
        "stacked": StackedFusion(),
        "mixture": pooled(GatedExperts),
    }
    return image | both


@dataclass(frozen=True)
class Drawn:
    """One cohort to score all heads on."""

    signal: FeatureSignal
    seed: int


def score(simulated: Drawn) -> dict[str, tuple[float, float]]:
    """Per head, the out-of-fold AUC and the seconds of it; "the truth" is that of the true probability."""
    cohort = simulate_features(
        N_PATIENTS,
        N_IMAGES[simulated.signal],
        DIM,
        signal=simulated.signal,
        strength=STRENGTH,
        seed=simulated.seed,
    )
    bags, y = Bags.from_list(cohort.bags), cohort.y
    folds = assign_folds(y, persons(cohort.table), N_FOLDS, simulated.seed)
    splits = [
        Split(bags, "drawn", np.flatnonzero(folds != k), np.flatnonzero(folds == k)) for k in range(N_FOLDS)
    ]
    fit_cache, scores = FitCache(), {"the truth": (roc_auc_score(y, cohort.probability), 0.0)}
    for name, head in heads().items():
        start = time.process_time()
        predicted = np.empty(len(y))
        for split, p in zip(splits, fit_predict(head, splits, cohort.table, y, fit_cache), strict=True):
            predicted[split.test] = p
        scores[name] = (roc_auc_score(y, predicted), time.process_time() - start)
    return scores


def table(cohorts: int, jobs: int) -> str:
    """The table in Markdown."""
    simulated = [Drawn(signal, seed) for seed in range(cohorts) for signal in SIGNALS]
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"  # of the processes, which share the cores
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        scores = list(pool.map(score, simulated))
    sizes = [f"{N_IMAGES[s][0]} to {N_IMAGES[s][1]}" for s in ("mean", "rare")]
    lines = [
        f"Mean AUC ± standard error over {cohorts} cohorts of {N_PATIENTS} patients, {sizes[0]} images each "
        f"({sizes[1]} for the rare cells), {DIM} features, classes {STRENGTH:g} standard deviations apart. Bold: "
        "within two standard errors of the best. Seconds: 5 folds on one core; the first head with a pooling also pays "
        "for computing it. Made by `benchmarks/heads_by_signal.py`.",
        "",
        "| head | " + " | ".join(SIGNALS) + " | s |",
        "|---|" + "---|" * (len(SIGNALS) + 1),
    ]
    names = list(scores[0])
    found = np.array([[[s[n][0] for d, s in zip(simulated, scores, strict=True) if d.signal == signal]
                       for signal in SIGNALS] for n in names])  # fmt: skip
    mean, error = found.mean(axis=2), found.std(axis=2, ddof=1) / np.sqrt(cohorts)
    best = 1 + mean[1:].argmax(axis=0)
    for i, name in enumerate(names):
        cells = []
        for j, signal in enumerate(SIGNALS):
            text = f"{mean[i, j]:.2f} ± {error[i, j]:.2f}"
            difference = found[best[j], j] - found[i, j]
            near = difference.mean() <= 2 * difference.std(ddof=1) / np.sqrt(cohorts)
            cells.append(f"**{text}**" if near and i > 0 and signal != "none" else text)
        seconds = np.mean([s[name][1] for s in scores])
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {seconds:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Parse, compute, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="put the table between its marks there; by default print it")
    parser.add_argument("--cohorts", type=int, default=6, help="cohorts a signal (default: 6)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: 2)")
    arguments = parser.parse_args()
    if arguments.cohorts < 2:
        parser.error("a standard error needs at least 2 cohorts")
    text = table(arguments.cohorts, arguments.jobs)
    if arguments.out is None:
        print(text, end="")
    else:
        before = arguments.out.read_text(encoding="utf-8") if arguments.out.exists() else f"{BEGIN}\n{END}\n"
        if BEGIN not in before or END not in before:
            parser.error(f"{arguments.out} has no place for the table: the lines {BEGIN} and {END}")
        head, rest = before.split(BEGIN)
        arguments.out.write_text(f"{head}{BEGIN}\n{text}{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
