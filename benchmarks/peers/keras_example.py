"""The Keras example "Collaborative filtering for movie recommendations".

https://keras.io/examples/structured_data/collaborative_filtering_movielens as it
stands there, with its bug: `tensordot(..., 2)` sums over the batch as well.
"""

import os

import numpy as np

PACKAGES = ['keras==3.15.1', 'tensorflow==2.21.0', 'numpy==2.4.6']
PUBLISHED = {'embedding_size': 50, 'epochs': 5, 'batch_size': 64}
MODELS = {
    'RecommenderNet': dict(task='rating', default=PUBLISHED, search=None),
    'RecommenderNet ranked': dict(task='ranking', default=PUBLISHED, search=None),
}


def load():
    global keras, Net
    os.environ['KERAS_BACKEND'] = 'tensorflow'
    import keras

    class Net(keras.Model):
        def __init__(self, n_users, n_items, size):
            super().__init__()
            self.users = embedding(n_users, size)
            self.user_bias = keras.layers.Embedding(n_users, 1)
            self.items = embedding(n_items, size)
            self.item_bias = keras.layers.Embedding(n_items, 1)

        def call(self, inputs):
            user_ix, item_ix = inputs[:, 0], inputs[:, 1]
            users, items = self.users(user_ix), self.items(item_ix)
            dot_user_item = keras.ops.tensordot(users, items, 2)
            x = dot_user_item + self.user_bias(user_ix) + self.item_bias(item_ix)
            return keras.ops.nn.sigmoid(x)


def embedding(n_rows, size):
    return keras.layers.Embedding(
        n_rows,
        size,
        embeddings_initializer='he_normal',
        embeddings_regularizer=keras.regularizers.l2(1e-6),
    )


def prepare(name, train, settings):
    pairs = np.column_stack([train.user_ix, train.item_ix])
    targets = (train.rating - train.low) / (train.high - train.low)
    return train, pairs, targets


def fit(name, data, settings):
    train, pairs, targets = data
    keras.utils.set_random_seed(0)
    net = Net(train.n_users, train.n_items, settings['embedding_size'])
    net.compile(
        loss=keras.losses.BinaryCrossentropy(),
        optimizer=keras.optimizers.Adam(learning_rate=0.001),
    )
    net.fit(
        pairs,
        targets,
        batch_size=settings['batch_size'],
        epochs=settings['epochs'],
        verbose=0,
    )
    return net, train


def predict(name, model, user_ix, item_ix):
    net, train = model
    outputs = net.predict(np.column_stack([user_ix, item_ix]), verbose=0).ravel()
    return train.low + (train.high - train.low) * outputs


def scores(name, model, users):
    """One call for each user, over the items that they have not rated, as the page."""
    net, train = model
    all_scores = np.full((len(users), train.n_items), np.nan)
    for row, user in enumerate(users):
        rated = train.item_ix[train.user_ix == user]
        unrated = np.setdiff1d(np.arange(train.n_items), rated)
        pairs = np.column_stack([np.full(len(unrated), user), unrated])
        all_scores[row, unrated] = net.predict(pairs, verbose=0).ravel()
    return all_scores
