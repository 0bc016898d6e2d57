"""Searching settings: what is held out, what counts as better, when it ends."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import mf_movielens.tuning as tuning
from mf_movielens.encoding import Ratings
from mf_movielens.factors import Factors
from mf_movielens.recommender import Recommender
from mf_movielens.solvers import SOLVERS, Solver
from mf_movielens.tuning import Trial, tune_settings


@pytest.fixture(scope='module')
def likes():
    """Two groups of users who like different halves of the items."""
    rng = np.random.default_rng(0)
    is_liked = rng.random((80, 40)) < 0.35
    is_liked[:40, 20:] &= rng.random((40, 20)) < 0.3
    is_liked[40:, :20] &= rng.random((40, 20)) < 0.3
    user, item = np.nonzero(is_liked)
    return Ratings.from_frame(pd.DataFrame({'user': user, 'item': item, 'rating': 1.0}))


@pytest.fixture(scope='module')
def stars():
    """Ratings that depend on user and item."""
    rng = np.random.default_rng(1)
    user, item = np.nonzero(rng.random((60, 40)) < 0.5)
    mean = 3 + rng.normal(size=60)[user] * 0.5 + rng.normal(size=40)[item] * 0.5
    rating = np.clip((mean + rng.normal(scale=0.5, size=len(user))).round(), 1, 5)
    return Ratings.from_frame(
        pd.DataFrame({'user': user, 'item': item, 'rating': rating}), scale=(1, 5)
    )


class Planted:
    """A solver that knows the answers, and is the better the closer `x` is to 16."""

    def __init__(self, ratings, best=16.0):
        self.everything = ratings.to_csr().toarray()
        self.best = best
        self.tried = []

    def fit(self, ratings, x=1.0, y=3, seed=0):
        self.tried.append((x, y))
        rng = np.random.default_rng(seed)
        noise = rng.normal(size=self.everything.shape)
        distance = abs(np.log2(x / self.best))
        users = (self.everything + 0.3 * distance * noise).astype('float32')
        return Factors.for_ranking(ratings, users, np.eye(users.shape[1], dtype='f4'))

    def solver(self):
        return Solver(
            'planted',
            'ranking',
            self.fit,
            defaults={'x': 1.0, 'y': 3, 'seed': 0},
            steps={('x',): 2, ('y',): 2},
        )


@pytest.fixture
def planted(likes, monkeypatch):
    made = Planted(likes)
    monkeypatch.setitem(SOLVERS, 'planted', made.solver())
    return made


def test_the_walk_finds_a_planted_optimum(likes, planted):
    found = tune_settings(likes, solver='planted')
    assert found.settings['x'] == 16
    # what changes nothing is not taken
    assert found.settings['y'] == 3
    assert found.trials.best.iloc[0]
    assert found.trials[found.trials.best].ndcg.is_monotonic_increasing


def test_it_also_walks_downwards(likes, monkeypatch):
    made = Planted(likes, best=1 / 8)
    monkeypatch.setitem(SOLVERS, 'planted', made.solver())
    assert tune_settings(likes, solver='planted').settings['x'] == 1 / 8


def test_no_settings_are_tried_twice(likes, planted):
    found = tune_settings(likes, solver='planted')
    assert not found.trials.duplicated(['x', 'y']).any()


def test_a_gain_within_its_standard_error_is_none():
    rng = np.random.default_rng(0)
    scores = rng.random(400)
    n_better = 0
    for _ in range(200):
        other = scores + rng.normal(scale=0.1, size=400)
        n_better += Trial('a', {}, '', other, 1.0).is_better_than(
            Trial('a', {}, '', scores, 1.0)
        )
    # one in six by chance, not one in two
    assert 15 <= n_better <= 55


def test_the_difference_is_paired():
    hard = np.linspace(0, 1, 100)
    a = Trial('a', {}, '', hard, 1.0)
    b = Trial('b', {}, '', hard + 0.01, 1.0)
    assert b.is_better_than(a)
    assert not a.is_better_than(b)


def test_a_blend_takes_the_place_of_its_parts_if_it_gains_at_all():
    rng = np.random.default_rng(0)
    scores = rng.random(400)
    gains = rng.normal(scale=0.1, size=400)
    gains += 0.001 - gains.mean()
    old = Trial('ials', {}, '', scores, 1.0)
    assert Trial('blend', {}, '', scores + gains, 1.0).is_better_than(old)
    assert not Trial('ease', {}, '', scores + gains, 1.0).is_better_than(old)
    assert not Trial('blend', {}, '', scores - gains, 1.0).is_better_than(old)
    # Of two blends of the same parts, the better one; others must be surely better.
    blend = Trial('blend', {'reg': 1, 'weight': 0.25}, '', scores, 1.0)
    for settings, is_enough in (({'reg': 1}, True), ({'reg': 2}, False)):
        other = Trial('blend', settings | {'weight': 0.5}, '', scores + gains, 1.0)
        assert other.is_better_than(blend) == is_enough


def test_what_is_quick_comes_first(likes):
    trials = tune_settings(likes, trials=9).trials
    assert trials.solver.tolist() == ['ials', 'knn', 'ease', *6 * ['blend']]
    assert trials.pairs.tolist()[3:] == 3 * ['knn'] + 3 * ['ease']
    assert trials.weight.tolist()[3:] == 2 * [0.25, 0.5, 0.75]


def test_what_takes_long_comes_after_the_first_walk(likes, monkeypatch):
    slow = replace(SOLVERS['ease'], seconds=lambda ratings: 100.0)
    monkeypatch.setattr(tuning, 'SOLVERS', {**SOLVERS, 'ease': slow})
    solvers = tune_settings(likes).trials.solver.tolist()
    assert solvers[:6] == ['ials', 'knn', 'blend', 'blend', 'blend', 'ials']
    assert 'ease' in solvers


def test_the_bayesian_model_comes_last(stars):
    solvers = tune_settings(stars, goal='rating').trials.solver.tolist()
    assert solvers.index('bayes') > solvers.count('als') / 2
    assert solvers[:2] == ['als', 'als']


def test_the_fits_never_see_what_judges_them(likes, monkeypatch):
    seen = []

    def fit(ratings, **settings):
        seen.append({*zip(ratings.user_ix.tolist(), ratings.item_ix.tolist())})
        return SOLVERS['ials'].fit(ratings, n_factors=2, n_iterations=1)

    solver = Solver('spy', 'ranking', fit, defaults={})
    monkeypatch.setitem(SOLVERS, 'spy', solver)
    measured = []
    original = tuning.ranking_metrics

    def measure(recommended, users, test):
        measured.append({*zip(test.user_ix.tolist(), test.item_ix.tolist())})
        return original(recommended, users, test)

    monkeypatch.setattr(tuning, 'ranking_metrics', measure)
    tune_settings(likes, solver='spy')
    # little data is held out several times
    assert len(seen) == len(measured) == 5
    for train, test in zip(seen, measured):
        assert train and test
        assert not train & test


def test_equal_seeds_give_equal_trials(likes):
    columns = ['change', 'ndcg', 'gain', 'error', 'best', 'n_factors', 'reg']
    runs = [
        tune_settings(likes, solver='ials', trials=4, seed=seed, n_threads=n)
        for seed, n in ((0, 1), (0, 2), (1, 1))
    ]
    first, again, other = (run.trials[columns] for run in runs)
    pd.testing.assert_frame_equal(first, again)
    assert not first.ndcg.equals(other.ndcg)


def test_ratings_are_judged_by_their_error(stars):
    found = tune_settings(stars, goal='rating', solver='als', trials=5)
    best = found.trials[found.trials.best]
    assert best.rmse.is_monotonic_decreasing
    assert 0.4 < best.rmse.iloc[-1] < 0.9
    # as plain RMSE of one held-out tenth
    alone = tuning._hold_out_cases(stars, 'rating', 0)
    factors = [SOLVERS['als'].fit(c.train, **found.settings) for c in alone]
    errors = np.concatenate(
        [
            c.test.rating - f.predict(c.test.user_ix, c.test.item_ix)
            for c, f in zip(alone, factors)
        ]
    )
    rmse = np.sqrt(np.mean(errors.astype('float64') ** 2))
    np.testing.assert_allclose(best.rmse.iloc[-1], rmse, rtol=0.01)


def test_the_error_of_a_gain_is_in_the_unit_of_the_rmse():
    old, new = (
        Trial('als', {}, '', -np.array(squares), 1.0)
        for squares in ([1.0, 4.0, 4.0], [1.0, 3.0, 2.0])
    )
    row = tuning._row_of(new, old, 'rating')
    assert row['rmse'] == pytest.approx(2**0.5)
    of_squares = np.std([0, 1, 2], ddof=1) / 3**0.5
    assert row['error'] == pytest.approx(of_squares / (2 * 2**0.5))


def test_it_ends_in_time(likes, planted, monkeypatch):
    clock = itertools.count(0.0, 1.0)
    monkeypatch.setattr(tuning.time, 'monotonic', lambda: next(clock))
    found = tune_settings(likes, solver='planted', seconds=12)
    # each trial looks at the clock three times
    assert 2 <= len(found.trials) <= 4


def test_a_step_that_takes_too_long_does_not_end_the_search(likes, monkeypatch):
    """The clock only goes on in fits of factors, the slower the more there are."""
    now = [0.0]
    fit = SOLVERS['ials'].fit

    def slow_fit(ratings, **settings):
        now[0] += settings['n_factors']
        return fit(ratings, **settings)

    slow = replace(SOLVERS['ials'], fit=slow_fit)
    monkeypatch.setattr(tuning, 'SOLVERS', {**SOLVERS, 'ials': slow})
    monkeypatch.setattr(tuning.time, 'monotonic', lambda: now[0])
    n_cases = len(tuning._hold_out_cases(likes, 'ranking', 0))
    start = tune_settings(likes, trials=1).trials.n_factors[1]
    now[0] = 0.0
    # Two trials, and a fit at the end.
    found = tune_settings(likes, seconds=3.5 * n_cases * start)
    assert (found.trials.solver == 'ials').sum() <= 3
    assert {'knn', 'ease', 'blend'} <= {*found.trials.solver}
    assert now[0] <= 3.5 * n_cases * start


def test_ctrl_c_keeps_the_best_so_far(likes, planted, monkeypatch):
    fit = planted.fit

    def interrupted(ratings, **settings):
        if len(planted.tried) == 12:
            raise KeyboardInterrupt
        return fit(ratings, **settings)

    solver = Solver(
        'planted', 'ranking', interrupted, {'x': 1.0, 'seed': 0}, steps={('x',): 2}
    )
    monkeypatch.setitem(SOLVERS, 'planted', solver)
    found = tune_settings(likes, solver='planted')
    assert len(found.trials) == 2
    assert found.settings['x'] == 2


def test_ctrl_c_before_the_first_trial_ends_it(likes, monkeypatch):
    def fit(ratings, **settings):
        raise KeyboardInterrupt

    monkeypatch.setitem(SOLVERS, 'never', Solver('never', 'ranking', fit, {}))
    with pytest.raises(KeyboardInterrupt):
        tune_settings(likes, solver='never')


def test_a_search_goes_on_where_it_stopped(likes, planted, tmp_path):
    path = tmp_path / 'tuning.npz'
    first = tune_settings(likes, solver='planted', trials=3, checkpoint=path)
    n_fits = len(planted.tried)
    resumed = tune_settings(likes, solver='planted', trials=5, checkpoint=path)
    assert len(planted.tried) - n_fits == 2 * n_fits / 3
    assert resumed.trials.ndcg[:3].equals(first.trials.ndcg)
    at_once = tune_settings(likes, solver='planted', trials=5)
    assert resumed.trials.ndcg.equals(at_once.trials.ndcg)


def test_a_search_that_goes_on_blends_the_best_of_each_solver(likes, tmp_path):
    path = tmp_path / 'tuning.npz'
    tune_settings(likes, trials=3, checkpoint=path)
    resumed = tune_settings(likes, trials=9, checkpoint=path).trials
    at_once = tune_settings(likes, trials=9).trials
    columns = ['solver', 'pairs', 'weight', 'ndcg']
    pd.testing.assert_frame_equal(resumed[columns], at_once[columns])


def test_trials_of_a_file_count(likes, tmp_path):
    path = tmp_path / 'tuning.npz'
    six = tune_settings(likes, solver='knn', trials=3, checkpoint=path)
    two = tune_settings(likes, solver='knn', trials=2, checkpoint=path)
    pd.testing.assert_frame_equal(two.trials, six.trials[:2])


def test_the_file_of_another_search_is_refused(likes, stars, tmp_path):
    path = tmp_path / 'tuning.npz'
    tune_settings(likes, solver='ials', trials=1, checkpoint=path)
    with pytest.raises(ValueError, match='belongs to another fit'):
        tune_settings(likes, solver='ials', trials=1, seed=1, checkpoint=path)
    with pytest.raises(ValueError, match='belongs to another fit'):
        tune_settings(stars, solver='ials', trials=1, checkpoint=path)


@pytest.mark.parametrize(
    ('wrong', 'message'),
    [
        ({'trials': 0}, 'trials'),
        ({'seconds': 0}, 'seconds'),
        ({'seconds': float('nan')}, 'seconds'),
        ({'goal': 'fame'}, 'goal'),
        ({'solver': 'als'}, 'als is for rating'),
        ({'seed': -1}, 'seed'),
    ],
)
def test_what_makes_no_sense_is_refused(likes, wrong, message):
    with pytest.raises(ValueError, match=message):
        tune_settings(likes, **({'goal': 'ranking'} | wrong))


def test_too_few_ratings_are_refused_with_the_way_out():
    frame = pd.DataFrame({'user': [1, 2], 'item': [1, 2], 'rating': [1.0, 2.0]})
    with pytest.raises(ValueError, match='fit'):
        tune_settings(Ratings.from_frame(frame))


def test_the_recommender_is_fitted_to_all_ratings(likes, planted, tmp_path):
    model = Recommender.tune(likes, solver='planted', trials=4)
    assert model.seen.nnz == len(likes)
    assert len(model.trials) == 4
    assert model.settings['because'] == 'it was the best of 4 trials'
    assert model.settings['x'] == model.trials.x[model.trials.best].iloc[-1]
    loaded = Recommender.load(model.save(tmp_path / 'model.npz'))
    assert loaded.settings == model.settings


@pytest.mark.parametrize(
    ('estimate', 'limit', 'is_tried'),
    [(0.01, None, True), (700, None, False), (0.01, 600, True), (400, 600, False)],
)
def test_a_fit_that_takes_too_long_is_not_begun(
    likes, monkeypatch, estimate, limit, is_tried
):
    slow = replace(SOLVERS['ease'], seconds=lambda ratings: estimate)
    monkeypatch.setattr(tuning, 'SOLVERS', {**SOLVERS, 'ease': slow})
    found = tune_settings(likes, seconds=limit, trials=25)
    assert ('ease' in set(found.trials.solver)) == is_tried
    # Who asks for it gets it.
    asked = tune_settings(likes, solver='ease', seconds=limit, trials=1)
    assert asked.solver == 'ease'
