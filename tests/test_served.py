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


def test_the_version_of_a_model_follows_its_numbers():
    model = Recommender.fit(rated([1, 5, 2, 4, 3, 5]), n_factors=2)
    item_factors = model.predictor.item_factors.copy()
    item_factors[0, 0] += 1e-3
    moved = replace(model.predictor, item_factors=item_factors)
    version = model_version(model)
    assert model_version(replace(model, predictor=moved)) != version
    assert model_version(replace(model)) == version
