"""Measure the ranking fit on a GPU, with JAX: the steps of `fit_ials` as whole arrays.

`python benchmarks/gpu.py` writes gpu.csv. It needs numpy and JAX, and the synthetic
ratings of `scale.py`. Nothing else in this repository uses it.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

# A GPU would otherwise round the inputs of a product to ten bits.
jax.config.update('jax_default_matmul_precision', 'highest')

FOLDER = Path(__file__).resolve().parent
# alpha, L2 regularization and rounds, as in `scale.py`
SETTINGS = {'100K': (0.4, 10.0, 8), '1M': (0.8, 10.0, 8), '10M': (0.8, 14.0, 4)}
REG = 1e-6
N_STEPS, N_FINAL_STEPS = 2, 5
# Likes of a row whose vectors are summed before the sums are added up. On an H200 a
# pass over 10M likes with 64 factors took 11 ms with 1, 9 with 8, and 45 with 32.
CHUNK = 1
K = 10
JUDGED_USERS = 4000

Tables = tuple[jax.Array, jax.Array]


class Likes(NamedTuple):
    """The likes of each row of a table, in chunks that belong to one row each."""

    # (n_chunks,) rows, in order; (n_chunks, CHUNK) columns, n_columns for none
    rows: jax.Array
    columns: jax.Array
    # (n_rows,)
    n_likes: jax.Array


@partial(jax.jit, static_argnums=(2, 3, 4))
def in_chunks(
    rows: jax.Array, columns: jax.Array, n_rows: int, n_columns: int, n_chunks: int
) -> Likes:
    """Sort the likes by row, and fill chunks with them."""
    order = jnp.argsort(rows)
    rows, columns = rows[order], columns[order]
    n_likes = jnp.bincount(rows, length=n_rows)
    chunks_of_row = -(-n_likes // CHUNK)
    first_slot = CHUNK * (jnp.cumsum(chunks_of_row) - chunks_of_row)
    first_like = jnp.cumsum(n_likes) - n_likes
    slots = (first_slot - first_like)[rows] + jnp.arange(len(rows))
    filled = jnp.full(n_chunks * CHUNK, n_columns).at[slots].set(columns)
    numbers = jnp.arange(n_rows)
    chunk_rows = jnp.repeat(numbers, chunks_of_row, total_repeat_length=n_chunks)
    return Likes(chunk_rows, filled.reshape(-1, CHUNK), n_likes)


def sorted_likes(
    user_ix: np.ndarray, item_ix: np.ndarray, n_users: int, n_items: int
) -> tuple[Likes, Likes]:
    """Bring likes to the GPU: those of each user, and those of each item."""
    users, items = jax.device_put(user_ix), jax.device_put(item_ix)
    user_chunks, item_chunks = (
        int((-(-np.bincount(rows) // CHUNK)).sum()) for rows in (user_ix, item_ix)
    )
    return (
        in_chunks(users, items, n_users, n_items, user_chunks),
        in_chunks(items, users, n_items, n_users, item_chunks),
    )


def scores_of(vectors: jax.Array, likes: Likes, table: jax.Array) -> Tables:
    """The vectors (n_chunks, CHUNK, k) of the likes, and their scores."""
    gathered = vectors.at[likes.columns].get(mode='fill', fill_value=0)
    return gathered, (gathered * table[likes.rows][:, None]).sum(-1)


def sum_errors(
    vectors: jax.Array, likes: Likes, table: jax.Array, target: float
) -> jax.Array:
    """For each row, the sum of the vectors of its likes times score less target."""
    gathered, scores = scores_of(vectors, likes, table)
    sums = (gathered * (scores - target)[:, :, None]).sum(1)
    return jax.ops.segment_sum(sums, likes.rows, len(table), indices_are_sorted=True)


def ratio(a: jax.Array, b: jax.Array) -> jax.Array:
    """Quotients; 0 where there is nothing to divide by."""
    return jnp.where(b > 0, a / jnp.where(b > 0, b, 1), 0)


def refit(
    table: jax.Array,
    likes: Likes,
    other: jax.Array,
    n_likes: jax.Array,
    alpha: float,
    l2: float,
    n_steps: int,
) -> jax.Array:
    """Refit all rows of a table, by preconditioned conjugate gradients.

    `n_likes` are the numbers of likes of the rows of the other table.
    """
    sums, axes = jnp.linalg.eigh(other.T @ other)
    vectors, solution = other @ axes, table @ axes
    squares = n_likes @ vectors**2 / n_likes.sum()
    n = likes.n_likes[:, None]
    diagonal = alpha * jnp.maximum(sums, 0) + l2 + REG * n
    inverse = 1 / (diagonal + n * squares)
    residual = -diagonal * solution - sum_errors(vectors, likes, solution, 1)
    direction = inverse * residual
    size = (residual * direction).sum(1, keepdims=True)
    for _ in range(n_steps):
        gradient = diagonal * direction + sum_errors(vectors, likes, direction, 0)
        step = ratio(size, (direction * gradient).sum(1, keepdims=True))
        solution += step * direction
        residual -= step * gradient
        size_before, size = size, (inverse * residual**2).sum(1, keepdims=True)
        direction = inverse * residual + ratio(size, size_before) * direction
    return solution @ axes.T


@jax.jit
def one_pass(
    users: jax.Array,
    items: jax.Array,
    by_user: Likes,
    by_item: Likes,
    alpha: float,
    l2: float,
) -> Tables:
    """Refit the users, then the items."""
    users = refit(users, by_user, items, by_item.n_likes, alpha, l2, N_STEPS)
    items = refit(items, by_item, users, by_user.n_likes, alpha, l2, N_STEPS)
    return users, items


@jax.jit
def last_users(
    users: jax.Array,
    items: jax.Array,
    by_user: Likes,
    by_item: Likes,
    alpha: float,
    l2: float,
) -> jax.Array:
    """Refit the users at the end of a fit."""
    return refit(users, by_user, items, by_item.n_likes, alpha, l2, N_FINAL_STEPS)


@jax.jit
def objective(
    users: jax.Array,
    items: jax.Array,
    by_user: Likes,
    by_item: Likes,
    alpha: float,
    l2: float,
) -> jax.Array:
    """That of `ials_objective`, less the number of likes."""
    _, scores = scores_of(items, by_user, users)
    total = (scores * (scores - 2)).sum()
    total += alpha * ((users.T @ users) * (items.T @ items)).sum()
    for table, likes in ((users, by_user), (items, by_item)):
        total += (REG * likes.n_likes + l2) @ (table**2).sum(1)
    return total


@jax.jit
def best_items(scores: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """The K best of each row, without what is liked already."""
    return jax.lax.top_k(scores.at[rows, columns].set(-jnp.inf), K)[1]


class Data(NamedTuple):
    """The likes of a file, and those held out."""

    name: str
    user_ix: np.ndarray
    item_ix: np.ndarray
    test_users: np.ndarray
    test_items: np.ndarray
    n_users: int
    n_items: int

    @classmethod
    def load(cls, path: Path, name: str) -> Data:
        """Read a file that `benchmark_data.py` has made."""
        with np.load(path) as file:
            n = len(file['user_ix']) - int(file['n_test'])
            users, items = file['user_ix'], file['item_ix']
            shape = int(file['n_users']), int(file['n_items'])
        return cls(name, users[:n], items[:n], users[n:], items[n:], *shape)

    def sorted_likes(self) -> tuple[Likes, Likes]:
        """The likes on the GPU."""
        return sorted_likes(self.user_ix, self.item_ix, self.n_users, self.n_items)

    def first_tables(self, n_factors: int, seed: int = 0) -> Tables:
        """Users of zeros and random items, the same as those of `fit_ials`."""
        shape = self.n_items, n_factors
        drawn = np.random.default_rng(seed).normal(0, 0.1 / np.sqrt(n_factors), shape)
        drawn[np.bincount(self.item_ix, minlength=self.n_items) == 0] = 0
        users = jnp.zeros((self.n_users, n_factors), 'float32')
        return users, jax.device_put(drawn.astype('float32'))

    def fit(self, n_factors: int) -> tuple[np.ndarray, np.ndarray]:
        """From arrays of users and items to factors."""
        alpha, l2, n_rounds = SETTINGS[self.name]
        likes = self.sorted_likes()
        users, items = self.first_tables(n_factors)
        for _ in range(n_rounds):
            users, items = one_pass(users, items, *likes, alpha, l2)
        users = last_users(users, items, *likes, alpha, l2)
        return np.asarray(users), np.asarray(items)

    def ndcg(self, users: np.ndarray, items: np.ndarray) -> float:
        """Mean nDCG@10 of held-out likes, for the users that `scale.py` judges."""
        judged = np.unique(self.test_users)
        judged = judged[:: -(-len(judged) // JUDGED_USERS)]
        row_of_user = np.full(self.n_users, -1)
        row_of_user[judged] = np.arange(len(judged))
        rows = row_of_user[self.user_ix]
        scores = jnp.asarray(users[judged]) @ jnp.asarray(items).T
        is_seen = rows >= 0
        lists = best_items(scores, rows[is_seen], self.item_ix[is_seen])
        rows = row_of_user[self.test_users]
        is_relevant = np.zeros(scores.shape, bool)
        is_relevant[rows[rows >= 0], self.test_items[rows >= 0]] = True
        hits = np.take_along_axis(is_relevant, np.asarray(lists), 1)
        gains = 1 / np.log2(np.arange(2, K + 2))
        best = gains.cumsum()[np.minimum(is_relevant.sum(1), K) - 1]
        return float((hits @ gains / best).mean())


def seconds_of(work: Callable[[], Any]) -> tuple[float, Any]:
    """How long some work takes, and its result."""
    started = time.perf_counter()
    result = jax.block_until_ready(work())
    return time.perf_counter() - started, result


def card() -> dict[str, str]:
    """The name of the card, and its driver."""
    command = 'nvidia-smi --query-gpu=name,driver_version --format=csv,noheader'
    name, driver = subprocess.check_output(command.split(), text=True).split(',')
    return dict(card=name.strip(), driver=driver.strip())


def measure(data: Data, n_factors: int) -> dict[str, Any]:
    """One row of the table."""
    alpha, l2, n_rounds = SETTINGS[data.name]
    first_s, _ = seconds_of(lambda: data.fit(n_factors))
    fits = [seconds_of(lambda: data.fit(n_factors)) for _ in range(3)]
    whole_s = float(np.median([seconds for seconds, _ in fits]))
    factors = fits[0][1]
    arguments = *map(jnp.asarray, factors), *data.sorted_likes(), alpha, l2
    passes = [seconds_of(lambda: one_pass(*arguments))[0] for _ in range(5)]
    stats = jax.local_devices()[0].memory_stats() or {}
    numbers = dict(
        compile_s=first_s - whole_s,
        pass_s=np.median(passes),
        whole_s=whole_s,
        peak_mb=stats.get('peak_bytes_in_use', np.nan) / 1e6,
        ndcg=data.ndcg(*factors),
    )
    row = dict(data=data.name, factors=n_factors, alpha=alpha, l2=l2, rounds=n_rounds)
    row['objective'] = round(len(data.user_ix) + float(objective(*arguments)))
    return row | {name: float(f'{number:.4g}') for name, number in numbers.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add('--sizes', nargs='+', choices=[*SETTINGS], default=['1M', '10M'])
    add('--factors', nargs='+', type=int, default=[64, 128, 256])
    add('--ratings', type=Path, default=FOLDER / '.data/ratings')
    results = FOLDER.parent / 'mf_movielens/results'
    add('--out', type=Path, default=results / 'gpu.csv')
    options = parser.parse_args()
    about = card() | dict(jax=jax.__version__)
    rows = []
    # From small to large, since the peak is that of all fits so far.
    for size in options.sizes:
        data = Data.load(options.ratings / f'synthetic-{size}.npz', size)
        for n_factors in options.factors:
            date = dict(date=str(datetime.date.today()))
            rows.append(about | measure(data, n_factors) | date)
            print(rows[-1], flush=True)
            with options.out.open('w', newline='') as file:
                writer = csv.DictWriter(file, rows[0], lineterminator='\n')
                writer.writeheader()
                writer.writerows(rows)


if __name__ == '__main__':
    main()
