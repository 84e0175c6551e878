"""What `import` says."""

from collections import Counter

import numpy as np
from rich.console import Console

from ..cohort.problems import counted, listing
from ..imports.importing import ImportedPatient, ImportSummary
from ..imports.parts import NOUNS
from .printing import show

__all__ = ["render_import"]


def render_import(summary: ImportSummary, console: Console) -> None:
    """What a row is, whose the rows are, and what rests on the user's word."""
    s = summary
    rows = [one.n_rows for one in s.patients]
    labels = Counter(one.label for one in s.patients)
    show(console, f"{s.cache}: encoding ", (s.encoding, "bold"), f", {_rows(sum(rows), s)}")
    for note in s.notes:
        show(console, f"  {note}")
    show(
        console,
        f"  {counted(len(s.patients), 'patient')}: {labels[0]} reactive, {labels[1]} malignant, "
        f"{labels[-1]} without label",
    )
    if s.unit != "patient":
        show(
            console,
            f"  {NOUNS[s.unit][1]} per patient: {min(rows):,} to {max(rows):,}, median {np.median(rows):,.0f}",
        )
    show(console, f"  {_patient(s.patients[0], s)}")
    if s.left_out:
        show(console, f"  left out: {listing(s.left_out)}")
    if not s.unit:
        show(console, "  The files do not say what a row is; --unit patch, cell, slide or patient does.")
    show(
        console,
        "  The encoder counts as blind to every fold by your word (--saw-labels no). If it learnt from labels of these "
        "patients, every score is too good.",
    )


def _patient(one: ImportedPatient, summary: ImportSummary) -> str:
    """As: P1: 2 slides, 1,204 patches of 1,024 numbers by uni_v1."""
    slides = f"{counted(one.n_slides, 'slide')}, " if summary.slides else ""
    return f"{one.id}: {slides}{_rows(one.n_rows, summary)}"


def _rows(n: int, summary: ImportSummary) -> str:
    one, several = NOUNS[summary.unit]
    by = f" by {summary.encoder}" if summary.encoder else ""
    return f"{n:,} {one if n == 1 else several} of {counted(summary.dim, 'number')}{by}"
