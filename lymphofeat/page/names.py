"""What patients and images are called on a page: by a number, unless the user asks for their IDs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

__all__ = ["Names"]


@dataclass(frozen=True)
class Names:
    """The words for patients and images.

    Without IDs a patient is "patient 7" and an image "image 17". The numbers follow the digests of the IDs, not their
    order, which may be that of admission; the same IDs give the same numbers.

    Attributes:
        ids: every patient's, in the order of the cache.
        shown: whether IDs and names of files are shown.

    Example:
        >>> Names(("P1", "P2"), shown=True).patient("P2")
        'P2'
    """

    ids: tuple[str, ...]
    shown: bool = False
    _numbers: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        mixed = sorted(self.ids, key=lambda one: sha256(one.encode()).digest())
        object.__setattr__(self, "_numbers", {one: k for k, one in enumerate(mixed, 1)})

    def number(self, patient: str) -> int:
        """The patient's number on this page, from 1."""
        return self._numbers[patient]

    def patient(self, patient: str) -> str:
        """The ID, or "patient 7"."""
        return patient if self.shown else f"patient {self.number(patient)}"

    def title(self, patient: str) -> str:
        """As a heading: "Patient P12", or "Patient 7"."""
        return f"Patient {patient}" if self.shown else self.patient(patient).capitalize()

    def anchor(self, patient: str) -> str:
        """The patient's `id` on the page, which says no more than the number."""
        return f"patient-{self.number(patient)}"

    def image(self, position: int, file: str) -> str:
        """The file's name, or "image 17" by its position (from 0) among the patient's images in the cache."""
        return file if self.shown else f"image {position + 1}"

    def hidden_in(self, text: str) -> str:
        """The text with the words that are IDs replaced, for commands that a patient was named in."""
        if self.shown:
            return text
        words: Sequence[str] = text.split(" ")
        return " ".join("…" if word.strip("'\"") in self._numbers else word for word in words)
