"""Chromium and its driver: found on this machine, or installed from Debian's packages.

    python tests/browser/chromium.py    finds them, else installs them; `make browser` runs it

It needs the standard library only. `$CHROMIUM` and `$CHROMEDRIVER` name programs elsewhere. Exit code 1: there is no
browser, and a sentence says how to get one.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from typing import NamedTuple

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PACKAGES = ("chromium", "chromium-driver", "fonts-dejavu-core")
WAYS_OUT = (
    "install them (as root on Debian: apt-get install chromium chromium-driver fonts-dejavu-core; "
    "on macOS: brew install chromium chromedriver), or name them in $CHROMIUM and $CHROMEDRIVER"
)
# A mirror that says nothing for 30 s is asked once more; apt-get's own limits are per connection, so that SECONDS bound
# a mirror that trickles. A step that failed is tried once more.
PATIENCE = (
    "-o", "Acquire::Retries=1",
    "-o", "Acquire::http::Timeout=30",
    "-o", "Acquire::https::Timeout=30",
    "-o", "DPkg::Lock::Timeout=120",
)  # fmt: skip
SECONDS = {"update": 180, "download": 420, "install": 420}


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


def install_packages(packages: Iterable[str] = PACKAGES) -> str | None:
    """Install Debian's packages, as root or by a `sudo` that asks nothing; None if done, else the reason why not."""
    if shutil.which("apt-get") is None:
        return "this system has no apt-get"
    as_root: list[str] = []
    if os.geteuid() != 0:
        as_root = ["sudo", "-n"]
        if shutil.which("sudo") is None or _run([*as_root, "true"]):
            return "apt-get needs root, and sudo is missing or asks for a password"
    wanted = ("install", "-y", "--no-install-recommends", *packages)
    # Downloaded first, so that a slow mirror never breaks off dpkg at its work.
    steps = {"update": ("update",), "download": (*wanted, "--download-only"), "install": wanted}
    for step, arguments in steps.items():
        limit = ("timeout", "-k", "10", str(SECONDS[step]))  # runs as root, which may end what sudo started
        command = [
            *as_root,
            *limit,
            "env",
            "DEBIAN_FRONTEND=noninteractive",
            "apt-get",
            "-q",
            *PATIENCE,
            *arguments,
        ]
        done = _run(command) == 0 or _run(command) == 0
        if not done and step != "update":  # the lists of before may do
            return f"apt-get could not {step} {', '.join(packages)}"
    return None


def _run(command: list[str]) -> int:
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False).returncode


def main() -> int:
    found = find_browser()
    reason = None
    if found is None:
        print("Chromium or its driver is missing: installing Debian's packages …", file=sys.stderr)
        reason = install_packages()
        found = find_browser()
    if found is None:
        why = f" ({reason})" if reason else ""
        print(f"There is no Chromium with its driver here{why}: {WAYS_OUT}.", file=sys.stderr)
        return 1
    print(f"Browser: {found.chromium}, driver: {found.driver}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
