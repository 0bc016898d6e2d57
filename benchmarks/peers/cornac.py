"""cornac: https://cornac.preferred.ai."""

import numpy as np

PACKAGES = ['cornac==3.0.1', 'numpy==2.4.6', 'threadpoolctl==3.8.0']
MODELS = {
    'MF': dict(
        task='rating',
        default={'k': 10, 'max_iter': 20, 'learning_rate': 0.01, 'lambda_reg': 0.02},
        variants={
            'known': {
                'k': 50,
                'max_iter': 100,
                'learning_rate': 0.01,
                'lambda_reg': 0.1,
            }
        },
        search={
            'k': [10, 20, 50, 100],
            'max_iter': [20, 50, 100],
            'learning_rate': [0.005, 0.01, 0.02],
            'lambda_reg': [0.02, 0.05, 0.1, 0.15],
        },
    ),
    'BaselineOnly': dict(
        task='rating',
        default={'max_iter': 20, 'learning_rate': 0.01, 'lambda_reg': 0.02},
        search={
            'max_iter': [20, 50, 100],
            'learning_rate': [0.002, 0.005, 0.01],
            'lambda_reg': [0.02, 0.05, 0.1],
        },
    ),
    'EASE': dict(
        task='ranking',
        default={'lamb': 500, 'posB': True},
        search={
            'lamb': [50, 100, 150, 250, 350, 500, 700, 1000],
            'posB': [True, False],
        },
    ),
    'BPR': dict(
        task='ranking',
        default={'k': 10, 'max_iter': 100, 'learning_rate': 0.001, 'lambda_reg': 0.01},
        search={
            'k': [10, 20, 50],
            'max_iter': [100, 200, 400],
            'learning_rate': [0.001, 0.005, 0.02, 0.05],
            'lambda_reg': [0.001, 0.01, 0.03],
        },
    ),
    # an iteration is one epoch of stochastic gradient descent
    'scale MF': dict(
        task='scale rating',
        factors={'ml-100k': (50,), '1M': (50,), '10M': (50,)},
        rounds={
            'ml-100k': (1, 10, 20, 40, 60, 80, 100),
            '1M': (1, 2, 4, 8, 16, 32),
            '10M': (1, 2, 4, 8, 16, 32),
        },
    ),
}


def load():
    global cornac
    import cornac


def prepare(name, train, settings):
    if MODELS[name]['task'] == 'ranking':
        rows = np.flatnonzero(train.rating >= 4)
        rating = np.ones(len(rows), 'float32')
    else:
        rows = slice(None)
        rating = train.rating
    user_ix = train.user_ix[rows].astype('int64')
    item_ix = train.item_ix[rows].astype('int64')
    user_ids = {j: j for j in range(train.n_users)}
    item_ids = {j: j for j in range(train.n_items)}
    data = cornac.data.Dataset(
        train.n_users,
        train.n_items,
        user_ids,
        item_ids,
        (user_ix, item_ix, rating),
        seed=0,
    )
    # what is made at the first look belongs to the preparation
    _ = data.uir_tuple
    return data


def fit(name, data, settings):
    if name != 'scale MF':
        kind = getattr(cornac.models, name)
        return kind(seed=0, verbose=False, **settings).fit(data)
    return cornac.models.MF(
        k=settings['n_factors'],
        max_iter=settings['n_iterations'],
        learning_rate=0.01,
        lambda_reg=0.1,
        use_bias=True,
        early_stop=False,
        seed=settings.get('seed', 0),
        verbose=False,
    ).fit(data)


def predict(name, model, user_ix, item_ix):
    biases = model.global_mean + model.u_biases[user_ix] + model.i_biases[item_ix]
    if name == 'BaselineOnly':
        return biases
    user_factors, item_factors = model.u_factors[user_ix], model.i_factors[item_ix]
    return biases + np.einsum('nk,nk->n', user_factors, item_factors)


def scores(name, model, users):
    return np.array([np.ravel(model.score(int(user))) for user in users])


def top(name, model, users, k):
    return [
        model.recommend(int(user), k=k, remove_seen=True, train_set=model.train_set)
        for user in users
    ]
