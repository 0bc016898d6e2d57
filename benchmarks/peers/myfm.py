"https://myfm.readthedocs.io"
import numpy as np

PACKAGES = ['myfm==0.4.0', 'numpy==2.4.6']
MODELS = {'ratings only': dict(task='rating', default={'rank': 10, 'sweeps': 200}, search={'rank': [5, 10, 20], 'sweeps': [100, 200, 400]})}

def load():
    global myfm, csr_matrix
    import myfm
    from scipy.sparse import csr_matrix

def pairs(u, i, shape):
    "A row for each rating, with a one for its user and a one for its film."
    columns = np.column_stack([u, shape[0] + i]).ravel()
    return csr_matrix((np.ones(len(columns)), columns, np.arange(0, len(columns) + 1, 2)), (len(u), sum(shape)))

def prepare(name, train, settings):
    shape = train.n_users, train.n_items
    return pairs(train.u, train.i, shape), train.r.astype('float64'), shape

def fit(name, data, settings):
    X, y, shape = data
    model = myfm.MyFMRegressor(rank=settings['rank'], random_seed=0)
    return model.fit(X, y, n_iter=settings['sweeps'], n_kept_samples=settings['sweeps'], group_shapes=list(shape)), shape

def predict(name, model, u, i): return model[0].predict(pairs(u, i, model[1]))
