"""Randomness comes from the seed alone: equal seeds repeat, different seeds differ.

That every function with a `seed` is in the tables below is a test, too.
"""

import importlib
import inspect
import pkgutil
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array
from typer.testing import CliRunner

import mf_movielens
from mf_movielens.als import fit_als
from mf_movielens.bayes import fit_bayes
from mf_movielens.blend import fit_blend
from mf_movielens.cli import app
from mf_movielens.data import synthetic
from mf_movielens.encoding import Ratings, Vocabulary
from mf_movielens.evaluation import AlignedRatings, fold_in_part
from mf_movielens.ials import fit_ials
from mf_movielens.metrics import compare_errors, error_interval, mean_interval
from mf_movielens.recommender import Recommender
from mf_movielens.shards import shard_file, write_shards
from mf_movielens.solvers import SOLVERS
from mf_movielens.splits import random_split, user_split
from mf_movielens.tuning import tune_settings

N_USERS, N_ITEMS = 30, 20
SEEDS = (0, 1, 2)
# what makes a fit of each solver short
# EASE has a closed form, and no seed.
WITH_SEED = [name for name, solver in SOLVERS.items() if 'seed' in solver.defaults]
SHORT = {
    'als': {'n_factors': 3, 'n_iterations': 2},
    'ials': {'n_factors': 3, 'n_iterations': 2},
    'blend': {'n_factors': 3, 'n_iterations': 2},
    'keras': {'n_factors': 3, 'n_iterations': 1},
    'bayes': {'n_factors': 3, 'n_burn_in': 1, 'n_samples': 2, 'progress': False},
}


def drawn_ratings():
    rng = np.random.default_rng(5)
    user_ix, item_ix = np.nonzero(rng.random((N_USERS, N_ITEMS)) < 0.4)
    return Ratings(
        user_ix.astype('int32'),
        item_ix.astype('int32'),
        rng.integers(1, 6, len(user_ix)).astype('float32'),
        Vocabulary(range(N_USERS), 'user'),
        Vocabulary(range(N_ITEMS)),
        (1, 5),
    )


RATINGS = drawn_ratings()
POSTERIOR = fit_bayes(RATINGS, **SHORT['bayes'])
HISTORY = csr_array(([5.0, 1.0], ([0, 0], [0, 3])), shape=(1, N_ITEMS))
NEW_USERS = RATINGS.take(RATINGS.user_ix >= 18)
OF_OTHERS = Recommender.fit(RATINGS.take(RATINGS.user_ix < 18), **SHORT['ials'])
ERRORS = np.random.default_rng(6).normal(3, 1, (3, 40))


def factors_of(predictor):
    return [predictor.user_factors, predictor.item_factors]


def rows_of(*parts):
    return [np.stack([p.user_ix, p.item_ix]) for p in parts]


def network(seed):
    from mf_movielens.model import RecommenderNet

    return [w.numpy() for w in RecommenderNet(9, 8, 2, seed=seed).weights[::2]]


def trained(seed):
    from mf_movielens.training import RECIPES, train_net

    recipe = replace(RECIPES['tuned'], **SHORT['keras'])
    return factors_of(train_net(RATINGS, recipe, seed=seed).factors)


def new_user(seed):
    folded = POSTERIOR.fold_in(HISTORY, seed=seed)
    return [folded.user_samples, folded.user_noise_scale]


def folded_in_part(seed):
    held_out = fold_in_part(
        OF_OTHERS.predictor, AlignedRatings(NEW_USERS, 0), 0.5, seed=seed
    )
    return rows_of(held_out.test.ratings)


def judged(seed):
    return [OF_OTHERS.evaluate(NEW_USERS, folded_in=0.5, seed=seed).ndcg]


def judged_users(seed):
    rows = OF_OTHERS.evaluate_users(NEW_USERS, folded_in=0.5, seed=seed)
    return [rows.ndcg.fillna(0)]


def judged_both(seed):
    total, rows = OF_OTHERS.evaluate_both(NEW_USERS, folded_in=0.5, seed=seed)
    return [total.ndcg, rows.ndcg.fillna(0)]


def held_out_ndcg(tune, seed):
    return tune(RATINGS, solver='ials', trials=1, seed=seed).trials.ndcg


def order_of_shards(folder, seed):
    shards = write_shards(RATINGS, folder / 'dealt', 100, seed=0)
    return rows_of(*shards.shuffled(seed, 0))[:1]


def dealt(folder, seed):
    return rows_of(write_shards(RATINGS, folder / 'dealt', 100, seed=seed).load())


def dealt_file(folder, seed):
    path = folder / 'ratings.csv'
    RATINGS.to_frame().to_csv(path, index=False)
    return rows_of(shard_file(path, folder / 'dealt', 3, seed=seed).read(0))


# module.function: what a seed gives, as arrays that all depend on it
SEEDED = {
    'als.fit_als': lambda s: factors_of(fit_als(RATINGS, seed=s, **SHORT['als'])),
    'ials.fit_ials': lambda s: factors_of(fit_ials(RATINGS, seed=s, **SHORT['ials'])),
    'blend.fit_blend': lambda s: factors_of(
        fit_blend(RATINGS, seed=s, **SHORT['blend'])
    ),
    'tuning.tune_settings': lambda s: [held_out_ndcg(tune_settings, s)],
    'recommender.Recommender.tune': lambda s: [held_out_ndcg(Recommender.tune, s)],
    'bayes.fit_bayes': lambda s: factors_of(
        fit_bayes(RATINGS, seed=s, **SHORT['bayes'])
    ),
    'training.train_net': trained,
    'model.RecommenderNet.__init__': network,
    'posterior.Posterior.fold_in': new_user,
    'splits.random_split': lambda s: rows_of(*random_split(RATINGS, seed=s)),
    'splits.user_split': lambda s: rows_of(*user_split(RATINGS, 0.4, seed=s)),
    'evaluation.fold_in_part': folded_in_part,
    'recommender.Recommender.evaluate': judged,
    'recommender.Recommender.evaluate_both': judged_both,
    'recommender.Recommender.evaluate_users': judged_users,
    'data.synthetic': lambda s: [synthetic(seed=s).ratings.rating.to_numpy()],
    'metrics.error_interval': lambda s: [error_interval(*ERRORS[:2], seed=s)[1:]],
    'metrics.compare_errors': lambda s: [compare_errors(*ERRORS, seed=s)[1:]],
    'metrics.mean_interval': lambda s: [mean_interval(ERRORS[0], seed=s)[1:]],
}
IN_A_FOLDER = {
    'shards.write_shards': dealt,
    'shards.shard_file': dealt_file,
    'shards.Shards.shuffled': order_of_shards,
}
ELSEWHERE = {
    'solvers.fit_keras',  # by way of `Recommender.fit`
    'spark.fit_spark',  # too slow to be fitted nine times
    'training.TrainingRun.__init__',  # keeps what `train_net` hands over
    'validation.check_seed',
}


def assert_seeds_matter(made):
    "`made` gives arrays for a seed: the same ones again, and others for other seeds."
    first, again = ([made(s) for s in SEEDS] for _ in range(2))
    for arrays, repeated in zip(first, again):
        for one, two in zip(arrays, repeated, strict=True):
            assert np.array_equal(one, two)
    for arrays in zip(*first, strict=True):
        for j, one in enumerate(arrays):
            for other in arrays[:j]:
                assert not np.array_equal(one, other)


@pytest.mark.parametrize('name', SEEDED)
def test_equal_seeds_repeat_and_others_differ(name):
    assert_seeds_matter(SEEDED[name])


@pytest.mark.parametrize('name', IN_A_FOLDER)
def test_equal_seeds_write_the_same_shards_and_others_do_not(name, tmp_path_factory):
    pytest.importorskip('pyarrow', reason='shards need pyarrow')
    assert_seeds_matter(lambda s: IN_A_FOLDER[name](tmp_path_factory.mktemp('s'), s))


@pytest.mark.parametrize('solver', WITH_SEED)
def test_a_recommender_hands_its_seed_to_the_solver(solver):
    def fit(seed):
        model = Recommender.fit(RATINGS, solver, seed=seed, **SHORT[solver])
        assert model.settings['seed'] == seed
        return factors_of(model.predictor)

    assert_seeds_matter(fit)


def test_the_command_line_hands_its_seed_to_the_solver(tmp_path):
    path = tmp_path / 'ratings.csv'
    RATINGS.to_frame().to_csv(path, index=False)

    def fit(seed):
        out = tmp_path / str(seed)
        words = ['train', path, '--solver', 'als', '--n-factors', 3, '--seed', seed]
        words += ['--no-evaluate', '--out', out]
        answer = CliRunner().invoke(app, [str(w) for w in words])
        assert not answer.exit_code, answer.output
        return factors_of(Recommender.load(out / 'model.npz').predictor)

    assert_seeds_matter(fit)


def public_functions():
    "(module.name, function) of all that the package's modules offer, methods too."
    for module in pkgutil.iter_modules(mf_movielens.__path__):
        if module.name.startswith('_'):
            continue
        found = importlib.import_module(f'mf_movielens.{module.name}')
        for name in getattr(found, '__all__', ()):
            value = getattr(found, name)
            if getattr(value, '__module__', None) != found.__name__:
                continue
            if inspect.isfunction(value):
                yield f'{module.name}.{name}', value
            for key, method in vars(value).items() if inspect.isclass(value) else ():
                method = getattr(method, '__func__', method)
                if inspect.isfunction(method):
                    yield f'{module.name}.{name}.{key}', method


def test_every_function_with_a_seed_is_tested():
    seeded = {
        name
        for name, function in public_functions()
        if 'seed' in inspect.signature(function).parameters
    }
    assert seeded == {*SEEDED, *IN_A_FOLDER, *ELSEWHERE}
