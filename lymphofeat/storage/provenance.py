"""How an output was made: the command, the versions and the time, for who repeats it."""

import json
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import Any

from .. import __version__
from .atomic import atomic_writes

__all__ = ["bare_command", "made_by", "made_text", "package_version", "write_with_record"]

_PACKAGES = ("numpy", "scikit-learn", "optuna", "torch", "xgboost")
_COMMAND_LINES = ("lymphofeat", "cli.py", "__main__.py")


def made_by() -> dict[str, str]:
    """Keys lymphofeat, command ("" from Python), at (ISO 8601, UTC), python, and the packages that numbers depend on.

    It belongs beside a result and is never compared: another time or version does not make another result.
    """
    return {
        "lymphofeat": __version__,
        "command": shlex.join(_command()),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": python_version(),
        **{name: found for name in _PACKAGES if (found := package_version(name))},
    }


def bare_command() -> str:
    """The command with names of files only, for what leaves the building."""
    return shlex.join(Path(word).name if "/" in word or "\\" in word else word for word in _command())


def _command() -> list[str]:
    """The words of the command line; none from Python."""
    program, *arguments = sys.argv or [""]
    return ["lymphofeat", *arguments] if Path(program).name in _COMMAND_LINES else []


@contextmanager
def write_with_record(out: Path, about: Mapping[str, Any], *, overwrite: bool) -> Iterator[Path]:
    """`atomic_write` for a table, and beside it `made_by` and `about` as `NAME.made.json`, for which it has no place.

    Raises:
        InputError: one of the two is there, and `overwrite` is false; before the block runs.
    """
    record, content = out.with_name(f"{out.stem}.made.json"), {**made_by(), **about}
    with atomic_writes([out, record], overwrite=overwrite) as temporaries:
        yield temporaries[out]
        text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
        temporaries[record].write_text(text, encoding="utf-8")


def made_text() -> str:
    """`made_by` as a line at the end of a page."""
    made = made_by()
    how = f"`{made['command']}`" if made["command"] else "Python"
    packages = ", ".join(f"{name} {made[name]}" for name in ("python", *_PACKAGES) if name in made)
    return f"Made at {made['at']} by {how}, lymphofeat {made['lymphofeat']} ({packages})."


def package_version(package: str) -> str:
    """Of an installed package; "" where there is none of that name."""
    try:
        return version(package)
    except PackageNotFoundError:  # installed under another name, such as a build without GPU
        return ""
