"The module of the book serves the chapters, and nothing else in the package needs it."

import ast
from pathlib import Path

import pytest

from mf_movielens.book import only_real, results_table
from mf_movielens.data import synthetic

PACKAGE = Path(__file__).resolve().parent.parent / 'mf_movielens'


def imported_modules(path):
    "The modules of the package that a file imports, anywhere in it."
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            within = 'mf_movielens' if node.level else ''
            base = '.'.join(part for part in (within, node.module) if part)
            yield base
            yield from (f'{base}.{alias.name}' for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_an_import_of_the_book_is_found(tmp_path):
    lines = (
        'import mf_movielens.book',
        'from mf_movielens import book',
        'from mf_movielens.book import results_table',
        'from .book import results_table',
        'from . import book',
        'def f():\n    from .book import results_table',
    )
    for line in lines:
        (tmp_path / 'm.py').write_text(line)
        assert 'mf_movielens.book' in {*imported_modules(tmp_path / 'm.py')}, line


def test_nothing_in_the_package_imports_the_book():
    modules = [p for p in PACKAGE.glob('*.py') if p.stem != 'book']
    assert len(modules) > 20
    for path in modules:
        assert 'mf_movielens.book' not in {*imported_modules(path)}, path.name


def test_every_table_can_be_read():
    names = sorted(p.stem for p in (PACKAGE / 'results').glob('*.csv'))
    assert names
    for name in names:
        assert len(results_table(name)) > 0
    with pytest.raises(ValueError, match=', '.join(names)):
        results_table('../results/als')


def test_synthetic_data_are_not_real(capsys):
    assert not only_real(synthetic())
    assert 'skipped' in capsys.readouterr().out
