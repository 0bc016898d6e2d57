"""Give hostile and broken files to every reader, and count what comes of it.

`python benchmarks/fuzz.py` tries 5,000 files of each kind and writes fuzz.csv.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import io
import json
import lzma
import resource
import sqlite3
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager, suppress
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from commit import commit
from hypothesis import (
    HealthCheck,
    Phase,
    given,
    seed as use_seed,
    settings,
    strategies as st,
)
from scipy.sparse import coo_array

from mf_movielens.als import fit_als
from mf_movielens.data import DataError, read_archive
from mf_movielens.encoding import Ratings, RatingsError
from mf_movielens.factors import Factors
from mf_movielens.model_file import ModelFileError
from mf_movielens.movielens_sets import Source
from mf_movielens.reading import load_ratings
from mf_movielens.recommender import Recommender
from mf_movielens.shards import Shards, shard_file, write_shards

RESULTS = Path(__file__).resolve().parent.parent / 'mf_movielens/results'
IMPORTED_ONCE = [
    *('hypothesis', 'pyarrow.parquet', 'mf_movielens.data'),
    *('mf_movielens.recommender', 'mf_movielens.shards'),
]
# What one file may take, beyond what the process holds already.
MAX_BYTES = 2 * 2**30
MAX_SECONDS = 10

Bytes = st.SearchStrategy[bytes]
Members = Mapping[str, bytes]


def lines(*texts: str, end: str = '\n') -> bytes:
    """The bytes of a small file."""
    return ''.join(text + end for text in texts).encode()


# Small files of every kind, from which others are made.
TABLES = [
    lines(
        'user,item,rating,timestamp',
        '1,10,4.0,1001000949',
        '1,20,3.5,1001000950',
        '2,10,5.0,1001000951',
        '3,30,0.5,1001000952',
    ),
    b'\xef\xbb\xbf'
    + lines(
        'reader;book;stars',
        'anna;Momo;4,5',
        'ben;"Krabat; or the mill";5',
        '"an ""other""";Momo;1,5',
        end='\r\n',
    ),
    '\ufeffmember\tfilm\tscore\nänne\tDer Schuh\t4\nœuf\tStalker\t2\n'.encode(
        'utf-16-le'
    ),
    lines('7::2511::5::1001000001', '7::340::3::1001000002', '9::2511::4::1001000003'),
    lines(
        '4071\t9242\t3\t1001000001',
        '4186\t9302\t3\t1001000002',
        '4022\t9377\t1\t1001000003',
    ),
    b'user_id|movie_id|title|rating|date\na|007|James|1|2024-03-01\n'
    b'b|8|Mr. Caf\xe9|5|2024-03-01T10:00:00Z\n',
    lines('sep=;', 'user;item;rating', 'a;x;1.234,5', "b;y;1'200", 'c;x;1.234.567'),
    lines('user,item,rating', 'a,"x\\"y\\", z",4', 'b,"two', '', 'lines",3'),
    lines(
        '4071  9242 3 1001000001', ' 4186 9302  3 1001000002 ', '4022 9377 1 1001000003'
    ),
    lines('"user" "item" "rating"', '"1" "a b" "x" 4', '"2" "c" "x" 3'),
    lines('0 1 2 3 4 5', '1 2', '2 3 4'),
    lines('user,film,rating', 'a,x,4/5', 'b,y,3/5', 'c,y,1/5'),
    'user;item;rating\na;x;★★★½\nb;x;★☆☆☆☆\n'.encode(),
]
# They cannot be read without an answer.
QUESTIONS = [
    lines('My films,,', ',,', 'user,film,rating', 'a,x,4', 'b,y,3', 'c,y,1'),
    lines('who,x,y,z', 'a,4,5,1', 'b,1,,3', 'c,2,5,4', 'all,7,10,8'),
    lines('user,item,rating', 'a,x,good', 'b,x,bad', 'c,x,good', 'd,x,bad'),
    lines('user,item,rating', 'a,x,4', 'b,x,NA', 'c,x,NA', 'd,x,3'),
]
# fmt: off
WORDS = [
    '\ufeff'.encode(), b'\xff\xfe', b'\xfe\xff', b'\r\n', b'\n', b'\r', b'"', b'""',
    b'\0', b'nan', b'inf', b'-inf', b'1e999', b'-0', b'1e-400', b'0x10', b'1_000',
    b'9223372036854775808', b'99999999999999999999', b'-9223372036854775809', b',',
    b';', b'\t', b'|', b'::', b' ', b',' * 300, b'NaT', b'9999-99-99', b'0001-01-01',
    b'1e15', b'\xed\xa0\x80', b'\xf0\x9f\x8e\xac', '٣'.encode(), '½'.encode(), b'\xe9',
    b'True', b'None', b'user', b'item', b'rating', b'title', b'timestamp',
    b'PK\x03\x04', b'\x1f\x8b', b'{', b'[', b'x' * 5_000, b'\x80', b'\x00\x00\x00\x00',
    b'\xff\xff\xff\xff', b'\x7f\xff\xff\xff\xff\xff\xff\xff',
]
NUMBERS = [
    0, 1, -1, 2, 255, 2**31 - 1, 2**31, -(2**31), 2**62, -(2**63), 0.5, 1e30, 1e308,
    np.nan, np.inf, -np.inf,
]
DTYPES = [
    'int8', 'int64', 'uint64', 'float16', 'float64', 'complex64', 'bool', 'U3', 'S2',
    'datetime64[s]', 'V4',
]
# fmt: on
SHAPES = [(), (0,), (1,), (3, 2), (2, 2, 2), (100,), (10_000,)]
TEXTS = ['{"x": [1, null]}', '', '\0', 'a' * 300]


class Change(NamedTuple):
    """One damage to a file."""

    kind: str
    start: float
    length: float
    word: bytes

    def apply(self, raw: bytearray) -> None:
        start = int(self.start * len(raw))
        end = start + 1 + int(self.length**4 * 200)
        if self.kind == 'overwrite':
            raw[start : start + len(self.word)] = self.word
        elif self.kind == 'cut':
            del raw[start:end]
        elif self.kind == 'repeat':
            raw[start:start] = raw[start:end]
        elif self.kind == 'insert':
            raw[start:start] = self.word
        else:
            del raw[start:]


def damaged(files: list[bytes], words: list[bytes] = WORDS) -> Bytes:
    """One of the files after some changes, or bytes of no file at all."""
    kinds = ('overwrite', 'cut', 'repeat', 'insert', 'insert', 'end')
    change = st.builds(
        Change,
        st.sampled_from(kinds),
        st.floats(0, 1),
        st.floats(0, 1),
        st.sampled_from(words) | st.binary(min_size=1, max_size=8),
    )

    def apply(original: bytes, changes: list[Change]) -> bytes:
        raw = bytearray(original)
        for change in changes:
            change.apply(raw)
        return bytes(raw)

    some_changes = st.lists(change, min_size=1, max_size=6)
    changed = st.builds(apply, st.sampled_from(files), some_changes)
    return changed | st.binary(max_size=300)


def zipped(members: Members) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, 'w', zipfile.ZIP_DEFLATED) as z:
        for name, content in members.items():
            z.writestr(name, content)
    return raw.getvalue()


ARCHIVES: dict[str, Members] = {
    'u': {
        'u.genre': b'unknown|0\nDrama|1\n',
        'u.item': b'1|A (1994)|01-Jan-1994||http://a|0|1\n'
        b'2|Caf\xe9 (1995)|01-Jan-1995||http://b|1|0\n',
        'u.user': b'1|99|M|baker|00000\n2|98|F|weaver|00001\n',
        'u.data': b'1\t1\t4\t1001000949\n1\t2\t3\t1001000950\n2\t1\t5\t1001000951\n',
    },
    'dat': {
        'ratings.dat': lines(
            '1::10::4::1001000001', '1::20::3.5::1001000002', '2::10::5::1001000003'
        ),
        'movies.dat': b"10::A (1994)::Drama\n20::B (1995)::Comedy|Children's\n",
        'users.dat': b'1::M::1::10::00000\n2::F::56::16::00001\n',
    },
    'csv': {
        'small/ratings.csv': lines(
            'userId,movieId,rating,timestamp', '1,10,4.0,1', '1,20,3.5,2', '2,10,5.0,3'
        ),
        'small/movies.csv': lines(
            'movieId,title,genres',
            '10,"A, the (1994)",Drama',
            '20,B (1995),Comedy|Drama',
        ),
    },
}


def archives(layout: str) -> Bytes:
    """Archives of which the bytes, or one of the tables, are damaged."""
    return archives_of(ARCHIVES[layout])


def archives_of(members: Members) -> Bytes:
    """Zip archives of which the bytes, or one of the members, are damaged."""

    def with_damaged_member(name: str) -> Bytes:
        return damaged([members[name]]).map(lambda raw: zipped({**members, name: raw}))

    inside = st.sampled_from(sorted(members)).flatmap(with_damaged_member)
    return damaged([zipped(members)]) | inside | inside


def ratings() -> Ratings:
    frame = pd.DataFrame(
        {
            'user_id': ['a', 'a', 'b', 'c'],
            'item_id': [1, 2, 1, 3],
            'rating': [4.0, 3, 5, 0.5],
            'timestamp': [1, 2, 3, 4],
        }
    )
    titles = {1: 'A', 2: 'É', 3: 'C'}
    return Ratings.from_frame(frame, scale=(0.5, 5), titles=titles)


class Wrong(NamedTuple):
    """How some arrays of a file differ from what they should be."""

    kind: str
    names: list[str]
    values: list[tuple[float, int]]
    dtype: str
    shape: tuple[int, ...]

    def array(self, right: np.ndarray) -> np.ndarray | None:
        """The wrong array; None if it is to be left out."""
        if self.kind == 'missing':
            return None
        if self.kind == 'reshaped':
            return np.resize(right, self.shape)
        if self.kind == 'text':
            return np.array(TEXTS[len(self.shape)])
        if self.kind == 'retyped':
            try:
                with np.errstate(all='ignore'):
                    return right.astype(self.dtype)
            except (ValueError, TypeError):
                return np.zeros(self.shape, self.dtype)
        return self._with_values(right)

    def _with_values(self, right: np.ndarray) -> np.ndarray:
        if not right.size or right.dtype.kind not in 'iuf':
            return right
        wrong = right.astype('float64').copy()
        places = [place % wrong.size for _, place in self.values]
        wrong.flat[places] = [value for value, _ in self.values]
        with np.errstate(all='ignore'):
            return wrong.astype(right.dtype)


def arrays_of(raw: bytes) -> Bytes:
    """A file of arrays, some of which are other than they should be."""
    with np.load(io.BytesIO(raw)) as z:
        right = {name: z[name] for name in z.files}

    def save(wrong: Wrong) -> bytes:
        arrays = dict(right)
        for name in wrong.names:
            array = wrong.array(arrays.pop(name))
            if array is not None:
                arrays[name] = array
        out = io.BytesIO()
        np.savez(out, **arrays)
        return out.getvalue()

    names = st.sampled_from(sorted(right))
    values = st.tuples(st.sampled_from(NUMBERS), st.integers(0, 10**4))
    kinds = ('missing', 'reshaped', 'retyped', 'text', 'values', 'values')
    return st.builds(
        Wrong,
        st.sampled_from(kinds),
        st.lists(names, min_size=1, max_size=3, unique=True),
        st.lists(values, min_size=1, max_size=4),
        st.sampled_from(DTYPES),
        st.sampled_from(SHAPES),
    ).map(save)


# What is done with each file. Whatever happens is a result, or one of our errors.


class Case(NamedTuple):
    """A kind of files, what reads them, and the error that counts as an answer."""

    inputs: st.SearchStrategy[Any]
    read: Callable[[Any], object]
    refusal: type[Exception]


def check_ratings(found: Ratings) -> None:
    assert len(found) > 0
    assert np.isfinite(found.rating).all()
    assert found.to_frame().notna().all().all()


READ_SETTINGS: list[dict[str, Any]] = [
    {},
    {},
    {},
    dict(rating=False),
    dict(user=0, item=1, rating=2),
    dict(sep=','),
    dict(header=True, quoting='minimal', decimal=','),
    dict(header=False, quoting='none', thousands=','),
    dict(skip=1, comment='#', thousands=' '),
    dict(wide=True),
    dict(adjacency=True),
    dict(marks='bad,good'),
    dict(missing='NA'),
    dict(duplicates='last', timestamp=False),
]


def table_case(folder: Path, name: str, contents: Bytes) -> Case:
    def read(drawn: tuple[bytes, dict[str, Any]]) -> None:
        raw, arguments = drawn
        path = folder / name
        path.write_bytes(raw)
        check_ratings(load_ratings(path, say=None, **arguments))

    inputs = st.tuples(contents, st.sampled_from(READ_SETTINGS))
    return Case(inputs, read, RatingsError)


def text_case(folder: Path) -> Case:
    return table_case(folder, 'r.csv', damaged([*TABLES, *QUESTIONS]))


def gzip_case(folder: Path) -> Case:
    packed = [gzip.compress(table) for table in TABLES]
    contents = damaged(TABLES).map(gzip.compress) | damaged(packed)
    return table_case(folder, 'r.csv.gz', contents)


PACKERS: list[Callable[[bytes], bytes]] = [
    bz2.compress,
    lzma.compress,
    lambda raw: zipped({'ratings.csv': raw}),
]
with suppress(ImportError):
    # Python's own from 3.14 on.
    PACKERS.append(import_module('backports.zstd').compress)


def packed_case(folder: Path) -> Case:
    packers = st.sampled_from(PACKERS)
    of_damaged = st.builds(lambda pack, raw: pack(raw), packers, damaged(TABLES))
    packed = [pack(table) for pack in PACKERS for table in TABLES[:3]]
    return table_case(folder, 'r.csv', of_damaged | damaged(packed))


JSON_LINES = [
    lines(
        '{"user": "anna", "item": 7, "rating": 4.5, "time": 1001000949}',
        '{"user": "ben", "item": 8, "rating": 3, "tags": ["a", {"b": null}]}',
    ),
    b'\xef\xbb\xbf'
    + lines(
        '{"userId": 1, "movieId": 10, "rating": "4,5", "title": "A (1994)"}',
        '',
        '{"userId": 2, "movieId": 20, "rating": 5e-1, "title": "Caf\\u00e9"}',
        end='\r\n',
    ),
]
JSON_WORDS = [
    *(b'{', b'}', b'[', b']', b':', b'null', b'true', b'NaN', b'-Infinity', b'1e999'),
    *(b'"', b'\\ud800', b'\\u0000', b'{"user": {}}', b'[' * 3000, b'9' * 5000, b'-0'),
]


def json_case(folder: Path) -> Case:
    ids = st.sampled_from(['a', 'b', '7', '', 7, 7.0, 2**70, -1, None, True, [1], {}])
    ratings = st.sampled_from([1, 2.5, '4,5', 'x', None, -1, 1e300, 2**70, False, []])
    times = st.sampled_from([0, 1e18, '2024-03-01', '', None, -5, 2**70])
    keys = {'user': ids, 'item': ids, 'rating': ratings}
    objects = st.fixed_dictionaries(keys, optional={'time': times, 'title': ids})
    tables = st.lists(objects, min_size=1, max_size=4).map(
        lambda rows: lines(*map(json.dumps, rows))
    )
    return table_case(folder, 'r.jsonl', damaged(JSON_LINES, JSON_WORDS) | tables)


def array_case(folder: Path) -> Case:
    arrays = [
        b'[' + b','.join(line for line in text.splitlines() if line[:1] == b'{') + b']'
        for text in JSON_LINES
    ]
    return table_case(folder, 'r.json', damaged(arrays, JSON_WORDS))


def workbook_case(folder: Path) -> Case:
    from openpyxl import Workbook

    book = Workbook()
    for row in (['user', 'item', 'rating'], ['anna', '007', 4.5], ['ben', 'x', 3]):
        book.active.append(row)
    book.create_sheet('empty')
    path = folder / 'sound.xlsx'
    book.save(path)
    with zipfile.ZipFile(path) as z:
        parts = {name: z.read(name) for name in z.namelist()}
    return table_case(folder, 'r.xlsx', archives_of(parts))


ROWS = (
    'CREATE TABLE ratings ("user" TEXT, item INTEGER, rating REAL, date TEXT)',
    "INSERT INTO ratings VALUES ('anna', 7, 4.5, '2024-03-01'), ('ben', 8, 3, NULL)",
)


def database_case(folder: Path) -> Case:
    files = []
    for mode, more in (('DELETE', 'SELECT 1'), ('WAL', 'CREATE TABLE t (id, title)')):
        path = folder / f'{mode}.db'
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f'PRAGMA journal_mode = {mode}')
            connection.execute('PRAGMA page_size = 512')
            for statement in (*ROWS, more):
                connection.execute(statement)
            connection.commit()
        files.append(path.read_bytes())
    return queried_case(folder, 'r.db', files)


def duckdb_case(folder: Path) -> Case:
    import duckdb

    path = folder / 'sound.duckdb'
    with closing(duckdb.connect()) as connection:
        # The smallest blocks there are: most bytes of the file mean something.
        connection.execute(f"ATTACH '{path}' AS small (BLOCK_SIZE 16384)")
        for statement in ('USE small', *ROWS, 'USE memory', 'DETACH small'):
            connection.execute(statement)
    return queried_case(folder, 'r.duckdb', [path.read_bytes()])


def queried_case(folder: Path, name: str, files: list[bytes]) -> Case:
    """Databases, with and without a query."""

    def read(drawn: tuple[bytes, str | None]) -> None:
        raw, query = drawn
        path = folder / name
        path.write_bytes(raw)
        check_ratings(load_ratings(path, say=None, query=query, timestamp=False))

    queries = [None, 'SELECT * FROM ratings', 'SELECT "user", item, 3 AS rating FROM t']
    return Case(st.tuples(damaged(files), st.sampled_from(queries)), read, RatingsError)


def matrix_case(folder: Path) -> Case:
    """Sparse matrices of any kind, with and without ids."""

    def read(drawn: tuple[Any, ...]) -> None:
        values, dtype, format, ids, scale = drawn
        with suppress_all_warnings():
            data = np.array([value for _, _, value in values]).astype(dtype)
            rows, columns = [v[0] for v in values], [v[1] for v in values]
            places = (rows, columns)
            matrix = coo_array((data, places), shape=(4, 3)).asformat(format)
        check_ratings(load_ratings(matrix, say=None, users=ids, scale=scale))

    value = st.tuples(st.integers(0, 3), st.integers(0, 2), st.sampled_from(NUMBERS))
    numbers = ['int8', 'int64', 'uint64', 'float32', 'float64', 'bool', 'complex64']
    ids = st.none() | st.lists(st.sampled_from(IDS), max_size=5)
    formats = st.sampled_from(['csr', 'csc', 'coo', 'lil', 'dok', 'dia', 'bsr'])
    scales = st.sampled_from([None, None, (0, 5), (1, 5)])
    drawn = st.tuples(
        st.lists(value, max_size=6), st.sampled_from(numbers), formats, ids, scales
    )
    return Case(drawn, read, RatingsError)


# fmt: off
IDS = [
    'a', 'b', 'c', 'd', '', ' ', '7', 7, 8, 9, -1, 0, 2**62, 2**64, 0.5, None, np.nan,
    True, b'a', (1, 2), '\ud800', '\0',
]
ARROW_TYPES = [
    'int8', 'int64', 'uint64', 'float32', 'double', 'bool', 'string', 'large_string',
    'string_view', 'binary', 'date32', 'timestamp[s]', 'timestamp[ns]', 'duration[s]',
    'time32[s]', 'null',
]
# fmt: on


def arrow_case(folder: Path) -> Case:
    """Tables of Arrow with columns of any type."""
    import pyarrow as pa

    def read(drawn: tuple[Sequence[str], list[list[Any]], bool]) -> None:
        types, values, is_category = drawn
        columns = {}
        names = ('user', 'item', 'rating', 'time', 'title')
        for name, kind, column in zip(names, types, values):
            try:
                array = pa.array(column).cast(kind, safe=False)
                if is_category:
                    array = array.dictionary_encode()
            except (pa.ArrowException, OverflowError, ValueError, TypeError):
                array = pa.array([1, 2, 2], 'int64')
            columns[name] = array
        found = load_ratings(pa.table(columns), say=None, duplicates='last')
        check_ratings(found)

    numbers = st.lists(st.sampled_from(NUMBERS), min_size=3, max_size=3)
    texts = st.lists(
        st.sampled_from(['a', '7', '', 'é', '2024-03-01', None]), min_size=3
    )
    columns = st.lists(numbers | texts.map(lambda t: t[:3]), min_size=5, max_size=5)
    types = st.lists(st.sampled_from(ARROW_TYPES), min_size=5, max_size=5)
    usual = st.sampled_from(['string', 'int64', 'string_view'])
    numeric = st.sampled_from(['int8', 'int64', 'double'])
    usual_types = st.tuples(usual, usual, numeric, st.sampled_from(ARROW_TYPES))
    drawn = st.tuples(types | usual_types, columns, st.booleans())
    return Case(drawn, read, RatingsError)


@contextmanager
def suppress_all_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        yield


def parquet_case(folder: Path) -> Case:
    path = folder / 'sound.parquet'
    ratings().to_frame().to_parquet(path)
    return table_case(folder, 'r.parquet', damaged([path.read_bytes()]))


def sharded_case(folder: Path) -> Case:
    def read(raw: bytes) -> None:
        path = folder / 'big.csv'
        path.write_bytes(raw)
        shards = folder / f'shards{time.perf_counter_ns()}'
        try:
            check_ratings(shard_file(path, shards, 2).load())
        except RatingsError:
            assert not shards.exists()
            raise

    return Case(damaged(TABLES), read, RatingsError)


def titles_case(folder: Path) -> Case:
    table = folder / 'sound.parquet'
    ratings().to_frame().to_parquet(table)

    def read(raw: bytes) -> None:
        path = folder / 'titles.csv'
        path.write_bytes(raw)
        load_ratings(table, titles=path, item='item_id', say=None)

    titles = lines('item,title', '1,A', '2,B', '3,C')
    return Case(damaged([titles, *TABLES]), read, RatingsError)


def archive_case(folder: Path, layout: str) -> Case:
    def read(raw: bytes) -> None:
        path = folder / f'{layout}.zip'
        path.write_bytes(raw)
        read_archive(path, Source('small', layout, 3, 2, 2, ''))

    return Case(archives(layout), read, DataError)


def shards_case(folder: Path) -> Case:
    sound = write_shards(ratings(), folder / 'sound', shard_size=2, seed=0).folder
    files = {path.name: path.read_bytes() for path in sorted(sound.iterdir())}
    copy = folder / 'copy'
    copy.mkdir()

    def read(drawn: tuple[str, bytes]) -> None:
        damaged_name, raw = drawn
        for name, content in files.items():
            (copy / name).write_bytes(raw if name == damaged_name else content)
        check_ratings(Shards(copy).load())

    def with_name(name: str) -> st.SearchStrategy[tuple[str, bytes]]:
        return st.tuples(st.just(name), damaged([files[name]]))

    return Case(st.sampled_from(sorted(files)).flatmap(with_name), read, RatingsError)


def saved_models(folder: Path) -> list[bytes]:
    """The bytes of a model of each solver that saves something else."""
    solvers: dict[str, dict[str, int]] = {
        'als': dict(n_iterations=2),
        'ials': dict(n_iterations=2),
        'bayes': dict(n_burn_in=0, n_samples=4),
    }
    found = []
    for solver, arguments in solvers.items():
        model = Recommender.fit(ratings(), solver, n_factors=2, **arguments)
        found.append(model.save(folder / f'{solver}.npz').read_bytes())
    return found


def model_case(folder: Path, contents: Bytes) -> Case:
    def read(raw: bytes) -> None:
        path = folder / 'm.npz'
        path.write_bytes(raw)
        ask(Recommender.load(path))

    return Case(contents, read, ModelFileError)


def ask(model: Recommender) -> None:
    """A model that opened has to answer, too."""
    assert np.isfinite(model.recommend(exclude_seen=False).score).all()
    model.summary()
    repr(model)
    # It may have been fitted in another way, or its numbers be so large that nothing
    # comes of them.
    with suppress(ValueError):
        model.fold_in({model.items.index[0]: float(model.seen.data[0])})


def model_bytes_case(folder: Path) -> Case:
    return model_case(folder, damaged(saved_models(folder)))


def model_arrays_case(folder: Path) -> Case:
    als, ials, bayes = map(arrays_of, saved_models(folder))
    return model_case(folder, als | ials | bayes)


def factors_case(folder: Path) -> Case:
    model = Recommender.fit(ratings(), 'als', n_factors=2, n_iterations=2)
    path = folder / 'f.npz'
    sound = model.predictor.save(path).read_bytes()

    def read(raw: bytes) -> None:
        path.write_bytes(raw)
        Factors.load(path).scores([0])

    return Case(damaged([sound]) | arrays_of(sound), read, ValueError)


def checkpoint_case(folder: Path) -> Case:
    path = folder / 'c.npz'
    fit_als(ratings(), n_factors=2, n_iterations=1, checkpoint=path)
    sound = path.read_bytes()

    def read(raw: bytes) -> None:
        path.write_bytes(raw)
        with warnings.catch_warnings():
            # What comes of huge numbers is refused at the end.
            warnings.simplefilter('ignore', RuntimeWarning)
            fit_als(ratings(), n_factors=2, n_iterations=2, checkpoint=path)

    return Case(damaged([sound]) | arrays_of(sound), read, ValueError)


CASES: dict[str, Callable[[Path], Case]] = {
    'text': text_case,
    'text, gzipped': gzip_case,
    'text, packed otherwise': packed_case,
    'text, cut into shards': sharded_case,
    'JSON Lines': json_case,
    'array of JSON': array_case,
    'workbook': workbook_case,
    'database of SQLite': database_case,
    'database of DuckDB': duckdb_case,
    'table of Arrow': arrow_case,
    'sparse matrix': matrix_case,
    'parquet': parquet_case,
    'table of titles': titles_case,
    'archive like ML-100K': lambda folder: archive_case(folder, 'u'),
    'archive like ML-1M': lambda folder: archive_case(folder, 'dat'),
    'archive like ML-25M': lambda folder: archive_case(folder, 'csv'),
    'folder of shards': shards_case,
    'model, its bytes': model_bytes_case,
    'model, its arrays': model_arrays_case,
    'factors': factors_case,
    'checkpoint': checkpoint_case,
}


# What a kind needs beyond what the package asks for.
NEEDED = {
    'workbook': 'openpyxl',
    'database of DuckDB': 'duckdb',
    'table of Arrow': 'pyarrow',
}


class Count:
    """What came of the files that were tried."""

    def __init__(self, kind: str) -> None:
        self.row: dict[str, Any] = dict(
            kind=kind, inputs=0, results=0, refused=0, slowest_s=0.0
        )
        self.crashes: list[str] = []

    def try_one(self, case: Case, raw: Any) -> None:
        started = time.perf_counter()
        try:
            case.read(raw)
            self.row['results'] += 1
        except case.refusal:
            self.row['refused'] += 1
        except Exception:
            self.crashes.append(f'{raw!r}\n{traceback.format_exc()}')
        self.row['inputs'] += 1
        seconds = time.perf_counter() - started
        self.row['slowest_s'] = max(self.row['slowest_s'], seconds)

    def finished(self) -> tuple[dict[str, Any], list[str]]:
        slowest_s = self.row['slowest_s']
        if slowest_s > MAX_SECONDS:
            self.crashes.append(f'one file took {slowest_s:.1f} s')
        return self.row | dict(crashes=len(self.crashes)), self.crashes


def try_files(kind: str, n: int, seed: int = 0) -> tuple[dict[str, Any], list[str]]:
    """Try `n` files of a kind: a row of the table, and the crashes as text."""
    count = Count(kind)
    with tempfile.TemporaryDirectory() as folder:
        case = CASES[kind](Path(folder))
        max_bytes = bytes_in_use() + MAX_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (max_bytes, resource.RLIM_INFINITY))

        @use_seed(seed)
        @settings(
            max_examples=n,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case.inputs)
        def try_each(raw: Any) -> None:
            count.try_one(case, raw)

        with warnings.catch_warnings():
            # If a number silently becomes another one, a warning is all that tells.
            warnings.simplefilter('error')
            try_each()
    return count.finished()


def bytes_in_use() -> int:
    n_pages = int(Path('/proc/self/statm').read_text().split()[0])
    return n_pages * resource.getpagesize()


def try_files_apart(
    kind: str, n: int, seed: int = 0
) -> tuple[dict[str, Any], list[str]]:
    """The same in a process of its own, which may die."""
    # It begins as a copy of a process that has imported what takes long.
    context = get_context('forkserver')
    context.set_forkserver_preload(IMPORTED_ONCE)
    with ProcessPoolExecutor(1, context) as pool:
        return pool.submit(try_files, kind, n, seed).result(timeout=60 + n)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    known = '; '.join(CASES)
    parser.add_argument('kinds', nargs='*', help=f'all by default: {known}')
    parser.add_argument('-n', type=int, default=5_000, help='files of each kind')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--try', action='store_true', dest='dry', help='write nothing')
    options = parser.parse_args()
    rows = []
    for kind in options.kinds or CASES:
        row, crashes = try_files_apart(kind, options.n, options.seed)
        print(json.dumps(row), flush=True)
        for crash in crashes[:5]:
            print(crash)
        rows.append(row)
    if not (options.dry or options.kinds):
        table = pd.DataFrame(rows).round(2).assign(commit=commit())
        table.to_csv(RESULTS / 'fuzz.csv', index=False)


if __name__ == '__main__':
    main()
