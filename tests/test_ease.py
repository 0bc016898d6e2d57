"""EASE beside its definition."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.sparse import csr_array

from mf_movielens import ease
from mf_movielens.ease import ease_seconds, ease_settings, fit_ease
from mf_movielens.encoding import Ratings, RatingsError, Vocabulary
from mf_movielens.recommender import Recommender


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


def weights_by_definition(targets, reg):
    """The formula of the paper, by a general inverse."""
    inverse = np.linalg.inv(targets.T @ targets + reg * np.eye(targets.shape[1]))
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0)
    return expected


# With few users, the Gram matrix of the users is inverted. A block has 256 rows.
@pytest.mark.parametrize('reg', [0.1, 200.0])
@pytest.mark.parametrize(
    'n_users, n_items, share',
    [
        (40, 90, 0.3),
        (300, 70, 0.3),
        (5, 1, 0.3),
        (1, 9, 0.5),
        (150, 520, 0.1),
        (270, 600, 0.05),
    ],
)
def test_weights_are_those_of_the_inverse(n_users, n_items, share, reg):
    ratings, targets = drawn(n_users, n_items, share)
    model = fit_ease(ratings, reg)
    assert model.weights.dtype == 'float32'
    assert np.allclose(model.weights, weights_by_definition(targets, reg), atol=1e-6)
    assert (model.targets.toarray() == targets).all()


@pytest.mark.parametrize('n_users', [4, 30])
def test_what_nobody_chose_has_no_weights(n_users):
    ratings, _ = drawn(n_users, 12, 0.4)
    ratings = ratings.take(ratings.item_ix != 7)
    weights = fit_ease(ratings, 1.0).weights
    assert not weights[7].any() and not weights[:, 7].any()
    assert weights[6].any()


@pytest.mark.parametrize('n_threads', [1, 2, 5])
def test_the_number_of_threads_does_not_matter(n_threads, monkeypatch):
    _, targets = drawn(900, 700, 0.05)
    table = csr_array(targets.astype('float32'))
    expected = ease._weights_by_items(table, 3.0)
    threads = ease.worker_threads
    monkeypatch.setattr(ease, 'worker_threads', lambda: threads(n_threads))
    assert (ease._weights_by_items(table, 3.0) == expected).all()


def test_too_large_a_catalog_is_refused_before_any_work(monkeypatch):
    ratings, _ = drawn(30, 12, 0.4)
    monkeypatch.setattr(ease, 'target_table', None)
    needed = 12 * 12**2 + 40 * len(ratings)
    monkeypatch.setattr(ease, '_free_memory', lambda: needed - 1)
    message = r"weights between 12 items take .* GB .* are free.*solver='ials'"
    with pytest.raises(MemoryError, match=message):
        Recommender.fit(ratings, 'ease')
    monkeypatch.setattr(ease, '_free_memory', lambda: needed)
    with pytest.raises(TypeError):
        Recommender.fit(ratings, 'ease')


def test_twenty_thousand_items_fit_into_24_gigabytes(monkeypatch):
    monkeypatch.setattr(ease, '_free_memory', lambda: 20 * 2**30)
    ease._check_memory(140_000, 20_000, 20_000_000)
    ease._check_memory(5_000, 20_000, 2_000_000)
    with pytest.raises(MemoryError, match=r'60,000 items take 43\.3 GB'):
        ease._check_memory(140_000, 60_000, 2_000_000)
    # Weights, targets, and tables of the users, of whom there are fewer.
    with pytest.raises(MemoryError, match=r'60,000 items take 32\.2 GB'):
        ease._check_memory(5_000, 60_000, 370_000_000)


@pytest.mark.parametrize('n_users, n_items', [(700, 600), (200, 900)])
def test_a_fit_takes_no_more_memory_than_it_says(n_users, n_items):
    import tracemalloc

    ratings, _ = drawn(n_users, n_items, 0.02)
    fit_ease(ratings, 5.0)
    tracemalloc.start()
    try:
        fit_ease(ratings, 5.0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    needed = ease._needed_memory(n_users, n_items, len(ratings))
    # A few rows at a time besides, which count for less in larger tables.
    in_hand = ease._ROWS_PER_BLOCK * 8 * n_items * 4
    assert peak < needed + in_hand


def test_regularization_follows_the_activity_of_the_users():
    ratings, targets = drawn(60, 40, 0.3)
    activity = (targets**2).sum(1)
    expected = 2.5 * np.average(activity, weights=activity)
    assert np.isclose(ease_settings(ratings)['reg'], expected, rtol=5e-3)
    by_default = fit_ease(ratings).weights
    assert (
        by_default == fit_ease(ratings, ease_settings(ratings)['reg']).weights
    ).all()
    model = Recommender.fit(ratings, 'ease')
    assert model.settings['reg'] == ease_settings(ratings)['reg']
    # Twice as many of the same users change nothing.
    twice = np.concatenate([ratings.user_ix, ratings.user_ix + 60]).astype('int32')
    doubled = Ratings(
        twice,
        np.tile(ratings.item_ix, 2),
        np.tile(ratings.rating, 2),
        Vocabulary(range(120), 'user'),
        ratings.items,
        ratings.scale,
    )
    assert ease_settings(doubled) == ease_settings(ratings)


@pytest.mark.parametrize('kind, other', [('graded', 'binary'), ('binary', 'graded')])
def test_regularization_follows_the_kind_of_targets(kind, other):
    ratings, _ = drawn(60, 40, 0.3)
    reg, reg_of_other = (
        ease_settings(ratings, {'kind': k})['reg'] for k in (kind, other)
    )
    assert reg != reg_of_other
    expected = fit_ease(ratings, reg, kind).weights
    assert (fit_ease(ratings, kind=kind).weights == expected).all()


def test_some_of_many_users_tell_whether_a_fit_scores():
    n = 3 * 2500
    rows, items = np.arange(n) // 3, np.tile([0, 1, 2], 2500)
    # The first user has chosen what nobody else has.
    items[:3] = 3, 4, 5
    targets = csr_array((np.ones(n, 'float32'), (rows, items)), shape=(2500, 6))
    weights = np.zeros((6, 6), 'float32')
    weights[:3, :3] = 0.5
    ease._check_scores_of(weights, targets, 1.0)
    with pytest.raises(RatingsError, match=r'all scores are about 0.*reg=1'):
        ease._check_scores_of(weights * np.float32(1e-4), targets, 1.0)


@pytest.mark.parametrize(
    'numbers, free',
    [
        ({'MemAvailable:': 7}, 7 * 1024),
        ({'MemAvailable:': 7, 'max': 6000, 'current': 1000}, 5000),
        (
            {'MemAvailable:': 7, 'max': 6000, 'current': 1000, 'inactive_file': 300},
            5300,
        ),
        ({'MemAvailable:': 3, 'max': 6000, 'current': 1000}, 3 * 1024),
        ({'MemAvailable:': 7, 'current': 1000}, 7 * 1024),
    ],
)
def test_free_memory_is_that_of_the_machine_or_of_the_group(monkeypatch, numbers, free):
    def number_in(path, pattern=''):
        return numbers.get(pattern or path.rpartition('.')[2])

    monkeypatch.setattr(ease, '_number_in', number_in)
    assert ease._free_memory() == free


def seconds_of(monkeypatch, n_users, n_items, n_ratings=1):
    """The estimate on a machine that inverts a matrix of 2,000 rows in 8 seconds."""
    clock = SimpleNamespace(perf_counter=iter([3.0, 11.0]).__next__)
    monkeypatch.setattr(ease, 'time', clock)
    monkeypatch.setattr(
        ease, '_invert', lambda table, reg: len(table) == 2_000 or 1 / 0
    )
    users, items = Vocabulary(range(n_users), 'user'), Vocabulary(range(n_items))
    ix = np.zeros(n_ratings, 'int32')
    stars = np.ones(n_ratings, 'float32')
    return ease_seconds(Ratings(ix, ix, stars, users, items, (1, 5)))


def test_the_estimate_of_a_fit_scales_the_time_of_an_inversion(monkeypatch):
    of_items = seconds_of(monkeypatch, 9_000, 2_000)
    assert of_items == pytest.approx(8)
    assert seconds_of(monkeypatch, 9_000, 4_000) == pytest.approx(8 * of_items)
    # Few users are inverted instead; what is left is work for each rating and item.
    of_users = seconds_of(monkeypatch, 2_000, 4_000)
    assert of_users == pytest.approx(of_items, rel=1e-3)
    assert seconds_of(monkeypatch, 1_000, 4_000) == pytest.approx(
        of_users / 8, rel=1e-2
    )
    few, many = (seconds_of(monkeypatch, 10, 4_000, n) for n in (10_000, 20_000))
    assert many == pytest.approx(2 * few, rel=1e-3) and few > 0.1
