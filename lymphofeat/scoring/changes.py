"""What changed between the patients that a score was of and those that a cache holds now, in words."""

from collections.abc import Collection, Mapping, Sequence

from ..wording import listed
from .scored import ScoredPatients

__all__ = ["changed_features", "changes"]


def changes(
    before: ScoredPatients,
    now: ScoredPatients,
    others: Collection[str] = (),
    excluded: Mapping[str, str] | None = None,
) -> list[str]:
    """Everything that scores depend on and that is another now, features left aside; empty if nothing is.

    As far as the older one knows: what a version did not keep is not compared. The order of the patients is none of
    it.

    Args:
        before, now: the patients.
        others: IDs of patients that are there now without a label that is learnt from.
        excluded: IDs of patients that the cohort leaves out now, with the reason.
    """
    known, there, unlabelled, reasons = set(before.ids), set(now.ids), set(others), excluded or {}
    new = [name for name in now.ids if name not in known]
    without = [name for name in before.ids if name not in there and name in unlabelled]
    missing = [name for name in before.ids if name not in there and name not in unlabelled]
    gone = [name for name in missing if name not in reasons]
    left_out = [f"{name}: {reasons[name]}" for name in missing if name in reasons]
    found = [
        _of_patients(new, "is new", "are new"),
        _of_patients(left_out, "was excluded", "were excluded"),
        _of_patients(gone, "is gone", "are gone"),
        _of_patients(without, "has no training label now", "have no training label now"),
    ]
    kept = [name for name in before.ids if name in there]
    then, here = before.ordered(kept), now.ordered(kept)
    repeats = min(len(row) for row in (*then.folds, *here.folds)) if kept else 0
    found += [
        _changed(kept, "label", then.labels, here.labels),
        _changed(kept, "fold", [row[:repeats] for row in then.folds], [row[:repeats] for row in here.folds]),
    ]
    if then.persons is not None and then.persons != here.persons:
        found.append("other records than before may be of one person")
    if then.columns is not None and then.columns != here.columns:
        found.append(_columns(then.columns, here.columns or ()))
    elif then.values is not None:
        found.append(_changed(kept, "clinical values", then.values, here.values or ()))
    return [words for words in found if words]


def changed_features(
    before: ScoredPatients, now: ScoredPatients, then: Sequence[str], here: Sequence[str]
) -> list[str]:
    """Whose features are others, and whether their images are; empty if all are the same to the last bit.

    Args:
        before, now: the same patients in the same order.
        then, here: (n,) digests of their features, as `feature_digests` gives them.
    """
    rows = [row for row, (old, new) in enumerate(zip(then, here, strict=True)) if old != new]
    images = before.images or ()
    other = [before.ids[row] for row in rows if images[row] != (now.images or ())[row]]
    same = [before.ids[row] for row in rows if images[row] == (now.images or ())[row]]
    return [
        words
        for words in (
            f"the images of {_whose(other)} changed" if other else "",
            f"the features of {_whose(same)} changed, though their images did not" if same else "",
        )
        if words
    ]


def _of_patients(ids: Sequence[str], is_so: str, are_so: str) -> str:
    if not ids:
        return ""
    return (
        f"1 patient {is_so} ({ids[0]})" if len(ids) == 1 else f"{len(ids)} patients {are_so} ({listed(ids)})"
    )


def _whose(ids: Sequence[str]) -> str:
    return ids[0] if len(ids) == 1 else f"{len(ids)} patients ({listed(ids)})"


def _changed(ids: Sequence[str], what: str, then: Sequence[object], here: Sequence[object]) -> str:
    differ = [name for name, old, new in zip(ids, then, here, strict=True) if old != new]
    plural = what if what.endswith("s") or len(differ) == 1 else f"{what}s"
    return f"the {plural} of {_whose(differ)} changed" if differ else ""


def _columns(then: Sequence[str], here: Sequence[str]) -> str:
    new, gone = ([c for c in some if c not in others] for some, others in ((here, then), (then, here)))
    words = [f"{listed(new)} new"] if new else []
    words += [f"{listed(gone)} gone"] if gone else []
    return f"the clinical columns changed ({', '.join(words) or 'their order'})"
