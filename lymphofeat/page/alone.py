"""The page of one patient as a file of its own."""

from pathlib import Path

from ..explanation import Explanation
from ..progress import Progress, Silent
from ..storage.addresses import study_place
from ..storage.atomic import atomic_write
from ..storage.paths import AnyPath
from .cells import patient_section
from .render import render_page
from .sources import Places, find_sources

__all__ = ["write_patient_page"]


def write_patient_page(
    explanation: Explanation,
    cache: AnyPath,
    study: AnyPath,
    out: AnyPath,
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write the page of an explained patient, whose ID is shown: one HTML file that needs no network.

    Where `evaluate` has kept its predictions beside the study, the page says what they are for this patient.

    Args:
        explanation: of `explain`.
        cache, study: that it was made from.
        out: the page.
        force: replace an existing file.
        progress: told of the images that are read.

    Raises:
        InputError: the file exists and `force` is false, or an evaluation of the study cannot be read.
        CacheError, StudyError: as of `explain`.
    """
    sources = find_sources(Places(Path(cache), study_place(study)), ids=True)
    section = patient_section(sources, explanation, progress or Silent())
    text = render_page(f"Patient {explanation.id}", [section])
    with atomic_write(Path(out), overwrite=force) as temporary:
        temporary.write_text(text, encoding="utf-8")
