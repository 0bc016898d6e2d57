"""Matrix factorization, from a table of ratings to a recommender that is kept.

The names that most people need are here, and each is imported when it is first used:
``import mf_movielens`` is quick, and TensorFlow is loaded only where it trains.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mf_movielens.als import fit_als
    from mf_movielens.bayes import fit_bayes
    from mf_movielens.data import load
    from mf_movielens.ease import fit_ease
    from mf_movielens.encoding import Ratings, Vocabulary
    from mf_movielens.factors import Factors
    from mf_movielens.ials import fit_ials
    from mf_movielens.metrics import rmse
    from mf_movielens.posterior import Posterior
    from mf_movielens.ranking import rank_items, ranking_metrics
    from mf_movielens.reading import load_ratings
    from mf_movielens.recommender import Recommender
    from mf_movielens.splits import random_split

__all__ = [
    'Factors',
    'Posterior',
    'Ratings',
    'Recommender',
    'Vocabulary',
    'fit_als',
    'fit_bayes',
    'fit_ease',
    'fit_ials',
    'load',
    'load_ratings',
    'random_split',
    'rank_items',
    'ranking_metrics',
    'rmse',
]

_MODULES = {
    'Factors': 'factors',
    'Posterior': 'posterior',
    'Ratings': 'encoding',
    'Recommender': 'recommender',
    'Vocabulary': 'encoding',
    'fit_als': 'als',
    'fit_bayes': 'bayes',
    'fit_ease': 'ease',
    'fit_ials': 'ials',
    'load': 'data',
    'load_ratings': 'reading',
    'random_split': 'splits',
    'rank_items': 'ranking',
    'ranking_metrics': 'ranking',
    'rmse': 'metrics',
}


def __getattr__(name: str) -> Any:
    """Import a name of this package when it is first asked for."""
    if name not in _MODULES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    value = getattr(import_module(f'{__name__}.{_MODULES[name]}'), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
