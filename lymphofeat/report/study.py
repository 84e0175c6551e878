"""A study and a submission in the terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..studies.submit import SubmissionSummary
from ..studies.summary import StudySummary, TrialSummary
from .numbers import compact_interval

__all__ = ["describe_head", "render_study", "render_submission"]

_COLUMNS = (("balanced_accuracy", "balanced accuracy"), ("auc", "AUC"), ("log_loss", "log loss"))


def render_study(summary: StudySummary, console: Console) -> None:
    """Print the best trial with the controls beside it, what was measured, and that it was selected."""
    noun = "trial" if summary.n_trials == 1 else "trials"
    console.print(f"[bold]Study {escape(str(summary.path))}[/bold]: {summary.n_trials} finished {noun}")
    console.print(
        escape(f"Measured on {summary.measured_on}; ( – ) is the 95 % bootstrap interval by patient.")
    )
    console.print(_scores_table(summary))
    best = summary.best
    console.print(f"Best head (trial {best.number}): {escape(describe_head(best.params))}")
    deviations = ", ".join(f"{name} {best.fold_sd[metric]:.3f}" for metric, name in _COLUMNS)
    console.print(f"Standard deviation over the {best.scores.cuts.size} folds: {deviations}")
    console.print(escape(summary.cut_note))
    console.print(f"[yellow]{escape(summary.caveat)}[/yellow]")


def render_submission(summary: SubmissionSummary, console: Console) -> None:
    """Print what was written, by which head, and what that head reached in cross-validation."""
    malignant, n_test = int(summary.predicted.sum()), len(summary.ids)
    noun = "patient" if n_test == 1 else "patients"
    console.print(
        f"[bold]Wrote {escape(str(summary.path))}[/bold]: {n_test} test {noun}, {malignant} called malignant "
        f"(probability ≥ {summary.cut:.3f})"
    )
    if summary.probabilities_path is not None:
        console.print(f"Wrote {escape(str(summary.probabilities_path))}: their probabilities")
    study = summary.study
    fitted = (
        f"fitted once on all {study.n_patients} labelled patients"
        if summary.n_models == 1
        else f"averaged over {summary.n_models} fits, each head on its encoder's training patients"
    )
    console.print(f"Head (trial {study.best.number}): {escape(describe_head(study.best.params))}; {fitted}")
    scores = ", ".join(
        f"{name} {compact_interval(study.best.intervals[metric])}" for metric, name in _COLUMNS
    )
    console.print(escape(f"In cross-validation: {scores}"))
    console.print(
        escape(f"Measured on {study.measured_on}; ( – ) is the 95 % bootstrap interval by patient.")
    )
    console.print(f"[yellow]{escape(study.caveat)}[/yellow]")


def describe_head(params: Mapping[str, Any]) -> str:
    """A point of the search space in words."""
    regression = f"logistic regression (C {params['C']:.3g}"
    regression += ", balanced classes)" if params["class_weight"] == "balanced" else ")"
    if params["inputs"] == "clinical":
        return f"age, sex, log count → {regression}"
    steps = [f"{params['pooling']} pooling", "unit variance" if params["scale"] else "centred"]
    if params["reduce"] == "pca":
        steps.append(f"PCA {params['components']}")
    if params["inputs"] == "both":
        steps.append("with age, sex, log count")
    return " → ".join([*steps, regression])


def _scores_table(summary: StudySummary) -> Table:
    """A row per metric, so that 80 columns suffice however many metrics there are."""
    columns: list[tuple[str, TrialSummary | None]] = [
        ("best", summary.best),
        ("clinical only", summary.best_clinical),
        ("images only", summary.best_image),
    ]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", style="cyan", no_wrap=True)
    for name, trial in columns:
        table.add_column(f"{name}\n{_number(trial)}", no_wrap=True)
    for metric, name in _COLUMNS:
        cells = ("" if t is None else compact_interval(t.intervals[metric]) for _, t in columns)
        table.add_row(f"{name} ↓" if metric == "log_loss" else name, *cells)
    return table


def _number(trial: TrialSummary | None) -> str:
    return "not tried" if trial is None else f"trial {trial.number}"
