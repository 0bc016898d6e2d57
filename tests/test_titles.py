"""Titles that several items share: the answer names their ids, and guesses nothing."""

import re
import sys

import numpy as np
import pandas as pd
import pytest

from mf_movielens.catalog import Catalog
from mf_movielens.cli import main
from mf_movielens.encoding import Ratings, RatingsError, UnknownIdError, Vocabulary
from mf_movielens.reading import load_ratings
from mf_movielens.recommender import Recommender

TITLES = {
    101: 'Emma (1996)',
    102: 'Momo (1986)',
    103: 'Emma (1996)',
    104: 'Emma (1932)',
    105: 'Solaris (1972)',
    106: 'Solaris',
    107: 'SOLARIS (2002)',
    108: 'Persuasion (1995)',
}
# what is asked for, and the ids that bear this title
ASKED = {
    'Emma (1996)': {101, 103},
    'emma (1996)': {101, 103},
    ' EMMA (1996) ': {101, 103},
    'Emma': {101, 103, 104},
    'Emma (1932)': {104},
    'Solaris': {105, 106, 107},
    'solaris (2002)': {107},
    'Solaris (1972)': {105},
    'Momo': {102},
    'persuasion (1995)': {108},
}
SHARED = [title for title, ids in ASKED.items() if len(ids) > 1]
USER = 7
SHORT = {
    'als': {'n_factors': 2, 'n_iterations': 2},
    'ials': {'n_factors': 2, 'n_iterations': 2},
    'bayes': {'n_factors': 2, 'n_burn_in': 0, 'n_samples': 5, 'progress': False},
}


def rated():
    "Everybody has rated about half of the items; the first is rated by everybody."
    rng = np.random.default_rng(0)
    user, item = np.nonzero(rng.random((25, len(TITLES))) < 0.5)
    pairs = {(u, 101 + i) for u, i in zip(user, item)} | {(u, 101) for u in range(25)}
    table = pd.DataFrame(sorted(pairs), columns=['user_id', 'item_id'])
    return table.assign(rating=rng.integers(1, 6, len(table)).astype('float64'))


@pytest.fixture(scope='module')
def models():
    ratings = Ratings.from_frame(rated(), item='item_id', scale=(1, 5), titles=TITLES)
    return {
        solver: Recommender.fit(ratings, solver, **settings)
        for solver, settings in SHORT.items()
    }


def one_person(item):
    "A column of ids or of titles; it cannot hold both."
    other = 'Momo' if isinstance(item, str) else 102
    return pd.DataFrame({'item': [item, other], 'rating': [5, 2]})


# the ways to ask for a title, and the solvers whose models can be asked so
WAYS = {
    'find': ('als', lambda m, t: m.find(t)),
    'similar': ('als ials bayes', lambda m, t: m.similar(t)),
    'explain an item': ('als ials', lambda m, t: m.explain(USER, t)),
    'explain a new user': ('als ials', lambda m, t: m.explain({t: 5, 102: 2}, 108)),
    'predict': ('als bayes', lambda m, t: m.predict(USER, t)),
    'predict many': ('als', lambda m, t: m.predict(USER, [102, t])),
    'intervals': ('bayes', lambda m, t: m.intervals(USER, t)),
    'probabilities': ('bayes', lambda m, t: m.probabilities(USER, t)),
    'candidates': ('als ials', lambda m, t: m.recommend(USER, candidates=[102, t])),
    'fold in a dict': ('als ials bayes', lambda m, t: m.fold_in({t: 5})),
    'fold in a series': ('als', lambda m, t: m.fold_in(pd.Series([5, 2], [t, 102]))),
    'fold in a frame': ('als ials', lambda m, t: m.fold_in(one_person(t))),
    'fold in many users': (
        'als ials bayes',
        lambda m, t: m.fold_in(one_person(t).assign(user='x')),
    ),
    'fold in, candidates': ('als', lambda m, t: m.fold_in({102: 5}, candidates=[t])),
}
ASKS = [
    (way, solver) for way, (solvers, _) in WAYS.items() for solver in solvers.split()
]


def ids_in(text):
    return {int(number) for number in re.findall(r'\b1\d\d\b', text)}


@pytest.mark.parametrize('way, solver', ASKS)
def test_a_shared_title_is_refused_and_its_ids_are_named(models, way, solver):
    for title in SHARED:
        with pytest.raises(UnknownIdError) as refused:
            WAYS[way][1](models[solver], title)
        assert ids_in(str(refused.value)) == ASKED[title]
        assert repr(title) in str(refused.value)


@pytest.mark.parametrize('way, solver', ASKS)
def test_a_title_of_one_item_is_as_good_as_its_id(models, way, solver):
    ask = WAYS[way][1]
    for title, ids in ASKED.items():
        # 102 and 108 stand in some of the questions already
        if len(ids) > 1 or ids & {102, 108}:
            continue
        by_title, by_id = (ask(models[solver], x) for x in (title, *ids))
        if isinstance(by_title, pd.DataFrame):
            pd.testing.assert_frame_equal(by_title, by_id)
        else:
            assert np.array_equal(by_title, by_id)


def test_every_title_finds_its_items(models):
    model = models['als']
    for title, ids in ASKED.items():
        if len(ids) == 1:
            assert {model.items.decode(model.find(title)).item()} == ids
    for item in TITLES:
        assert model.items.decode(model.find(item)).item() == item


@pytest.fixture(scope='module')
def model_path(models, tmp_path_factory):
    return models['als'].save(tmp_path_factory.mktemp('titles') / 'model.npz')


def typed(monkeypatch, capsys, *words):
    "(exit code, output, errors) of a command line."
    monkeypatch.setattr(sys, 'argv', ['mf-movielens', *map(str, words)])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code, *capsys.readouterr()


COMMANDS = {
    'similar': lambda title: ['similar', title],
    'explain': lambda title: ['explain', USER, title],
    'predict': lambda title: ['predict', USER, title],
    'predict many': lambda title: ['predict', USER, '102', title],
    'rate': lambda title: ['rate', f'{title}=5', '102=2'],
}


@pytest.mark.parametrize('command', COMMANDS)
def test_the_command_line_refuses_a_shared_title(
    monkeypatch, capsys, model_path, command
):
    for title in ('Emma (1996)', 'Solaris'):
        words = COMMANDS[command](title)
        code, out, err = typed(monkeypatch, capsys, *words, '--model', model_path)
        assert code == 2
        assert not out
        assert ids_in(err) == ASKED[title]
    words = COMMANDS[command]('Emma (1932)')
    code, by_title, _ = typed(monkeypatch, capsys, *words, '--model', model_path)
    assert not code
    words = COMMANDS[command]('104')
    assert by_title == typed(monkeypatch, capsys, *words, '--model', model_path)[1]


# 1984 is an id and the title of 7; 'a' is a text id and the title of 'b'.
TWO_MEANINGS = {
    'numbers': ({7: '1984', 1984: 'Momo (1973)', 9: 'Emma'}, '1984', 1984, 7),
    'text': ({'b': 'A', 'a': 'Momo (1973)', 'c': 'Emma'}, 'a', 'id:a', 'b'),
}


def double_model(kind, solver='als'):
    "A model of three items, and a text that may mean two of them."
    titles = TWO_MEANINGS[kind][0]
    table = pd.DataFrame(
        [
            (user, item, 1 + (user * 3 + n) % 5)
            for user in range(1, 7)
            for n, item in enumerate(titles)
            if (user + n) % 4
        ],
        columns=['user', 'item', 'rating'],
    )
    table.loc[len(table)] = (USER, next(iter(titles)), 4)
    table['item'] = table['item'].astype(object).infer_objects()
    ratings = Ratings.from_frame(table, scale=(1, 5), titles=titles)
    return Recommender.fit(ratings, solver, n_factors=1, n_iterations=2)


# ways to ask, for any item
DOUBLE_WAYS = {
    'find': lambda m, t: m.find(t),
    'similar': lambda m, t: m.similar(t, min_ratings=0),
    'explain': lambda m, t: m.explain(USER, t),
    'predict': lambda m, t: m.predict(USER, t),
    'predict many': lambda m, t: m.predict(USER, [t]),
    'candidates': lambda m, t: m.recommend(USER, candidates=[t], exclude_seen=False),
    'ignore': lambda m, t: m.predict(USER, [t], unknown='ignore'),
    'fold in': lambda m, t: m.fold_in({t: 5}),
}


@pytest.mark.parametrize('kind', TWO_MEANINGS)
@pytest.mark.parametrize('way', DOUBLE_WAYS)
def test_a_text_that_is_an_id_and_a_title_is_refused(kind, way):
    _, text, by_id, other = TWO_MEANINGS[kind]
    model, ask = double_model(kind), DOUBLE_WAYS[way]
    with pytest.raises(UnknownIdError) as refused:
        ask(model, text)
    assert f'{text!r} is the id of' in str(refused.value)
    assert f'Say which: id:{text} or {other}' in str(refused.value)
    # both ways out lead to the items meant
    for sure, row in ((by_id, 1), (f'id:{text}', 1), (other, 0)):
        assert model.find(sure) == row
        ask(model, sure)


def test_what_was_understood_is_said(capsys):
    model = double_model('numbers')
    found = model.similar(1984, min_ratings=0)
    assert capsys.readouterr().out == "similar to 'Momo (1973)' (id 1984)\n"
    assert found.attrs['item'] == 1984
    model.similar(7, say=None)
    assert capsys.readouterr().out == ''


def test_a_column_of_ids_is_one_of_ids():
    "One that is an id only tells what the others are."
    model = double_model('text')
    every = model.items.index
    expected = [model.predict(USER, item) for item in ('b', 'id:a', 'c')]
    assert np.allclose(model.predict(USER, every), expected)
    frame = pd.DataFrame({'user': USER, 'item': every})
    assert np.allclose(model.predict(frame), expected)
    assert len(model.recommend(USER, candidates=every, exclude_seen=False)) == 3
    history = dict.fromkeys(every, 3)
    assert model.fold_in(history, exclude_seen=False).shape[0] == 3
    # 'emma' is a title only, so that the others may be titles, too
    with pytest.raises(UnknownIdError, match="'a' is the id of"):
        model.predict(USER, ['a', 'emma'])


def test_an_id_that_stands_for_a_missing_title_is_no_title():
    table = pd.DataFrame({'user': [1, 1, 2], 'item': ['b', 'B', 'c'], 'rating': 4})
    for titles in (None, {'c': 'Emma'}):
        ratings = Ratings.from_frame(table, scale=(1, 5), titles=titles)
        model = Recommender.fit(ratings, n_factors=1)
        assert [model.find(id) for id in ('b', 'B', 'c')] == [0, 1, 2]


@pytest.mark.parametrize('kind', TWO_MEANINGS)
def test_the_command_line_refuses_an_id_that_is_a_title(
    monkeypatch, capsys, tmp_path, kind
):
    _, text, _, other = TWO_MEANINGS[kind]
    model = double_model(kind)
    path = model.save(tmp_path / 'model.npz')
    questions = (
        ['similar', text],
        ['explain', USER, text],
        ['predict', USER, text],
        ['predict', USER, other, text],
        ['rate', f'{text}=5', f'{other}=2'],
    )
    for words in questions:
        words += ['--model', path]
        code, out, err = typed(monkeypatch, capsys, *words)
        assert (code, out) == (2, '')
        assert f'Say which: id:{text} or {other}' in err
    least = ['--min-ratings', 0, '--model', path]
    for word, row in ((f'id:{text}', 1), (other, 0)):
        code, out, _ = typed(monkeypatch, capsys, 'similar', word, *least)
        assert not code
        assert out.startswith(f'similar to {model.catalog.describe(row)}\n')
        code, out, _ = typed(monkeypatch, capsys, 'predict', USER, word, '-m', path)
        assert not code
        sure = model.catalog.sure_id(row)
        assert f'{model.predict(USER, sure):.2f}' in out


@pytest.mark.parametrize('kind', TWO_MEANINGS)
def test_every_shortest_name_finds_its_item(kind):
    catalog = double_model(kind).catalog
    for row in range(3):
        assert catalog.find_word(catalog.shortest_name(row)) == row
        assert catalog.find(catalog.sure_id(row)) == row
    assert catalog.shortest_name(2) == 'Emma'


def test_what_train_suggests_can_be_typed(monkeypatch, capsys, tmp_path):
    "The most rated item shares its title, so its id is suggested."
    table = rated()
    table.assign(title=table.item_id.map(TITLES)).to_csv(
        tmp_path / 'ratings.csv', index=False
    )
    words = ['train', tmp_path / 'ratings.csv', '--solver', 'als', '--n-factors', 2]
    words += ['--no-evaluate', '--out', tmp_path / 'out']
    code, out, _ = typed(monkeypatch, capsys, *words)
    assert not code
    assert 'mf-movielens similar 101 ' in out
    assert 'mf-movielens rate 101=5 ' in out


SALES = pd.DataFrame({'user': [1, 1, 2, 2, 3], 'item': [4, 7, 9, 2, 5], 'rating': 5})
DRINKS = ['Tea', 'Rum', 'Gin', 'Ale', 'Wine']
# `item` is a running number, of which three of five are ids of items by accident
SHOP = pd.DataFrame({'item': [1, 2, 3, 4, 5], 'code': [4, 7, 9, 2, 5], 'title': DRINKS})
AS_SOLD = dict(zip(SHOP.code, DRINKS))


def titles_of(titles, **options):
    ratings = load_ratings(SALES, titles=titles, say=None, **options)
    return dict(zip(ratings.items.index.tolist(), ratings.titles))


@pytest.fixture(params=['frame', 'file', 'file without a header'])
def shop(request, tmp_path):
    "The list of the shop; its columns of numbers and of codes."
    if request.param == 'frame':
        return SHOP, 'item', 'code'
    has_header = request.param == 'file'
    columns = ['item', 'title', 'code'] if has_header else ['title', 'code']
    SHOP[columns].to_csv(tmp_path / 'shop.csv', index=False, header=has_header)
    names = ('item', 'code') if has_header else (0, 1)
    return tmp_path / 'shop.csv', *names


def test_a_column_that_holds_more_of_the_ids_is_asked_about(shop):
    titles, named, better = shop
    with pytest.raises(RatingsError) as asked:
        titles_of(titles)
    message = str(asked.value)
    assert f'column {named!r} holds {0 if named == 0 else 3} of the 5' in message
    assert f'column {better!r} holds 5' in message
    assert f"titles_id='{named}' or titles_id='{better}'" in message
    assert asked.value.argument == 'titles_id'
    assert titles_of(titles, titles_id=better) == AS_SOLD
    assert titles_of(titles, titles_id=str(better)) == AS_SOLD
    with pytest.raises(RatingsError, match="no column 'nowhere'"):
        titles_of(titles, titles_id='nowhere')


def test_the_named_column_of_ids_is_taken_though_it_holds_few():
    assert titles_of(SHOP, titles_id='item')[4] == 'Ale'
    # another name that tells, and a column of the same name that is as good
    renamed = SHOP.rename(columns={'item': 'item_id'})
    with pytest.raises(RatingsError, match="'item_id' holds 3 of the 5"):
        titles_of(renamed)
    assert titles_of(SHOP.assign(item=SHOP.code, code=SHOP.code)) == AS_SOLD
    some = SHOP[:4].assign(item=SHOP.code[:4], code=range(90, 94))
    assert titles_of(some) == AS_SOLD | {5: '5'}


def test_the_command_line_asks_for_the_column_of_ids(monkeypatch, capsys, tmp_path):
    SALES.to_csv(tmp_path / 'sales.csv', index=False)
    SHOP.to_csv(tmp_path / 'shop.csv', index=False)
    words = ['train', tmp_path / 'sales.csv', '--titles', tmp_path / 'shop.csv']
    words += ['--out', tmp_path / 'out', '--no-evaluate', '--n-factors', 1]
    code, _, err = typed(monkeypatch, capsys, *words)
    assert code == 2
    assert '--titles-id-column item or --titles-id-column code' in err
    code, _, err = typed(monkeypatch, capsys, *words, '--titles-id-column', 'code')
    assert (code, err) == (0, '')
    model = Recommender.load(tmp_path / 'out' / 'model.npz')
    assert dict(zip(model.items.index.tolist(), model.titles)) == AS_SOLD


def test_of_similar_titles_the_most_rated_come_first():
    titles = ['Alien (1979)', 'Alien 3 (1992)', 'Aliens (1986)', 'Alien Nation (1988)']
    counts = np.array([5, 1, 9, 7])
    catalog = Catalog(Vocabulary(range(4)), np.array(titles, object), counts)
    with pytest.raises(UnknownIdError, match=r'Aliens .*Alien Nation .*Alien \(1979'):
        catalog.find('lien')


def test_a_year_within_a_title_is_part_of_it():
    frame = pd.DataFrame({'user': [1, 2], 'item': [7, 8], 'rating': [4, 5]})
    titles = {7: 'Emma (1996) Extras', 8: 'Momo (1986)'}
    model = Recommender.fit(Ratings.from_frame(frame, titles=titles), 'ials')
    assert model.catalog.find_word('Momo') == 1
    assert model.catalog.find_word('Emma (1996) Extras') == 0
    with pytest.raises(UnknownIdError):
        model.catalog.find_word('Emma')
