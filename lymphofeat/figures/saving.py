"""A figure as files for a paper, and as markup for the page."""

import re
from collections.abc import Iterable, Mapping
from io import StringIO
from pathlib import Path

from matplotlib.figure import Figure

from ..storage.atomic import atomic_writes
from ..storage.csv_tables import write_csv
from .drawn import Drawn
from .style import COLOURS, paper_style

__all__ = ["FORMATS", "figure_files", "page_svg", "save_figures", "write_figures"]

FORMATS = ("pdf", "svg", "png")
_DPI = 300
_NOTHING = {
    "pdf": {"CreationDate": None},
    "svg": {"Date": None},
    "png": {},
}  # the same figure, the same bytes


def figure_files(folder: Path, names: Iterable[str]) -> list[Path]:
    """The files that `save_figures` writes for figures of these names."""
    return [folder / f"{name}.{suffix}" for name in names for suffix in (*FORMATS, "csv")]


def save_figures(
    drawn: Iterable[Drawn], folder: Path, *, force: bool = False, csv_for: str = "programs"
) -> list[Path]:
    """Write each figure as PDF, SVG and PNG (300 dots per inch, white paper), and its numbers as CSV.

    Args:
        drawn: figures of different names.
        folder: made if need be.
        force: replace files that exist.
        csv_for: as of `storage.csv_tables.write_csv`.

    Returns:
        The files; all are whole before the first takes its place.

    Raises:
        InputError: a file exists already; nothing was written.
    """
    every = list(drawn)
    files = figure_files(folder, [one.name for one in every])
    if files:
        with atomic_writes(files, overwrite=force) as temporary:
            write_figures(every, folder, temporary, csv_for=csv_for)
    return files


def write_figures(
    drawn: Iterable[Drawn], folder: Path, temporary: Mapping[Path, Path], *, csv_for: str = "programs"
) -> None:
    """As `save_figures`, into files that `atomic_writes` moves into place together with others.

    Args:
        drawn, folder, csv_for: as of `save_figures`.
        temporary: by each of `figure_files`, where to write it.
    """
    for one in drawn:
        for suffix in FORMATS:
            _save(one.figure, temporary[folder / f"{one.name}.{suffix}"], suffix)
        write_csv(one.table, temporary[folder / f"{one.name}.csv"], csv_for=csv_for)


def _save(figure: Figure, path: Path, suffix: str) -> None:
    with paper_style(), path.open("wb") as file:
        figure.savefig(file, format=suffix, dpi=_DPI, facecolor="white", metadata=_NOTHING[suffix])


def page_svg(drawn: Drawn) -> str:
    """The figure as an `<svg>` element: as wide as its column allows, colours as variables of the style sheet.

    The element has the role of an image and the figure's alternative text; its ids are its own on the page.
    """
    buffer = StringIO()
    with paper_style():
        drawn.figure.savefig(buffer, format="svg", metadata=_NOTHING["svg"])
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    for colour, name in COLOURS.items():
        text = text.replace(colour, f"var(--{name})")
    # Glyphs and clip paths are referred to by id, and several figures stand on one page.
    text = re.sub(r'\bid="', f'id="{drawn.name}-', text)
    text = re.sub(r'(xlink:href|href)="#', rf'\1="#{drawn.name}-', text)
    text = text.replace("url(#", f"url(#{drawn.name}-")
    width = drawn.figure.get_figwidth() * 96
    opening = f'<svg role="img" aria-labelledby="{drawn.name}-alt" style="max-width: {1.5 * width:.0f}px" '
    text = re.sub(r'^<svg ([^>]*?)height="[^"]*" ', r"<svg \1", text, flags=re.S)
    text = re.sub(r'^<svg ([^>]*?)width="[^"]*" ', r"<svg \1", text, flags=re.S)
    return text.replace("<svg ", opening, 1).strip()
