"""Measure Bayesian matrix factorization and write the tables of its chapters.

`python benchmarks/bayes.py` measures everything, `python benchmarks/bayes.py folds
chains` two parts.
"""

from __future__ import annotations

import argparse
import inspect
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

for name in ('OPENBLAS_NUM_THREADS', 'OMP_NUM_THREADS'):
    os.environ.setdefault(name, '1')

import numpy as np
import pandas as pd
import run
from benchmark_data import (
    FOLDS,
    KEPT,
    load_movielens,
    ratings_file,
    synthetic_ratings,
)
from run import RESULTS, date_and_machine, merge_rows, save_table
from scipy.optimize import nnls
from worker import memory

from mf_movielens.als import fit_als
from mf_movielens.baselines import damped_biases
from mf_movielens.bayes import GibbsSampler, fit_bayes, side_features
from mf_movielens.encoding import Ratings, Vocabulary, build_csr
from mf_movielens.factors import Factors
from mf_movielens.metrics import mae, rmse
from mf_movielens.posterior import Posterior, coverage_table, log_score
from mf_movielens.splits import official_fold

PREDICTIONS = KEPT / 'bayes'
SEEDS = (0, 1, 2)
N_FACTORS = inspect.signature(fit_bayes).parameters['n_factors'].default

# What differs from the full model; `side` is whether it has side features.
PLAIN = dict(side=False, implicit=False, time=False, user_noise=False)
NORMAL = dict(likelihood='normal')
MODELS: dict[str, dict[str, Any]] = {
    'factors and biases, normal likelihood': PLAIN | NORMAL,
    'factors and biases': PLAIN,
    'factors and biases with user noise': PLAIN | dict(user_noise=True),
    'ratings only': dict(side=False, time=False),
    'full model without time': dict(time=False),
    'full model': {},
    'full model, normal likelihood': NORMAL,
    'full model without user noise': dict(user_noise=False),
    'full model without implicit feedback': dict(implicit=False),
    'full model without side features': dict(side=False),
    'full model without day factors': dict(time='user_days'),
    'full model without user-day biases': dict(time='days'),
}
# The models that are fitted with all seeds.
MAIN_MODELS = ('ratings only', 'full model without time', 'full model')
# The models whose intervals are counted.
INTERVAL_MODELS = (
    *MAIN_MODELS,
    'full model, normal likelihood',
    'full model without user noise',
)
BLENDED_MODELS: dict[str, dict[str, Any]] = {
    'full model': {},
    'full model, normal likelihood': NORMAL,
    'full model, 8 factors': dict(n_factors=8),
    'full model, 24 factors': dict(n_factors=24),
}
TRIED_MODELS: dict[str, dict[str, Any]] = {
    '7 factors': dict(n_factors=7),
    '10 factors': dict(n_factors=10),
    '14 factors': {},
    '20 factors': dict(n_factors=20),
    '14 factors, without user noise': dict(user_noise=False),
}


class Job(NamedTuple):
    """One fit: a model with its settings, a fold and its part, and a seed."""

    model: str
    settings: dict[str, Any]
    fold: str
    part: str = 'test'
    seed: int = 0

    def path(self, kind: str = '') -> Path:
        """Where to keep what the fit gives."""
        name = f'{kind or self.part}-{self.model}-{self.fold}-{self.seed}.npz'
        return PREDICTIONS / name.replace(' ', '_').replace(',', '')


class Fold(NamedTuple):
    """Training ratings, held-out ratings, and side features."""

    train: Ratings
    test: Ratings
    side: dict[str, np.ndarray]


@lru_cache
def load_all() -> tuple[Any, Ratings, dict[str, np.ndarray]]:
    """The data set, its ratings and its side features."""
    data, ratings = load_movielens()
    return data, ratings, side_features(data, ratings)


def load_fold(fold: str, part: str = 'test') -> Fold:
    """Load a fold, or a fold of its training ratings.

    The part 'valid' is made as the official folds are: of the training ratings of
    `fold`, the test ratings of the next fold are held out.
    """
    data, ratings, side = load_all()
    official = official_fold(data, ratings, fold)
    if part == 'test':
        return Fold(official.train, official.test, side)
    next_fold = FOLDS[(FOLDS.index(fold) + 1) % len(FOLDS)]
    held_out = official_fold(data, ratings, next_fold).test
    n_items = len(ratings.items)

    def pairs(some: Ratings) -> np.ndarray:
        return some.user_ix.astype('int64') * n_items + some.item_ix

    is_held_out = np.isin(pairs(ratings), pairs(held_out))
    is_train = np.isin(pairs(ratings), pairs(official.train)) & ~is_held_out
    return Fold(ratings.take(is_train), ratings.take(is_held_out), side)


def fit(fold: Fold, settings: dict[str, Any], seed: int) -> Posterior:
    """Fit a model of the tables above."""
    settings = dict(settings)
    side = fold.side if settings.pop('side', True) else None
    return fit_bayes(
        fold.train, side, seed=seed, n_threads=1, progress=False, **settings
    )


def fit_and_score(job: Job) -> dict[str, Any]:
    """Fit a model, keep its predictions, and return a row of results."""
    fold = load_fold(job.fold, job.part)
    test = fold.test
    started = time.process_time()
    posterior = fit(fold, job.settings, job.seed)
    row: dict[str, Any] = dict(
        model=job.model,
        part=job.part,
        fold=job.fold,
        seed=job.seed,
        fit_s=time.process_time() - started,
    )
    uses_time = posterior.time is not None
    unknown = posterior.predict(test.user_ix, test.item_ix)
    known = unknown
    if uses_time:
        known = posterior.predict(test.user_ix, test.item_ix, test.timestamp)
    np.savez(job.path(), known=known, unknown=unknown)
    row['rmse'] = rmse(test.rating, known)
    row['mae'] = mae(test.rating, known)
    row['log_score'] = log_score(posterior, test)
    if uses_time:
        row['rmse_time_unknown'] = rmse(test.rating, unknown)
        row['log_score_time_unknown'] = log_score(posterior, test, use_time=False)
    if job.model in INTERVAL_MODELS and job.part == 'test':
        row |= interval_columns(posterior, test, '', use_time=True)
        if uses_time:
            row |= interval_columns(posterior, test, '_time_unknown', use_time=False)
        if job.seed == 0:
            table = reliability(posterior, test).assign(model=job.model, fold=job.fold)
            table.to_csv(job.path('reliability').with_suffix('.csv'), index=False)
    return row


def interval_columns(
    posterior: Posterior, test: Ratings, suffix: str, use_time: bool
) -> dict[str, float]:
    """Nominal mass, coverage and width of intervals of several levels."""
    table = coverage_table(posterior, test, use_time=use_time)
    return {
        f'{name}_{100 * level:.0f}{suffix}': row[name]
        for level, row in table.iterrows()
        for name in ('nominal', 'covered', 'width')
    }


def reliability(posterior: Posterior, test: Ratings) -> pd.DataFrame:
    """Counts and sums by event and tenth of the predicted probability."""
    timestamp = None if posterior.time is None else test.timestamp
    P = posterior.probabilities(test.user_ix, test.item_ix, timestamp).to_numpy()
    values = posterior.rating_values
    events = {
        f'{value:g}': (P[:, j], test.rating == value) for j, value in enumerate(values)
    }
    events['4 or more'] = (P[:, values >= 4].sum(1), test.rating >= 4)
    tables = []
    for event, (predicted, happened) in events.items():
        table = pd.DataFrame(
            {
                'event': event,
                'tenth': np.minimum(predicted * 10, 9).astype(int),
                'n': 1,
                'predicted': predicted,
                'observed': happened.astype(float),
            }
        )
        tables.append(table.groupby(['event', 'tenth']).sum().reset_index())
    return pd.concat(tables)


def run_jobs(jobs: Sequence[Job]) -> Iterator[dict[str, Any]]:
    """Run two jobs at a time; yields rows in the order in which the jobs end."""
    PREDICTIONS.mkdir(parents=True, exist_ok=True)
    shown = ('model', 'part', 'fold', 'seed', 'rmse', 'rmse_time_unknown', 'fit_s')
    with ProcessPoolExecutor(2, get_context('spawn')) as pool:
        for done in as_completed([pool.submit(fit_and_score, job) for job in jobs]):
            row = done.result() | date_and_machine()
            numbers = {name: row[name] for name in shown if name in row}
            print(
                *(
                    f'{name}={value:.4f}'
                    if isinstance(value, float)
                    else f'{name}={value}'
                    for name, value in numbers.items()
                ),
                flush=True,
            )
            yield row


def measure_folds() -> None:
    """Fit each model to each fold -> bayes_folds.csv, bayes_reliability.csv."""
    jobs = [
        Job(model, settings, fold, seed=seed)
        for seed in SEEDS
        for model, settings in MODELS.items()
        for fold in FOLDS
        if seed == 0 or model in MAIN_MODELS
    ]
    rows = []
    keys = ['model', 'part', 'fold', 'seed']
    for row in run_jobs(jobs):
        rows.append(row)
        if len(rows) % 10 == 0 or len(rows) == len(jobs):
            merge_rows(RESULTS / 'bayes_folds.csv', pd.DataFrame(rows), keys)
    tables = [pd.read_csv(path) for path in sorted(PREDICTIONS.glob('reliability-*'))]
    sums = pd.concat(tables).groupby(['model', 'event', 'tenth'])
    counted = sums[['n', 'predicted', 'observed']].sum().reset_index()
    counted['predicted'] /= counted.n
    counted['observed'] /= counted.n
    save_table(RESULTS / 'bayes_reliability.csv', counted)


def blended_row(fold: str, when: str) -> dict[str, Any]:
    """The RMSE of a blend whose weights come from the validation ratings."""

    def predictions(part: str) -> np.ndarray:
        jobs = [Job(model, {}, fold, part) for model in BLENDED_MODELS]
        return np.column_stack([np.load(job.path())[when] for job in jobs])

    valid, test = load_fold(fold, 'valid').test, load_fold(fold).test
    weights, _ = nnls(predictions('valid'), valid.rating.astype('float64'))
    blended = np.clip(predictions('test') @ weights, *test.scale)
    row = dict(fold=fold, time=when, rmse=rmse(test.rating, blended))
    paths = [Job('full model', {}, fold, seed=seed).path() for seed in SEEDS]
    if all(path.exists() for path in paths):
        mean = np.mean([np.load(path)[when] for path in paths], axis=0)
        row['rmse_three_chains'] = rmse(test.rating, mean)
    return row | dict(zip(BLENDED_MODELS, weights)) | date_and_machine()


def measure_blend() -> None:
    """Blend models of different settings -> bayes_blend.csv."""
    jobs = [
        Job(model, settings, fold, part)
        for part in ('valid', 'test')
        for model, settings in BLENDED_MODELS.items()
        for fold in FOLDS
    ]
    for _ in run_jobs([job for job in jobs if not job.path().exists()]):
        pass
    rows = [blended_row(fold, when) for fold in FOLDS for when in ('known', 'unknown')]
    table = pd.DataFrame(rows)
    save_table(RESULTS / 'bayes_blend.csv', table)
    print(table.groupby('time').mean(numeric_only=True).round(4).T, flush=True)


def trace_chain(seed: int, n_iterations: int = 600) -> tuple[pd.DataFrame, np.ndarray]:
    """Records of one chain on u1, and its expected ratings of 200 test pairs."""
    from threadpoolctl import threadpool_limits

    train, test, side = load_fold('u1')
    chosen = np.random.default_rng(0).choice(len(test), 200, replace=False)
    pairs = test.user_ix[chosen], test.item_ix[chosen], test.timestamp[chosen]
    sampler = GibbsSampler(train, side, N_FACTORS, time=True, seed=seed)
    records, expected = [], []
    with threadpool_limits(1, 'blas'):
        for _ in range(n_iterations):
            sampler.iterate()
            posterior = sampler.to_posterior([sampler.current_sample()])
            predicted = posterior.predict(test.user_ix, test.item_ix, test.timestamp)
            error = rmse(test.rating, predicted)
            records.append(sampler.record() | dict(chain=seed, rmse=error))
            intervals = posterior.credible_intervals(*pairs)
            expected.append(intervals['mean'].to_numpy())
    return pd.DataFrame(records), np.array(expected)


def measure_chains() -> None:
    """Four long chains on u1 -> bayes_trace.csv, bayes_chains.csv (R-hat and ESS)."""
    from arviz_stats.base import array_stats

    with ProcessPoolExecutor(2, get_context('spawn')) as pool:
        chains = list(pool.map(trace_chain, range(4)))
    table = pd.concat([records for records, _ in chains])
    save_table(RESULTS / 'bayes_trace.csv', table[table.iteration % 3 == 0])
    names = [c for c in table if c not in ('iteration', 'chain', 'noise_sd')]
    quantities = {name: [records[name] for records, _ in chains] for name in names}
    for j in range(chains[0][1].shape[1]):
        quantities[f'pair {j}'] = [expected[:, j] for _, expected in chains]
    rows = []
    for n_iterations, burn_in in ((300, 30), (600, 300)):
        for quantity, values in quantities.items():
            samples = np.array([np.asarray(v)[burn_in:n_iterations] for v in values])
            rows.append(
                dict(
                    iterations=n_iterations,
                    burn_in=burn_in,
                    quantity=quantity,
                    mean=samples.mean(),
                    sd=samples.std(),
                    r_hat=float(array_stats.rhat(samples)),
                    ess=float(array_stats.ess(samples)),
                )
            )
    diagnostics = pd.DataFrame(rows)
    save_table(RESULTS / 'bayes_chains.csv', diagnostics.assign(**date_and_machine()))
    is_pair = diagnostics.quantity.str.startswith('pair')
    groups = diagnostics.groupby(['iterations', ~is_pair])[['r_hat', 'ess']]
    print(groups.describe().T.round(2).to_string(), flush=True)


def top_10_columns(
    name: str,
    scores: np.ndarray,
    history: np.ndarray,
    rest: Ratings,
    n_ratings_of_items: np.ndarray,
) -> dict[str, float]:
    """How good and how rare the first ten items are, by the user's other ratings."""
    discounts = 1 / np.log2(np.arange(2, 12))
    scores = np.array(scores, float)
    scores[history] = -np.inf
    top = np.argsort(-scores, kind='stable')[:10]
    rating_of = dict(zip(rest.item_ix.tolist(), rest.rating.tolist()))
    is_liked = np.array([rating_of.get(int(item), 0) >= 4 for item in top])
    ideal = discounts[: min(10, int((rest.rating >= 4).sum()))].sum()
    first_of_rest = np.argsort(-scores[rest.item_ix], kind='stable')[:10]
    return {
        f'ndcg_{name}': (is_liked * discounts).sum() / ideal if ideal else np.nan,
        f'share_rare_{name}': (n_ratings_of_items[top] < 20).mean(),
        f'mean_rating_{name}': rest.rating[first_of_rest].mean(),
    }


def new_user_row(
    posterior: Posterior,
    als: Factors,
    history: Ratings,
    rest: Ratings,
    n_ratings_of_items: np.ndarray,
    seed: int,
) -> dict[str, float]:
    """Fold one new user in, and compare both models by the user's other ratings."""
    shape = (1, len(rest.items))
    first_row = np.zeros(len(history), int)
    as_row = build_csr(first_row, history.item_ix, history.rating, shape)
    bayes, least_squares = posterior.fold_in(as_row, seed=seed), als.fold_in(as_row)
    items, rating = rest.item_ix, rest.rating
    inside = bayes.prediction_intervals(0, items)
    mean_range = bayes.credible_intervals(0, items)
    is_covered = (rating >= inside.low) & (rating <= inside.high)
    row = dict(
        n_ratings=len(history),
        rmse_bayes=np.mean((inside['mean'] - rating) ** 2),
        rmse_als=np.mean((least_squares.predict(0, items) - rating) ** 2),
        covered=is_covered.mean(),
        nominal=inside.mass.mean(),
        expected_width=(mean_range.high - mean_range.low).mean(),
    )
    scores = {by: bayes.scores(0, by) for by in ('mean', 'low', 'high')}
    scores['als'] = least_squares.scores(0)
    for name, of_items in scores.items():
        row |= top_10_columns(name, of_items, history.item_ix, rest, n_ratings_of_items)
    return row


def compare_new_users(seed: int) -> pd.DataFrame:
    """Hold out 200 users, and let them come back with a few of their ratings."""
    _, ratings, side = load_all()
    rng = np.random.default_rng(seed)
    with_enough = np.flatnonzero(np.bincount(ratings.user_ix) >= 60)
    users = rng.choice(with_enough, 200, replace=False)
    is_held_out = np.isin(ratings.user_ix, users)
    train = ratings.take(~is_held_out)
    posterior = fit(Fold(train, train, side), {}, seed)
    als = fit_als(train)
    n_ratings_of_items = np.bincount(train.item_ix, minlength=len(ratings.items))
    rows = []
    for n in (1, 2, 5, 10, 20, 50):
        of_users = []
        for user in users:
            own = rng.permutation(np.flatnonzero(ratings.user_ix == user))
            history, rest = ratings.take(own[:n]), ratings.take(own[n:])
            of_users.append(
                new_user_row(posterior, als, history, rest, n_ratings_of_items, seed)
            )
        mean = pd.DataFrame(of_users).mean()
        for model in ('rmse_bayes', 'rmse_als'):
            mean[model] = mean[model] ** 0.5
        rows.append(mean.to_dict() | dict(seed=seed))
    return pd.DataFrame(rows)


def measure_new_users() -> None:
    """Compare new users with few ratings -> bayes_few.csv."""
    with ProcessPoolExecutor(2, get_context('spawn')) as pool:
        table = pd.concat(pool.map(compare_new_users, SEEDS))
    save_table(RESULTS / 'bayes_few.csv', table.assign(**date_and_machine()))
    means = table.groupby('n_ratings').mean(numeric_only=True)
    print(means.round(3).T.to_string(), flush=True)


SMALL_SIZES = (2_000, 5_000, 10_000, 20_000, 40_000)
SMALL_MODELS: dict[str, dict[str, Any]] = {
    'weak prior': dict(prior_scale=1),
    'prior by the data': {},
    'prior by the data, no implicit feedback': dict(implicit=False),
}
POINTS_PER_STAR = 25


def as_points(ratings: Ratings, rng: np.random.Generator) -> Ratings:
    """Stars as whole numbers around 0, 25, 50, 75 and 100."""
    noise = rng.uniform(-12, 12, len(ratings))
    points = POINTS_PER_STAR * (ratings.rating - 1) + noise
    return replace(ratings, rating=points.round().astype('float32'), scale=(-12, 112))


def small_fold(n_ratings: int, seed: int) -> tuple[Ratings, Ratings]:
    """Draw training ratings of u1, without times, and others that go with them."""
    rng = np.random.default_rng(seed)
    ratings = replace(load_fold('u1').train, timestamp=None)
    order = rng.permutation(len(ratings))
    train = ratings.take(order[:n_ratings])
    others = ratings.take(order[n_ratings : n_ratings + 20_000])
    has_user = np.isin(others.user_ix, train.user_ix)
    return train, others.take(has_user & np.isin(others.item_ix, train.item_ix))


def small_rows(seed: int) -> list[dict[str, Any]]:
    """Fit all models to a few stars, and to the same as numbers."""
    rows = []
    for n in SMALL_SIZES:
        stars = small_fold(n, seed)
        rng = np.random.default_rng(seed)
        points = tuple(as_points(part, rng) for part in stars)
        kinds = {'stars': (stars, 1), 'numbers': (points, POINTS_PER_STAR)}
        for kind, ((train, valid), unit) in kinds.items():
            predictors: dict[str, Any] = {'damped biases': damped_biases(train)}
            for model, settings in SMALL_MODELS.items():
                predictors[model] = fit_bayes(
                    train, seed=seed, n_threads=1, progress=False, **settings
                )
            for model, predictor in predictors.items():
                error = rmse(
                    valid.rating, predictor.predict(valid.user_ix, valid.item_ix)
                )
                row = dict(kind=kind, n_ratings=n, model=model, seed=seed)
                rows.append(row | dict(rmse=error / unit))
    return rows


def measure_small() -> None:
    """Fit to a few of the ratings of u1 -> bayes_small.csv."""
    table = pd.DataFrame([row for seed in SEEDS for row in small_rows(seed)])
    save_table(RESULTS / 'bayes_small.csv', table.assign(**date_and_machine()))
    means = table.groupby(['kind', 'n_ratings', 'model']).rmse.mean().unstack()
    print(means.round(4).to_string(), flush=True)


def time_synthetic(
    n_ratings: int, n_users: int, n_items: int, n_iterations: int, implicit: bool
) -> dict[str, Any]:
    """Seconds of an iteration and memory on synthetic ratings; in a fresh process."""
    user_ix, item_ix, rating = synthetic_ratings(n_ratings, n_users, n_items)
    ratings = Ratings(
        user_ix.astype('int32'),
        item_ix.astype('int32'),
        rating.astype('float32'),
        Vocabulary(np.arange(n_users), 'user'),
        Vocabulary(np.arange(n_items)),
        (0.5, 5.0),
    )
    before = memory('VmRSS')
    ends: list[float] = []
    started = time.perf_counter()
    fit_bayes(
        ratings,
        n_factors=16,
        n_burn_in=0,
        n_samples=n_iterations,
        n_kept_samples=1,
        implicit=implicit,
        n_threads=2,
        on_iteration=lambda record: ends.append(time.perf_counter()),
        progress=False,
    )
    return dict(
        n_ratings=n_ratings,
        n_users=n_users,
        n_items=n_items,
        n_factors=16,
        implicit=implicit,
        iterations=n_iterations,
        first_s=ends[0] - started,
        iteration_s=float(np.median(np.diff(ends))),
        iteration_s_min=float(np.diff(ends).min()),
        peak_mb=memory('VmHWM'),
        before_mb=before,
    )


def measure_scale() -> None:
    """Time iterations on 100K, 1M and 10M synthetic ratings -> bayes_scale.csv."""
    sizes = (
        (100_000, 943, 1_682, 20),
        (1_000_000, 6_040, 3_706, 8),
        (10_000_000, 69_878, 10_677, 4),
    )
    rows = []
    for size in sizes:
        for implicit in (False, True):
            with ProcessPoolExecutor(1, get_context('spawn')) as pool:
                done = pool.submit(time_synthetic, *size, implicit)
                rows.append(done.result() | date_and_machine())
            print(rows[-1], flush=True)
    save_table(RESULTS / 'bayes_scale.csv', pd.DataFrame(rows))


def measure_tried() -> None:
    """Try settings on the validation folds -> bayes_tried.csv."""
    jobs = [
        Job(model, settings, fold, 'valid')
        for model, settings in TRIED_MODELS.items()
        for fold in FOLDS
    ]
    rows = pd.DataFrame(list(run_jobs(jobs)))
    means = rows.groupby('model', sort=False).agg(
        folds=('rmse', 'size'),
        rmse=('rmse', 'mean'),
        rmse_time_unknown=('rmse_time_unknown', 'mean'),
        log_score=('log_score', 'mean'),
        date=('date', 'first'),
        machine=('machine', 'first'),
    )
    save_table(RESULTS / 'bayes_tried.csv', means.loc[list(TRIED_MODELS)].reset_index())


# The same work as myFM does in an iteration.
LIKE_MYFM = NORMAL | dict(n_factors=10, user_noise=False)
RATINGS_ONLY = dict(time=False, implicit=False)
MYFM = dict(rank=10)
# What is compared, the system, its model, and its settings.
SPEED_RUNS: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ('ratings only', 'myfm', 'ratings only', MYFM),
    ('ratings only', 'mf_movielens', 'Bayes', LIKE_MYFM | RATINGS_ONLY),
    ('all features', 'myfm', 'all that is known', MYFM),
    (
        'all features',
        'mf_movielens',
        'Bayes, all that is known',
        LIKE_MYFM | dict(time='days'),
    ),
    ('all features, default', 'mf_movielens', 'Bayes, all that is known', {}),
)


def iteration_settings(system: str, n_iterations: int) -> dict[str, int]:
    """How many iterations a system is to make, in its own words."""
    if system == 'myfm':
        return dict(sweeps=n_iterations)
    n_burn_in = n_iterations // 10
    return dict(n_burn_in=n_burn_in, n_samples=n_iterations - n_burn_in)


def fit_peer(
    system: str, model: str, settings: dict[str, Any], fold: str
) -> tuple[float, float]:
    """Fit in a process of its own; seconds of the fit, and RMSE."""
    data, out = ratings_file(f'{fold}-test'), KEPT / 'speed.npz'
    job = dict(model=model, settings=settings, data=str(data), out=str(out))
    report = run.run_worker(system, run.load_peers()[system], [job])[0]
    return report['fit_s'], run.compute_metrics('rating', data, out)['rmse']


def time_iterations(n_times: int) -> Iterator[dict[str, Any]]:
    """Milliseconds of an iteration, by the difference of a long and a short fit."""
    for n, (what, system, model, settings) in (
        (n, speed_run) for n in range(n_times) for speed_run in SPEED_RUNS
    ):
        short, long = (
            fit_peer(system, model, settings | iteration_settings(system, i), 'u1')[0]
            for i in (20, 80)
        )
        row = dict(part='iteration', what=what, system=system, run=n)
        row['iteration_ms'] = 1000 * (long - short) / 60
        print(row, flush=True)
        yield row


def time_to_target(iterations: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Seconds and RMSE of myFM after 200 iterations, and of ours after several."""
    fits = [('myfm', 'ratings only', MYFM, 200)]
    fits += [('mf_movielens', 'Bayes', dict(time=False), n) for n in iterations]
    for fold in FOLDS:
        for system, model, settings, n in fits:
            all_settings = settings | iteration_settings(system, n)
            seconds, error = fit_peer(system, model, all_settings, fold)
            yield dict(
                part='target',
                what='ratings only',
                system=system,
                fold=fold,
                iterations=n,
                fit_s=seconds,
                rmse=error,
            )
        print(fold, flush=True)


def measure_speed() -> None:
    """Time our sampler and that of myFM -> bayes_speed.csv."""
    rows = [*time_iterations(3), *time_to_target((10, 20, 30, 40, 60, 100, 200))]
    table = pd.DataFrame(rows).assign(**date_and_machine())
    save_table(RESULTS / 'bayes_speed.csv', table)
    by_what = table[table.part == 'iteration'].groupby(['what', 'system'])
    print(by_what.iteration_ms.describe().round(1).to_string())
    by_iterations = table[table.part == 'target'].groupby(['system', 'iterations'])
    summary = by_iterations.agg({'fit_s': 'median', 'rmse': 'mean'})
    print(summary.round(4).to_string(), flush=True)


PARTS = {
    'tried': measure_tried,
    'folds': measure_folds,
    'blend': measure_blend,
    'chains': measure_chains,
    'few': measure_new_users,
    'small': measure_small,
    'scale': measure_scale,
    'speed': measure_speed,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('parts', nargs='*', default=list(PARTS), help=', '.join(PARTS))
    for part in parser.parse_args().parts:
        PARTS[part]()


if __name__ == '__main__':
    main()
