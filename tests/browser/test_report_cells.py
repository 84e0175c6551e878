"""The report's map of cells and pages of patients, as hands use them: pointer, keys, links."""

from collections.abc import Iterator

import pytest

from .window import DESKTOP, PHONE, Theme, Window

CANVAS = "const canvas = document.querySelector('.cell-map-points');"
# The picture, once it fits its place and is another than the one before.
DRAWN = (
    CANVAS
    + "const now = canvas.toDataURL(), fits = Math.abs(canvas.width / devicePixelRatio - canvas.clientWidth) < 1;"
    + "return fits && now !== arguments[0] && now"
)
# How many places of the canvas are not paper, and one of them in CSS pixels of the viewport, once there are some.
INKED = (
    CANVAS
    + """
    const box = canvas.getBoundingClientRect(), ratio = canvas.width / canvas.clientWidth, places = [];
    const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    for (let k = 0; k < canvas.width * canvas.height; k += 1) {
      const [across, down] = [k % canvas.width, Math.floor(k / canvas.width)];
      if (data[4 * k + 3] > 200) places.push([box.left + across / ratio, box.top + down / ratio]);
    }
    return places.length && [places.length, places[Math.floor(places.length / 2)]];
    """
)
CHOSEN = "const words = document.querySelector('.cell-map-cell dl'); return [words.hidden, words.textContent]"

ARTICLES = "const articles = [...document.querySelectorAll('article.patient')];"
SHOWN = ARTICLES + "return articles.filter(one => one.offsetHeight).map(one => one.id)"


@pytest.fixture
def page(opened: Window) -> Iterator[Window]:
    opened.look()
    opened.run(
        "location.hash = ''; document.querySelector('.cell-map-points')?.scrollIntoView({block: 'center'})"
    )
    yield opened
    opened.run("location.hash = ''")


def patients(page: Window) -> list[str]:
    """Anchors of the patients that have a page, in the order of the table."""
    found = page.run(ARTICLES + "return articles.map(one => one.id)")
    assert found
    return found  # type: ignore[no-any-return]


def test_the_map_is_drawn_and_says_which_cell_is_pointed_at(page: Window) -> None:
    n, place = page.wait(INKED)
    assert n > 100
    assert page.run(CHOSEN)[0] is True
    page.point(*place)
    hidden, words = page.run(CHOSEN)
    assert hidden is False
    assert "Contribution" in words
    assert page.faults("contrast") == []
    blank = page.run(
        """
        const shown = document.querySelector('.cell-map-picture:not([hidden]) > img');
        if (!shown) return 'nothing';
        return shown.decode().then(() => {
          const copy = document.createElement('canvas'), ink = copy.getContext('2d');
          ink.drawImage(shown, 0, 0, copy.width = 48, copy.height = 48);
          return new Set(ink.getImageData(0, 0, 48, 48).data).size < 20;
        });
        """
    )
    assert blank is False


def test_the_map_is_walked_by_keys(page: Window) -> None:
    page.run(CANVAS + "canvas.focus()")
    page.press("ArrowRight")
    first = page.run(CHOSEN)
    page.press("ArrowDown")
    second = page.run(CHOSEN)
    assert first[0] is second[0] is False
    assert first != second
    page.press("Enter")
    page.wait("return location.hash.startsWith('#patient-')")
    assert page.run("return document.querySelector(':target').offsetHeight") > 0


def test_the_map_follows_the_theme_and_the_choice_of_colours(page: Window) -> None:
    page.wait(INKED)
    before = page.wait(DRAWN)
    page.look(DESKTOP, "dark")
    before = page.wait(DRAWN, before)
    options = page.run(
        "return [...document.querySelectorAll('.cell-map-choice option')].map(one => one.value)"
    )
    assert len(options) > 3
    for option in options[1:4]:
        page.run(
            "const choice = document.querySelector('.cell-map-choice select');"
            "choice.value = arguments[0]; choice.dispatchEvent(new Event('change'))",
            option,
        )
        before = page.wait(DRAWN, before)
        assert page.faults("contrast") == []


def test_the_map_is_drawn_again_when_a_gpu_was_reset(page: Window) -> None:
    page.wait(INKED)
    page.run(
        CANVAS + "canvas.getContext('2d').reset(); canvas.dispatchEvent(new Event('contextrestored'));"
        "if (canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean))"
        "  throw new Error('the canvas is not empty')"
    )
    assert page.wait(INKED)[0] > 100


def test_the_map_fits_a_phone(page: Window) -> None:
    page.look(PHONE)
    page.wait(DRAWN)
    width, room = page.run(CANVAS + "return [canvas.getBoundingClientRect().right, innerWidth]")
    assert width <= room
    assert page.wait(INKED)[0] > 100


@pytest.mark.parametrize(("width", "theme"), [(PHONE, "dark"), (DESKTOP, "light")])
def test_pages_of_patients_can_be_read(page: Window, width: int, theme: Theme) -> None:
    page.look(width, theme)
    anchors = patients(page)
    for anchor in {anchors[0], anchors[len(anchors) // 2], anchors[-1]}:
        page.run("location.hash = arguments[0]", anchor)
        assert page.run(SHOWN) == [anchor]
        for check in ("figures", "overflow", "contrast"):
            assert page.faults(check) == []


def test_a_link_opens_a_patient_and_leads_on(page: Window) -> None:
    anchors = patients(page)
    page.run("document.querySelector(`a[href='#${arguments[0]}']`).focus()", anchors[0])
    page.press("Enter")
    page.wait("return location.hash === arguments[0]", f"#{anchors[0]}")
    top = page.run("return document.querySelector(':target').getBoundingClientRect().top")
    bar = page.run("return document.querySelector('header').getBoundingClientRect().bottom")
    assert bar - 1 <= top < 300  # in view, not below the bar
    page.run(f"document.querySelector(\":target a[href='#{anchors[1]}']\").focus()")
    page.press("Enter")
    page.wait("return document.querySelector(':target').id === arguments[0]", anchors[1])
