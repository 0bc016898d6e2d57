"""What the comparison with known vulnerabilities says of what it could not check."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.append(str(Path(__file__).resolve().parent.parent / 'tools'))
import audit

HOLE = {'id': 'CVE-2026-1', 'fix_versions': ['2.1']}


def package(name, *holes):
    return {'name': name, 'version': '2.0', 'vulns': list(holes)}


def unknown(name):
    return {'name': name, 'skip_reason': f'Dependency not found on PyPI: {name}'}


@pytest.fixture
def run_audit(monkeypatch, capsys):
    """Run the tool with given answers of the databases: exit code and output."""
    monkeypatch.delenv('GITHUB_ACTIONS', raising=False)

    def run(**answers):
        def pip_audit(command, **options):
            answer = answers[command[command.index('-s') + 1]]
            if isinstance(answer, str):
                return SimpleNamespace(stdout='', stderr=f'Traceback\n{answer}\n')
            return SimpleNamespace(stdout=json.dumps({'dependencies': answer}))

        monkeypatch.setattr(audit.subprocess, 'run', pip_audit)
        monkeypatch.setattr(sys, 'argv', ['audit.py', 'site-packages'])
        try:
            audit.main()
        except SystemExit as end:
            return end.code, capsys.readouterr().out
        return 0, capsys.readouterr().out

    return run


def test_each_gap_has_a_line(run_audit):
    code, out = run_audit(
        pypi=[package('keras'), unknown('own'), unknown('other')],
        osv=[package('keras'), package('other'), unknown('own')],
    )
    assert code == 0
    assert out.splitlines() == [
        'pypi: 1 of 3 packages checked; it does not know other, own',
        'osv: 2 of 3 packages checked; it does not know own',
        '2 packages without known vulnerabilities',
        'checked in no database: own',
    ]


def test_one_database_is_enough_and_the_other_is_named(run_audit):
    code, out = run_audit(pypi=[package('keras')], osv='no such host')
    assert code == 0
    assert out.splitlines()[1:] == [
        'osv: not reached: no such host',
        '1 packages without known vulnerabilities',
        'checked in no database: none',
    ]


@pytest.mark.parametrize('known_to', ['pypi', 'osv'])
def test_a_vulnerability_that_one_database_knows_is_found(run_audit, known_to):
    answers = {'pypi': [unknown('keras')], 'osv': [package('keras')]}
    code, _ = run_audit(**answers | {known_to: [package('keras', HOLE)]})
    assert code == 'known vulnerabilities:\nkeras 2.0: CVE-2026-1, fixed in 2.1'


def test_when_nothing_is_checked_that_is_said_and_on_github_refused(
    run_audit, monkeypatch
):
    answers = {'pypi': [unknown('keras')], 'osv': 'no such host'}
    code, out = run_audit(**answers)
    assert code == 0
    assert out.splitlines() == [
        'pypi: knows none of 1 packages',
        'osv: not reached: no such host',
        'SKIPPED: no package was checked',
    ]
    monkeypatch.setenv('GITHUB_ACTIONS', 'true')
    assert run_audit(**answers)[0] == 'SKIPPED: no package was checked'
