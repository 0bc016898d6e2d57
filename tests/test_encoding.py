"Properties of vocabularies and ratings, for any ids."
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from mf_movielens.encoding import Ratings, UnknownIdError, Vocabulary

ids = st.lists(st.integers(-2**62, 2**62), min_size=1, unique=True) | st.lists(st.text(), min_size=1, unique=True)


@given(ids)
def test_encode_then_decode_is_the_identity(ids):
    v = Vocabulary(ids)
    assert v.encode(ids).tolist() == list(range(len(ids))) and v.decode(v.encode(ids)).tolist() == ids


@given(ids, st.integers(-2**62, 2**62) | st.text())
def test_a_strange_id_is_loud(ids, strange):
    v = Vocabulary(ids)
    if strange in ids: return
    with pytest.raises(UnknownIdError): v.encode([strange])
    assert v.encode([strange], unknown='ignore').tolist() == [-1]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, unique=True), st.randoms())
def test_the_order_of_rows_does_not_matter(pairs, random):
    df = pd.DataFrame(pairs, columns=['user_id', 'movie_id']).assign(rating=np.arange(len(pairs)) % 5 + 1.)
    shuffled = df.sample(frac=1, random_state=random.randrange(2**31))
    key = ['user_id', 'item_id']
    one, two = (Ratings.from_frame(d).to_frame().sort_values(key).reset_index(drop=True) for d in (df, shuffled))
    pd.testing.assert_frame_equal(one, two)


def test_digits_that_are_no_numbers():
    with pytest.raises(UnknownIdError): Vocabulary([1, 2]).encode(['²'])
