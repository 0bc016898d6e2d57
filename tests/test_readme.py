"""What README.md says about ratings of one's own works as it stands there."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'tools'))
from book import NBS, PATHS, chapters, minutes_to_read, read, settings


def blocks(language):
    """Code blocks of the section on ratings of one's own."""
    section = (
        (ROOT / 'README.md')
        .read_text(encoding='utf-8')
        .split('## Your own ratings')[1]
        .split('\n## ')[0]
    )
    return re.findall(rf'```{language}\n(.*?)```', section, flags=re.S)


def make_circle():
    """Write circle.csv as the hidden cell of the front page does."""
    cells = json.loads((ROOT / 'nbs/index.ipynb').read_text(encoding='utf-8'))['cells']
    sources = [''.join(cell['source']) for cell in cells]
    (source,) = [s for s in sources if 'A synthetic book club' in s]
    here = "type('here', (), {'name': os.getcwd()})"
    source = source.replace('tempfile.TemporaryDirectory()', here)
    exec(source, {'np': np, 'pd': pd})


def test_the_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_circle()
    text, serving = blocks('sh')
    commands = [line for line in text.splitlines() if not line.startswith('pip ')]
    assert len(commands) == 3 and len(text.splitlines()) == 4
    path = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
    for command in commands:
        p = subprocess.run(
            command,
            shell=True,
            capture_output=True,
            text=True,
            env=os.environ | {'PATH': path},
        )
        assert p.returncode == 0 and not p.stderr, command + p.stderr
        rows = p.stdout.splitlines()[-10:]
    # Ten books for a new user.
    assert [row.split()[0] for row in rows] == [str(n) for n in range(1, 11)]
    install, serve = serving.splitlines()
    assert install == "pip install '.[serve]'"
    ask_server(serve, os.environ | {'PATH': path})


def ask_server(command, env):
    "Start a server, which tells its address, and ask it for recommendations."
    pytest.importorskip('fastapi', reason="pip install -e '.[serve]'")
    for name in ('DISPLAY', 'WAYLAND_DISPLAY'):
        env.pop(name, None)
    process = subprocess.Popen(
        command.split(), stdout=subprocess.PIPE, text=True, env=env
    )
    try:
        address = re.search(r'http://\S+', process.stdout.readline())[0]
        with urlopen(f'{address}api/recommend?user=anna&k=3', timeout=30) as answer:
            found = json.load(answer)
        with urlopen(address, timeout=30) as page:
            assert b'<html' in page.read()
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert [row['rank'] for row in found['recommendations']] == [1, 2, 3]


def test_the_copy_is_that_of_the_repository():
    config = settings()
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    assert re.findall(r'^git clone (.*)$', text, re.M) == [config['git_url']]
    assert re.findall(r'^cd (.*)$', text, re.M) == [config['repo']]


def test_paths_through_the_book_name_chapters_and_minutes():
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    section = text.split('## Paths through the book')[1].split('\n## ')[0]
    lines = re.findall(r'- \*\*(.*)\*\*, (\d+) minutes to read: (.*)', section)
    assert [name for name, _, _ in lines] == [*PATHS]
    for name, minutes, links in lines:
        stems = re.findall(r'/nbs/(\w+)\.ipynb\)', links)
        assert stems == PATHS[name]
        cells = [cell for stem in stems for cell in read(NBS / f'{stem}.ipynb').cells]
        assert abs(minutes_to_read(cells) - int(minutes)) < 6
    assert 50 <= int(dict(line[:2] for line in lines)['Learn in an hour']) <= 65


def test_every_chapter_is_listed():
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    section = text.split('## The chapters')[1].split('\n## ')[0]
    listed = re.findall(r'/nbs/(\w+\.ipynb)\)', section)
    assert listed == [path.name for path in chapters()]


def test_the_python(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_circle()
    (text,) = blocks('python')
    assert len(text.strip().splitlines()) <= 10
    with contextlib.redirect_stdout(io.StringIO()):
        exec(text, {})
    assert (tmp_path / 'circle.npz').exists()


def test_it_begins_as_the_file_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_circle()
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    beginning = text.split('It begins:')[1].split('```')[1].lstrip()
    assert len(beginning.splitlines()) == 4
    assert (tmp_path / 'circle.csv').read_text('utf-8').startswith(beginning)
