"""Surprise: https://surpriselib.com."""

import numpy as np

PACKAGES = ['scikit-surprise==1.1.5', 'numpy==2.4.6', 'pandas==2.3.3']
SVD = {'n_factors': 100, 'n_epochs': 20, 'lr_all': 0.005, 'reg_all': 0.02}
MODELS = {
    'SVD': dict(
        task='rating',
        default=SVD,
        variants={
            'known': {'n_factors': 50, 'n_epochs': 60, 'lr_all': 0.005, 'reg_all': 0.1}
        },
        search={
            'n_factors': [20, 50, 100],
            'n_epochs': [20, 40, 60, 80],
            'lr_all': [0.002, 0.005, 0.01],
            'reg_all': [0.02, 0.05, 0.1, 0.15],
        },
    ),
    # a fit takes too long for a search
    'SVD++': dict(task='rating', default={}, search=None),
    'KNNBaseline': dict(task='rating', default={}, search=None),
    'SVD by predicted rating': dict(task='ranking', default=SVD, search=None),
}


def load():
    global surprise, pandas
    import pandas
    import surprise


def prepare(name, train, settings):
    frame = pandas.DataFrame(
        {'user': train.user_ix, 'item': train.item_ix, 'rating': train.rating}
    )
    reader = surprise.Reader(rating_scale=(train.low, train.high))
    dataset = surprise.Dataset.load_from_df(frame, reader)
    return dataset.build_full_trainset(), train.n_items


def fit(name, data, settings):
    trainset, n_items = data
    if name == 'KNNBaseline':
        return surprise.KNNBaseline(verbose=False).fit(trainset), n_items
    kind = surprise.SVDpp if name == 'SVD++' else surprise.SVD
    return kind(random_state=0, **settings).fit(trainset), n_items


def predict(name, model, user_ix, item_ix):
    algorithm, _ = model
    # its test wants the true ratings as well, and does not use them
    pairs = list(zip(user_ix.tolist(), item_ix.tolist(), [0] * len(user_ix)))
    return [prediction.est for prediction in algorithm.test(pairs)]


def inner_ids(raw_to_inner, raw_ids):
    """The library's row numbers, -1 for what is not in the training ratings."""
    return [raw_to_inner.get(raw_id, -1) for raw_id in raw_ids]


def with_zero_row(array):
    """A copy with a last row of zeros, which the number -1 takes."""
    return np.append(array, np.zeros_like(array[:1]), 0)


def scores(name, model, users):
    """All predictions of a user at once, before they are clipped to the scale.

    Clipped to five stars, most would tie.
    """
    algorithm, n_items = model
    trainset = algorithm.trainset
    rows = inner_ids(trainset._raw2inner_id_users, users)
    columns = inner_ids(trainset._raw2inner_id_items, range(n_items))
    user_bias, item_bias = with_zero_row(algorithm.bu), with_zero_row(algorithm.bi)
    user_factors = with_zero_row(algorithm.pu)[rows]
    item_factors = with_zero_row(algorithm.qi)[columns]
    biases = trainset.global_mean + user_bias[rows][:, None] + item_bias[columns]
    return biases + user_factors @ item_factors.T


def top_of_user(algorithm, n_items, user, k):
    """The predictions of all unseen items, sorted."""
    trainset = algorithm.trainset
    rated = trainset.ur[trainset.to_inner_uid(user)]
    seen = {trainset.to_raw_iid(item) for item, _ in rated}
    unseen = (item for item in range(n_items) if item not in seen)
    predictions = ((algorithm.predict(user, item).est, item) for item in unseen)
    return sorted(predictions, reverse=True)[:k]


def top(name, model, users, k):
    """As its frequently asked questions have it: every prediction, sorted."""
    algorithm, n_items = model
    return [top_of_user(algorithm, n_items, int(user), k) for user in users]
