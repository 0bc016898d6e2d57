"""Measure what the right meaning of numbers is worth, and write kinds.csv.

`python benchmarks/kinds.py` writes the training ratings of fold u1 as marks of other
scales, as counts, events and likes, fits the ranking model to each, and judges it by
the stars that were held out.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

for name in ('OPENBLAS_NUM_THREADS', 'OMP_NUM_THREADS'):
    os.environ.setdefault(name, '1')

import numpy as np
import pandas as pd
from benchmark_data import load_movielens
from run import RESULTS, date_and_machine, save_table

from mf_movielens.encoding import Ratings, RatingsError
from mf_movielens.evaluation import align_ratings
from mf_movielens.ials import fit_ials
from mf_movielens.ranking import rank_items, ranking_metrics
from mf_movielens.reading import load_ratings
from mf_movielens.splits import official_fold, random_split

N_VALIDATION_PARTS = 12
N_TEST_FITS = 3


class Shape(NamedTuple):
    """Ratings, written in another way."""

    frame: pd.DataFrame
    answer: dict[str, Any]
    """What is said if they are asked about."""
    told: Mapping[str, Any] = MappingProxyType({})
    """What is said in any case."""


def shapes_of(train: Ratings, seed: int) -> dict[str, Shape]:
    """Ways of writing the same opinions, or part of what they tell."""
    stars = train.to_frame()[['user_id', 'item_id', 'rating']].copy()
    stars.attrs.clear()
    level = stars.rating.astype(int).to_numpy()
    rng = np.random.default_rng(seed)

    def written(*marks: float) -> pd.DataFrame:
        return stars.assign(rating=np.array([np.nan, *marks])[level])

    slip = stars.assign(rating=np.where(np.arange(len(stars)) == 7, 11, stars.rating))
    halves = stars.assign(rating=stars.rating - 0.5 * (rng.random(len(stars)) < 0.5))
    shelf = stars.rating.mask(rng.random(len(stars)) < 0.2, -1)
    plays = rng.lognormal(level - 1.0, 1.0).round() + 1
    groups = pd.Series([1, 1, 2, 3, 3], index=range(1, 6))
    means = stars.rating.groupby(groups[level].to_numpy()).mean()
    as_means = means[groups[level]].to_numpy()
    as_stars, as_counts = {'kind': 'stars'}, {'kind': 'counts'}
    return {
        'stars from 1 to 5': Shape(stars, {}),
        'marks from 0 to 2, with halves': Shape(written(0, 0.5, 1, 1.5, 2), {}),
        'marks from 1 to 3, with halves': Shape(written(1, 1.5, 2, 2.5, 3), {}),
        'marks from 1 to 7': Shape(written(1, 3, 4, 6, 7), {}),
        'marks from 0 to 20': Shape(written(0, 5, 10, 15, 20), {}),
        'marks from 0 to 100': Shape(written(0, 25, 50, 75, 100), {}),
        'half stars': Shape(written(0.5, 1.5, 2.5, 3.5, 4.5), {}),
        'half stars, a half less by chance': Shape(halves, {}),
        'a quarter less for all, from 0.5 to 5': Shape(
            stars.assign(rating=stars.rating - 0.25), {}, {'scale': (0.5, 5)}
        ),
        'three marks, 0 to 2': Shape(written(0, 0, 1, 2, 2), {}),
        'three marks, 1 to 3': Shape(written(1, 1, 2, 3, 3), as_stars),
        'the same three, as 1, 3 and 5 stars': Shape(
            written(1, 1, 3, 5, 5), as_stars, {'scale': (1, 5)}
        ),
        'the same three, as 1.5, 3 and 4.5 stars': Shape(
            written(1.5, 1.5, 3, 4.5, 4.5), as_stars, {'scale': (1, 5)}
        ),
        'the same three, as the means of their stars': Shape(
            stars.assign(rating=as_means), {}, {'scale': (1, 5)}
        ),
        'one slip, an 11': Shape(slip, {'missing': 11}),
        'a fifth is -1, for none': Shape(stars.assign(rating=shelf), {'missing': -1}),
        'plays, more of what is liked': Shape(stars.assign(rating=plays), as_counts),
        'view 1, basket 3, purchase 5': Shape(written(1, 1, 3, 3, 5), as_counts),
        'the same, taken for marks': Shape(written(1, 1, 3, 3, 5), as_stars),
        'a row for each event': Shape(
            stars.loc[stars.index.repeat(level)],
            {'duplicates': 'count'},
            {'rating': False},
        ),
        'likes': Shape(written(1, 1, 1, 1, 1), {}),
    }


def read(shape: Shape) -> tuple[Ratings, str]:
    """The ratings, and which argument was asked for."""
    try:
        return load_ratings(shape.frame, say=None, **shape.told), ''
    except RatingsError as e:
        answered = {**shape.told, **shape.answer}
        return load_ratings(shape.frame, say=None, **answered), str(e.argument)


def recall_of(ratings: Ratings, held_out: Ratings, seed: int) -> float:
    """The recall@10 of a fit, by held-out stars."""
    aligned = align_ratings(held_out, ratings.users, ratings.items, (1, 5), 'ignore')
    users = np.unique(aligned.ratings.user_ix)
    lists = rank_items(fit_ials(ratings, seed=seed).scores, users, ratings)
    return float(ranking_metrics(lists, users, aligned.ratings).recall.mean())


def splits(quick: bool) -> Iterator[tuple[str, int, Ratings, Ratings]]:
    """Validation parts of the training ratings of u1, and its test part."""
    fold = official_fold(*load_movielens(), 'u1')
    for seed in range(1 if quick else N_VALIDATION_PARTS):
        yield 'validation', seed, *random_split(fold.train, seed=seed)
    for seed in range(1 if quick else N_TEST_FITS):
        yield 'test', seed, fold.train, fold.test


def measure(quick: bool) -> pd.DataFrame:
    """One row for each split, seed and shape."""
    rows = []
    for split, seed, train, held_out in splits(quick):
        for name, shape in shapes_of(train, seed).items():
            ratings, asked = read(shape)
            low, high = ratings.scale
            rows.append(
                dict(
                    split=split,
                    seed=seed,
                    shape=name,
                    asked=asked,
                    kind=ratings.kind,
                    low=low,
                    high=high,
                    recall=round(recall_of(ratings, held_out, seed), 6),
                )
            )
            print(rows[-1], flush=True)
    return pd.DataFrame(rows).assign(**date_and_machine())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--quick', action='store_true', help='one part; writes nothing')
    quick = parser.parse_args().quick
    table = measure(quick)
    if not quick:
        save_table(RESULTS / 'kinds.csv', table)
    means = table.groupby(['split', 'shape'], sort=False).recall.agg(['mean', 'std'])
    print(means.round(4).to_string())


if __name__ == '__main__':
    main()
