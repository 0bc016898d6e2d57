"Measure the whole way, from a file of ratings to a saved recommender, at four sizes and beside two peers; `python benchmarks/sizes.py` does everything."

import argparse, datetime, json, os, platform, shutil, statistics, subprocess, sys, tempfile, time
from pathlib import Path

import numpy as np
import pandas as pd

from job import FACTORS, ROUNDS
from run import HERE, KEPT, RESULTS, drawn, peers, python
from worker import memory

# ratings, users and films of MovieLens 100K, 1M, 10M and 25M
SIZES = {
    '100K': (100_000, 943, 1_682),
    '1M': (1_000_209, 6_040, 3_706),
    '10M': (10_000_054, 69_878, 10_677),
    '25M': (25_000_095, 162_541, 59_047),
}
RUNS = {
    '100K': 5,
    '1M': 5,
    '10M': 3,
    '25M': 3,
}  # of a job; of the way there are as many at the small sizes, and one at the large


def made(size):
    "A file like ratings.csv of MovieLens 25M: made-up ratings, sorted by user and moment, and film numbers with gaps."
    path = KEPT / f'ratings-{size}.csv'
    if path.exists():
        return path
    path.parent.mkdir(exist_ok=True)
    n, n_users, n_items = SIZES[size]
    u, i, r = drawn(n, n_users, n_items)
    rng = np.random.default_rng(1)
    film = np.sort(rng.choice(4 * n_items, n_items, replace=False)) + 1
    joined = rng.integers(789_652_009, 1_574_327_703, n_users)
    t = joined[u] + rng.integers(0, 10_000_000, len(u))
    order = np.lexsort((t, u))
    part = path.with_suffix('.part')
    pd.DataFrame(
        {
            'userId': u[order] + 1,
            'movieId': film[i[order]],
            'rating': r[order],
            'timestamp': t[order],
        }
    ).to_csv(part, index=False)
    return part.rename(path)


class Laps:
    "Seconds by name, and the most memory so far."

    def __init__(self):
        self.found, self.started = {}, time.perf_counter()

    def __call__(self, name):
        self.found |= {
            f'{name}_s': time.perf_counter() - self.started,
            f'{name}_mb': memory('VmHWM'),
        }
        self.started = time.perf_counter()


def way(path):
    "Every step from the file to the lists, in this process."
    from mf_movielens.ials import fit_ials
    from mf_movielens.ranking import rank_items, ranking_metrics
    from mf_movielens.reading import load_ratings
    from mf_movielens.recommender import Recommender
    from mf_movielens.splits import random_split

    lap, model = Laps(), Path(tempfile.mkdtemp(), 'model.npz')
    ratings = load_ratings(path, say=None)
    lap('read')
    train, test = random_split(ratings)
    lap('split')
    factors = fit_ials(train, n_factors=FACTORS, progress=False)
    lap('fit')
    users = np.arange(len(ratings.users))
    lists = rank_items(factors.scores, users, train)
    lap('lists')
    quality = ranking_metrics(lists, users, test).ndcg.mean()
    lap('judge')
    Recommender.of(factors, ratings, reg=0.02, damping=4, alpha=0.4).save(model)
    lap('save')
    opened = Recommender.load(model)
    lap('open')
    for user in opened.users.index[:100]:
        opened.recommend(user)
    lap('hundred')
    shutil.rmtree(model.parent)
    return lap.found | dict(ndcg=quality, n=len(ratings), peak_mb=memory('VmHWM'))


def als(path):
    from mf_movielens.als import fit_als
    from mf_movielens.metrics import rmse
    from mf_movielens.reading import load_ratings
    from mf_movielens.splits import random_split

    train, test = random_split(load_ratings(path, say=None))
    lap = Laps()
    factors = fit_als(train, n_factors=FACTORS, progress=False)
    lap('fit')
    error = rmse(test.rating, factors.predict(test.user_ix, test.item_ix))
    lap('judge')
    return lap.found | dict(
        rmse=error, n=len(train) + len(test), peak_mb=memory('VmHWM')
    )


def bayes(path, n_samples=4):
    from mf_movielens.bayes import fit_bayes
    from mf_movielens.reading import load_ratings

    ratings, seen = load_ratings(path, say=None, timestamp=False), []
    fit_bayes(
        ratings,
        n_factors=16,
        n_burn_in=0,
        n_samples=n_samples,
        implicit=False,
        on_iteration=lambda record: seen.append(time.perf_counter()),
    )
    return dict(
        sweep_s=float(np.median(np.diff(seen))), n=len(ratings), peak_mb=memory('VmHWM')
    )


def stream(path):
    "The network, of shards."
    os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
    from dataclasses import replace
    from mf_movielens.shards import shard_file

    folder = Path(tempfile.mkdtemp(dir=KEPT), 'shards')
    lap = Laps()
    shards = shard_file(path, folder, n_shards=24)
    lap('shard')
    from mf_movielens.training import RECIPES, train_net

    fit = train_net(
        shards,
        replace(RECIPES['tuned'], n_factors=FACTORS, batch_size=10_000, n_iterations=1),
    )
    lap('fit')
    shutil.rmtree(folder.parent)
    return lap.found | dict(
        epoch_s=fit.records[-1]['seconds'],
        loss=fit.records[-1]['loss'],
        n=len(shards),
        peak_mb=memory('VmHWM'),
    )


def cached(path):
    "What was read before is opened again."
    from mf_movielens.shards import load_cached

    with tempfile.TemporaryDirectory(dir=KEPT) as cache:
        lap = Laps()
        load_cached(path, cache, say=None)
        lap('first')
        ratings = load_cached(path, cache, say=None)
        lap('again')
    return lap.found | dict(n=len(ratings), peak_mb=memory('VmHWM'))


def spark(path):
    "Spark on this machine; its memory is that of the Java process."
    from mf_movielens.spark import fit_spark, get_spark

    lap, session = Laps(), get_spark(**{'spark.driver.memory': '10g'})
    lap('start')
    model = fit_spark(path, session, n_factors=FACTORS, n_iterations=ROUNDS)
    n = model.rated.count()
    model.factors
    lap('fit')
    java = [
        int(p)
        for task in Path('/proc/self/task').iterdir()
        for p in (task / 'children').read_text().split()
    ]
    peak = max(
        float(line.split()[1]) / 1024
        for p in java
        for line in open(f'/proc/{p}/status')
        if line.startswith('VmHWM')
    )
    session.stop()
    return lap.found | dict(n=n, peak_mb=peak)


STEPS = dict(way=way, als=als, bayes=bayes, stream=stream, cached=cached, spark=spark)


def fresh(words):
    "Run a command; its last line, its seconds and its megabytes at most."
    started, out = time.perf_counter(), tempfile.TemporaryFile('w+')
    process = subprocess.Popen(
        list(map(str, words)), stdout=out, env=os.environ | {'CUDA_VISIBLE_DEVICES': ''}
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f'{words} ended with {status}')
    out.seek(0)
    return (
        (out.read().strip().splitlines() or [''])[-1],
        time.perf_counter() - started,
        usage.ru_maxrss / 1024,
    )


def job(system, path):
    "From the file to a saved model, as a user would do it."
    with tempfile.TemporaryDirectory(dir=KEPT) as d:
        if system == 'mf_movielens':
            words = [
                Path(sys.executable).with_name('mf-movielens'),
                'train',
                path,
                '--factors',
                FACTORS,
                '--rounds',
                ROUNDS,
                '--no-measure',
                '--out',
                d,
                '--json',
            ]
        else:
            words = [
                python(system, peers()[system].PACKAGES),
                HERE / 'job.py',
                system,
                path,
                f'{d}/model.npz',
            ]
        last, wall, peak = fresh(words)
    return (json.loads(last) if system != 'mf_movielens' else {}) | dict(
        wall_s=wall, peak_mb=peak
    )


def main():
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument('parts', nargs='*', default=[*STEPS, 'job'])
    ask.add_argument('--sizes', nargs='+', default=list(SIZES))
    ask.add_argument('--step', nargs=2, help=argparse.SUPPRESS)
    options = ask.parse_args()
    if options.step:
        return print(json.dumps(STEPS[options.step[0]](options.step[1])))
    table, about = (
        RESULTS / 'sizes.csv',
        dict(
            date=str(datetime.date.today()),
            machine=f'{platform.machine()}, {os.cpu_count()} cores',
        ),
    )
    for size in options.sizes:
        path = made(size)
        for part in options.parts:
            systems = (
                ('mf_movielens', 'implicit', 'lenskit')
                if part == 'job'
                else ('mf_movielens',)
            )
            for run in range(
                RUNS[size]
                if part == 'job' or part in ('way', 'als') and size in ('100K', '1M')
                else 1
            ):
                for system in systems:
                    found = (
                        job(system, path)
                        if part == 'job'
                        else json.loads(
                            fresh([sys.executable, __file__, '--step', part, path])[0]
                        )
                    )
                    row = (
                        dict(part=part, size=size, system=system, run=run)
                        | found
                        | about
                    )
                    print(row, flush=True)
                    old = (
                        pd.read_csv(table)
                        if table.exists()
                        else pd.DataFrame(columns=['part', 'size', 'system', 'run'])
                    )
                    same = (
                        old[['part', 'size', 'system', 'run']]
                        == [part, size, system, run]
                    ).all(axis=1)
                    pd.concat(
                        [old[~same], pd.DataFrame([row])], ignore_index=True
                    ).to_csv(table, index=False, float_format='%.6g')


if __name__ == '__main__':
    main()
