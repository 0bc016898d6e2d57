"Work that is killed, disks that are full or cannot be written to, and two at once."

import contextlib, json, os, subprocess, sys, threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parent.parent
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
CIRCLE = 'reader;book;stars\n' + '\n'.join(
    f'r{u};b{i};{1 + (u * i + u // 3) % 5}'
    for u in range(30)
    for i in range(40)
    if (u + i) % 3
)


@pytest.mark.parametrize('kind', KINDS)
def test_killed_at_any_moment(kind):
    said = subprocess.run(
        [
            sys.executable,
            str(ROOT / 'benchmarks/faults.py'),
            kind,
            '-n',
            '6',
            '--seed',
            str(os.getpid()),
        ],
        capture_output=True,
        text=True,
    )
    assert not said.returncode, said.stderr
    row, losses = json.loads(said.stdout.splitlines()[-1])
    assert not losses and row['killed'] == 6


def test_every_kind_is_killed():
    said = subprocess.run(
        [sys.executable, str(ROOT / 'benchmarks/faults.py'), '--help'],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert (
        ' '.join(said.split())
        .split('all by default: ')[1]
        .split(' options:')[0]
        .split('; ')
        == KINDS
    )


@pytest.fixture
def disk(tmp_path):
    "A disk of the test's own: a function that makes it of a size, and one that forbids to write to it."
    place = tmp_path / 'disk'
    place.mkdir()

    def mount(*options):
        return subprocess.run(
            ['mount', '-t', 'tmpfs', '-o', ','.join(options), 'tmpfs', str(place)],
            capture_output=True,
        )

    if mount('size=64k').returncode:
        pytest.skip('needs the right to mount a small disk')
    yield (
        place,
        lambda: subprocess.run(['mount', '-o', 'remount,ro', str(place)], check=True),
    )
    subprocess.run(['umount', '-l', str(place)], check=True)


def ratings():
    from mf_movielens.data import synthetic
    from mf_movielens.encoding import Ratings

    return Ratings.from_frame(synthetic().ratings.head(20_000))


def everything(place):
    "(name, what to do, what would be written) of all that writes."
    from mf_movielens.als import fit_als
    from mf_movielens.ials import fit_ials
    from mf_movielens.recommender import Recommender
    from mf_movielens.shards import load_cached, shard_file, write_shards

    r = ratings()
    r.to_frame().to_csv(place.parent / 'r.csv', index=False)
    model = Recommender.fit(r, n_factors=40, n_iterations=1)
    return [
        ('model', lambda: model.save(place / 'm.npz'), 'm.npz'),
        ('factors', lambda: model.predictor.save(place / 'f.npz'), 'f.npz'),
        ('shards', lambda: write_shards(r, place / 's', seed=0), 's'),
        ('cut', lambda: shard_file(place.parent / 'r.csv', place / 't'), 't'),
        (
            'cache',
            lambda: load_cached(place.parent / 'r.csv', cache=place / 'kept', say=None),
            'kept',
        ),
        (
            'als',
            lambda: fit_als(
                r, n_factors=40, n_iterations=2, checkpoint=place / 'c.npz'
            ),
            'c.npz',
        ),
        (
            'ials',
            lambda: fit_ials(
                r, n_factors=40, n_iterations=2, checkpoint=place / 'd.npz'
            ),
            'd.npz',
        ),
    ]


def test_a_full_disk(disk):
    "The error is the system's own, names the place, and nothing stays behind that could be taken for the whole."
    place, _ = disk
    (place / 'm.npz').write_bytes(b'the old one')
    for name, work, made in everything(place):
        with pytest.raises(OSError, match='(?i)no space left') as e:
            work()
        left = [p for p in place.rglob('*') if p.is_file()]
        assert [p.read_bytes() for p in left] == [b'the old one'], (name, left)
        assert e.value.errno == 28 and str(place / made) in str(e.value), (
            name,
            e.value,
        )


def test_a_disk_that_cannot_be_written_to(disk):
    place, forbid = disk
    (place / 'm.npz').write_bytes(b'the old one')
    works = everything(place)
    forbid()
    for name, work, made in works:
        with pytest.raises(OSError, match='(?i)read-only') as e:
            work()
        assert str(place) in str(e.value), name
    assert [p.name for p in place.iterdir()] == ['m.npz'] and (
        place / 'm.npz'
    ).read_bytes() == b'the old one'


def command(*words, **more):
    return subprocess.Popen(
        [
            sys.executable,
            '-c',
            'from mf_movielens.cli import main; main()',
            *map(str, words),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


def test_the_command_on_such_disks(disk):
    place, forbid = disk
    (place.parent / 'r.csv').write_text(CIRCLE)

    def fill():
        with contextlib.suppress(OSError):
            (place / 'ballast').write_bytes(bytes(2**17))

    for prepare, why in ((fill, 'no space left'), (forbid, 'no permission to write')):
        prepare()
        p = command('train', place.parent / 'r.csv', '--out', place / 'out')
        _, said = p.communicate(timeout=120)
        assert (
            p.returncode in (1, 2)
            and why in said.lower()
            and 'Traceback' not in said
            and said.strip().count('\n') == 0
            and str(place) in said
            and '->' not in said
        ), said


def test_two_at_once_in_the_same_place(tmp_path):
    "Both end well, and what they leave is whole."
    from mf_movielens.recommender import Recommender

    (tmp_path / 'r.csv').write_text(CIRCLE)
    both = [
        command(
            'train', tmp_path / 'r.csv', '--out', tmp_path / 'out', '--n-factors', 8
        )
        for _ in range(2)
    ]
    for p in both:
        _, said = p.communicate(timeout=120)
        assert p.returncode == 0, said
    model = Recommender.load(tmp_path / 'out/model.npz')
    alone = command(
        'train', tmp_path / 'r.csv', '--out', tmp_path / 'alone', '--n-factors', 8
    )
    assert alone.communicate(timeout=120) and alone.returncode == 0
    assert np.array_equal(
        model.predictor.item_factors,
        Recommender.load(tmp_path / 'alone/model.npz').predictor.item_factors,
    )
    assert sorted(p.name for p in (tmp_path / 'out').iterdir()) == sorted(
        p.name for p in (tmp_path / 'alone').iterdir()
    )


def test_threads_that_save_to_the_same_file(tmp_path):
    from mf_movielens.recommender import Recommender

    models, failed = (
        [
            Recommender.fit(ratings(), n_factors=8, n_iterations=1, seed=s)
            for s in range(4)
        ],
        [],
    )

    def again(model):
        try:
            for _ in range(10):
                model.save(tmp_path / 'm.npz')
                Recommender.load(tmp_path / 'm.npz')
        except Exception as e:
            failed.append(e)

    threads = [threading.Thread(target=again, args=[m]) for m in models]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failed and [p.name for p in tmp_path.iterdir()] == ['m.npz']
