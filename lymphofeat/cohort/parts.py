"""Which part of a cohort a patient belongs to: the labelled one, or the one to be predicted."""

from collections.abc import Collection, Mapping, Sequence

from .layout import Layout
from .problems import Problems
from .records import Record

__all__ = ["parts_of"]


def parts_of(
    records: Mapping[str, Sequence[Record]],
    folders: Mapping[str, Collection[str]],
    layout: Layout,
    problems: Problems,
) -> dict[str, str]:
    """ID → "train" or "test": by the part's own table, else by the folder, else by the label.

    Args:
        records: "train", "test", "clinical" → the table's, where there is one.
        folders: "train", "test" → IDs that have images there.
        layout: names the tables.
        problems: told of patients in the tables of both parts.
    """
    parts: dict[str, str] = {}
    for which in ("train", "test"):
        for record in records.get(which, ()):
            if parts.setdefault(record.id, which) != which:
                problems.error(
                    "in-both-parts",
                    record.where.path,
                    record.where.row,
                    f"{record.id} is also in {layout.tables.train}",
                    "keep the patient in one part",
                )
    for record in records.get("clinical", ()):
        by_folder = [part for part in ("train", "test") if record.id in folders[part]]
        by_label = "test" if record.label in (-1, None) and not record.bad_label else "train"
        parts.setdefault(record.id, (by_folder or [by_label])[0])
    return parts
