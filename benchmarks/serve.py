"""Measure the server under load on this machine, beside implicit behind the same one.

`python benchmarks/serve.py` serves a model of ML-100K and a planted one of a million
users and a hundred thousand items, asks for recommendations and fold-ins over 1, 8 and
32 connections, and writes serve.csv. Leave the machine alone meanwhile: clients and
server share its cores.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from benchmark_data import KEPT
from run import RESULTS, date_and_machine, save_table
from scale import processor
from scipy.sparse import csr_array

from mf_movielens.data import load
from mf_movielens.encoding import Ratings, Vocabulary
from mf_movielens.factors import Factors
from mf_movielens.least_squares import Regularization
from mf_movielens.recommender import Recommender

HERE = Path(__file__).resolve().parent
CONNECTIONS = (1, 8, 32)
WORKERS = (1, 2)
N_FACTORS = 64
PORT = 8765
# Seconds for which each cell asks, after a tenth of that for warming up
SECONDS = 10.0
Row = dict[str, Any]


def planted_model(n_users: int, n_items: int, n_each: int = 20) -> Recommender:
    """A model with random factors: only its size counts here."""
    rng = np.random.default_rng(0)
    P, Q = (
        rng.normal(0, 0.1, (n, N_FACTORS)).astype('float32') for n in (n_users, n_items)
    )
    # A user has rated one item of each part, so that none occurs twice.
    part = n_items // n_each
    item_ix = rng.integers(part, size=(n_users, n_each)) + np.arange(n_each) * part
    start = np.arange(0, n_users * n_each + 1, n_each)
    seen = csr_array(
        (
            np.full(item_ix.size, 5, 'float32'),
            item_ix.ravel().astype('int32'),
            start.astype('int32'),
        ),
        shape=(n_users, n_items),
    )
    factors = Factors(
        0.0,
        np.zeros(n_users, 'float32'),
        np.zeros(n_items, 'float32'),
        P,
        Q,
        (1, 5),
        link='score',
        regularization=Regularization(reg=0.01, damping=1.0, alpha=1.0),
    )
    titles = np.array([f'Item {n}' for n in range(1, n_items + 1)], object)
    return Recommender(
        factors,
        Vocabulary(np.arange(1, n_users + 1), 'user'),
        Vocabulary(np.arange(1, n_items + 1), 'item'),
        seen,
        {'solver': 'ials', 'fingerprint': 'planted'},
        titles,
    )


def model_of(name: str) -> Recommender:
    """The model that is served under a name."""
    if name == 'ml-100k':
        ml = load('ml-100k')
        ratings = Ratings.from_frame(ml.ratings, titles=ml.titles)
        return Recommender.fit(ratings, n_factors=N_FACTORS)
    return planted_model(1_000_000, 100_000)


def write_files(name: str) -> tuple[Path, Path]:
    """The file of a model, and plain arrays of it for a peer."""
    folder = KEPT / 'serve'
    folder.mkdir(parents=True, exist_ok=True)
    own, plain = folder / f'{name}.npz', folder / f'{name}-plain.npz'
    if not (own.exists() and plain.exists()):
        model = model_of(name)
        factors: Any = model.predictor
        np.savez(
            plain,
            user_factors=factors.user_factors,
            item_factors=factors.item_factors,
            start=model.seen.indptr,
            item=model.seen.indices,
            rating=model.seen.data,
        )
        model.save(own)
    return own, plain


class Question(NamedTuple):
    """A request, as bytes that are made anew for each number."""

    name: str
    n_users: int
    n_items: int

    def request(self, rng: np.random.Generator) -> bytes:
        """A request about a user or with ratings that are drawn."""
        if self.name == 'recommend':
            user = int(rng.integers(1, self.n_users + 1))
            path = f'/api/recommend?user={user}&k=10'
            return f'GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n'.encode()
        items = np.unique(rng.integers(1, self.n_items + 1, 20)).tolist()
        ratings = [{'item': item, 'rating': 5} for item in items]
        body = json.dumps({'ratings': ratings, 'k': 10}).encode()
        head = (
            'POST /api/fold-in HTTP/1.1\r\nHost: localhost\r\n'
            f'Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n'
        )
        return head.encode() + body


async def answer_status(reader: asyncio.StreamReader) -> int:
    """Read an answer to its end; its status."""
    head = await reader.readuntil(b'\r\n\r\n')
    lines = head.lower().split(b'\r\n')
    [length] = [line[15:] for line in lines if line.startswith(b'content-length:')]
    await reader.readexactly(int(length))
    return int(head[9:12])


async def keep_asking(question: Question, seed: int, end: float) -> list[list[float]]:
    """Over one connection, when each answer came, how long it took, its status."""
    rng = np.random.default_rng(seed)
    reader, writer = await asyncio.open_connection('127.0.0.1', PORT)
    found = []
    while time.perf_counter() < end:
        content = question.request(rng)
        started = time.perf_counter()
        writer.write(content)
        status = await answer_status(reader)
        now = time.perf_counter()
        found.append([now, now - started, status])
    writer.close()
    return found


def measure(question: Question, n_connections: int, seconds: float) -> Row:
    """Ask for a while over some connections: rate, percentiles and failures."""

    async def ask_all() -> list[list[list[float]]]:
        end = time.perf_counter() + 1.1 * seconds
        asking = (keep_asking(question, n, end) for n in range(n_connections))
        return await asyncio.gather(*asking)

    begun = time.perf_counter() + 0.1 * seconds
    found = np.concatenate([part for part in asyncio.run(ask_all()) if part])
    counted = found[found[:, 0] >= begun]
    p50, p99 = np.percentile(counted[:, 1] * 1000, [50, 99])
    return {
        'question': question.name,
        'connections': n_connections,
        'requests_per_s': len(counted) / (counted[-1:, 0].max() - begun),
        'p50_ms': p50,
        'p99_ms': p99,
        'failed': int((counted[:, 2] != 200).sum()),
    }


def children_of(process_id: int) -> list[int]:
    """The processes that a process has started, and theirs."""
    path = Path(f'/proc/{process_id}/task/{process_id}/children')
    own = [int(word) for word in path.read_text().split()] if path.exists() else []
    return [*own, *(child for one in own for child in children_of(one))]


def memory_of(process_id: int) -> tuple[float, float]:
    """Megabytes of a process: its share of all memory, and what it has alone."""
    text = Path(f'/proc/{process_id}/smaps_rollup').read_text()
    sizes = {line.split(':')[0]: int(line.split()[1]) for line in text.splitlines()[1:]}
    private = sizes['Private_Clean'] + sizes['Private_Dirty']
    return sizes['Pss'] / 1000, private / 1000


def memory_per_worker(process_id: int, n_workers: int) -> Row:
    """Mean megabytes of the largest processes, which are the workers."""
    processes = [process_id] if n_workers == 1 else children_of(process_id)
    found = sorted((memory_of(process) for process in processes), reverse=True)
    pss, private = np.mean(found[:n_workers], axis=0)
    return {'pss_mb': pss, 'private_mb': private}


async def wait_for_server() -> None:
    """Return when the server answers."""
    while True:
        try:
            reader, writer = await asyncio.open_connection('127.0.0.1', PORT)
            writer.write(b'GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n')
            status = await answer_status(reader)
            writer.close()
            if status == 200:
                return
        except (OSError, asyncio.IncompleteReadError):
            pass
        await asyncio.sleep(0.1)


@contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A server, from its first answer to its end."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        asyncio.run(asyncio.wait_for(wait_for_server(), 300))
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def command_of(system: str, files: tuple[Path, Path], n_workers: int) -> list[str]:
    """How a server is started."""
    own, plain = map(str, files)
    if system == 'mf_movielens':
        program = 'from mf_movielens.cli import main; main()'
        options = ['--port', str(PORT), '--workers', str(n_workers), '--no-browser']
        return [sys.executable, '-c', program, 'serve', own, *options]
    python = os.environ.get('IMPLICIT_PYTHON', HERE / '.envs/implicit/bin/python')
    return [
        str(python),
        str(HERE / 'serve_implicit.py'),
        plain,
        str(PORT),
        str(n_workers),
    ]


def rows_of(system: str, data: str, n_workers: int, seconds: float) -> Iterator[Row]:
    """One row for each question and number of connections."""
    files = write_files(data)
    with np.load(files[1]) as arrays:
        n_users, n_items = (len(arrays[f'{x}_factors']) for x in ('user', 'item'))
    about = {'data': data, 'system': system, 'workers': n_workers}
    about |= {'users': n_users, 'items': n_items, 'factors': N_FACTORS}
    with running(command_of(system, files, n_workers)) as process:
        for name in ('recommend', 'fold-in'):
            for n in CONNECTIONS:
                row = measure(Question(name, n_users, n_items), n, seconds)
                memory = memory_per_worker(process.pid, n_workers)
                yield about | row | memory | {'seconds': seconds}


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--data', nargs='*', default=['ml-100k', 'planted'])
    parser.add_argument('--systems', nargs='*', default=['mf_movielens', 'implicit'])
    parser.add_argument('--quick', action='store_true', help='a second for each cell')
    args = parser.parse_args()
    seconds = 1.0 if args.quick else SECONDS
    rows: list[Row] = []
    for data in args.data:
        for n_workers in WORKERS:
            for system in args.systems:
                for row in rows_of(system, data, n_workers, seconds):
                    rows.append(row | date_and_machine() | {'processor': processor()})
                    print(*(f'{k}={v}' for k, v in row.items()), flush=True)
    path = KEPT / 'quick/serve.csv' if args.quick else RESULTS / 'serve.csv'
    path.parent.mkdir(parents=True, exist_ok=True)
    save_table(path, pd.DataFrame(rows))


if __name__ == '__main__':
    main()
