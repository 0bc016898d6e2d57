"Properties of vocabularies and ratings, for any ids."

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from mf_movielens.encoding import Ratings, RatingsError, UnknownIdError, Vocabulary

ids = st.lists(st.integers(-(2**62), 2**62), min_size=1, unique=True) | st.lists(
    st.text(), min_size=1, unique=True
)


@given(ids)
def test_encode_then_decode_is_the_identity(ids):
    v = Vocabulary(ids)
    assert (
        v.encode(ids).tolist() == list(range(len(ids)))
        and v.decode(v.encode(ids)).tolist() == ids
    )


@given(ids, st.integers(-(2**62), 2**62) | st.text())
def test_a_strange_id_is_loud(ids, strange):
    v = Vocabulary(ids)
    if strange in ids:
        return
    with pytest.raises(UnknownIdError):
        v.encode([strange])
    assert v.encode([strange], unknown='ignore').tolist() == [-1]


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
    one, two = (
        Ratings.from_frame(d).to_frame().sort_values(key).reset_index(drop=True)
        for d in (df, shuffled)
    )
    pd.testing.assert_frame_equal(one, two)


def test_digits_that_are_no_numbers():
    with pytest.raises(UnknownIdError):
        Vocabulary([1, 2]).encode(['²'])


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
    assert known.encode([1.0, 2**53 + 1, np.int32(2)]).tolist() == [
        0,
        2,
        1,
    ] and known.encode(np.array([[1, 2]])).tolist() == [0, 1]
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
    assert (
        len(
            Ratings.from_frame(
                pd.DataFrame([['a', 'x', 1.0], ['b', 'x', 2.0]]),
                user=0,
                item=1,
                rating=2,
            )
        )
        == 2
    )
    with pytest.raises(RatingsError, match="more than one column 'rating'"):
        Ratings.from_frame(pd.concat([table(), table()[['rating']]], axis=1))


def test_one_long_title_does_not_make_all_long():
    import tracemalloc

    titles = {i: 'short' for i in range(1_000)} | {0: 'x' * 300_000}
    tracemalloc.start()
    Ratings.from_frame(
        pd.DataFrame({'user_id': 1, 'movie_id': range(1_000), 'rating': 1.0}),
        titles=titles,
    )
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()
