"""A checked cohort for the terminal: its problems, its figures, its shortcuts."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from ..cohort.audit import Shortcut
from ..cohort.check import CheckReport
from ..cohort.exclusions import Exclusion, exclusions_summary
from ..cohort.folds import DEFAULT_FOLDS
from ..cohort.layout import LAYOUT_FILE
from ..cohort.pixel_size import pixel_size_text
from ..cohort.problems import FEW, Problem, by_cause, counted, listing, more_text
from ..cohort.summary import Summary
from ..errors import printable
from ..wording import sample_text
from .printing import PlainTable, show

__all__ = ["render_check", "render_errors"]

_ALL = "--all lists them"


def render_check(report: CheckReport, console: Console, *, most: int | None = FEW) -> None:
    """Write the report: errors, warnings, the summary, the shortcut audit, and the verdict as last line.

    `most` problems of each cause are shown, all if it is None.
    """
    show(console, ("Cohort ", "bold"), printable(str(report.root)))
    _print_problems("error", report.errors, report.root, console, most)
    _print_problems("warning", report.warnings, report.root, console, most)
    if report.summary is not None:
        show(console)
        show(console, _summary_table(report.summary, report.folds))
        _print_exclusions(report.exclusions, console, every=most is None)
        show(console)
        _print_audit(report.audit, console)
    show(console)
    show(console, _verdict(report))


def render_errors(report: CheckReport, console: Console, *, most: int | None = FEW) -> None:
    """Write the errors only."""
    for cause in by_cause(report.errors, most):
        for problem in cause.first:
            show(console, f"Error: {problem.sentence(report.root)}", wrap=False)
        if cause.more:
            show(console, more_text(cause.more, _ALL), wrap=False)


def _print_problems(
    severity: str, problems: Sequence[Problem], root: Path, console: Console, most: int | None
) -> None:
    if not problems:
        return
    style = "bold red" if severity == "error" else "bold yellow"
    show(console)
    show(console, (counted(len(problems), severity), style))
    mark = "✗" if severity == "error" else "!"
    for cause in by_cause(problems, most):
        lines = [(mark, problem.sentence(root)) for problem in cause.first]
        for sign, text in lines + ([("", more_text(cause.more, _ALL))] if cause.more else []):
            line = PlainTable(show_header=False, padding=(0, 1, 0, 0))
            line.add_column(width=1, style=style)
            line.add_column(overflow="fold")
            line.add_row(sign, text)
            show(console, line)


def _verdict(report: CheckReport) -> tuple[str, str]:
    errors, warnings = len(report.errors), len(report.warnings)
    if errors:
        which = "it" if errors == 1 else "them"
        return f"{counted(errors, 'error')}: correct {which} before you continue.", "bold red"
    if warnings:
        which = "warning" if warnings == 1 else f"{warnings} warnings"
        return f"The cohort can be used; read the {which} above.", "bold yellow"
    return "The cohort can be used; nothing is wrong with it.", "bold green"


def _summary_table(summary: Summary, folds: int) -> PlainTable:
    table = PlainTable(title="Contents", show_header=False)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column()
    for name, text in _summary_rows(summary, folds):
        table.add_row(name, text)
    return table


def _summary_rows(s: Summary, folds: int) -> Iterator[tuple[str, str]]:
    unlabelled = s.n_train - s.n_reactive - s.n_malignant
    n = s.n_train + s.n_test
    yield (
        "patients",
        f"{n if s.n_persons == n else sample_text(n, None, s.n_persons)}: {s.n_reactive} reactive, "
        f"{s.n_malignant} malignant, {s.n_test} test"
        + (f", {unlabelled} training without label" if unlabelled else ""),
    )
    yield "persons with several records", _joined(s.shared_persons)
    if folds < DEFAULT_FOLDS:
        yield "folds", f"{folds} at most, since each needs persons of both classes: `extract --folds {folds}`"
    yield "images", f"{s.n_images:,} in {s.n_bytes / 1e6:,.1f} MB"
    yield "images per patient", _spread(s.images_per_patient, "{:.0f}")
    yield "age (years)", _spread(s.age, "{:.0f}")
    yield "lymphocytes (10⁹/l)", _spread(s.count, "{:.1f}")
    yield "sex", _listed(s.sexes.items())
    for name, quantiles in s.numbers.items():
        yield name, _spread(quantiles, "{:.4g}")
    for name, counts in s.words.items():
        yield name, _listed(counts.items())
    yield "date formats", _listed(s.date_orders.items())
    yield "missing values", _missing(s.missing)
    yield "image sizes", _listed((f"{w} × {h}", n) for (w, h), n in s.sizes)
    yield "image formats", _listed(s.formats)
    if s.microns_per_pixel is not None:
        yield "pixel size", pixel_size_text(s.microns_per_pixel)
    if s.unused:
        yield (
            "columns not used",
            f"{', '.join(s.unused)}; clinical values among them are declared under [clinical] in {LAYOUT_FILE}",
        )


def _print_exclusions(exclusions: Sequence[Exclusion], console: Console, *, every: bool) -> None:
    if not exclusions:
        return
    show(console)
    listed = "" if every else f"; {_ALL}"
    show(console, printable(f"Excluded: {exclusions_summary(exclusions)}{listed}"))
    for one in exclusions if every else ():
        show(console, f"  {printable(one.sentence)}")


def _joined(groups: Sequence[Sequence[str]], most: int = 5) -> str:
    """How many groups of records share a fold, and who is in the first ones."""
    if not groups:
        return "none found"
    words = [listing(ids) for ids in groups[:most]] + ["…"] * (len(groups) > most)
    return f"{len(groups)}, whose records share a fold: {'; '.join(words)}"


def _spread(quantiles: Sequence[float], form: str) -> str:
    if math.isnan(quantiles[0]):
        return "–"
    low, quarter, median, three_quarters, high = (form.format(q) for q in quantiles)
    return f"{low} to {high}, median {median}, middle half {quarter} to {three_quarters}"


def _listed(counts: Iterable[tuple[str, int]], most: int = 5) -> str:
    pairs = list(counts)
    words = [f"{name}: {n:,}" for name, n in pairs[:most]]
    if len(pairs) > most:
        words.append(f"and {len(pairs) - most} others: {sum(n for _, n in pairs[most:]):,}")
    return ", ".join(words) or "–"


def _missing(missing: Mapping[str, int]) -> str:
    some = ", ".join(f"{name}: {n}" for name, n in missing.items() if n)
    return f"{some} (imputed inside folds)" if some else "none"


def _print_audit(audit: Sequence[Shortcut], console: Console) -> None:
    if not audit:
        show(console, "No shortcut audit: it needs two labelled patients of each class.")
        return
    table = PlainTable(title="Shortcut audit")
    table.add_column("possible shortcut", style="cyan")
    table.add_column("AUC alone", justify="right")
    table.add_column("95 % interval" + (" by person" if audit[0].by_person else ""))
    table.add_column("larger in")
    for shortcut in audit:
        table.add_row(
            shortcut.name,
            f"{shortcut.auc.value:.2f}",
            f"{shortcut.auc.low:.2f} – {shortcut.auc.high:.2f}",
            shortcut.higher_in,
            style="bold" if shortcut.separates else "",
        )
    show(console, table)
    show(console)
    for shortcut in audit:
        if shortcut.separates:
            show(console, shortcut.sentence)
    n_separating = sum(shortcut.separates for shortcut in audit)
    show(
        console,
        (
            f"{n_separating} of {len(audit)} separate the classes (their interval excludes 0.5); "
            "about one in twenty would by chance.",
            "dim",
        ),
    )
