"What numbers mean: stars, counts, likes, numbers that are none, and slips of the pen."

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import coo_array, csr_array

from mf_movielens import Ratings, Recommender, load_ratings
from mf_movielens.als import fit_als
from mf_movielens.baselines import damped_biases
from mf_movielens.bayes import fit_bayes
from mf_movielens.blend import fit_blend
from mf_movielens.ease import fit_ease
from mf_movielens.encoding import (
    DISLIKE_WEIGHT,
    RatingsError,
    count_weights,
    keep_stars,
    to_preference,
    unit_of_counts,
)
from mf_movielens.evaluation import align_ratings
from mf_movielens.ials import fit_ials, ials_objective
from mf_movielens.item_knn import fit_item_knn
from mf_movielens.item_weights import preference_targets
from mf_movielens.kinds import (
    Levels,
    detect_kind,
    detect_scale,
    find_missing_sign,
    find_outliers,
)
from mf_movielens.ranking import rank_items, ranking_metrics, relevant_ratings
from mf_movielens.shards import Shards, shard_file, write_shards
from mf_movielens.solvers import SOLVERS
from mf_movielens.splits import random_split


def opinions(seed=0, n=200, m=80, n_kinds=4):
    """Opinions from 1 to 5 of users who like items of their own kind, as a frame."""
    rng = np.random.default_rng(seed)
    same = rng.integers(0, n_kinds, n)[:, None] == np.arange(m) % n_kinds
    u, i = np.nonzero(rng.random((n, m)) < np.where(same, 0.5, 0.12))
    good, bad = rng.choice([3, 4, 5], len(u)), rng.choice([1, 2, 3], len(u))
    rating = np.where(same[u, i], good, bad).astype(float)
    return pd.DataFrame({'user': u, 'item': i, 'rating': rating})


def recall_of(frame, fit=fit_ials, **settings):
    """Recall of what was opined 4 or 5, held out, after a fit to numbers of `frame`."""
    is_held_out = np.random.default_rng(1).random(len(frame)) < 0.1
    train = load_ratings(
        frame[~is_held_out][['user', 'item', 'rating']], say=None, **settings
    )
    told = frame[is_held_out].assign(rating=frame.opinion)
    test = Ratings.from_frame(told, users=None, items=None, scale=(1, 5))
    aligned = align_ratings(test, train.users, train.items, (1, 5), 'ignore')
    held_out = replace(aligned.ratings, kind=None)
    users = np.unique(held_out.user_ix)
    lists = rank_items(fit(train).scores, users, train)
    return float(ranking_metrics(lists, users, held_out).recall.mean())


def written_as(*levels, of=None):
    """Opinions whose five levels are written in another way."""
    frame = opinions() if of is None else of
    frame = frame.assign(opinion=frame.rating)
    frame['rating'] = np.array([np.nan, *levels])[frame.opinion.astype(int)]
    return frame


PLAYS = np.exp(np.random.default_rng(0).normal(4, 1.6, 3000)).round() + 1
PIECES = [6000, 2000, 700, 300, 90, 40, 20, 7, 5, 2, 1, 1]
STARS = [610, 1130, 2710, 3410, 2120]


def levels_of(counts, values=None):
    values = range(1, len(counts) + 1) if values is None else values
    return Levels(np.array(values, float), np.array(counts))


# The kind of a column


@pytest.mark.parametrize(
    'levels, name, kind',
    [
        (levels_of(STARS), 'rating', 'stars'),
        (levels_of([500, 100, 80, 150, 400]), 'rating', 'stars'),
        (levels_of(STARS, [0.5, 1.5, 2.5, 3.5, 4.5]), None, 'stars'),
        (levels_of([20, 30, 40], [0, 1, 2]), None, 'stars'),
        (levels_of([30, 70], [-1, 1]), None, 'stars'),
        (levels_of([30, 70], [0, 1]), None, 'stars'),
        (Levels.of(np.random.default_rng(0).uniform(-10, 10, 999)), None, 'stars'),
        (Levels.of(np.random.default_rng(0).integers(1, 101, 999)), None, 'stars'),
        (Levels.of(PLAYS), 'rating', 'counts'),
        (Levels.of(PLAYS / 60), 'rating', 'counts'),
        (levels_of(PIECES), 'rating', 'counts'),
        (levels_of([50, *PIECES], [-1, *range(1, 13)]), 'rating', 'counts'),
        (Levels.of(np.random.default_rng(0).geometric(0.2, 2000)), None, 'counts'),
        (Levels.of(np.exp(np.random.default_rng(0).normal(3, 1, 999))), None, 'counts'),
        (levels_of(PIECES[:5]), 'Quantity', 'counts'),
        (levels_of(PIECES[:5]), 'Stars', 'stars'),
        (levels_of([80]), None, 'likes'),
        (levels_of([3]), None, 'likes'),
        (levels_of([80], [5]), None, 'likes'),
    ],
)
def test_the_kind_of_a_column(levels, name, kind):
    found, reason = detect_kind(levels, name)
    assert found == kind
    assert reason


@pytest.mark.parametrize(
    'levels',
    [
        levels_of(PIECES[:3]),
        levels_of(PIECES[:5]),
        levels_of([20, 40, 60]),
        levels_of([70, 20]),
        levels_of([700, 200, 100], [1, 3, 5]),
        levels_of([300, 200, 100], [1, 5, 20]),
        levels_of(STARS, [1, 4, 16, 64, 256]),
    ],
)
def test_two_plausible_readings_are_a_question(levels):
    with pytest.raises(RatingsError) as caught:
        detect_kind(levels, 'rating')
    assert caught.value.argument == 'kind'
    for way_out in ("kind='stars'", "kind='counts'", "kind='likes'"):
        assert way_out in str(caught.value)


@pytest.mark.parametrize('kind', ['stars', 'counts', 'likes'])
def test_the_answer_is_taken(kind):
    frame = written_as(1, 1, 2, 3, 3)
    told = load_ratings(frame[['user', 'item', 'rating']], say=None, kind=kind)
    assert told.kind == kind
    scales = {'stars': (1, 3), 'counts': (1, 3), 'likes': (1, 1)}
    assert told.scale == scales[kind]
    with pytest.raises(RatingsError, match='kind='):
        load_ratings(frame[['user', 'item', 'rating']], say=None)


def test_one_line_tells_the_kind_and_why():
    frame = pd.DataFrame({'user': range(3000), 'item': 1, 'rating': PLAYS})
    said = []
    ratings = load_ratings(frame, say=said.append)
    assert ratings.kind == 'counts'
    assert len(said) == 1
    assert 'counts, because half of them are from' in said[0]
    assert '3,000 counts from' in said[0]
    load_ratings(frame.assign(rating=1), say=said.append)
    assert 'likes, because all are 1' in said[1]


def test_moments_in_place_of_ratings_are_a_question():
    frame = opinions().assign(rating=lambda f: 1.6e9 + f.index)
    with pytest.raises(RatingsError, match='may be a rating or a moment') as caught:
        load_ratings(frame, say=None)
    assert caught.value.argument == 'rating'
    assert load_ratings(frame, say=None, kind='stars').kind == 'stars'


# A frame is read as a file is


def column_of(counts, values=None):
    """Numbers that occur so often, in no order."""
    levels = levels_of(counts, values)
    column = np.repeat(levels.values, levels.counts)
    return np.random.default_rng(3).permutation(column)


SHAPES = {
    'stars': column_of(STARS),
    'few stars': [2, 4],
    'half stars': column_of(STARS, [0.5, 1.5, 2.5, 3.5, 4.5]),
    'marks to 20': column_of(STARS, [0, 5, 10, 15, 20]),
    'thumbs': column_of([30, 70], [-1, 1]),
    'plays': PLAYS,
    'pieces': column_of(PIECES),
    'few pieces': column_of(PIECES[:3]),
    'events': column_of([700, 200, 100], [1, 3, 5]),
    'likes': np.ones(300),
    'sevens': np.full(300, 7),
    'a slip': column_of([*STARS, 1], [1, 2, 3, 4, 5, 11]),
    'no stars': column_of([3000, *STARS], [-1, 1, 2, 3, 4, 5]),
    'moments': 1.6e9 + np.arange(300),
    'returns': column_of([9, *PIECES], [-1, *range(1, 13)]),
}


def outcome(read, frame, **settings):
    """What is read from a frame, or the question, and what is said about it."""
    said = []
    try:
        ratings = read(frame, say=said.append, **settings)
    except RatingsError as e:
        return str(e).removeprefix('the frame: '), e.argument
    numbers = ratings.rating.tolist()
    return ratings.kind, ratings.scale, numbers, len(ratings)


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('kind', ['auto', 'stars', 'counts', 'likes'])
def test_a_frame_means_what_a_file_of_it_means(shape, kind):
    frame = pd.DataFrame({'user': range(len(SHAPES[shape])), 'item': 1})
    frame['rating'] = SHAPES[shape]
    for more in ({}, {'missing': -1}, {'negative': 'drop'}, {'duplicates': 'sum'}):
        found = outcome(Ratings.from_frame, frame, kind=kind, **more)
        assert found == outcome(load_ratings, frame, kind=kind, **more)


def test_the_name_of_a_column_of_a_frame_tells_its_kind():
    frame = pd.DataFrame({'user': range(95), 'item': 1, 'plays': column_of([70, 25])})
    assert Ratings.from_frame(frame, rating='plays').kind == 'counts'
    asked = frame.rename(columns={'plays': 'rating'})
    with pytest.raises(RatingsError, match="kind='counts'"):
        Ratings.from_frame(asked)
    assert Ratings.from_frame(asked, scale=(1, 2)).kind == 'stars'


def test_one_line_tells_why_numbers_of_a_frame_are_no_stars(capsys):
    frame = pd.DataFrame({'user': range(3000), 'item': 1, 'rating': PLAYS})
    counts = Ratings.from_frame(frame)
    why = load_said(frame).split('; ')[-1]
    assert capsys.readouterr().out == f'the ratings are {why}\n'
    assert why.startswith('counts, because half of them are from')
    for silent in (
        {'say': None},
        {'kind': 'counts'},
        {'kind': 'stars'},
        {'scale': (1, 1e6)},
    ):
        Ratings.from_frame(frame, **silent)
    Ratings.from_frame(frame.assign(rating=1))
    Ratings.from_frame(opinions())
    Ratings.from_frame(counts.to_frame())
    assert capsys.readouterr().out == ''
    Ratings.from_frame(frame.assign(rating=7))
    assert 'the ratings are likes, because all are 7.' in capsys.readouterr().out


def load_said(frame):
    """What `load_ratings` says about a frame."""
    said = []
    load_ratings(frame, say=said.append)
    return said[0]


def test_equal_numbers_that_nobody_calls_likes_are_not_merged():
    """Two rows of a pair may be two events."""
    frame = pd.DataFrame({'user': [1, 1, 2, 2], 'item': [7, 7, 7, 8], 'rating': 1})
    for read in (Ratings.from_frame, load_ratings):
        with pytest.raises(RatingsError, match="'sum', 'count'"):
            read(frame, say=None)
        assert len(read(frame, say=None, kind='likes')) == 3
        counted = read(frame, say=None, duplicates='count')
        assert counted.kind == 'counts'
        assert counted.rating.tolist() == [2, 1, 1]


# What keeps the kind


def test_parts_keep_the_kind_and_so_do_frames_and_files(tmp_path):
    pytest.importorskip('pyarrow')
    frame = opinions().assign(rating=lambda f: 2.0**f.rating)
    counts = Ratings.from_frame(frame, kind='counts')
    assert counts.kind == 'counts'
    assert counts.take(slice(5)).kind == 'counts'
    assert {part.kind for part in random_split(counts)} == {'counts'}
    assert Ratings.from_frame(counts.to_frame()).kind == 'counts'
    assert write_shards(counts, tmp_path / 'a').load().kind == 'counts'
    assert Shards(tmp_path / 'a').kind == 'counts'
    frame.to_csv(tmp_path / 'r.csv', index=False)
    in_shards = shard_file(tmp_path / 'r.csv', tmp_path / 'b', 2, kind='counts')
    assert in_shards.load().kind == 'counts'
    stars = Ratings.from_frame(frame, kind='stars')
    assert counts.fingerprint != stars.fingerprint


@pytest.mark.parametrize('solver', ['ials', 'ease', 'knn', 'blend'])
def test_a_model_file_keeps_the_kind(tmp_path, solver):
    frame = opinions().assign(rating=lambda f: 3.0**f.rating)
    counts = Ratings.from_frame(frame, kind='counts')
    model = Recommender.fit(counts, solver)
    opened = Recommender.load(model.save(tmp_path / 'model.npz'))
    assert model.kind == opened.kind == 'counts'
    assert 'counts' in opened.summary()['scale']
    history = {3: 100_000, 4: 1}
    # A count beyond all that occurred is a count.
    assert opened.fold_in(history).equals(model.fold_in(history))
    more = replace(counts, rating=10 * counts.rating, scale=(30, 2430))
    assert opened.evaluate(more.take(slice(9)))['seen'] == 9
    stars = Ratings.from_frame(opinions(), scale=(1, 5))
    with pytest.raises(RatingsError, match="kind='counts'"):
        opened.evaluate(stars)
    # A model of stars can be read by earlier versions of the package.
    starred = Recommender.fit(stars, solver).save(tmp_path / 'stars.npz')
    versions = [int(np.load(tmp_path / f)['version']) for f in ('model.npz', starred)]
    assert versions[0] == 5
    assert versions[1] < 5 or solver == 'knn'


# Counts as weights


def test_a_weight_grows_with_the_count_in_any_unit():
    counts = np.array([1.0, 4, 50, 3000])
    frame = pd.DataFrame({'user': range(4), 'item': 1, 'rating': counts})
    weights = []
    for unit in (1, 60, 1 / 7):
        ratings = Ratings.from_frame(frame.assign(rating=counts * unit), kind='counts')
        of_one = unit_of_counts(ratings, 0.25)
        weights.append(count_weights(ratings.rating, of_one, 0.25))
    assert np.allclose(weights[0].mean(), 1)
    assert (np.diff(weights[0]) > 0).all()
    assert np.allclose(weights[0], weights[1]) and np.allclose(weights[0], weights[2])
    assert np.allclose(count_weights(counts, 7, 0), 1)


def test_a_fit_to_counts_is_the_least_of_a_weighted_sum():
    """The row of a user, computed over all items, each with its weight."""
    frame = opinions().assign(rating=lambda f: 3.0**f.rating)
    counts = Ratings.from_frame(frame, kind='counts')
    factors = fit_ials(counts, 4)
    reg = factors.regularization
    one = counts.take(counts.user_ix == 7)
    weight = np.zeros(len(counts.items))
    weight[one.item_ix] = (one.rating / reg.count_unit) ** 0.25
    items = factors.item_factors.astype(float)
    matrix = items.T @ (items * (weight + reg.alpha)[:, None])
    matrix += (reg.reg * len(one) + reg.damping) * np.eye(4)
    slow = np.linalg.solve(matrix, items.T @ weight)
    assert np.allclose(factors.user_factors[7], slow, atol=1e-4)
    assert np.allclose(factors.fold_in(counts.to_csr()[[7]]).user_factors[0], slow)
    settings = {k: getattr(reg, k) for k in ('reg', 'damping', 'alpha')}
    of_counts = {'count_unit': reg.count_unit, 'count_growth': 0.25}
    least = ials_objective(factors, counts, **settings, **of_counts)
    moved = replace(factors, user_factors=factors.user_factors * 1.05)
    assert ials_objective(moved, counts, **settings, **of_counts) > least


def test_an_explanation_of_counts_sums_to_the_score():
    frame = opinions().assign(rating=lambda f: 3.0**f.rating)
    model = Recommender.fit(Ratings.from_frame(frame, kind='counts'))
    user, item = model.users.index[3], model.items.index[5]
    parts = model.explain(user, item)
    assert np.isclose(parts.score.sum(), model.predictor.predict(3, 5), atol=1e-3)
    assert set(parts.part) == {'a rating'}
    history = {3: 2000.0, 7: 1.0, 12: 40.0}
    folded = model.fold_in(history, k=80).set_index('item').score
    for item in (4, 9, 11):
        assert np.isclose(
            model.explain(history, item).score.sum(), folded[item], atol=1e-4
        )


def test_growth_0_is_a_fit_to_likes_and_more_growth_favours_what_is_played_more():
    frame = opinions()
    frame['rating'] = np.where(frame.item % 8 < 4, 1000.0, 1.0)
    counts = Ratings.from_frame(frame, kind='counts')
    likes = Ratings.from_frame(frame, kind='likes')
    of_likes = fit_ials(likes, 8).item_factors
    assert np.allclose(fit_ials(counts, 8, count_growth=0).item_factors, of_likes)
    blend = fit_blend(counts, 8, count_growth=0)
    assert np.allclose(blend.item_factors, of_likes)
    played = counts.items.index % 8 < 4
    shares = []
    for growth in (0, 0.25, 0.5):
        scores = fit_ials(counts, 8, count_growth=growth).scores(range(200))
        shares.append(scores[:, played].sum() / scores.sum())
    assert shares[0] + 0.02 < shares[1] < shares[2]
    with pytest.raises(ValueError, match='count_growth'):
        fit_ials(counts, 8, count_growth=-1)


@pytest.mark.parametrize('fit', [fit_ials, fit_ease, fit_item_knn, fit_blend])
def test_a_second_play_is_no_dislike(fit):
    """Likes, and counts of 1, 2 and 3 that say nothing, give the same recall."""
    likes = written_as(1, 1, 1, 1, 1)
    rng = np.random.default_rng(2)
    few = likes.assign(rating=rng.choice([1, 2, 3], len(likes), p=[0.6, 0.3, 0.1]))
    of_likes = recall_of(likes, fit)
    assert recall_of(few, fit, kind='counts') > 0.97 * of_likes
    assert recall_of(few, fit, kind='stars') < 0.9 * of_likes


def test_relevant_is_what_was_played_at_all():
    frame = pd.DataFrame({'user': [1, 2, 3], 'item': 1, 'rating': [1, 400, -2]})
    counts = Ratings.from_frame(frame, kind='counts', negative='dislike')
    assert relevant_ratings(counts).tolist() == [True, True, False]
    assert to_preference(counts.rating, counts.scale, 'counts').tolist() == [1, 1, 0]
    assert preference_targets(counts.rating, (0, 9), 'counts').tolist() == [1, 1, 0]


def test_counts_are_searched_like_likes():
    frame = opinions().assign(rating=lambda f: 3.0**f.rating)
    counts = Ratings.from_frame(frame, kind='counts')
    model = Recommender.tune(counts, solver='auto', trials=4)
    assert model.kind == 'counts'
    assert set(model.trials.solver) <= {'ials', 'knn', 'ease', 'blend'}


@pytest.mark.parametrize('solver', ['als', 'bayes', 'keras'])
def test_no_rating_is_predicted_from_counts(solver):
    counts = Ratings.from_frame(opinions(), kind='counts')
    with pytest.raises(RatingsError, match="goal='ranking'.*kind='stars'"):
        Recommender.fit(counts, solver)


def test_direct_fits_to_counts_are_refused_too():
    counts = Ratings.from_frame(opinions(), kind='counts')
    for fit in (fit_als, damped_biases, SOLVERS['bayes'].fit, SOLVERS['keras'].fit):
        with pytest.raises(RatingsError, match="goal='ranking'"):
            fit(counts)


# What a model is fitted to


def test_a_fit_takes_a_frame_and_the_kind_of_its_numbers(capsys):
    few = written_as(1, 1, 2, 3, 3).drop(columns='opinion')
    models = {}
    for kind in ('stars', 'counts', 'likes'):
        models[kind] = Recommender.fit(few, n_factors=4, kind=kind)
        assert models[kind].kind == kind
        told = load_ratings(few, kind=kind)
        same = Recommender.fit(told, n_factors=4)
        assert same.recommend(3).equals(models[kind].recommend(3))
        again = Recommender.fit(load_ratings(few, kind='stars'), n_factors=4, kind=kind)
        assert again.recommend(3).equals(models[kind].recommend(3))
        assert Recommender.tune(few, trials=2, solver='ials', kind=kind).kind == kind
    assert 'the frame: ' in capsys.readouterr().out
    for call in (Recommender.fit, Recommender.tune, models['likes'].evaluate):
        with pytest.raises(RatingsError, match="kind='counts'") as caught:
            call(few)
        assert caught.value.argument == 'kind'
        with pytest.raises(ValueError, match="kind='plays': use 'auto', 'stars'"):
            call(few, kind='plays')
    # The test of a model is of its kind, if nothing else is said.
    for kind in ('stars', 'counts'):
        told = Ratings.from_frame(few, kind=kind)
        expected = models[kind].evaluate(told)
        assert models[kind].evaluate(few).equals(expected)
        assert models[kind].evaluate(told, kind=kind).equals(expected)
    as_stars = models['likes'].evaluate(few, kind='stars')
    assert as_stars.liked_from == 2.5


def test_a_sparse_matrix_is_asked_about_as_a_frame_is():
    few = written_as(1, 1, 2, 3, 3)
    matrix = Ratings.from_frame(few, kind='counts').to_csr()
    with pytest.raises(RatingsError, match="kind='counts'"):
        Recommender.fit(matrix)
    assert Recommender.fit(matrix, n_factors=2, kind='counts').kind == 'counts'


def test_the_setting_kind_of_a_solver_is_another_thing():
    ratings = Ratings.from_frame(opinions())
    for solver in ('ease', 'blend'):
        model = Recommender.fit(ratings, solver, kind='binary')
        assert model.settings['kind'] == 'binary'
        assert Recommender.fit(ratings, solver, kind='counts').kind == 'counts'
    with pytest.raises(TypeError, match="'kind' is not a setting of ials"):
        Recommender.fit(ratings, kind='binary')


def test_numbers_can_be_taken_for_another_kind():
    stars = Ratings.from_frame(opinions())
    counts, likes = stars.as_kind('counts'), stars.as_kind('likes')
    assert stars.as_kind('stars') is stars
    assert np.array_equal(counts.rating, stars.rating)
    assert (counts.kind, likes.kind) == ('counts', 'likes')
    assert (likes.rating == 1).all() and likes.scale == (1, 1)
    assert counts.as_kind('stars').scale == (1, 5)
    with pytest.raises(RatingsError, match='they are no stars'):
        likes.as_kind('stars')
    thumbs = Ratings.from_frame(TWICE.iloc[1:].assign(rating=[1, 1, -1]), scale=(-1, 1))
    with pytest.raises(RatingsError, match="negative='dislike'"):
        thumbs.as_kind('counts')
    assert thumbs.as_kind('counts', 'dislike').rating.tolist() == [1, 1, -1]
    assert len(thumbs.as_kind('counts', 'drop')) == 2
    unrated = Ratings.from_frame(
        TWICE.iloc[1:].assign(rating=[4, -1, 2]), scale=(1, 5), missing=-1
    )
    assert unrated.as_kind('counts').rating.tolist() == [4, 1, 2]
    assert unrated.as_kind('likes').has_stars is None


# A file in shards


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('kind', ['auto', 'stars', 'counts', 'likes'])
def test_shards_of_a_file_mean_what_the_file_means(tmp_path, shape, kind):
    pytest.importorskip('pyarrow')
    numbers = np.asarray(SHAPES[shape], float)[:600]
    if shape == 'a slip':
        numbers[7] = 11
    frame = pd.DataFrame({'user': range(len(numbers)), 'item': 1, 'rating': numbers})
    path = tmp_path / 'r.csv'
    frame.to_csv(path, index=False)
    for number, more in enumerate(
        ({}, {'missing': -1}, {'negative': 'drop'}, {'negative': 'dislike'})
    ):
        results = []
        folder = tmp_path / f's{number}'
        for read in (
            lambda: load_ratings(path, say=None, kind=kind, **more),
            lambda: shard_file(path, folder, 2, kind=kind, **more).load(),
        ):
            try:
                r = read()
            except RatingsError as e:
                results.append((str(e), e.argument))
                continue
            by_user = dict(zip(r.users.decode(r.user_ix).tolist(), r.rating.tolist()))
            stars = r.has_stars if r.has_stars is not None else np.ones(len(r), bool)
            unrated = sorted(r.users.decode(r.user_ix[~stars]).tolist())
            results.append((r.kind, sorted(by_user.items()), unrated, len(r)))
        if shape == 'sevens' and kind == 'auto':
            # Likes are likes, whatever number says so.
            assert results[0][::3] == results[1][::3] == ('likes', 300)
            continue
        assert results[0] == results[1]


def test_shards_know_their_stars(tmp_path):
    pytest.importorskip('pyarrow')
    frame = opinions()
    frame.loc[::3, 'rating'] = -1
    frame.to_csv(tmp_path / 'r.csv', index=False)
    shards = shard_file(tmp_path / 'r.csv', tmp_path / 's', 3, missing=-1)
    whole = load_ratings(tmp_path / 'r.csv', say=None, missing=-1)
    stars = keep_stars(whole)
    assert shards.scale == whole.scale == (1, 5)
    assert sum(shards.star_sizes) == len(stars) < len(shards) == len(whole)
    assert np.isclose(shards.mean, stars.mean)
    for part, n_stars in zip(shards, shards.star_sizes):
        assert part.has_stars.sum() == n_stars
    again = write_shards(whole, tmp_path / 'w', 100)
    assert sum(again.star_sizes) == len(stars)
    assert np.isclose(again.mean, stars.mean)
    assert shards.load().fingerprint != stars.fingerprint
    with pytest.raises(RatingsError, match='stands for none'):
        frame.assign(rating=-1).to_csv(tmp_path / 'n.csv', index=False)
        shard_file(tmp_path / 'n.csv', tmp_path / 'n', missing=-1)


# Several numbers for one pair

TWICE = pd.DataFrame(
    {
        'user': ['a', 'b', 'a', 'a'],
        'item': ['x', 'x', 'x', 'y'],
        'rating': [3.0, 1, 5, 2],
        'timestamp': [10, 20, 30, 40],
    }
)


@pytest.mark.parametrize(
    'duplicates, rating, time',
    [
        ('sum', [8, 1, 2], 30),
        ('count', [2, 1, 1], 30),
        ('max', [5, 1, 2], 30),
        ('mean', [4, 1, 2], 10),
    ],
)
def test_duplicates_are_merged_as_told(duplicates, rating, time):
    ratings = Ratings.from_frame(TWICE, duplicates=duplicates)
    assert ratings.rating.tolist() == rating
    # A sum was not known before its last part; a mean is as it ever was.
    assert ratings.timestamp.tolist() == [time, 20, 40]
    summed = duplicates in ('sum', 'count')
    assert ratings.kind == ('counts' if summed else 'stars')


def test_counts_are_summed_and_others_are_a_question():
    assert Ratings.from_frame(TWICE, kind='counts').rating.tolist() == [8, 1, 2]
    assert load_ratings(TWICE, kind='counts', say=None).rating.tolist() == [8, 1, 2]
    events = load_ratings(TWICE, rating=False, duplicates='count', say=None)
    assert events.kind == 'counts'
    assert events.rating.tolist() == [2, 1, 1]
    likes = Ratings.from_frame(TWICE, kind='likes')
    assert likes.rating.tolist() == [1, 1, 1]
    for settings in ({}, {'rating': False}, {'kind': 'stars'}):
        with pytest.raises(RatingsError, match="'sum', 'count' or 'max'") as caught:
            load_ratings(TWICE, say=None, **settings)
        assert caught.value.argument == 'duplicates'
    with pytest.raises(RatingsError, match='stars are averaged'):
        load_ratings(TWICE, kind='stars', duplicates='sum', say=None)


# Returns


def test_a_return_is_a_question():
    frame = TWICE.assign(rating=[3, 1, -5, 2])
    with pytest.raises(RatingsError, match='1 of 3 counts .* such as -2') as caught:
        Ratings.from_frame(frame, kind='counts')
    assert caught.value.argument == 'negative'
    told = Ratings.from_frame(frame, kind='counts', negative='dislike')
    assert told.rating.tolist() == [-2, 1, 2]
    kept = Ratings.from_frame(frame, kind='counts', negative='drop')
    assert kept.rating.tolist() == [1, 2]
    assert kept.scale == (1, 2)


@pytest.mark.parametrize('fit', [lambda r: fit_ials(r, 8), fit_ease, fit_item_knn])
def test_a_return_lowers_and_never_raises(fit):
    """Everybody sends one item back, which lies among those that they like."""
    frame = opinions().query('rating >= 3').assign(rating=1.0)
    is_item = frame.item == 4
    returned = frame.assign(rating=np.where(is_item, -1.0, 1.0))
    row = Ratings.from_frame(frame, kind='counts').items.encode([4])[0]
    score = {}
    for name, numbers in {'bought': frame, 'returned': returned}.items():
        counts = Ratings.from_frame(numbers, kind='counts', negative='dislike')
        score[name] = fit(counts).scores(range(200))[:, row].mean()
    assert score['returned'] < 0.2 * score['bought']


def test_a_stated_dislike_lowers_what_is_like_it():
    frame = opinions().query('rating >= 3').assign(rating=1.0)
    counts = Ratings.from_frame(frame, kind='counts')
    factors = fit_ials(counts, 8)
    kind = counts.items.index % 4
    liked, disliked = np.flatnonzero(kind == 0)[:2], np.flatnonzero(kind == 1)[:4]
    values = np.r_[np.ones(2), -np.ones(4)].astype('float32')
    history = csr_array(
        (values, np.r_[liked, disliked], [0, 6]), shape=(1, len(counts.items))
    )
    without = csr_array((values[:2], liked, [0, 2]), shape=history.shape)
    scores = [
        factors.fold_in(h).scores(0)[kind == 1].mean() for h in (without, history)
    ]
    assert scores[1] < scores[0]
    assert 0 < DISLIKE_WEIGHT <= 1


# The scale


MARKS = {
    '0 to 2': (0, 0.5, 1, 1.5, 2),
    '1 to 3': (1, 1.5, 2, 2.5, 3),
    '1 to 7': (1, 3, 4, 6, 7),
    '0 to 20': (0, 5, 10, 15, 20),
    '0 to 100': (0, 25, 50, 75, 100),
    'half stars': (0.5, 1.5, 2.5, 3.5, 4.5),
    '-2 to 2': (-2, -1, 0, 1, 2),
}


@pytest.mark.parametrize('marks', MARKS)
def test_marks_of_any_scale_give_what_stars_give(marks):
    stars = recall_of(written_as(1, 2, 3, 4, 5))
    assert stars > 0.4
    assert abs(recall_of(written_as(*MARKS[marks])) / stars - 1) < 0.01


def test_an_end_that_nobody_used_is_no_end():
    many = 200
    for highest in (2, 3, 7, 20, 50):
        marks = np.arange(highest + 1)
        assert detect_scale(marks, [many] * len(marks)) == (0, highest)
    assert detect_scale([1, 2, 3], [many] * 3) == (1, 3)
    assert detect_scale([1, 2, 3, 4], [many] * 4) == (1, 5)
    assert detect_scale([1, 2, 3, 4], [many * 2] * 4) == (1, 4)
    assert detect_scale([1, 2, 3]) == (1, 5)
    assert detect_scale(np.arange(3, 99), [many] * 96) == (0, 100)
    assert detect_scale(np.arange(0.5, 5.1, 0.5), [many] * 10) == (0.5, 5)


@pytest.mark.parametrize(
    'values, counts, end, n',
    [
        ([1, 2, 3, 4, 5, 11], [*STARS, 1], 5, 1),
        ([1, 2, 3, 4, 5, 6], [*STARS, 1], 5, 1),
        ([1, 2, 3, 4, 5, 50, 55], [*STARS, 3, 2], 5, 5),
        ([-40, 1, 2, 3, 4, 5], [1, *STARS], 1, 1),
        ([0, *range(1, 11)], [3, *[900] * 10], 1, 3),
        ([0, 5, 10, 15, 20, 200], [*STARS, 1], 20, 1),
    ],
)
def test_a_slip_of_the_pen_is_found(values, counts, end, n):
    found = find_outliers(levels_of(counts, values))
    assert (found.end, found.n_ratings) == (end, n)
    assert found.is_above == (end > 1)


@pytest.mark.parametrize(
    'values, counts',
    [
        ([1, 2, 3, 4, 5], STARS),
        ([1, 2, 3, 4, 5], [1, *STARS[1:]]),
        ([x / 2 for x in range(1, 11)], [2, *[900] * 9]),
        ([*range(1, 11)], [2, *[900] * 9]),
        ([*range(101)], [1, *[90] * 99, 1]),
        ([1, 2, 3, 4, 5, 11], [1, 1, 1, 1, 1, 1]),
    ],
)
def test_a_rare_mark_is_no_slip(values, counts):
    assert find_outliers(levels_of(counts, values)) is None


def test_a_slip_is_named_with_its_line(tmp_path):
    frame = opinions()
    frame.loc[7, 'rating'] = 11
    frame.to_csv(tmp_path / 'r.csv', index=False)
    n = len(frame)
    with pytest.raises(RatingsError, match=f'1 of {n:,} ratings is above 5: line 9 is'):
        load_ratings(tmp_path / 'r.csv', say=None)
    with pytest.raises(RatingsError, match='slip') as caught:
        Ratings.from_frame(frame)
    assert caught.value.argument == 'scale'
    told = load_ratings(tmp_path / 'r.csv', say=None, scale=(1, 11))
    assert told.scale == (1, 11)


# Numbers that are none


@pytest.mark.parametrize('sign', [-1, 0, 99])
def test_no_stars_given(sign, tmp_path):
    frame = opinions()
    shelf = frame.sample(frac=0.4, random_state=0).index
    frame.loc[shelf, 'rating'] = sign
    with pytest.raises(RatingsError, match=f'missing={sign}') as caught:
        load_ratings(frame, say=None)
    assert caught.value.argument == 'missing'
    ratings = load_ratings(frame, say=None, missing=sign)
    assert ratings.scale == (1, 5)
    assert (~ratings.has_stars).sum() == len(shelf)
    # To rank, they are likes; to predict ratings, they are left out.
    assert (ratings.rating[~ratings.has_stars] == 5).all()
    stars = keep_stars(ratings)
    assert stars.rating.tolist() == frame.rating.drop(shelf).tolist()
    alone = load_ratings(frame.drop(shelf), say=None)
    model = Recommender.fit(ratings, goal='rating')
    assert model.seen.nnz == len(stars)
    assert np.isclose(model.predictor.mu, fit_als(alone).mu, atol=1e-5)
    assert np.isclose(fit_als(ratings).mu, model.predictor.mu)
    assert Recommender.fit(ratings).seen.nnz == len(frame)
    assert model.evaluate(ratings)['rmse'] == model.evaluate(stars)['rmse']
    # A frame has no number for them.
    assert ratings.to_frame().rating.isna().tolist() == (~ratings.has_stars).tolist()
    again = Ratings.from_frame(ratings.to_frame().fillna(sign), missing=sign)
    assert again.fingerprint == ratings.fingerprint


@pytest.mark.parametrize('fit', [fit_als, fit_bayes])
def test_fits_are_validated_by_stars_alone(fit):
    frame = opinions()
    frame.loc[frame.index % 3 == 0, 'rating'] = -1
    ratings = load_ratings(frame, say=None, missing=-1)
    how = dict(n_iterations=2) if fit is fit_als else dict(n_burn_in=1, n_samples=2)
    errors = []
    for valid in (ratings, keep_stars(ratings)):
        records = []
        fit(ratings, valid=valid, on_iteration=records.append, **how)
        errors.append(records[-1]['val_rmse'])
    assert errors[0] == errors[1]


def test_parts_and_files_know_for_which_pairs_no_stars_were_given(tmp_path):
    pytest.importorskip('pyarrow')
    frame = TWICE.assign(item=list('xyzw'), rating=[-1, 3, -1, 5])
    ratings = Ratings.from_frame(frame, scale=(1, 5), missing=-1)
    assert ratings.take([0, 1]).has_stars.tolist() == [False, True]
    again = write_shards(ratings, tmp_path / 'a').load()
    assert again.has_stars.tolist() == [False, True, False, True]
    with pytest.raises(RatingsError, match="kind='likes'"):
        Ratings.from_frame(frame.assign(rating=-1), missing=-1)


def test_a_mean_leaves_out_what_is_none():
    frame = TWICE.assign(rating=[-1, -1, 4, 2])
    means = Ratings.from_frame(frame, scale=(1, 5), missing=-1, duplicates='mean')
    assert means.rating.tolist() == [4, 5, 2]
    assert means.has_stars.tolist() == [True, False, True]


@pytest.mark.parametrize(
    'values, counts',
    [
        ([0, 1, 2, 3, 4, 5], [300, *STARS]),
        ([0, 1, 2], [500, 20, 30]),
        ([0, 5, 10, 15, 20], STARS),
        ([-1, 1], [30, 70]),
        ([-2, -1, 0, 1, 2], STARS),
        ([*range(90, 100)], [30] * 10),
    ],
)
def test_not_every_zero_stands_for_none(values, counts):
    assert find_missing_sign(levels_of(counts, values)) is None


# A fit that found nothing


def test_a_fit_whose_scores_are_all_about_zero_is_an_error():
    frame = opinions()
    ratings = Ratings.from_frame(frame, scale=(1, 5))
    assert len(ratings) > 1000
    with pytest.raises(RatingsError, match='all scores are about 0'):
        fit_ials(ratings, reg=100.0)
    wide = Ratings.from_frame(frame, scale=(1, 1000))
    for solver in ('ials', 'blend', 'ease', 'knn'):
        with pytest.raises(RatingsError, match='not that of these ratings') as caught:
            Recommender.fit(wide, solver)
        assert caught.value.argument == 'scale'
    with pytest.raises(RatingsError, match='regularization is too large: reg=1e'):
        fit_ease(ratings, reg=1e8)
    # Where no two items have a user in common, nothing else can be known.
    alone = pd.DataFrame({'user': range(2000), 'item': np.arange(2000) % 9})
    Recommender.fit(Ratings.from_frame(alone.assign(rating=1.0)), 'ease')


# From everywhere


def run_cli(capsys, monkeypatch, *words):
    """The exit code of the command line, and what it says."""
    from mf_movielens.cli import main

    monkeypatch.setattr('sys.argv', ['mf-movielens', *map(str, words)])
    code = 0
    try:
        main()
    except SystemExit as e:
        code = e.code
    return code, capsys.readouterr().err


@pytest.mark.parametrize(
    'fault, places, message, way_out, option',
    [
        (
            lambda f: f.rating.where(f.index != 7, 11),
            ('line 9', 'row 7', 'row 0, column 39'),
            '1 of 3,405 ratings is above 5: {place} is 11',
            'scale=(1, 11)',
            '--scale 1 11',
        ),
        (
            lambda f: 1.6e9 + f.index,
            ('line 2', 'row 0', 'row 0, column 8'),
            "{place}, column 'rating': 1600000000 may be a rating or a moment, 2020",
            'rating=…',
            '--rating-column …',
        ),
    ],
    ids=['a slip', 'moments'],
)
def test_a_fault_is_named_with_its_place_from_everywhere(
    tmp_path, capsys, monkeypatch, fault, places, message, way_out, option
):
    frame = opinions().assign(rating=fault)
    matrix = coo_array((frame.rating, (frame.user, frame.item))).tocsr()
    path = tmp_path / 'r.csv'
    frame.to_csv(path, index=False)
    in_line, in_row, in_matrix = (message.format(place=place) for place in places)
    for call, expected in (
        (lambda: load_ratings(path, say=None), in_line),
        (lambda: load_ratings(frame, say=None), in_row),
        (lambda: Ratings.from_frame(frame), in_row),
        (lambda: Recommender.fit(frame), in_row),
        (lambda: load_ratings(matrix, say=None), in_matrix),
        (lambda: Recommender.fit(matrix), in_matrix),
    ):
        with pytest.raises(RatingsError) as caught:
            call()
        assert expected in str(caught.value)
        assert way_out in str(caught.value)
    for kind in ('stars', 'counts'):
        # Who says what they are has the last word, but for a slip.
        if kind == 'counts' or 'moment' in message:
            assert Ratings.from_frame(frame, kind=kind).kind == kind
    out = tmp_path / 'out'
    code, said = run_cli(capsys, monkeypatch, 'train', path, '--out', out)
    assert code == 2
    assert in_line in said and option in said and way_out not in said


def test_a_fit_that_found_nothing_ends_the_command(tmp_path, capsys, monkeypatch):
    path, out = tmp_path / 'r.csv', tmp_path / 'out'
    opinions().to_csv(path, index=False)
    words = 'train', path, '--scale', 1, 1000, '--out', out
    code, said = run_cli(capsys, monkeypatch, *words)
    assert code == 2
    assert 'the scale, 1 to 1000, is not that of these' in said and '--scale' in said
    assert not (out / 'model.npz').exists()


def test_levels_are_counted_in_order():
    rng = np.random.default_rng(0)
    for numbers in ([], [3, 1, 3], [-0.0, 0.0, -1], rng.integers(0, 9, 999) / 7):
        levels = Levels.of(numbers)
        values, counts = np.unique(np.asarray(numbers, float), return_counts=True)
        assert np.array_equal(levels.values, values)
        assert np.array_equal(levels.counts, counts)


# On the command line


def test_questions_of_the_command_line_name_its_options():
    from mf_movielens.cli import _with_option, _with_options

    with pytest.raises(RatingsError) as caught:
        detect_kind(levels_of(PIECES[:5]), 'rating')
    text = _with_options(caught.value)
    assert '--kind stars' in text and '--kind counts' in text and 'kind=' not in text
    frame = opinions()
    frame.loc[:300, 'rating'] = -1
    with pytest.raises(RatingsError) as caught:
        load_ratings(frame, say=None)
    with pytest.raises(ValueError) as wrong:
        load_ratings(frame, say=None, kind='plays')
    assert _with_option(str(wrong.value)).startswith("--kind plays: use 'auto', ")
    assert _with_option("link='x': use") == "link='x': use"
    text = _with_options(caught.value)
    assert '--missing -1' in text and '--scale -1 5' in text
