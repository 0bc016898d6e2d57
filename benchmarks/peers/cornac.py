"https://cornac.preferred.ai"

import numpy as np

PACKAGES = ['cornac==3.0.1', 'numpy==2.4.6']
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
    # one round is one epoch of stochastic gradient descent
    'scale': dict(
        task='scale',
        until=(1, 2, 4, 8, 16, 32),
        runs=[('ml-100k', 50, 100, 5), ('1M', 50, 6, 5), ('10M', 50, 6, 3)],
    ),
}


def load():
    global cornac
    import cornac


def prepare(name, train, settings):
    liked = MODELS[name]['task'] == 'ranking'
    rows = np.flatnonzero(train.r >= 4) if liked else slice(None)
    r = np.ones(len(rows), 'float32') if liked else train.r
    ids = [{j: j for j in range(n)} for n in (train.n_users, train.n_items)]
    data = cornac.data.Dataset(
        train.n_users,
        train.n_items,
        *ids,
        (train.u[rows].astype('int64'), train.i[rows].astype('int64'), r),
        seed=0,
    )
    data.uir_tuple
    return data


def fit(name, data, settings):
    kinds = {
        'MF': cornac.models.MF,
        'BaselineOnly': cornac.models.BaselineOnly,
        'EASE': cornac.models.EASE,
        'BPR': cornac.models.BPR,
    }
    if name != 'scale':
        return kinds[name](seed=0, verbose=False, **settings).fit(data)
    return cornac.models.MF(
        k=settings['factors'],
        max_iter=settings['rounds'],
        learning_rate=0.01,
        lambda_reg=0.1,
        use_bias=True,
        early_stop=False,
        seed=0,
        verbose=False,
    ).fit(data)


def predict(name, m, u, i):
    biases = m.global_mean + m.u_biases[u] + m.i_biases[i]
    return (
        biases
        if name == 'BaselineOnly'
        else biases + np.einsum('nk,nk->n', m.u_factors[u], m.i_factors[i])
    )


def scores(name, model, users):
    return np.array([np.ravel(model.score(int(user))) for user in users])


def top(name, model, users, n):
    return [
        model.recommend(int(user), k=n, remove_seen=True, train_set=model.train_set)
        for user in users
    ]
