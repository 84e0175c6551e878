"""How the tables of an assessment are shown: which columns, in which words. The CSV files hold all columns."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ..metric import NAMED
from ..wording import by_whom, metric_label, number, p_value, share

__all__ = ["SHOWN", "Shown", "cells"]

Row = Mapping[str, Any]
_NONE = "—"


@dataclass(frozen=True)
class Shown:
    """A table on the screen and on the page.

    Attributes:
        caption: what it says, and what its numbers are.
        columns: title → how a row's cell is worded.
        wanted: whether a row is shown; None: all are.
        on_page: whether the page has it, which names no patient.
    """

    caption: str
    columns: Mapping[str, Callable[[Row], str]]
    wanted: Callable[[Row], bool] | None = None
    on_page: bool = True

    def caption_for(self, n_persons: int | None) -> str:
        """The caption where so many persons have several records; None: where nobody has."""
        return self.caption.replace(by_whom(None), by_whom(n_persons))


def cells(shown: Shown, table: pd.DataFrame) -> list[list[str]]:
    """The cells of the rows that are shown."""
    rows: list[Row] = [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
    kept = [row for row in rows if shown.wanted is None or shown.wanted(row)]
    return [[word(row) for word in shown.columns.values()] for row in kept]


def interval(row: Row, name: str = "", *, signed: bool = False, percent: bool = False) -> str:
    """As 0.867 (0.80–0.92), +0.034 (−0.01 to +0.08), or 4 % (1–15); bounds that are not known are left out."""
    value, low, high = (
        row[key] for key in ((name, f"{name}_low", f"{name}_high") if name else ("value", "low", "high"))
    )
    if percent:
        text, bounds = share(value), [number(100 * x, 0) for x in (low, high)]
    else:
        text, bounds = number(value, signed=signed), [number(x, 2, signed=signed) for x in (low, high)]
    if bounds == [_NONE, _NONE]:
        return text if text == _NONE else f"{text} ({_NONE})"
    return f"{text} ({(' to ' if signed else '–').join(bounds)})"


def _score(name: str = "", *, signed: bool = False) -> Callable[[Row], str]:
    return lambda row: interval(row, name, signed=signed)


def _scores(*metrics: str) -> dict[str, Callable[[Row], str]]:
    return {NAMED[metric].header: _score(metric) for metric in metrics}


def _number(name: str, digits: int = 3, *, signed: bool = False) -> Callable[[Row], str]:
    return lambda row: number(row[name], digits, signed=signed)


def _share(name: str) -> Callable[[Row], str]:
    return lambda row: share(row[name])


def _text(name: str) -> Callable[[Row], str]:
    return lambda row: str(row[name])


def _label(name: str) -> Callable[[Row], str]:
    return lambda row: metric_label(row[name])


def _arrow(row: Row) -> str:
    name = row["metric"]
    return NAMED[name].header if name in NAMED else metric_label(name)


def _aim(row: Row) -> str:
    if row["rule"] == "cost":
        return f"{row['aim']:g} : 1"
    return share(row["aim"])


_OF = {"the decided": "decided", "all patients": "patients", "either class": "each class"}  # for 80 columns


def _target_error(row: Row) -> str:
    return f"{share(row['target_error'])} of {_OF[row['of']]}"


def _range(row: Row) -> str:
    return (
        _NONE if math.isnan(row["least"]) else f"{row['median']:.3g} ({row['least']:.3g}–{row['most']:.3g})"
    )


def _what(row: Row) -> str:
    return str(row["what"]).replace("auc", "AUC").replace("fleiss_kappa", "Fleiss' κ").replace("_", " ")


def _plain(row: Row) -> str:
    value = row["value"]
    return number(value, 0 if float(value).is_integer() else 3)


def _class(row: Row) -> str:
    return "malignant" if row["label"] == 1 else "reactive"


def _count(name: str) -> Callable[[Row], str]:
    return lambda row: number(row[name], 0 if float(row[name]).is_integer() else 1)


def _spread(row: Row, value: str, low: str, high: str) -> str:
    return f"{number(row[value])} ({number(row[low], 2)}–{number(row[high], 2)})"


_FEW_COVERAGES = (0.25, 0.5, 0.75, 0.9, 1.0)
_FEW_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)


def _is_among(name: str, values: tuple[float, ...]) -> Callable[[Row], bool]:
    return lambda row: any(math.isclose(row[name], value, abs_tol=1e-9) for value in values)


# In the order that they are shown; a table that is not here (patients) is in its CSV file only.
SHOWN: dict[str, Shown] = {
    "pipelines": Shown(
        "Nested scores. ( – ): 95 % interval by patient; t: corrected repeated k-fold t",
        {"pipeline": _text("pipeline"), **_scores("balanced_accuracy", "auc"),
         "bal. accuracy, t": _score("balanced_accuracy_t")},
    ),
    "confusion": Shown(
        "Confusion matrix: patients as the outer folds decide them, on average over the runs",
        {"true": _class, "patients": _text("n"), "called reactive": _count("called_reactive"),
         "called malignant": _count("called_malignant")},
    ),
    "differences": Shown(
        "Difference to each other pipeline on the same patients; p also adjusted by Holm",
        {"difference to": _text("other"),
         "by": lambda r: metric_label(r["metric"]).replace("balanced accuracy", "bal. acc."),
         "difference": _score("difference", signed=True), "p": lambda r: p_value(r["p"]),
         "p (Holm)": lambda r: p_value(r["p_holm"]),
         "correct only\nby this one": lambda r: f"{r['only_main_right']} : {r['only_other_right']}"},
    ),
    "optimism": Shown(
        "Optimism: selected minus nested score, losses reversed; inner: inside the folds",
        {"metric": _arrow, "nested": _number("nested"), "selected": _number("tuned"),
         "optimism": _score("optimism", signed=True), "inner": _number("inner_optimism", signed=True)},
    ),
    "metrics": Shown("All metrics of the nested predictions", {"metric": _arrow, "": _score()}),
    "subgroups": Shown(
        "Subgroups; fewer than five patients of a class are not scored",
        {"subgroup": _text("subgroup"), "n": _text("n"), "malignant": _text("malignant"),
         **_scores("balanced_accuracy", "auc")},
    ),
    "gains": Shown(
        "What images add to clinical values in subgroups; ( – ) not adjusted for their number",
        {"subgroup": _text("subgroup"), "n": _text("n"), "malignant": _text("malignant"),
         "bal. accuracy": _score("balanced_accuracy", signed=True), "AUC": _score("auc", signed=True)},
    ),
    "calibration": Shown(
        "Calibration inside the folds; if calibrated: the error of perfect probabilities",
        {"calibrator": _text("calibrator"), "slope": _score("calibration_slope"),
         "intercept": _number("calibration_intercept", 2), "error ↓": _score("calibration_error"),
         "if\ncalibrated": _number("error_if_calibrated"), NAMED["log_loss"].header: _number("log_loss")},
    ),
    "triage": Shown(
        "Deciding some patients, referring others; cross-validated: by other folds' rules",
        {"rule": _text("rule"), "target error": _target_error, "confidence": _share("confidence"),
         "decided": _share("decided"), "decided\n(cross-\nvalidated)": _share("measured_decided"),
         "observed\nerror": lambda r: interval(r, "measured_wrong", percent=True)},
    ),
    "risk_coverage": Shown(
        "Risk–coverage: error among the most certain; least: if the wrong were the last",
        {"decided": _share("coverage"), "error": _number("risk"), "least": _number("least_risk")},
        _is_among("coverage", _FEW_COVERAGES),
    ),
    "thresholds": Shown(
        "Thresholds from inner predictions; aim: cost missed : false alarm or sensitivity",
        {"rule": _text("rule"), "aim": _aim, "threshold": _number("threshold", 2), "sensitivity": _score("sensitivity"),
         "specificity": _score("specificity"), "cost": _number("mean_cost", 2)},
    ),
    "decision_curves": Shown(
        "Net benefit in true positives per patient, and differences (pointwise 95 %)",
        {"threshold": _number("threshold", 2), "model": _number("main"), "treat all": _number("treat_all"),
         "difference to treat all": _score("over_treat_all", signed=True),
         "difference to clinical only":
             lambda r: interval(r, "over_clinical", signed=True) if "clinical" in r else _NONE},
        _is_among("threshold", _FEW_THRESHOLDS),
    ),
    "stability": Shown("Stability", {"": _what, "value": _plain}),
    "choices": Shown(
        "Choices of the outer folds' searches; weight: of the heads with the parameter, share: of these; agreement: "
        "share of pairs of heads from two folds that agree",
        {"parameter": _text("parameter"), "weight": _share("weight"), "most often": _text("most_frequent"),
         "share": _share("share"), "agreement": _share("alike"), "range": _range},
    ),
    "simplest": Shown(
        "Pipelines, the simplest first; within: at most one standard error from the best",
        {"pipeline": _text("name"), "score": _number("score"), "within": lambda r: "yes" if r["within"] else "no"},
    ),
    "head_types": Shown(
        "Head types, selected scores of the search on all folds; the cheapest first",
        {"head type": _text("name"), "score": _number("score"), "within": lambda r: "yes" if r["within"] else "no"},
    ),
    "wrong": Shown(
        "Wrongly decided patients; probability: of malignant, by models without the patient",
        {"patient": _text("id"), "true": _class, "probability": _number("probability"),
         "wrong in": lambda r: f"{r['wrong_runs']} of {r['runs']} {'run' if r['runs'] == 1 else 'runs'}"},
        on_page=False,
    ),
    "permutation": Shown(
        "Permutation test: the whole pipeline with shuffled labels; ( – ): middle 95 % of the shuffles",
        {"metric": _label("metric"), "score": _number("value"), "shuffles": _text("shuffles"),
         "shuffled": lambda r: _spread(r, "shuffled_mean", "shuffled_q025", "shuffled_q975"),
         "p": lambda r: p_value(r["p"])},
    ),
    "learning_curve": Shown(
        "Learning curve, parameters held fixed; fitted: a − b n^(−c)",
        {"patients": _number("n", 0), "score": _score("score"), "fitted": _score("fitted"),
         "measured": lambda r: "yes" if r["measured"] else "extrapolated"},
    ),
}  # fmt: skip
