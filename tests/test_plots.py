"""Any name of a file, an item or a group can be drawn in a figure."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mf_movielens.encoding import Ratings
from mf_movielens.plots import (
    plot_comparison,
    plot_curves,
    plot_factor,
    plot_map,
    plot_predicted,
    plot_reliability,
    short_title,
)
from mf_movielens.recommender import Recommender

NAMES = ['bad\udcff.csv', '\ud83d', '$x_$', 'a\nb']


@pytest.fixture(scope='module')
def model():
    rng = np.random.default_rng(0)
    users, items = np.divmod(np.arange(12 * 10), 10)
    frame = pd.DataFrame(
        {
            'user_id': users,
            'movie_id': items,
            'rating': rng.integers(1, 6, len(users)).astype('float64'),
        }
    )
    ratings = Ratings.from_frame(frame)
    return Recommender.fit(ratings, 'als', n_factors=2, n_iterations=2)


def is_png(figure):
    """Whether a figure can be drawn."""
    return figure._repr_png_().startswith(b'\x89PNG')


@pytest.mark.parametrize('name', NAMES)
def test_any_title_and_group_can_be_drawn(model, name):
    titles = np.array([name + str(j) for j in range(10)], object)
    named = replace(model, titles=titles)
    assert is_png(plot_factor(named))
    assert is_png(plot_map(named, dict.fromkeys(range(5), name)))


@pytest.mark.parametrize('name', NAMES)
def test_any_name_of_a_curve_can_be_drawn(name):
    assert is_png(plot_curves({'iteration': [1, 2], 'rmse': [1, 0.9]}, name))
    assert is_png(plot_predicted([1, 2, 2], [1, 2, 3], name))


@pytest.mark.parametrize('name', NAMES)
def test_any_event_can_be_drawn(name):
    reliability = pd.DataFrame(
        {
            'event': pd.Series([name] * 2, dtype=object),
            'predicted': [0.2, 0.8],
            'observed': [0.3, 0.7],
            'n': [10, 10],
        }
    )
    assert is_png(plot_reliability(reliability, name))


@pytest.mark.parametrize('name', NAMES)
def test_any_row_and_column_can_be_drawn(name):
    measurements = pd.DataFrame(
        [[1, 2.0], [2, 3.0]],
        index=pd.Index([name, 'b'], dtype=object),
        columns=pd.Index(['seconds', name], dtype=object),
    )
    assert is_png(plot_comparison(measurements, name, highlight=[name]))


def test_a_dollar_is_drawn_as_it_is(model):
    figure = plot_map(model, dict.fromkeys(range(10), '$5$'))
    texts = figure.axes[0].get_legend().get_texts()
    assert [text.get_text() for text in texts] == [r'\$5\$']


@pytest.mark.parametrize(
    'title, short',
    [
        ('A (1994)', 'A'),
        ('A  (1994)', 'A'),
        ('Piano, The (1993)', 'The Piano'),
        ('Postino, Il (Postman, The) (1994)', 'Il Postino (The Postman)'),
        ('A (1994) B', 'A (1994) B'),
        # a pattern that takes quadratic time would not come to an end here
        ('A' + ' ' * 10**6 + 'B', 'A…'),
        (' ' * 10**6 + '(1994', '…'),
        ('A, The (' + ', The (' * 10**5, 'The A (' + ', The (' * 3 + ', T…'),
    ],
    ids=[
        'year',
        'two blanks',
        'article',
        'two articles',
        'no year',
        'many blanks',
        'only blanks',
        'many articles',
    ],
)
def test_titles_are_shortened(model, title, short):
    titles = np.array([title] * 10, object)
    assert short_title(replace(model, titles=titles), 0) == short
