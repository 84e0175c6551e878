"""A bundle: every file against the manifest, then the model against its own answers."""

from pathlib import Path

from ..bundle.load import load_bundle
from ..bundle.manifest import BundleFiles
from ..errors import BundleError, LymphofeatError
from .findings import Findings

__all__ = ["verify_bundle"]


def verify_bundle(path: Path, findings: Findings) -> None:
    """Compare all files with the manifest, load the model, and ask it for the answers that it gave at the export."""
    try:
        files = BundleFiles.unchecked(path)
    except BundleError as error:
        findings.error(path, error)
        return
    names, before = list(files.manifest["files"]), len(findings.faults)
    findings.progress.start("verifying", len(names), "file")
    try:
        for name in names:
            try:
                files.read(name)
            except BundleError as error:
                findings.error(path / name, error)
            findings.progress.advance()
    finally:
        findings.progress.stop()
    for name in files.unlisted():
        findings.fault(
            path / name,
            "is not in the manifest, and the bundle is not used with it",
            "move the file away, or export the bundle again if it should be part of it",
        )
    if len(findings.faults) > before:
        findings.unchecked.append("The model was not loaded, since its files are not as they were exported.")
        return
    findings.checked.append(f"manifest, SHA-256 {files.digest}; {len(names)} files as it lists them")
    try:
        load_bundle(path)
    except LymphofeatError as error:
        findings.error(path, error)
        return
    findings.checked.append("the model loads, and answers as at the export on the made-up patients in it")
