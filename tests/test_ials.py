"Factors that rank: what must not change them, and what they must find."

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from mf_movielens.als import fit_als
from mf_movielens.baselines import popularity
from mf_movielens.ease import fit_ease
from mf_movielens.encoding import Ratings, Vocabulary
from mf_movielens.factors import Factors
from mf_movielens.ials import (
    _n_factors_by_size as n_factors_by_size,
    fit_ials,
    ials_objective,
    ials_settings,
)
from mf_movielens.item_knn import fit_item_knn
from mf_movielens.least_squares import Regularization
from mf_movielens.ranking import rank_items, ranking_metrics
from mf_movielens.similarity import item_similarities
from mf_movielens.splits import random_split


def planted(seed=0, n=120, m=60, n_kinds=3, stars=True):
    "Users of a few kinds, who mostly choose items of their own kind, and like those."
    rng = np.random.default_rng(seed)
    same_kind = rng.integers(0, n_kinds, n)[:, None] == np.arange(m) % n_kinds
    u, i = np.nonzero(rng.random((n, m)) < np.where(same_kind, 0.5, 0.05))
    rating = np.ones(len(u))
    if stars:
        liked, other = rng.integers(4, 6, len(u)), rng.integers(1, 4, len(u))
        rating = np.where(same_kind[u, i], liked, other)
    ratings = Ratings(
        u.astype('int32'),
        i.astype('int32'),
        rating.astype('float32'),
        Vocabulary(range(n), 'user'),
        Vocabulary(range(m)),
        (1.0, 5.0) if stars else (1.0, 1.0),
    )
    return ratings, same_kind


@pytest.mark.parametrize('fit', [lambda r: fit_ials(r, 8), fit_ease, fit_item_knn])
@pytest.mark.parametrize('stars', [True, False])
def test_planted_kinds_are_found(fit, stars):
    ratings, same_kind = planted(stars=stars)
    users = range(len(same_kind))
    recommended = rank_items(fit(ratings).scores, users, ratings, 5)
    assert np.take_along_axis(same_kind, recommended, 1).mean() > 0.95


def test_no_other_rows_do_better():
    "The objective rises whichever way the rows of the users are moved."
    ratings, _ = planted()
    f, rng = fit_ials(ratings, 6, n_iterations=3), np.random.default_rng(0)
    weights = f.regularization.reg, f.regularization.damping, f.regularization.alpha
    least = ials_objective(f, ratings, *weights)
    moves = [rng.normal(0, 0.02, f.user_factors.shape) for _ in range(20)]
    moves += [0.01 * f.user_factors, -0.01 * f.user_factors]
    for move in moves:
        moved = replace(f, user_factors=f.user_factors + move.astype('float32'))
        assert ials_objective(moved, ratings, *weights) > least


def test_the_objective_counts_each_of_many_pairs_once():
    n, m = 900, 1200
    user_ix, item_ix = (ix.ravel().astype('int32') for ix in np.indices((n, m)))
    ids = Vocabulary(range(n), 'user'), Vocabulary(range(m))
    likes = Ratings(user_ix, item_ix, np.ones(n * m, 'float32'), *ids, (1.0, 1.0))
    f = Factors.for_ranking(likes, np.full((n, 1), 0.5), np.full((m, 1), 0.5))
    # Each pair: an error of 3/4, a score of 1/4, and squared factors of 1/4.
    expected = n * m * (0.75**2 + 0.2 * 0.25**2 + 2 * 0.1 * 0.25) + (n + m) * 0.25
    found = ials_objective(f, likes, 0.1, 1, 0.2)
    assert np.isclose(found, expected, rtol=1e-5)


def test_the_objective_is_that_of_all_pairs():
    ratings, _ = planted(n=30, m=20)
    f = fit_ials(ratings, 3)
    x = f.user_factors @ f.item_factors.T
    target, is_rated = np.zeros((30, 20)), np.zeros((30, 20))
    target[ratings.user_ix, ratings.item_ix] = (ratings.rating - 1) / 4
    is_rated[ratings.user_ix, ratings.item_ix] = 1
    regularization = 0
    for axis, table in ((1, f.user_factors), (0, f.item_factors)):
        weight = 0.05 * is_rated.sum(axis) + 3
        regularization += (weight * (table**2).sum(1)).sum()
    errors = (is_rated * (x - target) ** 2).sum() + 0.2 * (x**2).sum()
    found = ials_objective(f, ratings, 0.05, 3, 0.2)
    assert np.isclose(found, errors + regularization, rtol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_the_ratings_changes_nothing(seed):
    ratings, _ = planted()
    shuffled = ratings.take(np.random.default_rng(seed).permutation(len(ratings)))
    for fit, tolerance in ((lambda r: fit_ials(r, 4), 1e-3), (fit_ease, 1e-4)):
        scores = [fit(r).scores(range(120)) for r in (ratings, shuffled)]
        assert np.allclose(*scores, atol=tolerance)


def test_same_seed_same_numbers_and_threads_do_not_matter():
    ratings, _ = planted()
    a = fit_ials(ratings, 4, n_threads=1)
    b = fit_ials(ratings, 4, n_threads=3)
    c = fit_ials(ratings, 4, seed=1)
    assert (a.user_factors == b.user_factors).all()
    assert (a.item_factors == b.item_factors).all()
    assert (a.item_factors != c.item_factors).any()


@pytest.mark.parametrize('stars', [True, False])
def test_new_users_get_the_rows_of_known_users_with_the_same_ratings(stars):
    ratings, _ = planted(stars=stars)
    f = fit_ials(ratings, 8, reg=0.05, damping=2, alpha=0.3)
    assert f.regularization == Regularization(0.05, 2, alpha=0.3)
    together = f.fold_in(ratings.to_csr())
    assert np.allclose(together.user_factors, f.user_factors, atol=1e-5)
    alone = f.fold_in(ratings.to_csr()[[5]])
    assert np.allclose(alone.user_factors[0], f.user_factors[5], atol=1e-5)
    assert not alone.user_bias.any()


def test_users_and_items_without_ratings_are_no_noise():
    ratings, _ = planted()
    kept = ratings.take((ratings.user_ix != 3) & (ratings.item_ix != 7))
    factors, weights = fit_ials(kept, 8), fit_ease(kept)
    assert not factors.user_factors[3].any()
    assert not factors.item_factors[7].any()
    assert not weights.targets[[3]].nnz
    assert not weights.weights[7].any()
    for f in (factors, weights):
        assert f.item_bias[7] == 0
        # The item that most have chosen.
        first = rank_items(f.scores, [3], kept, 1)[0, 0]
        assert first == np.bincount(kept.item_ix).argmax()


def test_what_cannot_be_fitted_is_refused():
    ratings, _ = planted()
    worst = replace(ratings, rating=np.ones(len(ratings), 'float32'))
    disliked = ratings.take(ratings.rating < 4)
    for call, words in (
        (lambda: fit_ials(worst), 'nothing is known to be liked'),
        (lambda: fit_ease(worst), 'nothing is known to be liked'),
        (lambda: fit_item_knn(worst), 'nothing is known to be liked'),
        (lambda: fit_ials(ratings, valid=disliked, patience=2), 'is liked'),
        (lambda: fit_ials(ratings, alpha=0), 'alpha=0'),
        (lambda: fit_ease(ratings, kind='log'), "kind='log'"),
        (lambda: fit_item_knn(ratings, kind='log'), "kind='log'"),
    ):
        with pytest.raises(ValueError, match=words):
            call()


def test_patience_keeps_the_best_iteration():
    ratings, _ = planted()
    is_valid = np.arange(len(ratings)) % 5 == 0
    train, valid = ratings.take(~is_valid), ratings.take(is_valid)
    records = []
    f = fit_ials(
        train, 8, n_iterations=30, valid=valid, patience=3, on_iteration=records.append
    )
    best = int(np.argmax([record['val_ndcg'] for record in records]))
    assert len(records) == best + 4
    shorter = fit_ials(train, 8, n_iterations=best + 1)
    assert np.allclose(f.item_factors, shorter.item_factors, atol=1e-6)
    users = np.unique(valid.user_ix)
    recommended = rank_items(f.scores, users, train)
    final = ranking_metrics(recommended, users, valid).ndcg.mean()
    # At the end its users are refitted to the items.
    assert abs(final - records[best]['val_ndcg']) < 0.03


@pytest.mark.parametrize('n', [999, 1000])
def test_a_thousand_scores_of_zero_are_too_many(n):
    pairs = np.random.default_rng(0).choice(60 * 40, n, replace=False)
    user, item = np.divmod(pairs, 40)
    frame = pd.DataFrame({'user': user, 'item': item, 'rating': 1 + item % 5})
    ratings = Ratings.from_frame(frame)
    too_much = dict(n_factors=4, reg=1e6, damping=1e6)
    if n == 1000:
        with pytest.raises(ValueError, match='all scores are about 0'):
            fit_ials(ratings, **too_much)
    else:
        assert np.abs(fit_ials(ratings, **too_much).scores([0])).max() < 1e-3


@pytest.mark.parametrize('fit', [fit_als, fit_ials])
def test_a_fit_that_goes_on_tells_all_of_its_iterations(fit, tmp_path):
    ratings, _ = planted()
    settings = dict(n_factors=3, n_iterations=6)
    through, resumed = [], []
    fit(ratings, **settings, on_iteration=through.append)

    def interrupt(record):
        if record['iteration'] == 4:
            raise InterruptedError

    checkpoint = tmp_path / 'fit.npz'
    with pytest.raises(InterruptedError):
        fit(ratings, **settings, checkpoint=checkpoint, on_iteration=interrupt)
    fit(ratings, **settings, checkpoint=checkpoint, on_iteration=resumed.append)
    assert [record['iteration'] for record in through] == [1, 2, 3, 4, 5, 6]
    assert resumed == through


@pytest.mark.parametrize('fit', [fit_als, fit_ials])
def test_a_fit_goes_on_from_the_tables_of_its_checkpoint(fit, tmp_path):
    ratings, _ = planted()
    checkpoint = tmp_path / 'fit.npz'
    fit(ratings, 3, n_iterations=4, checkpoint=checkpoint)
    with np.load(checkpoint) as file:
        arrays = {name: file[name] for name in file.files}
    changed = arrays | {'item_table': -2 * arrays['item_table']}
    results = []
    for tables in (arrays, changed):
        np.savez(checkpoint, **tables)
        results.append(fit(ratings, 3, n_iterations=5, checkpoint=checkpoint))
    through = fit(ratings, 3, n_iterations=5)
    assert np.allclose(results[0].item_factors, through.item_factors, atol=1e-6)
    assert not np.allclose(results[1].item_factors, through.item_factors, atol=0.1)


def few_of_groups(seed, stars):
    """About 1,200 ratings of 150 users, who like the items of one group of four."""
    rng = np.random.default_rng(seed)
    is_own = rng.integers(4, size=150)[:, None] == rng.integers(4, size=80)
    chance = np.where(is_own | stars, 1, 0.1)
    u, i = np.nonzero(rng.random(is_own.shape) < chance * 1200 / chance.sum())
    rating = np.ones(len(u))
    if stars:
        liked, other = rng.integers(4, 6, len(u)), rng.integers(1, 4, len(u))
        rating = np.where(is_own[u, i], liked, other)
    frame = pd.DataFrame({'user': u, 'item': i, 'rating': rating})
    return Ratings.from_frame(frame, scale=(1, 5) if stars else (1, 1))


@pytest.mark.parametrize('stars', [True, False])
def test_groups_are_found_in_small_tables(stars):
    """Better by far than the most popular items, and as good as neighbours."""
    metrics = {'ials': [], 'knn': [], 'popularity': []}
    for seed in range(3):
        train, test = random_split(few_of_groups(seed, stars), 0.2, seed)
        users = np.unique(test.user_ix)
        fits = {'ials': fit_ials, 'knn': fit_item_knn, 'popularity': popularity}
        for name, fit_one in fits.items():
            lists = rank_items(fit_one(train).scores, users, train)
            metrics[name].append(ranking_metrics(lists, users, test).ndcg.mean())
    ials, knn, popular = (np.mean(found) for found in metrics.values())
    assert ials > (1.2 if stars else 1.5) * popular
    assert ials > 0.95 * knn


def test_damping_is_lowered_where_nothing_else_could_be_found():
    small, large = few_of_groups(0, stars=True), planted(n=900, m=300)[0]
    assert 0.4 <= ials_settings(small)['damping'] < 2
    for ratings in (large, large.take(np.arange(len(large)) % 400 == 0)):
        found = ials_settings(ratings)
        assert found['damping'] == 10 * found['alpha']
    assert ials_settings(small, {'damping': 4.0})['damping'] == 4
    # The targets of stars are smaller.
    likes = few_of_groups(0, stars=False)
    assert ials_settings(small)['damping'] < ials_settings(likes)['damping']


def test_popularity_breaks_ties_and_changes_no_other_order():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({'user': rng.integers(20, size=90)})
    frame['item'] = rng.integers(10, size=90) ** 2 // 10
    frame = frame.drop_duplicates().assign(rating=1.0)
    ratings = Ratings.from_frame(frame)
    shapes = (len(ratings.users), 3), (len(ratings.items), 3)
    P, Q = (rng.normal(0, 0.1, shape).astype('float32') for shape in shapes)
    users = np.arange(len(P))
    scores = Factors.for_ranking(ratings, P, Q).scores(users)
    np.testing.assert_allclose(scores, P @ Q.T, rtol=0, atol=1.1e-6)
    ties = Factors.for_ranking(ratings, 0 * P, Q).scores(users)
    counts = np.bincount(ratings.item_ix)
    assert (
        np.argsort(-ties, axis=1, kind='stable') == np.argsort(-counts, kind='stable')
    ).all()


def test_similarities_follow_the_weight_of_all_pairs():
    factors = fit_ials(planted()[0], 3)
    before = item_similarities(factors, 0)
    heavier = replace(factors.regularization, alpha=3.0)
    same_rows = replace(factors, regularization=heavier)
    assert same_rows.item_factors is factors.item_factors
    copied = replace(same_rows, item_factors=factors.item_factors.copy())
    expected = item_similarities(copied, 0)
    assert np.array_equal(item_similarities(same_rows, 0), expected)
    assert not np.allclose(before, expected)


def drawn_at_random(n_users, n_items, n_ratings, seed=0):
    "So many likes and dislikes of a table, at random."
    rng = np.random.default_rng(seed)
    cells = rng.choice(n_users * n_items, n_ratings, replace=False)
    stars = rng.integers(1, 6, n_ratings)
    frame = pd.DataFrame({'user': cells // n_items, 'item': cells % n_items})
    return Ratings.from_frame(frame.assign(rating=stars), scale=(1, 5))


@pytest.mark.parametrize(
    'shape',
    [
        (40, 30, 200),
        (40, 30, 900),
        (150, 80, 1200),
        (300, 20, 4000),
        (9, 9, 81),
        # About four ratings of each row are too few to lower the damping.
        (100, 100, 400),
    ],
)
def test_settings_solve_the_equations_of_the_chapter(shape):
    ratings = drawn_at_random(*shape)
    n_users, n_items = (len(np.unique(x)) for x in (ratings.user_ix, ratings.item_ix))
    n_pairs, n = n_users * n_items, len(ratings)
    found = ials_settings(ratings)
    assert found['alpha'] == pytest.approx(min(0.4, 2 * np.sqrt(n / n_pairs)), rel=1e-3)
    assert found['reg'] == pytest.approx(
        min(0.2, 1.25 * np.sqrt(n_pairs) / n), rel=1e-3
    )
    of_user, of_item = n / n_users, n / n_items
    most = 10 * found['alpha']
    if of_user * of_item < 25:
        assert found['damping'] == most
        return

    # At this damping, a factor of random targets is worth its regularization.
    def product(damping):
        reg = found['reg']
        return (reg * of_user + damping) * (reg * of_item + damping)

    root_mean_square = np.sqrt(np.mean(((ratings.rating - 1) / 4) ** 2))
    threshold = (np.sqrt(of_user) + np.sqrt(of_item)) * root_mean_square / 1.6
    if product(0.1 * most) >= threshold**2:
        assert found['damping'] == pytest.approx(0.1 * most, rel=1e-3)
    elif product(most) <= threshold**2:
        assert found['damping'] == most
    else:
        assert product(found['damping']) == pytest.approx(threshold**2, rel=1e-3)


def test_the_damping_of_small_tables_takes_each_of_its_forms():
    shares = []
    for shape in [(40, 30, 200), (150, 80, 1200), (300, 20, 4000)]:
        found = ials_settings(drawn_at_random(*shape))
        shares.append(found['damping'] / found['alpha'] / 10)
    assert min(shares) < 0.99 and max(shares) > 0.99


@pytest.mark.parametrize(
    'n_ratings, n_users, n_items, expected',
    [
        (100_000, 943, 1682, 64),  # the fewest
        (100_000, 1100, 9000, 128),  # an eighth of the shorter side
        (1_000_000, 300_000, 20_000, 128),  # the numbers of both tables
        (2_700_000, 100_000, 10_000, 128),  # the products of a pass
        (1_000_000, 50_000, 40_000, 512),  # the most
        (10_000_000, 100_000, 20_000, 64),
    ],
)
def test_the_number_of_factors_is_a_power_of_two_within_bounds(
    n_ratings, n_users, n_items, expected
):
    assert n_factors_by_size(n_ratings, n_users, n_items) == expected


def test_the_weights_of_ages_and_counts_are_multiplied():
    frame = pd.DataFrame({'user': [1, 1, 2], 'item': [1, 2, 2], 'rating': [1, 16, 81]})
    frame['timestamp'] = [0, 86_400, 172_800]
    ratings = Ratings.from_frame(frame, kind='counts')
    tables = np.full((2, 1), 0.5, 'float32')
    factors = Factors.for_ranking(ratings, tables, tables)

    def of_pairs(**settings):
        return ials_objective(factors, ratings, 0, 0, 0, **settings)

    by_count = 0.75**2 * np.array([1, 16, 81]) ** 0.25
    # On average, a weight by age is 1.
    by_age = 0.5 ** np.array([2, 1, 0]) * 3 / 1.75
    growth = dict(count_unit=1.0, count_growth=0.25)
    assert of_pairs() == pytest.approx(3 * 0.75**2)
    assert of_pairs(**growth) == pytest.approx(by_count.sum())
    assert of_pairs(half_life=1) == pytest.approx(0.75**2 * by_age.sum())
    both = of_pairs(half_life=1, **growth)
    assert both == pytest.approx((by_count * by_age).sum())


@pytest.mark.parametrize('growth', [-0.1, 1.5, np.nan, 'a lot'])
def test_the_weight_of_a_count_grows_no_faster_than_the_count(growth):
    frame = pd.DataFrame({'user': [1, 1, 2], 'item': [1, 2, 2], 'rating': [1, 16, 81]})
    counts = Ratings.from_frame(frame, kind='counts')
    with pytest.raises(ValueError, match='count_growth=.* from 0 to 1'):
        fit_ials(counts, 2, count_growth=growth)
