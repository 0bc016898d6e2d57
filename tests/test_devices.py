"The example of many devices, in two processes."

import socket, subprocess, sys
from pathlib import Path

import pytest

pytest.importorskip('pyarrow')
from mf_movielens.data import load
from mf_movielens.encoding import Ratings
from mf_movielens.factors import Factors
from mf_movielens.metrics import rmse
from mf_movielens.shards import write_shards
from mf_movielens.splits import random_split
from mf_movielens.training import train_net

SCRIPT = Path(__file__).resolve().parent.parent / 'docs/devices.py'


def test_two_processes_train_one_network(tmp_path):
    ml = load()
    train, test = random_split(Ratings.from_frame(ml.ratings))
    write_shards(
        train, tmp_path / 'shards', shard_size=10_000, seed=0
    )  # nine files, so that they change hands
    sockets = [socket.create_server(('127.0.0.1', 0)) for _ in range(2)]
    places = [f'127.0.0.1:{s.getsockname()[1]}' for s in sockets]
    for s in sockets:
        s.close()
    both = [
        subprocess.Popen(
            [
                sys.executable,
                SCRIPT,
                tmp_path / 'shards',
                tmp_path / 'out.npz',
                str(rank),
                *places,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = [p.communicate(timeout=400) for p in both]
    assert [p.returncode for p in both] == [0, 0], said[0][1][-2000:]
    last = [out.strip().splitlines()[-1].split(': ')[1] for out, _ in said]
    assert last[0] == last[1]
    error = lambda f: rmse(test.rating, f.predict(test.user_ix, test.item_ix))
    found, alone = (
        error(Factors.load(tmp_path / 'out.npz')),
        error(train_net(train).factors),
    )
    print(f'two processes {found:.4f}, one {alone:.4f}')
    assert abs(found - alone) < 0.005
