"""What type checkers, completion and `help()` see of the package, on its source."""

from __future__ import annotations

import json
import os
import pydoc
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = """\
from mf_movielens import Ratings, Recommender, load

data = load()
ratings = Ratings.from_frame(data.ratings, titles=data.titles)
model = Recommender.fit(ratings)
print(model.recommend(196, k=5))
print(model.fold_in({'Fargo (1996)': 5}, k=5))
print(model.explain(196, 'Fargo (1996)'))
model.save('model.npz')
print(Recommender.load('model.npz').similar('Fargo (1996)', k=3))
"""


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {'PYTHONPATH': str(ROOT)}
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, env=environment
    )


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / 'script.py'
    path.write_text(SCRIPT)
    return path


def test_mypy_has_no_complaint_about_a_users_script(script: Path) -> None:
    pytest.importorskip('mypy')
    cache = f'--cache-dir={script.parent}'
    command = [sys.executable, '-m', 'mypy', '--strict', cache, script.name]
    ran = run(*command, cwd=script.parent)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_pyright_has_no_complaint_about_a_users_script(script: Path) -> None:
    pytest.importorskip('pyright')
    settings = {'typeCheckingMode': 'strict', 'reportMissingTypeStubs': False}
    (script.parent / 'pyrightconfig.json').write_text(json.dumps(settings))
    ran = run(sys.executable, '-m', 'pyright', script.name, cwd=script.parent)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_types_of_public_names_are_known(tmp_path: Path) -> None:
    pytest.importorskip('pyright')
    reason = 'before numpy 2.3 the type of every array is unknown'
    pytest.importorskip('numpy', '2.3', reason=reason)
    options = ['--verifytypes', 'mf_movielens', '--ignoreexternal', '--outputjson']
    ran = run(sys.executable, '-m', 'pyright', *options, cwd=tmp_path)
    score = json.loads(ran.stdout)['typeCompleteness']['completenessScore']
    assert score >= 0.95


@pytest.mark.parametrize(
    ('line', 'names'),
    [
        ('Recommender.', {'fit', 'load'}),
        ('Recommender.load("m.npz").', {'recommend', 'similar', 'fold_in', 'save'}),
        ('Recommender.load("m.npz").recommend(1).', {'to_csv', 'groupby'}),
    ],
)
def test_completion_offers_methods_and_what_they_return(
    line: str, names: set[str]
) -> None:
    jedi = pytest.importorskip('jedi')
    code = f'from mf_movielens import Recommender\n{line}'
    project = jedi.Project(ROOT)
    completions = jedi.Script(code, project=project).complete(2, len(line))
    assert names <= {completion.name for completion in completions}


def test_help_tells_each_parameter_and_what_comes_back() -> None:
    from mf_movielens import Recommender

    text = re.sub('.\b', '', pydoc.render_doc(Recommender.recommend))
    for parameter in ('users', 'k', 'exclude_seen', 'candidates', 'unknown'):
        assert re.search(rf'^ +{parameter} : ', text, re.M), parameter
    for section in ('Parameters', 'Returns', 'Raises', 'Examples'):
        assert re.search(rf'^ +{section}\n +-+$', text, re.M), section
