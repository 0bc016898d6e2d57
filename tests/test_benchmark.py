"The tables of the benchmark are those of the peers that are there, and its search is fair."

import importlib.util, json, sys
from pathlib import Path

import pandas as pd
import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / 'benchmarks'


@pytest.fixture(scope='module')
def run():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        spec = importlib.util.spec_from_file_location(
            'benchmark_run', BENCHMARKS / 'run.py'
        )
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


def test_every_peer_and_variant_was_measured_with_the_pinned_version(run, tables):
    expected, pinned = set(), {}
    for system, peer in run.peers().items():
        pinned[system] = dict(p.split('==') for p in peer.PACKAGES if '==' in p).get(
            peer.PACKAGES[0].split('==')[0]
        )
        for model, about in peer.MODELS.items():
            if about['task'] == 'scale':
                continue
            variants = ['default', *about.get('variants', {})] + (
                ['tuned'] if about['search'] else []
            )
            expected |= {(about['task'], system, model, v) for v in variants}
    table = tables['']
    assert (
        set(
            table[['task', 'system', 'model', 'variant']].itertuples(
                index=False, name=None
            )
        )
        == expected
    )
    for system, version in zip(table.system, table.version):
        assert pinned[system] in (None, version)


def test_everybody_had_the_same_budget_and_the_default_among_it(run, tables):
    peers = run.peers()
    for (system, model, fold), tried in tables['_search'].groupby(
        ['system', 'model', 'fold']
    ):
        about, settings = (
            peers[system].MODELS[model],
            [json.loads(s) for s in tried.settings],
        )
        assert (
            settings == run.draws(about, run.BUDGET)
            and settings[0] == about['default']
            and len(settings) <= run.BUDGET
        )
        best = (
            tried.figure.idxmin()
            if about['task'] == 'rating'
            else tried.figure.idxmax()
        )
        assert tried.chosen.sum() == 1 and tried.chosen[best]


def test_what_was_chosen_is_what_was_fitted(tables):
    chosen = (
        tables['_search'][tables['_search'].chosen]
        .set_index(['system', 'model', 'fold'])
        .settings
    )
    for row in tables['_folds'][tables['_folds'].variant == 'tuned'].itertuples():
        assert json.loads(row.settings) == json.loads(
            chosen[row.system, row.model, row.fold]
        )


def test_the_summary_is_that_of_the_folds(tables):
    keys = ['task', 'system', 'model', 'variant']
    means = tables['_folds'].groupby(keys)[['rmse', 'ndcg', 'recall']].mean()
    found = tables[''].set_index(keys)[['rmse', 'ndcg', 'recall']].loc[means.index]
    assert ((means - found).abs().fillna(0) < 1e-4).all(axis=None)
    assert (tables['_folds'].groupby(keys).fold.nunique() == 5).all()


def test_the_generator_makes_the_same_ratings_again(run):
    (u, i, r), again = run.drawn(2000, 2000, 1000), run.drawn(2000, 2000, 1000)
    assert all((a == b).all() for a, b in zip((u, i, r), again)) and len(u) == 2000
    assert (
        len(set(zip(u, i))) == 2000
        and r.min() >= 0.5
        and r.max() <= 5
        and ((2 * r) % 1 == 0).all()
    )
