"""The chapters of the site: notebooks as they are committed, made into pages.

Plumbing is left out. Cells of the library are folded under *Implementation*, cells
that only assert under *Checks*, and imports under *Imports*: the text reads through,
and all of it is still there. `#| code-fold: true` folds another cell of checks, or one
that draws a picture, under *Drawing*; `#| code-fold: false` keeps a cell open. A cell
that begins with `# Solution` solves an exercise: it is folded under *Solution*, with
what it prints.
"""

from __future__ import annotations

import ast
import html
import re
import sys
from pathlib import Path

import nbformat
from book import (
    HIDDEN,
    ROOT,
    chapters_by_part,
    directive,
    docs_pages,
    is_exported,
    minutes_to_read,
    read,
    run_times,
    settings,
    shown,
    time_to_run,
    without_directives,
)
from nbformat import NotebookNode
from site_bibliography import Citations, link_citations
from site_glossary import link_terms
from site_reference import link_names, modules

# What of the repository is a page of the site
OWN_PAGES = {'CONTRIBUTING.md': 'contributing.md'}
OWN_PAGES |= {f'docs/{path.name}': path.name for path in docs_pages()}
RESULTS = 'mf_movielens/results/'  # tables that can be downloaded
IMPORTS, IMPLEMENTATION, CHECKS = 'Imports', 'Implementation', 'Checks'
DRAWING, SOLUTION = 'Drawing', 'Solution'
MAX_NAMES = 6
MAP = r'!\[([^\]]*)\]\(images/map\.png\)'
COMPOUND = (ast.For, ast.While, ast.With, ast.Try, ast.If)


# Which cells are folded


def is_plumbing(cell: NotebookNode) -> bool:
    """Tell whether a cell is nothing for readers."""
    if cell.cell_type != 'code':
        return False
    source = without_directives(cell.source)
    return bool(HIDDEN.search(cell.source)) or source.startswith('__all__')


def statements(source: str) -> list[ast.stmt]:
    """Return the top-level statements of a cell; none where it is more than Python."""
    try:
        return ast.parse(source).body
    except SyntaxError:  # a line magic
        return []


def is_assertion(node: ast.AST) -> bool:
    """Tell whether a node asserts: `assert …`, or a call of `assert_frame_equal`."""
    if isinstance(node, ast.Assert):
        return True
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
        return False
    name = ast.unparse(node.value.func).rpartition('.')[2]
    return name.startswith(('assert_', 'test_'))


def is_check(node: ast.stmt) -> bool:
    """Tell whether a statement is there to assert something."""
    if isinstance(node, COMPOUND):
        return any(is_assertion(child) for child in ast.walk(node))
    return is_assertion(node)


def is_import(node: ast.stmt) -> bool:
    """Tell whether a statement imports, be it the style of the plots."""
    is_style = ast.unparse(node).startswith('plt.style.use(')
    return is_style or isinstance(node, (ast.Import, ast.ImportFrom))


def fold_label(cell: NotebookNode) -> str | None:
    """Return under what a code cell is folded, or None where it stays open."""
    source = without_directives(cell.source)
    body = statements(source)
    wish = directive(cell, 'code-fold')
    if wish == 'false':
        return None
    if source.startswith(f'# {SOLUTION}'):
        return SOLUTION
    if body and not cell.outputs and all(map(is_import, body)):
        return IMPORTS
    if is_exported(cell):
        return IMPLEMENTATION
    only_checks = all(is_check(node) or is_import(node) for node in body)
    if wish == 'true' and directive(cell, 'fig-alt'):
        return DRAWING
    if wish == 'true' or (body and not cell.outputs and only_checks):
        return CHECKS
    return None


def defined_names(source: str) -> list[str]:
    """Return the names that a cell of the library defines, the public ones if any."""
    names = []
    for node in statements(source):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.append(node.name)
        elif isinstance(node, ast.Assign):
            names += [t.id for t in node.targets if isinstance(t, ast.Name)]
    return [name for name in names if not name.startswith('_')] or names


def prompt(label: str, source: str) -> str:
    """Return the line under which a source is folded."""
    names = defined_names(source) if label == IMPLEMENTATION else []
    if not names:
        return label
    more = ' …' if len(names) > MAX_NAMES else ''
    return f'{label}: {", ".join(names[:MAX_NAMES])}{more}'


def fold(cell: NotebookNode, label: str) -> None:
    """Fold the source of a cell; what it prints or plots only with a solution."""
    text = prompt(label, cell.source)
    cell.metadata['tags'] = ['hide-cell' if label == SOLUTION else 'hide-input']
    mystnb = cell.metadata.setdefault('mystnb', {})
    mystnb |= {'code_prompt_show': text, 'code_prompt_hide': text, 'label': label}


def can_take_in(cell: NotebookNode, label: str) -> bool:
    """Tell whether a folded cell can take in the next one that is folded alike."""
    is_like = cell.metadata.get('mystnb', {}).get('label') == label
    return is_like and not cell.outputs


# Pages


def code_cell(cell: NotebookNode, page: str) -> NotebookNode:
    """Return a code cell as the site shows it."""
    label, alt = fold_label(cell), directive(cell, 'fig-alt')
    if not alt and any('image/png' in o.get('data', {}) for o in cell.outputs):
        sys.exit(f'{page}: a picture has no `#| fig-alt:`')
    cell.source = without_directives(cell.source).strip('\n')
    cell.metadata = NotebookNode()
    if alt:
        cell.metadata['mystnb'] = {'image': {'alt': alt}}
    if label:
        fold(cell, label)
    return cell


def site_address(link: str) -> str:
    """Return where a path in the repository, with or without a section, is shown."""
    path, mark, section = link.partition('#')
    if path.startswith(RESULTS):
        return f'results/{path.removeprefix(RESULTS)}'
    page = OWN_PAGES.get(path, f'{settings()["blob"]}/{path}')
    return page + mark + section


def link_files(text: str) -> str:
    """Lead the links of a chapter to other files to their place on the site."""
    return re.sub(
        r'\]\(\.\./([^)]+)\)', lambda found: f']({site_address(found[1])})', text
    )


def page_cells(path: Path, citations: Citations) -> list[NotebookNode]:
    """Return the cells of a notebook as the site shows them."""
    seen, terms = set[str](), set[str]()
    cells: list[NotebookNode] = []
    for cell in map(shown, (c for c in read(path).cells if not is_plumbing(c))):
        if cell.cell_type == 'markdown':
            text = link_terms(link_names(cell.source, seen), terms)
            text = link_citations(text, citations, path.name)
            cell.source = link_files(text)
            cells.append(cell)
            continue
        cell = code_cell(cell, path.name)
        label = cell.metadata.get('mystnb', {}).get('label')
        if label and cells and can_take_in(cells[-1], label):
            cells[-1].source += f'\n\n{cell.source}'
            cells[-1].outputs = cell.outputs
            fold(cells[-1], label)
        else:
            cells.append(cell)
    return cells


def chapter_page(path: Path, citations: Citations) -> NotebookNode:
    """Return a chapter as MyST-NB takes it."""
    notebook = read(path)
    notebook.cells = page_cells(path, citations)
    minutes = minutes_to_read(notebook.cells)
    notebook.cells[0].source = add_ways(notebook.cells[0].source, path, minutes)
    return notebook


def add_ways(text: str, path: Path, minutes: int) -> str:
    """Put the time to read and the other places of a chapter under its first lines.

    The theme's own buttons need a script; these links need none.
    """
    addresses = settings()
    colab = addresses['git_url'].replace(
        'https://github.com/', 'https://colab.research.google.com/github/'
    )
    ways = [
        f'{minutes} minute{"s" if minutes > 1 else ""} to read, '
        + time_to_run(run_times()[path.stem]),
        f'[Open in Colab]({colab}/blob/{addresses["branch"]}/nbs/{path.name})',
        f'[on GitHub]({addresses["blob"]}/nbs/{path.name})',
    ]
    for module in modules():
        if module.chapter == path:
            name = f'mf_movielens.{module.name}'
            ways.append(f'Reference: [`{name}`]({module.page}.md)')
    line = f'\n{{.ways}}\n{" · ".join(ways)}\n'
    return re.sub(r'^(> .*\n)', rf'\1{line}', text, count=1, flags=re.M)


def docs_page(path: Path, citations: Citations) -> str:
    """Return a page of docs/, with links to the reference and the bibliography."""
    text = link_names(path.read_text(encoding='utf-8'), set())
    return link_citations(text, citations, path.name)


def front_page(path: Path, citations: Citations) -> NotebookNode:
    """Return the front page, with the order of all pages."""
    notebook = read(path)
    notebook.cells = page_cells(path, citations)
    first = notebook.cells[0]
    # the list of what one can do becomes a row of boxes
    first.source = first.source.replace('\n* **[', '\n{.doors}\n* **[', 1)
    first.source = first.source.replace(')**: ', ')** ')
    first.source = re.sub(MAP, picture, first.source)
    notebook.cells.append(nbformat.v4.new_markdown_cell(toctrees()))
    return notebook


def picture(found: re.Match[str]) -> str:
    """Return the map of the front page, with one for telephones beside it."""
    alt = html.escape(found[1])
    narrow = '_static/map_narrow.png'
    return (
        f'<p><picture><source media="(max-width: 600px)" srcset="{narrow}">'
        f'<img alt="{alt}" src="_static/map.png"></picture></p>'
    )


def toctree(caption: str, pages: list[str]) -> str:
    """Return a part of the table of contents."""
    option = f':caption: {caption}\n' if caption else ''
    listed = '\n'.join(pages)
    return f'```{{toctree}}\n:hidden:\n{option}\n{listed}\n```\n'


def toctrees() -> str:
    """Return the order of the pages, in parts."""
    look_up = ['which_model', 'cheat_sheet', 'questions', 'glossary', 'notation']
    look_up += ['neighbourhood', 'devices', 'reference', 'Index of names <genindex>']
    look_up += ['bibliography', 'contributing', 'changelog']
    parts = [
        toctree(part, [path.stem for path in paths])
        for part, paths in chapters_by_part().items()
    ]
    return '\n'.join([toctree('', ['play']), *parts, toctree('Look up', look_up)])


def repository_text(name: str) -> str:
    """Return a page of the repository, with links that lead there."""
    text = (ROOT / name).read_text(encoding='utf-8')
    blob = settings()['blob']
    return re.sub(r'\]\((?!https?:|#)([^)]+)\)', rf']({blob}/\1)', text)
