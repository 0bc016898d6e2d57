"Spark on this machine: real processes, which are killed, and tables that are not sound."

import os, signal, socket, subprocess, sys, threading, time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mf_movielens.spark as module
from mf_movielens.als import fit_als
from mf_movielens.baselines import damped_biases
from mf_movielens.data import load
from mf_movielens.encoding import Ratings, RatingsError
from mf_movielens.metrics import rmse
from mf_movielens.shards import shard_file, write_shards
from mf_movielens.spark import SparkError, fit_spark, get_spark, load_spark
from mf_movielens.splits import official_fold

pyspark = pytest.importorskip(
    'pyspark',
    reason='Spark is tested where pyspark is: pip install mf_movielens[spark]',
)
try:
    module.get_spark('local[1]').stop()
except SparkError as e:
    pytest.skip(f'Spark is tested where it starts: {e}', allow_module_level=True)

SMALL = {
    'spark.sql.shuffle.partitions': '4',
    'spark.executorEnv.PYTHONPATH': os.pathsep.join(sys.path),
}


@pytest.fixture(scope='module')
def fold():
    ml = load()
    return official_fold(ml, Ratings.from_frame(ml.ratings, titles=ml.titles), 'u1')


@pytest.fixture(scope='module')
def cluster(tmp_path_factory):
    "A driver and two executors, each a process of its own."
    before = os.getcwd()
    os.chdir(tmp_path_factory.mktemp('work'))  # where the workers put their folders
    spark = get_spark(
        'local-cluster[2,1,1024]', **SMALL, **{'spark.task.maxFailures': '8'}
    )
    yield spark
    spark.stop()
    os.chdir(before)


def error(fold, factors):
    return rmse(fold.test.rating, factors.predict(fold.test.user_ix, fold.test.item_ix))


def executors():
    "Process numbers of this test's executors."
    found = []
    for p in Path('/proc').iterdir():
        try:
            if (
                p.name.isdigit()
                and 'CoarseGrainedExecutorBackend' in (p / 'cmdline').read_text()
            ):
                found.append(int(p.name))
        except OSError:
            pass
    return found


@pytest.fixture(scope='module')
def fitted(cluster, fold):
    return fit_spark(fold.train, cluster, n_blocks=2)


def test_close_to_our_own_and_better_than_without_biases(cluster, fold, fitted):
    bare = fit_spark(fold.train, cluster, n_bias_iterations=0, n_blocks=2)
    found = {
        'biases, then Spark': error(fold, fitted.factors),
        'Spark alone': error(fold, bare.factors),
        'ours': error(fold, fit_als(fold.train)),
        'biases': error(fold, damped_biases(fold.train)),
    }
    print(found)
    assert (
        found['biases, then Spark'] < found['biases']
        and found['biases, then Spark'] < found['Spark alone']
        and found['biases, then Spark'] < found['ours'] + 0.02
    )


def test_an_executor_killed_in_the_middle_changes_nothing(
    cluster, fold, fitted, tmp_path
):
    before, killed, tracker = executors(), [], cluster.sparkContext.statusTracker()
    assert len(before) == 2

    def kill():
        "Wait until the least squares are under way, and then for a random moment more."
        while not any(
            'ALS' in (getattr(tracker.getStageInfo(s), 'name', '') or '')
            for s in tracker.getActiveStageIds()
        ):
            time.sleep(0.005)
        time.sleep(wait)
        if busy:
            os.kill(before[0], signal.SIGKILL)
            killed.append(before[0])

    busy, wait = [True], np.random.default_rng().uniform(0, 0.5)
    watcher = threading.Thread(target=kill, daemon=True)
    watcher.start()
    again = fit_spark(fold.train, cluster, n_blocks=2, checkpoint_dir=tmp_path / 'kept')
    busy.clear()
    watcher.join(5)
    print(f'killed {wait:.2f} s after the first stage of ALS')
    assert killed and before[0] not in executors()
    assert abs(error(fold, again.factors) - error(fold, fitted.factors)) < 1e-3
    assert (
        np.abs(
            again.factors.predict(fold.test.user_ix, fold.test.item_ix)
            - fitted.factors.predict(fold.test.user_ix, fold.test.item_ix)
        ).max()
        < 0.01
    )


def test_a_table_of_any_ids(cluster, tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            'reader': rng.choice([f'ü {j}' for j in range(30)], 500),
            'isbn': rng.choice([f'0{j}' for j in range(40)], 500),
            'stars': rng.integers(1, 11, 500) / 2,
        }
    ).drop_duplicates(['reader', 'isbn'])
    table.to_parquet(tmp_path / 'a.parquet')
    table.to_csv(tmp_path / 'a.csv', index=False)
    models = [
        fit_spark(tmp_path / name, cluster, n_factors=3, n_blocks=2, n_iterations=3)
        for name in ('a.parquet', 'a.csv')
    ]
    assert (
        models[0].ids == models[1].ids
        and set(models[0].ids[1].index) == set(table.isbn)
        and models[0].settings['low'] == 0.5
    )
    for m in models:
        assert np.allclose(
            m.factors.user_factors, models[0].factors.user_factors, atol=1e-5
        )
    lists = models[0].recommend(4).toArrow().to_pandas()
    rated = set(zip(table.reader, table.isbn))
    assert (
        not rated & set(zip(lists.user, lists.item))
        and (lists.groupby('user')['rank'].max() <= 4).all()
        and lists.score.between(0.5, 5).all()
    )
    kept = load_spark(models[0].save(tmp_path / 'model'), cluster)
    assert (
        kept.ids == models[0].ids
        and kept.recommender().recommend('ü 3', 4).item.tolist()
        == lists[lists.user == 'ü 3'].sort_values('rank').item.tolist()
    )


def test_shards_and_streams(cluster, fold, fitted, tmp_path):
    shards = write_shards(fold.train, tmp_path / 's', shard_size=20_000)
    model = fit_spark(shards, cluster, n_blocks=2)
    assert abs(error(fold, model.factors) - error(fold, fitted.factors)) < 0.005
    kept = load_spark(
        model.save(tmp_path / 'm'), cluster
    )  # with the items that nobody rated in this part
    assert (
        kept.ids == model.ids
        and np.array_equal(kept.factors.item_factors, model.factors.item_factors)
        and len(kept.recommender().recommend(196)) == 10
    )
    with pytest.raises(RatingsError, match='Remove'):
        model.save(tmp_path / 'm')


def test_more_levels_than_a_scale_has(cluster, tmp_path):
    rng = np.random.default_rng(0)
    pd.DataFrame(
        {
            'user': np.repeat(np.arange(60), 30),
            'item': np.tile(np.arange(30), 60),
            'rating': np.r_[-10, 10, rng.uniform(-9, 9, 1798)].round(4),
        }
    ).to_csv(tmp_path / 'a.csv', index=False)
    assert fit_spark(
        tmp_path / 'a.csv', cluster, n_factors=2, n_blocks=2, n_iterations=2
    ).factors.scale == (-10, 10)
    with pytest.raises(RatingsError, match='scale 0 to 5'):
        fit_spark(tmp_path / 'a.csv', cluster, scale=(0, 5))
    with pytest.raises(TypeError, match='n_factor'):
        fit_spark(tmp_path / 'a.csv', cluster, n_factor=5)


def bad(**columns):
    return pd.DataFrame(
        {'user': ['a', 'a', 'b'], 'item': ['x', 'y', 'x'], 'rating': ['3', '4', '5']}
        | columns
    )


@pytest.mark.parametrize(
    'table, words',
    [
        (bad(user=['a', None, 'b']), '1 of 3 values are no id'),
        (bad(rating=['3', 'good', '5']), "'good'"),
        (bad(rating=['3', None, '5']), 'no rating'),
        (bad(rating=['3', 'inf', '5']), "'inf'"),
        (bad(item=['x', 'x', 'x']), "duplicates='last'"),
        (bad()[:0], 'no ratings'),
        (bad().rename(columns={'item': 'thing'}), 'item='),
    ],
)
def test_what_is_not_sound_is_said(cluster, tmp_path, table, words):
    table.to_csv(tmp_path / 'a.csv', index=False)
    with pytest.raises(RatingsError, match=words):
        fit_spark(tmp_path / 'a.csv', cluster)


def test_duplicates_as_asked(cluster, tmp_path):
    pd.DataFrame(
        {
            'user': [1, 1, 2, 2],
            'item': [5, 5, 5, 6],
            'rating': [1, 4, 2, 3],
            'timestamp': [1000000000, 999999999, 5, 5],
        }
    ).to_csv(tmp_path / 'a.csv', index=False)
    # and by their moments as numbers: 999999999 came before 1000000000
    last, mean = (
        fit_spark(
            tmp_path / 'a.csv',
            cluster,
            n_factors=2,
            n_blocks=2,
            n_iterations=2,
            duplicates=d,
        )
        .rated.toArrow()
        .to_pandas()
        .rating.tolist()
        for d in ('last', 'mean')
    )
    assert sorted(last) == [1, 2, 3] and sorted(mean) == [2, 2.5, 3]


def test_no_file_and_no_model(cluster, tmp_path):
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


def port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def test_a_master_and_two_workers(tmp_path, fold):
    "Standalone, as on machines of one's own: pip's Spark has no scripts for it, but the program that they call."
    tool, at, processes = Path(pyspark.__file__).parent / 'bin/spark-class', port(), []
    where = os.environ | {
        'SPARK_LOCAL_IP': '127.0.0.1',
        'SPARK_WORKER_DIR': str(tmp_path),
        'PYSPARK_PYTHON': sys.executable,
        'PYSPARK_DRIVER_PYTHON': sys.executable,
    }

    def start(*words):
        processes.append(
            subprocess.Popen(
                [tool, *map(str, words)],
                env=where,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=tmp_path,
            )
        )

    try:
        start(
            'org.apache.spark.deploy.master.Master',
            '--host',
            '127.0.0.1',
            '--port',
            at,
            '--webui-port',
            port(),
        )
        for _ in range(2):
            start(
                'org.apache.spark.deploy.worker.Worker',
                '--cores',
                1,
                '--memory',
                '1g',
                '--webui-port',
                port(),
                f'spark://127.0.0.1:{at}',
            )
        few = fold.train.take(slice(0, 20_000))
        few.to_frame().to_parquet(tmp_path / 'train.parquet')
        words = (
            'import sys; from mf_movielens.spark import fit_spark, get_spark\n'
            f's = get_spark("spark://127.0.0.1:{at}", **{{"spark.executor.memory": "512m", "spark.sql.shuffle.partitions": "4"}})\n'
            'm = fit_spark(sys.argv[1], s, n_factors=8, n_blocks=2, n_iterations=3)\nprint(m.factors, m.recommend(3).count()); s.stop()'
        )
        done = subprocess.run(
            [sys.executable, '-c', words, tmp_path / 'train.parquet'],
            env=where,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        users = len(np.unique(few.user_ix))
        assert f'8 factors for {users:,} users' in done.stdout and done.stdout.split()[
            -1
        ] == str(3 * users)
    finally:
        for p in processes:
            p.terminate()
        for p in processes:
            p.wait(20)
