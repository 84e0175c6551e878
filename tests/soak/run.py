"""One cohort from its number to predictions, and everything that went wrong on the way."""

import contextlib
import io
import json
import re
import resource
import signal
import sqlite3
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lymphofeat.bundle.codec import pack_object, unpack_object
from lymphofeat.cache import open_cache
from lymphofeat.cli import commands
from lymphofeat.errors import LymphofeatError
from lymphofeat.final.refit import final_fits, fit_final
from lymphofeat.heads.base import FitCache
from lymphofeat.heads.registry import head_types
from lymphofeat.scoring.score import score_head
from lymphofeat.studies.load import load_study, load_trials
from lymphofeat.studies.space import HEAD_TYPE, build_head

from .cohorts import image_folder, patients, write_cache
from .plan import CohortPlan
from .points import points_of
from .refusals import Facts, allowed

__all__ = ["Result", "soak"]

_POINTS = 2  # covering points a cohort
_SECONDS = 180  # of the processor, after which a step is given up
_NO_NUMBER = re.compile(r"(?<![\w.])[-−+]?(nan|inf|infinity)(?![\w.])", re.IGNORECASE)
_FRAME = re.compile(r'File ".*?/(lymphofeat/[^"]+)", line \d+, in (\w+)')


@dataclass
class Result:
    """What came of a cohort.

    Attributes:
        seed, number: which one.
        about: its description.
        kind: of `plan.KINDS`.
        seconds: of the processor, by step.
        trials: finished trials and covering points by head type.
        points: parameters of the covering points that were scored.
        failed: head type and reason of each trial that failed for a named reason.
        refused: names of the refusals that the cohort deserved, by step.
        failures: step, cause in short, and traceback or sentence of everything that must not happen.
        megabytes: the process's peak of memory until then.
    """

    seed: int
    number: int
    about: str
    kind: str
    seconds: dict[str, float] = field(default_factory=dict)
    trials: dict[str, int] = field(default_factory=dict)
    points: list[dict[str, Any]] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    failures: list[dict[str, str]] = field(default_factory=list)
    megabytes: int = 0

    def json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))


class Wrong(Exception):
    """A result that must not be: NaN, a value out of range, two answers to one question."""


def soak(seed: int, number: int, folder: Path, *, short: bool = False) -> Result:
    """Do everything with one cohort; warnings should be errors already.

    Args:
        folder: empty; the caller removes it.
        short: without `evaluate`, for the ordinary tests.
    """
    plan = CohortPlan.of(seed, number)
    result = Result(seed, number, str(plan), plan.kind)
    run = _Run(plan, folder, result)
    cache = folder / "cache.h5"
    if plan.kind == "images":
        made = run.step("images", lambda: run.images(cache))
    else:
        table = patients(plan)
        made = run.step("save_cache", lambda: write_cache(plan, cache, table))
    if made:
        run.facts = Facts.of(plan, open_cache(cache))
        if run.step("tune", lambda: run.tune(cache)):
            run.step("submit", lambda: run.submit(cache, "study"))
            if run.step("export", lambda: run.export(cache, "study")) and plan.kind == "images":
                run.step("predict", lambda: run.predict_images())
        if plan.options["clinical"] and run.step("tune clinical", lambda: run.tune_clinical(cache)):
            run.step("predict clinical", lambda: run.predict_clinical(cache))
        for point in points_of(number, _POINTS):
            run.step(f"point {point[HEAD_TYPE]}", lambda point=point: run.point(cache, point))
        if plan.options["evaluate"] and not short:
            run.step("evaluate", lambda: run.evaluate(cache))
    result.megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return result


class _Run:
    def __init__(self, plan: CohortPlan, folder: Path, result: Result) -> None:
        self.plan, self.folder, self.result = plan, folder, result
        self.facts = Facts.of(plan)

    def step(self, name: str, work: Callable[[], object]) -> bool:
        """Do one thing; whether it was done."""
        began = time.process_time()
        try:
            with _limited(_SECONDS):
                work()
        except LymphofeatError as error:
            reason = allowed(str(error), self.facts)
            if reason is None:
                self.fail(name, f"{type(error).__name__} {_shape(str(error))}", traceback.format_exc())
            else:
                self.result.refused[name] = reason
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            text = traceback.format_exc()
            frames = _FRAME.findall(text)
            where = ":".join(frames[-1]) if frames else "outside the package"
            self.fail(name, f"{type(error).__name__} in {where}: {_shape(str(error))}", text)
        else:
            return True
        finally:
            self.result.seconds[name] = round(time.process_time() - began, 2)
        return False

    def fail(self, step: str, cause: str, text: str) -> None:
        self.result.failures.append({"step": step, "cause": cause[:200], "text": text[-4000:]})

    def command(self, *arguments: object) -> str:
        """A command as users type it, in this process; what it said."""
        said = io.StringIO()
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                commands.main([str(a) for a in arguments], standalone_mode=False)
        except SystemExit as ended:
            if ended.code:
                raise Wrong(f"exit code {ended.code}: {said.getvalue()}") from None
        found = _NO_NUMBER.search(said.getvalue())
        if found:
            line = next(line for line in said.getvalue().splitlines() if _NO_NUMBER.search(line))
            raise Wrong(f"{arguments[0]} prints {found[0]}: {line.strip()}")
        return said.getvalue()

    def images(self, cache: Path) -> None:
        plan, cohort = self.plan, self.folder / "cohort"
        image_folder(plan, cohort)
        self.command("check", cohort)
        common = [
            "--cache",
            cache,
            "--weights",
            "none",
            "--seed",
            plan.number,
            "--folds",
            plan.folds,
            "--crop",
            48,
        ]
        frozen = ["extract", cohort, "--frozen", "--backbone", "small-cnn", *common]
        self.command(*frozen)
        self.command(*frozen)  # nothing to do
        if plan.options["finetune"]:
            nested = ["--nested"] if plan.encoders == "per two folds" else []
            self.command(
                "extract",
                cohort,
                "--finetune",
                "--recipe",
                "pooled-small-cnn",
                "--epochs",
                1,
                *nested,
                *common,
            )
        self.command("info", cache)

    def tune(self, cache: Path) -> None:
        plan, options = self.plan, self.plan.options
        study = self.folder / "study.db"
        inputs = options["inputs"]
        fitting = [h for h in plan.heads if not inputs or inputs in head_types()[h].inputs]
        weights = options["class_weights"]
        trained = any(e.blind_to is not None for e in open_cache(cache).encodings.values())
        arguments = [
            "tune", "--cache", cache, "--study", study, "--trials", options["trials"], "--metric", options["metric"],
            "--heads", ",".join(fitting), "--sampler", options["sampler"], "--seed", options["seed"],
            "--prune" if options["prune"] else "--no-prune",
            "--repeats", 1 if trained or plan.kind == "images" else min(options["repeats"], plan.repeats),
        ]  # fmt: skip
        arguments += ["--inputs", inputs] if inputs else []
        arguments += ["--class-weights", ",".join(map(str, weights))] if weights else []
        try:
            self.command(*arguments)
        finally:
            self.trials_of(study)
        self.command("tune", "--show", "--study", study)

    def tune_clinical(self, cache: Path) -> None:
        study = self.folder / "clinical.db"
        try:
            self.command("tune", "--cache", cache, "--study", study, "--trials", 8, "--inputs", "clinical",
                      "--heads", "logistic,lda,xgboost", "--sampler", "random",
                      "--seed", self.plan.options["seed"])  # fmt: skip
        finally:
            self.trials_of(study)

    def trials_of(self, study: Path) -> None:
        """Count the trials of a study and look at every number of them."""
        if not study.exists():
            return
        for head, error in failed_trials(study):
            reason = allowed(error, self.facts)
            if reason is None:
                self.fail("trial", f"failed trial of {head}: {_shape(error)}", error)
            else:
                self.result.failed.append((head, reason))
        counts = Counter(self.result.trials)
        for row in load_study(study).rows if _has_complete(study) else ():
            counts[str(row.params[HEAD_TYPE])] += 1
        self.result.trials = dict(counts)
        for trial in load_trials(study) if _has_complete(study) else ():
            what = f"trial {trial.number} {trial.params}"
            _probabilities(what, trial.scores.probabilities)
            _finite(what, [*trial.scores.values.values(), *trial.scores.thresholds.ravel(), trial.threshold])

    def submit(self, cache: Path, study: str) -> None:
        out = self.folder / f"{study}.csv"
        ensemble = self.plan.options["ensemble"]
        arguments = ["submit", "--cache", cache, "--study", self.folder / f"{study}.db", "--out", out]
        self.command(*arguments, "--probabilities", *(["--ensemble", ensemble] if ensemble else []))
        p = pd.read_csv(out.with_name(f"{study}-probabilities.csv"))["Probability"]
        _probabilities("submit", p)
        if not pd.read_csv(out)["Predicted"].isin([0, 1]).all():
            raise Wrong("submit predicts something other than 0 and 1")

    def export(self, cache: Path, study: str) -> None:
        options = self.plan.options
        arguments = [
            "export",
            self.folder / f"{study}-model",
            "--cache",
            cache,
            "--study",
            self.folder / f"{study}.db",
        ]
        arguments += ["--ensemble", options["ensemble"]] if options["ensemble"] else []
        arguments += ["--calibrate", options["calibrate"]] if options["calibrate"] else []
        arguments += ["--refer-error", options["refer_error"]] if options["refer_error"] else []
        self.command(*arguments)

    def predict_images(self) -> None:
        out = self.folder / "predictions.csv"
        self.command("predict", self.folder / "study-model", self.folder / "cohort", "--out", out)
        _predictions(out)

    def predict_clinical(self, cache: Path) -> None:
        """Export a model of clinical values, predict the test patients with it and compare with `submit`."""
        self.export(cache, "clinical")
        opened = open_cache(cache)
        new = opened.patients.query("split == 'test'")
        if new.empty:
            return
        age, column = (
            ("birth", "DOB") if opened.tables.reference else ("age", "AGE")
        )  # counted to a day, or given
        table = new.rename(
            columns={"id": "ID", "sex": "GENDER", age: column, "lymphocyte_count": "LYMPH_COUNT"}
        )
        csv, out, empty = self.folder / "new.csv", self.folder / "new-predictions.csv", self.folder / "empty"
        table[["ID", "GENDER", column, "LYMPH_COUNT"]].to_csv(csv, index=False)
        empty.mkdir()
        self.command("predict", self.folder / "clinical-model", empty, "--clinical", csv, "--out", out)
        found = _predictions(out)
        self.submit(cache, "clinical")
        submitted = pd.read_csv(self.folder / "clinical-probabilities.csv", dtype={"Id": str})
        both = found.merge(submitted, left_on="id", right_on="Id")
        if len(both) != len(new) or not np.allclose(both["probability"], both["Probability"], atol=1e-9):
            raise Wrong("predict and submit give different probabilities for the same patients")

    def point(self, cache_path: Path, params: dict[str, Any]) -> None:
        """Score a head, fit it on everyone, take it apart and put it together again."""
        cache = open_cache(cache_path)
        fit_cache = FitCache(limit=1 << 28)
        encoder_family = cache.default_encoder_family
        scores = score_head(cache, encoder_family, build_head(params), fit_cache=fit_cache)
        _probabilities("out-of-fold", scores.probabilities)
        _finite("scores", [*scores.values.values(), *scores.thresholds.ravel()])
        fits = final_fits(cache, encoder_family)
        (member,) = fit_final(cache, fits, [(params, 1.0)])
        for fit, head in zip(fits, member.heads, strict=True):
            bags, clinical = fit.split.bags, cache.clinical
            p = head.predict_proba(bags, clinical)
            _probabilities("fitted on all", p)
            if not np.array_equal(p, unpack_object(pack_object(head)).predict_proba(bags, clinical)):
                raise Wrong("a head gives other probabilities after it was packed and unpacked")
        self.result.points.append(params)
        counts = Counter(self.result.trials)
        counts[str(params[HEAD_TYPE])] += 1
        self.result.trials = dict(counts)

    def evaluate(self, cache: Path) -> None:
        plan, options = self.plan, self.plan.options
        out = self.folder / "evaluation"
        self.facts = replace(self.facts, nested=True)
        arguments = [
            "evaluate", "--cache", cache, "--study", self.folder / "evaluated.db", "--metric", options["metric"],
            "--trials", options["nested_trials"], "--heads", ",".join(plan.heads[:1]),
            "--permute", 0 if plan.trained else options["permute"], "--seed", options["seed"], "--out", out,
        ]  # fmt: skip
        try:
            self.command(*arguments, *(["--learning-curve"] if options["learning_curve"] else []))
        finally:
            for study in (self.folder / "evaluated-nested").rglob("*.db"):
                self.trials_of(study)
        for file in (out / "evaluate.md", out / "evaluate.json"):
            found = _NO_NUMBER.search(file.read_text(encoding="utf-8"))
            if found:
                raise Wrong(f"{file.name} holds {found[0]}")


def failed_trials(study: Path) -> list[tuple[str, str]]:
    """Head type and error of the trials that a study keeps as failed."""
    query = (
        "SELECT t.trial_id, a.value_json FROM trials t LEFT JOIN trial_user_attributes a "
        "ON a.trial_id = t.trial_id AND a.key = 'error' WHERE t.state = 'FAIL'"
    )
    names = (
        "SELECT p.param_value, p.distribution_json FROM trial_params p "
        "WHERE p.trial_id = ? AND p.param_name = 'family'"
    )
    with contextlib.closing(sqlite3.connect(f"file:{study}?mode=ro", uri=True)) as file:
        found = []
        for trial, error in file.execute(query).fetchall():
            value, distribution = file.execute(names, (trial,)).fetchone()
            head = json.loads(distribution)["attributes"]["choices"][int(value)]
            found.append((str(head), str(error)))
    return found


def _has_complete(study: Path) -> bool:
    with contextlib.closing(sqlite3.connect(f"file:{study}?mode=ro", uri=True)) as file:
        return bool(file.execute("SELECT COUNT(*) FROM trials WHERE state = 'COMPLETE'").fetchone()[0])


def _predictions(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path, dtype={"id": str})
    for column in ("probability", "calibrated"):
        if column in table:
            _probabilities(f"predict, {column}", table[column])
    if not table["decision"].isin(["reactive", "malignant", "refer"]).all():
        raise Wrong("predict decides for something that is no class")
    return table


def _probabilities(what: str, p: Any) -> None:
    values = np.asarray(p, dtype=np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise Wrong(f"{what}: probabilities hold NaN or lie outside 0 to 1: {values.ravel()[:8]}")


def _finite(what: str, values: Any) -> None:
    if not np.isfinite(np.asarray(values, dtype=np.float64)).all():
        raise Wrong(f"{what}: a value is NaN or infinite: {values}")


def _shape(text: str) -> str:
    """A message without what differs from cohort to cohort."""
    return re.sub(r"/\S+|\d+(\.\d+)?(e-?\d+)?", "#", text.strip().splitlines()[0] if text.strip() else "")


@contextlib.contextmanager
def _limited(seconds: int) -> Iterator[None]:
    """End a step that hangs."""

    def end(*_: object) -> None:
        raise TimeoutError(f"not done after {seconds} seconds of the processor")

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
