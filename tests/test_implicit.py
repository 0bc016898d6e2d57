"Factors that rank: what must not change them, and what they must find."

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from mf_movielens.encoding import Ratings, Vocabulary
from mf_movielens.implicit import (
    fit_ease,
    fit_ials,
    fit_ials_users,
    ials_objective,
    targets,
)
from mf_movielens.ranking import rank_items, ranking_metrics


def planted(seed=0, n=120, m=60, kinds=3, stars=True):
    "People of a few kinds, who mostly pick up things of their own kind, and like those."
    rng = np.random.default_rng(seed)
    mine = rng.integers(0, kinds, n)[:, None] == np.arange(m) % kinds
    u, i = np.nonzero(rng.random((n, m)) < np.where(mine, 0.5, 0.05))
    rating = (
        np.where(mine[u, i], rng.integers(4, 6, len(u)), rng.integers(1, 4, len(u)))
        if stars
        else np.ones(len(u))
    )
    return Ratings(
        u.astype('int32'),
        i.astype('int32'),
        rating.astype('float32'),
        Vocabulary(range(n), 'user'),
        Vocabulary(range(m)),
        (1.0, 5.0) if stars else (1.0, 1.0),
    ), mine


@pytest.mark.parametrize('fit', [lambda r: fit_ials(r, 8), fit_ease])
@pytest.mark.parametrize('stars', [True, False])
def test_planted_kinds_are_found(fit, stars):
    ratings, mine = planted(stars=stars)
    lists = rank_items(fit(ratings).scores, range(len(mine)), ratings, 5)
    assert np.take_along_axis(mine, lists, 1).mean() > 0.95


def test_no_other_rows_do_better():
    "The objective rises whichever way the rows of the users are moved."
    ratings, _ = planted()
    f, rng = fit_ials(ratings, 6, n_iterations=3), np.random.default_rng(0)
    least = ials_objective(f, ratings, 0.02, 4, 0.4)
    for _ in range(20):
        moved = replace(
            f,
            user_factors=f.user_factors
            + rng.normal(0, 0.02, f.user_factors.shape).astype('float32'),
        )
        assert ials_objective(moved, ratings, 0.02, 4, 0.4) > least


def test_the_objective_is_that_of_all_pairs():
    ratings, _ = planted(n=30, m=20)
    f = fit_ials(ratings, 3)
    x, y, rated = (
        f.user_factors @ f.item_factors.T,
        np.zeros((30, 20)),
        np.zeros((30, 20)),
    )
    y[ratings.user_ix, ratings.item_ix], rated[ratings.user_ix, ratings.item_ix] = (
        targets(ratings.rating, ratings.scale),
        1,
    )
    penalty = sum(
        ((0.05 * rated.sum(axis) + 3) * (table**2).sum(1)).sum()
        for axis, table in ((1, f.user_factors), (0, f.item_factors))
    )
    assert np.isclose(
        ials_objective(f, ratings, 0.05, 3, 0.2),
        (rated * (x - y) ** 2).sum() + 0.2 * (x**2).sum() + penalty,
        rtol=1e-5,
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_the_ratings_changes_nothing(seed):
    ratings, _ = planted()
    order = np.random.default_rng(seed).permutation(len(ratings))
    a, b = fit_ials(ratings, 4), fit_ials(ratings.take(order), 4)
    assert np.allclose(a.scores(range(120)), b.scores(range(120)), atol=1e-3)
    assert np.allclose(
        fit_ease(ratings).scores(range(120)),
        fit_ease(ratings.take(order)).scores(range(120)),
        atol=1e-4,
    )


def test_same_seed_same_numbers_and_threads_do_not_matter():
    ratings, _ = planted()
    a, b, c = (
        fit_ials(ratings, 4, n_threads=1),
        fit_ials(ratings, 4, n_threads=3),
        fit_ials(ratings, 4, seed=1),
    )
    assert (
        (a.user_factors == b.user_factors).all()
        and (a.item_factors == b.item_factors).all()
        and (a.item_factors != c.item_factors).any()
    )


def test_a_newcomer_gets_the_row_of_one_with_the_same_ratings():
    ratings, _ = planted()
    f, mine = fit_ials(ratings, 8), ratings.user_ix == 5
    bias, row = fit_ials_users(
        f,
        np.zeros(mine.sum(), int),
        ratings.item_ix[mine],
        ratings.rating[mine],
        1,
        reg=0.02,
        damping=4,
        alpha=0.4,
    )
    assert np.allclose(row[0], f.user_factors[5], atol=1e-5) and not bias.any()
    with pytest.raises(IndexError):
        fit_ials_users(f, [0], [60], [5], 1, 0.02, 4, 0.4)


def test_users_and_items_without_ratings_are_no_noise():
    ratings, _ = planted()
    kept = ratings.take((ratings.user_ix != 3) & (ratings.item_ix != 7))
    for f in (fit_ials(kept, 8), fit_ease(kept)):
        assert (
            not f.user_factors[3].any()
            and not f.item_factors[7].any()
            and f.item_bias[7] == 0
        )
        assert (
            rank_items(f.scores, [3], kept, 1)[0, 0]
            == np.bincount(kept.item_ix).argmax()
        )  # what most have picked up


def test_what_cannot_be_fitted_is_said():
    ratings, _ = planted()
    worst = replace(ratings, rating=np.ones(len(ratings), 'float32'))
    disliked = ratings.take(ratings.rating < 4)
    for call, words in (
        (lambda: fit_ials(worst), 'nothing is known to be liked'),
        (lambda: fit_ease(worst), 'nothing is known to be liked'),
        (lambda: fit_ials(ratings, valid=disliked, patience=2), 'is liked'),
        (lambda: fit_ials(ratings, alpha=0), 'alpha=0'),
        (lambda: targets([1], (1, 5), 'log'), 'log'),
    ):
        with pytest.raises(ValueError, match=words):
            call()


def test_patience_keeps_the_best_round():
    ratings, _ = planted()
    train, valid = (
        ratings.take(np.arange(len(ratings)) % 5 > 0),
        ratings.take(np.arange(len(ratings)) % 5 == 0),
    )
    noted = []
    f = fit_ials(
        train, 8, n_iterations=30, valid=valid, patience=3, on_iteration=noted.append
    )
    best = int(np.argmax([r['val_ndcg'] for r in noted]))
    assert len(noted) == best + 4
    assert np.allclose(
        f.item_factors,
        fit_ials(train, 8, n_iterations=best + 1).item_factors,
        atol=1e-6,
    )
    users = np.unique(valid.user_ix)
    final = ranking_metrics(
        rank_items(f.scores, users, train), users, valid
    ).ndcg.mean()  # its users are refitted to the films at the end
    assert abs(final - noted[best]['val_ndcg']) < 0.03
