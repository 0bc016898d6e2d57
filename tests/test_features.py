"""Tables of items and users: what columns are, how they are kept and numbered."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mf_movielens.data import synthetic
from mf_movielens.encoding import Ratings, RatingsError, Vocabulary
from mf_movielens.features import read_features
from mf_movielens.recommender import Recommender

BOOKS = pd.DataFrame(
    {
        'item': ['momo', 'krabat', 'emma'],
        'title': ['Momo', 'Krabat', 'Emma'],
        'genre': ['Fantasy|Children', 'Fantasy', 'Novel'],
        'year': [1973, 1971, 1815],
        'bought': ['2020-01-01', '2021-02-03', None],
    }
)


@pytest.fixture
def ratings() -> Ratings:
    frame = pd.DataFrame(
        {
            'user': ['ann', 'ann', 'ben', 'ben', 'cleo'],
            'item': ['emma', 'momo', 'momo', 'faust', 'emma'],
            'rating': [5, 3, 4, 2, 1],
        }
    )
    return Ratings.from_frame(frame, scale=(1, 5))


def test_formats_agree(tmp_path):
    BOOKS.to_csv(tmp_path / 'books.csv', index=False)
    BOOKS.to_csv(tmp_path / 'books.tsv', index=False, sep='\t')
    BOOKS.to_json(tmp_path / 'books.jsonl', orient='records', lines=True)
    BOOKS.to_parquet(tmp_path / 'books.parquet')
    expected = read_features(BOOKS).to_frame()
    assert expected['genre'].tolist()[0] == ('Fantasy', 'Children')
    for path in tmp_path.iterdir():
        found = read_features(path)
        pd.testing.assert_frame_equal(found.to_frame(), expected, check_names=False)
        assert [f.kind for f in found.features] == [
            *('text', 'category', 'number', 'date')
        ]


def test_ids_are_matched_by_the_type_of_the_ratings():
    numbers = pd.DataFrame({'item': [1, 2], 'year': [1973, 1971]})
    as_text = read_features(numbers, known=Vocabulary(['2', 'x']))
    assert as_text.ids.index.tolist() == ['1', '2']
    padded = pd.DataFrame({'item': ['01', '02'], 'year': [1973, 1971]})
    with pytest.raises(RatingsError, match=r"none of the 2 ids, such as '01'"):
        read_features(padded, known=Vocabulary([1, 2]))


def test_a_table_is_put_in_the_order_of_the_model(ratings, tmp_path):
    model = Recommender.fit(ratings, 'ease', item_features=BOOKS)
    assert len(model.items) == 3
    assert model.item_features.ids == model.items
    assert model.titles.tolist() == ['Emma', 'Momo', 'faust']
    assert model.item_features['year'].numbers[:2].tolist() == [1815, 1973]
    assert np.isnan(model.item_features['year'].numbers[2])
    again = Recommender.load(model.save(tmp_path / 'model.npz'))
    assert again.item_features.to_frame().equals(model.item_features.to_frame())
    assert again.user_features is None
    users = pd.DataFrame({'user': ['ben', 'cleo'], 'age': [30, 40]})
    both = again.with_features(user_features=users)
    assert both.item_features is again.item_features
    kept = Recommender.load(both.save(tmp_path / 'model.npz'))
    assert kept.user_features['age'].numbers.tolist()[1:] == [30, 40]


def test_a_file_without_features_keeps_its_version(ratings, tmp_path):
    model = Recommender.fit(ratings, n_factors=1)
    with np.load(model.save(tmp_path / 'model.npz')) as file:
        assert int(file['version']) < 6
    with_table = model.with_features(BOOKS)
    with np.load(with_table.save(tmp_path / 'model.npz')) as file:
        assert int(file['version']) == 6


def test_movielens_has_tables():
    data = synthetic()
    films = read_features(data.item_features)
    assert [f.kind for f in films.features] == ['text', 'category', 'number']
    people = read_features(data.user_features, 'user')
    assert {f.name: f.kind for f in people.features} == {
        'age': 'number',
        'sex': 'category',
        'occupation': 'category',
    }
    names = films.matrix(['genres', 'year']).names
    assert 'genres: Drama' in names
    assert 5 < sum(name.startswith('year: ') for name in names) <= 11


def test_items_without_ratings_come_behind_the_others(ratings):
    longer = ratings.with_items(['krabat', 'momo'])
    assert longer.items.index.tolist() == [*ratings.items.index, 'krabat']
    with pytest.raises(RatingsError, match='must all be'):
        ratings.with_items([7])


def test_ids_of_a_file_are_numbers_where_those_of_the_ratings_are(tmp_path):
    path = tmp_path / 'books.csv'
    path.write_text('id;title;price\n7;Momo;12,50\n9;Emma;7,00\n')
    table = read_features(path, known=Vocabulary([9, 8]))
    assert table.ids.index.tolist() == [7, 9]
    assert table.for_ids(Vocabulary([9, 8]))['price'].numbers[0] == 7
    as_text = read_features(path, known=Vocabulary(['9', 'x']))
    assert as_text.ids.index.tolist() == ['7', '9']


def test_one_wrong_cell_names_its_line(tmp_path):
    path = tmp_path / 'books.csv'
    path.write_text('id,year\n7,1973\n7,1971\n')
    with pytest.raises(RatingsError, match=r'books\.csv, line 3.*7'):
        read_features(path)
    path.write_text('id,year\n7,1973\n,1971\n')
    with pytest.raises(RatingsError, match=r'line 3'):
        read_features(path)


def test_a_number_counts_for_the_values_on_both_sides():
    frame = pd.DataFrame({'item': range(101), 'x': range(101)})
    table = read_features(frame)
    numbered = table.matrix()
    assert numbered.names == tuple(f'x: {x}' for x in range(0, 101, 10))
    dense = numbered.values.toarray()
    assert np.allclose(dense.sum(1), 1)
    assert np.allclose(dense @ np.arange(0, 101, 10), np.arange(101))
    assert (np.diff(numbered.values.indptr) <= 2).all()


def test_new_rows_are_numbered_like_the_old_ones():
    frame = pd.DataFrame(
        {
            'item': range(40),
            'day': pd.date_range('2020-01-01', periods=40).astype(str),
            'genre': ['a|b', 'a', 'b', 'c'] * 10,
            'is_new': [0, 1] * 20,
        }
    )
    old = read_features(frame)
    names = old.matrix().names
    few = read_features(frame.iloc[[3, 17]].assign(genre=['a', 'unknown']))
    new = few.matrix(like=names)
    assert new.names == names
    expected = old.matrix().values.toarray()[[3, 17]]
    is_genre = np.array([name.startswith('genre') for name in names])
    assert np.allclose(new.values.toarray()[:, ~is_genre], expected[:, ~is_genre])
    assert new.values.toarray()[0, is_genre].tolist() == [1, 0, 0]
    assert not new.values.toarray()[1, is_genre].any()
    with pytest.raises(RatingsError, match='column of .colour: red. is missing'):
        few.matrix(like=['colour: red'])


def test_the_longest_name_of_a_column_counts():
    frame = pd.DataFrame(
        {'item': [1, 2, 3], 'genre': [*'aab'], 'genre: main': [*'cdd']}
    )
    matrix = read_features(frame).matrix()
    assert matrix.names == ('genre: a', 'genre: main: d')
    assert matrix.values.toarray().tolist() == [[1, 0], [1, 1], [0, 1]]


def test_what_is_known_in_part_is_not_filled():
    half = {'item': [1, 2, 3], 'year': [1973, None, None], 'score': [None, 5, None]}
    other = {'item': [1, 2, 3], 'year': [2001, 2002, 2003], 'score': [7, 8, 9]}
    own, new = (read_features(pd.DataFrame(table)) for table in (half, other))
    assert own.is_blank.tolist() == [False, False, True]
    filled = own.filled_by(new).to_frame().fillna(0)
    assert filled.year.tolist() == [1973, 0, 2003]
    assert filled.score.tolist() == [0, 5, 9]


def test_codes_are_no_numbers():
    frame = pd.DataFrame(
        {
            'item': range(4),
            'zip': ['01234', '99999', '01234', None],
            'department': [4, 17, None, 4],
            'version': ['0.5', '0', '1.5', '0.25'],
        }
    )
    kinds = {f.name: f.kind for f in read_features(frame).features}
    assert kinds == {'zip': 'category', 'department': 'number', 'version': 'number'}
    said = read_features(frame, kinds={'department': 'category', 'zip': 'text'})
    assert said['department'].words == ['4', '17'] and said['zip'].kind == 'text'
    for wrong, words in (
        ({'dep': 'category'}, "no column 'dep'"),
        ({'zip': 'date'}, 'is not a date'),
        ({'department': 'code'}, 'use'),
    ):
        with pytest.raises(ValueError, match=words):
            read_features(frame, kinds=wrong)


def test_a_table_of_few_items_is_recognized_by_its_ids():
    known = Vocabulary([f'{j:04}' for j in range(50)])
    part = pd.DataFrame({'Artikelnr': ['0007', '0009', '9999'], 'Jahr': [1, 2, 3]})
    assert (
        read_features(part, known=known).ids.index.tolist() == part.Artikelnr.tolist()
    )
    many = pd.DataFrame({'Artikelnr': [f'{j:04}' for j in range(300)], 'Jahr': 1})
    assert len(read_features(many, known=known).ids) == 300
    strangers = pd.DataFrame({'Artikelnr': ['7', '9'], 'Jahr': [1, 2]})
    with pytest.raises(RatingsError, match='no column seems to hold'):
        read_features(strangers, known=known)
    for empty in (pd.DataFrame(), pd.DataFrame({'item': []})):
        with pytest.raises(RatingsError):
            read_features(empty, known=known)
