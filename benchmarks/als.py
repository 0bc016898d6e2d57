"Time alternating least squares and its peers: each in its own environment, all on the same ratings, in one run."
import datetime, json, os, platform, subprocess, sys, venv
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
PEERS = {'cornac': 'cornac==3.0.1', 'lenskit': 'lenskit==2025.8.1', 'implicit': 'implicit==0.7.3', 'numba': 'numba==0.68.1'}
RUNS = [  # system, data, factors, rounds, repetitions
    *[(s, 'ml-100k', k, n, 5) for s, k, n in (('mf_movielens', 32, 10), ('mf_movielens', 64, 10), ('cornac', 50, 100), ('lenskit', 50, 10))],
    *[(s, '1M', 50, 6, 5) for s in ('mf_movielens', 'numba', 'lenskit', 'implicit', 'cornac')],
    *[(s, '10M', 50, 6, 3) for s in ('mf_movielens', 'numba', 'lenskit', 'implicit', 'cornac')]]

def drawn(n, n_users, n_items, seed=0, k=8):
    "Made-up ratings: a few people and films have most of them; half stars of a planted model with noise."
    rng = np.random.default_rng(seed)
    share = [rng.lognormal(0, s, m) for s, m in ((1.1, n_users), (1.5, n_items))]
    u, i = (rng.choice(len(p), 2 * n, p=p / p.sum()) for p in share)
    pairs = rng.permutation(np.unique(u * n_items + i))[:n]
    u, i = pairs // n_items, pairs % n_items
    P, Q = rng.normal(0, .45, (n_users, k)).astype('float32'), rng.normal(0, .45, (n_items, k)).astype('float32')
    x = 3.5 + rng.normal(0, .3, n_users)[u] + rng.normal(0, .4, n_items)[i] + np.einsum('nk,nk->n', P[u], Q[i]) + rng.normal(0, .7, len(u))
    return u, i, np.clip(np.round(2 * x) / 2, .5, 5)

def data(name):
    "The training and test ratings, as a file."
    path = HERE / '.data' / f'{name}.npz'
    if path.exists(): return path
    path.parent.mkdir(exist_ok=True)
    if name == 'ml-100k':
        from mf_movielens.data import load
        from mf_movielens.encoding import Ratings
        from mf_movielens.splits import random_split
        parts = random_split(Ratings.from_frame(load('ml-100k').ratings))
        u, i, r = (np.concatenate([getattr(p, a) for p in parts]) for a in ('user_ix', 'item_ix', 'rating'))
        n_test = len(parts.test)
    else:
        n, n_users, n_items = {'1M': (1_000_000, 6_040, 3_706), '10M': (10_000_000, 69_878, 10_677)}[name]
        u, i, r = drawn(n + n // 50, n_users, n_items)
        n_test = len(u) - n
    np.savez(path, u=u.astype('int32'), i=i.astype('int32'), r=r.astype('float32'), n_test=n_test, n_users=u.max() + 1, n_items=i.max() + 1)
    return path

def python(system):
    if system == 'mf_movielens': return sys.executable
    home = HERE / '.envs' / system
    if not home.exists():
        venv.create(home, with_pip=True)
        subprocess.run([home / 'bin/pip', 'install', '-q', PEERS[system]], check=True)
    return home / 'bin/python'

def main():
    rows = []
    for system, name, k, rounds, times in RUNS:
        path, what = data(name), [python(system), HERE / 'als_one.py', system]
        one = lambda n: json.loads(subprocess.run([*what, path, str(k), str(n)], check=True, capture_output=True, text=True,
                                                  env=os.environ | {'TF_CPP_MIN_LOG_LEVEL': '3'}).stdout.splitlines()[-1])
        runs = [(one(1), one(rounds)) for _ in range(times)]
        fits = pd.DataFrame([long for _, long in runs]).astype({"rmse": float})
        per_pass = [(long['fit_s'] - short['fit_s']) / (rounds - 1) for short, long in runs]
        middle = fits.median(numeric_only=True)
        row = dict(system=system, version=fits.version[0], data=name, factors=k, rounds=rounds, runs=times, fit_s=round(middle.fit_s, 3),
                   fit_s_min=round(fits.fit_s.min(), 3), fit_s_max=round(fits.fit_s.max(), 3), pass_s=round(float(np.median(per_pass)), 4),
                   import_s=round(middle.import_s, 2), prepare_s=round(middle.prepare_s, 2), rmse=round(middle.rmse, 4), extra_mb=round(middle.extra_mb), ratings_mb=round(middle.ratings_mb),
                   date=str(datetime.date.today()), machine=f'{platform.machine()}, {os.cpu_count()} cores')
        print(row, flush=True)
        rows.append(row)
    out = HERE.parent / 'nbs/results/als.csv'
    out.parent.mkdir(exist_ok=True)
    pd.DataFrame(rows).to_csv(out, index=False)

if __name__ == '__main__': main()
