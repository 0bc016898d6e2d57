"""Draw the pictures of the front page, and gather what the page needs on which films are tried: `python tools/make_figures.py`.

The map and the factors are from real MovieLens 100K, the comparison from the tables of the benchmark.
"""

import base64, json, sys
from pathlib import Path

import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import to_hex
from PIL import Image

from mf_movielens.data import load
from mf_movielens.encoding import Ratings
from mf_movielens.plots import (
    place_labels,
    natural_title,
    most_rated,
    item_axes,
    plot_comparison,
)
from mf_movielens.recommender import Recommender

IMAGES = Path(__file__).resolve().parent.parent / 'nbs' / 'images'


def comparison():
    "Lists of every system against time; other libraries at the best of their settings, ours at the defaults, as in nbs/18_benchmark.ipynb."
    table = pd.read_csv(IMAGES.parent.parent / 'mf_movielens/results/benchmark.csv')
    table = table[
        (table.task == 'ranking')
        & ((table.system != 'mf_movielens') | (table.variant == 'default'))
    ]
    table = table.sort_values('ndcg', ascending=False).drop_duplicates(
        ['system', 'model']
    )
    shown = {
        'mf_movielens': 'ours',
        'surprise': 'Surprise',
        'lenskit': 'LensKit',
        'keras_example': "Keras' example",
    }
    names = [
        shown.get(s, s) + ('' if s == 'keras_example' else f', {m}')
        for s, m in zip(table.system, table.model)
    ]
    fig = plot_comparison(
        table.set_axis(names).rename(columns={'fit_s': 'seconds'}),
        'ndcg',
        'nDCG@10, mean of u1 to u5',
        ['ours, iALS', 'ours, EASE graded'],
    )
    fig.savefig(IMAGES / 'comparison.png', dpi=150, metadata={'Software': None})


TELLING = [
    'Animation',
    "Children's",
    'Sci-Fi',
    'Horror',
    'War',
    'Western',
    'Romance',
    'Action',
    'Thriller',
    'Comedy',
    'Drama',
]  # of a film's genres, the first of these
SHOWN = {
    'Drama': 'C3',
    'Comedy': 'C4',
    'Romance': 'C1',
    'Action': 'C2',
    'Thriller': 'C6',
    'Sci-Fi': 'C0',
    "Children's": 'C5',
    'War': 'C7',
}


def placed(n):
    "The best known films, by the first two axes of a model of their stars: titles, points and genres."
    ml = load('ml-100k')
    ratings = Ratings.from_frame(ml.ratings, titles=ml.titles)
    model = Recommender.fit(ratings, goal='rating')
    rows = most_rated(model, n)
    rows = rows[
        ~pd.Series(ratings.titles[rows]).duplicated().to_numpy()
    ]  # some films are in the table twice
    films = ml.movies.set_index('movie_id').loc[ratings.items.index[rows]]
    genre = (
        films[TELLING]
        .idxmax(axis=1)
        .where(films[TELLING].any(axis=1), 'other')
        .replace({'Animation': "Children's", 'Horror': 'Thriller', 'Western': 'other'})
    )
    return (
        ratings,
        rows,
        ratings.titles[rows],
        item_axes(model.factors)[rows, :2],
        genre.to_numpy(),
    )


def film_map(path=IMAGES / 'map.png', n=250):
    _, _, titles, points, genre = placed(n)
    with plt.style.context('mf_movielens.book'):
        fig, ax = plt.subplots(figsize=(9.6, 5.6))
        for name, colour in {**SHOWN, 'other': '#999999'}.items():
            ax.scatter(
                *points[genre == name].T,
                s=30,
                color=colour,
                label=name,
                linewidth=0.5,
                edgecolor='white',
            )
        ax.set(
            xticks=[], yticks=[], xlabel='the first axis of tastes', ylabel='the second'
        )
        ax.spines[:].set_visible(False)
        ax.margins(0.04)
        legend = ax.legend(
            loc='upper left', bbox_to_anchor=(1, 1), title='genre', alignment='left'
        )
        fig.draw_without_rendering()
        place_labels(
            ax,
            [natural_title(t[:-7]) for t in titles],
            points,
            [legend.get_window_extent()],
            fontsize=8,
        )
        fig.savefig(path, dpi=130, metadata={'Software': None})
    Image.open(path).convert('P', palette=Image.Palette.ADAPTIVE, colors=128).save(
        path, optimize=True
    )  # a third of the size


def play(path=IMAGES.parent.parent / 'docs/_static/play.json', n=500):
    "What the page needs on which films are tried: titles, points, and the factors of a model that ranks, in a byte each."
    ratings, rows, titles, points, genre = placed(n)
    model = Recommender.fit(ratings)
    Q = model.factors.item_factors
    scale = np.abs(Q[rows]).max(0) / 127
    text = lambda array: base64.b64encode(
        np.ascontiguousarray(array).tobytes()
    ).decode()
    reg, damping, alpha = model.penalties
    names = [*SHOWN, 'other']
    with plt.style.context('mf_movielens.book'):
        colours = [to_hex(c) for c in (*SHOWN.values(), '#999999')]
    data = dict(
        n_factors=model.factors.n_factors,
        reg=reg,
        damping=damping,
        alpha=alpha,
        genres=names,
        colours=colours,
        example=['Fargo (1996)', 'Alien (1979)'],
        titles=[natural_title(t) for t in titles],
        genre=[names.index(g) if g in names else len(names) - 1 for g in genre],
        x=[round(float(x), 4) for x in points[:, 0]],
        y=[round(float(y), 4) for y in points[:, 1]],
        factors=text(np.round(Q[rows] / scale).astype('int8')),
        factor_scale=text(scale.astype('float32')),
        gram=text(Q.T @ Q),
    )
    path.write_text(json.dumps(data, ensure_ascii=False), encoding='utf-8')


if __name__ == '__main__':
    IMAGES.mkdir(exist_ok=True)
    for name in sys.argv[1:] or ('film_map', 'comparison', 'play'):
        globals()[name]()
