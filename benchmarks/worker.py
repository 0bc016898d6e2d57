"""Do a list of jobs with one peer, in this one process.

The jobs are read from standard input as JSON, and a line of JSON is printed for each.
`run.py` starts this program in the environment of the peer, where there may be no
other library than numpy and the peer's own.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import platform
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

# How many items a list has in the ranking task, and in the measurement of latency.
RANKED_ITEMS = 50
LATENCY_ITEMS = 10
# How many users the fits of large data are judged by, and so many at a time.
JUDGED_USERS = 4000
USERS_AT_A_TIME = 500

# The items (n_users, k) of the best lists of some users
TopItems = Callable[[np.ndarray, int], Any]


@dataclass
class PeerRatings:
    """One part of a data set as a peer gets it: row numbers, ratings, features."""

    user_ix: np.ndarray
    item_ix: np.ndarray
    rating: np.ndarray
    # seconds since 1970; None for synthetic ratings
    timestamp: np.ndarray | None
    n_users: int
    n_items: int
    low: float
    high: float
    user_features: np.ndarray | None
    item_features: np.ndarray | None
    # what each column of the features of items says, as 'genres: Drama'
    feature_names: np.ndarray | None = None


def load_peer(path: str | Path) -> ModuleType:
    """Import a peer file by its path, under a name that hides no library."""
    spec = importlib.util.spec_from_file_location('peer', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_parts(path: str | Path) -> tuple[PeerRatings, PeerRatings]:
    """Load the training and the test ratings of a file."""
    with np.load(path) as file:
        arrays = dict(file)
    n_train = len(arrays['rating']) - int(arrays['n_test'])
    shared = dict(
        n_users=int(arrays['n_users']),
        n_items=int(arrays['n_items']),
        low=float(arrays['rating'].min()),
        high=float(arrays['rating'].max()),
        user_features=arrays.get('user_features'),
        item_features=arrays.get('item_features'),
        feature_names=arrays.get('feature_names'),
    )

    def part(rows: slice) -> PeerRatings:
        timestamp = arrays['timestamp'][rows].copy() if 'timestamp' in arrays else None
        return PeerRatings(
            user_ix=arrays['user_ix'][rows].copy(),
            item_ix=arrays['item_ix'][rows].copy(),
            rating=arrays['rating'][rows].copy(),
            timestamp=timestamp,
            **shared,
        )

    return part(slice(n_train)), part(slice(n_train, None))


def memory(field: str) -> float:
    """Megabytes of this process: VmRSS now, VmHWM at most.

    `ru_maxrss` would count the memory of the parent as well, from before the program
    was loaded.
    """
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(float(x.split()[1]) / 1024 for x in lines if x.startswith(field))


def timed(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """Call a function: its result, and the seconds that it took."""
    started = time.perf_counter()
    return function(*arguments), time.perf_counter() - started


def hide_rated(scores: np.ndarray, train: PeerRatings, users: np.ndarray) -> np.ndarray:
    """The scores of some users; -inf where there is none, and for what they rated."""
    scores = np.where(np.isnan(scores), -np.inf, scores)
    position = np.full(train.n_users, -1)
    position[users] = np.arange(len(users))
    is_asked = position[train.user_ix] >= 0
    scores[position[train.user_ix[is_asked]], train.item_ix[is_asked]] = -np.inf
    return scores


def rank_unseen(
    scores: np.ndarray, train: PeerRatings, users: np.ndarray, k: int
) -> np.ndarray:
    """The `k` best items that each user has not rated, best first.

    Ties are broken by the row number; -1 stands where there are no more items.
    """
    scores = hide_rated(scores, train, users)
    lists = np.full((len(users), k), -1)
    for row, own in enumerate(scores):
        least = np.partition(own, -k)[-k] if k < len(own) else -np.inf
        items = np.flatnonzero((own >= least) & (own > -np.inf))
        best = items[np.argsort(-own[items], kind='stable')][:k]
        lists[row, : len(best)] = best
    return lists


def best_columns(scores: np.ndarray, k: int) -> np.ndarray:
    """The `k` columns with the highest scores in each row, best first."""
    best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1)
    return np.take_along_axis(best, order, 1)


def sort_scores(
    peer: ModuleType, name: str, model: Any, train: PeerRatings
) -> TopItems:
    """The top items of a library that makes no lists itself."""
    n_ratings = np.bincount(train.user_ix, minlength=train.n_users)
    indptr = np.r_[0, n_ratings.cumsum()]
    items = train.item_ix[np.argsort(train.user_ix, kind='stable')]

    def top(users: np.ndarray, k: int) -> np.ndarray:
        scores = np.array(peer.scores(name, model, users))
        for row, user in enumerate(users):
            scores[row, items[indptr[user] : indptr[user + 1]]] = -np.inf
        return best_columns(scores, k)

    return top


def measure_latency(
    peer: ModuleType, name: str, model: Any, train: PeerRatings
) -> dict[str, float]:
    """Milliseconds for the top ten of one user, and seconds for those of all users.

    The time for one user is the median of twenty.
    """

    def own_top(users: np.ndarray, k: int) -> Any:
        return peer.top(name, model, users, k)

    has_top = hasattr(peer, 'top')
    top = own_top if has_top else sort_scores(peer, name, model, train)
    users = np.unique(train.user_ix)
    some_users = users[np.linspace(0, len(users) - 1, 21).astype(int)]
    # the first call may prepare what all others use
    top(some_users[:1], LATENCY_ITEMS)
    seconds = [
        timed(top, some_users[j : j + 1], LATENCY_ITEMS)[1] for j in range(1, 21)
    ]
    return dict(
        latency_one_ms=1000 * float(np.median(seconds)),
        latency_all_s=timed(top, np.unique(train.user_ix), LATENCY_ITEMS)[1],
    )


def save_predictions(
    peer: ModuleType, job: dict[str, Any], model: Any, test: PeerRatings
) -> None:
    """Save what a model predicts for the test ratings."""
    pairs = [test.user_ix, test.item_ix]
    if peer.MODELS[job['model']].get('uses_timestamps'):
        pairs.append(test.timestamp)
    predictions = peer.predict(job['model'], model, *pairs)
    np.savez(job['out'], predictions=np.asarray(predictions, 'float64'))


def save_lists(
    peer: ModuleType,
    job: dict[str, Any],
    model: Any,
    train: PeerRatings,
    test: PeerRatings,
) -> None:
    """Save the best items for each user of the test ratings."""
    users = np.unique(test.user_ix)
    lists = []
    for first in range(0, len(users), USERS_AT_A_TIME):
        some = users[first : first + USERS_AT_A_TIME]
        scores = peer.scores(job['model'], model, some)
        lists.append(rank_unseen(scores, train, some, RANKED_ITEMS))
    np.savez(job['out'], users=users, lists=np.concatenate(lists))


def save_factors(
    peer: ModuleType,
    job: dict[str, Any],
    model: Any,
    train: PeerRatings,
    test: PeerRatings,
) -> None:
    """Save the ten best items of a sample of users, by the factors of the model.

    With `factors` in the job, all factors are saved as well.
    """
    user_factors, item_factors = peer.factors(job['model'], model)
    users = np.unique(test.user_ix)
    users = users[:: -(-len(users) // JUDGED_USERS)]
    is_judged = np.zeros(train.n_users, bool)
    is_judged[users] = True
    rows = np.flatnonzero(is_judged[train.user_ix])
    of_users = replace(train, user_ix=train.user_ix[rows], item_ix=train.item_ix[rows])
    lists = []
    for first in range(0, len(users), USERS_AT_A_TIME):
        some = users[first : first + USERS_AT_A_TIME]
        scores = user_factors[some] @ item_factors.T
        lists.append(best_columns(hide_rated(scores, of_users, some), 10))
    all_factors = dict(user_factors=user_factors, item_factors=item_factors)
    kept = all_factors if job.get('factors') else {}
    np.savez(job['out'], users=users, lists=np.concatenate(lists), **kept)


def rank_new(
    peer: ModuleType, name: str, model: Any, test: PeerRatings
) -> tuple[np.ndarray, np.ndarray]:
    """Users of the test ratings, and for each the ten best items of that part.

    Nobody has rated these items in training, and no others are ranked.
    """
    users, new = np.unique(test.user_ix), np.unique(test.item_ix)
    scores = np.asarray(peer.scores(name, model, users))[:, new]
    scores = np.where(np.isnan(scores), -np.inf, scores)
    best = np.argsort(-scores, axis=1, kind='stable')[:, :LATENCY_ITEMS]
    return users, new[best]


def ndcg_of(users: np.ndarray, lists: np.ndarray, test: PeerRatings) -> float:
    """Mean nDCG of lists, where ratings of the upper quarter of the scale count."""
    is_liked = np.zeros((test.n_users, test.n_items), bool)
    liked = test.rating >= 0.25 * test.low + 0.75 * test.high
    is_liked[test.user_ix[liked], test.item_ix[liked]] = True
    gains = np.take_along_axis(is_liked[users], lists, 1)
    discounts = 1 / np.log2(np.arange(2, lists.shape[1] + 2))
    n_liked = np.minimum(is_liked[users].sum(1), lists.shape[1])
    counts = n_liked > 0
    ideal = discounts.cumsum()[n_liked[counts] - 1]
    return float(((gains[counts] @ discounts) / ideal).mean())


def search_cold(peer: ModuleType, job: dict[str, Any]) -> dict[str, Any]:
    """Draw settings at random for some seconds; the best by nDCG on held-out items.

    Each is judged by the mean over all files of the job. The first are the defaults.
    """
    name, rng = job['model'], np.random.default_rng(0)
    parts = [load_parts(path) for path in job['data']]
    started, best, n_trials = time.perf_counter(), (-1.0, {}), 0
    most_trials = peer.MODELS[name].get('most_trials', 10_000)
    while time.perf_counter() - started < job['seconds'] and n_trials < most_trials:
        settings = peer.draw(name, rng) if n_trials else peer.MODELS[name]['default']
        figures = []
        for train, test in parts:
            model = peer.fit(name, peer.prepare(name, train, settings), settings)
            figures.append(ndcg_of(*rank_new(peer, name, model, test), test))
        best = max(
            best, (float(np.mean(figures)), settings), key=lambda found: found[0]
        )
        n_trials += 1
    tune_s = time.perf_counter() - started
    return dict(settings=best[1], valid=best[0], n_trials=n_trials, tune_s=tune_s)


def blas_kernels() -> str:
    """The libraries of linear algebra in this process, and their kernels."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return ''
    names = {
        f'{library["internal_api"]} {library.get("architecture", "")}'.strip()
        for library in threadpool_info()
        if library['user_api'] == 'blas'
    }
    return ', '.join(sorted(names))


def forget_peak() -> None:
    """Let the peak memory of this process begin anew, where the system can do so."""
    with contextlib.suppress(OSError):
        Path('/proc/self/clear_refs').write_text('5')


def save_result(
    peer: ModuleType,
    job: dict[str, Any],
    model: Any,
    train: PeerRatings,
    test: PeerRatings,
) -> dict[str, float]:
    """Save what a job is judged by; the latencies, if they are asked for."""
    about = peer.MODELS[job['model']]
    if about['task'] == 'scale ranking':
        save_factors(peer, job, model, train, test)
    elif about['task'] == 'cold':
        users, lists = rank_new(peer, job['model'], model, test)
        np.savez(job['out'], users=users, lists=lists)
    elif about['task'] in ('ranking', 'outside'):
        save_lists(peer, job, model, train, test)
        if job.get('latency'):
            return measure_latency(peer, job['model'], model, train)
    else:
        save_predictions(peer, job, model, test)
    return {}


def do_job(peer: ModuleType, job: dict[str, Any]) -> dict[str, Any]:
    """Fit one model to one file, and save what it predicts for the test part.

    A job without a model only loads the library; one with `seconds` searches settings
    for so long, judged by the test part of its file, which is a validation part.
    """
    if 'model' not in job:
        return {}
    name = job['model']
    if 'seconds' in job and peer.MODELS[name]['task'] == 'cold':
        return search_cold(peer, job)
    train, test = load_parts(job['data'])
    if 'seconds' in job:
        arguments = name, train, test, job['seconds']
        (settings, n_trials), tune_s = timed(peer.tune, *arguments)
        return dict(settings=settings, n_trials=n_trials, tune_s=tune_s)
    settings = job['settings']
    if peer.MODELS[name]['task'] == 'scale ranking':
        train = replace(train, rating=np.ones_like(train.rating), low=1.0, high=1.0)
    forget_peak()
    memory_before = memory('VmRSS')
    data, prepare_s = timed(peer.prepare, name, train, settings)
    model, fit_s = timed(peer.fit, name, data, settings)
    n_bytes = train.user_ix.nbytes + train.item_ix.nbytes + train.rating.nbytes
    report = dict(
        prepare_s=prepare_s,
        fit_s=fit_s,
        peak_mb=memory('VmHWM'),
        extra_mb=memory('VmHWM') - memory_before,
        ratings_mb=n_bytes / 2**20,
        blas=blas_kernels(),
    )
    return report | save_result(peer, job, model, train, test)


def main() -> None:
    warnings.filterwarnings('ignore')
    # what libraries print to standard output must not lie among the reports
    reports = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)
    peer = load_peer(sys.argv[1])
    _, import_s = timed(peer.load)
    common = dict(
        import_s=import_s,
        version=version(peer.PACKAGES[0].split('==')[0]),
        python=platform.python_version(),
    )
    for job in json.load(sys.stdin):
        try:
            report = common | do_job(peer, job)
        except Exception as error:
            traceback.print_exc()
            report = common | dict(error=f'{type(error).__name__}: {error}')
        print(json.dumps(report), file=reports, flush=True)


if __name__ == '__main__':
    main()
