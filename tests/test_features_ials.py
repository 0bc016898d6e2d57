"""Factors that are regularized towards a linear map of features."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from mf_movielens.encoding import Ratings, RatingsError, Vocabulary
from mf_movielens.factors import Factors
from mf_movielens.feature_maps import FeatureMap, RowPrior, fit_feature_map
from mf_movielens.features import FeatureMatrix
from mf_movielens.ials import fit_ials, ials_objective
from mf_movielens.least_squares import Regularization, refit_rows
from mf_movielens.recommender import Recommender

N_GENRES = 4


def planted(
    n_users: int = 120, n_items: int = 80, seed: int = 0
) -> tuple[Ratings, np.ndarray, np.ndarray]:
    """Ratings by genre alone, which items have which, and whose genre is which.

    The last ten items have no ratings.
    """
    rng = np.random.default_rng(seed)
    genre = rng.integers(N_GENRES, size=n_items)
    taste = rng.integers(N_GENRES, size=n_users)
    likes = rng.random((n_users, n_items)) < np.where(
        taste[:, None] == genre, 0.6, 0.05
    )
    likes[:, -10:] = False
    user, item = (ix.astype('int32') for ix in np.nonzero(likes))
    ratings = Ratings(
        user,
        item,
        np.ones(len(user), 'float32'),
        Vocabulary(np.arange(n_users), 'user'),
        Vocabulary(np.arange(n_items)),
        (1.0, 1.0),
    )
    return ratings, np.eye(N_GENRES)[genre], taste


def fit(ratings: Ratings, **settings: Any) -> Factors:
    return fit_ials(ratings, n_factors=8, progress=False, **settings)


@pytest.mark.parametrize('n_steps', [None, 60])
@pytest.mark.parametrize('with_biases', [False, True])
def test_rows_with_prior_means_solve_the_normal_equations(
    n_steps: int | None, with_biases: bool
) -> None:
    rng = np.random.default_rng(0)
    k, n, m = 5, 30, 25
    filled = rng.random((n, m)) < 0.4
    filled[3] = False
    targets = csr_array(np.where(filled, rng.normal(size=(n, m)), 0), dtype='float32')
    width = k + with_biases
    other = rng.normal(size=(m, width)).astype('float32')
    means = rng.normal(size=(n, k)).astype('float32')
    extra = {'bias_reg': 0.2} if with_biases else {'alpha': 0.3}
    reg = Regularization(reg=0.05, damping=1.5, **extra)
    table = np.zeros((n, width), 'float32')
    refit_rows(table, targets, other, reg, n_steps, means=means)
    dense = targets.toarray()
    for row in range(n):
        if row == 3:
            assert not table[row].any()
            continue
        x = other[filled[row]].astype('float64')
        y = dense[row, filled[row]]
        weights = np.full(width, 0.05 * len(x) + 1.5)
        right = np.zeros(width)
        right[:k] = weights[:k] * means[row]
        if with_biases:
            weights[k] = 0.2 * len(x) + 1.5
            y = y - x[:, k]
            x[:, k] = 1
        matrix = x.T @ x + np.diag(weights)
        if not with_biases:
            matrix += 0.3 * other.T.astype('float64') @ other
        assert np.allclose(
            table[row], np.linalg.solve(matrix, right + x.T @ y), atol=2e-4
        )


def test_a_map_is_a_weighted_ridge_regression() -> None:
    rng = np.random.default_rng(1)
    features = (rng.random((60, 200)) < 0.1) * rng.uniform(0.5, 2, (60, 200))
    features[:5] = 0
    table, weights = rng.normal(size=(60, 3)), rng.uniform(1, 9, 60)
    weights[5:10] = 0
    names = tuple(map(str, range(200)))
    found = fit_feature_map(csr_array(features), names, table, weights, 2.5)
    used = weights * features.any(1)
    x = np.column_stack([features, np.ones(60)])
    penalty = np.diag([2.5 * used[used > 0].mean()] * 200 + [0])
    dense = np.linalg.solve(
        x.T @ (used[:, None] * x) + penalty, x.T @ (used[:, None] * table)
    )
    assert np.allclose(found.weights, dense[:-1], atol=1e-5)
    expected = x @ dense
    expected[:5] = (used @ table) / used.sum()
    assert np.allclose(found.means(features), expected, atol=1e-5)


def test_each_iteration_lowers_the_objective() -> None:
    ratings, genres, _ = planted()
    records: list[dict[str, Any]] = []
    fit(
        ratings,
        item_features=genres,
        user_features=np.ones((len(ratings.users), 1)),
        on_iteration=records.append,
    )
    objective = [record['objective'] for record in records]
    assert (np.diff(objective) < 1e-3).all()


def test_the_objective_is_that_of_the_formula() -> None:
    ratings, genres, _ = planted()
    records: list[dict[str, Any]] = []
    weights = {'reg': 0.02, 'damping': 3.0, 'alpha': 0.3}
    factors = fit(
        ratings,
        item_features=genres,
        feature_reg=5,
        n_iterations=80,
        on_iteration=records.append,
        **weights,
    )
    assert factors.item_map is not None
    n = np.bincount(ratings.item_ix, minlength=len(ratings.items))
    row_weights = np.where(n > 0, 0.02 * n + 3, 0)
    means = factors.item_map.means(genres)
    items = np.where(n[:, None] > 0, factors.item_factors, 0)
    total = ials_objective(replace(factors, item_factors=items), ratings, **weights)
    total += row_weights @ (((items - means) ** 2).sum(1) - (items**2).sum(1))
    total += 5 * row_weights[n > 0].mean() * (factors.item_map.weights**2).sum()
    # The users are refitted once more at the end, which hardly changes them.
    assert records[-1]['objective'] == pytest.approx(total, rel=1e-4)


def test_new_items_are_ranked_by_their_features() -> None:
    ratings, genres, taste = planted()
    factors = fit(ratings, item_features=genres)
    new = np.arange(70, 80)
    scores = factors.scores(np.arange(len(taste)))[:, new]
    fits = taste[:, None] == genres[new].argmax(1)
    users = fits.any(1) & ~fits.all(1)
    best = np.take_along_axis(fits, scores.argmax(1)[:, None], 1)[:, 0]
    assert best[users].mean() > 0.95
    plain = fit(ratings)
    assert not plain.item_factors[new].any()


def test_an_item_without_ratings_takes_its_prior_mean() -> None:
    ratings, genres, _ = planted()
    factors = fit(ratings, item_features=genres)
    assert factors.item_map is not None
    means = factors.item_map.means(genres)
    assert np.array_equal(factors.item_factors[-10:], means[-10:])
    assert not np.isclose(factors.item_factors[:70], means[:70]).all(1).any()


def test_scores_of_new_items_are_on_the_scale_of_the_others() -> None:
    """That nobody has rated them yet does not shrink them."""
    ratings, genres, taste = planted()
    factors = fit(ratings, item_features=genres, feature_reg=0.5)
    scores = factors.scores(np.arange(len(taste)))
    fits = taste[:, None] == genres.argmax(1)
    rated, new = scores[:, :70][fits[:, :70]], scores[:, 70:][fits[:, 70:]]
    assert new.mean() == pytest.approx(rated.mean(), rel=0.1)


def test_items_without_ratings_change_nothing_for_the_others() -> None:
    ratings, genres, _ = planted()
    few = replace(ratings, items=Vocabulary(np.arange(70)))
    without = fit(few, item_features=genres[:70])
    factors = fit(ratings, item_features=genres)
    # The first items are drawn row by row.
    assert np.allclose(without.item_factors, factors.item_factors[:70], atol=1e-5)
    added = without.with_items(genres[70:])
    assert np.allclose(added.item_factors, factors.item_factors, atol=1e-5)
    histories = csr_array(np.eye(1, 80), dtype='float32')
    folded = added.fold_in(histories), without.fold_in(histories[:, :70])
    assert np.allclose(folded[0].user_factors, folded[1].user_factors, atol=1e-6)


def test_a_new_user_is_fitted_towards_what_the_features_say() -> None:
    ratings, _, taste = planted()
    features = np.eye(N_GENRES)[taste]
    factors = fit(ratings, user_features=features, alpha=0.2, reg=0.1, damping=2)
    assert factors.user_map is not None
    history = np.zeros((2, 80), 'float32')
    history[1, :3] = 1
    new = np.eye(N_GENRES)[[2, 1]]
    folded = factors.fold_in(csr_array(history), user_features=new).user_factors
    means = factors.user_map.means(new)
    assert np.array_equal(folded[0], means[0])
    q = factors.item_factors.astype('float64')
    regularization = 0.1 * 3 + 2
    matrix = q[:3].T @ q[:3] + 0.2 * q.T @ q + regularization * np.eye(8)
    right = q[:3].sum(0) + regularization * means[1]
    assert np.allclose(folded[1], np.linalg.solve(matrix, right), atol=1e-5)
    unknown = factors.fold_in(csr_array(history)).user_factors
    assert np.allclose(unknown[0], factors.user_map.row_mean)


def test_folding_in_gives_the_rows_of_the_fit() -> None:
    ratings, genres, taste = planted()
    features = {'item_features': genres, 'user_features': np.eye(N_GENRES)[taste]}
    factors = fit(ratings, n_iterations=60, **features)
    folded = factors.fold_in(ratings.to_csr(), features['user_features'])
    assert np.allclose(folded.user_factors, factors.user_factors, atol=2e-3)


def test_factors_with_maps_survive_a_file(tmp_path: Path) -> None:
    ratings, genres, taste = planted()
    features = {'item_features': genres, 'user_features': np.eye(N_GENRES)[taste]}
    factors = fit(ratings, **features)
    loaded = Factors.load(factors.save(tmp_path / 'factors.npz'))
    for name in ('item_map', 'user_map'):
        before, after = getattr(factors, name), getattr(loaded, name)
        assert after.names == before.names
        assert np.array_equal(after.weights, before.weights)
    assert np.array_equal(
        loaded.with_items(genres[:2]).item_factors[-2:],
        factors.with_items(genres[:2]).item_factors[-2:],
    )


def test_a_checkpoint_continues_a_fit_with_features(tmp_path: Path) -> None:
    ratings, genres, taste = planted()
    features = {'item_features': genres, 'user_features': np.eye(N_GENRES)[taste]}
    path = tmp_path / 'fit.npz'
    fit(ratings, n_iterations=3, checkpoint=path, **features)
    continued = fit(ratings, n_iterations=6, checkpoint=path, **features)
    whole = fit(ratings, n_iterations=6, **features)
    assert np.array_equal(continued.item_factors, whole.item_factors)
    assert np.array_equal(continued.user_factors, whole.user_factors)
    with pytest.raises(ValueError, match='another fit'):
        fit(ratings, checkpoint=path)
    with pytest.raises(ValueError, match='another fit'):
        fit(ratings, checkpoint=path, **(features | {'item_features': 2 * genres}))
    with pytest.raises(ValueError, match='another fit'):
        fit(ratings, checkpoint=path, feature_reg=50.0, **features)


def test_features_help_items_with_few_ratings() -> None:
    """A planted signal that ratings are too few to show."""
    ratings, genres, taste = planted(n_items=400)
    rng = np.random.default_rng(1)
    rated = ratings.take(rng.random(len(ratings)) < 0.05)
    with_features = fit(rated, item_features=genres)
    fits = taste[:, None] == genres.argmax(1)

    def share(factors: Factors) -> float:
        scores = factors.scores(np.arange(len(taste)))
        top = np.argsort(-scores, axis=1)[:, :20]
        return float(np.take_along_axis(fits, top, 1).mean())

    assert share(with_features) > share(fit(rated)) + 0.1


@pytest.mark.parametrize(
    ('features', 'words'),
    [
        (np.ones((79, 2)), '80 items'),
        (np.full((80, 2), np.nan), 'not finite'),
        (np.ones(80), 'shape'),
    ],
)
def test_features_that_make_no_sense_are_refused(
    features: np.ndarray, words: str
) -> None:
    ratings, _, _ = planted()
    with pytest.raises(ValueError, match=words):
        fit(ratings, item_features=features)


@pytest.mark.parametrize('reg', [0, -1, np.nan])
def test_the_weight_of_a_map_is_above_zero(reg: float) -> None:
    ratings, genres, _ = planted()
    with pytest.raises(ValueError, match='feature_reg'):
        fit(ratings, item_features=genres, feature_reg=reg)


def test_factors_without_a_map_cannot_add_items() -> None:
    ratings, genres, _ = planted()
    factors = fit(ratings)
    with pytest.raises(ValueError, match='without features of items'):
        factors.with_items(genres)
    with pytest.raises(ValueError, match='without features of users'):
        factors.fold_in(csr_array((1, 80), dtype='float32'), user_features=[[1]])
    with_map = fit(ratings, item_features=genres)
    with pytest.raises(ValueError, match='columns of the fit'):
        with_map.with_items(genres[:, :2])


def test_a_prior_of_no_rated_rows_is_zero() -> None:
    features = csr_array(np.eye(3))
    means = np.ones((3, 2), 'float32')
    prior = RowPrior(features, ('a', 'b', 'c'), np.zeros(3), 1.0, means)
    prior.refit(np.zeros((3, 2), 'float32'))
    assert not prior.means.any()


def test_a_map_checks_its_tables() -> None:
    with pytest.raises(ValueError, match='do not go together'):
        FeatureMap(np.ones((2, 3)), np.zeros(2), np.zeros(2), ('a', 'b'))
    with pytest.raises(ValueError, match='not finite'):
        FeatureMap(np.full((1, 1), np.inf), np.zeros(1), np.zeros(1), ('a',))


def test_features_of_other_names_do_not_go_with_a_map() -> None:
    values = csr_array(np.eye(3, 2))
    fitted = fit_feature_map(values, ('a', 'b'), np.ones((3, 1)), np.ones(3))
    assert fitted.means(FeatureMatrix(('a', 'b'), values)).shape == (3, 1)
    with pytest.raises(ValueError, match='take the columns of the fit'):
        fitted.means(FeatureMatrix(('b', 'a'), values))


def frames() -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """Planted ratings and a table of all items, ten of them without ratings."""
    ratings, genres, taste = planted()
    rows = pd.DataFrame(
        {'user': ratings.user_ix, 'item': ratings.item_ix, 'rating': 1.0}
    )
    words = np.array(['action', 'comedy', 'drama', 'war'])
    items = pd.DataFrame(
        {
            'item': np.arange(80),
            'genre': words[genres.argmax(1)],
            'title': [f'Item number {item}' for item in range(80)],
        }
    )
    return rows, items, taste


def fitted(solver: str = 'ials', **settings: Any) -> tuple[Recommender, np.ndarray]:
    rows, items, taste = frames()
    model = Recommender.fit(
        rows, solver, item_features=items, n_factors=8, kind='likes', **settings
    )
    return model, taste


WORDS = ['action', 'comedy', 'drama', 'war']


def scores_of(model: Recommender, user: Any, items: list[int]) -> np.ndarray:
    """The scores of items, for a user by id or for the ratings of a new one."""
    predictor, row = model.predictor, 0
    if isinstance(user, dict):
        history = np.zeros((1, len(model.items)), 'float32')
        history[0, model.items.encode([*user])] = [*user.values()]
        predictor = predictor.fold_in(csr_array(history))
    else:
        row = int(model.users.encode([user])[0])
    return np.asarray(predictor.scores(row))[model.items.encode(items)]


@pytest.mark.parametrize('solver', ['ials', 'blend'])
def test_new_items_are_recommended_and_marked(solver: str, tmp_path: Path) -> None:
    model, taste = fitted(solver)
    assert len(model.items) == 80
    top = model.recommend(k=1, candidates=[*range(70, 80)])
    genre = model.item_features.to_frame().genre
    wanted = np.array(WORDS)[taste[top.user.to_numpy()]]
    has_match = np.isin(wanted, genre.loc[70:])
    assert top.is_new.all()
    assert (genre.loc[top.item].to_numpy() == wanted)[has_match].mean() > 0.9
    of_all = model.recommend(k=80, exclude_seen=False)
    assert (of_all.is_new == (of_all.item >= 70)).all()
    loaded = Recommender.load(model.save(tmp_path / 'model.npz'))
    pd.testing.assert_frame_equal(loaded.recommend(k=1), model.recommend(k=1))
    with np.load(tmp_path / 'model.npz') as file:
        assert file['version'] == 6
    user = int(top.user[has_match][top.index[has_match][0]])
    item = int(top.item[has_match].iloc[0])
    pd.testing.assert_frame_equal(loaded.explain(user, item), model.explain(user, item))


def test_a_model_without_new_items_marks_none() -> None:
    rows, items, _ = frames()
    model = Recommender.fit(rows, item_features=items[:70], n_factors=8, kind='likes')
    assert 'is_new' not in model.recommend(k=1)


@pytest.mark.parametrize('solver', ['ials', 'blend'])
@pytest.mark.parametrize('with_users', [False, True])
def test_parts_of_an_explanation_add_up(solver: str, with_users: bool) -> None:
    rows, items, taste = frames()
    users = pd.DataFrame({'user': range(120), 'club': np.array(WORDS)[taste]})
    extra = {'user_features': users} if with_users else {}
    model = Recommender.fit(
        rows,
        solver,
        item_features=items,
        n_factors=8,
        kind='likes',
        n_iterations=60,
        **extra,
    )
    genre = items.genre.to_numpy()
    for user in (0, 7):
        for item in (3, 75):
            score = scores_of(model, user, [item])[0]
            for by in ('ratings', 'features'):
                parts = model.explain(user, item, by=by)
                assert parts.score.sum() == pytest.approx(score, abs=3e-3)
            assert f'genre: {genre[item]}' in set(parts.feature)
            assert ('ratings of the item' in set(parts.part)) == (item < 70)
            by_ratings = model.explain(user, item, by='ratings')
            assert 'the rest' not in set(by_ratings.part)
            assert ('what is known of the user' in set(by_ratings.part)) == with_users
        assert 'feature' in model.explain(user, 75)
        assert 'rating' in model.explain(user, 3)
    new = {1: 1.0, 2: 1.0}
    for item in (3, 75):
        score = scores_of(model, new, [item])[0]
        for by in ('ratings', 'features'):
            parts = model.explain(new, item, by=by)
            assert parts.score.sum() == pytest.approx(score, abs=3e-3)


def test_the_feature_of_a_fan_speaks_for_a_new_item() -> None:
    model, taste = fitted()
    genre = model.item_features.to_frame().genre
    item = next(i for i in range(70, 80) if genre[i] == WORDS[taste[0]])
    parts = model.explain(0, item)
    first = parts[parts.part == 'a feature'].iloc[0]
    assert first.feature == f'genre: {genre[item]}' and first.score > 0.05
    other = next(i for i in range(70, 80) if genre[i] != WORDS[taste[0]])
    parts = model.explain(0, other)
    assert parts[parts.part == 'a feature'].score.iloc[0] < 0


@pytest.mark.parametrize('solver', ['ials', 'blend'])
@pytest.mark.parametrize('pairs', ['ease', 'knn'])
def test_items_can_be_added_later(solver: str, pairs: str, tmp_path: Path) -> None:
    settings = {'pairs': pairs} if solver == 'blend' else {}
    rows, items, _ = frames()
    extra = {'n_factors': 8, 'kind': 'likes', 'feature_reg': 5.0, **settings}
    model = Recommender.fit(rows, solver, item_features=items[:70], **extra)
    longer = model.add_items(items)
    assert len(longer.items) == 80 and longer.item_features.to_frame().shape[0] == 80
    users = [0, 5, 9]
    for user in users:
        old = model.recommend(user, k=70, exclude_seen=False)
        kept = longer.recommend(user, k=70, exclude_seen=False, candidates=[*range(70)])
        assert (old.item == kept.item).all()
        assert np.allclose(old.score, kept.score)
    at_once = Recommender.fit(rows, solver, item_features=items, **extra)
    new_items = [*range(70, 80)]
    new = scores_of(longer, 5, new_items)
    assert np.allclose(new, scores_of(at_once, 5, new_items), atol=1e-4)
    loaded = Recommender.load(longer.save(tmp_path / 'model.npz'))
    assert np.array_equal(scores_of(loaded, 5, new_items), new)
    assert longer.add_items(items) is longer
    assert longer.catalog.describe(75) != ''
    folded = longer.fold_in({1: 1.0, 75: 1.0}, k=3)
    assert len(folded) == 3


def test_new_items_bring_their_own_titles() -> None:
    rows, items, _ = frames()
    titles = dict(zip(items.item, items.title))
    old = Ratings.from_frame(
        rows, kind='likes', titles={i: titles[i] for i in range(70)}
    )
    model = Recommender.fit(old, item_features=items[:70], n_factors=2)
    longer = model.add_items(items.sample(frac=1, random_state=0))
    top = longer.recommend(0, k=80, exclude_seen=False)
    assert len(top) == 80
    assert top.title.tolist() == [titles[item] for item in top.item]


def test_items_cannot_be_added_without_features() -> None:
    rows, items, _ = frames()
    model = Recommender.fit(rows, n_factors=8, kind='likes')
    for unlearned in (model, model.with_features(items)):
        with pytest.raises(ValueError, match='without features of items'):
            unlearned.add_items(items)
    with pytest.raises(ValueError, match='without features of items'):
        model.explain(0, 3, by='features')
    with_map, _ = fitted()
    with pytest.raises(RatingsError, match='genre'):
        with_map.add_items(pd.DataFrame({'item': [99], 'colour': ['red']}))


def test_bayes_takes_the_same_table_and_widens_its_intervals() -> None:
    rng = np.random.default_rng(0)
    ratings, genres, taste = planted()
    match = taste[ratings.user_ix] == genres.argmax(1)[ratings.item_ix]
    _, items, _ = frames()
    rows = pd.DataFrame({'user': ratings.user_ix, 'item': ratings.item_ix})
    rows['rating'] = np.where(match, 5, 2) + rng.integers(-1, 1, len(rows))
    short: dict[str, Any] = {
        'kind': 'stars',
        'n_factors': 4,
        'n_burn_in': 10,
        'n_samples': 30,
        'progress': False,
    }
    model = Recommender.fit(rows, 'bayes', item_features=items, **short)
    assert len(model.items) == 80
    top = model.recommend(k=80, exclude_seen=False)
    width = top.mean_high - top.mean_low
    assert width[top.is_new].mean() > 1.1 * width[~top.is_new].mean()
    genre = items.genre.to_numpy()
    fits = genre[top.item] == np.array(WORDS)[taste[top.user]]
    means = top.score.groupby([top.is_new, fits]).mean()
    assert means[True, True] > means[True, False] + 0.3
    with pytest.raises(TypeError, match='not both'):
        Recommender.fit(
            rows, 'bayes', item_features=items, side={'items': genres}, **short
        )


def test_the_map_is_that_of_the_best_iteration() -> None:
    ratings, genres, _ = planted()
    is_held_out = np.random.default_rng(0).random(len(ratings)) < 0.2
    train, valid = ratings.take(~is_held_out), ratings.take(is_held_out)
    settings: dict[str, Any] = {'valid': valid, 'patience': 2, 'n_iterations': 40}
    records: list[dict[str, Any]] = []
    factors = fit(train, item_features=genres, on_iteration=records.append, **settings)
    assert len(records) < 40 and factors.regularization is not None
    n = np.bincount(train.item_ix, minlength=80)
    weights = np.where(n > 0, factors.regularization.of_factors(n), 0)
    names = tuple(map(str, range(N_GENRES)))
    found = fit_feature_map(
        csr_array(genres), names, factors.item_factors, weights, 20.0
    )
    assert factors.item_map is not None
    assert np.allclose(found.weights, factors.item_map.weights, atol=1e-6)


def test_items_that_come_later_have_columns_of_the_same_kinds():
    rng = np.random.default_rng(0)
    user, item = np.nonzero(rng.random((30, 12)) < 0.4)
    likes = pd.DataFrame({'user': user, 'item': item, 'rating': 1})
    items = pd.DataFrame({'item': range(12), 'shelf': ['a', 'b', '7', '7'] * 3})
    ratings = Ratings.from_frame(likes, say=None)
    model = Recommender.fit(ratings, n_factors=4, item_features=items)
    # One row alone would look like a number.
    longer = model.add_items(pd.DataFrame({'item': [12], 'shelf': ['7']}))
    assert longer.item_features['shelf'].kind == 'category'
    by_map = longer.predictor.item_map.means(
        longer.item_features.matrix(like=longer.predictor.item_map.names)
    )
    assert np.allclose(longer.predictor.item_factors[-1], by_map[-1], atol=1e-6)
    assert np.allclose(by_map[-1], by_map[2], atol=1e-6)


def test_a_search_fits_to_features_at_its_end():
    rng = np.random.default_rng(0)
    user, item = np.nonzero(rng.random((40, 20)) < 0.4)
    likes = pd.DataFrame({'user': user, 'item': item, 'rating': 1})
    ratings = Ratings.from_frame(likes, say=None)
    items = pd.DataFrame({'item': range(21), 'shelf': ['a', 'b', 'c'] * 7})
    model = Recommender.tune(ratings, solver='ials', trials=2, item_features=items)
    assert model.predictor.item_map.names == ('shelf: a', 'shelf: b', 'shelf: c')
    assert len(model.items) == 21 and len(model.trials) == 2


def test_a_table_that_gives_no_columns_is_one_without_features():
    """Each category of one row only says nothing of any other."""
    frame = pd.DataFrame({'user': [1, 1, 2], 'item': [7, 8, 7], 'rating': 1})
    items = pd.DataFrame({'item': [7, 8, 9], 'genre': ['a', 'b', 'c']})
    ratings = Ratings.from_frame(frame, say=None)
    model = Recommender.fit(ratings, 'ials', item_features=items, n_factors=2)
    plain = Recommender.fit(ratings, 'ials', n_factors=2)
    assert model.predictor.item_map.names == ()
    found = model.recommend(2, candidates=[8])
    assert np.allclose(found.score, plain.recommend(2).score, atol=0.05)
