"""An assessment in the terminal, as JSON, and as a folder of a page and one CSV file per table."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ..assess import Assessment
from ..assess.record import assessment_json
from ..assess.sentences import answer
from ..assess.share import EvaluationShare
from ..storage.atomic import atomic_writes
from ..storage.csv_tables import write_csv
from ..storage.json_tables import json_text, write_json_record
from ..storage.provenance import made_text
from ..wording import sample_text
from .assess_cells import SHOWN, cells
from .printing import PlainTable, show

__all__ = ["render_assessment", "render_share", "write_assessment", "write_json"]


_FIRST = "pipelines"


def render_assessment(assessment: Assessment, console: Console, *, every: bool = False) -> None:
    """Print the answer, then the table of nested scores; 80 columns suffice.

    Args:
        assessment: what to print.
        console: where to.
        every: print all tables.
    """
    for sentence in answer(assessment):
        show(console, f"• {sentence}")
    for name, shown in SHOWN.items():
        if (every or name == _FIRST) and name in assessment.tables and len(assessment.tables[name]):
            show(console)
            show(console, (shown.caption_for(assessment.n_persons), "bold"))
            show(console, _table(list(shown.columns), cells(shown, assessment.tables[name])))
    if assessment.notes:
        show(console)
    for note in assessment.notes:
        show(console, (note, "yellow"))


def render_share(share: EvaluationShare, console: Console) -> None:
    """Print what a task of an array did."""
    number, count = share.task
    made = share.n_searches - share.n_before
    before = f", {share.n_before} of them finished before" if share.n_before else ""
    show(
        console,
        f"Task {number} of {count}: {share.n_searches} of {share.n_all} searches{before}. "
        + (f"Their results are kept in {share.ledger}." if made else "There was nothing left to do."),
        wrap=False,
    )


def write_assessment(
    assessment: Assessment, folder: Path, *, force: bool = False, csv_for: str = "programs"
) -> list[Path]:
    """Write `evaluate.md`, `evaluate.json` and `<table>.csv` into `folder`, which is made if need be.

    All are whole before the first of them takes its place.

    Args:
        force: replace files that exist.
        csv_for: as of `storage.csv_tables.write_csv`.

    Returns:
        The paths, the page first.

    Raises:
        InputError: a file exists already; nothing was written.
    """
    page, record = folder / "evaluate.md", folder / "evaluate.json"
    tables = {folder / f"{name}.csv": table for name, table in assessment.tables.items()}
    with atomic_writes([page, record, *tables], overwrite=force) as temporary:
        temporary[page].write_text(_markdown(assessment), encoding="utf-8")
        temporary[record].write_text(json_text(assessment_json(assessment)), encoding="utf-8")
        for path, table in tables.items():
            write_csv(table, temporary[path], csv_for=csv_for, digits=6)
    return list(temporary)


def write_json(assessment: Assessment, path: Path, *, force: bool = False) -> None:
    """Write `assessment_json` to `path`.

    Raises:
        InputError: the file exists and `force` is false.
    """
    write_json_record(assessment_json(assessment), path, overwrite=force)


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> PlainTable:
    table = PlainTable(padding=(0, 1, 0, 0), header_style="")
    table.add_column(titles[0], style="cyan", overflow="fold")
    for title in titles[1:]:
        table.add_column(title, justify="right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _markdown(assessment: Assessment) -> str:
    parts = [f"# {assessment.name}: evaluation on {sample_text(assessment.n, None, assessment.n_persons)}"]
    parts.append("\n".join(f"- {sentence}" for sentence in answer(assessment)))
    for name, shown in SHOWN.items():
        if shown.on_page and name in assessment.tables and len(assessment.tables[name]):
            parts.append(f"## {name.replace('_', ' ').capitalize()}")
            parts.append(f"{shown.caption_for(assessment.n_persons)}. All columns: `{name}.csv`.")
            parts.append(_pipes(list(shown.columns), cells(shown, assessment.tables[name])))
    if assessment.notes:
        parts += ["## Notes", "\n".join(f"- {note}" for note in assessment.notes)]
    parts.append(made_text())
    return "\n\n".join(parts) + "\n"


def _pipes(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(titles) - 1)]
    titles = [" ".join(title.split("\n")).replace("- ", "-") for title in titles]
    return "\n".join(
        f"| {' | '.join(c.replace('|', chr(92) + '|') for c in line)} |" for line in [titles, rule, *rows]
    )
