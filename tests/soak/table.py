"""The record of a soak, a JSON line a cohort, and the table of it."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lymphofeat.heads.registry import head_types

from .points import covering_points
from .run import Result

__all__ = ["read_record", "table"]


def read_record(path: Path) -> list[Result]:
    """The cohorts that a record holds, the last line of each; a line that a kill cut off is left out."""
    found: dict[tuple[int, int], Result] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            result = Result(**json.loads(line))
        except (ValueError, TypeError):
            continue
        found[result.seed, result.number] = result
    return [found[key] for key in sorted(found)]


def table(results: Sequence[Result]) -> str:
    """Cohorts by kind, trials by head type, refusals, failed trials and failures by cause."""
    seconds = [sum(r.seconds.values()) for r in results]
    lines = [
        f"{len(results)} cohorts, {sum(bool(r.failures) for r in results)} with a failure, "
        f"{sum(sum(r.trials.values()) for r in results)} trials, {sum(seconds):.0f} s "
        f"({max(seconds, default=0):.0f} s the longest), at most {max((r.megabytes for r in results), default=0)} MB"
    ]
    lines += _counted("cohorts by kind", Counter(r.kind for r in results))
    trials: Counter[str] = Counter()
    for result in results:
        trials.update(result.trials)
    lines += _counted("trials by head type", Counter({name: trials[name] for name in head_types()}))
    seen = {_key(p) for r in results for p in r.points}
    every = {_key(p) for p in covering_points()}
    lines.append(f"points that meet every categorical value: {len(seen & every)} of {len(every)} scored")
    steps: dict[str, list[float]] = {}
    for result in results:
        for name, time in result.seconds.items():
            steps.setdefault(name.partition(" ")[0] if name.startswith("point") else name, []).append(time)
    lines.append("steps:")
    lines += [
        f"  {name:18} {len(times):5} × {sum(times) / len(times):6.2f} s" for name, times in steps.items()
    ]
    lines += _counted("refused", Counter(f"{s}: {why}" for r in results for s, why in r.refused.items()))
    lines += _counted(
        "trials that failed", Counter(f"{head}: {why}" for r in results for head, why in r.failed)
    )
    causes: dict[str, list[int]] = {}
    for result in results:
        for failure in result.failures:
            causes.setdefault(f"{failure['step']}: {failure['cause']}", []).append(result.number)
    lines.append("failures by cause:" if causes else "no failure")
    for cause, numbers in sorted(causes.items(), key=lambda item: -len(item[1])):
        listed = ", ".join(map(str, sorted(set(numbers))[:8]))
        lines.append(f"  {len(numbers):5} {cause} (cohorts {listed}{' …' if len(set(numbers)) > 8 else ''})")
    return "\n".join(lines)


def _counted(title: str, counts: Counter[str]) -> list[str]:
    return [f"{title}:", *(f"  {n:5} {name}" for name, n in counts.most_common())] if counts else []


def _key(params: dict[str, Any]) -> str:
    return json.dumps(params, sort_keys=True)
