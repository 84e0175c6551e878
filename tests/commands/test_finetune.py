"""`extract` with fine-tuning or adapting, and `recipes`, as a user runs them."""

import sys
from pathlib import Path

import pytest

from lymphofeat.cache import open_cache, writer
from lymphofeat.cli import main
from lymphofeat.cohort import fingerprint

from ..helpers.tiny import tiny_cohort

QUICK = """
title = "quick"
base = "pooled-small-cnn"
[training]
crop = 32
epochs = 1
inner_folds = 2
"""
EXTRACT = [
    "extract",
    "--recipe",
    "quick.toml",
    "--weights",
    "none",
    "--seed",
    "0",
    "--folds",
    "2",
    "--device",
    "cpu",
]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LYMPHOFEAT_COHORT", raising=False)
    tiny_cohort(tmp_path / "data", n=16, side=40)
    (tmp_path / "quick.toml").write_text(QUICK)
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["lymphofeat", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_extract_makes_the_frozen_and_the_fine_tuned_encodings(place, monkeypatch, capsys) -> None:
    assert run(monkeypatch, *EXTRACT, "--frozen") == 0
    assert "small-cnn-random0-crop32" in capsys.readouterr().out  # the control experiment
    assert run(monkeypatch, *EXTRACT, "--finetune") == 0
    said = capsys.readouterr()
    assert "family quick-random0, 2 fine-tuned encoders" in said.out
    assert "takes about" in said.err
    assert "quick-random0-fold1, epoch 1: loss" in said.err
    assert run(monkeypatch, *EXTRACT, "--finetune", "-q") == 0
    assert capsys.readouterr() == ("", "")
    assert run(monkeypatch, "info") == 0
    assert "quick-random0-fold0" in capsys.readouterr().out


def test_a_command_takes_the_lock_once_and_reads_each_image_for_its_digest_once(place, monkeypatch) -> None:
    locks: list[Path] = []
    digests: list[bytes] = []
    lock, digest = writer.locked, fingerprint.digest
    monkeypatch.setattr(writer, "locked", lambda path, *a, **k: locks.append(path) or lock(path, *a, **k))
    monkeypatch.setattr(fingerprint, "digest", lambda content: digests.append(content) or digest(content))
    assert run(monkeypatch, *EXTRACT, "--finetune", "--cache", "c.h5") == 0
    assert len(open_cache(Path("c.h5")).encodings) == 2
    assert locks == [Path("c.h5")]
    assert len(digests) == open_cache(Path("c.h5")).tables.n_images


@pytest.mark.parametrize(
    ("option", "there", "absent"),
    [("--frozen", "small-cnn-", "quick-"), ("--finetune", "quick-", "small-cnn-")],
)
def test_one_kind_alone(place, monkeypatch, capsys, option: str, there: str, absent: str) -> None:
    assert run(monkeypatch, *EXTRACT, option) == 0
    capsys.readouterr()
    assert run(monkeypatch, "info") == 0
    said = capsys.readouterr().out
    assert there in said
    assert absent not in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--frozen", "--finetune"], "exclude each other"),
        (["--nested"], "--nested needs at least 3 folds"),
        (["--recipe", "poled"], "did you mean 'pooled'?"),
        (["--train-from", "layer4"], "needs a resnet backbone"),
        (["--train-from", "layer5"], "'layer5' is not one of"),
        (["--name", "a b"], "'a b-fold0' cannot name an encoding"),
    ],
)
def test_impossible_options_get_a_sentence_and_leave_nothing(
    place, monkeypatch, capsys, options, message
) -> None:
    assert run(monkeypatch, *EXTRACT, *(["--finetune"] if "--frozen" not in options else []), *options) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not list(place.rglob("*.h5"))


def test_recipes_are_listed_and_shown_as_files(place, monkeypatch, capsys) -> None:
    assert run(monkeypatch, "recipes") == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in ("default", "pooled+clinical", "scratch", "moe", "half"))
    assert run(monkeypatch, "recipes", "moe") == 0
    shown = capsys.readouterr().out
    (place / "copy.toml").write_text(shown)
    assert run(monkeypatch, "recipes", "copy.toml") == 0
    assert capsys.readouterr().out == shown
    assert run(monkeypatch, "recipes", "mo") == 2
    assert "did you mean 'moe'?" in capsys.readouterr().err


LABEL_FREE = """
base = "adapt"
[network]
backbone = "small-cnn"
hidden = [16, 16]
[batches]
images = 16
images_per_patient = 3
[training]
crop = 32
epochs = 1
"""


def test_an_adapted_encoding_says_what_it_learnt_from(place, monkeypatch, capsys) -> None:
    (place / "own.toml").write_text(LABEL_FREE)
    adapt = ["extract", "--adapt", "--recipe", "own.toml", "--weights", "none", "--seed", "0", "--device", "cpu",
             "--folds", "2"]  # fmt: skip
    monkeypatch.setenv("COLUMNS", "200")
    assert run(monkeypatch, *adapt) == 0
    said = capsys.readouterr()
    assert "encoding own-small-cnn-random0, adapted without labels" in said.out
    assert "learnt from the images of 12 patients of the labelled part, no label seen" in said.out
    assert "own-small-cnn-random0, epoch 1: loss" in said.err
    assert run(monkeypatch, *adapt, "--with-test") == 0
    assert "16 patients of the labelled part and of the test part" in capsys.readouterr().out
    assert run(monkeypatch, "info") == 0
    told = capsys.readouterr().out
    assert "own-small-cnn-random0: adapted without labels to the images of the labelled part\n" in told
    assert (
        "random0-with-test: adapted without labels to the images of the labelled part and test part" in told
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--adapt", "--frozen"], "exclude each other"),
        (["--adapt", "--finetune"], "exclude each other"),
        (["--with-test"], "--with-test belongs to --adapt"),
        (["--adapt", "--nested"], "an adapted one is blind to every fold"),
        (["--adapt", "--recipe", "pooled"], "pooled takes labels"),
        (["--finetune", "--recipe", "adapt"], "adapt takes no labels"),
        (["--adapt", "--backbone", "morphology"], "--adapt"),
    ],
)
def test_what_cannot_be_adapted_gets_a_sentence(place, monkeypatch, capsys, options, message) -> None:
    assert run(monkeypatch, "extract", *options) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not list(place.rglob("*.h5"))


def test_recipes_without_labels_are_marked(place, monkeypatch, capsys) -> None:
    assert run(monkeypatch, "recipes") == 0
    marked = [line.split()[0] for line in capsys.readouterr().out.splitlines() if " label-free " in line]
    assert marked == ["adapt"]
