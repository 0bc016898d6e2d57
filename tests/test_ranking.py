"Ranking metrics, compared with trec_eval and scikit-learn."

from itertools import permutations, product

import numpy as np
import pandas as pd
import pytest
import pytrec_eval
from hypothesis import given, settings, strategies as st
from sklearn.metrics import ndcg_score

from mf_movielens.encoding import Ratings, Vocabulary
from mf_movielens.ranking import (
    beyond_accuracy_metrics,
    catalog_coverage,
    rank_items,
    ranking_metrics,
    top_k,
)


def ratings(table, scale=(1, 5)):
    "`Ratings` of a table of stars, in which 0 stands for none."
    u, i = np.nonzero(table)
    return Ratings(
        u.astype('int32'),
        i.astype('int32'),
        table[u, i].astype('float32'),
        Vocabulary(range(table.shape[0]), 'user'),
        Vocabulary(range(table.shape[1])),
        scale,
    )


@st.composite
def cases(draw):
    "(scores, stars that were seen, stars that are hidden, k); scores are often tied."
    n, m = draw(st.integers(1, 6)), draw(st.integers(2, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = rng.integers(0, draw(st.sampled_from([2, 5, 1000])), (n, m)).astype(
        'float32'
    )
    part, stars = rng.random((n, m)), rng.integers(1, 6, (n, m))
    seen, hidden = np.where(part < 0.3, stars, 0), np.where(part > 0.5, stars, 0)
    seen[0, 0], hidden[0, 0], hidden[0, 1], seen[0, 1] = 3, 0, 5, 0
    return scores, seen, hidden, draw(st.integers(1, m))


@given(cases())
@settings(deadline=None, max_examples=300)
def test_every_measure_is_that_of_trec_eval(case):
    scores, seen, hidden, k = case
    users = np.arange(len(scores))
    lists = rank_items(lambda rows: scores[rows], users, ratings(seen), k)
    ours = ranking_metrics(lists, users, ratings(hidden), k)
    liked = {
        str(u): {str(i): 1 for i in np.flatnonzero(hidden[u] >= 4)}
        for u in users
        if (hidden[u] >= 4).any()
    }
    run = {
        q: {str(i): float(-place) for place, i in enumerate(lists[int(q)]) if i >= 0}
        for q in liked
    }
    judge = pytrec_eval.RelevanceEvaluator(
        liked,
        {f'{m}.{k}' for m in ('ndcg_cut', 'recall', 'P', 'map_cut', 'success')}
        | {'recip_rank'},
    )
    theirs = judge.evaluate(run)
    assert set(map(str, ours.index)) == set(liked)
    for q in liked:
        if not run[q]:
            continue  # everything was seen: there is no list to judge, and trec_eval leaves the user out
        a, b = ours.loc[int(q)], theirs[q]
        assert np.allclose(
            [a.ndcg, a.recall, a.precision, a.ap, a.rr, a.hit],
            [
                b[f'ndcg_cut_{k}'],
                b[f'recall_{k}'],
                b[f'P_{k}'],
                b[f'map_cut_{k}'],
                b['recip_rank'],
                b[f'success_{k}'],
            ],
        )


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=100)
def test_the_mean_over_all_orders_of_ties_is_that_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    scores, good, k = (
        rng.integers(0, 3, 6),
        rng.random(6) < 0.5,
        int(rng.integers(1, 7)),
    )
    good[0] = True
    groups = [np.flatnonzero(scores == s) for s in sorted(set(scores), reverse=True)]
    orders = [
        np.concatenate(order)
        for order in product(*(list(permutations(g)) for g in groups))
    ]
    hidden = ratings(np.where(good, 5, 0)[None])
    ours = np.mean(
        [
            ranking_metrics(np.array([order]), [0], hidden, k).ndcg.iloc[0]
            for order in orders
        ]
    )
    assert np.isclose(ours, ndcg_score(good[None], scores[None], k=k))


@given(st.integers(0, 2**32 - 1), st.integers(1, 15))
@settings(deadline=None)
def test_of_equal_scores_the_lower_row_comes_first(seed, n):
    x = np.random.default_rng(seed).integers(0, 4, (5, 12)).astype(float)
    assert (top_k(x, n) == np.argsort(-x, axis=1, kind='stable')[:, :n]).all()


def test_lists_hold_nothing_seen_and_nothing_outside_the_candidates():
    rng = np.random.default_rng(0)
    seen = np.where(rng.random((40, 30)) < 0.4, 4, 0)
    lists = rank_items(
        lambda rows: rng.random((len(rows), 30)),
        range(40),
        ratings(seen),
        20,
        candidates=[3, 5, 7, 7, 29],
    )
    assert set(np.unique(lists)) <= {-1, 3, 5, 7, 29}
    assert all(
        set(lists[u][lists[u] >= 0]) == {i for i in (3, 5, 7, 29) if not seen[u, i]}
        for u in range(40)
    )


def test_blocks_of_users_do_not_change_the_lists(monkeypatch):
    import mf_movielens.ranking as ranking

    rng = np.random.default_rng(0)
    scores, seen = (
        rng.random((50, 20)),
        ratings(np.where(rng.random((50, 20)) < 0.3, 3, 0)),
    )
    whole = rank_items(lambda rows: scores[rows], range(50), seen)
    monkeypatch.setattr(ranking, 'MAX_SCORES_PER_BLOCK', 45)
    assert (rank_items(lambda rows: scores[rows], range(50), seen) == whole).all()


def test_whole_numbers_can_be_scores():
    counts = np.arange(5)
    assert rank_items(
        lambda rows: np.tile(counts, (len(rows), 1)),
        [0],
        ratings(np.array([[0, 0, 0, 0, 3]])),
        2,
    ).tolist() == [[3, 2]]


@pytest.mark.parametrize(
    'scale, relevant',
    [((1, 5), [4, 5]), ((0.5, 5), [4, 4.5, 5]), ((1, 10), [8, 9, 10]), ((0, 1), [1])],
)
def test_what_counts_as_liked_goes_with_the_scale(scale, relevant):
    steps = np.arange(*scale, 0.5 if scale[0] == 0.5 else 1).tolist() + [scale[1]]
    test = Ratings.from_frame(
        pd.DataFrame({'user_id': 0, 'movie_id': range(len(steps)), 'rating': steps}),
        scale=scale,
    )
    found = ranking_metrics(np.arange(len(steps))[None], [0], test, k=1)
    assert found.relevant.tolist() == [len(relevant)]


def test_qualities_of_lists_do_not_depend_on_the_order_of_users():
    rng = np.random.default_rng(0)
    train, lists = (
        ratings(np.where(rng.random((20, 15)) < 0.4, 3, 0)),
        np.array([rng.permutation(15)[:4] for _ in range(20)]),
    )
    features, order = rng.random((15, 3)), rng.permutation(20)
    found = beyond_accuracy_metrics(lists, range(20), train, features)
    assert np.allclose(
        found.loc[order], beyond_accuracy_metrics(lists[order], order, train, features)
    ) and catalog_coverage(lists, 15) == catalog_coverage(lists[order], 15)
    cosine = lambda a, b: a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    pairs = [
        cosine(features[a], features[b])
        for n, a in enumerate(lists[0])
        for b in lists[0][n + 1 :]
    ]
    assert np.isclose(found.diversity[0], 1 - np.mean(pairs))
