"""The Gibbs sampler draws from the distribution that it says it draws from.

*Joint distribution tests* ([Geweke 2004](https://doi.org/10.1198/016214504000001132)):
draw parameters from their prior; then draw data given the parameters and let the
sampler make one sweep given the data, again and again. If every step of the sweep
leaves the posterior as it is, then the parameters keep the distribution of the prior,
and a term that is missing from one step moves them. Many short runs are compared with
their own beginnings: a paired difference shows slow drifts, such as that of the shape.
"""

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtr

from mf_movielens import bayes, gibbs
from mf_movielens.encoding import Ratings, Vocabulary

N_USERS, N_ITEMS = 5, 4
N_CUTPOINTS = 2
USER_FEATURES = np.array([[0, 1], [1, 0], [1, 1], [0, 0], [1, 1.0]])

# Priors of the model, as the chapter states them: a row is normal around its mean, with
# a Wishart precision; regularization and noise have exponential distributions.
MEAN_SHAPE = 10
MEAN_BIAS_PRECISION = 10
# Priors that the tests narrow, so that no draw is too extreme for 32 bits, and so that
# cutpoints have a prior at all.
ROW_SCATTER = 4.0
MORE_DEGREES = 6
CUTPOINT_LIMIT = 1.5
SHAPE_RANGE = (1.0, 60.0)

# ---- all that the tests reach into ----
draw_cutpoints = gibbs._draw_cuts
draw_utilities = gibbs._draw_likings
draw_user_precision = gibbs._draw_steadiness
draw_wishart = gibbs._wishart
CUTPOINT_STEP = bayes, '_draw_cuts'
PRECISION_STEP = bayes, '_draw_steadiness'
WISHART_STEP = gibbs, '_wishart'


class Features:
    "Features of rows: their coefficients, and what they add to the prior mean."

    def __init__(self, group):
        self.group = group
        self.n_coefficients = len(group.s)

    @property
    def coefficients(self):
        return self.group.W

    @property
    def regularization(self):
        return self.group.ridge

    @property
    def effect(self):
        return self.group.part

    def set(self, coefficients, regularization):
        self.group.W = coefficients
        self.group.ridge = regularization
        self.group.part = self.group.back @ coefficients.astype('float32')


class Table:
    "The rows of users, items or days, and their population."

    def __init__(self, table):
        self.table = table
        self.has_mean = table.centred
        self.features = [Features(group) for group in table.features]

    @property
    def rows(self):
        return self.table.rows

    @property
    def mean(self):
        return self.table.mean

    @property
    def precision(self):
        return self.table.precision

    def set(self, rows, mean, precision):
        self.table.rows[:] = rows
        self.table.mean = mean
        self.table.precision = precision

    def draw_population(self, rng):
        self.table.draw_population(rng)


def new_table(n_rows, features, rng):
    "A table of a bias and a factor whose rows have no ratings but one."
    one = np.zeros(1, 'int32')
    return Table(gibbs._Table(n_rows, 2, one, [(one, 1)], rng, [features]))


class Sampler:
    "A chain on a small table of ratings, and its state in plain terms."

    def __init__(self, likelihood, rng):
        parts = small_ratings(), {'users': USER_FEATURES}, 1, likelihood
        self.chain = bayes._Chain(*parts, True, True, True, rng)
        self.tables = dict(
            zip(('users', 'items', 'days'), map(Table, self.chain.tables))
        )
        for table in self.tables.values():
            table.table.least = ROW_SCATTER
        self.is_probit = likelihood == 'probit'
        # the chain has an order of its own
        ratings = self.chain.ratings
        self.places = ratings.user_ix, ratings.item_ix, self.chain.day
        self.user_day = self.chain.evening

    def sweep(self):
        self.chain.sweep(map)

    def set(
        self, user_day_bias, bias_precision, shape, user_precision, precision, cuts
    ):
        chain = self.chain
        chain.mood, chain.mood_precision = user_day_bias, bias_precision
        chain.shape, chain.steady, chain.common = shape, user_precision, precision
        chain.cuts, chain.sweeps = cuts, 0

    def set_data(self, latent, category, prediction, precision):
        self.chain.target = latent.astype('float32')
        self.chain.category = category
        self.chain.f = prediction.astype('float32')
        self.chain.tau = precision.astype('float32')

    user_day_bias = property(lambda self: self.chain.mood)
    bias_precision = property(lambda self: self.chain.mood_precision)
    shape = property(lambda self: self.chain.shape)
    user_precision = property(lambda self: self.chain.steady)
    precision = property(lambda self: self.chain.common)
    cutpoints = property(lambda self: self.chain.cuts)
    latent = property(lambda self: self.chain.target)
    prediction = property(lambda self: self.chain.f)


# ---- the model, told a second time ----
def small_ratings():
    "Four users rate three items on three days; the last user and item have no ratings."
    user_ix, item_ix = np.nonzero(np.ones((N_USERS - 1, N_ITEMS - 1)))
    day = np.array([0, 0, 1, 1, 1, 2, 2, 0, 2, 0, 1, 1])
    return Ratings(
        user_ix.astype('int32'),
        item_ix.astype('int32'),
        (1 + np.arange(len(user_ix)) % (N_CUTPOINTS + 1)).astype('float32'),
        Vocabulary(range(N_USERS), 'user'),
        Vocabulary(range(N_ITEMS)),
        (1, N_CUTPOINTS + 1),
        day * 86_400,
    )


def normal_rows(rng, precision, n):
    return rng.multivariate_normal(
        np.zeros(len(precision)), np.linalg.inv(precision), n
    )


def wishart(rng, n_columns, scatter, degrees):
    "A precision matrix, as the squares of as many normal vectors as there are degrees."
    vectors = rng.normal(size=(degrees, n_columns)) / np.sqrt(scatter)
    return vectors.T @ vectors


def draw_table(rng, table, scatter, degrees):
    n_rows, n_columns = table.rows.shape
    precision = wishart(rng, n_columns, scatter, degrees)
    mean = np.zeros(n_columns)
    if table.has_mean:
        mean = normal_rows(rng, precision, 1)[0]
    rows = mean + normal_rows(rng, precision, n_rows)
    for features in table.features:
        regularization = rng.exponential()
        draws = normal_rows(rng, precision, features.n_coefficients)
        features.set(draws / np.sqrt(regularization), regularization)
        rows = rows + features.effect
    table.set(rows, mean, precision)


def draw_shape(rng):
    while True:
        shape = rng.exponential(MEAN_SHAPE)
        if SHAPE_RANGE[0] < shape < SHAPE_RANGE[1]:
            return shape


def draw_parameters(rng, sampler):
    for table in sampler.tables.values():
        n_columns = table.rows.shape[1]
        draw_table(rng, table, ROW_SCATTER, n_columns + MORE_DEGREES)
    bias_precision = rng.exponential(MEAN_BIAS_PRECISION)
    biases = rng.normal(size=len(sampler.user_day_bias)) / np.sqrt(bias_precision)
    shape = draw_shape(rng)
    user_precision = rng.gamma(shape, 1 / shape, N_USERS)
    precision, cutpoints = rng.exponential(), np.zeros(0)
    if sampler.is_probit:
        precision = 1.0
        limits = -CUTPOINT_LIMIT, CUTPOINT_LIMIT
        cutpoints = np.sort(rng.uniform(*limits, N_CUTPOINTS))
    sampler.set(biases, bias_precision, shape, user_precision, precision, cutpoints)


def predicted_parts(sampler):
    "(whole prediction, user-day bias, what the day adds) of each rating."
    rows = [table.rows.astype('float64') for table in sampler.tables.values()]
    user, item, day = (r[ix] for r, ix in zip(rows, sampler.places))
    user_day_bias = sampler.user_day_bias[sampler.user_day]
    by_day = day[:, 1] + (user[:, 0] + item[:, 0]) * day[:, 0]
    timeless = user[:, 1] + item[:, 1] + user[:, 0] * item[:, 0]
    return timeless + by_day + user_day_bias, user_day_bias, by_day


def noise_precision(sampler):
    return sampler.precision * sampler.user_precision[sampler.places[0]]


def draw_data(rng, sampler):
    prediction, _, _ = predicted_parts(sampler)
    precision = noise_precision(sampler)
    latent = prediction + rng.normal(size=len(prediction)) / np.sqrt(precision)
    category = np.searchsorted(sampler.cutpoints, latent)
    sampler.set_data(latent, category, prediction, precision)


# ---- what is compared ----
def table_moments(name, table):
    "Numbers whose distribution is that of the prior, of one table."
    precision = table.precision
    found = {f'{name}: log det': np.linalg.slogdet(precision)[1]}
    for j, value in enumerate(np.diag(precision)):
        found[f'{name}: log precision {j}'] = np.log(value)
    found[f'{name}: correlation'] = precision[0, 1] / np.sqrt(np.diag(precision).prod())
    residual = table.rows - table.mean
    for j, features in enumerate(table.features):
        residual = residual - features.effect
        squares = squared_norm(features.coefficients, precision)
        found[f'{name}: log regularization {j}'] = np.log(features.regularization)
        found[f'{name}: coefficients {j}'] = squares * features.regularization
        found[f'{name}: log coefficients {j}'] = np.log(squares)
    found[f'{name}: rows'] = squared_norm(residual, precision)
    if table.has_mean:
        found[f'{name}: mean'] = squared_norm(table.mean[None], precision)
        found[f'{name}: log mean'] = np.log(np.abs(table.mean)).sum()
        found[f'{name}: sign of the mean'] = np.arctan(table.mean).sum()
    return found


def squared_norm(rows, precision):
    return np.einsum('ij,jk,ik->', rows, precision, rows)


def moments(sampler):
    "Numbers whose distribution is that of the prior and of data drawn from it."
    found = {}
    for name, table in sampler.tables.items():
        found |= table_moments(name, table)
    biases = sampler.user_day_bias
    found['log bias precision'] = np.log(sampler.bias_precision)
    found['user-day biases'] = sampler.bias_precision * biases @ biases
    found['log shape'] = np.log(sampler.shape)
    found['log user precision'] = np.log(sampler.user_precision).sum()
    found['log user precision, no ratings'] = np.log(sampler.user_precision[-1])
    found['log precision'] = np.log(sampler.precision)
    if sampler.is_probit:
        found |= {f'cutpoint {j}': c for j, c in enumerate(sampler.cutpoints)}
        found['log gap'] = np.log(np.diff(sampler.cutpoints)).sum()
        found['cutpoints, squared'] = sampler.cutpoints @ sampler.cutpoints
    return found | residual_moments(sampler)


def residual_moments(sampler):
    precision = noise_precision(sampler)
    prediction, user_day_bias, by_day = predicted_parts(sampler)
    residual = np.sqrt(precision) * (sampler.latent - prediction)
    found = {
        'residuals': residual.sum(),
        'residuals, squared': residual @ residual,
        'residuals by precision': (residual**2 - 1) @ np.log(precision),
    }
    parts = {'prediction': prediction, 'user-day bias': user_day_bias, 'day': by_day}
    for name, part in parts.items():
        weighted = np.sqrt(precision) * part
        found[f'residuals by {name}'] = residual @ weighted / np.linalg.norm(weighted)
    return found


def z_scores(before, after):
    "How many standard errors each mean has moved from `before` to `after`."
    moved = np.array(after) - np.array(before)
    return moved.mean(0) / (moved.std(0) + 1e-12) * np.sqrt(len(moved))


def assert_not_moved(names, before, after, limit):
    z = z_scores(before, after)
    moved = {n: round(float(x), 1) for n, x in zip(names, z) if not abs(x) < limit}
    assert not moved


def limited_precision(squares, rows, shape, n_rows, rng):
    "The step of user precisions and their shape, which stays in its range."
    precision, new = draw_user_precision(squares, rows, shape, n_rows, rng)
    return precision, new if SHAPE_RANGE[0] < new < SHAPE_RANGE[1] else shape


@pytest.fixture
def narrow_priors(monkeypatch):
    """Give the sampler the narrower priors of these tests.

    A step that leads out of a range is refused, as Metropolis and Hastings refuse what
    has no probability. More degrees of freedom are those of the prior.
    """

    def limited_cutpoints(prediction, sd, category, cutpoints, *more):
        new = draw_cutpoints(prediction, sd, category, cutpoints, *more)
        return new if np.abs(new).max() < CUTPOINT_LIMIT else cutpoints

    def narrow_wishart(rng, degrees, scatter):
        return draw_wishart(rng, degrees + MORE_DEGREES, scatter)

    monkeypatch.setattr(*CUTPOINT_STEP, limited_cutpoints)
    monkeypatch.setattr(*PRECISION_STEP, limited_precision)
    monkeypatch.setattr(*WISHART_STEP, narrow_wishart)


def run_joint(likelihood, seed, n_runs, n_sweeps):
    "(names, moments at the beginning of each run, and at its end)."
    rng = np.random.default_rng(seed)
    sampler = Sampler(likelihood, rng)
    before, after = [], []
    for _ in range(n_runs):
        draw_parameters(rng, sampler)
        draw_data(rng, sampler)
        before.append([*moments(sampler).values()])
        for sweep in range(n_sweeps):
            if sweep:
                draw_data(rng, sampler)
            sampler.sweep()
            prediction = predicted_parts(sampler)[0]
            assert np.allclose(sampler.prediction, prediction, rtol=1e-3, atol=1e-3)
        after.append([*moments(sampler).values()])
    return [*moments(sampler)], before, after


@pytest.mark.filterwarnings('ignore:overflow')
@pytest.mark.parametrize('likelihood', ['probit', 'normal'])
def test_sweeps_keep_the_joint_distribution(narrow_priors, likelihood):
    "All parameters move: populations, coefficients, noise, its shape, and cutpoints."
    assert_not_moved(*run_joint(likelihood, seed=0, n_runs=250, n_sweeps=12), limit=4.5)


def population_draws(seed, n_runs, n_rows=2, n_features=1):
    "Moments of a population after a draw from its posterior, whose rows are its own."
    rng = np.random.default_rng(seed)
    table = new_table(n_rows, rng.normal(size=(n_rows, n_features)), rng)
    found = []
    for _ in range(n_runs):
        n_columns = table.rows.shape[1]
        draw_table(rng, table, scatter=1.0, degrees=n_columns)
        table.draw_population(rng)
        mean, precision = table.mean, table.precision
        norm = squared_norm(mean[None], precision)
        regularization = table.features[0].regularization
        covariance = np.linalg.inv(precision)
        found.append(
            [precision[0, 0], 1 / covariance[1, 1], mean[0], norm, regularization]
        )
    return np.transpose(found), n_columns


def test_populations_are_drawn_from_normal_and_wishart():
    "Each marginal has its textbook distribution, if rows come from the same prior."
    found, n_columns = population_draws(seed=0, n_runs=2500)
    expected = {
        'precision': stats.chi2(n_columns),
        'conditional precision': stats.chi2(1),
        'mean': stats.cauchy(),
        'squared norm of the mean': stats.chi2(n_columns),
        'regularization': stats.expon(),
    }
    for (name, distribution), draws in zip(expected.items(), found, strict=True):
        assert stats.kstest(draws, distribution.cdf).pvalue > 1e-5, name


def run_user_precision(seed, n_runs=300, n_steps=60, n_users=4, n_ratings=3):
    "Log shapes and mean log precisions, at the beginning of each run and at its end."
    rng = np.random.default_rng(seed)
    users = np.repeat(np.arange(n_users), n_ratings)
    before, after = [], []
    for _ in range(n_runs):
        shape = draw_shape(rng)
        precision = rng.gamma(shape, 1 / shape, n_users)
        before.append([np.log(shape), np.log(precision).mean()])
        for _ in range(n_steps):
            squares = rng.normal(size=len(users)) ** 2 / precision[users]
            precision, shape = limited_precision(squares, users, shape, n_users, rng)
        after.append([np.log(shape), np.log(precision).mean()])
    return before, after


def test_user_precision_and_its_shape_keep_their_joint_distribution():
    "The shape takes steps on the log scale, which needs a Jacobian."
    names = 'log shape', 'log user precision'
    assert_not_moved(names, *run_user_precision(seed=0), limit=4.0)


CATEGORIES = np.array([0, 1, 1, 1, 2])
PREDICTIONS = np.array([0.3, -0.8, 0.1, 1.2, 0.4], 'float32')
NOISE_SD = np.array([0.5, 1.0, 2.0, 1.0, 0.7], 'float32')


def cutpoints_on_a_grid():
    "(pairs of cutpoints, their probabilities), from the chances of each rating."
    grid = np.linspace(-9, 9, 541)
    low, high = np.meshgrid(grid, grid, indexing='ij')
    likelihood = np.where(low < high, 1.0, 0.0)
    for category, f, sd in zip(CATEGORIES, PREDICTIONS, NOISE_SD):
        below_low, below_high = ndtr((low - f) / sd), ndtr((high - f) / sd)
        chances = below_low, below_high - below_low, 1 - below_high
        likelihood *= np.maximum(chances[category], 0)
    pairs = np.column_stack([low.ravel(), high.ravel()])
    return pairs, (likelihood / likelihood.sum()).ravel()


def largest_difference(draws, points, probabilities):
    "The largest difference of two distribution functions, at the deciles of `points`."
    order = np.argsort(points)
    below = np.cumsum(probabilities[order])
    deciles = points[order][np.searchsorted(below, np.arange(1, 10) / 10)]
    exact = [probabilities[points <= d].sum() for d in deciles]
    found = [(draws <= d).mean() for d in deciles]
    return np.abs(np.subtract(found, exact)).max()


def run_cutpoints(seed, n_steps):
    rng = np.random.default_rng(seed)
    cutpoints, found = np.array([-1.0, 1.0]), []
    fixed = PREDICTIONS, NOISE_SD, CATEGORIES
    blocks = [slice(0, 2), slice(2, len(CATEGORIES))]
    for _ in range(n_steps):
        cutpoints = draw_cutpoints(*fixed, cutpoints, rng, map, blocks)
        found.append(cutpoints)
    return np.array(found)


def cutpoint_differences(seed, n_steps=4000):
    pairs, probabilities = cutpoints_on_a_grid()
    draws = run_cutpoints(seed, n_steps)
    sides = draws[:, 0], draws[:, 1], draws[:, 1] - draws[:, 0]
    exact = pairs[:, 0], pairs[:, 1], pairs[:, 1] - pairs[:, 0]
    return [largest_difference(d, x, probabilities) for d, x in zip(sides, exact)]


def test_cutpoints_have_the_distribution_of_their_likelihood():
    assert max(cutpoint_differences(seed=0)) < 0.08


def run_utilities(seed, n):
    "For each drawn utility the share of its truncated normal that lies below."
    rng = np.random.default_rng(seed)
    cutpoints = np.array([-0.7, 0.2, 1.0])
    prediction = rng.normal(size=n).astype('float32')
    sd = rng.uniform(0.4, 2, n).astype('float32')
    category = np.searchsorted(cutpoints, prediction + sd * rng.normal(size=n))
    blocks = [slice(0, n // 3), slice(n // 3, n)]
    drawn = draw_utilities(prediction, sd, category, cutpoints, rng, map, blocks)
    ends = np.concatenate([[-np.inf], cutpoints, [np.inf]])
    limits = [(ends[category + j] - prediction) / sd for j in (0, 1)]
    share = stats.truncnorm(*limits, prediction, sd).cdf(drawn)
    return share, category


def test_latent_utilities_are_truncated_normal():
    share, category = run_utilities(seed=0, n=8000)
    for each in np.unique(category):
        assert stats.kstest(share[category == each], 'uniform').pvalue > 1e-5
