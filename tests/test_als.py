"Alternating least squares: properties for any ratings, and fits that are killed."

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.sparse import csr_array

from mf_movielens import als
from mf_movielens.als import (
    _noise_and_structure as noise_and_structure,
    als_objective,
    als_settings,
    fit_als,
)
from mf_movielens.baselines import damped_biases, variance_components
from mf_movielens.encoding import Ratings, Vocabulary, build_csr
from mf_movielens.factors import Factors
from mf_movielens.least_squares import Regularization, half_steps
from mf_movielens.metrics import rmse


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


def test_errors_in_records_are_those_of_all_ratings():
    ratings, valid = drawn(0), drawn(1)
    f = fit_als(ratings, 2, n_iterations=3)
    errors = als._errors(f, ratings, valid, dict(reg=0.1, bias_reg=0.0))
    for name, part in (('rmse', ratings), ('val_rmse', valid)):
        error = rmse(part.rating, f.predict(part.user_ix, part.item_ix))
        assert np.isclose(errors[name], error, rtol=1e-6)


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
    f = fit_als(ratings, k, reg=1e-6, damping=0, factor_damping=0)
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


FIT = """
import time
from mf_movielens.data import synthetic
from mf_movielens.encoding import Ratings
from mf_movielens.als import fit_als

ratings = Ratings.from_frame(synthetic().ratings.head(20_000))

def work(checkpoint, out):
    f = fit_als(
        ratings,
        8,
        n_iterations=12,
        checkpoint=None if checkpoint == '-' else checkpoint,
        on_iteration=lambda record: time.sleep(.1),
    )
    f.save(out)
"""


def test_killed_and_resumed_is_as_if_nothing_had_happened(tmp_path, kill_and_resume):
    resumed = tmp_path / 'resumed.npz'
    whole = tmp_path / 'whole.npz'
    kill_and_resume(FIT, tmp_path / 'fit.npz', whole, resumed)
    # Another process, undisturbed: the same numbers to the last bit.
    with np.load(resumed) as a, np.load(whole) as b:
        assert all((a[name] == b[name]).all() for name in a.files)


def planted(seed, k, noise=1.0, n_users=300, n_items=200, share=0.2, low=1.0, unit=1.0):
    "Ratings of biases, noise and `k` factors, on a scale from `low` to 4 units more."
    rng = np.random.default_rng(seed)
    u, i = np.nonzero(rng.random((n_users, n_items)) < share)
    P, Q = rng.normal(0, 0.8, (n_users, k)), rng.normal(0, 0.8, (n_items, k))
    x = 2 + rng.normal(0, 0.4, n_users)[u] + rng.normal(0, 0.5, n_items)[i]
    x += (P[u] * Q[i]).sum(1) + rng.normal(0, noise, len(u))
    rating = (low + unit * x.clip(0, 4)).astype('float32')
    scale = float(np.float32(low)), float(np.float32(low + 4 * unit))
    users, items = Vocabulary(range(n_users), 'user'), Vocabulary(range(n_items))
    return Ratings(u.astype('int32'), i.astype('int32'), rating, users, items, scale)


def held_out_errors(ratings, seed=0):
    "RMSE of the default fit and of damped biases on a fifth of the ratings."
    is_test = np.random.default_rng(seed).random(len(ratings)) < 0.2
    part, test = ratings.take(~is_test), ratings.take(is_test)
    return [
        np.sqrt(((f.predict(test.user_ix, test.item_ix) - test.rating) ** 2).mean())
        for f in (fit_als(part), damped_biases(part))
    ]


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('share', [0.02, 0.05, 0.2])
def test_without_structure_als_is_as_good_as_biases(seed, share):
    als, biases = held_out_errors(planted(seed, 0, share=share))
    assert als < 1.003 * biases


def test_with_structure_als_is_much_better_than_biases():
    als, biases = held_out_errors(planted(0, 2, noise=0.7))
    assert als < 0.9 * biases


@pytest.mark.parametrize('low, unit', [(0, 25), (-10, 5), (0, 1e-6), (-1e9, 1e9)])
def test_default_predictions_follow_the_scale(low, unit):
    stars, scaled = planted(1, 2), planted(1, 2, low=low, unit=unit)
    found = als_settings(stars)
    for name, value in als_settings(scaled).items():
        assert np.isclose(value, found[name], rtol=0.01)
    pairs = stars.user_ix, stars.item_ix
    in_stars = 1 + (fit_als(scaled).predict(*pairs) - low) / unit
    assert np.abs(in_stars - fit_als(stars).predict(*pairs)).max() < 0.02


def test_a_scale_that_is_too_wide_changes_next_to_nothing():
    right = planted(2, 2, noise=0.7)
    wide = replace(right, scale=(1, 41))
    assert np.isclose(als_settings(wide)['reg'], als_settings(right)['reg'] / 10)
    als, biases = held_out_errors(right)
    in_wide, _ = held_out_errors(wide)
    assert abs(in_wide - als) < 0.02 * (biases - als)


def test_regularization_grows_with_the_noise():
    low, high = (als_settings(planted(3, 0, noise=n))['reg'] for n in (0.2, 0.4))
    assert np.isclose(high / low, 2, rtol=0.1)


def test_structure_that_holds_in_held_out_ratings_lowers_the_regularization():
    for n_factors, strength in ((3, 1.6), (0, 1)):
        ratings = planted(0, n_factors, noise=0.7, share=0.04)
        found = als_settings(ratings)
        dampings = found['damping'], found['item_damping']
        noise, structure = noise_and_structure(ratings, *dampings)
        assert structure < 1.1 * noise  # too weak to be clear without a trial
        assert np.isclose(found['reg'], noise / strength, rtol=0.01)


def test_no_factor_stays_at_its_start():
    fitted = fit_als(planted(1, 3, noise=0.3), n_factors=3)
    for table in (fitted.user_factors, fitted.item_factors):
        assert (np.linalg.norm(table, axis=0) > 0.1).all()


def test_a_table_of_one_rating_has_settings_and_a_fit():
    one = planted(0, 0).take([0])
    assert np.isfinite(list(als_settings(one).values())).all()
    error = fit_als(one).predict(one.user_ix, one.item_ix) - one.rating
    assert abs(error[0]) < 0.01


def test_settings_by_the_data_do_not_depend_on_the_order_of_the_ratings():
    ratings = planted(4, 1, share=0.05)
    found = als_settings(ratings)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(ratings))
        again = als_settings(ratings.take(order), n_threads=1 + seed)
        for name, value in again.items():
            assert np.isclose(value, found[name], rtol=1e-3)


def test_settings_that_are_given_are_kept():
    ratings = planted(5, 1)
    found = als_settings(ratings)
    assert found['factor_damping'] == 50 * found['reg']
    by_user, by_item = variance_components(ratings).dampings
    assert (found['damping'], found['item_damping']) == (by_user, by_item)
    for name, value in {'reg': 0.3, 'item_damping': 7, 'factor_damping': 1}.items():
        assert als_settings(ratings, {name: value})[name] == value
    both = als_settings(ratings, {'reg': 0.08, 'damping': 5})
    assert both == {
        'reg': 0.08,
        'damping': 5,
        'item_damping': 5,
        'factor_damping': 4,
    }
    assert als_settings(ratings, found) == found
    by_data, by_hand = fit_als(ratings, 4), fit_als(ratings, 4, **found)
    assert (by_data.item_factors == by_hand.item_factors).all()


def test_dampings_of_factors_and_biases_are_those_of_the_objective():
    ratings = planted(6, 2)
    weights = {'reg': 0.05, 'bias_reg': 0.01, 'damping': 3}
    weights |= {'item_damping': 1, 'factor_damping': 6}
    f = fit_als(ratings, 3, n_iterations=100, **weights)
    least, rng = als_objective(f, ratings, **weights), np.random.default_rng(0)
    for name in ('user_bias', 'item_bias', 'user_factors', 'item_factors'):
        table = getattr(f, name)
        for size in (0.01, -0.01):
            # A scaled table is worse, whichever way it is scaled.
            moved = replace(f, **{name: table * np.float32(1 + size)})
            assert als_objective(moved, ratings, **weights) > least
        moved = table + rng.normal(0, 0.01, table.shape).astype('float32')
        assert als_objective(replace(f, **{name: moved}), ratings, **weights) > least


def test_regularization_is_that_of_residuals_with_random_signs():
    "By a dense table, other random signs and another routine."
    ratings = planted(7, 2, noise=0.7)
    found = als_settings(ratings)
    biases = damped_biases(ratings, found['damping'], found['item_damping'])
    table = np.zeros((300, 200))
    error = ratings.rating - biases.predict(ratings.user_ix, ratings.item_ix)
    table[ratings.user_ix, ratings.item_ix] = error
    n_of_user, n_of_item = (table != 0).sum(1), (table != 0).sum(0)
    table /= np.sqrt((n_of_user[:, None] + 50) * (n_of_item + 50))
    signs = np.random.default_rng(0).choice([-1, 1], table.shape)
    noise, structure = (np.linalg.norm(t, 2) for t in (signs * table, table))
    assert structure > 1.5 * noise
    assert np.isclose(found['reg'], noise / 1.6, rtol=0.08)


def test_a_fit_continues_where_another_ended():
    "On a scale whose unit is not 1."
    ratings = drawn(3)
    ratings = replace(ratings, rating=20 * ratings.rating - 10, scale=(10.0, 90.0))
    weights = dict(n_factors=3, reg=0.02, damping=3.0, item_damping=5.0)
    half = fit_als(ratings, n_iterations=4, **weights)
    continued = fit_als(ratings, n_iterations=3, start=half, **weights)
    whole = fit_als(ratings, n_iterations=7, **weights)
    pairs = [x.ravel() for x in np.indices((len(ratings.users), len(ratings.items)))]
    found, expected = continued.predict(*pairs), whole.predict(*pairs)
    distance = np.abs(half.predict(*pairs) - expected).max()
    # What the last half-step of the first fit has changed remains.
    assert np.abs(found - expected).max() < 0.3 * distance


def test_a_fit_cannot_begin_with_tables_of_another_shape():
    ratings, others = drawn(3), drawn(3, n_users=31)
    start = fit_als(ratings, 3, reg=0.1, n_iterations=1)
    with pytest.raises(ValueError, match='does not go with 31 users, 20 items, 3'):
        fit_als(others, 3, reg=0.1, start=start)
    with pytest.raises(ValueError, match='does not go with 30 users, 20 items, 4'):
        fit_als(ratings, 4, reg=0.1, start=start)


@pytest.mark.parametrize('shape', [(30, 20), (20, 30), (3, 1)])
def test_the_largest_singular_value_is_that_of_a_decomposition(shape):
    table = np.random.default_rng(1).normal(size=shape)
    # A value that stands out, as structure does.
    table += 3 * np.outer(np.ones(shape[0]), np.ones(shape[1]))
    expected = np.linalg.svd(table)[1][0]
    found = als._largest_singular_value(csr_array(table.astype('float32')))
    assert np.isclose(found, expected, rtol=1e-4)
    assert als._largest_singular_value(csr_array(shape, dtype='float32')) == 0


def test_random_bits_are_those_of_splitmix64():
    ratings = drawn(5)
    expected = []
    for user, item in zip(ratings.user_ix.tolist(), ratings.item_ix.tolist()):
        z = (user << 32) + item
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        expected.append(z ^ z >> 31)
    assert als._random_bits(ratings).tolist() == expected


@pytest.mark.parametrize('noise', [0.7, 4.0])
def test_the_share_that_holds_is_a_slope_less_its_standard_error(noise, monkeypatch):
    "Through the origin, with the variance of White, shrunk as if it were a bias."
    ratings = planted(7, 2, noise=noise)
    fits = []

    def fit(*args, **settings):
        fits.append((args[0], fit_als(*args, **settings)))
        return fits[0][1]

    monkeypatch.setattr(als, 'fit_als', fit)
    share = als._share_that_holds(ratings, 1, reg=0.05, damping=4.0)
    (train, model), n = fits[0], len(ratings)
    assert 0.08 * n < n - len(train) < 0.12 * n
    code = ratings.user_ix * 10**6 + ratings.item_ix
    is_test = ~np.isin(code, train.user_ix * 10**6 + train.item_ix)
    user, item = ratings.user_ix[is_test], ratings.item_ix[is_test]
    x = (model.user_factors[user] * model.item_factors[item]).sum(1).astype(float)
    biases = model.mu + model.user_bias[user] + model.item_bias[item]
    y = ratings.rating[is_test] - biases
    slope = np.linalg.lstsq(x[:, None], y, rcond=None)[0][0]
    variance = np.sum((x * (y - slope * x)) ** 2) / np.sum(x * x) ** 2
    expected = (slope - np.sqrt(variance * (1 + variance))) / (1 + variance)
    assert np.isclose(share, expected, rtol=1e-3, atol=1e-4)


def test_ten_iterations_and_no_damping_unless_told():
    ratings = drawn(2)
    f = fit_als(ratings, 3, reg=0.1, damping=1.0)
    same = fit_als(ratings, 3, reg=0.1, damping=1.0, n_iterations=10)
    np.testing.assert_array_equal(f.item_factors, same.item_factors)
    nine = fit_als(ratings, 3, reg=0.1, damping=1.0, n_iterations=9)
    assert not np.array_equal(f.item_factors, nine.item_factors)
    without = als_objective(f, ratings, 0.1, 0.0)
    assert without == als_objective(f, ratings, 0.1, 0.0, damping=0.0)


def test_ratings_without_noise_are_hardly_regularized():
    ratings = replace(drawn(2), rating=np.full(len(drawn(2)), 3, 'float32'))
    assert als_settings(ratings)['reg'] == pytest.approx(1e-6)
