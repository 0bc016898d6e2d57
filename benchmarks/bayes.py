"Measure the Bayesian model by itself; `python benchmarks/bayes.py` does everything, `python benchmarks/bayes.py folds chains` a part."

import argparse, inspect, os, sys, time
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import lru_cache
from multiprocessing import get_context

for name in ('OPENBLAS_NUM_THREADS', 'OMP_NUM_THREADS'):
    os.environ.setdefault(name, '1')

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from mf_movielens.als import fit_als, fit_users
from mf_movielens.bayes import (
    _Chain,
    _draw_of,
    _quiet_blas,
    _record,
    _together,
    fit_bayes,
    side_features,
)
from mf_movielens.encoding import Ratings, Vocabulary, build_csr
from mf_movielens.metrics import mae, rmse
from mf_movielens.posterior import coverage_table, log_score
from mf_movielens.splits import official_fold, random_split
import run
from worker import memory
from run import FOLDS, KEPT, RESULTS, about_here, drawn, merged, movielens, save

MADE, SEEDS = KEPT / 'bayes', (0, 1, 2)
DEFAULT = inspect.signature(fit_bayes).parameters['n_factors'].default
NORMAL = dict(likelihood='normal')
# what each has; `side` is whether it is told who the users and what the films are
PLAIN = dict(side=False, implicit=False, time=False, steadiness=False)
RATINGS, SIDE, ALL = dict(side=False, time=False), dict(time=False), {}
MODELS = {
    'plain, normal': PLAIN | NORMAL,
    'plain': PLAIN,
    'plain and steadiness': PLAIN | dict(steadiness=True),
    'ratings': RATINGS,
    'side': SIDE,
    'all': ALL,
    'all, normal': NORMAL,
    'all but steadiness': dict(steadiness=False),
    'all but implicit': dict(implicit=False),
    'all but side': dict(side=False),
    'all but days': dict(time='moods'),
    'all but moods': dict(time='days'),
}
HEADS = ('ratings', 'side', 'all')  # with three seeds
TOLD = (
    'ratings',
    'side',
    'all',
    'all, normal',
    'all but steadiness',
)  # whose intervals are counted


@lru_cache
def loaded():
    ml, ratings = movielens()
    return ml, ratings, side_features(ml, ratings)


def parts(fold, part='test'):
    """Training and test ratings, and the side features. The part 'valid' is made of training ratings alone, in the way in which
    the official folds are made: what is tested is the fold that comes next, and the other three are fitted to."""
    ml, ratings, side = loaded()
    if part == 'test':
        return *official_fold(ml, ratings, fold), side
    after = FOLDS[(FOLDS.index(fold) + 1) % 5]
    train, test = (
        set(zip(p.user_ix.tolist(), p.item_ix.tolist()))
        for p in (
            official_fold(ml, ratings, fold).train,
            official_fold(ml, ratings, after).test,
        )
    )
    hidden = np.array(
        [
            pair in test
            for pair in zip(ratings.user_ix.tolist(), ratings.item_ix.tolist())
        ]
    )
    kept = (
        np.array(
            [
                pair in train
                for pair in zip(ratings.user_ix.tolist(), ratings.item_ix.tolist())
            ]
        )
        & ~hidden
    )
    return ratings.take(kept), ratings.take(hidden), side


def fitted(train, side, seed, settings, **more):
    settings = dict(settings)
    told = settings.pop('side', True)
    return fit_bayes(
        train,
        side if told else None,
        seed=seed,
        n_threads=1,
        progress=False,
        **(settings | more),
    )


def kept(model, fold, seed, part):
    return MADE / f'{part}-{model}-{fold}-{seed}.npz'.replace(' ', '_').replace(',', '')


def one(model, fold, seed, part, settings):
    "Fit, and keep what it says of the other part, with and without the moment; a row."
    train, test, side = parts(fold, part)
    started = time.process_time()
    post = fitted(train, side, seed, settings)
    row = dict(
        model=model,
        part=part,
        fold=fold,
        seed=seed,
        fit_s=time.process_time() - started,
    )
    pairs = test.user_ix, test.item_ix
    known = post.predict(*pairs, test.timestamp if post.time else None)
    still = post.predict(*pairs) if post.time else known
    np.savez(kept(model, fold, seed, part), known=known, still=still)
    row |= dict(
        rmse=rmse(test.rating, known),
        mae=mae(test.rating, known),
        log_score=log_score(post, test),
    )
    if post.time:
        row |= dict(
            rmse_still=rmse(test.rating, still),
            log_score_still=log_score(post, test, use_time=False),
        )
    if model in TOLD and part == 'test':
        for ending, use in (
            (('', True), ('_still', False)) if post.time else (('', True),)
        ):
            for level, found in coverage_table(post, test, use_time=use).iterrows():
                row |= {
                    f'{name}_{100 * level:.0f}{ending}': found[name]
                    for name in ('nominal', 'covered', 'width')
                }
        if seed == 0:
            reliability(post, test).assign(model=model, fold=fold).to_csv(
                kept(model, fold, seed, 'reliability').with_suffix('.csv'), index=False
            )
    return row


def reliability(post, test, use_time=True):
    "Counts by event and tenth of the predicted probability."
    P = post.probabilities(
        test.user_ix,
        test.item_ix,
        test.timestamp if use_time and post.time else None,
    ).to_numpy()
    events = {
        f'{s:g}': (P[:, j], test.rating == s) for j, s in enumerate(post.rating_values)
    } | {'4 or more': (P[:, post.rating_values >= 4].sum(1), test.rating >= 4)}
    tables = [
        pd.DataFrame(
            {
                'event': event,
                'tenth': np.minimum(p * 10, 9).astype(int),
                'n': 1,
                'predicted': p,
                'observed': hit.astype(float),
            }
        )
        .groupby(['event', 'tenth'])
        .sum()
        .reset_index()
        for event, (p, hit) in events.items()
    ]
    return pd.concat(tables)


def many(jobs):
    "Do jobs two at a time; rows in the order in which they end."
    MADE.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(2, get_context('spawn')) as pool:
        for done in as_completed([pool.submit(*job) for job in jobs]):
            row = done.result() | about_here()
            print(
                *(
                    f'{k}={v:.4f}' if isinstance(v, float) else f'{k}={v}'
                    for k, v in row.items()
                    if k
                    in ('model', 'part', 'fold', 'seed', 'rmse', 'rmse_still', 'fit_s')
                ),
                flush=True,
            )
            yield row


def folds():
    "Each model on each fold, the main ones with each seed -> bayes_folds.csv, bayes_reliability.csv."
    rows = []
    for row in many(
        [
            (one, model, fold, seed, 'test', settings)
            for seed in SEEDS
            for model, settings in MODELS.items()
            for fold in FOLDS
            if seed == 0 or model in HEADS
        ]
    ):
        rows.append(row)
        if len(rows) % 10 == 0:
            merged(
                RESULTS / 'bayes_folds.csv',
                pd.DataFrame(rows),
                ['model', 'part', 'fold', 'seed'],
            )
    merged(
        RESULTS / 'bayes_folds.csv',
        pd.DataFrame(rows),
        ['model', 'part', 'fold', 'seed'],
    )
    counted = (
        pd.concat(
            [pd.read_csv(path) for path in sorted(MADE.glob('reliability-*.csv'))]
        )
        .groupby(['model', 'event', 'tenth'])[['n', 'predicted', 'observed']]
        .sum()
        .reset_index()
    )
    save(
        RESULTS / 'bayes_reliability.csv',
        counted.assign(
            predicted=counted.predicted / counted.n,
            observed=counted.observed / counted.n,
        ),
    )


BLEND = {
    'all': ALL,
    'all, normal': NORMAL,
    'all, 8 factors': dict(n_factors=8),
    'all, 24 factors': dict(n_factors=24),
}


def blend():
    "Weights for several models by least squares on the validation parts of each fold; with them the test parts -> bayes_blend.csv."
    for part in ('valid', 'test'):
        for _ in many(
            [
                (one, model, fold, 0, part, settings)
                for model, settings in BLEND.items()
                for fold in FOLDS
                if not kept(model, fold, 0, part).exists()
            ]
        ):
            pass
    rows = []
    for fold in FOLDS:
        (_, valid, _), (train, test, _) = parts(fold, 'valid'), parts(fold)
        for when in ('known', 'still'):
            V, T = (
                np.column_stack(
                    [np.load(kept(model, fold, 0, part))[when] for model in BLEND]
                )
                for part in ('valid', 'test')
            )
            weights, _ = nnls(V, valid.rating.astype('float64'))
            row = dict(
                fold=fold,
                moment='known' if when == 'known' else 'unknown',
                rmse=rmse(test.rating, np.clip(T @ weights, *test.scale)),
            )
            chains = [
                np.load(kept('all', fold, seed, 'test'))[when]
                for seed in SEEDS
                if kept('all', fold, seed, 'test').exists()
            ]
            if len(chains) == len(SEEDS):
                row |= dict(
                    rmse_three_chains=rmse(test.rating, np.mean(chains, axis=0))
                )
            rows.append(row | dict(zip(BLEND, weights)) | about_here())
    save(RESULTS / 'bayes_blend.csv', pd.DataFrame(rows))
    print(
        pd.DataFrame(rows).groupby('moment').mean(numeric_only=True).round(4).T,
        flush=True,
    )


def trace(seed, n_sweeps=600):
    "Records of one chain on u1, and what each sweep says of some test pairs."
    train, test, side = parts('u1')
    some, records, said = (
        np.random.default_rng(0).choice(len(test), 200, replace=False),
        [],
        [],
    )
    chain = _Chain(
        train, side, DEFAULT, 'probit', True, True, True, np.random.default_rng(seed)
    )
    with _quiet_blas():
        for _ in range(n_sweeps):
            chain.sweep(map)
            post = _together(chain, [_draw_of(chain)])
            records.append(
                _record(chain)
                | dict(
                    chain=seed,
                    rmse=rmse(
                        test.rating,
                        post.predict(test.user_ix, test.item_ix, test.timestamp),
                    ),
                )
            )
            said.append(
                post.credible_intervals(
                    test.user_ix[some], test.item_ix[some], test.timestamp[some]
                )['mean'].to_numpy()
            )
    return pd.DataFrame(records), np.array(said)


def chains():
    "Four long chains on u1 -> bayes_trace.csv, and R-hat and effective sample sizes by ArviZ -> bayes_chains.csv."
    from arviz_stats.base import array_stats

    with ProcessPoolExecutor(2, get_context('spawn')) as pool:
        found = list(pool.map(trace, range(4)))
    table = pd.concat([records for records, _ in found])
    save(RESULTS / 'bayes_trace.csv', table[table.sweep % 3 == 0])
    rows = []
    for sweeps, burn in ((300, 30), (600, 300)):
        pick = lambda x: np.asarray(x)[burn:sweeps]
        quantities = {
            c: np.array([pick(records[c]) for records, _ in found])
            for c in table.columns
            if c not in ('sweep', 'chain', 'sd')
        }
        quantities |= {
            f'pair {j}': np.array([pick(said[:, j]) for _, said in found])
            for j in range(found[0][1].shape[1])
        }
        for name, draws in quantities.items():
            rows.append(
                dict(
                    sweeps=sweeps,
                    burn=burn,
                    quantity=name,
                    mean=draws.mean(),
                    sd=draws.std(),
                    r_hat=float(array_stats.rhat(draws)),
                    ess=float(array_stats.ess(draws)),
                )
            )
    save(RESULTS / 'bayes_chains.csv', pd.DataFrame(rows).assign(**about_here()))
    print(
        pd.DataFrame(rows)
        .groupby(['sweeps', ~pd.DataFrame(rows).quantity.str.startswith('pair')])[
            ['r_hat', 'ess']
        ]
        .describe()
        .T.round(2)
        .to_string(),
        flush=True,
    )


def newcomers(seed):
    "Two hundred users are hidden, and come back with a few of their ratings; rows by how many."
    ml, ratings, side = loaded()
    rng, enough = (
        np.random.default_rng(seed),
        np.flatnonzero(np.bincount(ratings.user_ix) >= 60),
    )
    gone = rng.choice(enough, 200, replace=False)
    hidden = np.isin(ratings.user_ix, gone)
    train = ratings.take(~hidden)
    post, als, rows = fitted(train, side, seed, {}), fit_als(train), []
    seen_all = np.bincount(train.item_ix, minlength=len(ratings.items))
    for n in (1, 2, 5, 10, 20, 50):
        found = []
        for user in gone:
            own = rng.permutation(np.flatnonzero(ratings.user_ix == user))
            some, rest = own[:n], own[n:]
            i, r = ratings.item_ix[rest], ratings.rating[rest]
            history = build_csr(
                np.zeros(n, int),
                ratings.item_ix[some],
                ratings.rating[some],
                (1, len(ratings.items)),
            )
            new = post.fold_in(history, seed=seed)
            said, ends = new.prediction_intervals(0, i), new.credible_intervals(0, i)
            b, p = fit_users(
                als,
                np.zeros(n, int),
                ratings.item_ix[some],
                ratings.rating[some],
                1,
                0.08,
                0.02,
                4,
            )
            plain = np.clip(
                als.mu + b[0] + als.item_bias[i] + als.item_factors[i] @ p[0],
                *als.scale,
            )
            row = dict(
                n=n,
                bayes=np.mean((said['mean'] - r) ** 2),
                als=np.mean((plain - r) ** 2),
                inside=((r >= said.low) & (r <= said.high)).mean(),
                mass=said.mass.mean(),
                doubt=(ends.high - ends.low).mean(),
            )
            lists = {by: new.scores(0, by) for by in ('mean', 'low', 'high')} | {
                'als': als.mu + b[0] + als.item_bias + als.item_factors @ p[0]
            }
            for by, x in lists.items():
                x = np.array(x, float)
                x[ratings.item_ix[some]] = -np.inf
                best = np.argsort(-x, kind='stable')[:10]
                stars = dict(zip(i.tolist(), r.tolist()))
                gains = np.array(
                    [stars.get(int(item), 0) >= 4 for item in best]
                ) / np.log2(np.arange(2, 12))
                most = (1 / np.log2(np.arange(2, 12)))[
                    : min(10, int((r >= 4).sum()))
                ].sum()
                row |= {
                    f'ndcg_{by}': gains.sum() / most if most else np.nan,
                    f'rare_{by}': (seen_all[best] < 20).mean(),
                }
                own_best = np.argsort(-x[i], kind='stable')[:10]
                row |= {f'stars_{by}': r[own_best].mean()}
            found.append(row)
        table = pd.DataFrame(found).mean()
        rows.append(
            table.to_dict()
            | dict(seed=seed, bayes=table.bayes**0.5, als=table.als**0.5)
        )
    return pd.DataFrame(rows)


def few():
    "Users with few ratings, with and without what is known of the uncertainty -> bayes_few.csv."
    with ProcessPoolExecutor(2, get_context('spawn')) as pool:
        table = pd.concat(pool.map(newcomers, SEEDS))
    save(RESULTS / 'bayes_few.csv', table.assign(**about_here()))
    print(table.groupby('n').mean(numeric_only=True).round(3).T.to_string(), flush=True)


def made_up(n, n_users, n_items, k, sweeps, implicit):
    "Seconds of a sweep, and megabytes, on made-up ratings; in a fresh process."
    u, i, r = drawn(n, n_users, n_items)
    ratings = Ratings(
        u.astype('int32'),
        i.astype('int32'),
        r.astype('float32'),
        Vocabulary(np.arange(n_users), 'user'),
        Vocabulary(np.arange(n_items)),
        (0.5, 5.0),
    )
    before = memory('VmRSS')
    moments, started = [], time.perf_counter()
    fit_bayes(
        ratings,
        n_factors=k,
        n_sweeps=sweeps,
        n_draws=1,
        implicit=implicit,
        n_threads=2,
        on_sweep=lambda _: moments.append(time.perf_counter()),
        progress=False,
    )
    return dict(
        n=n,
        n_users=n_users,
        n_items=n_items,
        factors=k,
        implicit=implicit,
        sweeps=sweeps,
        first_s=moments[0] - started,
        sweep_s=float(np.median(np.diff(moments))),
        sweep_s_min=float(np.diff(moments).min()),
        peak_mb=memory('VmHWM'),
        before_mb=before,
    )


def scale():
    "Time of a sweep on 100K, 1M and 10M ratings with 16 factors and both cores -> bayes_scale.csv."
    rows = []
    for n, n_users, n_items, sweeps in (
        (100_000, 943, 1_682, 20),
        (1_000_000, 6_040, 3_706, 8),
        (10_000_000, 69_878, 10_677, 4),
    ):
        for implicit in (False, True):
            with ProcessPoolExecutor(1, get_context('spawn')) as pool:
                rows.append(
                    pool.submit(
                        made_up, n, n_users, n_items, 16, sweeps, implicit
                    ).result()
                    | about_here()
                )
            print(rows[-1], flush=True)
    save(RESULTS / 'bayes_scale.csv', pd.DataFrame(rows))


TRIED = {
    '7 factors': dict(n_factors=7),
    '10 factors': dict(n_factors=10),
    '14 factors': {},
    '20 factors': dict(n_factors=20),
    '14 factors, noise alike': dict(steadiness=False),
}


def tried():
    "What the defaults were chosen by: settings on validation folds -> bayes_tried.csv."
    rows = pd.DataFrame(
        list(
            many(
                [
                    (one, name, fold, 0, 'valid', settings)
                    for name, settings in TRIED.items()
                    for fold in FOLDS
                ]
            )
        )
    )
    save(
        RESULTS / 'bayes_tried.csv',
        rows.groupby('model', sort=False)
        .agg(
            folds=('rmse', 'size'),
            rmse=('rmse', 'mean'),
            rmse_still=('rmse_still', 'mean'),
            log_score=('log_score', 'mean'),
            date=('date', 'first'),
            machine=('machine', 'first'),
        )
        .loc[list(TRIED)]
        .reset_index(),
    )


SAME = NORMAL | dict(
    n_factors=10, steadiness=False
)  # what myFM fits, so that a sweep is the same work


def speed(times=3, rounds=(10, 20, 30, 40, 60, 100, 200)):
    "Milliseconds of a sweep beside myFM, and the time until its final error -> bayes_speed.csv."
    peers, rows = run.peers(), []

    def job(system, model, settings, fold):
        return run.work(
            system,
            peers[system],
            [
                dict(
                    model=model,
                    settings=settings,
                    data=str(run.data(f'{fold}-test')),
                    out=str(KEPT / 'speed.npz'),
                )
            ],
        )[0]

    def error(fold):
        return run.figures('rating', run.data(f'{fold}-test'), KEPT / 'speed.npz')[
            'rmse'
        ]

    pairs = {
        'ratings only': (
            ('myfm', 'ratings only', 'sweeps', dict(rank=10)),
            (
                'mf_movielens',
                'Bayes',
                'n_sweeps',
                SAME | dict(time=False, implicit=False),
            ),
        ),
        'all features': (
            ('myfm', 'all that is known', 'sweeps', dict(rank=10)),
            (
                'mf_movielens',
                'Bayes, all that is known',
                'n_sweeps',
                SAME | dict(time='days'),
            ),
            ('mf_movielens', 'Bayes, all that is known', 'n_sweeps', {}),
        ),
    }
    for what, sides in pairs.items():
        for time_ in range(times):
            for system, model, word, settings in sides:
                short, long = (
                    job(system, model, settings | {word: sweeps}, 'u1')['fit_s']
                    for sweeps in (20, 80)
                )
                rows.append(
                    dict(
                        part='sweep',
                        what=what + ('' if settings else ', default'),
                        system=system,
                        run=time_,
                        sweep_ms=1000 * (long - short) / 60,
                    )
                )
                print(rows[-1], flush=True)
    for fold in FOLDS:
        report = job('myfm', 'ratings only', dict(rank=10, sweeps=200), fold)
        rows.append(
            dict(
                part='target',
                what='ratings only',
                system='myfm',
                fold=fold,
                sweeps=200,
                fit_s=report['fit_s'],
                rmse=error(fold),
            )
        )
        for sweeps in rounds:
            report = job(
                'mf_movielens', 'Bayes', dict(time=False, n_sweeps=sweeps), fold
            )
            rows.append(
                dict(
                    part='target',
                    what='ratings only',
                    system='mf_movielens',
                    fold=fold,
                    sweeps=sweeps,
                    fit_s=report['fit_s'],
                    rmse=error(fold),
                )
            )
        print(fold, flush=True)
    table = pd.DataFrame(rows).assign(**about_here())
    save(RESULTS / 'bayes_speed.csv', table)
    print(
        table[table.part == 'sweep']
        .groupby(['what', 'system'])
        .sweep_ms.describe()
        .round(1)
        .to_string()
    )
    print(
        table[table.part == 'target']
        .groupby(['system', 'sweeps'])[['fit_s', 'rmse']]
        .agg({'fit_s': 'median', 'rmse': 'mean'})
        .round(4)
        .to_string(),
        flush=True,
    )


ALL_PARTS = {
    'tried': tried,
    'folds': folds,
    'blend': blend,
    'chains': chains,
    'few': few,
    'scale': scale,
    'speed': speed,
}


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        'parts', nargs='*', default=list(ALL_PARTS), help=', '.join(ALL_PARTS)
    )
    for part in p.parse_args().parts:
        ALL_PARTS[part]()


if __name__ == '__main__':
    main()
