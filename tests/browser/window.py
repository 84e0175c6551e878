"""A tab of headless Chromium without a network, and what a page did in it."""

import base64
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

from .chromium import Browser

CHECKS = (Path(__file__).with_name("checks.js")).read_text(encoding="utf-8")
FLAGS = (
    "--headless=new",
    "--disable-gpu",
    "--disable-dev-shm-usage",  # /dev/shm is small in containers
    "--hide-scrollbars",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
PATIENCE = 60  # seconds until a page that does not do what is waited for is a failure
PHONE, DESKTOP = 390, 1280
HEIGHTS = {PHONE: 844, DESKTOP: 900}
Theme = Literal["light", "dark"]
# Key: (key, code, windowsVirtualKeyCode, text) of CDP's Input.dispatchKeyEvent.
KEYS = {
    "Tab": ("Tab", "Tab", 9, ""),
    "Enter": ("Enter", "Enter", 13, "\r"),
    "Space": (" ", "Space", 32, " "),
    "ArrowRight": ("ArrowRight", "ArrowRight", 39, ""),
    "ArrowDown": ("ArrowDown", "ArrowDown", 40, ""),
}


@dataclass(frozen=True)
class Happened:
    """What a page did since it was opened."""

    requests: list[str]  # URLs asked for, without the page itself and data: URLs
    console: list[str]  # messages, uncaught exceptions and failures to load


class Window:
    """One tab; a page that is opened replaces the one before."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        self._page = ""
        driver.set_page_load_timeout(PATIENCE)
        driver.set_script_timeout(PATIENCE)
        self.cdp("Network.enable")
        self.cdp(
            "Network.emulateNetworkConditions",
            offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1,
        )  # fmt: skip
        self.look()

    def cdp(self, command: str, **arguments: Any) -> Any:
        return self.driver.execute_cdp_cmd(command, arguments)

    def open(self, path: Path) -> None:
        """Open a file from the disk; what happened before is forgotten."""
        self.driver.get("about:blank")
        self._log("browser")
        self._log("performance")
        self._page = path.resolve().as_uri()
        self.driver.get(self._page)
        self.driver.execute_script(CHECKS)

    def _log(self, kind: str) -> list[dict[str, Any]]:
        return self.driver.get_log(kind)  # type: ignore[no-untyped-call]

    def happened(self) -> Happened:
        """Requests and messages since `open` or the last call; images that were not needed so far are loaded first."""
        self.faults("images")
        messages = [json.loads(entry["message"])["message"] for entry in self._log("performance")]
        asked = [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]
        others = [url for url in asked if not url.startswith("data:") and url.partition("#")[0] != self._page]
        return Happened(others, [str(entry["message"]) for entry in self._log("browser")])

    def look(self, width: int = DESKTOP, theme: Theme = "light", *, media: str = "") -> None:
        """Width in CSS pixels and colour scheme from now on; `media="print"` for how it is printed."""
        self.cdp(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=HEIGHTS[width], deviceScaleFactor=1, mobile=width == PHONE,
        )  # fmt: skip
        self.cdp(
            "Emulation.setEmulatedMedia",
            media=media, features=[{"name": "prefers-color-scheme", "value": theme}],
        )  # fmt: skip
        # A phone lays pages out in another width than it has.
        measure = "screen.width" if width == PHONE else "innerWidth"
        self.wait(
            f"return {measure} === arguments[0] && matchMedia(arguments[1]).matches",
            width, f"{media or 'screen'} and (prefers-color-scheme: {theme})",
        )  # fmt: skip

    def faults(self, check: str) -> list[str]:
        """What a check of checks.js finds wrong with the page, a sentence each."""
        return self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            f"Promise.resolve(CHECKS.{check}()).then(done, error => done(['check failed: ' + error.stack]));"
        )

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def wait(self, script: str, *arguments: Any) -> Any:
        """What the script returns, as soon as that is true; frames and events come when the machine has time for them.

        Raises:
            TimeoutException: it was not within a minute.
        """
        return WebDriverWait(self.driver, PATIENCE, poll_frequency=0.05).until(
            lambda driver: driver.execute_script(script, *arguments), f"the page did not reach: {script}"
        )

    def press(self, key: str) -> None:
        name, code, number, text = KEYS[key]
        same = {"key": name, "code": code, "windowsVirtualKeyCode": number}
        self.cdp("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **same)
        self.cdp("Input.dispatchKeyEvent", type="keyUp", **same)

    def point(self, x: float, y: float) -> None:
        """Move the pointer to a place of the viewport, in CSS pixels."""
        self.cdp("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def screenshot(self, path: Path) -> None:
        """The whole page as a PNG."""
        picture = self.cdp("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(picture["data"]))

    def pdf(self) -> bytes:
        """The page as it is printed, on A4, with an outline of its headings."""
        printed = self.cdp(
            "Page.printToPDF",
            paperWidth=8.27,
            paperHeight=11.69,
            printBackground=True,
            generateTaggedPDF=True,
            generateDocumentOutline=True,
        )
        return base64.b64decode(printed["data"])


@contextmanager
def opened_window(browser: Browser) -> Iterator[Window]:
    options = webdriver.ChromeOptions()
    options.binary_location = browser.chromium
    for flag in FLAGS:
        options.add_argument(flag)
    if os.geteuid() == 0:  # Chromium's sandbox refuses root, which containers run as
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # A driver that is named is not looked for on the network by Selenium Manager.
    driver = webdriver.Chrome(options=options, service=Service(browser.driver))
    try:
        yield Window(driver)
    finally:
        driver.quit()
