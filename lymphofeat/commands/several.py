"""Options that take several numbers: `--gpus 0 1`, as argparse has it, and `--gpus 0,1`, as click has it."""

from typing import Any

import click

from .paths import ParamType

__all__ = ["Numbers", "TakesSeveral"]


class Numbers(ParamType):
    """Whole numbers from 0, with commas or spaces between them."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The numbers, a tuple."""
        if isinstance(value, tuple):
            return value
        words = value.replace(",", " ").split()
        if not words or not all(map(_is_number, words)):
            self.fail(f"{value!r} is no list of numbers; give such as 0 or 0,1.", param, ctx)
        return tuple(map(int, words))


class TakesSeveral(click.Command):
    """A command whose options of the type `Numbers` take all the numbers that follow them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As of click, with a comma between such numbers."""
        options = {name for param in self.params if isinstance(param.type, Numbers) for name in param.opts}
        joined: list[str] = []
        follows = False
        for word in args:
            if follows and _is_number(word.replace(",", "")):
                joined[-1] += f",{word}"
                continue
            follows = bool(joined) and joined[-1] in options and _is_number(word.replace(",", ""))
            joined.append(word)
        return super().parse_args(ctx, joined)


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdecimal()
