"""Measure how long fits take: 100K to 10M ratings, several widths, beside other peers.

`python benchmarks/scale.py` writes the tables of speed that the chapters show. Every
fit has a process to itself, and the systems take turns.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from benchmark_data import SYNTHETIC_SIZES, load_test_ratings, ratings_file
from run import (
    QUICK_PLAN,
    RESULTS,
    date_and_machine,
    load_peers,
    merge_rows,
    run_worker,
)

from mf_movielens.encoding import Ratings
from mf_movielens.metrics import rmse
from mf_movielens.ranking import ranking_metrics

# weight of a pair, and L2 regularization of a row, by `--choose`
WEIGHTS = {'100K': (0.4, 10.0), '1M': (0.8, 10.0), '10M': (0.8, 14.0)}
WEIGHTS_TO_TRY = [
    (alpha, l2) for alpha in (0.1, 0.2, 0.4, 0.8) for l2 in (5.0, 7.0, 10.0, 14.0)
]
# the last number of rounds is that of a whole fit; the others serve to find the target
RANKING_ROUNDS = {
    '100K': (1, 2, 3, 4, 6, 8),
    '1M': (1, 2, 3, 4, 6, 8),
    '10M': (1, 2, 3, 4),
}
RANKING_FACTORS = (32, 64, 128, 256)
N_REPETITIONS = {'ml-100k': 3, '100K': 3, '1M': 3, '10M': 2}
TABLES = {'ranking': 'ials.csv', 'rating': 'als.csv'}
QUALITY = {'ranking': 'ndcg', 'rating': 'rmse'}
KEYS = ['data', 'factors', 'system', 'model', 'threads', 'processor']

Row = dict[str, Any]


class Entrant(NamedTuple):
    """A model of a system, with all threads or a given number."""

    system: str
    peer: ModuleType
    model: str
    n_threads: int | None

    def columns(self) -> Row:
        """The columns of the table that name it."""
        return dict(
            system=self.system,
            model=self.model.removeprefix('scale '),
            threads=self.n_threads or os.cpu_count(),
        )


class Cell(NamedTuple):
    """A task at one size and width, which the systems are compared at."""

    task: str
    data: str
    n_factors: int
    n_repetitions: int

    def rounds(self, entrant: Entrant) -> tuple[int, ...]:
        """Numbers of rounds to fit with; the last one is that of the whole fit."""
        if self.task == 'ranking':
            return RANKING_ROUNDS[self.data]
        rounds: tuple[int, ...] = entrant.peer.MODELS[entrant.model]['rounds'][
            self.data
        ]
        return rounds

    def settings(self, entrant: Entrant, n_iterations: int, seed: int) -> Row:
        """What the peer gets."""
        settings: Row = dict(
            n_factors=self.n_factors, n_iterations=n_iterations, seed=seed
        )
        if entrant.system == 'mf_movielens' or self.task == 'ranking':
            settings['n_threads'] = entrant.n_threads
        if self.task == 'ranking':
            settings['alpha'], settings['l2'] = WEIGHTS[self.data]
        return settings

    def is_better(self, quality: float, target: float) -> bool:
        """Whether a quality reaches the target."""
        return quality >= target if self.task == 'ranking' else quality <= target


def processor() -> str:
    """The name of the processor, with the numbers that tell relatives apart."""
    lines = Path('/proc/cpuinfo').read_text().splitlines()
    pairs = [line.split(':', 1) for line in lines if ':' in line]
    about = {name.strip(): value.strip() for name, value in reversed(pairs)}
    name = about.get('model name', 'unknown')
    return f'{name}, family {about.get("cpu family")}, model {about.get("model")}'


@cache
def test_ratings(task: str, data: str) -> Ratings:
    """The held-out ratings of a data set, or likes."""
    return load_test_ratings(ratings_file(data), as_likes=task == 'ranking')


def held_out_quality(cell: Cell, out: Path) -> float:
    """nDCG@10 of the lists, or RMSE of the predictions, that a fit has saved."""
    test = test_ratings(cell.task, cell.data)
    with np.load(out) as file:
        if cell.task == 'ranking':
            metrics = ranking_metrics(file['lists'], file['users'], test, k=10)
            return float(metrics.ndcg.mean())
        return float(rmse(test.rating, np.clip(file['predictions'], *test.scale)))


def time_fit(cell: Cell, entrant: Entrant, n_iterations: int, seed: int) -> Row:
    """One fit in a fresh process: its report, with the held-out quality."""
    path = ratings_file(cell.data)
    settings = cell.settings(entrant, n_iterations, seed)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, 'result.npz')
        job = dict(model=entrant.model, settings=settings, data=str(path), out=str(out))
        report = run_worker(entrant.system, entrant.peer, [job])[0]
        if 'error' in report:
            raise RuntimeError(report['error'])
        quality = held_out_quality(cell, out)
    whole_s = report['prepare_s'] + report['fit_s']
    return report | dict(whole_s=whole_s, rounds=n_iterations, quality=quality)


class Fits:
    """The fits of one entrant in a cell, or the reason why there are none."""

    def __init__(self, cell: Cell, entrant: Entrant) -> None:
        self.cell = cell
        self.entrant = entrant
        self.rounds = cell.rounds(entrant)
        self.reports: list[Row] = []
        self.missing: str | None = None
        # rounds to the target
        self.fewest: int | None = None

    def add(self, n_iterations: int) -> None:
        """Fit once more, with another seed, unless a fit has failed before."""
        if self.missing:
            return
        seed = len(self.of(n_iterations))
        try:
            report = time_fit(self.cell, self.entrant, n_iterations, seed)
            self.reports.append(report)
        except Exception as error:
            self.missing = f'{type(error).__name__}: {error}'

    def of(self, n_iterations: int) -> pd.DataFrame:
        """The reports of the fits with a number of rounds."""
        return pd.DataFrame([r for r in self.reports if r['rounds'] == n_iterations])

    def quality(self) -> float:
        """That of the whole fit."""
        return float(self.of(self.rounds[-1]).quality.median())

    def reaches(self, n_iterations: int, target: float) -> bool:
        """Whether so many rounds reach the target; they are fitted if need be."""
        if self.of(n_iterations).empty:
            self.add(n_iterations)
        found = self.of(n_iterations)
        if found.empty:
            return False
        return self.cell.is_better(found.quality.median(), target)

    def fewest_rounds(self, target: float) -> int | None:
        """The fewest rounds that reach the target, by bisection."""
        if not self.reaches(self.rounds[-1], target):
            return None
        low, high = 0, len(self.rounds) - 1
        while low < high:
            middle = (low + high) // 2 if low else 0
            if self.reaches(self.rounds[middle], target):
                high = middle
            else:
                low = middle + 1
        return self.rounds[low]

    def pass_s(self) -> float:
        """Seconds of one more round: a long fit less a short one."""
        first, last = self.rounds[0], self.rounds[-1]
        difference = self.of(last).fit_s.median() - self.of(first).fit_s.median()
        return float(difference / (last - first))


def measure_cell(
    cell: Cell, entrants: Sequence[Entrant], before: pd.DataFrame
) -> tuple[list[Fits], float]:
    """Fit with all entrants in turns: long and short fits, then those to the target.

    `before` are the rows of other systems in this cell, whose quality counts as well.
    """
    fits = [Fits(cell, entrant) for entrant in entrants]
    # one thread is for the speed-up alone
    racing = [one for one in fits if one.entrant.n_threads is None]
    is_large = cell.data == '10M'
    for repetition in range(cell.n_repetitions):
        turn = racing if is_large and repetition else fits
        for one in turn:
            one.add(one.rounds[-1])
        if not (is_large and repetition):
            for one in turn:
                one.add(one.rounds[0])
    target = target_of(cell, fits, before)
    if len(racing) + len(before) > 1:
        for one in racing:
            one.fewest = one.fewest_rounds(target)
        # what is short is measured as often as the whole fit
        if cell.data not in ('1M', '10M'):
            repeat_to_target(racing)
    return fits, target


def repeat_to_target(racing: Sequence[Fits]) -> None:
    """Repeat the fits that reach the target as often as the whole fits."""
    for repetition in range(1, racing[0].cell.n_repetitions):
        for one in racing:
            if one.fewest and len(one.of(one.fewest)) <= repetition:
                one.add(one.fewest)


def target_of(cell: Cell, fits: Sequence[Fits], before: pd.DataFrame) -> float:
    """The quality that each entrant reaches; those of the table `before` count.

    It is 0.99 of the lowest nDCG at the end of a whole fit, or 1.005 of the highest
    RMSE.
    """
    qualities = [one.quality() for one in fits if not one.missing]
    qualities += list(before[QUALITY[cell.task]].dropna()) if len(before) else []
    if not qualities:
        return float('nan')
    return 0.99 * min(qualities) if cell.task == 'ranking' else 1.005 * max(qualities)


def rounded(value: float, digits: int = 4) -> float:
    """A number with so many digits that count."""
    return float(f'{value:.{digits}g}')


def row_of(fits: Fits, target: float, compile_s: float) -> Row:
    """One row of the table, of fits that succeeded."""
    quality = QUALITY[fits.cell.task]
    long_fits = fits.of(fits.rounds[-1])
    median = long_fits.median(numeric_only=True)
    to_target = fits.of(fits.fewest).whole_s.median() if fits.fewest else np.nan
    return dict(
        version=long_fits.version[0],
        blas=long_fits.blas[0],
        rounds=fits.rounds[-1],
        runs=len(long_fits),
        load_s=rounded(median.import_s),
        compile_s=rounded(compile_s),
        prepare_s=rounded(median.prepare_s),
        fit_s=rounded(median.fit_s),
        fit_s_min=rounded(long_fits.fit_s.min()),
        fit_s_max=rounded(long_fits.fit_s.max()),
        whole_s=rounded(median.whole_s),
        whole_s_min=rounded(long_fits.whole_s.min()),
        whole_s_max=rounded(long_fits.whole_s.max()),
        pass_s=rounded(fits.pass_s()),
        extra_mb=round(median.extra_mb),
        ratings_mb=round(median.ratings_mb, 1),
        python=long_fits.python[0],
        **{
            quality: rounded(median.quality),
            f'target_{quality}': rounded(target, 6),
            f'to_{quality}_s': rounded(to_target),
            f'to_{quality}_rounds': fits.fewest or np.nan,
        },
    )


def rows_of_cell(
    cell: Cell, fits: Sequence[Fits], target: float, compile_s: dict[str, float]
) -> pd.DataFrame:
    """The rows of all entrants in a cell."""
    rows = []
    for one in fits:
        row: Row = dict(data=cell.data, factors=cell.n_factors)
        row |= one.entrant.columns() | dict(processor=processor())
        if cell.task == 'ranking':
            row['alpha'], row['l2'] = WEIGHTS[cell.data]
        if not one.missing:
            row |= row_of(one, target, compile_s.get(one.entrant.system, np.nan))
        rows.append(row | date_and_machine() | dict(missing=one.missing))
        print_row(rows[-1])
    return pd.DataFrame(rows)


def rows_of_others(
    cell: Cell, entrants: Sequence[Entrant], table: pd.DataFrame
) -> pd.DataFrame:
    """The rows of a table for this cell and processor, of other systems."""
    if not {*KEYS} <= {*table}:
        return table.head(0)
    is_here = (table.data == cell.data) & (table.factors == cell.n_factors)
    is_measured = table.system.isin([entrant.system for entrant in entrants])
    return table[is_here & (table.processor == processor()) & ~is_measured]


def print_row(row: Row) -> None:
    """Print the main columns of a row."""
    names = [row[key] for key in KEYS[:-1]]
    columns = (
        'whole_s',
        'pass_s',
        'extra_mb',
        'ndcg',
        'to_ndcg_s',
        'rmse',
        'to_rmse_s',
    )
    texts = [f'{c} {row[c]:.4g}' for c in columns if not pd.isna(row.get(c, np.nan))]
    print(*names, '|', row['missing'] or ' '.join(texts), flush=True)


def loading_seconds(system: str, peer: ModuleType) -> float:
    """Seconds to load a library that compiles, with nothing kept from before.

    It is loaded once more after that, so that what it keeps is there for all fits.
    """
    if not getattr(peer, 'COMPILES', False):
        return float('nan')
    with tempfile.TemporaryDirectory() as empty:
        names = ('NUMBA_CACHE_DIR', 'XDG_CACHE_HOME', 'MF_MOVIELENS_HOME')
        report = run_worker(system, peer, [{}], dict.fromkeys(names, empty))[0]
    run_worker(system, peer, [{}])
    return float(report.get('import_s', np.nan))


def entrants_of(
    task: str, data: str, n_factors: int, peers: dict[str, ModuleType]
) -> list[Entrant]:
    """Who takes part in a cell."""
    return [
        Entrant(system, peer, model, n_threads)
        for system, peer in peers.items()
        for model, about in peer.MODELS.items()
        if about['task'] == f'scale {task}'
        and n_factors in about.get('factors', {}).get(data, RANKING_FACTORS)
        for n_threads in about.get('threads', (None,))
        # one thread is for the larger sizes
        if n_threads is None or data in ('1M', '10M')
    ]


def cells(tasks: Sequence[str], options: argparse.Namespace) -> Iterator[Cell]:
    """What is to be measured, small data first."""
    rating_factors = (32, 50, 64, 128)
    for data in ('ml-100k', *SYNTHETIC_SIZES):
        for task in tasks:
            if (task, data) in (('ranking', 'ml-100k'), ('rating', '100K')):
                continue
            widths = RANKING_FACTORS if task == 'ranking' else rating_factors
            for n_factors in widths:
                n_repetitions = options.repetitions or N_REPETITIONS[data]
                if (data, n_factors) == ('10M', 256):
                    n_repetitions = 1
                if data in options.sizes and n_factors in options.factors:
                    yield Cell(task, data, n_factors, n_repetitions)


def measure(options: argparse.Namespace) -> int:
    """Measure all cells, and write the rows of each; the number of failures."""
    peers = {s: p for s, p in load_peers().items() if s in options.systems}
    results = QUICK_PLAN.results if options.quick else RESULTS
    results.mkdir(parents=True, exist_ok=True)
    compile_s = {
        system: loading_seconds(system, peer) for system, peer in peers.items()
    }
    n_failed = 0
    for cell in cells(options.tasks, options):
        entrants = entrants_of(cell.task, cell.data, cell.n_factors, peers)
        if not entrants:
            continue
        started = time.perf_counter()
        path = results / TABLES[cell.task]
        table = pd.read_csv(path) if path.exists() else pd.DataFrame()
        others = rows_of_others(cell, entrants, table)
        fits, target = measure_cell(cell, entrants, others)
        rows = rows_of_cell(cell, fits, target, compile_s)
        merge_rows(path, rows, KEYS)
        n_failed += int(rows.missing.notna().sum())
        seconds = time.perf_counter() - started
        print(
            f'{cell.task}, {cell.data}, {cell.n_factors}: {seconds:.0f} s', flush=True
        )
    return n_failed


def choose_weights(options: argparse.Namespace) -> None:
    """Print nDCG@10 for weights to choose from, on a part of the training ratings.

    All systems minimize the same, so ours stands for all.
    """
    peer = load_peers()['mf_movielens']
    entrant = Entrant('mf_movielens', peer, 'scale iALS', None)
    for size in options.sizes:
        if size not in SYNTHETIC_SIZES:
            continue
        data = f'{size}-valid'
        for weights in WEIGHTS_TO_TRY:
            WEIGHTS[data], RANKING_ROUNDS[data] = weights, RANKING_ROUNDS[size]
            cell = Cell('ranking', data, options.factors[0], 1)
            report = time_fit(cell, entrant, RANKING_ROUNDS[size][-1])
            print(f'{size}: alpha {weights[0]}, l2 {weights[1]}', end=': ')
            print(f'nDCG@10 {report["quality"]:.4f}', flush=True)


def parse_arguments() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    systems = [
        system
        for system, peer in load_peers().items()
        if any(about['task'].startswith('scale') for about in peer.MODELS.values())
    ]
    sizes = ['ml-100k', *SYNTHETIC_SIZES]
    factors = [32, 50, 64, 128, 256]
    add = parser.add_argument
    add('--tasks', nargs='+', choices=[*TABLES], default=[*TABLES])
    add('--sizes', nargs='+', choices=sizes, default=sizes)
    add('--factors', nargs='+', type=int, choices=factors, default=factors)
    add('--systems', nargs='+', choices=systems, default=systems)
    add('--repetitions', type=int, help='of each fit; 3, and 2 at ten million')
    add(
        '--quick',
        action='store_true',
        help='100K and 64 factors once; the tables go to benchmarks/.data/quick',
    )
    add(
        '--choose',
        action='store_true',
        help='try weights of the ranking fit instead, with the first of the factors',
    )
    options = parser.parse_args()
    if options.quick:
        options.sizes, options.repetitions = ['ml-100k', '100K'], 1
        options.factors = [50, 64]
    return options


def main() -> None:
    options = parse_arguments()
    if options.choose:
        choose_weights(options)
        return
    sys.exit(bool(measure(options)))


if __name__ == '__main__':
    main()
