"""Files of any layout are read, or refused with the line and the reason."""

import datetime
import gzip
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import mf_movielens.reading as reading
from mf_movielens.encoding import RatingsError
from mf_movielens.reading import load_ratings

text = st.text(
    st.characters(blacklist_categories=('Cs', 'Cc')), min_size=1, max_size=12
).filter(lambda s: s == s.strip())
quiet = settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@quiet
@given(
    users=st.lists(text, min_size=2, max_size=5, unique=True),
    items=st.lists(text, min_size=2, max_size=5, unique=True),
    sep=st.sampled_from([',', ';', '\t', '|']),
    encoding=st.sampled_from(['utf-8', 'utf-8-sig', 'utf-16']),
    newline=st.sampled_from(['\n', '\r\n']),
    stars=st.randoms(),
)
def test_what_is_written_is_read(tmp_path, users, items, sep, encoding, newline, stars):
    table = pd.DataFrame(
        [(u, i, stars.randrange(1, 11) / 2) for u in users for i in items],
        columns=['user', 'item', 'rating'],
    )
    path = tmp_path / 'r.csv'
    table.to_csv(
        path, sep=sep, encoding=encoding, index=False, lineterminator=newline, quoting=2
    )
    found = load_ratings(path, say=None).to_frame()
    assert (
        found.user_id.astype(str).tolist() == table.user.tolist()
        and found.item_id.astype(str).tolist() == table.item.tolist()
    )
    assert found.rating.tolist() == table.rating.tolist()


@settings(
    max_examples=500,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.binary(max_size=300)
    | st.text('01239.,;|\t\n"abcü \r:-', max_size=300).map(str.encode)
)
def test_any_bytes_are_ratings_or_a_reason(tmp_path, raw):
    path = tmp_path / 'r.csv'
    path.write_bytes(raw)
    try:
        found = load_ratings(path, say=None)
    except RatingsError:
        pass
    else:
        assert len(found) > 0 and np.isfinite(found.rating).all()


@pytest.mark.parametrize('suffix', ['.parquet', '.gz'])
def test_any_bytes_in_other_formats(tmp_path, suffix):
    for raw in (
        b'',
        b'PAR1',
        b'\x1f\x8b\x08\x00',
        b'PAR1' + bytes(50) + b'PAR1',
        gzip.compress(b'user,item,rating\na,b,1\n')[:-5],
    ):
        (tmp_path / f'r{suffix}').write_bytes(raw)
        with pytest.raises(RatingsError):
            load_ratings(tmp_path / f'r{suffix}', say=None)


def test_parquet_and_gzip(tmp_path):
    table = pd.DataFrame(
        {
            'user': ['a', 'b'],
            'item': [1, 2],
            'rating': [4.0, 3.5],
            'date': pd.to_datetime(['2024-03-01', '2024-03-02']),
        }
    )
    table.to_parquet(tmp_path / 'r.parquet')
    found = load_ratings(tmp_path / 'r.parquet', say=None)
    assert found.scale == (0.5, 5) and found.timestamp.tolist() == [
        1709251200,
        1709337600,
    ]
    (tmp_path / 'r.csv.gz').write_bytes(
        gzip.compress(table.to_csv(index=False).encode())
    )
    assert (
        load_ratings(tmp_path / 'r.csv.gz', say=None).fingerprint == found.fingerprint
    )


def test_a_long_file_is_read_in_pieces(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    pairs = rng.permutation(100 * 80)
    table = pd.DataFrame(
        {
            'user': pairs // 80,
            'item': [f'i{p % 80:03d}' for p in pairs],
            'rating': rng.integers(1, 6, len(pairs)),
        }
    )
    table.to_csv(tmp_path / 'r.csv', index=False)
    whole = load_ratings(tmp_path / 'r.csv', say=None)
    monkeypatch.setattr(reading, 'CHUNK_ROWS', 999)
    assert load_ratings(tmp_path / 'r.csv', say=None).fingerprint == whole.fingerprint
    (tmp_path / 'r.csv').write_text((tmp_path / 'r.csv').read_text() + 'x,y,good\n')
    with pytest.raises(RatingsError, match="line 8002.*'good'"):
        load_ratings(tmp_path / 'r.csv', say=None)


def test_says_what_it_took(tmp_path, capsys):
    (tmp_path / 'r.csv').write_text('user;item;rating\na;x;4,5\n')
    lines = []
    load_ratings(tmp_path / 'r.csv', say=lines.append)
    assert capsys.readouterr().out == ''
    assert len(lines) == 1
    assert all(
        word in lines[0]
        for word in ('semicolons', "'user'", "'item'", "'rating'", '0.5 to 5')
    )


def test_a_title_with_a_separator_in_it_is_not_cut_silently(tmp_path):
    (tmp_path / 'r.csv').write_text(
        'user,item,rating,title\na,1,4,Good, the Bad\nb,2,3,Up\n'
    )
    with pytest.raises(RatingsError, match='line 2'):
        load_ratings(tmp_path / 'r.csv', say=None)


def test_the_frame_that_is_given_stays_as_it_is():
    table = pd.DataFrame(
        {'user': ['a', 'b'], 'item': ['x', 'y'], 'rating': ['4,5', '3']}
    )
    before = table.copy()
    load_ratings(table, say=None)
    pd.testing.assert_frame_equal(table, before)


def give_up(table, columns):
    "Stands for the quick way of reading, which finds something unexpected."
    raise pd.errors.ParserError


CELLS = st.sampled_from(
    [
        '1',
        '2',
        '3',
        '12',
        '007',
        '0',
        '-4',
        '-0',
        '+5',
        ' 6',
        '7 ',
        '5.0',
        '4,5',
        '4.5',
        'x',
        '',
        '1e3',
        'nan',
        'inf',
        '"8"',
        '999999999999999999',
        '9999999999999999999',
        'True',
        '1_0',
    ]
)
LINES = st.lists(
    st.tuples(
        CELLS,
        CELLS,
        st.sampled_from(['1', '4.50', '.5', '3', '', 'inf', 'good', '02']),
        st.sampled_from(['880000001', '880000001000', '0', '2024-03-01', '', '08']),
    ),
    min_size=1,
    max_size=6,
)


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    lines=LINES,
    sep=st.sampled_from([',', ';', '\t']),
    header=st.booleans(),
    end=st.sampled_from(['\n', '\r\n']),
)
def test_numbers_read_as_numbers_are_the_same_as_by_way_of_text(
    tmp_path, monkeypatch, lines, sep, header, end
):
    path = tmp_path / 'a.csv'
    path.write_text(
        end.join(
            [sep.join(['user', 'item', 'rating', 'timestamp'])] * header
            + [sep.join(line) for line in lines]
        )
        + end,
        newline='',
    )

    def result():
        try:
            return load_ratings(path, duplicates='last', say=None)
        except RatingsError as e:
            return str(e)

    quick = result()
    with monkeypatch.context() as m:
        m.setattr(reading.TextTable, 'chunks', give_up)
        careful = result()
    if isinstance(careful, str):
        assert isinstance(quick, str) and quick.split(':')[0] == careful.split(':')[0]
    else:
        assert quick.fingerprint == careful.fingerprint
        assert (quick.timestamp is None) == (careful.timestamp is None) and (
            quick.timestamp is None or (quick.timestamp == careful.timestamp).all()
        )


def read(path, text, **settings):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_ratings(path, say=None, **settings)


def refused(source, **settings):
    with pytest.raises(RatingsError) as e:
        load_ratings(source, say=None, **settings)
    return str(e.value)


HEAD = 'user,item,rating\n'
PAIR = dict(user=['a', 'b'], item=['x', 'y'], rating=[4, 5])


@pytest.mark.parametrize('blank', ['\n', '\n\n', '  \n', ',,\n'])
@pytest.mark.parametrize(
    'first, second', [('a,x,4\n', 'b,y,5\n'), ('1,2,4\n', '3,4,5\n')]
)
def test_blank_lines_are_skipped_and_counted(tmp_path, blank, first, second):
    whole = read(tmp_path / 'r.csv', HEAD + first + second)
    for text in (
        HEAD + first + blank + second,
        HEAD + first + second + blank,
        '\n' + HEAD + first + second,
    ):
        assert read(tmp_path / 'r.csv', text).fingerprint == whole.fingerprint
    n = blank.count('\n')
    for bad, problem in (
        ('c,z,bad\n', "'bad'"),
        ('c,z,inf\n', 'inf'),
        ('c,,3\n', 'no value'),
        ('c,z,3,4\n', '4 columns'),
    ):
        with pytest.raises(RatingsError, match=f'line {3 + n}[,:].*{problem}'):
            read(tmp_path / 'r.csv', HEAD + first + blank + bad)


def test_a_line_break_in_quotes_and_a_long_separator_count_as_lines(tmp_path):
    with pytest.raises(RatingsError, match='line 5.*bad'):
        read(tmp_path / 'r.csv', HEAD + 'a,"x\n\ny",4\nb,z,bad\n')
    with pytest.raises(RatingsError, match='line 3.*bad'):
        read(tmp_path / 'r.csv', 'a::x::4\n\nb::z::bad\n')


@pytest.mark.parametrize('suffix', ['zip', 'xz', 'tar', 'zst', 'bz2'])
def test_a_name_does_not_unpack_a_file(tmp_path, suffix):
    from mf_movielens.shards import shard_file

    path = tmp_path / f'r.{suffix}'
    assert len(read(path, HEAD + 'a,x,4\n')) == 1
    pytest.importorskip('pyarrow')
    assert len(shard_file(path, tmp_path / 's')) == 1


def test_a_zip_archive_behind_a_text_is_not_read(tmp_path):
    import zipfile

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, 'w') as z:
        z.writestr('r.csv', HEAD + 'q,q,1\n')
    with pytest.raises(RatingsError):
        read(tmp_path / 'r.zip', HEAD.encode() + b'a,x,4\n' + packed.getvalue())
    packed_text = gzip.compress(f'{HEAD}a,x,4\n'.encode())
    assert len(read(tmp_path / 'R.CSV.GZ', packed_text)) == 1


FAR = [253402214400, -14831769600]


@pytest.mark.parametrize(
    'dates',
    [
        ['9999-12-31', '1500-01-01'],
        ['9999-12-31T00:00:00Z', '1500-01-01T02:00:00+02:00'],
        pd.Series(['9999-12-31', '1500-01-01']).map(pd.Timestamp),
        np.array(['9999-12-31', '1500-01-01'], 'M8[s]'),
        [datetime.date(9999, 12, 31), datetime.date(1500, 1, 1)],
    ],
)
def test_dates_far_off(dates):
    assert (
        load_ratings(
            pd.DataFrame(PAIR | {'date': dates}), timestamp='date', say=None
        ).timestamp.tolist()
        == FAR
    )


def test_dates_far_off_in_files(tmp_path):
    pd.DataFrame(PAIR | {'date': np.array(FAR, 'M8[s]')}).to_parquet(
        tmp_path / 'r.parquet'
    )
    assert load_ratings(tmp_path / 'r.parquet', say=None).timestamp.tolist() == FAR
    assert (
        read(
            tmp_path / 'r.csv',
            'user,item,rating,date\na,x,4,9999-12-31\nb,y,5,1500-01-01\n',
        ).timestamp.tolist()
        == FAR
    )


def test_no_month_becomes_a_day(tmp_path):
    for date in ('9999-13-01', '2024-13-01', '3.4.2024', ''):
        with pytest.raises(RatingsError, match="line 3, column 'date'"):
            read(
                tmp_path / 'r.csv',
                f'user,item,rating,date\na,x,4,2024-03-01\nb,y,5,{date}\n',
                timestamp='date',
            )


def test_a_local_time_is_turned_into_seconds_of_utc():
    dates = pd.to_datetime(['2024-03-01 00:00', '2024-07-01 00:00'])
    frame = pd.DataFrame(PAIR | {'date': dates.tz_localize('Europe/Berlin')})
    ratings = load_ratings(frame, say=None)
    assert ratings.timestamp.tolist() == [1_709_247_600, 1_719_784_800]


def test_days_of_arrow():
    pa = pytest.importorskip('pyarrow')
    days = pd.Series(
        pa.array(np.array(FAR, 'M8[s]').astype('M8[D]')).to_pandas()
    ).astype(pd.ArrowDtype(pa.date32()))
    assert (
        load_ratings(pd.DataFrame(PAIR | {'date': days}), say=None).timestamp.tolist()
        == FAR
    )


@pytest.mark.parametrize('unit', [1, 10**3, 10**6, 10**9])
def test_timestamps_in_parts_of_a_second(tmp_path, unit):
    rows = [f'{a},{b},4,{1700000000 * unit + unit // 2}\n' for a, b in ('ax', 'by')]
    assert set(
        read(
            tmp_path / 'r.csv', 'user,item,rating,timestamp\n' + ''.join(rows)
        ).timestamp
    ) == {1700000000}


@pytest.mark.parametrize(
    'ids, kept',
    [
        ([1, 2], [1, 2]),
        ([1.0, 2.0], [1, 2]),
        (['1', '2'], [1, 2]),
        ([1.5, 2], '1.5'),
        (['1', 2], '2 is int'),
        (pd.to_datetime(['2024-03-01', '2024-03-02']), 'Timestamp'),
    ],
)
def test_categories_of_any_kind(ids, kept):
    table = pd.DataFrame(PAIR | {'user': pd.Categorical(ids)})
    if isinstance(kept, str):
        assert kept in refused(table)
    else:
        assert load_ratings(table, say=None).users.index.tolist() == kept


def test_only_plain_digits_make_a_number(tmp_path):
    assert read(tmp_path / 'r.csv', HEAD + '1٣,x,4\n13,y,5\n').users.index.tolist() == [
        '1٣',
        '13',
    ]


def test_ids_of_which_only_some_end_in_a_point_and_a_zero_stay_text(tmp_path):
    found = read(tmp_path / 'r.csv', HEAD + '1.0,5.5,4\n1999,6.0,5\n')
    assert found.users.index.tolist() == ['1.0', '1999']
    assert found.items.index.tolist() == ['5.5', '6.0']


@pytest.mark.parametrize('at', [5, 299])
def test_a_long_id_makes_text_of_all_wherever_it_stands(tmp_path, at):
    rows = [f'{j},1,3\n' for j in range(300)]
    rows[at] = '1234567890123456789,1,3\n'
    assert read(tmp_path / 'r.csv', HEAD + ''.join(rows)).users.is_text


@pytest.mark.parametrize('others', ['2,3,True\n', '2,3,4\n'])
def test_true_is_no_rating(tmp_path, others):
    with pytest.raises(RatingsError, match="'True'"):
        read(tmp_path / 'r.csv', HEAD + '1,2,True\n' + others)


def test_true_is_no_id(tmp_path):
    assert read(
        tmp_path / 'r.csv', HEAD + 'True,2,3\nTrue,3,4\n'
    ).users.index.tolist() == ['True']


@pytest.mark.parametrize('column', ['user', 'item', 'rating', 'timestamp', 'title'])
@pytest.mark.parametrize('values', [[[1], [2]], [{'a': 1}, {'a': 2}]])
def test_nested_values_are_refused_by_name(tmp_path, column, values):
    pa, pq = pytest.importorskip('pyarrow'), pytest.importorskip('pyarrow.parquet')
    array, named = (
        pa.array(values),
        dict(timestamp='timestamp') if column == 'timestamp' else {},
    )
    pq.write_table(pa.table(PAIR | {column: array}), tmp_path / 'r.parquet')
    for source in (
        pd.DataFrame(PAIR | {column: values}),
        pd.DataFrame(
            PAIR | {column: pd.Series(values, dtype=pd.ArrowDtype(array.type))}
        ),
        tmp_path / 'r.parquet',
    ):
        assert f"column '{column}'" in refused(source, **named)


def test_nested_titles_elsewhere():
    for more in ({'item': [['x'], ['y']]}, {'title': [['X'], ['Y']]}):
        assert f"column '{next(iter(more))}'" in refused(
            pd.DataFrame(PAIR),
            titles=pd.DataFrame({'item': ['x', 'y'], 'title': ['X', 'Y']} | more),
        )


def test_names_of_columns():
    assert '2 columns' in refused(
        pd.DataFrame([[1, 2, 3, 4]], columns=['user', 'user', 'item', 'rating']),
        user='user',
    )
    for name in (('a', 'b'), pd.Timestamp(0), 7):
        assert f'column {name!r}: there is no value' in refused(
            pd.DataFrame({name: ['a', None], 'item': [1, 2], 'rating': [1, 2]}),
            user=name,
        )


@pytest.mark.parametrize('sep', ['||', '.*', '((', '§', r'\s+'])
def test_a_separator_is_no_pattern(tmp_path, sep):
    found = read(
        tmp_path / 'r.csv', f'user{sep}item{sep}rating\n1{sep}2{sep}3\n', sep=sep
    )
    assert found.users.index.tolist() == [1] and found.rating.tolist() == [3]


@pytest.mark.parametrize('encoding', ['undefined', 'idna', 'nope', 'utf-16'])
def test_an_encoding_that_does_not_fit(tmp_path, encoding):
    with pytest.raises(RatingsError, match='r.csv'):
        read(tmp_path / 'r.csv', HEAD + '1,2,3\n', encoding=encoding)


@pytest.mark.parametrize('encoding', ['utf16', 'utf-32', 'utf-7'])
def test_leading_zeros_are_kept_in_wide_encodings(tmp_path, encoding):
    assert read(
        tmp_path / 'r.csv', (HEAD + '007,2,3\n').encode(encoding), encoding=encoding
    ).users.index.tolist() == ['007']


def test_what_a_scale_is():
    assert load_ratings(pd.DataFrame(PAIR), scale=np.array([1, 5]), say=None).scale == (
        1,
        5,
    )
    for scale in (5, 'ab', 0):
        assert 'the lowest and the highest rating' in refused(
            pd.DataFrame(PAIR), scale=scale
        )


@pytest.mark.parametrize(
    'rating', ['999999999999999999994', '99999999999999999999', '1e21']
)
def test_a_rating_of_many_digits_is_a_number(tmp_path, rating):
    shards = pytest.importorskip('mf_movielens.shards')  # which go the quick way only
    (tmp_path / 'r.csv').write_text(HEAD + f'1,10,{rating}\n1,20,3.5\n')
    with pytest.raises(RatingsError, match='power of ten'):
        shards.shard_file(tmp_path / 'r.csv', tmp_path / 's')


@pytest.mark.parametrize(
    'text, settings, argument',
    [
        ('a,b,rating\n1,2,3\n', {}, 'user'),
        ('user,item,a\n1,2,3\n', {}, 'rating'),
        ('user,item,rating,date,time\n1,2,3,4,5\n', {}, 'timestamp'),
        ('user,item,rating\n1,2,3\n1,2,4\n', {}, 'duplicates'),
        ('user,item,rating\n1,2,3\n', dict(titles='nowhere.csv'), 'titles'),
        ('one two\nthree four\n', {}, 'sep'),
        ('user,item,rating,date\n1,2,3,x\n', dict(timestamp='date'), 'timestamp'),
        ('user,item,rating\n1,2,x\n', {}, None),
    ],
)
def test_an_error_tells_which_argument_helps(tmp_path, text, settings, argument):
    (tmp_path / 'r.csv').write_text(text)
    with pytest.raises(RatingsError) as e:
        load_ratings(tmp_path / 'r.csv', say=None, **settings)
    assert e.value.argument == argument
    assert '--' not in str(e.value)


def test_a_new_format_is_one_entry_in_the_table(tmp_path, monkeypatch):
    """Fixed columns, as an example: five letters for the user, then item and stars."""
    from mf_movielens.values import Origin

    class FixedTable(reading.Table):
        def __init__(self, path, options):
            self.origin = Origin(str(path), 'line {}'.format)
            self.columns = ['user', 'item', 'rating']
            self.description = 'fixed columns'
            self.path = path

        def chunks(self, columns):
            frame = pd.read_fwf(self.path, widths=[5, 3, 2], names=self.columns)
            frame.index += 1
            yield {key: frame[name] for key, name in columns.items()}

    monkeypatch.setitem(reading.FORMATS, '.fixed', FixedTable)
    (tmp_path / 'r.fixed').write_text('anna  7 4\nben   7 5\n')
    ratings = load_ratings(tmp_path / 'r.fixed', say=None)
    assert ratings.users.index.tolist() == ['anna', 'ben']
    assert ratings.rating.tolist() == [4, 5]
    (tmp_path / 'r.fixed').write_text('anna  7 4\nben   7 x\n')
    with pytest.raises(RatingsError, match="line 2, column 'rating': 'x'"):
        load_ratings(tmp_path / 'r.fixed', say=None)


@pytest.mark.parametrize('rows', [1, 7, 100])
def test_row_groups_of_parquet_are_chunks(tmp_path, monkeypatch, rows):
    monkeypatch.setattr(reading, 'CHUNK_ROWS', 10)
    rng = np.random.default_rng(0)
    pairs = rng.permutation(100)
    frame = pd.DataFrame(
        {
            'user': [f'u{pair // 10}' for pair in pairs],
            'item': pd.Categorical([str(pair % 10) for pair in pairs]),
            'rating': rng.integers(1, 6, 100),
            'date': pd.to_datetime(rng.integers(8e8, 9e8, 100), unit='s'),
        }
    )
    frame.to_parquet(tmp_path / 'r.parquet', row_group_size=rows)
    ratings = load_ratings(tmp_path / 'r.parquet', say=None)
    expected = load_ratings(frame, say=None)
    assert ratings.fingerprint == expected.fingerprint
    assert ratings.timestamp.tolist() == expected.timestamp.tolist()
    assert not ratings.items.is_text


def test_a_row_of_parquet_is_named_by_its_place_in_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, 'CHUNK_ROWS', 2)
    frame = pd.DataFrame({'user': range(5), 'item': 7, 'rating': [4, 5, 3, 2, None]})
    frame.to_parquet(tmp_path / 'r.parquet', row_group_size=2)
    assert "row 4, column 'rating'" in refused(tmp_path / 'r.parquet')


def test_a_wide_table_gives_its_ratings_user_by_user():
    frame = pd.DataFrame({'user': ['ann', 'bob'], 'Emma': [5, 4], 'Momo': [1, 2]})
    wide = reading.WideTable(reading.FrameTable(frame))
    (rows,) = wide.chunks(dict(u='user', i='item', r='rating'))
    assert rows['u'].tolist() == ['ann', 'ann', 'bob', 'bob']
    assert rows['i'].tolist() == ['Emma', 'Momo', 'Emma', 'Momo']
    assert rows['r'].tolist() == [5, 1, 4, 2]


def test_milliseconds_before_1970():
    long_ago = {'user': [1, 2], 'item': [3, 4], 'rating': [5, 4]}
    moments = [-631_152_000_000, -631_151_999_001]
    ratings = load_ratings(pd.DataFrame(long_ago | {'timestamp': moments}), say=None)
    assert ratings.timestamp.tolist() == [-631_152_000, -631_152_000]
