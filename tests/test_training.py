"""Training that is killed, and models that are opened elsewhere."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mf_movielens.encoding import Ratings, RatingsError, keep_stars
from mf_movielens.factors import Factors

TRAIN = """
import time
from dataclasses import replace
from pathlib import Path
from mf_movielens.data import synthetic
from mf_movielens.encoding import Ratings
from mf_movielens.training import RECIPES, train_net

ratings = Ratings.from_frame(synthetic().ratings.head(20_000))
recipe = replace(RECIPES['tuned'], n_factors=8, n_iterations=12)

def wait(record):
    time.sleep(.1)

def work(checkpoint, out):
    fit = train_net(
        ratings,
        recipe,
        checkpoint=checkpoint if checkpoint != '-' else None,
        on_iteration=wait,
    )
    fit.factors.save(out)
    Path(out + '.epochs').write_text(str(len(fit.history)))
"""

OPEN_NETWORK = """
import sys, json, keras, numpy as np, mf_movielens.model
net = keras.saving.load_model(sys.argv[1])
pairs = np.stack([np.arange(20)] * 2, 1)
print(json.dumps(np.array(net(pairs).numpy()).tolist()))
"""

OPEN_FACTORS = """
import sys
from mf_movielens.factors import Factors
Factors.load(sys.argv[1]).predict([0], [0])
print("tensorflow" in sys.modules, "pandas" in sys.modules)
"""


def output_of(program, *words):
    """What a program prints in a fresh process."""
    return subprocess.run(
        [sys.executable, '-c', program, *map(str, words)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_killed_and_resumed_training_gives_the_same_factors(tmp_path, kill_and_resume):
    resumed, uninterrupted = tmp_path / 'resumed.npz', tmp_path / 'whole.npz'
    kill_and_resume(TRAIN, tmp_path / 'fit.npz', uninterrupted, resumed)
    assert Path(f'{uninterrupted}.epochs').read_text() == '12'
    with np.load(resumed) as a, np.load(uninterrupted) as b:
        for name in ('mu', 'user_bias', 'item_bias', 'user_factors', 'item_factors'):
            assert np.allclose(a[name], b[name], atol=1e-5), name


def test_interrupted_training_keeps_the_best_of_its_last_epoch(tmp_path):
    """The better the fit, the worse the validation: the first epoch is the best."""
    from mf_movielens.training import Recipe, train_net

    rng = np.random.default_rng(0)
    user, item = np.nonzero(rng.random((20, 15)) < 0.6)
    frame = pd.DataFrame({'user': user, 'item': item})
    frame['rating'] = rng.integers(1, 6, len(user))
    train = Ratings.from_frame(frame, scale=(1, 5))
    recipe = Recipe(n_factors=2, learning_rate=0.05, n_iterations=4)
    how = {'recipe': recipe, 'valid': replace(train, rating=6 - train.rating)}
    whole = train_net(train, patience=2, **how)
    assert np.argmin([record['val_rmse'] for record in whole.records]) == 0

    def interrupt(record):
        raise InterruptedError

    how |= {'patience': 2, 'checkpoint': tmp_path / 'run.npz'}
    with pytest.raises(InterruptedError):
        train_net(train, on_iteration=interrupt, **how)
    resumed = train_net(train, **how)
    for name in ('item_bias', 'user_factors'):
        found, expected = (getattr(run.factors, name) for run in (resumed, whole))
        assert np.allclose(found, expected), name


def test_pairs_without_stars_are_left_out(tmp_path):
    """In memory and from shards; counts are refused."""
    pytest.importorskip('pyarrow')
    from mf_movielens.shards import write_shards
    from mf_movielens.training import RECIPES, train_net

    rng = np.random.default_rng(0)
    frame = pd.DataFrame({'user': np.repeat(range(40), 10), 'item': [*range(10)] * 40})
    frame['rating'] = rng.integers(1, 6, 400)
    frame.loc[rng.random(400) < 0.3, 'rating'] = -1
    ratings = Ratings.from_frame(frame, scale=(1, 5), missing=-1)
    stars = keep_stars(ratings)
    recipe = replace(RECIPES['tuned'], n_iterations=3, n_factors=2, batch_size=2**10)
    shards = write_shards(ratings, tmp_path / 's', seed=0)
    alone, filtered, streamed = (
        train_net(source, recipe) for source in (stars, ratings, shards)
    )
    assert np.array_equal(alone.factors.user_factors, filtered.factors.user_factors)
    # One batch an epoch: the order does not matter.
    assert np.allclose(alone.factors.user_bias, streamed.factors.user_bias, atol=1e-5)
    counts = Ratings.from_frame(frame, kind='counts', negative='drop')
    for source in (counts, write_shards(counts, tmp_path / 'c', seed=0)):
        with pytest.raises(RatingsError, match="kind='stars'"):
            train_net(source, recipe)


def test_training_is_validated_by_stars_alone():
    from mf_movielens.training import Recipe, train_net

    rng = np.random.default_rng(0)
    user, item = np.nonzero(rng.random((20, 15)) < 0.6)
    frame = pd.DataFrame({'user': user, 'item': item})
    frame['rating'] = rng.choice([-1, 2, 4], len(frame))
    ratings = Ratings.from_frame(frame, scale=(1, 5), missing=-1)
    recipe = Recipe(n_factors=2, n_iterations=1)
    runs = [
        train_net(ratings, recipe, valid) for valid in (ratings, keep_stars(ratings))
    ]
    first, second = (run.records[-1]['val_rmse'] for run in runs)
    assert first == second


def test_the_network_opens_in_a_fresh_process(tmp_path):
    from mf_movielens.model import RecommenderNet

    net = RecommenderNet(30, 20, 5, mean=3.5, link='sigmoid')
    pairs = np.stack([np.arange(20), np.arange(20)], 1)
    net.save(tmp_path / 'net.keras')
    outputs = json.loads(output_of(OPEN_NETWORK, tmp_path / 'net.keras'))
    assert np.array_equal(np.array(outputs, 'float32'), net(pairs).numpy())


def test_users_and_items_start_from_different_numbers():
    from mf_movielens.model import RecommenderNet

    net = RecommenderNet(6, 6, 3, seed=5)
    tables = net.user_embedding, net.item_embedding
    users, items = (table.embeddings.numpy() for table in tables)
    assert not np.allclose(users, items)


def test_factors_load_without_tensorflow_and_pandas(tmp_path):
    rng = np.random.default_rng(0)
    factors = Factors(
        3.5,
        rng.normal(size=943),
        rng.normal(size=1682),
        rng.normal(size=(943, 75)),
        rng.normal(size=(1682, 75)),
        (1, 5),
    )
    factors.save(tmp_path / 'f.npz')
    loaded = output_of(OPEN_FACTORS, tmp_path / 'f.npz').split()
    assert loaded == ['False', 'False']


@pytest.mark.parametrize('content', [b'', b'PK', b'not at all', b'\x80\x04.'])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / 'f.npz').write_bytes(content)
    with pytest.raises(ValueError, match='f.npz'):
        Factors.load(tmp_path / 'f.npz')


def test_weights_are_penalized_in_training_alone():
    import keras

    from mf_movielens.model import RecommenderNet

    net = RecommenderNet(3, 3, 2, mean=3.0, reg=0.5, bias_reg=0.25)
    net.set_weights([np.full_like(weights, 0.5) for weights in net.get_weights()])
    pairs, rating = np.array([[0, 1], [2, 2]]), np.array([1.0, 5.0], 'float32')
    net.compile(keras.optimizers.SGD(0.0), 'mse')
    plain = np.mean((rating - np.asarray(net(pairs))) ** 2)
    assert np.isclose(net.evaluate(pairs, rating, verbose=0), plain, rtol=1e-5)
    # Each rating has four factors of its two rows, and two biases.
    penalty = 4 * 0.5 * 0.5**2 + 2 * 0.25 * 0.5**2
    penalized = net.fit(pairs, rating, verbose=0).history['loss'][0]
    assert np.isclose(penalized, plain + penalty, rtol=1e-5)


def test_errors_are_reported_on_the_scale_of_the_ratings():
    from mf_movielens.data import synthetic
    from mf_movielens.solvers import fit_keras

    ratings = Ratings.from_frame(synthetic().ratings.head(5_000))
    percent = replace(ratings, rating=20 * ratings.rating, scale=(20, 100))
    reports = {}
    for name, rows in (('stars', ratings), ('percent', percent)):
        records = reports[name] = []
        fit_keras(
            rows, n_factors=2, n_iterations=2, valid=rows, on_iteration=records.append
        )
    errors = [key for key in reports['stars'][-1] if 'rmse' in key]
    assert errors
    for stars, hundred in zip(reports['stars'], reports['percent'], strict=True):
        for key in errors:
            assert hundred[key] == pytest.approx(20 * stars[key], rel=1e-3)
