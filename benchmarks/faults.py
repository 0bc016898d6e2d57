"Kill what writes, at random moments, and look for what was lost; `python benchmarks/faults.py` kills everything 120 times and writes faults.csv."

import argparse, contextlib, functools, hashlib, io, json, os, shutil, signal, subprocess, sys, tempfile, threading, time, traceback, zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

for name in ('OMP_NUM_THREADS', 'TF_NUM_INTRAOP_THREADS', 'TF_NUM_INTEROP_THREADS'):
    os.environ.setdefault(name, '1')  # a process that is doubled has to have one thread
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

import numpy as np
import pandas as pd

import mf_movielens.data as data
from mf_movielens.als import fit_als
from mf_movielens.bayes import fit_bayes
from mf_movielens.data import Source, synthetic
from mf_movielens.encoding import Ratings
from mf_movielens.factors import Factors
from mf_movielens.ials import fit_ials
from mf_movielens.reading import load_ratings
from mf_movielens.recommender import Recommender
from mf_movielens.shards import Shards, load_cached, shard_file, write_shards

RESULTS = Path(__file__).resolve().parent.parent / 'mf_movielens/results'


def child(work):
    "Do it in a process of its own: its number."
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        with (
            open(os.devnull, 'w') as nowhere,
            contextlib.redirect_stdout(nowhere),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def ended(pid):
    "Whether it was killed; an error of its own is ours."
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return True
    assert not os.WEXITSTATUS(status), 'the work itself failed'
    return False


def times(work):
    "Seconds that it takes when nobody kills it."
    started = time.perf_counter()
    ended(child(work))
    return time.perf_counter() - started


class Lost(AssertionError):
    pass


# Each kind: `prepare(folder)` gives (work, check, afresh): what is done again and again, a look at what is there
# after each kill, and a look at what is there at the end, after which everything is as it was at first.


@functools.cache
def table():
    ratings = synthetic().ratings.head(12_000)
    return ratings.assign(movie_id=ratings.movie_id.astype(str) + 'é')


@functools.cache
def ratings():
    return Ratings.from_frame(table())


def same(a, b, names=('user_bias', 'item_bias', 'user_factors', 'item_factors')):
    if not all(np.array_equal(getattr(a, n), getattr(b, n)) for n in names):
        raise Lost('other bits than without a kill')


def download(folder):
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, 'w') as z:
        z.writestr(
            'small/ratings.csv',
            'userId,movieId,rating,timestamp\n1,10,4.0,1\n1,20,3.5,2\n2,10,5.0,3\n',
        )
        z.writestr(
            'small/movies.csv',
            'movieId,title,genres\n'
            + '\n'.join(f'{j},A film {j} (1994),Drama' for j in range(20_000)),
        )
    archive = raw.getvalue()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_GET(self):
            self.send_response(200)
            self.send_header('Content-Length', str(len(archive)))
            self.end_headers()
            with contextlib.suppress(OSError):
                for j in range(0, len(archive), 2**14):
                    self.wfile.write(archive[j : j + 2**14])
                    time.sleep(0.002)

    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    data.GROUPLENS = f'http://127.0.0.1:{server.server_port}/'
    data.SOURCES['small'] = Source(
        'small', 'csv', 3, 2, 20_000, 'sha256:' + hashlib.sha256(archive).hexdigest()
    )
    os.environ |= {'MF_MOVIELENS_HOME': str(folder), 'MF_MOVIELENS_OFFLINE': '0'}
    import pooch, requests  # before the doubling, since importing is not what is tried

    path = folder / 'small.zip'

    def check():
        if path.exists() and path.read_bytes() != archive:
            raise Lost('half an archive under the right name')

    def afresh():
        if path.read_bytes() != archive:
            raise Lost('another archive')
        path.unlink()

    return lambda: data.load('small'), check, afresh


def cache(folder):
    path, kept, whole = folder / 'r.csv', folder / 'kept', None
    table().to_csv(path, index=False)
    whole = load_ratings(path, say=None)

    def read():
        return load_cached(path, cache=kept, say=None)

    def check():
        for f in kept.glob('[!.]*') if kept.exists() else ():
            Shards(f).load()

    def afresh():
        if read().fingerprint != whole.fingerprint:
            raise Lost('other ratings')
        shutil.rmtree(kept)

    return read, check, afresh


def shards(folder, write):
    def check():
        if (folder / 's').exists():
            sum(len(part) for part in Shards(folder / 's'))

    def afresh():
        if len(Shards(folder / 's').load()) != len(ratings()):
            raise Lost('other ratings')
        shutil.rmtree(folder / 's')

    return lambda: (folder / 's').exists() or write(folder), check, afresh


def written(folder):
    write_shards(ratings(), folder / 's', shard_size=1_500, seed=0)


def cut(folder):
    if not (folder / 'r.csv').exists():
        table().to_csv(folder / 'r.csv', index=False)
    shard_file(folder / 'r.csv', folder / 's', 8)


def save(folder):
    models = [
        Recommender.fit(ratings(), n_factors=16, n_iterations=1, seed=s) for s in (0, 1)
    ]
    path = folder / 'm.npz'
    models[0].save(path)

    def check():
        found = Recommender.load(path).predictor
        if not any(
            np.array_equal(found.item_factors, m.predictor.item_factors) for m in models
        ):
            raise Lost('neither the old nor the new model')

    def afresh():
        same(Recommender.load(path).predictor, models[1].predictor)
        models[0].save(path)

    return lambda: models[1].save(path), check, afresh


def training(fit, whole, load=Factors.load):
    "A solver with a checkpoint, which goes on until it has saved what it found."

    def prepare(folder):
        checkpoint, out = folder / 'c.npz', folder / 'f.npz'
        right = whole()

        def check():
            if out.exists():
                load(out)

        def afresh():
            same(load(out), right)
            for p in (checkpoint, out):
                p.unlink(missing_ok=True)

        return lambda: fit(checkpoint).save(out), check, afresh

    return prepare


def als(checkpoint=None):
    return fit_als(
        ratings(),
        n_factors=24,
        n_iterations=12,
        checkpoint=checkpoint,
        n_threads=1,
        progress=False,
    )


def ials(checkpoint=None):
    return fit_ials(
        ratings(),
        n_factors=24,
        n_iterations=12,
        checkpoint=checkpoint,
        n_threads=1,
        progress=False,
    )


def bayes(checkpoint=None):
    return fit_bayes(
        ratings(),
        n_factors=4,
        n_burn_in=2,
        n_samples=22,
        checkpoint=checkpoint,
        progress=False,
    )


def last(draws):
    return draws.sample(len(draws) - 1)


def drawn(path):
    from mf_movielens.posterior import Posterior

    return last(Posterior.load(path))


def command(folder):
    "The whole of `mf-movielens train`, all its files included."
    path, out = folder / 'r.csv', folder / 'out'
    table().head(4_000).to_csv(path, index=False)
    import mf_movielens.plots, matplotlib.pyplot  # before the doubling

    def run():
        sys.argv = [
            'mf-movielens',
            'train',
            str(path),
            '--out',
            str(out),
            '--n-factors',
            '8',
        ]
        from mf_movielens.cli import main

        try:
            main()
        except SystemExit as e:
            assert not e.code, e

    def read():
        return Recommender.load(out / 'model.npz').predictor

    ended(child(run))
    right = read()
    shutil.rmtree(out)

    def check():
        if (out / 'model.npz').exists():
            read()
        if (out / 'metrics.json').exists():
            json.loads((out / 'metrics.json').read_text())
        if (out / 'recommendations.csv').exists():
            pd.read_csv(out / 'recommendations.csv')

    def afresh():
        same(read(), right)
        if {'checkpoint'} & {
            word for p in out.glob('[!.]*') for word in p.name.split('.')
        }:
            raise Lost('a checkpoint stayed behind')
        shutil.rmtree(out)

    return run, check, afresh


KINDS = {
    'download': download,
    'cache of a file': cache,
    'shards written': lambda folder: shards(folder, written),
    'file cut into shards': lambda folder: shards(folder, cut),
    'model saved over another': save,
    'training by als': training(als, als),
    'training by ials': training(ials, ials),
    'training by bayes': training(bayes, lambda: last(bayes()), drawn),
    'training by keras': None,
    'the command train': command,
}


def keras_too():
    from dataclasses import replace
    from mf_movielens.training import (
        RECIPES,
        train_net,
    )  # doubled before TensorFlow has started anything

    recipe = replace(RECIPES['tuned'], n_factors=8, n_iterations=6)

    def fit(checkpoint=None):
        return train_net(ratings(), recipe, checkpoint=checkpoint).factors

    def whole():
        with tempfile.TemporaryDirectory() as d:
            ended(child(lambda: fit().save(Path(d, 'f.npz'))))
            return Factors.load(Path(d, 'f.npz'))

    return training(fit, whole)


def kill(kind, n, seed=0):
    "Kill a kind of work `n` times: a row of the table."
    rng, kills, ends, losses = np.random.default_rng(seed), 0, 0, []
    ratings()  # made once, before the doubling
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        work, check, afresh = (KINDS[kind] or keras_too())(folder)
        longest = times(work)
        afresh()
        while kills < n:
            pid = child(work)
            time.sleep(rng.uniform(0, longest))
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            killed = ended(pid)
            kills, ends = kills + killed, ends + (not killed)
            try:
                check() if killed else afresh()
            except Exception as e:
                losses.append(f'{type(e).__name__}: {e}')
        ended(child(work))  # and now to the end
        try:
            afresh()
        except Exception as e:
            losses.append(f'{type(e).__name__}: {e}')
    return dict(
        kind=kind,
        killed=kills,
        ended=ends + 1,
        seconds=round(longest, 2),
        losses=len(losses),
    ), losses


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        'kinds', nargs='*', help=f'which; all by default: {"; ".join(KINDS)}'
    )
    p.add_argument('-n', type=int, default=120, help='kills of each kind')
    p.add_argument('--seed', type=int, default=0)
    p.add_argument('--try', action='store_true', dest='dry', help='write nothing')
    a = p.parse_args()
    if len(a.kinds) == 1:  # in a process of its own
        row, losses = kill(a.kinds[0], a.n, a.seed)
        return print(json.dumps([row, losses]))
    rows = []
    for kind in a.kinds or KINDS:
        said = subprocess.run(
            [sys.executable, __file__, kind, '-n', str(a.n), '--seed', str(a.seed)],
            capture_output=True,
            text=True,
        )
        if said.returncode:
            sys.exit(said.stderr)
        row, losses = json.loads(said.stdout.splitlines()[-1])
        print(json.dumps(row), *losses[:5], sep='\n', flush=True)
        rows.append(row)
    if not (a.dry or a.kinds):
        pd.DataFrame(rows).to_csv(RESULTS / 'faults.csv', index=False)


if __name__ == '__main__':
    main()
