"""Commands that write, what each makes, and how that is compared: for a disk that is full, read-only, or shared."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lymphofeat.cache import open_cache

from ..helpers.finetuned import contents
from ..helpers.studies import trials_of
from .inputs.whole import listing

__all__ = ["STAGES", "Stage"]

_FILES = ("--cache", "c.h5", "--study", "s.db")
_CNN = ("--weights", "none", "--seed", "0", "--crop", "64", "--folds", "3", "--device", "cpu")


def _features(path: Path) -> Any:
    return {
        name: np.array(encoding.features).tolist() for name, encoding in open_cache(path).encodings.items()
    }


def _trained(path: Path) -> Any:
    return {name: [part.tolist() for part in parts] for name, parts in contents(path).items()}


def _evaluation(path: Path) -> Any:
    return {key: value for key, value in json.loads(path.read_text()).items() if key != "made"}


def _bundle(path: Path) -> Any:
    """Its files but those that have the day in them."""
    dated = (".md", "manifest.json", "model.json")
    return {name: held for name, held in listing(path).items() if not name.endswith(dated)}


class Stage(NamedTuple):
    """A command, what it makes, how that is read, and what it may change that is there already."""

    command: tuple[str, ...]
    makes: str
    read: Callable[[Path], Any]
    grows: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """Names that a sentence on a full disk may have: what is made, what grows, what stands beside them."""
        beside = (
            "-nested",
            "-encoders",
            "studies",
            "submissions.csv",
            "pixels-",
            "activations-",
            "-probabilities",
        )
        return (Path(self.makes).stem, self.makes.partition("/")[0], *self.grows, *beside)


STAGES = [
    Stage(("extract", "data", "--frozen", "--backbone", "small-cnn", *_CNN, "--cache", "new.h5"), "new.h5", _features),
    Stage(("extract", "data", "--frozen", "--backbone", "small-cnn", *_CNN[:3], "1", *_CNN[4:], "--cache", "c.h5"),
          "c.h5", _features, ("c.h5",)),
    Stage(("extract", "data", "--features", "shape", "--cache", "cells.h5", "--folds", "3", "--crop", "64"),
          "cells.h5", _features),
    Stage(("extract", "data", "--finetune", "--recipe", "pooled-small-cnn", *_CNN, "--epochs", "2", "--cache", "f.h5"),
          "f.h5", _trained),
    Stage(("tune", *_FILES, "--trials", "6", "--heads", "logistic", "--inputs", "image"), "s.db", trials_of, ("s.db",)),
    Stage(("tune", "--cache", "c.h5", "--study", "t.db", "--trials", "2", "--heads", "logistic", "--inputs", "image",
           "--trials-csv", "t.csv"), "t.csv", Path.read_text),
    Stage(("evaluate", *_FILES, "--heads", "logistic", "--trials", "1", "--out", "e"), "e/evaluate.json", _evaluation),
    Stage(("compare", "c.h5", "--out", "r"), "r/compare.md", lambda path: len(path.read_text().splitlines())),
    Stage(("submit", *_FILES, "--probabilities"), "submission.csv", Path.read_text),
    Stage(("submit", *_FILES, "--force", "--out", "patients.csv"), "patients.csv", Path.read_text),
    Stage(("explain", "P0", *_FILES, "--out", "x.csv"), "x.csv", Path.read_text),
    Stage(("export", "m2", *_FILES), "m2", _bundle),
    Stage(("export", "model", *_FILES, "--force", "--trial", "1"), "model", _bundle),
    Stage(("predict", "model", "data/testset", "--out", "p.csv"), "p.csv", Path.read_text),
    Stage(("import", "features", "--patients", "patients.csv", "--cache", "i.h5"), "i.h5", _features),
    Stage(("simulate", "sim", "--patients", "8", "--images", "1", "2"), "sim", listing),
]  # fmt: skip
