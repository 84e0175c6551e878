"""An export and its predictions in the terminal; 80 columns suffice."""

from collections import Counter

from rich.console import Console

from ..bundle.export import ExportSummary
from ..bundle.predict import PredictSummary
from ..studies.describe import describe_head
from .printing import show

__all__ = ["render_export", "render_predictions"]


def render_export(summary: ExportSummary, console: Console) -> None:
    """Print what is in the bundle, and its digest."""
    size = summary.n_bytes / 1e6
    show(console, (f"Wrote {summary.path}", "bold"), f": {size:.1f} MB, SHA-256 {summary.digest}")
    show(console, summary.model.reason)
    for trial, weight in summary.model.members:
        show(console, f"  {weight:.2f} × trial {trial.number}: {describe_head(trial)}")
    fits = "one fit" if summary.n_fits == 1 else f"{summary.n_fits} fits"
    if summary.encoders:
        kinds = dict.fromkeys(f"{one.backbone}, {one.origin}" for one in summary.encoders)
        noun = "encoder" if len(summary.encoders) == 1 else "encoders"
        show(console, f"{fits} of each, {len(summary.encoders)} {noun}: {'; '.join(kinds)}")
    else:
        show(console, f"{fits} of each; no images are used")
    if not summary.nested:
        show(
            console,
            (
                "The scores on the model card come from the same patients as the selection, as the card says.",
                "yellow",
            ),
        )
    show(console, "Intended use and limits: README.md in the bundle.")


def render_predictions(summary: PredictSummary, console: Console) -> None:
    """Print how many patients got which answer, and the warnings."""
    decisions = Counter(summary.table["decision"])
    listed = ", ".join(
        f"{decisions[word]} {word}" for word in ("reactive", "malignant", "refer") if decisions[word]
    )
    n = len(summary.table)
    show(console, (f"Wrote {summary.path}", "bold"), f": {n} {'patient' if n == 1 else 'patients'}, {listed}")
    show(console, f"Model {summary.bundle.files.root}, SHA-256 {summary.bundle.digest}")
    for note in summary.notes:
        show(console, note)
    kinds = Counter(text.partition(" (")[0].partition(" outside")[0].strip("0123456789. ")
                    for row in summary.table["warnings"] for text in row.split("; ") if text)  # fmt: skip
    if kinds:
        warned = int((summary.table["warnings"] != "").sum())
        each = ", ".join(f"{kind} ({count})" for kind, count in kinds.most_common())
        show(console, (f"{warned} of {n} patients with warnings: {each}", "yellow"))
