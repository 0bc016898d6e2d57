"""Terms of the field are found by the site's search, on the page that explains them.

The sixty terms come from the indexes of books on recommender systems and from the
documentation of LensKit, scikit-learn and implicit. Needs the built site and a browser,
as tests/test_site.py does.
"""

from __future__ import annotations

import pytest
import test_site

base, browser = test_site.base, test_site.browser

# Each term, and the page that explains it
TERMS = {
    'accuracy metrics': '04_metrics',
    'alternating least squares': '09_als',
    'baseline': '06_baselines',
    'Bayesian personalized ranking': 'neighbourhood',
    'bootstrap': '04_metrics',
    'burn-in': '13_gibbs',
    'calibration': '15_posterior',
    'candidates': '10_ranking',
    'catalogue coverage': '10_ranking',
    'cold start': '18_new_users',
    'collaborative filtering': '01_frames',
    'confidence interval': '04_metrics',
    'conjugate gradients': '93_least_squares',
    'convergence': '14_bayes',
    'cosine similarity': '17b_similarity',
    'cross-validation': '03_splits',
    'data leakage': '03_splits',
    'discounted cumulative gain': '10_ranking',
    'diversity': '19b_rules',
    'dot product': '05_factors',
    'early stopping': '08_training',
    'embedding': '07_model',
    'explanation': '18_new_users',
    'explicit feedback': 'glossary',
    'factorization machine': 'neighbourhood',
    'fold-in': '18_new_users',
    'Gibbs sampling': '13_gibbs',
    'gradient descent': '08_training',
    'Gram matrix': '12_ials',
    'hit rate': '10_ranking',
    'hyperparameter': '27_tuning',
    'implicit feedback': '12_ials',
    'item-based nearest neighbours': '11c_item_knn',
    'Jaccard': '17b_similarity',
    'latent factors': '05_factors',
    'learning curve': '20_plots',
    'long tail': '01_frames',
    'Markov chain Monte Carlo': '13_gibbs',
    'matrix factorization': '05_factors',
    'mean absolute error': '04_metrics',
    'negative sampling': 'neighbourhood',
    'normal equations': '09_als',
    'novelty': '10_ranking',
    'overfitting': '08_training',
    'popularity bias': 'glossary',
    'posterior distribution': '15_posterior',
    'prediction interval': '15_posterior',
    'reciprocal rank': '10_ranking',
    'recommender system': '17_recommender',
    'regularization': '08_training',
    'ridge regression': '09_als',
    'RMSE': '04_metrics',
    'sequential recommendation': 'neighbourhood',
    'side features': '13_gibbs',
    'sparse matrix': '02_encoding',
    'stochastic gradient descent': '08_training',
    'top-N recommendations': '10_ranking',
    'two-tower': 'neighbourhood',
    'user bias': '06_baselines',
    'vector index': '24b_export',
}
# What the search page does with a query, without drawing the results
SEARCH = """
query => {
    const found = Search._performSearch(...Search._parseQuery(query));
    return [...new Set(found.reverse().map(result => result[0]))];
}
"""


@pytest.fixture(scope='module')
def search_page(
    browser: test_site.sync_api.Browser, base: str
) -> test_site.sync_api.Page:
    """The search page of the site, with its index."""
    page = test_site.visit(browser.new_page(), base + 'search.html')
    page.wait_for_function('Search.hasIndex()')
    return page


def test_there_are_sixty_terms() -> None:
    assert len(TERMS) == 60


@pytest.mark.parametrize('term', TERMS)
def test_a_term_is_found_where_it_is_explained(
    term: str, search_page: test_site.sync_api.Page
) -> None:
    pages = search_page.evaluate(SEARCH, term)
    places = [page for page in pages if not page.startswith('reference')]
    assert TERMS[term] in places[:12], places


@pytest.mark.parametrize('term', TERMS)
def test_the_glossary_is_found_too(
    term: str, search_page: test_site.sync_api.Page
) -> None:
    assert 'glossary' in search_page.evaluate(SEARCH, term)


def test_what_is_nowhere_is_not_found(search_page: test_site.sync_api.Page) -> None:
    assert search_page.evaluate(SEARCH, 'blockchain') == []
