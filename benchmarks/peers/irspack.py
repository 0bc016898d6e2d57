"""irspack: https://irspack.readthedocs.io."""

import numpy as np

PACKAGES = [
    'irspack==0.5.2',
    'numpy==2.4.6',
    'scipy==1.17.1',
    'pandas==3.1.1',
    'threadpoolctl==3.8.0',
    'optuna==4.5.0',
]
SOLVERS = {'scale iALS, CG': 'CG', 'scale iALS++': 'IALSPP'}
MODELS = {name: dict(task='scale ranking') for name in SOLVERS} | {
    'iALS': dict(task='outside', default=None),
    'feature-aware iALS': dict(
        task='cold',
        # its default `alpha0` is 0, with which a new item has no embedding
        default={
            'ratings': 'all',
            'words': 1.0,
            'alpha0': 0.1,
            'lambda_item_feature': 1.0,
        },
    ),
}
# more than there is time for
MOST_TRIALS = 10_000


def load():
    global IALSRecommender, Evaluator, csr_matrix
    from irspack import Evaluator, IALSRecommender
    from scipy.sparse import csr_matrix


def prepare(name, train, settings):
    """The matrix of all ratings, or of those that are liked, as ones."""
    rows = slice(None)
    if settings.get('ratings') == 'liked':
        rows = train.rating >= 0.25 * train.low + 0.75 * train.high
    pairs = (train.user_ix[rows], train.item_ix[rows])
    ones = np.ones(len(pairs[0]), 'float32')
    likes = csr_matrix((ones, pairs), (train.n_users, train.n_items))
    if name == 'feature-aware iALS':
        return likes, cold_features(train, settings)
    return likes


def tune(name, train, valid, seconds):
    """What its own search finds in its own ranges, and the number of trials.

    It chooses between all ratings and those that are liked as well.
    """
    kinds = ['all'] if train.low == train.high else ['liked', 'all']
    likes = {kind: prepare(name, train, {'ratings': kind}) for kind in kinds}
    judge = Evaluator(
        prepare(name, valid, {'ratings': 'liked'}),
        cutoff=10,
        masked_interactions=likes['all'],
    )
    found, trials = IALSRecommender.tune(
        None,
        judge,
        data_suggest_function=lambda t: likes[t.suggest_categorical('ratings', kinds)],
        n_trials=MOST_TRIALS,
        timeout=seconds,
        tuning_random_seed=0,
    )
    plain = {k: v.item() if hasattr(v, 'item') else v for k, v in found.items()}
    return plain, len(trials)


def draw(name, rng):
    """Settings at random: its own ranges, and wide ones for what these lack."""
    return {
        'ratings': str(rng.choice(['liked', 'all'])),
        'words': float(rng.choice([0, 0.5, 1, 2])),
        'n_components': int(rng.choice([8, 16, 32, 64, 128])),
        'alpha0': float(np.exp(rng.uniform(np.log(3e-3), 0.7))),
        'reg': float(np.exp(rng.uniform(np.log(1e-4), np.log(0.3)))),
        'nu': float(rng.choice([0.5, 1.0])),
        'lambda_item_feature': float(np.exp(rng.uniform(np.log(0.1), np.log(1000)))),
        'feature_warmup_epochs': int(rng.choice([0, 2])),
        'train_epochs': int(rng.choice([4, 8, 16])),
    }


def cold_features(train, settings):
    """The features, with a constant, and the words of titles at some weight."""
    is_word = np.char.startswith(train.feature_names, 'title: ')
    values = train.item_features * np.where(is_word, settings['words'], 1)
    ones = np.ones((train.n_items, 1))
    return csr_matrix(np.hstack([ones, values]), dtype='float32')


def fit_cold(data, settings):
    """The model of the items that somebody has rated, and the features of all."""
    likes, features = data
    rated = np.flatnonzero(np.asarray(likes.sum(0)).ravel())
    own = {k: v for k, v in settings.items() if k not in ('ratings', 'words')}
    model = IALSRecommender(
        likes[:, rated], item_features=features[rated], n_threads=1, **own
    )
    return model.learn(), features


def fit(name, data, settings):
    if name == 'feature-aware iALS':
        return fit_cold(data, settings)
    return fit_likes(name, data, settings)


def fit_likes(name, likes, settings):
    if name == 'iALS':
        settings = {k: v for k, v in settings.items() if k != 'ratings'}
        return IALSRecommender(likes, **settings).learn()
    return fit_for_speed(name, likes, settings)


def fit_for_speed(name, likes, settings):
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
    if name == 'feature-aware iALS':
        fitted, features = model
        items = fitted.compute_item_embedding_from_features(features)
        return fitted.get_user_embedding()[users] @ items.T
    return np.asarray(model.get_score(users))
