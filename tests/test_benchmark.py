"The benchmark's tables are complete and consistent, and its search is fair."

import importlib.util
import json
import sys
from pathlib import Path

import pandas as pd
import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / 'benchmarks'
MODEL_KEYS = ['task', 'system', 'model', 'variant']
SEARCH_KEYS = ['system', 'model', 'fold']


@pytest.fixture(scope='module')
def run():
    "The program `benchmarks/run.py` as a module."
    path = BENCHMARKS / 'run.py'
    sys.path.insert(0, str(BENCHMARKS))
    try:
        spec = importlib.util.spec_from_file_location('benchmark_run', path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope='module')
def tables():
    results = BENCHMARKS.parent / 'mf_movielens/results'
    return {
        part: pd.read_csv(results / f'benchmark{part}.csv')
        for part in ('', '_folds', '_search')
    }


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
        if about['task'] != 'scale'
        for variant in variants_of(about)
    }
    assert set(tables[''][MODEL_KEYS].itertuples(index=False, name=None)) == expected


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
    summary = tables[''].set_index(MODEL_KEYS)[metrics].loc[means.index]
    assert ((means - summary).abs().fillna(0) < 1e-4).all(axis=None)
    assert (folds.fold.nunique() == 5).all()


def test_the_generator_makes_the_same_ratings_again(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from benchmark_data import synthetic_ratings

    users, items, stars = first = synthetic_ratings(2000, 2000, 1000)
    second = synthetic_ratings(2000, 2000, 1000)
    for once, again in zip(first, second):
        assert (once == again).all()
    assert len(users) == 2000
    assert len(set(zip(users, items))) == 2000
    assert stars.min() >= 0.5
    assert stars.max() <= 5
    assert ((2 * stars) % 1 == 0).all()
