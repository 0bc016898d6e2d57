"""What is said and asked of tables of items and users, in Python and on the command."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from mf_movielens.encoding import Ratings, RatingsError
from mf_movielens.features import date_seconds, read_features
from mf_movielens.recommender import Recommender
from mf_movielens.rules import select_items


def read(say=None, **columns):
    names = ('kinds', 'missing', 'day_first', 'list_separator')
    options = {name: columns.pop(name) for name in names if name in columns}
    n = len(next(iter(columns.values())))
    return read_features(
        pd.DataFrame({'item': range(n), **columns}), say=say, **options
    )


def days(table, name='day') -> list[str]:
    return [str(moment)[:10] for moment in table[name].to_series()]


def notes(**columns) -> list[str]:
    said: list[str] = []
    read(said.append, **columns)
    return said


YEARS = ['1990', '1991', 'n/a?', '1993', None]


def test_one_odd_word_among_numbers_is_named(tmp_path):
    pd.DataFrame({'item': range(5), 'year': YEARS}).to_csv(
        tmp_path / 'films.csv', index=False
    )
    said: list[str] = []
    table = read_features(tmp_path / 'films.csv', say=said.append)
    assert table['year'].kind == 'category' and len(said) == 1
    for part in (
        "films.csv, column 'year'",
        'line 4',
        "'n/a?' is no number",
        '3 cells',
    ):
        assert part in said[0]
    # What the note offers works, and is silent.
    assert "missing='n/a?'" in said[0] and "kinds={'year': 'category'}" in said[0]
    for missing in ('n/a?', ['n/a?', 'other']):
        numbers = read(said.append, year=YEARS, missing=missing)['year'].numbers
        assert np.isnan(numbers[2:5:2]).all() and numbers[[0, 1, 3]].sum() == 5974
    assert read(said.append, year=YEARS, kinds={'year': 'category'})['year'].words
    assert len(said) == 1
    with pytest.raises(RatingsError, match="row 2, column 'year': 'n/a[?]' is not a"):
        read(year=YEARS, kinds={'year': 'number'})
    assert 'and 1 more such' in notes(year=['1', '2', '3', '4', '5', 'x', 'y'])[0]


def test_one_odd_word_among_dates_is_named():
    column = ['2025-01-01', '2025-02-01', 'soon', None]
    (note,) = notes(day=column)
    assert "row 2: 'soon' is no date; 2 cells are" in note
    assert days(read(day=column, missing='soon'))[:2] == column[:2]
    with pytest.raises(RatingsError, match="row 2, column 'day': 'soon' is not a date"):
        read(day=column, kinds={'day': 'date'})


@pytest.mark.parametrize(
    'columns',
    [
        {'title': ['300', '1984', 'Seven', '12']},
        {'zip': ['V3N4P', '01234', '99999', '12345']},
        {'code': ['a1', 'b2', '3', 'c4']},
        {'genre': ['Drama', 'War', 'Drama', 'Comedy']},
        {'maker': ['Smith, Jones', 'Smith', 'Baker', 'Tim']},
        {'genre': ['Drama|War', 'War', 'Drama', 'Comedy']},
        {'year': [1990, 1991, None, 1993]},
    ],
)
def test_what_is_clear_is_read_in_silence(columns):
    assert notes(**columns) == []


@pytest.mark.parametrize('sign', [',', ';', '/'])
@pytest.mark.parametrize('blank', ['', ' '])
def test_a_few_lists_are_pointed_out(sign, blank):
    genre = ['Drama', 'Comedy', f'Drama{sign}{blank}Comedy', 'War', 'Drama']
    (note,) = notes(genre=genre)
    assert f'list_separator={sign!r}' in note and repr(genre[2]) in note
    assert '1 of 4 different values' in note
    assert notes(genre=genre, list_separator='|') == []
    assert read(genre=genre, list_separator=sign)['genre'].words == [
        *('Drama', 'Comedy', 'War')
    ]


def test_new_rows_are_split_like_the_old_ones():
    likes = pd.DataFrame({'user': [1, 1, 2], 'item': [0, 1, 0], 'rating': 1})
    ratings = Ratings.from_frame(likes, say=None)
    films = pd.DataFrame({'item': [0, 1], 'genre': ['Drama', 'War']})
    model = Recommender.fit(ratings, item_features=films)
    new = pd.DataFrame({'item': [7], 'genre': ['War, Drama']})
    for add in (model.add_items, lambda t: model.update(item_features=t, say=None)):
        with pytest.raises(RatingsError, match="'War, Drama' consists of categories"):
            add(new)
        split = read_features(new, list_separator=',')
        assert add(split).item_features.to_frame().genre[7] == ('Drama', 'War')


@pytest.mark.parametrize(
    'written',
    [
        ['21.03.2025', '01.12.2024'],
        ['21.3.2025', '1.12.2024'],
        ['21.03.25', '01.12.24'],
        ['21.03.2025 00:00', '01.12.2024 00:00'],
        ['21/03/2025', '01/12/2024'],
        ['03/21/2025', '12/01/2024'],
        ['21-03-2025', '01-12-2024'],
        ['21-Mar-2025', '01-Dec-2024'],
        ['2025-03-21', '2024-12-01'],
    ],
)
def test_dates_as_people_write_them(written):
    table = read(day=[*written, None])
    assert table['day'].kind == 'date'
    assert days(table)[:2] == ['2025-03-21', '2024-12-01']
    assert date_seconds(written[0]) == table['day'].numbers[0]


def test_days_and_months_that_could_be_exchanged_are_asked_for():
    column = ['3/4/2025', '1/2/2025']
    with pytest.raises(RatingsError, match='2025-04-03 or 2025-03-04') as error:
        read(day=column)
    assert error.value.argument == 'day_first'
    assert days(read(day=column, day_first=True)) == ['2025-04-03', '2025-02-01']
    assert days(read(day=column, day_first=False)) == ['2025-03-04', '2025-01-02']
    # One day after the 12th decides, and so do dates that are the same in both ways.
    assert days(read(day=[*column, '13/1/2025']))[0] == '2025-04-03'
    assert days(read(day=['3/3/2025', '1/1/2025'])) == ['2025-03-03', '2025-01-01']
    assert read(day=['1.2.3', '1.2.4'])['day'].kind == 'category'
    assert read(day=['1.5', '2.5'])['day'].kind == 'number'


def test_dates_in_conditions_are_read_in_the_same_way():
    table = read(day=['21.03.2025', '04.03.2025'])
    columns = {'day': table['day']}
    assert select_items("day >= '21.03.2025'", columns).tolist() == [True, False]
    assert select_items("day == '04.03.2025'", columns).tolist() == [False, True]
    assert select_items("day > '2025-03'", columns).tolist() == [True, True]
    for wrong in ('3/4/2025', 'soon', '31.02.2025'):
        with pytest.raises(ValueError, match='is no date such as 1999-12-31'):
            select_items(f'day > {wrong!r}', columns)


LIKES = pd.DataFrame({'user': [1, 1, 2, 3], 'item': [7, 8, 7, 8], 'rating': 1})
FILMS = pd.DataFrame({'item': [7, 8, 9], 'genre': ['a', 'b', 'b']})
PEOPLE = pd.DataFrame({'user': [1, 2, 3, 4, 5], 'city': ['a', 'b', 'a', 'b', 'a']})


@pytest.mark.parametrize('solver', ['ease', 'knn'])
def test_solvers_without_features_say_that_new_items_stay_out(solver):
    ratings, said = Ratings.from_frame(LIKES, say=None), []
    tables = {'item_features': FILMS, 'user_features': PEOPLE}
    model = Recommender.fit(ratings, solver, **tables, say=said.append)
    assert said == [
        f'{solver} is not fitted to features: item_features and user_features are kept '
        'for rules and titles, and 1 item and 2 users without ratings stay out. ials '
        'and blend are fitted to them'
    ]
    assert len(model.items) == 2 and len(model.users) == 3
    assert model.recommend(2, where="genre == 'b'").item.tolist() == [8]
    Recommender.fit(ratings, 'ials', **tables, say=said.append)
    Recommender.fit(ratings, solver, say=said.append)
    assert len(said) == 1


def test_predicted_ratings_point_to_bayes(capsys):
    frame = LIKES.assign(rating=[1, 5, 4, 2])
    ratings = Ratings.from_frame(frame, scale=(1, 5))
    Recommender.fit(ratings, goal='rating', item_features=FILMS)
    out = capsys.readouterr().out
    assert out.startswith('als is not fitted to features: item_features are kept')
    assert '1 item without ratings stay out. bayes is fitted to them' in out
    Recommender.fit(ratings, goal='rating', item_features=FILMS, say=None)
    assert capsys.readouterr().out == ''


def test_on_the_command_line(call, tmp_path):
    LIKES.to_csv('likes.csv', index=False)
    films = FILMS.assign(
        year=['1990', '?', '1992'], day=['3/4/2025', '1/2/2025', '1/1/2025']
    )
    films.to_csv('films.csv', index=False)
    PEOPLE.to_csv('people.csv', index=False)
    words = ('train', 'likes.csv', '--item-features', 'films.csv', '--no-evaluate')
    code, _, err = call(*words)
    assert code == 2 and 'say --day-first; if the month does, --month-first' in err
    words += ('--month-first',)
    code, out, err = call(*words, '--json')
    assert code == 0 and json.loads(out)
    (note,) = [line for line in err.splitlines() if line.startswith('note: films.csv')]
    assert "line 3: '?' is no number" in note
    assert "say --features-missing '?' if it" in note
    assert '--feature-kind year=category keeps' in note
    code, out, err = call(*words, '--features-missing', '?', '--json')
    assert 'is no number' not in err
    model = Recommender.load('mf-movielens-out/model.npz')
    assert model.item_features['year'].kind == 'number'
    assert days(model.item_features)[0] == '2025-03-04'
    both = ('--user-features', 'people.csv', '--feature-kind', 'city=text')
    code, out, err = call(*words, *both, '--feature-kind', 'year=category', '--json')
    assert code == 0 and 'is no number' not in err
    model = Recommender.load('mf-movielens-out/model.npz')
    assert model.user_features['city'].kind == 'text'
    for wrong, said in (
        ('year', 'write a column, ='),
        ('year=code', '--feature-kind'),
        ('jahr=number', 'no table has such a column'),
    ):
        code, _, err = call(*words, '--feature-kind', wrong)
        assert code == 2 and said in err and err.count('\n') == 1
    code, out, err = call(*words, '--solver', 'knn', '--json')
    assert code == 0 and json.loads(out)
    assert err.count('knn is not fitted to features: --item-features are kept') == 1
    # Later tables are read with the kinds of the model.
    more = pd.DataFrame(
        {'item': [12], 'genre': ['b'], 'year': ['1'], 'day': ['1/2/2025']}
    )
    more.to_csv('more.csv', index=False)
    assert call(*words, '--features-missing', '?')[0] == 0
    update = ('update', 'mf-movielens-out', '--item-features', 'more.csv')
    code, out, err = call(*update)
    assert code == 2 and '--month-first' in err
    assert call(*update, '--month-first')[0] == 0
    assert len(Recommender.load('mf-movielens-out/model.npz').items) == 4
