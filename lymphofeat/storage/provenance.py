"""How an output was made: the command, the versions and the time, for who repeats it."""

import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version

from .. import __version__

__all__ = ["made_by", "made_text"]

_PACKAGES = ("numpy", "scikit-learn", "optuna", "torch", "xgboost")
_COMMAND_LINES = ("lymphofeat", "cli.py", "__main__.py")


def made_by() -> dict[str, str]:
    """Keys lymphofeat, command ("" from Python), at (ISO 8601, UTC), python, and the packages that numbers depend on.

    It belongs beside a result and is never compared: another time or version does not make another result.
    """
    program, *arguments = sys.argv or [""]
    typed = Path(program).name in _COMMAND_LINES
    return {
        "lymphofeat": __version__,
        "command": shlex.join(["lymphofeat", *arguments]) if typed else "",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": python_version(),
        **{name: found for name in _PACKAGES if (found := _version(name))},
    }


def made_text() -> str:
    """`made_by` as a line at the end of a page."""
    made = made_by()
    how = f"`{made['command']}`" if made["command"] else "Python"
    packages = ", ".join(f"{name} {made[name]}" for name in ("python", *_PACKAGES) if name in made)
    return f"Made at {made['at']} by {how}, lymphofeat {made['lymphofeat']} ({packages})."


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # installed under another name, such as a build without GPU
        return ""
