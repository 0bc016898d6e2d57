"""Measure the way from a file of ratings to a saved recommender, at four sizes.

`python benchmarks/sizes.py` measures each step in a process of its own, and the whole
command beside two other libraries.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from benchmark_data import HERE, KEPT, synthetic_ratings
from commit import commit
from job import FACTORS, ROUNDS
from run import (
    RESULTS,
    clean_environment,
    date_and_machine,
    load_peers,
    peer_python,
)
from worker import memory

# Ratings, users and films of MovieLens 100K, 1M, 10M and 25M.
SIZES = {
    '100K': (100_000, 943, 1_682),
    '1M': (1_000_209, 6_040, 3_706),
    '10M': (10_000_054, 69_878, 10_677),
    '25M': (25_000_095, 162_541, 59_047),
}
# Where a part is not measured at all sizes.
SIZES_OF = {
    'bayes': ('100K', '25M'),
    'stream': ('25M',),
    'cached': ('100K', '25M'),
    'spark': ('1M', '10M'),
}
N_RUNS_OF_JOBS = {'100K': 5, '1M': 5, '10M': 3, '25M': 3}
SYSTEMS = ('mf_movielens', 'implicit', 'lenskit')
KEYS = ['part', 'size', 'system', 'run']

Row = dict[str, Any]


def synthetic_file(size: str) -> Path:
    """A file like ratings.csv of MovieLens 25M, with synthetic ratings.

    They are sorted by user and time, and there are gaps between the film ids.
    """
    path: Path = KEPT / f'synthetic-{size}.csv'
    if path.exists():
        return path
    path.parent.mkdir(exist_ok=True)
    n, n_users, n_items = SIZES[size]
    user_ix, item_ix, rating = synthetic_ratings(n, n_users, n_items)
    rng = np.random.default_rng(1)
    film_ids = np.sort(rng.choice(4 * n_items, n_items, replace=False)) + 1
    first_time = rng.integers(789_652_009, 1_574_327_703, n_users)
    timestamp = first_time[user_ix] + rng.integers(0, 10_000_000, len(user_ix))
    order = np.lexsort((timestamp, user_ix))
    frame = pd.DataFrame(
        {
            'userId': user_ix[order] + 1,
            'movieId': film_ids[item_ix[order]],
            'rating': rating[order],
            'timestamp': timestamp[order],
        }
    )
    part = path.with_suffix('.part')
    frame.to_csv(part, index=False)
    return part.rename(path)


class Laps:
    """Seconds of each step, and the peak memory so far in MB, by name."""

    def __init__(self) -> None:
        self.found: Row = {}
        self.started = time.perf_counter()

    def __call__(self, name: str) -> None:
        self.found[f'{name}_s'] = time.perf_counter() - self.started
        self.found[f'{name}_mb'] = memory('VmHWM')
        self.started = time.perf_counter()

    def row(self, **more: Any) -> Row:
        """What was measured, with the peak memory of the process."""
        return self.found | more | dict(peak_mb=memory('VmHWM'))


def pipeline(path: str) -> Row:
    """Every step from the file to evaluated recommendations."""
    from mf_movielens.ials import fit_ials
    from mf_movielens.ranking import rank_items, ranking_metrics
    from mf_movielens.reading import load_ratings
    from mf_movielens.recommender import Recommender
    from mf_movielens.splits import random_split

    lap = Laps()
    ratings = load_ratings(path, say=None)
    lap('read')
    train, test = random_split(ratings)
    lap('split')
    factors = fit_ials(train, n_factors=FACTORS, progress=False)
    lap('fit')
    users = np.arange(len(ratings.users))
    recommended = rank_items(factors.scores, users, train)
    lap('recommend')
    ndcg = ranking_metrics(recommended, users, test).ndcg.mean()
    lap('evaluate')
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, 'model.npz')
        Recommender.of(factors, ratings, reg=0.02, damping=4, alpha=0.4).save(model)
        lap('save')
        opened = Recommender.load(model)
        lap('open')
    for user in opened.users.index[:100]:
        opened.recommend(user)
    lap('hundred')
    return lap.row(ndcg=ndcg, n=len(ratings))


def als(path: str) -> Row:
    """Alternating least squares for explicit ratings."""
    from mf_movielens.als import fit_als
    from mf_movielens.metrics import rmse
    from mf_movielens.reading import load_ratings
    from mf_movielens.splits import random_split

    train, test = random_split(load_ratings(path, say=None))
    lap = Laps()
    factors = fit_als(train, n_factors=FACTORS, progress=False)
    lap('fit')
    error = rmse(test.rating, factors.predict(test.user_ix, test.item_ix))
    lap('evaluate')
    return lap.row(rmse=error, n=len(train) + len(test))


def bayes(path: str, n_samples: int = 4) -> Row:
    """Bayesian matrix factorization, of nothing but the ratings."""
    from mf_movielens.bayes import fit_bayes
    from mf_movielens.reading import load_ratings

    ratings = load_ratings(path, say=None, timestamp=False)
    times = []
    fit_bayes(
        ratings,
        n_factors=16,
        n_burn_in=0,
        n_samples=n_samples,
        implicit=False,
        on_iteration=lambda record: times.append(time.perf_counter()),
    )
    return Laps().row(iteration_s=float(np.median(np.diff(times))), n=len(ratings))


def stream(path: str) -> Row:
    """A network that is trained on shards."""
    os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
    from dataclasses import replace

    from mf_movielens.shards import shard_file

    folder = Path(tempfile.mkdtemp(dir=KEPT), 'shards')
    lap = Laps()
    shards = shard_file(path, folder, n_shards=24)
    lap('shard')
    from mf_movielens.training import RECIPES, train_net

    recipe = replace(
        RECIPES['tuned'], n_factors=FACTORS, batch_size=10_000, n_iterations=1
    )
    record = train_net(shards, recipe).records[-1]
    lap('fit')
    shutil.rmtree(folder.parent)
    return lap.row(epoch_s=record['seconds'], loss=record['loss'], n=len(shards))


def cached(path: str) -> Row:
    """A file that was read before is opened again."""
    from mf_movielens.shards import load_cached

    with tempfile.TemporaryDirectory(dir=KEPT) as cache:
        lap = Laps()
        load_cached(path, cache, say=None)
        lap('first')
        ratings = load_cached(path, cache, say=None)
        lap('again')
    return lap.row(n=len(ratings))


def spark(path: str) -> Row:
    """Spark on this machine; the memory is that of the Java process."""
    from mf_movielens.spark import fit_spark, get_spark

    lap = Laps()
    session = get_spark(**{'spark.driver.memory': '10g'})
    lap('start')
    model = fit_spark(path, session, n_factors=FACTORS, n_iterations=ROUNDS)
    n = model.rated.count()
    # Spark computes the factors when they are asked for.
    _ = model.factors
    lap('fit')
    peak_mb = max(map(peak_memory_of, child_processes()))
    session.stop()
    return lap.found | dict(n=n, peak_mb=peak_mb)


def child_processes() -> list[int]:
    """The numbers of the processes that this one has started."""
    tasks = Path('/proc/self/task').iterdir()
    texts = [(task / 'children').read_text() for task in tasks]
    return [int(number) for text in texts for number in text.split()]


def peak_memory_of(process: int) -> float:
    """The most megabytes that a process has held."""
    lines = Path(f'/proc/{process}/status').read_text().splitlines()
    line = next(line for line in lines if line.startswith('VmHWM'))
    return float(line.split()[1]) / 1024


PARTS: dict[str, Callable[[str], Row]] = dict(
    pipeline=pipeline, als=als, bayes=bayes, stream=stream, cached=cached, spark=spark
)


def run_command(words: list[Any]) -> tuple[str, float, float]:
    """Run a command: its last line, its seconds, and its peak memory in MB."""
    started = time.perf_counter()
    environment = clean_environment()
    with tempfile.TemporaryFile('w+') as out:
        process = subprocess.Popen(map(str, words), stdout=out, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise RuntimeError(f'{words} ended with {status}')
        out.seek(0)
        lines = out.read().strip().splitlines()
    seconds = time.perf_counter() - started
    return lines[-1] if lines else '', seconds, usage.ru_maxrss / 1024


def job(system: str, path: Path) -> Row:
    """From the file to a saved model, as a user would do it."""
    with tempfile.TemporaryDirectory(dir=KEPT) as folder:
        if system == 'mf_movielens':
            command = Path(sys.executable).with_name('mf-movielens')
            options = [
                '--n-factors',
                FACTORS,
                '--n-iterations',
                ROUNDS,
                '--out',
                folder,
            ]
            words = [command, 'train', path, *options, '--no-evaluate', '--json']
        else:
            interpreter = peer_python(system, load_peers()[system].PACKAGES)
            out = f'{folder}/model.npz'
            words = [interpreter, HERE / 'job.py', system, path, out]
        last_line, wall_s, peak_mb = run_command(words)
    found: Row = {} if system == 'mf_movielens' else json.loads(last_line)
    return found | dict(wall_s=wall_s, peak_mb=peak_mb)


def part_in_new_process(part: str, path: Path) -> Row:
    words = [sys.executable, __file__, '--step', part, path]
    row: Row = json.loads(run_command(words)[0])
    return row


def measured_rows(size: str, part: str) -> Iterator[Row]:
    """All runs of a part at a size."""
    # in another process, for the peak of this one would count as that of the commands
    with ProcessPoolExecutor(1, get_context('spawn')) as pool:
        path = pool.submit(synthetic_file, size).result()
    if part == 'job':
        for run in range(N_RUNS_OF_JOBS[size]):
            for system in SYSTEMS:
                yield dict(system=system, run=run) | job(system, path)
        return
    is_repeated = part in ('pipeline', 'als') and size in ('100K', '1M')
    for run in range(5 if is_repeated else 1):
        yield dict(system='mf_movielens', run=run) | part_in_new_process(part, path)


def keep(row: Row) -> None:
    """Write a row of the table of results, in place of one of the same run."""
    path = RESULTS / 'sizes.csv'
    table = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=KEYS)
    is_same = (table[KEYS] == [row[key] for key in KEYS]).all(axis=1)
    new = pd.DataFrame([row | {'commit': commit()}])
    table = pd.concat([table[~is_same], new], ignore_index=True)
    table.to_csv(path, index=False, float_format='%.6g')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('parts', nargs='*', default=[*PARTS, 'job'])
    parser.add_argument('--sizes', nargs='+', default=list(SIZES))
    parser.add_argument('--step', nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        part, path = options.step
        print(json.dumps(PARTS[part](path)))
        return
    for size in options.sizes:
        for part in options.parts:
            if size not in SIZES_OF.get(part, SIZES):
                continue
            for found in measured_rows(size, part):
                row = dict(part=part, size=size) | found | date_and_machine()
                print(row, flush=True)
                keep(row)


if __name__ == '__main__':
    main()
