"""Files that earlier versions of the package saved still open, and answer as they did.

The files in tests/saved hold synthetic ratings; expected.json has the answers that the
version which wrote each file gave.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mf_movielens.encoding import Ratings
from mf_movielens.factors import Factors
from mf_movielens.item_weights import ItemWeights
from mf_movielens.model_file import ModelFileError
from mf_movielens.posterior import Posterior
from mf_movielens.recommender import Recommender
from mf_movielens.storage import load_arrays, save_arrays

SAVED = Path(__file__).parent / 'saved'
EXPECTED = json.loads((SAVED / 'expected.json').read_text(encoding='utf-8'))
USERS = ['user 3', 'user 5']


def assert_same_frame(frame, expected, columns):
    "The ids are equal, and the scores nearly: another processor rounds otherwise."
    assert frame[columns[:-1]].to_numpy().tolist() == [row[:-1] for row in expected]
    assert np.allclose(frame[columns[-1]], [row[-1] for row in expected], atol=1e-4)


@pytest.mark.parametrize('name', EXPECTED)
def test_a_saved_recommender_still_answers_as_it_did(name):
    model, expected = Recommender.load(SAVED / f'{name}.npz'), EXPECTED[name]
    recommended = model.recommend(USERS, 4)
    assert_same_frame(recommended, expected['recommend'], ['user', 'item', 'score'])
    if 'predict' in expected:
        predicted = model.predict(USERS, [101, 105])
        assert np.allclose(predicted, expected['predict'], atol=1e-4)
    new_user = model.fold_in({101: 5, 105: 1}, 4)
    assert_same_frame(new_user, expected['fold_in'], ['item', 'score'])
    assert model.titles[model.find(103)] == 'Item D (1983)'


def test_an_old_model_by_ease_also_explains():
    model = Recommender.load(SAVED / 'ease-v2.npz')
    assert isinstance(model.predictor, ItemWeights)
    for user, item, score in EXPECTED['ease-v2']['recommend']:
        assert abs(model.explain(user, item).score.sum() - score) < 1e-5


def test_saved_arrays_of_predictors_still_open():
    rating = Recommender.load(SAVED / 'rating-v2.npz')
    factors = Factors.load(SAVED / 'factors-v1.npz')
    assert np.array_equal(factors.user_factors, rating.predictor.user_factors)
    posterior = Posterior.load(SAVED / 'posterior-v1.npz')
    bayes = Recommender.load(SAVED / 'bayes-v3.npz')
    rows = np.arange(30)
    assert np.array_equal(posterior.scores(rows), bayes.predictor.scores(rows))


@pytest.mark.parametrize('role', ['user', 'item'])
def test_a_table_of_either_side_makes_a_file_one_with_features(tmp_path, role):
    frame = pd.DataFrame({'user': [1, 1, 2], 'item': [1, 2, 1], 'rating': 4.0})
    model = Recommender.fit(Ratings.from_frame(frame, scale=(1, 5)), n_factors=1)
    table = pd.DataFrame({role: [1, 2], 'year': [1973, 1971]})
    with_table = model.with_features(**{f'{role}_features': table})
    path = with_table.save(tmp_path / 'model.npz')
    assert load_arrays(path, 'a model')['version'] == 6


@pytest.mark.parametrize('role', ['user', 'item'])
def test_a_file_with_more_ids_than_rows_is_refused(tmp_path, role):
    """The tables of the predictor and the vocabularies are of one length."""
    frame = pd.DataFrame({'user': [1, 1, 2, 2], 'item': [7, 8, 7, 9], 'rating': 4.0})
    model = Recommender.fit(Ratings.from_frame(frame, scale=(1, 5)), n_factors=2)
    arrays = load_arrays(model.save(tmp_path / 'model.npz'), 'a model')
    name = f'{role}_ids'
    longer = arrays | {name: np.append(arrays[name], 99)}
    save_arrays(tmp_path / 'longer.npz', **longer)
    with pytest.raises(ModelFileError, match='different lengths'):
        Recommender.load(tmp_path / 'longer.npz')
