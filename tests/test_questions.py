"""The code of the page of questions runs, in Python and on the command line."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from test_cheat_sheet import run_python, write_tables

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / 'docs/questions.md').read_text(encoding='utf-8')


def lines_of(language: str) -> list[str]:
    """The lines of all blocks of a language."""
    blocks = re.findall(rf'```{language}\n(.*?)```', TEXT, re.S)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def answers() -> dict[str, str]:
    """The text below each question."""
    parts = re.split(r'^### (.*)$', TEXT, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the page names, which is the current one."""
    write_tables(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_question_has_an_answer() -> None:
    assert len(answers()) > 15
    for question, answer in answers().items():
        assert question.endswith('?')
        assert len(re.sub(r'\*Asked.*?\*\n', '', answer).split()) > 5, question


def test_python_of_the_answers_runs(folder: Path) -> None:
    results = run_python(lines_of('python'))
    assert 1 <= results["stars.predict('anna', 'Malina')"] <= 5
    few = "model.recommend('anna', candidates=['Malina', 'Emma', 'Ruhm'], "
    assert len(results[f'{few}exclude_seen=False)']) == 3


def test_commands_of_the_answers_run(folder: Path, call) -> None:
    assert len(lines_of('sh')) >= 12
    for command in lines_of('sh'):
        status, out, err = call(*shlex.split(command)[1:])
        assert status == 0, f'{command}\n{out}\n{err}'
