"""A new user's row is drawn from its exact posterior, and is the row of a known user.

The oracle is a quadrature: given the precision of a user's noise, the row is normal,
or lies on a grid; the precision is summed over a grid of its own.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.special import ndtr
from scipy.stats import gamma, multivariate_normal

from mf_movielens.bayes import GibbsSampler, fit_bayes
from mf_movielens.encoding import Ratings, Vocabulary

DAY = 86_400
N_SAMPLES = 3000
N_ITEMS = 8
SCALE = (1, 5)


def fitted(likelihood, timed):
    "A posterior of the right kind, whose numbers are replaced."
    rng = np.random.default_rng(0)
    user_ix, item_ix = np.nonzero(np.ones((6, N_ITEMS)))
    n = len(user_ix)
    ratings = Ratings(
        user_ix.astype('int32'),
        item_ix.astype('int32'),
        (1 + np.arange(n) % 5).astype('float32'),
        Vocabulary(range(6), 'user'),
        Vocabulary(range(N_ITEMS)),
        SCALE,
        DAY * rng.integers(0, 9, n),
    )
    return fit_bayes(
        ratings,
        n_factors=1,
        n_burn_in=0,
        n_samples=1,
        likelihood=likelihood,
        time=timed,
        progress=False,
    )


def tiled(part):
    return np.stack([part] * N_SAMPLES)


def known_posterior(likelihood, timed, shape, user_day_sd):
    "The same item rows and population in each of many samples."
    rng = np.random.default_rng(1)
    fit = fitted(likelihood, timed)
    is_probit = likelihood == 'probit'
    parts = {
        'item_samples': rng.normal(0, 0.8, (N_ITEMS, 2)),
        'user_samples': np.zeros((1, 2)),
        'noise_sd': np.array(1.0 if is_probit else 0.6),
        'user_noise_scale': np.ones(1),
        'noise_shape': np.array(shape),
        'cutpoints': np.array([-1.5, -0.4, 0.5, 1.4] if is_probit else []),
        'population_mean': np.array([0.4, -0.3]),
        'population_precision': np.array([[2.0, 0.6], [0.6, 1.5]]),
        'implicit_effects': rng.normal(0, 0.5, (N_ITEMS, 2)),
    }
    parts = {name: tiled(part) for name, part in parts.items()}
    if timed:
        parts['time'] = replace(
            fit.time,
            day_samples=tiled(np.zeros(fit.time.day_samples.shape[1:])),
            user_day_bias=tiled(np.zeros(fit.time.user_day_bias.shape[1:])),
            user_day_sd=tiled(np.array(user_day_sd)),
        )
    if not is_probit:
        parts |= {'mu': 3.2, 'unit': 1.1}
    return replace(fit, **parts)


class Quadrature:
    "The posterior of a new user's row and noise precision, by sums over grids."

    def __init__(self, posterior, item_ix, rating, user_day_sd):
        self.sd = float(posterior.noise_sd[0])
        self.user_day_sd = user_day_sd
        self.mu, self.unit = posterior.mu, posterior.unit
        self.items = posterior.item_samples[0]
        self.cutpoints = posterior.cutpoints[0]
        implicit = posterior.implicit_effects[0, item_ix].sum(0)
        self.mean = posterior.population_mean[0] + implicit / np.sqrt(len(item_ix))
        self.covariance = np.linalg.inv(posterior.population_precision[0])
        shape = posterior.noise_shape[0]
        self.precision = np.ones(1)
        prior = np.ones(1)
        if shape:
            self.precision = np.exp(np.linspace(-7, 4, 160))
            prior = gamma(shape, scale=1 / shape).pdf(self.precision) * self.precision
        if posterior.likelihood == 'normal':
            weight = self.weigh_normal(item_ix, (rating - self.mu) / self.unit)
        else:
            weight = self.weigh_probit(item_ix, rating.astype(int) - 1)
        weight = weight * prior[:, None]
        self.weight = weight / weight.sum()

    def inputs(self, item_ix):
        return np.column_stack([self.items[item_ix, 0], np.ones(len(item_ix))])

    def noise_variance(self):
        return self.sd**2 / self.precision + self.user_day_sd**2

    def weigh_normal(self, item_ix, target):
        "Rows given each precision are normal: their means, and their covariances."
        X, bias = self.inputs(item_ix), self.items[item_ix, 1]
        between = X @ self.covariance @ X.T
        rows, spreads, weight = [], [], []
        for variance in self.noise_variance():
            whole = between + variance * np.eye(len(X))
            gain = np.linalg.solve(whole, X @ self.covariance).T
            rows.append([self.mean + gain @ (target - bias - X @ self.mean)])
            spreads.append([self.covariance - gain @ X @ self.covariance])
            normal = multivariate_normal(X @ self.mean, whole)
            weight.append([normal.pdf(target - bias)])
        self.rows, self.spreads = np.array(rows), np.array(spreads)
        return np.array(weight)

    def weigh_probit(self, item_ix, category):
        "Rows lie on a grid, and do not spread around its points."
        steps = np.linspace(-5, 5, 61)
        steps = np.stack([x.ravel() for x in np.meshgrid(steps, steps)], 1)
        grid = self.mean + steps @ np.linalg.cholesky(self.covariance).T
        prior = np.exp(-0.5 * (steps**2).sum(1))
        f = grid @ self.inputs(item_ix).T + self.items[item_ix, 1]
        ends = np.concatenate([[-np.inf], self.cutpoints, [np.inf]])
        weight = []
        for sd in np.sqrt(self.noise_variance()):
            chance = ndtr((ends[category + 1] - f) / sd) - ndtr(
                (ends[category] - f) / sd
            )
            weight.append(prior * chance.prod(1))
        shape = len(weight), len(grid), 2
        self.rows = np.broadcast_to(grid, shape)
        self.spreads = np.zeros((*shape[:2], 2, 2))
        return np.array(weight)

    def row_moments(self):
        mean = np.einsum('ij,ijk->k', self.weight, self.rows)
        off = self.rows - mean
        between = np.einsum('ij,ijk,ijl->kl', self.weight, off, off)
        within = np.einsum('ij,ijkl->kl', self.weight, self.spreads)
        return mean, between + within

    def log_precision_moments(self):
        weight, log = self.weight.sum(1), np.log(self.precision)
        mean = weight @ log
        return mean, weight @ (log - mean) ** 2

    def probabilities(self, item, cutpoints):
        "Of each rating of an item."
        x = np.array([self.items[item, 0], 1.0])
        f = self.rows @ x + self.items[item, 1]
        spread = np.einsum('k,ijkl,l->ij', x, self.spreads, x)
        sd = np.sqrt(spread + self.noise_variance()[:, None])
        below = [(self.weight * ndtr((cut - f) / sd)).sum() for cut in cutpoints]
        return np.diff([0, *below, 1])


RATED = np.array([0, 2, 3, 5, 6])
GIVEN = np.array([5, 1, 4, 4, 2.0])


def history(item_ix, rating):
    rows = np.zeros(len(item_ix), int)
    return csr_array((rating, (rows, item_ix)), shape=(1, N_ITEMS))


def fold_in_errors(posterior, user_day_sd, seed):
    """Errors of the samples' moments, in units that let each be compared with a number.

    Means are measured in standard errors, variances as parts of the exact one.
    """
    exact = Quadrature(posterior, RATED, GIVEN, user_day_sd)
    new = posterior.fold_in(history(RATED, GIVEN), seed=seed, n_iterations=40)
    rows = new.user_samples[:, 0].astype('float64')
    mean, covariance = exact.row_moments()
    scale = np.sqrt(np.diag(covariance))
    means = (rows.mean(0) - mean) / scale * np.sqrt(len(rows))
    spreads = (np.cov(rows.T) - covariance) / np.outer(scale, scale)
    found = {'mean': np.abs(means).max(), 'covariance': np.abs(spreads).max()}
    if len(exact.precision) > 1:
        log_precision = -2 * np.log(new.user_noise_scale[:, 0])
        mean, variance = exact.log_precision_moments()
        error = (log_precision.mean() - mean) / np.sqrt(variance / len(rows))
        found['log precision'] = np.abs(error)
        found['its variance'] = np.abs(log_precision.var() / variance - 1)
    cutpoints = exact.cutpoints
    if posterior.likelihood == 'normal':
        cutpoints = (np.arange(1.5, 5) - exact.mu) / exact.unit
    probabilities = new.probabilities(0, 1).to_numpy()[0]
    errors = probabilities - exact.probabilities(1, cutpoints)
    return found | {'probabilities': np.abs(errors).max()}


@pytest.mark.parametrize('likelihood', ['normal', 'probit'])
@pytest.mark.parametrize('shape', [0.0, 2.0])
@pytest.mark.parametrize('user_day_sd', [0.0, 0.9])
def test_a_new_user_is_drawn_from_the_exact_posterior(likelihood, shape, user_day_sd):
    "Noise and the user-day bias, of which each rating has its own, are kept apart."
    posterior = known_posterior(likelihood, user_day_sd > 0, shape, user_day_sd)
    errors = fold_in_errors(posterior, user_day_sd, seed=0)
    limits = {'mean': 4.5, 'covariance': 0.15, 'probabilities': 0.015}
    limits |= {'log precision': 4.5, 'its variance': 0.25}
    for name, error in errors.items():
        assert error < limits[name], name


N_USERS = 150
ON_THEIR_OWN_DAYS = range(0, 120, 2)


def planted(seed, n_items=30):
    """Users of two kinds rate items of their kind, and like them.

    Who rates what tells the kind, so that implicit feedback matters. Users of even
    numbers rate once a day, the others often more, which tells user-day biases from
    noise; users differ in their noise, too.
    """
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 2, N_USERS)[:, None]
    chance = np.where(kind == np.arange(n_items) % 2, 0.45, 0.04)
    chance = chance * rng.uniform(0.3, 1.6, (N_USERS, 1))
    # everybody has some ratings
    chance[:, :2] = 0.5
    chance[np.arange(N_USERS), rng.integers(0, n_items, N_USERS)] = 1
    user, item = np.nonzero(rng.random(chance.shape) < chance)
    counts = np.bincount(user, minlength=N_USERS)
    day = np.concatenate([rng.permutation(60)[:n] for n in counts])
    day[user % 2 == 1] //= 8
    _, user_day = np.unique(user * 100 + day, return_inverse=True)
    noise_sd = rng.gamma(3, 1 / 3, N_USERS) ** -0.5
    liking = np.where(kind[user, 0] == item % 2, 1, -1) * (0.5 + item / n_items)
    value = 3 + liking + 0.5 * noise_sd[user] * rng.normal(size=len(user))
    value += 1.2 * rng.normal(size=len(user))[user_day]
    return Ratings(
        user.astype('int32'),
        item.astype('int32'),
        np.clip(np.round(value), 1, 5).astype('float32'),
        Vocabulary(range(N_USERS), 'user'),
        Vocabulary(range(n_items)),
        SCALE,
        DAY * day,
    )


def predictions(posterior, user_ix):
    "Mean predictions of all items, with neither day nor user-day bias."
    items, rows = posterior.item_samples, posterior.user_samples[:, user_ix]
    products = np.einsum('smk,sk->sm', items[:, :, :-1], rows[:, :-1])
    return (products + items[:, :, -1] + rows[:, -1:]).mean(0)


def compare_with_the_table(likelihood, seed):
    "(slope, relative difference of predictions, mean difference of log noise)."
    ratings = planted(seed)
    posterior = fit_bayes(
        ratings,
        n_factors=1,
        n_burn_in=15,
        n_samples=135,
        likelihood=likelihood,
        time='user_days',
        progress=False,
    )
    users = np.array(ON_THEIR_OWN_DAYS)
    folded = posterior.fold_in(ratings.to_csr()[users])
    known = np.ravel([predictions(posterior, u) for u in users])
    new = np.ravel([predictions(folded, j) for j in range(len(users))])
    slope = np.polyfit(known, new, 1)[0]
    ratio = folded.user_noise_scale / posterior.user_noise_scale[:, users]
    return slope, np.std(new - known) / np.std(known), np.log(ratio).mean()


@pytest.mark.parametrize('likelihood', ['normal', 'probit'])
def test_a_new_user_gets_the_row_of_a_known_user_with_the_same_ratings(likelihood):
    "Implicit feedback is normalized alike, and the user-day bias is no noise."
    slope, difference, noise = compare_with_the_table(likelihood, seed=0)
    assert abs(slope - 1) < 0.05
    assert difference < 0.2
    assert abs(noise) < 0.02


def test_implicit_effects_are_those_of_the_fit():
    "Their sum over the n rated items is divided by the root of n, in fit and fold-in."
    ratings = planted(seed=1)
    sampler = GibbsSampler(ratings, n_factors=2)
    for _ in range(3):
        sampler.iterate()
    effects = sampler.current_sample()['implicit_effects']
    n_ratings = np.bincount(ratings.user_ix)
    total = (ratings.to_csr() > 0).astype(float) @ effects
    expected = total / np.sqrt(n_ratings)[:, None]
    contribution = sampler.implicit_features.contribution
    assert np.abs(expected).mean() > 0.01
    assert np.allclose(contribution, expected, atol=1e-4)
