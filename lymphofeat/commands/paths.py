"""What a command line gives as a path, a name, a word, a task or a share: refused in a sentence if it can be none."""

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..array_tasks import array_task_in
from ..errors import InputError
from ..storage.addresses import StudyAddress, is_address

if TYPE_CHECKING:  # click's stubs name the type of the value, older releases of click do not
    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType

__all__ = [
    "GivenPath", "GivenStudy", "GivenText", "NewFile", "NewFolder", "OutFolder", "ParamType", "PathOrStudy", "Share",
    "StudyName", "TaskOfArray",
]  # fmt: skip

GivenStudy = str | StudyAddress


class GivenText(ParamType):
    """A word or a file's name as text; not empty, and `~/` is the home folder."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The text."""
        if not value.strip():
            self.fail("it is empty.", param, ctx)
        return str(Path(value).expanduser()) if value.startswith("~/") else value


class GivenPath(ParamType):
    """A path; not empty, and `~/` is the home folder."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path."""
        if isinstance(value, Path):  # a default
            return value
        if not value.strip():
            self.fail("the path is empty; name a file or folder.", param, ctx)
        path = Path(value).expanduser() if value == "~" or value.startswith("~/") else Path(value)
        self.check(value, path, param, ctx)
        return path

    def check(self, value: str, path: Path, param: click.Parameter | None, ctx: click.Context | None) -> None:
        """Fail where the path cannot be what it is for."""


class NewFile(GivenPath):
    """A path at which a file is to be written."""

    def __init__(self, example: str) -> None:
        self.example = example

    def check(self, value: str, path: Path, param: click.Parameter | None, ctx: click.Context | None) -> None:
        """Fail for a folder."""
        if path.name in ("", "..") or value.endswith(("/", os.sep)) or path.is_dir():
            self.fail(
                f"{value} is a folder; name the file to write in it, such as {path / self.example}.",
                param,
                ctx,
            )


class OutFolder(GivenPath):
    """A folder in which files are to be written; made if need be."""

    def check(self, value: str, path: Path, param: click.Parameter | None, ctx: click.Context | None) -> None:
        """Fail for a file."""
        if path.exists() and not path.is_dir():
            self.fail(f"{value} is a file; name a folder.", param, ctx)


class NewFolder(OutFolder):
    """A folder to make, whole."""

    def __init__(self, example: str) -> None:
        self.example = example

    def check(self, value: str, path: Path, param: click.Parameter | None, ctx: click.Context | None) -> None:
        """Fail for what cannot be made."""
        if path.name in ("", ".."):
            self.fail(
                f"{value} is there already; name the folder to make, such as {path / self.example}.",
                param,
                ctx,
            )
        super().check(value, path, param, ctx)


class StudyName(GivenText):
    """The name of a study, its file, or its address in PostgreSQL."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The name, or the address."""
        if (address := _address(self, value, param, ctx)) is not None:
            return address
        name = super().convert(value, param, ctx)
        if name.endswith(("/", os.sep)) or Path(name).name in ("", ".", "..", ".db"):
            self.fail(
                f"{value} names no study; give a name, such as study, or a file ending in .db.", param, ctx
            )
        return name


class TaskOfArray(ParamType):
    """A task of an array, I/N, as (I, N)."""

    name = "task"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The task."""
        try:
            return array_task_in(str(value))
        except InputError as error:
            self.fail(str(error), param, ctx)


class PathOrStudy(GivenPath):
    """A path, or the address of a study in PostgreSQL."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path, or the address."""
        address = _address(self, value, param, ctx)
        return super().convert(value, param, ctx) if address is None else address


def _address(
    kind: ParamType, value: Any, param: click.Parameter | None, ctx: click.Context | None
) -> StudyAddress | None:
    """The address that is given; None: it is none."""
    if isinstance(value, StudyAddress):
        return value
    if not isinstance(value, str) or not is_address(value):
        return None
    try:
        return StudyAddress.parse(value)
    except InputError as error:
        kind.fail(str(error), param, ctx)


class Share(click.FloatRange):
    """A number of a range; "nan", which lies in every range, is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is no number.", param, ctx)
        return number
