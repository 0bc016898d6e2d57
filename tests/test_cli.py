"The command as a person types it."
import json, subprocess, sys
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name('mf-movielens')


@pytest.fixture
def run(home, tmp_path, monkeypatch):
    monkeypatch.setenv('MF_MOVIELENS_OFFLINE', '1')
    return lambda *words: subprocess.run([COMMAND, *words], cwd=tmp_path, capture_output=True, text=True)


@pytest.mark.parametrize('words, said', [
    (['train', '--data', 'ml-100'], "no data set 'ml-100'"),
    (['train', '--user', 'bob'], "user 'bob' is not among"),
    (['train', '--recipe', 'best'], "no recipe 'best'"),
    (['train', '--out', '/dev/null/x'], '--out /dev/null/x'),
])
def test_wrong_use_is_one_line_and_code_2(run, words, said):
    p = run(*words)
    assert p.returncode == 2 and said in p.stderr and p.stderr.count('\n') == 1 and 'Traceback' not in p.stderr


@pytest.mark.parametrize('words', [['train', '--epochs', '0'], ['train', '--nothing'], ['nothing']])
def test_options_are_checked(run, words):
    p = run(*words)
    assert p.returncode == 2 and 'Traceback' not in p.stderr


def test_data_that_cannot_be_had_is_code_1(run):
    p = run('train', '--data', 'ml-1m')
    assert p.returncode == 1 and 'ml-1m.zip' in p.stderr and 'Traceback' not in p.stderr


def test_train_on_the_stand_in(run, tmp_path):
    p = run('train', '--epochs', '2', '--factors', '4')
    assert p.returncode == 0 and p.stderr == '' and 'made-up' in p.stdout
    made = tmp_path / 'mf-movielens-out'
    assert json.loads((made / 'metrics.json').read_text())['is_real'] is False
    assert sorted(x.name for x in made.iterdir()) == ['curves.png', 'factors.npz', 'metrics.json', 'model.keras', 'predicted.png', 'recommendations.csv']
    assert sorted(x.name for x in tmp_path.iterdir()) == ['home', 'mf-movielens-out']  # nothing else was written


def test_help_shows_an_example(run):
    p = run('train', '--help')
    assert p.returncode == 0 and 'Examples' in p.stdout
