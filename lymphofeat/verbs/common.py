"""What the verbs share: the group, how much is said, and the arguments that several take."""

import logging
import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from .. import __version__
from ..errors import InputError

METRICS = [
    "balanced_accuracy",
    "auc",
    "average_precision",
    "log_loss",
    "brier",
]  # statistics.METRICS, not imported yet
CACHE = Path("cache/features.h5")
STUDIES = Path("studies")
SUBMISSION = Path("submission.csv")
COHORT_VARIABLE = "LYMPHOFEAT_COHORT"
COHORT_FOLDER = "data"

Command = Callable[..., None]


class Say:
    """How much a verb says: results on standard output, progress on standard error."""

    def __init__(self, *, verbose: bool, quiet: bool) -> None:
        self.console = Console(quiet=quiet, highlight=False)
        self._quiet, self._bar_shown = quiet, (True if verbose else None)
        if verbose:
            logging.basicConfig(level=logging.DEBUG, format="%(name)s: %(message)s")

    def progress(self) -> Any:
        """A bar, if standard error is a terminal or -v asks for one; notes, unless -q forbids them."""
        from ..progress import Silent
        from ..report.progress import Bar

        return Silent() if self._quiet else Bar(shown=self._bar_shown)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="lymphofeat")
def verbs() -> None:
    """Patient-level diagnosis from bags of blood-cell images and a few clinical values.

    \b
    lymphofeat check data      what is wrong with a cohort, and what could be a shortcut
    lymphofeat extract         features of every image, frozen and fine-tuned, into cache/features.h5
    lymphofeat recipes         the ways to fine-tune an encoder
    lymphofeat heads           the families of heads that tune searches
    lymphofeat tune            many patient-level heads on them, cross-validated by patient
    lymphofeat compare         every system and the controls on the same folds
    lymphofeat evaluate        the score to quote: nested cross-validation, beside controls
    lymphofeat explain         which images of a patient speak, and what the clinical values do
    lymphofeat submit          the best one's predictions for the test patients
    lymphofeat export          the best one as a folder that stands alone
    lymphofeat predict         what such a folder says of new patients
    """


def verb(*, example: str, name: str | None = None) -> Callable[[Command], click.Command]:
    """Register a verb: its example, -v and -q, and `say` as its first argument."""

    def register(function: Command) -> click.Command:
        @wraps(function)
        def run(*, verbose: bool, quiet: bool, **arguments: Any) -> None:
            if verbose and quiet:
                raise click.UsageError("-v and -q exclude each other; give one of them.")
            function(Say(verbose=verbose, quiet=quiet), **arguments)

        options = [
            click.option("-q", "--quiet", is_flag=True, help="Print errors only."),
            click.option("-v", "--verbose", is_flag=True, help="Print more, and progress even to a file."),
        ]
        command: Command = run
        for option in options:
            command = option(command)
        return verbs.command(name=name, epilog=f"Example: {example}")(command)

    return register


cohort_argument = click.argument("cohort", type=click.Path(path_type=Path), required=False)
cache_option = click.option(
    "--cache", type=click.Path(path_type=Path), default=CACHE, show_default=True, help="The feature cache."
)
study_option = click.option(
    "--study", default="study", show_default=True, metavar="NAME",
    help="The study's name (studies/NAME.db) or file (ending in .db).",
)  # fmt: skip


def cohort_folder(given: Path | None) -> Path:
    """The cohort's folder: the argument, else $LYMPHOFEAT_COHORT, else data/.

    Raises:
        InputError: it is not there.
    """
    folder = given or Path(os.environ.get(COHORT_VARIABLE) or COHORT_FOLDER)
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder; put the cohort there (trainset/, testset/, clinical_annotation.csv), name it "
            f"on the command line or in ${COHORT_VARIABLE}, or draw one with `lymphofeat synth {folder}`."
        )
    return folder


def study_path(name: str) -> Path:
    """Where a study of that name is kept."""
    return Path(name) if name.endswith(".db") else STUDIES / f"{name}.db"


def names(given: str) -> list[str]:
    return [name for name in given.replace(",", " ").split() if name]
