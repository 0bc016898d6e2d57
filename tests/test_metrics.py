"""Errors and their bootstrap intervals beside their definitions."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from mf_movielens.metrics import (
    Estimate,
    compare_errors,
    compare_means,
    error_interval,
    mae,
    mean_interval,
    rmse,
)

RNG = np.random.default_rng(7)
N = 60
ACTUAL = RNG.integers(1, 6, N).astype(float)
A, B = ACTUAL + RNG.normal(0.3, 1, N), ACTUAL + RNG.normal(0, 1.2, N)
GROUPS = RNG.integers(0, 9, N)


def resampled(values, groups, n, seed):
    """Means of whole groups, drawn with replacement, one group at a time."""
    rng = np.random.default_rng(seed)
    members = [values[groups == group] for group in np.unique(groups)]
    for _ in range(n):
        drawn = rng.integers(len(members), size=len(members))
        yield np.concatenate([members[g] for g in drawn]).mean()


def ends(values, level):
    return np.quantile(list(values), [0.5 - level / 2, 0.5 + level / 2])


def test_errors_by_definition():
    assert rmse([1, 2], [2, 4]) == pytest.approx(math.sqrt(2.5))
    assert mae([1, 2], [2, 4]) == 1.5
    assert mae([2, 4], [1, 2]) == 1.5


@pytest.mark.parametrize('metric', [rmse, mae])
@pytest.mark.parametrize('groups', [None, GROUPS], ids=['ratings', 'users'])
@pytest.mark.parametrize('level', [0.5, 0.9])
def test_an_interval_is_that_of_whole_groups(metric, groups, level):
    losses = (A - ACTUAL) ** 2 if metric is rmse else np.abs(A - ACTUAL)
    of_mean = np.sqrt if metric is rmse else np.asarray
    each = np.arange(N) if groups is None else groups
    drawn = [of_mean(mean) for mean in resampled(losses, each, 300, 3)]
    found = error_interval(ACTUAL, A, metric, groups, level, 300, 3)
    np.testing.assert_allclose(found, [metric(ACTUAL, A), *ends(drawn, level)])


@pytest.mark.parametrize('metric', [rmse, mae])
def test_two_models_are_compared_on_the_same_draws(metric):
    squares = [(A - ACTUAL) ** 2, (B - ACTUAL) ** 2]
    losses = squares if metric is rmse else np.sqrt(squares)
    of_mean = np.sqrt if metric is rmse else np.asarray
    a, b = (of_mean(list(resampled(loss, GROUPS, 200, 5))) for loss in losses)
    found = compare_errors(ACTUAL, A, B, metric, GROUPS, 0.8, 200, 5)
    difference = metric(ACTUAL, A) - metric(ACTUAL, B)
    np.testing.assert_allclose(found, [difference, *ends(a - b, 0.8)])


def test_means_are_those_of_whole_groups():
    found = mean_interval(A, GROUPS, 0.7, 200, 2)
    drawn = resampled(A, GROUPS, 200, 2)
    np.testing.assert_allclose(found, [A.mean(), *ends(drawn, 0.7)])
    paired = compare_means(A, B, GROUPS, level=0.7, n_resamples=200, seed=2)
    np.testing.assert_allclose(paired, mean_interval(A - B, GROUPS, 0.7, 200, 2))


def test_defaults_are_the_rmse_95_percent_1000_draws_and_seed_0():
    np.testing.assert_array_equal(
        error_interval(ACTUAL, A), error_interval(ACTUAL, A, rmse, None, 0.95, 1000, 0)
    )
    np.testing.assert_array_equal(
        compare_errors(ACTUAL, A, B),
        compare_errors(ACTUAL, A, B, rmse, None, 0.95, 1000, 0),
    )
    np.testing.assert_array_equal(
        mean_interval(A), mean_interval(A, None, 0.95, 1000, 0)
    )


def test_numbers_are_squared_as_far_as_that_is_possible():
    assert math.isfinite(rmse([1e150], [-1e150]))
    for actual, predicted, name in [
        (1.1e150, 0, 'ratings'),
        (0, -1e151, 'predictions'),
    ]:
        with pytest.raises(ValueError, match=rf'^{name} up to .* too large'):
            rmse([actual], [predicted])
    with pytest.raises(ValueError, match=r'^2 predictions are not finite'):
        mae([1, 2, 3], [1, math.nan, math.inf])
    with pytest.raises(ValueError, match=r'^1 ratings are not finite'):
        mae([math.nan, 2, 3], [1, 2, 3])


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(ValueError, match=r'\(2,\) ratings and \(1,\) predictions'):
        rmse([1, 2], [1])
    with pytest.raises(ValueError, match='nothing to compare'):
        rmse([], [])
    with pytest.raises(ValueError, match='2 groups for 3 values'):
        mean_interval([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match=r'\(1, 2\) cannot be drawn from'):
        mean_interval([[1, 2]])
    with pytest.raises(ValueError, match='use rmse or mae'):
        error_interval([1, 2], [1, 2], max)
    for values, n in [([], '0 of 0'), ([1, math.nan], '1 of 2')]:
        with pytest.raises(ValueError, match=rf'^{n} values'):
            mean_interval(values)


def test_values_are_paired_by_their_index():
    a, b = pd.Series([1.0, 2.0], [7, 8]), pd.Series([0.5, 1.5], [7, 8])
    assert compare_means(a, b) == Estimate(0.5, 0.5, 0.5)
    assert compare_means(a, b.to_numpy()) == Estimate(0.5, 0.5, 0.5)
    for other in (b.set_axis([8, 7]), pd.Series([0.5]), [0.5], [0.5, 1.5, 2]):
        with pytest.raises(ValueError, match='not of the same users'):
            compare_means(a, other)


@pytest.mark.parametrize('level', [-0.5, 0, 1, 1.5])
def test_a_level_lies_between_0_and_1(level):
    with pytest.raises(ValueError, match='^level='):
        mean_interval([1.0, 2.0], level=level)
