"""Latent factors and item weights, whose scores are added up."""

import numpy as np
import pandas as pd
import pytest

import mf_movielens.blend as blend_module
from mf_movielens.blend import Blend, blend_settings, fit_blend
from mf_movielens.ease import fit_ease
from mf_movielens.encoding import Ratings
from mf_movielens.ials import fit_ials
from mf_movielens.item_knn import fit_item_knn
from mf_movielens.recommender import Recommender
from mf_movielens.tuning import tune_settings


@pytest.fixture(scope='module')
def ratings():
    rng = np.random.default_rng(0)
    user, item = np.nonzero(rng.random((50, 30)) < 0.4)
    rating = rng.integers(1, 6, len(user))
    frame = pd.DataFrame({'user': user, 'item': item, 'rating': rating})
    return Ratings.from_frame(frame, scale=(1, 5))


@pytest.fixture(scope='module')
def blend(ratings):
    return fit_blend(ratings, n_factors=4, weight=0.3)


def test_scores_are_those_of_the_parts(ratings, blend):
    users = np.arange(50)
    of_factors = fit_ials(ratings, n_factors=4).scores(users)
    of_weights = fit_ease(ratings).scores(users)
    expected = 0.7 * of_factors + 0.3 * of_weights
    np.testing.assert_allclose(blend.scores(users), expected, atol=1e-6)
    np.testing.assert_allclose(
        blend.scores(users, items=slice(5, 9)), expected[:, 5:9], atol=1e-6
    )
    pairs = np.arange(30), np.arange(30)
    np.testing.assert_allclose(
        blend.predict(*pairs), expected[pairs], rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize('weight', [0, 1])
def test_the_ends_are_the_parts_themselves(blend, weight):
    part = blend.item_weights if weight else blend.factors
    ends = Blend(blend.factors, blend.item_weights, weight)
    assert np.array_equal(ends.scores(range(50)), part.scores(range(50)))


def test_a_new_user_with_the_ratings_of_a_known_one_gets_the_same(ratings, blend):
    folded = blend.fold_in(ratings.to_csr()[[7, 3]])
    assert folded.shape == (2, 30)
    np.testing.assert_allclose(folded.scores([0, 1]), blend.scores([7, 3]), atol=1e-3)


@pytest.fixture(scope='module', params=['ease', 'knn'])
def model(request, ratings):
    return Recommender.fit(
        ratings, 'blend', n_factors=4, weight=0.3, pairs=request.param
    )


def test_a_saved_blend_answers_as_before(model, tmp_path):
    loaded = Recommender.load(model.save(tmp_path / 'model.npz'))
    assert isinstance(loaded.predictor, Blend)
    assert loaded.predictor.weight == 0.3
    pd.testing.assert_frame_equal(loaded.recommend([1, 2]), model.recommend([1, 2]))
    history = {3: 5.0, 8: 1.0}
    pd.testing.assert_frame_equal(loaded.fold_in(history), model.fold_in(history))
    pd.testing.assert_frame_equal(loaded.similar(3), model.similar(3))
    assert loaded.settings == model.settings


@pytest.mark.parametrize('user', [4, {3: 5.0, 8: 1.0, 9: 4.0}])
def test_contributions_add_up_to_the_score(model, user):
    ask = model.fold_in if isinstance(user, dict) else model.recommend
    best = ask(user, k=1).iloc[0]
    parts = model.explain(user, best['item'])
    assert set(parts.part) <= {'a rating', 'the rest'}
    assert parts.score.sum() == pytest.approx(best.score, abs=1e-4)


def test_settings_follow_the_data_for_each_part(ratings):
    model = Recommender.fit(ratings, 'blend', n_factors=4)
    chosen = blend_settings(ratings)
    assert model.settings['pairs'] == chosen['pairs'] == 'ease'
    assert model.settings['item_reg'] == chosen['item_reg']
    assert model.settings['reg'] == chosen['reg'] != chosen['item_reg']


def test_neighbors_take_the_place_of_a_solution_that_takes_too_long(
    monkeypatch, ratings
):
    monkeypatch.setattr(blend_module, '_MOST_ITEMS', 29)
    model = Recommender.fit(ratings, 'blend', n_factors=4, n_neighbors=5)
    assert model.settings['pairs'] == 'knn'
    assert model.settings['item_reg'] is None
    assert model.settings['n_neighbors'] == 5
    weights = model.predictor.item_weights.weights
    assert (weights != 0).sum(axis=0).max() <= 5
    expected = fit_item_knn(ratings, n_neighbors=5).weights
    assert (weights.toarray() == expected.toarray()).all()


@pytest.mark.parametrize('pairs', ['ease', 'knn'])
@pytest.mark.parametrize('kind', ['graded', 'binary'])
def test_item_weights_have_the_kind_of_the_blend(ratings, pairs, kind):
    blend = fit_blend(ratings, n_factors=2, pairs=pairs, kind=kind)
    assert blend.item_weights.kind == kind


@pytest.mark.parametrize(
    'given, pairs', [({'n_neighbors': 5}, 'knn'), ({'item_reg': 5.0}, 'ease')]
)
def test_a_setting_of_one_kind_of_pairs_chooses_it(monkeypatch, ratings, given, pairs):
    for most_items in (0, 30):
        monkeypatch.setattr(blend_module, '_MOST_ITEMS', most_items)
        assert blend_settings(ratings, given)['pairs'] == pairs


@pytest.mark.parametrize(
    'given', [{'n_neighbors': 5, 'pairs': 'ease'}, {'item_reg': 5.0, 'pairs': 'knn'}]
)
def test_a_setting_of_other_pairs_is_refused(ratings, given):
    with pytest.raises(ValueError, match='=5.*is no setting of pairs='):
        fit_blend(ratings, **given)
    with pytest.raises(ValueError, match='=5.*is no setting of pairs='):
        Recommender.fit(ratings, 'blend', **given)


def test_settings_of_both_kinds_of_pairs_are_refused(ratings):
    with pytest.raises(ValueError, match='give one of them'):
        fit_blend(ratings, n_neighbors=5, item_reg=5.0)


def test_another_kind_of_pairs_is_refused(ratings):
    with pytest.raises(ValueError, match="pairs='slim'.*'ease'.*'knn'"):
        fit_blend(ratings, pairs='slim')


@pytest.mark.parametrize('weight', [-0.1, 1.1, float('nan'), 'x'])
def test_a_weight_out_of_bounds_is_refused(ratings, blend, weight):
    with pytest.raises(ValueError, match='weight='):
        fit_blend(ratings, weight=weight)
    with pytest.raises(ValueError, match='weight='):
        Blend(blend.factors, blend.item_weights, weight)


def test_parts_that_do_not_go_together_are_refused(ratings, blend):
    other = fit_ials(ratings.take(np.arange(len(ratings))), n_factors=2)
    fewer = other.fold_in(ratings.to_csr()[:3])
    with pytest.raises(ValueError, match='do not go together'):
        Blend(fewer, blend.item_weights, 0.5)


@pytest.fixture(scope='module')
def found(ratings):
    return tune_settings(ratings, trials=12)


@pytest.mark.parametrize(
    'pairs, own', [('ease', {'item_reg': float}), ('knn', {'n_neighbors': int})]
)
def test_the_search_blends_the_best_of_both(ratings, found, pairs, own):
    blends = found.trials[found.trials.solver == 'blend']
    blends = blends[blends.pairs == pairs]
    assert {0.25, 0.5, 0.75} <= {*blends.weight}
    # what is put together of fitted parts is what a fit gives
    row = blends.iloc[0]
    settings = {name: row[name] for name in ('reg', 'damping', 'alpha', 'weight')}
    settings |= {name: kind(row[name]) for name, kind in own.items()}
    again = tune_settings_once(ratings, int(row.n_factors), settings | {'pairs': pairs})
    assert again == pytest.approx(row.ndcg, abs=1e-6)


def tune_settings_once(ratings, n_factors, settings):
    """nDCG of a blend that is fitted as a whole, on what a search holds out."""
    import mf_movielens.tuning as tuning

    cases = tuning._hold_out_cases(ratings, 'ranking', 0)
    scores = [
        tuning._ndcg_of_users(
            fit_blend(case.train, n_factors=n_factors, **settings), case
        )
        for case in cases
    ]
    return np.concatenate(scores).mean()


def test_a_search_for_blends_alone_changes_what_their_pairs_have(monkeypatch, ratings):
    monkeypatch.setattr(blend_module, '_MOST_ITEMS', 0)
    trials = tune_settings(ratings, solver='blend', trials=12).trials
    assert {*trials.pairs} == {'knn'}
    assert trials.item_reg.isna().all()
    assert trials.n_neighbors.nunique() > 1
