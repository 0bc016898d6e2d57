"Alternating least squares: properties for any ratings, and fits that are killed."

import subprocess, sys

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from mf_movielens.als import (
    _exactly,
    _halves,
    _beginning,
    _five,
    fit_als,
    fit_users,
    objective,
)
from mf_movielens.encoding import Ratings, Vocabulary


def drawn(seed, n_users=30, n_items=20, share=0.3):
    rng = np.random.default_rng(seed)
    u, i = np.nonzero(rng.random((n_users, n_items)) < share)
    order = rng.permutation(len(u))
    u, i = u[order].astype('int32'), i[order].astype('int32')
    return Ratings(
        u,
        i,
        rng.integers(1, 6, len(u)).astype('float32'),
        Vocabulary(range(n_users), 'user'),
        Vocabulary(range(n_items)),
        (1, 5),
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.floats(1e-3, 2), st.floats(0, 5))
def test_no_exact_half_makes_the_objective_larger(seed, k, reg, damping):
    ratings, last = drawn(seed), np.inf
    P, Q = _beginning(ratings, k, seed, None)
    with _halves(ratings, P, Q, reg, 0.02, damping, 2) as halves:
        for half in halves * 4:
            half(_exactly)
            now = objective(
                _five(ratings.rating.mean(dtype='float64'), P, Q, ratings.scale),
                ratings,
                reg,
                0.02,
                damping,
            )
            assert now <= last * (1 + 1e-4)
            last = now


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_the_order_of_ratings_does_not_matter(seed):
    ratings = drawn(seed)
    other = ratings.take(np.random.default_rng(seed + 1).permutation(len(ratings)))
    one, two = (fit_als(r, 4, n_iterations=3) for r in (ratings, other))
    assert np.allclose(
        one.predict(ratings.user_ix, ratings.item_ix),
        two.predict(ratings.user_ix, ratings.item_ix),
        atol=1e-3,
    )


@pytest.mark.parametrize(
    'ratings, k',
    [
        (drawn(0, 1, 1, 2), 3),
        (drawn(0, 1, 20, 2), 3),
        (drawn(0, 20, 1, 2), 3),
        (drawn(1, 5, 4, 0.5), 200),
    ],
)
def test_small_and_odd_shapes_are_finite(ratings, k):
    f = fit_als(ratings, k, reg=1e-6, damping=0)
    assert np.isfinite(f.predict(ratings.user_ix, ratings.item_ix)).all()


def test_rows_without_ratings_are_zero():
    ratings = drawn(3)
    part = ratings.take((ratings.user_ix != 4) & (ratings.item_ix != 7))
    f = fit_als(part, 4)
    assert (
        not f.user_factors[4].any()
        and not f.item_factors[7].any()
        and f.user_bias[4] == f.item_bias[7] == 0
    )


def test_a_users_row_does_not_depend_on_the_others():
    ratings = drawn(5)
    f = fit_als(ratings, 4)
    all_b, all_p = fit_users(
        f, ratings.user_ix, ratings.item_ix, ratings.rating, 30, 0.08, 0.02, 4
    )
    for user in range(30):
        mine = ratings.user_ix == user
        b, p = fit_users(
            f,
            np.zeros(mine.sum(), 'int32'),
            ratings.item_ix[mine],
            ratings.rating[mine],
            1,
            0.08,
            0.02,
            4,
        )
        assert np.allclose(p[0], all_p[user], atol=1e-5) and np.allclose(
            b[0], all_b[user], atol=1e-5
        )


CHILD = """
import sys, time
from mf_movielens.data import synthetic
from mf_movielens.encoding import Ratings
from mf_movielens.als import fit_als
checkpoint, out = sys.argv[1:]
f = fit_als(Ratings.from_frame(synthetic().ratings.head(20_000)), 8, n_iterations=12, checkpoint=None if checkpoint == '-' else checkpoint,
            on_iteration=lambda record: time.sleep(.1))
f.save(out)
"""


def start(*words):
    return subprocess.Popen([sys.executable, '-c', CHILD, *map(str, words)])


def test_killed_and_resumed_is_as_if_nothing_had_happened(tmp_path, kill_and_resume):
    checkpoint, out, whole = (
        tmp_path / 'fit.npz',
        tmp_path / 'resumed.npz',
        tmp_path / 'whole.npz',
    )
    kill_and_resume(start, checkpoint, out)
    assert (
        start('-', whole).wait(120) == 0
    )  # another process, undisturbed: the same numbers to the last bit
    with np.load(out) as a, np.load(whole) as b:
        assert all((a[k] == b[k]).all() for k in a.files)
