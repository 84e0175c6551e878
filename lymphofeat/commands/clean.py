"""The command `clean`."""

import sys
from pathlib import Path

import click

from ..errors import InputError
from .common import Output, cache_option, command


@command(example="lymphofeat clean --dry-run")
@cache_option
@click.option("--unfinished", is_flag=True,
              help="Also what was begun, not finished (partial files, checkpoints); that work is lost.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="List the files and remove none.")
@click.option("--yes", is_flag=True, help="Remove without asking.")
def clean(output: Output, cache: Path, *, unfinished: bool, dry_run: bool, yes: bool) -> None:
    """Remove what can be made again: stored pixels and activations, files of killed runs, unused locks.

    The files and their sizes are listed first. Caches, trained encoders and studies stay. Nothing is removed while
    another process works in the cache's folder. Exit code 2 if nothing could be removed, 1 if you answered no.
    """
    from ..cache.disk import clean as clean_cache
    from ..report.disk import render_clean

    found = clean_cache(cache, unfinished=unfinished, dry_run=True)
    if not found:
        output.line(f"There is nothing to remove in {cache.parent}.")
        return
    render_clean(found, output.console)
    if dry_run:
        return
    if not yes:
        if output.quiet or not sys.stdin.isatty():
            raise InputError(
                "Nothing was removed; give --yes to remove these files, or --dry-run to list them."
            )
        if not click.confirm("Remove them?", err=True):
            output.line("Nothing was removed.")
            sys.exit(1)
    removed = clean_cache(cache, unfinished=unfinished)
    output.line(
        f"Removed {len(removed)} of {len(found)} files." if len(removed) != len(found) else "Removed."
    )
