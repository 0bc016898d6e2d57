"Every solver makes small what it says it makes small; each sum is written here once more, pair by pair."

from dataclasses import replace

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

SEEDS, SIZES, REGS, DAMPINGS = (
    st.integers(0, 10**6),
    st.integers(2, 25),
    st.floats(1e-3, 3),
    st.floats(0, 8),
)


def drawn(seed, n, m, share=0.5, noise=1.0, low=1.0, unit=1.0):
    "Ratings of one to five stars, or on a scale of another beginning and unit, with a little taste in them; the last user and item may have none."
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


def squares(f, r, reg, bias_reg, damping):
    "The sum of ALS, rating by rating and row by row."
    P, Q, b, c = (
        x.astype('float64')
        for x in (f.user_factors, f.item_factors, f.user_bias, f.item_bias)
    )
    unit, total = (r.scale[1] - r.scale[0]) / 4, 0.0
    for u, i, y in zip(r.user_ix, r.item_ix, r.rating.astype('float64')):
        total += (
            (y - f.mu - b[u] - c[i] - P[u] @ Q[i]) ** 2
            + unit * reg * (P[u] @ P[u] + Q[i] @ Q[i])
            + bias_reg * (b[u] ** 2 + c[i] ** 2)
        )
    return total + damping * (
        unit * ((P**2).sum() + (Q**2).sum()) + (b**2).sum() + (c**2).sum()
    )


def falls(values, slack=1e-4):
    assert all(b <= a * (1 + slack) + 1e-9 for a, b in zip(values, values[1:])), values


@settings(max_examples=30, deadline=None)
@given(
    SEEDS,
    SIZES,
    SIZES,
    st.integers(1, 12),
    REGS,
    st.floats(1e-3, 1),
    DAMPINGS,
    st.sampled_from([(1.0, 1.0), (0.0, 0.25), (-500.0, 250.0), (0.0, 1e-6)]),
)
def test_no_round_of_als_makes_its_sum_larger(
    seed, n, m, k, reg, bias_reg, damping, scale
):
    ratings, noted = drawn(seed, n, m, low=scale[0], unit=scale[1]), []
    f = fit_als(
        ratings,
        k,
        reg,
        bias_reg,
        damping,
        n_iterations=6,
        seed=seed,
        on_iteration=noted.append,
        progress=False,
    )
    unit, last = scale[1] ** 2, squares(f, ratings, reg, bias_reg, damping)
    falls([x / unit for x in (*(r['objective'] for r in noted), last)])
    assert np.isclose(
        last,
        als_objective(f, ratings, reg, bias_reg, damping),
        rtol=1e-3,
        atol=1e-6 * unit,
    )


@settings(max_examples=30, deadline=None)
@given(SEEDS, SIZES, SIZES, st.integers(1, 12), REGS, DAMPINGS, st.floats(1e-2, 2))
def test_no_round_of_ials_makes_its_sum_larger(seed, n, m, k, reg, damping, alpha):
    ratings, noted = drawn(seed, n, m), []
    if ratings.rating.max() == 1:
        ratings = replace(ratings, rating=ratings.rating + 1)
    f = fit_ials(
        ratings,
        k,
        reg,
        damping,
        alpha,
        n_iterations=6,
        seed=seed,
        on_iteration=noted.append,
        progress=False,
    )
    X, y, rated = (
        f.user_factors.astype('float64') @ f.item_factors.T.astype('float64'),
        np.zeros((n, m)),
        np.zeros((n, m)),
    )
    y[ratings.user_ix, ratings.item_ix], rated[ratings.user_ix, ratings.item_ix] = (
        (ratings.rating - 1) / 4,
        1,
    )
    last = (
        (rated * (y - X) ** 2).sum()
        + alpha * (X**2).sum()
        + sum(
            ((reg * rated.sum(a) + damping) * (T.astype('float64') ** 2).sum(1)).sum()
            for a, T in ((1, f.user_factors), (0, f.item_factors))
        )
    )
    falls([*(r['objective'] for r in noted), last])
    assert np.isclose(
        last, ials_objective(f, ratings, reg, damping, alpha), rtol=1e-3, atol=1e-6
    )


@settings(max_examples=30, deadline=None)
@given(SEEDS, SIZES, SIZES, st.floats(1e-2, 500), st.sampled_from([1e-3, 0.1, 1]))
def test_no_other_weights_do_better_than_those_of_ease(seed, n, m, reg, step):
    ratings, rng = drawn(seed, n, m), np.random.default_rng(seed)
    if ratings.rating.max() == 1:
        ratings = replace(ratings, rating=ratings.rating + 1)
    X, B = np.zeros((n, m)), fit_ease(ratings, reg).item_factors.T.astype('float64')
    X[ratings.user_ix, ratings.item_ix] = (ratings.rating - 1) / 4
    total = lambda B: ((X - X @ B) ** 2).sum() + reg * (B**2).sum()
    assert not np.diag(B).any() and total(B) <= total(0 * B) * (1 + 1e-6)
    for _ in range(10):
        move = rng.normal(0, step, (m, m)) * (1 - np.eye(m))
        assert total(B + move) > total(B) - 1e-6 * total(0 * B)


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


def by_biases(ratings):
    "What damped biases with Gaussian noise give the ratings, in nats each: the probability of the star, and the density."
    said = (
        damped_biases(ratings)
        .predict(ratings.user_ix, ratings.item_ix)
        .astype('float64')
    )
    stars, sd = (
        np.unique(ratings.rating).astype('float64'),
        max(np.sqrt(np.mean((ratings.rating - said) ** 2)), 1e-3),
    )
    cuts, at = (
        np.concatenate([[-np.inf], (stars[1:] + stars[:-1]) / 2, [np.inf]]),
        np.searchsorted(stars, ratings.rating),
    )
    share = ndtr((cuts[at + 1] - said) / sd) - ndtr((cuts[at] - said) / sd)
    return np.log(np.maximum(share, 1e-12)).mean(), -0.5 * np.log(
        2 * np.pi * sd**2
    ) - 0.5


@settings(max_examples=8, deadline=None)
@given(SEEDS, st.sampled_from(['probit', 'normal']), st.booleans())
def test_sampling_makes_the_ratings_more_probable(seed, likelihood, user_noise):
    ratings = drawn(seed, 30, 25, noise=0.3)
    post = fit_bayes(
        ratings,
        n_factors=3,
        n_burn_in=30,
        n_samples=30,
        likelihood=likelihood,
        user_noise=user_noise,
        seed=seed,
        progress=False,
    )
    first = fit_bayes(
        ratings,
        n_factors=3,
        n_burn_in=0,
        n_samples=1,
        likelihood=likelihood,
        user_noise=user_noise,
        seed=seed,
        progress=False,
    )
    share = np.unique(ratings.rating, return_counts=True)[1] / len(ratings)
    stars, density = by_biases(ratings)
    if likelihood == 'probit':
        assert log_score(post, ratings) > max(
            (share * np.log(share)).sum(), stars, log_score(first, ratings)
        )
    else:
        of = lambda p: np.mean(
            [
                np.mean(
                    -0.5 * ((ratings.rating - f) / sd) ** 2
                    - np.log(sd)
                    - 0.5 * np.log(2 * np.pi)
                )
                for f, sd in (
                    p.latent_distribution(s, ratings.user_ix, ratings.item_ix)
                    for s in range(len(p))
                )
            ]
        )
        assert of(post) > max(
            -0.5 * np.log(2 * np.pi * ratings.rating.var(dtype='float64')) - 0.5,
            density,
            of(first),
        )


@settings(max_examples=30, deadline=None)
@given(SEEDS, SIZES, SIZES, DAMPINGS, DAMPINGS)
def test_no_other_biases_do_better_than_damped_ones(
    seed, n, m, user_damping, item_damping
):
    ratings, rng = drawn(seed, n, m), np.random.default_rng(seed)
    f = damped_biases(
        ratings, user_damping + 0.1, item_damping + 0.1, n_iterations=2000
    )
    b, c = f.user_bias.astype('float64'), f.item_bias.astype('float64')
    total = lambda b, c: (
        ((ratings.rating - f.mu - b[ratings.user_ix] - c[ratings.item_ix]) ** 2).sum()
        + (user_damping + 0.1) * (b**2).sum()
        + (item_damping + 0.1) * (c**2).sum()
    )
    for _ in range(10):
        assert (
            total(b + rng.normal(0, 0.05, n), c + rng.normal(0, 0.05, m))
            > total(b, c) - 1e-4
        )
