"Ratings in parquet files: whole or not there, and the same as in memory."

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

pa, pq = pytest.importorskip('pyarrow'), pytest.importorskip('pyarrow.parquet')
from mf_movielens.data import synthetic
from mf_movielens.encoding import Ratings, RatingsError
from mf_movielens.reading import load_ratings
from mf_movielens.shards import Shards, load_cached, shard_file, write_shards

ml = synthetic()
RATINGS = Ratings.from_frame(ml.ratings, titles=ml.titles)
ids = st.lists(
    st.text(
        st.characters(blacklist_categories=('Cs',), blacklist_characters='\0'),
        max_size=6,
    ),
    min_size=1,
    max_size=6,
    unique=True,
)  # for pandas 2 a text ends where a nought is


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    users=ids, items=ids, rows=st.integers(1, 40), seed=st.none() | st.integers(0, 3)
)
def test_there_and_back(tmp_path_factory, users, items, rows, seed):
    table = pd.DataFrame(
        [(u, i, float(len(u + i) % 5)) for u in users for i in items],
        columns=['user_id', 'item_id', 'rating'],
    )
    r = Ratings.from_frame(table, item='item_id', scale=(0, 4))
    back = write_shards(r, tmp_path_factory.mktemp('x') / 's', rows, seed).load()
    assert back.users == r.users and back.items == r.items and back.scale == r.scale

    def by_pair(x):
        return x.to_frame().sort_values(['user_id', 'item_id'], ignore_index=True)

    pd.testing.assert_frame_equal(by_pair(back), by_pair(r))
    if seed is None:
        assert back.fingerprint == r.fingerprint


def test_a_stream_is_what_the_file_holds_in_pieces_of_any_size(tmp_path, monkeypatch):
    table = pd.DataFrame(
        {
            'who': ['ü' + str(j % 91) for j in range(1000)],
            'what': np.arange(1000) // 7,
            'stars': np.arange(1000) % 10 / 2,
            'when': 880_000_000_000 + np.arange(1000),
        }
    )
    table.to_csv(tmp_path / 'a.csv', index=False)
    columns = dict(user='who', item='what', rating='stars', timestamp='when')
    whole = load_ratings(tmp_path / 'a.csv', say=None, duplicates='last', **columns)
    for piece in (7, 100, 10**6):
        monkeypatch.setattr('mf_movielens.reading.CHUNK_ROWS', piece)
        shards = shard_file(
            tmp_path / 'a.csv', tmp_path / f's{piece}', n_shards=3, **columns
        )
        back = shards.load()
        assert (
            back.users == whole.users
            and back.items == whole.items
            and back.scale == whole.scale
            and len(back) == 1000 == len(shards)
        )
        pd.testing.assert_frame_equal(
            *(
                x.to_frame()
                .drop_duplicates()
                .sort_values(['user_id', 'item_id', 'timestamp'], ignore_index=True)
                for x in (back, whole)
            )
        )


@pytest.mark.parametrize(
    'text, words',
    [
        ('user,item,rating\na,x,good\n', 'good'),
        ('user,item,rating\n', 'no'),
        ('user,item,rating\na,,3\n', "line 2, column 'item': there is no value"),
        ('user,item,rating\na,x,\n', "line 2, column 'rating': there is no value"),
        ('', 'empty'),
        ('user,item,rating\na,x,3,9\n', 'a.csv'),
        ('user,thing,rating\na,x,3\n', 'item='),
    ],
)
def test_a_file_that_is_not_sound_leaves_nothing(tmp_path, text, words):
    (tmp_path / 'a.csv').write_text(text)
    with pytest.raises(RatingsError, match=words):
        shard_file(tmp_path / 'a.csv', tmp_path / 's')
    assert [p.name for p in tmp_path.iterdir()] == ['a.csv']


def test_ids_in_utf_16_keep_their_leading_zeros(tmp_path):
    (tmp_path / 'a.csv').write_text(
        'user,item,rating\n007,1,4\n7,1,3\n', encoding='utf-16'
    )
    assert (
        len(load_ratings(tmp_path / 'a.csv', say=None).users)
        == 2
        == len(shard_file(tmp_path / 'a.csv', tmp_path / 's').users)
    )


def test_likes_and_tenths_and_what_is_not_asked_for(tmp_path):
    (tmp_path / 'a.csv').write_text('user,item\na,x\nb,x\n')
    assert shard_file(
        tmp_path / 'a.csv', tmp_path / 's', rating=False
    ).load().rating.tolist() == [1, 1]
    (tmp_path / 'b.csv').write_text('user,item,rating\na,x,.1\nb,x,.8\n')
    assert shard_file(
        tmp_path / 'b.csv', tmp_path / 't', scale=(0, 0.8)
    ).load().scale == (0, 0.8)
    with pytest.raises(TypeError, match='duplicates'):
        shard_file(tmp_path / 'b.csv', tmp_path / 'u', duplicates='last')
    with pytest.raises(TypeError, match='Series'):
        load_cached(tmp_path / 'b.csv', tmp_path / 'c', titles=pd.Series({'x': 'X'}))


def test_the_mean_is_that_of_the_counts_that_are_kept(tmp_path):
    text = 'user,item,quantity\n1,7,5\n1,8,-3\n2,7,1\n2,9,-1\n'
    (tmp_path / 'a.csv').write_text(text)
    options = dict(rating='quantity', kind='counts', negative='drop')
    whole = load_ratings(tmp_path / 'a.csv', say=None, **options)
    shards = shard_file(tmp_path / 'a.csv', tmp_path / 's', **options)
    assert shards.mean == whole.mean == 3


def test_each_epoch_has_another_order_of_files_and_within_them(tmp_path):
    shards = write_shards(RATINGS, tmp_path / 'shards', seed=0, shard_size=3000)
    kept = [part.fingerprint for part in shards]
    assert len(kept) > 3

    def pairs_of(part):
        return (part.user_ix.astype('int64') << 32) + part.item_ix

    file_of = {pairs_of(part).min(): number for number, part in enumerate(shards)}
    orders, files = [], []
    for epoch in range(2):
        parts = [*shards.shuffled(0, epoch)]
        orders.append(np.concatenate([*map(pairs_of, parts)]))
        files.append([file_of[pairs_of(part).min()] for part in parts])
        for part in parts:
            assert part.fingerprint not in kept
    again = [p.user_ix for p in shards.shuffled(0, 1)]
    assert not (orders[0] == orders[1]).all()
    assert files[0] != files[1]
    assert sorted(files[0]) == sorted(files[1]) == [*range(len(kept))]
    assert np.array_equal(np.sort(orders[0]), np.sort(orders[1]))
    assert np.array_equal(np.concatenate(again), orders[1] >> 32)


def test_training_refuses_shards_that_are_not_shuffled(tmp_path):
    from mf_movielens.training import train_net

    with pytest.raises(RatingsError, match='write them shuffled'):
        train_net(write_shards(RATINGS, tmp_path / 's'))


def test_killed_while_writing(tmp_path):
    """Whenever it is killed, the folder is whole or not there."""
    program = """
import sys
from mf_movielens.data import synthetic
from mf_movielens.encoding import Ratings
from mf_movielens.shards import write_shards

ratings = Ratings.from_frame(synthetic().ratings)
print('now', flush=True)
for seed in range(1000):
    write_shards(ratings, f'{sys.argv[1]}/s{seed}', 2000, seed=seed)
"""
    rng, whole = np.random.default_rng(0), 0
    for attempt in range(8):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        process = subprocess.Popen(
            [sys.executable, '-c', program, str(folder)], stdout=subprocess.PIPE
        )
        process.stdout.readline()
        time.sleep(rng.uniform(0.02, 0.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
        for path in folder.glob('s*'):
            assert len(Shards(path).load()) == len(RATINGS)
            whole += 1
    assert whole


def test_two_at_once_keep_one(tmp_path):
    ml.ratings.to_csv(tmp_path / 'a.csv', index=False)
    program = """
import sys
from mf_movielens.shards import load_cached

print(load_cached(sys.argv[1], sys.argv[2], say=None).fingerprint)
"""
    both = [
        subprocess.Popen(
            [sys.executable, '-c', program, tmp_path / 'a.csv', tmp_path / 'c'],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    fingerprints = [p.communicate()[0] for p in both]
    assert fingerprints[0] == fingerprints[1] != ''
    assert [p.returncode for p in both] == [0, 0]
    assert len(list((tmp_path / 'c').iterdir())) == 1


def test_what_is_kept_and_damaged_says_what_to_do(tmp_path):
    (tmp_path / 'a.csv').write_text('user,item,rating\na,x,4\nb,x,3\n')
    load_cached(tmp_path / 'a.csv', tmp_path / 'c', say=None)
    kept = next((tmp_path / 'c').iterdir())
    (kept / '00000.parquet').write_bytes((kept / '00000.parquet').read_bytes()[:-7])
    with pytest.raises(RatingsError, match='Remove'):
        load_cached(tmp_path / 'a.csv', tmp_path / 'c', say=None)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    name=st.sampled_from(
        ['about.json', 'users.parquet', 'items.parquet', '00000.parquet']
    ),
    cut=st.floats(0, 1),
    byte=st.integers(0, 255),
)
def test_any_damage_is_a_reason_or_nothing_to_see(tmp_path_factory, name, cut, byte):
    folder = tmp_path_factory.mktemp('x') / 's'
    small = RATINGS.take(slice(0, 50))
    write_shards(small, folder)
    raw = bytearray((folder / name).read_bytes())
    raw[int(cut * (len(raw) - 1))] = byte
    (folder / name).write_bytes(raw)
    try:
        found = Shards(folder).load()
    except RatingsError:
        return
    assert len(found) == 50 and np.isfinite(found.rating).all()


def test_the_network_goes_on_where_it_was_killed(tmp_path):
    from mf_movielens.training import Recipe, train_net

    shards, recipe = (
        write_shards(RATINGS, tmp_path / 's', 20_000, seed=0),
        Recipe(n_factors=4, n_iterations=3, batch_size=5000),
    )
    straight, records = train_net(shards, recipe), []

    class Stop(Exception):
        pass

    def stop(record):
        records.append(record)
        if len(records) == 2:
            raise Stop

    with pytest.raises(Stop):
        train_net(shards, recipe, checkpoint=tmp_path / 'c.npz', on_iteration=stop)
    again = train_net(shards, recipe, checkpoint=tmp_path / 'c.npz')
    assert np.array_equal(again.factors.user_factors, straight.factors.user_factors)
    assert len(again.records) == 3
    # The seconds that epochs took are equal only if these were not trained again.
    assert again.records[:2] == records


def test_ratings_too_large_to_be_read_again_are_refused(tmp_path):
    (tmp_path / 'r.csv').write_text(
        'user,item,rating\n1,10,999999999999999999994\n1,20,3.5\n'
    )
    with pytest.raises(RatingsError, match='r.csv.*power of ten'):
        shard_file(tmp_path / 'r.csv', tmp_path / 's')
    assert not (tmp_path / 's').exists()


def test_sizes_without_end_are_refused(tmp_path):
    folder = write_shards(
        Ratings.from_frame(synthetic().ratings.head(100)), tmp_path / 's'
    ).folder
    about = json.loads((folder / 'about.json').read_text())
    for sizes in (
        [float('inf')],
        [float('nan')],
        [-1],
        [],
        'x',
        None,
        [1e300],
        [2**70],
    ):
        (folder / 'about.json').write_text(json.dumps(about | {'sizes': sizes}))
        with pytest.raises(RatingsError):
            Shards(folder).load()


@pytest.fixture
def folder(tmp_path):
    return write_shards(
        Ratings.from_frame(ml.ratings.head(100), titles=ml.titles), tmp_path / 's'
    ).folder


def test_a_note_that_is_nested_too_deep(folder):
    (folder / 'about.json').write_text('[' * 200_000)
    with pytest.raises(
        RatingsError, match='is no folder of encoded ratings, or is damaged'
    ):
        Shards(folder)


@pytest.mark.parametrize(
    'change',
    [
        dict(title=range),
        dict(title=lambda n: [str(j) if j else None for j in range(n)]),
        dict(title=lambda n: [True] * n),
        dict(title=lambda n: [b'x'] * n),
        dict(title=lambda n: [['x']] * n),
        dict(id=lambda n: [float(j) for j in range(n)]),
        dict(id=lambda n: [str(j) if j else None for j in range(n)]),
        dict(id=lambda n: ['x'] * n),
        dict(id=lambda n: []),
        dict(more=range),
    ],
)
def test_ids_and_titles_of_another_kind(folder, change):
    table = pq.read_table(folder / 'items.parquet')
    for name, make in change.items():
        values = list(make(len(table)))
        table = (
            pa.table({'id': pa.array(values)})
            if not values
            else pa.table(
                {**{c: table[c] for c in table.column_names}, name: pa.array(values)}
            )
        )
    pq.write_table(table, folder / 'items.parquet')
    with pytest.raises(
        RatingsError, match='is no folder of encoded ratings, or is damaged'
    ):
        Shards(folder)


def test_titles_that_repeat_and_row_groups(folder):
    "What is read piece by piece comes out whole."
    before = Shards(folder)
    titles = [f'T{j % 3}' for j in range(len(before.items))]
    for name, ids in (('users', before.users), ('items', before.items)):
        texts = [f'id {j}' for j in ids.index]
        pq.write_table(
            pa.table({'id': texts} | ({'title': titles} if name == 'items' else {})),
            folder / f'{name}.parquet',
            row_group_size=7,
        )
        after = Shards(folder)
        assert getattr(after, name).index.tolist() == texts
    assert after.titles.tolist() == titles and len(after.load()) == 100


@pytest.mark.parametrize(
    'names',
    [
        ['user_ix', 'item_ix', 'rating', 'timestamp', 'more'],
        ['user_ix', 'user_ix', 'rating', 'timestamp'],
        ['user_ix', 'item_ix'],
        ['x', 'item_ix', 'rating'],
    ],
)
def test_columns_of_another_kind(folder, names):
    table = pq.read_table(folder / '00000.parquet')
    pq.write_table(
        pa.table([table[min(j, 3)] for j in range(len(names))], names=names),
        folder / '00000.parquet',
    )
    with pytest.raises(RatingsError, match='its columns are.*Remove'):
        Shards(folder).load()


@pytest.mark.parametrize('unit', [1, 10**3, 10**6, 10**9])
def test_timestamps_in_parts_of_a_second(tmp_path, unit):
    first, second = 1_700_000_000 * unit, 1_700_000_001 * unit
    (tmp_path / 'r.csv').write_text(
        f'user,item,rating,timestamp\n1,10,4,{first}\n2,10,3,{second}\n'
    )
    assert sorted(shard_file(tmp_path / 'r.csv', tmp_path / 's').load().timestamp) == [
        1_700_000_000,
        1_700_000_001,
    ]


LAYOUTS = {
    'plain': ('1,10,4,880000000\n', '2,20,3,880000001\n'),
    'text ids': ('a,10x,4,880000000\n', 'b,20x,3,880000001\n'),
    'leading zeros': ('007,10,4,880000000\n', '7,10,3,880000001\n'),
    'a word after many numbers': ('1,10,4,880000000\n', 'x,10,3,880000001\n'),
    'decimal commas': ('1,10,"4,5",880000000\n', '2,10,3,880000001\n'),
    'dates': ('1,10,4,2024-03-01\n', '2,10,3,2024-03-02\n'),
    'floats': ('1.0,10,4,880000000\n', '2.0,10,3,880000001\n'),
    'blank lines': ('1,10,4,880000000\n\n,,,\n', '2,10,3,880000001\n'),
}


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('chunk_rows', [3, 10**6])
def test_one_reader_serves_files_in_memory_and_in_shards(
    tmp_path, monkeypatch, layout, chunk_rows
):
    """Whether it has to be read with care from the start, or from a later chunk on."""
    monkeypatch.setattr('mf_movielens.reading.CHUNK_ROWS', chunk_rows)
    first, last = LAYOUTS[layout]
    middle = ''.join(first.replace('10', str(item), 1) for item in range(100, 150))
    path = tmp_path / 'r.csv'
    path.write_text('user,item,rating,timestamp\n' + first + middle + last)
    in_memory = load_ratings(path, say=None)
    in_shards = shard_file(path, tmp_path / 's', n_shards=2).load()
    assert in_shards.users == in_memory.users
    assert in_shards.items == in_memory.items
    assert in_shards.scale == in_memory.scale

    def by_pair(ratings):
        frame = ratings.to_frame()
        return frame.sort_values(['user_id', 'item_id'], ignore_index=True)

    pd.testing.assert_frame_equal(by_pair(in_shards), by_pair(in_memory))


@pytest.mark.parametrize('row_group_size', [3, 100])
def test_a_parquet_file_is_cut_into_shards(tmp_path, monkeypatch, row_group_size):
    monkeypatch.setattr('mf_movielens.reading.CHUNK_ROWS', 7)
    frame = ml.ratings.head(50)
    frame.to_parquet(tmp_path / 'r.parquet', row_group_size=row_group_size)
    in_memory = load_ratings(tmp_path / 'r.parquet', say=None)
    shards = shard_file(tmp_path / 'r.parquet', tmp_path / 's', n_shards=2)
    assert shards.users == in_memory.users
    assert np.isclose(shards.mean, in_memory.mean)
    assert sorted(shards.load().timestamp) == sorted(in_memory.timestamp)
