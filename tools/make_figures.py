"""Draw the picture of the front page from real MovieLens 100K: `python tools/make_figures.py`."""
import sys
from pathlib import Path

import matplotlib
matplotlib.use('Agg')
import matplotlib.pyplot as plt

from mf_movielens.data import load
from mf_movielens.encoding import Ratings
from mf_movielens.splits import random_split
from mf_movielens.training import fit_net

IMAGES = Path(__file__).resolve().parent.parent / 'nbs' / 'images'


def main():
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
    IMAGES.mkdir(exist_ok=True)
    fig.savefig(IMAGES / 'curves.png', dpi=150, metadata={'Software': None})


if __name__ == '__main__': sys.exit(main())
