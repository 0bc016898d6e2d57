"Ours, in the environment that runs the benchmark."

import inspect

import numpy as np

PACKAGES = ['mf_movielens']
# the defaults of the package, spelt out so that the search does not try them twice
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
        task='rating', default=BAYES | {'time': True}, search=None, moments=True
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
    'scale': dict(
        task='scale',
        until=(1, 2, 3, 4, 6, 8, 12),
        runs=[
            ('ml-100k', 32, 10, 5),
            ('ml-100k', 64, 10, 5),
            ('1M', 50, 6, 5),
            ('10M', 50, 6, 3),
        ],
    ),
}


def load():
    global mf
    import mf_movielens as mf
    import mf_movielens.als, mf_movielens.baselines, mf_movielens.bayes, mf_movielens.encoding, mf_movielens.ease, mf_movielens.ials, mf_movielens.recommender

    for settings, fit in (
        (ALS, mf.als.fit_als),
        (IALS, mf.ials.fit_ials),
        (BAYES, mf.bayes.fit_bayes),
    ):
        known = inspect.signature(fit).parameters
        if any(known[k].default != v for k, v in settings.items()):
            raise ValueError(f'{settings} are not the defaults of {fit.__name__}')


def prepare(name, train, settings):
    Vocabulary = mf.encoding.Vocabulary
    return mf.encoding.Ratings(
        train.u,
        train.i,
        train.r,
        Vocabulary(np.arange(train.n_users), 'user'),
        Vocabulary(np.arange(train.n_items)),
        (train.low, train.high),
        train.t,
    ), {'users': train.side_users, 'items': train.side_items}


def fit(name, data, settings):
    return {'factors': factors(name, *data, settings), 'ratings': data[0]}


def factors(name, data, side, settings):
    if name.startswith('Bayes'):
        return mf.bayes.fit_bayes(
            data, None if name == 'Bayes' else side, progress=False, **settings
        )
    if name in ('ALS', 'ALS by predicted rating'):
        return mf.als.fit_als(data, **settings)
    if name == 'scale':
        return mf.als.fit_als(
            data, settings['factors'], n_iterations=settings['rounds']
        )
    if name == 'Keras':
        return mf.recommender.Recommender.fit(data, solver='keras').factors
    if name == 'damped biases':
        return mf.baselines.damped_biases(data)
    if name == 'popularity':
        return mf.baselines.popularity(data)
    if name == 'iALS':
        return mf.ials.fit_ials(data, **settings)
    return mf.ease.fit_ease(data, kind=name.split()[1], **settings)


def predict(name, model, u, i, *t):
    return model['factors'].predict(u, i, *t)


def scores(name, model, users):
    return model['factors'].scores(users)


def top(name, model, users, n):
    if 'recommender' not in model:
        model['recommender'] = mf.recommender.Recommender.of(
            model['factors'], model['ratings']
        )
    return model['recommender'].recommend(users, n)
