"""Gated attention on simulated bags: all folds trained together, against the loop over bags that everyone writes.

    python benchmarks/attention.py            5 folds × 30 epochs, three rounds of every side in turn
    python benchmarks/attention.py --quick    one round, the loop timed over 3 epochs and scaled up

163 patients × 100 images × 512 features, 128 hidden, minibatches of 16 bags. The loop is bag by bag with autograd and
torch.nn modules, as in CLAM (Lu et al. 2021) and torchmil; it runs with torch's default threads, as everyone lets it,
and with one, which its small products may like better: there is a ratio to each. Ours includes standardisation,
principal axes and prediction; the loop's features are standardised beforehand, outside the clock. Printed: seconds
(median over rounds), ratios, OOF AUC with its 95 % bootstrap interval, every round, peak memory of the process.
"""

import argparse
import resource
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits
from torch import nn

from lymphofeat.cache.bags import Bags
from lymphofeat.encoder.frozen import has_fast_bfloat16
from lymphofeat.estimates.scores import roc_auc_score
from lymphofeat.heads import FitCache, Split, fit_predict
from lymphofeat.heads.neural import GatedAttention
from lymphofeat.synthetic.features import FeatureCohort, simulate_features

EPOCHS, BATCH, HIDDEN = 30, 16, 128
Run = Callable[[], tuple[float, np.ndarray]]  # seconds, (n,) out-of-fold probabilities


class Loop(nn.Module):
    """Attention, gate, classifier as three linear layers each with its own product."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.v, self.u = nn.Linear(dim, HIDDEN), nn.Linear(dim, HIDDEN)
        self.w, self.out = nn.Linear(HIDDEN, 1), nn.Linear(dim, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = self.w(torch.tanh(self.v(x)) * torch.sigmoid(self.u(x)))
        return self.out(torch.softmax(scores.T, dim=1) @ x)[0, 0]


def loop(bags: list[torch.Tensor], y: np.ndarray, splits: list[Split], epochs: int, threads: int) -> Run:
    def run() -> tuple[float, np.ndarray]:
        torch.set_num_threads(threads)
        began = time.perf_counter()
        oof = np.zeros(len(y))
        labels = torch.from_numpy(y).float()
        for split in splits:
            torch.manual_seed(0)
            model = Loop(bags[0].shape[1])
            optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-2)
            criterion = nn.BCEWithLogitsLoss()
            for _ in range(epochs):
                order = torch.randperm(len(split.train)).tolist()
                for first in range(0, len(order), BATCH):
                    batch = split.train[order[first : first + BATCH]]
                    optimizer.zero_grad()
                    for b in batch:
                        (criterion(model(bags[b]), labels[b]) / len(batch)).backward()
                    optimizer.step()
            with torch.no_grad():
                oof[split.test] = [float(torch.sigmoid(model(bags[b]))) for b in split.test]
        return (time.perf_counter() - began) * EPOCHS / epochs, oof

    return run


def together(head: GatedAttention, cohort: FeatureCohort, splits: list[Split], threads: int) -> Run:
    def run() -> tuple[float, np.ndarray]:
        torch.set_num_threads(threads)
        began = time.perf_counter()
        oof = np.zeros(len(cohort.y))
        with threadpool_limits(1, user_api="blas"):  # as where studies score heads
            predicted = fit_predict(head, splits, cohort.table, cohort.y, FitCache())
        for split, p in zip(splits, predicted, strict=True):
            oof[split.test] = p
        return time.perf_counter() - began, oof

    return run


def interval(y: np.ndarray, p: np.ndarray) -> str:
    """AUC with its percentile interval over 500 resamples of the patients."""
    rng = np.random.default_rng(0)
    simulated = (rng.integers(0, len(y), len(y)) for _ in range(500))
    low, high = np.percentile([roc_auc_score(y[i], p[i]) for i in simulated], [2.5, 97.5])
    return f"{roc_auc_score(y, p):.3f} [{low:.3f}, {high:.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    rounds, loop_epochs = (1, 3) if options.quick else (3, EPOCHS)
    cohort = simulate_features(163, 100, 512, signal="mean", strength=4.0, seed=1)
    bags = Bags.from_list(cohort.bags)
    folds = StratifiedKFold(5, shuffle=True, random_state=0).split(cohort.y, cohort.y)
    splits = [Split(bags, "drawn", train, test) for train, test in folds]
    mean, sd = bags.features.mean(axis=0), bags.features.std(axis=0)
    standardised = [torch.from_numpy((b - mean) / sd) for b in cohort.bags]

    sides: dict[str, Run] = {
        f"loop, {threads} thread{'s' * (threads > 1)}": loop(
            standardised, cohort.y, splits, loop_epochs, threads
        )
        for threads in sorted({1, options.threads})
    }
    loops = list(sides)
    settings = {"float32, 512-d": {"pca": None}, "float32, 64-d": {"pca": 64}}
    if has_fast_bfloat16(torch.device("cpu")):
        settings |= {
            "bfloat16, 512-d": {"pca": None, "dtype": "bfloat16"},
            "bfloat16, 64-d": {"pca": 64, "dtype": "bfloat16"},
        }
    for name, params in settings.items():
        head = GatedAttention(inputs="image", hidden=HIDDEN, epochs=EPOCHS, batch_size=BATCH, **params)
        sides[name] = together(head, cohort, splits, options.threads)

    seconds: dict[str, list[float]] = {name: [] for name in sides}
    scores: dict[str, str] = {}
    for _ in range(rounds):
        for name, side in sides.items():
            spent, oof = side()
            seconds[name].append(spent)
            scores[name] = interval(cohort.y, oof)
    middle = {name: statistics.median(spent) for name, spent in seconds.items()}
    for name, spent in seconds.items():
        ratios = "  ".join(f"{middle[base] / middle[name]:5.1f} × {base}" for base in loops)
        print(f"{name:15s} {middle[name]:7.2f} s  {ratios}  AUC {scores[name]}  rounds {np.round(spent, 2)}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
