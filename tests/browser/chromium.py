"""Chromium and its driver: found on this machine, or installed from Debian's packages.

    python -m tests.browser.chromium    finds them, else installs them; `make browser` runs it

It needs the standard library only. `$CHROMIUM` and `$CHROMEDRIVER` name programs elsewhere. Exit code 1: there is no
browser, and a sentence says how to get one.
"""

import os
import shutil
import sys
from collections.abc import Iterable
from typing import NamedTuple

from ..helpers.debian import find_or_install

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PACKAGES = ("chromium", "chromium-driver", "fonts-dejavu-core")
WAYS_OUT = (
    "install them (as root on Debian: apt-get install chromium chromium-driver fonts-dejavu-core; "
    "on macOS: brew install chromium chromedriver), or name them in $CHROMIUM and $CHROMEDRIVER"
)


class Browser(NamedTuple):
    chromium: str
    driver: str


def find_browser() -> Browser | None:
    """The browser and its driver, or None where one of them is missing."""
    chromium = _first(os.environ.get("CHROMIUM"), NAMES)
    driver = _first(os.environ.get("CHROMEDRIVER"), ("chromedriver",))
    return Browser(chromium, driver) if chromium and driver else None


def _first(named: str | None, names: Iterable[str]) -> str | None:
    """What the variable names; without it, the first of the names on the PATH."""
    if named:
        return shutil.which(named)
    return next((found for name in names if (found := shutil.which(name))), None)


def main() -> int:
    return find_or_install(_shown, "Chromium with its driver", PACKAGES, WAYS_OUT)


def _shown() -> str | None:
    found = find_browser()
    return None if found is None else f"{found.chromium}, {found.driver}"


if __name__ == "__main__":
    sys.exit(main())
