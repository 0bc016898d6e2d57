"""Extreme numbers give finite answers, or an error that names the value.

No warning is shown in either case.
"""

import sys
from dataclasses import replace
from functools import cache, partial
from inspect import signature
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mf_movielens
from mf_movielens.als import als_objective, fit_als
from mf_movielens.baselines import damped_biases, global_mean, popularity
from mf_movielens.bayes import fit_bayes
from mf_movielens.data import synthetic
from mf_movielens.ease import fit_ease
from mf_movielens.encoding import Ratings, RatingsError, Vocabulary, build_csr
from mf_movielens.factors import top_items
from mf_movielens.ials import fit_ials, ials_objective
from mf_movielens.item_knn import fit_item_knn
from mf_movielens.least_squares import Regularization
from mf_movielens.metrics import (
    compare_errors,
    error_interval,
    mae,
    mean_interval,
    rmse,
)
from mf_movielens.posterior import coverage_table
from mf_movielens.ranking import (
    beyond_accuracy_metrics,
    catalog_coverage,
    rank_items,
    ranking_metrics,
)
from mf_movielens.reading import load_ratings
from mf_movielens.recommender import Recommender
from mf_movielens.splits import leave_last_out, official_fold, random_split, time_split

pytestmark = pytest.mark.filterwarnings(
    'error', 'ignore::DeprecationWarning', 'ignore::ResourceWarning'
)
# Keras and TensorFlow warn about themselves
keras = pytest.mark.filterwarnings('default')

PACKAGE = Path(mf_movielens.__file__).parent
INF, NAN = np.inf, np.nan
# the first number that int64 cannot hold
INT64_END = 2**63
SMALL_FIT = dict(n_factors=3, progress=False)
SMALL_BAYES = dict(n_burn_in=0, n_samples=6, **SMALL_FIT)


def is_first_user(user_ix, item_ix):
    return user_ix == 0


def is_first_item(user_ix, item_ix):
    return item_ix == 0


def is_third_pair(user_ix, item_ix):
    return (user_ix + item_ix) % 3 == 0


def grid_ratings(n_users, n_items, rating=None, scale=(1.0, 5.0), keep=()):
    """Ratings of all pairs of users and items.

    With functions of row numbers as `keep`, those pairs for which one of them holds.
    """
    user_ix, item_ix = np.nonzero(np.ones((n_users, n_items)))
    if rating is None:
        rating = 1 + user_ix * 7 % 5 * 2 % 5 * 0.5 + item_ix * 3 % 5 * 0.5
    rating = np.round(np.broadcast_to(rating, user_ix.shape), 30)
    is_kept = np.ones(len(user_ix), bool)
    if keep:
        is_kept = np.any([function(user_ix, item_ix) for function in keep], axis=0)
    return Ratings(
        user_ix[is_kept].astype('int32'),
        item_ix[is_kept].astype('int32'),
        rating[is_kept].astype('float32'),
        Vocabulary(range(n_users), 'user'),
        Vocabulary(range(n_items)),
        scale,
    )


def random_ratings(seed=0, n_users=12, n_items=8, with_timestamps=False):
    """Whole stars of about half of the pairs."""
    rng = np.random.default_rng(seed)
    stars = rng.integers(1, 6, n_users * n_items)
    all_pairs = grid_ratings(n_users, n_items, stars)
    ratings = all_pairs.take(rng.random(len(stars)) < 0.5)
    if not with_timestamps:
        return ratings
    return replace(ratings, timestamp=rng.integers(0, 10**9, len(ratings)))


RATINGS = random_ratings()
FITS = dict(
    als=partial(fit_als, **SMALL_FIT),
    ials=partial(fit_ials, **SMALL_FIT),
    ease=fit_ease,
    knn=fit_item_knn,
    biases=damped_biases,
    mean=global_mean,
    popularity=popularity,
    probit=partial(fit_bayes, **SMALL_BAYES),
    normal=partial(fit_bayes, likelihood='normal', **SMALL_BAYES),
)


def is_finite(answer):
    """Whether every number of an answer is finite."""
    if isinstance(answer, pd.DataFrame):
        answer = answer.select_dtypes('number')
    return bool(np.isfinite(np.asarray(answer, 'float64')).all())


def assert_refused(words, call, *args, error=(ValueError, TypeError), **settings):
    """The call raises an error of this package, which has all the words."""
    with pytest.raises(error) as raised:
        call(*args, **settings)
    message = str(raised.value)
    assert not isinstance(raised.value, np.linalg.LinAlgError)
    for word in [words] if isinstance(words, str) else words:
        assert word in message, message
    origin = Path(raised.traceback[-1].path)
    assert origin.parent == PACKAGE, f'{message} comes from {origin}'


def assert_usable(predictor, ratings):
    """All scores and predictions are finite, and predictions lie on the scale."""
    assert is_finite(predictor.scores(np.arange(len(ratings.users))))
    if predictor.goal == 'ranking':
        return
    predictions = predictor.predict(ratings.user_ix, ratings.item_ix)
    assert is_finite(predictions)
    low, high = np.float32(ratings.scale)
    assert (predictions >= low * (1 - 1e-6 * np.sign(low))).all()
    assert (predictions <= high * (1 + 1e-6 * np.sign(high))).all()


SHAPES = {
    'one rating': grid_ratings(1, 1, 3),
    'one user': grid_ratings(1, 6),
    'one item': grid_ratings(6, 1),
    'two ratings': grid_ratings(2, 1, [1, 5]),
    'all equal': grid_ratings(5, 4, 3),
    'only the best rating': grid_ratings(5, 4, 5),
    'likes': grid_ratings(5, 4, 1, (1.0, 1.0)),
    'every pair': grid_ratings(7, 9),
    'one user rated all': grid_ratings(7, 9, keep=[is_first_user, is_third_pair]),
    'one item rated by all': grid_ratings(7, 9, keep=[is_first_item, is_third_pair]),
    'many more items than users': grid_ratings(
        3, 300, keep=[lambda user_ix, item_ix: item_ix % 40 == user_ix]
    ),
}


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('solver', FITS)
def test_the_smallest_and_the_fullest_tables_are_fitted(solver, shape):
    ratings = SHAPES[shape]
    if solver in ('probit', 'normal') and np.ptp(ratings.rating) == 0:
        assert_refused('nothing to predict', FITS[solver], ratings)
    else:
        assert_usable(FITS[solver](ratings), ratings)


@pytest.mark.parametrize(
    'ratings', [grid_ratings(1, 1, 1), grid_ratings(5, 4, 1)], ids=['one', 'many']
)
@pytest.mark.parametrize('solver', ['ials', 'ease', 'knn'])
def test_ratings_without_a_like_cannot_be_ranked(solver, ratings):
    assert_refused('nothing is known to be liked', FITS[solver], ratings)


SOLVERS_WITH_UNITS = [name for name in FITS if name not in ('popularity', 'mean')]


def fit_and_score(solver, ratings):
    """The goal of the fitted predictor, and the scores of all users."""
    predictor = FITS[solver](ratings)
    scores = predictor.scores(np.arange(len(ratings.users)))
    return predictor.goal, scores.astype('float64')


@pytest.mark.parametrize('solver', SOLVERS_WITH_UNITS)
@pytest.mark.parametrize('power', [-29, -12, -3, 3, 12, 13])
def test_the_unit_of_the_ratings_makes_no_difference(solver, power):
    unit = 10.0**power
    stars = random_ratings(1, 30, 20)
    rating = (stars.rating * unit).astype('float32')
    scale = (float(rating.min()), float(rating.max()))
    goal, expected = fit_and_score(solver, stars)
    _, scores = fit_and_score(solver, replace(stars, rating=rating, scale=scale))
    if goal == 'rating':
        scores /= unit
    assert np.allclose(scores, expected, atol=1e-4)


@pytest.mark.parametrize('solver', SOLVERS_WITH_UNITS)
def test_a_scale_below_zero_makes_no_difference(solver):
    stars = random_ratings(1, 30, 20)
    shifted = replace(stars, rating=stars.rating - 6, scale=(-5.0, -1.0))
    goal, expected = fit_and_score(solver, stars)
    _, scores = fit_and_score(solver, shifted)
    if goal == 'rating':
        expected = expected - 6
    assert np.allclose(scores, expected, atol=1e-4)


@pytest.mark.parametrize(
    'scale, rating',
    [
        ((0.0, INF), 3),
        ((NAN, NAN), 3),
        ((-1e300, 1e300), 3),
        ((1e30, 5e30), 2e30),
        ((1e-40, 5e-40), 2e-40),
        ((5.0, 1.0), 3),
        ((1.0,), 3),
        (None, 3),
        ((1.0, 5.0), NAN),
        ((1.0, 5.0), INF),
    ],
)
def test_a_scale_that_cannot_be_computed_with_is_refused(scale, rating):
    ratings = grid_ratings(2, 2)
    rating = np.full(4, rating, 'float32')
    assert_refused((), replace, ratings, rating=rating, scale=scale, error=RatingsError)


@pytest.mark.parametrize(
    'fit, settings',
    [
        (fit_als, dict(n_factors=1000, n_iterations=2)),
        (fit_ials, dict(n_factors=1000, n_iterations=2)),
        (fit_bayes, dict(n_factors=60, n_burn_in=0, n_samples=3)),
    ],
)
def test_many_more_factors_than_ratings(fit, settings):
    ratings = random_ratings(2, 20, 10)
    assert_usable(fit(ratings, progress=False, **settings), ratings)


INVALID_WEIGHTS = (INF, NAN, -1, -INF, 'x', None)
# Without a number, the data decide.
REGULARIZATION = [
    (fit_als, name) for name in ('reg', 'damping', 'item_damping', 'factor_damping')
]
REGULARIZATION += [(fit_ials, name) for name in ('reg', 'alpha', 'damping')]
REGULARIZATION += [(damped_biases, 'user_damping'), (damped_biases, 'item_damping')]
REGULARIZATION += [(fit_als, 'bias_reg'), (fit_ease, 'reg')]


@pytest.mark.parametrize('fit, name', REGULARIZATION)
def test_regularization_must_be_a_number(fit, name):
    may_be_chosen = signature(fit).parameters[name].default is None
    for value in INVALID_WEIGHTS:
        if value is None and may_be_chosen:
            assert_usable(fit(RATINGS, **{name: None}), RATINGS)
        else:
            assert_refused(f'{name}={value!r}', fit, RATINGS, **{name: value})


@pytest.mark.parametrize('fit, name', REGULARIZATION)
@pytest.mark.parametrize('value', [1e-6, 1e6])
def test_small_and_large_regularization(fit, name, value):
    assert_usable(fit(RATINGS, **{name: value}), RATINGS)


@pytest.mark.parametrize('fit, name', REGULARIZATION)
@pytest.mark.parametrize('value', [0, 1e-12, 1e12])
def test_extreme_regularization_works_or_is_refused_by_name(fit, name, value):
    try:
        predictor = fit(RATINGS, **{name: value})
    except ValueError as error:
        assert f'{name}={value!r}' in str(error)
    else:
        assert_usable(predictor, RATINGS)


@pytest.mark.parametrize('shape', [*SHAPES, 'random'])
@pytest.mark.parametrize('fit, weight', [(fit_als, 'bias_reg'), (fit_ials, 'alpha')])
def test_the_smallest_regularization_suffices(fit, weight, shape):
    ratings = SHAPES.get(shape, RATINGS)
    settings = {'reg': 1e-6, 'damping': 0, weight: 1e-6, 'progress': False}
    assert_usable(fit(ratings, n_factors=20, **settings), ratings)


COUNTS = [
    (fit, name)
    for fit in (fit_als, fit_ials)
    for name in ('n_factors', 'n_iterations', 'n_threads')
]
COUNTS += [
    (fit_bayes, name)
    for name in ('n_factors', 'n_samples', 'n_burn_in', 'n_kept_samples', 'n_threads')
]
COUNTS += [(damped_biases, 'n_iterations')]


@pytest.mark.parametrize('fit, name', COUNTS)
def test_counts_must_be_whole_numbers(fit, name):
    values = [-1, 1.5, NAN, INF, -INF, '3']
    if name != 'n_burn_in' and fit is not damped_biases:
        values.append(0)
    if signature(fit).parameters[name].default is not None:
        values.append(None)
    for value in values:
        words = (f'{name}={value!r}', 'whole number')
        assert_refused(words, fit, RATINGS, **{name: value})


@pytest.mark.parametrize('fit, name', COUNTS)
def test_counts_may_be_floats_without_a_fraction(fit, name):
    settings = {}
    if fit is fit_bayes:
        settings = dict(n_factors=2, n_burn_in=0, n_samples=6)
    elif fit is not damped_biases:
        settings = dict(n_factors=2)
    assert_usable(fit(RATINGS, **settings | {name: 3.0}), RATINGS)


def fold_in_one_rating(seed):
    rows = np.zeros(1, 'int32')
    history = build_csr(rows, rows, np.array([3]), (1, 8))
    return model('probit').predictor.fold_in(history, seed=seed)


SEEDED = {
    'als': partial(fit_als, RATINGS, **SMALL_FIT),
    'ials': partial(fit_ials, RATINGS, **SMALL_FIT),
    'bayes': partial(fit_bayes, RATINGS, n_burn_in=0, n_samples=3, **SMALL_FIT),
    'random_split': partial(random_split, RATINGS),
    'error_interval': partial(error_interval, [1, 2], [1, 3]),
    'mean_interval': partial(mean_interval, [1, 2]),
    'compare_errors': partial(compare_errors, [1, 2], [1, 3], [1, 2]),
    'synthetic': synthetic,
    'fold_in': fold_in_one_rating,
}


@pytest.mark.parametrize('name', SEEDED)
def test_a_seed_must_be_a_whole_number(name):
    for value in (-1, 1.5, NAN, 'x'):
        assert_refused(f'seed={value!r}', SEEDED[name], seed=value)
    SEEDED[name](seed=2**32 - 1)


@pytest.mark.parametrize('name', [name for name in SEEDED if name != 'random_split'])
def test_a_seed_may_be_large(name):
    SEEDED[name](seed=2**70)


def test_the_seed_of_a_split_has_32_bits():
    assert_refused(f'seed={2**32}', random_split, RATINGS, seed=2**32)


@pytest.mark.parametrize('value', [-INT64_END, INT64_END - 1, -(10**12), 10**12])
def test_only_what_uses_timestamps_refuses_impossible_ones(value):
    ratings = replace(RATINGS, timestamp=np.full(len(RATINGS), value))
    assert_refused('no moment in seconds', fit_bayes, ratings, **SMALL_BAYES)
    assert_usable(fit_bayes(ratings, time=False, **SMALL_BAYES), ratings)
    assert_refused('same timestamp', time_split, ratings)
    assert len(leave_last_out(ratings).report()) == 1


@pytest.mark.parametrize('value', [-(10**11), 0, 10**11])
def test_the_first_and_the_last_timestamps_are_fitted(value):
    is_odd = np.arange(len(RATINGS)) % 2
    ratings = replace(RATINGS, timestamp=np.where(is_odd, value, 5))
    posterior = fit_bayes(ratings, **SMALL_BAYES)
    triples = (ratings.user_ix, ratings.item_ix, ratings.timestamp)
    assert is_finite(posterior.prediction_intervals(*triples, level=0.9))
    for timestamp in (INT64_END - 1, -INT64_END, 1e300, NAN, 2e11):
        assert_refused('no moment in seconds', posterior.predict, 0, 0, timestamp)


@pytest.mark.parametrize(
    'timestamp',
    [
        np.arange(3),
        np.full(len(RATINGS), NAN),
        np.full(len(RATINGS), 'x'),
        np.full(len(RATINGS), np.datetime64('2020-01-01')),
    ],
    ids=['too few', 'nan', 'text', 'dates'],
)
def test_timestamps_are_one_number_for_each_rating(timestamp):
    assert_refused(
        'timestamps', replace, RATINGS, timestamp=timestamp, error=RatingsError
    )


@pytest.mark.parametrize('value', [1e300, -1e300, float(INT64_END), NAN, INF])
def test_timestamps_of_a_frame_must_fit_into_int64(value):
    frame = pd.DataFrame(
        dict(
            user_id=[1, 2, 1],
            movie_id=[1, 1, 2],
            rating=[1, 2, 3],
            timestamp=[5, 6, value],
        )
    )
    read = partial(load_ratings, timestamp='timestamp', say=None)
    for function in (Ratings.from_frame, read):
        assert_refused('timestamp', function, frame, error=RatingsError)


@pytest.mark.parametrize('value', ['1e300', '-1e300', '1e39', 'nan', 'inf', '1e31'])
def test_a_rating_that_is_too_large_is_refused(value, tmp_path):
    path = tmp_path / 'r.csv'
    path.write_text(f'user,item,rating\n1,1,5\n1,2,{value}\n2,1,3\n')
    frame = pd.DataFrame(dict(user_id=[1], movie_id=[1], rating=[float(value)]))
    assert_refused((), load_ratings, path, say=None, error=RatingsError)
    assert_refused((), Ratings.from_frame, frame, error=RatingsError)


PLAIN_RATINGS = random_ratings(3)
TIMED_RATINGS = random_ratings(3, with_timestamps=True)
MODEL_FITS = dict(
    als=partial(Recommender.fit, PLAIN_RATINGS, 'als', **SMALL_FIT),
    ials=partial(Recommender.fit, PLAIN_RATINGS, 'ials', **SMALL_FIT),
    probit=partial(
        Recommender.fit, TIMED_RATINGS, 'bayes', n_burn_in=0, n_samples=8, **SMALL_FIT
    ),
    normal=partial(
        Recommender.fit,
        PLAIN_RATINGS,
        'bayes',
        likelihood='normal',
        n_burn_in=0,
        n_samples=8,
        **SMALL_FIT,
    ),
)
PREDICTOR_FITS = dict(
    ease=fit_ease, knn=fit_item_knn, popularity=popularity, biases=damped_biases
)
MODELS = [*MODEL_FITS, *PREDICTOR_FITS]
FOLD_IN_MODELS = ['als', 'ials', 'ease', 'knn', 'biases', 'probit', 'normal']
BAYESIAN_MODELS = ['probit', 'normal']


@cache
def model(name):
    """A small recommender."""
    if name in MODEL_FITS:
        return MODEL_FITS[name]()
    return Recommender.of(PREDICTOR_FITS[name](PLAIN_RATINGS), PLAIN_RATINGS)


def functions_of_length(name):
    """What gives a list of k items: functions of k."""
    asked = model(name)
    functions = [
        partial(asked.recommend, 0),
        partial(asked.evaluate, TIMED_RATINGS),
        partial(asked.similar, 0, min_ratings=0),
    ]
    if name in FOLD_IN_MODELS:
        functions.append(partial(asked.fold_in, {0: 5, 3: 1}))
    return functions


@pytest.mark.parametrize('name', MODELS)
def test_the_length_of_a_list_must_be_a_whole_number(name):
    for function in functions_of_length(name):
        for k in (0, -1, 1.5, NAN, INF, None, '3'):
            assert_refused(('=', 'ask for one item or more'), function, k=k)


@pytest.mark.parametrize('name', MODELS)
def test_lists_are_as_long_as_there_are_items(name):
    recommend, _, _, *fold_in = functions_of_length(name)
    for function in (recommend, *fold_in):
        items = function(k=10**12)
        assert is_finite(items)
        assert len(items) <= 8
        assert len(function(k=np.int64(1))) == 1
        assert len(function(k=1.0)) == 1
    assert len(model(name).evaluate(TIMED_RATINGS, k=100)) > 5


@pytest.mark.parametrize('name', MODELS)
def test_empty_questions_have_empty_answers(name):
    asked = model(name)
    assert len(asked.recommend([])) == 0
    assert len(asked.recommend(0, candidates=[])) == 0
    if asked.goal == 'rating':
        assert len(asked.predict([], [])) == 0
    if asked.gives_intervals:
        assert len(asked.intervals([], [])) == 0
        assert len(asked.intervals([], [], of='mean')) == 0
        assert len(asked.probabilities([], [])) == 0


@pytest.mark.parametrize('name', FOLD_IN_MODELS)
def test_new_users_with_no_history_and_with_all_items(name):
    asked = model(name)
    assert is_finite(asked.fold_in({}))
    assert len(asked.fold_in({0: 5}, candidates=[])) == 0
    assert len(asked.fold_in(dict.fromkeys(range(8), 3))) == 0


@pytest.mark.parametrize('name', MODELS)
def test_a_saved_small_model_recommends(name, tmp_path):
    loaded = Recommender.load(model(name).save(tmp_path / 'm.npz'))
    assert is_finite(loaded.recommend())


@pytest.mark.parametrize('name', FOLD_IN_MODELS)
@pytest.mark.parametrize('value', [NAN, INF, 0, 6, -1e300, 'x', None])
def test_a_rating_of_a_new_user_must_lie_on_the_scale(name, value):
    assert_refused('rating', model(name).fold_in, {0: value}, error=RatingsError)


@pytest.mark.parametrize('name', BAYESIAN_MODELS)
def test_levels_lie_between_0_and_1(name):
    asked = model(name)
    functions = [
        partial(asked.intervals, 0, [0, 1]),
        partial(asked.intervals, 0, [0, 1], of='mean'),
        partial(asked.recommend, 0),
        partial(asked.fold_in, {0: 5}, by='low'),
        partial(asked.recommend, 0, by='high'),
    ]
    for function in functions:
        for level in (0, 1, -1, 2, NAN, INF, None, '.9'):
            words = (f'={level!r}', 'between 0 and 1')
            assert_refused(words, function, level=level)
        for level in (1e-12, 0.5, 1 - 1e-12):
            assert is_finite(function(level=level))


@pytest.mark.parametrize('name', BAYESIAN_MODELS)
def test_there_is_one_timestamp_for_each_pair(name):
    asked = model(name)
    pairs = ([0, 1], [0, 1])
    words = '3 timestamps for 2 pairs'
    assert_refused(words, asked.predict, *pairs, timestamp=[1, 2, 3])
    words = '0 timestamps for 1 pairs'
    assert_refused(words, asked.probabilities, 0, 0, timestamp=[])


@pytest.mark.parametrize('name', BAYESIAN_MODELS)
def test_extreme_levels_and_thresholds(name):
    posterior = model(name).predictor
    assert is_finite(coverage_table(posterior, TIMED_RATINGS, levels=(1e-9, 0.999999)))
    for threshold in (INF, -1, -INF):
        assert is_finite(posterior.probability_at_least(threshold, 0, 0))
    # no error either, whatever the answer is
    posterior.probability_at_least(NAN, 0, 0)


@pytest.mark.parametrize('name', ['als', 'ials', 'probit'])
def test_the_smallest_number_of_ratings_must_be_a_number(name):
    similar = partial(model(name).similar, 0)
    for value in (-1, NAN, 'x'):
        assert_refused(f'min_ratings={value!r}', similar, 3, min_ratings=value)
    assert len(similar(3, min_ratings=10**9)) == 0
    assert len(similar(3, min_ratings=INF)) == 0
    assert is_finite(similar(10**9, min_ratings=0))


# the names of the weights of a fitted model, and the function that it minimizes
OBJECTIVES = {
    'als': (('reg', 'bias_reg', 'damping'), als_objective),
    'ials': (('reg', 'damping', 'alpha'), ials_objective),
}


def fold_in_with(factors, rating=3, **weights):
    """Fold in a new user of one rating, with a regularization of these weights."""
    rows = np.zeros(1, 'int32')
    history = build_csr(rows, rows, np.array([rating]), (1, len(factors.item_bias)))
    regularized = replace(factors, regularization=Regularization(**weights))
    return regularized.fold_in(history)


def weights_of(factors, names):
    return {name: getattr(factors.regularization, name) for name in names}


@pytest.mark.parametrize('name', OBJECTIVES)
@pytest.mark.parametrize('position', range(3))
@pytest.mark.parametrize('value', INVALID_WEIGHTS)
def test_invalid_weights_of_a_fitted_model_are_refused(name, position, value):
    names, objective = OBJECTIVES[name]
    factors = model(name).predictor
    bare = replace(factors, regularization=None)
    changed = names[position]
    weights = weights_of(factors, names) | {changed: value}
    words = f'{changed}={value!r}'
    assert_refused(words, Recommender.of, bare, PLAIN_RATINGS, **weights)
    assert_refused(words, fold_in_with, factors, **weights)
    assert_refused(words, objective, factors, PLAIN_RATINGS, **weights)


@pytest.mark.parametrize('name', OBJECTIVES)
@pytest.mark.parametrize('value', [0, 1e-12, 1e12])
def test_extreme_weights_of_a_fitted_model(name, value):
    names, _ = OBJECTIVES[name]
    bare = replace(model(name).predictor, regularization=None)
    asked = Recommender.of(bare, PLAIN_RATINGS, **dict.fromkeys(names, value))
    assert is_finite(asked.fold_in({0: 3, 1: 5}))
    assert is_finite(asked.fold_in({0: 4}))
    assert is_finite(asked.explain(0, 1).iloc[:, -1])
    assert is_finite(asked.similar(0, 3, 0))


@pytest.mark.parametrize('name', OBJECTIVES)
@pytest.mark.parametrize('rating', [NAN, INF, 1e300])
def test_a_history_must_be_finite(name, rating):
    names, _ = OBJECTIVES[name]
    factors = model(name).predictor
    weights = weights_of(factors, names)
    assert_refused('not finite', fold_in_with, factors, rating, **weights)


@pytest.mark.parametrize('split', [random_split, time_split])
def test_a_test_fraction_lies_between_0_and_1(split):
    for fraction in (0, 1, -1, 2, NAN, INF, None, 'x'):
        words = (f'test_fraction={fraction!r}', 'between 0 and 1')
        assert_refused(words, split, TIMED_RATINGS, fraction)


@pytest.mark.parametrize('split', [random_split, time_split])
@pytest.mark.parametrize('fraction', [1e-12, 0.5, 1 - 1e-9])
def test_no_part_of_a_split_is_empty(split, fraction):
    try:
        parts = split(TIMED_RATINGS, fraction)
    except ValueError as error:
        reasons = ('one part would be empty', 'same timestamp')
        assert any(reason in str(error) for reason in reasons)
    else:
        assert len(parts.train)
        assert len(parts.test)


def test_the_number_that_is_left_out_is_a_whole_number():
    for n in (0, -1, 1.5, NAN, INF, None, 'x'):
        assert_refused(f'n={n!r}', leave_last_out, TIMED_RATINGS, n)
    for n in (len(TIMED_RATINGS), INT64_END, 10**30):
        assert_refused('one part would be empty', leave_last_out, TIMED_RATINGS, n)


@pytest.mark.parametrize('split', [random_split, leave_last_out, time_split])
def test_one_rating_cannot_be_split(split):
    assert_refused((), split, TIMED_RATINGS.take([0]))


def test_folds_that_do_not_exist_or_would_be_empty():
    movielens = synthetic()
    for name in ('u0', 'u6', None, 1, ''):
        assert_refused(repr(name), official_fold, movielens, TIMED_RATINGS, name)
    one_rating = TIMED_RATINGS.take([0])
    for name in ('u1', 'u5', 'ua', 'ub'):
        words = 'one part would be empty'
        assert_refused(words, official_fold, movielens, one_rating, name)


def compare_with_itself(actual, predicted):
    return compare_errors(actual, predicted, predicted)


@pytest.mark.parametrize('measure', [rmse, mae, error_interval, compare_with_itself])
def test_errors_are_those_of_finite_numbers(measure):
    for actual, predicted in (
        ([], []),
        ([NAN, 1], [1, 1]),
        ([INF, 1], [1, 1]),
        ([1, 1], [NAN, 1]),
        ([1, 1], [-INF, 1]),
        ([1e300, 1], [-1e300, 1]),
        ([1, 2], [1]),
    ):
        assert_refused((), measure, actual, predicted)
    assert is_finite(measure([1e30, 1], [1, 1]))
    assert is_finite(measure([1e-30, 0], [0, 0]))
    assert is_finite(measure([3], [3]))


BOOTSTRAPS = {
    'error_interval': partial(error_interval, [1, 2, 3], [1, 2, 4]),
    'mean_interval': partial(mean_interval, [1, 2, 3]),
    'compare_errors': partial(compare_errors, [1, 2, 3], [1, 2, 4], [2, 2, 3]),
}


@pytest.mark.parametrize('name', BOOTSTRAPS)
def test_invalid_settings_of_a_bootstrap_are_refused(name):
    bootstrap = BOOTSTRAPS[name]
    for level in (0, 1, -1, 2, NAN, INF, None):
        assert_refused(f'level={level!r}', bootstrap, level=level)
    for n in (0, -1, 1.5, NAN, None):
        assert_refused(f'n_resamples={n!r}', bootstrap, n_resamples=n)
    for groups in ([], [1]):
        words = f'{len(groups)} groups for 3 values'
        assert_refused(words, bootstrap, groups=groups)


@pytest.mark.parametrize('name', BOOTSTRAPS)
def test_extreme_settings_of_a_bootstrap(name):
    bootstrap = BOOTSTRAPS[name]
    assert is_finite(bootstrap(n_resamples=1))
    assert is_finite(bootstrap(level=1e-12))
    assert is_finite(bootstrap(groups=[1, 1, 1]))


def test_values_without_a_mean_are_refused():
    for values in ([], [NAN], [INF], 1, [[1, 2]]):
        assert_refused((), mean_interval, values)
    assert_refused('use rmse or mae', error_interval, [1], [1], metric=max)


def score_by_row(rows):
    return np.arange(8.0) + np.zeros((len(rows), 1))


def test_lists_longer_than_the_catalog_are_judged():
    lists = rank_items(score_by_row, [0, 1], TIMED_RATINGS, 100)
    assert lists.shape == (2, 100)
    assert (lists[:, 8:] == -1).all()
    metrics = ranking_metrics(lists, [0, 1], TIMED_RATINGS, 100, min_rating=1)
    assert is_finite(metrics)
    for k in (0, -1, 1.5, NAN, None, 101):
        assert_refused(f'k={k!r}', ranking_metrics, lists, [0, 1], TIMED_RATINGS, k)


@pytest.mark.parametrize('score', [NAN, 'a'])
def test_scores_must_be_numbers(score):
    scores = np.full((2, 8), score)
    assert_refused('number', rank_items, lambda rows: scores, [0, 1], TIMED_RATINGS)


@pytest.mark.parametrize('shape', [(2, 3), (3, 8), (2, 30), (8,)])
def test_scores_are_one_for_each_user_and_item(shape):
    scores = np.zeros(shape)
    assert_refused(str(shape), rank_items, lambda rows: scores, [0, 1], TIMED_RATINGS)


@pytest.mark.parametrize('score', [INF, -INF, 1e300, -1e300])
def test_extreme_scores_are_ranked(score):
    scores = np.full((2, 8), score)
    lists = rank_items(lambda rows: scores, [0, 1], TIMED_RATINGS, 3)
    assert lists.shape == (2, 3)


def test_no_users_have_no_lists():
    lists = np.zeros((0, 3), int)
    assert rank_items(score_by_row, [], TIMED_RATINGS, 3).shape == (0, 3)
    assert len(ranking_metrics(lists, [], TIMED_RATINGS, 3)) == 0
    assert len(beyond_accuracy_metrics(lists, [], TIMED_RATINGS)) == 0
    assert catalog_coverage([], 5) == 0
    assert catalog_coverage([[-1]], 5) == 0
    for n in (0, -1, NAN):
        assert_refused(f'n_items={n!r}', catalog_coverage, [], n)


def test_features_of_items_must_be_finite():
    lists = rank_items(score_by_row, [0, 1], TIMED_RATINGS, 100)
    measure = partial(beyond_accuracy_metrics, lists, [0, 1], TIMED_RATINGS)
    for features in (
        np.full((8, 2), NAN),
        np.full((8, 2), 1e200),
        np.ones((3, 2)),
        np.ones(8),
    ):
        assert_refused('features', measure, features)
    assert is_finite(measure(np.zeros((8, 2))))


def test_top_items_of_factors():
    factors = model('als').predictor
    for k in (0, -1, 1.5, NAN, None):
        assert_refused(f'k={k!r}', top_items, factors, 0, k)
    assert len(top_items(factors, 0, 10**12)[0]) == 8
    assert len(top_items(factors, 0, 3, range(8))[0]) == 0


def test_rows_of_factors():
    factors = model('als').predictor
    assert factors.predict([], []).shape == (0,)
    assert factors.scores([]).shape == (0, 8)
    for row in (-1, 99):
        assert_refused('outside', factors.predict, row, 0, error=IndexError)


def test_arrays_of_factors_must_be_finite():
    factors = model('als').predictor
    for scale in ((NAN, NAN), (5, 1), (0, INF), (1,)):
        assert_refused('scale=', replace, factors, scale=scale)
    for mu in (NAN, INF):
        assert_refused('finite', replace, factors, mu=mu)


@keras
@pytest.mark.parametrize(
    'name, values',
    dict(
        reg=INVALID_WEIGHTS,
        bias_reg=INVALID_WEIGHTS,
        damping=INVALID_WEIGHTS,
        n_factors=(0, -1, 1.5, NAN, INF, None),
        n_iterations=(0, -1, 1.5, NAN, None),
        seed=(-1, 1.5, NAN, INT64_END, 2**70, None),
        patience=(-1, 1.5, NAN),
    ).items(),
)
def test_invalid_settings_of_the_network_are_refused(name, values):
    fit = partial(Recommender.fit, RATINGS, 'keras', valid=RATINGS)
    for value in values:
        settings = dict(n_factors=2, n_iterations=1) | {name: value}
        assert_refused(f'{name}={value!r}', fit, **settings)


def train_with(**changes):
    """Train a small network by a recipe with some changes."""
    from mf_movielens.training import RECIPES, train_net

    settings = dict(n_factors=2, n_iterations=2) | changes
    return train_net(RATINGS, replace(RECIPES['tuned'], **settings)).factors


@keras
@pytest.mark.parametrize(
    'name, values',
    dict(
        learning_rate=(0, -1, NAN, INF),
        batch_size=(0, -1, 1.5),
        link=('x',),
        reg_per=('x',),
    ).items(),
)
def test_invalid_recipes_are_refused(name, values):
    for value in values:
        assert_refused(f'{name}={value!r}', train_with, **{name: value})


@keras
def test_a_number_is_no_recipe():
    from mf_movielens.training import train_net

    assert_refused('recipe=3', train_net, RATINGS, 3)


@keras
def test_a_loss_that_grows_is_an_error():
    with pytest.raises(FloatingPointError, match='lower learning rate'):
        train_with(learning_rate=1e12)


@keras
def test_extreme_recipes():
    factors = train_with(reg=1e12, learning_rate=1e-12, batch_size=10**9)
    assert_usable(factors, RATINGS)


@keras
@pytest.mark.parametrize('unit', [1e-29, 1e13])
def test_the_network_is_fitted_in_any_unit(unit):
    rating = (RATINGS.rating * unit).astype('float32')
    scale = (float(rating.min()), float(rating.max()))
    ratings = replace(RATINGS, rating=rating, scale=scale)
    settings = dict(n_factors=2, n_iterations=2, reg=0, damping=0)
    assert_usable(Recommender.fit(ratings, 'keras', **settings).predictor, ratings)


@pytest.fixture
def ratings_csv(tmp_path):
    """A file with a column of ratings, and one in which all are equal."""
    path = tmp_path / 'r.csv'
    frame = pd.DataFrame(
        dict(
            user=RATINGS.user_ix,
            item=RATINGS.item_ix,
            rating=RATINGS.rating.astype(int),
            ones=1,
        )
    )
    frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    'options, reason',
    [
        ('--reg nan', '--reg nan'),
        ('--reg inf --solver als', '--reg inf'),
        ('--reg 1e12', '--reg 1000000000000.0'),
        ('--reg 0', '--reg 0'),
        ('--reg 0.1 --solver bayes', '--reg'),
        ('--scale nan nan', 'scale'),
        ('--scale 5 1', 'lowest must come first'),
        ('--scale 0 1e300', 'scale'),
        ('--scale 4 5', 'outside the scale'),
        ('--goal rating --rating-column ones', 'nothing to predict'),
        ('--n-iterations 0', '--n-iterations'),
        ('--n-factors -1', '--n-factors'),
        ('--seed -1', '--seed'),
    ],
)
def test_the_command_names_what_is_wrong(
    options, reason, ratings_csv, tmp_path, monkeypatch, capsys
):
    from mf_movielens.cli import main

    words = ['mf-movielens', 'train', str(ratings_csv), '--out', str(tmp_path / 'out')]
    monkeypatch.setattr(sys, 'argv', [*words, *options.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    message = capsys.readouterr().err
    assert ended.value.code == 2
    assert reason in message
    assert 'Traceback' not in message
    assert 'Warning' not in message
