"Does a list of jobs with one peer, in this one process; reads the jobs from standard input, prints one line of JSON for each."

import importlib.util, json, os, platform, sys, time, traceback, warnings
from importlib.metadata import version
from types import SimpleNamespace

import numpy as np

warnings.filterwarnings('ignore')


def load_peer(path):
    "Import a peer file by its path, under a name that hides no library."
    spec = importlib.util.spec_from_file_location('peer', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def parts(path):
    "The training and the test ratings of a file."
    with np.load(path) as z:
        d = {a: z[a] for a in z.files}
    cut = len(d['u']) - int(d['n_test'])
    about = dict(
        n_users=int(d['n_users']),
        n_items=int(d['n_items']),
        low=float(d['r'].min()),
        high=float(d['r'].max()),
        side_users=d.get('side_users'),
        side_items=d.get('side_items'),
    )
    return tuple(
        SimpleNamespace(
            u=d['u'][rows].copy(),
            i=d['i'][rows].copy(),
            r=d['r'][rows].copy(),
            t=d['t'][rows].copy() if 't' in d else None,
            **about,
        )
        for rows in (slice(cut), slice(cut, None))
    )


def memory(field):
    "Megabytes of this process: VmRSS now, VmHWM at most. (`ru_maxrss` would count the parent's, from before the program was loaded.)"
    return next(
        float(line.split()[1]) / 1024
        for line in open('/proc/self/status')
        if line.startswith(field)
    )


def timed(function, *arguments):
    started = time.perf_counter()
    return function(*arguments), time.perf_counter() - started


def lists(scores, train, users, n):
    "The `n` best films that each user has not rated, best first; ties by row, -1 where there are no more."
    x = np.where(np.isnan(scores), -np.inf, scores)
    place = np.full(train.n_users, -1)
    place[users] = np.arange(len(users))
    mine = place[train.u] >= 0
    x[place[train.u[mine]], train.i[mine]] = -np.inf
    best = np.argsort(-x, axis=1, kind='stable')[:, :n]
    return np.where(np.take_along_axis(x, best, 1) > -np.inf, best, -1)


def plain_top(peer, name, train):
    "Top tens for a library that has no way of its own."
    start, items = (
        np.r_[0, np.bincount(train.u, minlength=train.n_users).cumsum()],
        train.i[np.argsort(train.u, kind='stable')],
    )

    def top(users, n):
        x = np.array(peer.scores(name, top.model, users))
        for row, user in enumerate(users):
            x[row, items[start[user] : start[user + 1]]] = -np.inf
        best = np.argpartition(-x, n - 1, axis=1)[:, :n]
        return np.take_along_axis(
            best, np.argsort(-np.take_along_axis(x, best, 1), axis=1), 1
        )

    return top


def latency(peer, name, model, train):
    "Milliseconds for the top ten of one user, the median of twenty, and seconds for all users."
    if hasattr(peer, 'top'):
        top = lambda users, n: peer.top(name, model, users, n)
    else:
        top = plain_top(peer, name, train)
        top.model = model
    some = np.unique(train.u)
    some = some[np.linspace(0, len(some) - 1, 21).astype(int)]
    top(some[:1], 10)  # what is made once
    one = [timed(top, some[j : j + 1], 10)[1] for j in range(1, 21)]
    return dict(
        latency_one_ms=1000 * float(np.median(one)),
        latency_all_s=timed(top, np.unique(train.u), 10)[1],
    )


def do(peer, job):
    "Fit one model to one file, and save what it says of the test part."
    train, test = parts(job['data'])
    name, settings, about = job['model'], job['settings'], peer.MODELS[job['model']]
    before = memory('VmRSS')
    data, prepare_s = timed(peer.prepare, name, train, settings)
    model, fit_s = timed(peer.fit, name, data, settings)
    report = dict(
        prepare_s=prepare_s,
        fit_s=fit_s,
        peak_mb=memory('VmHWM'),
        extra_mb=memory('VmHWM') - before,
        ratings_mb=(train.u.nbytes + train.i.nbytes + train.r.nbytes) / 2**20,
    )
    if about['task'] == 'ranking':
        users = np.unique(test.u)
        np.savez(
            job['out'],
            users=users,
            lists=lists(peer.scores(name, model, users), train, users, 50),
        )
        if job.get('latency'):
            report |= latency(peer, name, model, train)
    elif about.get('rates', True):
        np.savez(
            job['out'],
            p=np.asarray(
                peer.predict(
                    name,
                    model,
                    test.u,
                    test.i,
                    *([test.t] if about.get('moments') else []),
                ),
                'float64',
            ),
        )
    return report


def main():
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)  # what libraries print must not lie among the answers
    peer = load_peer(sys.argv[1])
    _, import_s = timed(peer.load)
    common = dict(
        import_s=import_s,
        version=version(peer.PACKAGES[0].split('==')[0]),
        python=platform.python_version(),
    )
    for job in json.load(sys.stdin):
        try:
            answer = common | do(peer, job)
        except Exception as e:
            traceback.print_exc()
            answer = common | dict(error=f'{type(e).__name__}: {e}')
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == '__main__':
    main()
