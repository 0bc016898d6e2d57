"""Packed files, records, and tables in Python: read, or refused with the way out."""

import bz2
import datetime
import gzip
import io
import json
import lzma
import sqlite3
import sys
import zipfile
import zlib
from contextlib import closing
from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import bsr_array, coo_array, csr_array, csr_matrix, lil_array

import mf_movielens.records as records
from mf_movielens.encoding import Ratings, RatingsError
from mf_movielens.file_layout import TextLayout
from mf_movielens.reading import ReadOptions, load_ratings, open_table
from mf_movielens.recommender import Recommender
from mf_movielens.unpacking import open_binary

TABLE = b'user,item,rating\nanna,Momo,4.5\nben,007,3\n'
EXPECTED = [('anna', 'Momo', 4.5), ('ben', '007', 3.0)]
# Where a test needs something that is not asked for, that is said, and not hidden.
needs = pytest.importorskip


def triples(ratings):
    "What was read: ids and ratings."
    columns = ratings.to_frame()[['user_id', 'item_id', 'rating']]
    return list(columns.itertuples(index=False, name=None))


def refusal(source, **settings):
    "The error that reading raises."
    with pytest.raises(RatingsError) as e:
        load_ratings(source, say=None, **settings)
    return e.value


def zipped(members, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w', method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def zstd_of(content):
    return needs('backports.zstd').compress(content)


PACK = {
    'gzip': gzip.compress,
    'bzip2': bz2.compress,
    'xz': lzma.compress,
    'zip': lambda content: zipped({'folder/': b'', 'folder/ratings.csv': content}),
    'zip with bzip2': lambda content: zipped({'r.csv': content}, zipfile.ZIP_BZIP2),
    'zstd': zstd_of,
}


# Packed files


@pytest.mark.parametrize('packing', PACK)
@pytest.mark.parametrize('name', ['r.csv', 'r.packed', 'r.csv.gz'])
def test_a_packed_table_is_read_whatever_its_name(tmp_path, packing, name):
    (tmp_path / name).write_bytes(PACK[packing](TABLE))
    assert triples(load_ratings(tmp_path / name, say=None)) == EXPECTED


@pytest.mark.parametrize('packing', PACK)
def test_a_line_of_a_packed_table_is_named(tmp_path, packing):
    path = tmp_path / 'r.csv'
    path.write_bytes(PACK[packing](TABLE + b'\ncara,Emma,good\n'))
    assert "line 5, column 'rating': 'good'" in str(refusal(path))
    path.write_bytes(PACK[packing](TABLE + b'cara,Emma,4,5\n'))
    assert 'line 4: 4 columns' in str(refusal(path))


@pytest.mark.parametrize('packing', PACK)
def test_titles_and_shards_come_from_packed_files(tmp_path, packing):
    (tmp_path / 'r.csv').write_bytes(PACK[packing](TABLE))
    (tmp_path / 't.csv').write_bytes(PACK[packing](b'item,title\nMomo,A\n007,B\n'))
    read = load_ratings(tmp_path / 'r.csv', titles=tmp_path / 't.csv', say=None)
    assert read.titles.tolist() == ['A', 'B']
    needs('pyarrow')
    from mf_movielens.shards import shard_file

    assert len(shard_file(tmp_path / 'r.csv', tmp_path / 's')) == 2


@pytest.mark.parametrize('packing', PACK)
def test_a_packed_table_that_is_cut_short_is_no_shorter_table(tmp_path, packing):
    content = TABLE + b''.join(b'u%d,i%d,3\n' % (j, j * j % 977) for j in range(3000))
    packed = PACK[packing](content)
    for n in (len(packed) - 3, len(packed) // 2, 12):
        (tmp_path / 'r.csv').write_bytes(packed[:n])
        assert 'r.csv' in str(refusal(tmp_path / 'r.csv'))


def test_several_streams_are_one_table(tmp_path):
    head, tail = TABLE[:20], TABLE[20:]
    for pack in (gzip.compress, bz2.compress, lzma.compress):
        (tmp_path / 'r.csv').write_bytes(pack(head) + pack(tail))
        assert triples(load_ratings(tmp_path / 'r.csv', say=None)) == EXPECTED
    padded = lzma.compress(head) + bytes(2**17) + lzma.compress(tail) + bytes(4)
    (tmp_path / 'r.csv').write_bytes(padded)
    assert triples(load_ratings(tmp_path / 'r.csv', say=None)) == EXPECTED
    (tmp_path / 'r.csv').write_bytes(lzma.compress(TABLE) + b'and more')
    assert 'damaged' in str(refusal(tmp_path / 'r.csv'))


def zeros(packing, n_bytes):
    "The same zeros, packed a megabyte at a time where that is possible."
    if packing.startswith('zip'):
        out = io.BytesIO()
        method = zipfile.ZIP_BZIP2 if 'bzip2' in packing else zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(out, 'w', method) as z, z.open('r.csv', 'w') as f:
            f.write(TABLE)
            for _ in range(n_bytes // 2**20):
                f.write(bytes(2**20))
        return out.getvalue()
    pack = PACK[packing]
    return pack(TABLE) + pack(bytes(2**20)) * (n_bytes // 2**20)


@pytest.mark.parametrize('packing', PACK)
def test_a_bomb_is_refused(tmp_path, packing):
    (tmp_path / 'r.csv').write_bytes(zeros(packing, 70 * 2**20))
    assert (tmp_path / 'r.csv').stat().st_size < 2**18
    assert 'would unpack to' in str(refusal(tmp_path / 'r.csv'))


def test_the_memory_that_an_xz_file_asks_for_is_limited(tmp_path):
    stream = lzma.LZMACompressor(filters=[{'id': lzma.FILTER_LZMA2, 'preset': 0}])
    sound = stream.compress(TABLE) + stream.flush()
    path = tmp_path / 'r.csv'
    path.write_bytes(sound)
    assert triples(load_ratings(path, say=None)) == EXPECTED
    # The size of the dictionary is one byte of the header, and is guarded by a sum.
    head = bytearray(sound)
    n_head = 4 * (head[12] + 1)
    place = 12 + head[12:].index(0x21) + 2
    head[place] = 40
    crc = zlib.crc32(bytes(head[12 : 12 + n_head - 4]))
    head[12 + n_head - 4 : 12 + n_head] = crc.to_bytes(4, 'little')
    path.write_bytes(head)
    assert 'emory' in str(refusal(path))


def test_one_of_several_files_in_a_zip_is_asked_for(tmp_path):
    path = tmp_path / 'r.zip'
    path.write_bytes(zipped({'a/ratings.csv': TABLE, 'a/films.csv': b'x'}))
    message = str(refusal(path))
    assert "2 files: 'a/ratings.csv', 'a/films.csv'" in message
    assert 'Unpack it, and name that file' in message
    path.write_bytes(zipped({f'{j}.csv': TABLE for j in range(15)}))
    assert 'and 5 more' in str(refusal(path))
    added = {'__MACOSX/._r.csv': b'x', '.DS_Store': b'x', 'Thumbs.db': b'x'}
    path.write_bytes(zipped(added))
    assert 'without a file' in str(refusal(path))
    path.write_bytes(zipped(added | {'r.csv': TABLE}))
    assert triples(load_ratings(path, say=None)) == EXPECTED


def test_what_of_zip_is_not_read_is_told(tmp_path):
    path = tmp_path / 'r.zip'
    path.write_bytes(zipped({'r.csv': TABLE}, zipfile.ZIP_LZMA))
    assert 'number 14' in str(refusal(path))
    locked = bytearray(zipped({'r.csv': TABLE}, zipfile.ZIP_STORED))
    for mark, place in ((b'PK\x03\x04', 6), (b'PK\x01\x02', 8)):
        locked[locked.index(mark) + place] |= 1
    path.write_bytes(locked)
    assert 'protected by a password' in str(refusal(path))
    np.savez(tmp_path / 'r.npz', a=np.ones(3))
    assert 'scipy.sparse.load_npz' in str(refusal(tmp_path / 'r.npz'))


def test_a_zip_that_hides_more_than_it_says(tmp_path):
    "Only so many bytes are read as the archive says; a sum guards them."
    raw = bytearray(zipped({'r.csv': TABLE + bytes(10**6)}))
    size = len(TABLE).to_bytes(4, 'little')
    for mark, place in ((b'PK\x03\x04', 22), (b'PK\x01\x02', 24)):
        at = raw.index(mark) + place
        raw[at : at + 4] = size
    (tmp_path / 'r.zip').write_bytes(raw)
    assert 'damaged' in str(refusal(tmp_path / 'r.zip'))


@pytest.mark.parametrize(
    'content, words',
    [
        (gzip.compress(gzip.compress(TABLE)), 'packed itself'),
        (zipped({'r.zip': zipped({'r.csv': TABLE})}), 'packed itself'),
        (b'\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1' + bytes(99), 'save it as .xlsx'),
        (b"7z\xbc\xaf'\x1c\x00\x04", 'archive of files'),
        (b'Rar!\x1a\x07\x01\x00', 'archive of files'),
        (gzip.compress(b'r.csv'.ljust(257, b'\0') + b'ustar  '), 'archive of files'),
        (gzip.compress(b'PAR1'), 'parquet file inside'),
        (b'ARROW1\0\0', 'read_feather'),
        (b'[["user", 1]]', 'Write one object a line'),
        (b'{\n"user": 1\n}\n', 'Write one object a line'),
        (zipped({'mimetype': b'x', 'content.xml': b''}), 'LibreOffice'),
        (zipped({'xl/workbook.bin': b'x'}), 'binary workbook'),
    ],
    ids=lambda value: value if isinstance(value, str) else '',
)
def test_another_format_is_refused_with_advice(tmp_path, content, words):
    (tmp_path / 'r').write_bytes(content)
    assert words in str(refusal(tmp_path / 'r'))


def test_zstd_without_its_package_is_told(tmp_path, monkeypatch):
    import mf_movielens.unpacking as unpacking

    def not_there(name):
        raise ImportError(name)

    monkeypatch.setattr(unpacking, 'import_module', not_there)
    (tmp_path / 'r.csv').write_bytes(b'\x28\xb5\x2f\xfd' + bytes(9))
    assert "pip install 'mf_movielens[zstd]'" in str(refusal(tmp_path / 'r.csv'))


def test_files_are_closed(tmp_path, recwarn):
    for packing, pack in PACK.items():
        if packing != 'zstd':
            (tmp_path / 'r.csv').write_bytes(pack(TABLE))
            load_ratings(tmp_path / 'r.csv', say=None)
            with open_binary(tmp_path / 'r.csv') as f:
                f.read(3)
    layout = TextLayout(tmp_path / 'r.csv', 'utf-8', ',', ['a'], True)
    next(layout.read_chunks(1))
    assert not [w for w in recwarn if w.category is ResourceWarning]


# JSON Lines


def json_lines(*rows, **more):
    return ''.join(json.dumps(row | more) + '\n' for row in rows)


ROWS = [
    {'user': 'anna', 'item': 'Momo', 'rating': 4.5, 'time': 880000001},
    {'user': 'ben', 'item': '007', 'rating': 3, 'time': 880000002},
]


@pytest.mark.parametrize('name', ['r.jsonl', 'r.ndjson', 'r.txt', 'r.JSONL', 'r'])
@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16'])
def test_json_lines_are_read(tmp_path, name, encoding):
    (tmp_path / name).write_bytes(('\n' + json_lines(*ROWS)).encode(encoding))
    found = load_ratings(tmp_path / name, say=None)
    assert triples(found) == EXPECTED
    assert found.timestamp.tolist() == [880000001, 880000002]
    assert open_table(tmp_path / name).description == 'JSON Lines'


@pytest.mark.parametrize('packing', PACK)
def test_packed_json_lines(tmp_path, packing):
    (tmp_path / 'r.gz').write_bytes(PACK[packing](json_lines(*ROWS).encode()))
    assert triples(load_ratings(tmp_path / 'r.gz', say=None)) == EXPECTED


@pytest.mark.parametrize(
    'line, words',
    [
        ('{"user": "cara"', 'is no line of JSON'),
        ('["cara", 1, 2]', 'it is no object'),
        ('cara,Emma,3', 'is no line of JSON'),
        ('{"user": "c", "item": 1, "rating": 2, "user": "d"}', "'user' occurs twice"),
        ('{"user": "c", "item": 1}', "column 'rating': there is no value"),
        ('{"user": null, "item": 1, "rating": 2}', "column 'user': there is no value"),
        ('{"user": "c", "item": "d", "rating": "good"}', "'good' is not a rating"),
        ('{"user": "c", "item": "d", "rating": NaN}', 'there is no value'),
        ('{"user": "c", "item": "d", "rating": 1e999}', 'inf is not a rating'),
        ('{"user": "c", "item": "d", "rating": true}', 'True is not a rating'),
        ('{"user": {"id": 7}, "item": "d", "rating": 1}', 'no single value'),
        ('{"user": "c", "item": ["d"], "rating": 1}', 'no single value'),
        ('[' * 10**5, 'is no line of JSON'),
        ('{"user": ' + '9' * 5000 + ', "item": 1, "rating": 1}', 'r.jsonl'),
    ],
)
def test_a_bad_line_of_json_is_named(tmp_path, line, words):
    path = tmp_path / 'r.jsonl'
    rows = [row | {'time': 1} for row in ROWS]
    path.write_text(json_lines(*rows[:1]) + '\n' + line + '\n' + json_lines(*rows[1:]))
    message = str(refusal(path, timestamp=False))
    assert 'line 3' in message and words in message
    assert len(message) < 600


def test_types_of_json_are_kept(tmp_path):
    path = tmp_path / 'r.jsonl'
    path.write_text(
        json_lines(
            {'user': '7', 'item': 2**53 + 1, 'rating': '4,5'},
            {'user': '07', 'item': 2**53 + 3, 'rating': 3},
        )
    )
    found = load_ratings(path, say=None)
    assert found.users.index.tolist() == ['7', '07']
    assert found.items.index.tolist() == [2**53 + 1, 2**53 + 3]
    assert found.rating.tolist() == [4.5, 3]


@pytest.mark.parametrize(
    'values, kind',
    [
        ([1, 2], 'i'),
        ([1, 2.5], 'f'),
        ([2**53, 2.5], 'f'),
        ([2**53 + 1, 2.5], 'O'),
        ([2**63], 'O'),
        ([1, True], 'O'),
        (['a', None, 'a'], 'O'),
        ([None, 1], 'O'),
    ],
)
def test_values_of_records_stay_what_they_are(values, kind):
    column = records.to_series(values, range(len(values)), 'x', 'a.jsonl, line')
    assert column.dtype.kind == kind
    assert column.tolist() == values
    if kind == 'O':
        assert list(map(type, column)) == list(map(type, values))


def test_nested_values_that_are_not_needed_do_no_harm(tmp_path):
    path = tmp_path / 'r.jsonl'
    path.write_text(json_lines(*ROWS, tags=['a', {'b': 1}], place={'x': 1}))
    assert triples(load_ratings(path, say=None)) == EXPECTED


def test_a_key_may_come_late(tmp_path):
    path = tmp_path / 'r.jsonl'
    rows = [{'user': j, 'item': j % 7, 'rating': 3} for j in range(1500)]
    path.write_text(
        json_lines(*rows) + json_lines({**rows[0], 'item': 9, 'title': 'X'})
    )
    columns = open_table(path).columns
    assert columns == ['user', 'item', 'rating', 'title']


def test_a_long_file_of_json_is_read_in_pieces(tmp_path, monkeypatch):
    rows = [{'user': f'u{j % 9}', 'item': j, 'rating': j % 5 + 1} for j in range(50)]
    (tmp_path / 'r.jsonl').write_text(json_lines(*rows))
    whole = load_ratings(tmp_path / 'r.jsonl', say=None)
    monkeypatch.setattr(records, '_RECORDS_AT_ONCE', 7)
    assert load_ratings(tmp_path / 'r.jsonl', say=None).fingerprint == whole.fingerprint
    (tmp_path / 'r.jsonl').write_text(json_lines(*rows, {'user': 1, 'item': 1}))
    assert 'line 51' in str(refusal(tmp_path / 'r.jsonl'))
    needs('pyarrow')
    from mf_movielens.shards import shard_file

    (tmp_path / 'r.jsonl').write_text(json_lines(*rows))
    assert len(shard_file(tmp_path / 'r.jsonl', tmp_path / 's', 2)) == 50


@pytest.mark.parametrize('name', ['r.json', 'r.txt', 'r'])
@pytest.mark.parametrize('packing', [None, *PACK])
def test_an_array_of_objects_is_read(tmp_path, name, packing):
    records = [dict(user=u, item=i, rating=r) for u, i, r in EXPECTED]
    for indent in (None, 2):
        content = json.dumps(records, indent=indent).encode()
        pack = PACK[packing] if packing else bytes
        (tmp_path / name).write_bytes(pack(content))
        assert triples(load_ratings(tmp_path / name, say=None)) == EXPECTED
    content = json.dumps([*records, dict(user='c', item='d', rating='good')])
    (tmp_path / name).write_text(content)
    assert "record 3, column 'rating': 'good'" in str(refusal(tmp_path / name))


@pytest.mark.parametrize(
    'content, words',
    [
        ('[{"user": 1}, 2]', 'record 2: 2 is no object'),
        ('[{"user": 1}', "Expecting ',' delimiter"),
        ('[{"user": 1, "user": 2}]', "the key 'user' occurs twice"),
        ('[{}]', 'is empty'),
        ('[{"user": [1], "item": 2, "rating": 3}]', 'is no single value'),
        ('[{' + '"a":[{' * 10**5, 'r.json'),
        ('{"ratings": [{"user": 1}]}', "holds a list, 'ratings'"),
    ],
)
def test_what_is_no_array_of_objects_is_refused(tmp_path, content, words):
    (tmp_path / 'r.json').write_text(content)
    assert words in str(refusal(tmp_path / 'r.json'))


# Workbooks


@pytest.fixture
def small_bombs(monkeypatch):
    "What unpacks to a megabyte is large already, so that tests take no time."
    monkeypatch.setattr('mf_movielens.storage.SMALL_FILE_BYTES', 2**20)


@pytest.fixture
def workbook(tmp_path):
    "A function that writes a workbook of some sheets, rows by name."
    openpyxl = needs('openpyxl')

    def write(sheets, name='r.xlsx'):
        book = openpyxl.Workbook()
        book.remove(book.active)
        for title, rows in sheets.items():
            sheet = book.create_sheet(title)
            for number, row in enumerate(rows, start=1):
                for column, value in enumerate(row, start=1):
                    if value is not None:
                        sheet.cell(number, column, value)
        book.save(tmp_path / name)
        return tmp_path / name

    return write


HEAD = ['user', 'item', 'rating']
SHEET = [HEAD, ['anna', 'Momo', 4.5], ['ben', '007', 3]]


@pytest.mark.parametrize('name', ['r.xlsx', 'r.zip', 'r'])
def test_a_sheet_is_read(workbook, name):
    lines = []
    path = workbook({'Stars': SHEET}, name)
    assert triples(load_ratings(path, say=lines.append)) == EXPECTED
    assert "sheet 'Stars'" in lines[0]


def test_a_sheet_is_chosen_or_asked_for(workbook):
    other = [HEAD, ['x', 'y', 1]]
    path = workbook({'A': SHEET, 'B': other, 'C': []})
    error = refusal(path)
    assert "2 sheets with content: 'A', 'B'" in str(error)
    assert "sheet='A'" in str(error) and error.argument == 'sheet'
    assert triples(load_ratings(path, sheet='A', say=None)) == EXPECTED
    assert triples(load_ratings(path, sheet='B', say=None)) == [('x', 'y', 1)]
    assert "no sheet 'D'; the sheets are 'A', 'B', 'C'" in str(refusal(path, sheet='D'))
    assert 'is empty' in str(refusal(path, sheet='C'))
    path = workbook({'notes': [], 'B': SHEET})
    assert triples(load_ratings(path, say=None)) == EXPECTED
    assert 'sheets are empty' in str(refusal(workbook({'A': [[]]})))


def test_a_table_may_begin_anywhere_and_have_gaps(workbook):
    rows = [[], [], *([None, *row] for row in SHEET)]
    rows[4:4] = [[], [None, '  ', None, None]]
    path = workbook({'A': rows})
    assert triples(load_ratings(path, say=None)) == EXPECTED
    rows[-1] = [None, 'ben', '007', 'good']
    assert "row 7, column 'rating': 'good'" in str(refusal(workbook({'A': rows})))
    rows[-1] = [None, 'ben', None, 3]
    assert "row 7, column 'item': there is no value" in str(
        refusal(workbook({'A': rows}))
    )


def test_a_sheet_without_a_header_and_one_with_a_headline(workbook):
    path = workbook({'A': [[5, 70, 3], [9, 81, 4]]})
    assert triples(load_ratings(path, say=None)) == [(5, 70, 3), (9, 81, 4)]
    message = str(refusal(workbook({'A': [['Our stars'], *SHEET]})))
    assert "row 1: there is nothing but 'Our stars'" in message
    assert 'say skip=1' in message


def test_types_of_excel(workbook):
    day = datetime.datetime(2024, 3, 1, 12)
    rows = [
        [*HEAD, 'date'],
        [' anna ', 7, 4.5, day],
        ['ben', 8, '3,5', datetime.date(2024, 3, 2)],
    ]
    found = load_ratings(workbook({'A': rows}), say=None)
    assert triples(found) == [('anna', 7, 4.5), ('ben', 8, 3.5)]
    assert found.timestamp.tolist() == [1709294400, 1709337600]
    rows = [HEAD, ['anna', 7, 4.5], ['ben', '#N/A', 3]]
    message = str(refusal(workbook({'A': rows})))
    assert "row 3, column 'item': #N/A is the error of a formula" in message
    rows = [HEAD, ['anna', 7, datetime.datetime(2024, 5, 4)]]
    assert 'is not a rating' in str(refusal(workbook({'A': rows})))


def with_part(path, name, content):
    "The same archive, with one part replaced."
    with zipfile.ZipFile(path) as z:
        parts = {n: z.read(n) for n in z.namelist()}
    path.write_bytes(zipped(parts | {name: content}))


SHEET_HEAD = (
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
    '<dimension ref="A1"/><sheetData>'
)


def test_a_sheet_that_would_fill_the_memory(workbook, small_bombs):
    path = workbook({'A': SHEET})
    part = 'xl/worksheets/sheet1.xml'
    wide = ''.join(
        f'<row r="{j}"><c r="ZZZ{j}"><v>1</v></c></row>' for j in range(1, 100)
    )
    with_part(path, part, f'{SHEET_HEAD}{wide}</sheetData></worksheet>')
    assert 'would unpack to' in str(refusal(path))
    for row in (2**20 + 1, 4 * 10**9):
        far = f'<row r="{row}"><c r="A{row}"><v>1</v></c></row>'
        with_part(path, part, f'{SHEET_HEAD}{far}</sheetData></worksheet>')
        assert 'more than 1,048,576 rows' in str(refusal(path))
    with_part(path, part, SHEET_HEAD + ' ' * 2**21)
    assert 'would unpack to' in str(refusal(path))


def test_a_wrong_note_of_the_size_of_a_sheet_cuts_nothing_off(workbook):
    path = workbook({'A': SHEET})
    with zipfile.ZipFile(path) as z:
        text = z.read('xl/worksheets/sheet1.xml').decode()
    assert 'ref="A1:C3"' in text
    wrong = text.replace('ref="A1:C3"', 'ref="A1:B2"')
    with_part(path, 'xl/worksheets/sheet1.xml', wrong)
    assert triples(load_ratings(path, say=None)) == EXPECTED


def test_a_workbook_without_its_package_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'openpyxl', None)
    (tmp_path / 'r.xlsx').write_bytes(zipped({'xl/workbook.xml': b'<x/>'}))
    assert "pip install 'mf_movielens[excel]'" in str(refusal(tmp_path / 'r.xlsx'))


# Databases


def sqlite_file(path, *statements):
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    return path


def duckdb_file(path, *statements):
    with closing(needs('duckdb').connect(str(path))) as connection:
        for statement in statements:
            connection.execute(statement)
    return path


STARS = [
    'CREATE TABLE stars ("user" TEXT, item TEXT, rating DOUBLE)',
    "INSERT INTO stars VALUES ('anna', 'Momo', 4.5), ('ben', '007', 3)",
]
FILMS = 'CREATE TABLE films (id TEXT, title TEXT)'
DATABASES = pytest.mark.parametrize('make', [sqlite_file, duckdb_file])


@DATABASES
@pytest.mark.parametrize('name', ['r.db', 'r.sqlite', 'r', 'r.csv'])
def test_the_only_table_of_a_database_is_read(tmp_path, make, name):
    lines = []
    path = make(tmp_path / name, *STARS)
    assert triples(load_ratings(path, say=lines.append)) == EXPECTED
    assert "table 'stars'" in lines[0]


@DATABASES
def test_one_of_several_tables_is_asked_for(tmp_path, make):
    path = make(tmp_path / 'r.db', *STARS, FILMS)
    error = refusal(path)
    assert "tables and views: 'films', 'stars'" in str(error)
    assert error.argument == 'query' and "query='SELECT * FROM films'" in str(error)
    query = 'SELECT "user" AS reader, item, rating AS stars FROM stars WHERE rating > 4'
    assert triples(load_ratings(path, query=query, say=None)) == EXPECTED[:1]
    assert "no column 'x'" in str(refusal(path, query='SELECT * FROM stars', user='x'))
    view = make(tmp_path / 'v.db', *STARS, 'CREATE VIEW v AS SELECT 1 AS item')
    assert "'stars', 'v'" in str(refusal(view))
    assert 'without a table' in str(
        refusal(make(tmp_path / 'e.db', *[FILMS, 'DROP TABLE films']))
    )


@DATABASES
@pytest.mark.parametrize(
    'query',
    [
        'SELECT x FROM stars',
        'nonsense',
        '',
        'DROP TABLE stars',
        'INSERT INTO stars SELECT * FROM stars',
        "ATTACH 'other.db' AS other",
    ],
)
def test_a_query_can_only_read(tmp_path, monkeypatch, make, query):
    monkeypatch.chdir(tmp_path)
    path = make(tmp_path / 'r.db', *STARS)
    before = path.read_bytes()
    error = refusal(path, query=query)
    assert 'is not answered' in str(error) and error.argument == 'query'
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ['r.db']


def test_other_files_are_out_of_reach_of_a_query(tmp_path):
    path = duckdb_file(tmp_path / 'r.db', *STARS)
    (tmp_path / 'secret.csv').write_bytes(TABLE)
    query = f"SELECT * FROM read_csv('{tmp_path}/secret.csv')"
    assert 'is not answered' in str(refusal(path, query=query))


@DATABASES
def test_values_of_a_database(tmp_path, make):
    table = 'CREATE TABLE r (userid BIGINT, item TEXT, rating DECIMAL(3, 1), date DATE)'
    rows = (
        "INSERT INTO r VALUES (7, '007', 4.5, '2024-03-01'), (8, 'x', 3, '2024-03-02')"
    )
    found = load_ratings(make(tmp_path / 'r.db', table, rows), say=None)
    assert triples(found) == [(7, '007', 4.5), (8, 'x', 3)]
    assert found.timestamp.tolist() == [1709251200, 1709337600]
    hole = "INSERT INTO r VALUES (9, NULL, 3, '2024-03-02')"
    path = make(tmp_path / 'h.db', table, rows, hole)
    assert "table 'r', row 3, column 'item': there is no value" in str(refusal(path))
    query = 'SELECT 1 AS "user", CAST(\'x\' AS BLOB) AS item, 3 AS rating'
    assert 'no single value' in str(refusal(path, query=query))


def test_a_database_is_never_written_to(tmp_path):
    "Also where its journal is a log, which SQLite would make again by itself."
    path = sqlite_file(tmp_path / 'r.db', 'PRAGMA journal_mode = WAL', *STARS)
    assert [p.name for p in tmp_path.iterdir()] == ['r.db']
    before = path.read_bytes()
    path.chmod(0o444)
    assert triples(load_ratings(path, say=None)) == EXPECTED
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ['r.db']


def test_what_stands_in_the_log_of_a_database_is_read(tmp_path):
    path = sqlite_file(tmp_path / 'r.db', 'PRAGMA journal_mode = WAL', *STARS)
    with closing(sqlite3.connect(path)) as other:
        other.execute("INSERT INTO stars VALUES ('cara', 'Emma', 2)")
        other.commit()
        assert (tmp_path / 'r.db-wal').exists()
        assert len(load_ratings(path, say=None)) == 3
        needs('pyarrow')
        from mf_movielens.shards import load_cached

        kept = partial(load_cached, path, tmp_path / 'cache', say=None)
        assert len(kept()) == 3
        other.execute("INSERT INTO stars VALUES ('dora', 'Emma', 2)")
        other.commit()
        assert len(kept()) == 4


def test_a_small_database_that_would_fill_the_memory(tmp_path, small_bombs):
    path = sqlite_file(tmp_path / 'r.db', *STARS)
    query = (
        'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) '
        'SELECT i AS "user", i AS item, 3 AS rating FROM n'
    )
    assert 'would unpack to' in str(refusal(path, query=query))
    query = 'SELECT 1 AS "user", hex(zeroblob(100000000)) AS item, 3 AS rating'
    assert 'r.db' in str(refusal(path, query=query))


def test_a_name_that_is_special_in_an_address(tmp_path):
    for name in ('what?mode=rwc.db', 'a#b.db', '100%25.db', 'ü b.db'):
        path = sqlite_file(tmp_path / name, *STARS)
        assert triples(load_ratings(path, say=None)) == EXPECTED
    strange = sqlite_file(
        tmp_path / 't.db',
        'CREATE TABLE "a ""b" (user, item, rating)',
        'INSERT INTO "a ""b" VALUES (1, 2, 3)',
    )
    assert triples(load_ratings(strange, say=None)) == [(1, 2, 3)]


def test_duckdb_without_its_package_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'duckdb', None)
    (tmp_path / 'r.db').write_bytes(bytes(8) + b'DUCK' + bytes(99))
    assert 'pip install duckdb' in str(refusal(tmp_path / 'r.db'))


@pytest.mark.parametrize(
    'option, words',
    [
        (dict(sheet='A'), 'a workbook'),
        (dict(query='SELECT 1'), 'a database'),
        (dict(users=['a']), 'a sparse matrix'),
        (dict(items=['a']), 'a sparse matrix'),
    ],
)
def test_an_option_of_another_kind_is_refused(tmp_path, option, words):
    (tmp_path / 'r.csv').write_bytes(TABLE)
    frame = pd.DataFrame({'user': [1], 'item': [2], 'rating': [3]})
    for source in (tmp_path / 'r.csv', frame):
        error = refusal(source, **option)
        assert f'goes with {words}' in str(error) and error.argument == next(
            iter(option)
        )


# Tables in Python


def arrow_table(frame):
    return needs('pyarrow').Table.from_pandas(frame)


def polars_frame(frame):
    return needs('polars').from_arrow(arrow_table(frame))


def polars_interchange(frame):
    "A table that knows only the older protocol."

    class Older:
        def __init__(self, table):
            self.table = table

        def __dataframe__(self, *args, **kwargs):
            return self.table.__dataframe__(*args, **kwargs)

    return Older(arrow_table(frame))


def duckdb_relation(frame):
    return needs('duckdb').from_arrow(arrow_table(frame))


MAKE = [arrow_table, polars_frame, polars_interchange, duckdb_relation]
FRAME = pd.DataFrame(
    {
        'user': ['anna', 'ben'],
        'item': ['Momo', '007'],
        'rating': [4.5, 3],
        'time': pd.to_datetime(['2024-03-01', '2024-03-02']),
    }
)


@pytest.mark.parametrize('make', MAKE)
def test_a_table_that_speaks_arrow_is_what_a_frame_of_it_is(make):
    needs('pyarrow')
    expected = load_ratings(FRAME, say=None)
    found = load_ratings(make(FRAME), say=None)
    assert found.fingerprint == expected.fingerprint
    assert found.timestamp.tolist() == expected.timestamp.tolist()
    numbers = FRAME.assign(user=[7, 8], item=[2**60, 2**60 + 1])
    found = load_ratings(make(numbers), say=None)
    assert found.items.index.tolist() == [2**60, 2**60 + 1]
    hole = FRAME.assign(item=['Momo', None])
    assert "row 1, column 'item': there is no value" in str(refusal(make(hole)))


@pytest.mark.parametrize('make', [arrow_table, polars_frame])
def test_nested_columns_of_arrow(make):
    nested = FRAME.assign(tags=[['a'], ['b', 'c']])
    assert len(load_ratings(make(nested), say=None)) == 2
    assert "column 'tags'" in str(refusal(make(nested), item='tags'))


def test_what_is_no_table_is_told():
    pa = needs('pyarrow')
    array = pa.chunked_array([[1, 2]])
    assert 'is not a table' in str(refusal(array))
    for source in (np.ones((3, 3)), [[1, 2, 3]], None, 7):
        with pytest.raises(TypeError, match='a path, a frame'):
            load_ratings(source, say=None)


def dictionary_column(*chunks):
    """A column of Arrow that keeps each chunk of words as codes, in its own order."""
    pa = needs('pyarrow')
    return pa.chunked_array([pa.array(words).dictionary_encode() for words in chunks])


def test_words_that_arrow_keeps_as_codes():
    rest = {'user': [1, 2, 3, 1], 'rating': [5, 4, 3, 2]}
    whole = dictionary_column(['anna', 'ben'], ['cleo', 'ben'])
    ratings = load_ratings(needs('pyarrow').table(rest | {'item': whole}), say=None)
    assert ratings.items.decode(ratings.item_ix).tolist() == [
        *('anna', 'ben', 'cleo', 'ben'),
    ]
    gap = dictionary_column(['anna', 'ben'], [None, 'ben'])
    with pytest.raises(RatingsError, match="row 2, column 'item': there is no value"):
        load_ratings(needs('pyarrow').table(rest | {'item': gap}), say=None)


def test_arrow_without_its_package_is_told(monkeypatch):
    table = arrow_table(FRAME)
    monkeypatch.setitem(sys.modules, 'pyarrow', None)
    assert "pip install 'mf_movielens[parquet]'" in str(refusal(table))


DENSE = np.array([[5, 0, 3.5], [0, 0, 0], [0, 1, 0]])


@pytest.mark.parametrize('make', [csr_matrix, csr_array, coo_array, lil_array])
def test_stored_values_of_a_sparse_matrix_are_ratings(make):
    found = load_ratings(make(DENSE), say=None)
    assert triples(found) == [(0, 0, 5), (0, 2, 3.5), (2, 1, 1)]
    named = load_ratings(make(DENSE), users=list('abc'), items=[7, 8, 9], say=None)
    assert triples(named) == [('a', 7, 5), ('a', 9, 3.5), ('c', 8, 1)]


def test_a_pair_that_is_stored_twice_is_not_added_up():
    twice = coo_array(([2, 3], ([0, 0], [1, 1])), shape=(2, 2))
    assert 'duplicates' in str(refusal(twice))
    assert load_ratings(twice, duplicates='last', say=None).rating.tolist() == [3]
    rows = csr_array(([2.0, 3.0], [1, 1], [0, 2, 2]), shape=(2, 2))
    assert load_ratings(rows, duplicates='mean', say=None).rating.tolist() == [2.5]


def test_stored_zeros_are_asked_about():
    matrix = csr_array(DENSE)
    matrix.data[1] = 0
    error = refusal(matrix)
    assert 'row 0, column 2: 1 of 3 stored values are 0' in str(error)
    assert error.argument == 'scale' and 'eliminate_zeros' in str(error)
    assert 'stored values are 0' in str(refusal(matrix, scale=(1, 5)))
    found = load_ratings(matrix, scale=(0, 5), say=None)
    assert found.rating.tolist() == [5, 0, 1]
    assert refusal(bsr_array(DENSE)).args[0].count('.tocsr()')


@pytest.mark.parametrize(
    'ids, words',
    [
        (dict(users=['a', 'b']), 'users: 2 ids are given, but the matrix has 3 rows'),
        (dict(items=['a', 'b', 'a']), "items: the id 'a' is given twice"),
        (dict(users='abc'), 'users are a list of ids'),
        (dict(users=['a', None, 'b']), ''),
    ],
)
def test_ids_that_do_not_fit_a_matrix(ids, words):
    if words:
        assert words in str(refusal(csr_array(DENSE), **ids))
    else:  # nobody rated with the missing id
        assert len(load_ratings(csr_array(DENSE), **ids, say=None)) == 3
        gap = str(refusal(csr_array(DENSE), users=[None, 'a', 'b']))
        assert "row 0, column 0, column 'user': there is no value" in gap


def test_a_text_that_cannot_be_written_is_no_id(tmp_path):
    "Half of a pair of letters, which JSON and Python can write and UTF-8 cannot."
    (tmp_path / 'r.jsonl').write_text(
        '{"user": "\\ud800", "item": "a", "rating": 3}\n'
        '{"user": "b", "item": "a", "rating": 4.5}\n'
    )
    ids = ['\ud800', 'b', 'c']
    for source, more in (
        (tmp_path / 'r.jsonl', {}),
        (csr_array(DENSE), {'users': ids}),
    ):
        assert "'\\ud800' is no sound text" in str(refusal(source, **more))


@pytest.mark.parametrize('value', [np.nan, np.inf, 1j])
def test_numbers_that_are_no_ratings_in_a_matrix(value):
    matrix = csr_array(DENSE.astype(type(value)))
    matrix.data[2] = value
    message = str(refusal(matrix))
    assert 'row 2, column 1' in message or 'real numbers' in message


def test_fit_takes_a_sparse_matrix(capsys):
    rng = np.random.default_rng(0)
    matrix = csr_array(rng.integers(1, 6, (30, 20)) * (rng.random((30, 20)) < 0.4))
    users = [f'u{j}' for j in range(30)]
    model = Recommender.fit(matrix, users=users, n_factors=2)
    assert 'the matrix' in capsys.readouterr().out
    expected = Recommender.fit(load_ratings(matrix, users=users, say=None), n_factors=2)
    pd.testing.assert_frame_equal(model.recommend('u3', 5), expected.recommend('u3', 5))
    assert set(Recommender.fit(matrix, n_factors=2).users.index) <= set(range(30))
    ratings = Ratings.from_frame(
        pd.DataFrame({'user': [1], 'item': [2], 'rating': [3]})
    )
    with pytest.raises(TypeError, match='for a sparse matrix'):
        Recommender.fit(ratings, users=[1])
    with pytest.raises(TypeError, match='Ratings, a frame or a sparse matrix'):
        Recommender.fit(DENSE)


# The command line


def run(capsys, monkeypatch, *words):
    from mf_movielens.cli import main

    monkeypatch.setattr('sys.argv', ['mf-movielens', *map(str, words)])
    try:
        main()
    except SystemExit as e:
        assert e.code in (0, 2)
    return ' '.join(capsys.readouterr())


MANY = [
    (f'u{j}', f'i{(j * k) % 7}', 1 + (j + k) % 5)
    for j in range(12)
    for k in range(1, 5)
]


def test_the_command_line_asks_for_a_query_and_takes_it(tmp_path, capsys, monkeypatch):
    rows = ', '.join(map(str, sorted(set({r[:2]: r for r in MANY}.values()))))
    path = sqlite_file(
        tmp_path / 'r.db', STARS[0], FILMS, f'INSERT INTO stars VALUES {rows}'
    )
    run_here = partial(run, capsys, monkeypatch)
    out = tmp_path / 'out'
    asked = run_here('train', path, '--out', out)
    assert "--query 'SELECT * FROM films'" in asked
    query = 'SELECT * FROM stars'
    trained = run_here('train', path, '--query', query, '--out', out, '--no-evaluate')
    assert 'saved in' in trained
    options = ('--query', query, '--model', out / 'model.npz')
    assert 'error' not in run_here('evaluate', path, *options)
    refused = run_here('train', path, '--sheet', 'A', '--out', out)
    assert '--sheet … goes with a workbook' in refused


def test_the_command_line_asks_for_a_sheet(workbook, capsys, monkeypatch):
    path = workbook({'A': SHEET, 'B C': SHEET})
    asked = run(capsys, monkeypatch, 'train', path)
    assert '--sheet A' in asked


# Options of a text file inside of packed files, and beside other formats

TEXTS = {
    'quotation marks as letters': ('u\ti\tr\na\t"Heroes\t4\nb\tx\t3\n', 'none'),
    'no header': ('a,"He""roes",4\nb,x,3\n', {'header': False}),
    'comments': ("# from\nuser,item,rating\na,'Heroes,4\n# b,y,5\nb,x,3\n", '#'),
    'skipped lines': ('A list\n\nuser;item;rating\na;Heroes;4,5\nb;x;3\n', 2),
    'a wide table': ('reader;Heroes;x\na;4,5;\nb;;3\n', {'wide': True}),
    'thousands': ('user;item;rating\na;Heroes;1.234\nb;x;3\n', '.'),
    'a line of Excel': ('sep=;\nuser;item;rating\na;Heroes;4,5\nb;x;3\n', {}),
    'blanks': ('a Heroes 4\nb x 3\n', {'header': False, 'comment': '%'}),
}
OPTION_OF = {
    'quotation marks as letters': lambda value: dict(
        quoting=value, user='u', item='i', rating='r'
    ),
    'comments': lambda value: dict(comment=value),
    'skipped lines': lambda value: dict(skip=value),
    'thousands': lambda value: dict(thousands=value, kind='counts'),
}


@pytest.mark.parametrize('packing', PACK)
@pytest.mark.parametrize('shape', TEXTS)
def test_a_packed_text_is_read_like_a_plain_one(tmp_path, packing, shape):
    text, value = TEXTS[shape]
    options = value if isinstance(value, dict) else OPTION_OF[shape](value)
    (tmp_path / 'r.csv').write_text(text)
    (tmp_path / 'packed').write_bytes(PACK[packing](text.encode()))
    plain = load_ratings(tmp_path / 'r.csv', say=None, **options)
    packed = load_ratings(tmp_path / 'packed', say=None, **options)
    assert triples(packed) == triples(plain)
    assert len(plain) == 2
    assert plain.users.index.tolist() == ['a', 'b']
    assert plain.items.index.tolist()[1] == 'x'
    assert plain.rating[0] == {'thousands': 1234}.get(shape, plain.rating[0])


@pytest.mark.parametrize('packing', PACK)
def test_a_line_of_a_packed_text_with_comments_is_named(tmp_path, packing):
    text = b'%\nuser item rating\na x 4\n% no row\nb x good\n'
    (tmp_path / 'r').write_bytes(PACK[packing](text))
    message = str(refusal(tmp_path / 'r', comment='%'))
    assert "line 5, column 'rating': 'good'" in message


@pytest.mark.parametrize('packing', PACK)
def test_packed_lists_of_items_are_recognized(tmp_path, packing):
    lists = b'0 5 7 9 11 13\n1 5\n2 7 9\n'
    (tmp_path / 'train').write_bytes(PACK[packing](lists))
    assert len(load_ratings(tmp_path / 'train', say=None)) == 8


def test_a_packed_text_that_swallows_lines_asks(tmp_path):
    text = 'user\titem\trating\na\t"Heroes\t4\nb\tx\t3\n'
    (tmp_path / 'r.tsv').write_bytes(gzip.compress(text.encode()))
    error = refusal(tmp_path / 'r.tsv')
    assert error.argument == 'quoting'
    assert 'line 2: a quotation mark' in str(error)


def test_a_packed_text_is_closed_however_it_is_left(tmp_path, monkeypatch):
    opened = []

    def watched(path):
        opened.append(open_binary(path))
        return opened[-1]

    import mf_movielens.file_layout as file_layout

    monkeypatch.setattr(file_layout, 'open_binary', watched)
    path = tmp_path / 'r.csv'
    path.write_bytes(gzip.compress(b'#\n' + TABLE))
    chunks = open_table(path, ReadOptions(comment='#')).chunks({'user': 'user'})
    next(chunks)
    chunks.close()
    assert opened
    assert all(file.closed for file in opened)


LINES = b'{"user": "a", "item": "x", "rating": 4}\n'
TEXT_OPTIONS = [
    {'header': False},
    {'header': True},
    {'quoting': 'none'},
    {'skip': 1},
    {'comment': '#'},
    {'adjacency': True},
]


@pytest.mark.parametrize('option', TEXT_OPTIONS)
def test_an_option_of_texts_is_refused_for_other_tables(tmp_path, option):
    (tmp_path / 'r.jsonl').write_bytes(LINES)
    (tmp_path / 'packed').write_bytes(gzip.compress(LINES))
    frame = pd.DataFrame({'user': ['a'], 'item': ['x'], 'rating': [4.0]})
    matrix = csr_array([[4.0]])
    sources = [tmp_path / 'r.jsonl', tmp_path / 'packed', frame, matrix]
    with closing(sqlite3.connect(tmp_path / 'r.db')) as shop:
        shop.execute('CREATE TABLE r ("user" TEXT, item TEXT, rating REAL)')
        shop.execute("INSERT INTO r VALUES ('a', 'x', 4)")
        shop.commit()
    sources.append(tmp_path / 'r.db')
    for source in sources:
        assert len(load_ratings(source, say=None, adjacency=False)) == 1
        error = refusal(source, **option)
        assert error.argument in option
        assert 'goes with a table of text' in str(error)


def test_signs_and_wide_tables_of_records(tmp_path):
    lines = '{"user": "a", "item": "x", "rating": "1,234"}\n'
    (tmp_path / 'r.jsonl').write_text(lines)
    assert refusal(tmp_path / 'r.jsonl').argument == 'decimal'
    by_point = load_ratings(
        tmp_path / 'r.jsonl', thousands=',', kind='counts', say=None
    )
    assert by_point.rating.tolist() == [1234]
    wide = '{"who": "a", "x": 4.5, "y": null}\n{"who": "b", "y": "3,5"}\n'
    (tmp_path / 'wide.jsonl').write_text(wide)
    ratings = load_ratings(tmp_path / 'wide.jsonl', wide=True, say=None)
    assert triples(ratings) == [('a', 'x', 4.5), ('b', 'y', 3.5)]
    assert 'wide=True' in str(refusal(csr_array([[4.0]]), wide=True))


def test_a_number_among_texts_needs_no_sign(tmp_path):
    lines = '{"user": 1, "item": 2, "rating": 4.5}\n' * 2
    lines = lines.replace('2,', '3,', 1) + '{"user": 1, "item": 4, "rating": "3,25"}\n'
    (tmp_path / 'r.jsonl').write_text(lines)
    ratings = load_ratings(tmp_path / 'r.jsonl', say=None)
    assert ratings.rating.tolist() == [4.5, 4.5, 3.25]


def test_rows_and_header_of_a_sheet_can_be_said(workbook):
    rows = [['Our stars'], [None], ['anna', 'Momo', 4], ['ben', 'Emma', 3]]
    path = workbook({'A': rows})
    assert refusal(path).argument == 'skip'
    for header in (None, False):
        found = load_ratings(path, skip=1, header=header, say=None)
        assert triples(found) == [('anna', 'Momo', 4), ('ben', 'Emma', 3)]
    rows = [[2019, 'x', 'y'], ['anna', 4, None], ['ben', 3, 5]]
    wide = load_ratings(workbook({'A': rows}), header=True, wide=True, say=None)
    assert triples(wide) == [('anna', 'x', 4), ('ben', 'x', 3), ('ben', 'y', 5)]
    message = str(refusal(path, quoting='none'))
    assert 'goes with a table of text' in message


def test_titles_in_other_formats_beside_a_text_with_options(tmp_path):
    (tmp_path / 'r.tsv').write_text('user\titem\trating\na\tx"\t4\n')
    (tmp_path / 't.jsonl').write_text('{"item": "x\\"", "title": "Ex"}\n')
    ratings = load_ratings(
        tmp_path / 'r.tsv', titles=tmp_path / 't.jsonl', quoting='none', say=None
    )
    assert ratings.titles.tolist() == ['Ex']
