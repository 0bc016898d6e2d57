"""Factors: what they refuse, their links, and the rows that they give new users."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from mf_movielens.als import fit_als
from mf_movielens.encoding import Ratings, Vocabulary
from mf_movielens.factors import (
    Factors,
    apply_link,
    check_histories,
    invert_sigmoid,
    popularity_bias,
)
from mf_movielens.feature_maps import FeatureMap
from mf_movielens.least_squares import Regularization

RNG = np.random.default_rng(3)
TABLES = (RNG.normal(size=n).astype('float32') for n in (4, 5, (4, 2), (5, 2)))
FACTORS = Factors(3.0, *TABLES, (1, 5))
GENRES = FeatureMap(np.ones((1, 2)), np.zeros(1), np.array([0.5, 2.0]), ('new',))


def test_links_by_definition():
    x = np.array([-40.0, -1.0, 0.5, 3.0, 40.0])
    logistic = 1 / (1 + np.exp(-x))
    np.testing.assert_allclose(apply_link(x, 'sigmoid', (2, 10)), 2 + 8 * logistic)
    np.testing.assert_array_equal(
        apply_link(x, 'identity', (-1, 3)), [-1, -1, 0.5, 3, 3]
    )
    assert apply_link(x, 'score', (1, 5)) is x
    shares = np.array([0.01, 0.25, 0.5, 0.99])
    inverse = invert_sigmoid(2 + 8 * shares, (2, 10))
    np.testing.assert_allclose(inverse, np.log(shares / (1 - shares)))
    assert invert_sigmoid(np.array([10.0]), (2, 10)) == inverse[-1:]


@pytest.mark.parametrize(
    'change, words',
    [
        (dict(link='logit'), "link='logit': use 'identity', 'sigmoid' or 'score'"),
        (dict(scale=(5, 1)), 'scale='),
        (dict(scale=(1, np.inf)), 'scale='),
        (dict(scale=3), 'scale='),
        (dict(regularization=Regularization(0.1, 1.0, alpha=0.2)), 'one with bias_reg'),
        (dict(item_map=GENRES), 'as many factors that rank'),
        (dict(user_map=GENRES), 'as many factors that rank'),
        (dict(item_bias=np.zeros(4)), '5'),
        (dict(user_bias=np.zeros(5)), '4'),
        (dict(user_factors=np.zeros((4, 3))), '3'),
        (dict(mu=np.nan), 'finite'),
        (dict(item_factors=np.full((5, 2), 1e15)), 'finite numbers below 1e.15'),
    ],
)
def test_what_does_not_go_together_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        replace(FACTORS, **change)


def test_maps_of_features_go_with_as_many_factors_that_rank():
    ranks = replace(FACTORS, link='score', item_map=GENRES, user_map=GENRES)
    assert ranks.item_map is GENRES
    kept = Factors.from_arrays(ranks.to_arrays())
    assert kept.item_map.names == kept.user_map.names == GENRES.names
    narrow = FeatureMap(np.ones((1, 1)), np.zeros(1), np.zeros(1), ('new',))
    for name in ('item_map', 'user_map'):
        with pytest.raises(ValueError, match='as many factors that rank'):
            replace(ranks, **{name: narrow})
    with pytest.raises(ValueError, match='one with alpha'):
        replace(ranks, regularization=Regularization(0.1, 1.0, bias_reg=0.2))


def test_factors_are_not_changed_in_place():
    with pytest.raises(FrozenInstanceError):
        FACTORS.mu = 2.0


def test_goals_and_kinds_follow_from_link_and_regularization():
    ranks = replace(FACTORS, link='score')
    assert (FACTORS.goal, ranks.goal) == ('rating', 'ranking')
    assert ranks.rating_kind is None
    weights = Regularization(0.1, 1.0, alpha=0.2)
    assert replace(ranks, regularization=weights).rating_kind is None
    of_counts = replace(weights, count_unit=1.0, count_growth=0.25)
    assert replace(ranks, regularization=of_counts).rating_kind == 'counts'


def test_items_without_features_of_items_cannot_be_added():
    with pytest.raises(ValueError, match='fitted without features of items'):
        FACTORS.with_items([[1.0]])
    more = replace(FACTORS, link='score', item_map=GENRES).with_items([[1.0], [0.0]])
    np.testing.assert_allclose(more.item_factors[:5], FACTORS.item_factors)
    np.testing.assert_allclose(more.item_factors[5:], [[1.5, 3], [0.5, 2]])
    assert more.item_bias[5:].tolist() == [0, 0]


def drawn(scale):
    """Ratings between the ends of a scale."""
    rng = np.random.default_rng(5)
    user, item = np.nonzero(rng.random((25, 15)) < 0.5)
    low, high = scale
    return Ratings(
        user.astype('int32'),
        item.astype('int32'),
        rng.uniform(low, high, len(user)).astype('float32'),
        Vocabulary(range(25), 'user'),
        Vocabulary(range(15)),
        scale,
    )


@pytest.mark.parametrize('scale', [(1, 5), (10, 90), (0, 0.5)])
def test_a_new_user_gets_the_row_of_a_known_one_with_the_same_ratings(scale):
    ratings = drawn(scale)
    f = fit_als(ratings, 3, reg=0.05, damping=2.0, item_damping=3.0, n_iterations=60)
    table = ratings.to_csr()
    folded = f.fold_in(table[[4, 20]])
    unit = (scale[1] - scale[0]) / 4
    np.testing.assert_allclose(folded.user_bias, f.user_bias[[4, 20]], atol=0.02 * unit)
    np.testing.assert_allclose(
        folded.user_factors, f.user_factors[[4, 20]], atol=0.02 * unit**0.5
    )
    assert np.abs(f.user_factors[[4, 20]]).max() > 0.2 * unit**0.5


def test_new_users_have_features_only_where_the_fit_had_them():
    histories = csr_array((2, 5))
    weights = Regularization(0.1, 1.0, alpha=0.2)
    plain = replace(FACTORS, link='score', regularization=weights)
    with pytest.raises(ValueError, match='fitted without features of users'):
        plain.fold_in(histories, [[1.0], [0.0]])
    mapped = replace(plain, user_map=GENRES)
    np.testing.assert_allclose(
        mapped.fold_in(histories, [[1.0], [0.0]]).user_factors, [[1.5, 3], [0.5, 2]]
    )
    np.testing.assert_allclose(mapped.fold_in(histories).user_factors, [[0.5, 2]] * 2)
    with pytest.raises(ValueError, match='1 rows of features for 2 new users'):
        mapped.fold_in(histories, [[1.0]])
    with pytest.raises(ValueError, match='which is not known'):
        FACTORS.fold_in(histories)


def test_histories_fit_the_items_and_are_finite():
    check_histories(csr_array(np.ones((2, 5))), 5)
    with pytest.raises(ValueError, match='5 columns for 4 items'):
        check_histories(csr_array((2, 5)), 4)
    with pytest.raises(ValueError, match='^1 ratings are not finite'):
        check_histories(csr_array(np.array([[1, np.inf, 2]])), 3)


def test_ratings_too_large_to_fold_in_are_refused():
    weights = Regularization(0.5, 1.0, alpha=1.0)
    ranks = replace(FACTORS, link='score', regularization=weights)
    with pytest.raises(ValueError, match='too large to fold them in'):
        ranks.fold_in(csr_array([[1e20, 5.0, 0.0, 0.0, 0.0]]))


@pytest.mark.parametrize('weights', [None, Regularization(0.1, 1.0, bias_reg=0.2)])
def test_arrays_of_a_file_give_the_same_factors(weights):
    before = replace(FACTORS, regularization=weights)
    after = Factors.from_arrays(before.to_arrays())
    assert after.regularization == weights
    np.testing.assert_array_equal(after.scores([0, 3]), before.scores([0, 3]))


def test_popularity_is_a_share_of_a_millionth():
    bias = popularity_bias(np.array([4, 0, 1]))
    np.testing.assert_allclose(bias, [1e-6, 0, 0.25e-6], rtol=1e-6)


def test_arrays_that_make_no_factors_are_a_damaged_file(tmp_path):
    path = FACTORS.save(tmp_path / 'f.npz')
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **arrays | {'user_bias': np.ones(7, 'float32')})
    with pytest.raises(ValueError, match='is not a file of factors, or is damaged'):
        Factors.load(path)
