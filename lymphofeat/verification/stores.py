"""Stores of pixels and activations, finished or growing: every block against its checksum."""

from pathlib import Path

from ..errors import CacheError
from ..storage.atomic import move_into_place
from ..storage.blocks import plan_of
from ..storage.checked import FileDisk
from ..storage.locks import locked
from .findings import Findings

__all__ = ["verify_store"]

_WAY_OUT = "run `lymphofeat verify --repair`, after which the command that needs it computes them again"


def verify_store(path: Path, findings: Findings, *, repair: bool = False) -> None:
    """Read all blocks. Of a growing store those that are not as written are only told: they are computed again.

    Args:
        path: the file; one that grows ends in `.partial`.
        findings: are added to.
        repair: let a finished store with bad blocks grow again, so that the command that needs it computes only them.
    """
    growing = path.suffix == ".partial"
    try:
        plan = plan_of(path)
        with FileDisk.open(path) as disk:
            blocks = plan.blocks(disk)
            written = int(blocks.written().sum())
            findings.progress.start(f"reading {path.name}", written, "block")
            try:
                pending = blocks.pending(findings.progress)
            finally:
                findings.progress.stop()
    except EOFError as error:
        findings.fault(path, str(error), _WAY_OUT)
        return
    except (OSError, CacheError) as error:
        findings.error(path, error, "remove it: it is made again from the images")
        return
    bad = written - (blocks.n_blocks - len(pending)) if growing else len(pending)
    if growing:
        torn = f"; {bad} more did not reach the disk and are computed again" if bad else ""
        findings.checked.append(
            f"{path.name}: {written - bad} of {blocks.n_blocks} blocks are there, as written{torn}"
        )
    elif not bad:
        findings.checked.append(f"{path.name}: {blocks.n_blocks} blocks of {plan.n:,} rows, as written")
    elif repair:
        with locked(path, CacheError, doing="in use"):
            move_into_place(path, plan.partial)
        findings.repaired.append(
            f"{path}: {bad} of {blocks.n_blocks} blocks were not as written; the file is {plan.partial.name} now, and "
            "the command that needs it computes them again."
        )
    else:
        findings.fault(path, f"{bad} of {blocks.n_blocks} blocks are not as they were written", _WAY_OUT)
