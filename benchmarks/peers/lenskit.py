"https://lkpy.lenskit.org"

import numpy as np

PACKAGES = ['lenskit==2025.8.1', 'numpy==2.4.6']
MF = {'embedding_size': 50, 'epochs': 10, 'regularization': 0.1}
MODELS = {
    'BiasedMF': dict(
        task='rating',
        default=MF | {'damping': 5.0},
        search={
            'embedding_size': [16, 32, 50, 100],
            'epochs': [10, 20],
            'regularization': [0.03, 0.05, 0.1, 0.15, 0.2],
            'damping': [2.0, 5.0, 10.0],
        },
    ),
    'ItemKNN': dict(
        task='rating',
        default={'max_nbrs': 20, 'min_nbrs': 1, 'min_sim': 1e-6},
        search={
            'max_nbrs': [10, 20, 40, 60],
            'min_nbrs': [1, 2, 3],
            'min_sim': [1e-6, 0.01, 0.05, 0.1],
        },
    ),
    'Bias': dict(
        task='rating',
        default={'damping': 0.0},
        search={'damping': [0.0, 2.0, 5.0, 10.0, 20.0]},
    ),
    'ImplicitMF': dict(
        task='ranking',
        default=MF | {'weight': 40.0, 'ratings': 'liked'},
        search={
            'embedding_size': [16, 32, 64, 128],
            'epochs': [10, 20],
            'regularization': [0.1, 1.0, 10.0, 30.0],
            'weight': [1.0, 5.0, 40.0],
            'ratings': ['liked', 'all'],
        },
    ),
    'ItemKNN implicit': dict(
        task='ranking',
        default={'max_nbrs': 20, 'min_nbrs': 1, 'min_sim': 1e-6},
        search={
            'max_nbrs': [10, 20, 40, 80, 160],
            'min_nbrs': [1, 2, 5],
            'min_sim': [1e-6, 0.01, 0.05, 0.1],
        },
    ),
    'scale': dict(
        task='scale',
        until=(1, 2, 3, 4, 6, 8, 12),
        runs=[('ml-100k', 50, 10, 5), ('1M', 50, 6, 5), ('10M', 50, 6, 3)],
    ),
}


def load():
    global \
        pandas, \
        als, \
        basic, \
        knn, \
        batch, \
        ItemList, \
        from_interactions_df, \
        pipelines, \
        TrainingOptions
    import pandas
    from lenskit import als, basic, batch, knn, pipeline as pipelines
    from lenskit.data import ItemList, from_interactions_df
    from lenskit.training import TrainingOptions


def liked(name, settings):
    return name == 'ItemKNN implicit' or settings.get('ratings') == 'liked'


def prepare(name, train, settings):
    rows = train.r >= 4 if liked(name, settings) else slice(None)
    return from_interactions_df(
        pandas.DataFrame(
            {
                'user_id': train.u[rows],
                'item_id': train.i[rows],
                'rating': train.r[rows],
            }
        )
    ), train.n_items


def scorer(name, settings):
    if name == 'BiasedMF':
        return als.BiasedMFScorer(**settings)
    if name == 'ItemKNN':
        return knn.ItemKNNScorer(**settings)
    if name == 'Bias':
        return basic.BiasScorer(**settings)
    if name == 'ImplicitMF':
        return als.ImplicitMFScorer(
            **{k: v for k, v in settings.items() if k != 'ratings'}
        )
    if name == 'ItemKNN implicit':
        return knn.ItemKNNScorer(feedback='implicit', **settings)
    return als.BiasedMFScorer(
        embedding_size=settings['factors'], epochs=settings['rounds']
    )


def fit(name, data, settings):
    data, n_items = data
    if name == 'scale':
        model = scorer(name, settings)
        model.train(data, TrainingOptions(rng=0))
        return model, n_items
    make = (
        pipelines.predict_pipeline
        if MODELS[name]['task'] == 'rating'
        else pipelines.topn_pipeline
    )
    pipe = make(scorer(name, settings))
    pipe.train(data, TrainingOptions(rng=0))
    return pipe, n_items


def predict(name, model, u, i):
    if name == 'scale':
        return by_arrays(model[0], u, i)
    frame = pandas.DataFrame({'user_id': u, 'item_id': i})
    found = batch.predict(model[0], frame, n_jobs=1).to_df()[
        ['user_id', 'item_id', 'score']
    ]
    return frame.merge(found, how='left', on=['user_id', 'item_id']).score.to_numpy()


def by_arrays(m, u, i):
    "The same prediction for millions of pairs, from the user rows that the training left."
    b, rows, columns = (
        m.bias,
        m.users.numbers(u, missing='negative'),
        m.items.numbers(i, missing='negative'),
    )
    known, P, Q = (
        (rows >= 0) & (columns >= 0),
        np.asarray(m.user_embeddings),
        np.asarray(m.item_embeddings),
    )
    p = (
        float(b.global_bias)
        + np.where(columns >= 0, np.asarray(b.item_biases)[columns], 0)
        + np.where(rows >= 0, np.asarray(b.user_biases)[rows], 0)
    )
    return p + known * np.einsum('nk,nk->n', P[rows], Q[columns])


def scores(name, model, users):
    pipe, n_items = model
    every = ItemList(item_ids=np.arange(n_items))
    return np.array(
        [pipe.run('scorer', query=int(user), items=every).scores() for user in users]
    )


def top(name, model, users, n):
    return batch.recommend(model[0], [int(user) for user in users], n, n_jobs=1)
