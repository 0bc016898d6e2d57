"""Change the library in small ways, and count the changes that no test notices.

`python benchmarks/mutation.py` draws mutants of the modules that compute, runs the
tests that concern the module with each, then its chapter, and writes mutants.csv and
mutation.csv. mutmut runs functions through trampolines, which numba cannot compile, and
cosmic-ray starts a new process and compiles anew for each mutant. So the operators are
those of cosmic-ray, in `mutants.py`, and the loop is ours: one process imports the
libraries once, and each mutant gets a fork of it that finds a changed module. No file
of the package is written, and compiled code is kept unless it depends on the change.
"""

from __future__ import annotations

import argparse
import ast
import csv
import importlib.util
import json
import os
import re
import resource
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from commit import ROOT, commit
from mutants import Mutant, equivalent, n_mutants, sample
from planted import chapter_of, files_of_repository

FOLDER = ROOT / 'benchmarks/.data/mutation'
TREE, CACHE, EMPTY = FOLDER / 'tree', FOLDER / 'cache', FOLDER / 'empty'
TABLE = ROOT / 'mf_movielens/results/mutation.csv'
MUTANTS = Path(__file__).with_name('mutants.csv')
COLUMNS = ['module', 'function', 'before', 'after', 'operator', 'outcome', 'found_by']
OUTCOMES = ['test', 'time-out', 'chapter', 'equivalent', 'survived']

# Of each module, the tests that concern it, without `test_`: quick files first.
TESTS = {
    'validation': 'validation encoding',
    'encoding': 'encoding tables_asked kinds',
    'factors': 'factors new_users',
    'least_squares': 'least_squares decay features_ials objectives ials',
    'ials': 'ials decay features_ials',
    'als': 'als decay',
    'ease': 'ease item_weights',
    'bayes': 'posterior bayes sampler',
    'gibbs': 'sampler bayes',
    'posterior': 'posterior new_users bayes',
    'ranking': 'ranking item_weights',
    'metrics': 'metrics evaluation_users',
    'splits': 'splits evaluation_users',
    'recommender': 'recommender titles rules features_ials user_features '
    'users_by_features evaluation_users updating',
}
# Tests of more than this many seconds come last, whatever their file.
SLOW = 1.0
# What trains a network is slow, and concerns other modules.
OTHERS = ['-k', 'not keras and not network']
PYTEST = [
    '-qq',
    '--tb=line',
    '-p',
    'no:cacheprovider',
    '-p',
    '_hypothesis_pytestplugin',
]
MEMORY = 12 << 30


class Changed(SourceFileLoader):
    """A loader that reads a module, but compiles another text."""

    code = ''

    def get_code(self, fullname: str) -> Any:
        """Compile the other text, under the name of the file."""
        return compile(self.code, self.path, 'exec', dont_inherit=True)


class Finder:
    """An import hook that finds one module changed."""

    def __init__(self, module: str, code: str) -> None:
        self.name = f'mf_movielens.{module}'
        self.loader = Changed(self.name, str(TREE / f'mf_movielens/{module}.py'))
        self.loader.code = code

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        """Find the module that is changed, and leave the others alone."""
        if name != self.name:
            return None
        return importlib.util.spec_from_file_location(
            name, self.loader.path, loader=self.loader
        )


def copy_tree() -> None:
    """Copy what git knows; files that are as before keep their time, for the cache."""
    old = {path for path in TREE.rglob('*') if path.is_file()}
    for file in files_of_repository():
        (TREE / file).parent.mkdir(parents=True, exist_ok=True)
        old.discard(TREE / file)
        is_same = (TREE / file).is_file() and (TREE / file).read_bytes() == (
            ROOT / file
        ).read_bytes()
        if not is_same:
            shutil.copyfile(ROOT / file, TREE / file)
    for path in old:
        path.unlink()
    for folder in (CACHE, EMPTY):
        folder.mkdir(parents=True, exist_ok=True)


def preload() -> None:
    """Import once what every test needs, and nothing of the package."""
    names = 'numpy pandas scipy.sparse scipy.stats scipy.linalg scipy.optimize numba '
    names += 'numba.core.event numba.core.caching hypothesis.extra.numpy pytest '
    names += 'threadpoolctl platformdirs tqdm matplotlib.pyplot nbdev.test nbformat'
    for name in names.split():
        importlib.import_module(name)
    # With an empty folder, pytest imports its own parts.
    importlib.import_module('pytest').main([*PYTEST, str(EMPTY)])


class Run(NamedTuple):
    """What a child process did."""

    answer: dict[str, Any] | None
    is_late: bool
    output: str


def _in_child(
    work: Callable[[Path], dict[str, Any]], folder: Path, cpu_s: float
) -> None:
    """Do something in a forked process, and leave its answer in a file."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_s), int(cpu_s) + 5))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    # Without a core, wherever the time limit ends it.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    log = os.open(folder / 'log', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    code = 1
    try:
        (folder / 'answer').write_text(json.dumps(work(folder)))
        code = 0
    except BaseException:
        # Not by way of what a test may have put in place of the stream.
        os.write(2, traceback.format_exc().encode())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def run_in_child(work: Callable[[Path], dict[str, Any]], cpu_s: float) -> Run:
    """Fork, and wait for the answer; a limit in seconds of the processor."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        child = os.fork()
        if not child:
            _in_child(work, folder, cpu_s)
        end = time.monotonic() + 10 * cpu_s + 60
        done, status = os.waitpid(child, os.WNOHANG)
        while not done and time.monotonic() < end:
            time.sleep(0.02)
            done, status = os.waitpid(child, os.WNOHANG)
        # Programs that a test has started end with it.
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        if not done:
            os.waitpid(child, 0)
        sign = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        is_late = not done or sign in (signal.SIGXCPU, signal.SIGKILL)
        answer = None
        if (folder / 'answer').exists() and not is_late:
            answer = json.loads((folder / 'answer').read_text())
        return Run(answer, is_late, (folder / 'log').read_text(errors='replace'))


class Watch:
    """A plugin of pytest: orders the tests, and notes time and failure of each."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.before = seconds
        self.seconds: dict[str, float] = {}
        self.failed = ''
        self.started = 0.0

    def pytest_collection_modifyitems(self, config: Any, items: list[Any]) -> None:
        """Run slow tests last."""
        items.sort(key=lambda item: self.before.get(item.nodeid, 0) > SLOW)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Look at the clock."""
        self.started = time.process_time()

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Note how a test, or its preparation, ended."""
        if report.failed:
            self.failed = self.failed or report.nodeid
        else:
            self.seconds[report.nodeid] = time.process_time() - self.started

    def pytest_collectreport(self, report: Any) -> None:
        """A file that cannot be imported fails, too."""
        if report.failed:
            self.failed = self.failed or report.nodeid


def run_tests(
    tests: Iterable[str], seconds: dict[str, float], folder: Path
) -> dict[str, Any]:
    """Run tests in this process, until one fails."""
    import pytest

    watch = Watch(seconds)
    options = [*PYTEST, *OTHERS, '-x', '--hypothesis-seed=0']
    options += [f'--basetemp={folder / "pytest"}']
    code = int(pytest.main([*options, *tests], plugins=[watch]))
    if code == 5 or (code and not watch.failed):
        raise RuntimeError(f'pytest ends with {code}')
    return {'failed': watch.failed, 'seconds': watch.seconds}


MARK = re.compile(r'^# %% \S+ #(\w+)\n', re.M)


def _cells(code: str) -> dict[str, str]:
    """The text of each cell of a module, by the cell's id."""
    _, *parts = MARK.split(code)
    return dict(zip(parts[::2], parts[1::2]))


def run_chapter(module: str, code: str, folder: Path) -> dict[str, Any]:
    """Run the chapter of a module, with the same change, in this process."""
    import nbformat
    from nbdev.test import test_nb

    source = (TREE / f'mf_movielens/{module}.py').read_text(encoding='utf-8')
    chapter = chapter_of(source, TREE / 'mf_movielens')
    notebook = nbformat.read(chapter, 4)
    before, after = _cells(source), _cells(code)
    for cell in notebook.cells:
        if before.get(cell.id) != after.get(cell.id):
            head = re.match(r'(#\|.*\n)*', cell.source)
            text = re.sub(
                r'^( *from )\.', r'\1mf_movielens.', after[cell.id], flags=re.M
            )
            cell.source = (head[0] if head else '') + text
    path = chapter.with_name(f'_{chapter.name}')
    nbformat.write(notebook, path)
    try:
        passed, _ = test_nb(path)
    finally:
        path.unlink()
    return {'failed': '' if passed else f'nbs/{chapter.name}'}


def compiled_functions() -> dict[str, set[str]]:
    """The names that each compiled function mentions."""
    found = {}
    for path in (TREE / 'mf_movielens').glob('*.py'):
        for node in ast.parse(path.read_text(encoding='utf-8')).body:
            if isinstance(node, ast.FunctionDef) and any(
                isinstance(d, ast.Name) and d.id == 'compiled'
                for d in node.decorator_list
            ):
                names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
                found[node.name] = names | {node.name}
    return found


def _stale(mutant: Mutant, compiled: dict[str, set[str]]) -> set[str]:
    """The compiled functions that a mutant changes, or what they call."""
    changed = {mutant.function.partition('.')[0]}
    if not mutant.function:
        changed = set(re.findall(r'\w+', mutant.before.partition('=')[0]))
    stale: set[str] = set()
    while True:
        more = {f for f, names in compiled.items() if names & (changed | stale)}
        if more == stale:
            return stale
        stale = more


def cache_without(stale: set[str], folder: Path) -> Path:
    """A copy of the compiled code, less some functions."""
    if not stale:
        return CACHE
    copy = folder / 'compiled'
    for path in CACHE.rglob('*'):
        function = re.search(r'\.(\w+)-\d+\.', path.name)
        if path.is_file() and function and function[1] not in stale:
            target = copy / path.relative_to(CACHE)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, target)
    copy.mkdir(exist_ok=True)
    return copy


def _changed(
    work: Callable[[Path], dict[str, Any]],
    module: str,
    code: str,
    stale: set[str],
    folder: Path,
) -> dict[str, Any]:
    """Do something with a module changed."""
    os.environ['NUMBA_CACHE_DIR'] = str(cache_without(stale, folder))
    os.environ['HYPOTHESIS_STORAGE_DIRECTORY'] = str(folder / 'hypothesis')
    os.chdir(TREE)
    sys.path.insert(0, str(TREE))
    sys.meta_path.insert(0, Finder(module, code))  # type: ignore[arg-type]
    return work(folder)


def known_seconds(module: str) -> dict[str, float]:
    """What each test of a module took when it passed, as far as it is known."""
    kept = FOLDER / f'{module}.json'
    return dict(json.loads(kept.read_text())) if kept.exists() else {}


def failing_as_it_is(module: str, tests: list[str]) -> set[str]:
    """Run tests with the module unchanged; those that fail have found nothing."""
    code = (TREE / f'mf_movielens/{module}.py').read_text(encoding='utf-8')
    failing: set[str] = set()
    while tests := [test for test in tests if test not in failing]:
        work = partial(run_tests, tests, {})
        run = run_in_child(partial(_changed, work, module, code, set()), 600)
        if run.answer is None:
            raise RuntimeError(f'the tests of {module} do not run\n{run.output}')
        if not run.answer['failed']:
            break
        failing.add(run.answer['failed'].partition('[')[0])
    return failing


def outcome_of(
    mutant: Mutant,
    seconds: dict[str, float],
    compiled: dict[str, set[str]],
    with_chapter: bool,
) -> tuple[str, str, str]:
    """Run tests and chapter with a mutant: outcome, what found it, and the output."""
    code = mutant.code()
    stale = _stale(mutant, compiled)
    files = [f'tests/test_{name}.py' for name in TESTS[mutant.module].split()]
    limit = 3 * sum(seconds.values()) + 60 + 60 * bool(stale)
    tests = partial(run_tests, files, seconds)
    chapter = partial(run_chapter, mutant.module, code)
    runs = [('test', tests, limit), ('chapter', chapter, 300)]
    for kind, work, cpu_s in runs[: 1 + with_chapter]:
        change = partial(_changed, work, mutant.module, code, stale)
        run = run_in_child(change, cpu_s)
        if run.is_late:
            return 'time-out', '', run.output
        if run.answer is None:
            # The process ended: a crash, or an error outside of the tests.
            return kind, 'a crash', run.output
        seconds |= run.answer.get('seconds', {})
        if run.answer['failed']:
            return kind, run.answer['failed'].partition('[')[0], run.output
    return 'survived', '', ''


def read_rows() -> list[dict[str, str]]:
    """Read what is known of mutants."""
    if not MUTANTS.exists():
        return []
    with MUTANTS.open(encoding='utf-8', newline='') as file:
        return list(csv.DictReader(file))


def key_of(row: dict[str, str]) -> tuple[str, ...]:
    """What tells a mutant from others."""
    return tuple(row[name] for name in COLUMNS[:5])


def write_rows(rows: Iterable[dict[str, Any]], path: Path, columns: list[str]) -> None:
    """Write a table."""
    with path.open('w', encoding='utf-8', newline='') as file:
        writer = csv.DictWriter(file, columns, lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)


def search(module: str, options: argparse.Namespace) -> None:
    """Try mutants of a module, and write each outcome."""
    reasons = equivalent()
    known = {key_of(row): row for row in read_rows()}
    seconds, compiled = known_seconds(module), compiled_functions()
    new: list[dict[str, str]] = []
    for mutant in sample(module, options.sample, options.seed):
        after = mutant.after()
        names = module, mutant.function, mutant.before, after
        key = (*names, mutant.operator)
        old = known.get(key, {}).get('outcome')
        started, output = time.monotonic(), ''
        outcome, found_by = 'equivalent', ''
        if names not in reasons:
            if old not in (None, 'equivalent', *['survived'] * options.survivors):
                continue
            found = outcome_of(mutant, seconds, compiled, not options.tests_only)
            outcome, found_by, output = found
        known[key] = dict(zip(COLUMNS, (*key, outcome, found_by)))
        new.append(known[key])
        took = time.monotonic() - started
        print(f'{module} {took:.0f} s: {outcome} {found_by}', flush=True)
        if found_by == 'a crash':
            print(output[-800:])
        if outcome == 'survived':
            print(f'  {mutant.function}:{mutant.line}\n  {mutant.before}\n  {after}')
        (FOLDER / f'{module}.json').write_text(json.dumps(seconds))
        save(known.values())
    tests = {row['found_by'] for row in new if row['outcome'] == 'test'}
    failing = failing_as_it_is(module, sorted(tests - {'', 'a crash'}))
    for name in failing:
        print(f'{module}: {name} fails as it is, and has found nothing', flush=True)
    save(row for row in known.values() if row['found_by'] not in failing)


def save(rows: Iterable[dict[str, str]]) -> None:
    """Write what became of the mutants, in the order of the modules."""
    order = list(TESTS).index
    write_rows(sorted(rows, key=lambda row: order(row['module'])), MUTANTS, COLUMNS)


def summary(rows: list[dict[str, str]], on: str) -> list[dict[str, Any]]:
    """Count the outcomes of each module, and of all."""
    from scipy.stats import binomtest

    table = []
    for module in [*TESTS, 'all']:
        mine = [row for row in rows if module in (row['module'], 'all')]
        n = Counter(row['outcome'] for row in mine)
        killed = n['test'] + n['time-out'] + n['chapter']
        judged = killed + n['survived']
        if not judged:
            continue
        low, high = binomtest(killed, judged).proportion_ci(0.95, 'wilson')
        modules = TESTS if module == 'all' else [module]
        row = {
            'module': module,
            'mutants': sum(n_mutants(name) for name in modules),
            'sampled': len(mine),
            'killed': killed,
            'by_tests': n['test'],
            'by_time_out': n['time-out'],
            'by_chapter': n['chapter'],
            'equivalent': n['equivalent'],
            'survived': n['survived'],
            'score': round(killed / judged, 3),
            'low': round(low, 3),
            'high': round(high, 3),
            'commit': on,
        }
        table.append(row)
    return table


def main() -> None:
    """Try mutants of the modules that are given, or of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('modules', nargs='*', default=list(TESTS))
    parser.add_argument('--sample', type=int, default=40, help='mutants of each module')
    parser.add_argument('--seed', type=int, default=0, help='of the sample')
    parser.add_argument('--again', action='store_true', help='drop all known outcomes')
    parser.add_argument('--survivors', action='store_true', help='try them again')
    parser.add_argument('--tests-only', action='store_true', help='leave out chapters')
    options = parser.parse_args()
    os.setpriority(os.PRIO_PROCESS, 0, max(10, os.getpriority(os.PRIO_PROCESS, 0)))
    # An empty folder, no network, one thread.
    os.environ |= {'MF_MOVIELENS_HOME': str(EMPTY), 'MF_MOVIELENS_OFFLINE': '1'}
    os.environ |= {'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(TREE), 'MPLBACKEND': 'agg'}
    os.environ['NUMBA_CACHE_DIR'] = str(CACHE)
    os.environ['PYTEST_DISABLE_PLUGIN_AUTOLOAD'] = '1'
    sys.dont_write_bytecode = False
    sys.pycache_prefix = str(FOLDER / 'bytecode')
    copy_tree()
    preload()
    modules = options.modules
    if options.again:
        rows = [row for row in read_rows() if row['module'] not in modules]
        write_rows(rows, MUTANTS, COLUMNS)
    for module in modules:
        search(module, options)
    table = summary(read_rows(), commit())
    write_rows(table, TABLE, list(table[0]))
    for row in table:
        print(f'{row["module"]}: {row["killed"]} killed, {row["survived"]} survived')


if __name__ == '__main__':
    main()
