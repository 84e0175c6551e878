"""The networks, for the terminal; 80 columns suffice."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from ..encoder.catalogue import ListedBackbone
from .printing import PlainTable, show

__all__ = ["render_backbones"]

_NOTES = (
    "offline: works on this machine now, without a connection. Try efficientnet-lite0 first there: lymphofeat extract "
    "--frozen --backbone efficientnet-lite0.",
    "DinoBloom and RedDino are trained on blood cells; docs/blood-encoders.md says where their files are.",
    "The licences are those that the publishers name; read them before use. ImageNet's images have terms of their own, "
    "and the package of EfficientNet's weights names no licence.",
)


def render_backbones(backbones: Sequence[ListedBackbone], console: Console) -> None:
    """Print every network with its width, source and licence, and what makes it work."""
    table = PlainTable()
    table.add_column("--backbone", style="cyan", no_wrap=True)
    table.add_column("features", justify="right")
    table.add_column("offline", no_wrap=True)
    table.add_column("source (licence), and use")
    for one in backbones:
        about = Text.assemble(f"{one.source} ({one.licence})", (f"\n{one.way}", "dim"))
        table.add_row(one.name, one.width, "yes" if one.offline else "no", about)
    show(console, table)
    show(console)
    for note in _NOTES:
        show(console, note)
