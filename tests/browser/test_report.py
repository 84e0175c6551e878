"""The report of a simulated cohort in a browser: both widths, both themes, the keyboard, and print."""

import re
from pathlib import Path

import pytest
from PIL import Image, ImageStat

from .keyboard import keyboard_faults
from .window import DESKTOP, PHONE, Theme, Window

VIEWS = [(width, theme) for width in (PHONE, DESKTOP) for theme in ("light", "dark")]
EVERYTHING = "document.querySelectorAll('details').forEach(one => { one.open = true })"
NOTHING = "document.querySelectorAll('details').forEach(one => { one.open = false })"


@pytest.fixture
def page(opened: Window) -> Window:
    """The report as it is when it has been opened, at desktop width in the light theme."""
    opened.look()
    opened.run("scrollTo(0, 0); document.activeElement.blur();" + NOTHING)
    return opened


def test_nothing_is_asked_for_and_nothing_is_said(page: Window) -> None:
    page.run(EVERYTHING)
    for width, theme in VIEWS:
        page.look(width, theme)
    happened = page.happened()
    assert happened.requests == []
    assert happened.console == []


@pytest.mark.parametrize("check", ["alternatives", "headings", "landmarks", "ids", "links", "images"])
def test_the_page_has_no_fault(page: Window, check: str) -> None:
    assert page.faults(check) == []


@pytest.mark.parametrize(("width", "theme"), VIEWS)
def test_every_view_can_be_read(page: Window, width: int, theme: Theme) -> None:
    """Folded and unfolded: figures are drawn, nothing is wider than the window, all text has contrast."""
    page.look(width, theme)
    for script in (NOTHING, EVERYTHING):
        page.run(script)
        assert page.faults("figures") == []
        assert page.faults("overflow") == []
        assert page.faults("contrast") == []


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_the_keyboard_reaches_every_control(page: Window, width: int) -> None:
    page.look(width)
    assert keyboard_faults(page) == []


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_details_open_by_keyboard(page: Window, key: str) -> None:
    closed = page.run("return document.querySelectorAll('details').length")
    assert closed
    page.run("document.querySelector('summary').focus()")
    for opened in (True, False):
        page.press(key)
        page.wait("return document.querySelector('details').open === arguments[0]", opened)


def test_the_print_is_white_and_whole(page: Window, tmp_path: Path) -> None:
    """Printed from a dark window: black on white, every section in it, its heading in the outline."""
    titles = page.run("return [...document.querySelectorAll('main h2')].map(title => title.textContent)")
    page.look(DESKTOP, "dark", media="print")
    hidden = page.run(
        "return [...document.querySelectorAll('main > section')].filter(one => !one.offsetHeight).map(one => one.id)"
    )
    assert hidden == []
    assert page.faults("contrast") == []
    page.screenshot(tmp_path / "print.png")
    picture = Image.open(tmp_path / "print.png").convert("L")
    assert picture.getpixel((2, 2)) == 255
    assert ImageStat.Stat(picture).median[0] == 255
    page.look(DESKTOP, "dark")
    printed = page.pdf()
    assert set(titles) <= set(outline_of(printed))


def outline_of(pdf: bytes) -> list[str]:
    """Titles of a PDF's outline, in which a letter beyond ASCII makes the title UTF-16."""
    titles = []
    for match in re.finditer(rb"/Title\s*(?:\((?P<plain>(?:\\.|[^\\)])*)\)|<(?P<hex>[0-9A-Fa-f]*)>)", pdf):
        if match["hex"] is not None:
            titles.append(bytes.fromhex(match["hex"].decode()).decode("utf-16"))
        else:
            titles.append(re.sub(rb"\\(.)", rb"\1", match["plain"]).decode("latin-1"))
    return titles
