"""Held-out users, several lengths at once, and a row for each user."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import pytrec_eval

from mf_movielens.encoding import Ratings, RatingsError, UnknownIdError
from mf_movielens.evaluation import align_ratings
from mf_movielens.recommender import Recommender
from mf_movielens.splits import random_split, user_split

SETTINGS = {
    'ials': {'n_factors': 2, 'reg': 0.01, 'damping': 0.1, 'alpha': 0.1},
    'ease': {},
    'knn': {},
    'blend': {'n_factors': 4},
    'als': {'n_factors': 4},
    'bayes': {'n_factors': 2, 'n_burn_in': 2, 'n_samples': 8, 'progress': False},
}


@pytest.fixture(scope='module')
def frame():
    """Planted: users like the items of their half of the catalog."""
    rng = np.random.default_rng(5)
    user, item = np.divmod(rng.permutation(60 * 40)[:1200], 40)
    is_liked = user % 2 == item % 2
    stars = np.where(is_liked, rng.integers(4, 6, 1200), rng.integers(1, 4, 1200))
    return pd.DataFrame({'user': user + 100, 'item': item, 'rating': stars * 1.0})


@pytest.fixture(scope='module')
def split(frame):
    return user_split(Ratings.from_frame(frame, scale=(1, 5)), 0.2, seed=1)


@pytest.fixture(scope='module')
def models(split):
    return {s: Recommender.fit(split.train, s, **SETTINGS[s]) for s in SETTINGS}


def test_whole_users_are_held_out(frame):
    ratings = Ratings.from_frame(frame)
    for seed in range(5):
        split = user_split(ratings, 0.25, seed=seed)
        assert not set(split.train.user_ix) & set(split.test.user_ix)
        assert len(split.train) + len(split.test) == len(ratings)
        assert len(set(split.test.user_ix)) == 15
    assert len(set(user_split(ratings, n_users=3).test.user_ix)) == 3
    assert set(user_split(ratings, seed=0).test.user_ix) != set(
        user_split(ratings, seed=1).test.user_ix
    )
    for wrong in ({'n_users': 60}, {'test_fraction': 1}, {'n_users': 0}):
        with pytest.raises(ValueError):
            user_split(ratings, **wrong)


def test_users_without_ratings_are_not_drawn(frame):
    some = Ratings.from_frame(frame)
    some = some.take(some.user_ix < 4)
    assert len(some.users) == 60
    assert len(set(user_split(some, n_users=3).test.user_ix)) == 3


@pytest.mark.parametrize('solver', SETTINGS)
def test_every_model_is_judged_on_new_users(models, split, solver):
    found = models[solver].evaluate(split.test, folded_in=0.5, seed=3, k=15)
    assert found.seen == found.left_out == found.unknown == 0
    # Half of the ratings, rounded for each user.
    assert abs(found.ratings - len(split.test) / 2) <= len(set(split.test.user_ix)) / 2
    # Of some thirty candidates, chance would find half.
    assert found.recall > 0.65
    if models[solver].goal == 'rating':
        # The mean errs by 1.5, and noise alone by 0.65.
        assert found.rmse < 1.1


@pytest.mark.parametrize('solver', ['ials', 'ease', 'als'])
def test_new_users_are_judged_as_by_fold_in(models, split, solver):
    """What `fold_in` recommends for the same histories is what is judged."""
    model, k = models[solver], 7
    rows = model.evaluate_users(split.test, folded_in=5, seed=4, k=k)
    frame = split.test.to_frame().rename(columns={'user_id': 'user', 'item_id': 'item'})
    rng, n_checked = np.random.default_rng(4), 0
    frame = frame.sort_values(['user', 'item']).assign(draw=rng.random(len(frame)))
    for user, own in frame.sort_values('draw').groupby('user'):
        history, rest = own[:5], own[5:]
        if not len(rest):
            assert user not in set(rows.user)
            continue
        asked = dict(zip(history['item'].tolist(), history['rating'].tolist()))
        found = model.fold_in(asked, k)
        liked = set(rest['item'][rest.rating >= 4])
        n_hits = len(liked & set(found['item']))
        row = rows.set_index('user').loc[user]
        assert row.ratings == len(rest)
        assert row.relevant == len(liked)
        if liked:
            assert np.isclose(row.recall, n_hits / len(liked))
            n_checked += 1
    assert n_checked > 5


def test_the_draw_goes_by_the_seed_and_not_by_the_order(models, split):
    model, test = models['ials'], split.test
    shuffled = test.to_frame().sample(frac=1, random_state=0)
    same = {'folded_in': 0.5, 'seed': 1}
    first = model.evaluate_users(test, **same)
    again = model.evaluate_users(shuffled, **same).set_index('user').loc[first.user]
    pd.testing.assert_frame_equal(first.set_index('user'), again)
    other = model.evaluate_users(test, folded_in=0.5, seed=2)
    assert not first.ndcg.equals(other.ndcg)
    assert model.evaluate(test, **same).equals(model.evaluate(test, **same))
    whole = shuffled.rename(columns={'user_id': 'user', 'item_id': 'item'})
    names = [
        sorted(user_split(Ratings.from_frame(f), 0.3).test.to_frame().user_id.unique())
        for f in (whole, whole.sort_values(['item', 'user']))
    ]
    assert names[0] == names[1]


def test_what_is_folded_in_is_neither_recommended_nor_expected(models, split):
    rows = models['ease'].evaluate_users(split.test, folded_in=0.5, k=40)
    # Everything but the history is recommended, so everything else is found.
    assert (rows.recall[rows.relevant > 0] == 1).all()
    n_test = pd.Series(split.test.user_ix).value_counts()
    n_test.index = split.test.users.decode(n_test.index.to_numpy())
    assert (rows.set_index('user').ratings - n_test / 2).abs().max() <= 0.5


def test_users_with_too_few_ratings_are_left_out_and_counted(models):
    few = pd.DataFrame(
        {'user': [1, 2, 2, 3, 3, 3], 'item': [0, 0, 1, 0, 1, 2], 'rating': 5.0}
    )
    model = models['ials']
    assert model.evaluate(few, folded_in=0.8).left_out == 1
    assert model.evaluate(few, folded_in=2).left_out == 2
    assert model.evaluate_users(few, folded_in=2).user.tolist() == [3]
    with pytest.raises(RatingsError, match='none of the 3 users has enough'):
        model.evaluate(few, folded_in=3)


def test_users_of_the_model_are_no_new_users(models, split):
    for test in (split.train, split.train.to_frame()):
        with pytest.raises(
            RatingsError, match='user 121 is not a new user: .* 20 of their ratings'
        ):
            models['ials'].evaluate(test, folded_in=0.5)
    # Ids of the same look, as text.
    texts = split.train.to_frame().astype({'user_id': str, 'item_id': str})
    with pytest.raises(RatingsError, match='not a new user'):
        models['ials'].evaluate(texts, folded_in=0.5)


def test_other_kinds_are_not_folded_in_silently(split, models):
    likes = Recommender.fit(split.train.as_kind('likes'), n_factors=4)
    with pytest.raises(RatingsError, match="stars cannot .* kind='likes'"):
        likes.evaluate(split.test, folded_in=0.5)
    assert likes.evaluate(split.test.as_kind('likes'), folded_in=0.5).users > 10
    marks = split.test.to_frame().assign(rating=lambda f: f.rating * 2)
    marks = Ratings.from_frame(marks, scale=(2, 10))
    with pytest.raises(RatingsError, match='from 2 to 10 cannot be folded'):
        models['ials'].evaluate(marks, folded_in=0.5, liked=8)
    counts = Recommender.fit(split.train.as_kind('counts'), n_factors=4)
    with pytest.raises(RatingsError, match='stars cannot'):
        counts.evaluate(split.test, folded_in=0.5, liked=4)
    assert counts.evaluate(split.test.as_kind('counts'), folded_in=0.5).users > 10


def test_unknown_items_are_an_error_or_left_out(models, split):
    test = split.test.to_frame()
    extra = test[:3].assign(item_id=[1000, 1001, 1002])
    both = pd.concat([test, extra])
    with pytest.raises(UnknownIdError):
        models['ials'].evaluate(both, folded_in=0.5)
    found = models['ials'].evaluate(both, unknown='ignore', folded_in=0.5, seed=2)
    assert found.unknown == 3
    alone = models['ials'].evaluate(test, folded_in=0.5, seed=2)
    assert found.drop('unknown').equals(alone.drop('unknown'))


def test_times_stay_with_their_ratings(frame):
    some = frame[:9].assign(timestamp=np.arange(9) * 1000)
    known = Ratings.from_frame(some[4:], scale=(1, 5))
    is_known = some['item'].isin(known.items.index) & some.user.isin(known.users.index)
    assert not is_known.iloc[0]
    test = Ratings.from_frame(some, scale=(1, 5))
    found = align_ratings(test, known.users, known.items, (1, 5), 'ignore').ratings
    assert found.timestamp.tolist() == some.timestamp[is_known].tolist()


def test_intervals_are_judged_at_the_time_of_the_ratings(frame):
    moments = np.arange(len(frame)) % 7 * 86_400
    ratings = Ratings.from_frame(frame.assign(timestamp=moments), scale=(1, 5))
    train, test = random_split(ratings, 0.3)
    model = Recommender.fit(train, 'bayes', time=True, **SETTINGS['bayes'])
    pairs = test.user_ix, test.item_ix, test.rating
    expected = model.predictor.interval_coverage(*pairs, timestamp=test.timestamp)
    assert expected != model.predictor.interval_coverage(*pairs)
    found = model.evaluate(test)
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize('wrong', [0, 1.5, -0.1, 'half', np.nan])
def test_wrong_shares_are_refused(models, split, wrong):
    with pytest.raises(ValueError, match='such as 0.8'):
        models['ials'].evaluate(split.test, folded_in=wrong)


TREC_NAMES = {
    'ndcg': 'ndcg_cut_{k}',
    'recall': 'recall_{k}',
    'precision': 'P_{k}',
    'ap': 'map_cut_{k}',
    'hit': 'success_{k}',
}


@pytest.mark.parametrize('k', [[1, 3], [5, 10, 20]])
@pytest.mark.parametrize('folded_in', [None, 0.5])
def test_metrics_at_several_lengths_are_those_of_trec_eval(frame, k, folded_in):
    ratings = Ratings.from_frame(frame, scale=(1, 5))
    split = user_split(ratings, 0.3)
    train, test = split
    if folded_in is None:
        is_test = np.random.default_rng(0).random(len(ratings)) < 0.3
        train, test = ratings.take(~is_test), ratings.take(is_test)
    model = Recommender.fit(train, n_factors=4)
    rows = model.evaluate_users(test, k=k, folded_in=folded_in).set_index('user')
    found = model.evaluate(test, k=k, folded_in=folded_in)
    histories, held_out = train.to_frame(), test.to_frame()
    if folded_in is not None:
        draw = np.random.default_rng(0).random(len(held_out))
        ordered = held_out.sort_values(['user_id', 'item_id']).assign(draw=draw)
        place = ordered.groupby('user_id').draw.rank(method='first')
        n = ordered.groupby('user_id').draw.transform('size')
        is_history = place <= np.rint(0.5 * n).clip(1, n - 1)
        histories, held_out = ordered[is_history], ordered[~is_history]
        columns = {'user_id': 'user', 'item_id': 'item'}
        lists = model.fold_in(
            histories.rename(columns=columns).drop(columns='draw'), 30
        )
    else:
        lists = model.recommend(rows.index.tolist(), 30)
    liked = held_out[held_out.rating >= 4]
    relevant = {
        str(user): dict.fromkeys(own.item_id.astype(str), 1)
        for user, own in liked.groupby('user_id')
    }
    run = {
        str(user): dict(zip(own['item'].astype(str), -1.0 * own['rank']))
        for user, own in lists.groupby('user')
        if str(user) in relevant
    }
    cuts = ','.join(map(str, k))
    names = ('ndcg_cut', 'recall', 'P', 'map_cut', 'success')
    evaluator = pytrec_eval.RelevanceEvaluator(relevant, {f'{n}.{cuts}' for n in names})
    expected = evaluator.evaluate(run)
    assert len(expected) == found.users > 10
    for name, trec_name in TREC_NAMES.items():
        mean_name = {'ap': 'map'}.get(name, name)
        for length in k:
            values = {u: expected[u][trec_name.format(k=length)] for u in expected}
            for user, value in values.items():
                assert np.isclose(rows.loc[int(user), f'{name}@{length}'], value)
            mean = np.mean([*values.values()])
            assert np.isclose(found[f'{mean_name}@{length}'], mean), name


def test_one_length_keeps_its_names_and_agrees_with_several(models, split):
    model = models['als']
    one = model.evaluate(split.test, k=5, folded_in=0.5)
    listed = model.evaluate(split.test, k=[10, 5], folded_in=0.5)
    names = [
        'ndcg',
        'ndcg_low',
        'ndcg_high',
        'recall',
        'precision',
        'map',
        'mrr',
        'hit',
    ]
    for name in [*names, 'coverage']:
        assert one[name] == listed[f'{name}@5']
    assert listed.rmse == one.rmse
    assert 'ndcg' not in listed
    # The shorter length comes first.
    assert [n for n in listed.index if n.startswith('hit')] == ['hit@5', 'hit@10']
    for wrong in ([], [5, 5], [0], ['x'], 'ten', 2.5):
        with pytest.raises(ValueError, match='^k=.*(give one number|ask for one item)'):
            model.evaluate(split.test, k=wrong, folded_in=0.5)


@pytest.mark.parametrize('solver', ['ials', 'als', 'bayes'])
def test_rows_of_users_average_to_the_metrics(frame, solver):
    ratings = Ratings.from_frame(frame, scale=(1, 5))
    is_test = np.random.default_rng(1).random(len(ratings)) < 0.2
    # One pair of the test is known: it is counted, and not expected.
    train, test = ratings.take(~is_test), ratings.take(is_test)
    train = ratings.take(~is_test | (np.arange(len(ratings)) == is_test.argmax()))
    model = Recommender.fit(train, solver, **SETTINGS[solver])
    found, rows = model.evaluate(test, k=[3, 9]), model.evaluate_users(test, k=[3, 9])
    assert rows.user.is_unique and rows.ratings.sum() == found.ratings == len(test)
    assert rows.seen.sum() == found.seen == 1
    assert (rows.relevant > 0).sum() == found.users
    of_mean = {'map': 'ap', 'mrr': 'rr'}
    for name in ('ndcg', 'recall', 'precision', 'map', 'mrr', 'hit'):
        for k in (3, 9):
            column = rows[f'{of_mean.get(name, name)}@{k}']
            assert np.isclose(column.mean(), found[f'{name}@{k}'])
            assert (column.isna() == (rows.relevant == 0)).all()
    if model.goal == 'rating':
        n = rows.ratings
        assert np.isclose(np.sqrt((n * rows.rmse**2).sum() / n.sum()), found.rmse)
        assert np.isclose((n * rows.mae).sum() / n.sum(), found.mae)
    if solver == 'bayes':
        assert np.isclose((n * rows.covered_90).sum() / n.sum(), found.covered_90)


def test_nothing_new_leaves_rows_without_metrics(models, split):
    rows = models['ials'].evaluate_users(split.train)
    assert rows.relevant.sum() == 0 and rows.ndcg.isna().all()
    assert (rows.seen == rows.ratings).all()


@pytest.fixture
def files(models, split, tmp_path):
    model = models['als'].save(tmp_path / 'model.npz')
    test = tmp_path / 'test.csv'
    split.test.to_frame().to_csv(test, index=False)
    return test, '--model', model


@pytest.mark.parametrize('suffix', ['csv', 'parquet'])
def test_the_command_judges_new_users(call, files, models, split, tmp_path, suffix):
    path = tmp_path / f'users.{suffix}'
    words = ['--folded-in', '0.5', '--seed', 3, '-k', 5, '-k', 10, '--per-user', path]
    code, output, errors = call('evaluate', *files, *words)
    assert (code, errors) == (0, '')
    # The first line tells how the file was read.
    found = dict(line.split() for line in output.splitlines()[1:])
    asked = {'k': [5, 10], 'folded_in': 0.5, 'seed': 3}
    expected = models['als'].evaluate(split.test, **asked)
    assert list(found) == list(expected.index)
    assert abs(float(found['ndcg@5']) - expected['ndcg@5']) < 1e-4
    read = pd.read_csv if suffix == 'csv' else pd.read_parquet
    rows = models['als'].evaluate_users(split.test, **asked)
    pd.testing.assert_frame_equal(read(path), rows, check_dtype=False)
    assert sorted(x.name for x in tmp_path.iterdir()) == sorted(
        ['model.npz', 'test.csv', path.name]
    )


def test_the_command_with_a_number_of_ratings_and_one_length(call, files):
    code, output, _ = call('evaluate', *files, '--folded-in', 5, '-k', 7, '--json')
    assert code == 0
    assert '"ndcg": 0.' in output and '@' not in output


@pytest.mark.parametrize(
    'words, message',
    [
        (['--folded-in', '1.5'], '--folded-in 1.5: give the share'),
        (['--seed', '1'], '--seed is that of the draw of --folded-in'),
        (['--per-user', 'users.txt'], 'ends in .parquet or .csv'),
        (['--per-user', 'none/users.csv'], 'there is no such folder'),
        (['-k', '5', '-k', '5'], '-k is given twice'),
    ],
)
def test_the_command_refuses_what_makes_no_sense(call, files, words, message):
    code, output, errors = call('evaluate', *files, *words)
    assert code in (1, 2) and message in errors and errors.count('\n') == 1
    assert 'ndcg' not in output
