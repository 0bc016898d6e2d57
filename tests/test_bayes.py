"The Bayesian model: planted answers, any order and any shape, fits that are killed, and files that say anything."

import subprocess, sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from hypothesis import given, settings, strategies as st

from mf_movielens.bayes import fit_bayes
from mf_movielens.encoding import Ratings, RatingsError, Vocabulary, build_csr
from mf_movielens.factors import put_arrays
from mf_movielens.posterior import (
    POSTERIOR_FORMAT,
    POSTERIOR_VERSION,
    Posterior,
    coverage_table,
    log_score,
)
from mf_movielens.recommender import ModelFileError, Recommender


def drawn(seed, n_users=30, n_items=20, share=0.3, timed=True):
    rng = np.random.default_rng(seed)
    u, i = np.nonzero(rng.random((n_users, n_items)) < share)
    order = rng.permutation(len(u))
    u, i = u[order].astype('int32'), i[order].astype('int32')
    when = rng.integers(0, 20 * 86_400, len(u)) if timed else None
    return Ratings(
        u,
        i,
        rng.integers(1, 6, len(u)).astype('float32'),
        Vocabulary(range(n_users), 'user'),
        Vocabulary(range(n_items)),
        (1, 5),
        when,
    )


def planted(seed=0, n_users=300, n_items=200, k=2):
    "Stars by likings of which everything is known, a tenth of them hidden, and each user's noise."
    rng = np.random.default_rng(seed)
    u, i = np.nonzero(rng.random((n_users, n_items)) < 0.25)
    P, Q, steady = (
        rng.normal(0, 0.7, (n_users, k)),
        rng.normal(0, 0.7, (n_items, k)),
        rng.gamma(3, 1 / 3, n_users),
    )
    f = (
        rng.normal(0, 0.5, n_users)[u]
        + rng.normal(0, 0.7, n_items)[i]
        + (P[u] * Q[i]).sum(1)
    )
    stars = 1 + np.searchsorted(
        [-1.5, -0.5, 0.4, 1.5], f + rng.normal(size=len(f)) * steady[u] ** -0.5
    )
    ratings = Ratings(
        u.astype('int32'),
        i.astype('int32'),
        stars.astype('float32'),
        Vocabulary(range(n_users), 'user'),
        Vocabulary(range(n_items)),
        (1, 5),
    )
    hidden = rng.random(len(u)) < 0.1
    return ratings.take(~hidden), ratings.take(hidden), steady


def history(items, ratings, n_items):
    "The ratings of one new user."
    rows = np.zeros(len(items), int)
    return build_csr(rows, np.array(items), np.array(ratings), (1, n_items))


FAST = dict(n_factors=3, n_burn_in=1, n_samples=11, progress=False)


def test_what_was_planted_is_found_and_the_ranges_hold():
    train, test, steady = planted()
    chain = dict(n_factors=3, n_burn_in=15, n_samples=135, progress=False)
    post = fit_bayes(train, **chain)
    table = coverage_table(post, test)
    spread = 2.6 * np.sqrt(table.nominal * (1 - table.nominal) / len(test))
    assert ((table.covered - table.nominal).abs() < spread + 0.01).all()
    assert (
        np.corrcoef(np.log(post.user_noise_scale.mean(0)), -np.log(steady) / 2)[0, 1]
        > 0.6
    )
    cuts = post.cutpoints.mean(0)
    assert (np.diff(cuts) > 0).all() and abs(
        (cuts[-1] - cuts[0]) - 3
    ) < 0.5  # the noise has variance 1 in the middle of users
    alike = fit_bayes(train, **chain, user_noise=False)
    assert log_score(post, test) > log_score(alike, test)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.sampled_from(['probit', 'normal']))
def test_neither_the_order_of_ratings_nor_threads_matter(seed, timed, likelihood):
    ratings = drawn(seed, timed=timed)
    other = ratings.take(np.random.default_rng(seed + 1).permutation(len(ratings)))
    one, two = (
        fit_bayes(ratings, **FAST, likelihood=likelihood),
        fit_bayes(other, **FAST, likelihood=likelihood, n_threads=2),
    )
    for name, value in one.to_arrays().items():
        assert np.array_equal(value, two.to_arrays()[name]), name


@pytest.mark.parametrize(
    'ratings, k',
    [
        (drawn(0, 1, 3, 2), 3),
        (drawn(0, 1, 20, 2), 3),
        (drawn(0, 20, 1, 2), 3),
        (drawn(1, 5, 4, 0.5), 60),
        (drawn(2, 3, 500, 0.02), 2),
    ],
)
@pytest.mark.parametrize('likelihood', ['probit', 'normal'])
def test_small_and_odd_shapes_are_finite(ratings, k, likelihood):
    post = fit_bayes(
        ratings,
        n_factors=k,
        n_burn_in=2,
        n_samples=18,
        likelihood=likelihood,
        progress=False,
    )
    said = post.prediction_intervals(
        ratings.user_ix, ratings.item_ix, ratings.timestamp, level=0.9
    )
    assert (
        np.isfinite(said).all(axis=None)
        and said['low'].min() >= 1
        and said['high'].max() <= 5
    )
    assert (
        np.isfinite(post.scores(np.arange(len(ratings.users)), 'low')).all()
        and np.isfinite(
            post.fold_in(history([0], ratings.rating[:1], post.shape[1])).scores(0)
        ).all()
    )


def test_parts_can_be_switched_off():
    ratings = drawn(4)
    for off in (
        dict(implicit=False),
        dict(time=False),
        dict(time='days'),
        dict(time='user_days'),
        dict(user_noise=False),
    ):
        post = fit_bayes(ratings, **FAST, **off)
        assert bool(post.implicit_effects.size) == off.get('implicit', True) and (
            post.time is not None
        ) == (off.get('time') is not False)
        assert (post.user_noise_scale == 1).all() == (off.get('user_noise') is False)
        if off.get('time') == 'days':
            assert (
                post.time.day_samples.any()
                and not post.time.user_day_bias.any()
                and not post.time.user_day_sd.any()
            )
        if off.get('time') == 'user_days':
            assert post.time.user_day_bias.any() and not post.time.day_samples.any()
    with pytest.raises(RatingsError, match='no timestamps'):
        fit_bayes(replace(ratings, timestamp=None), time=True)


def test_an_unknown_moment_is_less_sure_than_a_known_one():
    ratings = drawn(7, 60, 40, 0.5)
    shifted = replace(
        ratings,
        rating=np.clip(
            ratings.rating + 2 * (ratings.timestamp // 86_400 % 2) - 1, 1, 5
        ).astype('float32'),
    )
    post = fit_bayes(shifted, n_factors=2, n_burn_in=6, n_samples=54, progress=False)
    entropy = lambda P: -(P * np.log(np.maximum(P, 1e-12))).sum(axis=1).mean()
    u, i, t = shifted.user_ix[:200], shifted.item_ix[:200], shifted.timestamp[:200]
    assert entropy(post.probabilities(u, i)) > entropy(post.probabilities(u, i, t))
    assert np.allclose(
        post.probabilities(u[:5], i[:5], 10**9),
        post.probabilities(u[:5], i[:5], 2 * 10**9),
    )  # days of which nothing is known


CHILD = """
import sys, time
from mf_movielens.data import synthetic
from mf_movielens.encoding import Ratings
from mf_movielens.bayes import fit_bayes
checkpoint, out = sys.argv[1:]
post = fit_bayes(Ratings.from_frame(synthetic().ratings.head(4_000)), n_factors=3, n_burn_in=10, n_samples=90, n_kept_samples=5, checkpoint=None if checkpoint == '-' else checkpoint, on_iteration=lambda _: time.sleep(.01), progress=False)
post.save(out)
"""


def start(*words):
    return subprocess.Popen([sys.executable, '-c', CHILD, *map(str, words)])


def test_a_fit_that_was_killed_goes_on_and_ends_the_same(tmp_path, kill_and_resume):
    assert start('-', tmp_path / 'whole.npz').wait(180) == 0
    kill_and_resume(start, tmp_path / 'checkpoint.npz', tmp_path / 'out.npz')
    whole, resumed = (
        Posterior.load(tmp_path / name).to_arrays() for name in ('whole.npz', 'out.npz')
    )
    for name, value in whole.items():
        assert np.array_equal(value, resumed[name]), name


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
    post = fit_bayes(drawn(9), **FAST)
    path = post.save(tmp_path_factory.mktemp('saved') / 'posterior.npz')
    return path


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_file_that_was_changed_is_refused_or_answers(saved, tmp_path_factory, data):
    post, raw = Posterior.load(saved), saved.read_bytes()
    path = tmp_path_factory.mktemp('hostile') / 'posterior.npz'
    arrays = post.to_arrays()
    name = data.draw(st.sampled_from(sorted(arrays)))
    value = np.asarray(arrays[name])
    change = data.draw(
        st.sampled_from(
            ['nan', 'short', 'text', 'bytes', 'flat', 'huge', 'negative', 'gone']
        )
    )
    if change == 'bytes':
        at, size = (
            data.draw(st.integers(0, len(raw) - 1)),
            data.draw(st.integers(1, 200)),
        )
        path.write_bytes(
            raw[:at]
            + data.draw(st.binary(min_size=size, max_size=size))
            + raw[at + size :]
        )
    else:
        changed = {
            'nan': lambda: np.full(value.shape, np.nan),
            'short': lambda: value[:-1] if value.ndim else value,
            'text': lambda: np.array('five'),
            'flat': lambda: value.ravel(),
            'huge': lambda: np.full(value.shape, 10**9),
            'negative': lambda: -np.ones(value.shape),
            'gone': lambda: value,
        }[change]()
        kept = arrays | {name: changed}
        if change == 'gone':
            del kept[name]
        put_arrays(path, format=POSTERIOR_FORMAT, version=POSTERIOR_VERSION, **kept)
    try:
        again = Posterior.load(path)
    except ValueError as e:
        assert str(path) in str(e)
    else:
        assert again.probabilities(0, [0, 1]).shape[0] == 2


def test_what_is_no_posterior_is_refused_in_one_sentence(tmp_path, saved):
    post, raw = Posterior.load(saved), saved.read_bytes()
    path = tmp_path / 'x.npz'
    for write, word in (
        (lambda: path.write_bytes(raw[: len(raw) // 2]), 'not a saved posterior'),
        (lambda: put_arrays(path, x=np.ones(2)), 'not a saved posterior'),
        (
            lambda: put_arrays(
                path,
                format=POSTERIOR_FORMAT,
                version=POSTERIOR_VERSION + 1,
                **post.to_arrays(),
            ),
            'newer version',
        ),
    ):
        write()
        with pytest.raises(ValueError, match=word):
            Posterior.load(path)


def test_a_recommender_of_draws_is_the_same_after_the_file(tmp_path):
    ratings = drawn(11)
    model = Recommender.fit(ratings, 'bayes', **FAST)
    again = Recommender.load(model.save(tmp_path / 'model.npz'))
    u, i = ratings.users.decode(ratings.user_ix), ratings.items.decode(ratings.item_ix)
    assert (model.predict(u, i) == again.predict(u, i)).all() and model.intervals(
        u, i
    ).equals(again.intervals(u, i))
    for by in ('mean', 'low', 'high'):
        assert model.recommend(by=by).equals(again.recommend(by=by)) and model.fold_in(
            {0: 5, 3: 1}, by=by
        ).equals(again.fold_in({0: 5, 3: 1}, by=by))
        lists = model.recommend(by=by)
        assert (
            not set(zip(lists.user, lists['item'])) & set(zip(u, i))
            and (lists.groupby('user').score.diff().dropna() <= 1e-6).all()
        )
    with np.load(tmp_path / 'model.npz') as z:
        arrays = {k: z[k] for k in z.files}
    put_arrays(
        tmp_path / 'bad.npz', **arrays | {'draws_item': arrays['draws_item'][:, :-1]}
    )
    with pytest.raises(ModelFileError, match='damaged'):
        Recommender.load(tmp_path / 'bad.npz')


def test_ratings_that_are_no_stars_go_with_the_normal_model():
    ratings = drawn(12)
    fine = replace(
        ratings,
        rating=(ratings.rating / 5 + np.linspace(0, 0.1, len(ratings))).astype(
            'float32'
        ),
        scale=(0, 2),
    )
    with pytest.raises(RatingsError, match="likelihood='normal'"):
        fit_bayes(fine)
    post = fit_bayes(fine, **FAST, likelihood='normal')
    assert post.prediction_intervals(0, 0, level=0.5).low[0] >= 0
    with pytest.raises(ValueError, match='different values'):
        post.probabilities(0, 0)


def test_side_features_may_be_of_any_kind_of_number_and_need_not_be_centred():
    ratings, rng = drawn(13), np.random.default_rng(0)
    flags, age = rng.random((30, 3)) < 0.5, rng.integers(18, 60, (30, 1))
    of = lambda X: fit_bayes(ratings, {'users': X}, **FAST)
    for name, value in of(flags).to_arrays().items():
        assert np.array_equal(value, of(flags.astype('float64')).to_arrays()[name]), (
            name
        )
    for X in (age.astype('uint8'), pd.DataFrame(age)):
        assert np.array_equal(
            of(X).user_samples, of(age.astype('float64')).user_samples
        )
    assert np.allclose(
        of(age).user_samples, of(age + 100.0).user_samples, atol=1e-3
    )  # an age of nought is not the usual one
    for wrong, what in (
        (sparse.eye(30).tocsr(), 'sparse'),
        (np.ones((30, 0)), 'numbers'),
        (np.full((30, 2), 'x'), 'numbers'),
        (np.full((30, 1), np.nan), 'finite'),
    ):
        with pytest.raises((TypeError, ValueError), match=what):
            of(wrong)


def test_odd_settings_are_understood_or_refused():
    ratings = drawn(14)
    one, two = (
        fit_bayes(
            ratings,
            n_factors=np.int64(2),
            n_burn_in=0.0,
            n_samples=5.0,
            seed=np.int64(3),
            n_kept_samples=2.0,
            progress=False,
        ),
        fit_bayes(
            ratings,
            n_factors=2,
            n_burn_in=0,
            n_samples=5,
            seed=3,
            n_kept_samples=2,
            progress=False,
        ),
    )
    assert np.array_equal(one.user_samples, two.user_samples) and len(one) == 2
    for wrong in (
        dict(time=1),
        dict(time='hours'),
        dict(n_factors=2.5),
        dict(n_kept_samples=0),
        dict(n_threads=0),
    ):
        with pytest.raises(ValueError):
            fit_bayes(ratings, **wrong)
    with pytest.raises(RatingsError, match='milliseconds'):
        fit_bayes(replace(ratings, timestamp=(ratings.timestamp + 10**9) * 1000))
    with pytest.raises(TypeError, match='valid'):
        fit_bayes(ratings, valid=3)


def test_a_day_of_which_nothing_is_known_is_like_no_moment_for_everybody():
    ratings = drawn(15)
    post = fit_bayes(ratings, **FAST)
    for p in (post, post.fold_in(history([0, 3], [5, 1], post.shape[1]))):
        assert np.array_equal(
            p.probabilities(0, [1, 2], 10**9), p.probabilities(0, [1, 2])
        )
        assert not np.array_equal(
            p.probabilities(0, [1, 2], int(ratings.timestamp[0])),
            p.probabilities(0, [1, 2]),
        )
    assert post.probabilities(0, 1, ratings.timestamp[:7]).shape == (
        7,
        5,
    )  # one pair, many moments
    with pytest.raises(TypeError, match='seconds'):
        post.predict(0, 1, np.datetime64('2020-01-01'))


def test_tenths_are_stars_too():
    ratings = drawn(16)
    tenths = replace(
        ratings, rating=(ratings.rating + 0.1).astype('float32'), scale=(1.1, 5.1)
    )
    post = fit_bayes(tenths, **FAST)
    assert (
        np.allclose(
            post.probability_at_least(4.1, 0, 0),
            post.probabilities(0, 0).iloc[0, 3:].sum(),
        )
        and post.fold_in(history([0], [4.1], post.shape[1])).predict(0, 1).size == 1
    )


@pytest.mark.parametrize('level', [0.5, 0.9, 0.99])
def test_ranges_of_numbers_hold_what_they_say(level):
    from scipy.special import ndtr

    ratings = replace(drawn(17), scale=(-100, 100))
    post = fit_bayes(ratings, **FAST, likelihood='normal', time=False)
    u, i = ratings.user_ix[:50], ratings.item_ix[:50]
    ends = post.prediction_intervals(u, i, level=level)
    mass = np.mean(
        [
            ndtr((ends.high - f) / sd) - ndtr((ends.low - f) / sd)
            for f, sd in (post.latent_distribution(s, u, i) for s in range(len(post)))
        ],
        axis=0,
    )
    assert np.allclose(mass, level, atol=1e-5)
