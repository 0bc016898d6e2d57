"""LensKit: https://lkpy.lenskit.org."""

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
    'scale BiasedMF': dict(
        task='scale rating',
        factors={'ml-100k': (50,), '1M': (50,), '10M': (50,)},
        rounds={
            'ml-100k': (1, 2, 3, 4, 6, 8, 10),
            '1M': (1, 2, 3, 4, 6),
            '10M': (1, 2, 3, 4, 6),
        },
    ),
}


def load():
    global pandas, als, basic, knn, batch, pipelines
    global ItemList, from_interactions_df, TrainingOptions
    import pandas
    from lenskit import als, basic, batch, knn, pipeline as pipelines
    from lenskit.data import ItemList, from_interactions_df
    from lenskit.training import TrainingOptions


def takes_likes(name, settings):
    """Whether a model is fitted to ratings of four stars or more only."""
    return name == 'ItemKNN implicit' or settings.get('ratings') == 'liked'


def prepare(name, train, settings):
    rows = train.rating >= 4 if takes_likes(name, settings) else slice(None)
    frame = pandas.DataFrame(
        {
            'user_id': train.user_ix[rows],
            'item_id': train.item_ix[rows],
            'rating': train.rating[rows],
        }
    )
    return from_interactions_df(frame), train.n_items


def make_scorer(name, settings):
    settings = dict(settings)
    settings.pop('ratings', None)
    if name == 'scale BiasedMF':
        return als.BiasedMFScorer(
            embedding_size=settings['n_factors'], epochs=settings['n_iterations']
        )
    if name == 'ItemKNN implicit':
        return knn.ItemKNNScorer(feedback='implicit', **settings)
    kinds = {
        'BiasedMF': als.BiasedMFScorer,
        'ItemKNN': knn.ItemKNNScorer,
        'Bias': basic.BiasScorer,
        'ImplicitMF': als.ImplicitMFScorer,
    }
    return kinds[name](**settings)


def make_model(name, settings):
    """A pipeline around the scorer, but for timings the scorer alone."""
    scorer = make_scorer(name, settings)
    if MODELS[name]['task'] == 'rating':
        return pipelines.predict_pipeline(scorer)
    if MODELS[name]['task'] == 'ranking':
        return pipelines.topn_pipeline(scorer)
    return scorer


def fit(name, data, settings):
    ratings, n_items = data
    model = make_model(name, settings)
    model.train(ratings, TrainingOptions(rng=0))
    return model, n_items


def predict(name, model, user_ix, item_ix):
    fitted, _ = model
    if name == 'scale BiasedMF':
        return predict_with_arrays(fitted, user_ix, item_ix)
    pairs = pandas.DataFrame({'user_id': user_ix, 'item_id': item_ix})
    columns = ['user_id', 'item_id', 'score']
    predictions = batch.predict(fitted, pairs, n_jobs=1).to_df()[columns]
    joined = pairs.merge(predictions, how='left', on=['user_id', 'item_id'])
    return joined.score.to_numpy()


def predict_with_arrays(scorer, user_ix, item_ix):
    """The same prediction for millions of pairs, with the arrays that were fitted."""
    users = scorer.users.numbers(user_ix, missing='negative')
    items = scorer.items.numbers(item_ix, missing='negative')
    bias = scorer.bias
    item_bias = np.where(items >= 0, np.asarray(bias.item_biases)[items], 0)
    user_bias = np.where(users >= 0, np.asarray(bias.user_biases)[users], 0)
    user_factors = np.asarray(scorer.user_embeddings)[users]
    item_factors = np.asarray(scorer.item_embeddings)[items]
    products = np.einsum('nk,nk->n', user_factors, item_factors)
    are_known = (users >= 0) & (items >= 0)
    return float(bias.global_bias) + item_bias + user_bias + are_known * products


def scores(name, model, users):
    pipeline, n_items = model
    items = ItemList(item_ids=np.arange(n_items))
    return np.array(
        [
            pipeline.run('scorer', query=int(user), items=items).scores()
            for user in users
        ]
    )


def top(name, model, users, k):
    pipeline, _ = model
    return batch.recommend(pipeline, [int(user) for user in users], k, n_jobs=1)
