"""Make a saved model of a file like ratings.csv with a peer, and time each step.

`python job.py SYSTEM FILE OUT`, in the environment of the peer, prints the seconds of
each step as JSON.
"""

from __future__ import annotations

import json
import pickle
import sys
import time
from typing import Any

FACTORS = 32
ROUNDS = 8
COLUMNS = {
    'userId': 'int32',
    'movieId': 'int32',
    'rating': 'float32',
    'timestamp': 'int64',
}


class Stopwatch:
    """The seconds of steps that follow each other, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.started = time.perf_counter()

    def lap(self, name: str) -> None:
        """End a step, and begin the next one."""
        now = time.perf_counter()
        self.seconds[f'{name}_s'] = now - self.started
        self.started = now


def run_implicit(ratings: Any, stopwatch: Stopwatch, out: str) -> None:
    """Fit and save `implicit`'s alternating least squares."""
    import numpy as np
    import pandas as pd
    from implicit.als import AlternatingLeastSquares
    from scipy.sparse import csr_matrix
    from threadpoolctl import threadpool_limits

    # as it advises
    threadpool_limits(1, 'blas')
    user_ix, users = pd.factorize(ratings.userId)
    item_ix, items = pd.factorize(ratings.movieId)
    rating = ratings.rating.to_numpy('float32')
    pairs = (user_ix.astype('int32'), item_ix.astype('int32'))
    table = csr_matrix((rating, pairs), (len(users), len(items)))
    stopwatch.lap('prepare')
    model = AlternatingLeastSquares(factors=FACTORS, iterations=ROUNDS, random_state=0)
    model.fit(table, show_progress=False)
    stopwatch.lap('fit')
    model.save(out)
    np.savez(out + '.ids.npz', users=users, items=items)


def run_lenskit(ratings: Any, stopwatch: Stopwatch, out: str) -> None:
    """Fit and save LensKit's alternating least squares."""
    from lenskit import pipeline
    from lenskit.als import ImplicitMFScorer
    from lenskit.data import from_interactions_df
    from lenskit.training import TrainingOptions

    names = {'userId': 'user_id', 'movieId': 'item_id', 'rating': 'rating'}
    data = from_interactions_df(ratings.rename(columns=names)[[*names.values()]])
    stopwatch.lap('prepare')
    scorer = ImplicitMFScorer(embedding_size=FACTORS, epochs=ROUNDS)
    fitted = pipeline.topn_pipeline(scorer)
    fitted.train(data, TrainingOptions(rng=0))
    stopwatch.lap('fit')
    with open(out, 'wb') as file:
        pickle.dump(fitted, file, protocol=5)


SYSTEMS = {'implicit': run_implicit, 'lenskit': run_lenskit}


def main() -> None:
    system, path, out = sys.argv[1:]
    stopwatch = Stopwatch()
    # pandas counts as an import of the peer: both need it to read the file
    import pandas as pd

    stopwatch.lap('import')
    ratings = pd.read_csv(path, dtype=COLUMNS)
    stopwatch.lap('read')
    SYSTEMS[system](ratings, stopwatch, out)
    stopwatch.lap('save')
    print(json.dumps(stopwatch.seconds))


if __name__ == '__main__':
    main()
