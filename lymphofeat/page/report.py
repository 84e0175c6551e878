"""`report`: everything that the other commands have kept, as one page and as figures for a paper."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..cache.reader import Cache
from ..estimates.persons import n_persons, repeating
from ..figures.saving import figure_files, write_figures
from ..progress import Progress, Silent
from ..storage.addresses import study_place
from ..storage.atomic import atomic_writes, refuse_existing
from ..storage.paths import AnyPath
from ..wording import sample_text
from .answer import answer_section
from .blocks import Gap, Section
from .cells import cells_section
from .cohort import cohort_section
from .performance import performance_section
from .provenance import provenance_section
from .referee import referee_section
from .render import render_page
from .search import search_section
from .sources import Places, Selection, Sources, find_sources

__all__ = ["ReportSummary", "write_report"]

# In the order of the page.
SECTIONS: Sequence[Callable[[Sources, Progress], Section]] = (
    answer_section,
    cohort_section,
    performance_section,
    search_section,
    cells_section,
    referee_section,
    provenance_section,
)


@dataclass(frozen=True)
class ReportSummary:
    """What a report holds.

    Attributes:
        path: the page.
        n_bytes: its size.
        sections: their titles.
        gaps: what has not been run, each with the command that makes it.
        figures: files of figures for a paper.
    """

    path: Path
    n_bytes: int
    sections: tuple[str, ...]
    gaps: tuple[Gap, ...]
    figures: tuple[Path, ...]

    def __repr__(self) -> str:
        return f"<ReportSummary {self.path}: {len(self.sections)} sections, {self.n_bytes / 1e6:.1f} MB>"


def write_report(
    cache: AnyPath,
    study: AnyPath,
    out: AnyPath = "report.html",
    *,
    evaluation: AnyPath | None = None,
    comparison: AnyPath | None = None,
    kept: AnyPath = "studies",
    select: str | None = None,
    trial: int | None = None,
    ensemble: int | None = None,
    ids: bool = False,
    figures: AnyPath | None = None,
    csv_for: str = "programs",
    force: bool = False,
    progress: Progress | None = None,
) -> ReportSummary:
    """Write one HTML file that needs no network: answer, cohort, performance, search, cells, checklists, provenance.

    It is made from what the other commands have kept. What has not been run is a line with the command that makes it.

    Args:
        cache: a cache that `extract` or `save_cache` made.
        study: the study's file or address, as of `tune`; it need not be there.
        out: the page.
        evaluation: folder or file of an evaluation; None: where the command `evaluate` keeps it, beside the study.
        comparison: folder or file of a comparison; None: compare.json in `kept`.
        kept: folder in which the commands `check` and `compare` keep their results.
        select, trial, ensemble: whose contributions the cells have; as of `submit`.
        ids: show patients' IDs and the names of files; otherwise patients and images are numbered.
        figures: folder for each figure as PDF, SVG and PNG, and its numbers as CSV; None: none.
        csv_for: form of those CSV files; as of `storage.csv_tables.write_csv`.
        force: replace files that exist.
        progress: told of what takes long.

    Raises:
        InputError: a file that exists, or an evaluation or comparison that is not there, not one, or of other patients.
        CacheError, StudyError: a cache or study that cannot be read, or a study of another cache.

    Example:
        >>> found = write_report("cache/features.h5", "studies/study.db", "report.html")
        >>> found.sections[0]
        'The answer'
    """
    page, folder = Path(out), _path(figures)
    refuse_existing(page, overwrite=force)
    places = Places(Path(cache), study_place(study), _path(evaluation), _path(comparison), Path(kept))
    sources = find_sources(places, ids=ids, selection=Selection(select, trial, ensemble))
    sections = [section for build in SECTIONS if (section := build(sources, progress or Silent())).blocks]
    drawn = [one for section in sections for one in section.drawn]
    files = [] if folder is None else figure_files(folder, [one.name for one in drawn])
    text = render_page("Reactive or malignant: report", sections, subtitle=_subtitle(sources.cache))
    with atomic_writes([page, *files], overwrite=force) as temporary:
        temporary[page].write_text(text, encoding="utf-8")
        if folder is not None:
            write_figures(drawn, folder, temporary, csv_for=csv_for)
    gaps = tuple(block for section in sections for block in section.blocks if isinstance(block, Gap))
    return ReportSummary(
        page, len(text.encode()), tuple(section.title for section in sections), gaps, tuple(files)
    )


def _path(given: AnyPath | None) -> Path | None:
    return None if given is None else Path(given)


def _subtitle(cache: Cache) -> str:
    rows = np.flatnonzero(cache.labels >= 0)
    persons = n_persons(repeating(cache.groups[rows]))
    who = sample_text(len(rows), int(cache.labels[rows].sum()), persons, "labelled")
    return f"{who}, {cache.tables.n_images:,} images; cache {cache.path.name}"
