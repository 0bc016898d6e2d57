"""Settings and fixtures that several files of tests use."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
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


FORK_EACH = """
import json, os, sys, traceback
for line in sys.stdin:
    pid = os.fork()
    if not pid:
        os.dup2(2, 1)
        code = 1
        try:
            work(*json.loads(line))
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Fork:
    """A process that another one has forked, which tells of its end."""

    def __init__(self, answers):
        self.answers = answers
        self.pid = int(answers.readline())

    def is_running(self):
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def wait(self):
        """Wait for the end: the exit code, or minus the signal that ended it."""
        return int(self.answers.readline())


class Forks:
    """A program that is started once, and each time goes on in a fork of its own.

    It defines the function `work`, which takes texts. What it imports is imported
    once: that takes longer than the work. One fork runs at a time.
    """

    def __init__(self, program):
        pipes = {'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE, 'text': True}
        command = [sys.executable, '-c', program + FORK_EACH]
        self.process = subprocess.Popen(command, **pipes)

    def start(self, *words):
        self.process.stdin.write(json.dumps([*map(str, words)]) + '\n')
        self.process.stdin.flush()
        return Fork(self.process.stdout)

    def close(self):
        self.process.communicate(timeout=120)


def kill_after_checkpoint(process, checkpoint):
    """Kill a process soon after it has written a checkpoint."""
    before = modified_ns(checkpoint)
    while process.is_running():
        if modified_ns(checkpoint) > before:
            time.sleep(0.15)
            process.kill()
            return
        time.sleep(0.01)


def n_records(checkpoint):
    """How many iterations a checkpoint tells of."""
    with np.load(checkpoint) as file:
        return len(json.loads(str(file['records'])))


@pytest.fixture
def kill_and_resume():
    """A function that lets a fit resume from its checkpoint after three kills.

    It takes a program whose function `work` fits, with the path of the checkpoint, or
    `-` for none, and that of what the fit saves at its end. The paths of a fit that
    nobody kills, and of the one that was killed, are what it takes besides. Each kill
    must find more iterations done than the one before.
    """

    def run(program, checkpoint, whole, resumed):
        forks = Forks(program)
        try:
            assert forks.start('-', whole).wait() == 0
            n_done = [0]
            while not resumed.exists():
                process = forks.start(checkpoint, resumed)
                if len(n_done) <= 3:
                    kill_after_checkpoint(process, checkpoint)
                code = process.wait()
                assert code in (0, -signal.SIGKILL)
                if code:
                    n_done.append(n_records(checkpoint))
                    assert n_done[-1] > n_done[-2]
            assert len(n_done) == 4
        finally:
            forks.close()

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
