"""The figures of *Which model should I use?* are those of the tables of results."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd

from mf_movielens.book import results_table

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / 'docs/which_model.md').read_text(encoding='utf-8')
SETS = {
    'u1': 'ML-100K, u1',
    'douban': 'Douban',
    'lastfm': 'Last.fm',
    'gowalla': 'Gowalla',
}
RANKERS = {
    'search': '`Recommender.tune`',
    'blend by default': '`blend`',
    'iALS by default': '`ials`',
    'EASE by default': '`ease`',
    'nearest neighbors by default': '`knn`',
    'popular items': 'popular items',
}


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown, numbers to the right."""
    rule = ['---', *['---:'] * (len(header) - 1)]
    return '\n'.join(f'| {" | ".join(row)} |' for row in (header, rule, *rows))


def rankings() -> pd.DataFrame:
    """The nDCG@10 of our models on four data sets."""
    table = results_table('outside')
    ours = table[(table.task == 'ranking') & (table.system == 'mf_movielens')]
    wide = ours.pivot(index='model', columns='set', values='ndcg')
    return wide.loc[list(RANKERS), list(SETS)]


def ranking_table() -> str:
    rows = [
        [RANKERS[model], *('–' if pd.isna(x) else f'{x:.3f}' for x in figures)]
        for model, figures in rankings().iterrows()
    ]
    return markdown(['nDCG@10', *SETS.values()], rows)


def errors() -> pd.DataFrame:
    """The RMSE of our models on MovieLens 100K and Douban, and seconds to fit."""
    bench = results_table('benchmark').set_index(['system', 'model', 'variant'])
    outside = results_table('outside').query("task == 'rating'")
    outside = outside.set_index(['system', 'model', 'variant']).rmse
    names = {'Bayes': '`bayes`', 'ALS': '`als`', 'damped biases': 'damped biases'}
    douban = {'damped biases': 'biases'}
    rows = {}
    for model, name in names.items():
        fit = bench.loc[('mf_movielens', model, 'default')]
        elsewhere = f'{douban.get(model, model)} by default'
        other = outside['mf_movielens', elsewhere, 'default']
        rows[name] = {'home': fit.rmse, 'douban': other, 'seconds': fit.fit_s}
    return pd.DataFrame(rows).T


def error_table() -> str:
    rows = [
        [
            name,
            f'{row.home:.3f}',
            f'{row.douban:.3f}',
            f'{float(f"{row.seconds:.1g}"):g}',
        ]
        for name, row in errors().iterrows()
    ]
    header = ['RMSE in stars', 'ML-100K, u1 to u5', 'Douban', 'seconds on ML-100K']
    return markdown(header, rows)


def small() -> pd.DataFrame:
    """The RMSE by number of ratings, of stars, for biases and the Bayesian model."""
    table = results_table('bayes_small').query("kind == 'stars'")
    wide = table.pivot_table(index='n_ratings', columns='model', values='rmse')
    return wide[['damped biases', 'prior by the data']]


def small_table() -> str:
    rows = [
        [f'{n:,}', *(f'{x:.3f}' for x in figures)] for n, figures in small().iterrows()
    ]
    return markdown(['ratings', 'damped biases', '`bayes`'], rows)


def cold_start() -> pd.DataFrame:
    """The nDCG@10 of films that nobody has rated, by model."""
    table = results_table('cold').query("seed == 'all'")
    return table.set_index('system').sort_values('ndcg', ascending=False)


def cold_table() -> str:
    names = {
        'mf_movielens': '`ials` with features',
        'irspack': 'irspack, feature-aware iALS',
        'lightfm': 'LightFM, hybrid model',
    }
    rows = []
    for system, row in cold_start().iterrows():
        is_baseline = row.model == 'popularity by genre'
        name = row.model if is_baseline else names[system]
        rows.append([name, f'{row.ndcg:.3f}'])
    return markdown(['films that nobody has rated', 'nDCG@10'], rows)


def test_the_tables_are_those_of_the_results() -> None:
    for table in (ranking_table(), error_table(), small_table(), cold_table()):
        assert table in PAGE, f'the page should have\n\n{table}\n'


def test_what_the_page_says_of_them_is_true() -> None:
    ranks = rankings()
    blend, ials, ease = (
        ranks.loc[f'{name} by default'] for name in ('blend', 'iALS', 'EASE')
    )
    assert (blend > ials).all()
    assert (ials > 0.9 * ranks.max()).all()
    assert ease.gt(ials)[['u1', 'douban']].all()
    searched = ranks.loc['search']
    assert (searched >= ranks.drop('search').max())[['u1', 'douban', 'lastfm']].all()
    assert searched['gowalla'] < blend['gowalla']
    assert (ranks.loc['popular items'] < 0.55 * ials).all()
    assert errors().home.idxmin() == errors().douban.idxmin() == '`bayes`'
    gain = small()['damped biases'] - small()['prior by the data']
    assert gain[2_000] < 0 < gain[5_000] < gain[40_000]
    assert cold_start().index[0] == 'mf_movielens'


def test_the_picture_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / 'tools/make_decision.py', '--check'],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_the_figures_of_the_neighbours_are_those_of_the_results() -> None:
    """Each figure stands in the page, in a sentence that names its model."""
    page = (ROOT / 'docs/neighbourhood.md').read_text(encoding='utf-8')
    bench = results_table('benchmark')
    outside = results_table('outside').query("set == 'gowalla' and model == 'search'")
    gowalla = outside.set_index('system').loc['mf_movielens']
    everything = 'all that is known'

    def figure(column: str, system: str, model: str, variant: str = 'default') -> float:
        is_row = (bench.system == system) & (bench.model == model)
        return bench[is_row & (bench.variant == variant)][column].item()

    neighbours = ['nearest neighbors by default', 'iALS by default']
    figures = {
        'On fold u1': rankings().loc[neighbours, 'u1'],
        "cornac's BPR": [
            figure('ndcg', 'cornac', 'BPR', variant) for variant in ('default', 'tuned')
        ],
        'needs no sampling': [figure('ndcg', 'mf_movielens', 'iALS')],
        'a Bayesian factorization machine': [
            figure('rmse', 'myfm', everything),
            figure('rmse', 'mf_movielens', f'Bayes, {everything}'),
        ],
        'the hybrid model of': [cold_start().ndcg['lightfm']],
        'with features has': [cold_start().ndcg['mf_movielens'].max()],
        'our search reaches': gowalla[['recall_20', 'ndcg_20']],
    }
    for words, values in figures.items():
        (sentence,) = [s for s in page.replace('\n', '. ').split('. ') if words in s]
        for value in values:
            assert f'{float(value):.3f}' in sentence, (words, value)
