"""Kill work that writes files at random moments, and look for lost or damaged files.

`python benchmarks/faults.py` kills each kind of work 120 times and writes faults.csv.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

# a process that is forked may have one thread only
for name in ('OMP_NUM_THREADS', 'TF_NUM_INTRAOP_THREADS', 'TF_NUM_INTEROP_THREADS'):
    os.environ.setdefault(name, '1')
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

import numpy as np
import pandas as pd
from commit import commit

import mf_movielens.movielens_sets as sets
from mf_movielens.als import fit_als
from mf_movielens.bayes import fit_bayes
from mf_movielens.data import load, synthetic
from mf_movielens.encoding import Ratings
from mf_movielens.factors import Factors
from mf_movielens.ials import fit_ials
from mf_movielens.posterior import Posterior
from mf_movielens.reading import load_ratings
from mf_movielens.recommender import Recommender
from mf_movielens.shards import Shards, load_cached, shard_file, write_shards

RESULTS = Path(__file__).resolve().parent.parent / 'mf_movielens/results'
COMPARED_ARRAYS = ('user_bias', 'item_bias', 'user_factors', 'item_factors')


class LostError(AssertionError):
    """Something was lost, or is there in part."""


class Case(NamedTuple):
    """One kind of work that is killed again and again.

    `work` writes files. `check` looks at the files after a kill. `finish` looks at
    them after the work came to its end, and puts everything back as it was at first.
    Both raise an error if something was lost.
    """

    work: Callable[[], object]
    check: Callable[[], None]
    finish: Callable[[], None]


def fork(work: Callable[[], object]) -> int:
    """Start the work in a process of its own; the number of the process."""
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


def was_killed(pid: int) -> bool:
    """Wait for the end of a process: whether it was killed.

    If it ended with an error of its own, the work itself is wrong.
    """
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return True
    assert not os.WEXITSTATUS(status), 'the work itself failed'
    return False


def run_to_end(work: Callable[[], object]) -> float:
    """Do the work in a process that nobody kills; its seconds."""
    started = time.perf_counter()
    was_killed(fork(work))
    return time.perf_counter() - started


@functools.cache
def rating_table() -> pd.DataFrame:
    """Synthetic ratings, with text as ids of the items."""
    table = synthetic().ratings.head(12_000)
    return table.assign(movie_id=table.movie_id.astype(str) + 'é')


@functools.cache
def ratings() -> Ratings:
    """The same ratings, encoded."""
    return Ratings.from_frame(rating_table())


def check_same(factors: Any, expected: Any) -> None:
    """Raise LostError if not all arrays are equal."""
    for name in COMPARED_ARRAYS:
        if not np.array_equal(getattr(factors, name), getattr(expected, name)):
            raise LostError(f'other {name} than without a kill')


def make_archive() -> bytes:
    """The bytes of an archive of ratings with many films."""
    ratings_csv = (
        'userId,movieId,rating,timestamp\n1,10,4.0,1\n1,20,3.5,2\n2,10,5.0,3\n'
    )
    films = [f'{j},A film {j} (1994),Drama' for j in range(20_000)]
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, 'w') as file:
        file.writestr('small/ratings.csv', ratings_csv)
        file.writestr('small/movies.csv', '\n'.join(['movieId,title,genres', *films]))
    return raw.getvalue()


def serve_slowly(content: bytes) -> str:
    """Start a server that gives everybody the same content; its address."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header('Content-Length', str(len(content)))
            self.end_headers()
            with contextlib.suppress(OSError):
                for j in range(0, len(content), 2**14):
                    self.wfile.write(content[j : j + 2**14])
                    time.sleep(0.002)

    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f'http://127.0.0.1:{server.server_port}/'


def download_case(folder: Path) -> Case:
    """Download an archive and read it."""
    # imported before the fork, since imports are not what is tested
    import pooch  # noqa: F401
    import requests  # noqa: F401

    archive = make_archive()
    digest = 'sha256:' + hashlib.sha256(archive).hexdigest()
    sets.GROUPLENS = serve_slowly(archive)
    sets.SOURCES['small'] = sets.Source('small', 'csv', 3, 2, 20_000, digest)
    os.environ |= {'MF_MOVIELENS_HOME': str(folder), 'MF_MOVIELENS_OFFLINE': '0'}
    path = folder / 'small.zip'

    def work() -> None:
        load('small')

    def check() -> None:
        if path.exists() and path.read_bytes() != archive:
            raise LostError('half an archive under the right name')

    def finish() -> None:
        if path.read_bytes() != archive:
            raise LostError('another archive')
        path.unlink()

    return Case(work, check, finish)


def cache_case(folder: Path) -> Case:
    """Read a file and keep what was read."""
    path, cache = folder / 'r.csv', folder / 'kept'
    rating_table().to_csv(path, index=False)
    expected = load_ratings(path, say=None)

    def read() -> Ratings:
        return load_cached(path, cache=cache, say=None)

    def check() -> None:
        # names of unfinished folders begin with a dot
        for kept in cache.glob('[!.]*'):
            Shards(kept).load()

    def finish() -> None:
        if read().fingerprint != expected.fingerprint:
            raise LostError('other ratings')
        shutil.rmtree(cache)

    return Case(read, check, finish)


def shards_case(folder: Path, write: Callable[[Path], object]) -> Case:
    """Write shards into a folder."""
    shards, unkilled = folder / 's', folder / 'unkilled'
    write(unkilled)
    expected = Shards(unkilled).load().fingerprint

    def work() -> None:
        if not shards.exists():
            write(shards)

    def check() -> None:
        if shards.exists():
            for _ in Shards(shards):
                pass

    def finish() -> None:
        if Shards(shards).load().fingerprint != expected:
            raise LostError('other ratings')
        shutil.rmtree(shards)

    return Case(work, check, finish)


def written_shards_case(folder: Path) -> Case:
    """Write ratings in memory as shards."""

    def write(shards: Path) -> None:
        write_shards(ratings(), shards, shard_size=1_500, seed=0)

    return shards_case(folder, write)


def cut_file_case(folder: Path) -> Case:
    """Cut a file into shards."""
    path = folder / 'r.csv'
    rating_table().to_csv(path, index=False)

    def write(shards: Path) -> None:
        shard_file(path, shards, 8)

    return shards_case(folder, write)


def save_case(folder: Path) -> Case:
    """Save a model in the place of another one."""
    old, new = (
        Recommender.fit(ratings(), n_factors=16, n_iterations=1, seed=seed)
        for seed in (0, 1)
    )
    path = folder / 'm.npz'
    old.save(path)

    def work() -> None:
        new.save(path)

    def check() -> None:
        item_factors = Recommender.load(path).predictor.item_factors
        if not any(
            np.array_equal(item_factors, model.predictor.item_factors)
            for model in (old, new)
        ):
            raise LostError('neither the old nor the new model')

    def finish() -> None:
        check_same(Recommender.load(path).predictor, new.predictor)
        old.save(path)

    return Case(work, check, finish)


def checkpoint_case(
    folder: Path,
    fit: Callable[[Path | None], Any],
    expected: Any,
    load: Callable[[Path], Any] = Factors.load,
) -> Case:
    """Fit with a checkpoint, from which the next try goes on, and save the result."""
    checkpoint, out = folder / 'c.npz', folder / 'f.npz'

    def work() -> None:
        fit(checkpoint).save(out)

    def check() -> None:
        if out.exists():
            load(out)

    def finish() -> None:
        check_same(load(out), expected)
        for path in (checkpoint, out):
            path.unlink(missing_ok=True)

    return Case(work, check, finish)


def als_case(folder: Path) -> Case:
    """Fit by alternating least squares."""
    settings = dict(n_factors=24, n_iterations=12, n_threads=1, progress=False)

    def fit(checkpoint: Path | None = None) -> Factors:
        return fit_als(ratings(), checkpoint=checkpoint, **settings)

    return checkpoint_case(folder, fit, fit())


def ials_case(folder: Path) -> Case:
    """Fit to implicit feedback by alternating least squares."""
    settings = dict(n_factors=24, n_iterations=12, n_threads=1, progress=False)

    def fit(checkpoint: Path | None = None) -> Factors:
        return fit_ials(ratings(), checkpoint=checkpoint, **settings)

    return checkpoint_case(folder, fit, fit())


def last_sample(posterior: Posterior) -> Any:
    """The last of the posterior samples."""
    return posterior.sample(len(posterior) - 1)


def load_last_sample(path: Path) -> Any:
    """The last of the posterior samples of a file."""
    return last_sample(Posterior.load(path))


def bayes_case(folder: Path) -> Case:
    """Fit by Gibbs sampling."""
    settings = dict(n_factors=4, n_burn_in=2, n_samples=22, progress=False)

    def fit(checkpoint: Path | None = None) -> Posterior:
        return fit_bayes(ratings(), checkpoint=checkpoint, **settings)

    return checkpoint_case(folder, fit, last_sample(fit()), load_last_sample)


def keras_case(folder: Path) -> Case:
    """Train the network."""
    # this process must be forked before TensorFlow has started any thread
    from mf_movielens.training import RECIPES, train_net

    recipe = replace(RECIPES['tuned'], n_factors=8, n_iterations=6)

    def fit(checkpoint: Path | None = None) -> Factors:
        return train_net(ratings(), recipe, checkpoint=checkpoint).factors

    path = folder / 'expected.npz'
    run_to_end(lambda: fit().save(path))
    return checkpoint_case(folder, fit, Factors.load(path))


def command_case(folder: Path) -> Case:
    """Run the command `mf-movielens train`, all its files included."""
    # imported before the fork, since imports are not what is tested
    import matplotlib.pyplot  # noqa: F401

    import mf_movielens.plots  # noqa: F401
    from mf_movielens.cli import main

    path, out = folder / 'r.csv', folder / 'out'
    rating_table().head(4_000).to_csv(path, index=False)
    words = ['mf-movielens', 'train', path, '--out', out, '--n-factors', 8]

    def work() -> None:
        sys.argv = [*map(str, words)]
        try:
            main()
        except SystemExit as end:
            assert not end.code, end

    def read() -> Any:
        return Recommender.load(out / 'model.npz').predictor

    run_to_end(work)
    expected = read()
    shutil.rmtree(out)

    def check() -> None:
        if (out / 'model.npz').exists():
            read()
        if (out / 'metrics.json').exists():
            json.loads((out / 'metrics.json').read_text())
        if (out / 'recommendations.csv').exists():
            pd.read_csv(out / 'recommendations.csv')

    def finish() -> None:
        check_same(read(), expected)
        if has_checkpoint(out.glob('[!.]*')):
            raise LostError('a checkpoint was not removed')
        shutil.rmtree(out)

    return Case(work, check, finish)


def has_checkpoint(paths: Iterable[Path]) -> bool:
    """Whether one of the files is a checkpoint, by its name."""
    return any('checkpoint' in path.name.split('.') for path in paths)


CASES: dict[str, Callable[[Path], Case]] = {
    'download': download_case,
    'cache of a file': cache_case,
    'shards written': written_shards_case,
    'file cut into shards': cut_file_case,
    'model saved over another': save_case,
    'training by als': als_case,
    'training by ials': ials_case,
    'training by bayes': bayes_case,
    'training by keras': keras_case,
    'the command train': command_case,
}


def error_of(check: Callable[[], None]) -> list[str]:
    """The error that a look at the files raises; an empty list if there is none."""
    try:
        check()
    except Exception as error:
        return [f'{type(error).__name__}: {error}']
    return []


def kill_many(
    kind: str, n_kills: int, seed: int = 0
) -> tuple[dict[str, Any], list[str]]:
    """Kill a kind of work many times: a row of the table, and what was lost."""
    rng = np.random.default_rng(seed)
    killed, ended, losses = 0, 0, []
    # made before the forks
    ratings()
    with tempfile.TemporaryDirectory() as folder:
        case = CASES[kind](Path(folder))
        seconds = run_to_end(case.work)
        case.finish()
        while killed < n_kills:
            pid = fork(case.work)
            time.sleep(rng.uniform(0, seconds))
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            if was_killed(pid):
                killed += 1
                losses += error_of(case.check)
            else:
                ended += 1
                losses += error_of(case.finish)
        run_to_end(case.work)
        losses += error_of(case.finish)
    row = dict(
        kind=kind,
        killed=killed,
        ended=ended + 1,
        seconds=round(seconds, 2),
        losses=len(losses),
    )
    return row, losses


def kill_in_process(kind: str, n_kills: int, seed: int) -> dict[str, Any]:
    """The same in a process of its own; prints what was lost."""
    options = ['-n', str(n_kills), '--seed', str(seed)]
    process = subprocess.run(
        [sys.executable, __file__, kind, *options], capture_output=True, text=True
    )
    if process.returncode:
        sys.exit(process.stderr)
    row, losses = json.loads(process.stdout.splitlines()[-1])
    print(json.dumps(row), *losses[:5], sep='\n', flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'kinds', nargs='*', help=f'which; all by default: {"; ".join(CASES)}'
    )
    parser.add_argument('-n', type=int, default=120, help='kills of each kind')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--try', action='store_true', dest='is_trial', help='write nothing'
    )
    options = parser.parse_args()
    if len(options.kinds) == 1:
        print(json.dumps(kill_many(options.kinds[0], options.n, options.seed)))
        return
    rows = [
        kill_in_process(kind, options.n, options.seed)
        for kind in options.kinds or CASES
    ]
    if not (options.is_trial or options.kinds):
        table = pd.DataFrame(rows).assign(commit=commit())
        table.to_csv(RESULTS / 'faults.csv', index=False)


if __name__ == '__main__':
    main()
