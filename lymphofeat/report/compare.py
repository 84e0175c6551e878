"""A comparison in the terminal, as a table of numbers, and as a page of Markdown."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ..comparison.conclusions import conclusions
from ..comparison.record import SHORT, comparison_json, comparison_table
from ..comparison.result import Comparison, Measured
from ..estimates.persons import n_persons
from ..metric import METRICS
from ..storage.atomic import atomic_writes
from ..storage.csv_tables import write_csv
from ..storage.json_tables import json_text
from ..storage.provenance import made_text
from ..wording import by_whom, difference_text, interval_text, sample_text
from .printing import PlainTable, show

__all__ = [
    "comparison_files",
    "render_comparison",
    "write_comparison",
]

_SHOWN_FEW = ("balanced_accuracy", "auc")
_TIED = "≈"
_SCORES = ("pipeline", *(METRICS[name].header for name in SHORT), "seconds")


def render_comparison(comparison: Comparison, console: Console) -> None:
    """Print scores, differences and the conclusions; 100 columns suffice."""
    show(console, (f"Compared {len(comparison.measured)} pipelines", "bold"), f" in {comparison.source}")
    show(console, _measured_on(comparison))
    scores = [_score_cells(m) for m in comparison.measured]
    show(console, _table(_SCORES, scores, console.width))
    show(console, _table(_difference_titles(comparison), _difference_rows(comparison), console.width))
    for sentence in [*conclusions(comparison), *comparison.left_out]:
        show(console, f"• {sentence}")


def comparison_files(folder: Path) -> tuple[Path, Path, Path]:
    """The files that `write_comparison` writes into `folder`: the table, the page and the record."""
    return folder / "compare.csv", folder / "compare.md", folder / "compare.json"


def write_comparison(
    comparison: Comparison, folder: Path, *, force: bool = False, csv_for: str = "programs"
) -> tuple[Path, ...]:
    """Write `comparison_files` into `folder`, which is made if need be; all are whole before one is there.

    Args:
        comparison: what is written.
        folder: where.
        force: replace files that exist.
        csv_for: as of `storage.csv_tables.write_csv`.

    Returns:
        Their paths.

    Raises:
        InputError: a file exists already; nothing was written.
    """
    table, page, record = files = comparison_files(folder)
    with atomic_writes(files, overwrite=force) as temporary:
        write_csv(comparison_table(comparison), temporary[table], csv_for=csv_for, digits=6)
        temporary[page].write_text(_markdown(comparison), encoding="utf-8")
        temporary[record].write_text(json_text(comparison_json(comparison)), encoding="utf-8")
    return files


def _measured_on(comparison: Comparison) -> str:
    patients = comparison.patients
    n_folds = len(set(patients.folds.tolist()))
    persons = n_persons(patients.groups)
    return (
        f"Measured on {sample_text(len(patients.y), int(patients.y.sum()), persons, 'labelled')}, out-of-fold, "
        f"{n_folds} folds, the same for all; [ ] is the 95 % bootstrap interval {by_whom(persons)}. Heads decide at "
        "the share of malignant among their training patients; majority and fine-tuned networks decide at 0.5. Seconds "
        "count from pixels to predictions (> where those of the encoder were not recorded)."
    )


def _score_cells(m: Measured) -> list[str]:
    scores = {metric: score.interval() for metric, score in m.all.items()}
    return [
        m.pipeline.name,
        interval_text(scores["balanced_accuracy"]),
        interval_text(scores["auc"]),
        f"{scores['log_loss'].value:.3f}",
        _seconds(m),
    ]


def _difference_titles(comparison: Comparison) -> tuple[str, ...]:
    few = f"{int(comparison.patients.ambiguous.sum())} with count ≤ {comparison.patients.median_count:.3g}"
    return (
        "pipeline",
        f"{_title(comparison.metric)},\ndifference to the best",
        "",
        f"balanced acc.,\n{few}",
        f"AUC,\n{few}",
    )


def _difference_rows(comparison: Comparison) -> list[list[str]]:
    tied = {m.pipeline.name for m in comparison.tied}
    rows = []
    for m in comparison.measured:
        difference = comparison.difference(m, comparison.best)
        few = [interval_text(m.ambiguous[k].interval(), 2) if m.ambiguous else "–" for k in _SHOWN_FEW]
        away = "the best" if m is comparison.best else difference_text(difference)
        rows.append([m.pipeline.name, away, _TIED if m.pipeline.name in tied else "", *few])
    return rows


def _markdown(comparison: Comparison) -> str:
    parts = [
        "# Comparison",
        f"{len(comparison.measured)} pipelines in `{comparison.source}`. {_measured_on(comparison)}",
        _pipes(_SCORES, [_score_cells(m) for m in comparison.measured]),
        f"{_TIED}: cannot be told apart from the best, since the interval of the paired difference covers zero.",
        _pipes(_difference_titles(comparison), _difference_rows(comparison)),
        "\n".join(f"- {sentence}" for sentence in [*conclusions(comparison), *comparison.left_out]),
        made_text(),
    ]
    return "\n\n".join(parts) + "\n"


def _pipes(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(titles) - 1)]
    lines = [[title.replace("\n", " ") for title in titles], rule, *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> PlainTable:
    """Numbers stay in one piece; a name that finds no room is broken behind a `/`, `+` or `-`."""
    table = PlainTable(padding=(0, 1, 0, 0))
    table.add_column(titles[0], overflow="fold")
    for title in titles[1:]:
        table.add_column(title, justify="right", no_wrap=True)
    columns = list(zip(titles, *rows, strict=True))[1:]
    taken = [max(len(line) for cell in column for line in cell.split("\n")) for column in columns]
    room = width - sum(taken) - len(taken)
    for name, *cells in rows:
        table.add_row("\n".join(_lines_of(name, room)), *cells)
    return table


def _lines_of(name: str, room: int) -> list[str]:
    """A name in as few lines as parts of it fill; a part that is longer than the room has a line of its own."""
    lines = [""]
    for part in re.findall(r"[^/+-]*[/+-]|[^/+-]+$", name):
        if lines[-1] and len(lines[-1]) + len(part) > room:
            lines.append("")
        lines[-1] += part
    return lines


def _title(metric: str) -> str:
    return METRICS[metric].header


def _seconds(m: Measured) -> str:
    seconds = f"{m.seconds:.1f}" if m.seconds < 100 else f"{m.seconds:.0f}"
    if math.isnan(m.encoder_seconds):
        return f">{seconds}"
    return "<0.1" if m.seconds < 0.05 else seconds
