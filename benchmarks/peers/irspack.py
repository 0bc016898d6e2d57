"""irspack: https://irspack.readthedocs.io."""

PACKAGES = [
    'irspack==0.5.2',
    'numpy==2.4.6',
    'scipy==1.17.1',
    'pandas==3.1.1',
    'threadpoolctl==3.8.0',
]
SOLVERS = {'scale iALS, CG': 'CG', 'scale iALS++': 'IALSPP'}
MODELS = {name: dict(task='scale ranking') for name in SOLVERS}


def load():
    global IALSRecommender, csr_matrix
    from irspack import IALSRecommender
    from scipy.sparse import csr_matrix


def prepare(name, train, settings):
    pairs = (train.user_ix, train.item_ix)
    return csr_matrix((train.rating, pairs), (train.n_users, train.n_items))


def fit(name, likes, settings):
    """With `nu=0`, `reg` is the same for each row, as `damping` is in our iALS.

    The other settings are the defaults: three steps of conjugate gradients, or blocks
    of 64 factors in iALS++.
    """
    model = IALSRecommender(
        likes,
        n_components=settings['n_factors'],
        alpha0=settings['alpha'],
        reg=settings['l2'],
        nu=0.0,
        solver_type=SOLVERS[name],
        train_epochs=settings['n_iterations'],
        n_threads=settings['n_threads'],
        random_seed=settings.get('seed', 0),
    )
    return model.learn()


def factors(name, model):
    return model.get_user_embedding(), model.get_item_embedding()


def scores(name, model, users):
    user_factors, item_factors = factors(name, model)
    return user_factors[users] @ item_factors.T
