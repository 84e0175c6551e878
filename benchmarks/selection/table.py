"""Mean scores of every rule on the patients kept apart, and the paired differences to one of them."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lymphofeat.estimates.repeated import corrected_t
from lymphofeat.estimates.scores import Interval

from .cohorts import SIMULATED, THIRDS
from .rules import BASELINE, CHOICES
from .search import SCORES, Floats, Searched


def table(records: Sequence[Mapping[str, Any]], *, simulated: bool) -> str:
    """In Markdown: mean scores on the patients kept apart, and the paired differences to `BASELINE`."""
    found = [Searched.read(r) for r in records]
    if not simulated:  # repeats that are whole, in every encoding
        most = Counter(one.at[0] for one in found)
        found = [one for one in found if most[one.at[0]] == max(most.values())]
    values: dict[tuple[str, str], list[float]] = {(rule, m): [] for rule in CHOICES for m in SCORES}
    for one in found:
        for rule, choose in CHOICES.items():
            for metric, value in one.scores(choose(one)).items():
                values[rule, metric].append(value)
    lines = [
        "| rule | balanced accuracy | AUC | log loss ↓ | Δ balanced accuracy | Δ AUC | Δ log loss |",
        "|---|" + "---|" * 6,
    ]
    for rule in CHOICES:
        shown = [f"{np.mean(values[rule, m]):.3f}" for m in SCORES[:3]]
        for metric in SCORES[:3]:
            difference = np.array(values[rule, metric]) - np.array(values[BASELINE, metric])
            shown.append("" if rule == BASELINE else _text(_interval(found, difference, simulated=simulated)))
        lines.append(f"| {rule} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def _interval(found: Sequence[Searched], difference: Floats, *, simulated: bool) -> Interval:
    """The mean difference with its 95 % interval.

    Of a real cohort the corrected t interval over repeats × thirds (Nadeau & Bengio 2003), each averaged over the
    encodings; of simulated cohorts, which share nothing, the plain bootstrap of the cohorts within the signals.
    """
    if not simulated:
        ats = sorted({one.at for one in found})
        each = [np.mean([d for one, d in zip(found, difference, strict=True) if one.at == at]) for at in ats]
        return corrected_t(np.array(each).reshape(-1, THIRDS), unit=False)
    rng = np.random.default_rng(0)
    groups = np.array([one.group for one in found])
    means = np.zeros(4000)
    for group in np.unique(groups):
        own = difference[groups == group]
        resampled = rng.integers(len(own), size=(len(means), len(own)))
        means += own[resampled].sum(axis=1) / len(difference)
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(difference.mean()), float(low), float(high))


def _text(interval: Interval) -> str:
    return f"{interval.value:+.3f} ({interval.low:+.3f} to {interval.high:+.3f})"


def tables(path: Path) -> Iterator[str]:
    """Of the real cohorts together, and of the simulated ones."""
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for simulated in (False, True):
        own = [r for r in records if r["group"].startswith(SIMULATED) == simulated]
        if own:
            groups = Counter(r["group"] for r in own)
            listed = ", ".join(f"{n} × {group}" for group, n in sorted(groups.items()))
            yield f"{len(own)} searches of {own[0]['n_trials']} trials: {listed}\n\n{table(own, simulated=simulated)}"
