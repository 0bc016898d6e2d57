"""The server: questions and answers, hostile requests, reloads and the end."""

from __future__ import annotations

import asyncio
import configparser
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings

from mf_movielens.encoding import Ratings
from mf_movielens.model_file import ModelFileError
from mf_movielens.recommender import Recommender

httpx = pytest.importorskip('httpx')
pytest.importorskip('fastapi')
try:
    import schemathesis
except ImportError:
    schemathesis = None

from mf_movielens import serve
from mf_movielens.api import MAX_K, MAX_PEOPLE, Shelf, make_api
from mf_movielens.gate import RequestLimits
from mf_movielens.serve import ModelSource, ServeSettings, guard
from mf_movielens.served import ServedModel, place_on_map, plain_rows
from mf_movielens.similarity import similarity_table

ROOT = Path(__file__).resolve().parent.parent
TOKEN = 'correct horse battery staple'.replace(' ', '-')


class Client:
    """Asks an ASGI application, one question after another."""

    def __init__(self, app):
        self.app = app

    def ask(self, method, path, **how):
        async def send():
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(
                transport=transport, base_url='http://localhost'
            ) as client:
                return await client.request(method, path, **how)

        return asyncio.run(send())

    def get(self, path, headers=None, **query):
        return self.ask('GET', path, params=query or None, headers=headers)

    def post(self, path, body, **how):
        return self.ask('POST', path, json=body, **how)


def planted(seed=0, n_users=30, n_items=20, n=300):
    """A table of ratings from 1 to 5, without two of one pair."""
    rng = np.random.default_rng(seed)
    pairs = rng.choice(n_users * n_items, n, replace=False)
    return pd.DataFrame(
        {
            'user': pairs // n_items + 1,
            'item': pairs % n_items + 1,
            'rating': rng.integers(1, 6, n),
        }
    )


TITLES = {item: f'Film {item} (19{item + 60})' for item in range(1, 21)}
FILMS = pd.DataFrame(
    {
        'item': range(1, 21),
        'genre': ['War|Drama', 'Comedy', 'Drama', 'Comedy|War'] * 5,
        'year': [1960 + item for item in range(1, 21)],
        'opened': ['1999-12-31', '2001-02-03'] * 10,
    }
)
FEW = {'n_factors': 2, 'n_burn_in': 2, 'n_samples': 8, 'progress': False}


def odd_ids():
    """Ratings whose ids have slashes, leading zeros and letters of many kinds."""
    users = ['AC/DC', '007', 'Zoë', 'a b', '日本', '..', '%2F', '?', '7']
    items = ['x/1', '0', '00', 'é', 'a&b=c', '#', '+', '1']
    rng = np.random.default_rng(0)
    rows = [
        (user, item, int(rng.integers(1, 6)))
        for user in users
        for item in rng.choice(items, 5, replace=False)
    ]
    return pd.DataFrame(rows, columns=['user', 'item', 'rating'])


def with_films(frame, solver='auto', **how):
    ratings = Ratings.from_frame(frame, scale=(1, 5), titles=TITLES)
    return Recommender.fit(ratings, solver, **how).with_features(FILMS)


def fit(kind):
    """A small model of each kind."""
    frame = planted()
    counts = frame.assign(rating=frame.rating**3)
    return {
        'ials': lambda: with_films(frame, n_factors=3),
        'als': lambda: with_films(frame, goal='rating', n_factors=3),
        'bayes': lambda: with_films(frame, 'bayes', **FEW),
        'ease': lambda: with_films(frame, 'ease'),
        'knn': lambda: with_films(frame, 'knn'),
        'blend': lambda: with_films(frame, 'blend'),
        'counts': lambda: Recommender.fit(Ratings.from_frame(counts, kind='counts')),
        'likes': lambda: Recommender.fit(Ratings.from_frame(frame.assign(rating=1))),
        'odd ids': lambda: Recommender.fit(
            Ratings.from_frame(odd_ids(), scale=(1, 5)), n_factors=2
        ),
    }[kind]()


KINDS = ['ials', 'als', 'bayes', 'ease', 'knn', 'blend', 'counts', 'likes', 'odd ids']


@pytest.fixture(scope='module', params=KINDS)
def any_model(request):
    """A model of each kind, and who asks it."""
    model = fit(request.param)
    return model, Client(make_api(model))


@pytest.fixture(scope='module')
def model():
    return fit('ials')


@pytest.fixture(scope='module')
def client(model):
    return Client(guard(make_api(model), ServeSettings()))


def rows_of(frame):
    return json.loads(json.dumps(plain_rows(frame), default=lambda v: v.item()))


def close(given, expected):
    """Whether two answers are the same, but for the last digits."""
    if isinstance(expected, float) and isinstance(given, (int, float)):
        return given == pytest.approx(expected, rel=1e-4, abs=1e-5)
    if isinstance(expected, dict):
        return set(given) == set(expected) and all(
            close(given[key], expected[key]) for key in expected
        )
    if isinstance(expected, list):
        return len(given) == len(expected) and all(map(close, given, expected))
    return given == expected


# The answers


def test_recommendations_are_those_of_python(any_model):
    model, client = any_model
    user = model.users.index[0]
    answer = client.get('/api/recommend', user=user, k=3).json()
    expected = model.recommend([user], 3).drop(columns='user')
    assert close(answer['recommendations'], rows_of(expected))
    both = model.users.index[:2].tolist()
    answer = client.post('/api/recommend', {'users': both, 'k': 3}).json()
    assert close(answer['recommendations'], rows_of(model.recommend(both, 3)))


def test_a_new_user_gets_what_python_says(any_model):
    model, client = any_model
    first, second = model.items.index[:2].tolist()
    high = 1 if model.kind == 'likes' else 5
    ratings = {first: high, second: 1}
    expected = rows_of(model.fold_in(ratings, 3))
    by_text = {str(item): rating for item, rating in ratings.items()}
    listed = [{'item': item, 'rating': rating} for item, rating in ratings.items()]
    for form in (by_text, listed):
        answer = client.post('/api/fold-in', {'ratings': form, 'k': 3}).json()
        assert close(answer['recommendations'], expected)
    people = [{'id': 'ann', 'ratings': listed}, {'id': 7, 'ratings': by_text}]
    answer = client.post('/api/fold-in', {'people': people, 'k': 3}).json()
    found = answer['recommendations']
    assert [row['user'] for row in found] == ['ann'] * 3 + [7] * 3
    assert [row['item'] for row in found[:3]] == [row['item'] for row in expected]


def test_a_history_is_that_of_python(any_model):
    model, client = any_model
    user = model.users.index[-1]
    answer = client.get('/api/history', user=user).json()
    assert answer['history'] == rows_of(model.history(user))
    assert answer['n_ratings'] == len(answer['history']) > 2
    first = client.get('/api/history', user=user, k=2).json()
    assert first['history'] == answer['history'][:2]
    assert first['n_ratings'] == answer['n_ratings']


def test_predictions_and_probabilities(any_model):
    model, client = any_model
    user, item = model.users.index[0], model.items.index[1]
    one = client.get('/api/predict', user=user, item=item)
    pair = {'user': model.users.index[:1].tolist()[0], 'item': str(item)}
    several = client.post('/api/predict', {'pairs': [pair, pair]})
    probable = client.post('/api/probabilities', {'pairs': [pair]})
    if model.goal == 'ranking':
        assert one.status_code == several.status_code == 422
        assert "goal='rating'" in one.json()['detail']
    else:
        [found] = one.json()['predictions']
        assert found['prediction'] == pytest.approx(model.predict(user, item))
        assert several.json()['predictions'] == [found, found]
    if not model.gives_intervals:
        assert probable.status_code == 422
        assert "solver='bayes'" in probable.json()['detail']
        return
    assert found['low'] <= found['prediction'] <= found['high']
    answer = probable.json()
    expected = model.probabilities(user, item)
    assert answer['values'] == expected.columns.tolist()
    assert close(answer['rows'][0]['probabilities'], expected.to_numpy()[0].tolist())
    ratings = {str(item): 4}
    new = {'ratings': ratings, 'items': [pair['item']]}
    [row] = client.post('/api/probabilities', new).json()['rows']
    assert sum(row['probabilities']) == pytest.approx(1)


def test_a_question_by_get_has_a_level_and_a_time():
    frame = planted().assign(timestamp=np.arange(300) % 6 * 86_400)
    ratings = Ratings.from_frame(frame, scale=(1, 5))
    model = Recommender.fit(ratings, 'bayes', time=True, **FEW)
    client, widths = Client(make_api(model)), []
    for level in (0.3, 0.95):
        asked = {'level': level, 'timestamp': 86_400}
        answer = client.get('/api/predict', user=1, item=1, **asked).json()
        [found] = answer['predictions']
        expected = model.intervals(1, 1, **asked)[['low', 'high', 'mass']]
        assert np.allclose([found[name] for name in expected], expected.iloc[0])
        at_the_time = model.predict(1, 1, timestamp=86_400)
        assert found['prediction'] == pytest.approx(at_the_time)
        widths.append(found['high'] - found['low'])
    assert widths[0] < widths[1]
    assert not np.isclose(at_the_time, model.predict(1, 1))


def test_explanations_add_up_or_say_why_not(any_model):
    model, client = any_model
    user = model.users.index[0]
    item = model.recommend([user], 1)['item'].iloc[0]
    answer = client.get('/api/explain', user=user, item=item, k=2)
    if answer.status_code == 422:
        with pytest.raises(ValueError) as error:
            model.explain(user, item)
        assert answer.json()['detail'] == str(error.value)
        return
    content = answer.json()
    frame = model.explain(user, item)
    assert content['total'] == pytest.approx(frame[content['unit']].sum(), abs=1e-6)
    shown = sum(part[content['unit']] for part in content['parts'])
    assert shown + content['more'] == pytest.approx(content['total'], abs=1e-5)
    assert content['n_more'] == len(frame) - len(content['parts'])


def test_an_explanation_to_a_new_user_has_as_many_parts_as_are_asked_for(client):
    body = {'ratings': {'1': 5, '2': 1, '3': 4}, 'item': 5, 'k': 1}
    answer = client.post('/api/explain', body).json()
    assert (len(answer['parts']), answer['n_more']) == (1, 2)


def test_similar_items_and_users(any_model):
    model, client = any_model
    item, user = model.items.index[0], model.users.index[0]
    answer = client.get('/api/similar', item=item, min_ratings=0, k=4).json()
    expected = model.similar(item, 4, 0, None)
    assert close(answer['similar'], rows_of(expected))
    answer = client.get('/api/similar-users', user=user, min_ratings=0, k=4).json()
    assert close(answer['similar'], rows_of(model.similar_users(user, 4, 0)))


def test_a_group_and_a_map(any_model):
    model, client = any_model
    users = model.users.index[:2].tolist()
    body = {'users': users, 'how': 'least_misery', 'k': 3}
    answer = client.post('/api/group', body).json()
    expected = model.recommend_group(users, 'least_misery', 3)
    assert close(answer['recommendations'], rows_of(expected))
    places = client.get('/api/map', n=10).json()['items']
    rows = np.argsort(-model.item_counts, kind='stable')[:10]
    assert [place['item'] for place in places] == model.items.index[rows].tolist()
    assert [place['n_ratings'] for place in places] == model.item_counts[rows].tolist()
    expected = place_on_map(similarity_table(model.predictor, rows))
    found = np.array([[place['x'], place['y']] for place in places])
    assert np.allclose(found, expected, atol=1e-4)
    assert np.abs(found).max() <= 1 and (found.std(0) > 0).all()


def test_items_users_and_the_description(any_model):
    model, client = any_model
    for row in range(len(model.items)):
        id = model.items.index[[row]].tolist()[0]
        [found] = client.get('/api/items', item=model.catalog.sure_id(row)).json()[
            'items'
        ]
        assert found['item'] == id
        assert found['n_ratings'] == model.item_counts[row]
    for id in model.users.index[:9].tolist():
        found = client.get('/api/users', q=id, k=30).json()['users']
        assert id in [row['user'] for row in found]
    [about] = client.get('/api/models').json()['models']
    assert about['kind'] == model.kind
    assert about['n_ratings'] == model.seen.nnz
    assert about['can_fold_in']


def test_rules_come_through(client, model):
    rules = {'where': 'year > 1965', 'exclude': ['7', '8'], 'diversity': 0.3}
    how = {'k': 4, 'exclude_seen': 'false', 'popularity_discount': 0.5}
    answer = client.get(
        '/api/recommend', user=3, at_least="genre == 'War':2", **rules, **how
    ).json()
    how['exclude_seen'] = False
    rules['exclude'] = [7, 8]
    expected = model.recommend(
        [3], at_least={"genre == 'War'": 2}, **rules, **how
    ).drop(columns='user')
    assert close(answer['recommendations'], rows_of(expected))
    body = {'users': [3], 'at_least': {"genre == 'War'": 2}, **rules, **how}
    answer = client.post('/api/recommend', body).json()
    assert [row['item'] for row in answer['recommendations']] == expected.item.tolist()


def test_columns_are_described(client):
    [about] = client.get('/api/models').json()['models']
    columns = {column['name']: column for column in about['item_columns']}
    assert sorted(columns['genre']['values']) == ['Comedy', 'Drama', 'War']
    assert (columns['year']['low'], columns['year']['high']) == (1961, 1980)
    assert columns['opened']['low'] == '1999-12-31'
    [item] = client.get('/api/items', item='1').json()['items']
    assert item['genre'] == ['War', 'Drama']
    assert item['opened'] == '1999-12-31'


def test_an_item_may_be_rated_once(client):
    answer = client.post('/api/fold-in', {'ratings': {'1': 5, TITLES[1]: 4}})
    assert answer.status_code == 422
    assert 'rated twice' in answer.json()['detail']


def test_what_is_unknown_is_named_or_refused(client):
    body = {'users': [1, 999], 'k': 1}
    assert client.post('/api/recommend', body).status_code == 404
    answer = client.post('/api/recommend', body | {'unknown': 'ignore'}).json()
    assert answer['unknown_users'] == [999]
    body = {'ratings': {'1': 5, 'Nobody knows it': 4}, 'k': 1}
    assert client.post('/api/fold-in', body).status_code == 404
    answer = client.post('/api/fold-in', body | {'unknown': 'ignore'}).json()
    assert answer['unknown_items'] == ['Nobody knows it']
    people = [{'id': 'a', 'ratings': {'999': 5}}, {'id': 'b', 'ratings': {'1': 5}}]
    body = {'people': people, 'unknown': 'ignore', 'k': 1}
    answer = client.post('/api/fold-in', body).json()
    assert (answer['unknown_users'], answer['unknown_items']) == (['a'], ['999'])
    assert {row['user'] for row in answer['recommendations']} == {'b'}
    assert client.post('/api/fold-in', {'ratings': {'999': 5}}).status_code == 404
    body = {'ratings': {'999': 5}, 'unknown': 'ignore'}
    answer = client.post('/api/fold-in', body)
    assert answer.status_code == 422
    assert 'none of the 1 rated items is known' in answer.json()['detail']
    # What is not to be recommended may be unknown, too.
    body = {'users': [1], 'k': 3, 'exclude_seen': False}
    first, *others = client.post('/api/recommend', body).json()['recommendations']
    body |= {'exclude': [999, first['item']], 'k': 2}
    assert client.post('/api/recommend', body).status_code == 404
    answer = client.post('/api/recommend', body | {'unknown': 'ignore'}).json()
    found = [row['item'] for row in answer['recommendations']]
    assert found == [row['item'] for row in others]


def test_two_models_and_their_versions(model):
    other = fit('als')
    shelf = Shelf([ServedModel.of('a', model), ServedModel.of('b/ü', other)])
    client = Client(make_api(shelf))
    assert client.get('/api/items').json()['model'] == 'a'
    answer = client.get('/api/recommend', user=1, model='b/ü')
    assert answer.json()['model'] == 'b/ü'
    assert client.get('/api/items', model='c').status_code == 404
    tag = answer.headers['etag']
    again = client.get('/api/recommend', {'If-None-Match': tag}, user=1, model='b/ü')
    assert (again.status_code, again.content) == (304, b'')
    assert again.headers['etag'] == tag
    # Another question, or another model in its place, is another answer.
    for query in ({'user': 2, 'model': 'b/ü'}, {'user': 1, 'model': 'a'}):
        answer = client.get('/api/recommend', {'If-None-Match': tag}, **query)
        assert answer.status_code == 200
    shelf.replace(ServedModel.of('b/ü', model))
    answer = client.get('/api/recommend', {'If-None-Match': tag}, user=1, model='b/ü')
    assert answer.status_code == 200
    assert answer.headers['etag'] != tag
    assert [m['name'] for m in client.get('/health').json()['models']] == ['a', 'b/ü']


# Files of models


def test_a_file_that_is_replaced_while_it_is_read_is_read_again(tmp_path, monkeypatch):
    first, second = (with_films(planted(), n_factors=n) for n in (2, 4))
    path = first.save(tmp_path / 'model.npz')
    load = Recommender.load

    def load_slowly(file):
        model = load(file)
        second.save(path)
        return model

    source = ModelSource('films', path)
    monkeypatch.setattr(Recommender, 'load', load_slowly)
    assert source.load().model.predictor.n_factors == 2
    monkeypatch.undo()
    assert source.is_replaced()
    assert source.load().model.predictor.n_factors == 4
    assert not source.is_replaced()


def test_folders_of_servers_that_run_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(serve, 'data_home', lambda: tmp_path)
    running, gone = (tmp_path / 'serving' / name for name in ('1', '999999999'))
    for folder in (running, gone):
        folder.mkdir(parents=True)
    with serve._shared_folder() as own:
        assert own.is_dir() and running.is_dir() and not gone.exists()
    assert running.is_dir() and not own.exists()


def test_who_cannot_unpack_a_model_lets_the_next_one_try(tmp_path):
    path = tmp_path / 'model.npz'
    path.write_bytes(b'no model')
    folder = tmp_path / 'shared/version'
    for _ in range(2):
        with pytest.raises(ModelFileError):
            serve._open_shared(path, folder)
        assert not folder.with_name('version.lock').exists()


# Guards


def test_hosts_tokens_and_open_paths(model):
    settings = ServeSettings(token=TOKEN, allowed_hosts=('films.example',))
    client = Client(guard(make_api(model), settings))
    assert client.get('/api/models').status_code == 401
    for wrong in (
        '',
        'Bearer',
        'Bearer x',
        f'Basic {TOKEN}',
        f'Bearer {TOKEN}x',
        '\xe9',
    ):
        headers = {'Authorization': wrong.encode('latin-1')}
        assert client.get('/api/models', headers).status_code == 401
    headers = {'Authorization': f'Bearer {TOKEN}'}
    assert client.get('/api/models', headers).status_code == 200
    for path in ('/', '/health'):
        assert client.get(path).status_code == 200
    for path in ('/metrics', '/openapi.json', '/nothing'):
        assert client.get(path).status_code == 401
    for host, status in (
        ('films.example', 200),
        ('films.example:8000', 200),
        ('127.0.0.1:1', 200),
        ('[::1]:8000', 200),
        ('evil.example', 421),
        ('films.example.evil', 421),
        ('localhost@evil', 421),
        ('', 421),
    ):
        answer = client.get('/health', {'Host': host})
        assert answer.status_code == status, host


def test_other_origins_are_refused_unless_named(model):
    asked = {'Origin': 'https://films.example'}
    answer = Client(guard(make_api(model), ServeSettings())).get('/health', asked)
    assert 'access-control-allow-origin' not in answer.headers
    settings = ServeSettings(allowed_origins=('https://films.example',), token=TOKEN)
    client = Client(guard(make_api(model), settings))
    answer = client.get('/health', asked)
    assert answer.headers['access-control-allow-origin'] == 'https://films.example'
    preflight = asked | {
        'Access-Control-Request-Method': 'POST',
        'Access-Control-Request-Headers': 'authorization,content-type',
    }
    assert client.ask('OPTIONS', '/api/fold-in', headers=preflight).status_code == 200
    preflight['Origin'] = 'https://evil.example'
    assert client.ask('OPTIONS', '/api/fold-in', headers=preflight).status_code == 400


NESTED = b'{"ratings":' * 100_000
HOSTILE_BODIES = {
    'empty': b'',
    'cut short': b'{"ratings": {"1"',
    'no object': b'[1, 2]',
    'null': b'null',
    'nan': b'{"ratings": {"1": NaN}}',
    'infinity': b'{"ratings": {"1": Infinity}}',
    'huge float': b'{"ratings": {"1": 1e999}}',
    'large float': b'{"ratings": {"1": 1e308}}',
    'huge whole number': b'{"ratings": [{"item": 1' + b'0' * 400 + b', "rating": 5}]}',
    'too many digits': b'{"ratings": [{"item": ' + b'9' * 5000 + b', "rating": 5}]}',
    'nested objects': NESTED,
    'nested lists': b'[' * 200_000,
    'text for a number': b'{"ratings": {"1": "5"}}',
    'true for a number': b'{"ratings": {"1": true}}',
    'null byte': b'{"ratings": {"1\\u0000": 5}}',
    'half a letter': b'{"ratings": {"\\ud800": 5}}',
    'no utf-8': b'{"ratings": {"\xff": 5}}',
    'not in the body': b'{"ratings": {"1": 5}, "path": "/etc/passwd"}',
    'path for features': b'{"ratings": {"1": 5}, "user_features": "/etc/passwd"}',
    'fraction for k': b'{"ratings": {"1": 5}, "k": 1.5}',
    'huge k': b'{"ratings": {"1": 5}, "k": 100000000}',
    'bad rule': b'{"ratings": {"1": 5}, "where": "__import__(\'os\')"}',
    'long rule': b'{"ratings": {"1": 5}, "where": "' + b'(' * 1900 + b'"}',
    'bad diversity': b'{"ratings": {"1": 5}, "diversity": NaN}',
}


def assert_refused(answer, *statuses):
    """An answer in 4xx, with a reason, and without anything of the machine."""
    assert 400 <= answer.status_code < 500, answer.text[:300]
    assert answer.headers['content-type'] == 'application/problem+json'
    content = answer.json()
    assert content['status'] == answer.status_code
    assert content['detail']
    assert len(answer.content) < 20_000
    for secret in ('Traceback', str(ROOT), 'site-packages', '.py', 'object at 0x'):
        assert secret not in answer.text


PATHS_OF_BODIES = ('/api/fold-in', '/api/predict', '/api/group', '/api/recommend')


def body_for(path, body):
    """A body of `fold-in` with the fields that another path needs."""
    if path == '/api/group':
        return re.sub(rb'"ratings": ({.*?})', rb'"users": [\1]', body)
    if path == '/api/predict':
        return re.sub(rb'"ratings": {.*?}', rb'\g<0>, "items": [1]', body)
    if path == '/api/recommend':
        return body.replace(b'"ratings": {"1": 5}', b'"users": [1]')
    return body


@pytest.mark.parametrize('name', HOSTILE_BODIES)
def test_hostile_bodies(client, name):
    body = HOSTILE_BODIES[name]
    last_field = re.search(rb'}, "(\w+)":', body)
    for path in PATHS_OF_BODIES:
        content, headers = body_for(path, body), {'Content-Type': 'application/json'}
        answer = client.ask('POST', path, content=content, headers=headers)
        assert_refused(answer)
        if last_field:
            field = f'body.{last_field[1].decode()}: '
            reasons = ('the condition ', field) if '.where' in field else (field,)
            assert answer.json()['detail'].startswith(reasons)


def test_bodies_are_refused_for_nothing_else(client):
    for path in PATHS_OF_BODIES:
        body = json.loads(body_for(path, b'{"ratings": {"1": 5}}'))
        answer = client.post(path, body)
        # A model that ranks predicts nothing, whatever the body is.
        if path == '/api/predict':
            assert "goal='rating'" in answer.json()['detail']
        else:
            assert answer.status_code == 200


@pytest.mark.parametrize(
    'media_type', ['text/plain', 'application/x-www-form-urlencoded', 'image/png', '']
)
def test_other_media_types(client, media_type):
    content = b'{"ratings": {"1": 5}}'
    headers = {'Content-Type': media_type} if media_type else {}
    answer = client.ask('POST', '/api/fold-in', content=content, headers=headers)
    assert_refused(answer)


HOSTILE_PATHS = [
    *('/../etc/passwd', '/..%2f..%2fetc/passwd', '/static/..%2f..%2fapi.py'),
    *('/static/../api.py', '/static/%2e%2e/api.py', '/static//etc/passwd', '/%00'),
    *('/static/%00', '/static/..\\api.py', '/api', '/api/', '/api/items/'),
    *('/api/recommend?user=%00', '/api/recommend?user=%ff', '/docs', '/redoc'),
    *('/api/recommend?user=1&k=1&k=x', '/api/recommend?user=1&k=9' + '9' * 400),
    *('/api/recommend?user=1&model=..%2f..%2fetc', '/api/recommend?user=' + 'x' * 5000),
    *('/api/recommend?user=1&where=' + '(' * 1500, '/api/recommend?user=1&by=x'),
    *('/api/recommend?user=1&diversity=nan', '/api/recommend?user=1&level=inf'),
    *('/api/recommend?user=1&at_least=:', '/api/recommend?user=1&at_least=a:-1'),
    *('/api/items?sort=-', '/api/items?item=', '/api/map?group=%00', '/api/map?n=1e9'),
    *(
        '/api/similar?item=1&min_ratings=-1',
        '/api/predict?user=1&item=1&timestamp=1e99',
    ),
    '/api/recommend?user=1&' + '&'.join(f'x{n}=1' for n in range(5000)),
]


@pytest.mark.parametrize('path', HOSTILE_PATHS, ids=lambda path: path[:40])
def test_hostile_paths(client, path):
    assert_refused(client.get(path))


def test_wrong_bodies_are_told_what_is_right(client):
    """In words of JSON and of the API, not of Python."""

    def detail(path='fold-in', **asked):
        return client.ask('POST', f'/api/{path}', **asked).json()['detail']

    text = {'content-type': 'text/plain'}
    found = detail(content='{"ratings": {"i1": 5}}', headers=text)
    assert 'Content-Type: application/json' in found
    assert 'the ratings of one person, {"ratings"' in detail(json={})
    found = detail(json={'top': 3, 'ratings': {'i1': 5}})
    assert 'top: there is no such field; there are k, exclude_seen' in found
    assert 'an object of JSON' in detail(json=[1])
    found = detail('predict', json={'pairs': [['u1', 'i1']]})
    assert 'pairs.0: this must be an object of JSON' in found
    is_json = {'content-type': 'application/json'}
    found = detail(content='{bad', headers=is_json)
    assert 'body.1: from this character on, it is no JSON' in found
    assert not {'instance', 'keyword'} & {*found.split()}
    assert client.ask('HEAD', '/').status_code == client.get('/').status_code == 200


def test_wrong_methods(client):
    for method in ('PUT', 'DELETE', 'PATCH', 'TRACE', 'BREW'):
        assert_refused(client.ask(method, '/api/items'))
    assert_refused(client.post('/api/items', {}))
    assert_refused(client.get('/api/fold-in'))


def test_sizes_are_bounded(client):
    large = {'ratings': {str(n): 5 for n in range(20_000)}}
    for path, body in (
        ('/api/fold-in', large),
        ('/api/recommend', {'users': [1] * (MAX_PEOPLE + 1)}),
        ('/api/recommend', {'users': [1], 'k': MAX_K + 1}),
        ('/api/group', {'users': [1] * 101}),
        ('/api/recommend', {'users': [1], 'exclude': [1] * (MAX_K + 1)}),
    ):
        assert client.post(path, body).status_code == 422
    answer = client.post('/api/fold-in', {'ratings': {'x' * 2**21: 5}})
    assert answer.status_code == 413


def test_a_fault_of_the_program_tells_nothing(model, monkeypatch):
    def fail(*_, **__):
        raise OSError(2, 'No such file', '/secret/path')

    client = Client(guard(make_api(model), ServeSettings()))
    monkeypatch.setattr(Recommender, 'recommend', fail)
    answer = client.get('/api/recommend', user=1)
    assert answer.status_code == 500
    assert 'secret' not in answer.text
    assert answer.json()['title'] == 'Fault of the program'


def test_a_slow_answer_is_ended(model, monkeypatch):
    settings = ServeSettings(limits=RequestLimits(seconds=0.2))
    client = Client(guard(make_api(model), settings))
    monkeypatch.setattr(Recommender, 'history', lambda *_: time.sleep(0.6))
    answer = client.get('/api/history', user=1)
    assert answer.status_code == 504
    assert answer.headers['retry-after']


# Many at once


@pytest.mark.parametrize('kind', ['ials', 'als', 'bayes', 'ease', 'blend', 'knn'])
def test_threads_get_the_answers_of_one(kind, tmp_path):
    """A model that was just loaded is asked everything by eight threads at once."""
    path = fit(kind).save(tmp_path / 'model.npz')
    users = range(1, 25)

    def questions(model, user):
        new = {(user + n) % 20 + 1: n + 1 for n in range(4)}
        yield model.recommend([user], 5)
        yield model.recommend([user], 5, where='year > 1965', diversity=0.4)
        yield model.fold_in(new, 5)
        yield model.similar(user % 20 + 1, 5, 0, None)
        yield model.similar_users(user, 5, 0)
        yield model.history(user)
        yield model.recommend_group([user, new], k=3)
        if kind != 'bayes':
            yield model.explain(user, user % 20 + 1)
        if model.goal == 'rating':
            yield pd.Series(model.predict(user, [1, 2, 3]))

    alone = Recommender.load(path)
    expected = {user: [*questions(alone, user)] for user in users}
    model = Recommender.load(path)
    barrier = threading.Barrier(8)

    def work(number):
        barrier.wait()
        order = np.random.default_rng(number).permutation([*users]).tolist()
        return {user: [*questions(model, user)] for user in order}

    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(work, range(8)):
            for user, tables in found.items():
                for table, same in zip(tables, expected[user]):
                    assert table.equals(same) or close(
                        table.to_dict('list') if table.ndim > 1 else table.tolist(),
                        same.to_dict('list') if same.ndim > 1 else same.tolist(),
                    )


# The description


OPERATIONS = [
    *(
        ('GET', f'/api/{name}')
        for name in ('models', 'items', 'users', 'history', 'map')
    ),
    *(('GET', f'/api/{name}') for name in ('similar', 'similar-users')),
    *(('POST', f'/api/{name}') for name in ('fold-in', 'probabilities', 'group')),
    *(
        (method, f'/api/{name}')
        for name in ('recommend', 'explain', 'predict')
        for method in ('GET', 'POST')
    ),
    *(('GET', path) for path in ('/health', '/metrics')),
]

WITHOUT_PARAMETERS = {'/api/models', '/health', '/metrics'}


@pytest.fixture(scope='module')
def described_api():
    """The description of a Bayesian model, which can answer most questions."""
    if schemathesis is None:
        pytest.skip('schemathesis is not installed')
    app = guard(make_api(fit('bayes')), ServeSettings(allowed_hosts=('testserver',)))
    return schemathesis.openapi.from_asgi('/openapi.json', app)


def test_the_description_has_examples_that_fit(client):
    from jsonschema import Draft202012Validator
    from referencing import Registry, Resource
    from referencing.jsonschema import DRAFT202012

    description = client.get('/openapi.json').json()
    whole = Resource.from_contents(description, default_specification=DRAFT202012)
    registry = Registry().with_resource('urn:api', whole)
    n = 0
    for name, schema in description['components']['schemas'].items():
        for example in schema.get('examples', []):
            pointer = {'$ref': f'urn:api#/components/schemas/{name}'}
            Draft202012Validator(pointer, registry=registry).validate(example)
            n += 1
    assert n >= 15
    operations = [
        operation
        for path in description['paths'].values()
        for operation in path.values()
    ]
    assert len(operations) == 18
    for operation in operations:
        assert operation['operationId'].isidentifier()
        assert operation['summary']
        assert operation['description'].endswith('.')


@pytest.mark.parametrize(
    'method, path, mode',
    [
        (*operation, mode)
        for operation in OPERATIONS
        for mode in ('positive', 'negative')
        # These three take nothing that could be wrong.
        if mode == 'positive' or operation[1] not in WITHOUT_PARAMETERS
    ],
)
def test_schemathesis_finds_nothing(described_api, method, path, mode):
    """What the description promises holds for requests that are made from it."""
    from schemathesis import GenerationMode
    from schemathesis.checks import CHECKS

    operation = described_api[path][method]
    semantic = CHECKS.get_one('positive_data_acceptance')

    @settings(
        max_examples=12,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[*HealthCheck],
    )
    @given(case=operation.as_strategy(generation_mode=GenerationMode(mode)))
    def check(case):
        # A condition, an id or a rating may fit the schema and not the model, which
        # is 422.
        case.call_and_validate(excluded_checks=[semantic])

    check()


# The process


def fetch(url, **how):
    """Get something over a connection of its own.

    Without TLS nothing is verified; to read the known certificates takes longest.
    """
    return httpx.get(url, verify=False, **how)


def free_port():
    with socket.create_server(('127.0.0.1', 0)) as listener:
        return listener.getsockname()[1]


def is_free(port):
    with suppress(OSError), socket.create_server(('127.0.0.1', port)):
        return True
    return False


@contextmanager
def served(*words, home, **variables):
    """The command in a process of its own, once it answers, and its address."""
    port = free_port()
    command = [sys.executable, '-c', 'from mf_movielens.cli import main; main()']
    words = ['serve', *map(str, words), '--no-browser', '--port', str(port)]
    process = subprocess.Popen(
        command + words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {'MF_MOVIELENS_HOME': str(home)} | variables,
    )
    try:
        line = process.stdout.readline()
        assert 'serving' in line, process.stderr.read()
        yield process, f'http://127.0.0.1:{port}'
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=20)


def put_in_place(path, model):
    """Replace a file in one step."""
    model.save(path)


class Load:
    """Threads that ask without a pause, and what they were answered."""

    def __init__(self, address, n_threads=4):
        self.address = address
        self.answers = []
        self.refused = 0
        self.errors = []
        self.is_over = threading.Event()
        self.threads = [
            threading.Thread(target=self.work, args=(n,)) for n in range(n_threads)
        ]

    def work(self, number):
        with httpx.Client(base_url=self.address, timeout=20) as client:
            n = 0
            while not self.is_over.is_set():
                n += 1
                try:
                    if (n + number) % 2:
                        answer = client.get(
                            '/api/recommend', params={'user': n % 30 + 1}
                        )
                    else:
                        body = {'ratings': {str(n % 20 + 1): 5}, 'k': 5}
                        answer = client.post('/api/fold-in', json=body)
                except httpx.ConnectError:
                    # Nothing listens there any more: no request was lost.
                    self.refused += 1
                    return
                except httpx.HTTPError as e:
                    self.errors.append(e)
                    return
                self.answers.append((answer.status_code, answer.json().get('version')))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        for thread in self.threads:
            thread.join(30)


def wait_until(is_so, seconds=120):
    for _ in range(int(seconds / 0.02)):
        if is_so():
            return
        time.sleep(0.02)
    pytest.fail('it did not come about')


@pytest.mark.parametrize('n_workers', [1, 2])
def test_no_request_is_lost_by_a_reload_or_at_the_end(tmp_path, n_workers):
    first, second = with_films(planted(0)), with_films(planted(1))
    path = first.save(tmp_path / 'films.npz')
    home = tmp_path / 'home'
    words = (path, '--workers', n_workers)
    with served(*words, home=home) as (process, address), Load(address) as load:
        wait_until(lambda: len(load.answers) > 50)
        [before] = {version for _, version in load.answers}
        put_in_place(path, second)
        wait_until(
            lambda: len({version for _, version in load.answers[-20:]} - {before})
        )
        # A file that is no model changes nothing.
        n = len(load.answers)
        (tmp_path / 'broken').write_bytes(b'no model')
        os.replace(tmp_path / 'broken', path)
        wait_until(lambda: len(load.answers) > n + 200)
        time.sleep(1.5)
        health = fetch(f'{address}/health').json()
        assert 'the model before it is served' in health['models'][0]['problem']
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        wait_until(lambda: not any(thread.is_alive() for thread in load.threads))
        stderr = process.stderr.read()
    assert load.errors == []
    assert {status for status, _ in load.answers} == {200}
    assert len({version for _, version in load.answers}) == 2
    assert load.refused == len(load.threads)
    assert process.returncode == 0
    assert 'is served now' in stderr
    assert 'the old model stays' in stderr
    assert 'Traceback' not in stderr
    assert not [*(home / 'serving').iterdir()] if n_workers > 1 else not home.exists()


def test_what_has_begun_is_answered_at_the_end(tmp_path):
    """A request in flight at the signal, which takes a while, gets its answer."""
    rng = np.random.default_rng(0)
    rows = {
        'user': rng.integers(3000, size=60_000),
        'item': rng.integers(3000, size=60_000),
    }
    frame = pd.DataFrame(rows).drop_duplicates().assign(rating=1)
    model = Recommender.fit(Ratings.from_frame(frame), n_factors=2, n_iterations=1)
    path = model.save(tmp_path / 'large.npz')
    body = {'users': list(range(40)), 'k': 200, 'unknown': 'ignore', 'diversity': 0.5}
    with served(path, home=tmp_path) as (process, address):
        with ThreadPoolExecutor(1) as pool:
            url = f'{address}/api/recommend'
            asked = pool.submit(httpx.post, url, json=body, timeout=60)
            time.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            answer = asked.result(60)
        assert answer.status_code == 200
        assert process.wait(40) == 0


def test_workers_end_with_a_killed_server(tmp_path):
    path = fit('ials').save(tmp_path / 'films.npz')
    with served(path, '--workers', 2, home=tmp_path) as (process, address):
        assert fetch(f'{address}/health').status_code == 200
        port = int(address.rpartition(':')[2])
        process.kill()
        wait_until(lambda: is_free(port))


def test_workers_share_memory_and_count_together(tmp_path):
    path = fit('ials').save(tmp_path / 'films.npz')
    left_over = tmp_path / 'serving' / '999999999'
    left_over.mkdir(parents=True)
    with served(path, '--workers', 2, home=tmp_path) as (process, address):
        assert not left_over.exists()
        [own] = (tmp_path / 'serving').iterdir()
        assert own.name == str(process.pid)
        [unpacked] = (own / 'model-0').iterdir()
        assert (unpacked / 'item_factors.npy').exists()
        for _ in range(30):
            assert fetch(f'{address}/api/items').status_code == 200

        def n_counted():
            text = fetch(f'{address}/metrics').text
            label = 'requests_total{path="/api/items",status="200"} '
            # Each worker tells the other once a second what it has counted.
            lines = [line for line in text.splitlines() if label in line]
            assert len(lines) <= 1
            return sum(int(line.split()[-1]) for line in lines)

        wait_until(lambda: n_counted() == 30)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert not own.exists()


def test_no_part_of_an_answer_is_held_back():
    """Head and body are sent one after the other; the second must not wait."""
    config = serve._uvicorn_config('app', ServeSettings())
    _, listener = serve._listen(config, free_port())
    with listener:
        listener.listen()
        with socket.create_connection(listener.getsockname()):
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_log_of_requests_and_a_token_from_the_environment(tmp_path):
    path = fit('ials').save(tmp_path / 'films.npz')
    log = tmp_path / 'access.log'
    words = (path, '--access-log', log)
    with served(*words, home=tmp_path, MF_MOVIELENS_TOKEN=TOKEN) as (process, address):
        url = f'{address}/api/recommend?user=7'
        assert fetch(url).status_code == 401
        headers = {'Authorization': f'Bearer {TOKEN}'}
        assert fetch(url, headers=headers).status_code == 200
        headers['Host'] = 'evil.example'
        assert fetch(url, headers=headers).status_code == 421
        process.terminate()
        process.wait(30)
        errors = process.stderr.read()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line['status'] for line in lines] == [401, 200, 421]
    assert {line['path'] for line in lines} == {'/api/recommend'}
    assert 'user=' not in log.read_text()
    assert TOKEN not in log.read_text() + errors


RAW_REQUESTS = {
    'no host': b'GET /health HTTP/1.1\r\n\r\n',
    'two hosts': b'GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n',
    'null byte in a header': b'GET / HTTP/1.1\r\nHost: localhost\r\nX: \0\r\n\r\n',
    'long path': b'GET /' + b'a' * 100_000 + b' HTTP/1.1\r\nHost: localhost\r\n\r\n',
    'many headers': b'GET / HTTP/1.1\r\nHost: localhost\r\n'
    + b'X: y\r\n' * 100_000
    + b'\r\n',
    'no HTTP': b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n',
    'negative length': b'POST /api/fold-in HTTP/1.1\r\nHost: localhost\r\n'
    b'Content-Length: -1\r\n\r\n',
    'two lengths': b'POST /api/fold-in HTTP/1.1\r\nHost: localhost\r\n'
    b'Content-Length: 5\r\nContent-Length: 6\r\n\r\n12345',
    'bad chunk': b'POST /api/fold-in HTTP/1.1\r\nHost: localhost\r\n'
    b'Transfer-Encoding: chunked\r\n\r\nxyz\r\n',
    'too large': b'POST /api/fold-in HTTP/1.1\r\nHost: localhost\r\n'
    b'Content-Length: 99999999999\r\n\r\n',
    'another host in the path': b'GET http://evil/health HTTP/1.1\r\n'
    b'Host: evil\r\n\r\n',
}


@pytest.fixture(scope='module')
def example(tmp_path_factory):
    """A server whose model knows what the examples ask for; it ends well at last."""
    folder = tmp_path_factory.mktemp('example')
    frame = planted(n_users=200, n_items=30, n=3000)
    titles = {1: 'Fargo (1996)', 2: 'Star Wars (1977)'}
    titles |= {item: f'Film {item}' for item in range(3, 31)}
    ratings = Ratings.from_frame(frame, scale=(1, 5), titles=titles)
    path = Recommender.fit(ratings, n_factors=4).save(folder / 'model.npz')
    with served(path, home=folder) as (process, address):
        yield address
        process.terminate()
        assert process.wait(30) == 0


def test_hostile_bytes(example):
    port = int(example.rpartition(':')[2])
    for name, content in RAW_REQUESTS.items():
        with socket.create_connection(('127.0.0.1', port), timeout=10) as connection:
            # It may hang up before it has read everything, but it must not wait.
            with suppress(ConnectionError):
                connection.sendall(content)
            answer = b''
            with suppress(ConnectionError):
                answer = connection.recv(1000)
        assert not answer or answer[9:10] == b'4', (name, answer)
        assert fetch(f'{example}/health').status_code == 200


# The command


def test_the_command_refuses_what_makes_no_sense(call, tmp_path):
    path = fit('ials').save(tmp_path / 'films.npz')
    (tmp_path / 'text.npz').write_text('no model')
    for words, reason, code in (
        (['nothing.npz'], 'there is no model at nothing.npz', 2),
        ([path, '--host', '0.0.0.0'], '--token', 2),
        ([path, '--token', 'short'], 'a token has at least 16', 2),
        ([path, '--workers', '0'], '--workers', 2),
        ([tmp_path / 'text.npz'], 'text.npz', 1),
    ):
        status, _, errors = call('serve', *words, '--no-browser')
        assert status == code, errors
        assert reason in errors


def test_a_port_that_is_taken_is_named(call, tmp_path):
    path = fit('ials').save(tmp_path / 'films.npz')
    with socket.create_server(('127.0.0.1', 0)) as listener:
        port = listener.getsockname()[1]
        code, _, errors = call('serve', path, '--port', port, '--no-browser')
    assert code == 1
    assert f'port {port}' in errors


def test_without_the_extra_the_module_imports_and_names_the_way_out(tmp_path):
    program = """
import sys
sys.modules['fastapi'] = sys.modules['uvicorn'] = None
import mf_movielens.api, mf_movielens.serve, mf_movielens.gate
from mf_movielens.cli import main
sys.argv = ['mf-movielens', 'serve', sys.argv[1], '--no-browser']
main()
"""
    path = fit('ials').save(tmp_path / 'films.npz')
    process = subprocess.run(
        [sys.executable, '-c', program, path], capture_output=True, text=True
    )
    assert process.returncode == 1
    assert "pip install 'mf_movielens[serve]'" in process.stderr
    assert 'Traceback' not in process.stderr


# The chapter and the examples


def blocks_of_the_chapter(language):
    """The examples in the text of the chapter *Serving*."""
    text = (ROOT / 'nbs/28_serving.ipynb').read_text(encoding='utf-8')
    cells = [c for c in json.loads(text)['cells'] if c['cell_type'] == 'markdown']
    sources = [''.join(cell['source']) for cell in cells]
    pattern = re.compile(rf'```{language}\n(.*?)```', re.DOTALL)
    return [block for source in sources for block in pattern.findall(source)]


def test_the_examples_of_curl_are_answered(example):
    if shutil.which('curl') is None:
        pytest.skip('curl is not installed')
    [block] = [b for b in blocks_of_the_chapter('sh') if 'curl' in b]
    block = block.replace('http://127.0.0.1:8000', example)
    commands = block.replace('\\\n', '').strip().splitlines()
    assert len(commands) == 3
    for command in commands:
        done = subprocess.run(
            shlex.split(command), capture_output=True, text=True, timeout=30
        )
        content = json.loads(done.stdout)
        assert len(content.get('recommendations', content.get('similar'))) == 3


def test_the_example_of_httpx_runs(example):
    [block] = blocks_of_the_chapter('python')
    program = block.replace('http://127.0.0.1:8000', example)
    done = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4


def options_of_serve():
    """The names of all options of the command."""
    from typer.main import get_command

    from mf_movielens.cli import app

    parameters = get_command(app).commands['serve'].params
    return {name for p in parameters for name in p.opts}


def commands_of_the_examples():
    """Every command line `mf-movielens serve …` of the chapter and of docs/serving."""
    docker = (ROOT / 'docs/serving/Dockerfile').read_text()
    [listed] = re.findall(r'^CMD (\[.*\])$', docker, re.MULTILINE)
    unit = (ROOT / 'docs/serving/mf-movielens.service').read_text()
    [start] = re.findall(r'^ExecStart=(.*)$', unit, re.MULTILINE)
    lines = '\n'.join(blocks_of_the_chapter('sh')).splitlines()
    typed = [line.partition('&& ')[2] or line for line in lines]
    found = [shlex.split(line) for line in typed if 'mf-movielens serve' in line]
    return [json.loads(listed), shlex.split(start), *found]


def test_the_commands_of_the_examples_have_such_options():
    known = options_of_serve()
    commands = commands_of_the_examples()
    assert len(commands) >= 4
    for words in commands:
        assert Path(words[0]).name == 'mf-movielens'
        assert words[1] == 'serve'
        options = {word for word in words if word.startswith('--')}
        assert options <= known, options - known
        assert ('0.0.0.0' in words) <= ('--no-browser' in words)


def test_the_examples_stop_gracefully_and_not_as_root():
    docker = (ROOT / 'docs/serving/Dockerfile').read_text()
    lines = [line.split()[0] for line in docker.splitlines() if line[:1].isupper()]
    order = ['FROM', 'RUN', 'RUN', 'USER', 'ENV', 'EXPOSE', 'HEALTHCHECK']
    assert lines == [*order, 'STOPSIGNAL', 'CMD']
    unit = configparser.ConfigParser(strict=False)
    unit.optionxform = str
    unit.read(ROOT / 'docs/serving/mf-movielens.service')
    assert unit.sections() == ['Unit', 'Service', 'Install']
    service = unit['Service']
    assert service['DynamicUser'] == service['NoNewPrivileges'] == 'yes'
    assert int(service['TimeoutStopSec']) > 32


def test_health_of_a_server_that_stops():
    shelf = Shelf([ServedModel.of('films', fit('ials'))])
    client = Client(make_api(shelf))
    assert client.get('/health').status_code == 200
    shelf.is_stopping = True
    answer = client.get('/health')
    assert answer.status_code == 503 and answer.json()['status'] == 'stopping'


def test_requests_that_were_refused_take_no_place(model):
    limits = RequestLimits(at_once=2, body_bytes=1000)
    client = Client(guard(make_api(model), ServeSettings(limits=limits)))
    for _ in range(3):
        too_large = client.post('/api/fold-in', {'ratings': {'x' * 2000: 1}})
        assert too_large.status_code == 413
    assert client.post('/api/fold-in', {'ratings': {'1': 5}}).status_code == 200
