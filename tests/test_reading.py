"Files in any shape: what is written can be read, and what cannot be read is said."
import gzip, io

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import mf_movielens.reading as reading
from mf_movielens.encoding import RatingsError
from mf_movielens.reading import load_ratings

text = st.text(st.characters(blacklist_categories=('Cs', 'Cc')), min_size=1, max_size=12).filter(lambda s: s == s.strip())
quiet = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quiet
@given(users=st.lists(text, min_size=2, max_size=5, unique=True), items=st.lists(text, min_size=2, max_size=5, unique=True),
       sep=st.sampled_from([',', ';', '\t', '|']), encoding=st.sampled_from(['utf-8', 'utf-8-sig', 'utf-16']), newline=st.sampled_from(['\n', '\r\n']), stars=st.randoms())
def test_what_is_written_is_read(tmp_path, users, items, sep, encoding, newline, stars):
    table = pd.DataFrame([(u, i, stars.randrange(1, 11) / 2) for u in users for i in items], columns=['user', 'item', 'rating'])
    path = tmp_path / 'r.csv'
    table.to_csv(path, sep=sep, encoding=encoding, index=False, lineterminator=newline, quoting=2)
    found = load_ratings(path, say=None).to_frame()
    assert found.user_id.astype(str).tolist() == table.user.tolist() and found.item_id.astype(str).tolist() == table.item.tolist()
    assert found.rating.tolist() == table.rating.tolist()


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300) | st.text('01239.,;|\t\n"abcü \r:-', max_size=300).map(str.encode))
def test_any_bytes_are_ratings_or_a_reason(tmp_path, raw):
    path = tmp_path / 'r.csv'
    path.write_bytes(raw)
    try: found = load_ratings(path, say=None)
    except RatingsError: pass
    else: assert len(found) > 0 and np.isfinite(found.rating).all()


@pytest.mark.parametrize('suffix', ['.parquet', '.gz'])
def test_any_bytes_in_other_formats(tmp_path, suffix):
    for raw in (b'', b'PAR1', b'\x1f\x8b\x08\x00', b'PAR1' + bytes(50) + b'PAR1', gzip.compress(b'user,item,rating\na,b,1\n')[:-5]):
        (tmp_path / f'r{suffix}').write_bytes(raw)
        with pytest.raises(RatingsError): load_ratings(tmp_path / f'r{suffix}', say=None)


def test_parquet_and_gzip(tmp_path):
    table = pd.DataFrame({'user': ['a', 'b'], 'item': [1, 2], 'rating': [4., 3.5], 'date': pd.to_datetime(['2024-03-01', '2024-03-02'])})
    table.to_parquet(tmp_path / 'r.parquet')
    found = load_ratings(tmp_path / 'r.parquet', say=None)
    assert found.scale == (.5, 5) and found.timestamp.tolist() == [1709251200, 1709337600]
    (tmp_path / 'r.csv.gz').write_bytes(gzip.compress(table.to_csv(index=False).encode()))
    assert load_ratings(tmp_path / 'r.csv.gz', say=None).fingerprint == found.fingerprint


def test_a_long_file_is_read_in_pieces(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    pairs = rng.permutation(100 * 80)
    table = pd.DataFrame({'user': pairs // 80, 'item': [f'i{p % 80:03d}' for p in pairs], 'rating': rng.integers(1, 6, len(pairs))})
    table.to_csv(tmp_path / 'r.csv', index=False)
    whole = load_ratings(tmp_path / 'r.csv', say=None)
    monkeypatch.setattr(reading, 'PIECE', 999)
    assert load_ratings(tmp_path / 'r.csv', say=None).fingerprint == whole.fingerprint
    (tmp_path / 'r.csv').write_text((tmp_path / 'r.csv').read_text() + 'x,y,good\n')
    with pytest.raises(RatingsError, match="line 8002.*'good'"): load_ratings(tmp_path / 'r.csv', say=None)


def test_says_what_it_took(tmp_path, capsys):
    (tmp_path / 'r.csv').write_text('user;item;rating\na;x;4,5\n')
    said = []
    load_ratings(tmp_path / 'r.csv', say=said.append)
    assert capsys.readouterr().out == '' and len(said) == 1
    assert all(word in said[0] for word in ('semicolons', "'user'", "'item'", "'rating'", '0.5 to 5'))


def test_a_title_with_a_separator_in_it_is_not_cut_silently(tmp_path):
    (tmp_path / 'r.csv').write_text('user,item,rating,title\na,1,4,Good, the Bad\nb,2,3,Up\n')
    with pytest.raises(RatingsError, match='line 2'): load_ratings(tmp_path / 'r.csv', say=None)


def test_the_frame_that_is_given_stays_as_it_is():
    table = pd.DataFrame({'user': ['a', 'b'], 'item': ['x', 'y'], 'rating': ['4,5', '3']})
    before = table.copy()
    load_ratings(table, say=None)
    pd.testing.assert_frame_equal(table, before)


CELLS = st.sampled_from(['1', '2', '3', '12', '007', '0', '-4', '-0', '+5', ' 6', '7 ', '5.0', '4,5', '4.5', 'x', '', '1e3', 'nan', 'inf', '"8"', '999999999999999999', '9999999999999999999', 'True', '1_0'])
LINES = st.lists(st.tuples(CELLS, CELLS, st.sampled_from(['1', '4.50', '.5', '3', '', 'inf', 'good', '02']), st.sampled_from(['880000001', '880000001000', '0', '2024-03-01', '', '08'])), min_size=1, max_size=6)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=LINES, sep=st.sampled_from([',', ';', '\t']), header=st.booleans(), end=st.sampled_from(['\n', '\r\n']))
def test_numbers_read_as_numbers_are_the_same_as_by_way_of_text(tmp_path, monkeypatch, lines, sep, header, end):
    path = tmp_path / 'a.csv'
    path.write_text(end.join([sep.join(['user', 'item', 'rating', 'timestamp'])] * header + [sep.join(line) for line in lines]) + end, newline='')

    def result():
        try: return load_ratings(path, duplicates='last', say=None)
        except RatingsError as e: return str(e)
    quick = result()
    with monkeypatch.context() as m:
        m.setattr(reading, '_typed', lambda *args: None)
        careful = result()
    if isinstance(careful, str): assert isinstance(quick, str) and quick.split(':')[0] == careful.split(':')[0]
    else:
        assert quick.fingerprint == careful.fingerprint
        assert (quick.timestamp is None) == (careful.timestamp is None) and (quick.timestamp is None or (quick.timestamp == careful.timestamp).all())
