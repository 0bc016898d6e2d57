"A recommender for any ids and ratings, its file, and what opening it costs."

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st

from mf_movielens.encoding import Ratings, RatingsError, UnknownIdError
from mf_movielens.model_file import ModelFileError
from mf_movielens.reading import load_ratings
from mf_movielens.recommender import Recommender

words = st.text(
    st.characters(blacklist_characters='\0', blacklist_categories=('Cs',))
)  # pandas 2 takes 'a' and 'a\0' for one; that is loud, but no model
ids = st.lists(
    st.integers(-(2**62), 2**62), min_size=3, max_size=8, unique=True
) | st.lists(words, min_size=3, max_size=8, unique=True)


@st.composite
def tables(draw):
    "A frame of half-star ratings of some pairs of any users and items."
    users, items = draw(ids), draw(ids)
    pairs = draw(
        st.lists(
            st.tuples(st.sampled_from(users), st.sampled_from(items)),
            min_size=4,
            unique=True,
        )
    )
    stars = draw(
        st.lists(st.integers(1, 10), min_size=len(pairs), max_size=len(pairs)).filter(
            lambda s: len(set(s)) > 1
        )
    )  # one is liked more than another
    return (
        pd.DataFrame(
            {
                'user_id': pd.Series([u for u, _ in pairs], dtype=object),
                'item_id': pd.Series([i for _, i in pairs], dtype=object),
            }
        )
        .infer_objects()
        .assign(rating=np.array(stars) / 2)
    )


def fitted(table, **settings):
    return Recommender.fit(
        Ratings.from_frame(table, item='item_id', scale=(0.5, 5)),
        n_factors=3,
        n_iterations=3,
        **settings,
    )


solvers = st.sampled_from(['ials', 'als'])


@settings(max_examples=60, deadline=None)
@given(tables(), solvers)
def test_recommends_what_is_known_unseen_and_in_order(table, solver):
    model = fitted(table, solver=solver)
    found, seen = model.recommend(), set(zip(table.user_id, table.item_id))
    assert not seen & set(zip(found.user, found.item)) and set(found.item) <= set(
        table.item_id
    )
    assert (
        len(found) + len(seen) == table.user_id.nunique() * table.item_id.nunique()
    )  # fewer than ten are left, so all of them
    for _, own in found.groupby('user'):
        assert (np.diff(own.score) <= 1e-6).all() and own['rank'].tolist() == list(
            range(1, len(own) + 1)
        )


@settings(max_examples=60, deadline=None)
@given(tables(), solvers)
def test_a_new_user_with_the_same_ratings_gets_the_same_recommendations(table, solver):
    model = fitted(table, solver=solver)
    for user, own in table.groupby('user_id'):
        folded = model.fold_in(dict(zip(own.item_id, own.rating)))
        again = model.recommend(user)
        assert len(folded) == len(again)
        # Items whose scores are almost equal may change places.
        score = folded.set_index('item').score.reindex(again.item)
        assert np.allclose(score, again.score, atol=1e-3)


@settings(max_examples=60, deadline=None)
@given(tables())
def test_an_explanation_adds_up(table):
    model, ranks = fitted(table, solver='als'), fitted(table)
    user, item = table.user_id.iloc[0], table.item_id.iloc[-1]
    assert abs(model.explain(user, item).stars.sum() - model.predict(user, item)) < 3e-3
    score = ranks.recommend(user, candidates=[item], exclude_seen=False).score[0]
    assert abs(ranks.explain(user, item).score.sum() - score) < 3e-3


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(tables(), st.booleans(), solvers)
def test_save_then_load_is_the_identity(tmp_path, table, titled, solver):
    titles = {i: f'{i}\0 (1999)' for i in table.item_id} if titled else None
    ratings = Ratings.from_frame(table, item='item_id', scale=(0.5, 5), titles=titles)
    model = Recommender.fit(ratings, solver, n_factors=3, n_iterations=3)
    again = Recommender.load(model.save(tmp_path / 'm.npz'))
    assert (
        again.users == model.users
        and again.items == model.items
        and again.settings == model.settings
    )
    for a in ('user_bias', 'item_bias', 'user_factors', 'item_factors'):
        one, two = getattr(model.predictor, a), getattr(again.predictor, a)
        assert one.dtype == two.dtype and (one == two).all()
    for a in ('mu', 'scale', 'link', 'regularization'):
        assert getattr(again.predictor, a) == getattr(model.predictor, a)
    for a in ('indptr', 'indices', 'data'):
        one, two = getattr(model.seen, a), getattr(again.seen, a)
        assert one.dtype == two.dtype
        assert (one == two).all()
    assert (again.titles is None) == (model.titles is None) and (
        not titled or (again.titles == model.titles).all()
    )


def seven_hundred():
    "A table of ratings of forty items by sixty users."
    rng = np.random.default_rng(0)
    pairs = rng.choice(60 * 40, 700, replace=False)
    return pd.DataFrame(
        {
            'user_id': pairs // 40,
            'item_id': pairs % 40,
            'rating': rng.integers(1, 6, 700) * 1.0,
        }
    )


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp('model') / 'model.npz'
    return fitted(seven_hundred()).save(path)


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@example(at=26_288, byte=1, cut=None)  # a zip that points outside itself
@given(
    at=st.integers(0, 40_000),
    byte=st.integers(0, 255),
    cut=st.integers(0, 40_000) | st.none(),
)
def test_any_damage_is_said_or_harmless(tmp_path, small, at, byte, cut):
    raw = bytearray(small.read_bytes())
    raw[at % len(raw)] = byte
    path = tmp_path / 'damaged.npz'
    path.write_bytes(bytes(raw[:cut]))
    try:
        found = Recommender.load(path)
    except ModelFileError as e:
        assert str(path) in str(e)
    else:
        assert len(found.recommend()) > 0


@pytest.mark.parametrize('content', [b'', b'PK', b'\x80\x04.', b'a,b\n1,2\n'])
def test_a_foreign_file_is_refused(tmp_path, content):
    (tmp_path / 'm.npz').write_bytes(content)
    with pytest.raises(ModelFileError, match='m.npz'):
        Recommender.load(tmp_path / 'm.npz')


def test_pickles_are_never_opened(tmp_path):
    np.savez(tmp_path / 'm.npz', format=np.array(object(), dtype=object), version=1)
    with pytest.raises(ModelFileError):
        Recommender.load(tmp_path / 'm.npz')


def test_no_file_is_the_systems_own_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        Recommender.load(tmp_path / 'nowhere.npz')


OPENED = """
import json, sys
import pandas, scipy.sparse
known = set(sys.modules)
from mf_movielens.recommender import Recommender
model = Recommender.load(sys.argv[1])
model.recommend(model.users.index[0])
print(json.dumps(sorted({name.split('.')[0] for name in set(sys.modules) - known})))
"""


def test_a_saved_model_opens_without_tensorflow_or_matplotlib(tmp_path):
    """Nothing heavier than pandas and scipy is imported until the first answer.

    How many seconds it takes is measured in `benchmarks/`, not here.
    """
    from mf_movielens.data import synthetic

    movielens = synthetic()
    ratings = Ratings.from_frame(movielens.ratings, titles=movielens.titles)
    path = Recommender.fit(ratings).save(tmp_path / 'm.npz')
    child = subprocess.run(
        [sys.executable, '-c', OPENED, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    imported = set(json.loads(child.stdout)) - set(sys.stdlib_module_names)
    # pandas imports pyarrow where there is one
    assert imported <= {'mf_movielens', 'numpy', 'pandas', 'pyarrow', 'scipy'}


def test_factors_of_other_origin(tmp_path):
    from mf_movielens.baselines import damped_biases, popularity
    from mf_movielens.factors import Factors

    rng = np.random.default_rng(1)
    table = pd.DataFrame(
        {
            'user_id': np.repeat(np.arange(6), 4),
            'item_id': np.tile(np.arange(8), 3),
            'rating': rng.integers(1, 6, 24) * 1.0,
        }
    ).drop_duplicates(['user_id', 'item_id'])
    ratings = Ratings.from_frame(table, item='item_id', scale=(1, 5))
    biases = Recommender.of(damped_biases(ratings), ratings)
    assert len(biases.recommend(0)) == 4 and len(biases.fold_in({0: 5})) == 7
    with pytest.raises(ValueError, match='no factors'):
        biases.similar(0)

    def normal(*shape):
        return rng.normal(0, 0.3, shape).astype('float32')

    squeezed = Recommender.of(
        Factors(
            0.0, normal(6), normal(8), normal(6, 3), normal(8, 3), (1, 5), 'sigmoid'
        ),
        ratings,
    )
    assert (
        squeezed.recommend().score.between(1, 5).all()
        and squeezed.fold_in({0: 5, 1: 1}).score.between(1, 5).all()
    )
    with pytest.raises(ValueError, match='sigmoid'):
        squeezed.explain(0, 1)
    # It makes lists, and is no least squares that could be fitted to new users.
    other = Recommender.of(popularity(ratings), ratings)
    again = Recommender.load(other.save(tmp_path / 'm.npz'))
    assert len(again.recommend(0)) == 4
    assert again.recommend().equals(other.recommend())
    for call in (lambda: other.fold_in({0: 5}), lambda: other.explain(0, 1)):
        with pytest.raises(ValueError, match='new users'):
            call()
    with pytest.raises(ValueError, match='do not go with'):
        Recommender.of(
            Factors(0.0, normal(5), normal(8), normal(5, 1), normal(8, 1), (1, 5)),
            ratings,
        )


def test_blocks_of_users_are_as_one(monkeypatch):
    import mf_movielens.ranking as module

    rng = np.random.default_rng(2)
    pairs = rng.choice(300 * 50, 3000, replace=False)
    model = fitted(
        pd.DataFrame(
            {
                'user_id': pairs // 50,
                'item_id': pairs % 50,
                'rating': rng.integers(1, 6, 3000) * 1.0,
            }
        )
    )
    whole = model.recommend()
    monkeypatch.setattr(module, 'MAX_SCORES_PER_BLOCK', 50 * 7)  # seven users at a time
    pd.testing.assert_frame_equal(model.recommend(), whole, rtol=0, atol=1e-4)


def test_a_frame_of_new_users_is_checked(small):
    model = Recommender.load(small)
    good = pd.DataFrame(
        {'user': ['x', 'x', 'y'], 'item': [0, 1, 2], 'rating': [5, 1, 3]}
    )
    assert model.fold_in(good, k=2).user.tolist() == ['x', 'x', 'y', 'y']
    alone = good.drop(columns='user')
    pd.testing.assert_frame_equal(
        model.fold_in(alone), model.fold_in(dict(zip(good.item, good.rating)))
    )
    for bad in (
        good.assign(rating=9),
        good.drop(columns='rating'),
        good.drop(columns='item'),
        good.assign(item=0),
        alone.drop(columns='rating'),
        alone.assign(item=0),
    ):
        with pytest.raises(RatingsError):
            model.fold_in(bad)


def test_one_thing_means_one_thing(small):
    model = Recommender.load(small)
    stars = fitted(seven_hundred(), goal='rating')
    for call in (
        lambda: model.similar([1, 2]),
        lambda: model.explain([1], 2),
        lambda: model.explain(1, [2]),
        lambda: model.fold_in([(1, 5)]),
        lambda: stars.predict(1),
        lambda: Recommender.fit([(1, 2, 3)]),
        lambda: model.evaluate(np.ones((3, 3))),
        lambda: Recommender.fit(None, factors=3),
    ):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(
        TypeError, match="'factors' is not a setting of ials; there are n_factors"
    ):
        Recommender.fit(
            Ratings.from_frame(
                pd.DataFrame({'user_id': [1], 'item_id': [1], 'rating': [1.0]}),
                item='item_id',
            ),
            factors=3,
        )
    assert (
        stars.predict({1, 2}, 3).shape == (2,)
        and len(model.recommend(range(2), k=3)) == 6
    )


@pytest.mark.parametrize('solver', ['als', 'keras'])
def test_the_width_of_the_scale_does_not_matter(solver):
    from dataclasses import replace

    from mf_movielens.data import synthetic
    from mf_movielens.splits import random_split

    ratings = Ratings.from_frame(synthetic().ratings.head(30_000))
    percent = replace(ratings, rating=20 * ratings.rating, scale=(20, 100))
    one, two = (random_split(r) for r in (ratings, percent))
    a, b = (
        Recommender.fit(s.train, solver, n_factors=8).evaluate(s.test)
        for s in (one, two)
    )
    assert abs(20 * a.rmse - b.rmse) < 0.005 * b.rmse and b.rmse < 20 * 1.05
    new_user = {ratings.items.index[0]: 5, ratings.items.index[1]: 1}
    folded = [
        Recommender.fit(r, solver, n_factors=8)
        .fold_in({k: v * w for k, v in new_user.items()})
        .score.mean()
        / w
        for r, w in ((ratings, 1), (percent, 20))
    ]
    assert abs(folded[0] - folded[1]) < 0.05


def test_the_width_of_the_scale_does_not_change_lists():
    from dataclasses import replace

    from mf_movielens.data import synthetic

    ratings = Ratings.from_frame(synthetic().ratings.head(20_000))
    percent = replace(ratings, rating=20 * ratings.rating, scale=(20, 100))
    a, b = (
        Recommender.fit(r, n_factors=8).recommend(ratings.users.index[:50])
        for r in (ratings, percent)
    )
    assert (a.item == b.item).mean() > 0.99 and np.allclose(a.score, b.score, atol=1e-3)


def test_likes_make_lists_and_no_stars():
    rng = np.random.default_rng(0)
    taste = (
        np.arange(60)[:, None] % 2 == np.arange(40) % 2
    )  # two kinds of people, two kinds of things
    u, i = np.nonzero(taste & (rng.random((60, 40)) < 0.4))
    likes = Ratings.from_frame(
        pd.DataFrame({'user_id': u, 'item_id': i, 'rating': 1}), item='item_id'
    )
    model = Recommender.fit(likes, n_factors=4)
    top = model.recommend(k=3)
    assert (
        model.goal == 'ranking'
        and model.settings['because'] == 'all ratings are equal'
        and (top.user % 2 == top.item % 2).all()
    )
    assert (model.fold_in({1: 1, 3: 1}, k=5).item % 2 == 1).all()
    for call in (
        lambda: Recommender.fit(likes, goal='rating'),
        lambda: model.predict(0, 0),
    ):
        with pytest.raises(ValueError):
            call()


def test_evaluation_is_that_of_the_lists_that_are_recommended():
    rng = np.random.default_rng(1)
    pairs = rng.choice(50 * 40, 900, replace=False)
    table = pd.DataFrame(
        {
            'user_id': pairs // 40,
            'item_id': pairs % 40,
            'rating': rng.integers(1, 6, 900) * 1.0,
        }
    )
    model = fitted(table[:700])
    found = model.evaluate(
        Ratings.from_frame(table[700:], item='item_id', scale=(0.5, 5)),
        unknown='ignore',
        k=5,
    )
    liked = table[700:][table[700:].rating >= 4].groupby('user_id').item_id.agg(set)
    lists = model.recommend(k=5).groupby('user').item.agg(list)
    recall = np.mean(
        [len(liked[u] & set(lists[u])) / len(liked[u]) for u in liked.index]
    )
    assert (
        found.users == len(liked)
        and np.isclose(found.recall, recall)
        and 'rmse' not in found
    )
    again = model.evaluate(
        Ratings.from_frame(table, item='item_id', scale=(0.5, 5)), unknown='ignore', k=5
    )
    assert again.seen == 700 and np.isclose(
        again.ndcg, found.ndcg
    )  # what was fitted to is on no list, and not asked for


def test_nobody_rates_a_thing_twice():
    m = Recommender.fit(
        Ratings.from_frame(
            pd.DataFrame(
                {
                    'user_id': list('aabbc'),
                    'item_id': [1, 2, 1, 2, 2],
                    'rating': [1.0, 5, 4, 3, 2],
                }
            ),
            item='item_id',
            titles={1: 'Momo', 2: 'Emma'},
        ),
        n_factors=2,
    )
    for twice in (
        pd.DataFrame({'item': ['Momo', 'momo'], 'rating': [1, 5]}),
        pd.DataFrame({'user': ['x', 'x'], 'item': ['Emma', 'EMMA'], 'rating': [1, 5]}),
        pd.Series([1, 5], ['Momo', 'Momo']),
        {'Momo': 1, 'momo': 2},
    ):
        with pytest.raises(RatingsError, match='rated twice'):
            m.fold_in(twice)
    assert len(
        m.fold_in(
            pd.DataFrame(
                {'user': ['x', 'y'], 'item': ['Emma', 'EMMA'], 'rating': [1, 5]}
            )
        )
    )
    for odd in ([4, 5], 10**400, None, 'good'):
        with pytest.raises(RatingsError):
            m.fold_in({'Momo': odd})


def test_evaluated_on_a_file_whose_ids_look_like_another_kind(tmp_path):
    def read(text):
        (tmp_path / 'r.csv').write_text('user,item,rating\n' + text)
        return load_ratings(tmp_path / 'r.csv', say=None)

    numbers = Recommender.fit(
        read(
            ''.join(
                f'{u},{i},{(u + i) % 5 + 1}\n'
                for u in range(9)
                for i in range(8)
                if (u + i) % 3
            )
        ),
        n_factors=2,
    )
    mixed = read('0,0,3\n1,2,4\n007,1,4\nzz,1,3\n')
    assert numbers.evaluate(mixed, unknown='ignore').unknown == 2
    with pytest.raises(UnknownIdError, match="'007'"):
        numbers.evaluate(mixed)
    texts = Recommender.fit(
        read('a,x,1\n1,x,2\n1,y,4\n2,y,5\n2,3,1\na,3,5\n'), n_factors=2
    )
    assert (
        texts.users.is_text
        and texts.items.is_text
        and texts.evaluate(read('1,3,4\n2,3,5\n')).unknown == 0
    )


def test_a_title_may_be_very_long():
    from mf_movielens.catalog import Catalog
    from mf_movielens.encoding import Vocabulary

    # a pattern that takes quadratic time would not come to an end here
    titles = ['x' + ' ' * 700_000 + 'y', ' Momo  (1986) ', '1986 (x)']
    catalog = Catalog(Vocabulary([1, 2, 3]), np.array(titles, object), np.ones(3))
    assert catalog.find(titles[0]) == 0
    assert catalog.find('momo') == 1
    assert catalog.find('1986 (x)') == 2


@pytest.mark.parametrize('solver', ['als', 'ials', 'bayes'])
def test_settings_of_numpy_go_with_checkpoints(tmp_path, solver):
    from mf_movielens.als import fit_als
    from mf_movielens.bayes import fit_bayes
    from mf_movielens.ials import fit_ials

    table = Ratings.from_frame(
        pd.DataFrame(
            {
                'user_id': list('aabbc'),
                'item_id': [1, 2, 1, 2, 2],
                'rating': [1.0, 5, 4, 3, 2],
            }
        ),
        item='item_id',
    )
    fit, given = {
        'als': (fit_als, dict(reg=np.float32(0.1), damping=np.int64(3))),
        'ials': (fit_ials, dict(alpha=np.float32(0.3))),
        'bayes': (
            fit_bayes,
            dict(n_burn_in=np.int64(1), n_samples=2, user_noise=np.True_),
        ),
    }[solver]
    fit(table, n_factors=2, checkpoint=tmp_path / 'c.npz', **given)
    assert (tmp_path / 'c.npz').exists()


HISTORIES = (
    {3: 5.0, 7: 1.0},
    {'Item 3': 5, '7': 1},
    pd.Series([5.0, 1.0], index=[3, 7], name='rating'),
)


@pytest.fixture(scope='module')
def titled():
    "Models for both goals, of items with titles; that of 7 is its id."
    titles = {item: f'Item {item}' for item in range(40)} | {7: '7'}
    ratings = Ratings.from_frame(seven_hundred(), scale=(1, 5), titles=titles)
    short = {'n_factors': 3, 'n_iterations': 3}
    return {
        goal: Recommender.fit(ratings, goal=goal, **short)
        for goal in ('ranking', 'rating')
    }


def test_lists_have_ten_rows_unless_told(titled, tmp_path):
    model, user = titled['ranking'], 1
    lists = (
        model.recommend(user),
        model.fold_in({3: 5, 7: 1}),
        model.recommend_group([user, {3: 5}]),
        model.similar(3),
        model.similar_users(user),
        model.explain(user, model.recommend(user)['item'][0]),
    )
    assert [len(found) for found in lists] == [10] * len(lists)
    path = tmp_path / 'everybody.csv'
    model.recommend_all(path)
    assert pd.read_csv(path).groupby('user').size().max() == 10


@pytest.mark.parametrize('ratings', HISTORIES)
def test_ratings_by_item_are_a_new_user_in_every_question(titled, ratings):
    "The oracle is what `fold_in` recommends."
    model, stars = titled['ranking'], titled['rating']
    options = {'k': 40, 'exclude_seen': False}
    for asked in (model, stars):
        folded = asked.fold_in({3: 5, 7: 1}, **options)
        recommended = asked.recommend(ratings, **options)
        pd.testing.assert_frame_equal(recommended, folded)
        assert asked.explain(ratings, 5).equals(asked.explain({3: 5, 7: 1}, 5))
    expected = stars.fold_in({3: 5, 7: 1}, **options).set_index('item').score
    predicted = stars.predict(ratings, [5, 'Item 9', 3])
    assert np.allclose(predicted, expected[[5, 9, 3]], atol=1e-4)
    assert isinstance(stars.predict(ratings, 5), float)
    some = model.recommend(ratings, candidates=[5, 9, 3])
    assert sorted(some.item) == [5, 9]


@pytest.mark.parametrize('ratings', HISTORIES)
def test_ratings_in_place_of_items_are_refused(titled, ratings):
    for call in (
        lambda: titled['ranking'].recommend(1, candidates=ratings),
        lambda: titled['ranking'].fold_in({3: 5}, candidates=ratings),
        lambda: titled['rating'].predict(3, ratings),
        lambda: titled['rating'].predict(ratings, ratings),
    ):
        with pytest.raises(TypeError, match='not ratings by item'):
            call()
    with pytest.raises(TypeError):
        titled['ranking'].similar(ratings)


def test_what_may_be_ids_or_ratings_is_asked_about(titled):
    unnamed = pd.Series([3, 7], index=[1, 2])
    for call in (
        lambda: titled['ranking'].recommend(unnamed),
        lambda: titled['rating'].predict(unnamed, 3),
        lambda: titled['ranking'].recommend(1, candidates=unnamed),
    ):
        with pytest.raises(TypeError, match='may be ids, or ratings'):
            call()
    frame = pd.DataFrame({'user': [1, 1], 'item': [3, 7], 'rating': [5, 1]})
    with pytest.raises(TypeError, match='fold_in'):
        titled['ranking'].recommend(frame)
    assert len(titled['ranking'].recommend(frame.user, k=2)) == 4
    assert len(titled['ranking'].recommend(unnamed.tolist(), k=2)) == 4


def test_a_bayesian_model_answers_for_ratings_by_item():
    ratings = Ratings.from_frame(seven_hundred(), scale=(1, 5))
    short = {'n_factors': 2, 'n_burn_in': 2, 'n_samples': 6, 'progress': False}
    model = Recommender.fit(ratings, 'bayes', **short)
    new_user = {3: 5, 7: 1, 9: 4}
    mean = model.fold_in(new_user, 40).set_index('item').score
    found = model.intervals(new_user, [5, 8], of='mean')
    assert np.allclose(found['mean'], mean[[5, 8]], atol=1e-4)
    chances = model.probabilities(new_user, [5, 8])
    assert np.allclose(chances @ chances.columns, mean[[5, 8]], atol=1e-4)


def test_times_of_unknown_pairs_are_left_out_with_them():
    frame = seven_hundred()
    moments = np.arange(len(frame)) % 6 * 86_400
    ratings = Ratings.from_frame(frame.assign(timestamp=moments), scale=(1, 5))
    short = {'n_factors': 2, 'n_burn_in': 2, 'n_samples': 6, 'progress': False}
    model = Recommender.fit(ratings, 'bayes', time=True, **short)
    users, items, days = [-1, 1, 2, 3, 4], [0, 1, 2, 3, 4], np.arange(5) * 86_400
    known = model.predict(users[1:], items[1:], timestamp=days[1:])
    shifted = model.predict(users[1:], items[1:], timestamp=days[:-1])
    assert not np.allclose(known, shifted)
    how = {'unknown': 'ignore', 'timestamp': days}
    found = model.predict(users, items, **how)
    assert np.isnan(found[0]) and np.allclose(found[1:], known)
    pairs = pd.DataFrame({'user': users, 'item': items})
    assert np.allclose(model.intervals(pairs, **how)['mean'][1:], known)


def test_unknown_candidates_and_users_are_left_out_and_named(titled):
    model = titled['ranking']
    for wrong in ({'users': [1, 'x', 2]}, {'users': 1, 'candidates': [5, 'Item 99']}):
        with pytest.raises(UnknownIdError):
            model.recommend(**wrong)
    found = model.recommend([1, 'x', 2, 999, 'x'], k=3, unknown='ignore')
    assert found.attrs == {'unknown_users': ['x', 999], 'unknown_items': []}
    pd.testing.assert_frame_equal(found, model.recommend([1, 2], k=3))
    some = [5, 'Item 9', 999, 'Item 99', 20]
    options = {'exclude_seen': False, 'unknown': 'ignore'}
    found = model.recommend(1, candidates=some, **options)
    assert found.attrs == {'unknown_users': [], 'unknown_items': [999, 'Item 99']}
    assert sorted(found.item) == [5, 9, 20]
    assert model.recommend(1, candidates=['Item 99'], **options).empty
    found = model.fold_in({3: 5, 'Item 98': 4}, candidates=some, **options)
    assert found.attrs['unknown_items'] == [999, 'Item 99', 'Item 98']
    assert sorted(found.item) == [5, 9, 20]
    everybody = model.recommend(k=1)
    assert everybody.attrs == {'unknown_users': [], 'unknown_items': []}


def test_unknown_items_of_new_users_are_left_out_and_named(titled):
    model, stars = titled['ranking'], titled['rating']
    half_known, known = {3: 5, 999: 4, 'Item 7': 2, '7': 1}, {3: 5, 7: 1}
    for call in (
        lambda: model.fold_in(half_known),
        lambda: model.explain(half_known, 5),
        lambda: stars.predict(half_known, 5),
    ):
        with pytest.raises(UnknownIdError, match='999'):
            call()
    found = model.fold_in(half_known, unknown='ignore')
    assert found.attrs == {'unknown_users': [], 'unknown_items': [999, 'Item 7']}
    pd.testing.assert_frame_equal(found, model.fold_in(known))
    parts = model.explain(half_known, 5, unknown='ignore')
    assert parts.attrs == {'item': 5, 'unknown_items': [999, 'Item 7']}
    assert parts.equals(model.explain(known, 5))
    predicted = stars.predict(half_known, [5, 999], unknown='ignore')
    assert predicted[0] == stars.predict(known, 5)
    assert np.isnan(predicted[1])
    for call in (
        lambda: model.fold_in({999: 5}, unknown='ignore'),
        lambda: stars.predict({999: 5}, 5, unknown='ignore'),
    ):
        with pytest.raises(RatingsError, match='none of the 1 rated items is known'):
            call()


def test_an_unknown_item_of_one_new_user_costs_no_other_their_list(titled):
    model = titled['ranking']
    frame = pd.DataFrame(
        {
            'user': ['x', 'x', 'y', 'z', 'z'],
            'item': [3, 999, 998, 7, 999],
            'rating': [5, 4, 3, 2, 5],
        }
    )
    with pytest.raises(UnknownIdError):
        model.fold_in(frame)
    found = model.fold_in(frame, k=3, unknown='ignore')
    assert found.attrs == {'unknown_users': ['y'], 'unknown_items': [999, 998]}
    for user, history in {'x': {3: 5}, 'z': {7: 2}}.items():
        own = found[found.user == user].drop(columns='user').reset_index(drop=True)
        pd.testing.assert_frame_equal(own, model.fold_in(history, k=3))
    assert found.user.unique().tolist() == ['x', 'z']
    with pytest.raises(RatingsError, match='none of the 1 rated items'):
        model.fold_in(frame[frame.user == 'y'], unknown='ignore')


def skewed(n_niche):
    """One item that all 400 users have, and two niches of items that few have.

    Half of the `n_niche` users of a niche have each of its six items.
    """
    rng = np.random.default_rng(0)
    rows = [(user, 'bestseller') for user in range(400)]
    for niche in range(2):
        for user in range(niche * n_niche, (niche + 1) * n_niche):
            rows += [(user, f'{niche}-{j}') for j in range(6) if rng.random() < 0.5]
    likes = pd.DataFrame(rows, columns=['user', 'item']).assign(rating=1)
    return Recommender.fit(Ratings.from_frame(likes), n_factors=4)


@pytest.mark.parametrize('n_niche', [8, 30])
def test_what_is_like_a_rare_item_is_found_in_a_skewed_catalog(n_niche):
    "A twentieth of the bestseller's ratings, 20, is more than items of a niche have."
    model = skewed(n_niche)
    counts = pd.Series(model.item_counts, model.items.index)
    assert counts.drop('bestseller').max() < 20
    item = counts.drop('bestseller').idxmin()
    found = model.similar(item, k=5)
    assert {other.split('-')[0] for other in found.item} == {item.split('-')[0]}
    assert len(found) == 5


def test_similar_says_what_it_left_out(capsys):
    model = skewed(30)
    counts = pd.Series(model.item_counts, model.items.index).drop('bestseller')
    for item, min_ratings in (
        (counts.idxmin(), None),
        ('bestseller', None),
        ('0-0', 14),
        ('0-0', 0),
        ('0-0', 10**9),
    ):
        least = min_ratings
        if least is None:
            least = min(10, int(model.item_counts[model.find(item)]))
        found = model.similar(item, 20, min_ratings)
        others = pd.Series(model.item_counts, model.items.index).drop(item)
        n_left_out = int((others < least).sum())
        expected = {'item': item, 'min_ratings': least, 'left_out': n_left_out}
        assert found.attrs == expected
        assert set(found.item) == set(others.index[others >= least])
        said = capsys.readouterr().out
        assert said.startswith(f'similar to {item!r}')
        assert said.count('\n') == 1
        assert (f'{n_left_out} item' in said) == (n_left_out > 0)
    model.similar(item, say=None)
    assert capsys.readouterr().out == ''


def test_the_least_number_of_ratings_is_small_and_never_that_of_no_item():
    rng = np.random.default_rng(1)
    counts = [3, 5, 9, 10, 11, 60, 250]
    rows = [
        (user, item)
        for item, n in enumerate(counts)
        for user in rng.choice(250, n, replace=False)
    ]
    likes = pd.DataFrame(rows, columns=['user', 'item']).assign(rating=1)
    model = Recommender.fit(Ratings.from_frame(likes), n_factors=2)
    for item, n in enumerate(counts):
        found = model.similar(item, 20, say=None)
        assert found.attrs['min_ratings'] == min(n, 10)
        enough = [j for j, m in enumerate(counts) if m >= min(n, 10) and j != item]
        assert sorted(found.item) == enough


def test_ids_in_a_series_are_ids(small):
    model = Recommender.load(small)
    stars = fitted(seven_hundred(), goal='rating')
    table = seven_hundred().iloc[5:9]
    some = pd.Series([3, 7])
    assert model.recommend(some, k=2).user.tolist() == [3, 3, 7, 7]
    assert model.recommend(table.user_id, k=1).user.tolist() == table.user_id.tolist()
    expected = stars.predict(table.user_id.tolist(), table.item_id.tolist())
    assert np.array_equal(stars.predict(table.user_id, table.item_id), expected)
    for user, item in (('user', 'item'), ('userId', 'movieId'), ('user_id', 'movie')):
        frame = table.rename(columns={'user_id': user, 'item_id': item})
        predicted = stars.predict(frame)
        assert predicted.index.tolist() == table.index.tolist()
        assert np.array_equal(predicted, expected)
        folded = model.fold_in(frame, k=2)
        assert folded.user.nunique() == table.user_id.nunique()


def test_a_solver_of_ones_own_is_fitted_and_remembered(small, tmp_path):
    from mf_movielens.baselines import popularity
    from mf_movielens.solvers import SOLVERS, Solver

    ratings = Ratings.from_frame(seven_hundred(), scale=(1, 5))
    most_rated = Solver('most rated', 'ranking', popularity, defaults={})
    model = Recommender.fit(ratings, most_rated)
    again = Recommender.load(model.save(tmp_path / 'm.npz'))
    assert again.settings['solver'] == 'most rated'
    assert 'most rated' not in SOLVERS
    with pytest.raises(ValueError, match='most rated is for ranking'):
        Recommender.fit(ratings, most_rated, goal='rating')
    with pytest.raises(TypeError, match="'n_factors' is not a setting of most rated"):
        Recommender.fit(ratings, most_rated, n_factors=3)


def test_a_model_keeps_the_settings_that_were_used():
    from mf_movielens.solvers import SOLVERS

    model = fitted(seven_hundred(), solver='als', reg=0.2, patience=None)
    used = {'n_factors': 3, 'n_iterations': 3, 'reg': 0.2}
    weights = model.predictor.regularization
    by_data = ('damping', 'item_damping', 'factor_damping')
    assert all(getattr(weights, name) > 0 for name in by_data)
    used |= {name: getattr(weights, name) for name in by_data}
    for name, default in SOLVERS['als'].defaults.items():
        assert model.settings[name] == used.get(name, default)
    assert 'patience' not in model.settings
    assert (weights.reg, weights.bias_reg) == (0.2, 0)


@pytest.mark.parametrize('n_users', [1, 3])
def test_no_known_user_gets_no_recommendations(small, n_users):
    model = Recommender.load(small)
    none = model.recommend([10**6] * n_users, unknown='ignore')
    assert none.empty
    assert list(none) == list(model.recommend(0))
    with pytest.raises(UnknownIdError):
        model.recommend([10**6] * n_users)
    assert np.isnan(
        fitted(seven_hundred(), goal='rating').predict(10**6, 1, unknown='ignore')
    )


@pytest.mark.parametrize(
    'rating, settings, kind',
    [
        ([5, 4, 2, 5], dict(scale=(1, 5)), 'stars'),
        ([1, 1, 1, 1], {}, 'likes'),
        ([1, 7, 2, 9], dict(kind='counts'), 'counts'),
    ],
)
def test_a_model_knows_the_kind_of_its_ratings(rating, settings, kind):
    frame = pd.DataFrame({'user': [1, 1, 2, 2], 'item': [3, 4, 3, 5]})
    ratings = Ratings.from_frame(frame.assign(rating=rating), **settings)
    model = Recommender.fit(ratings, n_factors=2)
    assert model.kind == kind
    columns = model.item_columns
    assert model.item_columns is columns
    assert columns['n_ratings'].numbers.tolist() == [2, 1, 1]
