"""The identity sampler: P distinct identities, K images each, a pure function of (seed, step)."""

import numpy as np
import pytest

from reidlib.data.sampler import IdentitySampler, generator
from reidlib.errors import ReidError


@pytest.fixture
def pid() -> np.ndarray:
    """22 identities with 1 to 9 images, in no order, with gaps in the numbers."""
    rng = np.random.default_rng(0)
    return rng.permutation(np.repeat(np.arange(22) * 7 + 2, 1 + np.arange(22) % 9))


def test_a_batch_holds_p_identities_and_k_images_of_each(pid):
    sampler = IdentitySampler(pid, 5, 4, seed=3)
    for step in range(40):
        chosen = pid[sampler(step)].reshape(5, 4)
        assert (chosen == chosen[:, :1]).all()  # an identity's images stand together
        assert len(set(chosen[:, 0])) == 5


def test_no_image_twice_where_there_are_enough_and_all_where_there_are_not(pid):
    sampler = IdentitySampler(pid, 5, 4, seed=3)
    few = enough = 0
    for step in range(40):
        for images in sampler(step).reshape(5, 4):
            own = np.flatnonzero(pid == pid[images[0]])
            assert len(set(images)) == min(4, len(own))
            few, enough = few + (len(own) < 4), enough + (len(own) >= 4)
    assert min(few, enough) > 20


def test_every_identity_comes_once_a_round(pid):
    sampler = IdentitySampler(pid, 5, 2, seed=1)
    assert sampler.batches_per_round == 4
    rounds = []
    for round_ in range(30):
        seen = np.concatenate([pid[sampler(4 * round_ + i)][::2] for i in range(4)])
        assert len(set(seen)) == 20  # of 22: two sit out
        rounds.append(set(seen))
    assert set.union(*rounds) == set(pid)
    assert len({frozenset(seen) for seen in rounds}) > 20  # not always the same two
    assert len(set(map(tuple, (sampler(4 * r) for r in range(30))))) == 30


def test_all_images_of_an_identity_come_in_time(pid):
    sampler = IdentitySampler(pid, 22, 4, seed=0)
    counts = np.bincount(np.concatenate([sampler(step) for step in range(300)]), minlength=len(pid))
    for one in np.unique(pid):
        own = counts[pid == one]
        assert own.sum() == 1200
        assert own.min() > 0.75 * 1200 / len(own)


def test_a_batch_depends_on_seed_and_step_alone(pid):
    a, b = IdentitySampler(pid, 5, 4, seed=3), IdentitySampler(pid, 5, 4, seed=3)
    later = [a(step) for step in (17, 0, 5, 17)]
    np.random.seed(1)  # noqa: NPY002
    assert all(np.array_equal(x, b(step)) for x, step in zip(later, (17, 0, 5, 17), strict=True))
    other = IdentitySampler(pid, 5, 4, seed=4)
    assert not any(np.array_equal(a(step), other(step)) for step in range(10))


def test_the_drawing_is_the_one_of_the_stored_runs():
    """If this fails on purpose, raise FORMAT in reidlib/train/recipe.py: all runs would differ."""
    sampler = IdentitySampler(np.repeat([4, 1, 9, 6], [3, 1, 5, 2]), 2, 3, seed=11)
    assert sampler.ids.tolist() == [1, 4, 6, 9]
    assert [sampler(step).tolist() for step in range(4)] == PINNED
    assert generator(11, 3, 5).random(3).tolist() == pytest.approx(PINNED_DRAW, abs=1e-15)


PINNED = [[3, 3, 3, 4, 7, 6], [2, 0, 1, 10, 9, 9], [10, 9, 10, 0, 1, 2], [3, 3, 3, 6, 4, 7]]
PINNED_DRAW = [0.8581359419020508, 0.39097956904372544, 0.6547803736177246]


def test_steps_per_epoch_and_too_few_identities(pid):
    assert len(pid) == 100
    assert IdentitySampler(pid, 5, 4).steps_per_epoch == 5
    assert IdentitySampler(pid, 20, 16).steps_per_epoch == 1
    rounds = IdentitySampler(pid, 3, 4, epoch="identities")
    shown = [pid[rounds(step)] for step in range(rounds.steps_per_epoch)]
    assert len(np.unique(np.concatenate(shown))) == 3 * len(shown)  # nobody is shown twice
    assert len(np.unique(pid)) - 3 < 3 * len(shown)  # and fewer than a batch are left out
    assert IdentitySampler(pid, 22, 4).batches_per_round == 1
    with pytest.raises(ReidError, match="needs 23 identities and the training set has 22"):
        IdentitySampler(pid, 23, 4)
    with pytest.raises(ReidError, match="nothing to train on: the dataset has no rows of split"):
        IdentitySampler(pid[:0], 23, 4)


def test_camera_balanced_takes_cameras_in_turns():
    pid = np.repeat(np.arange(4), 12)
    cam = np.tile([1] * 8 + [2] * 3 + [5], 4)  # most images from one camera
    sampler = IdentitySampler(pid, 2, 3, seed=0, cam=cam)
    plain = IdentitySampler(pid, 2, 3, seed=0)
    spread = []
    for step in range(50):
        index = sampler(step)
        for own in index.reshape(2, 3):
            assert len(set(own)) == 3
            assert sorted(cam[own]) == [1, 2, 5]
        spread.append(len(set(cam[plain(step)[:3]])))
        assert np.array_equal(sampler(step), index)
    assert np.mean(spread) < 2.5  # without balance some cameras are missing
