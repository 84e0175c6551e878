"""The file that keeps what a comparison has found: whole lines, one owner, and nothing of anybody else's."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lymphofeat.errors import StudyError
from lymphofeat.storage.journal import open_ledger

ENTRIES = [("a", {"x": 1.5}), ("b", {"text": "µ \n \u2028"}), ("c", {"list": [1, None]})]


@settings(max_examples=60, deadline=None)
@given(threshold=st.integers(0, 200))
def test_a_kill_at_any_byte_loses_the_last_lines_only(
    tmp_path_factory: pytest.TempPathFactory, threshold: int
) -> None:
    path = tmp_path_factory.mktemp("cut") / "l.jsonl"
    ends = [0]
    with open_ledger(path) as ledger:
        for key, entry in ENTRIES:
            ledger.add(key, entry)
            ends.append(path.stat().st_size)
    threshold = min(threshold, ends[-1])
    path.write_bytes(path.read_bytes()[:threshold])
    n_whole = sum(end <= threshold for end in ends) - 1
    with open_ledger(path) as ledger:
        assert [ledger.get(key) for key, _ in ENTRIES] == [
            entry if i < n_whole else None for i, (_, entry) in enumerate(ENTRIES)
        ]
        ledger.add("d", {})
    with open_ledger(path) as ledger:
        assert ledger.get("d") == {}
        assert (ledger.get("a") is None) == (n_whole == 0)


def test_one_owner_at_a_time(tmp_path: Path) -> None:
    with (
        open_ledger(tmp_path / "l.jsonl"),
        pytest.raises(StudyError, match="in use by another process"),
        open_ledger(tmp_path / "l.jsonl"),
    ):
        pass
    with open_ledger(tmp_path / "l.jsonl") as again:
        assert again.get("a") is None
    assert not (tmp_path / "l.jsonl").exists()


def test_a_full_disk_gets_a_sentence_and_the_lines_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "l.jsonl"
    with open_ledger(path) as ledger:
        ledger.add("a", {"x": 1})

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(StudyError, match="No space left on device"):
            ledger.add("b", {"x": 2})
        monkeypatch.undo()
    with open_ledger(path) as ledger:
        assert ledger.get("a") == {"x": 1}


def test_a_changed_digit_is_found_and_lines_of_earlier_versions_are_read(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    with open_ledger(path) as ledger:
        ledger.add("a", {"value": 0.875})
    path.write_text(path.read_text(encoding="utf-8").replace("0.875", "0.876"), encoding="utf-8")
    with pytest.raises(StudyError, match=r"l\.jsonl, line 1: not what lymphofeat writes"), open_ledger(path):
        pass
    path.write_text('{"key": "a", "value": 0.875}\n', encoding="utf-8")
    with open_ledger(path) as ledger:
        assert ledger.get("a") == {"value": 0.875}
