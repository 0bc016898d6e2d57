"""EASE beside its definition."""

from __future__ import annotations

import numpy as np
import pytest

from mf_movielens.ease import fit_ease
from mf_movielens.encoding import Ratings, Vocabulary


def drawn(n_users, n_items, share, seed=0):
    """Random stars, and their targets as a dense table."""
    rng = np.random.default_rng(seed)
    user_ix, item_ix = np.nonzero(rng.random((n_users, n_items)) < share)
    order = rng.permutation(len(user_ix))
    user_ix, item_ix = (x[order].astype('int32') for x in (user_ix, item_ix))
    stars = rng.integers(1, 6, len(order)).astype('float32')
    users, items = Vocabulary(range(n_users), 'user'), Vocabulary(range(n_items))
    targets = np.zeros((n_users, n_items))
    targets[user_ix, item_ix] = (stars - 1) / 4
    return Ratings(user_ix, item_ix, stars, users, items, (1, 5)), targets


@pytest.mark.parametrize('reg', [0.1, 200.0])
@pytest.mark.parametrize('n_users, n_items', [(40, 90), (300, 70), (5, 1)])
def test_weights_are_those_of_the_inverse(n_users, n_items, reg):
    ratings, targets = drawn(n_users, n_items, 0.3)
    inverse = np.linalg.inv(targets.T @ targets + reg * np.eye(n_items))
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0)
    factors = fit_ease(ratings, reg)
    assert factors.item_factors.dtype == 'float32'
    assert np.allclose(factors.item_factors.T, expected, atol=1e-6)
    assert (factors.user_factors == targets).all()


def test_what_nobody_chose_has_no_weights():
    ratings, _ = drawn(30, 12, 0.4)
    ratings = ratings.take(ratings.item_ix != 7)
    weights = fit_ease(ratings, 1.0).item_factors
    assert not weights[7].any() and not weights[:, 7].any()
    assert weights[6].any()
