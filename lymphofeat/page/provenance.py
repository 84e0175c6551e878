"""The section on provenance: how each step was made, on which machine, from what, and how to repeat it."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..progress import Progress
from ..storage.provenance import MACHINE, PACKAGES, bare_words, made_by
from ..wording import duration
from .blocks import Block, Section, Table, Text
from .names import Names
from .sources import Sources

__all__ = ["Commands", "Step", "commands_in_order", "provenance_section", "shown_command", "steps"]

_HIDDEN = "…"
_NOT_RECORDED = "not recorded"
_FROM_PYTHON = "from Python"
_SHORT = 12  # digits of a digest that are shown; the cell holds all


@dataclass(frozen=True)
class Step:
    """One thing that was made.

    Attributes:
        name: the command's name.
        what: what it made, such as the name of an encoding; never the name of a patient.
        made: what was kept of the command; see `storage.provenance.made_by`.
        seconds: that it took, all runs together; NaN where that was not kept.
    """

    name: str
    what: str
    made: Mapping[str, str]
    seconds: float = float("nan")

    def command(self, names: Names) -> str:
        """The command with names of files only, without patients unless they are shown."""
        if "command" not in self.made:
            return _NOT_RECORDED
        return shown_command(self.made["command"], names) or _FROM_PYTHON

    @property
    def machine(self) -> str:
        """Processor, cores, memory, system."""
        found = {key: self.made[key] for key in MACHINE if self.made.get(key)}
        if "cores" in found:
            found["cores"] = f"{found['cores']} core{'' if found['cores'] == '1' else 's'}"
        return ", ".join(found.values()) or _NOT_RECORDED


@dataclass(frozen=True)
class Commands(Block):
    """Commands to copy, one a line.

    Attributes:
        title: heading.
        lines: the commands.
        note: a sentence below.
    """

    template = "commands.html.j2"
    title: str
    lines: Sequence[str]
    note: str = ""


def provenance_section(sources: Sources, progress: Progress) -> Section:
    """Steps, versions, digests, folds and seeds, and the commands in order."""
    found = list(steps(sources))
    blocks: list[Block] = [
        _steps_table(found, sources.names),
        _versions_table(found),
        _digests_table(sources),
        _folds_table(sources),
        Text(_seeds(sources), listed=True),
    ]
    if lines := commands_in_order(found, sources.names):
        note = "In the order in which they ended; names of files without their folders."
        if any(step.command(sources.names) in (_NOT_RECORDED, _FROM_PYTHON) for step in found):
            note += " Some steps are not among them: they were made from Python, or their command was not recorded."
        blocks.append(Commands("How to repeat it", lines, note))
    return Section("provenance", "Provenance", blocks)


def steps(sources: Sources) -> Iterator[Step]:
    """What was made, in the order of the work."""
    if sources.check is not None:
        yield Step("check", sources.check.path.name, sources.check.made)
    encodings = sources.cache.everything.values()
    for one in sorted(encodings, key=lambda encoding: (encoding.by.get("at", ""), encoding.name)):
        seconds = one.made.get("seconds")
        yield Step("extract", one.name, one.by, float("nan") if seconds is None else float(seconds))
    if sources.study is not None:
        study = sources.study
        known = {"lymphofeat": str(study.provenance.get("lymphofeat", "")), **study.by}
        yield Step("tune", study.path.name, known, study.seconds)
    if sources.evaluation is not None:
        yield Step("evaluate", sources.evaluation.path.name, sources.evaluation.made)
    if sources.comparison is not None:
        yield Step("compare", sources.comparison.path.name, sources.comparison.made)
    yield Step("report", "this page", made_by())


def commands_in_order(found: Sequence[Step], names: Names) -> list[str]:
    """Each command once, in the order in which they ended; a step without a time stays behind the one before it."""
    at, timed = "", []
    for step in found:
        at = step.made.get("at") or at
        timed.append((at, step.command(names)))
    ordered = dict.fromkeys(command for _, command in sorted(timed, key=lambda pair: pair[0]))
    return [command for command in ordered if command not in (_NOT_RECORDED, _FROM_PYTHON)]


def shown_command(command: str, names: Names) -> str:
    """A command with names of files only; patients in it are hidden unless they are shown.

    The patient that `explain` was asked about is hidden whether the cohort knows them or not. A bare number is taken
    for a patient only where it does not follow an option.
    """
    try:
        words = bare_words(shlex.split(command))
    except ValueError:  # no command that a shell takes
        return ""
    if names.shown:
        return shlex.join(words)
    ids = set(names.ids)
    explained = "explain" in words[1:2]
    shown = []
    for before, word in zip(["", *words], words, strict=False):
        value = word.partition("=")[2] if word.startswith("--") and "=" in word else word
        follows = before.startswith("--") or value is not word
        patient = (value in ids and not (value.isdigit() and follows)) or Path(value).stem in ids - {value}
        positional = (
            explained and not word.startswith("-") and not before.startswith("-") and word != "explain"
        )
        hidden = patient or (positional and before != "")
        shown.append(_HIDDEN if hidden else shlex.quote(word))
    return " ".join(shown)


def _steps_table(found: Sequence[Step], names: Names) -> Table:
    frame = pd.DataFrame(
        {
            "step": [step.name for step in found],
            "made": [step.what for step in found],
            "command": [step.command(names) for step in found],
            "ended": [step.made.get("at", "") for step in found],
            "seconds": [step.seconds for step in found],
            **{key: [step.made.get(key, "") for step in found] for key in MACHINE},
        }
    )
    shown = {
        "step": frame["step"].tolist(),
        "made": frame["made"].tolist(),
        "command": frame["command"].tolist(),
        "ended (UTC)": [_minute(at) or _NOT_RECORDED for at in frame["ended"]],
        "took": ["—" if np.isnan(seconds) else duration(seconds) for seconds in frame["seconds"]],
        "machine": [step.machine for step in found],
    }
    caption = "How each part was made. The time of tune is that of scoring, all processes together."
    return Table("steps", caption, frame, shown, values={"ended (UTC)": "ended", "took": "seconds"})


def _minute(at: str) -> str:
    """As 2026-11-26 20:29."""
    return at[:16].replace("T", " ")


def _versions_table(found: Sequence[Step]) -> Table:
    columns = ("lymphofeat", "python", *PACKAGES)
    there = [name for name in columns if any(step.made.get(name) for step in found)]
    frame = pd.DataFrame(
        {
            "step": [step.name for step in found],
            "made": [step.what for step in found],
            **{name: [step.made.get(name, "") for step in found] for name in there},
        }
    )
    shown = {str(name): [value or "—" for value in frame[name]] for name in frame.columns}
    return Table("versions", "Versions of the packages behind each step.", frame, shown)


def _digests_table(sources: Sources) -> Table:
    cache = sources.cache
    rows = [
        ("cohort: images, labels, values, folds", cache.fingerprint),
        ("images", cache.tables.images_key),
        ("labelled patients", sources.digest),
    ]
    for name, one in cache.everything.items():
        rows.append((f"features of {name}", one.digest))
        rows.append((f"weights of {name}", str(one.attrs.get("weights_digest", ""))))
        rows.append((f"trained network of {name}", one.network))
    rows = [(what, digest) for what, digest in rows if digest]
    frame = pd.DataFrame(rows, columns=["of", "digest"])
    shown = {"of": frame["of"].tolist(), "digest": [one[:_SHORT] for one in frame["digest"]]}
    caption = f"Digests of content, the first {_SHORT} digits of each; the CSV file has all."
    return Table("digests", caption, frame, shown)


def _folds_table(sources: Sources) -> Table:
    cache = sources.cache
    labels = cache.labels[cache.labelled]
    rows = []
    for repeat in range(cache.folds.shape[1]):
        folds = cache.folds[cache.labelled, repeat]
        for fold in np.unique(folds).tolist():
            own = labels[folds == fold]
            rows.append((repeat, fold, len(own), int((own == 1).sum()), int((own == 0).sum())))
    frame = pd.DataFrame(rows, columns=["repeat", "fold", "patients", "malignant", "reactive"])
    first = frame[frame["repeat"] == 0]
    shown = {str(name): [str(value) for value in first[name]] for name in frame.columns if name != "repeat"}
    n = cache.folds.shape[1]
    caption = "Folds" if n == 1 else f"Folds of the first repeat; the CSV file has all {n}"
    return Table("folds", caption, frame, shown, rows=list(range(len(first))))


def _seeds(sources: Sources) -> list[str]:
    """How folds were dealt, and seeds, each with what it decides."""
    said = [
        "Folds were dealt once, stratified by diagnosis; records that may be of one person share a fold.",
        f"Seed of the folds: {sources.cache.fold_seed}.",
    ]
    for name, one in sources.cache.everything.items():
        if (seed := one.attrs.get("seed")) is not None:
            said.append(f"Seed of the encoder {name}: {seed}.")
    if sources.study is not None:
        said.append(f"Seed of the search: {sources.study.provenance['seed']}.")
    if sources.evaluation is not None and sources.evaluation.search:
        search = sources.evaluation.search
        first, n = int(search.get("seed", 0)), int(search.get("seeds", 1))
        which = str(first) if n == 1 else f"{first} to {first + n - 1}"
        said.append(f"Seed{'' if n == 1 else 's'} of the searches inside outer folds: {which}.")
    return said
