"""Which cells of a chapter the site folds, and under what."""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
import pytest

pytest.importorskip('pybtex', reason="the site needs pip install -e '.[docs]'")
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'tools'))
from book import (
    PARTS,
    chapters,
    chapters_by_part,
    run_times,
    settings,
    time_to_run,
)
from run_times import seconds_to_run
from site_chapters import fold, fold_label, link_files, minutes_to_read, prompt
from site_glossary import link_terms, terms
from site_reference import full_names, groups, link_names, modules

OUTPUT = nbformat.v4.new_output('stream', text='a line')
FOLDED = {
    '#| export\ndef f():\n    return 1': 'Implementation',
    '#| export\nimport numpy as np': 'Imports',
    'import numpy as np\nfrom math import pi': 'Imports',
    "import matplotlib.pyplot as plt\nplt.style.use('x')": 'Imports',
    'assert 1 < 2\nassert 2 < 3': 'Checks',
    'for x in (1, 2):\n    y = x + 1\n    assert y > x': 'Checks',
    'with open("x") as f:\n    assert f.read()': 'Checks',
    'try:\n    f()\nexcept ValueError as e:\n    assert "x" in str(e)': 'Checks',
    'pd.testing.assert_frame_equal(a, b)': 'Checks',
    'if real:\n    assert rmse < 0.95': 'Checks',
    '#| code-fold: true\nx = f()\nassert x == 1': 'Checks',
    '#| fig-alt: A line.\n#| code-fold: true\nplt.plot(x)': 'Drawing',
}
OPEN = [
    'x = f()\nassert x == 1',
    'print(1)',
    'for x in (1, 2):\n    f(x)',
    'assert f()\nplot(x)',
    '%timeit f()',
    '#| code-fold: false\nassert 1 < 2',
]


@pytest.mark.parametrize(('source', 'label'), FOLDED.items())
def test_a_cell_is_folded(source: str, label: str) -> None:
    assert fold_label(nbformat.v4.new_code_cell(source)) == label


@pytest.mark.parametrize('source', OPEN)
def test_a_cell_stays_open(source: str) -> None:
    assert fold_label(nbformat.v4.new_code_cell(source)) is None


@pytest.mark.parametrize(
    'source', [s for s, label in FOLDED.items() if 'code' not in s]
)
def test_a_cell_that_prints_is_not_a_check(source: str) -> None:
    cell = nbformat.v4.new_code_cell(source, outputs=[OUTPUT])
    assert fold_label(cell) in (None, 'Implementation')


@pytest.mark.parametrize('outputs', [[], [OUTPUT]])
def test_a_solution_is_folded_with_what_it_prints(outputs: list) -> None:
    source = '# Solution\nx = f()\nassert x == 1'
    cell = nbformat.v4.new_code_cell(source, outputs=outputs)
    assert fold_label(cell) == 'Solution'
    fold(cell, 'Solution')
    assert cell.metadata['tags'] == ['hide-cell']
    assert prompt('Solution', 'def f(): pass') == 'Solution'
    assert fold_label(nbformat.v4.new_code_cell('x = 1  # Solution')) is None


LINKED = {
    '../docs/cheat_sheet.md': 'cheat_sheet.md',
    '../docs/cheat_sheet.md#ask-a-model': 'cheat_sheet.md#ask-a-model',
    '../CONTRIBUTING.md#style': 'contributing.md#style',
    '../docs/serving/Dockerfile': f'{settings()["blob"]}/docs/serving/Dockerfile',
    '../mf_movielens/results/speed.csv': 'results/speed.csv',
    '09_als.ipynb#exercises': '09_als.ipynb#exercises',
    '#exercises': '#exercises',
}


@pytest.mark.parametrize(('link', 'address'), LINKED.items())
def test_links_to_files_lead_to_pages_of_the_site(link: str, address: str) -> None:
    text = f'See [a page]({link}) and [another]({link}).'
    assert link_files(text) == text.replace(link, address)


def test_minutes_go_by_the_words_of_the_text() -> None:
    text = nbformat.v4.new_markdown_cell('word ' * 500)
    code = nbformat.v4.new_code_cell('word ' * 500)
    assert minutes_to_read([text, code, text]) == 5
    assert minutes_to_read([code]) == 1


RUN = {
    0: 'seconds to run',
    19: 'seconds to run',
    20: 'half a minute to run',
    45: '1 minute to run',
    89: '1 minute to run',
    91: '2 minutes to run',
    600: '10 minutes to run',
}


@pytest.mark.parametrize(('n', 'words'), RUN.items())
def test_the_time_to_run_is_told_in_words(n: int, words: str) -> None:
    assert time_to_run(n) == words


def test_the_time_to_run_goes_from_the_first_cell_to_the_last() -> None:
    def cell(start: str, end: str) -> nbformat.NotebookNode:
        times = {
            'iopub.execute_input': f'2026-01-01T00:{start}Z',
            'shell.execute_reply': f'2026-01-01T00:{end}Z',
        }
        return nbformat.v4.new_code_cell('x', metadata={'execution': times})

    text = nbformat.v4.new_markdown_cell('x')
    cells = [text, cell('00:01.5', '00:03.0'), text, cell('00:05.0', '01:02.0')]
    assert seconds_to_run(nbformat.v4.new_notebook(cells=cells)) == 60.5
    with pytest.raises(ValueError, match='no cell has a time'):
        seconds_to_run(nbformat.v4.new_notebook(cells=[text]))


def test_every_chapter_has_a_time_to_run() -> None:
    assert sorted(run_times()) == [path.stem for path in chapters()]


def test_a_prompt_names_what_is_defined() -> None:
    source = 'A = 1\n\ndef _g(): pass\n\nclass C: pass'
    assert prompt('Implementation', source) == 'Implementation: A, C'
    assert prompt('Implementation', 'def _g(): pass') == 'Implementation: _g'
    assert prompt('Checks', source) == 'Checks'


def test_every_chapter_is_in_one_part_in_order() -> None:
    parts = chapters_by_part()
    assert [p for paths in parts.values() for p in paths] == chapters()
    assert list(parts) == [part for part in PARTS if part in parts]
    assert {p.name >= '89' for p in parts['Under the hood']} == {True}


def test_the_first_mention_of_a_public_name_is_linked() -> None:
    fit = '{py:obj}`Recommender.fit() <mf_movielens.recommender.Recommender.fit>`'
    seen: set[str] = set()
    assert link_names('`Recommender.fit()` fits', seen) == f'{fit} fits'
    assert link_names('`Recommender.fit()` fits', seen) == '`Recommender.fit()` fits'
    for text in ('# `rmse`', '[`rmse`](x.md)', '```\n`rmse`\n```', '`nothing`'):
        assert link_names(text, set()) == text


def test_names_below_a_heading_are_linked() -> None:
    text = '## `rmse` and more\n\nUse `rmse`, not `rmse`.\n\n$$x$$\n\nOr `mae`.'
    rmse = '{py:obj}`rmse <mf_movielens.metrics.rmse>`'
    mae = '{py:obj}`mae <mf_movielens.metrics.mae>`'
    expected = f'## `rmse` and more\n\nUse {rmse}, not `rmse`.\n\n$$x$$\n\nOr {mae}.'
    assert link_names(text, set()) == expected


def test_every_module_is_in_one_group() -> None:
    grouped = [module.name for members in groups().values() for module in members]
    assert sorted(grouped) == [module.name for module in modules()]
    assert len(full_names()) > 100


def test_a_term_is_linked_where_it_is_introduced() -> None:
    seen: set[str] = set()
    text = '# **RMSE**\n\nThe **RMSE** and **Latent factors**, not **so**.'
    linked = link_terms(text, seen)
    assert linked == (
        '# **RMSE**\n\nThe **{term}`RMSE <RMSE>`** and '
        '**{term}`Latent factors <latent factors>`**, not **so**.'
    )
    assert link_terms('the **RMSE** again', seen) == 'the **RMSE** again'
    assert link_terms('```\n**recall**\n```', seen) == '```\n**recall**\n```'


def test_most_terms_are_introduced_somewhere() -> None:
    seen: set[str] = set()
    for path in chapters():
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == 'markdown':
                link_terms(cell.source, seen)
    assert len(seen) > 0.5 * len(terms())
    assert seen <= set(terms().values())
