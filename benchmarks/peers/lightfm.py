"""LightFM, by its maintained fork lightfm-next: https://making.lyst.com/lightfm/docs."""

import numpy as np

PACKAGES = ['lightfm-next==1.19.0', 'numpy==2.4.6', 'scipy==1.17.1']
MODELS = {
    'hybrid': dict(
        task='cold',
        default={
            'ratings': 'liked',
            'words': 1.0,
            'loss': 'warp',
            'identity': True,
            'epochs': 15,
        },
    ),
}


def load():
    global LightFM, csr_matrix, hstack, identity
    from lightfm import LightFM
    from scipy.sparse import csr_matrix, hstack, identity


def draw(name, rng):
    """Settings at random, from wide ranges."""
    return {
        'ratings': str(rng.choice(['liked', 'all'])),
        'words': float(rng.choice([0, 0.5, 1, 2])),
        'identity': bool(rng.integers(2)),
        'loss': str(rng.choice(['warp', 'bpr', 'logistic'])),
        'no_components': int(rng.choice([8, 16, 32, 64])),
        'learning_rate': float(np.exp(rng.uniform(np.log(0.01), np.log(0.1)))),
        'item_alpha': float(rng.choice([0, *np.logspace(-6, -3, 7)])),
        'user_alpha': float(rng.choice([0, *np.logspace(-6, -3, 7)])),
        'epochs': int(rng.choice([5, 10, 20, 40])),
    }


def normalized(table):
    """Rows that sum to 1, as those that its own `Dataset` makes."""
    sums = np.asarray(table.sum(1)).ravel()
    scale = np.divide(1, sums, out=np.zeros_like(sums), where=sums > 0)
    return csr_matrix(table.multiply(scale[:, None]), dtype='float32')


def prepare(name, train, settings):
    """Likes, features for training, and features without the item itself.

    With `identity`, each item is a feature too, which says nothing of a new one.
    """
    is_word = np.char.startswith(train.feature_names, 'title: ')
    values = train.item_features * np.where(is_word, settings['words'], 1)
    features = hstack([csr_matrix(np.ones((train.n_items, 1))), csr_matrix(values)])
    rows = slice(None)
    if settings['ratings'] == 'liked':
        rows = train.rating >= 0.25 * train.low + 0.75 * train.high
    pairs = (train.user_ix[rows], train.item_ix[rows])
    ones = np.ones(len(pairs[0]), 'float32')
    likes = csr_matrix((ones, pairs), (train.n_users, train.n_items))
    if not settings['identity']:
        return likes, normalized(features), normalized(features)
    own = identity(train.n_items)
    none = csr_matrix((train.n_items, train.n_items))
    return (
        likes,
        normalized(hstack([features, own])),
        normalized(hstack([features, none])),
    )


def fit(name, data, settings):
    likes, features, new_features = data
    own = ('ratings', 'words', 'identity', 'epochs')
    options = {k: v for k, v in settings.items() if k not in own}
    rated = np.flatnonzero(np.asarray(likes.sum(0)).ravel())
    model = LightFM(random_state=0, **options)
    # so that items without ratings are no negative examples
    model.fit(likes[:, rated], item_features=features[rated], epochs=settings['epochs'])
    return model, new_features


def scores(name, model, users):
    fitted, features = model
    item_bias, items = fitted.get_item_representations(features)
    _, vectors = fitted.get_user_representations()
    return vectors[users] @ items.T + item_bias
