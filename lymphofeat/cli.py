"""The command line: all verbs, and what ends in which exit code."""

import sys
from typing import NoReturn

import click

from .errors import LymphofeatError
from .verbs import bundle, cohort, compare, encode, evaluate, explain, search, submit  # noqa: F401  importing them registers them
from .verbs.common import verbs

__all__ = ["main", "verbs"]


def main() -> NoReturn:
    """Run the command line: exit code 0 done, 2 the input is at fault, 1 anything else or interrupted."""
    try:
        verbs(standalone_mode=False)
        code = 0
    except click.exceptions.Exit as error:
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = 2
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted; the same command goes on from here.", err=True)
        code = 1
    except LymphofeatError as error:
        click.echo(f"Error: {error}", err=True)
        code = 2
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        click.echo(
            f"Error: {error}; nothing is lost, run the same command again when it is mended.", err=True
        )
        code = 2
    sys.exit(code)
