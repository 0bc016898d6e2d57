"Alternating least squares: properties for any ratings, and fits that are killed."

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from mf_movielens.als import als_objective, fit_als
from mf_movielens.encoding import Ratings, Vocabulary, build_csr
from mf_movielens.factors import Factors
from mf_movielens.least_squares import Regularization, half_steps


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
    mean = ratings.rating.mean(dtype='float64').astype('float32')
    regularization = Regularization(reg, damping, bias_reg=0.02)
    P = np.zeros((len(ratings.users), k + 1), 'float32')
    Q = np.random.default_rng(seed).normal(0, 0.1, (len(ratings.items), k + 1))
    Q = Q.astype('float32')
    Q[np.bincount(ratings.item_ix, minlength=len(Q)) == 0] = 0
    targets = ratings.rating - mean
    with half_steps(P, Q, ratings, targets, regularization, 2) as steps:
        for half in (steps.refit_users, steps.refit_items) * 4:
            half(n_steps=None)
            factors = Factors(mean, P[:, -1], Q[:, -1], P[:, :-1], Q[:, :-1], (1, 5))
            now = als_objective(factors, ratings, reg, 0.02, damping)
            assert now <= last * (1 + 1e-4)
            last = now


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_the_order_of_ratings_does_not_matter(seed):
    ratings = drawn(seed)
    shuffled = ratings.take(np.random.default_rng(seed + 1).permutation(len(ratings)))
    predictions = [
        fit_als(r, 4, n_iterations=3).predict(ratings.user_ix, ratings.item_ix)
        for r in (ratings, shuffled)
    ]
    assert np.allclose(*predictions, atol=1e-3)


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
    assert not f.user_factors[4].any()
    assert not f.item_factors[7].any()
    assert f.user_bias[4] == f.item_bias[7] == 0


def test_a_users_row_does_not_depend_on_the_others():
    ratings = drawn(5)
    f = fit_als(ratings, 4)
    together = f.fold_in(ratings.to_csr())
    # The last step of the fit solves the users exactly.
    assert np.allclose(together.user_factors, f.user_factors, atol=1e-5)
    assert np.allclose(together.user_bias, f.user_bias, atol=1e-5)
    for user in range(30):
        alone = f.fold_in(ratings.to_csr()[[user]])
        assert alone.shape == (1, 20)
        assert np.allclose(
            alone.user_factors[0], together.user_factors[user], atol=1e-5
        )
        assert np.allclose(alone.user_bias[0], together.user_bias[user], atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from([(1.0, 5.0), (0.0, 1.0), (-500.0, 500.0)]),
    st.floats(1e-3, 2),
    st.floats(1e-3, 2),
    st.floats(0, 5),
)
def test_a_new_user_gets_the_row_that_minimizes_the_objective(
    seed, scale, reg, bias_reg, damping
):
    "Written once more as one regression with weights that are each in plain sight."
    rng = np.random.default_rng(seed)
    low, high = scale
    k, n = 3, 8
    item_bias = rng.normal(0, 0.1 * (high - low), n)
    Q = rng.normal(0, (high - low) ** 0.5, (n, k))
    mean = (low + high) / 2
    weights = Regularization(reg, damping, bias_reg, item_damping=9)
    f = Factors(
        mean,
        np.zeros(0),
        item_bias,
        np.zeros((0, k)),
        Q,
        scale,
        regularization=weights,
    )
    items = rng.permutation(n)[:5].astype('int32')
    rating = rng.uniform(low, high, 5).astype('float32')
    new = f.fold_in(build_csr(np.zeros(5, 'int32'), items, rating, (1, n)))
    X = np.column_stack([Q[items], np.ones(5)])
    unit = (high - low) / 4
    of_row = 5 * np.array([unit * reg] * k + [bias_reg]) + damping * np.array(
        [unit] * k + [1]
    )
    y = rating - mean - item_bias[items]
    exact = np.linalg.solve(X.T @ X + np.diag(of_row), X.T @ y)
    size = np.abs(exact).max()
    assert np.allclose(new.user_factors[0], exact[:k], atol=1e-3 * size)
    assert np.allclose(new.user_bias[0], exact[k], atol=1e-3 * size)


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others():
    ratings = drawn(6)
    first, again, other = (fit_als(ratings, 3, seed=seed) for seed in (1, 1, 2))
    assert (first.user_factors == again.user_factors).all()
    assert (first.item_factors == again.item_factors).all()
    assert (first.user_factors != other.user_factors).any()
    assert (first.item_factors != other.item_factors).any()


CHILD = """
import sys, time
from mf_movielens.data import synthetic
from mf_movielens.encoding import Ratings
from mf_movielens.als import fit_als
checkpoint, out = sys.argv[1:]
f = fit_als(
    Ratings.from_frame(synthetic().ratings.head(20_000)),
    8,
    n_iterations=12,
    checkpoint=None if checkpoint == '-' else checkpoint,
    on_iteration=lambda record: time.sleep(.1),
)
f.save(out)
"""


def start(*words):
    return subprocess.Popen([sys.executable, '-c', CHILD, *map(str, words)])


def test_killed_and_resumed_is_as_if_nothing_had_happened(tmp_path, kill_and_resume):
    checkpoint = tmp_path / 'fit.npz'
    resumed = tmp_path / 'resumed.npz'
    whole = tmp_path / 'whole.npz'
    kill_and_resume(start, checkpoint, resumed)
    # Another process, undisturbed: the same numbers to the last bit.
    assert start('-', whole).wait(120) == 0
    with np.load(resumed) as a, np.load(whole) as b:
        assert all((a[name] == b[name]).all() for name in a.files)
