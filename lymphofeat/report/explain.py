"""The explanation of one patient in the terminal and as a CSV file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.text import Text
from scipy.special import logit

from ..encoder.morphology.features import feature_named
from ..explanation import Explanation
from ..explanation.images import Method
from ..storage.csv_tables import write_csv
from ..storage.provenance import write_with_record
from ..studies.describe import describe_head, describe_heads
from ..wording import CLASSES, number
from .printing import PlainTable, show

__all__ = [
    "digits_for",
    "fitting_in_words",
    "measured_in_words",
    "methods_in_words",
    "render_explanation",
    "several_in_words",
    "shares_in_words",
    "value_in_words",
    "write_explanation",
]

_METHODS: Mapping[Method, str] = {
    "exact": "Each image's share of the image part is exact: the log-odds are a sum over images.",
    "attention": "Each image's share is its attention times its own log-odds; it depends on all images together.",
    "leave-one-out": "Each image's share is the log-odds minus the log-odds without it; shares need not add up.",
    "none": "The head sees no image.",
}
# The same of several heads, each with the number of those that it is true of.
_OF_SEVERAL: Mapping[Method, str] = {
    "exact": "{} whose log-odds are a sum over images, exactly",
    "attention": "{} by attention times the image's own log-odds, which depends on all images together",
    "leave-one-out": "{} by the log-odds minus those without the image; such shares need not add up",
    "none": "{} that see no image and add 0",
}
_MEASURED = (
    "Measurements of the cells: the log-odds minus those with the training patients' typical value in place of this "
    "patient's; shares need not add up."
)
_VALUES = (
    "Clinical values: the log-odds minus those with the training patients' median or commonest value in place of this "
    "patient's; shares need not add up."
)
_NEAREST = 1e-12  # of a probability to 0 and 1, where it has log-odds


def render_explanation(explanation: Explanation, console: Console, *, top: int = 9) -> None:
    """Print which heads decided, the parts of the log-odds, and the `top` images of either side; 80 columns suffice."""
    e = explanation
    said = CLASSES[int(e.probability >= e.threshold)]
    truth = f", labelled {CLASSES[e.label]}" if e.label in CLASSES else ""
    show(
        console,
        (f"Patient {e.id}", "bold"),
        f": probability of malignant {e.probability:.3f}, threshold {e.threshold:.3f}: {said}{truth}",
    )
    show(console, e.reason)
    trials = [trial for trial, _ in e.members]
    if len(trials) == 1:
        show(console, f"Head (trial {trials[0].number}): {describe_head(trials[0])}; {fitting_in_words(e)}")
    else:
        show(console, f"Mean of {len(trials)} heads: {describe_heads(trials)}; {fitting_in_words(e)}")
    show(
        console,
        f"{_log_odds(e)} {number(e.parts.logit, 2, signed=True)} = typical "
        f"{number(e.parts.base, 2, signed=True)}, images {number(e.parts.image, 2, signed=True)}, clinical values "
        f"{number(e.parts.clinical, 2, signed=True)}",
    )
    for sentence in (several_in_words(e), methods_in_words(e)):
        if sentence:
            show(console, sentence)
    if e.values is not None:
        show(console, _VALUES)
        show(console, _values_table(e.values))
    if set(e.methods) != {"none"}:
        show(console, _table(e.images, top))
    if e.measurements is not None and set(e.methods) != {"none"}:
        show(console, _MEASURED)
        show(console, _measured_table(e.measurements, top))


def write_explanation(
    explanation: Explanation, path: Path, *, force: bool = False, csv_for: str = "programs"
) -> None:
    """Write the images as a CSV file: image, contribution, attention; towards malignant first.

    Beside it, `NAME.made.json` says how it was made.

    Raises:
        InputError: the file exists and `force` is false.
    """
    about = {"patient": explanation.id}
    with write_with_record(path, about, overwrite=force) as temporary:
        write_csv(explanation.images, temporary, csv_for=csv_for, digits=6)


def fitting_in_words(e: Explanation) -> str:
    """On whom the heads were fitted: "fitted on 36 patients, without fold 1, the fold of this patient"."""
    each = "" if len(e.members) == 1 else "each "
    if e.fold is not None:
        return f"{each}fitted on {e.n_trained_on} patients, without fold {e.fold}, the fold of this patient"
    if e.n_models > 1:
        return f"{each}averaged over {e.n_models} fits, one on the training patients of each encoder"
    return f"{each}fitted on all {e.n_trained_on} labelled patients"


def _log_odds(e: Explanation) -> str:
    return "Log-odds" if _n_models(e) == 1 else "Mean log-odds"


def _n_models(e: Explanation) -> int:
    return len(e.members) * e.n_models


def several_in_words(e: Explanation) -> str:
    """That a mean of log-odds is not the log-odds of the mean probability, where there are several."""
    if _n_models(e) == 1:
        return ""
    own = float(logit(np.clip(e.probability, _NEAREST, 1 - _NEAREST)))
    return (
        f"These are means over the {_fitted(e)}, so they add up; the log-odds of the mean probability are "
        f"{number(own, 2, signed=True)} and differ where the heads disagree."
    )


def _fitted(e: Explanation) -> str:
    return f"{_n_models(e)} fitted heads" if e.n_models > 1 else f"{_n_models(e)} heads"


def methods_in_words(e: Explanation, *, brackets: bool = True) -> str:
    """How the shares were found, and for how many heads; and what stands in brackets behind them, if anything does."""
    said = shares_in_words(e.methods, _n_models(e), _fitted(e))
    if brackets and e.n_attending and len(e.methods) > 1:
        said += f" In brackets: the attention of the {e.n_attending} that have it."
    return said


def shares_in_words(methods: Mapping[Method, int], n_models: int, fitted: str) -> str:
    """How the images' shares were found.

    Args:
        methods: method → fitted heads.
        n_models: fitted heads.
        fitted: what they are called, such as "10 heads".
    """
    if len(methods) == 1:
        (method,) = methods
        if n_models == 1 or method != "none":
            return _METHODS[method]
        return "None of the heads sees an image."
    each = "; ".join(
        text.format(methods[method]) for method, text in _OF_SEVERAL.items() if method in methods
    )
    return f"Each image's share is a mean over the {fitted}: {each}."


def _table(images: pd.DataFrame, top: int) -> PlainTable:
    """The images that pull hardest to either side, beside each other; an image pulls to one side only."""
    known = images[images["contribution"].notna()]
    sides = (
        known[known["contribution"] > 0].head(top),
        known[known["contribution"] < 0].iloc[::-1].head(top),
    )
    weighed = bool(images["attention"].notna().any())
    table = PlainTable()
    for title in ("towards malignant", "towards reactive"):
        table.add_column(title, style="cyan", overflow="fold")
        table.add_column("", justify="right", no_wrap=True)
    for k in range(max(map(len, sides))):
        cells: list[str] = []
        for side in sides:
            if k < len(side):
                row = side.iloc[k]
                attention = f" ({100 * row['attention']:.0f} %)" if weighed else ""
                cells += [
                    str(row["image"]),
                    number(row["contribution"], digits_for(images), signed=True) + attention,
                ]
            else:
                cells += ["", ""]
        table.add_row(*cells)
    return table


def _measured_table(measurements: pd.DataFrame, top: int) -> PlainTable:
    """The measurements that pull hardest to either side, in words."""
    table = PlainTable(show_header=False)
    table.add_column("", overflow="fold")
    table.add_column("", justify="right", no_wrap=True)
    digits = digits_for(measurements)
    for title, side in (
        ("towards malignant", measurements[measurements["contribution"] > 0].head(top)),
        ("towards reactive", measurements[measurements["contribution"] < 0].iloc[::-1].head(top)),
    ):
        if len(side):
            table.add_row(Text(title, style="cyan"), "")
        for row in side.to_dict("records"):
            table.add_row(f"  {measured_in_words(row)}", number(row["contribution"], digits, signed=True))
    return table


def _values_table(values: pd.DataFrame) -> PlainTable:
    """The clinical values, each with what it adds, in words."""
    table = PlainTable(show_header=False)
    table.add_column("", overflow="fold")
    table.add_column("", justify="right", no_wrap=True)
    digits = digits_for(values)
    for row in values.to_dict("records"):
        table.add_row(value_in_words(row), number(row["contribution"], digits, signed=True))
    return table


def value_in_words(row: Mapping[Any, Any]) -> str:
    """A row of `Explanation.values`: "haemoglobin 8.1 g/dl, smaller than that of 92 % of reactive patients"."""
    said = f"{row['value']} {row['text']}"
    other = "reactive" if row["contribution"] > 0 else "malignant"
    share = float(row[f"above_{other}"])
    if np.isnan(share):
        return said
    more, whom = _compared(share, int(row[f"n_{other}"]), other)
    return f"{said}, {'larger' if more else 'smaller'} than that of {whom}"


def _compared(share: float, n: int, other: str) -> tuple[bool, str]:
    """Whether a value is larger than those of most of `n` patients, and than those of how many it is so, in words."""
    more = share >= 0.5
    beyond = share if more else 1 - share
    return more, f"all {n} {other} patients" if beyond == 1 else f"{100 * beyond:.0f} % of {other} patients"


def measured_in_words(row: Mapping[Any, Any]) -> str:
    """A row of `Explanation.measurements`: "larger nuclei than 92 % of reactive patients".

    What speaks for malignant is compared with the reactive training patients, what speaks for reactive with the
    malignant ones.
    """
    name = str(row["measurement"])
    other = "reactive" if row["contribution"] > 0 else "malignant"
    more, whom = _compared(float(row[f"above_{other}"]), int(row[f"n_{other}"]), other)
    stem, _, pooling = name.rpartition("_")
    feature = feature_named(stem)
    plain = name.replace("_", " ")
    if feature is None:
        return f"{plain} {'above' if more else 'below'} that of {whom}"
    if pooling == "std":
        return (
            f"{stem.replace('_', ' ')} {'more' if more else 'less'} varied from cell to cell than in {whom}"
        )
    return f"{feature.higher if more else feature.lower} than {whom}"


def digits_for(images: pd.DataFrame) -> int:
    """Digits that tell the largest contribution to two places."""
    largest = float(np.nanmax(images["contribution"].abs(), initial=0.0))
    return 3 if largest >= 0.01 or largest == 0 else 2 - int(np.floor(np.log10(largest)))
