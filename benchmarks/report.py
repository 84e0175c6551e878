"""The report: seconds to make, bytes, and seconds to open in headless Chromium without a network.

    python -m benchmarks.report features.h5 study.db    five openings of the report of this cache and study

Opening is `loadEventEnd` of the page's navigation, from a file on the disk; the first opening is the coldest. Seconds
to make include those in which the libraries are loaded.
"""

import argparse
import tempfile
import time
from pathlib import Path

from lymphofeat import write_report
from tests.browser.chromium import WAYS_OUT, find_browser
from tests.browser.window import opened_window

LOADED = "return performance.getEntriesByType('navigation')[0].loadEventEnd / 1000"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("study", type=Path)
    parser.add_argument(
        "--kept", type=Path, default=Path("studies"), help="folder of what check and compare keep"
    )
    parser.add_argument("--openings", type=int, default=5)
    given = parser.parse_args()
    browser = find_browser()
    if browser is None:
        parser.error(f"there is no Chromium with its driver: {WAYS_OUT}")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        began, used = time.perf_counter(), time.process_time()
        found = write_report(given.cache, given.study, page, kept=given.kept)
        print(f"made in {time.perf_counter() - began:.1f} s ({time.process_time() - used:.1f} s of CPU)")
        print(f"{found.n_bytes / 1e6:.2f} MB: {', '.join(found.sections)}")
        with opened_window(browser) as window:
            for _ in range(given.openings):
                window.open(page)
                print(f"opened in {window.run(LOADED):.2f} s")


if __name__ == "__main__":
    main()
