"""Which share of the work is a task's, and how a task is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lymphofeat.array_tasks import array_task_in, check_array_task, share_of, task_label
from lymphofeat.errors import InputError

SLURM = "SLURM_ARRAY_TASK_"


@given(costs=st.lists(st.integers(0, 3)), count=st.integers(1, 12))
def test_shares_are_all_of_the_work_once_and_the_expensive_is_spread(costs: list[int], count: int) -> None:
    pieces = list(enumerate(costs))
    shares = [share_of(pieces, (number, count), lambda piece: piece[1]) for number in range(1, count + 1)]
    assert sorted(piece for share in shares for piece in share) == pieces
    for share in shares:
        assert share == sorted(share)
    for cost in set(costs):
        of_cost = [sum(piece[1] == cost for piece in share) for share in shares]
        assert max(of_cost) - min(of_cost) <= 1


def test_a_task_is_named_by_its_number_or_by_slurm() -> None:
    assert array_task_in("3/10", {}) == (3, 10)
    assert array_task_in(" 3 / 10 ", {f"{SLURM}ID": "7"}) == (3, 10)
    array = {f"{SLURM}ID": "7", f"{SLURM}MIN": "1", f"{SLURM}MAX": "10"}
    assert array_task_in("/10", array) == (7, 10)
    assert array_task_in("/10", {f"{SLURM}ID": "7", f"{SLURM}MIN": "7", f"{SLURM}MAX": "7"}) == (7, 10)
    assert task_label((7, 10)) == "task-7-of-10"


@pytest.mark.parametrize(
    ("text", "environment", "sentence"),
    [
        ("10", {}, "names no task: give I/N, such as 3/10"),
        ("3/", {}, "names no task"),
        ("-1/4", {}, "names no task"),
        ("0/4", {}, "no task 0 of 4: tasks are counted from 1, so give one from 1/4 to 4/4"),
        ("5/4", {}, "no task 5 of 4"),
        ("1/0", {}, "no task 1 of 0"),
        ("/4", {}, "SLURM_ARRAY_TASK_ID, which is not set: give I/4, or start the command by `sbatch --array=1-4`"),
        ("/4", {f"{SLURM}ID": "x"}, "which is 'x'"),
        ("/4", {f"{SLURM}ID": "1", f"{SLURM}MIN": "0", f"{SLURM}MAX": "3"}, "0 to 3, and /4 has 1 to 4: .*array=1-4"),
        ("/4", {f"{SLURM}ID": "1", f"{SLURM}MIN": "1", f"{SLURM}MAX": "5"}, "1 to 5, and /4 has 1 to 4"),
        ("/4", {f"{SLURM}ID": "5"}, "no task 5 of 4"),
    ],
)  # fmt: skip
def test_what_names_no_task_gets_a_sentence(text: str, environment: dict[str, str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        array_task_in(text, environment)


@pytest.mark.parametrize("task", [(0, 3), (4, 3), (1, 0), (-1, -1)])
def test_a_task_from_python_is_checked(task: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="counted from 1"):
        check_array_task(task)
