"""A progress that tests ask for what it was told."""

from lymphofeat.progress import Silent


class Heard(Silent):
    """Keeps what a run says."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)
