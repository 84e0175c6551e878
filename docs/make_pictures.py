"""Write the pictures of the README, docs/pictures/*.png, from a report of the demo's simulated cohort.

    make demo && .venv/bin/python docs/make_pictures.py demo/report.html

It needs Chromium with its driver (`make browser`), and shows simulated cells only.
"""

import io
import shutil
import sys
import time
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

FOLDER = Path(__file__).parent / "pictures"
# Name → what stands at the upper edge, None for the top of the page, and how high the picture is.
PICTURES = {"report-answer": (None, 1050), "report-patient": (".patient", 1600)}
WIDTH = 1200
_SECONDS_TO_DECODE = 3
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
)


def main(report: Path) -> None:
    """Take the pictures of a report."""
    options = webdriver.ChromeOptions()
    for argument in ARGUMENTS:
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        FOLDER.mkdir(exist_ok=True)
        for name, (place, height) in PICTURES.items():
            driver.execute_cdp_cmd(
                "Emulation.setDeviceMetricsOverride",
                {"width": WIDTH, "height": height, "deviceScaleFactor": 1, "mobile": False},
            )
            driver.get(report.resolve().as_uri())
            if place is not None:  # a patient's page is shown where the address names it
                driver.execute_script("location.hash = document.querySelector(arguments[0]).id", place)
            time.sleep(_SECONDS_TO_DECODE)
            picture = Image.open(io.BytesIO(driver.get_screenshot_as_png())).convert("RGB")
            picture.quantize(256, dither=Image.Dither.NONE).save(FOLDER / f"{name}.png", optimize=True)
    finally:
        driver.quit()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
