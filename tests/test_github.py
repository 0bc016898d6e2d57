"What is not run here: the workflows, the forms and the citation are checked against their schemas, and read by a linter."

import re, shutil, subprocess, sys
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
GITHUB = ROOT / '.github'
WORKFLOWS = sorted((GITHUB / 'workflows').glob('*.yaml'))
FILES = {
    'vendor.github-workflows': WORKFLOWS,
    'vendor.dependabot': [GITHUB / 'dependabot.yml'],
    'vendor.github-issue-config': [GITHUB / 'ISSUE_TEMPLATE/config.yml'],
    'vendor.github-issue-forms': sorted(
        p for p in (GITHUB / 'ISSUE_TEMPLATE').glob('*.yml') if p.stem != 'config'
    ),
    'vendor.citation-file-format': [ROOT / 'CITATION.cff'],
}


def run(*command):
    return subprocess.run(
        [sys.executable, '-m', *map(str, command)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )


@pytest.mark.parametrize('schema', FILES)
def test_schema(schema):
    pytest.importorskip('check_jsonschema')
    assert FILES[schema]
    p = run(
        'check_jsonschema',
        '--builtin-schema',
        schema,
        *(['--force-filetype', 'yaml'] if 'citation' in schema else []),
        *FILES[schema],
    )
    assert p.returncode == 0, p.stdout + p.stderr


def test_linter():
    linter = shutil.which('zizmor', path=Path(sys.executable).parent)
    if not linter:
        pytest.skip("zizmor comes with pip install -e '.[dev]'")
    p = subprocess.run(
        [linter, '--offline', '--no-progress', '--pedantic', GITHUB],
        capture_output=True,
        text=True,
    )
    assert p.returncode == 0, p.stdout + p.stderr


def test_actions_are_pinned():
    used = re.findall(
        r'uses: (\S+)(.*)', ''.join(p.read_text(encoding='utf-8') for p in WORKFLOWS)
    )
    assert len(used) > 8
    for action, rest in used:
        assert re.fullmatch(r'[\w./-]+@[0-9a-f]{40}', action) and re.fullmatch(
            r' # v\d+\.\d+\.\d+', rest
        ), action


def test_the_citation_says_what_settings_say():
    config = ConfigParser(delimiters=['='])
    config.read(ROOT / 'settings.ini', encoding='utf-8')
    s, text = config['DEFAULT'], (ROOT / 'CITATION.cff').read_text(encoding='utf-8')
    said = dict(re.findall(r'^(\S[\w-]*): (.*)$', text, re.M))
    assert (
        said['title'],
        said['version'],
        said['abstract'],
        said['repository-code'],
        said['url'],
    ) == (
        s['title'],
        s['version'],
        s['description'],
        s['git_url'],
        s['doc_host'] + s['doc_baseurl'],
    )
