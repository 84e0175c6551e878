"""The command line: all commands, and what ends in which exit code."""

import sys
from typing import NoReturn

import click

from .commands import bundle, clean, cohort, compare, encode, evaluate, explain, imports, search, submit  # noqa: F401  importing them registers them
from .commands.common import Interrupted, commands
from .errors import LymphofeatError
from .report.streams import speak_any_encoding

__all__ = ["commands", "main"]


def main() -> NoReturn:
    """Run the command line: exit code 0 done, 2 the input is at fault, 1 anything else or interrupted."""
    speak_any_encoding()
    try:
        commands(standalone_mode=False)
        code = 0
    except click.exceptions.Exit as error:
        code = error.exit_code
    except click.ClickException as error:
        error.show(sys.stderr)
        code = 1 if isinstance(error, Interrupted) else 2
    except (click.Abort, KeyboardInterrupt):  # before or after a command
        print("\nInterrupted.", file=sys.stderr)
        code = 1
    except LymphofeatError as error:
        print(f"Error: {error}", file=sys.stderr)
        code = 2
    sys.exit(code)
