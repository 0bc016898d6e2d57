"The same seed gives the same bits: twice in one process, and in two."

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parent.parent
MADE = [
    'synthetic',
    'random_split',
    'popularity',
    'damped biases',
    'EASE',
    'nearest neighbors',
    'iALS',
    'ALS',
    'bayes',
    'bayes, normal',
    'keras',
]


@pytest.fixture(scope='module')
def determinism():
    sys.path.insert(0, str(ROOT / 'benchmarks'))
    try:
        import determinism
    finally:
        sys.path.pop(0)
    return determinism


@pytest.fixture(scope='module')
def made(determinism, tmp_path_factory):
    "Folders of two processes; the first made everything twice."
    folders = [tmp_path_factory.mktemp('made') / 'kept' for _ in range(2)]
    for folder, times in zip(folders, (2, 1)):
        determinism.fresh(folder, 2, times, 4_000)
    return folders


@pytest.mark.parametrize('name', MADE)
def test_the_same_seed_gives_the_same_bits(name, determinism, made):
    first, again, elsewhere = (
        determinism.opened(path)
        for path in (
            made[0] / f'{name}-0.npz',
            made[0] / f'{name}-1.npz',
            made[1] / f'{name}-0.npz',
        )
    )
    assert first
    assert all(np.isfinite(array).all() for array in first.values())
    assert determinism.difference(first, again) == 'same bits'
    assert determinism.difference(first, elsewhere) == 'same bits'


def test_a_difference_is_relative_to_the_largest_number(determinism):
    first, second = np.array([1.0, -4]), np.array([1.2, -4])
    assert determinism.difference({'x': first}, {'x': second}) == '5e-02'


def test_the_table_holds_everything_and_the_bits_are_the_same(determinism):
    table = pd.read_csv(determinism.RESULTS / 'determinism.csv')
    assert table.what.tolist() == MADE
    assert (table.in_one_process == 'same bits').all()
    assert (table.in_two_processes == 'same bits').all()
    assert all(x == 'same bits' or float(x) < 1e-4 for x in table.threads_1_and_2)
