"""What the parts of a source hold, read once before anything is written: rows, width, encoder, unit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..progress import Progress
from .causes import Causes, UnusableError
from .hdf5 import AGAIN
from .parts import NOUNS, Loaded, Part, as_rows

__all__ = ["SEVERAL_ENCODERS", "Facts", "inspect_parts", "one_unit"]

SEVERAL_ENCODERS = "more than one encoder"  # a cause


@dataclass(frozen=True)
class Facts:
    """What a part holds.

    Attributes:
        part: which.
        shape: rows, numbers a row.
        encoder: the encoder's name; "" where it is not said.
        unit: what a row is; "" where it is not said.
        digest: of the rows.
        names: one per row: the slide, and the place of the row in it.
        microns_per_pixel: of the patches; None where it is not said.
    """

    part: Part
    shape: tuple[int, int]
    encoder: str
    unit: str
    digest: str
    names: tuple[str, ...]
    microns_per_pixel: float | None = None

    def rows(self) -> NDArray[np.float32]:
        """(n, D) float32, read again.

        Raises:
            InputError: the file is another by now.
        """
        try:
            rows = as_rows(self.part.load())
        except UnusableError as error:
            raise InputError(f"{self.part.where}: {error.cause}; {error.remedy}.") from error
        if _digest(rows) != self.digest:
            raise InputError(f"{self.part.where} changed while it was read; run the command again.")
        return rows


def inspect_parts(
    found: Mapping[str, Sequence[Part]], causes: Causes, progress: Progress
) -> dict[str, list[Facts]]:
    """Read every part of every patient.

    Args:
        found: the parts by patient.
        causes: told of what cannot be used, and of parts that differ from the others in what they must share.
        progress: told of parts.

    Returns:
        What the parts hold, by patient.
    """
    facts: dict[str, list[Facts]] = {}
    progress.start("reading features", sum(map(len, found.values())), "files")
    try:
        for patient, parts in found.items():
            facts[patient] = []
            for part in parts:
                try:
                    facts[patient].append(_facts(part))
                except UnusableError as error:
                    causes.add(error.cause, part.where, error.remedy)
                progress.advance()
    finally:
        progress.stop()
    _check_alike(facts, causes)
    return facts


def _facts(part: Part) -> Facts:
    loaded = part.load()
    rows = as_rows(loaded)
    unit = loaded.unit or ("slide" if loaded.features.ndim == 1 else "")
    shape = (rows.shape[0], rows.shape[1])
    return Facts(
        part,
        shape,
        loaded.encoder,
        unit,
        _digest(rows),
        _names(part, loaded, rows),
        loaded.microns_per_pixel,
    )


def _digest(rows: NDArray[np.float32]) -> str:
    return blake2b(rows.data, digest_size=16).hexdigest()


def _names(part: Part, loaded: Loaded, rows: NDArray[np.float32]) -> tuple[str, ...]:
    slide = PurePosixPath(part.name).name
    if loaded.places is not None and len(loaded.places) == len(rows):
        return tuple(f"{slide}@{x:g},{y:g}" for x, y in loaded.places[:, :2].tolist())
    return (slide,) if len(rows) == 1 else tuple(f"{slide}/{k}" for k in range(len(rows)))


def _check_alike(facts: Mapping[str, Sequence[Facts]], causes: Causes) -> None:
    """One encoder, else one kind of row and one width; and no features of one patient at another's."""
    each = [one for own in facts.values() for one in own]
    if (
        _differ(
            each, lambda one: one.encoder or "no name", "encoder", "name the folder of one encoder", causes
        )
        or _differ(
            each,
            lambda one: NOUNS[one.unit][1] if one.unit else "rows of unknown kind",
            "kind of row",
            "import one kind at a time",
            causes,
        )
        or _differ(
            each,
            lambda one: f"{one.shape[1]:,}",
            "width",
            "leave out the files of another encoder",
            causes,
        )
    ):
        return
    owner: dict[str, tuple[str, Facts]] = {}
    for patient, own in facts.items():
        for one in own:
            other, first = owner.setdefault(one.digest, (patient, one))
            if other != patient:
                causes.add(
                    "the same features at two patients",
                    f"{one.part.where} ({patient}) and {first.part.where} ({other})",
                    AGAIN,
                )


def _differ(
    facts: Sequence[Facts], value: Callable[[Facts], str], what: str, remedy: str, causes: Causes
) -> bool:
    """Whether the parts differ in something; it is told with the first files of each value, the most common first."""
    groups: dict[str, list[str]] = {}
    for one in facts:
        groups.setdefault(value(one), []).append(one.part.where)
    if len(groups) < 2:
        return False
    for name, files in sorted(groups.items(), key=lambda group: -len(group[1])):
        more = f" and {len(files) - 2:,} more" if len(files) > 2 else ""
        causes.add(f"more than one {what}", f"{name} ({', '.join(files[:2])}{more})", remedy)
    return True


def one_unit(facts: Mapping[str, Sequence[Facts]], given: str | None, *, slides: bool, causes: Causes) -> str:
    """What a row is: what the user says, if the files say nothing else, else what the files say."""
    stated = next((one.unit for own in facts.values() for one in own), "")
    if given and stated and given != stated:
        causes.add(
            f"rows that are no {NOUNS[given][1]}",
            f"the files say {NOUNS[stated][1]}",
            "leave --unit out",
        )
    single = all(len(own) == 1 and own[0].shape[0] == 1 for own in facts.values())
    return given or ("patient" if single and not slides and stated in ("", "slide") else stated)
