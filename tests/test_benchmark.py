"The benchmark's tables are complete and consistent, and its search is fair."

import importlib
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import nbformat
import numpy as np
import pandas as pd
import pytest

from mf_movielens.book import results_table
from mf_movielens.encoding import Ratings, Vocabulary
from mf_movielens.factors import Factors
from mf_movielens.ials import fit_ials, ials_objective
from mf_movielens.least_squares import N_FINAL_STEPS, N_STEPS
from mf_movielens.ranking import rank_items, ranking_metrics

BENCHMARKS = Path(__file__).resolve().parent.parent / 'benchmarks'
CHAPTER = BENCHMARKS.parent / 'nbs/21_benchmark.ipynb'
MODEL_KEYS = ['task', 'system', 'model', 'variant']
SEARCH_KEYS = ['system', 'model', 'fold']


@pytest.fixture(scope='module')
def programs():
    "The folder `benchmarks` among those that are imported from."
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope='module')
def run(programs):
    "The program `benchmarks/run.py` as a module."
    return importlib.import_module('run')


@pytest.fixture(scope='module')
def scale(programs):
    "The program `benchmarks/scale.py` as a module."
    return importlib.import_module('scale')


@pytest.fixture(scope='module')
def data(programs):
    "`benchmarks/benchmark_data.py`."
    return importlib.import_module('benchmark_data')


@pytest.fixture(scope='module')
def made_100k(data):
    "Synthetic ratings in the shape of ML-100K."
    return data.synthetic_ratings(*data.SYNTHETIC_SIZES['100K'])


@pytest.fixture(scope='module')
def tables():
    results = BENCHMARKS.parent / 'mf_movielens/results'
    return {
        part: pd.read_csv(results / f'benchmark{part}.csv')
        for part in ('', '_folds', '_search')
    }


def chapter_until(heading):
    "The cells of the chapter on the benchmark that come before a heading."
    cells = nbformat.read(CHAPTER, 4).cells
    is_end = [cell.source.startswith(heading) for cell in cells]
    return cells[: is_end.index(True)]


def header_cells(cell):
    "The names of columns and rows in the tables that a cell shows."
    html = ''.join(
        o.get('data', {}).get('text/html', '') for o in cell.get('outputs', [])
    )
    return set(re.findall(r'<th[^>]*>([^<]+)</th>', html))


def variants_of(about):
    "The names of the variants of a model that the benchmark fits."
    tuned = ['tuned'] if about['search'] else []
    return ['default', *about.get('variants', {}), *tuned]


def pinned_version(packages):
    "The version of the first package, if one is pinned."
    versions = dict(p.split('==') for p in packages if '==' in p)
    return versions.get(packages[0].split('==')[0])


def test_every_peer_and_variant_was_measured(run, tables):
    expected = {
        (about['task'], system, model, variant)
        for system, peer in run.load_peers().items()
        for model, about in peer.MODELS.items()
        if about['task'] in run.METRICS
        for variant in variants_of(about)
    }
    assert set(tables[''][MODEL_KEYS].itertuples(index=False, name=None)) == expected


def test_the_keys_of_the_chapter_explain_every_row_and_column():
    cells = chapter_until('## Speed')
    keys = next(c.source for c in cells if '## Key to the rows' in c.source)
    _, rows, columns = keys.split('## Key to the ')
    first_column = r'^\| ([^|]+?) \|'
    named_rows = '; '.join(re.findall(first_column, rows, re.M)).split('; ')
    named_columns = re.split(
        '[;,] ', ', '.join(re.findall(first_column, columns, re.M))
    )
    shown = set().union(*map(header_cells, cells))
    assert {'ours, ALS', 'ours, iALS', 'MAE from', 'one user (ms)'} <= shown
    unexplained = shown - {*named_rows, *named_columns} - {'row', 'variant'}
    assert not unexplained
    assert {*named_rows} - {'row', '---'} <= shown


def test_peers_were_measured_with_the_pinned_version(run, tables):
    pinned = {s: pinned_version(peer.PACKAGES) for s, peer in run.load_peers().items()}
    for system, version in zip(tables[''].system, tables[''].version):
        assert pinned[system] in (None, version)


def test_all_models_had_the_same_search_budget(run, tables):
    peers = run.load_peers()
    for (system, model, _), tried in tables['_search'].groupby(SEARCH_KEYS):
        about = peers[system].MODELS[model]
        settings = [json.loads(s) for s in tried.settings]
        assert settings == run.settings_to_try(about, run.BUDGET)
        assert settings[0] == about['default']
        assert len(settings) <= run.BUDGET


def test_the_best_settings_were_chosen(run, tables):
    peers = run.load_peers()
    for (system, model, _), tried in tables['_search'].groupby(SEARCH_KEYS):
        is_error = peers[system].MODELS[model]['task'] == 'rating'
        best = tried.figure.idxmin() if is_error else tried.figure.idxmax()
        assert tried.chosen.sum() == 1
        assert tried.chosen[best]


def test_the_chosen_settings_were_fitted(tables):
    search, folds = tables['_search'], tables['_folds']
    chosen = search[search.chosen].set_index(SEARCH_KEYS).settings
    for row in folds[folds.variant == 'tuned'].itertuples():
        fitted = json.loads(row.settings)
        assert fitted == json.loads(chosen[row.system, row.model, row.fold])


def test_the_summary_is_the_mean_of_five_folds(tables):
    metrics = ['rmse', 'ndcg', 'recall']
    folds = tables['_folds'].groupby(MODEL_KEYS)
    means = folds[metrics].mean()
    summary = tables[''].set_index(MODEL_KEYS)[metrics]
    pd.testing.assert_frame_equal(
        summary.sort_index(), means.sort_index(), rtol=0, atol=1e-4, check_dtype=False
    )
    assert (folds.fold.nunique() == 5).all()


def test_implicit_feedback_of_a_peer_is_that_of_the_training_ratings(run):
    "Each row of features has a one for itself, and 1 / sqrt(n) for each of n ratings."
    sparse = pytest.importorskip('scipy.sparse')
    worker, peer = importlib.import_module('worker'), run.load_peers()['myfm']
    for name in ('csr_matrix', 'diags', 'hstack', 'identity'):
        setattr(peer, name, getattr(sparse, name))
    # the last user and the last two items have no rating in training
    user_ix, item_ix = np.array([0, 0, 1, 2, 0, 2]), np.array([0, 1, 1, 1, 2, 2])
    train = worker.PeerRatings(
        user_ix, item_ix, np.ones(6), None, 4, 5, 1, 5, np.ones((4, 3)), np.ones((5, 2))
    )
    data = peer.prepare('ratings and implicit feedback', train, {})
    rated = np.zeros((4, 5))
    rated[user_ix, item_ix] = 1
    for side, table in (('users', rated), ('items', rated.T)):
        n_ratings = np.maximum(table.sum(1, keepdims=True), 1)
        expected = np.hstack([np.eye(len(table)), table / np.sqrt(n_ratings)])
        assert data[side].toarray() == pytest.approx(expected)
    assert data['groups'] == [4, 5, 5, 4]


def test_only_the_named_models_are_measured_and_times_may_stay_empty(
    run, monkeypatch, tmp_path
):
    about = dict(task='rating', default={'rank': 10}, search={'rank': [8, 10]})
    peers = {'peer': SimpleNamespace(MODELS={'one': about, 'other': about})}
    plan = run.Plan(('u1',), 2, tmp_path, tmp_path, ('one',), keeps_times=False)
    fitted = []

    def fit_fold(variant, peer, settings, n_settings, fold, plan):
        fitted.append(variant)
        return variant.columns() | dict(fold=fold, rmse=0.9, fit_s=3.0, missing=None)

    def search_settings(system, peer, model, fold, budget):
        row = dict(task='rating', system=system, model=model, fold=fold, fit_s=3.0)
        return peer.MODELS[model]['default'], pd.DataFrame([row])

    monkeypatch.setattr(run, 'fit_fold', fit_fold)
    monkeypatch.setattr(run, 'search_settings', search_settings)
    monkeypatch.setattr(run, 'fit_main_model', lambda task, plan: None)
    monkeypatch.setattr(run, 'write_summary', lambda path, plan: pd.read_csv(path))
    monkeypatch.setattr(run, 'print_table', lambda table, task: None)
    assert run.measure_tasks(peers, ['rating'], plan) == []
    assert [tuple(v)[2:] for v in fitted] == [('one', 'default'), ('one', 'tuned')]
    for part in ('folds', 'search'):
        table = pd.read_csv(tmp_path / f'benchmark_{part}.csv')
        assert {*table.model} == {'one'}
        assert table.fit_s.isna().all()


def pairs_of(users, items):
    return set(zip(users.tolist(), items.tolist()))


def test_the_generator_makes_the_same_ratings_again(data):
    users, items, stars = first = data.synthetic_ratings(2000, 500, 300)
    second = data.synthetic_ratings(2000, 500, 300)
    for once, again in zip(first, second):
        assert (once == again).all()
    assert len(users) == len(pairs_of(users, items)) == 2000
    assert stars.min() >= 0.5
    assert stars.max() <= 5
    assert ((2 * stars) % 1 == 0).all()
    other_users, other_items, _ = data.synthetic_ratings(2000, 500, 300, seed=1)
    shared = pairs_of(users, items) & pairs_of(other_users, other_items)
    assert len(shared) < 400


@pytest.mark.parametrize('shape', [(300, 30, 20), (40, 4, 20), (10, 100, 2)])
def test_the_generator_makes_any_shape(data, shape):
    n_ratings, n_users, n_items = shape
    users, items, _ = data.synthetic_ratings(*shape)
    assert len(pairs_of(users, items)) == n_ratings
    assert users.max() < n_users
    assert items.max() < n_items


def test_the_generator_refuses_a_table_that_would_be_full(data):
    with pytest.raises(ValueError, match='n_ratings=60 are more than half'):
        data.synthetic_ratings(60, 10, 10)


def test_synthetic_ratings_have_the_tails_of_movielens(made_100k):
    """Quantiles of ML-100K: 10, 50, 90 and 99 %, and the largest number."""
    users, items, _ = made_100k
    of_users, of_items = (
        [*np.quantile(np.bincount(rows, minlength=n), [0.1, 0.5, 0.9, 0.99, 1])]
        for rows, n in ((users, 943), (items, 1682))
    )
    assert np.bincount(users).min() >= 19
    assert of_users == pytest.approx([23, 65, 244, 443, 737], rel=0.5)
    assert of_items == pytest.approx([2, 27, 169, 369, 583], rel=0.5, abs=3)


def test_what_users_pick_depends_on_their_tastes(made_100k):
    """Beyond counts, many components say more than the first would by chance."""
    users, items, _ = made_100k
    table = np.zeros((943, 1682))
    table[users, items] = 1
    share = table.mean(0) / table.mean()
    expected = np.clip(np.outer(table.mean(1), share), 1e-9, 0.99)
    spread = np.sqrt(expected * (1 - expected)) + 0.05
    by_chance = np.random.default_rng(0).random(table.shape) < expected
    found, at_random = (
        np.linalg.svd((picked - expected) / spread, compute_uv=False)
        for picked in (table, by_chance)
    )
    assert 20 < (found > at_random[0]).sum() < 80


def test_held_out_ratings_and_validation_part_fit_together(data, monkeypatch):
    monkeypatch.setitem(data.SYNTHETIC_SIZES, '100K', (1000, 100, 80))
    whole, valid = data.synthetic_arrays('100K'), data.synthetic_arrays('100K-valid')
    assert len(whole['user_ix']) == 1100
    assert whole['n_test'] == valid['n_test'] == 100
    assert (valid['user_ix'] == whole['user_ix'][:-100]).all()
    assert (valid['item_ix'] == whole['item_ix'][:-100]).all()


def test_no_process_gets_settings_of_threads_or_kernels(run, monkeypatch):
    removed = [
        'OPENBLAS_CORETYPE',
        'OPENBLAS_L2_SIZE',
        'OPENBLAS_NUM_THREADS',
        'OMP_NUM_THREADS',
        'MKL_NUM_THREADS',
        'IRSPACK_NUM_THREADS_DEFAULT',
        'NUMBA_NUM_THREADS',
        'NUMBA_DISABLE_JIT',
        'LK_NUM_THREADS',
        'RAYON_NUM_THREADS',
        'TF_NUM_INTRAOP_THREADS',
    ]
    for name in removed:
        monkeypatch.setenv(name, '1')
    monkeypatch.setenv('NUMBA_CACHE_DIR', 'kept')
    environment = run.clean_environment()
    assert not environment.keys() & {*removed}
    assert environment['NUMBA_CACHE_DIR'] == 'kept'
    assert environment['CUDA_VISIBLE_DEVICES'] == ''


def ranking_models(run):
    return [
        (system, model)
        for system, peer in run.load_peers().items()
        for model, about in peer.MODELS.items()
        if about['task'] == 'scale ranking'
    ]


def implicit_objective(likes, users, items, *, alpha, regularization, **rest):
    "What implicit minimizes: unrated pairs weigh 1, and rated ones `alpha`."
    scores = users @ items.T
    errors = np.where(likes, alpha * (1 - scores) ** 2, scores**2)
    return errors.sum() + regularization * ((users**2).sum() + (items**2).sum())


def irspack_objective(likes, users, items, *, alpha0, reg, nu, **rest):
    "What irspack minimizes."
    scores = users @ items.T
    errors = (1 - scores)[likes] ** 2
    total = errors.sum() + alpha0 * (scores**2).sum()
    for rows, counts, n_others in (
        (users, likes.sum(1), len(items)),
        (items, likes.sum(0), len(users)),
    ):
        total += reg * ((alpha0 * n_others + counts) ** nu @ (rows**2).sum(1))
    return total / 2


@pytest.mark.parametrize(
    'system, model, library_class, objective',
    [
        ('implicit', 'scale ALS', 'AlternatingLeastSquares', implicit_objective),
        ('irspack', 'scale iALS, CG', 'IALSRecommender', irspack_objective),
        ('irspack', 'scale iALS++', 'IALSRecommender', irspack_objective),
    ],
)
def test_weights_of_a_peer_make_its_objective_a_multiple_of_ours(
    run, monkeypatch, system, model, library_class, objective
):
    """But for a constant, at any factors; the library itself is not needed."""
    peer, rng = run.load_peers()[system], np.random.default_rng(0)

    class Fit(SimpleNamespace):
        "Keeps the arguments, and gives the factors that are put into it."

        def __init__(self, *data, **settings):
            super().__init__(**settings, settings=settings)

        def fit(self, *data, **options):
            self.learn()

        def learn(self):
            self.user_factors, self.item_factors = tables
            return self

        def get_user_embedding(self):
            return self.user_factors

        def get_item_embedding(self):
            return self.item_factors

    monkeypatch.setattr(peer, library_class, Fit, raising=False)
    is_liked = rng.random((9, 7)) < 0.4
    user_ix, item_ix = np.nonzero(is_liked)
    users, items = Vocabulary(range(9)), Vocabulary(range(7))
    pairs = user_ix.astype('i4'), item_ix.astype('i4'), np.ones(len(user_ix), 'f4')
    likes = Ratings(*pairs, users, items, (1, 1))
    settings = dict(n_factors=3, n_iterations=1, n_threads=None, alpha=0.3, l2=1.5)
    ours, theirs = [], []
    for _ in range(3):
        tables = rng.normal(size=(9, 3)), rng.normal(size=(7, 3))
        data = (None, None) if system == 'implicit' else None
        fitted = peer.fit(model, data, settings)
        arguments = (fitted[0] if system == 'implicit' else fitted).settings
        theirs.append(objective(is_liked, *tables, **arguments))
        factors = Factors.for_ranking(likes, *peer.factors(model, fitted))
        ours.append(ials_objective(factors, likes, 0, damping=1.5, alpha=0.3))
    ratio = np.diff(theirs) / np.diff(ours)
    assert ratio[0] > 0
    assert ratio[0] == pytest.approx(ratio[1], rel=1e-4)


def test_all_systems_minimize_the_same_objective(run, tmp_path):
    """After many rounds all are at the same minimum of our objective."""
    rng = np.random.default_rng(0)
    user_ix, item_ix = np.divmod(rng.permutation(60 * 40)[:600], 40)
    path, out = tmp_path / 'ratings.npz', tmp_path / 'factors.npz'
    pairs = dict(user_ix=user_ix.astype('i4'), item_ix=item_ix.astype('i4'))
    stars = (1 + user_ix % 5).astype('f4')
    np.savez(path, **pairs, rating=stars, n_test=60, n_users=60, n_items=40)
    users, items = Vocabulary(np.arange(60)), Vocabulary(np.arange(40))
    likes = Ratings(
        *(pairs[c][:540] for c in pairs), np.ones(540, 'f4'), users, items, (1, 1)
    )
    weights = dict(alpha=0.3, l2=1.5)
    reached = {}
    for system, model in ranking_models(run):
        made = (BENCHMARKS / '.envs' / system / 'packages.txt').exists()
        if system != 'mf_movielens' and not made:
            continue
        settings = dict(n_factors=6, n_iterations=200, n_threads=None, **weights)
        job = dict(model=model, settings=settings, data=str(path), out=str(out))
        peer = run.load_peers()[system]
        (report,) = run.run_worker(system, peer, [job | dict(factors=True)])
        assert 'error' not in report
        with np.load(out) as file:
            tables = file['user_factors'], file['item_factors']
        factors = Factors.for_ranking(likes, *tables)
        reached[model] = ials_objective(factors, likes, 0, weights['l2'], 0.3)
    assert 300 < reached['scale iALS'] < 400
    assert [*reached.values()] == pytest.approx([reached['scale iALS']] * len(reached))


class FakeEntrant(NamedTuple):
    "Fits whose quality and seconds follow from the number of rounds."

    system: str
    n_threads: int | None
    per_round: float
    model: str = 'scale fake'

    def columns(self):
        return dict(system=self.system, model='fake', threads=self.n_threads or 2)


@pytest.fixture
def fake_fits(scale, monkeypatch):
    "The fits that were made, with a cell of them."
    made = []

    def time_fit(cell, entrant, n_iterations, seed):
        assert seed < 3
        made.append((entrant.system, entrant.n_threads, n_iterations))
        seconds = 1 + entrant.per_round * n_iterations
        constant = dict(version='1', blas='', python='3', import_s=2.0, extra_mb=3.0)
        return constant | dict(
            rounds=n_iterations,
            fit_s=seconds,
            prepare_s=0.5,
            whole_s=seconds + 0.5,
            ratings_mb=1.0,
            quality=0.2 - 0.1 / n_iterations**2,
        )

    monkeypatch.setattr(scale, 'time_fit', time_fit)
    return made


def test_a_cell_of_the_table(scale, fake_fits):
    cell = scale.Cell('ranking', '1M', 64, 3)
    entrants = [FakeEntrant('ours', None, 2), FakeEntrant('ours', 1, 4)]
    entrants.append(FakeEntrant('other', None, 3))
    fits, target = scale.measure_cell(cell, entrants, pd.DataFrame())
    # systems take turns
    assert [system for system, _, _ in fake_fits[:3]] == ['ours', 'ours', 'other']
    assert target == pytest.approx(0.99 * (0.2 - 0.1 / 64))
    rows = scale.rows_of_cell(cell, fits, target, {'ours': 9.0})
    assert {*scale.KEYS} < {*rows}
    assert rows.missing.isna().all()
    assert rows.pass_s.tolist() == [2, 4, 3]
    assert rows.whole_s.tolist() == [17.5, 33.5, 25.5]
    assert rows.compile_s.tolist()[:2] == [9, 9]
    assert rows.threads.tolist() == [2, 1, 2]
    # 0.2 - 0.1 / 36 is above the target, and 0.2 - 0.1 / 16 below
    assert rows.to_ndcg_rounds.tolist()[::2] == [6, 6]
    assert rows.to_ndcg_s.tolist()[::2] == [13.5, 19.5]
    assert np.isnan(rows.to_ndcg_s[1])
    assert fake_fits.count(('ours', None, 8)) == fake_fits.count(('ours', 1, 1)) == 3
    assert fake_fits.count(('ours', None, 6)) == 1


def test_a_part_of_the_systems_has_the_target_of_all(scale, fake_fits):
    cell = scale.Cell('ranking', '1M', 64, 1)
    before = pd.DataFrame({'ndcg': [0.18]})
    ours = FakeEntrant('ours', None, 2)
    fits, target = scale.measure_cell(cell, [ours], before)
    assert target == pytest.approx(0.99 * 0.18)
    # 0.2 - 0.1 / 9 is above it
    assert fits[0].fewest == 3


def test_a_fit_that_fails_leaves_a_row(scale, monkeypatch):
    def fail(cell, entrant, n_iterations, seed):
        raise RuntimeError('out of memory')

    monkeypatch.setattr(scale, 'time_fit', fail)
    cell = scale.Cell('ranking', '1M', 64, 2)
    fits, target = scale.measure_cell(
        cell,
        [FakeEntrant('ours', None, 2), FakeEntrant('other', None, 2)],
        pd.DataFrame(),
    )
    rows = scale.rows_of_cell(cell, fits, target, {})
    assert rows.missing.tolist() == ['RuntimeError: out of memory'] * 2


def test_rows_of_another_processor_stay(scale, run, tmp_path):
    row = dict(data='1M', factors=64, system='implicit', model='ALS', threads=2)
    for processor, seconds in (('A', 1), ('B', 2), ('A', 3)):
        new = pd.DataFrame([row | dict(processor=processor, whole_s=seconds)])
        run.merge_rows(tmp_path / 'table.csv', new, scale.KEYS)
    table = pd.read_csv(tmp_path / 'table.csv')
    assert table.processor.tolist() == ['A', 'B']
    assert table.whole_s.tolist() == [3, 2]


def test_the_table_of_ranking_fits_is_complete():
    table = pd.read_csv(BENCHMARKS.parent / 'mf_movielens/results/ials.csv')
    sizes, widths = ('100K', '1M', '10M'), (32, 64, 128, 256)
    cells = table[table.threads == 2].groupby(['data', 'factors', 'processor']).model
    assert {key[:2] for key in cells.groups} == {(d, f) for d in sizes for f in widths}
    everybody = {'iALS', 'ALS', 'iALS, CG', 'iALS++'}
    assert all({*models} == everybody for _, models in cells)
    assert table.missing.isna().all()
    expected = {'mf_movielens', 'implicit', 'irspack'}
    for (_, size, _), cell in table.groupby(['processor', 'data', 'factors']):
        assert {*cell.system} == expected
        assert len(cell) == (4 if size == '100K' else 5)
        assert cell[['alpha', 'l2', 'rounds', 'target_ndcg']].nunique().eq(1).all()
        reached = cell[cell.to_ndcg_s.notna()]
        assert len(reached) == 4
        assert (cell.ndcg >= cell.target_ndcg).all()


def test_the_fit_of_the_gpu_is_ours(programs, scale, data):
    """The same objective and nDCG, from the same first items."""
    pytest.importorskip('jax', reason='the measurement on a GPU needs pip install jax')
    gpu = importlib.import_module('gpu')
    for size, (alpha, l2, n_rounds) in gpu.SETTINGS.items():
        assert (alpha, l2) == scale.WEIGHTS[size]
        assert n_rounds == scale.RANKING_ROUNDS[size][-1]
    assert (gpu.N_STEPS, gpu.N_FINAL_STEPS) == (N_STEPS, N_FINAL_STEPS)
    user_ix, item_ix, _ = data.synthetic_ratings(6000, 300, 200)
    # a user and an item without likes
    users, items = Vocabulary(np.arange(301)), Vocabulary(np.arange(201))
    train, test = (
        Ratings(u, i, np.ones(len(u), 'f4'), users, items, (1, 1))
        for u, i in zip(np.split(user_ix, [5000]), np.split(item_ix, [5000]))
    )
    held_out = test.user_ix, test.item_ix
    likes = gpu.Data('100K', train.user_ix, train.item_ix, *held_out, 301, 201)
    alpha, l2, n_rounds = gpu.SETTINGS['100K']
    weights = dict(reg=gpu.REG, damping=l2, alpha=alpha)
    ours = fit_ials(train, n_factors=16, n_iterations=n_rounds, **weights)
    tables = likes.fit(16)
    theirs = Factors.for_ranking(train, *tables)
    expected = ials_objective(ours, train, **weights)
    assert ials_objective(theirs, train, **weights) == pytest.approx(expected, rel=1e-4)
    own = gpu.objective(*tables, *likes.sorted_likes(), alpha, l2)
    assert len(train) + float(own) == pytest.approx(expected, rel=1e-4)
    judged = np.unique(test.user_ix)
    lists = rank_items(theirs.scores, judged, train)
    ndcg = ranking_metrics(lists, judged, test).ndcg.mean()
    assert likes.ndcg(*tables) == pytest.approx(ndcg)


def test_the_table_of_the_gpu():
    table = pd.read_csv(BENCHMARKS.parent / 'mf_movielens/results/gpu.csv')
    named = ['card', 'driver', 'jax', 'data', 'factors', 'alpha', 'l2', 'rounds']
    measured = ['objective', 'compile_s', 'pass_s', 'whole_s', 'peak_mb', 'ndcg']
    assert [*table] == [*named, *measured, 'date']
    assert not table.duplicated(['card', 'data', 'factors']).any()
    assert table[[*named, 'pass_s', 'date']].notna().all(axis=None)
    # at one width only a round was measured
    assert table[measured].notna().all(axis=1).sum() >= len(table) - 1
    whole = table.dropna()
    assert (whole.whole_s > whole.rounds * whole.pass_s).all()
    # more factors fit better
    for _, of_size in whole.groupby('data'):
        assert of_size.objective.is_monotonic_decreasing


@pytest.mark.parametrize('k', [1, 5, 12, 20])
def test_the_best_unseen_items_are_those_of_a_full_sort(programs, k):
    worker = importlib.import_module('worker')
    rng = np.random.default_rng(0)
    # Few different scores make many ties; some are missing.
    scores = rng.integers(0, 4, (30, 12)).astype(float)
    scores[rng.random(scores.shape) < 0.1] = np.nan
    user_ix, item_ix = np.nonzero(rng.random(scores.shape) < 0.3)
    train = SimpleNamespace(user_ix=user_ix, item_ix=item_ix, n_users=30)
    found = worker.rank_unseen(scores.copy(), train, np.arange(30), k)
    scores[user_ix, item_ix] = -np.inf
    scores[np.isnan(scores)] = -np.inf
    order = np.argsort(-scores, axis=1, kind='stable')[:, :k]
    expected = np.where(np.take_along_axis(scores, order, 1) > -np.inf, order, -1)
    assert (found[:, : expected.shape[1]] == expected).all()
    assert (found[:, expected.shape[1] :] == -1).all()


@pytest.fixture
def outside_file(data, monkeypatch, tmp_path):
    "A set of plays, in a folder of its own."
    monkeypatch.setattr(data, 'KEPT', tmp_path)
    (tmp_path / 'outside').mkdir()
    part = np.array([2, 0, 1, 0, 2, 1, 0])
    columns = dict(u=np.arange(7), i=np.arange(7)[::-1], r=np.arange(7) / 7 + 1.5)
    np.savez(tmp_path / 'outside/plays.npz', **columns, part=part, n=7, m=7)
    return part


def test_a_search_on_another_set_never_sees_its_test_part(data, outside_file):
    with np.load(data.ratings_file('plays-valid')) as file:
        n_train = len(file['user_ix']) - file['n_test']
        assert sorted(file['user_ix'][:n_train]) == [*np.flatnonzero(outside_file == 0)]
        assert sorted(file['user_ix'][n_train:]) == [*np.flatnonzero(outside_file == 1)]
    with np.load(data.ratings_file('plays-test')) as file:
        assert file['n_test'] == 2
        assert sorted(file['user_ix'][-2:]) == [*np.flatnonzero(outside_file == 2)]
        assert len(file['user_ix']) == 7


def test_plays_are_likes_and_stars_are_stars(data, outside_file, monkeypatch):
    with np.load(data.ratings_file('plays-test')) as file:
        assert len(np.unique(file['rating'])) == 7
    monkeypatch.setattr(data, 'MOST_STARS', 5)
    assert (data.outside_arrays('plays-test')['rating'] == 1).all()


def test_every_shape_of_numbers_is_read_as_the_table_says(programs):
    """On synthetic stars: what is asked and taken, as it was on those of MovieLens."""
    kinds = importlib.import_module('kinds')
    table = pd.read_csv(kinds.RESULTS / 'kinds.csv', keep_default_na=False)
    assert not table[['split', 'seed', 'shape']].duplicated().any()
    assert table.groupby('split').seed.nunique().to_dict() == {
        'test': kinds.N_TEST_FITS,
        'validation': kinds.N_VALIDATION_PARTS,
    }
    assert table.recall.between(0.2, 0.35).all()
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({'user_id': np.arange(3000) % 300, 'item_id': range(3000)})
    frame['rating'] = rng.choice([1, 2, 3, 4, 5], 3000, p=[0.1, 0.1, 0.3, 0.3, 0.2])
    shapes = kinds.shapes_of(Ratings.from_frame(frame, scale=(1, 5)), 0)
    assert list(shapes) == table['shape'].unique().tolist()
    for name, shape in shapes.items():
        ratings, asked = kinds.read(shape)
        rows = table[table['shape'] == name]
        assert set(rows.asked) == {asked}, name
        assert set(rows.kind) == {ratings.kind}, name
        if ratings.kind == 'stars':
            assert set(rows[['low', 'high']].itertuples(index=False)) == {ratings.scale}


@pytest.mark.parametrize(
    'name',
    [
        'determinism',
        'faults',
        'fuzz',
        'mutation',
        'network',
        'planted',
        'versions',
    ],
)
def test_a_table_names_the_commit_that_it_was_measured_on(name):
    commits = results_table(name).commit
    assert commits.str.fullmatch(r'[0-9a-f]{7,40}\+?').all()
    # bugs are tried when they are thought of, the rest in one go
    assert name == 'planted' or commits.nunique() == 1
