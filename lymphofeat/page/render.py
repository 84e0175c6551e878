"""Sections as one HTML file that asks for nothing."""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from .. import __version__
from ..storage.provenance import made_by
from .blocks import Section

__all__ = ["render_page"]

_TEMPLATES = Path(__file__).parent / "templates"
_STYLE = "style.css"
_CODE = re.compile(r"`([^`]+)`")


def render_page(title: str, sections: Sequence[Section], *, subtitle: str = "") -> str:
    """The page as text: one HTML document with everything in it.

    Args:
        title: heading and title of the window.
        sections: in their order; their ids differ.
        subtitle: a line below the heading.
    """
    made = made_by()
    return _environment().get_template("base.html.j2").render(
        title=title, subtitle=subtitle, sections=sections, styles=Markup(_styles()), version=__version__,
        footer=f"Made by lymphofeat {made['lymphofeat']} at {made['at']}. A research tool, not a medical device.",
    )  # fmt: skip


@cache
def _environment() -> Environment:
    found = Environment(
        loader=PackageLoader("lymphofeat.page"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    found.filters["coded"] = _coded
    return found


def _coded(text: str) -> Markup:
    """A sentence with its `commands` as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))


@cache
def _styles() -> str:
    """The style sheet of the page, then those of single blocks."""
    own = sorted(path for path in _TEMPLATES.glob("*.css") if path.name != _STYLE)
    return "\n".join(path.read_text(encoding="utf-8") for path in (_TEMPLATES / _STYLE, *own))
