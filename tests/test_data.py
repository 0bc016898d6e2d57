"Failing downloads, damaged archives, simultaneous processes: beyond a notebook."

import hashlib
import os
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import mf_movielens.movielens_sets as sets
from mf_movielens.archives import data_home, read_member
from mf_movielens.data import (
    DataError,
    MovieLens,
    UnavailableError,
    load,
    read_archive,
)
from mf_movielens.encoding import Ratings
from mf_movielens.frames import add_dataframe_methods, movie_ratings
from mf_movielens.movielens_sets import Source, fetch, read_tables, release_years
from mf_movielens.splits import official_fold


@pytest.fixture
def server(archive, monkeypatch):
    "A server behind both addresses that answers as `server.answer` says."

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_GET(self):
            server.asked.append(self.path)
            status, body, length = server.answer(self.path)
            self.send_response(status)
            self.send_header('Content-Length', str(length or len(body)))
            self.end_headers()
            for j in range(0, len(body), 64):
                self.wfile.write(body[j : j + 64])
                time.sleep(server.pause)

    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.daemon_threads = True
    server.asked, server.pause, server.answer = [], 0, lambda path: (200, archive, None)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f'http://127.0.0.1:{server.server_port}'
    monkeypatch.setattr(sets, 'GROUPLENS', f'{base}/first/')
    monkeypatch.setattr(sets, 'MIRROR', f'{base}/second/')
    small = Source(
        'small',
        'csv',
        3,
        2,
        2,
        'sha256:' + hashlib.sha256(archive).hexdigest(),
        mirrored=True,
    )
    monkeypatch.setitem(sets.SOURCES, 'small', small)
    yield server
    server.shutdown()


def kept_files(home):
    "The names of the files in the data home."
    return sorted(p.name for p in home.iterdir())


def test_downloads_once(home, server):
    assert len(load('small').ratings) == 3
    assert len(load('small').ratings) == 3
    assert server.asked == ['/first/small.zip']
    assert kept_files(home) == ['small.zip']


def test_goes_to_the_mirror(home, server, archive):
    server.answer = lambda path: (
        (503, b'', None) if 'first' in path else (200, archive, None)
    )
    assert len(load('small').ratings) == 3
    assert server.asked == ['/first/small.zip', '/second/small.zip']


@pytest.mark.parametrize(
    'body', [b'<html>come back later</html>', b'PK\x03\x04 and then something else']
)
def test_a_wrong_file_is_never_kept(home, server, archive, body):
    server.answer = lambda path: (200, body, None)
    with pytest.raises(UnavailableError, match='checksum.*small.zip into'):
        fetch('small')
    assert kept_files(home) == []
    server.answer = lambda path: (200, archive, None)
    assert len(load('small').ratings) == 3  # the next call works


def test_a_connection_that_breaks(home, server, archive):
    server.answer = lambda path: (200, archive[:200], len(archive))
    with pytest.raises(UnavailableError, match='Tried'):
        fetch('small')
    assert kept_files(home) == []


def test_nobody_answers(home, monkeypatch):
    monkeypatch.setattr(sets, 'GROUPLENS', 'http://127.0.0.1:9/')
    monkeypatch.setattr(sets, 'MIRROR', 'http://127.0.0.1:9/')
    with pytest.raises(UnavailableError, match='no connection.*MF_MOVIELENS_HOME'):
        load('ml-1m')
    assert not load().is_real  # no set was named
    assert kept_files(home) == []


def test_a_changed_latest_set_is_a_note(home, server, capsys, monkeypatch):
    monkeypatch.setitem(
        sets.SOURCES,
        'small',
        replace(
            sets.SOURCES['small'],
            can_change=True,
            digest='sha256:' + '0' * 64,
            n_ratings=9,
        ),
    )
    assert len(load('small').ratings) == 3
    output = capsys.readouterr().out
    assert 'has changed' in output
    assert 'replaces this set' in output


def test_a_folder_that_cannot_be_written(home, server, tmp_path, monkeypatch):
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv('MF_MOVIELENS_HOME', str(tmp_path / 'file' / 'folder'))
    with pytest.raises(UnavailableError, match='cannot be saved in'):
        fetch('small')


@pytest.mark.skipif(
    not os.path.exists('/dev/full'),
    reason='needs /dev/full, which is always a full disk',
)
def test_a_full_disk(home, server, monkeypatch):
    # pooch must be imported before `open` is replaced.
    import pooch.downloaders  # noqa: F401

    monkeypatch.setattr(
        'builtins.open',
        lambda f, *a, _open=open, **k: _open(
            '/dev/full' if str(f).startswith(str(home)) else f, *a, **k
        ),
    )
    with pytest.raises(UnavailableError, match='No space left'):
        fetch('small')
    monkeypatch.undo()
    assert kept_files(home) == []


CHILD = """
import sys
import mf_movielens.movielens_sets as sets
from mf_movielens.data import load
sets.GROUPLENS = sys.argv[1]
sets.SOURCES['small'] = sets.Source('small', 'csv', 3, 2, 2, sys.argv[2])
print(len(load('small').ratings))
"""


def child(server, archive, **kwargs):
    words = [
        sys.executable,
        '-c',
        CHILD,
        f'http://127.0.0.1:{server.server_port}/first/',
        'sha256:' + hashlib.sha256(archive).hexdigest(),
    ]
    return subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs
    )


def test_two_processes_at_once(home, server, archive):
    server.pause = 0.05
    both = [child(server, archive) for _ in range(2)]
    assert [p.communicate(timeout=60)[0].strip() for p in both] == ['3', '3']
    assert kept_files(home) == ['small.zip']


@pytest.mark.parametrize('signal', ['SIGINT', 'SIGKILL'])
def test_interrupted(home, server, archive, signal):
    import signal as signals

    server.pause = 0.3
    p = child(server, archive)
    while not server.asked:
        time.sleep(0.05)
    time.sleep(0.5)
    p.send_signal(getattr(signals, signal))
    p.communicate(timeout=60)
    assert p.returncode != 0
    assert 'small.zip' not in kept_files(home)
    if signal == 'SIGINT':
        assert kept_files(home) == []
    server.pause = 0
    assert len(load('small').ratings) == 3


def test_real_archive_by_hand(real_archive):
    ml = read_archive(real_archive, sets.SOURCES['ml-100k'])
    assert ml.is_real
    assert len(ml.ratings) == 100_000


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    at=st.integers(0, 700),
    byte=st.integers(0, 255),
    cut=st.integers(0, 700) | st.none(),
)
def test_any_damage_is_a_data_error_or_harmless(tmp_path, archive, at, byte, cut):
    raw = bytearray(archive)
    raw[at % len(raw)] = byte
    path = tmp_path / 'damaged.zip'
    path.write_bytes(bytes(raw[:cut]))
    try:
        found = read_archive(path, Source('small', 'csv', 3, 2, 2, ''))
    except DataError as e:
        assert str(path) in str(e)
    else:
        assert len(found.ratings) == 3


@pytest.mark.parametrize(
    'raw', [b'', b'plain text', b'PK\x03\x04 and then something else']
)
def test_reading_from_what_is_no_archive(tmp_path, raw):
    (tmp_path / 'a.zip').write_bytes(raw)
    with pytest.raises(DataError, match='a.zip: File is not a zip file'):
        read_member(tmp_path / 'a.zip', 'u1.test')


def test_reading_what_is_not_in_an_archive(tmp_path, archive):
    (tmp_path / 'a.zip').write_bytes(archive)
    with pytest.raises(DataError, match='a.zip: there is no u1.test in it'):
        read_member(tmp_path / 'a.zip', 'u1.test')
    with pytest.raises(FileNotFoundError):
        read_member(tmp_path / 'b.zip', 'u1.test')


def test_an_archive_whose_directory_is_misplaced_is_damaged(tmp_path):
    path = tmp_path / 'a.zip'
    with zipfile.ZipFile(path, 'w') as z:
        z.writestr('u1.test', 'x')
    content = bytearray(path.read_bytes())
    # Where the directory begins: a header then seems to stand before the first byte.
    content[-6] += 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r'a\.zip: '):
        read_member(path, 'u1.test')


@pytest.mark.parametrize(
    'test, words',
    [
        ('1\t10\n', None),
        ('1\t30\n', 'item 30'),
        ('3\t10\n', 'user 3'),
        ('2\t20\n', 'of user 2 there is none of item 20'),
        ('1\tten\n', 'ten'),
        ('1\n', ''),
    ],
)
def test_a_fold_that_goes_with_other_ratings(tmp_path, test, words):
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as z:
        z.writestr('ml-100k/u1.test', test)
    frame = pd.DataFrame(
        {'user_id': [1, 1, 2], 'movie_id': [10, 20, 10], 'rating': [4.0, 3.0, 5.0]}
    )
    ml = MovieLens(frame, None, None, None, 'ml-100k', True, tmp_path / 'a.zip')
    ratings = Ratings.from_frame(frame)
    if words is None:
        fold = official_fold(ml, ratings, 'u1')
        assert fold.test.to_frame().item_id.tolist() == [10]
        return
    message = f'a.zip: u1.test does not go with these ratings.*{words}'
    with pytest.raises(DataError, match=message):
        official_fold(ml, ratings, 'u1')


@pytest.mark.parametrize(
    'archive, words',
    [(None, 'not known from which archive'), ('text', 'File is not a zip file')],
)
def test_a_fold_without_an_archive(tmp_path, archive, words):
    (tmp_path / 'text').write_text('text')
    frame = pd.DataFrame(
        {'user_id': [1, 1, 2], 'movie_id': [10, 20, 10], 'rating': [4.0, 3.0, 5.0]}
    )
    ml = MovieLens(
        frame, None, None, None, 'ml-100k', True, archive and tmp_path / archive
    )
    with pytest.raises(DataError, match=words):
        official_fold(ml, Ratings.from_frame(frame), 'u1')


def test_the_home_of_nobody(monkeypatch):
    monkeypatch.setenv('MF_MOVIELENS_HOME', '~no-such-user/x')
    for call in (data_home, load, lambda: load('ml-100k')):
        with pytest.raises(
            DataError, match="MF_MOVIELENS_HOME='~no-such-user/x'.*without ~"
        ):
            call()


def test_the_home_is_looked_up_in_the_nearest_folder(tmp_path, monkeypatch):
    (tmp_path / 'data').mkdir()
    (tmp_path / 'project' / 'data').mkdir(parents=True)
    (tmp_path / 'project' / 'nbs').mkdir()
    monkeypatch.chdir(tmp_path / 'project' / 'nbs')
    monkeypatch.setenv('MF_MOVIELENS_HOME', 'data')
    assert data_home() == (tmp_path / 'project' / 'data').resolve()


def test_the_year_of_a_film_stands_at_the_end_of_its_title():
    titles = ['Room (1408) (2007)', 'Big Hit, The (1998)', 'Serial (1994-1998)', 'M']
    years = release_years(pd.Series(titles))
    assert years.fillna(0).tolist() == [2007, 1998, 1994, 0]
    # A year in the middle belongs to the name.
    assert release_years(pd.Series(['Class of (1984), The'])).isna().all()


def test_users_of_a_set_without_a_table_of_users_keep_their_ids(tmp_path):
    path = tmp_path / 'small.zip'
    with zipfile.ZipFile(path, 'w') as file:
        rows = '9,10,4.0,1\n3,20,3.5,2\n9,20,5.0,3\n'
        file.writestr('ratings.csv', 'userId,movieId,rating,timestamp\n' + rows)
        films = '10,A (1994),Drama\n20,B (1995),Comedy\n'
        file.writestr('movies.csv', 'movieId,title,genres\n' + films)
    tables = read_tables(path, Source('small', 'csv', 3, 2, 2, ''))
    assert tables.users.user_id.tolist() == [3, 9]


def test_what_pandas_masks_is_missing_as_before(monkeypatch):
    frame = pd.DataFrame({'a': [*'xy'], 'b': [True, False], 'n': [1, 2], 'f': [1.5, 2]})
    is_first = pd.Series([True, False])
    expected = frame.mask(is_first)
    # The methods of pandas are put back at the end.
    monkeypatch.setattr(pd.DataFrame, 'mask', pd.DataFrame.mask)
    monkeypatch.setattr(pd.DataFrame, 'flatten_cols', None, raising=False)
    add_dataframe_methods()
    found = frame.mask(is_first)
    pd.testing.assert_frame_equal(found, expected)
    assert repr(found) == repr(expected)


def test_means_of_films_go_to_their_films():
    ratings = pd.DataFrame({'user_id': 1, 'movie_id': [9, 3, 9], 'rating': [4, 1, 5]})
    films = pd.DataFrame({'movie_id': [9, 5, 3], 'title': ['A', 'B', 'C']})
    found = movie_ratings(ratings, films)
    assert found.title.tolist() == ['A', 'C']
    assert found['rating mean'].tolist() == [4.5, 1.0]
