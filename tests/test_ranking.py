"""Top-N recommendations, and their metrics beside trec_eval."""

from __future__ import annotations

import tracemalloc
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import product
from threading import get_ident

import numpy as np
import pandas as pd
import pytest
import pytrec_eval
from hypothesis import given, settings, strategies as st
from scipy.sparse import csr_array

import mf_movielens.ranking as ranking
from mf_movielens.encoding import Ratings, Vocabulary
from mf_movielens.factors import Factors
from mf_movielens.ranking import (
    beyond_accuracy_metrics,
    catalog_coverage,
    contains_pairs,
    rank_blocks,
    rank_items,
    ranking_metrics,
    relevance_threshold,
    relevant_ratings,
    top_k,
)

# Our metric, and what trec_eval calls it.
TREC_NAMES = {
    'ndcg': 'ndcg_cut_{k}',
    'recall': 'recall_{k}',
    'precision': 'P_{k}',
    'ap': 'map_cut_{k}',
    'rr': 'recip_rank',
    'hit': 'success_{k}',
}


def ratings_of(table, scale=(1, 5)):
    """Ratings of a table of stars, in which 0 stands for no rating."""
    user_ix, item_ix = np.nonzero(table)
    return Ratings(
        user_ix.astype('int32'),
        item_ix.astype('int32'),
        table[user_ix, item_ix].astype('float32'),
        Vocabulary(range(table.shape[0]), 'user'),
        Vocabulary(range(table.shape[1])),
        scale,
    )


def scorer(table):
    """The rows of a table of scores."""

    def score(user_ix):
        return table[user_ix]

    return score


@st.composite
def cases(draw):
    """(scores, seen stars, held-out stars, k); scores are often tied."""
    n_users = draw(st.integers(1, 6))
    n_items = draw(st.integers(2, 12))
    shape = n_users, n_items
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_levels = draw(st.sampled_from([2, 5, 1000]))
    scores = rng.integers(0, n_levels, shape).astype('float32')
    part = rng.random(shape)
    stars = rng.integers(1, 6, shape)
    seen = np.where(part < 0.3, stars, 0)
    held_out = np.where(part > 0.5, stars, 0)
    # There is always one seen item, and one relevant item.
    seen[0, :2] = 3, 0
    held_out[0, :2] = 0, 5
    return scores, seen, held_out, draw(st.integers(1, n_items))


@given(cases())
@settings(deadline=None, max_examples=300)
def test_metrics_are_those_of_trec_eval(case):
    scores, seen, held_out, k = case
    users = np.arange(len(scores))
    recommended = rank_items(scorer(scores), users, ratings_of(seen), k)
    found = ranking_metrics(recommended, users, ratings_of(held_out), k)
    relevant = {
        str(user): {str(item): 1 for item in np.flatnonzero(held_out[user] >= 4)}
        for user in users
    }
    relevant = {user: items for user, items in relevant.items() if items}
    run = {
        user: {
            str(item): float(-rank)
            for rank, item in enumerate(recommended[int(user)])
            if item >= 0
        }
        for user in relevant
    }
    names = {'ndcg_cut', 'recall', 'P', 'map_cut', 'success'}
    measures = {f'{name}.{k}' for name in names} | {'recip_rank'}
    evaluator = pytrec_eval.RelevanceEvaluator(relevant, measures)
    expected = evaluator.evaluate(run)
    assert set(map(str, found.index)) == set(relevant)
    for user in relevant:
        # trec_eval leaves out a user without recommendations, who has seen everything.
        if not run[user]:
            continue
        for name, trec_name in TREC_NAMES.items():
            value = expected[user][trec_name.format(k=k)]
            assert np.isclose(found.loc[int(user), name], value), name


@given(st.integers(0, 2**32 - 1), st.integers(1, 15))
@settings(deadline=None)
def test_of_equal_scores_the_lower_column_comes_first(seed, k):
    scores = np.random.default_rng(seed).integers(0, 4, (5, 12)).astype(float)
    expected = np.argsort(-scores, axis=1, kind='stable')[:, :k]
    assert (top_k(scores, k) == expected).all()


@given(cases(), st.booleans())
@settings(deadline=None, max_examples=100)
def test_blocks_are_what_sorting_every_user_gives(case, has_candidates):
    scores, seen, _, k = case
    n_users, n_items = scores.shape
    users = np.arange(n_users)[::-1]
    candidates = np.arange(0, n_items, 2) if has_candidates else np.arange(n_items)
    argument = candidates[::-1] if has_candidates else None
    blocks = rank_blocks(scorer(scores), users, csr_array(seen), k, argument)
    found = [
        tuple(entry)
        for block in blocks
        for entry in zip(*(part.tolist() for part in block))
    ]
    expected = []
    for position, user in enumerate(users):
        unseen = [item for item in candidates if not seen[user, item]]
        best = sorted(unseen, key=lambda item: (-scores[user, item], item))[:k]
        expected += [
            (position, rank, item, scores[user, item]) for rank, item in enumerate(best)
        ]
    assert found == expected


class SlicedScorer:
    """Scores of a table, for a slice of the items."""

    def __init__(self, table):
        self.table = table

    def __call__(self, user_ix, items=slice(None)):
        return self.table[user_ix, items]


@contextmanager
def compiled_loops(items_per_tile=1024, users_per_tile=256):
    """However few scores there are, leave them to the compiled loops."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(ranking, 'MAX_SCORES_PER_BLOCK', 0)
        monkeypatch.setattr(ranking, '_ITEMS_PER_TILE', items_per_tile)
        monkeypatch.setattr(ranking, '_USERS_PER_TILE', users_per_tile)
        yield


@st.composite
def wide_cases(draw):
    """(scores, seen, candidates or None, k) of more items than one stride."""
    n_users, n_items = draw(st.integers(1, 5)), draw(st.integers(1, 300))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_levels = draw(st.sampled_from([1, 2, 20, 10_000]))
    dtype = draw(st.sampled_from(['float32', 'float64', 'float16', 'int64']))
    scores = rng.integers(-n_levels, n_levels, (n_users, n_items)).astype(dtype)
    order = draw(st.sampled_from(['as drawn', 'rising', 'falling']))
    if order != 'as drawn':
        scores = np.sort(scores, axis=1)[:, :: 1 if order == 'rising' else -1]
    if dtype != 'int64':
        infinite = draw(st.sampled_from([0, 0.1, 0.95]))
        scores[rng.random(scores.shape) < infinite] = -np.inf
        scores[rng.random(scores.shape) < infinite / 20] = np.inf
    seen = seen_table(rng, scores.shape, draw(st.sampled_from([0, 0.02, 0.5, 1])))
    n_candidates = draw(st.sampled_from([None, 1, 5, n_items]))
    candidates = (
        None if n_candidates is None else rng.integers(n_items, size=n_candidates)
    )
    return scores, seen, candidates, draw(st.sampled_from([1, 2, 3, 10, 400]))


def seen_table(rng, shape, share):
    """Seen items in any order, the entries of some of them twice."""
    user_ix, item_ix = np.nonzero(rng.random(shape) < share)
    order = np.lexsort([rng.random(len(user_ix)), user_ix])
    twice = rng.integers(1, 3, len(order))
    user_ix, item_ix = (np.repeat(x[order], twice) for x in (user_ix, item_ix))
    indptr = np.searchsorted(user_ix, np.arange(shape[0] + 1))
    return csr_array((np.zeros(len(item_ix)), item_ix, indptr), shape)


def sorted_lists(scores, seen, candidates, users, k):
    """(position, rank, item, score) of each recommendation, by a stable sort."""
    scores = scores.astype(np.result_type(scores.dtype, 'float32'))
    is_excluded = np.zeros(scores.shape, bool)
    for user in range(len(scores)):
        is_excluded[user, seen.indices[seen.indptr[user] : seen.indptr[user + 1]]] = (
            True
        )
    if candidates is not None:
        is_excluded[:, np.setdiff1d(np.arange(scores.shape[1]), candidates)] = True
    is_excluded |= scores == -np.inf
    return [
        (position, rank, item, scores[user, item])
        for position, user in enumerate(users)
        for rank, item in enumerate(
            [
                item
                for item in np.argsort(-scores[user], kind='stable')
                if not is_excluded[user, item]
            ][:k]
        )
    ]


@given(
    wide_cases(),
    st.booleans(),
    st.sampled_from([1, 63, 64, 65, 1024]),
    st.integers(1, 6),
)
@settings(deadline=None, max_examples=300)
def test_compiled_lists_are_those_of_a_stable_sort(case, sliced, width, height):
    scores, seen, candidates, k = case
    users = np.arange(len(scores))[::-1]
    expected = sorted_lists(scores, seen, candidates, users, k)
    score = SlicedScorer(scores) if sliced else scorer(scores)
    with compiled_loops(width, height):
        blocks = list(rank_blocks(score, users, seen, k, candidates))
    by_numpy = list(rank_blocks(score, users, seen, k, candidates))
    for found in (blocks, by_numpy):
        assert [
            tuple(entry)
            for block in found
            for entry in zip(*(part.tolist() for part in block))
        ] == expected
        assert all(block.score.dtype == by_numpy[0].score.dtype for block in found)


@pytest.mark.parametrize('sliced', [False, True])
@pytest.mark.parametrize('n_items', [64, 150])
def test_one_score_that_stands_out_is_found_anywhere(n_items, sliced):
    everywhere = range(n_items)
    nothing = csr_array((n_items, n_items))
    score = (SlicedScorer if sliced else scorer)(np.eye(n_items))
    with compiled_loops(100, 7):
        found = rank_items(score, everywhere, nothing, 1)
        assert found.ravel().tolist() == list(everywhere)
        for user in everywhere:
            scores = np.zeros((n_items, n_items))
            scores[user, user] = np.nan
            score = (SlicedScorer if sliced else scorer)(scores)
            with pytest.raises(ValueError, match='not numbers'):
                rank_items(score, everywhere, nothing, 1)


@given(st.integers(0, 2**32 - 1), st.integers(1, 200), st.booleans())
@settings(deadline=None)
def test_nan_is_found_where_nothing_would_be_recommended(seed, n_items, sliced):
    rng = np.random.default_rng(seed)
    scores = rng.random((3, n_items))
    scores[rng.integers(3), rng.integers(n_items)] = np.nan
    seen = seen_table(rng, scores.shape, 0.5)
    score = SlicedScorer(scores) if sliced else scorer(scores)
    with compiled_loops(50, 2), pytest.raises(ValueError, match='not numbers'):
        rank_items(score, range(3), seen, 5, candidates=[0])


def test_the_table_of_a_scorer_stays_as_it_is():
    scores = np.random.default_rng(0).random((4, 30)).astype('float32')
    before = scores.copy()
    seen = csr_array(scores > 0.5)

    def view(user_ix):
        return scores[user_ix[0] : user_ix[-1] + 1]

    usual = rank_items(view, range(4), seen)
    for is_writeable in (True, False):
        scores.flags.writeable = is_writeable
        for loops in (compiled_loops(), nullcontext()):
            with loops:
                assert (rank_items(view, range(4), seen) == usual).all()
    assert (scores == before).all()


def test_factors_score_a_slice_as_they_score_all_items():
    rng = np.random.default_rng(0)
    for dtype, with_bias in product(['float32', 'float64'], [False, True]):
        user_bias = with_bias * rng.normal(size=7).astype(dtype)
        tables = (rng.normal(size=(n, 3)).astype('float32') for n in (7, 40))
        item_bias = rng.normal(size=40).astype('float32')
        factors = Factors(float(with_bias), user_bias, item_bias, *tables, (1, 5))
        whole = factors.scores([3, 5])
        part = factors.scores([3, 5], items=slice(8, 31))
        assert part.dtype == whole.dtype
        assert np.allclose(part, whole[:, 8:31], atol=1e-6)
        pairs = factors.mu + factors.user_bias[[3, 5], None] + factors.item_bias
        products = factors.user_factors[[3, 5]] @ factors.item_factors.T
        assert np.allclose(whole, pairs + products, atol=1e-6)
        assert np.allclose(factors.scores(3), whole[0], atol=1e-6)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 0.1, 0.9]))
@settings(deadline=None)
def test_pairs_of_a_table_are_found(seed, share):
    rng = np.random.default_rng(seed)
    table = seen_table(rng, (6, 9), share)
    is_entry = np.zeros(table.shape, bool)
    is_entry[table.tocoo().row, table.tocoo().col] = True
    user_ix, item_ix = rng.integers(6, size=50), rng.integers(9, size=50)
    found = contains_pairs(table, user_ix, item_ix)
    assert (found == is_entry[user_ix, item_ix]).all()


def test_a_rating_of_zero_is_a_seen_item():
    seen = csr_array(([0.0], ([0], [1])), shape=(1, 3))
    scores = np.array([[0.1, 0.9, 0.5]])
    assert rank_items(scorer(scores), [0], seen, 3).tolist() == [[2, 0, -1]]


def test_nothing_is_recommended_that_was_seen_or_is_no_candidate():
    rng = np.random.default_rng(0)
    seen = np.where(rng.random((40, 30)) < 0.4, 4, 0)
    scores = rng.random((40, 30))
    candidates = [3, 5, 7, 7, 29]
    found = rank_items(scorer(scores), range(40), ratings_of(seen), 20, candidates)
    for user in range(40):
        items = set(found[user].tolist()) - {-1}
        assert items == {item for item in candidates if not seen[user, item]}


def test_recommendations_do_not_depend_on_the_size_of_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    scores = rng.random((50, 20))
    seen = ratings_of(np.where(rng.random((50, 20)) < 0.3, 3, 0))
    whole = rank_items(scorer(scores), range(50), seen)
    monkeypatch.setattr(ranking, 'MAX_SCORES_PER_BLOCK', 45)
    assert (rank_items(scorer(scores), range(50), seen) == whole).all()
    assert (rank_items(scorer(scores), range(50), seen.to_csr()) == whole).all()


def test_a_scorer_of_whole_rows_is_called_by_one_thread(monkeypatch):
    threads = set()

    def score(user_ix):
        threads.add(get_ident())
        return np.ones((len(user_ix), 20))

    monkeypatch.setattr(ranking, 'MAX_SCORES_PER_BLOCK', 45)
    rank_items(score, range(1000), ratings_of(np.eye(1000, 20)))
    assert threads == {get_ident()}


def test_integers_can_be_scores():
    scores = np.arange(5)[None]
    seen = ratings_of(np.array([[0, 0, 0, 0, 3]]))
    assert rank_items(scorer(scores), [0], seen, 2).tolist() == [[3, 2]]


@pytest.mark.parametrize(
    'scale, relevant',
    [((1, 5), [4, 5]), ((0.5, 5), [4, 4.5, 5]), ((1, 10), [8, 9, 10]), ((0, 1), [1])],
)
def test_the_relevance_threshold_depends_on_the_scale(scale, relevant):
    low, high = scale
    step = 0.5 if low == 0.5 else 1
    values = np.arange(low, high + step, step)
    frame = pd.DataFrame({'user_id': 0, 'movie_id': range(len(values))})
    held_out = Ratings.from_frame(frame.assign(rating=values), scale=scale)
    found = ranking_metrics([np.arange(len(values))], [0], held_out, k=1)
    assert values[values >= relevance_threshold(scale)].tolist() == relevant
    assert found.relevant.tolist() == [len(relevant)]
    is_high = relevant_ratings(held_out, high)
    assert held_out.rating[is_high].tolist() == [high]


def test_beyond_accuracy_metrics_do_not_depend_on_the_order_of_users():
    rng = np.random.default_rng(0)
    train = ratings_of(np.where(rng.random((20, 15)) < 0.4, 3, 0))
    recommended = np.array([rng.permutation(15)[:4] for _ in range(20)])
    features = rng.random((15, 3))
    order = rng.permutation(20)
    found = beyond_accuracy_metrics(recommended, range(20), train, features)
    shuffled = beyond_accuracy_metrics(recommended[order], order, train, features)
    assert np.allclose(found.loc[order], shuffled)
    coverage = catalog_coverage(recommended, 15)
    assert coverage == catalog_coverage(recommended[order], 15)
    assert coverage == len(set(recommended.ravel().tolist())) / 15


def test_beyond_accuracy_metrics_are_what_their_definitions_say():
    rng = np.random.default_rng(1)
    stars = np.where(rng.random((20, 15)) < 0.4, 3, 0)
    recommended = np.array([rng.permutation(15)[:4] for _ in range(20)])
    features = rng.random((15, 3))
    train = ratings_of(stars)
    found = beyond_accuracy_metrics(recommended, range(20), train, features)
    counts = (stars > 0).sum(axis=0)
    for user, items in enumerate(recommended):
        novelty = np.mean([-np.log2(counts[item] / 20) for item in items])
        own = np.mean(counts[stars[user] > 0])
        lift = np.mean(counts[items]) / own - 1
        unit = features[items] / np.linalg.norm(features[items], axis=1)[:, None]
        cosines = [unit[a] @ unit[b] for a in range(4) for b in range(a + 1, 4)]
        expected = novelty, lift, 1 - np.mean(cosines)
        assert np.allclose(found.loc[user], expected)


def test_users_without_ratings_do_not_change_novelty():
    rated = np.array([[5, 0], [0, 4]])
    more = np.vstack([rated, np.zeros((2, 2), int)])
    for stars in (rated, more):
        found = beyond_accuracy_metrics([[1]], [0], ratings_of(stars))
        assert found.novelty[0] == 1


def test_lists_have_ten_items_unless_told():
    scores = np.random.default_rng(0).random((3, 14))
    held_out = ratings_of(np.where(scores > 0.5, 5, 0))
    found = rank_items(scorer(scores), range(3), csr_array((3, 14)))
    assert found.shape == (3, 10)
    longer = rank_items(scorer(scores), range(3), csr_array((3, 14)), 12)
    pd.testing.assert_frame_equal(
        ranking_metrics(longer, range(3), held_out),
        ranking_metrics(longer, range(3), held_out, k=10),
    )
    for k in (0, 13, 1.5, -1):
        with pytest.raises(ValueError, match=f'^k={k}: there are 12 recommendations'):
            ranking_metrics(longer, range(3), held_out, k=k)


def test_a_scorer_may_be_a_function_whose_arguments_are_unknown():
    table = np.random.default_rng(0).random((3, 5))
    found = rank_items(partial(table.take, axis=0), range(3), csr_array((3, 5)), 2)
    assert (found == np.argsort(-table, axis=1)[:, :2]).all()


@pytest.mark.filterwarnings('error')
def test_what_has_no_features_ratings_or_recommendations_has_no_warnings():
    train = ratings_of(np.array([[5, 4, 0], [0, 4, 0], [0, 0, 0]]))
    recommended = [[2, -1], [0, 2], [1, 2]]
    features = [[1, 0], [0, 0], [3, 4]]
    found = beyond_accuracy_metrics(recommended, range(3), train, features)
    assert found.popularity_lift.isna().tolist() == [False, False, True]
    np.testing.assert_allclose(found.diversity, [np.nan, 0.4, 1])
    none = beyond_accuracy_metrics([[-1, -1]], [0], train)
    assert none.isna().all(axis=None)


def test_diversity_does_not_depend_on_the_size_of_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    train = ratings_of(np.full((9, 15), 3))
    recommended = np.array([rng.permutation(15)[:4] for _ in range(9)])
    features = rng.random((15, 3))
    whole = beyond_accuracy_metrics(recommended, range(9), train, features)
    monkeypatch.setattr(ranking, '_MAX_NUMBERS_PER_BLOCK', 30)
    parts = beyond_accuracy_metrics(recommended, range(9), train, features)
    pd.testing.assert_frame_equal(whole, parts)


@pytest.mark.parametrize('n_items', [6, 1500])
def test_lists_that_cannot_be_filled_end_with_no_item(n_items):
    table = np.random.default_rng(0).normal(size=(3, n_items))
    seen = csr_array((np.ones(1), ([0], [4])), shape=table.shape)
    users = np.arange(3)
    with compiled_loops():
        found = rank_items(SlicedScorer(table), users, seen, k=5, candidates=[1, 4, 3])
    for user, items in enumerate(found.tolist()):
        left = [item for item in (1, 3, 4) if (user, item) != (0, 4)]
        best = sorted(left, key=lambda item: -table[user, item])
        assert items == best + [-1] * (5 - len(best))


def test_a_scorer_without_a_signature_gives_whole_rows():
    table = np.random.default_rng(0).normal(size=(3, 40))

    class Rows:
        __signature__ = 'none'

        def __call__(self, user_ix):
            return table[user_ix]

    nothing = csr_array(table.shape)
    with compiled_loops():
        found = rank_items(Rows(), np.arange(3), nothing, k=5)
    assert (found == np.argsort(-table, axis=1)[:, :5]).all()


def test_the_diversity_of_many_lists_takes_little_memory():
    rng = np.random.default_rng(0)
    train = ratings_of(np.where(np.arange(50) == np.arange(20_000)[:, None] % 50, 3, 0))
    lists = (rng.integers(50, size=(20_000, 1)) + np.arange(10)) % 50
    users = np.arange(20_000)
    features = rng.random((50, 30))
    peaks = []
    for of_items in (None, features):
        tracemalloc.start()
        try:
            beyond_accuracy_metrics(lists, users, train, of_items)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    # All of the vectors at once would be 48 million bytes.
    assert peaks[1] < peaks[0] + 8_000_000
