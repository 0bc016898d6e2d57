"https://myfm.readthedocs.io"

import numpy as np

PACKAGES = ['myfm==0.4.0', 'numpy==2.4.6']
MODELS = {
    'ratings only': dict(
        task='rating',
        default={'rank': 10, 'sweeps': 200},
        search={'rank': [5, 10, 20], 'sweeps': [100, 200, 400]},
    ),
    'all that is known': dict(
        task='rating', default={'rank': 10, 'sweeps': 512}, search=None, moments=True
    ),  # as its example for ML-100K: who rated what, sides, days
}


def load():
    global myfm, csr_matrix, diags, hstack, identity
    import myfm
    from scipy.sparse import csr_matrix, diags, hstack, identity


def pairs(u, i, shape):
    "A row for each rating, with a one for its user and a one for its film."
    columns = np.column_stack([u, shape[0] + i]).ravel()
    return csr_matrix(
        (np.ones(len(columns)), columns, np.arange(0, len(columns) + 1, 2)),
        (len(u), sum(shape)),
    )


def side(rows, others, shape, known):
    "Of each user (or film): itself, what it was rated with, and what is known of it; and the sizes of these groups."
    X = csr_matrix((np.ones(len(rows)), (rows, others)), shape)
    parts = [
        identity(shape[0]),
        diags(
            1
            / np.sqrt(
                np.maximum(X.sum(1).A1 if hasattr(X.sum(1), 'A1') else X.sum(1), 1)
            )
        )
        @ X,
        csr_matrix(known),
    ]
    return csr_matrix(hstack(parts)), [p.shape[1] for p in parts]


def prepare(name, train, settings):
    shape, y = (train.n_users, train.n_items), train.r.astype('float64')
    if name == 'ratings only':
        return pairs(train.u, train.i, shape), y, shape
    users, of_users = side(train.u, train.i, shape, train.side_users)
    items, of_items = side(train.i, train.u, shape[::-1], train.side_items)
    days = np.unique(train.t // 86_400)
    return dict(
        days=days,
        users=users,
        items=items,
        now=at(train.t, days),
        u=train.u,
        i=train.i,
        y=y,
        groups=[len(days), *of_users, *of_items],
    )


def at(t, days):
    "The day of each rating; nothing for a day that is not in the training part."
    day = t // 86_400
    place = np.minimum(np.searchsorted(days, day), len(days) - 1)
    return csr_matrix(
        ((days[place] == day).astype('float64'), (np.arange(len(t)), place)),
        (len(t), len(days)),
    )


def blocks(data, u, i):
    return [
        myfm.RelationBlock(u.astype('int64'), data['users']),
        myfm.RelationBlock(i.astype('int64'), data['items']),
    ]


def fit(name, data, settings):
    model, sweeps = (
        myfm.MyFMRegressor(rank=settings['rank'], random_seed=0),
        settings['sweeps'],
    )
    if name == 'ratings only':
        X, y, shape = data
        return model.fit(
            X, y, n_iter=sweeps, n_kept_samples=sweeps, group_shapes=list(shape)
        ), shape
    return model.fit(
        data['now'],
        data['y'],
        X_rel=blocks(data, data['u'], data['i']),
        n_iter=sweeps,
        n_kept_samples=sweeps,
        group_shapes=data['groups'],
    ), data


def predict(name, model, u, i, *t):
    if name == 'ratings only':
        return model[0].predict(pairs(u, i, model[1]))
    return model[0].predict(at(t[0], model[1]['days']), blocks(model[1], u, i))
