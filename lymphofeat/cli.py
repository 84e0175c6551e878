"""The verbs: each parses its arguments, calls one function of the library, and prints what that returns."""

import logging
import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console

from . import __version__
from .errors import InputError, LymphofeatError

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
        from .progress import Silent
        from .report.progress import Bar

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
    lymphofeat submit          the best one's predictions for the test patients
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


@verb(example="lymphofeat check data")
@cohort_argument
def check(say: Say, cohort: Path | None) -> None:
    """List all problems of a cohort at once, summarise it, and audit it for shortcuts.

    COHORT is a folder in the challenge's layout, or in another that its lymphofeat.toml describes; by default
    $LYMPHOFEAT_COHORT, else data/. Exit code 2 if something stops the work, 0 with warnings only.
    """
    from .cohort.check import check_cohort
    from .report.check import render_check

    report = check_cohort(cohort_folder(cohort), progress=say.progress())
    render_check(report, say.console)
    if report.errors:
        sys.exit(2)


@verb(example="lymphofeat synth data --patients 40 --seed 1")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--patients", default=40, show_default=True, type=click.IntRange(6), help="Records to draw.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Same seed, same bytes.")
@click.option("--overlap", default=0.25, show_default=True, type=click.FloatRange(0, 1),
              help="Of the classes: 0 apart, 1 the same.")  # fmt: skip
@click.option("--signal", default="both", show_default=True,
              type=click.Choice(["both", "image", "clinical", "none"]), help="What tells them apart.")  # fmt: skip
@click.option("--images", nargs=2, type=click.IntRange(1), default=(20, 60), show_default=True,
              metavar="LEAST MOST", help="Images of a patient.")  # fmt: skip
def synth(
    say: Say, out: Path, patients: int, seed: int, overlap: float, signal: str, images: tuple[int, int]
) -> None:
    """Draw a cohort with a known truth: painted cells, clinical values, and the true probabilities beside them."""
    from .cohort.synth import SynthSpec, draw_cohort

    spec = SynthSpec(
        patients=patients, seed=seed, overlap=overlap, signal=signal, images_range=images  # type: ignore[arg-type]
    )  # fmt: skip
    folder = draw_cohort(out, spec, progress=say.progress())
    say.console.print(f"Drew {patients} patients in {folder}; the truth is in its truth_*.csv.")


@verb(example="lymphofeat extract data --weights resnet18.pth --train-from layer4")
@cohort_argument
@cache_option
@click.option("--frozen", is_flag=True, help="Only the encoder as it is: no labels used, minutes.")
@click.option("--finetune", is_flag=True, help="Only the fine-tuned encoders, one per fold.")
@click.option("--recipe", default="default", show_default=True, metavar="NAME|FILE.toml",
              help="How to fine-tune; see `lymphofeat recipes`.")  # fmt: skip
@click.option("--epochs", type=click.IntRange(1), help="Of each encoder; by default the recipe's.")
@click.option("--train-from", type=click.Choice(["all", "layer3", "layer4", "fc"]),
              help="Train only from here on, on stored activations; by default the recipe's.")  # fmt: skip
@click.option("--nested", is_flag=True, help="Also encoders blind to two folds, for nested cross-validation.")
@click.option("--name", metavar="NAME", help="Of the fine-tuned family; by default from recipe and weights.")
@click.option("--weights", default="imagenet", show_default=True, metavar="imagenet|none|FILE",
              help="torchvision's own, none (untrained: a control, needs --seed), or a file.")  # fmt: skip
@click.option("--backbone", help="The network; by default the recipe's, else resnet18.")
@click.option("--seed", type=click.IntRange(0), help="Of random weights and of training (0 by default).")
@click.option(
    "--crop", type=click.IntRange(32), help="Centre crop, pixels; by default the recipe's, else 112."
)
@click.option("--batch-size", default=64, show_default=True, type=click.IntRange(1),
              help="Images a pass, where features are computed.")  # fmt: skip
@click.option("--device", default="auto", show_default=True,
              type=click.Choice(["auto", "cpu", "cuda", "mps"]), help="Where to compute.")  # fmt: skip
@click.option("--dtype", default="float32", show_default=True, type=click.Choice(["float32", "bfloat16"]),
              help="Of the arithmetic; bfloat16 is twice as fast where the processor has it.")  # fmt: skip
@click.option("--folds", "n_folds", type=click.IntRange(2), help="Folds; by default the recipe's, else 5.")
@click.option("--fold-seed", default=0, show_default=True, type=click.IntRange(0), help="Of the folds.")
@click.option("--force", is_flag=True, help="Replace what is there and does not fit; train anew.")
def extract(
    say: Say, cohort: Path | None, cache: Path, *, frozen: bool, finetune: bool, force: bool, **options: Any
) -> None:
    """Compute the features of every image and keep them in the cache.

    First by the encoder as it is (frozen), then by encoders that are fine-tuned on the cohort, one per fold and
    without that fold, so that heads can be scored on it. Goes on where an earlier run was stopped. COHORT is by default
    $LYMPHOFEAT_COHORT, else data/.
    """
    from .cache.extract import extract_frozen
    from .cache.finetune import extract_finetuned, settings_from
    from .cohort.read import read_cohort
    from .report.cache import render_extract
    from .report.finetune import render_finetune

    if frozen and finetune:
        raise click.UsageError(
            "--frozen and --finetune exclude each other; leave both out for both encodings."
        )
    settings = settings_from(**options)
    found, progress = read_cohort(cohort_folder(cohort)), say.progress()
    if not finetune:
        summary = extract_frozen(found, cache, settings.extract, force=force, progress=progress)
        render_extract(summary, say.console)
    if not frozen:
        tuned = extract_finetuned(found, cache, settings, force=force, progress=progress)
        render_finetune(tuned, say.console)


@verb(example="lymphofeat recipes pooled")
@click.argument("name", metavar="[NAME|FILE.toml]", required=False)
def recipes(say: Say, name: str | None) -> None:
    """List the recipes of `extract --finetune`, or show all settings of one."""
    from .encoder.recipe_file import find_recipe, list_recipes
    from .report.finetune import render_recipe, render_recipes

    if name is None:
        render_recipes(list_recipes(), say.console)
    else:
        render_recipe(find_recipe(name), say.console)


@verb(example="lymphofeat heads")
def heads(say: Say) -> None:
    """List the families of heads that `tune` searches, each with its source, and the poolings."""
    from .heads.registry import families
    from .report.heads import render_heads

    render_heads(families(), say.console)


@verb(example="lymphofeat info cache/features.h5")
@click.argument("file", type=click.Path(path_type=Path), default=CACHE)
def info(say: Say, file: Path) -> None:
    """Say what a cache (.h5) or a study (.db) holds; by default, cache/features.h5."""
    if file.suffix == ".db":
        from .report.study import render_study
        from .studies import load_study

        render_study(load_study(file), say.console)
        return
    from .cache import open_cache
    from .cache.writer import partials
    from .report.cache import render_cache, render_partials

    waiting = list(partials(file))
    if file.exists() or not waiting:
        render_cache(open_cache(file), say.console)
    render_partials(waiting, say.console)


@verb(example="lymphofeat tune --trials 200 --jobs 2")
@cache_option
@study_option
@click.option("--trials", default=200, show_default=True, type=click.IntRange(1),
              help="Finished trials in all, those of earlier runs included.")  # fmt: skip
@click.option("--metric", default="balanced_accuracy", show_default=True,
              type=click.Choice(METRICS), help="What is searched for.")  # fmt: skip
@click.option("--class-weights", metavar="REACTIVE,MALIGNANT",
              help="What a patient weighs in balanced accuracy, as a leaderboard fixes it; by default none: such that "
              "the classes weigh the same.")  # fmt: skip
@click.option("--encoding", help="Which features of the cache; by default those computed last.")
@click.option(
    "--families", default="", metavar="NAME,…", help="Of heads; by default all, see `lymphofeat heads`."
)
@click.option("--inputs", default="", metavar="NAME,…", help="Of clinical, image, both; by default all.")
@click.option("--no-clinical", is_flag=True, help="As --inputs image.")
@click.option("--sampler", default="tpe", show_default=True, type=click.Choice(["tpe", "random", "grid"]),
              help="Who proposes, after the sensible first trials.")  # fmt: skip
@click.option("--prune/--no-prune", default=True, show_default=True,
              help="Stop heads that the first folds show to be hopeless.")  # fmt: skip
@click.option(
    "--repeats", default=1, show_default=True, type=click.IntRange(1), help="Drawings of the folds."
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of the search.")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1),
              help="Processes; the trials are the same.")  # fmt: skip
@click.option("--show", is_flag=True, help="Only show what the study has found; needs no cache.")
def tune(
    say: Say,
    cache: Path,
    study: str,
    *,
    encoding: str | None,
    families: str,
    inputs: str,
    no_clinical: bool,
    class_weights: str | None,
    show: bool,
    **options: Any,
) -> None:
    """Try patient-level heads on the cached features, cross-validated by patient.

    Goes on where an earlier run was stopped.
    """
    from . import studies
    from .report.study import render_study

    if no_clinical and inputs:
        raise click.UsageError("--no-clinical is --inputs image; give one of them.")
    if show:
        render_study(studies.load_study(study_path(study)), say.console)
        return
    summary = studies.tune(
        cache, study_path(study), family=encoding, heads=_names(families),
        inputs=["image"] if no_clinical else _names(inputs), class_weights=_class_weights(class_weights),
        progress=say.progress(), **options,
    )  # fmt: skip
    render_study(summary, say.console)


def _names(given: str) -> list[str]:
    return [name for name in given.replace(",", " ").split() if name]


def _class_weights(given: str | None) -> tuple[float, float] | None:
    if given is None or given == "none":
        return None
    try:
        reactive, malignant = (float(part) for part in given.split(","))
    except ValueError:
        raise click.UsageError(
            f"--class-weights takes two numbers such as 1,2, or none; not {given!r}."
        ) from None
    return reactive, malignant


@verb(example="lymphofeat compare data --systems default,frozen --out comparison")
@click.argument("source", metavar="[COHORT|CACHE]", type=click.Path(path_type=Path), required=False)
@cache_option
@click.option("--systems", default="", metavar="NAME,…",
              help="Systems, encodings, recipes, heads, or frozen, fine-tuned; by default all.")  # fmt: skip
@click.option("--metric", default="balanced_accuracy", show_default=True,
              type=click.Choice(METRICS), help="What decides the best.")  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="Write compare.csv and compare.md there."
)
@click.option("--weights", metavar="imagenet|FILE",
              help="Also their frozen encoding; recipes start from them (by default from imagenet).")  # fmt: skip
@click.option("--device", default="auto", show_default=True,
              type=click.Choice(["auto", "cpu", "cuda", "mps"]), help="Where to compute.")  # fmt: skip
@click.option("--dtype", default="float32", show_default=True, type=click.Choice(["float32", "bfloat16"]),
              help="Of the arithmetic.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), help="Of training; 0 by default.")
def compare(
    say: Say,
    source: Path | None,
    cache: Path,
    systems: str,
    metric: str,
    out: Path | None,
    weights: str | None,
    **settings: Any,
) -> None:
    """Measure every system of a cache on the same folds, beside controls that know nothing of cells.

    Given a cohort, first adds to --cache what it lacks: the controls, the --weights, the recipes in --systems. Given a
    cache (by default --cache, if it is there), measures what it holds. Goes on where an earlier run was stopped.
    """
    from .report.compare import render_comparison, write_comparison
    from .studies.compare import compare as compare_cache
    from .studies.compare import compare_cohort

    names = _names(systems)
    record, progress = STUDIES / "compare.jsonl", say.progress()
    if source is None and cache.exists():
        source = cache
    if source is not None and (source.is_file() or source.suffix == ".h5"):
        comparison = compare_cache(source, record, systems=names, metric=metric, progress=progress)
    else:
        from .cache.extract import ExtractSettings
        from .cohort.read import read_cohort

        comparison = compare_cohort(
            read_cohort(cohort_folder(source)), cache, record, settings=ExtractSettings(**settings),
            weights=weights, systems=names, metric=metric, progress=progress,
        )  # fmt: skip
    render_comparison(comparison, say.console)
    if out is not None:
        say.console.print("Wrote " + " and ".join(map(str, write_comparison(comparison, out))))


@verb(example="lymphofeat submit --out submission.csv --probabilities")
@cache_option
@study_option
@click.option(
    "--out", type=click.Path(path_type=Path), default=SUBMISSION, show_default=True, help="The CSV."
)
@click.option("--probabilities", is_flag=True, help="Write Id,Probability beside it.")
@click.option("--force", is_flag=True, help="Replace files that exist.")
def submit(say: Say, cache: Path, study: str, out: Path, *, probabilities: bool, force: bool) -> None:
    """Refit the study's best head on all labelled patients and predict the test patients."""
    from . import studies
    from .report.study import render_submission

    summary = studies.submit(cache, study_path(study), out, probabilities=probabilities, force=force)
    render_submission(summary, say.console)


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
