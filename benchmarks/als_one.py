"One fit of one system in a process of its own; prints one line of JSON."
import json, resource, sys, time, warnings
from importlib.metadata import version

import numpy as np

warnings.filterwarnings('ignore')
system, path, k, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
with np.load(path) as z: d = {a: z[a] for a in z.files}
cut, n_users, n_items = len(d['u']) - int(d['n_test']), int(d['n_users']), int(d['n_items'])
u, i, r = (d[a][:cut].copy() for a in 'uir')
test = tuple(d[a][cut:].copy() for a in 'uir')
low, high = float(d['r'].min()), float(d['r'].max())
del d
started = time.perf_counter()

def mf_movielens():
    from mf_movielens.als import fit_als
    from mf_movielens.encoding import Ratings, Vocabulary
    yield
    ratings = Ratings(u, i, r, Vocabulary(np.arange(n_users), 'user'), Vocabulary(np.arange(n_items)), (low, high))
    yield
    f = fit_als(ratings, k, n_iterations=rounds)
    yield
    yield f.predict(test[0], test[1])

def cornac():
    import cornac
    yield
    train = cornac.data.Dataset(n_users, n_items, {j: j for j in range(n_users)}, {j: j for j in range(n_items)}, (u.astype("int64"), i.astype("int64"), r), seed=0)
    train.uir_tuple
    yield
    # one round is one epoch of stochastic gradient descent
    m = cornac.models.MF(k=k, max_iter=rounds, learning_rate=.01, lambda_reg=.1, use_bias=True, early_stop=False, seed=0, verbose=False).fit(train)
    yield
    yield m.global_mean + m.u_biases[test[0]] + m.i_biases[test[1]] + np.einsum('nk,nk->n', m.u_factors[test[0]], m.i_factors[test[1]])

def lenskit():
    import pandas as pd
    from lenskit.als import BiasedMFScorer
    from lenskit.data import from_interactions_df
    from lenskit.training import TrainingOptions
    yield
    data = from_interactions_df(pd.DataFrame({'user_id': u, 'item_id': i, 'rating': r}))
    yield
    m = BiasedMFScorer(embedding_size=k, epochs=rounds)
    m.train(data, TrainingOptions(rng=0))
    yield
    b = m.bias
    rows, columns = m.users.numbers(test[0], missing='negative'), m.items.numbers(test[1], missing='negative')
    known = (rows >= 0) & (columns >= 0)
    P, Q = (np.asarray(x) for x in (m.user_embeddings, m.item_embeddings))
    p = np.full(len(test[0]), float(b.global_bias))
    p += np.where(columns >= 0, np.asarray(b.item_biases)[columns], 0) + np.where(rows >= 0, np.asarray(b.user_biases)[rows], 0)
    yield p + known * np.einsum('nk,nk->n', P[rows], Q[columns])

def numba():
    "The same rounds as ours, three steps of conjugate gradients a row, as loops that are compiled: the other engine that we could have had."
    from numba import njit, prange
    @njit(parallel=True, fastmath=True)
    def half(start, other, rating, mine, theirs, ridge, damping):
        k = mine.shape[1]
        for row in prange(len(start) - 1):
            a, b = start[row], start[row + 1]
            if a == b: continue
            x, way, turned = mine[row], np.empty(k, np.float32), np.empty(k, np.float32)
            rest = -(ridge * (b - a) + damping) * x
            for j in range(a, b):
                q = theirs[other[j]]
                e = rating[j] - q[k - 1] - x[k - 1]
                for c in range(k - 1): e -= q[c] * x[c]
                for c in range(k - 1): rest[c] += e * q[c]
                rest[k - 1] += e
            way[:] = rest
            size = (rest * rest).sum()
            for _ in range(3):
                turned[:] = (ridge * (b - a) + damping) * way
                for j in range(a, b):
                    q = theirs[other[j]]
                    e = way[k - 1]
                    for c in range(k - 1): e += q[c] * way[c]
                    for c in range(k - 1): turned[c] += e * q[c]
                    turned[k - 1] += e
                step = size / max((way * turned).sum(), np.float32(1e-30))
                x += step * way
                rest -= step * turned
                new = (rest * rest).sum()
                way[:] = rest + (new / max(size, np.float32(1e-30))) * way
                size = new
    unit = (high - low) / 4
    ridge, damping = np.array([.08 * unit] * k + [.02], 'float32'), np.array([4 * unit] * k + [4], 'float32')
    side = lambda rows, other, n: (np.r_[0, np.bincount(rows, minlength=n).cumsum()], other[(o := np.argsort(rows, kind='stable'))], centred[o])
    P, Q = np.zeros((n_users, k + 1), 'float32'), np.random.default_rng(0).normal(0, .1, (n_items, k + 1)).astype('float32')
    Q[:, -1] = 0
    centred = r - r.mean(dtype='float64').astype('float32')
    half(*side(u[:9], i[:9], n_users), P.copy(), Q, ridge, damping)  # compiles, which is counted as importing
    yield
    yield
    by_user, by_item = side(u, i, n_users), side(i, u, n_items)
    for _ in range(rounds):
        half(*by_user, P, Q, ridge, damping)
        half(*by_item, Q, P, ridge, damping)
    half(*by_user, P, Q, ridge, damping)
    yield
    yield r.mean(dtype='float64') + P[test[0], -1] + Q[test[1], -1] + np.einsum('nk,nk->n', P[test[0], :-1], Q[test[1], :-1])

def implicit():
    from implicit.als import AlternatingLeastSquares
    from scipy.sparse import csr_matrix
    yield
    table = csr_matrix((r, (u, i)), (n_users, n_items))
    yield
    AlternatingLeastSquares(factors=k, iterations=rounds, random_state=0).fit(table, show_progress=False)
    yield
    yield None  # it ranks, and does not predict ratings

def memory(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
def now(): return next(float(line.split()[1]) / 1024 for line in open('/proc/self/status') if line.startswith('VmRSS'))

steps, marks = globals()[system](), [started]
next(steps); marks.append(time.perf_counter())
before = now()
for _ in range(2): next(steps); marks.append(time.perf_counter())
extra, p = memory() - before, next(steps)
error = None if p is None else float(np.sqrt(np.mean((np.clip(p, low, high) - test[2]) ** 2)))
print(json.dumps(dict(version=version(system), import_s=marks[1] - marks[0], prepare_s=marks[2] - marks[1], fit_s=marks[3] - marks[2],
                      rmse=error, extra_mb=extra, ratings_mb=(u.nbytes + i.nbytes + r.nbytes) / 2**20)))
