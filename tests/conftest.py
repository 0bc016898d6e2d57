import io, os, signal, time, zipfile
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile(
    'patient', deadline=None
)  # machines are shared; what is slow is measured elsewhere
settings.load_profile('patient')
signal.signal(
    signal.SIGINT, signal.default_int_handler
)  # also if the tests run in the background of a shell, where it is ignored; programs that they start would inherit that


@pytest.fixture
def home(tmp_path, monkeypatch):
    "An empty archive folder of the test's own; the network is left alone."
    folder = tmp_path / 'home'
    folder.mkdir()
    monkeypatch.setenv('MF_MOVIELENS_HOME', str(folder))
    monkeypatch.delenv('MF_MOVIELENS_OFFLINE', raising=False)
    return folder


@pytest.fixture
def real_archive():
    "The path of the real ml-100k.zip."
    path = Path(os.environ.get('MF_MOVIELENS_HOME', ''), 'ml-100k.zip')
    if not path.is_file():
        pytest.skip(
            'real MovieLens 100K is not here: name its folder in MF_MOVIELENS_HOME'
        )
    return path


@pytest.fixture
def archive():
    "The bytes of a small archive in the CSV format: 3 ratings, 2 users, 2 films."
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, 'w') as z:
        z.writestr(
            'small/ratings.csv',
            'userId,movieId,rating,timestamp\n1,10,4.0,1\n1,20,3.5,2\n2,10,5.0,3\n',
        )
        z.writestr(
            'small/movies.csv',
            'movieId,title,genres\n10,A (1994),Drama\n20,B (1995),Comedy|Drama\n',
        )
    return raw.getvalue()


@pytest.fixture
def kill_and_resume():
    "A function that starts a fit again and again, kills it three times after a round, and lets it end."

    def run(start, checkpoint, out):
        kills = 0
        while not out.exists():
            p = start(checkpoint, out)
            seen = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
            while p.poll() is None and kills < 3:
                if checkpoint.exists() and checkpoint.stat().st_mtime_ns > seen:
                    time.sleep(0.15)
                    p.kill()
                    kills += 1
                    break
                time.sleep(0.01)
            p.communicate(timeout=120)
        assert kills == 3

    return run
