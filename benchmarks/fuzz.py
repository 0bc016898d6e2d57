"Give hostile and broken files to every reader, and count; `python benchmarks/fuzz.py` tries 5,000 of each kind and writes fuzz.csv."

import argparse, gzip, io, json, os, resource, tempfile, time, traceback, warnings, zipfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, Phase, given, seed, settings, strategies as st

from mf_movielens.als import fit_als
from mf_movielens.data import DataError, Source, read_archive
from mf_movielens.encoding import Ratings, RatingsError
from mf_movielens.factors import Factors
from mf_movielens.reading import load_ratings
from mf_movielens.model_file import ModelFileError
from mf_movielens.recommender import Recommender
from mf_movielens.shards import Shards, shard_file, write_shards

RESULTS = Path(__file__).resolve().parent.parent / 'mf_movielens/results'
MEMORY, SECONDS = (
    2 * 2**30,
    10,
)  # what one file may take, beyond what the process holds already

# small files of every kind, from which others are made

TABLES = [
    b'user,item,rating,timestamp\n1,10,4.0,1001000949\n1,20,3.5,1001000950\n2,10,5.0,1001000951\n3,30,0.5,1001000952\n',
    b'\xef\xbb\xbfreader;book;stars\r\nanna;Momo;4,5\r\nben;"Krabat; or the mill";5\r\n"an ""other""";Momo;1,5\r\n',
    '\ufeffmember\tfilm\tscore\nänne\tDer Schuh\t4\nœuf\tStalker\t2\n'.encode(
        'utf-16-le'
    ),
    b'7::2511::5::1001000001\n7::340::3::1001000002\n9::2511::4::1001000003\n',
    b'4071\t9242\t3\t1001000001\n4186\t9302\t3\t1001000002\n4022\t9377\t1\t1001000003\n',
    b'user_id|movie_id|title|rating|date\na|007|James|1|2024-03-01\nb|8|Mr. Caf\xe9|5|2024-03-01T10:00:00Z\n',
]
WORDS = [
    '\ufeff'.encode(),
    b'\xff\xfe',
    b'\xfe\xff',
    b'\r\n',
    b'\n',
    b'\r',
    b'"',
    b'""',
    b'\0',
    b'nan',
    b'inf',
    b'-inf',
    b'1e999',
    b'-0',
    b'1e-400',
    b'0x10',
    b'1_000',
    b'9223372036854775808',
    b'99999999999999999999',
    b'-9223372036854775809',
    b',',
    b';',
    b'\t',
    b'|',
    b'::',
    b' ',
    b',' * 300,
    b'NaT',
    b'9999-99-99',
    b'0001-01-01',
    b'1e15',
    b'\xed\xa0\x80',
    b'\xf0\x9f\x8e\xac',
    '٣'.encode(),
    '½'.encode(),
    b'\xe9',
    b'True',
    b'None',
    b'user',
    b'item',
    b'rating',
    b'title',
    b'timestamp',
    b'PK\x03\x04',
    b'\x1f\x8b',
    b'{',
    b'[',
    b'x' * 5_000,
    b'\x80',
    b'\x00\x00\x00\x00',
    b'\xff\xff\xff\xff',
    b'\x7f\xff\xff\xff\xff\xff\xff\xff',
]


def damaged(files):
    "One of the files after some changes: bytes turned, cut out, doubled, put in."
    change = st.tuples(
        st.sampled_from(('turn', 'cut', 'double', 'put', 'put', 'end')),
        st.floats(0, 1),
        st.floats(0, 1),
        st.sampled_from(WORDS) | st.binary(min_size=1, max_size=8),
    )

    def changed(raw, changes):
        raw = bytearray(raw)
        for how, at, length, word in changes:
            a = int(at * len(raw))
            b = a + 1 + int(length**4 * 200)
            if how == 'turn':
                raw[a : a + len(word)] = word
            elif how == 'cut':
                del raw[a:b]
            elif how == 'double':
                raw[a:a] = raw[a:b]
            elif how == 'put':
                raw[a:a] = word
            else:
                del raw[a:]
        return bytes(raw)

    return st.builds(
        changed, st.sampled_from(files), st.lists(change, min_size=1, max_size=6)
    ) | st.binary(max_size=300)


def zipped(members):
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, 'w', zipfile.ZIP_DEFLATED) as z:
        for name, content in members.items():
            z.writestr(name, content)
    return raw.getvalue()


ARCHIVES = {
    'u': {
        'u.genre': b'unknown|0\nDrama|1\n',
        'u.item': b'1|A (1994)|01-Jan-1994||http://a|0|1\n2|Caf\xe9 (1995)|01-Jan-1995||http://b|1|0\n',
        'u.user': b'1|99|M|baker|00000\n2|98|F|weaver|00001\n',
        'u.data': b'1\t1\t4\t1001000949\n1\t2\t3\t1001000950\n2\t1\t5\t1001000951\n',
    },
    'dat': {
        'ratings.dat': b'1::10::4::1001000001\n1::20::3.5::1001000002\n2::10::5::1001000003\n',
        'movies.dat': b"10::A (1994)::Drama\n20::B (1995)::Comedy|Children's\n",
        'users.dat': b'1::M::1::10::00000\n2::F::56::16::00001\n',
    },
    'csv': {
        'small/ratings.csv': b'userId,movieId,rating,timestamp\n1,10,4.0,1\n1,20,3.5,2\n2,10,5.0,3\n',
        'small/movies.csv': b'movieId,title,genres\n10,"A, the (1994)",Drama\n20,B (1995),Comedy|Drama\n',
    },
}


def archives(layout):
    "Archives of which the bytes, or one of the tables, are damaged."
    members = ARCHIVES[layout]
    inside = st.sampled_from(sorted(members)).flatmap(
        lambda name: damaged([members[name]]).map(
            lambda raw: zipped(members | {name: raw})
        )
    )
    return damaged([zipped(members)]) | inside | inside


def ratings():
    return Ratings.from_frame(
        pd.DataFrame(
            {
                'user_id': ['a', 'a', 'b', 'c'],
                'item_id': [1, 2, 1, 3],
                'rating': [4.0, 3, 5, 0.5],
                'timestamp': [1, 2, 3, 4],
            }
        ),
        item='item_id',
        scale=(0.5, 5),
        titles={1: 'A', 2: 'É', 3: 'C'},
    )


def saved(solver, folder):
    settings = (
        dict(n_factors=2, n_burn_in=0, n_samples=4)
        if solver == 'bayes'
        else dict(n_factors=2, n_iterations=2)
    )
    return (
        Recommender.fit(ratings(), solver, **settings)
        .save(folder / f'{solver}.npz')
        .read_bytes()
    )


NUMBERS = st.sampled_from(
    [
        0,
        1,
        -1,
        2,
        255,
        2**31 - 1,
        2**31,
        -(2**31),
        2**62,
        -(2**63),
        0.5,
        1e30,
        1e308,
        np.nan,
        np.inf,
        -np.inf,
    ]
)


def arrays_of(raw):
    "The arrays of a file, of which some are other than they should be."
    with np.load(io.BytesIO(raw)) as z:
        right = {k: z[k] for k in z.files}

    def changed(names, values, dtype, shape, how):
        wrong = dict(right)
        for name in names:
            if how == 'gone':
                del wrong[name]
            elif how == 'reshaped':
                wrong[name] = np.resize(right[name], shape)
            elif how == 'retyped':
                try:
                    with np.errstate(all='ignore'):
                        wrong[name] = right[name].astype(dtype)
                except (ValueError, TypeError):
                    wrong[name] = np.zeros(shape, dtype)
            elif how == 'text':
                wrong[name] = np.array(
                    ['{"x": [1, null]}', '', '\0', 'a' * 300][len(shape)]
                )
            elif right[name].size and right[name].dtype.kind in 'iuf':
                new = right[name].astype('float64').copy()
                new.flat[[at % new.size for _, at in values]] = [v for v, _ in values]
                with np.errstate(all='ignore'):
                    wrong[name] = new.astype(right[name].dtype)
        out = io.BytesIO()
        np.savez(out, **wrong)
        return out.getvalue()

    return st.builds(
        changed,
        st.lists(st.sampled_from(sorted(right)), min_size=1, max_size=3, unique=True),
        st.lists(st.tuples(NUMBERS, st.integers(0, 10**4)), min_size=1, max_size=4),
        st.sampled_from(
            [
                'int8',
                'int64',
                'uint64',
                'float16',
                'float64',
                'complex64',
                'bool',
                'U3',
                'S2',
                'datetime64[s]',
                'V4',
            ]
        ),
        st.sampled_from([(), (0,), (1,), (3, 2), (2, 2, 2), (100,), (10_000,)]),
        st.sampled_from(['gone', 'reshaped', 'retyped', 'text', 'values', 'values']),
    )


def folders(folder):
    "Folders of shards of which one file is damaged."
    files = {p.name: p.read_bytes() for p in sorted(folder.iterdir())}
    return st.sampled_from(sorted(files)).flatmap(
        lambda name: damaged([files[name]]).map(lambda raw: (files, name, raw))
    )


# what is done with each; whatever comes is a result or one of our exceptions


def asked(model):
    "A model that opened has to answer, too."
    assert np.isfinite(model.recommend(exclude_seen=False).score).all()
    model.summary(), repr(model)
    try:
        model.fold_in({model.items.index[0]: float(model.seen.data[0])})
    except ValueError:
        pass  # it was fitted in another way, or its numbers are so large that nothing comes of them


def sound(ratings):
    assert (
        len(ratings) > 0
        and np.isfinite(ratings.rating).all()
        and ratings.to_frame().notna().all().all()
    )


def kinds(folder):
    "{kind: (strategy of bytes, the reader, exceptions that are answers)}"
    base = folder / 'base'
    base.mkdir()
    as_als, as_ials, as_bayes = (saved(s, base) for s in ('als', 'ials', 'bayes'))
    ratings().to_frame().to_parquet(base / 'r.parquet')
    write_shards(ratings(), base / 'shards', shard_size=2, seed=0)
    fit_als(ratings(), n_factors=2, n_iterations=1, checkpoint=base / 'c.npz')
    settings = st.sampled_from(
        [
            {},
            {},
            {},
            dict(rating=False),
            dict(user=0, item=1, rating=2),
            dict(sep=','),
            dict(duplicates='last', timestamp=False),
        ]
    )

    def at(name, read):
        def call(raw):
            (folder / name).write_bytes(raw)
            return read(folder / name)

        return call

    def table(name):
        def call(drawn):
            raw, how = drawn
            (folder / name).write_bytes(raw)
            sound(load_ratings(folder / name, say=None, **how))

        return call

    def shards(drawn):
        files, name, raw = drawn
        (folder / 'shards').mkdir(exist_ok=True)
        for other, content in files.items():
            (folder / 'shards' / other).write_bytes(raw if other == name else content)
        sound(Shards(folder / 'shards').load())

    def cut(raw):
        (folder / 'big.csv').write_bytes(raw)
        where = folder / f'cut{time.perf_counter_ns()}'
        try:
            sound(shard_file(folder / 'big.csv', where, 2).load())
        except RatingsError:
            assert not where.exists()
            raise

    def archive(layout):
        return at(
            f'{layout}.zip',
            lambda path: read_archive(path, Source('small', layout, 3, 2, 2, '')),
        )

    def titled(raw):
        (folder / 'titles.csv').write_bytes(raw)
        load_ratings(
            base / 'r.parquet', titles=folder / 'titles.csv', item='item_id', say=None
        )

    def resumed(raw):
        (folder / 'c.npz').write_bytes(raw)
        warnings.simplefilter('ignore', RuntimeWarning)
        try:
            fit_als(
                ratings(), n_factors=2, n_iterations=2, checkpoint=folder / 'c.npz'
            )  # what comes of huge numbers is refused at the end
        finally:
            warnings.simplefilter('error', RuntimeWarning)

    texts, models = damaged(TABLES), damaged([as_als, as_ials, as_bayes])
    inside = arrays_of(as_als) | arrays_of(as_ials) | arrays_of(as_bayes)
    factors = (
        base / 'f.npz',
        Recommender.load(base / 'als.npz').predictor.save(base / 'f.npz'),
    )[0].read_bytes()
    checkpoint = (base / 'c.npz').read_bytes()
    found = {
        'text': (st.tuples(texts, settings), table('r.csv'), RatingsError),
        'text, gzipped': (
            st.tuples(
                texts.map(gzip.compress) | damaged([gzip.compress(t) for t in TABLES]),
                settings,
            ),
            table('r.csv.gz'),
            RatingsError,
        ),
        'text, cut into shards': (texts, cut, RatingsError),
        'parquet': (
            st.tuples(damaged([(base / 'r.parquet').read_bytes()]), settings),
            table('r.parquet'),
            RatingsError,
        ),
        'table of titles': (
            damaged([b'item,title\n1,A\n2,B\n3,C\n', *TABLES]),
            titled,
            RatingsError,
        ),
        'archive like ML-100K': (archives('u'), archive('u'), DataError),
        'archive like ML-1M': (archives('dat'), archive('dat'), DataError),
        'archive like ML-25M': (archives('csv'), archive('csv'), DataError),
        'folder of shards': (folders(base / 'shards'), shards, RatingsError),
        'model, its bytes': (
            models,
            at('m.npz', lambda path: asked(Recommender.load(path))),
            ModelFileError,
        ),
        'model, its arrays': (
            inside,
            at('m.npz', lambda path: asked(Recommender.load(path))),
            ModelFileError,
        ),
        'factors': (
            damaged([factors]) | arrays_of(factors),
            at('f.npz', lambda path: Factors.load(path).scores([0])),
            ValueError,
        ),
        'checkpoint': (
            damaged([checkpoint]) | arrays_of(checkpoint),
            resumed,
            ValueError,
        ),
    }
    assert list(found) == NAMES
    return found


def fuzz(kind, n, number=0):
    "Try `n` files of a kind in this process: (a row of the table, the crashes as text)."
    with tempfile.TemporaryDirectory() as folder:
        drawn, read, refusals = kinds(Path(folder))[kind]
        count, crashes = dict(inputs=0, results=0, refused=0, slowest_s=0.0), []
        resource.setrlimit(
            resource.RLIMIT_AS, (memory_now() + MEMORY, resource.RLIM_INFINITY)
        )

        @seed(number)
        @settings(
            max_examples=n,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(drawn)
        def each(raw):
            started = time.perf_counter()
            try:
                read(raw)
                count['results'] += 1
            except refusals:
                count['refused'] += 1
            except Exception:
                crashes.append(f'{raw!r}\n{traceback.format_exc()}')
            count['inputs'] += 1
            count['slowest_s'] = max(count['slowest_s'], time.perf_counter() - started)

        with warnings.catch_warnings():
            warnings.simplefilter(
                'error'
            )  # a number that became another one is said by a warning alone
            each()
    if count['slowest_s'] > SECONDS:
        crashes.append(f'one file took {count["slowest_s"]:.1f} s')
    return dict(kind=kind, **count, crashes=len(crashes)), crashes


def memory_now():
    return int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()


NAMES = [
    'text',
    'text, gzipped',
    'text, cut into shards',
    'parquet',
    'table of titles',
    'archive like ML-100K',
    'archive like ML-1M',
    'archive like ML-25M',
    'folder of shards',
    'model, its bytes',
    'model, its arrays',
    'factors',
    'checkpoint',
]


def tried(kind, n, number=0):
    "The same in a process of its own, which may die."
    with ProcessPoolExecutor(1, get_context('spawn')) as pool:
        return pool.submit(fuzz, kind, n, number).result(timeout=60 + n)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        'kinds', nargs='*', help=f'which; all by default: {"; ".join(NAMES)}'
    )
    p.add_argument('-n', type=int, default=5_000, help='files of each kind')
    p.add_argument('--seed', type=int, default=0)
    p.add_argument('--try', action='store_true', dest='dry', help='write nothing')
    a = p.parse_args()
    rows = []
    for kind in a.kinds or NAMES:
        row, crashes = tried(kind, a.n, a.seed)
        print(json.dumps(row), flush=True)
        for crash in crashes[:5]:
            print(crash)
        rows.append(row)
    if not (a.dry or a.kinds):
        pd.DataFrame(rows).round(2).to_csv(RESULTS / 'fuzz.csv', index=False)


if __name__ == '__main__':
    main()
