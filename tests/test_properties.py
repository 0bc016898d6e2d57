"Properties that hold for any ratings: splits, scales, errors, batches, order, files."

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from mf_movielens.baselines import damped_biases, popularity
from mf_movielens.ease import fit_ease
from mf_movielens.encoding import Ratings, from_unit, to_unit
from mf_movielens.item_knn import fit_item_knn
from mf_movielens.metrics import mae, rmse
from mf_movielens.recommender import Recommender
from mf_movielens.splits import leave_last_out, random_split, time_split

numbers = st.floats(-1e6, 1e6, width=32)
fitted = settings(max_examples=25, deadline=None)


@st.composite
def tables(draw, min_size=4):
    "Ratings of some pairs of nine users and nine items, with timestamps."
    ids = st.integers(0, 8)
    pairs = draw(
        st.lists(st.tuples(ids, ids), min_size=min_size, max_size=60, unique=True)
    )
    n = len(pairs)
    stars = st.lists(st.integers(1, 5), min_size=n, max_size=n)
    stars = draw(stars.filter(lambda s: len(set(s)) > 1))
    timestamps = draw(st.lists(st.integers(0, 50), min_size=n, max_size=n))
    frame = pd.DataFrame(pairs, columns=['user_id', 'item_id'])
    frame = frame.assign(rating=np.array(stars, float), timestamp=timestamps)
    return Ratings.from_frame(frame, item='item_id', scale=(1, 5))


def rows(ratings):
    "The ratings as a list of (user, item, rating, timestamp)."
    columns = (ratings.user_ix, ratings.item_ix, ratings.rating, ratings.timestamp)
    return list(zip(*(column.tolist() for column in columns)))


def splits_of(ratings, test_fraction, seed):
    "A random split, the last rating of each user, and, if possible, a split by time."
    yield random_split(ratings, test_fraction, seed)
    yield leave_last_out(ratings, 1)
    cut = np.quantile(ratings.timestamp, 1 - test_fraction)
    if cut < ratings.timestamp.max():
        yield time_split(ratings, test_fraction)


@given(tables(min_size=10), st.floats(0.11, 0.89), st.integers(0, 2**32 - 1))
def test_a_split_keeps_every_rating_once(ratings, test_fraction, seed):
    for train, test in splits_of(ratings, test_fraction, seed):
        assert sorted(rows(train) + rows(test)) == sorted(rows(ratings))
        assert not set(rows(train)) & set(rows(test))
        for part in (train, test):
            assert part.users == ratings.users
            assert part.items == ratings.items
            assert part.scale == ratings.scale


@given(tables(min_size=10), st.floats(0.11, 0.89))
def test_splits_by_time_hold_out_what_is_later(ratings, test_fraction):
    _, (train, test), *by_time = splits_of(ratings, test_fraction, 0)
    assert np.isin(test.user_ix, train.user_ix).all()
    newest = pd.Series(train.timestamp).groupby(train.user_ix).max()
    assert (test.timestamp >= newest.loc[test.user_ix].to_numpy()).all()
    for train, test in by_time:
        assert train.timestamp.max() < test.timestamp.min()


@given(st.lists(numbers, min_size=1), numbers, numbers)
def test_scaling_can_be_undone(values, first, second):
    low, high = scale = sorted((first, second))
    values = np.array(values)
    largest = max(1, abs(low), abs(high), np.abs(values).max())
    width = max(1e-30, (high - low) or 1)
    assert np.allclose(
        from_unit(to_unit(values, scale), scale),
        values,
        atol=1e-9 * largest * max(1, largest / width),
        rtol=1e-6,
    )
    if low < high:
        assert list(to_unit(np.array(scale, float), scale)) == [0, 1]


@given(st.lists(st.tuples(numbers, numbers), min_size=1))
def test_metrics_are_those_computed_by_hand(pairs):
    actual, predicted = map(np.array, zip(*pairs))
    errors = [p - a for a, p in pairs]
    n = len(errors)
    by_hand = {
        rmse: math.sqrt(math.fsum(e * e for e in errors) / n),
        mae: math.fsum(map(abs, errors)) / n,
    }
    for metric, expected in by_hand.items():
        found = metric(actual, predicted)
        assert math.isclose(found, expected, rel_tol=1e-6, abs_tol=1e-12)


SETTINGS = {
    'als': dict(n_iterations=3),
    'ials': dict(n_iterations=3),
    'bayes': dict(n_burn_in=0, n_samples=6, time=False),
    'keras': dict(n_iterations=2),
}


def fit(solver, ratings):
    return Recommender.fit(ratings, solver, n_factors=3, **SETTINGS[solver])


def check_recommendations(model, ratings):
    "Known items that the user has not rated, in order; alone and together the same."
    together = model.recommend()
    user_ix = model.users.encode(together.user)
    item_ix = model.items.encode(together.item)
    rated = set(zip(ratings.user_ix.tolist(), ratings.item_ix.tolist()))
    assert not rated & set(zip(user_ix.tolist(), item_ix.tolist()))
    n_rated = np.bincount(ratings.user_ix, minlength=len(ratings.users))
    n_expected = np.minimum(10, len(ratings.items) - n_rated)
    assert len(together) == n_expected.sum()
    for user, own in together.groupby('user'):
        assert (np.diff(own.score) <= 1e-6).all()
        assert own['rank'].tolist() == list(range(1, len(own) + 1))
        assert np.allclose(model.recommend(user).score, own.score, atol=1e-5)


def check_predictions(model):
    "Predictions of many pairs at once are those of each pair alone."
    pairs = [(u, i) for u in model.users.index for i in model.items.index]
    users, items = map(list, zip(*pairs))
    alone = [model.predict(u, i) for u, i in pairs]
    assert np.allclose(model.predict(users, items), alone, atol=1e-5)


def arrays(model):
    "All arrays of the factors and of the ratings that the model has seen."
    return {
        (type(part).__name__, name): value
        for part in (model.predictor, model.seen)
        for name, value in vars(part).items()
        if isinstance(value, np.ndarray)
    }


def check_file(model, folder):
    "A saved model is the same to the bit."
    loaded = Recommender.load(model.save(folder / 'm.npz'))
    before, after = arrays(model), arrays(loaded)
    assert len({part for part, _ in before}) == 2
    assert before.keys() == after.keys()
    for name in before:
        assert before[name].dtype == after[name].dtype
        assert before[name].tobytes() == after[name].tobytes()
    assert loaded.settings == model.settings
    assert loaded.users == model.users
    assert loaded.items == model.items
    pd.testing.assert_frame_equal(
        model.recommend(), loaded.recommend(), check_exact=True
    )


def check_model(model, ratings, folder):
    check_recommendations(model, ratings)
    if model.goal == 'rating':
        check_predictions(model)
    check_file(model, folder)


@fitted
@given(tables(), st.sampled_from(['ials', 'als', 'bayes']))
def test_recommendations_predictions_and_files(tmp_path_factory, ratings, solver):
    check_model(fit(solver, ratings), ratings, tmp_path_factory.mktemp('model'))


def test_recommendations_predictions_and_files_of_keras(tmp_path):
    rng = np.random.default_rng(0)
    pairs = rng.choice(30 * 20, 200, replace=False)
    stars = rng.integers(1, 6, 200) * 1.0
    frame = pd.DataFrame(
        {'user_id': pairs // 20, 'item_id': pairs % 20, 'rating': stars}
    )
    ratings = Ratings.from_frame(frame, item='item_id', scale=(1, 5))
    model = fit('keras', ratings)
    check_model(model, ratings, tmp_path)
    for user in model.users.index[:10]:
        # A new user with the same ratings gets the same recommendations.
        own = frame[frame.user_id == user]
        history = dict(zip(own.item_id.tolist(), own.rating.tolist()))
        folded_in, again = model.fold_in(history, k=20), model.recommend(user, k=20)
        assert len(folded_in) == len(again)
        score = folded_in.set_index('item').score.reindex(again.item)
        assert np.allclose(score, again.score, atol=1e-3)


@fitted
@given(tables(), st.integers(0, 2**32 - 1))
def test_the_order_of_ratings_does_not_change_a_model(ratings, seed):
    "With the same row numbers: in a frame, the order also numbers users and items."
    shuffled = ratings.take(np.random.default_rng(seed).permutation(len(ratings)))
    users = range(len(ratings.users))
    for fit_directly in (damped_biases, popularity, fit_ease, fit_item_knn):
        expected = fit_directly(ratings).scores(users)
        assert np.allclose(expected, fit_directly(shuffled).scores(users), atol=1e-4)
    for solver in ('ials', 'als', 'bayes'):
        expected, found = (
            fit(solver, r)
            .recommend(exclude_seen=False, k=9)
            .set_index(['user', 'item'])
            .score
            for r in (ratings, shuffled)
        )
        assert np.allclose(expected, found.reindex(expected.index), atol=2e-3), solver


@pytest.mark.parametrize(
    'fit_directly', [damped_biases, popularity, fit_ease, fit_item_knn]
)
@fitted
@given(ratings=tables(), seed=st.integers(0, 2**31))
def test_without_a_random_start_the_order_of_a_frame_does_not_matter(
    fit_directly, ratings, seed
):
    frame = ratings.to_frame().sample(frac=1, random_state=seed)
    shuffled = Ratings.from_frame(frame, item='item_id', scale=(1, 5))
    expected = fit_directly(ratings).scores(range(len(ratings.users)))
    user_ix = shuffled.users.encode(ratings.users.index)
    item_ix = shuffled.items.encode(ratings.items.index)
    found = fit_directly(shuffled).scores(user_ix)[:, item_ix]
    assert np.allclose(expected, found, atol=1e-4)
