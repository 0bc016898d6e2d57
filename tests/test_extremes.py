"Numbers at their ends: each gives finite answers, or one sentence that names the value, and never a warning."

import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mf_movielens.als import als_objective, fit_als
from mf_movielens.baselines import damped_biases, global_mean, popularity
from mf_movielens.bayes import fit_bayes
from mf_movielens.data import synthetic
from mf_movielens.ease import fit_ease
from mf_movielens.encoding import Ratings, RatingsError, Vocabulary, build_csr
from mf_movielens.factors import top_items
from mf_movielens.ials import fit_ials, ials_objective
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
INF, NAN, END = np.inf, np.nan, 2**63
SHORT = dict(n_factors=3, progress=False)


def table(
    n, m, rating=None, scale=(1.0, 5.0), keep=lambda u, i: u >= 0, timestamp=None
):
    "Ratings of n users and m items: of all pairs, or of those that are kept."
    u, i = np.nonzero(np.ones((n, m)))
    r = 1 + u * 7 % 5 * 2 % 5 * 0.5 + i * 3 % 5 * 0.5 if rating is None else rating
    r, kept = np.round(np.broadcast_to(r, u.shape), 30), keep(u, i)
    return Ratings(
        u[kept].astype('int32'),
        i[kept].astype('int32'),
        r[kept].astype('float32'),
        Vocabulary(range(n), 'user'),
        Vocabulary(range(m)),
        scale,
        timestamp,
    )


def drawn(seed=0, n=12, m=8, timed=False):
    rng = np.random.default_rng(seed)
    ratings = table(
        n, m, rng.integers(1, 6, n * m), keep=lambda u, i: rng.random(n * m) < 0.5
    )
    return (
        replace(ratings, timestamp=rng.integers(0, 10**9, len(ratings)))
        if timed
        else ratings
    )


RATINGS = drawn()
FITS = dict(
    als=lambda r: fit_als(r, **SHORT),
    ials=lambda r: fit_ials(r, **SHORT),
    ease=fit_ease,
    biases=damped_biases,
    mean=global_mean,
    popularity=popularity,
    probit=lambda r: fit_bayes(r, n_burn_in=0, n_samples=6, **SHORT),
    normal=lambda r: fit_bayes(
        r, n_burn_in=0, n_samples=6, likelihood='normal', **SHORT
    ),
)


def finite(x):
    "Is every number of an answer finite?"
    if isinstance(x, pd.DataFrame):
        x = x.select_dtypes('number')
    return bool(np.isfinite(np.asarray(x, 'float64')).all())


def refused(call, *words, error=(ValueError, TypeError)):
    "The call fails with one of our own errors, which says these words."
    with pytest.raises(error) as e:
        call()
    assert not isinstance(e.value, np.linalg.LinAlgError) and all(
        w in str(e.value) for w in words
    ), str(e.value)
    assert 'mf_movielens' in str(e.traceback[-1].path), (
        f'{e.value} comes from {e.traceback[-1].path}'
    )


def sound(model, ratings):
    "All scores and predictions of a fit are finite, and predictions lie on the scale."
    users = np.arange(len(ratings.users))
    assert finite(model.scores(users))
    if model.goal == 'ranking':
        return
    said = model.predict(ratings.user_ix, ratings.item_ix)
    low, high = np.float32(ratings.scale)
    assert (
        finite(said)
        and (said >= low * (1 - 1e-6 * np.sign(low))).all()
        and (said <= high * (1 + 1e-6 * np.sign(high))).all()
    )


SHAPES = {
    'one rating': table(1, 1, 3),
    'one user': table(1, 6),
    'one item': table(6, 1),
    'two ratings': table(2, 1, [1, 5]),
    'all equal': table(5, 4, 3),
    'the best only': table(5, 4, 5),
    'likes': table(5, 4, 1, (1.0, 1.0)),
    'every pair': table(7, 9),
    'one user has all': table(7, 9, keep=lambda u, i: (u == 0) | ((u + i) % 3 == 0)),
    'one item is had by all': table(
        7, 9, keep=lambda u, i: (i == 0) | ((u + i) % 3 == 0)
    ),
    'more items than a user could rate': table(3, 300, keep=lambda u, i: i % 40 == u),
}


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('solver', FITS)
def test_the_smallest_and_the_fullest_tables_are_fitted(solver, shape):
    ratings = SHAPES[shape]
    if solver in ('probit', 'normal') and np.ptp(ratings.rating) == 0:
        refused(lambda: FITS[solver](ratings), 'nothing to predict')
    else:
        sound(FITS[solver](ratings), ratings)


@pytest.mark.parametrize('ratings', [table(1, 1, 1), table(5, 4, 1)])
@pytest.mark.parametrize('solver', ['ials', 'ease'])
def test_what_nobody_likes_cannot_be_ranked(solver, ratings):
    refused(lambda: FITS[solver](ratings), 'nothing is known to be liked')


@pytest.mark.parametrize('solver', [s for s in FITS if s not in ('popularity', 'mean')])
@pytest.mark.parametrize('power', [-29, -12, -3, 3, 12, 13])
def test_the_unit_of_the_ratings_makes_no_difference(solver, power):
    "A scale of any size, and one below zero, gives what stars give, in its unit."
    by, stars = 10.0**power, replace(drawn(1, 30, 20), scale=(1.0, 5.0))
    rating = (stars.rating * by).astype('float32')
    other = replace(
        stars, rating=rating, scale=(float(rating.min()), float(rating.max()))
    )
    minus = replace(stars, rating=stars.rating - 6, scale=(-5.0, -1.0))
    say = lambda r: FITS[solver](r).scores(np.arange(30)).astype('float64')
    ours, unit = say(stars), 1 if FITS[solver](stars).goal == 'ranking' else by
    assert np.allclose(say(other) / unit, ours, atol=1e-4) and np.allclose(
        say(minus), ours - 6 * (unit != 1), atol=1e-4
    )


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
    refused(
        lambda: replace(table(2, 2), rating=np.full(4, rating, 'float32'), scale=scale),
        error=RatingsError,
    )


def test_a_thousand_factors_on_a_few_ratings_are_kept_small():
    ratings = drawn(2, 20, 10)
    for f in (
        fit_als(ratings, 1000, n_iterations=2, progress=False),
        fit_ials(ratings, 1000, n_iterations=2, progress=False),
        fit_bayes(ratings, n_factors=60, n_burn_in=0, n_samples=3, progress=False),
    ):
        sound(f, ratings)


ODD = (INF, NAN, -1, -INF, 'x', None)
LEAST = [(fit_als, n) for n in ('reg', 'bias_reg', 'damping')] + [
    (fit_ials, n) for n in ('reg', 'alpha', 'damping')
]


@pytest.mark.parametrize(
    'fit, name',
    [
        *LEAST,
        (fit_ease, 'reg'),
        (damped_biases, 'user_damping'),
        (damped_biases, 'item_damping'),
    ],
)
def test_penalties_are_numbers_within_bounds(fit, name):
    for value in ODD:
        refused(lambda: fit(RATINGS, **{name: value}), f'{name}={value!r}')
    for value in (0, 1e-12, 1e-6, 1e6, 1e12):
        try:
            sound(fit(RATINGS, **{name: value}), RATINGS)
        except ValueError as e:
            assert f'{name}={value!r}' in str(e) and value != 1e-6 and value != 1e6


@pytest.mark.parametrize('fit', [fit_als, fit_ials])
def test_the_least_penalties_are_enough(fit):
    for r in (RATINGS, *SHAPES.values()):
        sound(
            fit(
                r,
                20,
                reg=1e-6,
                damping=0,
                progress=False,
                **(dict(bias_reg=1e-6) if fit is fit_als else dict(alpha=1e-6)),
            ),
            r,
        )


WHOLE = [(fit_als, n) for n in ('n_factors', 'n_iterations', 'n_threads')] + [
    (fit_ials, n) for n in ('n_factors', 'n_iterations', 'n_threads')
]
WHOLE += [
    (fit_bayes, n)
    for n in ('n_factors', 'n_samples', 'n_burn_in', 'n_kept_samples', 'n_threads')
] + [(damped_biases, 'n_iterations')]


@pytest.mark.parametrize('fit, name', WHOLE)
def test_counts_are_whole_numbers(fit, name):
    for value in (
        -1,
        1.5,
        NAN,
        INF,
        -INF,
        '3',
        *([0] if name != 'n_burn_in' and fit is not damped_biases else []),
        *([] if name in ('n_threads', 'n_kept_samples') else [None]),
    ):
        refused(
            lambda: fit(RATINGS, **{name: value}), f'{name}={value!r}', 'whole number'
        )
    small = (
        {}
        if fit is damped_biases
        else dict(
            n_factors=2, **(dict(n_burn_in=0, n_samples=6) if fit is fit_bayes else {})
        )
    )
    sound(fit(RATINGS, **small | {name: 3.0}), RATINGS)


ONE_RATING = build_csr(np.zeros(1, int), np.zeros(1, int), np.array([3]), (1, 8))

SEEDED = [
    lambda s: fit_als(RATINGS, seed=s, **SHORT),
    lambda s: fit_ials(RATINGS, seed=s, **SHORT),
    lambda s: fit_bayes(RATINGS, n_burn_in=0, n_samples=3, seed=s, **SHORT),
    lambda s: random_split(RATINGS, seed=s),
    lambda s: error_interval([1, 2], [1, 3], seed=s),
    lambda s: mean_interval([1, 2], seed=s),
    lambda s: compare_errors([1, 2], [1, 3], [1, 2], seed=s),
    synthetic,
    lambda s: MODELS['probit'].predictor.fold_in(ONE_RATING, seed=s),
]


@pytest.mark.parametrize('seeded', SEEDED)
def test_a_seed_is_a_whole_number(seeded):
    for value in (-1, 1.5, NAN, 'x'):
        refused(lambda: seeded(value), f'seed={value!r}')
    seeded(2**32 - 1)
    if seeded is not SEEDED[3]:
        seeded(2**70)
    else:
        refused(lambda: seeded(2**32), f'seed={2**32}')


@pytest.mark.parametrize('value', [-END, END - 1, -(10**12), 10**12])
def test_a_moment_that_is_none_is_refused_by_those_who_read_it(value):
    ratings = replace(RATINGS, timestamp=np.full(len(RATINGS), value))
    refused(
        lambda: fit_bayes(ratings, n_burn_in=0, n_samples=3, **SHORT),
        'no moment in seconds',
    )
    sound(fit_bayes(ratings, n_burn_in=0, n_samples=3, time=False, **SHORT), ratings)
    refused(lambda: time_split(ratings), 'same timestamp')
    assert len(leave_last_out(ratings).report()) == 1


@pytest.mark.parametrize('value', [-(10**11), 0, 10**11])
def test_moments_at_the_ends_are_fitted(value):
    ratings = replace(
        RATINGS, timestamp=np.where(np.arange(len(RATINGS)) % 2, value, 5)
    )
    post = fit_bayes(ratings, n_burn_in=0, n_samples=5, **SHORT)
    assert finite(
        post.prediction_intervals(
            ratings.user_ix, ratings.item_ix, ratings.timestamp, level=0.9
        )
    )
    for when in (END - 1, -END, 1e300, NAN, 2e11):
        refused(lambda: post.predict(0, 0, when), 'no moment in seconds')


@pytest.mark.parametrize(
    'when',
    [
        np.arange(3),
        np.full(len(RATINGS), NAN),
        np.full(len(RATINGS), 'x'),
        np.full(len(RATINGS), np.datetime64('2020-01-01')),
    ],
)
def test_timestamps_are_numbers_one_for_each_rating(when):
    refused(lambda: replace(RATINGS, timestamp=when), 'timestamps', error=RatingsError)


@pytest.mark.parametrize('value', [1e300, -1e300, float(END), NAN, INF])
def test_moments_of_a_frame_fit_into_whole_numbers(value):
    frame = pd.DataFrame(
        dict(
            user_id=[1, 2, 1],
            movie_id=[1, 1, 2],
            rating=[1, 2, 3],
            timestamp=[5, 6, value],
        )
    )
    refused(lambda: Ratings.from_frame(frame), 'timestamp', error=RatingsError)
    refused(
        lambda: load_ratings(frame, timestamp='timestamp', say=None),
        'timestamp',
        error=RatingsError,
    )


@pytest.mark.parametrize('value', ['1e300', '-1e300', '1e39', 'nan', 'inf', '1e31'])
def test_a_rating_in_a_file_is_a_number_of_a_sensible_size(value, tmp_path):
    path = tmp_path / 'r.csv'
    path.write_text(f'user,item,rating\n1,1,5\n1,2,{value}\n2,1,3\n')
    refused(lambda: load_ratings(path, say=None), error=RatingsError)
    refused(
        lambda: Ratings.from_frame(
            pd.DataFrame(dict(user_id=[1], movie_id=[1], rating=[float(value)]))
        ),
        error=RatingsError,
    )


ALL = drawn(3, timed=True)
MODELS = {
    name: Recommender.fit(
        drawn(3),
        name,
        **SHORT,
        **({'n_burn_in': 0, 'n_samples': 8} if name == 'bayes' else {}),
    )
    for name in ('als', 'ials')
}
MODELS |= dict(
    ease=Recommender.of(fit_ease(drawn(3)), drawn(3)),
    popularity=Recommender.of(popularity(drawn(3)), drawn(3)),
    biases=Recommender.of(damped_biases(drawn(3)), drawn(3)),
    probit=Recommender.fit(ALL, 'bayes', n_burn_in=0, n_samples=8, **SHORT),
    normal=Recommender.fit(
        drawn(3), 'bayes', likelihood='normal', n_burn_in=0, n_samples=8, **SHORT
    ),
)
TAKES = ['als', 'ials', 'biases', 'probit', 'normal']  # newcomers


@pytest.mark.parametrize('name', MODELS)
def test_how_many_are_asked_for_is_looked_at(name):
    m = MODELS[name]
    asks = [
        lambda n: m.recommend(0, n),
        lambda n: m.evaluate(ALL, k=n),
        lambda n: m.similar(0, n, 0),
    ] + ([lambda n: m.fold_in({0: 5, 3: 1}, n)] if name in TAKES else [])
    for ask in asks:
        for n in (0, -1, 1.5, NAN, INF, None, '3'):
            refused(lambda: ask(n), '=', 'ask for one item or more')
    for ask in asks[:1] + asks[3:]:
        assert (
            finite(ask(10**12))
            and len(ask(10**12)) <= 8
            and len(ask(np.int64(1))) == len(ask(1.0)) == 1
        )
    assert len(m.evaluate(ALL, k=100)) > 5  # more than there are


@pytest.mark.parametrize('name', MODELS)
def test_nothing_asked_is_nothing_answered(name, tmp_path):
    m = MODELS[name]
    assert len(m.recommend([])) == len(m.recommend(0, candidates=[])) == 0
    if m.goal == 'rating':
        assert len(m.predict([], [])) == 0
    if m.gives_intervals:
        assert (
            len(m.intervals([], []))
            == len(m.intervals([], [], of='mean'))
            == len(m.probabilities([], []))
            == 0
        )
    if name in TAKES:
        assert (
            len(m.fold_in({0: 5}, candidates=[])) == 0
            and finite(m.fold_in({}))
            and len(m.fold_in({i: 3 for i in range(8)})) == 0
        )  # who has seen nothing, and all
    assert finite(Recommender.load(m.save(tmp_path / 'm.npz')).recommend())


@pytest.mark.parametrize('name', TAKES)
@pytest.mark.parametrize('value', [NAN, INF, 0, 6, -1e300, 'x', None])
def test_a_newcomers_rating_lies_on_the_scale(name, value):
    refused(lambda: MODELS[name].fold_in({0: value}), 'rating', error=RatingsError)


@pytest.mark.parametrize('name', ['probit', 'normal'])
def test_levels_lie_between_nothing_and_all(name):
    m = MODELS[name]
    asks = [
        lambda x: m.intervals(0, [0, 1], x),
        lambda x: m.intervals(0, [0, 1], x, of='mean'),
        lambda x: m.recommend(0, level=x),
        lambda x: m.fold_in({0: 5}, level=x, by='low'),
        lambda x: m.recommend(0, by='high', level=x),
    ]
    for ask in asks:
        for level in (0, 1, -1, 2, NAN, INF, None, '.9'):
            refused(lambda: ask(level), f'={level!r}', 'between 0 and 1')
        for level in (1e-12, 0.5, 1 - 1e-12):
            assert finite(ask(level))
    refused(
        lambda: m.predict([0, 1], [0, 1], timestamp=[1, 2, 3]),
        '3 timestamps for 2 pairs',
    )
    refused(lambda: m.probabilities(0, 0, timestamp=[]), '0 timestamps for 1 pairs')
    assert finite(coverage_table(m.predictor, ALL, levels=(1e-9, 0.999999)))
    for value in ODD[:4]:
        assert finite(m.predictor.probability_at_least(value, 0, 0)) or value != value


@pytest.mark.parametrize('name', ['als', 'ials', 'probit'])
def test_the_least_number_of_ratings_is_a_number(name):
    for value in (-1, NAN, 'x'):
        refused(lambda: MODELS[name].similar(0, 3, value), f'min_ratings={value!r}')
    assert len(MODELS[name].similar(0, 3, 10**9)) == len(
        MODELS[name].similar(0, 3, INF)
    ) == 0 and finite(MODELS[name].similar(0, 10**9, 0))


@pytest.mark.parametrize('name', ['als', 'ials'])
def test_penalties_of_a_ready_model_are_looked_at(name):
    f, r = MODELS[name].predictor, drawn(3)
    bare = replace(f, regularization=None)
    names = (
        ('reg', 'bias_reg', 'damping') if name == 'als' else ('reg', 'damping', 'alpha')
    )
    fitted = {n: getattr(f.regularization, n) for n in names}
    total = als_objective if name == 'als' else ials_objective

    def fold(rating=3, **weights):
        one = np.zeros(1, 'int32')
        history = build_csr(one, one, np.array([rating]), (1, len(f.item_bias)))
        return replace(f, regularization=Regularization(**weights)).fold_in(history)

    for at in range(3):
        for value in ODD:
            penalties = fitted | {names[at]: value}
            for call in (
                lambda: Recommender.of(bare, r, **penalties),
                lambda: fold(**penalties),
                lambda: total(f, r, **penalties),
            ):
                refused(call, f'{names[at]}={value!r}')
    for value in (0, 1e-12, 1e12):
        n = Recommender.of(bare, r, **dict.fromkeys(names, value))
        parts = n.explain(0, 1).iloc[:, -1]
        assert (
            finite(n.fold_in({0: 3, 1: 5}))
            and finite(n.fold_in({0: 4}))
            and finite(parts)
            and finite(n.similar(0, 3, 0))
        )
    for bad in (NAN, INF, 1e300):
        refused(lambda: fold(bad, **fitted), 'not finite')


def test_parts_of_a_split_are_neither_nothing_nor_all():
    for frac in (0, 1, -1, 2, NAN, INF, None, 'x'):
        for split in (random_split, time_split):
            refused(
                lambda: split(ALL, frac), f'test_fraction={frac!r}', 'between 0 and 1'
            )
    for frac in (1e-12, 0.5, 1 - 1e-9):
        for split in (random_split, time_split):
            try:
                assert len(split(ALL, frac).train) and len(split(ALL, frac).test)
            except ValueError as e:
                assert 'one part would be empty' in str(e) or 'same timestamp' in str(e)
    for n in (0, -1, 1.5, NAN, INF, None, 'x'):
        refused(lambda: leave_last_out(ALL, n), f'n={n!r}')
    for n in (len(ALL), END, 10**30):
        refused(lambda: leave_last_out(ALL, n), 'one part would be empty')
    one = ALL.take([0])
    for call in (
        lambda: random_split(one),
        lambda: leave_last_out(one),
        lambda: time_split(one),
    ):
        refused(call)
    ml = synthetic()
    for name in ('u0', 'u6', None, 1, ''):
        refused(lambda: official_fold(ml, ALL, name), repr(name))
    for name in ('u1', 'u5', 'ua', 'ub'):
        refused(lambda: official_fold(ml, one, name), 'one part would be empty')


@pytest.mark.parametrize(
    'measure', [rmse, mae, error_interval, lambda a, p: compare_errors(a, p, p)]
)
def test_errors_are_measured_of_finite_numbers(measure):
    for actual, predicted in (
        ([], []),
        ([NAN, 1], [1, 1]),
        ([INF, 1], [1, 1]),
        ([1, 1], [NAN, 1]),
        ([1, 1], [-INF, 1]),
        ([1e300, 1], [-1e300, 1]),
        ([1, 2], [1]),
    ):
        refused(lambda: measure(actual, predicted))
    assert (
        finite(measure([1e30, 1], [1, 1]))
        and finite(measure([1e-30, 0], [0, 0]))
        and finite(measure([3], [3]))
    )


def test_bootstraps_need_a_level_and_samples():
    for draw in (
        lambda **k: error_interval([1, 2, 3], [1, 2, 4], **k),
        lambda **k: mean_interval([1, 2, 3], **k),
        lambda **k: compare_errors([1, 2, 3], [1, 2, 4], [2, 2, 3], **k),
    ):
        for level in (0, 1, -1, 2, NAN, INF, None):
            refused(lambda: draw(level=level), f'level={level!r}')
        for n in (0, -1, 1.5, NAN, None):
            refused(lambda: draw(n_resamples=n), f'n_resamples={n!r}')
        for groups in ([], [1]):
            refused(lambda: draw(groups=groups), f'{len(groups)} groups for 3 values')
        assert (
            finite(draw(n_resamples=1))
            and finite(draw(level=1e-12))
            and finite(draw(groups=[1, 1, 1]))
        )
    for bad in ([], [NAN], [INF], 1, [[1, 2]]):
        refused(lambda: mean_interval(bad))
    refused(lambda: error_interval([1], [1], metric=max), 'use rmse or mae')


def test_lists_are_judged_or_refused():
    score = lambda rows: np.arange(8.0) + np.zeros((len(rows), 1))
    lists = rank_items(score, [0, 1], ALL, 100)
    assert (
        lists.shape == (2, 100)
        and (lists[:, 8:] == -1).all()
        and finite(ranking_metrics(lists, [0, 1], ALL, 100, min_rating=1))
    )
    for k in (0, -1, 1.5, NAN, None, 101):
        refused(lambda: ranking_metrics(lists, [0, 1], ALL, k), f'k={k!r}')
    for bad in (NAN, 'a'):
        refused(
            lambda: rank_items(lambda rows: np.full((len(rows), 8), bad), [0, 1], ALL),
            'number',
        )
    for shape in ((2, 3), (3, 8), (2, 30), (8,)):
        refused(
            lambda: rank_items(lambda rows: np.zeros(shape), [0, 1], ALL), str(shape)
        )
    for fine in (INF, -INF, 1e300, -1e300):
        assert rank_items(
            lambda rows: np.full((len(rows), 8), fine), [0, 1], ALL, 3
        ).shape == (2, 3)
    assert (
        rank_items(score, [], ALL, 3).shape == (0, 3)
        and len(ranking_metrics(np.zeros((0, 3), int), [], ALL, 3))
        == len(beyond_accuracy_metrics(np.zeros((0, 3), int), [], ALL))
        == 0
    )
    assert catalog_coverage([], 5) == catalog_coverage([[-1]], 5) == 0
    for n in (0, -1, NAN):
        refused(lambda: catalog_coverage([], n), f'n_items={n!r}')
    for X in (
        np.full((8, 2), NAN),
        np.full((8, 2), 1e200),
        np.ones((3, 2)),
        np.ones(8),
    ):
        refused(lambda: beyond_accuracy_metrics(lists, [0, 1], ALL, X), 'features')
    assert finite(beyond_accuracy_metrics(lists, [0, 1], ALL, np.zeros((8, 2))))


def test_factors_by_hand_are_asked_within_bounds():
    f = MODELS['als'].predictor
    for n in (0, -1, 1.5, NAN, None):
        refused(lambda: top_items(f, 0, n), f'k={n!r}')
    assert (
        len(top_items(f, 0, 10**12)[0]) == 8
        and len(top_items(f, 0, 3, range(8))[0]) == 0
    )
    assert f.predict([], []).shape == (0,) and f.scores([]).shape == (0, 8)
    for row in (-1, 99):
        refused(lambda: f.predict(row, 0), 'outside', error=IndexError)
    for scale in ((NAN, NAN), (5, 1), (0, INF), (1,)):
        refused(lambda: replace(f, scale=scale), 'scale=')
    for bad in (NAN, INF):
        refused(lambda: replace(f, mu=bad), 'finite')


keras = pytest.mark.filterwarnings('default')


@keras
@pytest.mark.parametrize(
    'name, values',
    dict(
        reg=ODD,
        bias_reg=ODD,
        damping=ODD,
        n_factors=(0, -1, 1.5, NAN, INF, None),
        n_iterations=(0, -1, 1.5, NAN, None),
        seed=(-1, 1.5, NAN, END, 2**70, None),
        patience=(-1, 1.5, NAN),
    ).items(),
)
def test_settings_of_the_network_are_looked_at(name, values):
    for value in values:
        refused(
            lambda: Recommender.fit(
                RATINGS,
                'keras',
                valid=RATINGS,
                **dict(n_factors=2, n_iterations=1) | {name: value},
            ),
            f'{name}={value!r}',
        )


@keras
def test_recipes_are_looked_at_and_a_loss_that_grows_is_told():
    from mf_movielens.training import RECIPES, train_net

    of = lambda **k: (
        train_net(
            RATINGS, replace(RECIPES['tuned'], **dict(n_factors=2, n_iterations=2) | k)
        ).factors
    )
    for name, values in dict(
        learning_rate=(0, -1, NAN, INF),
        batch_size=(0, -1, 1.5),
        link=('x',),
        reg_per=('x',),
    ).items():
        for value in values:
            refused(lambda: of(**{name: value}), f'{name}={value!r}')
    refused(lambda: train_net(RATINGS, 3), 'recipe=3')
    with pytest.raises(FloatingPointError, match='lower learning rate'):
        of(learning_rate=1e12)
    sound(of(reg=1e12, learning_rate=1e-12, batch_size=10**9), RATINGS)


@keras
@pytest.mark.parametrize('by', [1e-29, 1e13])
def test_the_network_counts_in_units_of_the_scale(by):
    rating = (RATINGS.rating * by).astype('float32')
    other = replace(
        RATINGS, rating=rating, scale=(float(rating.min()), float(rating.max()))
    )
    sound(
        Recommender.fit(
            other, 'keras', n_factors=2, n_iterations=2, reg=0, damping=0
        ).predictor,
        other,
    )


@pytest.mark.parametrize(
    'words, said',
    [
        ('--reg nan', 'reg=nan'),
        ('--reg inf --solver als', 'reg=inf'),
        ('--reg 1e12', 'reg=1000000000000.0'),
        ('--reg 0', 'reg=0'),
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
def test_the_command_says_what_is_wrong_in_one_line(
    words, said, tmp_path, monkeypatch, capsys
):
    from mf_movielens.cli import main

    path, kept = tmp_path / 'r.csv', RATINGS
    pd.DataFrame(
        dict(
            user=kept.user_ix, item=kept.item_ix, rating=kept.rating.astype(int), ones=1
        )
    ).to_csv(path, index=False)
    monkeypatch.setattr(
        sys,
        'argv',
        [
            'mf-movielens',
            'train',
            str(path),
            '--out',
            str(tmp_path / 'out'),
            *words.split(),
        ],
    )
    with pytest.raises(SystemExit) as e:
        main()
    err = capsys.readouterr().err
    assert (
        e.value.code == 2
        and said in err
        and 'Traceback' not in err
        and 'Warning' not in err
    )
