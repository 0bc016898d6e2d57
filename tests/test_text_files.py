"""Text files of many shapes: the right meaning of every value, or a question."""

import numpy as np
import pandas as pd
import pytest

import mf_movielens.reading as reading
from mf_movielens.encoding import RatingsError, keep_stars
from mf_movielens.reading import ReadOptions, load_ratings

HEAD = 'user;item;plays\n'


@pytest.fixture
def read(tmp_path):
    def read_text(text, name='r.csv', **settings):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_ratings(path, say=None, **settings)

    return read_text


@pytest.fixture
def refused(read):
    def message(text, **settings):
        with pytest.raises(RatingsError) as e:
            read(text, **settings)
        return str(e.value)

    return message


def plays(*values, rating='plays'):
    lines = [f'u{j};x{j};{value}\n' for j, value in enumerate(values)]
    return f'user;item;{rating}\n' + ''.join(lines)


# Signs in numbers


@pytest.mark.parametrize(
    'values, numbers',
    [
        (['1,234', '4,5'], [1.234, 4.5]),
        (['1,234', '0,125'], [1.234, 0.125]),
        (['1,234', '1,234,567'], [1234, 1234567]),
        (['1,234', '4.5'], [1234, 4.5]),
        (['1,234', '1,234.5'], [1234, 1234.5]),
        (['1,234', '1.234,5'], [1.234, 1234.5]),
        (['1.234', '4,5'], [1234, 4.5]),
        (['1.234', '4.5'], [1.234, 4.5]),
        (['1.234', '12.5', '7'], [1.234, 12.5, 7]),
        (['1.234', '1.234.567'], [1234, 1234567]),
        (['1.234.567', '3'], [1234567, 3]),
        (['1,234,567', '3'], [1234567, 3]),
        (['1 234', '3'], [1234, 3]),
        (['1\xa0234', '1\u202f234,5'], [1234, 1234.5]),
        (["1'234", '1\u2019234.5'], [1234, 1234.5]),
        (['12,34,567', '3'], [1234567, 3]),
        (['-1,234.5', '1,000'], [-1234.5, 1000]),
        (['4,5', '4.5'], [4.5, 4.5]),
        (['4.5', '1e3'], [4.5, 1000]),
        (['4', '3'], [4, 3]),
    ],
)
def test_one_value_settles_what_a_sign_means(read, values, numbers):
    for order in (1, -1):
        found = read(plays(*values[::order]), rating='plays', kind='stars')
        assert found.rating.tolist() == pytest.approx(numbers[::order], rel=1e-6)


@pytest.mark.parametrize(
    'values, settings',
    [
        (['1,234'], dict(decimal=',')),
        (['1.234'], dict(decimal='.')),
        (['7', '1.234', '12.500'], dict(decimal='.')),
        (['12', '123,456', '-1,000'], dict(decimal=',')),
    ],
)
def test_three_digits_behind_a_sign_are_a_question(read, refused, values, settings):
    text = plays(*values)
    sign = settings['decimal']
    first = next(value for value in values if sign in value)
    line = values.index(first) + 2
    message = refused(text, rating='plays')
    assert f'line {line}, column' in message
    assert repr(first) in message
    # The message has the answers.
    assert f'decimal={sign!r}' in message
    assert f'thousands={sign!r}' in message
    as_decimal = [float(value.replace(sign, '.')) for value in values]
    as_thousands = [float(value.replace(sign, '')) for value in values]
    answer = read(text, rating='plays', kind='stars', decimal=sign)
    assert answer.rating.tolist() == pytest.approx(as_decimal)
    answer = read(text, rating='plays', kind='stars', thousands=sign)
    assert answer.rating.tolist() == as_thousands


def test_frames_of_text_and_shards_ask_as_well(tmp_path):
    frame = pd.DataFrame({'user': ['a', 'b'], 'item': ['x', 'y'], 'rating': '1,234'})
    with pytest.raises(RatingsError, match="row 0, column 'rating'.*1234"):
        load_ratings(frame, say=None)
    assert load_ratings(frame, thousands=',', say=None).rating.tolist() == [1234] * 2
    shards = pytest.importorskip('mf_movielens.shards')
    (tmp_path / 'r.csv').write_text(plays('5', '1.234', rating='rating'))
    with pytest.raises(RatingsError, match='line 3'):
        shards.shard_file(tmp_path / 'r.csv', tmp_path / 's')
    found = shards.shard_file(tmp_path / 'r.csv', tmp_path / 's', decimal='.')
    assert sorted(found.load().rating) == pytest.approx([1.234, 5])


@pytest.mark.parametrize('at', [0, 35])
def test_the_whole_column_tells_however_it_is_cut(read, refused, monkeypatch, at):
    monkeypatch.setattr(reading, 'CHUNK_ROWS', 10)
    values = ['1,234'] * 40
    assert 'line 2' in refused(plays(*values), rating='plays')
    values[at] = '4,5'
    assert read(plays(*values), rating='plays').rating.max() == pytest.approx(4.5)
    values[at] = '1,234,567'
    assert read(plays(*values), rating='plays').rating.min() == 1234


def test_the_quick_way_asks_also_below_its_head(refused, read):
    values = ['7'] * 300 + ['1.234']
    assert 'line 302' in refused(plays(*values), rating='plays')
    values[3] = '0.5'
    assert read(plays(*values), rating='plays').rating.max() == np.float32(7)


@pytest.mark.parametrize('values', [['4.5', '1.234.567'], ['4,5', '1,234,567', '4.5']])
def test_signs_that_contradict_each_other(refused, values):
    message = refused(plays(*values), rating='plays')
    assert 'line 3' in message
    assert f'{values[1]!r} is not a rating in a column with' in message
    assert "line 2, column 'plays': '4.5'" in refused(
        plays('4.5'), rating='plays', decimal=','
    )


@pytest.mark.parametrize(
    'settings',
    [dict(decimal=';'), dict(thousands='x'), dict(decimal=',', thousands=',')],
)
def test_signs_that_make_no_sense(refused, settings):
    assert next(iter(settings)) in refused(plays('4'), **settings)


# Quotation marks


def tsv(*titles):
    rows = ''.join(f'{j}\t{title}\t{j % 5 + 1}\n' for j, title in enumerate(titles))
    return 'user\titem\trating\n' + rows


@pytest.mark.parametrize(
    'titles, line',
    [
        (['Up', '"Heroes', 'Low', 'Lodger'], 3),
        (['"Heroes', 'Low', 'Lodger"'], 2),
        (['Up', '"Heroes', 'Low"', 'Lodger'], 3),
        (['Up', '"Heroes', '"Low"', 'Lodger'], 3),
        (['Up', 'Low', '"Lodger'], 4),
    ],
)
def test_a_quotation_mark_does_not_swallow_lines(read, refused, titles, line):
    message = refused(tsv(*titles))
    assert f'line {line}: a quotation mark opens' in message
    assert "quoting='none'" in message
    found = read(tsv(*titles), quoting='none')
    assert sorted(found.items.index) == sorted(titles)
    assert f'line {line}' in refused(tsv(*titles).replace('\t', ','))


def test_a_quotation_mark_may_open_in_a_long_file(refused):
    titles = [f't{j}' for j in range(5000)]
    titles[700] = '"twelve inches'
    assert 'line 702: ' in refused(tsv(*titles))
    titles[4700] = 'so long"'
    assert 'line 702: ' in refused(tsv(*titles))


def test_an_inch_mark_is_a_letter(read):
    titles = ['TV 12"', 'TV 14"', '5" disk']
    assert read(tsv(*titles)).items.index.tolist() == titles


@pytest.mark.parametrize(
    'title',
    [
        'Two\nlines',
        'Good,\nthe Bad, the Ugly',
        'a ""b""\nc',
        'one, two\nthree, four\n\nfive, six\n',
    ],
)
def test_a_title_of_several_lines_is_one(read, title):
    text = f'user,item,rating,title\n1,7,4,"{title}"\n2,8,3,"Up, up"\n3,9,5,Low\n'
    found = read(text)
    expected = title.replace('""', '"').strip()
    assert found.titles.tolist() == [expected, 'Up, up', 'Low']
    inside = f'user,item,rating\n1,"{title}",4\n2,"Up, up",3\n3,Low,5\n'
    assert read(inside).items.index[0] == expected


def test_a_value_that_may_be_rows_can_be_confirmed(read, refused):
    text = 'user,item\nanna,"Heroes\nben,Low"\ncleo,Up\n'
    assert "quoting='minimal'" in refused(text, rating=False)
    assert len(read(text, rating=False, quoting='minimal')) == 2
    assert len(read(text, rating=False, quoting='none')) == 3
    assert 'quoting' in refused(text, quoting='all')
    # Another number of columns is as suspicious.
    text = 'user,item,rating,title\n1,"a\nb",3\n2,c,4,C\n'
    assert 'line 2: a quotation mark' in refused(text)
    assert read(text, quoting='minimal').items.index[0] == 'a\nb'


def test_titles_elsewhere_may_have_quotation_marks_as_letters(read, tmp_path):
    path = tmp_path / 'titles.tsv'
    path.write_text('item\ttitle\n7\t"Heroes\n8\tLow\n9\tUp"\n')
    text = 'user,item,rating\n1,7,4\n1,8,3\n'
    with pytest.raises(RatingsError, match=r'titles.tsv, line 2.*quoting'):
        read(text, titles=path)
    titles = read(text, titles=path, quoting='none').titles
    assert titles.tolist() == ['"Heroes', 'Low']


def test_quotation_marks_after_a_backslash(read):
    text = 'user,item,rating\n1,"5\\" disk, used",4\n2,"say \\"Ah\\"",3\n3,Up,5\n'
    found = read(text)
    assert found.items.index.tolist() == ['5" disk, used', 'say "Ah"', 'Up']
    # Here the backslash is the last letter of a path.
    found = read('user,item,rating\n1,"C:\\",4\n2,"D:\\",3\n')
    assert found.items.index.tolist() == ['C:\\', 'D:\\']


# Header, comments, lines to skip

ROWS = 'anna,Momo,4\nben,Emma,3\n'
LIKES = 'anna,Momo\nanna,Emma\nben,Momo\n'


def test_a_header_can_be_said(read, refused):
    assert len(read(ROWS, header=False)) == 2
    assert (
        len(read('anna,Momo,four\n' + ROWS, header=True, user=0, item=1, rating=2)) == 2
    )
    assert "line 1, column 2: 'four'" in refused(
        'anna,Momo,four\n' + ROWS, header=False
    )


def test_likes_without_header_and_with_text_ids(read, refused):
    for settings in ({}, dict(header=False), dict(user=0, item=1)):
        found = read(LIKES, rating=False, **settings)
        assert len(found) == 3
        assert found.users.index.tolist() == ['anna', 'ben']
    # Without a value that comes again, this may be a header.
    distinct = 'anna,Momo\nben,Emma\n'
    assert 'header=False' in refused(distinct, rating=False)
    for settings in (
        dict(header=False),
        dict(user=0, item=1),
        dict(user='0', item='1'),
    ):
        assert len(read(distinct, rating=False, **settings)) == 2
    named = read('user,item\n' + LIKES, rating=False)
    assert len(named) == 3
    # Words above numbers, or words that are known, are a header all the same.
    for text in ('user,item\nuser,Momo\n', 'Kunde,Artikel\n1,2\n'):
        assert len(read(text, rating=False, user=0, item=1)) == 1


def test_a_header_of_numbers(read, refused):
    for rows in ('5,70,3\n6,80,4\n', '5,70,3,880000001\n6,80,4,880000002\n'):
        numbers = ','.join(map(str, range(rows.count(',') // 2 + 1)))
        found = read(f'{numbers}\n{rows}')
        assert found.users.index.tolist() == [5, 6]
        assert found.rating.tolist() == [3, 4]
        assert "line 3, column 2: 'x'" in refused(f'{numbers}\n5,70,3\n6,80,x\n'[:99])
    may_be_row = '0,1,2\n0,3,4\n1,3,5\n'
    message = refused(may_be_row)
    assert 'header=True or header=False' in message
    assert len(read(may_be_row, header=True)) == 2
    assert len(read(may_be_row, header=False)) == 3
    labels = ',0,1,2\n0,5,70,3\n1,6,80,4\n'
    assert "'0', '1', '2'" in refused(labels)
    assert read(labels, user='0', item='1', rating='2').users.index.tolist() == [5, 6]


@pytest.mark.parametrize(
    'before, settings',
    [
        ('sep=;\n', {}),
        ('"sep=;"\r\n', {}),
        ('Made on Monday\n\nby me\n', dict(skip=3)),
        ('# made on Monday; by me\n', dict(comment='#')),
        ('%\n\n% by me\n', dict(comment='%')),
        ('Monday\n// x\nsep=;\n', dict(skip=1, comment='//')),
    ],
)
@pytest.mark.parametrize('rows', ['1;7;4\n2;8;3\n', 'a;x;4,5\nb;"y;z";3\n'])
def test_lines_that_are_no_rows(read, refused, before, settings, rows):
    text = 'user;item;rating\n' + rows
    expected = read(text)
    found = read(before + text, **settings)
    assert found.fingerprint == expected.fingerprint
    packed = read(before.encode() + text.encode('utf-8'), **settings)
    assert packed.fingerprint == expected.fingerprint
    comment = settings.get('comment')
    inside = f'{comment} a comment\n' if comment else ''
    line = before.count('\n') + bool(comment) + 4
    message = refused(before + text + inside + 'c;z;bad\n', **settings)
    assert f"line {line}, column 'rating': 'bad'" in message


def test_a_comment_does_not_end_a_value(read):
    found = read('user,item,rating\n# x\nanna,#1,4\n', comment='#')
    assert found.items.index.tolist() == ['#1']


def test_a_long_file_with_comments(read, monkeypatch):
    monkeypatch.setattr(reading, 'CHUNK_ROWS', 10_000)
    rows = [f'{j},{j % 7},{j % 5 + 1}\n' for j in range(30_000)]
    plain = read('user,item,rating\n' + ''.join(rows))
    rows[20_000] += '# two thirds\n'
    found = read('#\nuser,item,rating\n' + ''.join(rows), comment='#')
    assert found.fingerprint == plain.fingerprint


# Blanks, ids, timestamps by their place


@pytest.mark.parametrize(
    'text',
    [
        '4071 9242 3 880000001\n4186 9302 3 880000002\n',
        '4071  9242 3 880000001\n4186  9302 3 880000002 \n',
        '  4071   9242   3   880000001\n  4186   9302   3   880000002\n',
    ],
)
def test_blanks_between_columns(read, text):
    found = read(text)
    assert found.users.index.tolist() == [4071, 4186]
    assert found.timestamp.tolist() == [880000001, 880000002]
    named = read('user item rating\n"anna k" Momo 4\nben Emma 3\n')
    assert named.users.index.tolist() == ['anna k', 'ben']


def test_a_constant_third_column_is_no_timestamp(read):
    assert read('5,70,1\n6,71,1\n7,71,1\n', rating=False).timestamp is None
    assert read('5,70,3\n6,71,4\n7,71,1\n', rating=False).timestamp is None
    assert read('5,70,4,0\n6,71,3,0\n').timestamp is None
    kept = read('5,70,1\n6,71,1\n', rating=False, timestamp=2)
    assert kept.timestamp.tolist() == [1, 1]
    moments = read('5,70,880000001\n6,71,880000002\n', rating=False)
    assert moments.timestamp.tolist() == [880000001, 880000002]


@pytest.mark.parametrize('place', [3, '3'])
def test_a_fourth_column_of_ratings_holds_no_timestamps(read, place):
    found = read('1,7,0,4\n1,8,0,5\n2,7,0,3\n', rating=place)
    assert found.rating.tolist() == [4, 5, 3]
    assert found.timestamp is None


def test_what_was_left_alone_is_said(tmp_path):
    (tmp_path / 'r.csv').write_text('5,70,1\n6,71,1\n')
    lines = []
    load_ratings(tmp_path / 'r.csv', rating=False, say=lines.append)
    assert 'Column 2 was left alone' in lines[0]
    assert 'timestamp=2' in lines[0]
    assert 'timestamp from' not in lines[0]


def test_blanks_around_ids_do_not_belong_to_them(read):
    table = {'user': [' anna', 'anna', 'ben '], 'item': ['x', ' y', 'x'], 'rating': 4}
    frame = pd.DataFrame(table)
    text = frame.to_csv(index=False)
    expected = read(text)
    assert expected.users.index.tolist() == ['anna', 'ben']
    frames = [frame, frame.astype({'user': 'category', 'item': 'category'})]
    frames.append(frame.astype({'user': 'string', 'item': 'string'}))
    for same in frames:
        assert load_ratings(same, say=None).fingerprint == expected.fingerprint


@pytest.mark.parametrize('empty', ['', ' ', '""', '" "'])
def test_an_empty_id_is_missing(refused, empty):
    head = 'user,item,rating\nanna,x,4\n'
    assert "line 3, column 'user': there is no value" in refused(f'{head}{empty},x,3\n')
    assert "line 3, column 'item': there is no value" in refused(
        f'{head}ben,{empty},3\n'
    )
    for column in ('user', 'item'):
        frame = pd.DataFrame({'user': ['a', 'b'], 'item': ['x', 'y'], 'rating': 4})
        frame.loc[1, column] = empty.strip('"')
        with pytest.raises(RatingsError, match=f"row 1, column '{column}'.*no value"):
            load_ratings(frame, say=None)


@pytest.mark.parametrize('text', ['""', '""\n""\n', '"",""'])
def test_a_file_of_empty_texts_alone_is_refused(refused, text):
    assert 'it is not clear which column holds the users' in refused(text, sep=',')


def test_a_column_that_counts_the_rows_is_not_taken_for_users(read, refused):
    rows = ''.join(f'{j},{j % 4},{j % 7},{j % 5 + 1}\n' for j in range(20))
    message = refused(rows, duplicates='last')
    assert 'column 0 counts the rows' in message
    found = read(rows, user=1, item=2, rating=3)
    assert len(found.users) == 4
    assert len(read(rows, user=0, item=2, rating=3).users) == 20


def test_a_table_as_r_writes_it(read, refused):
    text = '"user" "item" "rating"\n"1" "anna k" "Momo" 4\n"2" "ben" "Emma" 3\n'
    found = read(text)
    assert found.users.index.tolist() == ['anna k', 'ben']
    assert found.rating.tolist() == [4, 3]
    # With commas, the fourth value may as well be the decimals of the third.
    assert 'line 2: 4 columns' in refused('user,item,rating\n5,6,1,234\n7,8,1,5\n')


# Lists and wide tables


def test_adjacency_lists(read, refused):
    text = '0 5 7 9 11 13\n1 5\n2 7 9\n3\n'
    found = read(text)
    assert found.to_frame().user_id.tolist() == [0] * 5 + [1, 2, 2]
    assert found.to_frame().item_id.tolist() == [5, 7, 9, 11, 13, 5, 7, 9]
    assert found.scale == (1, 1)
    words = 'anna Momo Emma\nben Momo\n'
    assert 'adjacency=True' in refused(words)
    assert len(read(words, adjacency=True)) == 3
    commas = '# x\nanna,Momo,Emma\nben,Momo\n'
    settings = dict(adjacency=True, sep=',', comment='#')
    assert read(commas, **settings).items.index.tolist() == ['Momo', 'Emma']
    assert 'line 2' in refused('1 2 3\n1 ,\n', adjacency=True, sep=',')
    # These may be lists or something else.
    for unclear in (
        '0 5 7 9 11 13\n0 5\n',
        '0 5 7 9 11 5\n1 5\n',
        '0 5 7 9 11 x\n1 5\n',
    ):
        assert 'adjacency=True' in refused(unclear)
    assert 'line 2: 4 columns' in refused('1 10 3\n2 20 4 880000000\n')


def test_lines_before_lists_are_skipped(read):
    text = 'user items of 2024\nanna Momo Emma\nben Momo\n'
    found = read(text, adjacency=True, skip=1)
    assert found.users.index.tolist() == ['anna', 'ben']
    assert found.items.index.tolist() == ['Momo', 'Emma']


def test_wide_tables(read, refused, tmp_path):
    text = 'reader,Momo,Emma\nanna,4,\nben,3,5\n'
    found = read(text, wide=True).to_frame()
    assert found.user_id.tolist() == ['anna', 'ben', 'ben']
    assert found.item_id.tolist() == ['Momo', 'Momo', 'Emma']
    assert found.rating.tolist() == [4, 3, 5]
    frame = pd.read_csv(tmp_path / 'r.csv')
    assert load_ratings(frame, wide=True, say=None).fingerprint == (
        read(text, wide=True).fingerprint
    )
    last = read('Momo;Emma;reader\n4,5;;anna\n3;5;ben\n', wide=True, user='reader')
    assert last.users.index.tolist() == ['anna', 'ben']
    assert last.rating.tolist() == [4.5, 3, 5]
    assert "line 3, column 'rating': 'x'" in refused('r,a,b\n1,4,5\n2,x,3\n', wide=True)
    assert 'item' in refused(text, wide=True, item='Momo')
    many = [f'film {j}' for j in range(20)]
    rows = ''.join(f'{u},' + ','.join('4' * 20) + '\n' for u in 'ab')
    assert 'wide=True' in refused('reader,' + ','.join(many) + '\n' + rows)


# Moments in place of ratings


@pytest.mark.parametrize('unit', [1, 1000])
def test_moments_are_not_taken_for_ratings(read, refused, unit, tmp_path):
    rows = ''.join(f'{j % 3},{j},{(880000001 + j) * unit}\n' for j in range(9))
    message = refused(rows)
    assert f'line 1, column 2: {880000001 * unit}' in message
    assert '1997-11-20' in message
    assert 'rating=False' in message
    assert len(read(rows, rating=False)) == 9
    moments = (8e8 * unit, 9e8 * unit)
    assert read(rows, scale=moments).scale == moments
    for kind in ('stars', 'counts'):
        assert read(rows, kind=kind).kind == kind
    # One small rating tells that they are no moments, but most may be ids.
    assert 'half of the ratings' in refused(rows + '5,9,4\n')
    shards = pytest.importorskip('mf_movielens.shards')
    (tmp_path / 'r.csv').write_text(rows)
    with pytest.raises(RatingsError, match='1997'):
        shards.shard_file(tmp_path / 'r.csv', tmp_path / 's', rating=2, user=0, item=1)


def test_options_are_kept_in_one_place():
    options = ReadOptions(decimal=',')
    assert options.notation.parse('1,234') == 1.234
    with pytest.raises(RatingsError, match='decimal'):
        ReadOptions(decimal='x')


# Ratings that are no plain numbers


@pytest.mark.parametrize(
    'values, numbers',
    [
        (['4/5', '3/5', '5 / 5'], [4, 3, 5]),
        (['80%', '62,5 %'], [80, 62.5]),
        (['1 star', '4 stars', '3.5 Stars'], [1, 4, 3.5]),
        (['1.234 Stk.', '1.234.567 Stk.'], [1234, 1234567]),
        (['★★★☆☆', '★☆☆☆☆', '☆☆☆☆☆'], [3, 1, 0]),
        (['★★★½', '½', '★ ★'], [3.5, 0.5, 2]),
        (['***', '*'], [3, 1]),
        (['⭐️⭐️', '⭐️'], [2, 1]),
    ],
)
def test_a_unit_is_left_out_and_drawn_stars_are_counted(read, values, numbers):
    ratings = read(plays(*values, rating='rating'), kind='stars')
    assert ratings.rating.tolist() == numbers


@pytest.mark.parametrize(
    'values',
    [
        ['4/5', '8/10'],
        ['4 kg', '4 g'],
        ['4/5', '4'],
        ['4 stars', 'good'],
        ['☆☆☆', '☆'],
        ['★★★', '4'],
        ['2005-09-04', '2005-09-05'],
        ['12:30', '12:31'],
    ],
)
def test_units_that_differ_are_refused(refused, values):
    assert "column 'rating'" in refused(plays(*values, rating='rating'))
    assert 'is not a rating' in refused(plays(*values, rating='rating'))


def test_a_unit_does_not_hide_a_question(read, refused, monkeypatch):
    values = ['1,234 pts', '12 pts', '7 pts']
    assert "decimal=','" in refused(plays(*values, rating='rating'))
    monkeypatch.setattr(reading, 'CHUNK_ROWS', 2)
    assert "decimal=','" in refused(plays(*values, rating='rating'))
    values = [*values[1:], '2 pts', '1,234 pts', '0,5 pts']
    ratings = read(plays(*values, rating='rating'), kind='counts')
    assert ratings.rating.tolist()[3:] == [float(np.float32(1.234)), 0.5]


WORDS = ['good', 'bad', 'fair', 'good', 'good', 'bad', 'fair']


def test_words_are_put_in_order(read, refused, tmp_path):
    text = plays(*WORDS, rating='rating')
    message = refused(text)
    assert "line 2, column 'rating'" in message
    assert "'bad', 'fair', 'good'" in message
    assert "marks='lowest,…,highest'" in message
    for marks in ('bad, fair,good', ['bad', 'fair', 'good']):
        ratings = read(text, marks=marks, kind='stars')
        assert ratings.rating.tolist() == [3, 1, 2, 3, 3, 1, 2]
    assert "line 4, column 'rating': 'fair' is not one of the marks" in refused(
        text, marks='bad,good'
    )
    assert read(text, marks='bad,fair,good').kind == 'stars'
    for wrong in ('good', 'good,good', 'good,,bad', ''):
        assert 'marks=' in refused(text, marks=wrong)
    shards = pytest.importorskip('mf_movielens.shards')
    (tmp_path / 'r.csv').write_text(text)
    written = shards.shard_file(
        tmp_path / 'r.csv', tmp_path / 's', kind='stars', marks='bad,fair,good'
    )
    assert sorted(written.load().rating) == [1, 1, 2, 2, 3, 3, 3]


def test_texts_that_hardly_come_again_are_no_marks(refused):
    values = ['good', 'so-so', 'bad', 'fine', 'odd', 'poor']
    assert "'good' is not a rating" in refused(plays(*values, rating='rating'))


@pytest.mark.parametrize('word', ['NA', '-', '', 'n/a', 'no idea'])
def test_a_word_for_no_rating_is_asked_about(read, refused, word):
    text = plays('4', word, '5', word, '3', rating='rating')
    message = refused(text)
    assert f'say missing={word!r}' in message
    assert "line 3, column 'rating'" in message
    ratings = read(text, missing=word)
    assert len(ratings) == 5
    known = keep_stars(ratings)
    assert known.rating.tolist() == [4, 5, 3]
    assert known.scale == (1, 5)


def test_a_number_for_no_rating_may_be_a_text(read):
    text = plays('4', '-1', '5', '-1', '3', rating='rating')
    for missing in (-1, '-1', '-1,0'):
        assert keep_stars(read(text, missing=missing)).rating.tolist() == [4, 5, 3]


@pytest.mark.parametrize('decimal, first', [(',', 1.125), ('.', 1125)])
def test_the_decimal_sign_counts_beside_a_word_for_no_rating(read, decimal, first):
    text = plays('1,125', 'NA', '2,250', rating='rating')
    found = read(text, decimal=decimal, missing='NA', kind='stars')
    assert found.rating[0] == first


def test_words_that_differ_are_no_word_for_no_rating(refused):
    text = plays('4', 'NA', '5', 'none', '3', rating='rating')
    assert "'NA' is not a rating" in refused(text)


@pytest.mark.parametrize('word', ['NA', '99', '-'])
def test_what_is_missing_in_a_wide_table_is_no_like(read, refused, word):
    rows = [['who', 'x', 'y', 'z'], ['a', 4, word, 1], ['b', word, 3, 5]]
    text = ''.join(';'.join(map(str, row)) + '\n' for row in rows)
    assert 'wide=True' in refused(text)
    assert len(read(text, wide=True, missing=word)) == 4


def test_a_wide_table_without_a_header_does_not_lose_a_row(read, refused):
    text = '1;4;99;99\n2;99;3;5\n3;2;4;99\n'
    assert "has '99' twice" in refused(text, wide=True)
    assert len(read(text, wide=True, header=False, missing=99)) == 5
    assert 'wide=True' in refused('1;4;5;2;3;3\n2;1;3;5;4;2\n')


# What the question for a column says besides


@pytest.mark.parametrize(
    'before, skip',
    [('My books;;\n;;\n', 2), ('My books\n', 1), ('A;B;C\n\nby me;;\n', 3)],
)
def test_the_line_of_a_header_further_down_is_named(read, refused, before, skip):
    text = before + 'member;book;score\n' + 'a;Momo;4\nb;Momo;3\n' * 3
    message = refused(text)
    assert f'if line {skip + 1} is the header, skip={skip}' in message
    ratings = read(text, skip=skip, duplicates='last')
    assert ratings.users.index.tolist() == ['a', 'b']


def test_no_header_further_down_is_made_up(refused):
    text = 'Mitglied;Titel;Note\n' + 'a;Momo;4\nb;Emma;3\n' * 3
    assert 'if it does not belong to the table, skip=1' in refused(text)


def test_headings_are_told_from_rows(refused):
    text = '1:\n7,4,2005-09-04\n8,3,2005-09-05\n2:\n7,1,2005-09-06\n'
    assert "Lines such as '1:' seem to be headings" in refused(text)


def test_a_table_without_names_is_shown(refused):
    message = refused('a - - 4 "x y" 7\nb - - 5 "z" 8\n')
    assert "0: 'a', 1: '-', 2: '-', 3: '4', 4: 'x y', 5: '7'" in message


def test_items_with_ratings_are_no_lists(refused):
    lists = '0 5:1 7:3 9:2 11:5 13:1\n1 5:4\n'
    message = refused(lists, adjacency=True)
    assert "line 1: '5:1' seems to be an item and its rating" in message


WIDE = [['who', 'x', 'y', 'z'], ['a', 4, 5, 1], ['b', 1, 3, 3], ['c', 2, 5, 4]]


@pytest.mark.parametrize('total', [sum, lambda row: sum(row) / 3, len])
def test_totals_of_a_wide_table_are_no_ratings(read, refused, total):
    def text(rows):
        return ''.join(';'.join(map(str, row)) + '\n' for row in rows)

    assert len(read(text(WIDE), wide=True)) == 9
    beside = [[*row, total(row[1:]) if j else 'All'] for j, row in enumerate(WIDE)]
    assert "column 'All' holds the means, sums" in refused(text(beside), wide=True)
    below = ['All', *(total(column) for column in list(zip(*WIDE[1:]))[1:])]
    assert 'line 5 holds the means, sums' in refused(text([*WIDE, below]), wide=True)


def test_people_who_like_all_the_same_are_no_totals(read):
    rows = 'who;x;y;z\n' + ''.join(f'u{j};{j};{j};{j}\n' for j in range(1, 6))
    assert len(read(rows, wide=True)) == 15


# The same on the command line


@pytest.fixture
def train(tmp_path, monkeypatch):
    cli = pytest.importorskip('mf_movielens.cli')
    monkeypatch.setattr(cli, '_run_training', lambda plan, *rest: plans.append(plan))
    plans = []

    def run(text, *words):
        path = tmp_path / 'r.csv'
        path.write_text(text)
        arguments = ['mf-movielens', 'train', str(path), *words]
        monkeypatch.setattr('sys.argv', [*arguments, '--out', str(tmp_path / 'out')])
        try:
            cli.main()
        except SystemExit as e:
            assert e.code in (0, None)
        return plans.pop().data.ratings

    return run


@pytest.mark.parametrize(
    'text, words, n',
    [
        (plays('1,234', rating='rating'), ['--decimal', ','], 1),
        (plays('1,234', rating='rating'), ['--thousands', ','], 1),
        (tsv('Up', '"Heroes', 'Low', 'Lodger'), ['--quoting', 'none'], 4),
        ('anna,"a\nb"\n', ['--rating-column', 'none', '--no-header'], 1),
        ('0,1,2\n0,3,4\n', ['--header'], 1),
        ('0,1,2\n0,3,4\n', ['--no-header'], 2),
        ('x\n# y\n5,6,4\n', ['--skip', '1', '--comment', '#'], 1),
        ('reader,Momo,Emma\nanna,4,\nben,3,5\n', ['--wide'], 3),
        ('anna Momo Emma\nben Momo\n', ['--adjacency'], 3),
        (LIKES.replace(',', ' '), ['--rating-column', 'none'], 3),
        (plays(*WORDS, rating='rating'), ['--marks', 'bad,fair,good'], 7),
        (plays('4', 'NA', 'NA', rating='rating'), ['--missing', 'NA'], 3),
        (plays('4', '', '', rating='rating'), ['--missing', ''], 3),
        (plays('4', '-1', '-1', rating='rating'), ['--missing', '-1'], 3),
        (plays('4', 'none', 'none', rating='rating'), ['--missing', 'none'], 3),
    ],
)
def test_the_command_line_has_the_options(train, text, words, n):
    assert len(train(text, *words)) == n


@pytest.mark.parametrize(
    'text, words, answers',
    [
        (plays('1,234', rating='rating'), [], ['--decimal ,', '--thousands ,']),
        (tsv('"Up', 'Low', 'Lodger"'), [], ['--quoting none', '--quoting minimal']),
        ('0,1,2\n0,3,4\n', [], ['--header or --no-header']),
        ('a,b\nc,d\n', ['--rating-column', 'none'], ['--no-header', '--skip 1']),
        ('# x\nuser,item,rating\n1,2,3\n', [], ["--comment '#'"]),
        ('r,a,b,c\n1,4,4,4\n', [], ['--wide']),
        ('anna Momo Emma\nben Momo\n', [], ['--adjacency']),
        ('1,2,880000001\n', [], ['--rating-column none', '--kind counts']),
        (plays(*WORDS, rating='rating'), [], ["--marks 'lowest,…,highest'"]),
        (plays('4', '-', '-', rating='rating'), [], ['--missing -']),
        (plays('4', '', '', rating='rating'), [], ["--missing ''"]),
        ('Mine,,\nuser,item,rating\na,x,4\nb,x,3\n', [], ['--skip 1']),
    ],
)
def test_a_question_names_the_options(train, capsys, text, words, answers):
    with pytest.raises(AssertionError):
        train(text, *words)
    message = capsys.readouterr().err
    assert all(answer in message for answer in answers), message


def test_the_first_part_of_a_file_may_end_within_a_row(tmp_path):
    # Separators are counted in the first 65,536 letters.
    rows = [f'{"u" * 330}{k % 7} {"i" * 330}{k} {1 + k % 5}' for k in range(150)]
    path = tmp_path / 'long.txt'
    path.write_text('\n'.join(['user item rating', *rows, '']))
    assert len(load_ratings(path, say=None)) == 150
