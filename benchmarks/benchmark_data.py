"""The ratings that all systems of a benchmark are fitted to, as files of arrays."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np

from mf_movielens.bayes import side_features
from mf_movielens.data import load
from mf_movielens.encoding import Ratings, Vocabulary
from mf_movielens.splits import Split, official_fold, random_split

HERE = Path(__file__).parent
KEPT = HERE / '.data'
FOLDS = ('u1', 'u2', 'u3', 'u4', 'u5')
# ratings, users and items of the synthetic sets, in the shape of MovieLens
SYNTHETIC_SIZES = {
    '100K': (100_000, 943, 1_682),
    '1M': (1_000_000, 6_040, 3_706),
    '10M': (10_000_000, 69_878, 10_677),
}
# one rating is held out for so many in training: more where there are few
HELD_OUT = {'100K': 10, '1M': 20, '10M': 50}
TASTES_OF_A_USER = 4
# other numbers than so many at most are plays or the like
MOST_STARS = 20


def ratings_per_user(
    n_ratings: int, n_users: int, n_items: int, rng: np.random.Generator
) -> np.ndarray:
    """(n_users,) numbers of ratings with a long tail, `n_ratings` together.

    Nobody has fewer than a fifth of the mean, or more than half of the items, unless
    there are so many ratings that this cannot be.
    """
    fewest = int(0.19 * n_ratings / n_users)
    most = max(n_items // 2, -(-3 * n_ratings // (2 * n_users)))
    weight = rng.weibull(0.7, n_users)
    for _ in range(20):
        extra = (n_ratings - fewest * n_users) * weight / weight.sum()
        weight = np.minimum(extra, most - fewest)
    share = weight / weight.sum() * (n_ratings - fewest * n_users)
    ends = np.round(share.cumsum()).astype('int64')
    return fewest + np.diff(ends, prepend=0)


def taste_probabilities(n_items: int, rng: np.random.Generator) -> np.ndarray:
    """(n_tastes, n_items) how likely somebody of each taste is to pick each item.

    An item is popular at large, and with some tastes more than with others. The more
    items there are, the more tastes.
    """
    n_tastes = round(2 * np.sqrt(n_items))
    popularity = rng.weibull(0.5, n_items)
    weight = popularity * rng.lognormal(0, 1.8, (n_tastes, n_items))
    return weight / weight.sum(1, keepdims=True)


def tastes_of_users(
    n_users: int, n_tastes: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The tastes that each user shares, and their cumulative shares in the user.

    Some tastes are common and most are rare, so that a few factors explain much and
    more factors explain more.
    """
    commonness = 1 / np.sqrt(np.arange(1, n_tastes + 1))
    shape = n_users, TASTES_OF_A_USER
    tastes = rng.choice(n_tastes, shape, p=commonness / commonness.sum())
    shares = rng.dirichlet(np.full(TASTES_OF_A_USER, 0.7), n_users)
    return tastes, shares.cumsum(1)


def pick_items(
    user_ix: np.ndarray,
    tastes: np.ndarray,
    shares: np.ndarray,
    cumulative: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """(n,) an item for each user: of one of the tastes, drawn by its share."""
    n_items = cumulative.shape[1]
    place = (rng.random(len(user_ix))[:, None] > shares[user_ix]).sum(1)
    taste = tastes[user_ix, np.minimum(place, tastes.shape[1] - 1)]
    item_ix = np.empty(len(user_ix), 'int64')
    order = np.argsort(taste, kind='stable')
    ends = np.bincount(taste, minlength=len(cumulative)).cumsum()
    for g, rows in enumerate(np.split(order, ends[:-1])):
        item_ix[rows] = np.searchsorted(cumulative[g], rng.random(len(rows)))
    return np.minimum(item_ix, n_items - 1)


def synthetic_pairs(
    n_ratings: int, n_users: int, n_items: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Who rated what, `n_ratings` different pairs.

    A user picks items until the number of the user is reached; what was picked before
    does not count. Who has run out of the own tastes picks among all items alike.
    """
    missing = ratings_per_user(n_ratings, n_users, n_items, rng)
    cumulative = taste_probabilities(n_items, rng).cumsum(1)
    tastes, shares = tastes_of_users(n_users, len(cumulative), rng)
    finished, pairs = [], np.empty(0, 'int64')
    for attempt in itertools.count():
        # whoever has enough is set aside, so that each attempt is shorter
        is_open = missing[pairs // n_items] > 0
        finished.append(pairs[~is_open])
        pairs = pairs[is_open]
        users = np.repeat(np.arange(n_users), missing)
        if not len(users):
            break
        if attempt < 12:
            items = pick_items(users, tastes, shares, cumulative, rng)
        else:
            items = rng.integers(n_items, size=len(users))
        n_before = np.bincount(pairs // n_items, minlength=n_users)
        pairs = np.unique(np.concatenate([pairs, users * n_items + items]))
        missing -= np.bincount(pairs // n_items, minlength=n_users) - n_before
    pairs = np.concatenate(finished)
    return pairs // n_items, pairs % n_items


def synthetic_stars(
    user_ix: np.ndarray,
    item_ix: np.ndarray,
    n_users: int,
    n_items: int,
    rng: np.random.Generator,
    n_factors: int = 8,
) -> np.ndarray:
    """(n,) half stars of latent factors and biases, with noise."""
    user_factors = rng.normal(0, 0.45, (n_users, n_factors)).astype('float32')
    item_factors = rng.normal(0, 0.45, (n_items, n_factors)).astype('float32')
    user_bias = rng.normal(0, 0.3, n_users)
    item_bias = rng.normal(0, 0.4, n_items)
    stars = 3.5 + user_bias[user_ix] + item_bias[item_ix]
    stars += rng.normal(0, 0.7, len(user_ix))
    # one factor at a time, which bounds the memory
    for k in range(n_factors):
        stars += user_factors[user_ix, k] * item_factors[item_ix, k]
    return np.clip(np.round(2 * stars) / 2, 0.5, 5)


def synthetic_ratings(
    n_ratings: int, n_users: int, n_items: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ratings as people give them: users, items and half stars, in random order.

    Numbers of ratings have long tails, of users and of items. What somebody rates
    depends on tastes, and the stars on latent factors.
    """
    if n_ratings > n_users * n_items // 2:
        raise ValueError(f'{n_ratings=} are more than half of {n_users=} × {n_items=}')
    rng = np.random.default_rng(seed)
    user_ix, item_ix = synthetic_pairs(n_ratings, n_users, n_items, rng)
    stars = synthetic_stars(user_ix, item_ix, n_users, n_items, rng)
    order = rng.permutation(n_ratings)
    return user_ix[order], item_ix[order], stars[order]


def load_movielens() -> tuple[Any, Ratings]:
    """The real ML-100K: its tables, and its ratings."""
    data = load('ml-100k')
    if not data.is_real:
        sys.exit(
            'The benchmark needs the real ML-100K: name the folder of its archive in '
            'MF_MOVIELENS_HOME.'
        )
    return data, Ratings.from_frame(data.ratings)


def split_movielens(name: str) -> Split:
    """Training and test part of 'ml-100k', 'u1-test', 'u1-valid', 'u2-test', ...

    'u1-test' is the official fold; 'u1-valid' holds out a part of its training ratings.
    """
    data, ratings = load_movielens()
    if name == 'ml-100k':
        return random_split(ratings)
    fold, part = name.split('-')
    official = official_fold(data, ratings, fold)
    return official if part == 'test' else random_split(official.train, seed=0)


def synthetic_arrays(name: str) -> dict[str, Any]:
    """The arrays of a synthetic set: training ratings, then those held out.

    Of '1M-valid' these are two parts of the training ratings of '1M'.
    """
    size, _, part = name.partition('-')
    n_ratings, n_users, n_items = SYNTHETIC_SIZES[size]
    n_test = n_ratings // HELD_OUT[size]
    n_kept = n_ratings if part == 'valid' else n_ratings + n_test
    columns = synthetic_ratings(n_ratings + n_test, n_users, n_items)
    user_ix, item_ix, rating = (column[:n_kept] for column in columns)
    return dict(
        user_ix=user_ix,
        item_ix=item_ix,
        rating=rating,
        n_test=n_test,
        n_users=n_users,
        n_items=n_items,
    )


def movielens_arrays(name: str) -> dict[str, Any]:
    """The arrays of a split of ML-100K, with the side features of users and items."""
    train, test = split_movielens(name)
    columns = ('user_ix', 'item_ix', 'rating', 'timestamp')
    arrays = {
        column: np.concatenate([getattr(train, column), getattr(test, column)])
        for column in columns
    }
    side = side_features(*load_movielens())
    return arrays | dict(
        user_features=side['users'],
        item_features=side['items'],
        n_test=len(test),
        n_users=len(test.users),
        n_items=len(test.items),
    )


def outside_arrays(name: str) -> dict[str, Any]:
    """The arrays of a set in `.data/outside`: 'douban-test', 'douban-valid', ...

    Each file holds users `u` and items `i` from 0 to `n` and `m`, ratings `r`, and
    `part`: 0 for training, 1 for validation, 2 for test. 'valid' leaves out the test
    part; 'test' trains with the first two. Numbers that are no stars count as likes.
    """
    set_name, _, kind = name.rpartition('-')
    with np.load(KEPT / 'outside' / f'{set_name}.npz') as file:
        arrays = dict(file)
    part = arrays['part']
    held_out = 2 if kind == 'test' else 1
    order = np.argsort(part, kind='stable')
    order = order[part[order] <= held_out]
    rating = arrays['r'][order]
    if len(np.unique(rating)) > MOST_STARS:
        rating = np.ones_like(rating)
    return dict(
        user_ix=arrays['u'][order],
        item_ix=arrays['i'][order],
        rating=rating,
        n_test=(part == held_out).sum(),
        n_users=arrays['n'],
        n_items=arrays['m'],
    )


def arrays_of(name: str) -> dict[str, Any]:
    """The arrays of a set by its name; see `ratings_file`."""
    first = name.partition('-')[0]
    if first in SYNTHETIC_SIZES:
        return synthetic_arrays(name)
    is_movielens = first in FOLDS or name == 'ml-100k'
    return movielens_arrays(name) if is_movielens else outside_arrays(name)


def ratings_file(name: str) -> Path:
    """Path of a file with the training ratings, followed by the test ratings.

    The names are those of `split_movielens`, '100K', '1M', '10M', '100K-valid', ... for
    synthetic ratings, and those of `outside_arrays`.
    """
    is_synthetic = name.partition('-')[0] in SYNTHETIC_SIZES
    file_name = f'synthetic-{name}.npz' if is_synthetic else f'{name}.npz'
    path = KEPT / 'ratings' / file_name
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = arrays_of(name)
    for column, dtype in dict(user_ix='i4', item_ix='i4', rating='f4').items():
        arrays[column] = arrays[column].astype(dtype)
    np.savez(path, **arrays)
    return path


def load_test_ratings(path: Path, as_likes: bool = False) -> Ratings:
    """The test ratings of a file; their scale is that of all ratings of the file.

    As likes, they are all 1.
    """
    with np.load(path) as file:
        arrays = dict(file)
    test = slice(-int(arrays['n_test']), None)
    rating = arrays['rating']
    scale = float(rating.min()), float(rating.max())
    return Ratings(
        arrays['user_ix'][test],
        arrays['item_ix'][test],
        np.ones_like(rating[test]) if as_likes else rating[test],
        Vocabulary(np.arange(arrays['n_users']), 'user'),
        Vocabulary(np.arange(arrays['n_items'])),
        (1.0, 1.0) if as_likes else scale,
    )
