"""A figure with what belongs to it: its words, and the numbers behind it."""

from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

__all__ = ["Drawn"]


@dataclass(frozen=True)
class Drawn:
    """A figure, its words and its numbers.

    Attributes:
        name: stem of its files, such as "roc"; unique on a page.
        title: as a heading, without a full stop.
        caption: what is drawn and how to read it, in one to three sentences.
        alt: what can be seen, with the main numbers, for a reader who cannot see it.
        figure: made by `style.new_figure`.
        table: the numbers behind it, all of them; `NAME.csv`, and the table one click away.
    """

    name: str
    title: str
    caption: str
    alt: str
    figure: Figure
    table: pd.DataFrame

    def __repr__(self) -> str:
        return f"<Drawn {self.name}: {self.title}, {len(self.table)} rows>"
