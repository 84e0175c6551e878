"""The command line: all commands, and what ends in which exit code."""

import sys
from io import StringIO
from typing import NoReturn

import click

from .commands import (  # noqa: F401  importing them registers them
    bundle,
    clean,
    cohort,
    compare,
    encode,
    evaluate,
    explain,
    imports,
    pack,
    report,
    search,
    submit,
    verify,
)
from .commands.common import Interrupted, commands
from .commands.termination import EXIT_CODE, sigterm_ends, terminated
from .errors import LymphofeatError, without_passwords
from .report.streams import speak_any_encoding

__all__ = ["commands", "main"]


def main() -> NoReturn:
    """Run the command line.

    Exit code 0: done; 2: the input is at fault; 1: anything else, or interrupted; 143: ended by SIGTERM.
    """
    speak_any_encoding()
    try:
        with sigterm_ends():
            code = _code()
    except KeyboardInterrupt:  # before or after a command
        code = _stopped()
    sys.exit(code)


def _code() -> int:
    """The exit code of the command, which is run."""
    try:
        commands(standalone_mode=False)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        said = StringIO()
        error.show(said)
        sys.stderr.write(without_passwords(said.getvalue()))
        return (EXIT_CODE if terminated() else 1) if isinstance(error, Interrupted) else 2
    except click.Abort:  # while arguments were read
        return _stopped()
    except LymphofeatError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    return 0


def _stopped() -> int:
    """Say of an interruption outside a command, and its exit code."""
    print("\nEnded by SIGTERM." if terminated() else "\nInterrupted.", file=sys.stderr)
    return EXIT_CODE if terminated() else 1
