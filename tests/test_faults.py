"""Work that is killed, disks that are full or read-only, and two runs at once."""

import contextlib
import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from conftest import Forks

from mf_movielens.als import fit_als
from mf_movielens.data import synthetic
from mf_movielens.encoding import Ratings
from mf_movielens.ials import fit_ials
from mf_movielens.recommender import Recommender
from mf_movielens.shards import load_cached, shard_file, write_shards

ROOT = Path(__file__).resolve().parent.parent
FAULTS = ROOT / 'benchmarks/faults.py'
KINDS = [
    'download',
    'cache of a file',
    'shards written',
    'file cut into shards',
    'model saved over another',
    'training by als',
    'training by ials',
    'training by bayes',
    'training by keras',
    'the command train',
]
BOOK_RATINGS = 'reader;book;stars\n' + '\n'.join(
    f'r{u};b{i};{1 + (u * i + u // 3) % 5}'
    for u in range(30)
    for i in range(40)
    if (u + i) % 3
)


KILL_MANY = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(FAULTS.parent)!r})
import faults
faults.ratings()

def work(kind, n, seed, out):
    found = faults.kill_many(kind, int(n), int(seed))
    Path(out).write_text(faults.json.dumps(found))
"""


@pytest.fixture(scope='module')
def kill_many():
    """The program that kills, which forks for each kind of work."""
    forks = Forks(KILL_MANY)
    yield forks.start
    forks.close()


@pytest.mark.parametrize('kind', KINDS)
def test_killed_at_any_moment(kind, kill_many, tmp_path):
    assert kill_many(kind, 6, os.getpid(), tmp_path / 'found.json').wait() == 0
    row, losses = json.loads((tmp_path / 'found.json').read_text())
    assert losses == []
    assert row['killed'] == 6


def test_every_kind_is_killed():
    process = subprocess.run(
        [sys.executable, FAULTS, '--help'], capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    text = ' '.join(process.stdout.split())
    kinds = text.split('all by default: ')[1].split(' options:')[0]
    assert kinds.split('; ') == KINDS


class Disk:
    """A small disk of a test's own."""

    def __init__(self, folder):
        self.folder = folder

    def mount(self, options):
        """Mount it; whether that worked."""
        command = ['mount', '-t', 'tmpfs', '-o', options, 'tmpfs', self.folder]
        return subprocess.run(command, capture_output=True).returncode == 0

    def make_read_only(self):
        subprocess.run(['mount', '-o', 'remount,ro', self.folder], check=True)

    def fill(self):
        with contextlib.suppress(OSError):
            (self.folder / 'ballast').write_bytes(bytes(2**17))

    def unmount(self):
        subprocess.run(['umount', '-l', self.folder], check=True)


@pytest.fixture
def disk(tmp_path):
    """A disk of 64 KB."""
    folder = tmp_path / 'disk'
    folder.mkdir()
    mounted = Disk(folder)
    if not mounted.mount('size=64k'):
        pytest.skip('needs the right to mount a small disk')
    yield mounted
    mounted.unmount()


def synthetic_ratings():
    return Ratings.from_frame(synthetic().ratings.head(20_000))


class Work(NamedTuple):
    """Something that writes: what to do, and the file or folder that it makes."""

    run: Callable[[], object]
    path: Path


def all_works(folder):
    """All that writes, with the folder as its destination."""
    ratings = synthetic_ratings()
    csv = folder.parent / 'r.csv'
    ratings.to_frame().to_csv(csv, index=False)
    model = Recommender.fit(ratings, n_factors=40, n_iterations=1)
    settings = dict(n_factors=40, n_iterations=2)
    model_file, factors_file = folder / 'm.npz', folder / 'f.npz'
    shards, cut, kept = folder / 's', folder / 't', folder / 'kept'
    als_checkpoint, ials_checkpoint = folder / 'c.npz', folder / 'd.npz'
    return [
        Work(lambda: model.save(model_file), model_file),
        Work(lambda: model.predictor.save(factors_file), factors_file),
        Work(lambda: write_shards(ratings, shards, seed=0), shards),
        Work(lambda: shard_file(csv, cut), cut),
        Work(lambda: load_cached(csv, cache=kept, say=None), kept),
        Work(
            lambda: fit_als(ratings, checkpoint=als_checkpoint, **settings),
            als_checkpoint,
        ),
        Work(
            lambda: fit_ials(ratings, checkpoint=ials_checkpoint, **settings),
            ials_checkpoint,
        ),
    ]


def contents(folder):
    """The files below a folder, and their bytes."""
    files = [path for path in folder.rglob('*') if path.is_file()]
    return {path.name: path.read_bytes() for path in files}


def test_a_full_disk(disk):
    """The error is that of the system and names the place; no part of a file stays."""
    (disk.folder / 'm.npz').write_bytes(b'the old one')
    for work in all_works(disk.folder):
        with pytest.raises(OSError, match='(?i)no space left') as raised:
            work.run()
        assert raised.value.errno == errno.ENOSPC
        assert str(work.path) in str(raised.value)
        assert contents(disk.folder) == {'m.npz': b'the old one'}, work.path


def test_a_read_only_disk(disk):
    (disk.folder / 'm.npz').write_bytes(b'the old one')
    works = all_works(disk.folder)
    disk.make_read_only()
    for work in works:
        with pytest.raises(OSError, match='(?i)read-only') as raised:
            work.run()
        assert str(disk.folder) in str(raised.value), work.path
    assert [path.name for path in disk.folder.iterdir()] == ['m.npz']
    assert contents(disk.folder) == {'m.npz': b'the old one'}


def start_training(ratings, out, *options):
    """Start the command `mf-movielens train` as a process."""
    program = 'from mf_movielens.cli import main; main()'
    words = ['train', ratings, '--out', out, *options]
    return subprocess.Popen(
        [sys.executable, '-c', program, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def check_command_on(disk, reason):
    """Training into the disk fails with one line that says why, and where."""
    ratings = disk.folder.parent / 'r.csv'
    ratings.write_text(BOOK_RATINGS)
    process = start_training(ratings, disk.folder / 'out')
    _, message = process.communicate(timeout=120)
    assert process.returncode in (1, 2), message
    assert reason in message.lower()
    assert str(disk.folder) in message
    assert 'Traceback' not in message
    assert message.strip().count('\n') == 0
    # the name of the temporary file, which would be renamed, is of no use to anybody
    assert '->' not in message


def test_the_command_on_a_full_disk(disk):
    disk.fill()
    check_command_on(disk, 'no space left')


def test_the_command_on_a_read_only_disk(disk):
    disk.make_read_only()
    check_command_on(disk, 'read-only file system')


def test_the_command_in_a_read_only_folder(disk):
    (disk.folder / 'out').mkdir()
    disk.make_read_only()
    check_command_on(disk, 'no permission to write')


def test_two_commands_that_write_to_the_same_folder(tmp_path):
    """Both succeed, and the files are those of one command."""
    ratings = tmp_path / 'r.csv'
    ratings.write_text(BOOK_RATINGS)
    together, alone = tmp_path / 'out', tmp_path / 'alone'
    options = ['--n-factors', 8]
    processes = [start_training(ratings, together, *options) for _ in range(2)]
    for process in processes:
        _, message = process.communicate(timeout=120)
        assert process.returncode == 0, message
    process = start_training(ratings, alone, *options)
    _, message = process.communicate(timeout=120)
    assert process.returncode == 0, message
    model, expected = (
        Recommender.load(folder / 'model.npz') for folder in (together, alone)
    )
    assert np.array_equal(model.predictor.item_factors, expected.predictor.item_factors)
    names, expected_names = (
        sorted(path.name for path in folder.iterdir()) for folder in (together, alone)
    )
    assert names == expected_names


def test_threads_that_save_to_the_same_file(tmp_path):
    path = tmp_path / 'm.npz'
    ratings = synthetic_ratings()
    models = [
        Recommender.fit(ratings, n_factors=8, n_iterations=1, seed=seed)
        for seed in range(4)
    ]
    errors = []

    def save_and_load(model):
        try:
            for _ in range(10):
                model.save(path)
                Recommender.load(path)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=save_and_load, args=[m]) for m in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [found.name for found in tmp_path.iterdir()] == ['m.npz']
