"""The Bayesian model: synthetic data with known answers, odd shapes, killed fits.

Also files of samples that were cut short, changed, or never were one.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from scipy import sparse
from scipy.special import ndtr

from mf_movielens import gibbs
from mf_movielens.baselines import damped_biases
from mf_movielens.bayes import GibbsSampler, bayes_settings, fit_bayes
from mf_movielens.encoding import Ratings, RatingsError, Vocabulary, build_csr
from mf_movielens.metrics import rmse
from mf_movielens.model_file import ModelFileError
from mf_movielens.posterior import (
    MAX_TIMESTAMP,
    POSTERIOR_FORMAT,
    POSTERIOR_VERSION,
    Posterior,
    _NewUser as NewUser,
    coverage_table,
    log_score,
)
from mf_movielens.recommender import Recommender
from mf_movielens.storage import save_arrays

SECONDS_PER_DAY = 86_400
SHORT = dict(n_factors=3, n_burn_in=1, n_samples=11, progress=False)


def random_ratings(seed, n_users=30, n_items=20, share=0.3, timed=True):
    """Stars from 1 to 5 for a share of the pairs, without any structure."""
    rng = np.random.default_rng(seed)
    user_ix, item_ix = np.nonzero(rng.random((n_users, n_items)) < share)
    order = rng.permutation(len(user_ix))
    timestamp = rng.integers(0, 20 * SECONDS_PER_DAY, len(order)) if timed else None
    return Ratings(
        user_ix[order].astype('int32'),
        item_ix[order].astype('int32'),
        rng.integers(1, 6, len(order)).astype('float32'),
        Vocabulary(range(n_users), 'user'),
        Vocabulary(range(n_items)),
        (1, 5),
        timestamp,
    )


def planted_ratings(seed=0, n_users=300, n_items=200, k=2):
    """Training and test ratings from known utilities, and the noise precisions."""
    rng = np.random.default_rng(seed)
    user_ix, item_ix = np.nonzero(rng.random((n_users, n_items)) < 0.25)
    P = rng.normal(0, 0.7, (n_users, k))
    Q = rng.normal(0, 0.7, (n_items, k))
    noise_precision = rng.gamma(3, 1 / 3, n_users)
    user_bias = rng.normal(0, 0.5, n_users)
    item_bias = rng.normal(0, 0.7, n_items)
    mean = user_bias[user_ix] + item_bias[item_ix] + (P[user_ix] * Q[item_ix]).sum(1)
    noise = rng.normal(size=len(mean)) * noise_precision[user_ix] ** -0.5
    stars = 1 + np.searchsorted([-1.5, -0.5, 0.4, 1.5], mean + noise)
    ratings = Ratings(
        user_ix.astype('int32'),
        item_ix.astype('int32'),
        stars.astype('float32'),
        Vocabulary(range(n_users), 'user'),
        Vocabulary(range(n_items)),
        (1, 5),
    )
    is_held_out = rng.random(len(user_ix)) < 0.1
    return ratings.take(~is_held_out), ratings.take(is_held_out), noise_precision


def one_history(item_ix, rating, n_items):
    """The ratings of one new user."""
    return build_csr(
        np.zeros(len(item_ix), int), np.array(item_ix), np.array(rating), (1, n_items)
    )


def assert_same_samples(one, other):
    """Both posteriors hold the same arrays, to the bit."""
    arrays, others = one.to_arrays(), other.to_arrays()
    assert arrays.keys() == others.keys()
    for name, array in arrays.items():
        assert np.array_equal(array, others[name]), name


def test_planted_values_are_found_and_intervals_cover_as_promised():
    train, test, noise_precision = planted_ratings()
    chain = dict(n_factors=3, n_burn_in=15, n_samples=135, progress=False)
    posterior = fit_bayes(train, **chain)
    table = coverage_table(posterior, test)
    spread = 2.6 * np.sqrt(table.nominal * (1 - table.nominal) / len(test))
    assert ((table.covered - table.nominal).abs() < spread + 0.01).all()
    log_sd = np.log(posterior.user_noise_scale.mean(0))
    assert np.corrcoef(log_sd, -np.log(noise_precision) / 2)[0, 1] > 0.6
    cutpoints = posterior.cutpoints.mean(0)
    assert (np.diff(cutpoints) > 0).all()
    # The noise has variance 1 in the middle of the users, and so the unit is known.
    assert abs((cutpoints[-1] - cutpoints[0]) - 3) < 0.5
    same_noise = fit_bayes(train, **chain, user_noise=False)
    assert log_score(posterior, test) > log_score(same_noise, test)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.sampled_from(['probit', 'normal']))
def test_neither_the_order_of_ratings_nor_threads_matter(seed, timed, likelihood):
    ratings = random_ratings(seed, timed=timed)
    order = np.random.default_rng(seed + 1).permutation(len(ratings))
    chain = SHORT | dict(likelihood=likelihood)
    one = fit_bayes(ratings, **chain)
    other = fit_bayes(ratings.take(order), **chain, n_threads=2)
    assert_same_samples(one, other)


def test_a_one_takes_the_place_of_the_bias_of_an_item():
    posterior = fit_bayes(random_ratings(0), **SHORT)
    rng = np.random.default_rng(0)
    user = NewUser(posterior, np.array([4, 7]), np.array([5.0, 1.0]), rng)
    items = posterior.item_samples[:, [4, 7]]
    assert user.regressors.shape[2] == 4
    assert np.array_equal(user.regressors[..., :-1], items[..., :-1])
    assert (user.regressors[..., -1] == 1).all()
    assert np.array_equal(user.item_bias, items[..., -1])


def test_ratings_on_another_scale_are_predicted_on_it():
    ratings = random_ratings(0)
    higher = replace(ratings, rating=2 * ratings.rating + 10, scale=(12, 20))
    predictions = [
        fit_bayes(r, **SHORT, likelihood='normal', prior_scale=1.0).predict(
            r.user_ix, r.item_ix
        )
        for r in (ratings, higher)
    ]
    assert np.allclose(2 * predictions[0] + 10, predictions[1], atol=1e-3)


@pytest.mark.parametrize(
    'ratings, k',
    [
        (random_ratings(0, 1, 3, 2), 3),
        (random_ratings(0, 1, 20, 2), 3),
        (random_ratings(0, 20, 1, 2), 3),
        (random_ratings(1, 5, 4, 0.5), 60),
        (random_ratings(2, 3, 500, 0.02), 2),
    ],
)
@pytest.mark.parametrize('likelihood', ['probit', 'normal'])
def test_small_and_odd_shapes_are_finite(ratings, k, likelihood):
    chain = dict(n_burn_in=2, n_samples=18, progress=False)
    posterior = fit_bayes(ratings, n_factors=k, likelihood=likelihood, **chain)
    pairs = ratings.user_ix, ratings.item_ix, ratings.timestamp
    intervals = posterior.prediction_intervals(*pairs)
    assert np.isfinite(intervals).all(axis=None)
    assert intervals['low'].min() >= 1
    assert intervals['high'].max() <= 5
    all_users = np.arange(len(ratings.users))
    assert np.isfinite(posterior.scores(all_users, 'low')).all()
    history = one_history([0], ratings.rating[:1], len(ratings.items))
    assert np.isfinite(posterior.fold_in(history).scores(0)).all()


def test_parts_can_be_switched_off():
    ratings = random_ratings(4)
    for off in (
        dict(implicit=False),
        dict(time=False),
        dict(time='days'),
        dict(time='user_days'),
        dict(user_noise=False),
    ):
        posterior = fit_bayes(ratings, **SHORT, **off)
        has_implicit = bool(posterior.implicit_effects.size)
        assert has_implicit == off.get('implicit', True)
        assert (posterior.time is not None) == (off.get('time') is not False)
        all_alike = (posterior.user_noise_scale == 1).all()
        assert all_alike == (off.get('user_noise') is False)
        if off.get('time') == 'days':
            assert posterior.time.day_samples.any()
            assert not posterior.time.user_day_bias.any()
            assert not posterior.time.user_day_sd.any()
        if off.get('time') == 'user_days':
            assert posterior.time.user_day_bias.any()
            assert not posterior.time.day_samples.any()
    with pytest.raises(RatingsError, match='no timestamps'):
        fit_bayes(replace(ratings, timestamp=None), time=True)


def test_a_prediction_with_unknown_time_is_less_certain():
    ratings = random_ratings(7, 60, 40, 0.5)
    is_odd_day = ratings.timestamp // SECONDS_PER_DAY % 2
    shifted = np.clip(ratings.rating + 2 * is_odd_day - 1, 1, 5).astype('float32')
    chain = dict(n_factors=2, n_burn_in=6, n_samples=54, progress=False)
    posterior = fit_bayes(replace(ratings, rating=shifted), **chain)

    def mean_entropy(probabilities):
        logs = np.log(np.maximum(probabilities, 1e-12))
        return -(probabilities * logs).sum(axis=1).mean()

    pairs = ratings.user_ix[:200], ratings.item_ix[:200]
    unknown = mean_entropy(posterior.probabilities(*pairs))
    known = mean_entropy(posterior.probabilities(*pairs, ratings.timestamp[:200]))
    assert unknown > known
    # Nothing is known of either day.
    five = ratings.user_ix[:5], ratings.item_ix[:5]
    one_day = posterior.probabilities(*five, 10**9)
    assert np.allclose(one_day, posterior.probabilities(*five, 2 * 10**9))


FIT = """
import time
from mf_movielens.data import synthetic
from mf_movielens.encoding import Ratings
from mf_movielens.bayes import fit_bayes

ratings = Ratings.from_frame(synthetic().ratings.head(4_000))

def work(checkpoint, out):
    posterior = fit_bayes(
        ratings,
        n_factors=3,
        n_burn_in=10,
        n_samples=90,
        n_kept_samples=5,
        checkpoint=None if checkpoint == '-' else checkpoint,
        on_iteration=lambda record: time.sleep(.01),
        progress=False,
    )
    posterior.save(out)
"""


def test_a_killed_fit_continues_to_the_same_result(tmp_path, kill_and_resume):
    through, resumed = tmp_path / 'through.npz', tmp_path / 'resumed.npz'
    kill_and_resume(FIT, tmp_path / 'checkpoint.npz', through, resumed)
    assert_same_samples(Posterior.load(through), Posterior.load(resumed))


def test_a_resumed_fit_makes_only_the_iterations_that_are_left(tmp_path, monkeypatch):
    made, iterate = [], GibbsSampler.iterate

    def counted(sampler, *map_tasks):
        made.append(sampler)
        iterate(sampler, *map_tasks)

    def interrupt(record):
        if record['iteration'] == 25:
            raise InterruptedError

    monkeypatch.setattr(GibbsSampler, 'iterate', counted)
    chain = SHORT | dict(n_samples=29, checkpoint=tmp_path / 'fit.npz')
    with pytest.raises(InterruptedError):
        fit_bayes(random_ratings(4), **chain, on_iteration=interrupt)
    made.clear()
    fit_bayes(random_ratings(4), **chain)
    # The checkpoint is of the twentieth iteration, of thirty.
    assert len(made) == 10


def test_a_sampler_goes_on_from_any_iteration():
    "Also between two checkpoints, where the prediction is not computed anew."
    ratings = random_ratings(4)
    settings = dict(n_factors=2, time=True)
    one, other = GibbsSampler(ratings, **settings), GibbsSampler(ratings, **settings)
    for _ in range(3):
        one.iterate()
    other.restore(one.to_arrays())
    other.rng.bit_generator.state = one.rng.bit_generator.state
    for sampler in (one, other):
        sampler.iterate()
    found, expected = other.to_arrays(), one.to_arrays()
    assert list(found) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, name)


@pytest.mark.parametrize('time', [False, True])
@pytest.mark.parametrize('user_noise', [False, True])
@pytest.mark.parametrize('likelihood', ['probit', 'normal'])
def test_a_record_tells_what_is_sampled(likelihood, user_noise, time):
    chain = dict(n_factors=2, likelihood=likelihood, user_noise=user_noise, time=time)
    sampler = GibbsSampler(random_ratings(5), **chain)
    for _ in range(2):
        sampler.iterate()
    cutpoints = [f'cutpoint{j}' for j in range(1, 5)] if likelihood == 'probit' else []
    state = sampler.to_arrays()
    expected = {
        'iteration': 2,
        'noise_sd': state['noise_precision'] ** -0.5,
        'users_rms': np.sqrt(np.mean(sampler.users.factors**2)),
        'items_rms': np.sqrt(np.mean(sampler.items.factors**2)),
        **dict(zip(cutpoints, state.get('cutpoints', []))),
        **({'user_day_sd': state['user_day_precision'] ** -0.5} if time else {}),
        **({'noise_shape': state['noise_shape']} if user_noise else {}),
        'users_reg0': sampler.users.features[0].reg,
        'items_reg0': sampler.items.features[0].reg,
    }
    expected = {name: float(value) for name, value in expected.items()}
    assert sampler.record() == pytest.approx(expected)


def test_factors_of_a_sample_are_the_mean_of_the_days_of_each_user():
    ratings = replace(random_ratings(7), scale=(-50, 50))  # nothing is cut off
    chain = dict(n_factors=2, n_burn_in=1, n_samples=3, n_kept_samples=1)
    posterior = fit_bayes(ratings, likelihood='normal', **chain, progress=False)
    factors = posterior.sample(0)
    for user in range(8):
        timestamps = ratings.timestamp[ratings.user_ix == user]
        for item in (0, 5, 11):
            pairs = np.full(len(timestamps), user), np.full(len(timestamps), item)
            on_days = posterior.predict(*pairs, timestamps)
            assert np.ptp(on_days) > 0.001
            assert factors.predict([user], [item]) == pytest.approx(on_days.mean())


class Interrupted(Exception):
    pass


@pytest.fixture(scope='module')
def interrupted(tmp_path_factory):
    """The arrays of a checkpoint after 40 iterations, and how to continue from it."""
    path = tmp_path_factory.mktemp('interrupted') / 'checkpoint.npz'
    chain = dict(n_factors=2, n_burn_in=5, n_samples=55, progress=False)

    def interrupt(record):
        if record['iteration'] == 41:
            raise Interrupted

    def resume(**more):
        return fit_bayes(random_ratings(3), **chain, checkpoint=path, **more)

    with pytest.raises(Interrupted):
        resume(on_iteration=interrupt)
    with np.load(path) as z:
        return path, {name: z[name] for name in z.files}, resume


@pytest.mark.parametrize('how', ['gone', 'short', 'nan', 'text'])
@pytest.mark.parametrize(
    'name',
    ['users_factors', 'cutpoints', 'n_iterations', 'rng_state', 'sample_user_samples'],
)
def test_a_damaged_checkpoint_is_refused(interrupted, name, how):
    path, arrays, resume = interrupted
    arrays = dict(arrays)
    array = arrays.pop(name)
    if how != 'gone':
        short = array[:-1] if array.ndim else np.repeat(array, 2)
        arrays[name] = short if how == 'short' else damage(array, how)
    save_arrays(path, **arrays)
    with pytest.raises(ValueError, match='Remove it to start afresh'):
        resume()


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
    posterior = fit_bayes(random_ratings(9), **SHORT)
    return posterior.save(tmp_path_factory.mktemp('saved') / 'posterior.npz')


def damage(array, how):
    """An array that does not belong where this one was."""
    damaged = {
        'nan': np.full(array.shape, np.nan),
        'short': array[:-1] if array.ndim else array,
        'text': np.array('five'),
        'flat': array.ravel(),
        'huge': np.full(array.shape, 10**9),
        'negative': -np.ones(array.shape),
    }
    return damaged[how]


DAMAGES = ['nan', 'short', 'text', 'bytes', 'flat', 'huge', 'negative', 'gone']


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_changed_file_is_refused_or_answers(saved, tmp_path_factory, data):
    raw = saved.read_bytes()
    path = tmp_path_factory.mktemp('hostile') / 'posterior.npz'
    arrays = Posterior.load(saved).to_arrays()
    name = data.draw(st.sampled_from(sorted(arrays)))
    how = data.draw(st.sampled_from(DAMAGES))
    if how == 'bytes':
        first = data.draw(st.integers(0, len(raw) - 1))
        size = data.draw(st.integers(1, 200))
        noise = data.draw(st.binary(min_size=size, max_size=size))
        path.write_bytes(raw[:first] + noise + raw[first + size :])
    else:
        array = np.asarray(arrays.pop(name))
        if how != 'gone':
            arrays[name] = damage(array, how)
        header = dict(format=POSTERIOR_FORMAT, version=POSTERIOR_VERSION)
        save_arrays(path, **header, **arrays)
    try:
        posterior = Posterior.load(path)
    except ValueError as e:
        assert str(path) in str(e)
    else:
        assert posterior.probabilities(0, [0, 1]).shape[0] == 2


def test_what_is_no_posterior_is_refused_in_one_sentence(tmp_path, saved):
    raw = saved.read_bytes()
    path = tmp_path / 'x.npz'
    path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(ValueError, match='not a saved posterior'):
        Posterior.load(path)
    save_arrays(path, x=np.ones(2))
    with pytest.raises(ValueError, match='not a saved posterior'):
        Posterior.load(path)
    arrays = Posterior.load(saved).to_arrays()
    header = dict(format=POSTERIOR_FORMAT, version=POSTERIOR_VERSION + 1)
    save_arrays(path, **header, **arrays)
    with pytest.raises(ValueError, match='newer version'):
        Posterior.load(path)


def test_a_bayesian_recommender_is_the_same_after_the_file(tmp_path):
    ratings = random_ratings(11)
    model = Recommender.fit(ratings, 'bayes', **SHORT)
    again = Recommender.load(model.save(tmp_path / 'model.npz'))
    users = ratings.users.decode(ratings.user_ix)
    items = ratings.items.decode(ratings.item_ix)
    assert (model.predict(users, items) == again.predict(users, items)).all()
    assert model.intervals(users, items).equals(again.intervals(users, items))
    for by in ('mean', 'low', 'high'):
        recommended = model.recommend(by=by)
        assert recommended.equals(again.recommend(by=by))
        new_user = model.fold_in({0: 5, 3: 1}, by=by)
        assert new_user.equals(again.fold_in({0: 5, 3: 1}, by=by))
        pairs = set(zip(recommended.user, recommended['item']))
        assert not pairs & set(zip(users, items))
        steps = recommended.groupby('user').score.diff().dropna()
        assert (steps <= 1e-6).all()
    with np.load(tmp_path / 'model.npz') as z:
        arrays = {name: z[name] for name in z.files}
    arrays['draws_item'] = arrays['draws_item'][:, :-1]
    save_arrays(tmp_path / 'bad.npz', **arrays)
    with pytest.raises(ModelFileError, match='damaged'):
        Recommender.load(tmp_path / 'bad.npz')


def test_ratings_of_many_values_need_the_normal_likelihood():
    ratings = random_ratings(12)
    rating = ratings.rating / 5 + np.linspace(0, 0.1, len(ratings))
    ratings = replace(ratings, rating=rating.astype('float32'), scale=(0, 2))
    with pytest.raises(RatingsError, match="likelihood='normal'"):
        fit_bayes(ratings, likelihood='probit')
    posterior = fit_bayes(ratings, **SHORT)
    assert posterior.likelihood == 'normal'
    assert posterior.prediction_intervals([0], [0], level=0.5).low[0] >= 0
    with pytest.raises(ValueError, match='different values'):
        posterior.probabilities(0, 0)


def with_values(values, n_times):
    """Each value so often, by users of items."""
    rating = np.tile(np.array(values, 'float32'), n_times)
    n = len(rating)
    return Ratings(
        np.arange(n, dtype='int32') % 7,
        np.arange(n, dtype='int32') // 7,
        rating,
        Vocabulary(range(7), 'user'),
        Vocabulary(range(n // 7 + 1)),
        (float(min(values)), float(max(values))),
    )


@pytest.mark.parametrize(
    'values, n_times, likelihood',
    [
        ([1, 2, 3, 4, 5], 1, 'probit'),
        ([0.5, 1, 4.5, 5], 1, 'probit'),
        ([-0.1, 0.1, 0.2], 1, 'probit'),
        (range(20), 1, 'probit'),
        (range(21), 50, 'normal'),
        ([1, 20], 1, 'probit'),
        ([0, 1, 20], 9, 'normal'),
        ([0, 1, 20], 10, 'probit'),
        ([1, 2, 5, 10, 100], 30, 'probit'),
        (np.random.default_rng(0).random(12), 1, 'normal'),
        ([3], 5, 'probit'),
    ],
)
def test_few_values_are_categories_and_many_are_numbers(values, n_times, likelihood):
    ratings = with_values(values, n_times)
    assert bayes_settings(ratings)['likelihood'] == likelihood
    other = {'probit': 'normal', 'normal': 'probit'}[likelihood]
    assert bayes_settings(ratings, {'likelihood': other})['likelihood'] == other


def block(n_users, n_items):
    """All users rate all items alike."""
    ratings = random_ratings(0, n_users, n_items, 2, timed=False)
    return replace(ratings, rating=np.full(len(ratings), 3, 'float32'))


def test_the_prior_of_factors_is_as_weak_as_ratings_are_many():
    assert bayes_settings(block(20, 30))['prior_scale'] == 20 * 30 / 40**2
    assert bayes_settings(block(40, 40))['prior_scale'] == 1
    assert bayes_settings(block(100, 50))['prior_scale'] == 1
    assert bayes_settings(block(3, 2))['prior_scale'] == 0.01
    # An average over ratings, not over users: most ratings are of the first user.
    ratings = block(10, 50)
    ratings = ratings.take((ratings.user_ix == 0) | (ratings.item_ix == 0))
    of_user, of_item = (50 * 50 + 9) / 59, (10 * 10 + 49) / 59
    found = bayes_settings(ratings)['prior_scale']
    assert found == pytest.approx(of_user * of_item / 40**2, abs=1e-4)
    assert bayes_settings(ratings, {'prior_scale': 0.5})['prior_scale'] == 0.5


@pytest.mark.parametrize('shape', [(8, 90), (90, 8), (60, 50)])
def test_a_factor_that_can_be_seen_makes_the_prior_weak(shape):
    rng = np.random.default_rng(0)
    users, items = np.nonzero(rng.random(shape) < 0.3)
    bias = rng.normal(size=shape[0])[users] + rng.normal(size=shape[1])[items]
    factor = rng.normal(size=shape[0])[users] * rng.normal(size=shape[1])[items]
    noise = rng.normal(size=len(users))

    def scale(size_of_factor, order):
        values = 100 * (bias + noise + size_of_factor * factor)
        ratings = Ratings(
            users[order].astype('int32'),
            items[order].astype('int32'),
            values[order].astype('float32'),
            Vocabulary(range(shape[0]), 'user'),
            Vocabulary(range(shape[1])),
            (values.min(), values.max()),
        )
        return bayes_settings(ratings)['prior_scale']

    in_order = np.arange(len(users))
    assert scale(0, in_order) < 0.5
    assert scale(4, in_order) == 1
    shuffled = rng.permutation(in_order)
    for size_of_factor in (0, 0.5, 1, 4):
        assert scale(size_of_factor, shuffled) == scale(size_of_factor, in_order)


def test_settings_by_the_data_are_those_of_the_fit():
    ratings = random_ratings(20)
    found = bayes_settings(ratings)
    assert_same_samples(
        fit_bayes(ratings, **SHORT), fit_bayes(ratings, **SHORT, **found)
    )
    model = Recommender.fit(ratings, 'bayes', **SHORT)
    assert {name: model.settings[name] for name in found} == found
    weak = fit_bayes(ratings, **SHORT, prior_scale=1)
    assert not np.array_equal(model.predictor.user_samples, weak.user_samples)


def ratings_without_factors(n_users=300, n_items=300, n_ratings=1200):
    """Numbers from biases and noise of each item, and the means of held-out pairs."""
    rng = np.random.default_rng(3)
    pairs = rng.choice(n_users * n_items, 2 * n_ratings, replace=False)
    user_ix, item_ix = np.divmod(pairs, n_items)
    mean = rng.normal(0, 8, n_users)[user_ix] + rng.normal(0, 10, n_items)[item_ix]
    noise_sd = 20 * rng.gamma(4, 1 / 4, n_items)[item_ix]
    rating = np.clip(
        np.round(50 + mean + noise_sd * rng.normal(size=len(mean))), 0, 100
    )
    ratings = Ratings(
        user_ix.astype('int32'),
        item_ix.astype('int32'),
        rating.astype('float32'),
        Vocabulary(range(n_users), 'user'),
        Vocabulary(range(n_items)),
        (0, 100),
    )
    order = np.arange(len(ratings))
    return ratings.take(order < n_ratings), ratings.take(order >= n_ratings)


def test_few_numbers_are_predicted_no_worse_than_by_biases():
    train, test = ratings_without_factors()
    chain = dict(n_burn_in=20, n_samples=150, progress=False)

    def error(predictor):
        return rmse(test.rating, predictor.predict(test.user_ix, test.item_ix))

    def factors_sd(posterior):
        """How much the factors explain, in standard deviations of the ratings."""
        P = posterior.user_samples[:, train.user_ix, :-1]
        Q = posterior.item_samples[:, train.item_ix, :-1]
        return (P * Q).sum(2).std()

    posterior = fit_bayes(train, **chain)
    assert error(posterior) < 1.01 * error(damped_biases(train))
    assert factors_sd(posterior) < 0.1
    # With a weak prior, factors that do not exist explain more than half of the noise.
    weak = fit_bayes(train, **chain, prior_scale=1)
    assert factors_sd(weak) > 0.5
    assert weak.noise_sd.mean() < 0.7 * posterior.noise_sd.mean()


def test_a_prior_scale_is_a_positive_number():
    for wrong in (0, -1, np.nan, np.inf, 'weak', 1e4):
        with pytest.raises(ValueError, match='prior_scale='):
            fit_bayes(random_ratings(1), prior_scale=wrong)


def test_side_features_may_be_any_numbers_and_need_not_have_mean_zero():
    ratings = random_ratings(13)
    rng = np.random.default_rng(0)
    flags = rng.random((30, 3)) < 0.5
    age = rng.integers(18, 60, (30, 1))

    def fit(X):
        return fit_bayes(ratings, {'users': X}, **SHORT)

    assert_same_samples(fit(flags), fit(flags.astype('float64')))
    of_floats = fit(age.astype('float64'))
    for X in (age.astype('uint8'), pd.DataFrame(age)):
        assert np.array_equal(fit(X).user_samples, of_floats.user_samples)
    # An age of zero is not an average age.
    shifted = fit(age + 100.0)
    assert np.allclose(of_floats.user_samples, shifted.user_samples, atol=1e-3)
    for wrong, message in (
        (sparse.eye(30).tocsr(), 'sparse'),
        (np.ones((30, 0)), 'numbers'),
        (np.full((30, 2), 'x'), 'numbers'),
        (np.full((30, 1), np.nan), 'finite'),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            fit(wrong)


def test_two_different_ratings_are_enough_and_one_is_not():
    ratings = random_ratings(0)
    for likelihood in ('probit', 'normal'):
        two = replace(ratings, rating=np.where(ratings.rating > 3, 5, 1).astype('f4'))
        posterior = fit_bayes(two, likelihood=likelihood, **SHORT)
        predictions = posterior.predict(two.user_ix, two.item_ix)
        assert ((predictions >= 1) & (predictions <= 5)).all()
        one = replace(ratings, rating=np.full(len(ratings), 4, 'f4'))
        with pytest.raises(RatingsError, match='all ratings are 4'):
            fit_bayes(one, likelihood=likelihood, **SHORT)


def test_odd_settings_are_understood_or_refused():
    ratings = random_ratings(14)
    odd = dict(
        n_factors=np.int64(2),
        n_burn_in=0.0,
        n_samples=5.0,
        seed=np.int64(3),
        n_kept_samples=2.0,
    )
    plain = dict(n_factors=2, n_burn_in=0, n_samples=5, seed=3, n_kept_samples=2)
    one = fit_bayes(ratings, **odd, progress=False)
    assert_same_samples(one, fit_bayes(ratings, **plain, progress=False))
    assert len(one) == 2
    for wrong in (
        dict(time=1),
        dict(time='hours'),
        dict(n_factors=2.5),
        dict(n_kept_samples=0),
        dict(n_threads=0),
    ):
        ((name, value),) = wrong.items()
        with pytest.raises(ValueError, match=f'^{name}={value!r}: '):
            fit_bayes(ratings, **wrong)
    milliseconds = (ratings.timestamp + 10**9) * 1000
    with pytest.raises(RatingsError, match='milliseconds'):
        fit_bayes(replace(ratings, timestamp=milliseconds))
    with pytest.raises(TypeError, match='valid'):
        fit_bayes(ratings, valid=3)


@pytest.mark.parametrize('n_kept', [1, 4, 7, 20])
def test_kept_samples_are_evenly_spaced_and_the_last_is_one(n_kept):
    ratings = random_ratings(18)
    chain = dict(n_factors=2, n_burn_in=3, n_samples=12, progress=False)
    every = fit_bayes(ratings, **chain)
    some = fit_bayes(ratings, **chain, n_kept_samples=n_kept)
    assert len(every) == 12
    assert len(some) == min(n_kept, 12)
    kept = [
        int(np.flatnonzero((every.user_samples == user).all((1, 2)))[0])
        for user in some.user_samples
    ]
    assert kept[-1] == 11
    gaps = np.diff([-1, *kept])
    assert gaps.max() - gaps.min() <= 1


def test_an_unknown_day_is_like_no_timestamp_for_everybody():
    ratings = random_ratings(15)
    posterior = fit_bayes(ratings, **SHORT)
    history = one_history([0, 3], [5.0, 1.0], len(ratings.items))
    for p in (posterior, posterior.fold_in(history)):
        unknown = p.probabilities(0, [1, 2])
        assert np.array_equal(p.probabilities(0, [1, 2], 10**9), unknown)
        known = p.probabilities(0, [1, 2], int(ratings.timestamp[0]))
        assert not np.array_equal(known, unknown)
    # One pair at seven times.
    assert posterior.probabilities(0, 1, ratings.timestamp[:7]).shape == (7, 5)
    with pytest.raises(TypeError, match='seconds'):
        posterior.predict(0, 1, np.datetime64('2020-01-01'))


def test_ratings_need_not_be_whole_numbers():
    ratings = random_ratings(16)
    rating = (ratings.rating + 0.1).astype('float32')
    ratings = replace(ratings, rating=rating, scale=(1.1, 5.1))
    posterior = fit_bayes(ratings, **SHORT)
    at_least = posterior.probability_at_least(4.1, 0, 0)
    assert np.allclose(at_least, posterior.probabilities(0, 0).iloc[0, 3:].sum())
    history = one_history([0], [4.1], len(ratings.items))
    assert posterior.fold_in(history).predict([0], [1]).size == 1


@pytest.mark.parametrize('level', [0.5, 0.9, 0.99])
def test_intervals_of_numbers_have_the_promised_probability(level):
    ratings = replace(random_ratings(17), scale=(-100, 100))
    posterior = fit_bayes(ratings, **SHORT, likelihood='normal', time=False)
    pairs = ratings.user_ix[:50], ratings.item_ix[:50]
    intervals = posterior.prediction_intervals(*pairs, level=level)
    probabilities = []
    for index in range(len(posterior)):
        mean, sd = posterior.latent_distribution(index, *pairs)
        below_high = ndtr((intervals.high - mean) / sd)
        probabilities.append(below_high - ndtr((intervals.low - mean) / sd))
    assert np.allclose(np.mean(probabilities, axis=0), level, atol=1e-5)


@pytest.mark.parametrize('shape', [(300, 400), (400, 300)])
def test_directions_of_a_large_table_are_nearly_the_strongest(shape):
    "They are orthonormal, the same with threads, and leave out hardly more than exact."
    rng = np.random.default_rng(19)
    popularity = rng.random(shape[1]) ** 3
    is_rated = rng.random(shape) < popularity
    # Some rows and columns have nothing, so that there are fewer than 280 directions.
    is_rated[:25], is_rated[:, :150] = False, False
    X = sparse.csr_array(is_rated.astype('float32'))
    exact = np.linalg.svd(is_rated.astype('float64'))[1]

    def directions(map_tasks):
        return gibbs._principal_directions(X, 20, 40, map_tasks)

    U, s, V = directions(map)
    with ThreadPoolExecutor(3) as pool:
        for one, other in zip((U, s, V), directions(pool.map)):
            assert np.array_equal(one, other)
    assert np.allclose(U.T @ U, np.eye(40), atol=1e-5)
    assert np.allclose(V.T @ V, np.eye(40), atol=1e-5)
    assert np.allclose(U * s, X @ V, atol=1e-4)
    assert np.allclose(s[::-1][:5], exact[:5], rtol=1e-3)
    assert 0.97 < (s**2).sum() / (exact[:40] ** 2).sum() <= 1 + 1e-5


def test_directions_end_where_the_table_has_no_more():
    rng = np.random.default_rng(20)
    X = rng.normal(size=(90, 3)) @ rng.normal(size=(3, 80))
    for table in (X, X.T, np.zeros((90, 80))):
        group = sparse.csr_array(table.astype('float32'))
        U, s, V = gibbs._principal_directions(group, max_exact=20, rank=10)
        assert len(s) == np.linalg.matrix_rank(table)
        assert np.allclose(U * s @ V.T, table, atol=1e-4)


@pytest.mark.parametrize('max_exact', [20, 2048])
def test_features_that_are_the_same_for_all_but_for_rounding_are_none(max_exact):
    rng = np.random.default_rng(21)
    # What is left of a constant, less its mean.
    rounding = 1e-17 * rng.choice([-1.0, 1.0], (90, 40))
    for X in (rounding, rounding.T):
        table = sparse.csr_array(X)
        U, s, V = gibbs._principal_directions(table, max_exact=max_exact, rank=10)
        assert (U.shape, s.shape, V.shape) == ((len(X), 0), (0,), (X.shape[1], 0))


def test_loadings_are_kept_only_for_implicit_feedback_of_new_users():
    X = {'users': np.eye(30), 'items': np.eye(20)}
    sampler = GibbsSampler(random_ratings(4), X, n_factors=2)
    groups = [g for name in ('users', 'items') for g in sampler.tables[name].features]
    assert len(groups) == 4
    for group in groups:
        if group is sampler.implicit_features:
            assert group.feature_effects().shape == (20, 3)
        else:
            with pytest.raises(ValueError, match='not kept'):
                group.feature_effects()


def test_the_first_and_the_last_moment_can_be_rated():
    ratings = random_ratings(14)
    moments = np.where(np.arange(len(ratings)) % 2, -MAX_TIMESTAMP, MAX_TIMESTAMP)
    for sign in (-1, 1):
        posterior = fit_bayes(replace(ratings, timestamp=sign * moments), **SHORT)
        assert np.isfinite(posterior.predict(0, 0, sign * MAX_TIMESTAMP)).all()
        later = replace(ratings, timestamp=moments + sign)
        with pytest.raises(RatingsError, match='no moment'):
            fit_bayes(later, **SHORT)


def test_the_samples_that_are_kept_come_after_the_burn_in():
    """With the same seed, they are the states of a chain that is run by hand."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({'user': rng.integers(12, size=90)})
    frame['item'] = rng.integers(9, size=90)
    frame = frame.drop_duplicates()
    frame['rating'] = rng.integers(1, 6, len(frame)).astype(float)
    ratings = Ratings.from_frame(frame, scale=(1, 5))
    how = {'n_factors': 2, 'seed': 5, 'prior_scale': 1.0, 'likelihood': 'normal'}
    found = fit_bayes(ratings, n_burn_in=3, n_samples=2, progress=False, **how)
    sampler = GibbsSampler(ratings, **how)
    states = []
    for _ in range(5):
        sampler.iterate()
        states.append(sampler.users.factors.copy())
    assert len(found) == 2
    for sample, state in zip(found.user_samples, states[3:]):
        np.testing.assert_allclose(sample, state, rtol=1e-5)
