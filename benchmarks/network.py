"""Measure the network with its tuned settings, and write network.csv.

`python benchmarks/network.py` trains it on the random split of MovieLens 100K with
three seeds. The chapter on training shows one of these fits.
"""

from __future__ import annotations

import os

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

import pandas as pd
from benchmark_data import load_movielens
from commit import commit
from run import RESULTS, date_and_machine, save_table

from mf_movielens.metrics import rmse
from mf_movielens.splits import random_split
from mf_movielens.training import train_net

SEEDS = range(3)


def measure() -> pd.DataFrame:
    """One row for each seed."""
    _, ratings = load_movielens()
    train, test = random_split(ratings)
    rows = []
    for seed in SEEDS:
        factors = train_net(train, seed=seed).factors
        predictions = factors.predict(test.user_ix, test.item_ix)
        rows.append(dict(seed=seed, rmse=rmse(test.rating, predictions)))
        print(rows[-1], flush=True)
    return pd.DataFrame(rows).assign(**date_and_machine(), commit=commit())


if __name__ == '__main__':
    save_table(RESULTS / 'network.csv', measure())
