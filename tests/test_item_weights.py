"""Item weights beside products of dense tables, and in everything that uses them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from mf_movielens import item_knn, ranking
from mf_movielens.ease import fit_ease
from mf_movielens.encoding import Ratings, Vocabulary
from mf_movielens.factors import Factors
from mf_movielens.item_knn import fit_item_knn
from mf_movielens.item_weights import ItemWeights, preference_targets
from mf_movielens.model_file import ModelFileError
from mf_movielens.plots import plot_factor, plot_map
from mf_movielens.ranking import rank_items
from mf_movielens.recommender import Recommender
from mf_movielens.storage import save_arrays


def drawn(n_users=50, n_items=30, seed=0, share=0.3, sparse=False):
    """A random predictor, and its tables without gaps."""
    rng = np.random.default_rng(seed)
    targets = rng.random((n_users, n_items)) * (rng.random((n_users, n_items)) < share)
    weights = rng.normal(size=(n_items, n_items)).astype('float32')
    if sparse:
        weights[rng.random(weights.shape) < 0.8] = 0
    bias = rng.random(n_items).astype('float32')
    table = csr_array(weights) if sparse else weights
    model = ItemWeights(table, csr_array(targets.astype('float32')), bias, (1, 5))
    return model, targets @ weights.astype('float64') + bias


both_tables = pytest.mark.parametrize('sparse', [False, True], ids=['dense', 'sparse'])
SOLVERS = {'ease': {'reg': 5.0}, 'knn': {'n_neighbors': 12}}


def dense_weights(model):
    """The weights without gaps, in double precision."""
    weights = model.predictor.weights
    weights = weights.toarray() if isinstance(weights, csr_array) else weights
    return weights.astype('float64')


@pytest.fixture(scope='module')
def ratings():
    rng = np.random.default_rng(3)
    group = rng.integers(0, 3, 80)
    user, item = np.nonzero(rng.random((80, 24)) < 0.4)
    likes = group[user] == item % 3
    stars = np.clip(np.round(rng.normal(2 + 2.5 * likes, 0.8)), 1, 5)
    titles = np.array([f'Item {j}' for j in range(24)], object)
    titles[3] = 'Emma'
    return Ratings(
        user.astype('int32'),
        item.astype('int32'),
        stars.astype('float32'),
        Vocabulary(range(80), 'user'),
        Vocabulary(range(24)),
        (1, 5),
        titles=titles,
    )


@pytest.fixture(scope='module', params=SOLVERS)
def model(request, ratings):
    return Recommender.fit(ratings, request.param, **SOLVERS[request.param])


def history_of(ratings, user):
    own = ratings.take(ratings.user_ix == user)
    return dict(zip(ratings.items.decode(own.item_ix).tolist(), own.rating.tolist()))


@pytest.mark.parametrize('rows', [4, [4], [7, 7, 0], [], [[1, 2], [3, 4]]])
@pytest.mark.parametrize('items', [None, slice(0, 30), slice(5, 6), slice(11, 29)])
@both_tables
def test_scores_are_products_of_tables(rows, items, sparse):
    model, dense = drawn(sparse=sparse)
    found = model.scores(rows, items=items)
    expected = dense[np.array(rows, int)][..., items or slice(None)]
    assert found.dtype == 'float32' and found.shape == expected.shape
    assert np.allclose(found, expected, atol=1e-5)


@both_tables
def test_predictions_are_the_scores_of_pairs(sparse):
    model, dense = drawn(sparse=sparse)
    rng = np.random.default_rng(1)
    users, items = rng.integers(0, 50, 200), rng.integers(0, 30, 200)
    assert np.allclose(model.predict(users, items), dense[users, items], atol=1e-5)
    assert np.allclose(model.predict(users, 3), dense[users, 3], atol=1e-5)
    assert np.ndim(model.predict(2, 3)) == 0
    assert np.isclose(model.predict(2, 3), dense[2, 3], atol=1e-5)
    for wrong in ((50, 0), (-1, 0), (0, 30), (0, -1)):
        with pytest.raises(IndexError):
            model.predict(*wrong)


@both_tables
def test_large_tables_are_ranked_in_tiles(monkeypatch, sparse):
    monkeypatch.setattr(ranking, 'MAX_SCORES_PER_BLOCK', 1000)
    model, dense = drawn(700, 1500, share=0.02, sparse=sparse)
    seen = model.targets
    expected = np.where(seen.toarray() > 0, -np.inf, dense)
    lists = rank_items(model.scores, range(700), seen, 5)
    best = np.sort(expected, axis=1)[:, :-6:-1]
    assert np.allclose(np.take_along_axis(expected, lists, 1), best, atol=1e-4)


each_solver_and_kind = pytest.mark.parametrize(
    'solver, kind', [(name, kind) for name in SOLVERS for kind in ('graded', 'binary')]
)


@each_solver_and_kind
def test_new_users_get_the_scores_of_known_users(ratings, solver, kind):
    model = Recommender.fit(ratings, solver, kind=kind, **SOLVERS[solver])
    everybody = model.predictor.fold_in(ratings.to_csr())
    rows = np.arange(80)
    assert (everybody.scores(rows) == model.predictor.scores(rows)).all()
    assert everybody.weights is model.predictor.weights
    for user in range(5):
        folded = model.fold_in(history_of(ratings, user))
        known = model.recommend(user).drop(columns='user')
        pd.testing.assert_frame_equal(folded, known)


def test_a_new_user_without_likes_gets_what_is_popular(model):
    for history in ({}, {3: 1, 4: 1}):
        found = model.fold_in(history, k=3)
        popular = np.argsort(-model.item_counts, kind='stable')
        popular = [i for i in model.items.decode(popular) if i not in history]
        assert found.item.tolist() == popular[:3]
        assert (found.score.abs() < 2e-6).all()


def test_histories_stay_as_they_are(model):
    history = csr_array(([5.0, 1.0, 3.0], [7, 2, 4], [0, 3]), shape=(1, 24))
    before = history.copy()
    model.predictor.fold_in(history).scores(0)
    for name in ('data', 'indices', 'indptr'):
        assert (getattr(history, name) == getattr(before, name)).all()


def test_the_order_of_a_history_does_not_change_a_bit():
    rng = np.random.default_rng(0)
    model, _ = drawn(3, 300)
    items, stars = rng.permutation(300)[:250], rng.uniform(1, 5, 250)
    histories = [
        csr_array((stars[order], items[order], [0, 250]), shape=(1, 300))
        for order in (np.arange(250), rng.permutation(250), np.argsort(items))
    ]
    first, *others = (model.fold_in(history).scores(0) for history in histories)
    assert all((scores == first).all() for scores in others)


def test_pictures_of_new_users_are_not_those_of_the_fit(model):
    predictor = model.predictor
    before = predictor.user_factors
    folded = predictor.fold_in(csr_array(np.full((4, 24), 3, 'float32')))
    assert folded.user_factors.shape[0] == 4 != len(before)


@each_solver_and_kind
def test_contributions_add_up_to_the_score(ratings, solver, kind):
    model = Recommender.fit(ratings, solver, kind=kind, **SOLVERS[solver])
    weights = dense_weights(model)
    for user in range(0, 80, 9):
        best = model.recommend(user, k=1)
        item = best.item[0]
        for who in (user, history_of(ratings, user)):
            parts = model.explain(who, item)
            assert set(parts.part) == {'a rating'}
            assert abs(parts.score.sum() - best.score[0]) < 3e-6
            rows = ratings.items.encode(parts.item)
            target = preference_targets(parts.rating, (1, 5), kind)
            expected = weights[rows, model.find(item)] * target
            assert np.allclose(parts.score, expected, atol=1e-7)
            assert (parts.score.abs().diff().dropna() <= 1e-9).all()


def test_similarity_is_symmetric_and_finds_the_group(model):
    table = np.array([model.predictor.similarities(j) for j in range(24)])
    assert np.allclose(table, table.T, atol=1e-6)
    assert (table <= 1 + 1e-6).all() and (np.diag(table) == 1).all()
    columns = dense_weights(model)
    columns += np.diag(0.5 * np.linalg.norm(columns, axis=0))
    columns /= np.linalg.norm(columns, axis=0)
    assert np.allclose(table, columns.T @ columns, atol=1e-5)
    near = [model.similar(item, 3, min_ratings=0).item.tolist() for item in range(24)]
    same_group = np.mean([[j % 3 == i % 3 for j in near[i]] for i in range(24)])
    assert same_group > 0.8


def test_an_item_that_nobody_liked_has_no_similar_ones(ratings):
    worst = np.where(ratings.item_ix == 3, np.float32(1), ratings.rating)
    model = Recommender.fit(replace(ratings, rating=worst), 'ease', reg=5.0)
    with pytest.raises(ValueError, match='nothing is known about item'):
        model.similar(3)
    assert 3 not in model.similar(4, k=24, min_ratings=0).item.tolist()
    assert len(model.similar(4, k=24, min_ratings=0)) == 22


def test_a_saved_model_gives_the_same_answers(model, tmp_path):
    again = Recommender.load(model.save(tmp_path / 'm.npz'))
    assert isinstance(again.predictor, ItemWeights)
    pd.testing.assert_frame_equal(again.recommend(), model.recommend())
    pd.testing.assert_frame_equal(again.fold_in({3: 5}), model.fold_in({3: 5}))
    pd.testing.assert_frame_equal(again.explain(1, 3), model.explain(1, 3))
    pd.testing.assert_frame_equal(again.similar('Emma'), model.similar('Emma'))
    assert again.settings == model.settings
    assert repr(again) == repr(model)
    assert again.summary().equals(model.summary())


@pytest.mark.parametrize(
    'change',
    [
        dict(weights=np.zeros((24, 23), 'float32')),
        dict(weights=np.zeros((24, 24))),
        dict(weights=np.full((24, 24), np.nan, 'float32')),
        dict(weights=np.zeros((24, 24), 'float16')),
        dict(item_bias=np.zeros(23, 'float32')),
        dict(item_bias=np.full(24, np.inf, 'float32')),
        dict(target=np.zeros(3, 'float32')),
        dict(target=-1),
        dict(target=2),
        dict(target=np.nan),
        dict(target_start=np.arange(81)),
        dict(target_start=np.arange(81.0)),
        dict(target_start=np.zeros(0, int)),
        dict(target_item=np.full(5, -1)),
        dict(kind='log'),
        dict(scale=np.array([5.0, 1.0])),
    ],
    ids=str,
)
def test_a_damaged_file_is_refused(model, tmp_path, change):
    path = model.save(tmp_path / 'm.npz')
    with np.load(path) as file:
        arrays = dict(file)
    if isinstance(change.get('target'), (int, float)):
        change = dict(target=np.full_like(arrays['pairs_target'], change['target']))
    save_arrays(path, **arrays | {f'pairs_{k}': v for k, v in change.items()})
    with pytest.raises(ModelFileError, match='m.npz is damaged'):
        Recommender.load(path)


@pytest.mark.parametrize('model', ['knn'], indirect=True)
@pytest.mark.parametrize(
    'name, damage',
    [
        ('weight_start', lambda x: x[:-1]),
        ('weight_start', lambda x: x + 1),
        ('weight_start', lambda x: x[::-1]),
        ('weight_start', lambda x: x.astype(float)),
        ('weight_item', lambda x: np.where(x == 3, -1, x)),
        ('weight_item', lambda x: np.where(x == 3, 24, x)),
        ('weight_item', lambda x: x[::-1]),
        ('weight_item', lambda x: np.r_[x[0], x[0], x[2:]]),
        ('weight_item', lambda x: x[:-1]),
        ('weights', lambda x: x[:-1]),
        ('weights', lambda x: x.astype('float64')),
        ('weights', lambda x: np.full_like(x, np.inf)),
    ],
)
def test_a_damaged_sparse_table_is_refused(model, tmp_path, name, damage):
    path = model.save(tmp_path / 'm.npz')
    with np.load(path) as file:
        arrays = dict(file)
    key = f'pairs_{name}'
    save_arrays(path, **arrays | {key: damage(arrays[key])})
    with pytest.raises(ModelFileError, match='m.npz is damaged'):
        Recommender.load(path)


@pytest.mark.parametrize('outside', [-1, 24, 10**12])
def test_a_target_of_no_item_is_refused(model, tmp_path, outside):
    path = model.save(tmp_path / 'm.npz')
    with np.load(path) as file:
        arrays = dict(file)
    items = arrays['pairs_target_item'].astype('int64')
    items[7] = outside
    save_arrays(path, **arrays | {'pairs_target_item': items})
    with pytest.raises(ModelFileError, match='m.npz is damaged'):
        Recommender.load(path)


@pytest.mark.parametrize('model', ['ease'], indirect=True)
def test_models_that_were_saved_as_wide_factors_become_item_weights(model, tmp_path):
    new = model.predictor
    wide = Factors(
        mu=0.0,
        user_bias=np.zeros(80, 'float32'),
        item_bias=new.item_bias,
        user_factors=new.targets.toarray(),
        item_factors=dense_weights(model).T.astype('float32'),
        scale=new.scale,
        link='score',
    )
    old = Recommender(
        wide, model.users, model.items, model.seen, model.settings, model.titles
    )
    again = Recommender.load(old.save(tmp_path / 'm.npz'))
    assert isinstance(again.predictor, ItemWeights)
    pd.testing.assert_frame_equal(again.recommend(), model.recommend())
    pd.testing.assert_frame_equal(again.fold_in({3: 5}), model.fold_in({3: 5}))


@both_tables
def test_leading_axes_are_those_of_all_scores(sparse):
    model, dense = drawn(90, 70, sparse=sparse)
    table = dense - model.item_bias
    U, sizes, V = np.linalg.svd(table, full_matrices=False)
    best = (U[:, :20] * sizes[:20]) @ V[:20]
    found = model.user_factors @ model.item_factors.T
    assert model.item_factors.shape == (70, 20)
    assert np.allclose(found, best, atol=1e-3 * np.abs(best).max())
    again, _ = drawn(90, 70, sparse=sparse)
    assert (again.item_factors == model.item_factors).all()


@pytest.mark.parametrize('n_users, n_items', [(1, 1), (3, 2), (2, 50), (30, 1)])
@both_tables
def test_few_users_or_items_have_few_axes(n_users, n_items, sparse):
    model, dense = drawn(n_users, n_items, sparse=sparse)
    n_axes = min(n_users, n_items)
    assert model.item_factors.shape == (n_items, n_axes)
    product = model.user_factors @ model.item_factors.T
    assert np.allclose(product, dense - model.item_bias, atol=1e-5)


def test_pictures_are_drawn(model):
    for figure in (plot_map(model), plot_factor(model)):
        assert figure.axes[0].has_data()


def test_the_axes_of_a_picture_tell_the_groups_apart(ratings, model):
    from mf_movielens.plots import item_axes

    axes = item_axes(model.predictor)[:, :2]
    centres = np.array([axes[group::3].mean(0) for group in range(3)])
    distance = ((axes[:, None] - centres) ** 2).sum(2)
    assert (distance.argmin(1) == np.arange(24) % 3).mean() > 0.85


def test_what_weights_cannot_answer_is_refused(model):
    for call in (
        lambda: model.recommend(1, by='low'),
        lambda: model.intervals(1, 3),
        lambda: model.predictor.predict(1, 3, timestamp=9),
    ):
        with pytest.raises(ValueError, match="fitted with solver='bayes'"):
            call()
    with pytest.raises(ValueError, match='this model ranks'):
        model.predict(1, 3)


@pytest.mark.parametrize('fit', [fit_ease, fit_item_knn])
def test_likes_are_all_equal(fit):
    likes = pd.DataFrame({'user': [1, 1, 2, 2, 3], 'item': list('abaca')})
    ratings = Ratings.from_frame(likes.assign(rating=1))
    model = fit(ratings)
    assert (model.targets.data == 1).all()
    assert model.fold_in(csr_array([[0, 1.0, 0]])).scores(0).argmax() == 0


@pytest.mark.parametrize('fit', [fit_ease, fit_item_knn])
def test_counts_are_taken_for_likes(fit):
    plays = pd.DataFrame({'user': [1, 1, 2, 2, 3, 3], 'item': list('abacad')})
    plays['rating'] = [3, 500, 1, 7, 20, 2]
    counts = Ratings.from_frame(plays, kind='counts')
    likes = Ratings.from_frame(plays.assign(rating=1), kind='likes')
    of_counts, of_likes = fit(counts), fit(likes)
    assert of_counts.kind == 'counts'
    assert (of_counts.targets.data == 1).all()
    assert (of_counts.scores(range(3)) == of_likes.scores(range(3))).all()


@pytest.mark.parametrize('n_neighbors', [0, -1, 2.5, 'x'])
def test_a_number_of_neighbors_that_makes_no_sense_is_refused(ratings, n_neighbors):
    with pytest.raises(ValueError, match='n_neighbors='):
        fit_item_knn(ratings, n_neighbors=n_neighbors)


def test_blocks_of_items_give_what_one_block_gives(monkeypatch, ratings):
    whole = fit_item_knn(ratings, n_neighbors=5)
    monkeypatch.setattr(item_knn, '_ITEMS_PER_BLOCK', 7)
    blocks = fit_item_knn(ratings, n_neighbors=5)
    assert (whole.weights.toarray() == blocks.weights.toarray()).all()


def test_of_equally_similar_items_those_with_lower_rows_are_nearer():
    likes = pd.DataFrame(np.argwhere(np.ones((4, 9))), columns=['user', 'item'])
    weights = fit_item_knn(Ratings.from_frame(likes.assign(rating=1)), 3).weights
    for item in range(9):
        found = weights[:, [item]].tocoo().row
        assert sorted(found) == [other for other in range(9) if other != item][:3]


def test_more_neighbors_than_items_are_all_of_them(ratings):
    every = fit_item_knn(ratings, n_neighbors=23).weights.toarray()
    assert (fit_item_knn(ratings, n_neighbors=10**6).weights.toarray() == every).all()
    assert not np.diag(every).any()


@pytest.mark.parametrize(
    'solver, settings, version',
    [
        ('ease', {}, 4),
        ('knn', {}, 5),
        ('blend', {'pairs': 'ease'}, 4),
        ('blend', {'pairs': 'knn'}, 5),
    ],
)
def test_a_file_says_which_version_of_the_format_knows_its_table(
    ratings, tmp_path, solver, settings, version
):
    path = Recommender.fit(ratings, solver, **settings).save(tmp_path / 'm.npz')
    with np.load(path) as file:
        assert file['version'] == version
