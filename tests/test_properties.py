"What holds for any ratings: splits, scales, errors, batches, order, and every solver's lists."

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from mf_movielens.baselines import damped_biases, popularity
from mf_movielens.encoding import Ratings, from_unit, to_unit
from mf_movielens.implicit import fit_ease
from mf_movielens.metrics import mae, rmse
from mf_movielens.recommender import Recommender
from mf_movielens.splits import leave_last_out, random_split, time_split

stars = st.floats(-1e6, 1e6, width=32)
fitted = settings(max_examples=25, deadline=None)


@st.composite
def tables(draw, least=4):
    "Ratings of some pairs of nine users and nine items, with moments."
    pairs = draw(
        st.lists(
            st.tuples(st.integers(0, 8), st.integers(0, 8)),
            min_size=least,
            max_size=60,
            unique=True,
        )
    )
    given = draw(
        st.lists(st.integers(1, 5), min_size=len(pairs), max_size=len(pairs)).filter(
            lambda s: len(set(s)) > 1
        )
    )
    when = draw(st.lists(st.integers(0, 50), min_size=len(pairs), max_size=len(pairs)))
    return Ratings.from_frame(
        pd.DataFrame(pairs, columns=['user_id', 'item_id']).assign(
            rating=np.array(given, float), timestamp=when
        ),
        item='item_id',
        scale=(1, 5),
    )


def rows(ratings):
    return list(
        zip(
            *(
                a.tolist()
                for a in (
                    ratings.user_ix,
                    ratings.item_ix,
                    ratings.rating,
                    ratings.timestamp,
                )
            )
        )
    )


@given(tables(least=10), st.floats(0.11, 0.89), st.integers(0, 2**32 - 1))
def test_a_split_keeps_every_rating_once(ratings, frac, seed):
    found = [random_split(ratings, frac, seed), leave_last_out(ratings, 1)] + (
        [time_split(ratings, frac)]
        if np.quantile(ratings.timestamp, 1 - frac) < ratings.timestamp.max()
        else []
    )
    for train, test in found:
        assert sorted(rows(train) + rows(test)) == sorted(rows(ratings)) and not set(
            rows(train)
        ) & set(rows(test))
        assert (
            train.users == test.users == ratings.users
            and train.items == ratings.items
            and train.scale == test.scale == ratings.scale
        )
    for own in (found[1].train.user_ix == u for u in np.unique(found[1].test.user_ix)):
        assert own.any()  # nobody is left without
    newest = pd.Series(found[1].train.timestamp).groupby(found[1].train.user_ix).max()
    assert (
        found[1].test.timestamp >= newest.reindex(found[1].test.user_ix).to_numpy()
    ).all()
    if len(found) > 2:
        assert (
            found[2].train.timestamp.max() < found[2].test.timestamp.min()
        )  # nothing of the future leaks


@given(st.lists(stars, min_size=1), stars, stars)
def test_scaling_can_be_undone(values, one, other):
    scale, x = sorted((one, other)), np.array(values)
    width = max(1, *np.abs(scale), np.abs(x).max())
    assert np.allclose(
        from_unit(to_unit(x, scale), scale),
        x,
        atol=1e-9 * width * max(1, width / max(1e-30, (scale[1] - scale[0]) or 1)),
        rtol=1e-6,
    )
    assert scale[0] == scale[1] or list(to_unit(np.array(scale, float), scale)) == [
        0,
        1,
    ]


@given(st.lists(st.tuples(stars, stars), min_size=1))
def test_errors_are_those_that_one_reckons_by_hand(pairs):
    one, two = map(np.array, zip(*pairs))
    wrong = [b - a for a, b in pairs]
    assert math.isclose(
        rmse(one, two),
        math.sqrt(math.fsum(w * w for w in wrong) / len(wrong)),
        rel_tol=1e-6,
        abs_tol=1e-12,
    )
    assert math.isclose(
        mae(one, two),
        math.fsum(map(abs, wrong)) / len(wrong),
        rel_tol=1e-6,
        abs_tol=1e-12,
    )


def make(solver, ratings):
    return Recommender.fit(
        ratings,
        solver,
        n_factors=3,
        **{
            'bayes': dict(n_burn_in=0, n_samples=6, time=False),
            'keras': dict(n_iterations=2),
        }.get(solver, dict(n_iterations=3)),
    )


def holds(model, ratings):
    "Lists hold what is known, unseen and in order; one by one and all at once are the same; and a file keeps every bit."
    whole, seen, by_id = (
        model.recommend(),
        set(zip(ratings.user_ix.tolist(), ratings.item_ix.tolist())),
        ratings.users.index,
    )
    assert not seen & {
        (by_id.get_loc(u), ratings.items.index.get_loc(i))
        for u, i in zip(whole.user, whole.item)
    }
    assert len(whole) == sum(
        min(10, len(ratings.items) - n)
        for n in np.bincount(ratings.user_ix, minlength=len(by_id))
    )
    for user, own in whole.groupby('user'):
        assert (np.diff(own.score) <= 1e-6).all() and own['rank'].tolist() == list(
            range(1, len(own) + 1)
        )
        alone = model.recommend(user)
        assert np.allclose(alone.score, own.score, atol=1e-5)
    if model.goal == 'rating':
        pairs = [(u, i) for u in by_id for i in ratings.items.index]
        assert np.allclose(
            model.predict(*map(list, zip(*pairs))),
            [model.predict(u, i) for u, i in pairs],
            atol=1e-5,
        )


def kept(model, folder):
    again = Recommender.load(model.save(folder / 'm.npz'))
    arrays = lambda m: (
        {k: v for k, v in vars(m.factors).items() if isinstance(v, np.ndarray)}
        | dict(start=m.seen.start, other=m.seen.other, rating=m.seen.rating)
    )
    one, two = arrays(model), arrays(again)
    assert one.keys() == two.keys() and all(
        one[k].dtype == two[k].dtype and one[k].tobytes() == two[k].tobytes()
        for k in one
    )
    assert (
        again.settings == model.settings
        and again.users == model.users
        and again.items == model.items
    )
    pd.testing.assert_frame_equal(
        model.recommend(), again.recommend(), check_exact=True
    )


@fitted
@given(tables(), st.sampled_from(['ials', 'als', 'bayes']))
def test_lists_batches_and_files(tmp_path_factory, ratings, solver):
    model = make(solver, ratings)
    holds(model, ratings)
    kept(model, tmp_path_factory.mktemp('model'))


def test_lists_batches_and_files_of_the_network(tmp_path):
    rng = np.random.default_rng(0)
    pairs = rng.choice(30 * 20, 200, replace=False)
    ratings = Ratings.from_frame(
        pd.DataFrame(
            {
                'user_id': pairs // 20,
                'item_id': pairs % 20,
                'rating': rng.integers(1, 6, 200) * 1.0,
            }
        ),
        item='item_id',
        scale=(1, 5),
    )
    model = make('keras', ratings)
    holds(model, ratings)
    kept(model, tmp_path)
    for user in model.users.index[
        :10
    ]:  # who comes as a newcomer with the same ratings, is told the same
        own = ratings.user_ix == model.users.encode([user])[0]
        said = dict(
            zip(
                ratings.items.decode(ratings.item_ix[own]).tolist(),
                ratings.rating[own].tolist(),
            )
        )
        assert np.allclose(
            model.fold_in(said).score, model.recommend(user).score, atol=1e-3
        )


@fitted
@given(tables(), st.integers(0, 2**32 - 1))
def test_the_order_of_ratings_does_not_change_a_model(ratings, seed):
    "Of the same users and items; in a frame the order also numbers them, and with them the first factors."
    mixed = ratings.take(np.random.default_rng(seed).permutation(len(ratings)))
    for fit in (damped_biases, popularity, fit_ease):
        assert np.allclose(
            fit(ratings).scores(range(len(ratings.users))),
            fit(mixed).scores(range(len(ratings.users))),
            atol=1e-4,
        )
    for solver in ('ials', 'als', 'bayes'):
        one, two = (
            make(solver, r)
            .recommend(exclude_seen=False, n=9)
            .set_index(['user', 'item'])
            .score
            for r in (ratings, mixed)
        )
        assert np.allclose(one, two.reindex(one.index), atol=2e-3), solver


@pytest.mark.parametrize('fit', [damped_biases, popularity, fit_ease])
@fitted
@given(ratings=tables(), seed=st.integers(0, 2**31))
def test_what_starts_from_nothing_random_does_not_see_the_order_of_a_frame(
    fit, ratings, seed
):
    mixed = Ratings.from_frame(
        ratings.to_frame().sample(frac=1, random_state=seed),
        item='item_id',
        scale=(1, 5),
    )
    one, two = (
        fit(ratings).scores(range(len(ratings.users))),
        fit(mixed).scores(mixed.users.encode(ratings.users.index))[
            :, mixed.items.encode(ratings.items.index)
        ],
    )
    assert np.allclose(one, two, atol=1e-4)
