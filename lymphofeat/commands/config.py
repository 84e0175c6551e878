"""`--config run.toml`: options of the commands from a file, a section a command, so that a run can be repeated."""

import tomllib
from pathlib import Path
from typing import Any

import click

from ..wording import did_you_mean
from .paths import GivenPath

__all__ = ["config_option"]

_NOT_KEYS = ("help", "config")


def config_option(command: Any) -> Any:
    """--config: what a file says holds as if it were typed, unless something else is typed."""
    return click.option(
        "--config", type=GivenPath(), metavar="FILE.toml", is_eager=True, expose_value=False, callback=_read,
        help="TOML file of options, a section per command; what is typed goes first.",
    )(command)  # fmt: skip


def _read(context: click.Context, _: click.Parameter, file: Path | None) -> None:
    if file is None:
        return
    section = _section(file, context)
    keys = {key: param for param in context.command.params for key in _keys(param)}
    values: dict[str, Any] = {}
    for key, value in section.items():
        name = key.replace("-", "_")
        if name not in keys:
            near = did_you_mean(name, sorted(keys))
            raise click.UsageError(f"{file}: [{context.info_name}] has no option {key!r}{near}.")
        if (param := keys[name]).name in values:
            raise click.UsageError(
                f"{file}: [{context.info_name}] names {key!r} twice; keep one of the keys."
            )
        values[str(param.name)] = _checked(file, key, value, param, context)
    context.default_map = values


def _section(file: Path, context: click.Context) -> dict[str, Any]:
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise click.UsageError(f"{file} cannot be read ({error.strerror}); name a TOML file.") from error
    except RecursionError as error:
        raise click.UsageError(f"{file} nests its values too deep to be read; correct it.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{file} is not TOML: {error}; correct it.") from error
    group = context.parent.command if context.parent is not None else None
    commands = group.list_commands(context) if isinstance(group, click.Group) else [str(context.info_name)]
    for name, section in content.items():
        if name not in commands:
            way = (
                f"[{name}] is no command{did_you_mean(name, commands)}"
                if isinstance(section, dict)
                else f"{name!r} stands in no section; put it under one such as [{context.info_name}]"
            )
            raise click.UsageError(f"{file}: {way}.")
        if not isinstance(section, dict):
            raise click.UsageError(f"{file}: {name!r} is a section; write [{name}].")
    found: dict[str, Any] = content.get(str(context.info_name), {})
    return found


def _keys(param: click.Parameter) -> list[str]:
    """The names of an option's long forms (of a switch the one that turns it on), or an argument's name."""
    if isinstance(param, click.Argument):
        return [str(param.name)]
    names = [option.removeprefix("--").replace("-", "_") for option in param.opts if option.startswith("--")]
    return [name for name in names if name not in _NOT_KEYS]


def _checked(file: Path, key: str, value: Any, param: click.Parameter, context: click.Context) -> Any:
    """The value as it would be typed, after its type has looked at it.

    Raises:
        UsageError: it is none, with file and key.
    """
    where = f"{file}: [{context.info_name}] {key}"
    if isinstance(param, click.Option) and param.is_flag:
        if not isinstance(value, bool):
            raise click.UsageError(f"{where} is {value!r}; give true or false.")
        return value
    typed = _typed(where, value, param.nargs)
    try:
        param.type_cast_value(context, typed)
    except click.BadParameter as error:
        raise click.UsageError(f"{where}: {error.message}") from error
    return typed


def _typed(where: str, value: Any, nargs: int) -> Any:
    """Texts as of a command line; a list is what options of several names take with commas."""
    if isinstance(value, bool | dict):
        raise click.UsageError(f"{where} is {value!r}; give a text or a number.")
    if not isinstance(value, list):
        return str(value)
    parts = [_typed(where, part, 1) for part in value]
    return parts if nargs > 1 else ",".join(parts)
