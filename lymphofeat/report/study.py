"""A study and a submission in the terminal; 80 columns suffice."""

from rich.console import Console

from ..final.ensemble import Ensemble
from ..final.selected_model import FinalModel, selection_sentence
from ..final.submit import SubmissionSummary
from ..metric import METRICS
from ..studies.average import Average
from ..studies.describe import describe_head, describe_heads
from ..studies.next_step import next_step
from ..studies.summary import StudySummary, TrialSummary
from ..wording import compact_difference, compact_interval, metric_label, sample_text
from .printing import PlainTable, show

__all__ = ["render_study", "render_submission"]

_MOST_PARAMETERS = 5


def render_study(summary: StudySummary, console: Console) -> None:
    """Print the best trial, the control experiments, the best of each head type, and that all were selected."""
    noun = "trial" if summary.n_trials == 1 else "trials"
    pruned = f", {summary.n_pruned} of them stopped early" if summary.n_pruned else ""
    show(console, (f"Study {summary.path}", "bold"), f": {summary.n_trials} finished {noun}{pruned}")
    for line in (*summary.failures, *summary.left_out.values()):
        show(console, line)
    show(console, summary.caption)
    show(console, _scores_table(summary))
    best = summary.best
    show(console, f"Best head (trial {best.number}): {describe_head(best)}")
    shown = ("balanced_accuracy", "auc", "log_loss")
    deviations = ", ".join(f"{metric_label(metric)} {best.fold_sd[metric]:.3f}" for metric in shown)
    show(console, f"Standard deviation over the {best.scores.thresholds.size} folds: {deviations}")
    show(console, summary.threshold_note)
    if len(summary.leaderboard) > 1:
        show(console)
        show(console, _leaderboard(summary))
    show(console)
    show(console, _importance(summary))
    show(console, f"Next: {next_step(summary)}")
    show(console, (summary.caveat, "yellow"))
    show(console, selection_sentence(summary, summary.selected))
    chosen = [trial for trial, _ in summary.selected.members]
    if len(chosen) > 1:
        show(console, f"  {describe_heads(chosen)}")
    elif chosen[0].number != best.number:
        show(console, f"  trial {chosen[0].number}: {describe_head(chosen[0])}")


def render_submission(summary: SubmissionSummary, console: Console) -> None:
    """Print what was written, by which heads, what they reached in cross-validation, and how often it was done."""
    malignant, n_test = int(summary.predicted.sum()), len(summary.ids)
    noun = "patient" if n_test == 1 else "patients"
    show(
        console,
        (f"Wrote {summary.path}", "bold"),
        f": {n_test} test {noun}, {malignant} called malignant (probability ≥ {summary.threshold:.3f})",
    )
    if summary.probabilities_path is not None:
        show(console, f"Wrote {summary.probabilities_path}: their probabilities")
    study = summary.study
    fitted = (
        f"fitted once on all {sample_text(study.n_patients, None, study.n_persons, 'labelled')}"
        if summary.n_models == 1
        else f"averaged over {summary.n_models} fits, each head on its encoder's training patients"
    )
    model = summary.model
    show(console, model.reason)
    if model.ensemble is None:
        _render_members(model, fitted, console)
        scores = ", ".join(
            f"{metric_label(metric)} {compact_interval(model.bootstrap(metric).interval())}"
            for metric in METRICS
        )
        show(console, f"In cross-validation: {scores}")
    else:
        _render_ensemble(model.ensemble, fitted, console)
    show(console, study.caption)
    show(console, (model.caveat, "yellow"))
    for note in summary.notes:
        show(console, note)
    show(console, _counted(summary))


def _render_members(model: FinalModel, fitted: str, console: Console) -> None:
    if len(model.members) == 1:
        trial = model.members[0][0]
        show(console, f"Head (trial {trial.number}): {describe_head(trial)}; {fitted}")
        return
    show(console, f"Average of {len(model.members)} heads; {fitted}:")
    _render_weights(model.chosen, console)


def _render_weights(chosen: Average, console: Console) -> None:
    for trial, weight in chosen.members:
        show(console, f"  {weight:.2f} × trial {trial.number}: {describe_head(trial)}")


_RULE = {"single": "best head alone", "head types": "best of each head type", "greedy": "greedy selection"}


def _render_ensemble(ensemble: Ensemble, fitted: str, console: Console) -> None:
    show(console, f"Average of {len(ensemble.members)} heads ({_RULE[ensemble.rule]}); {fitted}:")
    _render_weights(ensemble, console)
    table = _table(metric_label(ensemble.metric))
    for column in ("heads", "selected", "nested"):
        table.add_column(column, justify="right" if column == "heads" else "left", no_wrap=True)
    for choice in ensemble.choices:
        scores = (compact_interval(choice.selected), compact_interval(choice.nested))
        style = "bold" if choice.rule == ensemble.rule else ""
        table.add_row(_RULE[choice.rule], str(len(choice.weights)), *scores, style=style)
    table.add_row("nested, rule included", "", "", compact_interval(ensemble.nested))
    show(console, table)
    show(
        console,
        f"Nested, the ensemble minus the best head alone: {compact_difference(ensemble.difference)}"
        + _undecided(ensemble),
    )


def _undecided(ensemble: Ensemble) -> str:
    if ensemble.difference.low <= 0 <= ensemble.difference.high:
        return "; these patients do not show which is better."
    return "."


def _counted(summary: SubmissionSummary) -> str:
    n, study = summary.n_submissions, summary.study.path.name
    if n == 1:
        return f"The first submission of this cohort ({summary.log})."
    return (
        f"Submission {n} of this cohort, {summary.n_of_study} of them by {study}, {summary.n_files} different tables "
        f"({summary.log}); each look at a leaderboard uses up some of its test set."
    )


def _scores_table(summary: StudySummary) -> PlainTable:
    """A row per metric, so that 80 columns suffice however many metrics there are."""
    columns: list[tuple[str, TrialSummary | None]] = [
        ("best", summary.best),
        ("clinical only", summary.best_clinical),
        ("images only", summary.best_image),
    ]
    table = _table("")
    for name, trial in columns:
        table.add_column(f"{name}\n{_number(trial)}", no_wrap=True)
    for metric in METRICS:
        cells = ("" if t is None else compact_interval(t.interval(metric)) for _, t in columns)
        table.add_row(METRICS[metric].header, *cells)
    return table


def _leaderboard(summary: StudySummary) -> PlainTable:
    table = _table("best of each head type")
    table.add_column("trials", justify="right")
    table.add_column("best", justify="right")
    table.add_column(metric_label(summary.metric), no_wrap=True)
    table.add_column("difference to the best", no_wrap=True)
    for entry in summary.leaderboard:
        leads = entry.trial is summary.best
        table.add_row(
            entry.head_type,
            str(entry.n_trials),
            str(entry.trial.number),
            compact_interval(entry.trial.interval(summary.metric)),
            "" if leads else compact_difference(summary.difference(entry.trial)),
            style="bold" if leads else "",
        )
    return table


def _table(first: str) -> PlainTable:
    table = PlainTable()
    table.add_column(first, style="cyan", no_wrap=True)
    return table


def _importance(summary: StudySummary) -> str:
    found = summary.importance
    if not found.shares:
        return found.note
    largest = list(found.shares.items())[:_MOST_PARAMETERS]
    listed = ", ".join(f"{name} {share:.2f}" for name, share in largest)
    return f"Parameters that separate good trials from the others: {listed}. {found.note}"


def _number(trial: TrialSummary | None) -> str:
    return "not tried" if trial is None else f"trial {trial.number}"
