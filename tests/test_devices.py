"""The example of several devices, in two processes."""

import socket
import subprocess
import sys
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


def free_addresses(n):
    """Addresses of this machine whose ports are free."""
    sockets = [socket.create_server(('127.0.0.1', 0)) for _ in range(n)]
    addresses = [f'127.0.0.1:{s.getsockname()[1]}' for s in sockets]
    for opened in sockets:
        opened.close()
    return addresses


def test_two_processes_train_one_network(tmp_path):
    ratings = Ratings.from_frame(load().ratings)
    train, test = random_split(ratings)
    # nine files, so that both processes read several in turn
    write_shards(train, tmp_path / 'shards', shard_size=10_000, seed=0)
    addresses = free_addresses(2)
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                SCRIPT,
                tmp_path / 'shards',
                tmp_path / 'out.npz',
                str(rank),
                *addresses,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    outputs = [process.communicate(timeout=400) for process in processes]
    returncodes = [process.returncode for process in processes]
    assert returncodes == [0, 0], outputs[0][1][-2000:]
    last_lines = [
        stdout.strip().splitlines()[-1].split(': ')[1] for stdout, _ in outputs
    ]
    assert last_lines[0] == last_lines[1]

    def error(factors):
        return rmse(test.rating, factors.predict(test.user_ix, test.item_ix))

    together = error(Factors.load(tmp_path / 'out.npz'))
    alone = error(train_net(train).factors)
    print(f'two processes {together:.4f}, one {alone:.4f}')
    assert abs(together - alone) < 0.005
