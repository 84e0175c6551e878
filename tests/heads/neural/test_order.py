"""What a model sees when, and whom early stopping watches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lymphofeat.errors import InputError
from lymphofeat.heads.neural.order import epoch_minibatches, set_aside


@given(
    lengths=st.lists(st.integers(1, 20), min_size=1, max_size=40),
    batch_size=st.integers(1, 50),
    dropout=st.sampled_from([0.0, 0.3, 0.99]),
)
def test_an_epoch_shows_every_bag_once(lengths: list[int], batch_size: int, dropout: float) -> None:
    sizes = np.array(lengths)
    batches = list(epoch_minibatches(5, 2, sizes, batch_size, dropout))
    shown = np.concatenate([batch.bags for batch in batches])
    assert sorted(shown) == list(range(len(sizes)))
    assert [len(batch.bags) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    for batch in batches:
        for i, bag in enumerate(batch.bags):
            kept = np.arange(sizes[bag]) if batch.kept is None else batch.kept[i]
            assert len(kept) >= 1
            assert len(np.unique(kept)) == len(kept)
            assert kept.max() < sizes[bag]


def test_order_follows_seed_and_epoch() -> None:
    sizes = np.full(30, 50)

    def shown(seed: int, epoch: int) -> list[int]:
        return [int(b) for batch in epoch_minibatches(seed, epoch, sizes, 7, 0.5) for b in batch.bags]

    assert shown(1, 1) == shown(1, 1)
    assert len({tuple(shown(*at)) for at in ((1, 1), (1, 2), (2, 1))}) == 3
    kept = [len(k) for batch in epoch_minibatches(1, 1, sizes, 7, 0.5) for k in batch.kept or ()]
    assert abs(np.mean(kept) - 25) < 3 * np.sqrt(50 / 4 / 30)


@given(seed=st.integers(0, 1000), n=st.integers(12, 60), fraction=st.floats(0.1, 0.5))
def test_persons_and_classes_stay_whole(seed: int, n: int, fraction: float) -> None:
    rng = np.random.default_rng(seed)
    y = (np.arange(n) % 2).astype(np.int8)
    persons = rng.integers(0, n, n)
    train, watched = set_aside(y, persons, fraction, seed)
    assert sorted(np.r_[train, watched]) == list(range(n))
    assert not set(persons[train]) & set(persons[watched])
    for side in (train, watched):
        assert len(np.unique(y[side])) == 2


def test_too_few_persons_get_a_sentence() -> None:
    y = np.array([0, 0, 0, 1, 1], dtype=np.int8)
    for persons in (np.array([0, 1, 2, 3, 3]), np.array([7, 7, 7, 7, 8])):
        with pytest.raises(InputError, match="turn early_stopping off"):
            set_aside(y, persons, 0.2, 0)
