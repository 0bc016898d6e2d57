"""myFM: https://myfm.readthedocs.io."""

import numpy as np

PACKAGES = ['myfm==0.4.0', 'numpy==2.4.6']
MODELS = {
    'ratings only': dict(
        task='rating',
        default={'rank': 10, 'sweeps': 200},
        search={'rank': [5, 10, 20], 'sweeps': [100, 200, 400]},
    ),
    # who rated what as well, which our Bayesian model uses too
    'ratings and implicit feedback': dict(
        task='rating',
        default={'rank': 10, 'sweeps': 300, 'likelihood': 'normal'},
        search={'rank': [8, 10, 14], 'likelihood': ['normal', 'probit']},
    ),
    # as its example for ML-100K: implicit feedback, side features, days
    'all that is known': dict(
        task='rating',
        default={'rank': 10, 'sweeps': 512},
        search=None,
        uses_timestamps=True,
    ),
}


def load():
    global myfm, csr_matrix, diags, hstack, identity
    import myfm
    from scipy.sparse import csr_matrix, diags, hstack, identity


def encode_pairs(user_ix, item_ix, shape):
    """A row for each rating, with a one for its user and a one for its item."""
    columns = np.column_stack([user_ix, shape[0] + item_ix]).ravel()
    indptr = np.arange(0, len(columns) + 1, 2)
    table = (np.ones(len(columns)), columns, indptr)
    return csr_matrix(table, (len(user_ix), sum(shape)))


def encode_side(rows, other_rows, shape, features=None):
    """The features of each user or item, and how many there are of each group.

    The groups are the user (item) itself, the items (users) of its ratings, and its
    side features, if there are any. The rows of the second group are divided by the
    root of their sum, as in SVD++.
    """
    ratings = csr_matrix((np.ones(len(rows)), (rows, other_rows)), shape)
    n_ratings = np.maximum(np.ravel(ratings.sum(1)), 1)
    groups = [identity(shape[0]), diags(1 / np.sqrt(n_ratings)) @ ratings]
    if features is not None:
        groups.append(csr_matrix(features))
    return csr_matrix(hstack(groups)), [group.shape[1] for group in groups]


def encode_days(timestamp, days):
    """The day of each rating; nothing for a day that no training rating has."""
    day = timestamp // 86_400
    column = np.minimum(np.searchsorted(days, day), len(days) - 1)
    is_known = (days[column] == day).astype('float64')
    cells = (np.arange(len(timestamp)), column)
    return csr_matrix((is_known, cells), (len(timestamp), len(days)))


def prepare(name, train, settings):
    shape = (train.n_users, train.n_items)
    rating = train.rating.astype('float64')
    if name == 'ratings only':
        return encode_pairs(train.user_ix, train.item_ix, shape), rating, shape
    knows_all = name == 'all that is known'
    features = (train.user_features, train.item_features) if knows_all else (None, None)
    pairs = (train.user_ix, train.item_ix)
    users, user_groups = encode_side(*pairs, shape, features[0])
    items, item_groups = encode_side(*pairs[::-1], shape[::-1], features[1])
    days = np.unique(train.timestamp // 86_400) if knows_all else None
    return dict(
        days=days,
        users=users,
        items=items,
        rating_days=encode_days(train.timestamp, days) if knows_all else None,
        user_ix=train.user_ix,
        item_ix=train.item_ix,
        rating=rating,
        groups=[*([len(days)] if knows_all else []), *user_groups, *item_groups],
    )


def relation_blocks(data, user_ix, item_ix):
    """The features of the users and the items of some pairs."""
    return [
        myfm.RelationBlock(user_ix.astype('int64'), data['users']),
        myfm.RelationBlock(item_ix.astype('int64'), data['items']),
    ]


def fit(name, data, settings):
    n_samples = dict(n_iter=settings['sweeps'], n_kept_samples=settings['sweeps'])
    is_probit = settings.get('likelihood') == 'probit'
    model_class = myfm.MyFMOrderedProbit if is_probit else myfm.MyFMRegressor
    model = model_class(rank=settings['rank'], random_seed=0)
    if name == 'ratings only':
        pairs, rating, shape = data
        return model.fit(pairs, rating, group_shapes=list(shape), **n_samples), shape
    # the probit model takes the stars as categories 0, 1, ...
    data['stars'], category = np.unique(data['rating'], return_inverse=True)
    model.fit(
        data['rating_days'],
        category if is_probit else data['rating'],
        X_rel=relation_blocks(data, data['user_ix'], data['item_ix']),
        group_shapes=data['groups'],
        **n_samples,
    )
    return model, data


def predict(name, model, user_ix, item_ix, *timestamp):
    fitted, data = model
    if name == 'ratings only':
        return fitted.predict(encode_pairs(user_ix, item_ix, data))
    blocks = relation_blocks(data, user_ix, item_ix)
    rating_days = encode_days(timestamp[0], data['days']) if timestamp else None
    if isinstance(fitted, myfm.MyFMOrderedProbit):
        return fitted.predict_proba(rating_days, blocks) @ data['stars']
    return fitted.predict(rating_days, blocks)
