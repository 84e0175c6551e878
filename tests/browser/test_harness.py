"""The checks themselves: each finds its fault in a small page, and none in a page without."""

from pathlib import Path

import pytest

from .keyboard import keyboard_faults
from .window import DESKTOP, PHONE, Window

DOT = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw=="
SVG = '<svg role="img" aria-label="s" width="50" height="20">'
GOOD = f"""<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>A page</title>
  <link rel="icon" href="data:,">
  <style>
    :root {{ color-scheme: light dark; --paper: #fff; --ink: #222; --link: #04c }}
    @media (prefers-color-scheme: dark) {{ :root {{ --paper: #111; --ink: #ddd; --link: #8be }} }}
    body {{ background: var(--paper); color: var(--ink); margin: 1em }}
    a {{ color: var(--link) }}
    :focus-visible {{ outline: 2px solid var(--link) }}
  </style>
</head>
<body>
  <header><h1>A page</h1></header>
  <nav aria-label="Sections"><a href="#one">One</a></nav>
  <main>
    <h2 id="one">One</h2>
    <p>Words. <a href="https://doi.org/10.1136/bmj-2023-078378">A source</a>,
      <a download="x.csv" href="data:text/csv,a%0A1">its numbers</a>.</p>
    <p><img alt="a dot" loading="lazy" src="{DOT}"></p>
    <svg role="img" aria-label="a square" width="20" height="20"><rect id="r" width="20" height="20"/></svg>
    <details><summary>More</summary><p>Hidden <a href="#one">words</a>.</p></details>
    <!-- here -->
  </main>
</body>
</html>
"""
CHECKS = (
    "images",
    "figures",
    "alternatives",
    "contrast",
    "overflow",
    "headings",
    "landmarks",
    "ids",
    "links",
)
FAULTS = {
    "an image that is no image": ("images", '<img alt="broken" src="data:image/png;base64,AAAA">', "broken"),
    "a picture without a file": ("images", '<img alt="gone" loading="lazy" src="gone.png">', "gone"),
    "a figure without a box": ("figures", '<svg role="img" aria-label="s" width="0" height="9"></svg>', "0 × 9"),
    "a figure without marks": ("figures", '<svg role="img" aria-label="s" width="9" height="9"></svg>', "empty"),
    "a picture without words": ("alternatives", f'<img alt=" " src="{DOT}">', "no alternative text"),
    "a canvas without words": ("alternatives", '<canvas role="img"></canvas>', "no alternative text"),
    "a figure without a role": ("alternatives", '<svg aria-label="s"></svg>', "no role"),
    "pale text": ("contrast", '<p style="color: #888; background: #777">pale</p>', "1.26 : 1"),
    "text that shines through": ("contrast", '<p style="opacity: 0.4">pale</p>', "pale"),
    "pale text of a figure": (
        "contrast",
        f'{SVG}<text y="15" fill="#777" fill-opacity="0.5">pale</text></svg>',
        "<text>",
    ),
    "pale letters of a figure": (
        "contrast",
        f'{SVG}<defs><path id="a" d="M0 0h9v9z"/></defs><g id="x-text_1"><use href="#a" fill="#999"/></g></svg>',
        "a text of",
    ),
    "a wide table": ("overflow", '<table><tr><td style="min-width: 2000px">wide</td></tr></table>', "wide"),
    "a heading that skips a level": ("headings", "<h4>Four</h4>", "follows a heading of level 2"),
    "two titles": ("headings", "<h1>Again</h1>", "2 headings"),
    "two main parts": ("landmarks", "<main>again</main>", "main"),
    "the same id": ("ids", '<p id="one">again</p>', "twice"),
    "a mark that is nowhere": (
        "ids",
        f'{SVG}<g clip-path="url(#c)"><rect width="9" height="9"/></g></svg>',
        "“c”",
    ),
    "a link that leads nowhere": ("links", '<a href="#two">two</a>', "#two"),
    "a link to another file": ("links", '<a href="other.html">other</a>', "other.html"),
    "a link without words": ("links", '<a href="#one"></a>', "no words"),
}  # fmt: skip


@pytest.fixture
def opened(window: Window, tmp_path: Path) -> Window:
    path = tmp_path / "page.html"
    path.write_text(GOOD, encoding="utf-8")
    window.open(path)
    return window


def with_fault(folder: Path, fault: str) -> Path:
    path = folder / "page.html"
    path.write_text(GOOD.replace("<!-- here -->", fault), encoding="utf-8")
    return path


def test_a_good_page_has_no_fault(opened: Window) -> None:
    for width in (PHONE, DESKTOP):
        for theme in ("light", "dark"):
            opened.look(width, theme)  # type: ignore[arg-type]
            assert {check: opened.faults(check) for check in CHECKS} == {check: [] for check in CHECKS}
    assert keyboard_faults(opened) == []
    happened = opened.happened()
    assert happened.requests == []
    assert happened.console == []


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(window: Window, tmp_path: Path, name: str) -> None:
    check, fault, part = FAULTS[name]
    window.open(with_fault(tmp_path, fault))
    found = window.faults(check)
    assert len(found) == 1, found
    assert part in found[0]


def test_colours_of_the_dark_theme_are_its_own(window: Window, tmp_path: Path) -> None:
    fault = '<style>p.x { color: #222 }</style><p class="x">black on black</p>'
    window.open(with_fault(tmp_path, fault))
    assert window.faults("contrast") == []
    window.look(DESKTOP, "dark")
    assert "black on black" in "".join(window.faults("contrast"))


def test_what_is_wide_on_a_phone_only(window: Window, tmp_path: Path) -> None:
    window.open(with_fault(tmp_path, '<div style="width: 600px">wide</div>'))
    assert window.faults("overflow") == []
    window.look(PHONE)
    assert "wide" in "".join(window.faults("overflow"))


@pytest.mark.parametrize(
    "fault",
    [
        '<img alt="far" src="http://127.0.0.1:9/far.png">',
        '<img alt="near" loading="lazy" src="far.png">',
        '<style>@import url("https://example.org/far.css");</style>',
        '<script>fetch("https://example.org/far.json").catch(() => {})</script>',
    ],
)
def test_a_request_is_noticed(window: Window, tmp_path: Path, fault: str) -> None:
    window.open(with_fault(tmp_path, fault))
    happened = window.happened()
    assert len(happened.requests) == 1
    assert "far." in happened.requests[0]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ('<script>console.error("oh dear")</script>', "oh dear"),
        ('<script>console.log("a word")</script>', "a word"),
        ('<script>throw new Error("broken")</script>', "broken"),
        ('<script>Promise.reject(new Error("refused"))</script>', "refused"),
    ],
)
def test_messages_and_exceptions_are_noticed(window: Window, tmp_path: Path, fault: str, said: str) -> None:
    window.open(with_fault(tmp_path, fault))
    assert any(said in message for message in window.happened().console)


def test_a_control_that_hides_its_focus(window: Window, tmp_path: Path) -> None:
    window.open(with_fault(tmp_path, '<button style="outline: none">dark</button>'))
    (fault,) = keyboard_faults(window)
    assert "“dark” does not show that it has the focus" in fault


def test_a_control_that_is_never_reached(window: Window, tmp_path: Path) -> None:
    script = "<script>document.querySelector('#b').addEventListener('focus', e => e.target.blur())</script>"
    window.open(with_fault(tmp_path, f'<button id="b">shy</button>{script}'))
    assert any("not reached" in fault for fault in keyboard_faults(window))


def test_the_print_has_pages_and_an_outline(opened: Window) -> None:
    printed = opened.pdf()
    assert printed.startswith(b"%PDF-")
    assert b"/Type /Page" in printed
