"""Rank films that nobody has rated, by genres, year and title, beside other libraries.

`python benchmarks/cold.py` takes a tenth of the films of ML-100K out of the training
ratings, five times, and gives each model the same seconds to search its settings on
three further tenths.
"""

from __future__ import annotations

import argparse
import json
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from benchmark_data import KEPT, load_movielens
from run import (
    RESULTS,
    Row,
    date_and_machine,
    load_peers,
    load_result,
    merge_rows,
    run_worker,
)
from scale import processor

from mf_movielens.encoding import Ratings
from mf_movielens.features import read_features
from mf_movielens.metrics import compare_means

KEYS = ['system', 'model', 'seed']
MAIN = ('mf_movielens', 'features')
SEEDS = (0, 1, 2, 3, 4)
SECONDS = 90
N_VALIDATIONS = 3


@cache
def films_and_ratings() -> tuple[Ratings, dict[str, np.ndarray]]:
    """All ratings, and the features of all films as arrays."""
    data, ratings = load_movielens()
    table = read_features(data.item_features).for_ids(ratings.items)
    names, values = table.matrix()
    dense = values.toarray()
    return ratings, dict(item_features=dense, feature_names=np.array(names, dtype=str))


def new_films(seed: int, n_validations: int = 0) -> list[np.ndarray]:
    """Rows of the films that are hidden, and of tenths of the others."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(films_and_ratings()[0].items))
    n_hidden = round(len(order) / 10)
    parts = [order[:n_hidden]]
    rest = order[n_hidden:]
    for _ in range(n_validations):
        parts.append(rng.permutation(rest)[: round(len(rest) / 10)])
    return parts


def cold_file(seed: int, part: int) -> Path:
    """Path of a file of ratings without new films, followed by those of new films.

    Part 0 has all hidden films at its end. The others have a tenth of the remaining
    films there, and the hidden ones nowhere.
    """
    path = KEPT / 'ratings' / f'cold-{seed}-{part}.npz'
    ratings, features = films_and_ratings()
    parts = new_films(seed, N_VALIDATIONS)
    is_test = np.isin(ratings.item_ix, parts[part])
    is_hidden = np.isin(ratings.item_ix, parts[0]) & ~is_test
    order = np.r_[np.flatnonzero(~is_test & ~is_hidden), np.flatnonzero(is_test)]
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        user_ix=ratings.user_ix[order].astype('i4'),
        item_ix=ratings.item_ix[order].astype('i4'),
        rating=ratings.rating[order],
        n_test=is_test.sum(),
        n_users=len(ratings.users),
        n_items=len(ratings.items),
        **features,
    )
    return path


def result_file(system: str, model: str, seed: int) -> Path:
    """Where the lists for the hidden films are kept."""
    name = f'cold-{system}-{model}-{seed}.npz'.replace(' ', '_')
    return KEPT / 'predictions' / name


def measure(system: str, peer: ModuleType, model: str, seed: int, seconds: int) -> Row:
    """Search on validation films, fit to all but the hidden ones, and judge."""
    files = [str(cold_file(seed, part)) for part in range(1, N_VALIDATIONS + 1)]
    job: dict[str, Any] = dict(model=model, seconds=seconds, data=files)
    found = run_worker(system, peer, [job])[0]
    names = ('version', 'valid', 'n_trials', 'tune_s', 'error')
    row = {name: found.get(name) for name in names}
    if 'error' in found:
        return row
    path, out = cold_file(seed, 0), result_file(system, model, seed)
    out.parent.mkdir(parents=True, exist_ok=True)
    job = dict(model=model, settings=found['settings'], data=str(path), out=str(out))
    report = run_worker(system, peer, [job])[0]
    row |= dict(settings=json.dumps(found['settings']), error=report.get('error'))
    return row if 'error' in report else row | metrics(seed, out)


def metrics(seed: int, out: Path) -> Row:
    """nDCG and recall at 10 among the hidden films."""
    per_user = load_result('ranking', cold_file(seed, 0), out)[1]
    return dict(
        ndcg=per_user.ndcg.mean(), recall=per_user.recall.mean(), users=len(per_user)
    )


def difference(system: str, model: str, seeds: tuple[int, ...]) -> Row:
    """How much better ours is, on the same users and seeds, by nDCG@10."""
    tables = [
        pd.concat(
            [
                load_result('ranking', cold_file(seed, 0), result_file(*pair, seed))[1]
                for seed in seeds
            ]
        )
        for pair in (MAIN, (system, model))
    ]
    ours, other = tables
    found = compare_means(
        ours.ndcg.to_numpy(), other.ndcg.to_numpy(), ours.index.to_numpy()
    )
    return dict(difference=found.value, low=found.low, high=found.high)


def summary_rows(seeds: tuple[int, ...]) -> pd.DataFrame:
    """A row of each model for all seeds together, whose `seed` is 'all'."""
    table = pd.read_csv(RESULTS / 'cold.csv', dtype={'seed': str})
    rows = []
    for (system, model), own in table[table.seed != 'all'].groupby(KEYS[:2]):
        own = own[own.seed.isin([str(seed) for seed in seeds])]
        if len(own) < len(seeds) or own.ndcg.isna().any():
            continue
        row = dict(system=system, model=model, seed='all', version=own.version.iloc[0])
        row |= own[['ndcg', 'recall', 'valid', 'n_trials', 'tune_s']].mean().to_dict()
        rows.append(row | difference(system, model, seeds) | date_and_machine())
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--systems', nargs='+', default=list(load_peers()))
    parser.add_argument('--seeds', nargs='+', type=int, default=list(SEEDS))
    parser.add_argument('--seconds', type=int, default=SECONDS)
    options = parser.parse_args()
    peers, path = load_peers(), RESULTS / 'cold.csv'
    for seed in options.seeds:
        for system in options.systems:
            for model, about in peers[system].MODELS.items():
                if about['task'] != 'cold':
                    continue
                row = dict(zip(KEYS, (system, model, str(seed))))
                row |= measure(system, peers[system], model, seed, options.seconds)
                row |= date_and_machine() | dict(processor=processor())
                print(row, flush=True)
                merge_rows(path, pd.DataFrame([row]), KEYS)
    merge_rows(path, summary_rows(tuple(options.seeds)), KEYS)


if __name__ == '__main__':
    main()
