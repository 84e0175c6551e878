"""Which command comes next or shows the result, and why: the order of the README, with the files just used."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..storage.provenance import command_without, made_by
from .places import CACHE, REPORT, STUDY

__all__ = ["report_line", "shown_by", "step_after"]


def step_after(command: str, given: Mapping[str, Any]) -> str:
    """`lymphofeat tune --cache x.h5: searches patient-level models on these features`; "" where nothing follows.

    Args:
        command: the one that ended well.
        given: its arguments, and what it found that the next one must be told.
    """
    if given.get("task") is not None:
        return _collecting()
    cache = _option("--cache", given.get("cache"), CACHE)
    study = _option("--study", given.get("study"), STUDY)
    match command:
        case "simulate":
            return _line("check", [_path(given["out"])], "lists problems of the cohort")
        case "check":
            folds = _option("--folds", given.get("folds"), "")
            return _line("extract", [_path(given["cohort"]), *folds], "computes the features of every image")
        case "extract" | "import":
            return _line("tune", cache, "searches patient-level models on the features")
        case "compare":
            named = _option("--cache", _compared(given), CACHE)
            return _line("tune", named, "searches among many more models than these fixed ones")
        case "tune" if not given.get("show"):
            why = "gives the score to quote, since the best of many trials is optimistic"
            return _line("evaluate", cache + study, why)
        case "evaluate" if _has_test(given["cache"]):
            return _line(
                "submit", cache + study, "predicts the test patients; `export` makes a model for new ones"
            )
        case "evaluate" | "explain" | "submit":
            return _line("export", ["model", *cache, *study], "makes a folder that predicts new patients")
        case "export":
            folder = [_path(given["out"]), "FOLDER", "--clinical", "TABLE"]
            return _line("predict", folder, "predicts the patients of a folder")
        case "predict":
            return _line(
                "info", [_path(given["bundle"])], "shows whom the model was trained on and how good it is"
            )
        case _:
            return ""


def shown_by(command: str, given: Mapping[str, Any]) -> str:
    """`lymphofeat report --cache x.h5: shows this …` after what a report shows; "" elsewhere.

    Args:
        command, given: as of `step_after`.
    """
    if given.get("task") is not None:
        return ""
    match command:
        case "evaluate":
            return report_line(given["cache"], given["study"])
        case "compare":
            return report_line(_compared(given))
        case _:
            return ""


def report_line(cache: Path | None, study: object = None) -> str:
    """How to see on one page what was just printed: `lymphofeat report --cache x.h5: shows …`.

    Args:
        cache: the cache; None: the default one.
        study: the study's name, file or address; None: the default one.
    """
    options = _option("--cache", cache, CACHE) + _option("--study", study, STUDY)
    replaced = ["--force"] if REPORT.exists() else []
    return _line("report", options + replaced, "shows this with curves, cells and checklists on one page")


def _collecting() -> str:
    """The command that collects what tasks of an array made."""
    whole, without = made_by()["command"], command_without("--task")
    given = without if without != whole else "the same command without `task` in its --config file"
    return f"{given}: collects what the tasks made, when all of them are done"


def _line(command: str, arguments: list[str], why: str) -> str:
    return f"{' '.join(['lymphofeat', command, *filter(None, arguments)])}: {why}"


def _compared(given: Mapping[str, Any]) -> Any:
    """The cache that `compare` compared: its argument if that is one, else --cache."""
    own = given.get("source")
    return own if own is not None and Path(own).suffix == ".h5" else given.get("cache")


def _path(path: Any) -> str:
    return "" if path is None else shlex.quote(str(path))


def _option(name: str, value: Any, default: object) -> list[str]:
    return [] if value is None or str(value) == str(default) else [name, _path(value)]


def _has_test(cache: Path) -> bool:
    from ..cache import open_cache

    return bool((open_cache(cache).patients["split"] == "test").any())
