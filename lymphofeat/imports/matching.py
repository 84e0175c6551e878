"""Whose each slide is: by the source itself, by the table of slides, or by the name of its file or folder."""

from collections.abc import Collection, Mapping
from pathlib import PurePosixPath

from .causes import Causes
from .parts import Part

__all__ = ["by_patient"]


def by_patient(
    parts: Collection[Part],
    ids: Collection[str],
    slides: Mapping[str, str],
    causes: Causes,
    left_out: list[str] | None = None,
) -> dict[str, list[Part]]:
    """The parts of each patient, by name; IDs and names of slides are whole words.

    Args:
        parts: of the source.
        ids: of the patients, in the order of the result.
        slides: by slide, its patient.
        causes: told of parts of nobody, of patients without any, and of slides that are there twice.
        left_out: told of parts of nobody and of patients without any in the causes' place, where they may be left out.
    """
    found: dict[str, list[Part]] = {name: [] for name in ids}
    seen: dict[str, str] = {}
    for part in sorted(parts, key=lambda one: one.name):
        whose = _patient(part, found, slides)
        if whose is None:
            if left_out is None:
                causes.add("features of no patient in the table", part.where, _of_nobody(slides))
            else:
                left_out.append(f"{part.where}: its patient is not in the table")
            continue
        slide = f"{whose}/{PurePosixPath(part.name).name}"
        if slide in seen:
            causes.add(
                "slides that are there twice", f"{part.where} and {seen[slide]}", "leave one of the files out"
            )
        seen[slide] = part.where
        found[whose].append(part)
    for name in [name for name, own in found.items() if not own]:
        if left_out is None:
            causes.add(
                "patients without features", name, "add their files, or leave the patients out by --leave-out"
            )
        else:
            left_out.append(f"{name}: has no features")
        del found[name]
    return found


def _patient(part: Part, ids: Collection[str], slides: Mapping[str, str]) -> str | None:
    path = PurePosixPath(part.name)
    named = (
        part.patient,
        slides.get(part.name, ""),
        slides.get(path.name, ""),
        path.name,
        *path.parts[-2::-1],
    )
    if part.patient:
        return part.patient if part.patient in ids else None
    return next((name for name in named if name and name in ids), None)


def _of_nobody(slides: Mapping[str, str]) -> str:
    if slides:
        return "add them to the table of slides, or leave them out by --leave-out"
    return (
        "name the files or their folders by the patients' IDs, or give a table of slides (--slides TABLE.csv with a "
        "column of patients and one of slides), or leave them out by --leave-out"
    )
