"""The examples of docs/python.md run as they stand, one behind the other, and print what their comments say."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lymphofeat.heads import head_types
from lymphofeat.heads import registry as registry_module

from .helpers.simulated import extracted_cache

PAGE = Path(__file__).parents[1] / "docs" / "python.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.M | re.S)
FILES = dict(re.findall(r"^```python (\w+\.py)\n(.*?)^```", TEXT, re.M | re.S))


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """The page registers a head type, which other tests know nothing of."""
    yield
    registry_module._registered.clear()
    head_types.cache_clear()
    sys.modules.pop("own_heads", None)


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, whole: bool
) -> None:
    """With `whole`, the evaluation and its report too, which nothing after them needs."""
    extracted_cache(tmp_path / "cache" / "features.h5", tmp_path / "images")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    found: dict[str, Any] = {}
    long = [block for block in BLOCKS if "evaluate(" in block]
    assert len(long) == 1
    for number, block in enumerate(BLOCKS):
        if block in long and not whole:
            continue
        exec(compile(block, f"{PAGE.name}, block {number}", "exec"), found)
    assert len(found["features"]) == len(found["y"]) == len(found["groups"]) == 40
    assert np.allclose(found["scores"], found["summary"].best.scores.folds["balanced_accuracy"][0], atol=1e-9)
    assert found["study"].best_trial.value == found["summary"].best.scores.values["balanced_accuracy"]
    assert set(found["found"].trials["head_type"]) == {"forest"}
    assert list(found["predicted"]["id"]) == list(found["new"]["id"])
    assert set(found["predicted"]["decision"]) <= {"reactive", "malignant", "refer"}
    assert "StudySummary" not in capsys.readouterr().out


@pytest.mark.parametrize("block", BLOCKS)
def test_an_example_is_short(block: str) -> None:
    assert len([line for line in block.splitlines() if line.strip()]) <= 10
