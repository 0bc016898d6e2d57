"Properties of vocabularies, ratings and sparse tables, for any ids."

import copy
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given, strategies as st

from mf_movielens import encoding
from mf_movielens.encoding import (
    ID_COLUMNS,
    ZEROS_COUNT,
    Ratings,
    RatingsError,
    UnknownIdError,
    Vocabulary,
    build_csr,
    check_scale,
    find_id_column,
    parse_id,
    scale_unit,
)

ids = st.lists(st.integers(-(2**62), 2**62), min_size=1, unique=True) | st.lists(
    st.text(), min_size=1, unique=True
)


@given(ids)
def test_encode_then_decode_is_the_identity(ids):
    v = Vocabulary(ids)
    assert v.encode(ids).tolist() == list(range(len(ids)))
    assert v.decode(v.encode(ids)).tolist() == ids


@given(ids, st.integers(-(2**62), 2**62) | st.text())
def test_an_unknown_id_raises(ids, unknown):
    v = Vocabulary(ids)
    if unknown in ids:
        return
    with pytest.raises(UnknownIdError):
        v.encode([unknown])
    assert v.encode([unknown], unknown='ignore').tolist() == [-1]


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, unique=True),
    st.randoms(),
)
def test_the_order_of_rows_does_not_matter(pairs, random):
    df = pd.DataFrame(pairs, columns=['user_id', 'movie_id']).assign(
        rating=np.arange(len(pairs)) % 5 + 1.0
    )
    shuffled = df.sample(frac=1, random_state=random.randrange(2**31))
    key = ['user_id', 'item_id']
    in_order, in_disorder = (
        Ratings.from_frame(d).to_frame().sort_values(key).reset_index(drop=True)
        for d in (df, shuffled)
    )
    pd.testing.assert_frame_equal(in_order, in_disorder)


def test_digits_that_are_no_numbers():
    with pytest.raises(UnknownIdError):
        Vocabulary([1, 2]).encode(['²'])


@pytest.mark.parametrize(
    'text, id',
    [('0', 0), ('7', 7), ('-7', -7)]
    + [(text, text) for text in ('007', '-0', '+7', ' 7', '7.0', '1' * 20, '²', '')],
)
def test_an_id_is_a_number_only_if_it_is_written_as_python_writes_it(text, id):
    assert parse_id(text) == id
    assert type(parse_id(text)) is type(id)


def table(**columns):
    return pd.DataFrame(
        {'user_id': ['a', 'b'], 'movie_id': [1, 2], 'rating': [1.0, 5]} | columns
    )


@pytest.mark.parametrize(
    'ids', [[1e19, 2e19], [np.inf, 1.0], [2.0**53, 1.0], [1.5, 2.0]]
)
def test_floats_that_are_no_ids_are_refused(ids):
    with pytest.raises(RatingsError, match='must all be whole numbers or all be text'):
        Ratings.from_frame(table(user_id=ids))


def test_true_is_not_the_id_1_and_a_large_float_is_nobody():
    known = Vocabulary([1, 2, 2**53 + 1])
    for ids in (
        [True, 2],
        np.array([True, 2], object),
        [np.True_, 2],
        pd.array([True, None], 'boolean'),
        [2.0**53, 2],
        np.array([2.0**53, 2]),
    ):
        assert known.encode(ids, unknown='ignore')[0] == -1
    assert known.encode([1.0, 2**53 + 1, np.int32(2)]).tolist() == [0, 2, 1]
    assert known.encode(np.array([[1, 2]])).tolist() == [0, 1]
    for ids in (np.array([[1, 99]]), np.array(99)):
        with pytest.raises(UnknownIdError, match='99 is not among'):
            known.encode(ids)


@pytest.mark.parametrize('unit', ['s', 'ms', 'us', 'ns'])
@pytest.mark.parametrize('zone', [None, 'Europe/Vienna'])
def test_moments_are_seconds_whatever_the_unit(unit, zone):
    moments = pd.Series(
        pd.to_datetime([1_600_000_000, 1_600_000_001], unit='s')
    ).dt.as_unit(unit)
    if zone:
        moments = moments.dt.tz_localize('UTC').dt.tz_convert(zone)
    assert Ratings.from_frame(table(timestamp=moments)).timestamp.tolist() == [
        1_600_000_000,
        1_600_000_001,
    ]
    with pytest.raises(RatingsError, match='moments are missing'):
        Ratings.from_frame(table(timestamp=moments.where([True, False])))


def test_the_last_is_the_last_in_time_also_if_moments_are_text():
    twice = table(user_id=['a', 'a'], movie_id=[1, 1], timestamp=['1000', '999'])
    assert Ratings.from_frame(twice, duplicates='last').rating.tolist() == [1]


@pytest.mark.parametrize('value', [[1, 2], {'a': 1}, {1}])
def test_lists_are_no_ids(value):
    with pytest.raises(RatingsError, match="column 'user_id'"):
        Ratings.from_frame(table(user_id=[value, value]))


def test_columns_by_number_and_columns_twice():
    numbered = pd.DataFrame([['a', 'x', 1.0], ['b', 'x', 2.0]])
    assert len(Ratings.from_frame(numbered, user=0, item=1, rating=2)) == 2
    with pytest.raises(RatingsError, match="more than one column 'rating'"):
        Ratings.from_frame(pd.concat([table(), table()[['rating']]], axis=1))


NAMES = [(user, item) for user in ID_COLUMNS['user'] for item in ID_COLUMNS['item']]


@pytest.mark.parametrize('user, item', NAMES)
def test_the_usual_names_of_id_columns_are_understood(user, item):
    usual = table().rename(columns={'user_id': user, 'movie_id': item})
    found = Ratings.from_frame(usual.assign(title='Heat'))
    assert found.users.index.tolist() == ['a', 'b']
    assert found.items.index.tolist() == [1, 2]
    assert find_id_column(usual, 'user') == user
    assert find_id_column(usual, 'item') == item


@pytest.mark.parametrize(
    'frame, message',
    [
        (table().drop(columns='user_id'), r'no column of user ids \(user_id, userId'),
        (table(item=[3, 4]), "more than one column of item ids .*'movie_id'.*'item'"),
        (pd.concat([table(), table()[['user_id']]], axis=1), 'more than one column'),
    ],
)
def test_id_columns_that_cannot_be_told_are_refused(frame, message):
    with pytest.raises(RatingsError, match=message):
        Ratings.from_frame(frame)


def test_a_named_id_column_settles_which_of_two():
    frame = table(item=['x', 'y'])
    assert Ratings.from_frame(frame, item='item').items.index.tolist() == ['x', 'y']
    assert Ratings.from_frame(frame, item='movie_id').items.index.tolist() == [1, 2]


def assert_same(a, b):
    "The same ids in the same order, and all columns, types and settings alike."
    assert a.users == b.users
    assert a.items == b.items
    assert a.scale == b.scale
    assert a.fingerprint == b.fingerprint
    for name in ('user_ix', 'item_ix', 'rating', 'timestamp', 'titles'):
        left, right = getattr(a, name), getattr(b, name)
        assert (left is None) == (right is None)
        if left is not None:
            assert left.dtype == right.dtype
            assert left.tolist() == right.tolist()


@given(
    st.lists(
        st.tuples(st.integers(-3, 3), st.sampled_from('abcde'), st.integers(1, 5)),
        min_size=1,
        unique_by=lambda rated: rated[:2],
    ),
    st.booleans(),
    st.sampled_from([None, (1, 5), (-3.5, 7)]),
)
def test_to_frame_and_from_frame_are_the_identity(rows, has_times, scale):
    frame = pd.DataFrame(rows, columns=['user', 'item', 'rating'])
    if has_times:
        frame['timestamp'] = np.arange(len(frame)) * 1_000_000_007
    ratings = Ratings.from_frame(frame, scale=scale)
    assert_same(Ratings.from_frame(ratings.to_frame()), ratings)
    some = ratings.take(np.arange(len(ratings)) % 2 == 0)
    vocabularies = {'users': ratings.users, 'items': ratings.items}
    assert_same(Ratings.from_frame(some.to_frame(), **vocabularies), some)


def test_a_part_of_a_frame_keeps_the_scale_and_the_ids_that_occur():
    ratings = Ratings.from_frame(table(), scale=(0, 10))
    part = ratings.to_frame().query('rating > 1').copy()
    assert Ratings.from_frame(part).scale == (0, 10)
    assert Ratings.from_frame(part).users.index.tolist() == ['b']
    kept = Ratings.from_frame(part, users=ratings.users, items=ratings.items)
    assert kept.user_ix.tolist() == kept.item_ix.tolist() == [1]
    with pytest.raises(UnknownIdError, match='2 is not among'):
        Ratings.from_frame(part, items=Vocabulary([1]))


def test_changed_ratings_do_not_silently_keep_the_scale_of_their_frame():
    frame = Ratings.from_frame(table()).to_frame()
    doubled = frame.assign(rating=frame.rating * 2)
    with pytest.raises(RatingsError, match='2 to 10, but frame.attrs .*1 to 5.*scale='):
        Ratings.from_frame(doubled)
    assert Ratings.from_frame(doubled, scale=(2, 10)).scale == (2, 10)
    assert frame.attrs == copy.deepcopy(frame.attrs) != {}


def test_the_scale_of_a_frame_survives_a_parquet_file(tmp_path):
    pytest.importorskip('pyarrow')
    ratings = Ratings.from_frame(table(), scale=(0, 10))
    ratings.to_frame().to_parquet(tmp_path / 'r.parquet')
    assert_same(Ratings.from_frame(pd.read_parquet(tmp_path / 'r.parquet')), ratings)


@pytest.mark.parametrize(
    'scale, message',
    [
        (5, 'two numbers'),
        ((1, 2, 3), 'two numbers'),
        (('a', 'b'), 'two numbers'),
        ((5, 1), 'the lowest must come first'),
        ((0, np.inf), 'finite'),
        ((np.nan, 1), 'finite'),
        ((0, 1e15), 'divide'),
        ((0, 1e-31), 'multiply'),
    ],
)
def test_scales_that_are_none_are_refused(scale, message):
    with pytest.raises(RatingsError, match=message):
        check_scale(scale)
    with pytest.raises(RatingsError, match=message):
        Ratings.from_frame(table(), scale=scale)


def test_the_unit_of_a_scale_is_a_fourth_of_its_width():
    assert scale_unit((1, 5)) == 1
    assert scale_unit((0, 100)) == 25
    assert scale_unit((-10, -9)) == 0.25
    assert scale_unit((3, 3)) == 1


entries = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3), st.integers(-2, 2)))


@given(entries)
def test_a_sparse_table_holds_each_entry_in_its_order(entries):
    rows, columns, values = np.array(entries, 'int32').reshape(-1, 3).T
    found = build_csr(rows, columns, values.astype('float32'), (7, 4))
    found.check_format(full_check=True)
    assert found.shape == (7, 4)
    assert found.data.dtype == 'float32'
    assert found.indices.dtype == found.indptr.dtype == 'int32'
    for row in range(7):
        these = slice(found.indptr[row], found.indptr[row + 1])
        expected = [(c, v) for r, c, v in entries if r == row]
        assert list(zip(found.indices[these], found.data[these])) == expected
    total = scipy.sparse.coo_array((values, (rows, columns)), shape=(7, 4)).toarray()
    assert (found.toarray() == total).all()


def test_a_sparse_table_of_more_than_a_million_entries_is_sorted_stably():
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 1000, 2**20 + 5).astype('int32')
    positions = np.arange(len(rows))
    found = build_csr(rows, positions % 1000, positions.astype('float32'), (1000, 1000))
    order = np.argsort(rows, kind='stable')
    assert (found.data == order).all()
    assert (found.indices == order % 1000).all()
    assert (np.diff(found.indptr) == np.bincount(rows, minlength=1000)).all()


def test_ratings_become_a_sparse_table_in_which_a_rating_of_0_is_an_entry():
    frame = table(rating=[0.0, 5]).iloc[::-1]
    ratings = Ratings.from_frame(frame)
    found = ratings.to_csr()
    assert found.toarray().tolist() == [[5, 0], [0, 0]]
    assert found.nnz == 2
    wider = Ratings.from_frame(frame, items=Vocabulary([2, 9, 1])).to_csr()
    assert wider.toarray().tolist() == [[5, 0, 0], [0, 0, 0]]


def test_one_long_title_does_not_make_all_long():
    titles = dict.fromkeys(range(1000), 'short') | {0: 'x' * 300_000}
    tracemalloc.start()
    Ratings.from_frame(
        pd.DataFrame({'user_id': 1, 'movie_id': range(1_000), 'rating': 1.0}),
        titles=titles,
    )
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


@pytest.mark.parametrize('scale', [(1, 5), (0, 100), (-3, 3), (7, 7)])
def test_to_unit_and_back_is_the_identity(scale):
    low, high = scale
    rating = np.linspace(low, high, 5)
    unit = encoding.to_unit(rating, scale)
    np.testing.assert_allclose(encoding.from_unit(unit, scale), rating)
    np.testing.assert_allclose(unit, np.linspace(0, high > low, 5))
    # Without a width, the unit is 1.
    assert encoding.from_unit(0.5, (7, 7)) == 7.5


def test_the_unit_of_counts_is_a_mean_of_powers():
    frame = pd.DataFrame({'user': range(4), 'item': 1, 'rating': [1, 16, 81, -9]})
    # What was returned is disliked.
    counts = Ratings.from_frame(frame, kind='counts', negative='dislike')
    for growth in (0.25, 0.5, 1):
        mean = np.mean([1, 16**growth, 81**growth])
        expected = mean ** (1 / growth)
        assert encoding.unit_of_counts(counts, growth) == pytest.approx(expected)
    assert encoding.unit_of_counts(counts, 0) == 1
    none = counts.take(counts.rating <= 0)
    assert encoding.unit_of_counts(none, 0.25) == 1


def test_the_first_id_with_two_titles_is_named():
    frame = pd.DataFrame({'user': range(3), 'item': [1, 2, 3], 'rating': 4.0})
    titles = pd.Series(list('abcde'), [1, 2, 2, 3, 3])
    with pytest.raises(RatingsError, match=r'^item 2 has more than one title'):
        Ratings.from_frame(frame, titles=titles)
    assert [*Ratings.from_frame(frame, titles=titles[[1]]).titles] == ['a', '2', '3']


def test_the_first_id_that_stands_twice_is_named():
    with pytest.raises(RatingsError, match=r'^item 7 stands in the list of ids more'):
        Vocabulary([3, 7, 5, 7], name='item')


def test_small_and_large_tables_are_built_in_two_ways_to_the_same_end(monkeypatch):
    rng = np.random.default_rng(0)
    entries = rng.integers(7, size=60), rng.integers(9, size=60), rng.random(60)
    small = encoding.build_csr(*entries, (7, 9))
    monkeypatch.setattr(encoding, '_FEW_ENTRIES', 0)
    large = encoding.build_csr(*entries, (7, 9))
    for part in ('indptr', 'indices', 'data'):
        np.testing.assert_array_equal(getattr(small, part), getattr(large, part))


def test_lost_zeros_are_explained_where_they_may_be_the_cause():
    v = Vocabulary(['007', '010', 'anna'])
    with pytest.raises(UnknownIdError, match="Did you mean '007'") as caught:
        v.encode(['7'])
    assert str(caught.value).endswith(ZEROS_COUNT)
    for typed in ('ana', b'anna'):
        with pytest.raises(UnknownIdError) as caught:
            v.encode([typed])
        assert ZEROS_COUNT not in str(caught.value)


def test_an_id_of_the_wrong_type_is_no_lost_zero():
    v = Vocabulary(['7', '007'])
    with pytest.raises(UnknownIdError, match="Did you mean '7'") as caught:
        v.encode([7])
    assert ZEROS_COUNT not in str(caught.value)


def test_summed_ratings_are_counts_unless_a_scale_is_told():
    frame = pd.DataFrame({'user': [1, 1, 2], 'item': [3, 3, 3], 'rating': [2, 1, 5]})
    summed = Ratings.from_frame(frame, duplicates='sum')
    assert summed.kind == 'counts' and summed.rating.tolist() == [3, 5]
    told = Ratings.from_frame(frame, duplicates='max', scale=(1, 5))
    assert told.kind != 'counts' and told.scale == (1, 5)


def test_the_time_of_a_sum_is_that_of_its_newest_part():
    rows = [(1, 3, 2, 300), (1, 3, 1, 100), (2, 3, 5, 200)]
    frame = pd.DataFrame(rows, columns=['user', 'item', 'rating', 'timestamp'])
    summed = Ratings.from_frame(frame, duplicates='sum')
    assert summed.rating.tolist() == [3, 5]
    assert summed.timestamp.tolist() == [300, 200]


def test_few_low_ratings_on_a_wide_scale_are_no_wrong_scale():
    few = np.full(999, 2.0)
    for n, is_refused in ((999, False), (1000, True)):
        frame = pd.DataFrame({'user': range(n), 'item': 1, 'rating': few[0]})
        ratings = Ratings.from_frame(frame, scale=(1, 100))
        preference = encoding.to_preference(ratings.rating, ratings.scale)
        if not is_refused:
            encoding.check_preferences(preference, ratings)
            continue
        with pytest.raises(RatingsError, match='is not that of these ratings'):
            encoding.check_preferences(preference, ratings)
