"https://benfred.github.io/implicit"

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
    # it ranks, and does not predict ratings
    'scale': dict(
        task='scale', rates=False, runs=[('1M', 50, 6, 5), ('10M', 50, 6, 3)]
    ),
}


def load():
    global AlternatingLeastSquares, csr_matrix
    from implicit.als import AlternatingLeastSquares
    from scipy.sparse import csr_matrix
    from threadpoolctl import threadpool_limits

    threadpool_limits(1, 'blas')  # as it advises


def prepare(name, train, settings):
    every, liked = (
        csr_matrix((train.r, (train.u, train.i)), (train.n_users, train.n_items)),
        train.r >= 4,
    )
    if settings.get('ratings') != 'liked':
        return every, every
    return csr_matrix(
        (np.ones(liked.sum(), 'float32'), (train.u[liked], train.i[liked])), every.shape
    ), every


def fit(name, data, settings):
    table, every = data
    settings = (
        dict(factors=settings['factors'], iterations=settings['rounds'])
        if name == 'scale'
        else {k: v for k, v in settings.items() if k != 'ratings'}
    )
    model = AlternatingLeastSquares(random_state=0, **settings)
    model.fit(table, show_progress=False)
    return model, every


def scores(name, model, users):
    return model[0].user_factors[users] @ model[0].item_factors.T


def top(name, model, users, n):
    return model[0].recommend(users, model[1][users], N=n)
