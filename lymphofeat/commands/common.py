"""What the commands share: the group, how much is said, and the arguments that several take."""

import errno
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from .. import __version__
from ..errors import InputError
from ..metric import METRICS
from ..report.streams import Stream
from ..storage.addresses import StudyAddress, StudyPlace
from ..storage.kinds import path_kind
from .config import config_option
from .next_step import shown_by, step_after
from .paths import GivenPath, GivenStudy, GivenText, StudyName, TaskOfArray
from .places import CACHE, COHORT_FOLDER, STUDIES, STUDY
from .several import TakesSeveral
from .termination import at_stop, terminated

if TYPE_CHECKING:
    from ..report.printing import Part, PlainTable

# studies.selection.RULES and its DEFAULT, not imported yet
RULES = [*METRICS, "one_standard_error", "average_balanced_accuracy", "average_log_loss"]
DEFAULT_RULE = "average_log_loss"
COHORT_VARIABLE = "LYMPHOFEAT_COHORT"

Command = Callable[..., None]


class Output:
    """How much a command says: results on standard output, progress on standard error.

    Attributes:
        quiet: errors only.
        console: for results; silent if `quiet`.
        errors: for what is wrong with the input; not silent.
        for_next: what the command found that the next one must be told, beside its own arguments.
    """

    def __init__(self, *, verbose: bool, quiet: bool) -> None:
        from ..report.printing import terminal

        self._out = Stream(sys.stdout)
        self.quiet = quiet
        self.console = terminal(self._out, quiet=quiet)
        self.errors = terminal(sys.stderr)
        self.for_next: dict[str, Any] = {}
        if verbose:
            logging.basicConfig(level=logging.DEBUG, format="%(name)s: %(message)s")

    def line(self, *parts: "Part | PlainTable", wrap: bool = True) -> None:
        """Print a result; see `show`."""
        from ..report.printing import show

        show(self.console, *parts, wrap=wrap)

    def progress(self) -> Any:
        """A bar on a terminal, a line every so often elsewhere; notes. Nothing with -q."""
        from ..progress import Silent
        from ..report.progress import Bar, Lines

        if self.quiet:
            return Silent()
        return Bar() if sys.stderr.isatty() else Lines()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """For the command's work: what libraries warn of is no error, and a lost report is.

        Raises:
            ClickException: the report could not be written to standard output.
        """
        disabled = logging.root.manager.disable
        with warnings.catch_warnings():
            if self.quiet:
                warnings.simplefilter("ignore")
                logging.disable(logging.WARNING)
            try:
                yield
            finally:
                logging.disable(disabled)
        if self._out.lost is not None:
            raise click.ClickException(
                f"The command is done, but its report could not be written to standard output ({self._out.lost})."
            )


class Interrupted(click.ClickException):
    """Ctrl-C or SIGTERM during a command."""

    exit_code = 1

    def show(self, file: Any = None) -> None:
        """Print it below the line that the terminal's ^C is on."""
        how = "Ended by SIGTERM" if terminated() else "Interrupted"
        print(f"\n{how}; {self.message}", file=file or sys.stderr)


# The order of a piece of work, and one line each; help, README and docs follow it.
SUMMARIES = {
    "init": "First lymphofeat.toml of a folder, from what lies there.",
    "check": "Problems of a cohort, and possible shortcuts.",
    "extract": "Features of every image, by frozen and fine-tuned encoders.",
    "import": "Features that another toolkit computed.",
    "tune": "Search of patient-level heads, cross-validated by patient.",
    "evaluate": "Scores to quote, by nested cross-validation with control experiments.",
    "explain": "Images and clinical values that drive a patient's prediction.",
    "report": "One HTML page of it all: scores, curves, cells, checklists, provenance.",
    "export": "Selected model as a folder that stands alone.",
    "predict": "Predictions of an exported model for new patients.",
    "submit": "Predictions of the selected model for the test patients.",
    "compare": "All pipelines and control experiments on the same folds.",
    "backbones": "Networks that `extract` encodes images with, and what works offline.",
    "recipes": "Recipes of fine-tuning and of adapting without labels.",
    "heads": "Head types that tune searches.",
    "info": "Contents of a cache.",
    "verify": "Check of a cache, a study, an exported model or a cohort against itself.",
    "pack": "A cache as one file, to send.",
    "clean": "Removal of files that can be made again.",
    "simulate": "Simulated cohort with a known truth.",
}


class _InOrder(click.Group):
    command_class = TakesSeveral

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of `SUMMARIES`."""
        return list(SUMMARIES)


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="lymphofeat")
def commands() -> None:
    """Patient-level diagnosis from bags of blood-cell images and a few clinical values.

    Help on a command: lymphofeat COMMAND --help.
    """


Resumes = Callable[[Mapping[str, Any]], bool]


def always(arguments: Mapping[str, Any]) -> bool:
    """A command that goes on where it was stopped, whatever its arguments."""
    return True


def never(arguments: Mapping[str, Any]) -> bool:
    """A command whose files are whole or not there, and that begins anew."""
    return False


def command(
    *, example: str, name: str | None = None, resumes: Resumes = never
) -> Callable[[Command], click.Command]:
    """Register a command: its example, -v and -q, and `output` as its first argument.

    Args:
        example: a command line that works.
        name: by default the function's.
        resumes: whether, with these arguments, the same command goes on where it was stopped.
    """

    def register(function: Command) -> click.Command:
        title = name or function.__name__

        @wraps(function)
        def run(*, verbose: bool, quiet: bool, **arguments: Any) -> None:
            if verbose and quiet:
                raise click.UsageError("-v and -q exclude each other; give one of them.")
            output = Output(verbose=verbose, quiet=quiet)
            with _stopped(goes_on=resumes(arguments), whole=resumes is never), output.at_work():
                function(output, **arguments)
                for label, step in (
                    ("See: ", shown_by(title, arguments)),
                    ("Next: ", step_after(title, arguments | output.for_next)),
                ):
                    if step:
                        output.line((label, "dim"), (step, "dim"))

        options = [
            click.option("-q", "--quiet", is_flag=True, help="Print errors only."),
            click.option("-v", "--verbose", is_flag=True, help="Print more: what libraries log."),
        ]
        decorated: Command = config_option(run)
        for option in options:
            decorated = option(decorated)
        short = SUMMARIES[title]
        return commands.command(name=name, short_help=short, epilog=f"Example: {example}")(decorated)

    return register


_FULL = dict.fromkeys(
    (errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "Free disk space there, or choose another place,"
)
_NOT_WRITABLE = dict.fromkeys(
    (errno.EACCES, errno.EPERM, errno.EROFS), "Make it accessible, or choose another place,"
)
_WAYS_OUT = {**_FULL, **_NOT_WRITABLE}


@contextmanager
def _stopped(*, goes_on: bool, whole: bool) -> Iterator[None]:
    """Say of an interruption, and of what the system refuses, what is true for this command."""
    way = "no file is half-written. Run the command again." if whole else "run the command again."
    continues = "the same command continues from here."
    ended = f"finished work is kept, and {continues}" if goes_on else way
    try:
        with at_stop(ended):
            yield
    except (click.Abort, KeyboardInterrupt):
        raise Interrupted(ended if terminated() else continues if goes_on else way) from None
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        kept = "; finished work is kept, and the same command continues" if goes_on else ""
        way_out = _WAYS_OUT.get(error.errno or 0, "Correct this")
        raise click.ClickException(f"{error}{kept}. {way_out} and run the command again.") from error


cohort_argument = click.argument("cohort", type=GivenPath(), required=False)
cache_option = click.option(
    "--cache", type=GivenPath(), default=CACHE, show_default=True, help="Feature cache."
)
study_option = click.option(
    "--study", type=StudyName(), default=STUDY, show_default=True, metavar="NAME",
    help="Study: a name (studies/NAME.db), a file ending in .db, or an address in PostgreSQL.",
)  # fmt: skip


task_option = click.option(
    "--task", type=TaskOfArray(), metavar="I/N",
    help="Do share I of N only, I from 1 to N; the same command without --task collects the shares. /N takes I from "
    "$SLURM_ARRAY_TASK_ID.",
)  # fmt: skip


csv_option = click.option(
    "--csv-for", default="programs", show_default=True, type=click.Choice(["programs", "excel"]),
    help="Form of CSV files; excel: semicolons, decimal commas, UTF-8 with its mark.",
)  # fmt: skip


dask_option = click.option(
    "--dask", type=GivenText(), metavar="ADDRESS|FILE",
    help="Workers of a Dask cluster that do the work, by its scheduler's address or scheduler file.",
)  # fmt: skip


@contextmanager
def executor_of(dask: str | None, note: Callable[[str], None]) -> Iterator[Executor | None]:
    """What runs the tasks of a command with --dask, until the block ends; None without.

    Args:
        dask: the option's value.
        note: takes a sentence when the cluster's workers are gone.

    Raises:
        UsageError: --jobs or --gpus is given as well.
        InputError: no scheduler with workers is there.
    """
    if dask is None:
        yield None
        return
    context = click.get_current_context()
    for other in ("jobs", "gpus"):
        if context.get_parameter_source(other) not in (None, ParameterSource.DEFAULT):
            raise click.UsageError(
                f"--dask and --{other} exclude each other: the cluster has its own workers; give one of them."
            )
    from ..dask_cluster import dask_executor

    with dask_executor(dask, note=note) as executor:
        yield executor


def selection_options(command: Command) -> Command:
    """--select, --trial and --ensemble: which heads of a study are selected."""
    for option in (
        click.option("--ensemble", type=click.IntRange(1), metavar="N",
                     help="Average of N heads, chosen by the study's metric and folds."),
        click.option("--trial", type=click.IntRange(0), metavar="NUMBER", help="Head of this trial."),
        click.option("--select", type=click.Choice(RULES),
                     help=f"Rule that selects the heads (default: {DEFAULT_RULE})."),
    ):  # fmt: skip
        command = option(command)
    return command


def cohort_folder(given: Path | None) -> Path:
    """The cohort's folder: the argument, else $LYMPHOFEAT_COHORT, else data/.

    Raises:
        InputError: it is not there.
    """
    folder = given or Path(os.environ.get(COHORT_VARIABLE) or COHORT_FOLDER).expanduser()
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is {path_kind(folder)}, but a cohort is a folder; name that folder.")
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder; put the cohort there (trainset/, testset/, clinical_annotation.csv), name it "
            f"on the command line or in ${COHORT_VARIABLE}, or simulate one with `lymphofeat simulate {folder}`."
        )
    return folder


def study_path(name: GivenStudy) -> StudyPlace:
    """Where a study of that name is kept."""
    if isinstance(name, StudyAddress):
        return name
    return _named(name)


def _named(name: str) -> Path:
    return Path(name) if name.endswith(".db") else STUDIES / f"{name}.db"


def path_or_study(given: StudyPlace) -> StudyPlace:
    """What a path means that may be the name of a study: of the two the one that is there."""
    if isinstance(given, Path) and not given.exists() and (named := _named(str(given))).exists():
        return named
    return given


def names(given: str) -> list[str]:
    return [name for name in given.replace(",", " ").split() if name]
