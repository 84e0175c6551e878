"""What `check` says of images that show one picture: each cell of them counts several times, or is in two patients."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .images import SIDE, ImageFacts
from .model import Cohort, Patient
from .perceptual import Copy, find_copies
from .problems import Problems, counted

__all__ = ["report_copies"]

_MOST = 3  # pairs that are named


def report_copies(cohort: Cohort, facts: Sequence[ImageFacts], problems: Problems) -> None:
    """Report near-duplicates, once for each pair of patients; byte-identical files are `report_duplicates`'.

    Args:
        cohort: the patients.
        facts: of each of `cohort.images`.
        problems: where to report.
    """
    first_of = {fact.digest: i for i, fact in reversed(list(enumerate(facts)))}
    judged = [i for i, fact in enumerate(facts) if fact.thumbnail and first_of[fact.digest] == i]
    if len(judged) < 2:
        return
    thumbnails = np.frombuffer(b"".join(facts[i].thumbnail for i in judged), dtype=np.uint8)
    copies = find_copies(
        thumbnails.reshape(-1, SIDE, SIDE), np.array([facts[i].two_levels for i in judged], dtype=bool)
    )
    owners = [patient for patient in cohort.patients for _ in patient.images]
    names = cohort.image_names
    told = set()
    pairs: dict[tuple[int, int], list[tuple[int, int, Copy]]] = {}
    for copy in sorted(copies, key=lambda copy: (copy.second, copy.first)):
        if copy.second in told:  # of several, the first is the original
            continue
        told.add(copy.second)
        first, second = judged[copy.first], judged[copy.second]
        key = (id(owners[first]), id(owners[second]))
        pairs.setdefault(key, []).append((first, second, copy))
    for found in pairs.values():
        first, second, _ = found[0]
        _report(
            owners[first],
            owners[second],
            [(names[i], names[j]) for i, j, _ in found],
            Counter(_kind(copy) for *_, copy in found),
            facts[second].path,
            problems,
        )


def _report(
    owner: Patient,
    patient: Patient,
    pairs: Sequence[tuple[str, str]],
    kinds: Counter[str],
    path: Path,
    problems: Problems,
) -> None:
    n = len(pairs)
    how = ", ".join(f"{count} {kind}" if len(kinds) > 1 else kind for kind, count in kinds.most_common())
    named = [f"{copy} of {original}" for original, copy in pairs[:_MOST]] + ["…"] * (n > _MOST)
    are = f"{counted(n, 'image')} of {patient.id} {'is a copy' if n == 1 else 'are copies'}"
    if owner is patient:
        others = "another" if n == 1 else "others"
        problems.warning(
            "copies-in-patient",
            path.parent,
            None,
            f"{are} of {others} of the same patient ({how}: {', '.join(named)})",
            "remove copies, or these cells count several times; training augments images itself",
        )
        return
    problems.warning(
        "copies-between-patients",
        path,
        None,
        f"{are} of {'an image' if n == 1 else 'images'} of {owner.id} ({how}: {', '.join(named)})",
        "find out whose they are and remove them from the other; if both are one person, name the person in a column "
        "(`person` under [columns]), so that they share a fold",
    )


def _kind(copy: Copy) -> str:
    words = ["mirrored"] * copy.mirrored + ["turned"] * copy.turned + ["binarised"] * copy.binarised
    return " and ".join(words) or "saved anew"
