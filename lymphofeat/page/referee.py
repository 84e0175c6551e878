"""The section for the referee: the items of reporting checklists, answered as far as the program knows the answers.

Every answer is made from the sources of this very report. An item whose source is missing names the command that makes
it; an item that only the author can answer says what to write.
"""

import tomllib
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from ..progress import Progress
from . import checklist_cohort, checklist_model
from .blocks import Block, Section, Text, csv_link
from .known import Answer, Known
from .sources import Sources

__all__ = ["Checklist", "Item", "checklists", "referee_section"]

State = Literal["answered", "in part", "for the author", "not run"]
STATES: Mapping[State, str] = {
    "answered": "answered by the program",
    "in part": "answered in part",
    "for the author": "left to the author",
    "not run": "waiting for a command",
}

_FOLDER = Path(__file__).parent / "checklists"
_FILES = ("tripod_ai.toml", "stard_ai.toml")
_BY_NUMBER = "by_number.toml"
_ANSWERS: Mapping[str, Answer] = {**checklist_cohort.ANSWERS, **checklist_model.ANSWERS}
_FOUND_IN = {"tune": "study", "evaluate": "evaluation", "compare": "comparison"}


@dataclass(frozen=True)
class Item:
    """An item of a checklist, and its answer.

    Attributes:
        number: in the checklist, such as "12a".
        topic, asks: what it is about and asks for, in our words.
        state: how far it is answered.
        answer: in sentences; "" where there is none.
        author: what the author writes; "" where nothing is left.
        command: that makes the missing source; "" where none is missing.
        where: id of the section that has more; "" where none has.
    """

    number: str
    topic: str
    asks: str
    state: State
    answer: str = ""
    author: str = ""
    command: str = ""
    where: str = ""

    @property
    def pieces(self) -> list[str]:
        """The answer in turn as text and, from between backticks, as code."""
        return self.answer.split("`")


@dataclass(frozen=True)
class Checklist(Block):
    """A checklist with its answers.

    Attributes:
        id: of its heading; the items' ids begin with it.
        name, title, source: of the checklist.
        items: in its order.
    """

    template = "checklist.html.j2"
    id: str
    name: str
    title: str
    source: str
    items: Sequence[Item]

    @cached_property
    def counts(self) -> dict[State, int]:
        """How many items are in each state."""
        found = Counter(item.state for item in self.items)
        return {state: found[state] for state in STATES}

    @property
    def summary(self) -> str:
        """The counts as a sentence."""
        parts = [f"{n} {STATES[state]}" for state, n in self.counts.items() if n]
        return f"{len(self.items)} items: {', '.join(parts)}."

    @property
    def frame(self) -> pd.DataFrame:
        """A row per item: item, topic, asks, state, answer, author, command."""
        names = ("number", "topic", "asks", "state", "answer", "author", "command")
        rows = [[getattr(item, name) for name in names] for item in self.items]
        return pd.DataFrame(rows, columns=["item", *names[1:]])

    @property
    def csv(self) -> str:
        """The frame as a `data:` address."""
        return csv_link(self.frame)

    @property
    def markdown(self) -> str:
        """The checklist as a page of Markdown, for a supplement."""
        lines = ["| item | asks for | answer |", "|---|---|---|"]
        for item in self.items:
            cells = (item.number, f"{item.topic}: {item.asks}", " ".join(_left(item)))
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        return f"# {self.name}\n\n{self.source}\n\n{self.summary}\n\n" + "\n".join(lines) + "\n"

    @property
    def markdown_link(self) -> str:
        """The page of Markdown as a `data:` address."""
        return "data:text/markdown;charset=utf-8;base64," + b64encode(self.markdown.encode()).decode()


def _left(item: Item) -> list[str]:
    """The answer, and what is left to do."""
    parts = [item.answer] if item.answer else []
    if item.author:
        parts.append(f"[Author: {item.author}]")
    if item.command:
        parts.append(f"[Not run: `{item.command}`]")
    return parts


def referee_section(sources: Sources, progress: Progress) -> Section:
    """TRIPOD+AI and STARD-AI item by item, CLAIM and PROBAST by number."""
    intro = Text(
        [
            "The items stand by number in words of our own; read them beside the published checklists. Every number is "
            "from the sources of this report. What is left to the author is marked, with what to write."
        ]
    )
    blocks: list[Block] = [intro, *checklists(sources)]
    blocks.append(Text([_by_number(one, sources) for one in _toml(_BY_NUMBER)["list"]], listed=True))
    return Section("referee", "For the referee", blocks)


def checklists(sources: Sources) -> list[Checklist]:
    """The checklists with all their answers."""
    known = Known(sources)
    found = []
    for file in _FILES:
        raw = _toml(file)
        items = [_item(one, known) for one in raw["item"]]
        found.append(Checklist(raw["id"], raw["name"], raw["title"], raw["source"], items))
    return found


def _toml(file: str) -> dict[str, Any]:
    return tomllib.loads((_FOLDER / file).read_text(encoding="utf-8"))


def _item(raw: Mapping[str, str], known: Known) -> Item:
    number, topic, asks, author = raw["number"], raw["topic"], raw["asks"], raw.get("author", "")
    if "answer" not in raw:
        return Item(number, topic, asks, "for the author", author=author)
    answer = _ANSWERS[raw["answer"]]
    lacking = [one for one in answer.needs if getattr(known.sources, _FOUND_IN[one]) is None]
    said = "" if lacking else answer.say(known)
    if not said:
        made = known.sources.gap((lacking or answer.needs)[0]).shown
        return Item(number, topic, asks, "not run", author=author, command=made)
    state: State = "in part" if author else "answered"
    return Item(number, topic, asks, state, said, author, where=raw.get("where", ""))


def _by_number(raw: Mapping[str, Any], sources: Sources) -> str:
    """The numbers of a checklist whose text may not be repeated."""
    there = {"cache": True, "study": sources.study is not None, "evaluation": sources.evaluation is not None}
    touched = sorted((n for name, yes in there.items() if yes for n in raw[name]), key=_order)
    note = f" {raw['note']}" if "note" in raw else ""
    return (
        f"{raw['name']} ({raw['source']}), whose text may not be repeated here: this report has something on "
        f"{', '.join(touched)}.{note}"
    )


def _order(number: str) -> tuple[int, ...]:
    return tuple(int(part) for part in number.split("."))
