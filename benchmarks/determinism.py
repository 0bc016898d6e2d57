"""Measure where the same seed gives the same bits.

Twice in one process, in two processes, and with one thread and two:
`python benchmarks/determinism.py` takes a minute or two.
"""

import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from commit import commit

RESULTS = Path(__file__).resolve().parent.parent / 'mf_movielens' / 'results'
THREADS = 'OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS'


def arrays(model):
    "The numbers of a fit, by name."
    named = model.to_arrays().items()
    return {name: array for name, array in named if array.dtype.kind in 'if'}


def columns_of(ratings):
    names = 'user_ix', 'item_ix', 'rating', 'timestamp'
    return {name: getattr(ratings, name) for name in names}


def fits_of(train, n_threads):
    "Functions that fit a model each, by the name of the model."
    from mf_movielens.als import fit_als
    from mf_movielens.baselines import damped_biases, popularity
    from mf_movielens.bayes import fit_bayes
    from mf_movielens.ease import fit_ease
    from mf_movielens.ials import fit_ials
    from mf_movielens.item_knn import fit_item_knn
    from mf_movielens.training import RECIPES, train_net

    in_threads = dict(n_threads=n_threads, progress=False)
    few_samples = dict(
        n_factors=8,
        n_burn_in=1,
        n_samples=11,
        n_kept_samples=4,
        **in_threads,
    )
    short = replace(RECIPES['tuned'], n_iterations=3)
    return {
        'popularity': lambda: popularity(train),
        'damped biases': lambda: damped_biases(train),
        'EASE': lambda: fit_ease(train),
        'nearest neighbors': lambda: fit_item_knn(train),
        'iALS': lambda: fit_ials(train, **in_threads),
        'ALS': lambda: fit_als(train, **in_threads),
        'bayes': lambda: fit_bayes(train, **few_samples),
        'bayes, normal': lambda: fit_bayes(train, likelihood='normal', **few_samples),
        'keras': lambda: train_net(train, short).factors,
    }


def makers(n_threads, n):
    "What is made, by name, of the first n ratings: a function that gives its arrays."
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(n_threads)
    tf.config.threading.set_inter_op_parallelism_threads(n_threads)
    from mf_movielens.data import synthetic
    from mf_movielens.encoding import Ratings
    from mf_movielens.splits import random_split

    ratings = Ratings.from_frame(synthetic().ratings.head(n))
    train, test = random_split(ratings)

    def numbers_of(fit):
        model = fit()
        predictions = model.predict(test.user_ix, test.item_ix)
        return arrays(model) | {'predictions': predictions}

    def parts_of_a_split():
        named = zip(('train', 'test'), random_split(ratings))
        return {
            f'{part}_{name}': column
            for part, r in named
            for name, column in columns_of(r).items()
        }

    made = {
        'synthetic': lambda: columns_of(Ratings.from_frame(synthetic().ratings)),
        'random_split': parts_of_a_split,
    }
    fits = fits_of(train, n_threads)
    return made | {name: partial(numbers_of, fit) for name, fit in fits.items()}


def difference(first, second):
    """'same bits', or the largest difference.

    It is relative to the largest number of its array.
    """
    if all(np.array_equal(first[name], second[name]) for name in first):
        return 'same bits'
    relative = []
    for name, array in first.items():
        largest = max(np.abs(array).max(), 1e-30)
        change = np.abs(np.asarray(array, float) - second[name]).max()
        relative.append(change / largest)
    return f'{max(relative):.0e}'


def child(folder, n_threads, n_times, n):
    "Make everything in this process, so many times, and keep it."
    for name, make in makers(n_threads, n).items():
        for time in range(n_times):
            np.savez(f'{folder}/{name}-{time}.npz', **make())


def fresh(folder, n_threads, n_times, n=100_000):
    "The same in a process of its own."
    folder.mkdir()
    settings = dict.fromkeys(THREADS, str(n_threads))
    settings |= {'CUDA_VISIBLE_DEVICES': '', 'TF_CPP_MIN_LOG_LEVEL': '3'}
    words = folder, n_threads, n_times, n
    subprocess.run(
        [sys.executable, __file__, *map(str, words)],
        check=True,
        env=os.environ | settings,
    )


def opened(path):
    with np.load(path) as z:
        return {name: z[name] for name in z.files}


def compare(folder):
    "A row for each thing that was made, with the differences between its makings."
    here, there, alone = (folder / name for name in ('here', 'there', 'alone'))
    for place, n_threads, n_times in ((here, 2, 2), (there, 2, 1), (alone, 1, 1)):
        fresh(place, n_threads, n_times)
    rows = []
    for path in sorted(here.glob('*-0.npz'), key=lambda path: path.stat().st_mtime):
        name, first = path.stem.removesuffix('-0'), opened(path)
        others = {
            'in_one_process': opened(here / f'{name}-1.npz'),
            'in_two_processes': opened(there / path.name),
            'threads_1_and_2': opened(alone / path.name),
        }
        row = {what: difference(first, other) for what, other in others.items()}
        rows.append({'what': name} | row)
        print(rows[-1], flush=True)
        if 'predictions' in first:
            for what, other in others.items():
                change = np.abs(first['predictions'] - other['predictions']).max()
                print(f'  {what}: predictions differ by at most {change:.1g}')
    return pd.DataFrame(rows)


def main():
    with tempfile.TemporaryDirectory() as folder:
        table = compare(Path(folder)).assign(commit=commit())
        table.to_csv(RESULTS / 'determinism.csv', index=False)


if __name__ == '__main__':
    if len(sys.argv) > 1:
        child(sys.argv[1], *map(int, sys.argv[2:]))
    else:
        main()
