"""One headless Chromium for the tests of a process."""

import os
from collections.abc import Iterator
from typing import NoReturn

import pytest

from ..helpers.reported import Made, made_once
from .chromium import WAYS_OUT, find_browser
from .window import Window, opened_window

NEEDED = "LYMPHOFEAT_NEEDS_BROWSER"  # .ci/run sets it


def give_up() -> NoReturn:
    """Skip what needs a browser on a user's machine; fail it where the variable says that there must be one."""
    reason = f"there is no Chromium with its driver: `make browser`, or {WAYS_OUT}"
    if os.environ.get(NEEDED):
        pytest.fail(f"${NEEDED} is set, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def browser() -> Iterator[Window]:
    """The process's only window; `window` is the one to use in tests."""
    found = find_browser()
    if found is None:
        give_up()
    with opened_window(found) as window:
        yield window


@pytest.fixture
def window(browser: Window) -> Window:
    """The window at desktop width in the light theme, whatever the test before left."""
    browser.look()
    return browser


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The report of a simulated cohort, made once for all tests of a run."""
    return made_once(tmp_path_factory)


@pytest.fixture(scope="module")
def opened(browser: Window, made: Made) -> Window:
    """The window with the report, at desktop width in the light theme."""
    browser.look()
    browser.open(made.report)
    return browser
