"""The Gibbs sampler draws from the distribution that it says it draws from.

*Joint distribution tests* ([Geweke 2004](https://doi.org/10.1198/016214504000001132)):
draw parameters from their prior; then draw data given the parameters and let the
sampler make one iteration given the data, again and again. If every step leaves the
posterior as it is, then the parameters keep the distribution of the prior, and a term
that is missing from one step moves them. Many short runs are compared with their own
beginnings: a paired difference shows slow drifts best, such as that of the shape.
"""

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtr

from mf_movielens import bayes, gibbs
from mf_movielens.bayes import GibbsSampler
from mf_movielens.encoding import Ratings, Vocabulary
from mf_movielens.gibbs import (
    FeatureGroup,
    HierarchicalFactors,
    OrderedProbit,
    sample_noise_precisions,
    sample_wishart,
)

N_USERS, N_ITEMS = 5, 4
N_CUTPOINTS = 2
USER_FEATURES = np.array([[0, 1], [1, 0], [1, 1], [0, 0], [1, 1.0]])

# Priors of the model, as the chapter states them: a row is normal around its mean, with
# a Wishart precision; regularization and noise have exponential distributions.
MEAN_SHAPE = 10
MEAN_USER_DAY_PRECISION = 10
# Priors that the tests narrow, so that no sample is too extreme for 32 bits, and so
# that cutpoints have a prior at all.
PRIOR_SCALE = 4.0
MORE_DEGREES = 6
CUTPOINT_LIMIT = 1.5
SHAPE_RANGE = (1.0, 60.0)


def new_sampler(likelihood, rng):
    sampler = GibbsSampler(
        small_ratings(),
        {'users': USER_FEATURES},
        n_factors=1,
        likelihood=likelihood,
        time=True,
    )
    sampler.rng = rng
    for table in sampler.tables.values():
        table.prior_scale = PRIOR_SCALE
    return sampler


# The model, told a second time
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
    n_rows, n_columns = table.factors.shape
    table.precision = wishart(rng, n_columns, scatter, degrees)
    table.mean = np.zeros(n_columns)
    if table.has_mean:
        table.mean = normal_rows(rng, table.precision, 1)[0]
    for group in table.features:
        group.reg = rng.exponential()
        draws = normal_rows(rng, table.precision, len(group.coefficients))
        group.coefficients = draws / np.sqrt(group.reg)
        group.update_contribution()
    contributions = sum(group.contribution for group in table.features)
    noise = normal_rows(rng, table.precision, n_rows)
    table.factors[:] = table.mean + contributions + noise


def draw_shape(rng):
    while True:
        shape = rng.exponential(MEAN_SHAPE)
        if SHAPE_RANGE[0] < shape < SHAPE_RANGE[1]:
            return shape


def draw_parameters(rng, sampler):
    for table in sampler.tables.values():
        n_columns = table.factors.shape[1]
        draw_table(rng, table, PRIOR_SCALE, n_columns + MORE_DEGREES)
    sampler.user_day_precision = rng.exponential(MEAN_USER_DAY_PRECISION)
    biases = rng.normal(size=len(sampler.user_day_bias))
    sampler.user_day_bias = biases / np.sqrt(sampler.user_day_precision)
    shape = draw_shape(rng)
    sampler.noise_shape = shape
    sampler.user_noise_precision = rng.gamma(shape, 1 / shape, N_USERS)
    if sampler.probit is None:
        sampler.noise_precision = rng.exponential()
    else:
        limits = -CUTPOINT_LIMIT, CUTPOINT_LIMIT
        sampler.probit.cutpoints = np.sort(rng.uniform(*limits, N_CUTPOINTS))
    # the first iteration computes the predictions afresh, the others do not
    sampler.n_iterations = 1


def predicted_parts(sampler):
    "(whole prediction, user-day bias, what the day adds) of each rating."
    rows = [table.factors.astype('float64') for table in sampler.tables.values()]
    # the sampler has sorted the ratings
    ratings = sampler.ratings
    places = ratings.user_ix, ratings.item_ix, sampler.day_ix
    user, item, day = (r[ix] for r, ix in zip(rows, places))
    user_day_bias = sampler.user_day_bias[sampler.user_day_ix]
    by_day = day[:, 1] + (user[:, 0] + item[:, 0]) * day[:, 0]
    timeless = user[:, 1] + item[:, 1] + user[:, 0] * item[:, 0]
    return timeless + by_day + user_day_bias, user_day_bias, by_day


def noise_precision(sampler):
    of_users = sampler.noise_precision * sampler.user_noise_precision
    return of_users[sampler.ratings.user_ix]


def draw_data(rng, sampler):
    prediction, _, _ = predicted_parts(sampler)
    precision = noise_precision(sampler)
    target = prediction + rng.normal(size=len(prediction)) / np.sqrt(precision)
    sampler.prediction = prediction.astype('float32')
    sampler.rating_precision = precision.astype('float32')
    sampler.target = target.astype('float32')
    if sampler.probit is not None:
        sampler.probit.category = np.searchsorted(sampler.probit.cutpoints, target)


# What is compared
def table_moments(name, table):
    "Numbers whose distribution is that of the prior, of one table."
    precision = table.precision
    found = {f'{name}: log det': np.linalg.slogdet(precision)[1]}
    for j, value in enumerate(np.diag(precision)):
        found[f'{name}: log precision {j}'] = np.log(value)
    found[f'{name}: correlation'] = precision[0, 1] / np.sqrt(np.diag(precision).prod())
    residual = table.factors - table.mean
    for j, group in enumerate(table.features):
        residual = residual - group.contribution
        squares = squared_norm(group.coefficients, precision)
        found[f'{name}: log regularization {j}'] = np.log(group.reg)
        found[f'{name}: coefficients {j}'] = squares * group.reg
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
    biases, precision = sampler.user_day_bias, sampler.user_day_precision
    found['log user-day precision'] = np.log(precision)
    found['user-day biases'] = precision * biases @ biases
    log_precision = np.log(sampler.user_noise_precision)
    found['log shape'] = np.log(sampler.noise_shape)
    found['log user precision'] = log_precision.sum()
    found['log user precision, no ratings'] = log_precision[-1]
    found['log precision'] = np.log(sampler.noise_precision)
    if sampler.probit is not None:
        cutpoints = sampler.probit.cutpoints
        found |= {f'cutpoint {j}': c for j, c in enumerate(cutpoints)}
        found['log gap'] = np.log(np.diff(cutpoints)).sum()
        found['cutpoints, squared'] = cutpoints @ cutpoints
    return found | residual_moments(sampler)


def residual_moments(sampler):
    precision = noise_precision(sampler)
    prediction, user_day_bias, by_day = predicted_parts(sampler)
    residual = np.sqrt(precision) * (sampler.target - prediction)
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


def limited_precisions(squares, n_ratings, shape, rng):
    "The step of user precisions and their shape, which stays in its range."
    precisions, new = sample_noise_precisions(squares, n_ratings, shape, rng)
    return precisions, new if SHAPE_RANGE[0] < new < SHAPE_RANGE[1] else shape


def narrow_wishart(rng, degrees_of_freedom, inverse_scale):
    return sample_wishart(rng, degrees_of_freedom + MORE_DEGREES, inverse_scale)


@pytest.fixture
def narrow_priors(monkeypatch):
    """Give the sampler the narrower priors of these tests.

    A step that leads out of a range is refused, as Metropolis and Hastings refuse what
    has no probability. More degrees of freedom are those of the prior.
    """
    sample_cutpoints = OrderedProbit.sample_cutpoints

    def limited_cutpoints(probit, *arguments):
        current = probit.cutpoints
        sample_cutpoints(probit, *arguments)
        if np.abs(probit.cutpoints).max() > CUTPOINT_LIMIT:
            probit.cutpoints = current

    monkeypatch.setattr(OrderedProbit, 'sample_cutpoints', limited_cutpoints)
    monkeypatch.setattr(bayes, 'sample_noise_precisions', limited_precisions)
    monkeypatch.setattr(gibbs, 'sample_wishart', narrow_wishart)


def run_joint(likelihood, seed, n_runs, n_iterations):
    "(names, moments at the beginning of each run, and at its end)."
    rng = np.random.default_rng(seed)
    sampler = new_sampler(likelihood, rng)
    before, after = [], []
    for _ in range(n_runs):
        draw_parameters(rng, sampler)
        draw_data(rng, sampler)
        before.append([*moments(sampler).values()])
        for iteration in range(n_iterations):
            if iteration:
                draw_data(rng, sampler)
            sampler.iterate()
            prediction = predicted_parts(sampler)[0]
            assert np.allclose(sampler.prediction, prediction, rtol=1e-3, atol=1e-3)
        after.append([*moments(sampler).values()])
    return [*moments(sampler)], before, after


@pytest.mark.filterwarnings('ignore:overflow')
@pytest.mark.parametrize('likelihood', ['probit', 'normal'])
def test_iterations_keep_the_joint_distribution(narrow_priors, likelihood):
    "All parameters move: populations, coefficients, noise, its shape, and cutpoints."
    assert_not_moved(
        *run_joint(likelihood, seed=0, n_runs=250, n_iterations=12), limit=4.5
    )


def population_draws(seed, n_runs, n_rows=2, n_features=1, scatter=1.0):
    "Moments of a population after a draw from its posterior, whose rows are its own."
    rng = np.random.default_rng(seed)
    features = [FeatureGroup(rng.normal(size=(n_rows, n_features)), 2)]
    one = np.zeros(1, 'int32')
    table = HierarchicalFactors(
        n_rows, 2, one, [one], rng, features, prior_scale=scatter
    )
    found = []
    for _ in range(n_runs):
        n_columns = table.factors.shape[1]
        draw_table(rng, table, scatter, degrees=n_columns)
        table.sample_population(rng)
        mean, precision = table.mean, table.precision
        norm = squared_norm(mean[None], precision)
        conditional = 1 / np.linalg.inv(precision)[1, 1]
        reg = features[0].reg
        found.append([precision[0, 0], conditional, mean[0], norm, reg])
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


def test_a_prior_scale_of_each_column_divides_its_precision():
    scales = np.array([0.01, 4.0])
    found, n_columns = population_draws(seed=1, n_runs=2500, scatter=scales)
    expected = stats.chi2(n_columns, scale=1 / scales[0]), stats.chi2(1, scale=0.25)
    for distribution, draws in zip(expected, found):
        assert stats.kstest(draws, distribution.cdf).pvalue > 1e-5


def test_a_small_prior_scale_is_that_of_factors_and_not_of_biases():
    weak, small = (
        GibbsSampler(small_ratings(), n_factors=2, prior_scale=scale)
        for scale in (1, 0.04)
    )
    for name in ('users', 'items'):
        one, other = weak.tables[name], small.tables[name]
        assert other.prior_scale.tolist() == [0.04, 0.04, 1]
        assert np.allclose(other.factors, 0.2 * one.factors)
        assert np.diag(other.precision).tolist() == [100, 100, 4]


def run_user_precision(seed, n_runs=300, n_steps=60, n_users=4, n_ratings=3):
    "Log shapes and mean log precisions, at the beginning of each run and at its end."
    rng = np.random.default_rng(seed)
    before, after = [], []
    for _ in range(n_runs):
        shape = draw_shape(rng)
        precision = rng.gamma(shape, 1 / shape, n_users)
        before.append([np.log(shape), np.log(precision).mean()])
        for _ in range(n_steps):
            squares = (rng.normal(size=(n_users, n_ratings)) ** 2).sum(1) / precision
            counts = np.full(n_users, n_ratings)
            precision, shape = limited_precisions(squares, counts, shape, rng)
        after.append([np.log(shape), np.log(precision).mean()])
    return before, after


@pytest.mark.parametrize('n_users', [50, 1000])
def test_steps_of_the_shape_are_neither_too_long_nor_too_short(n_users):
    "A chain that hardly ever moves, or hardly moves, is right and of no use."
    rng = np.random.default_rng(0)
    n_ratings = rng.integers(5, 60, n_users)
    true_precisions = rng.gamma(5, 1 / 5, n_users)
    squares = rng.chisquare(n_ratings) / true_precisions
    shapes = [5.0]
    for _ in range(400):
        _, shape = sample_noise_precisions(squares, n_ratings, shapes[-1], rng)
        shapes.append(shape)
    share_of_moves = np.mean(np.diff(shapes) != 0)
    assert 0.2 < share_of_moves < 0.85


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
    probit, found = OrderedProbit(CATEGORIES, [-1.0, 1.0], slice_size=2), []
    for _ in range(n_steps):
        probit.sample_cutpoints(PREDICTIONS, NOISE_SD, rng)
        found.append(probit.cutpoints)
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
    probit = OrderedProbit(category, cutpoints, slice_size=n // 3)
    drawn = probit.sample_utilities(prediction, sd, rng)
    ends = np.concatenate([[-np.inf], cutpoints, [np.inf]])
    limits = [(ends[category + j] - prediction) / sd for j in (0, 1)]
    share = stats.truncnorm(*limits, prediction, sd).cdf(drawn)
    return share, category


def test_latent_utilities_are_truncated_normal():
    share, category = run_utilities(seed=0, n=8000)
    for each in np.unique(category):
        assert stats.kstest(share[category == each], 'uniform').pvalue > 1e-5


def test_tied_cutpoints_are_refused(monkeypatch):
    "No rating would lie between them, even far from where cutpoints belong."
    probit = OrderedProbit(CATEGORIES, [-1.0, 1.0])
    for tied in (0.3, 400.0):
        monkeypatch.setattr(
            gibbs._CutpointProposal, 'sample', lambda self, rng: np.array([tied, tied])
        )
        probit.sample_cutpoints(PREDICTIONS, NOISE_SD, np.random.default_rng(0))
        assert probit.cutpoints.tolist() == [-1, 1]


def test_rows_without_ratings_come_from_the_population():
    "A row with a single rating does not: its residual has to go along."
    n, rng = 4000, np.random.default_rng(0)
    rows = np.array([1, 2, 2], 'int32')
    table = HierarchicalFactors(n, 2, rows, [np.zeros(3, 'int32')], rng)
    table.mean = np.array([3.0, -1.0])
    table.precision = np.array([[4.0, 1.0], [1.0, 2.0]])
    regressor = np.array([[0.7, 1.0]], 'float32')
    residuals, precision = np.array([1, 2, -3], 'float32'), np.ones(3, 'float32')
    targets = residuals + table.factors[rows] @ regressor[0]
    table.sample_factors([regressor], residuals, precision, rng)
    fitted = table.factors[rows] @ regressor[0]
    assert np.allclose(residuals + fitted, targets, atol=1e-5)
    unrated = np.delete(table.factors, [1, 2], axis=0) - table.mean
    distances = np.einsum('ni,ij,nj->n', unrated, table.precision, unrated)
    assert stats.kstest(distances, stats.chi2(2).cdf).pvalue > 1e-5
