"""Trained encoders: the digests that a file records against the network in it."""

from pathlib import Path

from ..errors import LymphofeatError
from .findings import Findings

__all__ = ["verify_checkpoint", "verify_encoder"]


def verify_encoder(path: Path, findings: Findings) -> str | None:
    """Load a trained encoder, and compare the network with what the file says of it.

    Returns:
        Hex digest of its backbone; None where something is wrong.
    """
    from ..encoder.state_dict import state_digest
    from ..training.trained import load_trained

    way_out = "restore a good copy, or move it away to have it trained again"
    try:
        trained = load_trained(path)
    except (LymphofeatError, OSError) as error:
        findings.error(path, error, way_out)
        return None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        findings.fault(path, f"does not describe an encoder ({error!r})", way_out)
        return None
    digest = state_digest(trained.network.backbone.state_dict())
    if trained.about.get("trained_digest") != digest:
        findings.fault(path, "holds other weights than it was written with", way_out)
        return None
    return digest


def verify_checkpoint(path: Path, findings: Findings) -> None:
    """Read a training under way."""
    from ..training.checkpoint import inspect_checkpoint

    try:
        state = inspect_checkpoint(path, whole=True)
    except LymphofeatError as error:
        findings.error(path, error, "move it away: the training then begins again")
        return
    findings.checked.append(f"{path.parent.name}/{path.name}: {state.epoch} epochs of a training under way")
