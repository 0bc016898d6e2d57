"""A search with tables of items and users, and the regularization of their maps."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from mf_movielens.encoding import Ratings
from mf_movielens.recommender import Recommender
from mf_movielens.solvers import SOLVERS
from mf_movielens.tuning import tune_settings

N_USERS, N_ITEMS = 60, 24


def planted() -> tuple[Ratings, pd.DataFrame, pd.DataFrame]:
    """People of two cities, each with its half of the items; one item and one more."""
    rng = np.random.default_rng(0)
    city, half = np.arange(N_USERS + 1) % 2, np.arange(N_ITEMS + 1) % 2
    is_local = half[:N_ITEMS] == city[:N_USERS, None]
    chance = np.where(is_local, 0.7, 0.05)
    user, item = np.nonzero(rng.random((N_USERS, N_ITEMS)) < chance)
    likes = pd.DataFrame({'user': user, 'item': item, 'rating': 1})
    items = pd.DataFrame(
        {'item': range(N_ITEMS + 1), 'half': np.array(['a', 'b'])[half]}
    )
    users = pd.DataFrame(
        {'user': range(N_USERS + 1), 'city': np.array(['Rom', 'Oslo'])[city]}
    )
    return Ratings.from_frame(likes, say=None), items, users


RATINGS, ITEMS, USERS = planted()
TABLES = {'item_features': ITEMS, 'user_features': USERS}


@pytest.fixture(scope='module')
def model() -> Recommender:
    return Recommender.tune(RATINGS, solver='ials', trials=14, **TABLES)


def test_the_regularization_of_the_map_is_searched_and_kept(model):
    changes = model.trials.change[model.trials.change.str.startswith('feature_reg')]
    assert len(changes) and changes.iloc[0].startswith('feature_reg × 4')
    assert model.trials.feature_reg.nunique() > 1
    best = model.trials[model.trials.best].iloc[-1]
    assert model.settings['feature_reg'] == best.feature_reg
    assert model.predictor.item_map is not None
    assert model.predictor.user_map is not None


def test_those_without_ratings_are_in_the_model(model):
    new_item = model.recommend(1, candidates=[N_ITEMS])
    assert new_item.is_new.all()
    assert model.recommend(N_USERS, k=4).is_new_user.all()


def test_the_search_sees_what_features_are_worth():
    """Its figures are those of fits with features, and not those of fits without."""
    first = [
        tune_settings(RATINGS, solver='ials', trials=1, say=None, **tables).trials
        for tables in ({}, TABLES, {'item_features': ITEMS})
    ]
    assert len({table.ndcg[1] for table in first}) == 3
    assert 'feature_reg' not in first[0] and (first[1].feature_reg == 20).all()


def test_what_knows_nothing_of_new_items_does_not_win():
    found = tune_settings(RATINGS, trials=9, say=None, **TABLES)
    trials = found.trials
    others = trials.solver.isin(['knn', 'ease'])
    assert others.sum() == 2 and not trials[others].best.any()
    assert SOLVERS[found.solver].takes_features
    alone = tune_settings(RATINGS, solver='knn', trials=1, say=None, **TABLES)
    assert alone.solver == 'knn'


def test_the_same_search_goes_on_and_another_does_not(tmp_path):
    path = tmp_path / 'search.npz'
    how = {'solver': 'ials', 'checkpoint': path, 'say': None}
    first = tune_settings(RATINGS, trials=2, **TABLES, **how)
    again = tune_settings(RATINGS, trials=3, **TABLES, **how)
    assert again.trials.ndcg[:2].equals(first.trials.ndcg)
    assert again.trials.seconds[:2].equals(first.trials.seconds)
    other = ITEMS.assign(half=np.roll(ITEMS.half, 1))
    for tables in ({}, {**TABLES, 'item_features': other}):
        with pytest.raises(ValueError):
            tune_settings(RATINGS, trials=3, **tables, **how)


def test_numbers_of_a_table_belong_to_a_search(tmp_path):
    ages = USERS.assign(age=np.arange(len(USERS)) + 20.0)
    how = {'solver': 'ials', 'trials': 1, 'checkpoint': tmp_path / 'search.npz'}
    tune_settings(RATINGS, user_features=ages, say=None, **how)
    ages.loc[5, 'age'] += 0.5
    with pytest.raises(ValueError, match='belongs to another fit'):
        tune_settings(RATINGS, user_features=ages, say=None, **how)


def test_bayes_takes_the_tables_in_a_search():
    rng = np.random.default_rng(1)
    stars = pd.DataFrame({'user': RATINGS.user_ix, 'item': RATINGS.item_ix})
    stars['rating'] = rng.integers(1, 6, len(stars))
    ratings = Ratings.from_frame(stars, scale=(1, 5))
    found = Recommender.tune(
        ratings, 'rating', 'bayes', trials=1, progress=False, **TABLES
    )
    assert len(found.items) == N_ITEMS + 1 and len(found.users) == N_USERS + 1


def test_a_map_is_regularized_where_there_is_one():
    model = Recommender.fit(RATINGS, item_features=ITEMS, feature_reg=3)
    assert model.settings['feature_reg'] == 3
    default = Recommender.fit(RATINGS, item_features=ITEMS)
    assert default.settings['feature_reg'] == 20
    weights = [m.predictor.item_map.weights for m in (model, default)]
    assert np.linalg.norm(weights[0]) > np.linalg.norm(weights[1])
    assert 'feature_reg' not in Recommender.fit(RATINGS).settings
    for solver in ('ials', 'blend'):
        with pytest.raises(ValueError, match='give item_features or user_features'):
            Recommender.fit(RATINGS, solver, feature_reg=3)
    with pytest.raises(TypeError, match='not a setting of ease'):
        Recommender.fit(RATINGS, 'ease', feature_reg=3, item_features=ITEMS)


def test_on_the_command_line(call):
    likes = pd.DataFrame({'user': RATINGS.user_ix, 'item': RATINGS.item_ix})
    likes.to_csv('likes.csv', index=False)
    ITEMS.to_csv('items.csv', index=False)
    words = ('train', 'likes.csv', '--rating-column', 'none', '--no-evaluate')
    tables = ('--item-features', 'items.csv')
    code, out, err = call(*words, *tables, '--feature-reg', 3, '--json')
    assert code == 0, err
    assert json.loads(out)['settings']['feature_reg'] == 3
    code, out, err = call(*words, *tables, '--tune', '--trials', 1, '--json')
    assert code == 0, err
    assert json.loads(out)['settings']['feature_reg'] == 20
    assert pd.read_csv('mf-movielens-out/trials.csv').feature_reg.tolist() == [20]
    for wrong, said in (
        (('--feature-reg', 3), 'goes with --item-features'),
        (('--feature-reg', 3, *tables, '--tune'), '--feature-reg and --tune'),
        (('--feature-reg', 3, *tables, '--solver', 'knn'), '--feature-reg is no'),
    ):
        code, _, err = call(*words, *wrong)
        assert code == 2 and said in err, err
