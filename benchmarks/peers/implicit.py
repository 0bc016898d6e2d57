"""implicit: https://benfred.github.io/implicit."""

import time

import numpy as np

PACKAGES = ['implicit==0.7.3', 'numpy==2.4.6', 'threadpoolctl==3.8.0', 'pandas==3.1.1']
ALS = {
    'factors': 100,
    'regularization': 0.01,
    'alpha': 1.0,
    'iterations': 15,
    'ratings': 'all',
}
MODELS = {
    'ALS': dict(
        task='ranking',
        default=ALS,
        variants={
            'known': ALS | {'factors': 32, 'regularization': 10.0, 'ratings': 'liked'}
        },
        search={
            'factors': [16, 32, 64, 128],
            'regularization': [0.01, 0.1, 1.0, 3.0, 10.0, 30.0],
            'alpha': [1.0, 5.0, 20.0],
            'iterations': [15, 30],
            'ratings': ['liked', 'all'],
        },
    ),
    'scale ALS': dict(task='scale ranking'),
    'search': dict(task='outside', default=None),
}


def load():
    global AlternatingLeastSquares, csr_matrix, ndcg_at_k
    from implicit.als import AlternatingLeastSquares
    from implicit.evaluation import ndcg_at_k
    from scipy.sparse import csr_matrix
    from threadpoolctl import threadpool_limits

    # as it advises
    threadpool_limits(1, 'blas')


def prepare(name, train, settings):
    """The matrix to fit to, and the one of all that each user has rated."""
    shape = (train.n_users, train.n_items)
    all_ratings = csr_matrix((train.rating, (train.user_ix, train.item_ix)), shape)
    if settings.get('ratings') != 'liked':
        return all_ratings, all_ratings
    is_liked = train.rating >= 0.25 * train.low + 0.75 * train.high
    pairs = (train.user_ix[is_liked], train.item_ix[is_liked])
    likes = csr_matrix((np.ones(is_liked.sum(), 'float32'), pairs), shape)
    return likes, all_ratings


def fit(name, data, settings):
    fitted_ratings, all_ratings = data
    settings = dict(settings)
    settings.pop('ratings', None)
    if name == 'scale ALS':
        settings = scale_settings(settings)
    model = AlternatingLeastSquares(**{'random_state': 0} | settings)
    model.fit(fitted_ratings, show_progress=False)
    return model, all_ratings


def draw_settings(rng, has_dislikes):
    """Settings in the ranges in which the good ones of many data sets lie."""
    return {
        'factors': int(rng.choice([32, 64, 128, 256])),
        'regularization': float(10 ** rng.uniform(-3, 2)),
        'alpha': float(10 ** rng.uniform(0, 2)),
        'iterations': int(rng.choice([8, 15, 30])),
        'ratings': str(rng.choice(['liked', 'all'])) if has_dislikes else 'liked',
    }


def tune(name, train, valid, seconds):
    """The best settings of a random search, and how many were tried.

    It has no search of its own; its defaults come first.
    """
    rng = np.random.default_rng(0)
    held_out, _ = prepare(name, valid, {'ratings': 'liked'})
    end = time.monotonic() + seconds
    best, n_trials, settings = (-1.0, ALS), 0, ALS
    while time.monotonic() < end:
        model, known = fit(name, prepare(name, train, settings), settings)
        figure = ndcg_at_k(model, known, held_out, K=10, show_progress=False)
        best = max(best, (figure, settings), key=lambda tried: tried[0])
        settings = draw_settings(rng, train.low < train.high)
        n_trials += 1
    return best[1], n_trials


def scale_settings(settings):
    """Settings with the minimum of `ials_objective`, but for the length of the factors.

    implicit weighs each pair with 1, and those that are rated with c, which lets their
    scores be 1; ours lets them be 1 / (1 + alpha).
    """
    c = 1 + 1 / settings['alpha']
    return {
        'factors': settings['n_factors'],
        'iterations': settings['n_iterations'],
        'alpha': c,
        'regularization': c * settings['l2'],
        'num_threads': settings['n_threads'] or 0,
        'random_state': settings.get('seed', 0),
    }


def factors(name, model):
    """The factors, as long as ours are."""
    als, _ = model
    length = np.float32(np.sqrt(1 - 1 / als.alpha))
    return length * als.user_factors, length * als.item_factors


def scores(name, model, users):
    als, _ = model
    return als.user_factors[users] @ als.item_factors.T


def top(name, model, users, k):
    als, all_ratings = model
    return als.recommend(users, all_ratings[users], N=k)
