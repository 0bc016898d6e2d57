"""The package opens no connection, starts no program and runs no code of others."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mf_movielens.movielens_sets import GROUPLENS, MIRROR

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / 'mf_movielens').glob('*.py'))

# Python itself reports these events, whatever in the process causes them. matplotlib
# finds fonts with fc-list, and numpy 2.0 asks lscpu for the kind of processor.
LISTEN = """
import json, sys
from pathlib import Path
ALLOWED_PROGRAMS = ('fc-list', 'lscpu')
WATCHED_EVENTS = (
    'socket.connect',
    'socket.getaddrinfo',
    'socket.bind',
    'subprocess.Popen',
    'os.system',
    'os.exec',
    'os.posix_spawn',
    'os.fork',
    'pickle.find_class',
)
events = []

def is_compiled_code():
    "Whether numba reads what it has compiled, from the user's own cache."
    frame = sys._getframe()
    while frame is not None:
        if Path(frame.f_code.co_filename).parts[-3:] == ('numba', 'core', 'caching.py'):
            return True
        frame = frame.f_back
    return False

def is_allowed(event, args):
    if event == 'pickle.find_class':
        return is_compiled_code()
    program = str(args[0]).split('/')[-1] if args else ''
    return event == 'subprocess.Popen' and program in ALLOWED_PROGRAMS

def listen(event, args):
    if event in WATCHED_EVENTS and not is_allowed(event, args):
        events.append([event, str(args)[:200]])

sys.addaudithook(listen)
"""

# What a user does in a day: read files, fit, save, load, ask, and run the command.
USE = """
import os, tempfile
from pathlib import Path
os.chdir(tempfile.mkdtemp())
os.environ |= {'MF_MOVIELENS_HOME': os.getcwd(), 'MF_MOVIELENS_OFFLINE': '1'}
from mf_movielens.data import load
from mf_movielens.encoding import Ratings
from mf_movielens.reading import load_ratings
from mf_movielens.recommender import Recommender
from mf_movielens.shards import load_cached, shard_file

table = load().ratings.head(5_000)
table.to_csv('r.csv', index=False)
table.to_parquet('r.parquet')
ratings = load_ratings('r.csv', say=None)
load_ratings('r.parquet', say=None)
load_cached('r.csv', cache='kept', say=None)
load_cached('r.csv', cache='kept', say=None)
shard_file('r.csv', 'shards', 3).load()

for solver in sys.argv[1:]:
    settings = dict(n_iterations=2, checkpoint=Path('c.npz'))
    if solver == 'bayes':
        settings = dict(n_burn_in=0, n_samples=4)
    Path('c.npz').unlink(missing_ok=True)
    fitted = Recommender.fit(ratings, solver, n_factors=4, **settings)
    model = Recommender.load(fitted.save(f'{solver}.npz'))
    item = model.items.index[0]
    model.recommend(k=3)
    model.fold_in({item: 5})
    model.similar(item, min_ratings=0)
    model.evaluate(ratings)

from mf_movielens.cli import app
sys.argv = ['mf-movielens', 'train', 'r.csv', '--n-factors', '4']
app(prog_name='mf-movielens', standalone_mode=False)
"""

BREAK_IN = """
import pickle, subprocess, socket
class A: pass
pickle.loads(pickle.dumps(A))
subprocess.run(['true'])
socket.socket().connect_ex(('127.0.0.1', 9))
"""

REPORT = """
print()
print(json.dumps(events))
"""

FORBIDDEN_NAMES = {
    'eval',
    'exec',
    'system',
    'popen',
    'read_pickle',
    'to_pickle',
    'load_model',
    'extractall',
    'extract_all',
    'mktemp',
}
FORBIDDEN_IMPORTS = {
    'pickle',
    'cloudpickle',
    'dill',
    'joblib',
    'shelve',
    'marshal',
    'subprocess',
    'socket',
    'urllib',
    'urllib3',
    'http',
    'httpcore',
    'httpx',
    'aiohttp',
    'ftplib',
    'telnetlib',
    'ctypes',
}


def events_of(program, *words):
    """The watched events, each with its arguments, that a program causes."""
    process = subprocess.run(
        [sys.executable, '-c', LISTEN + program + REPORT, *words],
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])


def test_use_opens_no_connection_starts_no_program_and_unpickles_nothing():
    assert events_of(USE, 'ials', 'als', 'bayes') == []


def test_connections_programs_and_pickles_are_noticed():
    names = {name for name, _ in events_of(BREAK_IN)}
    assert {'pickle.find_class', 'subprocess.Popen', 'socket.connect'} <= names


def used_names(tree):
    """The names and attributes that a source uses."""
    nodes = list(ast.walk(tree))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    return names | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def imported_packages(tree):
    """The top-level packages that a source imports."""
    packages = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            packages |= {alias.name.split('.')[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            packages.add((node.module or '').split('.')[0])
    return packages


@pytest.mark.parametrize('path', SOURCES, ids=lambda path: path.stem)
def test_the_source_uses_nothing_that_runs_code_of_others(path):
    tree = ast.parse(path.read_text())
    assert not used_names(tree) & FORBIDDEN_NAMES
    assert not imported_packages(tree) & FORBIDDEN_IMPORTS


DOWNLOADERS = {'requests', 'pooch', 'httpx', 'httpcore', 'urllib3', 'aiohttp'}


@pytest.mark.parametrize('path', SOURCES, ids=lambda path: path.stem)
def test_only_archives_are_downloaded(path):
    downloads = imported_packages(ast.parse(path.read_text())) & DOWNLOADERS
    assert not downloads or path.stem == 'archives'


def docstrings_in(tree):
    """The nodes of a source that are docstrings."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    owners = [node for node in ast.walk(tree) if isinstance(node, kinds)]
    return [node.body[0].value for node in owners if ast.get_docstring(node)]


def strings_in(path):
    """The strings that the code of a source uses; docstrings may cite papers."""
    tree = ast.parse(path.read_text())
    docstrings = docstrings_in(tree)
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    used = [node.value for node in constants if node not in docstrings]
    return [value for value in used if isinstance(value, str)]


def test_the_only_addresses_are_those_of_the_archives():
    texts = [
        text for path in SOURCES if path.stem != '_modidx' for text in strings_in(path)
    ]
    addresses = {
        address for text in texts for address in re.findall(r'https?://[^\s\'"]+', text)
    }
    assert {GROUPLENS, MIRROR} <= addresses
    assert all(address.startswith('https://') for address in addresses)
    # the last is named in a message only
    assert {address.split('/')[2] for address in addresses} == {
        'files.grouplens.org',
        'huggingface.co',
        'grouplens.org',
    }


def test_the_policy_names_where_to_report():
    text = (ROOT / 'SECURITY.md').read_text()
    assert 'Report a vulnerability' in text
    assert 'nbs/26_faults.ipynb' in text
