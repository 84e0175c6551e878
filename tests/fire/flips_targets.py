"""What is damaged: the files that commands leave, finished and under way, and what reads each of them."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lymphofeat.errors import CacheError
from lymphofeat.storage.seals import SEAL

from .flips import Target
from .kills_children import Kill, run_command
from .kills_points import Point
from .kills_scenarios import SCENARIOS, arguments_of
from .results import contents

__all__ = ["TARGETS", "make_targets"]

PARTIAL, CHECKPOINT, PIXELS = "partial encoding", "checkpoint", "pixel store"
PARTIAL_PIXELS, ENCODER, CACHE = "partial pixel store", "trained encoder", "cache"
STUDY, BUNDLE, LEDGER = "study", "bundle", "folds of an evaluation"
TARGETS = (PARTIAL, CHECKPOINT, PIXELS, PARTIAL_PIXELS, ENCODER, CACHE, STUDY, BUNDLE, LEDGER)
_CACHE_FILES = ("features.h5", "features-encodings/*")
_COMMANDS = {scenario.name: scenario.command for scenario in SCENARIOS}


def make_targets(cohorts: Path, folder: Path, names: Sequence[str] = ()) -> Iterator[Target]:
    """Run the commands on a cohort of `make_cohorts`, stopping some on the way, and keep what they leave.

    Args:
        cohorts: of the cohort.
        folder: for all that is written.
        names: of `TARGETS`, those that are wanted; all if empty.
    """
    run, notes, kept = folder / "made", folder / "notes", folder / "kept"
    for path in (run, notes):
        path.mkdir(parents=True)
    wanted = set(names or TARGETS)

    def do(name: str, at: Point | None = None) -> None:
        ran = run_command(arguments_of(_COMMANDS[name], cohorts), run, notes, Kill(at) if at else None)
        if ran.killed != (at is not None) or (ran.code and not ran.killed):
            raise RuntimeError(f"{name}: exit code {ran.code}: {ran.said[-1000:]}")

    def keep(name: str, *patterns: str) -> Path:
        there = kept / name
        for path in [path for pattern in patterns for path in run.glob(pattern) if path.is_file()]:
            place = there / path.relative_to(run)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, place)
        return there

    def extract(at: Path) -> Any:
        return _run_here(arguments_of(_COMMANDS["extract --frozen"], cohorts), at)

    if PARTIAL in wanted:
        do("extract --frozen", Point("block kept", 4))
        yield Target(PARTIAL, keep(PARTIAL, "*"), ("*.partial",), extract)
    do("extract --frozen")
    if wanted & {CHECKPOINT, PIXELS, PARTIAL_PIXELS, ENCODER, CACHE}:
        do("extract --finetune", Point("epoch kept", 3))
        checkpoints = keep(CHECKPOINT, "features-encoders/*.checkpoint")
        yield Target(CHECKPOINT, checkpoints, ("**/*.checkpoint",), _checkpoints)
        do("extract --finetune")
        pixels = keep(PIXELS, "*.u8")
        yield Target(PIXELS, pixels, ("*.u8",), _pixels(cohorts))
        yield Target(
            PARTIAL_PIXELS, _growing(pixels, kept / PARTIAL_PIXELS), ("*.partial",), _pixels(cohorts)
        )
        encoders = keep(ENCODER, "features-encoders/*.safetensors")
        yield Target(ENCODER, encoders, ("**/*.safetensors",), _encoders)
        yield Target(CACHE, keep(CACHE, *_CACHE_FILES), _CACHE_FILES, _cache, _verify_cache)
    if wanted & {STUDY, BUNDLE}:
        do("tune")
        yield Target(STUDY, keep(STUDY, "study.db"), ("study.db",), _study)
    if BUNDLE in wanted:
        do("export")
        yield Target(BUNDLE, keep(BUNDLE, "model/**/*"), ("model/**/*",), _bundle)
    if LEDGER in wanted:
        do("evaluate")
        ledger = keep(LEDGER, "evaluated-nested/*.jsonl")
        yield Target(LEDGER, ledger, ("**/*.jsonl",), _ledger(ledger))


def _run_here(arguments: list[str], at: Path) -> Any:
    """Run a command in this process; the error that it says, or what it leaves."""
    import os
    import sys

    from lymphofeat.cli import commands

    os.chdir(at)
    sys.argv = ["lymphofeat", *arguments]
    commands.main(arguments, standalone_mode=False)
    found = contents(at)
    for name, file in found.items():
        if name.startswith("features-encodings/"):
            for part in ("origins", "origin", "checks"):  # which device computed a row: decides nothing
                file["encoding"].pop(part)
    return found


def _cache(at: Path) -> Any:
    from lymphofeat.cache import open_cache

    cache = open_cache(at / "features.h5")
    tables = cache.tables
    found: dict[str, Any] = {
        "patients": tables.patients.to_csv(),
        "folds": tables.folds.tolist(),
        "tables": [tables.fold_seed, tables.fingerprint, tables.source, tables.reference, tables.layout],
        "images": [list(tables.names), [int(size) for size in tables.sizes], list(tables.digests)],
        "fingerprint": cache.fingerprint,
        "default": cache.default_encoder_family,
        "stale": sorted(cache.stale),
    }
    for name, encoding in cache.encodings.items():
        own, quality = encoding.end_to_end, encoding.quality
        found[name] = {
            "spec": encoding.spec.to_json(),
            "features": np.asarray(encoding.features).tobytes(),
            "own": None if own is None else own.tobytes(),
            "quality": None if quality is None else np.asarray(quality).tobytes(),
            "made": {k: v for k, v in encoding.made.items() if k != "seconds"},
        }
    return found


def _verify_cache(at: Path) -> None:
    from lymphofeat.verification.verify import verify

    found = verify(at / "features.h5")
    if not found.sound:
        raise CacheError(" ".join(fault.sentence for fault in found.faults))


def _checkpoints(at: Path) -> Any:
    from lymphofeat.training.checkpoint import inspect_checkpoint

    return [_values(vars(inspect_checkpoint(path, whole=True))) for path in sorted(at.rglob("*.checkpoint"))]


def _values(value: Any) -> Any:
    """Tensors as bytes, at any depth."""
    import torch

    if isinstance(value, torch.Tensor):
        return [str(value.dtype), tuple(value.shape), value.contiguous().numpy().tobytes()]
    if isinstance(value, dict):
        return {k: _values(v) for k, v in value.items()}
    return [_values(v) for v in value] if isinstance(value, list | tuple) else value


def _encoders(at: Path) -> Any:
    from lymphofeat.training.trained import load_trained

    found = [load_trained(path) for path in sorted(at.rglob("*.safetensors"))]
    return [
        [_values(dict(one.network.state_dict())), one.recipe.to_dict(), one.preprocessing, one.about]
        for one in found
    ]


def _pixels(cohorts: Path) -> Callable[[Path], Any]:
    """Reads all pixels, decoding what is missing, as training does."""
    from lymphofeat.cohort.fingerprint import image_digests
    from lymphofeat.cohort.read import read_cohort

    images = read_cohort(cohorts / "COHORT").images
    digests = image_digests(images, workers=1)

    def read(at: Path) -> Any:
        from lymphofeat.training.pixel_store import open_pixels

        (name,) = {
            path.name.removesuffix(".partial") for path in at.glob("pixels-*") if path.suffix != ".lock"
        }
        side = int(name.split("-")[1])
        store = open_pixels(images, digests, at, side, crop=32)
        return store.read(range(len(store))).numpy().tobytes()

    return read


def _growing(pixels: Path, there: Path) -> Path:
    """The finished store as one that was stopped just before it took its name."""
    (whole,) = pixels.glob("*.u8")
    there.mkdir()
    shutil.copy2(whole, there / f"{whole.name}.partial")
    return there


def _study(at: Path) -> Any:
    from lymphofeat.studies.load import load_study, load_trials
    from lymphofeat.studies.store import open_store

    path = at / "study.db"
    summary = load_study(path)
    with open_store(path) as store:
        rows = [
            [
                row.number,
                repr(row.value),
                row.pruned,
                row.params,
                repr(row.distributions),
                row.steps,
                store.attrs(row),
            ]
            for row in store.rows()
        ]
        about = [store.provenance, store.patients]
    return {"rows": rows, "about": about, "trials": repr(load_trials(path)), "summary": repr(summary.best)}


def _bundle(at: Path) -> Any:
    from lymphofeat.bundle.load import PROBE, load_bundle

    bundle = load_bundle(at / "model")
    probe = bundle.files.read_arrays(PROBE)
    return [bundle.about, {name: array.tobytes() for name, array in probe.items()}]


def _ledger(kept: Path) -> Callable[[Path], Any]:
    """Reads of the lines what readers take; one that is not found is computed again, to the same as `kills` shows."""
    (path,) = kept.rglob("*.jsonl")
    known = {
        entry.pop("key"): entry for entry in map(json.loads, path.read_text(encoding="utf-8").splitlines())
    }
    for entry in known.values():
        entry.pop(SEAL)

    def read(at: Path) -> Any:
        from lymphofeat.storage.journal import open_ledger

        (found,) = at.rglob("*.jsonl")
        with open_ledger(found) as ledger:
            lines = {key: ledger.get(key) or entry for key, entry in known.items()}
        return {key: {name: lines[key].get(name) for name in entry} for key, entry in known.items()}

    return read
