"https://surpriselib.com"

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
    'SVD++': dict(
        task='rating', default={}, search=None
    ),  # its fit takes too long to be searched
    'KNNBaseline': dict(task='rating', default={}, search=None),
    'SVD by predicted rating': dict(task='ranking', default=SVD, search=None),
}


def load():
    global surprise, pandas
    import pandas, surprise


def prepare(name, train, settings):
    frame = pandas.DataFrame({'user': train.u, 'item': train.i, 'rating': train.r})
    return surprise.Dataset.load_from_df(
        frame, surprise.Reader(rating_scale=(train.low, train.high))
    ).build_full_trainset(), train.n_items


def fit(name, data, settings):
    trainset, n_items = data
    if name == 'KNNBaseline':
        return surprise.KNNBaseline(verbose=False).fit(trainset), n_items
    kind = surprise.SVDpp if name == 'SVD++' else surprise.SVD
    return kind(random_state=0, **settings).fit(trainset), n_items


def predict(name, model, u, i):
    return [
        p.est for p in model[0].test(list(zip(u.tolist(), i.tolist(), [0] * len(u))))
    ]


def scores(name, model, users):
    "All of a user's predictions at once, and as they are before they are cut at five stars, where most would tie."
    algorithm, n_items = model
    trainset = algorithm.trainset
    rows, columns = (
        [known.get(j, -1) for j in wanted]
        for known, wanted in (
            (trainset._raw2inner_id_users, users),
            (trainset._raw2inner_id_items, range(n_items)),
        )
    )
    bias_user, bias_item, p, q = (
        np.append(a, np.zeros_like(a[:1]), 0)
        for a in (algorithm.bu, algorithm.bi, algorithm.pu, algorithm.qi)
    )
    return (
        trainset.global_mean
        + bias_user[rows][:, None]
        + bias_item[columns]
        + p[rows] @ q[columns].T
    )


def top(name, model, users, n):
    "As its frequently asked questions have it: every prediction, sorted."
    algorithm, n_items = model
    trainset, found = algorithm.trainset, []
    for user in map(int, users):
        seen = {
            trainset.to_raw_iid(item)
            for item, _ in trainset.ur[trainset.to_inner_uid(user)]
        }
        found.append(
            sorted(
                (
                    (algorithm.predict(user, item).est, item)
                    for item in range(n_items)
                    if item not in seen
                ),
                reverse=True,
            )[:n]
        )
    return found
