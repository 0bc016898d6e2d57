"https://keras.io/examples/structured_data/collaborative_filtering_movielens as it stands there, with its fault: `tensordot(…, 2)` sums over the batch, too."

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
            table = lambda n: keras.layers.Embedding(
                n,
                size,
                embeddings_initializer='he_normal',
                embeddings_regularizer=keras.regularizers.l2(1e-6),
            )
            self.users, self.user_bias = (
                table(n_users),
                keras.layers.Embedding(n_users, 1),
            )
            self.items, self.item_bias = (
                table(n_items),
                keras.layers.Embedding(n_items, 1),
            )

        def call(self, inputs):
            u, i = inputs[:, 0], inputs[:, 1]
            return keras.ops.nn.sigmoid(
                keras.ops.tensordot(self.users(u), self.items(i), 2)
                + self.user_bias(u)
                + self.item_bias(i)
            )


def prepare(name, train, settings):
    return (
        train,
        np.column_stack([train.u, train.i]),
        (train.r - train.low) / (train.high - train.low),
    )


def fit(name, data, settings):
    train, x, y = data
    keras.utils.set_random_seed(0)
    net = Net(train.n_users, train.n_items, settings['embedding_size'])
    net.compile(
        loss=keras.losses.BinaryCrossentropy(),
        optimizer=keras.optimizers.Adam(learning_rate=0.001),
    )
    net.fit(
        x, y, batch_size=settings['batch_size'], epochs=settings['epochs'], verbose=0
    )
    return net, train


def predict(name, model, u, i):
    net, train = model
    return (
        train.low
        + (train.high - train.low)
        * net.predict(np.column_stack([u, i]), verbose=0).ravel()
    )


def scores(name, model, users):
    "One call for each user, over the films that he has not rated, as the page does."
    net, train = model
    x = np.full((len(users), train.n_items), np.nan)
    for row, user in enumerate(users):
        rest = np.setdiff1d(np.arange(train.n_items), train.i[train.u == user])
        x[row, rest] = net.predict(
            np.column_stack([np.full(len(rest), user), rest]), verbose=0
        ).ravel()
    return x
