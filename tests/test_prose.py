"""The prose of the book: the field's own words, and sentences that can be read.

Words for which the field has a better one are looked for in prose, headings and
docstrings, and the words of sentences are counted. Code, formulas and figures are left
out. All pages are held to it.
"""

from __future__ import annotations

import ast
import re
import statistics
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'tools'))
from book import NBS, PACKAGE, chapters, docs_pages, read

# Words, and what the field calls the same. Those with a plain sense as well (list, cut,
# draw, hidden, evening) are left to the reader.
AVOIDED = {
    r'qualities|tastes': 'latent factors',
    r'penalt(?:y|ies)': 'L2 regularization',
    r'by heart': 'overfits',
    r'put away': 'held out',
    r'likings?': 'latent utilities',
    r'moods?': 'user-day bias',
    r'steadiness': 'noise precision of each user',
    r'who rated what': 'implicit feedback',
    r'somebody new|newcomers?': 'new user, cold start, fold-in',
    r'made[- ]up|stand-ins?': 'synthetic data',
    r'kindness': 'user bias',
    r'whoever': 'a subject',
    r'the chain has arrived': 'converged',
}
MOST_WORDS, MEDIAN = 35, 16
SOURCES = {
    **{path.name: path for path in [NBS / 'index.ipynb', *chapters()]},
    **{path.name: path for path in docs_pages()},
}


# What is read


def markdown_of(path: Path) -> str:
    """The Markdown of a page."""
    if path.suffix == '.md':
        return path.read_text(encoding='utf-8')
    cells = [cell.source for cell in read(path).cells if cell.cell_type == 'markdown']
    return '\n\n'.join(cells)


def is_prose(block: str) -> bool:
    """Tell whether a block is a paragraph or a list, and no heading, table or HTML."""
    return bool(block.strip()) and not re.match(r'\s*(#|\||<|\{|\()', block)


def paragraphs(text: str) -> list[str]:
    """The paragraphs of Markdown, without code, formulas, tables and addresses."""
    # the terms and definitions of a glossary are prose; other directives are not
    text = re.sub(r'```\{glossary\}\n(.*?)```', r'\1', text, flags=re.S)
    text = re.sub(r'```.*?```', '', text, flags=re.S)
    text = re.sub(r'\$\$.*?\$\$', 'formula.', text, flags=re.S)
    text = re.sub(r'\{term\}`([^`<]*?)(?: <[^`]*>)?`', r'\1', text)
    text = re.sub(r'!\[[^\]]*\]\([^)]*\)', '', text)
    text = re.sub(r'\[([^\]]*)\]\([^)]*\)', r'\1', text)
    text = re.sub(r'`[^`]*`|\$[^$]*\$', 'x', text)
    blocks = re.split(r'\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )|\n(?=#)', text)
    return [re.sub(r'[*_>]', '', block) for block in blocks if is_prose(block)]


def sentences(paragraph: str) -> list[str]:
    """The sentences of a paragraph; what a colon or semicolon joins is one."""
    flat = re.sub(r'\s+', ' ', paragraph).strip(' -')
    flat = re.sub(r'^\d+\. ', '', flat)
    flat = re.sub(r'\b(e\.g|i\.e|vs|al|cf|section)\.', r'\1', flat)
    return [s for s in re.split(r'(?<=[.!?…])[)"”]?\s+', flat) if s]


def words(sentence: str) -> list[str]:
    """The words of a sentence; a figure is none."""
    return re.findall(r"[A-Za-z][\w'’-]*", sentence)


def headings(text: str) -> list[str]:
    """The headings of Markdown."""
    return re.findall(r'^#+ (.*)$', re.sub(r'```.*?```', '', text, flags=re.S), re.M)


def avoided(text: str) -> list[str]:
    """The words in a text that the field has other words for."""
    pattern = re.compile(rf'\b(?:{"|".join(AVOIDED)})\b', re.I)
    return pattern.findall(text)


def faults(path: Path) -> list[str]:
    """What is wrong with the prose of a page."""
    text = markdown_of(path)
    prose = paragraphs(text)
    found = [f'avoid {word!r}' for word in avoided('\n'.join(prose + headings(text)))]
    read_sentences = [s for p in prose for s in sentences(p)]
    lengths = [len(words(s)) for s in read_sentences]
    found += [
        f'{n} words: {s[:60]} …'
        for n, s in zip(lengths, read_sentences)
        if n > MOST_WORDS
    ]
    if lengths and statistics.median(lengths) >= MEDIAN:
        found.append(f'the median sentence has {statistics.median(lengths)} words')
    return found


# The test of the test


@pytest.mark.parametrize(
    'text, n',
    [
        ('One. Two! Three?', 3),
        ('Koren et al. 2009 say so. It holds.', 2),
        ('It is 3.5 stars, and `a.b` is code.', 1),
        ('See [a page](x.md). And $a. B$ too.', 2),
    ],
)
def test_sentences_are_found(text: str, n: int) -> None:
    assert sum(len(sentences(p)) for p in paragraphs(text)) == n


def test_code_formulas_and_tables_are_no_prose() -> None:
    text = (
        'A b.\n\n```python\nx y z\n```\n\n$$a b c$$\n\n| a | b |\n\n# Title\n\n- c d.'
    )
    found = [words(s) for p in paragraphs(text) for s in sentences(p)]
    assert found == [['A', 'b'], ['formula'], ['c', 'd']]
    assert headings(text) == ['Title']


def test_faults_are_found(tmp_path: Path) -> None:
    page = tmp_path / 'page.md'
    page.write_text(f'# Moods\n\nTastes are {"very " * 36}bad.\n', encoding='utf-8')
    assert [fault.split()[0] for fault in faults(page)] == [
        'avoid',
        'avoid',
        '39',
        'the',
    ]
    page.write_text('# Factors\n\nLatent factors are good.\n', encoding='utf-8')
    assert faults(page) == []


# The book


@pytest.mark.parametrize('name', sorted(SOURCES))
def test_a_page_is_well_written(name: str) -> None:
    assert faults(SOURCES[name]) == []


def docstrings(path: Path) -> list[str]:
    """The docstrings of a module, and of what is in it."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = ast.walk(ast.parse(path.read_text(encoding='utf-8')))
    found = [ast.get_docstring(node) for node in nodes if isinstance(node, kinds)]
    return [text for text in found if text]


@pytest.mark.parametrize('name', sorted(path.name for path in PACKAGE.glob('*.py')))
def test_docstrings_use_the_words_of_the_field(name: str) -> None:
    assert [w for text in docstrings(PACKAGE / name) for w in avoided(text)] == []
