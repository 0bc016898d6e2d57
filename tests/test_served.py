"""What the server keeps of a model, asked without a server."""

from dataclasses import replace

import pandas as pd

from mf_movielens.encoding import Ratings
from mf_movielens.features import read_features
from mf_movielens.recommender import Recommender
from mf_movielens.served import ServedModel, model_version

NAMES = ['beta', 'Ärger', 'gamma', None, 'Delta', 'alpha']
ALPHABETICAL = ['alpha', 'Ärger', 'beta', 'Delta', 'gamma']


def rated(ratings):
    """Six pairs of three users and six items, with these ratings."""
    frame = pd.DataFrame(
        {'user': [1, 1, 2, 2, 3, 3], 'item': [1, 2, 3, 4, 5, 6], 'rating': ratings}
    )
    return Ratings.from_frame(frame, scale=(1, 5))


def test_texts_are_sorted_in_both_directions_with_gaps_last():
    films = pd.DataFrame({'item': range(1, 7), 'director': NAMES})
    table = read_features(films, 'item', kinds={'director': 'text'})
    model = Recommender.fit(rated([1, 5, 2, 4, 3, 5]), n_factors=2)
    served = ServedModel.of('films', model.with_features(table))

    def directors(sort):
        return [row['director'] for row in served.items(sort=sort)]

    assert directors('director') == [*ALPHABETICAL, None]
    assert directors('-director') == [*reversed(ALPHABETICAL), None]


def served_films(**columns):
    """A model of six items, with a table of them."""
    films = pd.DataFrame({'item': range(1, 7)} | columns)
    model = Recommender.fit(rated([1, 5, 2, 4, 3, 5]), n_factors=2)
    return ServedModel.of('films', model.with_features(films))


def test_items_are_sorted_before_the_first_are_taken():
    served = served_films(year=range(1996, 1990, -1))

    def first(sort, k):
        return [row['item'] for row in served.items(sort=sort, k=k)]

    assert first('year', 3) == [6, 5, 4]
    assert first('-year', 2) == [1, 2]


def test_a_map_has_the_groups_that_are_asked_for():
    words = {'genre': ['a', 'b', 'c'] * 2, 'country': ['x', 'y', 'y'] * 2}
    served = served_films(**words)
    for name, expected in words.items():
        places = served.item_map(group=name)
        found = {place['item']: place['group'] for place in places}
        assert found == dict(zip(range(1, 7), expected))


def test_the_version_of_a_model_follows_its_numbers():
    model = Recommender.fit(rated([1, 5, 2, 4, 3, 5]), n_factors=2)
    item_factors = model.predictor.item_factors.copy()
    item_factors[0, 0] += 1e-3
    moved = replace(model.predictor, item_factors=item_factors)
    version = model_version(model)
    assert model_version(replace(model, predictor=moved)) != version
    assert model_version(replace(model)) == version
