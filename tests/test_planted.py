"""The planted bugs still fit the code, and each has a test that finds it."""

import ast
import re
import sys
from functools import cache
from pathlib import Path

import nbformat
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'benchmarks'))

import planted

TABLE = pd.read_csv(planted.TABLE, keep_default_na=False)


@cache
def source_and_tree(module):
    source = (ROOT / f'mf_movielens/{module}.py').read_text(encoding='utf-8')
    return source, ast.dump(ast.parse(source))


@cache
def code_of_chapter(module):
    source, _ = source_and_tree(module)
    notebook = nbformat.read(planted.chapter_of(source, ROOT / 'mf_movielens'), 4)
    return [cell.source for cell in notebook.cells if cell.cell_type == 'code']


@pytest.mark.parametrize('bug', planted.BUGS, ids=[bug.name for bug in planted.BUGS])
def test_a_bug_changes_its_module_and_its_chapter(bug, tmp_path):
    source, tree = source_and_tree(bug.module)
    assert source.count(bug.before) == 1
    assert any(bug.before in code for code in code_of_chapter(bug.module))
    changed = source.replace(bug.before, bug.after)
    assert ast.dump(ast.parse(changed)) != tree
    for name in bug.tests.split():
        assert (ROOT / f'tests/test_{name}.py').is_file()


def test_each_bug_is_found_by_a_test_that_exists():
    assert TABLE.bug.tolist() == [bug.name for bug in planted.BUGS]
    for found_by in TABLE.found_by:
        if found_by.startswith('nbs/'):
            assert (ROOT / found_by).is_file()
            continue
        path, name = found_by.split('::')[0], found_by.split('::')[-1]
        source = (ROOT / path).read_text(encoding='utf-8')
        assert re.search(rf'^ *def {name}\(', source, re.M), found_by


def test_every_module_has_a_bug():
    # The book reads tables and draws.
    without = {'book'}
    modules = {path.stem for path in (ROOT / 'mf_movielens').glob('[a-z]*.py')}
    assert modules - without == {bug.module for bug in planted.BUGS}
