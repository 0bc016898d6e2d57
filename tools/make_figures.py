"""Draw the pictures of the front page: `python tools/make_figures.py`. One is from real MovieLens 100K, one from the tables of the benchmark."""
import sys
from pathlib import Path

import matplotlib
matplotlib.use('Agg')
import matplotlib.pyplot as plt
import pandas as pd

from mf_movielens.data import load
from mf_movielens.encoding import Ratings
from mf_movielens.plots import plot_comparison
from mf_movielens.splits import random_split
from mf_movielens.training import fit_net

IMAGES = Path(__file__).resolve().parent.parent / 'nbs' / 'images'


def comparison():
    "Lists of every system against time; other libraries at the best of their settings, ours at the defaults, as in nbs/18_benchmark.ipynb."
    table = pd.read_csv(IMAGES.parent / 'results/benchmark.csv')
    table = table[(table.task == 'ranking') & ((table.system != 'mf_movielens') | (table.variant == 'default'))]
    table = table.sort_values('ndcg', ascending=False).drop_duplicates(['system', 'model'])
    shown = {'mf_movielens': 'ours', 'surprise': 'Surprise', 'lenskit': 'LensKit', 'keras_example': "Keras' example"}
    names = [shown.get(s, s) + ('' if s == 'keras_example' else f', {m}') for s, m in zip(table.system, table.model)]
    fig = plot_comparison(table.set_axis(names).rename(columns={'fit_s': 'seconds'}), 'ndcg', 'nDCG@10, mean of u1 to u5', ['ours, iALS', 'ours, EASE graded'])
    fig.savefig(IMAGES / 'comparison.png', dpi=150, metadata={'Software': None})


def curves():
    ml = load('ml-100k')
    train, _ = random_split(Ratings.from_frame(ml.ratings))
    fit_part, watched = random_split(train, seed=0)  # the same parts as in nbs/08_training.ipynb
    fig, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True, layout='constrained')
    for ax, recipe, title in zip(axes, ('original', 'tuned'), ('the original settings', 'decay for each rating')):
        history = fit_net(fit_part, recipe, valid=watched).history
        ax.plot(history.epoch, history.rmse, color='#7a8ba3', label='seen in training')
        ax.plot(history.epoch, history.val_rmse, color='#d1495b', linewidth=2.2, label='held out')
        best = history.loc[history.val_rmse.idxmin()]
        ax.plot(best.epoch, best.val_rmse, 'o', color='#d1495b')
        ax.annotate(f'{best.val_rmse:.3f}', (best.epoch, best.val_rmse), xytext=(0, 8), textcoords='offset points', ha='center')
        ax.set(title=title, xlabel='epoch', xticks=range(2, len(history) + 1, 2), ylim=(.4, 1.15))
        ax.grid(alpha=.25)
    axes[0].set_ylabel('RMSE, stars')
    axes[0].legend(loc='lower left')
    fig.savefig(IMAGES / 'curves.png', dpi=150, metadata={'Software': None})


if __name__ == '__main__':
    IMAGES.mkdir(exist_ok=True)
    for name in sys.argv[1:] or ('curves', 'comparison'): globals()[name]()
