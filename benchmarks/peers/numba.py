"""The iterations of our ALS as compiled loops: another engine that we could have had.

Each row takes three steps of conjugate gradients, as in `mf_movielens.als`.
"""

import numpy as np

PACKAGES = ['numba==0.68.1', 'numpy==2.4.6']
MODELS = {
    'scale': dict(
        task='scale',
        target_iterations=(1, 2, 3, 4, 6, 8, 12),
        runs=[('1M', 50, 6, 5), ('10M', 50, 6, 3)],
    )
}


def update_rows(indptr, indices, rating, target_rows, other_rows, reg, damping):
    """Improve each row of `target_rows`; the last column of the rows is the bias."""
    k = target_rows.shape[1]
    for row in prange(len(indptr) - 1):
        start, end = indptr[row], indptr[row + 1]
        if start == end:
            continue
        x = target_rows[row]
        direction = np.empty(k, np.float32)
        product = np.empty(k, np.float32)
        residual = -(reg * (end - start) + damping) * x
        for j in range(start, end):
            other = other_rows[indices[j]]
            error = rating[j] - other[k - 1] - x[k - 1]
            for c in range(k - 1):
                error -= other[c] * x[c]
            for c in range(k - 1):
                residual[c] += error * other[c]
            residual[k - 1] += error
        direction[:] = residual
        norm = (residual * residual).sum()
        for _ in range(3):
            product[:] = (reg * (end - start) + damping) * direction
            for j in range(start, end):
                other = other_rows[indices[j]]
                change = direction[k - 1]
                for c in range(k - 1):
                    change += other[c] * direction[c]
                for c in range(k - 1):
                    product[c] += change * other[c]
                product[k - 1] += change
            step = norm / max((direction * product).sum(), np.float32(1e-30))
            x += step * direction
            residual -= step * product
            new_norm = (residual * residual).sum()
            ratio = new_norm / max(norm, np.float32(1e-30))
            direction[:] = residual + ratio * direction
            norm = new_norm


def load():
    """Import numba and compile; compiling counts as importing."""
    global update, prange
    from numba import njit, prange

    update = njit(parallel=True, fastmath=True)(update_rows)
    few = np.zeros(9, 'int32')
    table = np.zeros((1, 2), 'float32')
    one_each = np.ones(2, 'float32')
    ratings = to_csr(few, few, few.astype('float32'), 1)
    update(*ratings, table, table.copy(), one_each, one_each.copy())


def to_csr(rows, columns, rating, n_rows):
    """Pointers to the rows, column numbers and ratings, sorted by row."""
    order = np.argsort(rows, kind='stable')
    indptr = np.r_[0, np.bincount(rows, minlength=n_rows).cumsum()]
    return indptr, columns[order], rating[order]


def prepare(name, train, settings):
    return train


def fit(name, train, settings):
    n_factors = settings['n_factors']
    # our defaults, in the unit of stars: a fourth of the width of the scale
    unit = (train.high - train.low) / 4
    reg = np.array([0.08 * unit] * n_factors + [0.02], 'float32')
    damping = np.array([4 * unit] * n_factors + [4], 'float32')
    mean = train.rating.mean(dtype='float64')
    user_rows = np.zeros((train.n_users, n_factors + 1), 'float32')
    start = np.random.default_rng(0).normal(0, 0.1, (train.n_items, n_factors + 1))
    item_rows = start.astype('float32')
    item_rows[:, -1] = 0
    centred = train.rating - mean.astype('float32')
    by_user = to_csr(train.user_ix, train.item_ix, centred, train.n_users)
    by_item = to_csr(train.item_ix, train.user_ix, centred, train.n_items)
    for _ in range(settings['n_iterations']):
        update(*by_user, user_rows, item_rows, reg, damping)
        update(*by_item, item_rows, user_rows, reg, damping)
    update(*by_user, user_rows, item_rows, reg, damping)
    return mean, user_rows, item_rows


def predict(name, model, user_ix, item_ix):
    mean, user_rows, item_rows = model
    users, items = user_rows[user_ix], item_rows[item_ix]
    products = np.einsum('nk,nk->n', users[:, :-1], items[:, :-1])
    return mean + users[:, -1] + items[:, -1] + products
