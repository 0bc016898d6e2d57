"""Posterior samples: new users, intervals, blocks of work, and arrays of files."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.special import ndtr

import mf_movielens.posterior as posterior_module
from mf_movielens.bayes import fit_bayes
from mf_movielens.encoding import Ratings, Vocabulary, build_csr
from mf_movielens.factors import Predictor
from mf_movielens.posterior import Posterior, coverage_table
from mf_movielens.recommender import Recommender

N_USERS, N_ITEMS = 25, 15


def random_ratings(seed=0, lowest=1):
    rng = np.random.default_rng(seed)
    user_ix, item_ix = np.nonzero(rng.random((N_USERS, N_ITEMS)) < 0.4)
    n = len(user_ix)
    return Ratings(
        user_ix.astype('int32'),
        item_ix.astype('int32'),
        rng.integers(lowest, lowest + 5, n).astype('float32'),
        Vocabulary(range(N_USERS), 'user'),
        Vocabulary(range(N_ITEMS)),
        (lowest, lowest + 4),
        rng.integers(0, 20 * 86_400, n),
    )


RATINGS = random_ratings()
FAST = {'n_factors': 3, 'n_burn_in': 2, 'n_samples': 10, 'progress': False}


@pytest.fixture(scope='module', params=['probit', 'normal', 'without time'])
def posterior(request):
    if request.param == 'without time':
        return fit_bayes(RATINGS, time=False, **FAST)
    return fit_bayes(RATINGS, likelihood=request.param, **FAST)


def history(items, ratings, n_items=N_ITEMS):
    rows = np.zeros(len(items), int)
    return build_csr(rows, np.array(items), np.array(ratings), (1, n_items))


def same(a: Posterior, b: Posterior) -> bool:
    arrays, others = a.to_arrays(), b.to_arrays()
    return arrays.keys() == others.keys() and all(
        np.array_equal(arrays[name], others[name]) for name in arrays
    )


def test_it_is_a_predictor(posterior):
    members = [name for name in vars(Predictor) if not name.startswith('_')]
    assert len(members) > 10
    for name in members:
        assert hasattr(posterior, name), name


def test_a_new_user_does_not_depend_on_the_others(posterior):
    table = RATINGS.to_csr()[:4]
    together = posterior.fold_in(table, seed=3)
    assert together.shape == (4, N_ITEMS)
    for row in range(4):
        alone = posterior.fold_in(table[[row]], seed=3)
        found = together.user_samples[:, row], together.user_noise_scale[:, row]
        assert np.array_equal(found[0], alone.user_samples[:, 0])
        assert np.array_equal(found[1], alone.user_noise_scale[:, 0])
        assert np.allclose(together.scores([row]), alone.scores([0]), atol=1e-5)


def test_the_seed_of_a_new_user_repeats_and_matters(posterior):
    table = RATINGS.to_csr()[:2]
    assert same(posterior.fold_in(table, seed=1), posterior.fold_in(table, seed=1))
    first, second = (posterior.fold_in(table, seed=s).user_samples for s in (1, 2))
    assert (first != second).all()


def test_a_stored_zero_is_a_rating():
    posterior = fit_bayes(random_ratings(1, lowest=-2), **FAST)
    zero = posterior.fold_in(history([2], [0.0]))
    nothing = posterior.fold_in(history([], []))
    assert not np.array_equal(zero.user_samples, nothing.user_samples)


@pytest.mark.parametrize(
    'table, error, words',
    [
        (history([0], [6]), ValueError, 'between 1 and 5'),
        (history([0], [np.nan]), ValueError, 'between 1 and 5'),
        (history([3, 3], [4, 5]), ValueError, 'twice'),
        (history([0], [4], N_ITEMS + 1), TypeError, '15 items'),
        (np.zeros((1, N_ITEMS)), TypeError, 'sparse'),
        (history([0], [4.5]), ValueError, 'none of 1, 2, 3, 4, 5'),
    ],
)
def test_histories_that_cannot_be_are_refused(table, error, words):
    with pytest.raises(error, match=words):
        fit_bayes(RATINGS, **FAST).fold_in(table)


def test_numbers_between_the_ratings_are_fine_without_cutpoints():
    posterior = fit_bayes(RATINGS, likelihood='normal', **FAST)
    posterior.check_ratings(np.array([4.5]))
    assert posterior.fold_in(history([0], [4.5])).shape == (1, N_ITEMS)


def test_arrays_make_the_same_posterior(posterior):
    again = Posterior.from_arrays(posterior.to_arrays())
    assert same(posterior, again)
    users, items = RATINGS.user_ix, RATINGS.item_ix
    assert (posterior.predict(users, items) == again.predict(users, items)).all()


def test_the_size_of_blocks_changes_nothing(posterior, monkeypatch):
    users, items = RATINGS.user_ix, RATINGS.item_ix

    def answers():
        intervals = posterior.prediction_intervals(users, items, level=0.8)
        return intervals, posterior.scores(np.arange(N_USERS), 'low')

    intervals, scores = answers()
    monkeypatch.setattr(posterior_module, '_MAX_PAIRS_TIMES_SAMPLES', 77)
    monkeypatch.setattr(posterior_module, '_MAX_SCORES_TIMES_SAMPLES', 400)
    in_blocks, scores_in_blocks = answers()
    assert np.allclose(intervals, in_blocks, atol=1e-6)
    assert np.allclose(scores, scores_in_blocks, atol=1e-6)


def test_probabilities_are_those_of_the_mixture(posterior):
    users, items = RATINGS.user_ix[:9], RATINGS.item_ix[:9]
    found = posterior.probabilities(users, items).to_numpy()
    total = np.zeros((9, 5))
    for s in range(len(posterior)):
        mean, sd = posterior.latent_distribution(s, users, items)
        cutpoints = np.arange(1.5, 5)
        if posterior.likelihood == 'probit':
            cutpoints = posterior.cutpoints[s]
        bounds = [-np.inf, *cutpoints, np.inf]
        for j in range(5):
            total[:, j] += ndtr((bounds[j + 1] - mean) / sd)
            total[:, j] -= ndtr((bounds[j] - mean) / sd)
    assert np.allclose(found, total / len(posterior))
    at_least = posterior.probability_at_least(4, users, items)
    assert np.allclose(at_least, found[:, 3:].sum(axis=1))


@pytest.mark.parametrize('level', [0.5, 0.8, 0.95])
def test_an_interval_is_one_of_the_mixture_and_of_stars_the_shortest(posterior, level):
    if posterior.likelihood == 'normal':
        pairs = RATINGS.user_ix, RATINGS.item_ix
        found = posterior.prediction_intervals(*pairs, level=level)
        inside = np.zeros(len(found))
        for index in range(len(posterior)):
            mean, sd = posterior.latent_distribution(index, *pairs)
            inside += ndtr((found.high - mean) / sd) - ndtr((found.low - mean) / sd)
        # Ends of intervals are clipped to the scale.
        is_free = (found.low > 1) & (found.high < 5)
        assert is_free.sum() > 5 or level > 0.9
        np.testing.assert_allclose(inside[is_free] / len(posterior), level, atol=1e-3)
        return
    found = posterior.prediction_intervals(
        RATINGS.user_ix, RATINGS.item_ix, level=level
    )
    table = posterior.probabilities(RATINGS.user_ix, RATINGS.item_ix)
    values = table.columns.to_numpy('float64')
    for row, probability in zip(found.itertuples(), table.to_numpy()):
        widths = [
            values[last] - values[first]
            for first in range(len(values))
            for last in range(first, len(values))
            if probability[first : last + 1].sum() >= level - 1e-9
        ]
        inside = (values >= row.low) & (values <= row.high)
        assert row.mass == pytest.approx(probability[inside].sum())
        assert row.mass >= level - 1e-9
        assert row.high - row.low == min(widths)


def test_a_discount_is_taken_off_the_end_that_ranks(posterior):
    model = Recommender.of(posterior, RATINGS)
    how = {'k': N_ITEMS, 'by': 'low', 'exclude_seen': False}
    plain = model.recommend(1, **how).set_index('item')
    found = model.recommend(1, popularity_discount=1, **how)
    assert np.allclose(found.score, plain.score[found.item], atol=1e-4)


def test_columns_and_coverage_are_those_of_the_intervals(posterior):
    users, items = RATINGS.user_ix, RATINGS.item_ix
    ends = posterior.credible_intervals(users, items, level=0.7)
    columns = posterior.interval_columns(users, items, level=0.7)
    assert (columns['mean_low'] == ends.low).all()
    assert (columns['mean_high'] == ends.high).all()
    assert posterior.interval_columns([], [])['mean_low'].shape == (0,)
    row = coverage_table(posterior, RATINGS, use_time=False, levels=[0.8]).loc[0.8]
    found = posterior.interval_coverage(users, items, RATINGS.rating, level=0.8)
    assert found == {'covered_80': row.covered, 'nominal_80': row.nominal}
    of_ratings = posterior.prediction_intervals(users, items, level=0.8)
    rows = [*zip(of_ratings.low, RATINGS.rating, of_ratings.high)]
    assert row.covered == np.mean([low <= rating <= high for low, rating, high in rows])
    for end in (0, 2):  # both ends belong to an interval
        assert any(r[1] == r[end] for r in rows)
    assert row.width == pytest.approx(np.mean(of_ratings.high - of_ratings.low))
    assert row.nominal == pytest.approx(of_ratings.mass.mean())


def test_some_arrays_of_days_are_not_enough():
    arrays = fit_bayes(RATINGS, **FAST).to_arrays()
    for name in ('mood', 'moments_user'):
        with pytest.raises(ValueError, match='days are missing'):
            Posterior.from_arrays({k: v for k, v in arrays.items() if k != name})


def test_a_csr_table_of_any_kind_is_a_history(posterior):
    table = RATINGS.to_csr()[:2]
    with_longs = csr_array(
        (table.data, table.indices.astype('int64'), table.indptr.astype('int64')),
        shape=table.shape,
    )
    assert same(posterior.fold_in(table), posterior.fold_in(with_longs))
    assert same(posterior, replace(posterior))


@pytest.mark.parametrize(
    ('name', 'change', 'words'),
    [
        ('cuts', lambda x: np.repeat(x[:, :1], x.shape[1], 1), 'cutpoints are'),
        ('stars', lambda x: np.repeat(x[:1], len(x)), 'ratings are not'),
        ('moments_user', lambda x: np.append(x[:-1], len(RATINGS.users)), 'user'),
        ('moments_user', lambda x: np.append(-1, x[1:]), 'user'),
    ],
)
def test_arrays_that_cannot_be_samples_are_refused(name, change, words):
    arrays = fit_bayes(RATINGS, **FAST).to_arrays()
    changed = change(arrays[name]).astype(arrays[name].dtype)
    with pytest.raises((ValueError, IndexError), match=words):
        Posterior.from_arrays(arrays | {name: changed})


def test_a_file_tells_the_version_that_earlier_programs_open(tmp_path, posterior):
    path = tmp_path / 'posterior.npz'
    posterior.save(path)
    with np.load(path) as z:
        assert z['version'] == 1  # as long as the arrays are those of the first version


def test_the_user_day_bias_is_noise_on_days_without_ratings_of_the_user():
    posterior = fit_bayes(RATINGS, **FAST)
    users, items, moments = RATINGS.user_ix, RATINGS.item_ix, RATINGS.timestamp
    day = moments // 86_400
    first = users == 0
    others = np.setdiff1d(day, day[first])
    assert len(others)
    for s in (0, len(posterior) - 1):
        _, rated = posterior.latent_distribution(s, users, items, moments)
        _, unknown = posterior.latent_distribution(s, users, items)
        _, unrated = posterior.latent_distribution(s, 0, 1, others * 86_400)
        scale = posterior.user_noise_scale[s][users]
        noise = posterior.unit * posterior.noise_sd[s] * scale
        assert np.allclose(rated, noise)
        of_day = posterior.unit * posterior.time.user_day_sd[s]
        assert np.allclose(unknown, np.hypot(noise, of_day)) and of_day > 0
        assert np.allclose(unrated, unknown[first][0])
