"Measure the whole way, from a file of ratings to a saved recommender, at four sizes and beside two peers; `python benchmarks/sizes.py` does everything."
import argparse, json, os, subprocess, sys, tempfile, time
from pathlib import Path

import numpy as np
import pandas as pd

from run import HERE, KEPT, RESULTS, drawn, python
from worker import load_peer

# ratings, users and films of MovieLens 100K, 1M, 10M and 25M
SIZES = {'100K': (100_000, 943, 1_682), '1M': (1_000_209, 6_040, 3_706), '10M': (10_000_054, 69_878, 10_677), '25M': (25_000_095, 162_541, 59_047)}

def made(size):
    "A file like ratings.csv of MovieLens 25M: made-up ratings, sorted by user and moment, and film numbers with gaps."
    path = KEPT / f'ratings-{size}.csv'
    if path.exists(): return path
    path.parent.mkdir(exist_ok=True)
    n, n_users, n_items = SIZES[size]
    u, i, r = drawn(n, n_users, n_items)
    rng = np.random.default_rng(1)
    film = np.sort(rng.choice(4 * n_items, n_items, replace=False)) + 1
    joined = rng.integers(789_652_009, 1_574_327_703, n_users)
    t = joined[u] + rng.integers(0, 10_000_000, len(u))
    order = np.lexsort((t, u))
    part = path.with_suffix('.part')
    pd.DataFrame({'userId': u[order] + 1, 'movieId': film[i[order]], 'rating': r[order], 'timestamp': t[order]}).to_csv(part, index=False)
    return part.rename(path)

if __name__ == '__main__': print(made(sys.argv[1]))
