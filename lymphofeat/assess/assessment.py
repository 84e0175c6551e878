"""Everything that nested predictions allow to be said, computed once, as tables of numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from ..errors import InputError
from ..estimates.persons import n_persons
from ..heads.registry import COSTS
from ..nested.result import Nested
from .answer import (
    Difference,
    OneStandardError,
    differences,
    one_standard_error,
    pipelines,
    role_of,
    simplicity,
)
from .benefit import decision_table
from .calibrated import calibration_table
from .decided import confusion_table, wrong_table
from .optimism import SelectedModels, optimism_table
from .predictions import predictions_table
from .runs import Runs, check_same_patients
from .stability import choices_table, patients_table, stability_table
from .subgroups import gains_table, subgroups_table
from .thresholds import thresholds_table
from .triaged import risk_coverage_table, triage_table

__all__ = ["Assessment", "assess"]


@dataclass(frozen=True)
class Assessment:
    """What is true of a pipeline, as far as its patients can tell.

    Attributes:
        name, encoding, metric: of the pipeline; its search maximised the metric.
        n, n_malignant: labelled patients; records, where persons have several.
        n_folds, n_runs: outer folds of a run, and runs (repeats of the folds × seeds).
        differences: the pipeline against each other one; Holm over all of them.
        simplest_pipeline: the one-standard-error rule over the pipelines.
        simplest_head_type: the same over the head types of the search on all folds, whose scores are selected;
            None without one.
        tables: by name, in the order they are shown; columns are described where each is made.
        notes: what is lacking and why.
        search: what was repeated inside the outer folds: trials, heads, inputs, missing_indicators, repeats, seeds,
            seed, select (the rule) and cohort (a digest); empty where that is not known.
        n_persons: of the records; None where no person has several.
    """

    name: str
    encoding: str
    metric: str
    n: int
    n_malignant: int
    n_folds: int
    n_runs: int
    differences: tuple[Difference, ...]
    simplest_pipeline: OneStandardError
    simplest_head_type: OneStandardError | None
    tables: Mapping[str, pd.DataFrame]
    notes: tuple[str, ...] = field(default=())
    search: Mapping[str, Any] = field(default_factory=dict)
    n_persons: int | None = None

    def __repr__(self) -> str:
        return (
            f"<Assessment of {self.name} on {self.n} patients ({self.n_malignant} malignant), {self.n_runs} × "
            f"{self.n_folds} folds; {len(self.tables)} tables: {', '.join(list(self.tables)[:6])} …>"
        )

    def with_table(self, name: str, table: pd.DataFrame, *notes: str) -> "Assessment":
        """The same with one more table, such as the learning curve's, and notes on it."""
        return replace(self, tables={**self.tables, name: table}, notes=(*self.notes, *notes))


def assess(
    main: Nested,
    others: Sequence[Nested],
    patients: pd.DataFrame,
    selected: SelectedModels | None = None,
    *,
    n_resamples: int = 2000,
    seed: int = 0,
    notes: Sequence[str] = (),
) -> Assessment:
    """Compute all tables; the same arguments give the same numbers.

    Args:
        main: the pipeline that is assessed.
        others: pipelines on the same patients: clinical only, untrained encoder, images only, …; the control experiment
            with shuffled labels has labels of its own.
        patients: rows of the patients with the columns id, and of sex, age, count, n_images, date_order those that are
            known; more rows than `main.ids` and any order are allowed.
        tuned: what the same search on all folds selected, for the optimism.
        n_resamples, seed: of every bootstrap.
        notes: sentences to be shown with the tables.

    Raises:
        InputError: pipelines on different patients or not complete, or a patient that the table lacks.
    """
    everyone = [main, *others]
    for other in others:
        check_same_patients(main, other)
    if selected is not None and selected.ids != main.ids:
        raise InputError("The selected score was measured on other patients than the nested one.")
    rows = _rows_of(main, patients)
    runs = Runs.of(main)
    roles = {role_of(other, main): other for other in reversed(others)}
    options = {"n_resamples": n_resamples, "seed": seed}
    found = differences(main, others, **options)
    simplest = one_standard_error(
        [(n.name, simplicity(n), Runs.of(n)) for n in everyone if role_of(n, main) != "shuffled"],
        main.metric,
        **options,
    )
    tables = {
        "pipelines": pipelines(everyone, **options),
        "differences": _as_table(found),
        "metrics": _metrics(runs, **options),
        "confusion": confusion_table(main),
        "optimism": optimism_table(main, selected, **options),
        "subgroups": subgroups_table(runs, rows, **options),
        "calibration": calibration_table(main, **options),
        "triage": triage_table(main),
        "thresholds": thresholds_table(main, seed=seed),
        "stability": stability_table(main, seed=seed),
        "choices": choices_table(main),
        "risk_coverage": risk_coverage_table(main, **options),
        "decision_curves": decision_table(main, roles.get("clinical"), **options),
        "simplest": simplest.table,
        "wrong": wrong_table(main),
        "patients": patients_table(main),
        "predictions": predictions_table(main, others),
    }
    if "clinical" in roles:
        tables["gains"] = gains_table(runs, Runs.of(roles["clinical"]), rows, **options)
    head_type = _simplest_head_type(selected, main.metric, **options)
    if head_type is not None:
        tables["head_types"] = head_type.table
    return Assessment(
        main.name, main.encoding, main.metric, len(main.y), int(main.y.sum()),
        len({fold.fold for fold in main.folds_of_runs}), main.n_runs, tuple(found), simplest, head_type, tables,
        (*notes, *_lacking(main, roles, tables)), n_persons=n_persons(main.groups),
    )  # fmt: skip


def _metrics(runs: Runs, *, n_resamples: int, seed: int) -> pd.DataFrame:
    """Columns metric, value, low, high, in the order of `estimates.DESCRIBED`."""
    found = runs.describe(n_resamples=n_resamples, seed=seed)
    return pd.DataFrame(
        [(name, *interval) for name, interval in found.items()], columns=["metric", "value", "low", "high"]
    )


def _as_table(found: Sequence[Difference]) -> pd.DataFrame:
    """A `Difference` a row: main, other, metric, difference with bounds, p values, McNemar's counts."""
    rows = [
        {
            "main": d.main, "other": d.other, "metric": d.metric, "difference": d.difference.value,
            "difference_low": d.difference.low, "difference_high": d.difference.high, "p": d.p_value,
            "p_holm": d.p_holm, "only_main_right": d.only_main, "only_other_right": d.only_other,
            "p_mcnemar": d.p_mcnemar,
        }
        for d in found
    ]  # fmt: skip
    return pd.DataFrame(rows)


def _simplest_head_type(
    selected: SelectedModels | None, metric: str, *, n_resamples: int, seed: int
) -> OneStandardError | None:
    if selected is None or not selected.of_head_types:
        return None
    candidates = [(name, COSTS.index(cost), runs) for name, (cost, runs) in selected.of_head_types.items()]
    return one_standard_error(candidates, metric, n_resamples=n_resamples, seed=seed)


def _rows_of(main: Nested, patients: pd.DataFrame) -> pd.DataFrame:
    """The table's rows of the scored patients, in their order."""
    by_id = patients.set_index(patients["id"].astype(str))
    absent = [i for i in main.ids if i not in by_id.index]
    if absent:
        raise InputError(
            f"The table of patients lacks {absent[0]!r}, who was scored; give the cache's own table."
        )
    return by_id.loc[list(main.ids)].reset_index(drop=True)


def _lacking(main: Nested, roles: Mapping[str, Nested], tables: Mapping[str, pd.DataFrame]) -> list[str]:
    notes = []
    if "clinical" not in roles and role_of(main) != "clinical":
        notes.append(
            "Clinical values alone were not evaluated, so it cannot be said what images add to them."
        )
    if len(tables["calibration"]) == 1:
        notes.append(
            "Some fold has no inner predictions of both classes: no calibrator and no threshold by sensitivity could "
            "be fitted inside the folds, and net benefit uses uncalibrated probabilities."
        )
    if main.n_runs == 1:
        notes.append("One run says nothing about how the next would decide; give more --repeats or --seeds.")
    if np.isnan(tables["optimism"]["tuned"]).all():
        notes.append(
            "No search on all folds was given, so there is no selected score to compare with the nested one."
        )
    return notes
