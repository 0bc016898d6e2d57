"The package as others meet it: what importing it costs, and what it says of itself."

import subprocess, sys
from configparser import ConfigParser
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted(
    p.stem for p in (ROOT / 'mf_movielens').glob('*.py') if not p.stem.startswith('_')
)
TRAINS = {'model', 'training'}  # the only ones that may import TensorFlow


def loaded_by(module):
    "The top-level modules that are loaded after an import in a fresh process."
    words = f'import {module}, sys; print(*{{m.split(".")[0] for m in sys.modules}})'
    return set(
        subprocess.run(
            [sys.executable, '-c', words], capture_output=True, text=True, check=True
        ).stdout.split()
    )


@pytest.mark.parametrize('module', MODULES)
def test_imports_alone(module):
    loaded = loaded_by(f'mf_movielens.{module}')
    assert not loaded & {'nbdev', 'fastcore', 'execnb'}
    assert ('tensorflow' in loaded) == (module in TRAINS)


def test_metadata_comes_from_settings():
    config = ConfigParser(delimiters=['='])
    config.read(ROOT / 'settings.ini')
    import mf_movielens

    assert (
        version('mf_movielens')
        == mf_movielens.__version__
        == config['DEFAULT']['version']
    )
    assert [
        e.value for e in entry_points(group='console_scripts', name='mf-movielens')
    ] == ['mf_movielens.cli:main']


def test_no_movielens_rows_are_committed(real_archive):
    "No file of the repository holds a line of the user table, or a rating, however its four numbers are separated."
    import re, zipfile

    with zipfile.ZipFile(real_archive) as z:
        ratings = {
            tuple(line.split('\t'))
            for line in z.read('ml-100k/u.data').decode().splitlines()
        }
        users = {line for line in z.read('ml-100k/u.user').decode().splitlines()}
    between = (
        r'(?:\\+t|[\s,;|]|::)+'  # a tab may be written as a backslash and a letter
    )
    row = re.compile(
        between.join((r'(?<!\d)(\d+)', r'(\d+)', r'(\d)(?:\.0)?', r'(\d{9})(?!\d)'))
    )
    assert (
        row.findall(r"'1\t2\t3\t881250000'")
        == row.findall('1,2,3.0,881250000')
        == [('1', '2', '3', '881250000')]
    )
    tracked = subprocess.run(
        ['git', 'ls-files'], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split('\n')
    for name in filter(None, tracked):
        text = (ROOT / name).read_text(encoding='utf-8', errors='replace')
        assert (
            not set(text.splitlines()) & users and not set(row.findall(text)) & ratings
        ), name


def test_a_run_with_other_versions_becomes_one_row(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'tools')
    from versions_row import merged, row

    new = row(
        'lowest',
        'skipped: a figure\n00_data.ipynb: 4 secs\nindex.ipynb: 70 secs\n',
        '....s [ 96%]\n12 passed in an assertion\n671 passed, 2 skipped, 30 warnings in 422.89s (0:07:02)\n',
    )
    assert (new['notebooks'], new['tests'], new['skipped'], new['numpy']) == (
        '2',
        '671',
        '2',
        version('numpy'),
    )
    other = [
        new | {'python': p, 'requirements': r}
        for p, r in (
            ('3.9.1', 'newest'),
            (new['python'], 'newest'),
            (new['python'], 'lowest'),
        )
    ]
    table = merged(other[::-1], new | {'tests': '700'})
    assert (
        [r['tests'] for r in table] == ['671', '700', '671']
        and table[0]['python'] == '3.9.1'
        and table[1]['requirements'] == 'lowest'
    )
