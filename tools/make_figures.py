"""Draw the pictures of the front page, and gather what its page of films needs.

    python tools/make_figures.py [film_map] [narrow_film_map] [comparison] [play]
        [play_bayes] [app]

The map and the factors are from real MovieLens 100K, the comparison from the tables of
the benchmark. The picture of the app is taken with chromium.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from book import NBS, PACKAGE, ROOT
from matplotlib.axes import Axes
from PIL import Image

from mf_movielens.bayes import fit_bayes
from mf_movielens.data import load
from mf_movielens.encoding import Ratings
from mf_movielens.factors import Factors
from mf_movielens.plots import (
    item_axes,
    most_rated,
    natural_title,
    place_labels,
    plot_comparison,
)
from mf_movielens.posterior import Posterior
from mf_movielens.recommender import Recommender

IMAGES = NBS / 'images'
PLAY = ROOT / 'docs/_static/play.json'
PLAY_BAYES = ROOT / 'docs/_static/play_bayes.json'
# A page has room for a small model: normal noise, and neither time nor side features
SMALL_BAYES: dict[str, Any] = {
    'n_factors': 8,
    'n_burn_in': 30,
    'n_samples': 100,
    'n_kept_samples': 50,
    'likelihood': 'normal',
    'implicit': False,
    'user_noise': False,
    'time': False,
}
STYLE = 'mf_movielens.book'
SYSTEMS = {
    'mf_movielens': 'ours',
    'surprise': 'Surprise',
    'lenskit': 'LensKit',
    'keras_example': "Keras' example",
}
# Of the genres of a film, the first of these
GENRES = [
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
]
MERGED = {'Animation': "Children's", 'Horror': 'Thriller', 'Western': 'other'}
COLOURS = {
    'Drama': 'C3',
    'Comedy': 'C4',
    'Romance': 'C1',
    'Action': 'C2',
    'Thriller': 'C6',
    'Sci-Fi': 'C0',
    "Children's": 'C5',
    'War': 'C7',
    'other': '#999999',
}


class Films(NamedTuple):
    """The films of the map: rows, titles, places on two axes, and genres."""

    ratings: Ratings
    rows: np.ndarray
    titles: np.ndarray
    points: np.ndarray
    genres: np.ndarray


def comparison() -> None:
    """Draw the quality of the lists of every system against the time it takes.

    Other libraries are shown at the best of their settings, ours at the defaults, as
    in nbs/21_benchmark.ipynb.
    """
    table = pd.read_csv(PACKAGE / 'results/benchmark.csv')
    is_other = table.system != 'mf_movielens'
    table = table[(table.task == 'ranking') & (is_other | (table.variant == 'default'))]
    table = table.sort_values('ndcg', ascending=False)
    table = table.drop_duplicates(['system', 'model'])
    names = [
        SYSTEMS.get(system, system)
        + ('' if system == 'keras_example' else f', {model}')
        for system, model in zip(table.system, table.model)
    ]
    fig = plot_comparison(
        table.set_axis(names).rename(columns={'fit_s': 'seconds'}),
        'ndcg',
        'nDCG@10, mean of u1 to u5',
        ['ours, iALS', 'ours, EASE graded'],
    )
    fig.savefig(IMAGES / 'comparison.png', dpi=150, metadata={'Software': None})


def shown_genre(films: pd.DataFrame) -> np.ndarray:
    """Return the genre by which each film is shown."""
    flags = films[GENRES]
    first = flags.idxmax(axis=1).where(flags.any(axis=1), 'other')
    return first.replace(MERGED).to_numpy()


def known_films(n: int) -> Films:
    """Return the films with the most ratings, at most `n`.

    Places are the first two axes of a model of their ratings. A title that two films
    share is kept once, since some films are in the table twice.
    """
    ml = load('ml-100k')
    ratings = Ratings.from_frame(ml.ratings, titles=ml.titles)
    model = Recommender.fit(ratings, goal='rating')
    rows = most_rated(model, n)
    titles = np.asarray(ratings.titles)
    rows = rows[~pd.Series(titles[rows]).duplicated().to_numpy()]
    films = ml.movies.set_index('movie_id').loc[ratings.items.index[rows]]
    points = item_axes(model.predictor)[rows, :2]
    return Films(ratings, rows, titles[rows], points, shown_genre(films))


def draw_points(ax: Axes, films: Films, size: float = 30) -> None:
    """Draw the points of the map, a colour for each genre."""
    for name, colour in COLOURS.items():
        across, up = films.points[films.genres == name].T
        style: dict[str, Any] = {'s': size, 'linewidth': 0.5, 'edgecolor': 'white'}
        ax.scatter(across, up, color=colour, label=name, **style)
    ax.set(
        xticks=[],
        yticks=[],
        xlabel='first axis of the latent factors',
        ylabel='second axis',
    )
    ax.spines[:].set_visible(False)
    ax.margins(0.04)


def save_small(path: Path) -> None:
    """Save a picture anew with 128 colours, which make it a third of the size."""
    adaptive = Image.Palette.ADAPTIVE
    few_colours = Image.open(path).convert('P', palette=adaptive, colors=128)
    few_colours.save(path, optimize=True)


def short_titles(films: Films) -> list[str]:
    """Return the titles without their years."""
    return [natural_title(title[: -len(' (1993)')]) for title in films.titles]


def film_map(path: Path = IMAGES / 'map.png', n: int = 250) -> None:
    """Draw the map of the front page."""
    films = known_films(n)
    titles = short_titles(films)
    with plt.style.context(STYLE):
        fig, ax = plt.subplots(figsize=(9.6, 5.6))
        draw_points(ax, films)
        legend = ax.legend(
            loc='upper left', bbox_to_anchor=(1, 1), title='genre', alignment='left'
        )
        fig.draw_without_rendering()
        occupied = [legend.get_window_extent()]
        place_labels(ax, titles, films.points, occupied, fontsize=8)
        fig.savefig(path, dpi=130, metadata={'Software': None})
    save_small(path)


def narrow_film_map(path: Path = IMAGES / 'map_narrow.png', n: int = 120) -> None:
    """Draw the map for a telephone: fewer films, and letters that can be read there."""
    films = known_films(n)
    with plt.style.context(STYLE):
        fig, ax = plt.subplots(figsize=(3.9, 4.9))
        draw_points(ax, films, size=18)
        ax.set(xlabel='', ylabel='')
        fig.legend(
            loc='outside lower center',
            ncols=3,
            fontsize=8,
            handletextpad=0,
            borderpad=0,
        )
        fig.draw_without_rendering()
        place_labels(ax, short_titles(films), films.points, [], fontsize=8.5)
        fig.savefig(path, dpi=200, metadata={'Software': None})
    save_small(path)


def as_text(array: np.ndarray) -> str:
    """Return the bytes of an array as text."""
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def rounded(values: np.ndarray) -> list[float]:
    """Return values with as many digits as a map needs."""
    return [round(float(value), 4) for value in values]


def in_bytes(values: np.ndarray, axis: int) -> dict[str, str]:
    """Return numbers as whole ones of a byte each, and the steps between them.

    The largest number along the axis is 127 steps away from 0.
    """
    step = (np.abs(values).max(axis) / 127).astype('float32')
    whole = np.round(values / np.expand_dims(step, axis)).astype('int8')
    return {'bytes': as_text(whole), 'step': as_text(step)}


def ranking_data(factors: Factors, rows: np.ndarray) -> dict[str, Any]:
    """Return what a page needs of factors that rank: those of some items in a byte."""
    weights: Any = factors.regularization
    evidence = factors.evidence_factors
    return {
        'n_factors': factors.n_factors,
        'reg': weights.reg,
        'damping': weights.damping,
        'alpha': weights.alpha,
        'factors': in_bytes(factors.item_factors[rows], axis=0),
        'gram': as_text((evidence.T @ evidence).astype('float32')),
    }


def bayes_data(posterior: Posterior, rows: np.ndarray) -> dict[str, Any]:
    """Return what a page needs of posterior samples with normal noise.

    Of the items, it has some rows, in a byte; of the users, only the distribution that
    their rows come from.
    """
    samples = posterior.item_samples[:, rows]
    return {
        'n_samples': len(posterior),
        'n_columns': samples.shape[2],
        'mu': posterior.mu,
        'unit': posterior.unit,
        'scale': list(posterior.scale),
        'items': in_bytes(samples, axis=1),
        'noise_sd': as_text(posterior.noise_sd.astype('float32')),
        'mean': as_text(posterior.population_mean.astype('float32')),
        'precision': as_text(posterior.population_precision.astype('float32')),
    }


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write data in which titles can be read."""
    path.write_text(json.dumps(data, ensure_ascii=False), encoding='utf-8')


def play(path: Path = PLAY, n: int = 500) -> None:
    """Gather what the page needs on which films are tried.

    It has titles, places, and the factors of a model that ranks, in a byte each. How
    many of all users have rated a film tells which films people know.
    """
    films = known_films(n)
    ratings = films.ratings
    predictor = Recommender.fit(ratings).predictor
    shares = np.bincount(ratings.item_ix)[films.rows] / len(ratings.users)
    genres = list(COLOURS)
    data = {
        'example': ['Fargo (1996)', 'Alien (1979)'],
        'genres': genres,
        'ids': ratings.items.index[films.rows].tolist(),
        'titles': [natural_title(title) for title in films.titles],
        'genre': [genres.index(g if g in genres else 'other') for g in films.genres],
        'known': [round(float(share), 2) for share in shares],
        'x': rounded(films.points[:, 0]),
        'y': rounded(films.points[:, 1]),
    }
    write_json(path, data | ranking_data(predictor, films.rows))


def play_bayes(path: Path = PLAY_BAYES, n: int = 500) -> None:
    """Gather samples of a small Bayesian model of the same films."""
    films = known_films(n)
    posterior = fit_bayes(films.ratings, **SMALL_BAYES)
    ids = films.ratings.items.index[films.rows].tolist()
    write_json(path, {'ids': ids} | bayes_data(posterior, films.rows))


@contextmanager
def served(model: Recommender) -> Iterator[str]:
    """Serve a model, and yield the address of its page."""
    import uvicorn

    from mf_movielens.api import make_api

    api = make_api({'films': model})
    server = uvicorn.Server(uvicorn.Config(api, port=0, log_level='error'))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    (socket,) = server.servers[0].sockets
    yield f'http://127.0.0.1:{socket.getsockname()[1]}/'
    server.should_exit = True
    thread.join()


def app(path: Path = IMAGES / 'app.png') -> None:
    """Take a picture of the page that the server shows."""
    from playwright.sync_api import sync_playwright

    ml = load('ml-100k')
    ratings = Ratings.from_frame(ml.ratings, titles=ml.titles)
    genres = ml.movies[GENRES].astype(bool).to_numpy()
    films = pd.DataFrame(
        {
            'item': ml.movies.movie_id,
            'genre': ['|'.join(np.array(GENRES)[row]) for row in genres],
            'year': ml.movies.year,
        }
    )
    model = Recommender.fit(ratings).with_features(item_features=films)
    browser = shutil.which(os.environ.get('CHROMIUM') or 'chromium')
    with served(model) as address, sync_playwright() as p:
        page = p.chromium.launch(
            executable_path=browser, args=['--no-sandbox']
        ).new_page(viewport={'width': 1200, 'height': 780}, reduced_motion='reduce')
        page.goto(address)
        for title in ('Fargo (1996)', 'Alien (1979)', 'Clueless (1995)'):
            page.fill('#search', title)
            page.get_by_role('option', name=title).first.click()
        page.get_by_role('slider', name='rating of Clueless').press('2')
        page.wait_for_selector('.map circle.rated')
        page.wait_for_timeout(1000)
        page.evaluate('document.activeElement.blur()')
        page.screenshot(path=path)
    adaptive = Image.Palette.ADAPTIVE
    Image.open(path).convert('P', palette=adaptive, colors=128).save(
        path, optimize=True
    )


FIGURES: dict[str, Callable[[], None]] = {
    'film_map': film_map,
    'narrow_film_map': narrow_film_map,
    'comparison': comparison,
    'play': play,
    'play_bayes': play_bayes,
    'app': app,
}


def main() -> None:
    """Make the figures that are named, or all."""
    IMAGES.mkdir(exist_ok=True)
    for name in sys.argv[1:] or FIGURES:
        FIGURES[name]()


if __name__ == '__main__':
    main()
