"""What is known of new users: from Python and the command line."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from mf_movielens.encoding import Ratings
from mf_movielens.recommender import Recommender

N_USERS, N_ITEMS = 60, 24
CITIES = np.array(['Rom', 'Oslo'])


@pytest.fixture(scope='module')
def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """People of two cities, each with its own half of the items; and the people."""
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
        {
            'user': [f'u{u}' for u in range(N_USERS)],
            'city': CITIES[city],
            'age': rng.integers(18, 80, N_USERS),
            'zip': [f'0{u:03}' for u in range(N_USERS)],
        }
    )
    return likes, people


@pytest.fixture(scope='module', params=['ials', 'blend'])
def model(request, tables) -> Recommender:
    likes, people = tables
    ratings = Ratings.from_frame(likes, say=None)
    weak = {'reg': 0.02, 'damping': 0.5} if request.param == 'ials' else {}
    return Recommender.fit(ratings, request.param, user_features=people, **weak)


def local_share(found: pd.DataFrame, city: int) -> float:
    return (found.item.str[1:].astype(int) % 2 == city).mean()


@pytest.mark.parametrize('city', [0, 1])
def test_without_a_rating_the_city_decides(model, city):
    found = model.fold_in({}, k=8, user_features={'city': CITIES[city]})
    assert local_share(found, city) == 1
    # One like of the other city says less than the city, and two more say more.
    foreign = {f'i{1 - city}': 1}
    with_like = model.fold_in(foreign, k=8, user_features={'city': CITIES[city]})
    assert local_share(with_like, city) >= local_share(
        model.fold_in(foreign, k=8), city
    )


def test_parts_of_the_score_of_a_new_user_add_up(model):
    history = {'i0': 1, 'i3': 1}
    scores = model.fold_in(history, k=5).set_index('item').score
    for item, score in scores.items():
        parts = model.explain(history, item)
        assert parts.score.sum() == pytest.approx(score, abs=1e-4)


def test_rows_go_by_ids_and_columns_by_names(model, tables):
    likes = pd.DataFrame({'user': ['b', 'a'], 'item': ['i0', 'i0'], 'rating': 1})
    people = pd.DataFrame({'zip': ['0', '0'], 'age': [30, 30], 'city': ['Oslo', 'Rom']})
    people['user'] = ['a', 'b']
    found = model.fold_in(likes, k=6, user_features=people)
    for user, city in (('a', 'Oslo'), ('b', 'Rom')):
        about = {'age': '30', 'city': city, 'zip': '0'}
        alone = model.fold_in({'i0': 1}, k=6, user_features=about)
        part = found[found.user == user]
        assert part.item.tolist() == alone.item.tolist()
        assert np.allclose(part.score, alone.score, atol=1e-6)


def test_saved_and_loaded(model, tmp_path):
    again = Recommender.load(model.save(tmp_path / 'model.npz'))
    about = {'city': 'Rom', 'age': 50}
    expected = model.fold_in({}, user_features=about)
    assert again.fold_in({}, user_features=about).equals(expected)


def test_wrong_features_are_refused(model, tables):
    likes, people = tables
    frame = pd.DataFrame({'user': ['a'], 'item': ['i0'], 'rating': 1})
    for ratings, wrong, error, said in (
        ({}, {'town': 'Rom'}, ValueError, "no column 'town'"),
        ({}, {'city': 'Roma'}, ValueError, "no user has city='Roma'; there are 'Rom'"),
        ({}, {'age': 'old'}, ValueError, "'old' is not a number"),
        ({}, people, TypeError, 'of one person are a dict'),
        (frame, {'city': 'Rom'}, TypeError, 'of one person are a dict'),
    ):
        with pytest.raises(error, match=said):
            model.fold_in(ratings, user_features=wrong)
    without = Recommender.fit(Ratings.from_frame(likes, say=None), n_factors=4)
    with pytest.raises(ValueError, match='fitted without features of users'):
        without.fold_in({}, user_features={'city': 'Rom'})
    with pytest.raises(ValueError, match='fitted without features of users'):
        without.with_features(user_features=people).fold_in(
            {}, user_features={'city': 'Rom'}
        )


def test_on_the_command_line(call, model, tmp_path):
    path = model.save(tmp_path / 'model.npz')
    words = ('--about', 'city=Rom', '--about', 'age=50', '--model', path, '--json')
    code, out, err = call('rate', *words)
    assert code == 0, err
    expected = model.fold_in({}, user_features={'city': 'Rom', 'age': 50})
    assert pd.DataFrame(json.loads(out)).item.tolist() == expected.item.tolist()
    code, out, err = call('rate', 'i1=1', *words)
    expected = model.fold_in({'i1': 1}, user_features={'city': 'Rom', 'age': 50})
    assert pd.DataFrame(json.loads(out)).item.tolist() == expected.item.tolist()
    for wrong, said in (
        ('city', 'write a column'),
        ('city=', 'write a column'),
        ('town=Rom', "no column 'town'"),
    ):
        code, out, err = call('rate', '--about', wrong, '--model', path)
        assert code == 2 and said in err and err.count('\n') == 1
