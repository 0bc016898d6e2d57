"Training that is killed, and models that are opened elsewhere."

import json, subprocess, sys

import numpy as np
import pytest

CHILD = """
import sys, time
from dataclasses import replace
from mf_movielens.data import synthetic
from mf_movielens.encoding import Ratings
from mf_movielens.training import RECIPES, train_net
ratings = Ratings.from_frame(synthetic().ratings.head(20_000))
checkpoint, out = sys.argv[1:]
recipe = replace(RECIPES['tuned'], n_factors=8, n_iterations=12)
fit = train_net(ratings, recipe, checkpoint=checkpoint if checkpoint != '-' else None, on_iteration=lambda record: time.sleep(.1))
fit.factors.save(out)
print(len(fit.history))
"""


def start(*words):
    return subprocess.Popen(
        [sys.executable, '-c', CHILD, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_killed_and_resumed_is_as_if_nothing_had_happened(tmp_path, kill_and_resume):
    checkpoint, out, whole = (
        tmp_path / 'fit.npz',
        tmp_path / 'resumed.npz',
        tmp_path / 'whole.npz',
    )
    kill_and_resume(start, checkpoint, out)
    p = start('-', whole)
    assert p.communicate(timeout=120)[0].strip() == '12'
    with np.load(out) as a, np.load(whole) as b:
        assert all(
            np.allclose(a[k], b[k], atol=1e-5)
            for k in ('mu', 'user_bias', 'item_bias', 'user_factors', 'item_factors')
        )


def test_the_network_opens_in_a_fresh_process(tmp_path):
    import keras
    from mf_movielens.model import RecommenderNet

    net = RecommenderNet(30, 20, 5, mean=3.5, link='sigmoid')
    pairs = np.stack([np.arange(20), np.arange(20)], 1)
    net.save(tmp_path / 'net.keras')
    words = (
        'import sys, json, keras, numpy as np, mf_movielens.model\n'
        'net = keras.saving.load_model(sys.argv[1])\n'
        'print(json.dumps(np.array(net(np.stack([np.arange(20)] * 2, 1)).numpy()).tolist()))'
    )
    said = subprocess.run(
        [sys.executable, '-c', words, str(tmp_path / 'net.keras')],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert np.array_equal(np.array(json.loads(said), 'float32'), net(pairs).numpy())


def test_factors_load_without_tensorflow_and_pandas(tmp_path):
    from mf_movielens.factors import Factors

    rng = np.random.default_rng(0)
    f = Factors(
        3.5,
        rng.normal(size=943),
        rng.normal(size=1682),
        rng.normal(size=(943, 75)),
        rng.normal(size=(1682, 75)),
        (1, 5),
    )
    f.save(tmp_path / 'f.npz')
    words = (
        'import sys\nfrom mf_movielens.factors import Factors\n'
        'Factors.load(sys.argv[1]).predict([0], [0])\n'
        'print("tensorflow" in sys.modules, "pandas" in sys.modules)'
    )
    loaded = subprocess.run(
        [sys.executable, '-c', words, str(tmp_path / 'f.npz')],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert loaded == ['False', 'False']


def test_a_foreign_file_is_refused(tmp_path):
    from mf_movielens.factors import Factors

    for content in (b'', b'PK', b'not at all', b'\x80\x04.'):
        (tmp_path / 'f.npz').write_bytes(content)
        with pytest.raises(ValueError, match='f.npz'):
            Factors.load(tmp_path / 'f.npz')
