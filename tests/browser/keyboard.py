"""Walk through a page with the Tab key."""

from .window import Window


def keyboard_faults(window: Window) -> list[str]:
    """Controls that Tab does not reach, and those that do not show the focus."""
    n = window.run("document.activeElement.blur(); scrollTo(0, 0); return CHECKS.remember()")
    for _ in range(n + 1):
        window.press("Tab")
        if not window.run("return CHECKS.visit()"):
            break
    return window.faults("keyboard")
