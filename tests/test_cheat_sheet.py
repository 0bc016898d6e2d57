"""Every line of the cheat sheet runs, in Python and on the command line."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

SHEET = Path(__file__).resolve().parent.parent / 'docs/cheat_sheet.md'
TEXT = SHEET.read_text(encoding='utf-8')
ITEMS = ['Momo', 'Krabat', 'Ruhm', 'Malina', 'Tschick', 'Emma']
USERS = ['anna', 'ben', 'cara', 'dora']


def rows() -> list[tuple[str, str, str]]:
    """The rows of all tables: task, Python and command."""
    cells = [
        [cell.strip() for cell in line.strip('|').split(' | ')]
        for line in TEXT.splitlines()
        if line.startswith('| ') and not line.startswith('| task')
    ]
    assert all(len(row) == 3 for row in cells)
    return [tuple(cell.strip('| ') for cell in row) for row in cells]


def code(cell: str) -> str | None:
    """What a cell holds in backquotes, if that is all that it holds."""
    found = re.fullmatch(r'`(.*)`', cell)
    return found[1] if found else None


def write_tables(folder: Path) -> None:
    """Write a reading circle of 40 readers and 30 books, as the sheet names it."""
    rng = np.random.default_rng(0)
    users = np.array(USERS + [f'reader{j}' for j in range(36)])
    items = np.array(ITEMS + [f'Heft {j}' for j in range(24)])
    u, i = np.nonzero(rng.random((40, 30)) < 0.6)
    liking = rng.choice([-1, 1], 40)[u] * rng.choice([-1, 1], 30)[i]
    stars = np.clip(np.round(3 + 1.2 * liking + rng.normal(0, 0.5, len(u))), 1, 5)
    table = pd.DataFrame({'user': users[u], 'item': items[i], 'rating': stars})
    part = rng.random(len(table))
    test, new, train = table[part < 0.1], table[part > 0.95], table[part <= 0.95]
    train = train[part[part <= 0.95] >= 0.1]
    mine = (train.user == 'anna') & (train.item == 'Malina')
    train[~mine].to_csv(folder / 'ratings.csv', index=False)
    test.to_csv(folder / 'test.csv', index=False)
    new.to_csv(folder / 'new.csv', index=False)
    train[['user', 'item']].to_csv(folder / 'likes.csv', index=False)
    names = {'user': 'who', 'item': 'what', 'rating': 'mark'}
    train.rename(columns=names).to_csv(folder / 'circle.csv', index=False)
    genre = np.where(np.arange(30) % 2, 'Novel', 'Comic')
    books = pd.DataFrame({'item': items, 'genre': genre})
    books.to_csv(folder / 'books.csv', index=False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the sheet names, which is the current one."""
    write_tables(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_python(lines: list[str]) -> dict[str, object]:
    """Run lines one after the other; what each of them gives, by line."""
    names: dict[str, object] = {}
    results: dict[str, object] = {}
    for line in lines:
        try:
            results[line] = eval(line, names)
        except SyntaxError:
            exec(line, names)
    return results


def python_lines() -> list[str]:
    """All of the sheet's Python, in order."""
    (block,) = re.findall(r'```python\n(.*?)```', TEXT, re.S)
    cells = [code(python) for _, python, _ in rows()]
    assert None not in cells
    return [*block.splitlines(), *map(str, cells)]


def commands() -> list[str]:
    """All of the sheet's commands, in order."""
    found = [code(command) for _, _, command in rows()]
    return [command for command in found if command]


def test_the_sheet_is_long_enough() -> None:
    assert len(rows()) > 30
    # what has no command says so: saving, and one user
    assert len(commands()) == len(rows()) - 2
    assert all(command.startswith('mf-movielens ') for command in commands())


def test_all_python_runs(folder: Path, capsys: pytest.CaptureFixture) -> None:
    results = run_python(python_lines())
    assert len(results["model.recommend('anna', k=5)"]) == 5
    assert len(results["model.evaluate(load_ratings('test.csv'), k=[5, 10, 20])"])
    assert 'Ruhm' not in results["model.recommend('anna', exclude=['Ruhm'])"].item
    assert 1 <= results["stars.predict('anna', 'Malina')"] <= 5


def test_all_commands_run_and_agree_with_python(folder: Path, call) -> None:
    for command in commands():
        status, out, err = call(*shlex.split(command)[1:])
        assert status == 0, f'{command}\n{out}\n{err}'
        if command == 'mf-movielens recommend anna -k 5':
            printed = out
    first = 'model = Recommender.fit(ratings)'
    lines = [line for line in python_lines() if '= load' in line or 'import' in line]
    names = run_python([*lines[:2], first, "model.recommend('anna', k=5)"])
    expected = names["model.recommend('anna', k=5)"]
    lines = printed.splitlines()[-len(expected) :]
    for line, row in zip(lines, expected.itertuples(), strict=True):
        *words, score = line.split()
        assert ' '.join(words[1:]) == row.item
        assert float(score) == pytest.approx(row.score, abs=1e-3)
