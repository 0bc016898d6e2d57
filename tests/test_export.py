"""Vectors for an index, and everybody's recommendations in a file."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import load_npz

from mf_movielens import export
from mf_movielens.encoding import Ratings, UnknownIdError, Vocabulary
from mf_movielens.export import to_vectors
from mf_movielens.factors import Factors
from mf_movielens.recommender import Recommender
from mf_movielens.storage import write_table

pytest.importorskip('pyarrow')

SETTINGS = {
    'ials': {'n_factors': 8},
    'als': {'n_factors': 8, 'reg': 0.01, 'factor_damping': 0.1},
    'ease': {},
    'knn': {'n_neighbors': 7},
    'blend': {'n_factors': 8},
    'bayes': {'n_factors': 2, 'n_burn_in': 1, 'n_samples': 3, 'progress': False},
}


@pytest.fixture(scope='module')
def ratings():
    rng = np.random.default_rng(2)
    n_users, n_items, n = 150, 400, 9000
    user, item = np.divmod(rng.permutation(n_users * n_items)[:n], n_items)
    taste = rng.normal(size=(n_users, 4)) @ rng.normal(size=(4, n_items))
    level = 3 + 0.8 * taste[user, item] / 2 + rng.normal(size=n_items)[item] * 0.5
    columns = {
        'user': [f'u{x}' for x in user],
        'item': item + 1000,
        'rating': np.clip(np.round(level), 1, 5),
    }
    titles = {i + 1000: f'Title "{i}", the 1ˢᵗ' for i in range(n_items)}
    return Ratings.from_frame(pd.DataFrame(columns), scale=(1, 5), titles=titles)


@pytest.fixture(scope='module')
def models(ratings):
    return {s: Recommender.fit(ratings, s, **SETTINGS[s]) for s in SETTINGS}


@pytest.fixture(scope='module')
def folders(models, tmp_path_factory):
    home = tmp_path_factory.mktemp('export')
    return {s: m.export(home / s) for s, m in models.items() if s != 'bayes'}


def read(folder):
    about = json.loads((folder / 'export.json').read_text(encoding='utf-8'))
    tables = {n: pd.read_parquet(folder / f'{n}.parquet') for n in ('items', 'users')}
    arrays = {
        path.stem: np.load(path) if path.suffix == '.npy' else load_npz(path).toarray()
        for path in folder.iterdir()
        if path.suffix in ('.npy', '.npz')
    }
    return about, tables, arrays


@pytest.mark.parametrize('solver', ['ials', 'als', 'blend'])
def test_what_is_written_is_what_is_told(models, folders, solver):
    model = models[solver]
    about, tables, arrays = read(folders[solver])
    for name, ids in (('items', model.items), ('users', model.users)):
        array, table = arrays[name], tables[name]
        assert array.dtype == np.float32 and array.flags.c_contiguous
        assert array.shape == (len(ids), 9) == (about[name], about['dimensions'])
        assert table[name[:-1]].tolist() == ids.index.tolist()
        assert table.row.tolist() == list(range(len(ids)))
        assert np.array_equal(np.stack(table.vector), array)
    assert tables['items'].title.tolist() == model.titles.tolist()
    assert tables['items'].ratings.tolist() == model.item_counts.tolist()
    assert tables['users'].ratings.tolist() == np.diff(model.seen.indptr).tolist()
    assert about['metric'] == 'inner product' and about['normalized'] is False
    files = {p.name for p in folders[solver].iterdir()}
    assert files == {*about['files'], 'README.md'}
    readme = (folders[solver] / 'README.md').read_text(encoding='utf-8')
    assert all(name in readme for name in about['files'])
    assert 'inner product' in readme


@pytest.mark.parametrize('solver', ['ials', 'als'])
def test_inner_products_are_the_scores(models, folders, solver):
    model = models[solver]
    about, tables, arrays = read(folders[solver])
    products = arrays['users'] @ arrays['items'].T
    scores = model.predictor.scores(np.arange(150))
    offset = tables['users'].offset.to_numpy()[:, None]
    assert np.allclose(products + offset, scores, atol=1e-5)
    if solver == 'als':
        # The biases are large here: without them this is another order.
        assert model.predictor.item_bias.std() > 0.15
        low, high = model.predictor.scale
        item_ix, user_ix = np.arange(400), np.full(400, 3)
        predicted = model.predictor.predict(user_ix, item_ix)
        told = np.clip(products[3] + offset[3], low, high)
        assert np.allclose(told, predicted, atol=1e-5)
        assert about['rating'].endswith('at least 1 and at most 5')
    else:
        assert (offset == 0).all() and 'rating' not in about


def test_a_sigmoid_is_told():
    rng = np.random.default_rng(0)
    tables = rng.normal(size=(3, 2)), rng.normal(size=(5, 2))
    factors = Factors(
        0.2, rng.normal(size=3), rng.normal(size=5), *tables, (1, 5), 'sigmoid'
    )
    vectors = to_vectors(factors)
    x = vectors.users @ vectors.items.T + vectors.offset[:, None]
    expected = [[factors.predict(u, i) for i in range(5)] for u in range(3)]
    assert np.allclose(1 + (5 - 1) / (1 + np.exp(-x)), expected, atol=1e-5)
    about = export._contents_of(factors).about
    assert about['rating'].endswith('1 + (5 - 1) / (1 + exp(-x))')


@pytest.mark.parametrize('solver', ['ease', 'knn', 'blend'])
def test_weights_give_the_scores(models, folders, solver):
    model = models[solver]
    about, tables, arrays = read(folders[solver])
    rated = model.seen[[5]].toarray()[0]
    target = np.where(rated > 0, (rated - 1) / 4, 0)
    assert about['target'] == '(rating - 1) / (5 - 1)'
    score = target @ arrays['weights'] + tables['items'].bias.to_numpy()
    if solver == 'blend':
        share = model.predictor.weight
        of_vectors = arrays['items'] @ arrays['users'][5]
        score = (1 - share) * of_vectors + share * score
        assert about['score'].startswith(f'{1 - share:g} * a + {share:g} * b')
    else:
        assert 'users' not in arrays and 'vector' not in tables['users']
    assert np.allclose(score, model.predictor.scores(5), atol=1e-4)
    suffix = 'npz' if solver == 'knn' else 'npy'
    assert (folders[solver] / f'weights.{suffix}').exists()


def test_a_bayesian_model_says_what_to_do_instead(models, tmp_path):
    with pytest.raises(ValueError, match='recommend_all.*by als or ials'):
        models['bayes'].export(tmp_path / 'v')
    assert list(tmp_path.iterdir()) == []
    path = models['bayes'].recommend_all(tmp_path / 'top.parquet', k=3)
    expected = models['bayes'].recommend(k=3)
    pd.testing.assert_frame_equal(pd.read_parquet(path), expected, check_dtype=False)


def test_a_folder_is_written_whole_or_not_at_all(models, tmp_path, monkeypatch):
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'notes').write_text('keep me')
    with pytest.raises(FileExistsError, match='exists already'):
        models['ials'].export(tmp_path / 'mine')

    def fail(*args, **kwargs):
        raise OSError('the disk is full')

    monkeypatch.setattr(export, '_readme', fail)
    with pytest.raises(OSError, match='full'):
        models['ials'].export(tmp_path / 'new')
    assert [path.name for path in tmp_path.rglob('*')] == ['mine', 'notes']
    with pytest.raises(FileNotFoundError, match='no such folder'):
        models['ials'].export(tmp_path / 'none' / 'new')


def test_rows_are_written_in_parts(models, folders, tmp_path, monkeypatch):
    monkeypatch.setattr(export, '_ROWS_AT_ONCE', 7)
    _, tables, _ = read(models['als'].export(tmp_path / 'v'))
    _, expected, _ = read(folders['als'])
    for name in tables:
        pd.testing.assert_frame_equal(tables[name], expected[name])


def test_text_ids_and_no_titles(tmp_path):
    frame = pd.DataFrame({'user': [1, 1, 2], 'item': ['ä', 'b', 'ä'], 'rating': 1.0})
    model = Recommender.fit(Ratings.from_frame(frame), n_factors=2)
    _, tables, _ = read(model.export(tmp_path / 'v'))
    assert tables['items']['item'].tolist() == ['ä', 'b']
    assert tables['users'].user.tolist() == [1, 2]
    assert 'title' not in tables['items']


def test_items_without_ratings_are_exported_too(tmp_path):
    frame = pd.DataFrame({'user': [1, 1, 2], 'item': [7, 8, 7], 'rating': 1.0})
    ratings = Ratings.from_frame(frame, items=Vocabulary([7, 8, 9]))
    model = Recommender.fit(ratings, n_factors=2)
    _, tables, _ = read(model.export(tmp_path / 'v'))
    assert tables['items']['item'].tolist() == [7, 8, 9]
    assert tables['items'].ratings.tolist() == [2, 1, 0]


def search_with_faiss(model, folder, make_index, k=10):
    """Share of the recommendations that an index of faiss finds."""
    _, tables, arrays = read(folder)
    index = make_index(arrays['items'].shape[1])
    index.add(arrays['items'])
    n_seen = np.diff(model.seen.indptr)
    _, found = index.search(arrays['users'], int(n_seen.max()) + k)
    lists = model.recommend(k=k).groupby('user')['item'].agg(list)
    ids, n_found = tables['items']['item'].to_numpy(), 0
    for row, user in enumerate(tables['users'].user):
        unseen = found[row][~np.isin(found[row], model.seen[[row]].indices)][:k]
        n_found += len({*ids[unseen]} & {*lists[user]})
    return n_found / (k * len(model.users))


@pytest.mark.parametrize('solver', ['ials', 'als'])
def test_an_index_finds_what_is_recommended(models, folders, solver):
    faiss = pytest.importorskip('faiss')
    faiss.omp_set_num_threads(1)
    model, folder = models[solver], folders[solver]
    assert search_with_faiss(model, folder, faiss.IndexFlatIP) > 0.999

    def approximate(d):
        index = faiss.IndexHNSWFlat(d, 32, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction, index.hnsw.efSearch = 200, 200
        return index

    assert search_with_faiss(model, folder, approximate) > 0.98


@pytest.mark.parametrize('solver', ['ials', 'als', 'blend'])
def test_a_sort_of_inner_products_finds_what_is_recommended(models, folders, solver):
    """The same without an index; for a blend, what the file says of weights."""
    model = models[solver]
    _, tables, arrays = read(folders[solver])
    scores = arrays['users'] @ arrays['items'].T
    if solver == 'blend':
        targets = np.where(model.seen.toarray() > 0, (model.seen.toarray() - 1) / 4, 0)
        others = targets @ arrays['weights'] + tables['items'].bias.to_numpy()
        scores = 0.75 * scores + 0.25 * others
    scores[model.seen.nonzero()] = -np.inf
    # A stored zero would not be found by `nonzero`; there is none on this scale.
    best = np.argsort(-scores, kind='stable')[:, :10]
    lists = model.recommend(k=10).groupby('user')['item'].agg(list)
    ids = tables['items']['item'].to_numpy()
    same = [
        ids[best[row]].tolist() == lists[u] for row, u in enumerate(model.users.index)
    ]
    assert np.mean(same) > 0.97


@pytest.mark.parametrize('suffix', ['parquet', 'csv'])
def test_everybody_in_blocks(models, tmp_path, monkeypatch, suffix):
    model = models['als']
    expected = model.recommend(k=6)
    asked = []
    original = Recommender.recommend

    def spy(self, users, *args, **kwargs):
        asked.append(len(users))
        return original(self, users, *args, **kwargs)

    monkeypatch.setattr(Recommender, 'recommend', spy)
    monkeypatch.setattr(export, '_USERS_IN_BLOCK', 40)
    path = model.recommend_all(tmp_path / f'top.{suffix}', k=6)
    assert asked == [40, 40, 40, 30]
    found = pd.read_parquet(path) if suffix == 'parquet' else pd.read_csv(path)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_some_users_and_candidates(models, tmp_path):
    model, path = models['ials'], tmp_path / 'top.parquet'
    users, items = ['u7', 'u3'], [1001, 1005, 1009, 1100]
    model.recommend_all(path, 3, users=users, candidates=items, exclude_seen=False)
    expected = model.recommend(users, 3, exclude_seen=False, candidates=items)
    pd.testing.assert_frame_equal(pd.read_parquet(path), expected, check_dtype=False)
    ruled = model.recommend_all(path, 3, exclude=items, diversity=0.3)
    expected = model.recommend(k=3, exclude=items, diversity=0.3)
    pd.testing.assert_frame_equal(pd.read_parquet(ruled), expected, check_dtype=False)
    assert not expected['item'].isin(items).any()
    before = path.read_bytes()
    for wrong in ({'users': ['u7', 'nobody']}, {'candidates': [5]}):
        with pytest.raises(UnknownIdError):
            model.recommend_all(path, **wrong)
    with pytest.raises(ValueError, match='one item or more'):
        model.recommend_all(path, k=0)
    assert path.read_bytes() == before
    assert len(pd.read_parquet(model.recommend_all(path, users=[]))) == 0


def test_an_unknown_user_is_found_before_the_work(models, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(Recommender, 'recommend', lambda *args, **kw: asked.append(1))
    with pytest.raises(UnknownIdError):
        models['ials'].recommend_all(tmp_path / 'top.csv', users=['u7', 'nobody'])
    assert not asked


def test_who_has_rated_everything_gets_no_row(tmp_path):
    frame = pd.DataFrame({'user': list('aab'), 'item': [1, 2, 1], 'rating': 1.0})
    model = Recommender.fit(Ratings.from_frame(frame), n_factors=1)
    path = model.recommend_all(tmp_path / 'top.parquet')
    assert pd.read_parquet(path).user.tolist() == ['b']
    path = model.recommend_all(tmp_path / 'none.parquet', users=['a'])
    assert len(pd.read_parquet(path)) == 0


def test_blocks_of_parquet_have_the_types_of_the_first(tmp_path):
    first = pd.DataFrame({'user': [1], 'title': ['Heat'], 'score': [0.5]})
    second = pd.DataFrame({'user': [2], 'title': [None], 'score': [1]})
    found = pd.read_parquet(write_table(tmp_path / 'top.parquet', [first, second]))
    assert found.user.tolist() == [1, 2]
    assert found.score.tolist() == [0.5, 1]
    assert found.title.isna().tolist() == [False, True]


def test_a_table_is_written_whole_or_not_at_all(tmp_path):
    def blocks():
        yield pd.DataFrame({'a': [1]})
        raise RuntimeError('stop')

    for name in ('t.csv', 't.parquet'):
        path = write_table(tmp_path / name, pd.DataFrame({'a': [5]}))
        before = path.read_bytes()
        with pytest.raises(RuntimeError):
            write_table(path, blocks())
        assert path.read_bytes() == before
    assert len([*tmp_path.iterdir()]) == 2


@pytest.fixture
def model_file(models, tmp_path):
    return models['als'].save(tmp_path / 'model.npz')


def test_the_command_exports(call, models, model_file, tmp_path):
    code, output, errors = call('export', model_file, 'vectors')
    assert (code, errors) == (0, '')
    assert output.startswith('wrote vectors: README.md, items.npy')
    items = np.load(tmp_path / 'vectors' / 'items.npy')
    assert np.array_equal(items, to_vectors(models['als'].predictor).items)
    code, output, _ = call('export', model_file, 'again', '--json')
    assert code == 0 and json.loads(output)['dimensions'] == 9
    code, _, errors = call('export', model_file, 'vectors')
    assert code == 1 and 'exists already' in errors and errors.count('\n') == 1


def test_the_command_says_what_cannot_be_exported(call, models, tmp_path):
    path = models['bayes'].save(tmp_path / 'bayes.npz')
    code, _, errors = call('export', path, 'vectors')
    assert code == 2 and 'recommend --out top.parquet' in errors
    assert not (tmp_path / 'vectors').exists()


@pytest.mark.parametrize('name', ['top.csv', 'top.parquet'])
def test_the_command_recommends_to_everybody(call, models, model_file, tmp_path, name):
    words = ['recommend', '--model', model_file, '--out', name, '-k', 4]
    code, output, errors = call(*words)
    assert (code, output, errors) == (0, f'wrote {name}\n', '')
    read_table = pd.read_csv if name.endswith('csv') else pd.read_parquet
    expected = models['als'].recommend(k=4)
    pd.testing.assert_frame_equal(
        read_table(tmp_path / name), expected, check_dtype=False
    )
    words[-1] = 200
    excluded = call(*words, 'u9', '--exclude', 'id:1001')
    assert excluded[0] == 0 and 1001 not in read_table(tmp_path / name)['item'].tolist()
    code, output, _ = call(*words, 'u9', 'u4', '--include-seen', '--json')
    assert json.loads(output) == {'file': name}
    expected = models['als'].recommend(['u9', 'u4'], 200, exclude_seen=False)
    pd.testing.assert_frame_equal(
        read_table(tmp_path / name), expected, check_dtype=False
    )


@pytest.mark.parametrize(
    'words, message',
    [
        ([], 'name users; or a file for everybody, with --out'),
        (['--out', 'top.txt'], 'ends in .parquet or .csv'),
        (['--out', 'none/top.csv'], 'there is no such folder'),
        (['nobody', '--out', 'top.csv'], "'nobody'"),
    ],
)
def test_the_command_refuses_what_makes_no_sense(
    call, model_file, tmp_path, words, message
):
    code, _, errors = call('recommend', '--model', model_file, *words)
    assert code in (1, 2) and message in errors and errors.count('\n') == 1
    assert not (tmp_path / 'top.csv').exists()
