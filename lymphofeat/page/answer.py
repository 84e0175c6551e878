"""The first section: the score to quote, and what it stands against."""

from ..progress import Progress
from ..report.assess_cells import SHOWN, cells
from .blocks import Block, Section, Table, Text
from .sources import Sources

__all__ = ["answer_section"]

_NAME = "pipelines"
_VALUES = {"balanced\naccuracy": "balanced_accuracy", "AUC": "auc", "bal. accuracy, t": "balanced_accuracy_t"}


def answer_section(sources: Sources, progress: Progress) -> Section:
    """The sentences of `evaluate`, as it prints them, and the nested score of every pipeline."""
    found = sources.evaluation
    blocks: list[Block] = []
    if found is None:
        why = sources.missing.get("evaluate", "")
        blocks.append(sources.gap("evaluate", what=f"{why}, so there is no score to quote"))
        if sources.study is not None:
            blocks.append(Text([_selected(sources)]))
        return Section("answer", "Answer", blocks)
    blocks.append(Text(found.answer, listed=True))
    shown, frame = SHOWN[_NAME], found.tables[_NAME]
    rows = cells(shown, frame)
    titles = [title.replace("\n", " ") for title in shown.columns]
    words = {title: [row[k] for row in rows] for k, title in enumerate(titles)}
    values = {title: _VALUES.get(old, old) for title, old in zip(titles, shown.columns, strict=True)}
    blocks.append(Table(_NAME, shown.caption_for(found.n_persons), frame, words, values=values))
    if found.notes:
        blocks.append(Text(found.notes))
    return Section("answer", "Answer", blocks)


def _selected(sources: Sources) -> str:
    """What the search alone allows to be said."""
    study = sources.study
    assert study is not None
    return study.caveat
