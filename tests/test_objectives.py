"""Every solver minimizes the objective that it states.

Each objective is written here once more, pair by pair.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np
from hypothesis import given, settings, strategies as st
from scipy.special import ndtr

from mf_movielens.als import als_objective, fit_als
from mf_movielens.baselines import damped_biases
from mf_movielens.bayes import fit_bayes
from mf_movielens.ease import fit_ease
from mf_movielens.encoding import Ratings, Vocabulary
from mf_movielens.ials import fit_ials, ials_objective
from mf_movielens.posterior import log_score

SEEDS = st.integers(0, 10**6)
SIZES = st.integers(2, 25)
REGS = st.floats(1e-3, 3)
DAMPINGS = st.floats(0, 8)
SCALES = st.sampled_from([(1.0, 1.0), (0.0, 0.25), (-500.0, 250.0), (0.0, 1e-6)])


def drawn(seed, n, m, share=0.5, noise=1.0, low=1.0, unit=1.0):
    """Ratings from one latent factor and biases.

    One to five stars, or on a scale that begins at `low` and has steps of `unit`.
    Users and items at the end may have none.
    """
    rng = np.random.default_rng(seed)
    u, i = np.nonzero(rng.random((n, m)) < share)
    if not len(u):
        u, i = np.zeros((2, 1), int)
    x = (
        3
        + rng.normal(0, 0.5, n)[u]
        + rng.normal(0, 0.5, m)[i]
        + 1.5 * rng.normal(0, 1, n)[u] * rng.normal(0, 1, m)[i]
        + rng.normal(0, noise, len(u))
    )
    stars = (low + unit * (np.clip(np.round(x), 1, 5) - 1)).astype('float32')
    return Ratings(
        u.astype('int32'),
        i.astype('int32'),
        stars,
        Vocabulary(range(n), 'user'),
        Vocabulary(range(m)),
        (float(np.float32(low)), float(np.float32(low + 4 * unit))),
    )


def squares(f, r, reg, bias_reg, damping, item_damping, factor_damping):
    "The objective of ALS, rating by rating and row by row."
    P, Q, b, c = (
        x.astype('float64')
        for x in (f.user_factors, f.item_factors, f.user_bias, f.item_bias)
    )
    unit = (r.scale[1] - r.scale[0]) / 4
    total = 0.0
    for u, i, y in zip(r.user_ix, r.item_ix, r.rating.astype('float64')):
        total += (y - f.mu - b[u] - c[i] - P[u] @ Q[i]) ** 2
        total += unit * reg * (P[u] @ P[u] + Q[i] @ Q[i])
        total += bias_reg * (b[u] ** 2 + c[i] ** 2)
    of_items = damping if item_damping is None else item_damping
    total += factor_damping * unit * ((P**2).sum() + (Q**2).sum())
    return total + damping * (b**2).sum() + of_items * (c**2).sum()


def assert_falls(values, slack=1e-4):
    for before, after in pairwise(values):
        assert after <= before * (1 + slack) + 1e-9, values


@settings(max_examples=30, deadline=None)
@given(
    SEEDS,
    SIZES,
    SIZES,
    st.integers(1, 12),
    REGS,
    st.floats(1e-3, 1),
    DAMPINGS,
    st.none() | DAMPINGS,
    DAMPINGS,
    SCALES,
)
def test_no_iteration_of_als_increases_its_objective(
    seed, n, m, k, reg, bias_reg, damping, item_damping, factor_damping, scale
):
    ratings, records = drawn(seed, n, m, low=scale[0], unit=scale[1]), []
    weights = {'reg': reg, 'bias_reg': bias_reg, 'damping': damping}
    weights |= {'item_damping': item_damping, 'factor_damping': factor_damping}
    f = fit_als(
        ratings,
        k,
        n_iterations=6,
        seed=seed,
        on_iteration=records.append,
        progress=False,
        **weights,
    )
    last = squares(f, ratings, **weights)
    square = scale[1] ** 2
    path = [*(record['objective'] for record in records), last]
    assert_falls([value / square for value in path])
    found = als_objective(f, ratings, **weights)
    assert np.isclose(last, found, rtol=1e-3, atol=1e-6 * square)


def squares_of_all_pairs(f, ratings, reg, damping, alpha, item_damping=None):
    "The objective of iALS, with full tables of users and items."
    P, Q = f.user_factors.astype('float64'), f.item_factors.astype('float64')
    target, is_rated = np.zeros((2, len(P), len(Q)))
    target[ratings.user_ix, ratings.item_ix] = (ratings.rating - 1) / 4
    is_rated[ratings.user_ix, ratings.item_ix] = 1
    scores = P @ Q.T
    total = (is_rated * (target - scores) ** 2).sum() + alpha * (scores**2).sum()
    of_items = damping if item_damping is None else item_damping
    for axis, table, of_row in ((1, P, damping), (0, Q, of_items)):
        total += ((reg * is_rated.sum(axis) + of_row) * (table**2).sum(1)).sum()
    return total


@settings(max_examples=30, deadline=None)
@given(SEEDS, SIZES, SIZES, st.integers(1, 12), REGS, DAMPINGS, st.floats(1e-2, 2))
def test_no_iteration_of_ials_increases_its_objective(
    seed, n, m, k, reg, damping, alpha
):
    ratings, records = drawn(seed, n, m), []
    if ratings.rating.max() == 1:
        ratings = replace(ratings, rating=ratings.rating + 1)
    weights = {'reg': reg, 'damping': damping, 'alpha': alpha}
    f = fit_ials(
        ratings,
        k,
        n_iterations=6,
        seed=seed,
        on_iteration=records.append,
        progress=False,
        **weights,
    )
    last = squares_of_all_pairs(f, ratings, **weights)
    assert_falls([*(record['objective'] for record in records), last])
    assert np.isclose(last, ials_objective(f, ratings, **weights), rtol=1e-3, atol=1e-6)
    weights['item_damping'] = 2 * damping + 1
    last = squares_of_all_pairs(f, ratings, **weights)
    assert np.isclose(last, ials_objective(f, ratings, **weights), rtol=1e-3, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(SEEDS, SIZES, SIZES, st.floats(1e-2, 500), st.sampled_from([1e-3, 0.1, 1]))
def test_no_other_weights_do_better_than_those_of_ease(seed, n, m, reg, step):
    ratings, rng = drawn(seed, n, m), np.random.default_rng(seed)
    if ratings.rating.max() == 1:
        ratings = replace(ratings, rating=ratings.rating + 1)
    X = np.zeros((n, m))
    X[ratings.user_ix, ratings.item_ix] = (ratings.rating - 1) / 4
    weights = fit_ease(ratings, reg).weights.astype('float64')

    def total(B):
        return ((X - X @ B) ** 2).sum() + reg * (B**2).sum()

    without = total(np.zeros((m, m)))
    assert not np.diag(weights).any()
    assert total(weights) <= without * (1 + 1e-6)
    for _ in range(10):
        move = rng.normal(0, step, (m, m)) * (1 - np.eye(m))
        assert total(weights + move) > total(weights) - 1e-6 * without


@settings(max_examples=4, deadline=None)
@given(
    SEEDS,
    st.sampled_from(['rating', 'table']),
    st.sampled_from([('identity', 'mse'), ('sigmoid', 'binary_crossentropy')]),
)
def test_the_loss_of_the_network_is_lower_at_the_end(seed, decay, kind):
    from mf_movielens.training import RECIPES, train_net

    ratings = drawn(seed, 20, 15)
    recipe = replace(
        RECIPES['tuned'],
        n_factors=4,
        n_iterations=12,
        batch_size=40,
        reg_per=decay,
        reg=0.05 if decay == 'rating' else 1e-3,
        link=kind[0],
        loss=kind[1],
    )
    losses = train_net(ratings, recipe, seed=seed).history.loss
    assert (
        losses.iloc[-1] < losses.iloc[0]
        and losses.iloc[-3:].mean() < losses.iloc[:3].mean()
    )


def scores_of_biases(ratings):
    """Log scores of damped biases with Gaussian noise, in nats a rating.

    Of the probability of the star, and of the density.
    """
    predicted = damped_biases(ratings).predict(ratings.user_ix, ratings.item_ix)
    predicted = predicted.astype('float64')
    sd = max(np.sqrt(np.mean((ratings.rating - predicted) ** 2)), 1e-3)
    stars = np.unique(ratings.rating).astype('float64')
    middles = (stars[1:] + stars[:-1]) / 2
    cutpoints = np.concatenate([[-np.inf], middles, [np.inf]])
    star = np.searchsorted(stars, ratings.rating)
    above = ndtr((cutpoints[star] - predicted) / sd)
    probability = ndtr((cutpoints[star + 1] - predicted) / sd) - above
    by_star = np.log(np.maximum(probability, 1e-12)).mean()
    return by_star, log_density(0, sd) - 0.5


def log_density(error, sd):
    return -0.5 * (error / sd) ** 2 - np.log(sd) - 0.5 * np.log(2 * np.pi)


def log_score_of_samples(posterior, ratings):
    "Mean log density of the ratings, over the samples."
    densities = []
    for sample in range(len(posterior)):
        mean, sd = posterior.latent_distribution(
            sample, ratings.user_ix, ratings.item_ix
        )
        densities.append(log_density(ratings.rating - mean, sd).mean())
    return np.mean(densities)


@settings(max_examples=8, deadline=None)
@given(SEEDS, st.sampled_from(['probit', 'normal']), st.booleans())
def test_sampling_makes_the_ratings_more_probable(seed, likelihood, user_noise):
    ratings = drawn(seed, 30, 25, noise=0.3)
    settings = {
        'n_factors': 3,
        'likelihood': likelihood,
        'user_noise': user_noise,
        'seed': seed,
        'progress': False,
    }
    posterior = fit_bayes(ratings, n_burn_in=30, n_samples=30, **settings)
    first = fit_bayes(ratings, n_burn_in=0, n_samples=1, **settings)
    by_star, density = scores_of_biases(ratings)
    if likelihood == 'probit':
        share = np.unique(ratings.rating, return_counts=True)[1] / len(ratings)
        of_shares = (share * np.log(share)).sum()
        worse = of_shares, by_star, log_score(first, ratings)
        assert log_score(posterior, ratings) > max(worse)
    else:
        of_mean = log_density(0, ratings.rating.std(dtype='float64')) - 0.5
        worse = of_mean, density, log_score_of_samples(first, ratings)
        assert log_score_of_samples(posterior, ratings) > max(worse)


@settings(max_examples=30, deadline=None)
@given(SEEDS, SIZES, SIZES, DAMPINGS, DAMPINGS)
def test_no_other_biases_do_better_than_damped_ones(
    seed, n, m, user_damping, item_damping
):
    ratings, rng = drawn(seed, n, m), np.random.default_rng(seed)
    user_damping, item_damping = user_damping + 0.1, item_damping + 0.1
    f = damped_biases(ratings, user_damping, item_damping, n_iterations=2000)
    b, c = f.user_bias.astype('float64'), f.item_bias.astype('float64')

    def total(b, c):
        error = ratings.rating - f.mu - b[ratings.user_ix] - c[ratings.item_ix]
        dampings = user_damping * (b**2).sum() + item_damping * (c**2).sum()
        return (error**2).sum() + dampings

    for _ in range(10):
        moved = b + rng.normal(0, 0.05, n), c + rng.normal(0, 0.05, m)
        assert total(*moved) > total(b, c) - 1e-4
