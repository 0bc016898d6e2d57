"""Mutants are drawn and tried as the table of them says."""

from __future__ import annotations

import ast
import csv
import importlib.util
import sys
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'benchmarks'))

SCORES = pd.read_csv(ROOT / 'mf_movielens/results/mutation.csv').set_index('module')


def rows_of(name):
    with (ROOT / f'benchmarks/{name}.csv').open(encoding='utf-8', newline='') as file:
        return list(csv.DictReader(file))


EQUIVALENT = rows_of('equivalent')


def source_of(module):
    return (ROOT / f'mf_movielens/{module}.py').read_text(encoding='utf-8')


def test_the_table_counts_the_mutants_that_are_listed():
    rows = rows_of('mutants')
    modules = [*dict.fromkeys(row['module'] for row in rows)]
    assert SCORES.index.tolist() == [*modules, 'all']
    for module, row in SCORES.iterrows():
        n = Counter(r['outcome'] for r in rows if module in ('all', r['module']))
        assert row['killed'] == n['test'] + n['time-out'] + n['chapter']
        assert row['sampled'] == n.total()
        assert row['equivalent'] == n['equivalent']
        assert row['survived'] == n['survived']
        score = row['killed'] / (row['killed'] + row['survived'])
        assert abs(row['score'] - score) < 0.001
        assert row['low'] < row['score'] <= row['high']


@pytest.mark.parametrize('row', EQUIVALENT, ids=range(len(EQUIVALENT)))
def test_a_mutant_that_does_the_same_is_one_of_code_that_exists(row):
    assert row['before'] in ' '.join(source_of(row['module']).split())
    assert row['before'] != row['after'] and len(row['reason']) > 10


# What follows needs the operators of cosmic-ray.
@pytest.fixture
def mutants():
    reason = 'the operators need pip install cosmic-ray'
    pytest.importorskip('cosmic_ray', reason=reason)
    import mutants

    return mutants


@pytest.fixture
def mutation(mutants):
    import mutation

    return mutation


def test_each_equivalent_mutant_can_be_made(mutants):
    missing = [key for key in mutants.equivalent() if not [*mutants.matching(key)]]
    assert missing == []


@pytest.mark.parametrize('module', ['validation', 'ranking'])
def test_a_sample_is_reproducible(mutants, module):
    first = mutants.sample(module, 12)
    mutants.all_mutants.cache_clear()
    assert mutants.sample(module, 12) == first
    assert mutants.sample(module, 30)[:12] == first
    assert mutants.sample(module, 12, seed=1) != first
    assert len({mutant.site for mutant in first}) == 12


def test_a_change_elsewhere_leaves_the_sample_as_it_was(mutants, monkeypatch):
    before = [
        (m.function, m.before, m.operator) for m in mutants.sample('metrics', 9**9)
    ]
    longer = 'FIRST = 1 + 2\n' + source_of('metrics')
    monkeypatch.setattr(mutants, 'source_of', lambda module: longer)
    mutants.all_mutants.cache_clear()
    after = [
        (m.function, m.before, m.operator) for m in mutants.sample('metrics', 9**9)
    ]
    mutants.all_mutants.cache_clear()
    assert [row for row in after if 'FIRST' not in row[1]] == before
    assert len(after) > len(before)


def test_every_mutant_changes_its_lines_and_no_others(mutants):
    source = source_of('validation')
    for mutant in mutants.sample('validation', 9**9):
        code = mutant.code()
        assert ast.dump(ast.parse(code)) != ast.dump(ast.parse(source))
        lines = zip(source.split('\n'), code.split('\n'), strict=True)
        changed = [i for i, (a, b) in enumerate(lines, 1) if a != b]
        assert changed and mutant.line <= changed[0] and changed[-1] <= mutant.last_line
        assert mutant.before != mutant.after()


SOURCE = '''
from __future__ import annotations
from typing import TYPE_CHECKING

__all__ = ['f'] + ['g']
Number = int | float
if TYPE_CHECKING and not 1 > 2:
    import os

def f(x: int | None = 3, *rest: Literal[4]) -> int | None:
    """Add 1 + 2."""
    y: list[int | str] = []
    if x:
        raise ValueError(f'{x + 1} is more than {5 - 1}')
    warnings.warn('1 + 1', stacklevel=2)
    y.append(
        x,
    )
    return y[0] - 8
'''


def test_what_people_and_type_checkers_read_is_not_changed(mutants, monkeypatch):
    monkeypatch.setattr(mutants, 'source_of', lambda module: SOURCE)
    mutants.all_mutants.cache_clear()
    found = {(m.operator, m.after()) for m in mutants.all_mutants('made up')}
    mutants.all_mutants.cache_clear()
    first = 'def f(x: int | None = {}, *rest: Literal[4]) -> int | None:'
    assert found == {
        ('NumberReplacer', first.format(4)),
        ('NumberReplacer', first.format(2)),
        ('AddNot', 'if not x:'),
        ('StatementDeletion', 'pass'),
        ('ReplaceBinaryOperator_Sub_Add', 'return y[0] + 8'),
        ('NumberReplacer', 'return y[ 1] - 8'),
        ('NumberReplacer', 'return y[ -1] - 8'),
        ('NumberReplacer', 'return y[0] - 9'),
        ('NumberReplacer', 'return y[0] - 7'),
    }


def test_a_deleted_statement_keeps_the_lines_after_it(mutants):
    deletion = mutants.StatementDeletion()
    code = mutants.mutate_code(SOURCE, deletion, 1)
    assert code.split('\n').index('    return y[0] - 8') == SOURCE.split('\n').index(
        '    return y[0] - 8'
    )


def test_a_child_answers_ends_or_is_stopped(mutation):
    def burns_time(folder):
        end = time.process_time() + 30
        while time.process_time() < end:
            pass
        return {}

    assert mutation.run_in_child(lambda folder: {'x': 3}, 20).answer == {'x': 3}
    failed = mutation.run_in_child(lambda folder: 1 / 0, 20)
    assert failed.answer is None and not failed.is_late
    assert 'ZeroDivisionError' in failed.output
    assert mutation.run_in_child(burns_time, 1).is_late


def test_only_one_module_is_found_changed(mutation):
    finder = mutation.Finder('validation', 'found = 5')
    assert finder.find_spec('mf_movielens.ranking') is None
    module = importlib.util.module_from_spec(
        finder.find_spec('mf_movielens.validation')
    )
    module.__loader__.exec_module(module)
    assert module.found == 5 and not hasattr(module, 'check_int')


def test_compiled_code_that_depends_on_a_change_is_not_kept(mutation, monkeypatch):
    monkeypatch.setattr(mutation, 'TREE', ROOT)
    compiled = mutation.compiled_functions()
    chosen = mutation.sample('ranking', 9**9)
    stale = {m.function: mutation._stale(m, compiled) for m in chosen}
    inner = [name for name in compiled if stale.get(name, set()) > {name}]
    assert inner and not stale['ranking_metrics']
    for name in inner:
        assert all(compiled[other] & stale[name] for other in stale[name])


def test_a_chapter_is_cut_into_the_cells_of_its_module(mutation):
    cells = mutation._cells(source_of('validation'))
    ids = {cell['id']: cell for cell in notebook('90_validation')}
    assert {*cells} - {'0'} <= {*ids}
    assert any('def check_int(' in text for text in cells.values())


def notebook(name):
    import json

    return json.loads((ROOT / f'nbs/{name}.ipynb').read_text(encoding='utf-8'))['cells']
