"The least-squares engine against dense solutions, and the log of a fit."

import threading
import time
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from mf_movielens import least_squares
from mf_movielens.encoding import build_csr
from mf_movielens.factors import Factors
from mf_movielens.least_squares import (
    FitLog,
    PrincipalAxes,
    Regularization,
    half_steps,
    refit_rows,
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


def dense_row(is_filled, y, w, other, weights):
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
            matrix += w[j] * np.outer(x, x)
            right += w[j] * target * x
    return np.linalg.solve(matrix + np.diag(diagonal), right)


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 9),
    st.integers(1, 40),
    WEIGHTS,
    st.booleans(),
)
def test_rows_are_refitted_as_by_dense_regressions(
    seed, n_rows, n_columns, weights, is_weighted
):
    is_filled, targets, other = drawn(seed, n_rows, n_columns, 3)
    of_ratings = np.random.default_rng(seed).uniform(0, 3, targets.nnz)
    of_ratings = of_ratings.astype('float32') if is_weighted else None
    w = np.ones(is_filled.shape)
    if is_weighted:
        w[is_filled] = of_ratings
    before = np.full((n_rows, 3), 7, 'float32')
    exact, near = before.copy(), before.copy()
    refit_rows(exact, targets, other, weights, n_steps=None, weights=of_ratings)
    refit_rows(near, targets, other, weights, n_steps=30, weights=of_ratings)
    for row, y in enumerate(targets.toarray()):
        if not is_filled[row].any():
            assert (exact[row] == 7).all()
            assert (near[row] == 7).all()
            continue
        expected = dense_row(is_filled[row], y, w[row], other, weights)
        assert np.allclose(exact[row], expected, rtol=1e-2, atol=1e-3)
        assert np.allclose(near[row], expected, rtol=1e-2, atol=1e-3)


def test_every_row_of_a_long_table_is_refitted():
    is_filled, targets, other = drawn(0, 4_000, 60, 5)
    assert targets.nnz > 100_000
    weights = Regularization(0.1, 1, alpha=0.3)
    table = np.zeros((4_000, 5), 'float32')
    with worker_threads(2) as threads:
        refit_rows(table, targets, other, weights, None, threads)
    y = targets.toarray()
    ones = np.ones(60)
    for row in range(0, 4_000, 7):
        expected = dense_row(is_filled[row], y[row], ones, other, weights)
        assert np.allclose(table[row], expected * is_filled[row].any(), atol=1e-4)


@pytest.mark.parametrize('is_weighted', [False, True])
def test_a_row_that_does_not_fit_into_a_block_is_refitted_in_pieces(is_weighted):
    n, k = 40_001, 4
    rng = np.random.default_rng(0)
    other = rng.normal(size=(n, k)).astype('float32')
    row, column = np.repeat([0, 1], [n, 9]), np.r_[:n, :9]
    targets = build_csr(row, column, rng.normal(size=n + 9), (2, n))
    of_ratings = rng.uniform(0, 2, n + 9).astype('float32') if is_weighted else None
    weights = Regularization(0.1, 1, bias_reg=0.2)
    table = np.zeros((2, k), 'float32')
    refit_rows(table, targets, other, weights, None, weights=of_ratings)
    for r, part in enumerate((slice(n), slice(n, None))):
        x = other[column[part]].astype('float64')
        y = targets.data[part] - x[:, -1]
        x[:, -1] = 1
        w = of_ratings[part] if is_weighted else np.ones(len(y))
        diagonal = np.array([0.1, 0.1, 0.1, 0.2]) * len(y) + 1
        matrix = (x * w[:, None]).T @ x + np.diag(diagonal)
        expected = np.linalg.solve(matrix, (x * w[:, None]).T @ y)
        assert np.allclose(table[r], expected, rtol=1e-3, atol=1e-4)


def test_a_row_in_pieces_holds_nothing_of_the_row_before(monkeypatch):
    monkeypatch.setattr(least_squares, '_ROOM', 8)
    rng = np.random.default_rng(1)
    n = 30
    other = rng.normal(size=(n, 3)).astype('float32')
    rating = np.r_[np.full(5, 1e3), rng.normal(size=n)].astype('float32')
    row, column = np.repeat([0, 1], [5, n]), np.r_[:5, :n]
    both, alone = np.zeros((2, 3), 'float32'), np.zeros((1, 3), 'float32')
    for table, first in ((both, 0), (alone, 5)):
        entries = row[first:] - (first > 0), column[first:], rating[first:]
        targets = build_csr(*entries, (len(table), n))
        refit_rows(table, targets, other, Regularization(0.1, 1), None)
    assert np.allclose(both[1], alone[0], rtol=1e-3, atol=1e-5)
    assert np.abs(both[0]).max() > 20 * np.abs(both[1]).max()


def test_a_tolerance_ends_exact_refits_and_no_steps_that_are_asked_for(monkeypatch):
    _, targets, other = drawn(3, 30, 50, 6)
    tables = []
    for tolerance in (1e-12, 1e-3):
        monkeypatch.setattr(least_squares, '_TOLERANCE', tolerance)
        for n_steps in (None, 40):
            table = np.zeros((30, 6), 'float32')
            refit_rows(table, targets, other, Regularization(0.01, 0.1), n_steps)
            tables.append(table)
    exact, steps, coarse, same_steps = tables
    assert np.array_equal(steps, same_steps)
    assert np.allclose(exact, steps, atol=1e-4)
    assert 0.01 < np.abs(coarse - exact).max() < 0.5 * np.abs(exact).max()


def test_ratings_without_weight_leave_zeros():
    _, targets, other = drawn(0, 9, 20, 3)
    table = np.ones((9, 3), 'float32')
    nothing = np.zeros(targets.nnz, 'float32')
    refit_rows(table, targets, other, Regularization(0.1, 0), None, weights=nothing)
    assert not table[np.diff(targets.indptr) > 0].any()


def test_tables_that_do_not_go_together_are_refused():
    _, targets, other = drawn(0, 9, 20, 3)
    table, weights = np.zeros((9, 3), 'float32'), Regularization(0.1, 1)
    for wrong in (
        (table[:8], targets, other),
        (table, targets, other[:19]),
        (table, targets, other[:, :2]),
        (table, targets[:, :19], other),
    ):
        with pytest.raises(ValueError, match='do not go with'):
            refit_rows(*wrong, weights)
    for of_ratings in (np.ones(3), -np.ones(targets.nnz), np.full(targets.nnz, np.nan)):
        with pytest.raises(ValueError, match=f'{targets.nnz} weights'):
            refit_rows(table, targets, other, weights, weights=of_ratings)
    assert not table.any()


def test_tables_of_other_types_are_no_other_fit():
    _, targets, other = drawn(0, 30, 20, 3)
    weights = Regularization(0.1, 1, alpha=0.2)
    tables = np.zeros((2, 30, 3), 'float32')
    refit_rows(tables[0], targets, other, weights)
    wide = targets.astype('float64')
    wide.indices = wide.indices.astype('int64')
    wide.indptr = wide.indptr.astype('int64')
    refit_rows(tables[1], wide, other.astype('float64'), weights)
    assert np.allclose(*tables, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), WEIGHTS)
def test_each_step_lowers_the_objective(seed, weights):
    is_filled, targets, other = drawn(seed, 6, 30, 4)
    rows, columns = is_filled.nonzero()
    has_biases = weights.bias_reg is not None

    def objective(table):
        x = other.astype('float64').copy()
        offset = np.zeros(30)
        if has_biases:
            offset, x[:, -1] = x[:, -1].copy(), 1
        scores = table.astype('float64') @ x.T
        total = ((targets.data - offset[columns] - scores[rows, columns]) ** 2).sum()
        if weights.alpha is not None:
            total += weights.alpha * (scores[is_filled.any(1)] ** 2).sum()
        n = is_filled.sum(1)
        diagonal = np.repeat(weights.of_factors(n)[:, None], 4, axis=1)
        if has_biases:
            diagonal[:, -1] = weights.of_biases(n)
        return total + (diagonal * table**2)[is_filled.any(1)].sum()

    start = np.random.default_rng(seed).normal(size=(6, 4)).astype('float32')
    sums = [objective(start)]
    for n_steps in range(1, 8):
        table = start.copy()
        refit_rows(table, targets, other, weights, n_steps)
        sums.append(objective(table))
    assert all(after <= before * (1 + 1e-5) for before, after in pairwise(sums))
    exact = start.copy()
    refit_rows(exact, targets, other, weights, None)
    assert objective(exact) <= sums[-1] * (1 + 1e-4)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 50))
def test_principal_axes_make_the_gram_matrix_diagonal(seed, k, n):
    table = np.random.default_rng(seed).normal(size=(n, k)).astype('float32')
    principal = PrincipalAxes.of(table)
    assert np.allclose(principal.axes.T @ principal.axes, np.eye(k), atol=1e-5)
    turned = table @ principal.axes
    assert np.allclose(turned.T @ turned, np.diag(principal.sums), atol=1e-3)
    assert (np.diff(principal.sums) <= 0).all()


def test_threads_share_the_parts_and_keep_their_order():
    names = set()
    meeting = threading.Barrier(3)

    def square(x):
        names.add(threading.current_thread().name)
        if x < 3:
            # Nobody goes on before all three have come.
            meeting.wait(60)
        return x * x

    with worker_threads(3) as threads:
        assert threads.map(square, range(9)) == [x * x for x in range(9)]
        assert len(names) == 3
        assert threads.map(square, []) == []


@pytest.mark.parametrize('n_threads', [1, 3])
def test_an_error_in_a_thread_ends_the_task(n_threads):
    done = []

    def fail_at_three(x):
        if x == 3:
            raise OSError('three')
        time.sleep(0.01)
        done.append(x)

    with worker_threads(n_threads) as threads:
        with pytest.raises(OSError, match='three'):
            threads.map(fail_at_three, range(1_000))
        assert len(done) < 20
        assert threads.map(abs, [-1]) == [1]


def test_axes_that_are_known_already_change_nothing():
    _, targets, other = drawn(0, 30, 50, 4)
    weights = Regularization(0.1, 1, alpha=0.3)
    tables = np.zeros((2, 30, 4), 'float32')
    refit_rows(tables[0], targets, other, weights)
    refit_rows(tables[1], targets, other, weights, principal=PrincipalAxes.of(other))
    assert (tables[0] == tables[1]).all()


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


@pytest.mark.parametrize('own', [{'bias_reg': 0.3}, {'alpha': 0.3}, {}])
def test_users_and_items_have_dampings_of_their_own(own):
    is_filled, targets, _ = drawn(5, 12, 9, 3)
    user_ix, item_ix = (ix.astype('int32') for ix in np.nonzero(is_filled))
    ratings = SimpleNamespace(user_ix=user_ix, item_ix=item_ix)
    both = Regularization(0.1, 2, item_damping=7, **own)
    alone = {
        'users': Regularization(0.1, 2, **own),
        'items': Regularization(0.1, 7, **own),
    }
    rng = np.random.default_rng(0)
    tables = {n: rng.normal(size=(m, 3)) for n, m in {'users': 12, 'items': 9}.items()}
    tables = {name: table.astype('float32') for name, table in tables.items()}
    for side, weights in alone.items():
        results = []
        for regularization in (both, weights):
            copies = [table.copy() for table in tables.values()]
            with half_steps(*copies, ratings, targets.data, regularization) as steps:
                getattr(steps, f'refit_{side}')()
            results.append(copies)
        assert all((a == b).all() for a, b in zip(*results))
        changed = list(tables).index(side)
        assert (results[0][changed] != tables[side]).any()


@pytest.mark.parametrize(
    'name', ['reg', 'damping', 'item_damping', 'bias_reg', 'alpha']
)
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
    if weights is not None:
        with_both = factors_with(replace(weights, item_damping=3), link)
        again = Factors.load(with_both.save(tmp_path / 'both.npz'))
        assert again.regularization == with_both.regularization
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


@pytest.mark.parametrize('name', ['reg', 'damping', 'alpha', 'factor_damping'])
def test_regularization_that_float32_cannot_hold_is_refused(name):
    with pytest.raises(ValueError, match=f'{name}=1e[+]40'):
        Regularization(**({'reg': 0.1, 'damping': 1} | {name: 1e40}))
