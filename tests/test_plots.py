"Names from outside in a figure: whatever a file, a film or a group is called, it can be drawn."

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mf_movielens.encoding import Ratings
from mf_movielens.plots import (
    short_title,
    plot_comparison,
    plot_curves,
    plot_factor,
    plot_map,
    plot_predicted,
    plot_reliability,
)
from mf_movielens.recommender import Recommender

NAMES = ['bad\udcff.csv', '\ud83d', '$x_$', 'a\nb']


@pytest.fixture(scope='module')
def model():
    rng = np.random.default_rng(0)
    pairs = pd.DataFrame(
        [(u, i, float(rng.integers(1, 6))) for u in range(12) for i in range(10)],
        columns=['user_id', 'movie_id', 'rating'],
    )
    return Recommender.fit(
        Ratings.from_frame(pairs), 'als', n_factors=2, n_iterations=2
    )


@pytest.mark.parametrize('name', NAMES)
def test_any_name_can_be_drawn(model, name):
    named = replace(model, titles=np.array([name + str(j) for j in range(10)], object))
    said = pd.DataFrame(
        {
            'event': pd.Series([name] * 2, dtype=object),
            'predicted': [0.2, 0.8],
            'observed': [0.3, 0.7],
            'n': [10, 10],
        }
    )
    measured = pd.DataFrame(
        [[1, 2.0], [2, 3.0]],
        index=pd.Index([name, 'b'], dtype=object),
        columns=pd.Index(['seconds', name], dtype=object),
    )
    for figure in (
        plot_curves({'iteration': [1, 2], 'rmse': [1, 0.9]}, name),
        plot_predicted([1, 2, 2], [1, 2, 3], name),
        plot_reliability(said, name),
        plot_factor(named),
        plot_map(named, {j: name for j in range(5)}),
        plot_comparison(measured, name, highlight=[name]),
    ):
        assert figure._repr_png_().startswith(b'\x89PNG')


def test_a_dollar_is_drawn_as_it_is(model):
    texts = (
        plot_map(model, {j: '$5$' for j in range(10)}).axes[0].get_legend().get_texts()
    )
    assert [t.get_text() for t in texts] == [r'\$5\$']


@pytest.mark.parametrize(
    'title, short',
    [
        ('A (1994)', 'A'),
        ('A  (1994)', 'A'),
        ('Piano, The (1993)', 'The Piano'),
        ('A (1994) B', 'A (1994) B'),
        # a pattern that takes quadratic time would not come to an end here
        ('A' + ' ' * 10**6 + 'B', 'A…'),
        (' ' * 10**6 + '(1994', '…'),
    ],
    ids=['year', 'two blanks', 'article', 'no year', 'many blanks', 'only blanks'],
)
def test_titles_are_cut_short(model, title, short):
    titles = np.array([title] * 10, object)
    assert short_title(replace(model, titles=titles), 0) == short
