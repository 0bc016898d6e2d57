"""Ratings that weigh less with age."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from mf_movielens.als import als_objective, fit_als
from mf_movielens.encoding import Ratings, RatingsError
from mf_movielens.ials import fit_ials, ials_objective
from mf_movielens.least_squares import decay_weights
from mf_movielens.recommender import Recommender

DAY = 86_400
OF_ALS = {'reg': 0.02, 'bias_reg': 0.01, 'damping': 1.0, 'factor_damping': 0.5}
OF_IALS = {'reg': 0.02, 'damping': 0.5, 'alpha': 0.2}


def table(n=700, seed=0, n_users=40, n_items=30):
    """Ratings of a hundred days."""
    rng = np.random.default_rng(seed)
    user, item = np.divmod(rng.permutation(n_users * n_items)[:n], n_items)
    rating = np.clip(np.round(3 + (user % 2 - 0.5) * (item % 3 - 1) * 3), 1, 5)
    days = rng.integers(0, 100, n)
    columns = {'user': user, 'item': item, 'rating': rating, 'timestamp': days * DAY}
    return Ratings.from_frame(pd.DataFrame(columns), scale=(1, 5))


@pytest.fixture(scope='module')
def ratings():
    return table()


def by_age(ratings, half_life):
    weights = 0.5 ** ((ratings.timestamp.max() - ratings.timestamp) / DAY / half_life)
    return weights / weights.mean()


def test_a_rating_weighs_half_as_much_after_each_half_life(ratings):
    weights = decay_weights(ratings, 10)
    age = (ratings.timestamp.max() - ratings.timestamp) / DAY
    by_hand = 0.5 ** (age / 10)
    assert np.allclose(weights, by_hand / by_hand.mean(), rtol=1e-5)
    assert weights.dtype == np.float32
    assert decay_weights(ratings, None) is None
    # Moments of any size, before 1970 too.
    ends = np.iinfo('int64')
    far = replace(ratings.take(slice(2)), timestamp=np.array([ends.min, ends.max]))
    assert decay_weights(far, 1).tolist() == [0, 2]


@pytest.mark.parametrize('wrong', [0, -1, np.inf, np.nan, 'a week', '7', True])
def test_a_half_life_is_a_number_of_days(ratings, wrong):
    for fit in (fit_ials, fit_als):
        with pytest.raises(ValueError, match='number of days above 0'):
            fit(ratings, 2, half_life=wrong)


def weighted_rows(targets, weights, inputs, regularization, all_pairs=0.0):
    """Users one after another, by dense normal equations."""
    rows = np.zeros((len(targets), inputs.shape[1]))
    for user, (target, weight) in enumerate(zip(targets, weights)):
        rated = ~np.isnan(target)
        x, w = inputs[rated].astype('float64'), weight[rated]
        matrix = x.T @ (w[:, None] * x) + all_pairs * inputs.T @ inputs
        matrix += np.diag(regularization(rated.sum()))
        rows[user] = np.linalg.solve(matrix, x.T @ (w * target[rated]))
    return rows


def dense(ratings, values):
    out = np.full((len(ratings.users), len(ratings.items)), np.nan)
    out[ratings.user_ix, ratings.item_ix] = values
    return out


def test_users_of_ials_solve_the_weighted_equations(ratings):
    factors = fit_ials(ratings, 3, **OF_IALS, n_iterations=30, half_life=20)
    weight = by_age(ratings, 20)
    expected = weighted_rows(
        dense(ratings, (ratings.rating - 1) / 4),
        dense(ratings, weight),
        factors.item_factors,
        lambda n: np.full(3, 0.02 * n + 0.5),
        all_pairs=0.2,
    )
    assert np.allclose(factors.user_factors, expected, atol=2e-3)
    unweighted = fit_ials(ratings, 3, **OF_IALS, n_iterations=30)
    assert not np.allclose(factors.user_factors, unweighted.user_factors, atol=0.05)


def test_users_of_als_solve_the_weighted_equations(ratings):
    factors = fit_als(ratings, 3, **OF_ALS, n_iterations=30, half_life=20)
    weight = by_age(ratings, 20)
    item_bias = factors.item_bias[ratings.item_ix]
    expected = weighted_rows(
        dense(ratings, ratings.rating - factors.mu - item_bias),
        dense(ratings, weight),
        np.column_stack([factors.item_factors, np.ones(len(ratings.items))]),
        lambda n: np.array([0.02 * n + 0.5] * 3 + [0.01 * n + 1.0]),
    )
    found = np.column_stack([factors.user_factors, factors.user_bias])
    assert np.allclose(found, expected, atol=5e-3)


@pytest.mark.parametrize('fit', [fit_ials, fit_als])
def test_without_decay_nothing_changes(ratings, fit):
    plain = fit(ratings, 3, n_iterations=5)
    assert np.array_equal(
        plain.user_factors, fit(ratings, 3, n_iterations=5, half_life=None).user_factors
    )
    almost = fit(ratings, 3, n_iterations=5, half_life=1e9)
    assert np.allclose(plain.item_factors, almost.item_factors, atol=1e-3)
    # All at once: nobody is older than anybody else.
    at_once = replace(ratings, timestamp=np.full(len(ratings), 7))
    again = fit(at_once, 3, n_iterations=5, half_life=1)
    assert np.allclose(plain.item_factors, again.item_factors, atol=1e-3)


def test_what_is_minimized_is_the_weighted_objective(ratings):
    for fit, objective, settings in (
        (fit_ials, ials_objective, OF_IALS),
        (fit_als, als_objective, OF_ALS),
    ):
        records = []
        how = settings | {'half_life': 15}
        found = fit(ratings, 3, **how, n_iterations=12, on_iteration=records.append)
        values = [record['objective'] for record in records]
        assert (np.diff(values) <= 1e-4 * np.abs(values[:-1])).all()
        at_end = objective(found, ratings, **how)
        assert np.isclose(values[-1], at_end, rtol=0.02)
        # Each fit is ahead by the objective that it minimizes.
        plain = fit(ratings, 3, **settings, n_iterations=12)
        assert objective(plain, ratings, **how) > 1.01 * at_end
        without = objective(plain, ratings, **settings)
        assert objective(found, ratings, **settings) > 1.01 * without


def test_counts_weigh_by_number_and_by_age(ratings):
    counts = ratings.as_kind('counts')
    by_both = fit_ials(counts, 2, **OF_IALS, n_iterations=20, half_life=20)
    weight = by_age(ratings, 20)
    unit = by_both.regularization.count_unit
    expected = weighted_rows(
        dense(ratings, np.ones(len(ratings))),
        dense(ratings, weight * (ratings.rating / unit) ** 0.25),
        by_both.item_factors,
        lambda n: np.full(2, 0.02 * n + 0.5),
        all_pairs=0.2,
    )
    assert np.allclose(by_both.user_factors, expected, atol=2e-3)


def test_taste_that_has_turned_is_followed():
    """Users first like one half of the items, and later the other."""
    rng = np.random.default_rng(1)
    n = 1600
    user, item = np.divmod(rng.permutation(60 * 40)[:n], 40)
    is_late = rng.random(n) < 0.5
    is_liked = (user % 2 == item % 2) == is_late
    columns = {'user': user, 'item': item, 'rating': np.where(is_liked, 5.0, 1.0)}
    days = np.where(is_late, 365, 0) + rng.integers(0, 5, n)
    frame = pd.DataFrame(columns | {'timestamp': days * DAY})
    test = ~is_late | (rng.random(n) < 0.7)
    train = Ratings.from_frame(frame[test], scale=(1, 5))
    late = frame[~test]
    errors = {
        h: np.abs(
            Recommender.fit(train, 'als', n_factors=2, half_life=h, **OF_ALS).predict(
                late[['user', 'item']]
            )
            - late.rating
        ).mean()
        for h in (None, 60)
    }
    assert errors[60] < 0.5 * errors[None]


def test_ratings_without_timestamps_are_refused(ratings):
    timeless = replace(ratings, timestamp=None)
    for solver in ('ials', 'als'):
        assert (
            Recommender.fit(timeless, solver, n_factors=2).settings['half_life'] is None
        )
        with pytest.raises(
            RatingsError, match='no timestamps; name their column: timestamp=…'
        ) as e:
            Recommender.fit(timeless, solver, n_factors=2, half_life=30)
        assert e.value.argument == 'timestamp'


@pytest.mark.parametrize('fit', [fit_ials, fit_als])
def test_a_checkpoint_belongs_to_one_half_life_and_its_times(ratings, tmp_path, fit):
    path = tmp_path / 'fit.npz'
    how = {'n_iterations': 3, 'checkpoint': path}
    first = fit(ratings, 2, half_life=9, **how)
    again = fit(ratings, 2, half_life=9, **how)
    assert np.array_equal(first.item_factors, again.item_factors)
    later = replace(ratings, timestamp=ratings.timestamp[::-1].copy())
    for other in ({'half_life': 8}, {}, {'ratings': later, 'half_life': 9}):
        asked = {'ratings': ratings} | other
        with pytest.raises(ValueError, match='another fit'):
            fit(n_factors=2, **asked, **how)
    # Without a half-life, times do not matter.
    path.unlink()
    fit(ratings, 2, **how)
    fit(later, 2, **how)


@pytest.mark.parametrize('solver', ['ials', 'als'])
def test_new_users_weigh_1_and_are_explained_exactly(ratings, solver):
    settings = OF_IALS if solver == 'ials' else OF_ALS
    model = Recommender.fit(ratings, solver, n_factors=3, half_life=5, **settings)
    history = {3: 5.0, 7: 1.0, 11: 4.0}
    rows = csr_array(
        ([5.0, 1.0, 4.0], ([0] * 3, [model.find(i) for i in history])), shape=(1, 30)
    )
    score = model.predictor.fold_in(rows).scores(0)[model.find(9)]
    parts = model.explain(history, 9)
    assert 'the rest' not in set(parts.part)
    total = parts[parts.columns[-1]].sum()
    assert np.isclose(
        total, np.clip(score, 1, 5) if solver == 'als' else score, atol=1e-4
    )


@pytest.mark.parametrize('solver', ['ials', 'als'])
def test_known_users_are_explained_up_to_the_rest(ratings, solver):
    """What the weights of old ratings change is told as the rest; sums are exact."""
    settings = OF_IALS if solver == 'ials' else OF_ALS
    model = Recommender.fit(ratings, solver, n_factors=3, half_life=5, **settings)
    has_rest = 0
    for user in model.users.index[:20]:
        parts = model.explain(user, 9)
        user_ix, item_ix = model.users.encode([user])[0], model.find(9)
        expected = model.predictor.predict(user_ix, item_ix)
        assert np.isclose(parts[parts.columns[-1]].sum(), expected, atol=5e-3)
        has_rest += 'the rest' in set(parts.part)
    assert has_rest > 10


def test_the_half_life_is_kept_with_the_model(ratings, tmp_path):
    model = Recommender.fit(ratings, n_factors=2, half_life=45.5)
    again = Recommender.load(model.save(tmp_path / 'model.npz'))
    assert again.settings['half_life'] == 45.5 == again.summary()['half_life']
    with pytest.raises(TypeError, match="'half_life' is not a setting of ease"):
        Recommender.fit(ratings, 'ease', half_life=5)


def test_an_update_would_take_old_ratings_for_new_ones(ratings):
    more = ratings.take(slice(3)).to_frame().assign(user_id=1000)
    more = Ratings.from_frame(more, scale=(1, 5))
    assert Recommender.fit(ratings, n_factors=2).update(more) is not None
    decayed = Recommender.fit(ratings, n_factors=2, half_life=9)
    with pytest.raises(ValueError, match='half_life=9.*fit it anew'):
        decayed.update(more)


def test_the_command_weighs_by_age(call, ratings, tmp_path):
    path = tmp_path / 'r.csv'
    ratings.to_frame().to_csv(path, index=False)
    words = ['train', path, '--half-life', 30, '--n-factors', 2, '--no-evaluate']
    code, _, errors = call(*words, '--out', 'out', '--scale', 1, 5)
    assert (code, errors) == (0, '')
    model = Recommender.load(tmp_path / 'out' / 'model.npz')
    assert model.settings['half_life'] == 30
    expected = fit_ials(ratings, 2, half_life=30)
    assert np.allclose(model.predictor.user_factors, expected.user_factors, atol=1e-4)


@pytest.mark.parametrize(
    'words, message',
    [
        (['--half-life', '0'], '--half-life 0.0: it must be a number of days'),
        (['--half-life', '9', '--solver', 'ease'], '--half-life is no setting of ease'),
        (['--half-life', '9', '--tune'], 'leaves age out'),
        (['--half-life', '9', '--timestamp-column', 'none'], '--timestamp-column …'),
    ],
)
def test_the_command_says_why_not(call, ratings, tmp_path, words, message):
    path = tmp_path / 'r.csv'
    ratings.to_frame().to_csv(path, index=False)
    code, _, errors = call('train', path, *words, '--no-evaluate')
    assert code == 2 and message in errors and errors.count('\n') == 1


def test_old_ratings_are_as_good_as_new_ones_if_all_are_old(ratings):
    """One rating that is newer than all others must not undo a fit."""
    same = replace(ratings, timestamp=np.zeros(len(ratings), 'int64'))
    late = same.timestamp.copy()
    late[0] = 360 * DAY
    plain = fit_ials(same, 4)
    decayed = fit_ials(replace(same, timestamp=late), 4, half_life=90)
    sizes = [np.abs(factors.item_factors).mean() for factors in (plain, decayed)]
    assert 0.8 < sizes[1] / sizes[0] < 1.2
