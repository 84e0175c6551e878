"""What a verification finds: faults, each with its way out, what was checked, and what could not be."""

from dataclasses import dataclass, field

from ..errors import LymphofeatError, printable
from ..progress import Progress
from ..storage.addresses import StudyPlace

__all__ = ["Fault", "Findings", "Verification"]


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        path: the file or folder, or the address of a study.
        what: what is wrong with it, as the rest of a sentence that begins with the path.
        way_out: what to do.
    """

    path: StudyPlace
    what: str
    way_out: str

    @property
    def sentence(self) -> str:
        """`path: what is wrong; what to do.`"""
        rest = f"{self.what}; {self.way_out}" if self.way_out else self.what
        return printable(f"{self.path}: {rest}.")

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True)
class Verification:
    """The result of `verify`.

    Attributes:
        path: what was verified.
        kind: what it is, with its article: "a feature cache".
        checked: what was compared with what, a line each.
        unchecked: what could not be checked, and why, a sentence each.
        faults: what is wrong.
        repaired: what was made good, a sentence each; see `verify`.
    """

    path: StudyPlace
    kind: str
    checked: tuple[str, ...]
    unchecked: tuple[str, ...]
    faults: tuple[Fault, ...]
    repaired: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong any more."""
        return not self.faults

    def __repr__(self) -> str:
        n = len(self.faults)
        return f"<Verification {self.path.name}, {self.kind}: {n or 'no'} {'fault' if n == 1 else 'faults'}>"


@dataclass
class Findings:
    """A growing `Verification`.

    Attributes:
        progress: is told of what is read.
        checked, unchecked, faults, repaired: as of `Verification`.
    """

    progress: Progress
    checked: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)

    def fault(self, path: StudyPlace, what: str, way_out: str) -> None:
        """Add a fault."""
        self.faults.append(Fault(path, what, way_out))

    def error(self, path: StudyPlace, error: LymphofeatError | OSError, way_out: str = "") -> None:
        """Add what an error says: of this program, "path: what is wrong; what to do."; of the system, its cause."""
        if isinstance(error, OSError) and not isinstance(error, LymphofeatError):
            self.fault(path, f"cannot be read ({error.strerror or error})", way_out or "check the disk")
            return
        text = str(error).removesuffix(".").removeprefix(str(path)).removeprefix(":").lstrip()
        what, _, way = text.rpartition("; ")
        self.faults.append(Fault(path, what, way) if what else Fault(path, text, way_out))

    def of(self, path: StudyPlace, kind: str) -> Verification:
        """All of it, as the result."""
        return Verification(
            path,
            kind,
            tuple(self.checked),
            tuple(self.unchecked),
            tuple(self.faults),
            tuple(self.repaired),
        )
