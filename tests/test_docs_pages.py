"""The pages that are no notebooks: their links, their symbols and their terms."""

from __future__ import annotations

import ast
import re
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'tools'))
from book import DOCS, NBS, PACKAGE, chapters, docs_pages, read
from site_glossary import find_term

NOTATION = (DOCS / 'notation.md').read_text(encoding='utf-8')
GLOSSARY = (DOCS / 'glossary.md').read_text(encoding='utf-8')
CONF = (DOCS / 'conf.py').read_text(encoding='utf-8')
# Headings down to this level have an anchor on the site
ANCHOR_LEVELS = int(re.findall(r'^myst_heading_anchors = (\d)$', CONF, re.M)[0])
# What chapters need for a moment, and say where they do
LOCAL = {'Sigma', 'eta', 'theta'}
# Words in bold that are labels, and stand within a paragraph
LABELS = {'What to do'}
# Chapters whose terms are all in the glossary
DEFINED = chapters()


@cache
def text_of(path: Path) -> str:
    """The Markdown of a page."""
    if path.suffix == '.md':
        return path.read_text(encoding='utf-8')
    return '\n'.join(c.source for c in read(path).cells if c.cell_type == 'markdown')


def anchor(heading: str) -> str:
    """The anchor of a heading, as the site makes it."""
    plain = re.sub(r'`|\[([^\]]*)\]\([^)]*\)', r'\1', heading).lower().strip()
    return re.sub(r'\s', '-', re.sub(r'[^\w\s-]', '', plain))


def anchors(text: str) -> set[str]:
    """The anchors of the headings of a page."""
    text = re.sub(r'```.*?```', '', text, flags=re.S)
    levels = rf'^#{{1,{ANCHOR_LEVELS}}} (.*)$'
    return {anchor(heading) for heading in re.findall(levels, text, re.M)}


def dead_links(text: str, path: Path) -> list[str]:
    """The links of a page to pages or sections that do not exist."""
    dead = []
    for link in re.findall(r'\]\(([^\s():]+)\)', text):
        name, _, section = link.partition('#')
        # a page of the site may be in either of two folders
        places = [path.parent / name, (NBS if '.ipynb' in name else DOCS) / name]
        target = next((place for place in places if name and place.exists()), None)
        is_missing = name and target is None
        page = text_of(target) if target and section else text
        if is_missing or (section and section not in anchors(page)):
            dead.append(link)
    return dead


@pytest.mark.parametrize(
    'path', [NBS / 'index.ipynb', *chapters(), *docs_pages()], ids=lambda p: p.name
)
def test_links_lead_to_a_section(path: Path) -> None:
    assert dead_links(text_of(path), path) == []


def test_dead_links_are_found() -> None:
    text = '## Here\n##### Deep\n[a](#here) [b](04_metrics.ipynb#rmse-and-mae)'
    path = NBS / '12_ials.ipynb'
    assert dead_links(f'{text} [c](../docs/glossary.md#glossary)', path) == []
    gone = ['#deep', '04_metrics.ipynb#no', 'no.ipynb', '../docs/devices.md#no']
    links = ' '.join(f'[x]({link})' for link in gone)
    assert dead_links(f'{text} {links}', path) == gone


def identifiers() -> set[str]:
    """Every name that the package uses: of functions, arguments and attributes."""
    found: set[str] = set()
    for path in PACKAGE.glob('*.py'):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            for field in ('id', 'attr', 'arg', 'name'):
                name = getattr(node, field, None)
                if isinstance(name, str):
                    found.add(name)
    return found


def test_names_of_the_notation_are_names_of_the_code() -> None:
    rows = [line.split('|') for line in NOTATION.splitlines() if line.startswith('| ')]
    cells = [row[-2] for row in rows]
    names = {name for cell in cells for name in re.findall(r'`([^`]+)`', cell)}
    parts = {part for name in names for part in re.findall(r'[a-z_]{2,}|\bk\b', name)}
    assert len(parts) > 20
    assert parts - identifiers() - {'len'} == set()


def test_symbols_of_the_chapters_are_in_the_notation() -> None:
    missing = {}
    for path in chapters():
        formulas = re.findall(r'\$\$(.+?)\$\$|\$([^$]+)\$', text_of(path), re.S)
        letters = re.findall(
            r'\\(alpha|beta|gamma|delta|eta|theta|kappa|lambda|mu|pi|rho|sigma|tau|phi|'
            r'varepsilon|Gamma|Lambda|Sigma)(?![A-Za-z])',
            ' '.join(map(''.join, formulas)),
        )
        unknown = {x for x in letters if f'\\{x}' not in NOTATION} - LOCAL
        if unknown:
            missing[path.name] = sorted(unknown)
    assert missing == {}


def entries() -> dict[str, str]:
    """The terms of the glossary, each with its definition."""
    (body,) = re.findall(r'```\{glossary\}\n(.*?)```', GLOSSARY, re.S)
    found = {}
    for block in body.strip().split('\n\n'):
        *terms, definition = block.splitlines()
        assert definition.startswith('  '), block
        assert not any(term.startswith(' ') for term in terms), block
        found |= {term: definition.strip() for term in terms}
    return found


def test_each_entry_of_the_glossary_leads_on() -> None:
    assert len(entries()) > 120
    for term, definition in entries().items():
        n_sentences = len(re.findall(r'[.?](?= |$)', definition))
        assert 1 <= n_sentences <= 4, term
        assert '](' in definition or '{term}' in definition, term
    firsts = [re.split(r'\n', block)[0] for block in GLOSSARY.split('\n\n')[4:]]
    assert firsts == sorted(firsts, key=str.lower)


def test_terms_that_the_glossary_refers_to_are_in_it() -> None:
    named = re.findall(r'\{term\}`(?:[^`<]*<)?([^`>]+)>?`', GLOSSARY)
    assert set(named) - set(entries()) == set()


def bold_terms(text: str) -> list[str]:
    """The words in bold within a line; those that begin it are labels."""
    text = re.sub(r'```.*?```|\$\$.*?\$\$', '', text, flags=re.S)
    text = re.sub(r'^\s*(?:[-*] |\d+\. )?\*\*[^*]+\*\*', '', text, flags=re.M)
    found = re.findall(r'\*\*([^*]+)\*\*', text)
    return [words for words in found if words[-1] != '.' and words not in LABELS]


def test_terms_in_bold_are_found() -> None:
    text = '**You know** what **bias** is.\n\n- **Lead.** Then **RMSE**. **All in.**'
    assert bold_terms(text) == ['bias', 'RMSE']
    assert find_term('Biases') == 'bias'
    assert find_term('no such term') is None


@pytest.mark.parametrize('path', DEFINED, ids=lambda path: path.stem)
def test_terms_that_a_chapter_introduces_are_in_the_glossary(path: Path) -> None:
    assert [t for t in bold_terms(text_of(path)) if find_term(t) is None] == []


def test_chapters_introduce_terms() -> None:
    assert sum(len(bold_terms(text_of(path))) for path in DEFINED) > 150
