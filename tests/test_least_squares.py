"The least-squares engine against dense solutions, and the log of a fit."

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from mf_movielens.encoding import build_csr
from mf_movielens.factors import Factors
from mf_movielens.least_squares import (
    FitLog,
    Regularization,
    conjugate_gradients,
    length_buckets,
    refit_rows,
    solve_exactly,
    worker_threads,
)


def drawn(seed, n_rows, n_columns, k):
    "Which cells are filled, their targets as a sparse table, and the other table."
    rng = np.random.default_rng(seed)
    is_filled = rng.random((n_rows, n_columns)) < rng.random((n_rows, 1))
    row, column = (ix.astype('int32') for ix in np.nonzero(is_filled))
    values = rng.normal(size=len(row)).astype('float32')
    targets = build_csr(row, column, values, is_filled.shape)
    other = rng.normal(size=(n_columns, k)).astype('float32')
    return is_filled, targets, other


WEIGHTS = st.one_of(
    st.builds(Regularization, st.floats(0.01, 2), st.floats(0, 3)),
    st.builds(
        Regularization, st.floats(0.01, 2), st.floats(0, 3), bias_reg=st.floats(0.01, 2)
    ),
    st.builds(
        Regularization, st.floats(0.01, 2), st.floats(0, 3), alpha=st.floats(0.01, 2)
    ),
)


def dense_row(is_filled, y, other, weights):
    "One regularized regression in double precision, cell by cell."
    k = other.shape[1]
    matrix, right = np.zeros((k, k)), np.zeros(k)
    n = is_filled.sum()
    diagonal = np.full(k, weights.reg * n + weights.damping)
    if weights.bias_reg is not None:
        diagonal[-1] = weights.bias_reg * n + weights.damping
    for j, vector in enumerate(other.astype('float64')):
        x, target = vector.copy(), y[j]
        if weights.bias_reg is not None:
            x[-1] = 1
            target = target - vector[-1]
        if weights.alpha is not None:
            matrix += weights.alpha * np.outer(x, x)
        if is_filled[j]:
            matrix += np.outer(x, x)
            right += target * x
    return np.linalg.solve(matrix + np.diag(diagonal), right)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 9), WEIGHTS)
def test_rows_are_refitted_as_by_dense_regressions(seed, n_rows, n_columns, weights):
    is_filled, targets, other = drawn(seed, n_rows, n_columns, 3)
    before = np.full((n_rows, 3), 7, 'float32')
    exact, near = before.copy(), before.copy()
    refit_rows(exact, targets, other, weights, n_steps=None)
    refit_rows(near, targets, other, weights, n_steps=30)
    for row, y in enumerate(targets.toarray()):
        if not is_filled[row].any():
            assert (exact[row] == 7).all()
            continue
        expected = dense_row(is_filled[row], y, other, weights)
        assert np.allclose(exact[row], expected, rtol=1e-2, atol=1e-3)
        assert np.allclose(near[row], expected, rtol=1e-2, atol=1e-3)


def test_threads_do_not_change_a_bit():
    _, targets, other = drawn(0, 300, 200, 8)
    weights = Regularization(0.1, 1, alpha=0.3)
    tables = []
    for n_threads in (None, 1, 3):
        table = np.zeros((300, 8), 'float32')
        with worker_threads(n_threads) as threads:
            refit_rows(table, targets, other, weights, threads=threads)
        tables.append(table)
    alone = np.zeros((300, 8), 'float32')
    with worker_threads(1):
        refit_rows(alone, targets, other, weights)
    assert all((table == alone).all() for table in tables)


@given(
    st.lists(st.integers(0, 50), min_size=1, max_size=60),
    st.sampled_from([1, 8, 64, 1_000, 100_000, 10**7]),
)
def test_buckets_hold_each_filled_row_once_and_are_not_too_large(lengths, n_columns):
    lengths = np.array(lengths)
    buckets = length_buckets(np.concatenate([[0], lengths.cumsum()]), n_columns)
    rows = np.concatenate(buckets) if buckets else np.zeros(0, int)
    assert sorted(rows) == np.flatnonzero(lengths).tolist()
    assert (np.diff(lengths[rows]) <= 0).all()
    for rows in buckets:
        n_numbers = len(rows) * lengths[rows].max() * n_columns
        assert len(rows) == 1 or n_numbers <= 2**20
        assert len(rows) == 1 or len(rows) * n_columns**2 <= 2**24


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 8), st.booleans())
def test_conjugate_gradients_approach_the_exact_solution(seed, k, has_gram):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(4, 12, k)), rng.normal(size=(4, 12))
    diagonal = rng.uniform(0.5, 3, (4, k))
    gram = x[0].T @ x[0] if has_gram else None
    exact = solve_exactly(x, y, diagonal, gram)
    start = rng.normal(size=(4, k))
    assert conjugate_gradients(x, y, diagonal, start, gram, 0) is start

    def objective(solution):
        "Which conjugate gradients make smaller with each step."
        error = ((np.einsum('nlk,nk->nl', x, solution) - y) ** 2).sum()
        total = error + (diagonal * solution**2).sum()
        if has_gram:
            total += np.einsum('nk,kj,nj->', solution, gram, solution)
        return total

    steps = [
        conjugate_gradients(x, y, diagonal, start, gram, n_steps)
        for n_steps in range(k + 1)
    ]
    sums = [objective(solution) for solution in steps]
    assert all(after <= before + 1e-9 for before, after in pairwise(sums))
    assert np.allclose(steps[-1], exact, atol=1e-6)


def test_a_regression_without_a_unique_solution_is_refused():
    with pytest.raises(FloatingPointError, match='a larger reg or damping'):
        solve_exactly(np.zeros((1, 2, 2)), np.ones((1, 2)), np.zeros((1, 1)))


@pytest.mark.parametrize('name', ['reg', 'damping', 'bias_reg', 'alpha'])
def test_regularization_is_finite_and_not_negative(name):
    for value in (-1, np.inf, np.nan, 'x'):
        with pytest.raises(ValueError, match=f'{name}='):
            Regularization(**{'reg': 1, 'damping': 1, name: value})


def factors_with(weights, link='identity'):
    tables = np.zeros(2), np.zeros(3), np.zeros((2, 1)), np.ones((3, 1))
    return Factors(3.0, *tables, (1, 5), link, weights)


@pytest.mark.parametrize(
    'weights, link',
    [
        (None, 'identity'),
        (Regularization(0.08, 4, bias_reg=0.02), 'identity'),
        (Regularization(0.08, 0, bias_reg=0.02), 'sigmoid'),
        (Regularization(0.02, 4, alpha=0.4), 'score'),
    ],
)
def test_factors_keep_their_regularization_in_a_file(tmp_path, weights, link):
    factors = factors_with(weights, link)
    assert Factors.load(factors.save(tmp_path / 'f.npz')).regularization == weights
    arrays = factors.to_arrays()
    assert Factors.from_arrays(arrays).regularization == weights
    assert len(arrays) == 7 + (weights is not None) * 3


@pytest.mark.parametrize(
    'weights, link',
    [
        (Regularization(1, 1), 'identity'),
        (Regularization(1, 1, alpha=1), 'identity'),
        (Regularization(1, 1, alpha=1), 'sigmoid'),
        (Regularization(1, 1, bias_reg=1), 'score'),
    ],
)
def test_factors_refuse_the_regularization_of_another_kind_of_fit(weights, link):
    with pytest.raises(ValueError, match='needs one with'):
        factors_with(weights, link)


def test_histories_that_cannot_be_folded_in_are_refused():
    factors = factors_with(Regularization(0.08, 4, bias_reg=0.02))
    user, item = np.zeros(1, 'int32'), np.ones(1, 'int32')
    good = build_csr(user, item, np.ones(1), (2, 3))
    assert factors.fold_in(good).shape == (2, 3)
    assert (
        factors.fold_in(build_csr(user[:0], item[:0], item[:0], (0, 3))).shape[0] == 0
    )
    for value in (np.nan, np.inf, 1e300):
        bad = good.astype('float64')
        bad.data[:] = value
        with pytest.raises(ValueError, match='1 ratings are not finite'):
            factors.fold_in(bad)
    with pytest.raises(ValueError, match='4 columns for 3 items'):
        factors.fold_in(build_csr(user, item, np.ones(1), (1, 4)))
    with pytest.raises(ValueError, match='regularization of the fit'):
        replace(factors, regularization=None).fold_in(good)


@given(
    st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4]), min_size=1, max_size=12),
    st.integers(1, 4),
    st.booleans(),
)
def test_patience_ends_a_fit_and_keeps_its_best_items(values, patience, larger):
    log = FitLog(np.zeros((1, 1)), np.zeros((1, 1)), 'x', larger, patience)
    made = []
    for value in values:
        if log.is_finished(len(values)):
            break
        log.item_table[:] = value
        log.add({'x': value})
        made.append(value)
    best = int(np.argmax(made) if larger else np.argmin(made))
    assert log.n_since_best == len(made) - 1 - best <= patience
    assert len(made) == len(values) or len(made) == best + 1 + patience
    log.restore_best()
    assert log.item_table[0, 0] == made[best]


def test_a_checkpoint_is_continued_with_tables_records_and_the_best(tmp_path):
    path = tmp_path / 'fit.npz'

    def new_log(key='key', n_iterations=9, patience=2):
        log = FitLog(np.zeros((2, 1)), np.zeros((3, 1)), 'x', patience=patience)
        log.use_checkpoint(path, key, n_iterations)
        return log

    log = new_log()
    for value in (3.0, 1.0, 2.0):
        log.user_table[:] = log.item_table[:] = value
        log.add({'iteration': len(log.records) + 1, 'x': value})
    again = new_log()
    assert again.records == log.records
    assert (again.user_table == 2).all()
    assert (again.item_table == 2).all()
    again.restore_best()
    assert (again.item_table == 1).all()
    with pytest.raises(ValueError, match='3 iterations, more than the 2'):
        new_log(n_iterations=2)
    with pytest.raises(ValueError, match='another fit'):
        new_log(key='another')
