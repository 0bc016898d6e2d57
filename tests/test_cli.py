"The command as a person types it."

import fcntl
import io
import json
import os
import pty
import re
import select
import shlex
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

COMMAND = Path(sys.executable).with_name('mf-movielens')


@pytest.fixture
def run_program(home, tmp_path, monkeypatch):
    "The command as a program of its own, which takes a second to begin."
    monkeypatch.setenv('MF_MOVIELENS_OFFLINE', '1')
    return lambda *words, **kwargs: subprocess.run(
        [COMMAND, *map(str, words)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        **kwargs,
    )


@pytest.fixture
def run(home, tmp_path, monkeypatch, capfd):
    "The same in this process; what it prints is read from the file descriptors."
    from mf_movielens.cli import main

    monkeypatch.setenv('MF_MOVIELENS_OFFLINE', '1')

    def call(*words, input=''):
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            patch.setattr(sys, 'argv', ['mf-movielens', *map(str, words)])
            patch.setattr(sys, 'stdin', io.StringIO(input))
            capfd.readouterr()
            try:
                code = main() or 0
            except SystemExit as end:
                code = end.code or 0
            out, err = capfd.readouterr()
        return subprocess.CompletedProcess(words, code, out, err)

    return call


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    "A saved model of the synthetic data."
    from mf_movielens.data import synthetic
    from mf_movielens.encoding import Ratings
    from mf_movielens.recommender import Recommender

    ml = synthetic()
    return Recommender.fit(
        Ratings.from_frame(ml.ratings, titles=ml.titles), n_factors=8
    ).save(tmp_path_factory.mktemp('m') / 'model.npz')


@pytest.mark.parametrize(
    'words, said',
    [
        (['train', 'ml-100'], "no data set 'ml-100'"),
        (['train', '--for', 'bob'], "user 'bob' is not among"),
        (['train', '--solver', 'best'], "'best' is not a solver"),
        (['train', '--out', '/dev/null/x'], '--out /dev/null/x'),
        (['train', 'synthetic', '--reg', '-1'], '--reg -1'),
        (['train', 'synthetic', '--cache'], '--cache goes with a file'),
        (['train', '--tune', '--reg', '1'], '--reg and --tune do not go together'),
        (['train', '--seconds', '9'], '--seconds limits a search'),
        (['train', '--trials', '9'], '--trials limits a search'),
        (['recommend', '1'], 'there is no model'),
        (['info', '--model', 'x.npz'], 'no model at x.npz'),
    ],
)
def test_wrong_use_is_one_line_and_code_2(run, words, said):
    p = run(*words)
    assert (
        p.returncode == 2
        and said in p.stderr
        and p.stderr.count('\n') == 1
        and 'Traceback' not in p.stderr
    )


@pytest.mark.parametrize(
    'words',
    [
        ['train', '--n-iterations', '0'],
        ['train', '--nothing'],
        ['nothing'],
        ['recommend'],
        ['similar'],
        ['recommend', '1', '-k', '0'],
        ['train', 'x', '--scale', '1'],
    ],
)
def test_options_are_checked(run, words):
    p = run(*words)
    assert p.returncode == 2 and 'Traceback' not in p.stderr and p.stderr


def test_data_that_cannot_be_had_is_code_1(run):
    p = run('train', 'ml-1m')
    assert p.returncode == 1 and 'ml-1m.zip' in p.stderr and 'Traceback' not in p.stderr


@pytest.mark.parametrize('solver', ['ials', 'als', 'keras'])
def test_train_on_the_stand_in(run_program, run, tmp_path, solver):
    # one as a call: what it prints and writes does not depend on how it was started
    start = run if solver == 'als' else run_program
    p = start('train', '--n-iterations', '2', '--n-factors', '4', '--solver', solver)
    assert p.returncode == 0 and p.stderr == '' and 'synthetic' in p.stdout
    made = tmp_path / 'mf-movielens-out'
    summary = json.loads((made / 'metrics.json').read_text())
    assert summary['settings']['solver'] == solver
    assert 'random' in summary['split']
    value, low, high = summary['difference']
    assert low < value < high
    # An error is to be low, and nDCG is to be high.
    is_better = low > 0 if solver == 'ials' else high < 0
    has_advice = ' than popularity here' in p.stdout or ' biases here' in p.stdout
    assert is_better != has_advice
    assert sorted(x.name for x in made.iterdir()) == [
        'curves.png',
        'map.png',
        'metrics.json',
        'model.npz',
        *(['predicted.png'] if solver != 'ials' else []),
        'recommendations.csv',
    ]
    assert sorted(x.name for x in tmp_path.iterdir()) == [
        'home',
        'mf-movielens-out',
    ]  # nothing else was written
    advised = re.findall(r'^  mf-movielens (?!serve)(.*)$', p.stdout, flags=re.M)
    assert [words.split()[0] for words in advised] == ['recommend', 'similar', 'rate']
    for words in (
        advised
    ):  # the advice at the end works as it stands; a server does not end by itself
        # by the shell once; what it makes of the words does not depend on the solver
        if solver == 'ials':
            q = subprocess.run(
                f'{COMMAND} {words}',
                shell=True,
                cwd=tmp_path,
                capture_output=True,
                text=True,
            )
        else:
            q = run(*shlex.split(words))
        n_lines = len(q.stdout.splitlines())
        # 'similar' and 'rate' say first which item was understood
        assert q.returncode == 0, words
        assert n_lines == 11 + (words.split()[0] in ('similar', 'rate')), words


@pytest.mark.parametrize(
    'command', ['train', 'recommend', 'rate', 'similar', 'explain', 'evaluate']
)
def test_help_shows_an_example(run, command):
    p = run(command, '--help')
    assert p.returncode == 0 and 'Example' in p.stdout


def test_the_shell_can_complete(run_program):
    p = run_program(
        env=os.environ
        | {
            '_MF_MOVIELENS_COMPLETE': 'complete_bash',
            'COMP_WORDS': 'mf-movielens re',
            'COMP_CWORD': '1',
        }
    )
    assert p.stdout.split() == ['recommend']


def test_json_is_json_and_nothing_else(run_program, run, model):
    for words in (
        ['recommend', 587, 655],
        ['similar', 50],
        ['rate', '50=5'],
        ['info'],
        ['explain', 587, 50],
    ):
        # as a program once, as a call otherwise
        start = run_program if words[0] == 'recommend' else run
        p = start(*words, '--json', '--model', model)
        assert p.returncode == 0 and json.loads(p.stdout)
        # what was understood is said beside it
        names_items = words[0] in ('similar', 'rate', 'explain')
        assert p.stderr.count('\n') == names_items
        assert ('(id 50)' in p.stderr) == names_items
    p = run('train', '--json', '--n-iterations', 1, '--n-factors', 2)
    assert json.loads(p.stdout)['data'] == 'synthetic' and 'synthetic data' in p.stderr


ASKED = """
import json, sys
sys.argv = ['mf-movielens', 'recommend', '587', '--model', sys.argv[1]]
import mf_movielens.cli
try:
    mf_movielens.cli.main()
except SystemExit as end:
    assert not end.code
print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))
"""


def test_reading_commands_import_nothing_heavy(model):
    "How many seconds a command takes is measured in `benchmarks/`, not here."
    child = subprocess.run(
        [sys.executable, '-c', ASKED, str(model)],
        capture_output=True,
        text=True,
        check=True,
    )
    imported = set(json.loads(child.stdout.splitlines()[-1]))
    heavy = {
        'IPython',
        'keras',
        'matplotlib',
        'pooch',
        'pyspark',
        'sklearn',
        'tensorflow',
    }
    assert 'pandas' in imported
    assert not imported & heavy


def test_a_file_of_ones_own(run_program, run, tmp_path):
    rng = np.random.default_rng(0)
    pairs = rng.choice(40 * 30, 500, replace=False)
    table = pd.DataFrame(
        {
            'Leserin': [f'leser{p // 30}' for p in pairs],
            'Buch': [f'b{p % 30:03d}' for p in pairs],
            'Sterne': rng.integers(1, 11, 500) / 2,
        }
    )
    table.to_csv(tmp_path / 'circle.csv', sep=';', decimal=',', index=False)
    pd.DataFrame(
        {
            'Buch': [f'b{j:03d}' for j in range(30)],
            'title': [f'Band {j}' for j in range(30)],
        }
    ).to_csv(tmp_path / 'books.csv', index=False)
    columns = [
        '--user-column',
        'Leserin',
        '--item-column',
        'Buch',
        '--rating-column',
        'Sterne',
    ]
    p = run_program(
        'train', 'circle.csv', *columns, '--titles', 'books.csv', '--out', 'own'
    )
    assert (
        p.returncode == 0
        and 'semicolons' in p.stdout
        and '0.5 to 5' in p.stdout
        and 'Band ' in p.stdout
    )
    p = run(
        'rate', 'Band 3=4,5', 'b004=1', '-k', 5, '--model', 'own/model.npz', '--json'
    )
    found = json.loads(p.stdout)
    assert len(found) == 5 and not {'b003', 'b004'} & {r['item'] for r in found}
    p = run('evaluate', 'circle.csv', *columns, '--model', 'own/model.npz', '--json')
    assert json.loads(p.stdout)['ratings'] == 500
    (tmp_path / 'other.csv').write_text(
        'Leserin;Buch;Sterne\nleser1;b001;3\nnobody;b001;3\n'
    )
    assert (
        'nobody'
        in run('evaluate', 'other.csv', *columns, '--model', 'own/model.npz').stderr
    )
    assert (
        json.loads(
            run(
                'evaluate',
                'other.csv',
                *columns,
                '--model',
                'own/model.npz',
                '--unknown',
                'ignore',
                '--json',
            ).stdout
        )['unknown']
        == 1
    )
    (tmp_path / 'bad.csv').write_text('Leserin;Buch;Sterne\nleser1;b001;gut\n')
    p = run('train', 'bad.csv', *columns)
    assert (
        p.returncode == 2
        and "line 2, column 'Sterne': 'gut' is not a rating" in p.stderr
        and p.stderr.count('\n') == 1
    )


def test_damaged_models_are_code_1(run, model, tmp_path):
    (tmp_path / 'cut.npz').write_bytes(model.read_bytes()[:2000])
    p = run('recommend', 587, '--model', 'cut.npz')
    assert p.returncode == 1 and 'damaged' in p.stderr and p.stderr.count('\n') == 1


def test_a_closed_pipe_is_no_traceback(run, model):
    p = subprocess.run(
        f'{COMMAND} recommend $(seq 1 900) --model {model} | head -1',
        shell=True,
        capture_output=True,
        text=True,
    )
    assert 'Traceback' not in p.stderr and len(p.stdout.splitlines()) == 1


def in_a_terminal(words, cwd, env, answers=(), until=None):
    """Run the command in a terminal: what it shows, and its exit code.

    Each answer is given when the text before it has been shown. A command that shows
    nothing new for a minute hangs; how long it takes in all depends on the machine.
    """
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execve(COMMAND, [str(COMMAND), *map(str, words)], env)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', 40, 100, 0, 0))
    shown, answers, deadline = '', list(answers), time.time() + 60
    while time.time() < deadline:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                piece = os.read(fd, 4096).decode(errors='replace')
            except OSError:
                break
            if not piece:
                break
            shown += piece
            deadline = time.time() + 60
        if answers and answers[0][0] in shown:
            os.write(fd, answers.pop(0)[1].encode())
    return shown, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_rate_asks_a_person(model, tmp_path):
    shown, code = in_a_terminal(
        ['rate', '--model', model, '-k', 3],
        tmp_path,
        dict(os.environ),
        [('Enter: do not know', '5\n'), (': ', '2\n'), ('): ', 'q\n')],
    )
    assert (
        code == 0
        and 'similarity' not in shown
        and ' rank ' in shown
        and len(re.findall(r'^ +[123] ', shown, flags=re.M)) == 3
    )


def test_a_bar_in_a_terminal_and_control_c(tmp_path, home):
    env = os.environ | {'MF_MOVIELENS_OFFLINE': '1'}
    shown, code = in_a_terminal(
        ['train', 'synthetic', '--n-iterations', 40, '--n-factors', 16],
        tmp_path,
        env,
        [(']\ralternating', '\x03')],
    )  # the bar's second showing: during the first, older tqdm is not yet ready
    assert code in (1, 130) and 'alternating' in shown and 'Traceback' not in shown
    shown, code = in_a_terminal(
        ['train', 'synthetic', '--n-iterations', 42, '--n-factors', 16], tmp_path, env
    )
    assert (
        code == 0 and 'saved in' in shown
    )  # more rounds of the same fit: it goes on where it was
    shown, code = in_a_terminal(
        ['rate', '--model', tmp_path / 'mf-movielens-out/model.npz'],
        tmp_path,
        env,
        [('do not know', '\x03')],
    )
    assert code in (1, 130) and 'Traceback' not in shown


def test_titles_in_any_script(run, tmp_path):
    (tmp_path / 'r.csv').write_text(
        'user,item,rating,title\n'
        + ''.join(
            f'{u},{i},{(u * i) % 5 + 1},{t}\n'
            for u in range(6)
            for i, t in enumerate(
                ['千と千尋', 'Ca$h and $ense', '1984', 'Amélie 😀', '_^{\\x}$']
            )
        )
    )
    p = run('train', 'r.csv')
    assert p.returncode == 0 and p.stderr == '' and 'map.png' in p.stdout
    assert (
        run('similar', '1984').returncode == 0
        and '千と千尋' in run('rate', '1984=5', '3=1').stdout
    )  # a title that is a number, and an id


def test_columns_can_be_declined(run, tmp_path):
    (tmp_path / 'r.csv').write_text(
        'user,item,rating,date\na,x,3,1.4.2024\nb,x,4,2.4.2024\na,y,4,2.4.2024\n'
    )
    p = run('train', 'r.csv')
    assert p.returncode == 0 and "'date' was left alone" in p.stdout
    assert (
        'left alone' not in run('train', 'r.csv', '--timestamp-column', 'none').stdout
    )
    assert "'1.4.2024'" in run('train', 'r.csv', '--timestamp-column', 'date').stderr


def test_slips_are_understood_or_said(run, model, tmp_path):
    (tmp_path / 'r.csv').write_text('user,item,rating\na,x,3\nb,x,4\na,y,4\nb,y,2\n')
    (tmp_path / 't.csv').write_text('ISBN;Titel\nz;Zett\n')
    (tmp_path / 'o.csv').write_text('this,that\nz,Zett\n')
    for words, code, said in [
        (['info', '-m', model.parent], 0, ''),
        (['train', '.'], 2, 'is a folder'),
        (['train', 'r.csv', '--titles', 'nope.csv'], 2, 'neither a file nor a column'),
        (
            ['train', 'r.csv', '--titles', 't.csv', '--item-column', 'item'],
            2,
            'none of the 2 items has a title',
        ),
        (['train', 'r.csv', '--titles', 'o.csv'], 2, 'no column holds the ids'),
        (['rate', '50=5', '50=1', '-m', model], 2, 'rated twice'),
        (['train', 'r.csv', '--reg', 'inf'], 2, 'must lie between'),
        (['train', 'r.csv', '--duplicates', 'foo'], 2, '--duplicates foo'),
        (
            ['train', 'ml-100k', '--user-column', 'x'],
            2,
            '--user-column goes with a file',
        ),
        (['evaluate', 'ml-100k', '-m', model], 2, 'does not exist'),
        (['train', 'r.csv', '--scale', '1', '3'], 2, 'outside the scale'),
        (['rate', '50 = 5', '-m', model], 0, ''),
    ]:
        p = run(*words)
        assert (
            p.returncode == code
            and said in ' '.join(p.stderr.split())
            and 'Traceback' not in p.stderr
        ), (words, p.stderr)


def test_an_honest_note_on_ratings_that_were_fitted(run, tmp_path):
    rows = [f'u{u},i{i},{(u * i) % 5 + 1}' for u in range(8) for i in range(8)]
    (tmp_path / 'r.csv').write_text('user,item,rating\n' + '\n'.join(rows) + '\n')
    assert run('train', 'r.csv').returncode == 0
    p = run('evaluate', 'r.csv', '--json')
    assert (
        json.loads(p.stdout)['seen'] == 64
        and 'fitted to' in p.stderr
        and 'left out' in p.stderr
    )
    assert run('train', 'r.csv', '--goal', 'rating').returncode == 0
    assert 'too small' in run('evaluate', 'r.csv').stderr


def test_likes_without_stars(run, tmp_path):
    (tmp_path / 'likes.csv').write_text(
        'user,item,rating\n'
        + ''.join(
            f'u{u},i{i},1\n'
            for u in range(30)
            for i in range(20)
            if (u + i) % 2 and (3 * u + i) % 5
        )
    )
    p = run('train', 'likes.csv')
    assert p.returncode == 0 and 'all ratings are equal' in p.stdout
    p = run('train', 'likes.csv', '--goal', 'rating')
    assert p.returncode == 2 and 'nothing to predict' in p.stderr
    assert 'nothing to predict' in run('train', 'likes.csv', '--solver', 'als').stderr
    (tmp_path / 'pairs.csv').write_text(
        'user,item\n'
        + ''.join(
            f'u{u},i{i}\n'
            for u in range(30)
            for i in range(20)
            if (u + i) % 2 and (3 * u + i) % 5
        )
    )
    assert '--rating-column none' in run('train', 'pairs.csv').stderr
    p = run('train', 'pairs.csv', '--rating-column', 'none')
    assert (
        p.returncode == 0
        and 'each row is a like' in p.stdout
        and len(run('rate', 'i1=1', '-k', 3).stdout.splitlines()) == 5
    )


def test_counts_are_not_taken_for_ratings(run, tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / 'plays.csv').write_text(
        'user,item,plays\n'
        + ''.join(
            f'u{u},i{i},{int(np.exp(6 * rng.random() ** 2))}\n'
            for u in range(40)
            for i in range(30)
            if (u + i) % 2
        )
    )
    p = run('train', 'plays.csv', '--rating-column', 'plays', '--scale', 1, 5000)
    assert (
        p.returncode == 2
        and 'Are they counts?' in p.stderr
        and p.stderr.count('\n') == 1
    )


def test_plays_are_counts_from_beginning_to_end(run, tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        f'u{u},i{i},{int(np.exp(7 * rng.random() ** 2))}'
        for u in range(40)
        for i in range(30)
        if u % 3 == i % 3 or rng.random() < 0.2
    ]
    head = 'user,item,plays\n'
    (tmp_path / 'plays.csv').write_text(head + '\n'.join(rows[9:]) + '\n')
    (tmp_path / 'few.csv').write_text(head + '\n'.join(rows[:9]) + '\n')
    p = run('train', 'plays.csv', '--rating-column', 'plays')
    assert p.returncode == 0 and 'counts, because' in p.stdout
    assert 'counts' in run('info').stdout
    p = run('evaluate', 'few.csv', '--rating-column', 'plays')
    assert p.returncode == 0 and 'ndcg' in p.stdout
    assert run('rate', 'i1=99999', '-k', 3).returncode == 0
    p = run('train', 'plays.csv', '--rating-column', 'plays', '--goal', 'rating')
    assert p.returncode == 2 and '--goal ranking' in p.stderr
    assert '--kind stars' in p.stderr


def test_what_is_asked_can_be_answered_from_the_message(run, tmp_path):
    rng = np.random.default_rng(0)
    pairs = [(u, i) for u in range(40) for i in range(30) if (u + i) % 2]
    shapes = {
        'pieces': rng.choice([1, 2, 3], len(pairs), p=[0.7, 0.2, 0.1]),
        'shelf': rng.choice([-1, 3, 4, 5], len(pairs)),
        'slip': np.r_[11, rng.integers(1, 6, len(pairs) - 1)],
    }
    answers = {
        'pieces': '--kind counts',
        'shelf': '--missing -1',
        'slip': '--scale 1 11',
    }
    for name, numbers in shapes.items():
        rows = [f'u{u},i{i},{x}\n' for (u, i), x in zip(pairs, numbers)]
        (tmp_path / f'{name}.csv').write_text('user,item,rating\n' + ''.join(rows))
        p = run('train', f'{name}.csv', '--no-evaluate')
        assert p.returncode == 2 and answers[name] in p.stderr
        assert p.stderr.count('\n') == 1
        p = run('train', f'{name}.csv', '--no-evaluate', *answers[name].split())
        assert p.returncode == 0 and p.stderr == ''


def test_somebody_who_likes_nothing_is_told_so(run, model):
    p = run('rate', '50=1', '--model', model)
    assert (
        p.returncode == 0
        and 'most popular items' in p.stderr
        and len(p.stdout.splitlines()) == 12
    )
    assert run('rate', '50=4', '--model', model).stderr == ''


def test_stale_plots_go(run, tmp_path):
    assert (
        run(
            'train',
            'synthetic',
            '--n-factors',
            2,
            '--n-iterations',
            1,
            '--goal',
            'rating',
            '--out',
            'o',
        ).returncode
        == 0
    )
    assert (tmp_path / 'o/map.png').exists() and (tmp_path / 'o/predicted.png').exists()
    assert (
        run(
            'train', 'synthetic', '--n-factors', 1, '--n-iterations', 1, '--out', 'o'
        ).returncode
        == 0
    )
    assert (
        not (tmp_path / 'o/map.png').exists()
        and not (tmp_path / 'o/predicted.png').exists()
        and json.loads(run('info', '-m', 'o', '--json').stdout)['is_real'] is False
    )


def test_fitted_once_from_what_was_kept(run, run_program, tmp_path):
    from mf_movielens.data import synthetic
    from mf_movielens.encoding import Ratings
    from mf_movielens.shards import write_shards

    table = synthetic().ratings.head(20_000)
    table.to_csv(tmp_path / 'a.csv', index=False)
    write_shards(Ratings.from_frame(table), tmp_path / 'shards')
    settings = ['--no-evaluate', '--n-factors', 4, '--n-iterations', 2]
    reports = []
    # what one process has kept, another one reads
    for start, source, more in (
        (run, 'a.csv', ['--cache']),
        (run_program, 'a.csv', ['--cache']),
        (run, 'shards', []),
    ):
        p = start('train', source, *more, *settings, '--json', '--out', 'out')
        assert p.returncode == 0, p.stderr
        reports.append(
            json.loads(p.stdout)['settings'] | {'kept': 'read before' in p.stderr}
        )
        assert (
            not (tmp_path / 'out/predicted.png').exists()
            and (tmp_path / 'out/model.npz').exists()
            and json.loads(p.stdout)['metrics'] is None
        )
    assert [r['kept'] for r in reports] == [False, True, False] and len(
        {r['fingerprint'] for r in reports}
    ) == 1


@pytest.fixture(scope='module')
def books(tmp_path_factory):
    "A saved model whose ids and titles are hard to tell."
    from mf_movielens.encoding import Ratings
    from mf_movielens.recommender import Recommender

    table = pd.DataFrame(
        {
            'user_id': [-3, -3, 7, 7, 8, 8],
            'item_id': [1, 2, 1, 3, 2, 3],
            'rating': [1.0, 5, 4, 3, 2, 5],
        }
    )
    titles = {1: 'Dune', 2: 'Dune', 3: 'Sch\u00f6n \x1b]0;gotcha\x07\x1b[31mred'}
    return Recommender.fit(
        Ratings.from_frame(table, item='item_id', titles=titles), n_factors=2
    ).save(tmp_path_factory.mktemp('b') / 'model.npz')


@pytest.fixture(scope='module')
def stars(books, tmp_path_factory):
    "A model that predicts ratings of the same books."
    from mf_movielens.encoding import Ratings
    from mf_movielens.recommender import Recommender

    known = Recommender.load(books)
    table = known.seen.tocoo()
    ratings = Ratings(
        table.row.astype('int32'),
        table.col.astype('int32'),
        table.data,
        known.users,
        known.items,
        known.predictor.scale,
        titles=known.titles,
    )
    return Recommender.fit(ratings, 'als', n_factors=2).save(
        tmp_path_factory.mktemp('s') / 'model.npz'
    )


def test_ids_are_what_is_written(run, books):
    for word in ('007', '\u0667', '+7', '7.0', '9' * 5_000):
        p = run('recommend', word, '--model', books)
        assert (
            p.returncode == 2
            and 'is not among' in p.stderr
            and p.stderr.count('\n') == 1
        )
    assert 'Did you mean 7?' in run('recommend', '007', '--model', books).stderr
    assert run('recommend', '--model', books, '--', '-3').returncode == 0


def test_titles_do_not_steer_the_terminal(run, books):
    for words in (
        ['recommend', '-k', 3, '--include-seen', '--', 7],
        ['similar', 1, '--min-ratings', 0],
        ['rate', '1=5'],
    ):
        p = run(words[0], '--model', books, *words[1:])
        assert (
            p.returncode == 0
            and 'red' in p.stdout
            and '\x1b' not in p.stdout
            and '\x07' not in p.stdout
        )
    assert '\x1b' not in run('rate', '--model', books, input='q\n').stderr


def test_json_is_whole_in_any_terminal(run_program, books):
    p = run_program(
        'rate',
        '1=5',
        '--model',
        books,
        '--json',
        env=os.environ | {'PYTHONIOENCODING': 'ascii'},
    )
    assert any(row['title'].startswith('Sch\u00f6n') for row in json.loads(p.stdout))


def test_nobody_at_the_keyboard(books, tmp_path):
    p = subprocess.run(
        f'{COMMAND} rate --model {books} <&-',
        shell=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (
        p.returncode == 2
        and 'nothing was rated' in p.stderr
        and 'Traceback' not in p.stderr
    )


def test_what_to_try_next_can_be_typed(run, tmp_path):
    (tmp_path / 'r.csv').write_text(
        'user,item,rating,title\n-3,1,4,Dune\n-3,2,1,Dune\n7,1,5,Dune\n7,3,2,Emma\n'
    )
    p = run('train', 'r.csv', '--no-evaluate', '--n-factors', 2)
    assert p.returncode == 0
    *lines, serve = p.stdout.split('now try:\n')[1].strip().splitlines()
    assert [line.split()[1] for line in lines] == ['recommend', 'similar', 'rate']
    # it does not end by itself; tests of the server start it
    assert serve.endswith('mf-movielens serve')
    for line in lines:
        # by the shell once, as words otherwise
        if line == lines[0]:
            typed = line.replace('mf-movielens', str(COMMAND), 1)
            done = subprocess.run(typed, shell=True, cwd=tmp_path, capture_output=True)
        else:
            name, *words = shlex.split(line)
            assert name == 'mf-movielens'
            done = run(*words)
        assert done.returncode == 0, line


@pytest.mark.parametrize('missing', [None, 'fastapi', 'uvicorn'])
def test_train_names_the_server_and_what_it_needs(run, tmp_path, monkeypatch, missing):
    import mf_movielens.cli as cli

    found = {'fastapi', 'uvicorn'} - {missing}
    monkeypatch.setattr(cli, 'find_spec', lambda name: name in found or None)
    (tmp_path / 'r.csv').write_text('user,item,rating\n1,1,4\n1,2,1\n2,1,5\n2,3,2\n')
    p = run('train', 'r.csv', '--no-evaluate', '--n-factors', 2, '--out', 'a b')
    line = p.stdout.rstrip().splitlines()[-1].strip()
    *install, command = line.split(' && ')
    assert shlex.split(command) == ['mf-movielens', 'serve', 'a b/model.npz']
    assert install == (["pip install 'mf_movielens[serve]'"] if missing else [])


def test_settings_are_rounded_for_people_only(run, tmp_path):
    rng = np.random.default_rng(0)
    pairs = rng.permutation(30 * 20)[:300]
    table = {'user': pairs // 20, 'item': pairs % 20, 'rating': rng.integers(1, 6, 300)}
    pd.DataFrame(table).to_csv(tmp_path / 'r.csv', index=False)
    words = ['--no-evaluate', '--n-factors', 2, '--goal', 'rating', '--out', 'm']
    (line,) = re.findall(
        '^by the data: (.*)$', run('train', 'r.csv', *words).stdout, re.M
    )
    shown = dict(setting.split() for setting in line.split(', '))
    kept = json.loads(run('info', '--model', 'm/model.npz', '--json').stdout)
    info = run('info', '--model', 'm/model.npz').stdout
    for name in ('reg', 'damping', 'item_damping'):
        assert shown[name] == f'{kept[name]:.4g}' != repr(kept[name])
        assert re.search(rf'^{name} +{re.escape(shown[name])}$', info, re.M)


def test_one_unknown_user_costs_no_other_their_list(run, model):
    known = run('recommend', 587, 655, '-k', 2, '--model', model)
    assert known.returncode == 0
    p = run('recommend', 587, 'nope', 655, 99999, '-k', 2, '--model', model)
    assert p.returncode == 3
    assert p.stdout == known.stdout
    assert p.stderr.startswith("error: user 'nope' is not among")
    assert '1 more' in p.stderr and p.stderr.count('\n') == 1
    p = run('recommend', 587, 99999, '-k', 2, '--json', '--model', model)
    assert p.returncode == 3
    assert [row['user'] for row in json.loads(p.stdout)] == [587, 587]
    p = run('recommend', 99998, 99999, '--model', model)
    assert (p.returncode, p.stdout) == (2, '')
    assert '`rate` recommends to new users' in p.stderr
    p = run('recommend', '0587', '--model', model)
    assert 'Did you mean 587?' in p.stderr and '`rate`' not in p.stderr


def test_one_unknown_item_costs_no_other_its_prediction(run, stars):
    known = run('predict', 7, 1, 3, '--model', stars)
    assert known.returncode == 0
    p = run('predict', 7, 1, 'Nope', 3, '--model', stars)
    assert (p.returncode, p.stdout) == (3, known.stdout)
    assert "'Nope'" in p.stderr and p.stderr.count('\n') == 1
    p = run('predict', 7, 'Nope', 99, '--model', stars)
    assert (p.returncode, p.stdout) == (2, '')
    p = run('predict', 6, 1, '--model', stars)
    assert (p.returncode, p.stdout) == (2, '')


def test_unknown_items_of_a_new_user(run, books):
    p = run('rate', '1=5', 'Nope=3', '--model', books)
    assert (p.returncode, p.stdout) == (2, '')
    assert "'Nope'" in p.stderr and '--unknown ignore' in p.stderr
    known = run('rate', '1=5', '--model', books)
    assert known.stdout.startswith("rated 'Dune' (id 1) 5\n")
    p = run('rate', '1=5', 'Nope=3', '--unknown', 'ignore', '--model', books)
    assert (p.returncode, p.stdout) == (0, known.stdout)
    assert p.stderr == 'note: unknown, and left out: Nope\n'
    p = run('rate', 'Nope=3', '--unknown', 'ignore', '--model', books)
    assert (p.returncode, p.stdout) == (2, '')
    assert run('rate', '1=5', '--unknown', 'no', '--model', books).returncode == 2


def test_what_was_understood_is_said_first(run, stars):
    first = run('similar', 3, '--min-ratings', 3, '--model', stars).stdout
    assert first.startswith('similar to ')
    assert '(id 3); 2 items with fewer than 3 ratings left out\n' in first
    explained = run('explain', 7, 1, '--model', stars).stdout
    assert explained.startswith("user 7, 'Dune' (id 1)\n")


DAY = 86_400


@pytest.fixture(scope='module')
def timed(tmp_path_factory):
    """A model that knows of time, where the day is all that matters; and a test.

    On even days everybody gives four or five stars, on odd days one or two.
    """
    from mf_movielens.encoding import Ratings
    from mf_movielens.recommender import Recommender

    rng = np.random.default_rng(0)
    user, item = np.nonzero(rng.random((40, 30)) < 0.6)
    day = rng.integers(0, 20, len(user))
    table = pd.DataFrame({'user': user, 'item': item})
    table['rating'] = np.where(day % 2, 1, 4) + rng.integers(0, 2, len(user))
    table['timestamp'] = DAY * (10_000 + day)
    is_test = rng.random(len(user)) < 0.1
    ratings = Ratings.from_frame(table[~is_test], scale=(1, 5))
    few = {'n_factors': 1, 'n_burn_in': 10, 'n_samples': 20, 'progress': False}
    model = Recommender.fit(ratings, 'bayes', **few)
    path = model.save(tmp_path_factory.mktemp('timed') / 'model.npz')
    return path, model, table[is_test], ratings


def test_evaluate_uses_the_timestamps_of_a_file(call, timed, tmp_path):
    path, model, test, _ = timed
    test.to_csv(tmp_path / 'test.csv', index=False)
    predicted = model.predict(test, timestamp=test.timestamp.to_numpy())
    rmse = np.sqrt(np.mean((predicted - test.rating) ** 2))
    code, out, err = call('evaluate', 'test.csv', '-m', path, '--json')
    found = json.loads(out)
    assert (code, 'note' in err) == (0, False)
    assert np.isclose(found['rmse'], rmse)
    inside = model.intervals(test, timestamp=test.timestamp.to_numpy())
    covered = (inside.low <= test.rating) & (test.rating <= inside.high)
    assert np.isclose(found['covered_90'], covered.mean())
    words = ['evaluate', 'test.csv', '-m', path, '--json']
    code, out, err = call(*words, '--timestamp-column', 'none')
    untimed = json.loads(out)
    assert 'note: the model knows of time' in err
    expected = np.sqrt(np.mean((model.predict(test) - test.rating) ** 2))
    assert np.isclose(untimed['rmse'], expected)
    assert rmse < 0.8 < 1.2 < expected
    ranks = ('ndcg', 'users', 'liked_from')
    assert [found[name] for name in ranks] == [untimed[name] for name in ranks]


def test_the_report_of_train_is_without_time_throughout(timed):
    "Its errors are, so its intervals are, too."
    from mf_movielens.solvers import SOLVERS
    from mf_movielens.splits import random_split
    from mf_movielens.workflow import evaluate_on_held_out

    ratings = timed[3]
    few = {'n_factors': 1, 'n_burn_in': 2, 'n_samples': 10, 'progress': False}
    fitted = []

    def fit(*args, **settings):
        fitted.append(timed[1].fit(*args, **settings))
        return fitted[-1]

    report = evaluate_on_held_out(ratings, SOLVERS['bayes'], few, fit=fit)
    test = random_split(ratings).test
    pairs = test.user_ix, test.item_ix, test.rating
    expected = fitted[0].predictor.interval_coverage(*pairs)
    timed_coverage = fitted[0].predictor.interval_coverage(
        *pairs, timestamp=test.timestamp
    )
    assert report.interval_coverage == expected != timed_coverage


def test_the_interval_of_an_error_in_the_report_is_that_of_whole_users(timed):
    from mf_movielens.metrics import error_interval
    from mf_movielens.solvers import SOLVERS
    from mf_movielens.workflow import evaluate_on_held_out

    few = {'n_factors': 1, 'progress': False}
    report = evaluate_on_held_out(timed[3], SOLVERS['als'], few)
    errors = report.test.rating, report.predicted
    expected = error_interval(*errors, groups=report.test.user_ix)
    found = report.table.iloc[-1][['rmse', 'low', 'high']]
    assert np.allclose(found.astype(float), expected)
    assert not np.allclose(expected, error_interval(*errors))


def test_predict_answers_for_the_pairs_and_timestamps_of_a_file(call, timed, tmp_path):
    path, model, test, _ = timed
    test.to_csv(tmp_path / 'test.csv', index=False)
    words = ['predict', '--pairs', 'test.csv', '-m', path, '--json']
    code, out, err = call(*words)
    assert code == 0
    assert err.startswith('test.csv: ') and err.count('\n') == 1
    found = pd.DataFrame(json.loads(out))
    times = test.timestamp.to_numpy()
    assert found.user.tolist() == test.user.tolist()
    assert found.item.tolist() == test.item.tolist()
    assert found.rating.tolist() == test.rating.tolist()
    assert np.allclose(found.prediction, model.predict(test, timestamp=times))
    assert np.allclose(found.low, model.intervals(test, timestamp=times).low)
    chances = model.probabilities(test, timestamp=times)
    assert np.allclose(found['P(5)'], chances[5.0])
    code, out, err = call(*words, '--timestamp-column', 'none')
    assert 'note: these pairs have no timestamps' in err
    predictions = [row['prediction'] for row in json.loads(out)]
    assert np.allclose(predictions, model.predict(test))
    # without ratings, and with pairs that nobody knows
    half_known = pd.concat([test, test.head(2).assign(user=999)])
    half_known = half_known.drop(columns='rating')
    half_known.to_csv(tmp_path / 'test.csv', index=False)
    words += ['--rating-column', 'none']
    code, out, err = call(*words)
    assert (code, out) == (2, '')
    assert '999' in err and '--unknown ignore' in err
    code, out, err = call(*words, '--unknown', 'ignore')
    again = pd.DataFrame(json.loads(out))
    assert 'note: 2 pairs are unknown' in err
    assert again.equals(found.drop(columns='rating'))


def test_predict_for_a_moment(call, timed):
    path, model, _, _ = timed
    words = ['predict', 3, 4, 5, '-m', path, '--json', '--timestamp']
    odd_day = DAY * 10_001
    expected = model.predict(3, [4, 5], timestamp=odd_day)
    for moment in (odd_day, '1997-05-20', '1997-05-20 00:00:00'):
        code, out, _ = call(*words, moment)
        assert code == 0
        predictions = [row['prediction'] for row in json.loads(out)]
        assert np.allclose(predictions, expected)
    assert (expected < 3).all()
    for wrong in ('soon', '1997-13-45', '9' * 30):
        assert call(*words, wrong)[0] == 2


def test_predict_takes_a_user_with_items_or_a_file(call, timed, tmp_path):
    path, _, test, _ = timed
    test.to_csv(tmp_path / 'test.csv', index=False)
    for words in (
        ['predict'],
        ['predict', 3],
        ['predict', 3, 4, '--pairs', 'test.csv'],
        ['predict', '--pairs', 'test.csv', '--timestamp', '5'],
        ['predict', '--pairs', 'nowhere.csv'],
    ):
        code, out, _ = call(*words, '-m', path)
        assert (code, out) == (2, '')


def test_a_model_without_time_leaves_timestamps_alone(call, stars, tmp_path):
    test = pd.DataFrame({'user': [7, 8], 'item': [2, 1], 'rating': [4, 5]})
    test.to_csv(tmp_path / 'bare.csv', index=False)
    test.assign(timestamp=[5, 6]).to_csv(tmp_path / 'dated.csv', index=False)
    for words in (['evaluate'], ['predict', '--pairs']):
        bare, dated = (
            call(*words, name, '-m', stars, '--json')
            for name in ('bare.csv', 'dated.csv')
        )
        assert bare[:2] == dated[:2]
        assert bare[0] == 0
    assert (
        'makes nothing of timestamps'
        in call('predict', 7, 2, '--timestamp', 5, '-m', stars)[2]
    )


@pytest.fixture(scope='module')
def likes_and_stars(tmp_path_factory):
    "A model of likes, and held-out stars, from 0 to 10, of the same pairs and others."
    from mf_movielens.encoding import Ratings
    from mf_movielens.recommender import Recommender

    rng = np.random.default_rng(0)
    user, item = np.nonzero(rng.random((30, 25)) < 0.5)
    table = pd.DataFrame({'user': user, 'item': item})
    table['rating'] = rng.integers(0, 11, len(user))
    is_test = rng.random(len(user)) < 0.3
    likes = table[~is_test].assign(rating=1)
    model = Recommender.fit(Ratings.from_frame(likes), n_factors=3)
    path = model.save(tmp_path_factory.mktemp('likes') / 'model.npz')
    return path, model, table[is_test]


def recall_of(model, test, liked):
    "Mean recall of the first ten, and for how many users."
    lists = model.recommend().groupby('user').item.agg(set)
    wanted = test[test.rating >= liked].groupby('user').item.agg(set)
    shares = [len(wanted[u] & lists[u]) / len(wanted[u]) for u in wanted.index]
    return np.mean(shares), len(shares)


@pytest.mark.parametrize('liked', [None, 4, 9.5])
def test_stars_judge_a_model_of_likes(call, likes_and_stars, tmp_path, liked):
    path, model, test = likes_and_stars
    test.to_csv(tmp_path / 'test.csv', index=False)
    option = [] if liked is None else ['--liked', liked]
    words = ['evaluate', 'test.csv', '-m', path, '--json', *option]
    code, out, err = call(*words)
    found = json.loads(out)
    threshold = 7.5 if liked is None else liked
    recall, n_users = recall_of(model, test, threshold)
    assert code == 0
    assert found['liked_from'] == threshold
    assert found['users'] == n_users
    assert np.isclose(found['recall'], recall)
    assert f'a rating of {threshold:g} or more counts as liked (--liked' in err


def test_what_counts_as_liked_can_be_set_for_stars(call, likes_and_stars, tmp_path):
    from mf_movielens.encoding import Ratings
    from mf_movielens.recommender import Recommender

    _, _, test = likes_and_stars
    table = test.assign(rating=test.rating.clip(1, 5))
    ratings = Ratings.from_frame(table[::2], scale=(1, 5))
    model = Recommender.fit(ratings, n_factors=2)
    held_out = table[1::2]
    known = held_out.user.isin(ratings.users.index) & held_out.item.isin(
        ratings.items.index
    )
    held_out = held_out[known]
    as_read = Ratings.from_frame(held_out, scale=(1, 5))
    for liked, threshold in ((None, 4), (2, 2), (5, 5)):
        found = model.evaluate(as_read, liked=liked)
        recall, n_users = recall_of(model, held_out, threshold)
        assert (found.liked_from, found.users) == (threshold, n_users)
        assert np.isclose(found.recall, recall)
    # another scale than the model's needs to be told what is liked
    (tmp_path / 'o').mkdir()
    own = model.save(tmp_path / 'o' / 'model.npz')
    held_out.assign(rating=20 * held_out.rating).to_csv('percent.csv', index=False)
    words = ['evaluate', 'percent.csv', '-m', own, '--json']
    code, out, err = call(*words)
    assert (code, out) == (2, '')
    assert 'outside the scale of the model, 1 to 5' in err and '--liked' in err
    found = json.loads(call(*words, '--liked', 80)[1])
    expected = recall_of(model, held_out, 4)
    assert np.allclose([found['recall'], found['users']], expected)
    for wrong in ('nan', 'inf'):
        assert call(*words, '--liked', wrong)[0] == 2
    nothing = call(*words, '--liked', 101)
    assert nothing[0] == 0 and 'nothing counts as liked' in nothing[2]


@pytest.mark.parametrize('of_model', ['likes', 'counts'])
def test_counts_and_stars_judge_models_of_other_kinds(likes_and_stars, of_model):
    from mf_movielens.encoding import Ratings, RatingsError
    from mf_movielens.recommender import Recommender

    _, model, test = likes_and_stars
    if of_model == 'counts':
        rows, columns = model.seen.tocoo().coords
        frame = pd.DataFrame(
            {
                'user': model.users.decode(rows),
                'item': model.items.decode(columns),
                'rating': 1 + rows % 7,
            }
        )
        ratings = Ratings.from_frame(frame, kind='counts')
        model = Recommender.fit(ratings, n_factors=3)
    counts = Ratings.from_frame(test.assign(rating=test.rating + 1), kind='counts')
    likes = Ratings.from_frame(test.assign(rating=1))
    for judge, least in ((counts, 1), (likes, 1)):
        found = model.evaluate(judge)
        assert found.liked_from == least
        assert np.allclose([found.recall, found.users], recall_of(model, test, 0))
    stars = Ratings.from_frame(test, scale=(0, 10), kind='stars')
    found = model.evaluate(stars, liked=6)
    assert np.allclose([found.recall, found.users], recall_of(model, test, 6))
    if of_model == 'counts':
        with pytest.raises(RatingsError, match='liked=') as asked:
            model.evaluate(stars)
        assert "kind='counts'" in str(asked.value)


def test_counts_do_not_judge_predicted_ratings(stars):
    from mf_movielens.encoding import Ratings, RatingsError
    from mf_movielens.recommender import Recommender

    test = pd.DataFrame({'user': [7, 8], 'item': [2, 1], 'rating': [4, 5]})
    with pytest.raises(RatingsError, match="kind='stars'"):
        Recommender.load(stars).evaluate(Ratings.from_frame(test, kind='counts'))


def test_predicted_ratings_are_judged_on_their_own_scale(call, stars, tmp_path):
    "An error in stars cannot be computed from percents."
    (tmp_path / 'percent.csv').write_text('user,item,rating\n7,2,80\n8,1,100\n')
    code, _, err = call('evaluate', 'percent.csv', '-m', stars, '--liked', 80)
    assert code == 2
    assert 'outside the scale' in err


def test_no_item_has_so_many_ratings(run, model):
    assert (
        'a smaller --min-ratings'
        in run('similar', '1', '--min-ratings', '100000', '--model', model).stdout
    )


@pytest.mark.parametrize(
    'option',
    [
        ['--scale', '0', '10'],
        ['--duplicates', 'last'],
        ['--user-column', 'x'],
        ['--cache'],
    ],
)
def test_a_folder_of_shards_takes_no_options_of_a_table(run, tmp_path, option):
    pytest.importorskip('pyarrow')
    from mf_movielens.shards import shard_file

    (tmp_path / 'r.csv').write_text('user,item,rating\na,1,4\na,2,1\nb,1,5\nb,3,2\n')
    shard_file(tmp_path / 'r.csv', tmp_path / 'sh')
    p = run('train', 'sh', *option)
    assert p.returncode == 2 and f'{option[0]} goes with a table of ratings' in p.stderr
    assert run('train', 'sh', '--no-evaluate', '--n-factors', '2').returncode == 0


def test_a_setting_that_a_solver_lacks_is_refused_before_the_data_are_read(run):
    refused = run('train', 'synthetic', '--solver', 'ease', '--n-factors', 3)
    assert refused.returncode == 2
    assert refused.stdout == ''
    assert (
        refused.stderr == 'error: --n-factors is no setting of ease, which has --reg\n'
    )


def test_settings_are_searched_and_the_trials_are_kept(run, tmp_path):
    frame = pd.DataFrame(
        {'user': np.repeat(np.arange(60), 20), 'item': np.tile(np.arange(20), 60)}
    )
    rng = np.random.default_rng(0)
    likes = frame.sample(700, random_state=0).assign(rating=1)
    likes = likes[(likes.user % 2 == likes.item % 2) | (rng.random(700) < 0.2)]
    likes.to_csv(tmp_path / 'plays.csv', index=False)
    command = ['train', 'plays.csv', '--tune', '--trials', 3, '--solver', 'ials']
    command += ['--seed', 3]
    done = run(*command, '--out', 'out')
    assert done.returncode == 0, done.stderr
    assert 'n_factors × 2' in done.stdout
    assert 'a new best gains more than that, a blend anything' in done.stdout
    assert 'it was the best of 3 trials' in done.stdout
    files = {path.name for path in (tmp_path / 'out').iterdir()}
    assert {'model.npz', 'trials.csv', 'tuning.png'} <= files
    assert not any('checkpoint' in name for name in files)
    trials = pd.read_csv(tmp_path / 'out' / 'trials.csv')
    best = trials[trials.best].iloc[-1]
    summary = json.loads((tmp_path / 'out' / 'metrics.json').read_text())
    assert summary['settings']['reg'] == best.reg
    assert summary['settings']['solver'] == 'ials'
    assert summary['settings']['seed'] == 3


def test_item_weights_go_all_the_way(run):
    trained = run('train', 'synthetic', '--solver', 'ease', '--out', 'o')
    assert trained.returncode == 0, trained.stderr
    assert 'with ease' in trained.stdout and ' factors' not in trained.stdout
    assert 'map.png' in trained.stdout
    *commands, serve = re.findall(r'^  (mf-movielens .*)$', trained.stdout, re.M)
    assert serve.split()[:2] == ['mf-movielens', 'serve']
    assert [command.split()[1] for command in commands] == [
        'recommend',
        'similar',
        'rate',
    ]
    answers = [run(*shlex.split(command)[1:]) for command in commands]
    assert [answer.returncode for answer in answers] == [0, 0, 0]
    assert [len(answer.stdout.splitlines()) for answer in answers] == [11, 12, 12]
    best = json.loads(run('recommend', 1, '-m', 'o', '--json').stdout)[0]
    explained = run('explain', 1, best['item'], '-m', 'o', '-k', 10**4, '--json')
    parts = json.loads(explained.stdout)
    assert {part['part'] for part in parts[:-1]} == {'a rating'}
    assert abs(parts[-1]['score'] - best['score']) < 1e-5
    few = json.loads(
        run('explain', 1, best['item'], '-m', 'o', '-k', 2, '--json').stdout
    )
    assert few[2]['part'] == f'{len(parts) - 3} more ratings'
    rest = sum(part['score'] for part in parts[2:-1])
    assert abs(few[2]['score'] - rest) < 1e-5 and few[3] == parts[-1]
    info = json.loads(run('info', '-m', 'o', '--json').stdout)
    assert info['solver'] == 'ease' and info['factors'] == 0


def test_too_many_items_for_weights_are_refused_at_once(run, tmp_path):
    lines = [f'{item % 9},{item},{item % 5 + 1}' for item in range(300_000)]
    (tmp_path / 'r.csv').write_text('\n'.join(['user,item,rating', *lines]))
    refused = run('train', 'r.csv', '--solver', 'ease')
    assert refused.returncode == 1
    assert 'error: there is not enough memory: weights between' in refused.stderr
    assert '--solver ials' in refused.stderr


def test_a_fault_of_the_program_is_one_line_and_a_report(run, home, model, monkeypatch):
    from mf_movielens.recommender import Recommender

    def broken(*args, **kwargs):
        return {}['secret']

    monkeypatch.setattr(Recommender, 'recommend', broken)
    p = run('recommend', 1, '--model', model)
    assert p.returncode == 1 and p.stderr.count('\n') == 1
    assert "fault of the program (KeyError: 'secret')" in p.stderr
    assert '/issues' in p.stderr
    (report,) = (home / 'reports').iterdir()
    assert str(report) in p.stderr
    text = report.read_text()
    assert 'Traceback' in text and 'in broken' in text and 'recommend 1' in text
    # Where nothing can be written, the report is shown.
    (home / 'reports').rename(home / 'old')
    (home / 'reports').write_text('a file')
    p = run('recommend', 1, '--model', model)
    assert p.returncode == 1 and 'in broken' in p.stderr
    assert p.stderr.splitlines()[-1].startswith('error: this is a fault')


def test_new_items_are_recommended_and_explained_by_features(run, tmp_path):
    rng = np.random.default_rng(0)
    genre, taste = rng.integers(4, size=80), rng.integers(4, size=120)
    likes = rng.random((120, 80)) < np.where(taste[:, None] == genre, 0.6, 0.05)
    likes[:, 70:] = False
    user, item = np.nonzero(likes)
    stars = rng.integers(3, 6, len(user))
    rows = pd.DataFrame({'user': user, 'item': item, 'rating': stars})
    rows.to_csv(tmp_path / 'r.csv', index=False)
    films = pd.DataFrame({'item': range(80), 'genre': np.array([*'abcd'])[genre]})
    films.to_csv(tmp_path / 'films.csv', index=False)
    words = ('--kind', 'stars', '--item-features', 'films.csv', '--no-evaluate')
    assert run('train', 'r.csv', *words).returncode == 0
    fan = next(u for u in range(120) if taste[u] in genre[70:])
    asked = ('recommend', fan, '-k', 1, '--where', 'n_ratings == 0', '--json')
    (best,) = json.loads(run(*asked).stdout)
    assert best['is_new'] and genre[best['item']] == taste[fan]
    parts = json.loads(run('explain', fan, best['item'], '--json').stdout)
    feature = f'genre: {"abcd"[taste[fan]]}'
    assert [p['feature'] for p in parts if p['part'] == 'a feature'] == [feature]


def test_a_model_no_better_than_popularity_is_sent_to_a_search(call, tmp_path):
    """Likes at random: no settings help, and a search does not promise any."""
    rng = np.random.default_rng(0)
    pairs = rng.choice(150 * 80, 1200, replace=False)
    frame = pd.DataFrame({'user': pairs // 80, 'item': pairs % 80, 'rating': 1})
    frame.to_csv('likes.csv', index=False)
    code, out, err = call('train', 'likes.csv', '--out', 'm')
    assert code == 0, err
    advice = next(line for line in out.split('\n') if 'than popularity here' in line)
    assert advice.endswith('is tried by --tune') and 'larger' not in advice
    code, out, err = call('train', 'likes.csv', '--out', 'm', '--tune', '--trials', 2)
    advice = next(line for line in out.split('\n') if 'than popularity here' in line)
    assert code == 0 and advice.endswith('too few ratings')
