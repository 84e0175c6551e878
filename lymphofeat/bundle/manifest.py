"""A bundle as a folder of files: written whole or not at all, and read only as it was written.

`manifest.json` lists every file with its size and SHA-256, and has a digest of its own contents. That finds damage and
careless changes. Who changes a file on purpose can also write a new manifest: the digest that `export` prints and
`predict` prints again is what two people compare.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError

from .. import __version__
from ..errors import BundleError, InputError
from ..storage.arrays import load_arrays, save_arrays
from ..storage.atomic import leftovers, move_into_place, naming, sync, temporary_for
from ..storage.locks import locked
from ..storage.provenance import bare_command
from .classes import Keeps, most_of
from .codec import Packed, kept_in

__all__ = ["CARD", "CHAI_CARD", "FORMAT", "MANIFEST", "BundleFiles", "BundleFolder", "new_bundle"]

# The newest. 1: every fit is given one encoding; 2: or several; 3: heads that see declared clinical columns, or are not
# told which clinical values are missing.
FORMAT = 3
MANIFEST = "manifest.json"
# The model card, under the name that model hubs show first, and the same for the registries of CHAI.
CARD, CHAI_CARD = "README.md", "model_card.chai.json"
_FORMER_CARD = "MODEL_CARD.md"  # its name in bundles of before


class BundleFolder:
    """A bundle in the making.

    Attributes:
        root: where it grows, beside its final place.
        keeps: what the objects and the ranges in it keep of the training patients, see `classes.Keeps`.
        format: the oldest one that can say what is in it, so that earlier versions read what they can.
        microns_per_pixel: of the training images; None where it is not known.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.format = 1
        self.keeps: Keeps = "values"  # the training ranges, of every bundle
        self.microns_per_pixel: float | None = None

    def write(self, name: str, content: bytes) -> None:
        """Add a file."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def write_json(self, name: str, value: Any, *, sort_keys: bool = True) -> None:
        """Add a JSON file.

        Raises:
            ValueError: NaN or an infinite number, which JSON lacks.
        """
        text = json.dumps(value, indent=1, sort_keys=sort_keys, allow_nan=False, ensure_ascii=False)
        self.write(name, (text + "\n").encode())

    def write_arrays(self, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Add a safetensors file."""
        self.write(name, save_arrays(arrays))

    def write_packed(self, stem: str, packed: Packed) -> dict[str, Keeps]:
        """Add an object's files: `<stem>.json`, `<stem>.safetensors`, and `<stem>-<key>.ubj` for trees.

        Returns:
            What each class in it keeps of the training patients.
        """
        self.write_json(f"{stem}.json", {"tree": packed.tree, "trees": sorted(packed.trees)})
        self.write_arrays(f"{stem}.safetensors", packed.arrays)
        for key, trees in packed.trees.items():
            self.write(f"{stem}-{key}.ubj", trees)
        kept = kept_in(packed.tree)
        self.keeps = most_of([self.keeps, *kept.values()])
        return kept

    def close(self) -> str:
        """Write the manifest; its digest."""
        names = sorted(str(p.relative_to(self.root).as_posix()) for p in self.root.rglob("*") if p.is_file())
        files = {name: _entry((self.root / name).read_bytes()) for name in names}
        manifest: dict[str, Any] = {
            "format": self.format,
            "lymphofeat": __version__,
            "keeps": self.keeps,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": bare_command(),
            "files": files,
        }
        if self.microns_per_pixel is not None:
            manifest["microns_per_pixel"] = self.microns_per_pixel
        manifest["digest"] = _digest(manifest)
        self.write_json(MANIFEST, manifest)
        return str(manifest["digest"])


@contextmanager
def new_bundle(out: Path, *, force: bool = False) -> Iterator[BundleFolder]:
    """Yield a folder that takes the place `out` when the block ends well, with its manifest.

    What killed exports left beside it is removed, and a bundle that one had just moved aside is put back.

    Raises:
        InputError: `out` exists, and either `force` is false or it is no bundle (before the block runs).
        BundleError: another process exports to `out`, or its folder cannot be written.
    """
    if out.name in ("", ".."):
        raise InputError(
            f"{out} cannot be replaced by a bundle; name the folder to make, such as {out / 'model'}."
        )
    _refuse_existing(out, force=force)
    with locked(out, BundleError, way_out=", or give another OUT"):
        _clear_leftovers(out)
        with naming(out), _replaced(out, force=force) as folder:
            yield folder


def _refuse_existing(out: Path, *, force: bool) -> None:
    if out.exists():
        if not force:
            raise InputError(f"{out} exists already; give --force to replace it, or another OUT.")
        if not (out / MANIFEST).is_file():
            raise InputError(f"{out} is not a bundle, so --force does not replace it; give another OUT.")


@contextmanager
def _replaced(out: Path, *, force: bool) -> Iterator[BundleFolder]:
    _refuse_existing(out, force=force)
    temporary, old = temporary_for(out), temporary_for(out, "old")
    temporary.mkdir()
    try:
        folder = BundleFolder(temporary)
        yield folder
        if not (temporary / MANIFEST).exists():
            folder.close()
        for made in (temporary, *(path for path in temporary.rglob("*") if path.is_dir())):
            sync(made)
        if out.exists():
            out.rename(old)
        move_into_place(temporary, out)
    except BaseException:
        if old.exists() and not out.exists():
            old.rename(out)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _clear_leftovers(out: Path) -> None:
    for left, target in leftovers(out.parent):
        if target != out.name or not left.is_dir():
            continue
        if left.suffix == ".old" and not out.exists():
            left.rename(out)
        else:
            shutil.rmtree(left, ignore_errors=True)


@dataclass(frozen=True)
class BundleFiles:
    """A bundle's files, each compared with the manifest before it is used.

    Attributes:
        root: the folder.
        manifest: format, version, date, what it keeps of the training patients, size of a pixel, files, digest.
    """

    root: Path
    manifest: Mapping[str, Any]

    @classmethod
    def open(cls, root: Path) -> "BundleFiles":
        """Read the manifest and compare every file with it; nothing is parsed before.

        Raises:
            BundleError: no bundle, of a newer format, damaged, changed, with a file too few or too many.
        """
        files = cls.unchecked(root)
        for name in files.unlisted():
            raise BundleError(
                f"{root} holds {name}, which its manifest does not list; move the file away, or export the bundle "
                "again if it should be part of it."
            )
        for name in files.manifest["files"]:
            files.read(name)
        return files

    @classmethod
    def unchecked(cls, root: Path) -> "BundleFiles":
        """Read the manifest, and compare it with its own digest only.

        Raises:
            BundleError: no bundle, of a newer format, or the manifest is damaged or changed.
        """
        return cls(root, _read_manifest(root))

    def unlisted(self) -> Iterator[str]:
        """The names of files in the folder that the manifest does not list; hidden ones are left out."""
        known = set(self.manifest["files"]) | {MANIFEST}
        for path in sorted(p for p in self.root.rglob("*") if not p.is_dir()):
            name = path.relative_to(self.root).as_posix()
            if name not in known and not path.name.startswith("."):
                yield name

    @property
    def digest(self) -> str:
        return str(self.manifest["digest"])

    @property
    def card(self) -> Path:
        """The model card."""
        return self.root / (CARD if CARD in self.manifest["files"] else _FORMER_CARD)

    def read(self, name: str) -> bytes:
        """A file's bytes, if they are those that were written.

        Raises:
            BundleError: they are not, or the file is not there.
        """
        path, listed = self.root / name, self.manifest["files"].get(name)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise BundleError(
                f"{path} cannot be read ({error.strerror}), so the bundle is not whole; copy it again, or export it "
                "again."
            ) from error
        if listed != _entry(content):
            size = listed["bytes"] if isinstance(listed, Mapping) and "bytes" in listed else "unknown"
            what = "was changed" if len(content) == size else f"has {len(content)} of {size} bytes"
            raise BundleError(
                f"{path} {what} since the bundle was exported, and is not used; copy it again, or export it again."
            )
        return content

    def read_json(self, name: str) -> Any:
        """A JSON file.

        Raises:
            BundleError: as `read`, or it holds no JSON.
        """
        try:
            return json.loads(self.read(name))
        except (ValueError, RecursionError) as error:
            raise BundleError(
                f"{self.root / name} is not JSON ({error}); export the bundle again."
            ) from error

    def read_arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """A safetensors file.

        Raises:
            BundleError: as `read`, or it is none.
        """
        try:
            return load_arrays(self.read(name))
        except (SafetensorError, KeyError, ValueError) as error:
            raise BundleError(
                f"{self.root / name} is not a safetensors file ({error}); export the bundle again."
            ) from error

    def read_packed(self, stem: str) -> Packed:
        """What `BundleFolder.write_packed` wrote.

        Raises:
            BundleError: as `read`.
        """
        written = self.read_json(f"{stem}.json")
        trees = {str(key): self.read(f"{stem}-{key}.ubj") for key in written["trees"]}
        return Packed(written["tree"], self.read_arrays(f"{stem}.safetensors"), trees)


def _read_manifest(root: Path) -> dict[str, Any]:
    path = root / MANIFEST
    if not root.is_dir() or not path.is_file():
        raise BundleError(
            f"{root} is not a bundle: there is no {path}; give the folder that `lymphofeat export` made."
        )
    try:
        manifest = json.loads(path.read_bytes())
        found, files, digest = manifest["format"], manifest["files"], manifest["digest"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleError(
            f"{path} is not a bundle's manifest, or damaged ({error!r}); give the folder that `lymphofeat export` made."
        ) from error
    if isinstance(found, int) and found > FORMAT:
        raise BundleError(
            f"{path} is of bundle format {found}, and lymphofeat {__version__} reads formats up to {FORMAT}; install "
            f"the version that wrote it ({manifest.get('lymphofeat')})."
        )
    rest = {key: value for key, value in manifest.items() if key != "digest"}
    if found not in range(1, FORMAT + 1) or not isinstance(files, dict) or digest != _digest(rest):
        raise BundleError(
            f"{path} was changed since the bundle was exported, so nothing in it can be checked; copy it again, "
            "or export it again."
        )
    if any(Path(name).is_absolute() or ".." in Path(name).parts for name in files):
        raise BundleError(f"{path} lists files outside the bundle; do not use it.")
    return dict(manifest)


def _entry(content: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def _digest(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
