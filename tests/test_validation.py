"""The checks of arguments, at their bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mf_movielens import validation
from mf_movielens.validation import (
    MAX_MAGNITUDE,
    RatingsError,
    check_choice,
    check_fraction,
    check_int,
    check_list_length,
    check_regularization,
    check_rows,
    check_seed,
    check_value,
    close_matches,
    is_numeric_and_bounded,
    to_float32,
)


def refused(function, *arguments):
    """The message with which arguments are refused, or nothing."""
    try:
        function(*arguments)
    except ValueError as error:
        return str(error)
    return ''


@pytest.mark.parametrize(
    'error', [TypeError, ValueError, LookupError, KeyError, OverflowError]
)
def test_a_condition_that_fails_counts_as_false(error):
    def fails(_):
        raise error

    with pytest.raises(ValueError, match=r'^x=3: it must be even$'):
        check_value(fails, 'x', 3, 'it must be even')


def test_other_errors_of_a_condition_are_not_hidden():
    with pytest.raises(ZeroDivisionError):
        check_value(lambda x: 1 / x, 'x', 0, 'it must not be 0')


def test_what_a_condition_returns_counts_as_true_or_false():
    assert refused(check_value, lambda x: [x], 'x', 3, 'wrong') == ''
    assert refused(check_value, lambda x: [], 'x', 3, 'wrong') == 'x=3: wrong'


@pytest.mark.parametrize(
    'choices, words', [(['a'], "'a'"), ('ab', "'a' or 'b'"), ('abc', "'a', 'b' or 'c'")]
)
def test_choices_are_listed(choices, words):
    assert refused(check_choice, 'link', 'z', iter(choices)) == f"link='z': use {words}"
    assert all(not refused(check_choice, 'link', word, choices) for word in choices)


@pytest.mark.parametrize('low', [-1, 0, 1, 5])
@pytest.mark.parametrize('high', [None, 5, 7])
def test_whole_numbers_have_inclusive_bounds(low, high):
    last = math.inf if high is None else high
    for value in range(-3, 10):
        is_allowed = low <= value <= last
        assert (refused(check_int, 'n', value, low, high) == '') is is_allowed
        if is_allowed:
            found = check_int('n', float(value), low, high)
            assert type(found) is int and found == value
    assert refused(check_int, 'n', 5.5, low, high)


def test_whole_numbers_begin_at_1_unless_told():
    assert check_int('n', 1) == 1
    assert refused(check_int, 'n', 0) == 'n=0: it must be a whole number from 1 upwards'
    assert (
        refused(check_int, 'n', 9, 2, 8) == 'n=9: it must be a whole number from 2 to 8'
    )


@pytest.mark.parametrize('value', [0, -1, 1.5, 'three', None, math.nan, math.inf])
def test_a_list_has_one_item_at_least(value):
    assert refused(check_list_length, 'k', value).endswith('ask for one item or more')
    assert check_list_length('k', 1) == 1
    found = check_list_length('k', 2.0)
    assert type(found) is int and found == 2


def test_a_seed_begins_at_0_and_may_be_left_to_chance():
    assert check_seed(0) == 0
    assert check_seed(None) is None
    assert check_seed(7, 7) == 7
    assert refused(check_seed, -1) and refused(check_seed, 8, 7)


@pytest.mark.parametrize(
    'value, is_fraction, is_regularization',
    [
        (-0.1, False, False),
        (0, False, True),
        (1e-9, True, True),
        (0.999, True, True),
        (1, False, True),
        (1.5, False, True),
        (math.inf, False, False),
        (math.nan, False, False),
        ('half', False, False),
    ],
)
def test_fractions_and_regularization(value, is_fraction, is_regularization):
    assert (refused(check_fraction, 'level', value) == '') is is_fraction
    assert (refused(check_regularization, 'reg', value) == '') is is_regularization


def test_rows_lie_in_the_table():
    rows = np.array([[0, 2], [1, 0]])
    assert check_rows(rows, 3, 'user') is rows
    assert check_rows(2, 3, 'user') == 2
    assert check_rows([], 0, 'user').dtype == int
    for wrong in (-1, 3):
        words = f'^user rows run from 0 to 2; {wrong} is outside'
        with pytest.raises(IndexError, match=words):
            check_rows([0, wrong, 1], 3, 'user')
    with pytest.raises(TypeError, match='whole numbers, not float64'):
        check_rows([0.0], 3, 'user')


def test_numbers_are_bounded_on_both_sides():
    just_below = np.nextafter(MAX_MAGNITUDE, 0)
    for inside in ([], [just_below], [-just_below], [-1, 1]):
        assert is_numeric_and_bounded(np.array(inside, float))
    for outside in (MAX_MAGNITUDE, -MAX_MAGNITUDE, math.nan, math.inf, -math.inf):
        assert not is_numeric_and_bounded(np.array([1.0, outside]))
    for dtype in ('int8', 'uint32', 'float16', 'float64'):
        assert is_numeric_and_bounded(np.ones(2, dtype))
    for dtype in (bool, complex, 'U1', object, 'datetime64[s]'):
        assert not is_numeric_and_bounded(np.ones(2).astype(dtype))
    # Larger squares of differences would leave single precision.
    assert MAX_MAGNITUDE == 1e15


@pytest.mark.filterwarnings('error')
def test_what_is_too_large_for_single_precision_is_infinite():
    found = to_float32([1.5, 1e300, -1e300])
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [1.5, np.inf, -np.inf])


def test_an_error_of_ratings_names_its_argument():
    error = RatingsError('say scale', argument='scale')
    assert (str(error), error.argument) == ('say scale', 'scale')
    assert RatingsError().argument is None and str(RatingsError()) == ''


def test_similar_words_are_found():
    words = ['Fargo', 'Fargi', 'Farg', 'Cargo', 'Heat']
    assert close_matches('Fargo', words) == ['Fargo', 'Farg', 'Fargi']
    assert close_matches('Fargo', words, 1) == ['Fargo']


def test_among_many_words_only_those_with_the_same_first_letter_are_compared(
    monkeypatch,
):
    monkeypatch.setattr(validation, '_TOO_MANY_WORDS', 4)
    few = ['Cargo', 'Fargi', 'Heat', 'Up']
    assert close_matches('Fargo', few) == ['Fargi', 'Cargo']
    many = ['Cargo', 'Fargi', 'Heat', 'Up', 'Fa']
    assert close_matches('Fargo', many) == ['Fargi']
    # Even of those, no more are compared.
    assert close_matches('Fargo', ['F1', 'F2', 'F3', 'Farg', 'Fargo']) == ['Farg']


def test_words_are_compared_by_their_beginning():
    # Comparing takes time in proportion to the product of their lengths.
    start = 'abcdefghij' * 10
    assert close_matches(start + 'z' * 300, [start]) == [start]
    assert close_matches(start[:99] + 'z' * 300, [start[:99] + 'y']) != []
    assert validation._MAX_WORD_LENGTH == 100 and validation._TOO_MANY_WORDS == 5000
