"Whom the package talks to, what it starts, and what it runs: nobody, nothing, and nothing."

import ast, json, re, subprocess, sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / 'mf_movielens').glob('*.py'))

DAY = """
import json, sys
heard = []
FOR_OTHERS = ('fc-list', 'lscpu')  # by which matplotlib finds fonts, and numpy 2.0 the kind of processor
WATCHED = ('socket.connect', 'socket.getaddrinfo', 'socket.bind', 'subprocess.Popen', 'os.system', 'os.exec', 'os.posix_spawn', 'os.fork', 'pickle.find_class', 'marshal.loads')
def listen(event, args):
    if event in WATCHED and not (event == 'marshal.loads' or event == 'subprocess.Popen' and str(args[0]).split('/')[-1] in FOR_OTHERS): heard.append([event, str(args)[:200]])
sys.addaudithook(listen)
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
load_ratings('r.parquet', say=None), load_cached('r.csv', cache='kept', say=None), load_cached('r.csv', cache='kept', say=None), shard_file('r.csv', 'shards', 3).load()
for solver in sys.argv[1:]:
    few = {'bayes': dict(n_burn_in=0, n_samples=4), 'keras': dict(n_iterations=1)}.get(solver, dict(n_iterations=2, checkpoint=Path('c.npz')))
    Path('c.npz').unlink(missing_ok=True)
    model = Recommender.load(Recommender.fit(ratings, solver, n_factors=4, **few).save(f'{solver}.npz'))
    model.recommend(k=3), model.fold_in({model.items.index[0]: 5}), model.similar(model.items.index[0], min_ratings=0), model.evaluate(ratings)
from mf_movielens import cli
sys.argv = ['mf-movielens', 'train', 'r.csv', '--n-factors', '4']
cli.main.__globals__['app'](prog_name='mf-movielens', standalone_mode=False)
print()
print(json.dumps(heard))
"""


def test_a_days_work_reaches_nobody_starts_nothing_and_unpickles_nothing():
    "Python itself reports connections, programs and pickles, whoever in the process makes them."
    said = subprocess.run(
        [sys.executable, '-c', DAY, 'ials', 'als', 'bayes'],
        capture_output=True,
        text=True,
    )
    assert not said.returncode, said.stderr
    assert json.loads(said.stdout.splitlines()[-1]) == []


def test_what_is_listened_to_would_be_heard():
    words = (
        DAY.split('import os, tempfile')[0]
        + "import pickle, subprocess, socket, os\nclass A: pass\npickle.loads(pickle.dumps(A))\nsubprocess.run(['true'])\nsocket.socket().connect_ex(('127.0.0.1', 9))\nprint(json.dumps([e for e, _ in heard]))"
    )
    assert {'pickle.find_class', 'subprocess.Popen', 'socket.connect'} <= {
        *json.loads(
            subprocess.run(
                [sys.executable, '-c', words],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
    }


@pytest.mark.parametrize('path', SOURCES, ids=lambda p: p.stem)
def test_the_source_names_no_way_in(path):
    tree = ast.parse(path.read_text())
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} | {
        n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)
    }
    imported = {
        a.name.split('.')[0]
        for n in ast.walk(tree)
        if isinstance(n, ast.Import)
        for a in n.names
    } | {
        (n.module or '').split('.')[0]
        for n in ast.walk(tree)
        if isinstance(n, ast.ImportFrom)
    }
    assert not names & {
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
    assert not imported & {
        'pickle',
        'cloudpickle',
        'dill',
        'joblib',
        'shelve',
        'marshal',
        'subprocess',
        'socket',
        'urllib',
        'http',
        'ftplib',
        'telnetlib',
        'ctypes',
    }
    assert not imported & {'requests', 'pooch'} or path.stem == 'archives'


def test_the_only_addresses_are_those_of_the_archives():
    from mf_movielens.data import GROUPLENS, MIRROR

    found = {
        a
        for p in SOURCES
        if p.stem != '_modidx'
        for n in ast.walk(ast.parse(p.read_text()))
        if isinstance(n, ast.Constant) and isinstance(n.value, str)
        for a in re.findall(r'https?://[^\s\'"]+', n.value)
    }
    assert {GROUPLENS, MIRROR} <= found and all(a.startswith('https://') for a in found)
    assert {a.split('/')[2] for a in found} == {
        'files.grouplens.org',
        'huggingface.co',
        'grouplens.org',
    }  # the last only in a message


def test_the_policy_says_where_to_go():
    text = (ROOT / 'SECURITY.md').read_text()
    assert 'Report a vulnerability' in text and 'nbs/26_faults.ipynb' in text
