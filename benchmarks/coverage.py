"""Do the intervals, tests and target errors of `lymphofeat.estimates` hold as stated? Simulated cohorts with a known
truth.

    python benchmarks/coverage.py                   everything, some minutes; prints the tables of docs/coverage.md
    python benchmarks/coverage.py --only target-errors --cohorts 1000
    python benchmarks/coverage.py --patients 42 --only intervals

A patient has z ~ N(±distance/2, 1) and the logit of the true probability is distance · z + log prior odds. The
probabilities that are judged are that logit times `--sharpen`: in the right order, too sure. Truths are integrals over
a fine grid of z. For cross-validation, patients have features of which some carry z, and small linear discriminants are
trained; the truth is the mean over all cohorts of what is estimated.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm, t

from lymphofeat.estimates import (
    REFER,
    corrected_t,
    delong_interval,
    delong_test,
    fit_learning_curve,
    holm,
    mcnemar,
    paired_bootstrap,
    resample,
    sensitive_threshold,
    share_interval,
    split_conformal,
    statistic,
    triage,
)
from lymphofeat.estimates.calibration import bins_of, calibration_error_interval
from lymphofeat.estimates.scores import Interval, roc_auc_score

Array = np.ndarray
MALIGNANT = 0.6
BOOTSTRAPPED = (
    "balanced_accuracy",
    "auc",
    "average_precision",
    "sensitivity_at_95_specificity",
    "specificity_at_95_sensitivity",
    "log_loss",
    "brier",
    "calibration_slope",
    "calibration_intercept",
)


@dataclass(frozen=True)
class World:
    """Where the patients come from.

    Attributes:
        n: patients of a cohort.
        distance: of the classes, in standard deviations of z.
        sharpen: what the logit of the true probability is multiplied by.
    """

    n: int
    distance: float
    sharpen: float

    def probability(self, z: Array) -> Array:
        """The probability that is judged."""
        return expit(self.sharpen * (self.distance * z + logit(MALIGNANT)))

    def truly(self, p: Array) -> Array:
        """The true probability of a patient with the judged one."""
        return expit(logit(p) / self.sharpen)

    def draw(self, rng: np.random.Generator, *, fixed: bool = True) -> tuple[Array, Array]:
        """Labels and probabilities; with `fixed`, exactly the share MALIGNANT is malignant."""
        n1 = round(self.n * MALIGNANT)
        y = np.repeat([0, 1], [self.n - n1, n1]) if fixed else (rng.random(self.n) < MALIGNANT).astype(int)
        return y, self.probability(rng.normal(size=self.n) + self.distance * (y - 0.5))

    def grid(self) -> tuple[Array, Array]:
        """(2·G,) labels and probabilities, and their (2·G,) masses that add up to 1: the population."""
        z = np.linspace(-9, 9, 20_001)
        share = np.stack(
            [(1 - MALIGNANT) * norm.pdf(z, -self.distance / 2), MALIGNANT * norm.pdf(z, self.distance / 2)]
        )
        return np.repeat([0, 1], len(z)), np.tile(self.probability(z), 2), (share / share.sum()).ravel()


class Tally:
    """How often intervals cover, which side they miss, how wide they are."""

    def __init__(self) -> None:
        self.rows: dict[str, list[tuple[bool, bool, float]]] = {}

    def add(self, name: str, interval: Interval, truth: float) -> None:
        width = interval.high - interval.low if np.isfinite(interval.high) else np.inf
        self.rows.setdefault(name, []).append((truth < interval.low, truth > interval.high, width))

    def show(self, title: str) -> None:
        print(f"\n{title}\n\n| | covers | truth below | truth above | mean width |\n|---|---|---|---|---|")
        for name, found in self.rows.items():
            below, above, width = np.array(found, dtype=float).T
            width = width[np.isfinite(width)].mean()
            print(
                f"| {name} | {100 * (1 - below.mean() - above.mean()):.1f} % | {100 * below.mean():.1f} % "
                f"| {100 * above.mean():.1f} % | {width:.3f} |"
            )


def seeds(args: argparse.Namespace) -> Iterator[np.random.Generator]:
    return (np.random.default_rng([args.seed, k]) for k in range(args.cohorts))


def intervals(args: argparse.Namespace, world: World) -> None:
    """95 % intervals of every metric: BCa beside the percentile bootstrap, and the analytic ones."""
    y, p, mass = world.grid()
    truth = {name: float(statistic(name, y, p, p >= 0.5)(mass[None])[0]) for name in BOOTSTRAPPED}
    rates = [(mass * (y == c) * ((p >= 0.5) == y)).sum() / mass[y == c].sum() for c in (0, 1)]
    tally = Tally()
    for rng in seeds(args):
        y, p = world.draw(rng)
        decision = p >= 0.5
        for name in BOOTSTRAPPED:
            found = resample(statistic(name, y, p, decision), y, n_resamples=args.resamples)
            tally.add(f"{name}, BCa", found.interval(), truth[name])
            low, high = np.quantile(found.resampled, [0.025, 0.975], method="inverted_cdf")
            tally.add(f"{name}, percentile", Interval(found.value, low, high), truth[name])
        tally.add("auc, DeLong on the logit scale", delong_interval(y, p), truth["auc"])
        for c, name in enumerate(("specificity", "sensitivity")):
            right = int((decision == y)[y == c].sum())
            tally.add(f"{name}, Clopper–Pearson", share_interval(right, int((y == c).sum())), rates[c])
        bins = bins_of(p)
        off = np.abs(np.bincount(bins, world.truly(p) - p)).sum() / len(p)
        tally.add(
            "calibration_error, own", calibration_error_interval(y, p, n_resamples=args.resamples), float(off)
        )
    tally.show(
        f"95 % intervals, {args.cohorts} cohorts of {world.n}, AUC {truth['auc']:.3f}, B = {args.resamples}"
    )


def comparisons(args: argparse.Namespace, world: World) -> None:
    """Tests of two pipelines that are equally good, and of five."""
    names = ("DeLong", "paired bootstrap, AUC", "paired bootstrap, balanced accuracy", "McNemar, exact")
    rejected, head_type, tally = np.zeros(len(names)), np.zeros(2), Tally()
    for rng in seeds(args):
        y, _ = world.draw(rng)
        shared = rng.normal(size=world.n)
        pipelines = [
            world.probability(
                np.sqrt(0.7) * shared + np.sqrt(0.3) * rng.normal(size=world.n) + world.distance * (y - 0.5)
            )
            for _ in range(6)
        ]
        tests = [delong_test(y, pipelines[0], other) for other in pipelines[1:]]
        one, other = pipelines[:2]
        areas = paired_bootstrap(
            statistic("auc", y, one), statistic("auc", y, other), y, n_resamples=args.resamples
        )
        accuracies = paired_bootstrap(
            *(statistic("balanced_accuracy", y, p, p >= 0.5) for p in (one, other)),
            y,
            n_resamples=args.resamples,
        )
        p_values = [
            tests[0].p_value,
            areas.p_value,
            accuracies.p_value,
            mcnemar(y, one >= 0.5, other >= 0.5).p_value,
        ]
        rejected += np.array(p_values) <= 0.05
        several = np.array([test.p_value for test in tests])
        head_type += [several.min() <= 0.05, holm(several).min() <= 0.05]
        tally.add("AUC, DeLong", tests[0].difference, 0.0)
        tally.add("AUC, percentile", areas.difference, 0.0)
        first, second = (
            resample(statistic("auc", y, p), y, n_resamples=args.resamples) for p in (one, other)
        )
        tally.add("AUC, BCa", (first - second).interval(), 0.0)
        tally.add("balanced accuracy, percentile", accuracies.difference, 0.0)
    tally.show(
        f"95 % intervals of the difference of two equally good pipelines, {args.cohorts} cohorts of {world.n}"
    )
    print("\n| test at 5 %, no true difference | rejects |\n|---|---|")
    for name, share in zip(names, rejected / args.cohorts, strict=True):
        print(f"| {name} | {100 * share:.1f} % |")
    print(f"| any of five DeLong tests, uncorrected | {100 * head_type[0] / args.cohorts:.1f} % |")
    print(f"| any of five DeLong tests, Holm | {100 * head_type[1] / args.cohorts:.1f} % |")


def target_errors(args: argparse.Namespace, world: World) -> None:
    """Triage, conformal sets and sensitive thresholds: in how many cohorts the true error is at most the target."""
    labels, judged, mass = world.grid()

    def errors(decision: Array) -> tuple[float, float, float, float]:
        """Wrong of all, wrong of the decided, the larger of the classes' wrong shares, share decided."""
        wrong = mass * (decision != labels) * (decision != REFER)
        decided = mass[decision != REFER].sum()
        by_class = max(wrong[labels == c].sum() / mass[labels == c].sum() for c in (0, 1))
        return wrong.sum(), wrong.sum() / decided if decided else 0.0, by_class, decided

    Rule = Callable[[Array, Array, float], Array]
    rules: dict[str, tuple[Rule, int]] = {
        "conformal, on average": (lambda y, p, e: split_conformal(y, p, e).decide(judged), 0),
        "conformal, this cohort": (
            lambda y, p, e: split_conformal(y, p, e, confidence=0.95).decide(judged),
            0,
        ),
        "conformal by class, this cohort": (
            lambda y, p, e: split_conformal(y, p, e, confidence=0.95, class_conditional=True).decide(judged),
            2,
        ),
    }
    for allowed in (0, 1, 2, 4):
        rules[f"triage, fixed sequence from {allowed} wrong"] = (
            lambda y, p, e, allowed=allowed: triage(y, p, e, allowed=allowed).decide(judged),
            1,
        )
    rules["triage, fixed sequence, Hoeffding–Bentkus"] = (
        lambda y, p, e: triage(y, p, e, bound="hoeffding-bentkus").decide(judged),
        1,
    )
    rules["triage, Bonferroni"] = (lambda y, p, e: triage(y, p, e, search="bonferroni").decide(judged), 1)
    rules["sensitive threshold, error = missed"] = (
        lambda y, p, e: (judged >= sensitive_threshold(y, p, 1 - e).threshold).astype(int),
        3,
    )
    area = norm.cdf(world.distance / np.sqrt(2))
    print(f"\nTarget errors at 95 % confidence, {args.cohorts} cohorts of {world.n}, AUC {area:.3f}\n")
    print("| rule | target error | of | kept in | mean true error | decided |\n|---|---|---|---|---|---|")
    of = ("all patients", "the decided", "either class", "the malignant")
    for error in (0.02, 0.05, 0.1, 0.2):
        for name, (rule, kind) in rules.items():
            seen = []
            for rng in seeds(args):
                decision = rule(*world.draw(rng, fixed=False), error)
                found = errors(decision)
                missed = mass[(labels == 1) & (decision == 0)].sum() / mass[labels == 1].sum()
                seen.append(((*found[:3], missed)[kind], found[3]))
            true, decided = np.array(seen).T
            print(
                f"| {name} | {100 * error:g} % | {of[kind]} | {100 * np.mean(true <= error + 1e-9):.1f} % "
                f"| {100 * true.mean():.1f} % | {100 * decided.mean():.0f} % |"
            )


def discriminant(x: Array, y: Array, new: Array) -> Array:
    """Linear discriminant with a ridge, trained on x and y: scores of the new patients."""
    means = np.stack([x[y == c].mean(axis=0) for c in (0, 1)])
    centred = x - means[y]
    covariance = centred.T @ centred / len(x) + 0.1 * np.eye(x.shape[1])
    return (new - means.mean(axis=0)) @ np.linalg.solve(covariance, means[1] - means[0])


def features(rng: np.random.Generator, n: int, distance: float, width: int = 12) -> tuple[Array, Array]:
    """Patients whose first four features share the distance of the classes; the others are noise."""
    y = rng.permutation(np.repeat([0, 1], [n - round(n * MALIGNANT), round(n * MALIGNANT)]))
    x = rng.normal(size=(n, width))
    x[:, :4] += distance / 2 * (y - 0.5)[:, None]
    return x, y


def folds(rng: np.random.Generator, y: Array, k: int) -> Array:
    """(n,) stratified folds."""
    fold = np.empty(len(y), dtype=int)
    for c in (0, 1):
        members = np.flatnonzero(y == c)
        fold[rng.permutation(members)] = np.arange(len(members)) % k
    return fold


def crossvalidation(args: argparse.Namespace, world: World) -> None:
    """The corrected t interval of a repeated 5-fold AUC: on the logit scale and x̄ ± t e; and the plain one that takes
    scores for independent. Cohorts whose folds are all flawless are left out: their bounds are not the t's."""
    repeats, k, scores = 4, 5, []
    for rng in seeds(args):
        x, y = features(rng, world.n, world.distance)
        table = np.empty((repeats, k))
        for r in range(repeats):
            fold = folds(rng, y, k)
            for j in range(k):
                table[r, j] = roc_auc_score(
                    y[fold == j], discriminant(x[fold != j], y[fold != j], x[fold == j])
                )
        scores.append(table)
    truth, tally = float(np.mean(scores)), Tally()
    reach = t.ppf(0.975, repeats * k - 1) / np.sqrt(repeats * k)
    for table in scores:
        if table.min() == 1:
            continue
        tally.add("corrected t, logit scale", corrected_t(table), truth)
        tally.add("corrected t, x̄ ± t e", corrected_t(table, unit=False), truth)
        mean, error = table.mean(), table.std(ddof=1)
        tally.add("plain t", Interval(mean, mean - reach * error, mean + reach * error), truth)
    tally.show(
        f"95 % intervals of a {repeats} × {k}-fold AUC ({truth:.3f}), {args.cohorts} cohorts of {world.n}, "
        f"{sum(table.min() == 1 for table in scores)} of them flawless"
    )


def on_a_part(rng: np.random.Generator, x: Array, y: Array, fold: Array, share: float) -> tuple[int, Array]:
    """Out-of-fold scores of models trained on a share of each training part, and how many patients that is."""
    scores = np.empty(len(y))
    for j in np.unique(fold):
        parts = [rng.permutation(np.flatnonzero((fold != j) & (y == c))) for c in (0, 1)]
        rows = np.concatenate([part[: round(share * len(part))] for part in parts])
        scores[fold == j] = discriminant(x[rows], y[rows], x[fold == j])
    return len(rows), scores


def learning(args: argparse.Namespace, world: World) -> None:
    """The gain from twice the patients, extrapolated from subsets of one cohort."""
    gains, twice, once = [], [], []
    for rng in seeds(args):
        x, y = features(rng, world.n, world.distance)
        fold = folds(rng, y, 5)
        sizes, scores, draws = [], [], []
        for share in (0.3, 0.45, 0.6, 0.8, 1.0):
            runs = [on_a_part(rng, x, y, fold, share) for _ in range(1 if share == 1 else 8)]
            areas = [statistic("auc", y, expit(raw)) for _, raw in runs]
            found = resample(
                lambda w, areas=areas: np.mean([a(w) for a in areas], axis=0), y, n_resamples=400
            )
            sizes.append(runs[0][0])
            scores.append(found.value)
            draws.append(found.resampled)
        curve = fit_learning_curve(sizes, scores, np.column_stack(draws))
        gains.append(curve.gain(sizes[-1], 2 * sizes[-1]))
        new, truth = features(rng, 4000, world.distance)
        for size, into in ((sizes[-1], once), (2 * sizes[-1], twice)):
            into.append(roc_auc_score(truth, discriminant(*features(rng, size, world.distance), new)))
    truth, tally = float(np.mean(twice) - np.mean(once)), Tally()
    for gain in gains:
        tally.add("gain, inverse power law", gain, truth)
    tally.show(
        f"AUC gained by twice the patients (true value {truth:.4f}; predicted on average "
        f"{np.mean([g.value for g in gains]):.4f}), {args.cohorts} cohorts of {world.n}"
    )


PARTS = {
    "intervals": intervals,
    "comparisons": comparisons,
    "crossvalidation": crossvalidation,
    "target-errors": target_errors,
    "learning": learning,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=sorted(PARTS), help="one part instead of all")
    parser.add_argument("--cohorts", type=int, default=500)
    parser.add_argument("--patients", type=int, default=163)
    parser.add_argument("--distance", type=float, default=2.0, help="of the classes; AUC is Φ(distance/√2)")
    parser.add_argument("--sharpen", type=float, default=1.3, help="1 for calibrated probabilities")
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for name, part in PARTS.items():
        if args.only in (None, name):
            part(args, World(args.patients, args.distance, args.sharpen))


if __name__ == "__main__":
    main()
