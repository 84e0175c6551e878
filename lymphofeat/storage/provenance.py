"""How an output was made: the command, the versions and the time, for who repeats it."""

import json
import os
import platform
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache as once
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PureWindowsPath
from typing import Any

from .. import __version__
from ..errors import without_passwords
from ..parallel import usable_cores
from .atomic import atomic_writes

__all__ = [
    "MACHINE",
    "PACKAGES",
    "bare_command",
    "bare_words",
    "command_without",
    "made_by",
    "made_text",
    "package_version",
    "write_with_record",
]

# What numbers and files depend on; those that are not installed are left out.
PACKAGES = ("numpy", "scipy", "scikit-learn", "optuna", "torch", "xgboost", "pandas", "pillow", "h5py")
_IN_TEXT = ("numpy", "scikit-learn", "optuna", "torch", "xgboost")
MACHINE = ("processor", "cores", "memory", "platform")  # keys of `made_by`
_COMMAND_LINES = ("lymphofeat", "cli.py")


def made_by(*, bare: bool = False) -> dict[str, str]:
    """Keys lymphofeat, command ("" from Python), at (ISO 8601, UTC), python, those of `PACKAGES` and of `MACHINE`.

    It belongs beside a result and is never compared: another time, version or machine does not make another result.

    Args:
        bare: the command has names of files only, for what may leave the building.
    """
    return {
        "lymphofeat": __version__,
        "command": bare_command() if bare else shlex.join(_command()),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        **{name: found for name in PACKAGES if (found := package_version(name))},
        **_machine(),
    }


def bare_command() -> str:
    """The command with names of files only, for what leaves the building."""
    return shlex.join(bare_words(_command()))


def command_without(option: str) -> str:
    """The command without an option and its value; "" from Python."""
    words = _command()
    kept = [
        word
        for before, word in zip(["", *words], words, strict=False)
        if option not in (before, word) and not word.startswith(f"{option}=")
    ]
    return shlex.join(kept)


def bare_words(words: Iterable[str]) -> list[str]:
    """Words of a command line with the last part of every path only, also behind the `=` of an option."""
    return [_bare(word) for word in words]


def _bare(word: str) -> str:
    option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    if "/" in value or "\\" in value:
        value = PureWindowsPath(value).name  # which knows both kinds of slash
    return f"{option}{equals}{value}"


@once
def _machine() -> dict[str, str]:
    """Processor, cores that the process may use, memory in GiB and system; what cannot be told is left out."""
    found = {
        "processor": _processor(), "cores": str(usable_cores()), "memory": _memory(),
        "platform": platform.platform(terse=True),
    }  # fmt: skip
    return {key: value for key, value in found.items() if value}


def _processor() -> str:
    """The processor's name as it names itself; elsewhere than on Linux what Python knows of it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory() -> str:
    with suppress(OSError, ValueError, AttributeError):  # Windows has no sysconf
        n_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return f"{n_bytes / 2**30:.0f} GiB" if n_bytes > 0 else ""
    return ""


def _command() -> list[str]:
    """The words of the command line, without passwords; none from Python."""
    program, *arguments = sys.argv or [""]
    path = Path(program)
    module = path.name == "__main__.py" and path.parent.name == "lymphofeat"  # not that of another package
    ours = module or path.name in _COMMAND_LINES
    return ["lymphofeat", *map(without_passwords, arguments)] if ours else []


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
    packages = ", ".join(f"{name} {made[name]}" for name in ("python", *_IN_TEXT) if name in made)
    return f"Made at {made['at']} by {how}, lymphofeat {made['lymphofeat']} ({packages})."


@once
def package_version(package: str) -> str:
    """Of an installed package; "" where there is none of that name."""
    try:
        return version(package)
    except PackageNotFoundError:  # installed under another name, such as a build without GPU
        return ""
