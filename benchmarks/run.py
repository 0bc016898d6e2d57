"""Measure the models of all peers on the same folds, each in its own environment.

`python benchmarks/run.py` measures everything and writes the tables that the chapters
show.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import IO, Any, NamedTuple

import numpy as np
import pandas as pd
from benchmark_data import FOLDS, HERE, KEPT, load_test_ratings, ratings_file
from worker import load_peer

from mf_movielens.encoding import Ratings
from mf_movielens.metrics import Estimate, compare_errors, compare_means, mae, rmse
from mf_movielens.ranking import ranking_metrics

RESULTS = HERE.parent / 'mf_movielens/results'
# settings that are tried of each model, the default among them
BUDGET = 12
# the most seconds of one process
TIME_LIMIT = 3600
METRICS = {
    'rating': ['rmse', 'mae'],
    'ranking': ['ndcg', 'recall', 'precision', 'map', 'mrr', 'hit'],
}
# the two metrics of each task by which models are compared, the main one first
COMPARED_METRICS = {'rating': ('rmse', 'mae'), 'ranking': ('ndcg', 'recall')}
MODEL_KEYS = ['task', 'system', 'model', 'variant']
KEYS = [*MODEL_KEYS, 'fold']
# settings of libraries for threads, kernels and compilers, which would not be the same
# for all: no process that is measured gets them
REMOVED_VARIABLES = (
    'BLIS_',
    'GOMP_',
    'GOTO_',
    'IRSPACK_NUM_THREADS',
    'KMP_',
    'LK_',
    'MKL_',
    'NUMBA_CPU_',
    'NUMBA_DISABLE_JIT',
    'NUMBA_NUM_THREADS',
    'NUMBA_THREADING_LAYER',
    'NUMEXPR_',
    'OMP_',
    'OPENBLAS_',
    'PYTHONDONTWRITEBYTECODE',
    'RAYON_',
    'TF_NUM_',
    'TORCH_NUM_',
    'VECLIB_',
)
SEARCH_KEYS = ['task', 'system', 'model', 'fold']
# what a busy machine cannot measure
TIMES = ['import_s', 'prepare_s', 'fit_s', 'latency_one_ms', 'latency_all_s']
COMPARISON_COLUMNS = [
    f'{prefix}{column}'
    for prefix in ('', 'mae_', 'recall_')
    for column in ('difference', 'low', 'high')
]

Row = dict[str, Any]
Settings = dict[str, Any]
Job = dict[str, Any]


class Plan(NamedTuple):
    """What a run measures, and where its files go."""

    folds: tuple[str, ...] = FOLDS
    budget: int = BUDGET
    results: Path = RESULTS
    predictions: Path = KEPT / 'predictions'
    # None: all
    models: tuple[str, ...] | None = None
    keeps_times: bool = True

    def includes(self, task: str, about: Mapping[str, Any], model: str) -> bool:
        """Whether a model of a peer file is measured for a task."""
        return about['task'] == task and (self.models is None or model in self.models)


QUICK_PLAN = Plan(FOLDS[:1], 2, KEPT / 'quick', KEPT / 'quick/predictions')


class Variant(NamedTuple):
    """A model of a system, with its default settings or others."""

    task: str
    system: str
    model: str
    name: str

    def result_file(self, plan: Plan, fold: str) -> Path:
        """Where to keep the predictions or the lists of a fold."""
        name = f'{self.task}-{self.system}-{self.model}-{self.name}-{fold}.npz'
        return plan.predictions / name.replace(' ', '_')

    def columns(self) -> Row:
        """The columns of a table that name the variant."""
        return dict(zip(MODEL_KEYS, self))


MAIN_MODELS = {
    'rating': Variant('rating', 'mf_movielens', 'ALS', 'default'),
    'ranking': Variant('ranking', 'mf_movielens', 'iALS', 'default'),
}


def load_peers() -> dict[str, ModuleType]:
    """The peer files by the name of their system, that of this package first."""
    peers = {path.stem: load_peer(path) for path in (HERE / 'peers').glob('*.py')}
    names = sorted(peers, key=lambda name: (name != 'mf_movielens', name))
    return {name: peers[name] for name in names}


def peer_python(system: str, packages: Sequence[str]) -> str | Path:
    """The interpreter of a peer's environment, which is made or updated if need be."""
    if system == 'mf_movielens':
        return sys.executable
    folder = (HERE / '.envs' / system).absolute()
    installed = folder / 'packages.txt'
    if not folder.exists():
        print(f'making the environment of {system}: {" ".join(packages)}', flush=True)
        venv.create(folder, with_pip=True)
    if not installed.exists() or installed.read_text().split() != packages:
        pip_install = [folder / 'bin/pip', 'install', '-q']
        subprocess.run([*pip_install, *packages], check=True)
        installed.write_text('\n'.join(packages))
    return folder / 'bin/python'


def clean_environment() -> dict[str, str]:
    """The environment of each process that is measured, the same for all peers."""
    quiet = {'TF_CPP_MIN_LOG_LEVEL': '3', 'CUDA_VISIBLE_DEVICES': ''}
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(REMOVED_VARIABLES)
    }
    return kept | quiet


def read_reports(
    program: str | Path,
    system: str,
    jobs: Sequence[Job],
    log: IO[str],
    variables: Mapping[str, str],
) -> tuple[list[Row], str]:
    """Do jobs in a process: the reports of it, and how it ended."""
    try:
        process = subprocess.run(
            [program, HERE / 'worker.py', HERE / 'peers' / f'{system}.py'],
            input=json.dumps(jobs),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            timeout=TIME_LIMIT,
            env=clean_environment() | variables,
        )
    except subprocess.TimeoutExpired as error:
        lines = (error.stdout or b'').decode().splitlines(keepends=True)
        # the last line may have been cut off
        whole_lines = [line for line in lines if line.endswith('\n')]
        reason = f'more than {TIME_LIMIT} seconds'
    else:
        whole_lines = process.stdout.splitlines()
        reason = f'ended with {process.returncode}'
    return [json.loads(line) for line in whole_lines], reason


def run_worker(
    system: str,
    peer: ModuleType,
    jobs: Sequence[Job],
    variables: Mapping[str, str] = MappingProxyType({}),
) -> list[Row]:
    """Have a fresh process do the jobs.

    There is a report for each job, with `error` where there is no result. `variables`
    are added to its environment.
    """
    try:
        program = peer_python(system, peer.PACKAGES)
    except subprocess.CalledProcessError as error:
        return [dict(error=f'no environment: {error}')] * len(jobs)
    for job in jobs:
        if 'out' in job:
            Path(job['out']).unlink(missing_ok=True)
    with tempfile.TemporaryFile('w+') as log:
        reports, reason = read_reports(program, system, jobs, log, variables)
        log.seek(0)
        log_lines = log.read().strip().splitlines()
    n_missing = len(jobs) - len(reports)
    if n_missing or any('error' in report for report in reports):
        print(*log_lines[-20:], sep='\n', file=sys.stderr)
    last_line = ''.join(log_lines[-1:])
    return reports + [dict(error=f'{reason}: {last_line}'[:300])] * n_missing


def load_result(task: str, path: Path, out: Path) -> tuple[Ratings, Any]:
    """The test ratings, and by what a job is judged.

    These are predictions, clipped to the scale, or a frame of metrics with a row for
    each user.
    """
    with np.load(out) as file:
        arrays = dict(file)
    test = load_test_ratings(path)
    if task != 'ranking':
        return test, np.clip(arrays['predictions'], *test.scale)
    metrics = ranking_metrics(arrays['lists'], arrays['users'], test, k=10)
    return test, metrics.rename(columns={'ap': 'map', 'rr': 'mrr'})


def compute_metrics(task: str, path: Path, out: Path) -> dict[str, float]:
    """The metrics of what a job has saved."""
    test, result = load_result(task, path, out)
    if task == 'rating':
        return dict(rmse=rmse(test.rating, result), mae=mae(test.rating, result))
    return result[METRICS['ranking']].mean().to_dict()


def add_metrics(task: str, path: Path, job: Job, report: Row) -> Row:
    """The report with its metrics, or with the reason why there are none."""
    if 'error' in report:
        return report
    try:
        return report | compute_metrics(task, path, job['out'])
    except Exception as error:
        return report | dict(error=f'{type(error).__name__}: {error}')


def settings_to_try(about: dict[str, Any], budget: int) -> list[Settings]:
    """The default settings of a model, and others drawn without repetition."""
    default = about['default']
    names = list(about['search'])
    grid = [
        default | dict(zip(names, values))
        for values in itertools.product(*about['search'].values())
    ]
    others = [settings for settings in grid if settings != default]
    order = np.random.default_rng(0).permutation(len(others))[: budget - 1]
    return [default, *(others[j] for j in order)]


def search_settings(
    system: str, peer: ModuleType, model: str, fold: str, budget: int
) -> tuple[Settings | None, pd.DataFrame]:
    """Try settings on the validation part of a fold's training ratings.

    Gives the best settings, None if all fits failed, and a frame of all of them.
    """
    about = peer.MODELS[model]
    task = about['task']
    path = ratings_file(f'{fold}-valid')
    criterion = METRICS[task][0]
    jobs = [
        dict(model=model, settings=s, data=str(path), out=str(KEPT / f'trial-{j}.npz'))
        for j, s in enumerate(settings_to_try(about, budget))
    ]
    reports = run_worker(system, peer, jobs)
    rows = []
    for job, report in zip(jobs, reports):
        judged = add_metrics(task, path, job, report)
        if 'out' in job:
            Path(job['out']).unlink(missing_ok=True)
        rows.append(
            dict(
                task=task,
                system=system,
                model=model,
                fold=fold,
                settings=json.dumps(job['settings']),
                criterion=criterion,
                figure=judged.get(criterion, np.nan),
                fit_s=judged.get('fit_s', np.nan),
                missing=judged.get('error'),
            )
        )
    tried = pd.DataFrame(rows)
    if tried.figure.isna().all():
        return None, tried.assign(chosen=False)
    best = tried.figure.idxmin() if task == 'rating' else tried.figure.idxmax()
    return jobs[best]['settings'], tried.assign(chosen=tried.index == best)


def date_and_machine() -> dict[str, str]:
    """The columns of a table that say when and where it was measured."""
    return dict(
        date=str(datetime.date.today()),
        machine=f'{platform.machine()}, {os.cpu_count()} cores',
    )


def fit_fold(
    variant: Variant,
    peer: ModuleType,
    settings: Settings | None,
    n_settings: int,
    fold: str,
    plan: Plan,
) -> Row:
    """Fit to all training ratings of a fold in a fresh process; one row."""
    row = variant.columns() | dict(
        fold=fold,
        settings=json.dumps(settings),
        n_settings=n_settings,
        **date_and_machine(),
    )
    if settings is None:
        return row | dict(missing='no setting could be tried')
    path, out = ratings_file(f'{fold}-test'), variant.result_file(plan, fold)
    out.parent.mkdir(parents=True, exist_ok=True)
    job = dict(
        model=variant.model,
        settings=settings,
        data=str(path),
        out=str(out),
        latency=fold == FOLDS[0],
    )
    report = run_worker(variant.system, peer, [job])[0]
    report = add_metrics(variant.task, path, job, report)
    report['missing'] = report.pop('error', None)
    for column in ('extra_mb', 'ratings_mb', 'blas'):
        report.pop(column, None)
    return row | report


def benchmark_model(
    system: str, peer: ModuleType, model: str, plan: Plan
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fit all variants of a model to all folds: the rows, and the settings tried."""
    about = peer.MODELS[model]
    fixed_settings = {'default': about['default'], **about.get('variants', {})}
    rows, searches = [], []
    for fold in plan.folds:
        variants = {name: (settings, 1) for name, settings in fixed_settings.items()}
        if about['search']:
            settings, tried = search_settings(system, peer, model, fold, plan.budget)
            searches.append(tried)
            variants['tuned'] = settings, len(tried)
        for name, (settings, n_settings) in variants.items():
            variant = Variant(about['task'], system, model, name)
            rows.append(fit_fold(variant, peer, settings, n_settings, fold, plan))
            print_row(rows[-1])
    fits = pd.DataFrame(rows)
    tried = pd.concat(searches) if searches else pd.DataFrame()
    if plan.keeps_times:
        return fits, tried
    return without_times(fits), without_times(tried)


def without_times(table: pd.DataFrame) -> pd.DataFrame:
    """The table with empty times."""
    return table.assign(**{column: np.nan for column in TIMES if column in table})


PRINTED_COLUMNS = (
    'rmse',
    'ndcg',
    'fit_s',
    'latency_one_ms',
    'latency_all_s',
    'extra_mb',
)


def print_row(row: Row) -> None:
    """Print the main columns of a row."""
    values = {name: row.get(name, np.nan) for name in PRINTED_COLUMNS}
    texts = [f'{name} {x:.4g}' for name, x in values.items() if not pd.isna(x)]
    names = [row[key] for key in KEYS if key in row]
    print(*names, '|', row.get('missing') or ' '.join(texts), flush=True)


def compare_ratings(
    main_results: Sequence[tuple[Ratings, np.ndarray]],
    other_results: Sequence[tuple[Ratings, np.ndarray]],
) -> list[Estimate]:
    """Differences of RMSE and MAE on all folds together, by users."""
    rating = np.concatenate([test.rating for test, _ in main_results])
    user_ix = np.concatenate([test.user_ix for test, _ in main_results])
    predictions = np.concatenate([result for _, result in main_results])
    other_predictions = np.concatenate([result for _, result in other_results])
    return [
        compare_errors(rating, predictions, other_predictions, metric, user_ix)
        for metric in (rmse, mae)
    ]


def compare_rankings(
    main_results: Sequence[tuple[Ratings, pd.DataFrame]],
    other_results: Sequence[tuple[Ratings, pd.DataFrame]],
) -> list[Estimate]:
    """Differences of nDCG and recall on all folds together, by users."""
    metrics = pd.concat([result for _, result in main_results])
    other_metrics = pd.concat([result for _, result in other_results])
    if not metrics.index.equals(other_metrics.index):
        raise ValueError('the two models were judged on different users')
    return [
        compare_means(
            metrics[name].to_numpy(),
            other_metrics[name].to_numpy(),
            metrics.index.to_numpy(),
        )
        for name in COMPARED_METRICS['ranking']
    ]


def compare_with_main_model(variant: Variant, plan: Plan, folds: Sequence[str]) -> Row:
    """How our main model differs from a variant on all folds together.

    The differences are those of our model less the other, with intervals.
    """
    task = variant.task
    main_results, other_results = (
        [
            load_result(task, ratings_file(f'{f}-test'), v.result_file(plan, f))
            for f in folds
        ]
        for v in (MAIN_MODELS[task], variant)
    )
    compare = compare_ratings if task == 'rating' else compare_rankings
    prefixes = ('', f'{COMPARED_METRICS[task][1]}_')
    return {
        f'{prefix}{column}': value
        for prefix, interval in zip(prefixes, compare(main_results, other_results))
        for column, value in zip(('difference', 'low', 'high'), interval)
    }


def comparison_columns(
    variant: Variant, plan: Plan, folds: Sequence[str], before: pd.DataFrame
) -> Row:
    """The comparison with our main model, on the results that are kept here.

    Where those of the variant are not kept, it is that of the table `before`.
    """
    if all(variant.result_file(plan, fold).exists() for fold in folds):
        return compare_with_main_model(variant, plan, folds)
    if not len(before):
        return {}
    same = before[(before[MODEL_KEYS] == [*variant]).all(axis=1)]
    if not len(same):
        return {}
    return same.iloc[0].reindex(COMPARISON_COLUMNS).dropna().to_dict()


def average_folds(task: str, fits: pd.DataFrame) -> Row:
    """Means of the metrics and medians of times and memory, over the folds."""
    first_fold = fits[fits.fold == FOLDS[0]]
    main_metric = METRICS[task][0]
    row = fits[METRICS[task]].mean().to_dict()
    row |= dict(
        u1=first_fold[main_metric].iloc[0] if len(first_fold) else np.nan,
        fit_s=fits.fit_s.median(),
        fit_s_min=fits.fit_s.min(),
        fit_s_max=fits.fit_s.max(),
    )
    medians = ('import_s', 'prepare_s', 'peak_mb', 'latency_one_ms', 'latency_all_s')
    return row | {c: fits[c].median() for c in medians if c in fits}


def summarize(folds: pd.DataFrame, before: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """One row for each variant, of the rows of its folds.

    `before` has the comparisons of what was measured elsewhere.
    """
    rows = []
    context = ['n_settings', 'version', 'date', 'machine', 'python']
    for keys, fits in folds.groupby(MODEL_KEYS, sort=False):
        variant = Variant(*keys)
        good = fits[fits.missing.isna()]
        has_failed = len(good) < len(fits)
        row = variant.columns() | dict(
            folds=len(good),
            missing=fits.missing.dropna().iloc[0] if has_failed else None,
        )
        if len(good):
            row |= average_folds(variant.task, good)
            row |= comparison_columns(variant, plan, list(good.fold), before)
        known = fits.reindex(columns=context).dropna(axis=1, how='all')
        rows.append(row | known.iloc[-1].to_dict())
    table = pd.DataFrame(rows)
    metrics = ['rmse', 'mae', *METRICS['ranking'], 'u1']
    first_columns = [*MODEL_KEYS, *(c for c in metrics if c in table)]
    return table[first_columns + [c for c in table if c not in first_columns]]


def fit_main_model(task: str, plan: Plan) -> None:
    """Fit our main model where its results are not kept: others are compared to it."""
    variant = MAIN_MODELS[task]
    peer = load_peers()[variant.system]
    settings = peer.MODELS[variant.model]['default']
    for fold in plan.folds:
        if not variant.result_file(plan, fold).exists():
            fit_fold(variant, peer, settings, 1, fold, plan)


def sort_key(column: pd.Series) -> pd.Series:
    """Sort this package before others, small data before large, else by name."""
    if pd.api.types.is_numeric_dtype(column):
        return column
    return column.replace({'mf_movielens': ' ', 'ml-100k': ' ', '100K': ' ', '1M': '0'})


def merge_rows(path: Path, new: pd.DataFrame, keys: list[str]) -> None:
    """Put rows into the table at `path`, in the place of those with the same keys."""
    if new.empty:
        return
    old = pd.read_csv(path) if path.exists() else pd.DataFrame()
    if set(keys) <= set(old):
        is_replaced = old.set_index(keys).index.isin(new.set_index(keys).index)
        new = pd.concat([old[~is_replaced], new])
    save_table(path, new.sort_values(keys, key=sort_key, kind='stable'))


def save_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table with six digits."""
    table.to_csv(path, index=False, float_format='%.6g')


def failed_rows(table: pd.DataFrame) -> list[Row]:
    """The rows that say why there is no result."""
    if 'missing' not in table:
        return []
    return table[table.missing.notna()].to_dict('records')


def measure_tasks(
    peers: dict[str, ModuleType], tasks: Sequence[str], plan: Plan
) -> list[Row]:
    """Write the tables of rating and ranking, after each model; the failed rows."""
    for task in tasks:
        fit_main_model(task, plan)
    models = [
        (system, model)
        for task in tasks
        for system, peer in peers.items()
        for model, about in peer.MODELS.items()
        if plan.includes(task, about, model)
    ]
    failed = []
    folds_path = plan.results / 'benchmark_folds.csv'
    for system, model in models:
        rows, tried = benchmark_model(system, peers[system], model, plan)
        merge_rows(folds_path, rows, KEYS)
        merge_rows(plan.results / 'benchmark_search.csv', tried, SEARCH_KEYS)
        failed += failed_rows(rows) + failed_rows(tried)
    if folds_path.exists():
        table = write_summary(folds_path, plan)
        for task in tasks:
            print_table(table[(table.task == task) & table.system.isin(peers)], task)
        print(f'\nwritten: {plan.results}/benchmark.csv, and its folds and searches')
        if plan.budget < BUDGET:
            print(f'(--quick tries {plan.budget} settings only: no model is tuned)')
    return failed


def write_summary(folds_path: Path, plan: Plan) -> pd.DataFrame:
    """Write `benchmark.csv`, of the table of folds."""
    path = plan.results / 'benchmark.csv'
    before = pd.read_csv(path) if path.exists() else pd.DataFrame()
    table = summarize(pd.read_csv(folds_path), before, plan)
    save_table(path, table)
    return table


def print_table(table: pd.DataFrame, task: str) -> None:
    """Print what was measured, best first."""
    main_metric, second_metric = METRICS[task][:2]
    if main_metric not in table:
        return
    metrics = [main_metric, second_metric, 'difference', 'low', 'high', 'fit_s']
    columns = [c for c in ('system', 'model', 'variant', *metrics) if c in table]
    ordered = table.sort_values(main_metric, ascending=task == 'rating')[columns]
    print(f'\n{task}; difference, low and high: our main model minus the other')
    print(ordered.round(4).to_string(index=False))


def parse_arguments() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    tasks = list(METRICS)
    systems = list(load_peers())
    parser.add_argument(
        '--only', nargs='+', choices=tasks, default=tasks, help='these parts'
    )
    parser.add_argument(
        '--systems',
        nargs='+',
        choices=systems,
        default=systems,
        help='these peers; rows of the others stay as they are',
    )
    parser.add_argument(
        '--models',
        nargs='+',
        metavar='MODEL',
        help='these models of the peers, by their names in peers/',
    )
    parser.add_argument(
        '--no-times',
        action='store_true',
        help='leave the times empty, on a machine that has other work to do',
    )
    parser.add_argument(
        '--quick',
        action='store_true',
        help='one fold and two settings, for trying; the tables go to '
        'benchmarks/.data/quick',
    )
    return parser.parse_args()


def main() -> None:
    options = parse_arguments()
    peers = {
        system: peer
        for system, peer in load_peers().items()
        if system in options.systems
    }
    plan = QUICK_PLAN if options.quick else Plan()
    plan = plan._replace(
        models=options.models and tuple(options.models),
        keeps_times=not options.no_times,
    )
    is_included = [
        plan.includes(task, about, model)
        for peer in peers.values()
        for model, about in peer.MODELS.items()
        for task in options.only
    ]
    if not any(is_included):
        models = f', {", ".join(options.models)}' if options.models else ''
        sys.exit(
            f'{", ".join(peers)} has no model for {", ".join(options.only)}{models}'
        )
    plan.results.mkdir(parents=True, exist_ok=True)
    failed = measure_tasks(peers, [t for t in METRICS if t in options.only], plan)
    for row in failed:
        names = [row[key] for key in (*KEYS, 'settings') if key in row]
        print('missing:', *names, '|', row['missing'], file=sys.stderr)
    sys.exit(bool(failed))


if __name__ == '__main__':
    main()
