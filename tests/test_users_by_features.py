"""Users who have rated nothing, of whom a table tells: in the fit and later."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from mf_movielens.encoding import Ratings, RatingsError
from mf_movielens.recommender import Recommender

N_USERS, N_ITEMS = 60, 24
CITIES = np.array(['Rom', 'Oslo'])


def frames() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Likes of people in two cities, each with its items; people, and two more."""
    rng = np.random.default_rng(0)
    city = np.arange(N_USERS) % 2
    is_local = np.arange(N_ITEMS) % 2 == city[:, None]
    user, item = np.nonzero(
        rng.random((N_USERS, N_ITEMS)) < np.where(is_local, 0.7, 0.05)
    )
    likes = pd.DataFrame(
        {'user': [f'u{u}' for u in user], 'item': [f'i{i}' for i in item], 'rating': 1}
    )
    people = pd.DataFrame(
        {'user': [f'u{u}' for u in range(N_USERS)], 'city': CITIES[city]}
    )
    more = pd.DataFrame({'user': ['new0', 'new1'], 'city': CITIES})
    return likes, people, more


LIKES, PEOPLE, MORE = frames()
ALL = pd.concat([PEOPLE, MORE], ignore_index=True)
WEAK = {'ials': {'reg': 0.02, 'damping': 0.5}, 'blend': {}}


def fitted(solver: str, people: pd.DataFrame) -> Recommender:
    ratings = Ratings.from_frame(LIKES, say=None)
    return Recommender.fit(ratings, solver, user_features=people, **WEAK[solver])


@pytest.fixture(scope='module', params=['ials', 'blend'])
def solver(request) -> str:
    return request.param


@pytest.fixture(scope='module')
def model(solver) -> Recommender:
    return fitted(solver, ALL)


@pytest.fixture(scope='module')
def without(solver) -> Recommender:
    return fitted(solver, PEOPLE)


def local_share(found: pd.DataFrame, city: int) -> float:
    return (found.item.str[1:].astype(int) % 2 == city).mean()


def test_the_city_decides_and_the_answer_says_so(model):
    assert model.users.index[-2:].tolist() == ['new0', 'new1']
    found = model.recommend(['new0', 'u3', 'new1'], k=8)
    for city in (0, 1):
        own = found[found.user == f'new{city}']
        assert len(own) == 8 and local_share(own, city) == 1 and own.is_new_user.all()
    assert not found[found.user == 'u3'].is_new_user.any()
    assert 'is_new_user' not in model.recommend('u3')
    assert set(model.recommend(k=1).user) == set(model.users.index)


def test_they_change_nothing_for_the_others(model, without):
    users = without.users.index.tolist()
    found = model.recommend(users).drop(columns='is_new_user', errors='ignore')
    expected = without.recommend(users)
    assert found.drop(columns='score').equals(expected.drop(columns='score'))
    assert np.allclose(found.score, expected.score, atol=1e-5)


def test_they_are_as_folded_in(model):
    for city in (0, 1):
        about = {'city': CITIES[city]}
        folded = model.fold_in({}, k=6, user_features=about)
        found = model.recommend(f'new{city}', k=6)
        assert found.item.tolist() == folded.item.tolist()
        assert np.allclose(found.score, folded.score, atol=1e-5)
        parts = model.explain(f'new{city}', found.item[0])
        assert parts.part.tolist()[0] == 'what is known of the user'
        assert abs(parts.score.sum() - found.score[0]) < 2e-3


def test_saved_loaded_written_and_judged(model, tmp_path):
    again = Recommender.load(model.save(tmp_path / 'model.npz'))
    assert again.recommend('new1').equals(model.recommend('new1'))
    top = pd.read_csv(model.recommend_all(tmp_path / 'top.csv', k=1))
    assert top[top.is_new_user].user.tolist() == ['new0', 'new1']
    test = pd.DataFrame({'user': ['new0', 'new1'], 'item': ['i0', 'i1'], 'rating': 1})
    test = Ratings.from_frame(test, say=None)
    assert model.evaluate(test, liked=1).users == 2


@pytest.mark.parametrize('step', ['add_users', 'update', 'add_user'])
def test_added_later_they_are_as_in_the_fit(model, without, step):
    if step == 'add_user':
        longer = without
        for city in (0, 1):
            about = {'city': CITIES[city]}
            longer = longer.add_user(f'new{city}', {}, user_features=about)
    elif step == 'update':
        said = []
        longer = without.update(user_features=ALL, say=said.append)
        assert said == ['2 users without ratings added, by what the table says of them']
    else:
        longer = without.add_users(ALL)
    assert longer.users.index.tolist() == model.users.index.tolist()
    assert longer.user_features.to_frame().equals(model.user_features.to_frame())
    found = longer.recommend(['new0', 'new1'], k=6)
    expected = model.recommend(['new0', 'new1'], k=6)
    assert found.item.tolist() == expected.item.tolist()
    assert without.add_users(PEOPLE).users.index.equals(without.users.index)


def test_a_new_user_with_ratings_and_features(without):
    about = {'city': 'Rom'}
    longer = without.add_user('cleo', {'i1': 1}, user_features=about)
    found = longer.recommend('cleo')
    assert np.allclose(
        found.score, without.fold_in({'i1': 1}, user_features=about).score, atol=1e-5
    )
    assert longer.user_features.to_frame().loc['cleo'].tolist() == ['Rom']
    assert 'is_new_user' not in found
    plain = without.add_user('cleo', {'i1': 1})
    assert plain.user_features.to_frame().loc['cleo'].isna().all()
    with pytest.raises(RatingsError, match='known already'):
        without.add_user('u1', {}, user_features=about)
    with pytest.raises(RatingsError, match='has no ratings'):
        without.add_user('dora', {})


def test_ratings_and_features_of_new_users_come_together(without):
    """Rows are regularized towards what features say, as in the fit."""
    ratings = pd.DataFrame(
        {'user': ['cleo', 'dora'], 'item': ['i0', 'i0'], 'rating': 1}
    )
    people = pd.DataFrame(
        {'user': ['cleo', 'emil', 'u0'], 'city': ['Rom', 'Oslo', 'Oslo']}
    )
    ratings = Ratings.from_frame(ratings, say=None)
    updated = without.update(ratings, user_features=people, say=None)
    assert updated.users.index[-3:].tolist() == ['cleo', 'dora', 'emil']
    cities = updated.user_features.to_frame().city
    assert cities[['u0', 'cleo', 'emil']].tolist() == ['Rom', 'Rom', 'Oslo']
    assert cities[['dora']].isna().all()
    assert updated.predictor.shape == (N_USERS + 3, N_ITEMS)
    rome, nowhere = (updated.recommend(user, k=8) for user in ('cleo', 'dora'))
    assert not rome.item.equals(nowhere.item) or not np.allclose(
        rome.score, nowhere.score, atol=1e-4
    )
    # What was blank is filled by a later table.
    people = pd.DataFrame({'user': ['dora'], 'city': ['Rom']})
    later = updated.update(user_features=people, say=None)
    assert later.user_features.to_frame().city['dora'] == 'Rom'


def test_new_items_come_with_an_update(tmp_path):
    colors = pd.DataFrame(
        {'item': [f'i{i}' for i in range(N_ITEMS)], 'side': ['a', 'b'] * 12}
    )
    ratings = Ratings.from_frame(LIKES, say=None)
    model = Recommender.fit(ratings, item_features=colors, **WEAK['ials'])
    more = pd.DataFrame({'item': ['j0', 'j1', 'j2'], 'side': ['a', 'b', 'a']})
    new = pd.DataFrame({'user': ['u0'], 'item': ['j2'], 'rating': [1]})
    said = []
    updated = model.update(
        Ratings.from_frame(new, say=None), item_features=more, say=said.append
    )
    assert updated.items.index[-3:].tolist() == ['j2', 'j0', 'j1']
    assert said[0].startswith('1 new rating, 0 new users, 1 new item;')
    assert said[1] == '2 items without ratings added, by what the table says of them'
    assert updated.recommend('u1', candidates=['j0', 'j1'], k=1).item.tolist() == ['j1']
    # A path is read with the kinds of the columns that the model knows.
    more.to_csv(tmp_path / 'more.csv', index=False)
    by_path = model.update(item_features=tmp_path / 'more.csv', say=None)
    assert by_path.items.index[-3:].tolist() == ['j0', 'j1', 'j2']


def test_models_that_were_not_fitted_to_features_say_so():
    ratings = Ratings.from_frame(LIKES, say=None)
    plain = Recommender.fit(ratings, 'knn')
    with pytest.raises(ValueError, match='fitted without features of users'):
        plain.add_users(MORE)
    with pytest.raises(ValueError, match='no table of users'):
        plain.update(user_features=MORE)
    said = []
    kept = plain.with_features(user_features=PEOPLE)
    same = kept.update(user_features=MORE, say=said.append)
    assert len(same.users) == N_USERS and 'stay out' in said[0]
    with pytest.raises(TypeError, match='update takes Ratings'):
        plain.update()


def test_bayes_knows_them_from_the_fit():
    rng = np.random.default_rng(0)
    stars = LIKES.assign(rating=rng.integers(1, 6, len(LIKES)))
    few = {'n_factors': 1, 'n_burn_in': 2, 'n_samples': 8, 'progress': False}
    ratings = Ratings.from_frame(stars, say=None)
    model = Recommender.fit(ratings, 'bayes', user_features=ALL, **few)
    found = model.recommend('new1', k=2)
    assert found.is_new_user.all() and (found.mean_low < found.mean_high).all()


def test_on_the_command_line(call, without, solver, tmp_path):
    LIKES.to_csv('likes.csv', index=False)
    ALL.to_csv('people.csv', index=False)
    words = ('likes.csv', '--solver', solver, '--user-features', 'people.csv')
    code, out, err = call('train', *words, '--out', 'trained')
    assert code == 0, err
    code, out, err = call('recommend', 'new1', '-m', 'trained')
    assert code == 0 and 'user new1 has no ratings; these go by what is known' in out
    assert 'is_new_user' not in out and 'city' in out
    code, out, err = call('recommend', 'new1', 'u3', '-m', 'trained', '--json')
    assert {row['is_new_user'] for row in json.loads(out)} == {True, False}
    # A model that knows nothing of them learns of them later.
    path = without.save(tmp_path / 'model.npz')
    MORE.to_csv('more.csv', index=False)
    code, out, err = call('update', path, '--user-features', 'more.csv')
    assert code == 0 and '2 users without ratings added' in out, err
    assert Recommender.load(path).recommend('new0', k=3).is_new_user.all()
    for words, said in (
        (('update', path), 'name a file with new ratings'),
        (('update', path, '--user-features', 'no.csv'), 'there is no file no.csv'),
        (('update', path, '--item-features', 'more.csv'), 'no table of items'),
        (('update', path, 'likes.csv', '--out', 'no/a.npz'), 'there is no folder no'),
    ):
        code, out, err = call(*words)
        assert code == 2 and said in err and err.count('\n') == 1
