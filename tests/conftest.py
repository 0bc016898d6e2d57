"""Settings and fixtures that several files of tests use."""

import io
import os
import signal
import sys
import time
import zipfile
from pathlib import Path

import pytest
from hypothesis import settings

# Machines are shared: how fast something is, is measured in the benchmarks.
settings.register_profile('no deadline', deadline=None)
settings.load_profile('no deadline')

# Ctrl-C reaches the tests, and the programs that they start, also where they run in
# the background of a shell, which ignores it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty archive folder for one test; the network is left alone."""
    folder = tmp_path / 'home'
    folder.mkdir()
    monkeypatch.setenv('MF_MOVIELENS_HOME', str(folder))
    monkeypatch.delenv('MF_MOVIELENS_OFFLINE', raising=False)
    return folder


@pytest.fixture(scope='session')
def real_archive():
    """The path of the real ml-100k.zip."""
    path = Path(os.environ.get('MF_MOVIELENS_HOME', ''), 'ml-100k.zip')
    if not path.is_file():
        pytest.skip(
            'real MovieLens 100K is not here: name its folder in MF_MOVIELENS_HOME'
        )
    return path


@pytest.fixture
def archive():
    """The bytes of a small archive in the CSV format: 3 ratings, 2 users, 2 films."""
    ratings = 'userId,movieId,rating,timestamp\n1,10,4.0,1\n1,20,3.5,2\n2,10,5.0,3\n'
    films = 'movieId,title,genres\n10,A (1994),Drama\n20,B (1995),Comedy|Drama\n'
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, 'w') as file:
        file.writestr('small/ratings.csv', ratings)
        file.writestr('small/movies.csv', films)
    return raw.getvalue()


def modified_ns(path):
    """When a file was written last; 0 if there is none."""
    return path.stat().st_mtime_ns if path.exists() else 0


def kill_after_checkpoint(process, checkpoint):
    """Kill a process soon after it has written a checkpoint: whether it was killed."""
    before = modified_ns(checkpoint)
    while process.poll() is None:
        if modified_ns(checkpoint) > before:
            time.sleep(0.15)
            process.kill()
            return True
        time.sleep(0.01)
    return False


@pytest.fixture
def kill_and_resume():
    """A function that lets a fit resume from its checkpoint after three kills.

    It takes a function that starts the fit as a process, the path of the checkpoint
    and that of what the fit saves at its end.
    """

    def run(start, checkpoint, out):
        n_kills = 0
        while not out.exists():
            process = start(checkpoint, out)
            if n_kills < 3:
                n_kills += kill_after_checkpoint(process, checkpoint)
            process.communicate(timeout=120)
        assert n_kills == 3

    return run


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """Call the command in this process: exit code, output and errors."""
    from mf_movielens.cli import main

    monkeypatch.chdir(tmp_path)

    def run(*words):
        with monkeypatch.context() as patch:
            patch.setattr(sys, 'argv', ['mf-movielens', *map(str, words)])
            capsys.readouterr()
            try:
                code = main() or 0
            except SystemExit as end:
                code = end.code or 0
        return code, *capsys.readouterr()

    return run
