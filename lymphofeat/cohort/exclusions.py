"""Patients and images that the cohort's `exclude.csv` leaves out, each with its reason; see `cohort.exclude_table`."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

from .problems import counted

__all__ = [
    "Exclusion",
    "Reason",
    "by_reason",
    "excluded_patients",
    "exclusions_from_text",
    "exclusions_summary",
    "exclusions_text",
    "name_remover",
    "without_names",
]

_MOST_REASONS = 5
_IMAGE_FILE = re.compile(r"\S+\.(?:jpe?g|png|tiff?|bmp|gif|webp|p[bgp]m|jp2)(?!\w)", re.IGNORECASE)


@dataclass(frozen=True)
class Exclusion:
    """One patient or one image that is left out.

    Attributes:
        patient: the ID; a pseudonym where the cohort's IDs are.
        image: the path in the patient's folder; "" for the whole patient.
        reason: as the table gives it.
        n_images: how many images this leaves out.
        label: 0 reactive, 1 malignant, −1 not known; test patients have −1.
        split: "train" or "test"; "" where it is not known.
        place: of a single image, its place among all images of the patient, from 1; 0 for the whole patient.
    """

    patient: str
    image: str
    reason: str
    n_images: int
    label: int = -1
    split: str = ""
    place: int = 0

    @property
    def sentence(self) -> str:
        """`P3 (12 images): wrong stain`, or `P3, 004.png: blurred`."""
        what = f", {self.image}" if self.image else f" ({counted(self.n_images, 'image')})"
        return f"{self.patient}{what}: {self.reason}"


def exclusions_summary(exclusions: Sequence[Exclusion], *, labels: bool = False) -> str:
    """Counts and reasons: `2 patients, 13 images: blurred 9, wrong stain 4, consent withdrawn 2`.

    Images are those left out one by one, beside those of the patients. Each patient and each such image counts once
    for its reason, whatever the reason's case. With `labels`, the patients are counted by label too, where it is known:
    `2 patients (1 reactive, 1 malignant)`.
    """
    whole = [one for one in exclusions if not one.image]
    single = len(exclusions) - len(whole)
    known = Counter(one.label for one in whole)
    each = ", ".join(
        f"{known[label]} {word}" for label, word in enumerate(("reactive", "malignant")) if known[label]
    )
    patients = counted(len(whole), "patient") + (f" ({each})" if labels and each else "")
    parts = [patients] * bool(whole) + [counted(single, "image")] * bool(single)
    return f"{', '.join(parts) or 'nobody'}{': ' if exclusions else ''}{_reasons(exclusions)}"


class Reason(NamedTuple):
    """What was left out for one reason.

    Attributes:
        reason: as it was first written.
        n: patients, and images one by one, each of which counts once.
        n_patients: of these, patients.
        n_images: images that this leaves out, those of the patients among them.
    """

    reason: str
    n: int
    n_patients: int
    n_images: int


def by_reason(exclusions: Iterable[Exclusion]) -> list[Reason]:
    """The reasons, whatever their case, the commonest first."""
    found: dict[str, list[Exclusion]] = {}
    for one in exclusions:
        found.setdefault(one.reason.casefold(), []).append(one)
    ranked = [
        Reason(
            each[0].reason, len(each), sum(not one.image for one in each), sum(one.n_images for one in each)
        )
        for each in found.values()
    ]
    return sorted(ranked, key=lambda one: -one.n)


def _reasons(exclusions: Iterable[Exclusion]) -> str:
    ranked = by_reason(exclusions)
    words = [f"{one.reason} {one.n:,}" for one in ranked[:_MOST_REASONS]]
    if rest := ranked[_MOST_REASONS:]:
        words.append(f"{counted(len(rest), 'other reason')} {sum(one.n for one in rest):,}")
    return ", ".join(words)


def name_remover(names: Mapping[str, str]) -> Callable[[str], str]:
    """What takes IDs and names of image files out of a reason.

    Args:
        names: ID → what stands in its place, wherever the ID is a word of its own, in any case.

    Returns:
        A function from a text to one with neither.
    """
    by_case = {name.casefold(): other for name, other in names.items()}
    words = "|".join(map(re.escape, sorted(names, key=len, reverse=True))) or r"(?!)"
    ids = re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE)

    def other(found: re.Match[str]) -> str:
        return names.get(found[0]) or by_case.get(found[0].casefold(), "another patient")

    return lambda text: ids.sub(other, _IMAGE_FILE.sub("another image", text))


def without_names(exclusions: Iterable[Exclusion], known: Iterable[object]) -> list[Exclusion]:
    """The exclusions without IDs, and with reasons without IDs and names of image files.

    Args:
        exclusions: who and what was left out.
        known: IDs of the other patients.
    """
    found = list(exclusions)
    ids = dict.fromkeys([*map(str, known), *(one.patient for one in found)], "another patient")
    hidden = name_remover(ids)
    return [replace(one, patient="", reason=hidden(one.reason)) for one in found]


def exclusions_text(exclusions: Sequence[Exclusion]) -> str:
    """The exclusions as JSON in ASCII, for a cache; "" where there are none."""
    return json.dumps([asdict(one) for one in exclusions]) if exclusions else ""


def exclusions_from_text(text: str) -> tuple[Exclusion, ...]:
    """The exclusions that `exclusions_text` wrote.

    Raises:
        ValueError: it did not.
    """
    try:
        return tuple(Exclusion(**one) for one in json.loads(text)) if text else ()
    except TypeError as error:
        raise ValueError(f"not the text of exclusions ({error})") from error


def excluded_patients(text: str) -> dict[str, str]:
    """Patients who are left out as a whole, by ID the reason.

    Args:
        text: of `exclusions_text`.

    Raises:
        ValueError: as `exclusions_from_text`.
    """
    return {one.patient: one.reason for one in exclusions_from_text(text) if not one.image}
