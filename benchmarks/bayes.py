"Measure the Bayesian model by itself; `python benchmarks/bayes.py` does everything, `python benchmarks/bayes.py folds chains` a part."
import argparse, os, sys, time
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import lru_cache
from multiprocessing import get_context

for name in ('OPENBLAS_NUM_THREADS', 'OMP_NUM_THREADS'): os.environ.setdefault(name, '1')

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from mf_movielens.als import fit_als, fit_users
from mf_movielens.bayes import _Chain, _draw_of, _together, coverage_table, fit_bayes, log_score, side_features
from mf_movielens.encoding import Ratings, Vocabulary
from mf_movielens.metrics import mae, rmse
from mf_movielens.ranking import rank_items, ranking_metrics
from mf_movielens.splits import official_fold, random_split
import run
from run import FOLDS, KEPT, RESULTS, about_here, drawn, merged, movielens, save

MADE, SEEDS = KEPT / 'bayes', (0, 1, 2)
NORMAL = dict(likelihood='normal')
# what each has; `side` is whether it is told who the users and what the films are
PLAIN, RATINGS, SIDE, ALL = dict(side=False, implicit=False, time=False), dict(side=False, time=False), dict(time=False), {}
MODELS = {
    'plain, normal': PLAIN | NORMAL, 'ratings, normal': RATINGS | NORMAL, 'side, normal': SIDE | NORMAL, 'side and days, normal': dict(time='days') | NORMAL, 'all, normal': NORMAL,
    'plain': PLAIN, 'ratings': RATINGS, 'side': SIDE, 'all': ALL,
    'all but implicit': dict(implicit=False), 'all but side': dict(side=False), 'all but days': dict(time='moods'), 'all but moods': dict(time='days'),
}
TOLD = ('ratings', 'ratings, normal', 'side', 'all', 'all, normal')  # whose intervals are counted

@lru_cache
def loaded():
    ml, ratings = movielens()
    return ml, ratings, side_features(ml, ratings)

def parts(fold, part='test'):
    """Training and test ratings, and the side features. The part 'valid' is made of training ratings alone, in the way in which
    the official folds are made: what is tested is the fold that comes next, and the other three are fitted to."""
    ml, ratings, side = loaded()
    if part == 'test': return *official_fold(ml, ratings, fold), side
    after = FOLDS[(FOLDS.index(fold) + 1) % 5]
    train, test = (set(zip(p.user_ix.tolist(), p.item_ix.tolist())) for p in (official_fold(ml, ratings, fold).train, official_fold(ml, ratings, after).test))
    hidden = np.array([pair in test for pair in zip(ratings.user_ix.tolist(), ratings.item_ix.tolist())])
    kept = np.array([pair in train for pair in zip(ratings.user_ix.tolist(), ratings.item_ix.tolist())]) & ~hidden
    return ratings.take(kept), ratings.take(hidden), side

def fitted(train, side, seed, settings, **more):
    settings = dict(settings)
    told = settings.pop('side', True)
    return fit_bayes(train, side if told else None, seed=seed, n_threads=1, progress=False, **(settings | more))

def kept(model, fold, seed, part): return MADE / f'{part}-{model}-{fold}-{seed}.npz'.replace(' ', '_').replace(',', '')

def one(model, fold, seed, part, settings):
    "Fit, and keep what it says of the other part, with and without the moment; a row."
    train, test, side = parts(fold, part)
    started = time.process_time()
    post = fitted(train, side, seed, settings)
    row = dict(model=model, part=part, fold=fold, seed=seed, fit_s=time.process_time() - started)
    pairs = test.user_ix, test.item_ix
    known = post.predict(*pairs, test.timestamp if post.moments else None)
    still = post.predict(*pairs) if post.moments else known
    np.savez(kept(model, fold, seed, part), known=known, still=still)
    row |= dict(rmse=rmse(test.rating, known), mae=mae(test.rating, known), log_score=log_score(post, test))
    if post.moments: row |= dict(rmse_still=rmse(test.rating, still), log_score_still=log_score(post, test, use_time=False))
    if model in TOLD and part == 'test':
        for ending, use in ((('', True), ('_still', False)) if post.moments else (('', True),)):
            for level, found in coverage_table(post, test, use_time=use).iterrows():
                row |= {f'{name}_{100 * level:.0f}{ending}': found[name] for name in ('nominal', 'covered', 'width')}
        if seed == 0: reliability(post, test).assign(model=model, fold=fold).to_csv(kept(model, fold, seed, 'reliability').with_suffix('.csv'), index=False)
    return row

def reliability(post, test, use_time=True):
    "Counts by event and tenth of the predicted probability."
    P = post.probabilities(test.user_ix, test.item_ix, test.timestamp if use_time and post.moments else None)
    events = {f'{s:g}': (P[:, j], test.rating == s) for j, s in enumerate(post.stars)} | {'4 or more': (P[:, post.stars >= 4].sum(1), test.rating >= 4)}
    tables = [pd.DataFrame({'event': event, 'tenth': np.minimum(p * 10, 9).astype(int), 'n': 1, 'predicted': p, 'observed': hit.astype(float)}).groupby(['event', 'tenth']).sum().reset_index()
              for event, (p, hit) in events.items()]
    return pd.concat(tables)

def many(jobs):
    "Do jobs two at a time; rows in the order in which they end."
    MADE.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(2, get_context('spawn')) as pool:
        for done in as_completed([pool.submit(*job) for job in jobs]):
            row = done.result() | about_here()
            print(*(f'{k}={v:.4f}' if isinstance(v, float) else f'{k}={v}' for k, v in row.items() if k in ('model', 'part', 'fold', 'seed', 'rmse', 'rmse_still', 'fit_s')), flush=True)
            yield row

def folds(only=None):
    "Each model on each fold with each seed -> bayes_folds.csv, bayes_reliability.csv."
    rows = []
    for row in many([(one, model, fold, seed, 'test', settings) for seed in SEEDS for model, settings in MODELS.items() for fold in FOLDS if only is None or model in only]):
        rows.append(row)
        if len(rows) % 10 == 0: merged(RESULTS / 'bayes_folds.csv', pd.DataFrame(rows), ['model', 'part', 'fold', 'seed'])
    merged(RESULTS / 'bayes_folds.csv', pd.DataFrame(rows), ['model', 'part', 'fold', 'seed'])
    counted = pd.concat([pd.read_csv(path) for path in sorted(MADE.glob('reliability-*.csv'))]).groupby(['model', 'event', 'tenth'])[['n', 'predicted', 'observed']].sum().reset_index()
    save(RESULTS / 'bayes_reliability.csv', counted.assign(predicted=counted.predicted / counted.n, observed=counted.observed / counted.n))

ALL_PARTS = {'folds': folds}

def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('parts', nargs='*', default=list(ALL_PARTS), help=', '.join(ALL_PARTS))
    for part in p.parse_args().parts: ALL_PARTS[part]()

if __name__ == '__main__': main()
