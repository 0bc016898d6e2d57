"""The ratings that all systems of a benchmark are fitted to, as files of arrays."""

from __future__ import annotations

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
# ratings, users and items of the synthetic sets
SYNTHETIC_SIZES = {
    '1M': (1_000_000, 6_040, 3_706),
    '10M': (10_000_000, 69_878, 10_677),
}


def synthetic_ratings(
    n_ratings: int, n_users: int, n_items: int, seed: int = 0, n_factors: int = 8
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ratings in half stars of latent factors with noise: users, items, stars.

    A few users and a few items have most of the ratings.
    """
    rng = np.random.default_rng(seed)
    users, items = (
        rng.choice(n, 2 * n_ratings, p=weight / weight.sum())
        for n, weight in [
            (n_users, rng.lognormal(0, 1.1, n_users)),
            (n_items, rng.lognormal(0, 1.5, n_items)),
        ]
    )
    pairs = rng.permutation(np.unique(users * n_items + items))[:n_ratings]
    user_ix, item_ix = pairs // n_items, pairs % n_items
    user_factors = rng.normal(0, 0.45, (n_users, n_factors)).astype('float32')
    item_factors = rng.normal(0, 0.45, (n_items, n_factors)).astype('float32')
    user_bias = rng.normal(0, 0.3, n_users)
    item_bias = rng.normal(0, 0.4, n_items)
    products = np.einsum('nk,nk->n', user_factors[user_ix], item_factors[item_ix])
    noise = rng.normal(0, 0.7, len(user_ix))
    stars = 3.5 + user_bias[user_ix] + item_bias[item_ix] + products + noise
    return user_ix, item_ix, np.clip(np.round(2 * stars) / 2, 0.5, 5)


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
    """The arrays of a synthetic set; one fiftieth of it is added as test ratings."""
    n_train, n_users, n_items = SYNTHETIC_SIZES[name]
    n_ratings = n_train + n_train // 50
    user_ix, item_ix, rating = synthetic_ratings(n_ratings, n_users, n_items)
    return dict(
        user_ix=user_ix,
        item_ix=item_ix,
        rating=rating,
        n_test=len(user_ix) - n_train,
        n_users=user_ix.max() + 1,
        n_items=item_ix.max() + 1,
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


def ratings_file(name: str) -> Path:
    """Path of a file with the training ratings, followed by the test ratings.

    The names are those of `split_movielens`, and '1M' and '10M' for synthetic ratings.
    """
    path = KEPT / 'ratings' / f'{name}.npz'
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    is_synthetic = name in SYNTHETIC_SIZES
    arrays = synthetic_arrays(name) if is_synthetic else movielens_arrays(name)
    for column, dtype in dict(user_ix='i4', item_ix='i4', rating='f4').items():
        arrays[column] = arrays[column].astype(dtype)
    np.savez(path, **arrays)
    return path


def load_test_ratings(path: Path) -> Ratings:
    """The test ratings of a file; their scale is that of all ratings of the file."""
    with np.load(path) as file:
        arrays = dict(file)
    rating = arrays['rating']
    test = slice(-int(arrays['n_test']), None)
    return Ratings(
        arrays['user_ix'][test],
        arrays['item_ix'][test],
        rating[test],
        Vocabulary(np.arange(arrays['n_users']), 'user'),
        Vocabulary(np.arange(arrays['n_items'])),
        (float(rating.min()), float(rating.max())),
    )
