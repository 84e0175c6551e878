"""Debian's packages for programs that tests need; it needs the standard library only."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable

__all__ = ["find_or_install", "install_packages"]

# A mirror that says nothing for 30 s is asked once more; apt-get's own limits are per connection, so that SECONDS bound
# a mirror that trickles. A step that failed is tried once more.
PATIENCE = (
    "-o", "Acquire::Retries=1",
    "-o", "Acquire::http::Timeout=30",
    "-o", "Acquire::https::Timeout=30",
    "-o", "DPkg::Lock::Timeout=120",
)  # fmt: skip
SECONDS = {"update": 180, "download": 420, "install": 420}


def find_or_install(find: Callable[[], object | None], what: str, packages: Iterable[str], ways: str) -> int:
    """Look for a program, install its packages where it is missing, and say what there is; the exit code.

    Args:
        find: gives what is found, as it is to be shown; None: it is missing.
        what: with its article where it has one: "Chromium with its driver".
        packages: Debian's.
        ways: what else the user can do.
    """
    found, reason = find(), None
    if found is None:
        print(f"There is no {what}: installing Debian's packages …", file=sys.stderr)
        reason = install_packages(packages)
        found = find()
    if found is None:
        why = f" ({reason})" if reason else ""
        print(f"There is no {what} here{why}: {ways}.", file=sys.stderr)
        return 1
    print(f"Found {what}: {found}")
    return 0


def install_packages(packages: Iterable[str]) -> str | None:
    """Install Debian's packages, as root or by a `sudo` that asks nothing; None if done, else the reason why not."""
    packages = tuple(packages)
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
