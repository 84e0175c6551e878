"""The cohort: who was included, what they are like, and what must not decide but could."""

from collections.abc import Callable, Iterator

import pandas as pd

from ..cache.reader import Cache
from ..cohort.exclusions import by_reason, exclusions_from_text, name_remover
from ..cohort.persons import persons
from ..figures.flow import EXCLUDED, FOUND, INCLUDED, REASON, flow_figure
from ..figures.shortcuts import shortcuts_figure
from ..progress import Progress
from .blocks import Block, FigureBlock, Gap, Section, Table, Text
from .names import Names
from .records_check import CheckRecord
from .sources import Sources
from .table_one import CLASSES, TEST, UNLABELLED, groups_of, table_one

__all__ = ["cohort_section", "flow_of"]

# What `check` warns of, by its cause; another cause is named as it is.
_CAUSES = {
    "age-contradiction": "Ages that contradict dates of birth",
    "alike-ids": "IDs that look alike",
    "ambiguous-dates": "Dates that can be read in two ways",
    "bit-depth": "Images of more than 8 bits a channel",
    "copies-between-patients": "Nearly the same picture in two patients",
    "copies-in-patient": "Nearly the same picture twice in a patient",
    "crop": "Images of which only the centre is used",
    "duplicate-image": "The same image file twice",
    "excluded-twice": "Excluded twice",
    "few-patients": "Few patients",
    "formula-id": "IDs that a spreadsheet takes for formulas",
    "id-characters": "IDs with unusual characters",
    "image-mode": "Images that are not RGB",
    "implausible-age": "Implausible ages",
    "implausible-count": "Implausible lymphocyte counts",
    "left-out": "Patients that `[rows]` of the layout leaves out",
    "no-birth": "Dates of birth that are missing",
    "no-examination": "Records with neither an age nor a date of examination",
    "not-an-image-name": "Files that are not images",
    "odd-size": "Images of another size than most",
    "pages": "Files of several images",
    "person-in-both-parts": "Persons in the labelled and in the test part",
    "person-with-both-labels": "Persons with records of both classes",
    "person-with-both-sexes": "Persons with records of both sexes",
    "person-with-two-births": "Persons with several dates of birth",
    "person-with-many-records": "Persons with many records",
    "person-without-sex": "Records without sex that may be of two persons",
    "placeholder-date": "Dates of birth that stand for “not known”",
    "stray-images": "Images outside the patients' folders",
    "test-label": "Labels in the test part",
    "unknown-excluded": "Rows of exclude.csv that leave out nothing",
    "year-of-birth-only": "Years of birth without a day",
}


def cohort_section(sources: Sources, progress: Progress) -> Section:
    """The flow of patients, Table 1, the shortcut audit and the warnings of `check`."""
    return Section("cohort", "The cohort", list(_blocks(sources)))


def _blocks(sources: Sources) -> Iterator[Block]:
    cache = sources.cache
    who = persons(cache.tables.patients)
    records = "records" if len(set(who.tolist())) < len(who) else "patients"
    yield FigureBlock(flow_figure(flow_of(cache, sources.names, sources.check), records))
    yield table_one(cache.tables.patients, cache.tables.declared)
    if sources.check is not None:
        yield from _checked(sources.check)
    elif cache.tables.has_digests:
        yield sources.gap("check")
    else:
        yield Gap(sources.missing["check"])


def flow_of(cache: Cache, names: Names, check: CheckRecord | None = None) -> pd.DataFrame:
    """The rows of `figures.flow.flow_figure`.

    Args:
        cache: its patients, and who was excluded from its cohort.
        names: where IDs are not shown, they are taken out of the reasons.
        check: its exclusions stand in for those of a cache of earlier versions, which keeps none.
    """
    patients = cache.tables.patients
    reasons = _reasons(cache, names)
    if not len(reasons) and check is not None:
        reasons = check.exclusions
    left = (int(reasons["patients"].sum()), int(reasons["images"].sum()))
    n = (len(patients), cache.tables.n_images)
    rows: list[tuple[str, str, int, int]] = [
        (FOUND, "", n[0] + left[0], n[1] + left[1]),
        (EXCLUDED, "", *left),
        *(
            (REASON, str(r), int(p), int(i))
            for r, p, i in reasons[["reason", "patients", "images"]].to_numpy()
        ),
        (INCLUDED, "", *n),
    ]
    group = groups_of(patients)
    for name in (*CLASSES, UNLABELLED, TEST):
        own = patients["n_images"][(group == name).to_numpy()]
        if len(own) or name in CLASSES:
            rows.append((name, "", len(own), int(own.sum())))
    return pd.DataFrame(rows, columns=["step", "reason", "patients", "images"])


def _reasons(cache: Cache, names: Names) -> pd.DataFrame:
    exclusions = exclusions_from_text(cache.tables.exclusions)
    hide: Callable[[str], str] = str
    if not names.shown:
        ids = [*names.ids, *(one.patient for one in exclusions)]
        hide = name_remover(dict.fromkeys(ids, "another patient"))
    rows = [(hide(one.reason), one.n_patients, one.n_images) for one in by_reason(exclusions)]
    return pd.DataFrame(rows, columns=["reason", "patients", "images"])


def _checked(found: CheckRecord) -> Iterator[Block]:
    """The shortcut audit in a figure and in words, and the warnings by their cause."""
    if len(found.audit):
        yield FigureBlock(shortcuts_figure(found.audit))
        if sentences := [str(one) for one in found.audit["sentence"] if one]:
            yield Text(sentences, listed=True)
    else:
        yield Text(["No shortcut audit: it needs two labelled patients of each class."])
    if len(found.warnings):
        causes = [_cause(str(code)) for code in found.warnings["cause"]]
        words = {"cause": causes, "warnings": [f"{n:,}" for n in found.warnings["n"]]}
        caption = "Warnings of `lymphofeat check` by their cause; the command names the files and rows"
        yield Table("warnings", caption, found.warnings, words, values={"warnings": "n"})
    else:
        yield Text(["`lymphofeat check` has no warning about this cohort."])


def _cause(code: str) -> str:
    return _CAUSES.get(code, code.replace("-", " ").capitalize())
