"""The installed package: what an import loads, its metadata, and its files."""

import re
import subprocess
import zipfile
from configparser import ConfigParser
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest
from conftest import Forks

import mf_movielens

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted(
    p.stem for p in (ROOT / 'mf_movielens').glob('*.py') if not p.stem.startswith('_')
)
# the only modules that may import TensorFlow
TENSORFLOW_MODULES = {'model', 'training'}

# what may stand between two columns; a tab may be written as a backslash and a letter
SEPARATOR = r'(?:\\+t|[\s,;|]|::)+'
RATING_ROW = re.compile(
    SEPARATOR.join((r'(?<!\d)(\d+)', r'(\d+)', r'(\d)(?:\.0)?', r'(\d{9})(?!\d)'))
)

LOG_OF_NOTEBOOKS = 'skipped: a figure\n00_data.ipynb: 4 secs\nindex.ipynb: 70 secs\n'
LOG_OF_TESTS = (
    '....s [ 96%]\n'
    '12 passed in an assertion\n'
    '671 passed, 2 skipped, 30 warnings in 422.89s (0:07:02)\n'
)


WRITE_LOADED = """
import sys
from importlib import import_module
from pathlib import Path

def work(module, out):
    import_module(module)
    Path(out).write_text(' '.join({name.split('.')[0] for name in sys.modules}))
"""


def program(module):
    """The program that imports a module, after those that the module names itself.

    Most modules begin with these two, which take longer than all the rest.
    """
    source = (ROOT / f'mf_movielens/{module}.py').read_text(encoding='utf-8')
    is_first = {'import numpy as np', 'import pandas as pd'} <= {*source.splitlines()}
    return 'import numpy, pandas\n' + WRITE_LOADED if is_first else WRITE_LOADED


@pytest.fixture(scope='module')
def loaded_by(tmp_path_factory):
    """What gives the top-level modules that are loaded after an import alone.

    Each module is imported in a process of its own, forked from one that has not
    imported anything of this package.
    """
    running = {}
    out = tmp_path_factory.mktemp('loaded') / 'names'

    def load(module):
        text = program(module)
        if text not in running:
            running[text] = Forks(text)
        assert running[text].start(f'mf_movielens.{module}', out).wait() == 0
        return set(out.read_text().split())

    yield load
    for forks in running.values():
        forks.close()


@pytest.mark.parametrize('module', MODULES)
def test_imports_alone(module, loaded_by):
    loaded = loaded_by(module)
    assert 'mf_movielens' in loaded
    assert not loaded & {'nbdev', 'fastcore', 'execnb'}
    assert ('tensorflow' in loaded) == (module in TENSORFLOW_MODULES)


def test_metadata_comes_from_settings():
    config = ConfigParser(delimiters=['='])
    config.read(ROOT / 'settings.ini')
    expected_version = config['DEFAULT']['version']
    assert version('mf_movielens') == expected_version
    assert mf_movielens.__version__ == expected_version
    commands = entry_points(group='console_scripts', name='mf-movielens')
    assert [command.value for command in commands] == ['mf_movielens.cli:main']


def tracked_files():
    """The names of all files that are committed."""
    process = subprocess.run(
        ['git', 'ls-files'], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return process.stdout.splitlines()


@pytest.mark.parametrize('row', [r"'1\t2\t3\t881250000'", '1,2,3.0,881250000'])
def test_rating_rows_are_found_however_they_are_separated(row):
    assert RATING_ROW.findall(row) == [('1', '2', '3', '881250000')]


def test_no_movielens_rows_are_committed(real_archive):
    """No file of the repository has a line of the user table, or a rating."""
    with zipfile.ZipFile(real_archive) as file:
        rating_lines = file.read('ml-100k/u.data').decode().splitlines()
        users = set(file.read('ml-100k/u.user').decode().splitlines())
    ratings = {tuple(line.split('\t')) for line in rating_lines}
    for name in tracked_files():
        text = (ROOT / name).read_text(encoding='utf-8', errors='replace')
        assert not set(text.splitlines()) & users, name
        assert not set(RATING_ROW.findall(text)) & ratings, name


@pytest.fixture
def versions_row(monkeypatch):
    """The tool that makes a row of the table of versions."""
    monkeypatch.syspath_prepend(ROOT / 'tools')
    import versions_row

    return versions_row


def test_a_run_with_other_versions_becomes_one_row(versions_row):
    row = versions_row.row('lowest', LOG_OF_NOTEBOOKS, LOG_OF_TESTS)
    assert row['notebooks'] == '2'
    assert row['tests'] == '671'
    assert row['skipped'] == '2'
    assert row['numpy'] == version('numpy')


def test_a_row_of_versions_replaces_the_one_of_the_same_environment(versions_row):
    new = versions_row.row('lowest', LOG_OF_NOTEBOOKS, LOG_OF_TESTS)
    old_python = new | {'python': '3.9.1', 'requirements': 'newest'}
    newest = new | {'requirements': 'newest'}
    other_commit = newest | {'python': '3.11.7', 'commit': '0000000'}
    old = [new, newest, old_python, other_commit]
    rows = versions_row.merged(old, new | {'tests': '700'})
    assert [row['tests'] for row in rows] == ['671', '700', '671']
    assert rows[0]['python'] == '3.9.1'
    assert rows[1]['requirements'] == 'lowest'
