"""What a page is made of: names of patients, tables with exact values, one HTML file that asks for nothing."""

import base64
import io
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lymphofeat.figures.drawn import Drawn
from lymphofeat.figures.style import COLOURS, MALIGNANT, new_figure
from lymphofeat.page.blocks import FigureBlock, Gap, Section, Table, Text, plain_table
from lymphofeat.page.names import Names
from lymphofeat.page.render import render_page

FRAME = pd.DataFrame(
    {"pipeline": ["a <b>", "c"], "auc": [0.123456789, float("nan")], "n": [3, 4], "note": ["x", None]}
)


class Reader(HTMLParser):
    """All attributes, and the text of each tag."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def read(text: str) -> list[tuple[str, dict[str, str | None]]]:
    reader = Reader()
    reader.feed(text)
    return reader.tags


def drawn(name: str = "line") -> Drawn:
    figure, axes = new_figure(height=40)
    axes.plot([0, 1], [1, 0], color=MALIGNANT)
    return Drawn(name, "A line", "It falls.", "A line from 1 to 0.", figure, FRAME)


def test_without_ids_nobody_is_called_by_theirs() -> None:
    ids = tuple(f"P{k}" for k in range(1, 41))
    hidden, shown = Names(ids), Names(ids, shown=True)
    assert sorted(hidden.number(one) for one in ids) == list(range(1, 41))
    assert [hidden.number(one) for one in ids] != list(range(1, 41))  # the order may be that of admission
    assert shown.patient("P7") == "P7"
    assert hidden.patient("P7") == f"patient {hidden.number('P7')}"
    assert hidden.anchor("P7") == shown.anchor("P7")
    assert (hidden.image(4, "P7/5.jpg"), shown.image(4, "P7/5.jpg")) == ("image 5", "P7/5.jpg")
    assert hidden.hidden_in("lymphofeat explain 'P7' --top 9") == "lymphofeat explain … --top 9"
    assert shown.hidden_in("lymphofeat explain P7") == "lymphofeat explain P7"


def test_numbers_do_not_depend_on_the_order_of_the_patients() -> None:
    ids = ("x", "y", "z")
    assert [Names(ids).number(one) for one in ids] == [Names(ids[::-1]).number(one) for one in ids]


def test_a_table_has_words_and_exact_values() -> None:
    table = Table("scores", "Scores", FRAME, {"pipeline": ["a", "c"], "AUC": ["0.123", "—"]}, {"AUC": "auc"})
    assert table.cells == [[("a", "a <b>"), ("0.123", "0.123456789")], [("c", "c"), ("—", "")]]
    few = Table("scores", "Scores", FRAME, {"AUC": ["—"]}, {"AUC": "auc"}, rows=[1])
    assert few.cells == [[("—", "")]]


def test_a_csv_file_is_read_back_as_it_was() -> None:
    data = plain_table("t", "", FRAME).csv.partition("base64,")[2]
    back = pd.read_csv(io.BytesIO(base64.b64decode(data)))
    np.testing.assert_array_equal(back["auc"], FRAME["auc"])
    assert list(back.columns) == list(FRAME.columns)


def test_numbers_of_a_column_have_equal_digits() -> None:
    frame = pd.DataFrame({"share": [1.0, 0.25], "patients": [3.0, float("nan")], "what": ["x", None]})
    shown = plain_table("t", "", frame).shown
    assert shown == {"share": ["1.000", "0.250"], "patients": ["3", "—"], "what": ["x", "—"]}


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_an_exact_value_is_the_value(value: float) -> None:
    frame = pd.DataFrame({"x": [value]})
    ((words, exact),) = plain_table("t", "", frame).cells[0]
    assert float(exact) == value
    assert words


def test_a_page_is_one_file_that_asks_for_nothing() -> None:
    blocks = [
        Text(["<script>alert(1)</script>", "so says `lymphofeat <i>`"]),
        Gap("No search", "lymphofeat tune"),
        FigureBlock(drawn()),
    ]
    text = render_page("Title & more", [Section("one", "One", blocks)], subtitle="<i>")
    assert "<script>" not in text
    assert "Title &amp; more" in text
    assert "<code>lymphofeat tune</code>" in text
    assert "so says <code>lymphofeat &lt;i&gt;</code>" in text
    for tag, attributes in read(text):
        for name in ("src", "href", "xlink:href", "action"):
            address = attributes.get(name) or "#"
            assert address.startswith(("#", "data:")), (tag, attributes)
    assert "@import" not in text
    assert "url(http" not in text


def test_ids_are_unique_where_figures_are_alike() -> None:
    blocks = [FigureBlock(drawn("first")), FigureBlock(drawn("second"))]
    text = render_page("T", [Section("one", "One", blocks)])
    ids = [attributes["id"] for _, attributes in read(text) if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in read(text):
        value = attributes.get("href") or attributes.get("xlink:href") or ""
        targets = [value[1:]] if value.startswith("#") else []
        targets += (attributes.get("aria-labelledby") or "").split()
        assert set(targets) <= set(ids)


def test_figures_follow_the_theme() -> None:
    svg = FigureBlock(drawn()).svg
    assert "var(--malignant)" in svg
    assert not any(colour in svg for colour in COLOURS)
    assert "width=" not in svg.partition(">")[0]


@pytest.mark.parametrize("columns", [1, 2])
def test_drawing_twice_gives_the_same_markup(columns: int) -> None:
    def once() -> str:
        figure, axes = new_figure(columns, height=40)
        axes.plot([0, 1], [1, 0], color=MALIGNANT)
        return FigureBlock(Drawn("x", "", "", "", figure, FRAME)).svg

    assert once() == once()
