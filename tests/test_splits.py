"""What each split holds out, on ratings that are small enough to count."""

from __future__ import annotations

import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mf_movielens.archives import DataError
from mf_movielens.data import synthetic
from mf_movielens.encoding import Ratings
from mf_movielens.splits import (
    FOLDS,
    leave_last_out,
    official_fold,
    random_split,
    time_split,
    user_split,
)

N_OF_USER = {4: 1, 2: 5, 9: 2, 7: 3}


def timed():
    """Ratings of users with 1 to 5 of them, in a mixed order, told apart by time."""
    rows = [(user, item) for user, n in N_OF_USER.items() for item in range(n)]
    frame = pd.DataFrame(rows, columns=['user_id', 'movie_id'])
    frame['timestamp'] = np.random.default_rng(5).permutation(len(frame)) + 100
    frame['rating'] = frame.timestamp - 99.0
    return Ratings.from_frame(frame.sample(frac=1, random_state=3), scale=(1, 20))


def ids(ratings):
    return ratings.to_frame()[['user_id', 'item_id']].apply(tuple, axis=1).tolist()


@pytest.mark.parametrize('n', [1, 2, 3, 4])
def test_the_last_ratings_of_each_user_with_more_are_held_out(n):
    split = leave_last_out(timed(), n)
    frame = timed().to_frame().sort_values('timestamp')
    sizes = frame.groupby('user_id').timestamp.transform('size')
    expected = frame[sizes > n].groupby('user_id').tail(n)
    assert (
        len(split.test)
        == len(expected)
        == sum(n for size in N_OF_USER.values() if size > n)
    )
    assert {*split.test.timestamp} == {*expected.timestamp}
    assert {*split.train.timestamp} == {*frame.timestamp} - {*expected.timestamp}
    assert split.name == f'last {n} of each'


def test_nothing_is_held_out_of_users_with_too_few_ratings():
    with pytest.raises(ValueError, match='of 11 ratings it would hold out 0'):
        leave_last_out(timed(), 5)


def test_one_rating_of_each_is_held_out_unless_told():
    assert len(leave_last_out(timed()).test) == 3


@pytest.mark.parametrize('fraction', [0.1, 0.3, 0.5, 0.85])
def test_a_time_split_holds_out_what_is_later_than_the_quantile(fraction):
    split = time_split(timed(), fraction)
    border = np.quantile(timed().timestamp, 1 - fraction)
    assert split.test.timestamp.min() > border >= split.train.timestamp.max()
    assert len(split.train) + len(split.test) == 11
    assert split.name == f'last {fraction:g} in time'


def test_a_tenth_is_held_out_unless_told():
    assert len(time_split(timed()).test) == 1
    frame = pd.DataFrame({'user_id': range(40), 'movie_id': 1, 'rating': 4.0})
    ratings = Ratings.from_frame(frame)
    assert len(random_split(ratings).test) == 4
    assert len(user_split(ratings).test) == 4


def test_equal_timestamps_stay_together():
    frame = timed().to_frame().rename(columns={'item_id': 'movie_id'})
    frame['timestamp'] = frame.timestamp // 3
    ratings = Ratings.from_frame(frame, scale=(1, 20))
    split = time_split(ratings, 0.5)
    assert not {*split.train.timestamp} & {*split.test.timestamp}
    frame['timestamp'] = 1
    with pytest.raises(ValueError, match='all ratings have the same timestamp'):
        time_split(Ratings.from_frame(frame, scale=(1, 20)), 0.5)


@pytest.mark.parametrize('fraction, n_train', [(0.1, 9), (0.5, 5), (0.75, 2), (0.9, 1)])
def test_a_random_split_is_that_of_the_older_generator(fraction, n_train):
    ratings = timed()
    split = random_split(ratings, fraction, 3)
    order = np.random.RandomState(3).permutation(11)
    np.testing.assert_array_equal(
        split.train.timestamp, ratings.timestamp[order[:n_train]]
    )
    np.testing.assert_array_equal(
        split.test.timestamp, ratings.timestamp[order[n_train:]]
    )
    assert split.name == f'random {fraction:g}'


@pytest.mark.parametrize('tenths', range(1, 10))
def test_a_random_split_holds_out_the_part_that_is_asked_for(tenths):
    parts = random_split(timed().take(np.arange(10)), tenths / 10)
    assert [len(part) for part in parts] == [10 - tenths, tenths]


def test_seeds_of_a_random_split():
    first = random_split(timed(), 0.5)
    assert ids(first.test) == ids(random_split(timed(), 0.5, 42).test)
    largest = random_split(timed(), 0.5, 2**32 - 1)
    assert ids(largest.test) != ids(first.test)
    with pytest.raises(ValueError, match='seed='):
        random_split(timed(), 0.5, 2**32)


@pytest.mark.parametrize('n_ratings', [1, 2])
def test_no_part_of_a_random_split_is_empty(n_ratings):
    ratings = timed().take(np.arange(n_ratings))
    if n_ratings == 1:
        with pytest.raises(ValueError, match='1 ratings cannot be cut at 0.5'):
            random_split(ratings, 0.5)
    else:
        assert [len(part) for part in random_split(ratings, 0.5)] == [1, 1]


@pytest.mark.parametrize(
    'arguments, n',
    [((0.25,), 1), ((0.5,), 2), ((0.6,), 2), ((0.01,), 1), ((0.1, 3), 3)],
)
def test_users_are_held_out_with_all_their_ratings(arguments, n):
    split = user_split(timed(), *arguments, seed=1)
    users = {user for user, _ in ids(split.test)}
    assert len(users) == n
    assert not users & {user for user, _ in ids(split.train)}
    assert len(split.test) == sum(N_OF_USER[user] for user in users)
    name = f'{n} users' if arguments[1:] else f'users {arguments[0]:g}'
    assert split.name == name


@pytest.mark.parametrize('split', [user_split, random_split, time_split])
@pytest.mark.parametrize('fraction', [-0.5, 0, 1, 1.5])
def test_a_fraction_lies_between_0_and_1(split, fraction):
    with pytest.raises(ValueError, match='^test_fraction='):
        split(timed(), fraction)


def test_users_are_drawn_in_the_order_of_their_ids():
    drawn = np.random.default_rng(8).permutation([2, 4, 7, 9])[:2]
    assert {user for user, _ in ids(user_split(timed(), 0.5, seed=8).test)} == {*drawn}
    default = np.random.default_rng(42).permutation([2, 4, 7, 9])[:2]
    assert {user for user, _ in ids(user_split(timed(), 0.5).test)} == {*default}


@pytest.mark.parametrize('n', [4, 5])
def test_some_users_stay(n):
    with pytest.raises(ValueError, match=f'of 4 users it would hold out {n}'):
        user_split(timed(), n_users=n)
    with pytest.raises(ValueError, match=r'of 4 users it would hold out 4'):
        user_split(timed(), 0.9)
    with pytest.raises(ValueError, match='n_users=0'):
        user_split(timed(), n_users=0)


def test_a_report_counts_cold_starts_and_ratings_out_of_order():
    ratings = timed()
    order = np.argsort(ratings.timestamp)
    for n_test in (3, 6, 9):
        split = time_split(ratings, n_test / 11)
        train, test = split.train.to_frame(), split.test.to_frame()
        known_user = test.user_id.isin(train.user_id)
        known_item = test.item_id.isin(train.item_id)
        row = split.report().loc[split.name]
        assert row['train'] == len(order) - len(test) and row['test'] == len(test)
        assert row['new users'] == test.user_id[~known_user].nunique()
        assert row['new items'] == test.item_id[~known_item].nunique()
        assert row['cold-start ratings'] == (~known_user | ~known_item).sum()
        assert row['out of order'] == 0


@pytest.mark.parametrize('seed', range(4))
def test_a_test_rating_is_out_of_order_if_the_user_has_a_later_one(seed):
    split = random_split(timed(), 0.5, seed)
    newest = split.train.to_frame().groupby('user_id').timestamp.max()
    test = split.test.to_frame()
    later = [newest.get(user, 0) for user in test.user_id]
    share = np.mean(test.timestamp < later).round(3)
    assert split.report()['out of order'].item() == share


def test_equal_times_are_in_order_and_unknown_times_are_unknown():
    frame = pd.DataFrame({'user_id': 1, 'movie_id': [1, 2, 3, 4], 'rating': 4.0})
    report = random_split(Ratings.from_frame(frame), 0.5).report()
    assert report['out of order'].isna().all()
    frame['timestamp'] = 5
    report = random_split(Ratings.from_frame(frame), 0.5).report()
    assert report['out of order'].item() == 0
    with pytest.raises(ValueError, match='have no timestamps'):
        time_split(Ratings.from_frame(frame.drop(columns='timestamp')))


def test_synthetic_folds_are_like_the_published_ones():
    movielens = synthetic()
    ratings = Ratings.from_frame(movielens.ratings)
    n_items = len(ratings.items)

    def test_pairs(fold):
        test = official_fold(movielens, ratings, fold).test
        return {*(test.user_ix.astype(int) * n_items + test.item_ix).tolist()}

    fifths = [test_pairs(fold) for fold in FOLDS[:5]]
    assert all(len(pairs) == 20_000 for pairs in fifths)
    assert len(set.union(*fifths)) == 100_000
    a, b = test_pairs('ua'), test_pairs('ub')
    assert not a & b and a != fifths[0]
    for pairs in (a, b):
        counts = np.bincount(
            np.array([*pairs]) // n_items, minlength=len(ratings.users)
        )
        n_of_user = np.bincount(ratings.user_ix, minlength=len(ratings.users))
        assert counts.max() == 10
        assert (counts[n_of_user >= 20] == 10).all()


def test_folds_that_do_not_exist_are_refused():
    movielens = synthetic()
    ratings = Ratings.from_frame(movielens.ratings)
    with pytest.raises(ValueError, match="'u6' is not a fold"):
        official_fold(movielens, ratings, 'u6')
    for name, words in [('ml-1m', 'without folds'), ('ml-100k', 'which archive')]:
        real = replace(movielens, name=name, is_real=True)
        with pytest.raises(DataError, match=words):
            official_fold(real, ratings, 'u1')


def published(tmp_path, lines):
    """ML-100K with a test part of these lines."""
    archive = tmp_path / 'ml-100k.zip'
    with zipfile.ZipFile(archive, 'w') as file:
        file.writestr('ml-100k/ub.test', lines)
    return replace(synthetic(), name='ml-100k', is_real=True, archive=archive)


def test_a_published_fold_is_read_from_the_archive(tmp_path):
    pairs = [(7, 2), (2, 0), (2, 4), (9, 1)]
    lines = ''.join(f'{user}\t{item}\t3\t88\n' for user, item in pairs)
    split = official_fold(published(tmp_path, lines), timed(), 'ub')
    assert {*ids(split.test)} == {*pairs} and split.name == 'ub'
    assert sorted(ids(split.train) + pairs) == sorted(ids(timed()))


@pytest.mark.parametrize(
    'line, words',
    [
        ('7\t4', 'of user 7 there is none of item 4'),
        ('8\t0', 'ub.test does not go with these ratings'),
        ('x\t0', 'ub.test does not go with these ratings'),
        ('7\t9', 'ub.test does not go with these ratings'),
    ],
)
def test_a_published_fold_of_other_ratings_is_refused(tmp_path, line, words):
    movielens = published(tmp_path, f'2\t1\t3\t88\n{line}\t3\t88\n')
    with pytest.raises(DataError, match=words):
        official_fold(movielens, timed(), 'ub')


def test_a_fold_that_is_not_in_the_archive_is_named(tmp_path):
    with pytest.raises(DataError) as caught:
        official_fold(published(tmp_path, '7\t2\t3\t88\n'), timed(), 'ua')
    assert 'ua.test' in str(caught.value) and 'does not go with' not in str(
        caught.value
    )


def test_a_split_is_equal_to_itself_alone():
    """As ratings are: nobody compares arrays by chance, and a split can be a key."""
    split = random_split(timed())
    copy = replace(split)
    assert split == split and split != copy
    assert len({split, copy}) == 2 and {split: 'kept'}.get(copy) is None
