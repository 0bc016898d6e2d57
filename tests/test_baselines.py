"Variance components: planted ones, the equations that they satisfy, and odd tables."

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from mf_movielens.baselines import damped_biases, variance_components
from mf_movielens.encoding import Ratings, Vocabulary


def ratings_of(user_ix, item_ix, rating, n_users=None, n_items=None):
    n_users = n_users or int(max(user_ix)) + 1
    n_items = n_items or int(max(item_ix)) + 1
    rating = np.asarray(rating, 'float32')
    return Ratings(
        np.asarray(user_ix, 'int32'),
        np.asarray(item_ix, 'int32'),
        rating,
        Vocabulary(range(n_users), 'user'),
        Vocabulary(range(n_items)),
        (float(rating.min()), float(rating.max())),
    )


def planted(seed, noise, user, item, n_users=600, n_items=400, n=20_000):
    "Ratings whose biases and noise have these variances."
    rng = np.random.default_rng(seed)
    cells = rng.choice(n_users * n_items, n, replace=False)
    user_ix, item_ix = np.divmod(cells, n_items)
    rating = rng.normal(3, noise**0.5, n)
    rating += rng.normal(0, user**0.5, n_users)[user_ix]
    rating += rng.normal(0, item**0.5, n_items)[item_ix]
    return ratings_of(user_ix, item_ix, rating, n_users, n_items)


@pytest.mark.parametrize(
    'variances', [(1, 0.2, 0.4), (1, 2, 0.1), (0.1, 1, 1), (400, 90, 30)]
)
@pytest.mark.parametrize('seed', range(3))
def test_planted_variances_are_found(variances, seed):
    found = variance_components(planted(seed, *variances))
    assert np.allclose(astuple(found), variances, rtol=0.2)
    noise, user, item = variances
    assert np.allclose(found.dampings, (noise / user, noise / item), rtol=0.2)


def test_planted_variances_are_found_in_few_ratings():
    # Mean field leaves out a part of the uncertainty: biases come out a bit small.
    found = [
        astuple(variance_components(planted(seed, 1, 0.3, 0.3, 3000, 3000, 12_000)))
        for seed in range(5)
    ]
    assert np.allclose(np.mean(found, 0), (1, 0.3, 0.3), rtol=0.15)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 12), st.integers(2, 12))
def test_they_satisfy_the_equations_of_mean_field(seed, n_users, n_items):
    "Written once more with full tables, a row and a cell at a time."
    rng = np.random.default_rng(seed)
    known = rng.random((n_users, n_items)) < 0.6
    known[0, :2] = True
    table = rng.normal(size=(n_users, 1)) + rng.normal(size=n_items)
    table += rng.normal(size=known.shape)
    ratings = ratings_of(*np.nonzero(known), table[known], n_users, n_items)
    found = variance_components(ratings, n_iterations=10**5)
    by_user, by_item = found.dampings
    model = damped_biases(ratings, by_user, by_item, n_iterations=10**4)
    y = np.zeros_like(table)
    y[known] = ratings.rating
    total = ((y[known] - y[known].mean()) ** 2).mean()
    error = (y - model.mu - model.user_bias[:, None] - model.item_bias)[known]
    in_cells = np.zeros_like(table)
    for axis, bias, damping, variance in (
        (1, model.user_bias, by_user, found.user),
        (0, model.item_bias, by_item, found.item),
    ):
        n = known.sum(axis)
        spread = found.noise / (n + damping)
        in_cells += spread[:, None] if axis else spread
        squares = (bias**2 + spread)[n > 0]
        expected = (squares.sum() + total / 3) / (len(squares) + 1)
        assert np.isclose(variance, expected, rtol=0.02)
    expected = (error**2 + in_cells[known]).sum() + total / 3
    assert np.isclose(found.noise, expected / (known.sum() + 1), rtol=0.02)


@pytest.mark.parametrize('unit', [1e-12, 0.25, 20.0, 1e12])
def test_dampings_have_no_unit(unit):
    ratings = planted(1, 1, 0.2, 0.4)
    rating = ratings.rating * np.float32(unit)
    scaled = ratings_of(ratings.user_ix, ratings.item_ix, rating, 600, 400)
    expected = variance_components(ratings).dampings
    assert np.allclose(variance_components(scaled).dampings, expected, rtol=1e-3)


def test_users_and_items_change_places():
    ratings = planted(2, 1, 0.1, 0.5)
    turned = ratings_of(ratings.item_ix, ratings.user_ix, ratings.rating, 400, 600)
    dampings = variance_components(ratings).dampings
    assert np.allclose(variance_components(turned).dampings[::-1], dampings, rtol=1e-2)
    assert dampings[0] > 3 * dampings[1]


ODD = {
    'one rating': ([0], [0], [3]),
    'all equal': ([0, 0, 1], [0, 1, 1], [4, 4, 4]),
    'one user': ([0, 0, 0], [0, 1, 2], [1, 3, 5]),
    'one item': ([0, 1, 2], [0, 0, 0], [1, 3, 5]),
    'two ratings': ([0, 1], [0, 1], [1, 5]),
    'users without ratings': ([0, 5, 5], [2, 2, 7], [1, 5, 4]),
    'tiny differences': ([0, 0, 1], [0, 1, 1], [1, 1, 1.0000001]),
}


@pytest.mark.parametrize('name', ODD)
def test_odd_tables_have_finite_dampings(name):
    ratings = ratings_of(*ODD[name])
    dampings = np.array(variance_components(ratings).dampings)
    assert (dampings > 0).all()
    assert (dampings <= 1e6).all()
    model = damped_biases(ratings)
    assert np.isfinite(model.scores(np.arange(len(ratings.users)))).all()


def test_without_noise_there_is_next_to_no_damping():
    user, item = np.random.default_rng(0).normal(size=(2, 40))
    user_ix, item_ix = (ix.ravel() for ix in np.indices((40, 40)))
    ratings = ratings_of(user_ix, item_ix, user[user_ix] + item[item_ix])
    assert max(variance_components(ratings).dampings) < 0.01
    predicted = damped_biases(ratings).predict(user_ix, item_ix)
    assert np.abs(predicted - ratings.rating).max() < 0.01


def test_biases_that_do_not_exist_are_damped_away():
    ratings = planted(0, 1, 0.3, 0)
    by_user, by_item = variance_components(ratings).dampings
    assert by_user < 4 < 50 < by_item
    assert np.abs(damped_biases(ratings).item_bias).max() < 0.25


def test_the_dampings_of_biases_are_those_of_the_components():
    ratings = planted(3, 1, 0.2, 0.4)
    by_user, by_item = variance_components(ratings).dampings
    model = damped_biases(ratings)
    for dampings in (
        {'user_damping': by_user, 'item_damping': by_item},
        {'user_damping': by_user},
        {'item_damping': by_item},
    ):
        same = damped_biases(ratings, **dampings)
        assert (same.user_bias == model.user_bias).all()
        assert (same.item_bias == model.item_bias).all()
    other = damped_biases(ratings, user_damping=2 * by_user)
    assert (other.user_bias != model.user_bias).any()
