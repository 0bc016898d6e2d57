"""Recommendations under rules, from Python and the command line."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st
from scipy.sparse import csr_array

from mf_movielens.encoding import Ratings
from mf_movielens.features import read_features
from mf_movielens.item_weights import ItemWeights
from mf_movielens.recommender import Recommender
from mf_movielens.rules import Quota, Rules, rank_under_rules, select_items

N_USERS, N_ITEMS = 30, 40
ITEMS = pd.DataFrame(
    {
        'item': [f'i{j}' for j in range(N_ITEMS)],
        'genre': ['abc'[j % 3] + ('|d' if j % 4 == 0 else '') for j in range(N_ITEMS)],
        'year': [1980 + j if j % 5 else None for j in range(N_ITEMS)],
        'day': [f'2000-01-{j % 28 + 1:02}' for j in range(N_ITEMS)],
    }
)


@pytest.fixture(scope='module')
def ratings() -> Ratings:
    rng = np.random.default_rng(0)
    # Three circles of users, who mostly rate the items of their circle.
    is_own = np.arange(N_USERS)[:, None] % 3 == np.arange(N_ITEMS) % 3
    is_rated = rng.random((N_USERS, N_ITEMS)) < np.where(is_own, 0.6, 0.15)
    user, item = np.nonzero(is_rated)
    frame = pd.DataFrame(
        {
            'user': [f'u{u}' for u in user],
            'item': [f'i{i}' for i in item],
            'rating': rng.integers(1, 6, len(user)),
        }
    )
    return Ratings.from_frame(frame, scale=(1, 5))


@pytest.fixture(scope='module', params=['ials', 'als', 'ease', 'knn'])
def model(request, ratings) -> Recommender:
    # On so small a table the weights by default leave one factor.
    weak = {'reg': 0.02, 'damping': 0.1} if request.param == 'ials' else {}
    return Recommender.fit(ratings, request.param, **weak).with_features(ITEMS)


def rows(model: Recommender, found: pd.DataFrame) -> np.ndarray:
    return model.items.encode(found.item.tolist())


def test_where_cuts_and_keeps_the_order(model):
    condition = "genre == 'a' and year > 1990"
    mask = select_items(condition, model.item_columns)
    assert 0 < mask.sum() < len(mask)
    found = model.recommend('u1', k=N_ITEMS, where=condition)
    every = model.recommend('u1', k=N_ITEMS)
    expected = every[mask[rows(model, every)]]
    assert found.item.tolist() == expected.item.tolist()
    assert np.array_equal(found.score, expected.score)
    by_mask = model.recommend('u1', k=N_ITEMS, where=mask)
    by_id = pd.Series(mask, index=model.items.index).sample(frac=1, random_state=0)
    assert by_mask.equals(found)
    assert model.recommend('u1', k=N_ITEMS, where=by_id).equals(found)
    rest = model.recommend('u1', k=N_ITEMS, where=f'not ({condition})')
    assert {*rest.item} | {*found.item} == {*every.item}


def test_exclude_and_candidates_go_together(model):
    plain = model.recommend('u2', k=5).item.tolist()
    found = model.recommend('u2', k=3, candidates=plain, exclude=plain[:2])
    assert found.item.tolist() == plain[2:]
    assert model.recommend('u2', k=4, exclude=plain[0]).item.tolist() == plain[1:]
    assert not len(model.recommend('u2', candidates=plain, exclude=plain))
    with pytest.raises(LookupError, match='nope'):
        model.recommend('u2', exclude='nope')


@pytest.mark.parametrize('n', [1, 3])
def test_at_least(model, n):
    condition = "genre == 'd' and year < 2000"
    mask = select_items(condition, model.item_columns)
    found = model.recommend(k=5, at_least={condition: n})
    every = model.recommend(k=N_ITEMS)
    for user, part in found.groupby('user', sort=False):
        possible = mask[rows(model, every[every.user == user])].sum()
        assert mask[rows(model, part)].sum() >= min(n, possible)
        assert part['rank'].tolist() == [*range(1, len(part) + 1)]
        # What the rule does not need stays the best.
        plain = every[every.user == user].item.tolist()
        free = [
            item for item, is_d in zip(part.item, mask[rows(model, part)]) if not is_d
        ]
        others = [i for i in plain if not mask[model.items.encode([i])[0]]]
        assert free == others[: len(free)]


def test_two_least_numbers_at_once(model):
    conditions = {"genre == 'a'": 2, "genre == 'b'": 2, "genre == 'c'": 1}
    found = model.recommend('u3', k=5, at_least=conditions)
    for condition, n in conditions.items():
        mask = select_items(condition, model.item_columns)
        assert mask[rows(model, found)].sum() == n
    with pytest.raises(ValueError, match='add up to 5, more than k=4'):
        model.recommend('u3', k=4, at_least=conditions)


def test_diversity_makes_lists_less_alike(model):
    from mf_movielens.similarity import similarity_table

    def alike(found):
        tables = [
            similarity_table(model.predictor, rows(model, part))
            for _, part in found.groupby('user')
        ]
        return np.mean(
            [table[~np.eye(len(table), dtype=bool)].mean() for table in tables]
        )

    by_weight = [alike(model.recommend(k=6, diversity=d)) for d in (0, 0.4, 0.9)]
    assert by_weight[0] > by_weight[1] > by_weight[2]
    plain = model.recommend(k=6)
    diverse = model.recommend(k=6, diversity=0.9)
    first = diverse['rank'] == 1
    assert diverse.item[first].tolist() == plain.item[plain['rank'] == 1].tolist()


def test_popularity_discount(model):
    counts = [
        model.item_counts[rows(model, model.recommend(popularity_discount=d))].mean()
        for d in (-1, 0, 1, 3)
    ]
    assert counts == sorted(counts, reverse=True) and counts[0] > counts[-1]
    found = model.recommend('u1', k=N_ITEMS, popularity_discount=2)
    plain = model.recommend('u1', k=N_ITEMS).set_index('item').score
    assert np.allclose(found.score, plain[found.item], atol=1e-5)


def test_new_users_have_the_same_rules(model):
    history = {'i1': 5.0, 'i2': 4.0, 'i3': 2.0}
    asked = {'where': "genre == 'a'", 'exclude': 'i6', 'diversity': 0.3}
    found = model.recommend(history, k=4, **asked)
    assert found.equals(model.fold_in(history, k=4, **asked))
    assert select_items("genre == 'a'", model.item_columns)[rows(model, found)].all()
    assert 'i6' not in set(found.item)


def test_similar_items_under_rules(model):
    found = model.similar('i4', min_ratings=0, say=None, where='year >= 2000')
    assert (
        len(found)
        and (model.item_features['year'].numbers[rows(model, found)] > 1999).all()
    )
    first = found.item[0]
    without = model.similar(
        'i4', min_ratings=0, say=None, where='year >= 2000', exclude=first
    )
    assert without.item.tolist()[:5] == found.item.tolist()[1:6]


def test_groups(model):
    members = ['u1', {'i1': 5.0, 'i2': 4.0}, 'u4']
    own = pd.DataFrame(
        [
            model.recommend(member, k=N_ITEMS, exclude_seen=False)
            .set_index('item')
            .score.reindex(ITEMS.item)
            for member in members
        ]
    )
    seen = {'i1', 'i2', *model.history('u1').item, *model.history('u4').item}
    for how, expected in (
        ('mean', own.mean()),
        ('least_misery', own.min()),
        ('most_pleasure', own.max()),
    ):
        found = model.recommend_group(members, how, k=6)
        assert not seen & set(found.item)
        assert np.allclose(found.score, expected[found.item], atol=1e-4)
        assert np.allclose(found.lowest, own.min()[found.item], atol=1e-4)
        assert np.allclose(found.highest, own.max()[found.item], atol=1e-4)
        best = expected.drop(list(seen)).nlargest(6)
        assert np.allclose(found.score, best, atol=1e-4)
    with pytest.raises(TypeError, match='a group is a list'):
        model.recommend_group('u1')


def test_similar_users(model):
    found = model.similar_users('u1', k=N_USERS, min_ratings=0)
    assert 'u1' not in set(found.user) and len(found) == N_USERS - 1
    # Users are compared by their factors, or by what weights of items are fitted to.
    if isinstance(model.predictor, ItemWeights):
        vectors = model.predictor.targets.toarray()
    else:
        vectors = model.predictor.user_factors
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    own, others = model.users.encode(['u1']), model.users.encode(found.user.tolist())
    assert np.allclose(found.similarity, units[others] @ units[own[0]], atol=1e-5)
    assert (np.diff(found.similarity) <= 0).all()
    fewer = model.similar_users('u1', k=N_USERS, min_ratings=12)
    n_ratings = np.diff(model.seen.indptr)
    assert (n_ratings[model.users.encode(fewer.user.tolist())] >= 12).all()
    assert fewer.attrs['left_out'] == N_USERS - 1 - len(fewer)
    with pytest.raises(LookupError):
        model.similar_users('u99')


def test_a_new_user_is_most_like_the_one_who_has_rated_the_same(model):
    for user in ('u3', 'u7'):
        own = model.history(user)
        ratings = dict(zip(own.item, own.rating))
        assert model.similar_users(ratings, k=1, min_ratings=0).user.tolist() == [user]


NUMBERS = read_features(ITEMS)
COLUMNS = {feature.name: feature for feature in NUMBERS.features}
WORDS = st.sampled_from(
    ["genre == 'a'", "genre != 'b'", 'year > 1990', 'year', "day < '2000-01-10'"]
)


@given(
    st.recursive(
        WORDS,
        lambda c: st.one_of(
            st.tuples(c, st.sampled_from(['and', 'or']), c).map(
                lambda t: f'({" ".join(t)})'
            ),
            c.map(lambda t: f'not ({t})'),
        ),
        max_leaves=6,
    )
)
def test_conditions_are_what_python_says(condition):
    frame = NUMBERS.to_frame()
    found = select_items(condition, COLUMNS)
    python = condition.replace("genre == 'a'", "('a' in genre)")
    python = python.replace("genre != 'b'", "('b' not in genre)")
    python = python.replace('year > 1990', '(year == year and year > 1990)')
    expected = [
        bool(
            eval(
                python,
                {},
                {
                    'genre': r.genre,
                    'year': 0 if r.year != r.year else r.year,
                    'day': str(r.day)[:10],
                },
            )
        )
        for r in frame.itertuples()
    ]
    assert found.tolist() == expected


@pytest.mark.parametrize(
    'condition, said',
    [
        ("genre == 'A'", "no value 'A'. Did you mean 'a'?"),
        ("gener == 'a'", "there is no column 'gener'; there are 'genre'"),
        ("genre > 'a'", 'words, which are equal or not'),
        ("year > 'x'", 'holds numbers, not text'),
        ("day > 'soon'", 'no date'),
        ('year > 1990 and', 'cannot be read'),
        ('year + 1 > 1990', 'not the name of a column'),
        ("genre.__class__ == 'a'", 'not the name of a column'),
        ('(lambda: 1)()', 'is not a comparison'),
        ('[x for x in year]', 'is not a comparison'),
        ('year := 3', 'cannot be read'),
        ("'a' in year", 'holds no words'),
        ('genre', 'has to be compared'),
        ('year is 1990', 'is and is not'),
        ('x' * 3000, 'longer than'),
        ('(' * 900 + 'year' + ')' * 900, 'cannot be read'),
    ],
)
def test_wrong_conditions_are_refused(condition, said):
    with pytest.raises(ValueError, match='condition') as error:
        select_items(condition, COLUMNS)
    assert said in str(error.value)


def test_wrong_masks_are_refused(ratings):
    model = Recommender.fit(ratings, n_factors=2)
    with pytest.raises(TypeError, match='int64 values; ids of items go to candidates'):
        model.recommend('u1', where=np.arange(3))
    with pytest.raises(ValueError, match='40 items, and has 3'):
        model.recommend('u1', where=np.ones(3, bool))
    with pytest.raises(ValueError, match='no label'):
        model.recommend('u1', where=pd.Series([True], index=['zzz']))
    for wrong in (
        {'diversity': 1.5},
        {'diversity': -0.1},
        {'popularity_discount': np.nan},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            model.recommend('u1', **wrong)
    assert len(model.recommend('u1', where='n_ratings > 3 and item != "i5"')) == 10


def test_a_quota_beyond_the_first_hundred_is_found():
    scores = -np.arange(500.0)[None]
    mask = np.arange(500) >= 490
    rules = Rules(quotas=(Quota('late', mask, 2),))
    seen = csr_array((np.ones(1), ([0], [490])), shape=(1, 500))
    blocks = rank_under_rules(
        lambda rows: scores[rows],
        np.array([0]),
        seen,
        4,
        rules,
        lambda r: np.eye(len(r)),
    )
    assert next(blocks).item_ix.tolist() == [0, 1, 491, 492]


def test_a_least_number_brings_only_candidates():
    scores = np.array([[5, 4, 3, 2, 1.0]])
    is_wanted = np.array([True, False, False, False, True])
    quota = Quota('wanted', is_wanted, 1)
    (block,) = rank_under_rules(
        lambda rows: scores[rows],
        np.array([0]),
        csr_array((1, 5)),
        3,
        Rules(candidates=np.array([1, 2, 3, 4]), quotas=(quota,)),
        lambda rows: np.eye(len(rows)),
    )
    assert block.item_ix.tolist() == [1, 2, 4]


def test_lists_under_rules_go_to_their_users_however_many(monkeypatch):
    monkeypatch.setattr('mf_movielens.rules._USERS_AT_ONCE', 2)
    scores = np.random.default_rng(0).random((5, 6))
    blocks = rank_under_rules(
        lambda rows: scores[rows],
        np.arange(5),
        csr_array((5, 6)),
        2,
        Rules(diversity=1e-9),
        lambda rows: np.eye(len(rows)),
    )
    positions, items = zip(*((block.position, block.item_ix) for block in blocks))
    assert np.concatenate(positions).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    best = np.argsort(-scores)[:, :2]
    assert np.concatenate(items).tolist() == best.ravel().tolist()


def test_the_same_on_the_command_line(call, ratings, tmp_path):
    table = tmp_path / 'ratings.csv'
    ratings.to_frame().to_csv(table, index=False)
    ITEMS.to_csv(tmp_path / 'items.csv', index=False)
    words = ('--solver', 'ease', '--no-evaluate', '--item-features', 'items.csv')
    code, out, err = call('train', table, *words)
    assert code == 0, err
    assert 'items.csv: 40 items with genre (category), year (number), day (date)' in out
    model = Recommender.load('mf-movielens-out/model.npz')
    asked = {
        'where': "genre == 'a' and year > 1985",
        'exclude': ['i3', 'i6'],
        'at_least': {"genre == 'd'": 1},
        'diversity': 0.2,
        'popularity_discount': 0.3,
    }
    options = ('--where', asked['where'], '--exclude', 'i3', '--exclude', 'i6')
    options += ('--at-least', "1 genre == 'd'", '--diversity', 0.2)
    options += ('--popularity-discount', 0.3, '-k', 3, '--json')

    def answer(*words):
        code, out, err = call(*words)
        assert code == 0, err
        return pd.DataFrame(json.loads(out))

    found = answer('recommend', 'u1', *options)
    assert found.item.tolist() == model.recommend('u1', 3, **asked).item.tolist()
    found = answer('rate', 'i1=5', 'i2=4', *options)
    expected = model.fold_in({'i1': 5, 'i2': 4}, 3, **asked)
    assert found.item.tolist() == expected.item.tolist()
    found = answer('group', 'u1', 'u2', '--how', 'least_misery', *options)
    expected = model.recommend_group(['u1', 'u2'], 'least_misery', 3, **asked)
    assert found.item.tolist() == expected.item.tolist()
    found = answer('similar-users', 'u1', '-k', 3, '--min-ratings', 5, '--json')
    expected = model.similar_users('u1', 3, 5)
    assert found.user.tolist() == expected.user.tolist()
    found = answer('similar', 'i4', '--where', "genre == 'd'", '--json')
    assert (
        found.item.tolist()
        == model.similar('i4', say=None, where="genre == 'd'").item.tolist()
    )
    for words, said in (
        (('recommend', 'u1', '--where', "genre == 'e'"), "no value 'e'"),
        (('recommend', 'u1', '--at-least', "genre == 'a'"), '--at-least'),
        (('recommend', 'u1', '--at-least', "0.5 genre == 'a'"), '--at-least'),
        (('recommend', 'u1', '--exclude', 'i99'), 'i99'),
        (('group', 'u1', 'u99'), 'u99'),
        (('group', 'u1', 'u2', '--how', 'least'), '--how least: use'),
        (('train', table, '--item-features', 'none.csv'), 'no file none.csv'),
    ):
        code, out, err = call(*words)
        assert code == 2 and said in err and err.count('\n') == 1, err


def test_maximal_marginal_relevance_by_hand():
    # Items 0, 1 and 3 are alike, and so are 2 and 4.
    kind = np.array([0, 0, 1, 0, 1])
    scores = np.array([[1.0, 0.9, 0.8, 0.7, 0.0]])
    blocks = rank_under_rules(
        lambda rows: scores[rows],
        np.array([0]),
        csr_array((1, 5)),
        4,
        Rules(diversity=0.5),
        lambda rows: (kind[rows][:, None] == kind[rows]).astype(float),
    )
    # After one of each kind, all that is left is alike to one of the list.
    assert next(blocks).item_ix.tolist() == [0, 2, 1, 3]


def test_sides_may_be_exchanged():
    for one, other in (
        ('1991 < year', 'year > 1991'),
        ('1991 <= year', 'year >= 1991'),
        ('1991 > year', 'year < 1991'),
        ('1991 >= year', 'year <= 1991'),
        ('1990 < year < 1995', 'year > 1990 and year < 1995'),
    ):
        found = select_items(one, COLUMNS)
        assert found.any() and found.tolist() == select_items(other, COLUMNS).tolist()


def test_candidates_and_where_go_together(model):
    plain = model.recommend('u2', k=8).item.tolist()
    mask = select_items("genre == 'a' or genre == 'b'", model.item_columns)
    found = model.recommend('u2', candidates=plain, where=mask)
    assert found.item.tolist() == [
        item for item in plain if mask[model.items.encode([item])[0]]
    ]


def test_who_has_rated_nothing_is_like_nobody(ratings):
    train = replace(
        ratings,
        **{
            name: getattr(ratings, name)[ratings.user_ix > 0]
            for name in ('user_ix', 'item_ix', 'rating')
        },
    )
    for solver in ('ials', 'ease'):
        fitted = Recommender.fit(train, solver)
        nobody = ratings.users.index[0]
        found = fitted.similar_users('u5', k=N_USERS, min_ratings=0)
        assert nobody not in set(found.user)
        with pytest.raises(ValueError, match='nothing is known about this user'):
            fitted.similar_users(nobody)


def test_a_mask_that_has_two_meanings_is_refused():
    frame = pd.DataFrame({'user': [1, 1, 2], 'item': [2, 0, 1], 'rating': [5, 4, 3]})
    model = Recommender.fit(Ratings.from_frame(frame), n_factors=1)
    mask = pd.Series([True, False, False])
    with pytest.raises(ValueError, match='may be ids or places'):
        model.recommend(2, where=mask)
    by_id = mask.reindex(model.items.index).to_numpy()
    assert model.recommend(2, where=by_id).item.tolist() == [0]
    assert model.recommend(2, where=mask.to_numpy()).item.tolist() == [2]


@pytest.mark.parametrize(
    'condition, said',
    [
        ('year = 1990', 'equal is =='),
        ("genre == 'a' AND year > 1990", 'write and, or, not'),
        ("genre == 'a' & year > 1990", 'in place of & and |'),
        ("(genre == 'a') | (year > 1990)", 'in place of & and |'),
    ],
)
def test_what_is_often_written_otherwise_is_said(condition, said):
    with pytest.raises(ValueError, match='condition') as error:
        select_items(condition, COLUMNS)
    assert said in str(error.value)


def test_a_member_counts_once(model):
    once = model.recommend_group(['u1', 'u2'])
    assert model.recommend_group(['u1', 'u2', 'u1']).equals(once)
    assert model.recommend_group(iter(['u1', 'u2'])).equals(once)
    with pytest.raises(TypeError, match='at_least takes a dict'):
        model.recommend('u1', at_least=2)
    with pytest.raises(ValueError, match='popularity_discount=1e'):
        model.recommend('u1', popularity_discount=1e308)


def test_a_list_separator_and_a_column_of_ids_on_the_command_line(
    call, ratings, tmp_path
):
    table = tmp_path / 'ratings.csv'
    ratings.to_frame().to_csv(table, index=False)
    renamed = ITEMS.rename(columns={'item': 'code'})
    renamed = renamed.assign(genre=renamed.genre.str.replace('|', '/'), ref='i1')
    renamed.to_csv(tmp_path / 'items.csv', index=False)
    words = ['train', table, '--no-evaluate', '--item-features', 'items.csv']
    options = ['--features-id-column', 'code', '--list-separator', '/']
    code, _, err = call(*words, *options)
    assert code == 0, err
    model = Recommender.load('mf-movielens-out/model.npz')
    assert set(model.item_features['genre'].words) == {*'abcd'}
    code, _, err = call(*words, '--features-id-column', 'ref')
    assert code == 2 and 'ref' in err
    renamed.assign(code='x', ref='y').to_csv(tmp_path / 'items.csv', index=False)
    code, _, err = call(*words)
    assert code == 2 and '--features-id-column' in err


def test_a_failed_fit_leaves_no_checkpoint(call, ratings, tmp_path):
    table = tmp_path / 'ratings.csv'
    many = ratings.to_frame()
    more = [many.assign(user_id=many.user_id + f'_{j}') for j in range(5)]
    pd.concat(more).to_csv(table, index=False)
    code, _, err = call('train', table, '--reg', 500, '--out', 'm')
    assert code == 2 and 'too large' in err, err
    code, _, err = call('train', table, '--reg', 0.02, '--out', 'm')
    assert code == 0, err


def test_what_is_not_known_can_be_asked_for():
    table = read_features(
        pd.DataFrame(
            {
                'item': [1, 2, 3],
                'genre': ['a|b', None, 'b'],
                'year': [1990, 2000, None],
                'day': ['2000-01-01', None, '2001-01-01'],
                'title': ['Momo', 'Emma', None],
            }
        )
    )
    columns = {feature.name: feature for feature in table.features}
    for condition, expected in (
        ("genre == ''", [0, 1, 0]),
        ("genre != ''", [1, 0, 1]),
        ("not genre == ''", [1, 0, 1]),
        ("genre in ['', 'a']", [1, 1, 0]),
        ("genre not in ['', 'a']", [0, 0, 1]),
        ("year == ''", [0, 0, 1]),
        ("'' != year", [1, 1, 0]),
        ("year in ['', 1990]", [1, 0, 1]),
        ("year in ['']", [0, 0, 1]),
        ("day == '' or day == '2001-01-01'", [0, 1, 1]),
        ("title == ''", [0, 0, 1]),
        ("year > 1995 or year == ''", [0, 1, 1]),
    ):
        found = select_items(condition, columns).astype(int).tolist()
        assert found == expected, condition
    for wrong in ("year > ''", "genre > ''"):
        with pytest.raises(ValueError, match='condition'):
            select_items(wrong, columns)


def test_new_items_can_be_asked_for(call, tmp_path):
    likes = pd.DataFrame({'user': [1, 1, 2, 3], 'item': [7, 8, 7, 8], 'rating': 1})
    items = pd.DataFrame({'item': [7, 8, 9], 'genre': ['a', 'b', 'b']})
    model = Recommender.fit(Ratings.from_frame(likes, say=None), item_features=items)
    assert model.recommend(2, where='is_new').item.tolist() == [9]
    assert model.recommend(2, where='not is_new').item.tolist() == [8]
    assert model.recommend(2, where="genre == 'b' and is_new == 0").item.tolist() == [8]
    path = model.save(tmp_path / 'model.npz')
    out = call('recommend', 2, '--where', 'is_new', '-m', path, '--json')[1]
    assert [row['item'] for row in json.loads(out)] == [9]
    out = call('recommend', 2, '--at-least', '1 is_new', '-k', 1, '-m', path, '--json')[
        1
    ]
    assert [row['item'] for row in json.loads(out)] == [9]
