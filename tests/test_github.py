"""Files that are not run here: workflows, issue forms and the citation.

They are checked against their schemas, and by a linter.
"""

import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
GITHUB = ROOT / '.github'
WORKFLOWS = sorted((GITHUB / 'workflows').glob('*.yaml'))
FORMS = [p for p in (GITHUB / 'ISSUE_TEMPLATE').glob('*.yml') if p.stem != 'config']
FILES = {
    'vendor.github-workflows': WORKFLOWS,
    'vendor.dependabot': [GITHUB / 'dependabot.yml'],
    'vendor.github-issue-config': [GITHUB / 'ISSUE_TEMPLATE/config.yml'],
    'vendor.github-issue-forms': sorted(FORMS),
    'vendor.citation-file-format': [ROOT / 'CITATION.cff'],
}


@pytest.mark.parametrize('schema', FILES)
def test_files_fit_their_schema(schema):
    pytest.importorskip('check_jsonschema')
    files = FILES[schema]
    assert files
    # the name of CITATION.cff does not tell its format
    options = ['--force-filetype', 'yaml'] if 'citation' in schema else []
    command = [sys.executable, '-m', 'check_jsonschema', '--builtin-schema', schema]
    process = subprocess.run(
        [*command, *options, *files], capture_output=True, text=True, cwd=ROOT
    )
    assert process.returncode == 0, process.stdout + process.stderr


def test_linter():
    linter = shutil.which('zizmor', path=Path(sys.executable).parent)
    if not linter:
        pytest.skip("zizmor comes with pip install -e '.[dev]'")
    process = subprocess.run(
        [linter, '--offline', '--no-progress', '--pedantic', GITHUB],
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stdout + process.stderr


def test_actions_are_pinned():
    texts = [path.read_text(encoding='utf-8') for path in WORKFLOWS]
    actions = re.findall(r'uses: (\S+)(.*)', ''.join(texts))
    assert len(actions) > 8
    for action, comment in actions:
        assert re.fullmatch(r'[\w./-]+@[0-9a-f]{40}', action), action
        assert re.fullmatch(r' # v\d+\.\d+\.\d+', comment), action


def test_the_citation_agrees_with_the_settings():
    config = ConfigParser(delimiters=['='])
    config.read(ROOT / 'settings.ini', encoding='utf-8')
    settings = config['DEFAULT']
    text = (ROOT / 'CITATION.cff').read_text(encoding='utf-8')
    citation = dict(re.findall(r'^(\S[\w-]*): (.*)$', text, re.M))
    assert citation['title'] == settings['title']
    assert citation['version'] == settings['version']
    assert citation['abstract'] == settings['description']
    assert citation['repository-code'] == settings['git_url']
    assert citation['url'] == settings['doc_host'] + settings['doc_baseurl']
