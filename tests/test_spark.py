"""Spark on this machine: real processes, which are killed, and damaged tables."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mf_movielens.als import fit_als
from mf_movielens.baselines import damped_biases
from mf_movielens.data import load
from mf_movielens.encoding import Ratings, RatingsError
from mf_movielens.metrics import rmse
from mf_movielens.ranking import top_k
from mf_movielens.shards import write_shards
from mf_movielens.spark import (
    SparkError,
    SparkModel,
    fit_spark,
    get_spark,
    load_spark,
)
from mf_movielens.splits import official_fold

pyspark = pytest.importorskip(
    'pyspark',
    reason='Spark is tested where pyspark is: pip install mf_movielens[spark]',
)
# Most of the time of a short session goes into compiling: Java's hot loops, and a
# program for each query.
JAVA_OPTIONS = '-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:MetaspaceSize=256m -Xss4m'
SMALL_SESSION = {
    'spark.sql.shuffle.partitions': '2',
    'spark.sql.adaptive.enabled': 'false',
    'spark.sql.codegen.wholeStage': 'false',
    'spark.sql.constraintPropagation.enabled': 'false',
    'spark.driver.extraJavaOptions': JAVA_OPTIONS,
    'spark.executor.extraJavaOptions': JAVA_OPTIONS,
    'spark.executorEnv.PYTHONPATH': os.pathsep.join(sys.path),
}
FEW_BLOCKS = {'n_blocks': 2}
# pip's Spark has no scripts for a standalone cluster, but the program that they call
SPARK_CLASS = Path(pyspark.__file__).parent / 'bin/spark-class'


@pytest.fixture(scope='module')
def fold():
    ml = load()
    return official_fold(ml, Ratings.from_frame(ml.ratings, titles=ml.titles), 'u1')


def free_port():
    with socket.socket() as opened:
        opened.bind(('127.0.0.1', 0))
        return opened.getsockname()[1]


def wait_until_open(port, process):
    """Wait until a process listens at its port, or has ended."""
    while process.poll() is None:
        with socket.socket() as caller:
            if caller.connect_ex(('127.0.0.1', port)) == 0:
                return
        time.sleep(0.1)


@contextmanager
def standalone_cluster(folder):
    """A master and two workers, as on several machines: the address of the master."""
    port, processes = free_port(), []
    address = f'spark://127.0.0.1:{port}'
    master = ['master.Master', '--host', '127.0.0.1', '--port', port]
    worker = ['worker.Worker', '--cores', 1, '--memory', '1g']
    environment = os.environ | {
        'SPARK_LOCAL_IP': '127.0.0.1',
        'SPARK_WORKER_DIR': str(folder),
        'SPARK_DAEMON_JAVA_OPTS': JAVA_OPTIONS,
        'PYSPARK_PYTHON': sys.executable,
        'PYSPARK_DRIVER_PYTHON': sys.executable,
    }

    def start(name, *options):
        program = [SPARK_CLASS, f'org.apache.spark.deploy.{name}']
        processes.append(
            subprocess.Popen(
                [*program, *map(str, options)],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=folder,
            )
        )

    try:
        start(*master, '--webui-port', free_port())
        for _ in range(2):
            start(*worker, '--webui-port', free_port(), address)
        wait_until_open(port, processes[0])
        yield address
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(20)


@pytest.fixture(scope='module')
def cluster(tmp_path_factory):
    """A driver, and two executors on the workers of a standalone cluster."""
    before = os.getcwd()
    folder = tmp_path_factory.mktemp('work')
    # where the driver puts its folders
    os.chdir(folder)
    settings = SMALL_SESSION | {
        'spark.driver.host': '127.0.0.1',
        'spark.executor.memory': '1g',
        'spark.task.maxFailures': '8',
    }
    try:
        with standalone_cluster(folder) as master:
            spark = get_spark(master, **settings)
            yield spark
            spark.stop()
    except SparkError as error:
        pytest.skip(f'Spark is tested where it starts: {error}')
    finally:
        os.chdir(before)


def predict_test(fold, factors):
    return factors.predict(fold.test.user_ix, fold.test.item_ix)


def held_out_rmse(fold, factors):
    """Held-out RMSE of a fold."""
    return rmse(fold.test.rating, predict_test(fold, factors))


def command_line(process):
    """The command line of a process, '' if it is gone."""
    try:
        return (Path('/proc') / process / 'cmdline').read_text()
    except OSError:
        return ''


def executors(spark):
    """Process numbers of the executors of a session."""
    processes = [p.name for p in Path('/proc').iterdir() if p.name.isdigit()]
    words = 'CoarseGrainedExecutor', spark.sparkContext.applicationId
    return [int(p) for p in processes if all(w in command_line(p) for w in words)]


@pytest.fixture(scope='module')
def fitted(cluster, fold):
    return fit_spark(fold.train, cluster, **FEW_BLOCKS)


def test_better_than_biases_alone_and_close_to_our_own_als(cluster, fold, fitted):
    error = held_out_rmse(fold, fitted.factors)
    assert error < held_out_rmse(fold, damped_biases(fold.train))
    assert error < held_out_rmse(fold, fit_als(fold.train)) + 0.02


def test_biases_lower_the_error_on_real_ratings(cluster, fold, fitted, real_archive):
    without_biases = fit_spark(fold.train, cluster, n_bias_iterations=0, **FEW_BLOCKS)
    error = held_out_rmse(fold, fitted.factors)
    assert error < held_out_rmse(fold, without_biases.factors)


class ExecutorKiller(threading.Thread):
    """Kills an executor at a random moment of the least squares."""

    def __init__(self, spark, executor):
        super().__init__(daemon=True)
        self.tracker = spark.sparkContext.statusTracker()
        self.executor = executor
        self.seconds = np.random.default_rng().uniform(0, 0.5)
        self.is_fitting = True
        self.has_killed = False

    def is_in_als(self):
        stages = map(self.tracker.getStageInfo, self.tracker.getActiveStageIds())
        names = [getattr(stage, 'name', '') or '' for stage in stages]
        return any('ALS' in name for name in names)

    def run(self):
        while not self.is_in_als():
            time.sleep(0.005)
        time.sleep(self.seconds)
        if self.is_fitting:
            os.kill(self.executor, signal.SIGKILL)
            self.has_killed = True


def test_an_executor_killed_during_the_fit_changes_nothing(
    cluster, fold, fitted, tmp_path
):
    before = executors(cluster)
    assert len(before) == 2
    killer = ExecutorKiller(cluster, before[0])
    killer.start()
    checkpoints = tmp_path / 'checkpoints'
    again = fit_spark(fold.train, cluster, checkpoint_dir=checkpoints, **FEW_BLOCKS)
    killer.is_fitting = False
    killer.join(5)
    print(f'killed {killer.seconds:.2f} s after the first stage of ALS')
    assert killer.has_killed
    assert before[0] not in executors(cluster)
    difference = held_out_rmse(fold, again.factors) - held_out_rmse(
        fold, fitted.factors
    )
    assert abs(difference) < 1e-3
    differences = predict_test(fold, again.factors) - predict_test(fold, fitted.factors)
    assert np.abs(differences).max() < 0.01


@pytest.fixture(scope='module')
def book_table():
    """Ratings with ids of text, some of which look like numbers."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            'reader': rng.choice([f'ü {j}' for j in range(30)], 500),
            'isbn': rng.choice([f'0{j}' for j in range(40)], 500),
            'stars': rng.integers(1, 11, 500) / 2,
        }
    )
    return table.drop_duplicates(['reader', 'isbn'])


@pytest.fixture(scope='module')
def book_models(cluster, book_table, tmp_path_factory):
    """Models of the same ratings in a parquet file and in a CSV file."""
    folder = tmp_path_factory.mktemp('books')
    book_table.to_parquet(folder / 'a.parquet')
    book_table.to_csv(folder / 'a.csv', index=False)
    settings = dict(n_factors=3, n_blocks=2, n_iterations=3)
    return [
        fit_spark(folder / name, cluster, **settings) for name in ('a.parquet', 'a.csv')
    ]


def test_ids_of_text(book_models, book_table):
    parquet_model, csv_model = book_models
    assert parquet_model.ids == csv_model.ids
    assert set(parquet_model.ids[1].index) == set(book_table.isbn)
    assert parquet_model.settings['low'] == 0.5
    assert np.allclose(
        parquet_model.factors.user_factors, csv_model.factors.user_factors, atol=1e-5
    )


def test_recommendations_are_unrated_items_on_the_scale(book_models, book_table):
    top_items = book_models[0].recommend(4).toArrow().to_pandas()
    rated = set(zip(book_table.reader, book_table.isbn))
    assert set(top_items.user) == set(book_table.reader)
    assert not rated & set(zip(top_items.user, top_items.item))
    assert (top_items.groupby('user')['rank'].max() <= 4).all()
    assert top_items.score.between(0.5, 5).all()


def test_of_equal_scores_the_lower_row_comes_first(cluster):
    rng = np.random.default_rng(0)
    n_users, n_items, k = 40, 60, 7
    # whole numbers, so that scores are exact and most of them occur several times
    factors = rng.integers(-2, 3, (n_users + n_items, 2)).astype('float32')
    bias = rng.integers(-1, 2, n_users + n_items).astype('float32')
    rows = [*range(n_users), *range(n_items)]
    table = [
        (row, f'{row:02d}', float(b), f.tolist())
        for row, b, f in zip(rows, bias, factors)
    ]
    schema = 'row int, id string, bias float, factors array<float>'
    users = cluster.createDataFrame(table[:n_users], schema)
    items = cluster.createDataFrame(table[n_users:], schema)
    seen = rng.random((n_users, n_items)) < 0.3
    seen[0] = np.arange(n_items) >= 3  # fewer are left than are asked for
    pairs = [(int(u), int(i), 3.0) for u, i in zip(*np.nonzero(seen))]
    rated = cluster.createDataFrame(pairs, 'user_ix int, item_ix int, rating float')
    settings = dict(mean=0.0, low=-100.0, high=100.0, n_factors=2, reg=0.1)
    model = SparkModel(cluster, users, items, rated, settings)
    found = model.recommend(k).toArrow().to_pandas().sort_values(['user', 'rank'])

    scores = factors[:n_users] @ factors[n_users:].T + bias[n_users:]
    scores[seen] = -np.inf
    expected = top_k(scores, k)
    is_left = np.take_along_axis(scores, expected, 1) > -np.inf
    assert found.item.astype(int).tolist() == expected[is_left].tolist()
    assert found.user.astype(int).tolist() == np.nonzero(is_left)[0].tolist()


def test_a_saved_model_recommends_the_same(cluster, book_models, tmp_path):
    model = book_models[0]
    top_items = model.recommend(4).toArrow().to_pandas()
    expected = top_items[top_items.user == 'ü 3'].sort_values('rank').item.tolist()
    loaded = load_spark(model.save(tmp_path / 'model'), cluster)
    assert loaded.ids == model.ids
    assert loaded.recommender().recommend('ü 3', 4).item.tolist() == expected


def test_shards(cluster, fold, fitted, tmp_path):
    shards = write_shards(fold.train, tmp_path / 's', shard_size=20_000)
    model = fit_spark(shards, cluster, **FEW_BLOCKS)
    difference = held_out_rmse(fold, model.factors) - held_out_rmse(
        fold, fitted.factors
    )
    assert abs(difference) < 0.005
    # the items that nobody rated in this part are kept as well
    loaded = load_spark(model.save(tmp_path / 'm'), cluster)
    assert loaded.ids == model.ids
    assert np.array_equal(loaded.factors.item_factors, model.factors.item_factors)
    assert len(loaded.recommender().recommend(196)) == 10
    with pytest.raises(RatingsError, match='Remove'):
        model.save(tmp_path / 'm')


def test_a_scale_of_many_levels(cluster, tmp_path):
    path = tmp_path / 'a.csv'
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            'user': np.repeat(np.arange(60), 30),
            'item': np.tile(np.arange(30), 60),
            'rating': np.r_[-10, 10, rng.uniform(-9, 9, 1798)].round(4),
        }
    )
    table.to_csv(path, index=False)
    model = fit_spark(path, cluster, n_factors=2, n_blocks=2, n_iterations=2)
    assert model.factors.scale == (-10, 10)
    with pytest.raises(RatingsError, match='scale 0 to 5'):
        fit_spark(path, cluster, scale=(0, 5))
    with pytest.raises(TypeError, match='n_factor'):
        fit_spark(path, cluster, n_factor=5)


def small_table(**columns):
    """Three ratings, with some of the columns replaced."""
    table = {
        'user': ['a', 'a', 'b'],
        'item': ['x', 'y', 'x'],
        'rating': ['3', '4', '5'],
    }
    return pd.DataFrame(table | columns)


def numbers_table(rating, **columns):
    """A table in which each of 60 users has rated each of 20 items."""
    pairs = {'user': np.repeat(np.arange(60), 20), 'item': np.tile(np.arange(20), 60)}
    return pd.DataFrame(pairs | {'rating': rating} | columns)


RNG = np.random.default_rng(0)
STARS = RNG.choice([1, 2, 3, 4, 5], 1200, p=[0.06, 0.11, 0.27, 0.34, 0.22])
KINDS_TABLES = {
    'stars': (STARS, 'stars'),
    'few pieces': (RNG.choice([1, 2, 3], 1200, p=[0.7, 0.2, 0.1]), 'kind'),
    'plays': (RNG.lognormal(3, 1.5, 1200).round() + 1, 'goal='),
    'likes': (np.ones(1200), 'likes are all equal'),
    'a slip': (np.r_[STARS[:-1], 11], 'that of user 59 and item 19 is 11'),
    'no stars': (np.r_[STARS[:-300], np.full(300, -1)], 'missing=-1'),
    'moments': (1.6e9 + np.arange(1200), 'or a moment, 2020'),
}


@pytest.mark.parametrize('shape', KINDS_TABLES)
def test_numbers_mean_in_spark_what_they_mean_in_a_frame(cluster, tmp_path, shape):
    rating, expected = KINDS_TABLES[shape]
    table = numbers_table(rating)
    path = tmp_path / 'a.csv'
    table.to_csv(path, index=False)
    settings = dict(n_factors=2, n_blocks=2, n_iterations=1)
    if expected == 'stars':
        assert fit_spark(path, cluster, **settings).factors.scale == (1, 5)
        return
    with pytest.raises(RatingsError, match=expected) as caught:
        fit_spark(path, cluster, **settings)
    if shape not in ('plays', 'likes'):
        with pytest.raises(RatingsError) as of_frame:
            Ratings.from_frame(table)
        assert caught.value.argument == of_frame.value.argument
    if shape == 'no stars':
        model = fit_spark(path, cluster, missing=-1, **settings)
        assert model.factors.scale == (1, 5)
        assert abs(model.factors.mu - rating[rating > 0].mean()) < 1e-5
    if shape == 'few pieces':
        assert fit_spark(path, cluster, kind='stars', **settings).factors.scale == (
            1,
            3,
        )
        with pytest.raises(RatingsError, match='goal='):
            fit_spark(path, cluster, kind='counts', **settings)
    with pytest.raises(ValueError, match="kind='x'"):
        fit_spark(path, cluster, kind='x')


def test_encoded_numbers_keep_their_meaning_in_spark(cluster, tmp_path):
    rating = np.r_[STARS[:-300], np.full(300, -1)]
    ratings = Ratings.from_frame(numbers_table(rating), missing=-1)
    counts = ratings.as_kind('counts')
    for source in (ratings, write_shards(ratings, tmp_path / 's')):
        model = fit_spark(source, cluster, n_factors=2, n_blocks=2, n_iterations=1)
        assert abs(model.factors.mu - rating[rating > 0].mean()) < 1e-5
    for source in (counts, write_shards(counts, tmp_path / 'c')):
        with pytest.raises(RatingsError, match='goal='):
            fit_spark(source, cluster)


@pytest.mark.parametrize(
    'table, message',
    [
        (small_table(user=['a', None, 'b']), '1 of 3 values are no id'),
        (small_table(rating=['3', 'good', '5']), "'good'"),
        (small_table(rating=['3', None, '5']), 'no rating'),
        (small_table(rating=['3', 'inf', '5']), "'inf'"),
        (small_table(item=['x', 'x', 'x']), "duplicates='last'"),
        (small_table()[:0], 'no ratings'),
        (small_table().rename(columns={'item': 'thing'}), 'item='),
    ],
    ids=['user', 'word', 'no rating', 'inf', 'duplicates', 'empty', 'columns'],
)
def test_invalid_tables_are_refused(cluster, tmp_path, table, message):
    table.to_csv(tmp_path / 'a.csv', index=False)
    with pytest.raises(RatingsError, match=message):
        fit_spark(tmp_path / 'a.csv', cluster)


@pytest.mark.parametrize(
    'duplicates, expected', [('last', [1, 2, 3]), ('mean', [2, 2.5, 3])]
)
def test_duplicates(cluster, tmp_path, duplicates, expected):
    table = pd.DataFrame(
        {
            'user': [1, 1, 2, 2],
            'item': [5, 5, 5, 6],
            'rating': [1, 4, 2, 3],
            # as text, the second would come after the first
            'timestamp': [1000000000, 999999999, 5, 5],
        }
    )
    table.to_csv(tmp_path / 'a.csv', index=False)
    settings = dict(n_factors=2, n_blocks=2, n_iterations=2, duplicates=duplicates)
    model = fit_spark(tmp_path / 'a.csv', cluster, **settings)
    assert sorted(model.rated.toArrow().to_pandas().rating) == expected


def test_missing_files_and_models(cluster, tmp_path):
    with pytest.raises(RatingsError, match='nowhere'):
        fit_spark(tmp_path / 'nowhere.csv', cluster)
    with pytest.raises(RatingsError, match='no complete model'):
        load_spark(tmp_path / 'nowhere', cluster)


def test_without_java(monkeypatch):
    def none():
        return None

    monkeypatch.setattr('pyspark.sql.SparkSession.getActiveSession', none)
    monkeypatch.delenv('JAVA_HOME', raising=False)
    monkeypatch.setenv('PATH', '/nowhere')
    with pytest.raises(SparkError, match='Java 17'):
        get_spark()
    monkeypatch.setenv('JAVA_HOME', '/nowhere')
    with pytest.raises(SparkError, match='/nowhere'):
        get_spark()


def test_a_master_and_two_workers(cluster, fold, tmp_path):
    assert cluster.sparkContext.master.startswith('spark://127.0.0.1:')
    assert len(executors(cluster)) == 2
    ratings = fold.train.take(slice(0, 20_000))
    path = tmp_path / 'train.parquet'
    ratings.to_frame().to_parquet(path)
    model = fit_spark(path, cluster, n_factors=8, n_blocks=2, n_iterations=3)
    n_users = len(np.unique(ratings.user_ix))
    assert f'8 factors for {n_users:,} users' in str(model.factors)
    assert model.recommend(3).count() == 3 * n_users


WITH_DEFAULTS = """
import json, sys
from mf_movielens.spark import fit_spark, get_spark

spark = get_spark('local[1]', **json.loads(sys.argv[2]))
names = 'spark.sql.adaptive.enabled', 'spark.sql.codegen.wholeStage'
print(*map(spark.conf.get, names))
model = fit_spark(sys.argv[1], n_factors=2, n_blocks=1, n_iterations=2)
lists = model.recommend(2).toArrow().to_pandas()
recommender = model.recommender()
for user, list_ in lists.groupby('user'):
    expected = recommender.recommend(user, 2).item.tolist()
    assert list_.sort_values('rank').item.tolist() == expected
print(lists.user.nunique())
"""


def test_plans_of_a_session_with_default_settings(tmp_path):
    # The cluster above plans more simply, which is quicker for small tables.
    quick_java = json.dumps({'spark.driver.extraJavaOptions': JAVA_OPTIONS})
    rng = np.random.default_rng(0)
    user, item = np.nonzero(rng.random((12, 9)) < 0.5)
    frame = pd.DataFrame({'user': user, 'item': item, 'rating': 1 + (user + item) % 5})
    frame.to_csv(tmp_path / 'ratings.csv', index=False)
    run = subprocess.run(
        [sys.executable, '-c', WITH_DEFAULTS, tmp_path / 'ratings.csv', quick_java],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ['true', 'true', str(frame.user.nunique())]
