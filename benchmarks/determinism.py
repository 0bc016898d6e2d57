"Measure where the same seed gives the same bits: twice in one process, in two processes, and with one thread and two; `python benchmarks/determinism.py` takes a minute or two."

import os, subprocess, sys, tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

RESULTS = Path(__file__).resolve().parent.parent / 'mf_movielens' / 'results'
THREADS = 'OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS'


def arrays(model):
    "The numbers of a fit, by name."
    from mf_movielens.factors import ARRAYS
    from mf_movielens.posterior import Posterior

    return (
        {k: v for k, v in model.to_arrays().items() if np.asarray(v).dtype.kind in 'if'}
        if isinstance(model, Posterior)
        else {k: getattr(model, k) for k in ARRAYS[:5]}
    )


def plain(ratings):
    return dict(
        user_ix=ratings.user_ix,
        item_ix=ratings.item_ix,
        rating=ratings.rating,
        timestamp=ratings.timestamp,
    )


def said(model, test):
    return model.predict(test.user_ix, test.item_ix)


def makers(threads, n):
    "What is made, by name, of the first n ratings: a function that gives its arrays."
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    from mf_movielens.als import fit_als
    from mf_movielens.baselines import damped_biases, popularity
    from mf_movielens.bayes import fit_bayes
    from mf_movielens.data import synthetic
    from mf_movielens.encoding import Ratings
    from mf_movielens.ease import fit_ease
    from mf_movielens.ials import fit_ials
    from mf_movielens.splits import random_split
    from mf_movielens.training import RECIPES, train_net

    ratings = Ratings.from_frame(synthetic().ratings.head(n))
    train, test = random_split(ratings)
    sampled = dict(
        n_factors=8,
        n_burn_in=1,
        n_samples=11,
        n_kept_samples=4,
        n_threads=threads,
        progress=False,
    )
    fits = {
        'popularity': lambda: popularity(train),
        'damped biases': lambda: damped_biases(train),
        'EASE': lambda: fit_ease(train),
        'iALS': lambda: fit_ials(train, n_threads=threads, progress=False),
        'ALS': lambda: fit_als(train, n_threads=threads, progress=False),
        'bayes': lambda: fit_bayes(train, **sampled),
        'bayes, normal': lambda: fit_bayes(train, likelihood='normal', **sampled),
        'keras': lambda: (
            train_net(train, replace(RECIPES['tuned'], n_iterations=3)).factors
        ),
    }

    def of(fit):
        model = fit()
        return arrays(model) | {'predictions': said(model, test)}

    made = {
        'synthetic': lambda: plain(Ratings.from_frame(synthetic().ratings)),
        'random_split': lambda: {
            f'{part}_{k}': v
            for part, r in zip(('train', 'test'), random_split(ratings))
            for k, v in plain(r).items()
        },
    }
    return made | {name: lambda fit=fit: of(fit) for name, fit in fits.items()}


def difference(one, two):
    "'same bits', or the greatest difference, as a part of the largest number of its array."
    if all(np.array_equal(one[k], two[k]) for k in one):
        return 'same bits'
    return f'{max(np.abs(np.asarray(one[k], float) - two[k]).max() / max(np.abs(one[k]).max(), 1e-30) for k in one):.0e}'


def child(folder, threads, times, n):
    "Make everything in this process, so many times, and keep it."
    for name, make in makers(threads, n).items():
        for time in range(times):
            np.savez(f'{folder}/{name}-{time}.npz', **make())


def fresh(folder, threads, times, n=100_000):
    "The same in a process of its own."
    folder.mkdir()
    subprocess.run(
        [sys.executable, __file__, folder, *map(str, (threads, times, n))],
        check=True,
        env=os.environ
        | dict.fromkeys(THREADS, str(threads))
        | {'CUDA_VISIBLE_DEVICES': '', 'TF_CPP_MIN_LOG_LEVEL': '3'},
    )


def opened(path):
    with np.load(path) as z:
        return {k: z[k] for k in z.files}


def main():
    with tempfile.TemporaryDirectory() as d:
        here, there, alone = (Path(d, name) for name in ('here', 'there', 'alone'))
        for folder, threads, times in ((here, 2, 2), (there, 2, 1), (alone, 1, 1)):
            fresh(folder, threads, times)
        rows = []
        for path in sorted(here.glob('*-0.npz'), key=lambda p: p.stat().st_mtime):
            name, first = path.stem.removesuffix('-0'), opened(path)
            others = dict(
                in_one_process=opened(here / f'{name}-1.npz'),
                in_two_processes=opened(there / path.name),
                threads_1_and_2=opened(alone / path.name),
            )
            rows.append(
                {'what': name}
                | {k: difference(first, other) for k, other in others.items()}
            )
            moved = {
                k: np.abs(first['predictions'] - other['predictions']).max()
                for k, other in others.items()
                if 'predictions' in first
            }
            print(
                rows[-1],
                'predictions differ by at most',
                {k: float(f'{v:.1g}') for k, v in moved.items()},
                flush=True,
            )
    pd.DataFrame(rows).to_csv(RESULTS / 'determinism.csv', index=False)


if __name__ == '__main__':
    child(sys.argv[1], *map(int, sys.argv[2:])) if len(sys.argv) > 1 else main()
