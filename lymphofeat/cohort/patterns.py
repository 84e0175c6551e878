"""Patterns of image names, as `{patient}_{slide}_{cell}.png`: which patient an image belongs to.

A name in braces stands for one character or more without a `/`; all else is literal. IDs are matched whole: `P1` never
takes an image of `P10`, since a field ends where the pattern's next literal text begins.
"""

import os
import re
from collections.abc import Collection
from functools import cached_property

from ..errors import InputError

__all__ = ["FilePattern"]

_PATIENT = "patient"
_FIELD = re.compile(r"\{([^{}/]*)\}")


class FilePattern:
    """A pattern, and what it says of a file.

    Args:
        text: see the module; `\\` counts as `/`. A field that is there twice has the same text twice.
        suffixes: those of images, lower-case. A pattern without one of them fits files with any.

    Raises:
        InputError: it cannot tell patients apart; the clause that says why, without a full stop.
    """

    def __init__(self, text: str, suffixes: Collection[str]) -> None:
        self.text = text.replace("\\", "/").removeprefix("./")
        self._suffixes = tuple(suffixes)
        stem, suffix = os.path.splitext(self.text)
        self._stem, self._suffix = (stem, suffix) if suffix.lower() in self._suffixes else (self.text, "")
        self._tokens = _FIELD.split(self._stem)  # literal, field, literal, …, literal
        if fault := self._fault(suffix):
            raise InputError(fault)
        self._free = self._expression(None)
        self._of_patient: dict[str, re.Pattern[str]] = {}

    @cached_property
    def depth(self) -> int:
        """How many folders lie between the images and the folder that paths are relative to."""
        return self.text.count("/")

    def any_patient(self, path: str) -> str | None:
        """The shortest text that can be the patient of a file; None if the pattern does not fit it.

        Args:
            path: relative, with `/`.
        """
        match = self._free.fullmatch(path)
        return match[_PATIENT] if match else None

    def patients(self, path: str, ids: Collection[str], lengths: Collection[int]) -> list[str]:
        """Those of `ids` that can be the patient of a file, sorted.

        Args:
            path: as of `any_patient`.
            ids: a set.
            lengths: all lengths of `ids`, so that only texts of these are looked up, whatever the number of IDs.
        """
        candidates = {path[at : at + n] for n in lengths for at in range(len(path) - n + 1)}
        return sorted(name for name in candidates if name in ids and self._of(name).fullmatch(path))

    def _of(self, name: str) -> re.Pattern[str]:
        if name not in self._of_patient:
            self._of_patient[name] = self._expression(name)
        return self._of_patient[name]

    def _expression(self, patient: str | None) -> re.Pattern[str]:
        parts, seen = [], set[str]()
        for k, token in enumerate(self._tokens):
            if k % 2 == 0:
                parts.append(re.escape(token))
            elif token == _PATIENT and patient is not None:
                parts.append(re.escape(patient))
            elif token and token in seen:
                parts.append(f"(?P={_group(token, self._tokens)})")
            else:
                seen.add(token)
                parts.append(f"(?P<{_group(token, self._tokens)}>[^/]+?)" if token else "[^/]+?")
        endings = [re.escape(self._suffix)] if self._suffix else [re.escape(s) for s in self._suffixes]
        return re.compile(f"{''.join(parts)}(?i:{'|'.join(endings)}){'' if self._suffix else '?'}")

    def _fault(self, suffix: str) -> str:
        fields = self._tokens[1::2]
        if any(set(literal) & set("{}") for literal in self._tokens[::2]):
            return "has a brace without its partner; write fields as {patient}"
        if _PATIENT not in fields:
            return "has no field {patient}"
        if self.text.startswith("/") or ".." in self.text.split("/"):
            return "must be relative to the folder of the images; name that folder under [folders]"
        for k in range(2, len(self._tokens) - 1, 2):
            before, literal, after = self._tokens[k - 1], self._tokens[k], self._tokens[k + 1]
            if not literal:
                return f"has nothing between {{{before}}} and {{{after}}}, so nothing tells where one of them ends"
            if (before == _PATIENT and literal[0].isdigit()) or (after == _PATIENT and literal[-1].isdigit()):
                return "has a digit beside {patient}, so nothing tells where an ID ends"
        if not self._suffix and re.fullmatch(r"\.[A-Za-z][A-Za-z0-9]*", suffix):
            return f"ends in {suffix}, which is not among the `suffixes`; add it there"
        return ""


def _group(field: str, tokens: list[str]) -> str:
    """A group's name for a field of any name."""
    return field if field == _PATIENT else f"field{tokens.index(field)}"
