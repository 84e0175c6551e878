"""What `lymphofeat heads` prints: every head type and pooling, with its source, in 80 columns."""

import io
from pathlib import Path

from rich.console import Console

from lymphofeat.cache.pooling import POOLINGS
from lymphofeat.heads.fitted_pooling import FITTED_POOLINGS
from lymphofeat.heads.registry import head_types
from lymphofeat.report.heads import render_heads


def test_every_head_type_and_pooling_is_listed() -> None:
    buffer = io.StringIO()
    render_heads(head_types(), Console(file=buffer, width=80, highlight=False))
    lines = buffer.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    words = " ".join(buffer.getvalue().split())
    for name, head_type in head_types().items():
        (row,) = [
            line for line in lines if line.split()[:1] == [name] and line.rstrip().endswith(head_type.cost)
        ]
        assert head_type.summary.split()[0] in row
        assert head_type.source.split(",")[0].split()[0] in words
    for name in {*POOLINGS, *FITTED_POOLINGS}:
        assert any(line.split()[:1] == [name] for line in lines)
    assert "It is a shortcut, off by default" in words


def test_the_page_names_all_of_them() -> None:
    page = (Path(__file__).parents[2] / "docs" / "heads.md").read_text(encoding="utf-8")
    for name in {*head_types(), *POOLINGS, *FITTED_POOLINGS}:
        assert f"`{name}`" in page
