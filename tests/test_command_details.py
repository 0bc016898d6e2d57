"""Small things on the command line, as somebody who types them meets them."""

from __future__ import annotations

import json
from dataclasses import replace
from inspect import signature
from itertools import product

import numpy as np
import pandas as pd
import pytest

from mf_movielens import cli
from mf_movielens.encoding import Ratings, UnknownIdError, Vocabulary
from mf_movielens.recommender import Recommender
from mf_movielens.splits import random_split
from mf_movielens.tuning import tune_settings

STARS = pd.DataFrame(
    {
        'user': ['0001', '0001', '0002', '0002', '0003', '0003'],
        'item': ['0011', '0012', '0011', '0013', '0012', '0013'],
        'rating': [5, 3, 4, 2, 4, 5],
    }
)


@pytest.fixture(scope='module')
def model() -> Recommender:
    ratings = Ratings.from_frame(STARS, scale=(1, 5))
    return Recommender.fit(ratings, 'als', n_factors=2)


@pytest.fixture
def path(model, tmp_path):
    return model.save(tmp_path / 'model.npz')


def test_known_users_get_their_lists_in_the_file(call, path):
    for ending, read in (('csv', pd.read_csv), ('parquet', pd.read_parquet)):
        words = ('recommend', '0001', 'nope', '0003', '--out', f'top.{ending}')
        code, out, err = call(*words, '-m', path)
        assert code == 3 and out == f'wrote top.{ending}\n'
        assert err.startswith("error: user 'nope' is not among")
        found = read(f'top.{ending}')
        assert set(found.user.astype(int)) == {1, 3}
    code, out, err = call('recommend', 'nope', '--out', 'none.csv', '-m', path)
    assert code == 2 and 'nope' in err and pd.io.common.file_exists('top.csv')
    assert not pd.io.common.file_exists('none.csv')


def test_somebody_who_is_named_twice_gets_one_list(call, path):
    once = call('recommend', '0001', '-m', path)
    assert call('recommend', '0001', '0001', '-m', path) == once
    words = ('recommend', '0001', '0003', '0001', '-m', path, '--json')
    rows = json.loads(call(*words)[1])
    assert [row['user'] for row in rows] == ['0001', '0003']


@pytest.mark.parametrize(
    'text',
    [
        'user,item\n0001,0013\n0002,0012\n',
        '0001,0013\n0002,0012\n',
        'item\tuser\n0013\t0001\n0012\t0002\n',
        'user,item,timestamp\n0001,0013,5\n0002,0012,6\n',
    ],
)
def test_pairs_need_no_ratings(call, path, model, tmp_path, text):
    (tmp_path / 'pairs.csv').write_text(text)
    code, out, err = call('predict', '--pairs', 'pairs.csv', '-m', path, '--json')
    assert code == 0, err
    found = pd.DataFrame(json.loads(out))
    expected = model.predict(['0001', '0002'], ['0013', '0012'])
    assert np.allclose(found.prediction, expected)
    assert 'rating' not in found


def test_pairs_that_cannot_be_read_are_refused_as_before(call, path, tmp_path):
    (tmp_path / 'pairs.csv').write_text('one\ntwo\n')
    code, _, err = call('predict', '--pairs', 'pairs.csv', '-m', path)
    assert code == 2 and err.count('\n') == 1


def test_where_nothing_is_left_the_condition_is_named(call, path):
    words = ('similar', '0011', '-m', path, '--where')
    code, out, _ = call(*words, 'n_ratings > 50')
    assert code == 0 and out.endswith('nothing: no other item meets the condition\n')
    out = call(*words, 'n_ratings > 1', '--min-ratings', 5)[1]
    assert 'a smaller --min-ratings may find some' in out
    out = call('similar', '0011', '-m', path, '--min-ratings', 5)[1]
    assert 'a smaller --min-ratings may find some' in out


def test_zeros_that_a_spreadsheet_dropped_are_named(call, path):
    for words in (
        ('recommend', '1'),
        ('predict', '1', '0011'),
        ('similar', '11'),
        ('recommend', '00001'),
    ):
        code, _, err = call(*words, '-m', path)
        assert code == 2 and err.count('Zeros before a number count') == 1
        assert err.count("'0011'" if words[0] == 'similar' else "'0001'") == 1
    numbers = STARS.astype(int)
    plain = Recommender.fit(Ratings.from_frame(numbers, scale=(1, 5)), n_factors=2)
    with pytest.raises(UnknownIdError, match='Did you mean 1. Zeros before'):
        plain.recommend('0001')
    with pytest.raises(UnknownIdError) as error:
        plain.recommend('1')
    assert 'Zeros' not in str(error.value) and 'Did you mean 1?' in str(error.value)
    with pytest.raises(UnknownIdError) as error:
        plain.recommend(9)
    assert 'Zeros' not in str(error.value)


def test_titles_do_not_hide_ids_with_zeros(call, tmp_path):
    titles = {'0011': 'Heat', '0012': 'Babe', '0013': 'Fargo'}
    ratings = Ratings.from_frame(STARS, scale=(1, 5), titles=titles)
    path = Recommender.fit(ratings, n_factors=2).save(tmp_path / 'model.npz')
    code, _, err = call('similar', '12', '-m', path)
    assert code == 2 and "Did you mean '0012'? Zeros before a number count" in err


def test_the_same_number():
    ids = Vocabulary(['0042', '42', '142', 'x42', '0'])
    assert ids.same_number('042') == ['0042', '42']
    assert ids.same_number('000') == ['0']
    assert ids.same_number('x42') == ids.same_number('') == ids.same_number('-42') == []
    assert Vocabulary([42]).same_number('9' * 40) == []


@pytest.mark.parametrize(
    'command, left_out',
    [
        ('train', ()),
        ('update', ('scale',)),
        ('evaluate', ('scale', 'titles', 'titles_id_column')),
        (
            'predict',
            ('scale', 'titles', 'titles_id_column', 'kind', 'missing')
            + ('negative', 'marks'),
        ),
    ],
)
def test_commands_read_tables_with_the_same_options(command, left_out):
    names = set(signature(getattr(cli, command)).parameters)
    # What a like is, is a setting of evaluate as well.
    assert names & set(cli._TABLE_OPTIONS) == set(cli._TABLE_OPTIONS) - set(left_out)
    assert 'table' not in names


@pytest.mark.parametrize('command', ['recommend', 'group', 'rate', 'similar'])
def test_commands_have_the_same_rules(command):
    names = set(signature(getattr(cli, command)).parameters) & set(cli._RULE_OPTIONS)
    of_similar = {'where', 'exclude'}
    assert names == (of_similar if command == 'similar' else set(cli._RULE_OPTIONS))


def test_options_of_text_files_reach_predict(call, path, tmp_path, model):
    text = 'made by hand\n# a comment\nuser;item\n0001;0013\n'
    (tmp_path / 'pairs.csv').write_text(text)
    words = ('--separator', ';', '--skip', 1, '--comment', '#', '--header', '--json')
    code, out, err = call('predict', '--pairs', 'pairs.csv', '-m', path, *words)
    assert code == 0, err
    assert np.isclose(json.loads(out)[0]['prediction'], model.predict('0001', '0013'))


@pytest.mark.parametrize('words, n', [((), 15), (('-k', 3), 3)])
def test_a_history_is_whole_unless_a_number_is_named(call, tmp_path, words, n):
    frame = pd.DataFrame({'user': 1, 'item': range(15), 'rating': [4, 5, 3] * 5})
    ratings = Ratings.from_frame(frame, scale=(1, 5))
    path = Recommender.fit(ratings, 'als', n_factors=1).save(tmp_path / 'model.npz')
    code, out, err = call('history', 1, '-m', path, *words, '--json')
    assert code == 0, err
    assert len(json.loads(out)) == n


@pytest.mark.parametrize('words, is_all', [((), False), (('--no-evaluate',), True)])
def test_a_search_does_not_see_what_judges_its_model(
    call, monkeypatch, tmp_path, words, is_all
):
    calls = []

    def spied(ratings, *args, **options):
        calls.append((ratings, options))
        return tune_settings(ratings, *args, **options)

    monkeypatch.setattr(cli, 'tune_settings', spied)
    monkeypatch.setattr(cli, '_run_training', lambda *args: None)
    pairs = np.random.default_rng(0).choice(300, 150, replace=False)
    frame = pd.DataFrame({'user': pairs // 15, 'item': pairs % 15, 'rating': 1})
    frame.to_csv(tmp_path / 'likes.csv', index=False)
    command = ('train', 'likes.csv', '--tune', '--solver', 'ials', '--trials', 1)
    code, _, err = call(*command, '--seconds', 60, '--seed', 3, *words)
    assert code == 0, err
    ((searched, options),) = calls
    assert options['trials'] == 1 and options['seconds'] == 60 and options['seed'] == 3
    ratings = Ratings.from_frame(frame)
    expected = ratings if is_all else random_split(ratings).train
    assert searched.fingerprint == expected.fingerprint


def test_evaluate_ranks_once(call, path, monkeypatch, tmp_path):
    from mf_movielens import evaluation

    calls = []

    def counted(*words, **options):
        calls.append(1)
        return rank_items(*words, **options)

    rank_items = evaluation.rank_items
    monkeypatch.setattr(evaluation, 'rank_items', counted)
    test = pd.DataFrame({'user': ['0001', '0003'], 'item': ['0013', '0011']})
    test.assign(rating=[5, 4]).to_csv('test.csv', index=False)
    words = ('evaluate', 'test.csv', '-m', path, '-k', 1, '-k', 2, '--json')
    plain = call(*words)
    assert len(calls) == 1
    calls.clear()
    assert call(*words, '--per-user', 'users.csv') == plain
    assert len(calls) == 1
    users = pd.read_csv('users.csv', dtype={'user': str})
    expected = json.loads(plain[1])
    assert users.user.tolist() == ['0001', '0003']
    assert np.isclose(users['ndcg@1'].mean(), expected['ndcg@1'])


def test_info_rounds_fractions_of_any_size(call, model, tmp_path):
    odd = {'reg': 0.07559758, 'damping': 4.0, 'half_life': 12345.6, 'seed': 1234567}
    path = replace(model, settings=model.settings | odd).save(tmp_path / 'odd.npz')
    _, out, _ = call('info', '-m', path)
    shown = dict(line.split(maxsplit=1) for line in out.splitlines())
    expected = ['0.0756', '4', '12346', '1234567']
    assert [shown[name] for name in odd] == expected
    exact = json.loads(call('info', '-m', path, '--json')[1])
    assert {name: exact[name] for name in odd} == odd


def test_zeros_have_no_sign(call, tmp_path):
    """An item that nobody likes contributes nothing, in either direction."""
    rng = np.random.default_rng(0)
    user, item = np.nonzero(rng.random((30, 20)) < 0.3)
    frame = pd.DataFrame({'user': user, 'item': item})
    frame['rating'] = rng.integers(1, 6, len(frame))
    for solver in ('als', 'ials', 'knn', 'ease'):
        model = Recommender.fit(Ratings.from_frame(frame, scale=(1, 5)), solver)
        path = model.save(tmp_path / f'{solver}.npz')
        n_zeros, printed = 0, []
        for user, item in product(range(8), (3, 5)):
            parts = model.explain(user, item)
            zeros = parts[parts.columns[-1]]
            zeros = zeros[zeros == 0]
            n_zeros += len(zeros)
            assert not np.signbit(zeros).any()
            printed += call('explain', user, item, '-m', path)[1].split()
        # With als, each rating contributes something, which may be rounded to zero.
        assert n_zeros or solver == 'als'
        assert {'0.0', '0.00', '0.000'} & {*printed}
        assert not {'-0.0', '-0.00', '-0.000'} & {*printed}
