"""Measure updated models beside models that are fitted anew, as ratings come in.

`python benchmarks/update.py` fits to the first ratings of ML-100K in time, adds the
others in ten parts, and judges after each by the same held-out ratings; then it takes
the time of one update by a tenth, at three sizes. It writes update.csv.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from benchmark_data import SYNTHETIC_SIZES, synthetic_ratings
from run import RESULTS, date_and_machine, save_table
from scale import processor

from mf_movielens.data import load
from mf_movielens.encoding import Ratings
from mf_movielens.evaluation import align_ratings
from mf_movielens.factors import Factors
from mf_movielens.metrics import compare_means
from mf_movielens.ranking import rank_items, ranking_metrics
from mf_movielens.recommender import Recommender
from mf_movielens.splits import random_split

Row = dict[str, Any]

SCALE = (1.0, 5.0)
N_SEEDS = 10
# The share of the ratings that a model is fitted to, and in how many parts the others
# come.
STARTS = ((0.9, 10), (0.9, 1), (0.5, 10))
# How a model is updated; 'none' leaves it as it is.
WAYS: dict[str, dict[str, Any]] = {
    'update': {},
    'items kept': {'refit_items': False},
    'one iteration': {'n_iterations': 1},
}
RUNS = {'100K': 9, '1M': 5, '10M': 1}
# Updates of each kind to a whole fit.
N_UPDATES = 3


def in_time() -> tuple[pd.DataFrame, Ratings]:
    """Ratings to learn from, sorted by time, and a tenth to judge by.

    The tenth is chosen at random from all ratings, so that each point in time is
    judged by the same ratings; nothing was chosen by it.
    """
    ml = load('ml-100k')
    split = random_split(Ratings.from_frame(ml.ratings))
    frame = split.train.to_frame().sort_values('timestamp', kind='stable')
    return frame, split.test


def encode(frame: pd.DataFrame) -> Ratings:
    return Ratings.from_frame(frame, scale=SCALE)


def not_updated(model: Recommender, updated: Recommender) -> Recommender:
    """The old model, which gives new users the most popular items."""
    old: Any = model.predictor
    n_users, n_items = updated.predictor.shape

    def longer(table: np.ndarray, n: int) -> np.ndarray:
        padded = np.zeros((n, *table.shape[1:]), table.dtype)
        padded[: len(table)] = table
        return padded

    factors: Factors = replace(
        old,
        user_bias=longer(old.user_bias, n_users),
        item_bias=longer(old.item_bias, n_items),
        user_factors=longer(old.user_factors, n_users),
        item_factors=longer(old.item_factors, n_items),
    )
    return replace(updated, predictor=factors)


def judge(model: Recommender, test: Ratings) -> pd.Series:
    """nDCG@10 of each user, or the squared error of each rating, that is known."""
    known = align_ratings(test, model.users, model.items, SCALE, 'ignore').ratings
    ids = model.users.decode(known.user_ix)
    if model.goal == 'rating':
        predicted = model.predictor.predict(known.user_ix, known.item_ix)
        labels = [ids, model.items.decode(known.item_ix)]
        return pd.Series((known.rating - predicted) ** 2, labels).sort_index()
    users = np.unique(known.user_ix)
    seen = replace(
        known,
        user_ix=np.repeat(np.arange(len(model.users)), np.diff(model.seen.indptr)),
        item_ix=model.seen.indices,
        rating=model.seen.data,
        timestamp=None,
    )
    found = ranking_metrics(
        rank_items(model.predictor.scores, users, seen), users, known
    )
    return pd.Series(
        found.ndcg.to_numpy(), model.users.decode(found.index)
    ).sort_index()


def metric_of(values: pd.Series, goal: str) -> float:
    mean = float(values.mean())
    return mean**0.5 if goal == 'rating' else mean


def staleness(model: Recommender) -> float:
    """How much the scores of 100 users would change if their rows were exact."""
    rows = np.linspace(0, len(model.users) - 1, 100).astype(int)
    exact = model.predictor.fold_in(model.seen[rows]).scores(np.arange(100))
    return float((exact - model.predictor.scores(rows)).std() / exact.std())


def follow(
    goal: Any, base: float, n_parts: int, seed: int
) -> tuple[list[Row], dict[str, Any]]:
    """One fit to the first part, and updates in each way beside whole fits."""
    frame, test = in_time()
    cuts = np.linspace(base * len(frame), len(frame), n_parts + 1).round().astype(int)
    first = Recommender.fit(encode(frame[: cuts[0]]), goal=goal, seed=seed)
    models = dict.fromkeys(WAYS, first)
    rows, last = [], {}
    for point, (start, end) in enumerate(pairwise(cuts), start=1):
        more = encode(frame[start:end])
        for way, options in WAYS.items():
            models[way] = models[way].update(more, say=None, **options)
        whole = Recommender.fit(encode(frame[:end]), goal=goal, seed=seed)
        compared = {'whole fit': whole} | models
        compared['none'] = not_updated(first, models['update'])
        values = {way: judge(model, test) for way, model in compared.items()}
        metrics = {way: metric_of(of_way, goal) for way, of_way in values.items()}
        for way, model in compared.items():
            sign = -1 if goal == 'rating' else 1
            loss = sign * (1 - metrics[way] / metrics['whole fit'])
            n_new = model.settings.get('n_ratings_since_fit', 0)
            row = dict(part='quality', goal=goal, base=base, n_parts=n_parts)
            row |= dict(
                seed=seed,
                point=point,
                way=way,
                n_ratings=end,
                share=n_new / model.seen.nnz,
            )
            row |= dict(metric=metrics[way], loss=100 * loss)
            rows.append(row | dict(staleness=staleness(model)))
        last = values
    return rows, last


def quality(n_seeds: int) -> list[Row]:
    """All goals and seeds; the last row of each way has an interval over users."""
    rows: list[Row] = []
    for goal in ('ranking', 'rating'):
        for base, n_parts in STARTS:
            values: list[dict[str, Any]] = []
            for seed in range(n_seeds):
                found, last = follow(goal, base, n_parts, seed)
                rows += found
                values.append(last)
                print(goal, base, n_parts, seed, flush=True)
            if goal == 'ranking':
                rows += intervals(values, base, n_parts)
    return rows


def averages(rows: list[Row]) -> pd.DataFrame:
    """One row for each goal, start, point and way, over the seeds of the fit."""
    table = pd.DataFrame(rows)
    is_quality = table.part == 'quality'
    keys = ['part', 'goal', 'base', 'n_parts', 'point', 'way']
    groups = table[is_quality].groupby(keys, sort=False)
    values = ['n_ratings', 'share', 'metric', 'loss', 'staleness']
    means = groups[values].mean()
    means['loss_sd'], means['n_seeds'] = groups.loss.std(), groups.size()
    others = table[~is_quality].drop(columns=['seed', *values[:2], *values[4:]])
    return pd.concat([means.reset_index(), others.dropna(axis=1, how='all')])


def intervals(values: list[dict[str, Any]], base: float, n_parts: int) -> list[Row]:
    """What each way loses after all parts, in per cent of a whole fit."""
    means = {way: sum(of_seed[way] for of_seed in values) for way in values[0]}
    whole = means['whole fit'] / len(values)
    rows = []
    for way, total in means.items():
        found = compare_means(whole, total / len(values))
        low, value, high = (
            100 * x / whole.mean() for x in (found.low, found[0], found.high)
        )
        row = dict(part='interval', goal='ranking', base=base, way=way)
        rows.append(row | dict(n_parts=n_parts, loss=value, low=low, high=high))
    return rows


def later_ratings(size: str) -> tuple[Ratings, Ratings, Ratings]:
    """All ratings of a size, the first nine tenths in time, and the rest."""
    if size == '100K':
        ml = load('ml-100k')
        frame = ml.ratings.sort_values('timestamp', kind='stable')
    else:
        n, n_users, n_items = SYNTHETIC_SIZES[size]
        user_ix, item_ix, rating = synthetic_ratings(n, n_users, n_items)
        rng = np.random.default_rng(1)
        # As in MovieLens, each user rates for some months.
        begin = rng.integers(789_652_009, 1_574_327_703, n_users)[user_ix]
        order = np.argsort(begin + rng.integers(0, 10_000_000, len(user_ix)))
        columns = dict(user=user_ix, item=item_ix, rating=rating)
        frame = pd.DataFrame(columns).iloc[order]
    scale = SCALE if size == '100K' else (0.5, 5.0)
    n_first = len(frame) * 9 // 10
    cut = frame, frame[:n_first], frame[n_first:]
    whole, first, rest = (Ratings.from_frame(part, scale=scale) for part in cut)
    return whole, first, rest


def cpu_seconds(work: Callable[[], object]) -> float:
    """What all threads took together."""
    start = time.process_time()
    work()
    return time.process_time() - start


def times(sizes: list[str]) -> list[Row]:
    """One update by a tenth and a whole fit, in turns in one process.

    Both begin with encoded ratings, and take their digest, which is kept otherwise.
    """
    rows = []
    for size in sizes:
        whole, first, rest = later_ratings(size)
        model = Recommender.fit(first)
        n_runs = RUNS[size]
        Recommender.fit(first.take(slice(0, 5000)))
        model.update(rest, say=None)
        seconds_of: dict[str, list[float]] = {name: [] for name in ('whole fit', *WAYS)}
        for _ in range(n_runs):
            fit = partial(Recommender.fit, replace(whole))
            seconds_of['whole fit'].append(cpu_seconds(fit))
            for way, options in WAYS.items():
                for _ in range(N_UPDATES):
                    work = partial(model.update, replace(rest), say=None, **options)
                    seconds_of[way].append(cpu_seconds(work))
        whole_s = float(np.median(seconds_of['whole fit']))
        for way in WAYS:
            seconds = float(np.median(seconds_of[way]))
            row = dict(part='time', goal='ranking', base=0.9, way=way, size=size)
            row |= dict(n_ratings=len(whole), n_factors=model.predictor.n_factors)
            row |= dict(cpu_s=seconds, whole_cpu_s=whole_s, times=whole_s / seconds)
            rows.append(row)
            print(row, flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('parts', nargs='*', default=['quality', 'time'])
    parser.add_argument('--sizes', nargs='+', default=[*RUNS], choices=[*RUNS])
    parser.add_argument('--quick', action='store_true', help='one seed; writes nothing')
    told = parser.parse_args()
    path = RESULTS / 'update.csv'
    tables = []
    if 'quality' in told.parts:
        tables.append(averages(quality(1 if told.quick else N_SEEDS)))
    if 'time' in told.parts:
        tables.append(pd.DataFrame(times(told.sizes)))
    table = pd.concat(tables).assign(**date_and_machine(), processor=processor())
    if path.exists():
        old = pd.read_csv(path)
        is_other_size = old['size'].notna() & ~old['size'].isin(told.sizes)
        is_done = old.part.isin([*table.part]) & ~is_other_size
        table = pd.concat([old[~is_done], table], ignore_index=True)
    if told.quick:
        print(table.to_string())
    else:
        save_table(path, table)


if __name__ == '__main__':
    main()
