"From ratings.csv to a saved model with a peer: `python job.py SYSTEM FILE OUT`, in the environment of the peer. Prints its seconds as JSON."

import json, pickle, sys, time

FACTORS, ROUNDS = 32, 8


def implicit(ratings, lap, out):
    import numpy as np, pandas as pd
    from implicit.als import AlternatingLeastSquares
    from scipy.sparse import csr_matrix
    from threadpoolctl import threadpool_limits

    threadpool_limits(1, 'blas')  # as it advises
    (u, users), (i, items) = pd.factorize(ratings.userId), pd.factorize(ratings.movieId)
    table = csr_matrix(
        (ratings.rating.to_numpy('float32'), (u.astype('int32'), i.astype('int32'))),
        (len(users), len(items)),
    )
    lap('prepare_s')
    model = AlternatingLeastSquares(factors=FACTORS, iterations=ROUNDS, random_state=0)
    model.fit(table, show_progress=False)
    lap('fit_s')
    model.save(out)
    np.savez(out + '.ids.npz', users=users, items=items)


def lenskit(ratings, lap, out):
    from lenskit import pipeline
    from lenskit.als import ImplicitMFScorer
    from lenskit.data import from_interactions_df
    from lenskit.training import TrainingOptions

    data = from_interactions_df(
        ratings.rename(columns={'userId': 'user_id', 'movieId': 'item_id'})[
            ['user_id', 'item_id', 'rating']
        ]
    )
    lap('prepare_s')
    pipe = pipeline.topn_pipeline(
        ImplicitMFScorer(embedding_size=FACTORS, epochs=ROUNDS)
    )
    pipe.train(data, TrainingOptions(rng=0))
    lap('fit_s')
    with open(out, 'wb') as f:
        pickle.dump(pipe, f, protocol=5)


if __name__ == '__main__':
    system, path, out = sys.argv[1:]
    started, seconds = time.perf_counter(), {}

    def lap(name):
        global started
        seconds[name], started = time.perf_counter() - started, time.perf_counter()

    import pandas as pd

    lap('import_s')
    ratings = pd.read_csv(
        path,
        dtype={
            'userId': 'int32',
            'movieId': 'int32',
            'rating': 'float32',
            'timestamp': 'int64',
        },
    )
    lap('read_s')
    {'implicit': implicit, 'lenskit': lenskit}[system](ratings, lap, out)
    lap('save_s')
    print(json.dumps(seconds))
