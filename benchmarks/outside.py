"""Measure our defaults and our search on data sets that are not from MovieLens.

`python benchmarks/outside.py` takes the sets in `benchmarks/.data/outside`, and fold u1
of ML-100K, and gives each system the same seconds to search its settings.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pandas as pd
from benchmark_data import KEPT, ratings_file
from run import (
    RESULTS,
    Row,
    Settings,
    add_metrics,
    compute_metrics,
    date_and_machine,
    load_peers,
    load_result,
    merge_rows,
    run_worker,
    settings_to_try,
)
from scale import processor

from mf_movielens.metrics import compare_means
from mf_movielens.ranking import ranking_metrics

KEYS = ['task', 'set', 'system', 'model', 'variant']
OURS = 'mf_movielens'
# seconds of a search, for sets of up to so many ratings
SECONDS = ((500_000, 120), (10**9, 600))
# settings that are tried of each model that predicts ratings
BUDGET = 6
RATING_MODELS = {
    OURS: ('Bayes by default', 'ALS by default', 'biases by default'),
    'myfm': ('ratings only', 'ratings and implicit feedback'),
    'cornac': ('MF',),
}


class Entry(NamedTuple):
    """A model of a system, on one data set."""

    task: str
    set: str
    system: str
    model: str

    def fit(self, peer: ModuleType, settings: Settings) -> Row:
        """Fit to all that is not for the test: how long it took, how good it is."""
        path, out = ratings_file(f'{self.set}-test'), self.result_file
        out.parent.mkdir(parents=True, exist_ok=True)
        job = dict(model=self.model, settings=settings, data=str(path), out=str(out))
        report = run_worker(self.system, peer, [job])[0]
        kept = {
            name: report.get(name) for name in ('version', 'fit_s', 'peak_mb', 'error')
        }
        if 'error' in report:
            return kept
        return kept | self.metrics(path, out)

    @property
    def result_file(self) -> Path:
        """Where the lists or the predictions for the test part are kept."""
        name = f'{self.task}-{self.set}-{self.system}-{self.model}.npz'
        return KEPT / 'predictions/outside' / name.replace(' ', '_')

    def metrics(self, path: Path, out: Path) -> Row:
        """RMSE and MAE, or nDCG and recall at 10 and at 20."""
        if self.task == 'rating':
            return compute_metrics('rating', path, out)
        test, first_ten = load_result('ranking', path, out)
        with np.load(out) as file:
            twenty = ranking_metrics(file['lists'], file['users'], test, k=20)
        return dict(
            ndcg=first_ten.ndcg.mean(),
            recall=first_ten.recall.mean(),
            ndcg_20=twenty.ndcg.mean(),
            recall_20=twenty.recall.mean(),
        )


def about_set(name: str) -> Row:
    """How many ratings, users and items there are, the test part among them."""
    with np.load(ratings_file(f'{name}-test')) as file:
        return dict(
            n_ratings=len(file['rating']),
            n_users=len(np.unique(file['user_ix'])),
            n_items=len(np.unique(file['item_ix'])),
        )


def seconds_for(name: str) -> int:
    """The seconds of a search."""
    n_ratings = about_set(name)['n_ratings']
    return next(seconds for most, seconds in SECONDS if n_ratings <= most)


def tuned_row(entry: Entry, peer: ModuleType) -> Row:
    """Search with a system's own means on the validation part, then fit and judge."""
    path = ratings_file(f'{entry.set}-valid')
    job = dict(model=entry.model, seconds=seconds_for(entry.set), data=str(path))
    found = run_worker(entry.system, peer, [job])[0]
    row = {name: found.get(name) for name in ('tune_s', 'n_trials', 'error')}
    if 'error' in found:
        return row
    settings = found['settings']
    return row | dict(settings=json.dumps(settings)) | entry.fit(peer, settings)


def ranking_rows(name: str, systems: list[str]) -> Iterator[Row]:
    """A row of each model that ranks, by default or searched."""
    peers = load_peers()
    n_items = about_set(name)['n_items']
    for system in systems:
        for model, about in peers[system].MODELS.items():
            if about['task'] != 'outside':
                continue
            entry = Entry('ranking', name, system, model)
            row = dict(zip(KEYS, entry))
            default = about['default']
            if n_items > about.get('most_items', n_items):
                yield row | dict(variant='tuned', error='too many items')
            elif default is None:
                yield row | dict(variant='tuned') | tuned_row(entry, peers[system])
            else:
                found = entry.fit(peers[system], default)
                yield (
                    row | dict(variant='default', settings=json.dumps(default)) | found
                )


def searched_settings(entry: Entry, peer: ModuleType) -> tuple[Settings, int, float]:
    """The best of a few settings by RMSE on the validation part."""
    path = ratings_file(f'{entry.set}-valid')
    jobs = [
        dict(model=entry.model, settings=s, data=str(path), out=str(KEPT / 'trial.npz'))
        for s in settings_to_try(peer.MODELS[entry.model], BUDGET)
    ]
    tried = []
    for job in jobs:
        report = add_metrics(
            'rating', path, job, run_worker(entry.system, peer, [job])[0]
        )
        tried.append((report.get('rmse', np.inf), report.get('fit_s', 0.0)))
    best = int(np.argmin([error for error, _ in tried]))
    return jobs[best]['settings'], len(jobs), sum(seconds for _, seconds in tried)


def rating_rows(name: str, systems: list[str]) -> Iterator[Row]:
    """A row of each model that predicts ratings, and variant; none for likes."""
    with np.load(ratings_file(f'{name}-test')) as file:
        if len(np.unique(file['rating'])) < 2:
            return
    peers = load_peers()
    for system in systems:
        for model in RATING_MODELS.get(system, ()):
            entry, peer = Entry('rating', name, system, model), peers[system]
            row = dict(zip(KEYS, entry))
            default = peer.MODELS[model]['default']
            found = dict(variant='default', settings=json.dumps(default))
            yield row | found | entry.fit(peer, default)
            if system != OURS:
                settings, n_trials, tune_s = searched_settings(entry, peer)
                found = dict(variant='tuned', settings=json.dumps(settings))
                found |= dict(n_trials=n_trials, tune_s=tune_s)
                yield row | found | entry.fit(peer, settings)


def difference_columns(name: str, row: Row) -> Row:
    """How much better our search is than a row, by nDCG@10, with an interval."""
    ours = Entry('ranking', name, OURS, 'search').result_file
    other = Entry(*(row[key] for key in KEYS[:4])).result_file
    has_failed = isinstance(row.get('error'), str)
    if row['task'] == 'rating' or has_failed or not (ours.exists() and other.exists()):
        return {}
    path = ratings_file(f'{name}-test')
    figures = [load_result('ranking', path, out)[1].ndcg for out in (ours, other)]
    found = compare_means(*figures)
    return dict(difference=found.value, low=found.low, high=found.high)


def compare_again(name: str) -> None:
    """Compare all rows of a set with our newest search."""
    path = RESULTS / 'outside.csv'
    table = pd.read_csv(path)
    rows = table[table['set'] == name].to_dict('records')
    compared = [row | difference_columns(name, row) for row in rows]
    merge_rows(path, pd.DataFrame(compared), KEYS)


def found_sets() -> list[str]:
    """Fold u1 of ML-100K, and all sets in the folder."""
    return ['u1', *sorted(path.stem for path in (KEPT / 'outside').glob('*.npz'))]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--sets', nargs='+', default=found_sets())
    parser.add_argument('--tasks', nargs='+', default=['ranking', 'rating'])
    parser.add_argument('--systems', nargs='+', default=list(load_peers()))
    return parser.parse_args()


def main() -> None:
    options = parse_arguments()
    functions = dict(ranking=ranking_rows, rating=rating_rows)
    for name in options.sets:
        for task in options.tasks:
            for row in functions[task](name, options.systems):
                row |= about_set(name) | date_and_machine()
                row |= dict(processor=processor()) | difference_columns(name, row)
                print(row, flush=True)
                merge_rows(RESULTS / 'outside.csv', pd.DataFrame([row]), KEYS)
        compare_again(name)


if __name__ == '__main__':
    main()
