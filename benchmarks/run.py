"Measure every peer, each in its own environment, all on the same folds; `python benchmarks/run.py` does everything."

import argparse, datetime, itertools, json, os, platform, subprocess, sys, tempfile, venv
from pathlib import Path

import numpy as np
import pandas as pd

from mf_movielens.encoding import Ratings, Vocabulary
from mf_movielens.metrics import compare_errors, compare_means, mae, rmse
from mf_movielens.ranking import ranking_metrics
from worker import load_peer

HERE = Path(__file__).parent
RESULTS, KEPT = HERE.parent / 'mf_movielens/results', HERE / '.data'
MADE = KEPT / 'made'  # what the models said of the test ratings, for comparisons
FOLDS, BUDGET = ('u1', 'u2', 'u3', 'u4', 'u5'), 12
OURS = {
    'rating': ('mf_movielens', 'ALS', 'default'),
    'ranking': ('mf_movielens', 'iALS', 'default'),
}
METRICS = {
    'rating': ['rmse', 'mae'],
    'ranking': ['ndcg', 'recall', 'precision', 'map', 'mrr', 'hit'],
}
TARGET = {'1M': 0.76, '10M': 0.76}  # held-out RMSE that every system reaches
LIMIT = 3600  # seconds for one process
KEYS = ['task', 'system', 'model', 'variant', 'fold']


def peers():
    "The peer files, ours first."
    paths = sorted(
        (HERE / 'peers').glob('*.py'),
        key=lambda path: (path.stem != 'mf_movielens', path.stem),
    )
    return {path.stem: load_peer(path) for path in paths}


def python(system, packages):
    "The interpreter of a peer's environment, which is made, or brought up to date, if need be."
    if system == 'mf_movielens':
        return sys.executable
    home = (HERE / '.envs' / system).absolute()
    done = home / 'packages.txt'
    if not home.exists():
        print(f'making the environment of {system}: {" ".join(packages)}', flush=True)
        venv.create(home, with_pip=True)
    if not done.exists() or done.read_text().split() != packages:
        subprocess.run([home / 'bin/pip', 'install', '-q', *packages], check=True)
        done.write_text('\n'.join(packages))
    return home / 'bin/python'


def drawn(n, n_users, n_items, seed=0, k=8):
    "Made-up ratings: a few people and films have most of them; half stars of a planted model with noise."
    rng = np.random.default_rng(seed)
    share = [rng.lognormal(0, s, m) for s, m in ((1.1, n_users), (1.5, n_items))]
    u, i = (rng.choice(len(p), 2 * n, p=p / p.sum()) for p in share)
    pairs = rng.permutation(np.unique(u * n_items + i))[:n]
    u, i = pairs // n_items, pairs % n_items
    P, Q = (
        rng.normal(0, 0.45, (n_users, k)).astype('float32'),
        rng.normal(0, 0.45, (n_items, k)).astype('float32'),
    )
    x = (
        3.5
        + rng.normal(0, 0.3, n_users)[u]
        + rng.normal(0, 0.4, n_items)[i]
        + np.einsum('nk,nk->n', P[u], Q[i])
        + rng.normal(0, 0.7, len(u))
    )
    return u, i, np.clip(np.round(2 * x) / 2, 0.5, 5)


def movielens():
    from mf_movielens.data import load

    ml = load('ml-100k')
    if not ml.is_real:
        sys.exit(
            'The benchmark needs the real ML-100K: say where it lies with MF_MOVIELENS_HOME.'
        )
    return ml, Ratings.from_frame(ml.ratings)


def split(name):
    "Training and test part of 'ml-100k', or of 'u1-test' and 'u1-valid' for each fold."
    from mf_movielens.splits import official_fold, random_split

    ml, ratings = movielens()
    if name == 'ml-100k':
        return random_split(ratings)
    fold, part = name.split('-')
    official = official_fold(ml, ratings, fold)
    return official if part == 'test' else random_split(official.train, seed=0)


def data(name):
    "Training and then test ratings, as a file."
    path = KEPT / f'{name}.npz'
    if path.exists():
        return path
    path.parent.mkdir(exist_ok=True)
    more = {}
    if name in ('1M', '10M'):
        n, n_users, n_items = {
            '1M': (1_000_000, 6_040, 3_706),
            '10M': (10_000_000, 69_878, 10_677),
        }[name]
        u, i, r = drawn(n + n // 50, n_users, n_items)
        n_test, n_users, n_items = len(u) - n, u.max() + 1, i.max() + 1
    else:
        from mf_movielens.bayes import side_features

        both, side = split(name), side_features(*movielens())
        u, i, r = (
            np.concatenate([getattr(part, a) for part in both])
            for a in ('user_ix', 'item_ix', 'rating')
        )
        n_test, n_users, n_items = (
            len(both.test),
            len(both.test.users),
            len(both.test.items),
        )
        more = dict(
            t=np.concatenate([part.timestamp for part in both]),
            side_users=side['users'],
            side_items=side['items'],
        )
    np.savez(
        path,
        **more,
        u=u.astype('int32'),
        i=i.astype('int32'),
        r=r.astype('float32'),
        n_test=n_test,
        n_users=n_users,
        n_items=n_items,
    )
    return path


def test_part(path):
    "The test ratings of such a file."
    with np.load(path) as z:
        d = {a: z[a] for a in z.files}
    u, i, r = (d[a][-int(d['n_test']) :] for a in 'uir')
    return Ratings(
        u,
        i,
        r,
        Vocabulary(np.arange(d['n_users']), 'user'),
        Vocabulary(np.arange(d['n_items'])),
        (float(d['r'].min()), float(d['r'].max())),
    )


def work(system, peer, jobs):
    "Have a fresh process do the jobs; a report for each, with `error` where there is no result."
    try:
        program = python(system, peer.PACKAGES)
    except subprocess.CalledProcessError as e:
        return [dict(error=f'no environment: {e}')] * len(jobs)
    for job in jobs:
        Path(job['out']).unlink(missing_ok=True)
    with tempfile.TemporaryFile('w+') as noise:
        try:
            done = subprocess.run(
                [program, HERE / 'worker.py', HERE / 'peers' / f'{system}.py'],
                input=json.dumps(jobs),
                stdout=subprocess.PIPE,
                stderr=noise,
                text=True,
                timeout=LIMIT,
                env=os.environ
                | {'TF_CPP_MIN_LOG_LEVEL': '3', 'CUDA_VISIBLE_DEVICES': ''},
            )
            reports, why = (
                [json.loads(line) for line in done.stdout.splitlines()],
                f'ended with {done.returncode}',
            )
        except subprocess.TimeoutExpired as e:
            reports, why = (
                [
                    json.loads(line)
                    for line in (e.stdout or b'').decode().splitlines(True)
                    if line.endswith('\n')
                ],
                f'more than {LIMIT} seconds',
            )
        noise.seek(0)
        said = noise.read().strip().splitlines()
    if len(reports) < len(jobs) or any('error' in r for r in reports):
        print(*said[-20:], sep='\n', file=sys.stderr)
    said = said[-1:]
    return reports + [dict(error=f'{why}: {"".join(said)}'[:300])] * (
        len(jobs) - len(reports)
    )


def result(task, path, out):
    "What a job is judged by: predictions, or a frame of metrics with a row for each user."
    with np.load(out) as z:
        found = {a: z[a] for a in z.files}
    test = test_part(path)
    if task != 'ranking':
        return test, np.clip(found['p'], *test.scale)
    return test, ranking_metrics(found['lists'], found['users'], test, k=10).rename(
        columns={'ap': 'map', 'rr': 'mrr'}
    )


def figures(task, path, out):
    test, found = result(task, path, out)
    if task == 'rating':
        return dict(rmse=rmse(test.rating, found), mae=mae(test.rating, found))
    return found[METRICS['ranking']].mean().to_dict()


def judged(task, path, job, report):
    "The report with its figures, or with the reason why there are none."
    try:
        return report if 'error' in report else report | figures(task, path, job['out'])
    except Exception as e:
        return report | dict(error=f'{type(e).__name__}: {e}')


def draws(about, budget):
    "The settings to try: the default, and others drawn without repetition."
    names = list(about['search'])
    every = [
        about['default'] | dict(zip(names, values))
        for values in itertools.product(*about['search'].values())
    ]
    others = [s for s in every if s != about['default']]
    order = np.random.default_rng(0).permutation(len(others))[: budget - 1]
    return [about['default'], *(others[j] for j in order)]


def search(system, peer, model, fold, budget):
    "Try settings on the validation part of a fold's training ratings; the best, and a frame of all."
    about, path = peer.MODELS[model], data(f'{fold}-valid')
    task = about['task']
    criterion, best = ('rmse', 'idxmin') if task == 'rating' else ('ndcg', 'idxmax')
    jobs = [
        dict(model=model, settings=s, data=str(path), out=str(KEPT / f'trial-{j}.npz'))
        for j, s in enumerate(draws(about, budget))
    ]
    reports = [
        judged(task, path, job, report)
        for job, report in zip(jobs, work(system, peer, jobs))
    ]
    for job in jobs:
        Path(job['out']).unlink(missing_ok=True)
    tried = pd.DataFrame(
        [
            dict(
                task=task,
                system=system,
                model=model,
                fold=fold,
                settings=json.dumps(job['settings']),
                criterion=criterion,
                figure=report.get(criterion, np.nan),
                fit_s=report.get('fit_s', np.nan),
                missing=report.get('error'),
            )
            for job, report in zip(jobs, reports)
        ]
    )
    if tried.figure.isna().all():
        return None, tried.assign(chosen=False)
    chosen = int(getattr(tried.figure, best)())
    return jobs[chosen]['settings'], tried.assign(chosen=tried.index == chosen)


def kept(task, system, model, variant, fold):
    return MADE / f'{task}-{system}-{model}-{variant}-{fold}.npz'.replace(' ', '_')


def final(system, peer, model, variant, fold, settings, n_settings):
    "Fit to a whole training fold in a fresh process; one row."
    task, path = peer.MODELS[model]['task'], data(f'{fold}-test')
    out = kept(task, system, model, variant, fold)
    out.parent.mkdir(parents=True, exist_ok=True)
    row = dict(
        task=task,
        system=system,
        model=model,
        variant=variant,
        fold=fold,
        settings=json.dumps(settings),
        n_settings=n_settings,
        **about_here(),
    )
    if settings is None:
        return row | dict(missing='no setting could be tried')
    job = dict(
        model=model,
        settings=settings,
        data=str(path),
        out=str(out),
        latency=fold == FOLDS[0],
    )
    report = judged(task, path, job, work(system, peer, [job])[0])
    report['missing'] = report.pop('error', None)
    return row | {
        k: v for k, v in report.items() if k not in ('extra_mb', 'ratings_mb')
    }


def about_here():
    return dict(
        date=str(datetime.date.today()),
        machine=f'{platform.machine()}, {os.cpu_count()} cores',
    )


def benchmark(system, peer, model, folds, budget):
    "All variants of a model on all folds; the rows, and the settings that were tried."
    about, rows, tried = peer.MODELS[model], [], []
    for fold in folds:
        variants = {'default': (about['default'], 1)} | {
            name: (settings, 1) for name, settings in about.get('variants', {}).items()
        }
        if about['search']:
            settings, trials = search(system, peer, model, fold, budget)
            tried.append(trials)
            variants['tuned'] = settings, len(trials)
        rows += [
            final(system, peer, model, variant, fold, *chosen)
            for variant, chosen in variants.items()
        ]
        for row in rows[-len(variants) :]:
            say(row)
    return pd.DataFrame(rows), pd.concat(tried) if tried else pd.DataFrame()


def say(row):
    shown = (
        'rmse',
        'ndcg',
        'fit_s',
        'latency_one_ms',
        'latency_all_s',
        'extra_mb',
        'to_rmse_s',
    )
    words = ' '.join(
        f'{name} {row[name]:.4g}'
        for name in shown
        if not pd.isna(row.get(name, np.nan))
    )
    print(
        *(row[k] for k in (*KEYS, 'data', 'factors') if k in row),
        '|',
        row.get('missing') or words,
        flush=True,
    )


def difference(task, system, model, variant, folds):
    "How our main model differs from this one, on all folds together: ours less theirs, with intervals."
    ours, theirs = (
        [result(task, data(f'{fold}-test'), kept(task, *who, fold)) for fold in folds]
        for who in (OURS[task], (system, model, variant))
    )
    if task == 'rating':
        actual, groups = (
            np.concatenate([getattr(test, a) for test, _ in ours])
            for a in ('rating', 'user_ix')
        )
        p, q = (np.concatenate([found for _, found in side]) for side in (ours, theirs))
        found = {
            metric.__name__: compare_errors(actual, p, q, metric, groups)
            for metric in (rmse, mae)
        }
    else:
        p, q = (pd.concat([rows for _, rows in side]) for side in (ours, theirs))
        if not p.index.equals(q.index):
            raise ValueError('the two models were judged on different users')
        found = {
            metric: compare_means(
                p[metric].to_numpy(), q[metric].to_numpy(), p.index.to_numpy()
            )
            for metric in ('ndcg', 'recall')
        }
    main, other = found.values()
    second = list(found)[1]
    return dict(zip(('difference', 'low', 'high'), main)) | dict(
        zip((f'{second}_difference', f'{second}_low', f'{second}_high'), other)
    )


def summary(folds, before):
    "One row for each variant, of the rows of the folds; `before` has the comparisons of what was measured elsewhere."
    rows = []
    for (task, system, model, variant), part in folds.groupby(KEYS[:4], sort=False):
        whole = part.missing.isna()
        good = part[whole]
        row = dict(zip(KEYS, (task, system, model, variant))) | dict(
            folds=len(good),
            missing=part.missing.dropna().iloc[0] if len(good) < len(part) else None,
        )
        if len(good):
            main, first = METRICS[task][0], good[good.fold == FOLDS[0]]
            row |= good[METRICS[task]].mean().to_dict() | dict(
                u1=first[main].iloc[0] if len(first) else np.nan
            )
            row |= dict(
                fit_s=good.fit_s.median(),
                fit_s_min=good.fit_s.min(),
                fit_s_max=good.fit_s.max(),
            )
            row |= {
                c: good[c].median()
                for c in (
                    'import_s',
                    'prepare_s',
                    'peak_mb',
                    'latency_one_ms',
                    'latency_all_s',
                )
                if c in good
            }
            row |= versus_ours(before, task, system, model, variant, list(good.fold))
        rows.append(
            row
            | part.reindex(
                columns=['n_settings', 'version', 'date', 'machine', 'python']
            )
            .dropna(axis=1, how='all')
            .iloc[-1]
            .to_dict()
        )
    order = ['rmse', 'mae', *METRICS['ranking'], 'u1']
    table = pd.DataFrame(rows)
    return table[
        [
            *KEYS[:4],
            *(c for c in order if c in table),
            *(c for c in table if c not in order + KEYS),
        ]
    ]


COMPARED = [
    f'{second}{end}'
    for second in ('', 'mae_', 'recall_')
    for end in ('difference', 'low', 'high')
]


def versus_ours(before, task, system, model, variant, folds):
    "The comparison of what both said of the test ratings; where theirs is not kept here, as it was."
    if all(kept(task, system, model, variant, fold).exists() for fold in folds):
        return difference(task, system, model, variant, folds)
    same = (
        before[(before[KEYS[:4]] == [task, system, model, variant]).all(axis=1)]
        if len(before)
        else before
    )
    return same.iloc[0].reindex(COMPARED).dropna().to_dict() if len(same) else {}


def ours_at_hand(task, folds):
    "Fit our main model where what it says of the test ratings is not kept: the others are compared with it."
    system, model, variant = OURS[task]
    peer = peers()[system]
    for fold in folds:
        if not kept(task, *OURS[task], fold).exists():
            final(system, peer, model, variant, fold, peer.MODELS[model]['default'], 1)


def timing(system, peer, name, factors, rounds):
    "One fit of the scale model in a fresh process: its report, with the held-out error where it predicts ratings."
    path, out = data(name), KEPT / 'trial.npz'
    job = dict(
        model='scale',
        settings=dict(factors=factors, rounds=rounds),
        data=str(path),
        out=str(out),
    )
    report = work(system, peer, [job])[0]
    if 'error' in report:
        raise RuntimeError(report['error'])
    if not out.exists():
        return report | dict(rmse=np.nan)
    test, p = result('scale', path, out)
    return report | dict(rmse=rmse(test.rating, p))


def to_target(system, peer, name, factors):
    "Seconds of the shortest fit whose held-out error is at or below the target."
    for rounds in peer.MODELS['scale'].get('until', ()) if name in TARGET else ():
        report = timing(system, peer, name, factors, rounds)
        if report['rmse'] <= TARGET[name]:
            return dict(to_rmse_s=round(report['fit_s'], 3), to_rmse_rounds=rounds)
    return dict(to_rmse_s=np.nan, to_rmse_rounds=np.nan)


def scale_row(system, peer, name, factors, rounds, times):
    row = dict(
        system=system,
        version=None,
        data=name,
        factors=factors,
        rounds=rounds,
        runs=times,
    )
    try:
        runs = [
            (
                timing(system, peer, name, factors, 1),
                timing(system, peer, name, factors, rounds),
            )
            for _ in range(times)
        ]
        fits = pd.DataFrame([long for _, long in runs])
        per_pass = [
            (long['fit_s'] - short['fit_s']) / (rounds - 1) for short, long in runs
        ]
        middle = fits.median(numeric_only=True)
        row |= dict(
            version=fits.version[0],
            fit_s=round(middle.fit_s, 3),
            fit_s_min=round(fits.fit_s.min(), 3),
            fit_s_max=round(fits.fit_s.max(), 3),
            pass_s=round(float(np.median(per_pass)), 4),
            import_s=round(middle.import_s, 2),
            prepare_s=round(middle.prepare_s, 2),
            rmse=round(middle.rmse, 4),
            extra_mb=round(middle.extra_mb),
            ratings_mb=round(middle.ratings_mb),
        )
        row |= to_target(system, peer, name, factors)
    except Exception as e:
        row |= dict(missing=f'{type(e).__name__}: {e}')
    row |= dict(target_rmse=TARGET.get(name, np.nan), **about_here())
    say(row)
    return row


def scale_rows(chosen, quick):
    "The rows of `als.csv`, systems side by side on each data set."
    runs = [
        (system, *run)
        for name in ('ml-100k', '1M', '10M')
        for system, peer in chosen.items()
        if 'scale' in peer.MODELS
        for run in peer.MODELS['scale']['runs']
        if run[0] == name
    ]
    if quick:
        runs = [(*run[:-1], 1) for run in runs if run[1] != '10M']
    return pd.DataFrame(
        [scale_row(system, chosen[system], *run) for system, *run in runs]
    )


def merged(path, new, keys):
    "Put rows into the table at `path`, in the place of their like, and sort it."
    if new.empty:
        return
    old = pd.read_csv(path) if path.exists() else pd.DataFrame()
    if set(keys) <= set(old):
        new = pd.concat(
            [old[~old.set_index(keys).index.isin(new.set_index(keys).index)], new]
        )
    save(path, new.sort_values(keys, key=placed, kind='stable'))


def placed(column):
    "Us before others, small data before large, and else the alphabet."
    return (
        column
        if column.name == 'factors'
        else column.replace({'mf_movielens': ' ', 'ml-100k': ' ', '1M': '0'})
    )


def save(path, table):
    table.to_csv(path, index=False, float_format='%.6g')


def arguments():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        '--only',
        nargs='+',
        choices=['rating', 'ranking', 'scale'],
        default=['rating', 'ranking', 'scale'],
        help='these parts',
    )
    p.add_argument(
        '--systems',
        nargs='+',
        choices=list(peers()),
        default=list(peers()),
        help='these peers; rows of the others stay as they are',
    )
    p.add_argument(
        '--quick',
        action='store_true',
        help='one fold and two settings, for trying; the tables go to benchmarks/.data/quick',
    )
    return p.parse_args()


def measure(chosen, tasks, out, folds, budget):
    "The tables of rating and ranking, written after each model; what is missing."
    bad = []
    for task in tasks:
        ours_at_hand(task, folds)
    for system, model in [
        (s, m)
        for task in tasks
        for s, peer in chosen.items()
        for m in peer.MODELS
        if peer.MODELS[m]['task'] == task
    ]:
        rows, tried = benchmark(system, chosen[system], model, folds, budget)
        merged(out / 'benchmark_folds.csv', rows, KEYS)
        merged(out / 'benchmark_search.csv', tried, ['task', 'system', 'model', 'fold'])
        bad += [
            row
            for part in (rows, tried)
            if len(part)
            for row in part[part.missing.notna()].to_dict('records')
        ]
    if not (out / 'benchmark_folds.csv').exists():
        return bad
    path = out / 'benchmark.csv'
    table = summary(
        pd.read_csv(out / 'benchmark_folds.csv'),
        pd.read_csv(path) if path.exists() else pd.DataFrame(),
    )
    save(path, table)
    for task in tasks:
        show(table[(table.task == task) & table.system.isin(chosen)], task)
    print(
        f'\nwritten: {out}/benchmark.csv, and its folds and searches beside it',
        *['(--quick tries two settings, so what it calls tuned is not)']
        * (budget < BUDGET),
    )
    return bad


def show(table, task):
    "Print what was measured, best first."
    main, *rest = METRICS[task][:2]
    if main not in table:
        return
    columns = [
        c
        for c in (
            'system',
            'model',
            'variant',
            main,
            *rest,
            'difference',
            'low',
            'high',
            'fit_s',
        )
        if c in table
    ]
    print(
        f'\n{task}; difference, low and high: ours less theirs',
        table.sort_values(main, ascending=task == 'rating')[columns]
        .round(4)
        .to_string(index=False),
        sep='\n',
    )


def main():
    global MADE
    options = arguments()
    chosen = {
        system: peer for system, peer in peers().items() if system in options.systems
    }
    out, folds, budget = RESULTS, FOLDS, BUDGET
    if options.quick:
        out, folds, budget, MADE = KEPT / 'quick', FOLDS[:1], 2, KEPT / 'quick/made'
    if not any(
        about['task'] in options.only
        for peer in chosen.values()
        for about in peer.MODELS.values()
    ):
        sys.exit(f'{", ".join(chosen)} has no model for {", ".join(options.only)}')
    out.mkdir(parents=True, exist_ok=True)
    bad = measure(
        chosen, [task for task in METRICS if task in options.only], out, folds, budget
    )
    if 'scale' in options.only:
        rows = scale_rows(chosen, options.quick)
        merged(out / 'als.csv', rows, ['data', 'system', 'factors'])
        bad += [
            row
            for row in rows.to_dict('records')
            if isinstance(row.get('missing'), str)
        ]
    for row in bad:
        print(
            'missing:',
            *(row[k] for k in (*KEYS, 'data', 'settings') if k in row),
            '|',
            row['missing'],
            file=sys.stderr,
        )
    sys.exit(bool(bad))


if __name__ == '__main__':
    main()
