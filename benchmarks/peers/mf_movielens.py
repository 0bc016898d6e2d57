"""This package, in the environment that runs the benchmark."""

import inspect
from dataclasses import replace

import numpy as np

PACKAGES = ['mf_movielens']
# The numbers with which the committed tables were measured, in full so that the search
# does not try them twice. What follows from the data by default is close to them.
ALS = {'n_factors': 64, 'reg': 0.08, 'damping': 4, 'n_iterations': 10}
IALS = {'n_factors': 64, 'reg': 0.02, 'damping': 4, 'alpha': 0.4, 'n_iterations': 8}
BAYES = {
    'n_factors': 14,
    'n_burn_in': 30,
    'n_samples': 270,
    'likelihood': 'probit',
    'implicit': True,
    'user_noise': True,
}
MODELS = {
    'ALS': dict(
        task='rating',
        default=ALS,
        search={
            'n_factors': [16, 32, 64, 128],
            'reg': [0.04, 0.06, 0.08, 0.12],
            'damping': [0, 2, 4, 8],
            'n_iterations': [10, 20],
        },
    ),
    'Bayes': dict(task='rating', default=BAYES | {'time': False}, search=None),
    'Bayes, all that is known': dict(
        task='rating', default=BAYES | {'time': True}, search=None, uses_timestamps=True
    ),
    'Bayes, all but the moment': dict(
        task='rating', default=BAYES | {'time': True}, search=None
    ),
    'Keras': dict(task='rating', default={}, search=None),
    'damped biases': dict(task='rating', default={}, search=None),
    'iALS': dict(
        task='ranking',
        default=IALS,
        search={
            'n_factors': [32, 64, 128],
            'reg': [0.01, 0.02, 0.04],
            'damping': [2, 4, 8],
            'alpha': [0.2, 0.4, 0.8],
            'n_iterations': [5, 8, 12],
        },
    ),
    'EASE graded': dict(
        task='ranking',
        default={'reg': 200},
        search={'reg': [50, 100, 200, 300, 400, 600, 800, 1200]},
    ),
    'EASE binary': dict(
        task='ranking',
        default={'reg': 200},
        search={'reg': [50, 100, 200, 300, 400, 600, 800, 1200]},
    ),
    'popularity': dict(task='ranking', default={}, search=None),
    'ALS by predicted rating': dict(task='ranking', default=ALS, search=None),
    'scale ALS': dict(
        task='scale rating',
        factors={'ml-100k': (32, 50, 64), '1M': (32, 50, 64, 128), '10M': (32, 50, 64)},
        rounds={
            'ml-100k': (1, 2, 3, 4, 6, 8, 10),
            '1M': (1, 2, 3, 4, 6),
            '10M': (1, 2, 3, 4, 6),
        },
        threads=(None, 1),
    ),
    'scale iALS': dict(task='scale ranking', threads=(None, 1)),
    # what `Recommender.tune` and `Recommender.fit` give
    'search': dict(task='outside', default=None),
    'iALS by default': dict(task='outside', default={'solver': 'ials'}),
    'EASE by default': dict(
        task='outside', default={'solver': 'ease'}, most_items=20_000
    ),
    'nearest neighbors by default': dict(task='outside', default={'solver': 'knn'}),
    'blend by default': dict(task='outside', default={'solver': 'blend'}),
    'popular items': dict(task='outside', default={}),
    'features': dict(task='cold', default={}),
    'popularity by genre': dict(
        task='cold', default={'damping': 100.0}, most_trials=20
    ),
    'Bayes by default': dict(task='outside rating', default={'solver': 'bayes'}),
    'ALS by default': dict(task='outside rating', default={'solver': 'als'}),
    'biases by default': dict(task='outside rating', default={}),
}
# What is compiled at its first use on a machine, and kept.
COMPILES = True


def load():
    """Import the package, and check that the settings of Bayes are its defaults.

    Tiny fits load what is compiled, or compile it.
    """
    global als, baselines, bayes, ease, encoding, ials, recommender, solvers, tuning
    from mf_movielens import (
        als,
        baselines,
        bayes,
        ease,
        encoding,
        ials,
        recommender,
        solvers,
        tuning,
    )

    parameters = inspect.signature(bayes.fit_bayes).parameters
    # None: by the data, which gives the same for the stars of MovieLens
    if any(parameters[k].default not in (v, None) for k, v in BAYES.items()):
        raise ValueError(f'{BAYES} are not the defaults of fit_bayes')
    few = np.arange(8, dtype='int32')
    vocabulary = encoding.Vocabulary(few)
    stars = encoding.Ratings(few, few, 1 + few % 2.0, vocabulary, vocabulary, (1, 2))
    als.fit_als(stars, n_factors=4, n_iterations=1, progress=False)
    ials.fit_ials(stars, n_factors=4, n_iterations=1, progress=False)


def draw(name, rng):
    """Settings at random, from wide ranges around what follows from the data."""
    if name == 'popularity by genre':
        return {'damping': float(np.exp(rng.uniform(0, np.log(10_000))))}
    return {
        'words': float(rng.choice([0, 0.5, 1, 2])),
        'n_factors': int(rng.choice([16, 32, 64, 128])),
        'reg': float(np.exp(rng.uniform(np.log(0.001), np.log(0.2)))),
        'damping': float(np.exp(rng.uniform(0, np.log(20)))),
        'alpha': float(np.exp(rng.uniform(np.log(0.05), np.log(1.5)))),
        'feature_reg': float(np.exp(rng.uniform(np.log(3), np.log(300)))),
        'n_iterations': int(rng.choice([4, 8, 16])),
    }


def fit_cold(name, data, settings):
    """Factors with features, or scores by genre."""
    ratings, side = data
    names, values = side['names'], side['items']
    if name == 'popularity by genre':
        has_genre = values[:, np.char.startswith(names, 'genres: ')]
        return scores_by_genre(ratings, has_genre, settings['damping'])
    own = dict(settings)
    words = own.pop('words', 1.0)
    weights = np.where(np.char.startswith(names, 'title: '), words, 1)
    return ials.fit_ials(
        ratings, item_features=values * weights, n_threads=1, progress=False, **own
    ).scores(np.arange(len(ratings.users)))


def scores_by_genre(ratings, has_genre, damping):
    """How often each user likes a film of its genres, damped towards all users."""
    likes = ratings.rating >= 0.25 * ratings.scale[0] + 0.75 * ratings.scale[1]
    of_users = np.zeros((len(ratings.users), has_genre.shape[1]))
    np.add.at(of_users, ratings.user_ix[likes], has_genre[ratings.item_ix[likes]])
    is_rated = np.bincount(ratings.item_ix, minlength=len(has_genre)) > 0
    n_films = np.maximum(has_genre[is_rated].sum(0), 1)
    everybody = of_users.mean(0) / n_films
    rates = (of_users + damping * everybody) / (n_films + damping)
    return rates @ has_genre.T / np.maximum(has_genre.sum(1), 1)


def prepare(name, train, settings):
    """The ratings, and the side features."""
    ratings = encoding.Ratings(
        train.user_ix,
        train.item_ix,
        train.rating,
        encoding.Vocabulary(np.arange(train.n_users), 'user'),
        encoding.Vocabulary(np.arange(train.n_items)),
        (train.low, train.high),
        train.timestamp,
    )
    return ratings, {
        'users': train.user_features,
        'items': train.item_features,
        'names': train.feature_names,
    }


def fit(name, data, settings):
    """The predictor and the ratings; `top` adds the recommender made of them."""
    if MODELS[name]['task'] == 'cold':
        return fit_cold(name, data, settings)
    ratings, side = data
    predictor = fit_predictor(name, ratings, side, settings)
    return {'predictor': predictor, 'ratings': ratings}


def tune(name, train, valid, seconds):
    """The solver and the settings that our own search finds; it holds out by itself."""
    columns = ('user_ix', 'item_ix', 'rating')
    both = {c: np.concatenate([getattr(train, c), getattr(valid, c)]) for c in columns}
    ratings, _ = prepare(name, replace(train, **both, timestamp=None), {})
    found = tuning.tune_settings(ratings, seconds=seconds, progress=False)
    settings = {k: v for k, v in found.settings.items() if v is not None}
    return settings | {'solver': found.solver}, len(found.trials)


def fit_predictor(name, ratings, side, settings):
    if 'solver' in settings:
        settings = dict(settings)
        return solvers.SOLVERS[settings.pop('solver')].fit(ratings, **settings)
    if name == 'scale iALS':
        return ials.fit_ials(ratings, reg=1e-6, **scale_settings(settings))
    if name == 'scale ALS' or name.startswith('ALS'):
        return als.fit_als(ratings, **als_settings(settings))
    if name.startswith('Bayes'):
        features = None if name == 'Bayes' else side
        return bayes.fit_bayes(ratings, features, progress=False, **settings)
    if name == 'iALS':
        return ials.fit_ials(ratings, **settings)
    if name.startswith('EASE'):
        return ease.fit_ease(ratings, kind=name.split()[1], **settings)
    if name == 'Keras':
        return recommender.Recommender.fit(ratings, solver='keras').predictor
    if 'biases' in name:
        return baselines.damped_biases(ratings)
    return baselines.popularity(ratings)


def als_settings(settings):
    """Those of `fit_als`, with one damping for factors and biases."""
    full = ALS | {'bias_reg': 0.02} | settings
    return full | {'factor_damping': full['damping']}


def scale_settings(settings):
    """Those of `fit_ials`, with all of the regularization in its constant part."""
    return {
        'n_factors': settings['n_factors'],
        'n_iterations': settings['n_iterations'],
        'n_threads': settings['n_threads'],
        'seed': settings.get('seed', 0),
        'alpha': settings['alpha'],
        'damping': settings['l2'],
    }


def factors(name, model):
    predictor = model['predictor']
    return predictor.user_factors, predictor.item_factors


def predict(name, model, user_ix, item_ix, *timestamp):
    return model['predictor'].predict(user_ix, item_ix, *timestamp)


def scores(name, model, users):
    if MODELS[name]['task'] == 'cold':
        return model[users]
    return model['predictor'].scores(users)


def top(name, model, users, k):
    if 'recommender' not in model:
        parts = model['predictor'], model['ratings']
        model['recommender'] = recommender.Recommender.of(*parts)
    return model['recommender'].recommend(users, k)
