"""What the answers of the checklists are made from, each read once."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..cache.encoding import Encoding
from ..cache.reader import Cache
from ..cache.split import JOINT
from ..cohort.exclusions import Exclusion, exclusions_from_text, without_names
from ..estimates.persons import n_persons, repeating
from ..estimates.scores import Interval
from ..final.selected_model import FinalModel, final_model
from ..studies.selection import DEFAULT, rule_named
from ..studies.summary import StudySummary
from .records import EvaluationRecord
from .sources import Sources

__all__ = ["Answer", "Known", "interval_of", "many"]


@dataclass(frozen=True)
class Known:
    """The sources of a report, with what several answers need of them."""

    sources: Sources

    @property
    def cache(self) -> Cache:
        """The cache."""
        return self.sources.cache

    @property
    def study(self) -> StudySummary:
        """The study; only for answers that need one."""
        assert self.sources.study is not None, "an answer lacks its need of `tune`"
        return self.sources.study

    @property
    def evaluation(self) -> EvaluationRecord:
        """The evaluation; only for answers that need one."""
        assert self.sources.evaluation is not None, "an answer lacks its need of `evaluate`"
        return self.sources.evaluation

    @cached_property
    def model(self) -> FinalModel:
        """The selected model of the study."""
        selection = self.sources.selection
        return final_model(
            self.cache, self.study, rule=selection.select, trial=selection.trial, ensemble=selection.ensemble
        )

    @property
    def rule(self) -> str:
        """How the model was selected, in the middle of a sentence."""
        selection, n = self.sources.selection, len(self.model.members)
        if selection.trial is not None:
            return f"trial {selection.trial}, chosen by hand"
        if selection.ensemble is not None:
            return f"an ensemble of {n} heads"
        return rule_named(selection.select or DEFAULT).words_for(n)

    @cached_property
    def encodings(self) -> list[Encoding]:
        """Those that heads are given: of the study, without one the cache's default ones."""
        study = self.sources.study
        families = self.cache.default_encoder_family if study is None else study.encoding
        return [one for family in families.split(JOINT) for one in self.cache.members(family)]

    @cached_property
    def labels(self) -> NDArray[np.int8]:
        """(n,) of the labelled patients."""
        return self.cache.labels[self.cache.labelled]

    @cached_property
    def patients(self) -> pd.DataFrame:
        """(n,) rows of the labelled patients; never shown one by one."""
        return self.cache.tables.patients.iloc[self.cache.labelled]

    @property
    def noun(self) -> str:
        """What a row of the table is: a patient, or a record where some person has several."""
        several = n_persons(repeating(self.cache.groups[self.cache.labelled])) is not None
        return "record" if several else "patient"

    @property
    def n_test(self) -> int:
        """Patients of the test part."""
        return int((self.cache.tables.patients["split"] == "test").sum())

    @cached_property
    def exclusions(self) -> list[Exclusion]:
        """Who and what was left out, by reasons without IDs and names of files."""
        return without_names(exclusions_from_text(self.cache.tables.exclusions), self.cache.ids)

    @cached_property
    def fold_sizes(self) -> list[tuple[int, int]]:
        """Per fold of the first repeat, its patients and the malignant ones of them."""
        folds = self.cache.folds[self.cache.labelled, 0]
        return [(int((folds == k).sum()), int(self.labels[folds == k].sum())) for k in np.unique(folds)]

    def missing(self) -> dict[str, int]:
        """Per clinical value, of how many labelled patients it is not known."""
        found = {
            "age": int(self.patients["age"].isna().sum()),
            "sex": int((self.patients["sex"] == "").sum()),
            "lymphocyte count": int(self.patients["lymphocyte_count"].isna().sum()),
        }
        for name in self.cache.tables.declared:
            found[name] = int((self.patients[name].isna() | (self.patients[name] == "")).sum())
        return found

    def scores(self) -> dict[str, Interval]:
        """Per metric the nested score."""
        rows = self.evaluation.table("metrics").to_dict("records")
        return {str(row["metric"]): interval_of({str(key): row[key] for key in row}) for row in rows}

    def rows(self, table: str) -> Iterator[dict[str, Any]]:
        """The rows of a table of the evaluation."""
        for row in self.evaluation.table(table).to_dict("records"):
            yield {str(key): value for key, value in row.items()}


def interval_of(row: Mapping[str, Any], name: str = "") -> Interval:
    """A value and its bounds in a row."""
    keys = (name, f"{name}_low", f"{name}_high") if name else ("value", "low", "high")
    return Interval(*(float(row[key]) for key in keys))


class Answer(NamedTuple):
    """An answer of a checklist.

    Attributes:
        say: the answer in sentences; "" where what was kept does not tell, as of an earlier version.
        needs: commands without whose results there is no answer.
    """

    say: Callable[[Known], str]
    needs: tuple[str, ...] = ()


def many(n: int, noun: str) -> str:
    """As "1 head" or "2,000 images"."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
