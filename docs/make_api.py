"""Write docs/api.md from the docstrings: `make api`. A test holds the page to them."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lymphofeat
from lymphofeat import heads
from lymphofeat.assess.evaluate import Evaluation
from lymphofeat.assess.share import EvaluationShare
from lymphofeat.bundle.model import Bundle
from lymphofeat.cache.reader import Cache
from lymphofeat.cache.share_writer import ExtractionShare
from lymphofeat.comparison.result import Comparison
from lymphofeat.explanation.result import Explanation
from lymphofeat.final.submit import SubmissionSummary
from lymphofeat.imports.importing import ImportSummary
from lymphofeat.nested.result import Nested
from lymphofeat.studies.summary import StudySummary
from lymphofeat.studies.trial import TrialSummary
from lymphofeat.verification.findings import Fault, Verification

PAGE = Path(__file__).with_name("api.md")
RESULTS = (
    Cache, ExtractionShare, ImportSummary, StudySummary, TrialSummary, Evaluation, EvaluationShare, Nested, Comparison,
    Explanation, SubmissionSummary, Bundle, Verification, Fault,
)  # fmt: skip
OWN_HEADS = (heads.register, heads.HeadType, heads.PooledHead, heads.pooled, heads.suggest_pooled)
HEADINGS = ("Args", "Attributes", "Returns", "Raises", "Example")


def page() -> str:
    """The page."""
    parts = [
        "# The Python interface",
        "Generated from the docstrings by `make api`. [python.md](python.md) shows the functions at work. Other names\n"
        "than these are private and may change.",
        "## Functions and classes of `lymphofeat`",
        *(part for name in lymphofeat._HOMES for part in described(getattr(lymphofeat, name))),
        "## What they return",
        *(part for one in RESULTS for part in described(one)),
        "## Heads of one's own: `lymphofeat.heads`",
        *(part for one in OWN_HEADS for part in described(one)),
    ]
    return "\n\n".join(parts) + "\n"


def described(one: Any) -> Iterator[str]:
    """A heading, the signature, the docstring, and for a class its public methods and properties."""
    name = one.__name__
    yield f"### {name}"
    if inspect.isfunction(one) or name in ("HeadClassifier", "PooledHead", "HeadType"):
        yield f"```python\n{signature(name, one)}\n```"
    yield text(one)
    if inspect.isclass(one):
        for key, member in own_members(one):
            plain = (
                getattr(member, "fget", None)
                or getattr(member, "func", None)
                or getattr(member, "__func__", member)
            )
            if not key.startswith("_") and inspect.isfunction(plain) and plain.__doc__:
                call = signature(f".{key}", plain) if plain is member else f".{key}"
                yield f"**`{call}`**" if "\n" not in call else f"```python\n{call}\n```"
                yield text(plain)


def own_members(one: type) -> Iterator[tuple[str, Any]]:
    """What a class defines; of a cache, which is written in three layers, what it inherits as well."""
    for base in reversed(one.__mro__):
        if base is one or base.__module__.startswith("lymphofeat.cache"):
            yield from vars(base).items()


def signature(name: str, one: Any) -> str:
    """As in a file; one argument a line where it is long."""
    found = inspect.signature(one)
    kept = [p for key, p in found.parameters.items() if key != "self"]
    short = f"{name}{found.replace(parameters=kept)}".replace("NoneType", "None")
    short = re.sub(r"\*<class '([^']+)'>", r"Unpack[\1]", short)
    short = re.sub(
        r"<function (\w+) at 0x[0-9a-f]+>", r"\1", short
    )  # a default; its address is another every time
    short = re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Za-z])", "", short)  # names without their modules
    if len(short) <= 100:
        return short
    body, _, returned = short.partition("(")[2].rpartition(")")
    return f"{name}(\n" + "".join(f"    {part},\n" for part in split_at_commas(body)) + f"){returned}"


def split_at_commas(text: str) -> list[str]:
    """At the commas outside brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def text(one: Any) -> str:
    """The docstring as Markdown: its sections as lists, its example as code."""
    lines = (inspect.getdoc(one) or "").splitlines()
    found: list[str] = []
    section = ""
    for line in lines:
        heading = line.rstrip(":")
        if line.endswith(":") and heading in HEADINGS:
            section = heading
            found += [f"**{heading}**", "", *(["```python"] if heading == "Example" else [])]
        elif section == "Example":
            found.append(line.strip() if line.strip() != "" else "")
        elif section and re.match(r"    \S", line):
            found.append(item(line.strip()) if section != "Returns" else line.strip())
        else:
            found.append(line.strip() if section else line)
    if section == "Example":
        while not found[-1]:
            found.pop()
        found.append("```")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(found)).strip()


def item(line: str) -> str:
    """An argument, attribute or error as a list's item."""
    name, colon, rest = line.partition(": ")
    return f"- `{name}`: {rest}" if colon else f"- {line}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
