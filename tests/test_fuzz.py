"""Any file gives a result or a reason, in bounded time and memory."""

import gzip
import io
import os
import resource
import stat
import sys
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'benchmarks'))
import fuzz

from mf_movielens.data import DataError, read_archive
from mf_movielens.encoding import Ratings, RatingsError
from mf_movielens.factors import Factors
from mf_movielens.model_file import ModelFileError
from mf_movielens.movielens_sets import Source
from mf_movielens.reading import load_ratings
from mf_movielens.recommender import Recommender
from mf_movielens.storage import load_checkpoint, save_arrays


@pytest.mark.parametrize('kind', fuzz.CASES)
def test_any_file_is_a_result_or_a_reason(kind):
    if kind in fuzz.NEEDED:
        pytest.importorskip(fuzz.NEEDED[kind])
    seed = int.from_bytes(os.urandom(4), 'little')
    row, crashes = fuzz.try_files_apart(kind, 200, seed)
    assert not crashes, '\n'.join(crashes[:3])
    assert row['inputs'] >= 200
    # Of the changes to a model's bytes, one in a hundred is harmless.
    assert row['refused']


def test_the_corpus_itself_is_sound(tmp_path):
    "Else everything would be refused, and nothing learned."
    for j, raw in enumerate(fuzz.TABLES):
        (tmp_path / f'{j}.csv').write_bytes(raw)
        assert len(load_ratings(tmp_path / f'{j}.csv', say=None)) >= 2
    for j, raw in enumerate(fuzz.JSON_LINES):
        (tmp_path / f'{j}.jsonl').write_bytes(raw)
        assert len(load_ratings(tmp_path / f'{j}.jsonl', say=None)) == 2
    for layout, members in fuzz.ARCHIVES.items():
        (tmp_path / 'a.zip').write_bytes(fuzz.zipped(members))
        source = Source('small', layout, 3, 2, 2, '')
        assert len(read_archive(tmp_path / 'a.zip', source).ratings) == 3


@pytest.fixture
def bounded():
    "No more than 384 MB beyond what is in use."
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (fuzz.bytes_in_use() + 3 * 2**27, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def packed(size, start=b'', block=bytes(2**20)):
    "The gzip of a few bytes and then a block again and again, zeros by default."
    out, pack = io.BytesIO(), zlib.compressobj(6, wbits=31)
    out.write(pack.compress(start))
    for _ in range(size // 2**20):
        out.write(pack.compress(block))
    return out.getvalue() + pack.flush()


def read_u(path):
    return read_archive(path, Source('small', 'u', 3, 2, 2, ''))


def test_an_archive_that_would_fill_the_memory(tmp_path, bounded):
    with (
        zipfile.ZipFile(tmp_path / 'a.zip', 'w', zipfile.ZIP_DEFLATED) as z,
        z.open('u.data', 'w') as f,
    ):
        for _ in range(600):
            f.write(bytes(2**20))
    assert (tmp_path / 'a.zip').stat().st_size < 2**22
    with pytest.raises(DataError, match='u.data.*629,145,600 bytes'):
        read_u(tmp_path / 'a.zip')


@pytest.mark.parametrize('start', [b'user,item,rating\n1,2,3\n', b'\xff\xfe', b''])
def test_a_packed_table_that_would_fill_the_memory(tmp_path, bounded, start):
    rows = (b'1,2,3\n' * 2**18)[: 2**20]
    (tmp_path / 'r.csv.gz').write_bytes(packed(600 * 2**20, start, rows))
    for more in ({}, {'encoding': 'latin-1', 'sep': ','}):
        with pytest.raises(RatingsError, match='would unpack to'):
            load_ratings(tmp_path / 'r.csv.gz', say=None, **more)


def test_a_parquet_file_that_would_fill_the_memory(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    one = pa.table(
        {
            'user': pa.array(np.ones(2**24, 'int32')),
            'item': pa.array(np.ones(2**24, 'int32')),
            'rating': pa.array(np.ones(2**24, 'float32')),
        }
    )
    with pq.ParquetWriter(tmp_path / 'r.parquet', one.schema) as writer:
        for _ in range(3):
            writer.write_table(one, row_group_size=2**24)
    assert (tmp_path / 'r.parquet').stat().st_size < 2**20
    with pytest.raises(RatingsError, match='would unpack to 50,331,648 rows'):
        load_ratings(tmp_path / 'r.parquet', say=None)


@pytest.mark.parametrize(
    'shape',
    [
        '(1000000000000,)',
        '(99999999999999999999999,)',
        '(-1,)',
        '(500000000,)',
        '(1, 2, 3',
        "'a'",
    ],
)
def test_a_model_whose_header_promises_too_much(tmp_path, bounded, shape):
    head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}"
    head = head.ljust(117) + '\n'
    raw = (
        b'\x93NUMPY\x01\x00'
        + len(head).to_bytes(2, 'little')
        + head.encode()
        + bytes(64)
    )
    with zipfile.ZipFile(tmp_path / 'm.npz', 'w') as z:
        for name in (
            'format',
            'version',
            'mu',
            'user_bias',
            'item_bias',
            'user_factors',
            'item_factors',
            'scale',
            'link',
        ):
            z.writestr(f'{name}.npy', raw)
    with pytest.raises(ModelFileError, match='m.npz'):
        Recommender.load(tmp_path / 'm.npz')
    with pytest.raises(ValueError, match='m.npz'):
        Factors.load(tmp_path / 'm.npz')


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('name', ['mu', 'version'])
def test_a_number_in_a_model_that_is_another_thing(tmp_path, name):
    """An array of one number is that number, without a warning of older numpy."""
    path = Recommender.fit(fuzz.ratings(), 'als', n_factors=2, n_iterations=1).save(
        tmp_path / 'm.npz'
    )
    with np.load(path) as z:
        arrays = dict(z)
    for value in ([2.0], [[2.0]]):
        save_arrays(path, **arrays | {name: np.array(value)})
        assert Recommender.load(path).predictor.mu == (
            2 if name == 'mu' else arrays['mu']
        )
    for value in ([2.0, 2.0], [], np.inf, np.nan, 1j, 'x'):
        save_arrays(path, **arrays | {name: np.array(value)})
        with pytest.raises(ModelFileError, match='m.npz'):
            Recommender.load(path)


def with_raw(path, name, raw):
    "The same file, in which one member is no array."
    with zipfile.ZipFile(path) as z:
        members = {n: z.read(n) for n in z.namelist() if n != f'{name}.npy'}
    with zipfile.ZipFile(path, 'w') as z:
        for n, r in {**members, name: raw}.items():
            z.writestr(n, r)


@pytest.mark.parametrize(
    'name', ['mu', 'version', 'scale', 'format', 'user_factors', 'settings']
)
@pytest.mark.parametrize('raw', [b'', b'1', bytes(50)])
def test_a_member_that_is_no_array(tmp_path, name, raw):
    path = Recommender.fit(fuzz.ratings(), 'als', n_factors=2, n_iterations=1).save(
        tmp_path / 'm.npz'
    )
    with_raw(path, name, raw)
    with pytest.raises(ModelFileError, match='m.npz'):
        Recommender.load(path)
    with pytest.raises(ValueError, match='m.npz'):
        Factors.load(path)


@pytest.mark.parametrize(
    'change',
    [
        dict(settings='["fingerprint"]'),
        dict(settings='"fingerprint"'),
        dict(settings='[' * 200_000),
        dict(user_factors=np.ones((3, 2), 'longdouble')),
        dict(item_factors=np.ones((3, 2), 'float16')),
    ],
    ids=str,
)
def test_a_model_that_says_other_things(tmp_path, change):
    for solver in ('ials', 'als'):
        path = Recommender.fit(
            fuzz.ratings(), solver, n_factors=2, n_iterations=1
        ).save(tmp_path / f'{solver}.npz')
        with np.load(path) as z:
            arrays = dict(z)
        save_arrays(path, **arrays | change)
        with pytest.raises(ModelFileError, match=solver):
            Recommender.load(path)


def test_titles_that_overlap_or_end_outside(tmp_path):
    path = Recommender.fit(fuzz.ratings(), 'als', n_factors=2, n_iterations=1).save(
        tmp_path / 'm.npz'
    )
    with np.load(path) as z:
        arrays = dict(z)
    for ends in ([2, 0, 2], [1, 2, 10**6], [-1, 2, 3]):
        save_arrays(path, **arrays | dict(title_ends=np.array(ends)))
        with pytest.raises(ModelFileError, match='titles overlap'):
            Recommender.load(path)


@pytest.mark.parametrize('version', [np.inf, 'abc', [1, 2], 99])
def test_a_posterior_of_a_strange_version(tmp_path, version):
    from mf_movielens.bayes import fit_bayes
    from mf_movielens.posterior import Posterior

    path = fit_bayes(fuzz.ratings(), n_factors=2, n_burn_in=0, n_samples=3).save(
        tmp_path / 'p.npz'
    )
    with np.load(path) as z:
        arrays = dict(z)
    save_arrays(path, **arrays | dict(version=version))
    with pytest.raises(ValueError, match='p.npz'):
        Posterior.load(path)


@pytest.mark.parametrize(
    'change',
    [
        dict(best_item_table=np.ones(2, 'float32')),
        dict(best_item_table=np.full((3, 3), np.nan, 'float32')),
        dict(records='[' * 200_000),
        dict(records='[{"iteration": 1}]'),
        dict(records='[{"iteration": 1, "val_rmse": "x"}]'),
    ],
    ids=lambda c: str(c)[:40],
)
def test_a_checkpoint_that_says_other_things(tmp_path, change):
    from mf_movielens.als import fit_als

    ratings, path = fuzz.ratings(), tmp_path / 'c.npz'

    def go_on(n):
        fit_als(ratings, 2, n_iterations=n, valid=ratings, patience=5, checkpoint=path)

    go_on(2)
    with np.load(path) as z:
        arrays = dict(z)
    save_arrays(path, **arrays | change)
    with pytest.raises(ValueError, match='c.npz.*Remove it to start afresh'):
        go_on(3)
    save_arrays(path, **arrays)
    go_on(3)


def test_many_members_that_would_fill_the_memory_together(tmp_path, bounded):
    path = Recommender.fit(fuzz.ratings(), 'als', n_factors=2, n_iterations=1).save(
        tmp_path / 'm.npz'
    )
    with zipfile.ZipFile(path, 'a', zipfile.ZIP_DEFLATED) as z:
        for j in range(10):
            with z.open(f'x{j}.npy', 'w') as f:
                np.lib.format.write_array(f, np.zeros(60 * 2**17))
    with pytest.raises(ModelFileError, match='would unpack to'):
        Recommender.load(path)


def test_a_model_that_would_fill_the_memory(tmp_path, bounded):
    with (
        zipfile.ZipFile(tmp_path / 'm.npz', 'w', zipfile.ZIP_DEFLATED) as z,
        z.open('format.npy', 'w') as f,
    ):
        for _ in range(600):
            f.write(bytes(2**20))
    with pytest.raises(ModelFileError, match='629,145,600 bytes'):
        Recommender.load(tmp_path / 'm.npz')


@pytest.mark.parametrize(
    'name',
    [
        '../u.data',
        '/etc/u.data',
        'C:/u.data',
        'a/../../u.data',
        '..\\u.data',
        '\\\\host\\u.data',
    ],
)
def test_an_archive_that_points_outside(tmp_path, name):
    (tmp_path / 'a.zip').write_bytes(
        fuzz.zipped({**fuzz.ARCHIVES['u'], name: b'1\t1\t1\t1\n'})
    )
    with pytest.raises(DataError, match='points outside'):
        read_u(tmp_path / 'a.zip')
    assert [p.name for p in tmp_path.iterdir()] == ['a.zip']


def test_a_link_in_an_archive_is_not_followed(tmp_path):
    secret = tmp_path / 'secret'
    secret.write_bytes(fuzz.ARCHIVES['u']['u.data'])
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as z:
        for name, raw in fuzz.ARCHIVES['u'].items():
            info = zipfile.ZipInfo(name)
            if name == 'u.data':
                info.external_attr, raw = (
                    (stat.S_IFLNK | 0o777) << 16,
                    str(secret).encode(),
                )
            z.writestr(info, raw)
    with pytest.raises(DataError):
        read_u(tmp_path / 'a.zip')


def test_a_million_columns(tmp_path, bounded):
    for j, text in enumerate(
        (
            ','.join(map(str, range(10**6))) + '\n1,2,3\n',
            'user,item,rating\n1,2,3\n' + '1,' * 10**6 + '\n',
            'x' * 10**7,
            '"' + 'x\n' * 10**6,
        )
    ):
        (tmp_path / f'{j}.csv').write_text(text)
        with pytest.raises(RatingsError) as e:
            load_ratings(tmp_path / f'{j}.csv', say=None)
        assert len(str(e.value)) < 600 and str(tmp_path) in str(e.value)


def test_a_file_that_says_it_is_an_object(tmp_path):
    "An array of objects would be unpickled, which can run anything."

    class Evil:
        def __reduce__(self):
            return os.system, (f'touch {tmp_path}/ran',)

    np.savez(tmp_path / 'm.npz', format=np.array([Evil()], dtype=object), version=1)
    for load in (Recommender.load, Factors.load, lambda p: load_checkpoint(p, 'x')):
        with pytest.raises(ValueError, match='m.npz'):
            load(tmp_path / 'm.npz')
    assert not (tmp_path / 'ran').exists()


def test_a_checkpoint_that_was_tampered_with(tmp_path):
    like = dict(P=np.ones((3, 2), 'float32'))
    for P in (
        np.ones((1, 2), 'float32'),
        np.ones((3, 2)),
        np.full((3, 2), np.nan, 'float32'),
        np.full((3, 2), 1e30, 'float32'),
    ):
        with pytest.raises(ValueError, match='damaged.*Remove it'):
            load_checkpoint(
                save_arrays(tmp_path / 'c.npz', mark='m', records='[]', P=P), 'm', like
            )
    with pytest.raises(ValueError, match='record'):
        load_checkpoint(
            save_arrays(tmp_path / 'c.npz', mark='m', records='{"a": 1}', P=like['P']),
            'm',
            like,
        )
    with pytest.raises(ValueError, match='another'):
        load_checkpoint(
            save_arrays(tmp_path / 'c.npz', mark='n', records='[]', P=np.ones(1)),
            'm',
            like,
        )


def test_a_redirection_that_leaves_tls_is_not_followed():
    import requests

    from mf_movielens.archives import _describe_failure, _refuse_unsafe_redirect

    response = requests.Response()
    response.url, response.status_code = 'https://files.grouplens.org/a.zip', 302
    for place, safe in (
        ('https://elsewhere.org/a.zip', True),
        ('/b.zip', True),
        ('http://files.grouplens.org/a.zip', False),
        ('ftp://a/b', False),
    ):
        response.headers['location'] = place
        if safe:
            _refuse_unsafe_redirect(response)
        else:
            with pytest.raises(requests.RequestException, match='TLS') as e:
                _refuse_unsafe_redirect(response)
            assert place in _describe_failure(e.value)


def test_numbers_that_become_others_are_refused(tmp_path):
    "pandas only warns where infinity, or what is too large, becomes a whole number."
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        for moment in ('inf', '1e999', '9' * 40, '1e19'):
            (tmp_path / 'r.csv').write_text(
                f'user,item,rating,timestamp\n1,2,3,{moment}\n'
            )
            assert load_ratings(tmp_path / 'r.csv', say=None).timestamp is None
            with pytest.raises(RatingsError, match='line 2'):
                load_ratings(tmp_path / 'r.csv', timestamp='timestamp', say=None)
        frame = pd.DataFrame(
            {'user_id': [1], 'movie_id': [2], 'rating': [3], 'timestamp': [1e30]}
        )
        with pytest.raises(RatingsError, match="'timestamp'.*1e\\+30"):
            Ratings.from_frame(frame)
        members = fuzz.ARCHIVES['u'] | {
            'u.data': b'1\t1\t4\t1001000949\n1\t2\t3\t1001000950\n2\t1\t5\t1e999\n'
        }
        (tmp_path / 'a.zip').write_bytes(fuzz.zipped(members))
        with pytest.raises(DataError, match='a.zip'):
            read_u(tmp_path / 'a.zip')


@pytest.mark.parametrize('layout', ['csv', 'dat', 'u'])
def test_an_archive_of_many_genres(tmp_path, bounded, layout):
    "A column for each would be a table of a billion cells."
    n, members = 30_000, dict(fuzz.ARCHIVES[layout])
    change = dict(
        csv={
            'movies.csv': 'movieId,title,genres\n'
            + ''.join(f'{j},A (1994),g{j}\n' for j in range(n))
        },
        dat={'movies.dat': ''.join(f'{j}::A (1994)::g{j}|h{j}\n' for j in range(n))},
        u={'u.genre': ''.join(f'g{j}|0\n' for j in range(n))},
    )[layout]
    (tmp_path / 'a.zip').write_bytes(
        fuzz.zipped(members | {name: text.encode() for name, text in change.items()})
    )
    with pytest.raises(DataError, match='a.zip.*more than 100 genres'):
        read_archive(tmp_path / 'a.zip', Source('small', layout, 3, 2, 2, ''))


def test_an_archive_of_many_films(tmp_path, bounded):
    text = (
        'movieId,title,genres\n1,A,'
        + '|'.join(map(str, range(100)))
        + '\n'
        + '1,A,0\n' * 200_000
    )
    (tmp_path / 'a.zip').write_bytes(
        fuzz.zipped(fuzz.ARCHIVES['csv'] | {'movies.csv': text.encode()})
    )
    with pytest.raises(DataError, match='200,001 films of 100 genres'):
        read_archive(tmp_path / 'a.zip', Source('small', 'csv', 3, 2, 2, ''))


def test_an_archive_with_one_long_line(tmp_path, bounded):
    "As many columns as it has, in every line, would fill the memory."
    (tmp_path / 'a.zip').write_bytes(
        fuzz.zipped(
            fuzz.ARCHIVES['dat']
            | {'movies.dat': b'1::A::x' * 100_000 + b'\n' + b'2::B::x\n' * 2_000}
        )
    )
    with pytest.raises(DataError, match='a.zip.* 4 columns'):
        read_archive(tmp_path / 'a.zip', Source('small', 'dat', 3, 2, 2, ''))


@pytest.fixture
def shards(tmp_path):
    from mf_movielens.shards import write_shards

    return write_shards(fuzz.ratings(), tmp_path / 's').folder


def written(path, n, **values):
    "A parquet file of the same row again and again."
    import pyarrow as pa
    import pyarrow.parquet as pq

    one = pa.table(
        {
            name: pa.DictionaryArray.from_arrays(np.zeros(n, 'int32'), value)
            for name, value in values.items()
        }
    )
    pq.write_table(one, path, store_schema=False)
    assert path.stat().st_size < 2**20


@pytest.mark.parametrize('name', ['users', 'items'])
def test_ids_that_would_fill_the_memory(shards, bounded, name):
    from mf_movielens.shards import Shards

    written(shards / f'{name}.parquet', 10**7, id=pa_array([7], 'int64'))
    with pytest.raises(RatingsError, match='would unpack to 3[0-9,]* bytes'):
        Shards(shards)


def test_titles_that_would_fill_the_memory(shards, bounded):
    "A long one, again and again; it is kept once."
    import pyarrow as pa
    import pyarrow.parquet as pq

    from mf_movielens.shards import Shards

    n, title = 20_000, 'x' * 10**5
    titles = pa.DictionaryArray.from_arrays(np.zeros(n, 'int32'), pa.array([title]))
    pq.write_table(
        pa.table({'id': pa.array(range(n), 'int64'), 'title': titles}),
        shards / 'items.parquet',
        store_schema=False,
    )
    assert set(map(len, Shards(shards).titles)) == {len(title)}


def test_ratings_that_would_fill_the_memory(shards, bounded):
    "In one file, or in many of which each would do."
    import json

    from mf_movielens.shards import Shards

    about = json.loads((shards / 'about.json').read_text())
    for n, files in ((2 * 10**7, 1), (10**6, 30)):
        written(
            shards / '00000.parquet',
            n,
            user_ix=pa_array([0], 'int32'),
            item_ix=pa_array([0], 'int32'),
            rating=pa_array([1], 'float32'),
        )
        for j in range(1, files):
            (shards / f'{j:05d}.parquet').write_bytes(
                (shards / '00000.parquet').read_bytes()
            )
        (shards / 'about.json').write_text(json.dumps(about | {'sizes': [n] * files}))
        with pytest.raises(
            RatingsError, match=f'would unpack to {n * files:,} ratings'
        ):
            Shards(shards).load()
    assert len(Shards(shards).read(3)) == 10**6
    (shards / 'about.json').write_text(json.dumps(about | {'sizes': [4]}))
    with pytest.raises(RatingsError, match='1,000,000 ratings and not 4'):
        Shards(shards).load()


def pa_array(*args):
    import pyarrow as pa

    return pa.array(*args)


def test_a_parquet_file_that_repeats_one_long_text(tmp_path, bounded):
    import pyarrow as pa
    import pyarrow.parquet as pq

    long = pa.DictionaryArray.from_arrays(
        pa.array([0] * 600, 'int32'), pa.array(['x' * 2**20])
    )
    pq.write_table(
        pa.table({'user': long, 'item': list(range(600)), 'place': list(range(600))}),
        tmp_path / 'r.parquet',
        store_schema=False,
    )
    with pytest.raises(RatingsError, match='would unpack to 629,145,600 bytes'):
        load_ratings(tmp_path / 'r.parquet', rating='place', say=None)
    assert (
        len(load_ratings(tmp_path / 'r.parquet', user='place', rating=False, say=None))
        == 600
    )  # what is not needed is not read


@pytest.mark.parametrize('rating', ['4', '"4,5"'])
@pytest.mark.parametrize('blank', ['\n', ' \n', '\r\n'])
def test_megabytes_of_blank_lines_are_refused(tmp_path, bounded, rating, blank):
    content = f'user,item,rating\na,x,{rating}\n' + blank * (24 * 2**20 // len(blank))
    (tmp_path / 'r.csv.gz').write_bytes(gzip.compress(content.encode(), 1))
    with pytest.raises(RatingsError, match='from byte 1,048,576 on.*nothing but'):
        load_ratings(tmp_path / 'r.csv.gz', say=None)


def test_a_few_blank_lines_are_left_out(tmp_path):
    content = 'user,item,rating\na,x,4\n' + '\n' * 5000 + 'b,x,3\n' + '\n' * 5000
    (tmp_path / 'r.csv').write_text(content)
    assert load_ratings(tmp_path / 'r.csv', say=None).rating.tolist() == [4, 3]


@pytest.mark.parametrize('text', [',' * 2**23, 'x' * 2**23, '"' + 'x' * 2**23])
def test_a_line_of_megabytes_is_refused(tmp_path, bounded, text):
    (tmp_path / 'r.csv').write_text('user,item,rating\na,x,4\n' + text + '\n')
    with pytest.raises(RatingsError, match='a line that does not end'):
        load_ratings(tmp_path / 'r.csv', say=None)


@pytest.mark.parametrize('n_names', [3, 40])
def test_a_first_row_of_thousands_of_columns_is_refused(tmp_path, bounded, n_names):
    names = ['user', 'item', 'rating', *map(str, range(n_names - 3))]
    (tmp_path / 'r.csv').write_text(','.join(names) + '\n' + '1,' * 50_000 + '\n')
    with pytest.raises(RatingsError, match=f'line 2: 50001 .* but {n_names} in the'):
        load_ratings(tmp_path / 'r.csv', say=None)


@pytest.mark.parametrize('header', ['user,item,rating', 'who,what,where'])
def test_a_value_longer_than_the_csv_module_takes_is_no_fault(tmp_path, header):
    rows = [f'{j % 7},{j},{j % 5 + 1}' for j in range(50)]
    rows[20] = 'x' * 200_000 + ',3,4'
    (tmp_path / 'r.csv').write_text('\n'.join([header, *rows]))
    if header == 'user,item,rating':
        assert len(load_ratings(tmp_path / 'r.csv', say=None)) == 50
        return
    with pytest.raises(RatingsError, match='which column holds the users'):
        load_ratings(tmp_path / 'r.csv', say=None)
