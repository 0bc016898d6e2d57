"""An updated model is exact where it was refitted, and the same everywhere else."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mf_movielens.blend import Blend
from mf_movielens.data import load
from mf_movielens.encoding import Ratings, RatingsError
from mf_movielens.factors import Factors
from mf_movielens.ials import fit_ials, ials_objective
from mf_movielens.least_squares import Regularization
from mf_movielens.recommender import Recommender
from mf_movielens.updating import check_same_numbers, update_predictor

SCALE = (1, 5)


def planted(n_users=60, n_items=40, n=900, seed=0):
    """Ratings of users and items with two latent factors."""
    rng = np.random.default_rng(seed)
    pairs = rng.choice(n_users * n_items, n, replace=False)
    user, item = np.divmod(pairs, n_items)
    p, q = rng.normal(size=(n_users, 2)), rng.normal(size=(n_items, 2))
    rating = 3 + np.einsum('nk,nk->n', p[user], q[item]) + rng.normal(0, 0.3, n)
    return pd.DataFrame(
        {
            'user': user,
            'item': item,
            'rating': rating.round().clip(*SCALE),
        }
    )


def encode(frame, kind='stars', **settings):
    """Ratings of a frame, on the scale if they are stars."""
    if kind == 'stars':
        settings['scale'] = SCALE
    return Ratings.from_frame(frame, kind=kind, say=None, **settings)


def as_kind(frame, kind):
    """The same pairs as counts or likes."""
    if kind == 'counts':
        return frame.assign(rating=frame.rating**2)
    return frame.assign(rating=1.0) if kind == 'likes' else frame


FITS = {
    'als': dict(solver='als', n_factors=4, n_iterations=4),
    'ials': dict(solver='ials', n_factors=4, n_iterations=4),
}
CASES = [
    ('als', 'stars'),
    ('ials', 'stars'),
    ('ials', 'counts'),
    ('ials', 'likes'),
    ('ease', 'stars'),
    ('knn', 'counts'),
    ('blend', 'stars'),
]


def fit(frame, solver, kind='stars'):
    settings = dict(FITS.get(solver, dict(solver=solver)))
    if solver == 'blend':
        settings |= dict(n_factors=4)
    return Recommender.fit(encode(as_kind(frame, kind), kind), **settings)


def update(model, frame, kind='stars', **options):
    new = encode(as_kind(frame, kind), kind)
    return model.update(new, say=None, **options)


@pytest.fixture(scope='module')
def frame():
    return planted()


@pytest.fixture(scope='module')
def old(frame):
    "The first ratings: users from 50 on and items from 35 on are not among them."
    return frame[(frame.user < 50) & (frame.item < 35)].iloc[:500]


@pytest.fixture(scope='module')
def more(frame, old):
    "Ratings of known users, of new users and of new items."
    return frame.drop(old.index)


def arrays_of(model):
    arrays = model.predictor.to_arrays()
    return {name: np.asarray(array) for name, array in arrays.items()}


def design(factors, table, rows):
    """Weighted normal equations of some rows against the rows of the other table.

    `table` maps a row to (other rows, ratings). Gives a row for each, the bias last.
    """
    reg = factors.regularization
    solved = []
    for row in rows:
        other, rating = table[row]
        q = factors.item_factors[other].astype('float64')
        n = len(other)
        if factors.link == 'score':
            low, high = factors.scale
            if factors.rating_kind == 'counts':
                target = (rating > 0).astype(float)
                weight = (rating / reg.count_unit) ** reg.count_growth
            else:
                target = (rating - low) / ((high - low) or 1) if low < high else 1.0
                target, weight = np.broadcast_to(target, n), np.ones(n)
            every = factors.item_factors.astype('float64')
            left = q.T @ (weight[:, None] * q) + reg.alpha * every.T @ every
            left += (reg.reg * n + reg.damping) * np.eye(q.shape[1])
            solved.append(np.linalg.solve(left, q.T @ (weight * target)))
            continue
        inputs = np.column_stack([q, np.ones(n)])
        weights = np.append(
            np.full(q.shape[1], reg.reg * n + reg.factor_damping),
            max(reg.bias_reg, 1e-6) * n + reg.damping,
        )
        target = rating - factors.mu - factors.item_bias[other]
        left = inputs.T @ inputs + np.diag(weights)
        solved.append(np.linalg.solve(left, inputs.T @ target))
    return np.array(solved)


def rows_of(factors, rows):
    own = factors.user_factors[rows]
    if factors.link == 'score':
        return own
    return np.column_stack([own, factors.user_bias[rows]])


@pytest.mark.parametrize('solver, kind', [c for c in CASES if c[0] in FITS])
def test_rows_of_users_solve_their_normal_equations(old, more, solver, kind):
    model = update(fit(old, solver, kind), more, kind)
    seen = model.seen
    rows = model.users.encode(more.user.unique())
    table = {
        row: (
            seen.indices[seen.indptr[row] : seen.indptr[row + 1]],
            seen.data[seen.indptr[row] : seen.indptr[row + 1]].astype('float64'),
        )
        for row in rows
    }
    exact = design(model.predictor, table, rows)
    assert np.abs(exact).max() > 0.05
    assert np.allclose(rows_of(model.predictor, rows), exact, atol=2e-4)


@pytest.mark.parametrize('scale', [(0, 10), (0.5, 5)])
def test_any_scale_gives_the_same_model(old, more, scale):
    """Ratings on another scale are the same ratings, and so are predictions."""
    low, high = scale

    def on(frame):
        rating = low + (frame.rating - 1) / 4 * (high - low)
        return Ratings.from_frame(frame.assign(rating=rating), scale=scale)

    settings = FITS['als'] | dict(reg=0.1, damping=2.0, factor_damping=5.0)
    models = [
        Recommender.fit(make(old), **settings).update(make(more), say=None)
        for make in (on, encode)
    ]
    mine, expected = (m.predict(more.user.tolist(), 30) for m in models)
    expected = low + (expected - 1) / 4 * (high - low)
    assert np.allclose(mine, expected, atol=1e-3)


def test_items_have_their_own_regularization(old, more):
    """After many iterations, items solve their normal equations."""
    damping = dict(reg=0.1, damping=1.0, item_damping=40.0, factor_damping=5.0)
    model = Recommender.fit(encode(old), **FITS['als'], **damping)
    f = update(model, more, n_iterations=60).predictor
    now = update(model, more, n_iterations=60)
    by_item = now.seen.T.tocsr()
    rows = np.arange(20)
    table = {
        row: (
            by_item.indices[by_item.indptr[row] : by_item.indptr[row + 1]],
            by_item.data[by_item.indptr[row] : by_item.indptr[row + 1]],
        )
        for row in rows
    }
    swapped = replace(
        f,
        user_bias=f.item_bias,
        item_bias=f.user_bias,
        user_factors=f.item_factors,
        item_factors=f.user_factors,
        regularization=f.regularization.for_items(),
    )
    exact = design(swapped, table, rows)
    assert np.abs(exact[:, -1]).max() > 0.1
    assert np.allclose(rows_of(swapped, rows), exact, atol=5e-3)


@pytest.mark.parametrize('kind', ['stars', 'counts', 'likes'])
def test_ties_are_broken_by_the_popularity_of_now(old, more, kind):
    now = update(fit(old, 'ials', kind), more, kind)
    counts = np.bincount(now.seen.indices)
    expected = (1e-6 * counts / counts.max()).astype('float32')
    assert (now.predictor.item_bias == expected).all()


def test_pairs_without_stars_are_left_out_where_ratings_are_predicted(old, more):
    some = more.assign(rating=np.where(np.arange(len(more)) % 2, more.rating, -1))
    new = encode(some, missing=-1)
    assert update_of(fit(old, 'als'), new).seen.nnz == 700
    ranked = update_of(fit(old, 'ials'), new)
    assert ranked.seen.nnz == 900 and (ranked.seen.data == 5).sum() >= 200


def update_of(model, ratings):
    return model.update(ratings, say=None)


def test_likes_are_what_they_were_in_the_model(old, more):
    fives = Ratings.from_frame(old.assign(rating=5.0), scale=(5, 5))
    model = Recommender.fit(fives, n_factors=2)
    assert model.kind == 'likes'
    now = update(model, more, 'likes')
    assert (now.seen.data == 5).all()


@pytest.mark.parametrize('solver, kind', CASES)
def test_nothing_new_changes_nothing(old, solver, kind):
    model = fit(old, solver, kind)
    again = update(model, old.iloc[::3], kind, duplicates='last')
    assert again.settings == model.settings
    for name, array in arrays_of(model).items():
        assert (array == arrays_of(again)[name]).all(), name


@pytest.mark.parametrize('solver, kind', CASES)
def test_known_ids_keep_their_rows_and_new_ones_follow(old, more, solver, kind):
    model = fit(old, solver, kind)
    now = update(model, more, kind)
    n_users, n_items = len(model.users), len(model.items)
    assert now.users.index[:n_users].equals(model.users.index)
    assert now.items.index[:n_items].equals(model.items.index)
    assert {*now.users.index} == {*old.user} | {*more.user}
    assert {*now.items.index} == {*old.item} | {*more.item}
    together = as_kind(pd.concat([old, more]), kind)
    expected = together.pivot(index='user', columns='item', values='rating')
    expected = expected.reindex(now.users.index, columns=now.items.index).fillna(0)
    assert (now.seen.toarray() == expected.to_numpy()).all()
    assert now.seen.nnz == len(together)
    assert now.predictor.shape == now.seen.shape


@pytest.mark.parametrize('solver, kind', CASES)
def test_the_fingerprint_is_that_of_all_ratings(old, more, solver, kind):
    now = update(fit(old, solver, kind), more, kind)
    seen = now.seen
    user_ix = np.repeat(np.arange(len(now.users), dtype='int32'), np.diff(seen.indptr))
    scale = (seen.data.min(), seen.data.max()) if kind == 'counts' else SCALE
    scale = (1, 1) if kind == 'likes' else scale
    every = Ratings(
        user_ix, seen.indices, seen.data, now.users, now.items, scale, kind=kind
    )
    scale = tuple(map(float, scale))
    assert now.settings['fingerprint'] == replace(every, scale=scale).fingerprint


@pytest.mark.parametrize('solver', [*FITS])
def test_rows_without_new_ratings_stay(old, solver):
    model = fit(old, solver)
    few = pd.DataFrame({'user': [3, 99], 'item': [5, 5], 'rating': [1.0, 4.0]})
    now = update(model, few, duplicates='last')
    user, item = model.users.encode([3])[0], model.items.encode([5])[0]
    for side, changed in (('user', user), ('item', item)):
        before = getattr(model.predictor, f'{side}_factors')
        after = getattr(now.predictor, f'{side}_factors')[: len(before)]
        assert np.flatnonzero((before != after).any(1)).tolist() == [changed]


@pytest.mark.parametrize('kind', ['stars', 'counts'])
@pytest.mark.parametrize('has_features', [False, True])
def test_items_move_by_what_changed(old, kind, has_features):
    """With two factors, two steps make a user exact, and the step is known."""
    given = {'item_features': features_of(old, 'item')} if has_features else {}
    model = Recommender.fit(encode(as_kind(old, kind), kind), n_factors=2, **given)
    few = as_kind(pd.DataFrame({'user': [3, 99], 'item': 5, 'rating': 5.0}), kind)
    now = model.update(encode(few, kind), duplicates='last', say=None)
    f, reg = model.predictor, model.predictor.regularization
    users, item = now.users.encode([3, 99]), int(model.items.encode([5])[0])

    table = np.zeros((len(now.users), 2))
    table[: len(model.users)] = f.user_factors
    table[users] = f.fold_in(now.seen[users]).user_factors
    q = f.item_factors[item].astype('float64')
    mean = np.zeros(2)
    if has_features:
        features = model.item_features.matrix(like=f.item_map.names)
        mean = f.item_map.means(features)[item]

    def slope(users, seen, table):
        """Half of the slope at the item, of what these users say."""
        own, ratings = table[users], seen[users][:, [item]].toarray()[:, 0]
        y, w = (ratings - 1) / 4, ratings > 0
        if kind == 'counts':
            y, w = ratings > 0, (ratings / reg.count_unit) ** reg.count_growth
        errors = w * (own @ q - y) @ own
        return (
            errors
            + reg.alpha * own.T @ own @ q
            + reg.reg * (ratings > 0).sum() * (q - mean)
        )

    change = slope(users, now.seen, table)
    change -= slope(users[:1], model.seen, f.user_factors.astype('float64'))
    axes = np.linalg.eigh(table.T @ table)[1]
    turned = table @ axes
    lengths = np.diff(now.seen.indptr)
    n = now.seen[:, [item]].nnz
    curvature = n * np.average(turned**2, axis=0, weights=lengths)
    curvature += reg.alpha * (turned**2).sum(0) + reg.reg * n + reg.damping
    expected = -(change @ axes / curvature) @ axes.T
    step = now.predictor.item_factors[item] - q
    assert np.abs(expected).max() > 1e-3
    assert np.allclose(step, expected, atol=0.05 * np.abs(expected).max())


@pytest.mark.parametrize('kind', ['stars', 'counts', 'likes'])
def test_items_come_closer_to_their_exact_rows(old, more, kind):
    converged = dict(n_factors=4, n_iterations=40)
    model = Recommender.fit(encode(as_kind(old, kind), kind), **converged)
    some = more[more.item.isin(old.item)].iloc[::6]
    rows = model.items.encode(some.item.unique())

    def distance(now):
        f = now.predictor
        swapped = replace(
            f,
            user_bias=np.zeros(0, 'float32'),
            user_factors=np.zeros((0, f.n_factors), 'float32'),
            item_bias=f.user_bias,
            item_factors=f.user_factors,
        )
        exact = swapped.fold_in(now.seen.T.tocsr()[rows]).user_factors
        return np.linalg.norm(f.item_factors[rows] - exact)

    kept = distance(update(model, some, kind, refit_items=False))
    assert distance(update(model, some, kind)) < 0.75 * kept


@pytest.mark.parametrize('solver', [*FITS])
def test_items_can_stay_as_they_are(old, more, solver):
    model = fit(old, solver)
    now = update(model, more, refit_items=False)
    known = now.predictor.item_factors[: len(model.items)]
    assert (known == model.predictor.item_factors).all()
    new = now.predictor.item_factors[len(model.items) :]
    assert (np.abs(new).max(1) > 1e-3).all()
    rows = now.users.encode(more.user.unique())
    exact = now.predictor.fold_in(now.seen[rows])
    assert np.allclose(now.predictor.user_factors[rows], exact.user_factors, atol=1e-4)


@pytest.mark.parametrize('solver, kind', CASES)
def test_a_new_user_is_as_folded_in(old, solver, kind):
    model = fit(old, solver, kind)
    ratings = as_kind(pd.DataFrame({'item': [2, 7, 9], 'rating': [5.0, 4, 1]}), kind)
    by_item = dict(zip(ratings.item, ratings.rating))
    now = model.add_user(777, by_item)
    mine, folded = now.recommend(777), model.fold_in(by_item)
    assert (mine.item == folded.item).all()
    assert np.allclose(mine.score, folded.score, atol=1e-5)
    assert now.history(777).rating.tolist() == sorted(by_item.values(), reverse=True)
    before = arrays_of(model)
    for name, array in arrays_of(now).items():
        if name.endswith(('item_factors', 'item_bias', 'weights')):
            assert (array == before[name]).all(), name
    assert model.recommend(3).equals(now.recommend(3))


@pytest.mark.parametrize('solver, kind', CASES)
def test_new_items_can_be_recommended(old, more, solver, kind):
    now = update(fit(old, solver, kind), more, kind)
    new = sorted({*more.item} - {*old.item})
    assert len(new) == 5
    found = now.recommend(now.users.index[:30], k=40)
    assert np.isfinite(found.score).all()
    assert {*new} <= {*found.item}
    rows = now.items.encode(new)
    if solver in FITS:
        assert (np.abs(now.predictor.item_factors[rows]).max(1) > 1e-3).all()
    # Somebody is recommended one among the first.
    assert {*new} & {*found[found['rank'] <= 5].item}


@pytest.mark.parametrize('solver', [*FITS])
def test_new_items_solve_their_normal_equations(old, more, solver):
    "An item is a user with the tables swapped."
    some = more[more.user.isin(old.user)]
    model = fit(old, solver)
    # No user is refitted before the items if all their new ratings are of new items.
    new = some[~some.item.isin(old.item)]
    now = update(model, new)
    f, g = model.predictor, now.predictor
    weights = f.regularization.for_items()
    swapped = replace(
        f,
        user_bias=np.zeros(0, 'float32'),
        user_factors=np.zeros((0, f.n_factors), 'float32'),
        item_bias=f.user_bias,
        item_factors=f.user_factors,
        regularization=weights,
    )
    assert new.user.nunique() > 10
    by_item = now.seen.T.tocsr()[len(model.items) :]
    exact = swapped.fold_in(by_item)
    new_rows = slice(len(model.items), None)
    close = [(g.item_factors[new_rows], exact.user_factors)]
    # A model that ranks has biases only to tell apart items of equal scores.
    if solver == 'als':
        close.append((g.item_bias[new_rows], exact.user_bias))
    # The few steps for the users before move them a little.
    for found, solution in close:
        assert np.abs(found - solution).max() < 0.06 * np.abs(found).max()


def test_iterations_over_all_rows_lower_the_objective(old, more):
    model = Recommender.fit(encode(old), **FITS['ials'], damping=4.0)
    reg = model.predictor.regularization
    weights = dict(reg=reg.reg, damping=reg.damping, alpha=reg.alpha)
    values = []
    for n_iterations in (0, 1, 3):
        now = update(model, more, n_iterations=n_iterations)
        ratings = Ratings(
            np.repeat(np.arange(len(now.users)), np.diff(now.seen.indptr)),
            now.seen.indices,
            now.seen.data,
            now.users,
            now.items,
            SCALE,
        )
        values.append(ials_objective(now.predictor, ratings, **weights))
    assert values[0] > values[1] + 0.5 and values[1] > values[2]


def test_iterations_go_over_users_without_new_ratings(old, more):
    now = update(fit(old, 'ials'), more.iloc[:9], n_iterations=1)
    exact = now.predictor.fold_in(now.seen).user_factors
    assert np.abs(exact - now.predictor.user_factors).max() < 1e-4


@pytest.mark.parametrize('solver', ['ease', 'knn'])
def test_weights_are_those_of_a_whole_fit(old, more, solver):
    told = {'reg': 3.0} if solver == 'ease' else {'n_neighbors': 3}
    model = Recommender.fit(encode(old), solver, **told)
    now = update(model, more)
    every = encode(pd.concat([old, more]))
    assert model.settings.get('reg', 3) == model.settings.get('n_neighbors', 3) == 3
    names = [n for n in ('reg', 'n_neighbors') if n in model.settings]
    whole = Recommender.fit(every, solver, **{n: model.settings[n] for n in names})
    order = now.items.encode(whole.items.index)
    dense = [
        w.toarray() if hasattr(w, 'toarray') else w
        for w in (now.predictor.weights, whole.predictor.weights)
    ]
    assert np.allclose(dense[0][np.ix_(order, order)], dense[1], atol=1e-5)
    assert now.settings['n_ratings_since_fit'] == 0


def pair(rating, user=3, item=5, **more):
    return pd.DataFrame({'user': [user], 'item': [item], 'rating': [rating], **more})


@pytest.mark.parametrize(
    'kind, duplicates, expected',
    [
        ('stars', 'auto', 1),
        ('stars', 'last', 1),
        ('stars', 'mean', 3),
        ('stars', 'max', 5),
        ('counts', 'auto', 26),
        ('counts', 'sum', 26),
        ('counts', 'count', 26),
        ('counts', 'last', 1),
        ('likes', 'auto', 1),
    ],
)
def test_a_pair_that_was_rated_before(old, kind, duplicates, expected):
    known = pd.concat([old[(old.user != 3) | (old.item != 5)], pair(5.0)])
    model = fit(known, 'ials', kind)
    now = update(model, pair(1.0), kind, duplicates=duplicates)
    assert now.history(3).set_index('item').rating[5] == expected
    assert now.seen.nnz == model.seen.nnz
    assert now.settings.get('n_ratings_since_fit', 0) == (kind != 'likes') * (
        duplicates != 'max'
    )


def test_a_pair_that_was_rated_before_can_be_refused(old):
    known = pd.concat([old[(old.user != 3) | (old.item != 5)], pair(5.0)])
    with pytest.raises(RatingsError, match="user 3 with item 5.*duplicates='last'"):
        update(fit(known, 'ials'), pair(1.0), duplicates='raise')


def test_counts_are_not_added_twice(old, more):
    model = fit(old, 'ials', 'counts')
    with pytest.raises(RatingsError, match='counted twice'):
        update(model, pd.concat([old, more]), 'counts')
    twice = update(model, old, 'counts', duplicates='sum')
    assert (twice.seen.data == 2 * model.seen.data).all()


@pytest.mark.parametrize('solver', ['ials', 'blend', 'knn'])
def test_counts_may_be_larger_than_before(old, more, solver, tmp_path):
    model = fit(old, solver, 'counts')
    large = encode(pair(9e4, user=70), 'counts')
    now = model.update(large, say=None)
    again = Recommender.load(now.save(tmp_path / 'm.npz'))
    assert again.history(70).rating.tolist() == [9e4]
    now = model.add_user(71, {5: 9e4})
    assert Recommender.load(now.save(tmp_path / 'm.npz')).users.encode([71]) >= 0


def test_the_share_of_new_ratings_grows(old, more):
    model = fit(old, 'ials')
    halves = more.iloc[::2], more.iloc[1::2]
    lines = []
    shares = []
    for part in halves:
        model = model.update(encode(part), say=lines.append)
        settings = model.settings
        shares.append(settings['n_ratings_since_fit'] / model.seen.nnz)
    assert shares == [200 / 700, 400 / 900] and settings['n_updates'] == 2
    assert (
        '28.6% of all ratings' in lines[0]
        and 'fit the model to all ratings' in lines[1]
    )
    few = update(fit(old, 'ials'), more.iloc[:5])
    assert few.settings['n_ratings_since_fit'] == 5
    summary = model.summary()
    assert summary['n_updates'] == 2 and summary['ratings'] == 900


def test_a_small_update_gives_no_advice(old, more):
    lines = []
    fit(old, 'ials').update(encode(more.iloc[:5]), say=lines.append)
    assert len(lines) == 1 and 'anew' not in lines[0] and '5 new ratings' in lines[0]


def test_an_updated_model_goes_through_a_file(old, more, tmp_path):
    for solver, kind in CASES:
        now = update(fit(old, solver, kind), more, kind)
        again = Recommender.load(now.save(tmp_path / 'm.npz'))
        assert again.settings == now.settings
        assert again.recommend([3, 55]).equals(now.recommend([3, 55]))
        assert again.history(3).equals(now.history(3))


def test_titles_and_tables_are_carried_over(old, more):
    titles = {item: f'film {item}' for item in old.item}
    films = pd.DataFrame({'item': range(30), 'year': range(1970, 2000)})
    ratings = encode(old, titles=titles)
    model = Recommender.fit(ratings, n_factors=2).with_features(films)
    new = encode(more, titles={39: 'the last film'})
    now = model.update(new, say=None)
    assert now.titles[now.items.encode([3])] == ['film 3']
    assert now.titles[now.items.encode([39, 38])].tolist() == ['the last film', '38']
    years = now.item_features['year'].to_series()
    assert years[now.items.encode([7])[0]] == 1977
    assert np.isnan(years[now.items.encode([39])[0]])
    assert now.with_features(films).item_features.ids == now.items


def features_of(frame, role):
    """A category for each user or item."""
    ids = np.arange(60)
    return pd.DataFrame({role: ids, 'group': np.array(['a', 'b', 'c'])[ids % 3]})


@pytest.mark.parametrize('n_iterations', [0, 2])
def test_rows_are_regularized_towards_what_features_say(old, more, n_iterations):
    tables = {f'{role}_features': features_of(old, role) for role in ('user', 'item')}
    model = Recommender.fit(encode(old), n_factors=4, n_iterations=4, **tables)
    # The new items of this update are in the table; they were no news to the model.
    now = update(model, more, n_iterations=n_iterations)
    factors = now.predictor
    for name in ('user_map', 'item_map'):
        assert getattr(factors, name) is getattr(model.predictor, name)
    rows = now.users.encode(more.user.unique())
    features = now.user_features.matrix(like=factors.user_map.names)
    means = factors.user_map.means(features)
    known = np.array([i in model.users for i in now.users.index])
    assert np.allclose(means[~known], factors.user_map.row_mean, atol=1e-6)
    folded = factors.fold_in(
        now.seen[rows], type(features)(features.names, features.values[rows])
    )
    mine = factors.user_factors[rows]
    assert np.allclose(mine, folded.user_factors, atol=2e-4)
    plain = replace(factors, user_map=None).fold_in(now.seen[rows])
    assert np.abs(mine - plain.user_factors).max() > 0.02


def test_new_items_begin_with_what_features_say(old, more):
    """The exact row of a new item is regularized towards the average item."""
    films = features_of(old[old.item < 30], 'item')[:30]
    model = Recommender.fit(
        encode(old), n_factors=4, n_iterations=4, item_features=films
    )
    # One new item, rated by one user: the items are refitted once.
    now = update(model, pair(5.0, user=3, item=39))
    f = now.predictor
    row = int(now.items.encode([39])[0])
    assert row == len(model.items)
    swapped = replace(
        f,
        user_bias=f.item_bias,
        item_bias=f.user_bias,
        user_factors=f.item_factors,
        item_factors=f.user_factors,
        user_map=f.item_map,
        item_map=None,
        regularization=f.regularization.for_items(),
    )
    exact = swapped.fold_in(now.seen.T.tocsr()[[row]]).user_factors[0]
    plain = replace(swapped, user_map=None)
    without = plain.fold_in(now.seen.T.tocsr()[[row]]).user_factors[0]
    distance = np.abs(f.item_factors[row] - exact).max()
    assert distance < 0.2 * np.abs(f.item_factors[row] - without).max()
    assert now.item_features.ids == now.items


def test_features_that_are_not_there_are_asked_for(old, more):
    films = features_of(old, 'item')
    model = Recommender.fit(
        encode(old), n_factors=4, n_iterations=4, item_features=films
    )
    with pytest.raises(ValueError, match='with_features.item_features=…'):
        update(replace(model, item_features=None), more)


def test_a_fit_that_weighs_by_age_is_not_updated(old, more):
    timed = encode(old.assign(timestamp=range(len(old))))
    model = Recommender.fit(timed, n_factors=2, half_life=1)
    with pytest.raises(ValueError, match='half_life=1'):
        update(model, more)


def test_ids_are_compared_as_they_are_written(old, more):
    as_text = old.assign(user='u' + old.user.astype(str), item=old.item.astype(str))
    model = fit(as_text, 'ials')
    new = pair(4.0, user='u3', item=39)
    now = update(model, new)
    assert now.items.index[-1] == '39' and now.users == model.users
    digits = update(fit(old, 'ials'), pair(4.0, user='3', item='39'))
    assert digits.items.index[-1] == 39


def refused(model, new, **options):
    with pytest.raises(RatingsError) as caught:
        model.update(new, say=None, **options)
    return str(caught.value)


def test_what_does_not_go_with_the_model_is_refused(old):
    stars = fit(old, 'ials')
    likes, counts = fit(old, 'ials', 'likes'), fit(old, 'ials', 'counts')
    ones = pd.DataFrame({'user': range(12), 'item': 5, 'rating': 1.0})
    for model, new, words in [
        (stars, pair(7.0), ('7', '1 to 5')),
        (stars, encode(pair(3.0), 'counts'), ('fitted to stars', 'counts', 'kind=')),
        (stars, encode(pair(3.0), 'likes'), ('fitted to stars', 'likes')),
        (stars, replace(encode(pair(3.0)), scale=(1, 10)), ('1 to 10', 'scale=(1, 5)')),
        (stars, ones, ('all 12 new ratings are 1', "kind='stars'")),
        (likes, old, ('likes only', "kind='likes'")),
        (counts, encode(pair(3.0)), ('fitted to counts', 'stars')),
        (stars, pair(3.0, user='anna'), ("user 'anna' is text", 'whole numbers')),
        (stars, pair(3.0, item='007'), ("item '007' is text", 'right column')),
        (stars, pair(3.0, user=800, item=900), ('user 800', 'item 900', 'none of')),
        (stars, encode(pair(3.0)).take([0, 0]), ('user 3', 'item 5', "'last'")),
    ]:
        message = refused(model, new)
        assert all(word in message for word in words), message
    text = fit(old.assign(user='u' + old.user.astype(str)), 'ials')
    assert 'whole numbers, such as 3' in refused(text, pair(3.0))
    assert 'are not summed' in refused(stars, encode(pair(3.0)), duplicates='sum')
    assert stars.update(ones, kind='stars', say=None).seen.nnz > stars.seen.nnz
    assert likes.update(ones, say=None).seen.nnz > likes.seen.nnz
    with pytest.raises(TypeError, match='not dict; one user is added by add_user'):
        stars.update({5: 3.0})
    with pytest.raises(ValueError, match='n_iterations=-1'):
        update(stars, pair(3.0), n_iterations=-1)
    with pytest.raises(ValueError, match="duplicates='first'"):
        update(stars, pair(3.0), duplicates='first')


def test_new_users_who_cannot_be_added_are_refused(old):
    model = fit(old, 'ials')
    for id, ratings, words in [
        (3, {5: 4}, 'known already'),
        ('anna', {5: 4}, "user 'anna' is text"),
        (90, {}, 'no ratings'),
        (90, {5: 9}, 'outside the scale'),
    ]:
        with pytest.raises(RatingsError, match=words):
            model.add_user(id, ratings)
    assert len(model.add_user(90, {5: 4, 555: 3}, unknown='ignore').history(90)) == 1


def test_models_that_cannot_be_updated_say_so(old, more):
    few = dict(n_factors=1, n_burn_in=1, n_samples=2, progress=False)
    bayes = Recommender.fit(encode(old), 'bayes', **few)
    for change in (lambda: update(bayes, more), lambda: bayes.add_user(90, {5: 4})):
        with pytest.raises(ValueError, match='bayes'):
            change()
    factors = replace(fit_ials(encode(old), n_factors=2), regularization=None)
    bare = Recommender.of(factors, encode(old))
    with pytest.raises(ValueError, match='regularization'):
        update(bare, more)
    ease = fit(old, 'ease')
    bare = Recommender.of(ease.predictor, encode(old))
    with pytest.raises(ValueError, match='reg is not among'):
        update(bare, more)


def test_factors_squeezed_into_the_scale_are_updated(old, more):
    model = fit(old, 'als')
    f = model.predictor
    weights = Regularization(0.1, damping=2, bias_reg=0.02)
    squeezed = replace(f, mu=0.0, link='sigmoid', regularization=weights)
    now = update(Recommender.of(squeezed, encode(old)), more)
    user = int(now.users.encode([int(more.user.iloc[0])])[0])
    folded = now.predictor.fold_in(now.seen[[user]])
    assert np.allclose(
        folded.user_factors[0], now.predictor.user_factors[user], atol=1e-4
    )


def test_a_blend_has_both_parts_updated(old, more):
    model = Recommender.fit(encode(old), 'blend', n_factors=4, weight=0.7)
    now = update(model, more)
    assert isinstance(now.predictor, Blend)
    assert now.predictor.weight == 0.7
    assert model.add_user(77, {1: 5}).predictor.weight == 0.7
    assert now.settings['n_ratings_since_fit'] == len(more)
    alone = Recommender.of(model.predictor.factors, encode(old))
    assert isinstance(alone.predictor, Factors)
    expected = update(alone, more).predictor
    assert (now.predictor.factors.item_factors == expected.item_factors).all()


def test_other_predictors_are_refused():
    with pytest.raises(ValueError, match='bayes'):
        update_predictor(object(), None, {})


def test_the_command_updates_a_model_in_place(call, old, more, tmp_path):
    model = fit(old, 'ials')
    path = model.save(tmp_path / 'model.npz')
    more.to_csv('more.csv', index=False)
    code, out, err = call('update', 'model.npz', 'more.csv')
    assert (code, err) == (0, '') and 'saved in model.npz' in out
    assert '400 new ratings, 10 new users, 5 new items' in out
    expected, found = update(model, more), Recommender.load(path)
    assert found.settings == expected.settings
    for name, array in arrays_of(found).items():
        assert (array == arrays_of(expected)[name]).all(), name
    code, out, _ = call('update', 'model.npz', 'more.csv', '--json')
    assert json.loads(out)['new_ratings'] == 0 and json.loads(out)['n_updates'] == 1
    code, out, _ = call('info', '-m', 'model.npz', '--json')
    assert json.loads(out)['n_ratings_since_fit'] == 400


def test_the_command_can_save_elsewhere_and_iterate(call, old, more, tmp_path):
    model = fit(old, 'ials')
    model.save(tmp_path / 'model.npz')
    before = (tmp_path / 'model.npz').read_bytes()
    more.to_csv('more.csv', index=False)
    words = ['update', 'model.npz', 'more.csv', '--out', 'new.npz']
    code, out, _ = call(*words, '--n-iterations', 2, '--json')
    assert code == 0 and json.loads(out)['new_ratings'] == 400
    assert (tmp_path / 'model.npz').read_bytes() == before
    assert call(*words[:-1], 'kept.npz', '--keep-items')[0] == 0
    kept = arrays_of(Recommender.load('kept.npz'))['item_factors'][:35]
    assert (kept == arrays_of(model)['item_factors']).all()
    found = arrays_of(Recommender.load('new.npz'))['item_factors']
    expected = arrays_of(update(model, more, n_iterations=2))['item_factors']
    assert (found == expected).all()


def test_a_model_is_saved_under_a_name_for_it(call, old, more, tmp_path):
    fit(old, 'ials').save(tmp_path / 'model.npz')
    more.to_csv('more.csv', index=False)
    code, _, err = call('update', 'model.npz', 'more.csv', '--out', 'new')
    assert code == 2 and '--out new: name a file that ends in .npz' in err
    code, _, err = call('update', 'nowhere', 'more.csv')
    assert code == 2 and 'no model at nowhere' in err
    assert not (tmp_path / 'new').exists()
    (tmp_path / 'new').mkdir()
    assert call('update', 'model.npz', 'more.csv', '--out', 'new')[0] == 0
    assert Recommender.load('new/model.npz').seen.nnz == 900


def test_a_folder_of_train_is_a_model(call, old, more, tmp_path):
    (tmp_path / 'kept').mkdir()
    fit(old, 'als').save(tmp_path / 'kept/model.npz')
    more.to_csv('more.csv', index=False)
    assert call('update', 'kept', 'more.csv')[0] == 0
    assert Recommender.load('kept/model.npz').seen.nnz == 900


def test_the_options_of_a_table_are_those_of_train(call, old, more, tmp_path):
    fit(old, 'ials').save(tmp_path / 'model.npz')
    strange = more.rename(columns={'user': 'who', 'item': 'what', 'rating': 'stars'})
    strange = pd.concat([strange, strange[:1].assign(stars=5)])
    strange['stars'] = strange.stars.astype(str).str.replace('.', ',')
    strange.to_csv('more.txt', index=False, sep=';')
    words = [
        '--user-column',
        'who',
        '--item-column',
        'what',
        '--rating-column',
        'stars',
    ]
    words += ['--decimal', ',', '--separator', ';']
    code, _, err = call('update', 'model.npz', 'more.txt', *words)
    assert code == 2 and '--duplicates last' in err
    code, _, err = call(
        'update', 'model.npz', 'more.txt', *words, '--duplicates', 'last'
    )
    assert (code, err) == (0, '')
    now = Recommender.load('model.npz')
    first = more.iloc[0]
    mine = now.history(int(first.user)).set_index('item').rating
    assert now.seen.nnz == 900 and mine[first['item']] == 5


def test_the_rule_for_pairs_that_were_rated_before_is_an_option(call, old, tmp_path):
    known = pd.concat([old[(old.user != 3) | (old.item != 5)], pair(5.0)])
    fit(known, 'ials').save(tmp_path / 'model.npz')
    pair(2.0).to_csv('more.csv', index=False)
    code, _, err = call('update', 'model.npz', 'more.csv', '--duplicates', 'raise')
    assert code == 2 and '--duplicates last' in err
    assert call('update', 'model.npz', 'more.csv', '--duplicates', 'mean')[0] == 0
    mine = Recommender.load('model.npz').history(3).set_index('item').rating
    assert mine[5] == 3.5


@pytest.mark.parametrize(
    'kind, table, words, said',
    [
        ('stars', 'user,item,rating\n3,5,9\n', [], 'scale 1 to 5'),
        ('stars', 'user,item,rating\nanna,5,4\n', [], "'anna' is text"),
        ('stars', 'user,item\n3,5\n', ['--rating-column', 'none'], '--rating-column'),
        ('stars', 'user,item,rating\n3,5,4\n', ['--kind', 'counts'], '--kind stars'),
        ('likes', 'user,item,rating\n3,5,4\n4,6,2\n', [], '--kind likes'),
        ('stars', 'user,item,rating\n', [], 'no ratings'),
    ],
)
def test_a_refused_update_leaves_the_file(
    call, old, tmp_path, kind, table, words, said
):
    path = fit(old, 'ials', kind).save(tmp_path / 'model.npz')
    before = path.read_bytes()
    (tmp_path / 'more.csv').write_text(table)
    code, _, err = call('update', 'model.npz', 'more.csv', *words)
    assert code == 2 and said in err and err.count('\n') == 1, err
    assert path.read_bytes() == before


def test_a_file_is_replaced_as_a_whole_or_not_at_all(
    call, old, more, tmp_path, monkeypatch
):
    path = fit(old, 'ials').save(tmp_path / 'model.npz')
    before = path.read_bytes()
    more.to_csv('more.csv', index=False)

    def full(*args, **kwargs):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(np.lib.format, 'write_array', full)
    code, _, err = call('update', 'model.npz', 'more.csv')
    assert code == 1 and 'No space' in err
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ['model.npz', 'more.csv']


def test_the_command_tells_a_history(call, old, tmp_path):
    model = fit(old, 'ials')
    model.save(tmp_path / 'model.npz')
    code, out, _ = call('history', 3, '-m', 'model.npz', '--json')
    assert json.loads(out) == model.history(3).to_dict('records')
    mine = old[old.user == 3].set_index('item').rating
    assert {row['item']: row['rating'] for row in json.loads(out)} == mine.to_dict()
    code, out, _ = call('history', 3, '-m', 'model.npz', '-k', 2)
    assert len(out.splitlines()) == 3
    code, _, err = call('history', 999, '-m', 'model.npz')
    assert code == 2 and 'user 999 is not among' in err


def test_iterations_alone_are_said(old):
    model = fit(old, 'ials')
    lines = []
    again = model.update(encode(old), n_iterations=2, say=lines.append)
    assert lines == [lines[0]] and '2 iterations over all rows' in lines[0]
    assert 'stays as it is' not in lines[0]
    assert not np.array_equal(
        again.predictor.item_factors, model.predictor.item_factors
    )
    model.update(encode(old), say=lines.append)
    assert 'stays as it is' in lines[1]


def test_digits_with_zeros_before_are_ids_like_those_without(call, old, tmp_path):
    likes = old.assign(user=[f'{int(u):04}' for u in old.user])
    model = Recommender.fit(Ratings.from_frame(likes, scale=(1, 5)), n_factors=2)
    path = model.save(tmp_path / 'model.npz')
    item = model.items.index[0]
    Path('more.csv').write_text(f'user,item,rating\n1001,{item},5\n1002,{item},4\n')
    code, _, err = call('update', path, 'more.csv')
    assert code == 0, err
    users = Recommender.load(path).users.index
    assert users[-2:].tolist() == ['1001', '1002']


def of_many(rating, seed=0):
    """Numbers of 40 users on 40 items."""
    pairs = np.random.default_rng(seed).choice(1600, len(rating), replace=False)
    user, item = np.divmod(pairs, 40)
    return pd.DataFrame({'user': user, 'item': item, 'rating': rating})


@pytest.fixture(scope='module')
def starred():
    rng = np.random.default_rng(0)
    return of_many(rng.choice([1.0, 2, 3, 4, 5], 900, p=[0.06, 0.1, 0.27, 0.36, 0.21]))


@pytest.fixture(scope='module')
def counted():
    return of_many(np.random.default_rng(1).geometric(0.55, 900).clip(1, 5), seed=2)


QUICK = dict(n_factors=2, n_iterations=2)


@pytest.mark.parametrize('kind', ['stars', 'counts'])
def test_numbers_of_another_kind_are_asked_about(starred, counted, kind):
    """Both on the same numbers: 1 to 5."""
    tables = {'stars': starred, 'counts': counted}
    own, other = tables.pop(kind), tables.popitem()[1]
    model = Recommender.fit(encode(own.iloc[:600], kind), **QUICK)
    for new in (other.iloc[:300], encode(other.iloc[:300], kind)):
        with pytest.raises(RatingsError, match=f'kind={kind!r}') as caught:
            model.update(new, say=None, duplicates='last')
        assert caught.value.argument == 'kind'
        told = model.update(new, say=None, duplicates='last', kind=kind)
        assert told.settings['n_updates'] == 1
    assert model.update(own.iloc[600:], say=None).seen.nnz == 900


def test_fractions_of_counts_are_asked_about(counted):
    model = Recommender.fit(encode(counted.iloc[:800], 'counts'), **QUICK)
    halves = counted.iloc[800:].assign(rating=lambda t: t.rating / 2)
    with pytest.raises(RatingsError, match=r'fractions, such as \d?\.5'):
        model.update(halves, say=None)
    assert model.update(halves, say=None, kind='counts').seen.nnz == 900
    assert model.update(halves[halves.rating == 0.5][:1], say=None).seen.nnz == 801
    hours = Recommender.fit(encode(halves, 'counts'), **QUICK)
    assert hours.update(halves[:20], say=None, duplicates='sum').seen.nnz == 100


@pytest.mark.parametrize(
    'rating, n_users',
    [
        ([5.0] * 90, 40),
        ([4.0] * 80 + [5.0] * 10, 40),
        ([1.0] * 60 + [2.0] * 20 + [3.0] * 10, 1),
        ([1.0], 1),
        ([1.0] * 6 + [2.0], 7),
    ],
)
def test_what_may_be_stars_is_taken(starred, rating, n_users):
    model = Recommender.fit(encode(starred), **QUICK)
    n = len(rating)
    new = pd.DataFrame({'user': 100 + np.arange(n) % n_users, 'rating': rating})
    new['item'] = np.arange(n) // n_users
    assert model.update(new, say=None).seen.nnz == 900 + n


def test_groups_of_users_of_movielens_are_taken(real_archive):
    ratings = Ratings.from_frame(load('ml-100k').ratings)
    by_user = ratings.to_csr()
    rng = np.random.default_rng(0)
    for n_users in (1, 3, 10, 94) * 100:
        users = rng.choice(len(ratings.users), n_users, replace=False)
        own = by_user[users]
        user_ix = np.repeat(users, np.diff(own.indptr)).astype('int32')
        both = ratings.users, ratings.items
        new = Ratings(user_ix, own.indices, own.data, *both, scale=SCALE)
        check_same_numbers(new, ratings.rating)


def test_the_command_asks_about_numbers_of_another_kind(
    call, starred, counted, tmp_path
):
    Recommender.fit(encode(starred.iloc[:600]), **QUICK).save(tmp_path / 'model.npz')
    counted.iloc[:300].to_csv('more.csv', index=False)
    code, out, err = call('update', 'model.npz', 'more.csv')
    assert code != 0 and '--kind stars' in err and 'saved' not in out
    code, out, err = call('update', 'model.npz', 'more.csv', '--kind', 'stars')
    assert code == 0 and 'saved in model.npz' in out
    starred.iloc[600:].to_csv('rest.csv', index=False)
    assert call('update', 'model.npz', 'rest.csv')[0] == 0
