"""What `check` keeps of a cohort for `lymphofeat report`: counts, the shortcut audit, problems by cause."""

from collections import Counter
from pathlib import Path
from typing import Any

from ..cohort.check import CheckReport
from ..cohort.exclusions import by_reason, without_names
from ..cohort.summary import Summary
from ..errors import InputError
from ..storage.json_tables import json_value, write_json_record
from ..storage.provenance import made_by

__all__ = ["check_json", "kept_check"]


def check_json(report: CheckReport) -> dict[str, Any]:
    """The check of a cohort whose patients could be read, as JSON values: no ID, no date of birth, no name of a file.

    Keys: patients (`CheckReport.bags`, by which the report knows the cohort), counts, missing, date_orders, sizes,
    formats, microns_per_pixel, exclusions (by reason), audit, warnings (by cause), made.
    """
    summary = report.summary
    assert summary is not None, "nobody could be read"
    causes = Counter(problem.code for problem in report.warnings)
    return {
        "patients": report.bags,
        "counts": _counts(summary),
        "missing": dict(summary.missing),
        "date_orders": dict(summary.date_orders),
        "sizes": [{"width": width, "height": height, "images": n} for (width, height), n in summary.sizes],
        "formats": [{"format": name, "images": n} for name, n in summary.formats],
        "microns_per_pixel": summary.microns_per_pixel,
        "exclusions": [
            {"reason": one.reason, "patients": one.n_patients, "images": one.n_images}
            for one in by_reason(without_names(report.exclusions, report.ids))
        ],
        "audit": [
            {
                "quantity": one.name,
                **{key: json_value(value) for key, value in one.auc._asdict().items()},
                "higher_in": one.higher_in,
                "separates": bool(one.separates),
                "sentence": one.sentence,
                "by_person": one.by_person,
            }
            for one in report.audit
        ],
        "warnings": [{"cause": code, "n": n} for code, n in causes.items()],
        "made": made_by(),
    }  # fmt: skip


def _counts(summary: Summary) -> dict[str, int]:
    return {
        "reactive": summary.n_reactive,
        "malignant": summary.n_malignant,
        "train": summary.n_train,
        "test": summary.n_test,
        "persons": summary.n_persons,
        "images": summary.n_images,
        "bytes": summary.n_bytes,
    }


def kept_check(report: CheckReport, path: Path) -> str:
    """Keep a check without errors, in the place of the last one.

    Args:
        report: the check.
        path: its JSON file; the folder is made if need be.

    Returns:
        "", or where nothing can be written there, the sentence that says so: a check only reads, so it ends well.
    """
    try:
        write_json_record(check_json(report), path)
    except (OSError, InputError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is a folder"
        return f"{path} cannot be written ({why}), so that `lymphofeat report` will lack this check."
    return ""
